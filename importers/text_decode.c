/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Transfer encodings (RFC 2045), encoded words (RFC 2047) and the plain formats that only need a
 * filter. Lenient: what is not well-formed is read as far as it goes, never refused.
 */
#include <strings.h>

#include "text.h"

#define BASE64_SKIP 0x40u
#define BASE64_PAD 0x41u

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

enum text_encoding text_encoding_of(struct emlfs_span value)
{
    static const struct {
        const char *name;
        enum text_encoding encoding;
    } names[] = {{"base64", TEXT_BASE64},
                 {"quoted-printable", TEXT_QUOTED},
                 {"x-uuencode", TEXT_UUENCODED},
                 {"x-uue", TEXT_UUENCODED},
                 {"uuencode", TEXT_UUENCODED}};
    while (value.len > 0 && *value.data <= ' ')
        value = emlfs_span_of(value.data + 1, value.len - 1);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t len = strlen(names[i].name);
        if (value.len >= len && strncasecmp((const char *)value.data, names[i].name, len) == 0)
            return names[i].encoding;
    }
    return TEXT_IDENTITY;
}

static uint8_t base64_value(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : c == '=' ? BASE64_PAD : BASE64_SKIP;
}

static int base64_decode(struct emlfs_span bytes, struct emlfs_buf *out)
{
    uint8_t table[256];
    uint32_t word = 0;
    unsigned have = 0;
    int rc = emlfs_buf_reserve(out, bytes.len / 4 * 3 + 3);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < sizeof table; i++)
        table[i] = base64_value((uint8_t)i);
    uint8_t *to = out->data + out->len;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t value = table[bytes.data[i]];
        if (value == BASE64_SKIP)
            continue;
        if (value == BASE64_PAD) { /* the end, or of one of several pieces put together */
            if (have >= 2)
                *to++ = (uint8_t)(have == 2 ? word >> 4 : word >> 10);
            if (have == 3)
                *to++ = (uint8_t)(word >> 2);
            word = have = 0;
            continue;
        }
        word = word << 6 | value;
        if (++have == 4) {
            *to++ = (uint8_t)(word >> 16);
            *to++ = (uint8_t)(word >> 8);
            *to++ = (uint8_t)word;
            word = have = 0;
        }
    }
    if (have >= 2)
        *to++ = (uint8_t)(have == 2 ? word >> 4 : word >> 10);
    if (have == 3)
        *to++ = (uint8_t)(word >> 2);
    out->len = (size_t)(to - out->data);
    return 0;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the soft line break that text, which begins with '=', is; 0 when it is none. */
static size_t soft_break(struct emlfs_span text)
{
    size_t at = 1;
    while (at < text.len && is_blank(text.data[at]))
        at++;
    if (at < text.len && text.data[at] == '\r')
        at++;
    if (at < text.len && text.data[at] == '\n')
        return at + 1;
    return at == text.len || text.data[at - 1] == '\r' ? at : 0;
}

static int quoted_decode(struct emlfs_span bytes, bool header, struct emlfs_buf *out)
{
    int rc = emlfs_buf_reserve(out, bytes.len);
    size_t at = 0;
    if (rc < 0 || bytes.len == 0)
        return rc;
    uint8_t *to = out->data + out->len;
    while (at < bytes.len) {
        uint8_t c = bytes.data[at];
        struct emlfs_span rest = emlfs_span_of(bytes.data + at, bytes.len - at);
        int high = c == '=' && rest.len > 2 ? hex_value(rest.data[1]) : -1;
        int low = high >= 0 ? hex_value(rest.data[2]) : -1;
        size_t soft = c == '=' && low < 0 && !header ? soft_break(rest) : 0;
        if (low >= 0) {
            *to++ = (uint8_t)(high << 4 | low);
            at += 3;
        } else if (soft > 0) {
            at += soft;
        } else {
            *to++ = header && c == '_' ? ' ' : c;
            at++;
        }
    }
    out->len = (size_t)(to - out->data);
    return 0;
}

static bool line_next(struct emlfs_span *text, struct emlfs_span *ret_line)
{
    if (text->len == 0)
        return false;
    const uint8_t *end = memchr(text->data, '\n', text->len);
    size_t len = end ? (size_t)(end - text->data) : text->len;
    *ret_line = emlfs_span_of(text->data, len);
    *text = emlfs_span_of(text->data + len + (end != NULL), text->len - len - (end != NULL));
    while (ret_line->len > 0 && ret_line->data[ret_line->len - 1] == '\r')
        ret_line->len--;
    return true;
}

static uint8_t uu_value(struct emlfs_span line, size_t at)
{
    return at < line.len ? (uint8_t)((line.data[at] - ' ') & 0x3f) : 0;
}

