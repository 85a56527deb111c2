/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_HANDLERS_LEDGER_H
#define EMLFS_COMMAND_HANDLERS_LEDGER_H

#include "emlfs/command.h"
#include "emlfs/ledger.h"

/* Handlers of the rows in table_ledger.inc, and what they share. */
int emlfs_run_message_delete(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_message_move(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_message_explain(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_message_export(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_audit(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_audit_kinds(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_ledger_prove(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_ledger_text(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_ledger_stamp(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_checkpoint_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_verify_proof(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_job_run(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_job_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_clock(struct emlfs_call *call, struct emlfs_err *err);

/* ---- target.c: which message is meant, and which of its entries */

/* What was said about an entry. */
struct emlfs_target_ask {
    const char *message;         /* id, file name or path */
    const char *user;            /* user archive; NULL: as the path says, else the caller's own */
    enum emlfs_access_call call; /* what the caller must be allowed, so as to know of it */
    bool exact;                  /* it is going to be changed: one entry only, and no view's path */
};
/*
 * Find it; its "user/folder/name" is put into ret_path (cleared first). ENOENT: not filed there, or
 * the caller may not know it; EINVAL: it could be several; EROFS: a path of a view.
 */
int emlfs_target_find(struct emlfs_call *call, const struct emlfs_target_ask *ask,
                      struct emlfs_entry *ret, struct emlfs_buf *ret_path, struct emlfs_err *err);

/* ---- ledger_text.c */

/* Name of an errno ("EPERM"), or its number, into ret. */
#define EMLFS_ERRNO_TEXT_MAX 16u
void emlfs_errno_text(int code, char ret[EMLFS_ERRNO_TEXT_MAX]);
/* Lower-case hexadecimal of bytes, and the inverse for digests. EINVAL. */
int emlfs_hex_append(struct emlfs_span bytes, struct emlfs_buf *out);
int emlfs_hex_parse(const char *text, struct emlfs_buf *out);
/*
 * "2026-03-01", "2026-03-01 09:13" or "...:05" as zone's clocks show it; with a Z behind it, UTC.
 * end: of a date alone, the moment behind its last one. EINVAL.
 */
int emlfs_moment_parse(const char *text, const char *zone, bool end, int64_t *ret_sec);
/* A row's array of text's lines. */
void emlfs_row_lines(struct json_object *row, const char *name, struct emlfs_span text);

#endif
