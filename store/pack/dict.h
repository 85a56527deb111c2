/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_PACK_DICT_H
#define EMLFS_STORE_PACK_DICT_H

#include <zstd.h>

#include "emlfs/pack.h"

/* A dictionary digested for both directions. Inside store/pack only. */
struct emlfs_dict {
    struct emlfs_buf content;
    ZSTD_CDict *compress;
    ZSTD_DDict *expand;
    uint32_t id;
};

#endif
