/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directories. While the caller takes in one answer (the kernel makes an inode of each entry, which
 * costs more than finding it here), the next one is built.
 *
 * R1  An answer built ahead is given only while nothing changed since, and not later than
 *     AHEAD_NS: it is never older than what an invalidation has already told the kernel.
 * R2  Only folders are read ahead: what they list was decided when the handle was opened. Other
 *     directories decide about each name when it is asked for.
 * R3  The kernel may release a handle while the next answer is still being built; whoever lets go
 *     of it last frees it, so that nobody waits.
 * R4  Every entry goes out with its attributes. Without them a program that only lists is faster by
 *     a third, but each name that anybody looks at later costs a look-up: ls -l after find loses
 *     several times what find wins.
 * R5  Files that are being written are listed, to who writes them, only through handles whose
 *     listing the kernel does not keep: those that were opened while there was one in the folder.
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/base/os.h"
#include "fs_internal.h"

#define AHEAD_NS INT64_C(1000000000)
#define AHEAD_MAX_BYTES ((size_t)64 << 10) /* of one open directory */

/* One answer under construction, or built. */
struct dir_reply {
    fuse_req_t req;
    char *data;
    size_t size, used;
    uint64_t next; /* where the answer after this one begins */
    bool plus;
    bool end; /* nothing follows */
    const atomic_bool *cancel;
};

/* The answer that will be asked for next. */
struct dir_ahead {
    struct dir_reply reply; /* without its request; data NULL: there is none */
    uint64_t off;
    uint64_t notices;
    int64_t until_ns;
};

/* A directory handle; the kernel serialises calls on one open file, another daemon's may not. */
struct fs_dir {
    atomic_uint users; /* R3 */
    pthread_mutex_t lock;
    struct emlfs_view_dir *dir;
    fuse_ino_t node;
    bool staged; /* R5 */
    struct dir_ahead ahead;
};

static struct fs_dir *dir_of(const struct fuse_file_info *info)
{
    return (struct fs_dir *)(uintptr_t)info->fh;
}

static void dir_put(struct fs_dir *dir)
{
    if (atomic_fetch_sub(&dir->users, 1) > 1)
        return;
    emlfs_view_dir_free(dir->dir);
    pthread_mutex_destroy(&dir->lock);
    free(dir->ahead.reply.data);
    free(dir);
}

void fs_dir_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    struct emlfs_subject subject = fs_subject_of(req);
    struct emlfs_err err = {.code = 0};
    struct fs_dir *dir = calloc(1, sizeof(*dir));
    int rc;

    if (!dir) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    atomic_init(&dir->users, 1);
    pthread_mutex_init(&dir->lock, NULL);
    rc = emlfs_view_dir_open(fs_of(req)->view, &subject, node, &dir->dir, &err);
    if (rc < 0) {
        dir_put(dir);
        fs_reply_error(req, rc, node, &err);
        return;
    }
    dir->node = node;
    dir->staged = fs_staged_any(fs_of(req), node);
    info->fh = (uint64_t)(uintptr_t)dir;
    info->cache_readdir = emlfs_view_dir_shared(dir->dir) && !dir->staged;
    info->keep_cache = info->cache_readdir;
    if (fuse_reply_open(req, info) < 0)
        dir_put(dir);
}

void fs_dir_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *info)
{
    (void)node;
    dir_put(dir_of(info));
    fuse_reply_err(req, 0);
}

/* False: no room. "." and ".." go out without a node id: the kernel must not count a look-up. */
static bool reply_add(struct dir_reply *reply, const char *name, const struct emlfs_attr *attr,
                      uint64_t off)
{
    size_t room = reply->size - reply->used, need;
    char *at = reply->data + reply->used;
    struct fuse_entry_param entry;

    if (reply->plus) {
        fs_entry_of(attr, &entry);
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            entry.ino = 0;
        need = fuse_add_direntry_plus(reply->req, at, room, name, &entry, (off_t)off);
    } else {
        need = fuse_add_direntry(reply->req, at, room, name, &attr->st, (off_t)off);
    }
    if (need > room)
        return false;
    reply->used += need;
    reply->next = off;
    return true;
}

/* R5: behind all others. */
static int reply_fill_staged(struct dir_reply *reply, const struct fs_dir *dir)
{
    struct fs_staged_entry entry;

    while (dir->staged) {
        if (fs_staged_next(reply->req, dir->node, reply->next, &entry) < 0)
            break;
        if (!reply_add(reply, entry.name, &entry.attr, entry.off)) {
            reply->end = false;
            break;
        }
    }
    return 0;
}

