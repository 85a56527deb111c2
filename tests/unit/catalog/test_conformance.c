/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every backend of the catalogue must do: the same tests run on each. */
#include "catalog_test.h"

#define SEALED EMLFS_CATALOG_SEALED

static void rows_are_read_back(void **state)
{
    struct fixture *f = *state;

    expect_row(f->catalog, "k", 0, NULL);
    put_now(f->catalog, "k", 0, "plain");
    put_now(f->catalog, "s", SEALED, "secret");
    put_now(f->catalog, "e", 0, "");
    put_now(f->catalog, "z", SEALED, "");
    expect_row(f->catalog, "k", 0, "plain");
    expect_row(f->catalog, "s", SEALED, "secret");
    expect_row(f->catalog, "e", 0, "");
    expect_row(f->catalog, "z", SEALED, "");
    put_now(f->catalog, "k", 0, "other");
    expect_row(f->catalog, "k", 0, "other");
}

static void sealed_row_in_clear_is_noise(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf raw = EMLFS_BUF_INIT(1000);

    put_now(f->catalog, "s", SEALED, "secret words");
    assert_int_equal(emlfs_catalog_get(f->catalog, emlfs_span_str("s"), 0, &raw, NULL), 0);
    assert_int_equal(raw.len, strlen("secret words") + 28);
    assert_null(memmem(raw.data, raw.len, "secret", 6));
    emlfs_buf_free(&raw);
}

static void sealed_row_opens_in_its_place_only(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf raw = EMLFS_BUF_INIT(1000);
    struct emlfs_buf out = EMLFS_BUF_INIT(1000);
    struct emlfs_err err = {0};
    struct emlfs_txn *txn;

    put_now(f->catalog, "s", SEALED, "secret words");
    assert_int_equal(emlfs_catalog_get(f->catalog, emlfs_span_str("s"), 0, &raw, NULL), 0);
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    assert_int_equal(emlfs_txn_put(txn, emlfs_span_str("t"), 0, emlfs_buf_view(&raw)), 0);
    raw.data[14] ^= 1;
    assert_int_equal(emlfs_txn_put(txn, emlfs_span_str("s"), 0, emlfs_buf_view(&raw)), 0);
    put(txn, "u", 0, "short");
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    emlfs_txn_free(txn);
    for (const char *key = "stu"; *key; key++) {
        int r = emlfs_catalog_get(f->catalog, emlfs_span_of(key, 1), SEALED, &out, &err);
        assert_int_equal(r, -EBADMSG);
        assert_int_equal(err.code, EBADMSG);
        assert_int_equal(out.len, 0);
    }
    emlfs_buf_free(&raw);
    emlfs_buf_free(&out);
}

static void limits_hold(void **state)
{
    struct fixture *f = *state;
    uint8_t *big = calloc(1, EMLFS_CATALOG_VALUE_MAX_BYTES + 1);
    struct emlfs_span key = emlfs_span_of(big, EMLFS_CATALOG_KEY_MAX_BYTES);
    struct emlfs_span longer = emlfs_span_of(big, EMLFS_CATALOG_KEY_MAX_BYTES + 1);
    struct emlfs_span value = emlfs_span_of(big, EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_span over = emlfs_span_of(big, EMLFS_CATALOG_VALUE_MAX_BYTES + 1);
    struct emlfs_buf out = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_buf tight = EMLFS_BUF_INIT(100);
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    assert_int_equal(emlfs_txn_put(txn, longer, 0, key), -E2BIG);
    assert_int_equal(emlfs_txn_put(txn, emlfs_span_of(big, 0), 0, key), -EINVAL);
    assert_int_equal(emlfs_txn_delete(txn, longer), -E2BIG);
    assert_int_equal(emlfs_txn_put(txn, key, SEALED, over), -E2BIG);
    assert_int_equal(emlfs_txn_put(txn, key, SEALED, value), 0);
    assert_int_equal(emlfs_txn_rows(txn), 1);
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    assert_int_equal(emlfs_txn_rows(txn), 0);
    assert_int_equal(emlfs_catalog_get(f->catalog, key, SEALED, &out, NULL), 0);
    assert_int_equal(out.len, EMLFS_CATALOG_VALUE_MAX_BYTES);
    assert_int_equal(emlfs_catalog_get(f->catalog, key, SEALED, &tight, NULL), -E2BIG);
    assert_int_equal(emlfs_catalog_get(f->catalog, longer, 0, &out, NULL), -E2BIG);
    emlfs_txn_free(txn);
    emlfs_buf_free(&out);
    emlfs_buf_free(&tight);
    free(big);
}

static void expect_txn_row(struct emlfs_txn *txn, const char *key, unsigned flags,
                           const char *value)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(1 << 20);

    int r = emlfs_txn_get(txn, emlfs_span_str(key), flags, &buf, NULL);
    assert_int_equal(r, value ? 0 : -ENOENT);
    expect_bytes(&buf, value ? value : "");
    emlfs_buf_free(&buf);
}

