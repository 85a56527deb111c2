/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INGEST_H
#define EMLFS_INGEST_H

#include "emlfs/archive.h"
#include "emlfs/base/actor.h"

/*
 * Ingest: messages go in. Ingests of an archive write one at a time, in turn: one for which others
 * wait commits what it took and lets them go first, after a tenth of a second or when it has
 * nothing to do, and goes on behind them. So _begin waits for a turn, not for the end of another
 * ingest. A message is reported as archived only when a power cut could not take it back any more.
 */

enum emlfs_ingest_verdict {
    EMLFS_INGEST_ARCHIVED = 1,  /* new message, durable */
    EMLFS_INGEST_DUPLICATE = 2, /* content was there; an entry was added when it was not, durable */
    EMLFS_INGEST_REJECTED = 3,  /* err says why */
};

struct emlfs_ingest_item {
    struct emlfs_buf raw; /* the exact bytes, owned by the item */
    struct emlfs_folder_id folder;
    struct emlfs_user_id user;
    uint32_t flags;        /* EMLFS_ENTRY_... */
    int64_t file_time_sec; /* 0: unknown */
    char *position;        /* owned (free), for the report */
    void *owner;           /* the caller's own, for prepare and done */
    /* filled by prepare, on an ingest thread, for messages that are new in the archive: */
    struct emlfs_buf facts; /* encoded */
    int64_t mtime_ns;
    char stem[EMLFS_NAME_MAX_BYTES + 1]; /* file name without " [id].eml" */
    /* the result, for done: */
    enum emlfs_ingest_verdict verdict;
    bool new_entry; /* DUPLICATE: filed under a further name */
    struct emlfs_msg_id id;
    struct emlfs_err err;
};
struct emlfs_ingest_item *emlfs_ingest_item_new(void);
void emlfs_ingest_item_free(struct emlfs_ingest_item *item);

struct emlfs_ingest_options {
    /* Fill facts, mtime_ns and stem. worker: 0...workers-1, never the same on two threads at a
     * time. A failure rejects the message with err. */
    int (*prepare)(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                   struct emlfs_err *err);
    /* Optional: prepare for this item will follow, in the order of these calls of one worker. */
    void (*ahead)(void *arg, unsigned worker, const struct emlfs_ingest_item *item);
    /* The verdict, in the order of _put, after the commit that makes it durable. Takes the item. */
    void (*done)(void *arg, struct emlfs_ingest_item *item);
    void *arg;
    const char *source; /* identifies the source across runs, e.g. "eml:/home/a/mail"; NULL: none */
    struct emlfs_actor actor; /* who archives, for the ledger; all zero: emlfs itself */
    /* Optional: how many bytes of messages the user's archive may hold; 0: any. On the committing
     * thread. A message above it is rejected with EDQUOT, and each where this fails. */
    int (*quota)(void *arg, struct emlfs_user_id user, uint64_t *ret_bytes, struct emlfs_err *err);
    /* The time a message is archived at; NULL: the archive's clock. Not before the last one's. */
    int64_t (*arrival_ns)(void *arg);
};
struct emlfs_ingest;
unsigned emlfs_archive_ingest_workers(const struct emlfs_archive *archive);
int emlfs_ingest_begin(struct emlfs_archive *archive, const struct emlfs_ingest_options *options,
                       struct emlfs_ingest **ret_ingest, struct emlfs_err *err);
/*
 * Hand over an item (always taken). Waits while too many bytes are in flight. Negative: the writer
 * has failed for good (EROFS, EIO); a full disk rejects items instead, with ENOSPC in their err.
 */
int emlfs_ingest_put(struct emlfs_ingest *ingest, struct emlfs_ingest_item *item,
                     struct emlfs_err *err);
/* Returns when everything put so far is durable and reported. */
int emlfs_ingest_flush(struct emlfs_ingest *ingest, struct emlfs_err *err);
struct emlfs_ingest_totals {
    uint64_t archived, duplicates, rejected, new_entries, moved;
};
/*
 * Flush and free. complete: the source was read to its end, so a message of this source that was
 * seen in a new folder and no longer in its old one is moved there (its old entry is removed); not
 * where another ingest of the same source ran beside this one.
 */
int emlfs_ingest_end(struct emlfs_ingest *ingest, bool complete,
                     struct emlfs_ingest_totals *ret_totals, struct emlfs_err *err);
/*
 * Would mail of so many bytes be taken now? EROFS: the archive or its current store takes none;
 * ENOSPC. Cheap, and only a look: what is put later is judged then.
 */
int emlfs_ingest_check(struct emlfs_archive *archive, uint64_t size_bytes, struct emlfs_err *err);
/* True when exactly these bytes are archived for user: for dry runs. */
int emlfs_archive_has(struct emlfs_archive *archive, struct emlfs_user_id user,
                      struct emlfs_span raw, bool *ret_has, struct emlfs_err *err);

#endif
