/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Keys and values of the catalogue. The tables are in store/FORMAT.md; a value that does not decode
 * exactly is -EUCLEAN, whoever asks.
 */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/store_state.h"
#include "internal.h"

#define STORE_ROW_VERSION 1u

static void key_add_u32(struct row_key *key, uint32_t value)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        key->v[key->len++] = (uint8_t)(value >> shift);
}

static void key_add_bytes(struct row_key *key, struct emlfs_span bytes)
{
    size_t n = bytes.len < sizeof(key->v) - key->len ? bytes.len : sizeof(key->v) - key->len;

    memcpy(key->v + key->len, bytes.data, n);
    key->len += n;
}

struct row_key key_u32(uint8_t kind, uint32_t a)
{
    struct row_key key = {.v = {kind}, .len = 1};

    key_add_u32(&key, a);
    return key;
}

struct row_key key_u32_u32(uint8_t kind, uint32_t a, uint32_t b)
{
    struct row_key key = key_u32(kind, a);

    key_add_u32(&key, b);
    return key;
}

struct row_key key_u64(uint8_t kind, uint64_t a)
{
    return key_u32_u32(kind, (uint32_t)(a >> 32), (uint32_t)a);
}

struct row_key key_bytes(uint8_t kind, struct emlfs_span bytes)
{
    struct row_key key = {.v = {kind}, .len = 1};

    key_add_bytes(&key, bytes);
    return key;
}

struct row_key key_u32_bytes(uint8_t kind, uint32_t a, struct emlfs_span bytes)
{
    struct row_key key = key_u32(kind, a);

    key_add_bytes(&key, bytes);
    return key;
}

/* Appends a row of varints; the first failure is what it returns. */
static int put_varints(struct emlfs_buf *out, const uint64_t *values, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int rc = emlfs_buf_append_varint(out, values[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int block_row_encode(const struct block_row *row, struct emlfs_buf *out)
{
    const uint64_t values[] = {row->last - row->first, row->loc.pack_no, row->loc.number,
                               row->loc.offset};

    return put_varints(out, values, 4);
}

static struct emlfs_pack_loc take_loc(struct emlfs_cursor *cur)
{
    struct emlfs_pack_loc loc;

    loc.pack_no = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    loc.number = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    loc.offset = emlfs_cursor_varint(cur);
    return loc;
}

int block_row_decode(uint32_t last, struct emlfs_span value, struct block_row *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);

    ret->last = last;
    ret->first = last - (uint32_t)emlfs_cursor_varint_max(&cur, last);
    ret->loc = take_loc(&cur);
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

int blob_row_encode(const struct blob_row *row, struct emlfs_buf *out)
{
    const uint64_t values[] = {row->loc.pack_no, row->loc.number, row->loc.offset, row->plain_len};

    return put_varints(out, values, 4);
}

int blob_row_decode(struct emlfs_span value, struct blob_row *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);

    ret->loc = take_loc(&cur);
    ret->plain_len = (uint32_t)emlfs_cursor_varint_max(&cur, EMLFS_RECORD_PLAIN_MAX_BYTES);
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

static int end_encode(const struct emlfs_pack_end *end, struct emlfs_buf *out)
{
    const uint64_t values[] = {end->count, end->offset, end->sealed};
    int rc = put_varints(out, values, 3);

    return rc < 0 ? rc : emlfs_buf_append(out, end->chain.v, EMLFS_HASH_BYTES);
}

static void end_take(struct emlfs_cursor *cur, struct emlfs_pack_end *ret)
{
    struct emlfs_span chain;

    ret->count = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    ret->offset = emlfs_cursor_varint(cur);
    ret->file_bytes = ret->offset;
    ret->sealed = emlfs_cursor_varint_max(cur, 1) != 0;
    chain = emlfs_cursor_take(cur, EMLFS_HASH_BYTES);
    if (!cur->bad)
        memcpy(ret->chain.v, chain.data, EMLFS_HASH_BYTES);
}

int mark_encode(const struct mark_row *mark, struct emlfs_buf *out)
{
    const uint64_t values[] = {mark->next_number, mark->next_seq, mark->messages,   mark->bytes,
                               mark->blobs,       mark->dict_id,  mark->end.pack_no};
    int rc = put_varints(out, values, 7);

    return rc < 0 ? rc : end_encode(&mark->end, out);
}

int mark_decode(struct emlfs_span value, struct mark_row *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);

    memset(ret, 0, sizeof(*ret));
    ret->next_number = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    ret->next_seq = emlfs_cursor_varint(&cur);
    ret->messages = emlfs_cursor_varint(&cur);
    ret->bytes = emlfs_cursor_varint(&cur);
    ret->blobs = emlfs_cursor_varint(&cur);
    ret->dict_id = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    ret->end.pack_no = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    end_take(&cur, &ret->end);
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

int folder_stat_encode(const struct folder_stat *stat, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, stat->entries);

    return rc < 0 ? rc : emlfs_buf_append_svarint(out, stat->mtime_ns);
}

int folder_stat_decode(struct emlfs_span value, struct folder_stat *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);

    ret->entries = emlfs_cursor_varint(&cur);
    ret->mtime_ns = emlfs_cursor_svarint(&cur);
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

void filed_list_free(struct filed_list *list)
{
    free(list->v);
    *list = (struct filed_list){0};
}

int filed_encode(const struct filed_list *list, struct emlfs_buf *out)
{
    int rc = 0;

    for (unsigned i = 0; i < list->n && rc >= 0; i++) {
        const struct filed *f = &list->v[i];
        const uint64_t values[] = {f->user, f->folder, f->source, f->run};
        rc = put_varints(out, values, 4);
    }
    return rc;
}

int filed_add(struct filed_list *list, const struct filed *filed)
{
    struct filed *grown;

    if (list->n >= FILED_MAX)
        return -E2BIG;
    grown = reallocarray(list->v, list->n + 1, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    list->v = grown;
    list->v[list->n++] = *filed;
    return 0;
}

int filed_decode(struct emlfs_span value, struct filed_list *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    int rc = 0;

    *ret = (struct filed_list){0};
    while (emlfs_cursor_left(&cur) > 0 && !cur.bad && rc == 0) {
        struct filed f;
        f.user = (uint16_t)emlfs_cursor_varint_max(&cur, UINT16_MAX);
        f.folder = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
        f.source = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
        f.run = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
        if (!cur.bad)
            rc = filed_add(ret, &f);
    }
    if (rc == 0 && cur.bad)
        rc = -EUCLEAN;
    if (rc < 0)
        filed_list_free(ret);
    return rc;
}

int filed_find(const struct filed_list *list, uint16_t user, uint32_t folder)
{
    for (unsigned i = 0; i < list->n; i++) {
        if (list->v[i].user == user && list->v[i].folder == folder)
            return (int)i;
    }
    return -1;
}

unsigned filed_count_user(const struct filed_list *list, uint16_t user)
{
    unsigned count = 0;

    for (unsigned i = 0; i < list->n; i++)
        count += list->v[i].user == user;
    return count;
}

int folder_row_encode(const struct folder_row *row, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, row->flags ? 2 : 1);

    if (rc == 0 && row->flags)
        rc = emlfs_buf_append_varint(out, row->flags);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, row->user);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, row->parent);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, row->created_ns);
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, emlfs_span_str(row->name));
}

