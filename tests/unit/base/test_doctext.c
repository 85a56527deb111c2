/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/doctext.h"

#define BUF() EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES)

static void sample(struct emlfs_buf *doc)
{
    assert_int_equal(emlfs_doctext_begin(doc, EMLFS_PRIORITY_HIGH, true), 0);
    assert_int_equal(
        emlfs_doctext_piece(doc, EMLFS_TEXT_SUBJECT, emlfs_span_str("Gr\xc3\xbc\xc3\x9f")), 0);
    assert_int_equal(emlfs_doctext_problem(doc, "a\nb.pdf", "encrypted"), 0);
    assert_int_equal(emlfs_doctext_piece(doc, EMLFS_TEXT_BODY, emlfs_span_of(NULL, 0)), 0);
    assert_int_equal(emlfs_doctext_piece(doc, EMLFS_TEXT_CONTENT,
                                         emlfs_span_of("a\0\xff"
                                                       "b",
                                                       4)),
                     0);
}

static int check(struct emlfs_span bytes)
{
    enum emlfs_priority priority;
    bool attachment;
    return emlfs_doctext_check(bytes, &priority, &attachment, NULL);
}

static void test_round_trip(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = BUF();
    enum emlfs_priority priority;
    bool attachment;
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    size_t pos = 0;
    sample(&doc);
    struct emlfs_span bytes = emlfs_buf_view(&doc);
    assert_int_equal(emlfs_doctext_check(bytes, &priority, &attachment, NULL), 0);
    assert_int_equal(priority, EMLFS_PRIORITY_HIGH);
    assert_true(attachment);
    assert_true(emlfs_doctext_next(bytes, &pos, &piece, &problem));
    assert_int_equal(piece.field, EMLFS_TEXT_SUBJECT);
    assert_true(emlfs_span_equal(piece.text, emlfs_span_str("Gr\xc3\xbc\xc3\x9f")));
    assert_true(emlfs_doctext_next(bytes, &pos, &piece, &problem));
    assert_int_equal(piece.field, 0);
    assert_true(emlfs_span_equal(problem.part, emlfs_span_str("a b.pdf")));
    assert_true(emlfs_span_equal(problem.reason, emlfs_span_str("encrypted")));
    assert_true(emlfs_doctext_next(bytes, &pos, &piece, &problem));
    assert_int_equal(piece.field, EMLFS_TEXT_CONTENT);
    assert_true(emlfs_span_equal(piece.text, emlfs_span_str("a \xef\xbf\xbd"
                                                            "b")));
    assert_false(emlfs_doctext_next(bytes, &pos, &piece, &problem));
    assert_false(emlfs_doctext_next(bytes, &pos, &piece, &problem));
}

static void test_cut_and_flipped(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = BUF();
    sample(&doc);
    unsigned whole = 0;
    for (size_t len = 0; len < doc.len; len++)
        whole += check(emlfs_span_of(doc.data, len)) == 0;
    assert_int_equal(whole, 3); /* after the head and after each record but the last */
    for (size_t at = 0; at < doc.len; at++) {
        uint8_t was = doc.data[at];
        for (unsigned value = 0; value < 256; value++) {
            struct emlfs_doctext_piece piece;
            struct emlfs_doctext_problem problem;
            size_t pos = 0;
            doc.data[at] = (uint8_t)value;
            if (check(emlfs_buf_view(&doc)) < 0)
                continue;
            while (emlfs_doctext_next(emlfs_buf_view(&doc), &pos, &piece, &problem))
                assert_int_equal(emlfs_doctext_valid(piece.text), piece.text.len);
            assert_int_equal(pos, doc.len);
        }
        doc.data[at] = was;
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } bad[] = {{"", 0},
               {"\1\0", 2},
               {"\2\0\0", 3},
               {"\1\3\0", 3},
               {"\1\0\2", 3},
               {"\1\0\0\6\0", 5},             /* an empty piece */
               {"\1\0\0\11\1x", 6},           /* no such field */
               {"\1\0\0\6\1\0", 6},           /* NUL */
               {"\1\0\0\6\1\xff", 6},         /* not UTF-8 */
               {"\1\0\0\6\2\xc1\x81", 7},     /* overlong */
               {"\1\0\0\6\3\xed\xa0\x80", 8}, /* a surrogate */
               {"\1\0\0\6\4\xf4\x90\x80\x80", 9},
               {"\1\0\0\6\x81\0x", 7}, /* overlong length */
               {"\1\0\0\0\1x\0", 7},   /* no reason */
               {"\1\0\0\0\1\n\1x", 8}, /* a control character */
               {"\1\0\0\0\2\xc2\x85\1x", 9}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(check(emlfs_span_of(bad[i].bytes, bad[i].len)), -EUCLEAN);
    assert_int_equal(check(emlfs_span_of("\1\0\0", 3)), 0);
    assert_int_equal(check(emlfs_span_of("\1\2\1\6\1x", 6)), 0);
}

static void test_limits(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES * 2u);
    struct emlfs_span big = {calloc(1, EMLFS_DOCTEXT_MAX_BYTES), EMLFS_DOCTEXT_MAX_BYTES};
    char text[1000];
    assert_non_null(big.data);
    memset((uint8_t *)(uintptr_t)big.data, 'x', big.len);
    assert_int_equal(emlfs_doctext_begin(&doc, EMLFS_PRIORITY_NORMAL, false), 0);
    assert_int_equal(emlfs_doctext_begin(&doc, EMLFS_PRIORITY_NORMAL, false), -EINVAL);
    assert_int_equal(emlfs_doctext_piece(&doc, EMLFS_TEXT_BODY, big), -E2BIG);
    assert_int_equal(doc.len, 3);
    big.len -= 3 + 1 + 4;
    assert_int_equal(emlfs_doctext_piece(&doc, EMLFS_TEXT_BODY, big), 0);
    assert_int_equal(doc.len, EMLFS_DOCTEXT_MAX_BYTES);
    assert_int_equal(emlfs_doctext_problem(&doc, "x", "y"), -E2BIG);
    assert_int_equal(check(emlfs_buf_view(&doc)), 0);
    emlfs_buf_clear(&doc);
    assert_int_equal(emlfs_doctext_begin(&doc, EMLFS_PRIORITY_NORMAL, false), 0);
    memset(text, 0xc3, sizeof text);
    for (size_t i = 1; i < sizeof text; i += 2)
        text[i] = (char)0xa4;
    text[sizeof text - 1] = '\0';
    for (unsigned i = 0; i < EMLFS_DOCTEXT_PROBLEMS_MAX; i++)
        assert_int_equal(emlfs_doctext_problem(&doc, text, text), 0);
    assert_int_equal(emlfs_doctext_problem(&doc, "", "y"), -E2BIG);
    assert_int_equal(check(emlfs_buf_view(&doc)), 0);
    free((void *)(uintptr_t)big.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_cut_and_flipped),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
