/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "postings.h"
#include "memseg_read.h"

#include <stdlib.h>

/*
 * Cursors over postings. Invariants: 1. doc never grows; 2. a run that cannot hold the document
 * looked for is not read, only its skip entry; 3. masks and positions are decoded when asked for.
 * Checked of the file (store/FORMAT.md): S-RUN-1, and S-SKIP-1: the skip entries of a term together
 * count as many documents, and as many bytes in both streams, as the dictionary tells.
 */

#define SKIP_MAX_BYTES 24u

static int postings_bad(struct emlfs_err *err)
{
    return segment_impossible(err, "postings");
}

static void reader_begin(struct postings *p, struct stream_reader *reader, enum stream_kind kind)
{
    *reader = (struct stream_reader){.file = p->segment->file, .kind = kind};
}

int postings_new(struct segment *segment, struct postings **ret)
{
    struct postings *p = calloc(1, sizeof(*p));
    if (!p)
        return -ENOMEM;
    p->segment = segment;
    p->run_positions.max_bytes = POSTINGS_RUN_BYTES_MAX + BITS_PAD_BYTES;
    if (segment->file) {
        reader_begin(p, &p->docs, STREAM_DOCS);
        reader_begin(p, &p->position_bytes, STREAM_POSITIONS);
        reader_begin(p, &p->skips, STREAM_SKIPS);
        p->last_doc = segment->file->info.last_doc;
    }
    *ret = p;
    return 0;
}

void postings_begin(struct postings *p, const struct term_entry *entry)
{
    p->entry = *entry;
    p->doc = UINT32_MAX;
    p->docs_at = entry->docs_at;
    p->positions_at = entry->positions_at;
    p->skips_at = entry->skips_at;
    p->docs_len = p->positions_len = 0;
    p->base = p->next_base = p->runs_done = 0;
    p->positions_n = p->at = p->run.n = 0;
    p->masks = p->walking = p->entered = false;
}

int postings_open(struct segment *segment, struct emlfs_span term, struct postings **ret,
                  struct emlfs_err *err)
{
    struct term_entry entry = {0};
    struct postings *p;
    int r = segment->mem ? 0 : segment_term_find(segment->file, term, &entry, err);
    if (r < 0)
        return r;
    r = postings_new(segment, &p);
    if (r < 0)
        return emlfs_err_sys(err, -r, "index", "postings");
    postings_begin(p, &entry);
    if (segment->mem)
        r = memseg_open_postings(segment->mem, term, p);
    if (r < 0)
        postings_free(p);
    else
        *ret = p;
    return r;
}

void postings_free(struct postings *p)
{
    if (!p)
        return;
    if (p->segment->file) {
        stream_reader_end(&p->docs);
        stream_reader_end(&p->position_bytes);
        stream_reader_end(&p->skips);
    }
    emlfs_buf_wipe(&p->run_positions);
    free(p->positions);
    free(p->chunk_docs);
    free(p);
}

uint32_t postings_count(const struct postings *p)
{
    return p->entry.df;
}

int postings_room(struct postings *p, uint32_t n)
{
    if (n <= p->positions_cap)
        return 0;
    const size_t cap = n < 64 ? 64 : n;
    uint32_t *grown = realloc(p->positions, cap * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    p->positions = grown;
    p->positions_cap = cap;
    return 0;
}

/* ---- runs of a file */

/* Take the next skip entry: the next run is known by its end then, and not yet read. */
static int skip_take(struct postings *p, uint32_t *ret_last, struct emlfs_err *err)
{
    uint8_t bytes[SKIP_MAX_BYTES];
    const uint64_t left = p->entry.skips_at + p->entry.skips_len - p->skips_at;
    const size_t n = left < sizeof(bytes) ? (size_t)left : sizeof(bytes);
    int r = stream_read(&p->skips, p->skips_at, n, bytes, err);
    if (r < 0)
        return r;
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, n));
    p->run.n = emlfs_cursor_u8(&cur) + 1u;
    const uint64_t last = (uint64_t)p->next_base + emlfs_cursor_varint_max(&cur, UINT32_MAX);
    p->docs_len = (uint32_t)emlfs_cursor_varint_max(&cur, DOCS_BYTES_MAX);
    p->positions_len = (uint32_t)emlfs_cursor_varint_max(&cur, POSTINGS_RUN_BYTES_MAX);
    if (cur.bad || p->run.n > POSTINGS_RUN || last >= p->last_doc)
        return postings_bad(err);
    p->skips_at += (uint64_t)(cur.pos - bytes);
    *ret_last = (uint32_t)last;
    return 0;
}

/* Know the next run. 1: there is one; its least possible distance is base, its last *ret_last. */
static int run_next(struct postings *p, uint32_t *ret_last, struct emlfs_err *err)
{
    p->docs_at += p->docs_len;
    p->positions_at += p->positions_len;
    p->base = p->next_base;
    p->masks = p->walking = false;
    if (p->runs_done == p->entry.df)
        return 0;
    if (p->entry.skips) {
        int r = skip_take(p, ret_last, err);
        if (r < 0)
            return r;
        p->next_base = *ret_last + 1;
    } else {
        p->run.n = p->entry.df;
        p->docs_len = p->entry.docs_len;
        p->positions_len = p->entry.positions_len;
        *ret_last = p->last_doc - 1;
    }
    if (p->run.n > p->entry.df - p->runs_done)
        return postings_bad(err);
    p->runs_done += p->run.n;
    return 1;
}

