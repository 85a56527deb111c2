/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <time.h>

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

#define TWO                                                                                        \
    "From a@b Mon Jan  1 10:00:00 2001\nFrom: a@b\n\none\n\n"                                      \
    "From a@b Mon Jan  1 11:00:00 2001\nFrom: a@b\n\ntwo\n\n"

static void test_tree(void **state)
{
    (void)state;
    struct collect c = {0};
    source_dir(root, "a");
    source_dir(root, "a/b");
    source_dir(root, "empty");
    source_dir(root, "L\xe4nder"); /* Latin-1 */
    source_dir(root, ".git");
    source_file(root, "a/1.eml", "From: 1\n\nx");
    source_file(root, "a/b/2", "Subject: 2\r\n\r\n");
    source_file(root, "a/b/3.txt", "plain text");
    source_file(root, "a/empty.eml", "");
    source_file(root, "a/empty", "");
    source_file(root, "L\xe4nder/4.eml", "From a@b Mon Jan  1 10:00:00 2001\nSubject: 4\n\n");
    source_file(root, ".git/config", "Subject: never\n\n");
    source_file(root, "a/.DS_Store", "x");
    source_file(root, "a/Inbox.msf", "x");
    assert_int_equal(collect_run(&c, emlfs_importer_find(root), root), 0);
    assert_int_equal(c.messages.count, 3);
    assert_int_equal(c.rejects.count, 2); /* plain text, empty.eml */
    assert_int_equal(c.notes.count, 4);   /* .git, .DS_Store, .msf, empty */
    assert_int_equal(c.folders.count, 4);
    assert_int_equal(collect_in_folder(&c, "a"), 1);
    assert_int_equal(collect_in_folder(&c, "a/b"), 1);
    assert_int_equal(collect_in_folder(&c, "Länder"), 1);
    assert_string_equal(collect_find(&c.messages, "4.eml")->text, "Subject: 4\n\n");
    assert_string_equal(collect_find(&c.rejects, "3.txt")->text,
                        "no header field: begins \"plain text\"");
    assert_string_equal(collect_find(&c.rejects, "empty.eml")->text, "empty file");
    collect_free(&c);
}

static void test_ugly_mail_is_taken_as_it_is(void **state)
{
    (void)state;
    static const char nul[] = "Subject: a\0b\n\n\0\xff\0";
    struct collect c = {0};
    size_t long_len = 30u << 20;
    char *long_line = malloc(long_len);
    assert_non_null(long_line);
    memset(long_line, 'x', long_len);
    memcpy(long_line, "Subject: ", 9);
    source_file_bytes(root, "1", nul, sizeof(nul) - 1);
    source_file(root, "2", "Subject: x\rTo: y\r\rbare CR\r");
    source_file(root, "3", "Subject: \xe4\xf6\xfc\nno date\n\n");
    source_file_bytes(root, "4", long_line, long_len);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), 0);
    assert_int_equal(c.messages.count, 4);
    assert_int_equal(c.messages.items[0].len, sizeof(nul) - 1);
    assert_memory_equal(c.messages.items[0].text, nul, sizeof(nul) - 1);
    assert_int_equal(c.messages.items[3].len, long_len);
    free(long_line);
    collect_free(&c);
}

static void test_mbox_and_maildir_inside(void **state)
{
    (void)state;
    struct collect c = {0};
    source_dir(root, "Gr&APY-n");
    source_dir(root, "Gr&APY-n/cur");
    source_dir(root, "Gr&APY-n/tmp");
    source_file(root, "Gr&APY-n/cur/1:2,S", "From: 1\n\n");
    source_file(root, "Inbox", TWO);
    source_file(root, "list.mbox", TWO);
    source_file(root, "one.mbox", "From a@b Mon Jan  1 10:00:00 2001\nFrom: a@b\n\none\n\n");
    source_file(root, "single.txt", "From a@b Mon Jan  1 10:00:00 2001\nFrom: a@b\n\none\n\n");
    source_file(root, "kept.eml", TWO); /* .eml: one message, whatever is in it */
    source_file(root, "patch", "From: a@b\n\nFrom a@b Mon Jan  1 10:00:00 2001\nFrom: c\n\n");
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), 0);
    assert_int_equal(collect_in_folder(&c, "Grön"), 1);
    assert_int_equal(collect_in_folder(&c, "Inbox"), 2);
    assert_int_equal(collect_in_folder(&c, "list"), 2);
    assert_int_equal(collect_in_folder(&c, "one"), 1);
    assert_int_equal(collect_in_folder(&c, ""), 3);
    assert_int_equal(c.rejects.count, 0);
    assert_int_equal(collect_find(&c.messages, "/1:2,S")->flags, EMLFS_ENTRY_SEEN);
    assert_string_equal(collect_find(&c.messages, "one.mbox:0")->text, "From: a@b\n\none\n");
    assert_string_equal(collect_find(&c.messages, "single.txt")->text, "From: a@b\n\none\n\n");
    collect_free(&c);
    assert_int_equal(collect_run(&c, &emlfs_importer_mbox, root), 0);
    assert_int_equal(c.messages.count, 2 + 2 + 1 + 1 + 2);
    assert_int_equal(c.rejects.count, 2); /* patch, and the Maildir's message */
    collect_free(&c);
}

