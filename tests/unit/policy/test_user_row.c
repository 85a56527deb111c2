/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy_test.h"

#include "../../../store/policy/users.h"

static const uint8_t key_bytes[] = {1, 2};
#define KEY emlfs_span_of(key_bytes, sizeof(key_bytes))

static struct emlfs_user sample(void)
{
    struct emlfs_user user = {.id = {0x0102},
                              .archive = {UINT32_MAX},
                              .flags = EMLFS_USER_ADMIN | EMLFS_USER_REMOVED,
                              .created_ns = -5};
    memset(user.name, 'n', EMLFS_USER_NAME_MAX_BYTES);
    memset(user.unix_account, 'a', EMLFS_USER_NAME_MAX_BYTES);
    memset(user.full_name, 'f', EMLFS_USER_FULL_NAME_MAX_BYTES);
    user.addresses_n = EMLFS_USER_ADDRESSES_MAX;
    for (unsigned i = 0; i < EMLFS_USER_ADDRESSES_MAX; i++)
        memset(user.addresses[i], 'a' + (int)i, EMLFS_USER_ADDRESS_MAX_BYTES);
    return user;
}

static void rows_come_back(void **state)
{
    struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);
    struct emlfs_user user = sample();
    struct emlfs_user back;

    (void)state;
    assert_int_equal(emlfs_user_encode(&user, &row), 0);
    assert_int_equal(emlfs_user_decode(KEY, emlfs_buf_view(&row), &back), 0);
    assert_int_equal(back.id.v, user.id.v);
    assert_int_equal(back.archive.v, user.archive.v);
    assert_int_equal(back.flags, user.flags);
    assert_int_equal(back.created_ns, user.created_ns);
    assert_string_equal(back.name, user.name);
    assert_string_equal(back.unix_account, user.unix_account);
    assert_string_equal(back.full_name, user.full_name);
    assert_int_equal(back.addresses_n, user.addresses_n);
    assert_memory_equal(back.addresses, user.addresses, sizeof(user.addresses));
    assert_int_equal(row.data[0], 2);
    assert_int_equal(back.quota_bytes, 0);

    user.quota_bytes = UINT64_MAX;
    assert_int_equal(emlfs_user_encode(&user, &row), 0);
    assert_int_equal(row.data[0], 3);
    assert_int_equal(emlfs_user_decode(KEY, emlfs_buf_view(&row), &back), 0);
    assert_int_equal(back.quota_bytes, UINT64_MAX);
    emlfs_buf_free(&row);
}

static void expect_refused(const char *row, size_t len, int error)
{
    struct emlfs_user back = {.flags = 77};

    assert_int_equal(emlfs_user_decode(KEY, emlfs_span_of(row, len), &back), error);
    assert_int_equal(back.flags, 77);
}
#define REFUSED(text) expect_refused(text, sizeof(text) - 1, -EUCLEAN)

static void impossible_rows_are_refused(void **state)
{
    struct emlfs_user back;
    const struct emlfs_span good = emlfs_span_str("\1\1\2\3\1n\1a");

    (void)state;
    assert_int_equal(emlfs_user_decode(KEY, good, &back), 0);
    for (size_t len = 0; len < good.len; len++)
        expect_refused((const char *)good.data, len, -EUCLEAN);
    REFUSED("\1\1\2\3\1n\1a ");                  /* something behind */
    REFUSED("\0\1\2\3\1n\1a");                   /* version 0 */
    REFUSED("\1\4\2\3\1n\1a");                   /* unknown flag */
    REFUSED("\1\x81\0\2\3\1n\1a");               /* overlong number */
    REFUSED("\1\1\2\x80\x80\x80\x80\x10\1n\1a"); /* folder id of 33 bits */
    REFUSED("\1\1\2\3\0\1a");                    /* no name */
    REFUSED("\1\1\2\3\1n\0");                    /* no account */
    REFUSED("\1\1\2\3\2n\0\1a");                 /* NUL in the name */
    REFUSED("\1\1\2\3\1/\1a");                   /* no directory name */
    REFUSED("\1\1\2\3\2..\1a");
    REFUSED("\2\1\2\3\1n\1a\0");     /* addresses missing */
    REFUSED("\2\1\2\3\1n\1a\0\1\0"); /* an empty address */
    REFUSED("\2\1\2\3\1n\1a\1\n\0"); /* a control character */
    REFUSED("\2\1\2\3\1n\1a\0\x11"); /* 17 addresses */
    assert_int_equal(emlfs_user_decode(KEY, emlfs_span_of("\2\1\2\3\1n\1a\0\0", 10), &back), 0);
    assert_int_equal(emlfs_user_decode(KEY, emlfs_span_of("\3\1\2\3\1n\1a\0\0\5", 11), &back), 0);
    assert_int_equal(back.quota_bytes, 5);
    REFUSED("\3\1\2\3\1n\1a\0\0");   /* quota missing */
    REFUSED("\3\1\2\3\1n\1a\0\0\0"); /* a quota of nothing */
    expect_refused("\4\1\2\3\1n\1a", 8, -EPROTONOSUPPORT);
    assert_int_equal(emlfs_user_decode(emlfs_span_str("\1"), good, &back), -EUCLEAN);
    assert_int_equal(emlfs_user_decode(emlfs_span_str("\1\1\1"), good, &back), -EUCLEAN);
    assert_int_equal(emlfs_user_decode(emlfs_span_of("\0\0", 2), good, &back), -EUCLEAN);
}

static void long_names_are_refused(void **state)
{
    struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_USER_ROW_MAX_BYTES);
    struct emlfs_user back;
    char name[66];

    (void)state;
    memset(name, 'n', sizeof(name));
    assert_int_equal(emlfs_buf_append(&row, "\1\1\2\3", 4), 0);
    assert_int_equal(emlfs_buf_append_bytes(&row, emlfs_span_of(name, 65)), 0);
    assert_int_equal(emlfs_buf_append_bytes(&row, emlfs_span_of(name, 1)), 0);
    assert_int_equal(emlfs_user_decode(KEY, emlfs_buf_view(&row), &back), -EUCLEAN);
    emlfs_buf_free(&row);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(impossible_rows_are_refused),
        cmocka_unit_test(long_names_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
