/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responsible for: walking and filtering records; roots and proofs of what is in tiles. */
#include "internal.h"

static bool filter_passes(const struct emlfs_ledger_filter *filter,
                          const struct emlfs_ledger_record *record)
{
    return (!filter->from_ns || record->time_ns >= filter->from_ns) &&
           (!filter->to_ns || record->time_ns < filter->to_ns) &&
           (!filter->kind || record->kind == filter->kind) &&
           (!filter->user.v || record->user.v == filter->user.v ||
            record->owner.v == filter->user.v) &&
           (!filter->message.v || record->message.v == filter->message.v) &&
           (!filter->folder.v || record->folder.v == filter->folder.v ||
            record->folder_to.v == filter->folder.v) &&
           (!filter->object || record->object == filter->object) &&
           (!filter->failed_only || record->outcome);
}

struct visit {
    const struct emlfs_ledger_filter *filter;
    int (*each)(void *arg, const struct emlfs_ledger_record *record);
    void *arg;
    uint64_t end;
    bool stopped; /* by each */
};

static int body_visit(struct visit *visit, struct ledger_body *body)
{
    struct emlfs_ledger_record record;
    struct emlfs_span bytes;
    int r;
    while ((r = ledger_body_next(body, &bytes, &record)) == 0) {
        if (record.sequence < visit->filter->first || record.sequence >= visit->end ||
            !filter_passes(visit->filter, &record))
            continue;
        r = visit->each(visit->arg, &record);
        visit->stopped = r != 0;
        if (r != 0)
            return r;
    }
    return r == -ENODATA ? 0 : r;
}

int emlfs_ledger_each(struct emlfs_ledger *ledger, const struct emlfs_ledger_filter *filter,
                      int (*each)(void *arg, const struct emlfs_ledger_record *record), void *arg,
                      struct emlfs_err *err)
{
    struct visit visit = {filter, each, arg, emlfs_ledger_size(ledger), false};
    struct ledger_reader reader;
    struct ledger_body body;
    int r = 0;
    if (filter->last && filter->last < visit.end)
        visit.end = filter->last + 1;
    ledger_reader_init(&reader, ledger->dir, &ledger->keys.records, filter->first, visit.end);
    while (r == 0) {
        r = ledger_reader_next(&reader, &body);
        if (r == 0)
            r = body_visit(&visit, &body);
    }
    ledger_reader_free(&reader);
    if (visit.stopped)
        return r;
    return r == -ENODATA ? 0 : emlfs_err_sys(err, -r, MODULE, "records of the ledger are damaged");
}

int ledger_record_bytes(struct emlfs_ledger *ledger, uint64_t sequence, struct emlfs_buf *out,
                        struct emlfs_err *err)
{
    struct ledger_reader reader;
    struct ledger_body body;
    struct emlfs_ledger_record record = {0};
    struct emlfs_span bytes = {0};
    ledger_reader_init(&reader, ledger->dir, &ledger->keys.records, sequence, sequence + 1);
    int r = ledger_reader_next(&reader, &body);
    do
        r = r < 0 ? r : ledger_body_next(&body, &bytes, &record);
    while (r == 0 && record.sequence != sequence);
    if (r == 0)
        r = emlfs_buf_append(out, bytes.data, bytes.len);
    ledger_reader_free(&reader);
    r = r == -ENODATA ? -EBADMSG : r;
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "record %llu cannot be read",
                                 (unsigned long long)sequence)
                 : 0;
}

static int damaged(struct emlfs_err *err, int r)
{
    return emlfs_err_sys(err, -r, MODULE, "tiles of the ledger");
}

static int range_check(uint64_t size, const struct ledger_tree *now, struct emlfs_err *err)
{
    return size <= now->size ? 0
                             : emlfs_err_set(err, ERANGE, MODULE, "the ledger has %llu records",
                                             (unsigned long long)now->size);
}

/* older's root from tiles, believed only because it leads to the root in memory. */
static int root_load(struct emlfs_ledger *ledger, uint64_t size, const struct ledger_tree *now,
                     struct emlfs_hash *ret_root)
{
    struct ledger_source source = {ledger_tiles_read, &ledger->tiles};
    struct emlfs_tree_head older = {.size = size};
    struct emlfs_tree_head newer = {.size = now->size};
    struct emlfs_tree_path path;
    struct ledger_tree tree;
    int r = ledger_tree_load(&source, size, &tree);
    if (r == 0)
        r = ledger_tree_root(&tree, &older.root);
    if (r == 0)
        r = ledger_tree_root(now, &newer.root);
    if (r == 0 && size > 0)
        r = ledger_tree_consistency(&source, size, now->size, &path);
    if (r == 0 && size > 0)
        r = emlfs_tree_check_consistency(&older, &newer, &path);
    *ret_root = older.root;
    return r;
}

