/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_STAGE_H
#define EMLFS_FS_STAGE_H

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "emlfs/drop.h"
#include "emlfs/view.h"

/*
 * Files that somebody writes into a folder of the mount, from their creation until they are
 * archived, and for a while behind that. Nothing here knows of FUSE, and nobody is asked for rights
 * but drop: the caller has (emlfs_view_may_create).
 *
 * A staged file is there for the uid that made it, and for nobody else: all calls that go by name
 * or node answer -ENOENT to others. Two uids may have a file of one name in one folder.
 *
 *   open      made, and as long as somebody has it open for writing; also what is empty (60 s) or
 *             has a temporary name (24 h, until it is renamed)
 *   queued    complete: what was not refused when it was closed is archived
 *   grace     archived: for 60 s the given name goes on to stand for the message, for tools that
 *             set attributes of what they have closed; these have no effect
 *
 * What was there when _flush, _fsync or a rename returned 0 is archived, now or by the next process
 * that opens the archive, unless it is removed, replaced or written to before. What was refused is
 * gone when it is closed.
 *
 * Time: monotonic nanoseconds, as the caller has them. Threads: all calls from any. _pwrite,
 * _flush, _fsync, _rename and _unlink may take as long as a sync or commit takes; _lookup,
 * _getattr and _list never wait for one.
 */
struct fs_stage;
struct fs_stage_handle; /* one open of a staged file */

#define FS_STAGE_FILES_MAX 65536u /* there at once; what is in grace gives way */
#define FS_STAGE_UID_MAX 32768u   /* of one uid */
/* That are being written: a descriptor and 64 KiB each; half of them may be one uid's. */
#define FS_STAGE_OPEN_MAX 256u

#define FS_STAGE_NS_PER_SEC INT64_C(1000000000)
#define FS_STAGE_GRACE_NS (60 * FS_STAGE_NS_PER_SEC)
#define FS_STAGE_EMPTY_NS (60 * FS_STAGE_NS_PER_SEC)
#define FS_STAGE_TEMPORARY_NS (86400 * FS_STAGE_NS_PER_SEC)

struct fs_stage_options {
    struct emlfs_archive *archive;
    /* As in drop.h: sniff, check, archive. The last is called by one thread at a time. */
    enum emlfs_drop_kind (*sniff)(struct emlfs_span head, bool whole, const char **ret_reason);
    int (*check)(void *drop, const struct emlfs_drop_item *item, struct emlfs_err *err);
    int (*archive_items)(void *drop, struct emlfs_drop_item *items, unsigned n,
                         struct emlfs_err *err);
    void *drop;
    int64_t (*now_ns)(void *arg); /* monotonic */
    void *clock;
    /* What nobody hears as an errno: one line. NULL: nobody. */
    void (*told)(void *arg, const char *text);
    void *told_arg;
    unsigned files_max, uid_max, open_max; /* 0: as above */
};
/*
 * Takes up what an earlier process left in the spool: it is queued, or waits for its name again.
 * EROFS: the archive takes nothing. ENOSPC, EIO, ENOMEM.
 */
int fs_stage_new(const struct fs_stage_options *options, struct fs_stage **ret,
                 struct emlfs_err *err);
/*
 * No call is in progress and none follows; a handle that was not released is of no use any more but
 * to free(3). What waits stays in the spool for the next process. NULL is fine.
 */
void fs_stage_free(struct fs_stage *stage);

/* ---- names and nodes */

/* Bits 63-56 of the nodes of staged files (view.h); below it a number that is not used twice. */
#define FS_STAGE_TAG (15ull << 56)
static inline bool fs_stage_is(emlfs_node node)
{
    return (node & (0xffull << 56)) == FS_STAGE_TAG;
}

struct fs_stage_at {
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    const char *name;
};
/* What a name in grace stands for. */
struct fs_stage_sealed {
    struct emlfs_user_id user;
    struct emlfs_folder_id folder;
    struct emlfs_msg_id id; /* 0: an mbox, which became many */
};

/* Is a staged file of any uid in folder? Then no listing of it may be kept. Cheap. */
bool fs_stage_any(struct fs_stage *stage, struct emlfs_folder_id folder);
/* Is one of any uid in folder that is to be archived? Then the folder is not empty. */
bool fs_stage_holds(struct fs_stage *stage, struct emlfs_folder_id folder);
/* st: complete; st_ino is the node. -ENOENT. */
int fs_stage_lookup(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                    const char *name, struct stat *ret);
int fs_stage_getattr(struct fs_stage *stage, uid_t uid, emlfs_node node, struct stat *ret);
/*
 * The first of uid's names in folder behind position after (0: from the first), as far as listings
 * show them: not what is archived under its own name now, nor what will be thrown away. -ENOENT at
 * the end.
 */
struct fs_stage_name {
    uint64_t position; /* grows; below 2^48 */
    struct stat st;
    char name[256];
};
int fs_stage_next(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder, uint64_t after,
                  struct fs_stage_name *ret);

