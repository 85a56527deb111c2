/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CHANGE_H
#define EMLFS_CHANGE_H

#include "emlfs/archive.h"
#include "emlfs/base/actor.h"
#include "emlfs/base/verdict.h"
#include "emlfs/ledger_record.h"

/*
 * Changes of an archive that somebody makes, each with its record in the ledger. For all of them:
 *
 * Order. What the change needs is appended to the packs and synced, then the ledger takes its
 * record and syncs, then the catalogue commits; 0 comes back behind all three. A crash between two
 * of them is healed when the archive is opened for writing: a record that the packs have and the
 * ledger lacks is appended then ("completed after a crash"), so nothing ever is in effect without
 * its record. Opened for reading only, it is shown and waits for that.
 *
 * Each takes the archive's write lock, from any thread. EROFS: the archive is open for reading only
 * or its writer failed; ENOSPC: refused, nothing changed; EIO: the writer failed.
 */
struct emlfs_ledger;

/*
 * The archive's ledger, open as long as the archive is. NULL only for an archive that was opened
 * for a look, or for reading only and whose ledger does not open: it is damaged (then nothing opens
 * the archive for writing), or there is none yet (the first opening for writing of an archive that
 * is older than ledgers are makes one).
 */
struct emlfs_ledger *emlfs_archive_ledger(struct emlfs_archive *archive);

/*
 * Append one record that goes with no change: a login, a refusal, a command that was run. The
 * actor's members and the time are filled in from actor and the archive's clock; the rest is
 * record's. Durable when 0 came back.
 */
int emlfs_archive_record(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                         const struct emlfs_ledger_record *record, struct emlfs_err *err);

/*
 * Counts the changes of rules: of users, rights, grants, policies, holds, settings of governing and
 * store states. A verdict names the generation it rests on. It begins anew with each opening.
 */
uint64_t emlfs_archive_generation(struct emlfs_archive *archive);

/* ---- master rows */

struct emlfs_master_row {
    enum emlfs_master_kind kind;
    struct emlfs_span key, value; /* as in emlfs_archive_master_put */
};
#define EMLFS_MASTER_CHANGE_ROWS_MAX 64u
struct emlfs_master_change {
    const struct emlfs_actor *actor;
    /* As for emlfs_archive_record; data is filled in with the first row. */
    const struct emlfs_ledger_record *record;
    const struct emlfs_master_row *rows;
    size_t n; /* 1 ... EMLFS_MASTER_CHANGE_ROWS_MAX; all of them or none */
    /*
     * Asked first, under the write lock, so that what it looks at is still so when the rows are
     * written. Non-zero: nothing is changed, returned. May be NULL; must not change the archive.
     */
    int (*check)(void *arg, struct emlfs_err *err);
    void *arg;
};
/*
 * EINVAL, E2BIG: a row as in emlfs_archive_master_put, or a record that the ledger does not take;
 * what check returned. A first row that does not fit into a record is there without its value,
 * whose SHA-256 is the digest. Rules and states (kinds U R G P H M g T) count as a generation, and
 * EMLFS_FOLDER_RULES is told behind the commit.
 */
int emlfs_archive_master_change(struct emlfs_archive *archive,
                                const struct emlfs_master_change *change, struct emlfs_err *err);

/* ---- messages: nothing of this happens without the verdict of store/policy */

struct emlfs_entry_at {
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    struct emlfs_msg_id id;
};
/*
 * Take the entry out of its folder. verdict: EMLFS_ACT_DELETE for this message and user archive; it
 * is used up under the write lock. The record is the tombstone: id, digest, policy, actor, time. A
 * message without any entry is gone for reading and searching at once, and the same bytes archived
 * later are a new message. ENOENT: no such entry; EROFS: also a write-protected store; EPERM,
 * EAGAIN: emlfs_verdict_use; EAGAIN also while an ingest is about to file the message once more,
 * which then leaves the verdict as it was.
 */
int emlfs_archive_entry_delete(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               const struct emlfs_entry_at *at, struct emlfs_verdict *verdict,
                               struct emlfs_err *err);
/*
 * File the message in folder to instead, under the name it has; to may lie in another user archive.
 * verdict: EMLFS_ACT_MOVE. In the folder at itself nothing happens. ENOENT: no such entry or
 * folder; EEXIST: it is filed there already, and the entry at stays; E2BIG: filed too often;
 * EDQUOT: the other user archive would be over the quota that the verdict says (which then is as it
 * was); EROFS, EPERM, EAGAIN as above.
 */
int emlfs_archive_entry_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                             const struct emlfs_entry_at *at, struct emlfs_folder_id to,
                             struct emlfs_verdict *verdict, struct emlfs_err *err);

/* ---- folders */

/*
 * As emlfs_archive_folder_make, but it must be new (EEXIST), with its record. ENOENT: no such
 * parent; EPERM: parent 0, user archives are made by store/policy.
 */
int emlfs_archive_folder_add(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                             struct emlfs_folder_id parent, const char *name,
                             struct emlfs_folder_id *ret_id, struct emlfs_err *err);
/* Where a folder goes. parent: in the same user archive, not below the folder itself. */
struct emlfs_folder_place {
    struct emlfs_folder_id parent;
    const char *name;
    uint64_t generation; /* of the rules that allowed it; 0: not compared */
};
/*
 * Rename, move or both; the id stays. ENOENT, EEXIST, EINVAL: an unsafe name, or into itself;
 * EPERM: a top folder, or another user archive; EAGAIN: the rules are of another generation.
 */
int emlfs_archive_folder_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                              struct emlfs_folder_id id, const struct emlfs_folder_place *to,
                              struct emlfs_err *err);
/*
 * Remove an empty folder; its id is never used again. ENOENT; ENOTEMPTY: it holds entries, also
 * those of stores that are not shown, or folders, or may do so in a detached store that is not
 * there; EPERM: a top folder; EBUSY: mail is being archived, which may be for it.
 */
int emlfs_archive_folder_remove(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                                struct emlfs_folder_id id, struct emlfs_err *err);
/*
 * Does the store, shown or not, hold messages of the folder? 1, 0; 1 also where it is detached and
 * not there, so that it cannot be told. Negative: as the writer fails (EROFS, EIO, ...).
 */
int emlfs_archive_folder_in_store(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                  uint16_t store_no, struct emlfs_err *err);

#endif
