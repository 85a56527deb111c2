/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Dates, verdicts and changes of policies; random ones are in tests/policy/reference.py. */
#include "policy_test.h"

#include "emlfs/retention.h"

#include "../../../store/policy/calendar.h"

#define KEEP EMLFS_POLICY_ENABLED
#define AUTO (EMLFS_POLICY_ENABLED | EMLFS_POLICY_AUTO_DELETE)
#define OFF 0u

static int64_t at(int64_t year, int month, int day, int64_t of_day)
{
    const struct calendar_date date = {year, month, day};
    return emlfs_calendar_days(date) * CALENDAR_DAY_SEC + of_day;
}

static struct emlfs_policy policy(uint32_t order, uint32_t flags, uint32_t years, const char *query)
{
    struct emlfs_policy p = {.id = order + 10,
                             .order = order,
                             .flags = flags,
                             .start = EMLFS_START_ARCHIVED,
                             .period = {years, EMLFS_PERIOD_YEARS}};

    snprintf(p.name, sizeof(p.name), "policy %u", order);
    snprintf(p.query, sizeof(p.query), "%s", query);
    return p;
}

/* ---- the calendar */

static void calendar_round_trip(void **state)
{
    (void)state;
    for (int64_t day = -800000; day <= 3700000; day += 1) {
        struct calendar_date date = emlfs_calendar_date(day);
        assert_true(date.month >= 1 && date.month <= 12 && date.day >= 1);
        assert_true(date.day <= emlfs_calendar_month_days(date.year, date.month));
        assert_int_equal(emlfs_calendar_days(date), day);
    }
    assert_int_equal(at(1970, 1, 1, 0), 0);
    assert_int_equal(at(2026, 11, 22, 0), 1795305600);
    assert_int_equal(at(1, 1, 1, 0), -62135596800);
}

