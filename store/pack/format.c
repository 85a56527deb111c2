/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "format.h"

static const uint8_t pack_magic[8] = {'E', 'M', 'L', 'F', 'S', 'P', 'A', 'K'};
static const uint8_t record_magic[2] = {'e', 'R'};
static const char chain_label[] = "emlfs chain";
static const char key_label[] = "emlfs pack";

#define PACK_RESERVED_BYTES 12u

static uint8_t *put(uint8_t *out, const void *data, size_t len)
{
    memcpy(out, data, len);
    return out + len;
}

static uint8_t *put_le(uint8_t *out, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        *out++ = (uint8_t)(value >> (8 * i));
    return out;
}

void emlfs_pack_header_encode(const struct pack_header *header,
                              uint8_t ret_bytes[PACK_HEADER_BYTES])
{
    static const uint8_t reserved[PACK_RESERVED_BYTES] = {0};
    uint8_t *out = put(ret_bytes, pack_magic, sizeof(pack_magic));
    out = put_le(out, PACK_VERSION, 2);
    out = put_le(out, 0, 2);
    out = put_le(out, header->store_no, 4);
    out = put_le(out, header->pack_no, 4);
    out = put(out, reserved, sizeof(reserved));
    put(out, header->pack_id, sizeof(header->pack_id));
}

static bool span_zero(struct emlfs_span bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.data[i])
            return false;
    return true;
}

int emlfs_pack_header_decode(const uint8_t bytes[PACK_HEADER_BYTES], struct pack_header *ret_header)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, PACK_HEADER_BYTES));
    struct emlfs_span magic = emlfs_cursor_take(&cur, sizeof(pack_magic));
    uint16_t version = emlfs_cursor_u16le(&cur);
    if (!emlfs_span_equal(magic, emlfs_span_of(pack_magic, sizeof(pack_magic))) || version == 0)
        return -EUCLEAN;
    if (version > PACK_VERSION)
        return -EPROTONOSUPPORT;
    uint16_t flags = emlfs_cursor_u16le(&cur);
    ret_header->store_no = emlfs_cursor_u32le(&cur);
    ret_header->pack_no = emlfs_cursor_u32le(&cur);
    struct emlfs_span reserved = emlfs_cursor_take(&cur, PACK_RESERVED_BYTES);
    struct emlfs_span id = emlfs_cursor_take(&cur, PACK_ID_BYTES);
    if (!emlfs_cursor_done(&cur) || flags != 0 || !span_zero(reserved))
        return -EUCLEAN;
    memcpy(ret_header->pack_id, id.data, id.len);
    return 0;
}

void emlfs_record_header_encode(const struct record_header *header,
                                uint8_t ret_bytes[RECORD_HEADER_BYTES])
{
    uint8_t *out = put(ret_bytes, record_magic, sizeof(record_magic));
    *out++ = header->type;
    *out++ = header->flags;
    out = put_le(out, header->number, 4);
    out = put_le(out, header->plain_len, 4);
    out = put_le(out, header->stored_len, 4);
    out = put_le(out, header->dict_id, 4);
    put_le(out, header->attempt, 4);
}

bool emlfs_record_header_valid(const struct record_header *header)
{
    if (header->type < EMLFS_RECORD_DICT || header->type > EMLFS_RECORD_SEAL)
        return false;
    if (header->plain_len > EMLFS_RECORD_PLAIN_MAX_BYTES)
        return false;
    if (header->flags == EMLFS_PACKED_ZSTD)
        return header->stored_len > 0 && header->stored_len < header->plain_len;
    return header->flags == 0 && header->stored_len == header->plain_len && header->dict_id == 0;
}

