/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One store: its packs, its catalogue, its dictionaries. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "internal.h"

#define MODULE "archive"
#define CATALOG_CACHE_BYTES (4u << 20)
#define CATALOG_WRITE_BUFFER_BYTES (1u << 20)

static int catalog_open(struct store *store, const struct store_opening *opening,
                        struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    const struct emlfs_catalog_config config = {
        .dir = path,
        .key = store->rows.keys.rows,
        .create = opening->create,
        .look = opening->look,
        .paranoid = true,
        .cache_bytes = CATALOG_CACHE_BYTES,
        .write_buffer_bytes = CATALOG_WRITE_BUFFER_BYTES,
    };
    int rc = opening->parent ? path_join(path, sizeof(path), opening->parent, store->subdir)
                             : path_join(path, sizeof(path), store->dir.path, store->subdir);

    if (rc == 0)
        rc = opening->look ? sums_there(path) : sums_remove(path);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", store->dir.path);
    return emlfs_catalog_open(&config, &store->rows.catalog, err);
}

static int packs_open(struct store *store, struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    const struct emlfs_packs_config config = {
        .dir = path, .store_key = store->rows.keys.packs, .store_no = store->dir.no};
    int rc = path_join(path, sizeof(path), store->dir.path, "packs");

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", store->dir.path);
    return emlfs_packs_open(&config, &store->packs, err);
}

int store_open(const struct store_opening *opening, struct store **ret, struct emlfs_err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    struct stat st;
    int rc;

    if (!store)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    pthread_mutex_init(&store->dict_lock, NULL);
    pthread_mutex_init(&store->dict_load, NULL);
    store->dir = *opening->dir;
    if (stat(store->dir.path, &st) == 0) {
        store->dev = (uint64_t)st.st_dev;
        store->ino = (uint64_t)st.st_ino;
    }
    store->look = opening->look;
    store->rows.no = opening->dir->no;
    snprintf(store->subdir, sizeof(store->subdir), "%s",
             opening->subdir ? opening->subdir : "catalog");
    rc = keys_store(opening->keys, store->rows.no, &store->rows.keys, err);
    if (rc == 0)
        rc = packs_open(store, err);
    if (rc == 0)
        rc = catalog_open(store, opening, err);
    if (rc < 0) {
        store_close(store, NULL, NULL);
        return rc;
    }
    *ret = store;
    return 0;
}

int store_close(struct store *store, const struct archive_keys *keys, struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = 0;

    if (!store)
        return 0;
    if (store->rows.catalog) {
        emlfs_catalog_close(store->rows.catalog);
        if (keys && !store->look &&
            path_join(path, sizeof(path), store->dir.path, store->subdir) == 0)
            rc = sums_write(path, &keys->check, err);
    }
    if (store->packs)
        emlfs_packs_close(store->packs);
    for (unsigned i = 0; i < store->dicts_n; i++)
        emlfs_dict_free(store->dicts[i]);
    pthread_mutex_destroy(&store->dict_lock);
    pthread_mutex_destroy(&store->dict_load);
    emlfs_wipe(&store->rows.keys, sizeof(store->rows.keys));
    free(store);
    return rc;
}

int store_mark(struct store *store, struct mark_row *ret, struct emlfs_err *err)
{
    const uint8_t kind = ROW_MARK;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(256);
    int rc = emlfs_catalog_get(store->rows.catalog, emlfs_span_of(&kind, 1), EMLFS_CATALOG_SEALED,
                               &value, err);

    if (rc == -ENOENT) {
        *ret = (struct mark_row){.next_number = 1, .next_seq = 1};
        return 0;
    }
    if (rc == 0)
        rc = mark_decode(emlfs_buf_view(&value), ret);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "mark of store %u", store->rows.no) : 0;
}

int store_reached(struct store *store, bool read_only, struct mark_row *ret, struct emlfs_err *err)
{
    int rc = store_mark(store, ret, err);

    if (rc == 0 && read_only && store->last_end.pack_no)
        ret->end = store->last_end;
    return rc;
}

static struct emlfs_dict *dict_loaded(struct store *store, uint32_t id)
{
    struct emlfs_dict *found = NULL;

    pthread_mutex_lock(&store->dict_lock);
    for (unsigned i = 0; i < store->dicts_n && !found; i++) {
        if (emlfs_dict_id(store->dicts[i]) == id)
            found = store->dicts[i];
    }
    pthread_mutex_unlock(&store->dict_lock);
    return found;
}

int store_dict_add(struct store *store, struct emlfs_dict *dict)
{
    int rc = -E2BIG;

    pthread_mutex_lock(&store->dict_lock);
    for (unsigned i = 0; i < store->dicts_n; i++) {
        if (emlfs_dict_id(store->dicts[i]) == emlfs_dict_id(dict))
            rc = -EEXIST;
    }
    if (rc == -E2BIG && store->dicts_n < sizeof(store->dicts) / sizeof(store->dicts[0])) {
        store->dicts[store->dicts_n++] = dict;
        rc = 0;
    }
    pthread_mutex_unlock(&store->dict_lock);
    return rc;
}

static int dict_read(struct store *store, uint32_t id, struct emlfs_dict **ret,
                     struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_DICT, id);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    struct emlfs_record record = EMLFS_RECORD_INIT;
    struct blob_row row;
    int rc = emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, err);

    if (rc == 0)
        rc = blob_row_decode(emlfs_buf_view(&value), &row);
    if (rc == 0)
        rc = emlfs_packs_read(store->packs, row.loc, &record, err);
    if (rc == 0)
        rc = emlfs_record_plain(&record, NULL, record.plain_len, &value, err);
    if (rc == 0)
        rc = emlfs_dict_take(&value, 9, ret);
    emlfs_record_free(&record);
    if (rc == 0 && emlfs_dict_id(*ret) != id) {
        emlfs_dict_free(*ret);
        rc = -EUCLEAN;
    }
    return rc < 0
               ? emlfs_err_sys(err, -rc, MODULE, "dictionary %08x of store %u", id, store->rows.no)
               : 0;
}

/* Under dict_load: whoever comes second waits for it instead of reading it, too. */
static int dict_load(struct store *store, uint32_t id, struct emlfs_dict **ret,
                     struct emlfs_err *err)
{
    int rc;

    *ret = dict_loaded(store, id);
    if (*ret)
        return 0;
    rc = dict_read(store, id, ret, err);
    if (rc < 0)
        return rc;
    rc = store_dict_add(store, *ret);
    if (rc == 0)
        return 0;
    emlfs_dict_free(*ret);
    *ret = dict_loaded(store, id); /* the writer was faster */
    return *ret ? 0
                : emlfs_err_set(err, E2BIG, MODULE, "store %u has too many dictionaries",
                                store->rows.no);
}

int store_dict(struct store *store, uint32_t id, struct emlfs_dict **ret, struct emlfs_err *err)
{
    int rc = 0;

    *ret = id ? dict_loaded(store, id) : NULL;
    if (id && !*ret) {
        pthread_mutex_lock(&store->dict_load);
        rc = dict_load(store, id, ret, err);
        pthread_mutex_unlock(&store->dict_load);
    }
    return rc;
}
