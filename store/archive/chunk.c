/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An entries row: up to CHUNK_MAX neighbouring entries of one folder, in message number order, one
 * zstd frame. One row instead of 128 makes a listing one scan and lets the names share what they
 * repeat.
 *
 * I-CHUNK-1  numbers strictly ascend
 * I-CHUNK-2  1 <= entries <= CHUNK_MAX in a stored row
 */
#include <stdlib.h>
#include <zstd.h>

#include "emlfs/base/cursor.h"
#include "internal.h"

#define CHUNK_PLAIN_MAX_BYTES (CHUNK_MAX * (EMLFS_NAME_MAX_BYTES + 64u))
#define CHUNK_LEVEL 5

struct chunk *chunk_new(void)
{
    struct chunk *chunk = calloc(1, sizeof(*chunk));

    if (chunk)
        chunk->plain = EMLFS_BUF_INIT(2 * CHUNK_PLAIN_MAX_BYTES);
    return chunk;
}

void chunk_free(struct chunk *chunk)
{
    if (!chunk)
        return;
    emlfs_buf_free(&chunk->plain);
    free(chunk);
}

static int entry_encode(const struct chunk_entry *entry, const struct chunk_entry *previous,
                        struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, entry->number - previous->number);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, entry->flags);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, entry->size_bytes);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, entry->mtime_sec - previous->mtime_sec);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, entry->archived_ns - previous->archived_ns);
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, entry->stem);
}

static int chunk_plain(const struct chunk *chunk, struct emlfs_buf *out)
{
    struct chunk_entry previous = {0};
    int rc = emlfs_buf_append_varint(out, chunk->n);

    for (unsigned i = 0; i < chunk->n && rc == 0; i++) {
        rc = entry_encode(&chunk->v[i], &previous, out);
        previous = chunk->v[i];
    }
    return rc;
}

int chunk_encode(const struct chunk *chunk, struct emlfs_buf *out)
{
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(CHUNK_PLAIN_MAX_BYTES);
    size_t n, start = out->len;
    int rc = chunk_plain(chunk, &plain);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, plain.len);
    if (rc == 0)
        rc = emlfs_buf_reserve(out, ZSTD_compressBound(plain.len));
    if (rc < 0) {
        out->len = start;
        return rc;
    }
    n = ZSTD_compress(out->data + out->len, out->cap - out->len, plain.data, plain.len,
                      CHUNK_LEVEL);
    if (ZSTD_isError(n)) {
        out->len = start;
        return -ENOMEM;
    }
    out->len += n;
    return 0;
}

static bool entry_take(struct emlfs_cursor *cur, const struct chunk_entry *previous,
                       struct chunk_entry *ret)
{
    uint64_t delta = emlfs_cursor_varint_max(cur, UINT32_MAX);
    int64_t mtime, archived;

    ret->number = (uint32_t)(previous->number + delta);
    ret->flags = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    ret->size_bytes = emlfs_cursor_varint(cur);
    mtime = emlfs_cursor_svarint(cur);
    archived = emlfs_cursor_svarint(cur);
    ret->stem = emlfs_cursor_bytes(cur, EMLFS_NAME_MAX_BYTES);
    if (__builtin_add_overflow(previous->mtime_sec, mtime, &ret->mtime_sec) ||
        __builtin_add_overflow(previous->archived_ns, archived, &ret->archived_ns))
        return false;
    return !cur->bad && delta > 0 && previous->number + delta <= UINT32_MAX;
}

static int chunk_parse(struct chunk *chunk)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_buf_view(&chunk->plain));
    struct chunk_entry previous = {0};
    unsigned n = (unsigned)emlfs_cursor_varint_max(&cur, CHUNK_MAX);

    if (cur.bad || n == 0)
        return -EUCLEAN;
    for (unsigned i = 0; i < n; i++) {
        if (!entry_take(&cur, &previous, &chunk->v[i]))
            return -EUCLEAN;
        previous = chunk->v[i];
    }
    chunk->n = n;
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

int chunk_decode(struct emlfs_span value, struct chunk *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    size_t n, plain_len = (size_t)emlfs_cursor_varint_max(&cur, CHUNK_PLAIN_MAX_BYTES);
    int rc;

    if (cur.bad)
        return -EUCLEAN;
    ret->n = 0;
    emlfs_buf_clear(&ret->plain);
    rc = emlfs_buf_reserve(&ret->plain, plain_len);
    if (rc < 0)
        return rc;
    n = ZSTD_decompress(ret->plain.data, plain_len, cur.pos, emlfs_cursor_left(&cur));
    if (ZSTD_isError(n) || n != plain_len)
        return -EUCLEAN;
    ret->plain.len = n;
    return chunk_parse(ret);
}

int chunk_find(const struct chunk *chunk, uint32_t number, unsigned *ret_at)
{
    unsigned low = 0, high = chunk->n;

    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (chunk->v[mid].number < number)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_at = low;
    return low < chunk->n && chunk->v[low].number == number ? (int)low : -1;
}

/* Stems live in plain; growing it may move it, so they are carried along. */
static int stem_keep(struct chunk *chunk, struct emlfs_span stem, struct emlfs_span *ret)
{
    const uint8_t *old = chunk->plain.data;
    size_t at = chunk->plain.len;
    int rc;

    *ret = (struct emlfs_span){0};
    if (stem.len == 0)
        return 0;
    rc = emlfs_buf_append(&chunk->plain, stem.data, stem.len);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < chunk->n && old != chunk->plain.data; i++)
        chunk->v[i].stem.data = chunk->plain.data + (chunk->v[i].stem.data - old);
    *ret = emlfs_span_of(chunk->plain.data + at, stem.len);
    return 0;
}

/* Removed stems leave holes in plain: write the chunk out and in again. */
static int chunk_tidy(struct chunk *chunk)
{
    struct emlfs_buf plain = EMLFS_BUF_INIT(chunk->plain.max_bytes);
    int rc = chunk_plain(chunk, &plain);

    if (rc < 0) {
        emlfs_buf_free(&plain);
        return rc;
    }
    emlfs_buf_free(&chunk->plain);
    chunk->plain = plain;
    return chunk->n > 0 ? chunk_parse(chunk) : 0;
}

int chunk_insert(struct chunk *chunk, const struct chunk_entry *entry)
{
    struct emlfs_span stem;
    unsigned at;
    int rc;

    if (chunk_find(chunk, entry->number, &at) >= 0)
        return -EEXIST;
    if (chunk->n >= CHUNK_MAX)
        return -ENOSPC;
    if (chunk->plain.len > CHUNK_PLAIN_MAX_BYTES) {
        rc = chunk_tidy(chunk);
        if (rc < 0)
            return rc;
    }
    rc = stem_keep(chunk, entry->stem, &stem);
    if (rc < 0)
        return rc;
    memmove(&chunk->v[at + 1], &chunk->v[at], (chunk->n - at) * sizeof(chunk->v[0]));
    chunk->v[at] = *entry;
    chunk->v[at].stem = stem;
    chunk->n++;
    return 0;
}

void chunk_remove(struct chunk *chunk, unsigned at)
{
    memmove(&chunk->v[at], &chunk->v[at + 1], (chunk->n - at - 1) * sizeof(chunk->v[0]));
    chunk->n--;
}
