/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "segment_cache.h"

#include <pthread.h>
#include <stdlib.h>

/*
 * The cache of decrypted blocks, shared by the segments of a process. Invariants: 1. a block with
 * users is in the table and not in the list of those that may go; 2. the bytes counted are those of
 * all blocks in the table, and above max_bytes only while blocks in use alone exceed it; 3. the
 * lock is never held across a decryption or a read.
 */

#define CACHE_SLOTS 4096u

struct cached_block {
    uint64_t file;
    uint32_t number;
    unsigned users;
    struct emlfs_buf plain;
    struct cached_block *next;          /* in the slot */
    struct cached_block *newer, *older; /* unused ones, by last use */
};

struct segment_cache {
    pthread_mutex_t lock;
    uint64_t files;
    size_t bytes, max_bytes;
    struct cached_block unused; /* head of the ring: .older is the newest */
    struct cached_block *slots[CACHE_SLOTS];
};

int segment_cache_new(size_t max_bytes, struct segment_cache **ret)
{
    struct segment_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return -ENOMEM;
    if (pthread_mutex_init(&cache->lock, NULL) != 0) {
        free(cache);
        return -ENOMEM;
    }
    cache->max_bytes = max_bytes ? max_bytes : SEGMENT_CACHE_BYTES;
    cache->unused.newer = cache->unused.older = &cache->unused;
    *ret = cache;
    return 0;
}

static struct cached_block **slot_of(struct segment_cache *cache, uint64_t file, uint32_t number)
{
    const uint64_t mixed = (file << 32 ^ number) * UINT64_C(0x9e3779b97f4a7c15);
    return &cache->slots[mixed >> 52];
}

static struct cached_block *block_find(struct segment_cache *cache, uint64_t file, uint32_t number)
{
    struct cached_block *block = *slot_of(cache, file, number);
    while (block && (block->file != file || block->number != number))
        block = block->next;
    return block;
}

static void unused_remove(struct cached_block *block)
{
    block->newer->older = block->older;
    block->older->newer = block->newer;
}

static void block_use(struct cached_block *block)
{
    if (block->users++ == 0)
        unused_remove(block);
}

/* Take an unused block out of the table; the caller frees it once the lock is off. */
static void block_unlink(struct segment_cache *cache, struct cached_block *block)
{
    struct cached_block **at = slot_of(cache, block->file, block->number);
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    unused_remove(block);
    cache->bytes -= block->plain.cap;
}

static struct cached_block *blocks_shed(struct segment_cache *cache)
{
    struct cached_block *shed = NULL;
    while (cache->bytes > cache->max_bytes && cache->unused.newer != &cache->unused) {
        struct cached_block *oldest = cache->unused.newer;
        block_unlink(cache, oldest);
        oldest->next = shed;
        shed = oldest;
    }
    return shed;
}

static void blocks_free(struct cached_block *block)
{
    while (block) {
        struct cached_block *next = block->next;
        emlfs_buf_wipe(&block->plain);
        free(block);
        block = next;
    }
}

uint64_t segment_cache_file(struct segment_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    const uint64_t file = ++cache->files;
    pthread_mutex_unlock(&cache->lock);
    return file;
}

struct cached_block *segment_cache_get(struct segment_cache *cache, uint64_t file, uint32_t number)
{
    pthread_mutex_lock(&cache->lock);
    struct cached_block *block = block_find(cache, file, number);
    if (block)
        block_use(block);
    pthread_mutex_unlock(&cache->lock);
    return block;
}

struct cached_block *segment_cache_add(struct segment_cache *cache, uint64_t file, uint32_t number,
                                       struct emlfs_buf *plain)
{
    struct cached_block *fresh = calloc(1, sizeof(*fresh)), *shed = NULL;
    if (!fresh)
        return NULL;
    pthread_mutex_lock(&cache->lock);
    struct cached_block *block = block_find(cache, file, number);
    if (block) {
        block_use(block);
    } else {
        struct cached_block **slot = slot_of(cache, file, number);
        *fresh = (struct cached_block){
            .file = file, .number = number, .users = 1, .plain = *plain, .next = *slot};
        *plain = EMLFS_BUF_INIT(plain->max_bytes);
        *slot = block = fresh;
        fresh = NULL;
        cache->bytes += block->plain.cap;
        shed = blocks_shed(cache);
    }
    pthread_mutex_unlock(&cache->lock);
    blocks_free(shed);
    free(fresh);
    return block;
}

void segment_cache_put(struct segment_cache *cache, struct cached_block *block)
{
    struct cached_block *shed = NULL;
    pthread_mutex_lock(&cache->lock);
    if (--block->users == 0) {
        block->older = cache->unused.older;
        block->newer = &cache->unused;
        block->older->newer = block;
        cache->unused.older = block;
        shed = blocks_shed(cache);
    }
    pthread_mutex_unlock(&cache->lock);
    blocks_free(shed);
}

void segment_cache_drop(struct segment_cache *cache, uint64_t file)
{
    struct cached_block *shed = NULL;
    pthread_mutex_lock(&cache->lock);
    for (struct cached_block *block = cache->unused.older; block != &cache->unused;) {
        struct cached_block *older = block->older;
        if (block->file == file) {
            block_unlink(cache, block);
            block->next = shed;
            shed = block;
        }
        block = older;
    }
    pthread_mutex_unlock(&cache->lock);
    blocks_free(shed);
}

struct emlfs_span segment_cache_bytes(const struct cached_block *block)
{
    return emlfs_buf_view(&block->plain);
}

void segment_cache_free(struct segment_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < CACHE_SLOTS; i++)
        blocks_free(cache->slots[i]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}
