/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading master rows, and folders. A master row is journaled into the current pack before it is
 * committed, so the packs alone restore users and folders. Writing one is rare and syncs by itself.
 */
#include <stdio.h>

#include "emlfs/name.h"
#include "internal.h"

#define MODULE "archive"

int emlfs_archive_master_get(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_buf *ret_value,
                             struct emlfs_err *err)
{
    struct row_key row = key_bytes((uint8_t)kind, key);

    return emlfs_catalog_get(archive->master, row_key_view(&row), EMLFS_CATALOG_SEALED, ret_value,
                             err);
}

int emlfs_archive_master_walk(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                              int (*each)(void *arg, struct emlfs_span key,
                                          struct emlfs_span value),
                              void *arg, struct emlfs_err *err)
{
    const uint8_t first = (uint8_t)kind;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_catalog_iter *iter = NULL;
    int rc = emlfs_catalog_iter_new(archive->master, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, emlfs_span_of(&first, 1));
    while (rc == 0 && emlfs_catalog_iter_valid(iter)) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        if (key.len == 0 || key.data[0] != first)
            break;
        emlfs_buf_clear(&value);
        rc = emlfs_catalog_iter_value(iter, EMLFS_CATALOG_SEALED, &value, err);
        if (rc == 0)
            rc = each(arg, emlfs_span_of(key.data + 1, key.len - 1), emlfs_buf_view(&value));
        emlfs_catalog_iter_next(iter);
    }
    if (rc == 0)
        rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc;
}

static int stat_add(struct emlfs_catalog *catalog, struct row_key key, struct emlfs_folder *ret)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct folder_stat stat;
    int rc = emlfs_catalog_get(catalog, row_key_view(&key), 0, &value, NULL);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = folder_stat_decode(emlfs_buf_view(&value), &stat);
    if (rc < 0)
        return rc;
    ret->entries += stat.entries;
    if (stat.mtime_ns > ret->mtime_ns)
        ret->mtime_ns = stat.mtime_ns;
    return 0;
}

int folder_row_any(struct emlfs_archive *archive, struct emlfs_folder_id id, struct folder_row *ret,
                   struct emlfs_err *err)
{
    struct row_key key = key_u32(EMLFS_MASTER_FOLDER, id.v);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    int rc =
        emlfs_catalog_get(archive->master, row_key_view(&key), EMLFS_CATALOG_SEALED, &value, err);

    if (rc == 0)
        rc = folder_row_decode(emlfs_buf_view(&value), ret);
    return rc == 0 || rc == -ENOENT ? rc : emlfs_err_sys(err, -rc, MODULE, "folder %u", id.v);
}

int folder_row_get(struct emlfs_archive *archive, struct emlfs_folder_id id, struct folder_row *ret,
                   struct emlfs_err *err)
{
    int rc = folder_row_any(archive, id, ret, err);

    return rc == 0 && ret->flags & FOLDER_REMOVED ? -ENOENT : rc;
}

int emlfs_archive_folder_named(struct emlfs_archive *archive, struct emlfs_folder_id id,
                               struct emlfs_folder *ret, struct emlfs_err *err)
{
    struct folder_row row;
    int rc = folder_row_get(archive, id, &row, err);

    if (rc < 0)
        return rc;
    *ret = (struct emlfs_folder){.id = id,
                                 .parent = {row.parent},
                                 .user = {row.user},
                                 .created_ns = row.created_ns,
                                 .mtime_ns = row.created_ns};
    memcpy(ret->name, row.name, sizeof(ret->name));
    return 0;
}

int emlfs_archive_folder_get(struct emlfs_archive *archive, struct emlfs_folder_id id,
                             struct emlfs_folder *ret, struct emlfs_err *err)
{
    int rc = emlfs_archive_folder_named(archive, id, ret, err);

