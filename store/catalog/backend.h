/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_CATALOG_BACKEND_H
#define EMLFS_STORE_CATALOG_BACKEND_H

#include "emlfs/catalog.h"

/*
 * The seam below the catalogue: an ordered map of byte strings. It knows nothing of sealing,
 * transactions or limits. Private to store/catalog and its tests.
 */

struct catalog_row {
    struct emlfs_span key;
    struct emlfs_span value; /* empty when deleted */
    bool deleted;
};

/* Rows in key order, each valid until the next call. 1: *ret_row filled; 0: end; or -errno. */
struct catalog_source {
    int (*next)(void *arg, struct catalog_row *ret_row);
    void *arg;
};

struct catalog_backend_ops {
    /* The value is appended to ret_value. -ENOENT with err untouched: no row. */
    int (*get)(void *backend, struct emlfs_span key, struct emlfs_buf *ret_value,
               struct emlfs_err *err);
    /*
     * Apply every row of source or none; durable on return when sync is set. On failure,
     * *ret_touched tells whether anything may have reached the database or its files.
     */
    int (*write)(void *backend, const struct catalog_source *source, bool sync, bool *ret_touched,
                 struct emlfs_err *err);
    /* A walk over the rows as they are now. */
    int (*iter_new)(void *backend, void **ret_iter, struct emlfs_err *err);
    void (*compact)(void *backend);
    void (*close)(void *backend);

    void (*iter_free)(void *iter);
    void (*iter_seek)(void *iter, struct emlfs_span key);
    void (*iter_seek_le)(void *iter, struct emlfs_span key);
    /* Only on a valid iterator. */
    void (*iter_next)(void *iter);
    void (*iter_prev)(void *iter);
    /* False at either end and after any failure to read, even when rows follow the damage. */
    bool (*iter_valid)(const void *iter);
    int (*iter_error)(const void *iter, struct emlfs_err *err);
    struct emlfs_span (*iter_key)(const void *iter);
    struct emlfs_span (*iter_value)(const void *iter);
};

/* As emlfs_catalog_open, for the backend alone. */
int emlfs_catalog_leveldb_open(const struct emlfs_catalog_config *config, void **ret_backend,
                               struct emlfs_err *err);
extern const struct catalog_backend_ops emlfs_catalog_leveldb_ops;

int emlfs_catalog_memory_new(void **ret_backend);
extern const struct catalog_backend_ops emlfs_catalog_memory_ops;

/* A catalogue on a backend, which it takes also on failure. */
int emlfs_catalog_new(const struct catalog_backend_ops *ops, void *backend,
                      const struct emlfs_key *key, struct emlfs_catalog **ret_catalog);

/* Unsigned byte order, a prefix before what it begins. */
static inline int catalog_compare(struct emlfs_span a, struct emlfs_span b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

#endif
