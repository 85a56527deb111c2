/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing rights, grants, passwords and offices. */
#include <string.h>

#include "rules_internal.h"

#define AUDITOR_MAY (EMLFS_MAY_LOGIN | EMLFS_MAY_CHANGE_PASSWORD)

int emlfs_rules_rights(struct emlfs_rules *rules, struct emlfs_user_id user,
                       struct emlfs_rights *ret)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    int r = rules_snapshot_get(rules, &now, NULL);
    if (r == 0 && !rules_user_of(now, user))
        r = -ENOENT;
    if (r == 0)
        *ret = rules_rights_of(now, user);
    return r;
}

/* The user of a change; NULL: there is none, or it was removed. */
static const struct rules_user *user_find(const struct rules_job *job, struct emlfs_user_id id,
                                          struct emlfs_err *err)
{
    const struct rules_user *user = rules_user_of(job->now, id);

    if (user && !(user->flags & EMLFS_USER_REMOVED))
        return user;
    emlfs_err_set(err, ENOENT, "policy", "no such user");
    return NULL;
}

static int rights_commit(struct rules_job *job, const struct rules_user *user,
                         const struct emlfs_rights *rights, enum emlfs_ledger_kind kind,
                         struct emlfs_err *err)
{
    struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    uint8_t key[2];

    int r = emlfs_rights_encode(rights, &value);
    const struct emlfs_master_row row = {EMLFS_MASTER_RIGHTS, rules_key_u16(user->id, key),
                                         emlfs_buf_view(&value)};
    const struct rules_act act = {.kind = kind,
                                  .owner = user->id,
                                  .object = user->id.v,
                                  .name = user->name,
                                  .detail = job->by->reason,
                                  .rows = &row,
                                  .n = 1};
    if (r < 0)
        r = emlfs_err_sys(err, -r, "policy", "cannot write the rights of %s", user->name);
    else
        r = rules_job_commit(job, &act, err);
    emlfs_buf_wipe(&value);
    return r;
}

/* ---- what a user may */

struct wanted_rights {
    struct emlfs_user_id user;
    uint32_t may, own;
};

static bool administers(const struct rules_snapshot *now, const struct rules_user *user)
{
    const struct emlfs_access_object whole = {.kind = EMLFS_OBJECT_SYSTEM};
    const struct emlfs_access_subject subject = rules_subject_of(now, user);

    return emlfs_access(&subject, &whole, EMLFS_CALL_COMMAND) == 0;
}

static int admin_must_remain(const struct rules_snapshot *now, const struct rules_user *user,
                             struct emlfs_err *err)
{
    if (!administers(now, user))
        return 0;
    for (size_t i = 0; i < now->users_n; i++)
        if (&now->users[i] != user && administers(now, &now->users[i]))
            return 0;
    return emlfs_err_set(err, EPERM, "policy", "\"%s\" is the last administrator", user->name);
}

static int rights_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct wanted_rights *wanted = job->what;
    const struct rules_user *user = user_find(job, wanted->user, err);

    if (!user)
        return -ENOENT;
    struct emlfs_rights rights = rules_rights_of(job->now, user->id);
    const uint32_t more_may = wanted->may & ~rights.may;
    const uint32_t more_own = wanted->own & ~rights.own;
    if (rights.auditor && (more_may & ~AUDITOR_MAY || more_own & ~EMLFS_GRANT_READ))
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is an auditor, who changes nothing",
                             user->name);
    int r = wanted->may & EMLFS_MAY_LOGIN ? 0 : admin_must_remain(job->now, user, err);
    if (r < 0 || (rights.may == wanted->may && rights.own == wanted->own))
        return r;
    rights.may = wanted->may;
    rights.own = wanted->own;
    return rights_commit(job, user, &rights, EMLFS_LEDGER_RIGHT_CHANGED, err);
}

int emlfs_rules_set_rights(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_user_id user, uint32_t may, uint32_t own,
                           struct emlfs_err *err)
{
    const struct wanted_rights wanted = {user, may, own};
    struct rules_job job = {.rules = rules, .by = by, .what = &wanted};

    if (may & ~EMLFS_MAY_ALL || own & ~EMLFS_GRANT_ALL || !(own & EMLFS_GRANT_READ))
        return emlfs_err_set(err, EINVAL, "policy", "impossible rights");
    int r = rules_reason_check(by, false, err);
    return r < 0 ? r : rules_job_run(&job, rights_once, err);
}

/* ---- grants */

static bool same_grantee(const struct emlfs_grant *a, const struct emlfs_grant *b)
{
    return a->archive.v == b->archive.v && a->user.v == b->user.v &&
           strcmp(a->group, b->group) == 0;
}

static const struct emlfs_grant *grant_find(const struct rules_snapshot *now,
                                            const struct emlfs_grant *wanted)
{
    const struct emlfs_grant_set set = rules_grants_in(now, wanted->archive);

    for (size_t i = 0; i < set.n; i++)
        if (same_grantee(&set.v[i], wanted))
            return &set.v[i];
    return NULL;
}

