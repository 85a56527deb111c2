/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CATALOG_H
#define EMLFS_CATALOG_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"

/*
 * Catalogue: an ordered map from byte keys to byte values, on LevelDB (the only file that includes
 * it is store/catalog/leveldb.c; look*.c read its files) or in memory (tests). Keys compare as
 * unsigned bytes.
 *
 * Keys hold only numbers and keyed hashes. Values may be sealed (AES-256-GCM under the catalogue
 * key, associated data = key): EMLFS_CATALOG_SEALED per call; the same flag must be used for
 * reading a row as for writing it. Sealing carries integrity and place; unsealed rows are numeric.
 *
 * Threads: every function may be called from any thread; a transaction or iterator belongs to one
 * thread at a time; only one transaction may be committed at a time (the archive holds its lock).
 */
struct emlfs_catalog;

#define EMLFS_CATALOG_SEALED 1u
#define EMLFS_CATALOG_KEY_MAX_BYTES 64u
#define EMLFS_CATALOG_VALUE_MAX_BYTES (1u << 20)

struct emlfs_catalog_config {
    const char *dir; /* made when create is set */
    struct emlfs_key key;
    bool create;        /* -EEXIST when it exists already */
    bool look;          /* only to read: a commit is EROFS, and nothing in dir is ever changed */
    bool paranoid;      /* check every checksum, refuse what LevelDB would skip */
    size_t cache_bytes; /* block cache, e.g. 8 MiB */
    /*
     * e.g. 1 MiB. Tables are mapped: up to 64 of them, each of 1 MiB or of the write buffer where
     * that is more, count as resident memory of the process, whatever is read.
     */
    size_t write_buffer_bytes;
};

/*
 * EBUSY: another process has it open. EUCLEAN: LevelDB reports corruption (the caller rebuilds from
 * packs). ENOENT: no catalogue there. The database's human-readable LOG files are unlinked.
 *
 * With look the database is read without LevelDB, which writes whenever it opens one; it must be
 * closed, and nobody may change it meanwhile. EUCLEAN is then anything LevelDB would have to put
 * right, or might take otherwise.
 */
int emlfs_catalog_open(const struct emlfs_catalog_config *config,
                       struct emlfs_catalog **ret_catalog, struct emlfs_err *err);
/* A catalogue in memory with the same behaviour; nothing is kept after _close. */
int emlfs_catalog_open_memory(const struct emlfs_key *key, struct emlfs_catalog **ret_catalog);
void emlfs_catalog_close(struct emlfs_catalog *catalog);
/* Remove a closed catalogue from disk with everything in it. 0 when there is none; EBUSY: open. */
int emlfs_catalog_destroy(const char *dir, struct emlfs_err *err);
/* Compact everything: fewer, fuller tables on disk after a bulk load. */
void emlfs_catalog_compact(struct emlfs_catalog *catalog);

/*
 * Replaces the content of ret_value. -ENOENT when there is no row (err untouched); EBADMSG a sealed
 * row that does not open; EUCLEAN damage in the files; E2BIG: over ret_value->max_bytes.
 */
int emlfs_catalog_get(struct emlfs_catalog *catalog, struct emlfs_span key, unsigned flags,
                      struct emlfs_buf *ret_value, struct emlfs_err *err);

/* Ordered walk over a snapshot. Short-lived: open, walk, close. */
struct emlfs_catalog_iter;
int emlfs_catalog_iter_new(struct emlfs_catalog *catalog, struct emlfs_catalog_iter **ret_iter,
                           struct emlfs_err *err);
void emlfs_catalog_iter_free(struct emlfs_catalog_iter *iter);
/* First row with row key >= key / last row with row key <= key. */
void emlfs_catalog_iter_seek(struct emlfs_catalog_iter *iter, struct emlfs_span key);
void emlfs_catalog_iter_seek_le(struct emlfs_catalog_iter *iter, struct emlfs_span key);
void emlfs_catalog_iter_next(struct emlfs_catalog_iter *iter);
/* False at the end, or when reading failed (then _error is non-zero). */
bool emlfs_catalog_iter_valid(const struct emlfs_catalog_iter *iter);
int emlfs_catalog_iter_error(const struct emlfs_catalog_iter *iter, struct emlfs_err *err);
/* Borrowed until the iterator moves. */
struct emlfs_span emlfs_catalog_iter_key(const struct emlfs_catalog_iter *iter);
int emlfs_catalog_iter_value(const struct emlfs_catalog_iter *iter, unsigned flags,
                             struct emlfs_buf *ret_value, struct emlfs_err *err);

/*
 * The one transaction type: pending rows are seen by _get and _seek_le of the same transaction, and
 * by nobody else until commit, which applies them all or none.
 */
struct emlfs_txn;
int emlfs_txn_new(struct emlfs_catalog *catalog, struct emlfs_txn **ret_txn);
void emlfs_txn_free(struct emlfs_txn *txn); /* uncommitted rows vanish */
int emlfs_txn_get(struct emlfs_txn *txn, struct emlfs_span key, unsigned flags,
                  struct emlfs_buf *ret_value, struct emlfs_err *err);
/* The question and answer of _get_le. prefix must be a prefix of key. */
struct emlfs_row_below {
    struct emlfs_span prefix, key;
    unsigned flags; /* of the row looked for */
    struct emlfs_buf *ret_key, *ret_value;
};
/* The last row with prefix <= row key <= key, pending rows included. -ENOENT: none. EINVAL. */
int emlfs_txn_get_le(struct emlfs_txn *txn, const struct emlfs_row_below *below,
                     struct emlfs_err *err);
/* The bytes are copied. Sealing happens once, at commit. -EINVAL (no key), -E2BIG, -ENOMEM. */
int emlfs_txn_put(struct emlfs_txn *txn, struct emlfs_span key, unsigned flags,
                  struct emlfs_span value);
int emlfs_txn_delete(struct emlfs_txn *txn, struct emlfs_span key);
size_t emlfs_txn_rows(const struct emlfs_txn *txn);
/*
 * Apply atomically; durable when sync is set and 0 came back. Rows committed without sync may be
 * missing after a power cut although a later, synced commit is there. Empties the txn, always.
 *
 * After a failure the catalogue takes no more writes (-EROFS) until it is opened again: what
 * reached the disk is unknown. Two failures come before anything is written, change nothing and
 * leave the catalogue writable: ENOMEM, and ENOSPC when the file system could not hold the batch
 * and what LevelDB may need besides (twice the write buffer and 1 MiB). ENOSPC in the midst of a
 * write is like any failure: the next commit answers EROFS.
 */
int emlfs_txn_commit(struct emlfs_txn *txn, bool sync, struct emlfs_err *err);

#endif
