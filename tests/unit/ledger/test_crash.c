/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The process ends at every write, cut, sync and removal it makes; the machine ends there too, and
 * what was not synced is lost or half there; a sync fails; the disk is full. What was acknowledged
 * is there afterwards, nothing is damaged, and the ledger goes on.
 *
 * The calls below take the place of the C library's in this program.
 */
#include "ledger_test.h"

#include <errno.h>
#include <sys/syscall.h>

enum fault {
    FAULT_NONE,
    FAULT_EXIT, /* the process ends before the call */
    FAULT_EXIT_HALF /* ... in the middle of a write */,
    FAULT_EIO_SYNC, /* the call is a sync, and fails */
    FAULT_ENOSPC,   /* the call is a write: half of it is done, then the disk is full */
};

static struct {
    enum fault fault;
    unsigned at;        /* number of the call */
    unsigned calls;     /* of those that the fault is about */
    unsigned after;     /* calls behind a failed sync */
    const char *images; /* directory of what is durable; NULL: nobody asks */
    bool fired;
    char kept[96];     /* where the segment removed last is kept; empty: nowhere */
    char removed[256]; /* its name, until the removal is durable */
} shim;

static bool shim_hits(bool counted)
{
    if (!counted)
        return false;
    if (shim.fired)
        shim.after++;
    if (++shim.calls != shim.at)
        return false;
    shim.fired = true;
    return true;
}

static bool exits(void)
{
    return shim.fault == FAULT_EXIT || shim.fault == FAULT_EXIT_HALF;
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (shim_hits(exits() || shim.fault == FAULT_ENOSPC)) {
        if (shim.fault != FAULT_EXIT)
            (void)syscall(SYS_pwrite64, fd, data, len / 2, offset);
        if (exits())
            _exit(99);
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, len, offset);
}

int ftruncate(int fd, off_t length)
{
    if (shim_hits(exits()))
        _exit(99);
    return (int)syscall(SYS_ftruncate, fd, length);
}

static void file_copy(const char *from, const char *to)
{
    char bytes[65536];
    EMLFS_FD_CLEANUP int in = open(from, O_RDONLY | O_CLOEXEC);
    EMLFS_FD_CLEANUP int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t n;
    if (in < 0 || out < 0)
        abort();
    while ((n = read(in, bytes, sizeof(bytes))) > 0)
        if (write(out, bytes, (size_t)n) != n)
            abort();
}

int unlink(const char *path)
{
    if (shim_hits(exits()))
        _exit(99);
    if (shim.kept[0] && strstr(path, "/ledger/records/") && access(path, F_OK) == 0) {
        file_copy(path, shim.kept);
        snprintf(shim.removed, sizeof(shim.removed), "%.250s", path);
    }
    return (int)syscall(SYS_unlink, path);
}

/* ".../ledger/records/00000001.log" has the image IMAGES/records_00000001.log. */
static void image_path(const char *path, char ret[256])
{
    const char *tail = strstr(path, "/ledger/");
    snprintf(ret, 256, "%s/%.100s", shim.images, tail ? tail + 8 : "none");
    for (char *c = ret + strlen(shim.images) + 1; *c; c++)
        *c = *c == '/' ? '_' : *c;
}

/* Nothing waits for the disk: no test here looks at it. */
static int sync_done(int fd)
{
    char link[64];
    char path[256];
    char image[256];
    struct stat st;
    if (shim_hits(exits() || shim.fault == FAULT_EIO_SYNC)) {
        if (exits())
            _exit(99);
        errno = EIO;
        return -1;
    }
    if ((!shim.images && !shim.kept[0]) || fstat(fd, &st) < 0)
        return 0;
    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof(path) - 1);
    if (n <= 0)
        abort();
    path[n] = '\0';
    if (S_ISDIR(st.st_mode) && strncmp(path, shim.removed, (size_t)n) == 0)
        shim.removed[0] = '\0';
    if (!shim.images || !S_ISREG(st.st_mode))
        return 0;
    image_path(path, image);
    file_copy(path, image);
    return 0;
}

int fdatasync(int fd)
{
    return sync_done(fd);
}

int fsync(int fd)
{
    return sync_done(fd);
}

static const char *const folders[] = {".", "records", "tiles", "timestamps"};

/* Call each for every file of the ledger. */
static void files_each(const char *dir, void (*each)(void *arg, const char *path), void *arg)
{
    for (unsigned i = 0; i < 4; i++) {
        char folder[256];
        snprintf(folder, sizeof(folder), "%s/%s", dir, folders[i]);
        DIR *open_dir = opendir(folder);
        for (struct dirent *e = open_dir ? readdir(open_dir) : NULL; e; e = readdir(open_dir)) {
            char path[600];
            if (e->d_type != DT_REG)
                continue;
            snprintf(path, sizeof(path), i ? "%s/%s/%.200s" : "%s%.0s/%.200s", dir, folders[i],
                     e->d_name);
            each(arg, path);
        }
        if (open_dir)
            closedir(open_dir);
    }
}

