/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Holds, and the answer that brings rights, stores, holds, retention and clocks together. */
#include "policy_test.h"

#include "emlfs/govern.h"

#define SECOND INT64_C(1000000000)
#define NOW_SEC INT64_C(1900000000)
#define PAST (NOW_SEC - 1)
#define FUTURE (NOW_SEC + 1)

/* ---- holds */

static struct emlfs_hold hold_named(uint32_t id, const char *name, enum emlfs_hold_scope scope)
{
    struct emlfs_hold hold = {.id = id, .scope = scope, .placed_ns = 100};

    snprintf(hold.name, sizeof(hold.name), "%s", name);
    snprintf(hold.placed_by, sizeof(hold.placed_by), "admin");
    if (scope == EMLFS_HOLD_QUERY)
        snprintf(hold.query, sizeof(hold.query), "%s", name);
    return hold;
}

static void release(struct emlfs_hold *hold)
{
    hold->released = true;
    hold->released_ns = 200;
    snprintf(hold->released_by, sizeof(hold->released_by), "boss");
    snprintf(hold->release_reason, sizeof(hold->release_reason), "the case is closed");
}

static int name_match(void *arg, const struct emlfs_hold *hold)
{
    if (strcmp(hold->name, "broken") == 0)
        return -EIO;
    return strstr(arg, hold->name) != NULL;
}

static void many_holds_and_a_global_one(void **state)
{
    struct emlfs_hold v[] = {
        hold_named(1, "tax", EMLFS_HOLD_QUERY), hold_named(2, "court", EMLFS_HOLD_MESSAGES),
        hold_named(3, "fire", EMLFS_HOLD_ALL), hold_named(4, "broken", EMLFS_HOLD_QUERY)};
    struct emlfs_hold_set set = {v, 3};
    char text[] = "tax court";
    char none[] = "nothing";
    struct emlfs_held held;

    (void)state;
    assert_int_equal(emlfs_hold_of(&set, name_match, text, &held), 0);
    assert_true(held.held && held.n == 3 && held.first[2] == 2);
    assert_int_equal(emlfs_hold_of(&set, name_match, none, &held), 0);
    assert_true(held.held && held.n == 1 && held.first[0] == 2);
    release(&v[2]);
    assert_int_equal(emlfs_hold_of(&set, name_match, none, &held), 0);
    assert_false(held.held);
    release(&v[0]);
    assert_int_equal(emlfs_hold_of(&set, name_match, text, &held), 0);
    assert_true(held.held && held.n == 1 && held.first[0] == 1);
    set.n = 4; /* one that cannot be told: held */
    assert_int_equal(emlfs_hold_of(&set, name_match, none, &held), -EIO);
    assert_true(held.held && held.n == 0);
    release(&v[3]);
    assert_int_equal(emlfs_hold_of(&set, name_match, none, &held), 0);
    assert_false(held.held);
}

static void a_hold_is_placed_and_released_once(void **state)
{
    struct emlfs_hold placed = hold_named(5, "tax", EMLFS_HOLD_QUERY);
    struct emlfs_hold released = placed;
    struct emlfs_hold other = hold_named(6, "tax", EMLFS_HOLD_ALL);
    const struct emlfs_hold_set none = {NULL, 0};
    struct emlfs_hold_set others = {&placed, 1};

    (void)state;
    release(&released);
    assert_int_equal(emlfs_hold_change_check(NULL, &placed, &none, NULL), 0);
    assert_int_equal(emlfs_hold_change_check(NULL, &placed, &others, NULL), -EEXIST);
    assert_int_equal(emlfs_hold_change_check(NULL, &other, &others, NULL), -EEXIST);
    assert_int_equal(emlfs_hold_change_check(NULL, &released, &none, NULL), -EINVAL);
    assert_int_equal(emlfs_hold_change_check(&placed, &released, &others, NULL), 0);
    assert_int_equal(emlfs_hold_change_check(&released, &placed, &none, NULL), -EPERM);
    assert_int_equal(emlfs_hold_change_check(&released, &released, &none, NULL), -EPERM);
    assert_int_equal(emlfs_hold_change_check(&placed, &placed, &none, NULL), -EPERM);
    others.v = &released; /* the name is free again */
    assert_int_equal(emlfs_hold_change_check(NULL, &other, &others, NULL), 0);
    snprintf(released.query, sizeof(released.query), "less");
    assert_int_equal(emlfs_hold_change_check(&placed, &released, &none, NULL), -EPERM);
    released = placed;
    release(&released);
    released.released_ns = 99; /* before it was placed */
    assert_int_equal(emlfs_hold_change_check(&placed, &released, &none, NULL), -EINVAL);
    other.query[0] = 'x'; /* the global hold has no query */
    assert_int_equal(emlfs_hold_change_check(NULL, &other, &none, NULL), -EINVAL);
}

