/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "emlfs/base/ids.h"

static void assert_text(uint16_t store_no, uint32_t number, const char *expected)
{
    char text[EMLFS_MSG_ID_TEXT_MAX];
    struct emlfs_msg_id again;
    struct emlfs_msg_id id = emlfs_msg_id_make(store_no, number);
    emlfs_msg_id_format(id, text);
    assert_string_equal(text, expected);
    assert_true(emlfs_msg_id_parse(text, (unsigned)strlen(text), &again));
    assert_true(again.v == id.v);
    assert_int_equal(emlfs_msg_id_store(again), store_no);
    assert_int_equal(emlfs_msg_id_number(again), number);
}

static void test_examples(void **state)
{
    (void)state;
    assert_text(1, 37, "000015");
    assert_text(2, 1, "000001-2");
    assert_text(1, 0, "000000");
    assert_text(1, (1u << 30) - 1, "vvvvvv");
    assert_text(1, 1u << 30, "1000000");
    assert_text(1, UINT32_MAX, "3vvvvvv");
    assert_text(EMLFS_STORE_NO_MAX, UINT32_MAX, "3vvvvvv-vvv");
    assert_text(32, 5, "000005-10");
}

static void test_inverse(void **state)
{
    (void)state;
    uint32_t number = 1;
    for (unsigned i = 0; i < 20000; i++) {
        char text[EMLFS_MSG_ID_TEXT_MAX];
        struct emlfs_msg_id again;
        number = number * 1664525u + 1013904223u;
        uint16_t store_no = (uint16_t)(1 + (number >> 7) % EMLFS_STORE_NO_MAX);
        struct emlfs_msg_id id = emlfs_msg_id_make(store_no, number >> (number & 31));
        emlfs_msg_id_format(id, text);
        assert_true(emlfs_msg_id_parse(text, (unsigned)strlen(text), &again));
        assert_true(again.v == id.v);
    }
}

static void test_rejects(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "0",        "00001",    "0000001",   "00000A",     "00000w",
        "000001-", "000001-0", "000001-1", "000001-02", "000001-A",   "000001-vvvv",
        "-2",      "00001-2",  "4000000",  "000001--2", "000001-2-2", "000001 ",
        " 000001", "00000001", "+00001",   "000001-2 ", "vvvvvvv",    "000001-1000",
    };
    struct emlfs_msg_id id;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(emlfs_msg_id_parse(bad[i], (unsigned)strlen(bad[i]), &id));
    assert_false(emlfs_msg_id_parse("000001\0", 7, &id));
    assert_true(emlfs_msg_id_parse("000001-2", 6, &id));
    assert_int_equal(emlfs_msg_id_store(id), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_inverse),
        cmocka_unit_test(test_rejects),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
