/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Listing a folder and finding single entries: reads of E and M rows, no locks. */
#include <stdio.h>

#include "emlfs/name.h"
#include "internal.h"

#define MODULE "archive"

static int filed_get(struct store *store, uint32_t number, struct filed_list *ret,
                     struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FILED, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    int rc = emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, err);

    if (rc == 0)
        rc = filed_decode(emlfs_buf_view(&value), ret);
    return rc == -EUCLEAN ? emlfs_err_set(err, EUCLEAN, MODULE, "row of message %u", number) : rc;
}

/* Links of a message in one user archive; only entries marked CHUNK_MULTI need the look-up. */
static int links(struct store *store, const struct chunk_entry *entry, struct emlfs_user_id user,
                 uint32_t *ret, struct emlfs_err *err)
{
    struct filed_list list = {0};
    int rc;

    *ret = 1;
    if (!(entry->flags & CHUNK_MULTI))
        return 0;
    rc = filed_get(store, entry->number, &list, err);
    if (rc == 0)
        *ret = filed_count_user(&list, user.v);
    filed_list_free(&list);
    return rc == -ENOENT ? 0 : rc;
}

int entry_show(const struct place *place, const struct chunk_entry *from, struct emlfs_entry *ret,
               struct emlfs_err *err)
{
    char stem[EMLFS_NAME_MAX_BYTES + 1];
    int rc;

    ret->id = emlfs_msg_id_make(place->store->rows.no, from->number);
    ret->folder = place->folder;
    ret->user = place->user;
    ret->flags = from->flags & ~CHUNK_MULTI;
    ret->size_bytes = from->size_bytes;
    if (__builtin_mul_overflow(from->mtime_sec, INT64_C(1000000000), &ret->mtime_ns))
        ret->mtime_ns = 0;
    ret->ctime_ns = from->archived_ns;
    snprintf(stem, sizeof(stem), "%.*s", (int)from->stem.len,
             from->stem.len ? (const char *)from->stem.data : "");
    rc = emlfs_name_file(stem, ret->id, ret->name, sizeof(ret->name));
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "name of message %u", from->number) : 0;
}

static int entry_fill(const struct place *place, const struct chunk_entry *from,
                      struct emlfs_entry *ret, struct emlfs_err *err)
{
    int rc = entry_show(place, from, ret, err);

    return rc < 0 ? rc : links(place->store, from, place->user, &ret->nlink, err);
}

static int folder_user(struct emlfs_archive *archive, struct emlfs_folder_id folder,
                       struct emlfs_user_id *ret, struct emlfs_err *err)
{
    struct folder_row row;
    int rc = folder_row_get(archive, folder, &row, err);

    if (rc == 0)
        ret->v = row.user;
    return rc;
}

bool entries_key_is_of(struct emlfs_span key, uint32_t folder)
{
    struct row_key prefix = key_u32(ROW_ENTRIES, folder);

    return key.len == 9 && memcmp(key.data, prefix.v, 5) == 0;
}

int entries_row_read(struct emlfs_catalog_iter *iter, struct chunk *chunk, struct emlfs_buf *value,
                     struct emlfs_err *err)
{
    int rc;

    emlfs_buf_clear(value);
    rc = emlfs_catalog_iter_value(iter, EMLFS_CATALOG_SEALED, value, err);
    if (rc < 0)
        return rc;
    rc = chunk_decode(emlfs_buf_view(value), chunk);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "row of entries") : 0;
}

struct scan {
    struct place place;
    uint32_t after;
    struct emlfs_entry *ret;
    unsigned max, n;
};

static int scan_chunk(struct scan *scan, const struct chunk *chunk, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < chunk->n && scan->n < scan->max && rc == 0; i++) {
        if (chunk->v[i].number <= scan->after)
            continue;
        rc = entry_fill(&scan->place, &chunk->v[i], &scan->ret[scan->n], err);
        scan->n += rc == 0;
    }
    return rc;
}

