/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_SPOOL_FILE_H
#define EMLFS_ARCHIVE_SPOOL_FILE_H

#include <stdatomic.h>

#include "emlfs/spool.h"
#include "internal.h"
#include "spool_map.h"

#define SPOOL_MODULE "spool"

struct emlfs_spool {
    atomic_uint refs; /* the opener's, and one for each file */
    char dir[EMLFS_PATH_MAX_BYTES];
    struct emlfs_key key;
    atomic_uint_fast64_t next; /* number of the next new file */
    uint64_t *left;            /* numbers that lay there at first, sorted */
    size_t left_n;
};
/* Of the file, or with ".tmp" of the one being made to replace it. */
int spool_path(const struct emlfs_spool *spool, uint64_t number, const char *suffix,
               char ret[EMLFS_PATH_MAX_BYTES]);
void spool_unref(struct emlfs_spool *spool);

/* ---- spool_file.c */

struct emlfs_spool_file {
    struct emlfs_spool *spool;
    uint64_t number;
    int fd;
    struct spool_log log;
    struct spool_map map;
    uint64_t size;
    struct emlfs_buf meta;
    /* Behind the file's size it is zero. */
    uint8_t *chunk; /* SPOOL_CHUNK_BYTES; what was used last */
    uint64_t chunk_no;
    bool loaded, dirty; /* chunk is chunk_no; and newer than the log */
    bool changed;       /* since the last sync */
    bool named;         /* the name is durable */
    bool marked;        /* the log has a mark */
    bool failed;
    uint64_t rewrite_at; /* no rewriting tried below this length of the log */
};
/* Takes fd, also when it fails. Of an empty file: */
int spool_file_new(struct emlfs_spool *spool, uint64_t number, int fd,
                   struct emlfs_spool_file **ret);
/*
 * Of a file that an earlier process wrote, as it was synced last. ENODATA: it never was; EBADMSG:
 * it is damaged; EPROTONOSUPPORT; EIO, ENOMEM.
 */
int spool_file_load(struct emlfs_spool *spool, uint64_t number, int fd,
                    struct emlfs_spool_file **ret);

/* ---- spool_rewrite.c */

bool spool_rewrite_wanted(const struct emlfs_spool_file *file);
/*
 * Put what the file is now, which nothing in memory is newer than, into a new log that replaces the
 * old one; with a mark, durably. Failed, all is as it was, unless file->failed is set.
 */
int spool_rewrite(struct emlfs_spool_file *file, bool mark);

#endif
