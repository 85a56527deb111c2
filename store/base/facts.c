/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Codec of facts. Responsible for the encoded form; what is a fact is the parser's business.
 *
 *   u8 format | u8 date source | varint flags | svarint date_sec
 *   | 8 texts: from sender to cc bcc subject message-id reason: varint length, bytes
 *   | varint length of the part table, parts
 *   format 2 goes on: u8 claims (1 received, 2 sent; not 0) | svarint for each of them
 *   part: varint depth | type | name (each varint length, bytes) | varint size | u8 attachment
 *
 * Invariants, established by _encode and checked by _decode:
 *  1. Every text is valid UTF-8, holds no control character (C0, DEL, C1) and is at most its
 * maximum.
 *  2. Unknown flags and date sources do not occur; date source NONE means date 0.
 *  3. There are at most EMLFS_FACTS_PARTS_MAX parts and EMLFS_FACTS_MAX_BYTES bytes, none left
 * over.
 */
#include <utf8proc.h>

#include "emlfs/base/cursor.h"
#include "emlfs/message.h"

#define FACTS_FORMAT 1u
#define FACTS_FORMAT_CLAIMS 2u
#define CLAIM_RECEIVED 1u
#define CLAIM_SENT 2u
#define FACTS_FLAGS_KNOWN (EMLFS_FACT_ATTACHMENT | EMLFS_FACT_PARTIAL | EMLFS_FACT_UNPARSED)
#define FACTS_TEXTS 8u
#define PART_TYPE_MAX_BYTES 128u
#define PART_NAME_MAX_BYTES 255u
#define PART_DEPTH_MAX 255u

/* The bytes one character of foreign text becomes; never more than 3 for a byte that is not text.
 */
struct text_char {
    uint8_t bytes[4];
    size_t len;
};

static bool is_control(int32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

/* Take the next character off text; what is not UTF-8 becomes U+FFFD, a control a blank. */
static struct text_char text_next(struct emlfs_span *text)
{
    struct text_char ch = {.len = 1};
    utf8proc_int32_t code = text->data[0];
    utf8proc_ssize_t used = 1;
    if (code >= 0x80) {
        used = utf8proc_iterate(text->data, (utf8proc_ssize_t)text->len, &code);
        if (used <= 0) {
            used = 1;
            code = 0xfffd;
        }
    }
    if (is_control(code))
        code = ' ';
    if (code < 0x80)
        ch.bytes[0] = (uint8_t)code;
    else
        ch.len = (size_t)utf8proc_encode_char(code, ch.bytes);
    text->data += used;
    text->len -= (size_t)used;
    return ch;
}

static size_t text_clean_len(struct emlfs_span text, size_t max)
{
    size_t len = 0;
    while (text.len > 0) {
        struct text_char ch = text_next(&text);
        if (len + ch.len > max)
            break;
        len += ch.len;
    }
    return len;
}

static int text_append(struct emlfs_buf *out, struct emlfs_span text, size_t max)
{
    size_t len = text_clean_len(text, max);
    int rc = emlfs_buf_append_varint(out, len);
    if (rc == 0)
        rc = emlfs_buf_reserve(out, len);
    if (rc < 0)
        return rc;
    for (size_t done = 0; done < len;) {
        struct text_char ch = text_next(&text);
        memcpy(out->data + out->len, ch.bytes, ch.len);
        out->len += ch.len;
        done += ch.len;
    }
    return 0;
}

static bool text_ok(struct emlfs_span text)
{
    while (text.len > 0) {
        utf8proc_int32_t code = text.data[0];
        utf8proc_ssize_t used = 1;
        if (code >= 0x80)
            used = utf8proc_iterate(text.data, (utf8proc_ssize_t)text.len, &code);
        if (used <= 0 || is_control(code))
            return false;
        text.data += used;
        text.len -= (size_t)used;
    }
    return true;
}

static int claims_append(const struct emlfs_facts *facts, unsigned claims, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_u8(out, (uint8_t)claims);
    if (rc == 0 && facts->has_received)
        rc = emlfs_buf_append_svarint(out, facts->received_sec);
    if (rc == 0 && facts->has_sent)
        rc = emlfs_buf_append_svarint(out, facts->sent_sec);
    return rc;
}

static int facts_append(const struct emlfs_facts *facts, struct emlfs_buf *out)
{
    const struct emlfs_span *texts[FACTS_TEXTS] = {
        &facts->from, &facts->sender,  &facts->to,         &facts->cc,
        &facts->bcc,  &facts->subject, &facts->message_id, &facts->reason};
    bool dated = facts->date_source > EMLFS_DATE_NONE && facts->date_source <= EMLFS_DATE_ARCHIVED;
    unsigned claims =
        (facts->has_received ? CLAIM_RECEIVED : 0) | (facts->has_sent ? CLAIM_SENT : 0);
    int rc = emlfs_buf_append_u8(out, claims ? FACTS_FORMAT_CLAIMS : FACTS_FORMAT);
    if (rc == 0)
        rc = emlfs_buf_append_u8(out, dated ? facts->date_source : EMLFS_DATE_NONE);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, facts->flags & FACTS_FLAGS_KNOWN);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, dated ? facts->date_sec : 0);
    for (size_t i = 0; rc == 0 && i < FACTS_TEXTS; i++)
        rc = text_append(out, *texts[i], EMLFS_FACTS_TEXT_MAX_BYTES);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, facts->parts);
    return rc == 0 && claims ? claims_append(facts, claims, out) : rc;
}

