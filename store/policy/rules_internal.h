/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_RULES_INTERNAL_H
#define EMLFS_STORE_POLICY_RULES_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/rules_change.h"
#include "rules_snapshot.h"

/* The rules at work, private to store/policy and its tests. rules.c says how it fits together. */

#define RULES_CACHE_NS (INT64_C(60) * 1000000000)
#define RULES_RETRY_NS (INT64_C(5) * 1000000000) /* after NSS failed */
#define RULES_ATTEMPTS_MAX 100u /* each further one needs a change of the rules meanwhile */
#define RULES_GROUPS_MAX 65536u /* of one account */

/* ---- the system below */

struct rules_system {
    /* Groups of account, at most max. -ERANGE: more; -ENOENT: no account; other: cannot tell. */
    int (*groups)(void *arg, const char *account, gid_t *ret, unsigned max, unsigned *ret_n);
    /* gid of a group. -ENOENT; other -errno: cannot tell now. Both may take long. */
    int (*gid)(void *arg, const char *group, gid_t *ret_gid);
    int64_t (*monotonic_ns)(void *arg);
    void *arg;
};
struct rules_system emlfs_rules_system(void);
int emlfs_rules_open_on(const struct emlfs_rules_options *options,
                        const struct rules_system *system, struct emlfs_rules **ret,
                        struct emlfs_err *err);

/* ---- rules_who.c: callers */

struct rules_caller {
    atomic_uint refs;
    uint64_t serial; /* of this cache, never used twice */
    uint64_t users_serial;
    int64_t until_ns;
    struct emlfs_subject subject;
    struct emlfs_user_id user; /* 0: none */
    bool gids_known;           /* not asked for where no group is granted anything */
    unsigned gids_n;
    gid_t gids[];
};
struct rules_group {
    char name[EMLFS_USER_NAME_MAX_BYTES + 1];
    bool known;
    gid_t gid;
    int64_t until_ns;
};
struct rules_groups { /* of one generation, as snapshot->groups */
    atomic_uint refs;
    uint64_t generation;
    int64_t until_ns;
    size_t n;
    struct rules_group v[];
};
void rules_caller_unref(struct rules_caller *caller);
void rules_groups_unref(struct rules_groups *groups);
/* Is user's account in this group, as NSS says at this moment? 1, 0, or -errno: cannot tell. */
int rules_user_in_group(struct emlfs_rules *rules, const struct rules_user *user,
                        const char *group);
/* NULL: no memory. NSS is asked when the last answer is too old. */
struct rules_groups *rules_groups_get(struct emlfs_rules *rules,
                                      const struct rules_snapshot *snapshot);
/* False: NSS does not tell. */
bool rules_groups_gid(const struct rules_groups *groups, const char *name, gid_t *ret_gid);

/* Somebody asks: who they are, by which rules. */
struct rules_ask {
    struct emlfs_rules *rules;
    struct rules_snapshot *snapshot;
    struct rules_caller *caller;
    struct emlfs_who who;
    struct emlfs_rights rights;
};
int rules_ask_begin(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                    struct rules_ask *ret, struct emlfs_err *err);
void rules_ask_end(struct rules_ask *ask);
#define RULES_ASK_CLEANUP __attribute__((cleanup(rules_ask_end)))
/* What ask's subject is told about target. */
void rules_ask_object(struct rules_ask *ask, const struct emlfs_target *target,
                      struct emlfs_access_object *ret);
/* target as it is for everybody: no grants. */
void rules_object(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                  const struct emlfs_target *target, struct emlfs_access_object *ret);
struct emlfs_access_subject rules_subject_of(const struct rules_snapshot *snapshot,
                                             const struct rules_user *user);
int rules_refusal(struct emlfs_err *err, int r);

/* ---- rules_match.c: entries of one user archive under all policies and holds */

struct rules_page {
    struct emlfs_rules *rules;
    const struct rules_snapshot *snapshot;
    struct emlfs_user_id user;
    const struct emlfs_entry *entries;
    unsigned n;
    unsigned at;   /* the one that is asked about */
    int **answers; /* policies, then holds; NULL: not asked yet */
};
void rules_page_open(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                     const struct emlfs_entry *entries, unsigned n, struct rules_page *ret);
void rules_page_close(struct rules_page *page);
#define RULES_PAGE_CLEANUP __attribute__((cleanup(rules_page_close)))
/* What cannot be told is never, and held. */
void rules_page_retention(struct rules_page *page, unsigned at, struct emlfs_retention *ret);
void rules_page_held(struct rules_page *page, unsigned at, struct emlfs_held *ret);

/* ---- rules_walk.c */

/* Pages of entries of folder and all below it. Non-zero of each stops. */
#define RULES_PAGE_ENTRIES 256u
int rules_walk(struct emlfs_rules *rules, struct emlfs_folder_id folder,
               int (*each)(void *arg, const struct emlfs_entry *entries, unsigned n), void *arg,
               struct emlfs_err *err);

/* ---- rules_clock.c */

