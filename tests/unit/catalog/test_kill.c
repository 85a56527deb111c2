/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A process that commits with sync is killed; what it had acknowledged must be there. */
#include "catalog_test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define ROUNDS 12u
#define ROWS_PER_COMMIT 5u

static struct emlfs_span row_key(uint32_t commit, uint32_t row, char text[32])
{
    snprintf(text, 32, "c%08u-%u", commit, row);
    return emlfs_span_str(text);
}

/* Commits from number first on until killed; each acknowledged number goes into the pipe. */
static void child_commits(struct fixture *f, uint32_t first, int ack_fd)
{
    struct emlfs_txn *txn;
    char key[32];

    if (fixture_open(f, first == 0, NULL) < 0 || emlfs_txn_new(f->catalog, &txn) < 0)
        _exit(1);
    for (uint32_t n = first;; n++) {
        for (uint32_t row = 0; row < ROWS_PER_COMMIT; row++) {
            struct emlfs_span k = row_key(n, row, key);
            if (emlfs_txn_put(txn, k, EMLFS_CATALOG_SEALED, k) < 0)
                _exit(2);
        }
        if (emlfs_txn_commit(txn, true, NULL) < 0)
            _exit(3);
        if (write(ack_fd, &n, sizeof(n)) != sizeof(n))
            _exit(4);
    }
}

/* Returns the number after the last acknowledged one. */
static uint32_t kill_while_committing(struct fixture *f, uint32_t first, long delay_ns)
{
    uint32_t next = first;
    uint32_t n;
    int ends[2];
    int status;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        child_commits(f, first, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &n, sizeof(n)), sizeof(n)); /* it is under way */
    next = n + 1;
    nanosleep(&(struct timespec){.tv_nsec = delay_ns}, NULL);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &n, sizeof(n)) == sizeof(n))
        next = n + 1;
    close(ends[0]);
    return next;
}

static unsigned rows_present(struct emlfs_catalog *catalog, uint32_t commit)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(100);
    unsigned present = 0;
    char key[32];

    for (uint32_t row = 0; row < ROWS_PER_COMMIT; row++) {
        struct emlfs_span k = row_key(commit, row, key);
        int r = emlfs_catalog_get(catalog, k, EMLFS_CATALOG_SEALED, &buf, NULL);
        assert_true(r == 0 || r == -ENOENT);
        if (r == 0)
            assert_true(emlfs_span_equal(emlfs_buf_view(&buf), k));
        present += r == 0;
    }
    emlfs_buf_free(&buf);
    return present;
}

/* Acknowledged commits are whole; the one in flight is whole or absent; then comes nothing. */
static uint32_t check(struct fixture *f, uint32_t acknowledged)
{
    assert_int_equal(fixture_open(f, false, NULL), 0);
    for (uint32_t n = 0; n < acknowledged; n++)
        assert_int_equal(rows_present(f->catalog, n), ROWS_PER_COMMIT);
    unsigned in_flight = rows_present(f->catalog, acknowledged);
    assert_true(in_flight == 0 || in_flight == ROWS_PER_COMMIT);
    assert_int_equal(rows_present(f->catalog, acknowledged + 1), 0);
    emlfs_catalog_close(f->catalog);
    f->catalog = NULL;
    return acknowledged + (in_flight ? 1 : 0);
}

static void acknowledged_rows_survive_kill(void **state)
{
    struct fixture *f = fixture_new(true);
    uint32_t next = 0;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint32_t acknowledged = kill_while_committing(f, next, 1000000L * (long)(3 + 17 * round));
        assert_true(acknowledged > next);
        next = check(f, acknowledged);
    }
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(acknowledged_rows_survive_kill)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
