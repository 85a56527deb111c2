/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define ENTRIES_MAX 1024u

struct entry {
    struct blob_key key;
    struct blob *blob; /* NULL: free */
    uint64_t used;
};
struct cache {
    pthread_mutex_t lock;
    size_t bytes, max_bytes;
    uint64_t clock;
    unsigned n; /* places ever used */
    struct entry v[ENTRIES_MAX];
};

struct blob *blob_new(size_t words)
{
    struct blob *blob;
    size_t bytes;

    if (__builtin_mul_overflow(words, sizeof(uint64_t), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(*blob), &bytes))
        return NULL;
    blob = calloc(1, bytes);
    if (!blob)
        return NULL;
    atomic_init(&blob->refs, 1);
    blob->bytes = bytes;
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob && atomic_fetch_sub(&blob->refs, 1) == 1)
        free(blob);
}

int cache_open(size_t max_bytes, struct cache **ret)
{
    struct cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return -ENOMEM;
    pthread_mutex_init(&cache->lock, NULL);
    cache->max_bytes = max_bytes;
    *ret = cache;
    return 0;
}

static void entry_drop(struct cache *cache, struct entry *entry)
{
    cache->bytes -= entry->blob->bytes;
    blob_unref(entry->blob);
    entry->blob = NULL;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < cache->n; i++) {
        if (cache->v[i].blob)
            entry_drop(cache, &cache->v[i]);
    }
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

static struct entry *entry_find(struct cache *cache, struct blob_key key)
{
    for (unsigned i = 0; i < cache->n; i++) {
        struct entry *entry = &cache->v[i];
        if (entry->blob && entry->key.part == key.part && entry->key.kind == key.kind &&
            entry->key.key == key.key)
            return entry;
    }
    return NULL;
}

struct blob *cache_get(struct cache *cache, struct blob_key key)
{
    struct blob *blob = NULL;
    struct entry *entry;

    pthread_mutex_lock(&cache->lock);
    entry = entry_find(cache, key);
    if (entry) {
        entry->used = ++cache->clock;
        blob = entry->blob;
        atomic_fetch_add(&blob->refs, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    return blob;
}

static struct entry *entry_oldest(struct cache *cache)
{
    struct entry *oldest = NULL;

    for (unsigned i = 0; i < cache->n; i++) {
        struct entry *entry = &cache->v[i];
        if (entry->blob && (!oldest || entry->used < oldest->used))
            oldest = entry;
    }
    return oldest;
}

static struct entry *entry_free(struct cache *cache)
{
    for (unsigned i = 0; i < cache->n; i++) {
        if (!cache->v[i].blob)
            return &cache->v[i];
    }
    return cache->n < ENTRIES_MAX ? &cache->v[cache->n++] : NULL;
}

void cache_put(struct cache *cache, struct blob_key key, struct blob *blob)
{
    struct entry *entry;

    pthread_mutex_lock(&cache->lock);
    if (blob->bytes <= cache->max_bytes && !entry_find(cache, key)) {
        while (cache->bytes + blob->bytes > cache->max_bytes)
            entry_drop(cache, entry_oldest(cache));
        entry = entry_free(cache);
        if (!entry) {
            entry = entry_oldest(cache);
            entry_drop(cache, entry);
        }
        atomic_fetch_add(&blob->refs, 1);
        *entry = (struct entry){.key = key, .blob = blob, .used = ++cache->clock};
        cache->bytes += blob->bytes;
    }
    pthread_mutex_unlock(&cache->lock);
}

void cache_forget(struct cache *cache, uint64_t part)
{
    pthread_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < cache->n; i++) {
        if (cache->v[i].blob && cache->v[i].key.part == part)
            entry_drop(cache, &cache->v[i]);
    }
    pthread_mutex_unlock(&cache->lock);
}
