/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_INTERNAL_H
#define EMLFS_LEDGER_INTERNAL_H

#include <pthread.h>

#include "emlfs/base/os.h"
#include "emlfs/ledger.h"
#include "tree.h"

/* What the files of this folder share. Byte tables: store/FORMAT.md 18. */

/* ---- records/NNNNNNNN.log, in segment.c */

#define SEGMENT_RECORDS 65536u
#define SEGMENT_HEADER_BYTES 64u
#define SEGMENT_ID_BYTES 32u
#define FRAME_HEADER_BYTES 32u
#define FRAME_RECORDS_MAX 4096u
#define FRAME_PLAIN_MAX_BYTES (1u << 20)

struct ledger_segment {
    int fd;
    uint32_t number; /* 1...: records from (number - 1) * SEGMENT_RECORDS on */
    uint8_t header[SEGMENT_HEADER_BYTES];
    struct emlfs_gcm *gcm;
};
#define LEDGER_SEGMENT_INIT ((struct ledger_segment){.fd = -1})

struct ledger_frame {
    uint64_t first;
    uint32_t count;
    uint32_t plain_len;
    uint8_t nonce[EMLFS_GCM_NONCE_BYTES];
};

static inline uint32_t ledger_segment_of(uint64_t sequence)
{
    return (uint32_t)(sequence / SEGMENT_RECORDS) + 1;
}

void ledger_frame_encode(const struct ledger_frame *frame, uint8_t ret[FRAME_HEADER_BYTES]);
/* -EUCLEAN: not a frame's header. */
int ledger_frame_decode(const uint8_t bytes[FRAME_HEADER_BYTES], struct ledger_frame *ret_frame);
int ledger_segment_path(const char *dir, uint32_t number, char ret_path[LEDGER_PATH_MAX_BYTES]);
/* A new file with its header, not durable. */
int ledger_segment_create(const char *dir, const struct emlfs_key *key, uint32_t number,
                          struct ledger_segment *segment);
/* Durable: a ledger that is closed behind it must not find it again. */
int ledger_segment_remove(const char *dir, uint32_t number);
/* -ENODATA: it was torn while being made. -EUCLEAN, -EPROTONOSUPPORT, -ENOENT. */
int ledger_segment_open(const char *dir, const struct emlfs_key *key, uint32_t number, bool write,
                        struct ledger_segment *segment);
void ledger_segment_close(struct ledger_segment *segment);
/* Highest number that exists, 0 for none. */
int ledger_segment_last(const char *dir, uint32_t *ret_number);
/*
 * Of the last segment, where closing in order left size records. -EBADMSG: another one is the last.
 */
int ledger_segment_closed(const char *dir, uint64_t size, uint32_t *ret_number);
/* Seal plain as frame, append header and body to out. The nonce is chosen here. */
int ledger_frame_seal(struct ledger_segment *segment, struct ledger_frame *frame,
                      struct emlfs_span plain, struct emlfs_buf *out);
/*
 * Read the frame at *offset, which becomes the offset behind it. -ENODATA: end of file, exactly;
 * -EBADMSG: no whole, authentic frame there. body keeps its memory.
 */
int ledger_frame_read(struct ledger_segment *segment, uint64_t *offset,
                      struct ledger_frame *ret_frame, struct emlfs_buf *body);
/* As _read, but the body is passed over. */
int ledger_frame_skip(struct ledger_segment *segment, uint64_t *offset,
                      struct ledger_frame *ret_frame);
/* An authentic frame that begins at or behind offset. -ENOENT: none. */
int ledger_frame_search(struct ledger_segment *segment, uint64_t offset, struct emlfs_buf *body);

/* Records of a frame's body. */
struct ledger_body {
    struct emlfs_hash root; /* behind the frame's last record */
    struct emlfs_cursor cur;
    uint64_t next;
    uint64_t end;
};
int ledger_body_open(const struct ledger_frame *frame, struct emlfs_span body,
                     struct ledger_body *ret_body);
/* The next record; bytes are what is hashed. -ENODATA at the end, -EUCLEAN, -EPROTONOSUPPORT. */
int ledger_body_next(struct ledger_body *body, struct emlfs_span *ret_bytes,
                     struct emlfs_ledger_record *ret_record);

/* ---- mark, in mark.c */

struct ledger_mark {
    uint64_t generation;
    uint64_t size;              /* records that were acknowledged */
    uint64_t tiles;             /* records whose hashes are durable in tiles */
    uint64_t segment_bytes;     /* end of the last segment; 0 unless closed */
    uint64_t checkpoints_bytes; /* acknowledged part of the file checkpoints */
    struct emlfs_hash root;     /* of size records */
};
#define MARK_SLOT_BYTES 512u
void ledger_mark_encode(const struct ledger_mark *mark, const struct emlfs_key *key,
                        uint8_t ret[MARK_SLOT_BYTES]);
/* -EBADMSG, -EPROTONOSUPPORT. */
int ledger_mark_decode(const uint8_t slot[MARK_SLOT_BYTES], const struct emlfs_key *key,
                       struct ledger_mark *ret_mark);
