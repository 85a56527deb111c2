/* SPDX-License-Identifier: GPL-3.0-or-later */
/* privilege list, set, grant, revoke, access. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/text.h"

/* ---- list */

struct grant_list {
    struct emlfs_grant *v;
    size_t n, cap;
};

static int grant_collect(void *arg, const struct emlfs_grant *grant)
{
    struct grant_list *list = arg;

    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct emlfs_grant *more = reallocarray(list->v, cap, sizeof(*more));

        if (!more)
            return -ENOMEM;
        list->v = more;
        list->cap = cap;
    }
    list->v[list->n++] = *grant;
    return 0;
}

/* "anna: read,write" */
static void grant_text(struct json_object *array, const char *archive, uint32_t grants)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(256);
    int r = emlfs_text_printf(&text, "%s: ", archive);
    bool first = true;

    for (size_t i = 0; r == 0 && i < emlfs_words_grants.n; i++) {
        if (!(grants & emlfs_words_grants.v[i].bit))
            continue;
        r = emlfs_text_printf(&text, "%s%s", first ? "" : ",", emlfs_words_grants.v[i].name);
        first = false;
    }
    if (r == 0)
        json_object_array_add(array, emlfs_text_string(emlfs_buf_view(&text)));
}

/* What one user or one group was granted; user 0: group. */
static struct json_object *grants_array(const struct grant_list *list,
                                        const struct emlfs_user_list *users,
                                        struct emlfs_user_id user, const char *group)
{
    struct json_object *array = json_object_new_array();

    for (size_t i = 0; array && i < list->n; i++)
        if (list->v[i].user.v == user.v && strcmp(list->v[i].group, group) == 0)
            grant_text(array, emlfs_user_list_name(users, list->v[i].archive), list->v[i].grants);
    return array;
}

struct privileges {
    struct emlfs_call *call;
    struct emlfs_user_list users;
    struct grant_list grants;
};

static int user_privileges(struct privileges *all, const struct emlfs_user *user,
                           struct emlfs_err *err)
{
    struct emlfs_rights rights;
    int r = emlfs_rules_rights(all->call->rules, user->id, &rights);

    if (r < 0)
        return emlfs_err_sys(err, -r, "privilege", "%s", user->name);

    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "user", user->name);
        json_object_object_add(row, "may", emlfs_words_array(&emlfs_words_may, rights.may));
        json_object_object_add(row, "own", emlfs_words_array(&emlfs_words_grants, rights.own));
        json_object_object_add(row, "archives",
                               grants_array(&all->grants, &all->users, user->id, ""));
        emlfs_row_flag(row, "admin", user->flags & EMLFS_USER_ADMIN);
        emlfs_row_flag(row, "auditor", rights.auditor);
        emlfs_row_flag(row, "archive_access", rights.archive_access);
        emlfs_row_flag(row, "password", rights.has_password);
    }
    return emlfs_row_put(all->call, row, err);
}

static int group_privileges(struct privileges *all, const char *group, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "group", group);
        json_object_object_add(
            row, "archives",
            grants_array(&all->grants, &all->users, (struct emlfs_user_id){0}, group));
    }
    return emlfs_row_put(all->call, row, err);
}

static bool group_is_first(const struct grant_list *list, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(list->v[i].group, list->v[at].group) == 0)
            return false;
    return list->v[at].group[0] != '\0';
}

/* Offices see everybody's, others their own. */
static int privileges_show(struct privileges *all, struct emlfs_err *err)
{
    const char *wanted = emlfs_args_text(all->call->args, "user");
    bool office = emlfs_call_has_office(all->call), found = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < all->users.n; i++) {
        const struct emlfs_user *user = &all->users.v[i];

        if ((wanted && strcmp(wanted, user->name) != 0) ||
            (!office && user->id.v != all->call->who.access.user.v))
            continue;
        found = true;
        r = user_privileges(all, user, err);
    }
    if (r == 0 && wanted && !found)
        return emlfs_err_set(err, ENOENT, "privilege", "no archive user %s that you may see",
                             wanted);
    for (size_t i = 0; r == 0 && office && !wanted && i < all->grants.n; i++)
        if (group_is_first(&all->grants, i))
            r = group_privileges(all, all->grants.v[i].group, err);
    return r;
}

int emlfs_run_privilege_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct privileges all = {.call = call};
    int r = emlfs_user_list_load(call->archive, &all.users, err);

    if (r == 0) {
        r = emlfs_rules_each_grant(call->rules, grant_collect, &all.grants);
        if (r < 0)
            emlfs_err_sys(err, -r, "privilege", "reading the grants");
    }
    if (r == 0)
        r = privileges_show(&all, err);
    free(all.users.v);
    free(all.grants.v);
    return r;
}

