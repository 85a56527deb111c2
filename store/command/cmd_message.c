/* SPDX-License-Identifier: GPL-3.0-or-later */
/* message show and get. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/name.h"
#include "emlfs/text.h"

#define CHUNK_BYTES (256u << 10)

int emlfs_message_id(const char *text, struct emlfs_msg_id *ret, struct emlfs_err *err)
{
    const char *slash = strrchr(text, '/');
    const char *name = slash ? slash + 1 : text;
    size_t len = strlen(name);

    if (len > 4 && strcmp(name + len - 4, ".eml") == 0) {
        if (emlfs_name_id(name, ret))
            return 0;
        len -= 4; /* .emlfs/by-id/ID.eml */
    }
    if (len < EMLFS_MSG_ID_TEXT_MAX && emlfs_msg_id_parse(name, (unsigned)len, ret))
        return 0;
    return emlfs_err_set(err, EINVAL, "message", "%s holds no message id", text);
}

static int message_allowed(struct emlfs_call *call, const struct emlfs_entry *entry,
                           enum emlfs_access_call wanted)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_MESSAGE,
                                        .user = entry->user,
                                        .store_no = emlfs_msg_id_store(entry->id)};

    return emlfs_rules_check(call->rules, &call->subject, &target, wanted, NULL);
}

int emlfs_message_missing(const char *text, int refused, struct emlfs_err *err)
{
    if (refused == -EACCES)
        return emlfs_err_set(err, EACCES, "message", "%s: other people's mail is closed to you",
                             text);
    return emlfs_err_set(err, -refused, "message", "%s: no such message that you may see", text);
}

/* The first entry that the caller may call decides: which user archive it is in is no matter. */
int emlfs_message_find(struct emlfs_call *call, const char *text, enum emlfs_access_call wanted,
                       struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct emlfs_folder top = {0};
    struct emlfs_msg_id id;
    struct emlfs_user_id unseen = {0};
    int r = emlfs_message_id(text, &id, err), refused = -ENOENT;

    while (r == 0) {
        r = emlfs_archive_folder_next(call->archive, (struct emlfs_folder_id){0}, top.id, &top,
                                      err);
        if (r < 0)
            break;
        r = emlfs_archive_entry_of(call->archive, top.user, id, ret, err);
        if (r == -ENOENT) {
            r = 0;
            continue;
        }

        int may = r == 0 ? message_allowed(call, ret, wanted) : 0;

        if (r == 0 && may == 0)
            return 0;
        if (may < 0 && refused == -ENOENT) {
            refused = may;
            unseen = top.user;
        }
    }
    if (r == -ENOENT && refused == -ENOENT && unseen.v)
        emlfs_call_unseen(call, unseen, id, ENOENT);
    return r == -ENOENT ? emlfs_message_missing(text, refused, err) : r;
}

/* "user/folder/name" of an entry. */
static int entry_path(struct emlfs_archive *archive, const struct emlfs_entry *entry,
                      struct emlfs_buf *out, struct emlfs_err *err)
{
    int r = emlfs_folder_path(archive, entry->folder, out, err);

    return r == 0 ? emlfs_text_printf(out, "/%s", entry->name) : r;
}

static void row_optional(struct json_object *row, const char *name, struct emlfs_span text)
{
    if (text.len > 0)
        emlfs_row_span(row, name, text);
}

static void facts_parts(struct emlfs_span parts, struct json_object *row)
{
    struct json_object *names = json_object_new_array();
    struct emlfs_fact_part part;
    uint64_t count = 0;

    while (emlfs_facts_part_next(&parts, &part)) {
        count++;
        if (part.attachment)
            json_object_array_add(names, emlfs_text_string(part.name));
    }
    emlfs_row_number(row, "parts", count);
    json_object_object_add(row, "attachments", names);
}

