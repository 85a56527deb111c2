/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leader and followers. One thread, the leader, waits for requests; short ones it answers itself
 * and stays leader, for the others it first hands the lead to a follower. Programs that walk a tree
 * send one small request after the other, and waking a thread for each costs several times the
 * answer: so the leader looks for the next request a little while before it sleeps (half the time
 * of reading 28,000 cached files). Where requests come too late for that, it looks for less and
 * less time, which leaves the processor to the program; when they come closer together again, for
 * more. A mount that nobody uses sleeps.
 *
 * L1  only the leader reads requests
 * L2  a request that may wait for the disk is answered by the leader only while one thread alone
 *     has been using the mount, and only a small one: handing over costs up to 0.1 ms, a tenth of a
 *     random read
 * L3  whatever the leader waits for while it answers, the others wait for it no longer than two
 *     ticks: then the watch gives the lead to a follower
 */
#include "fs_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"

#define LOOK_MAX_NS 50000
#define LOOK_FIRST_NS 10000 /* less is none */
#define THREADS_MAX 16u
#define ALONE_NS 50000000
#define TICK_NS 1000000
#define QUIET_TICKS 5u
#define SMALL_READ_BYTES (128u << 10)

struct fs_loop {
    struct fuse_session *session;
    int end_fd; /* readable once the loop is to end */
    pthread_mutex_t lock;
    pthread_cond_t vacant;
    bool led; /* guarded by lock: there is a leader */
    /* When the leader began to answer; negative: it has; 0: it lost the lead over it. */
    _Atomic int64_t answering;
    bool watched; /* there is a watch; set before other threads are */
    atomic_bool watch_ends, watch_sleeps;
    sem_t watch_wake;
    int64_t look_max_ns;
    int64_t look_ns;  /* the leader's, like all below */
    uint32_t caller;  /* thread that asked last */
    int64_t alone_ns; /* since when no other did */
};

int fs_loop_new(struct fuse_session *session, struct fs_loop **ret)
{
    int fd = fuse_session_fd(session), flags = fcntl(fd, F_GETFL);
    struct fs_loop *loop;

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    loop = calloc(1, sizeof(*loop));
    if (!loop)
        return -ENOMEM;
    loop->session = session;
    loop->look_max_ns = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? LOOK_MAX_NS : 0;
    loop->look_ns = loop->look_max_ns;
    loop->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->end_fd < 0) {
        int rc = -errno;
        free(loop);
        return rc;
    }
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->vacant, NULL);
    (void)sem_init(&loop->watch_wake, 0, 0);
    *ret = loop;
    return 0;
}

void fs_loop_free(struct fs_loop *loop)
{
    if (!loop)
        return;
    close(loop->end_fd);
    (void)sem_destroy(&loop->watch_wake);
    pthread_cond_destroy(&loop->vacant);
    pthread_mutex_destroy(&loop->lock);
    free(loop);
}

void fs_loop_end(struct fs_loop *loop)
{
    const uint64_t one = 1;

    fuse_session_exit(loop->session);
    (void)!write(loop->end_fd, &one, sizeof(one)); /* full: readable already */
}

/* Answered from memory; the others may read the disk or ask the account database. */
static bool request_is_short(const struct fuse_buf *buf)
{
    const struct fuse_in_header *head = buf->mem;

    switch (head->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_OPEN:
    case FUSE_RELEASE:
    case FUSE_OPENDIR:
    case FUSE_RELEASEDIR:
    case FUSE_INTERRUPT:
    case FUSE_IOCTL: /* always refused */
        return true;
    default:
        return false;
    }
}

/*
 * L2. What nobody waits for (short requests only) has no caller; neither have callers whom this
 * process cannot see, of whom any two may be different.
 */
static bool caller_is_alone(struct fs_loop *loop, const struct fuse_in_header *head, bool is_short)
{
    int64_t now_ns = emlfs_os_monotonic_ns();

    if (head->pid == 0 ? !is_short : head->pid != loop->caller) {
        loop->caller = head->pid;
        loop->alone_ns = now_ns;
    }
    return now_ns - loop->alone_ns > ALONE_NS;
}

static bool request_is_small(const struct fuse_buf *buf)
{
    const struct fuse_in_header *head = buf->mem;
    const struct fuse_read_in *in = (const void *)(head + 1);

    switch (head->opcode) {
    case FUSE_LOOKUP:
    case FUSE_GETATTR:
        return true;
    case FUSE_READ:
        return buf->size >= sizeof(*head) + sizeof(*in) && in->size <= SMALL_READ_BYTES;
    default:
        return false;
    }
}

static bool leader_answers(struct fs_loop *loop, const struct fuse_buf *buf)
{
    bool is_short = request_is_short(buf);
    bool alone = caller_is_alone(loop, buf->mem, is_short);

    return is_short || (alone && loop->watched && request_is_small(buf));
}

