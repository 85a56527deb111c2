/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Random operations on LevelDB, on memory and on a plain model: all three must agree. */
#include "catalog_test.h"

#define SEALED EMLFS_CATALOG_SEALED
#define KEYS 400u /* few, so that operations meet */
#define OPERATIONS 20000u

struct model_row {
    bool present;
    char value[24];
};

/* The model: what is committed, and what the open transaction sees. */
struct model {
    struct model_row committed[KEYS];
    struct model_row seen[KEYS];
};

struct world {
    struct model model;
    struct fixture *disk;
    struct fixture *memory;
    struct emlfs_txn *txn[2];
    uint64_t random;
};

static unsigned pick(struct world *w, unsigned n)
{
    return random_below(&w->random, n);
}

/* Key number i: order of numbers is order of keys; even ones are sealed. */
static struct emlfs_span key_of(unsigned i, char text[8])
{
    snprintf(text, 8, "%c%c%03u", 'a' + (char)(i / 100), i % 100 < 50 ? 1 : 0xff, i);
    return emlfs_span_of(text, 5);
}

static unsigned form_of(unsigned i)
{
    return i % 2 ? 0 : SEALED;
}

static unsigned number_of(struct emlfs_span key)
{
    assert_int_equal(key.len, 5);
    return (unsigned)(key.data[2] - '0') * 100 + (unsigned)(key.data[3] - '0') * 10 +
           (unsigned)(key.data[4] - '0');
}

/* Model order is by number, so the byte in the middle must not disturb it. */
static void keys_are_ordered(void)
{
    char a[8];
    char b[8];

    for (unsigned i = 0; i + 1 < KEYS; i++) {
        key_of(i, a);
        key_of(i + 1, b);
        assert_true(memcmp(a, b, 5) < 0);
    }
}

static void expect(int r, const struct emlfs_buf *got, const struct model_row *row)
{
    assert_int_equal(r, row->present ? 0 : -ENOENT);
    if (row->present)
        expect_bytes(got, row->value);
}

static void step_put(struct world *w, unsigned i)
{
    struct model_row *row = &w->model.seen[i];
    char key[8];
    bool delete = pick(w, 3) == 0;

    row->present = !delete;
    snprintf(row->value, sizeof(row->value), "%0*u", (int)pick(w, 20), pick(w, 1000000));
    for (unsigned b = 0; b < 2; b++) {
        int r = delete ? emlfs_txn_delete(w->txn[b], key_of(i, key))
                       : emlfs_txn_put(w->txn[b], key_of(i, key), form_of(i),
                                       emlfs_span_str(row->value));
        assert_int_equal(r, 0);
    }
}

static void step_get(struct world *w, unsigned i)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(100);
    struct fixture *const fixtures[] = {w->disk, w->memory};
    char key[8];

    for (unsigned b = 0; b < 2; b++) {
        int r = emlfs_txn_get(w->txn[b], key_of(i, key), form_of(i), &buf, NULL);
        expect(r, &buf, &w->model.seen[i]);
        r = emlfs_catalog_get(fixtures[b]->catalog, key_of(i, key), form_of(i), &buf, NULL);
        expect(r, &buf, &w->model.committed[i]);
    }
    emlfs_buf_free(&buf);
}

/* In sealed and plain form mixed, get_le can be asked for the form of the row it must find. */
static void step_get_le(struct world *w, unsigned i)
{
    struct emlfs_buf k = EMLFS_BUF_INIT(100);
    struct emlfs_buf v = EMLFS_BUF_INIT(100);
    unsigned prefix_len = pick(w, 3);
    char key[8];
    char other[8];
    int found = -1;

    struct emlfs_span bound = key_of(i, key);
    for (unsigned j = 0; j <= i; j++)
        if (w->model.seen[j].present && memcmp(key_of(j, other).data, key, prefix_len) == 0)
            found = (int)j;
    for (unsigned b = 0; b < 2; b++) {
        const struct emlfs_row_below below = {.prefix = emlfs_span_of(key, prefix_len),
                                              .key = bound,
                                              .flags = form_of(found < 0 ? 0 : (unsigned)found),
                                              .ret_key = &k,
                                              .ret_value = &v};
        int r = emlfs_txn_get_le(w->txn[b], &below, NULL);
        assert_int_equal(r, found < 0 ? -ENOENT : 0);
        if (found < 0)
            continue;
        assert_int_equal(number_of(emlfs_buf_view(&k)), found);
        expect_bytes(&v, w->model.seen[found].value);
    }
    emlfs_buf_free(&k);
    emlfs_buf_free(&v);
}

