/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The compliance clock of an open archive.
 *
 *   C1  lock is held for arithmetic only; the state is written with save held, so that an older one
 *       never follows a newer one.
 *   C2  A clock that cannot be sampled is not known, and then no date has passed.
 */
#include <stdio.h>

#include "rules_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define HOUR_NS (3600 * SECOND_NS)
#define LISTING_NS SECOND_NS /* as old as the clock of a listing may be */
#define CLOCK_KEY emlfs_span_str("clock")

static int64_t archive_now_ns(void *arg)
{
    return emlfs_archive_now_ns(arg);
}

static int sample_take(const struct emlfs_rules *rules, struct emlfs_time_sample *ret)
{
    const struct emlfs_clock clock = {.now_ns = archive_now_ns, .arg = rules->options.archive};

    if (rules->options.sample)
        return rules->options.sample(rules->options.sample_arg, ret);
    return emlfs_time_sample_take(&clock, ret);
}

/* ---- keeping it */

static int state_write(struct emlfs_rules *rules, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_COMPLIANCE_ROW_MAX_BYTES);
    struct rules_clock *clock = &rules->clock;

    pthread_mutex_lock(&clock->lock);
    const struct emlfs_compliance state = clock->state;
    pthread_mutex_unlock(&clock->lock);
    int r = emlfs_compliance_encode(&state, &value);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "cannot keep the compliance clock");
    r = emlfs_archive_master_put(rules->options.archive, EMLFS_MASTER_CLOCK, CLOCK_KEY,
                                 emlfs_buf_view(&value), err);
    if (r == 0)
        clock->saved_boot_ns = state.last.boot_ns;
    return r;
}

/* when_due: only if an hour passed. An archive that takes no writes keeps none: that is no error.
 */
static int state_save(struct emlfs_rules *rules, bool when_due, struct emlfs_err *err)
{
    struct rules_clock *clock = &rules->clock;
    int r = 0;

    if (emlfs_rules_is_read_only(rules))
        return 0;
    pthread_mutex_lock(&clock->save);
    pthread_mutex_lock(&clock->lock);
    bool due = clock->state.last.boot_ns - clock->saved_boot_ns >= HOUR_NS;
    pthread_mutex_unlock(&clock->lock);
    if (due || !when_due)
        r = state_write(rules, err);
    pthread_mutex_unlock(&clock->save);
    return r == -EROFS ? 0 : r;
}

/* ---- records */

static int event_record(struct emlfs_rules *rules, const char *name,
                        const struct emlfs_compliance *state, struct emlfs_err *err)
{
    struct emlfs_compliance_report report;
    char detail[256];

    if (emlfs_rules_is_read_only(rules))
        return 0;
    emlfs_compliance_report(state, &report);
    snprintf(detail, sizeof(detail), "system clock %+lld s against the compliance clock: %s",
             (long long)(report.apart_ns / SECOND_NS), report.text);
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_CLOCK_EVENT,
                                               .name = emlfs_span_str(name),
                                               .detail = emlfs_span_str(detail)};
    int r = emlfs_archive_record(rules->options.archive, NULL, &record, err);
    return r == -EROFS ? 0 : r;
}

/* Under lock. True: they are apart, and that was not told yet. */
static bool apart_is_new(struct rules_clock *clock)
{
    struct emlfs_compliance_report report;

    emlfs_compliance_report(&clock->state, &report);
    bool apart = report.apart_ns >= EMLFS_COMPLIANCE_APART_NS ||
                 report.apart_ns <= -EMLFS_COMPLIANCE_APART_NS;
    bool news = apart && !clock->told_apart;
    clock->told_apart = apart;
    return news;
}

/* ---- opening and closing */

static int state_read(struct emlfs_rules *rules, struct emlfs_compliance *ret,
                      struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_COMPLIANCE_ROW_MAX_BYTES);
    struct emlfs_err inner = {0};

    int r = emlfs_archive_master_get(rules->options.archive, EMLFS_MASTER_CLOCK, CLOCK_KEY, &value,
                                     &inner);
    if (r == 0) {
        r = emlfs_compliance_decode(emlfs_buf_view(&value), ret);
        if (r < 0)
            return emlfs_err_sys(err, -r, "policy", "the compliance clock");
    }
    if (r < 0 && r != -ENOENT && err)
        *err = inner;
    return r;
}

