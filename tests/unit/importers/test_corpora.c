/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Real mail, when it is at hand: EMLFS_CORPORA names the directory that holds "corpora" and
 * "bench". The counts are the ones that were made by parsing. EMLFS_CORPORA_VERBOSE lists what was
 * rejected.
 */
#include <fcntl.h>
#include <time.h>

#include "collect.h"

static void path_of(char *ret, size_t size, const char *below)
{
    const char *root = corpora();
    if (!root)
        skip();
    snprintf(ret, size, "%s/%s", root ? root : "", below);
    if (access(ret, R_OK) < 0)
        skip();
}

static void show(const struct collect *collect, const char *what, double seconds)
{
    print_message("%s: %zu messages, %zu rejected, %zu folders, %zu notes, %.1f MB, %.2f s\n", what,
                  collect->messages.count, collect->rejects.count, collect->folders.count,
                  collect->notes.count, (double)collect->bytes / 1e6, seconds);
    if (!getenv("EMLFS_CORPORA_VERBOSE"))
        return;
    for (size_t i = 0; i < collect->rejects.count; i++)
        print_message("  rejected %s: %s\n", collect->rejects.items[i].position,
                      collect->rejects.items[i].text);
    for (size_t i = 0; i < collect->notes.count; i++)
        print_message("  note %s: %s\n", collect->notes.items[i].position,
                      collect->notes.items[i].text);
}

static void run_found(struct collect *collect, const char *path, const char *importer)
{
    const struct emlfs_importer *found = emlfs_importer_find(path);
    assert_non_null(found);
    assert_string_equal(found->name, importer);
    int64_t begin = emlfs_os_monotonic_ns();
    assert_int_equal(collect_run(collect, found, path), 0);
    show(collect, path, (double)(emlfs_os_monotonic_ns() - begin) / 1e9);
}

static void test_maildirpp(void **state)
{
    (void)state;
    char path[4096];
    struct collect c = {0};
    path_of(path, sizeof(path), "corpora/dovecot-maildirpp");
    run_found(&c, path, "maildir");
    assert_int_equal(c.messages.count, 145);
    assert_int_equal(c.rejects.count, 0);
    assert_int_equal(c.folders.count, 9); /* and the top: 10 */
    assert_true(collect_in_folder(&c, "Projekte/Größe & Maß") > 0);
    assert_non_null(collect_find(&c.folders, "Projekte/Größe & Maß/Straße")); /* empty */
    assert_non_null(collect_find(&c.folders, "Listen/スパム対策"));
    assert_true(collect_in_folder(&c, "") > 0);
    collect_free(&c);
}

static void test_mboxcl(void **state)
{
    (void)state;
    char path[4096];
    struct collect c = {0};
    path_of(path, sizeof(path), "corpora/mimekit/mbox/content-length.mbox.txt");
    run_found(&c, path, "mbox");
    assert_int_equal(c.messages.count, 29);
    assert_int_equal(c.rejects.count, 0);
    assert_true(collect_noted(&c, "dialect mboxcl:"));
    collect_free(&c);
}

static void test_pipermail(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        size_t count;
    } files[] = {{"r-announce-2004.mbox", 13},
                 {"r-devel-1997-December.mbox", 231},
                 {"r-help-1998-October.mbox", 96}};
    char path[4096], below[256];
    for (size_t i = 0; i < 3; i++) {
        struct collect c = {0};
        snprintf(below, sizeof(below), "corpora/r-lists-mbox/%s", files[i].name);
        path_of(path, sizeof(path), below);
        run_found(&c, path, "mbox");
        assert_int_equal(c.messages.count, files[i].count);
        assert_int_equal(c.rejects.count, 0);
        collect_free(&c);
    }
    struct collect all = {0};
    path_of(path, sizeof(path), "corpora/r-lists-mbox");
    run_found(&all, path, "eml");
    assert_int_equal(all.messages.count, 340);
    assert_int_equal(all.folders.count, 3);
    collect_free(&all);
}

static void test_thunderbird_stores(void **state)
{
    (void)state;
    char path[4096];
    struct collect c = {0};
    path_of(path, sizeof(path), "corpora/thunderbird-profile");
    run_found(&c, path, "eml");
    assert_int_equal(c.messages.count, 309 + 25); /* mbox stores, and one Maildir store */
    collect_free(&c);
}

static void test_bench(void **state)
{
    (void)state;
    char path[4096];
    struct collect c = {0};
    path_of(path, sizeof(path), "bench");
    run_found(&c, path, "eml");
    assert_int_equal(c.messages.count, 27971);
    assert_int_equal(c.rejects.count, 0);
    collect_free(&c);
}

static size_t regular_files;
static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path;
    (void)st;
    (void)ftw;
    regular_files += type == FTW_F;
    return 0;
}

/* Everything: nothing fails as a whole, and every file is accounted for. */
static void test_all(void **state)
{
    (void)state;
    char path[4096];
    struct collect c = {0};
    path_of(path, sizeof(path), "corpora");
    run_found(&c, path, "eml");
    regular_files = 0;
    assert_int_equal(nftw(path, count_file, 64, FTW_PHYS), 0);
    assert_true(c.messages.count + c.rejects.count + c.notes.count >= regular_files - 100);
    collect_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maildirpp), cmocka_unit_test(test_mboxcl),
        cmocka_unit_test(test_pipermail), cmocka_unit_test(test_thunderbird_stores),
        cmocka_unit_test(test_bench),     cmocka_unit_test(test_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
