/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the bytes of a record, which are also what its leaf hash covers.
 *
 * Invariants:
 * R1. A record has exactly one encoding: what decodes encodes to the same bytes.
 * R2. Texts are valid UTF-8 without control characters and within their limits.
 */
#include "emlfs/ledger_record.h"

#include "internal.h"

#define RECORD_VERSION 1u

/* One character of valid UTF-8 (RFC 3629), no control; its length, or 0. */
static size_t character_length(const uint8_t *p, size_t left)
{
    uint32_t point = p[0];
    size_t len = point < 0x80 ? 1 : point < 0xc2 ? 0 : point < 0xe0 ? 2 : point < 0xf0 ? 3 : 4;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0 || len > left || point > 0xf4)
        return 0;
    if (len > 1)
        point &= 0x7fu >> len;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | (p[i] & 0x3fu);
    }
    if (point < least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
        return 0;
    return point < 0x20 || (point >= 0x7f && point < 0xa0) ? 0 : len;
}

static bool text_valid(struct emlfs_span text, size_t max)
{
    if (text.len > max)
        return false;
    for (size_t at = 0, len; at < text.len; at += len) {
        len = character_length(text.data + at, text.len - at);
        if (len == 0)
            return false;
    }
    return true;
}

struct emlfs_span emlfs_ledger_detail(struct emlfs_span text,
                                      uint8_t ret[EMLFS_LEDGER_DETAIL_MAX_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;

    for (size_t at = 0; at < text.len;) {
        const uint8_t *from = text.data + at;
        size_t len = character_length(from, text.len - at);
        const uint8_t escaped[] = {'\\', 'x', (uint8_t)hex[*from >> 4], (uint8_t)hex[*from & 15]};
        size_t wanted = len ? len : sizeof(escaped);
        if (wanted > EMLFS_LEDGER_DETAIL_MAX_BYTES - n)
            break;
        memcpy(ret + n, len ? from : escaped, wanted);
        n += wanted;
        at += len ? len : 1;
    }
    return emlfs_span_of(ret, n);
}

static bool record_valid(const struct emlfs_ledger_record *record)
{
    static const struct emlfs_hash zero;
    return record->sequence <= EMLFS_LEDGER_SEQUENCE_MAX && record->kind > 0 &&
           record->source <= EMLFS_LEDGER_SOURCE_MAX && !(record->flags & ~EMLFS_LEDGER_FLAGS) &&
           record->uid >= EMLFS_LEDGER_UID_NONE && record->uid <= UINT32_MAX &&
           (record->has_digest || memcmp(&record->digest, &zero, sizeof(zero)) == 0) &&
           text_valid(record->name, EMLFS_LEDGER_NAME_MAX_BYTES) &&
           text_valid(record->detail, EMLFS_LEDGER_DETAIL_MAX_BYTES) &&
           record->data.len <= EMLFS_LEDGER_DATA_MAX_BYTES;
}

static int numbers_encode(const struct emlfs_ledger_record *record, struct emlfs_buf *out)
{
    const uint64_t numbers[] = {
        record->kind,
        record->source,
        record->flags,
        record->outcome,
        record->user.v,
        record->owner.v,
        (uint64_t)(record->uid + 1),
        record->message.v,
        record->folder.v,
        record->folder_to.v,
        record->object,
        record->has_digest,
    };
    int r = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && r == 0; i++)
        r = emlfs_buf_append_varint(out, numbers[i]);
    return r;
}

static int record_append(const struct emlfs_ledger_record *record, struct emlfs_buf *out)
{
    int r = emlfs_buf_append(out, record->salt, sizeof(record->salt));
    if (r == 0)
        r = emlfs_buf_append_u8(out, RECORD_VERSION);
    if (r == 0)
        r = emlfs_buf_append_varint(out, record->sequence);
    if (r == 0)
        r = emlfs_buf_append_svarint(out, record->time_ns);
    if (r == 0)
        r = numbers_encode(record, out);
    if (r == 0 && record->has_digest)
        r = emlfs_buf_append(out, record->digest.v, EMLFS_HASH_BYTES);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, record->name);
    if (r == 0)
        r = emlfs_buf_append_bytes(out, record->detail);
    return r < 0 ? r : emlfs_buf_append_bytes(out, record->data);
}

