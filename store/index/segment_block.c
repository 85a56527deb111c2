/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "segment_internal.h"

#include <errno.h>

/*
 * Blocks of a segment file: content and seal. Invariants (store/FORMAT.md): S-SEAL-1 a block number
 * is used for one seal under a segment's key; S-SEAL-2 a block opens only as the block of the
 * stream and index it was written for.
 */

#define AAD_MAX_BYTES (SEGMENT_HEADER_BYTES + 5 + SEGMENT_TRAILER_BYTES)

int segment_key_derive(const struct emlfs_key *index_key, const uint8_t *header,
                       struct emlfs_key *ret)
{
    /* The id stands behind magic, version and the reserved word. */
    return emlfs_hkdf(index_key, emlfs_span_of(header + 16, SEGMENT_ID_BYTES),
                      "emlfs index segment", ret);
}

static void u32_put(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static struct emlfs_span aad_of(const struct segment_seal *seal, const struct block_name *name,
                                const uint8_t *trailer, uint8_t aad[AAD_MAX_BYTES])
{
    size_t len = SEGMENT_HEADER_BYTES + 5;
    memcpy(aad, seal->header, SEGMENT_HEADER_BYTES);
    aad[SEGMENT_HEADER_BYTES] = (uint8_t)name->kind;
    u32_put(aad + SEGMENT_HEADER_BYTES + 1, name->index);
    if (trailer) {
        memcpy(aad + len, trailer, SEGMENT_TRAILER_BYTES);
        len += SEGMENT_TRAILER_BYTES;
    }
    return emlfs_span_of(aad, len);
}

int block_seal(const struct segment_seal *seal, const struct block_name *name,
               struct emlfs_span plain, const uint8_t *trailer, struct emlfs_buf *out)
{
    uint8_t aad[AAD_MAX_BYTES], nonce[EMLFS_GCM_NONCE_BYTES] = {0};
    int r = emlfs_buf_reserve(out, plain.len + BLOCK_EXTRA_BYTES);
    if (r < 0)
        return r;
    uint8_t *at = out->data + out->len;
    at[0] = 0;
    u32_put(at + 1, (uint32_t)plain.len);
    if (plain.len)
        memcpy(at + BLOCK_HEAD_BYTES, plain.data, plain.len);
    u32_put(nonce, name->number);
    r = emlfs_gcm_seal(seal->gcm, nonce, aad_of(seal, name, trailer, aad),
                       emlfs_span_of(at, plain.len + BLOCK_HEAD_BYTES), at);
    if (r == 0)
        out->len += plain.len + BLOCK_EXTRA_BYTES;
    return r;
}

int block_unseal(const struct segment_seal *seal, const struct block_name *name,
                 const uint8_t *trailer, struct emlfs_buf *block)
{
    uint8_t aad[AAD_MAX_BYTES], nonce[EMLFS_GCM_NONCE_BYTES] = {0};
    const struct emlfs_span sealed = emlfs_buf_view(block);
    block->len = 0;
    if (sealed.len < BLOCK_EXTRA_BYTES || sealed.len > BLOCK_MAX_BYTES + BLOCK_EXTRA_BYTES)
        return -EUCLEAN;
    u32_put(nonce, name->number);
    int r = emlfs_gcm_open(seal->gcm, nonce, aad_of(seal, name, trailer, aad), sealed, block->data);
    if (r < 0)
        return r;
    struct emlfs_cursor cur =
        emlfs_cursor_of(emlfs_span_of(block->data, sealed.len - EMLFS_GCM_TAG_BYTES));
    const uint8_t codec = emlfs_cursor_u8(&cur);
    const uint32_t len = emlfs_cursor_u32le(&cur);
    if (codec != 0 || len != emlfs_cursor_left(&cur))
        return -EUCLEAN;
    r = emlfs_buf_reserve(block, len + BITS_PAD_BYTES);
    if (r < 0)
        return r;
    memmove(block->data, block->data + BLOCK_HEAD_BYTES, len);
    memset(block->data + len, 0, BITS_PAD_BYTES);
    block->len = len;
    return 0;
}
