/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bindings on the fake archive, a fake user database and a clock of our own. */
#include "fake_archive.h"

#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <unistd.h>

#include "../../../store/policy/bindings.h"

#define SECOND INT64_C(1000000000)

struct nss {
    int64_t now_ns;
    unsigned asked;
    int error; /* instead of an answer */
    uid_t alice;
    bool slow; /* wait for go in the next question */
    sem_t waiting, go;
};

struct world {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct nss nss;
};

static int nss_uid(void *arg, const char *account, uid_t *ret_uid)
{
    struct nss *nss = arg;

    nss->asked++;
    if (nss->slow) {
        nss->slow = false;
        sem_post(&nss->waiting);
        sem_wait(&nss->go);
    }
    if (nss->error)
        return nss->error;
    if (strcmp(account, "alice") == 0)
        *ret_uid = nss->alice;
    else if (strcmp(account, "bob") == 0)
        *ret_uid = 1001;
    else if (strcmp(account, "root") == 0)
        *ret_uid = 0;
    else
        return -ENOENT;
    return 0;
}

static int64_t nss_now(void *arg)
{
    const struct nss *nss = arg;
    return nss->now_ns;
}

enum { ALICE = 1, BOB, GHOST, ROOT };

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    const struct bindings_system system = {.uid = nss_uid, .monotonic_ns = nss_now, .arg = &w->nss};

    w->archive = fake_new();
    w->nss.now_ns = 1000 * SECOND;
    w->nss.alice = 1000;
    sem_init(&w->nss.waiting, 0, 0);
    sem_init(&w->nss.go, 0, 0);
    assert_int_equal(emlfs_user_add(w->archive, NULL,
                                    &(struct emlfs_user_new){"alice", NULL, EMLFS_USER_ADMIN}, NULL,
                                    NULL),
                     0);
    assert_int_equal(
        emlfs_user_add(w->archive, NULL, &(struct emlfs_user_new){"bob", NULL, 0}, NULL, NULL), 0);
    assert_int_equal(emlfs_user_add(w->archive, NULL,
                                    &(struct emlfs_user_new){"ghost", NULL, EMLFS_USER_ADMIN}, NULL,
                                    NULL),
                     0);
    assert_int_equal(emlfs_user_add(w->archive, NULL,
                                    &(struct emlfs_user_new){"superuser", "root", 0}, NULL, NULL),
                     0);
    assert_int_equal(emlfs_bindings_new_on(w->archive, &system, &w->bindings), 0);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    emlfs_bindings_free(w->bindings);
    sem_destroy(&w->nss.waiting);
    sem_destroy(&w->nss.go);
    fake_free(w->archive);
    free(w);
    return 0;
}

static bool reads(struct world *w, uid_t uid, uint16_t user)
{
    struct emlfs_subject subject = {.uid = uid, .gid = uid};
    return emlfs_bindings_may_read(w->bindings, &subject, (struct emlfs_user_id){user});
}

static bool administers(struct world *w, uid_t uid)
{
    struct emlfs_subject subject = {.uid = uid, .gid = uid};
    return emlfs_bindings_is_admin(w->bindings, &subject);
}

/* uid of user, or the negative error. */
static int64_t owner(struct world *w, uint16_t user)
{
    uid_t uid = 0;
    int r = emlfs_bindings_uid(w->bindings, (struct emlfs_user_id){user}, &uid);
    return r < 0 ? r : (int64_t)uid;
}

static void owners_read_and_administrators_administer(void **state)
{
    struct world *w = *state;

    assert_int_equal(owner(w, ALICE), 1000);
    assert_int_equal(owner(w, BOB), 1001);
    assert_int_equal(owner(w, GHOST), -ENOENT);
    assert_int_equal(owner(w, ROOT), 0);
    assert_int_equal(owner(w, 5), -ENOENT);
    assert_true(reads(w, 1000, ALICE));
    assert_false(reads(w, 1000, BOB)); /* an administrator is no reader */
    assert_false(reads(w, 0, ALICE));  /* nor is root */
    assert_true(reads(w, 0, ROOT));
    assert_false(reads(w, 0, GHOST));
    assert_false(reads(w, 1000, 5));
    assert_true(administers(w, 0));
    assert_true(administers(w, 1000));
    assert_false(administers(w, 1001));
    assert_false(administers(w, 4711));
}

static void answers_are_kept_for_a_minute(void **state)
{
    struct world *w = *state;

    assert_int_equal(owner(w, ALICE), 1000);
    assert_int_equal(w->nss.asked, 1);
    w->nss.alice = 2000;
    w->nss.now_ns += 59 * SECOND;
    assert_int_equal(owner(w, ALICE), 1000);
    assert_int_equal(w->nss.asked, 1);
    w->nss.now_ns += 2 * SECOND;
    assert_int_equal(owner(w, ALICE), 2000);
    assert_int_equal(w->nss.asked, 2);
    assert_false(reads(w, 1000, ALICE));
    emlfs_bindings_refresh(w->bindings);
    w->nss.alice = 3000;
    assert_int_equal(owner(w, ALICE), 3000);
    assert_int_equal(w->nss.asked, 3);
}

static void removal_counts_after_a_refresh_or_a_minute(void **state)
{
    struct world *w = *state;

    assert_true(reads(w, 1001, BOB));
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "bob", NULL), 0);
    emlfs_bindings_refresh(w->bindings);
    assert_false(reads(w, 1001, BOB));
    assert_int_equal(owner(w, BOB), -ENOENT);
    assert_true(administers(w, 1000));
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "alice", NULL), 0);
    assert_true(administers(w, 1000));
    w->nss.now_ns += 61 * SECOND;
    assert_false(administers(w, 1000));
    assert_false(reads(w, 1000, ALICE));
}

