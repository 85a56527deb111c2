/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_PROTECT_H
#define EMLFS_FS_MOUNT_PROTECT_H

struct emlfs_archive;
struct mount_protect;

/*
 * Keep the file system mounted at mountpoint (borrowed until _free) read-only exactly while every
 * store of the archive is write-protected; see mount_protect.c. Where nothing is mounted at that
 * path (it was mounted for us) *ret stays as it is, which the others take when it is NULL. -ENOMEM,
 * -EAGAIN.
 */
int mount_protect_start(struct emlfs_archive *archive, const char *mountpoint,
                        struct mount_protect **ret);
/* The stores may be in other states. Never waits. */
void mount_protect_notice(struct mount_protect *protect);
/* End the thread (again: nothing), while requests are still answered; notices are then ignored. */
void mount_protect_stop(struct mount_protect *protect);
void mount_protect_free(struct mount_protect *protect);

#endif
