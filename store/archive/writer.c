/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The writer: appends records to the current store's packs and commits their rows. Everything here
 * runs under write_lock.
 *
 * Durability order: records appended → pack synced → ledger appended and synced → rows committed
 * with sync → acknowledged. Rows
 * are computed when their record is appended, so the mark written by a commit always covers exactly
 * the records whose rows it carries.
 *
 * I-WRITER-1  nothing is acknowledged before writer_commit returned 0
 * I-WRITER-2  after any failure other than a full disk the archive takes no more writes
 */
#include <stdlib.h>
#include <sys/statvfs.h>

#include "emlfs/base/cursor.h"
#include "internal.h"
#include "told.h"

#define MODULE "archive"
#define ROOM_MIN_BYTES (32u << 20) /* kept free for the catalogue's own writes and the ledger */

struct writer {
    struct emlfs_pack_writer *pack;
    struct apply *apply;
    struct emlfs_packer *packer;
    _Atomic uint64_t pending_bytes;  /* read by the committer without the lock */
    struct emlfs_pack_end committed; /* what the last commit of this writer covers */
    struct told told;
    int64_t act_ns;       /* time in the last EVENTS or MASTER record; 0: none since the commit */
    struct emlfs_buf row; /* first row of a MASTER record nothing was told of yet */
    bool row_cut;
    struct emlfs_hash row_digest;
};

struct apply *writer_apply(struct emlfs_archive *archive)
{
    return archive->writer->apply;
}

uint64_t writer_pending_bytes(const struct emlfs_archive *archive)
{
    return archive->writer ? archive->writer->pending_bytes : 0;
}

static int pack_begin(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct store *store = archive_current(archive);

    return emlfs_pack_writer_new(store->packs, EMLFS_PACK_MAX_BYTES, &store->last_end,
                                 &archive->writer->pack, err);
}

int writer_begin(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct writer *writer;
    int rc = archive_writable(archive, err);

    if (rc < 0 || archive->writer)
        return rc;
    writer = calloc(1, sizeof(*writer));
    if (!writer)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    archive->writer = writer;
    writer->told = TOLD_INIT;
    writer->row = EMLFS_BUF_INIT(EMLFS_LEDGER_DATA_MAX_BYTES);
    rc = apply_new(&archive->state, &writer->apply);
    if (rc == 0)
        apply_set_usage(writer->apply, archive->usage);
    if (rc == 0)
        rc = emlfs_packer_new(archive->identity.settings.zstd_level, &writer->packer);
    if (rc < 0)
        emlfs_err_sys(err, -rc, MODULE, "writer");
    else
        rc = pack_begin(archive, err);
    if (rc < 0)
        writer_end(archive, NULL);
    return rc;
}

/*
 * The mark behind the seal that was just written behind end: a seal that is damaged later is then
 * missed, and not taken for a crash that came before it.
 */
static int seal_commit(struct emlfs_archive *archive, struct emlfs_pack_end *end,
                       struct emlfs_err *err)
{
    struct store *store = archive_current(archive);
    int rc = emlfs_packs_walk_from(store->packs, NULL, NULL, end, err);

    if (rc < 0 || !end->sealed)
        return rc;
    return apply_commit(archive->writer->apply, store->rows.no, end, err);
}

/* Close the pack; what it ends with is what the next pack's OPEN record says. */
static int pack_finish(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct emlfs_pack_writer *pack = archive->writer->pack;
    const struct emlfs_pack_end *committed = &archive->writer->committed;
    struct emlfs_pack_end end;
    int rc;

    archive->writer->pack = NULL;
    if (!pack)
        return 0;
    emlfs_pack_writer_end(pack, &end);
    rc = emlfs_pack_writer_close(pack, err);
    if (rc == 0 && end.count > 0 && end.pack_no == committed->pack_no &&
        end.offset == committed->offset && archive_writable(archive, NULL) == 0)
        rc = seal_commit(archive, &end, err);
    if (rc < 0 && rc != -EROFS)
        archive_fail(archive, err);
    return rc;
}

int writer_end(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct writer *writer = archive->writer;
    int rc;

    if (!writer)
        return 0;
    rc = pack_finish(archive, err);
    apply_free(writer->apply);
    emlfs_packer_free(writer->packer);
    told_free(&writer->told);
    emlfs_buf_wipe(&writer->row);
    free(writer);
    archive->writer = NULL;
    return rc;
}

int writer_room(struct emlfs_archive *archive, struct emlfs_err *err)
{
    return writer_room_for(archive, 0, err);
}

int writer_room_for(struct emlfs_archive *archive, uint64_t size_bytes, struct emlfs_err *err)
{
    struct statvfs vfs;
    uint64_t free_bytes;

    if (statvfs(archive->path, &vfs) < 0)
        return emlfs_err_sys(err, errno, MODULE, "%s", archive->path);
    free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    if (free_bytes >= ROOM_MIN_BYTES && free_bytes - ROOM_MIN_BYTES >= size_bytes)
        return 0;
    if (size_bytes > 0 && free_bytes >= ROOM_MIN_BYTES)
        return emlfs_err_set(err, ENOSPC, MODULE, "no room for %llu bytes below %s",
                             (unsigned long long)size_bytes, archive->path);
    return emlfs_err_set(err, ENOSPC, MODULE,
                         "less than %u MiB free below %s: free some space and repeat",
                         ROOM_MIN_BYTES >> 20, archive->path);
}

