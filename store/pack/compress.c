/* SPDX-License-Identifier: GPL-3.0-or-later */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_createCDict_advanced, ZSTD_createDDict_byReference */
#include <stdlib.h>
#include <zstd_errors.h>

#include "dict.h"
#include "emlfs/base/cursor.h"

/*
 * Responsible for: dictionaries, and content compressed before it is sealed. No I/O, no keys.
 */

/*
 * Without a size zstd digests a dictionary with parameters for texts of a few KB; blocks are some
 * hundred KB, and with parameters for those they come out about one percent smaller.
 */
#define DICT_TUNED_FOR_BYTES (512u << 10)
#define DICT_MAX_BYTES (1u << 20)

static int dict_id_of(struct emlfs_span content, uint32_t *ret_id)
{
    struct emlfs_hash hash;
    int r = emlfs_sha256(content, &hash);
    if (r < 0)
        return r;
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(hash.v, 4));
    uint32_t id = emlfs_cursor_u32le(&cur);
    *ret_id = id ? id : 1;
    return 0;
}

/* NULL: no memory. Content must stay where it is: what is returned refers to it. */
static const ZSTD_CDict *dict_compress(const struct emlfs_dict *shared)
{
    struct emlfs_dict *dict = (struct emlfs_dict *)(uintptr_t)shared;
    const struct emlfs_buf *content = &dict->content;
    ZSTD_CDict *made = atomic_load(&dict->compress);
    if (made)
        return made;
    pthread_mutex_lock(&dict->lock);
    made = atomic_load(&dict->compress);
    if (!made) {
        ZSTD_compressionParameters params =
            ZSTD_getCParams(dict->level, DICT_TUNED_FOR_BYTES, content->len);
        made = ZSTD_createCDict_advanced(content->data, content->len, ZSTD_dlm_byRef, ZSTD_dct_auto,
                                         params, ZSTD_defaultCMem);
        atomic_store(&dict->compress, made);
    }
    pthread_mutex_unlock(&dict->lock);
    return made;
}

int emlfs_dict_new(struct emlfs_span content, int level, struct emlfs_dict **ret_dict)
{
    struct emlfs_buf copy = EMLFS_BUF_INIT(DICT_MAX_BYTES);
    int r = emlfs_buf_append(&copy, content.data, content.len);

    if (r == 0)
        r = emlfs_dict_take(&copy, level, ret_dict);
    emlfs_buf_wipe(&copy);
    return r;
}

int emlfs_dict_take(struct emlfs_buf *content, int level, struct emlfs_dict **ret_dict)
{
    if (content->len == 0 || content->len > DICT_MAX_BYTES)
        return content->len ? -E2BIG : -EINVAL;
    struct emlfs_dict *dict = calloc(1, sizeof(*dict));
    if (!dict)
        return -ENOMEM;
    pthread_mutex_init(&dict->lock, NULL);
    dict->level = level;
    dict->content = *content;
    *content = EMLFS_BUF_INIT(content->max_bytes);
    int r = dict_id_of(emlfs_buf_view(&dict->content), &dict->id);
    /* zstd gives no reason: too little memory, or bytes that only begin like a dictionary. */
    if (r == 0) {
        dict->expand = ZSTD_createDDict_byReference(dict->content.data, dict->content.len);
        r = dict->expand ? 0 : -EINVAL;
    }
    if (r < 0) {
        emlfs_dict_free(dict);
        return r;
    }
    *ret_dict = dict;
    return 0;
}

void emlfs_dict_free(struct emlfs_dict *dict)
{
    if (!dict)
        return;
    ZSTD_freeCDict(atomic_load(&dict->compress));
    pthread_mutex_destroy(&dict->lock);
    ZSTD_freeDDict(dict->expand);
    emlfs_buf_wipe(&dict->content);
    free(dict);
}

uint32_t emlfs_dict_id(const struct emlfs_dict *dict)
{
    return dict->id;
}