static void hold_rows(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(64);
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_HOLD_ROW_MAX_BYTES);
    const uint8_t id[] = {0, 0, 0, 7};
    const struct emlfs_span hold_key = emlfs_span_of(id, sizeof(id));
    struct emlfs_hold hold = hold_named(7, "tax", EMLFS_HOLD_QUERY);
    struct emlfs_hold again;
    struct emlfs_hold_message message = {7, emlfs_msg_id_make(2, 99), -5, "admin"};
    struct emlfs_hold_message message_again;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(emlfs_hold_encode(&hold, &row), 0);
        assert_int_equal(emlfs_hold_decode(hold_key, emlfs_buf_view(&row), &again), 0);
        assert_memory_equal(&hold, &again, sizeof(hold));
        for (size_t len = 0; len < row.len; len++)
            assert_int_equal(emlfs_hold_decode(hold_key, emlfs_span_of(row.data, len), &again),
                             -EUCLEAN);
        release(&hold);
    }
    row.data[0] = 2;
    assert_int_equal(emlfs_hold_decode(hold_key, emlfs_buf_view(&row), &again), -EPROTONOSUPPORT);
    hold.released_by[0] = 0;
    assert_int_equal(emlfs_hold_encode(&hold, &row), -EINVAL);
    assert_int_equal(emlfs_hold_message_encode(&message, &key, &row), 0);
    assert_int_equal(
        emlfs_hold_message_decode(emlfs_buf_view(&key), emlfs_buf_view(&row), &message_again), 0);
    assert_int_equal(message.hold, message_again.hold);
    assert_int_equal(message.id.v, message_again.id.v);
    assert_int_equal(message.added_ns, message_again.added_ns);
    assert_string_equal(message.added_by, message_again.added_by);
    message.id.v = 0;
    assert_int_equal(emlfs_hold_message_encode(&message, &key, &row), -EINVAL);
}

/* ---- one case, changed a little by each test */

struct world {
    struct emlfs_access_subject subject;
    struct emlfs_access_object object;
    struct emlfs_policy policy;
    struct emlfs_policy_set policies;
    struct emlfs_retention retention;
    struct emlfs_hold hold;
    struct emlfs_hold_set holds;
    struct emlfs_held held;
    struct emlfs_compliance clock;
    struct emlfs_case asked;
};

static void world_make(struct world *w)
{
    *w = (struct world){
        .subject = {.user = {1}, .may = EMLFS_MAY_ALL},
        .object = {.kind = EMLFS_OBJECT_MESSAGE, .archive = {1}, .grants = EMLFS_GRANT_ALL},
        .policy = {.id = 77,
                   .flags = EMLFS_POLICY_ENABLED,
                   .start = EMLFS_START_YEAR_END,
                   .period = {6, EMLFS_PERIOD_YEARS},
                   .name = "tax papers"},
        .retention = {PAST, PAST, 0, 0},
        .hold = hold_named(3, "court", EMLFS_HOLD_ALL),
        .clock = {.now_ns = NOW_SEC * SECOND, .last = {.wall_ns = NOW_SEC * SECOND}},
    };
    w->policies = (struct emlfs_policy_set){&w->policy, 1};
    w->holds = (struct emlfs_hold_set){&w->hold, 1};
    w->asked = (struct emlfs_case){.id = emlfs_msg_id_make(1, 5),
                                   .actor = 1000,
                                   .generation = 9,
                                   .subject = &w->subject,
                                   .object = &w->object,
                                   .policies = &w->policies,
                                   .retention = &w->retention,
                                   .holds = &w->holds,
                                   .held = &w->held,
                                   .clock = &w->clock};
}

static void world_hold(struct world *w)
{
    w->held = (struct emlfs_held){.held = true, .n = 1};
}

/* Errors, and that a verdict comes with 0 and with nothing else. */
static int delete_now(struct world *w)
{
    struct emlfs_verdict *verdict;

    int r = emlfs_govern_delete(&w->asked, &verdict, NULL);
    assert_int_equal(r == 0, verdict != NULL);
    assert_int_equal(r == 0, emlfs_govern_deletable(&w->asked));
    emlfs_verdict_free(verdict);
    return r;
}

static int expire_now(struct world *w)
{
    struct emlfs_verdict *verdict;

    int r = emlfs_govern_expire(&w->asked, &verdict, NULL);
    assert_int_equal(r == 0, verdict != NULL);
    emlfs_verdict_free(verdict);
    return r;
}

