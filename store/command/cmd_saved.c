/* SPDX-License-Identifier: GPL-3.0-or-later */
/* search save, list, remove, rename: the saved searches of a user archive. */
#include "search.h"

#include <stdio.h>

static int saved_row(struct emlfs_call *call, const struct emlfs_saved_search *search,
                     struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "name", search->name);
        emlfs_row_text(row, "query", search->query);
        emlfs_row_text(row, "form", search->form == EMLFS_QUERY_PATH ? "path" : "plain");
        emlfs_row_time(row, "created", search->created_ns);
        emlfs_row_time(row, "changed", search->changed_ns);
    }
    return emlfs_row_put(call, row, err);
}

/* object: the directory Searches, or one search in it. */
static int saved_check(struct emlfs_call *call, struct emlfs_user_id user, enum emlfs_object object,
                       enum emlfs_access_call wanted, struct emlfs_err *err)
{
    const struct emlfs_target target = {.kind = object, .user = user};

    return emlfs_rules_check(call->rules, &call->subject, &target, wanted, err);
}

static int saved_find(struct emlfs_call *call, const char *arg, struct emlfs_saved_search *ret,
                      struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, arg);
    struct emlfs_user user;
    int r = search_user(call, &user, err);

    if (r < 0)
        return r;
    r = emlfs_saved_by_name(call->saved, user.id, name, ret);
    if (r < 0)
        return emlfs_err_set(err, ENOENT, "search", "no saved search \"%s\"", name);
    return saved_check(call, user.id, EMLFS_OBJECT_SEARCH, EMLFS_CALL_RMDIR, err);
}

static int saved_fill(struct emlfs_call *call, const char *text, struct emlfs_saved_search *ret,
                      struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "NAME");
    struct emlfs_user user;
    int r = search_user(call, &user, err);

    if (r < 0)
        return r;
    r = saved_check(call, user.id, EMLFS_OBJECT_SEARCHES, EMLFS_CALL_MKDIR, err);
    if (r < 0)
        return r;
    if (strlen(name) > EMLFS_NAME_MAX_BYTES)
        return emlfs_err_set(err, EINVAL, "search", "the name has more than %u bytes",
                             EMLFS_NAME_MAX_BYTES);
    *ret = (struct emlfs_saved_search){.user = user.id, .form = EMLFS_QUERY_PLAIN};
    snprintf(ret->name, sizeof(ret->name), "%s", name);
    snprintf(ret->query, sizeof(ret->query), "%s", text);
    return 0;
}

int emlfs_run_search_save(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES + 1);
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_saved_search search, old;
    struct emlfs_query *query = NULL;
    int r = search_words(call->args, "QUERY", &text, err);

    if (r == 0)
        r = search_parse(call, (const char *)text.data, &query, err);
    emlfs_query_free(query);
    if (r == 0)
        r = saved_fill(call, (const char *)text.data, &search, err);
    if (r < 0)
        return r;
    if (emlfs_args_flag(call->args, "replace") &&
        emlfs_saved_by_name(call->saved, search.user, search.name, &old) == 0)
        return emlfs_saved_set_query(call->saved, &actor, old.id,
                                     &(struct emlfs_saved_query){search.query, search.form}, err);
    return emlfs_saved_add(call->saved, &actor, &search, err);
}

int emlfs_run_search_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_saved_search search = {0};
    struct emlfs_user user;
    int r = search_user(call, &user, err);

    if (r == 0)
        r = saved_check(call, user.id, EMLFS_OBJECT_SEARCHES, EMLFS_CALL_LIST, err);
    while (r == 0 && emlfs_saved_next(call->saved, user.id, search.id, &search) == 0)
        r = saved_row(call, &search, err);
    return r;
}

int emlfs_run_search_remove(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_saved_search search;
    int r = saved_find(call, "NAME", &search, err);

    return r < 0 ? r : emlfs_saved_remove(call->saved, &actor, search.id, err);
}

int emlfs_run_search_rename(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_saved_search search;
    int r = saved_find(call, "NAME", &search, err);

    return r < 0 ? r
                 : emlfs_saved_rename(call->saved, &actor, search.id,
                                      emlfs_args_text(call->args, "NEWNAME"), err);
}
