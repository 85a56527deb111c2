/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rebuilding the catalogues from packs alone.
 *
 * I-REBUILD-1  the old catalogues stand until the new ones are complete and synced
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "heal.h"
#include "rebuild.h"

#define MODULE "recover"

static int sub_path(char *out, const char *dir, const char *name, const char *suffix)
{
    int n = snprintf(out, EMLFS_PATH_MAX_BYTES, "%s/%s%s%s", dir, name, suffix ? "." : "",
                     suffix ? suffix : "");

    return n < 0 || n >= (int)EMLFS_PATH_MAX_BYTES ? -ENAMETOOLONG : 0;
}

static int catalog_remove(const char *path)
{
    int rc = access(path, F_OK) == 0 ? emlfs_catalog_destroy(path, NULL) : 0;

    sums_remove(path);
    return rc;
}

static int master_make(struct rebuilt *rebuilt, struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    const struct emlfs_catalog_config config = {.dir = path,
                                                .key = rebuilt->keys->rows,
                                                .create = true,
                                                .cache_bytes = 1u << 20,
                                                .write_buffer_bytes = 1u << 20};
    int rc = sub_path(path, rebuilt->path, "master", rebuilt->suffix);

    if (rc == 0)
        rc = catalog_remove(path);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", path);
    return emlfs_catalog_open(&config, &rebuilt->state.master, err);
}

static int store_make(struct rebuilt *rebuilt, const struct store_dir *dir, struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES], subdir[32];
    const struct store_opening opening = {
        .keys = rebuilt->keys, .dir = dir, .subdir = subdir, .create = true};
    unsigned at = dir->no - 1u;
    int rc = sub_path(path, dir->path, "catalog", rebuilt->suffix);

    snprintf(subdir, sizeof(subdir), "catalog.%s", rebuilt->suffix);
    if (rc == 0)
        rc = catalog_remove(path);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s", path);
    rc = store_open(&opening, &rebuilt->stores[at], err);
    if (rc == 0)
        rebuilt->rows[at] = &rebuilt->stores[at]->rows;
    return rc;
}

static int stores_make(struct rebuilt *rebuilt, struct emlfs_err *err)
{
    struct store_dir *dirs;
    unsigned n;
    int rc = layout_stores(rebuilt->path, &dirs, &n, err);

    if (rc < 0)
        return rc;
    rebuilt->stores_n = n ? dirs[n - 1].no : 0;
    rebuilt->stores = calloc(rebuilt->stores_n + 1u, sizeof(*rebuilt->stores));
    rebuilt->rows = calloc(rebuilt->stores_n + 1u, sizeof(*rebuilt->rows));
    if (!rebuilt->stores || !rebuilt->rows)
        rc = emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    for (unsigned i = 0; i < n && rc == 0; i++)
        rc = store_make(rebuilt, &dirs[i], err);
    free(dirs);
    rebuilt->state.keys = rebuilt->keys;
    rebuilt->state.stores = rebuilt->rows;
    rebuilt->state.stores_n = rebuilt->stores_n;
    return rc;
}

static int rebuilt_fill(struct rebuilt *rebuilt, const struct rebuilt_options *options,
                        struct emlfs_err *err)
{
    struct replay_options replay = *options->replay;
    int rc = 0;

    for (unsigned i = 0; i < rebuilt->stores_n && rc == 0; i++) {
        if (!rebuilt->stores[i])
            continue;
        replay.until = options->until ? &options->until[i] : NULL;
        rc = replay_store(&rebuilt->state, rebuilt->stores[i], &replay, err);
    }
    return rc;
}

int rebuilt_make(const struct rebuilt_options *options, struct rebuilt **ret, struct emlfs_err *err)
{
    struct rebuilt *rebuilt = calloc(1, sizeof(*rebuilt));
    int rc;

    if (!rebuilt)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    snprintf(rebuilt->path, sizeof(rebuilt->path), "%s", options->path);
    snprintf(rebuilt->suffix, sizeof(rebuilt->suffix), "%s", options->suffix);
    rebuilt->keys = options->keys;
    rc = master_make(rebuilt, err);
    if (rc == 0)
        rc = stores_make(rebuilt, err);
    if (rc == 0)
        rc = rebuilt_fill(rebuilt, options, err);
    if (rc < 0) {
        rebuilt_discard(rebuilt);
        return rc;
    }
    *ret = rebuilt;
    return 0;
}

