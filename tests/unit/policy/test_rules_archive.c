/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Retention, holds and the compliance clock on a real archive whose time is the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../policy/timed_mail.h"
#include "emlfs/base/zone.h"

#define TEN_YEARS (3653 * TIMED_DAY)

static int64_t at(int64_t year, unsigned month, unsigned day)
{
    return emlfs_zone_days(year, month, day) * 86400;
}

static int setup(void **state)
{
    *state = timed_new(at(2026, 3, 1));
    return 0;
}

static int teardown(void **state)
{
    timed_free(*state);
    return 0;
}

static uint32_t put(struct timed *t, const char *name, const char *query, uint32_t years,
                    uint32_t flags)
{
    struct emlfs_policy made = {.flags = EMLFS_POLICY_ENABLED | flags,
                                .start = EMLFS_START_ARCHIVED,
                                .period = {years, EMLFS_PERIOD_YEARS}};
    struct emlfs_err err = {0};

    (void)snprintf(made.name, sizeof(made.name), "%s", name);
    (void)snprintf(made.query, sizeof(made.query), "%s", query);
    timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &made, &err), &err);
    return made.id;
}

static void drop(struct timed *t, uint32_t id)
{
    struct emlfs_err err = {0};

    timed_need(emlfs_rules_policy_remove(t->rules, &timed_by, id, &err), &err);
}

static void told_is(struct timed *t, unsigned n, int64_t earliest, int64_t latest)
{
    const struct timed_told told = timed_ask(t, n);

    assert_int_equal(told.earliest_sec, earliest);
    assert_int_equal(told.latest_sec, latest);
}

#define KEEP 0u
#define AUTO EMLFS_POLICY_AUTO_DELETE

static void worked_examples(void **state)
{
    struct timed *t = *state;
    const int64_t end[] = {[6] = at(2032, 3, 1), [10] = at(2036, 3, 1)};
    static const struct {
        unsigned years, flags, under_years, under_flags, earliest, latest; /* 0: none, never */
    } examples[] = {
        {6, KEEP, 0, 0, 6, 0},      {10, AUTO, 0, 0, 10, 10},    {6, KEEP, 10, KEEP, 6, 0},
        {6, KEEP, 10, AUTO, 6, 10}, {10, KEEP, 6, AUTO, 10, 10},
    };
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});

    told_is(t, n, EMLFS_TIME_ALWAYS, EMLFS_TIME_NEVER);
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        uint32_t under = 0, over = put(t, "over", "", examples[i].years, examples[i].flags);

        if (examples[i].under_years)
            under = put(t, "under", "", examples[i].under_years, examples[i].under_flags);
        told_is(t, n, end[examples[i].earliest],
                examples[i].latest ? end[examples[i].latest] : EMLFS_TIME_NEVER);
        assert_int_equal(timed_delete(t, n), -EPERM);
        drop(t, over);
        if (under)
            drop(t, under);
    }
    assert_int_equal(timed_delete(t, n), 0);
    assert_false(timed_is_there(t, n));
}

