/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_ASOF_H
#define EMLFS_FS_MOUNT_ASOF_H

#include "emlfs/asof.h"
#include "emlfs/text.h"

/* Mounts of the archive as it stood (asof=). */

struct fs_log;

/*
 * Make the archive of the past that option asof= with this value means; what is damaged goes to the
 * log. Says how far it is where stderr is a terminal: it may take as long as recovering would. As
 * emlfs_asof_open; err names the option.
 */
int mount_asof_open(struct emlfs_archive *live, const char *date, struct fs_log *log,
                    struct emlfs_archive **ret, struct emlfs_err *err);
/* Was it the value that could not be? */
bool mount_asof_refused(const struct emlfs_err *err);
/* The time of archive as text; "": it is not of the past. */
void mount_asof_text(const struct emlfs_archive *archive, char ret[EMLFS_TEXT_TIME_MAX]);

#endif
