/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_MOUNT_SESSION_H
#define EMLFS_FS_MOUNT_SESSION_H

#include <json-c/json.h>

#include "fs_internal.h"
#include "mount_serve.h"

/* One mount of the archive: its kernel connection, its view, and the threads that serve it. */
struct mount_session;

struct mount_session_start {
    const struct fs *shared;     /* what is the process's: archive, rules, index, log */
    const struct mount_job *job; /* copied; mounted: its fd and what it shows are taken, whatever
                                    comes of it */
    struct emlfs_subject by;     /* who mounts */
    int life_fd;                 /* of whom the mount outlives only with it; -1: nobody.
                                    Taken when the session is made */
    int wake_fd;                 /* an eventfd, told when the mount has ended */
};
/*
 * Make everything that serves it, and write MOUNTED. -errno with the text: the mount is then dead,
 * and who made it undoes it.
 */
int mount_session_new(const struct mount_session_start *start, struct mount_session **ret,
                      struct emlfs_err *err);
/* Answer requests, on threads of its own; quick. Where that fails it has ended. */
void mount_session_run(struct mount_session *session);
/* Its last request was answered: it may be closed. */
bool mount_session_ended(const struct mount_session *session);
/* The kernel has let go of it: it has ended, or is about to. */
bool mount_session_is_cut(const struct mount_session *session);
/* Make it end, whatever uses it; again: nothing. Waits for threads that requests are answered to.
 */
void mount_session_end(struct mount_session *session);
/* End it, take the mount away where it still stands, write UNMOUNTED, free. */
void mount_session_close(struct mount_session *session);
/* A change in the archive; never waits. */
void mount_session_notice(struct mount_session *session, struct emlfs_folder_id folder);

const struct mount_job *mount_session_job(const struct mount_session *session);
/* -1 also once it was made to end. */
int mount_session_life_fd(const struct mount_session *session);
/* "MAJOR:MINOR" as the mount table shows it; "" where it is not known. */
const char *mount_session_device(const struct mount_session *session);
/* What is told of it; read_only is how it was asked for, not as it may have been remounted. */
void mount_session_status(struct mount_session *session, struct json_object *to);
/* Is it mounted read-only now, after whatever remounts? */
bool mount_is_read_only(const struct mount_job *job);

/*
 * The part of the archive that options name, as the view takes it: mount_scope.c. by: who mounts,
 * for an auditor an administrator. ENOENT: no such user, folder, store or account; EACCES; EPERM:
 * not an enrolled auditor.
 */
int mount_scope_find(const struct fs *fs, const struct mount_scope *named,
                     const struct emlfs_subject *by, struct emlfs_view_scope *ret,
                     struct emlfs_err *err);
/*
 * Mount on job->mountpoint, as root or by fusermount3; job->fd is then the connection. Nothing to
 * do where it is one already.
 */
int mount_make(struct mount_job *job, struct emlfs_err *err);
/* Undo mount_make, lazily: the mount and the connection. Nothing where it did nothing. */
void mount_undo(struct mount_job *job);

#endif
