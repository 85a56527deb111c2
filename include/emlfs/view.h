/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_VIEW_H
#define EMLFS_VIEW_H

#include <sys/stat.h>

#include "emlfs/archive.h"
#include "emlfs/policy.h"

/*
 * The tree as a user sees it, without FUSE. Node ids are computed, never tabled, so forgetting a
 * node is free and the same node has the same id in every process:
 *
 *   1                                   the root
 *   bits 63-62 = 00, small numbers      fixed nodes: .emlfs, status.json, by-id
 *   bits 63-62 = 01, bits 31-0          folder (and user archive) by folder id
 *   bit 63 = 1, 62-47 user, 46-32 store, 31-0 number   message in a user archive
 *
 * st_ino is the node id for directories, and for messages the message id with bit 63 set: the same
 * for every user archive, so hard links show as such.
 *
 * Every call decides by subject, whatever the kernel's mode check said before.
 */
typedef uint64_t emlfs_node;
#define EMLFS_NODE_ROOT 1u

struct emlfs_view;
struct emlfs_view_options {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    bool private_names; /* hide the top directories of user archives from other accounts */
    bool strict_root;   /* uid 0 is refused even by attribute caches: shorter time-outs */
    /* Text of .emlfs/status.json; called at open. */
    int (*status)(void *arg, struct emlfs_buf *ret_json);
    void *status_arg;
};
int emlfs_view_new(const struct emlfs_view_options *options, struct emlfs_view **ret,
                   struct emlfs_err *err);
void emlfs_view_free(struct emlfs_view *view);

struct emlfs_attr {
    emlfs_node node;
    struct stat st;   /* complete, for the reply */
    bool shared;      /* every caller who gets here sees the same: may be cached long */
    bool name_shared; /* so does the name under which it was found */
};
/* errno as DESIGN's table: ENOENT where the caller may not know, EACCES, EIO for damage. */
int emlfs_view_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                      emlfs_node parent, const char *name, struct emlfs_attr *ret,
                      struct emlfs_err *err);
int emlfs_view_getattr(struct emlfs_view *view, const struct emlfs_subject *subject,
                       emlfs_node node, struct emlfs_attr *ret, struct emlfs_err *err);
/* May subject open node for reading (file or directory)? 0, EACCES, ENOENT. */
int emlfs_view_access(struct emlfs_view *view, const struct emlfs_subject *subject, emlfs_node node,
                      struct emlfs_err *err);

/* Directory handle: belongs to one open; calls are serialised by the caller. */
struct emlfs_view_dir;
int emlfs_view_dir_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                        emlfs_node node, struct emlfs_view_dir **ret, struct emlfs_err *err);
void emlfs_view_dir_free(struct emlfs_view_dir *dir);
/*
 * The entry after position off (0: the first), in an order stable under insertion and deletion.
 * "." and ".." are included (attr of the node itself / its parent, only st_ino and mode set).
 * *ret_off: position of this entry, to go on from. -ENOENT at the end. *ret_name borrowed till the
 * next call.
 */
int emlfs_view_dir_next(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                        struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err);

/* File handle. */
struct emlfs_view_file;
int emlfs_view_file_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, struct emlfs_view_file **ret, struct emlfs_err *err);
/* Threads may share one. -EIO on damage, with err naming the object. */
ssize_t emlfs_view_file_pread(struct emlfs_view_file *file, void *data, size_t len, uint64_t offset,
                              struct emlfs_err *err);
void emlfs_view_file_free(struct emlfs_view_file *file);
/* The message behind a node; false for other nodes. And the directory node of a folder id. */
bool emlfs_view_node_message(emlfs_node node, struct emlfs_user_id *ret_user,
                             struct emlfs_msg_id *ret_id);
emlfs_node emlfs_view_message_node(struct emlfs_user_id user, struct emlfs_msg_id id);
/* True for a directory whose listing is the same for every caller who may open it. */
bool emlfs_view_node_dir_shared(emlfs_node node);
emlfs_node emlfs_view_folder_node(struct emlfs_folder_id folder);

#endif
