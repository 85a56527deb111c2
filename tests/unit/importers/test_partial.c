/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ret_partial: set whenever mail may be there that was not seen, and only then. */
#include <fcntl.h>
#include <sys/wait.h>

#include "collect.h"

#define NOBODY 65534

static char root[512];

static int setup(void **state)
{
    (void)state;
    source_make(root, sizeof(root));
    assert_int_equal(chmod(root, 0755), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_remove(root);
    return 0;
}

/* The modes stop an ordinary user only: a child becomes one, which the fixture is not owned by. */
static bool partial_of(const char *importer, const char *path)
{
    struct collect collect = {0};
    bool partial = true;
    struct emlfs_import_options options = {.ret_partial = &partial};
    int r = collect_run_with(&collect, emlfs_importer_by_name(importer), path, &options);
    collect_free(&collect);
    return r < 0 || partial;
}

static bool partial_as_nobody(const char *importer, const char *path)
{
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
            _exit(99);
        _exit(partial_of(importer, path));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_in_range(WEXITSTATUS(status), 0, 1);
    return WEXITSTATUS(status) == 1;
}

static void mode_set(const char *name, mode_t mode)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_whole(void **state)
{
    (void)state;
    source_dir(root, "a");
    source_file(root, "a/1.eml", "Subject: 1\n\nx");
    source_file(root, "a/text", "no mail"); /* rejected, but read */
    char path[1024];
    snprintf(path, sizeof(path), "%s/a/link", root);
    assert_int_equal(symlink("/etc", path), 0); /* never followed */
    source_dir(root, "a/.git");
    assert_false(partial_of("eml", root));
    assert_false(partial_as_nobody("eml", root));
}

static void test_directory(void **state)
{
    (void)state;
    source_dir(root, "open");
    source_file(root, "open/1.eml", "Subject: 1\n\nx");
    source_dir(root, "closed");
    mode_set("closed", 0);
    assert_true(partial_as_nobody("eml", root));
    assert_true(partial_as_nobody("mbox", root));
    mode_set("closed", 0755);
    assert_false(partial_as_nobody("eml", root));
}

static void test_file(void **state)
{
    (void)state;
    source_file(root, "1.eml", "Subject: 1\n\nx");
    mode_set("1.eml", 0);
    assert_true(partial_as_nobody("eml", root));
    mode_set("1.eml", 0644);
    assert_false(partial_as_nobody("eml", root));
}

static void test_maildir(void **state)
{
    (void)state;
    static const char *const closed[] = {"cur", ".Sent", ".Sent/new", "new/1"};
    static const char *const dirs[] = {"cur", "new", "tmp", ".Sent", ".Sent/cur", ".Sent/new"};
    for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
        source_dir(root, dirs[i]);
    source_file(root, "new/1", "Subject: 1\n\nx");
    assert_false(partial_as_nobody("maildir", root));
    for (size_t i = 0; i < sizeof(closed) / sizeof(closed[0]); i++) {
        mode_set(closed[i], 0);
        assert_true(partial_as_nobody("maildir", root));
        mode_set(closed[i], 0755);
    }
    mode_set("tmp", 0); /* never read */
    assert_false(partial_as_nobody("maildir", root));
    mode_set("tmp", 0755);
}

static void test_depth(void **state)
{
    (void)state;
    char path[4096];
    size_t len = strlen(root);
    memcpy(path, root, len + 1);
    for (unsigned i = 0; i <= EMLFS_IMPORT_DEPTH_MAX; i++) {
        len += (size_t)snprintf(path + len, sizeof(path) - len, "/d");
        assert_int_equal(mkdir(path, 0755), 0);
    }
    assert_true(partial_of("eml", root));
    assert_int_equal(rmdir(path), 0);
    assert_false(partial_of("eml", root));
}

/* Removes what comes later in the directory when the first message arrives. */
static int remove_later(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    (void)message;
    (void)err;
    if (unlink(arg) < 0)
        return errno == ENOENT ? 0 : -EIO;
    return 0;
}

static int reject_none(void *arg, const char *position, const char *reason, struct emlfs_err *err)
{
    (void)arg;
    (void)position;
    (void)reason;
    (void)err;
    return 0;
}

static void test_vanished(void **state)
{
    (void)state;
    char later[1024];
    bool partial = false;
    struct emlfs_import_options options = {.ret_partial = &partial};
    struct emlfs_sink sink = {.arg = later, .message = remove_later, .reject = reject_none};
    struct emlfs_err err = {0};
    source_file(root, "1.eml", "Subject: 1\n\nx");
    source_file(root, "2.eml", "Subject: 2\n\nx");
    snprintf(later, sizeof(later), "%s/2.eml", root);
    assert_int_equal(emlfs_importer_by_name("eml")->run(root, &options, &sink, &err), 0);
    assert_true(partial);
}

static int cut_short(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    (void)message;
    (void)err;
    return truncate(arg, 10) < 0 ? -EIO : 0;
}

/* An mbox larger than the window, cut while it is read. */
static void test_mbox_shrinks(void **state)
{
    (void)state;
    char path[1024];
    bool partial = false;
    struct emlfs_import_options options = {.ret_partial = &partial};
    struct emlfs_sink sink = {.arg = path, .message = cut_short, .reject = reject_none};
    struct emlfs_err err = {0};
    snprintf(path, sizeof(path), "%s/a.mbox", root);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 20000; i++)
        fprintf(file, "From a@b Mon Jan  1 10:00:00 2001\nSubject: %d\n\ntext\n\n", i);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(emlfs_importer_by_name("mbox")->run(path, &options, &sink, &err), 0);
    assert_true(partial);
}

static void test_cancelled(void **state)
{
    (void)state;
    static const char *const importers[] = {"eml", "maildir", "mbox"};
    atomic_bool cancel = true;
    struct emlfs_progress progress = {.cancel = &cancel};
    source_dir(root, "cur");
    source_dir(root, "new");
    source_file(root, "cur/1", "From a@b Mon Jan  1 10:00:00 2001\nSubject: 1\n\nx");
    for (size_t i = 0; i < 3; i++) {
        struct collect collect = {0};
        bool partial = false;
        struct emlfs_import_options options = {.progress = &progress, .ret_partial = &partial};
        const struct emlfs_importer *importer = emlfs_importer_by_name(importers[i]);
        assert_int_equal(collect_run_with(&collect, importer, root, &options), -ECANCELED);
        assert_true(partial);
        collect_free(&collect);
    }
}

static void test_missing(void **state)
{
    (void)state;
    assert_true(partial_of("eml", "/nonexistent/mail"));
    assert_true(partial_of("maildir", "/nonexistent/mail"));
    assert_true(partial_of("mbox", "/nonexistent/mail"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_directory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file, setup, teardown),
        cmocka_unit_test_setup_teardown(test_maildir, setup, teardown),
        cmocka_unit_test_setup_teardown(test_depth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_vanished, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mbox_shrinks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
        cmocka_unit_test(test_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
