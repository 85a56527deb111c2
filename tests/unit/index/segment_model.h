/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TEST_SEGMENT_MODEL_H
#define EMLFS_TEST_SEGMENT_MODEL_H

/* A naive index of random documents, to compare segments with. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../store/index/segment.h"
#include "../../../store/index/tokens.h"

#define MODEL_TEXT 48u
#define MODEL_KEYS 5u

struct model_place {
    char term[TOKEN_MAX_BYTES + 1];
    uint32_t doc, position;
    unsigned field;
};
struct model_doc {
    struct doc_attr attr;
    bool dead;
    uint8_t envelope[EMLFS_ENVELOPE_MAX_BYTES];
    size_t envelope_len;
};
struct model_filing {
    enum filing_kind kind;
    uint32_t key, doc;
    bool in;
};
struct model {
    uint64_t random;
    uint32_t first_doc, last_doc;
    struct model_place *places;
    size_t places_n, places_cap;
    struct model_doc *docs;
    size_t docs_n, docs_cap;
    struct model_filing *filings; /* in the order in which they were made */
    size_t filings_n, filings_cap;
};

static inline uint32_t model_random(struct model *m, uint32_t below)
{
    m->random ^= m->random << 13;
    m->random ^= m->random >> 7;
    m->random ^= m->random << 17;
    return (uint32_t)(m->random >> 11) % below;
}

#define MODEL_GROW(m, what)                                                                        \
    do {                                                                                           \
        if ((m)->what##_n == (m)->what##_cap) {                                                    \
            (m)->what##_cap = (m)->what##_cap ? (m)->what##_cap * 2 : 64;                          \
            (m)->what = realloc((m)->what, (m)->what##_cap * sizeof(*(m)->what));                  \
            assert_non_null((m)->what);                                                            \
        }                                                                                          \
    } while (0)

static inline void model_init(struct model *m, uint64_t seed, uint32_t first_doc)
{
    *m = (struct model){.random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1,
                        .first_doc = first_doc,
                        .last_doc = first_doc - 1};
}

static inline void model_free(struct model *m)
{
    free(m->places);
    free(m->docs);
    free(m->filings);
}

/* Words of a few letters, so that they meet often; some long, some Chinese. */
static inline size_t model_word(struct model *m, char *out)
{
    static const char *const han[] = {"\xe4\xb8\xad", "\xe6\x96\x87", "\xe5\xad\x97"};
    const uint32_t kind = model_random(m, 40);
    size_t len = 0;
    if (kind == 0) {
        for (uint32_t n = 1 + model_random(m, 4); n > 0; n--, len += 3)
            memcpy(out + len, han[model_random(m, 3)], 3);
        return len;
    }
    const uint32_t longest = kind == 1 ? 90 : kind < 6 ? 12 : 4;
    for (uint32_t n = 1 + model_random(m, longest); n > 0; n--)
        out[len++] = (char)('a' + model_random(m, 1 + model_random(m, 5)));
    return len;
}

static inline void model_piece(struct model *m, struct emlfs_buf *doctext, unsigned field,
                               uint32_t words)
{
    char text[MODEL_TEXT * 100];
    size_t len = 0;
    for (; words > 0; words--) {
        len += model_word(m, text + len);
        text[len++] = ' ';
    }
    assert_int_equal(0, emlfs_doctext_piece(doctext, field, emlfs_span_of(text, len)));
}

/* Positions as segment.h gives them: field by field, a gap behind each piece. */
static inline void model_index(struct model *m, uint32_t doc, struct emlfs_span doctext)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    struct emlfs_buf folded = EMLFS_BUF_INIT(1u << 20);
    uint32_t position = 0;
    for (unsigned field = 1; field < EMLFS_TEXT_FIELDS; field++) {
        for (size_t pos = 0; emlfs_doctext_next(doctext, &pos, &piece, &problem);) {
            struct token token;
            if (piece.field != field)
                continue;
            assert_int_equal(0, text_fold(piece.text, &folded));
            struct token_walk walk = token_walk_of(emlfs_buf_view(&folded));
            while (token_walk_next(&walk, &token)) {
                MODEL_GROW(m, places);
                struct model_place *place = &m->places[m->places_n++];
                *place = (struct model_place){.doc = doc, .position = position++, .field = field};
                memcpy(place->term, token.text.data, token.text.len);
            }
            position++;
        }
    }
    emlfs_buf_free(&folded);
}

