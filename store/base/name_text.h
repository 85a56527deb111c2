/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_NAME_TEXT_H
#define EMLFS_BASE_NAME_TEXT_H

#include "emlfs/base/span.h"

/* Inside store/base: the character work and the time zones behind name.h. */

struct name_room {
    size_t units; /* UTF-16 code units */
    size_t bytes; /* UTF-8 bytes, without the NUL */
};

/*
 * Portable, NFC text of at most room, NUL-terminated, from foreign bytes; returns its length. ret
 * has room.bytes + 1 bytes. Blanks are single and never at either end, the end is never a dot. The
 * result may be empty. With lead_strict the text is a whole name: no leading dot, dash or tilde
 * either.
 */
size_t name_text_clean(struct emlfs_span text, struct name_room room, bool lead_strict, char *ret);
size_t name_text_units(const char *text);

/* Seconds that zone's local time is ahead of UTC at utc_sec; 0 (UTC) when zone cannot be read. */
int32_t name_zone_offset_sec(const char *zone, int64_t utc_sec);
/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar, and back. */
int64_t name_zone_days(int64_t year, unsigned month, unsigned day);
void name_zone_civil(int64_t days, int64_t *ret_year, unsigned *ret_month, unsigned *ret_day);

#endif
