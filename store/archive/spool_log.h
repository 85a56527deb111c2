/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_SPOOL_LOG_H
#define EMLFS_ARCHIVE_SPOOL_LOG_H

#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"

/* ---- spool_log.c: the sealed records of one spool file (FORMAT.md 21), whatever they are about */

#define SPOOL_CHUNK_BYTES (64u << 10)
#define SPOOL_HEADER_BYTES 72u
#define SPOOL_RECORD_HEADER_BYTES 28u
#define SPOOL_RECORD_BYTES(len) (SPOOL_RECORD_HEADER_BYTES + (len) + EMLFS_GCM_TAG_BYTES)

enum spool_kind {
    SPOOL_CHUNK = 1, /* at: number of the chunk; the content: its bytes */
    SPOOL_CUT = 2,   /* at: the size from here on */
    SPOOL_MARK = 3,  /* at: the size; the content: the meta part */
    SPOOL_DONE = 4,  /* all before it is durable */
};
struct spool_record {
    enum spool_kind kind;
    uint32_t len; /* of the content */
    uint32_t number;
    uint64_t session;
    uint64_t at;
};
/* Where the next record goes. */
struct spool_end {
    uint64_t pos;
    uint32_t number;
    uint8_t tag[EMLFS_GCM_TAG_BYTES]; /* the bytes before pos */
};
struct spool_log {
    int fd; /* borrowed */
    struct emlfs_gcm *gcm;
    uint64_t session;
    bool ended; /* no session could be drawn: no more is written */
    struct spool_end end;
};
/* Begin a log in the empty file fd, which is numbered number. ENOSPC, EIO, ENOMEM. */
int spool_log_create(struct spool_log *log, const struct emlfs_key *key, int fd, uint64_t number);
/*
 * The log in fd, its end behind the header. ENODATA: nothing was ever written there; EBADMSG: the
 * header is not authentic; EPROTONOSUPPORT: authentic, of a newer format; EIO, ENOMEM.
 */
int spool_log_open(struct spool_log *log, const struct emlfs_key *key, int fd, uint64_t number);
void spool_log_free(struct spool_log *log);
/*
 * One record more. Failed, the log is what it was and goes on. ENOSPC; E2BIG: no number is left;
 * EIO; ENOMEM.
 */
int spool_log_append(struct spool_log *log, enum spool_kind kind, uint64_t at,
                     struct emlfs_span content);
/* Forget the records behind end, an earlier end of this log. EIO. */
int spool_log_back(struct spool_log *log, const struct spool_end *end);
/*
 * The record at the log's end, which then is behind it. content (NULL: not wanted, and the record
 * is taken for authentic) has SPOOL_CHUNK_BYTES. ENODATA: no valid record is there; EIO, ENOMEM.
 */
int spool_log_next(struct spool_log *log, struct spool_record *ret, uint8_t *content);
/* The chunk at, in record number at pos, all of it: zeros behind its end. EBADMSG, EIO, ENOMEM. */
int spool_log_chunk(struct spool_log *log, const struct spool_end *place, uint64_t at,
                    uint8_t ret[SPOOL_CHUNK_BYTES]);
/* 1: an authentic DONE record lies behind the log's end; 0: none. EIO, ENOMEM. */
int spool_log_done_behind(struct spool_log *log);

#endif
