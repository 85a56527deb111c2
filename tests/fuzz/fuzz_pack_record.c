/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "../../store/pack/format.h"
#include "emlfs/pack.h"

/*
 * What lies below the sealed layer of a pack: headers, the payloads of OPEN and SEAL, and content
 * to be decompressed. The first byte chooses; the rest is what the key would have protected.
 *
 * Checked beyond memory safety: what decodes encodes to the same bytes again, and a first part is a
 * prefix of the whole.
 */

#define FUZZ_PLAIN_MAX_BYTES (1u << 20)

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void headers_fuzz(struct emlfs_span in)
{
    uint8_t bytes[PACK_HEADER_BYTES] = {0};
    uint8_t again[PACK_HEADER_BYTES];
    struct pack_header pack;
    struct record_header record;
    memcpy(bytes, in.data, in.len < sizeof(bytes) ? in.len : sizeof(bytes));
    if (emlfs_pack_header_decode(bytes, &pack) == 0) {
        emlfs_pack_header_encode(&pack, again);
        demand(memcmp(bytes, again, PACK_HEADER_BYTES) == 0);
    }
    if (emlfs_record_header_decode(bytes, &record) == 0) {
        emlfs_record_header_encode(&record, again);
        demand(memcmp(bytes, again, RECORD_HEADER_BYTES) == 0);
        demand(record.stored_len <= EMLFS_RECORD_PLAIN_MAX_BYTES);
    }
}

static void payloads_fuzz(struct emlfs_span in)
{
    uint8_t again[OPEN_PAYLOAD_BYTES];
    struct emlfs_pack_end previous;
    struct emlfs_hash chain;
    uint32_t count;
    if (emlfs_open_decode(in, &previous) == 0) {
        emlfs_open_encode(&previous, again);
        demand(in.len == OPEN_PAYLOAD_BYTES && memcmp(in.data, again, in.len) == 0);
    }
    if (emlfs_seal_decode(in, &count, &chain) == 0) {
        emlfs_seal_encode(count, &chain, again);
        demand(in.len == SEAL_PAYLOAD_BYTES && memcmp(in.data, again, in.len) == 0);
    }
}

static void first_part_check(const struct emlfs_record *record, const struct emlfs_dict *dict,
                             size_t want, const struct emlfs_buf *whole)
{
    struct emlfs_buf part = EMLFS_BUF_INIT(FUZZ_PLAIN_MAX_BYTES);
    demand(emlfs_record_plain(record, dict, want, &part, NULL) == 0);
    demand(part.len == (want < whole->len ? want : whole->len));
    demand(part.len == 0 || memcmp(part.data, whole->data, part.len) == 0);
    emlfs_buf_free(&part);
}

/* A record header of the input's own making, then its stored bytes. */
static void content_fuzz(struct emlfs_span in, const struct emlfs_dict *dict)
{
    struct emlfs_cursor cur = emlfs_cursor_of(in);
    struct emlfs_buf whole = EMLFS_BUF_INIT(FUZZ_PLAIN_MAX_BYTES);
    struct emlfs_record record = EMLFS_RECORD_INIT;
    uint32_t plain_len = emlfs_cursor_u32le(&cur) % FUZZ_PLAIN_MAX_BYTES;
    uint32_t want = emlfs_cursor_u32le(&cur) % FUZZ_PLAIN_MAX_BYTES;
    struct emlfs_span stored = emlfs_cursor_take(&cur, emlfs_cursor_left(&cur));
    if (cur.bad || emlfs_buf_append(&record.stored, stored.data, stored.len) < 0)
        return;
    record.plain_len = plain_len;
    record.flags = EMLFS_PACKED_ZSTD;
    record.type = EMLFS_RECORD_BLOCK;
    record.dict_id = dict ? emlfs_dict_id(dict) : 0;
    int r = emlfs_record_plain(&record, dict, SIZE_MAX, &whole, NULL);
    demand(r == 0 || r == -EUCLEAN);
    demand(whole.len == (r == 0 ? plain_len : 0));
    /*
     * What a broken frame becomes is zstd's affair: it may decode by tables that an earlier frame
     * left in the context, so the two ways of reading need not agree. They must stay within bounds.
     */
    r = emlfs_record_plain(&record, dict, want, &whole, NULL);
    demand(r == 0 || r == -EUCLEAN);
    demand(whole.len == (r < 0 ? 0 : want < plain_len ? want : plain_len));
    emlfs_buf_free(&whole);
    emlfs_record_free(&record);
}

/* What was packed comes back, whole and in part. */
static void packed_fuzz(struct emlfs_span in, const struct emlfs_dict *dict)
{
    struct emlfs_cursor cur = emlfs_cursor_of(in);
    uint32_t want = emlfs_cursor_u32le(&cur) % FUZZ_PLAIN_MAX_BYTES;
    struct emlfs_span plain = emlfs_cursor_take(&cur, emlfs_cursor_left(&cur));
    struct emlfs_buf whole = EMLFS_BUF_INIT(FUZZ_PLAIN_MAX_BYTES);
    struct emlfs_record record = EMLFS_RECORD_INIT;
    struct emlfs_packed packed = {.type = 0};
    struct emlfs_packer *packer = NULL;
    if (cur.bad || emlfs_packer_new(3, &packer) < 0)
        return;
    demand(emlfs_packer_pack(packer, EMLFS_RECORD_BLOCK, dict, plain, &packed, NULL) == 0);
    record.plain_len = packed.plain_len;
    record.dict_id = packed.dict_id;
    record.flags = packed.flags;
    demand(emlfs_buf_append(&record.stored, packed.stored.data, packed.stored.len) == 0);
    demand(emlfs_record_plain(&record, dict, SIZE_MAX, &whole, NULL) == 0);
    demand(emlfs_span_equal(emlfs_buf_view(&whole), plain));
    first_part_check(&record, dict, want, &whole);
    emlfs_buf_free(&whole);
    emlfs_record_free(&record);
    emlfs_packed_free(&packed);
    emlfs_packer_free(packer);
}

static void dictionary_fuzz(struct emlfs_span in)
{
    struct emlfs_dict *dict = NULL;
    static const char text[] = "From: someone\r\nTo: someone else\r\nSubject: dictionary\r\n";
    if (emlfs_dict_new(emlfs_span_of(text, sizeof(text) - 1), 3, &dict) == 0)
        content_fuzz(in, dict);
    if (dict)
        packed_fuzz(in, dict);
    emlfs_dict_free(dict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct emlfs_span rest = emlfs_span_of(data + 1, size - 1);
    switch (data[0] % 4) {
    case 0:
        headers_fuzz(rest);
        break;
    case 1:
        payloads_fuzz(rest);
        break;
    case 2:
        content_fuzz(rest, NULL);
        packed_fuzz(rest, NULL);
        break;
    default:
        dictionary_fuzz(rest);
        break;
    }
    return 0;
}
