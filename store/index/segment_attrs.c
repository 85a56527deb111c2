/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"

#include <stdlib.h>

/*
 * Rows of documents: a page holds up to ATTR_PAGE of them as columns, each a least value and what
 * the others have above it in a fixed number of bits, so any cell is read at once. Invariants
 * (store/FORMAT.md): S-ATTR-1 documents strictly ascend; S-ATTR-2 a page's key is its first
 * document; S-ATTR-3 the columns fill the page exactly.
 */

enum {
    COLUMN_DOC,
    COLUMN_TEXT,
    COLUMN_SIZE,
    COLUMN_MTIME,
    COLUMN_ARCHIVED,
    COLUMN_ENVELOPE,
    COLUMN_FLAGS
};
#define FLAG_ATTACHMENT 4u

/* Times may lie before 1970: with the sign turned they ascend as unsigned numbers. */
static uint64_t time_turn(int64_t value)
{
    return (uint64_t)value ^ UINT64_C(1) << 63;
}

static uint64_t cell_of(const struct attr_row *row, unsigned column)
{
    const struct doc_attr *attr = &row->attr;
    switch (column) {
    case COLUMN_DOC:
        return attr->doc;
    case COLUMN_TEXT:
        return attr->text_bytes;
    case COLUMN_SIZE:
        return attr->size_bytes;
    case COLUMN_MTIME:
        return time_turn(attr->mtime_sec);
    case COLUMN_ARCHIVED:
        return time_turn(attr->archived_ns);
    case COLUMN_ENVELOPE:
        return row->envelope_at;
    case COLUMN_FLAGS:
        return (attr->priority & 3u) | (attr->attachment ? FLAG_ATTACHMENT : 0);
    default:
        return row->lens.v[column - COLUMN_FLAGS - 1];
    }
}

static size_t column_bytes(unsigned n, unsigned width)
{
    return ((size_t)n * width + 7) / 8;
}

static int column_encode(struct emlfs_buf *out, const struct attr_row *rows, unsigned n,
                         unsigned column)
{
    uint64_t least = UINT64_MAX, most = 0;
    for (unsigned i = 0; i < n; i++) {
        const uint64_t cell = cell_of(&rows[i], column);
        least = cell < least ? cell : least;
        most = cell > most ? cell : most;
    }
    const unsigned width = most > least ? 64u - (unsigned)__builtin_clzll(most - least) : 0;
    int r = emlfs_buf_append_varint(out, least);
    if (r == 0)
        r = emlfs_buf_append_u8(out, (uint8_t)width);
    if (r == 0)
        r = emlfs_buf_reserve(out, column_bytes(n, width));
    if (r < 0)
        return r;
    uint8_t *bits = out->data + out->len;
    memset(bits, 0, column_bytes(n, width));
    for (unsigned i = 0; i < n; i++) {
        const uint64_t above = cell_of(&rows[i], column) - least;
        for (unsigned b = 0; b < width; b++) {
            const size_t at = (size_t)i * width + b;
            bits[at / 8] |= (uint8_t)((above >> b & 1) << at % 8);
        }
    }
    out->len += column_bytes(n, width);
    return 0;
}

int attr_page_encode(struct emlfs_buf *out, const struct attr_row *rows, unsigned n)
{
    int r = emlfs_buf_append_u8(out, (uint8_t)(n - 1));
    for (unsigned c = 0; c < ATTR_COLUMNS && r == 0; c++)
        r = column_encode(out, rows, n, c);
    return r;
}

int attr_page_decode(struct emlfs_span page, struct attr_page *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(page);
    ret->n = emlfs_cursor_u8(&cur) + 1u;
    ret->end = page.data + page.len;
    for (unsigned c = 0; c < ATTR_COLUMNS; c++) {
        struct attr_column *column = &ret->columns[c];
        column->least = emlfs_cursor_varint(&cur);
        column->width = emlfs_cursor_u8(&cur);
        if (column->width > 64)
            return -EUCLEAN;
        column->bits = emlfs_cursor_take(&cur, column_bytes(ret->n, column->width)).data;
    }
    if (!emlfs_cursor_done(&cur) || ret->n > ATTR_PAGE)
        return -EUCLEAN;
    for (unsigned i = 0; i < ret->n; i++) {
        const uint64_t doc = attr_cell(ret, COLUMN_DOC, i);
        if (doc == 0 || doc > UINT32_MAX || (i > 0 && doc <= attr_cell(ret, COLUMN_DOC, i - 1)))
            return -EUCLEAN;
    }
    return 0;
}

