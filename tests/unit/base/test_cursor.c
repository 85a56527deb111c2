/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/cursor.h"

static void test_integers(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct emlfs_span span = emlfs_span_of(bytes, sizeof(bytes));
    struct emlfs_cursor cur = emlfs_cursor_of(span);
    assert_int_equal(emlfs_cursor_u8(&cur), 1);
    assert_int_equal(emlfs_cursor_u16le(&cur), 0x0302);
    assert_int_equal(emlfs_cursor_u32le(&cur), 0x07060504);
    assert_int_equal(emlfs_cursor_left(&cur), 1);
    cur = emlfs_cursor_of(span);
    assert_true(emlfs_cursor_u64le(&cur) == 0x0807060504030201);
    assert_true(emlfs_cursor_done(&cur));
    cur = emlfs_cursor_of(span);
    assert_true(emlfs_cursor_u64be(&cur) == 0x0102030405060708);
    cur = emlfs_cursor_of(span);
    assert_int_equal(emlfs_cursor_u16be(&cur), 0x0102);
    assert_int_equal(emlfs_cursor_u32be(&cur), 0x03040506);
    assert_false(emlfs_cursor_done(&cur));
}

static void test_bad_stays_bad(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3};
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, sizeof(bytes)));
    assert_int_equal(emlfs_cursor_u32le(&cur), 0);
    assert_true(cur.bad);
    assert_int_equal(emlfs_cursor_u8(&cur), 0);
    assert_int_equal(emlfs_cursor_take(&cur, 1).len, 0);
    assert_int_equal(emlfs_cursor_varint(&cur), 0);
    assert_int_equal(emlfs_cursor_bytes(&cur, 10).len, 0);
    assert_false(emlfs_cursor_done(&cur));
    assert_int_equal(emlfs_cursor_left(&cur), 3);
}

static void test_empty(void **state)
{
    (void)state;
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(NULL, 0));
    assert_true(emlfs_cursor_done(&cur));
    assert_int_equal(emlfs_cursor_take(&cur, 0).len, 0);
    assert_true(emlfs_cursor_done(&cur));
    assert_int_equal(emlfs_cursor_u8(&cur), 0);
    assert_true(cur.bad);
}

static void assert_varint_bad(const char *bytes, size_t len)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, len));
    assert_int_equal(emlfs_cursor_varint(&cur), 0);
    assert_true(cur.bad);
}

static void test_varints_rejected(void **state)
{
    (void)state;
    assert_varint_bad("", 0);
    assert_varint_bad("\x80", 1);
    assert_varint_bad("\x80\x00", 2);
    assert_varint_bad("\xff\x80\x00", 3);
    assert_varint_bad("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_varint_bad("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11);
    assert_varint_bad("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
}

static void test_varints_round_trip(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t value = ((uint64_t)1 << bit) + (uint64_t)delta;
            EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(64);
            assert_int_equal(emlfs_buf_append_varint(&buf, value), 0);
            assert_int_equal(emlfs_buf_append_svarint(&buf, (int64_t)value), 0);
            assert_int_equal(emlfs_buf_append_svarint(&buf, (int64_t)~value), 0);
            struct emlfs_cursor cur = emlfs_cursor_of(emlfs_buf_view(&buf));
            assert_true(emlfs_cursor_varint(&cur) == value);
            assert_true(emlfs_cursor_svarint(&cur) == (int64_t)value);
            assert_true(emlfs_cursor_svarint(&cur) == (int64_t)~value);
            assert_true(emlfs_cursor_done(&cur));
        }
    }
}

static void test_lengths(void **state)
{
    (void)state;
    const struct emlfs_span span = emlfs_span_str("\x03"
                                                  "abcd");
    struct emlfs_cursor cur = emlfs_cursor_of(span);
    assert_true(emlfs_span_equal(emlfs_cursor_bytes(&cur, 3), emlfs_span_str("abc")));
    assert_int_equal(emlfs_cursor_left(&cur), 1);
    cur = emlfs_cursor_of(span);
    assert_int_equal(emlfs_cursor_bytes(&cur, 2).len, 0);
    assert_true(cur.bad);
    cur = emlfs_cursor_of(emlfs_span_str("\x05"
                                         "abcd"));
    assert_int_equal(emlfs_cursor_bytes(&cur, 100).len, 0);
    assert_true(cur.bad);
    cur = emlfs_cursor_of(span);
    assert_int_equal(emlfs_cursor_varint_max(&cur, 3), 3);
    assert_int_equal(emlfs_cursor_varint_max(&cur, 'a' - 1), 0);
    assert_true(cur.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_bad_stays_bad),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_varints_rejected),
        cmocka_unit_test(test_varints_round_trip),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
