/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line, parsed by the table. */
#include "emlfs/cli.h"

#include <stdlib.h>

#include "emlfs/text.h"

const struct emlfs_arg emlfs_cli_globals[] = {
    {"archive", 'a', EMLFS_ARG_PATH, 0, "ARCHIVE", "archive to work on (EMLFS_ARCHIVE)"},
    {"json", 0, EMLFS_ARG_FLAG, 0, NULL, "print results as JSON lines"},
    {"quiet", 'q', EMLFS_ARG_FLAG, 0, NULL, "no progress, no summary"},
    {"verbose", 'v', EMLFS_ARG_FLAG, 0, NULL, "tell more"},
    {"recovery-key", 0, EMLFS_ARG_PATH, 0, "FILE",
     "open the archive with the recovery key in FILE (-: standard input)"},
    {"help", 'h', EMLFS_ARG_FLAG, 0, NULL, "explain, do nothing"},
    {"version", 'V', EMLFS_ARG_FLAG, 0, NULL, "show the version, do nothing"},
    {.name = NULL},
};

struct parse {
    int argc, next; /* next: index of the argument to look at */
    char *const *argv;
    struct emlfs_cli *cli;
    const struct emlfs_arg *positional; /* the next one to fill */
    bool only_positional;               /* "--" was met */
    struct emlfs_err *err;
};

/* ---- values */

static int list_append(struct json_object *args, const char *name, const char *value)
{
    struct json_object *list = json_object_object_get(args, name);

    if (!list) {
        list = json_object_new_array();
        if (!list || json_object_object_add(args, name, list) < 0)
            return -ENOMEM;
    }
    return json_object_array_add(list, json_object_new_string(value)) < 0 ? -ENOMEM : 0;
}

static int number_read(const struct emlfs_arg *arg, const char *value, struct json_object **ret,
                       struct emlfs_err *err)
{
    char *end;

    errno = 0;
    unsigned long long number = strtoull(value, &end, 10);

    if (value[0] < '0' || value[0] > '9' || *end || errno || number > INT64_MAX)
        return emlfs_err_set(err, EINVAL, "usage", "--%s: %s is not a number", arg->name, value);
    *ret = json_object_new_int64((int64_t)number);
    return 0;
}

static int value_store(struct parse *parse, const struct emlfs_arg *arg, const char *value)
{
    struct json_object *args = parse->cli->args, *object = NULL;

    switch (arg->kind) {
    case EMLFS_ARG_LIST:
        return list_append(args, arg->name, value);
    case EMLFS_ARG_FLAG:
        object = json_object_new_boolean(1);
        break;
    case EMLFS_ARG_NUMBER:
        if (number_read(arg, value, &object, parse->err) < 0)
            return -EINVAL;
        break;
    default:
        object = json_object_new_string(value);
        break;
    }
    if (!object || json_object_object_add(args, arg->name, object) < 0)
        return emlfs_err_set(parse->err, ENOMEM, "usage", "out of memory");
    return 0;
}

static void global_store(struct emlfs_cli *cli, const struct emlfs_arg *arg, const char *value)
{
    switch (arg->name[0]) {
    case 'a':
        cli->archive = value;
        break;
    case 'j':
        cli->json = true;
        break;
    case 'q':
        cli->quiet = true;
        break;
    case 'r':
        cli->recovery_key_file = value;
        break;
    case 'h':
        cli->help = true;
        break;
    default:
        if (strcmp(arg->name, "version") == 0)
            cli->version = true;
        else
            cli->verbose = true;
        break;
    }
}

/* ---- options */

static const struct emlfs_arg *option_find(const struct emlfs_arg *args, const char *name,
                                           size_t len, char letter)
{
    for (; args && args->name; args++) {
        if (!emlfs_cli_is_option(args))
            continue;
        if (letter ? args->letter == letter
                   : strlen(args->name) == len && strncmp(args->name, name, len) == 0)
            return args;
    }
    return NULL;
}

static int option_take(struct parse *parse, const char *name, size_t len, char letter,
                       const char *value)
{
    const struct emlfs_command *command = parse->cli->command;
    const struct emlfs_arg *arg = option_find(command ? command->args : NULL, name, len, letter);
    bool global = !arg;

    if (global)
        arg = option_find(emlfs_cli_globals, name, len, letter);
    if (!arg && letter)
        return emlfs_err_set(parse->err, EINVAL, "usage", "unknown option -%c", letter);
    if (!arg)
        return emlfs_err_set(parse->err, EINVAL, "usage", "unknown option --%.*s", (int)len, name);
    if (arg->kind == EMLFS_ARG_FLAG && value && !letter)
        return emlfs_err_set(parse->err, EINVAL, "usage", "--%s takes no value", arg->name);
    if (arg->kind != EMLFS_ARG_FLAG && !value) {
        if (parse->next >= parse->argc)
            return emlfs_err_set(parse->err, EINVAL, "usage", "--%s needs a value", arg->name);
        value = parse->argv[parse->next++];
    }
    if (global)
        global_store(parse->cli, arg, value);
    int r = global ? 0 : value_store(parse, arg, value);

    /* 1: a cluster of letters goes on behind a flag. */
    return r < 0 ? r : arg->kind == EMLFS_ARG_FLAG;
}

