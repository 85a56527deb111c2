/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_RULES_WORLD_H
#define EMLFS_TESTS_RULES_WORLD_H

/* Rules over a fake archive, a user database and clocks of our own. */
#include "fake_mail.h"

#include "../../../store/policy/bindings.h"
#include "../../../store/policy/rules_internal.h"

#define SECOND INT64_C(1000000000)
#define DAY (86400 * SECOND)

/* Users by id; the uid of each is 1000 and its id. */
enum { ALICE = 1, BOB, CAROL, DAVE, EVE, FRANK };
static const char *const user_names[] = {"", "alice", "bob", "carol", "dave", "eve", "frank"};
#define USERS 6u
#define UID(user) (1000u + (user))
#define GROUP_STAFF 500u /* alice and bob */
#define GROUP_SALES 600u /* bob and carol */

struct world {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_index index;
    struct emlfs_folder_id inbox[USERS + 1];
    int64_t monotonic_ns;
    struct emlfs_time_sample sample;
    int sample_error;
    unsigned asked; /* NSS */
    int nss_error;
    bool locked; /* NSS was asked with a lock held */
};

static int world_uid(void *arg, const char *account, uid_t *ret_uid)
{
    (void)arg;
    for (unsigned i = 1; i <= USERS; i++)
        if (strcmp(account, user_names[i]) == 0) {
            *ret_uid = UID(i);
            return 0;
        }
    return -ENOENT;
}

static void nss_look(struct world *w)
{
    __atomic_add_fetch(&w->asked, 1, __ATOMIC_RELAXED);
    if (!w->rules)
        return;
    if (pthread_mutex_trylock(&w->rules->load) == 0)
        pthread_mutex_unlock(&w->rules->load);
    else
        __atomic_store_n(&w->locked, true, __ATOMIC_RELAXED);
}

static int world_groups(void *arg, const char *account, gid_t *ret, unsigned max, unsigned *ret_n)
{
    struct world *w = arg;

    assert_true(max >= 2);
    nss_look(w);
    if (w->nss_error)
        return w->nss_error;
    *ret_n = 0;
    if (strcmp(account, "alice") == 0 || strcmp(account, "bob") == 0)
        ret[(*ret_n)++] = GROUP_STAFF;
    if (strcmp(account, "bob") == 0 || strcmp(account, "carol") == 0)
        ret[(*ret_n)++] = GROUP_SALES;
    return 0;
}

static int world_gid(void *arg, const char *group, gid_t *ret_gid)
{
    struct world *w = arg;

    nss_look(w);
    if (w->nss_error)
        return w->nss_error;
    if (strcmp(group, "staff") != 0 && strcmp(group, "sales") != 0)
        return -ENOENT;
    *ret_gid = strcmp(group, "staff") == 0 ? GROUP_STAFF : GROUP_SALES;
    return 0;
}

static int64_t world_monotonic(void *arg)
{
    const struct world *w = arg;
    return __atomic_load_n(&w->monotonic_ns, __ATOMIC_RELAXED);
}

static int world_sample(void *arg, struct emlfs_time_sample *ret)
{
    const struct world *w = arg;

    *ret = w->sample;
    return w->sample_error;
}

static void world_open(struct world *w)
{
    const struct emlfs_rules_options options = {.archive = w->archive,
                                                .bindings = w->bindings,
                                                .index = &w->index,
                                                .sample = world_sample,
                                                .sample_arg = w};
    const struct rules_system system = {
        .groups = world_groups, .gid = world_gid, .monotonic_ns = world_monotonic, .arg = w};
    struct emlfs_err err = {0};

    if (emlfs_rules_open_on(&options, &system, &w->rules, &err) < 0)
        fail_msg("%s", err.text);
}

