/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parent of the text worker: what to do when a message breaks it.
 *
 * Invariants:
 *  1. What is returned passed emlfs_doctext_check in this process.
 *  2. A message costs at most TRIES_MAX children. The part at which one broke is left out of the
 *     next attempt; after that only header and plain text are read; after that nothing is.
 */
#include "emlfs/extract.h"

#include <stdlib.h>

#include "worker.h"

#define OMITTED_MAX 3u
#define TRIES_MAX 6u
#define OWN_TIME_PERCENT 60u /* of the time, after which the child ends a part by itself */

static const struct worker_kind text_kind = {.name = "text",
                                             .shares_progress = true,
                                             .timeout_ms = TEXT_TIME_DEFAULT_MS,
                                             .memory_bytes = TEXT_MEMORY_DEFAULT_BYTES,
                                             .answer_max_bytes = EMLFS_DOCTEXT_MAX_BYTES,
                                             .requests_per_child = 20000};

/* 0: the answer is there and is a document. Else what the message did, or -ENOMEM. */
static int attempt(struct emlfs_worker *worker, const struct text_wish *wish, struct emlfs_span raw)
{
    struct worker_text_request request;
    enum emlfs_priority priority;
    bool attachment;
    memset(&request, 0, sizeof request); /* padding, too, goes through the socket */
    request.magic = WORKER_MAGIC;
    request.bytes = (uint32_t)raw.len;
    request.wish = *wish;
    *worker->progress = 0;
    int rc = worker_ask(worker, emlfs_span_of(&request, sizeof request), raw);
    if (rc == 0 &&
        emlfs_doctext_check(worker_answer_bytes(worker), &priority, &attachment, NULL) < 0)
        rc = -EPROTO;
    return rc;
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

static int answer_take(struct emlfs_worker *worker, const struct text_wish *wish, bool cut,
                       struct emlfs_buf *ret_doctext)
{
    struct emlfs_span doc = worker_answer_bytes(worker);
    int rc = emlfs_buf_append(ret_doctext, doc.data, doc.len);
    if (rc == 0 && wish->plain_only)
        rc = emlfs_doctext_problem(ret_doctext, "message", "only header and plain text were read");
    if (rc == 0 && cut)
        rc = emlfs_doctext_problem(ret_doctext, "message", TEXT_BAD_SIZE);
    return rc == -E2BIG ? 0 : rc;
}

static int extractor_extract(void *arg, struct emlfs_span raw, unsigned kinds,
                             struct emlfs_buf *ret_doctext, struct emlfs_err *err)
{
    struct emlfs_worker *worker = arg;
    struct text_wish wish = {.kinds = kinds,
                             .time_ms = worker->timeout_ms / 100 * OWN_TIME_PERCENT};
    bool cut = raw.len > EMLFS_MESSAGE_MAX_BYTES;
    int rc = -EPIPE;
    if (cut)
        raw.len = EMLFS_MESSAGE_MAX_BYTES;
    for (unsigned tries = 0; tries < TRIES_MAX; tries++) {
        if (atomic_load(&worker->stopped)) {
            rc = -ECANCELED;
            break;
        }
        int started = worker_ready(worker, err);
        if (started < 0)
            return started;
        rc = attempt(worker, &wish, raw);
        if (rc == 0)
            break;
        uint32_t part = *worker->progress;
        worker_stop(worker);
        if (rc == -ENOMEM || rc == -ECANCELED || !wish_less(&wish, part, rc))
            break;
    }
    if (rc == 0)
        rc = answer_take(worker, &wish, cut, ret_doctext);
    else if (rc == -ECANCELED)
        return emlfs_err_set(err, ECANCELED, "extract", "cancelled");
    else if (rc != -ENOMEM)
        rc = unreadable(rc, ret_doctext);
    return rc < 0 ? emlfs_err_sys(err, -rc, "extract", "no room for text") : 0;
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
                                    .free = extractor_free,
                                    .stop = extractor_stop};
    return 0;
}
