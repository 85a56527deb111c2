/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_HEAL_H
#define EMLFS_ARCHIVE_HEAL_H

#include "apply.h"
#include "emlfs/ledger.h"

/*
 * ---- heal.c: what packs hold and the ledger lacks, found while packs are replayed
 *
 * Memory is bounded: only the latest of what the ledger says is kept, because what it lacks of the
 * packs is an end of them.
 */
struct heal;
/*
 * whole: packs are walked from their beginning, so all of the ledger is read; else only its end.
 * Nothing is read before the first _record.
 */
int heal_new(struct emlfs_ledger *ledger, bool whole, struct heal **ret);
void heal_free(struct heal *heal);
/* A pack record that was applied. NULL heal: nothing. */
int heal_record(struct heal *heal, struct apply *apply, const struct applied *record,
                struct emlfs_err *err);
/* Records that are missing so far go into the ledger; the number of them is added to *count. */
int heal_write(struct heal *heal, uint64_t *count, struct emlfs_err *err);
/* For a heal that is whole: write, and say that the catalogue was made anew. */
int heal_end(struct heal *heal, uint64_t *count, struct emlfs_err *err);

#endif
