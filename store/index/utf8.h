/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_UTF8_H
#define EMLFS_INDEX_UTF8_H

#include "emlfs/base/span.h"

/* Inside store/index: UTF-8 by the code point. */

#define UTF8_MAX_BYTES 4u

static inline bool utf8_is_tail(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/*
 * The code point at pos (< end), and its bytes in *ret_len. -1, with 1 byte, where there is none:
 * overlong forms, surrogates and what lies above U+10FFFF are none.
 */
static inline int32_t utf8_decode(const uint8_t *pos, const uint8_t *end, unsigned *ret_len)
{
    size_t left = (size_t)(end - pos);
    int32_t c = pos[0];
    *ret_len = 1;
    if (c < 0x80)
        return c;
    if (c >= 0xC2 && c < 0xE0 && left >= 2 && utf8_is_tail(pos[1])) {
        *ret_len = 2;
        return (c & 0x1F) << 6 | (pos[1] & 0x3F);
    }
    if (c >= 0xE0 && c < 0xF0 && left >= 3 && utf8_is_tail(pos[1]) && utf8_is_tail(pos[2])) {
        c = (c & 0x0F) << 12 | (pos[1] & 0x3F) << 6 | (pos[2] & 0x3F);
        if (c < 0x800 || (c >= 0xD800 && c < 0xE000))
            return -1;
        *ret_len = 3;
        return c;
    }
    if (c >= 0xF0 && c < 0xF5 && left >= 4 && utf8_is_tail(pos[1]) && utf8_is_tail(pos[2]) &&
        utf8_is_tail(pos[3])) {
        c = (c & 0x07) << 18 | (pos[1] & 0x3F) << 12 | (pos[2] & 0x3F) << 6 | (pos[3] & 0x3F);
        if (c < 0x10000 || c > 0x10FFFF)
            return -1;
        *ret_len = 4;
        return c;
    }
    return -1;
}

/* c (valid) as bytes; returns how many. */
static inline unsigned utf8_encode(int32_t c, uint8_t ret[UTF8_MAX_BYTES])
{
    if (c < 0x80) {
        ret[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        ret[0] = (uint8_t)(0xC0 | c >> 6);
        ret[1] = (uint8_t)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        ret[0] = (uint8_t)(0xE0 | c >> 12);
        ret[1] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
        ret[2] = (uint8_t)(0x80 | (c & 0x3F));
        return 3;
    }
    ret[0] = (uint8_t)(0xF0 | c >> 18);
    ret[1] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
    ret[2] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
    ret[3] = (uint8_t)(0x80 | (c & 0x3F));
    return 4;
}

#endif
