/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts from a worker.
 *
 * Invariants:
 *  1. What emlfs_worker_facts returns passed emlfs_facts_decode in this process.
 *  2. Each answer is sent as soon as it is there: the first message without one is the one the
 *     child is at, or died of. Those behind it are asked again of the next child.
 */
#include "emlfs/importer.h"
#include "facts.h"
#include "worker.h"

#define TIMEOUT_DEFAULT_MS 5000u
#define MEMORY_DEFAULT_BYTES (512ull << 20)

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

static int facts_append(struct emlfs_span bytes, struct emlfs_buf *ret_facts)
{
    struct emlfs_facts facts;
    return emlfs_facts_decode(bytes, &facts, NULL) < 0
               ? -EPROTO
               : emlfs_buf_append(ret_facts, bytes.data, bytes.len);
}

static int ahead_take(struct emlfs_worker *worker, struct emlfs_buf *ret_facts)
{
    struct emlfs_span bytes;
    int rc = worker_ahead_wait(worker, &bytes);
    if (rc == 0)
        rc = facts_append(bytes, ret_facts);
    if (rc == 0)
        worker_ahead_next(worker, bytes);
    return rc;
}

void emlfs_worker_ahead(struct emlfs_worker *worker, struct emlfs_span raw)
{
    struct emlfs_span seen;
    const struct worker_request request = request_of(raw, &seen);
    if (worker_ahead_put(worker, raw, emlfs_span_of(&request, sizeof request), seen))
        worker_ahead_send(worker);
}

/* Ask and check. -ENOMEM; any other error is what the message did to the child. */
static int facts_ask(struct emlfs_worker *worker, struct emlfs_span raw,
                     struct emlfs_buf *ret_facts)
{
    struct emlfs_span seen;
    const struct worker_request request = request_of(raw, &seen);
    int rc = worker_ask(worker, emlfs_span_of(&request, sizeof request), seen);
    return rc == 0 ? facts_append(worker_answer_bytes(worker), ret_facts) : rc;
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
    if (worker->ahead.n > 0 && !worker_ahead_is_first(worker, raw))
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
