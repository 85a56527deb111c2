/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Leader and followers. One thread, the leader, waits for requests; short ones it answers itself
 * and stays leader, for the others it first hands the lead to a follower. Programs that walk a tree
 * send one small request after the other, and waking a thread for each costs several times the
 * answer: so the leader looks for the next request a little while before it sleeps (half the time
 * of reading 28,000 cached files). A mount that nobody uses sleeps.
 *
 * L1  only the leader reads requests
 * L2  a request that may wait for the disk is never answered by the leader
 */
#include "fs_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "emlfs/base/os.h"

#define LOOK_NS 50000
#define THREADS_MAX 16u

struct fs_loop {
    struct fuse_session *session;
    pthread_mutex_t lead;
    int end_fd; /* readable once the loop is to end */
    int64_t look_ns;
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
    loop->look_ns = sysconf(_SC_NPROCESSORS_ONLN) > 1 ? LOOK_NS : 0;
    loop->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->end_fd < 0) {
        int rc = -errno;
        free(loop);
        return rc;
    }
    pthread_mutex_init(&loop->lead, NULL);
    *ret = loop;
    return 0;
}

void fs_loop_free(struct fs_loop *loop)
{
    if (!loop)
        return;
    close(loop->end_fd);
    pthread_mutex_destroy(&loop->lead);
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
        return true;
    default:
        return false;
    }
}

/* The next request, as leader. False: the loop ends. */
static bool request_wait(struct fs_loop *loop, struct fuse_buf *buf)
{
    int64_t until = loop->look_ns ? emlfs_os_monotonic_ns() + loop->look_ns : 0;
    struct pollfd fds[2] = {{.fd = fuse_session_fd(loop->session), .events = POLLIN},
                            {.fd = loop->end_fd, .events = POLLIN}};

    while (!fuse_session_exited(loop->session)) {
        int rc = fuse_session_receive_buf(loop->session, buf);
        if (rc > 0)
            return true;
        if (rc != -EAGAIN && rc != -EINTR)
            return false;
        if (until == 0 || emlfs_os_monotonic_ns() > until)
            (void)poll(fds, 2, -1);
    }
    return false;
}

static void *serve(void *arg)
{
    struct fs_loop *loop = arg;
    struct fuse_buf buf = {.mem = NULL};
    bool more;

    do {
        pthread_mutex_lock(&loop->lead);
        while ((more = request_wait(loop, &buf)) && request_is_short(&buf))
            fuse_session_process_buf(loop->session, &buf);
        pthread_mutex_unlock(&loop->lead);
        if (more)
            fuse_session_process_buf(loop->session, &buf);
    } while (more);
    fs_loop_end(loop); /* the mount is gone: the others need not wait for it again */
    free(buf.mem);
    return NULL;
}

void fs_loop_run(struct fs_loop *loop, unsigned threads)
{
    pthread_t others[THREADS_MAX];
    unsigned n = 0;

    while (n + 1 < threads && n < THREADS_MAX && pthread_create(&others[n], NULL, serve, loop) == 0)
        n++;
    (void)serve(loop);
    while (n > 0)
        pthread_join(others[--n], NULL);
}
