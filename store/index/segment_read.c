/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "segment_cache.h"

/*
 * Opening segment files and getting at their blocks. Invariants (store/FORMAT.md): S-FILE-1 the
 * footer covers the trailer and the file ends with it; S-FILE-2 blocks of a stream ascend in the
 * file and lie between header and footer; S-FILE-3 all blocks of a byte stream but the last hold
 * BLOCK_BYTES.
 */

#define OWN_CACHE_BYTES (2u << 20)
#define POOL_MAX 16u

/* Contexts that hold the expanded key, one per thread that decrypts just now. */
struct gcm_pool {
    pthread_mutex_t lock;
    struct emlfs_key key;
    struct segment_seal free[POOL_MAX];
    unsigned n;
    uint8_t header[SEGMENT_HEADER_BYTES];
};

int segment_impossible(struct emlfs_err *err, const char *what)
{
    return emlfs_err_set(err, EUCLEAN, "index", "impossible %s in a segment", what);
}

/* ---- decryption */

static int pool_take(struct gcm_pool *pool, struct segment_seal *ret)
{
    pthread_mutex_lock(&pool->lock);
    const bool have = pool->n > 0;
    if (have)
        *ret = pool->free[--pool->n];
    pthread_mutex_unlock(&pool->lock);
    if (have)
        return 0;
    memcpy(ret->header, pool->header, sizeof(ret->header));
    return emlfs_gcm_new(&pool->key, &ret->gcm);
}

static void pool_give(struct gcm_pool *pool, const struct segment_seal *seal)
{
    pthread_mutex_lock(&pool->lock);
    const bool full = pool->n == POOL_MAX;
    if (!full)
        pool->free[pool->n++] = *seal;
    pthread_mutex_unlock(&pool->lock);
    if (full)
        emlfs_gcm_free(seal->gcm);
}

static void pool_free(struct gcm_pool *pool)
{
    if (!pool)
        return;
    while (pool->n > 0)
        emlfs_gcm_free(pool->free[--pool->n].gcm);
    pthread_mutex_destroy(&pool->lock);
    emlfs_wipe(&pool->key, sizeof(pool->key));
    free(pool);
}

static int pool_new(const struct emlfs_key *index_key, const uint8_t *header, struct gcm_pool **ret)
{
    struct gcm_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    pthread_mutex_init(&pool->lock, NULL);
    memcpy(pool->header, header, sizeof(pool->header));
    *ret = pool;
    return segment_key_derive(index_key, header, &pool->key);
}

/* With room for what stands behind a plain block. */
static int sealed_read(const struct segment_file *file, const struct block_place *place,
                       struct emlfs_buf *block)
{
    block->len = 0;
    int r = emlfs_buf_reserve(block, place->stored + BITS_PAD_BYTES);
    if (r < 0)
        return r;
    const ssize_t n = emlfs_os_pread_full(file->fd, block->data, place->stored, place->offset);
    if (n < 0)
        return (int)n;
    block->len = (size_t)n;
    return block->len < place->stored ? -EBADMSG : 0;
}

static int block_load(const struct segment_file *file, const struct block_place *place,
                      const struct block_name *name, const uint8_t *trailer,
                      struct emlfs_buf *plain)
{
    struct segment_seal seal;
    int r = sealed_read(file, place, plain);
    if (r == 0)
        r = pool_take(file->pool, &seal);
    if (r < 0)
        return r;
    r = block_unseal(&seal, name, trailer, plain);
    pool_give(file->pool, &seal);
    return r;
}

static int load_error(int rc, enum stream_kind kind, uint32_t index, struct emlfs_err *err)
{
    return emlfs_err_sys(err, -rc, "index", "block %u of stream %u of a segment", index, kind);
}

int block_get(struct segment_file *file, enum stream_kind kind, uint32_t index,
              struct cached_block **ret, struct emlfs_err *err)
{
    const struct stream_table *table = &file->streams[kind];
    if (index >= table->n)
        return segment_impossible(err, "block");
    const struct block_place *place = &table->places[index];
    const struct block_name name = {.number = place->number, .kind = kind, .index = index};
    *ret = segment_cache_get(file->cache, file->id, place->number);
    if (*ret)
        return 0;
    struct emlfs_buf plain = EMLFS_BUF_INIT(BLOCK_MAX_BYTES + BLOCK_EXTRA_BYTES + BITS_PAD_BYTES);
    int r = block_load(file, place, &name, NULL, &plain);
    const uint64_t before = (uint64_t)index * BLOCK_BYTES;
    if (r == 0 && stream_is_bytes(kind) &&
        plain.len != (index + 1 < table->n ? BLOCK_BYTES : table->len - before))
        r = -EUCLEAN; /* S-FILE-3 */
    if (r == 0) {
        *ret = segment_cache_add(file->cache, file->id, place->number, &plain);
        r = *ret ? 0 : -ENOMEM;
    }
    emlfs_buf_wipe(&plain);
    return r < 0 ? load_error(r, kind, index, err) : 0;
}

