/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making, moving and removing folders. A folder's number is never used again: the row of one that
 * was removed stays, found by nobody.
 *
 * I-FOLDER-1  the folders that are there form a tree below 0
 * I-FOLDER-2  a folder that is removed holds nothing, in whatever store
 */
#include <errno.h>
#include <stdio.h>

#include "emlfs/stores.h"
#include "internal.h"

#define MODULE "archive"
#define DEPTH_MAX 4096u

static struct emlfs_ledger_record record_of(enum emlfs_ledger_kind kind, uint32_t id,
                                            const struct folder_row *row)
{
    return (struct emlfs_ledger_record){
        .kind = (uint16_t)kind,
        .uid = EMLFS_LEDGER_UID_NONE,
        .owner = {row->user},
        .folder = {id},
        .name = emlfs_span_str(row->name),
    };
}

static int row_put(struct emlfs_archive *archive, const struct emlfs_actor *actor, uint32_t id,
                   const struct folder_row *row, const struct emlfs_ledger_record *record,
                   struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    uint8_t key[4];
    struct emlfs_master_row master = {.kind = EMLFS_MASTER_FOLDER, .key = emlfs_span_of(key, 4)};
    int rc = folder_row_encode(row, &value);

    key_bytes_u32(id, key);
    master.value = emlfs_buf_view(&value);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "folder %u", id)
                  : journal_master(archive, actor, &master, record, err);
}

static int name_free(struct emlfs_archive *archive, const struct emlfs_folder_place *place,
                     uint32_t but, struct emlfs_err *err)
{
    struct emlfs_folder_id other;
    int rc = folder_find(archive, place->parent, place->name, &other, err);

    if (rc == 0 && other.v != but)
        return emlfs_err_set(err, EEXIST, MODULE, "there is a folder \"%s\" already", place->name);
    return rc == -ENOENT ? 0 : rc;
}

static int parent_get(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                      struct folder_row *ret, struct emlfs_err *err)
{
    int rc = parent.v ? folder_row_get(archive, parent, ret, err)
                      : emlfs_err_set(err, EPERM, MODULE, "user archives are not made this way");

    return rc == -ENOENT ? emlfs_err_set(err, ENOENT, MODULE, "there is no folder %u", parent.v)
                         : rc;
}

static int folder_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const struct emlfs_folder_place *place, struct emlfs_folder_id *ret_id,
                      struct emlfs_err *err)
{
    struct emlfs_ledger_record record;
    struct folder_row row, parent;
    int rc = parent_get(archive, place->parent, &parent, err);

    if (rc == 0)
        rc = name_free(archive, place, 0, err);
    if (rc == 0 && archive->next_folder == UINT32_MAX)
        rc = emlfs_err_set(err, E2BIG, MODULE, "no folder number is left");
    if (rc < 0)
        return rc;
    row = (struct folder_row){.user = parent.user,
                              .parent = place->parent.v,
                              .created_ns = emlfs_archive_now_ns(archive)};
    snprintf(row.name, sizeof(row.name), "%s", place->name);
    ret_id->v = archive->next_folder;
    record = record_of(EMLFS_LEDGER_FOLDER_MADE, ret_id->v, &row);
    record.folder_to = place->parent;
    rc = row_put(archive, actor, ret_id->v, &row, &record, err);
    archive->next_folder += rc == 0;
    return rc;
}