/*
 * Would actor reach the archive by it? 1, 0, or -errno: cannot tell. Who is no archive user has
 * nothing of a group.
 */
static int grant_reaches(const struct rules_job *job, const struct emlfs_grant *wanted)
{
    const struct emlfs_actor *actor = &job->by->actor;
    const struct rules_user *acting = rules_user_of(job->now, actor->user);
    uid_t uid;

    if (wanted->user.v == 0)
        return acting ? rules_user_in_group(job->rules, acting, wanted->group) : 0;
    if (wanted->user.v == actor->user.v)
        return 1;
    int r = emlfs_bindings_uid(job->rules->options.bindings, wanted->user, &uid);
    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : (int64_t)uid == actor->uid;
}

/* Nobody opens another's archive to themselves this way: that takes archive access. */
static int grant_by_other(const struct rules_job *job, const struct emlfs_grant *wanted,
                          struct emlfs_err *err)
{
    const struct emlfs_actor *actor = &job->by->actor;

    if ((actor->user.v == 0 && actor->uid == EMLFS_UID_NONE) ||
        actor->user.v == wanted->archive.v ||
        (actor->user.v && rules_rights_of(job->now, actor->user).archive_access))
        return 0;
    int r = grant_reaches(job, wanted);
    if (r < 0)
        return emlfs_err_set(err, EPERM, "policy",
                             "it cannot be told now whether that opens the archive to you: switch "
                             "on archive access, or try again");
    return r == 0 ? 0
                  : emlfs_err_set(err, EPERM, "policy",
                                  "nobody opens another's archive to themselves: switch on archive "
                                  "access, as an archive user");
}

static int grant_once(struct rules_job *job, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf key = EMLFS_BUF_INIT(EMLFS_GRANT_ROW_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_GRANT_ROW_MAX_BYTES);
    const struct emlfs_grant *wanted = job->what;
    const struct emlfs_grant *before = grant_find(job->now, wanted);
    const struct rules_user *grantee = rules_user_of(job->now, wanted->user);
    const bool takes_back = wanted->grants == 0;
    struct emlfs_grant grant = *wanted;

    if (!rules_user_of(job->now, wanted->archive))
        return emlfs_err_set(err, ENOENT, "policy", "no such user archive");
    if (takes_back && !before)
        return emlfs_err_set(err, ENOENT, "policy", "nothing is granted to them there");
    if (!takes_back && wanted->user.v && !user_find(job, wanted->user, err))
        return -ENOENT;
    if (before && before->grants == wanted->grants)
        return 0;
    const uint32_t more = wanted->grants & ~(before ? before->grants : 0);
    int r = more ? grant_by_other(job, wanted, err) : 0;
    if (r < 0)
        return r;
    grant.grants = takes_back ? EMLFS_GRANT_READ : wanted->grants;
    grant.granted_ns = emlfs_archive_now_ns(job->rules->options.archive);
    memset(grant.granted_by, 0, sizeof(grant.granted_by));
    rules_by_name(job->by, grant.granted_by);
    r = emlfs_grant_encode(&grant, &key, &value);
    if (r < 0)
        return emlfs_err_set(err, -r, "policy", "an impossible grant");
    if (takes_back)
        emlfs_buf_clear(&value);
    const struct emlfs_master_row row = {EMLFS_MASTER_GRANT, emlfs_buf_view(&key),
                                         emlfs_buf_view(&value)};
    const struct rules_act act = {.kind = EMLFS_LEDGER_RIGHT_CHANGED,
                                  .owner = wanted->archive,
                                  .object = wanted->user.v,
                                  .name = grantee ? grantee->name : wanted->group,
                                  .detail = job->by->reason,
                                  .rows = &row,
                                  .n = 1};
    return rules_job_commit(job, &act, err);
}

int emlfs_rules_grant(struct emlfs_rules *rules, const struct emlfs_by *by,
                      const struct emlfs_grant *grant, struct emlfs_err *err)
{
    struct rules_job job = {.rules = rules, .by = by, .what = grant};

    if (grant->grants & ~EMLFS_GRANT_ALL || (grant->grants && !(grant->grants & EMLFS_GRANT_READ)))
        return emlfs_err_set(err, EINVAL, "policy", "impossible rights");
    int r = rules_reason_check(by, false, err);
    return r < 0 ? r : rules_job_run(&job, grant_once, err);
}

int emlfs_rules_each_grant(struct emlfs_rules *rules,
                           int (*each)(void *arg, const struct emlfs_grant *grant), void *arg)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;

    int r = rules_snapshot_get(rules, &now, NULL);
    for (size_t i = 0; r == 0 && i < now->grants_n; i++)
        r = each(arg, &now->grants[i]);
    return r;
}

/* ---- passwords */

