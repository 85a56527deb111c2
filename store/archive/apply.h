/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_APPLY_H
#define EMLFS_ARCHIVE_APPLY_H

#include "content.h"
#include "schema.h"

/* ---- apply.c: one record → rows. Ingest, replay after a crash, recover and verify all use it. */

struct apply;
int apply_new(const struct state *state, struct apply **ret);
void apply_free(struct apply *apply);
/* The import run that entries made now belong to (0: none). */
void apply_set_run(struct apply *apply, uint32_t run);
/* Count what is filed and taken away in usage, too; NULL: no more. Of the writer's. */
struct usage;
void apply_set_usage(struct apply *apply, struct usage *usage);
/* usage.c: size_bytes more, or less, of user. usage may be NULL. */
void usage_change(struct usage *usage, uint16_t user, bool more, uint64_t size_bytes);
/* Rows of one record, by its decompressed content. Idempotent. */
struct applied {
    uint16_t store_no;
    uint8_t type;
    struct emlfs_pack_loc loc;
    struct emlfs_span plain;
};
int apply_record(struct apply *apply, const struct applied *record, struct emlfs_err *err);
/* The row of a blob whose id is known. */
int apply_blob(struct apply *apply, uint16_t no, const uint8_t id[BLOB_ID_BYTES],
               const struct blob_row *row);
struct emlfs_txn *apply_txn(struct apply *apply, uint16_t no);
struct emlfs_txn *apply_master(struct apply *apply);
struct mark_row *apply_mark(struct apply *apply, uint16_t no);
size_t apply_rows(const struct apply *apply);
/*
 * Commit: master, then the other stores, then store no with its mark set to end; each synced.
 * A crash between two of them is healed by replay from the old mark of store no.
 */
int apply_commit(struct apply *apply, uint16_t no, const struct emlfs_pack_end *end,
                 struct emlfs_err *err);
/* Folders touched since the last call, for change notices; more than max: a single 0. */
unsigned apply_touched(struct apply *apply, uint32_t *ret, unsigned max);
int apply_filed_get(struct apply *apply, uint16_t no, uint32_t number, struct filed_list *ret,
                    struct emlfs_err *err);
/* The entry of number in folder as it is now; its stem is borrowed until the next call. -ENOENT. */
int apply_entry_get(struct apply *apply, uint16_t no, uint32_t folder, uint32_t number,
                    struct chunk_entry *ret, struct emlfs_err *err);
int apply_filed_put(struct apply *apply, uint16_t no, uint32_t number,
                    const struct filed_list *list);

/* ---- entries.c: the E and D rows of one store inside an apply; decoded chunks are kept open */

struct entries;
int entries_new(struct emlfs_txn *txn, struct entries **ret);
void entries_free(struct entries *entries);
int entries_insert(struct entries *entries, uint32_t folder, const struct chunk_entry *entry,
                   struct emlfs_err *err);
int entries_remove(struct entries *entries, uint32_t folder, uint32_t number,
                   struct emlfs_err *err);
/* Set or clear CHUNK_MULTI. */
int entries_mark(struct entries *entries, uint32_t folder, uint32_t number, bool multi,
                 struct emlfs_err *err);
int entries_get(struct entries *entries, uint32_t folder, uint32_t number, struct chunk_entry *ret,
                struct emlfs_err *err);
/* Adjust the folder's count and membership time. */
int entries_count(struct entries *entries, uint32_t folder, int change, int64_t time_ns,
                  struct emlfs_err *err);
/* Write open chunks to the transaction. Before each commit. */
int entries_flush(struct entries *entries, struct emlfs_err *err);

#endif
