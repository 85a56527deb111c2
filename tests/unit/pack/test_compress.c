/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pack_test.h"

#include <pthread.h>

#define PLAIN_BYTES (700u << 10)

/* Text that zstd shrinks to about a third, different for each seed. */
static void text_make(uint32_t seed, size_t len, struct emlfs_buf *out)
{
    static const char *const words[] = {"Received: ", "from ",   "mail.example.org ", "with ",
                                        "ESMTP\r\n",  "meeting", " tomorrow ",        "at noon"};
    char number[16];
    emlfs_buf_clear(out);
    while (out->len < len) {
        seed = seed * 1664525u + 1013904223u;
        const char *word = words[seed >> 29];
        assert_int_equal(emlfs_buf_append(out, word, strlen(word)), 0);
        snprintf(number, sizeof(number), "%u", seed & 0xffff);
        assert_int_equal(emlfs_buf_append(out, number, strlen(number)), 0);
    }
    out->len = len;
}

static void record_of(struct emlfs_packed *packed, struct emlfs_record *ret_record)
{
    *ret_record = (struct emlfs_record){.plain_len = packed->plain_len,
                                        .dict_id = packed->dict_id,
                                        .type = packed->type,
                                        .flags = packed->flags,
                                        .stored = packed->stored};
}

static void assert_prefix(const struct emlfs_record *record, const struct emlfs_dict *dict,
                          size_t want, struct emlfs_span text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(1 << 20);
    size_t len = want < text.len ? want : text.len;
    assert_int_equal(emlfs_record_plain(record, dict, want, &out, NULL), 0);
    assert_int_equal(out.len, len);
    assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_span_of(text.data, len)));
}

/* All lengths around the places where zstd's blocks and our limits change, and many between. */
static void assert_prefixes(const struct emlfs_record *record, const struct emlfs_dict *dict,
                            struct emlfs_span text)
{
    for (size_t edge = 0; edge <= text.len; edge += 128u << 10)
        for (size_t want = edge < 3 ? 0 : edge - 3; want < edge + 3; want++)
            assert_prefix(record, dict, want, text);
    for (size_t want = 1; want < text.len; want = want * 5 / 4 + 1)
        assert_prefix(record, dict, want, text);
    for (size_t want = text.len - 2; want < text.len + 3; want++)
        assert_prefix(record, dict, want, text);
    assert_prefix(record, dict, SIZE_MAX, text);
}

static void test_partial_equals_whole(void **state)
{
    struct scene *scene = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_packed packed;
    struct emlfs_record record;
    text_make(1, PLAIN_BYTES, &text);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, NULL,
                                       emlfs_buf_view(&text), &packed, NULL),
                     0);
    assert_int_equal(packed.flags, EMLFS_PACKED_ZSTD);
    assert_true(packed.stored.len < PLAIN_BYTES / 2);
    record_of(&packed, &record);
    assert_prefixes(&record, NULL, emlfs_buf_view(&text));
    emlfs_packed_free(&packed);
}

static void test_noise_is_stored_plain(void **state)
{
    struct scene *scene = *state;
    static uint8_t noise[300000];
    struct emlfs_packed packed;
    struct emlfs_record record;
    assert_int_equal(emlfs_random(noise, sizeof(noise)), 0);
    const struct emlfs_span span = emlfs_span_of(noise, sizeof(noise));
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL, span, &packed, NULL),
                     0);
    assert_int_equal(packed.flags, 0);
    assert_int_equal(packed.stored.len, sizeof(noise));
    record_of(&packed, &record);
    assert_prefixes(&record, NULL, span);
    emlfs_packed_free(&packed);
}

/* Beginnings of texts laid end to end, as an archive makes its dictionary. */
static void dictionary_content(struct emlfs_buf *content)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf sample = EMLFS_BUF_INIT(1 << 20);
    for (uint32_t i = 0; i < 16; i++) {
        text_make(i, 1500 + i, &sample);
        assert_int_equal(emlfs_buf_append(content, sample.data, 1024), 0);
    }
}

