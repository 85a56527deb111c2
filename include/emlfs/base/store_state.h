/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_STORE_STATE_H
#define EMLFS_BASE_STORE_STATE_H

/* What a store lets happen. The numbers are part of the format. */
enum emlfs_store_state {
    EMLFS_STORE_CURRENT = 0,         /* takes new mail: only the store with the highest number */
    EMLFS_STORE_NORMAL = 1,          /* takes none; its messages may be moved and deleted */
    EMLFS_STORE_WRITE_PROTECTED = 2, /* nothing of it changes */
    EMLFS_STORE_DISABLED = 3,        /* not shown, not found */
    EMLFS_STORE_LOCKED = 4,          /* as disabled; only the recovery key opens it again */
    EMLFS_STORE_DETACHED = 5,        /* its directory may be elsewhere */
};

#endif
