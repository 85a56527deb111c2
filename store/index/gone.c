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

struct asking {
    struct shelf *shelf;
    struct docset *gone;
    uint32_t n;
};

static int out_ask(void *arg, uint32_t doc)
{
    struct asking *asking = arg;
    struct emlfs_archive *archive = asking->shelf->index->options.archive;
    struct emlfs_filing filing;
    unsigned n;

    if (doc < asking->gone->low || doc > asking->gone->high || docset_has(asking->gone, doc))
        return 0;
    if (emlfs_archive_filings(archive, emlfs_msg_id_make(asking->shelf->no, doc), &filing, 1, &n,
                              NULL) == -ENOENT) {
        docset_put(asking->gone, doc, true);
        asking->n++;
    }
    return 0;
}

int gone_find(struct shelf *shelf, uint32_t low, uint32_t high, struct docset *ret,
              struct emlfs_err *err)
{
    struct asking asking = {.shelf = shelf, .gone = ret};
    struct snapshot *snapshot = NULL;
    int rc = docset_new(low, high, ret);

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
