/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_doc.h"

#include <stdlib.h>

/*
 * Text of one document into words and places. Invariants: S-POS-1 positions are given field by
 * field in the order of enum emlfs_text_field, pieces of a field in their order; each token takes
 * one, and each piece one more behind it, so neighbours are always of one piece.
 */

#define SLOTS_FIRST 1024u
#define FOLDED_MAX_BYTES (256u << 20)

int doc_words_init(struct doc_words *words)
{
    *words = (struct doc_words){.folded.max_bytes = FOLDED_MAX_BYTES,
                                .bytes.max_bytes = FOLDED_MAX_BYTES,
                                .slots_n = SLOTS_FIRST};
    words->slots = calloc(words->slots_n, sizeof(*words->slots));
    return words->slots ? emlfs_random(words->seed, sizeof(words->seed)) : -ENOMEM;
}

void doc_words_free(struct doc_words *words)
{
    emlfs_buf_wipe(&words->folded);
    emlfs_buf_wipe(&words->bytes);
    free(words->words);
    free(words->places);
    free(words->slots);
}

static uint64_t bytes8(const uint8_t *in)
{
    uint64_t value;
    memcpy(&value, in, sizeof(value));
    return value;
}

static uint64_t bytes4(const uint8_t *in)
{
    uint32_t value;
    memcpy(&value, in, sizeof(value));
    return value;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    const unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t word_hash(const uint64_t seed[2], struct emlfs_span word)
{
    const uint8_t *in = word.data;
    size_t len = word.len;
    uint64_t state = seed[0] ^ len, a, b;
    for (; len > 16; len -= 16, in += 16)
        state = mix(bytes8(in) ^ seed[1], bytes8(in + 8) ^ state);
    if (len >= 8) {
        a = bytes8(in);
        b = bytes8(in + len - 8);
    } else if (len >= 4) {
        a = bytes4(in);
        b = bytes4(in + len - 4);
    } else {
        a = (uint64_t)in[0] << 16 | (uint64_t)in[len >> 1] << 8 | in[len - 1];
        b = 0;
    }
    state = mix(a ^ seed[1], b ^ state);
    return (uint32_t)(mix(state ^ seed[0], UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static int array_grow(void *array_ref, uint32_t *cap, size_t item, uint32_t need)
{
    void **array = array_ref;
    if (need <= *cap)
        return 0;
    const uint32_t more = *cap ? *cap * 2 : 1024;
    void *grown = realloc(*array, more * item);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *cap = more;
    return 0;
}

static void slot_put(struct doc_words *words, uint32_t word)
{
    uint32_t at = words->words[word].hash & (words->slots_n - 1);
    while (words->slots[at])
        at = (at + 1) & (words->slots_n - 1);
    words->slots[at] = word + 1;
}

static int slots_grow(struct doc_words *words)
{
    const uint32_t n = words->slots_n * 2;
    uint32_t *grown = calloc(n, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    free(words->slots);
    words->slots = grown;
    words->slots_n = n;
    for (uint32_t i = 0; i < words->words_n; i++)
        slot_put(words, i);
    return 0;
}

static struct doc_word *word_find(const struct doc_words *words, struct emlfs_span text,
                                  uint32_t hash)
{
    for (uint32_t at = hash & (words->slots_n - 1); words->slots[at];
         at = (at + 1) & (words->slots_n - 1)) {
        struct doc_word *word = &words->words[words->slots[at] - 1];
        if (word->hash == hash && word->len == text.len &&
            memcmp(words->bytes.data + word->at, text.data, text.len) == 0)
            return word;
    }
    return NULL;
}

static struct doc_word *word_add(struct doc_words *words, struct emlfs_span text, uint32_t hash)
{
    if (words->words_n >= words->slots_n / 2 && slots_grow(words) < 0)
        return NULL;
    if (array_grow(&words->words, &words->words_cap, sizeof(*words->words), words->words_n + 1) < 0)
        return NULL;
    const size_t at = words->bytes.len;
    if (emlfs_buf_append(&words->bytes, text.data, text.len) < 0)
        return NULL;
    struct doc_word *word = &words->words[words->words_n];
    *word = (struct doc_word){.hash = hash, .at = (uint32_t)at, .len = (uint32_t)text.len};
    slot_put(words, words->words_n++);
    return word;
}

static int token_add(struct doc_words *words, struct emlfs_span text, uint32_t position,
                     uint8_t mask)
{
    const uint32_t hash = word_hash(words->seed, text);
    struct doc_word *word = word_find(words, text, hash);
    if (!word)
        word = word_add(words, text, hash);
    if (!word || array_grow(&words->places, &words->places_cap, sizeof(*words->places),
                            words->places_n + 1) < 0)
        return -ENOMEM;
    const uint32_t place = words->places_n++;
    words->places[place].position = position;
    if (word->tf++ == 0)
        word->first = place;
    else
        words->places[word->last].next = place;
    word->last = place;
    word->mask |= mask;
    return 0;
}

static int piece_add(struct doc_words *words, const struct emlfs_doctext_piece *piece,
                     uint32_t *position)
{
    struct token token;
    const uint8_t mask = (uint8_t)(1u << (piece->field - 1));
    int r = text_fold(piece->text, &words->folded);
    if (r < 0)
        return r;
    struct token_walk walk = token_walk_of(emlfs_buf_view(&words->folded));
    while (r == 0 && token_walk_next(&walk, &token))
        r = token_add(words, token.text, (*position)++, mask);
    (*position)++;
    return r;
}

/* A table that a large document left behind is not cleared for each small one after it. */
static int words_clear(struct doc_words *words)
{
    if (words->slots_n > SLOTS_FIRST && words->words_n < words->slots_n / 16) {
        uint32_t *fresh = calloc(SLOTS_FIRST, sizeof(*fresh));
        if (!fresh)
            return -ENOMEM;
        free(words->slots);
        words->slots = fresh;
        words->slots_n = SLOTS_FIRST;
    } else {
        memset(words->slots, 0, words->slots_n * sizeof(*words->slots));
    }
    words->words_n = words->places_n = 0;
    words->bytes.len = 0;
    return 0;
}

int doc_words_fill(struct doc_words *words, struct emlfs_span doctext)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    uint32_t position = 0;
    unsigned present = 0;
    int r = words_clear(words);
    for (size_t pos = 0; r == 0 && emlfs_doctext_next(doctext, &pos, &piece, &problem);)
        present |= 1u << piece.field;
    for (unsigned field = 1; field < EMLFS_TEXT_FIELDS && r == 0; field++) {
        const uint32_t before = position;
        if (present >> field & 1)
            for (size_t pos = 0; r == 0 && emlfs_doctext_next(doctext, &pos, &piece, &problem);)
                if (piece.field == field)
                    r = piece_add(words, &piece, &position);
        words->lens.v[field - 1] = position - before;
    }
    return r;
}
