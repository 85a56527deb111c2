/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searches against a plain matcher: every kind of term, several stores, moves, limits. */
#include "naive_match.h"

#define QUERIES 1500u

static bool id_in(const struct answer *answer, struct emlfs_msg_id id)
{
    for (unsigned i = 0; i < answer->n; i++) {
        if (answer->v[i].v == id.v)
            return true;
    }
    return false;
}

/* Every document is in the answer, or not, as the plain matcher says. */
static unsigned compare(struct engine *engine, const char *text, struct emlfs_user_id user,
                        const struct answer *answer)
{
    struct emlfs_query *query;
    unsigned n = 0;
    must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
    for (unsigned i = 0; i < engine->docs_n; i++) {
        bool wanted = naive_match(engine, query, &engine->docs[i], user);
        n += wanted;
        if (wanted != id_in(answer, engine->docs[i].id))
            fail_msg("%s: message %llx %s:\n%s", text, (unsigned long long)engine->docs[i].id.v,
                     wanted ? "is missing" : "should not be there", engine->docs[i].raw);
    }
    assert_int_equal(answer->n, n);
    emlfs_query_free(query);
    return n;
}

static unsigned check(struct engine *engine, const char *text, struct emlfs_user_id user)
{
    static struct answer answer;
    answer.stop_at = 0;
    must(engine_ask(engine, text, user, &answer));
    return compare(engine, text, user, &answer);
}

/* ---- queries by dice */

static void word_roll(struct dice *dice, char *ret, size_t size)
{
    static const char *const globs[] = {
        "auto*", "*ample", "me?er", "rep*ing", "*e*",     "a?b*",         "b*",       "*com",
        "str*",  "日*",    "x?",    "m*er",    "report?", "*example.com", "first.l*", "*.com"};
    static const char *const phrases[] = {"\"budget invoice\"",
                                          "\"bob example\"",
                                          "\"auto budgets\"",
                                          "\"日本語\"",
                                          "日",
                                          "first.last",
                                          "\"example com\"",
                                          "example.com",
                                          "\"a b c d\"",
                                          "中文",
                                          "京都",
                                          "bob@example.com"};
    unsigned which = dice_roll(dice, 10);
    if (which < 5)
        snprintf(ret, size, "\"%s\"", vocabulary[dice_roll(dice, VOCABULARY_N)]);
    else if (which < 7)
        snprintf(ret, size, "%s", globs[dice_roll(dice, sizeof(globs) / sizeof(globs[0]))]);
    else if (which < 9)
        snprintf(ret, size, "%s", phrases[dice_roll(dice, sizeof(phrases) / sizeof(phrases[0]))]);
    else
        snprintf(ret, size, "\"%s %s\"", vocabulary[dice_roll(dice, 12)],
                 vocabulary[dice_roll(dice, 12)]);
}

static void term_roll(struct dice *dice, char *ret, size_t size)
{
    static const char *const fields[] = {
        "subject:", "from:", "to:", "cc:", "bcc:", "bcontent:", "acontent:", "attachment:"};
    static const char *const filters[] = {"date:2025",
                                          "date:2024-03..2025-01",
                                          "date:..2024-06-15",
                                          "date:2025-11..",
                                          "archived:2026",
                                          "archived:..2020",
                                          "size:>500",
                                          "size:..300",
                                          "size:200..1K",
                                          "has:attachment",
                                          "priority:high",
                                          "priority:low",
                                          "priority:normal",
                                          "folder:Inbox",
                                          "folder:/2026",
                                          "folder:2026",
                                          "folder:/Inbox/2026",
                                          "folder:projects\\ubersicht",
                                          "folder:p*",
                                          "folder:none",
                                          "folder:*/20?6",
                                          "folder:spam",
                                          "store:1",
                                          "store:2",
                                          "store:9",
                                          "date:thisyear",
                                          "date:lastyear"};
    const char *minus = dice_roll(dice, 5) == 0 ? "-" : "";
    char word[120];
    if (dice_roll(dice, 3) == 0) {
        snprintf(ret, size, "%s%s", minus,
                 filters[dice_roll(dice, sizeof(filters) / sizeof(filters[0]))]);
        return;
    }
    word_roll(dice, word, sizeof(word));
    snprintf(ret, size, "%s%s%s", minus, dice_roll(dice, 3) ? "" : fields[dice_roll(dice, 8)],
             word);
}

