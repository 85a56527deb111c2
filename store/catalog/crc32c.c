/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* of Castagnoli, lowest bit first */

void crc32c_init(struct crc32c *crc)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (unsigned bit = 0; bit < 8; bit++)
            value = (value >> 1) ^ (value & 1 ? POLYNOMIAL : 0);
        crc->table[0][i] = value;
    }
    for (unsigned ahead = 1; ahead < 4; ahead++) {
        for (unsigned i = 0; i < 256; i++) {
            uint32_t before = crc->table[ahead - 1][i];
            crc->table[ahead][i] = (before >> 8) ^ crc->table[0][before & 0xff];
        }
    }
}

static uint32_t add(const struct crc32c *crc, uint32_t value, struct emlfs_span bytes)
{
    const uint8_t *at = bytes.data, *end = bytes.data + bytes.len;

    for (; end - at >= 4; at += 4)
        value =
            crc->table[3][(value ^ at[0]) & 0xff] ^ crc->table[2][((value >> 8) ^ at[1]) & 0xff] ^
            crc->table[1][((value >> 16) ^ at[2]) & 0xff] ^ crc->table[0][(value >> 24) ^ at[3]];
    for (; at < end; at++)
        value = (value >> 8) ^ crc->table[0][(value ^ *at) & 0xff];
    return value;
}

uint32_t crc32c_of(const struct crc32c *crc, struct emlfs_span first, struct emlfs_span second)
{
    uint32_t value = add(crc, UINT32_MAX, first);

    return ~(second.len ? add(crc, value, second) : value);
}
