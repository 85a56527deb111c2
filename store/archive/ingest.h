/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_INGEST_H
#define EMLFS_ARCHIVE_INGEST_H

#include "internal.h"

#define INGEST_QUEUE_MAX 512u
#define INGEST_BYTES_MAX (64u << 20) /* raw bytes in flight, but for one larger message */
#define INGEST_COMMIT_BYTES (8u << 20)
#define INGEST_COMMIT_MESSAGES 4000u
#define INGEST_BLOCKS_MAX 8u       /* closed blocks being compressed */
#define INGEST_STALE_NS 2000000000 /* no message waits longer than this, however busy */
#define INGEST_TURN_NS 100000000   /* kept so long at least, however many wait for the turn */
#define INGEST_EVENTS_MAX 512u
#define INGEST_SEQ_GAP 4096u
#define FLIGHT_BUCKETS 4096u
#define DICT_BYTES (1u << 20)   /* content of a store's dictionary */
#define DICT_SAMPLE_BYTES 4096u /* of every DICT_EVERYth message */
#define DICT_EVERY 4u

enum job_state {
    JOB_QUEUED,
    JOB_TAKEN,
    JOB_READY,
};

/* A message on its way: made by put, worked on by a worker, taken in order by the committer. */
struct work {
    struct work *next;
    struct emlfs_ingest_item *item;
    enum job_state state;
    int rc; /* of the worker; the text is in item->err */
    struct emlfs_hash sha256;
    bool known;        /* archived already, as item->id */
    bool prepares;     /* needs facts and a name */
    bool prepared;     /* it has what a new message needs */
    uint16_t store_no; /* whose keys the blob ids were made with */
    struct recipe recipe;
    struct emlfs_packed *blobs; /* by segment; type 0: not needed or not packed */
    struct emlfs_buf text;
    struct open_block *block; /* waits for it; NULL: nothing but the commit */
    int64_t taken_ns;
};

struct open_message {
    struct block_message message; /* spans point into bytes */
    struct emlfs_buf recipe, facts, entries;
};
struct open_block {
    struct open_block *next;
    enum job_state state;
    bool applied, failed;
    struct emlfs_err err;
    int rc;
    unsigned refs; /* works waiting for it, and the committer */
    uint32_t first;
    uint64_t seq;
    unsigned n;
    size_t meta_bytes;      /* recipes, facts and entries so far */
    struct open_message *v; /* BLOCK_MESSAGES_MAX */
    struct emlfs_buf text;
    struct emlfs_dict *dict;
    struct emlfs_buf plain;
    struct emlfs_packed packed;
};

/* A message whose block is not committed yet, found by its hash. */
struct flight {
    struct flight *next;
    struct open_block *block;
    struct emlfs_msg_id id;
    unsigned at;
    uint64_t size_bytes;
    int64_t archived_ns;
    uint8_t sha256[EMLFS_HASH_BYTES];
};

/* What becomes the store's dictionary: beginnings of its first messages. */
struct samples {
    struct emlfs_buf content;
    unsigned seen;
    bool done;
};

struct ingest_worker {
    pthread_t thread;
    bool started;
    unsigned no;
    struct emlfs_ingest *ingest;
    struct emlfs_packer *blocks, *blobs;
};

struct emlfs_ingest {
    struct emlfs_archive *archive;
    struct emlfs_ingest *next; /* in archive->ingests, under write_lock */
    bool contested;            /* under write_lock: beside another of its source, for a time */
    struct emlfs_ingest_options options;
    uint32_t source, run;
    struct ingest_worker *workers;
    unsigned workers_n;
    pthread_t committer;
    bool committer_started;

    /* Under lock: the queues between threads. */
    pthread_mutex_t lock;
    pthread_cond_t work_cond;                    /* workers: something to do */
    pthread_cond_t ready_cond;                   /* committer: something is ready */
    pthread_cond_t space_cond;                   /* put, flush: room, progress */
    struct work *queue, *queue_last, *next_work; /* put, not yet taken by the committer */
    unsigned untaken_n;                          /* from next_work on */
    unsigned queue_n;
    size_t bytes;
    struct open_block *blocks, *blocks_last, *next_block; /* closed, in order */
    unsigned blocks_n;
    uint64_t put_n, done_n, flush_n;
    bool stop;
    int failed; /* negative: for good */
    struct emlfs_err failure;

