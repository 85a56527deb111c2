/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_INTERNAL_H
#define EMLFS_STORE_VIEW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/view.h"

/* Shared by the files of store/view; nobody else includes it. */

#define VIEW_NODE_CONTROL 2u    /* .emlfs */
#define VIEW_NODE_STATUS 3u     /* .emlfs/status.json */
#define VIEW_NODE_BY_ID 4u      /* .emlfs/by-id */
#define VIEW_NODE_AUDIT 5u      /* .emlfs/audit */
#define VIEW_NODE_CHECKPOINT 6u /* .emlfs/checkpoint */
#define VIEW_NODE_EXPLAIN 7u    /* .emlfs/explain */
#define VIEW_NODE_DUE 8u        /* .emlfs/due */
#define VIEW_NODE_HOLDS 9u      /* Holds */

/* Bits 63-56 of the nodes of searches and what else has a number: see view.h. */
#define VIEW_TAG_SEARCHES (1ull << 56)
#define VIEW_TAG_QUERIES (2ull << 56)
#define VIEW_TAG_SAVED (3ull << 56)
#define VIEW_TAG_QUERY (4ull << 56)
#define VIEW_TAG_HOLD (5ull << 56)
#define VIEW_TAG_DUE_DAY (6ull << 56)
#define VIEW_TAG_EXPLAINED (7ull << 56)
#define VIEW_TAG_PART (8ull << 56)
#define VIEW_TAG_SAVED_PART (9ull << 56)
#define VIEW_TAG_TOP_BOX (10ull << 56)
#define VIEW_TAG_MASK (0xffull << 56)

enum view_kind {
    VIEW_NONE,
    VIEW_ROOT,
    VIEW_CONTROL,
    VIEW_STATUS,
    VIEW_BY_ID,
    VIEW_AUDIT,
    VIEW_CHECKPOINT,
    VIEW_EXPLAIN,
    VIEW_DUE,
    VIEW_HOLDS,
    VIEW_FOLDER,
    VIEW_MESSAGE,
    VIEW_SEARCHES,  /* Searches of a user archive */
    VIEW_QUERIES,   /* .query of a user archive */
    VIEW_SAVED,     /* a saved search */
    VIEW_QUERY,     /* .query/TEXT */
    VIEW_HOLD,      /* Holds/NAME */
    VIEW_DUE_DAY,   /* .emlfs/due/DAY.txt */
    VIEW_EXPLAINED, /* .emlfs/explain/ID */
    /* In a maildir: */
    VIEW_PART,       /* cur, new or tmp of a folder */
    VIEW_SAVED_PART, /* cur, new or tmp of a saved search */
    VIEW_TOP_BOX,    /* what lies in a top folder, as a maildir */
};

/* A node id taken apart. */
struct view_node {
    enum view_kind kind;
    struct emlfs_folder_id folder; /* VIEW_FOLDER, VIEW_PART, VIEW_TOP_BOX */
    struct emlfs_user_id user;     /* VIEW_MESSAGE, VIEW_SEARCHES, VIEW_QUERIES, VIEW_SAVED... */
    struct emlfs_msg_id id;        /* VIEW_MESSAGE, VIEW_EXPLAINED */
    uint32_t saved;                /* VIEW_SAVED...; the hold; of VIEW_DUE_DAY the day */
    unsigned part;                 /* VIEW_PART, VIEW_SAVED_PART: VIEW_CUR... */
    emlfs_node text;               /* VIEW_QUERY: the node itself */
};

/* What never changes about a folder. */
struct view_owner {
    struct emlfs_user_id user;
    bool top; /* the user archive itself */
};

#define VIEW_OWNER_CACHE 4096u

#define VIEW_QUERY_TEXTS 1024u
#define VIEW_QUERY_NAME_MAX 255u /* bytes of a name below .query */

struct view_query_slot {
    emlfs_node node; /* 0: empty */
    struct emlfs_user_id user;
    char *text;
    uint64_t used;
};
struct view_queries {
    pthread_mutex_t lock; /* guards all below; a leaf */
    struct view_query_slot *slots;
    uint64_t now;
};

/* When the mail of a user last changed: what directories of results show as their time. */
#define VIEW_CHANGED_USERS 16u
struct view_changed {
    struct emlfs_user_id user;
    uint64_t epoch;      /* the archive's when it was found out */
    int64_t found_at_ns; /* monotonic */
    int64_t changed_ns;
};

/* Who was refused a user archive at a look-up, and when that was last recorded. */
#define VIEW_STRANGERS 256u
struct view_stranger {
    uid_t uid;
    struct emlfs_user_id user;
    int64_t told_ns; /* monotonic; 0: empty */
};

/*
 * owners: direct-mapped by folder id; each slot holds id << 32 | user << 1 | top in one word, so it
 * is read and written without a lock. A folder never changes its user.
 * readers: message readers that live on between two reads; above a limit none is kept.
 */
struct emlfs_view {
    struct emlfs_view_options options;
    struct emlfs_user_id scope_user; /* whose folder the root is */
    bool scope_whole;                /* it is the whole user archive */
    atomic_uint readers;
    _Atomic uint64_t owners[VIEW_OWNER_CACHE];
    struct view_queries queries;
    atomic_uint_fast64_t epoch;   /* counts the commits of the archive */
    pthread_mutex_t changed_lock; /* guards all below; a leaf */
    struct view_changed changed[VIEW_CHANGED_USERS];
    struct view_stranger strangers[VIEW_STRANGERS];
    struct view_ahead *ahead; /* view_maildir.c's; NULL in a tree */
};

