/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "collect.h"

static char root[512];

static int setup(void **state)
{
    (void)state;
    source_make(root, sizeof(root));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_remove(root);
    return 0;
}

static void make_maildir(const char *name)
{
    char path[512];
    static const char *const parts[] = {"", "/cur", "/new", "/tmp"};
    for (size_t i = *name ? 0 : 1; i < 4; i++) {
        snprintf(path, sizeof(path), "%s%s", name, *name ? parts[i] : parts[i] + 1);
        source_dir(root, path);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t flags;
        int64_t time_sec;
        bool keywords;
    } names[] = {
        {"1035478339.27041_118.foo.org,S=1000,W=1030:2,SF", EMLFS_ENTRY_SEEN | EMLFS_ENTRY_FLAGGED,
         1035478339, false},
        {"1035478339.x:2,DRTP",
         EMLFS_ENTRY_DRAFT | EMLFS_ENTRY_ANSWERED | EMLFS_ENTRY_DELETED | EMLFS_ENTRY_FORWARDED,
         1035478339, false},
        {"1035478339.x:2,Sab", EMLFS_ENTRY_SEEN, 1035478339, true},
        {"1035478339.x;2,S", EMLFS_ENTRY_SEEN, 1035478339, false},
        {"1035478339.x!2,S", EMLFS_ENTRY_SEEN, 1035478339, false},
        {"1035478339.x", 0, 1035478339, false},
        {"1035478339.x:1,S", 0, 1035478339, false},
        {"17:2,S", EMLFS_ENTRY_SEEN, 0, false},
        {"SFRT", 0, 0, false},
        {"1035478339999999.x", 0, 0, false},
        {":2,S", 0, 0, false},
        {"", 0, 0, false},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool keywords;
        assert_int_equal(emlfs_maildir_flags(names[i].name, &keywords), names[i].flags);
        assert_int_equal(keywords, names[i].keywords);
        assert_int_equal(emlfs_maildir_time(names[i].name), names[i].time_sec);
    }
}

static void test_maildirpp(void **state)
{
    (void)state;
    struct collect c = {0};
    make_maildir("");
    make_maildir(".A.B");
    make_maildir(".Gr&APYA3w-e.R&D");
    make_maildir(".&AC4ALg-"); /* decodes to "..": must not mean a place */
    make_maildir(".x&AC8-y");
    make_maildir("nested");
    make_maildir("nested/deeper");
    source_dir(root, ".cache");
    source_file(root, "cur/1035478339.a:2,Sa", "From: 1\n\n");
    source_file(root, "new/1035478340.b", "From: 2\n\n");
    source_file(root, "tmp/1035478341.c", "From: never\n\n");
    source_file(root, "cur/1035478342.d:2,", "not mail");
    source_file(root, ".A.B/cur/1035478343.e:2,RS", "From: 3\n\n");
    source_file(root, ".A.B/dovecot-uidlist", "3 V1 N1\n");
    source_file(root, "dovecot-uidlist", "3 V1 N1\n");
    source_file(root, ".Gr&APYA3w-e.R&D/new/f", "From: 4\n\n");
    source_file(root, ".&AC4ALg-/cur/g", "From: 5\n\n");
    source_file(root, ".x&AC8-y/cur/h", "From: 6\n\n");
    source_file(root, "nested/deeper/cur/i", "From: 7\n\n");
    source_file(root, "loose:2,S", "From: 8\n\n");
    const struct emlfs_importer *found = emlfs_importer_find(root);
    assert_string_equal(found->name, "maildir");
    assert_int_equal(collect_run(&c, found, root), 0);
    assert_int_equal(c.messages.count, 8);
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].position, "/cur/1035478342.d"));
    assert_int_equal(collect_in_folder(&c, ""), 3);
    assert_int_equal(collect_in_folder(&c, "A/B"), 1);
    assert_int_equal(collect_in_folder(&c, "Größe/R&D"), 1);
    assert_int_equal(collect_in_folder(&c, "__"), 1);
    assert_int_equal(collect_in_folder(&c, "x_y"), 1);
    assert_int_equal(collect_in_folder(&c, "nested/deeper"), 1);
    assert_non_null(collect_find(&c.folders, "nested"));
    assert_int_equal(c.folders.count, 6);
    assert_true(collect_noted(&c, "keywords"));
    assert_non_null(collect_find(&c.notes, ".cache"));
    const struct collect_item *first = collect_find(&c.messages, "1035478339.a");
    assert_int_equal(first->flags, EMLFS_ENTRY_SEEN);
    assert_int_equal(first->time_sec, 1035478339);
    assert_int_equal(collect_find(&c.messages, "1035478340.b")->flags, 0);
    assert_true(collect_find(&c.messages, "/new/f")->time_sec > 1035478343);
    collect_free(&c);
}

static void test_base_folder(void **state)
{
    (void)state;
    char name[256], path[1024];
    make_maildir("Maildir");
    make_maildir(".Archives.&MLkw0TDgW,57Vg-");
    snprintf(path, sizeof(path), "%s/Maildir/", root);
    emlfs_importer_maildir.base_folder(path, name, sizeof(name));
    assert_string_equal(name, "INBOX");
    snprintf(path, sizeof(path), "%s/.Archives.&MLkw0TDgW,57Vg-", root);
    emlfs_importer_maildir.base_folder(path, name, sizeof(name));
    assert_string_equal(name, "スパム対策");
}

static void test_exclude(void **state)
{
    (void)state;
    struct collect c = {0};
    make_maildir("");
    make_maildir(".Trash");
    source_file(root, "cur/a:2,", "From: 1\n\n");
    source_file(root, ".Trash/cur/b:2,", "From: 2\n\n");
    const char *exclude[] = {".Trash", NULL};
    struct emlfs_import_options options = {.exclude = exclude};
    assert_int_equal(collect_run_with(&c, &emlfs_importer_maildir, root, &options), 0);
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(c.folders.count, 0);
    collect_free(&c);
    const char *include[] = {".Trash/*", NULL};
    options = (struct emlfs_import_options){.include = include};
    assert_int_equal(collect_run_with(&c, &emlfs_importer_maildir, root, &options), 0);
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(collect_in_folder(&c, "Trash"), 1);
    collect_free(&c);
}

/* A mail program changes the flags of the second message while the first is being taken. */
static int rename_while_reading(void *arg, struct emlfs_source_message *message,
                                struct emlfs_err *err)
{
    char from[1024], to[1024];
    snprintf(from, sizeof(from), "%s/cur/2.x:2,", root);
    snprintf(to, sizeof(to), "%s/cur/2.x:2,S", root);
    if (((struct collect *)arg)->messages.count == 0)
        assert_int_equal(rename(from, to), 0);
    return collect_message(arg, message, err);
}

static void test_renamed_meanwhile(void **state)
{
    (void)state;
    struct collect c = {0};
    struct emlfs_err err = {0};
    make_maildir("");
    source_file(root, "cur/1.x:2,", "From: 1\n\n");
    source_file(root, "cur/2.x:2,", "From: 2\n\n");
    struct emlfs_sink sink = {.arg = &c, .message = rename_while_reading, .reject = collect_reject};
    assert_int_equal(emlfs_importer_maildir.run(root, NULL, &sink, &err), 0);
    assert_int_equal(c.messages.count, 2);
    assert_int_equal(c.messages.items[1].flags, EMLFS_ENTRY_SEEN);
    collect_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_maildirpp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exclude, setup, teardown),
        cmocka_unit_test_setup_teardown(test_renamed_meanwhile, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
