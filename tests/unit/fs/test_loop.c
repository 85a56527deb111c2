/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The request loop under a file system of two files: reading "slow" from a gate on takes until the
 * gate opens, "fast" is answered at once. Needs root and /dev/fuse; skipped elsewhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../../fs/fs_loop.h"
#include "emlfs/base/os.h"

#define FILE_BYTES 4096
#define NODE_SLOW 2
#define NODE_FAST 3
#define WAIT_MS 10000
#define ALONE_LONG_NS INT64_C(300000000)

struct mini {
    char mnt[32];
    struct fuse_session *session;
    struct fs_loop *loop;
    pthread_t thread;
    int gate[2];       /* a byte: one slow read is let through */
    atomic_bool gated; /* slow reads wait for the gate */
    atomic_uint waiting;
    atomic_uint reads;
};

static struct stat stat_of(fuse_ino_t node)
{
    struct stat st = {.st_ino = node, .st_nlink = 1, .st_mode = S_IFDIR | 0555};

    if (node != FUSE_ROOT_ID) {
        st.st_mode = S_IFREG | 0444;
        st.st_size = FILE_BYTES;
    }
    return st;
}

static void mini_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param entry = {.ino = strcmp(name, "slow") == 0 ? NODE_SLOW : NODE_FAST};

    (void)parent;
    entry.attr = stat_of(entry.ino);
    fuse_reply_entry(req, &entry);
}

static void mini_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    const struct stat st = stat_of(node);

    (void)info;
    fuse_reply_attr(req, &st, 0.0);
}

static void mini_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    info->direct_io = 1;
    fuse_reply_open(req, info);
}

static void mini_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                      struct fuse_file_info *info)
{
    static const char zeros[FILE_BYTES];
    struct mini *mini = fuse_req_userdata(req);
    char byte;

    (void)off, (void)info;
    atomic_fetch_add(&mini->reads, 1);
    if (node == NODE_SLOW && atomic_load(&mini->gated)) {
        atomic_fetch_add(&mini->waiting, 1);
        (void)!read(mini->gate[0], &byte, 1);
        atomic_fetch_sub(&mini->waiting, 1);
    }
    fuse_reply_buf(req, zeros, size < sizeof(zeros) ? size : sizeof(zeros));
}

static const struct fuse_lowlevel_ops mini_ops = {
    .lookup = mini_lookup,
    .getattr = mini_getattr,
    .open = mini_open,
    .read = mini_read,
};

static void *mini_run(void *arg)
{
    struct mini *mini = arg;

    fs_loop_run(mini->loop, 4);
    return NULL;
}

static int mini_start(void **state)
{
    struct mini *mini = calloc(1, sizeof(*mini));
    char *argv[] = {(char *)"mini", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);

    *state = mini;
    if (!mini || geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) < 0)
        return mini ? 0 : -1;
    (void)snprintf(mini->mnt, sizeof(mini->mnt), "/tmp/emlfs-loop-XXXXXX");
    if (!mkdtemp(mini->mnt) || pipe(mini->gate) < 0)
        return -1;
    mini->session = fuse_session_new(&args, &mini_ops, sizeof(mini_ops), mini);
    fuse_opt_free_args(&args);
    if (!mini->session || fuse_session_mount(mini->session, mini->mnt) != 0)
        return -1;
    if (fs_loop_new(mini->session, &mini->loop) < 0)
        return -1;
    return pthread_create(&mini->thread, NULL, mini_run, mini);
}

static int mini_stop(void **state)
{
    struct mini *mini = *state;

    if (mini->session) {
        if (mini->gate[1] >= 0)
            close(mini->gate[1]); /* lets everything through */
        fs_loop_end(mini->loop);
        pthread_join(mini->thread, NULL);
        fuse_session_unmount(mini->session);
        fs_loop_free(mini->loop);
        fuse_session_destroy(mini->session);
        close(mini->gate[0]);
        rmdir(mini->mnt);
    }
    free(mini);
    return 0;
}

static struct mini *mini_of(void **state)
{
    struct mini *mini = *state;

    if (!mini->session)
        skip();
    return mini;
}