static int uu_decode(struct emlfs_span bytes, struct emlfs_buf *out)
{
    struct emlfs_span line;
    bool inside = false;
    int rc = 0;
    while (rc == 0 && line_next(&bytes, &line)) {
        if (!inside) {
            inside = line.len > 6 && memcmp(line.data, "begin ", 6) == 0;
            continue;
        }
        if (line.len == 0 || (line.len == 3 && memcmp(line.data, "end", 3) == 0))
            break;
        size_t count = uu_value(line, 0);
        for (size_t i = 0; rc == 0 && i < count; i++) {
            size_t at = 1 + i / 3 * 4 + i % 3;
            uint8_t a = uu_value(line, at), b = uu_value(line, at + 1);
            unsigned shift = 2 * (unsigned)(i % 3) + 2;
            rc = emlfs_buf_append_u8(out, (uint8_t)(a << shift | b >> (6 - shift)));
        }
    }
    return rc;
}

int text_decode(enum text_encoding encoding, struct emlfs_span bytes, struct emlfs_buf *out)
{
    if (encoding == TEXT_BASE64)
        return base64_decode(bytes, out);
    if (encoding == TEXT_QUOTED)
        return quoted_decode(bytes, false, out);
    if (encoding == TEXT_UUENCODED)
        return uu_decode(bytes, out);
    return emlfs_buf_append(out, bytes.data, bytes.len);
}

/* ---- RFC 2047 */

struct encoded_word {
    struct emlfs_span charset, text;
    bool base64;
    size_t len; /* of the whole */
};

/* Does text begin with an encoded word? */
static bool word_parse(struct emlfs_span text, struct encoded_word *ret)
{
    if (text.len < 8 || memcmp(text.data, "=?", 2) != 0)
        return false;
    const uint8_t *end = emlfs_span_end(text);
    const uint8_t *charset = text.data + 2;
    const uint8_t *mark = memchr(charset, '?', (size_t)(end - charset));
    if (mark == NULL || mark == charset || mark - charset > 60 || end - mark < 5 || mark[2] != '?')
        return false;
    uint8_t kind = mark[1] | 0x20;
    const uint8_t *body = mark + 3;
    const uint8_t *close = memmem(body, (size_t)(end - body), "?=", 2);
    if ((kind != 'b' && kind != 'q') || close == NULL)
        return false;
    const uint8_t *language = memchr(charset, '*', (size_t)(mark - charset));
    const uint8_t *charset_end = language ? language : mark;
    *ret = (struct encoded_word){
        .charset = emlfs_span_of(charset, (size_t)(charset_end - charset)),
        .text = emlfs_span_of(body, (size_t)(close - body)),
        .base64 = kind == 'b',
        .len = (size_t)(close + 2 - text.data),
    };
    return true;
}

struct header_decoder {
    struct text_charsets *charsets;
    const char *charset; /* of raw 8-bit bytes */
    struct emlfs_buf *out;
    struct emlfs_buf pending; /* bytes of encoded words that follow each other */
    char pending_charset[64];
};

static int pending_flush(struct header_decoder *decoder)
{
    int rc = 0;
    if (decoder->pending.len > 0)
        rc = text_utf8_append(decoder->charsets, emlfs_buf_view(&decoder->pending),
                              decoder->pending_charset, decoder->out);
    emlfs_buf_clear(&decoder->pending);
    return rc;
}

/* A character may be cut in two by the end of a word: bytes are put together, then converted. */
static int word_decode(struct header_decoder *decoder, const struct encoded_word *word)
{
    char charset[64] = "";
    int rc = 0;
    memcpy(charset, word->charset.data, word->charset.len);
    if (strcasecmp(charset, decoder->pending_charset) != 0)
        rc = pending_flush(decoder);
    memcpy(decoder->pending_charset, charset, sizeof charset);
    if (rc < 0)
        return rc;
    return word->base64 ? base64_decode(word->text, &decoder->pending)
                        : quoted_decode(word->text, true, &decoder->pending);
}

static int raw_append(struct header_decoder *decoder, struct emlfs_span raw)
{
    int rc = pending_flush(decoder);
    return rc == 0 ? text_utf8_append(decoder->charsets, raw, decoder->charset, decoder->out) : rc;
}

static bool all_blank(struct emlfs_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] > ' ')
            return false;
    }
    return true;
}

