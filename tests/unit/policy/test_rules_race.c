/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Readers and changes at the same time. Made for ThreadSanitizer; the answers are checked, too. */
#include "rules_world.h"

#define READERS 3u
#define ROUNDS 300u

struct race {
    struct world *w;
    atomic_bool stop;
    atomic_uint granted; /* by 4: 0 is being granted, 1 granted, 2 being taken back */
    atomic_uint wrong;
};

/* What was granted before the question and is granted behind it was granted all the time. */
static void *ask(void *arg)
{
    struct race *race = arg;
    struct emlfs_shape shape;
    bool loose;

    while (!atomic_load(&race->stop)) {
        unsigned before = atomic_load(&race->granted);
        int r = check(race->w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN);
        unsigned after = atomic_load(&race->granted);
        if (before == after && before % 4 == 1 && r != 0)
            atomic_fetch_add(&race->wrong, 1);
        emlfs_rules_shape(race->w->rules, (struct emlfs_user_id){BOB}, &shape);
        if (emlfs_rules_loose(race->w->rules, &fake_mail[0].entry, 1, &loose, NULL) < 0)
            atomic_fetch_add(&race->wrong, 1);
        if (emlfs_rules_tick(race->w->rules, NULL) < 0)
            atomic_fetch_add(&race->wrong, 1);
    }
    return NULL;
}

static void *change_others(void *arg)
{
    struct race *race = arg;

    for (unsigned i = 0; !atomic_load(&race->stop); i++) {
        struct emlfs_hold made = hold("h", EMLFS_HOLD_QUERY, "red");
        if (emlfs_rules_hold_place(race->w->rules, &by_alice, &made, NULL) == 0)
            (void)emlfs_rules_hold_release(race->w->rules, &by_alice, made.id, NULL);
        (void)emlfs_rules_set_audited(race->w->rules, &by_alice, i % 32, NULL);
    }
    return NULL;
}

static void readers_beside_changes(void **state)
{
    struct world *w = *state;
    struct race race = {.w = w};
    pthread_t readers[READERS], other;

    fake_mail_add((struct emlfs_user_id){BOB}, w->inbox[BOB], 1, "red");
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, ask, &race), 0);
    assert_int_equal(pthread_create(&other, NULL, change_others, &race), 0);
    for (unsigned i = 0; i < ROUNDS; i++) {
        grant_user(w, BOB, CAROL, EMLFS_GRANT_READ);
        atomic_fetch_add(&race.granted, 1); /* 1: it is granted */
        int r = check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN);
        assert_int_equal(r, 0);
        atomic_fetch_add(&race.granted, 1); /* 2: it is being taken back */
        grant_user(w, BOB, CAROL, 0);
        r = check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN);
        assert_int_equal(r, -ENOENT);
        atomic_fetch_add(&race.granted, 2); /* 0: it is being granted */
    }
    atomic_store(&race.stop, true);
    for (unsigned i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    pthread_join(other, NULL);
    assert_int_equal(atomic_load(&race.wrong), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {WORLD_TEST(readers_beside_changes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
