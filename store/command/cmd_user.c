/* SPDX-License-Identifier: GPL-3.0-or-later */
/* user add, list, show, rename, remove. */
#include "handlers.h"

#include <stdlib.h>

static struct json_object *user_row(const struct emlfs_user *user)
{
    struct json_object *row = json_object_new_object();

    if (!row)
        return NULL;
    emlfs_row_text(row, "name", user->name);
    emlfs_row_text(row, "unix_account", user->unix_account);
    json_object_object_add(row, "admin", json_object_new_boolean(user->flags & EMLFS_USER_ADMIN));
    json_object_object_add(row, "removed",
                           json_object_new_boolean(user->flags & EMLFS_USER_REMOVED));
    emlfs_row_time(row, "created", user->created_ns);
    return row;
}

/* An administrator sees every user, others themselves. */
static bool user_visible(struct emlfs_call *call, const struct emlfs_user *user)
{
    uid_t uid;

    if (emlfs_bindings_is_admin(call->bindings, &call->subject))
        return true;
    return emlfs_bindings_uid(call->bindings, user->id, &uid) == 0 && uid == call->subject.uid;
}

int emlfs_run_user_add(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_user user;
    int r = emlfs_user_add(
        call->archive, NULL,
        &(struct emlfs_user_new){emlfs_args_text(call->args, "NAME"),
                                 emlfs_args_text(call->args, "unix-account"),
                                 emlfs_args_flag(call->args, "admin") ? EMLFS_USER_ADMIN : 0},
        &user, err);

    if (r < 0)
        return r;
    emlfs_bindings_refresh(call->bindings);

    uid_t uid;

    if (call->notice && emlfs_bindings_uid(call->bindings, user.id, &uid) == -ENOENT)
        call->notice(call->arg, "the Unix account does not exist yet: until then only the "
                                "administrator's commands reach this user archive");
    return emlfs_row_put(call, user_row(&user), err);
}

/*
 * Users are collected first: bindings must not be asked while the walk holds the archive's lock.
 */
struct user_list {
    struct emlfs_user *users;
    size_t n, cap;
};

static int user_collect(void *arg, const struct emlfs_user *user)
{
    struct user_list *list = arg;

    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 16;
        struct emlfs_user *users = reallocarray(list->users, cap, sizeof(*users));

        if (!users)
            return -ENOMEM;
        list->users = users;
        list->cap = cap;
    }
    list->users[list->n++] = *user;
    return 0;
}

int emlfs_run_user_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct user_list list = {0};
    int r = emlfs_user_walk(call->archive, user_collect, &list, err);

    for (size_t i = 0; r == 0 && i < list.n; i++)
        if (user_visible(call, &list.users[i]))
            r = emlfs_row_put(call, user_row(&list.users[i]), err);
    free(list.users);
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
        return emlfs_err_set(err, ENOENT, "user", "no archive user %s: 'emlfs user add' makes one",
                             name);
    if (r == 0)
        r = emlfs_folder_tree(call->archive, user.archive, user_count, &counts, err);
    if (r < 0)
        return r;

    struct json_object *row = user_row(&user);

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
    int r = emlfs_user_rename(call->archive, NULL, emlfs_args_text(call->args, "NAME"),
                              emlfs_args_text(call->args, "NEWNAME"), err);

    emlfs_bindings_refresh(call->bindings);
    return r;
}

int emlfs_run_user_remove(struct emlfs_call *call, struct emlfs_err *err)
{
    int r = emlfs_user_remove(call->archive, NULL, emlfs_args_text(call->args, "NAME"), err);

    emlfs_bindings_refresh(call->bindings);
    return r;
}
