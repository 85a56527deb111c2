/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE requests about files that are being written, and the thread that archives them. The view
 * gives the right to make one; what becomes of it is the stage's.
 *
 * W1  Nothing about a staged file is remembered by the kernel for anybody: neither its name nor its
 *     attributes, and no listing in which one could stand.
 * W2  Through an open file whoever has it may go on: a descriptor may have been handed over, and
 *     release comes from nobody.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "fs_internal.h"
#include "stage.h"

#define OPEN_MAX_LIMIT 4096u

struct fs_staging {
    struct fs_stage *stage;
    struct emlfs_drop *drop;
    struct fs_log *log;
    pthread_t thread;
    bool running;
    atomic_bool stop;
    pthread_mutex_t lock; /* guards the lists of opens of all mounts; a leaf */
};

/* One open: of the staged file, or, once that has become a message, of it. */
struct staged_open {
    struct staged_open *prev, *next; /* of the mount */
    struct fs_stage_handle *handle;
    struct emlfs_view_file *message; /* NULL: the staged file */
};

static struct fs_stage *stage_of(fuse_req_t req)
{
    struct fs_staging *staging = fs_of(req)->staging;

    return staging ? staging->stage : NULL;
}

static struct staged_open *open_of(const struct fuse_file_info *info)
{
    return (struct staged_open *)(uintptr_t)info->fh;
}

/* What the spool says of damage, and ENOSYS, which would end the operation for the whole mount. */
static void reply_failed(fuse_req_t req, int rc, fuse_ino_t node, const struct emlfs_err *err)
{
    fs_reply_error(req, rc == -EBADMSG || rc == -EUCLEAN || rc == -ENOSYS ? -EIO : rc, node, err);
}

static void entry_of(const struct stat *st, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){.ino = st->st_ino, .attr = *st}; /* W1 */
}

static void opens_add(struct fs *fs, struct staged_open *open)
{
    pthread_mutex_lock(&fs->staging->lock);
    open->next = fs->staged_opens;
    if (open->next)
        open->next->prev = open;
    fs->staged_opens = open;
    pthread_mutex_unlock(&fs->staging->lock);
}

static void opens_remove(struct fs *fs, struct staged_open *open)
{
    pthread_mutex_lock(&fs->staging->lock);
    if (open->next)
        open->next->prev = open->prev;
    if (open->prev)
        open->prev->next = open->next;
    else
        fs->staged_opens = open->next;
    pthread_mutex_unlock(&fs->staging->lock);
}

static void open_free(struct fs *fs, struct staged_open *open)
{
    opens_remove(fs, open);
    emlfs_view_file_free(open->message);
    fs_stage_release(open->handle);
    free(open);
}

void fs_staged_end(struct fs *fs)
{
    while (fs->staged_opens) {
        struct staged_open *open = fs->staged_opens;

        fs_stage_abandon(open->handle);
        open_free(fs, open);
    }
}

/* ---- names */

bool fs_staged_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fs_stage *stage = stage_of(req);
    struct emlfs_folder_id folder;
    struct fuse_entry_param entry;
    struct stat st;

    if (!stage || !emlfs_view_node_folder(fs_of(req)->view, parent, &folder) ||
        fs_stage_lookup(stage, fuse_req_ctx(req)->uid, folder, name, &st) < 0)
        return false;
    entry_of(&st, &entry);
    fuse_reply_entry(req, &entry);
    return true;
}

static void reply_created(fuse_req_t req, struct fs_stage_handle *handle,
                          struct fuse_file_info *info)
{
    struct staged_open *open = calloc(1, sizeof(*open));
    struct fs *fs = fs_of(req); /* req is gone when it is answered */
    struct fuse_entry_param entry;
    struct stat st;

    if (!open) {
        fs_stage_release(handle);
        fuse_reply_err(req, ENOMEM);
        return;
    }
    open->handle = handle;
    fs_stage_handle_stat(handle, &st);
    entry_of(&st, &entry);
    info->fh = (uint64_t)(uintptr_t)open;
    opens_add(fs, open);
    if (fuse_reply_create(req, &entry, info) < 0)
        open_free(fs, open);
}

