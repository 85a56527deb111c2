/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_PACK_DICT_H
#define EMLFS_STORE_PACK_DICT_H

#include <pthread.h>
#include <stdatomic.h>
#include <zstd.h>

#include "emlfs/pack.h"

/*
 * A dictionary digested for both directions, for compressing when that is first done: it costs
 * milliseconds, and who only reads does without. Inside store/pack only.
 */
struct emlfs_dict {
    struct emlfs_buf content;
    int level;
    pthread_mutex_t lock; /* of who digests it for compressing */
    _Atomic(ZSTD_CDict *) compress;
    ZSTD_DDict *expand;
    uint32_t id;
};

#endif
