/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_HANDLERS_H
#define EMLFS_COMMAND_HANDLERS_H

#include "emlfs/command.h"
#include "handlers_ledger.h"

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

int emlfs_run_user_set(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_user_password(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_login(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_privilege_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_privilege_set(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_privilege_grant(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_privilege_revoke(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_privilege_access(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_compliance_show(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_compliance_mode(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_auditor_add(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_auditor_remove(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_auditor_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_compliance_audit_set(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_compliance_audit_show(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_policy_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_policy_add(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_policy_set(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_policy_remove(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_policy_move(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_hold_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_hold_place(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_hold_add(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_hold_release(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_list(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_create(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_set_state(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_rename(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_unlock(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_detach(struct emlfs_call *call, struct emlfs_err *err);
int emlfs_run_store_attach(struct emlfs_call *call, struct emlfs_err *err);

/* ---- who acts (act.c) */

/* The caller, for what is recorded. */
struct emlfs_actor emlfs_call_actor(const struct emlfs_call *call);
/* The same with --reason ("" without one); borrows from call. */
void emlfs_call_by(const struct emlfs_call *call, struct emlfs_by *ret);
/* Is the caller an administrator, may they look at what governs the archive? */
bool emlfs_call_is_admin(const struct emlfs_call *call);
bool emlfs_call_has_office(const struct emlfs_call *call);
/*
 * Append a record of the caller's. One that cannot be made is told by a notice: what it is about is
 * done.
 */
void emlfs_call_record(struct emlfs_call *call, const struct emlfs_ledger_record *record);
/*
 * The same for an archive that is closed again (call->closed): it is opened for the record.
 */
void emlfs_call_record_closed(struct emlfs_call *call, struct emlfs_ledger_record *record);
/*
 * Record a user's activity (one EMLFS_AUDIT_... bit) in owner's archive if such are recorded;
 * text: what was asked for, cut and escaped as needed. An error means: do not go on.
 */
struct emlfs_activity {
    uint32_t what;
    uint16_t kind; /* enum emlfs_ledger_kind */
    struct emlfs_user_id owner;
    struct emlfs_msg_id message;
    const char *text; /* "": none */
};
int emlfs_call_activity(struct emlfs_call *call, const struct emlfs_activity *activity,
                        struct emlfs_err *err);
/*
 * The caller asked for a message of owner's that they may not know of: where refusals are recorded,
 * this one is, with code (an errno), whatever the caller is told. One who may read owner's archive
 * was not refused (the store of the message is away): nothing is recorded.
 */
void emlfs_call_unseen(struct emlfs_call *call, struct emlfs_user_id owner,
                       struct emlfs_msg_id message, int code);

/* ---- lists of words as sets of bits (words.c) */

struct emlfs_word {
    const char *name;
    uint32_t bit;
};
struct emlfs_words {
    const struct emlfs_word *v;
    size_t n;
};
#define EMLFS_WORDS(array)                                                                         \
    {                                                                                              \
        (array), sizeof(array) / sizeof((array)[0])                                                \
    }
extern const struct emlfs_words emlfs_words_may, emlfs_words_grants, emlfs_words_audit;
/* "read,write", "all", "none". option: named in err. EINVAL. */
int emlfs_words_parse(const struct emlfs_words *words, const char *option, const char *text,
                      uint32_t *ret, struct emlfs_err *err);
/* NULL: no memory. */
struct json_object *emlfs_words_array(const struct emlfs_words *words, uint32_t set);
/* The bit of one word, 0: none of them; the word of one bit, "" for none. */
uint32_t emlfs_words_bit(const struct emlfs_words *words, const char *text);
const char *emlfs_words_name(const struct emlfs_words *words, uint32_t bit);

/* ---- users (cmd_user.c) */

/* ENOENT with a text; removed users are found. */
int emlfs_user_find(struct emlfs_call *call, const char *name, struct emlfs_user *ret,
                    struct emlfs_err *err);
struct emlfs_user_list {
    struct emlfs_user *v;
    size_t n, cap;
};
/* All, in a copy: what is asked about them may need the archive's locks. free() v in any case. */
int emlfs_user_list_load(struct emlfs_archive *archive, struct emlfs_user_list *ret,
                         struct emlfs_err *err);
/* "": there is none with this id. */
const char *emlfs_user_list_name(const struct emlfs_user_list *list, struct emlfs_user_id id);

/* ---- messages (cmd_message.c) */

/* MESSAGE: an id, a file name with one, or a path to such a file. EINVAL. */
int emlfs_message_id(const char *text, struct emlfs_msg_id *ret, struct emlfs_err *err);
/* All of the message to call->bytes, a piece at a time. EIO: damaged, or what _bytes returned. */
int emlfs_message_copy(struct emlfs_call *call, struct emlfs_msg_reader *reader,
                       struct emlfs_err *err);
/*
 * Where the message is filed, in a user archive where the caller may call. ENOENT: nowhere; EACCES:
 * of those who are refused and not fooled.
 */
int emlfs_message_find(struct emlfs_call *call, const char *text, enum emlfs_access_call wanted,
                       struct emlfs_entry *ret, struct emlfs_err *err);
/* Tells that text is no message for the caller: refused is -ENOENT or -EACCES, and returned. */
int emlfs_message_missing(const char *text, int refused, struct emlfs_err *err);

/* ---- helpers for building rows */

/* Give the row to the caller and drop it. row NULL: no memory. */
int emlfs_row_put(struct emlfs_call *call, struct json_object *row, struct emlfs_err *err);
void emlfs_row_text(struct json_object *row, const char *name, const char *text);
void emlfs_row_span(struct json_object *row, const char *name, struct emlfs_span text);
void emlfs_row_number(struct json_object *row, const char *name, uint64_t value);
void emlfs_row_time(struct json_object *row, const char *name, int64_t ns);
void emlfs_row_flag(struct json_object *row, const char *name, bool value);

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
