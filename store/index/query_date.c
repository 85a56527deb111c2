/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates of a query: days as they are written, and the time they stand for when it is run. */
#include "emlfs/base/zone.h"
#include "query_internal.h"

#define YEAR_FIRST 1900
#define SECOND_NS 1000000000
#define DAY_SEC 86400

/* ---- as written */

static const struct {
    const char *name;
    enum emlfs_day_kind kind;
} day_names[] = {
    {"today", EMLFS_DAY_TODAY},          {"yesterday", EMLFS_DAY_YESTERDAY},
    {"thisweek", EMLFS_DAY_THIS_WEEK},   {"lastweek", EMLFS_DAY_LAST_WEEK},
    {"thismonth", EMLFS_DAY_THIS_MONTH}, {"lastmonth", EMLFS_DAY_LAST_MONTH},
    {"thisyear", EMLFS_DAY_THIS_YEAR},   {"lastyear", EMLFS_DAY_LAST_YEAR},
};

static unsigned month_days(int year, int month)
{
    int64_t first = emlfs_zone_days(year, (unsigned)month, 1);
    int64_t next = month == 12 ? emlfs_zone_days(year + 1, 1, 1)
                               : emlfs_zone_days(year, (unsigned)month + 1, 1);
    return (unsigned)(next - first);
}

/* Exactly digits digits at *pos, behind a dash when that is asked for. */
static bool number_take(struct query_value value, unsigned *pos, unsigned digits, int *ret)
{
    int n = 0;
    if (*pos + digits > value.n)
        return false;
    for (unsigned i = 0; i < digits; i++) {
        int32_t c = value.v[*pos + i].c;
        if (c < '0' || c > '9')
            return false;
        n = n * 10 + (int)(c - '0');
    }
    *pos += digits;
    *ret = n;
    return true;
}

static bool dash_number_take(struct query_value value, unsigned *pos, int *ret)
{
    unsigned behind = *pos + 1;
    if (*pos >= value.n || value.v[*pos].c != '-' || !number_take(value, &behind, 2, ret))
        return false;
    *pos = behind;
    return true;
}

static int day_mistake(const struct query_reading *reading, unsigned at, const char *text)
{
    return query_mistake(reading->mistake, EINVAL, reading->value.v[at].at, "%s", text);
}

/* The day at [first, end) of the value. */
static int day_read(const struct query_reading *reading, unsigned first, unsigned end,
                    struct emlfs_query_day *ret)
{
    struct query_value value = {reading->value.v, end, false};
    unsigned pos = first;
    *ret = (struct emlfs_query_day){.kind = EMLFS_DAY_FIXED};
    for (size_t i = 0; i < sizeof(day_names) / sizeof(day_names[0]); i++) {
        if (query_is(value, first, end - first, day_names[i].name)) {
            ret->kind = day_names[i].kind;
            return 0;
        }
    }
    bool ok = number_take(value, &pos, 4, &ret->year);
    bool month = ok && dash_number_take(value, &pos, &ret->month);
    bool day = month && dash_number_take(value, &pos, &ret->day);
    if (!ok || pos < end)
        return day_mistake(reading, first,
                           "a date is 2026, 2026-03, 2026-03-31, today, yesterday, thisweek, "
                           "lastweek, thismonth, lastmonth, thisyear or lastyear");
    if (ret->year < YEAR_FIRST)
        return day_mistake(reading, first, "years begin with 1900");
    if (month && (ret->month < 1 || ret->month > 12))
        return day_mistake(reading, first, "there is no such month");
    if (day && (ret->day < 1 || ret->day > (int)month_days(ret->year, ret->month)))
        return day_mistake(reading, first, "there is no such day");
    return 0;
}

/* First day of, and first day behind, what day (FIXED) names. */
static void fixed_days(const struct emlfs_query_day *day, int64_t *ret_first, int64_t *ret_end)
{
    unsigned month = day->month ? (unsigned)day->month : 1;
    *ret_first = emlfs_zone_days(day->year, month, day->day ? (unsigned)day->day : 1);
    if (day->day)
        *ret_end = *ret_first + 1;
    else if (day->month)
        *ret_end = *ret_first + month_days(day->year, day->month);
    else
        *ret_end = emlfs_zone_days(day->year + 1, 1, 1);
}

static bool is_backwards(const struct emlfs_query_term *term)
{
    int64_t from, to, unused;
    if (term->from_day.kind != EMLFS_DAY_FIXED || term->to_day.kind != EMLFS_DAY_FIXED)
        return false;
    fixed_days(&term->from_day, &from, &unused);
    fixed_days(&term->to_day, &unused, &to);
    return from >= to;
}