static void test_one_file(void **state)
{
    (void)state;
    struct collect c = {0};
    char path[1024], name[256];
    struct timespec times[2] = {{.tv_sec = 1000000001}, {.tv_sec = 1000000000}};
    struct stat before, after;
    source_file(root, "m.eml", "From: 1\n\n");
    snprintf(path, sizeof(path), "%s/m.eml", root);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    assert_int_equal(stat(path, &before), 0);
    assert_string_equal(emlfs_importer_find(path)->name, "eml");
    assert_int_equal(collect_run(&c, emlfs_importer_find(path), path), 0);
    assert_int_equal(c.messages.count, 1);
    assert_string_equal(c.messages.items[0].folder, "");
    assert_string_equal(c.messages.items[0].position, path);
    assert_int_equal(c.messages.items[0].time_sec, 1000000000);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_atim.tv_sec, before.st_atim.tv_sec);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    emlfs_importer_eml.base_folder(path, name, sizeof(name));
    assert_string_equal(name, strrchr(root, '/') + 1);
    emlfs_importer_eml.base_folder(root, name, sizeof(name));
    assert_string_equal(name, strrchr(root, '/') + 1);
    emlfs_importer_eml.base_folder("/", name, sizeof(name));
    assert_string_equal(name, "Mail");
    collect_free(&c);
}

/* Alone or in its tree, a file gives the same bytes. */
static void test_one_file_as_in_its_tree(void **state)
{
    (void)state;
    struct collect alone = {0}, tree = {0};
    char path[1024];
    source_file(root, "single.txt", "From a@b Mon Jan  1 10:00:00 2001\nFrom: a@b\n\none\n\n");
    snprintf(path, sizeof(path), "%s/single.txt", root);
    assert_int_equal(collect_run(&alone, emlfs_importer_find(path), path), 0);
    assert_int_equal(collect_run(&tree, emlfs_importer_find(root), root), 0);
    assert_int_equal(alone.messages.count, 1);
    assert_string_equal(alone.messages.items[0].text, tree.messages.items[0].text);
    assert_string_equal(alone.messages.items[0].folder, tree.messages.items[0].folder);
    collect_free(&alone);
    collect_free(&tree);
    source_file(root, "several", TWO);
    snprintf(path, sizeof(path), "%s/several", root);
    assert_string_equal(emlfs_importer_find(path)->name, "mbox");
}

static void test_missing(void **state)
{
    (void)state;
    struct collect c = {0};
    char path[1024];
    snprintf(path, sizeof(path), "%s/none", root);
    assert_null(emlfs_importer_find(path));
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, path), -ENOENT);
    assert_int_equal(collect_run(&c, &emlfs_importer_mbox, path), -ENOENT);
    assert_int_equal(collect_run(&c, &emlfs_importer_maildir, path), -ENOENT);
    assert_null(emlfs_importer_by_name("nothing"));
    assert_ptr_equal(emlfs_importer_by_name("mbox"), &emlfs_importer_mbox);
}

static void test_stays_inside(void **state)
{
    (void)state;
    struct collect c = {0};
    char link[1024];
    source_dir(root, "in");
    source_dir(root, "out");
    source_file(root, "out/secret.eml", "From: secret\n\n");
    source_file(root, "in/1.eml", "From: 1\n\n");
    snprintf(link, sizeof(link), "%s/in/dir", root);
    assert_int_equal(symlink("../out", link), 0);
    snprintf(link, sizeof(link), "%s/in/file.eml", root);
    assert_int_equal(symlink("../out/secret.eml", link), 0);
    snprintf(link, sizeof(link), "%s/in/pipe.eml", root);
    assert_int_equal(mkfifo(link, 0600), 0);
    snprintf(link, sizeof(link), "%s/in", root);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, link), 0);
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(c.notes.count, 3);
    assert_int_equal(c.rejects.count, 0);
    collect_free(&c);
    snprintf(link, sizeof(link), "%s/top", root); /* the source itself may be a link */
    assert_int_equal(symlink("in", link), 0);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, link), 0);
    assert_int_equal(c.messages.count, 1);
    collect_free(&c);
}

