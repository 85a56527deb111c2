/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parent of a worker: starts it, asks it, and outlives whatever a message does to it.
 *
 * Invariants:
 *  1. A child that broke the protocol, took too long or died is killed and reaped before another is
 *     started; children are reaped by pid only.
 *  2. A message costs at most one child; when children cannot even be started, the call fails after
 *     START_TRIES.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/importer.h"
#include "facts.h"
#include "worker.h"

#define START_TIMEOUT_MS 20000u
#define START_TRIES 3u
/* Taken with the first read of an answer, so that most answers are one read. */
#define ANSWER_SOON_BYTES (sizeof(struct worker_answer) + EMLFS_FACTS_MAX_BYTES)
#define ANSWER_KEPT_BYTES (1u << 20)
#define STOP_LOOK_NS INT64_C(100000000) /* how long being stopped may go unseen */

/*
 * One exchange: what is to be sent, in two pieces, and where the answer goes. It ends when all is
 * sent and in_need bytes are there; what comes with them is taken too, up to in_cap.
 */
struct exchange {
    struct iovec out[2];
    size_t out_count;
    uint8_t *in;
    size_t in_len, in_need, in_cap;
    struct worker_wait wait;
};

void worker_stop(struct emlfs_worker *worker)
{
    int status;
    emlfs_os_close(&worker->fd);
    if (worker->pid > 0) {
        kill(worker->pid, SIGKILL);
        while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR)
            continue;
    }
    worker->pid = 0;
    worker->served = 0;
    worker_ahead_forget(worker);
}

static int send_some(int fd, struct exchange *exchange)
{
    struct msghdr message = {.msg_iov = exchange->out, .msg_iovlen = exchange->out_count};
    ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    size_t left = (size_t)sent;
    while (exchange->out_count > 0 && left >= exchange->out[0].iov_len) {
        left -= exchange->out[0].iov_len;
        exchange->out[0] = exchange->out[1];
        exchange->out_count--;
    }
    if (exchange->out_count > 0) {
        exchange->out[0].iov_base = (uint8_t *)exchange->out[0].iov_base + left;
        exchange->out[0].iov_len -= left;
    }
    return 0;
}

static int receive_some(int fd, struct exchange *exchange)
{
    ssize_t got = recv(fd, exchange->in + exchange->in_len, exchange->in_cap - exchange->in_len,
                       MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    if (got == 0)
        return -EPIPE;
    exchange->in_len += (size_t)got;
    return 0;
}

int worker_wait(const struct worker_wait *wait, short events, short *ret_events)
{
    struct pollfd poll_fd = {.fd = wait->fd, .events = events};
    int64_t left_ns = wait->deadline_ns - emlfs_os_monotonic_ns();
    if (atomic_load(wait->stopped))
        return -ECANCELED;
    if (left_ns <= 0)
        return -ETIMEDOUT;
    left_ns = left_ns < STOP_LOOK_NS ? left_ns : STOP_LOOK_NS;
    int ready = poll(&poll_fd, 1, (int)(left_ns / 1000000) + 1);
    if (ready < 0 && errno != EINTR)
        return -errno;
    *ret_events = ready > 0 ? poll_fd.revents : 0;
    return 0;
}

/* Send all of out while watching for a hang-up, then read what is needed. -ETIMEDOUT, -EPIPE, ...
 */
static int exchange_run(struct exchange *exchange)
{
    int fd = exchange->wait.fd;
    /* Mostly there is room for all of it: no need to ask first. */
    int rc = exchange->out_count > 0 ? send_some(fd, exchange) : 0;
    if (rc < 0)
        return rc;
    while (exchange->out_count > 0 || exchange->in_len < exchange->in_need) {
        short events = 0;
        bool sending = exchange->out_count > 0;
        rc = worker_wait(&exchange->wait, sending ? POLLOUT : POLLIN, &events);
        if (rc == 0 && sending && (events & (POLLOUT | POLLERR | POLLHUP)))
            rc = send_some(fd, exchange);
        else if (rc == 0 && !sending && (events & (POLLIN | POLLERR | POLLHUP)))
            rc = receive_some(fd, exchange);
        if (rc < 0)
            return rc;
    }
    return 0;
}

struct worker_wait worker_wait_of(const struct emlfs_worker *worker, unsigned ms)
{
    return (struct worker_wait){.fd = worker->fd,
                                .deadline_ns = emlfs_os_monotonic_ns() + (int64_t)ms * 1000000,
                                .stopped = &worker->stopped};
}

/* The child's descriptors: its socket as 0 and 1, /dev/null as 2, the shared page, nothing else. */
static int spawn_files(posix_spawn_file_actions_t *files, int child_fd, int progress_fd)
{
    int first_closed = progress_fd >= 0 ? WORKER_PROGRESS_FD + 1 : STDERR_FILENO + 1;
    int rc = posix_spawn_file_actions_adddup2(files, child_fd, STDIN_FILENO);
    if (rc == 0)
        rc = posix_spawn_file_actions_adddup2(files, child_fd, STDOUT_FILENO);
#if !defined(EMLFS_SANITIZED)
    if (rc == 0)
        rc = posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
#endif
    if (rc == 0 && progress_fd >= 0)
        rc = posix_spawn_file_actions_adddup2(files, progress_fd, WORKER_PROGRESS_FD);
    if (rc == 0)
        rc = posix_spawn_file_actions_addclosefrom_np(files, first_closed);
    return rc;
}

/* Its own process group (a terminal's Ctrl-C is not for it) and untouched signals. */
static int spawn_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                      POSIX_SPAWN_SETSIGDEF);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(attributes, 0);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(attributes, &all);
    return rc;
}