int query_read_date(struct query_reading *reading)
{
    struct query_value value = reading->value;
    struct emlfs_query_term *term = reading->term;
    unsigned dots = 0;
    int r = 0;
    while (dots < value.n && !(value.v[dots].c == '.' && value.v[dots + 1].c == '.'))
        dots++;
    if (dots == value.n) {
        r = day_read(reading, 0, value.n, &term->from_day);
        term->to_day = term->from_day;
        return r;
    }
    if (value.n == 2)
        return day_mistake(reading, 0, "a range needs a date at one end");
    term->from_day = term->to_day = (struct emlfs_query_day){.kind = EMLFS_DAY_OPEN};
    if (dots > 0)
        r = day_read(reading, 0, dots, &term->from_day);
    if (r == 0 && dots + 2 < value.n)
        r = day_read(reading, dots + 2, value.n, &term->to_day);
    if (r == 0 && is_backwards(term))
        r = day_mistake(reading, 0, "the range ends before it begins");
    return r;
}

/* ---- as time */

/* Months since year 0. */
static int64_t month_first(int64_t months)
{
    return emlfs_zone_days(months / 12, (unsigned)(months % 12) + 1, 1);
}

/* Days [*ret_first, *ret_end) that day names, today being a day number. */
static void day_span(const struct emlfs_query_day *day, int64_t today, int64_t *ret_first,
                     int64_t *ret_end)
{
    int64_t year;
    unsigned month, unused;
    int64_t monday = today - ((today + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
    int64_t length = 1;
    emlfs_zone_civil(today, &year, &month, &unused);
    int64_t months = year * 12 + month - 1;
    switch (day->kind) {
    case EMLFS_DAY_OPEN:
    case EMLFS_DAY_FIXED:
        fixed_days(day, ret_first, ret_end);
        return;
    case EMLFS_DAY_TODAY:
    case EMLFS_DAY_YESTERDAY:
        *ret_first = today - (day->kind == EMLFS_DAY_YESTERDAY);
        *ret_end = *ret_first + 1;
        return;
    case EMLFS_DAY_THIS_WEEK:
    case EMLFS_DAY_LAST_WEEK:
        *ret_first = monday - (day->kind == EMLFS_DAY_LAST_WEEK ? 7 : 0);
        *ret_end = *ret_first + 7;
        return;
    case EMLFS_DAY_THIS_MONTH:
    case EMLFS_DAY_LAST_MONTH:
        months -= day->kind == EMLFS_DAY_LAST_MONTH;
        break;
    case EMLFS_DAY_THIS_YEAR:
    case EMLFS_DAY_LAST_YEAR:
        months = (year - (day->kind == EMLFS_DAY_LAST_YEAR)) * 12;
        length = 12;
        break;
    }
    *ret_first = month_first(months);
    *ret_end = month_first(months + length);
}

static int64_t day_ns(int64_t day, const char *timezone)
{
    int64_t ns;
    int64_t sec = emlfs_zone_utc_sec(timezone, day * DAY_SEC);
    if (__builtin_mul_overflow(sec, SECOND_NS, &ns))
        return sec < 0 ? INT64_MIN : INT64_MAX;
    return ns;
}

int emlfs_query_span(const struct emlfs_query_term *term, int64_t now_ns, const char *timezone,
                     int64_t *ret_from_ns, int64_t *ret_to_ns)
{
    int64_t now_sec = now_ns / SECOND_NS - (now_ns % SECOND_NS < 0);
    int64_t local_sec = now_sec + emlfs_zone_offset_sec(timezone, now_sec);
    int64_t today = local_sec / DAY_SEC - (local_sec % DAY_SEC < 0);
    int64_t first, end, unused;
    *ret_from_ns = INT64_MIN;
    *ret_to_ns = INT64_MAX;
    if (term->kind != EMLFS_TERM_DATE && term->kind != EMLFS_TERM_ARCHIVED)
        return -EINVAL;
    if (term->from_day.kind != EMLFS_DAY_OPEN) {
        day_span(&term->from_day, today, &first, &unused);
        *ret_from_ns = day_ns(first, timezone);
    }
    if (term->to_day.kind != EMLFS_DAY_OPEN) {
        day_span(&term->to_day, today, &unused, &end);
        *ret_to_ns = day_ns(end, timezone);
    }
    return 0;
}
