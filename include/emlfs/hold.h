/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_HOLD_H
#define EMLFS_HOLD_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"

/*
 * Legal holds: a message under any hold in force is neither deleted nor moved, whatever retention
 * says. A hold is placed once and released once; its record stays for ever. Any thread.
 */

#define EMLFS_HOLD_NAME_MAX_BYTES 120u
#define EMLFS_HOLD_QUERY_MAX_BYTES 2048u
#define EMLFS_HOLD_REASON_MAX_BYTES 500u
#define EMLFS_HOLD_ACTOR_MAX_BYTES 64u

enum emlfs_hold_scope {
    EMLFS_HOLD_MESSAGES = 1, /* those that hold messages name (emlfs_hold_message) */
    EMLFS_HOLD_QUERY = 2,    /* what matches now or later */
    EMLFS_HOLD_ALL = 3,      /* the global hold: everything */
};

struct emlfs_hold {
    uint32_t id; /* never used again; not 0 */
    enum emlfs_hold_scope scope;
    int64_t placed_ns;
    int64_t released_ns;                        /* only when released */
    bool released;                              /* says nothing any more, and stays so */
    char name[EMLFS_HOLD_NAME_MAX_BYTES + 1];   /* unique among the holds in force: Holds/NAME */
    char query[EMLFS_HOLD_QUERY_MAX_BYTES + 1]; /* not empty exactly with EMLFS_HOLD_QUERY */
    char placed_by[EMLFS_HOLD_ACTOR_MAX_BYTES + 1];
    char released_by[EMLFS_HOLD_ACTOR_MAX_BYTES + 1]; /* only when released */
    char reason[EMLFS_HOLD_REASON_MAX_BYTES + 1];
    char release_reason[EMLFS_HOLD_REASON_MAX_BYTES + 1]; /* only when released */
};

struct emlfs_hold_set {
    const struct emlfs_hold *v; /* the released ones may be there, too */
    size_t n;
};

/* Does hold name the message, or its query match it? 1, 0, or -errno: cannot be told. */
typedef int emlfs_hold_match_fn(void *arg, const struct emlfs_hold *hold);

#define EMLFS_HELD_NAMED_MAX 16u
struct emlfs_held {
    bool held;
    size_t n;                           /* holds in force that cover the message */
    size_t first[EMLFS_HELD_NAMED_MAX]; /* indexes of the first of them */
};
/*
 * All holds that cover a message. match is asked for holds in force that are not global. An error
 * of match is returned after all holds were asked, with held true: what cannot be told is kept.
 */
int emlfs_hold_of(const struct emlfs_hold_set *set, emlfs_hold_match_fn *match, void *arg,
                  struct emlfs_held *ret);

/*
 * May the row before (NULL: none yet) become after? A hold begins in force; then it may only be
 * released, once, not before it was placed, and nothing else in it changes. others are the holds
 * that exist: their names must not be taken while in force. EPERM, EINVAL, EEXIST.
 */
int emlfs_hold_change_check(const struct emlfs_hold *before, const struct emlfs_hold *after,
                            const struct emlfs_hold_set *others, struct emlfs_err *err);

/* ---- master rows: holds, key u32 be id; messages of a hold, key u32 be hold and u64 be message */

#define EMLFS_HOLD_ROW_MAX_BYTES 8192u
#define EMLFS_HOLD_MESSAGE_ROW_MAX_BYTES 256u

/* A message named by a hold. Such rows are added while the hold is in force and never removed. */
struct emlfs_hold_message {
    uint32_t hold;
    struct emlfs_msg_id id;
    int64_t added_ns;
    char added_by[EMLFS_HOLD_ACTOR_MAX_BYTES + 1];
};

/* Replaces the content of ret_value. EINVAL: not a hold that _decode would take. -ENOMEM. */
int emlfs_hold_encode(const struct emlfs_hold *hold, struct emlfs_buf *ret_value);
/* -EUCLEAN: impossible; -EPROTONOSUPPORT: a newer form. */
int emlfs_hold_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_hold *ret);
/* Replaces the content of both buffers. EINVAL, -ENOMEM. */
int emlfs_hold_message_encode(const struct emlfs_hold_message *message, struct emlfs_buf *ret_key,
                              struct emlfs_buf *ret_value);
/* As emlfs_hold_decode. */
int emlfs_hold_message_decode(struct emlfs_span key, struct emlfs_span value,
                              struct emlfs_hold_message *ret);

#endif
