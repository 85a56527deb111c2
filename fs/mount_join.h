/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_JOIN_H
#define EMLFS_FS_MOUNT_JOIN_H

#include "emlfs/command.h"
#include "mount_serve.h"

/*
 * Handing a mount to the mount process that has the archive: what the one who asks does. The other
 * end is mount_serve.c's.
 */

/*
 * 0: it serves the mount; *ret_life (in the foreground, else -1) is readable when the mount has
 * ended, and closing it ends the mount. MOUNT_JOIN_NOBODY: there is no mount process; -EAGAIN:
 * there was one, which is ending; other errors are final. What was mounted for it stays in job.
 */
#define MOUNT_JOIN_NOBODY 1
int mount_join(struct mount_job *job, int *ret_life, struct emlfs_err *err);
/* Wait until the mount has ended; a signal of end_signals ends it. */
int mount_join_wait(int life_fd);

/* The request as the mount process reads it. -EPROTONOSUPPORT: of another version; EINVAL. */
int mount_join_read(struct json_object *args, struct mount_job *ret, struct emlfs_err *err);

#endif
