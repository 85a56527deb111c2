/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Modified UTF-7 of IMAP mailbox names (RFC 3501 5.1.3) and UTF-8 checking.
 *
 * Decoding is lenient where meaning is clear (an encoded printable character) and strict where it
 * is not: a lone surrogate, a control character, stray bits or a missing '-' make the whole name
 * "not modified UTF-7", and the caller takes it as it is.
 */
#include <utf8proc.h>

#include "source.h"

bool emlfs_utf8_valid(struct emlfs_span text)
{
    size_t at = 0;
    while (at < text.len) {
        utf8proc_int32_t point;
        utf8proc_ssize_t n =
            utf8proc_iterate(text.data + at, (utf8proc_ssize_t)(text.len - at), &point);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static int base64_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+')
        return 62;
    return c == ',' ? 63 : -1;
}

/* UTF-16 units arrive one by one; a pair gives one character. */
struct unit_reader {
    struct emlfs_buf *out;
    uint32_t high; /* pending high surrogate, 0: none */
};

static int unit_add(struct unit_reader *reader, uint32_t unit)
{
    bool low = unit >= 0xDC00 && unit <= 0xDFFF;
    if (low != (reader->high != 0))
        return -EILSEQ;
    uint32_t point = unit;
    if (low)
        point = 0x10000 + ((reader->high - 0xD800) << 10) + (unit - 0xDC00);
    reader->high = 0;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        reader->high = unit;
        return 0;
    }
    if (point < 32 || (point >= 127 && point < 160))
        return -EILSEQ;
    uint8_t bytes[4];
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)point, bytes);
    return n > 0 ? emlfs_buf_append(reader->out, bytes, (size_t)n) : -EILSEQ;
}

/* What stands between '&' and '-'; *at is left on the byte after '-'. */
static int section_decode(const char *text, size_t *at, struct emlfs_buf *out)
{
    struct unit_reader reader = {.out = out};
    uint32_t bits = 0;
    unsigned count = 0;
    size_t i = *at;
    for (; text[i] != '-'; i++) {
        int value = base64_value(text[i]);
        if (value < 0)
            return -EILSEQ;
        bits = (bits << 6 | (uint32_t)value) & 0xFFFFFF;
        count += 6;
        if (count < 16)
            continue;
        count -= 16;
        int r = unit_add(&reader, (bits >> count) & 0xFFFF);
        if (r < 0)
            return r;
    }
    bool stray = count >= 6 || (bits & ((1u << count) - 1));
    if (i == *at || stray || reader.high)
        return -EILSEQ;
    *at = i + 1;
    return 0;
}

int emlfs_utf7_decode(const char *text, struct emlfs_buf *out)
{
    size_t at = 0;
    while (text[at]) {
        int r;
        if ((unsigned char)text[at] < 32 || (unsigned char)text[at] > 126) {
            return -EILSEQ;
        } else if (text[at] != '&') {
            r = emlfs_buf_append_u8(out, (uint8_t)text[at++]);
        } else if (text[at + 1] == '-') {
            r = emlfs_buf_append_u8(out, '&');
            at += 2;
        } else {
            at++;
            r = section_decode(text, &at, out);
        }
        if (r < 0)
            return r;
    }
    return 0;
}