static int mini_openat(const struct mini *mini, const char *name)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/%s", mini->mnt, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* A process that reads "slow" until it is killed; ret_done says when it has been alone for long. */
static pid_t reader_start(const struct mini *mini, int ret_done[2])
{
    char data[FILE_BYTES];
    pid_t pid;

    assert_int_equal(pipe(ret_done), 0);
    pid = fork();
    if (pid == 0) {
        int fd = mini_openat(mini, "slow");
        int64_t until = emlfs_os_monotonic_ns() + ALONE_LONG_NS;

        close(mini->gate[1]);
        while (emlfs_os_monotonic_ns() < until)
            if (pread(fd, data, sizeof(data), 0) != sizeof(data))
                _exit(1);
        (void)!write(ret_done[1], "r", 1);
        for (;;)
            if (pread(fd, data, sizeof(data), 0) != sizeof(data))
                _exit(1);
    }
    assert_true(pid > 0);
    return pid;
}

static bool comes(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};

    return poll(&wait, 1, WAIT_MS) == 1;
}

static bool slow_read_waits(struct mini *mini)
{
    const struct timespec moment = {.tv_nsec = 1000000};

    for (int i = 0; i < WAIT_MS && atomic_load(&mini->waiting) == 0; i++)
        (void)nanosleep(&moment, NULL);
    return atomic_load(&mini->waiting) > 0;
}

/* Everything "fast" can do, in a process that can be given up. False: it did not come back. */
static bool others_are_served(const struct mini *mini)
{
    char data[FILE_BYTES];
    int done[2];
    bool served;
    pid_t pid;

    if (pipe(done) < 0)
        return false;
    pid = fork();
    if (pid == 0) {
        int fd = mini_openat(mini, "fast");
        bool right = fd >= 0 && pread(fd, data, sizeof(data), 0) == sizeof(data);

        (void)!write(done[1], right ? "y" : "n", 1);
        _exit(0);
    }
    served = comes(done[0]) && read(done[0], data, 1) == 1 && data[0] == 'y';
    close(done[0]);
    close(done[1]);
    if (!served)
        kill(pid, SIGKILL);
    else
        waitpid(pid, NULL, 0);
    return served;
}

/* While the only program that was using the mount waits for its answer, others do not. */
static void test_slow_answer(void **state)
{
    struct mini *mini = mini_of(state);
    int told[2];
    pid_t pid;
    bool served;

    pid = reader_start(mini, told);
    assert_true(comes(told[0]));
    atomic_store(&mini->gated, true);
    assert_true(slow_read_waits(mini));
    served = others_are_served(mini);
    kill(pid, SIGKILL);
    close(mini->gate[1]);
    mini->gate[1] = -1;
    waitpid(pid, NULL, 0);
    close(told[0]);
    close(told[1]);
    assert_true(served);
}

/* A program that was stopped while it reads, or killed, leaves the mount as it was. */
static void test_stopped_reader(void **state)
{
    struct mini *mini = mini_of(state);

    for (int round = 0; round < 5; round++) {
        int told[2];
        pid_t pid = reader_start(mini, told);

        assert_true(comes(told[0]));
        assert_int_equal(kill(pid, SIGSTOP), 0);
        assert_true(others_are_served(mini));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        assert_true(others_are_served(mini));
        close(told[0]);
        close(told[1]);
    }
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Used for a while, then by nobody: no thread looks, or ticks, for what does not come. */
static void test_unused_mount_sleeps(void **state)
{
    const struct timespec second = {.tv_sec = 1}, moment = {.tv_nsec = 200000000};
    struct mini *mini = mini_of(state);
    int told[2];
    int64_t before;
    pid_t pid = reader_start(mini, told);

    assert_true(comes(told[0]));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(told[0]);
    close(told[1]);
    (void)nanosleep(&moment, NULL);
    before = cpu_ns();
    (void)nanosleep(&second, NULL);
    assert_true(cpu_ns() - before < 2000000); /* 1,000 ticks alone cost more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_slow_answer, mini_start, mini_stop),
        cmocka_unit_test_setup_teardown(test_stopped_reader, mini_start, mini_stop),
        cmocka_unit_test_setup_teardown(test_unused_mount_sleeps, mini_start, mini_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
