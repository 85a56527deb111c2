/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Small text forms of the commands around the ledger. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/base/zone.h"
#include "emlfs/text.h"

#define NS_PER_SEC INT64_C(1000000000)
#define SEC_PER_DAY 86400

void emlfs_errno_text(int code, char ret[EMLFS_ERRNO_TEXT_MAX])
{
    const char *name = strerrorname_np(code);

    if (name)
        snprintf(ret, EMLFS_ERRNO_TEXT_MAX, "%s", name);
    else
        snprintf(ret, EMLFS_ERRNO_TEXT_MAX, "%d", code);
}

int emlfs_hex_append(struct emlfs_span bytes, struct emlfs_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    int r = emlfs_buf_reserve(out, 2 * bytes.len);

    for (size_t i = 0; r == 0 && i < bytes.len; i++) {
        out->data[out->len++] = (uint8_t)digits[bytes.data[i] >> 4];
        out->data[out->len++] = (uint8_t)digits[bytes.data[i] & 15];
    }
    return r;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int emlfs_hex_parse(const char *text, struct emlfs_buf *out)
{
    int r = 0;

    for (; r == 0 && *text; text += 2) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);

        if (low < 0)
            return -EINVAL;
        r = emlfs_buf_append_u8(out, (uint8_t)(high << 4 | low));
    }
    return r;
}

/* Exactly digits decimal digits at *text, which moves behind them. */
static bool number_take(const char **text, unsigned digits, unsigned *ret)
{
    *ret = 0;
    for (unsigned i = 0; i < digits; i++, (*text)++) {
        if (**text < '0' || **text > '9')
            return false;
        *ret = *ret * 10 + (unsigned)(**text - '0');
    }
    return true;
}

static bool char_take(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

static bool date_take(const char **text, int64_t *ret_days)
{
    unsigned year, month, day, back_month, back_day;
    int64_t back_year;

    if (!number_take(text, 4, &year) || !char_take(text, '-') || !number_take(text, 2, &month) ||
        !char_take(text, '-') || !number_take(text, 2, &day) || month < 1 || month > 12 ||
        day < 1 || day > 31 || year < 1)
        return false;
    *ret_days = emlfs_zone_days(year, month, day);
    emlfs_zone_civil(*ret_days, &back_year, &back_month, &back_day);
    return back_month == month && back_day == day;
}

static bool time_take(const char **text, int64_t *ret_sec)
{
    unsigned hour, minute, second = 0;

    if (!number_take(text, 2, &hour) || !char_take(text, ':') || !number_take(text, 2, &minute) ||
        (char_take(text, ':') && !number_take(text, 2, &second)))
        return false;
    *ret_sec = (int64_t)hour * 3600 + minute * 60u + second;
    return hour < 24 && minute < 60 && second < 60;
}

int emlfs_moment_parse(const char *text, const char *zone, bool end, int64_t *ret_sec)
{
    int64_t days, of_day = 0;

    if (!date_take(&text, &days))
        return -EINVAL;
    if (char_take(&text, ' ') || char_take(&text, 'T')) {
        if (!time_take(&text, &of_day))
            return -EINVAL;
        if (char_take(&text, 'Z'))
            zone = NULL;
    } else if (end) {
        days++;
    }
    if (*text)
        return -EINVAL;
    *ret_sec = emlfs_zone_utc_sec(zone, days * 86400 + of_day);
    return 0;
}

/* ".25": nanoseconds, at most nine digits. */
static bool fraction_take(const char **text, int64_t *ret_ns)
{
    int64_t unit = NS_PER_SEC;

    *ret_ns = 0;
    if (!char_take(text, '.'))
        return true;
    for (; **text >= '0' && **text <= '9' && unit > 1; (*text)++) {
        unit /= 10;
        *ret_ns += (**text - '0') * unit;
    }
    return unit < NS_PER_SEC;
}

/* "Z", "+01:00" or nothing: *ret_zone NULL and the offset, or as it was. */
static bool offset_take(const char **text, const char **zone, int64_t *ret_sec)
{
    unsigned hour, minute;
    bool west = **text == '-';

    *ret_sec = 0;
    if (char_take(text, 'Z')) {
        *zone = NULL;
        return true;
    }
    if (!char_take(text, '+') && !char_take(text, '-'))
        return true;
    if (!number_take(text, 2, &hour) || !char_take(text, ':') || !number_take(text, 2, &minute) ||
        hour > 23 || minute > 59)
        return false;
    *zone = NULL;
    *ret_sec = (west ? -1 : 1) * (int64_t)(hour * 3600 + minute * 60);
    return true;
}

int emlfs_text_asof_parse(const char *text, const char *zone, int64_t *ret_ns)
{
    int64_t days, of_day = SEC_PER_DAY, ns = -1, east = 0;

    if (!date_take(&text, &days))
        return -EINVAL;
    if (char_take(&text, 'T') || char_take(&text, ' ')) {
        if (!time_take(&text, &of_day) || !fraction_take(&text, &ns) ||
            !offset_take(&text, &zone, &east))
            return -EINVAL;
    }
    if (*text ||
        __builtin_mul_overflow(emlfs_zone_utc_sec(zone, days * SEC_PER_DAY + of_day) - east,
                               NS_PER_SEC, ret_ns) ||
        __builtin_add_overflow(*ret_ns, ns, ret_ns))
        return -EINVAL;
    return 0;
}

void emlfs_row_lines(struct json_object *row, const char *name, struct emlfs_span text)
{
    struct json_object *lines = json_object_new_array();

    while (lines && text.len > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        size_t len = end ? (size_t)(end - text.data) : text.len;

        json_object_array_add(lines, emlfs_text_string(emlfs_span_of(text.data, len)));
        len += end != NULL;
        text = emlfs_span_of(text.data + len, text.len - len);
    }
    json_object_object_add(row, name, lines);
}