bool fs_staged_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info)
{
    struct emlfs_subject subject = fs_subject_of(req);
    const struct fs_stage_mode how = {.flags = info->flags, .mode = mode};
    struct fs_stage *stage = stage_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_view_place place;
    struct fs_stage_handle *handle;
    int rc;

    if (!stage)
        return false;
    rc = emlfs_view_may_create(fs_of(req)->view, &subject, parent, name, &place, &err);
    if (rc == 0) {
        const struct fs_stage_at at = {place.user, place.folder, name};

        rc = fs_stage_create(stage, &subject, &at, &how, &handle, &err);
    }
    if (rc < 0)
        reply_failed(req, rc, parent, &err);
    else
        reply_created(req, handle, info);
    return true;
}

/* The name that the message has in its folder. */
static int sealed_entry(fuse_req_t req, const struct fs_stage_sealed *sealed,
                        struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct emlfs_entry_page page = {
        .folder = sealed->folder, .after = {sealed->id.v - 1}, .v = ret, .max = 1};
    int rc;

    if (sealed->id.v == 0)
        return emlfs_err_set(err, EPERM, "stage", "an mbox that was archived");
    rc = emlfs_archive_entries(fs_of(req)->archive, &page, err);
    if (rc == 0 && (page.n == 0 || ret->id.v != sealed->id.v))
        return emlfs_err_set(err, ENOENT, "stage", "the message is not there any more");
    return rc == 0 || rc == -ENOENT ? rc : -EIO;
}

bool fs_staged_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct fs_stage *stage = stage_of(req);
    struct emlfs_err err = {.code = 0};
    struct fs_stage_sealed sealed;
    struct emlfs_folder_id folder;
    struct emlfs_entry entry;
    int rc;

    if (!stage || !emlfs_view_node_folder(fs_of(req)->view, parent, &folder))
        return false;
    rc = fs_stage_unlink(stage, subject.uid, folder, name, &sealed, &err);
    if (rc == -ENOENT)
        return false;
    if (rc == 1) {
        rc = sealed_entry(req, &sealed, &entry, &err);
        if (rc == 0)
            rc = emlfs_view_unlink(fs_of(req)->view, &subject, parent, entry.name, &err);
        if (rc == 0 || rc == -ENOENT)
            fs_stage_forget(stage, subject.uid, folder, name);
    }
    reply_failed(req, rc, parent, &err);
    return true;
}

/* A name in grace into another folder: the message moves. */
static int sealed_move(fuse_req_t req, const struct emlfs_view_move *move,
                       const struct fs_stage_sealed *sealed, struct emlfs_err *err)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_view_move of = *move;
    struct emlfs_entry entry;
    int rc = sealed_entry(req, sealed, &entry, err);

    if (rc < 0)
        return rc;
    of.name = of.to_name = entry.name;
    rc = emlfs_view_rename(fs_of(req)->view, &subject, &of, err);
    if (rc == 0)
        fs_stage_forget(stage_of(req), subject.uid, sealed->folder, move->name);
    return rc;
}

bool fs_staged_rename(fuse_req_t req, const struct emlfs_view_move *move, bool no_replace)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct fs_stage_move staged = {.name = move->name, .no_replace = no_replace};
    struct fs_stage *stage = stage_of(req);
    struct emlfs_err err = {.code = 0};
    struct fs_stage_sealed sealed;
    struct emlfs_view_place place;
    struct stat st;
    int rc;

    if (!stage || !emlfs_view_node_folder(fs_of(req)->view, move->parent, &staged.folder) ||
        fs_stage_lookup(stage, subject.uid, staged.folder, move->name, &st) < 0)
        return false;
    rc = emlfs_view_may_create(fs_of(req)->view, &subject, move->to_parent, move->to_name, &place,
                               &err);
    if (rc == 0) {
        staged.to = (struct fs_stage_at){place.user, place.folder, move->to_name};
        rc = fs_stage_rename(stage, subject.uid, &staged, &sealed, &err);
    }
    if (rc == 1)
        rc = sealed_move(req, move, &sealed, &err);
    reply_failed(req, rc, move->parent, &err);
    return true;
}

bool fs_staged_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct fs_stage *stage = stage_of(req);
    struct emlfs_folder_id folder;
    struct emlfs_attr attr;

    if (!stage || emlfs_view_lookup(fs_of(req)->view, &subject, parent, name, &attr, NULL) < 0 ||
        !emlfs_view_node_folder(fs_of(req)->view, attr.node, &folder) ||
        !fs_stage_holds(stage, folder))
        return false;
    fuse_reply_err(req, ENOTEMPTY);
    return true;
}

/* ---- listings: fs_dir.c asks */

bool fs_staged_any(struct fs *fs, fuse_ino_t node)
{
    struct emlfs_folder_id folder;

    return fs->staging && emlfs_view_node_folder(fs->view, node, &folder) &&
           fs_stage_any(fs->staging->stage, folder);
}