static void start_rules(void **state)
{
    struct timed *t = *state;
    const int64_t now = at(2026, 3, 1), sent = at(2019, 5, 4), received = at(2020, 7, 9);
    const struct timed_mail claims = {.words = "letter",
                                      .has_sent = true,
                                      .sent_sec = sent,
                                      .has_received = true,
                                      .received_sec = received};
    struct timed_mail vouched = claims, future = claims, silent = {.words = "x", .vouched = true};
    static const enum emlfs_policy_start starts[] = {EMLFS_START_ARCHIVED, EMLFS_START_RECEIVED,
                                                     EMLFS_START_SENT, EMLFS_START_YEAR_END};
    struct emlfs_policy policy = {.flags = EMLFS_POLICY_ENABLED, .name = "all"};
    struct emlfs_err err = {0};

    vouched.vouched = future.vouched = true;
    future.sent_sec = future.received_sec = at(2090, 1, 1);
    const unsigned plain = timed_put(t, &claims), old = timed_put(t, &vouched),
                   ahead = timed_put(t, &future), says_nothing = timed_put(t, &silent);
    policy.period = (struct emlfs_period){10, EMLFS_PERIOD_YEARS};
    for (unsigned i = 0; i < 4; i++) {
        const bool year_end = starts[i] == EMLFS_START_YEAR_END;
        const int64_t from[] = {at(2036, 3, 1), at(2030, 7, 9), at(2029, 5, 4), at(2031, 1, 1)};
        const int64_t own = year_end ? at(2037, 1, 1) : at(2036, 3, 1);

        policy.start = starts[i];
        timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &policy, &err), &err);
        told_is(t, plain, own, EMLFS_TIME_NEVER); /* a forged date shortens nothing */
        told_is(t, old, from[i], EMLFS_TIME_NEVER);
        told_is(t, ahead, own, EMLFS_TIME_NEVER);
        told_is(t, says_nothing, own, EMLFS_TIME_NEVER);
    }
    assert_true(now < at(2029, 5, 4));
    /* Kept no longer than the claim says, where it was vouched for. */
    policy.start = EMLFS_START_SENT;
    policy.period.count = 6;
    timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &policy, &err), &err);
    assert_int_equal(timed_delete(t, plain), -EPERM);
    assert_int_equal(timed_delete(t, ahead), -EPERM);
    assert_int_equal(timed_delete(t, old), 0);
}

static void overlapping_queries(void **state)
{
    struct timed *t = *state;
    const unsigned both = timed_put(t, &(struct timed_mail){.words = "invoice tax"}),
                   invoice = timed_put(t, &(struct timed_mail){.words = "invoice"}),
                   tax = timed_put(t, &(struct timed_mail){.words = "tax"}),
                   other = timed_put(t, &(struct timed_mail){.words = "party"});
    uint32_t first = put(t, "first", "subject:invoice", 6, KEEP);

    put(t, "second", "subject:tax", 10, AUTO);
    told_is(t, both, at(2032, 3, 1), at(2036, 3, 1));
    told_is(t, invoice, at(2032, 3, 1), EMLFS_TIME_NEVER);
    told_is(t, tax, at(2036, 3, 1), at(2036, 3, 1));
    told_is(t, other, EMLFS_TIME_ALWAYS, EMLFS_TIME_NEVER);
    assert_int_equal(timed_delete(t, other), 0);
    /* The other way round. */
    drop(t, first);
    put(t, "first", "subject:invoice", 6, KEEP);
    told_is(t, both, at(2036, 3, 1), at(2036, 3, 1));
    timed_restart(t, TIMED_DAY);
    told_is(t, both, at(2036, 3, 1), at(2036, 3, 1));
    told_is(t, invoice, at(2032, 3, 1), EMLFS_TIME_NEVER);
}

static void modes(void **state)
{
    struct timed *t = *state;
    struct emlfs_policy policy = {.flags = EMLFS_POLICY_ENABLED,
                                  .start = EMLFS_START_ARCHIVED,
                                  .period = {6, EMLFS_PERIOD_YEARS},
                                  .name = "all"};
    struct emlfs_by silent = timed_by;
    struct emlfs_err err = {0};
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});

    silent.reason = "";
    timed_need(emlfs_rules_policy_put(t->rules, &silent, &policy, &err), &err);
    policy.period.count = 5;
    assert_int_equal(emlfs_rules_policy_put(t->rules, &silent, &policy, NULL), -EINVAL);
    told_is(t, n, at(2032, 3, 1), EMLFS_TIME_NEVER);
    timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &policy, &err), &err);
    told_is(t, n, at(2031, 3, 1), EMLFS_TIME_NEVER);
    timed_need(emlfs_rules_set_mode(t->rules, &timed_by, EMLFS_MODE_COMPLIANCE, &err), &err);
    for (unsigned i = 0; i < 2; i++) {
        policy.period.count = 4;
        assert_int_equal(emlfs_rules_policy_put(t->rules, &timed_by, &policy, NULL), -EPERM);
        assert_int_equal(emlfs_rules_policy_remove(t->rules, &timed_by, policy.id, NULL), -EPERM);
        assert_int_equal(emlfs_rules_set_mode(t->rules, &timed_by, EMLFS_MODE_GOVERNANCE, NULL),
                         -EPERM);
        told_is(t, n, at(2031, 3, 1), EMLFS_TIME_NEVER);
        assert_int_equal(timed_delete(t, n), -EPERM);
        timed_restart(t, TIMED_DAY);
    }
    policy.period.count = 7;
    timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &policy, &err), &err);
    told_is(t, n, at(2033, 3, 1), EMLFS_TIME_NEVER);
}

