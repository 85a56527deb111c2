/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/base/buf.h"

static void test_maximum_is_hard(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(100);
    uint8_t bytes[101] = {7};
    assert_int_equal(emlfs_buf_append(&buf, bytes, 60), 0);
    assert_int_equal(emlfs_buf_append(&buf, bytes, 41), -E2BIG);
    assert_int_equal(buf.len, 60);
    assert_int_equal(emlfs_buf_append(&buf, bytes, 40), 0);
    assert_int_equal(buf.len, 100);
    assert_true(buf.cap <= 100);
    assert_int_equal(emlfs_buf_append_u8(&buf, 1), -E2BIG);
    assert_int_equal(emlfs_buf_append(&buf, NULL, 0), 0);
    assert_int_equal(emlfs_buf_reserve(&buf, SIZE_MAX), -E2BIG);
    assert_int_equal(buf.len, 100);
}

static void test_zero_buffer_takes_nothing(void **state)
{
    (void)state;
    struct emlfs_buf buf = {0};
    assert_int_equal(emlfs_buf_append_u8(&buf, 1), -E2BIG);
    assert_int_equal(emlfs_buf_append(&buf, NULL, 0), 0);
    emlfs_buf_free(&buf);
    emlfs_buf_wipe(&buf);
}

static void test_integers(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0xab, 0x02, 0x01, 0x04, 0x03, 0x02, 0x01, 8,    7,    6,
                                       5,    4,    3,    2,    1,    0x01, 0x02, 0x01, 0x02, 0x03,
                                       0x04, 1,    2,    0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(1000);
    assert_int_equal(emlfs_buf_append_u8(&buf, 0xab), 0);
    assert_int_equal(emlfs_buf_append_u16le(&buf, 0x0102), 0);
    assert_int_equal(emlfs_buf_append_u32le(&buf, 0x01020304), 0);
    assert_int_equal(emlfs_buf_append_u64le(&buf, 0x0102030405060708), 0);
    assert_int_equal(emlfs_buf_append_u16be(&buf, 0x0102), 0);
    assert_int_equal(emlfs_buf_append_u32be(&buf, 0x01020304), 0);
    assert_int_equal(emlfs_buf_append_u64be(&buf, 0x0102030405060708), 0);
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
}

static void assert_varint(uint64_t value, const char *bytes, size_t len)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(16);
    assert_int_equal(emlfs_buf_append_varint(&buf, value), 0);
    assert_int_equal(buf.len, len);
    assert_memory_equal(buf.data, bytes, len);
}

static void test_varints(void **state)
{
    (void)state;
    assert_varint(0, "\x00", 1);
    assert_varint(127, "\x7f", 1);
    assert_varint(128, "\x80\x01", 2);
    assert_varint(300, "\xac\x02", 2);
    assert_varint(UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
}

static void test_svarints(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(64);
    static const uint8_t expected[] = {0,    1,    2,    3,    4,    0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_int_equal(emlfs_buf_append_svarint(&buf, 0), 0);
    assert_int_equal(emlfs_buf_append_svarint(&buf, -1), 0);
    assert_int_equal(emlfs_buf_append_svarint(&buf, 1), 0);
    assert_int_equal(emlfs_buf_append_svarint(&buf, -2), 0);
    assert_int_equal(emlfs_buf_append_svarint(&buf, 2), 0);
    assert_int_equal(emlfs_buf_append_svarint(&buf, INT64_MIN), 0);
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
}

static void test_bytes_whole_or_not_at_all(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(5);
    assert_int_equal(emlfs_buf_append_bytes(&buf, emlfs_span_str("12345")), -E2BIG);
    assert_int_equal(buf.len, 0);
    assert_int_equal(emlfs_buf_append_bytes(&buf, emlfs_span_str("1234")), 0);
    assert_memory_equal(buf.data,
                        "\x04"
                        "1234",
                        5);
    emlfs_buf_clear(&buf);
    assert_int_equal(emlfs_buf_append_bytes(&buf, emlfs_span_of(NULL, 0)), 0);
    assert_int_equal(buf.len, 1);
}

static void test_growth_keeps_bytes(void **state)
{
    (void)state;
    struct emlfs_buf buf = EMLFS_BUF_INIT(1 << 20);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(emlfs_buf_append_u8(&buf, (uint8_t)(i * 7)), 0);
    for (unsigned i = 0; i < 100000; i++)
        assert_int_equal(buf.data[i], (uint8_t)(i * 7));
    emlfs_buf_wipe(&buf);
    assert_null(buf.data);
    assert_int_equal(buf.max_bytes, 1 << 20);
    assert_int_equal(emlfs_buf_append_u8(&buf, 1), 0);
    emlfs_buf_free(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maximum_is_hard),    cmocka_unit_test(test_zero_buffer_takes_nothing),
        cmocka_unit_test(test_integers),           cmocka_unit_test(test_varints),
        cmocka_unit_test(test_svarints),           cmocka_unit_test(test_bytes_whole_or_not_at_all),
        cmocka_unit_test(test_growth_keeps_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
