/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Passwords, and the rows of rights and grants. Decisions: test_decide.c. */
#include "policy_test.h"

#include "emlfs/rights.h"

static void password_rules(void **state)
{
    const struct {
        const char *user, *password;
        int result;
    } table[] = {
        {"alice", "Correct7horse", 0},
        {"alice", "correct7-horse", 0},
        {"alice", "CORRECT7-HORSE", 0},
        {"alice", "Correct-horse", 0},
        {"alice", "correct horse", -EINVAL}, /* lower case and other signs: two classes */
        {"alice", "correcthorse7", -EINVAL},
        {"alice", "Abcdefg12", -EINVAL},    /* nine */
        {"alice", "Abcdefgh12", 0},         /* ten */
        {"alice", "abcdefgh12\xc3\xa4", 0}, /* a letter beyond ASCII */
        {"alice", "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\xa4\xc3\xb6z1", -EINVAL}, /* seven, in 12 bytes */
        {"alice", "Abcdefgg12", 0},
        {"alice", "Abcdefggg12", -EINVAL},
        {"alice", "Abcdef1\xc3\xa4\xc3\xa4\xc3\xa4z", -EINVAL},
        {"alice", "Alice-in-7", -EINVAL},
        {"alice", "xx7ALICExx", -EINVAL},
        {"Bob.Smith-7", "bob.smith-7", -EINVAL},
        {"\xc3\x84rger", "7-\xc3\xa4RGER-zzYx", -EINVAL}, /* case beyond ASCII */
        {"al", "Al-abcdef7", 0},                          /* too short a name to look for */
        {"alice", "Abcdefg\n12", -EINVAL},
        {"alice",
         "Abcdefg\xff"
         "12",
         -EINVAL},
        {"alice", "", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct emlfs_err err = {0};
        int r = emlfs_password_check(table[i].user, emlfs_span_str(table[i].password), &err);
        if (r != table[i].result || err.code != -r)
            fail_msg("password %zu: %d %s", i, r, err.text);
        assert_null(table[i].password[0] ? strstr(err.text, table[i].password) : NULL);
    }
    assert_int_equal(emlfs_password_check("a", emlfs_span_of("Abcdefg12\0x", 11), NULL), -EINVAL);
    static const char large[EMLFS_PASSWORD_MAX_BYTES + 1];
    assert_int_equal(emlfs_password_check("a", emlfs_span_of(large, sizeof(large)), NULL), -E2BIG);
}

static void password_hashes(void **state)
{
    struct emlfs_password first, second;
    const struct emlfs_span right = emlfs_span_str("Correct7horse");

    (void)state;
    assert_int_equal(emlfs_password_make(right, &first), 0);
    assert_int_equal(emlfs_password_make(right, &second), 0);
    assert_memory_not_equal(&first, &second, sizeof(first));
    assert_int_equal(emlfs_password_verify(&first, right), 0);
    assert_int_equal(emlfs_password_verify(&first, emlfs_span_str("Correct7horsf")), -EACCES);
    assert_int_equal(emlfs_password_verify(&first, emlfs_span_of(NULL, 0)), -EACCES);
    assert_int_equal(emlfs_password_verify(NULL, right), -EACCES);
    first.salt[0] ^= 1;
    assert_int_equal(emlfs_password_verify(&first, right), -EACCES);
}

static void rights_rows(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    const uint8_t id[] = {1, 2};
    const struct emlfs_span key = emlfs_span_of(id, sizeof(id));
    struct emlfs_rights rights = emlfs_rights_default((struct emlfs_user_id){0x102});
    struct emlfs_rights again;

    (void)state;
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            rights.archive_access = true;
        if (i == 2) {
            rights.archive_access = false;
            rights.auditor = rights.has_password = true;
            rights.auditor_since_ns = 5;
            memset(&rights.password, 0xa5, sizeof(rights.password));
        }
        assert_int_equal(emlfs_rights_encode(&rights, &row), 0);
        assert_int_equal(emlfs_rights_decode(key, emlfs_buf_view(&row), &again), 0);
        assert_memory_equal(&rights, &again, sizeof(rights));
        for (size_t len = 0; len < row.len; len++)
            assert_int_equal(emlfs_rights_decode(key, emlfs_span_of(row.data, len), &again),
                             -EUCLEAN);
    }
    row.data[0] = 9;
    assert_int_equal(emlfs_rights_decode(key, emlfs_buf_view(&row), &again), -EPROTONOSUPPORT);
    rights.archive_access = true; /* an auditor has no archive access */
    assert_int_equal(emlfs_rights_encode(&rights, &row), -EINVAL);
    rights = emlfs_rights_default((struct emlfs_user_id){1});
    rights.own = EMLFS_GRANT_WRITE; /* an owner always reads */
    assert_int_equal(emlfs_rights_encode(&rights, &row), -EINVAL);
}

static void grant_rows(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(EMLFS_GRANT_ROW_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_GRANT_ROW_MAX_BYTES);
    struct emlfs_grant grant = {.archive = {1}, .user = {2}, .grants = 3, .granted_by = "admin"};
    struct emlfs_grant again;

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(emlfs_grant_encode(&grant, &key, &row), 0);
        assert_int_equal(emlfs_grant_decode(emlfs_buf_view(&key), emlfs_buf_view(&row), &again), 0);
        assert_memory_equal(&grant, &again, sizeof(grant));
        grant.user.v = 0;
        snprintf(grant.group, sizeof(grant.group), "DOMAIN\\mail readers");
    }
    assert_int_equal(emlfs_grant_decode(emlfs_span_of(key.data, 3), emlfs_buf_view(&row), &again),
                     -EUCLEAN);
    grant.user.v = 2; /* to both */
    assert_int_equal(emlfs_grant_encode(&grant, &key, &row), -EINVAL);
    grant.group[0] = 0;
    grant.grants = EMLFS_GRANT_DELETE; /* without READ it would be nothing */
    assert_int_equal(emlfs_grant_encode(&grant, &key, &row), -EINVAL);
    grant.grants = EMLFS_GRANT_READ;
    grant.user.v = 1; /* the owner */
    assert_int_equal(emlfs_grant_encode(&grant, &key, &row), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(password_rules),
        cmocka_unit_test(password_hashes),
        cmocka_unit_test(rights_rows),
        cmocka_unit_test(grant_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
