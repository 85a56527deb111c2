/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The change feed: L rows and what followers ask besides. Everything reads what is committed, from
 * a snapshot, without the writer's locks.
 *
 * I-FEED-1  changes of a store become visible in ascending order: whoever consumed up to a number
 *           never has to look below it again
 */
#include <limits.h>
#include <stdio.h>

#include "emlfs/base/cursor.h"
#include "emlfs/feed.h"
#include "internal.h"

#define MODULE "feed"

static int store_find(struct emlfs_archive *archive, uint16_t no, struct store **ret,
                      struct emlfs_err *err)
{
    *ret = archive_store(archive, no);
    return *ret ? 0 : emlfs_err_set(err, ENOENT, MODULE, "there is no store %u", no);
}

static uint64_t be64(const uint8_t *bytes)
{
    return (uint64_t)be32(bytes) << 32 | be32(bytes + 4);
}

static bool change_key(struct emlfs_span key, uint64_t *ret_seq)
{
    if (key.len != 9 || key.data[0] != ROW_CHANGE)
        return false;
    *ret_seq = be64(key.data + 1);
    return true;
}

static int change_decode(uint16_t store_no, struct emlfs_span value, struct emlfs_change *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    uint8_t kind = emlfs_cursor_u8(&cur);
    uint64_t a = emlfs_cursor_varint(&cur), b = emlfs_cursor_varint_max(&cur, UINT32_MAX);

    if (!emlfs_cursor_done(&cur) || kind < EMLFS_CHANGE_MESSAGES || kind > EMLFS_CHANGE_MOVED)
        return -EUCLEAN;
    ret->kind = (enum emlfs_change_kind)kind;
    if (kind == EMLFS_CHANGE_MESSAGES) {
        if (a == 0 || b == 0 || a > UINT32_MAX || a + b - 1 > UINT32_MAX)
            return -EUCLEAN;
        ret->first = emlfs_msg_id_make(store_no, (uint32_t)a);
        ret->n = (uint32_t)b;
        ret->folder.v = 0;
        return 0;
    }
    ret->first.v = a;
    ret->n = 1;
    ret->folder.v = (uint32_t)b;
    return emlfs_msg_id_store(ret->first) == store_no ? 0 : -EUCLEAN;
}

static int change_read(struct emlfs_catalog_iter *iter, uint16_t store_no, struct emlfs_change *ret,
                       struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(256);
    int rc = emlfs_catalog_iter_value(iter, 0, &value, err);

    if (rc < 0)
        return rc;
    rc = change_decode(store_no, emlfs_buf_view(&value), ret);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "change %llu of store %u",
                                  (unsigned long long)ret->seq, store_no)
                  : 0;
}

int emlfs_archive_changes(struct emlfs_archive *archive, uint16_t store_no, uint64_t after,
                          struct emlfs_change *ret, unsigned max, struct emlfs_err *err)
{
    struct row_key key = key_u64(ROW_CHANGE, after + 1);
    struct emlfs_catalog_iter *iter = NULL;
    struct store *store;
    unsigned n = 0;
    int rc = store_find(archive, store_no, &store, err);

    max = max < INT_MAX ? max : INT_MAX;
    if (rc < 0 || after == UINT64_MAX)
        return rc;
    rc = emlfs_catalog_iter_new(store->rows.catalog, &iter, err);
    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, row_key_view(&key));
    while (rc == 0 && n < max && emlfs_catalog_iter_valid(iter) &&
           change_key(emlfs_catalog_iter_key(iter), &ret[n].seq)) {
        rc = change_read(iter, store_no, &ret[n], err);
        n += rc == 0;
        emlfs_catalog_iter_next(iter);
    }
    if (rc == 0)
        rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc < 0 ? rc : (int)n;
}

int emlfs_archive_last_change(struct emlfs_archive *archive, uint16_t store_no, uint64_t *ret_seq,
                              struct emlfs_err *err)
{
    struct row_key key = key_u64(ROW_CHANGE, UINT64_MAX);
    struct emlfs_catalog_iter *iter = NULL;
    struct store *store;
    int rc = store_find(archive, store_no, &store, err);