/* The newer of the two slots. ret_good: how many are valid. */
int ledger_mark_read(int fd, const struct emlfs_key *key, struct ledger_mark *ret_mark,
                     unsigned *ret_good);
/* Into the slot of its generation. */
int ledger_mark_write(int fd, const struct emlfs_key *key, const struct ledger_mark *mark);

/* ---- keys, in keys.c */

struct ledger_keys {
    struct emlfs_key records;
    struct emlfs_key mark;
    struct emlfs_key seal; /* of the file keys */
    struct emlfs_sign_key *checkpoint;
    struct emlfs_sign_key *export; /* NULL before ledger_keys_export */
};
int ledger_keys_create(const char *dir, const struct emlfs_key *master, struct emlfs_err *err);
/* The key of mark alone, without the file keys. */
int ledger_keys_mark(const struct emlfs_key *master, struct emlfs_key *ret_key);
int ledger_keys_open(const char *dir, const struct emlfs_key *master, struct ledger_keys *keys,
                     struct emlfs_err *err);
/* Making a P-256 key of its bytes takes longer than all the rest: only where it is asked for. */
int ledger_keys_export(const char *dir, struct ledger_keys *keys, struct emlfs_err *err);
void ledger_keys_free(struct ledger_keys *keys);

/* ---- the ledger */

struct ledger_batch;

struct emlfs_ledger {
    char dir[LEDGER_PATH_MAX_BYTES];
    char origin[EMLFS_LEDGER_ORIGIN_MAX_BYTES + 1];
    struct emlfs_clock clock;
    struct ledger_keys keys;
    bool read_only;

    pthread_mutex_t lock; /* of everything below to the next comment */
    pthread_cond_t changed;
    struct ledger_batch *open; /* collects records; NULL: none yet */
    uint64_t next;             /* sequence of the next record */
    bool busy;                 /* somebody commits, or writes a checkpoint */
    bool poisoned;
    struct ledger_tree tree; /* durable records */

    /* Belongs to whoever set busy. */
    struct ledger_tiles tiles;
    struct ledger_segment segment; /* fd -1: none yet */
    uint64_t offset;               /* end of its last frame */
    int mark_fd;
    struct ledger_mark mark;

    /*
     * Checkpoints: changed by whoever set busy, under notes, which is held for no longer than that,
     * so that reading one never waits for what busy waits for.
     */
    pthread_mutex_t notes;
    int notes_fd;
    uint64_t notes_bytes;
    struct emlfs_checkpoint last; /* number 0: none */
    struct emlfs_hash last_hash;
};

int ledger_path(const char *dir, const char *name, char ret_path[LEDGER_PATH_MAX_BYTES]);
/* Wait until nobody commits, and commit nothing until _release. -EROFS: poisoned. */
int ledger_hold(struct emlfs_ledger *ledger);
void ledger_release(struct emlfs_ledger *ledger, bool poison);
/* Write mark as of now; durable: tiles are synced first, then the mark. Call under _hold. */
int ledger_mark_now(struct emlfs_ledger *ledger, bool durable);
/* Find the end of the records, complete tiles, cut what is torn, set tree. */
int ledger_recover(struct emlfs_ledger *ledger, struct emlfs_ledger_opened *ret_opened,
                   struct emlfs_err *err);
/* Read the last checkpoint; adopt or cut what is behind the mark. */
int ledger_notes_open(struct emlfs_ledger *ledger, struct emlfs_err *err);
/* Behind both: from here on the mark says that the ledger is open. Durable. */
int ledger_publish(struct emlfs_ledger *ledger, struct emlfs_err *err);
/*
 * The checkpoint at *offset of the file, which becomes the offset behind it; text is its bytes.
 * -ENODATA at the end of the file, exactly; -EBADMSG: no checkpoint there.
 */
int ledger_notes_next(int fd, uint64_t *offset, struct emlfs_checkpoint *ret_checkpoint,
                      struct emlfs_buf *text);
/* next follows last (hash: of its text) in the chain. */
bool ledger_notes_follow(const struct emlfs_checkpoint *last, const struct emlfs_hash *hash,
                         const struct emlfs_checkpoint *next);

/* ---- frames in order, in reader.c */

struct ledger_reader {
    const char *dir;
    const struct emlfs_key *key;
    struct ledger_segment segment;
    uint64_t offset;
    uint64_t next; /* sequence at offset */
    uint64_t from;
    uint64_t end;
    struct ledger_frame frame;
    struct emlfs_buf body;
};
/* Records from ... end - 1. Frames that end before from are passed over unread. */
void ledger_reader_init(struct ledger_reader *reader, const char *dir, const struct emlfs_key *key,
                        uint64_t from, uint64_t end);
void ledger_reader_free(struct ledger_reader *reader);
/* The next frame. -ENODATA: end reached. -EBADMSG: damaged, or records are missing. */
int ledger_reader_next(struct ledger_reader *reader, struct ledger_body *ret_body);

/* The durable tree. */
void ledger_tree_now(struct emlfs_ledger *ledger, struct ledger_tree *ret_tree);
/* Record sequence: its bytes. */
int ledger_record_bytes(struct emlfs_ledger *ledger, uint64_t sequence, struct emlfs_buf *out,
                        struct emlfs_err *err);

#endif
