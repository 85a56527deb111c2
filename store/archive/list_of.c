/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Entries of many messages at once, as a list of search results needs them: M rows in the order of
 * numbers, then E rows in the order of folders, each decoded once, all from one snapshot.
 */
#include <stdlib.h>

#include "emlfs/feed.h"
#include "internal.h"

#define MODULE "archive"
#define BATCH_MAX 1024u
#define STEPS_MAX 8u /* rows stepped over before a new search is cheaper */

struct wanted {
    struct emlfs_msg_id id;
    uint32_t folder; /* 0: none of this user */
    uint32_t nlink;
    unsigned at; /* in the caller's array */
};

struct batch {
    struct place place;
    struct emlfs_catalog_iter *iter;
    struct chunk *chunk;
    uint32_t chunk_folder; /* 0: nothing decoded */
    struct emlfs_buf value;
    struct emlfs_entry *ret;
    struct emlfs_err *err;
};

static int id_compare(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    return x->id.v < y->id.v ? -1 : x->id.v > y->id.v;
}

static int folder_compare(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;

    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    return id_compare(a, b);
}

/* The number of the M row the iterator stands on; 0: another row, or none. */
static uint32_t filed_number(const struct emlfs_catalog_iter *iter)
{
    struct emlfs_span key;

    if (!emlfs_catalog_iter_valid(iter))
        return 0;
    key = emlfs_catalog_iter_key(iter);
    return key.len == 5 && key.data[0] == ROW_FILED ? be32(key.data + 1) : 0;
}

/* Neighbours are reached by steps, others by a search. True: the iterator stands on the row. */
static bool filed_seek(struct emlfs_catalog_iter *iter, uint32_t number)
{
    struct row_key key = key_u32(ROW_FILED, number);
    uint32_t now = filed_number(iter);

    if (now && now < number && number - now <= STEPS_MAX) {
        while (now && now < number) {
            emlfs_catalog_iter_next(iter);
            now = filed_number(iter);
        }
    } else if (now != number) {
        emlfs_catalog_iter_seek(iter, row_key_view(&key));
        now = filed_number(iter);
    }
    return now == number;
}

static int wanted_place(struct batch *batch, struct wanted *wanted)
{
    uint32_t number = emlfs_msg_id_number(wanted->id);
    uint16_t user = batch->place.user.v;
    struct filed_list list = {0};
    int rc;

    if (!filed_seek(batch->iter, number))
        return emlfs_catalog_iter_error(batch->iter, batch->err);
    rc = emlfs_catalog_iter_value(batch->iter, 0, &batch->value, batch->err);
    if (rc == 0) {
        rc = filed_decode(emlfs_buf_view(&batch->value), &list);
        if (rc < 0)
            return emlfs_err_sys(batch->err, -rc, MODULE, "row of message %u", number);
    }
    for (unsigned i = 0; i < list.n; i++) {
        if (list.v[i].user == user && (!wanted->folder || list.v[i].folder < wanted->folder))
            wanted->folder = list.v[i].folder;
    }
    wanted->nlink = filed_count_user(&list, user);
    filed_list_free(&list);
    return rc;
}

static bool chunk_covers(const struct batch *batch, const struct wanted *wanted)
{
    const struct chunk *chunk = batch->chunk;
    uint32_t number = emlfs_msg_id_number(wanted->id);

    return batch->chunk_folder == wanted->folder && chunk->v[0].number <= number &&
           number <= chunk->v[chunk->n - 1].number;
}

static int chunk_fetch(struct batch *batch, const struct wanted *wanted)
{
    struct row_key key = key_u32_u32(ROW_ENTRIES, wanted->folder, emlfs_msg_id_number(wanted->id));
    int rc;

    batch->chunk_folder = 0;
    emlfs_catalog_iter_seek_le(batch->iter, row_key_view(&key));
    if (!emlfs_catalog_iter_valid(batch->iter) ||
        !entries_key_is_of(emlfs_catalog_iter_key(batch->iter), wanted->folder)) {
        rc = emlfs_catalog_iter_error(batch->iter, batch->err);
        return rc < 0 ? rc : -ENOENT;
    }
    rc = entries_row_read(batch->iter, batch->chunk, &batch->value, batch->err);
    if (rc == 0)
        batch->chunk_folder = wanted->folder;
    return rc;
}

static int wanted_show(struct batch *batch, const struct wanted *wanted)
{
    struct emlfs_entry *ret = &batch->ret[wanted->at];
    unsigned at;
    int rc = chunk_covers(batch, wanted) ? 0 : chunk_fetch(batch, wanted);

    if (rc == 0 && chunk_find(batch->chunk, emlfs_msg_id_number(wanted->id), &at) < 0)
        rc = -ENOENT;
    if (rc == -ENOENT)
        return emlfs_err_set(batch->err, EUCLEAN, MODULE, "folder %u has no entry of message %u",
                             wanted->folder, emlfs_msg_id_number(wanted->id));
    batch->place.folder.v = wanted->folder;
    if (rc == 0)
        rc = entry_show(&batch->place, &batch->chunk->v[at], ret, batch->err);
    ret->nlink = wanted->nlink;
    return rc;
}

/* wanted[0..n) are of one store. */
static int store_batch(struct batch *batch, struct wanted *wanted, unsigned n)
{
    int rc;

    batch->chunk_folder = 0;
    rc = emlfs_catalog_iter_new(batch->place.store->rows.catalog, &batch->iter, batch->err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = wanted_place(batch, &wanted[i]);
    qsort(wanted, n, sizeof(*wanted), folder_compare);
    for (unsigned i = 0; i < n && rc == 0; i++) {
        if (wanted[i].folder)
            rc = wanted_show(batch, &wanted[i]);
    }
    emlfs_catalog_iter_free(batch->iter);
    return rc;
}

static int stores_batch(struct emlfs_archive *archive, struct batch *batch, struct wanted *wanted,
                        unsigned n)
{
    unsigned first = 0, end;
    int rc = 0;

    for (; first < n && rc == 0; first = end) {
        uint16_t no = emlfs_msg_id_store(wanted[first].id);
        for (end = first + 1; end < n && emlfs_msg_id_store(wanted[end].id) == no;)
            end++;
        batch->place.store = archive_shown(archive, no);
        if (batch->place.store)
            rc = store_batch(batch, wanted + first, end - first);
    }
    return rc;
}

int emlfs_archive_entries_of(struct emlfs_archive *archive, struct emlfs_user_id user,
                             const struct emlfs_msg_id *ids, unsigned n, struct emlfs_entry *ret,
                             struct emlfs_err *err)
{
    struct batch batch = {.place = {.user = user},
                          .value = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES),
                          .ret = ret,
                          .err = err};
    struct wanted *wanted;
    int rc = -ENOMEM;

    if (n > BATCH_MAX)
        return emlfs_err_set(err, EINVAL, MODULE, "more than %u messages at once", BATCH_MAX);
    wanted = calloc(n + 1, sizeof(*wanted));
    batch.chunk = chunk_new();
    for (unsigned i = 0; i < n && wanted; i++) {
        wanted[i] = (struct wanted){.id = ids[i], .at = i};
        ret[i].id.v = 0;
    }
    if (wanted && batch.chunk) {
        qsort(wanted, n, sizeof(*wanted), id_compare);
        rc = stores_batch(archive, &batch, wanted, n);
    } else {
        emlfs_err_sys(err, ENOMEM, MODULE, "list of messages");
    }
    chunk_free(batch.chunk);
    emlfs_buf_free(&batch.value);
    free(wanted);
    return rc;
}
