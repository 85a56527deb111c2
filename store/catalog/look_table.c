/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One table of LevelDB: sorted rows in blocks, and an index with the last key of each.
 *
 * K-TABLE-1  A block is used only behind its checksum.
 * K-TABLE-2  Rows in another order than theirs give wrong answers, but no endless walk: a seek
 *            compares every row it stands at.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"
#include "look.h"
#include "snappy.h"

#define FOOTER_BYTES ((size_t)48)
#define MAGIC 0xdb4775248b80fb57u
#define TRAILER_BYTES ((size_t)5) /* of a block: type, checksum */
#define TAG_BYTES ((size_t)8)     /* of a key: sequence and kind */
#define CONTENT_MAX_BYTES ((size_t)8 << 20)
#define KEYS_MAX_BYTES ((size_t)64 << 20)
#define BLOCKS_MAX ((size_t)1 << 20)
#define KEPT 4u /* blocks of a table that are kept expanded: there may be a thousand tables */
#define KEPT_MAX_BYTES ((size_t)8 << 10)

struct handle {
    uint64_t offset, len; /* without the trailer */
};
struct block_at {
    struct handle handle;
    uint32_t key, key_len; /* in keys, without the tag: no row of the block has a greater one */
};

struct kept {
    size_t block;
    struct emlfs_buf content; /* empty: none */
};

struct look_table {
    const struct crc32c *crc;
    int fd; /* -1: the file is opened by its number for each read, since there may be many */
    int dir_fd;
    uint64_t number;
    uint64_t bytes;
    struct emlfs_buf keys;
    struct emlfs_buf blocks; /* of struct block_at */
    pthread_mutex_t lock;    /* of kept */
    struct kept kept[KEPT];
};

static size_t blocks_n(const struct look_table *table)
{
    return table->blocks.len / sizeof(struct block_at);
}

static const struct block_at *block_at(const struct look_table *table, size_t at)
{
    return (const struct block_at *)table->blocks.data + at;
}

static struct emlfs_span block_key(const struct look_table *table, size_t at)
{
    return emlfs_span_of(table->keys.data + block_at(table, at)->key, block_at(table, at)->key_len);
}

static struct handle handle_take(struct emlfs_cursor *cur)
{
    struct handle handle;

    handle.offset = emlfs_cursor_varint(cur);
    handle.len = emlfs_cursor_varint(cur);
    return handle;
}

/* ---- blocks */

/* .sst is what old versions called it. */
static int file_open(int dir_fd, uint64_t number)
{
    static const char *const ends[] = {"ldb", "sst"};
    char name[40];
    int fd = -1;

    for (unsigned i = 0; i < 2 && fd < 0; i++) {
        (void)snprintf(name, sizeof(name), "%06llu.%s", (unsigned long long)number, ends[i]);
        fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno != ENOENT)
            break;
    }
    return fd < 0 ? -errno : fd;
}

int look_table_there(int dir_fd, uint64_t number)
{
    EMLFS_FD_CLEANUP int fd = file_open(dir_fd, number);

    return fd < 0 ? fd : 0;
}

/* The table's file. *ret_opened is for the caller to close. */
static int table_fd(const struct look_table *table, int *ret_opened)
{
    *ret_opened = table->fd < 0 ? file_open(table->dir_fd, table->number) : -1;
    return table->fd < 0 ? *ret_opened : table->fd;
}

/* -EUCLEAN: the file is not as long as told. */
static int size_check(const struct look_table *table)
{
    EMLFS_FD_CLEANUP int opened = -1;
    int fd = table_fd(table, &opened);
    struct stat st;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    return (uint64_t)st.st_size == table->bytes ? 0 : -EUCLEAN;
}

/* len bytes at offset, into data. -EUCLEAN: there are fewer. */
static int bytes_read(const struct look_table *table, void *data, size_t len, uint64_t offset)
{
    EMLFS_FD_CLEANUP int opened = -1;
    int fd = table_fd(table, &opened);

    if (fd < 0)
        return fd;
    ssize_t n = emlfs_os_pread_full(fd, data, len, offset);
    return n < 0 ? (int)n : (size_t)n == len ? 0 : -EUCLEAN;
}

static int file_read(const struct look_table *table, struct handle handle, struct emlfs_buf *out)
{
    emlfs_buf_clear(out);
    if (handle.len > CONTENT_MAX_BYTES || handle.len + TRAILER_BYTES > table->bytes ||
        handle.offset > table->bytes - handle.len - TRAILER_BYTES)
        return -EUCLEAN;
    size_t want = (size_t)handle.len + TRAILER_BYTES;
    int r = emlfs_buf_reserve(out, want);
    if (r < 0)
        return r;
    r = bytes_read(table, out->data, want, handle.offset);
    out->len = r < 0 ? 0 : want;
    return r;
}

