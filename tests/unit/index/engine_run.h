/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_INDEX_ENGINE_RUN_H
#define EMLFS_TESTS_UNIT_INDEX_ENGINE_RUN_H

#include "engine_test.h"

/* Filling the archive with made-up mail, and asking its index. */
#define ENVELOPE_TEST_BYTES 2000u

/* ---- ingest */

/* Facts of document number: some too long for an envelope, some that cannot be read. */
static inline int engine_facts(unsigned number, struct emlfs_buf *out)
{
    char subject[ENVELOPE_TEST_BYTES + 1];
    int len = snprintf(subject, sizeof(subject), "About %u ", number);
    if (number % 11 == 3)
        return emlfs_buf_append(out, "facts", 5);
    if (number % 7 == 2) {
        memset(subject + len, 'x', sizeof(subject) - 1 - (size_t)len);
        len = sizeof(subject) - 1;
    }
    const struct emlfs_facts facts = {
        .from = emlfs_span_str("\"Smith, Ann\" <ann@example.com>, <c@d>"),
        .to = emlfs_span_str("<to@example.com>, <other@example.com>"),
        .cc = emlfs_span_str("<cc@example.com>"),
        .subject = emlfs_span_of(subject, (size_t)len),
    };
    return emlfs_facts_encode(&facts, out);
}

static inline int engine_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                                 struct emlfs_err *err)
{
    struct engine *engine = arg;
    (void)worker;
    (void)err;
    snprintf(item->stem, sizeof(item->stem), "stem");
    item->mtime_ns = engine->docs[strtoul(item->position, NULL, 10)].mtime_sec * 1000000000;
    return engine_facts((unsigned)strtoul(item->position, NULL, 10), &item->facts);
}

static inline void engine_done(void *arg, struct emlfs_ingest_item *item)
{
    struct engine *engine = arg;
    struct test_doc *doc = &engine->docs[strtoul(item->position, NULL, 10)];
    assert_int_not_equal(item->verdict, EMLFS_INGEST_REJECTED);
    doc->id = item->id;
    emlfs_ingest_item_free(item);
}

static inline void engine_begin(struct engine *engine, const char *source)
{
    const struct emlfs_ingest_options options = {
        .prepare = engine_prepare, .done = engine_done, .arg = engine, .source = source};
    must(emlfs_ingest_begin(engine->life->archive, &options, &engine->life->ingest, NULL));
}

static inline bool doc_filed(const struct test_doc *doc, unsigned folder)
{
    for (unsigned i = 0; i < doc->filed_n; i++) {
        if (doc->filed[i] == folder)
            return true;
    }
    return false;
}

static inline void engine_put(struct engine *engine, unsigned number, unsigned folder)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    struct test_doc *doc = &engine->docs[number];
    must(emlfs_buf_append(&item->raw, doc->raw, strlen(doc->raw)));
    item->folder = engine->folders[folder].id;
    item->user = engine->folders[folder].user;
    assert_true(asprintf(&item->position, "%u", number) > 0);
    must(emlfs_ingest_put(engine->life->ingest, item, NULL));
    if (!doc_filed(doc, folder)) {
        assert_true(doc->filed_n < FILED_MAX);
        doc->filed[doc->filed_n++] = folder;
    }
}

static inline void engine_end(struct engine *engine, bool complete)
{
    struct emlfs_ingest_totals totals;
    must(emlfs_ingest_end(engine->life->ingest, complete, &totals, NULL));
}

/* What only the archive knows of new documents. */
static inline void engine_learn(struct engine *engine)
{
    for (unsigned i = 0; i < engine->docs_n; i++) {
        struct emlfs_msg_info info;
        must(emlfs_archive_msg_info(engine->life->archive, engine->docs[i].id, &info, NULL, NULL));
        engine->docs[i].archived_ns = info.archived_ns;
        assert_int_equal(info.mtime_ns, engine->docs[i].mtime_sec * 1000000000);
    }
}

/* n new messages into folders by dice. */
static inline void engine_add(struct engine *engine, unsigned n, struct dice *dice,
                              const char *source)
{
    engine_begin(engine, source);
    for (unsigned i = 0; i < n; i++) {
        doc_roll(&engine->docs[engine->docs_n], engine->docs_n);
        engine_put(engine, engine->docs_n++, dice_roll(dice, engine->folders_n));
    }
    engine_end(engine, false);
    engine_learn(engine);
}

static inline unsigned engine_folder(struct engine *engine, int parent, struct emlfs_user_id user,
                                     const char *name, const char *path)
{
    struct test_folder *folder = &engine->folders[engine->folders_n];
    struct emlfs_folder_id above =
        parent < 0 ? life_top(engine->life, user) : engine->folders[parent].id;
    folder->id = life_folder(engine->life, above, user, name);
    folder->user = user;
    folder->path = path;
    return engine->folders_n++;
}

static inline void engine_folders(struct engine *engine)
{
    unsigned inbox = engine_folder(engine, -1, USER, "Inbox", "Inbox");
    unsigned projects = engine_folder(engine, -1, USER, "Projects", "Projects");
    engine_folder(engine, (int)projects, USER, "2026", "Projects/2026");
    engine_folder(engine, (int)projects, USER, "Übersicht", "Projects/Übersicht");
    engine_folder(engine, (int)inbox, USER, "2026", "Inbox/2026");
    inbox = engine_folder(engine, -1, OTHER, "Inbox", "Inbox");
    engine_folder(engine, (int)inbox, OTHER, "Spam", "Inbox/Spam");
}

static inline int engine_make(void **state)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    void *life;
    if (life_make(&life) < 0)
        return -1;
    engine->life = life;
    engine->docs = calloc(DOCS_MAX, sizeof(*engine->docs));
    *state = engine;
    return 0;
}

static inline int engine_free(void **state)
{
    struct engine *engine = *state;
    void *life = engine->life;
    emlfs_index_close(engine->index, NULL);
    life_free(&life);
    free(engine->docs);
    free(engine);
    return 0;
}

static inline void engine_archive(struct engine *engine, uint32_t store_messages)
{
    engine->life->settings.store_messages = store_messages;
    life_init(engine->life);
    life_open(engine->life);
    engine_folders(engine);
}

/* ---- asking */

struct answer {
    struct emlfs_msg_id v[DOCS_MAX];
    unsigned n;
    unsigned stop_at; /* 0: never */
};

static inline int answer_add(void *arg, struct emlfs_msg_id id)
{
    struct answer *answer = arg;
    assert_true(answer->n < DOCS_MAX);
    if (answer->n > 0)
        assert_true(answer->v[answer->n - 1].v > id.v);
    answer->v[answer->n++] = id;
    return answer->n == answer->stop_at ? 77 : 0;
}

static inline int engine_ask(struct engine *engine, const char *text, struct emlfs_user_id user,
                             struct answer *ret)
{
    struct emlfs_search search = {.user = user};
    struct emlfs_query_mistake mistake = {0};
    struct emlfs_query *query = NULL;
    struct emlfs_err err = {0};
    int rc = emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, &mistake);
    if (rc < 0)
        fail_msg("%s: %s", text, mistake.text);
    search.query = query;
    ret->n = 0;
    rc = emlfs_index_search(engine->index, &search, answer_add, ret, &err);
    emlfs_query_free(query);
    return rc;
}

#endif
