/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the backend on disk promises besides: opening, errors, damage, nothing in clear. */
#include "catalog_test.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SEALED EMLFS_CATALOG_SEALED

static void reopen(struct fixture *f)
{
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_int_equal(fixture_open(f, false, NULL), 0);
}

static int setup_closed(void **state)
{
    *state = fixture_new(true);
    return 0;
}

static void fill(struct emlfs_catalog *catalog, unsigned first, unsigned n, bool sync)
{
    struct emlfs_txn *txn;
    char key[16];
    char value[400];

    memset(value, 'v', sizeof(value));
    assert_int_equal(emlfs_txn_new(catalog, &txn), 0);
    for (unsigned i = first; i < first + n; i++) {
        snprintf(key, sizeof(key), "k%06u", i);
        struct emlfs_span text = emlfs_span_of(value, sizeof(value));
        assert_int_equal(emlfs_txn_put(txn, emlfs_span_str(key), SEALED, text), 0);
    }
    assert_int_equal(emlfs_txn_commit(txn, sync, NULL), 0);
    emlfs_txn_free(txn);
}

static void rows_survive_reopening(void **state)
{
    struct fixture *f = *state;

    put_now(f->catalog, "a", SEALED, "x");
    fill(f->catalog, 0, 2000, true);
    reopen(f);
    expect_row(f->catalog, "a", SEALED, "x");
    emlfs_catalog_compact(f->catalog);
    reopen(f);
    expect_row(f->catalog, "a", SEALED, "x");
}

static void opening_tells_what_is_there(void **state)
{
    struct fixture *f = *state;
    struct emlfs_err err = {0};

    assert_int_equal(fixture_open(f, false, &err), -ENOENT);
    assert_int_equal(access(f->dir, F_OK), -1);
    assert_int_equal(mkdir(f->dir, 0700), 0);
    assert_int_equal(fixture_open(f, false, &err), -ENOENT);
    assert_int_equal(rmdir(f->dir), 0); /* nothing was left in it */
    assert_int_equal(fixture_open(f, true, &err), 0);
    struct emlfs_catalog *first = f->catalog;
    assert_int_equal(fixture_open(f, false, &err), -EBUSY);
    assert_int_equal(emlfs_catalog_destroy(f->dir, &err), -EBUSY);
    assert_int_equal(fixture_open(f, true, &err), -EEXIST);
    emlfs_catalog_close(first);
    f->catalog = NULL;
    assert_int_equal(fixture_open(f, true, &err), -EEXIST);
    assert_int_equal(fixture_open(f, false, &err), 0);
}

static void another_process_has_it_open(void **state)
{
    struct fixture *f = *state;
    int status;

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct fixture mine = *f;
        _exit(fixture_open(&mine, false, NULL) == -EBUSY ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void another_key_opens_nothing(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf buf = EMLFS_BUF_INIT(100);

    put_now(f->catalog, "a", SEALED, "x");
    emlfs_catalog_close(f->catalog);
    struct emlfs_catalog_config config = fixture_config(f, false);
    config.key = test_key(8);
    assert_int_equal(emlfs_catalog_open(&config, &f->catalog, NULL), 0);
    assert_int_equal(emlfs_catalog_get(f->catalog, emlfs_span_str("a"), SEALED, &buf, NULL),
                     -EBADMSG);
    emlfs_buf_free(&buf);
}

/* Calls each for every file of the catalogue. */
static unsigned each_file(const struct fixture *f, const char *suffix,
                          void (*each)(const char *path))
{
    char path[400];
    unsigned n = 0;

    DIR *dir = opendir(f->dir);
    assert_non_null(dir);
    for (const struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        size_t len = strlen(e->d_name);
        if (e->d_name[0] == '.' || len < strlen(suffix) ||
            strcmp(e->d_name + len - strlen(suffix), suffix) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", f->dir, e->d_name);
        each(path);
        n++;
    }
    closedir(dir);
    return n;
}

static void file_has_no_word(const char *path)
{
    static uint8_t data[1 << 20];
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    ssize_t n = read(fd, data, sizeof(data));
    assert_true(n >= 0);
    assert_null(memmem(data, (size_t)n, "xyzzy", 5));
    assert_null(strstr(path, "/LOG"));
    close(fd);
}

static void nothing_lies_in_clear(void **state)
{
    struct fixture *f = *state;

    put_now(f->catalog, "a", SEALED, "xyzzy xyzzy xyzzy xyzzy xyzzy xyzzy");
    assert_true(each_file(f, "", file_has_no_word) >= 3);
    reopen(f);
    emlfs_catalog_compact(f->catalog);
    assert_true(each_file(f, "", file_has_no_word) >= 4);
}

static void file_damage(const char *path)
{
    uint8_t byte;
    int fd = open(path, O_RDWR);

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 5000), 1);
    byte ^= 0x40;
    assert_int_equal(pwrite(fd, &byte, 1, 5000), 1);
    close(fd);
}

static void file_remove(const char *path)
{
    assert_int_equal(unlink(path), 0);
}

static void damage_is_named_by_a_walk(void **state)
{
    struct fixture *f = *state;
    struct emlfs_err err = {0};
    struct emlfs_catalog_iter *iter;
    unsigned met = 0;

    fill(f->catalog, 0, 1000, true);
    emlfs_catalog_compact(f->catalog);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_true(each_file(f, ".ldb", file_damage) > 0);
    assert_int_equal(fixture_open(f, false, NULL), 0);
    assert_int_equal(emlfs_catalog_iter_new(f->catalog, &iter, NULL), 0);
    emlfs_catalog_iter_seek(iter, emlfs_span_str("k"));
    for (; emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter))
        met++;
    assert_true(met < 1000);
    assert_int_equal(emlfs_catalog_iter_error(iter, &err), -EUCLEAN);
    assert_int_equal(err.code, EUCLEAN);
    emlfs_catalog_iter_free(iter);
}

