/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whether the text of a query may stand in a rule. */
#include "rules_internal.h"

bool rules_day_is_relative(const struct emlfs_query_day *day)
{
    return day->kind != EMLFS_DAY_OPEN && day->kind != EMLFS_DAY_FIXED;
}

int rules_query_check(const char *text, rules_term_fn *each, struct emlfs_err *err)
{
    struct emlfs_query_mistake mistake = {0};
    struct emlfs_query *query = NULL;

    int r = emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, &mistake);
    if (r == -EINVAL)
        return emlfs_err_set(err, EINVAL, "policy", "the query, at byte %u: %s", mistake.at,
                             mistake.text);
    if (r < 0)
        return emlfs_err_set(err, r == -ENOMEM ? ENOMEM : EINVAL, "policy",
                             r == -ENOMEM ? "out of memory" : "the query is too long");
    if (query->terms_n == 0)
        r = emlfs_err_set(err, EINVAL, "policy", "the query says nothing");
    for (unsigned i = 0; r == 0 && i < query->terms_n; i++)
        r = each(&query->terms[i], err);
    emlfs_query_free(query);
    return r;
}
