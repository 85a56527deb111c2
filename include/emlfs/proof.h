/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_PROOF_H
#define EMLFS_PROOF_H

#include "emlfs/base/sign.h"
#include "emlfs/ledger_record.h"

/*
 * Checking what the ledger says without the archive and without a secret: Merkle proofs (RFC 9162
 * section 2.1, SHA-256), signed checkpoints and proofs as text. Texts are described, with a check
 * by plain openssl, in store/FORMAT.md. Every text has one form: what is parsed is written again
 * and must be the same bytes. All functions here are pure; any thread.
 */

#define EMLFS_LEDGER_SEQUENCE_MAX ((1ull << 40) - 1)
#define EMLFS_TREE_PATH_MAX 64u
#define EMLFS_LEDGER_ORIGIN_MAX_BYTES 100u /* of [A-Za-z0-9._/-] */
#define EMLFS_CHECKPOINT_MAX_BYTES 1024u
#define EMLFS_PROOF_MAX_BYTES (32u << 10)

struct emlfs_tree_path {
    unsigned count;
    struct emlfs_hash v[EMLFS_TREE_PATH_MAX];
};

/* SHA-256 of 0x00 and the leaf's bytes. -ENOMEM. */
int emlfs_tree_leaf(struct emlfs_span bytes, struct emlfs_hash *ret_hash);
/* SHA-256 of 0x01, left and right. ret_hash may be one of them. -ENOMEM. */
int emlfs_tree_node(const struct emlfs_hash *left, const struct emlfs_hash *right,
                    struct emlfs_hash *ret_hash);

/* A tree of which only the number of leaves and the root are known. */
struct emlfs_tree_head {
    uint64_t size;
    struct emlfs_hash root;
};

/* leaf is number index of head's tree. -EBADMSG: path does not show that. */
int emlfs_tree_check_inclusion(const struct emlfs_tree_head *head, uint64_t index,
                               const struct emlfs_hash *leaf, const struct emlfs_tree_path *path);
/* older's leaves are the first ones of newer. -EBADMSG: path does not show that. */
int emlfs_tree_check_consistency(const struct emlfs_tree_head *older,
                                 const struct emlfs_tree_head *newer,
                                 const struct emlfs_tree_path *path);

struct emlfs_checkpoint {
    char origin[EMLFS_LEDGER_ORIGIN_MAX_BYTES + 1]; /* names the archive */
    struct emlfs_tree_head head;
    uint64_t number;            /* 1, 2 ... of this archive */
    int64_t time_sec;           /* Unix */
    struct emlfs_hash previous; /* SHA-256 of the checkpoint text before; zero for number 1 */
    uint8_t key_id[4];          /* first bytes of SHA-256(origin, LF, 0x01, Ed25519 public key) */
    uint8_t signature[64];
};

/* Parse text, which is one checkpoint and nothing else. The signature is not checked. -EILSEQ. */
int emlfs_checkpoint_parse(struct emlfs_span text, struct emlfs_checkpoint *ret_checkpoint);
/* Length of the checkpoint that text begins with; 0: none is complete there. */
size_t emlfs_checkpoint_length(struct emlfs_span text);
/* Append the text. -E2BIG, -ENOMEM. */
int emlfs_checkpoint_format(const struct emlfs_checkpoint *checkpoint, struct emlfs_buf *out);
/* Fill key_id and signature with key (Ed25519, secret). */
int emlfs_checkpoint_sign(struct emlfs_checkpoint *checkpoint, const struct emlfs_sign_key *key);
/* -EBADMSG: not signed by key, or by another key. */
int emlfs_checkpoint_check(const struct emlfs_checkpoint *checkpoint,
                           const struct emlfs_sign_key *key);

enum emlfs_proof_type {
    EMLFS_PROOF_INCLUSION = 1,
    EMLFS_PROOF_CONSISTENCY = 2,
};

struct emlfs_proof {
    enum emlfs_proof_type type;
    uint64_t index;               /* inclusion: number of the record */
    struct emlfs_buf record;      /* inclusion: its bytes, as hashed */
    struct emlfs_tree_head older; /* consistency */
    struct emlfs_tree_path path;
    struct emlfs_checkpoint checkpoint; /* that the proof leads to */
};
#define EMLFS_PROOF_INIT                                                                           \
    ((struct emlfs_proof){.record = {.max_bytes = EMLFS_LEDGER_RECORD_MAX_BYTES}})
void emlfs_proof_free(struct emlfs_proof *proof);

/* Parse a proof of either type. -EILSEQ: no such text; -E2BIG, -ENOMEM. Nothing is checked yet. */
int emlfs_proof_parse(struct emlfs_span text, struct emlfs_proof *proof);
/* Append the text. */
int emlfs_proof_format(const struct emlfs_proof *proof, struct emlfs_buf *out);
/*
 * Everything that can be checked: the checkpoint's signature by key, the path, and that the record
 * is valid and says its own number. ret_record (may be NULL) borrows from proof; of a consistency
 * proof it is left alone, and the caller compares proof->older with the checkpoint it kept.
 * EBADMSG with a text that says what does not hold.
 */
int emlfs_proof_check(const struct emlfs_proof *proof, const struct emlfs_sign_key *key,
                      struct emlfs_ledger_record *ret_record, struct emlfs_err *err);

#endif
