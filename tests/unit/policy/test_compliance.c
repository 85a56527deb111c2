/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Games with the clock. */
#include "policy_test.h"

#include "emlfs/compliance.h"

#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)
#define DAY (24 * HOUR)
#define YEAR (365 * DAY)
#define START (56 * YEAR)

/* A machine with a true time that nobody can change, and clocks that can be. */
struct machine {
    int64_t wall_ns, boot_ns;
    uint8_t boot;
};

static struct emlfs_time_sample sample_of(const struct machine *machine)
{
    struct emlfs_time_sample sample = {.wall_ns = machine->wall_ns, .boot_ns = machine->boot_ns};

    sample.boot_id[0] = machine->boot;
    return sample;
}

static void run(struct emlfs_compliance *clock, struct machine *machine, int64_t ns)
{
    machine->wall_ns += ns;
    machine->boot_ns += ns;
    const struct emlfs_time_sample sample = sample_of(machine);
    emlfs_compliance_tick(clock, &sample);
}

/* Switched off for ns of true time, then resumed through its row, as after a real restart. */
static void reboot(struct emlfs_compliance *clock, struct machine *machine, int64_t off_ns)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_COMPLIANCE_ROW_MAX_BYTES);
    struct emlfs_compliance kept;

    machine->wall_ns += off_ns;
    machine->boot_ns = 5 * SECOND;
    machine->boot++;
    const struct emlfs_time_sample sample = sample_of(machine);
    assert_int_equal(emlfs_compliance_encode(clock, &row), 0);
    assert_int_equal(emlfs_compliance_decode(emlfs_buf_view(&row), &kept), 0);
    emlfs_compliance_resume(&kept, &sample);
    *clock = kept;
}

static void begin(struct emlfs_compliance *clock, struct machine *machine)
{
    *machine = (struct machine){.wall_ns = START, .boot_ns = 90 * DAY, .boot = 1};
    const struct emlfs_time_sample sample = sample_of(machine);
    emlfs_compliance_begin(&sample, clock);
}

static enum emlfs_compliance_reason reason_of(const struct emlfs_compliance *clock)
{
    struct emlfs_compliance_report report;

    emlfs_compliance_report(clock, &report);
    assert_non_null(report.text);
    assert_int_equal(report.apart_ns, report.system_ns - report.compliance_ns);
    return report.reason;
}

#define assert_date(clock, ns) assert_int_equal(emlfs_compliance_sec(clock), (ns) / SECOND)

static void runs_with_the_monotonic_clock(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    for (int i = 0; i < 1000; i++)
        run(&clock, &machine, DAY);
    assert_int_equal(clock.now_ns, START + 1000 * DAY);
    assert_date(&clock, START + 1000 * DAY);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_AGREE);
}

static void forward_ten_years_and_back(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    run(&clock, &machine, DAY);
    machine.wall_ns += 10 * YEAR;
    run(&clock, &machine, HOUR);
    assert_date(&clock, START + DAY + HOUR);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_SYSTEM_AHEAD);
    machine.wall_ns -= 10 * YEAR;
    run(&clock, &machine, HOUR);
    assert_date(&clock, START + DAY + 2 * HOUR);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_AGREE);
}

static void back_ten_years(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    machine.wall_ns -= 10 * YEAR;
    run(&clock, &machine, DAY);
    assert_int_equal(clock.now_ns, START + DAY);
    assert_date(&clock, START - 10 * YEAR + DAY);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_SYSTEM_BEHIND);
    /* mail that comes in now does not count as ten years old */
    assert_int_equal(emlfs_compliance_arrival_ns(&clock), START + DAY);
    reboot(&clock, &machine, DAY);
    assert_int_equal(clock.now_ns, START + DAY);
}

static void restart_of_the_program(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    machine.wall_ns += 30 * DAY;
    machine.boot_ns += 30 * DAY;
    const struct emlfs_time_sample sample = sample_of(&machine);
    emlfs_compliance_resume(&clock, &sample);
    assert_int_equal(clock.now_ns, START + 30 * DAY);
    assert_int_equal(clock.resumes, 0);
    /* the system clock was set while the program was not there: the uptime decides */
    machine.wall_ns += 10 * YEAR;
    machine.boot_ns += HOUR;
    const struct emlfs_time_sample forged = sample_of(&machine);
    emlfs_compliance_resume(&clock, &forged);
    assert_int_equal(clock.now_ns, START + 30 * DAY + HOUR);
}