    *ret_seq = 0;
    if (rc == 0)
        rc = emlfs_catalog_iter_new(store->rows.catalog, &iter, err);
    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek_le(iter, row_key_view(&key));
    if (!emlfs_catalog_iter_valid(iter))
        rc = emlfs_catalog_iter_error(iter, err);
    else if (!change_key(emlfs_catalog_iter_key(iter), ret_seq))
        *ret_seq = 0;
    emlfs_catalog_iter_free(iter);
    return rc;
}

int emlfs_archive_filings(struct emlfs_archive *archive, struct emlfs_msg_id id,
                          struct emlfs_filing *ret, unsigned max, unsigned *ret_n,
                          struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FILED, emlfs_msg_id_number(id));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct store *store = archive_shown(archive, emlfs_msg_id_store(id));
    struct filed_list list = {0};
    int rc = store ? emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, err)
                   : -ENOENT;

    *ret_n = 0;
    if (rc < 0)
        return rc;
    rc = filed_decode(emlfs_buf_view(&value), &list);
    if (rc == 0 && list.n > max)
        rc = -E2BIG;
    for (unsigned i = 0; i < list.n && rc == 0; i++)
        ret[i] = (struct emlfs_filing){.user = {list.v[i].user}, .folder = {list.v[i].folder}};
    *ret_n = rc == 0 ? list.n : 0;
    filed_list_free(&list);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "row of message %u", emlfs_msg_id_number(id))
                  : 0;
}

int emlfs_archive_folder_owner(struct emlfs_archive *archive, struct emlfs_folder_id id,
                               struct emlfs_user_id *ret, struct emlfs_err *err)
{
    struct folder_row row;
    int rc = folder_row_any(archive, id, &row, err);

    if (rc == 0)
        ret->v = row.user;
    return rc;
}

int emlfs_archive_store_next(struct emlfs_archive *archive, uint16_t after,
                             struct emlfs_store_place *ret, struct emlfs_err *err)
{
    struct store *store = NULL;
    const char *slash;
    struct mark_row mark;
    int rc;

    for (unsigned no = after + 1u; !store && no <= atomic_load(&archive->stores_n); no++)
        store = archive_store(archive, (uint16_t)no);
    if (!store)
        return -ENOENT;
    rc = store_mark(store, &mark, err);
    if (rc < 0)
        return rc;
    slash = strrchr(store->dir.path, '/');
    ret->no = store->rows.no;
    ret->messages = mark.next_number - 1;
    snprintf(ret->name, sizeof(ret->name), "%.31s", slash ? slash + 1 : store->dir.path);
    snprintf(ret->path, sizeof(ret->path), "%s", store->dir.path);
    return keys_index(&archive->keys, ret->no, &ret->index_key, err);
}

int emlfs_archive_watch(struct emlfs_archive *archive, void (*fn)(void *arg), void *arg)
{
    int rc = -ENOSPC;

    pthread_mutex_lock(&archive->watch_lock);
    for (unsigned i = 0; i < EMLFS_WATCHERS_MAX && rc < 0; i++) {
        if (archive->watchers[i].fn)
            continue;
        archive->watchers[i] = (struct watcher){.fn = fn, .arg = arg};
        rc = 0;
    }
    pthread_mutex_unlock(&archive->watch_lock);
    return rc;
}

/* A call under way holds the lock, so it has ended when the watcher is out of the list. */
void emlfs_archive_unwatch(struct emlfs_archive *archive, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&archive->watch_lock);
    for (unsigned i = 0; i < EMLFS_WATCHERS_MAX; i++) {
        if (archive->watchers[i].fn == fn && archive->watchers[i].arg == arg)
            archive->watchers[i] = (struct watcher){0};
    }
    pthread_mutex_unlock(&archive->watch_lock);
}

void archive_wake_watchers(struct emlfs_archive *archive)
{
    pthread_mutex_lock(&archive->watch_lock);
    for (unsigned i = 0; i < EMLFS_WATCHERS_MAX; i++) {
        if (archive->watchers[i].fn)
            archive->watchers[i].fn(archive->watchers[i].arg);
    }
    pthread_mutex_unlock(&archive->watch_lock);
}