int fs_staged_next(fuse_req_t req, fuse_ino_t node, uint64_t off, struct fs_staged_entry *ret)
{
    struct emlfs_folder_id folder;
    struct fs_stage_name name;
    int rc;

    if (!emlfs_view_node_folder(fs_of(req)->view, node, &folder))
        return -ENOENT;
    rc = fs_stage_next(stage_of(req), fuse_req_ctx(req)->uid, folder,
                       off & FS_STAGED_OFF ? off & ~FS_STAGED_OFF : 0, &name);
    if (rc < 0)
        return rc;
    memcpy(ret->name, name.name, sizeof(ret->name));
    ret->attr = (struct emlfs_attr){.node = name.st.st_ino, .st = name.st};
    ret->off = FS_STAGED_OFF | name.position;
    return 0;
}

/* ---- nodes */

void fs_staged_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct stat st;
    int rc = 0;

    if (info)
        fs_stage_handle_stat(open_of(info)->handle, &st); /* W2 */
    else
        rc = fs_stage_getattr(stage_of(req), fuse_req_ctx(req)->uid, node, &st);
    if (rc < 0)
        fuse_reply_err(req, -rc);
    else
        fuse_reply_attr(req, &st, 0.0);
}

void fs_staged_access(fuse_req_t req, fuse_ino_t node, int mask)
{
    struct stat st;
    int rc = fs_stage_getattr(stage_of(req), fuse_req_ctx(req)->uid, node, &st);

    if (rc == 0 && mask & X_OK)
        rc = -EACCES;
    fuse_reply_err(req, -rc);
}

void fs_staged_setattr(fuse_req_t req, fuse_ino_t node, const struct emlfs_view_set *asked,
                       struct fuse_file_info *info)
{
    struct fs_stage_set set = {.asked = asked->asked};
    struct emlfs_err err = {.code = 0};
    struct stat st;
    int rc;

    set.mask = (asked->mask & EMLFS_SET_SIZE ? FS_STAGE_SET_SIZE : 0) |
               (asked->mask & EMLFS_SET_MODE ? FS_STAGE_SET_MODE : 0) |
               (asked->mask & EMLFS_SET_MTIME ? FS_STAGE_SET_MTIME : 0) |
               (asked->mask & EMLFS_SET_ATIME ? FS_STAGE_SET_ATIME : 0) |
               (asked->mask & EMLFS_SET_UID ? FS_STAGE_SET_UID : 0);
    set.handle = info ? open_of(info)->handle : NULL;
    rc = fs_stage_setattr(stage_of(req), fuse_req_ctx(req)->uid, node, &set, &st, &err);
    if (rc < 0)
        reply_failed(req, rc, node, &err);
    else
        fuse_reply_attr(req, &st, 0.0);
}

/* What has become a message is read as one. */
static int open_message(fuse_req_t req, struct staged_open *open, struct emlfs_err *err)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct fs_stage_sealed sealed;

    if (!fs_stage_handle_sealed(open->handle, &sealed))
        return 0;
    return emlfs_view_file_open(fs_of(req)->view, &subject,
                                emlfs_view_message_node(sealed.user, sealed.id), &open->message,
                                err);
}

void fs_staged_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct staged_open *open = calloc(1, sizeof(*open));
    struct fs *fs = fs_of(req); /* req is gone when it is answered */
    struct emlfs_err err = {.code = 0};
    int rc = -ENOMEM;

    if (open)
        rc = fs_stage_open(stage_of(req), fuse_req_ctx(req)->uid, node, info->flags, &open->handle,
                           &err);
    if (rc == 0)
        rc = open_message(req, open, &err);
    if (rc < 0) {
        if (open && open->handle)
            fs_stage_release(open->handle);
        free(open);
        reply_failed(req, rc, node, &err);
        return;
    }
    info->fh = (uint64_t)(uintptr_t)open;
    info->noflush = (info->flags & O_ACCMODE) == O_RDONLY;
    opens_add(fs, open);
    if (fuse_reply_open(req, info) < 0)
        open_free(fs, open);
}

void fs_staged_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                    struct fuse_file_info *info)
{
    struct staged_open *open = open_of(info);
    struct emlfs_err err = {.code = 0};
    ssize_t n = -ENOMEM;
    void *data;

    if (size > FS_READ_MAX_BYTES)
        size = FS_READ_MAX_BYTES;
    data = malloc(size ? size : 1);
    if (data && open->message)
        n = emlfs_view_file_pread(open->message, data, size, (uint64_t)off, &err);
    else if (data)
        n = fs_stage_pread(open->handle, data, size, (uint64_t)off, &err);
    if (n < 0)
        reply_failed(req, (int)n, node, &err);
    else
        fuse_reply_buf(req, data, (size_t)n);
    free(data);
}