static unsigned due_n(struct timed *t, int64_t until_sec, unsigned *ret_held);

static void holds_on_top(void **state)
{
    struct timed *t = *state;
    struct emlfs_hold words = {.scope = EMLFS_HOLD_QUERY, .name = "case", .query = "subject:tax"};
    struct emlfs_hold all = {.scope = EMLFS_HOLD_ALL, .name = "all"};
    struct emlfs_err err = {0};
    const unsigned tax = timed_put(t, &(struct timed_mail){.words = "tax"}),
                   party = timed_put(t, &(struct timed_mail){.words = "party"});
    unsigned held;

    put(t, "year", "", 1, AUTO);
    timed_need(emlfs_rules_hold_place(t->rules, &timed_by, &words, &err), &err);
    timed_pass(t, 366 * TIMED_DAY);
    assert_true(timed_ask(t, tax).held);
    assert_false(timed_ask(t, party).held);
    assert_int_equal(timed_delete(t, tax), -EPERM);
    assert_int_equal(due_n(t, at(2027, 3, 2), &held), 2);
    assert_int_equal(held, 1);
    timed_need(emlfs_rules_hold_place(t->rules, &timed_by, &all, &err), &err);
    assert_int_equal(timed_delete(t, party), -EPERM);
    timed_restart(t, TIMED_DAY);
    assert_int_equal(timed_delete(t, party), -EPERM);
    timed_need(emlfs_rules_hold_release(t->rules, &timed_by, all.id, &err), &err);
    assert_int_equal(timed_delete(t, party), 0);
    assert_int_equal(timed_delete(t, tax), -EPERM);
    timed_need(emlfs_rules_hold_release(t->rules, &timed_by, words.id, &err), &err);
    assert_int_equal(timed_delete(t, tax), 0);
}

/* ---- games with time */

struct due_count {
    unsigned n, held;
};

static int due_count(void *arg, const struct emlfs_due *due)
{
    struct due_count *count = arg;

    count->n++;
    count->held += due->held;
    return 0;
}

static unsigned due_n(struct timed *t, int64_t until_sec, unsigned *ret_held)
{
    struct due_count count = {0};
    struct emlfs_err err = {0};

    timed_need(emlfs_rules_due(t->rules, until_sec, due_count, &count, NULL, &err), &err);
    if (ret_held)
        *ret_held = count.held;
    return count.n;
}

/* Neither by hand nor by the job. */
static void stays(struct timed *t, unsigned n)
{
    const struct emlfs_entry_at where = timed_at(t, n);
    struct emlfs_verdict *verdict = NULL;

    assert_int_equal(timed_delete(t, n), -EPERM);
    assert_int_equal(emlfs_rules_expire(t->rules, &where, &verdict, NULL), -EAGAIN);
    assert_null(verdict);
    assert_true(timed_is_there(t, n));
    assert_false(timed_ask(t, n).may_delete);
}

static void goes(struct timed *t, unsigned n)
{
    const struct emlfs_entry_at where = timed_at(t, n);
    const struct emlfs_actor job = {.uid = EMLFS_UID_NONE, .source = EMLFS_LEDGER_JOB};
    struct emlfs_verdict *verdict = NULL;
    struct emlfs_err err = {0};

    assert_true(timed_ask(t, n).may_delete);
    timed_need(emlfs_rules_expire(t->rules, &where, &verdict, &err), &err);
    timed_need(emlfs_archive_entry_delete(t->archive, &job, &where, verdict, &err), &err);
    emlfs_verdict_free(verdict);
    assert_false(timed_is_there(t, n));
}

