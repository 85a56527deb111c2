/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_BINDINGS_H
#define EMLFS_STORE_POLICY_BINDINGS_H

#include "emlfs/policy.h"

/* The system below the bindings, private to store/policy and its tests. */
struct bindings_system {
    /* uid of account. -ENOENT: there is none; other -errno: cannot tell now. May take long. */
    int (*uid)(void *arg, const char *account, uid_t *ret_uid);
    int64_t (*monotonic_ns)(void *arg);
    void *arg;
};

/* uid as the bindings ask for it. arg is not used. */
int emlfs_bindings_nss_uid(void *arg, const char *account, uid_t *ret_uid);
int emlfs_bindings_new_on(struct emlfs_archive *archive, const struct bindings_system *system,
                          struct emlfs_bindings **ret);

#endif
