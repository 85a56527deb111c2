/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_BUF_H
#define EMLFS_BASE_BUF_H

#include "emlfs/base/span.h"

/*
 * A growing byte buffer with a hard maximum. Zero-initialised plus max set is an empty buffer:
 *     struct emlfs_buf b = EMLFS_BUF_INIT(1 << 20);
 * Appending past max_bytes returns -E2BIG and leaves the buffer as it was; -ENOMEM likewise.
 */
struct emlfs_buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max_bytes;
};

#define EMLFS_BUF_INIT(max) ((struct emlfs_buf){.max_bytes = (max)})

/* Make room for at least extra more bytes. 0, -E2BIG, -ENOMEM. */
int emlfs_buf_reserve(struct emlfs_buf *buf, size_t extra);
int emlfs_buf_append(struct emlfs_buf *buf, const void *data, size_t len);
int emlfs_buf_append_u8(struct emlfs_buf *buf, uint8_t value);
int emlfs_buf_append_u16le(struct emlfs_buf *buf, uint16_t value);
int emlfs_buf_append_u32le(struct emlfs_buf *buf, uint32_t value);
int emlfs_buf_append_u64le(struct emlfs_buf *buf, uint64_t value);
/* Big-endian forms: catalogue keys sort as numbers. */
int emlfs_buf_append_u16be(struct emlfs_buf *buf, uint16_t value);
int emlfs_buf_append_u32be(struct emlfs_buf *buf, uint32_t value);
int emlfs_buf_append_u64be(struct emlfs_buf *buf, uint64_t value);
/* LEB128 unsigned, at most 10 bytes. */
int emlfs_buf_append_varint(struct emlfs_buf *buf, uint64_t value);
/* Zigzag then LEB128. */
int emlfs_buf_append_svarint(struct emlfs_buf *buf, int64_t value);
/* varint length, then the bytes. */
int emlfs_buf_append_bytes(struct emlfs_buf *buf, struct emlfs_span bytes);

static inline struct emlfs_span emlfs_buf_view(const struct emlfs_buf *buf)
{
    return emlfs_span_of(buf->data, buf->len);
}

static inline void emlfs_buf_clear(struct emlfs_buf *buf)
{
    buf->len = 0;
}

/* Release the memory; max_bytes is kept, so the buffer may be used again. */
void emlfs_buf_free(struct emlfs_buf *buf);
/* As _free, but the bytes are wiped first: for secrets and message text. */
void emlfs_buf_wipe(struct emlfs_buf *buf);

#define EMLFS_BUF_CLEANUP __attribute__((cleanup(emlfs_buf_free)))

#endif
