/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_SERVE_H
#define EMLFS_FS_MOUNT_SERVE_H

#include "mount_internal.h"

/* One mount, from the request to its end. */
struct mount_job {
    struct mount_options options;
    char archive[MOUNT_PATH_MAX];    /* canonical */
    char source[MOUNT_PATH_MAX];     /* as the mount table shows it */
    char mountpoint[MOUNT_PATH_MAX]; /* canonical, or "/dev/fd/N" */
    bool premounted;                 /* "/dev/fd/N": mounted by mount.fuse3 */
    bool foreground;
    int status_fd; /* to the waiting parent; -1: none */
};
/*
 * Open the archive, mount, serve until unmounted or told to end. Runs in the process that stays.
 * The waiting parent is told through status_fd as soon as the mount stands. Exit code.
 */
int mount_serve(struct mount_job *job);
/* Tell the parent: one byte exit code, then the text. False when nobody listens any more. */
bool mount_report(struct mount_job *job, int code, const struct emlfs_err *err);

#endif
