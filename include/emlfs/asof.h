/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ASOF_H
#define EMLFS_ASOF_H

#include "emlfs/archive.h"
#include "emlfs/verify.h"

/*
 * The archive as it stood at a time: a second archive, for reading only, beside the live one. Its
 * folders and entries are made from the packs, up to the first record that is later than the time;
 * they lie in ARCHIVE/asof, which holds nothing that is not made again. Content is read through the
 * live archive.
 *
 * Caveats first:
 * - The order is that of the packs, which is the ledger's; what is shown is always a beginning of
 *   it. A clock that was put back makes records that are earlier than those before them: they count
 *   from the time of those. Of a time that the clock showed twice it is the state at the first, at
 *   the second or between. A clock that ran ahead while something was archived hides what came
 *   behind, until the time it showed has come.
 * - A message counts from the time at which it says it was archived; it was first seen with the
 *   commit that followed, up to the setting commit_ms later.
 * - A message that was taken out of a user archive since is listed there, with name, size and
 *   times, and its content is not given: EIDRM.
 * - Which stores are shown is asked of the live archive, as is who may read, by whoever asks. Every
 *   store's directory must be there, shown or not.
 * - All changes: EROFS. There is no change feed, and no index.
 */
struct emlfs_asof_options {
    struct emlfs_archive *live; /* open; stays so for longer than the new one */
    int64_t time_ns;
    const struct emlfs_progress *progress; /* may be NULL */
    emlfs_finding_fn *finding;             /* damaged records, which are passed over; may be NULL */
    void *arg;
};
/*
 * Reads all packs up to the time; what is archived meanwhile waits for nothing. Close it with
 * emlfs_archive_close, which removes its files. EINVAL: the time has not come yet, or lies before
 * the archive was made; ENOENT: a store is not there; ENOSPC; ECANCELED; and as
 * emlfs_archive_open.
 */
int emlfs_asof_open(const struct emlfs_asof_options *options, struct emlfs_archive **ret,
                    struct emlfs_err *err);
/* Is archive one of these, and of which time? ret_time_ns may be NULL. */
bool emlfs_asof_is(const struct emlfs_archive *archive, int64_t *ret_time_ns);
/* The live archive beside it; of any other archive itself. Rights and users are asked of that. */
struct emlfs_archive *emlfs_asof_live(struct emlfs_archive *archive);
/*
 * May the content of message id be given out of user's archive? 0: yes, and always for an archive
 * that is none of these; EIDRM: it was taken out since; ENOENT: its store is not shown.
 */
int emlfs_asof_given(struct emlfs_archive *archive, struct emlfs_user_id user,
                     struct emlfs_msg_id id, struct emlfs_err *err);

#endif
