/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any charset to UTF-8. Labels lie: text that is UTF-8 is UTF-8 whatever it is called, a label
 * stands for the largest set that writers use under its name, and what cannot be converted becomes
 * U+FFFD, never an end.
 */
#include <iconv.h>
#include <stdlib.h>
#include <strings.h>

#include "text.h"

#define SLOTS 16u
#define CHUNK_BYTES 4096u
#define MULTIBYTE_SURE 4u /* so many UTF-8 characters by chance are not believed */

enum charset_shape { SHAPE_UTF8, SHAPE_BYTE, SHAPE_MULTIBYTE, SHAPE_STATEFUL };
struct charset {
    char name[48];
    enum charset_shape shape;
};
struct slot {
    char name[48];
    iconv_t converter;
    unsigned used;
};
struct text_charsets {
    struct slot slots[SLOTS];
    unsigned clock;
};

struct text_charsets *text_charsets_new(void)
{
    return calloc(1, sizeof(struct text_charsets));
}

void text_charsets_free(struct text_charsets *charsets)
{
    for (unsigned i = 0; charsets && i < SLOTS; i++) {
        if (charsets->slots[i].used > 0)
            iconv_close(charsets->slots[i].converter);
    }
    free(charsets);
}

/* Names by their beginning, the first that fits. */
static const struct {
    const char *prefix, *name;
    enum charset_shape shape;
} known[] = {
    {"utf-8", "UTF-8", SHAPE_UTF8},
    {"utf8", "UTF-8", SHAPE_UTF8},
    {"us-ascii", "UTF-8", SHAPE_UTF8},
    {"ascii", "UTF-8", SHAPE_UTF8},
    {"ansi_x3", "UTF-8", SHAPE_UTF8},
    {"unknown", "UTF-8", SHAPE_UTF8},
    {"utf-7", "UTF-7", SHAPE_STATEFUL},
    {"unicode-1-1-utf-7", "UTF-7", SHAPE_STATEFUL},
    {"iso-2022-jp", "ISO-2022-JP-3", SHAPE_STATEFUL},
    {"csiso2022jp", "ISO-2022-JP-3", SHAPE_STATEFUL},
    {"iso-2022-kr", "ISO-2022-KR", SHAPE_STATEFUL},
    {"iso-2022-cn", "ISO-2022-CN", SHAPE_STATEFUL},
    {"hz", "HZ", SHAPE_STATEFUL},
    {"utf-16le", "UTF-16LE", SHAPE_STATEFUL},
    {"utf-16be", "UTF-16BE", SHAPE_STATEFUL},
    {"utf-16", "UTF-16", SHAPE_STATEFUL},
    {"utf-32", "UTF-32", SHAPE_STATEFUL},
    {"gb", "GB18030", SHAPE_MULTIBYTE},
    {"x-gbk", "GB18030", SHAPE_MULTIBYTE},
    {"cp936", "GB18030", SHAPE_MULTIBYTE},
    {"euc-cn", "GB18030", SHAPE_MULTIBYTE},
    {"big5", "BIG5-HKSCS", SHAPE_MULTIBYTE},
    {"cp950", "BIG5-HKSCS", SHAPE_MULTIBYTE},
    {"euc-kr", "CP949", SHAPE_MULTIBYTE},
    {"ks_c", "CP949", SHAPE_MULTIBYTE},
    {"ksc", "CP949", SHAPE_MULTIBYTE},
    {"korean", "CP949", SHAPE_MULTIBYTE},
    {"cp949", "CP949", SHAPE_MULTIBYTE},
    {"windows-949", "CP949", SHAPE_MULTIBYTE},
    {"johab", "JOHAB", SHAPE_MULTIBYTE},
    {"shift", "CP932", SHAPE_MULTIBYTE},
    {"sjis", "CP932", SHAPE_MULTIBYTE},
    {"x-sjis", "CP932", SHAPE_MULTIBYTE},
    {"ms_kanji", "CP932", SHAPE_MULTIBYTE},
    {"cp932", "CP932", SHAPE_MULTIBYTE},
    {"windows-31j", "CP932", SHAPE_MULTIBYTE},
    {"euc-jp", "EUC-JP-MS", SHAPE_MULTIBYTE},
    {"x-euc-jp", "EUC-JP-MS", SHAPE_MULTIBYTE},
    {"eucjp", "EUC-JP-MS", SHAPE_MULTIBYTE},
    {"euc-tw", "EUC-TW", SHAPE_MULTIBYTE},
    {"iso-8859-11", "CP874", SHAPE_BYTE},
    {"windows-874", "CP874", SHAPE_BYTE},
    {"tis-620", "CP874", SHAPE_BYTE},
    {"iso-8859-15", "ISO-8859-15", SHAPE_BYTE},
    {"iso-8859-8-", "ISO-8859-8", SHAPE_BYTE},
    {"iso-8859-9", "WINDOWS-1254", SHAPE_BYTE},
    {"x-mac-cyrillic", "MAC-CYRILLIC", SHAPE_BYTE},
    {"mac", "MACINTOSH", SHAPE_BYTE},
    {"x-mac", "MACINTOSH", SHAPE_BYTE},
};
static const char *const western[] = {"iso-8859-1", "iso8859-1",    "iso_8859-1", "latin1",
                                      "latin-1",    "windows-1252", "cp1252",     "x-user-defined",
                                      "l1",         "8bit",         "default",    NULL};

