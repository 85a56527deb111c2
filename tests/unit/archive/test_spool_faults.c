/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The spool on a disk that is full or fails: every write and every sync of a run in turn. */
#include "spool_test.h"

#include <sys/syscall.h>

/* Calls in the spool's files count down to the one that fails. */
static struct {
    bool armed, sticky, struck;
    unsigned left; /* calls that still succeed */
    int error;
} fault;

static bool fault_strikes(void)
{
    if (!fault.armed || (fault.struck && !fault.sticky))
        return false;
    if (!fault.struck && fault.left > 0) {
        fault.left--;
        return false;
    }
    fault.struck = true;
    errno = fault.error;
    return true;
}

static void fault_arm(unsigned left, int error)
{
    fault.armed = true;
    fault.struck = false;
    fault.sticky = error == ENOSPC;
    fault.left = left;
    fault.error = error;
}

/* A write that fails leaves half of its bytes behind. */
ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (fault_strikes()) {
        (void)syscall(SYS_pwrite64, fd, data, len / 2, offset);
        errno = fault.error;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, len, offset);
}

int fdatasync(int fd)
{
    return fault.error != ENOSPC && fault_strikes() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
    return fault.error != ENOSPC && fault_strikes() ? -1 : (int)syscall(SYS_fsync, fd);
}

int rename(const char *from, const char *to)
{
    return fault_strikes() ? -1 : (int)syscall(SYS_rename, from, to);
}

static uint8_t noise[5 * CHUNK];

/* Step of a run on file; the model follows when it succeeded. */
static int step(struct emlfs_spool_file *file, struct model *model, unsigned no)
{
    static const struct {
        size_t len, offset;
    } writes[] = {{5000, 100},   {3 * CHUNK + 5, CHUNK - 9}, {20, 7 * CHUNK},
                  {CHUNK, 0},    {4 * CHUNK, 1000},          {70, 70},
                  {1, 9 * CHUNK}};
    struct emlfs_span data;
    int rc;

    if (no % 4 == 3) {
        rc = emlfs_spool_file_truncate(file, model->size * 2 / 3, NULL);
        if (rc == 0)
            model_truncate(model, model->size * 2 / 3);
        return rc;
    }
    memset(noise, (int)no, sizeof(noise) / 2);
    data = emlfs_span_of(noise + 11 * no, writes[no % 7].len);
    rc = emlfs_spool_file_pwrite(file, data, writes[no % 7].offset, NULL);
    if (rc == 0)
        model_write(model, data, writes[no % 7].offset);
    return rc;
}

#define STEPS 20u

/* Every step and sync fails once for want of space, changes nothing, and goes well thereafter. */
static bool full_run(struct life *life, unsigned left)
{
    struct emlfs_spool_file *file = file_new(life);
    struct model now = model_new();
    bool struck = false;
    uint64_t lost = 0;

    must(emlfs_spool_file_sync(file, NULL));
    fault_arm(left, ENOSPC);
    for (unsigned no = 0; no < STEPS; no++) {
        bool syncs = no % 5 == 4;
        int rc = syncs ? emlfs_spool_file_sync(file, NULL) : step(file, &now, no);
        struck = struck || fault.struck;
        if (rc < 0 || fault.struck) {
            assert_true(fault.struck);
            assert_true(rc == -ENOSPC || (rc == 0 && syncs)); /* DONE may be left out */
            assert_true(file_equals(file, &now));
            fault.armed = fault.struck = false;
            if (rc < 0)
                must(syncs ? emlfs_spool_file_sync(file, NULL) : step(file, &now, no));
        }
        assert_true(file_equals(file, &now));
    }
    fault.armed = false;
    must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    file = file_left(life, &lost);
    assert_non_null(file);
    assert_int_equal(lost, 0);
    assert_true(file_equals(file, &now));
    must(emlfs_spool_file_remove(file, NULL));
    free(now.data);
    return struck;
}

static void a_full_disk_changes_nothing(void **state)
{
    unsigned left = 0;

    while (full_run(*state, left))
        left++;
    assert_true(left > 20);
}

/* After ENOSPC and a crash, what was synced before is there. */
static void a_full_disk_keeps_what_was_synced(void **state)
{
    for (unsigned left = 0; left < 8; left++) {
        struct emlfs_spool_file *file = file_new(*state);
        struct model now = model_new(), synced = {0};
        uint64_t lost = 0;
        must(step(file, &now, 1));
        must(emlfs_spool_file_sync(file, NULL));
        model_copy(&synced, &now);
        fault_arm(left, ENOSPC);
        for (unsigned no = 4; no < STEPS && !fault.struck; no++)
            (void)step(file, &now, no);
        assert_true(fault.struck);
        fault.armed = false;
        emlfs_spool_file_close(file);
        file = file_left(*state, &lost);
        assert_non_null(file);
        assert_true(file_equals(file, &synced));
        must(emlfs_spool_file_remove(file, NULL));
        free(now.data);
        free(synced.data);
    }
}

static void expect_failed(struct emlfs_spool_file *file)
{
    char byte;

    assert_int_equal(emlfs_spool_file_sync(file, NULL), -EIO);
    assert_int_equal(emlfs_spool_file_pwrite(file, emlfs_span_str("x"), 0, NULL), -EIO);
    assert_int_equal(emlfs_spool_file_truncate(file, 0, NULL), -EIO);
    assert_int_equal(emlfs_spool_file_set_meta(file, emlfs_span_str("x"), NULL), -EIO);
    assert_int_equal(emlfs_spool_file_pread(file, &byte, 1, 0, NULL), -EIO);
}

