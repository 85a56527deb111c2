/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CATALOG_SNAPPY_H
#define EMLFS_CATALOG_SNAPPY_H

#include "emlfs/base/buf.h"

/*
 * Replace what is in out by what packed stands for, in Snappy's format without frames. -EUCLEAN: it
 * is damaged, or stands for more than max_bytes; -E2BIG: for more than out may hold; -ENOMEM. out
 * is empty then.
 */
int catalog_snappy_expand(struct emlfs_span packed, size_t max_bytes, struct emlfs_buf *out);

#endif