int emlfs_ledger_root(struct emlfs_ledger *ledger, uint64_t size, struct emlfs_hash *ret_root,
                      struct emlfs_err *err)
{
    struct ledger_tree now;
    ledger_tree_now(ledger, &now);
    int r = range_check(size, &now, err);
    if (r < 0)
        return r;
    r = size == now.size ? ledger_tree_root(&now, ret_root)
                         : root_load(ledger, size, &now, ret_root);
    return r < 0 ? damaged(err, r) : 0;
}

int emlfs_ledger_inclusion(struct emlfs_ledger *ledger, uint64_t index, uint64_t size,
                           struct emlfs_tree_path *ret_path, struct emlfs_err *err)
{
    struct ledger_source source = {ledger_tiles_read, &ledger->tiles};
    struct emlfs_tree_head head = {.size = size};
    struct emlfs_hash leaf;
    int r = emlfs_ledger_root(ledger, size, &head.root, err);
    if (r < 0)
        return r;
    if (index >= size)
        return emlfs_err_set(err, ERANGE, MODULE, "there is no such record");
    r = ledger_tree_inclusion(&source, index, size, ret_path);
    if (r == 0)
        r = ledger_tiles_read(&ledger->tiles, 0, index, 1, &leaf);
    if (r == 0)
        r = emlfs_tree_check_inclusion(&head, index, &leaf, ret_path);
    return r < 0 ? damaged(err, r) : 0;
}

int emlfs_ledger_consistency(struct emlfs_ledger *ledger, uint64_t older, uint64_t newer,
                             struct emlfs_tree_path *ret_path, struct emlfs_err *err)
{
    struct ledger_source source = {ledger_tiles_read, &ledger->tiles};
    struct emlfs_tree_head heads[2] = {{.size = older}, {.size = newer}};
    if (older == 0 || older > newer)
        return emlfs_err_set(err, ERANGE, MODULE, "no such pair of sizes");
    int r = emlfs_ledger_root(ledger, older, &heads[0].root, err);
    if (r == 0)
        r = emlfs_ledger_root(ledger, newer, &heads[1].root, err);
    if (r < 0)
        return r;
    r = ledger_tree_consistency(&source, older, newer, ret_path);
    if (r == 0)
        r = emlfs_tree_check_consistency(&heads[0], &heads[1], ret_path);
    return r < 0 ? damaged(err, r) : 0;
}

/* The last checkpoint that covers size records, made if need be. */
static int checkpoint_cover(struct emlfs_ledger *ledger, uint64_t size,
                            struct emlfs_checkpoint *ret_checkpoint, struct emlfs_err *err)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    pthread_mutex_lock(&ledger->notes);
    *ret_checkpoint = ledger->last;
    pthread_mutex_unlock(&ledger->notes);
    if (ret_checkpoint->number && ret_checkpoint->head.size >= size)
        return 0;
    int r = emlfs_ledger_checkpoint(ledger, &text, err);
    return r < 0 ? r : emlfs_checkpoint_parse(emlfs_buf_view(&text), ret_checkpoint);
}

static int proof_out(struct emlfs_ledger *ledger, const struct emlfs_proof *proof,
                     struct emlfs_buf *out, struct emlfs_err *err)
{
    int r = emlfs_proof_check(proof, ledger->keys.checkpoint, NULL, err);
    emlfs_buf_clear(out);
    if (r < 0)
        return r;
    r = emlfs_proof_format(proof, out);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the proof cannot be written") : 0;
}

int emlfs_ledger_prove(struct emlfs_ledger *ledger, uint64_t sequence, struct emlfs_buf *out,
                       struct emlfs_err *err)
{
    struct emlfs_proof proof = EMLFS_PROOF_INIT;
    if (sequence >= emlfs_ledger_size(ledger))
        return emlfs_err_set(err, ERANGE, MODULE, "there is no such record");
    proof.type = EMLFS_PROOF_INCLUSION;
    proof.index = sequence;
    int r = checkpoint_cover(ledger, sequence + 1, &proof.checkpoint, err);
    if (r == 0)
        r = emlfs_ledger_inclusion(ledger, sequence, proof.checkpoint.head.size, &proof.path, err);
    if (r == 0)
        r = ledger_record_bytes(ledger, sequence, &proof.record, err);
    if (r == 0)
        r = proof_out(ledger, &proof, out, err);
    emlfs_proof_free(&proof);
    return r;
}

int emlfs_ledger_prove_consistency(struct emlfs_ledger *ledger, uint64_t older,
                                   struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_proof proof = EMLFS_PROOF_INIT;
    if (older == 0 || older > emlfs_ledger_size(ledger))
        return emlfs_err_set(err, ERANGE, MODULE, "the ledger never had so many records");
    proof.type = EMLFS_PROOF_CONSISTENCY;
    proof.older.size = older;
    int r = checkpoint_cover(ledger, older, &proof.checkpoint, err);
    if (r == 0)
        r = emlfs_ledger_root(ledger, older, &proof.older.root, err);
    if (r == 0)
        r = emlfs_ledger_consistency(ledger, older, proof.checkpoint.head.size, &proof.path, err);
    return r < 0 ? r : proof_out(ledger, &proof, out, err);
}
