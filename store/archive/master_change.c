/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Changes of master rows, and records of what changes nothing.
 *
 * I-CHANGE-1  what could be refused is refused before the first byte is appended: a record that the
 *             ledger would not take, a row that is too long, a full disk
 */
#include "emlfs/change.h"
#include "internal.h"
#include "told.h"

#define MODULE "archive"
#define MASTER_RECORD_VERSION 1u
#define MASTER_KEY_MAX_BYTES 16u
#define MASTER_VALUE_MAX_BYTES (EMLFS_CATALOG_VALUE_MAX_BYTES / 2)

struct emlfs_ledger *emlfs_archive_ledger(struct emlfs_archive *archive)
{
    return archive->ledger;
}

uint64_t emlfs_archive_generation(struct emlfs_archive *archive)
{
    return atomic_load(&archive->generation);
}

static int record_append(struct emlfs_archive *archive, const struct emlfs_ledger_record *record,
                         struct emlfs_err *err)
{
    int rc = archive_recordable(archive, err);

    if (rc == 0)
        rc = emlfs_ledger_append(archive->ledger, record, 1, NULL, err);
    if (rc == -EIO || rc == -EROFS)
        archive_fail(archive, err);
    return rc;
}

int emlfs_archive_record(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                         const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    struct emlfs_ledger_record by = told_by(actor, record);
    int rc;

    if (archive->live)
        return emlfs_archive_record(archive->live, actor, record, err);
    by.time_ns = emlfs_archive_now_ns(archive);
    pthread_mutex_lock(&archive->write_lock);
    rc = record_append(archive, &by, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* ---- master rows */

static int row_encode(const struct emlfs_master_row *row, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_u8(out, (uint8_t)row->kind);

    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, row->key);
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, row->value);
}

static int rows_encode(const struct emlfs_master_change *change, int64_t time_ns,
                       struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_u8(out, MASTER_RECORD_VERSION);

    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, time_ns);
    for (size_t i = 0; i < change->n && rc == 0; i++)
        rc = row_encode(&change->rows[i], out);
    return rc;
}

static int record_valid(const struct emlfs_master_change *change, struct emlfs_err *err)
{
    struct emlfs_buf row EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES + 64);
    struct emlfs_buf data EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_DATA_MAX_BYTES);
    struct emlfs_ledger_record record = told_by(change->actor, change->record);
    bool cut;
    int rc = row_encode(&change->rows[0], &row);

    if (rc == 0)
        rc = told_row(emlfs_buf_view(&row), &data, &cut, &record.digest);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "record for the ledger");
    if (record.data.len == 0)
        record.data = emlfs_buf_view(&data);
    record.has_digest = cut || record.has_digest;
    return told_check(&record, err);
}

int master_write(struct emlfs_archive *archive, const struct emlfs_master_change *change,
                 struct emlfs_err *err)
{
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    int rc = writer_begin(archive, err);

    if (rc == 0)
        rc = writer_room(archive, err);
    if (rc == 0 && change->record)
        rc = record_valid(change, err);
    if (rc < 0)
        return rc;
    rc = rows_encode(change, emlfs_archive_now_ns(archive), &plain);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "master rows");
    rc = writer_record(archive, EMLFS_RECORD_MASTER, emlfs_buf_view(&plain), err);
    if (rc == 0 && change->record)
        rc = writer_tell(archive, change->actor, change->record, err);
    return rc < 0 ? rc : writer_commit(archive, err);
}

static int row_check(const struct emlfs_master_row *row, struct emlfs_err *err)
{
    if (row->key.len == 0 || row->key.len > MASTER_KEY_MAX_BYTES)
        return emlfs_err_set(err, EINVAL, MODULE, "a master key has 1 to 16 bytes");
    if (row->value.len > MASTER_VALUE_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, MODULE, "a master value has at most %u bytes",
                             MASTER_VALUE_MAX_BYTES);
    if (row->kind == EMLFS_MASTER_FOLDER || row->kind == EMLFS_MASTER_SOURCE ||
        row->kind == EMLFS_MASTER_STORE)
        return emlfs_err_set(err, EINVAL, MODULE, "rows of kind %c are made by the archive",
                             row->kind);
    return 0;
}

static int change_check(const struct emlfs_master_change *change, struct emlfs_err *err)
{
    int rc = 0;

    if (change->n == 0 || change->n > EMLFS_MASTER_CHANGE_ROWS_MAX || !change->record)
        return emlfs_err_set(err, EINVAL, MODULE, "a change has 1 to %u rows and a record",
                             EMLFS_MASTER_CHANGE_ROWS_MAX);
    for (size_t i = 0; i < change->n && rc == 0; i++)
        rc = row_check(&change->rows[i], err);
    return rc;
}

/* Do the rows say who may see or do what? */
static bool is_rule(const struct emlfs_master_change *change)
{
    bool rule = false;

    for (size_t i = 0; i < change->n; i++)
        rule = rule || memchr("URGPHMgT", (int)change->rows[i].kind, 8);
    return rule;
}

int emlfs_archive_master_change(struct emlfs_archive *archive,
                                const struct emlfs_master_change *change, struct emlfs_err *err)
{
    const uint32_t rules = EMLFS_FOLDER_RULES;
    int rc = change_check(change, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = archive_writable(archive, err);
    if (rc == 0 && change->check)
        rc = change->check(change->arg, err);
    if (rc == 0)
        rc = master_write(archive, change, err);
    if (rc == 0 && is_rule(change)) {
        atomic_fetch_add(&archive->generation, 1);
        archive_notify(archive, &rules, 1);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

int emlfs_archive_master_put(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_span value, struct emlfs_err *err)
{
    const struct emlfs_master_row row = {.kind = kind, .key = key, .value = value};
    const struct emlfs_master_change change = {.rows = &row, .n = 1};
    int rc = row_check(&row, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = master_write(archive, &change, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}
