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
#define FS_MOMENT_SEC 1.0 /* attributes of directories of searches: a path costs no question */
#define FS_BRIEF_SEC 10.0 /* names in directories of results: a listing and what follows it */

struct fs_invalidate;
struct fs_prefetch;
struct fs_log;
struct fs_search;
struct fs_dir;
struct fs_staging;
struct staged_open;

/* What every request handler gets as its userdata. */
struct fs {
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_index *index; /* NULL: it could not be opened */
    struct emlfs_saved *saved; /* NULL exactly when index is */
    struct emlfs_view *view;
    struct fs_invalidate *invalidate;
    struct fs_prefetch *prefetch;     /* NULL with -o noprefetch */
    struct fs_search *search;         /* NULL where there are no searches */
    struct fs_staging *staging;       /* NULL: nothing can be written into this mount */
    struct staged_open *staged_opens; /* fs_staged.c's: of this mount, not released */
    struct fs_log *log;
    struct emlfs_folder_id root; /* the folder that is the root; 0: the archive */
    bool maildir;                /* -o layout=maildir: nobody asks for attributes in listings */
    bool acl, xattr;             /* which extended attributes there are: -o acl, -o xattr */
    double archive_name_sec;     /* how long the name of a user archive is cached: 0 with -o
                                    private_names */
};

extern const struct fuse_lowlevel_ops fs_ops;

static inline struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static inline struct emlfs_subject fs_subject_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct emlfs_subject){.uid = ctx->uid, .gid = ctx->gid};
}

/* rc: negative. Damage is written to the log under the name of the node it was met at. */
void fs_reply_error(fuse_req_t req, int rc, fuse_ino_t node, const struct emlfs_err *err);
/* How long the kernel may remember the attributes. */
static inline double fs_attr_sec(const struct emlfs_attr *attr)
{
    return attr->shared ? FS_CACHE_SEC : attr->brief ? FS_MOMENT_SEC : 0.0;
}

/* What the kernel is told about a name, and for how long it may remember it. */
void fs_entry_of(const struct emlfs_attr *attr, struct fuse_entry_param *ret);

/* Answer a look-up, on whatever thread. */
void fs_lookup_answer(fuse_req_t req, fuse_ino_t parent, const char *name);

/* Changes, each answered by the view: fs_change.c. */
void fs_change_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                       struct fuse_file_info *info);
void fs_change_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void fs_change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void fs_change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_change_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name);
void fs_change_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                      const char *to_name, unsigned flags);
void fs_change_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name);
void fs_change_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info);
void fs_change_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                         struct fuse_file_info *info);

/* Extended attributes: fs_xattr.c. */
void fs_xattr_get(fuse_req_t req, fuse_ino_t node, const char *name, size_t size);
void fs_xattr_list(fuse_req_t req, fuse_ino_t node, size_t size);
void fs_xattr_set(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size,
                  int flags);
void fs_xattr_remove(fuse_req_t req, fuse_ino_t node, const char *name);

/*
 * Files that are being written: fs_staged.c. One stage serves all mounts of an archive. _start:
 * NULL where the archive takes nothing, or it cannot be had (that is logged). _stop: behind the
 * last request, before the rules are closed; archives what is complete. NULL is allowed.
 */
struct fs_staging *fs_staging_start(const struct fs *fs);
void fs_staging_stop(struct fs_staging *staging);
/* Behind the last request of a mount: what it had open is open no longer. */
void fs_staged_end(struct fs *fs);
/* By name. False: it is none of the caller's; the request is not answered. */
bool fs_staged_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
bool fs_staged_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info);
bool fs_staged_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
bool fs_staged_rename(fuse_req_t req, const struct emlfs_view_move *move, bool no_replace);
/* A folder in which something of anybody waits to be archived stays. */
bool fs_staged_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
/* In listings: is there any of anybody in the directory; and the caller's behind position off. */
#define FS_STAGED_OFF (1ull << 51) /* above all positions of the view */
struct fs_staged_entry {
    char name[256];
    struct emlfs_attr attr;
    uint64_t off;
};
bool fs_staged_any(struct fs *fs, fuse_ino_t node);
int fs_staged_next(fuse_req_t req, fuse_ino_t node, uint64_t off, struct fs_staged_entry *ret);
/* By node; _write, _flush and _fsync of any node. */
void fs_staged_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);
void fs_staged_access(fuse_req_t req, fuse_ino_t node, int mask);
void fs_staged_setattr(fuse_req_t req, fuse_ino_t node, const struct emlfs_view_set *asked,
                       struct fuse_file_info *info);
void fs_staged_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);
void fs_staged_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                    struct fuse_file_info *info);
void fs_staged_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t off,
                     struct fuse_file_info *info);
void fs_staged_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);
void fs_staged_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *info);
void fs_staged_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);

/* Directories: fs_dir.c. */
struct fs_listing {
    struct fs_dir *dir;
    size_t size;
    off_t off;
    bool plus;
    const atomic_bool *cancel; /* NULL, or armed with fuse_req_interrupt_func: _answer disarms */
};
void fs_dir_answer(fuse_req_t req, fuse_ino_t node, const struct fs_listing *listing);
void fs_dir_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);
void fs_dir_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                    struct fuse_file_info *info);
void fs_dir_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                        struct fuse_file_info *info);
void fs_dir_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info);

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
int fs_invalidate_start(struct fuse_session *session, const struct fs *fs,
                        struct fs_invalidate **ret);
void fs_invalidate_notice(void *arg, struct emlfs_folder_id folder);
/* How many notices came. What was read from the archive before one may be out of date after it. */
uint64_t fs_invalidate_notices(const struct fs_invalidate *invalidate);
/* End the thread (again: nothing); notices are still taken and ignored until _free. */
void fs_invalidate_stop(struct fs_invalidate *invalidate);
void fs_invalidate_free(struct fs_invalidate *invalidate);

/*
 * Searches run on threads of their own. _lookup and _listing take the request and answer it later.
 * _stop answers what is left and ends the threads; NULL is allowed.
 */
int fs_search_start(struct fs_search **ret);
void fs_search_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void fs_search_listing(fuse_req_t req, fuse_ino_t node, const struct fs_listing *listing);
void fs_search_stop(struct fs_search *search);

/*
 * The index and the saved searches of fs: mount_index.c. After a failed _open both are NULL; _close
 * ends what follows the archive and may be called without them.
 */
struct json_object;
int fs_index_open(struct fs *fs, struct emlfs_err *err);
void fs_index_status(struct fs *fs, struct json_object *to);
int fs_index_close(struct fs *fs, struct emlfs_err *err);

/* Housekeeping, on a thread of its own: fs_tick.c. _stop ends it; NULL is allowed. */
struct fs_tick;
int fs_tick_start(struct fs *fs, struct fs_tick **ret);
void fs_tick_stop(struct fs_tick *tick);

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
