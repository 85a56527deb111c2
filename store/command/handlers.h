/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_HANDLERS_H
#define EMLFS_COMMAND_HANDLERS_H

#include "emlfs/command.h"

/* Handlers of the table's rows, by topic; each is called by emlfs_command_run only. */
int emlfs_run_init(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_status(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_add(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_show(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_rename(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_remove(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_folder_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_message_show(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_message_get(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_search(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_search_save(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_search_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_search_remove(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_search_rename(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_index_status(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_index_rebuild(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_index_set(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_verify(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_recover(struct emlfs_call *call, struct emlfs_err *err);

/* ---- helpers for building rows */

/* Give the row to the caller and drop it. row NULL: no memory. */
int emlfs_row_put(struct emlfs_call *call, struct json_object *row, struct emlfs_err *err);
void emlfs_row_text(struct json_object *row, const char *name, const char *text);
void emlfs_row_span(struct json_object *row, const char *name, struct emlfs_span text);
void emlfs_row_number(struct json_object *row, const char *name, uint64_t value);
void emlfs_row_time(struct json_object *row, const char *name, int64_t ns);

/*
 * Every folder below top, parents first, depth by depth; path is relative to top ("" for top).
 * A non-zero return of each stops the walk and is returned.
 */
typedef int emlfs_folder_each_fn(void *arg, const char *path, const struct emlfs_folder *folder);
int emlfs_folder_tree(struct emlfs_archive *archive, struct emlfs_folder_id top,
                      emlfs_folder_each_fn *each, void *arg, struct emlfs_err *err);
/* Append "user/folder/below" to out, which is empty. */
int emlfs_folder_path(struct emlfs_archive *archive, struct emlfs_folder_id id,
                      struct emlfs_buf *out, struct emlfs_err *err);

#endif