struct emlfs_span block_bytes(const struct cached_block *block)
{
    return segment_cache_bytes(block);
}

void block_put(struct segment_file *file, struct cached_block *block)
{
    if (block)
        segment_cache_put(file->cache, block);
}

/* ---- byte streams and ordered streams */

int stream_read(struct stream_reader *reader, uint64_t at, size_t len, uint8_t *ret,
                struct emlfs_err *err)
{
    const uint64_t total = reader->file->streams[reader->kind].len;
    if (at > total || len > total - at)
        return segment_impossible(err, "place");
    while (len > 0) {
        const uint32_t index = (uint32_t)(at / BLOCK_BYTES);
        if (!reader->block || reader->index != index) {
            stream_reader_end(reader);
            int r = block_get(reader->file, reader->kind, index, &reader->block, err);
            if (r < 0)
                return r;
            reader->index = index;
        }
        const struct emlfs_span bytes = block_bytes(reader->block);
        const size_t skip = (size_t)(at % BLOCK_BYTES);
        const size_t n = len < bytes.len - skip ? len : bytes.len - skip;
        memcpy(ret, bytes.data + skip, n);
        ret += n;
        at += n;
        len -= n;
    }
    return 0;
}

void stream_reader_end(struct stream_reader *reader)
{
    block_put(reader->file, reader->block);
    reader->block = NULL;
}

struct emlfs_span stream_key(const struct stream_table *table, uint32_t index)
{
    const uint32_t begin = index ? table->ends[index - 1] : 0;
    return emlfs_span_of(table->keys + begin, table->ends[index] - begin);
}

