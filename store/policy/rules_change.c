/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changing the rules: what all changes share, and policies, mode and audit settings.
 *
 *   K1  A change is checked against one snapshot. Under the archive's write lock its generation is
 *       compared once more; when it moved, the change is checked anew. So of two changes that
 *       exclude each other one sees the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emlfs/query.h"
#include "policy_internal.h"
#include "rules_internal.h"

/* ---- texts and keys */

void rules_text(const char *text, char *ret, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; text[i] && n + 1 < size;) {
        char one[5] = {0};
        size_t len = 1;
        while (len < 4 && (text[i + len] & 0xc0) == 0x80)
            len++;
        memcpy(one, text + i, len);
        bool ok = emlfs_row_text_ok(one, sizeof(one), false);
        if (ok && n + len >= size)
            break;
        if (ok)
            memcpy(ret + n, one, len);
        else
            ret[n] = '?';
        n += ok ? len : 1;
        i += ok ? len : 1;
    }
    ret[n] = 0;
}

struct emlfs_span rules_key_u16(struct emlfs_user_id id, uint8_t bytes[2])
{
    bytes[0] = (uint8_t)(id.v >> 8);
    bytes[1] = (uint8_t)id.v;
    return emlfs_span_of(bytes, 2);
}

struct emlfs_span rules_key_u32(uint32_t id, uint8_t bytes[4])
{
    for (unsigned i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(id >> (24 - 8 * i));
    return emlfs_span_of(bytes, 4);
}

void rules_by_name(const struct emlfs_by *by, char ret[EMLFS_USER_NAME_MAX_BYTES + 1])
{
    if (by->who && by->who[0])
        rules_text(by->who, ret, EMLFS_USER_NAME_MAX_BYTES + 1);
    else if (by->actor.uid == EMLFS_UID_NONE)
        snprintf(ret, EMLFS_USER_NAME_MAX_BYTES + 1, "emlfs");
    else
        snprintf(ret, EMLFS_USER_NAME_MAX_BYTES + 1, "uid %lld", (long long)by->actor.uid);
}

int rules_reason_check(const struct emlfs_by *by, bool needed, struct emlfs_err *err)
{
    const char *reason = by->reason ? by->reason : "";

    if (needed && !reason[0])
        return emlfs_err_set(err, EINVAL, "policy", "this needs a reason");
    if (!emlfs_row_text_ok(reason, EMLFS_HOLD_REASON_MAX_BYTES + 1, true))
        return emlfs_err_set(err, EINVAL, "policy",
                             "a reason is text of at most %u bytes without control characters",
                             EMLFS_HOLD_REASON_MAX_BYTES);
    return 0;
}

/* ---- jobs */

struct witness {
    struct emlfs_archive *archive;
    uint64_t generation;
};

static int still_so(void *arg, struct emlfs_err *err)
{
    const struct witness *witness = arg;

    if (emlfs_archive_generation(witness->archive) == witness->generation)
        return 0;
    return emlfs_err_set(err, EAGAIN, "policy", "the rules changed meanwhile");
}

int rules_job_commit(struct rules_job *job, const struct rules_act *act, struct emlfs_err *err)
{
    struct witness witness = {job->rules->options.archive, job->now->generation};
    char name[EMLFS_LEDGER_NAME_MAX_BYTES + 1];
    char detail[EMLFS_LEDGER_DETAIL_MAX_BYTES + 1];

    rules_text(act->name ? act->name : "", name, sizeof(name));
    rules_text(act->detail ? act->detail : "", detail, sizeof(detail));
    const struct emlfs_ledger_record record = {.kind = (uint16_t)act->kind,
                                               .object = act->object,
                                               .owner = act->owner,
                                               .message = act->message,
                                               .name = emlfs_span_str(name),
                                               .detail = emlfs_span_str(detail)};
    const struct emlfs_master_change change = {.actor = &job->by->actor,
                                               .record = &record,
                                               .rows = act->rows,
                                               .n = act->n,
                                               .check = still_so,
                                               .arg = &witness};
    return emlfs_archive_master_change(job->rules->options.archive, &change, err);
}

int rules_job_run(struct rules_job *job, rules_job_fn *fn, struct emlfs_err *err)
{
    int r = -EAGAIN;

    if (emlfs_rules_is_read_only(job->rules))
        return emlfs_err_set(err, EROFS, "policy", "the archive takes no changes");
    for (unsigned i = 0; r == -EAGAIN && i < RULES_ATTEMPTS_MAX; i++) {
        r = rules_snapshot_get(job->rules, &job->now, err);
        if (r < 0)
            break;
        r = fn(job, err);
        rules_snapshot_unref(job->now);
    }
    return r;
}

/* ---- policies */

static int term_check(const struct emlfs_query_term *term, struct emlfs_err *err)
{
    const unsigned all = ((1u << EMLFS_TEXT_FIELDS) - 1) & ~1u;
    const bool dates = term->kind == EMLFS_TERM_DATE || term->kind == EMLFS_TERM_ARCHIVED;

    if (term->kind == EMLFS_TERM_FOLDER)
        return emlfs_err_set(err, EINVAL, "policy",
                             "the query of a policy names no folder: mail is moved");
    if (dates && (rules_day_is_relative(&term->from_day) || rules_day_is_relative(&term->to_day)))
        return emlfs_err_set(err, EINVAL, "policy",
                             "the query of a rule has no dates that move with the calendar");
    if (term->exclude && (term->kind != EMLFS_TERM_WORDS || term->fields != all))
        return emlfs_err_set(err, EINVAL, "policy", "the query of a policy excludes no field");
    return 0;
}

static int query_check(const char *text, struct emlfs_err *err)
{
    return text[0] ? rules_query_check(text, term_check, err) : 0;
}

/* The set with policy in it, or without without, in order. */
struct next_set {
    struct emlfs_policy *v;
    size_t n;
};

static int set_make(const struct rules_snapshot *now, const struct emlfs_policy *with,
                    uint32_t without, struct next_set *ret)
{
    ret->n = 0;
    ret->v = calloc(now->policies_n + 1, sizeof(*ret->v));
    if (!ret->v)
        return -ENOMEM;
    for (size_t i = 0; i < now->policies_n; i++) {
        if (with && now->policies[i].order > with->order) {
            ret->v[ret->n++] = *with;
            with = NULL;
        }
        if (now->policies[i].id != without)
            ret->v[ret->n++] = now->policies[i];
    }
    if (with)
        ret->v[ret->n++] = *with;
    return 0;
}

/* May the policies of now become next? A reason is needed where that loosens. */
static int set_check(const struct rules_job *job, const struct next_set *next,
                     enum emlfs_retention_mode mode, struct emlfs_err *err)
{
    const struct emlfs_policy_change change = {.mode = job->now->mode,
                                               .new_mode = mode,
                                               .from = rules_policy_set(job->now),
                                               .to = {next->v, next->n}};
    bool loosens = false;

