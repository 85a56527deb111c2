/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_POSTINGS_H
#define EMLFS_INDEX_POSTINGS_H

#include "segment_internal.h"

/* A cursor over the postings of a term, in a file or in memory. */

#define CHUNK_POSTINGS 512u

/* Postings in memory: a chain of chunks, newest first; bytes below used never change. */
struct mem_chunk {
    const struct mem_chunk *older;
    uint32_t used, cap;
    uint8_t bytes[];
};
struct mem_posting {
    uint32_t doc;
    uint32_t at; /* of its fields and positions in the chunk */
};

struct postings {
    struct segment *segment;
    struct term_entry entry;
    uint32_t doc; /* where it stands, POSTINGS_END at the end; UINT32_MAX before */
    uint8_t mask;
    uint32_t *positions;
    size_t positions_cap;
    unsigned positions_n; /* of the current document, 0: not taken yet */
    /* a file's: the run, and where the next one is */
    uint32_t last_doc;
    struct docs_run run;
    unsigned at; /* in the run */
    bool masks;
    uint32_t runs_done; /* documents in runs before and in this one */
    uint32_t base, next_base;
    uint64_t docs_at, positions_at, skips_at;
    uint32_t docs_len, positions_len;
    struct stream_reader docs, position_bytes, skips;
    uint8_t bytes[DOCS_BYTES_MAX + BITS_PAD_BYTES];
    struct emlfs_buf run_positions;
    struct positions_walk walk;
    bool walking;
    /* memory's: the chunk, and its used bytes as of opening */
    bool entered; /* chunk_docs are those of chunk */
    const struct mem_chunk *chunk;
    uint32_t chunk_used;
    struct mem_posting *chunk_docs;
    unsigned chunk_n; /* postings in chunk_docs; at counts down from it */
};

/* A cursor that postings_begin puts before the first document of one term after another. */
int postings_new(struct segment *segment, struct postings **ret);
void postings_begin(struct postings *postings, const struct term_entry *entry);
/* Memory's form of seeking and taking positions (memseg_read.c). */
int memory_seek(struct postings *postings, uint32_t doc);
int memory_positions(struct postings *postings);
int postings_room(struct postings *postings, uint32_t n);

#endif
