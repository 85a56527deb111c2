/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_INDEX_ENGINE_ASK_H
#define EMLFS_TESTS_UNIT_INDEX_ENGINE_ASK_H

#include <fcntl.h>
#include <time.h>

#include "naive_match.h"

/* Questions whose answers are compared with those of the plain matcher, and an archive for them. */

/* ---- a fixed list of questions */

static const char *const questions[] = {
    "budget",
    "invoice auto*",
    "-budget",
    "\"budget invoice\"",
    "*ample",
    "me?er",
    "subject:report*",
    "folder:Inbox date:2025",
    "folder:2026 -has:attachment",
    "priority:high",
    "size:>500 bcontent:invoice",
    "日本",
    "example.com",
    "store:1 \"first.last\"",
    "-folder:Inbox",
};
#define QUESTIONS_N (sizeof(questions) / sizeof(questions[0]))

/* Every question for both users gives what the plain matcher finds. */
static inline void ask_all(struct engine *engine)
{
    static struct answer answer;
    for (unsigned q = 0; q < 2 * QUESTIONS_N; q++) {
        const char *text = questions[q / 2];
        struct emlfs_user_id user = q % 2 ? OTHER : USER;
        struct emlfs_query *query;
        unsigned n = 0;
        must(engine_ask(engine, text, user, &answer));
        must(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL));
        for (unsigned i = engine->docs_n; i > 0; i--) {
            if (!naive_match(engine, query, &engine->docs[i - 1], user))
                continue;
            if (n >= answer.n || answer.v[n].v != engine->docs[i - 1].id.v)
                fail_msg("%s: message %u is missing or another is there", text, i);
            n++;
        }
        assert_int_equal(answer.n, n);
        emlfs_query_free(query);
    }
}

static inline void index_dir(struct engine *engine, unsigned store, char *ret, size_t size)
{
    struct emlfs_store_place *place = calloc(1, sizeof(*place));
    must(emlfs_archive_store_next(engine->life->archive, (uint16_t)(store - 1), place, NULL));
    snprintf(ret, size, "%s/index", place->path);
    free(place);
}

static inline void index_remove(struct engine *engine)
{
    char dir[4200];
    for (unsigned store = 1; store <= 2; store++) {
        index_dir(engine, store, dir, sizeof(dir));
        tree_remove(dir);
    }
}

/* Two stores, mail filed twice, folders: n messages and some filings more. */
static inline void fill(struct engine *engine, unsigned n)
{
    struct dice dice = {.state = 11};
    engine_archive(engine, n * 5 / 8);
    engine_add(engine, n, &dice, NULL);
    engine_begin(engine, NULL);
    for (unsigned i = 0; i < n / 5; i++)
        engine_put(engine, dice_roll(&dice, n), dice_roll(&dice, engine->folders_n));
    engine_end(engine, false);
}

/* ---- */

static inline void file_flip(const char *path, uint64_t offset)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    byte ^= 0x20;
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
}

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

#endif
