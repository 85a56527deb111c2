/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "segment_write.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"

/*
 * Writing a segment file, front to back, from terms and rows that come in order. Responsible for
 * the layout; not for what is written. Invariants (store/FORMAT.md): S-FILE-1 the footer is the
 * last thing sealed and covers the trailer, so a file that opens was written to its end; S-TERM-1
 * terms strictly ascend; S-TERM-2 an entry never crosses a page nor a page a block. Memory: a block
 * for each stream, a run of postings, and the tables of blocks.
 */

#define TABLE_MAX_BYTES (256u << 20)
#define FILING_BLOCK_BYTES 8192u /* a range is looked for from a block's beginning */
#define PAGES_MAX (BLOCK_BYTES / 8)
#define ENTRY_MAX_BYTES (TOKEN_MAX_BYTES + 96u)

struct out_stream {
    struct emlfs_buf block; /* plain bytes to come */
    uint64_t before;        /* plain bytes in blocks already written */
    struct emlfs_buf table; /* footer's entries */
    uint32_t blocks;
    uint64_t last_offset; /* of the last block in the file, for the table */
    uint32_t last_number;
    struct emlfs_buf key; /* of the open block */
    uint16_t pages[PAGES_MAX];
    unsigned pages_n, page_entries;
    uint8_t term[TOKEN_MAX_BYTES];
    size_t term_len;
};

struct run_builder {
    struct docs_run docs;
    uint32_t tf[POSTINGS_RUN];
    uint32_t *positions;
    size_t positions_n, positions_cap;
};

struct segment_writer {
    int fd;
    char *path;
    struct segment_seal seal;
    uint32_t first_doc, last_doc, docs;
    uint64_t text_bytes, terms, offset;
    uint32_t number, filings_low;
    struct out_stream streams[STREAMS];
    struct emlfs_buf sealed, scratch;
    /* the term under way */
    uint8_t term[TOKEN_MAX_BYTES];
    size_t term_len;
    uint32_t df, base, skip_base;
    uint64_t docs_at, positions_at, skips_at;
    struct run_builder run;
    struct attr_row rows[ATTR_PAGE];
    unsigned rows_n;
    struct filing filing; /* the run of documents under way: high end, and how many */
    uint32_t filing_n, filing_next;
    size_t filing_group; /* where the group's count of runs stands in the block; 0: no group */
    uint32_t filing_runs;
};

static uint64_t stream_at(const struct out_stream *s)
{
    return s->before + s->block.len;
}

/* ---- blocks */

static int block_write(struct segment_writer *w, enum stream_kind kind, struct emlfs_span plain,
                       const uint8_t *trailer)
{
    struct out_stream *s = &w->streams[kind];
    const struct block_name name = {.number = w->number, .kind = kind, .index = s->blocks};
    w->sealed.len = 0;
    int r = block_seal(&w->seal, &name, plain, trailer, &w->sealed);
    if (r == 0)
        r = emlfs_os_pwrite_all(w->fd, w->sealed.data, w->sealed.len, w->offset);
    if (r < 0)
        return r;
    s->blocks++;
    w->number++;
    w->offset += w->sealed.len;
    return 0;
}

/* Offsets and numbers of a stream's blocks ascend: the table holds the steps. */
static int table_add(struct segment_writer *w, struct out_stream *s)
{
    int r = emlfs_buf_append_varint(&s->table, w->offset - s->last_offset);
    if (r == 0)
        r = emlfs_buf_append_varint(&s->table, w->number - s->last_number);
    if (r == 0)
        r = emlfs_buf_append_varint(&s->table, s->block.len + BLOCK_EXTRA_BYTES);
    s->last_offset = w->offset;
    s->last_number = w->number;
    return r;
}

static int stream_flush(struct segment_writer *w, enum stream_kind kind)
{
    struct out_stream *s = &w->streams[kind];
    if (s->block.len == 0)
        return 0;
    int r = table_add(w, s);
    if (r == 0)
        r = block_write(w, kind, emlfs_buf_view(&s->block), NULL);
    s->before += s->block.len;
    s->block.len = 0;
    return r;
}

