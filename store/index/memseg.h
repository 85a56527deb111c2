/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_MEMSEG_H
#define EMLFS_INDEX_MEMSEG_H

#include <pthread.h>

#include "memseg_doc.h"
#include "postings.h"

/*
 * The part of an index in memory; memseg.c writes, memseg_read.c reads. Invariants:
 * M1. Everything here but scratch is changed only with lock held for writing, after all memory that
 *     the change needs was had: a document is in with all its words, or not at all.
 * M2. Bytes of a chunk below used, terms' bytes, envelopes and full chunks never change nor move,
 *     so readers who took them (a chunk: and its used) under the lock go on without it.
 */
#define MEM_ROWS 1024u /* rows of a block; blocks never move */
#define MEM_MAX_BYTES (1u << 30)

struct mem_term {
    const struct mem_chunk *head; /* the newest */
    uint32_t hash, df;
    uint32_t last_doc; /* in head */
    uint32_t bytes_n;  /* of postings so far */
    uint32_t len;
    uint8_t bytes[];
};
struct term_slot {
    uint32_t hash, index; /* index + 1; 0 is a free slot */
};
/* Terms in the order they came, with their first bytes for quick comparison. */
struct term_ref {
    uint64_t prefix;
    struct mem_term *term;
};
struct arena_block {
    struct arena_block *next;
    size_t size, used;
    max_align_t bytes[];
};
/* Statements of a key: the first sorted_n ascend by document, the others as they came. */
struct mem_filings {
    struct mem_filings *next;
    uint32_t key;
    uint8_t kind;
    uint32_t n, cap, sorted_n;
    uint64_t *v; /* document << 1 | in */
};
#define FILING_SLOTS 1024u

struct memseg {
    pthread_rwlock_t lock;
    uint32_t first_doc, last_doc, docs;
    uint64_t text_bytes;
    size_t bytes;
    struct arena_block *arena;
    struct term_slot *slots;
    uint32_t slots_n; /* a power of two */
    struct term_ref *terms;
    uint32_t terms_n, terms_cap;
    struct attr_row **rows;
    uint32_t rows_blocks, rows_cap;
    struct mem_filings *filings[FILING_SLOTS];
    uint32_t filings_low;
    struct doc_words scratch; /* the writer's own */
};

#endif
