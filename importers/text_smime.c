/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * S/MIME (RFC 5652, RFC 8551): a message that is only signed holds its text in clear, inside the
 * signature's structure. Nothing is verified here.
 */
#include "emlfs/base/cursor.h"
#include "text.h"

#define TAG_OCTETS 0x04u
#define TAG_OCTETS_PIECES 0x24u
#define TAG_CONTENT 0xa0u
#define LOOKED_BYTES 64u
#define SIGNED_DATA "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
#define PLAIN_DATA "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"

/* A length of BER; SIZE_MAX when it is indefinite. */
static size_t length_take(struct emlfs_cursor *cur)
{
    uint8_t first = emlfs_cursor_u8(cur);
    size_t len = 0;
    if (first < 0x80)
        return first;
    if (first == 0x80)
        return SIZE_MAX;
    if (first > 0x84)
        cur->bad = true;
    for (unsigned i = 0; i < (first & 7u) && !cur->bad; i++)
        len = len << 8 | emlfs_cursor_u8(cur);
    return len;
}

/* The octets of one string, or of the pieces that it was written in. */
static int octets_take(struct emlfs_cursor *cur, struct emlfs_buf *out)
{
    uint8_t tag = emlfs_cursor_u8(cur);
    size_t len = length_take(cur);
    int rc = 0;
    if (tag == TAG_OCTETS && len != SIZE_MAX) {
        struct emlfs_span piece = emlfs_cursor_take(cur, len);
        return emlfs_buf_append(out, piece.data, piece.len);
    }
    if (tag != TAG_OCTETS_PIECES)
        cur->bad = true;
    while (rc == 0 && !cur->bad && emlfs_cursor_left(cur) > 0 && *cur->pos == TAG_OCTETS) {
        emlfs_cursor_u8(cur);
        struct emlfs_span piece = emlfs_cursor_take(cur, length_take(cur));
        rc = emlfs_buf_append(out, piece.data, piece.len);
    }
    return rc;
}

const char *text_smime(struct text_run *run, struct emlfs_span bytes)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf inner = EMLFS_BUF_INIT(TEXT_PART_MAX_BYTES);
    size_t head = bytes.len < LOOKED_BYTES ? bytes.len : LOOKED_BYTES;
    if (!memmem(bytes.data, head, SIGNED_DATA, sizeof SIGNED_DATA - 1))
        return TEXT_BAD_ENCRYPTED;
    const uint8_t *data = memmem(bytes.data, bytes.len, PLAIN_DATA, sizeof PLAIN_DATA - 1);
    if (data == NULL)
        return TEXT_BAD_KIND;
    data += sizeof PLAIN_DATA - 1;
    struct emlfs_cursor cur =
        emlfs_cursor_of(emlfs_span_of(data, bytes.len - (size_t)(data - bytes.data)));
    if (emlfs_cursor_left(&cur) == 0 || emlfs_cursor_u8(&cur) != TAG_CONTENT)
        return NULL; /* certificates alone, or a signature whose text is another part */
    length_take(&cur);
    int rc = octets_take(&cur, &inner);
    const char *reason = text_expand(run, inner.len);
    if (rc < 0 || reason)
        return reason ? reason : text_reason(rc);
    reason = inner.len > 0 ? text_nested(run, emlfs_buf_view(&inner)) : NULL;
    return cur.bad ? "damaged signature" : reason;
}
