/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * login: a service (the IMAP server's checkpassword) asks whether a name and a password are right,
 * and for whom it is to work then. What is wrong with them is the answer and no error.
 */
#include <pwd.h>
#include <unistd.h>

#include "handlers.h"

#define ACCOUNT_BUFFER_BYTES 16384
#define SYSTEM_UIDS 500u /* below: accounts of the system, for which nobody reads mail */
#define IMAP_ACCOUNT "dovecot"

/* The account of uid; false: there is none, or it cannot be told. */
static bool account_find(uid_t uid, char buffer[ACCOUNT_BUFFER_BYTES], struct passwd *ret)
{
    struct passwd *found = NULL;

    return getpwuid_r(uid, ret, buffer, ACCOUNT_BUFFER_BYTES, &found) == 0 && found;
}

/* Looking up a user without a password is for root and the IMAP server. */
static int lookup_check(const struct emlfs_call *call, struct emlfs_err *err)
{
    char buffer[ACCOUNT_BUFFER_BYTES];
    struct passwd account;

    if (call->subject.uid == 0 || (account_find(call->subject.uid, buffer, &account) &&
                                   strcmp(account.pw_name, IMAP_ACCOUNT) == 0))
        return 0;
    return emlfs_err_set(err, EACCES, "login", "only root and the account " IMAP_ACCOUNT " may");
}

/* EACCES: no user who may log in. */
static int lookup(struct emlfs_call *call, const char *name, struct emlfs_user *ret,
                  struct emlfs_err *err)
{
    struct emlfs_rights rights;
    int r = emlfs_user_by_name(call->archive, name, ret, err);

    if (r == 0 && ret->flags & EMLFS_USER_REMOVED)
        return -EACCES;
    if (r == 0)
        r = emlfs_rules_rights(call->rules, ret->id, &rights);
    if (r == 0 && !(rights.may & EMLFS_MAY_LOGIN))
        return -EACCES;
    return r == -ENOENT ? -EACCES : r;
}

static int password_check(struct emlfs_call *call, const char *name, struct emlfs_user *ret,
                          struct emlfs_err *err)
{
    const char *password = emlfs_args_text(call->args, "password");
    struct emlfs_actor actor = emlfs_call_actor(call);

    return emlfs_rules_login(call->rules, &actor, name,
                             password ? emlfs_span_str(password) : emlfs_span_of(NULL, 0), ret,
                             err);
}

static const char *account_tell(struct emlfs_call *call, const struct emlfs_user *user,
                                struct json_object *row)
{
    char buffer[ACCOUNT_BUFFER_BYTES];
    struct passwd account;
    uid_t uid;

    if (emlfs_bindings_uid(call->bindings, user->id, &uid) < 0 ||
        !account_find(uid, buffer, &account) || account.pw_uid != uid || uid < SYSTEM_UIDS)
        return "unusable";
    emlfs_row_text(row, "name", user->name);
    emlfs_row_text(row, "home", account.pw_dir);
    json_object_object_add(row, "uid", json_object_new_int64(account.pw_uid));
    json_object_object_add(row, "gid", json_object_new_int64(account.pw_gid));
    return "right";
}

int emlfs_run_login(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "NAME");
    struct emlfs_user user = {.flags = 0};
    struct json_object *row;
    int r;

    if (emlfs_args_flag(call->args, "lookup")) {
        r = lookup_check(call, err);
        if (r < 0)
            return r;
        r = lookup(call, name, &user, err);
    } else {
        r = password_check(call, name, &user, err);
    }
    if (r < 0 && r != -EACCES)
        return r;
    row = json_object_new_object();
    if (row)
        emlfs_row_text(row, "result", r == 0 ? account_tell(call, &user, row) : "wrong");
    return emlfs_row_put(call, row, err);
}
