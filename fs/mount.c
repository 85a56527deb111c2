/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From the command line to a mount process: options, mount point, fork. The fork comes first and
 * the child opens the archive, because locks and threads do not survive a fork.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/os.h"
#include "emlfs/mount.h"
#include "mount_serve.h"

static int fail(int code, const struct emlfs_err *err)
{
    (void)fprintf(stderr, "emlfs: %s\n", err->text);
    return code;
}

/* ---- remount */

static int remount(const struct emlfs_mount_request *request, const struct mount_options *options)
{
    unsigned long flags = MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    struct emlfs_err err = {.code = 0};
    char path[MOUNT_PATH_MAX];
    struct mount_entry entry;
    bool dead;

    if (mount_point_resolve(request->mountpoint, path, &dead, &err) < 0)
        return fail(MOUNT_FAILED, &err);
    if (mount_table_find(path, &entry) < 0 || !mount_entry_is_emlfs(&entry)) {
        emlfs_err_set(&err, EINVAL, "mount", "%s: no emlfs is mounted here", path);
        return fail(MOUNT_FAILED, &err);
    }
    if (options->read_only || (entry.read_only && !options->read_write))
        flags |= MS_RDONLY;
    if (mount(NULL, path, NULL, flags, NULL) < 0) {
        emlfs_err_sys(&err, errno, "mount", "remounting %s", path);
        return fail(MOUNT_FAILED, &err);
    }
    return MOUNT_OK;
}

/* ---- checks before the fork */

static int copy_path(char ret[MOUNT_PATH_MAX], const char *from, struct emlfs_err *err)
{
    size_t len = strlen(from);

    if (len >= MOUNT_PATH_MAX)
        return emlfs_err_set(err, ENAMETOOLONG, "mount", "path too long");
    memcpy(ret, from, len + 1);
    return 0;
}

static int job_archive(struct mount_job *job, const char *archive, struct emlfs_err *err)
{
    char found[PATH_MAX];
    int rc;

    if (!realpath(archive, found))
        return emlfs_err_sys(err, errno, "mount", "archive %s", archive);
    rc = copy_path(job->archive, found, err);
    return rc < 0 ? rc : copy_path(job->source, archive[0] == '/' ? archive : found, err);
}

static bool same_source(const struct mount_job *job, const struct mount_entry *entry)
{
    char found[PATH_MAX];

    return strcmp(entry->source, job->source) == 0 || strcmp(entry->source, job->archive) == 0 ||
           (realpath(entry->source, found) && strcmp(found, job->archive) == 0);
}

/* A mount whose process died answers ENOTCONN for ever: take it away. */
static int clear_dead(struct mount_job *job, struct emlfs_err *err)
{
    struct mount_entry entry;
    int rc;

    rc = mount_table_find(job->mountpoint, &entry);
    if (rc < 0 || !mount_entry_is_emlfs(&entry))
        return emlfs_err_set(err, ENOTCONN, "mount", "%s: a dead mount of another kind is here",
                             job->mountpoint);
    return mount_detach(job->mountpoint, true, err);
}

