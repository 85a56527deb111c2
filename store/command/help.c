/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Help texts from the table. */
#include "emlfs/cli.h"
#include "emlfs/text.h"

#define WIDTH 80
#define COLUMN 28

/* The end of a line or a paragraph, or the blank before the next word. */
static int gap_append(struct emlfs_buf *out, const char *text, unsigned indent, unsigned *at)
{
    size_t next = 1 + strcspn(text + 1, " \n");

    if (*text == '\n') {
        *at = indent;
        return emlfs_text_printf(out, text[1] == '\n' ? "\n\n%*s" : "\n%*s", (int)indent, "");
    }
    if (*at + next > WIDTH) {
        *at = indent;
        return emlfs_text_printf(out, "\n%*s", (int)indent, "");
    }
    *at += 1;
    return emlfs_buf_append_u8(out, ' ');
}

/* Append text, wrapped at WIDTH and indented; the line already stands at column at. */
static int text_wrap(struct emlfs_buf *out, const char *text, unsigned indent, unsigned at)
{
    int r = 0;

    while (r == 0 && *text) {
        size_t len = strcspn(text, " \n");

        r = emlfs_buf_append(out, text, len);
        at += (unsigned)len;
        text += len;
        if (r == 0 && *text) {
            r = gap_append(out, text, indent, &at);
            text += text[0] == '\n' && text[1] == '\n' ? 2 : 1;
        }
    }
    return r == 0 ? emlfs_buf_append_u8(out, '\n') : r;
}

static int option_line(struct emlfs_buf *out, const struct emlfs_arg *arg)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf left = EMLFS_BUF_INIT(256);
    int r;

    if (arg->flags & EMLFS_ARG_POSITIONAL)
        r = emlfs_text_printf(&left, "  %s%s", arg->name, arg->kind == EMLFS_ARG_LIST ? "..." : "");
    else if (arg->letter)
        r = emlfs_text_printf(&left, "  -%c, --%s", arg->letter, arg->name);
    else
        r = emlfs_text_printf(&left, "      --%s", arg->name);
    if (r == 0 && arg->value)
        r = emlfs_text_printf(&left, " %s", arg->value);
    if (r == 0)
        r = emlfs_text_printf(out, "%-*.*s", COLUMN, (int)left.len, (const char *)left.data);
    if (r == 0 && left.len >= COLUMN)
        r = emlfs_text_printf(out, "\n%*s", COLUMN, "");
    return r == 0 ? text_wrap(out, arg->help, COLUMN, COLUMN) : r;
}

static int options_part(struct emlfs_buf *out, const char *title, const struct emlfs_arg *args,
                        bool positional)
{
    bool any = false;
    int r = 0;

    for (; r == 0 && args && args->name; args++) {
        if (positional ? !(args->flags & EMLFS_ARG_POSITIONAL) : !emlfs_cli_is_option(args))
            continue;
        if (!any)
            r = emlfs_text_printf(out, "\n%s:\n", title);
        any = true;
        if (r == 0)
            r = option_line(out, args);
    }
    return r;
}

int emlfs_cli_usage(const struct emlfs_command *command, struct emlfs_buf *out)
{
    int r = emlfs_text_printf(out, "emlfs %s", command->name);

    if (r == 0 && (command->flags & EMLFS_COMMAND_ARCHIVE))
        r = emlfs_text_printf(out, " -a ARCHIVE");
    for (const struct emlfs_arg *arg = command->args; r == 0 && arg->name; arg++) {
        if (!emlfs_cli_is_option(arg))
            continue;
        const char *open = arg->flags & EMLFS_ARG_REQUIRED ? "" : "[";
        const char *close = arg->flags & EMLFS_ARG_REQUIRED ? "" : "]";

        if (arg->letter)
            r = emlfs_text_printf(out, " %s-%c%s%s%s", open, arg->letter, arg->value ? " " : "",
                                  arg->value ? arg->value : "", close);
        else
            r = emlfs_text_printf(out, " %s--%s%s%s%s", open, arg->name, arg->value ? " " : "",
                                  arg->value ? arg->value : "", close);
    }
    for (const struct emlfs_arg *arg = command->args; r == 0 && arg->name; arg++)
        if (arg->flags & EMLFS_ARG_POSITIONAL)
            r = emlfs_text_printf(out, arg->flags & EMLFS_ARG_REQUIRED ? " %s%s" : " [%s%s]",
                                  arg->name, arg->kind == EMLFS_ARG_LIST ? "..." : "");
    return r;
}

static int overview(struct emlfs_buf *out)
{
    int r = emlfs_text_printf(out, "Usage: emlfs COMMAND [OPTION]... [ARGUMENT]...\n"
                                   "       emlfs ARCHIVE MOUNTPOINT [-o OPTIONS]\n\n"
                                   "The mail archive you mount.\n\nCommands:\n");

    for (const struct emlfs_command *command = emlfs_commands; r == 0 && command->name; command++)
        if (!(command->flags & EMLFS_COMMAND_HIDDEN))
            r = emlfs_text_printf(out, "  %-26s %s\n", command->name, command->summary);
    if (r == 0)
        r = options_part(out, "Options of every command", emlfs_cli_globals, false);
    if (r == 0)
        r = emlfs_text_printf(out, "\n'emlfs help COMMAND' explains one, emlfs(1) all of them.\n");
    return r;
}

int emlfs_cli_help(const struct emlfs_command *command, struct emlfs_buf *out)
{
    if (!command)
        return overview(out);

    int r = emlfs_text_printf(out, "Usage: ");

    if (r == 0)
        r = emlfs_cli_usage(command, out);
    if (r == 0)
        r = emlfs_text_printf(out, "\n\nemlfs %s: %s.\n\n", command->name, command->summary);
    if (r == 0)
        r = text_wrap(out, command->help, 0, 0);
    if (r == 0)
        r = options_part(out, "Arguments", command->args, true);
    if (r == 0)
        r = options_part(out, "Options", command->args, false);
    if (r == 0)
        r = options_part(out, "Options of every command", emlfs_cli_globals, false);
    return r;
}