/* Entries from reply->next on, as many as there is room for. An error only where none was found. */
static int reply_fill(struct dir_reply *reply, struct fs_dir *dir, struct emlfs_err *err)
{
    struct emlfs_attr attr;
    const char *name;
    uint64_t next;
    int rc;

    for (;;) {
        rc = -ENOENT;
        if (!(reply->next & FS_STAGED_OFF))
            rc = emlfs_view_dir_next(dir->dir, reply->next, &name, &attr, &next, err);
        reply->end = rc == -ENOENT;
        if (reply->end)
            return reply_fill_staged(reply, dir);
        if (rc < 0)
            return reply->used ? 0 : rc;
        if (!reply_add(reply, name, &attr, next))
            return 0;
    }
}

static void ahead_drop(struct fs_dir *dir)
{
    free(dir->ahead.reply.data);
    dir->ahead.reply.data = NULL;
}

/* R1. True: reply is what was built ahead, and its data the caller's. */
static bool ahead_take(struct fs_dir *dir, struct dir_reply *reply)
{
    struct dir_ahead *ahead = &dir->ahead;
    fuse_req_t req = reply->req;

    if (!ahead->reply.data)
        return false;
    if (ahead->off != reply->next || ahead->reply.size != reply->size ||
        ahead->reply.plus != reply->plus || emlfs_os_monotonic_ns() > ahead->until_ns ||
        ahead->notices != fs_invalidate_notices(fs_of(req)->invalidate)) {
        ahead_drop(dir);
        return false;
    }
    *reply = ahead->reply;
    reply->req = req;
    ahead->reply.data = NULL;
    return true;
}

/* Build the answer that follows reply, whose request is answered: fs is all that is left of it. */
static void ahead_build(struct fs *fs, struct fs_dir *dir, const struct dir_reply *reply)
{
    struct dir_ahead ahead = {
        .reply = {.size = reply->size, .plus = reply->plus, .next = reply->next},
        .off = reply->next,
        .notices = fs_invalidate_notices(fs->invalidate),
        .until_ns = emlfs_os_monotonic_ns() + AHEAD_NS,
    };

    ahead.reply.data = malloc(ahead.reply.size);
    if (!ahead.reply.data)
        return;
    if (!reply->end && reply_fill(&ahead.reply, dir, NULL) < 0) {
        free(ahead.reply.data);
        return;
    }
    ahead_drop(dir);
    dir->ahead = ahead;
}

/* Under dir's lock. */
static int reply_make(struct dir_reply *reply, struct fs_dir *dir, struct emlfs_err *err)
{
    if (ahead_take(dir, reply))
        return 0;
    reply->data = malloc(reply->size);
    if (!reply->data)
        return -ENOMEM;
    return reply_fill(reply, dir, err);
}

static void dir_read(struct dir_reply *reply, fuse_ino_t node, struct fs_dir *dir)
{
    struct fs *fs = fs_of(reply->req);
    struct emlfs_err err = {.code = 0};
    int rc;

    if (reply->size > FS_READ_MAX_BYTES)
        reply->size = FS_READ_MAX_BYTES;
    atomic_fetch_add(&dir->users, 1);
    pthread_mutex_lock(&dir->lock);
    emlfs_view_dir_cancel(dir->dir, reply->cancel);
    rc = reply_make(reply, dir, &err);
    emlfs_view_dir_cancel(dir->dir, NULL);
    if (reply->cancel)
        fuse_req_interrupt_func(reply->req, NULL, NULL);
    if (rc < 0)
        fs_reply_error(reply->req, rc, node, &err);
    else
        fuse_reply_buf(reply->req, reply->data, reply->used);
    if (rc == 0 && reply->used && reply->size <= AHEAD_MAX_BYTES && !dir->staged &&
        emlfs_view_node_dir_shared(node))
        ahead_build(fs, dir, reply);
    pthread_mutex_unlock(&dir->lock);
    dir_put(dir);
    free(reply->data);
}

void fs_dir_answer(fuse_req_t req, fuse_ino_t node, const struct fs_listing *listing)
{
    struct dir_reply reply = {.req = req,
                              .size = listing->size,
                              .next = (uint64_t)listing->off,
                              .plus = listing->plus,
                              .cancel = listing->cancel};

    dir_read(&reply, node, listing->dir);
}

static void dir_asked(fuse_req_t req, fuse_ino_t node, const struct fs_listing *listing)
{
    if (fs_of(req)->search && emlfs_view_node_results(node))
        fs_search_listing(req, node, listing);
    else
        fs_dir_answer(req, node, listing);
}

void fs_dir_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                    struct fuse_file_info *info)
{
    struct fs_listing listing = {.dir = dir_of(info), .size = size, .off = off};

    dir_asked(req, node, &listing);
}

void fs_dir_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                        struct fuse_file_info *info)
{
    struct fs_listing listing = {.dir = dir_of(info), .size = size, .off = off, .plus = true};

    dir_asked(req, node, &listing);
}