static void facts_fill(const struct emlfs_facts *facts, struct json_object *row)
{
    int64_t date_ns;

    if (facts->date_source != EMLFS_DATE_NONE &&
        !__builtin_mul_overflow(facts->date_sec, 1000000000, &date_ns))
        emlfs_row_time(row, "date", date_ns);
    row_optional(row, "from", facts->from);
    row_optional(row, "sender", facts->sender);
    row_optional(row, "to", facts->to);
    row_optional(row, "cc", facts->cc);
    row_optional(row, "bcc", facts->bcc);
    row_optional(row, "subject", facts->subject);
    row_optional(row, "message_id", facts->message_id);
    facts_parts(facts->parts, row);
    if (facts->flags & (EMLFS_FACT_PARTIAL | EMLFS_FACT_UNPARSED))
        emlfs_row_span(row, "partial", facts->reason);
}

static void info_fill(const struct emlfs_msg_info *info, struct json_object *row)
{
    char id[EMLFS_MSG_ID_TEXT_MAX], hex[2 * EMLFS_HASH_BYTES + 1];

    emlfs_msg_id_format(info->id, id);
    for (unsigned i = 0; i < EMLFS_HASH_BYTES; i++)
        snprintf(hex + (size_t)2 * i, 3, "%02x", info->sha256.v[i]);
    emlfs_row_text(row, "id", id);
    emlfs_row_number(row, "size", info->size_bytes);
    emlfs_row_time(row, "archived", info->archived_ns);
    emlfs_row_text(row, "sha256", hex);
}

int emlfs_run_message_show(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf encoded = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_msg_info info;
    struct emlfs_facts facts;
    struct emlfs_entry entry;
    int r = emlfs_message_find(call, emlfs_args_text(call->args, "MESSAGE"), EMLFS_CALL_COMMAND,
                               &entry, err);

    if (r == 0)
        r = emlfs_archive_msg_info(call->archive, entry.id, &info, &encoded, err);
    if (r == 0)
        r = entry_path(call->archive, &entry, &path, err);
    if (r == 0)
        r = emlfs_facts_decode(emlfs_buf_view(&encoded), &facts, err);
    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row) {
        info_fill(&info, row);
        emlfs_row_span(row, "path", emlfs_buf_view(&path));
        facts_fill(&facts, row);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_message_copy(struct emlfs_call *call, struct emlfs_msg_reader *reader,
                       struct emlfs_err *err)
{
    uint64_t offset = 0, size = emlfs_msg_reader_size(reader);
    uint8_t *chunk = malloc(CHUNK_BYTES);
    int r = chunk ? 0 : emlfs_err_set(err, ENOMEM, "message", "out of memory");

    while (r == 0 && offset < size) {
        ssize_t n = emlfs_msg_reader_pread(reader, chunk, CHUNK_BYTES, offset, err);

        if (n == 0)
            r = emlfs_err_set(err, EIO, "message", "ends %llu bytes early",
                              (unsigned long long)(size - offset));
        else if (n < 0)
            r = (int)n;
        else if (call->bytes)
            r = call->bytes(call->arg, emlfs_span_of(chunk, (size_t)n));
        offset += n > 0 ? (uint64_t)n : 0;
    }
    free(chunk);
    return r;
}

int emlfs_run_message_get(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_msg_reader *reader = NULL;
    struct emlfs_entry entry;
    int r = emlfs_message_find(call, emlfs_args_text(call->args, "MESSAGE"), EMLFS_CALL_OPEN,
                               &entry, err);

    if (r == 0)
        r = emlfs_call_activity(call,
                                &(struct emlfs_activity){.what = EMLFS_AUDIT_READ,
                                                         .kind = EMLFS_LEDGER_MESSAGE_READ,
                                                         .owner = entry.user,
                                                         .message = entry.id,
                                                         .text = ""},
                                err);
    if (r == 0)
        r = emlfs_archive_msg_open(call->archive, entry.id, &reader, err);
    if (r == 0)
        r = emlfs_message_copy(call, reader, err);
    emlfs_msg_reader_free(reader);
    return r;
}