static void test_depth(void **state)
{
    (void)state;
    struct collect c = {0};
    char path[1024] = "";
    size_t len = 0;
    for (int i = 0; i < 103; i++) {
        len += (size_t)snprintf(path + len, sizeof(path) - len, "%sd", i ? "/" : "");
        source_dir(root, path);
    }
    snprintf(path + len, sizeof(path) - len, "/m.eml");
    source_file(root, path, "From: deep\n\n");
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), 0);
    assert_int_equal(c.messages.count, 0);
    assert_true(collect_noted(&c, "too deep"));
    assert_int_equal(c.folders.count, 100);
    collect_free(&c);
}

static void test_globs(void **state)
{
    (void)state;
    struct collect c = {0};
    source_dir(root, "a");
    source_dir(root, "a/spam");
    source_file(root, "a/1.eml", "From: 1\n\n");
    source_file(root, "a/2.txt", "From: 2\n\n");
    source_file(root, "a/spam/3.eml", "From: 3\n\n");
    const char *include[] = {"*.eml", NULL}, *exclude[] = {"a/sp*", NULL};
    struct emlfs_import_options options = {.include = include};
    assert_int_equal(collect_run_with(&c, &emlfs_importer_eml, root, &options), 0);
    assert_int_equal(c.messages.count, 2);
    collect_free(&c);
    options.exclude = exclude;
    assert_int_equal(collect_run_with(&c, &emlfs_importer_eml, root, &options), 0);
    assert_int_equal(c.messages.count, 1);
    collect_free(&c);
}

struct watch {
    uint64_t done, total;
    atomic_bool cancel;
    unsigned steps;
    unsigned cancel_at;
};

static void watch_step(void *arg, const char *phase, uint64_t done, uint64_t total)
{
    struct watch *watch = arg;
    assert_non_null(phase);
    assert_true(done >= watch->done);
    assert_true(total == 0 || done <= total);
    watch->done = done;
    watch->total = total;
    if (++watch->steps == watch->cancel_at)
        atomic_store(&watch->cancel, true);
}

static void test_progress_and_cancel(void **state)
{
    (void)state;
    struct collect c = {0};
    struct watch watch = {0};
    struct emlfs_progress progress = {.step = watch_step, .arg = &watch, .cancel = &watch.cancel};
    struct emlfs_import_options options = {.progress = &progress};
    for (int i = 0; i < 10; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i);
        source_file(root, name, "From: 1\n\n");
    }
    source_file(root, "zz.mbox", TWO);
    assert_int_equal(collect_run_with(&c, &emlfs_importer_eml, root, &options), 0);
    assert_int_equal(watch.done, watch.total);
    assert_int_equal(watch.total, 10 * 9 + sizeof(TWO) - 1);
    collect_free(&c);
    watch = (struct watch){.cancel_at = 4};
    assert_int_equal(collect_run_with(&c, &emlfs_importer_eml, root, &options), -ECANCELED);
    assert_int_equal(c.messages.count, 4);
    collect_free(&c);
}

static void test_sink_stops(void **state)
{
    (void)state;
    struct collect c = {.fail_message = -ENOSPC};
    source_file(root, "1", "From: 1\n\n");
    source_file(root, "2.mbox", TWO);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), -ENOSPC);
    assert_int_equal(collect_run(&c, &emlfs_importer_mbox, root), -ENOSPC);
    collect_free(&c);
}

static void test_too_large(void **state)
{
    (void)state;
    struct collect c = {0};
    char path[1024];
    source_file(root, "1.eml", "From: 1\n\n");
    source_file(root, "2.eml", "From: 2\n\n");
    snprintf(path, sizeof(path), "%s/1.eml", root);
    assert_int_equal(truncate(path, (off_t)EMLFS_MESSAGE_MAX_BYTES + 1), 0);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), 0);
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].text, "larger"));
    collect_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ugly_mail_is_taken_as_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mbox_and_maildir_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_file_as_in_its_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stays_inside, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_globs, setup, teardown),
        cmocka_unit_test_setup_teardown(test_progress_and_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sink_stops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