struct wanted_password {
    struct emlfs_user_id user;
    struct emlfs_span text;
    bool made;
    struct emlfs_password password; /* once made, also for a second attempt */
};

static int password_once(struct rules_job *job, struct emlfs_err *err)
{
    struct wanted_password *wanted = job->ret;
    const struct rules_user *user = user_find(job, wanted->user, err);

    if (!user)
        return -ENOENT;
    struct emlfs_rights rights = rules_rights_of(job->now, user->id);
    int r = wanted->text.len ? emlfs_password_check(user->name, wanted->text, err) : 0;
    if (r < 0)
        return r;
    if (wanted->text.len && !wanted->made) {
        r = emlfs_password_make(wanted->text, &wanted->password);
        if (r < 0)
            return emlfs_err_sys(err, -r, "policy", "cannot make the password");
        wanted->made = true;
    }
    rights.has_password = wanted->made;
    rights.password = wanted->password;
    r = rights_commit(job, user, &rights, EMLFS_LEDGER_PASSWORD_CHANGED, err);
    emlfs_wipe(&rights, sizeof(rights));
    return r;
}

int emlfs_rules_set_password(struct emlfs_rules *rules, const struct emlfs_by *by,
                             struct emlfs_user_id user, struct emlfs_span password,
                             struct emlfs_err *err)
{
    struct wanted_password wanted = {.user = user, .text = password};
    struct rules_job job = {.rules = rules, .by = by, .ret = &wanted};

    int r = rules_reason_check(by, false, err);
    if (r == 0)
        r = rules_job_run(&job, password_once, err);
    emlfs_wipe(&wanted, sizeof(wanted));
    return r;
}

/* ---- offices */

struct wanted_office {
    struct emlfs_user_id user;
    bool on;
};

static int auditor_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct wanted_office *wanted = job->what;
    const struct rules_user *user = user_find(job, wanted->user, err);

    if (!user)
        return -ENOENT;
    struct emlfs_rights rights = rules_rights_of(job->now, user->id);
    if (wanted->on && user->flags & EMLFS_USER_ADMIN)
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is an administrator, so no auditor",
                             user->name);
    if (rights.auditor == wanted->on)
        return 0;
    rights.auditor = wanted->on;
    rights.archive_access = false;
    rights.auditor_since_ns = wanted->on ? emlfs_archive_now_ns(job->rules->options.archive) : 0;
    return rights_commit(job, user, &rights,
                         wanted->on ? EMLFS_LEDGER_AUDITOR_ADDED : EMLFS_LEDGER_AUDITOR_REMOVED,
                         err);
}

int emlfs_rules_set_auditor(struct emlfs_rules *rules, const struct emlfs_by *by,
                            struct emlfs_user_id user, bool on, struct emlfs_err *err)
{
    const struct wanted_office wanted = {user, on};
    struct rules_job job = {.rules = rules, .by = by, .what = &wanted};

    int r = rules_reason_check(by, false, err);
    return r < 0 ? r : rules_job_run(&job, auditor_once, err);
}

static int access_once(struct rules_job *job, struct emlfs_err *err)
{
    const struct wanted_office *wanted = job->what;
    const struct rules_user *user = user_find(job, wanted->user, err);

    if (!user)
        return -ENOENT;
    struct emlfs_rights rights = rules_rights_of(job->now, user->id);
    if (wanted->on && !administers(job->now, user))
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is no administrator", user->name);
    if (rights.archive_access == wanted->on)
        return 0;
    rights.archive_access = wanted->on;
    return rights_commit(job, user, &rights,
                         wanted->on ? EMLFS_LEDGER_ACCESS_OPENED : EMLFS_LEDGER_ACCESS_CLOSED, err);
}

/* The administrator's own password. The name is that of the moment: ids never change theirs. */
static int access_password(struct emlfs_rules *rules, const struct emlfs_archive_access *access,
                           struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;
    struct emlfs_user_id whose;

    int r = rules_snapshot_get(rules, &now, err);
    if (r < 0)
        return r;
    const struct rules_user *user = rules_user_of(now, access->user);
    if (!user || user->flags & EMLFS_USER_REMOVED)
        return emlfs_err_set(err, ENOENT, "policy", "no such user");
    if (!administers(now, user))
        return emlfs_err_set(err, EPERM, "policy", "\"%s\" is no administrator", user->name);
    return rules_password(rules, user->name, access->password, &whose, err);
}

int emlfs_rules_set_archive_access(struct emlfs_rules *rules, const struct emlfs_by *by,
                                   const struct emlfs_archive_access *access, struct emlfs_err *err)
{
    const struct wanted_office wanted = {access->user, access->on};
    struct rules_job job = {.rules = rules, .by = by, .what = &wanted};

    int r = rules_reason_check(by, access->on, err);
    if (r == 0 && access->on)
        r = access_password(rules, access, err);
    return r < 0 ? r : rules_job_run(&job, access_once, err);
}
