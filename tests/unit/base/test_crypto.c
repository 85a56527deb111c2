/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/base/crypto.h"

/* Known answers of the documents named at each test; keys shorter than 32 bytes are padded with
 * zeros, which HMAC does itself (RFC 2104, 2). */

static unsigned hex_digit(char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t len = strlen(text) / 2;
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(hex_digit(text[2 * i]) << 4 | hex_digit(text[2 * i + 1]));
    return len;
}

static void assert_hex(const uint8_t *bytes, const char *expected)
{
    uint8_t wanted[256];
    size_t len = unhex(expected, wanted);
    assert_memory_equal(bytes, wanted, len);
}

static const char million_a[] = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
static const char two_blocks[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

static void test_sha256_fips180(void **state)
{
    (void)state;
    struct emlfs_hash hash;
    assert_int_equal(emlfs_sha256(emlfs_span_of(NULL, 0), &hash), 0);
    assert_hex(hash.v, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(emlfs_sha256(emlfs_span_str("abc"), &hash), 0);
    assert_hex(hash.v, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_int_equal(emlfs_sha256(emlfs_span_str(two_blocks), &hash), 0);
    assert_hex(hash.v, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

static void test_sha256_stream(void **state)
{
    (void)state;
    struct emlfs_hash hash;
    struct emlfs_sha256_ctx *ctx = emlfs_sha256_new();
    uint8_t chunk[1000];
    assert_non_null(ctx);
    memset(chunk, 'a', sizeof(chunk));
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(emlfs_sha256_update(ctx, emlfs_span_of(chunk, sizeof(chunk))), 0);
    assert_int_equal(emlfs_sha256_final(ctx, &hash), 0);
    assert_hex(hash.v, million_a);
    /* final leaves it ready for the next message */
    assert_int_equal(emlfs_sha256_update(ctx, emlfs_span_of(NULL, 0)), 0);
    assert_int_equal(emlfs_sha256_update(ctx, emlfs_span_str("a")), 0);
    assert_int_equal(emlfs_sha256_update(ctx, emlfs_span_str("bc")), 0);
    assert_int_equal(emlfs_sha256_final(ctx, &hash), 0);
    assert_hex(hash.v, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    emlfs_sha256_free(ctx);
    emlfs_sha256_free(NULL);
}

static void assert_hmac(const char *key_hex, struct emlfs_span data, const char *expected)
{
    struct emlfs_key key = {0};
    struct emlfs_hash mac;
    unhex(key_hex, key.v);
    assert_int_equal(emlfs_hmac(&key, data, &mac), 0);
    assert_hex(mac.v, expected);
}

static void test_hmac_rfc4231(void **state)
{
    (void)state;
    uint8_t fifty[50];
    assert_hmac("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", emlfs_span_str("Hi There"),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_hmac("4a656665", emlfs_span_str("what do ya want for nothing?"),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(fifty, 0xdd, sizeof(fifty));
    assert_hmac("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", emlfs_span_of(fifty, sizeof(fifty)),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    memset(fifty, 0xcd, sizeof(fifty));
    assert_hmac("0102030405060708090a0b0c0d0e0f10111213141516171819",
                emlfs_span_of(fifty, sizeof(fifty)),
                "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    /* empty key and empty data: the edge the RFC leaves out */
    assert_hmac("", emlfs_span_of(NULL, 0),
                "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

/* RFC 5869 2.2 and 2.3 for one block, in terms of HMAC; salt at most 32 bytes. */
static void hkdf_by_hmac(struct emlfs_span ikm, struct emlfs_span salt, struct emlfs_span info,
                         struct emlfs_hash *ret_okm)
{
    struct emlfs_key salt_key = {0};
    struct emlfs_key prk_key;
    struct emlfs_hash prk;
    uint8_t text[64];
    if (salt.len > 0)
        memcpy(salt_key.v, salt.data, salt.len);
    assert_int_equal(emlfs_hmac(&salt_key, ikm, &prk), 0);
    memcpy(prk_key.v, prk.v, sizeof(prk.v));
    memcpy(text, info.data, info.len);
    text[info.len] = 1;
    assert_int_equal(emlfs_hmac(&prk_key, emlfs_span_of(text, info.len + 1), ret_okm), 0);
}

static void test_hkdf_rfc5869(void **state)
{
    (void)state;
    uint8_t ikm[32];
    uint8_t salt[32];
    uint8_t info[32];
    struct emlfs_hash okm;
    struct emlfs_key key;
    struct emlfs_key derived;
    memset(ikm, 0x0b, sizeof(ikm));
    size_t salt_len = unhex("000102030405060708090a0b0c", salt);
    size_t info_len = unhex("f0f1f2f3f4f5f6f7f8f9", info);
    hkdf_by_hmac(emlfs_span_of(ikm, 22), emlfs_span_of(salt, salt_len),
                 emlfs_span_of(info, info_len), &okm);
    assert_hex(okm.v, "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
    /* The formula holds; ours, which takes 32-byte keys and text labels, must agree with it. */
    memcpy(key.v, ikm, sizeof(key.v));
    for (size_t len = 0; len <= sizeof(salt); len += 8) {
        hkdf_by_hmac(emlfs_span_of(ikm, sizeof(ikm)), emlfs_span_of(salt, len),
                     emlfs_span_str("emlfs pack"), &okm);
        assert_int_equal(emlfs_hkdf(&key, emlfs_span_of(salt, len), "emlfs pack", &derived), 0);
        assert_memory_equal(derived.v, okm.v, sizeof(okm.v));
    }
}

/* Made by an HKDF of others; from 65 bytes on, HMAC hashes the salt first. */
static void test_hkdf_salts(void **state)
{
    (void)state;
    static const struct {
        size_t salt_len;
        const char *expected;
    } table[] = {
        {0, "a572dab7b1f34ded5f2f1624ecdd48399ed18bcaff463777e883634958b02e92"},
        {8, "963481156c050993cf14106500dd344c22e029631216ba433c02811ced3a5661"},
        {32, "9f897478c36ce8cff21c297a41a8a3c84e771c777c68f28a79c95a7d5a2bf651"},
        {64, "ef75fa64da45549a534563a3c3c9f18aff1faa0745a5dc776a18cda67a2c0ffe"},
        {65, "5a87a1a5b4ac02c85db871c99e6e7bb6f3ededfe331909f59ab5156041ba750a"},
        {100, "1e00ca81c75442c359b1957dd707354ced625e0481001e1d8322856346492905"},
    };
    struct emlfs_key key, derived;
    uint8_t salt[100];
    memset(key.v, 0x0b, sizeof(key.v));
    for (size_t i = 0; i < sizeof(salt); i++)
        salt[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct emlfs_span bytes = emlfs_span_of(salt, table[i].salt_len);
        assert_int_equal(emlfs_hkdf(&key, bytes, "emlfs pack", &derived), 0);
        assert_hex(derived.v, table[i].expected);
    }
}

/*
 * RFC 7914 has no vector for our fixed N = 2^15; this one was computed by a scrypt written from
 * the RFC that passes the RFC's own vectors.
 */
static void test_scrypt_rfc7914(void **state)
{
    (void)state;
    struct emlfs_key key;
    struct emlfs_key other;
    assert_int_equal(
        emlfs_scrypt(emlfs_span_str("pleaseletmein"), emlfs_span_str("SodiumChloride"), &key), 0);
    assert_hex(key.v, "f72cbc204bdcfc3ff5b115d8508aec1566ff0ef3f658388601a3933078ef7ac8");
    assert_int_equal(emlfs_scrypt(emlfs_span_of(NULL, 0), emlfs_span_of(NULL, 0), &other), 0);
    assert_false(emlfs_equal_secret(key.v, other.v, sizeof(key.v)));
}

/* The AES-256 test case 16 of the GCM specification (McGrew and Viega). */
static void test_gcm_vector(void **state)
{
    (void)state;
    struct emlfs_key key;
    struct emlfs_gcm *gcm;
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
    uint8_t aad[32];
    uint8_t plain[64];
    uint8_t sealed[64 + EMLFS_GCM_TAG_BYTES];
    uint8_t opened[64];
    unhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", key.v);
    unhex("cafebabefacedbaddecaf888", nonce);
    size_t aad_len = unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    size_t len = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c"
                       "95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                       plain);
    assert_int_equal(emlfs_gcm_new(&key, &gcm), 0);
    assert_int_equal(
        emlfs_gcm_seal(gcm, nonce, emlfs_span_of(aad, aad_len), emlfs_span_of(plain, len), sealed),
        0);
    assert_hex(sealed, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e485"
                       "90dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d"
                       "551b");
    assert_int_equal(emlfs_gcm_open(gcm, nonce, emlfs_span_of(aad, aad_len),
                                    emlfs_span_of(sealed, len + EMLFS_GCM_TAG_BYTES), opened),
                     0);
    assert_memory_equal(opened, plain, len);
    emlfs_gcm_free(gcm);
    emlfs_gcm_free(NULL);
}

/* Every byte of nonce, associated data, text and tag matters, and a failure leaves nothing. */
static void test_gcm_rejects(void **state)
{
    (void)state;
    struct emlfs_key key = {.v = {1, 2, 3}};
    struct emlfs_gcm *gcm;
    uint8_t all[12 + 20 + 33 + EMLFS_GCM_TAG_BYTES] = {9, 8, 7};
    uint8_t *sealed = all + 12 + 20;
    const struct emlfs_span aad = emlfs_span_of(all + 12, 20);
    const struct emlfs_span in = emlfs_span_of(sealed, 33 + EMLFS_GCM_TAG_BYTES);
    uint8_t plain[33];
    static const uint8_t zero[33] = {0};
    memset(plain, 'p', sizeof(plain));
    assert_int_equal(emlfs_gcm_new(&key, &gcm), 0);
    assert_int_equal(emlfs_gcm_seal(gcm, all, aad, emlfs_span_of(plain, 33), sealed), 0);
    for (size_t i = 0; i < sizeof(all); i++) {
        all[i] ^= 0x10;
        memset(plain, 'x', sizeof(plain));
        assert_int_equal(emlfs_gcm_open(gcm, all, aad, in, plain), -EBADMSG);
        assert_memory_equal(plain, zero, sizeof(plain));
        all[i] ^= 0x10;
    }
    assert_int_equal(emlfs_gcm_open(gcm, all, aad, in, plain), 0);
    assert_int_equal(plain[32], 'p');
    assert_int_equal(emlfs_gcm_open(gcm, all, aad, emlfs_span_of(sealed, 15), plain), -EBADMSG);
    emlfs_gcm_free(gcm);
}

static void test_gcm_in_place_and_empty(void **state)
{
    (void)state;
    struct emlfs_key key = {.v = {5}};
    struct emlfs_gcm *gcm;
    static const uint8_t nonce[EMLFS_GCM_NONCE_BYTES] = {1};
    uint8_t bytes[100 + EMLFS_GCM_TAG_BYTES];
    uint8_t apart[100 + EMLFS_GCM_TAG_BYTES];
    const struct emlfs_span none = emlfs_span_of(NULL, 0);
    memset(bytes, 'b', 100);
    assert_int_equal(emlfs_gcm_new(&key, &gcm), 0);
    assert_int_equal(emlfs_gcm_seal(gcm, nonce, none, emlfs_span_of(bytes, 100), apart), 0);
    assert_int_equal(emlfs_gcm_seal(gcm, nonce, none, emlfs_span_of(bytes, 100), bytes), 0);
    assert_memory_equal(bytes, apart, sizeof(bytes));
    const struct emlfs_span sealed = emlfs_span_of(bytes, sizeof(bytes));
    assert_int_equal(emlfs_gcm_open(gcm, nonce, none, sealed, bytes), 0);
    assert_int_equal(bytes[99], 'b');
    assert_memory_equal(bytes + 100, apart + 100, EMLFS_GCM_TAG_BYTES);
    assert_int_equal(emlfs_gcm_seal(gcm, nonce, none, none, bytes), 0);
    const struct emlfs_span tag = emlfs_span_of(bytes, EMLFS_GCM_TAG_BYTES);
    assert_int_equal(emlfs_gcm_open(gcm, nonce, none, tag, apart), 0);
    bytes[3] ^= 1;
    assert_int_equal(emlfs_gcm_open(gcm, nonce, none, tag, apart), -EBADMSG);
    emlfs_gcm_free(gcm);
}

static void test_random_and_wipe(void **state)
{
    (void)state;
    uint8_t a[64] = {0};
    uint8_t b[64] = {0};
    assert_int_equal(emlfs_random(a, sizeof(a)), 0);
    assert_int_equal(emlfs_random(b, sizeof(b)), 0);
    assert_false(emlfs_equal_secret(a, b, sizeof(a)));
    emlfs_wipe(a, sizeof(a));
    memset(b, 0, sizeof(b));
    assert_true(emlfs_equal_secret(a, b, sizeof(a)));
    assert_true(emlfs_equal_secret(NULL, NULL, 0));
    emlfs_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_fips180),
        cmocka_unit_test(test_sha256_stream),
        cmocka_unit_test(test_hmac_rfc4231),
        cmocka_unit_test(test_hkdf_rfc5869),
        cmocka_unit_test(test_hkdf_salts),
        cmocka_unit_test(test_scrypt_rfc7914),
        cmocka_unit_test(test_gcm_vector),
        cmocka_unit_test(test_gcm_rejects),
        cmocka_unit_test(test_gcm_in_place_and_empty),
        cmocka_unit_test(test_random_and_wipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
