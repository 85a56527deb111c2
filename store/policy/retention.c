/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When a message may go and when it must.
 *
 *   R1  A claim of the message moves a start only between the floor and the time of archiving.
 *   R2  The earliest date comes from the first enabled policy that matches and from no other.
 *   R3  latest >= earliest.
 *   R4  What cannot be told is kept: an error leaves "never" in both dates.
 *   R5  Ends are monotone: a later start, or a longer period of the same unit, ends no earlier.
 *       The proof in retention_change.c rests on it.
 */
#include "emlfs/retention.h"

#include "calendar.h"
#include "policy_internal.h"

#define SECOND_NS INT64_C(1000000000)
#define FIRST_SEC INT64_C(-62135596800)      /* 0001-01-01 00:00:00 */
#define LAST_SEC INT64_C(253402300799)       /* 9999-12-31 23:59:59 */
#define LAST_CLAIM_SEC INT64_C(253370764799) /* 9998-12-31 23:59:59: a year's end is in range */

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value < low)
        return low;
    return value > high ? high : value;
}

int64_t emlfs_sec_of_ns(int64_t ns)
{
    return ns / SECOND_NS + (ns % SECOND_NS > 0);
}

int64_t emlfs_period_end(int64_t start_sec, struct emlfs_period period)
{
    int64_t start = clamp(start_sec, FIRST_SEC, LAST_SEC);

    if (period.unit == EMLFS_PERIOD_DAYS)
        return start + (int64_t)period.count * CALENDAR_DAY_SEC;
    int64_t months = period.unit == EMLFS_PERIOD_YEARS ? 12 : 1;
    return emlfs_calendar_add_months(start, months * (int64_t)period.count);
}

int64_t emlfs_retention_start(const struct emlfs_retention_dates *dates,
                              enum emlfs_policy_start start)
{
    int64_t archived = clamp(dates->archived_sec, FIRST_SEC, LAST_CLAIM_SEC);
    int64_t floor = clamp(dates->floor_sec, FIRST_SEC, archived);
    int64_t claim = archived;

    if (start == EMLFS_START_SENT && dates->has_sent)
        claim = dates->sent_sec;
    if ((start == EMLFS_START_RECEIVED || start == EMLFS_START_YEAR_END) && dates->has_received)
        claim = dates->received_sec;
    claim = clamp(claim, floor, archived); /* R1 */
    return start == EMLFS_START_YEAR_END ? emlfs_calendar_year_end(claim) : claim;
}

static int64_t policy_end(const struct emlfs_policy *policy,
                          const struct emlfs_retention_dates *dates)
{
    return emlfs_period_end(emlfs_retention_start(dates, policy->start), policy->period);
}

/*
 * The first policy at or behind from that is enabled, matches, and has all flags of must. set->n:
 * none.
 */
static int first_match(const struct emlfs_policy_set *set, size_t *at, uint32_t must,
                       emlfs_policy_match_fn *match, void *arg)
{
    for (; *at < set->n; (*at)++) {
        const struct emlfs_policy *policy = &set->v[*at];
        if ((policy->flags & must) != must)
            continue;
        int r = policy->query[0] ? match(arg, policy) : 1;
        if (r != 0)
            return r < 0 ? r : 0;
    }
    return 0;
}

int emlfs_retention_of(const struct emlfs_policy_set *set,
                       const struct emlfs_retention_dates *dates, emlfs_policy_match_fn *match,
                       void *arg, struct emlfs_retention *ret)
{
    const struct emlfs_retention kept = {EMLFS_TIME_NEVER, EMLFS_TIME_NEVER, set->n, set->n};
    struct emlfs_retention found = {EMLFS_TIME_ALWAYS, EMLFS_TIME_NEVER, set->n, set->n};
    size_t first = 0;

    *ret = kept; /* R4 */
    int r = first_match(set, &first, EMLFS_POLICY_ENABLED, match, arg);
    if (r < 0)
        return r;
    if (first == set->n) {
        *ret = found;
        return 0;
    }
    found.earliest_policy = first;
    found.earliest_sec = policy_end(&set->v[first], dates);
    size_t last = first;
    if (!(set->v[first].flags & EMLFS_POLICY_AUTO_DELETE)) {
        last++;
        r = first_match(set, &last, EMLFS_POLICY_ENABLED | EMLFS_POLICY_AUTO_DELETE, match, arg);
        if (r < 0)
            return r;
    }
    if (last < set->n) {
        found.latest_policy = last;
        found.latest_sec = policy_end(&set->v[last], dates);
        if (found.latest_sec < found.earliest_sec)
            found.latest_sec = found.earliest_sec; /* R3 */
    }
    *ret = found;
    return 0;
}

/* ---- what a set is */

static bool period_ok(struct emlfs_period period)
{
    switch (period.unit) {
    case EMLFS_PERIOD_DAYS:
        return period.count >= 1 && period.count <= 365242;
    case EMLFS_PERIOD_MONTHS:
        return period.count >= 1 && period.count <= 12000;
    case EMLFS_PERIOD_YEARS:
        return period.count >= 1 && period.count <= 1000;
    }
    return false;
}

bool emlfs_policy_ok(const struct emlfs_policy *policy)
{
    const uint32_t known = EMLFS_POLICY_ENABLED | EMLFS_POLICY_AUTO_DELETE;

    return policy->id != 0 && !(policy->flags & ~known) && period_ok(policy->period) &&
           policy->start >= EMLFS_START_ARCHIVED && policy->start <= EMLFS_START_YEAR_END &&
           emlfs_row_text_ok(policy->name, sizeof(policy->name), false) &&
           emlfs_row_text_ok(policy->query, sizeof(policy->query), true);
}

static bool id_repeats(const struct emlfs_policy_set *set, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (set->v[i].id == set->v[at].id)
            return true;
    return false;
}

int emlfs_policy_set_check(const struct emlfs_policy_set *set, struct emlfs_err *err)
{
    if (set->n > EMLFS_POLICIES_MAX)
        return emlfs_err_set(err, E2BIG, "policy", "an archive has at most %u retention policies",
                             EMLFS_POLICIES_MAX);
    for (size_t i = 0; i < set->n; i++) {
        const struct emlfs_policy *policy = &set->v[i];
        if (!emlfs_policy_ok(policy))
            return emlfs_err_set(err, EINVAL, "policy",
                                 "retention policy %u has an impossible name, query, period or "
                                 "start",
                                 policy->id);
        if (id_repeats(set, i))
            return emlfs_err_set(err, EINVAL, "policy", "two retention policies have the id %u",
                                 policy->id);
        if (i > 0 && set->v[i - 1].order >= policy->order)
            return emlfs_err_set(err, EINVAL, "policy",
                                 "retention policies \"%s\" and \"%s\" are not in order",
                                 set->v[i - 1].name, policy->name);
    }
    return 0;
}
