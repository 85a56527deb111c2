/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_INTERNAL_H
#define EMLFS_ARCHIVE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "apply.h"
#include "emlfs/base/clock.h"
#include "emlfs/base/store_state.h"
#include "emlfs/change.h"
#include "emlfs/feed.h"
#include "emlfs/ledger.h"
#include "store.h"
#include "turn.h"

/* ---- the archive itself */

struct block_cache;
struct writer;

#define FILING_MAX 512u
struct watcher {
    void (*fn)(void *arg); /* NULL: free */
    void *arg;
};

struct emlfs_archive {
    char path[EMLFS_PATH_MAX_BYTES];
    int lock_fd;
    struct archive_keys keys;
    struct archive_identity identity;
    struct emlfs_clock clock;
    bool read_only;
    bool look; /* I-OPEN-2 */
    unsigned workers;
    struct emlfs_catalog *master;
    /*
     * Lock order: turn, write_lock, then those of lower modules. stores grows, and an empty
     * slot of it is filled, only under write_lock; a slot is emptied by closing only. An empty one:
     * the store is detached, and not there. Whoever shows something asks archive_shown.
     */
    struct turn turn;             /* to write mail: an ingest's, or who must not run beside one */
    struct emlfs_ingest *ingests; /* begun and not ended, under write_lock; one has the turn */
    pthread_mutex_t write_lock;
    struct store *_Atomic stores[EMLFS_STORES_MAX];
    atomic_uchar states[EMLFS_STORES_MAX]; /* enum emlfs_store_state; changes under write_lock */
    struct store_rows *store_rows[EMLFS_STORES_MAX];
    atomic_uint stores_n;
    struct state state;
    struct writer *writer; /* NULL until the first write */
    atomic_bool failed;    /* the writer failed: read-only until reopened */
    char failed_why[256];  /* written once, before failed is set */
    uint32_t next_folder, next_source;
    atomic_uint_fast64_t generation; /* emlfs_archive_generation; grows under write_lock */
    /*
     * Under write_lock: messages that the ingest is about to file or unfile by events that are not
     * written yet, and the one it decides about; nobody else takes entries of theirs away.
     */
    struct emlfs_msg_id filing[FILING_MAX], filing_one;
    unsigned filing_n;
    uint64_t flight_seq; /* change number of the first block on its way to the pack; 0: none */
    uint32_t runs;
    struct usage *usage; /* under write_lock; NULL: not asked for yet */
    struct block_cache *cache;
    pthread_mutex_t notice_lock;
    emlfs_change_fn *notice;
    void *notice_arg;
    pthread_mutex_t watch_lock; /* held while watchers are called */
    struct watcher watchers[EMLFS_WATCHERS_MAX];
    struct emlfs_check_totals opening;
    struct emlfs_ledger *ledger; /* NULL: as emlfs_archive_ledger says */
    uint64_t ledger_opened;      /* records it had then */
    struct emlfs_archive *live; /* NULL, or this one is of the past (asof.h) and this the present */
    int64_t asof_ns;            /* with live */
    char scratch[EMLFS_PATH_MAX_BYTES]; /* with live: where its catalogues are */
};
struct archive_how {
    bool without_ledger;  /* go on, for reading only, when the ledger does not open */
    bool ledger_failed;   /* set: it did not, and err_ledger says why */
    bool ledger_in_order; /* set: it was closed in order */
    struct emlfs_err err_ledger;
};
/* emlfs_archive_open; how may be NULL. */
int archive_open(const struct emlfs_archive_options *options, struct archive_how *how,
                 struct emlfs_archive **ret_archive, struct emlfs_err *err);
/* The archive's lock: one process at a time, whatever it does with the catalogues. EBUSY. */
int archive_lock(const char *path, unsigned wait_ms, int *ret_fd, struct emlfs_err *err);
void archive_unlock(int *fd);
struct store *archive_store(struct emlfs_archive *archive, uint16_t no);
struct store *archive_current(struct emlfs_archive *archive);
/* The store, if it is there and its messages are shown. */
struct store *archive_shown(struct emlfs_archive *archive, uint16_t no);
void archive_fail(struct emlfs_archive *archive, const struct emlfs_err *err);
int archive_writable(struct emlfs_archive *archive, struct emlfs_err *err);
/* Under write_lock: as archive_writable, for a record alone; a look opens the ledger for it. */
int archive_recordable(struct emlfs_archive *archive, struct emlfs_err *err);
void archive_notify(struct emlfs_archive *archive, const uint32_t *folders, unsigned n);
/* feed.c: behind a commit. */
void archive_wake_watchers(struct emlfs_archive *archive);
int archive_add_store(struct emlfs_archive *archive, struct emlfs_err *err);

/*
 * master_change.c, under write_lock: the rows in one MASTER record, their record for the ledger
 * (NULL: none) and the commit. change->check is not asked.
 */
int master_write(struct emlfs_archive *archive, const struct emlfs_master_change *change,
                 struct emlfs_err *err);

/* The row of a folder, also of one that was removed; -ENOENT. */
int folder_row_any(struct emlfs_archive *archive, struct emlfs_folder_id id, struct folder_row *ret,
                   struct emlfs_err *err);
/* The row of a folder that is there; -ENOENT. */
int folder_row_get(struct emlfs_archive *archive, struct emlfs_folder_id id, struct folder_row *ret,
                   struct emlfs_err *err);
/* The number under which a source is remembered across runs (made when new). */
int source_number(struct emlfs_archive *archive, const char *name, uint32_t *ret,
                  struct emlfs_err *err);