static void periods(void **state)
{
    const struct {
        int64_t from, to;
        struct emlfs_period period;
    } table[] = {
        {at(2026, 3, 1, 33180), at(2032, 3, 1, 33180), {6, EMLFS_PERIOD_YEARS}},
        {at(2024, 2, 29, 43200), at(2025, 3, 1, 0), {1, EMLFS_PERIOD_YEARS}},
        {at(2024, 2, 29, 43200), at(2028, 2, 29, 43200), {4, EMLFS_PERIOD_YEARS}},
        {at(2096, 2, 29, 1), at(2100, 3, 1, 0), {4, EMLFS_PERIOD_YEARS}},
        {at(2023, 1, 31, 1), at(2023, 3, 1, 0), {1, EMLFS_PERIOD_MONTHS}},
        {at(2024, 1, 31, 1), at(2024, 3, 1, 0), {1, EMLFS_PERIOD_MONTHS}},
        {at(2024, 1, 29, 1), at(2024, 2, 29, 1), {1, EMLFS_PERIOD_MONTHS}},
        {at(2023, 1, 28, 86399), at(2023, 2, 28, 86399), {1, EMLFS_PERIOD_MONTHS}},
        {at(2023, 10, 31, 5), at(2023, 12, 1, 0), {1, EMLFS_PERIOD_MONTHS}},
        {at(2023, 12, 31, 5), at(2024, 12, 31, 5), {12, EMLFS_PERIOD_MONTHS}},
        {at(2023, 12, 31, 86399), at(2024, 1, 1, 86399), {1, EMLFS_PERIOD_DAYS}},
        {at(2024, 2, 28, 0), at(2024, 3, 1, 0), {2, EMLFS_PERIOD_DAYS}},
        {at(1969, 7, 20, 3600), at(2969, 7, 20, 3600), {1000, EMLFS_PERIOD_YEARS}},
        {at(2026, 1, 1, 0), at(3026, 1, 1, 0), {12000, EMLFS_PERIOD_MONTHS}},
        {INT64_MIN, at(2, 1, 1, 0), {1, EMLFS_PERIOD_YEARS}},
        {INT64_MAX, at(10000, 12, 31, 86399), {1, EMLFS_PERIOD_YEARS}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (emlfs_period_end(table[i].from, table[i].period) != table[i].to)
            fail_msg("period %zu", i);
}

/* R5: a later start ends no earlier; nor does a longer period. */
static void ends_are_monotone(void **state)
{
    (void)state;
    for (uint32_t count = 1; count < 40; count++) {
        const struct emlfs_period months = {count, EMLFS_PERIOD_MONTHS};
        const struct emlfs_period more = {count + 1, EMLFS_PERIOD_MONTHS};
        int64_t before = INT64_MIN;
        for (int64_t sec = at(1999, 12, 1, 0); sec < at(2005, 1, 1, 0); sec += 21599) {
            int64_t end = emlfs_period_end(sec, months);
            assert_true(end >= before);
            assert_true(emlfs_period_end(sec, more) >= end);
            before = end;
        }
    }
}

static void start_rules(void **state)
{
    const int64_t archived = at(2026, 3, 1, 100);
    const int64_t received = at(2024, 12, 31, 86399);
    const int64_t sent = at(2024, 6, 5, 7);
    struct emlfs_retention_dates dates = {archived, 0, received, sent, true, true};

    (void)state;
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_ARCHIVED), archived);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_RECEIVED), received);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_SENT), sent);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_YEAR_END), at(2025, 1, 1, 0));
    dates.received_sec++;
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_YEAR_END), at(2026, 1, 1, 0));
    /* nothing claimed: the archive's own knowledge */
    dates.has_received = dates.has_sent = false;
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_RECEIVED), archived);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_SENT), archived);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_YEAR_END), at(2027, 1, 1, 0));
    /* nobody vouched: a claim moves nothing */
    dates = (struct emlfs_retention_dates){archived, archived, received, INT64_MIN, true, true};
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_RECEIVED), archived);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_SENT), archived);
    dates.sent_sec = INT64_MAX;
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_SENT), archived);
    /* a floor between: the claim reaches back to it and no further */
    dates.floor_sec = at(2025, 1, 1, 0);
    assert_int_equal(emlfs_retention_start(&dates, EMLFS_START_RECEIVED), at(2025, 1, 1, 0));
    assert_int_equal(emlfs_sec_of_ns(1), 1);
    assert_int_equal(emlfs_sec_of_ns(0), 0);
    assert_int_equal(emlfs_sec_of_ns(-1), 0);
}

/* ---- verdicts */

static int word_match(void *arg, const struct emlfs_policy *p)
{
    if (strcmp(p->query, "broken") == 0)
        return -EIO;
    return strstr(arg, p->query) != NULL;
}

static void worked_examples(void **state)
{
    const struct {
        uint32_t first_flags, first_years, second_flags, second_years;
        int64_t min_years, max_years; /* 0: none */
    } table[] = {
        {KEEP, 6, OFF, 1, 6, 0},
        {AUTO, 10, OFF, 1, 10, 10},
        {KEEP, 6, KEEP, 10, 6, 0},
        {KEEP, 6, AUTO, 10, 6, 10},
        {KEEP, 10, AUTO, 6, 10, 10},
        /* and beyond the five: the second is not asked, or comes first */
        {AUTO, 6, KEEP, 10, 6, 6},
        {AUTO, 6, AUTO, 10, 6, 6},
        {OFF, 6, AUTO, 10, 10, 10},
    };
    const struct emlfs_retention_dates dates = {at(2026, 3, 1, 9), at(2026, 3, 1, 9), 0, 0, 0, 0};
    struct emlfs_retention found;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct emlfs_policy v[] = {
            policy(0, table[i].first_flags, table[i].first_years, ""),
            policy(1, table[i].second_flags, table[i].second_years, "")};
        const struct emlfs_policy_set set = {v, 2};
        assert_int_equal(emlfs_retention_of(&set, &dates, word_match, NULL, &found), 0);
        assert_int_equal(found.earliest_sec, at(2026 + table[i].min_years, 3, 1, 9));
        assert_int_equal(found.latest_sec, table[i].max_years
                                               ? at(2026 + table[i].max_years, 3, 1, 9)
                                               : EMLFS_TIME_NEVER);
    }
}

