/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passwords asked for.
 *
 *   G1  A name that is there, one that is not, one without a password: the same time, the same
 *       answer. Failures are counted for all of them.
 *   G2  Attempts under way count as failures until they end, so that many at once are no more than
 *       many one after the other.
 *   G3  At most RULES_LOGIN_NAMES names are kept; a new one takes the place of the one that was
 *       left alone longest, closed names last.
 */
#include <string.h>

#include "rules_internal.h"

/* ---- names that failed */

static struct rules_login_name *name_find(struct emlfs_rules *rules, const char *name)
{
    for (unsigned i = 0; i < RULES_LOGIN_NAMES; i++)
        if (rules->names[i].failures && strcmp(rules->names[i].name, name) == 0)
            return &rules->names[i];
    return NULL;
}

static bool is_closed(const struct rules_login_name *row, int64_t now_ns)
{
    return row->failures >= RULES_LOGIN_FAILURES && now_ns < row->until_ns;
}

/* G3 */
static struct rules_login_name *name_place(struct emlfs_rules *rules, int64_t now_ns)
{
    struct rules_login_name *best = NULL;

    for (unsigned i = 0; i < RULES_LOGIN_NAMES; i++) {
        struct rules_login_name *row = &rules->names[i];
        if (row->failures == 0)
            return row;
        if (!best || is_closed(row, now_ns) < is_closed(best, now_ns) ||
            (is_closed(row, now_ns) == is_closed(best, now_ns) && row->until_ns < best->until_ns))
            best = row;
    }
    return best;
}

/* Count an attempt (G2). False: the name is closed. */
static bool attempt_begin(struct emlfs_rules *rules, const char *name)
{
    const int64_t now_ns = rules_now_ns(rules);
    bool open = true;

    pthread_mutex_lock(&rules->lock);
    struct rules_login_name *row = name_find(rules, name);
    if (!row) {
        row = name_place(rules, now_ns);
        *row = (struct rules_login_name){0};
        memcpy(row->name, name, strlen(name) + 1);
    }
    if (row->failures >= RULES_LOGIN_FAILURES && now_ns >= row->until_ns)
        row->failures = 0; /* the minute is over */
    if (row->failures >= RULES_LOGIN_FAILURES) {
        open = false;
    } else {
        row->failures++;
        row->until_ns = now_ns + RULES_LOGIN_CLOSED_NS;
    }
    pthread_mutex_unlock(&rules->lock);
    return open;
}

static void attempt_end(struct emlfs_rules *rules, const char *name, bool right)
{
    pthread_mutex_lock(&rules->lock);
    struct rules_login_name *row = name_find(rules, name);
    if (row && right)
        *row = (struct rules_login_name){0};
    else if (row) /* the minute begins when the failure is told */
        row->until_ns = rules_now_ns(rules) + RULES_LOGIN_CLOSED_NS;
    pthread_mutex_unlock(&rules->lock);
}

/* ---- asking */

/* The password that counts for name, and whose; false: nobody's. */
static bool password_of(const struct rules_snapshot *now, const char *name,
                        struct emlfs_password *ret, struct emlfs_user_id *ret_user)
{
    const struct rules_user *user = rules_user_named(now, name);

    ret_user->v = user ? user->id.v : 0;
    if (!user)
        return false;
    const struct emlfs_rights rights = rules_rights_of(now, user->id);
    *ret = rights.password;
    return rights.has_password && rights.may & EMLFS_MAY_LOGIN &&
           !(user->flags & EMLFS_USER_REMOVED);
}

int rules_password(struct emlfs_rules *rules, const char *name, struct emlfs_span password,
                   struct emlfs_user_id *ret_user, struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;
    char key[EMLFS_USER_NAME_MAX_BYTES + 1] = {0};
    struct emlfs_password stored;

    ret_user->v = 0;
    int r = rules_snapshot_get(rules, &now, err);
    if (r < 0)
        return r;
    memcpy(key, name, strnlen(name, EMLFS_USER_NAME_MAX_BYTES));
    if (!attempt_begin(rules, key))
        return emlfs_err_set(err, EAGAIN, "policy", "too many failures: try again in a minute");
    bool counts = password_of(now, name, &stored, ret_user);
    r = emlfs_password_verify(counts ? &stored : NULL, password);
    emlfs_wipe(&stored, sizeof(stored));
    attempt_end(rules, key, r == 0);
    if (r == -EACCES)
        return emlfs_err_set(err, EACCES, "policy", "name or password is wrong");
    return r < 0 ? emlfs_err_sys(err, -r, "policy", "cannot check the password") : 0;
}

static int login_record(struct emlfs_rules *rules, const struct emlfs_actor *actor,
                        const char *name, struct emlfs_user_id user, int result,
                        struct emlfs_err *err)
{
    char text[EMLFS_USER_NAME_MAX_BYTES + 1];

    rules_text(name, text, sizeof(text));
    const struct emlfs_ledger_record record = {.kind = result == 0 ? EMLFS_LEDGER_LOGIN
                                                                   : EMLFS_LEDGER_LOGIN_FAILED,
                                               .outcome = (uint16_t)-result,
                                               .owner = user,
                                               .object = user.v,
                                               .name = emlfs_span_str(text)};
    return emlfs_archive_record(rules->options.archive, actor, &record, err);
}

static bool login_is_audited(struct emlfs_rules *rules, struct emlfs_user_id id)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *now = NULL;
    struct emlfs_who who = {.subject = {.uid = (uid_t)-1, .gid = (gid_t)-1}};

    if (rules_snapshot_get(rules, &now, NULL) < 0)
        return true;
    const struct rules_user *user = rules_user_of(now, id);
    if (user)
        who.access = rules_subject_of(now, user);
    return emlfs_rules_is_audited(rules, &who, EMLFS_AUDIT_LOGIN);
}

int emlfs_rules_login(struct emlfs_rules *rules, const struct emlfs_actor *actor, const char *name,
                      struct emlfs_span password, struct emlfs_user *ret, struct emlfs_err *err)
{
    struct emlfs_user_id id;
    struct emlfs_err inner = {0};

    int r = rules_password(rules, name, password, &id, &inner);
    /* A closed name is not recorded again and again: the failures that closed it are. */
    if (r == -EACCES || (r == 0 && login_is_audited(rules, id))) {
        int recorded = login_record(rules, actor, name, id, r, err);
        if (recorded < 0)
            return recorded; /* nobody enters unseen */
    }
    if (r < 0) {
        if (err)
            *err = inner;
        return r;
    }
    return emlfs_user_by_id(rules->options.archive, id, ret, err);
}
