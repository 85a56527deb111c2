/* SPDX-License-Identifier: GPL-3.0-or-later */
/* prove and checkpoint: texts of the ledger that become files of the user's. */
#include "asking.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "emlfs/base/crypto.h"
#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define MODULE "prove"
#define ANSWER_MAX_BYTES (1u << 20)
#define CHUNK_BYTES (64u << 10)
#define PIECE_BYTES 2000u            /* of a list of hexadecimal pieces */
#define STAMP_MAX_BYTES (100u << 10) /* response and certificates together */

/* ---- texts */

static int answer_bytes(void *arg, struct emlfs_span bytes)
{
    return emlfs_buf_append(arg, bytes.data, bytes.len);
}

static int text_ask(struct asking *asking, const char *name, struct json_object *args,
                    struct emlfs_buf *ret, struct emlfs_err *err)
{
    struct emlfs_call call = {.args = args, .bytes = answer_bytes, .arg = ret};

    if (!args)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    return asking_run(asking, name, &call, err);
}

/* To --output, or to stdout. */
static int text_deliver(struct asking *asking, const struct emlfs_buf *text, struct emlfs_err *err)
{
    const char *path = emlfs_args_text(asking->cli->args, "output");
    int r = path ? file_write(AT_FDCWD, path, emlfs_buf_view(text))
                 : output_bytes(emlfs_buf_view(text));

    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", path ? path : "standard output") : 0;
}

static void number_add(struct json_object *args, const struct emlfs_cli *cli, const char *name)
{
    struct json_object *value = json_object_object_get(cli->args, name);

    if (value)
        json_object_object_add(args, name, json_object_get(value));
}

static struct json_object *text_args(const struct emlfs_cli *cli, const char *what)
{
    struct json_object *args = json_object_new_object();

    if (args) {
        json_object_object_add(args, "WHAT", json_object_new_string(what));
        number_add(args, cli, "number");
    }
    return args;
}

/* ---- prove */

static int file_digest(const char *path, char *ret_hex, struct emlfs_err *err)
{
    EMLFS_FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct emlfs_sha256_ctx *sha = emlfs_sha256_new();
    struct emlfs_hash hash = {0};
    uint8_t chunk[CHUNK_BYTES];
    ssize_t n = fd < 0 ? -errno : 1;
    int r = sha ? 0 : -ENOMEM;

    while (r == 0 && n > 0) {
        n = emlfs_os_read_full(fd, chunk, sizeof(chunk));
        if (n > 0)
            r = emlfs_sha256_update(sha, emlfs_span_of(chunk, (size_t)n));
    }
    r = n < 0 ? (int)n : r;
    if (r == 0)
        r = emlfs_sha256_final(sha, &hash);
    emlfs_sha256_free(sha);
    for (unsigned i = 0; i < EMLFS_HASH_BYTES; i++)
        (void)snprintf(ret_hex + (size_t)2 * i, 3, "%02x", hash.v[i]);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", path) : 0;
}

static int prove_args(const struct emlfs_cli *cli, struct json_object *ret, struct emlfs_err *err)
{
    static const char *const ways[] = {"FILE", "message", "record", "consistency"};
    const char *file = emlfs_args_text(cli->args, "FILE");
    char hex[2 * EMLFS_HASH_BYTES + 1];
    unsigned given = 0;
    int r = 0;

    for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        given += json_object_object_get(cli->args, ways[i]) != NULL;
        if (i > 0)
            number_add(ret, cli, ways[i]);
    }
    if (given != 1)
        return emlfs_err_set(err, EINVAL, MODULE,
                             "one of FILE, --message, --record and --consistency is needed");
    if (file)
        r = file_digest(file, hex, err);
    if (r == 0 && file)
        json_object_object_add(ret, "digest", json_object_new_string(hex));
    return r;
}

