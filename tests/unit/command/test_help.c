/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/base/os.h"
#include "emlfs/cli.h"
#include "emlfs/text.h"

#define TEXT_MAX (1u << 20)

static char *text_of(struct emlfs_buf *buf)
{
    assert_int_equal(emlfs_buf_append_u8(buf, '\0'), 0);
    return (char *)buf->data;
}

static void test_help_of_every_command(void **state)
{
    (void)state;
    for (const struct emlfs_command *command = emlfs_commands; command->name; command++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);

        assert_int_equal(emlfs_cli_help(command, &buf), 0);
        char *text = text_of(&buf);

        assert_non_null(strstr(text, command->name));
        assert_non_null(strstr(text, "Options of every command:"));
        for (const struct emlfs_arg *arg = command->args; arg->name; arg++)
            assert_non_null(strstr(text, arg->name));
    }
}

/* A secret is no option: only the file that it may be read from is. */
static void test_help_without_secrets(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf man = EMLFS_BUF_INIT(TEXT_MAX);

    (void)state;
    for (const struct emlfs_command *command = emlfs_commands; command->name; command++)
        for (const struct emlfs_arg *arg = command->args; arg->name; arg++) {
            EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);
            char option[64];

            if (!(arg->flags & EMLFS_ARG_SECRET))
                continue;
            assert_int_equal(emlfs_cli_help(command, &buf), 0);
            char *text = text_of(&buf);

            assert_null(strstr(text, arg->help));
            (void)snprintf(option, sizeof(option), "--%s-file", arg->name);
            assert_non_null(strstr(text, option));
        }
    assert_int_equal(emlfs_cli_man(&man), 0);
    assert_null(strstr(text_of(&man), "New password"));
}

/* Body text keeps to 80 columns; the usage line is one line by intention. */
static void test_help_width(void **state)
{
    (void)state;
    for (const struct emlfs_command *command = emlfs_commands; command->name; command++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);

        assert_int_equal(emlfs_cli_help(command, &buf), 0);
        char *line = strchr(text_of(&buf), '\n') + 1;

        while (*line) {
            size_t len = strcspn(line, "\n");

            assert_true(len <= 80);
            line += len + (line[len] == '\n');
        }
    }
}

static void test_overview(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);

    (void)state;
    assert_int_equal(emlfs_cli_help(NULL, &buf), 0);
    char *text = text_of(&buf);

    for (const struct emlfs_command *command = emlfs_commands; command->name; command++)
        if (!(command->flags & EMLFS_COMMAND_HIDDEN))
            assert_non_null(strstr(text, command->summary));
}

static void test_man(void **state)
{
    static const char *const sections[] = {
        "NAME",        "SYNOPSIS", "DESCRIPTION", "COMMANDS", "OPTIONS", "MOUNT OPTIONS",
        "EXIT STATUS", "FILES",    "ENVIRONMENT", "EXAMPLES", "SEE ALSO"};
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);
    char line[64];

    (void)state;
    setenv("SOURCE_DATE_EPOCH", "1767225600", 1);
    assert_int_equal(emlfs_cli_man(&buf), 0);
    char *text = text_of(&buf), *at = text;

    assert_non_null(strstr(text, ".TH EMLFS 1 \"2026-01-01\""));
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        (void)snprintf(line, sizeof(line), "\n.SH %s\n", sections[i]);
        at = strstr(at, line);
        assert_non_null(at);
    }
    assert_non_null(strstr(text, ".SS emlfs user add"));
    /* A hyphen that is an option's must be one in the output as well. */
    assert_null(strstr(text, " --"));
}

/* In the child: bash, with its output in fd. */
static void completion_exec(const char *script, const char *words, int fd)
{
    char command[1024];

    (void)snprintf(command, sizeof(command),
                   ". %s; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _emlfs; "
                   "echo \"${COMPREPLY[*]}\"",
                   script, words);
    if (dup2(fd, STDOUT_FILENO) >= 0)
        execlp("bash", "bash", "-c", command, (char *)NULL);
    _exit(127);
}

/* What the script offers, by running it in bash. */
static void completion_run(const char *script, const char *words, char *ret, size_t size)
{
    int ends[2], status = -1;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        completion_exec(script, words, ends[1]);
    close(ends[1]);
    ssize_t n = emlfs_os_read_full(ends[0], ret, size - 1);

    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(n >= 0);
    ret[n] = '\0';
    assert_int_equal(status, 0);
}

static void test_completion(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf buf = EMLFS_BUF_INIT(TEXT_MAX);
    char path[] = "/tmp/emlfs-completion-XXXXXX", reply[4096];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(emlfs_cli_completion(&buf), 0);
    assert_int_equal(write(fd, buf.data, buf.len), (ssize_t)buf.len);
    close(fd);
    completion_run(path, "emlfs us", reply, sizeof(reply));
    assert_string_equal(reply, "user\n");
    completion_run(path, "emlfs user re", reply, sizeof(reply));
    assert_string_equal(reply, "rename remove\n");
    completion_run(path, "emlfs compliance au", reply, sizeof(reply));
    assert_string_equal(reply, "auditor audit\n");
    completion_run(path, "emlfs compliance auditor ", reply, sizeof(reply));
    assert_string_equal(reply, "auditor\n");
    completion_run(path, "emlfs compliance auditor r", reply, sizeof(reply));
    assert_string_equal(reply, "remove\n");
    completion_run(path, "emlfs compliance auditor add --rea", reply, sizeof(reply));
    assert_string_equal(reply, "--reason\n");
    completion_run(path, "emlfs user password --pass", reply, sizeof(reply));
    assert_string_equal(reply, "--password-file\n");
    completion_run(path, "emlfs -a /x user add --un", reply, sizeof(reply));
    assert_string_equal(reply, "--unix-account\n");
    completion_run(path, "emlfs sea", reply, sizeof(reply));
    assert_string_equal(reply, "search\n");
    completion_run(path, "emlfs search re", reply, sizeof(reply));
    assert_string_equal(reply, "remove rename\n");
    completion_run(path, "emlfs search save --repl", reply, sizeof(reply));
    assert_string_equal(reply, "--replace\n");
    completion_run(path, "emlfs search word --coun", reply, sizeof(reply));
    assert_string_equal(reply, "--count\n");
    completion_run(path, "emlfs search --so", reply, sizeof(reply));
    assert_string_equal(reply, "--sort\n");
    completion_run(path, "emlfs import --dr", reply, sizeof(reply));
    assert_string_equal(reply, "--dry-run\n");
    completion_run(path, "emlfs status --js", reply, sizeof(reply));
    assert_string_equal(reply, "--json\n");
    completion_run(path, "emlfs import --report /etc/fsta", reply, sizeof(reply));
    assert_string_equal(reply, access("/etc/fstab", F_OK) == 0 ? "/etc/fstab\n" : "\n");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help_of_every_command),
        cmocka_unit_test(test_help_without_secrets),
        cmocka_unit_test(test_help_width),
        cmocka_unit_test(test_overview),
        cmocka_unit_test(test_man),
        cmocka_unit_test(test_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