    int r = emlfs_policy_change_check(&change, &loosens, err);
    return r < 0 ? r : rules_reason_check(job->by, loosens, err);
}

static const struct emlfs_policy *policy_of(const struct rules_snapshot *now, uint32_t id)
{
    for (size_t i = 0; i < now->policies_n; i++)
        if (now->policies[i].id == id)
            return &now->policies[i];
    return NULL;
}

static int policy_is_free(const struct rules_snapshot *now, const struct emlfs_policy *policy,
                          struct emlfs_err *err)
{
    for (size_t i = 0; i < now->policies_n; i++) {
        const struct emlfs_policy *other = &now->policies[i];
        if (other->id == policy->id)
            continue;
        if (strcasecmp(other->name, policy->name) == 0)
            return emlfs_err_set(err, EEXIST, "policy", "a retention policy \"%s\" is there",
                                 other->name);
        if (other->order == policy->order)
            return emlfs_err_set(err, EEXIST, "policy", "retention policy \"%s\" has the place %u",
                                 other->name, other->order);
    }
    return 0;
}

/* Give it what was left open. */
static int policy_complete(const struct rules_snapshot *now, struct emlfs_policy *policy,
                           struct emlfs_err *err)
{
    const uint32_t last = now->policies_n ? now->policies[now->policies_n - 1].order : 0;