struct copy {
    const char *from;
    const char *to;
};

static void copy_one(void *arg, const char *path)
{
    const struct copy *copy = arg;
    char to[600];
    snprintf(to, sizeof(to), "%s%s", copy->to, path + strlen(copy->from));
    file_copy(path, to);
}

static void ledger_copy(const char *from, const char *to)
{
    struct copy copy = {from, to};
    tree_remove(to);
    for (unsigned i = 0; i < 4; i++) {
        char folder[256];
        snprintf(folder, sizeof(folder), "%s/%s", to, folders[i]);
        assert_true(mkdir(i ? folder : to, 0700) == 0);
    }
    files_each(from, copy_one, &copy);
}

static void image_one(void *arg, const char *path)
{
    char image[256];
    (void)arg;
    image_path(path, image);
    file_copy(path, image);
}

struct lottery {
    unsigned seed;
};

/*
 * After a power cut a file is as it was last synced, or as it was last written, or its blocks of
 * since then are zero while its length is the new one.
 */
static void lose_one(void *arg, const char *path)
{
    struct lottery *lottery = arg;
    struct stat old = {0};
    struct stat now;
    char image[256];
    image_path(path, image);
    lottery->seed = lottery->seed * 1103515245u + 12345u;
    unsigned way = lottery->seed >> 16 & 3;
    bool durable = stat(image, &old) == 0;
    assert_int_equal(stat(path, &now), 0);
    if (way == 0)
        return;
    if (!durable && way == 1) {
        assert_int_equal(unlink(path), 0);
        return;
    }
    EMLFS_FD_CLEANUP int fd = -1;
    if (durable)
        file_copy(image, path);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    if (!durable)
        assert_int_equal(ftruncate(fd, 0), 0);
    if (way == 2)
        assert_int_equal(ftruncate(fd, old.st_size > now.st_size ? old.st_size : now.st_size), 0);
}

/* What the child does; each size that is acknowledged goes into the pipe. */
static void child_work(struct scene *scene, uint64_t size, int ack_fd)
{
    struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    static const size_t groups[] = {3, 1, 40, 2};
    if (emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL) < 0)
        _exit(1);
    for (unsigned i = 0; i < 4; i++) {
        struct emlfs_ledger_record records[40];
        for (size_t n = 0; n < groups[i]; n++)
            records[n] = record_make(size + n);
        if (emlfs_ledger_append(scene->ledger, records, groups[i], NULL, NULL) < 0)
            _exit(2);
        size += groups[i];
        if (write(ack_fd, &size, sizeof(size)) != sizeof(size))
            _exit(3);
        if (i == 1 && emlfs_ledger_checkpoint(scene->ledger, &text, NULL) < 0)
            _exit(4);
    }
    _exit(emlfs_ledger_close_signed(scene->ledger, NULL) < 0 ? 5 : 0);
}

/* The child's status; *size becomes the last acknowledged one. */
static int child_run(struct scene *scene, uint64_t *size)
{
    int ends[2];
    int status = 0;
    uint64_t acknowledged;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_work(scene, *size, ends[1]);
    }
    close(ends[1]);
    while (read(ends[0], &acknowledged, sizeof(acknowledged)) == sizeof(acknowledged))
        *size = acknowledged;
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Reopen, check what is there, go on. */
static void life_goes_on(struct scene *scene, uint64_t acknowledged)
{
    struct emlfs_ledger_opened opened;
    struct emlfs_err err = {0};
    shim.fault = FAULT_NONE;
    int r = emlfs_ledger_open(&scene->config, &scene->ledger, &opened, &err);
    if (r < 0)
        print_error("call %u: %s\n", shim.at, err.text);
    assert_int_equal(r, 0);
    assert_true(opened.records >= acknowledged && opened.records <= acknowledged + 40);
    assert_records(scene->ledger, opened.records);
    assert_int_equal(records_append(scene->ledger, opened.records, 5), 0);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
    r = emlfs_ledger_open(&scene->config, &scene->ledger, &opened, &err);
    assert_int_equal(r, 0);
    assert_int_equal(opened.cut_bytes, 0); /* the second time nothing is found */
    scene_close(scene);
}

struct crash {
    char template_dir[128];
    uint64_t size; /* records in the template */
};

