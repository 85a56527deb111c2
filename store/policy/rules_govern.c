/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions about one message: everything it depends on looked up, of one generation, and put to
 * govern.h. The generation is that of the snapshot, which was read before all else; what changes
 * later makes the verdict useless.
 */
#include "rules_internal.h"

struct decision {
    struct rules_ask ask; /* of who; only its snapshot for the job */
    struct emlfs_entry entry;
    struct rules_page page;
    struct emlfs_access_object object;
    struct emlfs_policy_set policies;
    struct emlfs_hold_set holds;
    struct emlfs_retention retention;
    struct emlfs_held held;
    struct emlfs_compliance clock;
    struct emlfs_case asked;
};

static void decision_end(struct decision *decision)
{
    if (decision->page.snapshot)
        rules_page_close(&decision->page);
    rules_ask_end(&decision->ask);
}
#define DECISION_CLEANUP __attribute__((cleanup(decision_end)))

static int entry_find(struct emlfs_archive *archive, const struct emlfs_entry_at *at,
                      struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct emlfs_entry_page page = {
        .folder = at->folder, .after = {at->id.v - 1}, .v = ret, .max = 1};

    int r = at->folder.v ? emlfs_archive_entries(archive, &page, err)
                         : emlfs_archive_entry_of(archive, at->user, at->id, ret, err);
    if (r < 0)
        return r;
    bool found = at->folder.v == 0 || page.n == 1;
    if (!found || ret->id.v != at->id.v || ret->user.v != at->user.v)
        return emlfs_err_set(err, ENOENT, "policy", "no such message");
    return 0;
}

static void case_make(struct emlfs_rules *rules, struct decision *decision, const uid_t actor)
{
    const struct rules_snapshot *snapshot = decision->ask.snapshot;

    decision->policies = rules_policy_set(snapshot);
    decision->holds = rules_hold_set(snapshot);
    rules_page_open(rules, snapshot, &decision->entry, 1, &decision->page);
    rules_page_retention(&decision->page, 0, &decision->retention);
    rules_page_held(&decision->page, 0, &decision->held);
    bool known = rules_clock_get(rules, true, &decision->clock);
    decision->asked = (struct emlfs_case){
        .id = decision->entry.id,
        .actor = actor,
        .generation = snapshot->generation,
        .subject = &decision->ask.who.access,
        .object = &decision->object,
        .policies = &decision->policies,
        .retention = &decision->retention,
        .holds = &decision->holds,
        .held = &decision->held,
        .clock = known ? &decision->clock : NULL,
    };
}

static struct emlfs_target message_target(const struct emlfs_entry_at *at)
{
    return (struct emlfs_target){
        .kind = EMLFS_OBJECT_MESSAGE, .user = at->user, .store_no = emlfs_msg_id_store(at->id)};
}

/*
 * Everything about at, for who. Nothing is looked up for one who may not even make call: so what
 * it costs tells them nothing.
 */
static int decision_begin(struct emlfs_rules *rules, const struct emlfs_who *who,
                          const struct emlfs_entry_at *at, enum emlfs_access_call call,
                          struct decision *ret, struct emlfs_err *err)
{
    const struct emlfs_target target = message_target(at);

    *ret = (struct decision){0};
    int r = rules_ask_begin(rules, &who->subject, &ret->ask, err);
    if (r < 0)
        return r;
    rules_ask_object(&ret->ask, &target, &ret->object);
    r = emlfs_access(&ret->ask.who.access, &ret->object, call);
    if (r < 0)
        return rules_refusal(err, r);
    r = entry_find(rules->options.archive, at, &ret->entry, err);
    if (r == 0)
        case_make(rules, ret, who->subject.uid);
    return r;
}

int emlfs_rules_delete(struct emlfs_rules *rules, const struct emlfs_who *who,
                       const struct emlfs_entry_at *at, struct emlfs_verdict **ret_verdict,
                       struct emlfs_err *err)
{
    DECISION_CLEANUP struct decision decision;

    *ret_verdict = NULL;
    int r = decision_begin(rules, who, at, EMLFS_CALL_UNLINK, &decision, err);
    return r < 0 ? r : emlfs_govern_delete(&decision.asked, ret_verdict, err);
}

