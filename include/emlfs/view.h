/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_VIEW_H
#define EMLFS_VIEW_H

#include <sys/stat.h>

#include "emlfs/archive.h"
#include "emlfs/index.h"
#include "emlfs/rules.h"
#include "emlfs/saved.h"
#include "emlfs/view_scope.h"

/*
 * The tree as a user sees it, without FUSE. Node ids are computed, never tabled, so forgetting a
 * node is free and the same node has the same id in every process:
 *
 *   1                                   the root
 *   bits 63-62 = 00, small numbers      fixed nodes: .emlfs and what it lists, Holds
 *   bits 63-56 = 1, 47-32 user          Searches of a user archive
 *   bits 63-56 = 2, 47-32 user          .query of a user archive
 *   bits 63-56 = 3, 47-32 user, 31-0    a saved search by its id
 *   bits 63-56 = 4, 55-0                .query/TEXT: a hash of user and text
 *   bits 63-56 = 5, 31-0                Holds/NAME by the id of the hold
 *   bits 63-56 = 6, 31-0                .emlfs/due/DAY.txt: days since 1970
 *   bits 63-56 = 7, 55-40 store, 31-0   .emlfs/explain/ID: message
 *   bits 63-56 = 8, 55-48 part, 31-0    of a maildir, cur (1), new (2), tmp (3): folder id
 *   bits 63-56 = 9, 55-48 part, 47-32 user, 31-0   the same of a saved search by its id
 *   bits 63-56 = 10, 31-0               the maildir of what lies in a user archive's top folder
 *   bits 63-56 = 15, below a number     a file that is being written: fs/stage.h; none of the view
 *   bits 63-62 = 01, bits 31-0          folder (and user archive) by folder id
 *   bit 63 = 1, 62-47 user, 46-32 store, 31-0 number   message in a user archive
 *
 * st_ino is the node id for directories, and for messages the message id with bit 63 set: the same
 * for every user archive, so hard links show as such. Where there are searches, st_nlink counts one
 * more than the entries of the message: a number that is stable and true for tools, which ask only
 * whether there may be another name.
 *
 * The one exception to "computed": the view keeps the last 1,024 texts that were looked up in any
 * .query. Each costs its length and some 50 bytes. When one more comes, the one that was not used
 * for longest is forgotten, and its node answers ESTALE: the kernel then looks the name up again,
 * which gives the same node.
 *
 * Searches (listed) and .query (not listed) lie below each user archive. A search is a directory of
 * the entries that match when it is looked at, newest first, with the names, nodes and attributes
 * that they have in the folders.
 *
 * Holds, at the root, is there for administrators and auditors: a directory of the holds in force,
 * each a directory of the messages that it covers and that the caller may read, under the names and
 * nodes that they have in the folders. .emlfs/audit and .emlfs/due are theirs, too: the newest
 * records of the ledger, and for each day of the coming year what its policy deletes then (what is
 * due already stands under today; of mail that the caller may not read, only whose it is and its
 * id). .emlfs/explain/ID says to who may read a message when it may be
 * deleted and why. These files are made when they are opened and tell no size.
 *
 * A view of an archive of the past (asof.h) has neither searches nor Holds, nor .emlfs/audit,
 * checkpoint, due and explain, and changes nothing (EROFS); opening a message that was taken out of
 * its user archive since is EIDRM. The rules are those of the live archive.
 *
 * Every call decides by subject, whatever the kernel's mode check said before.
 *
 * With EMLFS_LAYOUT_MAILDIR the same mail is shown to IMAP servers: each folder and each saved
 * search is a maildir (cur, new, tmp), folders in folders are directories in directories, and
 * nothing can be changed through it: EROFS, and never EPERM, which servers take for "a directory".
 * Rights are asked as in the other layout; modes are the same without w. Messages are the same
 * nodes; their names are made of archive time, id and size, and stay while the message stays in the
 * folder. A user archive's folder that is called INBOX in any case is INBOX; where there is none,
 * what lies directly in the user archive is, and otherwise that is Unfiled, if there is any. A
 * folder or search whose name has a meaning of its own (cur, new, tmp, Unfiled) has a "_" before
 * it, and one more where it begins with such. cur's mtime is another one after each message that
 * came or went.
 */
typedef uint64_t emlfs_node;
#define EMLFS_NODE_ROOT 1u

struct emlfs_view;
enum emlfs_layout {
    EMLFS_LAYOUT_TREE,
    EMLFS_LAYOUT_MAILDIR,
};
struct emlfs_view_options {
    enum emlfs_layout layout;
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_index *index; /* NULL: there are no searches */
    struct emlfs_saved *saved; /* NULL exactly when index is */
    struct emlfs_view_scope scope;
    bool read_only;       /* nothing is changed through this view */
    bool private_names;   /* hide the top directories of user archives from other accounts */
    bool strict_root;     /* uid 0 is refused even by attribute caches: shorter time-outs */
    bool retention_atime; /* atime of a message: its earliest deletion date, 0: none */
    bool acl;             /* system.posix_acl_access is shown */
    bool xattr;           /* user.emlfs.* are */
    /* Text of .emlfs/status.json; called at open. */
    int (*status)(void *arg, struct emlfs_buf *ret_json);
    void *status_arg;
};
/* ENOENT: no such folder as the root. EINVAL: maildirs of a scope. */
int emlfs_view_new(const struct emlfs_view_options *options, struct emlfs_view **ret,
                   struct emlfs_err *err);
void emlfs_view_free(struct emlfs_view *view);

