/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes. Without an option that asks for them reading answers ENOSYS, once: the
 * kernel then never asks again, which costs programs that probe each file nothing.
 */
#include <string.h>

#include "fs_internal.h"
#include "stage.h"

#define VALUE_MAX_BYTES (64u << 10)

static bool is_wanted(const struct fs *fs)
{
    return fs->acl || fs->xattr;
}

/* size 0: only how long it is. */
static void reply_value(fuse_req_t req, const struct emlfs_buf *value, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, value->len);
    else if (value->len > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, (const char *)value->data, value->len);
}

void fs_xattr_get(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(VALUE_MAX_BYTES);
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    int rc = -ENOSYS;

    if (is_wanted(fs_of(req)) && fs_stage_is(node))
        rc = -ENODATA;
    else if (is_wanted(fs_of(req)))
        rc = emlfs_view_xattr_get(fs_of(req)->view, &subject, node, name, &value, &err);
    if (rc < 0)
        fs_reply_error(req, rc, node, &err);
    else
        reply_value(req, &value, size);
}

void fs_xattr_list(fuse_req_t req, fuse_ino_t node, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf names = EMLFS_BUF_INIT(VALUE_MAX_BYTES);
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    int rc = -ENOSYS;

    if (is_wanted(fs_of(req)) && fs_stage_is(node))
        rc = 0;
    else if (is_wanted(fs_of(req)))
        rc = emlfs_view_xattr_list(fs_of(req)->view, &subject, node, &names, &err);
    if (rc < 0)
        fs_reply_error(req, rc, node, &err);
    else
        reply_value(req, &names, size);
}

void fs_xattr_set(fuse_req_t req, fuse_ino_t node, const char *name, const char *value, size_t size,
                  int flags)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    int rc;

    if (fs_stage_is(node)) {
        fuse_reply_err(req, 0); /* tools copy what the archive has no use for */
        return;
    }
    (void)flags; /* what is there already is neither made nor replaced */
    rc = emlfs_view_xattr_set(fs_of(req)->view, &subject, node, name, emlfs_span_of(value, size),
                              &err);
    fs_reply_error(req, rc, node, &err);
}

void fs_xattr_remove(fuse_req_t req, fuse_ino_t node, const char *name)
{
    fs_xattr_set(req, node, name, NULL, 0, 0);
}
