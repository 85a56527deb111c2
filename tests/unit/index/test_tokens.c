/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../store/index/tokens.h"
#include "../../../store/index/utf8.h"

/* The tokens of text, folded, with a '|' behind each. */
static void assert_tokens(const char *text, const char *wanted)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(4096);
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(8192);
    struct token token;
    assert_int_equal(text_fold(emlfs_span_str(text), &folded), 0);
    struct token_walk walk = token_walk_of(emlfs_buf_view(&folded));
    while (token_walk_next(&walk, &token)) {
        assert_true(token.text.len > 0 && token.text.len <= TOKEN_MAX_BYTES);
        assert_int_equal(emlfs_buf_append(&out, token.text.data, token.text.len), 0);
        assert_int_equal(emlfs_buf_append_u8(&out, '|'), 0);
    }
    assert_false(token_walk_next(&walk, &token));
    assert_int_equal(emlfs_buf_append_u8(&out, 0), 0);
    assert_string_equal((const char *)out.data, wanted);
}

static void test_examples(void **state)
{
    (void)state;
    assert_tokens("", "");
    assert_tokens(" .,;-_@/\\\"' \n\t", "");
    assert_tokens("first.last@Example.com", "first|last|example|com|");
    assert_tokens("a_b-c/d\\e,f;g", "a|b|c|d|e|f|g|");
    assert_tokens("it's 12:30", "it|s|12|30|");
    assert_tokens("10€ + 5% ≠ 3²", "10|5|32|");
    assert_tokens("Größe\u00A0über", "grosse|uber|");
    assert_tokens("Größe in Ordnung", "grosse|in|ordnung|");
}

static void test_nul_separates(void **state)
{
    struct token_walk walk = token_walk_of(emlfs_span_of("a\0b", 3));
    struct token token;
    (void)state;
    assert_true(token_walk_next(&walk, &token));
    assert_true(emlfs_span_equal(token.text, emlfs_span_str("a")));
    assert_true(token_walk_next(&walk, &token));
    assert_true(emlfs_span_equal(token.text, emlfs_span_str("b")));
    assert_false(token_walk_next(&walk, &token));
}

static void test_cjk(void **state)
{
    (void)state;
    assert_tokens("漢", "漢|");
    assert_tokens("漢字", "漢字|字|");
    assert_tokens("漢字学 生", "漢字|字学|学|生|");
    assert_tokens("abc漢字def", "abc|漢字|字|def|");
    assert_tokens("東京タワー、東京。", "東京|京タ|タワ|ワー|ー|東京|京|");
    assert_tokens("서울시", "서울|울시|시|");
    assert_tokens("ㄅㄆ", "ㄅㄆ|ㄆ|");
    assert_tokens("\U00020000\U00020001", "\U00020000\U00020001|\U00020001|");
    assert_tokens("日本２０２６年", "日本|本|2026|年|");
    assert_true(codepoint_is_cjk(0x30FC) && codepoint_is_cjk(0x3005));
    assert_false(codepoint_is_cjk(0x3001) || codepoint_is_cjk(0x30FB));
    assert_false(codepoint_is_cjk('a') || codepoint_is_cjk(-1) || codepoint_is_cjk(0x110000));
}

/* 64 code points, however many bytes; what follows in the same run is not found. */
static void test_long(void **state)
{
    char text[400] = "";
    char wanted[400] = "";
    (void)state;
    memset(text, 'x', 200);
    memcpy(text + 200, " y", 3);
    memset(wanted, 'x', 64);
    memcpy(wanted + 64, "|y|", 4);
    assert_tokens(text, wanted);
    for (unsigned i = 0; i < 70; i++)
        utf8_encode(0x10400 + 0x28, (uint8_t *)text + i * 4);
    text[280] = '\0';
    memcpy(wanted, text, 256);
    memcpy(wanted + 256, "|", 2);
    assert_tokens(text, wanted);
    text[256] = '\0'; /* exactly 64 */
    assert_tokens(text, wanted);
}

static void test_bad_bytes_separate(void **state)
{
    static const uint8_t bytes[] = {'a', 0xFF, 'b', 0xE6, 0xBC, 'c', 0xC3};
    struct token_walk walk = token_walk_of(emlfs_span_of(bytes, sizeof(bytes)));
    struct token token;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(token_walk_next(&walk, &token));
        assert_int_equal(token.text.len, 1);
        assert_int_equal(token.text.data[0], 'a' + i);
    }
    assert_false(token_walk_next(&walk, &token));
}

static bool glob(const char *pattern, const char *token)
{
    return glob_match(emlfs_span_str(pattern), emlfs_span_str(token));
}

static void test_glob(void **state)
{
    (void)state;
    assert_true(glob("", "") && glob("*", "") && glob("*", "abc") && glob("abc", "abc"));
    assert_true(glob("a*", "a") && glob("*c", "abc") && glob("a*c", "abc") && glob("*b*", "abc"));
    assert_true(glob("a?c", "abc") && glob("?", "漢") && glob("??", "é漢") && glob("m?er", "müer"));
    assert_true(glob("*aab", "aaaab") && glob("a*b*c", "aXbXbc") && glob("**a", "a"));
    assert_false(glob("", "a") || glob("?", "") || glob("a?", "a") || glob("abc", "abcd"));
    assert_false(glob("*b", "abc") || glob("a*c", "abcd") || glob("??", "漢") || glob("a", "b"));
    assert_true(glob("*漢*", "a漢b") && !glob("*字", "漢字x"));
    assert_true(glob_match(emlfs_span_of(NULL, 0), emlfs_span_of(NULL, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples), cmocka_unit_test(test_nul_separates),
        cmocka_unit_test(test_cjk),      cmocka_unit_test(test_long),
        cmocka_unit_test(test_glob),     cmocka_unit_test(test_bad_bytes_separate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
