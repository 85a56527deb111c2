/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Commands that ask the archive several things and write files with the user's own rights. */
#include "asking.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"

static void asking_notice(void *arg, const char *text)
{
    struct asking *asking = arg;

    meter_end(&asking->meter);
    complain(text);
}

int asking_begin(struct asking *asking, const struct emlfs_cli *cli, struct emlfs_err *err)
{
    *asking = (struct asking){.cli = cli, .place = {.fd = -1}};
    output_begin(&asking->out, cli);
    meter_begin(&asking->meter, cli->quiet, interrupt_watch());
    return place_find(&asking->place, cli, &asking->meter, err);
}

int asking_run(struct asking *asking, const char *name, struct emlfs_call *call,
               struct emlfs_err *err)
{
    struct place *place = &asking->place;
    EMLFS_FD_CLEANUP int fd = place->fd;
    int r = 0;

    call->source = EMLFS_LEDGER_COMMAND;
    call->subject = (struct emlfs_subject){.uid = getuid(), .gid = getgid()};
    call->progress = call->progress ? call->progress : &asking->meter.progress;
    call->notice = asking_notice;
    call->archive = place->archive;
    call->bindings = place->bindings;
    call->rules = place->rules;
    call->index = place->index;
    call->saved = place->saved;
    if (place->archive)
        return emlfs_command_run(emlfs_command_find(name), call, err);
    /* A connection runs one request. */
    place->fd = -1;
    if (fd < 0)
        r = emlfs_remote_connect(asking->cli->archive, &fd, err);
    return r == 0 ? emlfs_remote_run(fd, name, call, err) : r;
}

int asking_end(struct asking *asking, int r, struct emlfs_err *err, uint64_t findings)
{
    int left = place_leave(&asking->place, r < 0 ? NULL : err), written;

    r = r < 0 ? r : left;
    meter_end(&asking->meter);
    written = output_end(&asking->out);
    if (r < 0)
        complain_err(err);
    else if (written < 0)
        complain("standard output did not take everything");
    return exit_code(r < 0 ? r : written, findings);
}

/* ---- files */

int file_make(int dir_fd, const char *name, int *ret_fd)
{
    *ret_fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    return *ret_fd < 0 ? -errno : 0;
}

int file_finish(int dir_fd, const char *name, int *fd, int r)
{
    if (r == 0)
        r = emlfs_os_fsync(*fd);
    if (*fd >= 0 && close(*fd) < 0 && r == 0)
        r = -errno;
    if (r < 0 && *fd >= 0)
        (void)unlinkat(dir_fd, name, 0);
    *fd = -1;
    return r;
}

int file_write(int dir_fd, const char *name, struct emlfs_span content)
{
    int fd, r = file_make(dir_fd, name, &fd);

    if (r < 0)
        return r;
    return file_finish(dir_fd, name, &fd, emlfs_os_write_all(fd, content.data, content.len));
}

int file_write_same(int dir_fd, const char *name, struct emlfs_span content)
{
    int r = file_write(dir_fd, name, content);

    if (r != -EEXIST)
        return r;

    EMLFS_FD_CLEANUP int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    uint8_t *there = malloc(content.len + 1);
    ssize_t n = there && fd >= 0 ? emlfs_os_read_full(fd, there, content.len + 1) : -1;
    bool same = n >= 0 && emlfs_span_equal(content, emlfs_span_of(there, (size_t)n));

    free(there);
    return same ? 0 : -EEXIST;
}
