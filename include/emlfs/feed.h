/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FEED_H
#define EMLFS_FEED_H

#include "emlfs/archive.h"

/*
 * The change feed: what followers of the archive (the index) read to keep up. The archive does not
 * know its followers; each keeps the last sequence number it has consumed. All of it may be called
 * from any thread; none of it waits for the writer.
 */
enum emlfs_change_kind {
    EMLFS_CHANGE_MESSAGES = 1, /* n new messages from first on, with their first entries */
    EMLFS_CHANGE_FILED = 2,    /* first now also has an entry in folder */
    EMLFS_CHANGE_UNFILED = 3,  /* first has no entry in folder any more */
    EMLFS_CHANGE_MOVED = 4,    /* first got an entry in folder, by a move; the folder it left has an
                                  UNFILED of its own, which whoever moves writes in the same commit */
};
struct emlfs_change {
    uint64_t seq; /* of the change, ascending in its store from 1, perhaps with gaps */
    enum emlfs_change_kind kind;
    struct emlfs_msg_id first; /* a message of the store that was asked for */
    uint32_t n;
    struct emlfs_folder_id folder; /* 0 with MESSAGES */
};
/*
 * The committed changes of store with seq > after, in order, at most max. Returns how many (0: up
 * to date), or negative: -ENOENT no such store; -EUCLEAN.
 */
int emlfs_archive_changes(struct emlfs_archive *archive, uint16_t store_no, uint64_t after,
                          struct emlfs_change *ret, unsigned max, struct emlfs_err *err);
/* The last sequence number of store's committed changes, 0: none yet. */
int emlfs_archive_last_change(struct emlfs_archive *archive, uint16_t store_no, uint64_t *ret_seq,
                              struct emlfs_err *err);

/*
 * Where a message is filed now. -ENOENT: no entry (never there, or removed everywhere); -E2BIG:
 * more than max, which EMLFS_FILINGS_MAX excludes.
 */
struct emlfs_filing {
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
};
#define EMLFS_FILINGS_MAX 4096u
int emlfs_archive_filings(struct emlfs_archive *archive, struct emlfs_msg_id id,
                          struct emlfs_filing *ret, unsigned max, unsigned *ret_n,
                          struct emlfs_err *err);
/*
 * One entry of each of n messages (any store, n <= 1024) in user's archive, the one with the
 * lowest folder id; ret[i].id is 0 where the user has none. Chunks of the catalogue are decoded
 * once per call, so asking for many neighbouring messages at once costs little.
 */
int emlfs_archive_entries_of(struct emlfs_archive *archive, struct emlfs_user_id user,
                             const struct emlfs_msg_id *ids, unsigned n, struct emlfs_entry *ret,
                             struct emlfs_err *err);

/* The owner of a folder, also of one that was removed. -ENOENT: never made. */
int emlfs_archive_folder_owner(struct emlfs_archive *archive, struct emlfs_folder_id id,
                               struct emlfs_user_id *ret, struct emlfs_err *err);

/* A store, as far as followers need it. */
struct emlfs_store_place {
    uint16_t no;
    uint32_t messages; /* numbers 1...messages are given out */
    char name[32];     /* directory name below stores/ */
    char path[4096];   /* of the store's directory */
    struct emlfs_key
        index_key; /* HKDF(master, store number as u16, "emlfs store index"); wipe it */
};
/*
 * The store with the smallest number > after; -ENOENT at the end. Stores whose directory is not
 * there are passed over; others that are not shown (stores.h) are not: nothing of them can be read,
 * but they may be shown again.
 */
int emlfs_archive_store_next(struct emlfs_archive *archive, uint16_t after,
                             struct emlfs_store_place *ret, struct emlfs_err *err);

/*
 * Called after each commit, on the committing thread, after change notices: must only wake
 * somebody. -ENOSPC: there are EMLFS_WATCHERS_MAX already. _unwatch returns when no call is under
 * way any more.
 */
#define EMLFS_WATCHERS_MAX 72u
int emlfs_archive_watch(struct emlfs_archive *archive, void (*fn)(void *arg), void *arg);
void emlfs_archive_unwatch(struct emlfs_archive *archive, void (*fn)(void *arg), void *arg);

#endif