int64_t stream_find(const struct stream_table *table, const void *key,
                    int (*cmp)(const void *key, struct emlfs_span first))
{
    uint32_t low = 0, high = table->n;
    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;
        if (cmp(key, stream_key(table, mid)) < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return (int64_t)low - 1;
}

static uint32_t page_offset(const uint8_t *offsets, uint32_t i)
{
    return (uint32_t)offsets[2 * i] | (uint32_t)offsets[2 * i + 1] << 8;
}

int block_pages_of(struct emlfs_span block, struct block_pages *ret)
{
    if (block.len < 4)
        return -EUCLEAN;
    const uint32_t n = page_offset(block.data + block.len - 2, 0);
    if (n == 0 || 2 * ((size_t)n + 1) >= block.len)
        return -EUCLEAN;
    const size_t end = block.len - 2 * ((size_t)n + 1);
    *ret = (struct block_pages){
        .bytes = emlfs_span_of(block.data, end), .offsets = block.data + end, .n = n};
    if (page_offset(ret->offsets, 0) != 0)
        return -EUCLEAN;
    for (uint32_t i = 1; i < n; i++)
        if (page_offset(ret->offsets, i) <= page_offset(ret->offsets, i - 1))
            return -EUCLEAN;
    return page_offset(ret->offsets, n - 1) < end ? 0 : -EUCLEAN;
}

struct emlfs_span block_page(const struct block_pages *pages, uint32_t i)
{
    const uint32_t begin = page_offset(pages->offsets, i);
    const uint32_t end =
        i + 1 < pages->n ? page_offset(pages->offsets, i + 1) : (uint32_t)pages->bytes.len;
    return emlfs_span_of(pages->bytes.data + begin, end - begin);
}

/* ---- opening */

static uint64_t le_get(const uint8_t *in, unsigned n)
{
    uint64_t value = 0;
    for (unsigned i = n; i > 0; i--)
        value = value << 8 | in[i - 1];
    return value;
}

struct footer_place {
    uint64_t offset, len;
    uint32_t number;
    uint8_t trailer[SEGMENT_TRAILER_BYTES];
};

static int trailer_read(struct segment_file *file, struct footer_place *ret)
{
    const uint64_t size = file->info.file_bytes;
    if (size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return -EBADMSG;
    const uint64_t end = size - SEGMENT_TRAILER_BYTES;
    if (emlfs_os_pread_full(file->fd, ret->trailer, sizeof(ret->trailer), end) !=
        (ssize_t)sizeof(ret->trailer))
        return -EIO;
    ret->offset = le_get(ret->trailer + 8, 8);
    ret->len = le_get(ret->trailer + 16, 8);
    ret->number = (uint32_t)le_get(ret->trailer + 24, 4);
    if (memcmp(ret->trailer, "EMLFSIXE", 8) != 0 || ret->offset > end || ret->len == 0 ||
        ret->len > end - ret->offset)
        return -EBADMSG;
    const uint64_t blocks = (ret->len + BLOCK_MAX_BYTES - 1) / BLOCK_MAX_BYTES;
    return ret->offset + ret->len + blocks * BLOCK_EXTRA_BYTES == end ? 0 : -EBADMSG;
}

static int footer_read(struct segment_file *file, const struct footer_place *place,
                       struct emlfs_buf *footer)
{
    struct emlfs_buf plain = EMLFS_BUF_INIT(BLOCK_MAX_BYTES + BLOCK_EXTRA_BYTES + BITS_PAD_BYTES);
    uint64_t offset = place->offset, left = place->len;
    int r = emlfs_buf_reserve(footer, place->len);
    for (uint32_t i = 0; left > 0 && r == 0; i++) {
        const uint32_t n = left < BLOCK_MAX_BYTES ? (uint32_t)left : BLOCK_MAX_BYTES;
        const struct block_place at = {.offset = offset, .stored = n + BLOCK_EXTRA_BYTES};
        const struct block_name name = {
            .number = place->number + i, .kind = STREAM_FOOTER, .index = i};
        r = block_load(file, &at, &name, place->trailer, &plain);
        if (r == 0)
            r = emlfs_buf_append(footer, plain.data, plain.len);
        offset += at.stored;
        left -= n;
    }
    emlfs_buf_wipe(&plain);
    return r;
}

static int table_read(struct emlfs_cursor *cur, uint64_t file_end, bool keyed,
                      struct stream_table *table)
{
    uint64_t offset = 0, number = 0, keys_len = 0;
    /* An entry has three bytes at least: what is allocated is bounded by what is there. */
    table->n = (uint32_t)emlfs_cursor_varint_max(cur, emlfs_cursor_left(cur) / 3);
    table->len = emlfs_cursor_varint(cur);
    if (cur->bad || table->n == 0)
        return cur->bad || table->len != 0 ? -EUCLEAN : 0;
    table->places = calloc(table->n, sizeof(*table->places));
    table->ends = keyed ? calloc(table->n, sizeof(*table->ends)) : NULL;
    table->keys = keyed ? malloc(emlfs_cursor_left(cur) + 1) : NULL;
    if (!table->places || (keyed && (!table->ends || !table->keys)))
        return -ENOMEM;
    for (uint32_t i = 0; i < table->n; i++) {
        struct block_place *place = &table->places[i];
        offset += emlfs_cursor_varint_max(cur, file_end);
        number += emlfs_cursor_varint_max(cur, UINT32_MAX);
        place->stored = (uint32_t)emlfs_cursor_varint_max(cur, BLOCK_MAX_BYTES + BLOCK_EXTRA_BYTES);
        if (cur->bad || offset < SEGMENT_HEADER_BYTES || offset + place->stored > file_end ||
            number > UINT32_MAX || (i > 0 && number <= table->places[i - 1].number))
            return -EUCLEAN;
        place->offset = offset;
        place->number = (uint32_t)number;
        if (!keyed)
            continue;
        const struct emlfs_span key = emlfs_cursor_bytes(cur, TOKEN_MAX_BYTES);
        if (key.len)
            memcpy(table->keys + keys_len, key.data, key.len);
        keys_len += key.len;
        table->ends[i] = (uint32_t)keys_len;
    }
    return cur->bad ? -EUCLEAN : 0;
}

static int footer_decode(struct segment_file *file, struct emlfs_span footer, uint64_t file_end)
{
    struct emlfs_cursor cur = emlfs_cursor_of(footer);
    file->info.first_doc = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    file->info.last_doc = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    file->info.docs = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    file->info.text_bytes = emlfs_cursor_varint(&cur);
    file->terms = emlfs_cursor_varint(&cur);
    file->filings_low = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    for (unsigned i = STREAM_TERMS; i < STREAMS; i++) {
        struct stream_table *table = &file->streams[i];
        int r = table_read(&cur, file_end, !stream_is_bytes(i), table);
        if (r < 0)
            return r;
        const uint64_t blocks = table->len / BLOCK_BYTES + (table->len % BLOCK_BYTES != 0);
        if (stream_is_bytes(i) && blocks != table->n)
            return -EUCLEAN;
    }
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

static int header_read(struct segment_file *file, const char *path,
                       const struct emlfs_key *index_key)
{
    uint8_t header[SEGMENT_HEADER_BYTES];
    static const uint8_t zero[16];
    struct stat st;
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &st) < 0)
        return -errno;
    file->info.file_bytes = (uint64_t)st.st_size;
    const ssize_t n = emlfs_os_pread_full(file->fd, header, sizeof(header), 0);
    if (n < 0)
        return (int)n;
    if (n < (ssize_t)sizeof(header) || memcmp(header, "EMLFSIDX", 8) != 0)
        return -EBADMSG;
    if (le_get(header + 8, 4) != SEGMENT_VERSION)
        return -EPROTONOSUPPORT;
    if (le_get(header + 12, 4) != 0 || memcmp(header + 48, zero, sizeof(zero)) != 0)
        return -EUCLEAN;
    return pool_new(index_key, header, &file->pool);
}

static void file_free(struct segment_file *file)
{
    for (unsigned i = 0; i < STREAMS; i++) {
        struct stream_table *table = &file->streams[i];
        if (table->keys && table->n && table->ends)
            emlfs_wipe(table->keys, table->ends[table->n - 1]);
        free(table->places);
        free(table->keys);
        free(table->ends);
    }
    if (file->cache)
        segment_cache_drop(file->cache, file->id);
    if (file->own_cache)
        segment_cache_free(file->cache);
    pool_free(file->pool);
    emlfs_os_close(&file->fd);
    free(file);
}

static int file_load(struct segment_file *file, const char *path, const struct emlfs_key *index_key)
{
    struct footer_place place;
    int r = header_read(file, path, index_key);
    if (r == 0)
        r = trailer_read(file, &place);
    if (r < 0)
        return r;
    struct emlfs_buf footer = EMLFS_BUF_INIT(place.len);
    r = footer_read(file, &place, &footer);
    if (r == 0)
        r = footer_decode(file, emlfs_buf_view(&footer), place.offset);
    emlfs_buf_wipe(&footer);
    return r;
}

int segment_open_with(const char *path, const struct emlfs_key *index_key,
                      struct segment_cache *cache, struct segment **ret, struct emlfs_err *err)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    struct segment_file *file = calloc(1, sizeof(*file));
    int r = segment && file ? 0 : -ENOMEM;
    if (r == 0) {
        file->fd = -1;
        r = file_load(file, path, index_key);
    }
    if (r == 0 && !cache) {
        r = segment_cache_new(OWN_CACHE_BYTES, &cache);
        file->own_cache = r == 0;
    }
    if (r < 0) {
        if (file)
            file_free(file);
        free(segment);
        return emlfs_err_sys(err, -r, "index", "segment %s", path);
    }
    file->cache = cache;
    file->id = segment_cache_file(cache);
    segment->file = file;
    *ret = segment;
    return 0;
}

int segment_open(const char *path, const struct emlfs_key *index_key, struct segment **ret,
                 struct emlfs_err *err)
{
    return segment_open_with(path, index_key, NULL, ret, err);
}

int segment_of_memory(struct memseg *mem, struct segment **ret)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return -ENOMEM;
    segment->mem = mem;
    *ret = segment;
    return 0;
}

void segment_close(struct segment *segment)
{
    if (!segment)
        return;
    if (segment->file)
        file_free(segment->file);
    free(segment);
}

void segment_get_info(const struct segment *segment, struct segment_info *ret)
{
    uint32_t low;
    if (segment->mem)
        memseg_get_info(segment->mem, ret, &low);
    else
        *ret = segment->file->info;
}

bool segment_overrules(const struct segment *segment, uint32_t doc)
{
    struct segment_info info;
    uint32_t low;
    if (segment->mem)
        memseg_get_info(segment->mem, &info, &low);
    else
        low = segment->file->filings_low;
    return low != 0 && low < doc;
}
