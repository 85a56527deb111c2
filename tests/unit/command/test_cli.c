/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/cli.h"

#define ARGC(argv) ((int)(sizeof(argv) / sizeof((argv)[0])))

/* Parse a NULL-free list of words. */
#define PARSE(cli, err, ...)                                                                       \
    ({                                                                                             \
        char *argv_[] = {__VA_ARGS__};                                                             \
        emlfs_cli_parse(ARGC(argv_), argv_, cli, err);                                             \
    })

static const char *list_at(struct emlfs_cli *cli, const char *name, size_t i)
{
    return json_object_get_string(json_object_array_get_idx(emlfs_args_list(cli->args, name), i));
}

static void test_two_words(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "-a", "/x", "user", "add", "bob", "--unix-account",
                           "robert", "--admin", "--json"),
                     0);
    assert_string_equal(cli.command->name, "user add");
    assert_string_equal(cli.archive, "/x");
    assert_true(cli.json);
    assert_string_equal(emlfs_args_text(cli.args, "NAME"), "bob");
    assert_string_equal(emlfs_args_text(cli.args, "unix-account"), "robert");
    assert_true(emlfs_args_flag(cli.args, "admin"));
    emlfs_cli_free(&cli);
}

static void test_import(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "import", "--archive=/x", "-ualice", "--include",
                           "*.eml", "--include=b*", "-n", "src1", "--", "-src2"),
                     0);
    assert_string_equal(emlfs_args_text(cli.args, "user"), "alice");
    assert_string_equal(list_at(&cli, "include", 1), "b*");
    assert_string_equal(list_at(&cli, "SOURCE", 0), "src1");
    assert_string_equal(list_at(&cli, "SOURCE", 1), "-src2");
    assert_true(emlfs_args_flag(cli.args, "dry-run"));
    assert_int_equal(emlfs_args_number(cli.args, "absent", 7), 7);
    emlfs_cli_free(&cli);
}

static void test_letters(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "status", "-qva/x"), 0);
    assert_true(cli.quiet && cli.verbose);
    assert_string_equal(cli.archive, "/x");
    emlfs_cli_free(&cli);
}

static void test_environment(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    setenv("EMLFS_ARCHIVE", "/env", 1);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "status"), 0);
    assert_string_equal(cli.archive, "/env");
    emlfs_cli_free(&cli);
    unsetenv("EMLFS_ARCHIVE");
    assert_int_equal(PARSE(&cli, &err, "emlfs", "status"), -EINVAL);
    emlfs_cli_free(&cli);
}

static void test_fstab_form(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "/srv/mail", "/mnt", "-o", "rw,allow_other", "-o",
                           "dev", "-n", "-s", "-v"),
                     0);
    assert_string_equal(cli.command->name, "mount");
    assert_string_equal(emlfs_args_text(cli.args, "ARCHIVE"), "/srv/mail");
    assert_string_equal(emlfs_args_text(cli.args, "MOUNTPOINT"), "/mnt");
    assert_string_equal(list_at(&cli, "options", 0), "rw,allow_other");
    assert_string_equal(list_at(&cli, "options", 1), "dev");
    assert_false(cli.fake);
    emlfs_cli_free(&cli);
    /* A relative archive that is no command name. */
    assert_int_equal(PARSE(&cli, &err, "emlfs", "mail", "mnt", "-f"), 0);
    assert_string_equal(cli.command->name, "mount");
    assert_true(emlfs_args_flag(cli.args, "foreground"));
    emlfs_cli_free(&cli);
    /* A command name wins. */
    assert_int_equal(PARSE(&cli, &err, "emlfs", "mount", "mail", "mnt", "-oro"), 0);
    assert_string_equal(emlfs_args_text(cli.args, "ARCHIVE"), "mail");
    emlfs_cli_free(&cli);
}

static void test_helper_names(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "/sbin/mount.fuse.emlfs", "status", "user", "-f", "-n", "-r",
                           "-t", "fuse.emlfs", "-o", "noexec"),
                     0);
    assert_string_equal(emlfs_args_text(cli.args, "ARCHIVE"), "status");
    assert_true(cli.fake);
    assert_false(emlfs_args_flag(cli.args, "foreground"));
    assert_string_equal(list_at(&cli, "options", 0), "ro");
    assert_string_equal(list_at(&cli, "options", 1), "noexec");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "mount.emlfs", "-o", "ro", "a", "b"), 0);
    assert_string_equal(emlfs_args_text(cli.args, "MOUNTPOINT"), "b");
    emlfs_cli_free(&cli);
}

