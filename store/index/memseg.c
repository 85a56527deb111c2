/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg.h"

#include <stdlib.h>

/* Writing into the part in memory: see memseg.h for M1 and M2, and memseg_doc.c for the words. */

#define ARENA_BYTES (1u << 20)
#define SLOTS_FIRST 4096u
#define CHUNK_MAX_BYTES 1024u
#define VARINT32_MAX 5u
#define FETCH_STEP 4u /* words */
#define TERM_EXTRA_BYTES (sizeof(struct mem_term) + sizeof(struct mem_chunk) + 32)

int memseg_new(uint32_t first_doc, struct memseg **ret)
{
    pthread_rwlockattr_t attr;
    struct memseg *mem = calloc(1, sizeof(*mem));
    if (!mem)
        return -ENOMEM;
    pthread_rwlockattr_init(&attr);
    /* Searches that follow upon each other must not keep the writer waiting. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&mem->lock, &attr);
    pthread_rwlockattr_destroy(&attr);
    mem->first_doc = first_doc;
    mem->last_doc = first_doc - 1;
    mem->slots_n = SLOTS_FIRST;
    mem->slots = calloc(mem->slots_n, sizeof(*mem->slots));
    int r = doc_words_init(&mem->scratch);
    if (r < 0 || !mem->slots) {
        memseg_free(mem);
        return r < 0 ? r : -ENOMEM;
    }
    mem->bytes = sizeof(*mem) + mem->slots_n * sizeof(*mem->slots);
    *ret = mem;
    return 0;
}

static void arena_free(struct arena_block *block)
{
    while (block) {
        struct arena_block *next = block->next;
        emlfs_wipe(block->bytes, block->used);
        free(block);
        block = next;
    }
}

void memseg_free(struct memseg *mem)
{
    if (!mem)
        return;
    arena_free(mem->arena);
    for (unsigned i = 0; i < FILING_SLOTS; i++) {
        for (struct mem_filings *f = mem->filings[i], *next; f; f = next) {
            next = f->next;
            free(f->v);
            free(f);
        }
    }
    for (uint32_t i = 0; i < mem->rows_blocks; i++)
        free(mem->rows[i]);
    free(mem->rows);
    free(mem->slots);
    free(mem->terms);
    doc_words_free(&mem->scratch);
    pthread_rwlock_destroy(&mem->lock);
    free(mem);
}

size_t memseg_bytes(const struct memseg *mem)
{
    pthread_rwlock_t *lock = (pthread_rwlock_t *)(uintptr_t)&mem->lock;
    pthread_rwlock_rdlock(lock);
    const size_t bytes = mem->bytes;
    pthread_rwlock_unlock(lock);
    return bytes;
}

/* ---- getting all memory first */

static size_t aligned(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* Room for bytes in the arena's first block, which then cannot fail to be given. */
static int arena_reserve(struct memseg *mem, size_t bytes)
{
    if (mem->arena && mem->arena->size - mem->arena->used >= bytes)
        return 0;
    const size_t size = bytes > ARENA_BYTES ? bytes : ARENA_BYTES;
    if (mem->bytes + size > MEM_MAX_BYTES)
        return -E2BIG;
    struct arena_block *block = malloc(sizeof(*block) + size);
    if (!block)
        return -ENOMEM;
    *block = (struct arena_block){.next = mem->arena, .size = size};
    mem->arena = block;
    mem->bytes += sizeof(*block) + size;
    return 0;
}

static size_t arena_left(const struct memseg *mem)
{
    return mem->arena->size - mem->arena->used;
}

static void *arena_take(struct memseg *mem, size_t bytes)
{
    struct arena_block *block = mem->arena;
    void *taken = (uint8_t *)block->bytes + block->used;
    block->used += aligned(bytes);
    return taken;
}

/* What a word needs at most: the term, and a chunk of its own for the posting. */
static size_t word_need(const struct doc_word *word)
{
    return TERM_EXTRA_BYTES + aligned(word->len) +
           aligned(2 * VARINT32_MAX + 1 + (size_t)word->tf * VARINT32_MAX);
}

static void term_slot_put(struct memseg *mem, uint32_t hash, uint32_t index)
{
    uint32_t at = hash & (mem->slots_n - 1);
    while (mem->slots[at].index)
        at = (at + 1) & (mem->slots_n - 1);
    mem->slots[at] = (struct term_slot){.hash = hash, .index = index + 1};
}

static int term_slots_reserve(struct memseg *mem, uint32_t terms)
{
    uint32_t n = mem->slots_n;
    while (n / 2 < terms)
        n *= 2;
    if (n == mem->slots_n)
        return 0;
    struct term_slot *grown = calloc(n, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    free(mem->slots);
    mem->bytes += (n - mem->slots_n) * sizeof(*grown);
    mem->slots = grown;
    mem->slots_n = n;
    for (uint32_t i = 0; i < mem->terms_n; i++)
        term_slot_put(mem, mem->terms[i].term->hash, i);
    return 0;
}

static int terms_reserve(struct memseg *mem, uint32_t more)
{
    uint32_t cap = mem->terms_cap ? mem->terms_cap : 1024;
    while (cap - mem->terms_n < more)
        cap *= 2;
    if (cap != mem->terms_cap) {
        struct term_ref *grown = realloc(mem->terms, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        mem->bytes += (cap - mem->terms_cap) * sizeof(*grown);
        mem->terms = grown;
        mem->terms_cap = cap;
    }
    return term_slots_reserve(mem, mem->terms_n + more);
}

static int rows_reserve(struct memseg *mem)
{
    if (mem->docs < mem->rows_blocks * MEM_ROWS)
        return 0;
    if (mem->rows_blocks == mem->rows_cap) {
        const uint32_t cap = mem->rows_cap ? mem->rows_cap * 2 : 16;
        struct attr_row **grown = realloc(mem->rows, cap * sizeof(struct attr_row *));
        if (!grown)
            return -ENOMEM;
        mem->rows = grown;
        mem->rows_cap = cap;
    }
    struct attr_row *block = malloc(MEM_ROWS * sizeof(*block));
    if (!block)
        return -ENOMEM;
    mem->rows[mem->rows_blocks++] = block;
    mem->bytes += MEM_ROWS * sizeof(*block);
    return 0;
}

/* *ret_need: what the words alone need. */
static int document_reserve(struct memseg *mem, size_t envelope, size_t *ret_need)
{
    const struct doc_words *words = &mem->scratch;
    size_t need = 0;
    for (uint32_t i = 0; i < words->words_n; i++)
        need += word_need(&words->words[i]);
    int r = need > MEM_MAX_BYTES ? -E2BIG : 0;
    if (r == 0)
        r = arena_reserve(mem, need + aligned(envelope));
    if (r == 0)
        r = terms_reserve(mem, words->words_n);
    if (r == 0)
        r = rows_reserve(mem);
    *ret_need = need;
    return r;
}

/* ---- then putting things there */

static uint64_t prefix_of(struct emlfs_span word)
{
    uint64_t prefix = 0;
    for (size_t i = 0; i < 8; i++)
        prefix = prefix << 8 | (i < word.len ? word.data[i] : 0);
    return prefix;
}

static struct mem_term *term_get(struct memseg *mem, const struct doc_word *word)
{
    const uint8_t *bytes = mem->scratch.bytes.data + word->at;
    for (uint32_t at = word->hash & (mem->slots_n - 1); mem->slots[at].index;
         at = (at + 1) & (mem->slots_n - 1)) {
        if (mem->slots[at].hash != word->hash)
            continue;
        struct mem_term *term = mem->terms[mem->slots[at].index - 1].term;
        if (term->len == word->len && memcmp(term->bytes, bytes, word->len) == 0)
            return term;
    }
    struct mem_term *term = arena_take(mem, sizeof(*term) + word->len);
    *term = (struct mem_term){.hash = word->hash, .len = word->len};
    memcpy(term->bytes, bytes, word->len);
    mem->terms[mem->terms_n] =
        (struct term_ref){.prefix = prefix_of(emlfs_span_of(bytes, word->len)), .term = term};
    term_slot_put(mem, word->hash, mem->terms_n++);
    return term;
}

static uint8_t *varint_put(uint8_t *out, uint32_t value)
{
    while (value >= 0x80) {
        *out++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *out++ = (uint8_t)value;
    return out;
}

static size_t varint_len(uint32_t value)
{
    return value < 0x80         ? 1
           : value < 0x4000     ? 2
           : value < 0x200000   ? 3
           : value < 0x10000000 ? 4
                                : 5;
}

/* Fields and positions as bytes; NULL: only how many. */
static size_t posting_put(const struct doc_words *words, const struct doc_word *word, uint8_t *out)
{
    uint8_t *const begin = out;
    const bool body = word->mask == MASK_BODY;
    size_t len = varint_len(word->tf << 1 | !body) + (body ? 0 : 1);
    if (out) {
        out = varint_put(out, word->tf << 1 | !body);
        if (!body)
            *out++ = word->mask;
    }
    uint32_t base = 0;
    for (uint32_t i = 0, at = word->first; i < word->tf; i++) {
        const struct doc_place *place = &words->places[at];
        len += varint_len(place->position - base);
        if (out)
            out = varint_put(out, place->position - base);
        base = place->position + 1;
        at = place->next;
    }
    return out ? (size_t)(out - begin) : len;
}

/* left: what the words behind this one still need; chunks grow with the term as far as that goes.
 */
static struct mem_chunk *chunk_new(struct memseg *mem, const struct mem_term *term, size_t need,
                                   size_t left)
{
    size_t cap = term->bytes_n < CHUNK_MAX_BYTES ? term->bytes_n : CHUNK_MAX_BYTES;
    cap = cap < need ? need : cap;
    if (aligned(sizeof(struct mem_chunk) + cap) + left > arena_left(mem))
        cap = need;
    cap = aligned(cap);
    struct mem_chunk *chunk = arena_take(mem, sizeof(*chunk) + cap);
    chunk->older = term->head;
    chunk->used = 0;
    chunk->cap = (uint32_t)cap;
    return chunk;
}

static void word_commit(struct memseg *mem, const struct doc_word *word, uint32_t doc, size_t left)
{
    struct mem_term *term = term_get(mem, word);
    struct mem_chunk *chunk = (struct mem_chunk *)(uintptr_t)term->head;
    const size_t len = posting_put(&mem->scratch, word, NULL);
    uint32_t step = chunk ? doc - term->last_doc : doc;
    if (!chunk || chunk->cap - chunk->used < len + varint_len(step) ||
        chunk->used >= CHUNK_MAX_BYTES) {
        step = doc;
        chunk = chunk_new(mem, term, len + varint_len(step), left);
    }
    uint8_t *out = varint_put(chunk->bytes + chunk->used, step);
    out += posting_put(&mem->scratch, word, out);
    term->bytes_n += (uint32_t)(out - (chunk->bytes + chunk->used));
    chunk->used = (uint32_t)(out - chunk->bytes);
    term->head = chunk;
    term->last_doc = doc;
    term->df++;
}

/* The term of word i when it is where it is looked for first. */
static struct term_ref *term_guess(const struct memseg *mem, uint32_t i)
{
    const uint32_t hash = mem->scratch.words[i].hash;
    const struct term_slot *slot = &mem->slots[hash & (mem->slots_n - 1)];
    return slot->index && slot->hash == hash ? &mem->terms[slot->index - 1] : NULL;
}

/*
 * Most words of a document are far apart in memory that no cache holds. What each needs is asked
 * for step by step some words before its turn, so that the waits overlap. Inlined always: a
 * compiler may leave out a call that has no effect but this.
 */
__attribute__((always_inline)) static inline void words_fetch(const struct memseg *mem, uint32_t i)
{
    const uint32_t n = mem->scratch.words_n;
    const struct term_ref *ref;
    if (i + 4 * FETCH_STEP < n)
        __builtin_prefetch(
            &mem->slots[mem->scratch.words[i + 4 * FETCH_STEP].hash & (mem->slots_n - 1)]);
    if (i + 3 * FETCH_STEP < n)
        __builtin_prefetch(term_guess(mem, i + 3 * FETCH_STEP));
    if (i + 2 * FETCH_STEP < n && (ref = term_guess(mem, i + 2 * FETCH_STEP)))
        __builtin_prefetch(ref->term, 1);
    if (i + FETCH_STEP < n && (ref = term_guess(mem, i + FETCH_STEP)))
        __builtin_prefetch(ref->term->head, 1);
    if (i + FETCH_STEP / 2 < n && (ref = term_guess(mem, i + FETCH_STEP / 2)) && ref->term->head)
        __builtin_prefetch(ref->term->head->bytes + ref->term->head->used, 1);
}

static struct emlfs_span envelope_keep(struct memseg *mem, struct emlfs_span envelope)
{
    if (envelope.len == 0)
        return envelope;
    uint8_t *kept = arena_take(mem, envelope.len);
    memcpy(kept, envelope.data, envelope.len);
    return emlfs_span_of(kept, envelope.len);
}

static void document_commit(struct memseg *mem, const struct doc_attr *attr, size_t need,
                            struct emlfs_span envelope)
{
    const struct emlfs_span kept = envelope_keep(mem, envelope);
    const struct doc_words *words = &mem->scratch;
    for (uint32_t i = 0; i < words->words_n; i++) {
        words_fetch(mem, i);
        need -= word_need(&words->words[i]);
        word_commit(mem, &words->words[i], attr->doc, need);
    }
    mem->rows[mem->docs / MEM_ROWS][mem->docs % MEM_ROWS] =
        (struct attr_row){.attr = *attr, .lens = words->lens, .envelope = kept};
    mem->docs++;
    mem->last_doc = attr->doc;
    mem->text_bytes += attr->text_bytes;
}

int memseg_add(struct memseg *mem, const struct doc_attr *attr, struct emlfs_span doctext,
               struct emlfs_span envelope)
{
    size_t need;
    if (envelope.len > EMLFS_ENVELOPE_MAX_BYTES || attr->doc == 0 || attr->doc < mem->first_doc ||
        (mem->docs && attr->doc <= mem->last_doc))
        return -EINVAL;
    int r = doc_words_fill(&mem->scratch, doctext);
    if (r < 0)
        return r;
    pthread_rwlock_wrlock(&mem->lock);
    r = document_reserve(mem, envelope.len, &need);
    if (r == 0)
        document_commit(mem, attr, need, envelope);
    pthread_rwlock_unlock(&mem->lock);
    return r;
}

/* ---- filings */

static struct mem_filings **filings_slot(struct memseg *mem, enum filing_kind kind, uint32_t key)
{
    const uint32_t mixed = (key * 2 + (uint32_t)kind) * UINT32_C(0x9e3779b9);
    return &mem->filings[mixed >> 22];
}

static struct mem_filings *filings_get(struct memseg *mem, enum filing_kind kind, uint32_t key)
{
    struct mem_filings **slot = filings_slot(mem, kind, key), *f = *slot;
    while (f && (f->key != key || f->kind != (uint8_t)kind))
        f = f->next;
    if (f)
        return f;
    f = calloc(1, sizeof(*f));
    if (!f)
        return NULL;
    f->key = key;
    f->kind = (uint8_t)kind;
    f->next = *slot;
    *slot = f;
    mem->bytes += sizeof(*f);
    return f;
}

static int filing_add(struct memseg *mem, struct mem_filings *f, uint32_t doc, bool in)
{
    if (f->n == f->cap) {
        const uint32_t cap = f->cap ? f->cap * 2 : 4;
        uint64_t *grown = realloc(f->v, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        mem->bytes += (cap - f->cap) * sizeof(*grown);
        f->v = grown;
        f->cap = cap;
    }
    if (f->sorted_n == f->n && (f->n == 0 || f->v[f->n - 1] >> 1 < doc))
        f->sorted_n++;
    f->v[f->n++] = (uint64_t)doc << 1 | in;
    if (!mem->filings_low || doc < mem->filings_low)
        mem->filings_low = doc;
    return 0;
}

int memseg_file(struct memseg *mem, enum filing_kind kind, uint32_t key, uint32_t doc, bool in)
{
    if (doc == 0 || (unsigned)kind >= FILING_KINDS)
        return -EINVAL;
    pthread_rwlock_wrlock(&mem->lock);
    struct mem_filings *f = mem->bytes < MEM_MAX_BYTES ? filings_get(mem, kind, key) : NULL;
    int r = f ? filing_add(mem, f, doc, in) : mem->bytes < MEM_MAX_BYTES ? -ENOMEM : -E2BIG;
    pthread_rwlock_unlock(&mem->lock);
    return r;
}
