/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directories and files of a source: listing, opening, reading. Nothing is written, access times
 * are left alone where the kernel lets us (O_NOATIME), symbolic links below the root are not
 * followed, and files are read, not mapped: a file that shrinks meanwhile must not kill the
 * process.
 *
 * Memory: a directory's names are held and sorted, so that an import is the same each time. That is
 * the one thing that grows with a directory (about 50 bytes a name); file content never does beyond
 * one message.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "source.h"

#define NAMES_MAX_BYTES (1u << 30)
#define AHEAD_FILES 32u
#define AHEAD_BYTES (1 << 20)

/* O_NONBLOCK: a FIFO put in the place of a file must not block. */
static int open_quietly(struct emlfs_import *im, int dir_fd, const char *name, int flags)
{
    flags |= O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    if (im->noatime) {
        int fd = openat(dir_fd, name, flags | O_NOATIME);
        if (fd >= 0 || errno != EPERM)
            return fd >= 0 ? fd : -errno;
        im->noatime = false; /* someone else's file: do not ask again for each one */
    }
    int fd = openat(dir_fd, name, flags);
    return fd >= 0 ? fd : -errno;
}

static unsigned char type_of(int dir_fd, const struct dirent *entry)
{
    struct stat st;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type;
    if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return DT_UNKNOWN;
    return (unsigned char)IFTODT(st.st_mode);
}

