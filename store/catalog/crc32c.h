/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CATALOG_CRC32C_H
#define EMLFS_CATALOG_CRC32C_H

#include <stdbool.h>

#include "emlfs/base/buf.h"

/* CRC-32C (RFC 3720 B.4), four bytes at a time. */
struct crc32c {
    uint32_t table[4][256];
};
void crc32c_init(struct crc32c *crc);
/* Of first and then second, which may be empty. */
uint32_t crc32c_of(const struct crc32c *crc, struct emlfs_span first, struct emlfs_span second);

#endif