    if (policy->id != 0 && !policy_of(now, policy->id))
        return emlfs_err_set(err, ENOENT, "policy", "no retention policy %u", policy->id);
    if (policy->id == 0 && now->policies_n >= EMLFS_POLICIES_MAX)
        return emlfs_err_set(err, E2BIG, "policy", "an archive has at most %u retention policies",
                             EMLFS_POLICIES_MAX);
    if ((policy->id == 0 && now->next_policy == UINT32_MAX) ||
        (policy->order == 0 && last == UINT32_MAX))
        return emlfs_err_set(err, E2BIG, "policy", "no number is left for the policy");
    if (policy->id == 0)
        policy->id = now->next_policy;
    if (policy->order == 0)
        policy->order = last + 1;
    return 0;
}

/* The row of a policy (no value: removed) and the next id in one change. */
static int policy_commit(struct rules_job *job, const struct emlfs_policy *policy,
                         const struct emlfs_buf *value, enum emlfs_ledger_kind kind,
                         struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf next = EMLFS_BUF_INIT(RULES_SETTING_ROW_MAX_BYTES);
    const uint32_t next_id =
        policy->id >= job->now->next_policy ? policy->id + 1 : job->now->next_policy;
    uint8_t key[4];

    int r = rules_setting_encode(next_id, &next);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot write the policy");
    const struct emlfs_master_row rows[] = {
        {EMLFS_MASTER_POLICY, rules_key_u32(policy->id, key), emlfs_buf_view(value)},
        {EMLFS_MASTER_RULE, emlfs_span_str(RULES_SETTING_POLICIES), emlfs_buf_view(&next)},
    };
    const struct rules_act act = {.kind = kind,
                                  .object = policy->id,
                                  .name = policy->name,
                                  .detail = job->by->reason,
                                  .rows = rows,
                                  .n = 2};
    return rules_job_commit(job, &act, err);
}

static int policy_put_once(struct rules_job *job, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_POLICY_ROW_MAX_BYTES);
    const struct emlfs_policy *wanted = job->what;
    struct emlfs_policy policy = *wanted;
    struct next_set next = {0};

    int r = policy_complete(job->now, &policy, err);
    if (r < 0)
        return r;
    if (!emlfs_policy_ok(&policy))
        return emlfs_err_set(err, EINVAL, "policy",
                             "an impossible name, query, period or start of a policy");
    r = policy_is_free(job->now, &policy, err);
    if (r == 0)
        r = set_make(job->now, &policy, policy.id, &next);
    if (r == 0)
        r = set_check(job, &next, job->now->mode, err);
    free(next.v);
    if (r == 0)
        r = emlfs_policy_encode(&policy, &value);
    if (r == 0)
        r = policy_commit(job, &policy, &value,
                          wanted->id ? EMLFS_LEDGER_POLICY_CHANGED : EMLFS_LEDGER_POLICY_MADE, err);
    if (r == 0)
        *(struct emlfs_policy *)job->ret = policy;
    return r;
}

int emlfs_rules_policy_put(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_policy *policy, struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = policy, .ret = policy};

    int r = emlfs_row_text_ok(policy->query, sizeof(policy->query), true)
                ? query_check(policy->query, err)
                : emlfs_err_set(err, EINVAL, "policy", "the query of the policy is no text");
    return r < 0 ? r : rules_job_run(&job, policy_put_once, err);
}

