/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_DROP_H
#define EMLFS_DROP_H

#include "emlfs/archive.h"
#include "emlfs/ingest.h"
#include "emlfs/rules.h"

/*
 * Drop: single files that somebody put into a folder of the mount are archived: a message, or an
 * mbox, which becomes its messages. The caller has asked the rules whether they may
 * (EMLFS_CALL_CREATE); drop asks again, with the folder as it is then.
 *
 * Threads: _sniff any; everything else of one drop from one thread at a time, except _check, which
 * any thread may call. _archive may take as long as a commit takes; it never waits for the end of
 * an import that runs at the same time.
 */
enum emlfs_drop_kind {
    EMLFS_DROP_UNDECIDED = 0, /* too few bytes to tell */
    EMLFS_DROP_MESSAGE = 1,
    EMLFS_DROP_MBOX = 2,
    EMLFS_DROP_FOREIGN = 3, /* no mail: a picture, an office document, an Outlook .msg, ... */
};
/*
 * What begins so? head: the first bytes, at most EMLFS_DROP_HEAD_BYTES are looked at; whole: there
 * are no more. UNDECIDED, never of a whole file: below 256 bytes, and below EMLFS_DROP_HEAD_BYTES
 * while nothing was recognised. *ret_reason, for FOREIGN, may be NULL: one line, static ("an
 * Outlook message (.msg)").
 */
#define EMLFS_DROP_HEAD_BYTES 4096u
enum emlfs_drop_kind emlfs_drop_sniff(struct emlfs_span head, bool whole, const char **ret_reason);

struct emlfs_drop;
struct emlfs_drop_options {
    struct emlfs_archive *archive;
    struct emlfs_rules *rules;
    const char *worker_exe; /* NULL: /proc/self/exe */
};
int emlfs_drop_new(const struct emlfs_drop_options *options, struct emlfs_drop **ret,
                   struct emlfs_err *err);
void emlfs_drop_free(struct emlfs_drop *drop);

struct emlfs_drop_item {
    struct emlfs_subject subject; /* who put it there */
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    const char *name; /* as given; a message is filed under it, as far as it is portable */
    int64_t file_time_sec;
    uint64_t size_bytes;
    uint64_t waiting_bytes; /* of other files that wait for this user archive; for _check */
    /* The bytes: as emlfs_spool_file_pread. Called on the thread that called. */
    ssize_t (*pread)(void *arg, void *data, size_t len, uint64_t offset, struct emlfs_err *err);
    void *arg;
    /* the result of _archive: */
    int code; /* 0, or -errno with err: nothing of it was archived, or (mbox) not all */
    struct emlfs_err err;
    enum emlfs_drop_kind kind;
    struct emlfs_msg_id id; /* of a message, new or not; of an mbox 0 */
    struct emlfs_ingest_totals totals;
    /* Of an mbox: what was found in it, archived + duplicates + rejected if it was read and put to
     * its end; and why the first that was rejected was (code 0: none). */
    uint64_t expected;
    struct emlfs_err rejected;
};
/*
 * Could it be archived as it is? size_bytes and the bytes are looked at, nothing is parsed.
 * EOPNOTSUPP no mail, with the reason; EFBIG a message above EMLFS_MESSAGE_MAX_BYTES; EDQUOT the
 * quota of the user archive, with what waits for it; ENOSPC; EROFS the archive or its current store
 * takes no mail; EACCES; ENOENT the folder is gone.
 */
int emlfs_drop_check(struct emlfs_drop *drop, const struct emlfs_drop_item *item,
                     struct emlfs_err *err);
/*
 * Archive n items, in order, in as few commits as possible. What is archived already in that folder
 * is a success. Durable when it returns; safe to repeat for the same items after a crash. Negative:
 * the archive takes nothing any more, and code of what was not archived says so, too.
 */
int emlfs_drop_archive(struct emlfs_drop *drop, struct emlfs_drop_item *items, unsigned n,
                       struct emlfs_err *err);

#endif
