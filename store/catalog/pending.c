/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A skip list: every row is in level 0, each higher level holds a quarter of the one below.
 *
 *   P1  Level 0 has every key once, ascending; level n+1 is a subsequence of level n.
 *   P2  row->prev is the row whose next[0] is row.
 */
#include "pending.h"

#include <errno.h>
#include <stdlib.h>

#include "backend.h"

void emlfs_pending_init(struct pending *pending)
{
    *pending = (struct pending){.random = 0x9e3779b97f4a7c15u};
}

static void value_free(struct pending_row *row)
{
    if (row->value && row->flags & EMLFS_CATALOG_SEALED)
        emlfs_wipe(row->value, row->value_len);
    free(row->value);
    row->value = NULL;
    row->value_len = 0;
}

void emlfs_pending_clear(struct pending *pending)
{
    struct pending_row *row = pending->head[0];

    while (row) {
        struct pending_row *next = row->next[0];
        value_free(row);
        free(row);
        row = next;
    }
    emlfs_pending_init(pending);
}

struct pending_row *emlfs_pending_first(const struct pending *pending)
{
    return pending->head[0];
}

/* The last row before key on each level, NULL where there is none. Returns that of level 0. */
static struct pending_row *rows_before(const struct pending *pending, struct emlfs_span key,
                                       struct pending_row *ret_before[PENDING_LEVELS_MAX])
{
    struct pending_row *at = NULL;

    for (unsigned level = PENDING_LEVELS_MAX; level-- > 0;) {
        struct pending_row *next = at ? at->next[level] : pending->head[level];
        while (next && catalog_compare(pending_key(next), key) < 0) {
            at = next;
            next = at->next[level];
        }
        ret_before[level] = at;
    }
    return at;
}

static struct pending_row *row_after(const struct pending *pending, struct pending_row *row)
{
    return row ? row->next[0] : pending->head[0];
}

struct pending_row *emlfs_pending_le(const struct pending *pending, struct emlfs_span key)
{
    struct pending_row *before[PENDING_LEVELS_MAX];

    struct pending_row *last = rows_before(pending, key, before);
    struct pending_row *next = row_after(pending, last);
    return next && emlfs_span_equal(pending_key(next), key) ? next : last;
}

static uint8_t random_levels(struct pending *pending)
{
    pending->random ^= pending->random << 13;
    pending->random ^= pending->random >> 7;
    pending->random ^= pending->random << 17;
    uint64_t bits = pending->random >> 16;
    uint8_t levels = 1;
    for (; levels < PENDING_LEVELS_MAX && (bits & 3) == 0; bits >>= 2)
        levels++;
    return levels;
}

static struct pending_row *row_insert(struct pending *pending, struct emlfs_span key,
                                      struct pending_row *before[PENDING_LEVELS_MAX])
{
    uint8_t levels = random_levels(pending);
    struct pending_row *row = calloc(1, sizeof(*row) + levels * sizeof(row->next[0]) + key.len);

    if (!row)
        return NULL;
    row->levels = levels;
    row->key_len = key.len;
    memcpy(&row->next[levels], key.data, key.len);
    for (unsigned level = 0; level < levels; level++) {
        struct pending_row **link =
            before[level] ? &before[level]->next[level] : &pending->head[level];
        row->next[level] = *link;
        *link = row;
    }
    row->prev = before[0];
    if (row->next[0])
        row->next[0]->prev = row;
    pending->rows++;
    return row;
}

static struct pending_row *row_find_or_insert(struct pending *pending, struct emlfs_span key)
{
    struct pending_row *before[PENDING_LEVELS_MAX];
    struct pending_row *next = row_after(pending, rows_before(pending, key, before));

    if (next && emlfs_span_equal(pending_key(next), key))
        return next;
    return row_insert(pending, key, before);
}

int emlfs_pending_put(struct pending *pending, struct emlfs_span key, unsigned flags,
                      struct emlfs_span value)
{
    uint8_t *copy = NULL;

    if (value.len > 0) {
        copy = malloc(value.len);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, value.data, value.len);
    }
    struct pending_row *row = row_find_or_insert(pending, key);
    if (!row) {
        free(copy);
        return -ENOMEM;
    }
    value_free(row);
    row->value = copy;
    row->value_len = value.len;
    row->flags = flags;
    row->deleted = false;
    return 0;
}

int emlfs_pending_delete(struct pending *pending, struct emlfs_span key)
{
    struct pending_row *row = row_find_or_insert(pending, key);

    if (!row)
        return -ENOMEM;
    value_free(row);
    row->flags = 0;
    row->deleted = true;
    return 0;
}
