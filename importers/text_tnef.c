/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * winmail.dat (MS-OXTNEF): subject, body, names and contents of attachments. Every length is
 * checked against what is there; what does not fit ends the reading, and what was read stays.
 * Compressed RTF (MS-OXRTFCP) is expanded within the part's limits.
 */
#include <stdio.h>
#include <strings.h>

#include "emlfs/base/cursor.h"
#include "text.h"

#define TNEF_SIGNATURE 0x223e9f78u
#define ATTRIBUTE_SUBJECT 0x8004u
#define ATTRIBUTE_BODY 0x800cu
#define ATTRIBUTE_DATA 0x800fu
#define ATTRIBUTE_TITLE 0x8010u
#define ATTRIBUTE_RENDER 0x9002u
#define ATTRIBUTE_MAPI 0x9003u
#define ATTRIBUTE_ATTACHED_MAPI 0x9005u
#define ATTRIBUTE_CODEPAGE 0x9007u
#define PROPERTY_SUBJECT 0x0037u
#define PROPERTY_BODY 0x1000u
#define PROPERTY_RTF 0x1009u
#define PROPERTY_HTML 0x1013u
#define PROPERTY_DATA 0x3701u
#define PROPERTY_NAME 0x3704u
#define PROPERTY_LONG_NAME 0x3707u
#define PROPERTIES_MAX 4096u
#define VALUES_MAX 4096u
#define NAME_MAX_BYTES 1024u
#define RTF_HEADER_BYTES 16u
#define RTF_DICTIONARY_BYTES 4096u
#define MESSAGE_PREFIX_BYTES 16u /* an attached message's data begins with an interface id */

struct tnef {
    struct text_run *run;
    char charset[24];
    /* the attachment being read */
    struct emlfs_buf name;
    struct emlfs_span data;
    bool attached;
    const char *reason;
};

static struct emlfs_span until_nul(struct emlfs_span text)
{
    const uint8_t *nul = text.len > 0 ? memchr(text.data, 0, text.len) : NULL;
    return nul ? emlfs_span_of(text.data, (size_t)(nul - text.data)) : text;
}

static void part_take(struct tnef *tnef, const char *type, const char *charset,
                      struct emlfs_span bytes)
{
    const struct text_part part = {
        .type = type, .name = "", .charset = charset, .bytes = bytes, .is_body = true};
    text_part_read(tnef->run, &part);
}

/* Literals and references into a ring of 4096 bytes that begins with RTF's commonest words. */
static int rtf_expand(struct emlfs_span packed, struct emlfs_buf *out)
{
    static const char first[] =
        "{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern "
        "\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0"
        "\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx";
    uint8_t ring[RTF_DICTIONARY_BYTES] = {0};
    struct emlfs_cursor cur = emlfs_cursor_of(packed);
    size_t at = sizeof first - 1;
    int rc = 0;
    memcpy(ring, first, at);
    while (rc == 0 && !cur.bad && emlfs_cursor_left(&cur) > 0) {
        uint8_t flags = emlfs_cursor_u8(&cur);
        for (unsigned bit = 0; rc == 0 && bit < 8 && emlfs_cursor_left(&cur) > 0; bit++) {
            unsigned count = 1, from = 0;
            bool reference = flags >> bit & 1;
            if (reference) {
                uint16_t word = emlfs_cursor_u16be(&cur);
                from = word >> 4;
                count = (word & 15u) + 2;
                if (cur.bad || from == at % RTF_DICTIONARY_BYTES)
                    return 0;
            }
            for (unsigned i = 0; rc == 0 && i < count; i++) {
                uint8_t byte =
                    reference ? ring[(from + i) % RTF_DICTIONARY_BYTES] : emlfs_cursor_u8(&cur);
                ring[at++ % RTF_DICTIONARY_BYTES] = byte;
                rc = emlfs_buf_append_u8(out, byte);
            }
        }
    }
    return rc;
}

