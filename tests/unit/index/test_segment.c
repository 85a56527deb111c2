/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>

#include "emlfs/base/os.h"
#include "scratch.h"
#include "segment_check.h"

static const struct emlfs_key test_key = {.v = {1, 2, 3}};

static void path_make(char path[64])
{
    static unsigned n;
    snprintf(path, 64, "%s/emlfs-segment-%d-%u", scratch_dir(), (int)getpid(), n++);
    (void)unlink(path);
}

/* Memory and file answer as the model does, for many seeds. */
static void memory_and_file(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct model m;
        struct memseg *mem;
        struct segment *segment;
        char path[64];
        path_make(path);
        model_init(&m, seed, 1 + seed % 3 * 1000);
        assert_int_equal(0, memseg_new(m.first_doc, &mem));
        model_fill(&m, mem, seed % 10 == 0 ? 900 : seed * 3 % 64);
        model_settle(&m);
        assert_int_equal(0, segment_of_memory(mem, &segment));
        segment_check(&m, segment);
        filings_check(&m, segment, false);
        segment_close(segment);
        assert_int_equal(0, memseg_write(mem, path, &test_key, NULL));
        assert_int_equal(-EEXIST, memseg_write(mem, path, &test_key, NULL));
        memseg_free(mem);
        assert_int_equal(0, segment_open(path, &test_key, &segment, NULL));
        segment_check(&m, segment);
        filings_check(&m, segment, false);
        segment_close(segment);
        unlink(path);
        model_free(&m);
    }
}

/* ---- damage */

static void small_write(const char *path)
{
    struct model m;
    struct memseg *mem;
    model_init(&m, 42, 1);
    assert_int_equal(0, memseg_new(1, &mem));
    model_fill(&m, mem, 4);
    assert_int_equal(0, memseg_write(mem, path, &test_key, NULL));
    memseg_free(mem);
    model_free(&m);
}

static int term_read(void *arg, struct emlfs_span term, uint32_t docs)
{
    struct postings *postings;
    struct doc_attr attr;
    const uint32_t *positions;
    unsigned n;
    int64_t doc = UINT32_MAX;
    int r = postings_open(arg, term, &postings, NULL);
    if (r < 0)
        return r;
    assert_int_equal(docs, postings_count(postings));
    while (r == 0 && doc > 0 && (doc = postings_seek(postings, (uint32_t)doc, NULL)) > 0) {
        r = postings_positions(postings, &positions, &n, NULL);
        if (r == 0)
            r = segment_attr(arg, (uint32_t)doc, &attr, NULL);
        doc--;
    }
    postings_free(postings);
    return r < 0 ? r : doc < 0 ? (int)doc : 0;
}

static int term_pass(void *arg, struct emlfs_span term, uint32_t docs)
{
    (void)arg;
    (void)term;
    return docs == 0;
}

static int said_pass(void *arg, uint32_t doc, bool in)
{
    (void)arg;
    (void)in;
    return doc == 0;
}

/* Of documents 1 to the last. */
static int envelopes_read(struct segment *segment)
{
    struct emlfs_buf envelope = EMLFS_BUF_INIT(EMLFS_ENVELOPE_MAX_BYTES);
    struct attr_reader *reader;
    struct segment_info info;
    int r = attr_reader_new(segment, &reader);
    assert_int_equal(0, r);
    segment_get_info(segment, &info);
    for (uint32_t doc = 1; doc <= info.last_doc && (r == 0 || r == -ENOENT); doc++)
        r = attr_reader_envelope(reader, doc, &envelope, NULL);
    attr_reader_free(reader);
    emlfs_buf_free(&envelope);
    return r == -ENOENT ? 0 : r;
}

static int all_read(const char *path)
{
    struct segment *segment;
    const struct filing_range range = {.high = UINT32_MAX};
    int r = segment_open(path, &test_key, &segment, NULL);
    if (r < 0)
        return r;
    r = segment_terms(segment, emlfs_span_str("*"), true, term_read, segment, NULL);
    if (r == 0)
        r = segment_terms(segment, emlfs_span_str("*z"), true, term_pass, NULL, NULL);
    if (r == 0)
        r = segment_filings(segment, &range, said_pass, NULL, NULL);
    if (r == 0)
        r = envelopes_read(segment);
    segment_close(segment);
    return r;
}

static void file_put(const char *path, struct emlfs_span bytes)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(0, emlfs_os_write_all(fd, bytes.data, bytes.len));
    close(fd);
}

#ifdef EMLFS_SANITIZED
#define FLIP_STEP 3u /* each is read whole, slowly */
#else
#define FLIP_STEP 1u
#endif

static void damage_is_found(void **state)
{
    (void)state;
    struct emlfs_buf bytes = EMLFS_BUF_INIT(1u << 20);
    const struct emlfs_key other = {.v = {1, 2, 4}};
    struct segment *segment;
    char path[64];
    path_make(path);
    small_write(path);
    assert_int_equal(0, all_read(path));
    assert_int_equal(-EBADMSG, segment_open(path, &other, &segment, NULL));
    assert_int_equal(0, emlfs_os_read_file(path, &bytes));
    for (size_t i = 0; i < bytes.len; i += FLIP_STEP) {
        bytes.data[i] ^= (uint8_t)(1u << i % 8);
        file_put(path, emlfs_buf_view(&bytes));
        const int r = all_read(path);
        assert_true(r == -EBADMSG || r == -EPROTONOSUPPORT || r == -EUCLEAN);
        bytes.data[i] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t len = 0; len < bytes.len; len += 1 + len / 40) {
        file_put(path, emlfs_span_of(bytes.data, len));
        assert_int_equal(-EBADMSG, all_read(path));
    }
    assert_int_equal(0, emlfs_buf_append_u8(&bytes, 0));
    file_put(path, emlfs_buf_view(&bytes));
    assert_int_equal(-EBADMSG, all_read(path));
    unlink(path);
    assert_int_equal(-ENOENT, all_read(path));
    emlfs_buf_free(&bytes);
}

/* Neither words nor reversed words stand in the file. */
static void nothing_readable(void **state)
{
    (void)state;
    struct emlfs_buf bytes = EMLFS_BUF_INIT(1u << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf doctext = EMLFS_BUF_INIT(1u << 20);
    const struct doc_attr attr = {.doc = 1, .text_bytes = 30};
    const char *text = "confidential quarterly figures";
    struct memseg *mem;
    char path[64];
    path_make(path);
    assert_int_equal(0, memseg_new(1, &mem));
    assert_int_equal(0, emlfs_doctext_begin(&doctext, EMLFS_PRIORITY_NORMAL, false));
    assert_int_equal(
        0, emlfs_doctext_piece(&doctext, EMLFS_TEXT_SUBJECT, emlfs_span_of(text, strlen(text))));
    assert_int_equal(0, memseg_add(mem, &attr, emlfs_buf_view(&doctext), emlfs_span_str(text)));
    assert_int_equal(0, memseg_write(mem, path, &test_key, NULL));
    assert_int_equal(0, emlfs_os_read_file(path, &bytes));
    assert_null(memmem(bytes.data, bytes.len, "confid", 6));
    assert_null(memmem(bytes.data, bytes.len, "quart", 5));
    assert_null(memmem(bytes.data, bytes.len, "serugif", 7));
    memseg_free(mem);
    unlink(path);
    emlfs_buf_free(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_and_file),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(nothing_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