static void short_times_off_are_bridged(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    /* five days on, one day off, for years: the clock keeps up */
    for (int i = 0; i < 500; i++) {
        run(&clock, &machine, 5 * DAY);
        reboot(&clock, &machine, DAY);
    }
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_AGREE);
    assert_int_equal(clock.now_ns, START + 3000 * DAY);
}

static void long_time_off_waits(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    reboot(&clock, &machine, 100 * DAY);
    assert_int_equal(clock.now_ns, START + 7 * DAY);
    assert_int_equal(clock.refused_ns, 93 * DAY);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_SYSTEM_AHEAD);
    /* running earns trust, and the next restart uses it to catch up */
    run(&clock, &machine, 28 * DAY);
    reboot(&clock, &machine, 0);
    assert_int_equal(clock.now_ns, START + 7 * DAY + 28 * DAY + 7 * DAY);
    /* a time stamp from outside closes the gap at once, and an old one moves nothing */
    emlfs_compliance_prove(&clock, machine.wall_ns);
    assert_int_equal(clock.now_ns, machine.wall_ns);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_AGREE);
    emlfs_compliance_prove(&clock, START);
    assert_int_equal(clock.now_ns, machine.wall_ns);
    assert_int_equal(clock.proved_ns, machine.wall_ns);
}

static void jumps_while_stopped_do_not_add_up(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;
    int64_t true_ns = 0;

    (void)state;
    begin(&clock, &machine);
    for (int i = 0; i < 1000; i++) {
        reboot(&clock, &machine, 7 * DAY); /* forged: no time passes */
        run(&clock, &machine, HOUR);
        true_ns += HOUR;
    }
    int64_t ahead_ns = clock.now_ns - START - true_ns;
    assert_true(ahead_ns >= 0);
    assert_true(ahead_ns <= EMLFS_COMPLIANCE_TRUST_MAX_NS + true_ns / EMLFS_COMPLIANCE_EARN);
}

static void other_machine(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    run(&clock, &machine, 10 * DAY);
    /* a day later on a machine that has been up for three years: its uptime is not the archive's */
    machine.wall_ns += DAY;
    machine.boot_ns = 3 * YEAR;
    machine.boot = 77;
    struct emlfs_time_sample sample = sample_of(&machine);
    emlfs_compliance_resume(&clock, &sample);
    assert_int_equal(clock.now_ns, START + 11 * DAY);
    run(&clock, &machine, DAY);
    assert_int_equal(clock.now_ns, START + 12 * DAY);
    /* then to one whose clock is ten years ahead */
    machine.wall_ns += 10 * YEAR;
    machine.boot = 78;
    sample = sample_of(&machine);
    emlfs_compliance_resume(&clock, &sample);
    assert_true(clock.now_ns <= START + 12 * DAY + 7 * DAY);
    /* and back to the first, whose uptime went on */
    machine =
        (struct machine){.wall_ns = START + 20 * DAY, .boot_ns = 90 * DAY + 20 * DAY, .boot = 1};
    int64_t before_ns = clock.now_ns;
    sample = sample_of(&machine);
    emlfs_compliance_resume(&clock, &sample);
    assert_true(clock.now_ns >= before_ns && clock.now_ns <= START + 20 * DAY);
}

static void monotonic_clock_went_back(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    machine.boot_ns -= 50 * DAY; /* a snapshot of the machine was restored */
    run(&clock, &machine, HOUR);
    assert_int_equal(clock.now_ns, START);
    run(&clock, &machine, HOUR);
    assert_int_equal(clock.now_ns, START + HOUR);
    /* an id that changes without a restart measures nothing */
    machine.boot = 9;
    run(&clock, &machine, YEAR);
    assert_int_equal(clock.now_ns, START + HOUR);
}

static void without_a_hardware_clock(void **state)
{
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    run(&clock, &machine, DAY);
    reboot(&clock, &machine, 0);
    machine.wall_ns = 12 * SECOND; /* 1970 until the network is there */
    run(&clock, &machine, 30 * SECOND);
    assert_date(&clock, 42 * SECOND);
    machine.wall_ns = START + DAY + 30 * SECOND;
    run(&clock, &machine, 30 * SECOND);
    assert_date(&clock, START + DAY + 60 * SECOND);
    assert_int_equal(reason_of(&clock), EMLFS_COMPLIANCE_AGREE);
}