/* ---- opening, reading, writing */

struct fs_stage_mode {
    int flags;   /* of open(2) */
    mode_t mode; /* permission bits of a new file */
};
/*
 * Make at, or open it where it is there and mode.flags does not say O_EXCL. EEXIST; EPERM as _open;
 * ENOSPC too many; ENAMETOOLONG; ENOMEM.
 */
int fs_stage_create(struct fs_stage *stage, const struct emlfs_subject *subject,
                    const struct fs_stage_at *at, const struct fs_stage_mode *mode,
                    struct fs_stage_handle **ret, struct emlfs_err *err);
/* EPERM: for writing what is in grace. -ENOENT. flags may have O_TRUNC. */
int fs_stage_open(struct fs_stage *stage, uid_t uid, emlfs_node node, int flags,
                  struct fs_stage_handle **ret, struct emlfs_err *err);
void fs_stage_handle_stat(struct fs_stage_handle *handle, struct stat *ret);
/* The message that is to be read instead, where the file itself is not there any more. */
bool fs_stage_handle_sealed(struct fs_stage_handle *handle, struct fs_stage_sealed *ret);
ssize_t fs_stage_pread(struct fs_stage_handle *handle, void *data, size_t len, uint64_t offset,
                       struct emlfs_err *err);
/*
 * EOPNOTSUPP: what begins so is no mail. EMFILE: the uid has its share of files open, ENFILE: all
 * are (also from _pread). And anything behind these, until it is truncated to 0.
 */
int fs_stage_pwrite(struct fs_stage_handle *handle, struct emlfs_span data, uint64_t offset,
                    struct emlfs_err *err);
/*
 * At each close and at fsync: what was written since is checked and made durable. 0 for what is
 * empty, and for what is open for reading. EOPNOTSUPP, EDQUOT, EFBIG, EROFS, ENOSPC, EACCES,
 * ENOENT, EIO: as emlfs_drop_check and emlfs_spool_file_sync.
 */
int fs_stage_flush(struct fs_stage_handle *handle, struct emlfs_err *err);
/* Frees handle. The last one for writing decides what becomes of the file. */
void fs_stage_release(struct fs_stage_handle *handle);
/*
 * Before the release of a handle that nobody closed: its mount was taken away. What the last one
 * for writing wrote since the last _flush or _fsync is as if a crash had taken it.
 */
void fs_stage_abandon(struct fs_stage_handle *handle);

#define FS_STAGE_SET_SIZE 1u
#define FS_STAGE_SET_MODE 2u
#define FS_STAGE_SET_MTIME 4u
#define FS_STAGE_SET_ATIME 8u
#define FS_STAGE_SET_UID 16u
struct fs_stage_set {
    const struct stat *asked;
    unsigned mask;
    struct fs_stage_handle *handle; /* of the file, if it is open; then uid may be anybody's */
};
/*
 * Owner: EPERM if it is another uid. What is in grace takes everything but another size (EPERM)
 * without effect.
 */
int fs_stage_setattr(struct fs_stage *stage, uid_t uid, emlfs_node node,
                     const struct fs_stage_set *set, struct stat *ret, struct emlfs_err *err);

/* ---- renaming, removing */

struct fs_stage_move {
    struct emlfs_folder_id folder;
    const char *name;
    struct fs_stage_at to; /* the caller has looked that nothing but a staged file is there */
    bool no_replace;
};
/*
 * Rename uid's file; a staged file of the new name is replaced. To a normal name: what is closed is
 * archived now, what is open is checked now and archived when it is closed; when that fails the old
 * name stays. 1: the name is in grace, and moving it to another folder is the message's matter
 * (*ret_sealed). EEXIST; ENOENT; errors of _flush; whatever archiving says.
 */
int fs_stage_rename(struct fs_stage *stage, uid_t uid, const struct fs_stage_move *move,
                    struct fs_stage_sealed *ret_sealed, struct emlfs_err *err);
/* 1: the name is in grace, and stands for *ret_sealed. -ENOENT. */
int fs_stage_unlink(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                    const char *name, struct fs_stage_sealed *ret_sealed, struct emlfs_err *err);
/* Forget a name in grace: its message was moved or deleted. */
void fs_stage_forget(struct fs_stage *stage, uid_t uid, struct emlfs_folder_id folder,
                     const char *name);

/* ---- what a thread does beside the requests */

/* Archive some of what is queued. True: there is more. */
bool fs_stage_work(struct fs_stage *stage);
/* Forget and drop what has had its time, queue again what could not be archived. */
void fs_stage_tick(struct fs_stage *stage);
/* Until there is work, or until a second has gone, or until _wake. */
void fs_stage_wait(struct fs_stage *stage);
void fs_stage_wake(struct fs_stage *stage);

/* A name under which tools write what they will rename: archived only then. */
bool fs_stage_name_is_temporary(const char *name);

#endif
