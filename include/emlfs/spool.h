/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_SPOOL_H
#define EMLFS_SPOOL_H

#include "emlfs/archive.h"

/*
 * The spool of an archive: files that are being written into it and are not archived yet, sealed
 * and crash-safe, in ARCHIVE/spool (store/FORMAT.md). A spool file has bytes, written in any order,
 * and a meta part: up to EMLFS_SPOOL_META_MAX_BYTES that say what the owner needs to go on after a
 * crash. The spool does not look into either. Nothing of them lies on disk in clear.
 *
 * What was there when emlfs_spool_file_sync returned 0 is there after a power cut, or what was
 * synced later; never a mixture. Whatever was not synced may be lost or kept.
 *
 * Memory: 64 KiB and 16 bytes for each 64 KiB written, for each open file. A file that is written
 * over and over grows to at most about four times its size.
 *
 * Threads: one file is used by one thread at a time; different files by any.
 */
struct emlfs_spool;
struct emlfs_spool_file;
#define EMLFS_SPOOL_META_MAX_BYTES 4096u

/* One spool is open per archive. EROFS: the archive is read-only. ENOSPC, EIO. */
int emlfs_spool_open(struct emlfs_archive *archive, struct emlfs_spool **ret,
                     struct emlfs_err *err);
/* Files that are open stay valid until their own _close; NULL is fine. */
void emlfs_spool_close(struct emlfs_spool *spool);

/* A new, empty file; its number is not used by another of this spool. ENOSPC, EIO, E2BIG. */
int emlfs_spool_create(struct emlfs_spool *spool, struct emlfs_span meta,
                       struct emlfs_spool_file **ret, struct emlfs_err *err);
/* What was synced and cannot be had: how often, and one line each, with name and remedy. */
struct emlfs_spool_lost {
    uint64_t n;
    void (*told)(void *arg, const char *text); /* NULL: nobody */
    void *arg;
};
/*
 * The file with the smallest number > after that an earlier process left, cut back to what was
 * synced last; -ENOENT at the end. Files that never were synced are removed. One that is damaged is
 * put aside as NAME.damaged (or stays, where it cannot be renamed), and never looked at again; one
 * that the disk does not give, or that a newer format wrote, stays. lost (may be NULL) hears of
 * each of these. Each file is given once to a caller that goes on with the number of the last one.
 * EMFILE, EACCES, ENOMEM, EIO.
 */
int emlfs_spool_left(struct emlfs_spool *spool, uint64_t after, struct emlfs_spool_file **ret,
                     struct emlfs_spool_lost *lost, struct emlfs_err *err);
/*
 * The file with this number again, as it was synced last, for one that the same process closed.
 * ENOENT; EBADMSG: it is damaged, or was never synced; EMFILE, EACCES, ENOMEM, EIO.
 */
int emlfs_spool_reopen(struct emlfs_spool *spool, uint64_t number, struct emlfs_spool_file **ret,
                       struct emlfs_err *err);
uint64_t emlfs_spool_file_number(const struct emlfs_spool_file *file);
uint64_t emlfs_spool_file_size(const struct emlfs_spool_file *file);
/* As pread(2): short only at the end of the file; a hole reads as zeros. EIO, EBADMSG. */
ssize_t emlfs_spool_file_pread(struct emlfs_spool_file *file, void *data, size_t len,
                               uint64_t offset, struct emlfs_err *err);
/* All or nothing. EFBIG beyond EMLFS_SPOOL_MAX_BYTES; ENOSPC; EBADMSG: a chunk that is written in
 * part is damaged; EIO: the file can only be removed. */
#define EMLFS_SPOOL_MAX_BYTES (UINT64_C(1) << 40)
int emlfs_spool_file_pwrite(struct emlfs_spool_file *file, struct emlfs_span data, uint64_t offset,
                            struct emlfs_err *err);
int emlfs_spool_file_truncate(struct emlfs_spool_file *file, uint64_t size, struct emlfs_err *err);
/* Borrowed until the next _set_meta. */
struct emlfs_span emlfs_spool_file_meta(const struct emlfs_spool_file *file);
int emlfs_spool_file_set_meta(struct emlfs_spool_file *file, struct emlfs_span meta,
                              struct emlfs_err *err);
/* Bytes, size, meta and the file's existence are durable when 0 comes back. ENOSPC: they are not,
 * and the file is as before; it may be tried again. EIO: the sync failed, and does so for good. */
int emlfs_spool_file_sync(struct emlfs_spool_file *file, struct emlfs_err *err);
/* Free; the file stays, for _left of a later process, or _reopen. NULL is fine. */
void emlfs_spool_file_close(struct emlfs_spool_file *file);
/* Free, and put the file aside as a damaged one: nobody understands what is in it. */
void emlfs_spool_file_set_aside(struct emlfs_spool_file *file, struct emlfs_spool_lost *lost);
/* Remove and free. Not durable by itself: until _settle a power cut may bring it back. */
int emlfs_spool_file_remove(struct emlfs_spool_file *file, struct emlfs_err *err);
/* What was removed before this call stays removed. EIO: it may come back after a power cut. */
int emlfs_spool_settle(struct emlfs_spool *spool, struct emlfs_err *err);

#endif