    /* The committer's own. */
    struct open_block *open;
    struct work *waiting, *waiting_last;
    struct flight *flights[FLIGHT_BUCKETS];
    struct emlfs_buf events;
    struct {
        struct emlfs_msg_id id;
        uint16_t user;
        uint32_t folder;
        uint32_t folder_to; /* of a move */
    } event_keys[INGEST_EVENTS_MAX];
    unsigned events_n;
    uint32_t next_number;
    uint64_t next_seq;       /* at least: others write events, too (ingest_seq) */
    int64_t arrived_ns;      /* the last arrival_ns, or that of the store's last message */
    uint16_t store_no;       /* what next_number and dict are of */
    int64_t turn_ns;         /* when it got the turn */
    uint32_t checked_folder; /* found to be there in this turn, in which no folder goes */
    uint16_t charged_user;   /* whose messages charged_bytes are: taken since the last commit, */
    uint64_t charged_bytes;  /* so that usage may not know them yet */
    unsigned uncommitted;    /* messages and events since the last commit */
    struct emlfs_dict *dict;
    struct samples samples;
    struct emlfs_ingest_totals totals;
};

/* ---- ingest.c */

/*
 * Behind turn_take: read anew where writing goes on, since others wrote meanwhile. Errors of the
 * catalogue.
 */
int ingest_turn_begin(struct emlfs_ingest *ingest, struct emlfs_err *err);
/* Before turn_give, when everything taken is committed. */
void ingest_turn_end(struct emlfs_ingest *ingest);
/* Somebody waits for the turn (turn_hold). arg: the ingest. On their thread. */
void ingest_turn_told(void *arg);
/* May the current store take mail? EROFS. */
int current_check(struct emlfs_archive *archive, struct emlfs_err *err);

/* ---- ingest_work.c: what workers do */
void *ingest_worker_main(void *arg);
/* Split and pack for the store that is current now. */
int work_content(struct emlfs_ingest *ingest, struct emlfs_packer *packer, struct work *work);
void work_content_free(struct work *work);
void work_free(struct work *work);
/* Is sha256 archived and committed? */
int content_find(struct emlfs_archive *archive, const struct emlfs_hash *sha256, bool *ret_found,
                 struct emlfs_msg_id *ret_id, struct emlfs_err *err);

/* ---- ingest_block.c: blocks being filled, compressed and appended */
int block_accept(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err);
/* File a message of an open block once more; false when its block cannot be changed any more. */
bool block_file_again(struct emlfs_ingest *ingest, struct flight *flight, struct work *work);
struct flight *flight_find(struct emlfs_ingest *ingest, const struct emlfs_hash *sha256);
/*
 * Forget messages in flight: of failed blocks, of applied ones too (behind a commit), or all.
 * Before their blocks are released.
 */
enum flights_which {
    FLIGHTS_FAILED,
    FLIGHTS_APPLIED,
    FLIGHTS_ALL,
};
void flights_drop(struct emlfs_ingest *ingest, enum flights_which which);
void block_close(struct emlfs_ingest *ingest);
/* Append blocks whose compression is done; all: wait for those that are not. */
int blocks_append(struct emlfs_ingest *ingest, bool all, struct emlfs_err *err);
void block_unref(struct open_block *block);
void block_compress(struct ingest_worker *worker, struct open_block *block);
/* Once enough is gathered: the dictionary goes into the pack, later blocks use it. */
int dict_make(struct emlfs_ingest *ingest, struct emlfs_err *err);
void samples_reset(struct emlfs_ingest *ingest);

/* ---- ingest_commit.c: the committer */
void *ingest_committer_main(void *arg);
void block_entry_of(const struct emlfs_ingest *ingest, const struct emlfs_ingest_item *item,
                    struct block_entry *ret);
/* Who archives, for the ledger. */
const struct emlfs_actor *ingest_actor(const struct emlfs_ingest *ingest);
void ingest_fail(struct emlfs_ingest *ingest, int rc, const struct emlfs_err *err);
/*
 * A change number from which n are free, under write_lock; gap: some are left before it, for
 * events that others write until it reaches the pack.
 */
int ingest_seq(struct emlfs_ingest *ingest, unsigned n, bool gap, uint64_t *ret,
               struct emlfs_err *err);
int ingest_moves(struct emlfs_ingest *ingest, struct emlfs_err *err);
/* Everything taken so far becomes durable and is reported. */
int ingest_commit(struct emlfs_ingest *ingest, struct emlfs_err *err);

/* ---- ingest_quota.c */

/* Does the message still fit into its user's archive? It is charged then. EDQUOT. */
int quota_charge(struct emlfs_ingest *ingest, const struct work *work, struct emlfs_err *err);

#endif
