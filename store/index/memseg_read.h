/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_MEMSEG_READ_H
#define EMLFS_INDEX_MEMSEG_READ_H

#include "segment_internal.h"

/* The part in memory, for readers (memseg_read.c). */
struct mem_term;
struct mem_term_key {
    uint64_t key; /* the first bytes, for sorting */
    const struct mem_term *term;
};
struct mem_terms {
    struct mem_term_key *v;
    size_t n;
};
int memseg_open_postings(struct memseg *mem, struct emlfs_span term, struct postings *ret);
void memseg_postings_of(struct memseg *mem, const struct mem_term *term, struct postings *ret);
struct emlfs_span mem_term_bytes(const struct mem_term *term);
/* All terms that glob matches (an empty pattern: all), unordered. */
int memseg_match(struct memseg *mem, struct emlfs_span pattern, struct mem_terms *ret);
uint32_t memseg_term_df(struct memseg *mem, const struct mem_term *term);
int memseg_row(struct memseg *mem, uint32_t doc, struct attr_row *ret);
/* The row at index i, -ENOENT behind the last. */
int memseg_row_at(struct memseg *mem, uint32_t i, struct attr_row *ret);
void memseg_get_info(struct memseg *mem, struct segment_info *ret, uint32_t *ret_filings_low);
/* Statements in order of filing_compare, the last word of each (range NULL: all); free(*ret). */
int memseg_filings(struct memseg *mem, const struct filing_range *range, struct filing **ret,
                   size_t *ret_n);

#endif
