/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_ZONE_H
#define EMLFS_BASE_ZONE_H

#include <stdint.h>

/* Dates and named time zones, from any thread. */

/* Seconds that zone's local time is ahead of UTC at utc_sec; 0 (UTC) when zone (an IANA name; may
 * be NULL) cannot be read. */
int32_t emlfs_zone_offset_sec(const char *zone, int64_t utc_sec);
/*
 * When zone's clocks show local_sec (seconds since 1970 as if local time were UTC), in UTC: the
 * first time where they show it twice, and the moment of the change where they leave it out.
 */
int64_t emlfs_zone_utc_sec(const char *zone, int64_t local_sec);
/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, and back. */
int64_t emlfs_zone_days(int64_t year, unsigned month, unsigned day);
void emlfs_zone_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
