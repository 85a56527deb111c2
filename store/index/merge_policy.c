/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When segments are merged: log-structured tiers. A segment's tier is the logarithm of its size; as
 * soon as TIER_SEGMENTS of one tier are the newest, but for smaller ones, they become one with
 * those, which then belongs to the next tier. So a byte is written again about once a tier, and
 * there are few segments to search.
 */
#include "engine.h"

#define TIER_SEGMENTS 6u
#define TIER_FACTOR 6u
#define TIER_BASE_BYTES (16u << 10)
#define TIERS 16u
#define MERGE_MAX 32u /* at a time */

static unsigned tier_of(uint64_t bytes)
{
    unsigned tier = 0;

    for (uint64_t limit = TIER_BASE_BYTES; bytes > limit && tier < TIERS; limit *= TIER_FACTOR)
        tier++;
    return tier;
}

bool merge_choose(const uint64_t *bytes, unsigned n, unsigned *ret_at, unsigned *ret_n)
{
    for (unsigned tier = 0; tier <= TIERS; tier++) {
        unsigned at = n, of_tier = 0;
        while (at > 0 && tier_of(bytes[at - 1]) <= tier)
            of_tier += tier_of(bytes[--at]) == tier;
        if (of_tier < TIER_SEGMENTS)
            continue;
        *ret_at = at;
        *ret_n = n - at < MERGE_MAX ? n - at : MERGE_MAX;
        return true;
    }
    return false;
}