/* From one call that fails to the next: 1 in long runs, and where no sanitizer slows it down. */
static unsigned stride(void)
{
#ifdef EMLFS_SANITIZED
    const char *mode = getenv("EMLFS_TEST_MODE");
    return mode && strcmp(mode, "long") == 0 ? 1 : 3;
#else
    return 1;
#endif
}

/* Every call, or every third; returns about how many there are. */
static unsigned calls_try(struct scene *scene, const struct crash *crash, enum fault fault,
                          bool power)
{
    char images[128];
    snprintf(images, sizeof(images), "%s/images", scene->root);
    for (unsigned at = 1;; at += stride()) {
        struct lottery lottery = {at * 7919};
        uint64_t size = crash->size;
        ledger_copy(crash->template_dir, scene->dir);
        if (power) {
            tree_remove(images);
            assert_int_equal(mkdir(images, 0700), 0);
            shim.images = images;
            files_each(scene->dir, image_one, NULL);
        }
        shim.fault = fault;
        shim.at = at;
        shim.calls = 0;
        int status = child_run(scene, &size);
        shim.fault = FAULT_NONE;
        if (power)
            files_each(scene->dir, lose_one, &lottery);
        shim.images = NULL;
        life_goes_on(scene, size);
        if (status == 0)
            return at - 1;
        assert_int_equal(status, 99);
    }
}

static void template_take(struct scene *scene, uint64_t size, struct crash *crash)
{
    snprintf(crash->template_dir, sizeof(crash->template_dir), "%s/template", scene->root);
    for (crash->size = 0; crash->size < size;) {
        size_t step = size - crash->size < 20000 ? (size_t)(size - crash->size) : 20000;
        assert_int_equal(records_append(scene->ledger, crash->size, step), 0);
        crash->size += step;
    }
    scene_close(scene);
    ledger_copy(scene->dir, crash->template_dir);
}

static void test_exit_everywhere(void **state)
{
    struct scene *scene = *state;
    struct crash crash;
    template_take(scene, 250, &crash);
    assert_true(calls_try(scene, &crash, FAULT_EXIT, false) > 30);
    assert_true(calls_try(scene, &crash, FAULT_EXIT_HALF, false) > 30);
}

static void test_power_cut_everywhere(void **state)
{
    struct scene *scene = *state;
    struct crash crash;
    template_take(scene, 250, &crash);
    assert_true(calls_try(scene, &crash, FAULT_EXIT, true) > 30);
    assert_true(calls_try(scene, &crash, FAULT_EXIT_HALF, true) > 30);
}

/* The second group begins a new segment. */
static void test_power_cut_at_new_segment(void **state)
{
    struct scene *scene = *state;
    struct crash crash;
    template_take(scene, SEGMENT_RECORDS - 20, &crash);
    assert_true(calls_try(scene, &crash, FAULT_EXIT_HALF, true) > 30);
}

static void test_failed_sync_poisons(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    assert_int_equal(records_append(scene->ledger, 0, 10), 0);
    shim.fault = FAULT_EIO_SYNC;
    shim.calls = 0;
    shim.at = 1;
    shim.after = 0;
    shim.fired = false;
    assert_int_equal(records_append(scene->ledger, 10, 10), -EIO);
    assert_int_equal(records_append(scene->ledger, 10, 10), -EROFS);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), -EROFS);
    assert_int_equal(emlfs_ledger_size(scene->ledger), 10);
    assert_records(scene->ledger, 10); /* reading goes on */
    assert_int_equal(emlfs_ledger_close(scene->ledger, NULL), -EROFS);
    assert_int_equal(shim.after, 0); /* no sync was tried again */
    scene->ledger = NULL;
    shim.fired = false;
    life_goes_on(scene, 10);
}

