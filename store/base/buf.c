/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/buf.h"

#include <errno.h>
#include <stdlib.h>

#include "emlfs/base/crypto.h"

#define BUF_FIRST_BYTES 64u
#define VARINT_MAX_BYTES 10u

/*
 * At least doubling keeps appends linear, and whoever asks for more than that at once gets just
 * that: it is wiped whole, so what nobody writes would cost, too. The maximum is a hard end.
 */
static size_t cap_grown(const struct emlfs_buf *buf, size_t need)
{
    size_t cap = buf->cap <= SIZE_MAX / 2 ? 2 * buf->cap : SIZE_MAX;
    if (cap < BUF_FIRST_BYTES)
        cap = BUF_FIRST_BYTES;
    if (cap < need)
        cap = need;
    return cap > buf->max_bytes ? buf->max_bytes : cap;
}

int emlfs_buf_reserve(struct emlfs_buf *buf, size_t extra)
{
    size_t need;
    if (__builtin_add_overflow(buf->len, extra, &need) || need > buf->max_bytes)
        return -E2BIG;
    if (need <= buf->cap)
        return 0;
    size_t cap = cap_grown(buf, need);
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        return -ENOMEM;
    buf->data = data;
    buf->cap = cap;
    return 0;
}

int emlfs_buf_append(struct emlfs_buf *buf, const void *data, size_t len)
{
    int r = emlfs_buf_reserve(buf, len);
    if (r < 0)
        return r;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf->len += len;
    return 0;
}

static int append_le(struct emlfs_buf *buf, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    return emlfs_buf_append(buf, bytes, width);
}

static int append_be(struct emlfs_buf *buf, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < width; i++)
        bytes[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
    return emlfs_buf_append(buf, bytes, width);
}

int emlfs_buf_append_u8(struct emlfs_buf *buf, uint8_t value)
{
    return emlfs_buf_append(buf, &value, 1);
}

int emlfs_buf_append_u16le(struct emlfs_buf *buf, uint16_t value)
{
    return append_le(buf, value, 2);
}

int emlfs_buf_append_u32le(struct emlfs_buf *buf, uint32_t value)
{
    return append_le(buf, value, 4);
}

int emlfs_buf_append_u64le(struct emlfs_buf *buf, uint64_t value)
{
    return append_le(buf, value, 8);
}

int emlfs_buf_append_u16be(struct emlfs_buf *buf, uint16_t value)
{
    return append_be(buf, value, 2);
}

int emlfs_buf_append_u32be(struct emlfs_buf *buf, uint32_t value)
{
    return append_be(buf, value, 4);
}

int emlfs_buf_append_u64be(struct emlfs_buf *buf, uint64_t value)
{
    return append_be(buf, value, 8);
}

static size_t varint_encode(uint64_t value, uint8_t ret_bytes[VARINT_MAX_BYTES])
{
    size_t len = 0;
    while (value >= 0x80) {
        ret_bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    ret_bytes[len++] = (uint8_t)value;
    return len;
}

int emlfs_buf_append_varint(struct emlfs_buf *buf, uint64_t value)
{
    uint8_t bytes[VARINT_MAX_BYTES];
    return emlfs_buf_append(buf, bytes, varint_encode(value, bytes));
}

int emlfs_buf_append_svarint(struct emlfs_buf *buf, int64_t value)
{
    uint64_t sign = value < 0 ? UINT64_MAX : 0;
    return emlfs_buf_append_varint(buf, ((uint64_t)value << 1) ^ sign);
}

int emlfs_buf_append_bytes(struct emlfs_buf *buf, struct emlfs_span bytes)
{
    uint8_t prefix[VARINT_MAX_BYTES];
    size_t prefix_len = varint_encode(bytes.len, prefix);
    size_t total;
    if (__builtin_add_overflow(prefix_len, bytes.len, &total))
        return -E2BIG;
    /* Room for both first: a prefix without its bytes must not stay behind. */
    int r = emlfs_buf_reserve(buf, total);
    if (r < 0)
        return r;
    (void)emlfs_buf_append(buf, prefix, prefix_len);
    return emlfs_buf_append(buf, bytes.data, bytes.len);
}

void emlfs_buf_free(struct emlfs_buf *buf)
{
    free(buf->data);
    buf->data = NULL;
    buf->len = 0;
    buf->cap = 0;
}

void emlfs_buf_wipe(struct emlfs_buf *buf)
{
    /* The whole capacity: a cleared or shortened buffer still holds what was in it. */
    if (buf->data)
        emlfs_wipe(buf->data, buf->cap);
    emlfs_buf_free(buf);
}