static int policy_remove_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct emlfs_buf nothing = {0};
    const struct emlfs_policy *policy = policy_of(job->now, *(const uint32_t *)job->what);
    struct next_set next = {0};

    if (!policy)
        return emlfs_err_set(err, ENOENT, "policy", "no such retention policy");
    int r = set_make(job->now, NULL, policy->id, &next);
    if (r == 0)
        r = set_check(job, &next, job->now->mode, err);
    free(next.v);
    return r < 0 ? r : policy_commit(job, policy, &nothing, EMLFS_LEDGER_POLICY_DELETED, err);
}

int emlfs_rules_policy_remove(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t id,
                              struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = &id};
    return rules_job_run(&job, policy_remove_once, err);
}

int emlfs_rules_policies(struct emlfs_rules *rules,
                         int (*each)(void *arg, const struct emlfs_policy *policy), void *arg)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    int r = rules_snapshot_get(rules, &now, NULL);
    for (size_t i = 0; r == 0 && i < now->policies_n; i++)
        r = each(arg, &now->policies[i]);
    return r;
}

/* ---- settings */

static int setting_commit(struct rules_job *job, const char *setting, uint32_t value,
                          const struct rules_act *what, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(RULES_SETTING_ROW_MAX_BYTES);
    struct rules_act act = *what;

    int r = rules_setting_encode(value, &bytes);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot write the setting");
    const struct emlfs_master_row row = {EMLFS_MASTER_RULE, emlfs_span_str(setting),
                                         emlfs_buf_view(&bytes)};
    act.object = value;
    act.detail = job->by->reason;
    act.rows = &row;
    act.n = 1;
    return rules_job_commit(job, &act, err);
}

enum emlfs_retention_mode emlfs_rules_mode(struct emlfs_rules *rules)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    /* What cannot be told is the stricter one. */
    return rules_snapshot_get(rules, &now, NULL) < 0 ? EMLFS_MODE_COMPLIANCE : now->mode;
}

static int mode_once(struct rules_job *job, struct emlfs_err *err)
{
    const enum emlfs_retention_mode mode = *(const enum emlfs_retention_mode *)job->what;
    const struct rules_act act = {.kind = EMLFS_LEDGER_MODE_CHANGED,
                                  .name =
                                      mode == EMLFS_MODE_COMPLIANCE ? "compliance" : "governance"};
    struct next_set same = {job->now->policies, job->now->policies_n};

    if (mode == job->now->mode)
        return 0;
    int r = set_check(job, &same, mode, err);
    return r < 0 ? r : setting_commit(job, RULES_SETTING_MODE, (uint32_t)mode, &act, err);
}

int emlfs_rules_set_mode(struct emlfs_rules *rules, const struct emlfs_by *by,
                         enum emlfs_retention_mode mode, struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = &mode};

    if (mode != EMLFS_MODE_GOVERNANCE && mode != EMLFS_MODE_COMPLIANCE)
        return emlfs_err_set(err, EINVAL, "policy", "no such mode");
    return rules_job_run(&job, mode_once, err);
}

uint32_t emlfs_rules_audited(struct emlfs_rules *rules)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    return rules_snapshot_get(rules, &now, NULL) < 0 ? EMLFS_AUDIT_ALL : now->audited;
}

static int audited_once(struct rules_job *job, struct emlfs_err *err)
{
    const uint32_t what = *(const uint32_t *)job->what;
    const struct rules_act act = {.kind = EMLFS_LEDGER_SETTING_CHANGED, .name = "audit"};

    int r = rules_reason_check(job->by, false, err);
    if (r < 0 || what == job->now->audited)
        return r;
    return setting_commit(job, RULES_SETTING_AUDIT, what, &act, err);
}

int emlfs_rules_set_audited(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t what,
                            struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = &what};

    if (what & ~EMLFS_AUDIT_ALL)
        return emlfs_err_set(err, EINVAL, "policy", "no such activity");
    return rules_job_run(&job, audited_once, err);
}

bool emlfs_rules_is_audited(struct emlfs_rules *rules, const struct emlfs_who *who, uint32_t what)
{
    return emlfs_rules_actor(who, EMLFS_LEDGER_INSIDE).admin || emlfs_rules_audited(rules) & what;
}
