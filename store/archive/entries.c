/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entries rows inside a transaction. Filing mail in bulk appends to the same few rows thousands of
 * times, so the rows being worked on are kept decoded and written back at the commit.
 *
 * I-ENTRIES-1  a row's key is not above the smallest number in it, and not below the key of the row
 *              before it: the row for a number is the last one whose key is not above the number
 * I-ENTRIES-2  every open chunk has its row (perhaps an older form) in the transaction or below it,
 *              so that looking for keys alone is right at any time
 */
#include <stdlib.h>

#include "internal.h"

#define MODULE "archive"
#define SLOTS 32u

struct slot {
    uint32_t folder, first;
    bool used, dirty, tail; /* tail: no later row of this folder exists */
    uint64_t tick;
    struct chunk *chunk;
};

struct entries {
    struct emlfs_txn *txn;
    struct slot slots[SLOTS];
    uint64_t tick;
};

int entries_new(struct emlfs_txn *txn, struct entries **ret)
{
    struct entries *entries = calloc(1, sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    entries->txn = txn;
    *ret = entries;
    return 0;
}

void entries_free(struct entries *entries)
{
    if (!entries)
        return;
    for (unsigned i = 0; i < SLOTS; i++)
        chunk_free(entries->slots[i].chunk);
    free(entries);
}

static int slot_write(struct entries *entries, struct slot *slot, struct emlfs_err *err)
{
    struct row_key key = key_u32_u32(ROW_ENTRIES, slot->folder, slot->first);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    int rc;

    if (!slot->used || !slot->dirty)
        return 0;
    slot->dirty = false;
    if (slot->chunk->n == 0) {
        slot->used = false;
        rc = emlfs_txn_delete(entries->txn, row_key_view(&key));
    } else {
        rc = chunk_encode(slot->chunk, &value);
        if (rc == 0)
            rc = emlfs_txn_put(entries->txn, row_key_view(&key), EMLFS_CATALOG_SEALED,
                               emlfs_buf_view(&value));
    }
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "entries of folder %u", slot->folder) : 0;
}

int entries_flush(struct entries *entries, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < SLOTS && rc == 0; i++)
        rc = slot_write(entries, &entries->slots[i], err);
    return rc;
}

/* A free slot, or the one not used for longest, written back. */
static int slot_take(struct entries *entries, struct slot **ret, struct emlfs_err *err)
{
    struct slot *best = &entries->slots[0];
    int rc;

    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &entries->slots[i];
        if (!slot->used) {
            best = slot;
            break;
        }
        if (slot->tick < best->tick)
            best = slot;
    }
    rc = slot_write(entries, best, err);
    if (rc < 0)
        return rc;
    if (!best->chunk)
        best->chunk = chunk_new();
    if (!best->chunk)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    best->used = best->dirty = best->tail = false;
    best->chunk->n = 0;
    emlfs_buf_clear(&best->chunk->plain);
    *ret = best;
    return 0;
}

static struct slot *slot_open(struct entries *entries, uint32_t folder, uint32_t first)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &entries->slots[i];
        if (slot->used && slot->folder == folder && slot->first == first)
            return slot;
    }
    return NULL;
}

static struct slot *slot_tail(struct entries *entries, uint32_t folder, uint32_t number)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *slot = &entries->slots[i];
        if (slot->used && slot->tail && slot->folder == folder && slot->first <= number)
            return slot;
    }
    return NULL;
}

/* The last row of folder whose key is not above number: its first and its value. */
static int row_below(struct entries *entries, uint32_t folder, uint32_t number, uint32_t *ret_first,
                     struct emlfs_buf *value, struct emlfs_err *err)
{
    struct row_key prefix = key_u32(ROW_ENTRIES, folder);
    struct row_key key = key_u32_u32(ROW_ENTRIES, folder, number);
    struct emlfs_buf found EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_KEY_MAX_BYTES);
    const struct emlfs_row_below below = {.prefix = row_key_view(&prefix),
                                          .key = row_key_view(&key),
                                          .flags = EMLFS_CATALOG_SEALED,
                                          .ret_key = &found,
                                          .ret_value = value};
    int rc = emlfs_txn_get_le(entries->txn, &below, err);

    if (rc < 0)
        return rc;
    if (found.len != 9)
        return emlfs_err_set(err, EUCLEAN, MODULE, "entries row with a key of %zu bytes",
                             found.len);
    *ret_first = be32(found.data + 5);
    return 0;
}

static int slot_load(struct entries *entries, uint32_t folder, uint32_t first,
                     struct emlfs_span value, struct slot **ret, struct emlfs_err *err)
{
    int rc = slot_take(entries, ret, err);

    if (rc < 0)
        return rc;
    rc = chunk_decode(value, (*ret)->chunk);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "entries row %u of folder %u", first, folder);
    (*ret)->used = true;
    (*ret)->folder = folder;
    (*ret)->first = first;
    return 0;
}

/* A new row whose key is number; a placeholder makes the key known (I-ENTRIES-2). */
static int slot_create(struct entries *entries, uint32_t folder, uint32_t number, bool tail,
                       struct slot **ret, struct emlfs_err *err)
{
    struct row_key key = key_u32_u32(ROW_ENTRIES, folder, number);
    int rc = slot_take(entries, ret, err);