static void rebuilt_free(struct rebuilt *rebuilt)
{
    free(rebuilt->stores);
    free(rebuilt->rows);
    free(rebuilt);
}

void rebuilt_discard(struct rebuilt *rebuilt)
{
    char path[EMLFS_PATH_MAX_BYTES];

    for (unsigned i = 0; i < rebuilt->stores_n && rebuilt->stores; i++) {
        struct store *store = rebuilt->stores[i];
        int rc = store ? sub_path(path, store->dir.path, "catalog", rebuilt->suffix) : -ENOENT;
        store_close(store, NULL, NULL);
        if (rc == 0)
            catalog_remove(path);
    }
    if (rebuilt->state.master)
        emlfs_catalog_close(rebuilt->state.master);
    if (sub_path(path, rebuilt->path, "master", rebuilt->suffix) == 0)
        catalog_remove(path);
    rebuilt_free(rebuilt);
}

/* dir/name gives way to dir/name.suffix; durable at return. */
static int put_in_place(const char *dir, const char *name, const char *suffix,
                        struct emlfs_err *err)
{
    char live[EMLFS_PATH_MAX_BYTES], made[EMLFS_PATH_MAX_BYTES], old[EMLFS_PATH_MAX_BYTES];
    int rc = sub_path(live, dir, name, NULL);

    if (rc == 0)
        rc = sub_path(made, dir, name, suffix);
    if (rc == 0)
        rc = sub_path(old, dir, name, "old");
    if (rc == 0)
        rc = catalog_remove(old);
    sums_remove(live);
    if (rc == 0 && rename(live, old) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc == 0 && rename(made, live) < 0)
        rc = -errno;
    if (rc == 0)
        rc = emlfs_os_sync_dir(dir);
    if (rc == 0)
        rc = catalog_remove(old);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be replaced", live) : 0;
}

int rebuilt_install(struct rebuilt *rebuilt, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < rebuilt->stores_n; i++) {
        char dir[EMLFS_PATH_MAX_BYTES];
        if (!rebuilt->stores[i])
            continue;
        snprintf(dir, sizeof(dir), "%s", rebuilt->stores[i]->dir.path);
        emlfs_catalog_compact(rebuilt->stores[i]->rows.catalog);
        store_close(rebuilt->stores[i], NULL, NULL);
        if (rc == 0)
            rc = put_in_place(dir, "catalog", rebuilt->suffix, err);
    }
    emlfs_catalog_close(rebuilt->state.master);
    if (rc == 0)
        rc = put_in_place(rebuilt->path, "master", rebuilt->suffix, err);
    rebuilt_free(rebuilt);
    return rc;
}

int rebuild_catalogs(const struct rebuild_options *options, struct emlfs_check_totals *totals,
                     struct emlfs_err *err)
{
    struct replay_options replay = {.progress = options->progress,
                                    .finding = options->finding,
                                    .arg = options->arg,
                                    .totals = totals,
                                    .heal_later = true};
    const struct rebuilt_options make = {
        .path = options->path, .suffix = "new", .keys = options->keys, .replay = &replay};
    struct rebuilt *rebuilt = NULL;
    int rc = options->ledger ? heal_new(options->ledger, true, &replay.heal) : 0;

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "ledger");
    rc = rebuilt_make(&make, &rebuilt, err);
    if (rc == 0) {
        rc = heal_end(replay.heal, &totals->ledger_completed, err);
        if (rc < 0)
            rebuilt_discard(rebuilt);
    }
    heal_free(replay.heal);
    return rc < 0 ? rc : rebuilt_install(rebuilt, err);
}
