/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Contents of BLOCK and EVENTS records (byte tables: store/FORMAT.md). A block is its meta part
 * (hashes, then one description per message) followed by the text of its messages; the meta part
 * comes first, so that a reader who wants one message decompresses no further than its end.
 */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "internal.h"

#define BLOCK_VERSION 1u
#define META_MAX_BYTES (8u << 20)
#define FACTS_MAX_BYTES (64u << 10)
#define RECIPE_MAX_BYTES (4u << 20)
#define ENTRIES_PER_MESSAGE_MAX 4096u

void block_free(struct block *block)
{
    free(block->v);
    *block = (struct block){0};
}

int block_entry_append(struct emlfs_buf *out, const struct block_entry *entry)
{
    const uint64_t values[] = {entry->user, entry->folder, entry->source, entry->flags};
    int rc = 0;

    for (unsigned i = 0; i < 4 && rc == 0; i++)
        rc = emlfs_buf_append_varint(out, values[i]);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, entry->mtime_sec);
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, entry->stem);
}

static struct block_entry entry_take(struct emlfs_cursor *cur)
{
    struct block_entry entry;

    entry.user = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    entry.folder = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    entry.source = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    entry.flags = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    entry.mtime_sec = emlfs_cursor_svarint(cur);
    entry.stem = emlfs_cursor_bytes(cur, EMLFS_NAME_MAX_BYTES);
    return entry;
}

bool block_entry_next(struct emlfs_span *entries, struct block_entry *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(*entries);

    if (entries->len == 0)
        return false;
    *ret = entry_take(&cur);
    if (cur.bad)
        return false;
    *entries = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    return true;
}

static int message_encode(const struct block_message *message, int64_t previous_ns,
                          struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, message->size_bytes);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, message->text_len);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, message->archived_ns - previous_ns);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, message->recipe);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, message->facts);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, message->entries_n);
    return rc < 0 ? rc : emlfs_buf_append(out, message->entries.data, message->entries.len);
}

static int messages_encode(const struct block *block, struct emlfs_buf *out)
{
    int64_t previous_ns = 0;
    int rc = emlfs_buf_append_u8(out, BLOCK_VERSION);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, block->first);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, block->n);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, block->seq);
    for (unsigned i = 0; i < block->n && rc == 0; i++)
        rc = emlfs_buf_append(out, block->v[i].sha256, EMLFS_HASH_BYTES);
    for (unsigned i = 0; i < block->n && rc == 0; i++) {
        rc = message_encode(&block->v[i], previous_ns, out);
        previous_ns = block->v[i].archived_ns;
    }
    return rc;
}

int block_encode_meta(const struct block *block, struct emlfs_buf *out)
{
    struct emlfs_buf meta EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(META_MAX_BYTES);
    int rc = messages_encode(block, &meta);

    return rc < 0 ? rc : emlfs_buf_append_bytes(out, emlfs_buf_view(&meta));
}

static bool message_take(struct emlfs_cursor *cur, int64_t previous_ns, struct block_message *ret)
{
    struct block_entry entry;
    const uint8_t *start;
    int64_t delta;

    ret->size_bytes = emlfs_cursor_varint(cur);
    ret->text_len = emlfs_cursor_varint_max(cur, EMLFS_RECORD_PLAIN_MAX_BYTES);
    delta = emlfs_cursor_svarint(cur);
    ret->recipe = emlfs_cursor_bytes(cur, RECIPE_MAX_BYTES);
    ret->facts = emlfs_cursor_bytes(cur, FACTS_MAX_BYTES);
    ret->entries_n = (unsigned)emlfs_cursor_varint_max(cur, ENTRIES_PER_MESSAGE_MAX);
    start = cur->pos;
    for (unsigned i = 0; i < ret->entries_n && !cur->bad; i++)
        entry = entry_take(cur);
    (void)entry;
    ret->entries = emlfs_span_of(start, (size_t)(cur->pos - start));
    return !cur->bad && !__builtin_add_overflow(previous_ns, delta, &ret->archived_ns);
}

static int messages_take(struct emlfs_cursor *cur, struct block *ret)
{
    struct emlfs_span hashes = emlfs_cursor_take(cur, (size_t)ret->n * EMLFS_HASH_BYTES);
    uint64_t offset = 0;
    int64_t previous_ns = 0;

    if (cur->bad)
        return -EUCLEAN;
    ret->v = calloc(ret->n ? ret->n : 1, sizeof(*ret->v));
    if (!ret->v)
        return -ENOMEM;
    for (unsigned i = 0; i < ret->n; i++) {
        struct block_message *message = &ret->v[i];
        if (!message_take(cur, previous_ns, message))
            return -EUCLEAN;
        memcpy(message->sha256, hashes.data + (size_t)i * EMLFS_HASH_BYTES, EMLFS_HASH_BYTES);
        previous_ns = message->archived_ns;
        message->text_offset = offset;
        offset += message->text_len;
    }
    return emlfs_cursor_done(cur) ? 0 : -EUCLEAN;
}

