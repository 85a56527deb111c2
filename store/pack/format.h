/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_PACK_FORMAT_H
#define EMLFS_STORE_PACK_FORMAT_H

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/cursor.h"
#include "emlfs/pack.h"

/*
 * The bytes of a pack file: headers and the two records that packs write for themselves. No I/O.
 * Only the files of store/pack and the tests include this header. Byte tables: store/FORMAT.md.
 */

#define PACK_VERSION 1u
#define PACK_HEADER_BYTES 64u
#define PACK_ID_BYTES 32u
#define PACK_NO_MAX 99999999u /* eight digits in the file name */
#define RECORD_HEADER_BYTES 24u
#define RECORD_EXTRA_BYTES (RECORD_HEADER_BYTES + EMLFS_GCM_TAG_BYTES)
#define OPEN_PAYLOAD_BYTES 48u
#define SEAL_PAYLOAD_BYTES 36u

struct pack_header {
    uint32_t store_no;
    uint32_t pack_no;
    uint8_t pack_id[PACK_ID_BYTES];
};

struct record_header {
    uint32_t number;
    uint32_t plain_len;
    uint32_t stored_len; /* without the tag */
    uint32_t dict_id;
    uint32_t attempt; /* second half of the nonce: see writer.c */
    uint8_t type;
    uint8_t flags;
};

void emlfs_pack_header_encode(const struct pack_header *header,
                              uint8_t ret_bytes[PACK_HEADER_BYTES]);
/* -EUCLEAN, or -EPROTONOSUPPORT for a newer version (nothing behind the version is looked at). */
int emlfs_pack_header_decode(const uint8_t bytes[PACK_HEADER_BYTES],
                             struct pack_header *ret_header);

void emlfs_record_header_encode(const struct record_header *header,
                                uint8_t ret_bytes[RECORD_HEADER_BYTES]);
/* -EUCLEAN when no writer can have written it, whatever the key. */
int emlfs_record_header_decode(const uint8_t bytes[RECORD_HEADER_BYTES],
                               struct record_header *ret_header);
/* True when the members agree with each other and with the limits. */
bool emlfs_record_header_valid(const struct record_header *header);

void emlfs_record_nonce(const struct record_header *header,
                        uint8_t ret_nonce[EMLFS_GCM_NONCE_BYTES]);

int emlfs_pack_key_derive(const struct emlfs_key *store_key, const struct pack_header *header,
                          struct emlfs_key *ret_key);

/* The running hash: start it with the pack header, then one step for each record's tag. */
int emlfs_chain_start(const uint8_t header[PACK_HEADER_BYTES], struct emlfs_hash *ret_chain);
int emlfs_chain_step(struct emlfs_hash *chain, const uint8_t tag[EMLFS_GCM_TAG_BYTES]);

/* previous NULL: there was none. */
void emlfs_open_encode(const struct emlfs_pack_end *previous,
                       uint8_t ret_bytes[OPEN_PAYLOAD_BYTES]);
int emlfs_open_decode(struct emlfs_span payload, struct emlfs_pack_end *ret_previous);
void emlfs_seal_encode(uint32_t count, const struct emlfs_hash *chain,
                       uint8_t ret_bytes[SEAL_PAYLOAD_BYTES]);
int emlfs_seal_decode(struct emlfs_span payload, uint32_t *ret_count, struct emlfs_hash *ret_chain);

#endif
