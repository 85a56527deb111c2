/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_INTERNAL_H
#define EMLFS_FS_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "emlfs/view.h"

/* Shared by the FUSE side of the mount process: operations, invalidation, read-ahead. */

#define FS_READ_MAX_BYTES (1u << 20)
#define FS_CACHE_SEC 300.0
#define FS_LITTER_SEC 3600.0

struct fs_invalidate;
struct fs_prefetch;
struct fs_log;

/* What every request handler gets as its userdata. */
struct fs {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_view *view;
    struct fs_prefetch *prefetch; /* NULL with -o noprefetch */
    struct fs_log *log;
    double archive_name_sec; /* how long the name of a user archive is cached: 0 with -o
                                private_names */
};

extern const struct fuse_lowlevel_ops fs_ops;

/*
 * Where errors of the mount process go: stderr in the foreground, syslog otherwise. Damage of one
 * node is written once, not once per read.
 */
struct fs_log *fs_log_new(bool foreground);
void fs_log_free(struct fs_log *log);
void fs_log_text(struct fs_log *log, int priority, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void fs_log_damage(struct fs_log *log, emlfs_node node, const struct emlfs_err *err);

/*
 * Invalidation: fs_invalidate_notice is the archive's change subscriber (quick, never blocks); a
 * thread of its own tells the kernel, so that neither a commit nor a request waits for it.
 */
int fs_invalidate_start(struct fuse_session *session, struct fs_invalidate **ret);
void fs_invalidate_notice(void *arg, struct emlfs_folder_id folder);
/* End the thread (again: nothing); notices are still taken and ignored until _free. */
void fs_invalidate_stop(struct fs_invalidate *invalidate);
void fs_invalidate_free(struct fs_invalidate *invalidate);

/*
 * Read-ahead. _opened and _missed are called by the request threads for messages: the kernel asked
 * to open it, and to read it (so it was not in the page cache). Both only note and never wait.
 */
struct fs_prefetch_counts {
    uint64_t jobs, pushed, pushed_bytes, dropped;
};
int fs_prefetch_start(struct fuse_session *session, struct emlfs_archive *archive,
                      struct fs_prefetch **ret);
void fs_prefetch_opened(struct fs_prefetch *prefetch, uid_t uid, emlfs_node node);
void fs_prefetch_missed(struct fs_prefetch *prefetch, uid_t uid, emlfs_node node);
void fs_prefetch_counts(struct fs_prefetch *prefetch, struct fs_prefetch_counts *ret);
/* End the thread (again: nothing); requests may go on calling until _free. */
void fs_prefetch_stop(struct fs_prefetch *prefetch);
void fs_prefetch_free(struct fs_prefetch *prefetch);

#endif