static int entry_add(struct emlfs_import_dir *dir, const char *name, unsigned char type)
{
    if (dir->count == dir->cap) {
        size_t cap = dir->cap ? dir->cap * 2 : 64;
        size_t *grown = reallocarray(dir->offsets, cap, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        dir->offsets = grown;
        dir->cap = cap;
    }
    size_t offset = dir->names.len;
    int r = emlfs_buf_append_u8(&dir->names, type);
    if (r == 0)
        r = emlfs_buf_append(&dir->names, name, strlen(name) + 1);
    if (r == 0)
        dir->offsets[dir->count++] = offset;
    return r;
}

static int by_name(const void *a, const void *b, void *names)
{
    const char *text = names;
    return strcmp(text + *(const size_t *)a + 1, text + *(const size_t *)b + 1);
}

static int dir_read(struct emlfs_import_dir *dir)
{
    int fd = fcntl(dir->fd, F_DUPFD_CLOEXEC, 0);
    DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    int r = stream ? 0 : -errno;
    if (!stream && fd >= 0)
        close(fd);
    while (r == 0) {
        errno = 0;
        const struct dirent *entry = readdir(stream);
        if (!entry) {
            r = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = entry_add(dir, entry->d_name, type_of(dir->fd, entry));
    }
    if (stream)
        closedir(stream);
    if (r == 0 && dir->count)
        qsort_r(dir->offsets, dir->count, sizeof(dir->offsets[0]), by_name, dir->names.data);
    return r;
}

int emlfs_import_dir_open(struct emlfs_import *im, int parent_fd, const char *name, bool follow,
                          struct emlfs_import_dir *ret)
{
    *ret = (struct emlfs_import_dir){.fd = -1, .names = EMLFS_BUF_INIT(NAMES_MAX_BYTES)};
    int fd = open_quietly(im, parent_fd, name, O_DIRECTORY | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return fd;
    ret->fd = fd;
    int r = dir_read(ret);
    if (r < 0)
        emlfs_import_dir_close(ret);
    return r;
}

void emlfs_import_dir_close(struct emlfs_import_dir *dir)
{
    emlfs_os_close(&dir->fd);
    emlfs_buf_free(&dir->names);
    free(dir->offsets);
    dir->offsets = NULL;
    dir->count = dir->cap = 0;
}

bool emlfs_import_dir_has(const struct emlfs_import_dir *dir, const char *name)
{
    size_t low = 0, high = dir->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(emlfs_import_dir_name(dir, middle), name);
        if (order == 0)
            return emlfs_import_dir_type(dir, middle) == DT_DIR;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

int emlfs_import_open(struct emlfs_import *im, int dir_fd, const char *name, bool follow,
                      struct stat *ret_st)
{
    int fd = open_quietly(im, dir_fd, name, follow ? 0 : O_NOFOLLOW);
    if (fd < 0)
        return fd;
    int r = fstat(fd, ret_st) < 0 ? -errno : S_ISREG(ret_st->st_mode) ? 0 : -EINVAL;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static void ask_for(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    const char *name = emlfs_import_dir_name(dir, i);
    size_t old;
    if (emlfs_import_dir_type(dir, i) != DT_REG || emlfs_import_is_litter(name) ||
        emlfs_import_push(&im->path, name, &old) < 0)
        return;
    bool wanted = !emlfs_import_excluded(im) && emlfs_import_included(im);
    emlfs_import_pop(&im->path, old);
    if (!wanted)
        return;
    int fd = open_quietly(im, dir->fd, name, O_NOFOLLOW);
    if (fd < 0)
        return;
    (void)posix_fadvise(fd, 0, AHEAD_BYTES, POSIX_FADV_WILLNEED);
    close(fd); /* the kernel goes on reading */
}

void emlfs_import_read_ahead(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    size_t from = i == 0 ? 0 : i + AHEAD_FILES;
    for (size_t at = from; at <= i + AHEAD_FILES && at < dir->count; at++)
        ask_for(im, dir, at);
}

int emlfs_import_read(struct emlfs_import *im, int fd, const struct stat *st)
{
    emlfs_buf_clear(&im->raw);
    if (st->st_size > (off_t)EMLFS_MESSAGE_MAX_BYTES)
        return -EFBIG;
    size_t want = (size_t)st->st_size;
    int r = emlfs_buf_reserve(&im->raw, want + 1);
    if (r < 0)
        return r;
    size_t have = 0;
    ssize_t n = 1;
    while (n > 0 && have <= want) {
        n = read(fd, im->raw.data + have, want + 1 - have);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n < 0)
            return -errno;
        have += (size_t)n;
        if (have == want)
            break; /* fstat said so: asking for the end would be one more call per file */
    }
    im->raw.len = have;
    return have == want ? 0 : -EAGAIN;
}

static void measure_entry(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    const char *name = emlfs_import_dir_name(dir, i);
    unsigned char type = emlfs_import_dir_type(dir, i);
    struct stat st;
    if (type == DT_REG && emlfs_import_included(im) && !emlfs_import_is_litter(name) &&
        fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        im->total_bytes += (uint64_t)st.st_size;
    struct emlfs_import_dir child;
    if (type != DT_DIR || im->depth >= EMLFS_IMPORT_DEPTH_MAX ||
        emlfs_import_dir_open(im, dir->fd, name, false, &child) < 0)
        return;
    im->depth++;
    emlfs_import_measure(im, &child);
    im->depth--;
    emlfs_import_dir_close(&child);
}

void emlfs_import_measure(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    if (!im->options || !im->options->progress || !im->options->progress->step)
        return;
    for (size_t i = 0; i < dir->count && !emlfs_progress_cancelled(im->options->progress); i++) {
        size_t old;
        if (emlfs_import_push(&im->path, emlfs_import_dir_name(dir, i), &old) < 0)
            return;
        if (!emlfs_import_excluded(im))
            measure_entry(im, dir, i);
        emlfs_import_pop(&im->path, old);
    }
}

static bool in_list(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(name, *list) == 0)
            return true;
    return false;
}

bool emlfs_import_is_litter(const char *name)
{
    static const char *const names[] = {".DS_Store",
                                        "Thumbs.db",
                                        "desktop.ini",
                                        "subscriptions",
                                        ".subscriptions",
                                        "maildirfolder",
                                        "maildirsize",
                                        "courierimapsubscribed",
                                        "courierimapuiddb",
                                        "courierimapkeywords",
                                        "courierpop3dsizelist",
                                        "courierpop3uidl",
                                        ".uidvalidity",
                                        ".mh_sequences",
                                        ".mh_profile",
                                        ".xmhcache",
                                        "popstate.dat",
                                        "msgFilterRules.dat",
                                        "filterlog.html",
                                        "folderTree.json",
                                        "virtualFolders.dat",
                                        "mailViews.dat",
                                        "prefs.js",
                                        "session.json",
                                        NULL};
    static const char *const prefixes[] = {"dovecot.", "dovecot-", ".dovecot",
                                           ".isync",   ".mbsync",  NULL};
    if (in_list(name, names))
        return true;
    for (size_t i = 0; prefixes[i]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    const char *dot = strrchr(name, '.');
    return dot && (strcasecmp(dot, ".msf") == 0 || strcmp(dot, ".lock") == 0);
}

bool emlfs_import_is_litter_dir(const char *name)
{
    static const char *const names[] = {".git",     ".svn",       ".hg", "CVS",
                                        "__MACOSX", "lost+found", NULL};
    return in_list(name, names);
}
