/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does a change of the policies let anything go earlier? A proof over all messages, in three steps.
 *
 * Which policies decide. A message is, to a set, the list of those queries that it matches. Every
 * list is taken as possible. Policy i is the first to match exactly if its query is in the list
 * and no earlier one is: a set of queries that must match and a set that must not. Two such demands
 * (one for each policy set) meet in some message exactly if no query is in both. Thus all pairs of
 * deciding policies are found without walking the lists.
 *
 * Which dates are possible. Of archived A, received R and sent S it is only known that R <= A and
 * S <= A. An end is monotone in its start (R5 in retention.c), so a rule that counts from A is
 * compared at R = A or S = A, its worst case; R and S do not bound each other, nor A from below.
 * What is left to compare are two functions of one instant x.
 *
 * Which end is later. Lengths in one unit are compared as numbers. Otherwise far lengths are told
 * apart by bounds, and near ones by every day of the 400 years after which the calendar repeats.
 * Within one day each end is constant or moves with x, so first and last second stand for it.
 *
 *   G1  "tightens" is never said of a change under which some message could go earlier.
 *   G2  Ends from a year's end (1 January 00:00) are covered by the same walk.
 */
#include "calendar.h"
#include "policy_internal.h"

#define QUERIES_MAX (2u * EMLFS_POLICIES_MAX)
#define YEAR_MAX_DAYS 366
/* No run of months differs by as much from its mean length: year lengths drift by less than 3 days
 * within 400 years, month lengths by less than 3 within a year, and a missing day adds 1. */
#define MONTHS_SPREAD_DAYS 8

/* ---- one policy against another */

/* Both start rules as functions of one instant: does each go to the end of the year first? */
struct starts {
    bool a_year_end, b_year_end;
};

static bool starts_compare(const struct emlfs_policy *a, const struct emlfs_policy *b,
                           struct starts *ret)
{
    bool of_receipt = b->start == EMLFS_START_RECEIVED || b->start == EMLFS_START_YEAR_END;

    ret->a_year_end = a->start == EMLFS_START_YEAR_END;
    ret->b_year_end = b->start == EMLFS_START_YEAR_END;
    switch (a->start) {
    case EMLFS_START_ARCHIVED:
        return true;
    case EMLFS_START_RECEIVED:
    case EMLFS_START_YEAR_END:
        return of_receipt;
    case EMLFS_START_SENT:
        return b->start == EMLFS_START_SENT;
    }
    return false;
}

static bool in_days(struct emlfs_period period)
{
    return period.unit == EMLFS_PERIOD_DAYS;
}

static int64_t months_of(struct emlfs_period period)
{
    return (int64_t)period.count * (period.unit == EMLFS_PERIOD_YEARS ? 12 : 1);
}

/* Shortest and longest length in days, with a margin. */
static void length_bounds(struct emlfs_period period, int64_t *ret_low, int64_t *ret_high)
{
    if (in_days(period)) {
        *ret_low = *ret_high = period.count;
        return;
    }
    int64_t mean = months_of(period) * CALENDAR_CYCLE_DAYS / 4800;
    *ret_low = mean - MONTHS_SPREAD_DAYS;
    *ret_high = mean + MONTHS_SPREAD_DAYS;
}

static int64_t end_from(int64_t x, struct emlfs_period period, bool year_end)
{
    return emlfs_period_end(year_end ? emlfs_calendar_year_end(x) : x, period);
}

static bool walk_dominates(struct emlfs_period a, struct emlfs_period b, struct starts starts)
{
    for (int64_t day = 0; day < CALENDAR_CYCLE_DAYS; day++) {
        const int64_t first = day * CALENDAR_DAY_SEC;
        const int64_t last = first + CALENDAR_DAY_SEC - 1;
        if (end_from(first, a, starts.a_year_end) < end_from(first, b, starts.b_year_end) ||
            end_from(last, a, starts.a_year_end) < end_from(last, b, starts.b_year_end))
            return false;
    }
    return true;
}

