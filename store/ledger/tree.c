/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the Merkle tree of RFC 9162 section 2.1 (the same as RFC 6962's): its state for
 * appending, roots, proofs and their checks. Not responsible for: where hashes are kept.
 *
 * Invariants:
 * M1. edge[i] is the hash of a complete subtree of 2^i leaves if and only if size has bit i set;
 *     the subtrees stand side by side, the largest first, and are all of the tree.
 * M2. Hash k of tile level L is the root of the leaves k * 256^L to (k + 1) * 256^L - 1. It is
 *     known when the last of them is, and never changes.
 */
#include "internal.h"

#define TILE_BITS 8u

int emlfs_tree_node(const struct emlfs_hash *left, const struct emlfs_hash *right,
                    struct emlfs_hash *ret_hash)
{
    uint8_t bytes[1 + 2 * EMLFS_HASH_BYTES] = {1};
    memcpy(bytes + 1, left->v, EMLFS_HASH_BYTES);
    memcpy(bytes + 1 + EMLFS_HASH_BYTES, right->v, EMLFS_HASH_BYTES);
    return emlfs_sha256(emlfs_span_of(bytes, sizeof(bytes)), ret_hash);
}

int emlfs_tree_leaf(struct emlfs_span bytes, struct emlfs_hash *ret_hash)
{
    uint8_t copy[1 + EMLFS_LEDGER_RECORD_MAX_BYTES];
    if (bytes.len > EMLFS_LEDGER_RECORD_MAX_BYTES)
        return -E2BIG;
    copy[0] = 0;
    if (bytes.len)
        memcpy(copy + 1, bytes.data, bytes.len);
    return emlfs_sha256(emlfs_span_of(copy, 1 + bytes.len), ret_hash);
}

int ledger_tree_push(struct ledger_tree *tree, const struct emlfs_hash *leaf,
                     struct ledger_done *ret_done)
{
    struct emlfs_hash hash = *leaf;
    unsigned height = 0;
    ret_done->count = 1;
    ret_done->v[0] = hash;
    if (tree->size > EMLFS_LEDGER_SEQUENCE_MAX)
        return -E2BIG;
    while (tree->size >> height & 1) {
        int r = emlfs_tree_node(&tree->edge[height], &hash, &hash);
        if (r < 0)
            return r;
        height++;
        if (height % TILE_BITS == 0 && ret_done->count < TREE_LEVELS)
            ret_done->v[ret_done->count++] = hash;
    }
    tree->edge[height] = hash;
    tree->size++;
    return 0;
}

int ledger_tree_root(const struct ledger_tree *tree, struct emlfs_hash *ret_root)
{
    if (tree->size == 0)
        return emlfs_sha256((struct emlfs_span){0}, ret_root);
    unsigned height = (unsigned)__builtin_ctzll(tree->size);
    struct emlfs_hash root = tree->edge[height];
    int r = 0;
    for (height++; height < 64 && tree->size >> height && r == 0; height++)
        if (tree->size >> height & 1)
            r = emlfs_tree_node(&tree->edge[height], &root, &root);
    *ret_root = root;
    return r;
}

/* The complete subtree of 2^height leaves that is number index of its height. */
static int node_load(const struct ledger_source *source, unsigned height, uint64_t index,
                     struct emlfs_hash *ret_hash)
{
    struct emlfs_hash row[TREE_TILE];
    unsigned level = height / TILE_BITS < TREE_LEVELS ? height / TILE_BITS : TREE_LEVELS - 1;
    unsigned up = height - level * TILE_BITS;
    if (up > TILE_BITS) /* more leaves than the format allows */
        return -E2BIG;
    unsigned count = 1u << up;
    int r = source->read(source->arg, level, index << up, count, row);
    for (; count > 1 && r == 0; count /= 2)
        for (unsigned i = 0; i < count / 2 && r == 0; i++)
            r = emlfs_tree_node(&row[2 * (size_t)i], &row[2 * (size_t)i + 1], &row[i]);
    *ret_hash = row[0];
    return r;
}

int ledger_tree_load(const struct ledger_source *source, uint64_t size,
                     struct ledger_tree *ret_tree)
{
    uint64_t done = 0;
    int r = 0;
    *ret_tree = (struct ledger_tree){.size = size};
    for (unsigned height = 64; height-- > 0 && r == 0;) {
        if (!(size >> height & 1))
            continue;
        r = node_load(source, height, done >> height, &ret_tree->edge[height]);
        done += 1ull << height;
    }
    return r;
}

/* Root of the count leaves from first on; first is a multiple of the power of two >= count. */
static int range_root(const struct ledger_source *source, uint64_t first, uint64_t count,
                      struct emlfs_hash *ret_hash)
{
    bool started = false;
    uint64_t end = first + count;
    int r = 0;
    for (unsigned height = 0; height < 64 && count >> height && r == 0; height++) {
        struct emlfs_hash left;
        if (!(count >> height & 1))
            continue;
        end -= 1ull << height;
        r = node_load(source, height, end >> height, &left);
        if (r == 0 && started)
            r = emlfs_tree_node(&left, ret_hash, ret_hash);
        else
            *ret_hash = left;
        started = true;
    }
    return r;
}

/* The largest power of two below n; n > 1. */
static uint64_t split(uint64_t n)
{
    return 1ull << (63 - __builtin_clzll(n - 1));
}

static void path_reverse(struct emlfs_tree_path *path)
{
    for (unsigned i = 0; i < path->count / 2; i++) {
        struct emlfs_hash other = path->v[path->count - 1 - i];
        path->v[path->count - 1 - i] = path->v[i];
        path->v[i] = other;
    }
}

static int path_add(const struct ledger_source *source, uint64_t first, uint64_t count,
                    struct emlfs_tree_path *path)
{
    return path->count == EMLFS_TREE_PATH_MAX
               ? -E2BIG
               : range_root(source, first, count, &path->v[path->count++]);
}

int ledger_tree_inclusion(const struct ledger_source *source, uint64_t index, uint64_t size,
                          struct emlfs_tree_path *ret_path)
{
    uint64_t first = 0;
    int r = 0;
    ret_path->count = 0;
    while (size > 1 && r == 0) {
        uint64_t left = split(size);
        if (index < left) {
            r = path_add(source, first + left, size - left, ret_path);
            size = left;
        } else {
            r = path_add(source, first, left, ret_path);
            first += left;
            index -= left;
            size -= left;
        }
    }
    path_reverse(ret_path);
    return r;
}

int ledger_tree_consistency(const struct ledger_source *source, uint64_t older, uint64_t newer,
                            struct emlfs_tree_path *ret_path)
{
    uint64_t first = 0;
    bool whole = true; /* what remains of older is a tree that the checker knows the root of */
    int r = 0;
    ret_path->count = 0;
    while (older != newer && r == 0) {
        uint64_t left = split(newer);
        if (older <= left) {
            r = path_add(source, first + left, newer - left, ret_path);
            newer = left;
        } else {
            r = path_add(source, first, left, ret_path);
            first += left;
            older -= left;
            newer -= left;
            whole = false;
        }
    }
    if (r == 0 && !whole)
        r = path_add(source, first, newer, ret_path);
    path_reverse(ret_path);
    return r;
}

static bool hash_equal(const struct emlfs_hash *a, const struct emlfs_hash *b)
{
    return memcmp(a->v, b->v, EMLFS_HASH_BYTES) == 0;
}

int emlfs_tree_check_inclusion(const struct emlfs_tree_head *head, uint64_t index,
                               const struct emlfs_hash *leaf, const struct emlfs_tree_path *path)
{
    struct emlfs_hash root = *leaf;
    uint64_t node = index;
    uint64_t last = head->size - 1;
    int r = 0;
    if (index >= head->size || path->count > EMLFS_TREE_PATH_MAX)
        return -EBADMSG;
    for (unsigned i = 0; i < path->count && r == 0; i++) {
        if (last == 0)
            return -EBADMSG;
        if (node & 1 || node == last) {
            r = emlfs_tree_node(&path->v[i], &root, &root);
            while (!(node & 1) && node) {
                node >>= 1;
                last >>= 1;
            }
        } else {
            r = emlfs_tree_node(&root, &path->v[i], &root);
        }
        node >>= 1;
        last >>= 1;
    }
    if (r < 0)
        return r;
    return last == 0 && hash_equal(&root, &head->root) ? 0 : -EBADMSG;
}

struct walk {
    uint64_t node;
    uint64_t last;
    struct emlfs_hash older;
    struct emlfs_hash newer;
};

/* One hash of a consistency path. */
static int walk_step(struct walk *walk, const struct emlfs_hash *hash)
{
    int r;
    if (walk->last == 0)
        return -EBADMSG;
    if (walk->node & 1 || walk->node == walk->last) {
        r = emlfs_tree_node(hash, &walk->older, &walk->older);
        if (r == 0)
            r = emlfs_tree_node(hash, &walk->newer, &walk->newer);
        while (!(walk->node & 1) && walk->node) {
            walk->node >>= 1;
            walk->last >>= 1;
        }
    } else {
        r = emlfs_tree_node(&walk->newer, hash, &walk->newer);
    }
    walk->node >>= 1;
    walk->last >>= 1;
    return r;
}

int emlfs_tree_check_consistency(const struct emlfs_tree_head *older,
                                 const struct emlfs_tree_head *newer,
                                 const struct emlfs_tree_path *path)
{
    if (older->size == 0 || older->size > newer->size || path->count > EMLFS_TREE_PATH_MAX)
        return -EBADMSG;
    if (older->size == newer->size)
        return path->count == 0 && hash_equal(&older->root, &newer->root) ? 0 : -EBADMSG;
    bool power = (older->size & (older->size - 1)) == 0;
    if (path->count == 0)
        return -EBADMSG;
    const struct emlfs_hash *start = power ? &older->root : &path->v[0];
    struct walk walk = {older->size - 1, newer->size - 1, *start, *start};
    int r = 0;
    while (walk.node & 1) {
        walk.node >>= 1;
        walk.last >>= 1;
    }
    for (unsigned i = power ? 0 : 1; i < path->count && r == 0; i++)
        r = walk_step(&walk, &path->v[i]);
    if (r < 0)
        return r;
    return walk.last == 0 && hash_equal(&walk.older, &older->root) &&
                   hash_equal(&walk.newer, &newer->root)
               ? 0
               : -EBADMSG;
}