/* Positive errno, as posix_spawn. The environment is made here: none of the parent's goes in. */
static int child_spawn(struct emlfs_worker *worker, int child_fd)
{
    char memory[64], kind[64];
    char argv0[] = WORKER_ARGV0;
    char locale[] = "LC_ALL=C";
    char *argv[] = {argv0, NULL};
    char *envp[] = {locale, memory, kind, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    snprintf(memory, sizeof memory, WORKER_MEMORY_ENV "=%llu",
             (unsigned long long)(worker->memory_bytes >> 20));
    snprintf(kind, sizeof kind, WORKER_KIND_ENV "=%s", worker->kind->name);
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc == 0) {
        rc = spawn_files(&files, child_fd, worker->progress_fd);
        if (rc == 0)
            rc = spawn_attributes(&attributes);
        if (rc == 0)
            rc = posix_spawn(&worker->pid, worker->exe, &files, &attributes, argv, envp);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&files);
    if (rc != 0)
        worker->pid = 0;
    return rc;
}

static int worker_start(struct emlfs_worker *worker, struct emlfs_err *err)
{
    int pair[2];
    struct worker_hello hello = {0};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return emlfs_err_sys(err, errno, "worker", "no socket pair");
    worker->fd = pair[0];
    int rc = child_spawn(worker, pair[1]);
    close(pair[1]);
    if (rc != 0) {
        emlfs_os_close(&worker->fd);
        return emlfs_err_sys(err, rc, "worker", "cannot start %s", worker->exe);
    }
    struct exchange exchange = {.wait = worker_wait_of(worker, START_TIMEOUT_MS),
                                .in = (uint8_t *)&hello,
                                .in_need = sizeof hello,
                                .in_cap = sizeof hello};
    rc = exchange_run(&exchange);
    if (rc == 0 && hello.magic == WORKER_MAGIC)
        return 0;
    worker_stop(worker);
    if (rc == 0 && hello.magic == WORKER_LACKS)
        return emlfs_err_set(err, EIO, "worker", "a library that the %s worker needs is missing",
                             worker->kind->name);
    return emlfs_err_set(err, EIO, "worker", "the %s worker did not start or is not confined",
                         worker->kind->name);
}

int worker_ready(struct emlfs_worker *worker, struct emlfs_err *err)
{
    int status;
    if (worker->pid > 0 && waitpid(worker->pid, &status, WNOHANG) == worker->pid) {
        worker->pid = 0; /* reaped just now: its number may be another's */
        worker_stop(worker);
    }
    if (worker->pid > 0 && worker->ahead.n == 0 &&
        worker->served >= worker->kind->requests_per_child)
        worker_stop(worker);
    int rc = 0;
    for (unsigned tries = 0; worker->pid == 0 && tries < START_TRIES; tries++)
        rc = worker_start(worker, err);
    return rc;
}

