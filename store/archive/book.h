/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_BOOK_H
#define EMLFS_ARCHIVE_BOOK_H

#include "emlfs/ledger.h"
#include "schema.h"

/* ---- book.c: the ledger of an archive: made, opened, closed */

/* Where packs end whose content is older than the ledger. store_no 0: there is none. */
struct book_begin {
    uint16_t store_no;
    struct emlfs_pack_loc loc;   /* number is not used */
    struct emlfs_msg_id message; /* the last one */
    uint64_t messages;
};
/* The ledger of archive path as an emlfs_ledger_config; dir has EMLFS_PATH_MAX_BYTES. */
struct book {
    const char *path;
    const struct archive_keys *keys;
    const struct archive_identity *identity;
    struct emlfs_clock clock;
    bool read_only;
};
struct book_config {
    char dir[EMLFS_PATH_MAX_BYTES];
    char origin[64];
    struct emlfs_ledger_config config;
};
int book_config(const struct book *book, struct book_config *ret);
/* Make it with its first record; it is there whole, or not at all. */
int book_make(const struct book *book, const struct book_begin *begin, struct emlfs_err *err);
/* *ret NULL and 0: there is none. ret_opened may be NULL. */
int book_open(const struct book *book, struct emlfs_ledger **ret,
              struct emlfs_ledger_opened *ret_opened, struct emlfs_err *err);
/* 0: as an orderly close left it, as far as emlfs_ledger_closed looks. Its errors; -ENOENT. */
int book_closed(const struct book *book);
/* Signs a checkpoint when the ledger has more than opened records. NULL is fine. */
int book_close(struct emlfs_ledger *ledger, uint64_t opened, struct emlfs_err *err);
/* What the first record says; *ret zero when it is another. */
int book_begin_read(struct emlfs_ledger *ledger, struct book_begin *ret, struct emlfs_err *err);
/* By the first record itself. */
int book_begin_decode(const struct emlfs_ledger_record *record, struct book_begin *ret);

#endif
