/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>

#include "emlfs/base/os.h"
#include "emlfs/command.h"
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

/* Who may not unmount may administer the archive: then its mount process does it. */
static int ask_process(const struct mount_entry *entry, const char *path)
{
    struct json_object *args = json_object_new_object();
    struct emlfs_call call = {.args = args};
    EMLFS_FD_CLEANUP int fd = -1;
    int rc = args ? emlfs_remote_connect(entry->source, &fd, NULL) : -ENOMEM;

    if (rc == 0) {
        json_object_object_add(args, "mountpoint", json_object_new_string(path));
        rc = emlfs_remote_run(fd, "umount", &call, NULL);
    }
    json_object_put(args);
    return rc;
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
    if (mount_detach(path, dead, &err) < 0 && ask_process(&entry, path) < 0)
        return umount_refused(path, &err);
    return MOUNT_OK;
}