static void priorities_of_overlapping_queries(void **state)
{
    const struct emlfs_policy v[] = {policy(0, KEEP, 10, "invoice"), policy(1, KEEP, 2, "bob"),
                                     policy(2, AUTO, 3, "news"), policy(3, OFF, 99, ""),
                                     policy(4, KEEP, 6, "")};
    const struct emlfs_retention_dates dates = {at(2026, 1, 1, 0), at(2026, 1, 1, 0), 0, 0, 0, 0};
    const struct {
        const char *text;
        int64_t min_years, max_years;
        size_t first, last;
    } table[] = {
        {"invoice bob", 10, 0, 0, 5}, {"bob", 2, 0, 1, 5},   {"bob news", 2, 3, 1, 2},
        {"news", 3, 3, 2, 2},         {"other", 6, 0, 4, 5}, {"invoice news", 10, 10, 0, 2},
    };
    const struct emlfs_policy_set set = {v, 5};
    const struct emlfs_policy_set some = {v, 3};
    struct emlfs_retention found;

    (void)state;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s", table[i].text);
        assert_int_equal(emlfs_retention_of(&set, &dates, word_match, text, &found), 0);
        assert_int_equal(found.earliest_sec, at(2026 + table[i].min_years, 1, 1, 0));
        assert_int_equal(found.latest_sec, table[i].max_years
                                               ? at(2026 + table[i].max_years, 1, 1, 0)
                                               : EMLFS_TIME_NEVER);
        assert_int_equal(found.earliest_policy, table[i].first);
        assert_int_equal(found.latest_policy, table[i].last);
    }
    char other[] = "other";
    assert_int_equal(emlfs_retention_of(&some, &dates, word_match, other, &found), 0);
    assert_int_equal(found.earliest_sec, EMLFS_TIME_ALWAYS);
    assert_int_equal(found.latest_sec, EMLFS_TIME_NEVER);
}

static void what_cannot_be_told_is_kept(void **state)
{
    const struct emlfs_policy first[] = {policy(0, KEEP, 1, "broken"), policy(1, KEEP, 1, "")};
    const struct emlfs_policy second[] = {policy(0, KEEP, 1, ""), policy(1, AUTO, 1, "broken")};
    const struct emlfs_retention_dates dates = {0};
    struct emlfs_policy_set set = {first, 2};
    struct emlfs_retention found;
    char text[] = "";

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(emlfs_retention_of(&set, &dates, word_match, text, &found), -EIO);
        assert_int_equal(found.earliest_sec, EMLFS_TIME_NEVER);
        assert_int_equal(found.latest_sec, EMLFS_TIME_NEVER);
        set.v = second;
    }
}

/* ---- changes */

static bool allowed(const struct emlfs_policy *from, size_t n_from, const struct emlfs_policy *to,
                    size_t n_to)
{
    const struct emlfs_policy_change free = {
        EMLFS_MODE_GOVERNANCE, EMLFS_MODE_GOVERNANCE, {from, n_from}, {to, n_to}};
    struct emlfs_policy_change strict = free;
    struct emlfs_err err = {0};
    bool loosens, again;

    strict.mode = strict.new_mode = EMLFS_MODE_COMPLIANCE;
    assert_int_equal(emlfs_policy_change_check(&free, &loosens, NULL), 0);
    int r = emlfs_policy_change_check(&strict, &again, &err);
    assert_int_equal(loosens, again);
    assert_int_equal(r, loosens ? -EPERM : 0);
    assert_int_equal(err.code, loosens ? EPERM : 0);
    return !loosens;
}

