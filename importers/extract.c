/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parent of the text worker: what to do when a message breaks it.
 *
 * Invariants:
 *  1. What is returned passed emlfs_doctext_check in this process.
 *  2. A message costs at most TRIES_MAX children, and one more when others were asked about with
 *     it. The part at which one broke is left out of the next attempt; after that only header and
 *     plain text are read; after that nothing is.
 *  3. Of messages that were sent ahead only the one that the child was at when it broke loses
 *     anything: the others without an answer are asked about again, alone.
 */
#include "emlfs/extract.h"

#include <stdlib.h>

#include "worker.h"

#define OMITTED_MAX 3u
#define TRIES_MAX 6u
#define SEND_BYTES (32u << 10) /* put ahead: then they go, whether they are asked about or not */
#define OWN_TIME_PERCENT 60u   /* of the time, after which the child ends a part by itself */

static const struct worker_kind text_kind = {.name = "text",
                                             .shares_progress = true,
                                             .timeout_ms = TEXT_TIME_DEFAULT_MS,
                                             .memory_bytes = TEXT_MEMORY_DEFAULT_BYTES,
                                             .answer_max_bytes = EMLFS_DOCTEXT_MAX_BYTES,
                                             .requests_per_child = 20000};

static struct worker_text_request request_of(struct emlfs_worker *worker, struct emlfs_span raw)
{
    struct worker_text_request request;
    memset(&request, 0, sizeof request); /* padding, too, goes through the socket */
    request.magic = WORKER_MAGIC;
    request.bytes = (uint32_t)raw.len;
    request.number = worker->served; /* ascends in a child */
    return request;
}

/* 0: bytes are a document. */
static int answer_check(struct emlfs_span bytes)
{
    enum emlfs_priority priority;
    bool attachment;
    return emlfs_doctext_check(bytes, &priority, &attachment, NULL) < 0 ? -EPROTO : 0;
}

/* 0: the answer is there and is a document. Else what the message did, or -ENOMEM. */
static int attempt(struct emlfs_worker *worker, const struct text_wish *wish, struct emlfs_span raw)
{
    struct worker_text_request request = request_of(worker, raw);
    request.wish = *wish;
    worker->progress->part = 0;
    int rc = worker_ask(worker, emlfs_span_of(&request, sizeof request), raw);
    return rc == 0 ? answer_check(worker_answer_bytes(worker)) : rc;
}

static bool is_omitted(const struct text_wish *wish, uint32_t part)
{
    for (uint32_t i = 0; i < wish->omit_count; i++) {
        if (wish->omit[i].part == part)
            return true;
    }
    return false;
}

/* Ask for less than what broke the worker at part. False when there is nothing less. */
static bool wish_less(struct text_wish *wish, uint32_t part, int rc)
{
    bool known = part > 0 && !is_omitted(wish, part);
    if (wish->plain_only && (!known || wish->omit_count == TEXT_OMIT_MAX))
        return false;
    if (known && wish->omit_count < (wish->plain_only ? TEXT_OMIT_MAX : OMITTED_MAX))
        wish->omit[wish->omit_count++] =
            (struct text_omit){.part = part, .timed_out = rc == -ETIMEDOUT};
    else
        wish->plain_only = true;
    return true;
}

static int unreadable(int rc, struct emlfs_buf *ret_doctext)
{
    const char *reason = rc == -ETIMEDOUT ? TEXT_BAD_TIME : TEXT_BAD_CRASH;
    rc = emlfs_doctext_begin(ret_doctext, EMLFS_PRIORITY_NORMAL, false);
    return rc == 0 ? emlfs_doctext_problem(ret_doctext, "message", reason) : rc;
}

static int answer_take(struct emlfs_span doc, const struct text_wish *wish, bool cut,
                       struct emlfs_buf *ret_doctext)
{
    int rc = emlfs_buf_append(ret_doctext, doc.data, doc.len);
    if (rc == 0 && wish->plain_only)
        rc = emlfs_doctext_problem(ret_doctext, "message", "only header and plain text were read");
    if (rc == 0 && cut)
        rc = emlfs_doctext_problem(ret_doctext, "message", TEXT_BAD_SIZE);
    return rc == -E2BIG ? 0 : rc;
}

/* One message being asked about. */
struct question {
    struct emlfs_worker *worker;
    struct emlfs_span raw;
    struct text_wish wish;
    unsigned tries;
};

static struct text_wish wish_of(const struct emlfs_worker *worker, unsigned kinds)
{
    return (struct text_wish){.kinds = kinds,
                              .time_ms = worker->timeout_ms / 100 * OWN_TIME_PERCENT};
}

/*
 * The answer to a message that was sent ahead: 0, -ECANCELED, -ENOMEM. -EAGAIN: it must be asked
 * alone, with what it did to the child, if that was its doing, already held against it.
 */
