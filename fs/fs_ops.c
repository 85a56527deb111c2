/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE operations: requests in, calls of the view, replies out. Nothing is decided here but how
 * long the kernel may remember an answer.
 *
 * O1  Names are cached only where every caller who gets there sees the same; an absent name only
 *     when it is desktop litter, which is absent for everybody and always.
 * O2  Page cache and listings are kept over opens, because every open and opendir asks the view.
 * O3  Missing operations would be ENOSYS, which switches the operation off for the whole mount:
 * only flush is left out, on purpose, and getxattr and listxattr say so where no option asks for
 *     them.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <syslog.h>
#include <unistd.h>

#include "emlfs/name.h"
#include "fs_internal.h"

void fs_reply_error(fuse_req_t req, int rc, fuse_ino_t node, const struct emlfs_err *err)
{
    if (rc == -EIO)
        fs_log_damage(fs_of(req)->log, node, err);
    fuse_reply_err(req, -rc);
}

void fs_entry_of(const struct emlfs_attr *attr, struct fuse_entry_param *ret)
{
    *ret = (struct fuse_entry_param){.ino = attr->node, .attr = attr->st};
    ret->attr_timeout = fs_attr_sec(attr);
    ret->entry_timeout = attr->name_shared ? FS_CACHE_SEC : attr->name_brief ? FS_BRIEF_SEC : 0.0;
}

static void ops_init(void *userdata, struct fuse_conn_info *conn)
{
    const unsigned unwanted = FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_WRITEBACK_CACHE |
                              FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                              FUSE_CAP_CACHE_SYMLINKS;
    const unsigned wanted = FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
                            FUSE_CAP_AUTO_INVAL_DATA;

    const struct fs *fs = userdata;

    conn->want &= ~(unwanted | FUSE_CAP_POSIX_ACL);
    conn->want |= wanted & conn->capable;
    if (fs->acl)
        conn->want |= FUSE_CAP_POSIX_ACL & conn->capable;
    conn->max_read = FS_READ_MAX_BYTES; /* must equal the mount option */
    conn->max_readahead = FS_READ_MAX_BYTES;
    conn->max_background = 32;
    conn->congestion_threshold = 24;
}

void fs_lookup_answer(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct fuse_entry_param entry;
    struct emlfs_attr attr;
    int rc;

    rc = emlfs_view_lookup(fs_of(req)->view, &subject, parent, name, &attr, &err);
    if (rc < 0) {
        fs_reply_error(req, rc, parent, &err);
        return;
    }
    fs_entry_of(&attr, &entry);
    if (parent == EMLFS_NODE_ROOT && fs_of(req)->root.v == 0 &&
        emlfs_view_node_dir_shared(attr.node))
        entry.entry_timeout = fs_of(req)->archive_name_sec;
    fuse_reply_entry(req, &entry);
}

static void ops_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct fuse_entry_param litter = {.entry_timeout = FS_LITTER_SEC};

    if (emlfs_name_is_litter(name) && !emlfs_view_node_queries(parent))
        fuse_reply_entry(req, &litter);
    else if (fs_of(req)->search && emlfs_view_node_results(parent))
        fs_search_lookup(req, parent, name);
    else
        fs_lookup_answer(req, parent, name);
}

static void ops_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr attr;
    int rc;

    (void)info;
    rc = emlfs_view_getattr(fs_of(req)->view, &subject, node, &attr, &err);
    if (rc < 0)
        fs_reply_error(req, rc, node, &err);
    else
        fuse_reply_attr(req, &attr.st, fs_attr_sec(&attr));
}

/* With default_permissions the kernel does not ask; the answer is right all the same. */
static void ops_access(fuse_req_t req, fuse_ino_t node, int mask)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr attr;
    int rc;

    rc = emlfs_view_getattr(fs_of(req)->view, &subject, node, &attr, &err);
    if (rc == 0 && (mask & R_OK))
        rc = emlfs_view_access(fs_of(req)->view, &subject, node, &err);
    if (rc == 0 && (mask & W_OK) && !(attr.st.st_mode & 0222))
        rc = -EACCES;
    if (rc == 0 && (mask & X_OK) && S_ISREG(attr.st.st_mode))
        rc = -EACCES;
    fs_reply_error(req, rc, node, &err);
}

static void ops_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct fs *fs = fs_of(req);
    struct emlfs_err err = {.code = 0};
    struct emlfs_view_file *file;
    struct emlfs_user_id user;
    struct emlfs_msg_id id;
    int rc;

    /* First, because opening to read is recorded. */
    if ((info->flags & (O_ACCMODE | O_TRUNC)) != O_RDONLY)
        rc = emlfs_view_refuse(fs->view, &subject, node, EMLFS_CALL_WRITE, &err);
    else
        rc = emlfs_view_file_open(fs->view, &subject, node, &file, &err);
    if (rc < 0) {
        fs_reply_error(req, rc, node, &err);
        return;
    }
    info->fh = (uint64_t)(uintptr_t)file;
    info->keep_cache = emlfs_view_node_message(node, &user, &id);
    info->direct_io = !info->keep_cache;
    info->noflush = 1; /* nothing is ever written: close need not look for it */
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
        fs_reply_error(req, (int)n, node, &err);
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
    st.f_flag |= ST_NOSUID | ST_NODEV | ST_NOEXEC;
    fuse_reply_statfs(req, &st);
}

/* Asked by every program that looks whether a file is a terminal, as Python does at each open. */
static void refuse_ioctl(fuse_req_t req, fuse_ino_t node, unsigned cmd, void *arg,
                         struct fuse_file_info *info, unsigned flags, const void *in,
                         size_t in_size, size_t out_size)
{
    (void)node, (void)cmd, (void)arg, (void)info;
    (void)flags, (void)in, (void)in_size, (void)out_size;
    fuse_reply_err(req, ENOTTY);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = ops_init,
    .lookup = ops_lookup,
    .getattr = ops_getattr,
    .access = ops_access,
    .open = ops_open,
    .read = ops_read,
    .release = ops_release,
    .opendir = fs_dir_opendir,
    .readdir = fs_dir_readdir,
    .readdirplus = fs_dir_readdirplus,
    .releasedir = fs_dir_releasedir,
    .statfs = ops_statfs,
    .setattr = fs_change_setattr,
    .mknod = fs_change_mknod,
    .mkdir = fs_change_mkdir,
    .unlink = fs_change_unlink,
    .rmdir = fs_change_rmdir,
    .symlink = fs_change_symlink,
    .rename = fs_change_rename,
    .link = fs_change_link,
    .create = fs_change_create,
    .getxattr = fs_xattr_get,
    .listxattr = fs_xattr_list,
    .setxattr = fs_xattr_set,
    .removexattr = fs_xattr_remove,
    .fallocate = fs_change_fallocate,
    .ioctl = refuse_ioctl,
};