static inline struct doc_attr model_attr(struct model *m, uint32_t doc, size_t text_bytes)
{
    return (struct doc_attr){
        .doc = doc,
        .text_bytes = (uint32_t)text_bytes,
        .size_bytes = (uint64_t)model_random(m, 1u << 30) << model_random(m, 20),
        .mtime_sec = (int64_t)model_random(m, UINT32_MAX) - (INT64_C(1) << 31),
        .archived_ns = INT64_C(1700000000000000000) + model_random(m, 1u << 30),
        .priority = (uint8_t)model_random(m, 3),
        .attachment = model_random(m, 2),
    };
}

/* Most are short, some as long as may be, some empty. */
static inline void model_envelope(struct model *m, struct model_doc *row)
{
    const uint32_t most = model_random(m, 16) ? 200 : EMLFS_ENVELOPE_MAX_BYTES + 1;
    row->envelope_len = model_random(m, 16) ? model_random(m, most) : most - 1;
    for (size_t i = 0; i < row->envelope_len; i++)
        row->envelope[i] = (uint8_t)model_random(m, 256);
}

/* A random document into mem and model, perhaps leaving numbers out before it. */
static inline void model_add(struct model *m, struct memseg *mem)
{
    struct emlfs_buf doctext = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    const uint32_t doc = m->last_doc + 1 + (model_random(m, 8) ? 0 : model_random(m, 5));
    assert_int_equal(0, emlfs_doctext_begin(&doctext, EMLFS_PRIORITY_NORMAL, false));
    for (uint32_t n = model_random(m, 6); n > 0; n--)
        model_piece(m, &doctext, model_random(m, 3) ? 6 : 1 + model_random(m, 8),
                    1 + model_random(m, MODEL_TEXT - 1));
    MODEL_GROW(m, docs);
    struct model_doc *row = &m->docs[m->docs_n++];
    *row = (struct model_doc){.attr = model_attr(m, doc, doctext.len)};
    model_envelope(m, row);
    assert_int_equal(0, memseg_add(mem, &row->attr, emlfs_buf_view(&doctext),
                                   emlfs_span_of(row->envelope, row->envelope_len)));
    model_index(m, doc, emlfs_buf_view(&doctext));
    m->last_doc = doc;
    emlfs_buf_free(&doctext);
}

/* A statement, most of them about the newest document. */
static inline void model_file(struct model *m, struct memseg *mem)
{
    const uint32_t top = m->last_doc ? m->last_doc : 1;
    const struct model_filing filing = {
        .kind = model_random(m, FILING_KINDS),
        .key = model_random(m, MODEL_KEYS) * 77777u,
        .doc = model_random(m, 3) ? top : 1 + model_random(m, top),
        .in = model_random(m, 4) != 0,
    };
    MODEL_GROW(m, filings);
    m->filings[m->filings_n++] = filing;
    assert_int_equal(0, memseg_file(mem, filing.kind, filing.key, filing.doc, filing.in));
}

static inline void model_fill(struct model *m, struct memseg *mem, unsigned docs)
{
    for (unsigned i = 0; i < docs; i++) {
        model_add(m, mem);
        for (uint32_t n = model_random(m, 4); n > 0; n--)
            model_file(m, mem);
    }
}

static inline int model_place_order(const void *a, const void *b)
{
    const struct model_place *x = a, *y = b;
    const int order = strcmp(x->term, y->term);
    if (order)
        return order;
    if (x->doc != y->doc)
        return x->doc > y->doc ? -1 : 1;
    return (x->position > y->position) - (x->position < y->position);
}

static inline struct model_doc *model_doc(const struct model *m, uint32_t doc)
{
    for (size_t i = 0; i < m->docs_n; i++)
        if (m->docs[i].attr.doc == doc)
            return &m->docs[i];
    return NULL;
}

/* Take the words of dead documents out and sort what is left. */
static inline void model_settle(struct model *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->places_n; i++)
        if (!model_doc(m, m->places[i].doc)->dead)
            m->places[n++] = m->places[i];
    m->places_n = n;
    n = 0;
    for (size_t i = 0; i < m->docs_n; i++)
        if (!m->docs[i].dead)
            m->docs[n++] = m->docs[i];
    m->docs_n = n;
    if (m->places_n)
        qsort(m->places, m->places_n, sizeof(*m->places), model_place_order);
}

/* What was last said of a document: -1 nothing, 0 out, 1 in. */
static inline int model_said(const struct model *m, const struct model_filing *about)
{
    for (size_t i = m->filings_n; i > 0; i--) {
        const struct model_filing *f = &m->filings[i - 1];
        if (f->kind == about->kind && f->key == about->key && f->doc == about->doc)
            return f->in;
    }
    return -1;
}

#endif
