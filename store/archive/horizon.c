/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where in the packs a time ends: at the first thing that is later. Times alone would not do: two
 * changes may have one, and a clock that is put back makes times that were there before.
 *
 * I-HORIZON-1  what counts is a beginning of the packs; which one does not change when something is
 *              appended that is later than the time
 * I-HORIZON-2  what shows nothing (settings, rules, clocks, runs of jobs) has no say: a clock that
 *              was wrong for a moment in which nothing was archived is forgotten
 */
#include "emlfs/base/cursor.h"
#include "internal.h"

static int see(struct horizon *horizon, int64_t time_ns)
{
    if (!horizon->begun) {
        horizon->begun = true;
        horizon->first_ns = time_ns;
    }
    horizon->reached = horizon->reached || time_ns > horizon->time_ns;
    return horizon->reached ? 1 : 0;
}

/* Messages of a block have times of their own. */
static int see_block(struct horizon *horizon, struct applied *record)
{
    struct block block;
    int rc = block_decode(record->plain, record->plain.len, &block);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < block.n && rc == 0; i++) {
        rc = see(horizon, block.v[i].archived_ns);
        record->keep += rc == 0;
    }
    block_free(&block);
    return record->keep > 0 ? 0 : rc;
}

static int see_events(struct horizon *horizon, const struct applied *record)
{
    struct emlfs_span events;
    struct events_head head;
    int rc = events_decode(record->plain, &head, &events);

    return rc < 0 ? rc : see(horizon, head.time_ns);
}

/* Of rows only those of folders show. A record that is damaged or newer is what apply says it is.
 */
static int see_rows(struct horizon *horizon, const struct applied *record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record->plain);
    int64_t time_ns;
    bool shows = false;

    (void)emlfs_cursor_u8(&cur);
    time_ns = emlfs_cursor_svarint(&cur);
    while (!cur.bad && emlfs_cursor_left(&cur) > 0) {
        shows = emlfs_cursor_u8(&cur) == EMLFS_MASTER_FOLDER || shows;
        (void)emlfs_cursor_bytes(&cur, 16);
        (void)emlfs_cursor_bytes(&cur, EMLFS_CATALOG_VALUE_MAX_BYTES);
    }
    return shows && !cur.bad ? see(horizon, time_ns) : 0;
}

int horizon_see(struct horizon *horizon, struct applied *record)
{
    record->keep = 0;
    if (horizon->reached)
        return 1;
    switch (record->type) {
    case EMLFS_RECORD_BLOCK:
        return see_block(horizon, record);
    case EMLFS_RECORD_EVENTS:
        return see_events(horizon, record);
    case EMLFS_RECORD_MASTER:
        return see_rows(horizon, record);
    default:
        return 0;
    }
}