static int stream_put(struct segment_writer *w, enum stream_kind kind, struct emlfs_span bytes)
{
    struct out_stream *s = &w->streams[kind];
    while (bytes.len > 0) {
        const size_t room = BLOCK_BYTES - s->block.len;
        const size_t n = bytes.len < room ? bytes.len : room;
        int r = emlfs_buf_append(&s->block, bytes.data, n);
        if (r == 0 && n == room)
            r = stream_flush(w, kind);
        if (r < 0)
            return r;
        bytes = emlfs_span_of(bytes.data + n, bytes.len - n);
    }
    return 0;
}

/* ---- ordered streams: pages, and in the table the key each block begins with */

static int paged_flush(struct segment_writer *w, enum stream_kind kind)
{
    struct out_stream *s = &w->streams[kind];
    if (s->block.len == 0)
        return 0;
    int r = 0;
    for (unsigned i = 0; i < s->pages_n && r == 0; i++)
        r = emlfs_buf_append_u16le(&s->block, s->pages[i]);
    if (r == 0)
        r = emlfs_buf_append_u16le(&s->block, (uint16_t)s->pages_n);
    if (r == 0)
        r = stream_flush(w, kind);
    if (r == 0)
        r = emlfs_buf_append_bytes(&s->table, emlfs_buf_view(&s->key));
    s->pages_n = 0;
    s->page_entries = 0;
    return r;
}

/* Room for need more bytes and a page offset, in this block or the next. True: a new block. */
static int paged_room(struct segment_writer *w, enum stream_kind kind, size_t need)
{
    const struct out_stream *s = &w->streams[kind];
    const size_t after = s->block.len + need + 2 * ((size_t)s->pages_n + 2);
    if (s->block.len > 0 && (after > BLOCK_BYTES || s->pages_n + 1 >= PAGES_MAX))
        return paged_flush(w, kind);
    return 0;
}

static int page_begin(struct out_stream *s, struct emlfs_span key)
{
    s->pages[s->pages_n++] = (uint16_t)s->block.len;
    s->page_entries = 0;
    if (s->pages_n > 1)
        return 0;
    s->key.len = 0;
    return emlfs_buf_append(&s->key, key.data, key.len);
}

static int entry_put(struct emlfs_buf *out, struct out_stream *s, struct emlfs_span term)
{
    size_t same = 0;
    const size_t most = s->term_len < term.len ? s->term_len : term.len;
    while (s->page_entries > 0 && same < most && s->term[same] == term.data[same])
        same++;
    const size_t rest = term.len - same;
    int r =
        emlfs_buf_append_u8(out, (uint8_t)((same < 15 ? same : 15) << 4 | (rest < 15 ? rest : 15)));
    if (r == 0 && same >= 15)
        r = emlfs_buf_append_varint(out, same - 15);
    if (r == 0 && rest >= 15)
        r = emlfs_buf_append_varint(out, rest - 15);
    if (r == 0)
        r = emlfs_buf_append(out, term.data + same, rest);
    memcpy(s->term, term.data, term.len);
    s->term_len = term.len;
    s->page_entries++;
    return r;
}

/* ---- postings */

int writer_term(struct segment_writer *w, struct emlfs_span term)
{
    if (term.len == 0 || term.len > TOKEN_MAX_BYTES)
        return -EINVAL;
    memcpy(w->term, term.data, term.len);
    w->term_len = term.len;
    w->df = w->base = 0;
    w->docs_at = stream_at(&w->streams[STREAM_DOCS]);
    w->positions_at = stream_at(&w->streams[STREAM_POSITIONS]);
    w->skips_at = stream_at(&w->streams[STREAM_SKIPS]);
    return 0;
}

