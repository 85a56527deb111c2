/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_EXTRACTING_H
#define EMLFS_INDEX_EXTRACTING_H

#include "engine.h"

/* ---- extracting.c: threads that turn messages into text, results in the order asked for */

struct job {
    struct emlfs_change change; /* it is part of; _MESSAGES: text is wanted unless old is set */
    uint32_t doc;
    bool old;  /* its text is indexed already */
    bool last; /* of its change: what the change says is consumed with it */
    /* the result: */
    struct doc_attr attr;
    struct emlfs_buf text;     /* checked doctext */
    struct emlfs_buf envelope; /* as the segment keeps it, empty: not known */
    unsigned problems;
    int rc; /* 0, or out of memory, no worker: try again later */
    struct emlfs_err err;
};
#define JOBS_MAX 256u

int extracting_start(struct emlfs_index *index, struct extracting **ret, struct emlfs_err *err);
void extracting_stop(struct extracting *extracting);
void extracting_set_kinds(struct extracting *extracting, unsigned kinds);
/* False when the queue is full. The job's text is not yet there. */
bool extracting_put(struct extracting *extracting, const struct job *job);
bool extracting_idle(struct extracting *extracting); /* nothing queued */
/* The oldest job, done; waits at most wait_ms. NULL: none is done. */
struct job *extracting_head(struct extracting *extracting, unsigned wait_ms);
void extracting_pop(struct extracting *extracting);
/* Nothing more is wanted, ever: jobs under way end soon, somehow. */
void extracting_halt(struct extracting *extracting);
/* Forget all jobs; waits for those under way. */
void extracting_clear(struct extracting *extracting);

/* A document without text but for a problem. */
int bare_text(struct emlfs_buf *text, const char *reason);

#endif
