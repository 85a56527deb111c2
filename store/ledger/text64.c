/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int ledger_text64_encode(struct emlfs_span bytes, struct emlfs_buf *out)
{
    size_t len = (bytes.len + 2) / 3 * 4;
    int r = emlfs_buf_reserve(out, len);
    if (r < 0)
        return r;
    char *to = (char *)out->data + out->len;
    for (size_t at = 0; at < bytes.len; at += 3) {
        size_t left = bytes.len - at;
        unsigned bits = (unsigned)bytes.data[at] << 16;
        if (left > 1)
            bits |= (unsigned)bytes.data[at + 1] << 8;
        if (left > 2)
            bits |= bytes.data[at + 2];
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? digits[bits & 63] : '=';
    }
    out->len += len;
    return 0;
}

static int digit_value(uint8_t c)
{
    const char *at = c ? memchr(digits, c, 64) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Four characters to up to three bytes; their number, or -1. Unused bits must be zero. */
static int group_decode(const uint8_t text[4], bool last, uint8_t ret[3])
{
    unsigned pad = text[3] != '=' ? 0u : text[2] != '=' ? 1u : 2u;
    unsigned bits = 0;
    if (pad && !last)
        return -1;
    for (unsigned i = 0; i < 4; i++) {
        int value = i < 4 - pad ? digit_value(text[i]) : 0;
        if (value < 0)
            return -1;
        bits = bits << 6 | (unsigned)value;
    }
    if (bits & ((1u << (8 * pad)) - 1))
        return -1;
    ret[0] = (uint8_t)(bits >> 16);
    ret[1] = (uint8_t)(bits >> 8);
    ret[2] = (uint8_t)bits;
    return 3 - (int)pad;
}

int ledger_text64_decode(struct emlfs_span text, struct emlfs_buf *out)
{
    if (text.len % 4)
        return -EILSEQ;
    for (size_t at = 0; at < text.len; at += 4) {
        uint8_t bytes[3];
        int n = group_decode(text.data + at, at + 4 == text.len, bytes);
        int r = n < 0 ? -EILSEQ : emlfs_buf_append(out, bytes, (size_t)n);
        if (r < 0)
            return r;
    }
    return 0;
}

bool ledger_text64_fixed(struct emlfs_span text, uint8_t *out, size_t len)
{
    size_t done = 0;
    if (text.len != (len + 2) / 3 * 4)
        return false;
    for (size_t at = 0; at < text.len; at += 4) {
        uint8_t bytes[3];
        int n = group_decode(text.data + at, at + 4 == text.len, bytes);
        if (n < 0 || done + (size_t)n > len)
            return false;
        memcpy(out + done, bytes, (size_t)n);
        done += (size_t)n;
    }
    return done == len;
}
