/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A hold row: key u32 be id; value
 *     varint version (1), varint scope, varint released (0, 1), svarint placed_ns,
 *     svarint released_ns, bytes name, query, placed_by, released_by, reason, release_reason
 * A message of a hold: key u32 be hold, u64 be message id; value
 *     varint version (1), svarint added_ns, bytes added_by
 * and nothing after either.
 */
#include "hold_internal.h"
#include "policy_internal.h"

#define ROW_VERSION 1u

static int texts_append(const struct emlfs_hold *hold, struct emlfs_buf *out)
{
    const char *const texts[] = {hold->name,        hold->query,  hold->placed_by,
                                 hold->released_by, hold->reason, hold->release_reason};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++)
        r = emlfs_buf_append_bytes(out, emlfs_span_str(texts[i]));
    return r;
}

int emlfs_hold_encode(const struct emlfs_hold *hold, struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_value);
    if (!emlfs_hold_ok(hold))
        return -EINVAL;
    int r = emlfs_buf_append_varint(ret_value, ROW_VERSION);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, hold->scope);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, hold->released);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, hold->placed_ns);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, hold->released_ns);
    return r == 0 ? texts_append(hold, ret_value) : r;
}

int emlfs_hold_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_hold *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_hold hold = {0};

    if (!emlfs_row_key_u32(key, &hold.id))
        return -EUCLEAN;
    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    hold.scope = (enum emlfs_hold_scope)emlfs_cursor_varint_max(&cur, EMLFS_HOLD_ALL);
    hold.released = emlfs_cursor_varint_max(&cur, 1) == 1;
    hold.placed_ns = emlfs_cursor_svarint(&cur);
    hold.released_ns = emlfs_cursor_svarint(&cur);
    emlfs_row_text_take(&cur, hold.name, sizeof(hold.name), false);
    emlfs_row_text_take(&cur, hold.query, sizeof(hold.query), true);
    emlfs_row_text_take(&cur, hold.placed_by, sizeof(hold.placed_by), false);
    emlfs_row_text_take(&cur, hold.released_by, sizeof(hold.released_by), true);
    emlfs_row_text_take(&cur, hold.reason, sizeof(hold.reason), true);
    emlfs_row_text_take(&cur, hold.release_reason, sizeof(hold.release_reason), true);
    if (!emlfs_cursor_done(&cur) || !emlfs_hold_ok(&hold))
        return -EUCLEAN;
    *ret = hold;
    return 0;
}

static bool message_ok(const struct emlfs_hold_message *message)
{
    return message->hold != 0 && message->id.v != 0 &&
           emlfs_row_text_ok(message->added_by, sizeof(message->added_by), false);
}

int emlfs_hold_message_encode(const struct emlfs_hold_message *message, struct emlfs_buf *ret_key,
                              struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_key);
    emlfs_buf_clear(ret_value);
    if (!message_ok(message))
        return -EINVAL;
    int r = emlfs_buf_append_u32be(ret_key, message->hold);
    if (r == 0)
        r = emlfs_buf_append_u64be(ret_key, message->id.v);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, ROW_VERSION);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, message->added_ns);
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(message->added_by));
    return r;
}

int emlfs_hold_message_decode(struct emlfs_span key, struct emlfs_span value,
                              struct emlfs_hold_message *ret)
{
    struct emlfs_cursor key_cur = emlfs_cursor_of(key);
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_hold_message message = {0};

    message.hold = emlfs_cursor_u32be(&key_cur);
    message.id.v = emlfs_cursor_u64be(&key_cur);
    if (!emlfs_cursor_done(&key_cur))
        return -EUCLEAN;
    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    message.added_ns = emlfs_cursor_svarint(&cur);
    emlfs_row_text_take(&cur, message.added_by, sizeof(message.added_by), false);
    if (!emlfs_cursor_done(&cur) || !message_ok(&message))
        return -EUCLEAN;
    *ret = message;
    return 0;
}