bool emlfs_policy_dominates(const struct emlfs_policy *a, const struct emlfs_policy *b)
{
    struct starts starts;
    int64_t a_low, a_high, b_low, b_high;

    if (!starts_compare(a, b, &starts))
        return false;
    if (starts.a_year_end == starts.b_year_end && in_days(a->period) == in_days(b->period))
        return in_days(a->period) ? a->period.count >= b->period.count
                                  : months_of(a->period) >= months_of(b->period);
    length_bounds(a->period, &a_low, &a_high);
    length_bounds(b->period, &b_low, &b_high);
    if (a_low >= b_high + (starts.b_year_end ? YEAR_MAX_DAYS : 0))
        return true;
    if (a_high + (starts.a_year_end ? YEAR_MAX_DAYS : 0) < b_low)
        return false;
    return walk_dominates(a->period, b->period, starts);
}

/* ---- lists of queries */

struct queries {
    const char *text[QUERIES_MAX];
    unsigned n;
};

struct query_set {
    uint64_t v[QUERIES_MAX / 64];
    bool all; /* "every message" is one of them */
};

/* What a message must match, and must not. */
struct demand {
    struct query_set yes, no;
};

static void set_add(struct query_set *set, struct queries *queries, const char *query)
{
    unsigned at = 0;

    if (query[0] == 0) {
        set->all = true;
        return;
    }
    while (at < queries->n && strcmp(queries->text[at], query) != 0)
        at++;
    if (at == queries->n)
        queries->text[queries->n++] = query;
    set->v[at / 64] |= UINT64_C(1) << (at % 64);
}

static void set_join(struct query_set *set, const struct query_set *other)
{
    for (unsigned i = 0; i < QUERIES_MAX / 64; i++)
        set->v[i] |= other->v[i];
    set->all |= other->all;
}

static bool demand_possible(const struct demand *a, const struct demand *b)
{
    struct demand both = *a;
    uint64_t clash = 0;

    set_join(&both.yes, &b->yes);
    set_join(&both.no, &b->no);
    for (unsigned i = 0; i < QUERIES_MAX / 64; i++)
        clash |= both.yes.v[i] & both.no.v[i];
    return clash == 0 && !both.no.all;
}

/* ---- what a set can decide */

/* A way to decide: keeper fixes the earliest date, deleter the latest. NULL: none. */
struct outcome {
    const struct emlfs_policy *keeper, *deleter;
    struct demand demand;
};

/* Calls each with every outcome of a set; false stops, and is returned. */
struct outcomes {
    const struct emlfs_policy_set *set;
    struct queries *queries;
    bool (*each)(void *arg, const struct outcome *outcome);
    void *arg;
};

static bool is_enabled(const struct emlfs_policy *policy)
{
    return policy->flags & EMLFS_POLICY_ENABLED;
}

static bool deletes(const struct emlfs_policy *policy)
{
    return policy->flags & EMLFS_POLICY_AUTO_DELETE;
}

/* keeper at index at does not delete itself: one outcome for each policy below that could. */
static bool below_walk(const struct outcomes *walk, size_t at, struct outcome outcome)
{
    for (size_t i = at + 1; i < walk->set->n; i++) {
        const struct emlfs_policy *policy = &walk->set->v[i];
        if (!is_enabled(policy) || !deletes(policy))
            continue;
        struct outcome found = outcome;
        found.deleter = policy;
        set_add(&found.demand.yes, walk->queries, policy->query);
        if (!walk->each(walk->arg, &found))
            return false;
        set_add(&outcome.demand.no, walk->queries, policy->query);
    }
    return walk->each(walk->arg, &outcome);
}

static bool outcomes_walk(const struct outcomes *walk)
{
    struct outcome none = {0}; /* what is demanded if no policy so far matched */

    for (size_t i = 0; i < walk->set->n; i++) {
        const struct emlfs_policy *policy = &walk->set->v[i];
        if (!is_enabled(policy))
            continue;
        struct outcome found = none;
        found.keeper = policy;
        set_add(&found.demand.yes, walk->queries, policy->query);
        if (deletes(policy)) {
            found.deleter = policy;
            if (!walk->each(walk->arg, &found))
                return false;
        } else if (!below_walk(walk, i, found)) {
            return false;
        }
        set_add(&none.demand.no, walk->queries, policy->query);
    }
    return walk->each(walk->arg, &none);
}

