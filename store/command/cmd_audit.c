/* SPDX-License-Identifier: GPL-3.0-or-later */
/* audit: the records of the ledger as lines, with names instead of numbers. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/text.h"

#define LIMIT_MAX 100000u
#define OBJECT_BYTES (64u << 10)
#define KIND_END 65536u /* kinds are 16 bits */

/* ---- names */

/* Policies and holds, collected first; users and folders as they come, the last ones kept. */
struct named {
    uint64_t id;
    char *name;
};
struct named_list {
    struct named *v;
    size_t n;
};

static int named_add(struct named_list *list, uint64_t id, const char *name)
{
    struct named *v = reallocarray(list->v, list->n + 1, sizeof(*v));

    if (!v)
        return -ENOMEM;
    list->v = v;
    v[list->n] = (struct named){.id = id, .name = strdup(name)};
    if (!v[list->n].name)
        return -ENOMEM;
    list->n++;
    return 0;
}

static const char *named_find(const struct named_list *list, uint64_t id)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].id == id)
            return list->v[i].name;
    return NULL;
}

static void named_free(struct named_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->v[i].name);
    free(list->v);
}

static int policy_add(void *arg, const struct emlfs_policy *policy)
{
    return named_add(arg, policy->id, policy->name);
}

static int hold_add(void *arg, const struct emlfs_hold *hold)
{
    return named_add(arg, hold->id, hold->name);
}

static int user_add(void *arg, const struct emlfs_user *user)
{
    return named_add(arg, user->id.v, user->name);
}

/* ---- the run */

struct audit {
    struct emlfs_call *call;
    struct emlfs_err *err;
    struct named_list policies, holds, users;
    struct emlfs_folder_id folder; /* whose path is kept */
    struct emlfs_buf folder_path;
    bool *kinds;               /* [KIND_END]; NULL: all */
    struct json_object **last; /* the newest limit rows, a ring; NULL: rows go out at once */
    size_t limit, seen;
};

static const char *folder_text(struct audit *audit, struct emlfs_folder_id id)
{
    if (audit->folder.v != id.v || audit->folder_path.len == 0) {
        emlfs_buf_clear(&audit->folder_path);
        /* A folder that is gone has no path any more: its number stays. */
        if (emlfs_folder_path(audit->call->archive, id, &audit->folder_path, NULL) < 0) {
            emlfs_buf_clear(&audit->folder_path);
            (void)emlfs_text_printf(&audit->folder_path, "folder %u", id.v);
        }
        (void)emlfs_buf_append_u8(&audit->folder_path, '\0');
        audit->folder = id;
    }
    return audit->folder_path.data ? (const char *)audit->folder_path.data : "";
}

static void who_text(struct audit *audit, const struct emlfs_ledger_record *record,
                     struct json_object *row)
{
    const char *name = named_find(&audit->users, record->user.v);
    char text[EMLFS_USER_NAME_MAX_BYTES + 32];

    if (record->user.v && name)
        snprintf(text, sizeof(text), "%s", name);
    else if (record->user.v)
        snprintf(text, sizeof(text), "user %u", record->user.v);
    else if (record->uid != EMLFS_LEDGER_UID_NONE)
        snprintf(text, sizeof(text), "uid %lld", (long long)record->uid);
    else
        snprintf(text, sizeof(text), "emlfs");
    emlfs_row_text(row, "who", text);
}

/* NULL: its number says nothing to people. */
static const char *object_word(unsigned kind)
{
    if (kind >= EMLFS_LEDGER_POLICY_MADE && kind <= EMLFS_LEDGER_POLICY_DELETED)
        return "policy";
    if (kind >= EMLFS_LEDGER_HOLD_MADE && kind <= EMLFS_LEDGER_HOLD_RELEASED)
        return "hold";
    if (kind >= EMLFS_LEDGER_STORE_MADE && kind <= EMLFS_LEDGER_STORE_UNLOCKED)
        return "store";
    if (kind == EMLFS_LEDGER_JOB_RUN)
        return "job";
    if (kind == EMLFS_LEDGER_TIMESTAMPED)
        return "checkpoint";
    return kind == EMLFS_LEDGER_MESSAGE_DELETED ? "by policy" : NULL;
}

static const char *object_name(const struct audit *audit, const struct emlfs_ledger_record *record)
{
    const char *word = object_word(record->kind);

    if (!word)
        return NULL;
    if (strcmp(word, "policy") == 0 || strcmp(word, "by policy") == 0)
        return named_find(&audit->policies, record->object);
    return strcmp(word, "hold") == 0 ? named_find(&audit->holds, record->object) : NULL;
}

static bool name_is_said(const struct emlfs_ledger_record *record, const char *known,
                         const char *owner)
{
    return (known && emlfs_span_equal(record->name, emlfs_span_str(known))) ||
           (owner && emlfs_span_equal(record->name, emlfs_span_str(owner)));
}