/* Random games: it never goes back, and never beyond what was measured, proved and trusted. */
static void random_games_keep_the_invariants(void **state)
{
    uint64_t seed = 42;

    (void)state;
    for (int game = 0; game < 300; game++) {
        struct emlfs_compliance clock;
        struct machine machine;
        int64_t ran_ns = 0;
        begin(&clock, &machine);
        for (int step = 0; step < 100; step++) {
            int64_t before_ns = clock.now_ns;
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            int64_t amount_ns = (int64_t)(seed >> 33) * 86400000; /* up to 5.9 years */
            switch (seed >> 61) {
            case 0:
                machine.wall_ns += amount_ns;
                break;
            case 1:
                machine.wall_ns -= amount_ns;
                break;
            case 2:
            case 3:
                reboot(&clock, &machine, amount_ns / 50);
                break;
            case 4:
                reboot(&clock, &machine, amount_ns);
                break;
            default:
                run(&clock, &machine, amount_ns / 100);
                ran_ns += amount_ns / 100;
            }
            assert_true(clock.now_ns >= before_ns);
            assert_true(clock.now_ns <= START + ran_ns + EMLFS_COMPLIANCE_TRUST_MAX_NS +
                                            ran_ns / EMLFS_COMPLIANCE_EARN);
            assert_true(clock.trust_ns >= 0 && clock.trust_ns <= EMLFS_COMPLIANCE_TRUST_MAX_NS);
        }
    }
}

static void ends_of_time(void **state)
{
    struct emlfs_time_sample sample = {.wall_ns = INT64_MIN, .boot_ns = 0};
    struct emlfs_compliance clock;

    (void)state;
    emlfs_compliance_begin(&sample, &clock);
    assert_int_equal(clock.now_ns, 0);
    assert_int_equal(emlfs_compliance_sec(&clock), INT64_MIN / SECOND - 1);
    sample = (struct emlfs_time_sample){.wall_ns = INT64_MAX, .boot_ns = INT64_MAX};
    emlfs_compliance_tick(&clock, &sample);
    assert_int_equal(clock.now_ns, INT64_MAX);
    assert_int_equal(clock.trust_ns, EMLFS_COMPLIANCE_TRUST_MAX_NS);
    sample = (struct emlfs_time_sample){.wall_ns = INT64_MIN, .boot_ns = 1, .boot_id = {1}};
    emlfs_compliance_resume(&clock, &sample);
    assert_int_equal(clock.now_ns, INT64_MAX);
}

static void rows(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf row = EMLFS_BUF_INIT(EMLFS_COMPLIANCE_ROW_MAX_BYTES);
    struct emlfs_compliance clock;
    struct machine machine;

    (void)state;
    begin(&clock, &machine);
    assert_int_equal(emlfs_compliance_encode(&clock, &row), 0);
    for (size_t len = 0; len < row.len; len++)
        assert_int_equal(emlfs_compliance_decode(emlfs_span_of(row.data, len), &clock), -EUCLEAN);
    assert_int_equal(emlfs_buf_append_u8(&row, 0), 0);
    assert_int_equal(emlfs_compliance_decode(emlfs_buf_view(&row), &clock), -EUCLEAN);
    row.len--;
    row.data[0] = 2;
    assert_int_equal(emlfs_compliance_decode(emlfs_buf_view(&row), &clock), -EPROTONOSUPPORT);
    clock.trust_ns = EMLFS_COMPLIANCE_TRUST_MAX_NS + 1;
    assert_int_equal(emlfs_compliance_encode(&clock, &row), -EINVAL);
}

static void the_real_machine(void **state)
{
    const struct emlfs_clock system = emlfs_clock_system();
    struct emlfs_time_sample first, second;
    struct emlfs_compliance clock;

    (void)state;
    assert_int_equal(emlfs_time_sample_take(&system, &first), 0);
    assert_int_equal(emlfs_time_sample_take(&system, &second), 0);
    assert_memory_equal(first.boot_id, second.boot_id, EMLFS_BOOT_ID_BYTES);
    assert_true(second.boot_ns >= first.boot_ns && first.boot_ns > 0);
    emlfs_compliance_begin(&first, &clock);
    emlfs_compliance_tick(&clock, &second);
    assert_int_equal(clock.now_ns - first.wall_ns, second.boot_ns - first.boot_ns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_with_the_monotonic_clock),
        cmocka_unit_test(forward_ten_years_and_back),
        cmocka_unit_test(back_ten_years),
        cmocka_unit_test(restart_of_the_program),
        cmocka_unit_test(short_times_off_are_bridged),
        cmocka_unit_test(long_time_off_waits),
        cmocka_unit_test(jumps_while_stopped_do_not_add_up),
        cmocka_unit_test(other_machine),
        cmocka_unit_test(monotonic_clock_went_back),
        cmocka_unit_test(without_a_hardware_clock),
        cmocka_unit_test(random_games_keep_the_invariants),
        cmocka_unit_test(ends_of_time),
        cmocka_unit_test(rows),
        cmocka_unit_test(the_real_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
