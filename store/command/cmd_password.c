/* SPDX-License-Identifier: GPL-3.0-or-later */
/* user password: an administrator sets anybody's, a user their own with the old one. */
#include "handlers.h"

static struct emlfs_span secret_of(const struct emlfs_call *call, const char *name)
{
    const char *text = emlfs_args_text(call->args, name);

    return text ? emlfs_span_str(text) : emlfs_span_of(NULL, 0);
}

/* The caller's own: they must be allowed to change it, and know the old one if there is one. */
static int own_check(struct emlfs_call *call, struct emlfs_user *ret, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_rights rights;
    struct emlfs_user same;
    int r;

    if (call->who.access.user.v == 0)
        return emlfs_err_set(err, ENOENT, "user",
                             "no archive user belongs to your account: name one");
    if (!(call->who.access.may & EMLFS_MAY_CHANGE_PASSWORD))
        return emlfs_err_set(err, EACCES, "user", "you may not change your password");
    r = emlfs_user_by_id(call->archive, call->who.access.user, ret, err);
    if (r == 0)
        r = emlfs_rules_rights(call->rules, ret->id, &rights);
    if (r < 0)
        return r;
    return rights.has_password ? emlfs_rules_login(call->rules, &actor, ret->name,
                                                   secret_of(call, "old-password"), &same, err)
                               : 0;
}

static int other_check(struct emlfs_call *call, const char *name, struct emlfs_user *ret,
                       struct emlfs_err *err)
{
    if (!emlfs_call_is_admin(call))
        return emlfs_err_set(err, EACCES, "user",
                             "only an administrator may; your own is changed without a name");
    return emlfs_user_find(call, name, ret, err);
}

int emlfs_run_user_password(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "NAME");
    bool clear = emlfs_args_flag(call->args, "clear");
    struct emlfs_span password = clear ? emlfs_span_of(NULL, 0) : secret_of(call, "password");
    struct emlfs_user user;
    struct emlfs_by by;
    int r;

    if (clear && emlfs_args_text(call->args, "password"))
        return emlfs_err_set(err, EINVAL, "user", "a new password and --clear contradict");
    if (!clear && password.len == 0)
        return emlfs_err_set(err, EINVAL, "user", "the new password is empty: --clear removes it");
    emlfs_call_by(call, &by);
    r = name ? other_check(call, name, &user, err) : own_check(call, &user, err);
    return r < 0 ? r : emlfs_rules_set_password(call->rules, &by, user.id, password, err);
}