struct rules_clock {
    pthread_mutex_t lock; /* of what follows */
    struct emlfs_compliance state;
    bool known;      /* the last sample could be taken */
    bool told_apart; /* since they were together last */
    int64_t ticked_ns;
    pthread_mutex_t save; /* one writes the state at a time; before lock */
    int64_t saved_boot_ns;
};
int rules_clock_open(struct emlfs_rules *rules, struct emlfs_err *err);
void rules_clock_close(struct emlfs_rules *rules);
/* The state now; false: not known, then no date has passed. at_once: not that of a moment ago. */
bool rules_clock_get(struct emlfs_rules *rules, bool at_once, struct emlfs_compliance *ret);

/* ---- rules_login.c */

#define RULES_LOGIN_NAMES 1024u
#define RULES_LOGIN_FAILURES 5u
#define RULES_LOGIN_CLOSED_NS (INT64_C(60) * 1000000000)
struct rules_login_name {
    char name[EMLFS_USER_NAME_MAX_BYTES + 1];
    unsigned failures; /* in a row, those under way included */
    int64_t until_ns;  /* closed, or forgotten, at */
};
/* Is it the password of the user called name? As emlfs_rules_login, nothing is recorded. */
int rules_password(struct emlfs_rules *rules, const char *name, struct emlfs_span password,
                   struct emlfs_user_id *ret_user, struct emlfs_err *err);

/* ---- rules_limit.c: how many refusals are recorded */

#define RULES_REFUSED_SLOTS 256u
#define RULES_REFUSED_RATE 60u          /* a minute, of one uid */
#define RULES_REFUSED_TRUSTED_RATE 600u /* of root and of an administrator */
#define RULES_REFUSED_ALL_RATE 600u     /* of all others together */
struct rules_refused_slot {
    int64_t uid;
    int64_t full_ns; /* 0: nobody's */
    uint64_t more;   /* not recorded since the last record */
};
struct rules_refused {
    struct rules_refused_slot v[RULES_REFUSED_SLOTS];
    struct rules_refused_slot others;
    int64_t all_full_ns;
};

/* ---- rules_query.c: queries of policies and holds */

typedef int rules_term_fn(const struct emlfs_query_term *term, struct emlfs_err *err);
/* EINVAL: no query, one that says nothing, or what each said of a term. -ENOMEM. */
int rules_query_check(const char *text, rules_term_fn *each, struct emlfs_err *err);
/* Does the day move with the calendar? */
bool rules_day_is_relative(const struct emlfs_query_day *day);

/* ---- rules_change.c: changes with their record */

struct rules_act {
    enum emlfs_ledger_kind kind;
    uint64_t object;
    struct emlfs_user_id owner;
    struct emlfs_msg_id message;
    const char *name, *detail;
    const struct emlfs_master_row *rows;
    size_t n;
};
/* A change under way: what it is checked against is by, to be committed as of now. */
struct rules_job {
    struct emlfs_rules *rules;
    const struct emlfs_by *by;
    struct rules_snapshot *now;
    const void *what;
    void *ret;
};
typedef int rules_job_fn(struct rules_job *job, struct emlfs_err *err);
/* fn until what it was checked against is still so when it is written. */
int rules_job_run(struct rules_job *job, rules_job_fn *fn, struct emlfs_err *err);
int rules_job_commit(struct rules_job *job, const struct rules_act *act, struct emlfs_err *err);
/* EINVAL: no reason, or none that a record takes. */
int rules_reason_check(const struct emlfs_by *by, bool needed, struct emlfs_err *err);
/* The name of who does it, for rows. */
void rules_by_name(const struct emlfs_by *by, char ret[EMLFS_USER_NAME_MAX_BYTES + 1]);
/* text as a record takes it: cut to size, what is no text replaced. */
void rules_text(const char *text, char *ret, size_t size);
struct emlfs_span rules_key_u16(struct emlfs_user_id id, uint8_t bytes[2]);
struct emlfs_span rules_key_u32(uint32_t id, uint8_t bytes[4]);

/* ---- all of it */

#define RULES_CALLERS 1024u
#define RULES_CALLER_WAYS 4u
#define RULES_GRANT_SLOTS 4096u
#define RULES_SHAPE_SLOTS 1024u

struct rules_grant_slot {
    uint64_t caller; /* its serial */
    uint64_t generation;
    int64_t until_ns;
    struct emlfs_user_id archive;
    uint32_t grants;
};
struct rules_shape_slot {
    uint64_t generation;
    int64_t until_ns;
    struct emlfs_user_id archive;
    struct emlfs_shape shape;
};
struct emlfs_rules {
    struct emlfs_rules_options options;
    struct rules_system system;
    atomic_bool read_only; /* instead of options.read_only, which is its first value */
    pthread_mutex_t load;  /* one reads the rows at a time */
    pthread_mutex_t lock;  /* of everything below, the clock apart; a leaf */
    struct rules_snapshot *snapshot;
    struct rules_groups *groups;
    uint64_t serial;
    struct rules_caller *callers[RULES_CALLERS];
    struct rules_grant_slot grants[RULES_GRANT_SLOTS];
    struct rules_shape_slot shapes[RULES_SHAPE_SLOTS];
    struct rules_named_set named;
    struct rules_login_name names[RULES_LOGIN_NAMES];
    struct rules_refused refused;
    struct rules_clock clock;
};
static inline int64_t rules_now_ns(const struct emlfs_rules *rules)
{
    return rules->system.monotonic_ns(rules->system.arg);
}

#endif