uint64_t attr_cell(const struct attr_page *page, unsigned column, unsigned row)
{
    const struct attr_column *c = &page->columns[column];
    const size_t at = (size_t)row * c->width;
    const uint8_t *byte = c->bits + at / 8;
    uint64_t value = 0;
    if (c->width == 0)
        return c->least;
    if (c->width <= 57 && page->end - byte >= 8) {
        uint64_t le;
        memcpy(&le, byte, sizeof(le));
        value = le64toh(le) >> at % 8 & ((UINT64_C(1) << c->width) - 1);
        return c->least + value;
    }
    for (unsigned b = 0; b < c->width; b++)
        value |= (uint64_t)(c->bits[(at + b) / 8] >> (at + b) % 8 & 1) << b;
    return c->least + value;
}

void attr_page_row(const struct attr_page *page, unsigned row, struct attr_row *ret)
{
    const uint64_t flags = attr_cell(page, COLUMN_FLAGS, row);
    ret->attr = (struct doc_attr){
        .doc = (uint32_t)attr_cell(page, COLUMN_DOC, row),
        .text_bytes = (uint32_t)attr_cell(page, COLUMN_TEXT, row),
        .size_bytes = attr_cell(page, COLUMN_SIZE, row),
        .mtime_sec = (int64_t)time_turn((int64_t)attr_cell(page, COLUMN_MTIME, row)),
        .archived_ns = (int64_t)time_turn((int64_t)attr_cell(page, COLUMN_ARCHIVED, row)),
        .priority = (uint8_t)(flags & 3),
        .attachment = flags & FLAG_ATTACHMENT,
    };
    ret->envelope_at = attr_cell(page, COLUMN_ENVELOPE, row);
    ret->envelope = emlfs_span_of(NULL, 0);
    for (unsigned f = 0; f < FIELD_N; f++)
        ret->lens.v[f] = (uint32_t)attr_cell(page, COLUMN_FLAGS + 1 + f, row);
}

unsigned field_of_position(const struct field_lens *lens, uint32_t position)
{
    uint64_t end = 0;
    for (unsigned f = 0; f < FIELD_N; f++) {
        end += lens->v[f];
        if (position < end)
            return f + 1;
    }
    return 0;
}

/* ---- reading */

struct attr_reader {
    struct segment *segment;
    struct cached_block *block;
    struct block_pages pages;
    uint32_t index;
    struct attr_page page;
    uint32_t low, high; /* documents of the page; high 0: no page */
    struct stream_reader envelopes;
};

static int doc_compare(const void *key, struct emlfs_span first)
{
    uint32_t doc = 0;
    for (size_t i = 0; i < first.len; i++)
        doc = doc << 8 | first.data[i];
    const uint32_t wanted = *(const uint32_t *)key;
    return (wanted > doc) - (wanted < doc);
}

int attr_reader_new(struct segment *segment, struct attr_reader **ret)
{
    struct attr_reader *reader = calloc(1, sizeof(*reader));
    if (!reader)
        return -ENOMEM;
    reader->segment = segment;
    reader->envelopes = (struct stream_reader){.file = segment->file, .kind = STREAM_ENVELOPES};
    *ret = reader;
    return 0;
}

static void block_leave(struct attr_reader *reader)
{
    if (reader->block)
        block_put(reader->segment->file, reader->block);
    reader->block = NULL;
    reader->high = 0;
}

void attr_reader_free(struct attr_reader *reader)
{
    if (!reader)
        return;
    block_leave(reader);
    stream_reader_end(&reader->envelopes);
    free(reader);
}

static int attr_block_enter(struct attr_reader *reader, uint32_t index, struct emlfs_err *err)
{
    if (reader->block && reader->index == index)
        return 0;
    block_leave(reader);
    int r = block_get(reader->segment->file, STREAM_ATTRS, index, &reader->block, err);
    if (r < 0)
        return r;
    reader->index = index;
    if (block_pages_of(block_bytes(reader->block), &reader->pages) == 0)
        return 0;
    block_leave(reader);
    return segment_impossible(err, "rows");
}

static int attr_page_enter(struct attr_reader *reader, uint32_t i, struct emlfs_err *err)
{
    reader->high = 0;
    if (attr_page_decode(block_page(&reader->pages, i), &reader->page) < 0)
        return segment_impossible(err, "rows");
    reader->low = (uint32_t)attr_cell(&reader->page, COLUMN_DOC, 0);
    reader->high = (uint32_t)attr_cell(&reader->page, COLUMN_DOC, reader->page.n - 1);
    return 0;
}

