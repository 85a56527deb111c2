/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_JOBS_H
#define EMLFS_COMMAND_JOBS_H

#include "emlfs/base/buf.h"

/* Jobs that run once a day: when, and what is kept of them. */

#define JOBS_MINUTE_DEFAULT (3u * 60u + 30u) /* 03:30 */

struct jobs_state {
    unsigned minute; /* of the day, in the archive's zone */
    int64_t last_ns; /* 0: it never ran */
};
/* -EUCLEAN, -EPROTONOSUPPORT. */
int jobs_state_decode(struct emlfs_span value, struct jobs_state *ret);
/* Append. -ENOMEM. */
int jobs_state_encode(const struct jobs_state *state, struct emlfs_buf *out);

/* The last time, not after now_sec, at which zone's clocks showed that minute of the day. */
int64_t jobs_due_sec(const char *zone, int64_t now_sec, unsigned minute);

struct jobs_totals {
    uint64_t due, deleted, held, write_protected;
    uint64_t waiting; /* not due on both clocks, or the rules changed */
    uint64_t failed;  /* for a reason of their own */
    uint64_t gone;    /* deleted or moved by somebody else meanwhile */
};

#endif
