/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_SERVE_H
#define EMLFS_FS_MOUNT_SERVE_H

#include "mount_internal.h"

#define MOUNT_OPTIONS_TEXT_MAX 4096u

/* One mount, from the request to its end. */
struct mount_job {
    struct mount_options options;
    char options_text[MOUNT_OPTIONS_TEXT_MAX]; /* as they were given */
    char archive[MOUNT_PATH_MAX];              /* canonical */
    char source[MOUNT_PATH_MAX];               /* as the mount table shows it */
    char mountpoint[MOUNT_PATH_MAX];           /* canonical, or "/dev/fd/N" */
    bool premounted;                           /* "/dev/fd/N": mounted by mount.fuse3 */
    bool foreground;
    struct emlfs_archive *past; /* NULL, or with asof= what is shown; the session takes it */
    bool made;                  /* mounted by us, and not served yet */
    int fd;                     /* the kernel connection, once it is mounted; -1 */
    int status_fd;              /* to the waiting parent; -1: none */
};
/*
 * Mount and serve until unmounted or told to end: in this process, which then opens the archive, or
 * where a mount process has it, in that one, which the mount is handed to. The waiting parent is
 * told through status_fd as soon as the mount stands. Exit code.
 */
int mount_serve(struct mount_job *job);
/* Tell the parent: one byte exit code, then the text. False when nobody listens any more. */
bool mount_report(struct mount_job *job, int code, const struct emlfs_err *err);

#endif
