/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/err.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/*
 * The text of an error often quotes names and subjects of foreign mail and ends on a terminal or in
 * a log, so whatever could move a cursor, reorder a line or is not UTF-8 is replaced by '?'.
 */

static bool tail_valid(const uint8_t *text, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if ((text[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* Length of the UTF-8 sequence at text (NUL-terminated) and its code point; 0 when malformed. */
static size_t utf8_decode(const uint8_t *text, uint32_t *ret_code)
{
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = text[0] < 0x80 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if ((text[0] >= 0x80 && text[0] < 0xc0) || text[0] > 0xf4 || !tail_valid(text, len))
        return 0;
    uint32_t code = len == 1 ? text[0] : text[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++)
        code = code << 6 | (text[i] & 0x3fu);
    *ret_code = code;
    return code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : len;
}

static bool code_harmful(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x200b && code <= 0x200f) ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069) ||
           code == 0xfeff;
}

/* In place; a harmful sequence becomes one '?'. */
static void text_escape(char *text)
{
    uint8_t *in = (uint8_t *)text;
    uint8_t *out = in;
    while (*in) {
        uint32_t code = 0;
        size_t len = utf8_decode(in, &code);
        if (len == 0 || code_harmful(code)) {
            *out++ = '?';
            in += len ? len : 1;
            continue;
        }
        for (size_t i = 0; i < len; i++)
            *out++ = *in++;
    }
    *out = '\0';
}

static void err_fill(struct emlfs_err *err, int code, const char *module, const char *text)
{
    err->code = code;
    snprintf(err->module, sizeof(err->module), "%s", module);
    snprintf(err->text, sizeof(err->text), "%s", text);
    text_escape(err->text);
}

/* The text is made aside first: callers wrap an error by quoting err->text itself. */
int emlfs_err_set(struct emlfs_err *err, int code, const char *module, const char *fmt, ...)
{
    if (!err)
        return -code;
    char text[sizeof(err->text)];
    va_list args;
    va_start(args, fmt);
    if (vsnprintf(text, sizeof(text), fmt, args) < 0)
        text[0] = '\0';
    va_end(args);
    err_fill(err, code, module, text);
    return -code;
}

int emlfs_err_sys(struct emlfs_err *err, int code, const char *module, const char *fmt, ...)
{
    if (!err)
        return -code;
    char text[sizeof(err->text)];
    char reason[128];
    va_list args;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
    snprintf(text + used, sizeof(text) - used, ": %s", strerror_r(code, reason, sizeof(reason)));
    err_fill(err, code, module, text);
    return -code;
}
