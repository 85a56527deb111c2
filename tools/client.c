/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where a command runs: in the mount process when there is one, here otherwise. */
#include "tool.h"

#include <ctype.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emlfs/base/os.h"

#define LOCK_WAIT_MS 3000
#define TRIES_MAX 3u /* of a command that meets mount processes that are ending */
#define MEMORY_BYTES ((size_t)1 << 20)

/* ---- recovery key */

/* The key is the file's text without the blanks around it. */
static int place_key(struct place *place, const char *file, struct emlfs_err *err)
{
    struct emlfs_buf buf = EMLFS_BUF_INIT(SECRET_FILE_MAX_BYTES);
    int r = file ? secret_read(file, &buf) : 0;
    size_t from = 0, to = buf.len;

    if (r < 0)
        emlfs_err_sys(err, -r, "client", "recovery key %s", file);
    while (from < to && isspace(buf.data[from]))
        from++;
    while (to > from && isspace(buf.data[to - 1]))
        to--;
    if (r == 0 && file) {
        place->recovery_key = strndup((const char *)buf.data + from, to - from);
        if (!place->recovery_key)
            r = emlfs_err_set(err, ENOMEM, "client", "out of memory");
    }
    emlfs_buf_wipe(&buf);
    return r;
}

/* ---- places */

static void place_notice(void *arg, const char *text)
{
    const struct place *place = arg;

    if (place->trying)
        return;
    meter_end(place->meter);
    complain(text);
}

int place_index(struct place *place, struct emlfs_err *err)
{
    int r = emlfs_saved_open(place->archive, &place->saved, err);

    return r < 0
               ? r
               : emlfs_command_index_open(place->archive, place_notice, place, &place->index, err);
}

static int place_close(struct place *place, struct emlfs_err *err)
{
    int closed, r = 0;

    emlfs_rules_close(place->rules);
    if (place->index)
        r = emlfs_index_close(place->index, err);
    emlfs_saved_close(place->saved);
    emlfs_bindings_free(place->bindings);
    if (place->archive) {
        closed = emlfs_archive_close(place->archive, r < 0 ? NULL : err);
        r = r < 0 ? r : closed;
    }
    place->rules = NULL;
    place->index = NULL;
    place->saved = NULL;
    place->bindings = NULL;
    place->archive = NULL;
    return r;
}

/* The archive and its index. Where a look is not enough for the index, it is opened as usual. */
static int place_contents(struct place *place, bool with_index, struct emlfs_err *err)
{
    int r = emlfs_archive_open(&place->options, &place->archive, err);

    if (r < 0 || !with_index)
        return r;
    place->trying = place->options.look;
    r = place_index(place, place->trying ? NULL : err);
    if (!place->trying || (r == 0 && emlfs_index_is_current(place->index))) {
        place->trying = false;
        return r;
    }
    (void)place_close(place, NULL);
    place->trying = place->options.look = false;
    return place_contents(place, with_index, err);
}

/* The index before the rules: whether a query matches is its answer. */
static int place_open(struct place *place, bool with_index, struct emlfs_err *err)
{
    struct emlfs_rules_options options = {0};
    int r = place_contents(place, with_index, err);

    if (r < 0)
        return r;
    r = emlfs_bindings_new(place->archive, &place->bindings);
    if (r < 0)
        return emlfs_err_sys(err, -r, "client", "users");
    options.archive = place->archive;
    options.bindings = place->bindings;
    options.index = place->index;
    return emlfs_rules_open(&options, &place->rules, err);
}

/*
 * A command that only looks is over in milliseconds, of which taking memory page by page would be a
 * good part: what it needs as a rule is asked for at once, and kept to its end.
 */
static void memory_take(void)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)mallopt(M_MMAP_THRESHOLD, (int)(2 * MEMORY_BYTES));
    (void)mallopt(M_TRIM_THRESHOLD, (int)(4 * MEMORY_BYTES));
    (void)mallopt(M_TOP_PAD, (int)(MEMORY_BYTES / 2));
    (void)mallopt(M_ARENA_MAX, 1);
    void *memory = malloc(MEMORY_BYTES);
    if (!memory)
        return;
    uintptr_t end = (uintptr_t)memory + MEMORY_BYTES;
    uintptr_t from = ((uintptr_t)memory + page - 1) / page * page;
    (void)madvise((void *)from, end - from, MADV_POPULATE_WRITE); /* older kernels do without */
    free(memory);
}

int place_find(struct place *place, const struct emlfs_cli *cli, struct meter *meter,
               struct emlfs_err *err)
{
    int r;

