/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sealing of catalogue values.
 *
 *   S1  A nonce is 12 bytes from the kernel's generator and is used for one seal only. 2^32 rows
 *       under one key keep the risk of a repetition below 2^-32; a store ends long before.
 *   S2  A sealed value opens only under the key of the row it was written for.
 *   S3  A context is used by one thread at a time: it is outside the pool while in use.
 */
#include "seal.h"

#include <pthread.h>
#include <stdlib.h>

#define POOL_CONTEXTS 16u

struct catalog_sealer {
    pthread_mutex_t lock;
    struct emlfs_key key;
    unsigned idle;
    struct emlfs_gcm *pool[POOL_CONTEXTS];
};

int emlfs_catalog_sealer_new(const struct emlfs_key *key, struct catalog_sealer **ret_sealer)
{
    struct catalog_sealer *sealer = calloc(1, sizeof(*sealer));
    if (!sealer)
        return -ENOMEM;
    int r = emlfs_gcm_new(key, &sealer->pool[0]);
    if (r < 0) {
        free(sealer);
        return r;
    }
    sealer->idle = 1;
    sealer->key = *key;
    pthread_mutex_init(&sealer->lock, NULL);
    *ret_sealer = sealer;
    return 0;
}

void emlfs_catalog_sealer_free(struct catalog_sealer *sealer)
{
    if (!sealer)
        return;
    while (sealer->idle > 0)
        emlfs_gcm_free(sealer->pool[--sealer->idle]);
    pthread_mutex_destroy(&sealer->lock);
    emlfs_wipe(&sealer->key, sizeof(sealer->key));
    free(sealer);
}

static int context_take(struct catalog_sealer *sealer, struct emlfs_gcm **ret_gcm)
{
    *ret_gcm = NULL;
    pthread_mutex_lock(&sealer->lock);
    if (sealer->idle > 0)
        *ret_gcm = sealer->pool[--sealer->idle];
    pthread_mutex_unlock(&sealer->lock);
    return *ret_gcm ? 0 : emlfs_gcm_new(&sealer->key, ret_gcm);
}

static void context_give(struct catalog_sealer *sealer, struct emlfs_gcm *gcm)
{
    pthread_mutex_lock(&sealer->lock);
    bool kept = sealer->idle < POOL_CONTEXTS;
    if (kept)
        sealer->pool[sealer->idle++] = gcm;
    pthread_mutex_unlock(&sealer->lock);
    if (!kept)
        emlfs_gcm_free(gcm);
}

int emlfs_catalog_seal(struct catalog_sealer *sealer, struct emlfs_span key,
                       struct emlfs_span value, struct emlfs_buf *ret_sealed)
{
    struct emlfs_gcm *gcm;

    emlfs_buf_clear(ret_sealed);
    int r = emlfs_buf_reserve(ret_sealed, value.len + CATALOG_SEAL_OVERHEAD_BYTES);
    if (r < 0)
        return r;
    uint8_t *nonce = ret_sealed->data;
    r = emlfs_random(nonce, EMLFS_GCM_NONCE_BYTES);
    if (r < 0)
        return r;
    r = context_take(sealer, &gcm);
    if (r < 0)
        return r;
    r = emlfs_gcm_seal(gcm, nonce, key, value, nonce + EMLFS_GCM_NONCE_BYTES);
    context_give(sealer, gcm);
    if (r == 0)
        ret_sealed->len = value.len + CATALOG_SEAL_OVERHEAD_BYTES;
    return r;
}

int emlfs_catalog_unseal(struct catalog_sealer *sealer, struct emlfs_span key,
                         struct emlfs_span sealed, struct emlfs_buf *ret_value)
{
    struct emlfs_gcm *gcm;

    emlfs_buf_clear(ret_value);
    if (sealed.len < CATALOG_SEAL_OVERHEAD_BYTES)
        return -EBADMSG;
    size_t len = sealed.len - CATALOG_SEAL_OVERHEAD_BYTES;
    /* One byte more, so that data is a place to write to even for an empty value. */
    int r = emlfs_buf_reserve(ret_value, len ? len : 1);
    if (r < 0)
        return r;
    r = context_take(sealer, &gcm);
    if (r < 0)
        return r;
    struct emlfs_span body =
        emlfs_span_of(sealed.data + EMLFS_GCM_NONCE_BYTES, sealed.len - EMLFS_GCM_NONCE_BYTES);
    r = emlfs_gcm_open(gcm, sealed.data, key, body, ret_value->data);
    context_give(sealer, gcm);
    if (r == 0)
        ret_value->len = len;
    return r;
}
