/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TEST_SEGMENT_CHECK_H
#define EMLFS_TEST_SEGMENT_CHECK_H

#include "segment_columns.h"

/* Everything a segment answers, compared with the settled model. */

static inline size_t term_end(const struct model *m, size_t i)
{
    size_t end = i + 1;
    while (end < m->places_n && strcmp(m->places[i].term, m->places[end].term) == 0)
        end++;
    return end;
}

static inline void document_check(const struct model *m, struct segment *segment,
                                  struct postings *postings, size_t *at)
{
    const struct model_place *first = &m->places[*at];
    const uint32_t *positions;
    unsigned n, fields = 0, i = 0;
    enum emlfs_text_field field;
    assert_int_equal(0, postings_positions(postings, &positions, &n, NULL));
    for (; *at < m->places_n && m->places[*at].doc == first->doc &&
           strcmp(m->places[*at].term, first->term) == 0;
         (*at)++, i++) {
        assert_true(i < n);
        assert_int_equal(m->places[*at].position, positions[i]);
        fields |= 1u << m->places[*at].field;
        assert_int_equal(0, segment_field_at(segment, first->doc, positions[i], &field, NULL));
        assert_int_equal(m->places[*at].field, field);
    }
    assert_int_equal(n, i);
    assert_int_equal(fields, postings_fields(postings));
}

static inline void term_walk_check(const struct model *m, struct segment *segment, size_t at,
                                   size_t end)
{
    struct postings *postings;
    const char *term = m->places[at].term;
    uint32_t docs = 0;
    int64_t doc = m->last_doc;
    assert_int_equal(0, postings_open(segment, emlfs_span_str(term), &postings, NULL));
    while ((doc = postings_seek(postings, (uint32_t)doc, NULL)) > 0) {
        assert_true(at < end);
        assert_int_equal(m->places[at].doc, doc);
        document_check(m, segment, postings, &at);
        docs++;
        if (--doc == 0)
            break;
    }
    assert_int_equal(0, doc);
    assert_int_equal(end, at);
    assert_int_equal(docs, postings_count(postings));
    postings_free(postings);
}

/* Seeks that leave documents out; positions asked for only now and then. */
static inline void term_seek_check(struct model *m, struct segment *segment, size_t at, size_t end)
{
    struct postings *postings;
    const char *term = m->places[at].term;
    uint32_t wanted = m->last_doc + 3;
    assert_int_equal(0, postings_open(segment, emlfs_span_str(term), &postings, NULL));
    for (;;) {
        wanted -= model_random(m, 1 + model_random(m, wanted < 200 ? wanted + 1 : 200));
        while (at < end && m->places[at].doc > wanted)
            at++;
        const int64_t doc = postings_seek(postings, wanted, NULL);
        assert_int_equal(at < end ? m->places[at].doc : POSTINGS_END, doc);
        if (doc == POSTINGS_END)
            break;
        size_t here = at;
        if (model_random(m, 2))
            document_check(m, segment, postings, &here);
        if (wanted > doc)
            wanted = (uint32_t)doc;
        if (wanted == 0)
            break;
        wanted -= model_random(m, 2);
    }
    postings_free(postings);
}

struct glob_seen {
    const struct model *m;
    struct emlfs_span pattern;
    unsigned n;
};

