/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The files below .emlfs: made when they are opened, within a maximum.
 *
 * F1  .emlfs/audit is the newest records, at most AUDIT_RECORDS and AUDIT_MAX_BYTES of them, oldest
 *     first, one a line: SEQUENCE TIME KIND and then NAME=VALUE, values of more than one word in
 *     double quotes.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "emlfs/ledger.h"
#include "view_govern.h"

#define NS_PER_SEC 1000000000ll
#define AUDIT_RECORDS 10000u
#define AUDIT_MAX_BYTES (6u << 20)
#define AUDIT_NAMES 64u
#define LINE_BYTES 4096u

/* Appends to out; a line that is longer than LINE_BYTES is cut. */
__attribute__((format(printf, 2, 3))) static int text_add(struct emlfs_buf *out, const char *fmt,
                                                          ...)
{
    char line[LINE_BYTES];
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (n < 0)
        return -EINVAL;
    return emlfs_buf_append(out, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* ---- audit */

struct audit {
    struct emlfs_view *view;
    struct emlfs_buf *out;
    struct emlfs_user names[AUDIT_NAMES]; /* direct-mapped by id */
};

static const char *audit_user(struct audit *audit, struct emlfs_user_id id)
{
    struct emlfs_user *slot = &audit->names[id.v % AUDIT_NAMES];

    if (slot->id.v != id.v && emlfs_user_by_id(audit->view->options.archive, id, slot, NULL) < 0) {
        slot->id = id;
        (void)snprintf(slot->name, sizeof(slot->name), "#%u", id.v);
    }
    return slot->name;
}

static int audit_number(struct emlfs_buf *out, const char *name, uint64_t value)
{
    return value ? text_add(out, " %s=%" PRIu64, name, value) : 0;
}

static int audit_text(struct emlfs_buf *out, const char *name, struct emlfs_span text)
{
    int rc;

    if (text.len == 0)
        return 0;
    rc = text_add(out, " %s=\"", name);
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            rc = emlfs_buf_append_u8(out, '\\');
        if (rc == 0)
            rc = emlfs_buf_append_u8(out, text.data[i]);
    }
    return rc == 0 ? emlfs_buf_append_u8(out, '"') : rc;
}

static int audit_who(struct audit *audit, const struct emlfs_ledger_record *record)
{
    const char *source = emlfs_ledger_source_name(record->source);
    struct emlfs_buf *out = audit->out;
    int rc =
        text_add(out, " by=%s source=%s", record->user.v ? audit_user(audit, record->user) : "-",
                 source ? source : "-");

    if (rc == 0 && record->uid != EMLFS_LEDGER_UID_NONE)
        rc = text_add(out, " uid=%" PRId64, record->uid);
    if (rc == 0 && record->flags & EMLFS_LEDGER_BY_ADMIN)
        rc = text_add(out, " admin=yes");
    if (rc == 0 && record->owner.v)
        rc = text_add(out, " archive=%s", audit_user(audit, record->owner));
    return rc;
}

static int audit_what(struct emlfs_buf *out, const struct emlfs_ledger_record *record)
{
    char id[EMLFS_MSG_ID_TEXT_MAX];
    int rc = 0;

    if (record->message.v) {
        emlfs_msg_id_format(record->message, id);
        rc = text_add(out, " message=%s", id);
    }
    if (rc == 0)
        rc = audit_number(out, "folder", record->folder.v);
    if (rc == 0)
        rc = audit_number(out, "to-folder", record->folder_to.v);
    if (rc == 0)
        rc = audit_number(out, "object", record->object);
    if (rc == 0)
        rc = audit_number(out, "errno", record->outcome);
    if (rc == 0)
        rc = audit_text(out, "name", record->name);
    if (rc == 0)
        rc = audit_text(out, "detail", record->detail);
    return rc == 0 ? emlfs_buf_append_u8(out, '\n') : rc;
}

/* F1: let the older half of the lines go. */
static void audit_shorten(struct emlfs_buf *out)
{
    size_t half = out->len / 2;
    const uint8_t *end = memchr(out->data + half, '\n', out->len - half);
    size_t drop = end ? (size_t)(end - out->data) + 1 : out->len;

    memmove(out->data, out->data + drop, out->len - drop);
    out->len -= drop;
}

static int audit_record(void *arg, const struct emlfs_ledger_record *record)
{
    struct audit *audit = arg;
    const char *kind = emlfs_ledger_kind_name(record->kind);
    char when[EMLFS_TIME_TEXT_MAX];
    int rc;

    if (audit->out->len > AUDIT_MAX_BYTES)
        audit_shorten(audit->out);
    emlfs_time_text(record->time_ns / NS_PER_SEC, when);
    rc = text_add(audit->out, "%" PRIu64 " %s ", record->sequence, when);
    if (rc == 0)
        rc =
            kind ? text_add(audit->out, "%s", kind) : text_add(audit->out, "kind-%u", record->kind);
    if (rc == 0)
        rc = audit_who(audit, record);
    return rc == 0 ? audit_what(audit->out, record) : rc;
}

static int audit_make(struct emlfs_view *view, struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_ledger *ledger = emlfs_archive_ledger(view->options.archive);
    struct audit audit = {.view = view, .out = out};
    struct emlfs_ledger_filter filter = {.first = 0};
    uint64_t size = emlfs_ledger_size(ledger);

    if (size > AUDIT_RECORDS)
        filter.first = size - AUDIT_RECORDS;
    return emlfs_ledger_each(ledger, &filter, audit_record, &audit, err);
}

static int checkpoint_make(struct emlfs_view *view, struct emlfs_buf *out, struct emlfs_err *err)
{
    int rc = emlfs_ledger_checkpoint_text(emlfs_archive_ledger(view->options.archive), 0, out, err);

    return rc == -ENOENT ? text_add(out, "no checkpoint was signed yet\n") : rc;
}

/* ---- explain */

static int explain_tell(void *arg, const struct emlfs_explanation *explanation)
{
    return emlfs_govern_words(explanation, arg);
}

static int explain_make(struct emlfs_view *view, const struct emlfs_subject *subject,
                        struct emlfs_msg_id id, struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_entry entry;
    struct emlfs_entry_at at;
    struct emlfs_who who;
    int rc = view_entry_seen(view, subject, id, &entry, err);

    if (rc < 0)
        return rc;
    at = (struct emlfs_entry_at){entry.user, entry.folder, id};
    rc = text_add(out, "%s\n", entry.name);
    if (rc < 0)
        return rc;
    emlfs_rules_who(view->options.rules, subject, &who);
    return emlfs_rules_explain(view->options.rules, &who, &at, explain_tell, out, err);
}

int view_text_make(struct emlfs_view *view, const struct emlfs_subject *subject,
                   const struct view_node *at, struct emlfs_buf *out, struct emlfs_err *err)
{
    const struct emlfs_view_options *options = &view->options;

    switch (at->kind) {
    case VIEW_STATUS:
        return options->status ? options->status(options->status_arg, out) : 0;
    case VIEW_AUDIT:
        return audit_make(view, out, err);
    case VIEW_CHECKPOINT:
        return checkpoint_make(view, out, err);
    case VIEW_DUE_DAY:
        return view_due_text(view, subject, at->saved, out, err);
    case VIEW_EXPLAINED:
        return explain_make(view, subject, at->id, out, err);
    default:
        return emlfs_err_set(err, EISDIR, "view", "not a file");
    }
}
