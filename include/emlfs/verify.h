/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_VERIFY_H
#define EMLFS_VERIFY_H

#include "emlfs/archive.h"

/* Trust: reading and comparing everything, and making the catalogue anew. */

struct emlfs_check_totals {
    uint64_t stores, packs, records, messages, blobs, entries, folders, bytes;
    uint64_t repaired; /* recover and open: rows or messages put right */
    uint64_t errors;   /* findings reported */
    /* Of the ledger: read and found good; and appended when opening found them missing. */
    uint64_t ledger_records, ledger_checkpoints, ledger_timestamps, ledger_completed;
};
typedef void emlfs_finding_fn(void *arg, const struct emlfs_err *finding);
/*
 * Everything is read and compared, the ledger too: with itself, and its messages with those of the
 * packs, one by one in the order of both, so that memory stays as it is. 0 even with findings
 * (totals.errors counts).
 */
int emlfs_archive_verify(struct emlfs_archive *archive, const struct emlfs_progress *progress,
                         emlfs_finding_fn *finding, void *arg, struct emlfs_check_totals *ret,
                         struct emlfs_err *err);
/*
 * Verify a closed archive: also the files of the catalogue themselves, before they are opened.
 * Rebuild the catalogue and master rows of a closed archive from its packs alone.
 */
int emlfs_archive_verify_files(const struct emlfs_archive_options *options,
                               const struct emlfs_progress *progress, emlfs_finding_fn *finding,
                               void *arg, struct emlfs_check_totals *ret, struct emlfs_err *err);
int emlfs_archive_recover(const struct emlfs_archive_options *options,
                          const struct emlfs_progress *progress, emlfs_finding_fn *finding,
                          void *arg, struct emlfs_check_totals *ret, struct emlfs_err *err);
/* What open had to repair. */
void emlfs_archive_opening(const struct emlfs_archive *archive, struct emlfs_check_totals *ret);

#endif
