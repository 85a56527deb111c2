/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which characters a name may hold. Not responsible for what a name says (name.c).
 *
 * Invariants of name_text_clean:
 *  1. The result is valid UTF-8 in NFC and within the room; cleaning it again changes nothing.
 *  2. It holds none of < > : " / \ | ? *, no control, format, default-ignorable (bidi, zero-width,
 *     variation), private-use, unassigned character or noncharacter, no blank other than U+0020.
 *  3. A character of the first kind leaves '_' between two visible characters and nothing beside a
 *     blank or at an end: "Re: 1/3?" becomes "Re 1_3".
 *  4. A cut never divides a grapheme cluster, unless the first one alone is larger than the room.
 */
#include "name_text.h"

#include <stdlib.h>
#include <utf8proc.h>

#include "emlfs/name.h"

/* Input characters looked at, and their canonical decomposition (at most 4 for each). */
#define CODES_MAX 400u
#define CODES_WIDE_MAX 2048u

struct code_list {
    int32_t v[CODES_WIDE_MAX];
    size_t len;
    int32_t pending; /* ' ' or '_' to be written before the next visible character, or 0 */
    bool ascii;
};

enum code_class { CODE_KEEP, CODE_DROP, CODE_BLANK, CODE_BAD };

static enum code_class code_class_ascii(int32_t code)
{
    if (code == ' ' || (code >= '\t' && code <= '\r'))
        return CODE_BLANK;
    if (code < 0x20 || code == 0x7f || strchr("<>:\"/\\|?*", code) != NULL)
        return CODE_BAD;
    return CODE_KEEP;
}

static enum code_class code_class_of(int32_t code)
{
    if (code < 0x80)
        return code_class_ascii(code);
    const utf8proc_property_t *property = utf8proc_get_property(code);
    switch (property->category) {
    case UTF8PROC_CATEGORY_CF:
        return CODE_DROP;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return CODE_BLANK;
    case UTF8PROC_CATEGORY_CC:
        return code == 0x85 ? CODE_BLANK : CODE_BAD;
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
        return CODE_BAD;
    default:
        if (property->ignorable)
            return CODE_DROP;
        return code == 0xfffd ? CODE_BAD : CODE_KEEP;
    }
}

static void codes_push(struct code_list *codes, int32_t code)
{
    enum code_class class = code_class_of(code);
    if (class == CODE_DROP)
        return;
    if (class == CODE_BLANK || class == CODE_BAD) {
        if (codes->len > 0 && codes->pending != ' ')
            codes->pending = class == CODE_BLANK ? ' ' : '_';
        return;
    }
    if (codes->pending != 0 && codes->len < CODES_WIDE_MAX)
        codes->v[codes->len++] = codes->pending;
    codes->pending = 0;
    codes->ascii = codes->ascii && code < 0x80;
    if (codes->len < CODES_WIDE_MAX)
        codes->v[codes->len++] = code;
}

static void codes_read(struct code_list *codes, struct emlfs_span text)
{
    while (text.len > 0 && codes->len < CODES_MAX) {
        utf8proc_int32_t code = text.data[0];
        utf8proc_ssize_t used = 1;
        if (code >= 0x80) {
            used = utf8proc_iterate(text.data, (utf8proc_ssize_t)text.len, &code);
            if (used <= 0) {
                used = 1;
                code = 0xfffd;
            }
        }
        codes_push(codes, code);
        text.data += used;
        text.len -= (size_t)used;
    }
    codes->pending = 0;
}

/* NFC; then the filter again, for what composing or decomposing brought. True: it changed. */
static bool codes_normalise(struct code_list *codes)
{
    uint8_t bytes[CODES_MAX * 8];
    size_t len = 0;
    for (size_t i = 0; i < codes->len && len + 4 <= sizeof bytes; i++)
        len += (size_t)utf8proc_encode_char(codes->v[i], bytes + len);
    struct code_list next = {.ascii = true};
    utf8proc_int32_t wide[CODES_WIDE_MAX];
    utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    utf8proc_ssize_t count =
        utf8proc_decompose(bytes, (utf8proc_ssize_t)len, wide, CODES_WIDE_MAX, options);
    if (count >= 0 && count <= (utf8proc_ssize_t)CODES_WIDE_MAX)
        count = utf8proc_normalize_utf32(wide, count, options);
    else
        count = 0;
    for (utf8proc_ssize_t i = 0; i < count; i++)
        codes_push(&next, wide[i]);
    next.pending = 0;
    bool changed =
        next.len != codes->len || memcmp(next.v, codes->v, codes->len * sizeof codes->v[0]) != 0;
    *codes = next;
    return changed;
}

static size_t code_bytes(int32_t code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/* How many codes from v fit the room, at a grapheme boundary when there is one. */
static size_t codes_fit(const int32_t *v, size_t len, struct name_room room)
{
    size_t units = 0;
    size_t bytes = 0;
    size_t boundary = 0;
    utf8proc_int32_t state = 0;
    for (size_t i = 0; i < len; i++) {
        if (i > 0 && utf8proc_grapheme_break_stateful(v[i - 1], v[i], &state))
            boundary = i;
        units += v[i] > 0xffff ? 2 : 1;
        bytes += code_bytes(v[i]);
        if (units > room.units || bytes > room.bytes)
            return boundary > 0 ? boundary : i;
    }
    return len;
}

static bool lead_forbidden(int32_t code, bool strict)
{
    return code == ' ' || (strict && (code == '.' || code == '-' || code == '~'));
}

size_t name_text_clean(struct emlfs_span text, struct name_room room, bool lead_strict, char *ret)
{
    struct code_list codes;
    codes.len = 0;
    codes.pending = 0;
    codes.ascii = true;
    codes_read(&codes, text);
    /* two rounds settle everything known; the bound keeps hostile text from going on for ever */
    for (unsigned round = 0; !codes.ascii && round < 4 && codes_normalise(&codes); round++)
        continue;
    size_t skip = 0;
    while (skip < codes.len && lead_forbidden(codes.v[skip], lead_strict))
        skip++;
    size_t len = codes_fit(codes.v + skip, codes.len - skip, room);
    while (len > 0 && (codes.v[skip + len - 1] == ' ' || codes.v[skip + len - 1] == '.'))
        len--;
    size_t bytes = 0;
    for (size_t i = 0; i < len; i++)
        bytes += (size_t)utf8proc_encode_char(codes.v[skip + i], (uint8_t *)ret + bytes);
    ret[bytes] = '\0';
    return bytes;
}

size_t name_text_units(const char *text)
{
    size_t units = 0;
    for (const uint8_t *p = (const uint8_t *)text; *p; p++) {
        if ((*p & 0xc0) != 0x80)
            units += *p >= 0xf0 ? 2 : 1;
    }
    return units;
}

int emlfs_name_fold(const char *name, struct emlfs_buf *ret_folded)
{
    utf8proc_uint8_t *folded = NULL;
    utf8proc_option_t options =
        UTF8PROC_NULLTERM | UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD;
    utf8proc_ssize_t len = utf8proc_map((const utf8proc_uint8_t *)name, 0, &folded, options);
    if (len < 0)
        return len == UTF8PROC_ERROR_NOMEM ? -ENOMEM : -EILSEQ;
    int rc = emlfs_buf_append(ret_folded, folded, (size_t)len);
    free(folded);
    return rc;
}
