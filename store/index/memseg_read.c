/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"
#include "memseg.h"

#include <stdlib.h>

/*
 * Reading the part in memory beside its writer: what may move is read under the lock, postings
 * (M2) without it.
 */

struct emlfs_span mem_term_bytes(const struct mem_term *term)
{
    return emlfs_span_of(term->bytes, term->len);
}

static const struct mem_term *term_find(const struct memseg *mem, struct emlfs_span word)
{
    if (word.len == 0)
        return NULL;
    const uint32_t hash = word_hash(mem->scratch.seed, word);
    for (uint32_t at = hash & (mem->slots_n - 1); mem->slots[at].index;
         at = (at + 1) & (mem->slots_n - 1)) {
        if (mem->slots[at].hash != hash)
            continue;
        const struct mem_term *term = mem->terms[mem->slots[at].index - 1].term;
        if (emlfs_span_equal(word, mem_term_bytes(term)))
            return term;
    }
    return NULL;
}

static void postings_snapshot(const struct mem_term *term, struct postings *ret)
{
    ret->entry.df = term->df;
    ret->chunk = term->head;
    ret->chunk_used = term->head->used;
}

int memseg_open_postings(struct memseg *mem, struct emlfs_span word, struct postings *ret)
{
    pthread_rwlock_rdlock(&mem->lock);
    const struct mem_term *term = term_find(mem, word);
    if (term)
        postings_snapshot(term, ret);
    pthread_rwlock_unlock(&mem->lock);
    return term ? 0 : -ENOENT;
}

void memseg_postings_of(struct memseg *mem, const struct mem_term *term, struct postings *ret)
{
    pthread_rwlock_rdlock(&mem->lock);
    postings_snapshot(term, ret);
    pthread_rwlock_unlock(&mem->lock);
}

uint32_t memseg_term_df(struct memseg *mem, const struct mem_term *term)
{
    pthread_rwlock_rdlock(&mem->lock);
    const uint32_t df = term->df;
    pthread_rwlock_unlock(&mem->lock);
    return df;
}

/* ---- patterns */

/* The literal bytes a pattern begins with, as term_ref.prefix and a mask for it. */
static uint64_t prefix_mask(struct emlfs_span pattern, uint64_t *ret_prefix)
{
    uint64_t mask = 0, prefix = 0;
    for (size_t i = 0; i < 8 && i < pattern.len; i++) {
        if (pattern.data[i] == '*' || pattern.data[i] == '?')
            break;
        mask |= UINT64_C(0xff) << (56 - 8 * i);
        prefix |= (uint64_t)pattern.data[i] << (56 - 8 * i);
    }
    *ret_prefix = prefix;
    return mask;
}

int memseg_match(struct memseg *mem, struct emlfs_span pattern, struct mem_terms *ret)
{
    uint64_t prefix;
    const uint64_t mask = prefix_mask(pattern, &prefix);
    size_t cap = 0;
    *ret = (struct mem_terms){0};
    int r = 0;
    pthread_rwlock_rdlock(&mem->lock);
    for (uint32_t i = 0; i < mem->terms_n && r == 0; i++) {
        const struct term_ref *ref = &mem->terms[i];
        if ((ref->prefix & mask) != prefix ||
            (pattern.len > 0 && !glob_match(pattern, mem_term_bytes(ref->term))))
            continue;
        if (ret->n == cap) {
            cap = cap ? cap * 2 : pattern.len > 0 ? 64 : mem->terms_n;
            struct mem_term_key *grown = realloc(ret->v, cap * sizeof(ret->v[0]));
            if (!grown) {
                r = -ENOMEM;
                break;
            }
            ret->v = grown;
        }
        ret->v[ret->n++] = (struct mem_term_key){.key = ref->prefix, .term = ref->term};
    }
    pthread_rwlock_unlock(&mem->lock);
    if (r < 0) {
        free(ret->v);
        ret->v = NULL;
    }
    return r;
}

/* ---- postings */

static uint32_t varint_get(const uint8_t **pos)
{
    uint32_t value = 0;
    unsigned shift = 0;
    while (**pos & 0x80) {
        value |= (uint32_t)(*(*pos)++ & 0x7f) << shift;
        shift += 7;
    }
    return value | (uint32_t) * (*pos)++ << shift;
}

static const uint8_t *varints_skip(const uint8_t *pos, uint32_t n)
{
    while (n > 0)
        n -= !(*pos++ & 0x80);
    return pos;
}

/* Take the chunk apart: its documents, oldest first. */
static int chunk_enter(struct postings *p)
{
    const uint8_t *pos = p->chunk->bytes, *const end = pos + p->chunk_used;
    uint32_t doc = 0;
    if (!p->chunk_docs) {
        p->chunk_docs = malloc(CHUNK_POSTINGS * sizeof(*p->chunk_docs));
        if (!p->chunk_docs)
            return -ENOMEM;
    }
    p->chunk_n = 0;
    while (pos < end) {
        doc += varint_get(&pos);
        p->chunk_docs[p->chunk_n++] =
            (struct mem_posting){.doc = doc, .at = (uint32_t)(pos - p->chunk->bytes)};
        const uint32_t head = varint_get(&pos);
        pos = varints_skip(pos + (head & 1), head >> 1);
    }
    p->at = p->chunk_n;
    p->entered = true;
    return 0;
}

static void memory_stand(struct postings *p)
{
    const struct mem_posting *posting = &p->chunk_docs[p->at];
    const uint8_t *pos = p->chunk->bytes + posting->at;
    p->doc = posting->doc;
    p->mask = varint_get(&pos) & 1 ? *pos : MASK_BODY;
}

