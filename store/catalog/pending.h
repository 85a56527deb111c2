/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_CATALOG_PENDING_H
#define EMLFS_STORE_CATALOG_PENDING_H

#include "emlfs/base/buf.h"

/* The rows of an uncommitted transaction, in key order. One thread at a time. */

struct pending_row {
    struct pending_row *prev; /* the row before, NULL at the first */
    uint8_t *value;           /* owned; NULL when empty or deleted */
    size_t value_len;
    size_t key_len;
    unsigned flags; /* EMLFS_CATALOG_... of the put */
    bool deleted;
    uint8_t levels;
    struct pending_row *next[]; /* levels links, then the key's bytes */
};

#define PENDING_LEVELS_MAX 12u

struct pending {
    struct pending_row *head[PENDING_LEVELS_MAX]; /* first row of each level */
    size_t rows;
    uint64_t random; /* state of the level generator, never 0 */
};

void emlfs_pending_init(struct pending *pending);
/* Removes every row; those put as sealed are wiped. */
void emlfs_pending_clear(struct pending *pending);
/* Last row with row key <= key, or NULL. Deletions are rows, too. */
struct pending_row *emlfs_pending_le(const struct pending *pending, struct emlfs_span key);
struct pending_row *emlfs_pending_first(const struct pending *pending);
/* Put or replace; the bytes are copied. -ENOMEM leaves everything as it was. */
int emlfs_pending_put(struct pending *pending, struct emlfs_span key, unsigned flags,
                      struct emlfs_span value);
int emlfs_pending_delete(struct pending *pending, struct emlfs_span key);

static inline struct emlfs_span pending_key(const struct pending_row *row)
{
    return emlfs_span_of(&row->next[row->levels], row->key_len);
}

static inline struct emlfs_span pending_value(const struct pending_row *row)
{
    return emlfs_span_of(row->value, row->value_len);
}

#endif
