/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The catalogue above its backend: limits, sealed values, reading. Writing is in txn.c. */
#include "catalog.h"

#include <stdlib.h>

#include "look.h"

struct emlfs_catalog_iter {
    struct emlfs_catalog *catalog;
    void *walk;
};

int emlfs_catalog_new(const struct catalog_backend_ops *ops, void *backend,
                      const struct emlfs_key *key, struct emlfs_catalog **ret_catalog)
{
    struct emlfs_catalog *catalog = calloc(1, sizeof(*catalog));
    int r = catalog ? emlfs_catalog_sealer_new(key, &catalog->sealer) : -ENOMEM;
    if (r < 0) {
        ops->close(backend);
        free(catalog);
        return r;
    }
    catalog->ops = ops;
    catalog->backend = backend;
    *ret_catalog = catalog;
    return 0;
}

int emlfs_catalog_open(const struct emlfs_catalog_config *config,
                       struct emlfs_catalog **ret_catalog, struct emlfs_err *err)
{
    const struct catalog_backend_ops *ops =
        config->look ? &emlfs_catalog_look_ops : &emlfs_catalog_leveldb_ops;
    void *backend;

    int r = config->look ? emlfs_catalog_look_open(config, &backend, err)
                         : emlfs_catalog_leveldb_open(config, &backend, err);
    if (r < 0)
        return r;
    r = emlfs_catalog_new(ops, backend, &config->key, ret_catalog);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot set up %s", config->dir) : 0;
}

int emlfs_catalog_open_memory(const struct emlfs_key *key, struct emlfs_catalog **ret_catalog)
{
    void *backend;

    int r = emlfs_catalog_memory_new(&backend);
    return r < 0 ? r : emlfs_catalog_new(&emlfs_catalog_memory_ops, backend, key, ret_catalog);
}

void emlfs_catalog_close(struct emlfs_catalog *catalog)
{
    if (!catalog)
        return;
    catalog->ops->close(catalog->backend);
    emlfs_catalog_sealer_free(catalog->sealer);
    free(catalog);
}

void emlfs_catalog_compact(struct emlfs_catalog *catalog)
{
    catalog->ops->compact(catalog->backend);
}

int emlfs_catalog_check_key(struct emlfs_span key)
{
    if (key.len == 0)
        return -EINVAL;
    return key.len > EMLFS_CATALOG_KEY_MAX_BYTES ? -E2BIG : 0;
}

int emlfs_catalog_unpack(struct emlfs_catalog *catalog, struct catalog_row row, unsigned flags,
                         struct emlfs_buf *ret_value, struct emlfs_err *err)
{
    int r;

    if (flags & EMLFS_CATALOG_SEALED) {
        r = emlfs_catalog_unseal(catalog->sealer, row.key, row.value, ret_value);
    } else {
        emlfs_buf_clear(ret_value);
        r = emlfs_buf_append(ret_value, row.value.data, row.value.len);
    }
    if (r == -EBADMSG)
        return emlfs_err_set(err, EBADMSG, "catalog", "a sealed row is damaged or altered");
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : 0;
}

static int get_sealed(struct emlfs_catalog *catalog, struct emlfs_span key,
                      struct emlfs_buf *ret_value, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf raw =
        EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES + CATALOG_SEAL_OVERHEAD_BYTES);

    int r = catalog->ops->get(catalog->backend, key, &raw, err);
    if (r < 0)
        return r;
    struct catalog_row row = {.key = key, .value = emlfs_buf_view(&raw)};
    return emlfs_catalog_unpack(catalog, row, EMLFS_CATALOG_SEALED, ret_value, err);
}

int emlfs_catalog_get(struct emlfs_catalog *catalog, struct emlfs_span key, unsigned flags,
                      struct emlfs_buf *ret_value, struct emlfs_err *err)
{
    emlfs_buf_clear(ret_value);
    int r = emlfs_catalog_check_key(key);
    if (r < 0)
        return emlfs_err_set(err, -r, "catalog", "impossible key of %zu bytes", key.len);
    if (flags & EMLFS_CATALOG_SEALED)
        return get_sealed(catalog, key, ret_value, err);
    return catalog->ops->get(catalog->backend, key, ret_value, err);
}

int emlfs_catalog_iter_new(struct emlfs_catalog *catalog, struct emlfs_catalog_iter **ret_iter,
                           struct emlfs_err *err)
{
    struct emlfs_catalog_iter *iter = calloc(1, sizeof(*iter));
    if (!iter)
        return emlfs_err_sys(err, ENOMEM, "catalog", "cannot walk the catalogue");
    iter->catalog = catalog;
    int r = catalog->ops->iter_new(catalog->backend, &iter->walk, err);
    if (r < 0) {
        free(iter);
        return r;
    }
    *ret_iter = iter;
    return 0;
}

void emlfs_catalog_iter_free(struct emlfs_catalog_iter *iter)
{
    if (!iter)
        return;
    iter->catalog->ops->iter_free(iter->walk);
    free(iter);
}

void emlfs_catalog_iter_seek(struct emlfs_catalog_iter *iter, struct emlfs_span key)
{
    iter->catalog->ops->iter_seek(iter->walk, key);
}

void emlfs_catalog_iter_seek_le(struct emlfs_catalog_iter *iter, struct emlfs_span key)
{
    iter->catalog->ops->iter_seek_le(iter->walk, key);
}

void emlfs_catalog_iter_next(struct emlfs_catalog_iter *iter)
{
    if (emlfs_catalog_iter_valid(iter))
        iter->catalog->ops->iter_next(iter->walk);
}

bool emlfs_catalog_iter_valid(const struct emlfs_catalog_iter *iter)
{
    return iter->catalog->ops->iter_valid(iter->walk);
}

int emlfs_catalog_iter_error(const struct emlfs_catalog_iter *iter, struct emlfs_err *err)
{
    return iter->catalog->ops->iter_error(iter->walk, err);
}

struct emlfs_span emlfs_catalog_iter_key(const struct emlfs_catalog_iter *iter)
{
    return iter->catalog->ops->iter_key(iter->walk);
}

int emlfs_catalog_iter_value(const struct emlfs_catalog_iter *iter, unsigned flags,
                             struct emlfs_buf *ret_value, struct emlfs_err *err)
{
    struct catalog_row row = {.key = iter->catalog->ops->iter_key(iter->walk),
                              .value = iter->catalog->ops->iter_value(iter->walk)};
    return emlfs_catalog_unpack(iter->catalog, row, flags, ret_value, err);
}