/* EIO anywhere between two syncs: the file says so for good, and holds one of the two states. */
static bool broken_run(struct life *life, unsigned left)
{
    struct emlfs_spool_file *file = file_new(life);
    struct model now = model_new(), synced = {0};
    uint64_t lost = 0;
    bool struck;
    int rc = 0;

    must(step(file, &now, 1));
    must(emlfs_spool_file_sync(file, NULL));
    model_copy(&synced, &now);
    fault_arm(left, EIO);
    for (unsigned no = 4; no < STEPS && rc == 0; no++)
        rc = step(file, &now, no);
    if (rc == 0)
        rc = emlfs_spool_file_sync(file, NULL);
    struck = fault.struck;
    fault.armed = false;
    if (rc < 0) {
        assert_int_equal(rc, -EIO);
        assert_true(struck);
        expect_failed(file);
    }
    emlfs_spool_file_close(file);
    file = file_left(life, &lost);
    assert_non_null(file);
    assert_int_equal(lost, 0);
    assert_true(file_equals(file, &now) || (rc < 0 && file_equals(file, &synced)));
    must(emlfs_spool_file_remove(file, NULL));
    free(now.data);
    free(synced.data);
    return struck;
}

static void an_error_is_for_good(void **state)
{
    unsigned left = 0;

    while (broken_run(*state, left))
        left++;
    assert_true(left > 10);
}

static void a_failed_first_sync_fails_and_can_be_removed(void **state)
{
    char path[256];

    file_path(*state, 1, path);
    for (unsigned left = 0; left < 3; left++) { /* the mark, its sync, that of the directory */
        struct emlfs_spool_file *file = file_new(*state);
        fault_arm(left, EIO);
        assert_int_equal(emlfs_spool_file_sync(file, NULL), -EIO);
        fault.armed = false;
        expect_failed(file);
        must(emlfs_spool_file_remove(file, NULL));
        assert_int_equal(access(path, F_OK), -1);
    }
}

/* The log is due to be rewritten; the call that fails is one of the rewriting, or behind it. */
static bool rewrite_run(struct life *life, unsigned left, int error)
{
    struct emlfs_spool_file *file = file_new(life);
    struct model now = model_new(), synced = {0};
    uint64_t lost = 0;
    bool struck;
    int rc;

    put(file, &now, emlfs_span_of(noise, sizeof(noise)), 0);
    must(emlfs_spool_file_sync(file, NULL));
    for (unsigned i = 0; i < 30; i++)
        put(file, &now, emlfs_span_of(noise + i, sizeof(noise) - i), 0);
    model_copy(&synced, &now);
    must(emlfs_spool_file_sync(file, NULL)); /* rewritten here, undisturbed */
    for (unsigned i = 0; i < 30; i++)
        put(file, &now, emlfs_span_of(noise + i, sizeof(noise) - 99), i);
    fault_arm(left, error);
    rc = emlfs_spool_file_sync(file, NULL);
    struck = fault.struck;
    fault.armed = false;
    assert_true(rc == 0 || (struck && rc == -error));
    if (rc == -EIO)
        expect_failed(file);
    else
        assert_true(file_equals(file, &now));
    if (rc == -ENOSPC)
        must(emlfs_spool_file_sync(file, NULL));
    emlfs_spool_file_close(file);
    file = file_left(life, &lost);
    assert_non_null(file);
    assert_int_equal(lost, 0);
    assert_true(file_equals(file, &now) || (rc == -EIO && file_equals(file, &synced)));
    must(emlfs_spool_file_remove(file, NULL));
    free(now.data);
    free(synced.data);
    return struck;
}

static void a_rewriting_that_fails_loses_nothing(void **state)
{
    static const int errors[] = {EIO, ENOSPC};

    for (unsigned e = 0; e < 2; e++) {
        unsigned left = 0;
        while (rewrite_run(*state, left, errors[e]))
            left++;
        assert_true(left > 7);
    }
}

static void a_file_that_cannot_be_made_is_not_there(void **state)
{
    struct emlfs_spool *spool = spool_open(*state);
    struct emlfs_spool_file *file = NULL;
    char path[256];

    fault_arm(0, ENOSPC);
    assert_int_equal(emlfs_spool_create(spool, emlfs_span_of(NULL, 0), &file, NULL), -ENOSPC);
    fault.armed = false;
    file_path(*state, 1, path);
    assert_int_equal(access(path, F_OK), -1);
    must(emlfs_spool_create(spool, emlfs_span_of(NULL, 0), &file, NULL));
    assert_int_equal(emlfs_spool_file_number(file), 2);
    must(emlfs_spool_file_remove(file, NULL));
    emlfs_spool_close(spool);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, spool_life_make, life_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_disk_changes_nothing),
        TEST(a_full_disk_keeps_what_was_synced),
        TEST(an_error_is_for_good),
        TEST(a_failed_first_sync_fails_and_can_be_removed),
        TEST(a_rewriting_that_fails_loses_nothing),
        TEST(a_file_that_cannot_be_made_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