/* After looking was in vain: would looking longer have found the request, waking apart? */
static void look_adapt(struct fs_loop *loop, int64_t waited_ns)
{
    if (waited_ns > 2 * loop->look_max_ns)
        loop->look_ns = loop->look_ns / 2 < LOOK_FIRST_NS ? 0 : loop->look_ns / 2;
    else
        loop->look_ns = loop->look_ns ? loop->look_max_ns : LOOK_FIRST_NS;
}

/* The next request, as leader. False: the loop ends. */
static bool request_wait(struct fs_loop *loop, struct fuse_buf *buf)
{
    int64_t begin = emlfs_os_monotonic_ns();
    struct pollfd fds[2] = {{.fd = fuse_session_fd(loop->session), .events = POLLIN},
                            {.fd = loop->end_fd, .events = POLLIN}};
    bool slept = false;

    while (!fuse_session_exited(loop->session)) {
        int rc = fuse_session_receive_buf(loop->session, buf);
        if (rc > 0) {
            if (slept)
                look_adapt(loop, emlfs_os_monotonic_ns() - begin);
            return true;
        }
        if (rc != -EAGAIN && rc != -EINTR)
            return false;
        if (emlfs_os_monotonic_ns() - begin >= loop->look_ns) {
            (void)poll(fds, 2, -1);
            slept = true;
        }
    }
    return false;
}

static void lead_take(struct fs_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->led)
        pthread_cond_wait(&loop->vacant, &loop->lock);
    loop->led = true;
    pthread_mutex_unlock(&loop->lock);
}

static void lead_give(struct fs_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->led = false;
    pthread_cond_signal(&loop->vacant);
    pthread_mutex_unlock(&loop->lock);
}

/* As leader. False: it took so long that another leads now. */
static bool answer_leading(struct fs_loop *loop, const struct fuse_buf *buf)
{
    int64_t begin = emlfs_os_monotonic_ns();

    atomic_store(&loop->answering, begin);
    if (atomic_load(&loop->watch_sleeps) && atomic_exchange(&loop->watch_sleeps, false))
        sem_post(&loop->watch_wake);
    fuse_session_process_buf(loop->session, buf);
    return atomic_compare_exchange_strong(&loop->answering, &begin, -begin);
}

/* Until the leader answers again; a wake-up too many does no harm. */
static void watch_sleep(struct fs_loop *loop)
{
    atomic_store(&loop->watch_sleeps, true);
    if (atomic_load(&loop->answering) <= 0 && !atomic_load(&loop->watch_ends))
        (void)sem_wait(&loop->watch_wake);
    atomic_store(&loop->watch_sleeps, false);
}

/* L3. It ticks only while the mount is used. */
static void *watch(void *arg)
{
    const struct timespec tick = {.tv_nsec = TICK_NS};
    struct fs_loop *loop = arg;
    int64_t before = 0;
    unsigned quiet = 0;

    while (!atomic_load(&loop->watch_ends)) {
        int64_t begin = atomic_load(&loop->answering);

        quiet = begin == before ? quiet + 1 : 0;
        before = begin;
        if (begin > 0 && emlfs_os_monotonic_ns() - begin >= TICK_NS) {
            if (atomic_compare_exchange_strong(&loop->answering, &begin, 0))
                lead_give(loop);
        } else if (begin <= 0 && quiet >= QUIET_TICKS) {
            watch_sleep(loop);
        }
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &tick, NULL);
    }
    return NULL;
}

/* Lead until another does. False: the loop ends. */
static bool lead(struct fs_loop *loop, struct fuse_buf *buf)
{
    lead_take(loop);
    for (;;) {
        bool more = request_wait(loop, buf);

        if (!more || !leader_answers(loop, buf)) {
            lead_give(loop);
            if (more)
                fuse_session_process_buf(loop->session, buf);
            return more;
        }
        if (!answer_leading(loop, buf))
            return true;
    }
}

static void *serve(void *arg)
{
    struct fs_loop *loop = arg;
    struct fuse_buf buf = {.mem = NULL};

    while (lead(loop, &buf))
        ;
    fs_loop_end(loop); /* the mount is gone: the others need not wait for it again */
    free(buf.mem);
    return NULL;
}

static void watch_end(struct fs_loop *loop, pthread_t thread)
{
    atomic_store(&loop->watch_ends, true);
    sem_post(&loop->watch_wake);
    pthread_join(thread, NULL);
}

void fs_loop_run(struct fs_loop *loop, unsigned threads)
{
    pthread_t others[THREADS_MAX], watcher;
    unsigned n = 0;

    loop->watched = pthread_create(&watcher, NULL, watch, loop) == 0;
    while (n + 1 < threads && n < THREADS_MAX && pthread_create(&others[n], NULL, serve, loop) == 0)
        n++;
    (void)serve(loop);
    while (n > 0)
        pthread_join(others[--n], NULL);
    if (loop->watched)
        watch_end(loop, watcher);
}
