/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "search.h"

int docset_new(uint32_t low, uint32_t high, struct docset *ret)
{
    *ret = (struct docset){.low = low, .high = high};
    ret->blob = blob_new((size_t)(high - low) / 64 + 1);
    ret->bits = ret->blob ? ret->blob->v : NULL;
    return ret->blob ? 0 : -ENOMEM;
}

void docset_free(struct docset *set)
{
    blob_unref(set->blob);
    *set = (struct docset){0};
}

uint32_t docset_seek(const struct docset *set, uint32_t doc)
{
    size_t word;
    uint64_t bits;

    if (doc < set->low)
        return 0;
    doc = doc > set->high ? set->high : doc;
    word = (doc - set->low) / 64;
    bits = set->bits[word] << (63 - (doc - set->low) % 64);
    if (bits)
        return doc - (uint32_t)__builtin_clzll(bits);
    while (word-- > 0) {
        if (set->bits[word])
            return set->low + (uint32_t)(word * 64) + 63 -
                   (uint32_t)__builtin_clzll(set->bits[word]);
    }
    return 0;
}

void docset_or(struct docset *to, const struct docset *from)
{
    for (size_t i = 0; i <= (size_t)(to->high - to->low) / 64; i++)
        to->bits[i] |= from->bits[i];
}