/* stored is scratch. */
static int content_read(const struct look_table *table, struct handle handle,
                        struct emlfs_buf *stored, struct emlfs_buf *out)
{
    int r = file_read(table, handle, stored);

    emlfs_buf_clear(out);
    if (r < 0)
        return r;
    struct emlfs_span body = emlfs_span_of(stored->data, (size_t)handle.len);
    struct emlfs_cursor trailer =
        emlfs_cursor_of(emlfs_span_of(stored->data + body.len, TRAILER_BYTES));
    struct emlfs_span type = emlfs_cursor_take(&trailer, 1);
    if (!look_crc_fits(table->crc, body, type, emlfs_cursor_u32le(&trailer)))
        return -EUCLEAN;
    if (type.data[0] == 1)
        return catalog_snappy_expand(body, CONTENT_MAX_BYTES, out);
    return type.data[0] == 0 ? emlfs_buf_append(out, body.data, body.len) : -EUCLEAN;
}

/* Where the entries end: behind them stand the places to restart at, and how many there are. */
static int entries_end(struct emlfs_span content, size_t *ret)
{
    if (content.len < 4)
        return -EUCLEAN;
    struct emlfs_cursor tail = emlfs_cursor_of(emlfs_span_of(content.data + content.len - 4, 4));
    uint64_t places = emlfs_cursor_u32le(&tail);
    if (places == 0 || places > (content.len - 4) / 4)
        return -EUCLEAN;
    *ret = content.len - 4 - (size_t)places * 4;
    return 0;
}

/* The entry at *at of content; key is that of the entry before, and becomes this one's. */
static int entry_read(struct emlfs_span content, size_t *at, struct emlfs_buf *key,
                      struct emlfs_span *ret_value)
{
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(content.data + *at, content.len - *at));
    size_t shared = (size_t)emlfs_cursor_varint_max(&cur, key->len);
    size_t rest = (size_t)emlfs_cursor_varint_max(&cur, LOOK_KEY_MAX_BYTES);
    size_t len = (size_t)emlfs_cursor_varint_max(&cur, LOOK_VALUE_MAX_BYTES);
    struct emlfs_span tail = emlfs_cursor_take(&cur, rest);
    *ret_value = emlfs_cursor_take(&cur, len);
    if (cur.bad || shared + rest < TAG_BYTES)
        return -EUCLEAN;
    key->len = shared;
    int r = emlfs_buf_append(key, tail.data, tail.len);
    *at = (size_t)(cur.pos - content.data);
    return r;
}

/* ---- opening */

static int index_add(struct look_table *table, struct emlfs_span key, struct emlfs_span value)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct block_at block = {.handle = handle_take(&cur),
                             .key = (uint32_t)table->keys.len,
                             .key_len = (uint32_t)(key.len - TAG_BYTES)};
    size_t n = blocks_n(table);

    key.len -= TAG_BYTES;
    if (!emlfs_cursor_done(&cur) || (n > 0 && catalog_compare(key, block_key(table, n - 1)) < 0))
        return -EUCLEAN;
    int r = emlfs_buf_append(&table->keys, key.data, key.len);
    return r < 0 ? r : emlfs_buf_append(&table->blocks, &block, sizeof(block));
}

static int index_read(struct look_table *table, struct handle handle)
{
    struct emlfs_buf stored EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(CONTENT_MAX_BYTES + TRAILER_BYTES);
    struct emlfs_buf content EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(CONTENT_MAX_BYTES);
    struct emlfs_buf key EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(2 * LOOK_KEY_MAX_BYTES);
    struct emlfs_span value;
    size_t at = 0, end = 0;
    int r = content_read(table, handle, &stored, &content);

    if (r == 0)
        r = entries_end(emlfs_buf_view(&content), &end);
    while (r == 0 && at < end) {
        r = entry_read(emlfs_span_of(content.data, end), &at, &key, &value);
        if (r == 0)
            r = index_add(table, emlfs_buf_view(&key), value);
    }
    return r;
}

static int footer_read(struct look_table *table, struct handle *ret_index)
{
    uint8_t bytes[FOOTER_BYTES];

    if (table->bytes < FOOTER_BYTES)
        return -EUCLEAN;
    int r = bytes_read(table, bytes, sizeof(bytes), table->bytes - FOOTER_BYTES);
    if (r < 0)
        return r;
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes, sizeof(bytes)));
    struct emlfs_cursor magic = emlfs_cursor_of(emlfs_span_of(bytes + FOOTER_BYTES - 8, 8));
    (void)handle_take(&cur); /* of filters and the like */
    *ret_index = handle_take(&cur);
    return cur.bad || emlfs_cursor_u64le(&magic) != MAGIC ? -EUCLEAN : 0;
}

