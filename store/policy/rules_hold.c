/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Placing, extending and releasing holds. */
#include <string.h>

#include "emlfs/query.h"
#include "hold_internal.h"
#include "policy_internal.h"
#include "rules_internal.h"

static void text_set(char *ret, size_t size, const char *text)
{
    memset(ret, 0, size);
    memcpy(ret, text, strnlen(text, size - 1));
}

/* A hold whose query moves with the calendar would let go of mail by itself. */
static int term_check(const struct emlfs_query_term *term, struct emlfs_err *err)
{
    if (rules_day_is_relative(&term->from_day) || rules_day_is_relative(&term->to_day))
        return emlfs_err_set(err, EINVAL, "policy",
                             "the query of a hold has no dates that move with the calendar");
    return 0;
}

static int hold_commit(struct rules_job *job, const struct emlfs_hold *hold,
                       enum emlfs_ledger_kind kind, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_HOLD_ROW_MAX_BYTES);
    uint8_t key[4];

    int r = emlfs_hold_encode(hold, &value);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot write hold %s", hold->name);
    const struct emlfs_master_row row = {EMLFS_MASTER_HOLD, rules_key_u32(hold->id, key),
                                         emlfs_buf_view(&value)};
    const struct rules_act act = {.kind = kind,
                                  .object = hold->id,
                                  .name = hold->name,
                                  .detail = job->by->reason,
                                  .rows = &row,
                                  .n = 1};
    return rules_job_commit(job, &act, err);
}

/* ---- placing */

static int place_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct emlfs_hold *wanted = job->what;
    const struct rules_snapshot *now = job->now;
    const struct emlfs_hold_set others = rules_hold_set(now);
    struct emlfs_hold hold = {.scope = wanted->scope};

    if (now->holds_n >= EMLFS_HOLDS_MAX ||
        (now->holds_n && now->holds[now->holds_n - 1].id == UINT32_MAX))
        return emlfs_err_set(err, E2BIG, "policy", "an archive has at most %u holds",
                             EMLFS_HOLDS_MAX);
    hold.id = now->holds_n ? now->holds[now->holds_n - 1].id + 1 : 1;
    hold.placed_ns = emlfs_archive_now_ns(job->rules->options.archive);
    text_set(hold.name, sizeof(hold.name), wanted->name);
    text_set(hold.query, sizeof(hold.query), wanted->query);
    rules_by_name(job->by, hold.placed_by);
    text_set(hold.reason, sizeof(hold.reason), job->by->reason ? job->by->reason : "");
    int r = emlfs_hold_change_check(NULL, &hold, &others, err);
    if (r == 0)
        r = hold_commit(job, &hold, EMLFS_LEDGER_HOLD_MADE, err);
    if (r == 0)
        *(struct emlfs_hold *)job->ret = hold;
    return r;
}

int emlfs_rules_hold_place(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_hold *hold, struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = hold, .ret = hold};
    bool texts = emlfs_row_text_ok(hold->name, sizeof(hold->name), false) &&
                 emlfs_row_text_ok(hold->query, sizeof(hold->query), true);

    if (!texts || strchr(hold->name, '/'))
        return emlfs_err_set(err, EINVAL, "policy",
                             "the name or query of the hold is no such text");
    int r = rules_reason_check(by, false, err);
    if (r == 0 && hold->scope == EMLFS_HOLD_QUERY)
        r = rules_query_check(hold->query, term_check, err);
    return r < 0 ? r : rules_job_run(&job, place_once, err);
}

static const struct emlfs_hold *in_force(const struct rules_snapshot *now, uint32_t id)
{
    for (size_t i = 0; i < now->holds_n; i++)
        if (now->holds[i].id == id && !now->holds[i].released)
            return &now->holds[i];
    return NULL;
}

static int no_such_hold(uint32_t id, struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOENT, "policy", "no hold %u in force", id);
}

/* ---- naming messages */

struct naming {
    uint32_t hold;
    struct emlfs_msg_id id;
};