static int move_now(struct world *w, const struct emlfs_access_object *to)
{
    struct emlfs_verdict *verdict;

    int r = emlfs_govern_move(&w->asked, to, &verdict, NULL);
    assert_int_equal(r == 0, verdict != NULL);
    emlfs_verdict_free(verdict);
    return r;
}

static void deleting(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    assert_int_equal(delete_now(&w), 0);
    w.retention.earliest_sec = NOW_SEC;
    assert_int_equal(delete_now(&w), 0);
    w.retention.earliest_sec = FUTURE;
    assert_int_equal(delete_now(&w), -EPERM);
    w.retention.earliest_sec = EMLFS_TIME_NEVER;
    assert_int_equal(delete_now(&w), -EPERM);
    w.retention.earliest_sec = EMLFS_TIME_ALWAYS;
    assert_int_equal(delete_now(&w), 0);
    w.asked.clock = NULL; /* no date to wait for */
    assert_int_equal(delete_now(&w), 0);
    w.retention.earliest_sec = PAST;
    assert_int_equal(delete_now(&w), -EPERM);
}

static void both_clocks_must_agree(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    w.clock.now_ns = PAST * SECOND - 1;
    assert_int_equal(delete_now(&w), -EPERM);
    assert_int_equal(expire_now(&w), -EAGAIN);
    world_make(&w);
    w.clock.last.wall_ns = PAST * SECOND - 1;
    assert_int_equal(delete_now(&w), -EPERM);
    assert_int_equal(expire_now(&w), -EAGAIN);
    w.clock.last.wall_ns++;
    assert_int_equal(delete_now(&w), 0);
    assert_int_equal(expire_now(&w), 0);
}

static void holds_stand_above_everything(void **state)
{
    struct world w;
    struct emlfs_access_object folder = {
        .kind = EMLFS_OBJECT_FOLDER, .archive = {1}, .grants = EMLFS_GRANT_ALL};

    (void)state;
    world_make(&w);
    assert_int_equal(move_now(&w, &folder), 0);
    world_hold(&w);
    assert_int_equal(delete_now(&w), -EPERM);
    assert_int_equal(expire_now(&w), -EPERM);
    assert_int_equal(move_now(&w, &folder), -EPERM);
    w.retention.earliest_sec = EMLFS_TIME_ALWAYS;
    assert_int_equal(delete_now(&w), -EPERM);
}

static void moving_under_retention(void **state)
{
    struct world w;
    struct emlfs_access_object folder = {
        .kind = EMLFS_OBJECT_FOLDER, .archive = {1}, .grants = EMLFS_GRANT_ALL};

    (void)state;
    world_make(&w);
    w.retention.earliest_sec = FUTURE;
    assert_int_equal(move_now(&w, &folder), 0);
    folder.archive.v = 2; /* it would leave its archive */
    assert_int_equal(move_now(&w, &folder), -EPERM);
    w.retention.earliest_sec = PAST;
    assert_int_equal(move_now(&w, &folder), 0);
}

/* Rights and stores before retention: the errors in their order. */
static void order_of_errors(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    world_hold(&w);
    w.retention.earliest_sec = FUTURE;
    w.subject.may &= ~EMLFS_MAY_DELETE;
    assert_int_equal(delete_now(&w), -EACCES);
    w.object.store = EMLFS_STORE_WRITE_PROTECTED;
    assert_int_equal(delete_now(&w), -EROFS);
    assert_int_equal(expire_now(&w), -EROFS);
    w.object.store = EMLFS_STORE_LOCKED;
    assert_int_equal(delete_now(&w), -ENOENT);
    assert_int_equal(expire_now(&w), -ENOENT);
    w.object.store = EMLFS_STORE_NORMAL;
    w.object.grants = 0;
    assert_int_equal(delete_now(&w), -ENOENT);
}

static void the_job(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    w.asked.subject = NULL;
    assert_int_equal(expire_now(&w), 0);
    w.retention.latest_sec = EMLFS_TIME_NEVER;
    assert_int_equal(expire_now(&w), -EAGAIN);
    w.retention.latest_sec = FUTURE;
    assert_int_equal(expire_now(&w), -EAGAIN);
    w.object.read_only = true;
    assert_int_equal(expire_now(&w), -EROFS);
}

