/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_CHANGING_H
#define EMLFS_ARCHIVE_CHANGING_H

/* The later part of internal.h: what changes of messages, folders and stores share. */

/* ---- folder.c, govern_folders.c */

/* By folded name; -ENOENT. */
int folder_find(struct emlfs_archive *archive, struct emlfs_folder_id parent, const char *name,
                struct emlfs_folder_id *ret, struct emlfs_err *err);
int folder_name_check(const char *name, struct emlfs_err *err);
/* Every folder lies below the top: one finding for each that does not. */
int folders_check(struct emlfs_catalog *master, emlfs_finding_fn *finding, void *arg,
                  struct emlfs_check_totals *totals, struct emlfs_err *err);

/* ---- journal.c: a change and its record, as one commit; under write_lock */

/* The master row, and record for the ledger. */
int journal_master(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct emlfs_master_row *row, const struct emlfs_ledger_record *record,
                   struct emlfs_err *err);
/* The content of an EVENTS record of n events, and record for the ledger. */
struct journal_events {
    const struct event *v;
    unsigned n;
};
int journal_events(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                   const struct journal_events *events, const struct emlfs_ledger_record *record,
                   struct emlfs_err *err);
/* A number as bytes, for a key. */
static inline void key_bytes_u32(uint32_t value, uint8_t ret[4])
{
    for (unsigned i = 0; i < 4; i++)
        ret[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* ---- states.c: what stores let happen */

/* From the master rows. */
int states_load(struct emlfs_archive *archive, struct emlfs_err *err);
/* The row of a store, or what stands for it. */
int store_row_get(struct emlfs_archive *archive, uint16_t no, struct store_row *ret,
                  struct emlfs_err *err);
/* Is store no detached, by its row in master? */
bool store_is_detached(struct emlfs_catalog *master, uint16_t no);

/* ---- stores.c */

/* A new current store with its row and its record; name NULL: the directory's. */
int stores_roll(struct emlfs_archive *archive, const struct emlfs_actor *actor, const char *name,
                struct emlfs_err *err);

/* ---- usage.c */

/* Under write_lock: it is counted anew when it is asked for. */
void usage_forget(struct emlfs_archive *archive);
/* emlfs_archive_usage, under write_lock. */
int usage_get(struct emlfs_archive *archive, struct emlfs_user_id user, uint64_t *ret_bytes,
              struct emlfs_err *err);

#endif
