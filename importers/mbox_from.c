/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The "From " line of an mbox: what form it has, and when it says the message was delivered.
 *
 * A plausible date is month name, day, hh:mm[:ss] and year, in the order of asctime(3) or of RFC
 * 5322 or ISO 8601, with or without weekday and zone, at the end of the line (UUCP's "remote from
 * HOST" may follow). Sentences that merely hold a date are not dated: nothing but a zone may come
 * after it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "mbox.h"

#define TOKENS_MAX 32u

struct token {
    char text[24]; /* longer ones cannot be part of a date and are cut */
};

struct line {
    struct token tokens[TOKENS_MAX];
    size_t count;
};

struct date {
    int year, month, day, hour, minute, second, zone_min;
    bool has_day, has_month, has_time, has_year;
};

size_t emlfs_mbox_eol_len(struct emlfs_span bytes)
{
    if (bytes.len >= 2 && bytes.data[0] == '\r' && bytes.data[1] == '\n')
        return 2;
    return bytes.len && (bytes.data[0] == '\n' || bytes.data[0] == '\r') ? 1 : 0;
}

/* The last TOKENS_MAX words of text, commas being blanks. */
static void line_split(struct emlfs_span text, struct line *ret)
{
    size_t at = 0;
    ret->count = 0;
    while (at < text.len) {
        while (at < text.len && strchr(" \t,", text.data[at]) && text.data[at])
            at++;
        size_t begin = at;
        while (at < text.len && !(strchr(" \t,", text.data[at]) && text.data[at]))
            at++;
        if (at == begin)
            break;
        if (ret->count == TOKENS_MAX) {
            memmove(ret->tokens, ret->tokens + 1, (TOKENS_MAX - 1) * sizeof(ret->tokens[0]));
            ret->count--;
        }
        size_t len = at - begin < sizeof(ret->tokens[0].text) - 1 ? at - begin
                                                                  : sizeof(ret->tokens[0].text) - 1;
        memcpy(ret->tokens[ret->count].text, text.data + begin, len);
        ret->tokens[ret->count++].text[len] = 0;
    }
}

static int index_of(const char *word, const char *list)
{
    if (strlen(word) < 3)
        return -1;
    for (int i = 0; list[i * 3]; i++)
        if (strncasecmp(word, list + (size_t)i * 3, 3) == 0)
            return i;
    return -1;
}

/* Digits only, value in range; -1 otherwise. */
static int number(const char *word, size_t digits_min, size_t digits_max, int max)
{
    size_t len = strspn(word, "0123456789");
    if (word[len] || len < digits_min || len > digits_max)
        return -1;
    long value = strtol(word, NULL, 10); /* at most digits_max digits: no overflow */
    return value <= max ? (int)value : -1;
}

static bool time_parse(const char *word, struct date *date)
{
    unsigned h, m, s = 0;
    int used = 0;
    if (strlen(word) > 12 || sscanf(word, "%2u:%2u%n", &h, &m, &used) < 2)
        return false;
    const char *rest = word + used;
    if (*rest == ':' && sscanf(rest, ":%2u%n", &s, &used) == 1)
        rest += used;
    if ((*rest && *rest != '.') || h > 24 || m > 59 || s > 61)
        return false;
    date->hour = (int)h;
    date->minute = (int)m;
    date->second = (int)s;
    return true;
}

static bool zone_parse(const char *word, struct date *date)
{
    size_t len = strlen(word);
    if ((word[0] == '+' || word[0] == '-') && len == 5 && strspn(word + 1, "0123456789") == 4) {
        int value = (int)strtol(word + 1, NULL, 10);
        int minutes = value / 100 * 60 + value % 100;
        date->zone_min = word[0] == '-' ? -minutes : minutes;
        return true;
    }
    if (word[0] == '(')
        return len <= 12 && word[len - 1] == ')';
    return len <= 5 && len >= 1 &&
           strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-0123456789") ==
               len &&
           word[0] >= 'A' && word[0] <= 'Z';
}

static bool iso_parse(const char *word, struct date *date)
{
    int y, m, d, used = 0;
    if (sscanf(word, "%4d-%2d-%2d%n", &y, &m, &d, &used) < 3 || m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    date->year = y;
    date->month = m - 1;
    date->day = d;
    date->has_year = date->has_month = date->has_day = true;
    if (word[used] == 'T')
        return date->has_time = time_parse(word + used + 1, date);
    return word[used] == 0;
}

/* One word from the right. False: not part of a date. */
static bool date_word(const char *word, struct date *date)
{
    int value;
    if (!date->has_time && strchr(word, ':') && time_parse(word, date))
        return date->has_time = true;
    if (!date->has_year && (value = number(word, 4, 4, 2200)) >= 1900) {
        date->year = value;
        return date->has_year = true;
    }
    if (!date->has_day && (value = number(word, 1, 2, 31)) >= 1) {
        date->day = value;
        return date->has_day = true;
    }
    if (!date->has_month && (value = index_of(word, "janfebmaraprmayjunjulaugsepoctnovdec")) >= 0) {
        date->month = value;
        return date->has_month = true;
    }
    if (!date->has_month && !date->has_year && !date->has_day && iso_parse(word, date))
        return true;
    return !(date->has_time && date->has_year && date->has_day && date->has_month) &&
           zone_parse(word, date);
}

static bool date_whole(const struct date *date)
{
    return date->has_time && date->has_year && date->has_day && date->has_month;
}

static bool line_date(const struct line *line, int64_t *ret_sec)
{
    struct date date = {0};
    size_t at = line->count;
    if (at >= 3 && strcmp(line->tokens[at - 3].text, "remote") == 0 &&
        strcmp(line->tokens[at - 2].text, "from") == 0)
        at -= 3;
    while (at > 0 && !date_whole(&date)) {
        if (!date_word(line->tokens[at - 1].text, &date))
            return false;
        at--;
    }
    if (!date_whole(&date))
        return false;
    struct tm tm = {.tm_year = date.year - 1900,
                    .tm_mon = date.month,
                    .tm_mday = date.day,
                    .tm_hour = date.hour,
                    .tm_min = date.minute,
                    .tm_sec = date.second};
    *ret_sec = (int64_t)timegm(&tm) - (int64_t)date.zone_min * 60;
    return true;
}

static bool is_git(struct emlfs_span text)
{
    static const char magic[] = " Mon Sep 17 00:00:00 2001";
    if (text.len < 40 + sizeof(magic) - 1 || memcmp(text.data + 40, magic, sizeof(magic) - 1) != 0)
        return false;
    for (size_t i = 0; i < 40; i++)
        if (!memchr("0123456789abcdef", text.data[i], 16))
            return false;
    return true;
}

static enum emlfs_mbox_form form_of(struct emlfs_span text, int64_t *ret_date)
{
    struct line line;
    line_split(text, &line);
    if (line.count == 0)
        return EMLFS_MBOX_EMPTY;
    bool dated = line_date(&line, ret_date);
    if (strcmp(line.tokens[0].text, "-") == 0)
        return dated || line.count == 1 ? EMLFS_MBOX_DASH : EMLFS_MBOX_OTHER;
    if (is_git(text))
        return EMLFS_MBOX_GIT;
    if (dated)
        return EMLFS_MBOX_DATED;
    return line.count == 1 ? EMLFS_MBOX_TOKEN : EMLFS_MBOX_OTHER;
}

struct emlfs_mbox_from emlfs_mbox_from_parse(struct emlfs_span bytes)
{
    struct emlfs_mbox_from ret = {.form = EMLFS_MBOX_NONE};
    if (bytes.len < 5 || memcmp(bytes.data, "From ", 5) != 0)
        return ret;
    size_t end = 5;
    while (end < bytes.len && bytes.data[end] != '\n' && bytes.data[end] != '\r') {
        if (bytes.data[end] == 0 || ++end > EMLFS_MBOX_LINE_MAX_BYTES)
            return ret;
    }
    struct emlfs_span text = emlfs_span_of(bytes.data + 5, end - 5);
    ret.form = form_of(text, &ret.date_sec);
    ret.rd_writer = text.len > 7 && memcmp(text.data, "mboxrd@", 7) == 0;
    if (ret.form == EMLFS_MBOX_GIT || ret.date_sec < 0)
        ret.date_sec = 0; /* a fixed date, or one before mail was: says nothing */
    ret.line_len = end + emlfs_mbox_eol_len(emlfs_span_of(bytes.data + end, bytes.len - end));
    return ret;
}
