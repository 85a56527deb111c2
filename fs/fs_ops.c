/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE operations: requests in, calls of the view, replies out. Nothing is decided here but how
 * long the kernel may remember an answer.
 *
 * O1  Names are cached only where every caller who gets there sees the same; an absent name only
 *     when it is desktop litter, which is absent for everybody and always.
 * O2  Page cache and listings are kept over opens, because every open and opendir asks the view.
 * O3  Every change is EROFS. Missing operations would be ENOSYS, which switches the operation off
 *     for the whole mount: only flush, getxattr and listxattr are left out, on purpose.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <unistd.h>

#include "emlfs/name.h"
#include "fs_internal.h"

/* A directory handle; the kernel serialises calls on one open file, another daemon's may not. */
struct fs_dir {
    pthread_mutex_t lock;
    struct emlfs_view_dir *dir;
};

static struct fs *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static struct emlfs_subject subject_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct emlfs_subject){.uid = ctx->uid, .gid = ctx->gid};
}

/* rc: negative. Damage is written to the log under the name of the node it was met at. */
static void reply_error(fuse_req_t req, int rc, fuse_ino_t node, const struct emlfs_err *err)
{
    if (rc == -EIO)
        fs_log_damage(fs_of(req)->log, node, err);
    fuse_reply_err(req, -rc);
}

static void entry_of(const struct emlfs_attr *attr, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){.ino = attr->node, .attr = attr->st};
    ret->attr_timeout = attr->shared ? FS_CACHE_SEC : 0.0;
    ret->entry_timeout = attr->name_shared ? FS_CACHE_SEC : 0.0;
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
    const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE |
                              FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_POSIX_ACL | FUSE_CAP_CACHE_SYMLINKS;
    const unsigned wanted = FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
                            FUSE_CAP_AUTO_INVAL_DATA;

    (void)userdata;
    conn->want &= ~unwanted;
    conn->want |= wanted & conn->capable;
    conn->max_read = FS_READ_MAX_BYTES; /* must equal the mount option */
    conn->max_readahead = FS_READ_MAX_BYTES;
    conn->max_background = 32;
    conn->congestion_threshold = 24;
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct fuse_entry_param entry;
    struct emlfs_attr attr;
    int rc;

    if (emlfs_name_is_litter(name)) {
        entry = (struct fuse_entry_param){.entry_timeout = FS_LITTER_SEC};
        fuse_reply_entry(req, &entry);
        return;
    }
    rc = emlfs_view_lookup(fs_of(req)->view, &subject, parent, name, &attr, &err);
    if (rc < 0) {
        reply_error(req, rc, parent, &err);
        return;
    }
    entry_of(&attr, &entry);
    if (parent == EMLFS_NODE_ROOT && emlfs_view_node_dir_shared(attr.node))
        entry.entry_timeout = fs_of(req)->archive_name_sec;
    fuse_reply_entry(req, &entry);
}

static void ops_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr attr;
    int rc;

    (void)info;
    rc = emlfs_view_getattr(fs_of(req)->view, &subject, node, &attr, &err);
    if (rc < 0)
        reply_error(req, rc, node, &err);
    else
        fuse_reply_attr(req, &attr.st, attr.shared ? FS_CACHE_SEC : 0.0);
}

/* With default_permissions the kernel does not ask; the answer is right all the same. */
static void ops_access(fuse_req_t req, fuse_ino_t node, int mask)
{
    struct emlfs_subject subject = subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr attr;
    int rc;

    rc = emlfs_view_getattr(fs_of(req)->view, &subject, node, &attr, &err);
    if (rc == 0 && (mask & R_OK))
        rc = emlfs_view_access(fs_of(req)->view, &subject, node, &err);
    if (rc == 0 && (mask & W_OK))
        rc = -EROFS;
    if (rc == 0 && (mask & X_OK) && S_ISREG(attr.st.st_mode))
        rc = -EACCES;
    reply_error(req, rc, node, &err);
}

