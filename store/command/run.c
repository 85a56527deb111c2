/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Authorise and dispatch: the one place that lets a command run. */
#include "handlers.h"

#include "emlfs/text.h"

static const struct emlfs_target whole = {.kind = EMLFS_OBJECT_SYSTEM};

/*
 * A closed archive knows no users yet: there the permissions of its key file decide, when the
 * handler opens it.
 */
static int command_authorise(const struct emlfs_command *command, const struct emlfs_call *call,
                             struct emlfs_err *err)
{
    bool office = command->right == EMLFS_RIGHT_OFFICE;
    int r = -EACCES;

    if ((command->right != EMLFS_RIGHT_ADMIN && !office) || (!call->archive && call->closed))
        return 0;
    if (call->rules)
        r = emlfs_rules_check(call->rules, &call->subject, &whole,
                              office ? EMLFS_CALL_READ : EMLFS_CALL_COMMAND, NULL);
    if (r < 0)
        return emlfs_err_set(err, -r, "command", "%s: only %s of the archive may", command->name,
                             office ? "administrators and auditors" : "an administrator");
    return 0;
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

/* The refusal stands, whether it could be recorded or not. */
static void refusal_record(const struct emlfs_command *command, struct emlfs_call *call, int code)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_refusal refusal = {
        .target = whole, .call = EMLFS_CALL_COMMAND, .code = code, .detail = command->name};

    if (emlfs_rules_is_audited(call->rules, &call->who, EMLFS_AUDIT_DENIED))
        (void)emlfs_rules_refused(call->rules, &actor, &refusal, NULL);
}

static void command_record(const struct emlfs_command *command, struct emlfs_call *call, int r)
{
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_COMMAND_RUN,
                                         .outcome = (uint16_t)(r < 0 ? -r : 0),
                                         .name = emlfs_span_str(command->name)};

    if (r == -EACCES || r == -EPERM)
        refusal_record(command, call, -r);
    else if (command->flags & EMLFS_COMMAND_RECORD)
        emlfs_call_record(call, &record);
}

static int command_act(const struct emlfs_command *command, struct emlfs_call *call,
                       struct emlfs_err *err)
{
    if (call->rules)
        emlfs_rules_who(call->rules, &call->subject, &call->who);

    int r = command_authorise(command, call, err);

    if (r == 0)
        r = command->run(call, err);
    if (call->rules)
        command_record(command, call, r);
    return r;
}

int emlfs_command_run(const struct emlfs_command *command, struct emlfs_call *call,
                      struct emlfs_err *err)
{
    int r = command_place(command, call, err);

    call->findings = 0;
    call->who = (struct emlfs_who){.subject = call->subject};
    if (r == 0)
        r = emlfs_args_check(command, call->args, err);
    if (r == 0)
        r = command_act(command, call, err);
    emlfs_args_wipe(command, call->args);
    return r;
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

void emlfs_row_flag(struct json_object *row, const char *name, bool value)
{
    json_object_object_add(row, name, json_object_new_boolean(value));
}
