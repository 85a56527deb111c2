/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "emlfs/base/clock.h"
#include "emlfs/base/err.h"

static void test_fills(void **state)
{
    (void)state;
    struct emlfs_err err = {0};
    assert_int_equal(emlfs_err_set(&err, ENOENT, "pack", "no %s %d", "pack", 7), -ENOENT);
    assert_int_equal(err.code, ENOENT);
    assert_string_equal(err.module, "pack");
    assert_string_equal(err.text, "no pack 7");
    assert_int_equal(emlfs_err_set(NULL, EIO, "pack", "%s", "unread"), -EIO);
    assert_int_equal(emlfs_err_sys(NULL, EIO, "pack", "%s", "unread"), -EIO);
}

static void test_system_text(void **state)
{
    (void)state;
    struct emlfs_err err = {0};
    assert_int_equal(emlfs_err_sys(&err, ENOSPC, "a-very-long-module-name", "pack %u", 3u),
                     -ENOSPC);
    assert_string_equal(err.text, "pack 3: No space left on device");
    assert_string_equal(err.module, "a-very-long-mod");
}

static void assert_escaped(const char *in, const char *expected)
{
    struct emlfs_err err = {0};
    emlfs_err_set(&err, EINVAL, "test", "%s", in);
    assert_string_equal(err.text, expected);
}

static void test_terminal_safe(void **state)
{
    (void)state;
    assert_escaped("a\nb\tc\x1b[31m\x7f", "a?b?c?[31m?");
    assert_escaped("Gr\xc3\xbc\xc3\x9f"
                   "e \xf0\x9f\x93\xa7",
                   "Gr\xc3\xbc\xc3\x9f"
                   "e \xf0\x9f\x93\xa7");
    assert_escaped("x\xc2\x9bz", "x?z");          /* C1 control */
    assert_escaped("x\xe2\x80\xaez", "x?z");      /* right-to-left override */
    assert_escaped("x\xe2\x81\xa6z", "x?z");      /* isolate */
    assert_escaped("x\xffz\x80", "x?z?");         /* not UTF-8 */
    assert_escaped("x\xc0\xafz", "x??z");         /* overlong */
    assert_escaped("x\xed\xa0\x80z", "x???z");    /* surrogate */
    assert_escaped("x\xf4\x90\x80\x80", "x????"); /* beyond Unicode */
    assert_escaped("x\xe2\x82", "x??");           /* cut */
}

static void test_long_text_is_cut(void **state)
{
    (void)state;
    struct emlfs_err err = {0};
    char text[2000];
    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 510, "\xc3\xbc", 2); /* a character across the end becomes one '?' */
    emlfs_err_set(&err, EINVAL, "test", "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_int_equal(err.text[510], '?');
    emlfs_err_sys(&err, EINVAL, "test", "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void test_wraps_itself(void **state)
{
    (void)state;
    struct emlfs_err err = {0};
    emlfs_err_set(&err, EIO, "pack", "inner");
    emlfs_err_set(&err, EIO, "archive", "outer: %s", err.text);
    assert_string_equal(err.text, "outer: inner");
}

static void test_clock(void **state)
{
    (void)state;
    struct emlfs_clock clock = emlfs_clock_system();
    int64_t now_ns = clock.now_ns(clock.arg);
    assert_true(now_ns > INT64_C(1700000000) * 1000000000);
    assert_true(clock.now_ns(clock.arg) - now_ns < INT64_C(60) * 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills),         cmocka_unit_test(test_system_text),
        cmocka_unit_test(test_terminal_safe), cmocka_unit_test(test_long_text_is_cut),
        cmocka_unit_test(test_wraps_itself),  cmocka_unit_test(test_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