static void ops_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = subject_of(req);
    struct fs *fs = fs_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_view_file *file;
    struct emlfs_user_id user;
    struct emlfs_msg_id id;
    int rc;

    rc = emlfs_view_file_open(fs->view, &subject, node, &file, &err);
    if (rc == 0 && (info->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY) {
        emlfs_view_file_free(file);
        rc = -EROFS;
    }
    if (rc < 0) {
        reply_error(req, rc, node, &err);
        return;
    }
    info->fh = (uint64_t)(uintptr_t)file;
    info->keep_cache = emlfs_view_node_message(node, &user, &id);
    info->direct_io = !info->keep_cache;
    fs_prefetch_opened(fs->prefetch, subject.uid, node);
    if (fuse_reply_open(req, info) < 0)
        emlfs_view_file_free(file);
}

static struct emlfs_view_file *file_of(const struct fuse_file_info *info)
{
    return (struct emlfs_view_file *)(uintptr_t)info->fh;
}

static void ops_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                     struct fuse_file_info *info)
{
    struct fs_prefetch *prefetch = fs_of(req)->prefetch;
    struct emlfs_err err = {.code = 0};
    uid_t uid = fuse_req_ctx(req)->uid;
    ssize_t n = -ENOMEM;
    void *data;

    if (size > FS_READ_MAX_BYTES)
        size = FS_READ_MAX_BYTES;
    data = malloc(size ? size : 1);
    if (data)
        n = emlfs_view_file_pread(file_of(info), data, size, (uint64_t)off, &err);
    if (n < 0)
        reply_error(req, (int)n, node, &err);
    else
        fuse_reply_buf(req, data, (size_t)n);
    free(data);
    if (n > 0 && off == 0)
        fs_prefetch_missed(prefetch, uid, node);
}

static void ops_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    emlfs_view_file_free(file_of(info));
    fuse_reply_err(req, 0);
}

static void dir_free(struct fs_dir *dir)
{
    emlfs_view_dir_free(dir->dir);
    pthread_mutex_destroy(&dir->lock);
    free(dir);
}

static void ops_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct fs_dir *dir = calloc(1, sizeof(*dir));
    int rc;

    if (!dir) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    pthread_mutex_init(&dir->lock, NULL);
    rc = emlfs_view_dir_open(fs_of(req)->view, &subject, node, &dir->dir, &err);
    if (rc < 0) {
        dir_free(dir);
        reply_error(req, rc, node, &err);
        return;
    }
    info->fh = (uint64_t)(uintptr_t)dir;
    info->cache_readdir = emlfs_view_node_dir_shared(node);
    info->keep_cache = info->cache_readdir;
    if (fuse_reply_open(req, info) < 0)
        dir_free(dir);
}

static struct fs_dir *dir_of(const struct fuse_file_info *info)
{
    return (struct fs_dir *)(uintptr_t)info->fh;
}

/* One reply under construction. */
struct dir_reply {
    fuse_req_t req;
    char *data;
    size_t size, used;
    bool plus;
};

/* False: no room. "." and ".." go out without a node id: the kernel must not count a look-up. */
static bool dir_reply_add(struct dir_reply *reply, const char *name, const struct emlfs_attr *attr,
                          uint64_t off)
{
    size_t room = reply->size - reply->used, need;
    char *at = reply->data + reply->used;
    struct fuse_entry_param entry;

    if (reply->plus) {
        entry_of(attr, &entry);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            entry.ino = 0;
        need = fuse_add_direntry_plus(reply->req, at, room, name, &entry, (off_t)off);
    } else {
        need = fuse_add_direntry(reply->req, at, room, name, &attr->st, (off_t)off);
    }
    if (need > room)
        return false;
    reply->used += need;
    return true;
}

static int dir_fill(struct fs_dir *dir, struct dir_reply *reply, uint64_t off,
                    struct emlfs_err *err)
{
    struct emlfs_attr attr;
    const char *name;
    uint64_t next;
    int rc;

    for (;;) {
        rc = emlfs_view_dir_next(dir->dir, off, &name, &attr, &next, err);
        if (rc == -ENOENT)
            return 0;
        if (rc < 0)
            return reply->used ? 0 : rc;
        if (!dir_reply_add(reply, name, &attr, next))
            return 0;
        off = next;
    }
}

