/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_MEMSEG_DOC_H
#define EMLFS_INDEX_MEMSEG_DOC_H

#include "segment_internal.h"

/* The words of one document, each once, with its places: made before anything shared is touched. */
struct doc_word {
    uint32_t hash;
    uint32_t at, len; /* bytes, in doc_words.bytes */
    uint32_t tf;
    uint32_t first, last; /* places */
    uint8_t mask;
};
struct doc_place {
    uint32_t position;
    uint32_t next; /* of the same word; read tf of them */
};
struct doc_words {
    uint64_t seed[2];
    struct emlfs_buf folded, bytes;
    struct doc_word *words;
    uint32_t words_n, words_cap;
    struct doc_place *places;
    uint32_t places_n, places_cap;
    uint32_t *slots; /* word + 1 */
    uint32_t slots_n;
    struct field_lens lens;
};
/* Hostile mail cannot make words collide: the seed is random. */
int doc_words_init(struct doc_words *words);
void doc_words_free(struct doc_words *words);
/* Fold and split a document. -ENOMEM, -E2BIG, -EILSEQ. */
int doc_words_fill(struct doc_words *words, struct emlfs_span doctext);
uint32_t word_hash(const uint64_t seed[2], struct emlfs_span word);

#endif
