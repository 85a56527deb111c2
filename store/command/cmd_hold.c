/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hold list, place, add, release. */
#include "handlers.h"

#include <stdlib.h>

#include "emlfs/text.h"

static const char *scope_name(enum emlfs_hold_scope scope)
{
    switch (scope) {
    case EMLFS_HOLD_MESSAGES:
        return "messages";
    case EMLFS_HOLD_QUERY:
        return "query";
    case EMLFS_HOLD_ALL:
        return "all";
    }
    return "";
}

/* ---- rows */

static struct json_object *hold_row(const struct emlfs_hold *hold)
{
    struct json_object *row = json_object_new_object();

    if (!row)
        return NULL;
    emlfs_row_text(row, "name", hold->name);
    emlfs_row_text(row, "scope", scope_name(hold->scope));
    emlfs_row_text(row, "query", hold->query);
    emlfs_row_time(row, "placed", hold->placed_ns);
    emlfs_row_text(row, "placed_by", hold->placed_by);
    emlfs_row_text(row, "reason", hold->reason);
    if (hold->released) {
        emlfs_row_time(row, "released", hold->released_ns);
        emlfs_row_text(row, "released_by", hold->released_by);
        emlfs_row_text(row, "release_reason", hold->release_reason);
    }
    emlfs_row_number(row, "id", hold->id);
    return row;
}

/* Holds are many over the years: rows are made in the walk and put behind it. */
struct hold_rows {
    struct json_object *rows; /* array */
    bool released;
};

static int hold_collect(void *arg, const struct emlfs_hold *hold)
{
    struct hold_rows *rows = arg;

    if (hold->released && !rows->released)
        return 0;

    struct json_object *row = hold_row(hold);

    return row && json_object_array_add(rows->rows, row) == 0 ? 0 : -ENOMEM;
}

int emlfs_run_hold_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct hold_rows rows = {.rows = json_object_new_array(),
                             .released = emlfs_args_flag(call->args, "released")};
    int r = rows.rows ? emlfs_rules_holds(call->rules, hold_collect, &rows) : -ENOMEM;

    if (r < 0)
        emlfs_err_sys(err, -r, "hold", "reading the holds");
    for (size_t i = 0; r == 0 && i < json_object_array_length(rows.rows); i++)
        r = emlfs_row_put(call, json_object_get(json_object_array_get_idx(rows.rows, i)), err);
    json_object_put(rows.rows);
    return r;
}

/* ---- finding one */

struct hold_wanted {
    const char *name;
    struct emlfs_hold *ret;
};

static int hold_match(void *arg, const struct emlfs_hold *hold)
{
    struct hold_wanted *wanted = arg;

    if (hold->released || strcmp(hold->name, wanted->name) != 0)
        return 0;
    *wanted->ret = *hold;
    return 1;
}

static int hold_find(struct emlfs_call *call, struct emlfs_hold *ret, struct emlfs_err *err)
{
    struct hold_wanted wanted = {.name = emlfs_args_text(call->args, "NAME"), .ret = ret};
    int r = emlfs_rules_holds(call->rules, hold_match, &wanted);

    if (r > 0)
        return 0;
    return r == 0 ? emlfs_err_set(err, ENOENT, "hold", "no hold %s in force", wanted.name)
                  : emlfs_err_sys(err, -r, "hold", "reading the holds");
}

/* ---- messages by name */

static int message_exists(struct emlfs_call *call, const char *text, struct emlfs_msg_id *ret,
                          struct emlfs_err *err)
{
    struct emlfs_msg_info info;
    int r = emlfs_message_id(text, ret, err);

    if (r == 0)
        r = emlfs_archive_msg_info(call->archive, *ret, &info, NULL, err);
    return r == -ENOENT ? emlfs_err_set(err, ENOENT, "hold", "%s: no such message", text) : r;
}

