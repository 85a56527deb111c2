/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/sign.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>

struct emlfs_sign_key {
    EVP_PKEY *evp;
    enum emlfs_sign_kind kind;
    bool has_secret;
};

static int key_wrap(EVP_PKEY *evp, enum emlfs_sign_kind kind, bool has_secret,
                    struct emlfs_sign_key **ret_key)
{
    struct emlfs_sign_key *key = calloc(1, sizeof(*key));
    if (!key) {
        EVP_PKEY_free(evp);
        return -ENOMEM;
    }
    *key = (struct emlfs_sign_key){.evp = evp, .kind = kind, .has_secret = has_secret};
    *ret_key = key;
    return 0;
}

int emlfs_sign_key_make(enum emlfs_sign_kind kind, struct emlfs_sign_key **ret_key)
{
    EVP_PKEY *evp = kind == EMLFS_SIGN_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                               : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    return evp ? key_wrap(evp, kind, true, ret_key) : -EIO;
}

void emlfs_sign_key_free(struct emlfs_sign_key *key)
{
    if (!key)
        return;
    EVP_PKEY_free(key->evp);
    free(key);
}

enum emlfs_sign_kind emlfs_sign_key_kind(const struct emlfs_sign_key *key)
{
    return key->kind;
}

static int raw_private(const struct emlfs_sign_key *key, struct emlfs_buf *out)
{
    uint8_t raw[EMLFS_KEY_BYTES];
    size_t len = sizeof(raw);
    int r = EVP_PKEY_get_raw_private_key(key->evp, raw, &len) == 1 ? 0 : -ENOMEM;
    if (r == 0)
        r = emlfs_buf_append(out, raw, len);
    emlfs_wipe(raw, sizeof(raw));
    return r;
}

int emlfs_sign_key_private(const struct emlfs_sign_key *key, struct emlfs_buf *out)
{
    emlfs_buf_clear(out);
    if (!key->has_secret)
        return -EINVAL;
    if (key->kind == EMLFS_SIGN_ED25519)
        return raw_private(key, out);
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->evp);
    uint8_t *der = NULL;
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    int r = len > 0 ? emlfs_buf_append(out, der, (size_t)len) : -ENOMEM;
    OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
    PKCS8_PRIV_KEY_INFO_free(info);
    return r;
}

/* Which kind a key is that came from outside; 0: one that is not used here. */
static int evp_kind(const EVP_PKEY *evp)
{
    char group[32] = "";
    size_t len;
    if (EVP_PKEY_is_a(evp, "ED25519"))
        return EMLFS_SIGN_ED25519;
    if (EVP_PKEY_is_a(evp, "EC") && EVP_PKEY_get_group_name(evp, group, sizeof(group), &len) == 1 &&
        strcmp(group, "prime256v1") == 0)
        return EMLFS_SIGN_P256;
    return 0;
}

static EVP_PKEY *pkcs8_parse(struct emlfs_span secret)
{
    const uint8_t *pos = secret.data;
    if (secret.len == 0 || secret.len > EMLFS_SIGN_PRIVATE_MAX_BYTES)
        return NULL;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &pos, (long)secret.len);
    EVP_PKEY *evp = info && pos == secret.data + secret.len ? EVP_PKCS82PKEY(info) : NULL;
    PKCS8_PRIV_KEY_INFO_free(info);
    return evp;
}

int emlfs_sign_key_from_private(enum emlfs_sign_kind kind, struct emlfs_span secret,
                                struct emlfs_sign_key **ret_key)
{
    EVP_PKEY *evp =
        kind == EMLFS_SIGN_ED25519
            ? EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, secret.data, secret.len)
            : pkcs8_parse(secret);
    if (evp && evp_kind(evp) == (int)kind)
        return key_wrap(evp, kind, true, ret_key);
    EVP_PKEY_free(evp);
    return -EUCLEAN;
}

#define PEM_FIRST "-----BEGIN PUBLIC KEY-----\n"
#define PEM_LAST "\n-----END PUBLIC KEY-----\n"

/*
 * RFC 8410 has one form for all Ed25519 keys: a prefix and the 32 bytes. OpenSSL would look through
 * all that it can encode first, which takes longer than a signature.
 */
static int pem_ed25519(const struct emlfs_sign_key *key, struct emlfs_buf *out)
{
    uint8_t der[12 + EMLFS_ED25519_PUBLIC_BYTES] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                                    0x2b, 0x65, 0x70, 0x03, 0x21, 0x00};
    unsigned char line[64]; /* 60, and EVP_EncodeBlock's NUL */
    int r = emlfs_sign_key_raw(key, der + 12);
    if (r < 0)
        return -ENOMEM;
    int len = EVP_EncodeBlock(line, der, sizeof(der));
    r = emlfs_buf_append(out, PEM_FIRST, strlen(PEM_FIRST));
    if (r == 0)
        r = emlfs_buf_append(out, line, (size_t)len);
    return r < 0 ? r : emlfs_buf_append(out, PEM_LAST, strlen(PEM_LAST));
}