/* Takes the file of like in any case. */
static int table_new(const struct look_table *like, struct look_table **ret)
{
    struct look_table *table = malloc(sizeof(*table));
    struct handle index;
    int fd = like->fd;

    if (!table) {
        emlfs_os_close(&fd);
        return -ENOMEM;
    }
    *table = *like;
    pthread_mutex_init(&table->lock, NULL);
    table->keys = EMLFS_BUF_INIT(KEYS_MAX_BYTES);
    table->blocks = EMLFS_BUF_INIT(BLOCKS_MAX * sizeof(struct block_at));
    int r = size_check(table);
    if (r == 0)
        r = footer_read(table, &index);
    if (r == 0)
        r = index_read(table, index);
    if (r < 0) {
        look_table_free(table);
        return r;
    }
    *ret = table;
    return 0;
}

int look_table_of(const struct crc32c *crc, int fd, uint64_t bytes, struct look_table **ret)
{
    const struct look_table like = {.crc = crc, .fd = fd, .bytes = bytes};

    return table_new(&like, ret);
}

int look_table_open(const struct crc32c *crc, int dir_fd, const struct look_file *file,
                    struct look_table **ret)
{
    const struct look_table like = {
        .crc = crc, .fd = -1, .dir_fd = dir_fd, .number = file->number, .bytes = file->bytes};

    return table_new(&like, ret);
}

void look_table_free(struct look_table *table)
{
    if (!table)
        return;
    for (unsigned i = 0; i < KEPT; i++)
        emlfs_buf_free(&table->kept[i].content);
    pthread_mutex_destroy(&table->lock);
    emlfs_os_close(&table->fd);
    emlfs_buf_free(&table->keys);
    emlfs_buf_free(&table->blocks);
    free(table);
}

/* ---- a place in it */

void look_cursor_begin(struct look_cursor *cursor, struct look_table *table)
{
    *cursor = (struct look_cursor){
        .table = table,
        .block = SIZE_MAX,
        .stored = EMLFS_BUF_INIT(CONTENT_MAX_BYTES + TRAILER_BYTES),
        .content = EMLFS_BUF_INIT(CONTENT_MAX_BYTES),
        .key = EMLFS_BUF_INIT(2 * LOOK_KEY_MAX_BYTES),
    };
}

void look_cursor_free(struct look_cursor *cursor)
{
    emlfs_buf_free(&cursor->stored);
    emlfs_buf_free(&cursor->content);
    emlfs_buf_free(&cursor->key);
}

/* 1: a copy of block, from when it was read before. */
static int kept_get(struct look_table *table, size_t block, struct emlfs_buf *out)
{
    const struct kept *kept = &table->kept[block % KEPT];
    int r = 0;

    emlfs_buf_clear(out);
    pthread_mutex_lock(&table->lock);
    if (kept->content.len > 0 && kept->block == block)
        r = emlfs_buf_append(out, kept->content.data, kept->content.len);
    pthread_mutex_unlock(&table->lock);
    return r == 0 ? out->len > 0 : r;
}

/* Where there is no memory for it, it is not kept. */
static void kept_put(struct look_table *table, size_t block, const struct emlfs_buf *content)
{
    struct kept *kept = &table->kept[block % KEPT];

    if (content->len > KEPT_MAX_BYTES)
        return;
    pthread_mutex_lock(&table->lock);
    kept->block = block;
    kept->content.max_bytes = KEPT_MAX_BYTES;
    emlfs_buf_clear(&kept->content);
    (void)emlfs_buf_append(&kept->content, content->data, content->len);
    pthread_mutex_unlock(&table->lock);
}

static int block_read(struct look_cursor *cursor, size_t block)
{
    struct look_table *table = cursor->table;
    int r = kept_get(table, block, &cursor->content);

    if (r != 0)
        return r < 0 ? r : 0;
    r = content_read(table, block_at(table, block)->handle, &cursor->stored, &cursor->content);
    if (r == 0)
        kept_put(table, block, &cursor->content);
    return r;
}

/* Before the first entry of block; one that is at hand is not read again. */
static int block_enter(struct look_cursor *cursor, size_t block)
{
    int r = 0;

    cursor->valid = false;
    if (cursor->block != block) {
        cursor->block = SIZE_MAX;
        r = block_read(cursor, block);
        if (r == 0)
            r = entries_end(emlfs_buf_view(&cursor->content), &cursor->end);
        if (r < 0)
            return r;
        cursor->block = block;
    }
    cursor->at = 0;
    emlfs_buf_clear(&cursor->key);
    return 0;
}

