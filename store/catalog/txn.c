/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The transaction: rows pending in memory over the rows of the database.
 *
 *   T1  A pending row, deletions included, hides the database row of the same key.
 *   T2  Values are pending in clear and are sealed once, on the way into the backend.
 *   T3  After a backend write that failed and may have touched the files, nothing is ever written
 *       again: a torn record in LevelDB's log would hide every later one from its recovery. A
 *       failure before the first byte (memory, a full disk seen in advance) changes nothing and
 *       leaves the catalogue usable.
 */
#include <stdlib.h>

#include "catalog.h"
#include "pending.h"

struct emlfs_txn {
    struct emlfs_catalog *catalog;
    struct pending pending;
    void *walk; /* a walk over the database as of commit number seen, or NULL */
    uint_fast64_t seen;
};

int emlfs_txn_new(struct emlfs_catalog *catalog, struct emlfs_txn **ret_txn)
{
    struct emlfs_txn *txn = calloc(1, sizeof(*txn));
    if (!txn)
        return -ENOMEM;
    txn->catalog = catalog;
    emlfs_pending_init(&txn->pending);
    *ret_txn = txn;
    return 0;
}

static void walk_drop(struct emlfs_txn *txn)
{
    if (txn->walk)
        txn->catalog->ops->iter_free(txn->walk);
    txn->walk = NULL;
}

void emlfs_txn_free(struct emlfs_txn *txn)
{
    if (!txn)
        return;
    walk_drop(txn);
    emlfs_pending_clear(&txn->pending);
    free(txn);
}

size_t emlfs_txn_rows(const struct emlfs_txn *txn)
{
    return txn->pending.rows;
}

static struct pending_row *pending_find(const struct emlfs_txn *txn, struct emlfs_span key)
{
    struct pending_row *row = emlfs_pending_le(&txn->pending, key);
    return row && emlfs_span_equal(pending_key(row), key) ? row : NULL;
}

static int pending_read(const struct pending_row *row, unsigned flags, struct emlfs_buf *ret_value,
                        struct emlfs_err *err)
{
    emlfs_buf_clear(ret_value);
    if (row->flags != flags)
        return emlfs_err_set(err, EINVAL, "catalog", "a row is read in another form than written");
    struct emlfs_span value = pending_value(row);
    int r = emlfs_buf_append(ret_value, value.data, value.len);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : 0;
}

int emlfs_txn_get(struct emlfs_txn *txn, struct emlfs_span key, unsigned flags,
                  struct emlfs_buf *ret_value, struct emlfs_err *err)
{
    const struct pending_row *row = pending_find(txn, key);

    if (!row)
        return emlfs_catalog_get(txn->catalog, key, flags, ret_value, err);
    if (!row->deleted)
        return pending_read(row, flags, ret_value, err);
    emlfs_buf_clear(ret_value);
    return -ENOENT;
}

static bool has_prefix(struct emlfs_span key, struct emlfs_span prefix)
{
    return key.len >= prefix.len &&
           (prefix.len == 0 || memcmp(key.data, prefix.data, prefix.len) == 0);
}

/* Last pending row that is not a deletion, within the bounds of emlfs_txn_get_le. */
static const struct pending_row *pending_last(const struct emlfs_txn *txn, struct emlfs_span prefix,
                                              struct emlfs_span key)
{
    const struct pending_row *row = emlfs_pending_le(&txn->pending, key);

    while (row && row->deleted && has_prefix(pending_key(row), prefix))
        row = row->prev;
    return row && has_prefix(pending_key(row), prefix) ? row : NULL;
}

/* Have txn->walk show the database as it is now. A new walk costs more than a seek. */
static int walk_ready(struct emlfs_txn *txn, struct emlfs_err *err)
{
    struct emlfs_catalog *catalog = txn->catalog;
    uint_fast64_t commits = atomic_load(&catalog->commits);

    if (txn->walk && txn->seen == commits)
        return 0;
    walk_drop(txn);
    txn->seen = commits;
    return catalog->ops->iter_new(catalog->backend, &txn->walk, err);
}

/*
 * Put txn->walk on the last database row within the bounds that no pending row hides and that is
 * above floor (if not NULL). 1: found; 0: none; or -errno.
 */
