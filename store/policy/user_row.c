/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A user row: key u16 be id; value
 *     varint version (1), varint flags, svarint created_ns, varint top folder id (0: not made yet),
 *     bytes name, bytes unix_account
 * and nothing after it.
 */
#include <string.h>

#include "emlfs/base/cursor.h"
#include "emlfs/name.h"
#include "users.h"

#define ROW_VERSION 1u
#define FLAGS_KNOWN (EMLFS_USER_ADMIN | EMLFS_USER_REMOVED)

int emlfs_user_encode(const struct emlfs_user *user, struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_value);
    int r = emlfs_buf_append_varint(ret_value, ROW_VERSION);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, user->flags);
    if (r == 0)
        r = emlfs_buf_append_svarint(ret_value, user->created_ns);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, user->archive.v);
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(user->name));
    if (r == 0)
        r = emlfs_buf_append_bytes(ret_value, emlfs_span_str(user->unix_account));
    return r;
}

/* Text that may not be empty or hold a NUL; out has room for the maximum. */
static bool text_decode(struct emlfs_cursor *cur, char *out)
{
    struct emlfs_span text = emlfs_cursor_bytes(cur, EMLFS_USER_NAME_MAX_BYTES);

    if (cur->bad || text.len == 0 || memchr(text.data, 0, text.len))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = 0;
    return true;
}

int emlfs_user_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_user *ret)
{
    struct emlfs_cursor key_cur = emlfs_cursor_of(key);
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_user user = {0};

    user.id.v = emlfs_cursor_u16be(&key_cur);
    if (!emlfs_cursor_done(&key_cur) || user.id.v == 0)
        return -EUCLEAN;
    uint64_t version = emlfs_cursor_varint(&cur);
    if (!cur.bad && version > ROW_VERSION)
        return -EPROTONOSUPPORT;
    user.flags = (uint32_t)emlfs_cursor_varint_max(&cur, FLAGS_KNOWN);
    user.created_ns = emlfs_cursor_svarint(&cur);
    user.archive.v = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    bool ok = version == ROW_VERSION && text_decode(&cur, user.name) &&
              text_decode(&cur, user.unix_account) && emlfs_cursor_done(&cur) &&
              emlfs_name_folder_ok(user.name);
    if (!ok)
        return -EUCLEAN;
    *ret = user;
    return 0;
}