static void test_refused(void **state)
{
    static const struct {
        char *argv[8];
        const char *says;
    } cases[] = {
        {{"emlfs"}, "a command is missing"},
        {{"emlfs", "frobnicate"}, "unknown command frobnicate"},
        {{"emlfs", "user"},
         "emlfs user: one of add, list, show, set, password, rename, remove is needed"},
        {{"emlfs", "user", "fly"},
         "emlfs user: one of add, list, show, set, password, rename, remove is needed"},
        {{"emlfs", "status", "-a", "/x", "more"}, "status: more is one argument too many"},
        {{"emlfs", "status", "-a"}, "--archive needs a value"},
        {{"emlfs", "status", "-a", "/x", "--nope"}, "unknown option --nope"},
        {{"emlfs", "status", "-a", "/x", "-Z"}, "unknown option -Z"},
        {{"emlfs", "status", "-a", "/x", "--json=1"}, "--json takes no value"},
        {{"emlfs", "init", "/x", "--level", "five"}, "--level: five is not a number"},
        {{"emlfs", "init", "/x", "--level=-3"}, "--level: -3 is not a number"},
        {{"emlfs", "init", "-a", "/x", "/x"}, "init takes no --archive"},
        {{"emlfs", "import", "-a", "/x", "src"}, "import: --user is missing"},
        {{"emlfs", "import", "-a", "/x", "-u", "a"}, "import: SOURCE is missing"},
        {{"emlfs", "user", "rename", "-a", "/x", "bob"}, "user rename: NEWNAME is missing"},
        {{"emlfs", "/srv/mail", "/mnt", "third"}, "mount: third is one argument too many"},
        {{"emlfs", "/srv/mail", "/mnt", "-o"}, "-o needs a value"},
        {{"emlfs", "/srv/mail", "/mnt", "-x"}, "unknown option -x"},
        {{"mount.emlfs", "/srv/mail"}, "mount: MOUNTPOINT is missing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct emlfs_cli cli;
        struct emlfs_err err = {0};
        int argc = 0;

        while (argc < 8 && cases[i].argv[argc])
            argc++;
        assert_int_equal(emlfs_cli_parse(argc, (char *const *)cases[i].argv, &cli, &err), -EINVAL);
        assert_string_equal(err.text, cases[i].says);
        emlfs_cli_free(&cli);
    }
}

static void test_help_and_version(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "--help"), 0);
    assert_true(cli.help && !cli.command);
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "import", "-h"), 0);
    assert_true(cli.help);
    assert_string_equal(cli.command->name, "import");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "-V"), 0);
    assert_true(cli.version);
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "help", "user", "add"), 0);
    assert_string_equal(list_at(&cli, "COMMAND", 1), "add");
    emlfs_cli_free(&cli);
}

static void test_three_words(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "compliance", "auditor", "add", "-a", "/x", "carol",
                           "--reason", "yearly audit"),
                     0);
    assert_string_equal(cli.command->name, "compliance auditor add");
    assert_string_equal(emlfs_args_text(cli.args, "NAME"), "carol");
    assert_string_equal(emlfs_args_text(cli.args, "reason"), "yearly audit");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "compliance", "audit", "set", "-a", "/x", "read"),
                     0);
    assert_string_equal(cli.command->name, "compliance audit set");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "compliance", "auditor", "-a", "/x"), -EINVAL);
    assert_string_equal(err.text, "emlfs compliance auditor: one of add, remove, list is needed");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "compliance"), -EINVAL);
    assert_string_equal(err.text, "emlfs compliance: one of show, mode, auditor, audit is needed");
    emlfs_cli_free(&cli);
}

/* Options that govern, as they are parsed. */
static void test_governing_forms(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "policy", "add", "-a/x", "Tax", "--period", "10y",
                           "--query", "subject:invoice", "--start=year-end", "--auto-delete"),
                     0);
    assert_string_equal(emlfs_args_text(cli.args, "query"), "subject:invoice");
    assert_true(emlfs_args_flag(cli.args, "auto-delete"));
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "policy", "move", "-a/x", "Tax", "2"), 0);
    assert_int_equal(emlfs_args_number(cli.args, "POSITION", 0), 2);
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "hold", "place", "-a/x", "Case", "-m", "a", "-mb"),
                     0);
    assert_string_equal(list_at(&cli, "message", 1), "b");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "user", "set", "-a/x", "bob", "--address", "a@b.c",
                           "--address", "d@e.f", "--no-admin"),
                     0);
    assert_string_equal(list_at(&cli, "address", 1), "d@e.f");
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "emlfs", "policy", "add", "-a/x", "Tax"), -EINVAL);
    assert_string_equal(err.text, "policy add: --period is missing");
    emlfs_cli_free(&cli);
}