static int option_long(struct parse *parse, const char *text)
{
    size_t len = strcspn(text, "=");
    int r = option_take(parse, text, len, 0, text[len] ? text + len + 1 : NULL);

    return r < 0 ? r : 0;
}

static int option_letters(struct parse *parse, const char *text)
{
    int r = 1;

    for (; r == 1 && *text; text++)
        r = option_take(parse, NULL, 0, *text, text[1] ? text + 1 : NULL);
    return r < 0 ? r : 0;
}

/* ---- words */

static const struct emlfs_arg *positional_first(const struct emlfs_command *command)
{
    const struct emlfs_arg *arg = command->args;

    while (arg && arg->name && !(arg->flags & EMLFS_ARG_POSITIONAL))
        arg++;
    return arg && arg->name ? arg : NULL;
}

/* True when some command begins with these words and a blank. */
static bool group_exists(const char *words)
{
    size_t len = strlen(words);

    for (const struct emlfs_command *command = emlfs_commands; command->name; command++)
        if (strncmp(command->name, words, len) == 0 && command->name[len] == ' ')
            return true;
    return false;
}

/* The next words of a group, each once: commands of one group stand together in the table. */
static int group_usage(const char *words, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf names = EMLFS_BUF_INIT(400);
    size_t len = strlen(words), last_len = 0;
    const char *last = "";

    for (const struct emlfs_command *command = emlfs_commands; command->name; command++) {
        if (strncmp(command->name, words, len) != 0 || command->name[len] != ' ')
            continue;

        const char *next = command->name + len + 1;
        size_t next_len = strcspn(next, " ");

        if (next_len == last_len && strncmp(next, last, next_len) == 0)
            continue;
        (void)emlfs_text_printf(&names, "%s%.*s", names.len ? ", " : "", (int)next_len, next);
        last = next;
        last_len = next_len;
    }
    return emlfs_err_set(err, EINVAL, "usage", "emlfs %s: one of %.*s is needed", words,
                         (int)names.len, (const char *)names.data);
}

/* Take the words that follow as long as they lead to a command; the longest name wins. */
static int command_words(struct parse *parse, struct emlfs_buf *name)
{
    int r = 0;

    while (r == 0 && group_exists((const char *)name->data)) {
        const char *next = parse->next < parse->argc ? parse->argv[parse->next] : "";
        size_t before = name->len;

        name->len--;
        r = emlfs_text_printf(name, " %s%c", next, '\0');
        if (r < 0 || (!emlfs_command_find((const char *)name->data) &&
                      !group_exists((const char *)name->data))) {
            name->len = before;
            name->data[before - 1] = '\0';
            return 0;
        }
        parse->next++;
    }
    return r;
}

/* A group that is a command as well (search) is the latter when no further word of it follows. */
static int command_word(struct parse *parse, const char *word)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf name = EMLFS_BUF_INIT(96);

    if (emlfs_text_printf(&name, "%s%c", word, '\0') < 0 || command_words(parse, &name) < 0)
        return emlfs_err_set(parse->err, EINVAL, "usage", "unknown command %.40s", word);
    parse->cli->command = emlfs_command_find((const char *)name.data);
    if (!parse->cli->command && group_exists((const char *)name.data))
        return parse->next >= parse->argc && parse->cli->help
                   ? 0
                   : group_usage((const char *)name.data, parse->err);
    if (!parse->cli->command)
        return emlfs_err_set(parse->err, EINVAL, "usage", "unknown command %s", word);
    parse->positional = positional_first(parse->cli->command);
    return 0;
}

static int positional_word(struct parse *parse, const char *word)
{
    const struct emlfs_arg *arg = parse->positional;

    if (!arg)
        return emlfs_err_set(parse->err, EINVAL, "usage", "%s: %s is one argument too many",
                             parse->cli->command->name, word);
    if (arg->kind != EMLFS_ARG_LIST) {
        const struct emlfs_arg *next = arg + 1;

        while (next->name && !(next->flags & EMLFS_ARG_POSITIONAL))
            next++;
        parse->positional = next->name ? next : NULL;
    }
    return value_store(parse, arg, word);
}