void fs_staged_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t off,
                     struct fuse_file_info *info)
{
    struct emlfs_err err = {.code = 0};
    int rc = -EBADF;

    if (fs_stage_is(node))
        rc = fs_stage_pwrite(open_of(info)->handle, emlfs_span_of(data, size), (uint64_t)off, &err);
    if (rc < 0)
        reply_failed(req, rc, node, &err);
    else
        fuse_reply_write(req, size);
}

void fs_staged_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_err err = {.code = 0};
    int rc = 0;

    if (fs_stage_is(node))
        rc = fs_stage_flush(open_of(info)->handle, &err);
    reply_failed(req, rc, node, &err);
}

void fs_staged_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *info)
{
    (void)datasync;
    fs_staged_flush(req, node, info);
}

void fs_staged_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    open_free(fs_of(req), open_of(info));
    fuse_reply_err(req, 0);
}

/* ---- the thread */

static int staging_check(void *drop, const struct emlfs_drop_item *item, struct emlfs_err *err)
{
    return emlfs_drop_check(drop, item, err);
}

static int staging_archive(void *drop, struct emlfs_drop_item *items, unsigned n,
                           struct emlfs_err *err)
{
    return emlfs_drop_archive(drop, items, n, err);
}

static int64_t staging_now(void *arg)
{
    (void)arg;
    return emlfs_os_monotonic_ns();
}

static void staging_told(void *arg, const char *text)
{
    const struct fs_staging *staging = arg;

    fs_log_text(staging->log, LOG_NOTICE, "%s", text);
}

static void *staging_run(void *arg)
{
    struct fs_staging *staging = arg;

    while (!atomic_load(&staging->stop)) {
        fs_stage_wait(staging->stage);
        fs_stage_tick(staging->stage);
        while (fs_stage_work(staging->stage) && !atomic_load(&staging->stop))
            continue;
    }
    return NULL;
}

/* Half of the descriptors that this process may have are the archive's. */
static unsigned open_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    return limit.rlim_cur / 2 < OPEN_MAX_LIMIT ? (unsigned)(limit.rlim_cur / 2) : OPEN_MAX_LIMIT;
}

static int staging_open(struct fs_staging *staging, const struct fs *fs, struct emlfs_err *err)
{
    const struct emlfs_drop_options drop = {.archive = fs->archive, .rules = fs->rules};
    struct fs_stage_options options = {
        .archive = fs->archive,
        .sniff = emlfs_drop_sniff,
        .check = staging_check,
        .archive_items = staging_archive,
        .now_ns = staging_now,
        .told = staging_told,
        .told_arg = staging,
        .open_max = open_max(),
    };
    int rc = emlfs_drop_new(&drop, &staging->drop, err);

    if (rc < 0)
        return rc;
    options.drop = staging->drop;
    rc = fs_stage_new(&options, &staging->stage, err);
    if (rc == 0)
        rc = -pthread_create(&staging->thread, NULL, staging_run, staging);
    staging->running = rc == 0;
    return rc;
}

struct fs_staging *fs_staging_start(const struct fs *fs)
{
    struct emlfs_err err = {.code = 0};
    struct fs_staging *staging;
    int rc = -ENOMEM;

    staging = calloc(1, sizeof(*staging));
    if (staging) {
        pthread_mutex_init(&staging->lock, NULL);
        staging->log = fs->log;
        rc = staging_open(staging, fs, &err);
    }
    if (rc == 0)
        return staging;
    if (rc != -EROFS)
        fs_log_text(fs->log, LOG_ERR, "nothing can be written into the mount: %s",
                    err.code ? err.text : strerror(-rc));
    fs_staging_stop(staging);
    return NULL;
}

void fs_staging_stop(struct fs_staging *staging)
{
    if (!staging)
        return;
    if (staging->running) {
        atomic_store(&staging->stop, true);
        fs_stage_wake(staging->stage);
        pthread_join(staging->thread, NULL);
        while (fs_stage_work(staging->stage))
            continue;
    }
    fs_stage_free(staging->stage);
    emlfs_drop_free(staging->drop);
    pthread_mutex_destroy(&staging->lock);
    free(staging);
}
