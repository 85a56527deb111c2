/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_USERS_H
#define EMLFS_STORE_POLICY_USERS_H

#include "emlfs/policy.h"

/* The value of a user row (the key is its id), private to store/policy and its tests. */

#define EMLFS_USER_ROW_MAX_BYTES 4640u
/* Replaces the content of ret_value. -ENOMEM. */
int emlfs_user_encode(const struct emlfs_user *user, struct emlfs_buf *ret_value);
/* -EUCLEAN: impossible; -EPROTONOSUPPORT: a newer form. */
int emlfs_user_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_user *ret);

/*
 * Finish what a crash left of an earlier _add or _rename. What cannot be finished now stays as it
 * is: harmless, see users.c.
 */
void emlfs_users_settle(struct emlfs_archive *archive);

#endif
