/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts from a worker. Messages may be handed to the child ahead of the question for their facts,
 * so that it has something to do while this process does other work, and neither sleeps for the
 * other once a message.
 *
 * Invariants:
 *  1. What emlfs_worker_facts returns passed emlfs_facts_decode in this process.
 *  2. Answers come in the order of what was sent: the first message without one is the one the
 *     child is at, or died of. Those behind it are asked again of the next child.
 *  3. Messages are sent ahead in one row: behind one that was not, none is, until all are answered
 *     and the next is asked for.
 */
#include <poll.h>
#include <sys/socket.h>

#include "emlfs/importer.h"
#include "facts.h"
#include "worker.h"

#define TIMEOUT_DEFAULT_MS 5000u
#define MEMORY_DEFAULT_BYTES (512ull << 20)
#define AHEAD_MESSAGE_MAX_BYTES (64u << 10) /* a longer one does not wait behind others */
#define AHEAD_READ_BYTES (32u << 10)

static const struct worker_kind facts_kind = {.name = "facts",
                                              .timeout_ms = TIMEOUT_DEFAULT_MS,
                                              .memory_bytes = MEMORY_DEFAULT_BYTES,
                                              .answer_max_bytes = EMLFS_FACTS_MAX_BYTES,
                                              .requests_per_child = 100000};

static struct worker_request request_of(struct emlfs_span raw, struct emlfs_span *ret_seen)
{
    size_t seen = raw.len < FACTS_SEEN_MAX_BYTES ? raw.len : FACTS_SEEN_MAX_BYTES;
    *ret_seen = emlfs_span_of(raw.data, seen);
    return (struct worker_request){
        .total_bytes = raw.len, .seen_bytes = (uint32_t)seen, .magic = WORKER_MAGIC};
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
static int ahead_answer(const struct emlfs_worker *worker, struct emlfs_span *ret_facts)
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
    *ret_facts = emlfs_span_of(in->data + sizeof answer, answer.bytes);
    return 1;
}

/* Sends the rest of what is on its way and receives, until the first answer is there. */
static int ahead_wait(struct emlfs_worker *worker, struct emlfs_span *ret_facts)
{
    const struct worker_wait wait = worker_wait_of(worker, worker->timeout_ms);
    int rc;
    while ((rc = ahead_answer(worker, ret_facts)) == 0) {
        bool sending = worker->ahead.out.len > 0;
        short events = 0;
        rc = worker_wait(&wait, (short)(sending ? POLLIN | POLLOUT : POLLIN), &events);
        if (rc == 0 && sending && (events & POLLOUT))
            rc = ahead_send(worker);
        if (rc == 0 && (events & (POLLIN | POLLERR | POLLHUP)))
            rc = ahead_receive(worker);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? rc : 0;
}

static bool is_first_ahead(const struct emlfs_worker *worker, struct emlfs_span raw)
{
    const struct emlfs_span *first = &worker->ahead.raw[0];
    return worker->ahead.n > 0 && first->data == raw.data && first->len == raw.len;
}

static int ahead_take(struct emlfs_worker *worker, struct emlfs_buf *ret_facts)
{
    struct emlfs_span bytes = {0};
    struct emlfs_facts facts;
    int rc = ahead_wait(worker, &bytes);
    if (rc == 0 && emlfs_facts_decode(bytes, &facts, NULL) < 0)
        rc = -EPROTO;
    if (rc == 0)
        rc = emlfs_buf_append(ret_facts, bytes.data, bytes.len);
    if (rc < 0)
        return rc;
    buf_drop_first(&worker->ahead.in, sizeof(struct worker_answer) + bytes.len);
    worker->ahead.n--;
    memmove(worker->ahead.raw, worker->ahead.raw + 1,
            worker->ahead.n * sizeof worker->ahead.raw[0]);
    return 0;
}

void emlfs_worker_ahead(struct emlfs_worker *worker, struct emlfs_span raw)
{
    struct worker_ahead *ahead = &worker->ahead;
    struct emlfs_span seen;
    const struct worker_request request = request_of(raw, &seen);
    size_t room = WORKER_AHEAD_OUT_MAX_BYTES - ahead->out.len;
    if (worker->pid == 0 || ahead->closed)
        return;
    if (ahead->n == EMLFS_WORKER_AHEAD || raw.len > AHEAD_MESSAGE_MAX_BYTES ||
        room < sizeof request + seen.len) {
        ahead->closed = true;
        return;
    }
    int rc = emlfs_buf_append(&ahead->out, &request, sizeof request);
    if (rc == 0)
        rc = emlfs_buf_append(&ahead->out, seen.data, seen.len);
    if (rc == 0)
        rc = ahead_send(worker);
    if (rc < 0) {
        worker_stop(worker);
        return;
    }
    worker->served++;
    ahead->raw[ahead->n++] = raw;
}

/* Ask and check. -ENOMEM; any other error is what the message did to the child. */
static int facts_ask(struct emlfs_worker *worker, struct emlfs_span raw,
                     struct emlfs_buf *ret_facts)
{
    struct emlfs_span seen;
    const struct worker_request request = request_of(raw, &seen);
    struct emlfs_facts facts;
    int rc = worker_ask(worker, emlfs_span_of(&request, sizeof request), seen);
    if (rc == 0 && emlfs_facts_decode(worker_answer_bytes(worker), &facts, NULL) < 0)
        rc = -EPROTO;
    return rc < 0 ? rc
                  : emlfs_buf_append(ret_facts, worker_answer_bytes(worker).data,
                                     worker_answer_bytes(worker).len);
}

static const char *failure_reason(int rc)
{
    if (rc == -ETIMEDOUT)
        return "the parser took too long";
    return rc == -EPROTO ? "the parser gave an impossible answer" : "the parser crashed";
}

int emlfs_worker_facts(struct emlfs_worker *worker, struct emlfs_span raw,
                       struct emlfs_buf *ret_facts, struct emlfs_err *err)
{
    int rc;
    if (worker->ahead.n > 0 && !is_first_ahead(worker, raw))
        worker_stop(worker); /* its answers are not wanted in this order */
    rc = worker_ready(worker, err);
    if (rc < 0)
        return rc;
    if (worker->ahead.n > 0) {
        rc = ahead_take(worker, ret_facts);
    } else {
        worker->ahead.closed = false;
        rc = facts_ask(worker, raw, ret_facts);
    }
    if (rc < 0)
        worker_stop(worker);
    if (rc < 0 && rc != -ENOMEM)
        rc = facts_unparsed(failure_reason(rc), ret_facts);
    return rc < 0 ? emlfs_err_sys(err, -rc, "worker", "no room for facts") : 0;
}

int emlfs_worker_new(const struct emlfs_worker_config *config, struct emlfs_worker **ret_worker,
                     struct emlfs_err *err)
{
    return worker_make(config, &facts_kind, ret_worker, err);
}
