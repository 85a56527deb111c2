/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Envelopes of messages out of the segments that hold them. Whatever is wrong leaves one empty:
 * then the message itself is asked, and damage is told to whoever follows.
 */
#include "engine.h"

/* Where the last one came from: neighbours are mostly in the same segment. */
struct place {
    struct shelf *shelf;
    struct snapshot *snapshot;
    struct segment_info info;
    struct attr_reader *reader; /* of the segment info is about */
};

static void segment_leave(struct place *place)
{
    attr_reader_free(place->reader);
    place->reader = NULL;
}

static void shelf_leave(struct place *place)
{
    segment_leave(place);
    snapshot_free(place->snapshot);
    place->snapshot = NULL;
    place->shelf = NULL;
}

static bool shelf_enter(struct place *place, struct emlfs_index *index, struct emlfs_msg_id id)
{
    if (place->shelf && place->shelf->no == emlfs_msg_id_store(id))
        return true;
    shelf_leave(place);
    place->shelf = index_shelf_of(index, id);
    if (place->shelf && shelf_snapshot(place->shelf, &place->snapshot) == 0)
        return true;
    place->shelf = NULL;
    return false;
}

static bool covers(const struct segment_info *info, uint32_t doc)
{
    return info->docs > 0 && doc >= info->first_doc && doc <= info->last_doc;
}

static bool segment_enter(struct place *place, uint32_t doc)
{
    if (place->reader && covers(&place->info, doc))
        return true;
    segment_leave(place);
    for (unsigned i = place->snapshot->n; i > 0; i--) {
        struct segment *segment = place->snapshot->v[i - 1]->segment;
        segment_get_info(segment, &place->info);
        if (covers(&place->info, doc))
            return attr_reader_new(segment, &place->reader) == 0;
    }
    return false;
}

static void envelope_get(struct place *place, uint32_t doc, struct emlfs_buf *ret)
{
    struct emlfs_err why = {0};
    int rc = attr_reader_envelope(place->reader, doc, ret, &why);

    if (rc == 0)
        return;
    emlfs_buf_clear(ret);
    if (errno_is_damage(rc))
        shelf_damage(place->shelf, place->snapshot->drops, &why);
}

void emlfs_index_envelopes(struct emlfs_index *index, const struct emlfs_msg_id *ids, unsigned n,
                           struct emlfs_buf *ret)
{
    struct place place = {0};

    for (unsigned i = 0; i < n; i++) {
        uint32_t doc = emlfs_msg_id_number(ids[i]);
        emlfs_buf_clear(&ret[i]);
        if (shelf_enter(&place, index, ids[i]) && segment_enter(&place, doc))
            envelope_get(&place, doc, &ret[i]);
    }
    shelf_leave(&place);
}
