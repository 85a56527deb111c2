/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "emlfs/mount.h"
#include "mount_internal.h"

static int umount_refused(const char *path, const struct emlfs_err *err)
{
    (void)fprintf(stderr, "emlfs: %s\n", err->text);
    if (err->code == EBUSY)
        (void)fprintf(stderr,
                      "emlfs: %s is in use: close what is open there (fuser -vm %s lists it); "
                      "Samba sessions end with: smbcontrol smbd close-share SHARE\n",
                      path, path);
    return MOUNT_FAILED;
}

int emlfs_umount_main(const char *mountpoint)
{
    struct emlfs_err err = {.code = 0};
    char path[MOUNT_PATH_MAX];
    struct mount_entry entry;
    bool dead;

    if (mount_point_resolve(mountpoint, path, &dead, &err) < 0)
        return umount_refused(mountpoint, &err);
    if (mount_table_find(path, &entry) < 0 || !mount_entry_is_emlfs(&entry)) {
        emlfs_err_set(&err, EINVAL, "mount", "%s: no emlfs is mounted here", path);
        return umount_refused(path, &err);
    }
    if (mount_detach(path, dead, &err) < 0)
        return umount_refused(path, &err);
    return MOUNT_OK;
}
