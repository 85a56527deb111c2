/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_ACCESS_H
#define EMLFS_STORE_POLICY_ACCESS_H

#include "emlfs/policy.h"

/* Who may do what: pure functions of the subject and of what is known about one user. */
struct access_user {
    uint32_t flags; /* EMLFS_USER_... */
    bool bound;     /* the Unix account exists */
    uid_t uid;      /* only when bound */
};

bool emlfs_access_may_read(const struct emlfs_subject *subject, const struct access_user *owner);
/* Does being bound to user make subject an administrator? */
bool emlfs_access_is_admin(const struct emlfs_subject *subject, const struct access_user *user);

#endif
