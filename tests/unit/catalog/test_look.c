/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Looking into a closed database: every row is seen, nothing beside it changes, nothing is left. */
#include "catalog_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "../../../store/catalog/look.h"
#include "emlfs/base/os.h"

static int look(struct fixture *f, struct emlfs_err *err)
{
    struct emlfs_catalog_config config = fixture_config(f, false);

    config.look = true;
    return emlfs_catalog_open(&config, &f->catalog, err);
}

/* A number that changes with any file below the fixture's directory. */
static uint64_t state_of(const struct fixture *f)
{
    uint64_t sum = 0;
    DIR *dir = opendir(f->dir);

    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        struct stat st;
        char path[400];

        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, entry->d_name);
        if (strcmp(entry->d_name, "..") == 0)
            continue;
        assert_int_equal(stat(path, &st), 0);
        sum += (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size * 37 +
               (uint64_t)st.st_mtim.tv_nsec * 41 + (uint64_t)st.st_mtim.tv_sec * 43 +
               (uint64_t)st.st_ctim.tv_nsec * 47;
    }
    closedir(dir);
    return sum;
}

/* A fixture with rows in tables and rows in the log, closed. */
static struct fixture *closed(void **state)
{
    struct fixture *f = *state;

    put_now(f->catalog, "in a table", EMLFS_CATALOG_SEALED, "x");
    emlfs_catalog_compact(f->catalog);
    put_now(f->catalog, "in the log", 0, "y");
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    return f;
}

static void rows_are_seen_and_nothing_changes(void **state)
{
    struct fixture *f = closed(state);
    uint64_t before = state_of(f);

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(look(f, NULL), 0);
        expect_row(f->catalog, "in a table", EMLFS_CATALOG_SEALED, "x");
        expect_row(f->catalog, "in the log", 0, "y");
        emlfs_catalog_compact(f->catalog);
        emlfs_catalog_close(f->catalog);
        f->catalog = NULL;
        assert_int_equal(state_of(f), before);
    }
    assert_int_equal(fixture_open(f, false, NULL), 0);
    assert_int_not_equal(state_of(f), before); /* the comparison can fail */
    expect_row(f->catalog, "in the log", 0, "y");
}

static void commits_are_refused(void **state)
{
    struct fixture *f = closed(state);
    struct emlfs_err err = {0};
    struct emlfs_txn *txn;

    assert_int_equal(look(f, NULL), 0);
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    put(txn, "new", 0, "z");
    assert_int_equal(emlfs_txn_commit(txn, true, &err), -EROFS);
    assert_int_equal(err.code, EROFS);
    emlfs_txn_free(txn);
    emlfs_catalog_close(f->catalog);
    assert_int_equal(fixture_open(f, false, NULL), 0);
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(16);
    assert_int_equal(emlfs_catalog_get(f->catalog, emlfs_span_str("new"), 0, &value, NULL),
                     -ENOENT);
}

static void what_is_not_there_is_told(void **state)
{
    struct fixture *f = closed(state);
    struct fixture none = *f;
    char path[120];

    (void)snprintf(none.dir, sizeof(none.dir), "%s/none", f->root);
    assert_int_equal(look(&none, NULL), -ENOENT);
    (void)snprintf(path, sizeof(path), "%s/CURRENT", f->dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(look(f, NULL), -ENOENT);
}

/* ---- against what LevelDB itself says */

#define KEYS 4000u
#ifdef EMLFS_SANITIZED /* which take thirty times as long */
#define EPOCHS 3u
#define STEPS 300u
#define FLIPS 60
#else
#define EPOCHS 6u
#define STEPS 900u
#define FLIPS 900
#endif
#define VALUE_MAX 3000u

struct model {
    bool present[KEYS];
    uint32_t stamp[KEYS]; /* of the value */
    uint64_t random;
    uint32_t stamps;
};

static unsigned pick(struct model *m, unsigned n)
{
    return random_below(&m->random, n);
}

/* Ascending with number; keys share much, and some are the beginning of others. */
static struct emlfs_span key_of(unsigned number, char text[16])
{
    int len = snprintf(text, 16, "k%04u%s", number / 2, number % 2 ? "\xff" : "");
    return emlfs_span_of(text, (size_t)len);
}

/* Told by its stamp: of any length, and now and then longer than a block. */
static struct emlfs_span value_of(uint32_t stamp, uint8_t bytes[VALUE_MAX])
{
    size_t len = stamp % 17 == 0 ? stamp % VALUE_MAX : stamp % 300;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(stamp >> (i % 4 * 8)) ^ (uint8_t)(stamp % 3 ? i : i * i);
    return emlfs_span_of(bytes, len);
}

static unsigned flags_of(unsigned number)
{
    return number % 3 ? 0 : EMLFS_CATALOG_SEALED;
}

static void model_change(struct model *m, struct emlfs_txn *txn)
{
    unsigned from = pick(m, KEYS), n = 1 + pick(m, 40);
    uint8_t bytes[VALUE_MAX];
    char text[16];

    for (unsigned i = from; i < from + n && i < KEYS; i++) {
        m->present[i] = pick(m, 3) > 0;
        m->stamp[i] = ++m->stamps;
        int r = m->present[i]
                    ? emlfs_txn_put(txn, key_of(i, text), flags_of(i), value_of(m->stamp[i], bytes))
                    : emlfs_txn_delete(txn, key_of(i, text));
        assert_int_equal(r, 0);
    }
}

static void epoch(struct fixture *f, struct model *m, unsigned number)
{
    struct emlfs_txn *txn;

    assert_int_equal(fixture_open(f, false, NULL), 0);
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    for (unsigned i = 0; i < STEPS; i++) {
        model_change(m, txn);
        if (pick(m, 3) == 0)
            assert_int_equal(emlfs_txn_commit(txn, pick(m, 8) == 0, NULL), 0);
    }
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    emlfs_txn_free(txn);
    if (number % 3 == 2)
        emlfs_catalog_compact(f->catalog);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
}

static void expect_at(const struct emlfs_catalog_iter *iter, const struct model *m, unsigned number)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(VALUE_MAX);
    uint8_t bytes[VALUE_MAX];
    char text[16];

    assert_int_equal(emlfs_catalog_iter_error(iter, NULL), 0);
    assert_int_equal(emlfs_catalog_iter_valid(iter), number < KEYS);
    if (number >= KEYS)
        return;
    assert_true(emlfs_span_equal(emlfs_catalog_iter_key(iter), key_of(number, text)));
    assert_int_equal(emlfs_catalog_iter_value(iter, flags_of(number), &value, NULL), 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&value), value_of(m->stamp[number], bytes)));
}

