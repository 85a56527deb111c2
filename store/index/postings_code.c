/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "postings_code.h"

#include <errno.h>

/*
 * Responsible for the bits of postings, not for where they lie. Invariants (store/FORMAT.md):
 * S-RUN-1 distances in a run strictly ascend; S-RUN-2 a document's mask is never 0;
 * S-RUN-3 positions of a document strictly ascend and fit 32 bits; S-RUN-4 what is left of the last
 * byte is 0 and nothing follows it.
 */

enum mask_mode { MASKS_BODY = 0, MASKS_SAME = 1, MASKS_MIXED = 2 };

static uint64_t k_cost(const uint32_t *values, size_t n, unsigned k)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < n; i++)
        bits += rice_bits(values[i], k);
    return bits;
}

/* The best parameter lies near log2 of the mean; from there downhill. */
static unsigned k_choose(const uint32_t *values, size_t n)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    const uint64_t mean = n ? sum / n : 0;
    unsigned k = mean ? 63u - (unsigned)__builtin_clzll(mean) : 0;
    k = k > BITS_K_MAX ? BITS_K_MAX : k;
    uint64_t best = k_cost(values, n, k);
    while (k > 0) {
        const uint64_t cost = k_cost(values, n, k - 1);
        if (cost >= best)
            break;
        best = cost;
        k--;
    }
    if (k < BITS_K_MAX && k_cost(values, n, k + 1) < best)
        k++;
    return k;
}

static int run_reserve(struct emlfs_buf *out, size_t codes, struct bit_writer *ret)
{
    /* Head codes and what the last store writes behind the end are in the constant. */
    int r = emlfs_buf_reserve(out, codes * (BITS_CODE_MAX / 8) + 64);
    *ret = (struct bit_writer){.pos = r < 0 ? NULL : out->data + out->len};
    return r;
}

static int run_end(struct bit_reader *bits)
{
    const size_t left = bits->len * 8 - bits->pos;
    if (!bits_ok(bits) || left >= 8 || (left > 0 && bits_get(bits, (unsigned)left) != 0))
        return -EUCLEAN;
    return 0;
}

/* ---- masks */

/* The two commonest masks of the run; the second is 0 when all are the same. */
static void masks_rank(const struct docs_run *run, uint8_t ret_common[2])
{
    uint8_t count[256] = {0};
    ret_common[0] = run->mask[0];
    ret_common[1] = 0;
    for (unsigned i = 0; i < run->n; i++)
        count[run->mask[i]]++;
    for (unsigned i = 0; i < run->n; i++) {
        const uint8_t mask = run->mask[i];
        if (count[mask] > count[ret_common[0]])
            ret_common[0] = mask;
    }
    for (unsigned i = 0; i < run->n; i++) {
        const uint8_t mask = run->mask[i];
        if (mask != ret_common[0] && (!ret_common[1] || count[mask] > count[ret_common[1]]))
            ret_common[1] = mask;
    }
}

static void masks_put(struct bit_writer *bits, const struct docs_run *run)
{
    uint8_t common[2];
    masks_rank(run, common);
    if (!common[1]) {
        bits_put(bits, common[0] == MASK_BODY ? MASKS_BODY : MASKS_SAME, 2);
        if (common[0] != MASK_BODY)
            bits_put(bits, common[0], 8);
        return;
    }
    bits_put(bits, MASKS_MIXED | (unsigned)common[0] << 2 | (unsigned)common[1] << 10, 18);
    for (unsigned i = 0; i < run->n; i++) {
        if (run->mask[i] == common[0])
            bits_put(bits, 0, 1);
        else if (run->mask[i] == common[1])
            bits_put(bits, 1, 2);
        else
            bits_put(bits, 3u | (unsigned)run->mask[i] << 2, 10);
    }
}

static uint8_t mask_get(struct bit_reader *bits, const uint8_t common[2])
{
    if (!bits_get(bits, 1))
        return common[0];
    return bits_get(bits, 1) ? (uint8_t)bits_get(bits, 8) : common[1];
}

static int masks_get(struct bit_reader *bits, struct docs_run *run)
{
    uint8_t common[2] = {MASK_BODY, 0};
    const unsigned mode = bits_get(bits, 2);
    if (mode > MASKS_MIXED)
        return -EUCLEAN;
    if (mode != MASKS_BODY)
        common[0] = (uint8_t)bits_get(bits, 8);
    if (mode == MASKS_MIXED)
        common[1] = (uint8_t)bits_get(bits, 8);
    bool empty = false;
    for (unsigned i = 0; i < run->n; i++) {
        run->mask[i] = mode == MASKS_MIXED ? mask_get(bits, common) : common[0];
        empty = empty || run->mask[i] == 0;
    }
    return empty ? -EUCLEAN : run_end(bits);
}

/* ---- documents */

int docs_encode(struct emlfs_buf *out, uint32_t base, const struct docs_run *run)
{
    uint32_t values[POSTINGS_RUN];
    struct bit_writer bits;
    for (unsigned i = 0; i < run->n; i++) {
        values[i] = run->far[i] - base;
        base = run->far[i] + 1;
    }
    int r = run_reserve(out, 2 * (size_t)run->n, &bits);
    if (r < 0)
        return r;
    const unsigned k = k_choose(values, run->n);
    bits_put(&bits, k, 5);
    for (unsigned i = 0; i < run->n; i++)
        rice_put(&bits, values[i], k);
    masks_put(&bits, run);
    out->len = (size_t)(bits_end(&bits) - out->data);
    return 0;
}

