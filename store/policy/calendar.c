/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "calendar.h"

#include <stdbool.h>

/* March is the first month below, so that the leap day is the last of its year. */
#define DAYS_0000_03_01 INT64_C(719468) /* before 1970-01-01 */

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

struct calendar_date emlfs_calendar_date(int64_t days)
{
    int64_t shifted = days + DAYS_0000_03_01;
    int64_t cycle = floor_div(shifted, CALENDAR_CYCLE_DAYS);
    int64_t in_cycle = shifted - cycle * CALENDAR_CYCLE_DAYS;
    int64_t year =
        (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / (CALENDAR_CYCLE_DAYS - 1)) /
        365;
    int64_t in_year = in_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * in_year + 2) / 153;

    return (struct calendar_date){
        .year = cycle * 400 + year + (month >= 10),
        .month = (int)(month < 10 ? month + 3 : month - 9),
        .day = (int)(in_year - (153 * month + 2) / 5) + 1,
    };
}

int64_t emlfs_calendar_days(struct calendar_date date)
{
    int64_t year = date.year - (date.month <= 2);
    int64_t cycle = floor_div(year, 400);
    int64_t of_cycle = year - cycle * 400;
    int64_t month = date.month > 2 ? date.month - 3 : date.month + 9;
    int64_t in_year = (153 * month + 2) / 5 + date.day - 1;

    return cycle * CALENDAR_CYCLE_DAYS + 365 * of_cycle + of_cycle / 4 - of_cycle / 100 + in_year -
           DAYS_0000_03_01;
}

int emlfs_calendar_month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

int64_t emlfs_calendar_add_months(int64_t sec, int64_t months)
{
    int64_t days = floor_div(sec, CALENDAR_DAY_SEC);
    int64_t of_day = sec - days * CALENDAR_DAY_SEC;
    struct calendar_date date = emlfs_calendar_date(days);
    int64_t month = date.year * 12 + (date.month - 1) + months;
    struct calendar_date end = {.year = floor_div(month, 12), .day = date.day};

    end.month = (int)(month - end.year * 12) + 1;
    if (end.day <= emlfs_calendar_month_days(end.year, end.month))
        return emlfs_calendar_days(end) * CALENDAR_DAY_SEC + of_day;
    /* The day does not exist there: the month's last instant is the end, and its next the result.
     */
    end.day = emlfs_calendar_month_days(end.year, end.month);
    return (emlfs_calendar_days(end) + 1) * CALENDAR_DAY_SEC;
}

int64_t emlfs_calendar_year_end(int64_t sec)
{
    struct calendar_date date = emlfs_calendar_date(floor_div(sec, CALENDAR_DAY_SEC));
    struct calendar_date next = {.year = date.year + 1, .month = 1, .day = 1};

    return emlfs_calendar_days(next) * CALENDAR_DAY_SEC;
}