static int pem_any(const struct emlfs_sign_key *key, struct emlfs_buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *data = NULL;
    int r = -ENOMEM;
    if (bio && PEM_write_bio_PUBKEY(bio, key->evp) == 1) {
        long len = BIO_get_mem_data(bio, &data);
        r = len > 0 ? emlfs_buf_append(out, data, (size_t)len) : -ENOMEM;
    }
    BIO_free(bio);
    return r;
}

int emlfs_sign_key_pem(const struct emlfs_sign_key *key, struct emlfs_buf *out)
{
    emlfs_buf_clear(out);
    return key->kind == EMLFS_SIGN_ED25519 ? pem_ed25519(key, out) : pem_any(key, out);
}

int emlfs_sign_key_from_pem(struct emlfs_span pem, struct emlfs_sign_key **ret_key)
{
    if (pem.len == 0 || pem.len > EMLFS_SIGN_PEM_MAX_BYTES)
        return -EUCLEAN;
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *evp = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    int kind = evp ? evp_kind(evp) : 0;
    if (kind)
        return key_wrap(evp, (enum emlfs_sign_kind)kind, false, ret_key);
    EVP_PKEY_free(evp);
    return -EUCLEAN;
}

int emlfs_sign_key_raw(const struct emlfs_sign_key *key,
                       uint8_t ret_public[EMLFS_ED25519_PUBLIC_BYTES])
{
    size_t len = EMLFS_ED25519_PUBLIC_BYTES;
    if (key->kind != EMLFS_SIGN_ED25519)
        return -EINVAL;
    return EVP_PKEY_get_raw_public_key(key->evp, ret_public, &len) == 1 ? 0 : -EINVAL;
}

int emlfs_sign_text(const struct emlfs_sign_key *key, struct emlfs_span text, struct emlfs_buf *out)
{
    uint8_t signature[EMLFS_SIGN_MAX_BYTES];
    size_t len = sizeof(signature);
    emlfs_buf_clear(out);
    if (key->kind != EMLFS_SIGN_ED25519 || !key->has_secret)
        return -EINVAL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->evp) == 1 &&
              EVP_DigestSign(ctx, signature, &len, text.data, text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? emlfs_buf_append(out, signature, len) : -ENOMEM;
}

int emlfs_sign_text_check(const struct emlfs_sign_key *key, struct emlfs_span text,
                          struct emlfs_span signature)
{
    if (key->kind != EMLFS_SIGN_ED25519)
        return -EINVAL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int r = -ENOMEM;
    if (ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->evp) == 1)
        r = EVP_DigestVerify(ctx, signature.data, signature.len, text.data, text.len) == 1
                ? 0
                : -EBADMSG;
    EVP_MD_CTX_free(ctx);
    return r;
}

/* A context that takes a SHA-256 and not the text; NULL: no memory. */
static EVP_PKEY_CTX *hash_context(const struct emlfs_sign_key *key, int (*init)(EVP_PKEY_CTX *ctx))
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->evp, NULL);
    if (ctx && init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

int emlfs_sign_hash(const struct emlfs_sign_key *key, const struct emlfs_hash *hash,
                    struct emlfs_buf *out)
{
    uint8_t signature[EMLFS_SIGN_MAX_BYTES];
    size_t len = sizeof(signature);
    emlfs_buf_clear(out);
    if (key->kind != EMLFS_SIGN_P256 || !key->has_secret)
        return -EINVAL;
    EVP_PKEY_CTX *ctx = hash_context(key, EVP_PKEY_sign_init);
    bool ok = ctx && EVP_PKEY_sign(ctx, signature, &len, hash->v, sizeof(hash->v)) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok ? emlfs_buf_append(out, signature, len) : -ENOMEM;
}

int emlfs_sign_hash_check(const struct emlfs_sign_key *key, const struct emlfs_hash *hash,
                          struct emlfs_span signature)
{
    if (key->kind != EMLFS_SIGN_P256)
        return -EINVAL;
    EVP_PKEY_CTX *ctx = hash_context(key, EVP_PKEY_verify_init);
    if (!ctx)
        return -ENOMEM;
    int ok = EVP_PKEY_verify(ctx, signature.data, signature.len, hash->v, sizeof(hash->v));
    EVP_PKEY_CTX_free(ctx);
    return ok == 1 ? 0 : -EBADMSG;
}
