/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_CATALOG_CATALOG_H
#define EMLFS_STORE_CATALOG_CATALOG_H

#include <stdatomic.h>

#include "backend.h"
#include "seal.h"

/* What catalog.c and txn.c share. */
struct emlfs_catalog {
    const struct catalog_backend_ops *ops;
    void *backend;
    struct catalog_sealer *sealer;
    atomic_bool poisoned;         /* a write failed: what the files hold is unknown */
    atomic_uint_fast64_t commits; /* number of writes applied: tells old iterators from current */
};

/* 0, -EINVAL (empty), -E2BIG. */
int emlfs_catalog_check_key(struct emlfs_span key);
/* Replaces the content of ret_value by the row's value, opened when flags say that it is sealed. */
int emlfs_catalog_unpack(struct emlfs_catalog *catalog, struct catalog_row row, unsigned flags,
                         struct emlfs_buf *ret_value, struct emlfs_err *err);

#endif