static int naming_commit(struct rules_job *job, const struct emlfs_hold *hold,
                         const struct naming *naming, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(EMLFS_HOLD_MESSAGE_ROW_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_HOLD_MESSAGE_ROW_MAX_BYTES);
    struct emlfs_hold_message message = {.hold = naming->hold,
                                         .id = naming->id,
                                         .added_ns =
                                             emlfs_archive_now_ns(job->rules->options.archive)};

    rules_by_name(job->by, message.added_by);
    int r = emlfs_hold_message_encode(&message, &key, &value);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot add to hold %s", hold->name);
    const struct emlfs_master_row row = {EMLFS_MASTER_HOLD_MESSAGE, emlfs_buf_view(&key),
                                         emlfs_buf_view(&value)};
    const struct rules_act act = {.kind = EMLFS_LEDGER_HOLD_CHANGED,
                                  .object = hold->id,
                                  .message = naming->id,
                                  .name = hold->name,
                                  .detail = job->by->reason,
                                  .rows = &row,
                                  .n = 1};
    return rules_job_commit(job, &act, err);
}

static int name_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct naming *naming = job->what;
    const struct emlfs_hold *hold = in_force(job->now, naming->hold);

    if (!hold)
        return no_such_hold(naming->hold, err);
    if (hold->scope != EMLFS_HOLD_MESSAGES)
        return emlfs_err_set(err, EINVAL, "policy", "hold \"%s\" does not name its messages",
                             hold->name);
    int r = rules_named_add(job->rules, naming->hold, naming->id);
    if (r == 1)
        return 0;
    if (r == -E2BIG)
        return emlfs_err_set(err, E2BIG, "policy", "holds name at most %u messages",
                             EMLFS_HOLD_MESSAGES_MAX);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot add to hold %s", hold->name);
    r = naming_commit(job, hold, naming, err);
    if (r < 0)
        rules_named_drop(job->rules, naming->hold, naming->id);
    return r;
}

int emlfs_rules_hold_add(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t hold,
                         struct emlfs_msg_id id, struct emlfs_err *err)
{
    const struct naming naming = {hold, id};
    struct rules_job job = {.rules = rules, .by = by, .what = &naming};
    struct emlfs_msg_info info;

    int r = rules_reason_check(by, false, err);
    if (r == 0)
        r = emlfs_archive_msg_info(rules->options.archive, id, &info, NULL, err);
    return r < 0 ? r : rules_job_run(&job, name_once, err);
}

/* ---- releasing */

static int release_once(struct rules_job *job, struct emlfs_err *err)
{
    const uint32_t id = *(const uint32_t *)job->what;
    const struct emlfs_hold *before = in_force(job->now, id);
    const struct emlfs_hold_set others = rules_hold_set(job->now);
    const int64_t now_ns = emlfs_archive_now_ns(job->rules->options.archive);

    if (!before)
        return no_such_hold(id, err);
    struct emlfs_hold after = *before;
    after.released = true;
    after.released_ns = now_ns > before->placed_ns ? now_ns : before->placed_ns;
    rules_by_name(job->by, after.released_by);
    text_set(after.release_reason, sizeof(after.release_reason), job->by->reason);
    int r = emlfs_hold_change_check(before, &after, &others, err);
    return r < 0 ? r : hold_commit(job, &after, EMLFS_LEDGER_HOLD_RELEASED, err);
}

int emlfs_rules_hold_release(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t hold,
                             struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = &hold};

    int r = rules_reason_check(by, true, err);
    return r < 0 ? r : rules_job_run(&job, release_once, err);
}

int emlfs_rules_holds(struct emlfs_rules *rules,
                      int (*each)(void *arg, const struct emlfs_hold *hold), void *arg)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    int r = rules_snapshot_get(rules, &now, NULL);
    for (size_t i = 0; r == 0 && i < now->holds_n; i++)
        r = each(arg, &now->holds[i]);
    return r;
}