/* "k7f3q2 in anna/Inbox", "policy Invoices", "user bob": what it was done to. */
static int object_text(struct audit *audit, const struct emlfs_ledger_record *record,
                       struct emlfs_buf *out)
{
    const char *owner = named_find(&audit->users, record->owner.v);
    const char *known = object_name(audit, record), *word = object_word(record->kind);
    char id[EMLFS_MSG_ID_TEXT_MAX];
    int r = 0;

    if (record->message.v) {
        emlfs_msg_id_format(record->message, id);
        r = emlfs_text_printf(out, "%s%s", id, record->folder.v ? " in " : "");
    }
    if (r == 0 && record->folder.v)
        r = emlfs_text_printf(out, "%s", folder_text(audit, record->folder));
    if (r == 0 && record->folder_to.v)
        r = emlfs_text_printf(out, " -> %s", folder_text(audit, record->folder_to));
    if (r == 0 && record->owner.v && !record->folder.v && owner)
        r = emlfs_text_printf(out, "%s%s", out->len ? ", user " : "user ", owner);
    if (r == 0 && record->object && (word || !out->len)) {
        r = emlfs_text_printf(out, "%s%s ", out->len ? ", " : "", word ? word : "object");
        if (r == 0 && known)
            r = emlfs_text_printf(out, "%s", known);
        else if (r == 0)
            r = emlfs_text_printf(out, "%llu", (unsigned long long)record->object);
    }
    if (r == 0 && record->name.len && !name_is_said(record, known, owner))
        r = emlfs_text_printf(out, "%s%.*s", out->len ? " " : "", (int)record->name.len,
                              (const char *)record->name.data);
    return r;
}

/* What only programs look at: numbers, digest, and the texts as they are. */
static int record_fields(const struct emlfs_ledger_record *record, struct json_object *row)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf hex = EMLFS_BUF_INIT(2 * EMLFS_HASH_BYTES);
    char id[EMLFS_MSG_ID_TEXT_MAX];
    int r = 0;

    if (record->message.v) {
        emlfs_msg_id_format(record->message, id);
        emlfs_row_text(row, "message", id);
    }
    if (record->uid != EMLFS_LEDGER_UID_NONE)
        emlfs_row_number(row, "uid", (uint64_t)record->uid);
    if (record->has_digest) {
        r = emlfs_hex_append(emlfs_span_of(record->digest.v, EMLFS_HASH_BYTES), &hex);
        emlfs_row_span(row, "digest", emlfs_buf_view(&hex));
    }
    if (record->object)
        emlfs_row_number(row, "object_number", record->object);
    if (record->name.len)
        emlfs_row_span(row, "name", record->name);
    json_object_object_add(row, "as_administrator",
                           json_object_new_boolean(record->flags & EMLFS_LEDGER_BY_ADMIN));
    return r;
}

static int record_fill(struct audit *audit, const struct emlfs_ledger_record *record,
                       struct json_object *row)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf object = EMLFS_BUF_INIT(OBJECT_BYTES);
    const char *kind = emlfs_ledger_kind_name(record->kind);
    const char *source = emlfs_ledger_source_name(record->source);
    char text[32];
    int r = object_text(audit, record, &object);

    emlfs_row_number(row, "record", record->sequence);
    emlfs_row_time(row, "time", record->time_ns);
    snprintf(text, sizeof(text), "kind-%u", record->kind);
    emlfs_row_text(row, "kind", kind ? kind : text);
    who_text(audit, record, row);
    emlfs_row_text(row, "source", source ? source : "unknown");
    emlfs_row_span(row, "object", emlfs_buf_view(&object));
    if (record->outcome)
        emlfs_errno_text(record->outcome, text);
    emlfs_row_text(row, "outcome", record->outcome ? text : "done");
    emlfs_row_span(row, "detail", record->detail);
    return r == 0 ? record_fields(record, row) : r;
}

static int record_each(void *arg, const struct emlfs_ledger_record *record)
{
    struct audit *audit = arg;
    int r = 0;

    if (emlfs_progress_cancelled(audit->call->progress))
        return emlfs_err_set(audit->err, ECANCELED, "audit", "interrupted");
    emlfs_progress_step(audit->call->progress, "records", record->sequence, 0);
    if (audit->kinds && !audit->kinds[record->kind])
        return 0;

    struct json_object *row = json_object_new_object();

    r = row ? record_fill(audit, record, row) : -ENOMEM;
    if (r < 0) {
        json_object_put(row);
        return emlfs_err_sys(audit->err, -r, "audit", "record %llu",
                             (unsigned long long)record->sequence);
    }
    if (!audit->last)
        return emlfs_row_put(audit->call, row, audit->err);
    json_object_put(audit->last[audit->seen % audit->limit]);
    audit->last[audit->seen++ % audit->limit] = row;
    return 0;
}

/* The kept rows, oldest first. */
static int last_put(struct audit *audit)
{
    size_t first = audit->seen > audit->limit ? audit->seen - audit->limit : 0;
    int r = 0;

    for (size_t i = first; audit->last && i < audit->seen; i++) {
        struct json_object *row = audit->last[i % audit->limit];

        audit->last[i % audit->limit] = NULL;
        if (r == 0)
            r = emlfs_row_put(audit->call, row, audit->err);
        else
            json_object_put(row);
    }
    return r;
}

