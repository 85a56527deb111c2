/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/crypto.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

/*
 * Beside sign.c and timestamp.c the only file that knows OpenSSL.
 *
 * Looking an algorithm up by name takes OpenSSL 3 longer than hashing a short text, so each is
 * fetched once per process. The table is written under pthread_once and constant afterwards; it is
 * the one static of this file, and a fetched algorithm is shared by threads by design.
 */
struct algorithms {
    EVP_MD *sha256;
    EVP_CIPHER *gcm;
    EVP_MAC *hmac;
    EVP_MAC_CTX *hmac_sha256; /* the digest is chosen, no key yet: copied for every use */
    EVP_KDF *hkdf;
};

static struct algorithms algorithms_once;
static pthread_once_t algorithms_guard = PTHREAD_ONCE_INIT;

static EVP_MAC_CTX *hmac_template(EVP_MAC *hmac)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    if (ctx && EVP_MAC_CTX_set_params(ctx, params) == 1)
        return ctx;
    EVP_MAC_CTX_free(ctx);
    return NULL;
}

static void algorithms_fetch(void)
{
    /*
     * OpenSSL would take all of them apart at the end of the process, one by one, for memory that
     * is gone anyway. Secrets are wiped by who made them.
     */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    algorithms_once.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    algorithms_once.gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    algorithms_once.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    algorithms_once.hmac_sha256 = hmac_template(algorithms_once.hmac);
    algorithms_once.hkdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
}

static const struct algorithms *algorithms_get(void)
{
    pthread_once(&algorithms_guard, algorithms_fetch);
    return &algorithms_once;
}

/* OpenSSL reads a NULL pointer as "not given"; an empty input is given, and empty. */
static const uint8_t *span_start(struct emlfs_span span)
{
    static const uint8_t empty[1] = {0};
    return span.data ? span.data : empty;
}

int emlfs_sha256(struct emlfs_span data, struct emlfs_hash *ret_hash)
{
    const EVP_MD *md = algorithms_get()->sha256;
    if (!md || EVP_Digest(span_start(data), data.len, ret_hash->v, NULL, md, NULL) != 1)
        return -ENOMEM;
    return 0;
}

struct emlfs_sha256_ctx {
    EVP_MD_CTX *evp;
};

struct emlfs_sha256_ctx *emlfs_sha256_new(void)
{
    const EVP_MD *md = algorithms_get()->sha256;
    struct emlfs_sha256_ctx *ctx = calloc(1, sizeof(*ctx));
    if (!ctx || !md)
        goto fail;
    ctx->evp = EVP_MD_CTX_new();
    if (ctx->evp && EVP_DigestInit_ex2(ctx->evp, md, NULL) == 1)
        return ctx;
fail:
    emlfs_sha256_free(ctx);
    return NULL;
}

int emlfs_sha256_update(struct emlfs_sha256_ctx *ctx, struct emlfs_span data)
{
    return EVP_DigestUpdate(ctx->evp, span_start(data), data.len) == 1 ? 0 : -ENOMEM;
}

int emlfs_sha256_final(struct emlfs_sha256_ctx *ctx, struct emlfs_hash *ret_hash)
{
    if (EVP_DigestFinal_ex(ctx->evp, ret_hash->v, NULL) != 1 ||
        EVP_DigestInit_ex2(ctx->evp, NULL, NULL) != 1)
        return -ENOMEM;
    return 0;
}

void emlfs_sha256_free(struct emlfs_sha256_ctx *ctx)
{
    if (!ctx)
        return;
    EVP_MD_CTX_free(ctx->evp);
    free(ctx);
}

int emlfs_hmac(const struct emlfs_key *key, struct emlfs_span data, struct emlfs_hash *ret_mac)
{
    const EVP_MAC_CTX *start = algorithms_get()->hmac_sha256;
    EVP_MAC_CTX *ctx = start ? EVP_MAC_CTX_dup(start) : NULL;
    size_t len = 0;
    bool ok = ctx && EVP_MAC_init(ctx, key->v, sizeof(key->v), NULL) == 1 &&
              EVP_MAC_update(ctx, span_start(data), data.len) == 1 &&
              EVP_MAC_final(ctx, ret_mac->v, &len, sizeof(ret_mac->v)) == 1;
    EVP_MAC_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

/* OSSL_PARAM takes non-const pointers although it only reads them. */
static OSSL_PARAM param_octets(const char *name, const void *data, size_t len)
{
    return OSSL_PARAM_construct_octet_string(name, (void *)(uintptr_t)data, len);
}

int emlfs_hkdf(const struct emlfs_key *key, struct emlfs_span salt, const char *info,
               struct emlfs_key *ret_key)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        param_octets(OSSL_KDF_PARAM_KEY, key->v, sizeof(key->v)),
        param_octets(OSSL_KDF_PARAM_INFO, info, strlen(info)),
        salt.len ? param_octets(OSSL_KDF_PARAM_SALT, salt.data, salt.len)
                 : OSSL_PARAM_construct_end(),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *hkdf = algorithms_get()->hkdf;
    EVP_KDF_CTX *ctx = hkdf ? EVP_KDF_CTX_new(hkdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, ret_key->v, sizeof(ret_key->v), params) == 1;
    EVP_KDF_CTX_free(ctx);
    return ok ? 0 : -ENOMEM;
}

