/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Local time of one named zone, thread-safe: the C library knows only one zone for a whole process.
 * Reads TZif version 2 or later (RFC 8536) and its POSIX TZ footer for times after the last entry.
 * What cannot be read is UTC.
 */
#include <ctype.h>
#include <stdio.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"
#include "emlfs/base/zone.h"

#define ZONE_DIR "/usr/share/zoneinfo/"
#define ZONE_FILE_MAX_BYTES (64u << 10)
#define ZONE_CHANGES_MAX 512u
#define ZONE_TYPES_MAX 256u
#define ZONE_OFFSET_MAX_SEC 93600 /* RFC 8536: -25 h ... 26 h */
#define DAY_SEC 86400

/* One end of summer time in a footer: a day of the year and the seconds after its midnight. */
struct zone_rule {
    char kind; /* 'M' month.week.weekday, 'J' day 1-365 without leap days, 'N' day 0-365 */
    unsigned month, week, day;
    int64_t time_sec;
};

struct zone_footer {
    bool known, summer;
    int32_t standard_sec, summer_sec;
    struct zone_rule start, end;
};

struct zone {
    char name[64]; /* "" when nothing is loaded */
    size_t count;
    int64_t at_sec[ZONE_CHANGES_MAX];
    int32_t offset_sec[ZONE_CHANGES_MAX];
    int32_t first_sec; /* before the first change */
    struct zone_footer footer;
};