static void compliance_is_one_way(void **state)
{
    const struct emlfs_policy all6 = policy(5, KEEP, 6, "");
    const struct emlfs_policy bob2 = policy(3, KEEP, 2, "bob");
    const struct emlfs_policy from[] = {policy(1, KEEP, 10, "invoice"), bob2, all6,
                                        policy(7, AUTO, 12, "")};
    struct emlfs_policy to[5];

    (void)state;
    memcpy(to, from, sizeof(from));
    assert_true(allowed(from, 4, to, 4)); /* nothing changed */
    to[0].period.count = 11;
    assert_true(allowed(from, 4, to, 4)); /* a period grows */
    to[0].period = (struct emlfs_period){120, EMLFS_PERIOD_MONTHS};
    assert_true(allowed(from, 4, to, 4)); /* the same in months */
    to[0].period.count = 119;
    assert_false(allowed(from, 4, to, 4)); /* shrinks */
    memcpy(to, from, sizeof(from));
    to[3].period.count = 11;
    assert_false(allowed(from, 4, to, 4)); /* an automatic deletion comes nearer */
    to[3].period.count = 13;
    assert_true(allowed(from, 4, to, 4));
    memcpy(to, from, sizeof(from));
    to[0].flags = OFF;
    assert_false(allowed(from, 4, to, 4));       /* disabled */
    assert_false(allowed(from, 4, from + 1, 3)); /* removed */
    memcpy(to, from, sizeof(from));
    snprintf(to[0].query, sizeof(to[0].query), "invoice paid");
    assert_false(allowed(from, 4, to, 4)); /* narrowed, as far as can be seen */
    to[0].query[0] = 0;
    assert_true(allowed(from, 4, to, 4)); /* widened to everything */
    memcpy(to, from, sizeof(from));
    to[2].flags = AUTO;
    assert_false(allowed(from, 4, to, 4)); /* would delete what was only kept */
    memcpy(to, from, sizeof(from));
    to[0].start = EMLFS_START_RECEIVED;
    assert_false(allowed(from, 4, to, 4)); /* starts earlier */
}

static void reordering(void **state)
{
    const struct emlfs_policy from[] = {policy(1, KEEP, 10, "invoice"), policy(2, KEEP, 2, "bob"),
                                        policy(3, KEEP, 4, "carol")};
    struct emlfs_policy to[4];

    (void)state;
    memcpy(to, from, sizeof(from));
    to[0] = from[1];
    to[1] = from[0];
    to[0].order = 0;
    assert_false(allowed(from, 3, to, 3)); /* an invoice of bob's would go after 2 years */
    memcpy(to, from, sizeof(from));
    to[1] = from[2];
    to[2] = from[1];
    to[2].order = 9;
    assert_true(allowed(from, 3, to, 3)); /* bob and carol: 4 years instead of 2 */
    assert_false(allowed(to, 3, from, 3));
    /* a new policy on top may only keep longer; below the others it may do anything */
    memcpy(to + 1, from, sizeof(from));
    to[0] = policy(0, KEEP, 3, "dave");
    assert_false(allowed(from, 3, to, 4));
    to[0].period.count = 10;
    assert_true(allowed(from, 3, to, 4));
    memcpy(to, from, sizeof(from));
    to[3] = policy(9, KEEP, 1, "dave");
    assert_true(allowed(from, 3, to, 4));
    to[3].flags = AUTO;
    assert_false(allowed(from, 3, to, 4)); /* dave's invoices were never deleted automatically */
    assert_true(allowed(from, 0, to, 4));  /* where nothing was kept anything may be */
}

static void start_rules_that_change(void **state)
{
    struct emlfs_policy from = policy(1, KEEP, 6, "");
    struct emlfs_policy to = from;

    (void)state;
    from.start = EMLFS_START_RECEIVED;
    assert_true(allowed(&from, 1, &to, 1)); /* received -> archived */
    to.start = EMLFS_START_YEAR_END;
    assert_true(allowed(&from, 1, &to, 1)); /* received -> its year's end */
    assert_false(allowed(&to, 1, &from, 1));
    to.start = EMLFS_START_SENT;
    assert_false(allowed(&from, 1, &to, 1));
    from.start = EMLFS_START_YEAR_END;
    to.start = EMLFS_START_ARCHIVED;
    assert_false(allowed(&from, 1, &to, 1));
    to.period.count = 7;
    assert_true(allowed(&from, 1, &to, 1)); /* a year more covers the rest of the year */
}

