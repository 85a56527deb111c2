/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The archive's side of export: one message with its name and, if asked for, its signature. */
#include "handlers.h"

#include <stdlib.h>

#include "emlfs/text.h"

#define PATH_BYTES (1u << 20)

static int signature_fill(struct emlfs_call *call, const struct emlfs_hash *hash,
                          struct json_object *row, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf signature = EMLFS_BUF_INIT(EMLFS_SIGN_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf hex = EMLFS_BUF_INIT(2 * EMLFS_SIGN_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf pem = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    struct emlfs_ledger *ledger = emlfs_archive_ledger(call->archive);
    int r = emlfs_ledger_export_sign(ledger, hash, &signature, err);

    if (r == 0) {
        r = emlfs_ledger_export_pem(ledger, &pem);
        if (r == 0)
            r = emlfs_hex_append(emlfs_buf_view(&signature), &hex);
        if (r < 0)
            emlfs_err_sys(err, -r, "export", "signing");
    }
    if (r == 0) {
        emlfs_row_span(row, "signature", emlfs_buf_view(&hex));
        emlfs_row_span(row, "public_key", emlfs_buf_view(&pem));
    }
    return r;
}

static int head_put(struct emlfs_call *call, const struct emlfs_entry *entry,
                    const struct emlfs_buf *path, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf hex = EMLFS_BUF_INIT((size_t)2 * EMLFS_HASH_BYTES);
    struct emlfs_msg_info info;
    int r = emlfs_archive_msg_info(call->archive, entry->id, &info, NULL, err);

    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (!row || emlfs_hex_append(emlfs_span_of(info.sha256.v, EMLFS_HASH_BYTES), &hex) < 0) {
        json_object_put(row);
        return emlfs_err_set(err, ENOMEM, "export", "out of memory");
    }
    emlfs_row_text(row, "name", entry->name);
    emlfs_row_span(row, "path", emlfs_buf_view(path));
    emlfs_row_number(row, "size", info.size_bytes);
    emlfs_row_span(row, "sha256", emlfs_buf_view(&hex));
    if (emlfs_args_flag(call->args, "sign"))
        r = signature_fill(call, &info.sha256, row, err);
    if (r < 0) {
        json_object_put(row);
        return r;
    }
    return emlfs_row_put(call, row, err);
}

/* The right to read is what tells that it exists; the right to export is asked then. */
static int export_allowed(struct emlfs_call *call, const struct emlfs_entry *entry,
                          struct emlfs_err *err)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_MESSAGE,
                                        .user = entry->user,
                                        .store_no = emlfs_msg_id_store(entry->id)};

    return emlfs_rules_check(call->rules, &call->subject, &target, EMLFS_CALL_EXPORT, err);
}

int emlfs_run_message_export(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_BYTES);
    const struct emlfs_target_ask ask = {.message = emlfs_args_text(call->args, "MESSAGE"),
                                         .user = emlfs_args_text(call->args, "user"),
                                         .call = EMLFS_CALL_OPEN};
    struct emlfs_msg_reader *reader = NULL;
    struct emlfs_entry entry;
    int r = emlfs_target_find(call, &ask, &entry, &path, err);

    if (r == 0)
        r = export_allowed(call, &entry, err);
    if (r == 0)
        r = emlfs_call_activity(call,
                                &(struct emlfs_activity){.what = EMLFS_AUDIT_EXPORT,
                                                         .kind = EMLFS_LEDGER_MESSAGE_EXPORTED,
                                                         .owner = entry.user,
                                                         .message = entry.id,
                                                         .text = ""},
                                err);
    if (r == 0)
        r = emlfs_archive_msg_open(call->archive, entry.id, &reader, err);
    if (r == 0)
        r = head_put(call, &entry, &path, err);
    if (r == 0)
        r = emlfs_message_copy(call, reader, err);
    emlfs_msg_reader_free(reader);
    return r;
}
