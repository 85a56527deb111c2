/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_RULES_CHANGE_H
#define EMLFS_RULES_CHANGE_H

#include "emlfs/rules.h"

/*
 * Changing and listing the rules. Rights are not asked here: the command runner does. Every change
 * is durable, recorded and in force when 0 came back (change.h); by whom and why goes into its
 * record. Lists are of the moment of the call; what each returns, if not 0, stops and is returned.
 */
struct emlfs_by {
    struct emlfs_actor actor;
    const char *who;    /* its name, for rows that keep one; "" is shown as "uid N" */
    const char *reason; /* "" where none was given */
};

/* ---- retention */

/*
 * Add (id 0: a new one is given, order 0: behind the last) or replace a policy. EPERM: compliance
 * mode, and it would loosen; EINVAL: no such policy as described in retention.h, its query does not
 * parse, excludes a field, names a folder or a relative date, or it loosens and no reason is given;
 * EEXIST: its name or order is taken; E2BIG; ENOENT: no policy with that id.
 */
int emlfs_rules_policy_put(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_policy *policy, struct emlfs_err *err);
int emlfs_rules_policy_remove(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t id,
                              struct emlfs_err *err);
/* In order. */
int emlfs_rules_policies(struct emlfs_rules *rules,
                         int (*each)(void *arg, const struct emlfs_policy *policy), void *arg);
enum emlfs_retention_mode emlfs_rules_mode(struct emlfs_rules *rules);
/* EPERM: compliance never becomes governance. */
int emlfs_rules_set_mode(struct emlfs_rules *rules, const struct emlfs_by *by,
                         enum emlfs_retention_mode mode, struct emlfs_err *err);

/* ---- holds: in memory, so there are limits, over which is E2BIG */

#define EMLFS_HOLDS_MAX 1024u            /* the released ones too: their record stays */
#define EMLFS_HOLD_MESSAGES_MAX 1000000u /* named by all holds together; 8 bytes each */
/* hold: scope, name and query are read; id and the rest are filled in. EEXIST, EINVAL, E2BIG. */
int emlfs_rules_hold_place(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_hold *hold, struct emlfs_err *err);
/* Name a message in a hold of scope EMLFS_HOLD_MESSAGES. 0 also when it was. ENOENT, EINVAL. */
int emlfs_rules_hold_add(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t hold,
                         struct emlfs_msg_id id, struct emlfs_err *err);
/* ENOENT: no such hold in force; EINVAL: no reason is given. */
int emlfs_rules_hold_release(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t hold,
                             struct emlfs_err *err);
/* By id, the released ones too. */
int emlfs_rules_holds(struct emlfs_rules *rules,
                      int (*each)(void *arg, const struct emlfs_hold *hold), void *arg);

/* ---- rights */

int emlfs_rules_rights(struct emlfs_rules *rules, struct emlfs_user_id user,
                       struct emlfs_rights *ret);
/*
 * may and own of user become these. EINVAL. Taking login away from the last administrator, or what
 * an auditor may not have: EPERM.
 */
int emlfs_rules_set_rights(struct emlfs_rules *rules, const struct emlfs_by *by,
                           struct emlfs_user_id user, uint32_t may, uint32_t own,
                           struct emlfs_err *err);
/*
 * grants 0 takes it back. Of grant, archive, user or group, and grants are read. EPERM: it would
 * open another's archive to who acts, themselves or as a member of the group, and their archive
 * access is off; also where NSS cannot tell. Taking back is free.
 */
int emlfs_rules_grant(struct emlfs_rules *rules, const struct emlfs_by *by,
                      const struct emlfs_grant *grant, struct emlfs_err *err);
int emlfs_rules_each_grant(struct emlfs_rules *rules,
                           int (*each)(void *arg, const struct emlfs_grant *grant), void *arg);
/* Empty: no password any more. EINVAL: the password policy, in err. */
int emlfs_rules_set_password(struct emlfs_rules *rules, const struct emlfs_by *by,
                             struct emlfs_user_id user, struct emlfs_span password,
                             struct emlfs_err *err);
/*
 * Is it the user's password? LOGIN or LOGIN_FAILED is recorded (actor: who brings it). EACCES: no,
 * or the user may not log in; EAGAIN: too many failures, ask again later (5 in a row close a name
 * for a minute; every failure takes the time of a right answer).
 */
int emlfs_rules_login(struct emlfs_rules *rules, const struct emlfs_actor *actor, const char *name,
                      struct emlfs_span password, struct emlfs_user *ret, struct emlfs_err *err);
/* An auditor reads every user archive that exists now. EPERM: administrators cannot be auditors. */
int emlfs_rules_set_auditor(struct emlfs_rules *rules, const struct emlfs_by *by,
                            struct emlfs_user_id user, bool on, struct emlfs_err *err);
/*
 * Archive access of an administrator. on needs their own password, checked like a login, and a
 * reason: EACCES, EINVAL. EPERM: no administrator.
 */
struct emlfs_archive_access {
    struct emlfs_user_id user;
    bool on;
    struct emlfs_span password;
};
int emlfs_rules_set_archive_access(struct emlfs_rules *rules, const struct emlfs_by *by,
                                   const struct emlfs_archive_access *access,
                                   struct emlfs_err *err);

/* ---- what is recorded: administrators' acts always, users' as set here */

#define EMLFS_AUDIT_LOGIN 1u   /* of users: LOGIN; a failed one always */
#define EMLFS_AUDIT_READ 2u    /* opening a message */
#define EMLFS_AUDIT_SEARCH 4u  /* searching */
#define EMLFS_AUDIT_EXPORT 8u  /* exporting */
#define EMLFS_AUDIT_DENIED 16u /* being refused */
#define EMLFS_AUDIT_ALL 31u
#define EMLFS_AUDIT_DEFAULT (EMLFS_AUDIT_LOGIN | EMLFS_AUDIT_EXPORT | EMLFS_AUDIT_DENIED)
uint32_t emlfs_rules_audited(struct emlfs_rules *rules);
int emlfs_rules_set_audited(struct emlfs_rules *rules, const struct emlfs_by *by, uint32_t what,
                            struct emlfs_err *err);
/* Is this activity (one EMLFS_AUDIT_... bit) of who to be recorded? */
bool emlfs_rules_is_audited(struct emlfs_rules *rules, const struct emlfs_who *who, uint32_t what);

#endif
