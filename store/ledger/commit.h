/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_COMMIT_H
#define EMLFS_LEDGER_COMMIT_H

#include "internal.h"

/* Records on their way to the disk together: one fdatasync for all of them. */
struct ledger_batch {
    struct emlfs_buf plain;  /* each record as bytes: length, then what is hashed */
    struct emlfs_buf ends;   /* size_t each: where it ends in plain */
    struct emlfs_buf leaves; /* struct emlfs_hash each */
    uint64_t first;
    uint32_t count;
    unsigned waiting; /* threads; the last one frees it */
    bool done;
    int result;
};

void ledger_batch_free(struct ledger_batch *batch);
/*
 * Make batch durable. Call as owner of busy. ret_poison: nothing may be written any more; it can be
 * set although the batch is durable (0 is returned then).
 */
int ledger_commit(struct emlfs_ledger *ledger, const struct ledger_batch *batch, bool *ret_poison);

#endif