/* ---- one set against the other */

struct comparison {
    const struct emlfs_policy_set *from, *to;
    struct queries queries;
    const struct outcome *old; /* the one compared now */
    struct emlfs_err *err;     /* what was found */
    /* 0: not known yet, 1: yes, 2: no; [to][from] */
    uint8_t known[EMLFS_POLICIES_MAX][EMLFS_POLICIES_MAX];
};

static bool dominates(struct comparison *cmp, const struct emlfs_policy *a,
                      const struct emlfs_policy *b)
{
    uint8_t *known = &cmp->known[a - cmp->to->v][b - cmp->from->v];

    if (*known == 0)
        *known = emlfs_policy_dominates(a, b) ? 1 : 2;
    return *known == 1;
}

static const char *policy_name(const struct emlfs_policy *policy)
{
    return policy ? policy->name : "none";
}

/* A message that old and new decide does not go earlier. R3: what keeps also bounds the latest. */
static bool earliest_holds(struct comparison *cmp, const struct outcome *now)
{
    return now->keeper && dominates(cmp, now->keeper, cmp->old->keeper);
}

static bool latest_holds(struct comparison *cmp, const struct outcome *now)
{
    const struct outcome *old = cmp->old;

    if (!now->deleter || old->deleter == old->keeper)
        return true;
    if (!old->deleter)
        return false;
    return dominates(cmp, now->keeper, old->deleter) || dominates(cmp, now->deleter, old->deleter);
}

static bool new_compare(void *arg, const struct outcome *now)
{
    struct comparison *cmp = arg;

    if (!demand_possible(&cmp->old->demand, &now->demand))
        return true;
    if (!earliest_holds(cmp, now)) {
        emlfs_err_set(cmp->err, EPERM, "policy",
                      "mail that \"%s\" keeps could go earlier: \"%s\" would decide",
                      policy_name(cmp->old->keeper), policy_name(now->keeper));
        return false;
    }
    if (!latest_holds(cmp, now)) {
        emlfs_err_set(cmp->err, EPERM, "policy",
                      "mail that \"%s\" keeps would be deleted automatically earlier, by \"%s\"",
                      policy_name(cmp->old->keeper), policy_name(now->deleter));
        return false;
    }
    return true;
}

static bool old_compare(void *arg, const struct outcome *old)
{
    struct comparison *cmp = arg;
    const struct outcomes walk = {cmp->to, &cmp->queries, new_compare, cmp};

    if (!old->keeper)
        return true; /* nothing was kept */
    cmp->old = old;
    return outcomes_walk(&walk);
}

/* False: something could go earlier, err tells what. */
static bool change_tightens(const struct emlfs_policy_change *change, struct emlfs_err *err)
{
    struct comparison cmp = {.from = &change->from, .to = &change->to, .err = err};
    const struct outcomes walk = {cmp.from, &cmp.queries, old_compare, &cmp};

    return outcomes_walk(&walk);
}

int emlfs_policy_change_check(const struct emlfs_policy_change *change, bool *ret_loosens,
                              struct emlfs_err *err)
{
    struct emlfs_err found = {0};

    *ret_loosens = true;
    int r = emlfs_policy_set_check(&change->from, err);
    if (r == 0)
        r = emlfs_policy_set_check(&change->to, err);
    if (r < 0)
        return r;
    if (change->mode != EMLFS_MODE_GOVERNANCE && change->new_mode != EMLFS_MODE_COMPLIANCE)
        return emlfs_err_set(err, EPERM, "policy", "compliance mode cannot be left");
    *ret_loosens = !change_tightens(change, &found);
    if (!*ret_loosens || change->mode == EMLFS_MODE_GOVERNANCE)
        return 0;
    if (err)
        *err = found;
    return -EPERM;
}
