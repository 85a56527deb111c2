/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Decisions.
 *
 *   A1  Mail is read by the account its user is bound to and by nobody else: neither uid 0 nor an
 *       administrator is a reader by office.
 *   A2  A removed user may do nothing, so nobody reads the archive that was left behind.
 *   A3  A uid that names nobody (-1) is equal to no other.
 */
#include "access.h"

static bool subject_is(const struct emlfs_subject *subject, const struct access_user *user)
{
    if (user->flags & EMLFS_USER_REMOVED || !user->bound)
        return false;
    return subject->uid != (uid_t)-1 && subject->uid == user->uid;
}

bool emlfs_access_may_read(const struct emlfs_subject *subject, const struct access_user *owner)
{
    return subject_is(subject, owner);
}

bool emlfs_access_is_admin(const struct emlfs_subject *subject, const struct access_user *user)
{
    if (subject->uid == 0)
        return true;
    return user->flags & EMLFS_USER_ADMIN && subject_is(subject, user);
}