static void rtf_take(struct tnef *tnef, struct emlfs_span packed)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf rtf = EMLFS_BUF_INIT(TEXT_PART_MAX_BYTES);
    struct emlfs_cursor cur = emlfs_cursor_of(packed);
    emlfs_cursor_u32le(&cur);
    uint32_t size = emlfs_cursor_u32le(&cur);
    uint32_t kind = emlfs_cursor_u32le(&cur);
    emlfs_cursor_u32le(&cur);
    if (cur.bad)
        return;
    struct emlfs_span body = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    if (kind == 0x414c454du) { /* stored */
        part_take(tnef, "text/rtf", "", body);
        return;
    }
    int rc = rtf_expand(body, &rtf);
    const char *reason = text_expand(tnef->run, rtf.len);
    if (rc < 0 || reason)
        tnef->reason = reason ? reason : rc == -E2BIG ? TEXT_BAD_SIZE : TEXT_BAD_MEMORY;
    if (rtf.len > size)
        rtf.len = size;
    part_take(tnef, "text/rtf", "", emlfs_buf_view(&rtf));
}

static void name_take(struct tnef *tnef, struct emlfs_span name, bool wide, bool better)
{
    if (name.len == 0 || (tnef->name.len > 0 && !better))
        return;
    if (!wide)
        name = until_nul(name);
    if (name.len > NAME_MAX_BYTES / 4)
        name.len = NAME_MAX_BYTES / 4;
    emlfs_buf_clear(&tnef->name);
    int rc =
        text_utf8_append(tnef->run->charsets, name, wide ? "utf-16le" : tnef->charset, &tnef->name);
    if (rc == -ENOMEM)
        tnef->run->error = rc;
    while (tnef->name.len > 0 && tnef->name.data[tnef->name.len - 1] <= ' ')
        tnef->name.len--;
}

/* The attachment is whole: hand it on. */
static void attachment_flush(struct tnef *tnef)
{
    char name[NAME_MAX_BYTES + 1];
    if (!tnef->attached)
        return;
    if (tnef->name.len > 0)
        memcpy(name, tnef->name.data, tnef->name.len);
    name[tnef->name.len] = '\0';
    const struct text_part part = {
        .type = "application/octet-stream",
        .name = name,
        .charset = tnef->charset,
        .bytes = tnef->data,
        .attachment = true,
    };
    text_piece(tnef->run, EMLFS_TEXT_ATTACHMENT, emlfs_buf_view(&tnef->name));
    if (part.bytes.len > 0)
        text_part_read(tnef->run, &part);
    emlfs_buf_clear(&tnef->name);
    tnef->data = emlfs_span_of(NULL, 0);
    tnef->attached = false;
}

static void value_take(struct tnef *tnef, uint16_t id, uint16_t type, struct emlfs_span value)
{
    bool wide = type == 0x1f;
    const char *charset = wide ? "utf-16le" : tnef->charset;
    if (id == PROPERTY_NAME || id == PROPERTY_LONG_NAME)
        name_take(tnef, value, wide, id == PROPERTY_LONG_NAME);
    else if (id == PROPERTY_DATA && tnef->attached) {
        bool embedded = type == 0x0d && value.len > MESSAGE_PREFIX_BYTES;
        size_t skip = embedded ? MESSAGE_PREFIX_BYTES : 0;
        tnef->data = emlfs_span_of(value.data + skip, value.len - skip);
    } else if (tnef->attached)
        return;
    else if (id == PROPERTY_SUBJECT || id == PROPERTY_BODY)
        part_take(tnef, "text/plain", charset, wide ? value : until_nul(value));
    else if (id == PROPERTY_HTML)
        part_take(tnef, "text/html", wide ? charset : "", value);
    else if (id == PROPERTY_RTF)
        rtf_take(tnef, value);
}

/* Bytes of a fixed value of this type, 0 when it has a length. */
static size_t fixed_bytes(uint16_t type)
{
    switch (type & 0x0fff) {
    case 0x02: /* 16 bit */
    case 0x03:
    case 0x04:
    case 0x0a:
    case 0x0b:
        return 4;
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x14:
    case 0x40:
        return 8;
    case 0x48:
        return 16;
    default:
        return 0;
    }
}

static void padding_skip(struct emlfs_cursor *cur, size_t len)
{
    size_t padding = (4 - len % 4) % 4;
    size_t left = emlfs_cursor_left(cur);
    emlfs_cursor_take(cur, padding < left ? padding : left);
}

