/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree against RFC 9162 section 2.1 written down as it stands there. */
#include "ledger_test.h"

#define LEAVES_MAX 100000u

struct model {
    struct emlfs_hash *leaves;
    struct emlfs_hash *level[TREE_LEVELS];
    uint64_t count[TREE_LEVELS];
    struct ledger_tree tree;
};

static int model_read(void *arg, unsigned level, uint64_t first, unsigned count,
                      struct emlfs_hash *ret_hashes)
{
    const struct model *model = arg;
    assert_true(level < TREE_LEVELS);
    if (first + count > model->count[level])
        return -EBADMSG;
    memcpy(ret_hashes, model->level[level] + first, count * sizeof(*ret_hashes));
    return 0;
}

static void model_push(struct model *model)
{
    struct emlfs_hash leaf;
    struct ledger_done done;
    uint64_t n = model->tree.size;
    assert_int_equal(emlfs_tree_leaf(emlfs_span_of(&n, sizeof(n)), &leaf), 0);
    model->leaves[n] = leaf;
    assert_int_equal(ledger_tree_push(&model->tree, &leaf, &done), 0);
    for (unsigned level = 0; level < done.count; level++)
        model->level[level][model->count[level]++] = done.v[level];
}

static struct model *model_make(size_t leaves)
{
    struct model *model = calloc(1, sizeof(*model));
    assert_non_null(model);
    model->leaves = calloc(leaves, sizeof(struct emlfs_hash));
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        model->level[level] = calloc((leaves >> (8 * level)) + 1, sizeof(struct emlfs_hash));
    return model;
}

static void model_free(struct model *model)
{
    free(model->leaves);
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        free(model->level[level]);
    free(model);
}

/* MTH of 2.1.1. */
static void mth(const struct emlfs_hash *leaves, uint64_t n, struct emlfs_hash *ret)
{
    struct emlfs_hash left;
    struct emlfs_hash right;
    uint64_t k = 1;
    if (n == 1) {
        *ret = leaves[0];
        return;
    }
    while (2 * k < n)
        k *= 2;
    mth(leaves, k, &left);
    mth(leaves + k, n - k, &right);
    assert_int_equal(emlfs_tree_node(&left, &right, ret), 0);
}

static struct emlfs_tree_head head_of(const struct model *model, uint64_t size)
{
    struct emlfs_tree_head head = {.size = size};
    mth(model->leaves, size, &head.root);
    return head;
}

static void inclusion_try(struct model *model, const struct emlfs_tree_head *head, uint64_t index)
{
    struct ledger_source source = {model_read, model};
    struct emlfs_tree_path path;
    struct emlfs_hash leaf = model->leaves[index];
    assert_int_equal(ledger_tree_inclusion(&source, index, head->size, &path), 0);
    assert_int_equal(emlfs_tree_check_inclusion(head, index, &leaf, &path), 0);
    leaf.v[index % 32] ^= 1;
    assert_int_equal(emlfs_tree_check_inclusion(head, index, &leaf, &path), -EBADMSG);
    leaf.v[index % 32] ^= 1;
    assert_int_equal(emlfs_tree_check_inclusion(head, head->size, &leaf, &path), -EBADMSG);
    if (index + 1 < head->size)
        assert_int_equal(emlfs_tree_check_inclusion(head, index + 1, &leaf, &path), -EBADMSG);
    if (path.count) {
        unsigned which = (unsigned)index % path.count;
        path.v[which].v[3] ^= 0x80;
        assert_int_equal(emlfs_tree_check_inclusion(head, index, &leaf, &path), -EBADMSG);
        path.v[which].v[3] ^= 0x80;
        path.count--;
        assert_int_equal(emlfs_tree_check_inclusion(head, index, &leaf, &path), -EBADMSG);
        path.count++;
    }
    path.v[path.count++] = leaf;
    assert_int_equal(emlfs_tree_check_inclusion(head, index, &leaf, &path), -EBADMSG);
}

