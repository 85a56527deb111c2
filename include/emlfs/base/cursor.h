/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_CURSOR_H
#define EMLFS_BASE_CURSOR_H

#include "emlfs/base/span.h"

/*
 * Checked decoding of bytes that may be hostile. A read past the end, an overlong varint or a
 * length that does not fit sets bad and returns 0 / an empty span; later reads stay bad. Decode
 * everything, then test emlfs_cursor_done() (all consumed, nothing bad) once.
 */
struct emlfs_cursor {
    const uint8_t *pos;
    const uint8_t *end;
    bool bad;
};

static inline struct emlfs_cursor emlfs_cursor_of(struct emlfs_span bytes)
{
    return (struct emlfs_cursor){.pos = bytes.data, .end = emlfs_span_end(bytes), .bad = false};
}

static inline size_t emlfs_cursor_left(const struct emlfs_cursor *cur)
{
    return (size_t)(cur->end - cur->pos);
}

static inline bool emlfs_cursor_done(const struct emlfs_cursor *cur)
{
    return !cur->bad && cur->pos == cur->end;
}

/* The next width bytes, at most 8, little-endian. 0 and bad when there are fewer. */
uint64_t emlfs_cursor_le(struct emlfs_cursor *cur, unsigned width);
/* The next byte. 0 and bad at the end. */
uint8_t emlfs_cursor_u8(struct emlfs_cursor *cur);
/* The next 2 bytes, little-endian. 0 and bad when there are fewer. */
uint16_t emlfs_cursor_u16le(struct emlfs_cursor *cur);
/* The next 4 bytes, little-endian. 0 and bad when there are fewer. */
uint32_t emlfs_cursor_u32le(struct emlfs_cursor *cur);
/* The next 8 bytes, little-endian. 0 and bad when there are fewer. */
uint64_t emlfs_cursor_u64le(struct emlfs_cursor *cur);
/* The next 2 bytes, big-endian. 0 and bad when there are fewer. */
uint16_t emlfs_cursor_u16be(struct emlfs_cursor *cur);
/* The next 4 bytes, big-endian. 0 and bad when there are fewer. */
uint32_t emlfs_cursor_u32be(struct emlfs_cursor *cur);
/* The next 8 bytes, big-endian. 0 and bad when there are fewer. */
uint64_t emlfs_cursor_u64be(struct emlfs_cursor *cur);
/* LEB128, at most 10 bytes, in its shortest form; bad otherwise. */
uint64_t emlfs_cursor_varint(struct emlfs_cursor *cur);
/* As _varint, then zigzag undone. */
int64_t emlfs_cursor_svarint(struct emlfs_cursor *cur);
/* varint that must be <= max; bad otherwise. */
uint64_t emlfs_cursor_varint_max(struct emlfs_cursor *cur, uint64_t max);
/* exactly len bytes, borrowed. */
struct emlfs_span emlfs_cursor_take(struct emlfs_cursor *cur, size_t len);
/* varint length, then that many bytes, borrowed; bad when over max. */
struct emlfs_span emlfs_cursor_bytes(struct emlfs_cursor *cur, size_t max);

#endif
