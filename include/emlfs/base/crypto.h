/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_CRYPTO_H
#define EMLFS_BASE_CRYPTO_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/* The cryptographic words emlfs uses. OpenSSL is behind these, sign.h and timestamp.h alone. */

#define EMLFS_KEY_BYTES 32u
#define EMLFS_HASH_BYTES 32u
#define EMLFS_GCM_TAG_BYTES 16u
#define EMLFS_GCM_NONCE_BYTES 12u

struct emlfs_key {
    uint8_t v[EMLFS_KEY_BYTES];
};
struct emlfs_hash {
    uint8_t v[EMLFS_HASH_BYTES];
};

/* SHA-256 (FIPS 180-4) of data. -ENOMEM. */
int emlfs_sha256(struct emlfs_span data, struct emlfs_hash *ret_hash);

struct emlfs_sha256_ctx;                         /* streaming form */
struct emlfs_sha256_ctx *emlfs_sha256_new(void); /* NULL: no memory */
int emlfs_sha256_update(struct emlfs_sha256_ctx *ctx, struct emlfs_span data);
/* Writes the hash and makes ctx ready for a new message. */
int emlfs_sha256_final(struct emlfs_sha256_ctx *ctx, struct emlfs_hash *ret_hash);
void emlfs_sha256_free(struct emlfs_sha256_ctx *ctx);

/* HMAC-SHA-256 (RFC 2104). */
int emlfs_hmac(const struct emlfs_key *key, struct emlfs_span data, struct emlfs_hash *ret_mac);

/* HKDF-SHA-256 (RFC 5869): salt may be empty; info is a short ASCII label. */
int emlfs_hkdf(const struct emlfs_key *key, struct emlfs_span salt, const char *info,
               struct emlfs_key *ret_key);

/* scrypt (RFC 7914) with N=2^15, r=8, p=1: passphrases only. */
int emlfs_scrypt(struct emlfs_span secret, struct emlfs_span salt, struct emlfs_key *ret_key);

/*
 * AES-256-GCM (NIST SP 800-38D). A context holds one expanded key; use one per thread.
 * The caller owns nonce uniqueness.
 */
struct emlfs_gcm;
int emlfs_gcm_new(const struct emlfs_key *key, struct emlfs_gcm **ret_gcm);
void emlfs_gcm_free(struct emlfs_gcm *gcm);
/*
 * out has in.len + EMLFS_GCM_TAG_BYTES bytes: ciphertext, then tag. In _seal and _open out may be
 * in.data itself (in place); any other overlap is wrong.
 */
int emlfs_gcm_seal(struct emlfs_gcm *gcm, const uint8_t nonce[EMLFS_GCM_NONCE_BYTES],
                   struct emlfs_span aad, struct emlfs_span in, uint8_t *out);
/* in is ciphertext and tag; out has in.len - tag bytes. -EBADMSG: not authentic, out is zeroed. */
int emlfs_gcm_open(struct emlfs_gcm *gcm, const uint8_t nonce[EMLFS_GCM_NONCE_BYTES],
                   struct emlfs_span aad, struct emlfs_span in, uint8_t *out);

int emlfs_random(void *out, size_t len); /* from the kernel's generator; -EIO */
void emlfs_wipe(void *data, size_t len); /* not optimised away */
bool emlfs_equal_secret(const void *a, const void *b, size_t len); /* constant time */

#endif
