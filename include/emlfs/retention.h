/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_RETENTION_H
#define EMLFS_RETENTION_H

#include <limits.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"
#include "emlfs/base/ids.h"

/*
 * Retention: from the dates of a message and the policies that match it, when it may go and when it
 * must. Pure functions of their arguments, any thread. All times are seconds since 1970 UTC.
 *
 * Calendar. A period is added to the UTC date, and the time of day is kept. A day that does not
 * exist in the month arrived at (31 January and one month, 29 February and one year) ends with that
 * month: the result is the first instant of the next. So a period never is shorter than it says, a
 * later start never ends earlier, and a longer period of the same unit never ends earlier.
 */

#define EMLFS_POLICY_NAME_MAX_BYTES 120u
#define EMLFS_POLICY_QUERY_MAX_BYTES 2048u
#define EMLFS_POLICIES_MAX 64u

#define EMLFS_POLICY_ENABLED 1u
#define EMLFS_POLICY_AUTO_DELETE 2u

enum emlfs_period_unit {
    EMLFS_PERIOD_DAYS = 1,   /* count 1 ... 365242 */
    EMLFS_PERIOD_MONTHS = 2, /* 1 ... 12000 */
    EMLFS_PERIOD_YEARS = 3,  /* 1 ... 1000 */
};
struct emlfs_period {
    uint32_t count;
    enum emlfs_period_unit unit;
};

enum emlfs_policy_start {
    EMLFS_START_ARCHIVED = 1,
    EMLFS_START_RECEIVED = 2,
    EMLFS_START_SENT = 3,
    EMLFS_START_YEAR_END = 4, /* the end of the year of receipt: 1 January 00:00 of the next */
};

struct emlfs_policy {
    uint32_t id;    /* never used again; not 0 */
    uint32_t order; /* the smaller decides first; no two of a set are equal */
    uint32_t flags; /* EMLFS_POLICY_... */
    enum emlfs_policy_start start;
    struct emlfs_period period;
    char name[EMLFS_POLICY_NAME_MAX_BYTES + 1];
    char query[EMLFS_POLICY_QUERY_MAX_BYTES + 1]; /* "": every message */
};

/* At most EMLFS_POLICIES_MAX of them, by ascending order; ids and orders without repetition. */
struct emlfs_policy_set {
    const struct emlfs_policy *v;
    size_t n;
};
/* 0 for a set as described above, whose policies are as described above. EINVAL, E2BIG. */
int emlfs_policy_set_check(const struct emlfs_policy_set *set, struct emlfs_err *err);

#define EMLFS_TIME_ALWAYS INT64_MIN
#define EMLFS_TIME_NEVER INT64_MAX

/*
 * start plus period, as the calendar rules above say. start is taken as 0001-01-01 ... 9999-12-31,
 * and what lies outside as the nearer end.
 */
int64_t emlfs_period_end(int64_t start_sec, struct emlfs_period period);
/* Nanoseconds as seconds, rounded up: a retention never begins early. */
int64_t emlfs_sec_of_ns(int64_t ns);

/*
 * The dates of a message.
 *
 * archived_sec is the archive's own knowledge. received_sec and sent_sec are claims: whoever wrote
 * the message could write anything. floor_sec is the archive's answer to that, fixed when the
 * message came in: the earliest moment from which a claim may count a period. It is archived_sec
 * for everything that arrives by itself, and earlier only where an administrator vouched for the
 * dates of a source (an import of old mail), which is a ledger record.
 *
 * A start rule uses   min(max(claim, floor), archived),   and archived_sec where nothing is
 * claimed. So, for any claim whatever, the earliest date is never before the one that a period
 * counted from floor_sec gives: a forged Date never shortens anything. A claim of the future does
 * not lengthen either: the message was there when it was archived.
 */
struct emlfs_retention_dates {
    int64_t archived_sec;
    int64_t floor_sec; /* taken as archived_sec when later */
    int64_t received_sec, sent_sec;
    bool has_received, has_sent;
};
int64_t emlfs_retention_start(const struct emlfs_retention_dates *dates,
                              enum emlfs_policy_start start);

/* Does the query of policy match the message? 1, 0, or -errno: cannot be told. */
typedef int emlfs_policy_match_fn(void *arg, const struct emlfs_policy *policy);

/*
 * When a message may go (from earliest_sec on) and when it must (from latest_sec on).
 * earliest: the first enabled policy that matches. latest: the date of that policy when it deletes
 * automatically, otherwise of the first lower enabled one that matches and does, and never before
 * earliest. The indexes tell which policies fixed them; set->n: none did.
 */
struct emlfs_retention {
    int64_t earliest_sec; /* EMLFS_TIME_ALWAYS: no policy matches */
    int64_t latest_sec;   /* EMLFS_TIME_NEVER: nothing deletes it automatically */
    size_t earliest_policy, latest_policy;
};
/*
 * match is asked only for enabled policies with a query, and only as far as needed. An error of
 * match is returned, and *ret then says never for both: what cannot be told is kept.
 */
int emlfs_retention_of(const struct emlfs_policy_set *set,
                       const struct emlfs_retention_dates *dates, emlfs_policy_match_fn *match,
                       void *arg, struct emlfs_retention *ret);

/* ---- changing policies */

enum emlfs_retention_mode {
    EMLFS_MODE_GOVERNANCE = 1, /* an administrator may loosen, with a reason */
    EMLFS_MODE_COMPLIANCE = 2, /* one way: nothing that was kept may go earlier */
};

struct emlfs_policy_change {
    enum emlfs_retention_mode mode, new_mode;
    struct emlfs_policy_set from, to;
};
/*
 * May from become to? Proven for every message, whatever its dates and whichever of the queries
 * match it:
 *
 *   - its earliest date does not come nearer, and
 *   - if a policy covered it, its latest date does not come nearer either (never is the farthest).
 *
 * If both hold the change tightens and is allowed in every mode. Otherwise it loosens: allowed in
 * governance (*ret_loosens: a reason must be given), EPERM in compliance, with the pair of policies
 * that shows it in err. Compliance never becomes governance: EPERM. EINVAL, E2BIG: to is no set.
 *
 * Queries are compared as text: two texts that differ are taken as independent. So a change that
 * cannot be seen to be safe is refused, never the other way round.
 */
int emlfs_policy_change_check(const struct emlfs_policy_change *change, bool *ret_loosens,
                              struct emlfs_err *err);

/* ---- master rows: key u32 be id; value in policy_row.c, versioned */

#define EMLFS_POLICY_ROW_MAX_BYTES 4096u
/* Replaces the content of ret_value. EINVAL: not a policy that _decode would take. -ENOMEM. */
int emlfs_policy_encode(const struct emlfs_policy *policy, struct emlfs_buf *ret_value);
/* -EUCLEAN: impossible; -EPROTONOSUPPORT: a newer form. */
int emlfs_policy_decode(struct emlfs_span key, struct emlfs_span value, struct emlfs_policy *ret);

#endif
