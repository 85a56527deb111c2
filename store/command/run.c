/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Authorise and dispatch: the one place that lets a command run. */
#include "handlers.h"

#include "emlfs/text.h"

/*
 * A closed archive knows no users yet: there the permissions of its key file decide, when the
 * handler opens it.
 */
static int command_authorise(const struct emlfs_command *command, const struct emlfs_call *call,
                             struct emlfs_err *err)
{
    if (command->right != EMLFS_RIGHT_ADMIN || (!call->archive && call->closed))
        return 0;
    if (call->bindings && emlfs_bindings_is_admin(call->bindings, &call->subject))
        return 0;
    return emlfs_err_set(err, EACCES, "command", "%s: only an administrator of the archive may",
                         command->name);
}

static int command_place(const struct emlfs_command *command, const struct emlfs_call *call,
                         struct emlfs_err *err)
{
    bool closed_only =
        (command->flags & EMLFS_COMMAND_CLOSED) && !(command->flags & EMLFS_COMMAND_EITHER);

    if (!command->run)
        return emlfs_err_set(err, EINVAL, "command", "%s does not run here", command->name);
    if (closed_only && call->archive)
        return emlfs_err_set(err, EBUSY, "command", "%s: the archive is in use; unmount it first",
                             command->name);
    if ((command->flags & EMLFS_COMMAND_ARCHIVE) && !call->archive && !call->closed)
        return emlfs_err_set(err, EINVAL, "command", "%s needs an archive", command->name);
    if ((command->flags & EMLFS_COMMAND_INDEX) && (!call->index || !call->saved))
        return emlfs_err_set(err, EIO, "command", "%s: the search index could not be opened",
                             command->name);
    return 0;
}

int emlfs_command_run(const struct emlfs_command *command, struct emlfs_call *call,
                      struct emlfs_err *err)
{
    int r = command_place(command, call, err);

    call->findings = 0;
    if (r == 0)
        r = emlfs_args_check(command, call->args, err);
    if (r == 0)
        r = command_authorise(command, call, err);
    return r == 0 ? command->run(call, err) : r;
}

int emlfs_row_put(struct emlfs_call *call, struct json_object *row, struct emlfs_err *err)
{
    if (!row)
        return emlfs_err_set(err, ENOMEM, "command", "out of memory");

    int r = call->row ? call->row(call->arg, row) : 0;

    json_object_put(row);
    return r < 0 ? emlfs_err_sys(err, -r, "command", "writing the result") : 0;
}

void emlfs_row_text(struct json_object *row, const char *name, const char *text)
{
    emlfs_row_span(row, name, emlfs_span_str(text));
}

void emlfs_row_span(struct json_object *row, const char *name, struct emlfs_span text)
{
    json_object_object_add(row, name, emlfs_text_string(text));
}

void emlfs_row_number(struct json_object *row, const char *name, uint64_t value)
{
    json_object_object_add(row, name, json_object_new_uint64(value));
}

void emlfs_row_time(struct json_object *row, const char *name, int64_t ns)
{
    char text[EMLFS_TEXT_TIME_MAX];

    emlfs_text_time(ns, text);
    json_object_object_add(row, name, json_object_new_string(text));
}