static void test_dictionary(void **state)
{
    struct scene *scene = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf content = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_packed packed;
    struct emlfs_packed without;
    struct emlfs_record record;
    struct emlfs_dict *dict;
    struct emlfs_dict *other;
    struct emlfs_hash hash;
    dictionary_content(&content);
    assert_int_equal(emlfs_dict_new(emlfs_buf_view(&content), 6, &dict), 0);
    assert_int_equal(emlfs_sha256(emlfs_buf_view(&content), &hash), 0);
    assert_int_equal(emlfs_dict_id(dict), (uint32_t)hash.v[0] | (uint32_t)hash.v[1] << 8 |
                                              (uint32_t)hash.v[2] << 16 |
                                              (uint32_t)hash.v[3] << 24);
    assert_true(emlfs_span_equal(emlfs_dict_content(dict), emlfs_buf_view(&content)));
    text_make(9999, 2000, &text);
    const struct emlfs_span span = emlfs_buf_view(&text);
    assert_int_equal(
        emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, dict, span, &packed, NULL), 0);
    /* the packer does not remember the dictionary */
    assert_int_equal(
        emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, NULL, span, &without, NULL), 0);
    assert_int_equal(packed.dict_id, emlfs_dict_id(dict));
    assert_int_equal(without.dict_id, 0);
    assert_true(packed.stored.len < without.stored.len);
    record_of(&packed, &record);
    assert_prefixes(&record, dict, span);
    assert_int_equal(emlfs_dict_new(emlfs_span_str("some other raw text"), 6, &other), 0);
    assert_int_equal(emlfs_record_plain(&record, NULL, 10, &out, NULL), -ENOKEY);
    assert_int_equal(emlfs_record_plain(&record, other, 10, &out, NULL), -ENOKEY);
    record_of(&without, &record);
    assert_prefixes(&record, dict, span); /* not needed, and not used */
    emlfs_packed_free(&packed);
    emlfs_packed_free(&without);
    emlfs_dict_free(dict);
    emlfs_dict_free(other);
    emlfs_dict_free(NULL);
}

static void test_no_empty_dictionary(void **state)
{
    (void)state;
    struct emlfs_dict *dict;
    assert_int_equal(emlfs_dict_new(emlfs_span_of(NULL, 0), 3, &dict), -EINVAL);
}

/* Reading on in steps of any size gives what reading at once gives. */
static void expand_in_steps(const struct emlfs_record *record, const struct emlfs_dict *dict,
                            struct emlfs_span plain, size_t step)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_expander *expander;
    assert_int_equal(emlfs_expander_new(record, dict, &out, &expander, NULL), 0);
    for (size_t want = step; want < plain.len + 2 * step; want += step) {
        size_t least = want < plain.len ? want : plain.len;
        assert_int_equal(emlfs_expander_to(expander, want, NULL), 0);
        assert_true(out.len >= least && out.len <= plain.len);
        assert_memory_equal(out.data, plain.data, out.len);
        assert_int_equal(emlfs_expander_to(expander, want / 2, NULL), 0);
    }
    assert_int_equal(out.len, plain.len);
    emlfs_expander_free(expander);
}

static void test_expander(void **state)
{
    struct scene *scene = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf content = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf small = EMLFS_BUF_INIT(1000);
    static uint8_t noise[300000];
    struct emlfs_expander *expander;
    struct emlfs_packed packed;
    struct emlfs_record record;
    struct emlfs_dict *dict;
    dictionary_content(&content);
    assert_int_equal(emlfs_dict_new(emlfs_buf_view(&content), 6, &dict), 0);
    text_make(77, PLAIN_BYTES, &text);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, dict,
                                       emlfs_buf_view(&text), &packed, NULL),
                     0);
    record_of(&packed, &record);
    for (size_t step = 777; step < 2 * (size_t)PLAIN_BYTES; step = step * 7 / 2)
        expand_in_steps(&record, dict, emlfs_buf_view(&text), step);
    assert_int_equal(emlfs_expander_new(&record, NULL, &text, &expander, NULL), -ENOKEY);
    assert_int_equal(emlfs_expander_new(&record, dict, &small, &expander, NULL), -E2BIG);
    record.stored.len /= 2;
    assert_int_equal(emlfs_expander_new(&record, dict, &text, &expander, NULL), 0);
    assert_int_equal(emlfs_expander_to(expander, record.plain_len, NULL), -EUCLEAN);
    emlfs_expander_free(expander);
    emlfs_packed_free(&packed);
    assert_int_equal(emlfs_random(noise, sizeof(noise)), 0);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL,
                                       emlfs_span_of(noise, sizeof(noise)), &packed, NULL),
                     0);
    record_of(&packed, &record);
    expand_in_steps(&record, NULL, emlfs_span_of(noise, sizeof(noise)), 99999);
    emlfs_packed_free(&packed);
    emlfs_dict_free(dict);
}

