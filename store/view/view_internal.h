/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_INTERNAL_H
#define EMLFS_STORE_VIEW_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/view.h"

/* Shared by the files of store/view; nobody else includes it. */

#define VIEW_NODE_CONTROL 2u /* .emlfs */
#define VIEW_NODE_STATUS 3u  /* .emlfs/status.json */
#define VIEW_NODE_BY_ID 4u   /* .emlfs/by-id */

/* Bits 63-56 of the nodes of searches: see view.h. */
#define VIEW_TAG_SEARCHES (1ull << 56)
#define VIEW_TAG_QUERIES (2ull << 56)
#define VIEW_TAG_SAVED (3ull << 56)
#define VIEW_TAG_QUERY (4ull << 56)
#define VIEW_TAG_SEARCH_MASK (0xffull << 56)

enum view_kind {
    VIEW_NONE,
    VIEW_ROOT,
    VIEW_CONTROL,
    VIEW_STATUS,
    VIEW_BY_ID,
    VIEW_FOLDER,
    VIEW_MESSAGE,
    VIEW_SEARCHES, /* Searches of a user archive */
    VIEW_QUERIES,  /* .query of a user archive */
    VIEW_SAVED,    /* a saved search */
    VIEW_QUERY,    /* .query/TEXT */
};

/* A node id taken apart. */
struct view_node {
    enum view_kind kind;
    struct emlfs_folder_id folder; /* VIEW_FOLDER */
    struct emlfs_user_id user;     /* VIEW_MESSAGE, VIEW_SEARCHES, VIEW_QUERIES, VIEW_SAVED */
    struct emlfs_msg_id id;        /* VIEW_MESSAGE */
    uint32_t saved;                /* VIEW_SAVED */
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

/*
 * owners: direct-mapped by folder id; each slot holds id << 32 | user << 1 | top in one word, so it
 * is read and written without a lock. A folder never changes its user.
 * readers: message readers that live on between two reads; above a limit none is kept.
 */
struct emlfs_view {
    struct emlfs_view_options options;
    gid_t gid;
    atomic_uint readers;
    _Atomic uint64_t owners[VIEW_OWNER_CACHE];
    struct view_queries queries;
    atomic_uint_fast64_t epoch; /* counts the commits of the archive */
    pthread_mutex_t changed_lock;
    struct view_changed changed[VIEW_CHANGED_USERS];
};

struct view_node view_node_decode(emlfs_node node);
emlfs_node view_queries_node(struct emlfs_user_id user);
emlfs_node view_saved_node(struct emlfs_user_id user, uint32_t saved);
/* Who owns folder; -ENOENT when there is none. */
int view_owner_of(struct emlfs_view *view, struct emlfs_folder_id folder, struct view_owner *ret,
                  struct emlfs_err *err);
/* May subject read user's mail? 0; EACCES for uid 0, which sees the archive; ENOENT for others. */
int view_check_read(struct emlfs_view *view, const struct emlfs_subject *subject,
                    struct emlfs_user_id user, struct emlfs_err *err);
/* uid that owns what lies in user's archive. */
uid_t view_uid(struct emlfs_view *view, struct emlfs_user_id user);

void view_attr_fixed(struct emlfs_view *view, emlfs_node node, struct emlfs_attr *ret);
void view_attr_folder(struct emlfs_view *view, const struct emlfs_folder *folder, uid_t owner,
                      struct emlfs_attr *ret);
void view_attr_entry(struct emlfs_view *view, const struct emlfs_entry *entry, uid_t owner,
                     struct emlfs_attr *ret);
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

/* The store's errno as a file system's: damage is EIO, what has no meaning there too. */
int view_errno(int rc);

#endif
