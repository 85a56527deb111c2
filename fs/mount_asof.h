/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_ASOF_H
#define EMLFS_FS_MOUNT_ASOF_H

#include "emlfs/asof.h"
#include "emlfs/text.h"

/* Mounts of the archive as it stood (asof=). */

struct fs_log;

/*
 * Make the archive of the past that option asof= with this value means; what is damaged goes to the
 * log. It may take as long as recovering would. As emlfs_asof_open; err names the option.
 */
struct mount_asof {
    struct emlfs_archive *live;
    const char *date;
    struct fs_log *log;
    const struct emlfs_progress *progress; /* NULL: on stderr, where that is a terminal */
};
int mount_asof_open(const struct mount_asof *asof, struct emlfs_archive **ret,
                    struct emlfs_err *err);

/* How far it is, on stderr, every few seconds; nothing where that is no terminal. */
struct mount_asof_saying {
    int64_t said_ns; /* monotonic; begins as now */
};
void mount_asof_say(void *saying, const char *phase, uint64_t done, uint64_t total);

/* Was it the value that could not be? */
bool mount_asof_refused(const struct emlfs_err *err);
/* The time of archive as text; "": it is not of the past. */
void mount_asof_text(const struct emlfs_archive *archive, char ret[EMLFS_TEXT_TIME_MAX]);

#endif
