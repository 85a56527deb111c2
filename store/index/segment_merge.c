/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"
#include "postings.h"
#include "segment_write.h"

#include <stdlib.h>

/*
 * Merging segments, in files or in memory, into one file; writing memory out is merging it alone.
 * Responsible for what stays: S-MERGE-1 a document that is not alive leaves no word, row or
 * statement of its own range behind; S-MERGE-2 of statements about the same key and document the
 * newest segment's stays; S-MERGE-3 the result answers as its sources did. Terms are taken in order
 * from all sources at once: memory is a few blocks for each source.
 */

#define MERGE_SOURCES_MAX 64u
#define CANCEL_EVERY 256u
#define DEAD_SLOTS_MAX (1u << 21)

struct source {
    struct segment *segment;
    struct segment_info info;
    struct postings *postings;
    /* terms, then reversed terms */
    struct term_walk walk;
    struct mem_terms mem_terms;
    size_t mem_at;
    const struct mem_term *mem_term;
    uint8_t reversed[TOKEN_MAX_BYTES];
    struct emlfs_span term; /* the one that comes next; len 0: no more */
    struct filing_walk filings;
    struct filing *mem_filings;
    size_t mem_filings_n;
    struct filing filing;
    bool filing_left;
};

/* Terms that lost their last document, by a keyed hash: they leave the reversed list, too. */
struct dead_terms {
    uint64_t seed[2];
    uint64_t *slots;
    uint32_t cap, n;
};

struct merge {
    const struct segment_merge *setup;
    struct source *sources;
    unsigned n;
    struct segment_writer *writer;
    struct dead_terms dead;
    struct emlfs_buf envelope;
    uint32_t first_doc, last_doc;
    unsigned ticks;
};

static bool merge_cancelled(struct merge *merge)
{
    const atomic_bool *cancel = merge->setup->cancel;
    return cancel && ++merge->ticks % CANCEL_EVERY == 0 && atomic_load(cancel);
}

static bool doc_alive(const struct merge *merge, uint32_t doc)
{
    const struct segment_merge *setup = merge->setup;
    return !setup->alive || setup->alive(setup->arg, doc);
}

