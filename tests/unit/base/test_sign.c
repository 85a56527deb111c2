/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Keys and signatures as the RFCs print them, and keys that come out as they went in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "emlfs/base/sign.h"

/* RFC 8410 10.1 and 10.3. */
static const uint8_t secret[] = {0xd4, 0xee, 0x72, 0xdb, 0xf9, 0x13, 0x58, 0x4a, 0xd5, 0xb6, 0xd8,
                                 0xf1, 0xf7, 0x69, 0xf8, 0xad, 0x3a, 0xfe, 0x7c, 0x28, 0xcb, 0xf1,
                                 0xd4, 0xfb, 0xe0, 0x97, 0xa8, 0x8f, 0x44, 0x75, 0x58, 0x42};
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
                                 "-----END PUBLIC KEY-----\n";

static void expect_pem(const struct emlfs_sign_key *key, struct emlfs_span text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf pem = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);

    for (unsigned i = 0; i < 2; i++) { /* the second time it is cleared */
        assert_int_equal(emlfs_sign_key_pem(key, &pem), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&pem), text));
    }
}

static void an_ed25519_key_is_told_as_in_the_rfc(void **state)
{
    struct emlfs_sign_key *key = NULL, *public = NULL;
    EMLFS_BUF_CLEANUP struct emlfs_buf short_buf = EMLFS_BUF_INIT(sizeof(public_pem) - 2);

    (void)state;
    assert_int_equal(emlfs_sign_key_from_private(EMLFS_SIGN_ED25519,
                                                 emlfs_span_of(secret, sizeof(secret)), &key),
                     0);
    expect_pem(key, emlfs_span_str(public_pem));
    assert_int_equal(emlfs_sign_key_pem(key, &short_buf), -E2BIG);
    assert_int_equal(emlfs_sign_key_from_pem(emlfs_span_str(public_pem), &public), 0);
    expect_pem(public, emlfs_span_str(public_pem));
    assert_int_equal(emlfs_sign_key_kind(public), EMLFS_SIGN_ED25519);
    emlfs_sign_key_free(public);
    emlfs_sign_key_free(key);
}

/* What was told is read by OpenSSL again, and checks what the key signed. */
static void a_new_key_is_told_and_read(void **state)
{
    static const enum emlfs_sign_kind kinds[] = {EMLFS_SIGN_ED25519, EMLFS_SIGN_P256};
    struct emlfs_hash hash;

    (void)state;
    assert_int_equal(emlfs_sha256(emlfs_span_str("text"), &hash), 0);
    for (unsigned i = 0; i < 6; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf pem = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
        EMLFS_BUF_CLEANUP struct emlfs_buf signature = EMLFS_BUF_INIT(EMLFS_SIGN_MAX_BYTES);
        struct emlfs_sign_key *key = NULL, *public = NULL;
        bool ed25519 = kinds[i % 2] == EMLFS_SIGN_ED25519;
        assert_int_equal(emlfs_sign_key_make(kinds[i % 2], &key), 0);
        assert_int_equal(emlfs_sign_key_pem(key, &pem), 0);
        assert_int_equal(emlfs_sign_key_from_pem(emlfs_buf_view(&pem), &public), 0);
        expect_pem(public, emlfs_buf_view(&pem));
        assert_int_equal(ed25519 ? emlfs_sign_text(key, emlfs_span_str("text"), &signature)
                                 : emlfs_sign_hash(key, &hash, &signature),
                         0);
        struct emlfs_span bytes = emlfs_buf_view(&signature);
        assert_int_equal(ed25519 ? emlfs_sign_text_check(public, emlfs_span_str("text"), bytes)
                                 : emlfs_sign_hash_check(public, &hash, bytes),
                         0);
        emlfs_sign_key_free(public);
        emlfs_sign_key_free(key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ed25519_key_is_told_as_in_the_rfc),
        cmocka_unit_test(a_new_key_is_told_and_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
