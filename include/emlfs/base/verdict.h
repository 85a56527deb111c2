/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_VERDICT_H
#define EMLFS_BASE_VERDICT_H

#include <sys/types.h>

#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"

/*
 * A verdict is the permission to do one thing to one message once. store/policy gives it
 * (emlfs_govern_...), store/archive demands it and uses it up; nobody else makes one. This is the
 * vocabulary between the two, for neither may include the other's decisions: that
 * emlfs_verdict_issue is called in store/policy only is a gate.
 */
enum emlfs_act {
    EMLFS_ACT_DELETE = 1, /* take the entries of the message out of a user archive */
    EMLFS_ACT_MOVE = 2,   /* file it in another folder */
};

struct emlfs_verdict_terms {
    enum emlfs_act act;
    struct emlfs_msg_id id;
    struct emlfs_user_id archive; /* the user archive it is done in */
    uid_t actor;                  /* who asked; for the tombstone */
    uint32_t policy;              /* retention policy that fixed the date; 0: none did */
    int64_t decided_ns;           /* by the system clock */
    uint64_t quota_bytes; /* of the user archive it is moved to, if that is another; 0: any */
    /* Counts the changes of policies, holds, rights and store states the decision rested on. */
    uint64_t generation;
};

struct emlfs_verdict;
/* Only store/policy calls this. To be given to _use and _free. -ENOMEM. */
int emlfs_verdict_issue(const struct emlfs_verdict_terms *terms, struct emlfs_verdict **ret);
/* Borrowed; for what is recorded. */
const struct emlfs_verdict_terms *emlfs_verdict_terms(const struct emlfs_verdict *verdict);
/*
 * Use verdict up for asked: act, id, archive and generation must be its own (the others are not
 * looked at). Called under the lock that also orders changes of the rules, so nothing changes
 * between decision and deed. EPERM: no verdict (NULL), used before, or for something else; EAGAIN:
 * the rules changed since, ask again. Threads may race for one verdict: one gets 0.
 */
int emlfs_verdict_use(struct emlfs_verdict *verdict, const struct emlfs_verdict_terms *asked,
                      struct emlfs_err *err);
void emlfs_verdict_free(struct emlfs_verdict *verdict); /* NULL is fine */

#endif