static int skip_put(struct segment_writer *w, size_t docs_len, size_t positions_len)
{
    const struct docs_run *docs = &w->run.docs;
    struct emlfs_buf *scratch = &w->scratch;
    scratch->len = 0;
    int r = emlfs_buf_append_u8(scratch, (uint8_t)(docs->n - 1));
    if (r == 0)
        r = emlfs_buf_append_varint(scratch, docs->far[docs->n - 1] - w->base);
    if (r == 0)
        r = emlfs_buf_append_varint(scratch, docs_len);
    if (r == 0)
        r = emlfs_buf_append_varint(scratch, positions_len);
    return r < 0 ? r : stream_put(w, STREAM_SKIPS, emlfs_buf_view(scratch));
}

/* Write the run; skips: more runs come or came, so it gets a skip entry. */
static int run_put(struct segment_writer *w, bool skips)
{
    struct run_builder *run = &w->run;
    struct emlfs_buf *scratch = &w->scratch;
    scratch->len = 0;
    int r = docs_encode(scratch, w->base, &run->docs);
    const size_t docs_len = scratch->len;
    if (r == 0)
        r = stream_put(w, STREAM_DOCS, emlfs_buf_view(scratch));
    if (r < 0)
        return r;
    scratch->len = 0;
    r = positions_encode(scratch, run->tf, run->docs.n, run->positions);
    const size_t positions_len = scratch->len;
    if (r == 0)
        r = stream_put(w, STREAM_POSITIONS, emlfs_buf_view(scratch));
    if (r == 0 && skips)
        r = skip_put(w, docs_len, positions_len);
    w->base = run->docs.far[run->docs.n - 1] + 1;
    run->docs.n = 0;
    run->positions_n = 0;
    return r;
}

