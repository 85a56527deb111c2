/* SPDX-License-Identifier: GPL-3.0-or-later */
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_d_stableOutBuffer */
#include <pthread.h>
#include <stdlib.h>

#include "dict.h"

/*
 * Responsible for: a record's plain content, all or its first part.
 *
 * Invariants:
 * 1. Memory is asked for by plain_len, which the record's tag covers and its header limits; the
 *    size in the zstd frame decides nothing.
 * 2. All of a record is exactly plain_len bytes or an error.
 */

/*
 * A decompression context is some 150 KB that would be mapped and zeroed anew for every read of a
 * mail, which costs as much as the decompression of a small one. A record does not know its packs,
 * so there is no object to keep contexts in; each thread keeps one, freed when the thread ends.
 * The key is written once under pthread_once and constant afterwards.
 */
static pthread_key_t context_key;
static int context_key_code;
static pthread_once_t context_guard = PTHREAD_ONCE_INIT;

#define WINDOW_LOG_MAX 24 /* EMLFS_RECORD_PLAIN_MAX_BYTES: no frame of ours needs more */
#define CONTEXT_KEEP_MAX_BYTES (2u << 20)

static void context_end(void *ctx)
{
    ZSTD_freeDCtx(ctx);
}

static void context_key_make(void)
{
    context_key_code = pthread_key_create(&context_key, context_end);
}

static ZSTD_DCtx *context_new(void)
{
    ZSTD_DCtx *ctx = ZSTD_createDCtx();
    if (ctx && !ZSTD_isError(ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG_MAX)))
        return ctx;
    ZSTD_freeDCtx(ctx);
    return NULL;
}

/* This thread's context, or a new one; NULL: no memory. Give it back with context_put. */
static ZSTD_DCtx *context_get(void)
{
    pthread_once(&context_guard, context_key_make);
    ZSTD_DCtx *ctx = context_key_code ? NULL : pthread_getspecific(context_key);
    return ctx ? ctx : context_new();
}

/* Streaming a large blob leaves large buffers in a context; those are not kept. */
static void context_put(ZSTD_DCtx *ctx)
{
    bool keep = !context_key_code && ZSTD_sizeof_DCtx(ctx) <= CONTEXT_KEEP_MAX_BYTES;
    if (keep && pthread_setspecific(context_key, ctx) == 0)
        return;
    if (!context_key_code)
        (void)pthread_setspecific(context_key, NULL);
    ZSTD_freeDCtx(ctx);
}

static int expand_all(ZSTD_DCtx *ctx, const struct emlfs_record *record, struct emlfs_buf *out)
{
    const struct emlfs_buf *stored = &record->stored;
    size_t n = ZSTD_decompressDCtx(ctx, out->data, record->plain_len, stored->data, stored->len);
    if (ZSTD_isError(n) || n != record->plain_len)
        return -EUCLEAN;
    out->len = n;
    return 0;
}

static bool room_for_all(const struct emlfs_record *record, const struct emlfs_buf *out)
{
    return out->cap >= record->plain_len;
}

/*
 * Bytes from at to the end of the frame header or block there (RFC 8878 3.1.1): fed whole, a block
 * is decoded where it lies, fed in pieces it is first copied together. Never less than 1, never
 * more than there is; on bytes that are no frame any answer will do, the decoder says so.
 */
static size_t piece_bytes(const struct emlfs_buf *stored, size_t at)
{
    const uint8_t *b = stored->data + at;
    size_t left = stored->len - at, n = 1;
    if (at == 0)
        n = ZSTD_frameHeaderSize(b, left);
    else if (left >= 3)
        n = 3 + ((b[0] & 6) == 2 ? 1 : (size_t)b[0] >> 3 | (size_t)b[1] << 5 | (size_t)b[2] << 13);
    return ZSTD_isError(n) || n == 0 || n > left ? left : n;
}

/*
 * Reading on in one record. Where out has room for the whole content, zstd uses it as its window:
 * otherwise it decompresses into a window of its own and copies. Pages that are never written cost
 * nothing.
 */
struct emlfs_expander {
    const struct emlfs_record *record;
    struct emlfs_buf *out;
    ZSTD_DCtx *ctx; /* NULL: stored as it is */
    ZSTD_inBuffer from;
    ZSTD_outBuffer to;
};

/* Feed the frame block by block until want bytes exist. */
static int expand_to(struct emlfs_expander *expander, size_t want)
{
    const struct emlfs_buf *stored = &expander->record->stored;
    ZSTD_inBuffer *from = &expander->from;
    ZSTD_outBuffer *to = &expander->to;
    while (to->pos < want) {
        size_t before = to->pos;
        bool more = from->size < stored->len;
        if (from->pos == from->size && more)
            from->size += piece_bytes(stored, from->size);
        size_t n = ZSTD_decompressStream(expander->ctx, to, from);
        /* 0: the frame ended, before want. Nothing left: it is cut short. */
        if (ZSTD_isError(n) || (to->pos < want && (n == 0 || (!more && to->pos == before))))
            return -EUCLEAN;
    }
    return 0;
}

