/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Snappy: how many bytes follow, then pieces that are either told or copied from what was told.
 *
 * A few lines here, because its library is C++, and the library of that costs a command that looks
 * something up more than all its reading.
 */
#include "snappy.h"

#include <errno.h>

#include "emlfs/base/cursor.h"

enum piece { TOLD, COPY_NEAR, COPY, COPY_FAR };

/* len was announced, so there is room for what is left of it. */
struct target {
    uint8_t *data;
    size_t at, len;
};

static bool piece_told(struct emlfs_cursor *cur, uint8_t tag, struct target *to)
{
    size_t len = tag >> 2;

    if (len >= 60)
        len = (size_t)emlfs_cursor_le(cur, (unsigned)len - 59);
    len++;
    if (len > to->len - to->at)
        return false;
    struct emlfs_span bytes = emlfs_cursor_take(cur, len);
    if (cur->bad)
        return false;
    memcpy(to->data + to->at, bytes.data, len);
    to->at += len;
    return true;
}

static bool piece_copy(struct emlfs_cursor *cur, uint8_t tag, struct target *to)
{
    bool near = (tag & 3) == COPY_NEAR;
    size_t len = near ? 4u + (tag >> 2 & 7) : (tag >> 2) + 1u;
    size_t back = near ? (size_t)(tag >> 5) << 8 | emlfs_cursor_u8(cur)
                       : (size_t)emlfs_cursor_le(cur, (tag & 3) == COPY ? 2 : 4);

    if (cur->bad || back == 0 || back > to->at || len > to->len - to->at)
        return false;
    uint8_t *data = to->data + to->at;
    to->at += len;
    if (back >= len) {
        memcpy(data, data - back, len);
        return true;
    }
    /* What it copies, it makes: one byte after the other. */
    for (size_t i = 0; i < len; i++)
        data[i] = (data - back)[i];
    return true;
}

int catalog_snappy_expand(struct emlfs_span packed, size_t max_bytes, struct emlfs_buf *out)
{
    struct emlfs_cursor cur = emlfs_cursor_of(packed);
    size_t len = (size_t)emlfs_cursor_varint_max(&cur, max_bytes);

    emlfs_buf_clear(out);
    if (cur.bad)
        return -EUCLEAN;
    int r = emlfs_buf_reserve(out, len);
    if (r < 0)
        return r;
    struct target to = {.data = out->data, .len = len};
    while (emlfs_cursor_left(&cur) > 0) {
        uint8_t tag = emlfs_cursor_u8(&cur);
        if (!((tag & 3) == TOLD ? piece_told(&cur, tag, &to) : piece_copy(&cur, tag, &to)))
            return -EUCLEAN;
    }
    if (to.at != len)
        return -EUCLEAN;
    out->len = len;
    return 0;
}
