/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <pthread.h>

#include "scratch.h"
#include "segment_check.h"

/* Documents say how often they contain each word, so a reader knows what must be there. */
static int doc_add(struct memseg *mem, uint32_t doc, const char *text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf doctext = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    const struct doc_attr attr = {.doc = doc, .text_bytes = (uint32_t)strlen(text)};
    assert_int_equal(0, emlfs_doctext_begin(&doctext, EMLFS_PRIORITY_NORMAL, false));
    assert_int_equal(
        0, emlfs_doctext_piece(&doctext, EMLFS_TEXT_BODY, emlfs_span_of(text, strlen(text))));
    return memseg_add(mem, &attr, emlfs_buf_view(&doctext), emlfs_span_of(NULL, 0));
}

static void numbers_ascend(void **state)
{
    (void)state;
    struct memseg *mem;
    assert_int_equal(0, memseg_new(10, &mem));
    assert_int_equal(-EINVAL, doc_add(mem, 9, "low"));
    assert_int_equal(0, doc_add(mem, 12, "good"));
    assert_int_equal(-EINVAL, doc_add(mem, 12, "again"));
    assert_int_equal(-EINVAL, memseg_file(mem, FILING_KINDS, 1, 1, true));
    assert_int_equal(-EINVAL, memseg_file(mem, FILING_USER, 1, 0, true));
    memseg_free(mem);
}

/* One document of a single word many times: larger than any chunk, run or block. */
static void giant_document(void **state)
{
    (void)state;
    static const struct emlfs_key key = {.v = {4}};
    const unsigned words = 700000;
    const uint32_t *positions;
    unsigned n;
    struct memseg *mem;
    struct segment *segment;
    struct postings *postings;
    char path[64];
    char *text = malloc(2 * words + 1);
    assert_non_null(text);
    for (unsigned i = 0; i < words; i++)
        memcpy(text + 2 * (size_t)i, "a ", 3);
    snprintf(path, sizeof(path), "%s/emlfs-memseg-%d", scratch_dir(), (int)getpid());
    (void)unlink(path);
    assert_int_equal(0, memseg_new(1, &mem));
    for (uint32_t doc = 1; doc <= 4; doc++)
        assert_int_equal(0, doc_add(mem, doc, doc == 2 ? "a b" : text));
    assert_true(memseg_bytes(mem) > words);
    assert_int_equal(0, memseg_write(mem, path, &key, NULL));
    assert_int_equal(0, segment_open(path, &key, &segment, NULL));
    assert_int_equal(0, postings_open(segment, emlfs_span_str("a"), &postings, NULL));
    assert_int_equal(4, postings_count(postings));
    for (uint32_t doc = 4; doc > 0; doc--) {
        assert_int_equal(doc, postings_seek(postings, doc, NULL));
        assert_int_equal(0, postings_positions(postings, &positions, &n, NULL));
        assert_int_equal(doc == 2 ? 1 : words, n);
        assert_int_equal(n - 1, positions[n - 1]);
    }
    postings_free(postings);
    segment_close(segment);
    memseg_free(mem);
    unlink(path);
    free(text);
}

/* ---- a writer and readers at once */

#define BESIDE_DOCS 3000u

struct beside {
    struct memseg *mem;
    atomic_bool done;
    atomic_uint rounds;
};

static void *beside_write(void *arg)
{
    struct beside *beside = arg;
    char text[128];
    for (uint32_t doc = 1; doc <= BESIDE_DOCS; doc++) {
        snprintf(text, sizeof(text), "every number%u every odd%u", doc, doc % 2);
        assert_int_equal(0, doc_add(beside->mem, doc, text));
        assert_int_equal(0, memseg_file(beside->mem, FILING_USER, 1, doc, true));
    }
    atomic_store(&beside->done, true);
    return NULL;
}

static int count_each(void *arg, uint32_t doc, bool in)
{
    (void)doc;
    *(uint32_t *)arg += in;
    return 0;
}

static int term_each(void *arg, struct emlfs_span term, uint32_t docs)
{
    (void)term;
    *(uint32_t *)arg += docs;
    return 0;
}

/* What was there when the reader began is there whole. */
static void reader_round(struct segment *segment)
{
    struct segment_info info;
    struct postings *postings;
    struct doc_attr attr;
    uint32_t filed = 0, numbers = 0;
    const struct filing_range range = {.kind = FILING_USER, .key = 1, .high = UINT32_MAX};
    segment_get_info(segment, &info);
    if (info.docs == 0)
        return;
    assert_int_equal(0, postings_open(segment, emlfs_span_str("every"), &postings, NULL));
    for (uint32_t doc = info.last_doc; doc > 0; doc--) {
        const uint32_t *positions;
        unsigned n;
        assert_int_equal(doc, postings_seek(postings, doc, NULL));
        assert_int_equal(0, postings_positions(postings, &positions, &n, NULL));
        assert_int_equal(2, n);
        assert_int_equal(2, positions[1]);
    }
    postings_free(postings);
    assert_int_equal(0, segment_attr(segment, info.last_doc, &attr, NULL));
    assert_int_equal(0, segment_filings(segment, &range, count_each, &filed, NULL));
    assert_true(filed + 1 >= info.docs);
    assert_int_equal(
        0, segment_terms(segment, emlfs_span_str("number*"), true, term_each, &numbers, NULL));
    assert_true(numbers >= info.docs);
}

static void *beside_read(void *arg)
{
    struct beside *beside = arg;
    struct segment *segment;
    assert_int_equal(0, segment_of_memory(beside->mem, &segment));
    bool done;
    do {
        done = atomic_load(&beside->done);
        reader_round(segment);
        atomic_fetch_add(&beside->rounds, 1);
    } while (!done);
    segment_close(segment);
    return NULL;
}

static void reading_beside_writing(void **state)
{
    (void)state;
    struct beside beside = {0};
    pthread_t writer, readers[2];
    assert_int_equal(0, memseg_new(1, &beside.mem));
    assert_int_equal(0, pthread_create(&writer, NULL, beside_write, &beside));
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(0, pthread_create(&readers[i], NULL, beside_read, &beside));
    pthread_join(writer, NULL);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_true(atomic_load(&beside.rounds) >= 2);
    memseg_free(beside.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_ascend),
        cmocka_unit_test(giant_document),
        cmocka_unit_test(reading_beside_writing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