int emlfs_rules_move(struct emlfs_rules *rules, const struct emlfs_who *who,
                     const struct emlfs_entry_at *at, struct emlfs_user_id to,
                     struct emlfs_verdict **ret_verdict, struct emlfs_err *err)
{
    const struct emlfs_target into = {.kind = EMLFS_OBJECT_FOLDER, .user = to};
    DECISION_CLEANUP struct decision decision;
    struct emlfs_access_object object;

    *ret_verdict = NULL;
    int r = decision_begin(rules, who, at, EMLFS_CALL_STAT, &decision, err);
    if (r < 0)
        return r;
    rules_ask_object(&decision.ask, &into, &object);
    if (to.v != at->user.v)
        decision.asked.to_quota_bytes = rules_quota_of(decision.ask.snapshot, to);
    return emlfs_govern_move(&decision.asked, &object, ret_verdict, err);
}

int emlfs_rules_expire(struct emlfs_rules *rules, const struct emlfs_entry_at *at,
                       struct emlfs_verdict **ret_verdict, struct emlfs_err *err)
{
    const struct emlfs_target target = message_target(at);
    DECISION_CLEANUP struct decision decision = {0};

    *ret_verdict = NULL;
    int r = rules_snapshot_get(rules, &decision.ask.snapshot, err);
    if (r < 0)
        return r;
    rules_object(rules, decision.ask.snapshot, &target, &decision.object);
    r = entry_find(rules->options.archive, at, &decision.entry, err);
    if (r < 0)
        return r;
    case_make(rules, &decision, 0);
    decision.asked.subject = NULL;
    return emlfs_govern_expire(&decision.asked, ret_verdict, err);
}

int emlfs_rules_explain(struct emlfs_rules *rules, const struct emlfs_who *who,
                        const struct emlfs_entry_at *at,
                        int (*tell)(void *arg, const struct emlfs_explanation *explanation),
                        void *arg, struct emlfs_err *err)
{
    DECISION_CLEANUP struct decision decision;
    struct emlfs_explanation explanation;

    int r = decision_begin(rules, who, at, EMLFS_CALL_COMMAND, &decision, err);
    if (r < 0)
        return r;
    emlfs_govern_explain(&decision.asked, &explanation);
    return tell(arg, &explanation);
}

/* ---- for listings */

/* One who may delete everything here, so that only rules, stores and clock say no. */
static struct emlfs_access_subject anybody_with_the_right(struct emlfs_user_id user)
{
    return (struct emlfs_access_subject){.user = user, .may = EMLFS_MAY_ALL};
}

int emlfs_rules_loose(struct emlfs_rules *rules, const struct emlfs_entry *entries, unsigned n,
                      bool *ret, struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    RULES_PAGE_CLEANUP struct rules_page page = {0};
    struct decision decision = {0};

    for (unsigned i = 0; i < n; i++)
        ret[i] = false;
    int r = n ? rules_snapshot_get(rules, &snapshot, err) : 0;
    rules_page_open(rules, snapshot, entries, n, &page);
    if (r < 0 || n == 0)
        return r;
    decision.policies = rules_policy_set(snapshot);
    decision.holds = rules_hold_set(snapshot);
    bool known = rules_clock_get(rules, false, &decision.clock);
    const struct emlfs_access_subject subject = anybody_with_the_right(entries[0].user);
    decision.asked = (struct emlfs_case){.generation = snapshot->generation,
                                         .subject = &subject,
                                         .object = &decision.object,
                                         .policies = &decision.policies,
                                         .retention = &decision.retention,
                                         .holds = &decision.holds,
                                         .held = &decision.held,
                                         .clock = known ? &decision.clock : NULL};
    for (unsigned i = 0; i < n; i++) {
        const struct emlfs_entry_at at = {entries[i].user, entries[i].folder, entries[i].id};
        const struct emlfs_target target = message_target(&at);
        rules_object(rules, snapshot, &target, &decision.object);
        decision.object.grants = EMLFS_GRANT_ALL;
        rules_page_retention(&page, i, &decision.retention);
        rules_page_held(&page, i, &decision.held);
        ret[i] = emlfs_govern_deletable(&decision.asked);
    }
    return 0;
}
