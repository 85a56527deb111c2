/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_CONTENT_H
#define EMLFS_ARCHIVE_CONTENT_H

#include "base.h"
#include "emlfs/base/actor.h"

/* ---- recipe.c: from exact bytes to segments and back */

#define BLOB_ID_BYTES 16u
#define BLOB_MIN_BYTES 8192u
#define BLOB_CHUNK_BYTES (1u << 20)
#define LITERAL_MAX_BYTES (128u << 10) /* a longer literal run becomes blobs */

enum segment_kind {
    SEGMENT_TEXT = 0,   /* bytes of the block's text */
    SEGMENT_BASE64 = 1, /* the block's text, encoded again */
    SEGMENT_BLOB = 2,   /* a blob as it is */
    SEGMENT_BLOB_BASE64 = 3,
};
struct base64_shape {
    uint16_t line; /* characters per full line, a multiple of 4 */
    bool crlf;
    bool open_end; /* no line end behind the last line */
};
struct segment {
    uint8_t kind;
    struct base64_shape shape;
    uint64_t plain_len; /* decoded bytes */
    uint64_t raw_len;   /* bytes of the message */
    uint8_t blob[BLOB_ID_BYTES];
    /* set while splitting: where the decoded bytes are */
    struct emlfs_span content;
};
struct recipe {
    struct segment *v;
    unsigned n, cap;
    struct emlfs_buf decoded; /* decoded parts, borrowed by content (offsets fixed up at the end) */
};
#define RECIPE_SEGMENTS_MAX 100000u
void recipe_free(struct recipe *recipe);
/* Split raw; contents borrow from raw and recipe->decoded. Chunked: no blob over BLOB_CHUNK_BYTES.
 */
int recipe_split(struct emlfs_span raw, struct recipe *ret);
uint64_t recipe_text_len(const struct recipe *recipe);
int recipe_encode(const struct recipe *recipe, struct emlfs_buf *out);
/* text_len and raw_len must come out as given, otherwise -EUCLEAN. */
int recipe_decode(struct emlfs_span bytes, uint64_t text_len, uint64_t raw_len, struct recipe *ret);
uint64_t base64_raw_len(uint64_t plain_len, const struct base64_shape *shape);
/* Encode plain in shape, whole; out has base64_raw_len bytes. */
void base64_encode(struct emlfs_span plain, const struct base64_shape *shape, uint8_t *out);

/* ---- block.c: the BLOCK, EVENTS and MASTER record contents */

struct block_entry {
    uint16_t user;
    uint32_t folder;
    uint32_t source;
    uint32_t flags;
    int64_t mtime_sec;
    struct emlfs_span stem;
};
struct block_message {
    uint8_t sha256[EMLFS_HASH_BYTES];
    uint64_t size_bytes;
    uint64_t text_offset; /* in the block's text */
    uint64_t text_len;
    int64_t archived_ns;
    struct emlfs_span recipe; /* empty: one text segment */
    struct emlfs_span facts;
    struct emlfs_span entries; /* encoded: block_entry_next */
    unsigned entries_n;
};
#define BLOCK_MESSAGES_MAX 4096u
struct block {
    uint32_t first;
    unsigned n;
    uint64_t seq;
    size_t meta_len;
    struct block_message *v;
};
void block_free(struct block *block);
/* meta_only bytes are enough when plain holds at least the meta part: -EAGAIN when it does not. */
int block_decode(struct emlfs_span plain, size_t plain_len, struct block *ret);
/* The bytes that block was decoded from, at from, lie at to now. */
void block_moved(struct block *block, const uint8_t *from, const uint8_t *to);
bool block_entry_next(struct emlfs_span *entries, struct block_entry *ret);
int block_entry_append(struct emlfs_buf *out, const struct block_entry *entry);
/* Encode the meta part of messages v[0..n) (text is appended by the caller behind it). */
int block_encode_meta(const struct block *block, struct emlfs_buf *out);

enum event_kind {
    EVENT_FILED = 1,
    EVENT_UNFILED = 2,
    EVENT_MOVED = 3,   /* filed in folder, no longer in from */
    EVENT_DELETED = 4, /* no longer in folder, by somebody's act; only in records of version 2 */
};
struct event {
    uint8_t kind;
    struct emlfs_msg_id id;
    uint32_t from;
    uint64_t size_bytes;
    int64_t archived_ns;
    struct block_entry entry;
    /* EVENT_DELETED only: what the tombstone says besides. */
    int64_t by_uid;   /* EMLFS_UID_NONE: none */
    uint16_t by_user; /* archive user; 0: none */
    uint32_t policy;  /* retention policy that fixed the date; 0: none */
};
#define EVENTS_VERSION 1u
#define EVENTS_VERSION_DELETED 2u /* of a record that holds an EVENT_DELETED */
struct events_head {
    uint8_t version; /* 0 stands for EVENTS_VERSION */
    uint64_t seq;
    int64_t time_ns;
    uint64_t n;
};
int events_begin(struct emlfs_buf *out, const struct events_head *head);
int event_append(struct emlfs_buf *out, const struct event *event);
int events_decode(struct emlfs_span plain, struct events_head *ret, struct emlfs_span *ret_events);
bool event_next(struct emlfs_span *events, struct event *ret, bool *ret_bad);

#endif
