/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The compliance clock.
 *
 *   C1  now_ns never decreases.
 *   C2  now_ns - base <= v + TRUST_MAX + v/EARN, where base is the start or the latest proof and v
 *       the time that the monotonic clock measured since; the system clock adds to it only by
 *       spending trust, and only up to itself.
 *   C3  0 <= trust_ns <= TRUST_MAX.
 *   C4  A sample that contradicts the last one (same boot, earlier) measures nothing.
 *
 * Sums saturate: the end of what 64 bits of nanoseconds hold (2262) is the end of time.
 */
#include "emlfs/compliance.h"

#include <string.h>

#include "emlfs/retention.h"
#include "policy_internal.h"

#define ROW_VERSION 1u

static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static int64_t less(int64_t a, int64_t b)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference))
        return b < 0 ? INT64_MAX : INT64_MIN;
    return difference;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void emlfs_compliance_begin(const struct emlfs_time_sample *sample, struct emlfs_compliance *ret)
{
    int64_t wall_ns = sample->wall_ns > 0 ? sample->wall_ns : 0;

    *ret = (struct emlfs_compliance){
        .made_ns = wall_ns,
        .now_ns = wall_ns,
        .trust_ns = EMLFS_COMPLIANCE_TRUST_MAX_NS,
        .last = *sample,
    };
}

static bool same_boot(const struct emlfs_compliance *state, const struct emlfs_time_sample *sample)
{
    return memcmp(state->last.boot_id, sample->boot_id, EMLFS_BOOT_ID_BYTES) == 0 &&
           sample->boot_ns >= state->last.boot_ns; /* C4 */
}

static void earn(struct emlfs_compliance *state, int64_t ran_ns)
{
    int64_t ran = add(ran_ns, state->earned_rest_ns);
    int64_t trust = add(state->trust_ns, ran / EMLFS_COMPLIANCE_EARN);

    state->earned_rest_ns = ran % EMLFS_COMPLIANCE_EARN;
    state->trust_ns = smaller(trust, EMLFS_COMPLIANCE_TRUST_MAX_NS);
}

void emlfs_compliance_tick(struct emlfs_compliance *state, const struct emlfs_time_sample *sample)
{
    if (same_boot(state, sample)) {
        int64_t ran_ns = less(sample->boot_ns, state->last.boot_ns);
        state->now_ns = add(state->now_ns, ran_ns);
        earn(state, ran_ns);
    }
    state->last = *sample;
}

void emlfs_compliance_resume(struct emlfs_compliance *state, const struct emlfs_time_sample *sample)
{
    if (same_boot(state, sample)) {
        emlfs_compliance_tick(state, sample);
        return;
    }
    int64_t gap_ns = less(sample->wall_ns, state->now_ns);
    int64_t follow_ns = gap_ns > 0 ? smaller(gap_ns, state->trust_ns) : 0;

    state->now_ns = add(state->now_ns, follow_ns);
    state->trust_ns -= follow_ns;
    state->refused_ns = gap_ns > 0 ? gap_ns - follow_ns : 0;
    state->resumes++;
    state->last = *sample;
}

void emlfs_compliance_prove(struct emlfs_compliance *state, int64_t proved_ns)
{
    if (proved_ns > state->proved_ns)
        state->proved_ns = proved_ns;
    if (proved_ns <= state->now_ns)
        return;
    state->now_ns = proved_ns;
    state->refused_ns = 0;
}

int64_t emlfs_compliance_sec(const struct emlfs_compliance *state)
{
    const int64_t second_ns = INT64_C(1000000000);
    int64_t ns = smaller(state->now_ns, state->last.wall_ns);

    return ns / second_ns - (ns % second_ns < 0);
}

int64_t emlfs_compliance_arrival_ns(const struct emlfs_compliance *state)
{
    return state->now_ns > state->last.wall_ns ? state->now_ns : state->last.wall_ns;
}

void emlfs_compliance_report(const struct emlfs_compliance *state,
                             struct emlfs_compliance_report *ret)
{
    *ret = (struct emlfs_compliance_report){
        .system_ns = state->last.wall_ns,
        .compliance_ns = state->now_ns,
        .apart_ns = less(state->last.wall_ns, state->now_ns),
        .trust_ns = state->trust_ns,
        .refused_ns = state->refused_ns,
        .proved_ns = state->proved_ns,
        .text = "Both clocks agree.",
    };
    if (ret->apart_ns > EMLFS_COMPLIANCE_APART_NS) {
        ret->reason = EMLFS_COMPLIANCE_SYSTEM_AHEAD;
        ret->text = state->refused_ns > 0
                        ? "The archive was away for longer than it can vouch for, or the system "
                          "clock was set forward meanwhile: dates wait for the compliance clock. A "
                          "time stamp from outside brings it up to date."
                        : "The system clock went ahead of the time that was measured: dates wait "
                          "for the compliance clock.";
    } else if (ret->apart_ns < -EMLFS_COMPLIANCE_APART_NS) {
        ret->reason = EMLFS_COMPLIANCE_SYSTEM_BEHIND;
        ret->text = "The system clock is behind the time that was measured: dates wait for the "
                    "system clock.";
    }
}

/* ---- row: varint version (1), svarints in the order of the structure, the boot id's 16 bytes */

static bool state_ok(const struct emlfs_compliance *state)
{
    return state->now_ns >= state->made_ns && state->trust_ns >= 0 &&
           state->trust_ns <= EMLFS_COMPLIANCE_TRUST_MAX_NS && state->earned_rest_ns >= 0 &&
           state->earned_rest_ns < EMLFS_COMPLIANCE_EARN && state->refused_ns >= 0 &&
           state->proved_ns >= 0 && state->proved_ns <= state->now_ns && state->last.boot_ns >= 0;
}

int emlfs_compliance_encode(const struct emlfs_compliance *state, struct emlfs_buf *ret_value)
{
    const int64_t numbers[] = {state->made_ns,      state->now_ns,         state->proved_ns,
                               state->trust_ns,     state->earned_rest_ns, state->refused_ns,
                               state->last.wall_ns, state->last.boot_ns};

    emlfs_buf_clear(ret_value);
    if (!state_ok(state))
        return -EINVAL;
    int r = emlfs_buf_append_varint(ret_value, ROW_VERSION);
    for (size_t i = 0; r == 0 && i < sizeof(numbers) / sizeof(numbers[0]); i++)
        r = emlfs_buf_append_svarint(ret_value, numbers[i]);
    if (r == 0)
        r = emlfs_buf_append_varint(ret_value, state->resumes);
    if (r == 0)
        r = emlfs_buf_append(ret_value, state->last.boot_id, EMLFS_BOOT_ID_BYTES);
    return r;
}

int emlfs_compliance_decode(struct emlfs_span value, struct emlfs_compliance *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    struct emlfs_compliance state = {0};
    int64_t *const numbers[] = {&state.made_ns,      &state.now_ns,         &state.proved_ns,
                                &state.trust_ns,     &state.earned_rest_ns, &state.refused_ns,
                                &state.last.wall_ns, &state.last.boot_ns};

    int r = emlfs_row_version(&cur, ROW_VERSION);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        *numbers[i] = emlfs_cursor_svarint(&cur);
    state.resumes = emlfs_cursor_varint(&cur);
    struct emlfs_span boot = emlfs_cursor_take(&cur, EMLFS_BOOT_ID_BYTES);
    if (!emlfs_cursor_done(&cur) || !state_ok(&state))
        return -EUCLEAN;
    memcpy(state.last.boot_id, boot.data, EMLFS_BOOT_ID_BYTES);
    *ret = state;
    return 0;
}