static int ahead_take(struct question *question, struct emlfs_buf *ret_doctext)
{
    struct emlfs_worker *worker = question->worker;
    const uint32_t number = worker->served - worker->ahead.n;
    struct emlfs_span doc = {0};
    int rc =
        worker_ahead_is_first(worker, question->raw) ? worker_ahead_wait(worker, &doc) : -EAGAIN;
    bool answered = rc == 0, blamed;
    uint32_t part;
    if (rc == 0)
        rc = answer_check(doc);
    if (rc == 0)
        rc = emlfs_buf_append(ret_doctext, doc.data, doc.len);
    if (rc == 0) {
        worker_ahead_next(worker, doc);
        return 0;
    }
    /* Once it has answered, the child is at another message. */
    part = answered ? 0 : worker->progress->part;
    blamed = answered || worker->progress->number == number;
    worker_stop(worker);
    if (rc == -ECANCELED || rc == -ENOMEM)
        return rc;
    if (rc != -EAGAIN && blamed) {
        question->tries++;
        (void)wish_less(&question->wish, part, rc);
    }
    return -EAGAIN;
}

/* 0, -ECANCELED, -ENOMEM, or what the message did to the last child. */
static int ask_alone(struct question *question, struct emlfs_err *err, bool *ret_no_child)
{
    struct emlfs_worker *worker = question->worker;
    int rc = -EPIPE;
    for (; question->tries < TRIES_MAX; question->tries++) {
        if (atomic_load(&worker->stopped))
            return -ECANCELED;
        rc = worker_ready(worker, err);
        *ret_no_child = rc < 0;
        if (rc < 0)
            return rc;
        worker->ahead.closed = false;
        rc = attempt(worker, &question->wish, question->raw);
        if (rc == 0)
            break;
        uint32_t part = worker->progress->part;
        worker_stop(worker);
        if (rc == -ENOMEM || rc == -ECANCELED || !wish_less(&question->wish, part, rc))
            break;
    }
    return rc;
}

static int extractor_extract(void *arg, struct emlfs_span raw, unsigned kinds,
                             struct emlfs_buf *ret_doctext, struct emlfs_err *err)
{
    struct emlfs_worker *worker = arg;
    struct question question = {.worker = worker, .raw = raw, .wish = wish_of(worker, kinds)};
    bool cut = raw.len > EMLFS_MESSAGE_MAX_BYTES;
    bool no_child = false;
    int rc = atomic_load(&worker->stopped) ? -ECANCELED : -EAGAIN;
    if (cut)
        question.raw.len = EMLFS_MESSAGE_MAX_BYTES;
    if (rc == -EAGAIN && worker->ahead.n > 0) {
        rc = ahead_take(&question, ret_doctext);
        if (rc == 0)
            return 0;
    }
    if (rc == -EAGAIN)
        rc = ask_alone(&question, err, &no_child);
    if (no_child)
        return rc;
    if (rc == 0)
        rc = answer_take(worker_answer_bytes(worker), &question.wish, cut, ret_doctext);
    else if (rc == -ECANCELED)
        return emlfs_err_set(err, ECANCELED, "extract", "cancelled");
    else if (rc != -ENOMEM)
        rc = unreadable(rc, ret_doctext);
    return rc < 0 ? emlfs_err_sys(err, -rc, "extract", "no room for text") : 0;
}

static void extractor_ahead(void *arg, struct emlfs_span raw, unsigned kinds)
{
    struct emlfs_worker *worker = arg;
    struct worker_text_request request = request_of(worker, raw);
    request.wish = wish_of(worker, kinds);
    if (worker->ahead.n == 0) {
        worker->progress->part = 0;
        worker->progress->number = UINT32_MAX;
    }
    if (worker_ahead_put(worker, raw, emlfs_span_of(&request, sizeof request), raw) &&
        worker->ahead.out.len >= SEND_BYTES)
        worker_ahead_send(worker);
}

static void extractor_stop(void *arg)
{
    struct emlfs_worker *worker = arg;
    atomic_store(&worker->stopped, true);
}

static void extractor_free(void *arg)
{
    emlfs_worker_free(arg);
}

int emlfs_extractor_new(const struct emlfs_extractor_config *config, struct emlfs_extractor *ret,
                        struct emlfs_err *err)
{
    const struct emlfs_worker_config worker_config = {
        .exe = config->exe, .timeout_ms = config->timeout_ms, .memory_bytes = config->memory_bytes};
    struct emlfs_worker *worker;
    *ret = (struct emlfs_extractor){0};
    int rc = worker_make(&worker_config, &text_kind, &worker, err);
    if (rc < 0)
        return rc;
    *ret = (struct emlfs_extractor){.arg = worker,
                                    .extract = extractor_extract,
                                    .ahead = extractor_ahead,
                                    .free = extractor_free,
                                    .stop = extractor_stop};
    return 0;
}