int emlfs_facts_encode(const struct emlfs_facts *facts, struct emlfs_buf *out)
{
    size_t start = out->len;
    int rc = facts_append(facts, out);
    if (rc == 0 && out->len - start > EMLFS_FACTS_MAX_BYTES)
        rc = -E2BIG;
    if (rc < 0)
        out->len = start;
    return rc;
}

struct emlfs_span emlfs_facts_mailbox_first(struct emlfs_span list)
{
    bool quoted = false;

    for (size_t i = 0; i < list.len; i++) {
        if (list.data[i] == '\\' && quoted)
            i++;
        else if (list.data[i] == '"')
            quoted = !quoted;
        else if (list.data[i] == ',' && !quoted)
            return emlfs_span_of(list.data, i);
    }
    return list;
}

int emlfs_facts_encode_envelope(const struct emlfs_facts *facts, struct emlfs_buf *out)
{
    const struct emlfs_facts envelope = {
        .from = emlfs_facts_mailbox_first(facts->from.len ? facts->from : facts->sender),
        .to = emlfs_facts_mailbox_first(facts->to),
        .subject = facts->subject,
    };
    size_t start = out->len;
    int rc = emlfs_facts_encode(&envelope, out);

    if (rc == 0 && out->len - start > EMLFS_ENVELOPE_MAX_BYTES)
        rc = -E2BIG;
    if (rc < 0)
        out->len = start;
    return rc;
}

int emlfs_facts_part_append(struct emlfs_buf *parts, const struct emlfs_fact_part *part)
{
    size_t start = parts->len;
    uint32_t depth = part->depth < PART_DEPTH_MAX ? part->depth : PART_DEPTH_MAX;
    int rc = emlfs_buf_append_varint(parts, depth);
    if (rc == 0)
        rc = text_append(parts, part->type, PART_TYPE_MAX_BYTES);
    if (rc == 0)
        rc = text_append(parts, part->name, PART_NAME_MAX_BYTES);
    if (rc == 0)
        rc = emlfs_buf_append_varint(parts, part->size_bytes);
    if (rc == 0)
        rc = emlfs_buf_append_u8(parts, part->attachment ? 1 : 0);
    if (rc < 0)
        parts->len = start;
    return rc;
}

static struct emlfs_fact_part part_read(struct emlfs_cursor *cur)
{
    struct emlfs_fact_part part;
    part.depth = (uint32_t)emlfs_cursor_varint_max(cur, PART_DEPTH_MAX);
    part.type = emlfs_cursor_bytes(cur, PART_TYPE_MAX_BYTES);
    part.name = emlfs_cursor_bytes(cur, PART_NAME_MAX_BYTES);
    part.size_bytes = emlfs_cursor_varint(cur);
    uint8_t attachment = emlfs_cursor_u8(cur);
    part.attachment = attachment == 1;
    if (attachment > 1)
        cur->bad = true;
    return part;
}

