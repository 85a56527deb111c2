/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that are handed to a child before their answers are wanted, so that it has something to
 * do while this process does other work, and neither sleeps for the other once a message.
 *
 * Invariants:
 *  1. Answers come in the order of what was put: what the child sends next answers raw[0].
 *  2. Messages are put in one row: behind one that was not, none is, until all are answered and the
 *     next is asked for.
 *  3. Nothing is received but while the first answer is not whole, so no more is held than one
 *     answer and AHEAD_READ_BYTES.
 */
#include <poll.h>
#include <sys/socket.h>

#include "worker.h"

#define AHEAD_MESSAGE_MAX_BYTES (64u << 10) /* a longer one does not wait behind others */
#define AHEAD_READ_BYTES (64u << 10)
#define AHEAD_KEPT_BYTES (1u << 20)

void worker_ahead_init(struct emlfs_worker *worker)
{
    worker->ahead.out = EMLFS_BUF_INIT(WORKER_AHEAD_OUT_MAX_BYTES);
    worker->ahead.in = EMLFS_BUF_INIT(sizeof(struct worker_answer) +
                                      worker->kind->answer_max_bytes + AHEAD_READ_BYTES);
}

void worker_ahead_free(struct emlfs_worker *worker)
{
    emlfs_buf_free(&worker->ahead.out);
    emlfs_buf_free(&worker->ahead.in);
}

void worker_ahead_forget(struct emlfs_worker *worker)
{
    worker->ahead.n = 0;
    worker->ahead.closed = false;
    emlfs_buf_clear(&worker->ahead.out);
    emlfs_buf_clear(&worker->ahead.in);
}

static void buf_drop_first(struct emlfs_buf *buf, size_t n)
{
    buf->len -= n;
    if (buf->len > 0)
        memmove(buf->data, buf->data + n, buf->len);
}

static int ahead_send(struct emlfs_worker *worker)
{
    struct emlfs_buf *out = &worker->ahead.out;
    ssize_t sent;
    if (out->len == 0)
        return 0;
    sent = send(worker->fd, out->data, out->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    buf_drop_first(out, (size_t)sent);
    return 0;
}

static int ahead_receive(struct emlfs_worker *worker)
{
    struct emlfs_buf *in = &worker->ahead.in;
    ssize_t got;
    int rc = emlfs_buf_reserve(in, AHEAD_READ_BYTES);
    if (rc < 0)
        return rc;
    got = recv(worker->fd, in->data + in->len, AHEAD_READ_BYTES, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    in->len += (size_t)got;
    return got == 0 ? -EPIPE : 0;
}

/* The whole answer that in begins with. 1: there; 0: not yet; -EPROTO. */
static int ahead_answer(const struct emlfs_worker *worker, struct emlfs_span *ret_bytes)
{
    const struct emlfs_buf *in = &worker->ahead.in;
    struct worker_answer answer;
    if (in->len < sizeof answer)
        return 0;
    memcpy(&answer, in->data, sizeof answer);
    if (answer.magic != WORKER_MAGIC || answer.bytes > worker->kind->answer_max_bytes)
        return -EPROTO;
    if (in->len - sizeof answer < answer.bytes)
        return 0;
    *ret_bytes = emlfs_span_of(in->data + sizeof answer, answer.bytes);
    return 1;
}

int worker_ahead_wait(struct emlfs_worker *worker, struct emlfs_span *ret_bytes)
{
    const struct worker_wait wait = worker_wait_of(worker, worker->timeout_ms);
    int rc = 0;
    *ret_bytes = emlfs_span_of(NULL, 0);
    if (worker->ahead.in.len == 0)
        rc = ahead_send(worker);
    while (rc == 0 && (rc = ahead_answer(worker, ret_bytes)) == 0) {
        bool sending = worker->ahead.out.len > 0;
        short events = 0;
        rc = worker_wait(&wait, (short)(sending ? POLLIN | POLLOUT : POLLIN), &events);
        if (rc == 0 && sending && (events & POLLOUT))
            rc = ahead_send(worker);
        if (rc == 0 && (events & (POLLIN | POLLERR | POLLHUP)))
            rc = ahead_receive(worker);
    }
    return rc < 0 ? rc : 0;
}

bool worker_ahead_is_first(const struct emlfs_worker *worker, struct emlfs_span raw)
{
    const struct emlfs_span *first = &worker->ahead.raw[0];
    return worker->ahead.n > 0 && first->data == raw.data && first->len == raw.len;
}

void worker_ahead_next(struct emlfs_worker *worker, struct emlfs_span answer)
{
    struct worker_ahead *ahead = &worker->ahead;
    buf_drop_first(&ahead->in, sizeof(struct worker_answer) + answer.len);
    if (ahead->in.len == 0 && ahead->in.cap > AHEAD_KEPT_BYTES)
        emlfs_buf_free(&ahead->in);
    ahead->n--;
    memmove(ahead->raw, ahead->raw + 1, ahead->n * sizeof ahead->raw[0]);
}

bool worker_ahead_put(struct emlfs_worker *worker, struct emlfs_span raw, struct emlfs_span request,
                      struct emlfs_span message)
{
    struct worker_ahead *ahead = &worker->ahead;
    size_t room = WORKER_AHEAD_OUT_MAX_BYTES - ahead->out.len;
    bool worn = ahead->n == 0 && worker->served >= worker->kind->requests_per_child;
    if (worker->pid == 0 || ahead->closed)
        return false;
    if (worn || ahead->n == EMLFS_WORKER_AHEAD || raw.len > AHEAD_MESSAGE_MAX_BYTES ||
        room < request.len + message.len) {
        ahead->closed = true;
        return false;
    }
    int rc = emlfs_buf_reserve(&ahead->out, request.len + message.len);
    if (rc == 0)
        rc = emlfs_buf_append(&ahead->out, request.data, request.len);
    if (rc == 0)
        rc = emlfs_buf_append(&ahead->out, message.data, message.len);
    if (rc < 0) {
        ahead->closed = true;
        return false;
    }
    worker->served++;
    ahead->raw[ahead->n++] = raw;
    return true;
}

void worker_ahead_send(struct emlfs_worker *worker)
{
    if (ahead_send(worker) < 0)
        worker_stop(worker);
}
