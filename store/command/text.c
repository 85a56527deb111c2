/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <wchar.h>

#define JSON_DEPTH_MAX 16

/* One strict UTF-8 character (RFC 3629): its length, or 0 when the bytes are not one. */
static size_t utf8_decode(struct emlfs_span text, uint32_t *ret_char)
{
    static const struct {
        uint8_t mask, lead;
        uint32_t min;
    } forms[] = {{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};

    for (size_t extra = 0; extra < 4 && extra < text.len; extra++) {
        if ((text.data[0] & forms[extra].mask) != forms[extra].lead)
            continue;
        uint32_t c = text.data[0] & (uint8_t)~forms[extra].mask;

        for (size_t i = 1; i <= extra; i++) {
            if ((text.data[i] & 0xc0) != 0x80)
                return 0;
            c = c << 6 | (text.data[i] & 0x3fu);
        }
        if (c < forms[extra].min || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return 0;
        *ret_char = c;
        return extra + 1;
    }
    return 0;
}

/* How many printable ASCII characters text begins with: most of it, and nothing to look up. */
static size_t plain_run(struct emlfs_span text)
{
    size_t n = 0;

    while (n < text.len && text.data[n] >= 0x20 && text.data[n] < 0x7f)
        n++;
    return n;
}

/* Characters that move the cursor, reorder or hide text. */
static bool char_is_unsafe(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x61c, 0x61c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

int emlfs_text_printf(struct emlfs_buf *out, const char *fmt, ...)
{
    char stack[512];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(stack, sizeof(stack), fmt, ap);
    va_end(ap);
    if (n < 0)
        return -EINVAL;
    if ((size_t)n < sizeof(stack))
        return emlfs_buf_append(out, stack, (size_t)n);

    int r = emlfs_buf_reserve(out, (size_t)n + 1);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    vsnprintf((char *)out->data + out->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    out->len += (size_t)n;
    return 0;
}

int emlfs_text_terminal(struct emlfs_span text, struct emlfs_buf *out)
{
    while (text.len > 0) {
        uint32_t c = 0;
        size_t plain = plain_run(text), n = plain ? plain : utf8_decode(text, &c);
        int r;

        if (plain > 0)
            r = emlfs_buf_append(out, text.data, plain);
        else if (n == 0)
            r = emlfs_text_printf(out, "\\x%02x", text.data[0]);
        else if (char_is_unsafe(c))
            r = emlfs_text_printf(out, "\\u{%x}", c);
        else
            r = emlfs_buf_append(out, text.data, n);
        if (r < 0)
            return r;
        n = n ? n : 1;
        text = emlfs_span_of(text.data + n, text.len - n);
    }
    return 0;
}

static bool text_is_utf8(struct emlfs_span text)
{
    uint32_t c;

    for (size_t i = plain_run(text); i < text.len;) {
        size_t n = utf8_decode(emlfs_span_of(text.data + i, text.len - i), &c);

        if (n == 0)
            return false;
        i += n;
        i += plain_run(emlfs_span_of(text.data + i, text.len - i));
    }
    return true;
}

struct json_object *emlfs_text_string(struct emlfs_span text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf clean = EMLFS_BUF_INIT(SIZE_MAX / 2);

    if (text.len > INT32_MAX / 4)
        return NULL;
    if (text_is_utf8(text))
        return json_object_new_string_len(text.len ? (const char *)text.data : "", (int)text.len);
    for (size_t i = 0; i < text.len;) {
        uint32_t c;
        size_t n = utf8_decode(emlfs_span_of(text.data + i, text.len - i), &c);
        int r = n ? emlfs_buf_append(&clean, text.data + i, n)
                  : emlfs_text_printf(&clean, "\\x%02x", text.data[i]);

        if (r < 0)
            return NULL;
        i += n ? n : 1;
    }
    return json_object_new_string_len((const char *)clean.data, (int)clean.len);
}

static int json_char_append(struct emlfs_buf *out, uint32_t c)
{
    if (c < 0x10000)
        return emlfs_text_printf(out, "\\u%04x", c);
    c -= 0x10000;
    return emlfs_text_printf(out, "\\u%04x\\u%04x", 0xd800 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

int emlfs_text_json(struct json_object *object, struct emlfs_buf *out)
{
    size_t len = 0;
    const char *json = json_object_to_json_string_length(
        object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

    if (!json)
        return -ENOMEM;
    /* One piece of memory, so that who wipes out has wiped everything. */
    int reserved = emlfs_buf_reserve(out, len);

    if (reserved < 0)
        return reserved;
    /* json-c escapes C0 characters; what else must not be shown stands only inside strings. */
    for (size_t i = 0; i < len;) {
        uint32_t c = 0xfffd;
        struct emlfs_span rest = emlfs_span_of(json + i, len - i);
        size_t plain = plain_run(rest), n = plain ? plain : utf8_decode(rest, &c);
        int r = plain || (n && !char_is_unsafe(c)) ? emlfs_buf_append(out, json + i, n)
                                                   : json_char_append(out, n ? c : 0xfffd);

        if (r < 0)
            return r;
        i += n ? n : 1;
    }
    return 0;
}

int emlfs_text_json_parse(struct emlfs_span bytes, struct json_object **ret, struct emlfs_err *err)
{
    struct json_tokener *tokener = json_tokener_new_ex(JSON_DEPTH_MAX);
    struct json_object *object = NULL;
    bool whole = false;

    *ret = NULL;
    if (!tokener)
        return emlfs_err_set(err, ENOMEM, "json", "out of memory");
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    if (bytes.len > 0 && bytes.len < INT32_MAX) {
        object = json_tokener_parse_ex(tokener, (const char *)bytes.data, (int)bytes.len);
        whole = json_tokener_get_error(tokener) == json_tokener_success &&
                json_tokener_get_parse_end(tokener) == bytes.len;
    }
    json_tokener_free(tokener);
    if (!whole || !json_object_is_type(object, json_type_object)) {
        json_object_put(object);
        return emlfs_err_set(err, EINVAL, "json", "not a JSON object");
    }
    *ret = object;
    return 0;
}

size_t emlfs_text_columns(struct emlfs_span text)
{
    size_t columns = 0;

    for (size_t i = 0; i < text.len;) {
        uint32_t c = 0;
        struct emlfs_span rest = emlfs_span_of(text.data + i, text.len - i);
        size_t plain = plain_run(rest), n = plain ? 0 : utf8_decode(rest, &c);
        int width = plain ? 0 : n ? wcwidth((wchar_t)c) : 1;

        columns += plain + (width > 0 ? (size_t)width : 0);
        i += plain ? plain : n ? n : 1;
    }
    return columns;
}

void emlfs_text_time(int64_t ns, char ret[EMLFS_TEXT_TIME_MAX])
{
    time_t sec = (time_t)(ns / 1000000000 - (ns % 1000000000 < 0));
    struct tm tm;

    if (!gmtime_r(&sec, &tm) || strftime(ret, EMLFS_TEXT_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(ret, EMLFS_TEXT_TIME_MAX, "-");
}

void emlfs_text_count(uint64_t count, char ret[32])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    int out = 0;

    for (int i = 0; i < len && out < 30; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            ret[out++] = ',';
        ret[out++] = digits[i];
    }
    ret[out] = '\0';
}

void emlfs_text_size(uint64_t bytes, char ret[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    unsigned unit = 0;

    while (value >= 999.5 && unit < 6) {
        value /= 1000;
        unit++;
    }
    snprintf(ret, 32, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value, units[unit]);
}