static int run_room(struct run_builder *run, uint32_t more)
{
    const size_t need = run->positions_n + more;
    if (need <= run->positions_cap)
        return 0;
    size_t cap = run->positions_cap ? run->positions_cap : 4096;
    while (cap < need)
        cap *= 2;
    uint32_t *grown = realloc(run->positions, cap * sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    run->positions = grown;
    run->positions_cap = cap;
    return 0;
}

int writer_posting(struct segment_writer *w, const struct posting *posting)
{
    struct run_builder *run = &w->run;
    if (posting->doc > w->last_doc || posting->tf == 0 || posting->tf > POSTINGS_TF_MAX)
        return -EINVAL;
    int r = 0;
    if (run->docs.n == POSTINGS_RUN || run->positions_n >= POSTINGS_RUN_POSITIONS)
        r = run_put(w, true);
    if (r == 0)
        r = run_room(run, posting->tf);
    if (r < 0)
        return r;
    const unsigned i = run->docs.n++;
    run->docs.far[i] = w->last_doc - posting->doc;
    run->docs.mask[i] = posting->mask;
    run->tf[i] = posting->tf;
    memcpy(run->positions + run->positions_n, posting->positions,
           posting->tf * sizeof(*posting->positions));
    run->positions_n += posting->tf;
    w->df++;
    return 0;
}

/* A term of one document and one position: all of it stands in the dictionary. */
static int single_put(struct emlfs_buf *out, const struct run_builder *run)
{
    const bool body = run->docs.mask[0] == MASK_BODY;
    int r = emlfs_buf_append_u8(out, body ? 0 : 1);
    if (r == 0 && !body)
        r = emlfs_buf_append_u8(out, run->docs.mask[0]);
    if (r == 0)
        r = emlfs_buf_append_varint(out, run->docs.far[0]);
    return r < 0 ? r : emlfs_buf_append_varint(out, run->positions[0]);
}

static int lengths_put(struct segment_writer *w, struct emlfs_buf *out)
{
    const bool skips = stream_at(&w->streams[STREAM_SKIPS]) > w->skips_at || w->df > POSTINGS_RUN;
    int r = run_put(w, skips);
    if (r == 0)
        r = emlfs_buf_append_varint(out, 2 + ((uint64_t)(w->df - 1) << 1 | skips));
    if (r == 0)
        r = emlfs_buf_append_varint(out, stream_at(&w->streams[STREAM_DOCS]) - w->docs_at);
    if (r == 0)
        r = emlfs_buf_append_varint(out,
                                    stream_at(&w->streams[STREAM_POSITIONS]) - w->positions_at);
    if (r == 0 && skips)
        r = emlfs_buf_append_varint(out, stream_at(&w->streams[STREAM_SKIPS]) - w->skips_at);
    return r;
}

static int page_head_put(struct segment_writer *w, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_varint(out, w->docs_at);
    if (r == 0)
        r = emlfs_buf_append_varint(out, w->positions_at);
    return r < 0 ? r : emlfs_buf_append_varint(out, w->skips_at);
}

int writer_term_done(struct segment_writer *w, uint32_t *ret_df)
{
    struct out_stream *s = &w->streams[STREAM_TERMS];
    const struct emlfs_span term = emlfs_span_of(w->term, w->term_len);
    *ret_df = w->df;
    if (w->df == 0)
        return 0;
    int r = paged_room(w, STREAM_TERMS, ENTRY_MAX_BYTES);
    if (r == 0 && (s->pages_n == 0 || s->page_entries == PAGE_TERMS)) {
        r = page_begin(s, term);
        if (r == 0)
            r = page_head_put(w, &s->block);
    }
    if (r == 0)
        r = entry_put(&s->block, s, term);
    if (r < 0)
        return r;
    const bool single = w->df == 1 && w->run.tf[0] == 1;
    r = single ? single_put(&s->block, &w->run) : lengths_put(w, &s->block);
    w->run.docs.n = 0;
    w->run.positions_n = 0;
    w->terms++;
    return r;
}

int writer_reversed(struct segment_writer *w, struct emlfs_span reversed)
{
    struct out_stream *s = &w->streams[STREAM_REVERSED];
    int r = paged_room(w, STREAM_REVERSED, ENTRY_MAX_BYTES);
    if (r == 0 && (s->pages_n == 0 || s->page_entries == PAGE_TERMS))
        r = page_begin(s, reversed);
    return r < 0 ? r : entry_put(&s->block, s, reversed);
}

/* ---- rows and filings */

static int rows_flush(struct segment_writer *w)
{
    struct out_stream *s = &w->streams[STREAM_ATTRS];
    uint8_t key[4];
    if (w->rows_n == 0)
        return 0;
    w->scratch.len = 0;
    int r = attr_page_encode(&w->scratch, w->rows, w->rows_n);
    if (r == 0)
        r = paged_room(w, STREAM_ATTRS, w->scratch.len);
    for (unsigned i = 0; i < 4; i++)
        key[i] = (uint8_t)(w->rows[0].attr.doc >> (24 - 8 * i));
    if (r == 0)
        r = page_begin(s, emlfs_span_of(key, 4));
    w->rows_n = 0;
    return r < 0 ? r : emlfs_buf_append(&s->block, w->scratch.data, w->scratch.len);
}

static int envelope_put(struct segment_writer *w, struct emlfs_span envelope)
{
    const uint8_t head[ENVELOPE_HEAD_BYTES] = {(uint8_t)envelope.len, (uint8_t)(envelope.len >> 8)};
    if (envelope.len > EMLFS_ENVELOPE_MAX_BYTES)
        return -EINVAL;
    int r = stream_put(w, STREAM_ENVELOPES, emlfs_span_of(head, sizeof(head)));
    return r < 0 ? r : stream_put(w, STREAM_ENVELOPES, envelope);
}

int writer_attr(struct segment_writer *w, const struct attr_row *row, struct emlfs_span envelope)
{
    const uint64_t at = stream_at(&w->streams[STREAM_ENVELOPES]);
    int r = envelope_put(w, envelope);
    if (r < 0)
        return r;
    w->rows[w->rows_n] = *row;
    w->rows[w->rows_n++].envelope_at = at;
    w->docs++;
    w->text_bytes += row->attr.text_bytes;
    return w->rows_n == ATTR_PAGE ? rows_flush(w) : 0;
}

static int filing_run_put(struct segment_writer *w)
{
    struct out_stream *s = &w->streams[STREAM_FILINGS];
    struct emlfs_buf *block = &s->block;
    if (w->filing_n == 0)
        return 0;
    /* The next block's first group stands for itself: documents are told from the key's top. */
    int r = emlfs_buf_append_varint(block, w->filing_next - w->filing.doc);
    if (r == 0)
        r = emlfs_buf_append_varint(block, (uint64_t)(w->filing_n - 1) << 1 | w->filing.in);
    w->filing_next = w->filing.doc - w->filing_n;
    w->filing_n = 0;
    w->filing_runs++;
    if (r == 0)
        for (unsigned i = 0; i < 4; i++)
            block->data[w->filing_group + i] = (uint8_t)(w->filing_runs >> (8 * i));
    return r;
}

static int filing_group_begin(struct segment_writer *w, const struct filing *filing)
{
    struct out_stream *s = &w->streams[STREAM_FILINGS];
    const uint32_t parts[] = {filing->key, ~filing->doc};
    uint8_t key[9] = {filing->kind};
    int r = 0;
    for (unsigned i = 0; i < 8; i++)
        key[1 + i] = (uint8_t)(parts[i / 4] >> (24 - 8 * (i % 4)));
    if (s->block.len == 0)
        r = page_begin(s, emlfs_span_of(key, sizeof(key)));
    if (r == 0)
        r = emlfs_buf_append_u8(&s->block, filing->kind);
    if (r == 0)
        r = emlfs_buf_append_varint(&s->block, filing->key);
    w->filing_group = s->block.len;
    w->filing_runs = 0;
    w->filing_next = UINT32_MAX;
    return r < 0 ? r : emlfs_buf_append_u32le(&s->block, 0);
}

int writer_filing(struct segment_writer *w, const struct filing *filing)
{
    const struct out_stream *s = &w->streams[STREAM_FILINGS];
    const bool same =
        w->filing_group && w->filing.kind == filing->kind && w->filing.key == filing->key;
    if (same && w->filing_n && w->filing.in == filing->in &&
        w->filing.doc - w->filing_n == filing->doc) {
        w->filing_n++;
    } else {
        int r = filing_run_put(w);
        const bool full = s->block.len > FILING_BLOCK_BYTES;
        if (r == 0 && full)
            r = paged_flush(w, STREAM_FILINGS);
        if (r == 0 && (full || !same))
            r = filing_group_begin(w, filing);
        if (r < 0)
            return r;
        w->filing = *filing;
        w->filing_n = 1;
    }
    if (!w->filings_low || filing->doc < w->filings_low)
        w->filings_low = filing->doc;
    return 0;
}

/* ---- beginning and end */

static int header_write(struct segment_writer *w, const struct emlfs_key *index_key)
{
    struct emlfs_key key;
    uint8_t *header = w->seal.header;
    memcpy(header, "EMLFSIDX", 8);
    header[8] = SEGMENT_VERSION;
    int r = emlfs_random(header + 16, SEGMENT_ID_BYTES);
    if (r == 0)
        r = segment_key_derive(index_key, header, &key);
    if (r == 0)
        r = emlfs_gcm_new(&key, &w->seal.gcm);
    emlfs_wipe(&key, sizeof(key));
    if (r == 0)
        r = emlfs_os_pwrite_all(w->fd, header, SEGMENT_HEADER_BYTES, 0);
    w->offset = SEGMENT_HEADER_BYTES;
    return r;
}

int writer_new(const struct writer_setup *setup, struct segment_writer **ret, struct emlfs_err *err)
{
    struct segment_writer *w = calloc(1, sizeof(*w));
    int r = 0;
    if (!w)
        return emlfs_err_sys(err, ENOMEM, "index", "segment");
    w->fd = -1;
    w->first_doc = setup->first_doc;
    w->last_doc = setup->last_doc;
    w->sealed.max_bytes = BLOCK_MAX_BYTES + BLOCK_EXTRA_BYTES;
    w->scratch.max_bytes = POSTINGS_RUN_BYTES_MAX;
    for (unsigned i = 0; i < STREAMS; i++) {
        w->streams[i].block.max_bytes = i == STREAM_FOOTER ? TABLE_MAX_BYTES : BLOCK_MAX_BYTES;
        w->streams[i].table.max_bytes = TABLE_MAX_BYTES;
        w->streams[i].key.max_bytes = TOKEN_MAX_BYTES;
    }
    w->path = strdup(setup->path);
    if (!w->path)
        r = -ENOMEM;
    if (r == 0) {
        w->fd = open(setup->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (w->fd < 0) {
            r = -errno;
            free(w->path);
            w->path = NULL; /* not ours to remove */
        }
    }
    if (r == 0)
        r = header_write(w, setup->index_key);
    if (r < 0) {
        writer_abort(w);
        return emlfs_err_sys(err, -r, "index", "cannot make the segment %s", setup->path);
    }
    *ret = w;
    return 0;
}

static void writer_free(struct segment_writer *w)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        emlfs_buf_wipe(&w->streams[i].block);
        emlfs_buf_wipe(&w->streams[i].table);
        emlfs_buf_wipe(&w->streams[i].key);
    }
    emlfs_buf_wipe(&w->scratch);
    emlfs_buf_free(&w->sealed);
    free(w->run.positions);
    emlfs_gcm_free(w->seal.gcm);
    emlfs_os_close(&w->fd);
    free(w->path);
    free(w);
}