/* The last page that begins at doc or before: the neighbours first, for those who walk. */
static int attr_page_find(struct attr_reader *reader, uint32_t doc, struct emlfs_err *err)
{
    uint32_t low = 0, high = reader->pages.n;
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        struct emlfs_span page = block_page(&reader->pages, mid);
        struct emlfs_cursor cur = emlfs_cursor_of(page);
        (void)emlfs_cursor_u8(&cur);
        const uint64_t first = emlfs_cursor_varint(&cur);
        if (cur.bad)
            return segment_impossible(err, "rows");
        if (doc < first)
            high = mid;
        else
            low = mid;
    }
    return attr_page_enter(reader, low, err);
}

static int file_row_find(struct attr_reader *reader, uint32_t doc, unsigned *ret,
                         struct emlfs_err *err)
{
    if (!(doc >= reader->low && doc <= reader->high)) {
        const int64_t found =
            stream_find(&reader->segment->file->streams[STREAM_ATTRS], &doc, doc_compare);
        if (found < 0)
            return -ENOENT;
        int r = attr_block_enter(reader, (uint32_t)found, err);
        if (r == 0)
            r = attr_page_find(reader, doc, err);
        if (r < 0)
            return r;
    }
    if (doc < reader->low || doc > reader->high)
        return -ENOENT;
    unsigned low = 0, high = reader->page.n;
    if (reader->high - reader->low + 1 == reader->page.n)
        low = doc - reader->low;
    else
        while (high - low > 1) {
            const unsigned mid = low + (high - low) / 2;
            if (doc < attr_cell(&reader->page, COLUMN_DOC, mid))
                high = mid;
            else
                low = mid;
        }
    *ret = low;
    return attr_cell(&reader->page, COLUMN_DOC, low) == doc ? 0 : -ENOENT;
}

static int row_get(struct attr_reader *reader, uint32_t doc, struct attr_row *ret,
                   struct emlfs_err *err)
{
    unsigned row;
    if (reader->segment->mem)
        return memseg_row(reader->segment->mem, doc, ret);
    int r = file_row_find(reader, doc, &row, err);
    if (r == 0)
        attr_page_row(&reader->page, row, ret);
    return r;
}

int attr_reader_get(struct attr_reader *reader, uint32_t doc, struct doc_attr *ret,
                    struct emlfs_err *err)
{
    struct attr_row row;
    int r = row_get(reader, doc, &row, err);
    if (r == 0)
        *ret = row.attr;
    return r;
}

int attr_reader_field(struct attr_reader *reader, uint32_t doc, uint32_t position,
                      enum emlfs_text_field *ret, struct emlfs_err *err)
{
    struct attr_row row;
    int r = row_get(reader, doc, &row, err);
    if (r == 0)
        *ret = (enum emlfs_text_field)field_of_position(&row.lens, position);
    return r;
}

int attr_row_envelope(struct attr_reader *reader, const struct attr_row *row, struct emlfs_buf *ret,
                      struct emlfs_err *err)
{
    uint8_t head[ENVELOPE_HEAD_BYTES];
    emlfs_buf_clear(ret);
    if (reader->segment->mem)
        return emlfs_buf_append(ret, row->envelope.data, row->envelope.len);
    int r = stream_read(&reader->envelopes, row->envelope_at, sizeof(head), head, err);
    if (r < 0)
        return r;
    const size_t len = head[0] | (size_t)head[1] << 8;
    if (len > EMLFS_ENVELOPE_MAX_BYTES)
        return segment_impossible(err, "envelope");
    r = emlfs_buf_reserve(ret, len);
    if (r == 0)
        r = stream_read(&reader->envelopes, row->envelope_at + sizeof(head), len, ret->data, err);
    ret->len = r == 0 ? len : 0;
    return r;
}

int attr_reader_envelope(struct attr_reader *reader, uint32_t doc, struct emlfs_buf *ret,
                         struct emlfs_err *err)
{
    struct attr_row row;
    int r = row_get(reader, doc, &row, err);
    return r < 0 ? r : attr_row_envelope(reader, &row, ret, err);
}

int segment_attr(struct segment *segment, uint32_t doc, struct doc_attr *ret, struct emlfs_err *err)
{
    struct attr_reader reader = {.segment = segment};
    int r = attr_reader_get(&reader, doc, ret, err);
    block_leave(&reader);
    return r;
}

int segment_field_at(struct segment *segment, uint32_t doc, uint32_t position,
                     enum emlfs_text_field *ret, struct emlfs_err *err)
{
    struct attr_reader reader = {.segment = segment};
    int r = attr_reader_field(&reader, doc, position, ret, err);
    block_leave(&reader);
    return r;
}

