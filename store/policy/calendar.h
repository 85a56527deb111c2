/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_CALENDAR_H
#define EMLFS_STORE_POLICY_CALENDAR_H

#include <stdint.h>

/* The proleptic Gregorian calendar in UTC (ISO 8601), private to store/policy and its tests. */

#define CALENDAR_DAY_SEC INT64_C(86400)
#define CALENDAR_CYCLE_DAYS                                                                        \
    146097 /* 400 years: then every date has its week and leap day again                           \
            */

struct calendar_date {
    int64_t year; /* 0 is 1 BC */
    int month;    /* 1 ... 12 */
    int day;      /* 1 ... 31 */
};
struct calendar_date emlfs_calendar_date(int64_t days); /* since 1970-01-01 */
int64_t emlfs_calendar_days(struct calendar_date date); /* the inverse */
int emlfs_calendar_month_days(int64_t year, int month);

/* sec plus months, as retention.h says. No limits: sec and the result must be in the calendar. */
int64_t emlfs_calendar_add_months(int64_t sec, int64_t months);
/* 1 January 00:00 of the year after sec. */
int64_t emlfs_calendar_year_end(int64_t sec);

#endif