static void property_name_skip(struct emlfs_cursor *cur)
{
    emlfs_cursor_take(cur, 16);
    uint32_t kind = emlfs_cursor_u32le(cur);
    uint32_t len = emlfs_cursor_u32le(cur); /* or a number */
    if (kind == 0)
        return;
    emlfs_cursor_take(cur, len);
    padding_skip(cur, len);
}

static bool property_read(struct tnef *tnef, struct emlfs_cursor *cur)
{
    uint16_t type = emlfs_cursor_u16le(cur);
    uint16_t id = emlfs_cursor_u16le(cur);
    size_t fixed = fixed_bytes(type);
    bool multiple = type & 0x1000;
    if (id >= 0x8000)
        property_name_skip(cur);
    if (!cur->bad && fixed > 0 && !multiple)
        emlfs_cursor_take(cur, fixed);
    if (cur->bad || (fixed > 0 && !multiple))
        return !cur->bad;
    uint32_t count = emlfs_cursor_u32le(cur);
    if (count > VALUES_MAX)
        return false;
    for (uint32_t i = 0; i < count && !cur->bad; i++) {
        size_t len = fixed > 0 ? fixed : emlfs_cursor_u32le(cur);
        struct emlfs_span value = emlfs_cursor_take(cur, len);
        padding_skip(cur, len);
        if (!cur->bad && fixed == 0)
            value_take(tnef, id, type & 0x0fff, value);
    }
    return !cur->bad;
}

static void properties_read(struct tnef *tnef, struct emlfs_span bytes)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    uint32_t count = emlfs_cursor_u32le(&cur);
    bool good = count <= PROPERTIES_MAX;
    for (uint32_t i = 0; good && i < count; i++)
        good = property_read(tnef, &cur);
    if (!good)
        tnef->reason = "damaged winmail.dat";
}

static void codepage_take(struct tnef *tnef, struct emlfs_span value)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    uint32_t codepage = emlfs_cursor_u32le(&cur);
    if (cur.bad || codepage == 0 || codepage > 65535)
        return;
    snprintf(tnef->charset, sizeof tnef->charset, "%s%u",
             codepage >= 1250 && codepage <= 1258 ? "windows-" : "CP", (unsigned)codepage);
}

static void attribute_take(struct tnef *tnef, unsigned id, struct emlfs_span value)
{
    if (id == ATTRIBUTE_RENDER) {
        attachment_flush(tnef);
        tnef->attached = true;
    } else if (id == ATTRIBUTE_CODEPAGE) {
        codepage_take(tnef, value);
    } else if (id == ATTRIBUTE_TITLE) {
        name_take(tnef, value, false, false);
    } else if (id == ATTRIBUTE_DATA) {
        tnef->data = value;
    } else if (id == ATTRIBUTE_SUBJECT || id == ATTRIBUTE_BODY) {
        part_take(tnef, "text/plain", tnef->charset, until_nul(value));
    } else if (id == ATTRIBUTE_MAPI || id == ATTRIBUTE_ATTACHED_MAPI) {
        properties_read(tnef, value);
    }
}

const char *text_tnef(struct text_run *run, struct emlfs_span bytes)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    struct tnef tnef = {
        .run = run, .charset = "windows-1252", .name = EMLFS_BUF_INIT(NAME_MAX_BYTES)};
    if (emlfs_cursor_u32le(&cur) != TNEF_SIGNATURE)
        return "damaged winmail.dat";
    emlfs_cursor_u16le(&cur);
    while (!cur.bad && emlfs_cursor_left(&cur) > 0) {
        emlfs_cursor_u8(&cur);
        uint32_t id = emlfs_cursor_u32le(&cur);
        uint32_t len = emlfs_cursor_u32le(&cur);
        struct emlfs_span value = emlfs_cursor_take(&cur, len);
        if (cur.bad || text_late(run))
            break;
        attribute_take(&tnef, id & 0xffff, value);
        emlfs_cursor_u16le(&cur);
    }
    attachment_flush(&tnef);
    emlfs_buf_free(&tnef.name);
    if (tnef.reason == NULL && text_late(run))
        return TEXT_BAD_TIME;
    return tnef.reason ? tnef.reason : cur.bad ? "damaged winmail.dat" : NULL;
}
