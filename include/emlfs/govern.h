/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_GOVERN_H
#define EMLFS_GOVERN_H

#include "emlfs/access.h"
#include "emlfs/base/verdict.h"
#include "emlfs/compliance.h"
#include "emlfs/hold.h"
#include "emlfs/retention.h"

/*
 * Governing: rights, store state, holds, retention and clock brought together into one answer about
 * one message, and the verdict without which store/archive neither deletes nor moves. Pure but for
 * the memory of the verdict. Any thread.
 */

/* Everything the answer depends on; all borrowed. */
struct emlfs_case {
    struct emlfs_msg_id id;
    uid_t actor;
    uint64_t generation; /* of the rules, read before everything else here (base/verdict.h) */
    const struct emlfs_access_subject *subject;
    const struct emlfs_access_object *object; /* the message in its user archive */
    const struct emlfs_policy_set *policies;
    const struct emlfs_retention *retention; /* emlfs_retention_of(policies, ...) */
    const struct emlfs_hold_set *holds;
    const struct emlfs_held *held;        /* emlfs_hold_of(holds, ...) */
    const struct emlfs_compliance *clock; /* NULL: not known, then no date has passed */
    uint64_t to_quota_bytes; /* of the user archive that it is to be moved to; 0: any */
};

/*
 * May subject delete the message now? As emlfs_access for EMLFS_CALL_UNLINK, then EPERM: held, or
 * the earliest date has not passed on both clocks. err says little, so that a hold is not told from
 * a retention: emlfs_govern_explain tells those who may know. *ret_verdict is to be freed.
 */
int emlfs_govern_delete(const struct emlfs_case *asked, struct emlfs_verdict **ret_verdict,
                        struct emlfs_err *err);
/*
 * May the job that processes policies delete it? No right is asked (subject may be NULL). EROFS:
 * the store takes no changes; ENOENT: it is away; EPERM: held; EAGAIN: not due yet (the latest date
 * has not passed on both clocks, or there is none).
 */
int emlfs_govern_expire(const struct emlfs_case *asked, struct emlfs_verdict **ret_verdict,
                        struct emlfs_err *err);
/*
 * Into folder to: as emlfs_access_move, then EPERM: held. Another user archive: as deleting, too,
 * and the verdict says its quota, which whoever moves the message keeps.
 */
int emlfs_govern_move(const struct emlfs_case *asked, const struct emlfs_access_object *to,
                      struct emlfs_verdict **ret_verdict, struct emlfs_err *err);
/*
 * May the mount show the message as deletable (0640 instead of 0440)? Exactly if
 * emlfs_govern_delete would say yes.
 */
bool emlfs_govern_deletable(const struct emlfs_case *asked);

/* ---- why */

struct emlfs_explanation {
    bool may_delete;
    int refusal;          /* positive errno of deleting now, 0: none */
    int64_t earliest_sec; /* EMLFS_TIME_ALWAYS, EMLFS_TIME_NEVER as in retention.h */
    int64_t latest_sec;
    const struct emlfs_policy *earliest_policy, *latest_policy; /* NULL: none */
    bool held;
    size_t holds;                                        /* in force over it */
    const struct emlfs_hold *hold[EMLFS_HELD_NAMED_MAX]; /* the first of them */
    bool waits_for_clock; /* the date has passed on one clock, and not on the other */
    struct emlfs_compliance_report clock;
    bool has_clock;
};
/*
 * The same answer with its reasons. Pointers borrow from asked. It names policies and holds: the
 * caller shows it to those who may know (EMLFS_CALL_COMMAND on the message).
 */
void emlfs_govern_explain(const struct emlfs_case *asked, struct emlfs_explanation *ret);
/*
 * In words: a few sentences, each on a line of its own, appended to out. Dates as YYYY-MM-DD
 * HH:MM:SS UTC. -E2BIG, -ENOMEM.
 */
int emlfs_govern_words(const struct emlfs_explanation *explanation, struct emlfs_buf *out);
#define EMLFS_TIME_TEXT_MAX 32
/* "2031-03-01 09:13:00 UTC", "at once", "never". */
void emlfs_time_text(int64_t sec, char ret_text[EMLFS_TIME_TEXT_MAX]);

#endif
