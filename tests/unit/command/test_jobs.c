/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The retention job: by itself at its time, by command, and exactly what is due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../policy/timed_mail.h"
#include "emlfs/base/zone.h"
#include "emlfs/cli.h"
#include "emlfs/command.h"
#include "emlfs/ledger.h"
#include "emlfs/saved.h"
#include "emlfs/stores.h"

#define HOUR (TIMED_DAY / 24)
#define MINUTE (HOUR / 60)

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

static int tick_of(struct timed *t, struct emlfs_jobs *jobs, const struct emlfs_progress *progress,
                   struct emlfs_err *err)
{
    const struct emlfs_jobs_at now = {t->rules, t->archive, timed_now(t)};

    return emlfs_jobs_tick(jobs, &now, progress, err);
}

static int tick(struct timed *t)
{
    struct emlfs_err err = {0};
    struct emlfs_jobs jobs = {0};
    int r = tick_of(t, &jobs, NULL, &err);

    if (r < 0)
        fail_msg("%s", err.text);
    return r;
}

static void put(struct timed *t, const char *name, const char *query, uint32_t days, uint32_t flags)
{
    struct emlfs_policy made = {.flags = EMLFS_POLICY_ENABLED | flags,
                                .start = EMLFS_START_ARCHIVED,
                                .period = {days, EMLFS_PERIOD_DAYS}};
    struct emlfs_err err = {0};

    (void)snprintf(made.name, sizeof(made.name), "%s", name);
    (void)snprintf(made.query, sizeof(made.query), "%s", query);
    timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &made, &err), &err);
}

static int count_one(void *arg, const struct emlfs_ledger_record *record)
{
    (void)record;
    ++*(unsigned *)arg;
    return 0;
}

static unsigned records(struct timed *t, uint16_t kind)
{
    const struct emlfs_ledger_filter filter = {.kind = kind};
    struct emlfs_err err = {0};
    unsigned n = 0;

    timed_need(emlfs_ledger_each(emlfs_archive_ledger(t->archive), &filter, count_one, &n, &err),
               &err);
    return n;
}

/* ---- by command */

struct answer {
    unsigned n, would, held, protected;
};

static int row_count(void *arg, struct json_object *row)
{
    struct answer *answer = arg;
    const char *result = json_object_get_string(json_object_object_get(row, "result"));

    answer->n++;
    answer->would += strcmp(result, "would be deleted") == 0;
    answer->held += strcmp(result, "held") == 0;
    answer->protected += strcmp(result, "write-protected") == 0;
    return 0;
}

static struct answer job(struct timed *t, bool dry_run)
{
    char words[][12] = {"emlfs", "-a", "/x", "job", "run", "retention", "--dry-run"};
    char *argv[7];
    struct answer answer = {0};
    struct emlfs_err err = {0};
    struct emlfs_saved *saved;
    struct emlfs_cli cli;

    timed_need(emlfs_saved_open(t->archive, &saved, &err), &err);
    for (unsigned i = 0; i < 7; i++)
        argv[i] = words[i];
    timed_need(emlfs_cli_parse(dry_run ? 7 : 6, argv, &cli, &err), &err);
    struct emlfs_call call = {.archive = t->archive,
                              .bindings = t->bindings,
                              .rules = t->rules,
                              .index = t->index,
                              .saved = saved,
                              .source = EMLFS_LEDGER_COMMAND,
                              .subject = t->self,
                              .args = cli.args,
                              .row = row_count,
                              .arg = &answer};
    timed_need(emlfs_command_run(cli.command, &call, &err), &err);
    emlfs_cli_free(&cli);
    emlfs_saved_close(saved);
    return answer;
}

/* ---- when */

static void runs_at_its_time(void **state)
{
    struct timed *t = *state;

    /* An archive that never ran it waits for its next time, not for the one that is over. */
    timed_pass(t, 12 * HOUR);
    assert_int_equal(tick(t), 0);
    timed_pass(t, 15 * HOUR + 29 * MINUTE);
    assert_int_equal(tick(t), 0); /* 03:29 */
    timed_pass(t, MINUTE);
    assert_int_equal(tick(t), 1);
    assert_int_equal(tick(t), 0);
    timed_pass(t, 23 * HOUR + 59 * MINUTE);
    assert_int_equal(tick(t), 0);
    timed_pass(t, MINUTE);
    assert_int_equal(tick(t), 1);
    /* What was missed is made up for once. */
    timed_restart(t, 5 * TIMED_DAY + 3 * HOUR);
    assert_int_equal(tick(t), 1);
    assert_int_equal(tick(t), 0);
    timed_pass(t, 21 * HOUR);
    assert_int_equal(tick(t), 1);
    assert_int_equal(records(t, EMLFS_LEDGER_JOB_RUN), 4);
    assert_int_equal(records(t, EMLFS_LEDGER_MESSAGE_DELETED), 0);
}

static void cancelled_runs_again(void **state)
{
    struct timed *t = *state;
    const atomic_bool cancel = true;
    const struct emlfs_progress progress = {.cancel = &cancel};
    struct emlfs_err err = {0};

    assert_int_equal(tick(t), 0);
    put(t, "day", "", 1, EMLFS_POLICY_AUTO_DELETE);
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});
    timed_pass(t, 2 * TIMED_DAY);
    assert_int_equal(tick_of(t, &(struct emlfs_jobs){0}, &progress, &err), -ECANCELED);
    assert_true(timed_is_there(t, n));
    assert_int_equal(tick(t), 1);
    assert_false(timed_is_there(t, n));
}