int rules_clock_open(struct emlfs_rules *rules, struct emlfs_err *err)
{
    struct rules_clock *clock = &rules->clock;
    struct emlfs_time_sample sample;
    bool refused = false;

    int r = sample_take(rules, &sample);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "the machine's clocks cannot be read");
    r = state_read(rules, &clock->state, err);
    if (r < 0 && r != -ENOENT)
        return r;
    if (r == 0) {
        uint64_t resumes = clock->state.resumes;
        emlfs_compliance_resume(&clock->state, &sample);
        refused = clock->state.resumes != resumes && clock->state.refused_ns > 0;
    } else {
        emlfs_compliance_begin(&sample, &clock->state);
    }
    clock->known = true;
    clock->ticked_ns = rules_now_ns(rules);
    bool apart = apart_is_new(clock);
    r = state_save(rules, false, err);
    if (r == 0 && refused)
        r = event_record(rules, "not followed after a restart", &clock->state, err);
    else if (r == 0 && apart)
        r = event_record(rules, "clocks apart", &clock->state, err);
    return r;
}

void rules_clock_close(struct emlfs_rules *rules)
{
    if (!rules->clock.known)
        return;
    (void)emlfs_rules_tick(rules, NULL);
    (void)state_save(rules, false, NULL);
}

/* ---- asking */

/* -EIO: not known now (C2). */
static int clock_sample(struct emlfs_rules *rules, bool *ret_apart)
{
    struct rules_clock *clock = &rules->clock;
    struct emlfs_time_sample sample;

    *ret_apart = false;
    int r = sample_take(rules, &sample);
    pthread_mutex_lock(&clock->lock);
    clock->known = r == 0;
    clock->ticked_ns = rules_now_ns(rules);
    if (r == 0) {
        emlfs_compliance_tick(&clock->state, &sample);
        *ret_apart = apart_is_new(clock);
    }
    pthread_mutex_unlock(&clock->lock);
    return r;
}

static bool clock_is_fresh(struct emlfs_rules *rules)
{
    const int64_t now_ns = rules_now_ns(rules);

    pthread_mutex_lock(&rules->clock.lock);
    bool fresh = rules->clock.known && now_ns - rules->clock.ticked_ns < LISTING_NS;
    pthread_mutex_unlock(&rules->clock.lock);
    return fresh;
}

bool rules_clock_get(struct emlfs_rules *rules, bool at_once, struct emlfs_compliance *ret)
{
    struct rules_clock *clock = &rules->clock;
    bool apart = false;

    if (at_once || !clock_is_fresh(rules))
        (void)clock_sample(rules, &apart);
    pthread_mutex_lock(&clock->lock);
    *ret = clock->state;
    bool known = clock->known;
    if (apart)
        clock->told_apart = false; /* _tick tells it: this may be under somebody's lock */
    pthread_mutex_unlock(&clock->lock);
    return known;
}

int emlfs_rules_tick(struct emlfs_rules *rules, struct emlfs_err *err)
{
    struct rules_clock *clock = &rules->clock;
    bool apart;

    int r = clock_sample(rules, &apart);
    if (r < 0)
        return emlfs_err_sys(err, -r, "policy", "the machine's clocks cannot be read");
    if (apart) {
        pthread_mutex_lock(&clock->lock);
        const struct emlfs_compliance state = clock->state;
        pthread_mutex_unlock(&clock->lock);
        r = event_record(rules, "clocks apart", &state, err);
    }
    int saved = state_save(rules, true, r == 0 ? err : NULL);
    return r < 0 ? r : saved;
}

void emlfs_rules_clock(struct emlfs_rules *rules, struct emlfs_compliance_report *ret)
{
    struct emlfs_compliance state;

    (void)rules_clock_get(rules, true, &state);
    emlfs_compliance_report(&state, ret);
}

int64_t emlfs_rules_arrival_ns(struct emlfs_rules *rules)
{
    const int64_t now_ns = emlfs_archive_now_ns(rules->options.archive);
    struct emlfs_compliance state;

    (void)rules_clock_get(rules, true, &state);
    const int64_t arrival_ns = emlfs_compliance_arrival_ns(&state);
    return arrival_ns > now_ns ? arrival_ns : now_ns;
}
