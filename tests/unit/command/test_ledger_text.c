/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Text forms of the commands around the ledger, and when a job is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../store/command/handlers_ledger.h"
#include "../../../store/command/jobs.h"
#include "emlfs/text.h"

static int64_t moment(const char *text, const char *zone, bool end)
{
    int64_t sec = -1;

    assert_int_equal(emlfs_moment_parse(text, zone, end, &sec), 0);
    return sec;
}

static void test_moments(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026",
                                        "2026-3-1",
                                        "2026-02-30",
                                        "2026-13-01",
                                        "2026-00-10",
                                        "2026-03-01 ",
                                        "2026-03-01 25:00",
                                        "2026-03-01 09:60",
                                        "2026-03-01x",
                                        "tomorrow",
                                        "2026-03-01Z",
                                        "0000-01-01",
                                        "2026-03-01 9:13",
                                        "2026-03-01 09:13:60",
                                        "2026-03-01 09:13Zx"};
    int64_t sec;

    (void)state;
    assert_int_equal(moment("1970-01-01", "UTC", false), 0);
    assert_int_equal(moment("1970-01-01", "UTC", true), 86400);
    assert_int_equal(moment("2026-03-01 09:13", "UTC", true), 1772356380);
    assert_int_equal(moment("2026-03-01T09:13:05Z", "Europe/Berlin", false), 1772356385);
    assert_int_equal(moment("2026-03-01 09:13:05", "Europe/Berlin", false), 1772352785);
    assert_int_equal(moment("2026-07-01", "Europe/Berlin", false),
                     moment("2026-06-30 22:00", "UTC", false));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (emlfs_moment_parse(wrong[i], "UTC", false, &sec) != -EINVAL)
            fail_msg("taken: \"%s\"", wrong[i]);
}

static int64_t asof(const char *text, const char *zone)
{
    int64_t ns = -1;

    if (emlfs_text_asof_parse(text, zone, &ns) != 0)
        fail_msg("refused: \"%s\"", text);
    return ns;
}

static void test_asof(void **state)
{
    static const char *const wrong[] = {"",
                                        "2026-03",
                                        "2026-03-01Z",
                                        "2026-03-01T09",
                                        "2026-03-01T09:13.",
                                        "2026-03-01T09:13:05.1234567891",
                                        "2026-03-01T09:13:05+1:00",
                                        "2026-03-01T09:13:05+24:00",
                                        "2026-03-01T09:13:05+01:00Z",
                                        "2026-03-01T09:13:05 Z",
                                        "2300-01-01"};
    int64_t ns;

    (void)state;
    assert_int_equal(asof("1970-01-01", "UTC"), INT64_C(86399999999999));
    assert_int_equal(asof("2026-07-01", "Europe/Berlin"),
                     asof("2026-07-01T21:59:59.999999999Z", "Europe/Berlin"));
    assert_int_equal(asof("2026-03-01 09:13", "UTC"), INT64_C(1772356380000000000));
    assert_int_equal(asof("2026-03-01T09:13:05", "Europe/Berlin"), INT64_C(1772352785000000000));
    assert_int_equal(asof("2026-03-01T09:13:05.25Z", "Europe/Berlin"),
                     INT64_C(1772356385250000000));
    assert_int_equal(asof("2026-03-01T09:13:05-02:30", "Europe/Berlin"),
                     INT64_C(1772365385000000000));
    assert_int_equal(asof("2026-03-01T09:13:05.000000001+02:30", "UTC"),
                     INT64_C(1772347385000000001));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (emlfs_text_asof_parse(wrong[i], "UTC", &ns) != -EINVAL)
            fail_msg("taken: \"%s\"", wrong[i]);
}

static void test_hex(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(64);
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(4);

    (void)state;
    assert_int_equal(emlfs_hex_append(emlfs_span_of("\x00\x7f\xff", 3), &text), 0);
    assert_int_equal(text.len, 6);
    assert_memory_equal(text.data, "007fff", 6);
    assert_int_equal(emlfs_hex_parse("007fff", &bytes), 0);
    assert_int_equal(bytes.len, 3);
    assert_memory_equal(bytes.data, "\x00\x7f\xff", 3);
    assert_int_equal(emlfs_hex_parse("0", &bytes), -EINVAL);
    assert_int_equal(emlfs_hex_parse("0G", &bytes), -EINVAL);
    assert_int_equal(emlfs_hex_parse("FF", &bytes), -EINVAL);
    assert_int_equal(emlfs_hex_parse("0011", &bytes), -E2BIG);
}

