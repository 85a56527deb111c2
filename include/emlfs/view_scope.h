/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_VIEW_SCOPE_H
#define EMLFS_VIEW_SCOPE_H

#include <stdbool.h>
#include <sys/types.h>

#include "emlfs/base/ids.h"

/*
 * What a view is of; zero: the archive. It grants nothing: what lies outside does not exist (ENOENT
 * by name and by node id), what lies inside is decided as ever. Except that with an auditor callers
 * act as that user while the user is an enrolled auditor, and are nobody else: only account and
 * mounter may do anything but look the top up; nothing is changed, every opening of a message is in
 * the ledger under the user's name, and what is shown belongs to account alone.
 *
 * With root or store_no there is no Holds and no .emlfs. Searches and .query are there with a whole
 * user archive as the root, not with another folder or a store.
 */
struct emlfs_view_scope {
    struct emlfs_folder_id root; /* the folder that is the root; 0: the archive */
    uint16_t store_no;           /* messages of that store only; 0: of all */
    bool auditor;                /* what follows is meant */
    struct emlfs_user_id acts;
    uid_t account, mounter;
};

#endif
