/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known of the index of a store. */
#include <stdio.h>
#include <stdlib.h>

#include "engine.h"

#define MODULE "index"
#define REASONS_SHOWN 16u

static void reason_insert(struct emlfs_index_store_status *ret, const char *reason, uint64_t n)
{
    unsigned at = ret->reasons_n;

    while (at > 0 && ret->reasons[at - 1].n < n)
        at--;
    if (at == REASONS_SHOWN)
        return;
    if (ret->reasons_n < REASONS_SHOWN)
        ret->reasons_n++;
    for (unsigned i = ret->reasons_n - 1; i > at; i--)
        ret->reasons[i] = ret->reasons[i - 1];
    snprintf(ret->reasons[at].reason, sizeof(ret->reasons[at].reason), "%s", reason);
    ret->reasons[at].n = n;
}

static void shelf_status(struct shelf *shelf, uint32_t messages,
                         struct emlfs_index_store_status *ret)
{
    *ret = (struct emlfs_index_store_status){.store_no = shelf->no};
    snprintf(ret->name, sizeof(ret->name), "%s", shelf->name);
    pthread_mutex_lock(&shelf->lock);
    ret->indexed = shelf->live.docs;
    ret->waiting = messages > shelf->live.last_doc ? messages - shelf->live.last_doc : 0;
    ret->problems = shelf->live.problems.total;
    ret->text_bytes = shelf->live.text_bytes;
    ret->segments = shelf->parts_n;
    for (unsigned i = 0; i < shelf->parts_n; i++) {
        struct segment_info info;
        segment_get_info(shelf->parts[i]->segment, &info);
        ret->bytes += info.file_bytes;
    }
    for (unsigned i = 0; i < shelf->live.problems.n; i++)
        reason_insert(ret, shelf->live.problems.v[i].reason, shelf->live.problems.v[i].n);
    pthread_mutex_unlock(&shelf->lock);
}

int emlfs_index_status(struct emlfs_index *index, uint16_t after,
                       struct emlfs_index_store_status *ret, struct emlfs_err *err)
{
    struct emlfs_store_place *place = malloc(sizeof(*place));
    struct shelf *shelf;
    int rc = place ? emlfs_archive_store_next(index->options.archive, after, place, err)
                   : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (rc == 0) {
        *ret = (struct emlfs_index_store_status){.store_no = place->no, .waiting = place->messages};
        snprintf(ret->name, sizeof(ret->name), "%s", place->name);
        for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
            if (shelf->no == place->no)
                shelf_status(shelf, place->messages, ret);
        }
    }
    if (place)
        emlfs_wipe(&place->index_key, sizeof(place->index_key));
    free(place);
    return rc;
}