static void query_roll(struct dice *dice, char *ret, size_t size)
{
    unsigned n = 1 + dice_roll(dice, dice_roll(dice, 2) ? 1 : 4);
    size_t at = 0;
    for (unsigned i = 0; i < n; i++) {
        char term[160];
        term_roll(dice, term, sizeof(term));
        at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? " " : "", term);
    }
}

static void check_many(struct engine *engine, uint64_t seed, unsigned queries)
{
    struct dice dice = {.state = seed};
    unsigned hits = 0, with_hits = 0;
    for (unsigned i = 0; i < queries; i++) {
        char text[800];
        unsigned n;
        query_roll(&dice, text, sizeof(text));
        n = check(engine, text, dice_roll(&dice, 3) ? USER : OTHER);
        hits += n;
        with_hits += n > 0;
    }
    /* The test itself looks at something. */
    assert_true(with_hits > queries / 3);
    assert_true(hits > queries * 5);
}

/* ---- the tests */

static void test_against_naive(void **state)
{
    struct engine *engine = *state;
    struct dice dice = {.state = 7};
    struct emlfs_index_store_status *status = calloc(1, sizeof(*status));
    unsigned stores = 0;

    engine_archive(engine, 150);
    engine_index_open(engine);
    for (unsigned i = 0; i < 13; i++) { /* each a segment, and merged */
        engine_add(engine, 20, &dice, "s");
        engine_catch_up(engine);
    }
    check_many(engine, 1, QUERIES / 3);
    /* More mail, in new segments; some filed again elsewhere, also old mail of an older store. */
    engine_add(engine, 140, &dice, "s");
    for (unsigned i = 0; i < 4; i++) {
        engine_begin(engine, NULL);
        for (unsigned k = 0; k < 30; k++)
            engine_put(engine, dice_roll(&dice, engine->docs_n),
                       dice_roll(&dice, engine->folders_n));
        engine_end(engine, false);
        engine_catch_up(engine);
    }
    check_many(engine, 2, QUERIES / 3);
    engine_index_close(engine);
    engine_index_open(engine);
    check_many(engine, 3, QUERIES / 3);
    while (emlfs_index_status(engine->index, status->store_no, status, NULL) == 0) {
        stores++;
        assert_int_equal(status->waiting, 0);
        assert_true(status->indexed > 0 && status->segments > 0 && status->bytes > 0);
        assert_true(status->text_bytes > 0);
    }
    assert_int_equal(stores, 3);
    assert_int_equal(engine->notices, 0);
    free(status);
}

/* A source whose mail moved: the old entries are gone, also for who has nothing else. */
static void test_moves(void **state)
{
    struct engine *engine = *state;
    struct dice dice = {.state = 99};

    engine_archive(engine, 5000);
    engine_begin(engine, "box");
    for (unsigned i = 0; i < 200; i++) {
        doc_roll(&engine->docs[i], i);
        engine->docs_n++;
        engine_put(engine, i, i % 5);
    }
    engine_end(engine, true);
    engine_learn(engine);
    engine_index_open(engine);
    engine_catch_up(engine);
    check_many(engine, 4, 200);
    for (unsigned round = 0; round < 3; round++) {
        engine_begin(engine, "box");
        for (unsigned i = 0; i < 200; i++) {
            unsigned to = dice_roll(&dice, 5);
            if (dice_roll(&dice, 3))
                to = engine->docs[i].filed[0];
            engine->docs[i].filed_n = 0; /* engine_put says where it is now */
            engine_put(engine, i, to);
        }
        engine_end(engine, true);
        engine_catch_up(engine);
        check_many(engine, 5 + round, 200);
    }
    engine_index_close(engine);
    engine_index_open(engine);
    check_many(engine, 9, 200);
}

