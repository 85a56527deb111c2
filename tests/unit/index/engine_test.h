/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_INDEX_ENGINE_TEST_H
#define EMLFS_TESTS_UNIT_INDEX_ENGINE_TEST_H

#include "archive/life_test.h"
#include "emlfs/index.h"

/*
 * An archive of made-up mail, an extractor that understands just that mail, and a plain matcher
 * that knows nothing of segments. A made-up message is lines "Name: text"; each is a piece, or says
 * something about the message.
 */
#define DOCS_MAX 2000u
#define FOLDERS_MAX 12u
#define FILED_MAX 6u
#define PIECES_MAX 24u
#define TEXT_MAX 4096u

struct field_name {
    const char *name;
    enum emlfs_text_field field;
};
static const struct field_name field_names[] = {
    {"Subject: ", EMLFS_TEXT_SUBJECT}, {"From: ", EMLFS_TEXT_FROM},
    {"To: ", EMLFS_TEXT_TO},           {"Cc: ", EMLFS_TEXT_CC},
    {"Bcc: ", EMLFS_TEXT_BCC},         {"Body: ", EMLFS_TEXT_BODY},
    {"File: ", EMLFS_TEXT_ATTACHMENT}, {"Content: ", EMLFS_TEXT_CONTENT},
};

struct test_folder {
    const char *path; /* below the user archive */
    struct emlfs_user_id user;
    struct emlfs_folder_id id;
};
struct test_piece {
    enum emlfs_text_field field;
    char text[400];
};
struct test_doc {
    struct emlfs_msg_id id;
    unsigned filed[FILED_MAX], filed_n; /* indexes of folders */
    struct test_piece pieces[PIECES_MAX];
    unsigned pieces_n;
    enum emlfs_priority priority;
    bool attachment;
    int64_t mtime_sec, archived_ns;
    uint64_t size_bytes;
    char raw[TEXT_MAX];
};
struct engine {
    struct life *life;
    struct emlfs_index *index;
    struct test_folder folders[FOLDERS_MAX];
    unsigned folders_n;
    struct test_doc *docs;
    unsigned docs_n, first_put; /* documents from first_put on are of the ingest under way */
    unsigned notices;
    char notice[640];
    uint32_t memory_bytes;
    bool extractor_fails;
};

/* ---- the extractor */

static inline int stand_in_extract(void *arg, struct emlfs_span raw, unsigned kinds,
                                   struct emlfs_buf *ret, struct emlfs_err *err)
{
    char text[TEXT_MAX + 1], *line, *rest = text;
    struct engine *engine = arg;
    enum emlfs_priority priority = EMLFS_PRIORITY_NORMAL;
    (void)kinds;
    if (engine->extractor_fails)
        return emlfs_err_set(err, EAGAIN, "test", "no worker");
    if (raw.len > TEXT_MAX)
        raw.len = TEXT_MAX;
    memcpy(text, raw.data, raw.len);
    text[raw.len] = '\0';
    if (strstr(text, "Priority: 1"))
        priority = EMLFS_PRIORITY_HIGH;
    if (strstr(text, "Priority: 2"))
        priority = EMLFS_PRIORITY_LOW;
    emlfs_buf_clear(ret);
    must(emlfs_doctext_begin(ret, priority, strstr(text, "File: ") != NULL));
    while ((line = strsep(&rest, "\n"))) {
        for (size_t i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++) {
            size_t len = strlen(field_names[i].name);
            if (strncmp(line, field_names[i].name, len) == 0)
                must(emlfs_doctext_piece(ret, field_names[i].field, emlfs_span_str(line + len)));
        }
        if (strncmp(line, "Problem: ", 9) == 0)
            must(emlfs_doctext_problem(ret, "part", line + 9));
    }
    return 0;
}

static inline void stand_in_free(void *arg)
{
    (void)arg;
}

static inline int stand_in_make(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    (void)err;
    *ret = (struct emlfs_extractor){.arg = arg, .extract = stand_in_extract, .free = stand_in_free};
    return 0;
}

static inline void notice_keep(void *arg, const char *text)
{
    struct engine *engine = arg;
    __atomic_add_fetch(&engine->notices, 1, __ATOMIC_RELAXED);
    snprintf(engine->notice, sizeof(engine->notice), "%s", text);
}