/* Each is looked at before anything is held: a mistyped one changes nothing. */
static int messages_read(struct emlfs_call *call, struct json_object *list,
                         struct emlfs_msg_id **ret, struct emlfs_err *err)
{
    size_t n = json_object_array_length(list);
    struct emlfs_msg_id *ids = calloc(n ? n : 1, sizeof(*ids));
    int r = ids ? 0 : emlfs_err_set(err, ENOMEM, "hold", "out of memory");

    for (size_t i = 0; r == 0 && i < n; i++)
        r = message_exists(call, json_object_get_string(json_object_array_get_idx(list, i)),
                           &ids[i], err);
    *ret = ids;
    return r;
}

static int messages_add(struct emlfs_call *call, uint32_t hold, const struct emlfs_msg_id *ids,
                        size_t n, struct emlfs_err *err)
{
    struct emlfs_by by;
    int r = 0;

    emlfs_call_by(call, &by);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = emlfs_rules_hold_add(call->rules, &by, hold, ids[i], err);
    return r;
}

/* ---- placing and releasing */

static int text_fill(const char *what, const char *text, char *ret, size_t size,
                     struct emlfs_err *err)
{
    if (strlen(text) >= size)
        return emlfs_err_set(err, EINVAL, "hold", "the %s has more than %zu bytes", what, size - 1);
    memcpy(ret, text, strlen(text) + 1);
    return 0;
}

static int hold_read(struct emlfs_call *call, struct emlfs_hold *ret, struct emlfs_err *err)
{
    const char *query = emlfs_args_text(call->args, "query");
    bool all = emlfs_args_flag(call->args, "all");
    bool messages = emlfs_args_list(call->args, "message") != NULL;
    int r;

    if ((query != NULL) + all + messages != 1)
        return emlfs_err_set(err, EINVAL, "hold",
                             "what is held: one of --query, --all and --message is needed");
    ret->scope = query ? EMLFS_HOLD_QUERY : all ? EMLFS_HOLD_ALL : EMLFS_HOLD_MESSAGES;
    r = text_fill("name", emlfs_args_text(call->args, "NAME"), ret->name, sizeof(ret->name), err);
    if (r == 0 && query)
        r = text_fill("query", query, ret->query, sizeof(ret->query), err);
    return r;
}

static int hold_place(struct emlfs_call *call, struct emlfs_hold *hold,
                      const struct emlfs_msg_id *ids, size_t n, struct emlfs_err *err)
{
    struct emlfs_by by;
    int r;

    emlfs_call_by(call, &by);
    r = emlfs_rules_hold_place(call->rules, &by, hold, err);
    if (r == 0)
        r = messages_add(call, hold->id, ids, n, err);
    return r < 0 ? r : emlfs_row_put(call, hold_row(hold), err);
}

int emlfs_run_hold_place(struct emlfs_call *call, struct emlfs_err *err)
{
    struct json_object *list = emlfs_args_list(call->args, "message");
    struct emlfs_msg_id *ids = NULL;
    struct emlfs_hold hold = {0};
    int r = hold_read(call, &hold, err);

    if (r == 0 && list)
        r = messages_read(call, list, &ids, err);
    if (r == 0)
        r = hold_place(call, &hold, ids, list ? json_object_array_length(list) : 0, err);
    free(ids);
    return r;
}

int emlfs_run_hold_add(struct emlfs_call *call, struct emlfs_err *err)
{
    struct json_object *list = emlfs_args_list(call->args, "MESSAGE");
    struct emlfs_msg_id *ids = NULL;
    struct emlfs_hold hold;
    int r = hold_find(call, &hold, err);

    if (r == 0)
        r = messages_read(call, list, &ids, err);
    if (r == 0)
        r = messages_add(call, hold.id, ids, json_object_array_length(list), err);
    free(ids);
    return r;
}

int emlfs_run_hold_release(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_hold hold;
    struct emlfs_by by;
    int r = hold_find(call, &hold, err);

    emlfs_call_by(call, &by);
    return r < 0 ? r : emlfs_rules_hold_release(call->rules, &by, hold.id, err);
}
