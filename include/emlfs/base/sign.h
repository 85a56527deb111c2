/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_SIGN_H
#define EMLFS_BASE_SIGN_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"

/*
 * Digital signatures. Two kinds, because two checkers must be plain openssl commands:
 *
 * Ed25519 (RFC 8032) over the whole text: openssl pkeyutl -verify -rawin.
 * ECDSA over P-256 with SHA-256 (FIPS 186-4, DER): openssl dgst -sha256 -verify, which does not
 * take Ed25519, and which needs only the digest, so a message is signed without being in memory.
 */
enum emlfs_sign_kind {
    EMLFS_SIGN_ED25519 = 1,
    EMLFS_SIGN_P256 = 2,
};

#define EMLFS_SIGN_PRIVATE_MAX_BYTES 256u
#define EMLFS_SIGN_PEM_MAX_BYTES 1024u
#define EMLFS_SIGN_MAX_BYTES 80u /* a signature: Ed25519 64, ECDSA up to 72 */
#define EMLFS_ED25519_PUBLIC_BYTES 32u

struct emlfs_sign_key; /* immutable; any number of threads */

/* A new random key. -ENOMEM, -EIO no randomness. */
int emlfs_sign_key_make(enum emlfs_sign_kind kind, struct emlfs_sign_key **ret_key);
void emlfs_sign_key_free(struct emlfs_sign_key *key); /* NULL is fine; the secret is wiped */
enum emlfs_sign_kind emlfs_sign_key_kind(const struct emlfs_sign_key *key);

/*
 * The secret, into out (cleared first): Ed25519 the 32 bytes of RFC 8032, P-256 the PKCS #8 DER.
 * Whoever asks wipes out. -EINVAL: a public key only. -ENOMEM.
 */
int emlfs_sign_key_private(const struct emlfs_sign_key *key, struct emlfs_buf *out);
/* The inverse. -EUCLEAN: not a private key of that kind. -ENOMEM. */
int emlfs_sign_key_from_private(enum emlfs_sign_kind kind, struct emlfs_span secret,
                                struct emlfs_sign_key **ret_key);

/* The public part as PEM (SubjectPublicKeyInfo, RFC 7468), into out (cleared first). -ENOMEM. */
int emlfs_sign_key_pem(const struct emlfs_sign_key *key, struct emlfs_buf *out);
/* A public key of either kind from PEM. -EUCLEAN: it is none. -ENOMEM. */
int emlfs_sign_key_from_pem(struct emlfs_span pem, struct emlfs_sign_key **ret_key);
/* The 32 bytes of an Ed25519 public key. -EINVAL: of another kind. */
int emlfs_sign_key_raw(const struct emlfs_sign_key *key,
                       uint8_t ret_public[EMLFS_ED25519_PUBLIC_BYTES]);

/* Ed25519 over text; the 64 bytes into out (cleared first). -EINVAL no such key, -ENOMEM. */
int emlfs_sign_text(const struct emlfs_sign_key *key, struct emlfs_span text,
                    struct emlfs_buf *out);
/* -EBADMSG: not a signature of text by key. -EINVAL, -ENOMEM. */
int emlfs_sign_text_check(const struct emlfs_sign_key *key, struct emlfs_span text,
                          struct emlfs_span signature);
/* ECDSA P-256 over what has this SHA-256; DER into out (cleared first). -EINVAL, -ENOMEM. */
int emlfs_sign_hash(const struct emlfs_sign_key *key, const struct emlfs_hash *hash,
                    struct emlfs_buf *out);
/* -EBADMSG: not a signature of that hash by key. -EINVAL, -ENOMEM. */
int emlfs_sign_hash_check(const struct emlfs_sign_key *key, const struct emlfs_hash *hash,
                          struct emlfs_span signature);

#endif
