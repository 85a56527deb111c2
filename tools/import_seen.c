/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "import.h"

#include <stdlib.h>

#define SEEN_FIRST 4096u

static size_t seen_slot(const uint64_t *slots, size_t cap, uint64_t value)
{
    size_t at = (size_t)value & (cap - 1);

    while (slots[at] && slots[at] != value)
        at = (at + 1) & (cap - 1);
    return at;
}

static int seen_grow(struct seen *seen)
{
    size_t cap = seen->cap ? seen->cap * 2 : SEEN_FIRST;
    uint64_t *slots = calloc(cap, sizeof(*slots));

    if (!slots)
        return -ENOMEM;
    for (size_t i = 0; i < seen->cap; i++)
        if (seen->slots[i])
            slots[seen_slot(slots, cap, seen->slots[i])] = seen->slots[i];
    free(seen->slots);
    seen->slots = slots;
    seen->cap = cap;
    return 0;
}

int seen_add(struct seen *seen, struct emlfs_span raw, bool *ret_before)
{
    struct emlfs_hash hash;
    uint64_t value;
    int r = seen->n * 2 >= seen->cap ? seen_grow(seen) : 0;

    if (r == 0)
        r = emlfs_sha256(raw, &hash);
    if (r < 0)
        return r;
    memcpy(&value, hash.v, sizeof(value));
    value = value ? value : 1;

    size_t at = seen_slot(seen->slots, seen->cap, value);

    *ret_before = seen->slots[at] != 0;
    if (!*ret_before) {
        seen->slots[at] = value;
        seen->n++;
    }
    return 0;
}

void seen_free(struct seen *seen)
{
    free(seen->slots);
    *seen = (struct seen){0};
}