    if (rc < 0)
        return rc;
    rc = stat_add(archive->master, key_u32(MASTER_FOLDER_TIME, id.v), ret);
    for (unsigned i = 0; i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        struct store *store = archive_shown(archive, (uint16_t)(i + 1));
        if (store)
            rc = stat_add(store->rows.catalog, key_u32(ROW_FOLDER_STAT, id.v), ret);
    }
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "folder %u", id.v) : 0;
}

int folder_find(struct emlfs_archive *archive, struct emlfs_folder_id parent, const char *name,
                struct emlfs_folder_id *ret, struct emlfs_err *err)
{
    struct emlfs_buf folded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16);
    struct emlfs_hash hash;
    struct row_key key;
    int rc = emlfs_name_fold(name, &folded);

    if (rc < 0)
        return -ENOENT;
    rc = emlfs_hmac(&archive->keys.names, emlfs_buf_view(&folded), &hash);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "name");
    key = key_u32_bytes(MASTER_NAME, parent.v, emlfs_span_of(hash.v, 16));
    rc = emlfs_catalog_get(archive->master, row_key_view(&key), 0, &value, err);
    if (rc == 0 && value.len != 4)
        rc = emlfs_err_set(err, EUCLEAN, MODULE, "name row of folder %u", parent.v);
    if (rc == 0)
        ret->v = be32(value.data);
    return rc;
}

int emlfs_archive_folder_lookup(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                                const char *name, struct emlfs_folder *ret, struct emlfs_err *err)
{
    struct emlfs_folder_id id;
    int rc = folder_find(archive, parent, name, &id, err);

    if (rc == 0)
        rc = emlfs_archive_folder_get(archive, id, ret, err);
    if (rc == 0 && strcmp(ret->name, name) != 0)
        rc = -ENOENT;
    return rc;
}

int emlfs_archive_folder_next(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                              struct emlfs_folder_id after, struct emlfs_folder *ret,
                              struct emlfs_err *err)
{
    struct row_key key = key_u32_u32(MASTER_CHILD, parent.v, after.v + 1);
    struct emlfs_catalog_iter *iter = NULL;
    struct emlfs_folder_id id = {0};
    struct emlfs_span found;
    int rc;

    if (after.v == UINT32_MAX)
        return -ENOENT;
    rc = emlfs_catalog_iter_new(archive->master, &iter, err);
    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, row_key_view(&key));
    if (emlfs_catalog_iter_valid(iter)) {
        found = emlfs_catalog_iter_key(iter);
        if (found.len == 9 && memcmp(found.data, key.v, 5) == 0)
            id.v = be32(found.data + 5);
    } else {
        rc = emlfs_catalog_iter_error(iter, err);
    }
    emlfs_catalog_iter_free(iter);
    if (rc == 0)
        rc = id.v ? emlfs_archive_folder_get(archive, id, ret, err) : -ENOENT;
    return rc;
}

/* What is done to a folder, and by whom. */
struct folder_act {
    const struct emlfs_actor *actor;
    enum emlfs_ledger_kind kind;
    struct emlfs_folder_id id;
};

static int folder_put(struct emlfs_archive *archive, const struct folder_act *act,
                      const struct folder_row *row, struct emlfs_err *err)
{
    const uint8_t key[4] = {(uint8_t)(act->id.v >> 24), (uint8_t)(act->id.v >> 16),
                            (uint8_t)(act->id.v >> 8), (uint8_t)act->id.v};
    const struct emlfs_ledger_record record = {.kind = (uint16_t)act->kind,
                                               .owner = {row->user},
                                               .folder = act->id,
                                               .folder_to = {row->parent},
                                               .name = emlfs_span_str(row->name)};
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    struct emlfs_master_row master = {.kind = EMLFS_MASTER_FOLDER, .key = emlfs_span_of(key, 4)};
    const struct emlfs_master_change change = {
        .actor = act->actor, .record = &record, .rows = &master, .n = 1};
    int rc = folder_row_encode(row, &value);

    master.value = emlfs_buf_view(&value);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "folder \"%s\"", row->name)
                  : master_write(archive, &change, err);
}

