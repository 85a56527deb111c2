/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Local times of named zones: what the clocks show, show twice, and leave out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "emlfs/base/zone.h"

#define HOUR 3600

static int64_t at(int64_t year, unsigned month, unsigned day, int sec)
{
    return emlfs_zone_days(year, month, day) * 86400 + sec;
}

static void test_shown_once(void **state)
{
    (void)state;
    assert_int_equal(emlfs_zone_utc_sec(NULL, at(2026, 7, 1, 0)), at(2026, 7, 1, 0));
    assert_int_equal(emlfs_zone_utc_sec("Europe/Berlin", at(2026, 7, 1, 2 * HOUR)),
                     at(2026, 7, 1, 0));
    assert_int_equal(emlfs_zone_utc_sec("Europe/Berlin", at(2026, 1, 1, HOUR)), at(2026, 1, 1, 0));
    assert_int_equal(emlfs_zone_utc_sec("America/New_York", at(2026, 1, 1, 0)),
                     at(2026, 1, 1, 5 * HOUR));
}

static void test_shown_twice(void **state)
{
    (void)state;
    assert_int_equal(emlfs_zone_utc_sec("Europe/Berlin", at(2026, 10, 25, 2 * HOUR + 1800)),
                     at(2026, 10, 25, 1800));
    assert_int_equal(emlfs_zone_utc_sec("Europe/Berlin", at(2026, 10, 25, 3 * HOUR)),
                     at(2026, 10, 25, 2 * HOUR));
}

/* Every second that is left out is the moment of the change, years after the table's end, too. */
static void test_left_out(void **state)
{
    static const struct {
        const char *zone;
        int64_t year;
        unsigned month, day;
        int from, to;       /* of that day, local: what is left out */
        int64_t offset_sec; /* before it */
    } gaps[] = {
        {"Europe/Berlin", 2026, 3, 29, 2 * HOUR, 3 * HOUR, HOUR},
        {"Europe/Berlin", 2100, 3, 28, 2 * HOUR, 3 * HOUR, HOUR},
        {"America/New_York", 2026, 3, 8, 2 * HOUR, 3 * HOUR, -5 * HOUR},
        {"Australia/Lord_Howe", 2026, 10, 4, 2 * HOUR, 2 * HOUR + 1800, 10 * HOUR + 1800},
        {"Pacific/Apia", 2011, 12, 30, 0, 24 * HOUR, -10 * HOUR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        const int64_t day = at(gaps[i].year, gaps[i].month, gaps[i].day, 0);
        const int64_t change = day + gaps[i].from - gaps[i].offset_sec;

        assert_int_equal(emlfs_zone_utc_sec(gaps[i].zone, day + gaps[i].from - 1), change - 1);
        for (int sec = gaps[i].from; sec < gaps[i].to; sec += sec < gaps[i].from + 3 ? 1 : 7)
            assert_int_equal(emlfs_zone_utc_sec(gaps[i].zone, day + sec), change);
        assert_int_equal(emlfs_zone_utc_sec(gaps[i].zone, day + gaps[i].to - 1), change);
        assert_int_equal(emlfs_zone_utc_sec(gaps[i].zone, day + gaps[i].to), change);
        assert_int_equal(emlfs_zone_utc_sec(gaps[i].zone, day + gaps[i].to + 1), change + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shown_once),
        cmocka_unit_test(test_shown_twice),
        cmocka_unit_test(test_left_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