void writer_abort(struct segment_writer *w)
{
    if (!w)
        return;
    if (w->path)
        (void)unlink(w->path);
    writer_free(w);
}

int writer_error(const struct segment_writer *w, int rc, struct emlfs_err *err)
{
    return emlfs_err_sys(err, -rc, "index", "cannot write the segment %s", w->path);
}

static int streams_end(struct segment_writer *w)
{
    int r = filing_run_put(w);
    if (r == 0)
        r = rows_flush(w);
    for (unsigned i = STREAM_TERMS; i < STREAMS && r == 0; i++) {
        r = stream_is_bytes(i) ? stream_flush(w, i) : paged_flush(w, i);
    }
    return r;
}

static int footer_fill(struct segment_writer *w, struct emlfs_buf *out)
{
    const uint64_t head[] = {w->first_doc,  w->last_doc, w->docs,
                             w->text_bytes, w->terms,    w->filings_low};
    int r = 0;
    for (unsigned i = 0; i < sizeof(head) / sizeof(head[0]) && r == 0; i++)
        r = emlfs_buf_append_varint(out, head[i]);
    for (unsigned i = STREAM_TERMS; i < STREAMS && r == 0; i++) {
        const struct out_stream *s = &w->streams[i];
        r = emlfs_buf_append_varint(out, s->blocks);
        if (r == 0)
            r = emlfs_buf_append_varint(out, s->before);
        if (r == 0)
            r = emlfs_buf_append(out, s->table.data, s->table.len);
    }
    return r;
}

