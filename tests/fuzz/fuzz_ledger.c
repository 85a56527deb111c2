/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "../../store/ledger/internal.h"

/*
 * What the ledger parses: records, frame headers and bodies, marks, checkpoints, proofs. The first
 * byte chooses. Checked beyond memory safety: what is taken is written again as the same bytes.
 */

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void record_fuzz(struct emlfs_span in)
{
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_RECORD_MAX_BYTES);
    struct emlfs_ledger_record record;
    if (emlfs_ledger_record_decode(in, &record) < 0)
        return;
    demand(emlfs_ledger_record_encode(&record, &again) == 0);
    demand(emlfs_span_equal(emlfs_buf_view(&again), in));
}

static void checkpoint_fuzz(struct emlfs_span in)
{
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint checkpoint;
    size_t len = emlfs_checkpoint_length(in);
    demand(len <= in.len);
    if (emlfs_checkpoint_parse(in, &checkpoint) < 0)
        return;
    demand(len == in.len);
    demand(emlfs_checkpoint_format(&checkpoint, &again) == 0);
    demand(emlfs_span_equal(emlfs_buf_view(&again), in));
}

static void proof_fuzz(struct emlfs_span in, const struct emlfs_sign_key *key)
{
    struct emlfs_proof proof = EMLFS_PROOF_INIT;
    struct emlfs_ledger_record record;
    if (emlfs_proof_parse(in, &proof) == 0) {
        struct emlfs_hash leaf = {{0}};
        demand(emlfs_proof_check(&proof, key, &record, NULL) < 0); /* nobody signed it */
        (void)emlfs_tree_check_inclusion(&proof.checkpoint.head, proof.index, &leaf, &proof.path);
        (void)emlfs_tree_check_consistency(&proof.older, &proof.checkpoint.head, &proof.path);
    }
    emlfs_proof_free(&proof);
}

static void frame_fuzz(struct emlfs_span in)
{
    uint8_t bytes[FRAME_HEADER_BYTES] = {0};
    uint8_t again[FRAME_HEADER_BYTES];
    struct emlfs_ledger_record record;
    struct ledger_frame frame;
    struct ledger_body body;
    struct emlfs_span one;
    memcpy(bytes, in.data, in.len < sizeof(bytes) ? in.len : sizeof(bytes));
    if (ledger_frame_decode(bytes, &frame) < 0)
        return;
    ledger_frame_encode(&frame, again);
    demand(memcmp(bytes, again, sizeof(bytes)) == 0);
    if (in.len <= sizeof(bytes) ||
        ledger_body_open(&frame, emlfs_span_of(in.data + sizeof(bytes), in.len - sizeof(bytes)),
                         &body) < 0)
        return;
    unsigned count = 0;
    while (ledger_body_next(&body, &one, &record) == 0)
        count++;
    demand(count <= frame.count);
}

static void mark_fuzz(struct emlfs_span in)
{
    uint8_t slot[MARK_SLOT_BYTES] = {0};
    struct emlfs_key key = {{0}};
    struct ledger_mark mark;
    memcpy(slot, in.data, in.len < sizeof(slot) ? in.len : sizeof(slot));
    (void)ledger_mark_decode(slot, &key, &mark);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct emlfs_sign_key *key;
    if (!key && emlfs_sign_key_make(EMLFS_SIGN_ED25519, &key) < 0)
        return 0;
    if (size < 2)
        return 0;
    const struct emlfs_span rest = emlfs_span_of(data + 1, size - 1);
    switch (data[0]) {
    case 'r':
        record_fuzz(rest);
        break;
    case 'c':
        checkpoint_fuzz(rest);
        break;
    case 'p':
        proof_fuzz(rest, key);
        break;
    case 'f':
        frame_fuzz(rest);
        break;
    default:
        mark_fuzz(rest);
        break;
    }
    return 0;
}