static void pending_rows_are_seen_by_their_transaction_only(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;

    put_now(f->catalog, "a", SEALED, "old");
    put_now(f->catalog, "b", 0, "gone soon");
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    put(txn, "a", SEALED, "new");
    put(txn, "c", 0, "first");
    put(txn, "c", 0, "second");
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("b")), 0);
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("never there")), 0);
    assert_int_equal(emlfs_txn_rows(txn), 4);
    expect_txn_row(txn, "a", SEALED, "new");
    expect_txn_row(txn, "b", 0, NULL);
    expect_txn_row(txn, "c", 0, "second");
    expect_row(f->catalog, "a", SEALED, "old");
    expect_row(f->catalog, "b", 0, "gone soon");
    expect_row(f->catalog, "c", 0, NULL);
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    expect_row(f->catalog, "a", SEALED, "new");
    expect_row(f->catalog, "b", 0, NULL);
    expect_row(f->catalog, "c", 0, "second");
    expect_txn_row(txn, "c", 0, "second");
    emlfs_txn_free(txn);
}

static void uncommitted_rows_vanish(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    put(txn, "a", SEALED, "x");
    emlfs_txn_free(txn);
    expect_row(f->catalog, "a", SEALED, NULL);
}

static void pending_row_in_the_wrong_form_is_refused(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf buf = EMLFS_BUF_INIT(100);
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    put(txn, "a", SEALED, "x");
    assert_int_equal(emlfs_txn_get(txn, emlfs_span_str("a"), 0, &buf, NULL), -EINVAL);
    emlfs_txn_free(txn);
    emlfs_buf_free(&buf);
}

static void expect_le(struct emlfs_txn *txn, const char *prefix, const char *key, const char *found,
                      const char *value)
{
    struct emlfs_buf k = EMLFS_BUF_INIT(100);
    struct emlfs_buf v = EMLFS_BUF_INIT(100);

    const struct emlfs_row_below below = {.prefix = emlfs_span_str(prefix),
                                          .key = emlfs_span_str(key),
                                          .flags = SEALED,
                                          .ret_key = &k,
                                          .ret_value = &v};
    int r = emlfs_txn_get_le(txn, &below, NULL);
    assert_int_equal(r, found ? 0 : -ENOENT);
    if (found) {
        expect_bytes(&k, found);
        expect_bytes(&v, value);
    }
    emlfs_buf_free(&k);
    emlfs_buf_free(&v);
}