    *place = (struct place){.fd = -1, .meter = meter};
    r = place_key(place, cli->recovery_key_file, err);
    if (r < 0)
        return r;
    place->options =
        (struct emlfs_archive_options){.path = cli->archive,
                                       .recovery_key = place->recovery_key,
                                       .look = cli->command->flags & EMLFS_COMMAND_LOOKS,
                                       .lock_wait_ms = LOCK_WAIT_MS,
                                       .progress = &meter->progress};
    r = emlfs_remote_connect(cli->archive, &place->fd, err);
    if (r != -ENOENT || (cli->command->flags & EMLFS_COMMAND_CLOSED))
        return r == -ENOENT ? 0 : r;
    if (place->options.look)
        memory_take();
    r = place_open(place, cli->command->flags & EMLFS_COMMAND_INDEX, err);
    /* Somebody may have mounted it just now. */
    if (r == -EBUSY && emlfs_remote_connect(cli->archive, &place->fd, NULL) == 0)
        r = 0;
    return r;
}

int place_leave(struct place *place, struct emlfs_err *err)
{
    int r = place_close(place, err);

    emlfs_os_close(&place->fd);
    if (place->recovery_key)
        emlfs_wipe(place->recovery_key, strlen(place->recovery_key));
    free(place->recovery_key);
    *place = (struct place){.fd = -1};
    return r;
}

/* ---- running */

struct client {
    struct output out;
    struct meter meter;
};

static int client_row(void *arg, struct json_object *row)
{
    struct client *client = arg;

    meter_end(&client->meter);
    return output_row(&client->out, row);
}

static int client_bytes(void *arg, struct emlfs_span bytes)
{
    (void)arg;
    return output_bytes(bytes);
}

static void client_notice(void *arg, const char *text)
{
    struct client *client = arg;

    meter_end(&client->meter);
    complain(text);
}

int exit_code(int r, uint64_t findings)
{
    if (r == 0)
        return findings ? EMLFS_EXIT_USAGE : EMLFS_EXIT_OK;
    if (r == -EINVAL)
        return EMLFS_EXIT_USAGE;
    return r == -ECANCELED ? EMLFS_EXIT_INTERRUPTED : EMLFS_EXIT_SYSTEM;
}

static int call_once(const struct emlfs_cli *cli, struct client *client, struct emlfs_call *call,
                     struct emlfs_err *err)
{
    struct place place = {.fd = -1};
    int r = 0;

    if (cli->command->flags & EMLFS_COMMAND_ARCHIVE)
        r = place_find(&place, cli, &client->meter, err);
    call->archive = place.archive;
    call->bindings = place.bindings;
    call->rules = place.rules;
    call->index = place.index;
    call->saved = place.saved;
    call->closed = cli->command->flags & EMLFS_COMMAND_CLOSED ? &place.options : NULL;
    if (r == 0 && place.fd >= 0)
        r = emlfs_remote_run(place.fd, cli->command->name, call, err);
    else if (r == 0)
        r = emlfs_command_run(cli->command, call, err);

    int left = place_leave(&place, r < 0 ? NULL : err);

    return r < 0 ? r : left;
}

/* -ESHUTDOWN: the mount process was ending and did nothing of it. */
static int call_run(const struct emlfs_cli *cli, struct client *client, struct emlfs_call *call,
                    struct emlfs_err *err)
{
    int r = -ESHUTDOWN;

    for (unsigned tries = 0; r == -ESHUTDOWN && tries < TRIES_MAX; tries++) {
        *err = (struct emlfs_err){0};
        r = call_once(cli, client, call, err);
    }
    return r;
}

int client_run(const struct emlfs_cli *cli)
{
    struct client client;
    struct emlfs_err err = {0};
    struct emlfs_call call = {.source = EMLFS_LEDGER_COMMAND,
                              .subject = {.uid = getuid(), .gid = getgid()},
                              .args = cli->args,
                              .row = client_row,
                              .bytes = client_bytes,
                              .notice = client_notice,
                              .arg = &client};

    if (secrets_fill(cli, &err) < 0) {
        complain_err(&err);
        return exit_code(-err.code, 0);
    }
    output_begin(&client.out, cli);
    meter_begin(&client.meter, cli->quiet, interrupt_watch());
    call.progress = &client.meter.progress;

    int r = call_run(cli, &client, &call, &err);

    emlfs_args_wipe(cli->command, cli->args);
    meter_end(&client.meter);
    int written = output_end(&client.out);

    if (r < 0)
        complain_err(&err);
    else if (written < 0)
        complain("standard output did not take everything");
    return exit_code(r < 0 ? r : written, call.findings);
}