/* ---- set */

static int list_read(struct emlfs_call *call, const char *name, const struct emlfs_words *words,
                     uint32_t *ret, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf option = EMLFS_BUF_INIT(64);
    const char *text = emlfs_args_text(call->args, name);

    if (!text)
        return 0;
    if (emlfs_text_printf(&option, "--%s%c", name, '\0') < 0)
        return emlfs_err_set(err, ENOMEM, "privilege", "out of memory");
    return emlfs_words_parse(words, (const char *)option.data, text, ret, err);
}

int emlfs_run_privilege_set(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_rights rights;
    struct emlfs_user user;
    struct emlfs_by by;
    int r;

    if (!emlfs_args_text(call->args, "may") && !emlfs_args_text(call->args, "own"))
        return emlfs_err_set(err, EINVAL, "privilege", "--may, --own or both are needed");
    emlfs_call_by(call, &by);
    r = emlfs_user_find(call, emlfs_args_text(call->args, "USER"), &user, err);
    if (r == 0)
        r = emlfs_rules_rights(call->rules, user.id, &rights);
    if (r == 0)
        r = list_read(call, "may", &emlfs_words_may, &rights.may, err);
    if (r == 0)
        r = list_read(call, "own", &emlfs_words_grants, &rights.own, err);
    if (r < 0)
        return r;
    /* Nobody is kept from reading their own mail by a list: without login they are. */
    rights.own |= EMLFS_GRANT_READ;
    return emlfs_rules_set_rights(call->rules, &by, user.id, rights.may, rights.own, err);
}

/* ---- grants */

static int grantee_read(struct emlfs_call *call, struct emlfs_grant *grant, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "user");
    const char *group = emlfs_args_text(call->args, "group");
    struct emlfs_user user;
    int r;

    if (!name == !group)
        return emlfs_err_set(err, EINVAL, "privilege", "one of --user and --group is needed");
    r = emlfs_user_find(call, emlfs_args_text(call->args, "ARCHIVE"), &user, err);
    if (r < 0)
        return r;
    grant->archive = user.id;
    if (group) {
        if (!group[0] || strlen(group) >= sizeof(grant->group))
            return emlfs_err_set(err, EINVAL, "privilege", "--group: 1 to %zu bytes",
                                 sizeof(grant->group) - 1);
        snprintf(grant->group, sizeof(grant->group), "%s", group);
        return 0;
    }
    r = emlfs_user_find(call, name, &user, err);
    grant->user = user.id;
    return r;
}

static int grant_change(struct emlfs_call *call, uint32_t grants, struct emlfs_err *err)
{
    struct emlfs_grant grant = {.grants = grants};
    struct emlfs_by by;
    int r = grantee_read(call, &grant, err);

    emlfs_call_by(call, &by);
    return r < 0 ? r : emlfs_rules_grant(call->rules, &by, &grant, err);
}

int emlfs_run_privilege_grant(struct emlfs_call *call, struct emlfs_err *err)
{
    uint32_t grants = EMLFS_GRANT_READ;
    int r = list_read(call, "grants", &emlfs_words_grants, &grants, err);

    if (r == 0 && grants == 0)
        return emlfs_err_set(err, EINVAL, "privilege",
                             "--grants: privilege revoke takes them back");
    return r < 0 ? r : grant_change(call, grants | EMLFS_GRANT_READ, err);
}

int emlfs_run_privilege_revoke(struct emlfs_call *call, struct emlfs_err *err)
{
    return grant_change(call, 0, err);
}

/* ---- archive access */

int emlfs_run_privilege_access(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *text = emlfs_args_text(call->args, "SWITCH");
    const char *password = emlfs_args_text(call->args, "password");
    struct emlfs_archive_access access = {.user = call->who.access.user,
                                          .on = strcmp(text, "on") == 0};
    struct emlfs_by by;

    if (!access.on && strcmp(text, "off") != 0)
        return emlfs_err_set(err, EINVAL, "privilege", "SWITCH: on or off");
    if (access.user.v == 0)
        return emlfs_err_set(err, EPERM, "privilege",
                             "archive access belongs to an archive user, and none is bound to "
                             "your account");
    if (access.on && (!emlfs_args_text(call->args, "reason") || !password))
        return emlfs_err_set(err, EINVAL, "privilege",
                             "to switch it on, --reason and your password are needed");
    emlfs_call_by(call, &by);
    access.password = password ? emlfs_span_str(password) : emlfs_span_of(NULL, 0);
    return emlfs_rules_set_archive_access(call->rules, &by, &access, err);
}