static int walk_last(struct emlfs_txn *txn, struct emlfs_span prefix, struct emlfs_span key,
                     const struct pending_row *floor, struct emlfs_err *err)
{
    const struct catalog_backend_ops *ops = txn->catalog->ops;

    int r = walk_ready(txn, err);
    if (r < 0)
        return r;
    for (ops->iter_seek_le(txn->walk, key); ops->iter_valid(txn->walk); ops->iter_prev(txn->walk)) {
        struct emlfs_span at = ops->iter_key(txn->walk);
        if (!has_prefix(at, prefix))
            return 0;
        if (floor && catalog_compare(at, pending_key(floor)) <= 0)
            return 0;
        if (!pending_find(txn, at))
            return 1;
    }
    return ops->iter_error(txn->walk, err);
}

static int key_read(struct emlfs_span key, struct emlfs_buf *ret_key, struct emlfs_err *err)
{
    emlfs_buf_clear(ret_key);
    int r = emlfs_buf_append(ret_key, key.data, key.len);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : 0;
}

int emlfs_txn_get_le(struct emlfs_txn *txn, const struct emlfs_row_below *below,
                     struct emlfs_err *err)
{
    struct emlfs_span prefix = below->prefix, key = below->key;
    const struct catalog_backend_ops *ops = txn->catalog->ops;

    if (emlfs_catalog_check_key(key) < 0 || !has_prefix(key, prefix))
        return emlfs_err_set(err, EINVAL, "catalog", "impossible key or prefix");
    const struct pending_row *row = pending_last(txn, prefix, key);
    int r = walk_last(txn, prefix, key, row, err);
    if (r < 0)
        return r;
    if (r == 0 && !row)
        return -ENOENT;
    struct emlfs_span found = r ? ops->iter_key(txn->walk) : pending_key(row);
    bool in_database = r > 0;
    r = key_read(found, below->ret_key, err);
    if (r < 0)
        return r;
    if (!in_database)
        return pending_read(row, below->flags, below->ret_value, err);
    struct catalog_row stored = {.key = found, .value = ops->iter_value(txn->walk)};
    return emlfs_catalog_unpack(txn->catalog, stored, below->flags, below->ret_value, err);
}

int emlfs_txn_put(struct emlfs_txn *txn, struct emlfs_span key, unsigned flags,
                  struct emlfs_span value)
{
    int r = emlfs_catalog_check_key(key);
    if (r < 0)
        return r;
    if (value.len > EMLFS_CATALOG_VALUE_MAX_BYTES)
        return -E2BIG;
    return emlfs_pending_put(&txn->pending, key, flags, value);
}

int emlfs_txn_delete(struct emlfs_txn *txn, struct emlfs_span key)
{
    int r = emlfs_catalog_check_key(key);
    return r < 0 ? r : emlfs_pending_delete(&txn->pending, key);
}

/* Hands the pending rows to the backend, sealing on the way. */
struct commit_feed {
    struct catalog_sealer *sealer;
    const struct pending_row *at;
    struct emlfs_buf sealed;
};

static int feed_next(void *arg, struct catalog_row *ret_row)
{
    struct commit_feed *feed = arg;
    const struct pending_row *row = feed->at;

    if (!row)
        return 0;
    feed->at = row->next[0];
    ret_row->key = pending_key(row);
    ret_row->value = pending_value(row);
    ret_row->deleted = row->deleted;
    if (row->deleted || !(row->flags & EMLFS_CATALOG_SEALED))
        return 1;
    int r = emlfs_catalog_seal(feed->sealer, ret_row->key, ret_row->value, &feed->sealed);
    ret_row->value = emlfs_buf_view(&feed->sealed);
    return r < 0 ? r : 1;
}

static int pending_write(struct emlfs_txn *txn, bool sync, struct emlfs_err *err)
{
    struct emlfs_catalog *catalog = txn->catalog;
    struct commit_feed feed = {
        .sealer = catalog->sealer,
        .at = emlfs_pending_first(&txn->pending),
        .sealed = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES + CATALOG_SEAL_OVERHEAD_BYTES)};
    struct catalog_source source = {.next = feed_next, .arg = &feed};
    bool touched = true;

    int r = catalog->ops->write(catalog->backend, &source, sync, &touched, err);
    if (r < 0 && touched)
        atomic_store(&catalog->poisoned, true);
    atomic_fetch_add(&catalog->commits, 1);
    emlfs_buf_free(&feed.sealed);
    return r;
}

int emlfs_txn_commit(struct emlfs_txn *txn, bool sync, struct emlfs_err *err)
{
    int r = 0;

    if (atomic_load(&txn->catalog->poisoned))
        r = emlfs_err_set(err, EROFS, "catalog",
                          "an earlier write failed; no more are taken until it is opened again");
    else if (txn->pending.rows > 0)
        r = pending_write(txn, sync, err);
    walk_drop(txn);
    emlfs_pending_clear(&txn->pending);
    return r;
}