static void step_walk(struct world *w, unsigned i)
{
    struct emlfs_buf v = EMLFS_BUF_INIT(100);
    struct fixture *const fixtures[] = {w->disk, w->memory};
    struct emlfs_catalog_iter *iter;
    bool le = pick(w, 2);
    char key[8];

    for (unsigned b = 0; b < 2; b++) {
        unsigned at = i;
        if (le) {
            while (at > 0 && !w->model.committed[at].present)
                at--;
            if (!w->model.committed[at].present)
                at = KEYS;
        }
        assert_int_equal(emlfs_catalog_iter_new(fixtures[b]->catalog, &iter, NULL), 0);
        (le ? emlfs_catalog_iter_seek_le : emlfs_catalog_iter_seek)(iter, key_of(i, key));
        for (; at < KEYS; at++) {
            if (!w->model.committed[at].present)
                continue;
            assert_true(emlfs_catalog_iter_valid(iter));
            assert_int_equal(number_of(emlfs_catalog_iter_key(iter)), at);
            assert_int_equal(emlfs_catalog_iter_value(iter, form_of(at), &v, NULL), 0);
            expect_bytes(&v, w->model.committed[at].value);
            emlfs_catalog_iter_next(iter);
        }
        assert_false(emlfs_catalog_iter_valid(iter));
        assert_int_equal(emlfs_catalog_iter_error(iter, NULL), 0);
        emlfs_catalog_iter_free(iter);
    }
    emlfs_buf_free(&v);
}

static void step_end(struct world *w)
{
    bool commit = pick(w, 4) != 0;
    struct fixture *const fixtures[] = {w->disk, w->memory};

    for (unsigned b = 0; b < 2; b++) {
        if (commit)
            assert_int_equal(emlfs_txn_commit(w->txn[b], false, NULL), 0);
        emlfs_txn_free(w->txn[b]);
        assert_int_equal(emlfs_txn_new(fixtures[b]->catalog, &w->txn[b]), 0);
    }
    if (commit)
        memcpy(w->model.committed, w->model.seen, sizeof(w->model.seen));
    else
        memcpy(w->model.seen, w->model.committed, sizeof(w->model.seen));
}

static void step_reopen(struct world *w)
{
    for (unsigned b = 0; b < 2; b++)
        emlfs_txn_free(w->txn[b]);
    emlfs_catalog_close(w->disk->catalog);
    w->disk->catalog = NULL;
    assert_int_equal(fixture_open(w->disk, false, NULL), 0);
    assert_int_equal(emlfs_txn_new(w->disk->catalog, &w->txn[0]), 0);
    assert_int_equal(emlfs_txn_new(w->memory->catalog, &w->txn[1]), 0);
    memcpy(w->model.seen, w->model.committed, sizeof(w->model.seen));
}

static void step(struct world *w)
{
    unsigned i = pick(w, KEYS);
    unsigned what = pick(w, 1000);

    if (what < 450)
        step_put(w, i);
    else if (what < 700)
        step_get(w, i);
    else if (what < 930)
        step_get_le(w, i);
    else if (what < 970)
        step_walk(w, i);
    else if (what < 997)
        step_end(w);
    else if (what < 998)
        emlfs_catalog_compact(w->disk->catalog);
    else
        step_reopen(w);
}

static void backends_agree_with_the_model(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    (void)state;
    assert_non_null(w);
    keys_are_ordered();
    w->random = 20260301;
    w->disk = fixture_new(true);
    w->memory = fixture_new(false);
    assert_int_equal(fixture_open(w->disk, true, NULL), 0);
    assert_int_equal(fixture_open(w->memory, true, NULL), 0);
    assert_int_equal(emlfs_txn_new(w->disk->catalog, &w->txn[0]), 0);
    assert_int_equal(emlfs_txn_new(w->memory->catalog, &w->txn[1]), 0);
    for (unsigned n = 0; n < OPERATIONS; n++)
        step(w);
    for (unsigned b = 0; b < 2; b++)
        emlfs_txn_free(w->txn[b]);
    fixture_free(w->disk);
    fixture_free(w->memory);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(backends_agree_with_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
