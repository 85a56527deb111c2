/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "internal.h"

struct ledger_lines ledger_lines_of(struct emlfs_span text)
{
    const char *start = text.data ? (const char *)text.data : "";
    return (struct ledger_lines){.pos = start, .end = start + text.len};
}

bool ledger_lines_next_is(const struct ledger_lines *lines, const char *prefix)
{
    size_t len = strlen(prefix);
    return !lines->bad && (size_t)(lines->end - lines->pos) >= len &&
           memcmp(lines->pos, prefix, len) == 0;
}

struct emlfs_span ledger_lines_take(struct ledger_lines *lines, const char *prefix)
{
    bool match = ledger_lines_next_is(lines, prefix);
    const char *start = match ? lines->pos + strlen(prefix) : NULL;
    const char *stop = match ? memchr(start, '\n', (size_t)(lines->end - start)) : NULL;
    if (!stop) {
        lines->bad = true;
        return (struct emlfs_span){0};
    }
    lines->pos = stop + 1;
    return emlfs_span_of(start, (size_t)(stop - start));
}

uint64_t ledger_lines_number(struct ledger_lines *lines, const char *prefix)
{
    struct emlfs_span text = ledger_lines_take(lines, prefix);
    uint64_t value = 0;
    bool bad = text.len == 0 || (text.len > 1 && text.data[0] == '0');
    for (size_t i = 0; i < text.len && !bad; i++)
        bad = text.data[i] < '0' || text.data[i] > '9' ||
              __builtin_mul_overflow(value, 10, &value) ||
              __builtin_add_overflow(value, text.data[i] - '0', &value);
    lines->bad = lines->bad || bad;
    return lines->bad ? 0 : value;
}

void ledger_lines_hash(struct ledger_lines *lines, const char *prefix, struct emlfs_hash *ret_hash)
{
    struct emlfs_span text = ledger_lines_take(lines, prefix);
    if (!ledger_text64_fixed(text, ret_hash->v, EMLFS_HASH_BYTES))
        lines->bad = true;
}

int ledger_print(struct emlfs_buf *out, const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(line))
        return -E2BIG;
    return emlfs_buf_append(out, line, (size_t)n);
}

int ledger_print64(struct emlfs_buf *out, const char *prefix, struct emlfs_span bytes)
{
    int r = emlfs_buf_append(out, prefix, strlen(prefix));
    if (r == 0)
        r = ledger_text64_encode(bytes, out);
    return r < 0 ? r : emlfs_buf_append_u8(out, '\n');
}

bool ledger_origin_valid(const char *origin)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-";
    size_t len = strlen(origin);
    return len > 0 && len <= EMLFS_LEDGER_ORIGIN_MAX_BYTES && strspn(origin, allowed) == len;
}
