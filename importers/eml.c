/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Messages as files: one file, or a tree in which folders become folders.
 *
 * The walk is smart: a directory which is a Maildir is read as one, and a file which is an mbox (it
 * begins with a "From " line and another separator follows) becomes a folder with the messages in
 * it, except when its name ends in .eml, which says that it is one message. Every other regular
 * file is taken when it looks like a message, else rejected with the reason, exactly once: read =
 * messages + rejected. What is not mail by nature (indexes, control files, links, devices) is
 * noted, not counted.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "mbox.h"

static bool has_suffix(const char *name, const char *suffix)
{
    size_t n = strlen(name), m = strlen(suffix);
    return n > m && strcasecmp(name + n - m, suffix) == 0;
}

static bool is_mbox_name(const char *name)
{
    return has_suffix(name, ".mbox") || has_suffix(name, ".mbx");
}

static bool begins_like_mbox(struct emlfs_import *im, int fd)
{
    uint8_t head[EMLFS_MBOX_LINE_MAX_BYTES + 64];
    ssize_t n = emlfs_os_pread_full(fd, head, sizeof(head), 0);
    if (n < 0) {
        emlfs_import_partial(im);
        return false;
    }
    struct emlfs_mbox_from from = emlfs_mbox_from_parse(emlfs_span_of(head, (size_t)n));
    return from.form != EMLFS_MBOX_NONE && from.form != EMLFS_MBOX_OTHER;
}

/* The folder is named after the file, without .mbox. */
static int take_mbox(struct emlfs_import *im, const char *name, int fd, const struct stat *st)
{
    size_t old;
    size_t len = strlen(name);
    char *stem = strndup(name, is_mbox_name(name) ? (size_t)(strrchr(name, '.') - name) : len);
    int r = stem ? emlfs_import_push_folder(im, stem, &old) : -ENOMEM;
    free(stem);
    if (r < 0)
        return r == -E2BIG ? emlfs_import_reject_unread(im, "the folder name is too long", E2BIG)
                           : r;
    r = emlfs_import_enter_folder(im);
    if (r == 0)
        r = emlfs_mbox_take(im, fd, st);
    emlfs_import_pop(&im->folder, old);
    return r;
}

static int take_read(struct emlfs_import *im, const char *name, int fd, const struct stat *st)
{
    int r = emlfs_import_read(im, fd, st);
    if (r == -ENOMEM)
        return emlfs_err_sys(im->err, ENOMEM, "import", "no memory for a message");
    if (r == -EAGAIN)
        return emlfs_import_reject_changed(im);
    if (r < 0)
        return emlfs_import_reject_unread(im, "cannot be read", -r);
    if (!has_suffix(name, ".eml") && emlfs_mbox_holds_several(emlfs_buf_view(&im->raw)))
        return take_mbox(im, name, fd, st);
    return emlfs_import_deliver(im, NULL, 0, st->st_mtim.tv_sec);
}

static int take_open(struct emlfs_import *im, const char *name, int fd, const struct stat *st)
{
    if (st->st_size == 0 && !is_mbox_name(name) && !has_suffix(name, ".eml"))
        return emlfs_import_note(im, "empty file: no message in it");
    if (is_mbox_name(name) && (st->st_size == 0 || begins_like_mbox(im, fd)))
        return take_mbox(im, name, fd, st);
    if (im->mbox_only)
        return begins_like_mbox(im, fd) ? take_mbox(im, name, fd, st)
                                        : emlfs_import_reject(im, "not an mbox: no From line");
    if (st->st_size > (off_t)EMLFS_MESSAGE_MAX_BYTES) {
        if (begins_like_mbox(im, fd))
            return take_mbox(im, name, fd, st);
        return emlfs_import_reject(im, "larger than the largest message that can be archived");
    }
    return take_read(im, name, fd, st);
}

static int take_file(struct emlfs_import *im, int dir_fd, const char *name)
{
    struct stat st = {0};
    int fd = emlfs_import_open(im, dir_fd, name, false, &st);
    if (fd == -ENOENT || fd == -ELOOP || fd == -EINVAL)
        return emlfs_import_note_unread(im, "gone or replaced while the tree was read");
    if (fd < 0)
        return emlfs_import_reject_unread(im, "cannot be opened", -fd);
    int r = take_open(im, name, fd, &st);
    close(fd);
    emlfs_import_progress(im, (uint64_t)st.st_size);
    return r;
}

/* A Maildir's own directory name may be encoded; others are as they are. */
static int push_dir_folder(struct emlfs_import *im, const char *name, bool maildir, size_t *ret_old)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf decoded = EMLFS_BUF_INIT(4096);
    if (!maildir)
        return emlfs_import_push_folder(im, name, ret_old);
    int r = emlfs_maildir_decode_name(name, &decoded);
    return r < 0 ? r : emlfs_import_push_folder(im, (const char *)decoded.data, ret_old);
}