int emlfs_archive_folder_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                             struct emlfs_folder_id parent, const char *name,
                             struct emlfs_folder_id *ret_id, struct emlfs_err *err)
{
    const struct emlfs_folder_place place = {.parent = parent, .name = name};
    int rc = folder_name_check(name, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = folder_add(archive, actor, &place, ret_id, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* id is not parent, and not above it. */
static int not_below(struct emlfs_archive *archive, struct emlfs_folder_id id,
                     struct emlfs_folder_id parent, struct emlfs_err *err)
{
    unsigned depth = 0;

    while (parent.v) {
        struct folder_row row;
        int rc;
        if (parent.v == id.v)
            return emlfs_err_set(err, EINVAL, MODULE, "a folder cannot lie in itself");
        rc = folder_row_get(archive, parent, &row, err);
        if (rc == -ENOENT || depth++ > DEPTH_MAX)
            return emlfs_err_set(err, EUCLEAN, MODULE, "folder %u lies nowhere", parent.v);
        if (rc < 0)
            return rc;
        parent.v = row.parent;
    }
    return 0;
}

static int folder_move_check(struct emlfs_archive *archive, struct emlfs_folder_id id,
                             const struct emlfs_folder_place *to, struct folder_row *ret,
                             struct emlfs_err *err)
{
    struct folder_row parent;
    int rc = folder_row_get(archive, id, ret, err);

    if (rc == -ENOENT)
        return emlfs_err_set(err, ENOENT, MODULE, "there is no folder %u", id.v);
    if (rc == 0 && (ret->parent == 0 || to->parent.v == 0))
        return emlfs_err_set(err, EPERM, MODULE, "a user archive is not moved or renamed");
    if (rc == 0)
        rc = parent_get(archive, to->parent, &parent, err);
    if (rc == 0 && parent.user != ret->user)
        rc = emlfs_err_set(err, EPERM, MODULE, "a folder stays in its user archive");
    if (rc == 0)
        rc = not_below(archive, id, to->parent, err);
    return rc < 0 ? rc : name_free(archive, to, id.v, err);
}

static int folder_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                       struct emlfs_folder_id id, const struct emlfs_folder_place *to,
                       struct emlfs_err *err)
{
    struct emlfs_ledger_record record;
    struct folder_row row, old;
    int rc = folder_move_check(archive, id, to, &row, err);

    if (rc == 0 && to->generation && to->generation != atomic_load(&archive->generation))
        rc = emlfs_err_set(err, EAGAIN, MODULE, "the rules changed meanwhile");
    if (rc < 0 || (row.parent == to->parent.v && strcmp(row.name, to->name) == 0))
        return rc;
    old = row;
    if (row.parent != to->parent.v)
        row.flags |= FOLDER_MOVED;
    row.parent = to->parent.v;
    snprintf(row.name, sizeof(row.name), "%s", to->name);
    record = record_of(EMLFS_LEDGER_FOLDER_RENAMED, id.v, &row);
    record.detail = emlfs_span_str(old.name);
    if (old.parent != row.parent) {
        record.folder_to = to->parent;
        record.object = old.parent;
    }
    return row_put(archive, actor, id.v, &row, &record, err);
}

int emlfs_archive_folder_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                              struct emlfs_folder_id id, const struct emlfs_folder_place *to,
                              struct emlfs_err *err)
{
    int rc = folder_name_check(to->name, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = folder_move(archive, actor, id, to, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* Entries of one store, those of an ingest that are not committed yet included. */
static int store_empty(struct emlfs_archive *archive, uint16_t no, uint32_t id,
                       struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FOLDER_STAT, id);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct folder_stat stat = {0};
    struct store_row row;
    int rc;

    if (!archive_store(archive, no)) {
        rc = store_row_get(archive, no, &row, err);
        if (rc < 0 || id >= row.next_folder) /* made when the store was detached already */
            return rc;
        return emlfs_err_set(err, ENOTEMPTY, MODULE,
                             "store %u is detached and may hold messages of the folder", no);
    }
    rc = emlfs_txn_get(apply_txn(writer_apply(archive), no), row_key_view(&key), 0, &value, err);
    if (rc == 0)
        rc = folder_stat_decode(emlfs_buf_view(&value), &stat);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    return stat.entries == 0
               ? 0
               : emlfs_err_set(
                     err, ENOTEMPTY, MODULE, "the folder holds %llu messages of store %u%s",
                     (unsigned long long)stat.entries, no,
                     emlfs_archive_store_shown(archive, no) ? "" : ", which is not shown");
}

static int folder_empty(struct emlfs_archive *archive, struct emlfs_folder_id id,
                        struct emlfs_err *err)
{
    struct emlfs_folder child;
    int rc = emlfs_archive_folder_next(archive, id, (struct emlfs_folder_id){0}, &child, err);

    if (rc == 0)
        return emlfs_err_set(err, ENOTEMPTY, MODULE, "the folder holds folders");
    rc = rc == -ENOENT ? 0 : rc;
    for (unsigned no = 1; no <= atomic_load(&archive->stores_n) && rc == 0; no++)
        rc = store_empty(archive, (uint16_t)no, id.v, err);
    return rc;
}

static int folder_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                         struct emlfs_folder_id id, struct emlfs_err *err)
{
    struct emlfs_ledger_record record;
    struct folder_row row;
    int rc = folder_row_get(archive, id, &row, err);

    if (rc == -ENOENT)
        return emlfs_err_set(err, ENOENT, MODULE, "there is no folder %u", id.v);
    if (rc == 0 && row.parent == 0)
        rc = emlfs_err_set(err, EPERM, MODULE, "a user archive is not removed");
    if (rc == 0)
        rc = writer_begin(archive, err);
    if (rc == 0)
        rc = folder_empty(archive, id, err);
    if (rc < 0)
        return rc;
    row.flags |= FOLDER_REMOVED;
    record = record_of(EMLFS_LEDGER_FOLDER_DELETED, id.v, &row);
    return row_put(archive, actor, id.v, &row, &record, err);
}

/* Not beside an ingest: it may hold mail for the folder that no row tells of yet. */
int emlfs_archive_folder_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                                struct emlfs_folder_id id, struct emlfs_err *err)
{
    int rc;

    if (!turn_try(&archive->turn))
        return emlfs_err_set(err, EBUSY, MODULE,
                             "mail is being archived; a folder can be removed behind it");
    pthread_mutex_lock(&archive->write_lock);
    rc = folder_remove(archive, actor, id, err);
    pthread_mutex_unlock(&archive->write_lock);
    turn_give(&archive->turn);
    return rc;
}

int emlfs_archive_folder_in_store(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                  uint16_t store_no, struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = writer_begin(archive, err);
    if (rc == 0)
        rc = store_empty(archive, store_no, id.v, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc == -ENOTEMPTY ? 1 : rc;
}

static int row_in(struct emlfs_catalog *master, uint32_t id, struct folder_row *ret)
{
    struct row_key key = key_u32(EMLFS_MASTER_FOLDER, id);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    int rc = emlfs_catalog_get(master, row_key_view(&key), EMLFS_CATALOG_SEALED, &value, NULL);

    return rc < 0 ? rc : folder_row_decode(emlfs_buf_view(&value), ret);
}

/* 0: above id the top is reached, through folders that are there, of one user. */
static int top_reached(struct emlfs_catalog *master, const struct folder_row *folder)
{
    struct folder_row row = *folder;

    for (unsigned depth = 0; row.parent; depth++) {
        int rc = depth < DEPTH_MAX ? row_in(master, row.parent, &row) : -EUCLEAN;
        if (rc < 0)
            return rc == -ENOENT ? -EUCLEAN : rc;
        if (row.flags & FOLDER_REMOVED || row.user != folder->user)
            return -EUCLEAN;
    }
    return 0;
}

static void not_in_tree(uint32_t id, emlfs_finding_fn *finding, void *arg,
                        struct emlfs_check_totals *totals)
{
    struct emlfs_err found;

    emlfs_err_set(&found, EUCLEAN, MODULE, "folder %u does not lie below a user archive", id);
    if (totals)
        totals->errors++;
    if (finding)
        finding(arg, &found);
}

int folders_check(struct emlfs_catalog *master, emlfs_finding_fn *finding, void *arg,
                  struct emlfs_check_totals *totals, struct emlfs_err *err)
{
    const uint8_t kind = EMLFS_MASTER_FOLDER;
    struct emlfs_catalog_iter *iter = NULL;
    struct folder_row row;
    int rc = emlfs_catalog_iter_new(master, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, emlfs_span_of(&kind, 1));
    for (; emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter)) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        uint32_t id = key.len == 5 && key.data[0] == kind ? be32(key.data + 1) : 0;
        if (!id)
            break;
        /* A row that does not open is found by comparing. */
        if (row_in(master, id, &row) == 0 && !(row.flags & FOLDER_REMOVED) &&
            top_reached(master, &row) == -EUCLEAN)
            not_in_tree(id, finding, arg, totals);
    }
    rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc;
}
