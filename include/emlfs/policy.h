/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_POLICY_H
#define EMLFS_POLICY_H

#include <sys/types.h>

#include "emlfs/archive.h"
#include "emlfs/base/actor.h"

/*
 * Archive users, and the pure functions that decide who may do what.
 *
 * emlfs_user_... may be called from any thread, except that _add and _rename must not run at the
 * same time on one archive: who calls them (the command runner) lets one finish first. A crash
 * within one is settled by the next _add, _rename or emlfs_bindings_new; until then a user half
 * made does not exist, and a top folder half renamed keeps its old name. Every change goes with its
 * record (change.h): USER_MADE, USER_CHANGED, USER_DELETED.
 */

#define EMLFS_USER_NAME_MAX_BYTES 64u
#define EMLFS_USER_FULL_NAME_MAX_BYTES 120u
#define EMLFS_USER_ADDRESS_MAX_BYTES 254u
#define EMLFS_USER_ADDRESSES_MAX 16u
#define EMLFS_USER_ADMIN 1u
#define EMLFS_USER_REMOVED 2u /* may do nothing any more; the archive stays */

struct emlfs_user {
    struct emlfs_user_id id;
    struct emlfs_folder_id archive; /* top folder of the user archive */
    uint32_t flags;
    int64_t created_ns;
    char name[EMLFS_USER_NAME_MAX_BYTES + 1];           /* also the user archive's directory name */
    char unix_account[EMLFS_USER_NAME_MAX_BYTES + 1];   /* whose uid owns it */
    char full_name[EMLFS_USER_FULL_NAME_MAX_BYTES + 1]; /* "": none given */
    uint64_t quota_bytes; /* of messages in the user archive at most; 0: any */
    unsigned addresses_n; /* of mail: which messages are the user's own */
    char addresses[EMLFS_USER_ADDRESSES_MAX][EMLFS_USER_ADDRESS_MAX_BYTES + 1];
};
/*
 * name: 1...64 bytes, a valid folder name, not "Holds", "Searches" or ".emlfs", unique ignoring
 * case, removed users included. flags: 0 or EMLFS_USER_ADMIN. unix_account NULL: same as name; it
 * need not exist yet. ret may be NULL. Durable when 0 came back. EEXIST, EINVAL, E2BIG (65535
 * users). EPERM: of an archive that has users, another one bound to the account of actor, whose
 * archive access is off.
 */
struct emlfs_user_new {
    const char *name;
    const char *unix_account;
    uint32_t flags;
};
int emlfs_user_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct emlfs_user_new *made, struct emlfs_user *ret,
                   struct emlfs_err *err);
/* Exactly this name; removed users are found, too. ENOENT. */
int emlfs_user_by_name(struct emlfs_archive *archive, const char *name, struct emlfs_user *ret,
                       struct emlfs_err *err);
int emlfs_user_by_id(struct emlfs_archive *archive, struct emlfs_user_id id, struct emlfs_user *ret,
                     struct emlfs_err *err);
/* In id order, over the users as they were at the call; non-zero return stops and is returned. */
int emlfs_user_walk(struct emlfs_archive *archive,
                    int (*each)(void *arg, const struct emlfs_user *user), void *arg,
                    struct emlfs_err *err);
/* The user archive's directory gets the new name, too; the account stays. ENOENT, EEXIST, EINVAL.
 */
int emlfs_user_rename(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, const char *new_name, struct emlfs_err *err);
/* What to change of a user. */
struct emlfs_user_change {
    const char *unix_account;     /* NULL: stays */
    const char *full_name;        /* NULL: stays; "": none */
    const char *const *addresses; /* NULL: they stay; else all of them, addresses_n */
    unsigned addresses_n;
    bool set_quota; /* quota_bytes says what it becomes, 0: none; else it stays */
    uint64_t quota_bytes;
    bool set_admin; /* admin says what it becomes; else it stays */
    bool admin;
};
/*
 * Change the user with exactly this name; the name itself is changed by _rename. Who is no
 * administrator any more loses archive access, too. EPERM: the last administrator keeps the flag,
 * and an auditor does not get it; and nobody binds another's archive to their own account or uid
 * (nor where NSS cannot tell whose it is), unless their archive access is on. EINVAL: no account, a
 * text that is too long or no text, an address that is none or twice there; ENOENT: also a removed
 * user. 0 also when nothing changes.
 */
int emlfs_user_change(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, const struct emlfs_user_change *change,
                      struct emlfs_err *err);
/*
 * Mark as removed: the user archive and its mail stay, and belong to nobody; who reads them are
 * those it was granted to, and offices (access.h). The last administrator stays: EPERM. 0 also when
 * removed before. ENOENT.
 */
int emlfs_user_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const char *name, struct emlfs_err *err);

/* Who asks: the caller of a system call or the peer of the control socket. */
struct emlfs_subject {
    uid_t uid;
    gid_t gid;
};

/*
 * Bindings: uid of each user, from NSS, cached for 60 s; thread-safe; never called with a lock of
 * the archive held.
 */
struct emlfs_bindings;
int emlfs_bindings_new(struct emlfs_archive *archive, struct emlfs_bindings **ret);
void emlfs_bindings_free(struct emlfs_bindings *bindings);
/* Drop the cache: after a user command. */
void emlfs_bindings_refresh(struct emlfs_bindings *bindings);
/*
 * uid that owns user's archive; -ENOENT when the account does not exist or the user was removed
 * (owner shows as root); other errors: NSS or the archive cannot tell now.
 */
int emlfs_bindings_uid(struct emlfs_bindings *bindings, struct emlfs_user_id user, uid_t *ret_uid);
/* May subject read the mail of user's archive? Root is an administrator, not a reader. */
bool emlfs_bindings_may_read(struct emlfs_bindings *bindings, const struct emlfs_subject *subject,
                             struct emlfs_user_id user);
/* May subject administer (uid 0, or bound to a user with EMLFS_USER_ADMIN)? */
bool emlfs_bindings_is_admin(struct emlfs_bindings *bindings, const struct emlfs_subject *subject);

#endif