static int scan_store(struct scan *scan, struct chunk *chunk, struct emlfs_err *err)
{
    uint32_t folder = scan->place.folder.v;
    struct row_key first = key_u32(ROW_ENTRIES, folder);
    struct row_key key = key_u32_u32(ROW_ENTRIES, folder, scan->after + 1);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_catalog_iter *iter = NULL;
    int rc = emlfs_catalog_iter_new(scan->place.store->rows.catalog, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek_le(iter, row_key_view(&key));
    if (!emlfs_catalog_iter_valid(iter) || !entries_key_is_of(emlfs_catalog_iter_key(iter), folder))
        emlfs_catalog_iter_seek(iter, row_key_view(&first));
    while (rc == 0 && scan->n < scan->max && emlfs_catalog_iter_valid(iter) &&
           entries_key_is_of(emlfs_catalog_iter_key(iter), folder)) {
        rc = entries_row_read(iter, chunk, &value, err);
        if (rc == 0)
            rc = scan_chunk(scan, chunk, err);
        emlfs_catalog_iter_next(iter);
    }
    if (rc == 0)
        rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc;
}

int emlfs_archive_entries(struct emlfs_archive *archive, struct emlfs_entry_page *page,
                          struct emlfs_err *err)
{
    struct scan scan = {.place = {.folder = page->folder}, .ret = page->v, .max = page->max};
    uint16_t first = emlfs_msg_id_store(page->after);
    struct chunk *chunk = chunk_new();
    int rc = chunk ? folder_user(archive, page->folder, &scan.place.user, err) : -ENOMEM;

    for (unsigned no = first ? first : 1;
         rc == 0 && scan.n < page->max && no <= atomic_load(&archive->stores_n); no++) {
        scan.place.store = archive_shown(archive, (uint16_t)no);
        scan.after = no == first ? emlfs_msg_id_number(page->after) : 0;
        if (scan.place.store && scan.after != UINT32_MAX)
            rc = scan_store(&scan, chunk, err);
    }
    chunk_free(chunk);
    page->n = scan.n;
    return rc;
}

/* The entry of number in folder, read alone. */
static int entry_one(const struct place *place, uint32_t number, struct emlfs_entry *ret,
                     struct emlfs_err *err)
{
    struct row_key key = key_u32_u32(ROW_ENTRIES, place->folder.v, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_catalog_iter *iter = NULL;
    struct chunk *chunk = chunk_new();
    unsigned at;
    int rc = chunk ? emlfs_catalog_iter_new(place->store->rows.catalog, &iter, err) : -ENOMEM;

    if (rc == 0) {
        emlfs_catalog_iter_seek_le(iter, row_key_view(&key));
        if (!emlfs_catalog_iter_valid(iter))
            rc = emlfs_catalog_iter_error(iter, err) < 0 ? -EIO : -ENOENT;
        else if (!entries_key_is_of(emlfs_catalog_iter_key(iter), place->folder.v))
            rc = -ENOENT;
    }
    if (rc == 0)
        rc = entries_row_read(iter, chunk, &value, err);
    if (rc == 0 && chunk_find(chunk, number, &at) < 0)
        rc = -ENOENT;
    if (rc == 0)
        rc = entry_fill(place, &chunk->v[at], ret, err);
    if (iter)
        emlfs_catalog_iter_free(iter);
    chunk_free(chunk);
    return rc;
}

int emlfs_archive_entry_lookup(struct emlfs_archive *archive, struct emlfs_folder_id folder,
                               const char *name, struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct place place = {.folder = folder};
    struct emlfs_msg_id id;
    int rc;

    if (!emlfs_name_id(name, &id))
        return -ENOENT;
    place.store = archive_shown(archive, emlfs_msg_id_store(id));
    rc = place.store ? folder_user(archive, folder, &place.user, err) : -ENOENT;
    if (rc == 0)
        rc = entry_one(&place, emlfs_msg_id_number(id), ret, err);
    if (rc == 0 && strcmp(ret->name, name) != 0)
        rc = -ENOENT;
    return rc;
}

int emlfs_archive_entry_of(struct emlfs_archive *archive, struct emlfs_user_id user,
                           struct emlfs_msg_id id, struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct place place = {.user = user, .store = archive_shown(archive, emlfs_msg_id_store(id))};
    struct filed_list list = {0};
    int rc = place.store ? filed_get(place.store, emlfs_msg_id_number(id), &list, err) : -ENOENT;

    for (unsigned i = 0; i < list.n; i++) {
        if (list.v[i].user == user.v && (!place.folder.v || list.v[i].folder < place.folder.v))
            place.folder.v = list.v[i].folder;
    }
    filed_list_free(&list);
    if (rc == 0 && !place.folder.v)
        rc = -ENOENT;
    return rc < 0 ? rc : entry_one(&place, emlfs_msg_id_number(id), ret, err);
}
