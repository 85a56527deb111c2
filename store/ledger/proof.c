/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: proofs as text, and checking one with nothing but a public key.
 * Invariant N1 (note.c) holds for proofs too.
 */
#include <inttypes.h>

#include "internal.h"

#define INCLUSION_LINE "emlfs inclusion proof 1"
#define CONSISTENCY_LINE "emlfs consistency proof 1"

void emlfs_proof_free(struct emlfs_proof *proof)
{
    emlfs_buf_free(&proof->record);
}

static int inclusion_format(const struct emlfs_proof *proof, struct emlfs_buf *out)
{
    int r = ledger_print(out, INCLUSION_LINE "\nindex %" PRIu64 "\n", proof->index);
    return r < 0 ? r : ledger_print64(out, "record ", emlfs_buf_view(&proof->record));
}

static int consistency_format(const struct emlfs_proof *proof, struct emlfs_buf *out)
{
    int r = ledger_print(out, CONSISTENCY_LINE "\nolder %" PRIu64 "\n", proof->older.size);
    return r < 0
               ? r
               : ledger_print64(out, "root ", emlfs_span_of(proof->older.root.v, EMLFS_HASH_BYTES));
}

int emlfs_proof_format(const struct emlfs_proof *proof, struct emlfs_buf *out)
{
    int r = proof->type == EMLFS_PROOF_INCLUSION ? inclusion_format(proof, out)
                                                 : consistency_format(proof, out);
    for (unsigned i = 0; i < proof->path.count && r == 0; i++)
        r = ledger_print64(out, "hash ", emlfs_span_of(proof->path.v[i].v, EMLFS_HASH_BYTES));
    if (r == 0)
        r = emlfs_buf_append_u8(out, '\n');
    return r < 0 ? r : emlfs_checkpoint_format(&proof->checkpoint, out);
}

static int head_parse(struct ledger_lines *lines, struct emlfs_proof *proof)
{
    int r = 0;
    emlfs_buf_clear(&proof->record);
    if (ledger_lines_next_is(lines, INCLUSION_LINE "\n")) {
        proof->type = EMLFS_PROOF_INCLUSION;
        (void)ledger_lines_take(lines, INCLUSION_LINE);
        proof->index = ledger_lines_number(lines, "index ");
        r = ledger_text64_decode(ledger_lines_take(lines, "record "), &proof->record);
    } else {
        proof->type = EMLFS_PROOF_CONSISTENCY;
        (void)ledger_lines_take(lines, CONSISTENCY_LINE);
        proof->older.size = ledger_lines_number(lines, "older ");
        ledger_lines_hash(lines, "root ", &proof->older.root);
    }
    proof->path.count = 0;
    while (ledger_lines_next_is(lines, "hash ")) {
        if (proof->path.count == EMLFS_TREE_PATH_MAX)
            return -EILSEQ;
        ledger_lines_hash(lines, "hash ", &proof->path.v[proof->path.count++]);
    }
    return r;
}

int emlfs_proof_parse(struct emlfs_span text, struct emlfs_proof *proof)
{
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    struct ledger_lines lines = ledger_lines_of(text);
    if (text.len > EMLFS_PROOF_MAX_BYTES)
        return -E2BIG;
    int r = head_parse(&lines, proof);
    struct emlfs_span blank = ledger_lines_take(&lines, "");
    if (r == 0 && (lines.bad || blank.len))
        r = -EILSEQ;
    if (r == 0)
        r = emlfs_checkpoint_parse(emlfs_span_of(lines.pos, (size_t)(lines.end - lines.pos)),
                                   &proof->checkpoint);
    if (r == 0)
        r = emlfs_proof_format(proof, &again);
    if (r == 0 && !emlfs_span_equal(emlfs_buf_view(&again), text))
        r = -EILSEQ;
    return r == -E2BIG ? -EILSEQ : r;
}

static int inclusion_check(const struct emlfs_proof *proof, struct emlfs_ledger_record *ret_record,
                           struct emlfs_err *err)
{
    struct emlfs_ledger_record record;
    struct emlfs_hash leaf;
    int r = emlfs_tree_leaf(emlfs_buf_view(&proof->record), &leaf);
    if (r == 0)
        r = emlfs_tree_check_inclusion(&proof->checkpoint.head, proof->index, &leaf, &proof->path);
    if (r < 0)
        return emlfs_err_set(err, -r, MODULE, "the record is not in the tree of the checkpoint");
    r = emlfs_ledger_record_decode(emlfs_buf_view(&proof->record), &record);
    if (r == 0 && record.sequence != proof->index)
        r = -EBADMSG;
    if (r < 0)
        return emlfs_err_set(err, -r, MODULE, "the record cannot be read");
    if (ret_record)
        *ret_record = record;
    return 0;
}

int emlfs_proof_check(const struct emlfs_proof *proof, const struct emlfs_sign_key *key,
                      struct emlfs_ledger_record *ret_record, struct emlfs_err *err)
{
    int r = emlfs_checkpoint_check(&proof->checkpoint, key);
    if (r < 0)
        return emlfs_err_set(err, -r, MODULE, "the checkpoint is not signed by this key");
    if (proof->type == EMLFS_PROOF_INCLUSION)
        return inclusion_check(proof, ret_record, err);
    r = emlfs_tree_check_consistency(&proof->older, &proof->checkpoint.head, &proof->path);
    return r < 0 ? emlfs_err_set(err, -r, MODULE,
                                 "the older tree is not the beginning of the checkpoint's")
                 : 0;
}
