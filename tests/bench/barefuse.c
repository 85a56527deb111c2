/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * barefuse TREE MOUNTPOINT: the files below TREE, read into memory, as a FUSE mount in the
 * foreground. It has emlfs's mount options, time-outs and request loop, and does nothing else: no
 * rights, no catalogue, no decompression, no disk. What it costs beside plain files is what FUSE
 * costs on this machine; no file system of this kind gets below it without being asked less.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs_loop.h"

#define CACHE_SEC 300.0
#define READ_MAX_BYTES (1u << 20)
#define THREADS 10u /* as many as emlfs's mount has */

/* Node id: index + 1. The children of a directory lie side by side, ordered by name. */
struct node {
    char *name, *data;
    struct stat st;
    size_t parent, first, n;
};

struct tree {
    struct node *v;
    size_t n, cap;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "barefuse: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *need(void *memory)
{
    if (!memory)
        fail("memory");
    return memory;
}

static char *file_read(int at, const char *name, size_t size)
{
    int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
    char *data = need(malloc(size ? size : 1));
    if (fd < 0 || read(fd, data, size) != (ssize_t)size)
        fail(name);
    close(fd);
    return data;
}

static void node_add(struct tree *tree, size_t parent, int at, const char *name)
{
    struct node node = {.name = need(strdup(name)), .parent = parent};
    if (fstatat(at, name, &node.st, AT_SYMLINK_NOFOLLOW) < 0)
        fail(name);
    if (S_ISREG(node.st.st_mode))
        node.data = file_read(at, name, (size_t)node.st.st_size);
    if (tree->n == tree->cap) {
        tree->cap = tree->cap ? 2 * tree->cap : 1024;
        tree->v = need(realloc(tree->v, tree->cap * sizeof(*tree->v)));
    }
    tree->v[tree->n++] = node;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct node *)a)->name, ((const struct node *)b)->name);
}

/* fd: of the directory that node i is; closed here. */
static void directory_load(struct tree *tree, size_t i, int fd)
{
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    size_t first = tree->n, n;
    if (!dir)
        fail(tree->v[i].name);
    while ((entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            node_add(tree, i, fd, entry->d_name);
    n = tree->n - first;
    qsort(tree->v + first, n, sizeof(*tree->v), by_name);
    tree->v[i].first = first;
    tree->v[i].n = n;
    for (size_t child = first; child < first + n; child++)
        if (S_ISDIR(tree->v[child].st.st_mode))
            directory_load(tree, child,
                           openat(fd, tree->v[child].name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    closedir(dir);
}

static void tree_load(struct tree *tree, const char *path)
{
    node_add(tree, 0, AT_FDCWD, path);
    directory_load(tree, 0, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (size_t i = 0; i < tree->n; i++)
        tree->v[i].st.st_ino = i + 1;
}

static void tree_free(struct tree *tree)
{
    for (size_t i = 0; i < tree->n; i++) {
        free(tree->v[i].name);
        free(tree->v[i].data);
    }
    free(tree->v);
}

static const struct tree *tree_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

static const struct node *node_of(fuse_req_t req, fuse_ino_t ino)
{
    return &tree_of(req)->v[ino - 1];
}

static struct fuse_entry_param entry_of(const struct node *node)
{
    return (struct fuse_entry_param){.ino = node->st.st_ino,
                                     .attr = node->st,
                                     .attr_timeout = CACHE_SEC,
                                     .entry_timeout = CACHE_SEC};
}

static void bare_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
                              FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    conn->want |= (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ |
                   FUSE_CAP_AUTO_INVAL_DATA) &
                  conn->capable;
    conn->max_read = READ_MAX_BYTES;
    conn->max_readahead = READ_MAX_BYTES;
    conn->max_background = 32;
    conn->congestion_threshold = 24;
}

static void bare_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    const struct node *dir = node_of(req, parent);
    const struct node wanted = {.name = (char *)(uintptr_t)name};
    const struct node *found =
        bsearch(&wanted, tree_of(req)->v + dir->first, dir->n, sizeof(wanted), by_name);
    struct fuse_entry_param entry;
    if (!found) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    entry = entry_of(found);
    fuse_reply_entry(req, &entry);
}

static void bare_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)info;
    fuse_reply_attr(req, &node_of(req, ino)->st, CACHE_SEC);
}

static void bare_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    info->keep_cache = 1;
    info->noflush = 1;
    fuse_reply_open(req, info);
}

static void bare_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                      struct fuse_file_info *info)
{
    const struct node *node = node_of(req, ino);
    size_t at = off < node->st.st_size ? (size_t)off : (size_t)node->st.st_size;
    size_t left = (size_t)node->st.st_size - at;
    (void)info;
    fuse_reply_buf(req, node->data + at, size < left ? size : left);
}

static void bare_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino, (void)info;
    fuse_reply_err(req, 0);
}

static void bare_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
    (void)ino;
    info->keep_cache = 1;
    info->cache_readdir = 1;
    fuse_reply_open(req, info);
}

/* Positions: 1 and 2 are the dots, then the children. Dots are given no node, as emlfs does. */
static size_t entry_add(fuse_req_t req, const struct node *dir, size_t off, char *to, size_t room)
{
    struct fuse_entry_param entry = {.ino = 0};
    const char *name = off == 0 ? "." : "..";
    if (off >= 2) {
        const struct node *child = &tree_of(req)->v[dir->first + off - 2];
        entry = entry_of(child);
        name = child->name;
    } else {
        entry.attr = dir->st;
    }
    return fuse_add_direntry_plus(req, to, room, name, &entry, (off_t)off + 1);
}

static void bare_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                             struct fuse_file_info *info)
{
    const struct node *dir = node_of(req, ino);
    char *data = need(malloc(size));
    size_t used = 0;
    (void)info;
    for (size_t at = (size_t)off; at < dir->n + 2; at++) {
        size_t n = entry_add(req, dir, at, data + used, size - used);
        if (n > size - used)
            break;
        used += n;
    }
    fuse_reply_buf(req, data, used);
    free(data);
}

static const struct fuse_lowlevel_ops bare_ops = {
    .init = bare_init,
    .lookup = bare_lookup,
    .getattr = bare_getattr,
    .open = bare_open,
    .read = bare_read,
    .release = bare_release,
    .opendir = bare_opendir,
    .readdirplus = bare_readdirplus,
    .releasedir = bare_release,
};

static struct fuse_session *session_new(struct tree *tree)
{
    char *argv[] = {"barefuse", "-o",
                    "ro,nosuid,nodev,noexec,allow_other,default_permissions,max_read=1048576"};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    struct fuse_session *session = fuse_session_new(&args, &bare_ops, sizeof(bare_ops), tree);
    fuse_opt_free_args(&args);
    return session;
}

int main(int argc, char **argv)
{
    struct tree tree = {.v = NULL};
    struct fuse_session *session;
    struct fs_loop *loop;
    if (argc != 3) {
        fputs("Usage: barefuse TREE MOUNTPOINT\n", stderr);
        return 2;
    }
    tree_load(&tree, argv[1]);
    session = session_new(&tree);
    if (!session || fuse_session_mount(session, argv[2]) != 0 || fs_loop_new(session, &loop) < 0)
        fail(argv[2]);
    fs_loop_run(loop, THREADS);
    fs_loop_free(loop);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    tree_free(&tree);
    return 0;
}