/* ---- filters */

static int kinds_read(struct audit *audit, struct emlfs_err *err)
{
    struct json_object *list = emlfs_args_list(audit->call->args, "kind");

    if (!list)
        return 0;
    audit->kinds = calloc(KIND_END, sizeof(*audit->kinds));
    if (!audit->kinds)
        return emlfs_err_set(err, ENOMEM, "audit", "out of memory");
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *name = json_object_get_string(json_object_array_get_idx(list, i));
        unsigned kind = emlfs_ledger_kind_parse(emlfs_span_str(name));

        if (!kind)
            return emlfs_err_set(err, EINVAL, "audit",
                                 "--kind: there is no kind %s; 'emlfs audit kinds' lists them",
                                 name);
        audit->kinds[kind] = true;
    }
    return 0;
}

static int moment_read(struct audit *audit, const char *name, bool end, int64_t *ret_ns,
                       struct emlfs_err *err)
{
    const char *text = emlfs_args_text(audit->call->args, name);
    int64_t sec;

    if (!text)
        return 0;
    if (emlfs_moment_parse(text, emlfs_archive_get_settings(audit->call->archive)->timezone, end,
                           &sec) < 0 ||
        __builtin_mul_overflow(sec, 1000000000, ret_ns))
        return emlfs_err_set(err, EINVAL, "audit",
                             "--%s: a date like 2026-03-01, or with a time "
                             "behind it like 09:13, is needed",
                             name);
    return 0;
}

static int filter_read(struct audit *audit, struct emlfs_ledger_filter *ret, struct emlfs_err *err)
{
    struct json_object *args = audit->call->args;
    const char *user = emlfs_args_text(args, "user"), *message = emlfs_args_text(args, "message");
    struct emlfs_user found;
    int r = kinds_read(audit, err);

    ret->failed_only = emlfs_args_flag(args, "failed");
    if (r == 0)
        r = moment_read(audit, "from", false, &ret->from_ns, err);
    if (r == 0)
        r = moment_read(audit, "to", true, &ret->to_ns, err);
    if (r == 0 && message)
        r = emlfs_message_id(message, &ret->message, err);
    if (r == 0 && user) {
        r = emlfs_user_by_name(audit->call->archive, user, &found, err);
        if (r == -ENOENT)
            return emlfs_err_set(err, ENOENT, "audit", "no archive user %s", user);
        ret->user = r == 0 ? found.id : ret->user;
    }
    return r;
}

static int limit_read(struct audit *audit, struct emlfs_err *err)
{
    uint64_t limit = emlfs_args_number(audit->call->args, "limit", 0);

    if (limit > LIMIT_MAX)
        return emlfs_err_set(err, EINVAL, "audit", "--limit: at most %u", LIMIT_MAX);
    if (limit == 0)
        return 0;
    audit->limit = (size_t)limit;
    audit->last = calloc(audit->limit, sizeof(struct json_object *));
    return audit->last ? 0 : emlfs_err_set(err, ENOMEM, "audit", "out of memory");
}

static int names_read(struct audit *audit, struct emlfs_err *err)
{
    int r = emlfs_user_walk(audit->call->archive, user_add, &audit->users, err);

    if (r == 0)
        r = emlfs_rules_policies(audit->call->rules, policy_add, &audit->policies);
    if (r == 0)
        r = emlfs_rules_holds(audit->call->rules, hold_add, &audit->holds);
    return r == -ENOMEM ? emlfs_err_set(err, ENOMEM, "audit", "out of memory") : r;
}

static void audit_end(struct audit *audit)
{
    named_free(&audit->users);
    named_free(&audit->policies);
    named_free(&audit->holds);
    emlfs_buf_free(&audit->folder_path);
    free(audit->kinds);
    for (size_t i = 0; audit->last && i < audit->limit; i++)
        json_object_put(audit->last[i]);
    free(audit->last);
}

int emlfs_run_audit(struct emlfs_call *call, struct emlfs_err *err)
{
    struct audit audit = {.call = call, .err = err, .folder_path = EMLFS_BUF_INIT(OBJECT_BYTES)};
    struct emlfs_ledger_filter filter = {0};
    int r = filter_read(&audit, &filter, err);

    if (r == 0)
        r = limit_read(&audit, err);
    if (r == 0)
        r = names_read(&audit, err);
    if (r == 0)
        r = emlfs_ledger_each(emlfs_archive_ledger(call->archive), &filter, record_each, &audit,
                              err);
    if (r == 0)
        r = last_put(&audit);
    audit_end(&audit);
    return r;
}

int emlfs_run_audit_kinds(struct emlfs_call *call, struct emlfs_err *err)
{
    int r = 0;

    for (unsigned kind = 1; r == 0 && kind < KIND_END; kind++) {
        const char *name = emlfs_ledger_kind_name(kind);

        if (!name)
            continue;

        struct json_object *row = json_object_new_object();

        if (row) {
            emlfs_row_text(row, "kind", name);
            emlfs_row_number(row, "number", kind);
        }
        r = emlfs_row_put(call, row, err);
    }
    return r;
}