static int header_words(struct header_decoder *decoder, struct emlfs_span text)
{
    bool after_word = false;
    size_t from = 0;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at < text.len;) {
        struct encoded_word word;
        const uint8_t *mark = memmem(text.data + at, text.len - at, "=?", 2);
        if (mark == NULL)
            break;
        at = (size_t)(mark - text.data);
        if (!word_parse(emlfs_span_of(mark, text.len - at), &word)) {
            at += 2;
            continue;
        }
        struct emlfs_span between = emlfs_span_of(text.data + from, at - from);
        if (!after_word || !all_blank(between))
            rc = raw_append(decoder, between);
        if (rc == 0)
            rc = word_decode(decoder, &word);
        at += word.len;
        from = at;
        after_word = true;
    }
    if (rc == 0)
        rc = raw_append(decoder, emlfs_span_of(text.data + from, text.len - from));
    return rc;
}

static int unfold(struct emlfs_span value, struct emlfs_buf *out)
{
    int rc = emlfs_buf_reserve(out, value.len);
    for (size_t i = 0; rc == 0 && i < value.len; i++) {
        uint8_t c = value.data[i];
        bool line_end = c == '\r' || c == '\n';
        if (line_end && i + 1 < value.len && memchr("\r\n\t ", value.data[i + 1], 4))
            continue;
        out->data[out->len++] = c == 0 || line_end || c == '\t' ? ' ' : c;
    }
    return rc;
}

int text_header(struct text_charsets *charsets, struct emlfs_span value, const char *charset,
                struct emlfs_buf *out)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(value.len + 1);
    while (value.len > 0 && value.data[0] <= ' ')
        value = emlfs_span_of(value.data + 1, value.len - 1);
    if (value.len == 0)
        return 0;
    struct header_decoder decoder = {.charsets = charsets,
                                     .charset = charset,
                                     .out = out,
                                     .pending = EMLFS_BUF_INIT(value.len * 2 + 64)};
    int rc = unfold(value, &line);
    if (rc == 0)
        rc = header_words(&decoder, emlfs_buf_view(&line));
    emlfs_buf_free(&decoder.pending);
    return rc;
}

/* ---- filters */

/* The quote marks and the stuffed blank of a flowed line taken off; their number. */
static size_t quotes_take(struct emlfs_span *line)
{
    size_t quotes = 0;
    while (quotes < line->len && line->data[quotes] == '>')
        quotes++;
    size_t used = quotes < line->len && line->data[quotes] == ' ' ? quotes + 1 : quotes;
    *line = emlfs_span_of(line->data + used, line->len - used);
    return quotes;
}

int text_flowed(struct emlfs_span text, struct emlfs_buf *out)
{
    struct emlfs_span line;
    size_t quotes_before = 0;
    bool open = false;
    int rc = 0;
    while (rc == 0 && line_next(&text, &line)) {
        size_t quotes = quotes_take(&line);
        bool signature = line.len == 3 && memcmp(line.data, "-- ", 3) == 0;
        bool flows = !signature && line.len > 0 && line.data[line.len - 1] == ' ';
        if (out->len > 0 && (!open || quotes != quotes_before || signature))
            rc = emlfs_buf_append_u8(out, '\n');
        if (rc == 0)
            rc = emlfs_buf_append(out, line.data, line.len - flows);
        open = flows;
        quotes_before = quotes;
    }
    return rc;
}

int text_calendar(struct emlfs_span text, struct emlfs_buf *out)
{
    int rc = emlfs_buf_reserve(out, text.len);
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        uint8_t c = text.data[i];
        uint8_t next = i + 1 < text.len ? text.data[i + 1] : 0;
        if (c == '\r' && next == '\n')
            continue;
        if (c == '\n' && is_blank(next)) {
            i++;
        } else if (c == '\\' && next != 0) {
            out->data[out->len++] = next == 'n' || next == 'N' ? '\n' : next;
            i++;
        } else {
            out->data[out->len++] = c;
        }
    }
    return rc;
}

int text_enriched(struct emlfs_span text, struct emlfs_buf *out)
{
    bool parameter = false;
    bool closes = true; /* is there a '>' further on? */
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < text.len; i++) {
        struct emlfs_span rest = emlfs_span_of(text.data + i, text.len - i);
        bool literal = rest.len > 1 && rest.data[0] == '<' && rest.data[1] == '<';
        bool opens = closes && !literal && rest.data[0] == '<';
        const uint8_t *close = opens ? memchr(rest.data, '>', rest.len) : NULL;
        closes = closes && (!opens || close);
        i += literal;
        if (close == NULL) {
            rc = parameter ? 0 : emlfs_buf_append_u8(out, rest.data[0]);
            continue;
        }
        size_t len = (size_t)(close - rest.data) + 1;
        if (len == 7 && strncasecmp((const char *)rest.data, "<param>", 7) == 0)
            parameter = true;
        else if (len == 8 && strncasecmp((const char *)rest.data, "</param>", 8) == 0)
            parameter = false;
        i += len - 1;
    }
    return rc;
}
