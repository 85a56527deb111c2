/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Checking and reading of a command's arguments. */
#include "emlfs/command.h"

#include "emlfs/base/crypto.h"

static const struct emlfs_arg *arg_find(const struct emlfs_command *command, const char *name)
{
    for (const struct emlfs_arg *arg = command->args; arg && arg->name; arg++)
        if (strcmp(arg->name, name) == 0)
            return arg;
    return NULL;
}

/* raw: what the user typed for this process alone, where a path may hold anything. */
static bool text_ok(struct json_object *value, bool raw)
{
    if (!json_object_is_type(value, json_type_string))
        return false;

    const char *text = json_object_get_string(value);
    size_t len = (size_t)json_object_get_string_len(value);

    if (len > EMLFS_ARG_TEXT_MAX_BYTES || strlen(text) != len)
        return false;
    for (size_t i = 0; !raw && i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return true;
}

static bool list_ok(struct json_object *value, bool raw)
{
    if (!json_object_is_type(value, json_type_array))
        return false;

    size_t n = json_object_array_length(value);

    if (n > EMLFS_ARG_LIST_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!text_ok(json_object_array_get_idx(value, i), raw))
            return false;
    return true;
}

static bool value_ok(const struct emlfs_arg *arg, struct json_object *value, bool raw)
{
    switch (arg->kind) {
    case EMLFS_ARG_FLAG:
        return json_object_is_type(value, json_type_boolean);
    case EMLFS_ARG_NUMBER:
        return json_object_is_type(value, json_type_int) && json_object_get_int64(value) >= 0;
    case EMLFS_ARG_LIST:
        return list_ok(value, raw);
    case EMLFS_ARG_TEXT:
    case EMLFS_ARG_PATH:
        return text_ok(value, raw);
    }
    return false;
}

int emlfs_args_check(const struct emlfs_command *command, struct json_object *args,
                     struct emlfs_err *err)
{
    if (!json_object_is_type(args, json_type_object))
        return emlfs_err_set(err, EINVAL, "command", "%s: arguments are missing", command->name);

    bool raw = command->flags & EMLFS_COMMAND_CLIENT;

    json_object_object_foreach(args, name, value)
    {
        const struct emlfs_arg *arg = arg_find(command, name);

        if (!arg)
            return emlfs_err_set(err, EINVAL, "command", "%s: unknown argument %s", command->name,
                                 name);
        if (!value_ok(arg, value, raw))
            return emlfs_err_set(err, EINVAL, "command", "%s: %s has no usable value",
                                 command->name, name);
    }
    for (const struct emlfs_arg *arg = command->args; arg && arg->name; arg++)
        if ((arg->flags & EMLFS_ARG_REQUIRED) && !json_object_object_get(args, arg->name))
            return emlfs_err_set(err, EINVAL, "command", "%s: %s%s is missing", command->name,
                                 arg->flags & EMLFS_ARG_POSITIONAL ? "" : "--", arg->name);
    return 0;
}

const char *emlfs_args_text(struct json_object *args, const char *name)
{
    struct json_object *value = json_object_object_get(args, name);

    return value ? json_object_get_string(value) : NULL;
}

bool emlfs_args_flag(struct json_object *args, const char *name)
{
    return json_object_get_boolean(json_object_object_get(args, name));
}

uint64_t emlfs_args_number(struct json_object *args, const char *name, uint64_t otherwise)
{
    struct json_object *value = json_object_object_get(args, name);

    return value ? (uint64_t)json_object_get_int64(value) : otherwise;
}

struct json_object *emlfs_args_list(struct json_object *args, const char *name)
{
    return json_object_object_get(args, name);
}

/* A secret is needed unless one of these says no. */
static const struct {
    const char *command, *secret, *arg;
    const char *value; /* arg must have it; NULL: arg must not be given */
} secret_rules[] = {
    {"user password", "old-password", "NAME", NULL},
    {"user password", "password", "clear", NULL},
    {"privilege access", "password", "SWITCH", "on"},
    {"login", "password", "lookup", NULL},
};

bool emlfs_args_secret_wanted(const struct emlfs_command *command, const struct emlfs_arg *secret,
                              struct json_object *args)
{
    for (size_t i = 0; i < sizeof(secret_rules) / sizeof(secret_rules[0]); i++) {
        struct json_object *given = json_object_object_get(args, secret_rules[i].arg);
        const char *value = secret_rules[i].value;

        if (strcmp(secret_rules[i].command, command->name) != 0 ||
            strcmp(secret_rules[i].secret, secret->name) != 0)
            continue;
        if (value ? !given || strcmp(json_object_get_string(given), value) != 0 : given != NULL)
            return false;
    }
    return true;
}

void emlfs_args_wipe(const struct emlfs_command *command, struct json_object *args)
{
    for (const struct emlfs_arg *arg = command->args; arg && arg->name; arg++) {
        struct json_object *value = json_object_object_get(args, arg->name);

        /* json-c hands out its own bytes of a string, and has no way to wipe them. */
        if ((arg->flags & EMLFS_ARG_SECRET) && json_object_is_type(value, json_type_string))
            emlfs_wipe((char *)json_object_get_string(value),
                       (size_t)json_object_get_string_len(value));
    }
}