int64_t emlfs_zone_days(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

void emlfs_zone_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (unsigned)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (unsigned)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

static bool text_number(const char **text, unsigned max, unsigned *ret)
{
    unsigned value = 0;
    const char *p = *text;
    while (isdigit((unsigned char)*p) && value <= max)
        value = value * 10 + (unsigned)(*p++ - '0');
    if (p == *text || value > max)
        return false;
    *text = p;
    *ret = value;
    return true;
}

/* [+-]hh[:mm[:ss]] */
static bool text_time(const char **text, int64_t *ret_sec)
{
    static const int unit_sec[] = {3600, 60, 1};
    int64_t sign = **text == '-' ? -1 : 1;
    int64_t total = 0;
    if (**text == '-' || **text == '+')
        (*text)++;
    for (size_t i = 0; i < 3; i++) {
        unsigned value;
        if (i > 0 && *(*text)++ != ':')
            return false;
        if (!text_number(text, i == 0 ? 167 : 59, &value))
            return false;
        total += (int64_t)value * unit_sec[i];
        if (**text != ':')
            break;
    }
    *ret_sec = sign * total;
    return true;
}

static bool text_zone_name(const char **text)
{
    const char *p = *text;
    if (*p == '<') {
        p = strchr(p, '>');
        if (p == NULL)
            return false;
        p++;
    } else {
        while (isalpha((unsigned char)*p))
            p++;
    }
    bool some = p > *text;
    *text = p;
    return some;
}

static bool text_rule_day(const char **text, struct zone_rule *rule)
{
    rule->kind = 'N';
    if (**text == 'J' || **text == 'M')
        rule->kind = *(*text)++;
    if (rule->kind == 'J')
        return text_number(text, 365, &rule->day) && rule->day > 0;
    if (rule->kind == 'N')
        return text_number(text, 365, &rule->day);
    return text_number(text, 12, &rule->month) && rule->month > 0 && *(*text)++ == '.' &&
           text_number(text, 5, &rule->week) && rule->week > 0 && *(*text)++ == '.' &&
           text_number(text, 6, &rule->day);
}

static bool text_rule(const char **text, struct zone_rule *rule)
{
    if (**text != ',')
        return false;
    (*text)++;
    rule->time_sec = 2 * 3600;
    if (!text_rule_day(text, rule))
        return false;
    if (**text != '/')
        return true;
    (*text)++;
    return text_time(text, &rule->time_sec);
}

/* POSIX TZ: std offset [dst [offset] ,start ,end]; offsets there count westwards. */
static bool footer_parse(const char *text, struct zone_footer *footer)
{
    int64_t west_sec;
    if (!text_zone_name(&text) || !text_time(&text, &west_sec))
        return false;
    footer->standard_sec = (int32_t)-west_sec;
    if (*text == '\0')
        return true;
    if (!text_zone_name(&text))
        return false;
    west_sec -= 3600;
    if (*text != ',' && !text_time(&text, &west_sec))
        return false;
    footer->summer_sec = (int32_t)-west_sec;
    footer->summer = true;
    return text_rule(&text, &footer->start) && text_rule(&text, &footer->end) && *text == '\0';
}

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Seconds since 1970 in local time when rule applies in year. */
static int64_t rule_local_sec(const struct zone_rule *rule, int64_t year)
{
    int64_t days = emlfs_zone_days(year, 1, 1);
    if (rule->kind == 'N') {
        days += rule->day;
    } else if (rule->kind == 'J') {
        days += rule->day - 1 + (is_leap(year) && rule->day >= 60);
    } else {
        int64_t first = emlfs_zone_days(year, rule->month, 1);
        int64_t next = rule->month == 12 ? emlfs_zone_days(year + 1, 1, 1)
                                         : emlfs_zone_days(year, rule->month + 1, 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7; /* 1970-01-01 was a Thursday */
        days = first + (rule->day + 7 - weekday) % 7 + (int64_t)(rule->week - 1) * 7;
        if (days >= next)
            days -= 7;
    }
    return days * DAY_SEC + rule->time_sec;
}

static int32_t footer_offset(const struct zone_footer *footer, int64_t utc_sec)
{
    if (!footer->summer)
        return footer->standard_sec;
    int64_t year;
    unsigned month, day;
    int64_t local_sec = utc_sec + footer->standard_sec;
    emlfs_zone_civil(local_sec / DAY_SEC - (local_sec % DAY_SEC < 0), &year, &month, &day);
    int64_t start = rule_local_sec(&footer->start, year) - footer->standard_sec;
    int64_t end = rule_local_sec(&footer->end, year) - footer->summer_sec;
    bool summer =
        start < end ? utc_sec >= start && utc_sec < end : utc_sec >= start || utc_sec < end;
    return summer ? footer->summer_sec : footer->standard_sec;
}

struct zone_counts {
    uint32_t is_utc, is_standard, leaps, changes, types, chars;
    uint8_t version;
};

static bool header_read(struct emlfs_cursor *cur, struct zone_counts *counts)
{
    struct emlfs_span magic = emlfs_cursor_take(cur, 4);
    counts->version = emlfs_cursor_u8(cur);
    emlfs_cursor_take(cur, 15);
    counts->is_utc = emlfs_cursor_u32be(cur);
    counts->is_standard = emlfs_cursor_u32be(cur);
    counts->leaps = emlfs_cursor_u32be(cur);
    counts->changes = emlfs_cursor_u32be(cur);
    counts->types = emlfs_cursor_u32be(cur);
    counts->chars = emlfs_cursor_u32be(cur);
    uint32_t most = counts->is_utc | counts->is_standard | counts->leaps | counts->changes |
                    counts->types | counts->chars;
    return !cur->bad && memcmp(magic.data, "TZif", 4) == 0 && counts->version >= '2' &&
           most <= ZONE_FILE_MAX_BYTES;
}

static bool changes_read(struct emlfs_cursor *cur, const struct zone_counts *counts,
                         struct zone *zone)
{
    int32_t types[ZONE_TYPES_MAX] = {0};
    if (counts->changes > ZONE_CHANGES_MAX || counts->types > ZONE_TYPES_MAX || counts->types == 0)
        return false;
    for (uint32_t i = 0; i < counts->changes; i++)
        zone->at_sec[i] = (int64_t)emlfs_cursor_u64be(cur);
    struct emlfs_span indexes = emlfs_cursor_take(cur, counts->changes);
    for (uint32_t i = 0; i < counts->types; i++) {
        types[i] = (int32_t)emlfs_cursor_u32be(cur);
        emlfs_cursor_take(cur, 2);
        if (types[i] > ZONE_OFFSET_MAX_SEC || types[i] < -ZONE_OFFSET_MAX_SEC)
            return false;
    }
    if (cur->bad)
        return false;
    for (uint32_t i = 0; i < counts->changes; i++)
        zone->offset_sec[i] = types[indexes.data[i]];
    zone->first_sec = types[0];
    zone->count = counts->changes;
    return true;
}

static bool zone_decode(struct emlfs_span bytes, struct zone *zone)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    struct zone_counts counts;
    if (!header_read(&cur, &counts))
        return false;
    emlfs_cursor_take(&cur, (size_t)counts.changes * 5 + (size_t)counts.types * 6 + counts.chars +
                                (size_t)counts.leaps * 8 + counts.is_standard + counts.is_utc);
    if (!header_read(&cur, &counts) || !changes_read(&cur, &counts, zone))
        return false;
    emlfs_cursor_take(&cur, counts.chars + (size_t)counts.leaps * 12 + counts.is_standard +
                                counts.is_utc);
    if (emlfs_cursor_u8(&cur) != '\n')
        return false;
    char footer[80];
    size_t len = 0;
    for (int c; (c = emlfs_cursor_u8(&cur)) != '\n' && !cur.bad && len < sizeof footer - 1;)
        footer[len++] = (char)c;
    footer[len] = '\0';
    zone->footer.known = footer_parse(footer, &zone->footer);
    return !cur.bad;
}

/* The name goes into a path: only what IANA names are made of. */
static bool zone_name_ok(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len < sizeof((struct zone *)NULL)->name && name[0] != '/' &&
           strstr(name, "..") == NULL &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/") ==
               len;
}

static void zone_load(struct zone *zone, const char *name)
{
    char path[sizeof ZONE_DIR + sizeof zone->name];
    EMLFS_BUF_CLEANUP struct emlfs_buf file = EMLFS_BUF_INIT(ZONE_FILE_MAX_BYTES);
    memset(zone, 0, sizeof *zone);
    snprintf(path, sizeof path, ZONE_DIR "%s", name);
    if (emlfs_os_read_file(path, &file) < 0 || !zone_decode(emlfs_buf_view(&file), zone))
        memset(zone, 0, sizeof *zone);
    snprintf(zone->name, sizeof zone->name, "%s", name);
}

static int32_t zone_offset(const struct zone *zone, int64_t utc_sec)
{
    size_t low = 0;
    size_t high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at_sec[middle] <= utc_sec)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == zone->count && zone->footer.known)
        return footer_offset(&zone->footer, utc_sec);
    return low == 0 ? zone->first_sec : zone->offset_sec[low - 1];
}