static void dir_read(struct dir_reply *reply, fuse_ino_t node, off_t off, struct fs_dir *dir)
{
    struct emlfs_err err = {.code = 0};
    int rc;

    if (reply->size > FS_READ_MAX_BYTES)
        reply->size = FS_READ_MAX_BYTES;
    reply->data = malloc(reply->size);
    if (!reply->data) {
        fuse_reply_err(reply->req, ENOMEM);
        return;
    }
    pthread_mutex_lock(&dir->lock);
    rc = dir_fill(dir, reply, (uint64_t)off, &err);
    pthread_mutex_unlock(&dir->lock);
    if (rc < 0)
        reply_error(reply->req, rc, node, &err);
    else
        fuse_reply_buf(reply->req, reply->data, reply->used);
    free(reply->data);
}

static void ops_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                        struct fuse_file_info *info)
{
    struct dir_reply reply = {.req = req, .size = size};

    dir_read(&reply, node, off, dir_of(info));
}

static void ops_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                            struct fuse_file_info *info)
{
    struct dir_reply reply = {.req = req, .size = size, .plus = true};

    dir_read(&reply, node, off, dir_of(info));
}

static void ops_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    dir_free(dir_of(info));
    fuse_reply_err(req, 0);
}

static void ops_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct statvfs st;

    (void)node;
    if (statvfs(emlfs_archive_path(fs_of(req)->archive), &st) < 0) {
        fuse_reply_err(req, EIO);
        return;
    }
    /* Some file systems below count no inodes; tools take 0 of 0 for "full". */
    if (st.f_files == 0) {
        st.f_files = st.f_blocks ? st.f_blocks : 1;
        st.f_ffree = st.f_favail = st.f_bfree;
    }
    st.f_namemax = 255;
    st.f_flag |= ST_RDONLY | ST_NOSUID | ST_NODEV | ST_NOEXEC;
    fuse_reply_statfs(req, &st);
}

/* ---- every change */

static void refuse_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                           struct fuse_file_info *info)
{
    (void)node, (void)attr, (void)to_set, (void)info;
    fuse_reply_err(req, EROFS);
}

static void refuse_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                         dev_t rdev)
{
    (void)parent, (void)name, (void)mode, (void)rdev;
    fuse_reply_err(req, EROFS);
}

static void refuse_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    (void)parent, (void)name, (void)mode;
    fuse_reply_err(req, EROFS);
}

static void refuse_name(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    (void)parent, (void)name;
    fuse_reply_err(req, EROFS);
}

static void refuse_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
    (void)link, (void)parent, (void)name;
    fuse_reply_err(req, EROFS);
}

static void refuse_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                          const char *to_name, unsigned flags)
{
    (void)parent, (void)name, (void)to_parent, (void)to_name, (void)flags;
    fuse_reply_err(req, EROFS);
}

static void refuse_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    (void)node, (void)parent, (void)name;
    fuse_reply_err(req, EROFS);
}

static void refuse_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                          struct fuse_file_info *info)
{
    (void)parent, (void)name, (void)mode, (void)info;
    fuse_reply_err(req, EROFS);
}

static void refuse_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                            size_t size, int flags)
{
    (void)node, (void)name, (void)value, (void)size, (void)flags;
    fuse_reply_err(req, EROFS);
}

static void refuse_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                             struct fuse_file_info *info)
{
    (void)node, (void)mode, (void)off, (void)len, (void)info;
    fuse_reply_err(req, EROFS);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = ops_init,
    .lookup = ops_lookup,
    .getattr = ops_getattr,
    .access = ops_access,
    .open = ops_open,
    .read = ops_read,
    .release = ops_release,
    .opendir = ops_opendir,
    .readdir = ops_readdir,
    .readdirplus = ops_readdirplus,
    .releasedir = ops_releasedir,
    .statfs = ops_statfs,
    .setattr = refuse_setattr,
    .mknod = refuse_mknod,
    .mkdir = refuse_mkdir,
    .unlink = refuse_name,
    .rmdir = refuse_name,
    .symlink = refuse_symlink,
    .rename = refuse_rename,
    .link = refuse_link,
    .create = refuse_create,
    .setxattr = refuse_setxattr,
    .removexattr = refuse_name,
    .fallocate = refuse_fallocate,
};