int folder_row_decode(struct emlfs_span value, struct folder_row *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    uint64_t version = emlfs_cursor_varint(&cur);
    struct emlfs_span name;

    memset(ret, 0, sizeof(*ret));
    if (version != 1 && version != 2)
        return -EPROTONOSUPPORT;
    if (version == 2)
        ret->flags = (uint32_t)emlfs_cursor_varint_max(&cur, FOLDER_MOVED | FOLDER_REMOVED);
    ret->user = (uint16_t)emlfs_cursor_varint_max(&cur, UINT16_MAX);
    ret->parent = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    ret->created_ns = emlfs_cursor_svarint(&cur);
    name = emlfs_cursor_bytes(&cur, EMLFS_NAME_MAX_BYTES);
    if (!emlfs_cursor_done(&cur) || name.len == 0 || memchr(name.data, 0, name.len) ||
        (version == 2) != (ret->flags != 0))
        return -EUCLEAN;
    memcpy(ret->name, name.data, name.len);
    return 0;
}

int store_row_encode(const struct store_row *row, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, STORE_ROW_VERSION);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, row->state);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, row->made_ns);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, row->changed_ns);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, row->next_folder);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, emlfs_span_str(row->name));
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, emlfs_span_str(row->directory));
}

int store_row_decode(struct emlfs_span value, struct store_row *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_span name, directory;

    memset(ret, 0, sizeof(*ret));
    if (emlfs_cursor_varint(&cur) != STORE_ROW_VERSION)
        return -EPROTONOSUPPORT;
    ret->state = (uint8_t)emlfs_cursor_varint_max(&cur, EMLFS_STORE_DETACHED);
    ret->made_ns = emlfs_cursor_svarint(&cur);
    ret->changed_ns = emlfs_cursor_svarint(&cur);
    ret->next_folder = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    name = emlfs_cursor_bytes(&cur, STORE_NAME_MAX_BYTES);
    directory = emlfs_cursor_bytes(&cur, sizeof(ret->directory) - 1);
    if (!emlfs_cursor_done(&cur) || name.len == 0 || memchr(name.data, 0, name.len) ||
        directory.len == 0 || memchr(directory.data, 0, directory.len))
        return -EUCLEAN;
    memcpy(ret->name, name.data, name.len);
    memcpy(ret->directory, directory.data, directory.len);
    return 0;
}