int32_t emlfs_zone_offset_sec(const char *zone, int64_t utc_sec)
{
    /* One zone serves a whole archive; a thread keeps its own copy, so nothing is shared. */
    static _Thread_local struct zone loaded;
    if (zone == NULL || !zone_name_ok(zone))
        return 0;
    if (strcmp(loaded.name, zone) != 0)
        zone_load(&loaded, zone);
    return zone_offset(&loaded, utc_sec);
}

/* Where the clocks leave local_sec out: the first moment, after low and not after high, at which
 * they show it or a later time. */
static int64_t zone_change(const char *zone, int64_t local_sec, int64_t low, int64_t high)
{
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (middle + emlfs_zone_offset_sec(zone, middle) < local_sec)
            low = middle;
        else
            high = middle;
    }
    return high;
}

int64_t emlfs_zone_utc_sec(const char *zone, int64_t local_sec)
{
    int32_t before_sec = emlfs_zone_offset_sec(zone, local_sec - DAY_SEC);
    int32_t after_sec = emlfs_zone_offset_sec(zone, local_sec + DAY_SEC);
    if (emlfs_zone_offset_sec(zone, local_sec - before_sec) == before_sec)
        return local_sec - before_sec;
    if (emlfs_zone_offset_sec(zone, local_sec - after_sec) == after_sec)
        return local_sec - after_sec;
    return zone_change(zone, local_sec, local_sec - after_sec, local_sec - before_sec);
}