static int take_dir(struct emlfs_import *im, int parent_fd, const char *name)
{
    if (emlfs_import_is_litter_dir(name))
        return emlfs_import_note(im, "not a mail folder: skipped");
    if (im->depth >= EMLFS_IMPORT_DEPTH_MAX)
        return emlfs_import_note_unread(im, "too deep: the directory was not read");
    struct emlfs_import_dir dir;
    int r = emlfs_import_dir_open(im, parent_fd, name, false, &dir);
    if (r == -ENOMEM)
        return emlfs_err_sys(im->err, ENOMEM, "import", "no memory for a directory");
    if (r < 0)
        return emlfs_import_note_unread(im, strerrordesc_np(-r));
    size_t old = im->folder.len;
    bool maildir = !im->mbox_only && emlfs_maildir_is(&dir);
    r = push_dir_folder(im, name, maildir, &old);
    if (r == 0)
        r = emlfs_import_enter_folder(im);
    im->depth++;
    if (r == 0)
        r = maildir ? emlfs_maildir_walk(im, &dir) : emlfs_eml_walk(im, &dir);
    im->depth--;
    emlfs_import_pop(&im->folder, old);
    emlfs_import_dir_close(&dir);
    return r;
}

static int take_entry(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    const char *name = emlfs_import_dir_name(dir, i);
    if (emlfs_import_excluded(im))
        return 0;
    switch (emlfs_import_dir_type(dir, i)) {
    case DT_DIR:
        return take_dir(im, dir->fd, name);
    case DT_REG:
        if (!emlfs_import_included(im))
            return 0;
        if (emlfs_import_is_litter(name))
            return emlfs_import_note(im, "not mail: skipped");
        return take_file(im, dir->fd, name);
    case DT_LNK:
        return emlfs_import_note(im, "symbolic link: not followed");
    case DT_UNKNOWN:
        return emlfs_import_note_unread(im, "gone while the tree was read");
    default:
        return emlfs_import_note(im, "not a regular file: skipped");
    }
}

int emlfs_eml_walk(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    for (size_t i = 0; i < dir->count; i++) {
        size_t old;
        int r = emlfs_import_check(im);
        if (r < 0)
            return r;
        emlfs_import_read_ahead(im, dir, i);
        if (emlfs_import_push(&im->path, emlfs_import_dir_name(dir, i), &old) < 0)
            return emlfs_err_set(im->err, ENAMETOOLONG, "import", "a path is too long");
        r = take_entry(im, dir, i);
        emlfs_import_pop(&im->path, old);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run_dir(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    emlfs_import_measure(im, dir);
    return emlfs_maildir_is(dir) ? emlfs_maildir_walk(im, dir) : emlfs_eml_walk(im, dir);
}

/* One file was named: it may be an mbox with several messages; the folder is then the base itself.
 */
static int run_file(struct emlfs_import *im, int fd, const struct stat *st)
{
    const char *name = emlfs_import_relative(im);
    im->total_bytes = (uint64_t)st->st_size;
    int r = emlfs_import_check(im);
    if (r == 0 && emlfs_import_included(im) && !emlfs_import_excluded(im))
        r = take_open(im, name, fd, st);
    emlfs_import_progress(im, (uint64_t)st->st_size);
    return r;
}

static int eml_run(const char *path, const struct emlfs_import_options *options,
                   const struct emlfs_sink *sink, struct emlfs_err *err)
{
    static const struct emlfs_import_kind kind = {.dir = run_dir, .file = run_file};
    struct emlfs_import im;
    int r = emlfs_import_begin(&im, path, options, sink, err);
    if (r == 0)
        r = emlfs_import_source(&im, path, &kind, err);
    return emlfs_import_end(&im, r);
}

static int eml_probe(const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return 0;
    if (S_ISDIR(st.st_mode))
        return 50;
    if (!S_ISREG(st.st_mode))
        return 0;
    return has_suffix(path, ".eml") ? 80 : 50;
}

/* A tree is named after itself, a single file is filed under the name of its directory. */
static void eml_base_folder(const char *path, char *ret_name, size_t size)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    if (stat(path, &st) < 0 || S_ISDIR(st.st_mode)) {
        emlfs_import_base_name(path, ret_name, size);
        return;
    }
    char *parent = slash ? strndup(path, (size_t)(slash - path) + (slash == path)) : strdup(".");
    emlfs_import_base_name(parent ? parent : ".", ret_name, size);
    free(parent);
}

const struct emlfs_importer emlfs_importer_eml = {
    .name = "eml",
    .summary = "message files and trees of them, with the Maildirs and mboxes found inside",
    .probe = eml_probe,
    .base_folder = eml_base_folder,
    .run = eml_run,
};