/* The rest of an answer that did not come with the first read. */
static int answer_finish(struct emlfs_worker *worker, struct exchange *exchange)
{
    struct worker_answer answer;
    memcpy(&answer, worker->answer.data, sizeof answer);
    if (answer.magic != WORKER_MAGIC || answer.bytes > worker->kind->answer_max_bytes)
        return -EPROTO;
    exchange->in_need = sizeof answer + answer.bytes;
    worker->answer.len = exchange->in_len;
    if (exchange->in_need > exchange->in_cap) {
        int rc = emlfs_buf_reserve(&worker->answer, exchange->in_need - exchange->in_len);
        if (rc < 0)
            return rc;
        exchange->in = worker->answer.data;
        exchange->in_cap = exchange->in_need;
    }
    int rc = exchange_run(exchange);
    if (rc == 0 && exchange->in_len != exchange->in_need)
        rc = -EPROTO;
    worker->answer.len = exchange->in_len;
    return rc;
}

int worker_ask(struct emlfs_worker *worker, struct emlfs_span request, struct emlfs_span message)
{
    struct exchange exchange = {
        .out = {{(void *)(uintptr_t)request.data, request.len},
                {(void *)(uintptr_t)message.data, message.len}},
        .out_count = 2,
        .in_need = sizeof(struct worker_answer),
        .in_cap = ANSWER_SOON_BYTES,
        .wait = worker_wait_of(worker, worker->timeout_ms),
    };
    worker->served++;
    if (worker->answer.cap > ANSWER_KEPT_BYTES)
        emlfs_buf_free(&worker->answer);
    emlfs_buf_clear(&worker->answer);
    int rc = emlfs_buf_reserve(&worker->answer, ANSWER_SOON_BYTES);
    exchange.in = worker->answer.data;
    if (rc == 0)
        rc = exchange_run(&exchange);
    return rc == 0 ? answer_finish(worker, &exchange) : rc;
}

struct emlfs_span worker_answer_bytes(const struct emlfs_worker *worker)
{
    return emlfs_span_of(worker->answer.data + sizeof(struct worker_answer),
                         worker->answer.len - sizeof(struct worker_answer));
}

/* A page that the child writes and this process reads. */
static int progress_make(struct emlfs_worker *worker, struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int fd = memfd_create("emlfs-progress", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, WORKER_PROGRESS_BYTES) < 0)
        return emlfs_err_sys(err, errno, "worker", "no shared page");
    worker->progress_fd = fcntl(fd, F_DUPFD_CLOEXEC, WORKER_PROGRESS_FD);
    void *page = mmap(NULL, WORKER_PROGRESS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (worker->progress_fd < 0 || page == MAP_FAILED)
        return emlfs_err_sys(err, errno, "worker", "no shared page");
    worker->progress = page;
    return 0;
}

int worker_make(const struct emlfs_worker_config *config, const struct worker_kind *kind,
                struct emlfs_worker **ret_worker, struct emlfs_err *err)
{
    struct emlfs_worker *worker = calloc(1, sizeof *worker);
    *ret_worker = NULL;
    if (worker)
        worker->exe = strdup(config->exe);
    if (worker == NULL || worker->exe == NULL) {
        free(worker);
        return emlfs_err_sys(err, ENOMEM, "worker", "no %s worker", kind->name);
    }
    worker->kind = kind;
    worker->timeout_ms = config->timeout_ms ? config->timeout_ms : kind->timeout_ms;
    worker->memory_bytes = config->memory_bytes ? config->memory_bytes : kind->memory_bytes;
    worker->fd = -1;
    worker->progress_fd = -1;
    worker->answer = EMLFS_BUF_INIT(ANSWER_SOON_BYTES + kind->answer_max_bytes);
    worker_ahead_init(worker);
    int rc = kind->shares_progress ? progress_make(worker, err) : 0;
    if (rc == 0)
        rc = worker_ready(worker, err);
    if (rc < 0)
        emlfs_worker_free(worker);
    else
        *ret_worker = worker;
    return rc;
}

void emlfs_worker_free(struct emlfs_worker *worker)
{
    if (worker == NULL)
        return;
    worker_stop(worker);
    if (worker->progress)
        munmap((void *)(uintptr_t)worker->progress, WORKER_PROGRESS_BYTES);
    emlfs_os_close(&worker->progress_fd);
    emlfs_buf_free(&worker->answer);
    worker_ahead_free(worker);
    free(worker->exe);
    free(worker);
}