struct emlfs_span emlfs_dict_content(const struct emlfs_dict *dict)
{
    return emlfs_buf_view(&dict->content);
}

void emlfs_packed_free(struct emlfs_packed *packed)
{
    emlfs_buf_wipe(&packed->stored);
}

struct emlfs_packer {
    ZSTD_CCtx *ctx;
    struct emlfs_buf frame; /* results are copied out in their true size: they may wait in queues */
};

static bool packer_configure(ZSTD_CCtx *ctx, int level)
{
    /* The tag proves the bytes, and the record header names dictionary and size. */
    return !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_compressionLevel, level)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 0)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_dictIDFlag, 0)) &&
           !ZSTD_isError(ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 1));
}

int emlfs_packer_new(int level, struct emlfs_packer **ret_packer)
{
    struct emlfs_packer *packer = calloc(1, sizeof(*packer));
    if (!packer)
        return -ENOMEM;
    packer->frame = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    packer->ctx = ZSTD_createCCtx();
    if (!packer->ctx || !packer_configure(packer->ctx, level)) {
        emlfs_packer_free(packer);
        return -ENOMEM;
    }
    *ret_packer = packer;
    return 0;
}

void emlfs_packer_free(struct emlfs_packer *packer)
{
    if (!packer)
        return;
    ZSTD_freeCCtx(packer->ctx);
    emlfs_buf_wipe(&packer->frame);
    free(packer);
}

/*
 * plain as a frame into packer->frame; frame.len 0 when it would not be smaller than plain. The
 * room given is one byte less than plain, so zstd itself gives up on what does not shrink.
 */
static int frame_make(struct emlfs_packer *packer, const struct emlfs_dict *dict,
                      struct emlfs_span plain)
{
    struct emlfs_buf *frame = &packer->frame;
    emlfs_buf_clear(frame);
    if (plain.len < 2)
        return 0;
    int r = emlfs_buf_reserve(frame, plain.len - 1);
    if (r < 0)
        return r;
    /* A frame that did not fit leaves the context in its middle. */
    const ZSTD_CDict *digested = dict ? dict_compress(dict) : NULL;
    if (dict && !digested)
        return -ENOMEM;
    size_t n = ZSTD_CCtx_reset(packer->ctx, ZSTD_reset_session_only);
    if (!ZSTD_isError(n))
        n = ZSTD_CCtx_refCDict(packer->ctx, digested);
    if (ZSTD_isError(n))
        return -ENOMEM;
    n = ZSTD_compress2(packer->ctx, frame->data, plain.len - 1, plain.data, plain.len);
    if (!ZSTD_isError(n))
        frame->len = n;
    else if (ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall)
        return -ENOMEM;
    return 0;
}

static int packed_fill(const struct emlfs_packer *packer, const struct emlfs_dict *dict,
                       struct emlfs_span plain, struct emlfs_packed *packed)
{
    struct emlfs_span stored = plain;
    packed->plain_len = (uint32_t)plain.len;
    if (packer->frame.len > 0) {
        stored = emlfs_buf_view(&packer->frame);
        packed->flags = EMLFS_PACKED_ZSTD;
        packed->dict_id = dict ? dict->id : 0;
    }
    packed->stored = EMLFS_BUF_INIT(stored.len);
    return emlfs_buf_append(&packed->stored, stored.data, stored.len);
}

int emlfs_packer_pack(struct emlfs_packer *packer, enum emlfs_record_type type,
                      const struct emlfs_dict *dict, struct emlfs_span plain,
                      struct emlfs_packed *ret_packed, struct emlfs_err *err)
{
    *ret_packed = (struct emlfs_packed){.type = (uint8_t)type};
    if (plain.len > EMLFS_RECORD_PLAIN_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, "pack", "record of %zu bytes", plain.len);
    int r = frame_make(packer, dict, plain);
    if (r == 0)
        r = packed_fill(packer, dict, plain, ret_packed);
    return r < 0 ? emlfs_err_sys(err, -r, "pack", "cannot compress %zu bytes", plain.len) : 0;
}