static void modes_and_bad_sets(void **state)
{
    struct emlfs_policy v[2] = {policy(1, KEEP, 6, ""), policy(2, KEEP, 6, "")};
    struct emlfs_policy_change change = {
        EMLFS_MODE_COMPLIANCE, EMLFS_MODE_GOVERNANCE, {v, 1}, {v, 1}};
    const struct emlfs_policy_set both = {v, 2};
    bool loosens;

    (void)state;
    assert_int_equal(emlfs_policy_change_check(&change, &loosens, NULL), -EPERM);
    change.mode = EMLFS_MODE_GOVERNANCE;
    change.new_mode = EMLFS_MODE_COMPLIANCE;
    assert_int_equal(emlfs_policy_change_check(&change, &loosens, NULL), 0);
    assert_false(loosens);
    assert_int_equal(emlfs_policy_set_check(&both, NULL), 0);
    v[1].order = 1;
    assert_int_equal(emlfs_policy_set_check(&both, NULL), -EINVAL);
    v[1].order = 2;
    v[1].id = v[0].id;
    assert_int_equal(emlfs_policy_set_check(&both, NULL), -EINVAL);
    v[1].id = 99;
    v[1].period.count = 1001;
    assert_int_equal(emlfs_policy_set_check(&both, NULL), -EINVAL);
    v[1].period.count = 0;
    assert_int_equal(emlfs_policy_set_check(&both, NULL), -EINVAL);
    const struct emlfs_policy_set many = {v, EMLFS_POLICIES_MAX + 1};
    assert_int_equal(emlfs_policy_set_check(&many, NULL), -E2BIG);
}

static void rows(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_POLICY_ROW_MAX_BYTES);
    const uint8_t key[] = {0, 0, 0, 13};
    const struct emlfs_span id = emlfs_span_of(key, sizeof(key));
    struct emlfs_policy p = policy(3, AUTO, 6, "from:b\xc3\xb6rse");
    struct emlfs_policy again;

    (void)state;
    assert_int_equal(emlfs_policy_encode(&p, &row), 0);
    assert_int_equal(emlfs_policy_decode(id, emlfs_buf_view(&row), &again), 0);
    assert_memory_equal(&p, &again, sizeof(p));
    for (size_t len = 0; len < row.len; len++)
        assert_int_equal(emlfs_policy_decode(id, emlfs_span_of(row.data, len), &again), -EUCLEAN);
    assert_int_equal(emlfs_policy_decode(emlfs_span_of(key, 3), emlfs_buf_view(&row), &again),
                     -EUCLEAN);
    row.data[0] = 2;
    assert_int_equal(emlfs_policy_decode(id, emlfs_buf_view(&row), &again), -EPROTONOSUPPORT);
    snprintf(p.name, sizeof(p.name), "a\nb");
    assert_int_equal(emlfs_policy_encode(&p, &row), -EINVAL);
    snprintf(p.name, sizeof(p.name), "\xc0\xaf");
    assert_int_equal(emlfs_policy_encode(&p, &row), -EINVAL);
    memset(p.name, 'x', sizeof(p.name));
    assert_int_equal(emlfs_policy_encode(&p, &row), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calendar_round_trip),
        cmocka_unit_test(periods),
        cmocka_unit_test(ends_are_monotone),
        cmocka_unit_test(start_rules),
        cmocka_unit_test(worked_examples),
        cmocka_unit_test(priorities_of_overlapping_queries),
        cmocka_unit_test(what_cannot_be_told_is_kept),
        cmocka_unit_test(compliance_is_one_way),
        cmocka_unit_test(reordering),
        cmocka_unit_test(start_rules_that_change),
        cmocka_unit_test(modes_and_bad_sets),
        cmocka_unit_test(rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