static unsigned from_on(const struct model *m, unsigned number)
{
    while (number < KEYS && !m->present[number])
        number++;
    return number;
}

/* KEYS: none. */
static unsigned up_to(const struct model *m, unsigned number)
{
    for (unsigned i = number + 1; i > 0; i--)
        if (m->present[i - 1])
            return i - 1;
    return KEYS;
}

static void walks_agree(struct fixture *f, struct model *m)
{
    struct emlfs_catalog_iter *iter;
    char text[16];

    assert_int_equal(emlfs_catalog_iter_new(f->catalog, &iter, NULL), 0);
    emlfs_catalog_iter_seek(iter, emlfs_span_str("a"));
    unsigned at = from_on(m, 0);
    for (; at < KEYS; at = from_on(m, at + 1)) {
        expect_at(iter, m, at);
        emlfs_catalog_iter_next(iter);
    }
    expect_at(iter, m, KEYS);
    for (unsigned i = 0; i < 500; i++) {
        unsigned number = pick(m, KEYS);
        emlfs_catalog_iter_seek(iter, key_of(number, text));
        at = from_on(m, number);
        for (unsigned steps = pick(m, 4); at < KEYS && steps > 0; steps--) {
            emlfs_catalog_iter_next(iter);
            at = from_on(m, at + 1);
        }
        expect_at(iter, m, at);
        number = pick(m, KEYS);
        emlfs_catalog_iter_seek_le(iter, key_of(number, text));
        expect_at(iter, m, up_to(m, number));
    }
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("z"));
    expect_at(iter, m, up_to(m, KEYS - 1));
    emlfs_catalog_iter_seek_le(iter, emlfs_span_str("a"));
    expect_at(iter, m, KEYS);
    emlfs_catalog_iter_free(iter);
}

static void rows_agree(struct fixture *f, const struct model *m)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(VALUE_MAX);
    uint8_t bytes[VALUE_MAX];
    char text[16];

    for (unsigned i = 0; i < KEYS; i++) {
        int r = emlfs_catalog_get(f->catalog, key_of(i, text), flags_of(i), &value, NULL);
        assert_int_equal(r, m->present[i] ? 0 : -ENOENT);
        if (m->present[i])
            assert_true(emlfs_span_equal(emlfs_buf_view(&value), value_of(m->stamp[i], bytes)));
    }
}

/* Backwards, which nothing but the backend offers. */
static void steps_back_agree(struct fixture *f, struct model *m)
{
    void *backend, *walk;
    struct emlfs_catalog_config config = fixture_config(f, false);
    const struct catalog_backend_ops *ops = &emlfs_catalog_look_ops;
    char text[16];
    unsigned at = up_to(m, KEYS - 1);

    assert_int_equal(emlfs_catalog_look_open(&config, &backend, NULL), 0);
    assert_int_equal(ops->iter_new(backend, &walk, NULL), 0);
    ops->iter_seek_le(walk, emlfs_span_str("z"));
    for (; at != KEYS; at = at ? up_to(m, at - 1) : KEYS) {
        assert_true(ops->iter_valid(walk));
        assert_true(emlfs_span_equal(ops->iter_key(walk), key_of(at, text)));
        if (pick(m, 5) == 0 && from_on(m, at + 1) < KEYS) {
            ops->iter_next(walk);
            assert_true(emlfs_span_equal(ops->iter_key(walk), key_of(from_on(m, at + 1), text)));
            ops->iter_prev(walk);
        }
        ops->iter_prev(walk);
    }
    assert_false(ops->iter_valid(walk));
    assert_int_equal(ops->iter_error(walk, NULL), 0);
    ops->iter_free(walk);
    ops->close(backend);
}

