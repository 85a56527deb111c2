/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_CATALOG_TEST_H
#define EMLFS_TESTS_CATALOG_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above first. */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emlfs/catalog.h"
#include "scratch.h"

/* A catalogue on either backend, in a directory of its own. */
struct fixture {
    bool on_disk;
    char root[64]; /* temporary directory */
    char dir[80];  /* the catalogue in it */
    struct emlfs_catalog *catalog;
};

/* From 0 to n - 1; *state is not 0. */
static inline unsigned random_below(uint64_t *state, unsigned n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)((*state >> 20) % n);
}

static inline struct emlfs_key test_key(uint8_t fill)
{
    struct emlfs_key key;
    memset(key.v, fill, sizeof(key.v));
    return key;
}

static inline struct emlfs_catalog_config fixture_config(const struct fixture *f, bool create)
{
    return (struct emlfs_catalog_config){.dir = f->dir,
                                         .key = test_key(7),
                                         .create = create,
                                         .paranoid = true,
                                         .cache_bytes = 1u << 20,
                                         .write_buffer_bytes = 64u << 10};
}

static inline int fixture_open(struct fixture *f, bool create, struct emlfs_err *err)
{
    struct emlfs_key key = test_key(7);

    if (!f->on_disk)
        return emlfs_catalog_open_memory(&key, &f->catalog);
    struct emlfs_catalog_config config = fixture_config(f, create);
    return emlfs_catalog_open(&config, &f->catalog, err);
}

static inline struct fixture *fixture_new(bool on_disk)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->on_disk = on_disk;
    snprintf(f->root, sizeof(f->root), "%s/emlfs-catalog-XXXXXX", scratch_dir());
    assert_non_null(mkdtemp(f->root));
    snprintf(f->dir, sizeof(f->dir), "%s/catalog", f->root);
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    emlfs_catalog_close(f->catalog);
    assert_int_equal(emlfs_catalog_destroy(f->dir, NULL), 0);
    assert_int_equal(rmdir(f->root), 0);
    free(f);
}

static inline int setup_memory(void **state)
{
    struct fixture *f = fixture_new(false);
    *state = f;
    return fixture_open(f, true, NULL);
}

static inline int setup_disk(void **state)
{
    struct fixture *f = fixture_new(true);
    *state = f;
    return fixture_open(f, true, NULL);
}

static inline int teardown(void **state)
{
    fixture_free(*state);
    return 0;
}

static inline void put(struct emlfs_txn *txn, const char *key, unsigned flags, const char *value)
{
    assert_int_equal(emlfs_txn_put(txn, emlfs_span_str(key), flags, emlfs_span_str(value)), 0);
}

static inline void put_now(struct emlfs_catalog *catalog, const char *key, unsigned flags,
                           const char *value)
{
    struct emlfs_txn *txn;

    assert_int_equal(emlfs_txn_new(catalog, &txn), 0);
    put(txn, key, flags, value);
    assert_int_equal(emlfs_txn_commit(txn, false, NULL), 0);
    emlfs_txn_free(txn);
}

static inline void expect_bytes(const struct emlfs_buf *buf, const char *text)
{
    assert_int_equal(buf->len, strlen(text));
    assert_memory_equal(buf->data, text, buf->len);
}

static inline void expect_row(struct emlfs_catalog *catalog, const char *key, unsigned flags,
                              const char *value)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(1 << 20);

    int r = emlfs_catalog_get(catalog, emlfs_span_str(key), flags, &buf, NULL);
    assert_int_equal(r, value ? 0 : -ENOENT);
    expect_bytes(&buf, value ? value : "");
    emlfs_buf_free(&buf);
}

#endif
