/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Walking the results of a search.
 *
 * R1  A position is the id of a message: going on from it works after any number of messages came
 *     or went, and never shows one twice.
 * R2  Memory is one page of ids and one batch of entries. A page begins small, so that the first
 *     names come at once, and grows, so that a search that is dear to begin is begun seldom.
 */
#include <stdlib.h>

#include "emlfs/feed.h"
#include "view_search.h"

#define PAGE_FIRST 256u
#define PAGE_MAX 16384u
#define PAGE_GROWTH 8u
#define BATCH_MAX 512u /* entries; emlfs_archive_entries_of takes 1024 */

/*
 * ids: what matched below `below` (0: no limit) when the page was made, newest first; every match
 * down to the last of them, or, with whole, every match there is.
 */
struct view_results {
    struct view_search search;
    const atomic_bool *cancel;
    struct emlfs_msg_id *ids; /* page_max */
    unsigned n, page_max;
    struct emlfs_msg_id below;
    bool made, whole;
    struct emlfs_entry *batch; /* BATCH_MAX: the entries of ids[batch_first...] */
    bool loose[BATCH_MAX];
    unsigned batch_first, batch_n;
};

int view_results_new(struct view_search *search, struct view_results **ret)
{
    struct view_results *results = calloc(1, sizeof(*results));

    if (!results)
        return -ENOMEM;
    results->search = *search;
    search->query = NULL;
    *ret = results;
    return 0;
}

void view_results_free(struct view_results *results)
{
    if (!results)
        return;
    view_search_close(&results->search);
    free(results->ids);
    free(results->batch);
    free(results);
}

void view_results_cancel(struct view_results *results, const atomic_bool *cancel)
{
    results->cancel = cancel;
}

static int page_add(void *arg, struct emlfs_msg_id id)
{
    struct view_results *results = arg;

    results->ids[results->n++] = id;
    return results->n == results->page_max ? 1 : 0;
}

static int page_room(struct view_results *results)
{
    unsigned max = results->made ? results->page_max * PAGE_GROWTH : PAGE_FIRST;
    struct emlfs_msg_id *ids;

    if (max > PAGE_MAX)
        max = PAGE_MAX;
    if (max == results->page_max)
        return 0;
    ids = reallocarray(results->ids, max, sizeof(*ids));
    if (!ids)
        return -ENOMEM;
    results->ids = ids;
    results->page_max = max;
    return 0;
}

static int page_make(struct emlfs_view *view, struct view_results *results,
                     struct emlfs_msg_id below, struct emlfs_err *err)
{
    const struct emlfs_search search = {.query = results->search.query,
                                        .user = results->search.user,
                                        .below = below,
                                        .cancel = results->cancel};
    int rc = page_room(results);

    if (rc < 0)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    results->n = results->batch_n = 0;
    results->made = false;
    rc = emlfs_index_search(view->options.index, &search, page_add, results, err);
    if (rc < 0)
        return view_search_errno(rc);
    results->made = true;
    results->whole = rc == 0;
    results->below = below;
    return 0;
}

/* Does the page tell which result follows after, or that none does? */
static bool page_covers(const struct view_results *results, struct emlfs_msg_id after)
{
    if (!results->made || after.v == 0)
        return false;
    if (results->below.v && after.v > results->below.v)
        return false;
    return results->whole || (results->n && results->ids[results->n - 1].v < after.v);
}

/* The first of ids below after, which is n when there is none. */
static unsigned page_find(const struct view_results *results, struct emlfs_msg_id after)
{
    unsigned low = 0, high = results->n;

    while (low < high && after.v) {
        unsigned mid = low + (high - low) / 2;

        if (results->ids[mid].v >= after.v)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Which of the batch show as deletable, asked for one stretch of entries that are there each. */
static void batch_loose(struct emlfs_view *view, struct view_results *results, unsigned n)
{
    struct view_shape shape;
    unsigned first = 0;

    view_shape_of(view, results->search.user, &shape);
    for (unsigned i = 0; i <= n; i++)
        if (i == n || results->batch[i].id.v == 0) {
            view_loose_of(view, &shape, results->batch + first, i - first, results->loose + first);
            first = i + 1;
        }
}

/* The entry of ids[at]; its id is 0 when the message is not filed there any more. */
static int batch_get(struct emlfs_view *view, struct view_results *results, unsigned at,
                     struct view_result *ret, struct emlfs_err *err)
{
    unsigned n = results->n - at;
    int rc;

    if (at < results->batch_first || at - results->batch_first >= results->batch_n) {
        if (!results->batch)
            results->batch = malloc(BATCH_MAX * sizeof(*results->batch));
        if (!results->batch)
            return emlfs_err_set(err, ENOMEM, "view", "out of memory");
        if (n > BATCH_MAX)
            n = BATCH_MAX;
        results->batch_n = 0;
        rc = emlfs_archive_entries_of(view->options.archive, results->search.user,
                                      results->ids + at, n, results->batch, err);
        if (rc < 0)
            return view_errno(rc);
        batch_loose(view, results, n);
        results->batch_first = at;
        results->batch_n = n;
    }
    ret->entry = &results->batch[at - results->batch_first];
    ret->loose = results->loose[at - results->batch_first];
    return 0;
}

int view_results_next(struct emlfs_view *view, struct view_results *results,
                      struct emlfs_msg_id after, struct view_result *ret, struct emlfs_err *err)
{
    int rc;

    for (;;) {
        unsigned at;

        rc = page_covers(results, after) ? 0 : page_make(view, results, after, err);
        if (rc < 0)
            return rc;
        at = page_find(results, after);
        if (at == results->n)
            return -ENOENT;
        rc = batch_get(view, results, at, ret, err);
        if (rc < 0)
            return rc;
        if (ret->entry->id.v)
            return 0;
        after = results->ids[at];
    }
}
