/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A change that somebody makes, with its record for the ledger, as one commit. What may be refused
 * is refused before the first byte: a record that is appended is in effect.
 */
#include "internal.h"

#define MODULE "archive"

static int begin(struct emlfs_archive *archive, const struct emlfs_ledger_record *record,
                 struct emlfs_err *err)
{
    struct emlfs_buf encoded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_RECORD_MAX_BYTES);
    int rc = emlfs_ledger_record_encode(record, &encoded);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "the record of the change");
    rc = writer_begin(archive, err);
    return rc < 0 ? rc : writer_room(archive, err);
}

static int finish(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                  const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    int rc = writer_tell(archive, actor, record, err);

    if (rc < 0) { /* it is in the pack already */
        archive_fail(archive, err);
        return rc;
    }
    return writer_commit(archive, err);
}

int journal_master(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct emlfs_master_row *row, const struct emlfs_ledger_record *record,
                   struct emlfs_err *err)
{
    const struct emlfs_master_change change = {
        .actor = actor, .record = record, .rows = row, .n = 1};

    return master_write(archive, &change, err);
}

static int events_plain(struct emlfs_archive *archive, const struct journal_events *events,
                        struct emlfs_buf *out, struct emlfs_err *err)
{
    struct events_head head = {.time_ns = emlfs_archive_now_ns(archive), .n = events->n};
    int rc = writer_seq(archive, events->n, &head.seq, err);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < events->n; i++) {
        if (events->v[i].kind == EVENT_DELETED)
            head.version = EVENTS_VERSION_DELETED;
    }
    rc = events_begin(out, &head);
    for (unsigned i = 0; i < events->n && rc == 0; i++)
        rc = event_append(out, &events->v[i]);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "event") : 0;
}

int journal_events(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct journal_events *events, const struct emlfs_ledger_record *record,
                   struct emlfs_err *err)
{
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    int rc = begin(archive, record, err);

    if (rc == 0)
        rc = events_plain(archive, events, &plain, err);
    if (rc == 0)
        rc = writer_record(archive, EMLFS_RECORD_EVENTS, emlfs_buf_view(&plain), err);
    return rc < 0 ? rc : finish(archive, actor, record, err);
}