/* ---- writer.c: appending to the current store and committing; all under write_lock */

int writer_begin(struct emlfs_archive *archive, struct emlfs_err *err); /* makes archive->writer */
int writer_end(struct emlfs_archive *archive, struct emlfs_err *err);
int writer_append(struct emlfs_archive *archive, const struct emlfs_packed *packed,
                  struct emlfs_pack_loc *ret_loc, struct emlfs_err *err);
/* Pack plain on this thread, append, apply. */
int writer_record(struct emlfs_archive *archive, enum emlfs_record_type type,
                  struct emlfs_span plain, struct emlfs_err *err);
int writer_commit(struct emlfs_archive *archive, struct emlfs_err *err);
struct apply *writer_apply(struct emlfs_archive *archive);
int writer_roll_store(struct emlfs_archive *archive, struct emlfs_err *err);
/*
 * Keep a record for the ledger, filled in with actor's members and the time, which the next
 * writer_commit appends behind the sync of the packs and before the catalogue. Copies.
 *
 * Told behind the writer_record it is about, under the same lock, so that records stand in the
 * order of packs. time_ns 0 becomes the time in that EVENTS or MASTER record, by which opening
 * finds after a crash that it was told. The first one told behind a MASTER record gets its first
 * row as data. EINVAL: the record is invalid. When it fails, the writer fails: packs hold what
 * nobody recorded.
 */
int writer_tell(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                const struct emlfs_ledger_record *record, struct emlfs_err *err);
/* The change number that an event written now has; EAGAIN: none is free. */
int writer_seq(struct emlfs_archive *archive, unsigned n, uint64_t *ret, struct emlfs_err *err);
/* Bytes appended since the last commit. */
uint64_t writer_pending_bytes(const struct emlfs_archive *archive);
/* ENOSPC: the disk is nearly full. */
int writer_room(struct emlfs_archive *archive, struct emlfs_err *err);
/* As writer_room, with so many bytes more. */
int writer_room_for(struct emlfs_archive *archive, uint64_t size_bytes, struct emlfs_err *err);

/* ---- replay.c */

struct heal;

struct replay_options {
    const struct emlfs_progress *progress;
    emlfs_finding_fn *finding;
    void *arg;
    struct emlfs_check_totals *totals;
    bool deep;         /* rebuild every message and check its hash */
    bool cut;          /* cut a torn tail off the last pack, else leave it */
    bool keep_mark;    /* rows only: another opening will record what they are about */
    struct heal *heal; /* NULL, or what finds records that the ledger lacks */
    bool heal_later;   /* whoever asked writes them */
    /* NULL, or called for each message of the packs, in order. */
    int (*message)(void *arg, struct emlfs_msg_id id, const uint8_t sha256[EMLFS_HASH_BYTES]);
    void *message_arg;
    const struct mark_row *until; /* go no further than this mark (verify beside a writer) */
    struct horizon *horizon;      /* NULL, or nor than this time, and blobs are left out */
};
/* Apply what the packs of store hold behind its mark. */
int replay_store(struct state *state, struct store *store, const struct replay_options *options,
                 struct emlfs_err *err);

/* ---- list.c */

/* Where an entry stands. */
struct place {
    struct store *store;
    struct emlfs_folder_id folder;
    struct emlfs_user_id user;
};
/* All of an entry but nlink. */
int entry_show(const struct place *place, const struct chunk_entry *from, struct emlfs_entry *ret,
               struct emlfs_err *err);
/* Is key that of an E row of folder? */
bool entries_key_is_of(struct emlfs_span key, uint32_t folder);
/* Decode the E row the iterator stands on. value is scratch. */
int entries_row_read(struct emlfs_catalog_iter *iter, struct chunk *chunk, struct emlfs_buf *value,
                     struct emlfs_err *err);

/* ---- read.c */

/* Has the message any entry? -ENOENT: it is gone, or never was. */
int message_there(struct store *store, uint32_t number, struct emlfs_err *err);

int cache_new(size_t max_bytes, struct block_cache **ret);
void cache_free(struct block_cache *cache);
/* SHA-256 of the archived message number of store; fails when a part of it is known to be missing.
 */
int read_sha256(struct emlfs_archive *archive, struct store *store, uint32_t number,
                uint8_t ret[EMLFS_HASH_BYTES], struct emlfs_err *err);
int content_key(const struct store_rows *rows, const uint8_t sha256[EMLFS_HASH_BYTES],
                struct emlfs_hash *ret);
int blob_id(const struct store_rows *rows, struct emlfs_span content, uint8_t ret[BLOB_ID_BYTES]);
/* All of a record's content, through the store's dictionaries. */
int record_content(struct store *store, const struct emlfs_record *record, struct emlfs_buf *out,
                   struct emlfs_err *err);
/* Fetch and check a blob into out. txn (may be NULL): also sees rows pending there. */
int blob_read(struct store *store, struct emlfs_txn *txn, const uint8_t id[BLOB_ID_BYTES],
              struct emlfs_buf *out, struct emlfs_err *err);
struct rebuild_source {
    struct store *store;
    struct emlfs_txn *txn;  /* NULL, or where blob rows may be pending */
    struct emlfs_span text; /* of this message */
    const struct block_message *message;
};
/* The exact bytes, hash checked. */
int rebuild_message(const struct rebuild_source *source, struct emlfs_buf *out,
                    struct emlfs_err *err);

#include "changing.h"
#include "past.h"

#endif
