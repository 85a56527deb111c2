/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One token of a query: the terms of a segment it stands for, and the union of their postings. */
#include <stdlib.h>

#include "search.h"

#define MODULE "index"

static int no_memory(struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
}

/* ---- terms */

static int term_collect(void *arg, struct emlfs_span term, uint32_t docs)
{
    struct terms *terms = arg;

    if (terms->n == terms->cap) {
        unsigned cap = terms->cap ? terms->cap * 2 : 16;
        void *grown = reallocarray(terms->v, cap, sizeof(*terms->v));
        if (!grown)
            return -ENOMEM;
        terms->v = grown;
        terms->cap = cap;
    }
    terms->v[terms->n].at = (uint32_t)terms->bytes.len;
    terms->v[terms->n].len = (uint32_t)term.len;
    terms->v[terms->n].docs = docs;
    terms->n++;
    terms->docs += docs;
    return emlfs_buf_append(&terms->bytes, term.data, term.len);
}

int terms_find(struct segment *segment, const struct emlfs_query_token *token, struct terms *ret,
               struct emlfs_err *err)
{
    int rc;

    *ret = (struct terms){.bytes = EMLFS_BUF_INIT(UINT32_MAX)};
    rc = segment_terms(segment, token->text, token->glob, term_collect, ret, err);
    if (rc < 0)
        terms_free(ret);
    return rc == -ENOMEM ? no_memory(err) : rc;
}

void terms_free(struct terms *terms)
{
    emlfs_buf_free(&terms->bytes);
    free(terms->v);
    *terms = (struct terms){0};
}

/* ---- the union */

int cursor_open(struct segment *segment, const struct terms *terms, unsigned from, unsigned n,
                struct cursor *ret, struct emlfs_err *err)
{
    int rc = 0;

    *ret = (struct cursor){.postings = calloc(n + 1, sizeof(*ret->postings)),
                           .docs = calloc(n + 1, sizeof(*ret->docs)),
                           .heap = calloc(n + 1, sizeof(*ret->heap))};
    if (!ret->postings || !ret->docs || !ret->heap)
        rc = no_memory(err);
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        struct postings *postings = NULL;
        rc = postings_open(segment, terms_at(terms, from + i), &postings, err);
        if (rc == -ENOENT)
            rc = 0;
        if (rc < 0 || !postings)
            continue;
        if (__builtin_add_overflow(ret->count, postings_count(postings), &ret->count))
            ret->count = UINT32_MAX;
        ret->postings[ret->n++] = postings;
    }
    if (rc < 0)
        cursor_close(ret);
    return rc;
}

void cursor_close(struct cursor *cursor)
{
    for (unsigned i = 0; i < cursor->n; i++)
        postings_free(cursor->postings[i]);
    free(cursor->postings);
    free(cursor->docs);
    free(cursor->heap);
    free(cursor->positions);
    *cursor = (struct cursor){0};
}

static uint32_t heap_doc(const struct cursor *cursor, unsigned at)
{
    return cursor->docs[cursor->heap[at]];
}

static void heap_down(struct cursor *cursor, unsigned at)
{
    for (;;) {
        unsigned child = 2 * at + 1, moving = cursor->heap[at];
        if (child >= cursor->n)
            return;
        if (child + 1 < cursor->n && heap_doc(cursor, child + 1) > heap_doc(cursor, child))
            child++;
        if (heap_doc(cursor, child) <= cursor->docs[moving])
            return;
        cursor->heap[at] = cursor->heap[child];
        cursor->heap[child] = moving;
        at = child;
    }
}

static int cursor_begin(struct cursor *cursor, uint32_t doc, struct emlfs_err *err)
{
    for (unsigned i = 0; i < cursor->n; i++) {
        int64_t at = postings_seek(cursor->postings[i], doc, err);
        if (at < 0)
            return (int)at;
        cursor->docs[i] = (uint32_t)at;
        cursor->heap[i] = i;
    }
    for (unsigned i = cursor->n / 2; i > 0; i--)
        heap_down(cursor, i - 1);
    cursor->begun = true;
    return 0;
}

int64_t cursor_seek(struct cursor *cursor, uint32_t doc, struct emlfs_err *err)
{
    if (cursor->n == 0)
        return POSTINGS_END;
    if (cursor->n == 1) {
        int64_t at = postings_seek(cursor->postings[0], doc, err);
        cursor->docs[0] = at > 0 ? (uint32_t)at : 0;
        return at;
    }
    if (!cursor->begun) {
        int rc = cursor_begin(cursor, doc, err);
        if (rc < 0)
            return rc;
    }
    while (heap_doc(cursor, 0) > doc) {
        unsigned top = cursor->heap[0];
        int64_t at = postings_seek(cursor->postings[top], doc, err);
        if (at < 0)
            return at;
        cursor->docs[top] = (uint32_t)at;
        heap_down(cursor, 0);
    }
    return heap_doc(cursor, 0);
}

/* The postings that stand at doc are a tree at the top of the heap: calls each of them. */
struct at_doc {
    unsigned stack[2 * CURSOR_TERMS_MAX + 2];
    unsigned n;
    uint32_t doc;
};

static void at_doc_begin(struct at_doc *walk, uint32_t doc)
{
    walk->doc = doc;
    walk->n = 1;
    walk->stack[0] = 0;
}

/* Index of the next postings, or -1. */
static int at_doc_next(const struct cursor *cursor, struct at_doc *walk)
{
    while (walk->n > 0) {
        unsigned at = walk->stack[--walk->n];
        if (at >= cursor->n || heap_doc(cursor, at) != walk->doc)
            continue;
        walk->stack[walk->n++] = 2 * at + 1;
        walk->stack[walk->n++] = 2 * at + 2;
        return (int)cursor->heap[at];
    }
    return -1;
}

unsigned cursor_fields(const struct cursor *cursor, uint32_t doc)
{
    struct at_doc walk;
    unsigned fields = 0;
    int i;

    if (cursor->n == 1)
        return postings_fields(cursor->postings[0]);
    at_doc_begin(&walk, doc);
    while ((i = at_doc_next(cursor, &walk)) >= 0)
        fields |= postings_fields(cursor->postings[i]);
    return fields;
}

static int position_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static int positions_append(struct cursor *cursor, const uint32_t *from, unsigned n, unsigned at)
{
    if (cursor->positions_cap - at < n) {
        unsigned cap = (at + n) * 2;
        uint32_t *grown = reallocarray(cursor->positions, cap, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        cursor->positions = grown;
        cursor->positions_cap = cap;
    }
    if (n > 0)
        memcpy(cursor->positions + at, from, n * sizeof(*from));
    return 0;
}

int cursor_positions(struct cursor *cursor, uint32_t doc, const uint32_t **ret, unsigned *ret_n,
                     struct emlfs_err *err)
{
    struct at_doc walk;
    unsigned n = 0, many = 0;
    int i, rc = 0;

    if (cursor->n == 1)
        return postings_positions(cursor->postings[0], ret, ret_n, err);
    at_doc_begin(&walk, doc);
    while (rc == 0 && (i = at_doc_next(cursor, &walk)) >= 0) {
        const uint32_t *one;
        unsigned one_n;
        rc = postings_positions(cursor->postings[i], &one, &one_n, err);
        if (rc == 0 && positions_append(cursor, one, one_n, n) < 0)
            rc = no_memory(err);
        n += rc == 0 ? one_n : 0;
        many++;
    }
    if (rc == 0 && many > 1)
        qsort(cursor->positions, n, sizeof(*cursor->positions), position_compare);
    *ret = cursor->positions;
    *ret_n = n;
    return rc;
}
