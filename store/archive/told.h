/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_TOLD_H
#define EMLFS_ARCHIVE_TOLD_H

#include "emlfs/base/actor.h"
#include "emlfs/ledger.h"

/* ---- told.c: records that wait for the commit they belong to */

struct told {
    struct emlfs_ledger_record *v; /* their texts are in texts, one behind the other */
    size_t n, cap;
    struct emlfs_buf texts;
};
#define TOLD_INIT ((struct told){.texts = {.max_bytes = 256u << 20}})
void told_free(struct told *told);
/* Would the ledger take it? EINVAL: no. */
int told_check(const struct emlfs_ledger_record *record, struct emlfs_err *err);
/* Copies. EINVAL: not a valid record; ENOMEM, E2BIG. */
int told_add(struct told *told, const struct emlfs_ledger_record *record, struct emlfs_err *err);
/* Append all of them, in as many groups as the ledger's limits ask for, and forget them. */
int told_write(struct told *told, struct emlfs_ledger *ledger, struct emlfs_err *err);

/* record with the members that say who acts; actor NULL: emlfs itself. */
struct emlfs_ledger_record told_by(const struct emlfs_actor *actor,
                                   const struct emlfs_ledger_record *record);
/*
 * What a record holds of a master row: kind, key and value, as in a MASTER record. A row that is
 * longer than a record may hold is there without its value, and its digest is returned (true).
 */
int told_row(struct emlfs_span first_row, struct emlfs_buf *out, bool *ret_cut,
             struct emlfs_hash *ret_digest);

#endif
