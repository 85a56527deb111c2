/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Modified UTF-7 of IMAP mailbox names (RFC 3501 5.1.3) and UTF-8 checking.
 *
 * Decoding is lenient where meaning is clear (an encoded printable character) and strict where it
 * is not: a lone surrogate, a control character, stray bits or a missing '-' make the whole name
 * "not modified UTF-7", and the caller takes it as it is.
 */
#include "source.h"

/* What a UTF-8 sequence may begin with, the range of its second byte, its length (RFC 3629 4). */
static const struct utf8_form {
    uint8_t first_min, first_max, second_min, second_max, len;
} utf8_forms[] = {
    {0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
    {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
    {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};

/* Length of the sequence that text begins with, 0: none. */
static size_t utf8_len(struct emlfs_span text)
{
    const struct utf8_form *form = utf8_forms;
    const struct utf8_form *end = form + sizeof(utf8_forms) / sizeof(utf8_forms[0]);
    while (form < end && (text.data[0] < form->first_min || text.data[0] > form->first_max))
        form++;
    if (form == end || text.len < form->len)
        return 0;
    if (form->len > 1 && (text.data[1] < form->second_min || text.data[1] > form->second_max))
        return 0;
    for (size_t i = 2; i < form->len; i++)
        if ((text.data[i] & 0xC0) != 0x80)
            return 0;
    return form->len;
}

bool emlfs_utf8_valid(struct emlfs_span text)
{
    while (text.len > 0) {
        size_t len = utf8_len(text);
        if (len == 0)
            return false;
        text = emlfs_span_of(text.data + len, text.len - len);
    }
    return true;
}

/* point: no surrogate, at most 0x10FFFF. */
static int utf8_append(struct emlfs_buf *out, uint32_t point)
{
    uint8_t bytes[4];
    size_t len = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, point >>= 6)
        bytes[i] = (uint8_t)(0x80 | (point & 0x3F));
    bytes[0] = (uint8_t)(point | (len == 1 ? 0 : 0xF00u >> len));
    return emlfs_buf_append(out, bytes, len);
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
    return utf8_append(reader->out, point);
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
