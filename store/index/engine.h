/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_ENGINE_H
#define EMLFS_INDEX_ENGINE_H

#include <pthread.h>

#include "cache.h"
#include "emlfs/index.h"
#include "manifest.h"
#include "segment.h"

/*
 * Lock order: emlfs_index.work, shelf.change, shelf.lock, then those of segments, cache and
 * archive. emlfs_index.lock is a leaf. Searches take shelf.lock only, for a few instructions.
 * What each lock guards: I-SHELF-5 in shelf.c; emlfs_index.shelves is written with work and lock
 * held and read with either.
 */
#define SHELF_PATH_BYTES 4200u

/* ---- shelf.c: the index of one store */

/* A segment in use. Freed with its last reference. */
struct part {
    atomic_uint refs;
    uint64_t serial; /* of this process, never used twice */
    uint32_t no;     /* of its file, 0: in memory */
    struct segment *segment;
    struct memseg *mem; /* owned; NULL: a file */
    struct cache *cache;
};
void part_unref(struct part *part);

/* The segments of a store as they are at one moment, oldest first, the one in memory last. */
struct snapshot {
    uint64_t drops; /* of the shelf then */
    unsigned n;
    struct part *v[];
};
void snapshot_free(struct snapshot *snapshot);

struct shelf {
    struct emlfs_index *index;
    uint16_t no;
    char name[32];
    char dir[SHELF_PATH_BYTES];
    struct emlfs_key key;
    pthread_mutex_t change; /* one at a time changes files and manifest */
    pthread_mutex_t lock;   /* guards what follows, I-SHELF-5 */
    struct part **parts;    /* files, in the order of the manifest */
    unsigned parts_n;
    struct part *mem;      /* NULL: nothing in memory */
    struct manifest saved; /* as on disk */
    struct manifest live;  /* counts with what is in memory; names no segments */
    uint32_t next_no;      /* of a file */
    uint64_t drops;        /* how often everything was dropped */
    atomic_bool damaged;   /* drop it and make it again; set under lock */
    /* Of whoever holds emlfs_index.work alone: */
    unsigned remakes; /* for damage, lately */
    int64_t remade_ns;
    uint32_t failing_doc; /* its text could not be had for want of memory, so often */
    unsigned failures;
};
struct emlfs_store_place;
int shelf_open(struct emlfs_index *index, const struct emlfs_store_place *place, struct shelf **ret,
               struct emlfs_err *err);
void shelf_close(struct shelf *shelf);
int shelf_snapshot(struct shelf *shelf, struct snapshot **ret);
/* Forget everything, on disk too. */
int shelf_drop(struct shelf *shelf, struct emlfs_err *err);
/*
 * A search or merge met damage in what it took when so many drops were done: notes it, to be
 * dropped by whoever follows.
 */
void shelf_damage(struct shelf *shelf, uint64_t drops, const struct emlfs_err *err);
/* Drop what is damaged, but not for ever: -EIO when that did not help again and again. */
int shelf_remake(struct shelf *shelf, struct emlfs_err *err);
bool errno_is_damage(int rc);
/* Something is not in files yet; and how many documents. */
bool shelf_unsaved(struct shelf *shelf, uint64_t *ret_docs);
/* The part in memory, made when there is none. Only the follower. */
int shelf_memory(struct shelf *shelf, struct part **ret);
/* Write what is in memory as a file, and the manifest. */
int shelf_flush(struct shelf *shelf, struct emlfs_err *err);

/* ---- shelf.c, merge_policy.c */

/* Which neighbours v[*ret_at ... +*ret_n) of segments of such sizes should become one. */
bool merge_choose(const uint64_t *bytes, unsigned n, unsigned *ret_at, unsigned *ret_n);
/* One merge when one is due. 1: merged, 0: nothing to do. */
int shelf_merge(struct shelf *shelf, const atomic_bool *cancel, struct emlfs_err *err);

/* ---- index.c */

struct follower;
struct folder_tree;

struct emlfs_index {
    struct emlfs_index_options options;
    bool writable; /* it may write: the archive is not open for reading only */
    struct cache *cache;
    atomic_uint_fast64_t serial;
    /* Work on the index (consume, drop) is done by whoever holds this; waiting counts who wants. */
    pthread_mutex_t work;
    atomic_uint waiting;
    pthread_mutex_t lock;   /* guards shelves and what the follower is told */
    pthread_cond_t wake;    /* the follower: something to do. Others: it has done something */
    struct shelf **shelves; /* ascending store numbers; only grows */
    unsigned shelves_n;
    bool stop, woken;
    uint64_t asked, answered; /* rounds that were asked for, and that are done */
    int answer;               /* of the last round */
    struct emlfs_err answer_err;
    struct follower *follower; /* NULL: nobody follows */
    pthread_mutex_t tree_lock; /* folders.c */
    struct folder_tree *tree;
    atomic_uint_fast64_t commits; /* seen, so that the tree is read again after one */
};
void index_notice(struct emlfs_index *index, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Find new stores. */
int index_refresh(struct emlfs_index *index, struct emlfs_err *err);
/* Shelf number at, or NULL behind the last. */
struct shelf *index_shelf(struct emlfs_index *index, unsigned at);
/* Of the store that a message is in, or NULL. */
struct shelf *index_shelf_of(struct emlfs_index *index, struct emlfs_msg_id id);
void index_wake(struct emlfs_index *index);
/* The right to work on the index; a follower at work hands it over soon. */
void index_work_take(struct emlfs_index *index);
void index_work_leave(struct emlfs_index *index);

/* ---- gone.c */

/* The message has no entry anywhere; of a store that is not shown, too. */
bool message_is_gone(struct emlfs_archive *archive, struct emlfs_msg_id id);

/* ---- follow.c */

struct extracting;
/* Consume changes of all stores, a slice of each. *ret_more: there may be more. */
struct round {
    struct emlfs_index *index;
    struct extracting *extracting;
    const struct emlfs_progress *progress; /* may be NULL */
    const atomic_bool *stop;               /* may be NULL */
    bool more;
    uint64_t consumed;
};
int round_run(struct round *round, struct emlfs_err *err);
int follower_start(struct emlfs_index *index, struct emlfs_err *err);
void follower_stop(struct emlfs_index *index);

#endif