static int fars_get(struct bit_reader *bits, uint32_t base, uint32_t limit, struct docs_run *run)
{
    const unsigned k = bits_get(bits, 5);
    uint64_t next = base;
    for (unsigned i = 0; i < run->n; i++) {
        next += rice_get(bits, k);
        run->far[i] = (uint32_t)next;
        next++;
    }
    /* next cannot wrap: 128 steps of at most 2^32 each. It only grew, so its end tells. */
    return !bits_ok(bits) || next > (uint64_t)limit + 1 ? -EUCLEAN : 0;
}

int docs_decode(struct emlfs_span bytes, uint32_t base, uint32_t limit, struct docs_run *run)
{
    struct bit_reader bits = {.data = bytes.data, .len = bytes.len};
    return fars_get(&bits, base, limit, run);
}

int docs_decode_masks(struct emlfs_span bytes, struct docs_run *run)
{
    struct bit_reader bits = {.data = bytes.data, .len = bytes.len};
    const unsigned k = bits_get(&bits, 5);
    for (unsigned i = 0; i < run->n; i++)
        (void)rice_get(&bits, k);
    return masks_get(&bits, run);
}

/* ---- positions */

/* Positions behind the first of each document: how many, and the best parameter for their gaps. */
static size_t rest_choose(const uint32_t *tf, unsigned n, const uint32_t *positions,
                          unsigned *ret_k)
{
    uint64_t sum = 0, cost[3] = {0};
    size_t rest_n = 0;
    const uint32_t *at = positions;
    for (unsigned i = 0; i < n; at += tf[i++]) {
        sum += at[tf[i] - 1] - at[0] - (tf[i] - 1);
        rest_n += tf[i] - 1;
    }
    const uint64_t mean = rest_n ? sum / rest_n : 0;
    unsigned k = mean > 1 ? 62u - (unsigned)__builtin_clzll(mean) : 0;
    k = k > BITS_K_MAX - 2 ? BITS_K_MAX - 2 : k;
    at = positions;
    for (unsigned i = 0; i < n; at += tf[i++])
        for (uint32_t j = 1; j < tf[i]; j++)
            for (unsigned c = 0; c < 3; c++)
                cost[c] += rice_bits(at[j] - at[j - 1] - 1, k + c);
    *ret_k = k + (cost[1] < cost[0] ? (cost[2] < cost[1] ? 2 : 1) : 0);
    return rest_n;
}

int positions_encode(struct emlfs_buf *out, const uint32_t *tf, unsigned n,
                     const uint32_t *positions)
{
    uint32_t more[POSTINGS_RUN] = {0}, first[POSTINGS_RUN] = {0};
    struct bit_writer bits;
    unsigned k_rest;
    const size_t rest_n = rest_choose(tf, n, positions, &k_rest);
    int r = run_reserve(out, 2 * (size_t)n + rest_n, &bits);
    if (r < 0)
        return r;
    for (unsigned i = 0, at = 0; i < n; at += tf[i++]) {
        more[i] = tf[i] - 1;
        first[i] = positions[at];
    }
    const unsigned k_tf = k_choose(more, n), k_first = k_choose(first, n);
    bits_put(&bits, k_tf, 5);
    for (unsigned i = 0; i < n; i++)
        rice_put(&bits, more[i], k_tf);
    bits_put(&bits, k_first, 5);
    if (rest_n)
        bits_put(&bits, k_rest, 5);
    for (unsigned i = 0; i < n; positions += tf[i++]) {
        rice_put(&bits, first[i], k_first);
        for (uint32_t j = 1; j < tf[i]; j++)
            rice_put(&bits, positions[j] - positions[j - 1] - 1, k_rest);
    }
    out->len = (size_t)(bits_end(&bits) - out->data);
    return 0;
}

int positions_begin(struct emlfs_span bytes, unsigned n, struct positions_walk *ret)
{
    struct bit_reader bits = {.data = bytes.data, .len = bytes.len};
    const unsigned k_tf = bits_get(&bits, 5);
    uint64_t positions = 0;
    *ret = (struct positions_walk){.n = n};
    for (unsigned i = 0; i < n; i++) {
        const uint32_t more = rice_get(&bits, k_tf);
        if (more >= POSTINGS_TF_MAX)
            return -EUCLEAN;
        ret->tf[i] = more + 1;
        positions += ret->tf[i];
    }
    ret->k_first = bits_get(&bits, 5);
    ret->k_rest = positions > n ? bits_get(&bits, 5) : 0;
    ret->bits = bits;
    /* A position takes a bit at least: what is asked for in memory is bounded by what is there. */
    return !bits_ok(&bits) || positions > bytes.len * 8 ? -EUCLEAN : 0;
}

static int document_end(struct positions_walk *walk, uint64_t last)
{
    walk->next++;
    if (last > UINT32_MAX || !bits_ok(&walk->bits))
        return -EUCLEAN;
    return walk->next == walk->n ? run_end(&walk->bits) : 0;
}

int positions_skip(struct positions_walk *walk)
{
    const uint32_t tf = walk->tf[walk->next];
    uint64_t at = rice_get(&walk->bits, walk->k_first);
    for (uint32_t i = 1; i < tf; i++)
        at += (uint64_t)rice_get(&walk->bits, walk->k_rest) + 1;
    return document_end(walk, at);
}

int positions_take(struct positions_walk *walk, uint32_t *ret)
{
    const uint32_t tf = walk->tf[walk->next];
    uint64_t at = rice_get(&walk->bits, walk->k_first);
    ret[0] = (uint32_t)at;
    for (uint32_t i = 1; i < tf; i++) {
        at += (uint64_t)rice_get(&walk->bits, walk->k_rest) + 1;
        ret[i] = (uint32_t)at;
    }
    return document_end(walk, at);
}
