/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "collect.h"

static void check(const char *text, const char *want)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(256);
    int r = emlfs_utf7_decode(text, &out);
    if (!want) {
        assert_int_equal(r, -EILSEQ);
        return;
    }
    assert_int_equal(r, 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&out), emlfs_span_str(want)));
}

static void test_decode(void **state)
{
    (void)state;
    check("", "");
    check("INBOX", "INBOX");
    check("Gr&APYA3w-e &- Ma&AN8-", "Größe & Maß");
    check("&MLkw0TDgW,57Vg-", "スパム対策");
    check("&2D3eAA-", "😀");
    check("a&-b", "a&b");
    check("A&AC8-B", "A/B"); /* a separator within a name: the caller replaces it */
}

static void test_refused(void **state)
{
    (void)state;
    check("R&D", NULL);
    check("A & B", NULL);
    check("&APY", NULL);  /* not ended */
    check("&A-", NULL);   /* half a unit */
    check("&2D0-", NULL); /* lone surrogate */
    check("&3gA-", NULL); /* low one first */
    check("&AAA-", NULL); /* NUL */
    check("&AAo-", NULL); /* line feed */
    check("&APZ-", NULL); /* stray bits */
    check("Größe", NULL); /* already UTF-8 */
    check("x\ty", NULL);
}

static void test_utf8(void **state)
{
    (void)state;
    assert_true(emlfs_utf8_valid(emlfs_span_str("Größe スパム")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("Gr\xf6\xdf"
                                                 "e")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xc0\x80")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xed\xa0\x80")));
    assert_true(emlfs_utf8_valid(emlfs_span_of("a\0b", 3)));
    assert_true(emlfs_utf8_valid(emlfs_span_str("\xc2\x80\xe0\xa0\x80\xf0\x90\x80\x80")));
    assert_true(emlfs_utf8_valid(emlfs_span_str("\xdf\xbf\xef\xbf\xbf\xf4\x8f\xbf\xbf")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xe0\x9f\xbf")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xf0\x8f\xbf\xbf")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xf4\x90\x80\x80")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xf5\x80\x80\x80")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xe3\x81")));
    assert_false(emlfs_utf8_valid(emlfs_span_str("\xe3\x81z")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