static void get_le_merges_pending_and_stored(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;

    put_now(f->catalog, "a9", SEALED, "below");
    put_now(f->catalog, "b1", SEALED, "1");
    put_now(f->catalog, "b3", SEALED, "3");
    put_now(f->catalog, "b5", SEALED, "5");
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    expect_le(txn, "b", "b0", NULL, NULL);
    expect_le(txn, "b", "b1", "b1", "1");
    expect_le(txn, "b", "b4", "b3", "3");
    expect_le(txn, "b", "b9", "b5", "5");
    expect_le(txn, "", "b0", "a9", "below");
    put(txn, "b4", SEALED, "4p");
    put(txn, "b1", SEALED, "1p");
    put(txn, "a99", SEALED, "below");
    expect_le(txn, "b", "b4", "b4", "4p");
    expect_le(txn, "b", "b49", "b4", "4p");
    expect_le(txn, "b", "b5", "b5", "5");
    expect_le(txn, "b", "b2", "b1", "1p");
    expect_le(txn, "b", "b0", NULL, NULL);
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("b5")), 0);
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("b4")), 0);
    expect_le(txn, "b", "b9", "b3", "3");
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("b3")), 0);
    expect_le(txn, "b", "b9", "b1", "1p");
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("b1")), 0);
    expect_le(txn, "b", "b9", NULL, NULL);
    expect_le(txn, "", "b9", "a99", "below");
    assert_int_equal(emlfs_txn_commit(txn, false, NULL), 0);
    expect_le(txn, "b", "b9", NULL, NULL);
    expect_le(txn, "", "b9", "a99", "below");
    emlfs_txn_free(txn);
}

static void get_le_sees_commits_of_others(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    expect_le(txn, "b", "b9", NULL, NULL);
    put_now(f->catalog, "b3", SEALED, "3");
    expect_le(txn, "b", "b9", "b3", "3");
    emlfs_txn_free(txn);
}

static void get_le_refuses_a_prefix_that_is_none(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf out = EMLFS_BUF_INIT(100);
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    assert_int_equal(emlfs_txn_get_le(txn,
                                      &(struct emlfs_row_below){.prefix = emlfs_span_str("a"),
                                                                .key = emlfs_span_str("b"),
                                                                .ret_key = &out,
                                                                .ret_value = &out},
                                      NULL),
                     -EINVAL);
    emlfs_txn_free(txn);
}

/* A walk written as the keys it meets, from seek on. */
static void expect_walk(struct emlfs_catalog_iter *iter, const char *keys)
{
    struct emlfs_buf met = EMLFS_BUF_INIT(1000);
    struct emlfs_buf value = EMLFS_BUF_INIT(1000);

    for (; emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter)) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        assert_int_equal(emlfs_buf_append(&met, key.data, key.len), 0);
        assert_int_equal(emlfs_catalog_iter_value(iter, SEALED, &value, NULL), 0);
        assert_true(emlfs_span_equal(emlfs_buf_view(&value), key));
    }
    assert_int_equal(emlfs_catalog_iter_error(iter, NULL), 0);
    expect_bytes(&met, keys);
    emlfs_catalog_iter_next(iter); /* harmless at the end */
    assert_false(emlfs_catalog_iter_valid(iter));
    emlfs_buf_free(&met);
    emlfs_buf_free(&value);
}

static void walks_are_ordered_snapshots(void **state)
{
    struct fixture *f = *state;
    struct emlfs_catalog_iter *iter;
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_catalog_iter_new(f->catalog, &iter, NULL), 0);
    emlfs_catalog_iter_seek(iter, emlfs_span_str("a"));
    expect_walk(iter, "");
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("a"));
    expect_walk(iter, "");
    emlfs_catalog_iter_free(iter);
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    for (const char *key = "hcagb\xff"; *key; key++) {
        struct emlfs_span one = emlfs_span_of(key, 1);
        assert_int_equal(emlfs_txn_put(txn, one, SEALED, one), 0);
    }
    assert_int_equal(emlfs_txn_commit(txn, false, NULL), 0);
    assert_int_equal(emlfs_catalog_iter_new(f->catalog, &iter, NULL), 0);
    put(txn, "d", SEALED, "later");
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("a")), 0);
    assert_int_equal(emlfs_txn_commit(txn, false, NULL), 0);
    emlfs_txn_free(txn);
    emlfs_catalog_iter_seek(iter, emlfs_span_str("a"));
    expect_walk(iter, "abcgh\xff");
    emlfs_catalog_iter_seek(iter, emlfs_span_str("d"));
    expect_walk(iter, "gh\xff");
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("d"));
    expect_walk(iter, "cgh\xff");
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("c"));
    expect_walk(iter, "cgh\xff");
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("\xff\xff"));
    expect_walk(iter, "\xff");
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("A"));
    expect_walk(iter, "");
    emlfs_catalog_iter_free(iter);
    expect_row(f->catalog, "d", SEALED, "later");
}

