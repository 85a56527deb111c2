/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_SEGMENT_CACHE_H
#define EMLFS_INDEX_SEGMENT_CACHE_H

#include "segment.h"

/* Decrypted blocks by (file, number); for segment_read.c. Blocks in use are never thrown out. */
struct cached_block;

/* A number for a file that this cache has not given before. */
uint64_t segment_cache_file(struct segment_cache *cache);
/* NULL: not there. Else in use until _put. */
struct cached_block *segment_cache_get(struct segment_cache *cache, uint64_t file, uint32_t number);
/*
 * Take over plain, which is emptied; what was there before under the name is given instead of it.
 * NULL: no memory, plain stays.
 */
struct cached_block *segment_cache_add(struct segment_cache *cache, uint64_t file, uint32_t number,
                                       struct emlfs_buf *plain);
void segment_cache_put(struct segment_cache *cache, struct cached_block *block);
/* Throw out all of file's blocks; none is in use. */
void segment_cache_drop(struct segment_cache *cache, uint64_t file);
struct emlfs_span segment_cache_bytes(const struct cached_block *block);

#endif
