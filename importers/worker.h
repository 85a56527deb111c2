/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_WORKER_H
#define EMLFS_IMPORTERS_WORKER_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/importer.h"
#include "text.h"

/*
 * Inside importers/: what parent and child of a worker agree on. Both run on one machine and from
 * one binary, so numbers are in its byte order.
 *
 *   child  -> parent, once:  struct worker_hello
 *   parent -> child:         struct worker_request, then seen_bytes bytes of the message
 *                            or struct worker_text_request, then bytes bytes of it
 *   child  -> parent:        struct worker_answer, then bytes bytes: facts or document text
 *
 * Requests may be sent before earlier ones are answered; answers come in their order. A child
 * serves one kind of request, told by its environment. That of a text worker keeps short answers
 * back while there are more requests, and has descriptor WORKER_PROGRESS_FD: a page that is shared
 * with the parent, where it says which request and part it is at.
 */
#define WORKER_ARGV0 "emlfs-worker"
#define WORKER_MEMORY_ENV "EMLFS_WORKER_MEMORY_MIB" /* RLIMIT_AS, 0: none */
#define WORKER_KIND_ENV "EMLFS_WORKER_KIND"         /* "text", else facts */
#define WORKER_MAGIC 0x656d6c77u
#define WORKER_LACKS 0x6c61636bu /* instead of it in a hello: a library is not installed */
#define WORKER_PROGRESS_FD 3
#define WORKER_PROGRESS_BYTES 4096u

struct worker_hello {
    uint32_t magic;
    uint32_t memory_mib; /* echo of the limit that was set, 0: none */
};
struct worker_request {
    uint64_t total_bytes; /* of the message */
    uint32_t seen_bytes;  /* of it that follow */
    uint32_t magic;
};
struct worker_text_request {
    uint32_t magic;
    uint32_t bytes;  /* of the message, that follow */
    uint32_t number; /* ascending, for the progress */
    struct text_wish wish;
};
/* The shared page. What it says is only believed as far as to whom to blame. */
struct worker_progress {
    uint32_t part; /* 0: none yet */
    uint32_t number;
};
struct worker_answer {
    uint32_t bytes; /* at most EMLFS_FACTS_MAX_BYTES or EMLFS_DOCTEXT_MAX_BYTES */
    uint32_t magic;
};

/* ---- the parent's side (worker.c) */
struct worker_kind {
    const char *name;
    bool shares_progress;
    unsigned timeout_ms; /* defaults */
    uint64_t memory_bytes;
    uint32_t answer_max_bytes;
    uint32_t requests_per_child; /* then a fresh one: memory does not creep, nothing lives on */
};
/* Messages that were given to a child before their answers were asked for: worker_ahead.c. */
#define WORKER_AHEAD_OUT_MAX_BYTES (256u << 10)
struct worker_ahead {
    struct emlfs_span raw[EMLFS_WORKER_AHEAD]; /* borrowed, in the order of sending */
    unsigned n;
    bool closed; /* one came that was not sent: so are those behind it */
    struct emlfs_buf out, in;
};
struct emlfs_worker {
    const struct worker_kind *kind;
    char *exe;
    unsigned timeout_ms;
    uint64_t memory_bytes;
    pid_t pid; /* 0: no child */
    int fd;    /* -1: no child */
    unsigned served;
    struct emlfs_buf answer;
    struct worker_ahead ahead;
    volatile struct worker_progress *progress; /* shared page, or NULL */
    int progress_fd;
    atomic_bool stopped; /* by another thread: no answer is wanted any more */
};
struct emlfs_worker_config;
int worker_make(const struct emlfs_worker_config *config, const struct worker_kind *kind,
                struct emlfs_worker **ret_worker, struct emlfs_err *err);
/* A child that is there and, as far as can be seen, alive. */
int worker_ready(struct emlfs_worker *worker, struct emlfs_err *err);
/*
 * One request. 0: worker_answer_bytes is what came back, unchecked. -ENOMEM is the parent's,
 * -ECANCELED that it was stopped; any other error is what the message did to the child, which is of
 * no use any more: worker_stop.
 */
int worker_ask(struct emlfs_worker *worker, struct emlfs_span request, struct emlfs_span message);
struct emlfs_span worker_answer_bytes(const struct emlfs_worker *worker);
void worker_stop(struct emlfs_worker *worker);

/* ---- ahead of the question (worker_ahead.c) */
void worker_ahead_init(struct emlfs_worker *worker);
void worker_ahead_free(struct emlfs_worker *worker);
/* What was put is of no interest any more. */
void worker_ahead_forget(struct emlfs_worker *worker);
/*
 * To be sent: a request with the bytes of raw that go with it. False when it is not taken, and
 * must be asked alone, of another child if this one has served long enough. raw is borrowed until
 * its answer was taken, or all is forgotten.
 */
bool worker_ahead_put(struct emlfs_worker *worker, struct emlfs_span raw, struct emlfs_span request,
                      struct emlfs_span message);
/* Send as much of it as can be sent now. A child that takes nothing any more is stopped. */
void worker_ahead_send(struct emlfs_worker *worker);
bool worker_ahead_is_first(const struct emlfs_worker *worker, struct emlfs_span raw);
/*
 * Send the rest and wait for the answer to the first that was put: unchecked, borrowed until
 * worker_ahead_next, which takes it off. Errors as of worker_ask.
 */
int worker_ahead_wait(struct emlfs_worker *worker, struct emlfs_span *ret_bytes);
void worker_ahead_next(struct emlfs_worker *worker, struct emlfs_span answer);

/* Waiting for a child, at most until the deadline. */
struct worker_wait {
    int fd;
    int64_t deadline_ns;
    const atomic_bool *stopped;
};
struct worker_wait worker_wait_of(const struct emlfs_worker *worker, unsigned ms);
/* Poll for events; what came, 0 for nothing yet. -ETIMEDOUT, -ECANCELED, -EIO... */
int worker_wait(const struct worker_wait *wait, short events, short *ret_events);

/* ---- the child's side */
/* Load whatever parsing may need from files later: charset converters, GMime. -ELIBACC. */
int worker_preload(void);
/* The same for text: what reads XML, zip and PDF; only the last may be missing. -ELIBACC. */
int worker_preload_text(struct text_charsets *charsets);
/* Answer text requests until the input ends. */
int worker_serve_text(struct text_charsets *charsets, volatile struct worker_progress *progress);
/*
 * Give up every right that parsing does not need, for good: no files, no network, no processes, no
 * new memory over memory_bytes (0: unlimited). 0, or -errno when the process is not confined; a
 * kernel without Landlock is tolerated, one without seccomp is not.
 */
int worker_confine(uint64_t memory_bytes);

#endif
