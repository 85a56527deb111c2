/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Holds.
 *
 *   H1  A message is held if one hold in force covers it; a hold covers or not by itself.
 *   H2  What cannot be told is held.
 *   H3  in force -> released is the only change, and released is for ever.
 */
#include "emlfs/hold.h"

#include "hold_internal.h"
#include "policy_internal.h"

int emlfs_hold_of(const struct emlfs_hold_set *set, emlfs_hold_match_fn *match, void *arg,
                  struct emlfs_held *ret)
{
    int failed = 0;

    *ret = (struct emlfs_held){0};
    for (size_t i = 0; i < set->n; i++) {
        const struct emlfs_hold *hold = &set->v[i];
        if (hold->released)
            continue;
        int r = hold->scope == EMLFS_HOLD_ALL ? 1 : match(arg, hold);
        if (r < 0)
            failed = r;
        if (r <= 0)
            continue;
        if (ret->n < EMLFS_HELD_NAMED_MAX)
            ret->first[ret->n] = i;
        ret->n++;
    }
    ret->held = ret->n > 0 || failed < 0; /* H2 */
    return failed;
}

bool emlfs_hold_ok(const struct emlfs_hold *hold)
{
    bool texts = emlfs_row_text_ok(hold->name, sizeof(hold->name), false) &&
                 emlfs_row_text_ok(hold->query, sizeof(hold->query), true) &&
                 emlfs_row_text_ok(hold->placed_by, sizeof(hold->placed_by), false) &&
                 emlfs_row_text_ok(hold->reason, sizeof(hold->reason), true) &&
                 emlfs_row_text_ok(hold->released_by, sizeof(hold->released_by), !hold->released) &&
                 emlfs_row_text_ok(hold->release_reason, sizeof(hold->release_reason), true);

    if (!texts || hold->id == 0 || hold->scope < EMLFS_HOLD_MESSAGES ||
        hold->scope > EMLFS_HOLD_ALL)
        return false;
    if ((hold->scope == EMLFS_HOLD_QUERY) != (hold->query[0] != 0))
        return false;
    if (!hold->released)
        return hold->released_ns == 0 && !hold->released_by[0] && !hold->release_reason[0];
    return hold->released_ns >= hold->placed_ns;
}

static bool same_but_release(const struct emlfs_hold *a, const struct emlfs_hold *b)
{
    return a->id == b->id && a->scope == b->scope && a->placed_ns == b->placed_ns &&
           strcmp(a->name, b->name) == 0 && strcmp(a->query, b->query) == 0 &&
           strcmp(a->placed_by, b->placed_by) == 0 && strcmp(a->reason, b->reason) == 0;
}

static int placing_check(const struct emlfs_hold *hold, const struct emlfs_hold_set *others,
                         struct emlfs_err *err)
{
    if (hold->released)
        return emlfs_err_set(err, EINVAL, "policy", "a hold begins in force");
    for (size_t i = 0; i < others->n; i++) {
        const struct emlfs_hold *other = &others->v[i];
        if (other->id == hold->id)
            return emlfs_err_set(err, EEXIST, "policy", "hold number %u was used before", hold->id);
        if (!other->released && strcmp(other->name, hold->name) == 0)
            return emlfs_err_set(err, EEXIST, "policy", "a hold \"%s\" is in force", hold->name);
    }
    return 0;
}

int emlfs_hold_change_check(const struct emlfs_hold *before, const struct emlfs_hold *after,
                            const struct emlfs_hold_set *others, struct emlfs_err *err)
{
    if (!emlfs_hold_ok(after))
        return emlfs_err_set(err, EINVAL, "policy", "an impossible hold");
    if (!before)
        return placing_check(after, others, err);
    if (before->released)
        return emlfs_err_set(err, EPERM, "policy", "hold \"%s\" was released, and its record stays",
                             before->name);
    if (!after->released || !same_but_release(before, after))
        return emlfs_err_set(err, EPERM, "policy", "hold \"%s\" can only be released",
                             before->name);
    return 0;
}
