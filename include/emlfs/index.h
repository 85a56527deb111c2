/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_H
#define EMLFS_INDEX_H

#include <stdatomic.h>

#include "emlfs/base/actor.h"
#include "emlfs/doctext.h"
#include "emlfs/feed.h"
#include "emlfs/message.h"
#include "emlfs/query.h"

/*
 * The full-text index of an archive: one per store, in its directory index/, encrypted, made from
 * the change feed and the mail alone. Removing index/ costs nothing but the time to make it again.
 * It never makes import, listing or reading wait or fail; whatever is wrong with it is repaired by
 * making it again.
 *
 * Threads: any number of searches at any time, beside one follower.
 */
struct emlfs_index;

struct emlfs_index_options {
    struct emlfs_archive *archive;
    /* Make an extractor for a thread; the index frees it. NULL: nothing is indexed, only searched.
     */
    int (*extractor)(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err);
    void *arg;
    unsigned workers;      /* extracting threads, 0: as many as processors, at most 8 */
    uint32_t memory_bytes; /* of the part not yet written, 0: 32 MiB */
    /* Something noticed (an index that is damaged and made again): one line. May be NULL. */
    void (*notice)(void *arg, const char *text);
};
/* Opens whatever is there; a damaged or outdated index of a store is dropped, with a notice. */
int emlfs_index_open(const struct emlfs_index_options *options, struct emlfs_index **ret,
                     struct emlfs_err *err);
/*
 * Stops the follower, writes what is in memory, removes what was found damaged, frees. In an
 * archive that takes no changes nothing is written.
 */
int emlfs_index_close(struct emlfs_index *index, struct emlfs_err *err);

/* Follow the archive on a thread of its own until close: new mail is found within a second. */
int emlfs_index_follow(struct emlfs_index *index, struct emlfs_err *err);
/*
 * Consume the change feed up to now (or, beside a follower, wait until it has). progress counts
 * messages. 0 up to date; -ECANCELED by progress->cancel: what was done stays; -EROFS: it is not,
 * and the archive takes no changes.
 */
int emlfs_index_catch_up(struct emlfs_index *index, const struct emlfs_progress *progress,
                         struct emlfs_err *err);
/* Nothing is waiting, and no part is damaged: _catch_up would have nothing to do. */
bool emlfs_index_is_current(struct emlfs_index *index);
/* Drop the indexes of all stores (store_no 0) or one, so that they are made again. */
int emlfs_index_reset(struct emlfs_index *index, uint16_t store_no, struct emlfs_err *err);

/* Attachment kinds that are indexed: a setting kept in the archive. _set resets nothing: messages
 * archived later are treated so; `emlfs index rebuild` treats all. */
int emlfs_index_get_kinds(struct emlfs_index *index, unsigned *ret_kinds, struct emlfs_err *err);
int emlfs_index_set_kinds(struct emlfs_index *index, const struct emlfs_actor *actor,
                          unsigned kinds, struct emlfs_err *err);

struct emlfs_index_store_status {
    uint16_t store_no;
    char name[32];
    uint64_t indexed, waiting; /* messages */
    uint64_t problems;         /* parts whose text could not be had */
    uint64_t bytes;            /* on disk */
    uint64_t text_bytes;       /* that went in */
    uint32_t segments;
    /* the commonest reasons, with counts */
    struct {
        char reason[64];
        uint64_t n;
    } reasons[16];
    unsigned reasons_n;
};
/* Of the store with the smallest number > after; -ENOENT at the end. */
int emlfs_index_status(struct emlfs_index *index, uint16_t after,
                       struct emlfs_index_store_status *ret, struct emlfs_err *err);

struct emlfs_search {
    const struct emlfs_query *query;
    struct emlfs_user_id user;        /* only messages with an entry in this user's archive */
    struct emlfs_msg_id above, below; /* only above.v < id.v < below.v; 0: no limit */
    const atomic_bool *cancel;        /* may be NULL */
};
/*
 * Call each for every message that matches, newest (highest id) first; non-zero stops and is
 * returned. The caller decides about rights: results are those of user's archive. Costs no more
 * than what is looked at: stopping early is cheap. -EINVAL: the query has no terms or too many;
 * -ECANCELED. -EBADMSG, -EUCLEAN, -EIO: damage was met in the index of a store; results so far may
 * be incomplete, the follower makes that index again, repeat the search then.
 */
int emlfs_index_search(struct emlfs_index *index, const struct emlfs_search *search,
                       int (*each)(void *arg, struct emlfs_msg_id id), void *arg,
                       struct emlfs_err *err);
/*
 * Does query match this one message of user's archive? 1, 0, or -EAGAIN: the index does not know
 * the message yet; otherwise as _search.
 */
int emlfs_index_matches(struct emlfs_index *index, const struct emlfs_query *query,
                        struct emlfs_user_id user, struct emlfs_msg_id id, struct emlfs_err *err);
/*
 * Does the index know this message as it is now, and all messages of its store before it? Then what
 * a search that begins now does not find does not match.
 */
bool emlfs_index_knows(struct emlfs_index *index, struct emlfs_msg_id id);
/*
 * The envelopes of n messages, as emlfs_facts_encode_envelope made them when the messages were
 * indexed, into ret[i] (each cleared first). Empty: the index has none, ask the message. Rights are
 * the caller's business. Neighbours in order are cheap.
 */
void emlfs_index_envelopes(struct emlfs_index *index, const struct emlfs_msg_id *ids, unsigned n,
                           struct emlfs_buf *ret);
/* Number of matches. */
int emlfs_index_count(struct emlfs_index *index, const struct emlfs_search *search, uint64_t *ret_n,
                      struct emlfs_err *err);

#endif
