/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_POLICY_TIMED_MAIL_H
#define EMLFS_TESTS_POLICY_TIMED_MAIL_H

#include "emlfs/importer.h"
#include "emlfs/ingest.h"
#include "emlfs/message.h"
#include "timed_archive.h"

/* Mail in a timed archive: archiving, asking about and deleting it. */

/* ---- archiving */

static inline int timed_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                                struct emlfs_err *err)
{
    const struct timed *t = arg;
    const struct timed_mail *mail = &t->mail[strtoul(item->position, NULL, 10)];
    const struct emlfs_facts facts = {.has_received = mail->has_received,
                                      .received_sec = mail->received_sec,
                                      .has_sent = mail->has_sent,
                                      .sent_sec = mail->sent_sec};
    (void)worker;
    (void)snprintf(item->stem, sizeof(item->stem), "mail");
    item->mtime_ns = 1000 * TIMED_SECOND;
    int r = emlfs_facts_encode(&facts, &item->facts);
    return r < 0 ? emlfs_err_set(err, -r, "test", "facts") : 0;
}

static inline void timed_done(void *arg, struct emlfs_ingest_item *item)
{
    struct timed *t = arg;
    timed_need(item->verdict == EMLFS_INGEST_ARCHIVED ? 0 : -EEXIST, &item->err);
    t->mail[strtoul(item->position, NULL, 10)].id = item->id;
    emlfs_ingest_item_free(item);
}

static inline int64_t timed_arrival(void *arg)
{
    const struct timed *t = arg;
    return t->arrival_ns ? t->arrival_ns : emlfs_rules_arrival_ns(t->rules);
}

/* Archive it now. The number of the message. */
static inline unsigned timed_put(struct timed *t, const struct timed_mail *mail)
{
    const struct emlfs_ingest_options options = {
        .prepare = timed_prepare, .done = timed_done, .arg = t, .arrival_ns = timed_arrival};
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    struct emlfs_ingest_totals totals;
    struct emlfs_ingest *ingest;
    struct emlfs_err err = {0};
    char text[300];
    unsigned n = t->mail_n++;

    timed_need(n < TIMED_MAIL_MAX ? 0 : -E2BIG, NULL);
    t->mail[n] = *mail;
    timed_need(emlfs_ingest_begin(t->archive, &options, &ingest, &err), &err);
    int len = snprintf(text, sizeof(text), "Subject: %s number%u\r\n\r\n", mail->words, n);
    timed_need(emlfs_buf_append(&item->raw, text, (size_t)len), NULL);
    item->folder = t->inbox;
    item->user = t->alice.id;
    item->flags = mail->vouched ? EMLFS_ENTRY_VOUCHED : 0;
    timed_need(asprintf(&item->position, "%u", n) > 0 ? 0 : -ENOMEM, NULL);
    timed_need(emlfs_ingest_put(ingest, item, &err), &err);
    timed_need(emlfs_ingest_end(ingest, false, &totals, &err), &err);
    timed_need(emlfs_index_catch_up(t->index, NULL, &err), &err);
    return n;
}

static inline struct emlfs_entry_at timed_at(const struct timed *t, unsigned n)
{
    return (struct emlfs_entry_at){t->alice.id, t->inbox, t->mail[n].id};
}

static inline bool timed_is_there(struct timed *t, unsigned n)
{
    struct emlfs_entry entry;
    return emlfs_archive_entry_of(t->archive, t->alice.id, t->mail[n].id, &entry, NULL) == 0;
}

/* ---- asking */

struct timed_told {
    int64_t earliest_sec, latest_sec;
    uint32_t earliest_policy, latest_policy; /* 0: none */
    bool may_delete, held;
};

static inline int timed_tell(void *arg, const struct emlfs_explanation *told)
{
    *(struct timed_told *)arg = (struct timed_told){
        .earliest_sec = told->earliest_sec,
        .latest_sec = told->latest_sec,
        .earliest_policy = told->earliest_policy ? told->earliest_policy->id : 0,
        .latest_policy = told->latest_policy ? told->latest_policy->id : 0,
        .may_delete = told->may_delete,
        .held = told->held};
    return 0;
}

static inline struct timed_told timed_ask(struct timed *t, unsigned n)
{
    const struct emlfs_entry_at at = timed_at(t, n);
    struct timed_told told;
    struct emlfs_err err = {0};
    struct emlfs_who who;

    emlfs_rules_who(t->rules, &t->self, &who);
    timed_need(emlfs_rules_explain(t->rules, &who, &at, timed_tell, &told, &err), &err);
    return told;
}

/* alice deletes it: 0 or -errno. */
static inline int timed_delete(struct timed *t, unsigned n)
{
    const struct emlfs_entry_at at = timed_at(t, n);
    struct emlfs_verdict *verdict = NULL;
    struct emlfs_who who;

    emlfs_rules_who(t->rules, &t->self, &who);
    int r = emlfs_rules_delete(t->rules, &who, &at, &verdict, NULL);
    const struct emlfs_actor actor = emlfs_rules_actor(&who, EMLFS_LEDGER_COMMAND);
    if (r == 0)
        r = emlfs_archive_entry_delete(t->archive, &actor, &at, verdict, NULL);
    emlfs_verdict_free(verdict);
    return r;
}

#endif