static void consistency_try(struct model *model, const struct emlfs_tree_head *older,
                            const struct emlfs_tree_head *newer)
{
    struct ledger_source source = {model_read, model};
    struct emlfs_tree_head other;
    struct emlfs_tree_path path;
    assert_int_equal(ledger_tree_consistency(&source, older->size, newer->size, &path), 0);
    assert_int_equal(emlfs_tree_check_consistency(older, newer, &path), 0);
    other = *older;
    other.root.v[0] ^= 1;
    assert_int_equal(emlfs_tree_check_consistency(&other, newer, &path), -EBADMSG);
    other = *newer;
    other.root.v[31] ^= 1;
    assert_int_equal(emlfs_tree_check_consistency(older, &other, &path), -EBADMSG);
    if (path.count) {
        path.v[older->size % path.count].v[5] ^= 4;
        assert_int_equal(emlfs_tree_check_consistency(older, newer, &path), -EBADMSG);
        path.v[older->size % path.count].v[5] ^= 4;
        path.count--;
        assert_int_equal(emlfs_tree_check_consistency(older, newer, &path), -EBADMSG);
        path.count++;
    }
    path.v[path.count++] = newer->root;
    assert_int_equal(emlfs_tree_check_consistency(older, newer, &path), -EBADMSG);
}

static void test_every_size_to_300(void **state)
{
    (void)state;
    enum { MOST = 300 };
    struct model *model = model_make(MOST);
    struct emlfs_tree_head heads[MOST + 1];
    for (uint64_t size = 1; size <= MOST; size++) {
        struct emlfs_hash root;
        model_push(model);
        heads[size] = head_of(model, size);
        assert_int_equal(ledger_tree_root(&model->tree, &root), 0);
        assert_memory_equal(&root, &heads[size].root, sizeof(root));
        for (uint64_t index = 0; index < size; index++)
            inclusion_try(model, &heads[size], index);
        for (uint64_t older = 1; older <= size; older++)
            consistency_try(model, &heads[older], &heads[size]);
    }
    model_free(model);
}

static void test_random_sizes(void **state)
{
    (void)state;
    struct model *model = model_make(LEAVES_MAX);
    struct ledger_source source = {model_read, model};
    uint64_t random = 88172645463325252ull;
    while (model->tree.size < LEAVES_MAX)
        model_push(model);
    for (unsigned i = 0; i < 60; i++) {
        struct ledger_tree loaded;
        struct emlfs_hash root;
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        struct emlfs_tree_head newer = head_of(model, 1 + random % LEAVES_MAX);
        struct emlfs_tree_head older = head_of(model, 1 + random / LEAVES_MAX % newer.size);
        assert_int_equal(ledger_tree_load(&source, newer.size, &loaded), 0);
        assert_int_equal(ledger_tree_root(&loaded, &root), 0);
        assert_memory_equal(&root, &newer.root, sizeof(root));
        consistency_try(model, &older, &newer);
        for (unsigned k = 0; k < 20; k++)
            inclusion_try(model, &newer, (random >> k) % newer.size);
    }
    model_free(model);
}

static const char *hex(const struct emlfs_hash *hash, char ret[65])
{
    for (unsigned i = 0; i < 32; i++)
        snprintf(ret + 2 * (size_t)i, 3, "%02x", hash->v[i]);
    return ret;
}

/* The well known test tree of Certificate Transparency: its eight leaves and its roots. */
static void test_known_roots(void **state)
{
    (void)state;
    static const char *const roots[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    };
    static const struct emlfs_span leaves[] = {
        {(const uint8_t *)"", 0},
        {(const uint8_t *)"\x00", 1},
        {(const uint8_t *)"\x10", 1},
        {(const uint8_t *)"\x20\x21", 2},
        {(const uint8_t *)"\x30\x31", 2},
        {(const uint8_t *)"\x40\x41\x42\x43", 4},
        {(const uint8_t *)"\x50\x51\x52\x53\x54\x55\x56\x57", 8},
        {(const uint8_t *)"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f", 16},
    };
    struct ledger_tree tree = {0};
    struct ledger_done done;
    struct emlfs_hash hash;
    char text[65];
    for (unsigned i = 0; i <= 8; i++) {
        assert_int_equal(ledger_tree_root(&tree, &hash), 0);
        assert_string_equal(hex(&hash, text), roots[i]);
        if (i < 8) {
            assert_int_equal(emlfs_tree_leaf(leaves[i], &hash), 0);
            assert_int_equal(ledger_tree_push(&tree, &hash, &done), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_roots),
        cmocka_unit_test(test_every_size_to_300),
        cmocka_unit_test(test_random_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
