/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Logs of LevelDB: of batches of rows, and of changes of the set of tables (the manifest).
 *
 * K-LOG-1  Anything but whole records up to the end of the file is an error, never a row less: a
 *          database that was closed in order has no torn record, which LevelDB would pass over.
 */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "look.h"

#define BLOCK_BYTES ((size_t)32768)
#define HEADER_BYTES ((size_t)7)
#define RECORD_MAX_BYTES ((size_t)64 << 20)
#define CRC_DELTA 0xa282ead8u
#define FILES_MAX 100000u

enum piece { PIECE_ZERO, PIECE_FULL, PIECE_FIRST, PIECE_MIDDLE, PIECE_LAST };

bool look_crc_fits(const struct crc32c *crc, struct emlfs_span first, struct emlfs_span second,
                   uint32_t stored)
{
    uint32_t value = crc32c_of(crc, first, second);

    return ((value >> 15) | (value << 17)) + CRC_DELTA == stored;
}

/* ---- records */

struct log_piece {
    unsigned type;
    struct emlfs_span bytes;
};

/* -ENODATA: the file ends here, exactly. */
static int piece_next(struct look_log *log, struct log_piece *ret)
{
    struct emlfs_cursor *file = log->file;

    if (log->block_left < HEADER_BYTES && emlfs_cursor_left(file) > 0) {
        (void)emlfs_cursor_take(file, log->block_left);
        log->block_left = BLOCK_BYTES;
    }
    if (file->bad || emlfs_cursor_left(file) < HEADER_BYTES)
        return file->bad || emlfs_cursor_left(file) > 0 ? -EUCLEAN : -ENODATA;
    uint32_t crc = emlfs_cursor_u32le(file);
    size_t len = emlfs_cursor_u16le(file);
    struct emlfs_span type = emlfs_cursor_take(file, 1);
    log->block_left -= HEADER_BYTES;
    if (len > log->block_left || len > emlfs_cursor_left(file))
        return -EUCLEAN;
    ret->type = type.data[0];
    ret->bytes = emlfs_cursor_take(file, len);
    log->block_left -= len;
    return look_crc_fits(log->crc, type, ret->bytes, crc) ? 0 : -EUCLEAN;
}

/* The next whole record, borrowed. -ENODATA at the end. */
static int record_next(struct look_log *log, struct emlfs_span *ret)
{
    struct log_piece piece;
    bool inside = false;
    int r;

    emlfs_buf_clear(&log->record);
    while ((r = piece_next(log, &piece)) == 0) {
        bool begins = piece.type == PIECE_FULL || piece.type == PIECE_FIRST;
        if (piece.type < PIECE_FULL || piece.type > PIECE_LAST || begins == inside)
            return -EUCLEAN;
        inside = true;
        r = emlfs_buf_append(&log->record, piece.bytes.data, piece.bytes.len);
        if (r < 0)
            return r;
        if (piece.type == PIECE_FULL || piece.type == PIECE_LAST) {
            *ret = emlfs_buf_view(&log->record);
            return 0;
        }
    }
    return r == -ENODATA && inside ? -EUCLEAN : r;
}

static int records_each(const struct crc32c *crc, struct emlfs_span bytes,
                        int (*each)(void *arg, struct emlfs_span record), void *arg)
{
    struct emlfs_cursor file = emlfs_cursor_of(bytes);
    struct look_log log = {.crc = crc,
                           .file = &file,
                           .block_left = BLOCK_BYTES,
                           .record = EMLFS_BUF_INIT(RECORD_MAX_BYTES)};
    struct emlfs_span record;
    int r;

    while ((r = record_next(&log, &record)) == 0 && (r = each(arg, record)) == 0)
        ;
    emlfs_buf_free(&log.record);
    return r == -ENODATA ? 0 : r;
}

/* ---- the manifest */

