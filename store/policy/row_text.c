/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "policy_internal.h"

#include <string.h>

/* Length of the character at text (RFC 3629), 0: none, or a control character (C0, DEL, C1). */
static size_t char_bytes(const unsigned char *text, size_t left)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];

    if (first < 0x80)
        return first >= ' ' && first != 0x7f;
    size_t len = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first < 0xc2 || first > 0xf4 || len > left)
        return 0;
    uint32_t code = first & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code < 0xe000;
    return code < least[len] || code > 0x10ffff || code < 0xa0 || surrogate ? 0 : len;
}

static bool bytes_ok(const unsigned char *text, size_t len)
{
    while (len > 0) {
        size_t step = char_bytes(text, len);
        if (step == 0)
            return false;
        text += step;
        len -= step;
    }
    return true;
}

bool emlfs_row_text_ok(const char *text, size_t size, bool may_be_empty)
{
    size_t len = strnlen(text, size);

    return len < size && (len > 0 || may_be_empty) && bytes_ok((const unsigned char *)text, len);
}

void emlfs_row_text_take(struct emlfs_cursor *cur, char *out, size_t size, bool may_be_empty)
{
    struct emlfs_span text = emlfs_cursor_bytes(cur, size - 1);

    memset(out, 0, size);
    if (cur->bad || (text.len == 0 && !may_be_empty) || !bytes_ok(text.data, text.len)) {
        cur->bad = true;
        return;
    }
    if (text.len)
        memcpy(out, text.data, text.len);
}

int emlfs_row_version(struct emlfs_cursor *cur, uint64_t known)
{
    uint64_t version = emlfs_cursor_varint(cur);

    if (cur->bad || version == 0)
        return -EUCLEAN;
    return version > known ? -EPROTONOSUPPORT : 0;
}

bool emlfs_row_key_u32(struct emlfs_span key, uint32_t *ret_id)
{
    struct emlfs_cursor cur = emlfs_cursor_of(key);

    *ret_id = emlfs_cursor_u32be(&cur);
    return emlfs_cursor_done(&cur) && *ret_id != 0;
}