static int run_read(struct postings *p, uint32_t last, struct emlfs_err *err)
{
    int r = stream_read(&p->docs, p->docs_at, p->docs_len, p->bytes, err);
    if (r < 0)
        return r;
    memset(p->bytes + p->docs_len, 0, BITS_PAD_BYTES);
    if (p->last_doc == 0 ||
        docs_decode(emlfs_span_of(p->bytes, p->docs_len), p->base, last, &p->run) < 0 ||
        (p->entry.skips && p->run.far[p->run.n - 1] != last))
        return postings_bad(err);
    p->at = 0;
    return 0;
}

/* The first of the run at wanted or behind it: it is known that there is one. */
static void run_find(struct postings *p, uint32_t wanted)
{
    unsigned at = p->at;
    while (p->run.far[at] < wanted)
        at++;
    p->at = at;
}

static int single_seek(struct postings *p, uint32_t wanted)
{
    const bool here = p->doc == UINT32_MAX || p->doc != POSTINGS_END;
    p->doc = here && p->entry.far >= wanted && p->entry.far < p->last_doc
                 ? p->last_doc - p->entry.far
                 : POSTINGS_END;
    return 0;
}

static int file_seek(struct postings *p, uint32_t doc, struct emlfs_err *err)
{
    const uint32_t wanted = doc < p->last_doc ? p->last_doc - doc : 0;
    uint32_t last = 0;
    int r;
    if (p->entry.inline_single)
        return single_seek(p, wanted);
    if (p->doc != UINT32_MAX && p->run.far[p->run.n - 1] >= wanted) {
        run_find(p, wanted);
        p->doc = p->last_doc - p->run.far[p->at];
        return 0;
    }
    while ((r = run_next(p, &last, err)) == 1) {
        if (last < wanted)
            continue;
        r = run_read(p, last, err);
        if (r < 0)
            return r;
        if (p->run.far[p->run.n - 1] >= wanted) {
            run_find(p, wanted);
            p->doc = p->last_doc - p->run.far[p->at];
            return 0;
        }
    }
    p->doc = POSTINGS_END;
    return r;
}

int64_t postings_seek(struct postings *p, uint32_t doc, struct emlfs_err *err)
{
    if (doc >= p->doc || p->doc == POSTINGS_END)
        return p->doc == UINT32_MAX && doc == UINT32_MAX ? postings_seek(p, doc - 1, err) : p->doc;
    p->positions_n = 0;
    int r = p->segment->mem ? memory_seek(p, doc) : file_seek(p, doc, err);
    if (r < 0) {
        p->doc = POSTINGS_END;
        return r;
    }
    return p->doc;
}

/* ---- fields and positions */

unsigned postings_fields(const struct postings *postings)
{
    /* Decoding is put off; the cursor is the caller's own, so this changes nothing he can see. */
    struct postings *p = (struct postings *)(uintptr_t)postings;
    if (p->doc == POSTINGS_END || p->doc == UINT32_MAX)
        return 0;
    if (p->segment->mem)
        return (unsigned)p->mask << 1;
    if (p->entry.inline_single)
        return (unsigned)p->entry.mask << 1;
    if (!p->masks) {
        const struct emlfs_span bytes = emlfs_span_of(p->bytes, p->docs_len);
        /* Authentic bytes that are impossible: no field is better than a wrong one. */
        if (docs_decode_masks(bytes, &p->run) < 0)
            memset(p->run.mask, 0, sizeof(p->run.mask));
        p->masks = true;
    }
    return (unsigned)p->run.mask[p->at] << 1;
}

static int positions_load(struct postings *p, struct emlfs_err *err)
{
    struct emlfs_buf *buf = &p->run_positions;
    buf->len = 0;
    if (emlfs_buf_reserve(buf, p->positions_len + BITS_PAD_BYTES) < 0)
        return emlfs_err_sys(err, ENOMEM, "index", "positions");
    int r = stream_read(&p->position_bytes, p->positions_at, p->positions_len, buf->data, err);
    if (r < 0)
        return r;
    memset(buf->data + p->positions_len, 0, BITS_PAD_BYTES);
    if (positions_begin(emlfs_span_of(buf->data, p->positions_len), p->run.n, &p->walk) < 0)
        return postings_bad(err);
    p->walking = true;
    return 0;
}

static int file_positions(struct postings *p, struct emlfs_err *err)
{
    int r = p->walking ? 0 : positions_load(p, err);
    while (r == 0 && p->walk.next < p->at)
        if (positions_skip(&p->walk) < 0)
            r = postings_bad(err);
    if (r < 0)
        return r;
    const uint32_t tf = p->walk.tf[p->at];
    if (postings_room(p, tf) < 0)
        return emlfs_err_sys(err, ENOMEM, "index", "positions");
    if (positions_take(&p->walk, p->positions) < 0)
        return postings_bad(err);
    p->positions_n = tf;
    return 0;
}

int postings_positions(struct postings *p, const uint32_t **ret, unsigned *ret_n,
                       struct emlfs_err *err)
{
    int r = 0;
    if (p->doc == POSTINGS_END || p->doc == UINT32_MAX)
        return -EINVAL;
    if (p->positions_n == 0 && p->segment->mem) {
        r = memory_positions(p);
    } else if (p->positions_n == 0 && p->entry.inline_single) {
        r = postings_room(p, 1);
        if (r == 0) {
            p->positions[0] = p->entry.position;
            p->positions_n = 1;
        }
    } else if (p->positions_n == 0) {
        r = file_positions(p, err);
    }
    *ret = p->positions;
    *ret_n = p->positions_n;
    return r;
}
