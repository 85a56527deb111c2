/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORES_H
#define EMLFS_STORES_H

#include "emlfs/archive.h"
#include "emlfs/base/actor.h"
#include "emlfs/base/store_state.h"

/*
 * The stores of an archive and their states. A state is a master row, so it is in the packs, and
 * takes effect at once everywhere: in listings, look-ups, reading, searching, deleting. Messages of
 * a store that is disabled, locked or detached are ENOENT; readers that are open finish.
 *
 * Changes are as in change.h: durable and recorded when 0 came back, and each counts as a
 * generation.
 */
#define EMLFS_STORE_NAME_MAX_BYTES 120u

struct emlfs_store_info {
    uint16_t no;
    enum emlfs_store_state state;
    bool present; /* its directory is there and open */
    int64_t made_ns;
    uint64_t messages, bytes; /* archived in it, whatever was deleted since; 0 when not present */
    char name[EMLFS_STORE_NAME_MAX_BYTES + 1]; /* unique ignoring case; the directory's at first */
    char directory[32];                        /* below stores/ */
};
/* The store with the smallest number > after; -ENOENT at the end. */
int emlfs_archive_store_info(struct emlfs_archive *archive, uint16_t after,
                             struct emlfs_store_info *ret, struct emlfs_err *err);
/* By name (case ignored) or decimal number. -ENOENT. */
int emlfs_archive_store_find(struct emlfs_archive *archive, const char *name_or_number,
                             struct emlfs_store_info *ret, struct emlfs_err *err);
/* The state of the store with that number; _DETACHED when there is none. Quick: no lock. */
enum emlfs_store_state emlfs_archive_store_state(struct emlfs_archive *archive, uint16_t no);
/* Are its messages shown (current, normal, write-protected)? */
bool emlfs_archive_store_shown(struct emlfs_archive *archive, uint16_t no);
/* Is there a store, and is every one of them write-protected? Then the mount is read-only. */
bool emlfs_archive_all_protected(struct emlfs_archive *archive);

/*
 * A new current store; the one before becomes normal, but stays write-protected if it was. name
 * NULL: the directory's. Waits for an ingest under way. EEXIST, EINVAL: also a name that is a
 * number or looks like a store's directory; E2BIG: no number is left.
 */
int emlfs_archive_store_create(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               const char *name, uint16_t *ret_no, struct emlfs_err *err);
struct emlfs_store_change {
    uint16_t no;
    enum emlfs_store_state state;
    const char *reason; /* may be "" */
};
/*
 * current, normal, write-protected, disabled or locked. The store with the highest number is
 * current or write-protected, and no other is current: EINVAL says to create a new one first. A
 * locked store: EPERM, _unlock is the way. A detached one: EINVAL, _attach is. ENOENT.
 */
int emlfs_archive_store_set_state(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                                  const struct emlfs_store_change *change, struct emlfs_err *err);
/* ENOENT, EEXIST, EINVAL. */
int emlfs_archive_store_rename(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, const char *name, struct emlfs_err *err);
/*
 * A locked store becomes normal. recovery_key: the archive's, as text; it must open a slot. EACCES:
 * it does not; EINVAL: the store is not locked; ENOENT.
 */
int emlfs_archive_store_unlock(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, const char *recovery_key, struct emlfs_err *err);
/*
 * Detached, the store's directory may be taken away: the archive opens without it, from now on or
 * when it is opened next. Attached again (the directory must be back, whole and of this archive),
 * it is write-protected. EINVAL: the current store, or not detached; EPERM: a locked one, which
 * must not become readable this way; EBUSY: mail of it is just being filed, try again; ENOENT: no
 * such store, or the directory is not there; EBADMSG, EUCLEAN: it is not this store as it was
 * detached (recover mends an older copy), or damaged. While the archive is open its files may be in
 * use: copy the directory to another disk only when it was closed.
 */
int emlfs_archive_store_detach(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, struct emlfs_err *err);
int emlfs_archive_store_attach(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               uint16_t no, struct emlfs_err *err);

#endif
