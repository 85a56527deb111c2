/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_SEGMENT_INTERNAL_H
#define EMLFS_INDEX_SEGMENT_INTERNAL_H

#include "emlfs/base/cursor.h"
#include "postings_code.h"
#include "segment.h"
#include "tokens.h"

/* What the files of segments share. Byte tables and the invariants S-...: store/FORMAT.md. */

#define SEGMENT_VERSION 2u
#define SEGMENT_HEADER_BYTES 64u
#define SEGMENT_TRAILER_BYTES 32u
#define SEGMENT_ID_BYTES 32u
#define BLOCK_BYTES 32768u     /* plain, of a block of a byte stream and about that of others */
#define BLOCK_MAX_BYTES 65536u /* plain, of any block */
#define BLOCK_HEAD_BYTES 5u    /* codec, plain length */
#define BLOCK_EXTRA_BYTES (BLOCK_HEAD_BYTES + EMLFS_GCM_TAG_BYTES)
#define PAGE_TERMS 64u
#define ATTR_PAGE ATTR_VALUES  /* rows */
#define ENVELOPE_HEAD_BYTES 2u /* its length */
#define FIELD_N 8u             /* EMLFS_TEXT_SUBJECT... as 0... */

enum stream_kind {
    STREAM_FOOTER = 0,
    STREAM_TERMS = 1,
    STREAM_REVERSED = 2,
    STREAM_DOCS = 3,
    STREAM_SKIPS = 4,
    STREAM_POSITIONS = 5,
    STREAM_ATTRS = 6,
    STREAM_FILINGS = 7,
    STREAM_ENVELOPES = 8,
    STREAMS = 9,
};
/* Places in it are offsets; the others are ordered by keys. */
static inline bool stream_is_bytes(enum stream_kind kind)
{
    return kind == STREAM_DOCS || kind == STREAM_SKIPS || kind == STREAM_POSITIONS ||
           kind == STREAM_ENVELOPES;
}

/* Positions [begin of field 0, ...): lengths of the fields in order, gaps between pieces included.
 */
struct field_lens {
    uint32_t v[FIELD_N];
};
struct filing {
    uint8_t kind;
    bool in;
    uint32_t key, doc;
};
/* What the dictionary says of a term. */
struct term_entry {
    uint32_t df;
    bool inline_single; /* one document, one position: far, mask and position are here */
    bool skips;         /* several runs, found by skip entries */
    uint8_t mask;
    uint32_t far, position;
    uint64_t docs_at, positions_at, skips_at;
    uint32_t docs_len, positions_len; /* without skips; else skips_len only */
    uint32_t skips_len;
};

/* ---- sealed blocks (segment_block.c) */

struct segment_seal {
    struct emlfs_gcm *gcm;
    uint8_t header[SEGMENT_HEADER_BYTES];
};
struct block_name {
    uint32_t number; /* in the file */
    enum stream_kind kind;
    uint32_t index; /* in its stream */
};
int segment_key_derive(const struct emlfs_key *index_key, const uint8_t *header,
                       struct emlfs_key *ret);
/* Append plain as a sealed block to out; trailer is NULL but for the footer. */
int block_seal(const struct segment_seal *seal, const struct block_name *name,
               struct emlfs_span plain, const uint8_t *trailer, struct emlfs_buf *out);
/* A sealed block becomes its content, in place. EBADMSG, EUCLEAN, ENOMEM. */
int block_unseal(const struct segment_seal *seal, const struct block_name *name,
                 const uint8_t *trailer, struct emlfs_buf *block);

/* ---- reading a file (segment_read.c) */

struct block_place {
    uint64_t offset;
    uint32_t number;
    uint32_t stored;
};
struct stream_table {
    struct block_place *places;
    uint32_t n;
    uint64_t len; /* plain bytes of a byte stream */
    /* Ordered streams: what each block begins with (ends[i] is the end of key i in keys). */
    uint8_t *keys;
    uint32_t *ends;
};
struct segment_file {
    int fd;
    uint64_t id; /* in the cache */
    struct segment_cache *cache;
    bool own_cache;
    struct gcm_pool *pool;
    struct segment_info info;
    uint64_t terms;
    uint32_t filings_low; /* least document a statement is about, 0: none */
    struct stream_table streams[STREAMS];
};
struct segment {
    struct memseg *mem; /* one of the two */
    struct segment_file *file;
};
struct cached_block;
/* A block's plain bytes, BITS_PAD_BYTES behind them readable, until block_put. */
int block_get(struct segment_file *file, enum stream_kind kind, uint32_t index,
              struct cached_block **ret, struct emlfs_err *err);
struct emlfs_span block_bytes(const struct cached_block *block);
void block_put(struct segment_file *file, struct cached_block *block);

