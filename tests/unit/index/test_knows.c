/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the index says of one message, and when it cannot tell. */
#include "engine_ask.h"

static int ask_one(struct engine *engine, const char *text, struct emlfs_user_id user,
                   struct emlfs_msg_id id)
{
    struct emlfs_query *query;

    must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
    int rc = emlfs_index_matches(engine->index, query, user, id, NULL);
    emlfs_query_free(query);
    return rc;
}

static void filled(struct engine *engine, unsigned n)
{
    struct dice dice = {7};

    engine_archive(engine, 20);
    engine_add(engine, n, &dice, "s");
    engine_index_open(engine);
}

static void one_message_is_told_as_a_search_tells_it(void **state)
{
    struct engine *engine = *state;

    filled(engine, 50);
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    for (unsigned q = 0; q < 2 * QUESTIONS_N; q++) {
        const struct emlfs_user_id user = q % 2 ? OTHER : USER;
        struct emlfs_query *query;
        must(emlfs_query_parse(emlfs_span_str(questions[q / 2]), EMLFS_QUERY_PLAIN, &query, NULL));
        for (unsigned i = 0; i < engine->docs_n; i++)
            assert_int_equal(
                emlfs_index_matches(engine->index, query, user, engine->docs[i].id, NULL),
                naive_match(engine, query, &engine->docs[i], user));
        emlfs_query_free(query);
    }
}

static void what_waits_cannot_be_told(void **state)
{
    struct engine *engine = *state;

    filled(engine, 30);
    const struct emlfs_msg_id id = engine->docs[3].id, last = engine->docs[29].id;
    assert_int_equal(ask_one(engine, "size:>0", USER, id), -EAGAIN);
    assert_false(emlfs_index_knows(engine->index, id));
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    assert_true(emlfs_index_knows(engine->index, id));
    assert_true(emlfs_index_knows(engine->index, last));
    assert_false(emlfs_index_knows(engine->index, (struct emlfs_msg_id){last.v + 1}));
    assert_false(emlfs_index_knows(engine->index, emlfs_msg_id_make(9, 1)));
}

/* In a second archive by a filing that the index has not seen: not "does not match". */
static void a_filing_that_waits_cannot_be_told(void **state)
{
    struct engine *engine = *state;

    filled(engine, 10);
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    const unsigned other = 5; /* OTHER's inbox */
    unsigned moved = 0;
    while (engine->folders[engine->docs[moved].filed[0]].user.v != USER.v)
        moved++;
    const struct emlfs_msg_id id = engine->docs[moved].id;
    assert_int_equal(ask_one(engine, "size:>0", OTHER, id), 0);
    engine_begin(engine, "t");
    engine_put(engine, moved, other);
    engine_end(engine, false);
    assert_int_equal(engine->docs[moved].id.v, id.v);
    assert_int_equal(ask_one(engine, "size:>0", OTHER, id), -EAGAIN);
    assert_false(emlfs_index_knows(engine->index, id));
    for (unsigned i = 0; i < engine->docs_n; i++)
        assert_int_equal(emlfs_index_knows(engine->index, engine->docs[i].id), i != moved);
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    assert_int_equal(ask_one(engine, "size:>0", OTHER, id), 1);
}

static void what_was_dropped_cannot_be_told(void **state)
{
    struct engine *engine = *state;

    filled(engine, 10);
    must(emlfs_index_catch_up(engine->index, NULL, NULL));
    assert_true(emlfs_index_knows(engine->index, engine->docs[0].id));
    must(emlfs_index_reset(engine->index, 0, NULL));
    assert_false(emlfs_index_knows(engine->index, engine->docs[0].id));
    assert_int_equal(ask_one(engine, "size:>0", USER, engine->docs[0].id), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_message_is_told_as_a_search_tells_it, engine_make,
                                        engine_free),
        cmocka_unit_test_setup_teardown(what_waits_cannot_be_told, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(a_filing_that_waits_cannot_be_told, engine_make,
                                        engine_free),
        cmocka_unit_test_setup_teardown(what_was_dropped_cannot_be_told, engine_make, engine_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