int folder_name_check(const char *name, struct emlfs_err *err)
{
    if (strlen(name) <= EMLFS_NAME_MAX_BYTES && emlfs_name_folder_ok(name))
        return 0;
    return emlfs_err_set(err, EINVAL, MODULE, "\"%s\" cannot be the name of a folder", name);
}

int emlfs_archive_folder_make(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                              const struct emlfs_folder_wanted *wanted,
                              struct emlfs_folder_id *ret_id, struct emlfs_err *err)
{
    struct folder_act act = {.actor = actor, .kind = EMLFS_LEDGER_FOLDER_MADE};
    struct folder_row row = {.user = wanted->user.v, .parent = wanted->parent.v}, above;
    int rc = folder_name_check(wanted->name, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = folder_find(archive, wanted->parent, wanted->name, ret_id, err);
    /* A child of a folder that was removed would be found nowhere. */
    if (rc == -ENOENT && wanted->parent.v &&
        folder_row_get(archive, wanted->parent, &above, err) == -ENOENT)
        rc = emlfs_err_set(err, ESTALE, MODULE, "folder %u was removed", wanted->parent.v);
    if (rc == -ENOENT && archive->next_folder == UINT32_MAX)
        rc = emlfs_err_set(err, E2BIG, MODULE, "no folder number is left");
    if (rc == -ENOENT) {
        row.created_ns = emlfs_archive_now_ns(archive);
        snprintf(row.name, sizeof(row.name), "%s", wanted->name);
        act.id.v = ret_id->v = archive->next_folder;
        rc = folder_put(archive, &act, &row, err);
        archive->next_folder += rc == 0;
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

int emlfs_archive_folder_rename(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                const char *name, struct emlfs_err *err)
{
    const struct folder_act act = {.kind = EMLFS_LEDGER_FOLDER_RENAMED, .id = id};
    struct folder_row row;
    struct emlfs_folder_id other;
    int rc = folder_name_check(name, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = folder_row_get(archive, id, &row, err);
    if (rc == 0) {
        rc = folder_find(archive, (struct emlfs_folder_id){row.parent}, name, &other, err);
        if (rc == 0 && other.v != id.v)
            rc = emlfs_err_set(err, EEXIST, MODULE, "there is a folder \"%s\" already", name);
        else if (rc == -ENOENT)
            rc = 0;
    }
    if (rc == 0) {
        snprintf(row.name, sizeof(row.name), "%s", name);
        rc = folder_put(archive, &act, &row, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

struct source_search {
    struct emlfs_span name;
    uint32_t found;
};

static int source_match(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct source_search *search = arg;

    if (key.len == 4 && emlfs_span_equal(value, search->name))
        search->found = be32(key.data);
    return search->found ? 1 : 0;
}

int source_number(struct emlfs_archive *archive, const char *name, uint32_t *ret,
                  struct emlfs_err *err)
{
    struct source_search search = {.name = emlfs_span_str(name)};
    uint8_t key[4];
    const struct emlfs_master_row row = {
        .kind = EMLFS_MASTER_SOURCE, .key = emlfs_span_of(key, 4), .value = search.name};
    const struct emlfs_master_change change = {.rows = &row, .n = 1};
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = emlfs_archive_master_walk(archive, EMLFS_MASTER_SOURCE, source_match, &search, err);
    rc = rc > 0 ? 0 : rc;
    if (rc == 0 && !search.found) {
        search.found = archive->next_source;
        for (unsigned i = 0; i < 4; i++)
            key[i] = (uint8_t)(search.found >> (24 - 8 * i));
        rc = master_write(archive, &change, err);
        archive->next_source += rc == 0;
    }
    pthread_mutex_unlock(&archive->write_lock);
    *ret = search.found;
    return rc;
}