static void test_errno_names(void **state)
{
    char text[EMLFS_ERRNO_TEXT_MAX];

    (void)state;
    emlfs_errno_text(EPERM, text);
    assert_string_equal(text, "EPERM");
    emlfs_errno_text(EPROTONOSUPPORT, text);
    assert_string_equal(text, "EPROTONOSUPPORT");
    emlfs_errno_text(9999, text);
    assert_string_equal(text, "9999");
}

static void lines_are(const char *text, const char *json)
{
    struct json_object *row = json_object_new_object();

    assert_non_null(row);
    emlfs_row_lines(row, "lines", emlfs_span_str(text));
    assert_string_equal(json_object_to_json_string_ext(json_object_object_get(row, "lines"),
                                                       JSON_C_TO_STRING_PLAIN),
                        json);
    json_object_put(row);
}

static void test_lines(void **state)
{
    (void)state;
    lines_are("", "[]");
    lines_are("Held.\n", "[\"Held.\"]");
    lines_are("Held.\nAnd kept.\n", "[\"Held.\",\"And kept.\"]");
    lines_are("Held.\n\nAnd", "[\"Held.\",\"\",\"And\"]");
}

static void test_job_state(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(64);
    struct jobs_state made = {.minute = 210, .last_ns = 1772356380000000000}, read;

    (void)state;
    assert_int_equal(jobs_state_encode(&made, &row), 0);
    assert_int_equal(row.len, 11);
    assert_int_equal(jobs_state_decode(emlfs_buf_view(&row), &read), 0);
    assert_int_equal(read.minute, 210);
    assert_int_equal(read.last_ns, made.last_ns);
    assert_int_equal(jobs_state_decode(emlfs_span_of(row.data, row.len - 1), &read), -EUCLEAN);
    row.data[1] = 0xff;
    row.data[2] = 0xff;
    assert_int_equal(jobs_state_decode(emlfs_buf_view(&row), &read), -EUCLEAN);
    row.data[0] = 2;
    assert_int_equal(jobs_state_decode(emlfs_buf_view(&row), &read), -EPROTONOSUPPORT);
    row.data[0] = 0;
    assert_int_equal(jobs_state_decode(emlfs_buf_view(&row), &read), -EUCLEAN);
}

/* When 03:30 was last, as seen from a moment of Berlin's clocks. */
static void due_is(const char *now, const char *due)
{
    static const char zone[] = "Europe/Berlin";

    assert_int_equal(jobs_due_sec(zone, moment(now, zone, false), JOBS_MINUTE_DEFAULT),
                     moment(due, zone, false));
}

static void test_job_due(void **state)
{
    (void)state;
    due_is("2026-03-10 03:29:59", "2026-03-09 03:30");
    due_is("2026-03-10 03:30", "2026-03-10 03:30");
    due_is("2026-03-10 23:59", "2026-03-10 03:30");
    due_is("2026-03-11 00:00", "2026-03-10 03:30");
    /* The clocks go forward at 02:00 and back at 03:00. */
    due_is("2026-03-29 12:00", "2026-03-29 03:30");
    due_is("2026-03-29 03:15", "2026-03-28 03:30");
    due_is("2026-10-25 12:00", "2026-10-25 03:30");
    due_is("2026-10-26 03:00", "2026-10-25 03:30");
    /* A time that the clocks leave out comes once all the same, within an hour of the change. */
    assert_in_range(jobs_due_sec("Europe/Berlin", moment("2026-03-29 10:00", "UTC", false), 150),
                    moment("2026-03-29 01:00", "UTC", false),
                    moment("2026-03-29 02:00", "UTC", false));
    assert_int_equal(jobs_due_sec(NULL, -1, 0), -86400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments), cmocka_unit_test(test_asof),
        cmocka_unit_test(test_hex),     cmocka_unit_test(test_errno_names),
        cmocka_unit_test(test_lines),   cmocka_unit_test(test_job_state),
        cmocka_unit_test(test_job_due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
