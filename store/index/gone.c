/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Documents whose message is gone for good: merging leaves them out.
 *
 * I-GONE-1  only those are looked at that a consumed change took out of a user archive: so an index
 *           that is newer than its store after a crash is known by its change, and made again
 * I-GONE-2  gone is what has no entry anywhere in the archive; of a store that is not shown nothing
 *           is
 */
#include "emlfs/stores.h"
#include "search.h"

bool message_is_gone(struct emlfs_archive *archive, struct emlfs_msg_id id)
{
    struct emlfs_filing filing;
    unsigned n;

    return emlfs_archive_filings(archive, id, &filing, 1, &n, NULL) == -ENOENT;
}

struct asking {
    struct shelf *shelf;
    struct docset *gone;
    uint32_t n;
};

static int out_ask(void *arg, uint32_t doc)
{
    struct asking *asking = arg;
    struct emlfs_msg_id id = emlfs_msg_id_make(asking->shelf->no, doc);

    if (doc < asking->gone->low || doc > asking->gone->high || docset_has(asking->gone, doc))
        return 0;
    if (message_is_gone(asking->shelf->index->options.archive, id)) {
        docset_put(asking->gone, doc, true);
        asking->n++;
    }
    return 0;
}

int gone_find(struct shelf *shelf, struct segment *const *segments, unsigned n, struct docset *ret,
              struct emlfs_err *err)
{
    struct asking asking = {.shelf = shelf, .gone = ret};
    struct segment_range range = SEGMENT_RANGE_NONE;
    struct snapshot *snapshot = NULL;
    int rc;

    for (unsigned i = 0; i < n; i++) {
        struct segment_info info;
        segment_get_info(segments[i], &info);
        segment_range_add(&range, &info);
    }
    if (range.last < range.first)
        return 0;
    rc = docset_new(range.first, range.last, ret);
    if (rc == 0)
        rc = shelf_snapshot(shelf, &snapshot);
    if (rc < 0)
        emlfs_err_set(err, ENOMEM, "index", "out of memory");
    for (unsigned i = 0; rc == 0 && i < snapshot->n; i++)
        rc = segment_outs(snapshot->v[i]->segment, out_ask, &asking, err);
    snapshot_free(snapshot);
    /* Of one that was hidden meanwhile everything seemed gone. */
    if (rc < 0 || asking.n == 0 ||
        !emlfs_archive_store_shown(shelf->index->options.archive, shelf->no))
        docset_free(ret);
    return rc;
}

bool gone_not(void *arg, uint32_t doc)
{
    return !docset_has(arg, doc);
}
