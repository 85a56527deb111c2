/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdarg.h>
#include <stdio.h>

#include "calendar.h"
#include "emlfs/govern.h"

#define LINE_MAX_BYTES 1024u

static int line(struct emlfs_buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int line(struct emlfs_buf *out, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES];
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(text))
        return -E2BIG;
    int r = emlfs_buf_append(out, text, (size_t)n);
    return r == 0 ? emlfs_buf_append_u8(out, '\n') : r;
}

void emlfs_time_text(int64_t sec, char ret_text[EMLFS_TIME_TEXT_MAX])
{
    if (sec == EMLFS_TIME_ALWAYS || sec == EMLFS_TIME_NEVER) {
        snprintf(ret_text, EMLFS_TIME_TEXT_MAX, "%s",
                 sec == EMLFS_TIME_ALWAYS ? "at once" : "never");
        return;
    }
    int64_t days = sec / CALENDAR_DAY_SEC - (sec % CALENDAR_DAY_SEC < 0);
    unsigned of_day = (unsigned)(sec - days * CALENDAR_DAY_SEC) % 86400u;
    struct calendar_date date = emlfs_calendar_date(days);
    snprintf(ret_text, EMLFS_TIME_TEXT_MAX, "%04u-%02u-%02u %02u:%02u:%02u UTC",
             (unsigned)date.year % 100000u, (unsigned)date.month % 100u, (unsigned)date.day % 100u,
             of_day / 3600, of_day / 60 % 60, of_day % 60);
}

static const char *start_words(enum emlfs_policy_start start)
{
    switch (start) {
    case EMLFS_START_ARCHIVED:
        return "archiving";
    case EMLFS_START_RECEIVED:
        return "receipt";
    case EMLFS_START_SENT:
        return "sending";
    case EMLFS_START_YEAR_END:
        return "the end of the year of receipt";
    }
    return "archiving";
}

static const char *unit_words(struct emlfs_period period)
{
    static const char *const words[][2] = {{"day", "days"}, {"month", "months"}, {"year", "years"}};

    return words[period.unit - EMLFS_PERIOD_DAYS][period.count != 1];
}

static int policy_words(const char *what, const struct emlfs_policy *policy, struct emlfs_buf *out)
{
    return line(out, "%s: policy \"%s\", %u %s from %s.", what, policy->name, policy->period.count,
                unit_words(policy->period), start_words(policy->start));
}

static int date_words(const struct emlfs_explanation *why, struct emlfs_buf *out)
{
    char earliest[EMLFS_TIME_TEXT_MAX];
    char latest[EMLFS_TIME_TEXT_MAX];

    emlfs_time_text(why->earliest_sec, earliest);
    emlfs_time_text(why->latest_sec, latest);
    int r = line(out, "Earliest deletion: %s.", earliest);
    if (r == 0 && why->earliest_policy)
        r = policy_words("Kept by", why->earliest_policy, out);
    if (r == 0 && !why->earliest_policy && why->earliest_sec == EMLFS_TIME_ALWAYS)
        r = line(out, "No retention policy applies.");
    if (r == 0)
        r = line(out, "Automatic deletion: %s.", latest);
    if (r == 0 && why->latest_policy)
        r = policy_words("Deleted by", why->latest_policy, out);
    return r;
}

static int hold_words(const struct emlfs_explanation *why, struct emlfs_buf *out)
{
    size_t named = why->holds < EMLFS_HELD_NAMED_MAX ? why->holds : EMLFS_HELD_NAMED_MAX;
    int r = 0;

    if (why->held && why->holds == 0)
        return line(out, "Whether a hold applies cannot be told now: it is treated as held.");
    for (size_t i = 0; r == 0 && i < named; i++)
        r = line(out, "Held by \"%s\": neither deleted nor moved until it is released.",
                 why->hold[i]->name);
    if (r == 0 && why->holds > named)
        r = line(out, "And by %zu more holds.", why->holds - named);
    return r;
}

static int clock_words(const struct emlfs_explanation *why, struct emlfs_buf *out)
{
    if (!why->has_clock)
        return line(out, "The compliance clock is not known: no date has passed.");
    if (!why->waits_for_clock)
        return 0;
    int r = line(out, "The date has passed on one of two clocks.");
    return r == 0 ? line(out, "%s", why->clock.text) : r;
}

static const char *refusal_words(int refusal)
{
    switch (refusal) {
    case 0:
        return "It can be deleted now.";
    case EACCES:
        return "It cannot be deleted: the right to delete is missing.";
    case EROFS:
        return "It cannot be deleted: its store or mount takes no changes.";
    case EPERM:
        return "It cannot be deleted now.";
    default:
        return "It cannot be deleted: there is no such message to delete.";
    }
}

int emlfs_govern_words(const struct emlfs_explanation *explanation, struct emlfs_buf *out)
{
    int r = line(out, "%s", refusal_words(explanation->refusal));
    if (r == 0)
        r = date_words(explanation, out);
    if (r == 0)
        r = hold_words(explanation, out);
    return r == 0 ? clock_words(explanation, out) : r;
}