/* The key beside the proof, so that it can be looked at at all; a checker brings the own one. */
static int key_beside(struct asking *asking, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf pem = EMLFS_BUF_INIT(ANSWER_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(2 * EMLFS_ARG_TEXT_MAX_BYTES);
    const char *output = emlfs_args_text(asking->cli->args, "output");
    struct json_object *args;
    int r;

    if (!output)
        return 0;
    args = text_args(asking->cli, "key");
    r = text_ask(asking, "ledger text", args, &pem, err);
    json_object_put(args);
    if (r < 0)
        return r;
    if (emlfs_text_printf(&path, "%s.pem%c", output, '\0') < 0)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    r = file_write_same(AT_FDCWD, (const char *)path.data, emlfs_buf_view(&pem));
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", (const char *)path.data) : 0;
}

int prove_run(const struct emlfs_cli *cli)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf proof = EMLFS_BUF_INIT(ANSWER_MAX_BYTES);
    struct json_object *args = json_object_new_object();
    struct emlfs_err err = {0};
    struct asking asking;
    int r = asking_begin(&asking, cli, &err);

    if (r == 0)
        r = prove_args(cli, args, &err);
    if (r == 0)
        r = text_ask(&asking, "ledger prove", args, &proof, &err);
    if (r == 0)
        r = text_deliver(&asking, &proof, &err);
    if (r == 0)
        r = key_beside(&asking, &err);
    json_object_put(args);
    return asking_end(&asking, r, &err, 0);
}

/* ---- checkpoint */

static int file_pieces(const char *path, size_t *left, struct json_object *list,
                       struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf content = EMLFS_BUF_INIT(*left);
    int r = emlfs_os_read_file(path, &content);

    if (r == -EFBIG)
        return emlfs_err_set(err, E2BIG, MODULE,
                             "%s is too long: give the authority's certificates alone", path);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "%s", path);
    *left -= content.len;
    for (size_t at = 0; at < content.len; at += PIECE_BYTES) {
        char hex[2 * PIECE_BYTES + 1];
        size_t n = content.len - at < PIECE_BYTES ? content.len - at : PIECE_BYTES;

        for (size_t i = 0; i < n; i++)
            (void)snprintf(hex + 2 * i, 3, "%02x", content.data[at + i]);
        json_object_array_add(list, json_object_new_string(hex));
    }
    return 0;
}

static int stamp_add(struct asking *asking, struct emlfs_err *err)
{
    const struct emlfs_cli *cli = asking->cli;
    struct json_object *args = json_object_new_object();
    struct json_object *response = json_object_new_array(), *ca = json_object_new_array();
    struct emlfs_call call = {.args = args};
    size_t left = STAMP_MAX_BYTES;
    int r = 0;

    if (!args || !response || !ca)
        r = emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    if (r == 0)
        r = file_pieces(emlfs_args_text(cli->args, "FILE"), &left, response, err);
    if (r == 0)
        r = file_pieces(emlfs_args_text(cli->args, "ca"), &left, ca, err);
    if (r == 0) {
        json_object_object_add(args, "response", json_object_get(response));
        json_object_object_add(args, "ca", json_object_get(ca));
        number_add(args, cli, "number");
        r = asking_run(asking, "ledger timestamp", &call, err);
    }
    json_object_put(response);
    json_object_put(ca);
    json_object_put(args);
    return r;
}

static int text_fetch(struct asking *asking, const char *what, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(ANSWER_MAX_BYTES);
    struct json_object *args = text_args(asking->cli, what);
    int r = text_ask(asking, "ledger text", args, &text, err);

    json_object_put(args);
    return r == 0 ? text_deliver(asking, &text, err) : r;
}

int checkpoint_run(const struct emlfs_cli *cli)
{
    const char *word = strchr(cli->command->name, ' ');
    struct emlfs_err err = {0};
    struct asking asking;
    int r = asking_begin(&asking, cli, &err);

    word = word ? word + 1 : "checkpoint";
    if (r == 0)
        r = strcmp(word, "timestamp-add") == 0 ? stamp_add(&asking, &err)
                                               : text_fetch(&asking, word, &err);
    return asking_end(&asking, r, &err, 0);
}