static void le_put(uint8_t *out, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static int footer_write(struct segment_writer *w)
{
    struct emlfs_buf *footer = &w->streams[STREAM_FOOTER].block;
    uint8_t trailer[SEGMENT_TRAILER_BYTES] = "EMLFSIXE";
    int r = footer_fill(w, footer);
    le_put(trailer + 8, w->offset, 8);
    le_put(trailer + 16, footer->len, 8);
    le_put(trailer + 24, w->number, 4);
    for (size_t at = 0; at < footer->len && r == 0; at += BLOCK_MAX_BYTES) {
        const size_t left = footer->len - at;
        r = block_write(
            w, STREAM_FOOTER,
            emlfs_span_of(footer->data + at, left < BLOCK_MAX_BYTES ? left : BLOCK_MAX_BYTES),
            trailer);
    }
    if (r == 0)
        r = emlfs_os_pwrite_all(w->fd, trailer, sizeof(trailer), w->offset);
    return r;
}

int writer_finish(struct segment_writer *w, struct emlfs_err *err)
{
    int r = streams_end(w);
    if (r == 0)
        r = footer_write(w);
    if (r == 0)
        r = emlfs_os_fsync(w->fd);
    if (r == 0 && close(w->fd) < 0)
        r = -errno;
    if (r == 0)
        w->fd = -1;
    if (r < 0) {
        (void)writer_error(w, r, err);
        writer_abort(w);
        return r;
    }
    writer_free(w);
    return 0;
}
