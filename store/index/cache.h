/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_CACHE_H
#define EMLFS_INDEX_CACHE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* ---- cache.c: what was made of a segment's attributes and filings, kept for the next search */

struct cache;
struct blob {
    atomic_uint refs;
    size_t bytes;
    uint64_t v[];
};
struct blob_key {
    uint64_t part; /* serial number of the part, never used twice */
    uint32_t kind, key;
};
/* Words of 64 bits, zeroed, one reference. NULL: no memory. */
struct blob *blob_new(size_t words);
void blob_unref(struct blob *blob);

/* Keeps at most max_bytes; the blob that was not asked for longest goes first. Thread-safe. */
int cache_open(size_t max_bytes, struct cache **ret);
void cache_close(struct cache *cache);
/* With a reference for the caller, or NULL. */
struct blob *cache_get(struct cache *cache, struct blob_key key);
/* Takes a reference of its own, unless there is no room. */
void cache_put(struct cache *cache, struct blob_key key, struct blob *blob);
void cache_forget(struct cache *cache, uint64_t part);

#endif