int memory_seek(struct postings *p, uint32_t doc)
{
    if (!p->entered) {
        int r = chunk_enter(p);
        if (r < 0)
            return r;
    }
    for (;;) {
        while (p->at > 0) {
            if (p->chunk_docs[--p->at].doc <= doc) {
                memory_stand(p);
                return 0;
            }
        }
        if (!p->chunk->older)
            break;
        p->chunk = p->chunk->older;
        p->chunk_used = p->chunk->used;
        int r = chunk_enter(p);
        if (r < 0)
            return r;
    }
    p->doc = POSTINGS_END;
    return 0;
}

int memory_positions(struct postings *p)
{
    const uint8_t *pos = p->chunk->bytes + p->chunk_docs[p->at].at;
    const uint32_t head = varint_get(&pos), tf = head >> 1;
    uint32_t position = 0;
    pos += head & 1;
    int r = postings_room(p, tf);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < tf; i++) {
        position += varint_get(&pos);
        p->positions[i] = position++;
    }
    p->positions_n = tf;
    return 0;
}

/* ---- rows */

static const struct attr_row *row_of(const struct memseg *mem, uint32_t i)
{
    return &mem->rows[i / MEM_ROWS][i % MEM_ROWS];
}

int memseg_row(struct memseg *mem, uint32_t doc, struct attr_row *ret)
{
    pthread_rwlock_rdlock(&mem->lock);
    uint32_t low = 0, high = mem->docs;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (row_of(mem, mid)->attr.doc < doc)
            low = mid + 1;
        else
            high = mid;
    }
    const bool found = low < mem->docs && row_of(mem, low)->attr.doc == doc;
    if (found)
        *ret = *row_of(mem, low);
    pthread_rwlock_unlock(&mem->lock);
    return found ? 0 : -ENOENT;
}

int memseg_row_at(struct memseg *mem, uint32_t i, struct attr_row *ret)
{
    pthread_rwlock_rdlock(&mem->lock);
    const bool found = i < mem->docs;
    if (found)
        *ret = *row_of(mem, i);
    pthread_rwlock_unlock(&mem->lock);
    return found ? 0 : -ENOENT;
}

void memseg_get_info(struct memseg *mem, struct segment_info *ret, uint32_t *ret_filings_low)
{
    pthread_rwlock_rdlock(&mem->lock);
    *ret = (struct segment_info){.first_doc = mem->first_doc,
                                 .last_doc = mem->last_doc,
                                 .docs = mem->docs,
                                 .text_bytes = mem->text_bytes,
                                 .file_bytes = 0};
    *ret_filings_low = mem->filings_low;
    pthread_rwlock_unlock(&mem->lock);
}

/* ---- filings */

/* Where statements with document >= doc begin in the sorted part. */
static uint32_t sorted_find(const struct mem_filings *f, uint64_t doc)
{
    uint32_t low = 0, high = f->sorted_n;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (f->v[mid] >> 1 < doc)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* As they were made, with the order of making in the upper half of kept. */
struct said {
    struct filing filing;
    uint32_t when;
};
struct said_list {
    struct said *v;
    size_t n, cap;
};

static int said_add(struct said_list *list, const struct mem_filings *f, uint32_t i)
{
    if (list->n == list->cap) {
        const size_t cap = list->cap ? list->cap * 2 : 256;
        struct said *grown = realloc(list->v, cap * sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        list->v = grown;
        list->cap = cap;
    }
    list->v[list->n++] = (struct said){.filing = {.kind = f->kind,
                                                  .key = f->key,
                                                  .doc = (uint32_t)(f->v[i] >> 1),
                                                  .in = f->v[i] & 1},
                                       .when = i};
    return 0;
}

static int filings_take(struct said_list *list, const struct mem_filings *f, uint32_t low,
                        uint32_t high)
{
    int r = 0;
    for (uint32_t i = sorted_find(f, low); i < f->sorted_n && r == 0; i++) {
        if (f->v[i] >> 1 > high)
            break;
        r = said_add(list, f, i);
    }
    for (uint32_t i = f->sorted_n; i < f->n && r == 0; i++)
        if (f->v[i] >> 1 >= low && f->v[i] >> 1 <= high)
            r = said_add(list, f, i);
    return r;
}

/* Of equal ones the later first. */
static int said_compare(const void *a, const void *b)
{
    const struct said *x = a, *y = b;
    const int order = filing_compare(&x->filing, &y->filing);
    return order ? order : (x->when < y->when) - (x->when > y->when);
}

static int said_finish(struct said_list *list, struct filing **ret, size_t *ret_n)
{
    struct filing *out = malloc((list->n + 1) * sizeof(*out));
    size_t n = 0;
    if (!out)
        return -ENOMEM;
    if (list->n > 1)
        qsort(list->v, list->n, sizeof(*list->v), said_compare);
    for (size_t i = 0; i < list->n; i++)
        if (n == 0 || filing_compare(&out[n - 1], &list->v[i].filing) != 0)
            out[n++] = list->v[i].filing;
    *ret = out;
    *ret_n = n;
    return 0;
}

int memseg_filings(struct memseg *mem, const struct filing_range *range, struct filing **ret,
                   size_t *ret_n)
{
    struct said_list list = {0};
    int r = 0;
    pthread_rwlock_rdlock(&mem->lock);
    for (unsigned i = 0; i < FILING_SLOTS && r == 0; i++)
        for (const struct mem_filings *f = mem->filings[i]; f && r == 0; f = f->next)
            if (!range)
                r = filings_take(&list, f, 0, UINT32_MAX);
            else if (f->kind == (uint8_t)range->kind && f->key == range->key)
                r = filings_take(&list, f, range->low, range->high);
    pthread_rwlock_unlock(&mem->lock);
    if (r == 0)
        r = said_finish(&list, ret, ret_n);
    free(list.v);
    return r;
}