enum tag {
    TAG_COMPARATOR = 1,
    TAG_LOG,
    TAG_NEXT_FILE,
    TAG_SEQUENCE,
    TAG_COMPACT_POINTER,
    TAG_DELETED_FILE,
    TAG_NEW_FILE,
    TAG_LOG_BEFORE = 9,
};

void look_version_free(struct look_version *version)
{
    for (size_t i = 0; i < look_files_n(version); i++)
        free(look_files(version)[i]);
    emlfs_buf_free(&version->files);
}

/* A key of a table ends with its tag of 8 bytes. */
static uint32_t bound_take(struct emlfs_cursor *cur, uint8_t ret[LOOK_KEY_MAX_BYTES])
{
    struct emlfs_span key = emlfs_cursor_bytes(cur, LOOK_KEY_MAX_BYTES);

    if (cur->bad || key.len < 8) {
        cur->bad = true;
        return 0;
    }
    memcpy(ret, key.data, key.len - 8);
    return (uint32_t)key.len - 8;
}

static int file_add(struct look_version *version, struct emlfs_cursor *cur)
{
    struct look_file *file = calloc(1, sizeof(*file));
    int r = -ENOMEM;

    if (file) {
        file->level = (unsigned)emlfs_cursor_varint_max(cur, LOOK_LEVELS - 1);
        file->number = emlfs_cursor_varint(cur);
        file->bytes = emlfs_cursor_varint(cur);
        file->small_len = bound_take(cur, file->small);
        file->large_len = bound_take(cur, file->large);
        r = cur->bad ? -EUCLEAN : emlfs_buf_append(&version->files, &file, sizeof(file));
    }
    if (r < 0)
        free(file);
    return r;
}

static int file_remove(struct look_version *version, struct emlfs_cursor *cur)
{
    unsigned level = (unsigned)emlfs_cursor_varint_max(cur, LOOK_LEVELS - 1);
    uint64_t number = emlfs_cursor_varint(cur);
    struct look_file **files = look_files(version);
    size_t n = look_files_n(version);

    for (size_t i = 0; i < n && !cur->bad; i++) {
        if (files[i]->level != level || files[i]->number != number)
            continue;
        free(files[i]);
        files[i] = files[n - 1];
        version->files.len -= sizeof(files[0]);
        break;
    }
    return cur->bad ? -EUCLEAN : 0;
}

static int field_take(struct look_version *version, struct emlfs_cursor *cur)
{
    struct emlfs_span text;

    switch (emlfs_cursor_varint(cur)) {
    case TAG_COMPARATOR:
        text = emlfs_cursor_bytes(cur, 256);
        return emlfs_span_equal(text, emlfs_span_str("leveldb.BytewiseComparator")) ? 0 : -EUCLEAN;
    case TAG_LOG:
        version->log = emlfs_cursor_varint(cur);
        return 0;
    case TAG_LOG_BEFORE:
        version->log_before = emlfs_cursor_varint(cur);
        return 0;
    case TAG_NEXT_FILE:
    case TAG_SEQUENCE:
        (void)emlfs_cursor_varint(cur);
        return 0;
    case TAG_COMPACT_POINTER:
        (void)emlfs_cursor_varint_max(cur, LOOK_LEVELS - 1);
        (void)emlfs_cursor_bytes(cur, LOOK_KEY_MAX_BYTES);
        return 0;
    case TAG_DELETED_FILE:
        return file_remove(version, cur);
    case TAG_NEW_FILE:
        return file_add(version, cur);
    default:
        return -EUCLEAN;
    }
}

static int edit_take(void *arg, struct emlfs_span record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record);
    int r = 0;

    while (r == 0 && !cur.bad && emlfs_cursor_left(&cur) > 0)
        r = field_take(arg, &cur);
    return r == 0 && cur.bad ? -EUCLEAN : r;
}

