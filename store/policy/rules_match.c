/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A page of entries of one user archive, under all policies and holds. What a query says of the
 * whole page is asked once, when first needed, and kept with the page.
 *
 *   M1  What cannot be told, for whatever reason, is kept: never deleted, and held.
 */
#include <stdlib.h>

#include "emlfs/importer.h"
#include "emlfs/message.h"
#include "rules_internal.h"

/* Where entries lie farther apart than this, in messages each, they are asked one by one. */
#define SPREAD_MAX 256u

void rules_page_open(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                     const struct emlfs_entry *entries, unsigned n, struct rules_page *ret)
{
    *ret = (struct rules_page){.rules = rules, .snapshot = snapshot, .entries = entries, .n = n};
    if (n > 0)
        ret->user = entries[0].user;
}

void rules_page_close(struct rules_page *page)
{
    if (!page->answers)
        return;
    for (size_t i = 0; i < page->snapshot->policies_n + page->snapshot->holds_n; i++)
        free(page->answers[i]);
    free(page->answers);
    page->answers = NULL;
}

/* ---- dates */

/* What the message claims, where somebody vouched for it. */
static void claims_of(const struct emlfs_facts *facts, struct emlfs_retention_dates *dates)
{
    dates->has_received = facts->has_received;
    dates->received_sec = facts->received_sec;
    dates->has_sent = facts->has_sent;
    dates->sent_sec = facts->sent_sec;
}

static int claims_read(struct emlfs_archive *archive, struct emlfs_msg_id id,
                       struct emlfs_retention_dates *dates)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_msg_info info;
    struct emlfs_facts facts;

    int r = emlfs_archive_msg_info(archive, id, &info, &bytes, NULL);
    if (r == 0)
        r = emlfs_facts_decode(emlfs_buf_view(&bytes), &facts, NULL);
    if (r == 0)
        claims_of(&facts, dates);
    return r;
}

static int dates_of(const struct rules_page *page, const struct emlfs_entry *entry,
                    struct emlfs_retention_dates *ret)
{
    const int64_t archived_sec = emlfs_sec_of_ns(entry->ctime_ns);

    *ret = (struct emlfs_retention_dates){.archived_sec = archived_sec, .floor_sec = archived_sec};
    if (!(entry->flags & EMLFS_ENTRY_VOUCHED) || !page->snapshot->any_claim)
        return 0; /* a claim could move nothing */
    ret->floor_sec = INT64_MIN;
    return claims_read(page->rules->options.archive, entry->id, ret);
}

/* ---- queries */

/* 0 false; 1 true; else what an answer of a search in ascending order of entries is made from. */
struct marks {
    const struct rules_page *page;
    int *answers;
    unsigned left; /* entries not passed yet; hits come newest first */
};

static int mark(void *arg, struct emlfs_msg_id id)
{
    struct marks *marks = arg;

    while (marks->left > 0 && marks->page->entries[marks->left - 1].id.v > id.v)
        marks->left--;
    if (marks->left > 0 && marks->page->entries[marks->left - 1].id.v == id.v &&
        marks->answers[marks->left - 1] == 0)
        marks->answers[marks->left - 1] = 1;
    return 0;
}

static bool page_is_narrow(const struct rules_page *page)
{
    const struct emlfs_entry *entries = page->entries;

    for (unsigned i = 1; i < page->n; i++)
        if (entries[i].id.v <= entries[i - 1].id.v)
            return false;
    return page->n > 1 &&
           entries[page->n - 1].id.v - entries[0].id.v < (uint64_t)SPREAD_MAX * page->n;
}

/* All at once. What was not known when the search began cannot be told. */
static void answer_search(const struct rules_page *page, const struct emlfs_query *query,
                          int *answers)
{
    struct emlfs_index *index = page->rules->options.index;
    const struct emlfs_msg_id last = page->entries[page->n - 1].id;
    const struct emlfs_search search = {.query = query,
                                        .user = page->user,
                                        .above = {page->entries[0].id.v - 1},
                                        .below = {last.v + 1}};
    struct marks marks = {.page = page, .answers = answers, .left = page->n};

    for (unsigned i = 0; i < page->n; i++)
        answers[i] = emlfs_index_knows(index, page->entries[i].id) ? 0 : -EAGAIN;
    int r = emlfs_index_search(index, &search, mark, &marks, NULL);
    if (r == 0 && answers[page->n - 1] >= 0 && !emlfs_index_knows(index, last))
        r = -EAGAIN; /* it was dropped meanwhile */
    for (unsigned i = 0; r < 0 && i < page->n; i++)
        answers[i] = r;
}

static void answer_singly(const struct rules_page *page, const struct emlfs_query *query,
                          int *answers)
{
    for (unsigned i = 0; i < page->n; i++)
        answers[i] = emlfs_index_matches(page->rules->options.index, query, page->user,
                                         page->entries[i].id, NULL);
}

static int answer_of(struct rules_page *page, const struct emlfs_query *query, size_t slot)
{
    size_t queries = page->snapshot->policies_n + page->snapshot->holds_n;

    if (!page->rules->options.index || !query)
        return -EAGAIN;
    if (!page->answers)
        page->answers = calloc(queries, sizeof(*page->answers));
    if (!page->answers)
        return -ENOMEM;
    if (!page->answers[slot]) {
        int *answers = calloc(page->n, sizeof(*answers));
        if (!answers)
            return -ENOMEM;
        if (page_is_narrow(page))
            answer_search(page, query, answers);
        else
            answer_singly(page, query, answers);
        page->answers[slot] = answers;
    }
    return page->answers[slot][page->at];
}

static int policy_match(void *arg, const struct emlfs_policy *policy)
{
    struct rules_page *page = arg;
    size_t at = (size_t)(policy - page->snapshot->policies);

    return answer_of(page, page->snapshot->policy_queries[at], at);
}

static int hold_match(void *arg, const struct emlfs_hold *hold)
{
    struct rules_page *page = arg;
    size_t at = (size_t)(hold - page->snapshot->holds);

    if (hold->scope == EMLFS_HOLD_MESSAGES)
        return rules_named_has(page->rules, hold->id, page->entries[page->at].id);
    return answer_of(page, page->snapshot->hold_queries[at], page->snapshot->policies_n + at);
}

void rules_page_retention(struct rules_page *page, unsigned at, struct emlfs_retention *ret)
{
    const struct emlfs_policy_set set = rules_policy_set(page->snapshot);
    struct emlfs_retention_dates dates;

    page->at = at;
    *ret = (struct emlfs_retention){EMLFS_TIME_NEVER, EMLFS_TIME_NEVER, set.n, set.n};
    if (dates_of(page, &page->entries[at], &dates) == 0)
        (void)emlfs_retention_of(&set, &dates, policy_match, page, ret); /* M1: R4 */
}

void rules_page_held(struct rules_page *page, unsigned at, struct emlfs_held *ret)
{
    const struct emlfs_hold_set set = rules_hold_set(page->snapshot);

    page->at = at;
    *ret = (struct emlfs_held){0};
    if (page->snapshot->any_hold)
        (void)emlfs_hold_of(&set, hold_match, page, ret); /* M1: H2 */
}