static int span_order(struct emlfs_span a, struct emlfs_span b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = memcmp(a.data, b.data, n);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* ---- terms that went */

static uint64_t dead_hash(const struct dead_terms *dead, const uint8_t *reversed, size_t len,
                          bool turned)
{
    uint64_t a = dead->seed[0], b = dead->seed[1];
    for (size_t i = 0; i < len; i++) {
        const uint8_t byte = reversed[turned ? len - 1 - i : i];
        a = (a ^ byte) * UINT64_C(0x9e3779b97f4a7c15);
        a ^= a >> 29;
        b = (b + a) * UINT64_C(0xbf58476d1ce4e5b9);
        b ^= b >> 32;
    }
    const uint64_t hash = a ^ b;
    return hash ? hash : 1;
}

static void dead_put(struct dead_terms *dead, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & (dead->cap - 1);
    while (dead->slots[at] && dead->slots[at] != hash)
        at = (at + 1) & (dead->cap - 1);
    dead->n += dead->slots[at] == 0;
    dead->slots[at] = hash;
}

static int dead_grow(struct dead_terms *dead)
{
    struct dead_terms grown = *dead;
    grown.cap = dead->cap ? dead->cap * 2 : 1024;
    grown.n = 0;
    grown.slots = calloc(grown.cap, sizeof(*grown.slots));
    if (!grown.slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < dead->cap; i++)
        if (dead->slots[i])
            dead_put(&grown, dead->slots[i]);
    free(dead->slots);
    *dead = grown;
    return 0;
}

/* Beyond the table's maximum a term stays in the list: it is looked up and not found. */
static int dead_add(struct dead_terms *dead, struct emlfs_span term)
{
    if (dead->cap == 0) {
        int r = emlfs_random(dead->seed, sizeof(dead->seed));
        if (r < 0)
            return r;
    }
    if (dead->n >= dead->cap / 2) {
        if (dead->cap >= DEAD_SLOTS_MAX)
            return 0;
        int r = dead_grow(dead);
        if (r < 0)
            return r;
    }
    dead_put(dead, dead_hash(dead, term.data, term.len, false));
    return 0;
}

static bool dead_has(const struct dead_terms *dead, struct emlfs_span reversed)
{
    if (dead->n == 0)
        return false;
    const uint64_t hash = dead_hash(dead, reversed.data, reversed.len, true);
    uint32_t at = (uint32_t)hash & (dead->cap - 1);
    while (dead->slots[at] && dead->slots[at] != hash)
        at = (at + 1) & (dead->cap - 1);
    return dead->slots[at] != 0;
}

/* ---- terms of a source in order */

static int term_order(const void *a, const void *b)
{
    const struct mem_term_key *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return span_order(mem_term_bytes(x->term), mem_term_bytes(y->term));
}

static int reversed_order(const void *a, const void *b)
{
    const struct mem_term_key *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    const struct emlfs_span s = mem_term_bytes(x->term), t = mem_term_bytes(y->term);
    for (size_t i = 1; i <= s.len && i <= t.len; i++)
        if (s.data[s.len - i] != t.data[t.len - i])
            return s.data[s.len - i] < t.data[t.len - i] ? -1 : 1;
    return (s.len > t.len) - (s.len < t.len);
}

static void mem_terms_sort(struct mem_terms *terms, bool reversed)
{
    for (size_t i = 0; i < terms->n && reversed; i++) {
        const struct emlfs_span term = mem_term_bytes(terms->v[i].term);
        uint64_t key = 0;
        for (size_t j = 1; j <= 8; j++)
            key = key << 8 | (j <= term.len ? term.data[term.len - j] : 0);
        terms->v[i].key = key;
    }
    if (terms->n)
        qsort(terms->v, terms->n, sizeof(terms->v[0]), reversed ? reversed_order : term_order);
}

static void mem_source_next(struct source *source, bool reversed)
{
    source->term = emlfs_span_of(NULL, 0);
    if (source->mem_at == source->mem_terms.n)
        return;
    source->mem_term = source->mem_terms.v[source->mem_at++].term;
    source->term = mem_term_bytes(source->mem_term);
    if (!reversed)
        return;
    for (size_t i = 0; i < source->term.len; i++)
        source->reversed[i] = source->term.data[source->term.len - 1 - i];
    source->term.data = source->reversed;
}

static int source_next(struct source *source, bool reversed, struct emlfs_err *err)
{
    if (source->segment->mem) {
        mem_source_next(source, reversed);
        return 0;
    }
    int r = term_walk_next(&source->walk, err);
    if (r < 0)
        return r;
    source->term = r ? emlfs_span_of(source->walk.term, source->walk.len) : emlfs_span_of(NULL, 0);
    return 0;
}

static int source_begin(struct source *source, bool reversed, struct emlfs_err *err)
{
    const struct emlfs_span none = emlfs_span_of(NULL, 0);
    int r = 0;
    if (!source->segment->mem) {
        term_walk_end(&source->walk);
        r = term_walk_begin(source->segment->file, reversed ? STREAM_REVERSED : STREAM_TERMS, none,
                            &source->walk, err);
    } else {
        if (!reversed)
            r = memseg_match(source->segment->mem, none, &source->mem_terms);
        if (r == 0)
            mem_terms_sort(&source->mem_terms, reversed);
        source->mem_at = 0;
    }
    return r < 0 ? r : source_next(source, reversed, err);
}

static struct source *source_least(struct merge *merge)
{
    struct source *least = NULL;
    for (unsigned i = 0; i < merge->n; i++) {
        struct source *source = &merge->sources[i];
        if (source->term.len && (!least || span_order(source->term, least->term) < 0))
            least = source;
    }
    return least;
}

/* ---- postings */

static int posting_copy(struct merge *merge, struct postings *postings, struct emlfs_err *err)
{
    struct posting posting = {.doc = postings->doc,
                              .mask = (uint8_t)(postings_fields(postings) >> 1)};
    unsigned n;
    if (!doc_alive(merge, posting.doc))
        return 0;
    int r = postings_positions(postings, &posting.positions, &n, err);
    if (r < 0)
        return r;
    if (posting.mask == 0)
        return segment_impossible(err, "postings");
    posting.tf = n;
    r = writer_posting(merge->writer, &posting);
    return r < 0 ? writer_error(merge->writer, r, err) : 0;
}

static void source_postings(struct source *source)
{
    static const struct term_entry none;
    const bool memory = source->segment->mem;
    postings_begin(source->postings, memory ? &none : &source->walk.entry);
    if (memory)
        memseg_postings_of(source->segment->mem, source->mem_term, source->postings);
}

/* Documents above the source's last as of the beginning came later: they are not its rows'. */
static int postings_copy(struct merge *merge, struct source *source, struct emlfs_err *err)
{
    int64_t doc = source->info.last_doc;
    int r = 0;
    source_postings(source);
    while (r == 0 && doc > 0 && (doc = postings_seek(source->postings, (uint32_t)doc, err)) > 0) {
        r = merge_cancelled(merge) ? emlfs_err_set(err, ECANCELED, "index", "cancelled")
                                   : posting_copy(merge, source->postings, err);
        doc--;
    }
    return r < 0 ? r : doc < 0 ? (int)doc : 0;
}

static int term_merge(struct merge *merge, struct emlfs_span term, struct emlfs_err *err)
{
    uint8_t bytes[TOKEN_MAX_BYTES];
    uint32_t df;
    const struct emlfs_span now = emlfs_span_of(bytes, term.len);
    memcpy(bytes, term.data, term.len);
    int r = writer_term(merge->writer, now);
    if (r < 0)
        return writer_error(merge->writer, r, err);
    /* Newest first, so documents descend. */
    for (unsigned i = merge->n; i > 0 && r == 0; i--) {
        struct source *source = &merge->sources[i - 1];
        if (!emlfs_span_equal(source->term, now))
            continue;
        r = postings_copy(merge, source, err);
        if (r == 0)
            r = source_next(source, false, err);
    }
    if (r < 0)
        return r;
    r = writer_term_done(merge->writer, &df);
    if (r == 0 && df == 0)
        r = dead_add(&merge->dead, now);
    return r < 0 ? writer_error(merge->writer, r, err) : 0;
}

static int terms_merge(struct merge *merge, struct emlfs_err *err)
{
    const struct source *least;
    int r = 0;
    for (unsigned i = 0; i < merge->n && r == 0; i++)
        r = source_begin(&merge->sources[i], false, err);
    while (r == 0 && (least = source_least(merge))) {
        if (merge_cancelled(merge))
            return emlfs_err_set(err, ECANCELED, "index", "cancelled");
        r = term_merge(merge, least->term, err);
    }
    return r;
}

static int reversed_term_merge(struct merge *merge, struct emlfs_span reversed,
                               struct emlfs_err *err)
{
    uint8_t bytes[TOKEN_MAX_BYTES];
    const struct emlfs_span now = emlfs_span_of(bytes, reversed.len);
    int r = 0;
    memcpy(bytes, reversed.data, reversed.len);
    if (!dead_has(&merge->dead, now))
        r = writer_reversed(merge->writer, now);
    if (r < 0)
        return writer_error(merge->writer, r, err);
    for (unsigned i = 0; i < merge->n && r == 0; i++)
        if (emlfs_span_equal(merge->sources[i].term, now))
            r = source_next(&merge->sources[i], true, err);
    return r;
}

static int reversed_merge(struct merge *merge, struct emlfs_err *err)
{
    const struct source *least;
    int r = 0;
    for (unsigned i = 0; i < merge->n && r == 0; i++)
        r = source_begin(&merge->sources[i], true, err);
    while (r == 0 && (least = source_least(merge))) {
        if (merge_cancelled(merge))
            return emlfs_err_set(err, ECANCELED, "index", "cancelled");
        r = reversed_term_merge(merge, least->term, err);
    }
    return r;
}

/* ---- rows and filings */

static int row_copy(struct merge *merge, struct attr_reader *reader, const struct attr_row *row,
                    struct emlfs_err *err)
{
    int r = attr_row_envelope(reader, row, &merge->envelope, err);
    if (r < 0)
        return r;
    r = writer_attr(merge->writer, row, emlfs_buf_view(&merge->envelope));
    return r < 0 ? writer_error(merge->writer, r, err) : 0;
}

static int source_rows(struct merge *merge, struct source *source, struct emlfs_err *err)
{
    struct attr_walk walk = {0};
    struct attr_row row;
    int r = attr_reader_new(source->segment, &walk.reader);
    if (r < 0)
        return emlfs_err_sys(err, -r, "index", "rows");
    while ((r = attr_walk_next(&walk, &row, err)) == 1) {
        if (row.attr.doc > source->info.last_doc)
            break;
        if (merge_cancelled(merge)) {
            r = emlfs_err_set(err, ECANCELED, "index", "cancelled");
            break;
        }
        if (!doc_alive(merge, row.attr.doc))
            continue;
        r = row_copy(merge, walk.reader, &row, err);
        if (r < 0)
            break;
    }
    attr_reader_free(walk.reader);
    return r < 0 ? r : 0;
}

static int filing_next(struct source *source, struct emlfs_err *err)
{
    if (source->segment->mem) {
        source->filing_left = source->mem_at < source->mem_filings_n;
        if (source->filing_left)
            source->filing = source->mem_filings[source->mem_at++];
        return 0;
    }
    int r = filing_walk_next(&source->filings, err);
    source->filing_left = r == 1;
    source->filing = source->filings.now;
    return r < 0 ? r : 0;
}

static int filings_begin(struct source *source, struct emlfs_err *err)
{
    static const struct filing first = {.doc = UINT32_MAX};
    int r;
    source->mem_at = 0;
    if (source->segment->mem)
        r = memseg_filings(source->segment->mem, NULL, &source->mem_filings,
                           &source->mem_filings_n);
    else
        r = filing_walk_begin(source->segment->file, &first, &source->filings, err);
    return r < 0 ? r : filing_next(source, err);
}

static bool filing_stays(const struct merge *merge, const struct filing *filing)
{
    if (merge->setup->oldest && !filing->in)
        return false;
    const bool own = filing->doc >= merge->first_doc && filing->doc <= merge->last_doc;
    return !own || doc_alive(merge, filing->doc);
}

/* The newest source's statement of those that come next; the others' about the same are over. */
static int filing_merge(struct merge *merge, struct emlfs_err *err)
{
    const struct source *first = NULL;
    int r = 0;
    for (unsigned i = merge->n; i > 0; i--) {
        const struct source *source = &merge->sources[i - 1];
        if (source->filing_left && (!first || filing_compare(&source->filing, &first->filing) < 0))
            first = source;
    }
    if (!first)
        return 0;
    const struct filing filing = first->filing;
    if (filing_stays(merge, &filing))
        r = writer_filing(merge->writer, &filing);
    if (r < 0)
        return writer_error(merge->writer, r, err);
    for (unsigned i = 0; i < merge->n && r == 0; i++) {
        struct source *source = &merge->sources[i];
        if (source->filing_left && filing_compare(&source->filing, &filing) == 0)
            r = filing_next(source, err);
    }
    return r < 0 ? r : 1;
}

static int rows_and_filings_merge(struct merge *merge, struct emlfs_err *err)
{
    int r = 0;
    for (unsigned i = 0; i < merge->n && r == 0; i++)
        r = source_rows(merge, &merge->sources[i], err);
    for (unsigned i = 0; i < merge->n && r == 0; i++)
        r = filings_begin(&merge->sources[i], err);
    while (r == 0 && (r = filing_merge(merge, err)) == 1)
        r = merge_cancelled(merge) ? emlfs_err_set(err, ECANCELED, "index", "cancelled") : 0;
    return r;
}

/* ---- */

static void merge_end(struct merge *merge)
{
    for (unsigned i = 0; i < merge->n; i++) {
        struct source *source = &merge->sources[i];
        postings_free(source->postings);
        if (source->segment->file) {
            term_walk_end(&source->walk);
            filing_walk_end(&source->filings);
        }
        free(source->mem_terms.v);
        free(source->mem_filings);
    }
    emlfs_buf_wipe(&merge->envelope);
    free(merge->sources);
    free(merge->dead.slots);
}

/* The range of documents all sources cover; those that hold filings only cover none. */
static void range_measure(struct merge *merge)
{
    const struct segment_info *newest = &merge->sources[merge->n - 1].info;
    struct segment_range range = SEGMENT_RANGE_NONE;
    for (unsigned i = 0; i < merge->n; i++)
        segment_range_add(&range, &merge->sources[i].info);
    const bool any = range.first <= range.last;
    merge->first_doc = any ? range.first : newest->first_doc;
    merge->last_doc = any ? range.last : newest->last_doc;
}

static int merge_run(struct merge *merge, struct emlfs_err *err)
{
    const struct segment_merge *setup = merge->setup;
    range_measure(merge);
    const struct writer_setup writer = {.path = setup->path,
                                        .index_key = setup->index_key,
                                        .first_doc = merge->first_doc,
                                        .last_doc = merge->last_doc};
    int r = writer_new(&writer, &merge->writer, err);
    if (r < 0)
        return r;
    r = terms_merge(merge, err);
    if (r == 0)
        r = reversed_merge(merge, err);
    if (r == 0)
        r = rows_and_filings_merge(merge, err);
    if (r == 0)
        return writer_finish(merge->writer, err);
    writer_abort(merge->writer);
    return r;
}

int segment_merge(const struct segment_merge *setup, struct emlfs_err *err)
{
    struct merge merge = {.setup = setup, .envelope = EMLFS_BUF_INIT(EMLFS_ENVELOPE_MAX_BYTES)};
    if (setup->n == 0 || setup->n > MERGE_SOURCES_MAX)
        return emlfs_err_set(err, EINVAL, "index", "cannot merge %u segments", setup->n);
    merge.sources = calloc(setup->n, sizeof(*merge.sources));
    if (!merge.sources)
        return emlfs_err_sys(err, ENOMEM, "index", "merge");
    merge.n = setup->n;
    int r = 0;
    for (unsigned i = 0; i < merge.n; i++) {
        merge.sources[i].segment = setup->segments[i];
        segment_get_info(setup->segments[i], &merge.sources[i].info);
        if (r == 0)
            r = postings_new(setup->segments[i], &merge.sources[i].postings);
    }
    r = r < 0 ? emlfs_err_sys(err, -r, "index", "merge") : merge_run(&merge, err);
    merge_end(&merge);
    return r;
}

int memseg_write(const struct memseg *mem, const char *path, const struct emlfs_key *index_key,
                 struct emlfs_err *err)
{
    struct segment view = {.mem = (struct memseg *)(uintptr_t)mem};
    struct segment *const segments[] = {&view};
    const struct segment_merge setup = {
        .segments = segments, .n = 1, .path = path, .index_key = index_key};
    return segment_merge(&setup, err);
}