static inline struct emlfs_index_options engine_options(struct engine *engine)
{
    return (struct emlfs_index_options){.archive = engine->life->archive,
                                        .extractor = stand_in_make,
                                        .arg = engine,
                                        .workers = 2,
                                        .memory_bytes = engine->memory_bytes,
                                        .notice = notice_keep};
}

static inline void engine_index_open(struct engine *engine)
{
    const struct emlfs_index_options options = engine_options(engine);
    struct emlfs_err err = {0};
    if (emlfs_index_open(&options, &engine->index, &err) < 0)
        fail_msg("%s", err.text);
}

static inline void engine_index_close(struct engine *engine)
{
    struct emlfs_err err = {0};
    if (emlfs_index_close(engine->index, &err) < 0)
        fail_msg("%s", err.text);
    engine->index = NULL;
}

static inline void engine_catch_up(struct engine *engine)
{
    struct emlfs_err err = {0};
    if (emlfs_index_catch_up(engine->index, NULL, &err) < 0)
        fail_msg("%s", err.text);
}

/* ---- mail */

static const char *const vocabulary[] = {
    "budget",   "Budgets",   "invoice",     "Invoices",     "auto",
    "Autobahn", "automatic", "Meyer",       "Meier",        "Maier",
    "example",  "sample",    "example.com", "first.last",   "bob@example.com",
    "straße",   "STRASSE",   "Übergröße",   "cafe\xcc\x81", "café",
    "日本語",   "東京都",    "日本",        "中文信息",     "a-b",
    "c_d",      "x",         "quarterly",   "numbers",      "meeting",
    "Zürich",   "naïve",     "Ωmega",       "привет",       "Мир",
    "report",   "reports",   "reporting",   "12:30",        "2026",
};
#define VOCABULARY_N (sizeof(vocabulary) / sizeof(vocabulary[0]))

static inline void text_roll(struct dice *dice, char *ret, size_t size)
{
    unsigned words = 1 + dice_roll(dice, 9);
    size_t at = 0;
    ret[0] = '\0';
    for (unsigned i = 0; i < words && at + 40 < size; i++) {
        /* Low numbers come more often. */
        unsigned word = dice_roll(dice, 1 + dice_roll(dice, VOCABULARY_N));
        at += (size_t)snprintf(ret + at, size - at, "%s%s", i ? " " : "", vocabulary[word]);
    }
}

static inline void doc_roll(struct test_doc *doc, unsigned number)
{
    struct dice dice = {.state = (number + 1) * UINT64_C(0x9E3779B97F4A7C15)};
    size_t at = 0;
    for (unsigned i = 0; i < 4; i++)
        dice_next(&dice);
    doc->pieces_n = 2 + dice_roll(&dice, 6);
    doc->priority = (enum emlfs_priority)(dice_roll(&dice, 8) < 6 ? 0 : 1 + dice_roll(&dice, 2));
    doc->mtime_sec =
        1704067200 + dice_roll(&dice, 3 * 365) * INT64_C(86400) + dice_roll(&dice, 86400);
    at += (size_t)snprintf(doc->raw, TEXT_MAX, "Number: %u\nPriority: %u\nTime: %lld\n", number,
                           (unsigned)doc->priority, (long long)doc->mtime_sec);
    for (unsigned i = 0; i < doc->pieces_n; i++) {
        const struct field_name *name = &field_names[dice_roll(&dice, 8)];
        doc->pieces[i].field = name->field;
        text_roll(&dice, doc->pieces[i].text, sizeof(doc->pieces[i].text));
        doc->attachment |= name->field == EMLFS_TEXT_ATTACHMENT;
        at += (size_t)snprintf(doc->raw + at, TEXT_MAX - at, "%s%s\n", name->name,
                               doc->pieces[i].text);
    }
    for (unsigned pad = dice_roll(&dice, 700); pad > 0 && at + 2 < TEXT_MAX; pad--)
        doc->raw[at++] = '\n';
    doc->raw[at] = '\0';
    doc->size_bytes = strlen(doc->raw);
}

#endif