static int word_take(struct parse *parse, const char *word)
{
    if (!parse->only_positional && word[0] == '-' && word[1]) {
        if (strcmp(word, "--") == 0) {
            parse->only_positional = true;
            return 0;
        }
        return word[1] == '-' ? option_long(parse, word + 2) : option_letters(parse, word + 1);
    }
    return parse->cli->command ? positional_word(parse, word) : command_word(parse, word);
}

static int command_complete(struct emlfs_cli *cli, struct emlfs_err *err)
{
    if (!cli->command)
        return emlfs_err_set(err, EINVAL, "usage", "a command is missing");
    if (cli->command->flags & EMLFS_COMMAND_ARCHIVE) {
        if (!cli->archive)
            cli->archive = getenv("EMLFS_ARCHIVE");
        if (!cli->archive || !*cli->archive)
            return emlfs_err_set(err, EINVAL, "usage", "%s: give -a ARCHIVE, or set EMLFS_ARCHIVE",
                                 cli->command->name);
    } else if (cli->archive) {
        return emlfs_err_set(err, EINVAL, "usage", "%s takes no --archive", cli->command->name);
    }
    return emlfs_args_check(cli->command, cli->args, err);
}

/* ---- mount(8) forms */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool is_helper_name(const char *argv0)
{
    const char *name = base_name(argv0);

    return strcmp(name, "mount.emlfs") == 0 || strcmp(name, "mount.fuse.emlfs") == 0;
}

/* "emlfs ARCHIVE MOUNTPOINT [-o OPTIONS]": two words, of which the first is no command. */
static bool is_fstab_form(int argc, char *const *argv)
{
    if (argc < 3 || argv[1][0] == '-' || argv[2][0] == '-')
        return false;
    return strchr(argv[1], '/') || (!emlfs_command_find(argv[1]) && !group_exists(argv[1]));
}

static int helper_option(struct parse *parse, const char *letters, bool helper)
{
    for (; *letters; letters++) {
        const char *value = letters[1] ? letters + 1 : NULL;

        if (strchr("ot", *letters)) {
            if (!value && parse->next >= parse->argc)
                return emlfs_err_set(parse->err, EINVAL, "usage", "-%c needs a value", *letters);
            if (!value)
                value = parse->argv[parse->next++];
            return *letters == 'o' ? list_append(parse->cli->args, "options", value) : 0;
        }
        if (*letters == 'f' && helper)
            parse->cli->fake = true; /* mount(8) --fake */
        else if (*letters == 'f')
            json_object_object_add(parse->cli->args, "foreground", json_object_new_boolean(1));
        else if (*letters == 'r' || *letters == 'w')
            list_append(parse->cli->args, "options", *letters == 'r' ? "ro" : "rw");
        else if (!strchr("nsv", *letters))
            return emlfs_err_set(parse->err, EINVAL, "usage", "unknown option -%c", *letters);
    }
    return 0;
}

static int mount_form_parse(struct parse *parse, bool helper)
{
    int r = 0;

    parse->cli->command = emlfs_command_find("mount");
    parse->positional = positional_first(parse->cli->command);
    while (r == 0 && parse->next < parse->argc) {
        const char *word = parse->argv[parse->next++];

        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
            parse->cli->help = true;
        else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0)
            parse->cli->version = true;
        else if (word[0] == '-' && word[1])
            r = helper_option(parse, word + 1, helper);
        else
            r = positional_word(parse, word);
    }
    return r;
}

int emlfs_cli_parse(int argc, char *const *argv, struct emlfs_cli *ret, struct emlfs_err *err)
{
    struct parse parse = {.argc = argc, .next = 1, .argv = argv, .cli = ret, .err = err};
    bool helper = argc > 0 && is_helper_name(argv[0]);
    int r = 0;

    *ret = (struct emlfs_cli){.args = json_object_new_object()};
    if (!ret->args)
        return emlfs_err_set(err, ENOMEM, "usage", "out of memory");
    if (helper || is_fstab_form(argc, argv))
        r = mount_form_parse(&parse, helper);
    else
        while (r == 0 && parse.next < argc)
            r = word_take(&parse, argv[parse.next++]);
    if (r < 0)
        return r == -ENOMEM ? emlfs_err_set(err, ENOMEM, "usage", "out of memory") : r;
    return ret->help || ret->version ? 0 : command_complete(ret, err);
}

void emlfs_cli_free(struct emlfs_cli *cli)
{
    json_object_put(cli->args);
    cli->args = NULL;
}
