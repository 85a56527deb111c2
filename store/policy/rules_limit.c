/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How many refusals the ledger takes: anybody on the machine can be refused as often as they like,
 * and each record is kept for good and synced under the archive's write lock.
 *
 *   M1  Each uid has a bucket, and all that are no administrators' share one besides: there are
 *       more uids than people, for who may map some of their own.
 *   M2  What is not recorded is counted, and the next record of that uid tells how many.
 *   M3  A place in the table is given away once its bucket is full again. Who finds none shares the
 *       last bucket; what was counted in a place that is given away is told there.
 */
#include <stdio.h>
#include <string.h>

#include "rules_internal.h"

#define MINUTE_NS (INT64_C(60) * 1000000000)
#define MORE_TEXT_BYTES 80u

struct more {
    uint64_t n;
    bool of_others; /* not all of them are the actor's */
};

/*
 * A bucket of as many tokens as come in a minute: full at *full_ns. False: it is empty. What is
 * taken is only put down where the caller says so.
 */
static bool token_try(int64_t full_ns, unsigned rate, int64_t now_ns, int64_t *ret_full_ns)
{
    const int64_t interval_ns = MINUTE_NS / rate;
    const int64_t from_ns = full_ns > now_ns ? full_ns : now_ns;

    *ret_full_ns = from_ns + interval_ns;
    return from_ns - now_ns <= (int64_t)(rate - 1) * interval_ns;
}

/* M3 */
static struct rules_refused_slot *slot_place(struct rules_refused *refused, int64_t now_ns)
{
    struct rules_refused_slot *best = NULL;

    for (unsigned i = 0; i < RULES_REFUSED_SLOTS; i++) {
        struct rules_refused_slot *slot = &refused->v[i];
        if (slot->full_ns <= now_ns && (!best || slot->more < best->more))
            best = slot;
    }
    return best;
}

static struct rules_refused_slot *slot_of(struct rules_refused *refused, int64_t uid,
                                          int64_t now_ns)
{
    for (unsigned i = 0; i < RULES_REFUSED_SLOTS; i++)
        if (refused->v[i].full_ns != 0 && refused->v[i].uid == uid)
            return &refused->v[i];
    struct rules_refused_slot *slot = slot_place(refused, now_ns);
    if (!slot)
        return &refused->others;
    refused->others.more += slot->more;
    *slot = (struct rules_refused_slot){.uid = uid};
    return slot;
}

/* True: to be recorded, and as many more with it. False: it was counted. */
static bool refused_take(struct emlfs_rules *rules, const struct emlfs_actor *actor,
                         struct more *ret)
{
    struct rules_refused *refused = &rules->refused;
    const bool trusted = actor->uid == 0 || actor->admin;
    const int64_t now_ns = rules_now_ns(rules);
    int64_t full_ns;
    int64_t all_full_ns = 0;

    pthread_mutex_lock(&rules->lock);
    struct rules_refused_slot *slot = slot_of(refused, actor->uid, now_ns);
    bool taken =
        token_try(slot->full_ns, trusted ? RULES_REFUSED_TRUSTED_RATE : RULES_REFUSED_RATE, now_ns,
                  &full_ns) &&
        (trusted || token_try(refused->all_full_ns, RULES_REFUSED_ALL_RATE, now_ns, &all_full_ns));
    if (taken) {
        *ret = (struct more){slot->more, slot == &refused->others};
        slot->more = 0;
        slot->full_ns = full_ns;
        refused->all_full_ns = trusted ? refused->all_full_ns : all_full_ns;
    } else {
        slot->more++;
        if (slot->full_ns == 0)
            slot->full_ns = now_ns; /* it is somebody's now */
    }
    pthread_mutex_unlock(&rules->lock);
    return taken;
}

/* The record could not be written: what it would have told is still to be told. */
static void refused_put_back(struct emlfs_rules *rules, const struct emlfs_actor *actor,
                             const struct more *more)
{
    const int64_t now_ns = rules_now_ns(rules);

    pthread_mutex_lock(&rules->lock);
    slot_of(&rules->refused, actor->uid, now_ns)->more += more->n + 1;
    pthread_mutex_unlock(&rules->lock);
}

/* ---- the record */

static const char *call_name(enum emlfs_access_call call)
{
    static const char *const names[EMLFS_CALLS] = {
        [EMLFS_CALL_LIST] = "list",     [EMLFS_CALL_STAT] = "stat",
        [EMLFS_CALL_OPEN] = "open",     [EMLFS_CALL_READ] = "read",
        [EMLFS_CALL_CREATE] = "create", [EMLFS_CALL_RENAME] = "rename",
        [EMLFS_CALL_MKDIR] = "mkdir",   [EMLFS_CALL_RMDIR] = "rmdir",
        [EMLFS_CALL_UNLINK] = "unlink", [EMLFS_CALL_SETATTR] = "setattr",
        [EMLFS_CALL_WRITE] = "write",   [EMLFS_CALL_SEARCH] = "search",
        [EMLFS_CALL_EXPORT] = "export", [EMLFS_CALL_COMMAND] = "command",
    };
    return (unsigned)call < EMLFS_CALLS ? names[call] : "";
}

/* M2: room is left for the number, whatever the detail is. */
static void refused_detail(const struct emlfs_refusal *refusal, const struct more *more,
                           char ret[EMLFS_LEDGER_DETAIL_MAX_BYTES + 1])
{
    char text[MORE_TEXT_BYTES] = "";

    if (more->n)
        snprintf(text, sizeof(text), "(and %llu more%s)", (unsigned long long)more->n,
                 more->of_others ? " of several accounts" : "");
    rules_text(refusal->detail ? refusal->detail : "", ret,
               EMLFS_LEDGER_DETAIL_MAX_BYTES + 1 - sizeof(text));
    size_t n = strlen(ret);
    snprintf(ret + n, EMLFS_LEDGER_DETAIL_MAX_BYTES + 1 - n, "%s%s", n && *text ? " " : "", text);
}

int emlfs_rules_refused(struct emlfs_rules *rules, const struct emlfs_actor *actor,
                        const struct emlfs_refusal *refusal, struct emlfs_err *err)
{
    char detail[EMLFS_LEDGER_DETAIL_MAX_BYTES + 1];
    struct more more;

    if (!refused_take(rules, actor, &more))
        return 0;
    refused_detail(refusal, &more, detail);
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_ACCESS_DENIED,
                                               .outcome = (uint16_t)refusal->code,
                                               .owner = refusal->target.user,
                                               .message = refusal->message,
                                               .folder = refusal->folder,
                                               .name = emlfs_span_str(call_name(refusal->call)),
                                               .detail = emlfs_span_str(detail)};
    int r = emlfs_archive_record(rules->options.archive, actor, &record, err);
    if (r < 0)
        refused_put_back(rules, actor, &more);
    return r;
}
