/* SPDX-License-Identifier: GPL-3.0-or-later */
/* I-OPEN-2: an archive opened for a look is read as ever and stays untouched, or is opened as
 * usual. */
#include "snapshot_test.h"

#include "emlfs/change.h"
#include "emlfs/ledger.h"

/* A number that changes with any file below path but the lock. */
static uint64_t tree_state(const char *path)
{
    struct dirent **names;
    uint64_t sum = 0;
    int n = scandir(path, &names, NULL, NULL);

    assert_true(n >= 0);
    for (int i = 0; i < n; i++) {
        char sub[600];
        struct stat st;
        snprintf(sub, sizeof(sub), "%s/%s", path, names[i]->d_name);
        if (strcmp(names[i]->d_name, "..") != 0 && strcmp(names[i]->d_name, "lock") != 0) {
            must(lstat(sub, &st));
            sum += (uint64_t)st.st_ino * 31 + (uint64_t)st.st_size * 37 +
                   (uint64_t)st.st_mtim.tv_nsec * 41 + (uint64_t)st.st_ctim.tv_nsec * 47;
            if (S_ISDIR(st.st_mode) && strcmp(names[i]->d_name, ".") != 0)
                sum += tree_state(sub);
        }
        free(names[i]);
    }
    free(names);
    return sum;
}

static void fill(struct life *life, unsigned from, unsigned n)
{
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER);
    life_begin(life, "test");
    for (unsigned i = from; i < from + n; i++)
        life_put_mail(life, top, USER, i);
    life_end(life, true);
    life_close(life);
}

static void look(struct life *life)
{
    const struct emlfs_archive_options options = {
        .path = life->path, .look = true, .clock = {.now_ns = life_now, .arg = life}};
    must(emlfs_archive_open(&options, &life->archive, NULL));
}

static void snapshot(struct life *life, struct emlfs_buf *out)
{
    archive_snapshot(life->archive, 100, out);
    life_close(life);
}

static bool is_looking(struct life *life)
{
    const struct emlfs_folder_wanted wanted = {.user = OTHER, .name = "made"};
    struct emlfs_folder_id id;
    int rc = emlfs_archive_folder_make(life->archive, NULL, &wanted, &id, NULL);
    assert_true(rc == 0 || rc == -EROFS);
    return rc == -EROFS;
}

static void test_untouched(void **state)
{
    struct emlfs_buf usual EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16u << 20);
    struct emlfs_buf seen EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16u << 20);
    struct emlfs_archive_status status;
    struct emlfs_check_totals totals;
    struct life *life = *state;
    const struct emlfs_archive_options options = {.path = life->path};

    life_init(life);
    fill(life, 0, 300);
    life_open(life);
    snapshot(life, &usual);
    uint64_t before = tree_state(life->path);
    look(life);
    assert_true(is_looking(life));
    must(emlfs_archive_get_status(life->archive, &status, NULL));
    assert_true(status.writable); /* the archive is; this opening is not */
    assert_int_equal(status.messages, 300);
    snapshot(life, &seen);
    assert_true(emlfs_span_equal(emlfs_buf_view(&usual), emlfs_buf_view(&seen)));
    assert_true(tree_state(life->path) == before);
    must(emlfs_archive_verify_files(&options, NULL, finding_print, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    assert_true(tree_state(life->path) != before); /* the comparison can fail */
}

static char *store_file(const struct life *life, const char *name, char ret[300])
{
    struct dirent **names;
    char stores[128];

    snprintf(stores, sizeof(stores), "%s/stores", life->path);
    assert_int_equal(scandir(stores, &names, NULL, alphasort), 3);
    snprintf(ret, 300, "%s/%.60s/%s", stores, names[2]->d_name, name);
    for (unsigned i = 0; i < 3; i++)
        free(names[i]);
    free(names);
    return ret;
}

/* A catalogue that was not closed in order is opened, and closed, as usual. */
static void test_not_closed(void **state)
{
    struct life *life = *state;
    char sum[300];

    life_init(life);
    fill(life, 0, 50);
    must(unlink(store_file(life, "catalog.sum", sum)));
    look(life);
    assert_false(is_looking(life));
    life_close(life);
    must(access(sum, F_OK));
}

/* The catalogue is whole and was closed in order, but the packs hold more: nothing may be missing.
 */
static void test_packs_hold_more(void **state)
{
    struct emlfs_buf seen EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16u << 20);
    struct emlfs_buf usual EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16u << 20);
    static const char *const names[] = {"catalog", "catalog.sum"};
    struct life *life = *state;
    char now[300], old[300], copy[128];

    life_init(life);
    fill(life, 0, 50);
    snprintf(copy, sizeof(copy), "%s/copy", life->dir);
    tree_copy(store_file(life, "", now), copy);
    life_open(life);
    life_begin(life, "more");
    for (unsigned i = 50; i < 60; i++)
        life_put_mail(life, (struct emlfs_folder_id){1}, USER, i);
    life_end(life, true);
    snapshot(life, &usual);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(old, sizeof(old), "%s/%s", copy, names[i]);
        tree_remove(store_file(life, names[i], now));
        must(rename(old, now));
    }
    look(life);
    assert_false(is_looking(life));
    life_close(life);
    life_open(life);
    archive_snapshot(life->archive, 100, &seen);
    assert_non_null(memmem(seen.data, seen.len, usual.data + usual.len / 2, usual.len / 4));
    assert_true(mail_matches(life->archive, life->results[9].id, 59) == 0);
}

