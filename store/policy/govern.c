/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions about one message. This is the only file that issues verdicts.
 *
 *   V1  A verdict of deleting exists only where rights (or the job), store, holds, retention and
 *       both clocks allow it, all of one generation of the rules.
 *   V2  A hold is obeyed by everyone: owner, administrator, job.
 *   V3  A refusal by a hold and one by retention look the same to who asked.
 */
#include "emlfs/govern.h"

static int refused(struct emlfs_err *err, int r)
{
    switch (r) {
    case -ENOENT:
        return emlfs_err_set(err, ENOENT, "policy", "no such message");
    case -EACCES:
        return emlfs_err_set(err, EACCES, "policy", "the right to do this is missing");
    case -EROFS:
        return emlfs_err_set(err, EROFS, "policy", "nothing is changed here");
    case -EAGAIN:
        return emlfs_err_set(err, EAGAIN, "policy", "the message is not due");
    default:
        return emlfs_err_set(err, -r, "policy",
                             "the message is kept; emlfs message explain tells why");
    }
}

static bool has_passed(const struct emlfs_case *asked, int64_t date_sec)
{
    if (date_sec == EMLFS_TIME_ALWAYS)
        return true;
    if (date_sec == EMLFS_TIME_NEVER || !asked->clock)
        return false;
    return emlfs_compliance_sec(asked->clock) >= date_sec;
}

/* 0, -EPERM. */
static int kept(const struct emlfs_case *asked)
{
    return asked->held->held || !has_passed(asked, asked->retention->earliest_sec) ? -EPERM : 0;
}

static int delete_decide(const struct emlfs_case *asked)
{
    int r = emlfs_access(asked->subject, asked->object, EMLFS_CALL_UNLINK);
    return r < 0 ? r : kept(asked);
}

static int expire_decide(const struct emlfs_case *asked)
{
    const struct emlfs_access_object *object = asked->object;

    if (object->store >= EMLFS_STORE_DISABLED)
        return -ENOENT;
    if (object->read_only || object->store == EMLFS_STORE_WRITE_PROTECTED)
        return -EROFS;
    if (asked->held->held)
        return -EPERM;
    bool due = has_passed(asked, asked->retention->latest_sec) &&
               has_passed(asked, asked->retention->earliest_sec);
    return due ? 0 : -EAGAIN;
}

static int move_decide(const struct emlfs_case *asked, const struct emlfs_access_object *to)
{
    int r = emlfs_access_move(asked->subject, asked->object, to);
    if (r < 0)
        return r;
    if (to->archive.v != asked->object->archive.v)
        return kept(asked); /* it leaves its owner */
    return asked->held->held ? -EPERM : 0;
}

static uint32_t deciding_policy(const struct emlfs_case *asked, size_t index)
{
    return index < asked->policies->n ? asked->policies->v[index].id : 0;
}

static int issue(const struct emlfs_case *asked, enum emlfs_act act, uint32_t policy,
                 struct emlfs_verdict **ret)
{
    const struct emlfs_verdict_terms terms = {
        .act = act,
        .id = asked->id,
        .archive = asked->object->archive,
        .actor = asked->actor,
        .policy = policy,
        .decided_ns = asked->clock ? asked->clock->last.wall_ns : 0,
        .quota_bytes = act == EMLFS_ACT_MOVE ? asked->to_quota_bytes : 0,
        .generation = asked->generation,
    };
    return emlfs_verdict_issue(&terms, ret);
}

int emlfs_govern_delete(const struct emlfs_case *asked, struct emlfs_verdict **ret_verdict,
                        struct emlfs_err *err)
{
    uint32_t policy = deciding_policy(asked, asked->retention->earliest_policy);

    *ret_verdict = NULL;
    int r = delete_decide(asked);
    return r < 0 ? refused(err, r) : issue(asked, EMLFS_ACT_DELETE, policy, ret_verdict);
}

int emlfs_govern_expire(const struct emlfs_case *asked, struct emlfs_verdict **ret_verdict,
                        struct emlfs_err *err)
{
    uint32_t policy = deciding_policy(asked, asked->retention->latest_policy);

    *ret_verdict = NULL;
    int r = expire_decide(asked);
    return r < 0 ? refused(err, r) : issue(asked, EMLFS_ACT_DELETE, policy, ret_verdict);
}

int emlfs_govern_move(const struct emlfs_case *asked, const struct emlfs_access_object *to,
                      struct emlfs_verdict **ret_verdict, struct emlfs_err *err)
{
    *ret_verdict = NULL;
    int r = move_decide(asked, to);
    return r < 0 ? refused(err, r) : issue(asked, EMLFS_ACT_MOVE, 0, ret_verdict);
}

bool emlfs_govern_deletable(const struct emlfs_case *asked)
{
    return delete_decide(asked) == 0;
}

/* ---- why */

static const struct emlfs_policy *policy_at(const struct emlfs_case *asked, size_t index)
{
    return index < asked->policies->n ? &asked->policies->v[index] : NULL;
}

static int64_t floor_sec(int64_t ns)
{
    const int64_t second_ns = INT64_C(1000000000);
    return ns / second_ns - (ns % second_ns < 0);
}

static bool waits_for_clock(const struct emlfs_case *asked)
{
    int64_t date_sec = asked->retention->earliest_sec;

    if (!asked->clock || date_sec == EMLFS_TIME_NEVER || has_passed(asked, date_sec))
        return false;
    return floor_sec(asked->clock->last.wall_ns) >= date_sec ||
           floor_sec(asked->clock->now_ns) >= date_sec;
}

void emlfs_govern_explain(const struct emlfs_case *asked, struct emlfs_explanation *ret)
{
    const struct emlfs_held *held = asked->held;

    *ret = (struct emlfs_explanation){
        .refusal = -delete_decide(asked),
        .earliest_sec = asked->retention->earliest_sec,
        .latest_sec = asked->retention->latest_sec,
        .earliest_policy = policy_at(asked, asked->retention->earliest_policy),
        .latest_policy = policy_at(asked, asked->retention->latest_policy),
        .held = held->held,
        .holds = held->n,
        .waits_for_clock = waits_for_clock(asked),
        .has_clock = asked->clock != NULL,
    };
    ret->may_delete = ret->refusal == 0;
    for (size_t i = 0; i < held->n && i < EMLFS_HELD_NAMED_MAX; i++)
        ret->hold[i] = &asked->holds->v[held->first[i]];
    if (asked->clock)
        emlfs_compliance_report(asked->clock, &ret->clock);
}
