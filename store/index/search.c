/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searching: stores and segments, the newest first, each on a snapshot. No lock is held meanwhile.
 */
#include "search.h"

#include <stdlib.h>

#define MODULE "index"

/* Messages of the store within the limits of the search; false: none. */
static bool limits_of(const struct emlfs_search *search, uint16_t no, uint32_t *ret_low,
                      uint32_t *ret_high)
{
    uint64_t first = emlfs_msg_id_make(no, 1).v, last = emlfs_msg_id_make(no, UINT32_MAX).v;

    if (search->above.v >= last || (search->below.v && search->below.v <= first))
        return false;
    *ret_low = search->above.v >= first ? (uint32_t)(search->above.v + 1) : 1;
    *ret_high =
        search->below.v && search->below.v <= last ? (uint32_t)(search->below.v - 1) : UINT32_MAX;
    return *ret_low <= *ret_high;
}

struct limits {
    uint32_t low, high;
};

static int search_parts(const struct plan *plan, struct shelf *shelf,
                        const struct snapshot *snapshot, const struct limits *limits,
                        const struct hits *hits, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = snapshot->n; rc == 0 && i > 0; i--) {
        struct view view = {
            .shelf = shelf, .snapshot = snapshot, .at = i - 1, .cancel = plan->search->cancel};
        struct segment_info info;
        segment_get_info(snapshot->v[i - 1]->segment, &info);
        view.first = info.first_doc;
        view.last = info.last_doc;
        view.low = limits->low > info.first_doc ? limits->low : info.first_doc;
        view.high = limits->high < info.last_doc ? limits->high : info.last_doc;
        if (info.docs > 0 && view.low <= view.high)
            rc = view_cancelled(&view) ? -ECANCELED : match_run(plan, &view, hits, err);
    }
    return rc;
}

static int search_shelf(const struct plan *plan, struct shelf *shelf, const struct hits *hits,
                        struct emlfs_err *err)
{
    struct emlfs_err why = {0};
    struct snapshot *snapshot = NULL;
    struct limits limits;
    uint64_t drops;
    int rc;

    if (!plan_takes_store(plan, shelf) ||
        !limits_of(plan->search, shelf->no, &limits.low, &limits.high))
        return 0;
    rc = shelf_snapshot(shelf, &snapshot);
    if (rc < 0)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    rc = search_parts(plan, shelf, snapshot, &limits, hits, &why);
    drops = snapshot->drops;
    snapshot_free(snapshot);
    if (errno_is_damage(rc) && why.code)
        shelf_damage(shelf, drops, &why);
    if (rc < 0 && err)
        *err = why;
    return rc;
}

int emlfs_index_search(struct emlfs_index *index, const struct emlfs_search *search,
                       int (*each)(void *arg, struct emlfs_msg_id id), void *arg,
                       struct emlfs_err *err)
{
    const struct hits hits = {.each = each, .arg = arg};
    struct plan *plan = calloc(1, sizeof(*plan));
    unsigned n = 0;
    int rc = plan ? plan_make(index, search, plan, err)
                  : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (rc == 0) {
        while (index_shelf(index, n))
            n++;
        for (unsigned i = n; rc == 0 && !plan->nothing && i > 0; i--)
            rc = search_shelf(plan, index_shelf(index, i - 1), &hits, err);
        plan_free(plan);
    }
    free(plan);
    return rc == -ECANCELED ? emlfs_err_set(err, ECANCELED, MODULE, "cancelled") : rc;
}

static int hit_count(void *arg, struct emlfs_msg_id id)
{
    uint64_t *n = arg;

    (void)id;
    ++*n;
    return 0;
}

int emlfs_index_count(struct emlfs_index *index, const struct emlfs_search *search, uint64_t *ret_n,
                      struct emlfs_err *err)
{
    *ret_n = 0;
    return emlfs_index_search(index, search, hit_count, ret_n, err);
}