static int block_check(const struct block *block, size_t plain_len)
{
    const struct block_message *last = block->n ? &block->v[block->n - 1] : NULL;

    if (!last || block->first == 0 || block->first + (uint64_t)block->n - 1 > UINT32_MAX)
        return -EUCLEAN;
    return block->meta_len + last->text_offset + last->text_len == plain_len ? 0 : -EUCLEAN;
}

int block_decode(struct emlfs_span plain, size_t plain_len, struct block *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(plain);
    size_t meta_bytes = (size_t)emlfs_cursor_varint_max(&cur, META_MAX_BYTES);
    struct emlfs_cursor meta;
    int rc;

    *ret = (struct block){0};
    if (cur.bad)
        return plain.len < 8 && plain.len < plain_len ? -EAGAIN : -EUCLEAN;
    if (emlfs_cursor_left(&cur) < meta_bytes)
        return plain.len < plain_len ? -EAGAIN : -EUCLEAN;
    ret->meta_len = (size_t)(cur.pos - plain.data) + meta_bytes;
    meta = emlfs_cursor_of(emlfs_cursor_take(&cur, meta_bytes));
    if (emlfs_cursor_u8(&meta) != BLOCK_VERSION)
        return -EPROTONOSUPPORT;
    ret->first = (uint32_t)emlfs_cursor_varint_max(&meta, UINT32_MAX);
    ret->n = (unsigned)emlfs_cursor_varint_max(&meta, BLOCK_MESSAGES_MAX);
    ret->seq = emlfs_cursor_varint(&meta);
    rc = meta.bad ? -EUCLEAN : messages_take(&meta, ret);
    if (rc == 0)
        rc = block_check(ret, plain_len);
    if (rc < 0)
        block_free(ret);
    return rc;
}

static void span_moved(struct emlfs_span *span, const uint8_t *from, const uint8_t *to)
{
    if (span->data)
        span->data = to + (span->data - from);
}

void block_moved(struct block *block, const uint8_t *from, const uint8_t *to)
{
    for (unsigned i = 0; i < block->n; i++) {
        span_moved(&block->v[i].recipe, from, to);
        span_moved(&block->v[i].facts, from, to);
        span_moved(&block->v[i].entries, from, to);
    }
}

int events_begin(struct emlfs_buf *out, const struct events_head *head)
{
    int rc = emlfs_buf_append_u8(out, head->version ? head->version : EVENTS_VERSION);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, head->seq);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, head->time_ns);
    return rc < 0 ? rc : emlfs_buf_append_varint(out, head->n);
}

static int tombstone_append(struct emlfs_buf *out, const struct event *event)
{
    const uint64_t values[] = {(uint64_t)(event->by_uid + 1), event->by_user, event->policy};
    int rc = 0;

    for (unsigned i = 0; i < 3 && rc == 0; i++)
        rc = emlfs_buf_append_varint(out, values[i]);
    return rc;
}

static void tombstone_take(struct emlfs_cursor *cur, struct event *ret)
{
    ret->by_uid = (int64_t)emlfs_cursor_varint_max(cur, (uint64_t)UINT32_MAX + 1) - 1;
    ret->by_user = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    ret->policy = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
}

int event_append(struct emlfs_buf *out, const struct event *event)
{
    const uint64_t values[] = {event->kind, event->id.v, event->from, event->size_bytes};
    int rc = 0;

    for (unsigned i = 0; i < 4 && rc == 0; i++)
        rc = emlfs_buf_append_varint(out, values[i]);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, event->archived_ns);
    if (rc == 0)
        rc = block_entry_append(out, &event->entry);
    return rc < 0 || event->kind != EVENT_DELETED ? rc : tombstone_append(out, event);
}

int events_decode(struct emlfs_span plain, struct events_head *ret, struct emlfs_span *ret_events)
{
    struct emlfs_cursor cur = emlfs_cursor_of(plain);

    ret->version = emlfs_cursor_u8(&cur);
    if (ret->version != EVENTS_VERSION && ret->version != EVENTS_VERSION_DELETED)
        return -EPROTONOSUPPORT;
    ret->seq = emlfs_cursor_varint(&cur);
    ret->time_ns = emlfs_cursor_svarint(&cur);
    ret->n = emlfs_cursor_varint(&cur);
    *ret_events = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    return cur.bad ? -EUCLEAN : 0;
}

bool event_next(struct emlfs_span *events, struct event *ret, bool *ret_bad)
{
    struct emlfs_cursor cur = emlfs_cursor_of(*events);

    *ret_bad = false;
    if (events->len == 0)
        return false;
    ret->kind = (uint8_t)emlfs_cursor_varint_max(&cur, EVENT_DELETED);
    ret->id.v = emlfs_cursor_varint(&cur);
    ret->from = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    ret->size_bytes = emlfs_cursor_varint(&cur);
    ret->archived_ns = emlfs_cursor_svarint(&cur);
    ret->entry = entry_take(&cur);
    ret->by_uid = EMLFS_UID_NONE;
    ret->by_user = 0;
    ret->policy = 0;
    if (ret->kind == EVENT_DELETED)
        tombstone_take(&cur, ret);
    *ret_bad = cur.bad || ret->kind == 0;
    *events = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    return !*ret_bad;
}
