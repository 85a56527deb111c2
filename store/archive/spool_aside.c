/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Spool files that are damaged. What was in one may be the only copy of somebody's mail, and a
 * backup or a better reader may bring it back: so it is put aside under another name, and kept.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spool_file.h"

#define TEXT_BYTES 400u
#define REMEDY                                                                                     \
    "put it back from a backup as %016" PRIu64 ".spool before the next mount, or copy the mail "   \
    "in again; then delete this file"

void spool_lost(struct emlfs_spool_lost *lost, const char *text)
{
    if (!lost)
        return;
    lost->n++;
    if (lost->told)
        lost->told(lost->arg, text);
}

/* Never over one that was put aside before. */
static int rename_free(const char *from, const char *to)
{
    struct stat st;

    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (lstat(to, &st) == 0)
        return -EEXIST;
    return errno == ENOENT && rename(from, to) == 0 ? 0 : -errno;
}

void spool_set_aside(struct emlfs_spool *spool, uint64_t number, struct emlfs_spool_lost *lost)
{
    char path[EMLFS_PATH_MAX_BYTES], aside[EMLFS_PATH_MAX_BYTES];
    char text[TEXT_BYTES];
    int rc = spool_path(spool, number, "", path);

    if (rc == 0)
        rc = spool_path(spool, number, SPOOL_ASIDE, aside);
    if (rc == 0)
        rc = rename_free(path, aside);
    snprintf(text, sizeof(text),
             "spool/%016" PRIu64
             ".spool%s is damaged, and what was copied in is not archived: " REMEDY,
             number, rc == 0 ? SPOOL_ASIDE : "", number);
    spool_lost(lost, text);
}

int spool_aside_each(const char *archive, void (*found)(void *arg, const char *text), void *arg)
{
    char path[EMLFS_PATH_MAX_BYTES], text[TEXT_BYTES];
    int rc = path_join(path, sizeof(path), archive, "spool");
    DIR *dir = rc == 0 ? opendir(path) : NULL;
    struct dirent *entry;

    if (!dir)
        return rc < 0 ? rc : errno == ENOENT ? 0 : -errno;
    while ((entry = readdir(dir))) {
        uint64_t number = spool_name_number(entry->d_name, ".spool" SPOOL_ASIDE);
        if (!number)
            continue;
        snprintf(text, sizeof(text),
                 "spool/%016" PRIu64 ".spool" SPOOL_ASIDE " holds what was copied in and was "
                 "damaged before it was archived: " REMEDY,
                 number, number);
        found(arg, text);
    }
    closedir(dir);
    return 0;
}
