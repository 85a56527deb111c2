/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * export: the archive gives one message after the other, and this process, with the user's own
 * rights, makes the files. Names and bytes that come in are foreign: a name is one component that
 * is not there yet, and the bytes must have the SHA-256 that was promised.
 */
#include "asking.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/crypto.h"
#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define MODULE "export"
#define KEY_NAME "publickey.pem"
#define NAME_BYTES 256u
#define SIGNATURE_BYTES 80u

struct export
{
    struct asking asking;
    int dir_fd;
    bool sign;
    struct json_object *messages; /* what is asked for, in order */
    uint64_t done, refused, bytes;
    /* The message that is coming. */
    int fd;
    char name[NAME_BYTES];
    struct json_object *head; /* owned */
    struct emlfs_sha256_ctx *sha;
    uint64_t size;
    struct emlfs_err *err;
};

/* ---- one message */

static bool name_ok(const char *name)
{
    size_t len = strlen(name);

    return len > 4 && len < NAME_BYTES - 4 && name[0] != '.' && !strchr(name, '/') &&
           strcmp(name + len - 4, ".eml") == 0;
}

/* The first row of a message: its name, its digest, its signature. */
static int message_row(void *arg, struct json_object *row)
{
    struct export *export = arg;
    const char *name = emlfs_args_text(row, "name");
    int r;

    if (export->head || !name || !emlfs_args_text(row, "sha256") || !name_ok(name))
        return emlfs_err_set(export->err, EUCLEAN, MODULE, "the archive gave no usable file name");
    export->head = json_object_get(row);
    (void)snprintf(export->name, sizeof(export->name), "%s", name);
    r = file_make(export->dir_fd, name, &export->fd);
    return r < 0 ? emlfs_err_sys(export->err, -r, MODULE, "%s", name) : 0;
}

static int message_bytes(void *arg, struct emlfs_span bytes)
{
    struct export *export = arg;
    int r = export->fd < 0 ? -EUCLEAN : emlfs_os_write_all(export->fd, bytes.data, bytes.len);

    export->size += bytes.len;
    if (r == 0)
        r = emlfs_sha256_update(export->sha, bytes);
    return r < 0 ? emlfs_err_sys(export->err, -r, MODULE, "%s", export->name) : 0;
}

static int message_check(struct export *export, struct emlfs_err *err)
{
    char hex[2 * EMLFS_HASH_BYTES + 1];
    struct emlfs_hash hash;
    int r = emlfs_sha256_final(export->sha, &hash);

    if (r < 0 || export->fd < 0)
        return emlfs_err_set(err, EIO, MODULE, "the archive sent no message");
    for (unsigned i = 0; i < EMLFS_HASH_BYTES; i++)
        (void)snprintf(hex + (size_t)2 * i, 3, "%02x", hash.v[i]);
    if (strcmp(hex, emlfs_args_text(export->head, "sha256")) != 0)
        return emlfs_err_set(err, EBADMSG, MODULE, "%s: what came is not what was archived",
                             export->name);
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int signature_write(struct export *export, struct emlfs_err *err)
{
    const char *hex = emlfs_args_text(export->head, "signature");
    uint8_t signature[SIGNATURE_BYTES];
    char name[NAME_BYTES + 8];
    size_t len = hex ? strlen(hex) / 2 : 0;
    int r = 0;

    if (len == 0 || len > sizeof(signature))
        return emlfs_err_set(err, EUCLEAN, MODULE, "%s: the archive sent no signature",
                             export->name);
    for (size_t i = 0; i < len; i++) {
        int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return emlfs_err_set(err, EUCLEAN, MODULE, "%s: the archive sent no signature",
                                 export->name);
        signature[i] = (uint8_t)(high << 4 | low);
    }
    (void)snprintf(name, sizeof(name), "%s.sig", export->name);
    r = file_write(export->dir_fd, name, emlfs_span_of(signature, len));
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", name) : 0;
}

/* One key for all files: another one that lies there already must not be taken for it. */
static int key_write(struct export *export, struct emlfs_err *err)
{
    const char *pem = emlfs_args_text(export->head, "public_key");
    int r = pem ? file_write_same(export->dir_fd, KEY_NAME, emlfs_span_str(pem)) : -EUCLEAN;

    if (r == -EEXIST)
        return emlfs_err_set(err, EEXIST, MODULE, KEY_NAME " is there already, with another key");
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, KEY_NAME) : 0;
}

static int message_fetch(struct export *export, const char *message, struct emlfs_err *err)
{
    const char *user = emlfs_args_text(export->asking.cli->args, "user");
    struct json_object *args = json_object_new_object();
    struct emlfs_call call = {
        .args = args, .row = message_row, .bytes = message_bytes, .arg = export};
    int r = 0;

    if (!args)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    json_object_object_add(args, "MESSAGE", json_object_new_string(message));
    if (user)
        json_object_object_add(args, "user", json_object_new_string(user));
    json_object_object_add(args, "sign", json_object_new_boolean(export->sign));
    call.progress = &(struct emlfs_progress){.cancel = export->asking.meter.progress.cancel};
    r = asking_run(&export->asking, "message export", &call, err);
    json_object_put(args);
    return r;
}

