/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Values of a query that are not words: size, has, priority, folder, store. Dates: query_date.c. */
#include "query_internal.h"

static int value_mistake(const struct query_reading *reading, unsigned i, const char *text)
{
    return query_mistake(reading->mistake, EINVAL, reading->value.v[i].at, "%s", text);
}

static int32_t value_char(struct query_value value, unsigned i)
{
    return i < value.n ? value.v[i].c : 0;
}

static bool is_digit(int32_t c)
{
    return c >= '0' && c <= '9';
}

/* ---- size */

/* 1*DIGIT ["K" / "M" / "G"] ["B"] at *pos. */
static int size_number(const struct query_reading *reading, unsigned *pos, uint64_t *ret)
{
    static const char units[] = "kmg";
    struct query_value value = reading->value;
    unsigned begin = *pos;
    uint64_t n = 0;
    bool over = false;
    for (; is_digit(value_char(value, *pos)); (*pos)++)
        over = over || __builtin_mul_overflow(n, 10u, &n) ||
               __builtin_add_overflow(n, (uint64_t)(value_char(value, *pos) - '0'), &n);
    if (*pos == begin)
        return value_mistake(reading, begin, "a size is a number, as in 500, 10K, 5M or 1G");
    int32_t unit = value_char(value, *pos);
    const char *known = unit > 0 && unit < 0x80 ? strchr(units, unit | 0x20) : NULL;
    if (known && unit >= 'A') {
        over = over || __builtin_mul_overflow(n, (uint64_t)1024 << (10 * (known - units)), &n);
        (*pos)++;
    }
    if ((value_char(value, *pos) | 0x20) == 'b')
        (*pos)++;
    if (over || n > INT64_MAX)
        return value_mistake(reading, begin, "a size that is too large");
    *ret = n;
    return 0;
}

static bool is_range(struct query_value value, unsigned pos)
{
    return value_char(value, pos) == '.' && value_char(value, pos + 1) == '.';
}

/* (">" / "<" / ">=" / "<=") bytes */
static int size_compared(struct query_reading *reading, unsigned *pos)
{
    struct emlfs_query_term *term = reading->term;
    bool above = value_char(reading->value, 0) == '>';
    bool equal = value_char(reading->value, 1) == '=';
    uint64_t n;
    *pos = equal ? 2 : 1;
    int r = size_number(reading, pos, &n);
    if (r < 0)
        return r;
    if (above) {
        term->from = equal ? n : n + 1;
        return 0;
    }
    if (!equal && n == 0)
        return value_mistake(reading, 0, "nothing is smaller than 0");
    term->to = equal ? n : n - 1;
    return 0;
}

/* bytes / bytes ".." bytes / bytes ".." / ".." bytes */
static int size_range(struct query_reading *reading, unsigned *pos)
{
    struct emlfs_query_term *term = reading->term;
    int r = 0;
    if (!is_range(reading->value, 0)) {
        r = size_number(reading, pos, &term->from);
        if (r == 0 && !is_range(reading->value, *pos)) {
            term->to = term->from;
            return 0;
        }
    }
    *pos += 2;
    if (r == 0 && (*pos < reading->value.n || *pos == 2))
        r = size_number(reading, pos, &term->to);
    if (r == 0 && term->from > term->to)
        r = value_mistake(reading, 0, "the range ends before it begins");
    return r;
}

int query_read_size(struct query_reading *reading)
{
    int32_t first = value_char(reading->value, 0);
    unsigned pos = 0;
    reading->term->from = 0;
    reading->term->to = UINT64_MAX;
    int r = first == '>' || first == '<' ? size_compared(reading, &pos) : size_range(reading, &pos);
    if (r == 0 && pos < reading->value.n)
        r = value_mistake(reading, pos,
                          "not part of a size (500, >5M, <=10K, 1M..2M, 1M.., ..500)");
    return r;
}

/* ---- words of a list */

static bool value_is(const struct query_reading *reading, const char *word)
{
    return query_is(reading->value, 0, reading->value.n, word);
}

int query_read_has(struct query_reading *reading)
{
    return value_is(reading, "attachment") ? 0 : value_mistake(reading, 0, "has: takes attachment");
}

int query_read_priority(struct query_reading *reading)
{
    static const char *const names[] = {[EMLFS_PRIORITY_NORMAL] = "normal",
                                        [EMLFS_PRIORITY_HIGH] = "high",
                                        [EMLFS_PRIORITY_LOW] = "low"};
    for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (value_is(reading, names[i])) {
            reading->term->number = i;
            return 0;
        }
    }
    return value_mistake(reading, 0, "priority: takes high, normal or low");
}

/* ---- folder and store */

int query_read_folder(struct query_reading *reading)
{
    for (unsigned i = 0; i < reading->value.n; i++)
        if (reading->value.v[i].c != '/' && reading->value.v[i].c != '\\')
            return 0;
    return value_mistake(reading, 0, "no folder named");
}

#define STORE_NO_MAX 65535u

int query_read_store(struct query_reading *reading)
{
    struct query_value value = reading->value;
    bool digits = value.n > 0;
    uint32_t number = 0;
    if (value.n == 0)
        return value_mistake(reading, 0, "no store named");
    for (unsigned i = 0; i < value.n; i++) {
        int32_t c = value.v[i].c;
        if (c == '*' || c == '?')
            return value_mistake(reading, i, "no wildcards in the name of a store");
        digits = digits && is_digit(c);
        if (digits && number <= STORE_NO_MAX)
            number = number * 10 + (uint32_t)(c - '0');
    }
    reading->term->number = digits && number <= STORE_NO_MAX ? number : 0;
    return 0;
}
