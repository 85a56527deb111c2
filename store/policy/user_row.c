/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A user row: key u16 be id; value
 *     varint version (2), varint flags, svarint created_ns, varint top folder id (0: not made yet),
 *     bytes name, bytes unix_account, bytes full_name, varint number of addresses, bytes each
 * and nothing after it. Version 1 ends behind unix_account; version 3, of a user with a quota, goes
 * on with varint quota in bytes, not 0.
 */
#include <string.h>

#include "emlfs/base/cursor.h"
#include "emlfs/name.h"
#include "policy_internal.h"
#include "users.h"

#define ROW_VERSION 2u
#define ROW_VERSION_BARE 1u
#define ROW_VERSION_QUOTA 3u
#define FLAGS_KNOWN (EMLFS_USER_ADMIN | EMLFS_USER_REMOVED)

static int identity_encode(const struct emlfs_user *user, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_bytes(out, emlfs_span_str(user->full_name));
    if (r == 0)
        r = emlfs_buf_append_varint(out, user->addresses_n);
    for (unsigned i = 0; r == 0 && i < user->addresses_n; i++)
        r = emlfs_buf_append_bytes(out, emlfs_span_str(user->addresses[i]));
    if (r == 0 && user->quota_bytes)
        r = emlfs_buf_append_varint(out, user->quota_bytes);
    return r;
}

int emlfs_user_encode(const struct emlfs_user *user, struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_value);
    int r = emlfs_buf_append_varint(ret_value, user->quota_bytes ? ROW_VERSION_QUOTA : ROW_VERSION);
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
    return r == 0 ? identity_encode(user, ret_value) : r;
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

static void identity_decode(struct emlfs_cursor *cur, struct emlfs_user *user)
{
    emlfs_row_text_take(cur, user->full_name, sizeof(user->full_name), true);
    user->addresses_n = (unsigned)emlfs_cursor_varint_max(cur, EMLFS_USER_ADDRESSES_MAX);
    for (unsigned i = 0; !cur->bad && i < user->addresses_n; i++)
        emlfs_row_text_take(cur, user->addresses[i], sizeof(user->addresses[i]), false);
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
    if (!cur.bad && version > ROW_VERSION_QUOTA)
        return -EPROTONOSUPPORT;
    user.flags = (uint32_t)emlfs_cursor_varint_max(&cur, FLAGS_KNOWN);
    user.created_ns = emlfs_cursor_svarint(&cur);
    user.archive.v = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    bool ok = version >= ROW_VERSION_BARE && text_decode(&cur, user.name) &&
              text_decode(&cur, user.unix_account) && emlfs_name_folder_ok(user.name);
    if (ok && version >= ROW_VERSION)
        identity_decode(&cur, &user);
    if (ok && version == ROW_VERSION_QUOTA) {
        user.quota_bytes = emlfs_cursor_varint(&cur);
        ok = user.quota_bytes > 0;
    }
    if (!ok || !emlfs_cursor_done(&cur))
        return -EUCLEAN;
    *ret = user;
    return 0;
}
