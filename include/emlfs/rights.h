/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_RIGHTS_H
#define EMLFS_RIGHTS_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"
#include "emlfs/policy.h"

/*
 * Rights: what a user may do at all, what they may do in each user archive, and the one pure
 * function that answers for every call. Any thread.
 */

/* What a user may do at all. */
#define EMLFS_MAY_LOGIN 1u /* be somebody; without it a user is a stranger everywhere */
#define EMLFS_MAY_CHANGE_PASSWORD 2u
#define EMLFS_MAY_ARCHIVE 4u
#define EMLFS_MAY_EXPORT 8u
#define EMLFS_MAY_DELETE 16u
#define EMLFS_MAY_MANAGE_PROFILES 32u
#define EMLFS_MAY_ALL 63u
#define EMLFS_MAY_DEFAULT                                                                          \
    (EMLFS_MAY_LOGIN | EMLFS_MAY_CHANGE_PASSWORD | EMLFS_MAY_ARCHIVE | EMLFS_MAY_EXPORT)

/* What they may do in one user archive. Without READ the others are nothing. */
#define EMLFS_GRANT_READ 1u
#define EMLFS_GRANT_WRITE 2u  /* add, move, make and remove folders */
#define EMLFS_GRANT_DELETE 4u /* needs EMLFS_MAY_DELETE, too */
#define EMLFS_GRANT_ALL 7u
#define EMLFS_GRANT_OWN_DEFAULT (EMLFS_GRANT_READ | EMLFS_GRANT_WRITE)

/* ---- passwords: for services; a mount goes by uid */

#define EMLFS_PASSWORD_MAX_BYTES 1024u
#define EMLFS_PASSWORD_SALT_BYTES 16u

struct emlfs_password {
    uint8_t salt[EMLFS_PASSWORD_SALT_BYTES];
    struct emlfs_key hash; /* emlfs_scrypt */
};
/*
 * At least 10 characters; of at least 3 of the classes upper case, lower case, digits, other ASCII,
 * and everything beyond ASCII; not the user name, nor holding it where it has 3 characters or more,
 * case ignored; no character three times in a row. EINVAL with the rule in err; E2BIG.
 */
int emlfs_password_check(const char *user_name, struct emlfs_span password, struct emlfs_err *err);
/* A new salt, and the hash. -EIO, -ENOMEM. */
int emlfs_password_make(struct emlfs_span password, struct emlfs_password *ret);
/*
 * 0: it is the password; -EACCES: it is not; -ENOMEM. stored NULL (no such user, no password set):
 * takes as long, then -EACCES.
 */
int emlfs_password_verify(const struct emlfs_password *stored, struct emlfs_span password);

/* ---- master rows: rights, key u16 be user */

struct emlfs_rights {
    struct emlfs_user_id user;
    uint32_t may;             /* EMLFS_MAY_... */
    uint32_t own;             /* EMLFS_GRANT_... in the user's own archive; READ always */
    bool archive_access;      /* an administrator's look into other archives is switched on */
    bool auditor;             /* reads what existed at auditor_since_ns, changes nothing */
    int64_t auditor_since_ns; /* only of an auditor */
    bool has_password;
    struct emlfs_password password; /* only when has_password */
};
#define EMLFS_RIGHTS_ROW_MAX_BYTES 256u
/* What a user without such a row has. */
struct emlfs_rights emlfs_rights_default(struct emlfs_user_id user);
/* Replaces the content of ret_value. EINVAL: not rights that _decode would take. -ENOMEM. */
int emlfs_rights_encode(const struct emlfs_rights *rights, struct emlfs_buf *ret_value);
/* -EUCLEAN: impossible; -EPROTONOSUPPORT: a newer form. */
int emlfs_rights_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_rights *ret);

/*
 * A grant: rights in the archive of one user, for another user or for a Unix group. Key: u16 be
 * archive, u8 0 and u16 be grantee, or u8 1 and the group's name.
 */
#define EMLFS_GRANT_ROW_MAX_BYTES 256u
struct emlfs_grant {
    struct emlfs_user_id archive;              /* whose */
    struct emlfs_user_id user;                 /* to whom; 0: to group */
    char group[EMLFS_USER_NAME_MAX_BYTES + 1]; /* "" exactly when user is not 0 */
    uint32_t grants;                           /* EMLFS_GRANT_..., READ always */
    int64_t granted_ns;
    char granted_by[EMLFS_USER_NAME_MAX_BYTES + 1];
};
/* Replaces the content of both buffers. EINVAL, -ENOMEM. */
int emlfs_grant_encode(const struct emlfs_grant *grant, struct emlfs_buf *ret_key,
                       struct emlfs_buf *ret_value);
/* As emlfs_rights_decode. */
int emlfs_grant_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_grant *ret);

struct emlfs_grant_set {
    const struct emlfs_grant *v;
    size_t n;
};
/*
 * What rights' user may do in archive by ownership and grants. member: is the caller in this Unix
 * group? An answer that cannot be had is no.
 */
uint32_t emlfs_grants_of(const struct emlfs_grant_set *set, const struct emlfs_rights *rights,
                         struct emlfs_user_id archive, bool (*member)(void *arg, const char *group),
                         void *arg);

#endif
