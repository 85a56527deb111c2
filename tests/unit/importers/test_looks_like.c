/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "collect.h"

static bool judge(const char *text, size_t *ret_skip)
{
    return emlfs_looks_like_message(emlfs_span_str(text), ret_skip);
}

static void test_messages(void **state)
{
    (void)state;
    static const char *const messages[] = {
        "From: a@b\n\nx",
        "Subject : blank before the colon\r\n\r\nx",
        "Received: x\r\tfolded\rSubject: bare CR\r\rbody",
        "X-Only:",
        "\n\r\nFrom: after empty lines\n\n",
        "garbage first\nSubject: then a field\n\nx",
        ">From a@b Mon Jan  1 00:00:00 2001\nSubject: x\n\n",
        " continuation first\nTo: x\n\n",
        "\xef\xbb\xbf"
        "From: byte order mark\n\n",
        "\xdc"
        "berschrift: 8-bit name\n\n",
        "x.y_z+1: odd name\n\n",
        "From: only a header, no empty line",
    };
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
        size_t skip = 99;
        if (!judge(messages[i], &skip))
            fail_msg("not taken: %s", messages[i]);
        assert_int_equal(skip, 0);
    }
}

static void test_nul_bytes(void **state)
{
    (void)state;
    static const char text[] = "Subject: a\0b\nX: \0\n\n\0\0";
    assert_true(emlfs_looks_like_message(emlfs_span_of(text, sizeof(text) - 1), NULL));
}

static void test_not_messages(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        "\n\n\n",
        "plain text\nmore text\n\nNote: after the empty line\n",
        "http://example.org/\n",
        "{\"key\": 1}\n",
        "<a:b>x</a:b>\n",
        "<?xml version=\"1.0\"?>\n<x:y/>\n",
        "BEGIN:VCARD\nVERSION:3.0\n",
        "BEGIN:VCALENDAR\n",
        "dn: cn=x\nmail: y\n",
        "-----BEGIN PGP MESSAGE-----\nVersion: 1\n\n",
        "%PDF-1.4\n\x01\x02: x\nTitle: x\n",
        ": no name\n\n",
        "From the web we know\nthat this is prose\n",
        "From a@b Mon Jan  1 00:00:00 2001\nno header here\n\n",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (judge(others[i], NULL))
            fail_msg("taken: %s", others[i]);
    assert_false(emlfs_looks_like_message((struct emlfs_span){0}, NULL));
}

static void test_from_line_is_skipped(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t skip;
    } lines[] = {
        {"From a@b  Thu Aug 22 12:36:23 2002\n", 35},
        {"From a@b  Thu Aug 22 12:36:23 2002\r\n", 36},
        {"From a@b  Thu Aug 22 12:36:23 2002\r", 35},
        {"From - Thu Aug 22 12:36:23 2002\n", 32},
        {"From \n", 6},
        {"From someone@example.org\n", 25},
        {"\xef\xbb\xbf"
         "From -\n",
         10},
        {"From here on it is prose\n", 0}, /* no separator: kept, a field follows */
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        char text[256];
        size_t skip = 99;
        snprintf(text, sizeof(text), "%sSubject: x\n\nbody\n", lines[i].line);
        assert_true(judge(text, &skip));
        assert_int_equal(skip, lines[i].skip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_not_messages),
        cmocka_unit_test(test_from_line_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
