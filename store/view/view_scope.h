/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_SCOPE_H
#define EMLFS_STORE_VIEW_SCOPE_H

#include "view_internal.h"

/* ---- who asks, of what: view_scope.c */

/*
 * subject as the rules are to know them who asks through this view; lives in *ret. Every function
 * of the contract begins with it, and may be given its answer again.
 */
const struct emlfs_subject *view_caller(struct emlfs_view *view,
                                        const struct emlfs_subject *subject,
                                        struct emlfs_subject *ret);
/* Of an auditor's view: somebody who has no business in it. */
bool view_is_outsider(struct emlfs_view *view, const struct emlfs_subject *subject);
/* view->options.scope, read once. -ENOENT. */
int view_scope_init(struct emlfs_view *view, struct emlfs_err *err);
/* node as this view knows it; VIEW_NONE outside of its scope. */
struct view_node view_node_at(struct emlfs_view *view, emlfs_node node);
/* The node of a folder in this view: the one that is its root has the root's. */
emlfs_node view_folder_node(struct emlfs_view *view, struct emlfs_folder_id folder);
/* Are Holds and .emlfs there? */
bool view_scope_has_control(struct emlfs_view *view);
/* Is it of the store that the view is of? */
bool view_scope_message(struct emlfs_view *view, struct emlfs_msg_id id);
/* emlfs_archive_entry_lookup within the scope. */
int view_entry_lookup(struct emlfs_view *view, struct emlfs_folder_id folder, const char *name,
                      struct emlfs_entry *ret, struct emlfs_err *err);

#endif
