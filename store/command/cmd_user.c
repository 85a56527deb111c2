/* SPDX-License-Identifier: GPL-3.0-or-later */
/* user add, list, show, rename, remove. */
#include "handlers.h"

#include <ctype.h>
#include <stdlib.h>

static struct json_object *user_row(const struct emlfs_user *user)
{
    struct json_object *row = json_object_new_object();

    if (!row)
        return NULL;
    emlfs_row_text(row, "name", user->name);
    emlfs_row_text(row, "full_name", user->full_name);
    emlfs_row_text(row, "unix_account", user->unix_account);
    json_object_object_add(row, "admin", json_object_new_boolean(user->flags & EMLFS_USER_ADMIN));
    json_object_object_add(row, "removed",
                           json_object_new_boolean(user->flags & EMLFS_USER_REMOVED));
    emlfs_row_time(row, "created", user->created_ns);

    /* Without a limit: null. */
    json_object_object_add(
        row, "quota", user->quota_bytes ? json_object_new_int64((int64_t)user->quota_bytes) : NULL);

    struct json_object *addresses = json_object_new_array();

    for (unsigned i = 0; addresses && i < user->addresses_n; i++)
        json_object_array_add(addresses, json_object_new_string(user->addresses[i]));
    json_object_object_add(row, "addresses", addresses);
    return row;
}

/* With how much the user archive holds. */
static int user_row_used(struct emlfs_call *call, const struct emlfs_user *user,
                         struct json_object **ret, struct emlfs_err *err)
{
    uint64_t used;
    int r = emlfs_archive_usage(call->archive, user->id, &used, err);

    if (r < 0)
        return r;
    *ret = user_row(user);
    if (*ret)
        emlfs_row_number(*ret, "used", used);
    return 0;
}

/* "500M", "10G", bytes; "none" and 0: no quota. EINVAL. */
static int quota_read(const char *text, uint64_t *ret, struct emlfs_err *err)
{
    static const char units[] = "KMGT";
    size_t digits = strspn(text, "0123456789");
    const char *unit = isalpha((unsigned char)text[digits])
                           ? strchr(units, toupper((unsigned char)text[digits]))
                           : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    uint64_t n = digits <= 18 ? strtoull(text, NULL, 10) : UINT64_MAX;

    *ret = 0;
    if (strcmp(text, "none") == 0)
        return 0;
    if (digits == 0 || (text[digits] && (!unit || text[digits + 1])) ||
        n > (uint64_t)INT64_MAX >> shift)
        return emlfs_err_set(err, EINVAL, "user",
                             "--quota: a number of bytes with K, M, G or T behind it, or none");
    *ret = n << shift;
    return 0;
}

/* Offices see every user, others themselves. */
static bool user_visible(struct emlfs_call *call, const struct emlfs_user *user)
{
    return emlfs_call_has_office(call) ||
           (user->id.v != 0 && user->id.v == call->who.access.user.v);
}

static int user_unknown(const char *name, struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOENT, "user", "no archive user %s: 'emlfs user add' makes one",
                         name);
}

int emlfs_user_find(struct emlfs_call *call, const char *name, struct emlfs_user *ret,
                    struct emlfs_err *err)
{
    int r = emlfs_user_by_name(call->archive, name, ret, err);

    return r == -ENOENT ? user_unknown(name, err) : r;
}

/* ---- adding and changing */

/* Borrowed from the arguments. One empty --address stands for none at all. */
struct change_read {
    struct emlfs_user_change change;
    const char *addresses[EMLFS_USER_ADDRESSES_MAX];
};

static int addresses_read(struct json_object *list, struct change_read *ret, struct emlfs_err *err)
{
    size_t n = json_object_array_length(list);

    ret->change.addresses = ret->addresses;
    if (n == 1 && json_object_get_string_len(json_object_array_get_idx(list, 0)) == 0)
        return 0;
    if (n > EMLFS_USER_ADDRESSES_MAX)
        return emlfs_err_set(err, EINVAL, "user", "--address: at most %u",
                             EMLFS_USER_ADDRESSES_MAX);
    for (size_t i = 0; i < n; i++)
        ret->addresses[i] = json_object_get_string(json_object_array_get_idx(list, i));
    ret->change.addresses_n = (unsigned)n;
    return 0;
}

/* unix-account and admin are left out for user add, which gives them at once. */
static int change_read(struct json_object *args, bool added, struct change_read *ret,
                       struct emlfs_err *err)
{
    bool admin = emlfs_args_flag(args, "admin"), no_admin = emlfs_args_flag(args, "no-admin");
    struct json_object *list = emlfs_args_list(args, "address");

    *ret = (struct change_read){.change = {.full_name = emlfs_args_text(args, "full-name")}};
    if (admin && no_admin)
        return emlfs_err_set(err, EINVAL, "user", "--admin and --no-admin contradict each other");
    if (!added) {
        ret->change.unix_account = emlfs_args_text(args, "unix-account");
        ret->change.set_admin = admin || no_admin;
        ret->change.admin = admin;
    }

    const char *quota = emlfs_args_text(args, "quota");
    int r = quota ? quota_read(quota, &ret->change.quota_bytes, err) : 0;

    ret->change.set_quota = quota != NULL;
    if (r < 0)
        return r;
    return list ? addresses_read(list, ret, err) : 0;
}

