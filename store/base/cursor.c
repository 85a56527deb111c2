/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/cursor.h"

/*
 * Invariants:
 * 1. pos never passes end, and no byte outside [pos, end) is read.
 * 2. Once bad, always bad: every later read returns 0 or an empty span and moves nothing.
 */

struct emlfs_span emlfs_cursor_take(struct emlfs_cursor *cur, size_t len)
{
    if (cur->bad || len > emlfs_cursor_left(cur)) {
        cur->bad = true;
        return emlfs_span_of(NULL, 0);
    }
    struct emlfs_span taken = emlfs_span_of(cur->pos, len);
    if (len > 0)
        cur->pos += len;
    return taken;
}

uint64_t emlfs_cursor_le(struct emlfs_cursor *cur, unsigned width)
{
    struct emlfs_span bytes = emlfs_cursor_take(cur, width);
    uint64_t value = 0;
    for (size_t i = bytes.len; i > 0; i--)
        value = value << 8 | bytes.data[i - 1];
    return value;
}

static uint64_t take_be(struct emlfs_cursor *cur, unsigned width)
{
    struct emlfs_span bytes = emlfs_cursor_take(cur, width);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | bytes.data[i];
    return value;
}

uint8_t emlfs_cursor_u8(struct emlfs_cursor *cur)
{
    return (uint8_t)emlfs_cursor_le(cur, 1);
}

uint16_t emlfs_cursor_u16le(struct emlfs_cursor *cur)
{
    return (uint16_t)emlfs_cursor_le(cur, 2);
}

uint32_t emlfs_cursor_u32le(struct emlfs_cursor *cur)
{
    return (uint32_t)emlfs_cursor_le(cur, 4);
}

uint64_t emlfs_cursor_u64le(struct emlfs_cursor *cur)
{
    return emlfs_cursor_le(cur, 8);
}

uint16_t emlfs_cursor_u16be(struct emlfs_cursor *cur)
{
    return (uint16_t)take_be(cur, 2);
}

uint32_t emlfs_cursor_u32be(struct emlfs_cursor *cur)
{
    return (uint32_t)take_be(cur, 4);
}

uint64_t emlfs_cursor_u64be(struct emlfs_cursor *cur)
{
    return take_be(cur, 8);
}

/* One value has one encoding: a padded varint is as bad as one that does not fit 64 bits. */
uint64_t emlfs_cursor_varint(struct emlfs_cursor *cur)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = emlfs_cursor_u8(cur);
        if (cur->bad)
            return 0;
        bool last = !(byte & 0x80);
        bool overflow = shift == 63 && byte > 1;
        bool padded = last && byte == 0 && shift > 0;
        if (overflow || padded)
            break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (last)
            return value;
    }
    cur->bad = true;
    return 0;
}

int64_t emlfs_cursor_svarint(struct emlfs_cursor *cur)
{
    uint64_t zigzag = emlfs_cursor_varint(cur);
    uint64_t sign = zigzag & 1 ? UINT64_MAX : 0;
    return (int64_t)((zigzag >> 1) ^ sign);
}

uint64_t emlfs_cursor_varint_max(struct emlfs_cursor *cur, uint64_t max)
{
    uint64_t value = emlfs_cursor_varint(cur);
    if (value <= max)
        return value;
    cur->bad = true;
    return 0;
}

struct emlfs_span emlfs_cursor_bytes(struct emlfs_cursor *cur, size_t max)
{
    uint64_t len = emlfs_cursor_varint_max(cur, max);
    if (cur->bad)
        return emlfs_span_of(NULL, 0);
    return emlfs_cursor_take(cur, (size_t)len);
}
