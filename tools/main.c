/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <unistd.h>

#include "asking.h"
#include "emlfs/importer.h"
#include "emlfs/mount.h"
#include "emlfs/text.h"

#define HELP_MAX_BYTES (1u << 20)

static int text_show(int r, const struct emlfs_buf *text)
{
    return r < 0 || output_text(text) < 0 ? EMLFS_EXIT_SYSTEM : EMLFS_EXIT_OK;
}

static int help_show(const struct emlfs_command *command)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(HELP_MAX_BYTES);

    return text_show(emlfs_cli_help(command, &text), &text);
}

static int version_show(void)
{
    (void)printf("emlfs %s\n", EMLFS_VERSION);
    return fflush(stdout) == 0 ? EMLFS_EXIT_OK : EMLFS_EXIT_SYSTEM;
}

/* The words of "help COMMAND" joined; one that only begins commands is answered with the overview.
 */
static int help_words(struct json_object *words)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf name = EMLFS_BUF_INIT(256);

    if (!words)
        return help_show(NULL);
    for (size_t i = 0; i < json_object_array_length(words); i++)
        if (emlfs_text_printf(&name, "%s%s", i ? " " : "",
                              json_object_get_string(json_object_array_get_idx(words, i))) < 0)
            return EMLFS_EXIT_USAGE;
    if (emlfs_buf_append_u8(&name, '\0') < 0)
        return EMLFS_EXIT_USAGE;

    const struct emlfs_command *command = emlfs_command_find((const char *)name.data);

    if (!command) {
        complain("there is no such command; 'emlfs help' lists them");
        return EMLFS_EXIT_USAGE;
    }
    return help_show(command);
}

static int help_run(struct json_object *args)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(HELP_MAX_BYTES);

    if (emlfs_args_flag(args, "man"))
        return text_show(emlfs_cli_man(&text), &text);
    if (emlfs_args_flag(args, "completion"))
        return text_show(emlfs_cli_completion(&text), &text);
    return help_words(emlfs_args_list(args, "COMMAND"));
}

/* All -o values become one. */
static int mount_run(const struct emlfs_cli *cli)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf options = EMLFS_BUF_INIT(64u << 10);
    struct json_object *list = emlfs_args_list(cli->args, "options");
    int r = 0;

    for (size_t i = 0; r == 0 && list && i < json_object_array_length(list); i++)
        r = emlfs_text_printf(&options, "%s%s", options.len ? "," : "",
                              json_object_get_string(json_object_array_get_idx(list, i)));
    if (r == 0)
        r = emlfs_buf_append_u8(&options, '\0');
    if (r < 0) {
        complain("the mount options are too long");
        return EMLFS_EXIT_USAGE;
    }

    struct emlfs_mount_request request = {
        .archive = emlfs_args_text(cli->args, "ARCHIVE"),
        .mountpoint = emlfs_args_text(cli->args, "MOUNTPOINT"),
        .options = (const char *)options.data,
        .foreground = emlfs_args_flag(cli->args, "foreground"),
    };

    return cli->fake ? EMLFS_EXIT_OK : emlfs_mount_main(&request);
}

static int command_dispatch(const struct emlfs_cli *cli)
{
    const char *name = cli->command->name;

    if (strcmp(name, "help") == 0)
        return help_run(cli->args);
    if (strcmp(name, "version") == 0)
        return version_show();
    if (strcmp(name, "mount") == 0)
        return mount_run(cli);
    if (strcmp(name, "umount") == 0)
        return emlfs_umount_main(emlfs_args_text(cli->args, "MOUNTPOINT"));
    if (strcmp(name, "import") == 0)
        return import_run(cli);
    if (strcmp(name, "export") == 0)
        return export_run(cli);
    if (strcmp(name, "prove") == 0)
        return prove_run(cli);
    if (strncmp(name, "checkpoint", 10) == 0 && !cli->command->run)
        return checkpoint_run(cli);
    return client_run(cli);
}

static int usage_complain(const struct emlfs_cli *cli, const struct emlfs_err *err)
{
    complain_err(err);
    (void)fprintf(stderr, "Try 'emlfs help%s%s'.\n", cli->command ? " " : "",
                  cli->command ? cli->command->name : "");
    return EMLFS_EXIT_USAGE;
}

/*
 * What was closed by the caller is taken, so that no file of the archive becomes standard error;
 * the wrong way round, so that using it still fails.
 */
static int standard_take(void)
{
    for (int std = 0; std <= 2; std++)
        if (fcntl(std, F_GETFD) < 0 && open("/dev/null", std == 0 ? O_WRONLY : O_RDONLY) != std)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    struct emlfs_err err = {0};
    struct emlfs_cli cli;
    int code;

    if (argc > 0 && strcmp(argv[0], "emlfs-worker") == 0)
        return emlfs_worker_main();
    if (standard_take() < 0)
        return EMLFS_EXIT_SYSTEM;
    (void)setlocale(LC_CTYPE, "C.UTF-8");
    if (argc > 0 && strcmp(basename(argv[0]), "checkpassword") == 0)
        return checkpassword_main(argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);
    if (emlfs_cli_parse(argc, argv, &cli, &err) < 0)
        code = usage_complain(&cli, &err);
    else if (cli.version)
        code = version_show();
    else if (cli.help)
        code = help_show(cli.command);
    else
        code = command_dispatch(&cli);
    emlfs_cli_free(&cli);
    return code;
}