/* The next entry of the block; not valid: its end. */
static int block_next(struct look_cursor *cursor)
{
    struct emlfs_span value;

    cursor->valid = false;
    if (cursor->at >= cursor->end)
        return 0;
    int r = entry_read(emlfs_span_of(cursor->content.data, cursor->end), &cursor->at, &cursor->key,
                       &value);
    if (r < 0)
        return r;
    size_t len = cursor->key.len - TAG_BYTES;
    struct emlfs_cursor tag = emlfs_cursor_of(emlfs_span_of(cursor->key.data + len, TAG_BYTES));
    uint64_t number = emlfs_cursor_u64le(&tag);
    cursor->row = (struct look_row){.key = emlfs_span_of(cursor->key.data, len),
                                    .value = value,
                                    .sequence = number >> 8,
                                    .deleted = (number & 0xff) == 0};
    cursor->valid = (number & 0xff) <= 1;
    return cursor->valid ? 0 : -EUCLEAN;
}

/* Keys of a block are told by what differs from the one before, but at its places whole. */
static size_t places_n(const struct look_cursor *cursor)
{
    return (cursor->content.len - 4 - cursor->end) / 4;
}

static size_t place_at(const struct look_cursor *cursor, size_t place)
{
    struct emlfs_cursor cur = emlfs_cursor_of(
        emlfs_span_of(cursor->content.data + cursor->end + place * 4, sizeof(uint32_t)));
    return emlfs_cursor_u32le(&cur);
}

static void place_enter(struct look_cursor *cursor, size_t at)
{
    cursor->at = at;
    cursor->valid = false;
    emlfs_buf_clear(&cursor->key);
}

/* Enter block before the last of its places with a row key < key, or where there is none the first.
 */
static int block_enter_below(struct look_cursor *cursor, size_t block, struct emlfs_span key)
{
    size_t low = 0, low_at = 0;
    int r = block_enter(cursor, block);

    for (size_t high = r == 0 ? places_n(cursor) : 0; r == 0 && high - low > 1;) {
        size_t middle = low + (high - low) / 2, at = place_at(cursor, middle);
        if (at >= cursor->end)
            return -EUCLEAN;
        place_enter(cursor, at);
        r = block_next(cursor);
        if (r == 0 && catalog_compare(cursor->row.key, key) < 0) {
            low = middle;
            low_at = at;
        } else {
            high = middle;
        }
    }
    place_enter(cursor, low_at);
    return r;
}

/* The first block that may hold a row with row key >= key. */
static size_t block_find(const struct look_table *table, struct emlfs_span key)
{
    size_t low = 0, high = blocks_n(table);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog_compare(block_key(table, middle), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int look_cursor_next(struct look_cursor *cursor)
{
    int r = block_next(cursor);

    while (r == 0 && !cursor->valid && cursor->block + 1 < blocks_n(cursor->table)) {
        r = block_enter(cursor, cursor->block + 1);
        if (r == 0)
            r = block_next(cursor);
    }
    return r;
}

int look_cursor_seek(struct look_cursor *cursor, struct emlfs_span key)
{
    size_t block = block_find(cursor->table, key);
    int r = 0;

    cursor->valid = false;
    if (block < blocks_n(cursor->table))
        r = block_enter_below(cursor, block, key);
    else
        return 0;
    if (r == 0)
        r = look_cursor_next(cursor);
    while (r == 0 && cursor->valid && catalog_compare(cursor->row.key, key) < 0)
        r = look_cursor_next(cursor);
    return r;
}

/* The last row of the block with row key < key; not valid: none. */
static int block_seek_below(struct look_cursor *cursor, size_t block, struct emlfs_span key)
{
    size_t at = 0, found = 0;
    int r = block_enter_below(cursor, block, key);
    size_t from = cursor->at;

    while (r == 0) {
        at = cursor->at;
        r = block_next(cursor);
        if (r < 0 || !cursor->valid || catalog_compare(cursor->row.key, key) >= 0)
            break;
        found = at + 1;
    }
    /* Keys are told by what differs from the one before: so once more from there. */
    place_enter(cursor, from);
    while (r == 0 && found > 0 && cursor->at < found)
        r = block_next(cursor);
    return r;
}

int look_cursor_seek_below(struct look_cursor *cursor, struct emlfs_span key)
{
    size_t n = blocks_n(cursor->table), block = block_find(cursor->table, key);
    int r = 0;

    cursor->valid = false;
    if (block < n)
        r = block_seek_below(cursor, block, key);
    if (r == 0 && !cursor->valid && block > 0)
        r = block_seek_below(cursor, block - 1, key);
    return r;
}
