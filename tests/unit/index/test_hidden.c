/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searches show nothing of stores that are not shown, nor what was deleted. */
#include "engine_ask.h"

#include "emlfs/change.h"
#include "emlfs/stores.h"

#define STORE_DOCS 10u

static void docs_put(struct engine *engine, unsigned n)
{
    engine_begin(engine, NULL);
    for (unsigned i = 0; i < n; i++) {
        struct test_doc *doc = &engine->docs[engine->docs_n];
        doc_roll(doc, engine->docs_n);
        doc->pieces_n = 1;
        doc->pieces[0].field = EMLFS_TEXT_BODY;
        snprintf(doc->pieces[0].text, sizeof(doc->pieces[0].text), "wombat");
        snprintf(doc->raw, sizeof(doc->raw), "Body: wombat\nBody: %u\n", engine->docs_n);
        engine_put(engine, engine->docs_n++, 0);
    }
    engine_end(engine, false);
}

static void set_state(struct engine *engine, uint16_t no, enum emlfs_store_state state)
{
    const struct emlfs_store_change change = {.no = no, .state = state};
    must(emlfs_archive_store_set_state(engine->life->archive, NULL, &change, NULL));
}

/* Messages found of each store. */
static void found(struct engine *engine, const char *text, unsigned ret[4])
{
    static struct answer answer;
    struct emlfs_search search = {.user = USER};
    struct emlfs_query *query;
    uint64_t counted;
    memset(ret, 0, 4 * sizeof(*ret));
    answer.stop_at = 0;
    must(engine_ask(engine, text, USER, &answer));
    for (unsigned i = 0; i < answer.n; i++)
        ret[emlfs_msg_id_store(answer.v[i])]++;
    must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
    search.query = query;
    must(emlfs_index_count(engine->index, &search, &counted, NULL));
    assert_int_equal(counted, answer.n);
    emlfs_query_free(query);
}

static void expect(struct engine *engine, const char *text, unsigned first, unsigned second)
{
    unsigned n[4];
    found(engine, text, n);
    assert_int_equal(n[1], first);
    assert_int_equal(n[2], second);
}

static void test_states(void **state)
{
    struct engine *engine = *state;
    static const enum emlfs_store_state hidden[] = {EMLFS_STORE_DISABLED, EMLFS_STORE_LOCKED};
    engine_archive(engine, STORE_DOCS);
    docs_put(engine, 2 * STORE_DOCS);
    must(emlfs_archive_store_rename(engine->life->archive, NULL, 1, "Old", NULL));
    engine_index_open(engine);
    engine_catch_up(engine);
    for (unsigned i = 0; i < 2; i++) {
        expect(engine, "wombat", STORE_DOCS, STORE_DOCS);
        expect(engine, "wombat store:1", STORE_DOCS, 0);
        expect(engine, "wombat store:old", STORE_DOCS, 0);
        expect(engine, "wombat -store:OLD", 0, STORE_DOCS);
        set_state(engine, 1, hidden[i]);
        expect(engine, "wombat", 0, STORE_DOCS);
        expect(engine, "wombat store:1", 0, 0);
        expect(engine, "wombat -store:2", 0, 0);
        engine_catch_up(engine);
        if (hidden[i] == EMLFS_STORE_LOCKED)
            must(emlfs_archive_store_unlock(engine->life->archive, NULL, 1, engine->life->recovery,
                                            NULL));
        else
            set_state(engine, 1, EMLFS_STORE_WRITE_PROTECTED);
    }
    expect(engine, "wombat", STORE_DOCS, STORE_DOCS);
}

/* What waits for the index while its store is hidden is indexed when it is shown again. */
static void test_waits(void **state)
{
    struct engine *engine = *state;
    struct emlfs_index_store_status status;
    engine_archive(engine, STORE_DOCS);
    docs_put(engine, 2 * STORE_DOCS);
    set_state(engine, 1, EMLFS_STORE_DISABLED);
    engine_index_open(engine);
    engine_catch_up(engine);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.indexed, 0);
    set_state(engine, 1, EMLFS_STORE_NORMAL);
    engine_catch_up(engine);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.problems, 0);
    expect(engine, "wombat", STORE_DOCS, STORE_DOCS);
}

