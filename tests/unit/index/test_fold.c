/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <utf8proc.h>

#include <cmocka.h>

#include "../../../store/index/tokens.h"
#include "../../../store/index/utf8.h"

#define TEXT_MAX_BYTES (64u << 20)

static void assert_fold(const char *text, const char *wanted)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    assert_int_equal(text_fold(emlfs_span_str(text), &out), 0);
    assert_int_equal(emlfs_buf_append_u8(&out, 0), 0);
    assert_string_equal((const char *)out.data, wanted);
}

static void test_examples(void **state)
{
    (void)state;
    assert_fold("", "");
    assert_fold("Hello, World 42", "hello, world 42");
    assert_fold("@[`{~\x7f", "@[`{~\x7f");
    assert_fold("ÄÖÜ Straße GROẞ", "aou strasse gross");
    assert_fold("Cafe\u0301 CAFÉ", "cafe cafe");
    assert_fold("Łódź Ångström Dvořák", "łodz angstrom dvorak");
    assert_fold("ΣΊΣΥΦΟΣ ς", "σισυφοσ σ");
    assert_fold("Ёлка Йод", "елка иод");
    assert_fold("İI ı", "ii ı");
    assert_fold("ﬁnance Ⅷ ２０２６ Ｈｉ", "finance viii 2026 hi");
    assert_fold("Do\u00ADnau\u200Bdampf\uFEFF", "donaudampf");
    assert_fold("ｶﾞｷﾞ ガ カ\u3099 ㍿", "ガギ ガ ガ 株式会社");
    assert_fold("\u1112\u1161\u11ab 한", "한 한");
    assert_fold("\uFDFA", "صلى الله عليه وسلم");
    assert_fold("\u0301\u0301a", "a");
}

static void test_not_utf8(void **state)
{
    static const char *const bad[] = {"\x80",         "a\xC3",        "\xC0\xAF",
                                      "\xED\xA0\x80", "\xE2\x82",     "\xF4\x90\x80\x80",
                                      "\xFF",         "e\u05B0\xC3(", "\xE0\x80\x80"};
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(100);
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(text_fold(emlfs_span_str(bad[i]), &out), -EILSEQ);
}

/* Every length and place of a capital around the blocks that ASCII is taken in. */
static void test_ascii_blocks(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(100);
    (void)state;
    for (size_t len = 1; len < 50; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t text[50];
            memset(text, 'z', sizeof(text));
            text[at] = 'Q';
            assert_int_equal(text_fold(emlfs_span_of(text, len), &out), 0);
            text[at] = 'q';
            assert_int_equal(out.len, len);
            assert_memory_equal(out.data, text, len);
        }
    }
    for (int c = 0; c < 128; c++) {
        uint8_t text[16];
        memset(text, c, sizeof(text));
        assert_int_equal(text_fold(emlfs_span_of(text, sizeof(text)), &out), 0);
        assert_int_equal(out.data[7], c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
}

static size_t encode_all(const int32_t *points, size_t n, uint8_t *ret)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += utf8_encode(points[i], ret + len);
    return len;
}

/*
 * Whatever composes is found: each code point and its canonical decomposition fold alike. This is
 * what a code point wrongly taken for one that stands alone would break.
 */
static void test_compositions(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf one = EMLFS_BUF_INIT(1000);
    EMLFS_BUF_CLEANUP struct emlfs_buf two = EMLFS_BUF_INIT(1000);
    unsigned checked = 0;
    (void)state;
    for (int32_t c = 0x80; c <= 0x10FFFF; c++) {
        int32_t parts[32];
        uint8_t bytes[200];
        int boundary = 0;
        if (c >= 0xD800 && c < 0xE000)
            continue;
        utf8proc_ssize_t n =
            utf8proc_decompose_char(c, parts, 32, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
        if (n == 1 && parts[0] == c)
            continue;
        assert_int_equal(text_fold(emlfs_span_of(bytes, utf8_encode(c, bytes)), &one), 0);
        size_t len = encode_all(parts, (size_t)n, bytes);
        assert_int_equal(text_fold(emlfs_span_of(bytes, len), &two), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&one), emlfs_buf_view(&two)));
        checked++;
    }
    assert_true(checked > 13000);
}

/* Folding what was folded changes nothing, and text from the cache is text made anew. */
static void test_stable(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf once = EMLFS_BUF_INIT(1000);
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(1000);
    (void)state;
    for (int32_t c = 1; c <= 0x10FFFF; c++) {
        uint8_t bytes[UTF8_MAX_BYTES];
        if (c >= 0xD800 && c < 0xE000)
            continue;
        assert_int_equal(text_fold(emlfs_span_of(bytes, utf8_encode(c, bytes)), &once), 0);
        assert_int_equal(text_fold(emlfs_buf_view(&once), &again), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&once), emlfs_buf_view(&again)));
    }
}

static void test_maximum(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(10);
    (void)state;
    assert_int_equal(text_fold(emlfs_span_str("12345678901"), &out), -E2BIG);
    assert_int_equal(text_fold(emlfs_span_str("\uFDFA"), &out), -E2BIG);
    assert_int_equal(text_fold(emlfs_span_str("1234567890"), &out), 0);
    assert_int_equal(out.len, 10);
}

/* Marks in the worst order: sorting them one by one would take hours. */
static void test_many_marks(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    const char pair[] = "\u0591\u05B0"; /* classes 220 and 10 */
    struct timespec start, end;
    (void)state;
    for (unsigned i = 0; i < 500000; i++)
        assert_int_equal(emlfs_buf_append(&text, pair, sizeof(pair) - 1), 0);
    clock_gettime(CLOCK_MONOTONIC, &start);
    assert_int_equal(text_fold(emlfs_buf_view(&text), &out), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    assert_int_equal(out.len, text.len);
    assert_memory_equal(out.data, "\u05B0\u05B0", 4);
    assert_memory_equal(out.data + out.len - 4, "\u0591\u0591", 4);
    assert_true(end.tv_sec - start.tv_sec < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),     cmocka_unit_test(test_not_utf8),
        cmocka_unit_test(test_ascii_blocks), cmocka_unit_test(test_compositions),
        cmocka_unit_test(test_stable),       cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_many_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