static void histories_are_read_as_leveldb_does(void **state)
{
    struct fixture *f = closed(state);
    struct model *m = calloc(1, sizeof(*m));

    assert_non_null(m);
    m->random = 20261130;
    assert_int_equal(fixture_open(f, false, NULL), 0);
    struct emlfs_txn *txn;
    assert_int_equal(emlfs_txn_new(f->catalog, &txn), 0);
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("in a table")), 0);
    assert_int_equal(emlfs_txn_delete(txn, emlfs_span_str("in the log")), 0);
    assert_int_equal(emlfs_txn_commit(txn, true, NULL), 0);
    emlfs_txn_free(txn);
    emlfs_catalog_close(f->catalog);
    for (unsigned i = 0; i < EPOCHS; i++) {
        epoch(f, m, i);
        assert_int_equal(look(f, NULL), 0);
        walks_agree(f, m);
        rows_agree(f, m);
        emlfs_catalog_close(f->catalog);
        f->catalog = NULL;
        steps_back_agree(f, m);
    }
    free(m);
}

/* ---- damage */

static uint64_t content_of(struct fixture *f, int *ret)
{
    struct emlfs_catalog_iter *iter;
    uint64_t sum = 1;

    *ret = look(f, NULL);
    if (*ret < 0)
        return 0;
    assert_int_equal(emlfs_catalog_iter_new(f->catalog, &iter, NULL), 0);
    for (emlfs_catalog_iter_seek(iter, emlfs_span_str("a")); emlfs_catalog_iter_valid(iter);
         emlfs_catalog_iter_next(iter)) {
        EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(1u << 20);
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        for (size_t i = 0; i < key.len; i++)
            sum = sum * 31 + key.data[i];
        if (emlfs_catalog_iter_value(iter, 0, &value, NULL) == 0)
            for (size_t i = 0; i < value.len; i++)
                sum = sum * 31 + value.data[i];
    }
    *ret = emlfs_catalog_iter_error(iter, NULL);
    emlfs_catalog_iter_free(iter);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    return sum;
}

static void byte_flip(const char *path, off_t at, uint8_t with)
{
    uint8_t byte;
    int fd = open(path, O_RDWR | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= with;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

struct flips {
    unsigned n, errors;
};

/* Every byte of small files, some of long ones: the right rows, or an error. */
static void file_damage(struct fixture *f, const char *path, uint64_t right, struct flips *flips)
{
    struct stat st;
    int r;

    assert_int_equal(stat(path, &st), 0);
    off_t step = st.st_size > FLIPS ? st.st_size / FLIPS : 1;
    for (off_t at = 0; at < st.st_size; at += step, flips->n++) {
        byte_flip(path, at, (uint8_t)(1u << at % 8));
        uint64_t sum = content_of(f, &r);
        flips->errors += r < 0;
        if (r == 0)
            assert_true(sum == right);
        byte_flip(path, at, (uint8_t)(1u << at % 8));
    }
    assert_int_equal(truncate(path, st.st_size / 2), 0);
    uint64_t sum = content_of(f, &r);
    assert_true(r < 0 || sum == right);
}

static bool is_read(const char *name)
{
    const char *dot = strrchr(name, '.');

    return strncmp(name, "MANIFEST", 8) == 0 ||
           (dot && (strcmp(dot, ".ldb") == 0 || strcmp(dot, ".log") == 0));
}

static void damage_is_an_error(void **state)
{
    struct fixture *f = closed(state);
    struct model *m = calloc(1, sizeof(*m));
    struct dirent **names;
    struct flips flips = {0};
    int r;

    assert_non_null(m);
    m->random = 5;
    epoch(f, m, 0);
    uint64_t right = content_of(f, &r);
    assert_int_equal(r, 0);
    int n = scandir(f->dir, &names, NULL, alphasort);
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf kept = EMLFS_BUF_INIT(16u << 20);
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]->d_name);
        if (is_read(names[i]->d_name)) {
            assert_int_equal(emlfs_os_read_file(path, &kept), 0);
            file_damage(f, path, right, &flips);
            assert_int_equal(emlfs_os_replace_file(path, emlfs_buf_view(&kept), 0600), 0);
        }
        free(names[i]);
    }
    free(names);
    assert_true(content_of(f, &r) == right && r == 0);
    assert_true(flips.errors > flips.n / 2); /* files that nothing reads any more lie there, too */
    free(m);
}

int main(void)
{
#define LOOK_TEST(test) cmocka_unit_test_setup_teardown(test, setup_disk, teardown)
    const struct CMUnitTest tests[] = {
        LOOK_TEST(rows_are_seen_and_nothing_changes),
        LOOK_TEST(commits_are_refused),
        LOOK_TEST(what_is_not_there_is_told),
        LOOK_TEST(histories_are_read_as_leveldb_does),
        LOOK_TEST(damage_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