static int message_export(struct export *export, const char *message, struct emlfs_err *err)
{
    struct emlfs_hash unused;
    int r;

    export->fd = -1;
    export->size = 0;
    export->err = &(struct emlfs_err){0};
    (void)emlfs_sha256_final(export->sha, &unused); /* begins a new one */
    r = message_fetch(export, message, err);
    /* What went wrong here says more than that the row was not taken. */
    if (r < 0 && export->err->code)
        *err = *export->err;
    if (r == 0)
        r = message_check(export, err);
    if (r == 0 && export->sign)
        r = key_write(export, err);
    bool made = export->fd >= 0;

    r = file_finish(export->dir_fd, export->name, &export->fd, r);
    if (r < 0 && err->code == 0)
        emlfs_err_sys(err, -r, MODULE, "%s", export->name);
    if (r == 0 && export->sign) {
        r = signature_write(export, err);
        if (r < 0 && made)
            (void)unlinkat(export->dir_fd, export->name, 0);
    }
    json_object_put(export->head);
    export->head = NULL;
    return r;
}

/* ---- all */

static int found_row(void *arg, struct json_object *row)
{
    struct export *export = arg;
    struct json_object *path = json_object_object_get(row, "path");

    return path ? json_object_array_add(export->messages, json_object_get(path)) : 0;
}

static int messages_find(struct export *export, struct emlfs_err *err)
{
    const struct emlfs_cli *cli = export->asking.cli;
    const char *query = emlfs_args_text(cli->args, "query"), *user;
    struct json_object *list = emlfs_args_list(cli->args, "MESSAGE");
    struct json_object *args, *words;
    struct emlfs_call call = {.row = found_row, .arg = export};
    int r;

    if (!query == !list)
        return emlfs_err_set(err, EINVAL, MODULE, "either MESSAGE or --query is needed");
    if (list) {
        export->messages = json_object_get(list);
        return 0;
    }
    export->messages = json_object_new_array();
    args = json_object_new_object();
    words = json_object_new_array();
    json_object_array_add(words, json_object_new_string(query));
    json_object_object_add(args, "QUERY", words);
    user = emlfs_args_text(cli->args, "user");
    if (user)
        json_object_object_add(args, "user", json_object_new_string(user));
    call.args = args;
    r = asking_run(&export->asking, "search", &call, err);
    json_object_put(args);
    return r;
}

static int directory_open(struct export *export, struct emlfs_err *err)
{
    const char *path = emlfs_args_text(export->asking.cli->args, "to");

    if (mkdir(path, 0777) < 0 && errno != EEXIST)
        return emlfs_err_sys(err, errno, MODULE, "%s", path);
    export->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return export->dir_fd < 0 ? emlfs_err_sys(err, errno, MODULE, "%s", path) : 0;
}

/* Failures that every further message would meet again. */
static bool code_is_general(int r)
{
    return r == -ENOSPC || r == -EDQUOT || r == -EROFS || r == -ECANCELED || r == -ENOMEM ||
           r == -ECONNRESET;
}

static int messages_export(struct export *export, struct emlfs_err *err)
{
    size_t n = json_object_array_length(export->messages);
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        const char *message =
            json_object_get_string(json_object_array_get_idx(export->messages, i));
        struct emlfs_err why = {0};

        if (emlfs_progress_cancelled(&export->asking.meter.progress))
            return emlfs_err_set(err, ECANCELED, MODULE, "interrupted");
        r = message_export(export, message, &why);
        if (r == 0) {
            export->done++;
            export->bytes += export->size;
        } else if (code_is_general(r)) {
            *err = why;
        } else {
            export->refused++;
            meter_end(&export->asking.meter);
            complain_err(&why);
            r = 0;
        }
        emlfs_progress_step(&export->asking.meter.progress, "exporting", i + 1, n);
    }
    return r;
}

static int totals_show(struct export *export, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();
    int r;

    if (!row)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    json_object_object_add(row, "exported", json_object_new_uint64(export->done));
    json_object_object_add(row, "refused", json_object_new_uint64(export->refused));
    json_object_object_add(row, "bytes", json_object_new_uint64(export->bytes));
    meter_end(&export->asking.meter);
    r = output_row(&export->asking.out, row);
    json_object_put(row);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "standard output") : 0;
}

int export_run(const struct emlfs_cli *cli)
{
    struct export export = {.dir_fd = -1,
                            .fd = -1,
                            .sign = emlfs_args_flag(cli->args, "sign"),
                            .sha = emlfs_sha256_new()};
    struct emlfs_err err = {0};
    int r = asking_begin(&export.asking, cli, &err);

    if (r == 0 && !export.sha)
        r = emlfs_err_set(&err, ENOMEM, MODULE, "out of memory");
    if (r == 0)
        r = messages_find(&export, &err);
    if (r == 0)
        r = directory_open(&export, &err);
    if (r == 0) {
        struct emlfs_err shown = {0};

        r = messages_export(&export, &err);
        if (emlfs_os_fsync(export.dir_fd) < 0 && r == 0)
            r = emlfs_err_sys(&err, errno, MODULE, "the directory could not be synced");
        (void)totals_show(&export, &shown);
    }
    emlfs_os_close(&export.dir_fd);
    emlfs_sha256_free(export.sha);
    json_object_put(export.messages);
    return asking_end(&export.asking, r, &err, export.refused);
}