static void failures_refuse_unless_an_answer_was_known(void **state)
{
    struct world *w = *state;

    w->nss.error = -EIO;
    assert_int_equal(owner(w, BOB), -EIO);
    assert_false(reads(w, 1001, BOB));
    assert_int_equal(w->nss.asked, 1); /* the second did not ask again at once */
    w->nss.error = 0;
    w->nss.now_ns += 6 * SECOND;
    assert_true(reads(w, 1001, BOB));
    w->nss.error = -EIO;
    w->nss.now_ns += 61 * SECOND;
    assert_true(reads(w, 1001, BOB)); /* an outage */
    w->nss.now_ns += 16 * 60 * SECOND;
    assert_false(reads(w, 1001, BOB)); /* too long a one */
    w->nss.error = 0;
    w->nss.now_ns += 6 * SECOND;
    assert_true(reads(w, 1001, BOB));
    w->nss.error = -ENOENT;
    w->nss.now_ns += 61 * SECOND;
    assert_false(reads(w, 1001, BOB)); /* the account is gone: no outage */
}

static void unreadable_users_have_no_rights(void **state)
{
    struct world *w = *state;

    assert_true(reads(w, 1000, ALICE));
    w->archive->reads_fail = 1;
    emlfs_bindings_refresh(w->bindings);
    assert_false(reads(w, 1000, ALICE));
    assert_false(administers(w, 1000));
    assert_true(administers(w, 0));
    w->archive->reads_fail = 0;
    assert_true(reads(w, 1000, ALICE));
}

static void *ask_bob(void *arg)
{
    struct world *w = arg;
    return reads(w, 1001, BOB) ? w : NULL;
}

static void a_slow_answer_stops_nobody_else(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    void *result;

    assert_true(reads(w, 1001, BOB));
    w->nss.now_ns += 61 * SECOND;
    w->nss.slow = true;
    assert_int_equal(pthread_create(&thread, NULL, ask_bob, w), 0);
    sem_wait(&w->nss.waiting);
    assert_true(reads(w, 1000, ALICE)); /* another user */
    assert_true(reads(w, 1001, BOB));   /* the same: by the answer that ran out */
    assert_int_equal(w->nss.asked, 3);
    sem_post(&w->nss.go);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, w);
}

static void a_refresh_is_not_undone_by_a_slow_answer(void **state)
{
    struct world *w = *state;
    pthread_t thread;
    void *result;

    w->nss.slow = true;
    assert_int_equal(pthread_create(&thread, NULL, ask_bob, w), 0);
    sem_wait(&w->nss.waiting);
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "bob", NULL), 0);
    emlfs_bindings_refresh(w->bindings);
    assert_false(reads(w, 1001, BOB));
    sem_post(&w->nss.go);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_false(reads(w, 1001, BOB));
}

static void *hammer(void *arg)
{
    struct world *w = arg;
    bool ok = true;

    for (unsigned i = 0; i < 3000 && ok; i++) {
        if (i % 50 == 0)
            emlfs_bindings_refresh(w->bindings);
        ok = reads(w, 1000, ALICE) && !reads(w, 1000, BOB) && administers(w, 1000) &&
             !administers(w, 1001);
    }
    return ok ? w : NULL;
}

static int constant_uid(void *arg, const char *account, uid_t *ret_uid)
{
    (void)arg;
    *ret_uid = strcmp(account, "alice") == 0 ? 1000 : 1001;
    return 0;
}

static void threads_agree(void **state)
{
    enum { THREADS = 6 };
    struct world *w = *state;
    const struct bindings_system system = {
        .uid = constant_uid, .monotonic_ns = nss_now, .arg = &w->nss};
    pthread_t threads[THREADS];
    void *result;

    emlfs_bindings_free(w->bindings);
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "ghost", NULL), 0);
    assert_int_equal(emlfs_bindings_new_on(w->archive, &system, &w->bindings), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, w), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, w);
    }
}

static void the_system_knows_its_accounts(void **state)
{
    struct world *w = *state;
    const struct passwd *me = getpwuid(getuid());

    if (!me)
        skip();
    emlfs_bindings_free(w->bindings);
    struct emlfs_user user;
    assert_int_equal(emlfs_user_add(w->archive, NULL,
                                    &(struct emlfs_user_new){"me", me->pw_name, 0}, &user, NULL),
                     0);
    assert_int_equal(emlfs_user_add(w->archive, NULL,
                                    &(struct emlfs_user_new){"none", "no such account", 0}, NULL,
                                    NULL),
                     0);
    assert_int_equal(emlfs_bindings_new(w->archive, &w->bindings), 0);
    assert_int_equal(owner(w, user.id.v), getuid());
    assert_true(reads(w, getuid(), user.id.v));
    assert_int_equal(owner(w, (uint16_t)(user.id.v + 1)), -ENOENT);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(owners_read_and_administrators_administer),
        TEST(answers_are_kept_for_a_minute),
        TEST(removal_counts_after_a_refresh_or_a_minute),
        TEST(failures_refuse_unless_an_answer_was_known),
        TEST(unreadable_users_have_no_rights),
        TEST(a_slow_answer_stops_nobody_else),
        TEST(a_refresh_is_not_undone_by_a_slow_answer),
        TEST(threads_agree),
        TEST(the_system_knows_its_accounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