static bool path_is_below(const char *path, const char *top)
{
    size_t len = strlen(top);

    if (strcmp(top, "/") == 0)
        return true;
    return strncmp(path, top, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

static int job_mountpoint(struct mount_job *job, const char *path, struct emlfs_err *err)
{
    struct mount_entry entry;
    bool dead;
    int rc;

    if (mount_fd_of(path) >= 0) {
        job->premounted = true;
        return copy_path(job->mountpoint, path, err);
    }
    rc = mount_point_resolve(path, job->mountpoint, &dead, err);
    for (unsigned i = 0; rc == 0 && dead && i < 8; i++) {
        rc = clear_dead(job, err);
        if (rc == 0)
            rc = mount_point_resolve(path, job->mountpoint, &dead, err);
    }
    if (rc < 0)
        return rc;
    if (mount_table_find(job->mountpoint, &entry) == 0 && mount_entry_is_emlfs(&entry) &&
        same_source(job, &entry))
        return emlfs_err_set(err, EBUSY, "mount", "%s is already mounted on %s", job->source,
                             job->mountpoint);
    if (path_is_below(job->archive, job->mountpoint))
        return emlfs_err_set(err, EINVAL, "mount", "the archive %s lies below the mount point %s",
                             job->archive, job->mountpoint);
    return 0;
}

/* fusermount3 refuses allow_other for ordinary users unless the administrator allowed it. */
static bool may_allow_other(const struct mount_job *job)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(64u << 10);
    const char *line;

    if (job->premounted || geteuid() == 0)
        return true;
    if (emlfs_os_read_file("/etc/fuse.conf", &text) < 0 || emlfs_buf_append_u8(&text, 0) < 0)
        return false;
    for (line = (const char *)text.data; line; line = strchr(line, '\n')) {
        line += strspn(line, "\n \t");
        if (strncmp(line, "user_allow_other", 16) == 0 && strchr(" \t\n", line[16]))
            return true;
    }
    return false;
}

/* 0, or the exit code with err filled. */
static int job_prepare(struct mount_job *job, const struct emlfs_mount_request *request,
                       struct emlfs_err *err)
{
    if (!may_allow_other(job)) {
        emlfs_err_set(err, EPERM, "mount",
                      "mounting as an ordinary user needs the line user_allow_other in "
                      "/etc/fuse.conf");
        return MOUNT_USAGE;
    }
    if (job_archive(job, request->archive, err) < 0)
        return MOUNT_FAILED;
    return job_mountpoint(job, request->mountpoint, err) < 0 ? MOUNT_FAILED : MOUNT_OK;
}

/* ---- the fork */

/* The parent: wait for the child's word. */
static int await_child(int fd, pid_t pid)
{
    struct emlfs_err err = {.code = 0};
    uint8_t code;
    ssize_t n;

    n = emlfs_os_read_full(fd, &code, 1);
    if (n == 1) {
        n = code == MOUNT_OK ? 0 : emlfs_os_read_full(fd, err.text, sizeof(err.text) - 1);
        err.text[n > 0 ? n : 0] = '\0';
        return code == MOUNT_OK ? MOUNT_OK : fail(code, &err);
    }
    (void)waitpid(pid, NULL, 0);
    emlfs_err_set(&err, EIO, "mount", "the mount process ended without a word");
    return fail(MOUNT_FAILED, &err);
}

static int daemonize(struct mount_job *job)
{
    struct emlfs_err err = {.code = 0};
    int fds[2], code;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0) {
        emlfs_err_sys(&err, errno, "mount", "pipe");
        return fail(MOUNT_SYSTEM, &err);
    }
    pid = fork();
    if (pid < 0) {
        emlfs_err_sys(&err, errno, "mount", "fork");
        (void)close(fds[0]);
        (void)close(fds[1]);
        return fail(MOUNT_SYSTEM, &err);
    }
    if (pid > 0) {
        (void)close(fds[1]);
        code = await_child(fds[0], pid);
        (void)close(fds[0]);
        return code;
    }
    (void)close(fds[0]);
    (void)setsid();
    if (chdir("/") < 0)
        _exit(MOUNT_SYSTEM);
    job->status_fd = fds[1];
    return mount_serve(job);
}

int emlfs_mount_main(const struct emlfs_mount_request *request)
{
    struct mount_job job = {.foreground = request->foreground != 0, .fd = -1, .status_fd = -1};
    struct emlfs_err err = {.code = 0};
    int code;

    if (strlen(request->options) >= sizeof(job.options_text)) {
        emlfs_err_set(&err, E2BIG, "mount", "the options are too long");
        return fail(MOUNT_USAGE, &err);
    }
    memcpy(job.options_text, request->options, strlen(request->options) + 1);
    if (mount_options_parse(job.options_text, &job.options, &err) < 0)
        return fail(MOUNT_USAGE, &err);
    if (job.options.warn_owner)
        (void)fprintf(stderr, "emlfs: uid=, gid= and umask= have no effect: owners and modes come "
                              "from the archive\n");
    if (job.options.remount)
        return remount(request, &job.options);
    job.fd = mount_fd_of(request->mountpoint);
    job.premounted = job.fd >= 0;
    if (job.premounted && fcntl(job.fd, F_SETFD, FD_CLOEXEC) < 0) {
        emlfs_err_sys(&err, errno, "mount", "%s", request->mountpoint);
        return fail(MOUNT_FAILED, &err);
    }
    code = job_prepare(&job, request, &err);
    if (code != MOUNT_OK)
        return fail(code, &err);
    return job.foreground ? mount_serve(&job) : daemonize(&job);
}
