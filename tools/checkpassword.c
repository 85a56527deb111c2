/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * checkpassword: the program that Dovecot runs to check a password (passdb and userdb
 * "checkpassword"). "checkpassword -a ARCHIVE PROGRAM [ARGUMENT]...": name and password come from
 * descriptor 3, each with a NUL; when they are right, PROGRAM is run and learns from the
 * environment as whom the user's mail is read. It needs no rights: the mount process decides,
 * counts failures and records them.
 *
 * Exit codes are the protocol's: 1 wrong, 2 misused, 3 no such user (of a look-up without a
 * password, for which the server sets AUTHORIZED=1), 111 ask again later.
 */
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "tool.h"

#define CREDENTIALS_FD 3
#define CREDENTIALS_MAX_BYTES 512u /* as the protocol says */
#define EXIT_WRONG 1
#define EXIT_MISUSED 2
#define EXIT_UNKNOWN 3
#define EXIT_LATER 111

struct credentials {
    char bytes[CREDENTIALS_MAX_BYTES + 1];
    const char *name, *password;
};

/* What the mount process answered. */
struct answer {
    bool told;
    char result[16];
    char name[256], home[4096];
    char uid[24], gid[24];
};

/* Name and password with their NULs; what follows (a time stamp) means nothing here. */
static bool credentials_read(struct credentials *ret)
{
    size_t len = 0, name_len;
    ssize_t n;

    do {
        n = read(CREDENTIALS_FD, ret->bytes + len, CREDENTIALS_MAX_BYTES - len);
        len += n > 0 ? (size_t)n : 0;
    } while ((n > 0 && len < CREDENTIALS_MAX_BYTES) || (n < 0 && errno == EINTR));
    ret->bytes[len] = '\0';
    name_len = strnlen(ret->bytes, len);
    if (n < 0 || name_len == 0 || name_len == len ||
        strnlen(ret->bytes + name_len + 1, len - name_len - 1) == len - name_len - 1)
        return false;
    ret->name = ret->bytes;
    ret->password = ret->bytes + name_len + 1;
    return true;
}

static void text_take(struct json_object *row, const char *field, char *ret, size_t size)
{
    const char *text = json_object_get_string(json_object_object_get(row, field));

    if (text && strlen(text) < size)
        memcpy(ret, text, strlen(text) + 1);
}

static int answer_take(void *arg, struct json_object *row)
{
    struct answer *answer = arg;

    text_take(row, "result", answer->result, sizeof(answer->result));
    text_take(row, "name", answer->name, sizeof(answer->name));
    text_take(row, "home", answer->home, sizeof(answer->home));
    text_take(row, "uid", answer->uid, sizeof(answer->uid));
    text_take(row, "gid", answer->gid, sizeof(answer->gid));
    answer->told = true;
    return 0;
}

static struct json_object *arguments_of(const struct credentials *given, bool lookup)
{
    struct json_object *args = json_object_new_object();

    if (!args)
        return NULL;
    json_object_object_add(args, "NAME", json_object_new_string(given->name));
    if (lookup)
        json_object_object_add(args, "lookup", json_object_new_boolean(true));
    else
        json_object_object_add(args, "password", json_object_new_string(given->password));
    return args;
}

static int ask(const char *archive, const struct credentials *given, bool lookup,
               struct answer *ret, struct emlfs_err *err)
{
    const struct emlfs_command *command = emlfs_command_find("login");
    struct emlfs_call call = {.row = answer_take, .arg = ret};
    int fd = -1, r;

    r = emlfs_remote_connect(archive, &fd, err);
    if (r < 0)
        return r;
    call.args = arguments_of(given, lookup);
    r = call.args ? emlfs_remote_run(fd, command->name, &call, err) : -ENOMEM;
    emlfs_args_wipe(command, call.args);
    json_object_put(call.args);
    emlfs_os_close(&fd);
    return r;
}

/* The name is closed for a minute. A mount process that is too busy says EAGAIN, too. */
static bool is_closed(int r, bool lookup, const struct emlfs_err *err)
{
    return r == -EAGAIN && !lookup && strcmp(err->module, "policy") == 0;
}

/* 0, or the exit code. */
static int verdict_of(int r, const struct answer *answer, bool lookup, const struct emlfs_err *err)
{
    if (r == -EINVAL || is_closed(r, lookup, err)) /* no text at all, or closed */
        return lookup ? EXIT_UNKNOWN : EXIT_WRONG;
    if (r < 0 || !answer->told) {
        complain_err(err);
        return EXIT_LATER;
    }
    if (strcmp(answer->result, "right") == 0)
        return 0;
    if (strcmp(answer->result, "unusable") == 0)
        complain("checkpassword: the user has no Unix account that may read mail");
    return lookup ? EXIT_UNKNOWN : EXIT_WRONG;
}

static bool environment_set(const struct answer *answer, bool lookup)
{
    return setenv("USER", answer->name, 1) == 0 && setenv("HOME", answer->home, 1) == 0 &&
           setenv("userdb_uid", answer->uid, 1) == 0 && setenv("userdb_gid", answer->gid, 1) == 0 &&
           setenv("EXTRA", "userdb_uid userdb_gid", 1) == 0 &&
           (!lookup || setenv("AUTHORIZED", "2", 1) == 0);
}

static int misused(void)
{
    complain("usage: checkpassword -a ARCHIVE PROGRAM [ARGUMENT]...");
    return EXIT_MISUSED;
}

int checkpassword_main(int argc, char **argv)
{
    const char *authorized = getenv("AUTHORIZED");
    const bool lookup = authorized && strcmp(authorized, "1") == 0;
    struct credentials given = {.name = NULL};
    struct answer answer = {.told = false};
    struct emlfs_err err = {.code = 0};
    int r;

    if (argc < 4 || strcmp(argv[1], "-a") != 0 || !credentials_read(&given)) {
        emlfs_wipe(&given, sizeof(given));
        return misused();
    }
    (void)close(CREDENTIALS_FD);
    r = ask(argv[2], &given, lookup, &answer, &err);
    emlfs_wipe(&given, sizeof(given));
    r = verdict_of(r, &answer, lookup, &err);
    if (r != 0)
        return r;
    if (environment_set(&answer, lookup))
        (void)execvp(argv[3], argv + 3);
    complain("checkpassword: the program to run does not start");
    return EXIT_LATER;
}