static void test_limit(void **state)
{
    struct scene *scene = *state;
    struct emlfs_packed packed;
    struct emlfs_record record;
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    uint8_t *zeros = calloc(1, EMLFS_RECORD_PLAIN_MAX_BYTES + 1);
    assert_non_null(zeros);
    struct emlfs_span span = emlfs_span_of(zeros, EMLFS_RECORD_PLAIN_MAX_BYTES + 1);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL, span, &packed, NULL),
                     -E2BIG);
    emlfs_packed_free(&packed);
    span.len--;
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL, span, &packed, NULL),
                     0);
    record_of(&packed, &record);
    assert_int_equal(emlfs_record_plain(&record, NULL, span.len - 1, &out, NULL), 0);
    assert_int_equal(out.len, span.len - 1);
    assert_int_equal(emlfs_record_plain(&record, NULL, SIZE_MAX, &out, NULL), 0);
    assert_int_equal(out.len, span.len);
    emlfs_packed_free(&packed);
    free(zeros);
}

/* The record's own size binds: a frame with more, less or broken content is an error. */
static void test_lying_sizes(void **state)
{
    struct scene *scene = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_packed packed;
    struct emlfs_record record;
    text_make(5, 300000, &text);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, NULL,
                                       emlfs_buf_view(&text), &packed, NULL),
                     0);
    record_of(&packed, &record);
    record.plain_len = 299999;
    assert_int_equal(emlfs_record_plain(&record, NULL, SIZE_MAX, &out, NULL), -EUCLEAN);
    record.plain_len = 300001;
    assert_int_equal(emlfs_record_plain(&record, NULL, SIZE_MAX, &out, NULL), -EUCLEAN);
    record.plain_len = 300002;
    assert_int_equal(emlfs_record_plain(&record, NULL, 300001, &out, NULL), -EUCLEAN);
    record.plain_len = 300000;
    record.stored.len -= 10;
    assert_int_equal(emlfs_record_plain(&record, NULL, SIZE_MAX, &out, NULL), -EUCLEAN);
    assert_int_equal(emlfs_record_plain(&record, NULL, 299999, &out, NULL), -EUCLEAN);
    assert_int_equal(out.len, 0);
    record.stored.len += 10;
    out.max_bytes = 1000;
    emlfs_buf_free(&out);
    assert_int_equal(emlfs_record_plain(&record, NULL, 1001, &out, NULL), -E2BIG);
    assert_int_equal(emlfs_record_plain(&record, NULL, 1000, &out, NULL), 0);
    record.flags = 0;
    assert_int_equal(emlfs_record_plain(&record, NULL, 1000, &out, NULL), -EUCLEAN);
    emlfs_packed_free(&packed);
}

struct job {
    const struct emlfs_record *record;
    const struct emlfs_buf *text;
    unsigned failures;
};

static void *job_run(void *arg)
{
    struct job *job = arg;
    struct emlfs_buf out = EMLFS_BUF_INIT(1 << 20);
    for (size_t want = 1; want < job->text->len; want += 33333) {
        if (emlfs_record_plain(job->record, NULL, want, &out, NULL) < 0 || out.len != want ||
            memcmp(out.data, job->text->data, want) != 0)
            job->failures++;
    }
    emlfs_buf_free(&out);
    return NULL;
}

static void test_threads(void **state)
{
    struct scene *scene = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_packed packed;
    struct emlfs_record record;
    struct job jobs[4];
    pthread_t threads[4];
    text_make(1, PLAIN_BYTES, &text);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOCK, NULL,
                                       emlfs_buf_view(&text), &packed, NULL),
                     0);
    record_of(&packed, &record);
    for (unsigned i = 0; i < 4; i++) {
        jobs[i] = (struct job){.record = &record, .text = &text};
        assert_int_equal(pthread_create(&threads[i], NULL, job_run, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(jobs[i].failures, 0);
    }
    emlfs_packed_free(&packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_partial_equals_whole),
        IN_SCENE(test_noise_is_stored_plain),
        IN_SCENE(test_dictionary),
        IN_SCENE(test_no_empty_dictionary),
        IN_SCENE(test_expander),
        IN_SCENE(test_limit),
        IN_SCENE(test_lying_sizes),
        IN_SCENE(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