/* A store that was not there takes its place among the others when it is attached. */
static void test_attach(void **state)
{
    struct engine *engine = *state;
    engine_archive(engine, STORE_DOCS);
    docs_put(engine, 3 * STORE_DOCS);
    must(emlfs_archive_store_detach(engine->life->archive, NULL, 1, NULL));
    life_close(engine->life);
    life_open(engine->life);
    engine_index_open(engine);
    engine_catch_up(engine);
    expect(engine, "wombat", 0, STORE_DOCS);
    must(emlfs_archive_store_attach(engine->life->archive, NULL, 1, NULL));
    engine_catch_up(engine);
    expect(engine, "wombat", STORE_DOCS, STORE_DOCS);
}

static void doc_delete(struct engine *engine, const struct test_doc *doc)
{
    const struct emlfs_entry_at at = {USER, engine->folders[0].id, doc->id};
    const struct emlfs_verdict_terms terms = {.act = EMLFS_ACT_DELETE,
                                              .id = doc->id,
                                              .archive = USER,
                                              .generation =
                                                  emlfs_archive_generation(engine->life->archive)};
    struct emlfs_verdict *verdict;
    must(emlfs_verdict_issue(&terms, &verdict));
    must(emlfs_archive_entry_delete(engine->life->archive, NULL, &at, verdict, NULL));
    emlfs_verdict_free(verdict);
}

/* Deleted behind the index, and before it came to them; the folder is gone when it hears of it. */
static void test_deleted(void **state)
{
    struct engine *engine = *state;
    struct emlfs_index_store_status status;
    engine_archive(engine, 1000);
    docs_put(engine, 6);
    engine_index_open(engine);
    engine_catch_up(engine);
    docs_put(engine, 6);
    for (unsigned i = 0; i < 12; i++) {
        if (i % 6 != 5)
            doc_delete(engine, &engine->docs[i]);
    }
    engine_catch_up(engine);
    expect(engine, "wombat", 2, 0);
    must(emlfs_index_status(engine->index, 0, &status, NULL));
    assert_int_equal(status.problems, 0);
    doc_delete(engine, &engine->docs[5]);
    doc_delete(engine, &engine->docs[11]);
    must(emlfs_archive_folder_remove(engine->life->archive, NULL, engine->folders[4].id, NULL));
    must(emlfs_archive_folder_remove(engine->life->archive, NULL, engine->folders[0].id, NULL));
    engine_catch_up(engine);
    expect(engine, "wombat", 0, 0);
}

/* How many of the first n documents have an envelope in the index. */
static unsigned envelopes_of(struct engine *engine, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf envelope = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
        emlfs_index_envelopes(engine->index, &engine->docs[i].id, 1, &envelope);
        found += envelope.len > 0;
    }
    return found;
}

/* Merging leaves nothing of what is gone, and all of what is still filed somewhere. */
static void test_merged_away(void **state)
{
    struct engine *engine = *state;
    static const unsigned deleted[] = {0, 1, 4, 6}; /* the second stays in another folder */
    unsigned known, rounds = 0;
    engine_archive(engine, 1000);
    engine->memory_bytes = 1; /* a segment for every message */
    engine_index_open(engine);
    docs_put(engine, 12);
    engine_begin(engine, NULL);
    engine_put(engine, 1, 1);
    engine_end(engine, false);
    engine_catch_up(engine);
    known = envelopes_of(engine, 12);
    assert_true(known > 8);
    for (unsigned i = 0; i < 4; i++)
        doc_delete(engine, &engine->docs[deleted[i]]);
    engine_catch_up(engine);
    expect(engine, "wombat", 12 - 4 + 1, 0);
    while (envelopes_of(engine, 12) > known - 3 && rounds++ < 20) {
        docs_put(engine, 30);
        engine_catch_up(engine);
    }
    assert_int_equal(envelopes_of(engine, 12), known - 3);
    expect(engine, "wombat", 12 - 4 + 1 + rounds * 30, 0);
    engine_index_close(engine);
    engine_index_open(engine);
    expect(engine, "wombat", 12 - 4 + 1 + rounds * 30, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_states, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_waits, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_attach, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_deleted, engine_make, engine_free),
        cmocka_unit_test_setup_teardown(test_merged_away, engine_make, engine_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