static void ten_thousand_pending_rows(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;
    char key[32];
    char bound[32];

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "r%08u", i * 7919u % 10000u * 2u);
        put(txn, key, SEALED, key);
    }
    assert_int_equal(emlfs_txn_rows(txn), 10000);
    expect_le(txn, "r", "r00009999", "r00009998", "r00009998");
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    for (unsigned i = 5000; i < 10000; i++) {
        snprintf(key, sizeof(key), "r%08u", i * 2);
        assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str(key)), 0);
    }
    expect_le(txn, "r", "r99999999", "r00009998", "r00009998");
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    emlfs_catalog_compact(f->catalog);
    for (unsigned i = 0; i < 10000; i++) {
        snprintf(key, sizeof(key), "r%08u", i * 2);
        snprintf(bound, sizeof(bound), "r%08u", i * 2 + 1);
        expect_row(f->catalog, key, SEALED, i < 5000 ? key : NULL);
        expect_le(txn, "r", bound, i < 5000 ? key : "r00009998", i < 5000 ? key : "r00009998");
    }
    emlfs_txn_free(txn);
}

static void empty_commit_is_nothing(void **state)
{
    struct fixture *f = *state;
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    assert_int_equal(emlfs_txn_commit(txn, false, NULL), 0);
    emlfs_txn_free(txn);
    emlfs_txn_free(NULL);
    emlfs_catalog_iter_free(NULL);
}

#define SUITE(setup)                                                                               \
    {                                                                                              \
        cmocka_unit_test_setup_teardown(rows_are_read_back, setup, teardown),                      \
            cmocka_unit_test_setup_teardown(sealed_row_in_clear_is_noise, setup, teardown),        \
            cmocka_unit_test_setup_teardown(sealed_row_opens_in_its_place_only, setup, teardown),  \
            cmocka_unit_test_setup_teardown(limits_hold, setup, teardown),                         \
            cmocka_unit_test_setup_teardown(pending_rows_are_seen_by_their_transaction_only,       \
                                            setup, teardown),                                      \
            cmocka_unit_test_setup_teardown(uncommitted_rows_vanish, setup, teardown),             \
            cmocka_unit_test_setup_teardown(pending_row_in_the_wrong_form_is_refused, setup,       \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(get_le_merges_pending_and_stored, setup, teardown),    \
            cmocka_unit_test_setup_teardown(get_le_sees_commits_of_others, setup, teardown),       \
            cmocka_unit_test_setup_teardown(get_le_refuses_a_prefix_that_is_none, setup,           \
                                            teardown),                                             \
            cmocka_unit_test_setup_teardown(walks_are_ordered_snapshots, setup, teardown),         \
            cmocka_unit_test_setup_teardown(ten_thousand_pending_rows, setup, teardown),           \
            cmocka_unit_test_setup_teardown(empty_commit_is_nothing, setup, teardown),             \
    }

int main(void)
{
    const struct CMUnitTest in_memory[] = SUITE(setup_memory);
    const struct CMUnitTest on_disk[] = SUITE(setup_disk);

    int failed = cmocka_run_group_tests_name("memory", in_memory, NULL, NULL);
    failed += cmocka_run_group_tests_name("leveldb", on_disk, NULL, NULL);
    return failed ? 1 : 0;
}