/* A run that fails and cannot even say so, each minute: it is tried again an hour later. */
static void failed_waits_an_hour(void **state)
{
    struct timed *t = *state;
    const struct emlfs_span key = emlfs_span_str("retention");
    struct emlfs_jobs jobs = {0};
    struct emlfs_err err = {0};

    assert_int_equal(tick_of(t, &jobs, NULL, &err), 0);
    timed_need(
        emlfs_archive_master_put(t->archive, EMLFS_MASTER_JOB, key, emlfs_span_str("\1"), &err),
        &err);
    timed_pass(t, 2 * TIMED_DAY);
    assert_int_equal(tick_of(t, &jobs, NULL, &err), -EUCLEAN);
    /* At half past three, last run at 1. */
    timed_need(emlfs_archive_master_put(t->archive, EMLFS_MASTER_JOB, key,
                                        emlfs_span_of("\1\xd2\0\1\0\0\0\0\0\0\0", 11), &err),
               &err);
    timed_pass(t, 59 * MINUTE);
    assert_int_equal(tick_of(t, &jobs, NULL, &err), 0);
    timed_pass(t, MINUTE);
    assert_int_equal(tick_of(t, &jobs, NULL, &err), 1);
    assert_int_equal(records(t, EMLFS_LEDGER_JOB_RUN), 1);
}

/* ---- what */

/* 20 messages, one a day, each due 30 days later; every fifth held, "keep" never due. */
static void exactly_what_is_due(void **state)
{
    struct timed *t = *state;
    struct emlfs_hold hold = {.scope = EMLFS_HOLD_QUERY, .name = "case", .query = "subject:tax"};
    struct emlfs_err err = {0};
    unsigned deleted = 0;

    put(t, "keep", "subject:keep", 30, 0);
    put(t, "month", "", 30, EMLFS_POLICY_AUTO_DELETE);
    timed_need(emlfs_rules_hold_place(t->rules, &timed_by, &hold, &err), &err);
    assert_int_equal(tick(t), 0);
    for (unsigned i = 0; i < 20; i++) {
        (void)timed_put(t, &(struct timed_mail){.words = i % 5 ? "letter" : "tax"});
        timed_pass(t, TIMED_DAY);
    }
    assert_int_equal(tick(t), 1);
    timed_pass(t, 10 * TIMED_DAY - HOUR); /* the first is due in an hour */
    for (unsigned i = 0; i < 22; i++) {
        const unsigned due = i < 20 ? i : 20, held = (due + 4) / 5;
        const struct answer dry = job(t, true);

        assert_int_equal(dry.n, due - deleted);
        assert_int_equal(dry.held, held);
        assert_int_equal(dry.would, due - deleted - held);
        assert_int_equal(job(t, false).n, 0);
        deleted += dry.would;
        for (unsigned m = 0; m < 20; m++)
            assert_int_equal(timed_is_there(t, m), m >= due || m % 5 == 0);
        assert_int_equal(records(t, EMLFS_LEDGER_MESSAGE_DELETED), deleted);
        timed_pass(t, TIMED_DAY);
    }
    assert_int_equal(deleted, 16);
    timed_need(emlfs_rules_hold_release(t->rules, &timed_by, hold.id, &err), &err);
    assert_int_equal(tick(t), 1);
    for (unsigned m = 0; m < 20; m++)
        assert_false(timed_is_there(t, m));
    assert_int_equal(records(t, EMLFS_LEDGER_MESSAGE_DELETED), 20);
}

/* A jump of the system clock makes it run, and it deletes nothing. */
static void jumps_delete_nothing(void **state)
{
    struct timed *t = *state;

    put(t, "year", "", 365, EMLFS_POLICY_AUTO_DELETE);
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});
    assert_int_equal(tick(t), 0);
    timed_set(t, 3653 * TIMED_DAY);
    assert_int_equal(tick(t), 1);
    assert_int_equal(job(t, true).n, 0);
    assert_true(timed_is_there(t, n));
    timed_set(t, -3653 * TIMED_DAY);
    timed_reboot(t, 3653 * TIMED_DAY);
    assert_int_equal(job(t, true).n, 0);
    (void)job(t, false);
    assert_true(timed_is_there(t, n));
    timed_reboot(t, -3653 * TIMED_DAY);
    timed_pass(t, 366 * TIMED_DAY);
    assert_int_equal(job(t, true).would, 1);
    /* The last run was, by the clock, years from now: that does not put off the next. */
    assert_int_equal(tick(t), 0);
    timed_pass(t, TIMED_DAY);
    assert_int_equal(tick(t), 1);
    assert_false(timed_is_there(t, n));
}

static void protected_stores_are_passed_over(void **state)
{
    struct timed *t = *state;
    struct emlfs_store_change change = {.no = 1, .state = EMLFS_STORE_WRITE_PROTECTED};
    struct emlfs_err err = {0};

    put(t, "day", "", 1, EMLFS_POLICY_AUTO_DELETE);
    const unsigned n = timed_put(t, &(struct timed_mail){.words = "letter"});
    uint16_t no;
    timed_need(emlfs_archive_store_create(t->archive, &timed_by.actor, "Next", &no, &err), &err);
    const unsigned next = timed_put(t, &(struct timed_mail){.words = "letter"});
    timed_need(emlfs_archive_store_set_state(t->archive, &timed_by.actor, &change, &err), &err);
    timed_pass(t, 2 * TIMED_DAY);
    const struct answer dry = job(t, true);
    assert_int_equal(dry.protected, 1);
    assert_int_equal(dry.would, 1);
    (void)job(t, false);
    assert_true(timed_is_there(t, n));
    assert_false(timed_is_there(t, next));
}

int main(void)
{
#define TIMED(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TIMED(runs_at_its_time),     TIMED(cancelled_runs_again),
        TIMED(failed_waits_an_hour), TIMED(exactly_what_is_due),
        TIMED(jumps_delete_nothing), TIMED(protected_stores_are_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