static int context_begin(ZSTD_DCtx *ctx, const struct emlfs_dict *dict, bool stable)
{
    /* A context may stand in the middle of the frame it read last. */
    size_t n = ZSTD_DCtx_reset(ctx, ZSTD_reset_session_only);
    if (!ZSTD_isError(n))
        n = ZSTD_DCtx_refDDict(ctx, dict ? dict->expand : NULL);
    if (!ZSTD_isError(n))
        n = ZSTD_DCtx_setParameter(ctx, ZSTD_d_stableOutBuffer, stable);
    return ZSTD_isError(n) ? -ENOMEM : 0;
}

static int zstd_expand(const struct emlfs_record *record, const struct emlfs_dict *dict,
                       size_t want, struct emlfs_buf *out)
{
    struct emlfs_expander part = {.record = record, .out = out, .ctx = context_get()};
    bool all = want == record->plain_len, stable = !all && room_for_all(record, out);
    if (!part.ctx)
        return -ENOMEM;
    part.from = (ZSTD_inBuffer){.src = record->stored.data};
    part.to = (ZSTD_outBuffer){.dst = out->data, .size = stable ? record->plain_len : want};
    int r = context_begin(part.ctx, record->dict_id ? dict : NULL, stable);
    if (r == 0)
        r = all ? expand_all(part.ctx, record, out) : expand_to(&part, want);
    if (r == 0)
        out->len = want;
    context_put(part.ctx);
    return r;
}

static int plain_copy(const struct emlfs_record *record, size_t want, struct emlfs_buf *out)
{
    if (record->stored.len != record->plain_len)
        return -EUCLEAN;
    return emlfs_buf_append(out, record->stored.data, want);
}

static int plain_failed(const struct emlfs_record *record, int r, struct emlfs_err *err)
{
    const struct emlfs_pack_loc *loc = &record->loc;
    if (r == -EUCLEAN)
        return emlfs_err_set(err, EUCLEAN, "pack", "pack %u, record %u: impossible content",
                             loc->pack_no, loc->number);
    if (r == -ENOKEY)
        return emlfs_err_set(err, ENOKEY, "pack", "pack %u, record %u: dictionary %08x is missing",
                             loc->pack_no, loc->number, record->dict_id);
    return emlfs_err_sys(err, -r, "pack", "pack %u, record %u", loc->pack_no, loc->number);
}

int emlfs_record_plain(const struct emlfs_record *record, const struct emlfs_dict *dict,
                       size_t want, struct emlfs_buf *out, struct emlfs_err *err)
{
    emlfs_buf_clear(out);
    if (want > record->plain_len)
        want = record->plain_len;
    if (record->dict_id && (!dict || dict->id != record->dict_id))
        return plain_failed(record, -ENOKEY, err);
    int r = emlfs_buf_reserve(out, record->plain_len <= out->max_bytes ? record->plain_len : want);
    if (r == 0)
        r = record->flags & EMLFS_PACKED_ZSTD ? zstd_expand(record, dict, want, out)
                                              : plain_copy(record, want, out);
    return r < 0 ? plain_failed(record, r, err) : 0;
}

int emlfs_expander_new(const struct emlfs_record *record, const struct emlfs_dict *dict,
                       struct emlfs_buf *out, struct emlfs_expander **ret, struct emlfs_err *err)
{
    emlfs_buf_clear(out);
    if (record->dict_id && (!dict || dict->id != record->dict_id))
        return plain_failed(record, -ENOKEY, err);
    int r = emlfs_buf_reserve(out, record->plain_len);
    struct emlfs_expander *expander = r < 0 ? NULL : calloc(1, sizeof(*expander));
    if (expander) {
        *expander = (struct emlfs_expander){.record = record, .out = out};
        expander->from = (ZSTD_inBuffer){.src = record->stored.data};
        expander->to = (ZSTD_outBuffer){.dst = out->data, .size = record->plain_len};
    } else if (r == 0) {
        r = -ENOMEM;
    }
    if (r == 0 && (record->flags & EMLFS_PACKED_ZSTD)) {
        expander->ctx = context_get();
        r = expander->ctx ? context_begin(expander->ctx, record->dict_id ? dict : NULL, true)
                          : -ENOMEM;
    }
    if (r < 0) {
        emlfs_expander_free(expander);
        return plain_failed(record, r, err);
    }
    *ret = expander;
    return 0;
}

int emlfs_expander_to(struct emlfs_expander *expander, size_t want, struct emlfs_err *err)
{
    const struct emlfs_record *record = expander->record;
    int r = 0;
    if (want > record->plain_len)
        want = record->plain_len;
    if (want <= expander->out->len)
        return 0;
    if (expander->ctx) {
        r = expand_to(expander, want);
        expander->out->len = expander->to.pos;
    } else {
        emlfs_buf_clear(expander->out);
        r = plain_copy(record, want, expander->out);
    }
    return r < 0 ? plain_failed(record, r, err) : 0;
}

void emlfs_expander_free(struct emlfs_expander *expander)
{
    if (expander && expander->ctx)
        context_put(expander->ctx);
    free(expander);
}
