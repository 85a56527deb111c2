/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The messages that holds name: for each hold its ids, ascending. Read once and then kept up by the
 * one place that adds any, because they may be a million: 8 bytes each, and no more of them than
 * EMLFS_HOLD_MESSAGES_MAX are added.
 *
 *   N1  An id is here before its row is written, and taken out again if that failed: nobody sees
 *       the row in force and the id missing.
 */
#include <stdlib.h>
#include <string.h>

#include "rules_internal.h"

static struct rules_named *named_of(const struct rules_named_set *set, uint32_t hold)
{
    for (size_t i = set->n; i > 0; i--)
        if (set->v[i - 1].hold == hold)
            return &set->v[i - 1];
    return NULL;
}

static struct rules_named *named_make(struct rules_named_set *set, uint32_t hold)
{
    struct rules_named *named = named_of(set, hold);

    if (named)
        return named;
    if (set->n == set->cap) {
        size_t cap = set->cap ? 2 * set->cap : 16;
        struct rules_named *more = reallocarray(set->v, cap, sizeof(*more));
        if (!more)
            return NULL;
        set->v = more;
        set->cap = cap;
    }
    named = &set->v[set->n++];
    *named = (struct rules_named){.hold = hold};
    return named;
}

/* Where id is, or belongs. */
static size_t named_seek(const struct rules_named *named, uint64_t id)
{
    size_t low = 0;
    size_t high = named->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (named->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int set_add(struct rules_named_set *set, uint32_t hold, uint64_t id)
{
    struct rules_named *named = named_make(set, hold);

    if (!named)
        return -ENOMEM;
    size_t at = named_seek(named, id);
    if (at < named->n && named->ids[at] == id)
        return 1;
    if (named->n == named->cap) {
        size_t cap = named->cap ? 2 * named->cap : 16;
        uint64_t *more = reallocarray(named->ids, cap, sizeof(*more));
        if (!more)
            return -ENOMEM;
        named->ids = more;
        named->cap = cap;
    }
    memmove(named->ids + at + 1, named->ids + at, (named->n - at) * sizeof(*named->ids));
    named->ids[at] = id;
    named->n++;
    set->total++;
    return 0;
}

static int row_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct emlfs_hold_message message;

    int r = emlfs_hold_message_decode(key, value, &message);
    if (r == 0)
        r = set_add(arg, message.hold, message.id.v);
    return r < 0 ? r : 0;
}

int rules_named_load(struct emlfs_rules *rules, struct emlfs_err *err)
{
    struct emlfs_err inner = {0};

    int r = emlfs_archive_master_walk(rules->options.archive, EMLFS_MASTER_HOLD_MESSAGE, row_take,
                                      &rules->named, &inner);
    if (r < 0 && inner.code == 0)
        return emlfs_err_sys(err, -r, "policy", "a row of the rules (message of a hold)");
    if (r < 0 && err)
        *err = inner;
    return r;
}

void rules_named_free(struct rules_named_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        free(set->v[i].ids);
    free(set->v);
    *set = (struct rules_named_set){0};
}

bool rules_named_has(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id)
{
    bool has = false;

    pthread_mutex_lock(&rules->lock);
    const struct rules_named *named = named_of(&rules->named, hold);
    if (named) {
        size_t at = named_seek(named, id.v);
        has = at < named->n && named->ids[at] == id.v;
    }
    pthread_mutex_unlock(&rules->lock);
    return has;
}

int rules_named_add(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id)
{
    pthread_mutex_lock(&rules->lock);
    int r =
        rules->named.total >= EMLFS_HOLD_MESSAGES_MAX ? -E2BIG : set_add(&rules->named, hold, id.v);
    pthread_mutex_unlock(&rules->lock);
    return r;
}

void rules_named_drop(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id)
{
    pthread_mutex_lock(&rules->lock);
    struct rules_named *named = named_of(&rules->named, hold);
    size_t at = named ? named_seek(named, id.v) : 0;
    if (named && at < named->n && named->ids[at] == id.v) {
        memmove(named->ids + at, named->ids + at + 1, (named->n - at - 1) * sizeof(*named->ids));
        named->n--;
        rules->named.total--;
    }
    pthread_mutex_unlock(&rules->lock);
}

unsigned rules_named_after(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id after,
                           struct emlfs_msg_id *ret, unsigned max)
{
    unsigned n = 0;

    pthread_mutex_lock(&rules->lock);
    const struct rules_named *named = named_of(&rules->named, hold);
    if (named)
        for (size_t at = named_seek(named, after.v + 1); at < named->n && n < max; at++)
            ret[n++].v = named->ids[at];
    pthread_mutex_unlock(&rules->lock);
    return n;
}
