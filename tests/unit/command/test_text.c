/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/text.h"

static const char *terminal_of(struct emlfs_buf *buf, const char *text, size_t len)
{
    emlfs_buf_clear(buf);
    assert_int_equal(emlfs_text_terminal(emlfs_span_of(text, len), buf), 0);
    assert_int_equal(emlfs_buf_append_u8(buf, 0), 0);
    return (const char *)buf->data;
}

static void test_terminal(void **state)
{
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } cases[] = {
        {"plain", 5, "plain"},
        {"a\033[2Jb", 6, "a\\u{1b}[2Jb"},
        {"\r\n\t\177", 4, "\\u{d}\\u{a}\\u{9}\\u{7f}"},
        {"nul\0x", 5, "nul\\u{0}x"},
        {"\302\2332J", 4, "\\u{9b}2J"},         /* C1 CSI */
        {"\342\200\256txt", 6, "\\u{202e}txt"}, /* right-to-left override */
        {"\342\200\213", 3, "\\u{200b}"},       /* zero-width space */
        {"\363\240\200\201", 4, "\\u{e0001}"},  /* tag */
        {"gr\303\274n \346\227\245 \360\237\230\200", 14,
         "gr\303\274n \346\227\245 \360\237\230\200"},
        {"\377\376", 2, "\\xff\\xfe"},
        {"\300\200", 2, "\\xc0\\x80"},          /* overlong NUL */
        {"\355\240\200", 3, "\\xed\\xa0\\x80"}, /* surrogate */
        {"\364\220\200\200", 4, "\\xf4\\x90\\x80\\x80"},
        {"cut\342\202", 5, "cut\\xe2\\x82"},
    };
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(terminal_of(&buf, cases[i].in, cases[i].len), cases[i].out);
}

/* Whatever goes in: what comes out is harmless, and as JSON it is read back equal. */
static void test_random_bytes(void **state)
{
    unsigned seed = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(1u << 16);
        EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(1u << 16);
        uint8_t in[40];
        size_t len = (size_t)rand_r(&seed) % sizeof(in);

        for (size_t i = 0; i < len; i++)
            in[i] = (uint8_t)(rand_r(&seed) >> (rand_r(&seed) % 8));
        assert_int_equal(emlfs_text_terminal(emlfs_span_of(in, len), &out), 0);
        for (size_t i = 0; i < out.len; i++)
            assert_true(out.data[i] >= 0x20 && out.data[i] != 0x7f);

        struct json_object *object = json_object_new_object(), *back = NULL;

        json_object_object_add(object, "t", emlfs_text_string(emlfs_span_of(in, len)));
        assert_int_equal(emlfs_text_json(object, &line), 0);
        for (size_t i = 0; i < line.len; i++)
            assert_true(line.data[i] >= 0x20 && line.data[i] != 0x7f);
        assert_int_equal(emlfs_text_json_parse(emlfs_buf_view(&line), &back, NULL), 0);
        assert_true(json_object_equal(object, back));
        json_object_put(object);
        json_object_put(back);
    }
}

static void test_json_line(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(4096);
    struct json_object *object = json_object_new_object();

    (void)state;
    json_object_object_add(object, "a", json_object_new_string("\033\302\233\342\200\256/\"\\"));
    json_object_object_add(object, "b", emlfs_text_string(emlfs_span_of("\377z", 2)));
    assert_int_equal(emlfs_text_json(object, &line), 0);
    assert_int_equal(emlfs_buf_append_u8(&line, 0), 0);
    assert_string_equal((char *)line.data,
                        "{\"a\":\"\\u001b\\u009b\\u202e/\\\"\\\\\",\"b\":\"\\\\xffz\"}");
    json_object_put(object);
}

static void test_json_parse_refuses(void **state)
{
    static const char *const cases[] = {
        "",
        "[]",
        "\"x\"",
        "{",
        "{}x",

        "{\"a\":1}{}",

        "nul",
        "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}",
        "{\"a\":\"\377\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_object *object = NULL;

        assert_int_equal(emlfs_text_json_parse(emlfs_span_str(cases[i]), &object, NULL), -EINVAL);
        assert_null(object);
    }
}

static void test_numbers(void **state)
{
    char text[EMLFS_TEXT_TIME_MAX];

    (void)state;
    emlfs_text_count(0, text);
    assert_string_equal(text, "0");
    emlfs_text_count(1234567, text);
    assert_string_equal(text, "1,234,567");
    emlfs_text_count(UINT64_MAX, text);
    assert_string_equal(text, "18,446,744,073,709,551,615");
    emlfs_text_size(999, text);
    assert_string_equal(text, "999 B");
    emlfs_text_size(1500, text);
    assert_string_equal(text, "1.5 kB");
    emlfs_text_size(123456789, text);
    assert_string_equal(text, "123 MB");
    emlfs_text_time(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    emlfs_text_time(-1, text);
    assert_string_equal(text, "1969-12-31T23:59:59Z");
    emlfs_text_time(INT64_MAX, text);
    emlfs_text_time(INT64_MIN, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal),  cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_json_line), cmocka_unit_test(test_json_parse_refuses),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