static void damage_is_named_by_get(void **state)
{
    struct fixture *f = *state;
    struct emlfs_buf buf = EMLFS_BUF_INIT(1000);
    unsigned damaged = 0;
    char key[16];

    fill(f->catalog, 0, 1000, true);
    emlfs_catalog_compact(f->catalog);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_true(each_file(f, ".ldb", file_damage) > 0);
    assert_int_equal(fixture_open(f, false, NULL), 0);
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%06u", i);
        int r = emlfs_catalog_get(f->catalog, emlfs_span_str(key), SEALED, &buf, NULL);
        assert_true(r == 0 || r == -EUCLEAN);
        damaged += r == -EUCLEAN;
    }
    assert_true(damaged > 0 && damaged < 1000);
    emlfs_buf_free(&buf);
}

static void lost_tables_are_damage(void **state)
{
    struct fixture *f = *state;

    fill(f->catalog, 0, 1000, true);
    emlfs_catalog_compact(f->catalog);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_true(each_file(f, ".ldb", file_remove) > 0);
    assert_int_equal(fixture_open(f, false, NULL), -EUCLEAN);
}

static void lost_current_is_damage(void **state)
{
    struct fixture *f = *state;

    fill(f->catalog, 0, 1000, true);
    emlfs_catalog_compact(f->catalog);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_int_equal(each_file(f, "CURRENT", file_remove), 1);
    assert_int_equal(fixture_open(f, false, NULL), -EUCLEAN);
    assert_int_equal(fixture_open(f, true, NULL), -EEXIST);
}

static void missing_manifest_is_damage(void **state)
{
    struct fixture *f = *state;
    char name[64];
    char path[200];

    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    snprintf(path, sizeof(path), "%s/CURRENT", f->dir);
    FILE *current = fopen(path, "r");
    assert_non_null(current);
    assert_non_null(fgets(name, sizeof(name), current));
    fclose(current);
    name[strcspn(name, "\n")] = 0;
    snprintf(path, sizeof(path), "%s/%s", f->dir, name);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fixture_open(f, false, NULL), -EUCLEAN);
}

static void destroying_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    char path[200];

    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    snprintf(path, sizeof(path), "%s/stray", f->dir);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    assert_int_equal(emlfs_catalog_destroy(f->dir, NULL), 0);
    assert_int_equal(access(f->dir, F_OK), -1);
    assert_int_equal(emlfs_catalog_destroy(f->dir, NULL), 0);
}

/* Commit until one fails; returns how many did not, and in *ret_error how the failing one ended. */
static unsigned commit_until_failure(struct emlfs_catalog *catalog, unsigned max, int *ret_error)
{
    struct emlfs_txn *txn;
    char key[16];
    uint8_t *value = calloc(1, 10000);
    unsigned i = 0;

    *ret_error = emlfs_txn_new(catalog, &txn);
    for (; i < max && *ret_error == 0; i++) {
        snprintf(key, sizeof(key), "k%06u", i);
        emlfs_txn_put(txn, emlfs_span_str(key), SEALED, emlfs_span_of(value, 10000));
        *ret_error = emlfs_txn_commit(txn, true, NULL);
    }
    emlfs_txn_free(txn);
    free(value);
    return *ret_error ? i - 1 : i;
}