static bool is_western(const char *label)
{
    for (size_t i = 0; western[i]; i++) {
        if (strcasecmp(label, western[i]) == 0)
            return true;
    }
    return false;
}

/* A label as a charset that iconv may be asked for; what cannot be a name is taken for Western. */
static struct charset charset_of(const char *label)
{
    struct charset charset = {.name = "WINDOWS-1252", .shape = SHAPE_BYTE};
    size_t len = strlen(label);
    if (len == 0)
        return (struct charset){.name = "UTF-8", .shape = SHAPE_UTF8};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strncasecmp(label, known[i].prefix, strlen(known[i].prefix)) == 0) {
            charset.shape = known[i].shape;
            memcpy(charset.name, known[i].name, strlen(known[i].name) + 1);
            return charset;
        }
    }
    if (len >= sizeof charset.name || is_western(label) ||
        strspn(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:-") < len)
        return charset;
    memcpy(charset.name, label, len + 1);
    return charset;
}

/* The converter, or NULL when there is none of this name. */
static iconv_t converter_of(struct text_charsets *charsets, const char *name)
{
    struct slot *slot = &charsets->slots[0];
    for (unsigned i = 0; i < SLOTS; i++) {
        struct slot *at = &charsets->slots[i];
        if (at->used > 0 && strcmp(at->name, name) == 0) {
            at->used = ++charsets->clock;
            return at->converter;
        }
        if (at->used < slot->used)
            slot = at;
    }
    iconv_t converter = iconv_open("UTF-8", name);
    if (converter == (iconv_t)-1)
        return NULL;
    if (slot->used > 0)
        iconv_close(slot->converter);
    *slot = (struct slot){.converter = converter, .used = ++charsets->clock};
    memcpy(slot->name, name, strlen(name) + 1);
    return converter;
}

/* Convert; strict stops with -EILSEQ at what the charset does not have. */
static int convert(iconv_t converter, struct emlfs_span bytes, bool strict, struct emlfs_buf *out)
{
    char chunk[CHUNK_BYTES];
    char *in = (char *)(uintptr_t)bytes.data;
    size_t left = bytes.len;
    int rc = 0;
    iconv(converter, NULL, NULL, NULL, NULL);
    while (rc == 0 && left > 0) {
        char *to = chunk;
        size_t room = sizeof chunk;
        errno = 0;
        bool bad = iconv(converter, &in, &left, &to, &room) == (size_t)-1 && errno != E2BIG;
        rc = emlfs_buf_append(out, chunk, sizeof chunk - room);
        if (rc < 0 || !bad)
            continue;
        if (strict)
            return -EILSEQ;
        rc = emlfs_buf_append(out, "\xef\xbf\xbd", 3);
        in++;
        left--;
    }
    char *to = chunk;
    size_t room = sizeof chunk;
    if (rc == 0 && iconv(converter, NULL, NULL, &to, &room) != (size_t)-1)
        rc = emlfs_buf_append(out, chunk, sizeof chunk - room);
    return rc;
}

/* How much in bytes speaks for UTF-8: its characters beyond ASCII, and bytes that are none. */
static void utf8_weigh(struct emlfs_span bytes, size_t *ret_chars, size_t *ret_bad)
{
    *ret_chars = *ret_bad = 0;
    for (size_t at = 0; at < bytes.len;) {
        size_t good = emlfs_doctext_valid(emlfs_span_of(bytes.data + at, bytes.len - at));
        for (size_t i = at; i < at + good; i++)
            *ret_chars += bytes.data[i] >= 0xc0;
        at += good;
        if (at < bytes.len)
            *ret_bad += bytes.data[at++] != 0;
    }
}

/* HZ (RFC 1843), which the C library does not have: GB 2312 between ~{ and ~}, in 7 bits. */
static int hz_unpack(struct emlfs_span bytes, struct emlfs_buf *out)
{
    bool chinese = false;
    int rc = emlfs_buf_reserve(out, bytes.len);
    for (size_t i = 0; rc == 0 && i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        uint8_t next = i + 1 < bytes.len ? bytes.data[i + 1] : 0;
        if (c == '\n')
            chinese = false;
        if (c == '~' && (next == '{' || next == '}' || next == '~' || next == '\n')) {
            if (next == '~')
                out->data[out->len++] = c;
            else if (next != '\n')
                chinese = next == '{';
            i++;
        } else {
            out->data[out->len++] = chinese && c > ' ' ? c | 0x80 : c;
        }
    }
    return rc;
}

static bool is_japanese(struct emlfs_span bytes)
{
    return memmem(bytes.data, bytes.len, "\x1b$", 2) || memmem(bytes.data, bytes.len, "\x1b(", 2);
}

/* A byte order mark says more than any label. */
static const char *marked(struct emlfs_span *bytes)
{
    const uint8_t *data = bytes->data;
    size_t mark = 0;
    const char *name = NULL;
    if (bytes->len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        name = "utf-8";
        mark = 3;
    } else if (bytes->len >= 2 && (memcmp(data, "\xff\xfe", 2) == 0)) {
        name = "utf-16le";
        mark = 2;
    } else if (bytes->len >= 2 && (memcmp(data, "\xfe\xff", 2) == 0)) {
        name = "utf-16be";
        mark = 2;
    }
    *bytes = emlfs_span_of(data + mark, bytes->len - mark);
    return name;
}

/* What bytes that are not plainly UTF-8 most likely are. */
static struct charset likely(struct emlfs_span bytes, const char *label)
{
    struct charset charset = charset_of(label);
    size_t chars, bad;
    if (charset.shape == SHAPE_STATEFUL || charset.shape == SHAPE_MULTIBYTE)
        return charset;
    utf8_weigh(bytes, &chars, &bad);
    if (charset.shape == SHAPE_UTF8)
        return chars > bad || bad == 0 ? charset : charset_of("windows-1252");
    return bad == 0 && chars > 0 ? charset_of("utf-8") : charset;
}

static int converted(struct text_charsets *charsets, struct emlfs_span bytes,
                     struct charset charset, struct emlfs_buf *out)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf unpacked = EMLFS_BUF_INIT(bytes.len + 1);
    size_t before = out->len, chars, bad;
    if (charset.shape == SHAPE_UTF8)
        return emlfs_doctext_repair(out, bytes);
    if (strcmp(charset.name, "HZ") == 0) {
        int rc = hz_unpack(bytes, &unpacked);
        if (rc < 0)
            return rc;
        charset = charset_of("gb18030");
        bytes = emlfs_buf_view(&unpacked);
    }
    iconv_t converter = converter_of(charsets, charset.name);
    if (converter == NULL)
        converter = converter_of(charsets, "WINDOWS-1252");
    if (converter == NULL)
        return emlfs_doctext_repair(out, bytes);
    if (charset.shape == SHAPE_MULTIBYTE) {
        int rc = convert(converter, bytes, true, out);
        if (rc != -EILSEQ)
            return rc;
        out->len = before;
        utf8_weigh(bytes, &chars, &bad);
        if (bad == 0)
            return emlfs_buf_append(out, bytes.data, bytes.len);
    }
    return convert(converter, bytes, false, out);
}