    if (rc == 0)
        rc = emlfs_txn_put(entries->txn, row_key_view(&key), EMLFS_CATALOG_SEALED,
                           (struct emlfs_span){0});
    if (rc < 0)
        return rc;
    (*ret)->used = (*ret)->dirty = true;
    (*ret)->tail = tail;
    (*ret)->folder = folder;
    (*ret)->first = number;
    return 0;
}

/* The slot whose row number belongs to, or a fresh one when there is none and make is set. */
static int slot_find(struct entries *entries, uint32_t folder, uint32_t number, bool make,
                     struct slot **ret, struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    uint32_t first, last;
    bool tail;
    int rc;

    *ret = slot_tail(entries, folder, number);
    if (*ret)
        return 0;
    rc = row_below(entries, folder, UINT32_MAX, &last, &value, err);
    if (rc == -ENOENT)
        return make ? slot_create(entries, folder, number, true, ret, err) : rc;
    if (rc == 0 && last > number)
        rc = row_below(entries, folder, number, &first, &value, err);
    else
        first = last;
    if (rc == -ENOENT)
        return make ? slot_create(entries, folder, number, false, ret, err) : rc;
    if (rc < 0)
        return rc;
    tail = first == last;
    *ret = slot_open(entries, folder, first);
    if (!*ret)
        rc = slot_load(entries, folder, first, emlfs_buf_view(&value), ret, err);
    if (rc == 0)
        (*ret)->tail = tail;
    return rc;
}

/* Upper half of a full chunk moves to a new row. */
static int slot_split(struct entries *entries, struct slot *slot, struct emlfs_err *err)
{
    struct chunk *from = slot->chunk;
    unsigned half = from->n / 2;
    struct slot *upper;
    int rc;

    slot->tick = ++entries->tick;
    rc = slot_create(entries, slot->folder, from->v[half].number, slot->tail, &upper, err);
    slot->tail = false;
    for (unsigned i = half; i < from->n && rc == 0; i++)
        rc = chunk_insert(upper->chunk, &from->v[i]);
    if (rc == 0)
        from->n = half;
    slot->dirty = true;
    return rc;
}

int entries_insert(struct entries *entries, uint32_t folder, const struct chunk_entry *entry,
                   struct emlfs_err *err)
{
    struct slot *slot;
    int rc = slot_find(entries, folder, entry->number, true, &slot, err);

    if (rc == 0 && slot->chunk->n == CHUNK_MAX) {
        bool append = slot->tail && entry->number > slot->chunk->v[CHUNK_MAX - 1].number;
        slot->tail = slot->tail && !append;
        rc = append ? slot_create(entries, folder, entry->number, true, &slot, err)
                    : slot_split(entries, slot, err);
        if (rc == 0 && !append)
            rc = slot_find(entries, folder, entry->number, true, &slot, err);
    }
    if (rc < 0)
        return rc;
    slot->tick = ++entries->tick;
    slot->dirty = true;
    rc = chunk_insert(slot->chunk, entry);
    return rc == -EEXIST ? 0 : rc;
}

int entries_remove(struct entries *entries, uint32_t folder, uint32_t number, struct emlfs_err *err)
{
    struct slot *slot;
    unsigned at;
    int rc = slot_find(entries, folder, number, false, &slot, err);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    if (chunk_find(slot->chunk, number, &at) < 0)
        return 0;
    slot->tick = ++entries->tick;
    slot->dirty = true;
    chunk_remove(slot->chunk, at);
    return slot->chunk->n == 0 ? slot_write(entries, slot, err) : 0;
}

int entries_mark(struct entries *entries, uint32_t folder, uint32_t number, bool multi,
                 struct emlfs_err *err)
{
    struct slot *slot;
    unsigned at;
    int rc = slot_find(entries, folder, number, false, &slot, err);

    if (rc < 0 || chunk_find(slot->chunk, number, &at) < 0)
        return rc == -ENOENT ? 0 : rc;
    slot->tick = ++entries->tick;
    slot->dirty = true;
    slot->chunk->v[at].flags &= ~CHUNK_MULTI;
    slot->chunk->v[at].flags |= multi ? CHUNK_MULTI : 0;
    return 0;
}

int entries_get(struct entries *entries, uint32_t folder, uint32_t number, struct chunk_entry *ret,
                struct emlfs_err *err)
{
    struct slot *slot;
    unsigned at;
    int rc = slot_find(entries, folder, number, false, &slot, err);

    if (rc < 0)
        return rc;
    if (chunk_find(slot->chunk, number, &at) < 0)
        return -ENOENT;
    slot->tick = ++entries->tick;
    *ret = slot->chunk->v[at];
    return 0;
}

int entries_count(struct entries *entries, uint32_t folder, int change, int64_t time_ns,
                  struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FOLDER_STAT, folder);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct folder_stat stat = {0};
    int rc = emlfs_txn_get(entries->txn, row_key_view(&key), 0, &value, err);

    if (rc == 0)
        rc = folder_stat_decode(emlfs_buf_view(&value), &stat);
    else if (rc == -ENOENT)
        rc = 0;
    if (rc < 0)
        return rc;
    if (change > 0 || stat.entries > 0)
        stat.entries += (uint64_t)(int64_t)change;
    if (time_ns > stat.mtime_ns)
        stat.mtime_ns = time_ns;
    emlfs_buf_clear(&value);
    rc = folder_stat_encode(&stat, &value);
    return rc < 0 ? rc : emlfs_txn_put(entries->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}