struct view_node view_node_decode(emlfs_node node);
bool view_kind_is_file(enum view_kind kind);
/* In a view of the past (asof.h) there is nothing of what is governed now. */
bool view_hides(const struct emlfs_view *view, enum view_kind kind);
emlfs_node view_queries_node(struct emlfs_user_id user);
emlfs_node view_saved_node(struct emlfs_user_id user, uint32_t saved);
emlfs_node view_hold_node(uint32_t hold);
emlfs_node view_due_node(uint32_t day);
emlfs_node view_explained_node(struct emlfs_msg_id id);
/* Who owns folder; -ENOENT when there is none. */
int view_owner_of(struct emlfs_view *view, struct emlfs_folder_id folder, struct view_owner *ret,
                  struct emlfs_err *err);

/* ---- rights: view_rights.c */

/* The one question: emlfs_rules_check. */
int view_check(struct emlfs_view *view, const struct emlfs_subject *subject,
               const struct emlfs_target *target, enum emlfs_access_call call,
               struct emlfs_err *err);
/* Of something in user's archive that belongs to no message. */
int view_check_user(struct emlfs_view *view, const struct emlfs_subject *subject,
                    enum emlfs_object kind, struct emlfs_user_id user, enum emlfs_access_call call,
                    struct emlfs_err *err);
/* What the node is to the rules; -ENOENT, -ESTALE. */
int view_target(struct emlfs_view *view, const struct view_node *at, struct emlfs_target *ret,
                struct emlfs_err *err);
struct emlfs_target view_target_message(struct emlfs_user_id user, struct emlfs_msg_id id);
struct emlfs_target view_target_folder(const struct view_owner *owner);
/* Record a refusal that is worth it; rc is returned as it is. */
struct view_attempt {
    const struct emlfs_subject *subject;
    struct emlfs_target target;
    struct emlfs_folder_id folder;
    struct emlfs_msg_id message;
    enum emlfs_access_call call;
    const char *name; /* may be NULL */
};
int view_refused(struct emlfs_view *view, const struct view_attempt *attempt, int rc);
/* A look-up in user's archive was refused: recorded now and then. rc is returned. */
int view_refused_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                        struct emlfs_user_id user, int rc);
struct emlfs_actor view_actor(struct emlfs_view *view, const struct emlfs_subject *subject);
/* Record that a message was opened, or a search run, where that is wanted. -EIO: it cannot be. */
int view_record_read(struct emlfs_view *view, const struct emlfs_subject *subject,
                     const struct view_node *at, struct emlfs_err *err);
int view_record_search(struct emlfs_view *view, const struct emlfs_subject *subject,
                       struct emlfs_user_id user, const char *text, struct emlfs_err *err);

/* ---- attributes */

/* How a user archive is shown. */
struct view_shape {
    struct emlfs_shape s; /* directory without w where no store takes changes */
    mode_t searches;      /* permission bits of Searches */
};
void view_shape_of(struct emlfs_view *view, struct emlfs_user_id user, struct view_shape *ret);
/* Which of the n entries of one user archive show as deletable. */
void view_loose_of(struct emlfs_view *view, const struct view_shape *shape,
                   const struct emlfs_entry *entries, unsigned n, bool *ret);
void view_attr_fixed(struct emlfs_view *view, emlfs_node node, struct emlfs_attr *ret);
void view_attr_folder(struct emlfs_view *view, const struct emlfs_folder *folder,
                      const struct view_shape *shape, struct emlfs_attr *ret);
void view_attr_entry(struct emlfs_view *view, const struct emlfs_entry *entry,
                     const struct view_shape *shape, bool loose, struct emlfs_attr *ret);
/* As view_attr_entry, for one: finds out the rest. */
void view_attr_one(struct emlfs_view *view, const struct emlfs_subject *subject,
                   const struct emlfs_entry *entry, struct emlfs_attr *ret);
void view_attr_one_folder(struct emlfs_view *view, const struct emlfs_folder *folder,
                          struct emlfs_attr *ret);
/* With retention_atime: the earliest date as subject may know it. */
void view_attr_retention(struct emlfs_view *view, const struct emlfs_subject *subject,
                         const struct emlfs_entry *entry, struct emlfs_attr *ret);

/*
 * The node of .query/text of user, kept; -ENOMEM. And back: -ESTALE when it was given up since.
 */
int view_queries_init(struct view_queries *queries);
void view_queries_free(struct view_queries *queries);
int view_query_put(struct view_queries *queries, struct emlfs_user_id user, const char *text,
                   emlfs_node *ret);
int view_query_get(struct view_queries *queries, emlfs_node node, struct emlfs_user_id *ret_user,
                   char ret_text[VIEW_QUERY_NAME_MAX + 1]);
/* The last change of membership in any folder of user; a second late at most. */
int64_t view_changed_ns(struct emlfs_view *view, struct emlfs_user_id user);

/* ---- by-id and explain */

/* Any entry of message id in an archive that subject sees; -ENOENT. */
int view_entry_seen(struct emlfs_view *view, const struct emlfs_subject *subject,
                    struct emlfs_msg_id id, struct emlfs_entry *ret, struct emlfs_err *err);

/* The store's errno as a file system's: damage is EIO, what has no meaning there too. */
int view_errno(int rc);
/* The same of a message that is moved. */
int view_move_errno(int rc);

#include "view_scope.h"

#endif
