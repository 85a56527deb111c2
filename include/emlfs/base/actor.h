/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_ACTOR_H
#define EMLFS_BASE_ACTOR_H

#include "emlfs/base/ids.h"

/*
 * Who acts, for what is recorded. Every function that changes an archive for somebody takes one;
 * NULL stands for emlfs itself.
 */
struct emlfs_actor {
    struct emlfs_user_id user; /* archive user; 0: none */
    int64_t uid;               /* of the calling process, EMLFS_UID_NONE */
    uint8_t source;            /* enum emlfs_ledger_source */
    bool admin;                /* acts with an administrator's rights */
};
#define EMLFS_UID_NONE (-1)

#endif
