/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the file mark, two slots of 512 bytes, written in turn.
 *
 * Invariants:
 * K1. A slot is written only after what it says is durable, so the newer valid slot never promises
 *     what a crash may have taken. It may lag behind: it is synced with checkpoints, full segments
 *     and at the close, and written without a sync behind every group.
 * K2. A write tears at most the slot it goes to; the other one stays valid.
 */
#include "internal.h"

#define MARK_MAGIC "EMLFSLMK"
#define MARK_VERSION 1u
#define MARK_BODY_BYTES (16u + 5u * 8u + EMLFS_HASH_BYTES)

static void number_put(uint8_t *to, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}

void ledger_mark_encode(const struct ledger_mark *mark, const struct emlfs_key *key,
                        uint8_t ret[MARK_SLOT_BYTES])
{
    struct emlfs_hash mac = {{0}};
    memset(ret, 0, MARK_SLOT_BYTES);
    memcpy(ret, MARK_MAGIC, 8);
    ret[8] = MARK_VERSION;
    number_put(ret + 16, mark->generation);
    number_put(ret + 24, mark->size);
    number_put(ret + 32, mark->tiles);
    number_put(ret + 40, mark->segment_bytes);
    number_put(ret + 48, mark->checkpoints_bytes);
    memcpy(ret + 56, mark->root.v, EMLFS_HASH_BYTES);
    /* Without memory for the HMAC the slot is invalid, and the other one counts. */
    (void)emlfs_hmac(key, emlfs_span_of(ret, MARK_BODY_BYTES), &mac);
    memcpy(ret + MARK_BODY_BYTES, mac.v, EMLFS_HASH_BYTES);
}

int ledger_mark_decode(const uint8_t slot[MARK_SLOT_BYTES], const struct emlfs_key *key,
                       struct ledger_mark *ret_mark)
{
    uint8_t again[MARK_SLOT_BYTES];
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(slot + 16, MARK_SLOT_BYTES - 16));
    if (memcmp(slot, MARK_MAGIC, 8) == 0 && slot[8] > MARK_VERSION)
        return -EPROTONOSUPPORT;
    ret_mark->generation = emlfs_cursor_u64le(&cur);
    ret_mark->size = emlfs_cursor_u64le(&cur);
    ret_mark->tiles = emlfs_cursor_u64le(&cur);
    ret_mark->segment_bytes = emlfs_cursor_u64le(&cur);
    ret_mark->checkpoints_bytes = emlfs_cursor_u64le(&cur);
    memcpy(ret_mark->root.v, emlfs_cursor_take(&cur, EMLFS_HASH_BYTES).data, EMLFS_HASH_BYTES);
    ledger_mark_encode(ret_mark, key, again);
    return emlfs_equal_secret(slot, again, MARK_SLOT_BYTES) && ret_mark->tiles <= ret_mark->size &&
                   ret_mark->size <= EMLFS_LEDGER_SEQUENCE_MAX + 1
               ? 0
               : -EBADMSG;
}

int ledger_mark_read(int fd, const struct emlfs_key *key, struct ledger_mark *ret_mark,
                     unsigned *ret_good)
{
    uint8_t slots[2 * MARK_SLOT_BYTES];
    ssize_t n = emlfs_os_pread_full(fd, slots, sizeof(slots), 0);
    *ret_good = 0;
    if (n < 0)
        return (int)n;
    for (unsigned i = 0; i < 2 && (size_t)n == sizeof(slots); i++) {
        struct ledger_mark mark;
        int r = ledger_mark_decode(slots + (size_t)i * MARK_SLOT_BYTES, key, &mark);
        if (r == -EPROTONOSUPPORT)
            return r;
        if (r < 0 || mark.generation % 2 != i)
            continue;
        if (*ret_good == 0 || mark.generation > ret_mark->generation)
            *ret_mark = mark;
        (*ret_good)++;
    }
    return *ret_good ? 0 : -EBADMSG;
}

int ledger_mark_write(int fd, const struct emlfs_key *key, const struct ledger_mark *mark)
{
    uint8_t slot[MARK_SLOT_BYTES];
    ledger_mark_encode(mark, key, slot);
    return emlfs_os_pwrite_all(fd, slot, sizeof(slot), mark->generation % 2 * MARK_SLOT_BYTES);
}
