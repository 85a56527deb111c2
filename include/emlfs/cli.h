/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_CLI_H
#define EMLFS_CLI_H

#include "emlfs/command.h"

/*
 * The command line as the table defines it: parsing, help, manual page, completion. Nothing here
 * prints; texts are appended to buffers.
 */

enum emlfs_exit {
    EMLFS_EXIT_OK = 0,
    EMLFS_EXIT_USAGE = 1,    /* wrong usage; verify and recover: findings */
    EMLFS_EXIT_SYSTEM = 2,   /* it could not be done */
    EMLFS_EXIT_REJECTED = 3, /* import: finished, but messages were rejected */
    EMLFS_EXIT_MOUNT = 32,   /* mount(8): the mount failed */
    EMLFS_EXIT_INTERRUPTED = 130,
};

/* A parsed command line. Texts are borrowed from argv or the environment. */
struct emlfs_cli {
    const struct emlfs_command *command; /* NULL: none was named (then help or version is set) */
    struct json_object *args;            /* checked; owned */
    const char *archive;                 /* -a, or EMLFS_ARCHIVE; NULL */
    const char *recovery_key_file;       /* --recovery-key; NULL */
    bool json, quiet, verbose;
    bool help; /* of command, or of the whole */
    bool version;
    bool fake; /* mount(8) helper's -f: check only */
};
/*
 * Parse. Also the forms of mount(8): "emlfs ARCHIVE MOUNTPOINT -o OPTIONS", and the names
 * mount.emlfs and mount.fuse.emlfs. EINVAL with the usage in err. ret is to be freed in any case.
 */
int emlfs_cli_parse(int argc, char *const *argv, struct emlfs_cli *ret, struct emlfs_err *err);
void emlfs_cli_free(struct emlfs_cli *cli);

/* "Usage: emlfs user add ..." and everything below; command NULL: the overview. */
int emlfs_cli_help(const struct emlfs_command *command, struct emlfs_buf *out);
/* One line: "emlfs user add [OPTION]... NAME". */
int emlfs_cli_usage(const struct emlfs_command *command, struct emlfs_buf *out);
/* emlfs(1) as troff (man macros), and the bash completion script. */
int emlfs_cli_man(struct emlfs_buf *out);
int emlfs_cli_completion(struct emlfs_buf *out);

/* Is it an option of the command line, shown in help? Secrets are not. */
static inline bool emlfs_cli_is_option(const struct emlfs_arg *arg)
{
    return !(arg->flags & (EMLFS_ARG_POSITIONAL | EMLFS_ARG_SECRET));
}

/* The options every command takes, in the form of the table; ends with name NULL. */
extern const struct emlfs_arg emlfs_cli_globals[];

#endif
