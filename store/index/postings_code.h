/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_POSTINGS_CODE_H
#define EMLFS_INDEX_POSTINGS_CODE_H

#include "bits.h"
#include "emlfs/doctext.h"

/*
 * The two codes of a run of up to POSTINGS_RUN documents of a term: documents with fields, and
 * positions. Decoders take foreign bytes (authentic, but perhaps impossible): -EUCLEAN, and
 * nothing is read outside bytes and its padding. Documents are told as distances: last_doc - doc.
 */
#define POSTINGS_RUN 128u
/* A run is ended early by this many positions. */
#define POSTINGS_RUN_POSITIONS 65536u
#define POSTINGS_RUN_BYTES_MAX (96u << 20) /* of one run's positions, encoded */
#define POSTINGS_TF_MAX EMLFS_DOCTEXT_MAX_BYTES
#define DOCS_BYTES_MAX 2048u /* of one run's documents, encoded */

/* Fields as one byte: bit 0 is EMLFS_TEXT_SUBJECT. */
#define MASK_BODY (1u << (EMLFS_TEXT_BODY - 1))

struct docs_run {
    unsigned n;
    uint32_t far[POSTINGS_RUN]; /* ascending */
    uint8_t mask[POSTINGS_RUN];
};
/* base: distances are at least that. Appends at most DOCS_BYTES_MAX. -E2BIG, -ENOMEM. */
int docs_encode(struct emlfs_buf *out, uint32_t base, const struct docs_run *run);
/* The distances of run->n documents, in [base, limit]. bytes is padded by BITS_PAD_BYTES. */
int docs_decode(struct emlfs_span bytes, uint32_t base, uint32_t limit, struct docs_run *run);
/* Their masks; kept apart because most searches never look at them. */
int docs_decode_masks(struct emlfs_span bytes, struct docs_run *run);

/* Positions of n documents, tf[i] of each, ascending in a document. */
int positions_encode(struct emlfs_buf *out, const uint32_t *tf, unsigned n,
                     const uint32_t *positions);

/* Walks through the positions of a run, document by document. */
struct positions_walk {
    struct bit_reader bits;
    unsigned k_first, k_rest;
    unsigned n, next; /* documents, and the one that comes next */
    uint32_t tf[POSTINGS_RUN];
};
/* bytes (padded) must outlive the walk. */
int positions_begin(struct emlfs_span bytes, unsigned n, struct positions_walk *ret);
/* Pass over the positions of the next document. */
int positions_skip(struct positions_walk *walk);
/* Write the walk->tf[walk->next] positions of the next document to ret. */
int positions_take(struct positions_walk *walk, uint32_t *ret);

#endif