int writer_append(struct emlfs_archive *archive, const struct emlfs_packed *packed,
                  struct emlfs_pack_loc *ret_loc, struct emlfs_err *err)
{
    int rc = archive_writable(archive, err);

    if (rc == 0)
        rc = emlfs_pack_append(archive->writer->pack, packed, ret_loc, err);
    if (rc == 0)
        archive->writer->pending_bytes += packed->stored.len;
    else if (rc != -ENOSPC)
        archive_fail(archive, err);
    return rc;
}

/* What writer_tell adds to records about this one. */
static int act_keep(struct writer *writer, const struct applied *record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record->plain);
    struct emlfs_span events;
    struct events_head head;
    int rc = 0;

    emlfs_buf_clear(&writer->row);
    if (record->type == EMLFS_RECORD_EVENTS) {
        rc = events_decode(record->plain, &head, &events);
        writer->act_ns = rc < 0 ? 0 : head.time_ns;
    }
    if (record->type == EMLFS_RECORD_MASTER) {
        (void)emlfs_cursor_u8(&cur);
        writer->act_ns = emlfs_cursor_svarint(&cur);
        rc = told_row(emlfs_span_of(cur.pos, emlfs_cursor_left(&cur)), &writer->row,
                      &writer->row_cut, &writer->row_digest);
    }
    return rc;
}

int writer_record(struct emlfs_archive *archive, enum emlfs_record_type type,
                  struct emlfs_span plain, struct emlfs_err *err)
{
    struct emlfs_packed packed = {0};
    struct applied record = {
        .store_no = archive_current(archive)->rows.no, .type = (uint8_t)type, .plain = plain};
    int rc = emlfs_packer_pack(archive->writer->packer, type, NULL, plain, &packed, err);

    if (rc == 0)
        rc = writer_append(archive, &packed, &record.loc, err);
    emlfs_packed_free(&packed);
    if (rc < 0)
        return rc;
    rc = apply_record(archive->writer->apply, &record, err);
    if (rc == 0 && (rc = act_keep(archive->writer, &record)) < 0)
        emlfs_err_sys(err, -rc, MODULE, "record for the ledger");
    if (rc < 0)
        archive_fail(archive, err);
    return rc;
}

/* Records that wait, into the ledger. */
static int told_commit(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct writer *writer = archive->writer;

    writer->act_ns = 0;
    emlfs_buf_clear(&writer->row);
    if (writer->told.n == 0)
        return 0;
    return told_write(&writer->told, archive->ledger, err);
}

int writer_commit(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct writer *writer = archive->writer;
    struct store *store = archive_current(archive);
    uint32_t touched[TOUCHED_MAX];
    struct emlfs_pack_end end;
    int rc = archive_writable(archive, err);

    if (rc < 0)
        return rc;
    emlfs_pack_writer_end(writer->pack, &end);
    if (end.count == 0)
        end = store->last_end;
    rc = emlfs_pack_writer_sync(writer->pack, err);
    if (rc == 0)
        rc = told_commit(archive, err);
    if (rc == 0)
        rc = apply_commit(writer->apply, store->rows.no, &end, err);
    if (rc < 0) {
        archive_fail(archive, err);
        return rc;
    }
    writer->committed = end;
    writer->pending_bytes = 0;
    archive_notify(archive, touched, apply_touched(writer->apply, touched, TOUCHED_MAX));
    archive_wake_watchers(archive);
    return 0;
}

int writer_roll_store(struct emlfs_archive *archive, struct emlfs_err *err)
{
    int rc = writer_commit(archive, err);

    if (rc == 0)
        rc = pack_finish(archive, err);
    if (rc == 0)
        rc = archive_add_store(archive, err);
    if (rc == 0)
        rc = pack_begin(archive, err);
    if (rc < 0)
        archive_fail(archive, err);
    return rc;
}

int writer_seq(struct emlfs_archive *archive, unsigned n, uint64_t *ret, struct emlfs_err *err)
{
    struct mark_row *mark = apply_mark(writer_apply(archive), archive_current(archive)->rows.no);

    if (!mark)
        return emlfs_err_set(err, EIO, MODULE, "the catalogue cannot be read");
    *ret = mark->next_seq;
    if (archive->flight_seq && mark->next_seq + n > archive->flight_seq)
        return emlfs_err_set(err, EAGAIN, MODULE, "too many changes beside an import; try again");
    return 0;
}

int writer_tell(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    struct writer *writer = archive->writer;
    struct emlfs_ledger_record told = told_by(actor, record);
    int rc = archive_writable(archive, err);

    if (rc < 0)
        return rc;
    if (told.time_ns == 0)
        told.time_ns = writer->act_ns ? writer->act_ns : emlfs_archive_now_ns(archive);
    if (told.data.len == 0 && writer->row.len > 0) {
        told.data = emlfs_buf_view(&writer->row);
        if (writer->row_cut && !told.has_digest) {
            told.has_digest = true;
            told.digest = writer->row_digest;
        }
    }
    rc = told_add(&writer->told, &told, err);
    emlfs_buf_clear(&writer->row);
    if (rc < 0)
        archive_fail(archive, err);
    return rc;
}
