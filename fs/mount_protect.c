/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An archive whose stores are all write-protected makes its mount read-only.
 *
 * FUSE has no word for it in the answer to statfs(2), so the file system itself is set read-only
 * and writable again, on a thread of its own: that may wait for answers of the request threads.
 *
 * P1  Only the file system (the superblock) is set, never the flags of the mount: those are what
 *     somebody asked for with ro or rw, and a mount that is read-only by them is left alone.
 *     Who remounts by hand meanwhile has the last word until the stores change again.
 * P2  Where it is not permitted, everything stays as it was: the rules refuse without it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/stores.h"
#include "fs_internal.h"
#include "mount_internal.h"
#include "mount_protect.h"

#define RETRY_SEC 5 /* a file is being written: EBUSY */

struct mount_protect {
    struct emlfs_archive *archive;
    const char *mountpoint;
    char device[32]; /* so that nothing that was mounted above it is taken for it */
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    bool running, stop, pending;
};

static int superblock_set(const char *path, const char *flag)
{
    EMLFS_FD_CLEANUP int fd = fspick(AT_FDCWD, path, FSPICK_CLOEXEC | FSPICK_NO_AUTOMOUNT);

    if (fd < 0 || fsconfig(fd, FSCONFIG_SET_FLAG, flag, NULL, 0) < 0 ||
        fsconfig(fd, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
        return -errno;
    return 0;
}

/* Make it as the stores are. -EBUSY: try again. */
static int protect_once(struct mount_protect *protect)
{
    bool wanted = emlfs_archive_all_protected(protect->archive);
    struct mount_entry entry;

    if (mount_table_find(protect->mountpoint, &entry) < 0 ||
        strcmp(entry.device, protect->device) != 0)
        return 0;
    if (entry.read_only || entry.super_read_only == wanted)
        return 0;
    return superblock_set(protect->mountpoint, wanted ? "ro" : "rw");
}

static void wait_for_notice(struct mount_protect *protect, bool again)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += RETRY_SEC;
    while (!protect->stop && !protect->pending) {
        if (!again)
            pthread_cond_wait(&protect->wake, &protect->lock);
        else if (pthread_cond_timedwait(&protect->wake, &protect->lock, &until) != 0)
            break;
    }
}

static void *protect_run(void *arg)
{
    struct mount_protect *protect = arg;
    int rc;

    pthread_mutex_lock(&protect->lock);
    while (!protect->stop) {
        protect->pending = false;
        pthread_mutex_unlock(&protect->lock);
        rc = protect_once(protect);
        pthread_mutex_lock(&protect->lock);
        wait_for_notice(protect, rc == -EBUSY);
    }
    pthread_mutex_unlock(&protect->lock);
    return NULL;
}

void mount_protect_notice(struct mount_protect *protect)
{
    if (!protect)
        return;
    pthread_mutex_lock(&protect->lock);
    protect->pending = true;
    pthread_cond_signal(&protect->wake);
    pthread_mutex_unlock(&protect->lock);
}

int mount_protect_start(struct emlfs_archive *archive, const char *mountpoint,
                        struct mount_protect **ret)
{
    struct mount_protect *protect;
    struct mount_entry entry;
    int rc;

    if (mount_table_find(mountpoint, &entry) < 0)
        return 0;
    protect = calloc(1, sizeof(*protect));
    if (!protect)
        return -ENOMEM;
    protect->archive = archive;
    protect->mountpoint = mountpoint;
    memcpy(protect->device, entry.device, sizeof(protect->device));
    pthread_mutex_init(&protect->lock, NULL);
    pthread_cond_init(&protect->wake, NULL);
    rc = pthread_create(&protect->thread, NULL, protect_run, protect);
    if (rc != 0) {
        mount_protect_free(protect);
        return -rc;
    }
    protect->running = true;
    *ret = protect;
    return 0;
}

void mount_protect_stop(struct mount_protect *protect)
{
    bool running;

    if (!protect)
        return;
    pthread_mutex_lock(&protect->lock);
    running = protect->running;
    protect->running = false;
    protect->stop = true;
    pthread_cond_signal(&protect->wake);
    pthread_mutex_unlock(&protect->lock);
    if (running)
        pthread_join(protect->thread, NULL);
}

void mount_protect_free(struct mount_protect *protect)
{
    if (!protect)
        return;
    mount_protect_stop(protect);
    pthread_cond_destroy(&protect->wake);
    pthread_mutex_destroy(&protect->lock);
    free(protect);
}