/* ---- columns */

static int64_t value_of(const struct doc_attr *attr, enum attr_column_kind kind)
{
    switch (kind) {
    case ATTR_SIZE:
        return attr->size_bytes > INT64_MAX ? INT64_MAX : (int64_t)attr->size_bytes;
    case ATTR_MTIME:
        return attr->mtime_sec;
    case ATTR_ARCHIVED:
        return attr->archived_ns;
    case ATTR_PRIORITY:
        return attr->priority;
    case ATTR_ATTACHMENT:
        return attr->attachment;
    }
    return 0;
}

/* A column's cells have the form of value_of but for what this turns back. */
static int64_t value_of_cell(uint64_t cell, enum attr_column_kind kind)
{
    switch (kind) {
    case ATTR_SIZE:
        return cell > INT64_MAX ? INT64_MAX : (int64_t)cell;
    case ATTR_MTIME:
    case ATTR_ARCHIVED:
        return (int64_t)time_turn((int64_t)cell);
    case ATTR_PRIORITY:
        return (int64_t)(cell & 3);
    case ATTR_ATTACHMENT:
        return (cell & FLAG_ATTACHMENT) != 0;
    }
    return 0;
}

static void page_values(const struct attr_page *page, enum attr_column_kind kind,
                        struct attr_values *ret)
{
    const unsigned column = kind == ATTR_SIZE       ? COLUMN_SIZE
                            : kind == ATTR_MTIME    ? COLUMN_MTIME
                            : kind == ATTR_ARCHIVED ? COLUMN_ARCHIVED
                                                    : COLUMN_FLAGS;
    ret->n = page->n;
    for (unsigned i = 0; i < page->n; i++) {
        ret->doc[i] = (uint32_t)attr_cell(page, COLUMN_DOC, i);
        ret->value[i] = value_of_cell(attr_cell(page, column, i), kind);
    }
}

static int memory_column(struct memseg *mem, enum attr_column_kind kind,
                         int (*each)(void *arg, const struct attr_values *values), void *arg)
{
    struct attr_values values = {0};
    struct attr_row row;
    int r = 0;
    for (uint32_t i = 0; r == 0 && memseg_row_at(mem, i, &row) == 0; i++) {
        values.doc[values.n] = row.attr.doc;
        values.value[values.n++] = value_of(&row.attr, kind);
        if (values.n == ATTR_VALUES) {
            r = each(arg, &values);
            values.n = 0;
        }
    }
    return r == 0 && values.n > 0 ? each(arg, &values) : r;
}

int segment_attr_column(struct segment *segment, enum attr_column_kind kind,
                        int (*each)(void *arg, const struct attr_values *values), void *arg,
                        struct emlfs_err *err)
{
    struct attr_reader reader = {.segment = segment};
    struct attr_values values;
    int r = 0;
    if (segment->mem)
        return memory_column(segment->mem, kind, each, arg);
    for (uint32_t b = 0; r == 0 && b < segment->file->streams[STREAM_ATTRS].n; b++) {
        r = attr_block_enter(&reader, b, err);
        for (uint32_t p = 0; r == 0 && p < reader.pages.n; p++) {
            r = attr_page_enter(&reader, p, err);
            if (r < 0)
                break;
            page_values(&reader.page, kind, &values);
            r = each(arg, &values);
        }
    }
    block_leave(&reader);
    return r;
}

/* Row i of page p of block b in turn, for merging. */
int attr_walk_next(struct attr_walk *walk, struct attr_row *ret, struct emlfs_err *err)
{
    struct attr_reader *reader = walk->reader;
    if (reader->segment->mem) {
        int r = memseg_row_at(reader->segment->mem, walk->row, ret);
        walk->row += r == 0;
        return r == -ENOENT ? 0 : r < 0 ? r : 1;
    }
    while (walk->index < reader->segment->file->streams[STREAM_ATTRS].n) {
        int r = attr_block_enter(reader, walk->index, err);
        if (r < 0)
            return r;
        if (walk->page < reader->pages.n) {
            if (walk->row == 0)
                r = attr_page_enter(reader, walk->page, err);
            if (r < 0)
                return r;
            attr_page_row(&reader->page, walk->row, ret);
            if (++walk->row == reader->page.n) {
                walk->row = 0;
                walk->page++;
            }
            return 1;
        }
        walk->index++;
        walk->page = walk->row = 0;
    }
    return 0;
}
