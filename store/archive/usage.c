/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How much mail each user archive holds: every message once, at its size.
 *
 * Not kept on disk. Counted from the rows when it is first asked for, and from then on with every
 * entry that the writer files or takes away. All under write_lock.
 *
 * I-USAGE  once known, bytes[u] is the sum over the messages that the writer's rows file for u, in
 *          stores that are not detached
 */
#include <stdlib.h>

#include "internal.h"

#define MODULE "archive"
#define USERS_MAX (UINT16_MAX + 1u)

struct usage {
    uint64_t bytes[USERS_MAX];
};

struct count {
    struct emlfs_archive *archive;
    struct store *store;
    struct usage *usage;
    uint32_t folder; /* user is of this one */
    uint16_t user;
};

void usage_change(struct usage *usage, uint16_t user, bool more, uint64_t size_bytes)
{
    if (!usage)
        return;
    if (more)
        usage->bytes[user] += size_bytes;
    else
        usage->bytes[user] -= size_bytes < usage->bytes[user] ? size_bytes : usage->bytes[user];
}

/* A message that the user has in several folders counts in the one with the lowest id. */
static int counts_here(const struct count *count, uint32_t number, bool *ret)
{
    struct row_key key = key_u32(ROW_FILED, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct filed_list list = {0};
    int rc = emlfs_catalog_get(count->store->rows.catalog, row_key_view(&key), 0, &value, NULL);

    if (rc == 0)
        rc = filed_decode(emlfs_buf_view(&value), &list);
    *ret = rc == 0;
    for (unsigned i = 0; i < list.n; i++) {
        if (list.v[i].user == count->user && list.v[i].folder < count->folder)
            *ret = false;
    }
    filed_list_free(&list);
    return rc == -ENOENT ? 0 : rc;
}

static int chunk_count(struct count *count, const struct chunk *chunk)
{
    int rc = 0;

    for (unsigned i = 0; i < chunk->n && rc == 0; i++) {
        bool here = true;
        if (chunk->v[i].flags & CHUNK_MULTI)
            rc = counts_here(count, chunk->v[i].number, &here);
        if (here)
            count->usage->bytes[count->user] += chunk->v[i].size_bytes;
    }
    return rc;
}

static int folder_enter(struct count *count, uint32_t folder, struct emlfs_err *err)
{
    struct folder_row row;
    int rc;

    if (folder == count->folder)
        return 0;
    rc = folder_row_any(count->archive, (struct emlfs_folder_id){folder}, &row, err);
    count->folder = folder;
    count->user = rc == 0 ? row.user : 0;
    return rc == -ENOENT ? 0 : rc;
}

static int store_count(struct count *count, struct chunk *chunk, struct emlfs_err *err)
{
    const uint8_t kind = ROW_ENTRIES;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_catalog_iter *iter = NULL;
    int rc = emlfs_catalog_iter_new(count->store->rows.catalog, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, emlfs_span_of(&kind, 1));
    for (; rc == 0 && emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter)) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        if (key.len != 9 || key.data[0] != kind)
            break;
        rc = folder_enter(count, be32(key.data + 1), err);
        if (rc == 0)
            rc = entries_row_read(iter, chunk, &value, err);
        if (rc == 0)
            rc = chunk_count(count, chunk);
    }
    if (rc == 0)
        rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc;
}

static int usage_count(struct emlfs_archive *archive, struct usage *usage, struct emlfs_err *err)
{
    struct count count = {.archive = archive, .usage = usage};
    struct chunk *chunk = chunk_new();
    int rc = 0;

    if (!chunk)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    for (unsigned i = 0; i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        bool detached = atomic_load(&archive->states[i]) == EMLFS_STORE_DETACHED;
        count.store = detached ? NULL : archive_store(archive, (uint16_t)(i + 1));
        count.folder = 0;
        rc = count.store ? store_count(&count, chunk, err) : 0;
    }
    chunk_free(chunk);
    return rc;
}

/* Rows that the writer holds back are not seen by those who read: they are committed first. */
static int usage_load(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct usage *usage = calloc(1, sizeof(*usage));
    int rc = usage ? 0 : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (rc == 0 && archive->writer)
        rc = writer_commit(archive, err);
    if (rc == 0)
        rc = usage_count(archive, usage, err);
    if (rc < 0) {
        free(usage);
        return rc;
    }
    archive->usage = usage;
    if (archive->writer)
        apply_set_usage(writer_apply(archive), usage);
    return 0;
}

void usage_forget(struct emlfs_archive *archive)
{
    if (archive->writer)
        apply_set_usage(writer_apply(archive), NULL);
    free(archive->usage);
    archive->usage = NULL;
}

int usage_get(struct emlfs_archive *archive, struct emlfs_user_id user, uint64_t *ret_bytes,
              struct emlfs_err *err)
{
    int rc = archive->usage ? 0 : usage_load(archive, err);

    *ret_bytes = rc == 0 ? archive->usage->bytes[user.v] : 0;
    return rc;
}

int emlfs_archive_usage(struct emlfs_archive *archive, struct emlfs_user_id user,
                        uint64_t *ret_bytes, struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = usage_get(archive, user, ret_bytes, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}