static void a_verdict_is_for_one_deed(void **state)
{
    struct emlfs_verdict *verdict;
    struct world w;

    (void)state;
    world_make(&w);
    assert_int_equal(emlfs_govern_delete(&w.asked, &verdict, NULL), 0);
    const struct emlfs_verdict_terms *terms = emlfs_verdict_terms(verdict);
    assert_int_equal(terms->policy, 77);
    assert_int_equal(terms->actor, 1000);
    assert_int_equal(terms->decided_ns, NOW_SEC * SECOND);
    struct emlfs_verdict_terms asked = {
        .act = EMLFS_ACT_DELETE, .id = w.asked.id, .archive = {1}, .generation = 9};
    assert_int_equal(emlfs_verdict_use(NULL, &asked, NULL), -EPERM);
    asked.act = EMLFS_ACT_MOVE;
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), -EPERM);
    asked.act = EMLFS_ACT_DELETE;
    asked.id.v++;
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), -EPERM);
    asked.id.v--;
    asked.archive.v = 2;
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), -EPERM);
    asked.archive.v = 1;
    asked.generation = 10; /* a hold was placed meanwhile */
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), -EAGAIN);
    asked.generation = 9;
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), 0);
    assert_int_equal(emlfs_verdict_use(verdict, &asked, NULL), -EPERM);
    emlfs_verdict_free(verdict);
    emlfs_verdict_free(NULL);
}

/* ---- why */

static void assert_words(struct world *w, const char *words)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(4096);
    struct emlfs_explanation why;

    emlfs_govern_explain(&w->asked, &why);
    assert_int_equal(emlfs_govern_words(&why, &out), 0);
    assert_int_equal(emlfs_buf_append_u8(&out, 0), 0);
    assert_string_equal((const char *)out.data, words);
}

static void in_words(void **state)
{
    struct world w;

    (void)state;
    world_make(&w);
    w.retention = (struct emlfs_retention){1925000000, EMLFS_TIME_NEVER, 0, 1};
    assert_words(&w, "It cannot be deleted now.\n"
                     "Earliest deletion: 2031-01-01 02:13:20 UTC.\n"
                     "Kept by: policy \"tax papers\", 6 years from the end of the year of "
                     "receipt.\n"
                     "Automatic deletion: never.\n");
    world_hold(&w);
    w.retention = (struct emlfs_retention){EMLFS_TIME_ALWAYS, EMLFS_TIME_NEVER, 1, 1};
    assert_words(&w, "It cannot be deleted now.\n"
                     "Earliest deletion: at once.\n"
                     "No retention policy applies.\n"
                     "Automatic deletion: never.\n"
                     "Held by \"court\": neither deleted nor moved until it is released.\n");
    world_make(&w);
    w.clock.now_ns -= 86400 * SECOND;
    assert_words(&w, "It cannot be deleted now.\n"
                     "Earliest deletion: 2030-03-17 17:46:39 UTC.\n"
                     "Kept by: policy \"tax papers\", 6 years from the end of the year of "
                     "receipt.\n"
                     "Automatic deletion: 2030-03-17 17:46:39 UTC.\n"
                     "Deleted by: policy \"tax papers\", 6 years from the end of the year of "
                     "receipt.\n"
                     "The date has passed on one of two clocks.\n"
                     "The system clock went ahead of the time that was measured: dates wait for "
                     "the compliance clock.\n");
}

static void as_data(void **state)
{
    struct emlfs_explanation why;
    struct world w;

    (void)state;
    world_make(&w);
    emlfs_govern_explain(&w.asked, &why);
    assert_true(why.may_delete && why.refusal == 0 && !why.held && why.has_clock);
    assert_ptr_equal(why.earliest_policy, &w.policy);
    assert_false(why.waits_for_clock);
    world_hold(&w);
    w.retention.earliest_policy = w.retention.latest_policy = 1;
    w.asked.clock = NULL;
    emlfs_govern_explain(&w.asked, &why);
    assert_true(!why.may_delete && why.refusal == EPERM && why.held && why.holds == 1);
    assert_ptr_equal(why.hold[0], &w.hold);
    assert_null(why.earliest_policy);
    assert_false(why.has_clock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_holds_and_a_global_one),
        cmocka_unit_test(a_hold_is_placed_and_released_once),
        cmocka_unit_test(hold_rows),
        cmocka_unit_test(deleting),
        cmocka_unit_test(both_clocks_must_agree),
        cmocka_unit_test(holds_stand_above_everything),
        cmocka_unit_test(moving_under_retention),
        cmocka_unit_test(order_of_errors),
        cmocka_unit_test(the_job),
        cmocka_unit_test(a_verdict_is_for_one_deed),
        cmocka_unit_test(in_words),
        cmocka_unit_test(as_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