/* alice administers; time passes on all clocks together. */
static int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const struct bindings_system system = {
        .uid = world_uid, .monotonic_ns = world_monotonic, .arg = w};

    assert_non_null(w);
    fake_mail_n = 0;
    w->archive = fake_new();
    w->monotonic_ns = 1000 * SECOND;
    w->sample = (struct emlfs_time_sample){
        .wall_ns = w->archive->now_ns, .boot_ns = 1000 * SECOND, .boot_id = {1}};
    for (unsigned i = 1; i <= USERS; i++) {
        struct emlfs_user user;
        const struct emlfs_user_new made = {user_names[i], NULL, i == ALICE ? EMLFS_USER_ADMIN : 0};
        assert_int_equal(emlfs_user_add(w->archive, NULL, &made, &user, NULL), 0);
        w->inbox[i] = user.archive;
    }
    assert_int_equal(emlfs_bindings_new_on(w->archive, &system, &w->bindings), 0);
    world_open(w);
    *state = w;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *w = *state;

    emlfs_rules_close(w->rules);
    emlfs_bindings_free(w->bindings);
    fake_free(w->archive);
    free(w);
    return 0;
}

static inline void world_pass(struct world *w, int64_t ns)
{
    __atomic_add_fetch(&w->monotonic_ns, ns, __ATOMIC_RELAXED);
    w->archive->now_ns += ns;
    w->sample.wall_ns += ns;
    w->sample.boot_ns += ns;
}

static const struct emlfs_by by_alice = {
    .actor = {.user = {ALICE}, .uid = UID(ALICE), .source = EMLFS_LEDGER_COMMAND, .admin = true},
    .who = "alice",
    .reason = "because"};
static const struct emlfs_by by_silent = {
    .actor = {.user = {ALICE}, .uid = UID(ALICE), .source = EMLFS_LEDGER_COMMAND, .admin = true},
    .who = "alice",
    .reason = ""};

/* uid 0, which is no archive user. */
static const struct emlfs_by by_root = {
    .actor = {.uid = 0, .source = EMLFS_LEDGER_COMMAND, .admin = true},
    .who = "root",
    .reason = "because"};

static inline struct emlfs_subject subject_of(unsigned user)
{
    return (struct emlfs_subject){.uid = user ? UID(user) : 0, .gid = user ? UID(user) : 0};
}

static inline int check(struct world *w, unsigned user, enum emlfs_object kind, unsigned owner,
                        enum emlfs_access_call call)
{
    const struct emlfs_subject subject = subject_of(user);
    const struct emlfs_target target = {
        kind, {(uint16_t)owner}, kind == EMLFS_OBJECT_MESSAGE ? 1 : 0};

    return emlfs_rules_check(w->rules, &subject, &target, call, NULL);
}

static inline void grant_user(struct world *w, unsigned archive, unsigned user, uint32_t grants)
{
    const struct emlfs_grant grant = {
        .archive = {(uint16_t)archive}, .user = {(uint16_t)user}, .grants = grants};
    assert_int_equal(emlfs_rules_grant(w->rules, &by_root, &grant, NULL), 0);
}

static inline void grant_group(struct world *w, unsigned archive, const char *group,
                               uint32_t grants)
{
    struct emlfs_grant grant = {.archive = {(uint16_t)archive}, .grants = grants};

    snprintf(grant.group, sizeof(grant.group), "%s", group);
    assert_int_equal(emlfs_rules_grant(w->rules, &by_root, &grant, NULL), 0);
}

static inline struct emlfs_policy policy(const char *name, const char *query, uint32_t years,
                                         uint32_t flags)
{
    struct emlfs_policy made = {.flags = flags | EMLFS_POLICY_ENABLED,
                                .start = EMLFS_START_ARCHIVED,
                                .period = {years, EMLFS_PERIOD_YEARS}};

    snprintf(made.name, sizeof(made.name), "%s", name);
    snprintf(made.query, sizeof(made.query), "%s", query);
    return made;
}

static inline struct emlfs_hold hold(const char *name, enum emlfs_hold_scope scope,
                                     const char *query)
{
    struct emlfs_hold made = {.scope = scope};

    snprintf(made.name, sizeof(made.name), "%s", name);
    snprintf(made.query, sizeof(made.query), "%s", query);
    return made;
}

#define WORLD_TEST(test) cmocka_unit_test_setup_teardown(test, world_setup, world_teardown)

#endif
