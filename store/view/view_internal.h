/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_INTERNAL_H
#define EMLFS_STORE_VIEW_INTERNAL_H

#include <stdatomic.h>

#include "emlfs/view.h"

/* Shared by the files of store/view; nobody else includes it. */

#define VIEW_NODE_CONTROL 2u /* .emlfs */
#define VIEW_NODE_STATUS 3u  /* .emlfs/status.json */
#define VIEW_NODE_BY_ID 4u   /* .emlfs/by-id */

enum view_kind {
    VIEW_NONE,
    VIEW_ROOT,
    VIEW_CONTROL,
    VIEW_STATUS,
    VIEW_BY_ID,
    VIEW_FOLDER,
    VIEW_MESSAGE,
};

/* A node id taken apart. */
struct view_node {
    enum view_kind kind;
    struct emlfs_folder_id folder; /* VIEW_FOLDER */
    struct emlfs_user_id user;     /* VIEW_MESSAGE */
    struct emlfs_msg_id id;        /* VIEW_MESSAGE */
};

/* What never changes about a folder. */
struct view_owner {
    struct emlfs_user_id user;
    bool top; /* the user archive itself */
};

#define VIEW_OWNER_CACHE 4096u

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
};

struct view_node view_node_decode(emlfs_node node);
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
/* The store's errno as a file system's: damage is EIO, what has no meaning there too. */
int view_errno(int rc);

#endif
