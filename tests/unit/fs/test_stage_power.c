/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Staged files over a power cut that takes back every removal whose directory was not synced. */
#include <sys/syscall.h>

#include "../../../fs/stage_internal.h"
#include "fs/stage_world.h"

#define ALICE 3001u

static const char mail[] = "From: a@example.org\r\nSubject: one\r\n\r\nbody\r\n";

/* Removed from the spool, and not for good yet: the file lies beside it under another name. */
static struct {
    char path[200], kept[200];
} gone[64];
static unsigned gone_n, spool_syncs;

int unlink(const char *path)
{
    const char *in = strstr(path, "/spool/");

    if (in) {
        assert_true(gone_n < 64);
        (void)snprintf(gone[gone_n].path, sizeof(gone->path), "%s", path);
        (void)snprintf(gone[gone_n].kept, sizeof(gone->kept), "%.*s/cut-%s", (int)(in - path), path,
                       in + 7);
        if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, gone[gone_n].kept, 0) == 0)
            gone_n++;
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int fsync(int fd)
{
    char link[32], path[200] = "";

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n > 6 && strcmp(path + n - 6, "/spool") == 0) {
        spool_syncs++;
        while (gone_n > 0)
            (void)syscall(SYS_unlinkat, AT_FDCWD, gone[--gone_n].kept, 0);
    }
    return (int)syscall(SYS_fsync, fd);
}

static void power_cut(struct world *w)
{
    fs_stage_free(w->stage);
    while (gone_n > 0) {
        gone_n--;
        OK(rename(gone[gone_n].kept, gone[gone_n].path));
    }
    world_open(w);
    world_drain(w);
}

/* Not flushed. */
static struct fs_stage_handle *begin(struct world *w, const char *name, const char *text)
{
    const struct fs_stage_mode mode = {O_WRONLY | O_CREAT | O_EXCL, 0640};
    const struct emlfs_subject subject = {.uid = ALICE, .gid = ALICE};
    const struct fs_stage_at at = {{1}, {FOLDER_A}, name};
    struct fs_stage_handle *handle = NULL;
    struct emlfs_err err = {.code = 0};

    OK(fs_stage_create(w->stage, &subject, &at, &mode, &handle, &err));
    OK(fs_stage_pwrite(handle, emlfs_span_str(text), 0, &err));
    return handle;
}

static struct fs_stage_handle *write_to(struct world *w, const char *name, const char *text)
{
    struct fs_stage_handle *handle = begin(w, name, text);

    OK(fs_stage_flush(handle, NULL));
    return handle;
}

static int unlink_of(struct world *w, const char *name)
{
    struct fs_stage_sealed sealed;

    return fs_stage_unlink(w->stage, ALICE, (struct emlfs_folder_id){FOLDER_A}, name, &sealed,
                           NULL);
}

/* The model itself: without a sync of the directory, a removal is taken back. */
static void test_model(void **state)
{
    struct world *w = *state;
    char path[300];

    fs_stage_release(write_to(w, "m.tmp", mail));
    (void)snprintf(path, sizeof(path), "%s/spool/0000000000000001.spool", w->t->path);
    OK(unlink(path));
    assert_int_equal(world_spooled(w), 0);
    power_cut(w);
    assert_int_equal(world_spooled(w), 1);
}

static void test_removed(void **state)
{
    struct world *w = *state;

    fs_stage_release(write_to(w, "m.eml", mail));
    OK(unlink_of(w, "m.eml"));
    power_cut(w);
    assert_int_equal(w->kept_n, 0);
    assert_int_equal(world_spooled(w), 0);
}

static void test_removed_while_open(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = write_to(w, "m.eml", mail);

    OK(unlink_of(w, "m.eml"));
    fs_stage_release(handle);
    power_cut(w); /* what comes back says that it is not wanted */
    assert_int_equal(w->kept_n, 0);
    assert_int_equal(world_spooled(w), 0);
}

static void test_replaced(void **state)
{
    struct world *w = *state;
    const struct fs_stage_move how = {
        .folder = {FOLDER_A}, .name = "new.tmp", .to = {{1}, {FOLDER_A}, "m.tmp"}};
    struct fs_stage_sealed sealed;

    fs_stage_release(write_to(w, "m.tmp", mail));
    fs_stage_release(write_to(w, "new.tmp", "From: new\n\n"));
    OK(fs_stage_rename(w->stage, ALICE, &how, &sealed, NULL));
    power_cut(w);
    assert_int_equal(world_spooled(w), 1);
}

static void test_refused_later(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = write_to(w, "m.eml", mail);

    w->check_rc = -EDQUOT;
    OK(fs_stage_pwrite(handle, emlfs_span_str("more"), strlen(mail), NULL));
    assert_int_equal(fs_stage_flush(handle, NULL), -EDQUOT);
    fs_stage_release(handle); /* C3 */
    w->check_rc = 0;
    power_cut(w);
    assert_int_equal(w->kept_n, 0);
    assert_int_equal(world_spooled(w), 0);
}

/* A write over it was refused, it was begun anew, and removed. */
static void test_refused_and_begun_anew(void **state)
{
    struct world *w = *state;
    struct fs_stage_handle *handle = write_to(w, "m.eml", mail);
    const struct stat asked = {.st_size = 0};
    const struct fs_stage_set set = {.mask = FS_STAGE_SET_SIZE, .asked = &asked, .handle = handle};
    struct stat st;

    assert_int_equal(fs_stage_pwrite(handle, emlfs_span_str("no mail"), 0, NULL), -EOPNOTSUPP);
    fs_stage_handle_stat(handle, &st);
    OK(fs_stage_setattr(w->stage, ALICE, st.st_ino, &set, &st, NULL));
    fs_stage_release(handle);
    OK(unlink_of(w, "m.eml"));
    power_cut(w);
    assert_int_equal(w->kept_n, 0);
    assert_int_equal(world_spooled(w), 0);
}

/* Archived, nothing comes back that a deletion since would not be heard of. One sync for all. */
static void test_archived(void **state)
{
    struct world *w = *state;
    char name[32], text[64];
    unsigned before;

    for (unsigned i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "%u.eml", i);
        (void)snprintf(text, sizeof(text), "From: a\nSubject: %u\n\n", i);
        fs_stage_release(write_to(w, name, text));
    }
    before = spool_syncs;
    world_drain(w);
    assert_int_equal(w->kept_n, 40);
    assert_int_equal(w->batches, 1);
    assert_int_equal(spool_syncs, before + 1);
    power_cut(w);
    assert_int_equal(w->batches, 1);
    assert_int_equal(world_spooled(w), 0);
}

/* What never was synced was never promised: its removal costs nothing. */
static void test_not_synced(void **state)
{
    struct world *w = *state;
    unsigned before = spool_syncs;
    struct fs_stage_handle *handle = begin(w, "m.eml", mail);

    OK(unlink_of(w, "m.eml"));
    fs_stage_release(handle);
    assert_int_equal(spool_syncs, before);
    power_cut(w);
    assert_int_equal(w->kept_n, 0);
    assert_int_equal(world_spooled(w), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_model),
        CASE(test_removed),
        CASE(test_removed_while_open),
        CASE(test_replaced),
        CASE(test_refused_later),
        CASE(test_archived),
        CASE(test_not_synced),
        CASE(test_refused_and_begun_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
