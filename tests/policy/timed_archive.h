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
    char dir[128], path[160];
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
    const char *parent = getenv("TMPDIR");
    (void)snprintf(t->dir, sizeof(t->dir), "%s/emlfs-timed-XXXXXX", parent ? parent : "/tmp");
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

#endif