bool emlfs_facts_part_next(struct emlfs_span *parts, struct emlfs_fact_part *ret)
{
    if (parts->len == 0)
        return false;
    struct emlfs_cursor cur = emlfs_cursor_of(*parts);
    *ret = part_read(&cur);
    *parts = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    return !cur.bad;
}

static bool parts_ok(struct emlfs_span parts)
{
    struct emlfs_cursor cur = emlfs_cursor_of(parts);
    for (uint32_t count = 0; emlfs_cursor_left(&cur) > 0; count++) {
        struct emlfs_fact_part part = part_read(&cur);
        if (cur.bad || count >= EMLFS_FACTS_PARTS_MAX || !text_ok(part.type) || !text_ok(part.name))
            return false;
    }
    return true;
}

static bool claims_read(struct emlfs_cursor *cur, struct emlfs_facts *facts)
{
    uint8_t claims = emlfs_cursor_u8(cur);
    facts->has_received = claims & CLAIM_RECEIVED;
    facts->has_sent = claims & CLAIM_SENT;
    facts->received_sec = facts->has_received ? emlfs_cursor_svarint(cur) : 0;
    facts->sent_sec = facts->has_sent ? emlfs_cursor_svarint(cur) : 0;
    return claims != 0 && (claims & ~(CLAIM_RECEIVED | CLAIM_SENT)) == 0;
}

static bool facts_read(struct emlfs_cursor *cur, struct emlfs_facts *facts, bool claims)
{
    struct emlfs_span *texts[FACTS_TEXTS] = {&facts->from,       &facts->sender, &facts->to,
                                             &facts->cc,         &facts->bcc,    &facts->subject,
                                             &facts->message_id, &facts->reason};
    facts->date_source = emlfs_cursor_u8(cur);
    facts->flags = (uint32_t)emlfs_cursor_varint_max(cur, FACTS_FLAGS_KNOWN);
    facts->date_sec = emlfs_cursor_svarint(cur);
    if (facts->date_source > EMLFS_DATE_ARCHIVED)
        return false;
    if (facts->date_source == EMLFS_DATE_NONE && facts->date_sec != 0)
        return false;
    for (size_t i = 0; i < FACTS_TEXTS; i++) {
        *texts[i] = emlfs_cursor_bytes(cur, EMLFS_FACTS_TEXT_MAX_BYTES);
        if (cur->bad || !text_ok(*texts[i]))
            return false;
    }
    facts->parts = emlfs_cursor_bytes(cur, EMLFS_FACTS_MAX_BYTES);
    if (claims && !claims_read(cur, facts))
        return false;
    return emlfs_cursor_done(cur) && parts_ok(facts->parts);
}

int emlfs_facts_decode(struct emlfs_span bytes, struct emlfs_facts *ret, struct emlfs_err *err)
{
    struct emlfs_facts facts = {0};
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    *ret = facts;
    if (bytes.len == 0 || bytes.len > EMLFS_FACTS_MAX_BYTES)
        return emlfs_err_set(err, EUCLEAN, "facts", "facts have an impossible length");
    uint8_t format = emlfs_cursor_u8(&cur);
    if (format > FACTS_FORMAT_CLAIMS)
        return emlfs_err_set(err, EPROTONOSUPPORT, "facts", "facts have the newer format %u",
                             format);
    if (format < FACTS_FORMAT || !facts_read(&cur, &facts, format == FACTS_FORMAT_CLAIMS))
        return emlfs_err_set(err, EUCLEAN, "facts", "facts have an impossible structure");
    *ret = facts;
    return 0;
}

int emlfs_facts_drop_claims(struct emlfs_buf *facts)
{
    struct emlfs_facts decoded;
    int rc = emlfs_facts_decode(emlfs_buf_view(facts), &decoded, NULL);
    if (rc < 0 || facts->data[0] == FACTS_FORMAT)
        return rc;
    facts->data[0] = FACTS_FORMAT;
    facts->len = (size_t)(decoded.parts.data + decoded.parts.len - facts->data);
    return 0;
}