/* Is it UTF-8 without any doubt? */
static bool plainly_utf8(struct emlfs_span bytes, const char *label)
{
    enum charset_shape shape = charset_of(label).shape;
    size_t chars = 0;
    if (shape == SHAPE_STATEFUL || emlfs_doctext_valid(bytes) < bytes.len)
        return false;
    if (shape != SHAPE_MULTIBYTE)
        return shape != SHAPE_UTF8 || !memchr(bytes.data, 0x1b, bytes.len) || !is_japanese(bytes);
    for (size_t i = 0; i < bytes.len; i++)
        chars += bytes.data[i] >= 0xc0;
    return chars == 0 || chars >= MULTIBYTE_SURE;
}

int text_utf8(struct text_charsets *charsets, struct emlfs_span bytes, const char *charset,
              struct emlfs_buf *scratch, struct emlfs_span *ret)
{
    *ret = bytes;
    emlfs_buf_clear(scratch);
    if (bytes.len == 0)
        return 0;
    const char *mark = marked(&bytes);
    if (mark)
        charset = mark;
    *ret = bytes;
    if (bytes.len == 0 || plainly_utf8(bytes, charset))
        return 0;
    struct charset guess = charset_of(charset);
    if (guess.shape == SHAPE_UTF8 && is_japanese(bytes))
        guess = charset_of("iso-2022-jp");
    else
        guess = likely(bytes, charset);
    int rc = converted(charsets, bytes, guess, scratch);
    *ret = emlfs_buf_view(scratch);
    return rc;
}

int text_utf8_append(struct text_charsets *charsets, struct emlfs_span bytes, const char *charset,
                     struct emlfs_buf *out)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf scratch = EMLFS_BUF_INIT(out->max_bytes);
    struct emlfs_span text;
    int rc = text_utf8(charsets, bytes, charset, &scratch, &text);
    int appended = emlfs_buf_append(out, text.data, text.len);
    return rc < 0 ? rc : appended;
}

int text_put_char(struct emlfs_buf *out, uint32_t code)
{
    uint8_t utf8[4];
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (code == 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return emlfs_buf_append(out, "\xef\xbf\xbd", 3);
    if (len == 1)
        return emlfs_buf_append_u8(out, (uint8_t)code);
    for (size_t i = len - 1; i > 0; i--) {
        utf8[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    utf8[0] = (uint8_t)((0xf00u >> len) | code);
    return emlfs_buf_append(out, utf8, len);
}