#define SCRYPT_N (1u << 15)
#define SCRYPT_R 8u
#define SCRYPT_P 1u
#define SCRYPT_MEMORY_MAX_BYTES (64u << 20) /* 128 * N * r = 32 MiB, and a little beside it */

int emlfs_scrypt(struct emlfs_span secret, struct emlfs_span salt, struct emlfs_key *ret_key)
{
    int ok = EVP_PBE_scrypt((const char *)span_start(secret), secret.len, span_start(salt),
                            salt.len, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY_MAX_BYTES,
                            ret_key->v, sizeof(ret_key->v));
    return ok == 1 ? 0 : -ENOMEM;
}

struct emlfs_gcm {
    EVP_CIPHER_CTX *evp;
};

int emlfs_gcm_new(const struct emlfs_key *key, struct emlfs_gcm **ret_gcm)
{
    const EVP_CIPHER *cipher = algorithms_get()->gcm;
    struct emlfs_gcm *gcm = calloc(1, sizeof(*gcm));
    if (!gcm || !cipher)
        goto fail;
    gcm->evp = EVP_CIPHER_CTX_new();
    if (!gcm->evp || EVP_EncryptInit_ex2(gcm->evp, cipher, key->v, NULL, NULL) != 1)
        goto fail;
    *ret_gcm = gcm;
    return 0;
fail:
    emlfs_gcm_free(gcm);
    return -ENOMEM;
}

void emlfs_gcm_free(struct emlfs_gcm *gcm)
{
    if (!gcm)
        return;
    EVP_CIPHER_CTX_free(gcm->evp); /* wipes the expanded key */
    free(gcm);
}

/* EVP counts in int, and it finishes the message when it is given a NULL output and input. */
static bool gcm_feed(EVP_CIPHER_CTX *evp, uint8_t *out, struct emlfs_span in)
{
    int len;
    return in.len == 0 || EVP_CipherUpdate(evp, out, &len, in.data, (int)in.len) == 1;
}

int emlfs_gcm_seal(struct emlfs_gcm *gcm, const uint8_t nonce[EMLFS_GCM_NONCE_BYTES],
                   struct emlfs_span aad, struct emlfs_span in, uint8_t *out)
{
    uint8_t *tag = out + in.len;
    int len;
    if (aad.len > INT_MAX || in.len > INT_MAX)
        return -E2BIG;
    if (EVP_EncryptInit_ex2(gcm->evp, NULL, NULL, nonce, NULL) != 1 ||
        !gcm_feed(gcm->evp, NULL, aad) || !gcm_feed(gcm->evp, out, in) ||
        EVP_EncryptFinal_ex(gcm->evp, tag, &len) != 1 ||
        EVP_CIPHER_CTX_ctrl(gcm->evp, EVP_CTRL_AEAD_GET_TAG, EMLFS_GCM_TAG_BYTES, tag) != 1)
        return -EIO;
    return 0;
}

int emlfs_gcm_open(struct emlfs_gcm *gcm, const uint8_t nonce[EMLFS_GCM_NONCE_BYTES],
                   struct emlfs_span aad, struct emlfs_span in, uint8_t *out)
{
    uint8_t tag[EMLFS_GCM_TAG_BYTES];
    uint8_t rest[EMLFS_GCM_TAG_BYTES];
    int len;
    if (in.len < sizeof(tag))
        return -EBADMSG;
    struct emlfs_span text = emlfs_span_of(in.data, in.len - sizeof(tag));
    if (aad.len > INT_MAX || text.len > INT_MAX)
        return -E2BIG;
    memcpy(tag, in.data + text.len, sizeof(tag));
    if (EVP_DecryptInit_ex2(gcm->evp, NULL, NULL, nonce, NULL) == 1 &&
        EVP_CIPHER_CTX_ctrl(gcm->evp, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
        gcm_feed(gcm->evp, NULL, aad) && gcm_feed(gcm->evp, out, text) &&
        EVP_DecryptFinal_ex(gcm->evp, rest, &len) == 1)
        return 0;
    emlfs_wipe(out, text.len);
    return -EBADMSG;
}

int emlfs_random(void *out, size_t len)
{
    uint8_t *pos = out;
    while (len > 0) {
        ssize_t n = getrandom(pos, len, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -EIO;
        pos += n;
        len -= (size_t)n;
    }
    return 0;
}

void emlfs_wipe(void *data, size_t len)
{
    if (len > 0)
        OPENSSL_cleanse(data, len);
}

bool emlfs_equal_secret(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
