/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_POLICY_TIMED_ARCHIVE_H
#define EMLFS_TESTS_POLICY_TIMED_ARCHIVE_H

#include <errno.h>
#include <ftw.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emlfs/change.h"
#include "emlfs/importer.h"
#include "emlfs/ingest.h"
#include "emlfs/message.h"
#include "emlfs/rules_change.h"
#include "emlfs/verify.h"

/*
 * A real archive with an index and rules, whose time is the test's: system clock, monotonic clock
 * and boot. The user alice, bound to the running account, administers it and may do everything in
 * her archive. Whatever must work and does not ends the program.
 */
#define TIMED_SECOND INT64_C(1000000000)
#define TIMED_DAY (INT64_C(86400) * TIMED_SECOND)
#define TIMED_MAIL_MAX 128u

struct timed_mail {
    const char *words;
    bool vouched, has_received, has_sent;
    int64_t received_sec, sent_sec;
    struct emlfs_msg_id id; /* filled in */
};

struct timed {
    char dir[64], path[96];
    int64_t wall_ns, boot_ns;
    uint8_t boot;       /* fills the boot id */
    int64_t arrival_ns; /* 0: as the rules say */
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_index *index;
    struct emlfs_rules *rules;
    struct emlfs_user alice;
    struct emlfs_subject self;
    struct emlfs_folder_id inbox;
    struct timed_mail mail[TIMED_MAIL_MAX];
    unsigned mail_n;
};

static const struct emlfs_by timed_by = {
    .actor = {.uid = 0, .admin = true}, .who = "alice", .reason = "test"};

#define timed_need(r, err) timed_need_at(r, err, __LINE__)
static inline void timed_need_at(int r, const struct emlfs_err *err, int line)
{
    if (r == 0)
        return;
    (void)fprintf(stderr, "line %d: %s: %s\n", line, strerror(-r), err ? err->text : "");
    exit(1);
}

/* ---- time */

static inline int64_t timed_now(void *arg)
{
    const struct timed *t = arg;
    return __atomic_load_n(&t->wall_ns, __ATOMIC_RELAXED);
}

static inline int timed_sample(void *arg, struct emlfs_time_sample *ret)
{
    const struct timed *t = arg;
    *ret = (struct emlfs_time_sample){.wall_ns = timed_now(arg), .boot_ns = t->boot_ns};
    memset(ret->boot_id, t->boot, sizeof(ret->boot_id));
    return 0;
}

/* Both clocks go on, as time does. */
static inline void timed_pass(struct timed *t, int64_t ns)
{
    struct emlfs_err err = {0};
    __atomic_add_fetch(&t->wall_ns, ns, __ATOMIC_RELAXED);
    t->boot_ns += ns;
    timed_need(emlfs_rules_tick(t->rules, &err), &err);
}

/* Somebody sets the system clock. */
static inline void timed_set(struct timed *t, int64_t ns)
{
    struct emlfs_err err = {0};
    __atomic_add_fetch(&t->wall_ns, ns, __ATOMIC_RELAXED);
    timed_need(emlfs_rules_tick(t->rules, &err), &err);
}

/* ---- opening */

static inline int timed_extract(void *arg, struct emlfs_span raw, unsigned kinds,
                                struct emlfs_buf *ret, struct emlfs_err *err)
{
    const struct emlfs_span subject = {raw.data + 9, raw.len - 9}; /* behind "Subject: " */
    (void)arg;
    (void)kinds;
    (void)err;
    emlfs_buf_clear(ret);
    int r = emlfs_doctext_begin(ret, EMLFS_PRIORITY_NORMAL, false);
    return r < 0 ? r : emlfs_doctext_piece(ret, EMLFS_TEXT_SUBJECT, subject);
}

static inline void timed_extract_free(void *arg)
{
    (void)arg;
}

static inline int timed_extractor(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    (void)err;
    *ret =
        (struct emlfs_extractor){.arg = arg, .extract = timed_extract, .free = timed_extract_free};
    return 0;
}