static bool change_is_any(const struct emlfs_user_change *change)
{
    return change->unix_account || change->full_name || change->addresses || change->set_admin ||
           change->set_quota;
}

/* The row as it is now, and a word when nobody can reach the user archive. */
static int user_show(struct emlfs_call *call, const char *name, struct emlfs_err *err)
{
    struct emlfs_user user;
    uid_t uid;
    int r;

    emlfs_bindings_refresh(call->bindings);
    r = emlfs_user_find(call, name, &user, err);
    if (r < 0)
        return r;
    if (call->notice && emlfs_bindings_uid(call->bindings, user.id, &uid) == -ENOENT)
        call->notice(call->arg, "the Unix account does not exist yet: until then only the "
                                "administrator's commands reach this user archive");
    return emlfs_row_put(call, user_row(&user), err);
}

int emlfs_run_user_add(struct emlfs_call *call, struct emlfs_err *err)
{
    const struct emlfs_actor actor = emlfs_call_actor(call);
    const struct emlfs_user_new made = {
        emlfs_args_text(call->args, "NAME"), emlfs_args_text(call->args, "unix-account"),
        emlfs_args_flag(call->args, "admin") ? EMLFS_USER_ADMIN : 0};
    struct change_read read;
    int r = change_read(call->args, true, &read, err);

    if (r == 0)
        r = emlfs_user_add(call->archive, &actor, &made, NULL, err);
    if (r == 0 && change_is_any(&read.change))
        r = emlfs_user_change(call->archive, &actor, made.name, &read.change, err);
    return r < 0 ? r : user_show(call, made.name, err);
}

int emlfs_run_user_set(struct emlfs_call *call, struct emlfs_err *err)
{
    const struct emlfs_actor actor = emlfs_call_actor(call);
    const char *name = emlfs_args_text(call->args, "NAME");
    struct change_read read;
    int r = change_read(call->args, false, &read, err);

    if (r == 0 && !change_is_any(&read.change))
        return emlfs_err_set(err, EINVAL, "user", "nothing to change was given");
    if (r == 0)
        r = emlfs_user_change(call->archive, &actor, name, &read.change, err);
    return r < 0 ? r : user_show(call, name, err);
}

/* ---- lists */

static int user_collect(void *arg, const struct emlfs_user *user)
{
    struct emlfs_user_list *list = arg;

    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct emlfs_user *users = reallocarray(list->v, cap, sizeof(*users));

        if (!users)
            return -ENOMEM;
        list->v = users;
        list->cap = cap;
    }
    list->v[list->n++] = *user;
    return 0;
}

int emlfs_user_list_load(struct emlfs_archive *archive, struct emlfs_user_list *ret,
                         struct emlfs_err *err)
{
    *ret = (struct emlfs_user_list){0};
    return emlfs_user_walk(archive, user_collect, ret, err);
}

const char *emlfs_user_list_name(const struct emlfs_user_list *list, struct emlfs_user_id id)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->v[i].id.v == id.v)
            return list->v[i].name;
    return "";
}

static int used_put(struct emlfs_call *call, const struct emlfs_user *user, struct emlfs_err *err)
{
    struct json_object *row;
    int r = user_row_used(call, user, &row, err);

    return r < 0 ? r : emlfs_row_put(call, row, err);
}

int emlfs_run_user_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_user_list list;
    int r = emlfs_user_list_load(call->archive, &list, err);

    for (size_t i = 0; r == 0 && i < list.n; i++)
        if (user_visible(call, &list.v[i]))
            r = used_put(call, &list.v[i], err);
    free(list.v);
    return r;
}

struct user_counts {
    uint64_t folders, entries;
};

static int user_count(void *arg, const char *path, const struct emlfs_folder *folder)
{
    struct user_counts *counts = arg;

    counts->folders += path[0] != '\0';
    counts->entries += folder->entries;
    return 0;
}

int emlfs_run_user_show(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "NAME");
    struct user_counts counts = {0};
    struct emlfs_user user;
    uid_t uid;
    int r = emlfs_user_by_name(call->archive, name, &user, err);

    if (r == -ENOENT || (r == 0 && !user_visible(call, &user)))
        return user_unknown(name, err);
    if (r == 0)
        r = emlfs_folder_tree(call->archive, user.archive, user_count, &counts, err);
    if (r < 0)
        return r;

    struct json_object *row;

    r = user_row_used(call, &user, &row, err);
    if (r < 0)
        return r;
    if (row) {
        if (emlfs_bindings_uid(call->bindings, user.id, &uid) == 0)
            emlfs_row_number(row, "uid", uid);
        emlfs_row_number(row, "folders", counts.folders);
        emlfs_row_number(row, "entries", counts.entries);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_user_rename(struct emlfs_call *call, struct emlfs_err *err)
{
    const struct emlfs_actor actor = emlfs_call_actor(call);
    int r = emlfs_user_rename(call->archive, &actor, emlfs_args_text(call->args, "NAME"),
                              emlfs_args_text(call->args, "NEWNAME"), err);

    emlfs_bindings_refresh(call->bindings);
    return r;
}

int emlfs_run_user_remove(struct emlfs_call *call, struct emlfs_err *err)
{
    const struct emlfs_actor actor = emlfs_call_actor(call);
    int r = emlfs_user_remove(call->archive, &actor, emlfs_args_text(call->args, "NAME"), err);

    emlfs_bindings_refresh(call->bindings);
    return r;
}
