/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Recipes: how the exact bytes of a message are made from decoded parts. Splitting looks at lines
 * only, never at MIME structure: a run of base64 lines (RFC 2045 6.8) is taken out decoded when its
 * canonical encoding is byte for byte what stood there, whatever part it belongs to.
 *
 * I-RECIPE-1  the segments, rebuilt in order, are the message
 * I-RECIPE-2  a segment's raw length follows from its plain length and shape alone
 */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "internal.h"

#define LINE_MIN 40u
#define LINE_MAX 996u
#define RUN_MIN_LINES 4u
#define TEXT_MAX_BYTES (1u << 20)
#define DECODED_MAX_BYTES (256u << 20)

static const char alphabet[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 0...63 for a digit, 64 for anything else. */
static const uint8_t *digit_table(void)
{
#define X 64
    static const uint8_t table[256] = {
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  62,
        X,  X,  X,  63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, X,  X,  X,  X,  X,  X,  X,  0,
        1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22,
        23, 24, 25, X,  X,  X,  X,  X,  X,  26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38,
        39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,
        X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X,  X};
#undef X
    return table;
}

void recipe_free(struct recipe *recipe)
{
    free(recipe->v);
    emlfs_buf_free(&recipe->decoded);
    *recipe = (struct recipe){0};
}

static int recipe_add(struct recipe *recipe, const struct segment *segment)
{
    if (recipe->n >= RECIPE_SEGMENTS_MAX)
        return -E2BIG;
    if (recipe->n == recipe->cap) {
        unsigned cap = recipe->cap ? recipe->cap * 2 : 8;
        struct segment *grown = reallocarray(recipe->v, cap, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        recipe->v = grown;
        recipe->cap = cap;
    }
    recipe->v[recipe->n++] = *segment;
    return 0;
}

uint64_t base64_raw_len(uint64_t plain_len, const struct base64_shape *shape)
{
    uint64_t chars = (plain_len + 2) / 3 * 4;
    uint64_t lines = (chars + shape->line - 1) / shape->line;
    uint64_t ends = lines - (shape->open_end && lines > 0 ? 1 : 0);

    return chars + ends * (shape->crlf ? 2 : 1);
}

static uint8_t *quad_encode(const uint8_t *in, size_t n, uint8_t *out)
{
    uint32_t bits =
        (uint32_t)in[0] << 16 | (n > 1 ? (uint32_t)in[1] << 8 : 0) | (n > 2 ? in[2] : 0);

    out[0] = (uint8_t)alphabet[bits >> 18];
    out[1] = (uint8_t)alphabet[bits >> 12 & 63];
    out[2] = n > 1 ? (uint8_t)alphabet[bits >> 6 & 63] : '=';
    out[3] = n > 2 ? (uint8_t)alphabet[bits & 63] : '=';
    return out + 4;
}

void base64_encode(struct emlfs_span plain, const struct base64_shape *shape, uint8_t *out)
{
    const uint8_t *in = plain.data, *end = plain.data + plain.len;
    unsigned column = 0;

    while (in < end) {
        size_t n = (size_t)(end - in) < 3 ? (size_t)(end - in) : 3;
        out = quad_encode(in, n, out);
        in += n;
        column += 4;
        if (column < shape->line && in < end)
            continue;
        if (in == end && shape->open_end)
            break;
        if (shape->crlf)
            *out++ = '\r';
        *out++ = '\n';
        column = 0;
    }
}

/* A line of the source: its text without line end, and where the next one begins. */
struct line {
    const uint8_t *text;
    size_t len;
    const uint8_t *next;
    bool lf, crlf;
};

static struct line line_at(const uint8_t *pos, const uint8_t *end)
{
    struct line line = {.text = pos};
    const uint8_t *lf = memchr(pos, '\n', (size_t)(end - pos));

    line.lf = lf != NULL;
    line.next = lf ? lf + 1 : end;
    line.len = (size_t)((lf ? lf : end) - pos);
    line.crlf = lf && line.len > 0 && pos[line.len - 1] == '\r';
    line.len -= line.crlf;
    return line;
}

/* Decode len characters (a multiple of 4); padding only at the end, unused bits zero, or false. */
static bool line_decode(const uint8_t *text, size_t len, struct emlfs_buf *out, bool *ret_padded)
{
    const uint8_t *table = digit_table();
    uint8_t *to = out->data + out->len;

    *ret_padded = false;
    for (size_t i = 0; i < len; i += 4) {
        uint32_t a = table[text[i]], b = table[text[i + 1]], c = table[text[i + 2]],
                 d = table[text[i + 3]];
        if (__builtin_expect((a | b | c | d) < 64, 1)) {
            uint32_t bits = a << 18 | b << 12 | c << 6 | d;
            *to++ = (uint8_t)(bits >> 16);
            *to++ = (uint8_t)(bits >> 8);
            *to++ = (uint8_t)bits;
            continue;
        }
        if (i + 4 != len || a > 63 || b > 63 || text[i + 3] != '=')
            return false;
        *ret_padded = true;
        *to++ = (uint8_t)(a << 2 | b >> 4);
        if (text[i + 2] == '=') {
            if (b & 15)
                return false;
        } else {
            if (c > 63 || (c & 3))
                return false;
            *to++ = (uint8_t)(b << 4 | c >> 2);
        }
    }
    out->len = (size_t)(to - out->data);
    return true;
}

static bool line_may_be_base64(const struct line *line)
{
    const uint8_t *table = digit_table();

    return line->len >= LINE_MIN && line->len <= LINE_MAX && line->len % 4 == 0 &&
           table[line->text[0]] < 64 && table[line->text[line->len / 2]] < 64 &&
           table[line->text[line->len - 2]] < 64 && line->lf;
}

struct run {
    struct base64_shape shape;
    size_t decoded_at;
    const uint8_t *end; /* in the source */
    unsigned lines;
};

/* The longest run of base64 lines at first, decoded to the end of recipe->decoded. */
static void run_read(struct line line, const uint8_t *end, struct recipe *recipe, struct run *ret)
{
    *ret = (struct run){.decoded_at = recipe->decoded.len, .end = line.text};
    ret->shape = (struct base64_shape){.line = (uint16_t)line.len, .crlf = line.crlf};
    for (;;) {
        bool padded, last;
        if (line.len == 0 || line.len % 4 || line.len > ret->shape.line ||
            (line.lf && line.crlf != ret->shape.crlf))
            return;
        if (!line_decode(line.text, line.len, &recipe->decoded, &padded))
            return;
        ret->lines++;
        ret->end = line.next;
        last = padded || line.len < ret->shape.line || !line.lf;
        ret->shape.open_end = !line.lf;
        if (last || line.next == end)
            return;
        line = line_at(line.next, end);
    }
}

static int add_text(struct recipe *recipe, const uint8_t *from, const uint8_t *to)
{
    size_t len = (size_t)(to - from);
    struct segment segment = {.kind = SEGMENT_TEXT, .plain_len = len, .raw_len = len};
    int rc = 0;

    segment.content = emlfs_span_of(from, len);
    if (len == 0)
        return 0;
    if (len <= LITERAL_MAX_BYTES)
        return recipe_add(recipe, &segment);
    segment.kind = SEGMENT_BLOB;
    while (len > 0 && rc == 0) {
        size_t n = len < BLOB_CHUNK_BYTES ? len : BLOB_CHUNK_BYTES;
        segment.content = emlfs_span_of(from, n);
        segment.plain_len = segment.raw_len = n;
        rc = recipe_add(recipe, &segment);
        from += n;
        len -= n;
    }
    return rc;
}

/* One segment, or several of whole lines when the part is larger than a blob may be. */
static int add_run(struct recipe *recipe, const struct run *run)
{
    const uint8_t *from = recipe->decoded.data + run->decoded_at;
    size_t len = recipe->decoded.len - run->decoded_at;
    size_t line_bytes = run->shape.line / 4u * 3u;
    size_t most = BLOB_CHUNK_BYTES / line_bytes * line_bytes;
    struct segment segment = {.kind = len >= BLOB_MIN_BYTES ? SEGMENT_BLOB_BASE64 : SEGMENT_BASE64};
    int rc = 0;

    while (len > 0 && rc == 0) {
        size_t n = len < most ? len : most;
        segment.shape = run->shape;
        segment.shape.open_end = run->shape.open_end && n == len;
        segment.content = emlfs_span_of(from, n);
        segment.plain_len = n;
        segment.raw_len = base64_raw_len(n, &segment.shape);
        rc = recipe_add(recipe, &segment);
        from += n;
        len -= n;
    }
    return rc;
}

/* All decoded bytes fit in 3/4 of what is left, so contents never move afterwards. */
static int decoded_reserve(struct recipe *recipe, size_t raw_left)
{
    if (recipe->decoded.cap > 0)
        return 0;
    recipe->decoded.max_bytes = DECODED_MAX_BYTES;
    return emlfs_buf_reserve(&recipe->decoded, raw_left / 4 * 3 + 4);
}

static int split_lines(struct emlfs_span raw, struct recipe *ret)
{
    const uint8_t *pos = raw.data, *end = raw.data + raw.len, *text = pos;

    while (pos < end) {
        struct line line = line_at(pos, end);
        struct run run;
        int rc;
        pos = line.next;
        if (!line_may_be_base64(&line))
            continue;
        rc = decoded_reserve(ret, (size_t)(end - line.text));
        if (rc < 0)
            return rc;
        run_read(line, end, ret, &run);
        if (run.lines < RUN_MIN_LINES) {
            ret->decoded.len = run.decoded_at;
            continue;
        }
        rc = add_text(ret, text, line.text);
        if (rc == 0)
            rc = add_run(ret, &run);
        if (rc < 0)
            return rc;
        pos = text = run.end;
    }
    return add_text(ret, text, end);
}

static int split_raw(struct emlfs_span raw, struct recipe *ret)
{
    struct segment segment = {.kind = SEGMENT_BLOB};
    int rc = 0;

    recipe_free(ret);
    for (size_t at = 0; at < raw.len && rc == 0; at += segment.content.len) {
        size_t left = raw.len - at;
        segment.content =
            emlfs_span_of(raw.data + at, left < BLOB_CHUNK_BYTES ? left : BLOB_CHUNK_BYTES);
        segment.plain_len = segment.raw_len = segment.content.len;
        rc = recipe_add(ret, &segment);
    }
    return rc;
}

uint64_t recipe_text_len(const struct recipe *recipe)
{
    uint64_t len = 0;

    for (unsigned i = 0; i < recipe->n; i++)
        len += recipe->v[i].kind <= SEGMENT_BASE64 ? recipe->v[i].plain_len : 0;
    return len;
}

int recipe_split(struct emlfs_span raw, struct recipe *ret)
{
    int rc;

    *ret = (struct recipe){0};
    if (raw.len == 0)
        return 0;
    rc = split_lines(raw, ret);
    /* Too many pieces for a block's text: cut it blindly, which always works. */
    if (rc == -E2BIG || (rc == 0 && recipe_text_len(ret) > TEXT_MAX_BYTES))
        rc = split_raw(raw, ret);
    if (rc < 0)
        recipe_free(ret);
    return rc;
}

static int segment_encode(const struct segment *segment, struct emlfs_buf *out)
{
    bool base64 = segment->kind == SEGMENT_BASE64 || segment->kind == SEGMENT_BLOB_BASE64;
    uint8_t head = (uint8_t)(segment->kind | (base64 && segment->shape.crlf ? 4 : 0) |
                             (base64 && segment->shape.open_end ? 8 : 0));
    int rc = emlfs_buf_append_u8(out, head);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, segment->plain_len);
    if (rc == 0 && base64)
        rc = emlfs_buf_append_varint(out, segment->shape.line / 4u);
    if (rc == 0 && segment->kind >= SEGMENT_BLOB)
        rc = emlfs_buf_append(out, segment->blob, BLOB_ID_BYTES);
    return rc;
}

int recipe_encode(const struct recipe *recipe, struct emlfs_buf *out)
{
    int rc = 0;

    if (recipe->n == 0 || (recipe->n == 1 && recipe->v[0].kind == SEGMENT_TEXT))
        return 0;
    for (unsigned i = 0; i < recipe->n && rc == 0; i++)
        rc = segment_encode(&recipe->v[i], out);
    return rc;
}

static bool segment_take(struct emlfs_cursor *cur, struct segment *ret)
{
    uint8_t head = emlfs_cursor_u8(cur);
    bool base64;

    *ret = (struct segment){.kind = head & 3};
    base64 = ret->kind == SEGMENT_BASE64 || ret->kind == SEGMENT_BLOB_BASE64;
    ret->plain_len = emlfs_cursor_varint_max(cur, EMLFS_RECORD_PLAIN_MAX_BYTES);
    ret->raw_len = ret->plain_len;
    if (base64) {
        ret->shape.crlf = (head & 4) != 0;
        ret->shape.open_end = (head & 8) != 0;
        ret->shape.line = (uint16_t)(emlfs_cursor_varint_max(cur, LINE_MAX / 4) * 4);
        if (ret->shape.line == 0)
            return false;
        ret->raw_len = base64_raw_len(ret->plain_len, &ret->shape);
    }
    if (ret->kind >= SEGMENT_BLOB) {
        struct emlfs_span id = emlfs_cursor_take(cur, BLOB_ID_BYTES);
        if (!cur->bad)
            memcpy(ret->blob, id.data, BLOB_ID_BYTES);
    }
    return !cur->bad && ret->plain_len > 0 && head < 16 && (base64 || head < 4);
}

int recipe_decode(struct emlfs_span bytes, uint64_t text_len, uint64_t raw_len, struct recipe *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    struct segment segment = {.kind = SEGMENT_TEXT, .plain_len = text_len, .raw_len = text_len};
    uint64_t raw = 0;
    int rc = 0;

    *ret = (struct recipe){0};
    if (bytes.len == 0) {
        raw = text_len;
        rc = text_len ? recipe_add(ret, &segment) : 0;
    }
    while (emlfs_cursor_left(&cur) > 0 && rc == 0) {
        if (!segment_take(&cur, &segment))
            rc = -EUCLEAN;
        else
            rc = recipe_add(ret, &segment);
        raw += segment.raw_len;
    }
    if (rc == 0 && (raw != raw_len || recipe_text_len(ret) != text_len))
        rc = -EUCLEAN;
    if (rc < 0)
        recipe_free(ret);
    return rc;
}
