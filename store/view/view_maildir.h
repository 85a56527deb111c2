/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_MAILDIR_H
#define EMLFS_STORE_VIEW_MAILDIR_H

#include "view_internal.h"

/* Shared by the files of store/view that know EMLFS_LAYOUT_MAILDIR; nobody else includes it. */

#define VIEW_MAILDIR_NAME_MAX 256u /* of any name in it, with the NUL */

/* The directories of a maildir: view_node.c. */
#define VIEW_CUR 1u
#define VIEW_NEW 2u
#define VIEW_TMP 3u
emlfs_node view_part_node(struct emlfs_folder_id folder, unsigned part);
emlfs_node view_saved_part_node(struct emlfs_user_id user, uint32_t saved, unsigned part);
emlfs_node view_top_box_node(struct emlfs_folder_id top);

/* NULL: no memory. */
struct view_ahead *view_ahead_new(void);
void view_ahead_free(struct view_ahead *ahead);

/* Does this layout have names of its own below a directory of this kind? */
bool view_maildir_has(enum view_kind kind);
int view_maildir_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                        const struct view_node *at, const char *name, struct emlfs_attr *ret,
                        struct emlfs_err *err);
/* Of VIEW_PART, VIEW_SAVED_PART and VIEW_TOP_BOX; the right is decided. */
int view_maildir_getattr(struct emlfs_view *view, const struct view_node *at,
                         struct emlfs_attr *ret, struct emlfs_err *err);
/*
 * Why nothing changes at node: EROFS to those who may see it. That is no refusal worth a record,
 * for servers try; what those who may not see it get is.
 */
int view_maildir_refuse(struct emlfs_view *view, const struct emlfs_subject *subject,
                        emlfs_node node, struct emlfs_err *err);

/*
 * What a directory lists before its folders, by position: 3 to 5 cur, new and tmp, 6 the maildir of
 * a top folder, 7 Searches. -ENOENT: not here. *ret_name is a constant.
 */
#define VIEW_MAILDIR_FIXED 7u
int view_maildir_fixed(struct emlfs_view *view, const struct view_node *at, unsigned position,
                       const char **ret_name, struct emlfs_attr *ret, struct emlfs_err *err);
/* How a folder or search called name is shown in owner's folder; owner NULL: in Searches. */
void view_maildir_folder_name(const struct view_owner *owner, const char *name,
                              char ret_name[VIEW_MAILDIR_NAME_MAX]);
void view_maildir_message_name(const struct emlfs_entry *entry,
                               char ret_name[VIEW_MAILDIR_NAME_MAX]);
/* Names that the kernel may remember are forgotten after seconds: nobody tells it of renames. */
void view_maildir_brief(struct emlfs_attr *attr);

#endif
