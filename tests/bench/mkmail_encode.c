/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Transfer encodings, encoded words and line ends. */
#include "mkmail.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char hex_upper[] = "0123456789ABCDEF";

static void triple_put(char *to, const uint8_t *from)
{
    uint32_t bits = (uint32_t)from[0] << 16 | (uint32_t)from[1] << 8 | from[2];
    to[0] = alphabet[bits >> 18];
    to[1] = alphabet[bits >> 12 & 63];
    to[2] = alphabet[bits >> 6 & 63];
    to[3] = alphabet[bits & 63];
}

/* len <= 57 bytes; returns the characters written. */
static size_t base64_line(char *to, const uint8_t *from, size_t len)
{
    size_t n = 0;
    for (; len >= 3; len -= 3, from += 3, n += 4)
        triple_put(to + n, from);
    if (len) {
        uint8_t rest[3] = {from[0], len > 1 ? from[1] : 0, 0};
        triple_put(to + n, rest);
        to[n + 3] = '=';
        if (len == 1)
            to[n + 2] = '=';
        n += 4;
    }
    return n;
}

void mk_base64(struct mk_out *out, const void *data, size_t len)
{
    const uint8_t *from = data;
    mk_reserve(out, len / 57 * 77 + 80);
    while (len) {
        size_t n = len < 57 ? len : 57;
        out->len += base64_line(out->data + out->len, from, n);
        out->data[out->len++] = '\n';
        from += n;
        len -= n;
    }
}

void mk_base64_noise(struct mk_out *out, struct mk_rng *rng, size_t len)
{
    mk_reserve(out, len);
    uint64_t r = 0;
    for (size_t i = 0; i < len; i++, r >>= 6) {
        if (i % 10 == 0)
            r = mk_random(rng);
        out->data[out->len++] = alphabet[r & 63];
    }
}

void mk_hex_noise(struct mk_out *out, struct mk_rng *rng, size_t len)
{
    mk_reserve(out, len);
    uint64_t r = 0;
    for (size_t i = 0; i < len; i++, r >>= 4) {
        if (i % 16 == 0)
            r = mk_random(rng);
        out->data[out->len++] = hex_upper[r & 15];
    }
}

bool mk_is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] & 0x80)
            return false;
    return true;
}

bool mk_is_latin1(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((uint8_t)text[i] >= 0xc4) /* lead bytes C2 and C3 cover U+0080...U+00FF */
            return false;
    return true;
}

static void quoted_put(struct mk_out *out, uint8_t byte, size_t *column)
{
    if (*column >= 73) {
        mk_puts(out, "=\n");
        *column = 0;
    }
    mk_putc(out, '=');
    mk_putc(out, hex_upper[byte >> 4]);
    mk_putc(out, hex_upper[byte & 15]);
    *column += 3;
}

static bool is_plain(uint8_t c)
{
    return c > 32 && c < 127 && c != '=';
}

/* Put the run of plain bytes at text, at most to column 75; returns its length. */
static size_t plain_put(struct mk_out *out, const char *text, size_t len, size_t *column)
{
    if (*column >= 75) {
        mk_puts(out, "=\n");
        *column = 0;
    }
    size_t n = 1, room = 75 - *column;
    while (n < len && n < room && is_plain((uint8_t)text[n]))
        n++;
    mk_put(out, text, n);
    *column += n;
    return n;
}

void mk_quoted_printable(struct mk_out *out, const char *text, size_t len, bool latin1)
{
    size_t column = 0;
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (latin1 && (c == 0xc2 || c == 0xc3) && i + 1 < len)
            c = (uint8_t)((c & 3u) << 6 | ((uint8_t)text[++i] & 63u));
        if (c == '\n') {
            mk_putc(out, '\n');
            column = 0;
        } else if (c == '=' || c > 126 || c < 32 ||
                   (c == ' ' && i + 1 < len && text[i + 1] == '\n'))
            quoted_put(out, c, &column);
        else
            i += plain_put(out, text + i, len - i, &column) - 1;
    }
}

/* Length of the longest prefix of whole UTF-8 characters with at most max bytes. */
static size_t characters_within(const char *text, size_t len, size_t max)
{
    if (len <= max)
        return len;
    while (max && ((uint8_t)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void word_put_q(struct mk_out *out, const char *text, size_t len)
{
    mk_puts(out, "=?utf-8?Q?");
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)text[i];
        if (c == ' ')
            mk_putc(out, '_');
        else if ((c | 32) >= 'a' && (c | 32) <= 'z')
            mk_putc(out, (char)c);
        else
            mk_format(out, "=%c%c", hex_upper[c >> 4], hex_upper[c & 15]);
    }
    mk_puts(out, "?=");
}

void mk_header_text(struct mk_out *out, const char *text, size_t len, bool q)
{
    if (mk_is_ascii(text, len)) {
        mk_put(out, text, len);
        return;
    }
    while (len) {
        size_t n = characters_within(text, len, q ? 20 : 42);
        if (q) {
            word_put_q(out, text, n);
        } else {
            mk_puts(out, "=?UTF-8?B?");
            mk_reserve(out, 80);
            out->len += base64_line(out->data + out->len, (const uint8_t *)text, n);
            mk_puts(out, "?=");
        }
        text += n;
        len -= n;
        if (len)
            mk_puts(out, "\n ");
    }
}

void mk_to_crlf(struct mk_out *out, const char *text, size_t len)
{
    mk_reserve(out, len + len / 16);
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        mk_put(out, text, n);
        if (!end)
            return;
        mk_put(out, "\r\n", 2);
        text += n + 1;
        len -= n + 1;
    }
}