/* The disk is full at each write of a group in turn: nothing of it stays, and it can go on. */
static void test_full_disk(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(records_append(scene->ledger, 0, 250), 0);
    for (unsigned at = 1; at <= 3; at++) { /* two levels of tiles, the frame */
        shim.fault = FAULT_ENOSPC;
        shim.calls = 0;
        shim.at = at;
        assert_int_equal(records_append(scene->ledger, 250, 10), -ENOSPC);
        shim.fault = FAULT_NONE;
        assert_int_equal(emlfs_ledger_size(scene->ledger), 250);
        assert_records(scene->ledger, 250);
        assert_int_equal(findings_count(scene, true), 0);
    }
    assert_int_equal(records_append(scene->ledger, 250, 10), 0);
    assert_records(scene->ledger, 260);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

static void test_full_disk_at_new_segment(void **state)
{
    struct scene *scene = *state;
    struct crash crash;
    template_take(scene, SEGMENT_RECORDS - 5, &crash);
    scene_reopen(scene);
    unsigned refused = 0;
    for (unsigned at = 1; at < 20; at++) {
        shim.fault = FAULT_ENOSPC;
        shim.calls = 0;
        shim.at = at;
        int r = records_append(scene->ledger, SEGMENT_RECORDS - 5, 10);
        shim.fault = FAULT_NONE;
        if (r == 0)
            break;
        assert_int_equal(r, -ENOSPC);
        assert_int_equal(emlfs_ledger_size(scene->ledger), SEGMENT_RECORDS - 5);
        refused++;
    }
    assert_true(refused >= 4);
    assert_records(scene->ledger, SEGMENT_RECORDS + 5);
    assert_int_equal(findings_count(scene, true), 0);
}

/* As a process leaves it that dies: no clean end. */
static void ledger_abandon(struct scene *scene, uint64_t first, size_t count)
{
    pid_t pid = fork();
    int status;
    assert_true(pid >= 0);
    if (pid == 0) {
        if (emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL) < 0)
            _exit(1);
        _exit(records_append(scene->ledger, first, count) < 0 ? 2 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* The power is cut behind an orderly close: what was removed, and not durably, is there again. */
static void removed_returns(struct scene *scene)
{
    scene_close(scene);
    if (shim.removed[0])
        file_copy(shim.kept, shim.removed);
    shim.removed[0] = '\0';
    scene_reopen(scene);
}

/* A segment that a full disk, or a crash, left without a record is gone for good. */
static void test_segment_stays_removed(void **state)
{
    struct scene *scene = *state;
    struct crash crash;
    char path[LEDGER_PATH_MAX_BYTES];
    template_take(scene, SEGMENT_RECORDS - 5, &crash);
    snprintf(shim.kept, sizeof(shim.kept), "%s/kept", scene->root);
    scene_reopen(scene);
    for (unsigned at = 1; at < 20; at++) {
        shim.fault = FAULT_ENOSPC;
        shim.calls = 0;
        shim.at = at;
        int r = records_append(scene->ledger, SEGMENT_RECORDS - 5, 10);
        shim.fault = FAULT_NONE;
        if (r == 0)
            break;
        removed_returns(scene);
    }
    assert_int_equal(emlfs_ledger_close(scene->ledger, NULL), -EROFS); /* its mark was refused */
    scene->ledger = NULL;
    ledger_copy(crash.template_dir, scene->dir);
    ledger_abandon(scene, SEGMENT_RECORDS - 5, 5);
    assert_int_equal(ledger_segment_path(scene->dir, 2, path), 0);
    file_write(path, (struct emlfs_span){0});
    scene_reopen(scene);
    assert_int_equal(access(path, F_OK), -1);
    removed_returns(scene);
    assert_int_equal(emlfs_ledger_size(scene->ledger), SEGMENT_RECORDS);
    shim.kept[0] = '\0';
}

static void tail_append(const struct scene *scene, struct emlfs_span bytes)
{
    char path[LEDGER_PATH_MAX_BYTES];
    assert_int_equal(ledger_segment_path(scene->dir, 1, path), 0);
    EMLFS_FD_CLEANUP int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, bytes.data, bytes.len), 0);
}

static void test_tail_is_cut_only_if_torn(void **state)
{
    struct scene *scene = *state;
    struct emlfs_ledger_opened opened;
    char path[LEDGER_PATH_MAX_BYTES];
    struct stat st;
    assert_int_equal(records_append(scene->ledger, 0, 20), 0);
    scene_close(scene);
    /* closed in order: not a byte may follow */
    tail_append(scene, emlfs_span_str("e"));
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
    assert_int_equal(ledger_segment_path(scene->dir, 1, path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    /* not closed: a torn tail goes */
    ledger_abandon(scene, 20, 10);
    tail_append(scene, emlfs_span_of("eL\1\0 torn", 9));
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, &opened, NULL), 0);
    assert_int_equal(opened.cut_bytes, 9);
    assert_records(scene->ledger, 30);
    scene_close(scene);
    /* not closed, but the last group was acknowledged: it is never cut */
    ledger_abandon(scene, 30, 10);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, &opened, NULL), -EBADMSG);
    struct stat after;
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, st.st_size - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_exit_everywhere),
        IN_SCENE(test_power_cut_everywhere),
        IN_SCENE(test_power_cut_at_new_segment),
        IN_SCENE(test_failed_sync_poisons),
        IN_SCENE(test_full_disk),
        IN_SCENE(test_full_disk_at_new_segment),
        IN_SCENE(test_segment_stays_removed),
        IN_SCENE(test_tail_is_cut_only_if_torn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