int look_version_read(const struct crc32c *crc, struct emlfs_span manifest,
                      struct look_version *ret)
{
    *ret = (struct look_version){.files = EMLFS_BUF_INIT(FILES_MAX * sizeof(struct look_file *))};
    int r = records_each(crc, manifest, edit_take, ret);
    if (r < 0)
        look_version_free(ret);
    return r;
}

/* ---- rows */

struct look_row_at {
    uint64_t sequence;
    size_t key, value; /* in bytes */
    uint32_t key_len, value_len;
    const struct look_rows *rows; /* for sorting */
    bool deleted;
};

#define ROWS_MAX_BYTES ((size_t)256 << 20)

void look_rows_free(struct look_rows *rows)
{
    emlfs_buf_free(&rows->bytes);
    emlfs_buf_free(&rows->index);
}

static int row_add(struct look_rows *rows, struct emlfs_cursor *cur, uint64_t sequence)
{
    uint8_t type = emlfs_cursor_u8(cur);
    struct look_row_at row = {.sequence = sequence, .deleted = type == 0, .key = rows->bytes.len};
    struct emlfs_span key = emlfs_cursor_bytes(cur, LOOK_KEY_MAX_BYTES), value = {0};

    if (type == 1)
        value = emlfs_cursor_bytes(cur, LOOK_VALUE_MAX_BYTES);
    if (cur->bad || type > 1)
        return -EUCLEAN;
    row.key_len = (uint32_t)key.len;
    row.value = row.key + key.len;
    row.value_len = (uint32_t)value.len;
    int r = emlfs_buf_append(&rows->bytes, key.data, key.len);
    if (r == 0)
        r = emlfs_buf_append(&rows->bytes, value.data, value.len);
    return r < 0 ? r : emlfs_buf_append(&rows->index, &row, sizeof(row));
}

static int batch_take(void *arg, struct emlfs_span record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record);
    uint64_t sequence = emlfs_cursor_u64le(&cur);
    uint32_t count = emlfs_cursor_u32le(&cur);
    int r = 0;

    for (uint32_t i = 0; i < count && r == 0 && !cur.bad; i++)
        r = row_add(arg, &cur, sequence + i);
    return r == 0 && !emlfs_cursor_done(&cur) ? -EUCLEAN : r;
}

int look_rows_add(const struct crc32c *crc, struct emlfs_span log, struct look_rows *rows)
{
    rows->bytes.max_bytes = rows->index.max_bytes = ROWS_MAX_BYTES;
    int r = emlfs_buf_reserve(&rows->bytes, 1); /* rows without a byte lie somewhere, too */
    return r < 0 ? r : records_each(crc, log, batch_take, rows);
}

static struct emlfs_span row_key(const struct look_row_at *row)
{
    return emlfs_span_of(row->rows->bytes.data + row->key, row->key_len);
}

static int row_order(const void *a, const void *b)
{
    const struct look_row_at *one = a, *other = b;
    int order = catalog_compare(row_key(one), row_key(other));

    return order ? order : (one->sequence < other->sequence) - (one->sequence > other->sequence);
}

size_t look_rows_n(const struct look_rows *rows)
{
    return rows->index.len / sizeof(struct look_row_at);
}

void look_rows_sort(struct look_rows *rows)
{
    struct look_row_at *index = (struct look_row_at *)rows->index.data;
    size_t n = look_rows_n(rows);

    for (size_t i = 0; i < n; i++)
        index[i].rows = rows;
    if (n > 1)
        qsort(index, n, sizeof(*index), row_order);
}

struct look_row look_rows_at(const struct look_rows *rows, size_t at)
{
    const struct look_row_at *row = (const struct look_row_at *)rows->index.data + at;

    return (struct look_row){
        .key = emlfs_span_of(rows->bytes.data + row->key, row->key_len),
        .value = emlfs_span_of(rows->bytes.data + row->value, row->value_len),
        .sequence = row->sequence,
        .deleted = row->deleted,
    };
}