static inline void timed_open(struct timed *t)
{
    const struct emlfs_archive_options options = {
        .path = t->path, .workers = 1, .clock = {.now_ns = timed_now, .arg = t}};
    struct emlfs_err err = {0};

    timed_need(emlfs_archive_open(&options, &t->archive, &err), &err);
    int r = emlfs_user_by_name(t->archive, "alice", &t->alice, NULL);
    if (r == -ENOENT) {
        const struct emlfs_user_new made = {"alice", getpwuid(getuid())->pw_name, EMLFS_USER_ADMIN};
        r = emlfs_user_add(t->archive, NULL, &made, &t->alice, &err);
    }
    timed_need(r, &err);
    timed_need(emlfs_bindings_new(t->archive, &t->bindings), NULL);
    const struct emlfs_index_options index = {
        .archive = t->archive, .extractor = timed_extractor, .workers = 1};
    timed_need(emlfs_index_open(&index, &t->index, &err), &err);
    const struct emlfs_rules_options rules = {.archive = t->archive,
                                              .bindings = t->bindings,
                                              .index = t->index,
                                              .sample = timed_sample,
                                              .sample_arg = t};
    timed_need(emlfs_rules_open(&rules, &t->rules, &err), &err);
    const struct emlfs_folder_wanted wanted = {t->alice.archive, t->alice.id, "Inbox"};
    timed_need(emlfs_archive_folder_make(t->archive, NULL, &wanted, &t->inbox, &err), &err);
    timed_need(emlfs_index_catch_up(t->index, NULL, &err), &err);
}

static inline void timed_close(struct timed *t)
{
    struct emlfs_err err = {0};

    emlfs_rules_close(t->rules);
    timed_need(emlfs_index_close(t->index, &err), &err);
    emlfs_bindings_free(t->bindings);
    timed_need(emlfs_archive_close(t->archive, &err), &err);
}

/* The program ends and starts, off_ns later by every clock. */
static inline void timed_restart(struct timed *t, int64_t off_ns)
{
    timed_close(t);
    t->wall_ns += off_ns;
    t->boot_ns += off_ns;
    timed_open(t);
}

/* The machine starts anew, or it is another one: off_ns later by the system clock. */
static inline void timed_reboot(struct timed *t, int64_t off_ns)
{
    timed_close(t);
    t->wall_ns += off_ns;
    t->boot_ns = 30 * TIMED_SECOND;
    t->boot++;
    timed_open(t);
}

/* A copy of the archive, off_ns later by the clock of another machine, where it is opened. */
static inline void timed_copy(struct timed *t, int64_t off_ns)
{
    char to[sizeof(t->path)];
    char cp[] = "cp", dash_a[] = "-a";
    extern char **environ;
    pid_t child;
    int status = -1;

    timed_close(t);
    (void)snprintf(to, sizeof(to), "%s/copy-%u", t->dir, t->boot);
    char *const argv[] = {cp, dash_a, t->path, to, NULL};
    timed_need(-posix_spawnp(&child, cp, NULL, NULL, argv, environ), NULL);
    if (waitpid(child, &status, 0) != child || status != 0)
        timed_need(-EIO, NULL);
    memcpy(t->path, to, sizeof(to));
    t->wall_ns += off_ns;
    t->boot_ns = 90 * TIMED_SECOND;
    t->boot++;
    timed_open(t);
}

static inline struct timed *timed_new(int64_t wall_sec)
{
    struct timed *t = calloc(1, sizeof(*t));
    const struct emlfs_archive_settings settings = {.commit_ms = 1};
    const struct emlfs_init_options init = {.settings = &settings, .timezone = "UTC"};
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_err err = {0};

    if (!t)
        exit(1);
    (void)snprintf(t->dir, sizeof(t->dir), "/tmp/emlfs-timed-XXXXXX");
    timed_need(mkdtemp(t->dir) ? 0 : -errno, NULL);
    (void)snprintf(t->path, sizeof(t->path), "%s/archive", t->dir);
    timed_need(emlfs_archive_init(t->path, &init, recovery, &err), &err);
    t->wall_ns = wall_sec * TIMED_SECOND;
    t->boot_ns = 60 * TIMED_SECOND;
    t->self = (struct emlfs_subject){.uid = getuid(), .gid = getgid()};
    timed_open(t);
    timed_need(emlfs_rules_set_rights(t->rules, &timed_by, t->alice.id, EMLFS_MAY_ALL,
                                      EMLFS_GRANT_ALL, &err),
               &err);
    return t;
}

static inline int timed_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* Everything must be in order at the end. */
static inline void timed_free(struct timed *t)
{
    struct emlfs_check_totals totals;
    struct emlfs_err err = {0};

    timed_need(emlfs_archive_verify(t->archive, NULL, NULL, NULL, &totals, &err), &err);
    timed_need(totals.errors ? -EUCLEAN : 0, NULL);
    timed_close(t);
    (void)nftw(t->dir, timed_unlink, 16, FTW_DEPTH | FTW_PHYS);
    free(t);
}

/* ---- mail */

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
