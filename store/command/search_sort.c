/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The first max of many keys: twice as many are kept, sorted and cut whenever they are full. */
#include "search.h"

#include <stdlib.h>

struct search_sort {
    size_t max, n, cap;
    struct search_key *v;
    bool overflowed;
};

/* Of equals the newer message comes first. */
static int key_compare(const void *a, const void *b)
{
    const struct search_key *x = a, *y = b;
    int order = strcmp(x->text ? x->text : "", y->text ? y->text : "");

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    if (order != 0)
        return order;
    return x->id.v > y->id.v ? -1 : x->id.v < y->id.v;
}

static void sort_cut(struct search_sort *sort)
{
    qsort(sort->v, sort->n, sizeof(*sort->v), key_compare);
    while (sort->n > sort->max) {
        sort->overflowed = true;
        free(sort->v[--sort->n].text);
    }
}

int search_sort_new(size_t max, struct search_sort **ret)
{
    struct search_sort *sort = calloc(1, sizeof(*sort));

    if (!sort)
        return -ENOMEM;
    sort->max = max;
    *ret = sort;
    return 0;
}

void search_sort_free(struct search_sort *sort)
{
    if (!sort)
        return;
    for (size_t i = 0; i < sort->n; i++)
        free(sort->v[i].text);
    free(sort->v);
    free(sort);
}

static int sort_room(struct search_sort *sort)
{
    size_t cap = sort->cap ? 2 * sort->cap : 256;
    struct search_key *grown;

    if (sort->n >= 2 * sort->max)
        sort_cut(sort);
    if (sort->n < sort->cap)
        return 0;
    grown = reallocarray(sort->v, cap, sizeof(*grown));
    if (!grown)
        return -ENOMEM;
    sort->v = grown;
    sort->cap = cap;
    return 0;
}

int search_sort_add(struct search_sort *sort, struct search_key *key)
{
    int r = sort_room(sort);

    if (r < 0) {
        free(key->text);
        key->text = NULL;
        return r;
    }
    sort->v[sort->n++] = *key;
    key->text = NULL;
    return 0;
}

bool search_sort_overflowed(const struct search_sort *sort)
{
    return sort->overflowed || sort->n > sort->max;
}

size_t search_sort_result(struct search_sort *sort, const struct search_key **ret)
{
    if (sort->n > 0)
        sort_cut(sort);
    *ret = sort->v;
    return sort->n;
}