/* A byte stream read here and there; it keeps hold of the last block. */
struct stream_reader {
    struct segment_file *file;
    enum stream_kind kind;
    uint32_t index;
    struct cached_block *block;
};
int stream_read(struct stream_reader *reader, uint64_t at, size_t len, uint8_t *ret,
                struct emlfs_err *err);
void stream_reader_end(struct stream_reader *reader);
/* The last block of an ordered stream whose first key is <= key by cmp, -1: before all. */
int64_t stream_find(const struct stream_table *table, const void *key,
                    int (*cmp)(const void *key, struct emlfs_span first));
struct emlfs_span stream_key(const struct stream_table *table, uint32_t index);
int segment_impossible(struct emlfs_err *err, const char *what);

/* Pages of a block: the offsets at its end. */
struct block_pages {
    struct emlfs_span bytes;
    const uint8_t *offsets;
    uint32_t n;
};
int block_pages_of(struct emlfs_span block, struct block_pages *ret);
struct emlfs_span block_page(const struct block_pages *pages, uint32_t i);

/* ---- terms in order, of a file (segment_terms.c) */

struct term_walk {
    struct segment_file *file;
    enum stream_kind kind; /* TERMS or REVERSED */
    struct cached_block *block;
    struct block_pages pages;
    uint32_t index, page;
    bool held;                /* the term is here already and comes next */
    const uint8_t *pos, *end; /* in the page */
    uint64_t docs_at, positions_at, skips_at;
    uint8_t term[TOKEN_MAX_BYTES];
    unsigned len;
    struct term_entry entry; /* TERMS */
};
/* Begin at the first term >= from (empty: the very first). */
int term_walk_begin(struct segment_file *file, enum stream_kind kind, struct emlfs_span from,
                    struct term_walk *ret, struct emlfs_err *err);
/* 1: ret->term and entry are filled; 0 at the end. */
int term_walk_next(struct term_walk *walk, struct emlfs_err *err);
void term_walk_end(struct term_walk *walk);
/* -ENOENT: not in the dictionary. */
int segment_term_find(struct segment_file *file, struct emlfs_span term, struct term_entry *ret,
                      struct emlfs_err *err);
/* Decode one entry of a page (also the fuzz target's). */
int term_page_head(struct term_walk *walk, struct emlfs_span page);
int term_page_next(struct term_walk *walk);

/* ---- columns (segment_attrs.c) */

struct attr_row {
    struct doc_attr attr;
    struct field_lens lens;
    uint64_t envelope_at;       /* in a file: its place in STREAM_ENVELOPES */
    struct emlfs_span envelope; /* in memory */
};
int attr_page_encode(struct emlfs_buf *out, const struct attr_row *rows, unsigned n);
struct attr_column {
    uint64_t least;
    unsigned width;
    const uint8_t *bits;
};
#define ATTR_COLUMNS (7u + FIELD_N)
struct attr_page {
    unsigned n;
    const uint8_t *end; /* of the page */
    struct attr_column columns[ATTR_COLUMNS];
};
int attr_page_decode(struct emlfs_span page, struct attr_page *ret);
uint64_t attr_cell(const struct attr_page *page, unsigned column, unsigned row);
void attr_page_row(const struct attr_page *page, unsigned row, struct attr_row *ret);
/* All rows of a segment, ascending; reader is the walk's own. 1, 0 at the end. */
struct attr_walk {
    struct attr_reader *reader;
    uint32_t index, page, row;
};
int attr_walk_next(struct attr_walk *walk, struct attr_row *ret, struct emlfs_err *err);
/* The envelope of a row of the reader's segment, into ret (cleared before). */
int attr_row_envelope(struct attr_reader *reader, const struct attr_row *row, struct emlfs_buf *ret,
                      struct emlfs_err *err);
/* Which field a position is in, 0: none. */
unsigned field_of_position(const struct field_lens *lens, uint32_t position);

/* ---- filings (segment_filings.c) */

/* Statements of a block in order: kind, key, descending document. */
struct filing_walk {
    struct segment_file *file;
    struct cached_block *block;
    uint32_t index;
    struct emlfs_cursor cur;
    struct filing now; /* the statement given, or where the next may begin */
    uint32_t runs;     /* left in this group */
    uint32_t left;     /* documents left in this run */
    bool given;        /* now has been given out */
    bool began;        /* a group of this block was there before */
    bool any;          /* last was given out before */
    struct filing last;
};
int filing_walk_begin(struct segment_file *file, const struct filing *from, struct filing_walk *ret,
                      struct emlfs_err *err);
int filing_walk_next(struct filing_walk *walk, struct emlfs_err *err); /* 1, 0 at the end */
void filing_walk_end(struct filing_walk *walk);
/* One statement of the bytes in cur; 1, 0 at their end (also the fuzz target's). */
int filing_decode(struct filing_walk *walk);
int filing_compare(const struct filing *a, const struct filing *b);

#endif