static inline int glob_each(void *arg, struct emlfs_span term, uint32_t docs)
{
    struct glob_seen *seen = arg;
    const struct model *m = seen->m;
    uint32_t expected = 0;
    size_t low = 0, high = m->places_n;
    assert_true(glob_match(seen->pattern, term));
    while (low < high) {
        const size_t mid = (low + high) / 2;
        char text[TOKEN_MAX_BYTES + 1] = {0};
        memcpy(text, term.data, term.len);
        if (strcmp(m->places[mid].term, text) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < m->places_n && strlen(m->places[low].term) == term.len &&
           memcmp(m->places[low].term, term.data, term.len) == 0;
         low++)
        expected += low == 0 || m->places[low - 1].doc != m->places[low].doc ||
                    strcmp(m->places[low - 1].term, m->places[low].term) != 0;
    assert_int_equal(expected, docs);
    seen->n++;
    return 0;
}

static inline void glob_check(struct model *m, struct segment *segment)
{
    char pattern[32];
    size_t len = 0;
    for (uint32_t n = 1 + model_random(m, 5); n > 0; n--)
        pattern[len++] = "*?abcdab"[model_random(m, 8)];
    const bool glob = memchr(pattern, '*', len) || memchr(pattern, '?', len);
    struct glob_seen seen = {.m = m, .pattern = emlfs_span_of(pattern, len)};
    unsigned expected = 0;
    for (size_t at = 0; at < m->places_n; at = term_end(m, at))
        expected += glob_match(seen.pattern, emlfs_span_str(m->places[at].term));
    assert_int_equal(0, segment_terms(segment, seen.pattern, glob, glob_each, &seen, NULL));
    assert_int_equal(expected, seen.n);
}

static inline void attrs_check(const struct model *m, struct segment *segment)
{
    struct emlfs_buf envelope = EMLFS_BUF_INIT(EMLFS_ENVELOPE_MAX_BYTES);
    struct attr_reader *reader;
    struct doc_attr attr;
    assert_int_equal(0, attr_reader_new(segment, &reader));
    for (uint32_t doc = m->last_doc + 2; doc > 0; doc--) {
        const struct model_doc *row = model_doc(m, doc);
        int r = doc % 2 ? segment_attr(segment, doc, &attr, NULL)
                        : attr_reader_get(reader, doc, &attr, NULL);
        assert_int_equal(row ? 0 : -ENOENT, r);
        assert_int_equal(r, attr_reader_envelope(reader, doc, &envelope, NULL));
        if (!row)
            continue;
        assert_int_equal(row->attr.doc, attr.doc);
        assert_int_equal(row->attr.text_bytes, attr.text_bytes);
        assert_int_equal(row->attr.size_bytes, attr.size_bytes);
        assert_int_equal(row->attr.mtime_sec, attr.mtime_sec);
        assert_int_equal(row->attr.archived_ns, attr.archived_ns);
        assert_int_equal(row->attr.priority, attr.priority);
        assert_int_equal(row->attr.attachment, attr.attachment);
        assert_int_equal(row->envelope_len, envelope.len);
        if (envelope.len)
            assert_memory_equal(row->envelope, envelope.data, envelope.len);
    }
    attr_reader_free(reader);
    emlfs_buf_free(&envelope);
}

struct filing_seen {
    const struct model *m;
    const struct filing_range *range;
    bool drop_out;
    uint32_t next; /* highest that may come */
};

static inline void filings_none(const struct filing_seen *seen, uint32_t from, uint32_t down_to)
{
    for (uint32_t doc = from; doc >= down_to && doc > 0; doc--) {
        const struct model_filing about = {
            .kind = seen->range->kind, .key = seen->range->key, .doc = doc};
        const int said = model_said(seen->m, &about);
        assert_true(said == -1 || (said == 0 && seen->drop_out));
    }
}

static inline int filing_each(void *arg, uint32_t doc, bool in)
{
    struct filing_seen *seen = arg;
    const struct model_filing about = {
        .kind = seen->range->kind, .key = seen->range->key, .doc = doc};
    assert_true(doc <= seen->next && doc >= seen->range->low);
    assert_int_equal(in, model_said(seen->m, &about));
    filings_none(seen, seen->next, doc + 1);
    seen->next = doc - 1;
    return 0;
}

static inline void filings_check(struct model *m, struct segment *segment, bool drop_out)
{
    for (unsigned i = 0; i < 40; i++) {
        const struct filing_range range = {
            .kind = i & 1,
            .key = i / 2 % (MODEL_KEYS + 1) * 77777u,
            .low = i < 12 ? 0 : model_random(m, m->last_doc + 2),
            .high = i < 12 ? UINT32_MAX : model_random(m, m->last_doc + 2),
        };
        struct filing_seen seen = {.m = m,
                                   .range = &range,
                                   .drop_out = drop_out,
                                   .next = range.high < m->last_doc ? range.high : m->last_doc};
        assert_int_equal(0, segment_filings(segment, &range, filing_each, &seen, NULL));
        filings_none(&seen, seen.next, range.low);
    }
}

/* m is settled. */
static inline void segment_check(struct model *m, struct segment *segment)
{
    struct postings *postings;
    struct segment_info info;
    uint64_t text_bytes = 0;
    for (size_t at = 0; at < m->places_n; at = term_end(m, at)) {
        term_walk_check(m, segment, at, term_end(m, at));
        term_seek_check(m, segment, at, term_end(m, at));
    }
    assert_int_equal(-ENOENT, postings_open(segment, emlfs_span_str("zzz"), &postings, NULL));
    for (unsigned i = 0; i < 60; i++)
        glob_check(m, segment);
    attrs_check(m, segment);
    columns_check(m, segment);
    segment_get_info(segment, &info);
    for (size_t i = 0; i < m->docs_n; i++)
        text_bytes += m->docs[i].attr.text_bytes;
    assert_int_equal(m->first_doc, info.first_doc);
    assert_int_equal(m->last_doc, info.last_doc);
    assert_int_equal(m->docs_n, info.docs);
    assert_int_equal(text_bytes, info.text_bytes);
}

#endif