struct emlfs_attr {
    emlfs_node node;
    struct stat st;   /* complete, for the reply */
    bool shared;      /* every caller who gets here sees the same: may be cached long */
    bool brief;       /* the attributes may be a second old */
    bool name_shared; /* so does the name under which it was found */
    bool name_brief;  /* the name was right just now, and is forgotten after seconds */
};
/*
 * errno as DESIGN's table: ENOENT where the caller may not know, EACCES, EIO for damage; below
 * .query EINVAL for what is no query, ENAMETOOLONG, ESTALE.
 */
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

/* From now on -EINTR from _next when *cancel is set while it searches. NULL: never. */
void emlfs_view_dir_cancel(struct emlfs_view_dir *dir, const atomic_bool *cancel);

/*
 * Changes, within rights, store states, retention and holds; refusals are recorded. Inside a user
 * archive:
 *
 *   mkdir, rmdir   a folder, which must be empty; in Searches: a saved search, defined by its name
 *                  (EMLFS_QUERY_PATH), of which rmdir removes the search and never mail
 *   rename         of a message or folder: moves it, also into another user archive where both
 *                  rights are there. A message keeps its name: renaming one within its folder is
 *                  EPERM. A saved search gets another name.
 *   unlink         a message: governed deletion
 *
 * errno as DESIGN's table: EPERM retention, hold, change of what is archived; EACCES the right is
 * missing, or a name of desktop litter; EROFS a view, a write-protected store, a read-only archive;
 * EEXIST, ENOTEMPTY, ENOTDIR, EISDIR; ENOENT where the caller may not know; EINVAL a name that
 * cannot be, or a folder into itself; EMLINK: the message moved is in as many folders as it can be;
 * EDQUOT: the user archive it would go to is full; ENOSPC too many searches or folders.
 */
int emlfs_view_mkdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_attr *ret,
                     struct emlfs_err *err);
int emlfs_view_rmdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_err *err);
int emlfs_view_unlink(struct emlfs_view *view, const struct emlfs_subject *subject,
                      emlfs_node parent, const char *name, struct emlfs_err *err);
struct emlfs_view_move {
    emlfs_node parent, to_parent;
    const char *name, *to_name;
};
int emlfs_view_rename(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const struct emlfs_view_move *move, struct emlfs_err *err);
/*
 * May subject put a new file of this name into parent, to be archived? Any name will do that is not
 * taken and no litter; .DS_Store and ._... are allowed, for some desktops give up a copy without
 * them. EACCES, EROFS (also when every store is write-protected), ENOENT, EEXIST, ENAMETOOLONG.
 */
struct emlfs_view_place {
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
};
int emlfs_view_may_create(struct emlfs_view *view, const struct emlfs_subject *subject,
                          emlfs_node parent, const char *name, struct emlfs_view_place *ret,
                          struct emlfs_err *err);
/*
 * Of asked, only what mask says (EMLFS_SET_...). 0 when nothing would change; EPERM, EROFS, EACCES
 * otherwise: attributes are the archive's. *ret: as they are.
 */
#define EMLFS_SET_MODE 1u
#define EMLFS_SET_UID 2u
#define EMLFS_SET_GID 4u
#define EMLFS_SET_SIZE 8u
#define EMLFS_SET_MTIME 16u
#define EMLFS_SET_ATIME 32u
struct emlfs_view_set {
    const struct stat *asked;
    unsigned mask;
};
int emlfs_view_setattr(struct emlfs_view *view, const struct emlfs_subject *subject,
                       emlfs_node node, const struct emlfs_view_set *set, struct emlfs_attr *ret,
                       struct emlfs_err *err);
/*
 * Why call is refused on node (for EMLFS_CALL_CREATE: the directory), negative always: for what no
 * caller may, such as open for writing, link, symlink, mknod. Recorded.
 */
int emlfs_view_refuse(struct emlfs_view *view, const struct emlfs_subject *subject, emlfs_node node,
                      enum emlfs_access_call call, struct emlfs_err *err);

/*
 * Extended attributes. With options.xattr: user.emlfs.id, sha256, archived, retain-until,
 * delete-at, policy, hold (only for those who may know), store of a message, user.emlfs.query of a
 * search; values are text. With options.acl: system.posix_acl_access. ENODATA for any other name.
 * _list: names, each with a NUL. _set: the query of a saved search; what would change nothing is 0;
 * else EPERM, EACCES or EROFS; a query that does not parse EINVAL. A zero-length value of _set asks
 * to remove it. out is cleared first.
 */
int emlfs_view_xattr_get(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, const char *name, struct emlfs_buf *out,
                         struct emlfs_err *err);
int emlfs_view_xattr_list(struct emlfs_view *view, const struct emlfs_subject *subject,
                          emlfs_node node, struct emlfs_buf *out, struct emlfs_err *err);
int emlfs_view_xattr_set(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, const char *name, struct emlfs_span value,
                         struct emlfs_err *err);

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
/* True for a folder, and cur of one: what it lists was decided when it was opened. */
bool emlfs_view_node_dir_shared(emlfs_node node);
/* The folder behind a node of this view; false for other nodes. */
bool emlfs_view_node_folder(struct emlfs_view *view, emlfs_node node, struct emlfs_folder_id *ret);
/* Is the listing the same for every caller who may open it, and may the kernel keep it? */
bool emlfs_view_dir_shared(const struct emlfs_view_dir *dir);
emlfs_node emlfs_view_holds_node(void);
emlfs_node emlfs_view_folder_node(struct emlfs_folder_id folder);
emlfs_node emlfs_view_searches_node(struct emlfs_user_id user);
/* A directory of results: looking up a name in it or listing it takes the time of a search. */
bool emlfs_view_node_results(emlfs_node node);
/* A .query directory: every name in it is a query. */
bool emlfs_view_node_queries(emlfs_node node);

#endif