/* A password is never taken from the command line, where others see it. */
static void test_secrets_are_no_options(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    assert_int_equal(PARSE(&cli, &err, "emlfs", "user", "password", "-a/x", "bob", "--password",
                           "Secret-Word-1"),
                     -EINVAL);
    assert_string_equal(err.text, "unknown option --password");
    emlfs_cli_free(&cli);
    assert_int_equal(
        PARSE(&cli, &err, "emlfs", "privilege", "access", "-a/x", "on", "--password=Secret-Word-1"),
        -EINVAL);
    assert_null(strstr(err.text, "Secret"));
    emlfs_cli_free(&cli);
    assert_int_equal(
        PARSE(&cli, &err, "emlfs", "user", "password", "-a/x", "bob", "--password-file", "-"), 0);
    assert_string_equal(emlfs_args_text(cli.args, "password-file"), "-");
    emlfs_cli_free(&cli);
}

static const struct emlfs_arg *secret_of(const struct emlfs_command *command, const char *name)
{
    for (const struct emlfs_arg *arg = command->args; arg->name; arg++)
        if (strcmp(arg->name, name) == 0)
            return arg;
    fail_msg("%s has no %s", command->name, name);
    return NULL;
}

static void test_secrets_wanted(void **state)
{
    static const struct {
        const char *command, *secret, *arg, *value;
        bool wanted;
    } cases[] = {
        {"user password", "password", "NAME", "bob", true},
        {"user password", "old-password", "NAME", "bob", false},
        {"user password", "old-password", "reason", "x", true},
        {"user password", "password", "clear", "", false},
        {"privilege access", "password", "SWITCH", "on", true},
        {"privilege access", "password", "SWITCH", "off", false},
        {"store unlock", "recovery-key", "STORE", "1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct emlfs_command *command = emlfs_command_find(cases[i].command);
        struct json_object *args = json_object_new_object();

        assert_non_null(command);
        json_object_object_add(args, cases[i].arg, json_object_new_string(cases[i].value));
        assert_int_equal(
            emlfs_args_secret_wanted(command, secret_of(command, cases[i].secret), args),
            cases[i].wanted);
        json_object_put(args);
    }
}

static void test_secrets_are_wiped(void **state)
{
    const struct emlfs_command *command = emlfs_command_find("user password");
    struct json_object *args = json_object_new_object();

    (void)state;
    json_object_object_add(args, "NAME", json_object_new_string("bob"));
    json_object_object_add(args, "password", json_object_new_string("Secret-Word-1"));
    emlfs_args_wipe(command, args);
    assert_string_equal(emlfs_args_text(args, "NAME"), "bob");
    for (size_t i = 0; i < strlen("Secret-Word-1"); i++)
        assert_int_equal(emlfs_args_text(args, "password")[i], 0);
    json_object_put(args);
}

/* No option letter or name is used twice within a command or for a global. */
static void test_table_is_unambiguous(void **state)
{
    (void)state;
    for (const struct emlfs_command *command = emlfs_commands; command->name; command++) {
        assert_non_null(command->summary);
        assert_non_null(command->help);
        assert_non_null(command->args);
        assert_ptr_equal(emlfs_command_find(command->name), command);
        for (const struct emlfs_arg *a = command->args; a->name; a++) {
            assert_non_null(a->help);
            for (const struct emlfs_arg *b = emlfs_cli_globals;
                 b->name && !(a->flags & EMLFS_ARG_SECRET); b++) {
                assert_string_not_equal(a->name, b->name);
                assert_false(a->letter && a->letter == b->letter);
            }
            for (const struct emlfs_arg *b = command->args; b < a; b++) {
                assert_string_not_equal(a->name, b->name);
                assert_false(a->letter && a->letter == b->letter);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_words),        cmocka_unit_test(test_three_words),
        cmocka_unit_test(test_governing_forms),  cmocka_unit_test(test_secrets_are_no_options),
        cmocka_unit_test(test_secrets_wanted),   cmocka_unit_test(test_secrets_are_wiped),
        cmocka_unit_test(test_import),           cmocka_unit_test(test_letters),
        cmocka_unit_test(test_environment),      cmocka_unit_test(test_fstab_form),
        cmocka_unit_test(test_helper_names),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_help_and_version), cmocka_unit_test(test_table_is_unambiguous),
    };

    unsetenv("EMLFS_ARCHIVE");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