static void expect_rows(struct emlfs_catalog *catalog, unsigned n)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(20000);
    char key[16];

    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%06u", i);
        assert_int_equal(emlfs_catalog_get(catalog, emlfs_span_str(key), SEALED, &buf, NULL), 0);
        assert_int_equal(buf.len, 10000);
    }
    emlfs_buf_free(&buf);
}

/* In a child, because the limit is the process's. Exit code 0: as it should be. */
static int fail_a_write(struct fixture *f, int report_fd)
{
    struct rlimit limit = {.rlim_cur = 300000, .rlim_max = 300000};
    struct emlfs_txn *txn;
    int error;

    signal(SIGXFSZ, SIG_IGN);
    struct emlfs_catalog_config config = fixture_config(f, false);
    config.write_buffer_bytes = 4u << 20; /* one log file, so that the limit meets it */
    if (emlfs_catalog_open(&config, &f->catalog, NULL) < 0 || setrlimit(RLIMIT_FSIZE, &limit) < 0)
        return 1;
    unsigned n = commit_until_failure(f->catalog, 1000, &error);
    if (error != -EIO || write(report_fd, &n, sizeof(n)) != sizeof(n))
        return 2;
    if (emlfs_txn_new(f->catalog, &txn) < 0)
        return 3;
    emlfs_txn_put(txn, emlfs_span_str("later"), 0, emlfs_span_str("x"));
    if (emlfs_txn_commit(txn, false, NULL) != -EROFS || emlfs_txn_rows(txn) != 0)
        return 4;
    emlfs_txn_free(txn);
    expect_rows(f->catalog, n); /* reading goes on */
    emlfs_catalog_close(f->catalog);
    return 0;
}

static void failed_write_poisons_and_keeps_what_was_acknowledged(void **state)
{
    struct fixture *f = *state;
    unsigned n = 0;
    int ends[2];
    int status;

    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fail_a_write(f, ends[1]));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n));
    close(ends[0]);
    close(ends[1]);
    assert_true(n > 10 && n < 40);
    assert_int_equal(fixture_open(f, false, NULL), 0);
    expect_rows(f->catalog, n);
    expect_row(f->catalog, "later", 0, NULL);
    put_now(f->catalog, "later", 0, "x");
}

static void full_disk_is_refused_in_advance(void **state)
{
    struct fixture *f = *state;
    char filler[100];
    uint8_t *zeros = calloc(1, 1 << 20);
    int error;

    if (mount("none", f->root, "tmpfs", 0, "size=6m") < 0) {
        free(zeros);
        skip();
    }
    assert_int_equal(fixture_open(f, true, NULL), 0);
    snprintf(filler, sizeof(filler), "%s/filler", f->root);
    unsigned n = commit_until_failure(f->catalog, 100, &error);
    assert_int_equal(n, 100);
    emlfs_catalog_compact(f->catalog); /* leaves LevelDB nothing to do while the disk is full */
    int fd = open(filler, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    while (write(fd, zeros, 1 << 18) > 0)
        ;
    close(fd);
    assert_int_equal(commit_until_failure(f->catalog, 1, &error), 0);
    assert_int_equal(error, -ENOSPC);
    expect_rows(f->catalog, 100);
    assert_int_equal(unlink(filler), 0);
    put_now(f->catalog, "later", 0, "there is space again");
    expect_row(f->catalog, "later", 0, "there is space again");
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    free(zeros);
    assert_int_equal(umount(f->root), 0);
}

#define OPENED(test) cmocka_unit_test_setup_teardown(test, setup_disk, teardown)
#define CLOSED(test) cmocka_unit_test_setup_teardown(test, setup_closed, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPENED(rows_survive_reopening),
        CLOSED(opening_tells_what_is_there),
        OPENED(another_process_has_it_open),
        OPENED(another_key_opens_nothing),
        OPENED(nothing_lies_in_clear),
        OPENED(damage_is_named_by_a_walk),
        OPENED(damage_is_named_by_get),
        OPENED(lost_tables_are_damage),
        OPENED(lost_current_is_damage),
        OPENED(missing_manifest_is_damage),
        OPENED(destroying_leaves_nothing),
        OPENED(failed_write_poisons_and_keeps_what_was_acknowledged),
        CLOSED(full_disk_is_refused_in_advance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
