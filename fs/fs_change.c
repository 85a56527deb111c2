/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * FUSE operations that change something, or would: each is the view's to decide. The kernel's own
 * answer comes first where the modes it knows refuse already.
 */
#include "emlfs/name.h"
#include "fs_internal.h"
#include "stage.h"

#define NOREPLACE 1u /* RENAME_NOREPLACE: nothing is ever replaced */

static void reply(fuse_req_t req, fuse_ino_t node, int rc, const struct emlfs_err *err)
{
    fs_reply_error(req, rc, node, err);
}

/* Desktops keep quiet about litter that is refused so, wherever it is; it is nobody's attempt. */
static bool refuse_litter(fuse_req_t req, const char *name)
{
    if (!emlfs_name_is_litter(name))
        return false;
    fuse_reply_err(req, EACCES);
    return true;
}

void fs_change_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct fuse_entry_param entry;
    struct emlfs_attr attr;
    int rc;

    (void)mode;
    if (refuse_litter(req, name))
        return;
    rc = emlfs_view_mkdir(fs_of(req)->view, &subject, parent, name, &attr, &err);
    if (rc < 0) {
        reply(req, parent, rc, &err);
        return;
    }
    fs_entry_of(&attr, &entry);
    fuse_reply_entry(req, &entry);
}

void fs_change_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};

    if (fs_staged_rmdir(req, parent, name))
        return;
    reply(req, parent, emlfs_view_rmdir(fs_of(req)->view, &subject, parent, name, &err), &err);
}

void fs_change_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};

    if (fs_staged_unlink(req, parent, name))
        return;
    reply(req, parent, emlfs_view_unlink(fs_of(req)->view, &subject, parent, name, &err), &err);
}

void fs_change_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                      const char *to_name, unsigned flags)
{
    struct emlfs_subject subject = fs_subject_of(req);
    const struct emlfs_view_move move = {
        .parent = parent, .to_parent = to_parent, .name = name, .to_name = to_name};
    struct emlfs_err err = {.code = 0};
    int rc = -EINVAL;

    if (!(flags & ~NOREPLACE) && fs_staged_rename(req, &move, flags & NOREPLACE))
        return;
    if (!(flags & ~NOREPLACE))
        rc = emlfs_view_rename(fs_of(req)->view, &subject, &move, &err);
    reply(req, parent, rc, &err);
}

/* "Now" is no time that anything has. */
static void set_time(struct timespec *time, unsigned bit, struct emlfs_view_set *set, bool now)
{
    set->mask |= bit;
    if (now)
        (void)clock_gettime(CLOCK_REALTIME, time);
}

void fs_change_setattr(fuse_req_t req, fuse_ino_t node, struct stat *attr, int to_set,
                       struct fuse_file_info *info)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_view_set set = {.asked = attr};
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr now;
    int rc;

    set.mask = (to_set & FUSE_SET_ATTR_MODE ? EMLFS_SET_MODE : 0) |
               (to_set & FUSE_SET_ATTR_UID ? EMLFS_SET_UID : 0) |
               (to_set & FUSE_SET_ATTR_GID ? EMLFS_SET_GID : 0) |
               (to_set & FUSE_SET_ATTR_SIZE ? EMLFS_SET_SIZE : 0);
    if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
        set_time(&attr->st_mtim, EMLFS_SET_MTIME, &set, to_set & FUSE_SET_ATTR_MTIME_NOW);
    if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
        set_time(&attr->st_atim, EMLFS_SET_ATIME, &set, to_set & FUSE_SET_ATTR_ATIME_NOW);
    if (fs_stage_is(node)) {
        fs_staged_setattr(req, node, &set, info);
        return;
    }
    rc = emlfs_view_setattr(fs_of(req)->view, &subject, node, &set, &now, &err);
    if (rc < 0)
        reply(req, node, rc, &err);
    else
        fuse_reply_attr(req, &now.st, fs_attr_sec(&now));
}

/* ---- what nobody may: mail comes in as files that are written, and by importing */

static void refuse(fuse_req_t req, fuse_ino_t node, enum emlfs_access_call call)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};

    reply(req, node, emlfs_view_refuse(fs_of(req)->view, &subject, node, call, &err), &err);
}

static void refuse_new(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    if (!refuse_litter(req, name))
        refuse(req, parent, EMLFS_CALL_CREATE);
}

void fs_change_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *info)
{
    if (!fs_staged_create(req, parent, name, mode, info))
        refuse_new(req, parent, name);
}

void fs_change_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    (void)mode, (void)rdev;
    refuse_new(req, parent, name);
}

void fs_change_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
    (void)link;
    refuse_new(req, parent, name);
}

void fs_change_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char *name)
{
    (void)parent, (void)name;
    if (fs_stage_is(node))
        fuse_reply_err(req, EPERM);
    else
        refuse(req, node, EMLFS_CALL_WRITE);
}

void fs_change_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                         struct fuse_file_info *info)
{
    (void)mode, (void)off, (void)len, (void)info;
    if (fs_stage_is(node))
        fuse_reply_err(req, EOPNOTSUPP); /* programs then write */
    else
        refuse(req, node, EMLFS_CALL_WRITE);
}