static unsigned kept_a_year(struct timed *t)
{
    put(t, "year", "", 1, AUTO);
    return timed_put(t, &(struct timed_mail){.words = "letter"});
}

/* To the second, when nobody plays. */
static void time_passes(void **state)
{
    struct timed *t = *state;
    const unsigned n = kept_a_year(t);

    timed_pass(t, 365 * TIMED_DAY - TIMED_SECOND);
    stays(t, n);
    timed_pass(t, TIMED_SECOND);
    goes(t, n);
}

static void jumps_while_open(void **state)
{
    struct timed *t = *state;
    const unsigned n = kept_a_year(t);

    timed_set(t, TEN_YEARS);
    stays(t, n);
    timed_pass(t, 100 * TIMED_DAY);
    stays(t, n);
    timed_set(t, -2 * TEN_YEARS);
    stays(t, n);
    timed_pass(t, 300 * TIMED_DAY); /* 400 days have passed, and the system clock is wrong */
    stays(t, n);
    timed_set(t, TEN_YEARS); /* it is put right: both agree */
    goes(t, n);
}

static void jumps_across_restarts(void **state)
{
    struct timed *t = *state;
    const unsigned n = kept_a_year(t);

    for (unsigned i = 0; i < 20; i++) {
        timed_close(t);
        t->wall_ns += TEN_YEARS;
        timed_open(t);
        stays(t, n);
        timed_close(t);
        t->wall_ns -= TEN_YEARS;
        timed_open(t);
        stays(t, n);
    }
    timed_restart(t, 364 * TIMED_DAY); /* the machine ran on */
    stays(t, n);
    timed_restart(t, TIMED_DAY);
    goes(t, n);
}

/* A start of the machine is followed by what trust there is, however often it is tried. */
static void jumps_across_boots(void **state)
{
    struct timed *t = *state;
    const unsigned n = kept_a_year(t);

    for (unsigned i = 0; i < 60; i++) {
        timed_reboot(t, i % 2 ? -TEN_YEARS : TEN_YEARS);
        stays(t, n);
        timed_pass(t, TIMED_DAY / 24);
        stays(t, n);
    }
    timed_reboot(t, -2 * TEN_YEARS);
    stays(t, n);
    timed_reboot(t, 2 * TEN_YEARS);
    stays(t, n);
    timed_pass(t, 366 * TIMED_DAY);
    goes(t, n);
}

static void copied_to_another_machine(void **state)
{
    struct timed *t = *state;
    const unsigned n = kept_a_year(t);

    timed_copy(t, TEN_YEARS);
    stays(t, n);
    timed_copy(t, -TEN_YEARS);
    stays(t, n);
    timed_pass(t, 200 * TIMED_DAY);
    timed_copy(t, TEN_YEARS);
    stays(t, n);
    timed_pass(t, 166 * TIMED_DAY);
    goes(t, n);
}

/* Mail that comes while the system clock is back is not older for it. */
static void mail_while_the_clock_is_back(void **state)
{
    struct timed *t = *state;

    put(t, "year", "", 1, AUTO);
    timed_set(t, -TEN_YEARS);
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});
    told_is(t, n, at(2027, 3, 1), at(2027, 3, 1));
    timed_set(t, TEN_YEARS);
    stays(t, n);
    timed_pass(t, 364 * TIMED_DAY);
    stays(t, n);
    timed_pass(t, TIMED_DAY);
    goes(t, n);
}

int main(void)
{
#define TIMED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TIMED(worked_examples),
        TIMED(start_rules),
        TIMED(overlapping_queries),
        TIMED(modes),
        TIMED(holds_on_top),
        TIMED(time_passes),
        TIMED(jumps_while_open),
        TIMED(jumps_across_restarts),
        TIMED(jumps_across_boots),
        TIMED(copied_to_another_machine),
        TIMED(mail_while_the_clock_is_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
