/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_SCHEMA_H
#define EMLFS_ARCHIVE_SCHEMA_H

#include "base.h"

/* ---- schema.c: keys and values of the catalogue (tables in store/FORMAT.md) */

#define ROW_BLOCK 'B'
#define ROW_HASH 'H'
#define ROW_FILED 'M'
#define ROW_ENTRIES 'E'
#define ROW_FOLDER_STAT 'D'
#define ROW_BLOB 'X'
#define ROW_MARK 'W'
#define ROW_CHANGE 'L'
#define CHANGE_SEQ_BITS 48u /* above: the store whose record made the change, if another */
#define ROW_CANDIDATE 'C'
#define ROW_DICT 'Z'
#define ROW_DETACHED 'T' /* when the store was detached */
#define MASTER_CHILD 'c'
#define MASTER_NAME 'n'
#define MASTER_FOLDER_TIME 't'
#define MASTER_RUNS 'r' /* number of the last import run; not in packs */

#define HASH_ROW_BYTES 8u
#define STORE_NAME_MAX_BYTES 120u

struct row_key {
    uint8_t v[32];
    size_t len;
};
static inline struct emlfs_span row_key_view(const struct row_key *key)
{
    return emlfs_span_of(key->v, key->len);
}
/* A number in a key, the inverse of key_u32. */
static inline uint32_t be32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}
struct row_key key_u32(uint8_t kind, uint32_t a);
struct row_key key_u32_u32(uint8_t kind, uint32_t a, uint32_t b);
struct row_key key_u64(uint8_t kind, uint64_t a);
struct row_key key_bytes(uint8_t kind, struct emlfs_span bytes);
struct row_key key_u32_bytes(uint8_t kind, uint32_t a, struct emlfs_span bytes);

struct block_row {
    uint32_t first, last;
    struct emlfs_pack_loc loc;
};
int block_row_encode(const struct block_row *row, struct emlfs_buf *out);
int block_row_decode(uint32_t last, struct emlfs_span value, struct block_row *ret);

struct blob_row {
    struct emlfs_pack_loc loc;
    uint32_t plain_len;
};
int blob_row_encode(const struct blob_row *row, struct emlfs_buf *out);
int blob_row_decode(struct emlfs_span value, struct blob_row *ret);

/* How far the catalogue has consumed the packs, and the counters that go with it. */
struct mark_row {
    struct emlfs_pack_end end; /* pack_no 0: nothing yet */
    uint32_t next_number;
    uint64_t next_seq;
    uint64_t messages, bytes, blobs;
    uint32_t dict_id;
};
int mark_encode(const struct mark_row *mark, struct emlfs_buf *out);
int mark_decode(struct emlfs_span value, struct mark_row *ret);

struct folder_stat {
    uint64_t entries;
    int64_t mtime_ns;
};
int folder_stat_encode(const struct folder_stat *stat, struct emlfs_buf *out);
int folder_stat_decode(struct emlfs_span value, struct folder_stat *ret);

/* Where one message is filed; the M row holds a few of these. */
#define FILED_MAX 4096u
struct filed {
    uint16_t user;
    uint32_t folder;
    uint32_t source;
    uint32_t run;
};
struct filed_list {
    struct filed *v;
    unsigned n;
};
void filed_list_free(struct filed_list *list);
int filed_encode(const struct filed_list *list, struct emlfs_buf *out);
int filed_decode(struct emlfs_span value, struct filed_list *ret);
int filed_add(struct filed_list *list, const struct filed *filed);
/* Index of (user, folder), or -1. */
int filed_find(const struct filed_list *list, uint16_t user, uint32_t folder);
unsigned filed_count_user(const struct filed_list *list, uint16_t user);

#define FOLDER_MOVED 1u   /* was given another parent once */
#define FOLDER_REMOVED 2u /* the row stays, the folder is gone */
struct folder_row {
    uint32_t flags; /* without any the row has version 1, and its parent a lower id */
    uint16_t user;
    uint32_t parent;
    int64_t created_ns;
    char name[EMLFS_NAME_MAX_BYTES + 1];
};
int folder_row_encode(const struct folder_row *row, struct emlfs_buf *out);
int folder_row_decode(struct emlfs_span value, struct folder_row *ret);

struct store_row {
    uint8_t state; /* enum emlfs_store_state */
    int64_t made_ns;
    int64_t changed_ns;   /* when the state was last set */
    uint32_t next_folder; /* the lowest folder id that was not given then */
    char name[STORE_NAME_MAX_BYTES + 1];
    char directory[32]; /* below stores/ */
};
int store_row_encode(const struct store_row *row, struct emlfs_buf *out);
int store_row_decode(struct emlfs_span value, struct store_row *ret);

/* ---- chunk.c: an entries row: up to CHUNK_MAX entries of a folder, compressed */

#define CHUNK_MAX 128u
struct chunk_entry {
    uint32_t number;
    uint32_t flags; /* EMLFS_ENTRY_..., and CHUNK_MULTI */
    uint64_t size_bytes;
    int64_t mtime_sec;
    int64_t archived_ns;
    struct emlfs_span stem; /* borrowed from the chunk's buffer, or from the caller */
};
#define CHUNK_MULTI (1u << 30) /* the message has further entries in this user archive */
struct chunk {
    struct emlfs_buf plain; /* stems live here */
    struct chunk_entry v[CHUNK_MAX];
    unsigned n;
};
struct chunk *chunk_new(void);
void chunk_free(struct chunk *chunk);
int chunk_encode(const struct chunk *chunk, struct emlfs_buf *out);
int chunk_decode(struct emlfs_span value, struct chunk *ret);
/* Index of number, or -1 and *ret_at where it belongs. */
int chunk_find(const struct chunk *chunk, uint32_t number, unsigned *ret_at);
int chunk_insert(struct chunk *chunk, const struct chunk_entry *entry); /* -ENOSPC: full */
void chunk_remove(struct chunk *chunk, unsigned at);

#endif