/* One message at a time gives what all at once gives; stopping stops. */
static void test_limits(void **state)
{
    struct engine *engine = *state;
    static struct answer answer;
    struct dice dice = {.state = 3};
    static const char *const texts[] = {
        "budget", "\"budget invoice\"",       "auto*", "-budget", "folder:Inbox date:2025",
        "*e*",    "size:>400 -has:attachment"};

    engine_archive(engine, 100);
    engine_index_open(engine);
    for (unsigned i = 0; i < 5; i++) {
        engine_add(engine, 50, &dice, NULL);
        engine_catch_up(engine);
    }
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        struct emlfs_query *query;
        uint64_t n = 0;
        must(emlfs_query_parse(emlfs_span_str(texts[t]), EMLFS_QUERY_PLAIN, &query, NULL));
        for (unsigned i = 0; i < engine->docs_n; i++) {
            struct emlfs_msg_id id = engine->docs[i].id;
            const struct emlfs_search one = {
                .query = query, .user = USER, .above = {id.v - 1}, .below = {id.v + 1}};
            must(emlfs_index_count(engine->index, &one, &n, NULL));
            assert_int_equal(n, naive_match(engine, query, &engine->docs[i], USER));
        }
        const struct emlfs_search all = {.query = query, .user = USER};
        must(emlfs_index_count(engine->index, &all, &n, NULL));
        answer.n = 0;
        answer.stop_at = 5;
        assert_true(n > 5);
        assert_int_equal(emlfs_index_search(engine->index, &all, answer_add, &answer, NULL), 77);
        assert_int_equal(answer.n, 5);
        atomic_bool cancel = true;
        const struct emlfs_search cancelled = {.query = query, .user = USER, .cancel = &cancel};
        assert_int_equal(emlfs_index_count(engine->index, &cancelled, &n, NULL), -ECANCELED);
        emlfs_query_free(query);
    }
}

/* A wildcard that stands for more terms than are followed at a time, alone and in phrases. */
static void test_many_terms(void **state)
{
    struct engine *engine = *state;
    static const char *const texts[] = {
        "w*",       "subject:w*",        "w*.t*", "*1*", "\"start\" w?9*",
        "start-w*", "bcontent:start-w*", "w*.w*", "-w1*"};

    engine_archive(engine, 5000);
    engine_begin(engine, NULL);
    for (unsigned i = 0; i < 300; i++) {
        struct test_doc *doc = &engine->docs[engine->docs_n];
        size_t at;
        doc->mtime_sec = 1704067200;
        doc->pieces_n = 2;
        doc->pieces[0].field = EMLFS_TEXT_SUBJECT;
        doc->pieces[1].field = EMLFS_TEXT_BODY;
        snprintf(doc->pieces[0].text, 300, "w%u t%u", i * 7919 % 1000, i % 400);
        snprintf(doc->pieces[1].text, 300, "start w%u x w%u w%u", i * 104729 % 3000, i,
                 i * 31 % 900);
        at = (size_t)snprintf(doc->raw, TEXT_MAX, "Subject: %s\nBody: %s\n", doc->pieces[0].text,
                              doc->pieces[1].text);
        doc->size_bytes = at;
        engine_put(engine, engine->docs_n++, i % 3);
    }
    engine_end(engine, false);
    engine_index_open(engine);
    engine_catch_up(engine);
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++)
        assert_true(check(engine, texts[t], USER) > 0);
}

static void test_wrong_queries(void **state)
{
    struct engine *engine = *state;
    struct emlfs_query none = {0};
    const struct emlfs_search search = {.query = &none, .user = USER};
    uint64_t n;
    struct emlfs_err err = {0};

    engine_archive(engine, 5000);
    engine_index_open(engine);
    assert_int_equal(emlfs_index_count(engine->index, &search, &n, &err), -EINVAL);
    assert_int_equal(err.code, EINVAL);
    assert_int_equal(check(engine, "budget", USER), 0);
    assert_int_equal(check(engine, "-budget", USER), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_naive, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_moves, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_limits, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_many_terms, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_wrong_queries, engine_make, engine_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