int emlfs_ledger_record_encode(const struct emlfs_ledger_record *record, struct emlfs_buf *out)
{
    size_t before = out->len;
    if (!record_valid(record))
        return -EINVAL;
    int r = record_append(record, out);
    if (r < 0)
        out->len = before;
    return r;
}

static void numbers_decode(struct emlfs_cursor *cur, struct emlfs_ledger_record *record)
{
    record->kind = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    record->source = (uint8_t)emlfs_cursor_varint_max(cur, EMLFS_LEDGER_SOURCE_MAX);
    record->flags = (uint8_t)emlfs_cursor_varint_max(cur, UINT8_MAX);
    record->outcome = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    record->user.v = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    record->owner.v = (uint16_t)emlfs_cursor_varint_max(cur, UINT16_MAX);
    record->uid = (int64_t)emlfs_cursor_varint_max(cur, (uint64_t)UINT32_MAX + 1) - 1;
    record->message.v = emlfs_cursor_varint(cur);
    record->folder.v = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    record->folder_to.v = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    record->object = emlfs_cursor_varint(cur);
    record->has_digest = emlfs_cursor_varint_max(cur, 1) == 1;
}

int emlfs_ledger_record_decode(struct emlfs_span bytes, struct emlfs_ledger_record *ret_record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    struct emlfs_span salt = emlfs_cursor_take(&cur, EMLFS_LEDGER_SALT_BYTES);
    uint8_t version = emlfs_cursor_u8(&cur);
    *ret_record = (struct emlfs_ledger_record){0};
    if (!cur.bad && version > RECORD_VERSION)
        return -EPROTONOSUPPORT;
    if (cur.bad || version != RECORD_VERSION || bytes.len > EMLFS_LEDGER_RECORD_MAX_BYTES)
        return -EUCLEAN;
    memcpy(ret_record->salt, salt.data, salt.len);
    ret_record->sequence = emlfs_cursor_varint(&cur);
    ret_record->time_ns = emlfs_cursor_svarint(&cur);
    numbers_decode(&cur, ret_record);
    if (ret_record->has_digest) {
        struct emlfs_span digest = emlfs_cursor_take(&cur, EMLFS_HASH_BYTES);
        if (digest.len == EMLFS_HASH_BYTES)
            memcpy(ret_record->digest.v, digest.data, digest.len);
    }
    ret_record->name = emlfs_cursor_bytes(&cur, EMLFS_LEDGER_NAME_MAX_BYTES);
    ret_record->detail = emlfs_cursor_bytes(&cur, EMLFS_LEDGER_DETAIL_MAX_BYTES);
    ret_record->data = emlfs_cursor_bytes(&cur, EMLFS_LEDGER_DATA_MAX_BYTES);
    return emlfs_cursor_done(&cur) && record_valid(ret_record) ? 0 : -EUCLEAN;
}

struct kind_name {
    uint16_t kind;
    const char *name;
};

#define KIND_ROW(name, number, text) {(number), text},
static const struct kind_name kinds[] = {EMLFS_LEDGER_KINDS(KIND_ROW)};
#undef KIND_ROW
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *emlfs_ledger_kind_name(unsigned kind)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].kind == kind)
            return kinds[i].name;
    return NULL;
}

unsigned emlfs_ledger_kind_parse(struct emlfs_span name)
{
    for (size_t i = 0; i < KINDS; i++)
        if (emlfs_span_equal(emlfs_span_str(kinds[i].name), name))
            return kinds[i].kind;
    return 0;
}

const char *emlfs_ledger_source_name(unsigned source)
{
    static const char *const names[] = {"inside", "mount", "socket", "job", "command", "service"};
    return source <= EMLFS_LEDGER_SOURCE_MAX ? names[source] : NULL;
}
