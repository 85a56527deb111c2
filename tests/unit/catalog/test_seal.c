/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "catalog_test.h"

#include <pthread.h>

#include "../../../store/catalog/seal.h"

static struct catalog_sealer *sealer_new(void)
{
    struct emlfs_key key = test_key(3);
    struct catalog_sealer *sealer;

    assert_int_equal(emlfs_catalog_sealer_new(&key, &sealer), 0);
    return sealer;
}

static void every_flipped_bit_is_refused(void **state)
{
    struct catalog_sealer *sealer = sealer_new();
    struct emlfs_buf sealed = EMLFS_BUF_INIT(100);
    struct emlfs_buf out = EMLFS_BUF_INIT(100);
    struct emlfs_span key = emlfs_span_str("key");

    (void)state;
    assert_int_equal(emlfs_catalog_seal(sealer, key, emlfs_span_str("value"), &sealed), 0);
    assert_int_equal(sealed.len, 5 + CATALOG_SEAL_OVERHEAD_BYTES);
    for (size_t bit = 0; bit < 8 * sealed.len; bit++) {
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(emlfs_catalog_unseal(sealer, key, emlfs_buf_view(&sealed), &out),
                         -EBADMSG);
        assert_int_equal(out.len, 0);
        sealed.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sealed.len; len++)
        assert_int_equal(emlfs_catalog_unseal(sealer, key, emlfs_span_of(sealed.data, len), &out),
                         -EBADMSG);
    assert_int_equal(
        emlfs_catalog_unseal(sealer, emlfs_span_str("kez"), emlfs_buf_view(&sealed), &out),
        -EBADMSG);
    assert_int_equal(emlfs_catalog_unseal(sealer, key, emlfs_buf_view(&sealed), &out), 0);
    expect_bytes(&out, "value");
    emlfs_buf_free(&sealed);
    emlfs_buf_free(&out);
    emlfs_catalog_sealer_free(sealer);
}

static int order(const void *a, const void *b)
{
    return memcmp(a, b, EMLFS_GCM_NONCE_BYTES);
}

static void nonces_do_not_repeat(void **state)
{
    enum { N = 5000 };
    struct catalog_sealer *sealer = sealer_new();
    struct emlfs_buf sealed = EMLFS_BUF_INIT(100);
    uint8_t *nonces = calloc(N, EMLFS_GCM_NONCE_BYTES);

    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct emlfs_span same = emlfs_span_str("same");
        assert_int_equal(emlfs_catalog_seal(sealer, same, same, &sealed), 0);
        memcpy(nonces + i * EMLFS_GCM_NONCE_BYTES, sealed.data, EMLFS_GCM_NONCE_BYTES);
    }
    qsort(nonces, N, EMLFS_GCM_NONCE_BYTES, order);
    for (size_t i = 1; i < N; i++)
        assert_true(order(nonces + (i - 1) * EMLFS_GCM_NONCE_BYTES,
                          nonces + i * EMLFS_GCM_NONCE_BYTES) != 0);
    free(nonces);
    emlfs_buf_free(&sealed);
    emlfs_catalog_sealer_free(sealer);
}

static void *seal_and_open(void *arg)
{
    struct catalog_sealer *sealer = arg;
    struct emlfs_buf sealed = EMLFS_BUF_INIT(1000);
    struct emlfs_buf out = EMLFS_BUF_INIT(1000);
    struct emlfs_span text = emlfs_span_str("many threads, one sealer");
    bool ok = true;

    for (unsigned i = 0; i < 2000 && ok; i++)
        ok = emlfs_catalog_seal(sealer, text, text, &sealed) == 0 &&
             emlfs_catalog_unseal(sealer, text, emlfs_buf_view(&sealed), &out) == 0 &&
             emlfs_span_equal(emlfs_buf_view(&out), text);
    emlfs_buf_free(&sealed);
    emlfs_buf_free(&out);
    return ok ? arg : NULL;
}

static void threads_share_a_sealer(void **state)
{
    enum { THREADS = 20 };
    struct catalog_sealer *sealer = sealer_new();
    pthread_t threads[THREADS];
    void *result;

    (void)state;
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, sealer), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, sealer);
    }
    emlfs_catalog_sealer_free(sealer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_is_refused),
        cmocka_unit_test(nonces_do_not_repeat),
        cmocka_unit_test(threads_share_a_sealer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