int emlfs_record_header_decode(const uint8_t bytes[RECORD_HEADER_BYTES],
                               struct record_header *ret_header)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, RECORD_HEADER_BYTES));
    struct emlfs_span magic = emlfs_cursor_take(&cur, sizeof(record_magic));
    ret_header->type = emlfs_cursor_u8(&cur);
    ret_header->flags = emlfs_cursor_u8(&cur);
    ret_header->number = emlfs_cursor_u32le(&cur);
    ret_header->plain_len = emlfs_cursor_u32le(&cur);
    ret_header->stored_len = emlfs_cursor_u32le(&cur);
    ret_header->dict_id = emlfs_cursor_u32le(&cur);
    ret_header->attempt = emlfs_cursor_u32le(&cur);
    bool magic_good = emlfs_span_equal(magic, emlfs_span_of(record_magic, sizeof(record_magic)));
    if (!emlfs_cursor_done(&cur) || !magic_good || !emlfs_record_header_valid(ret_header))
        return -EUCLEAN;
    return 0;
}

void emlfs_record_nonce(const struct record_header *header,
                        uint8_t ret_nonce[EMLFS_GCM_NONCE_BYTES])
{
    uint8_t *out = put_le(ret_nonce, header->number, 4);
    out = put_le(out, header->attempt, 4);
    put_le(out, 0, 4);
}

int emlfs_pack_key_derive(const struct emlfs_key *store_key, const struct pack_header *header,
                          struct emlfs_key *ret_key)
{
    return emlfs_hkdf(store_key, emlfs_span_of(header->pack_id, sizeof(header->pack_id)), key_label,
                      ret_key);
}

int emlfs_chain_start(const uint8_t header[PACK_HEADER_BYTES], struct emlfs_hash *ret_chain)
{
    uint8_t bytes[sizeof(chain_label) - 1 + PACK_HEADER_BYTES];
    put(put(bytes, chain_label, sizeof(chain_label) - 1), header, PACK_HEADER_BYTES);
    return emlfs_sha256(emlfs_span_of(bytes, sizeof(bytes)), ret_chain);
}

int emlfs_chain_step(struct emlfs_hash *chain, const uint8_t tag[EMLFS_GCM_TAG_BYTES])
{
    uint8_t bytes[EMLFS_HASH_BYTES + EMLFS_GCM_TAG_BYTES];
    put(put(bytes, chain->v, sizeof(chain->v)), tag, EMLFS_GCM_TAG_BYTES);
    return emlfs_sha256(emlfs_span_of(bytes, sizeof(bytes)), chain);
}

void emlfs_open_encode(const struct emlfs_pack_end *previous, uint8_t ret_bytes[OPEN_PAYLOAD_BYTES])
{
    memset(ret_bytes, 0, OPEN_PAYLOAD_BYTES);
    if (!previous)
        return;
    uint8_t *out = put_le(ret_bytes, previous->pack_no, 4);
    out = put_le(out, previous->count, 4);
    out = put_le(out, previous->offset, 8);
    put(out, previous->chain.v, sizeof(previous->chain.v));
}

int emlfs_open_decode(struct emlfs_span payload, struct emlfs_pack_end *ret_previous)
{
    struct emlfs_cursor cur = emlfs_cursor_of(payload);
    *ret_previous = (struct emlfs_pack_end){.pack_no = emlfs_cursor_u32le(&cur)};
    ret_previous->count = emlfs_cursor_u32le(&cur);
    ret_previous->offset = emlfs_cursor_u64le(&cur);
    ret_previous->file_bytes = ret_previous->offset;
    struct emlfs_span chain = emlfs_cursor_take(&cur, EMLFS_HASH_BYTES);
    if (!emlfs_cursor_done(&cur))
        return -EUCLEAN;
    memcpy(ret_previous->chain.v, chain.data, chain.len);
    return 0;
}

void emlfs_seal_encode(uint32_t count, const struct emlfs_hash *chain,
                       uint8_t ret_bytes[SEAL_PAYLOAD_BYTES])
{
    put(put_le(ret_bytes, count, 4), chain->v, sizeof(chain->v));
}

int emlfs_seal_decode(struct emlfs_span payload, uint32_t *ret_count, struct emlfs_hash *ret_chain)
{
    struct emlfs_cursor cur = emlfs_cursor_of(payload);
    *ret_count = emlfs_cursor_u32le(&cur);
    struct emlfs_span chain = emlfs_cursor_take(&cur, EMLFS_HASH_BYTES);
    if (!emlfs_cursor_done(&cur))
        return -EUCLEAN;
    memcpy(ret_chain->v, chain.data, chain.len);
    return 0;
}
