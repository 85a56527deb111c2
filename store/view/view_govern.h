/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_GOVERN_H
#define EMLFS_STORE_VIEW_GOVERN_H

#include "view_internal.h"

/* Shared by the files of store/view that show holds, dates and the ledger; nobody else includes it.
 */

#define VIEW_HOLDS_NAME "Holds"

/* ---- Holds: view_holds.c */

/* The hold in force with the smallest id > after; -ENOENT. */
int view_hold_next(struct emlfs_view *view, uint32_t after, struct emlfs_hold *ret);
void view_attr_hold(struct emlfs_view *view, const struct emlfs_hold *hold, struct emlfs_attr *ret);
int view_holds_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const char *name, struct emlfs_attr *ret, struct emlfs_err *err);
/* A message below a hold. */
int view_hold_lookup(struct emlfs_view *view, const struct emlfs_subject *subject, uint32_t hold,
                     const char *name, struct emlfs_attr *ret, struct emlfs_err *err);
int view_hold_getattr(struct emlfs_view *view, uint32_t hold, struct emlfs_attr *ret,
                      struct emlfs_err *err);
/* The entry as a name below a hold: never deletable. */
void view_attr_held(struct emlfs_view *view, const struct emlfs_subject *subject,
                    const struct emlfs_entry *entry, struct emlfs_attr *ret);

/* ---- texts: view_texts.c */

#define VIEW_TEXT_MAX_BYTES (8u << 20)
/* The text of a file that is made when it is opened. */
int view_text_make(struct emlfs_view *view, const struct emlfs_subject *subject,
                   const struct view_node *at, struct emlfs_buf *out, struct emlfs_err *err);

/* ---- what is due: view_due.c */

#define VIEW_DUE_DAYS 366u
#define VIEW_DUE_NAME_MAX 16u
struct view_due_days {
    uint32_t first; /* today */
    bool has[VIEW_DUE_DAYS];
};
uint32_t view_due_today(struct emlfs_view *view);
/* Which days of the coming year something is due on. Looks at every entry of the archive. */
int view_due_find(struct emlfs_view *view, const atomic_bool *cancel, struct view_due_days *ret,
                  struct emlfs_err *err);
int view_due_text(struct emlfs_view *view, const struct emlfs_subject *subject, uint32_t day,
                  struct emlfs_buf *out, struct emlfs_err *err);
void view_due_name(uint32_t day, char ret_name[VIEW_DUE_NAME_MAX]);
/* The day that name stands for, today ... today + VIEW_DUE_DAYS - 1. */
bool view_due_parse(struct emlfs_view *view, const char *name, uint32_t *ret_day);

#endif
