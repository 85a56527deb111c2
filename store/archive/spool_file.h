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
/* Of a file NUMBER.spool or one with another suffix; 0: name is not that. */
uint64_t spool_name_number(const char *name, const char *suffix);
void spool_unref(struct emlfs_spool *spool);

/* ---- spool_aside.c */

#define SPOOL_ASIDE ".damaged" /* behind the name of a file that is kept and not looked at */
/* lost may be NULL. */
void spool_lost(struct emlfs_spool_lost *lost, const char *text);
/* Give the damaged file another name, or leave it as it is where that cannot be; tell of it. */
void spool_set_aside(struct emlfs_spool *spool, uint64_t number, struct emlfs_spool_lost *lost);

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

/* The same, to be read only: nothing of what lies behind is forgotten. */
int spool_file_peek(struct emlfs_spool *spool, uint64_t number, int fd,
                    struct emlfs_spool_file **ret);

/* ---- spool_rewrite.c */

bool spool_rewrite_wanted(const struct emlfs_spool_file *file);
/*
 * Put what the file is now, which nothing in memory is newer than, into a new log that replaces the
 * old one: with a mark, and durably; or else behind what was synced last, which stays that. Failed,
 * all is as it was, unless file->failed is set.
 */
int spool_rewrite(struct emlfs_spool_file *file, bool mark);

#endif
