/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_MOUNT_H
#define EMLFS_MOUNT_H

/*
 * The mount process: `emlfs mount ARCHIVE MOUNTPOINT [-o OPTIONS] [-f]`, the fstab form
 * `emlfs ARCHIVE MOUNTPOINT -o OPTIONS`, and `mount.fuse.emlfs`. Exit codes are mount(8)'s:
 * 0 mounted, 1 usage or option, 2 system error, 32 mount failed.
 */
struct emlfs_mount_request {
    const char *archive;    /* ARCHIVE as given */
    const char *mountpoint; /* a path or "/dev/fd/N" */
    const char *options;    /* comma-separated, all -o joined; "" for none */
    int foreground;         /* -f: do not daemonize (systemd services) */
};
/* Returns the exit code of the parent (or of the whole run in the foreground). */
int emlfs_mount_main(const struct emlfs_mount_request *request);

/* `emlfs umount MOUNTPOINT`: asks the mount process, falls back to umount(8)/fusermount3. */
int emlfs_umount_main(const char *mountpoint);

#endif