/* Damage that stands in the way of opening is put right as ever. */
static void test_damaged(void **state)
{
    struct emlfs_check_totals totals;
    struct life *life = *state;
    char current[300];

    life_init(life);
    fill(life, 0, 50);
    must(unlink(store_file(life, "catalog/CURRENT", current)));
    look(life);
    emlfs_archive_opening(life->archive, &totals);
    assert_true(totals.repaired > 0);
    assert_false(is_looking(life));
    assert_true(mail_matches(life->archive, life->results[7].id, 7) == 0);
}

static uint64_t sub_state(const struct life *life, const char *name)
{
    char path[300];

    snprintf(path, sizeof(path), "%s/%s", life->path, name);
    return tree_state(path);
}

static int search_seen(void *arg, const struct emlfs_ledger_record *record)
{
    unsigned *n = arg;

    *n += record->kind == EMLFS_LEDGER_SEARCH;
    return 0;
}

/* What somebody did while looking is recorded, and nothing but the ledger changes for it. */
static void test_recorded(void **state)
{
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_SEARCH};
    const struct emlfs_actor actor = {0};
    const struct emlfs_ledger_filter all = {0};
    struct emlfs_check_totals totals;
    struct life *life = *state;
    const struct emlfs_archive_options options = {.path = life->path};
    unsigned n = 0;

    life_init(life);
    fill(life, 0, 50);
    uint64_t stores = sub_state(life, "stores"), master = sub_state(life, "master");
    uint64_t ledger = sub_state(life, "ledger");
    for (unsigned i = 0; i < 3; i++) {
        look(life);
        assert_null(emlfs_archive_ledger(life->archive));
        must(emlfs_archive_record(life->archive, &actor, &record, NULL));
        must(emlfs_archive_record(life->archive, &actor, &record, NULL));
        assert_true(is_looking(life));
        life_close(life);
    }
    assert_true(sub_state(life, "stores") == stores);
    assert_true(sub_state(life, "master") == master);
    assert_true(sub_state(life, "ledger") != ledger);
    must(emlfs_archive_verify_files(&options, NULL, finding_print, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    life_open(life);
    must(emlfs_ledger_each(emlfs_archive_ledger(life->archive), &all, search_seen, &n, NULL));
    assert_int_equal(n, 6);
}

/* A ledger that did not end in order is recovered, or refused, as ever. */
static void test_ledger_not_closed(void **state)
{
    struct life *life = *state;
    char path[300];

    life_init(life);
    fill(life, 0, 20);
    snprintf(path, sizeof(path), "%s/ledger/records/00000001.log", life->path);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
    const struct emlfs_archive_options options = {.path = life->path, .look = true};
    assert_int_equal(emlfs_archive_open(&options, &life->archive, NULL), -EBADMSG);
    life->archive = NULL;
}

/* Taken away while somebody looks: nothing is recorded, and that is said. */
static void test_ledger_taken_away(void **state)
{
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_SEARCH};
    const struct emlfs_actor actor = {0};
    struct life *life = *state;
    char from[300], to[300];

    life_init(life);
    fill(life, 0, 20);
    snprintf(from, sizeof(from), "%s/ledger", life->path);
    snprintf(to, sizeof(to), "%s/ledger.away", life->path);
    look(life);
    must(rename(from, to));
    assert_int_equal(emlfs_archive_record(life->archive, &actor, &record, NULL), -EIO);
    must(rename(to, from));
    life_close(life);
}

int main(void)
{
#define LIFE_TEST(test) cmocka_unit_test_setup_teardown(test, life_make, life_free)
    const struct CMUnitTest tests[] = {
        LIFE_TEST(test_untouched),         LIFE_TEST(test_not_closed),
        LIFE_TEST(test_packs_hold_more),   LIFE_TEST(test_damaged),
        LIFE_TEST(test_recorded),          LIFE_TEST(test_ledger_not_closed),
        LIFE_TEST(test_ledger_taken_away),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
