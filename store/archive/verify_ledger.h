/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_VERIFY_LEDGER_H
#define EMLFS_ARCHIVE_VERIFY_LEDGER_H

#include "book.h"
#include "internal.h"

/* ---- verify_ledger.c: the ledger with itself, and held against the messages of the packs */

struct ledger_check;
struct ledger_checking {
    struct emlfs_archive *archive; /* NULL: it is closed (only for _files) */
    struct book book;
    const struct emlfs_progress *progress;
    struct emlfs_check_totals *totals;
    void (*report)(void *arg, const struct emlfs_err *found);
    void *arg;
};
/* Every byte below ledger/; an open one is paused meanwhile. No ledger: nothing to do. */
int ledger_check_files(const struct ledger_checking *checking, struct emlfs_err *err);
/* *ret NULL and 0: there is no open ledger to compare with. */
int ledger_check_new(const struct ledger_checking *checking, struct ledger_check **ret,
                     struct emlfs_err *err);
void ledger_check_free(struct ledger_check *check);
/* Each message of the packs, in ascending order; arg: the check. Damage is a finding. */
int ledger_check_message(void *arg, struct emlfs_msg_id id, const uint8_t sha256[EMLFS_HASH_BYTES]);
/* What the ledger has behind the last of them. */
int ledger_check_end(struct ledger_check *check, struct emlfs_err *err);

#endif
