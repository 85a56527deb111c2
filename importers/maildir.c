/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Maildir, Maildir++ and nested Maildirs (Dovecot's LAYOUT=fs).
 *
 * A folder's messages are the files in new and cur, in this order: a mail program that moves a
 * message from new to cur meanwhile cannot hide it. A file that was renamed in cur (its flags
 * changed) between listing and opening is looked for again by its unique name. tmp is never read.
 * Files that lie beside them are judged as messages too, unless they are known control files.
 * Directories beside them are folders: ".A.B" is the folder A/B (Maildir++), "A" is the folder A.
 * Names are modified UTF-7 where they decode as such, else taken as they are.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "source.h"

#define TIME_DIGITS_MIN 9u
#define TIME_DIGITS_MAX 11u

static bool is_folder(const struct emlfs_import_dir *dir)
{
    return emlfs_import_dir_has(dir, "cur") || emlfs_import_dir_has(dir, "new");
}

bool emlfs_maildir_is(const struct emlfs_import_dir *dir)
{
    return emlfs_import_dir_has(dir, "cur") &&
           (emlfs_import_dir_has(dir, "new") || emlfs_import_dir_has(dir, "tmp"));
}

/* Where ":2,FLAGS" begins; other separators are used where a file system forbids ':'. */
static const char *info_of(const char *name)
{
    for (const char *at = name + strlen(name); at > name; at--)
        if (at[0] && strchr(":;!", at[0]) && at[1] == '2' && at[2] == ',')
            return at;
    return NULL;
}

uint32_t emlfs_maildir_flags(const char *name, bool *ret_keywords)
{
    static const char letters[] = "SRFTDP";
    static const uint32_t flags[] = {EMLFS_ENTRY_SEEN,    EMLFS_ENTRY_ANSWERED,
                                     EMLFS_ENTRY_FLAGGED, EMLFS_ENTRY_DELETED,
                                     EMLFS_ENTRY_DRAFT,   EMLFS_ENTRY_FORWARDED};
    const char *info = info_of(name);
    uint32_t ret = 0;
    *ret_keywords = false;
    for (const char *at = info ? info + 3 : ""; *at && *at != ','; at++) {
        const char *letter = strchr(letters, *at);
        if (letter)
            ret |= flags[letter - letters];
        else if (*at >= 'a' && *at <= 'z')
            *ret_keywords = true;
    }
    return ret;
}

int64_t emlfs_maildir_time(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    if (digits < TIME_DIGITS_MIN || digits > TIME_DIGITS_MAX || name[digits] != '.')
        return 0;
    return strtoll(name, NULL, 10);
}

int emlfs_maildir_decode_name(const char *name, struct emlfs_buf *out)
{
    size_t old = out->len;
    int r = emlfs_utf7_decode(name, out);
    if (r == -EILSEQ) {
        out->len = old;
        r = emlfs_buf_append(out, name, strlen(name));
    }
    if (r == 0 && (r = emlfs_buf_append_u8(out, 0)) == 0)
        out->len--;
    return r;
}

/* The file that has the unique name of gone and other flags now. Its name, or NULL. */
static const char *find_renamed(const struct emlfs_import_dir *dir, const char *gone)
{
    const char *info = info_of(gone);
    size_t len = info ? (size_t)(info - gone) : strlen(gone);
    for (size_t i = 0; i < dir->count; i++) {
        const char *name = emlfs_import_dir_name(dir, i);
        if (strncmp(name, gone, len) == 0 && (!name[len] || info_of(name) == name + len))
            return name;
    }
    return NULL;
}

static int take_open(struct emlfs_import *im, const char *name, int fd, const struct stat *st)
{
    int r = emlfs_import_read(im, fd, st);
    if (r == -ENOMEM)
        return emlfs_err_sys(im->err, ENOMEM, "import", "no memory for a message");
    if (r == -EFBIG)
        return emlfs_import_reject(im, "larger than the largest message that can be archived");
    if (r == -EAGAIN)
        return emlfs_import_reject_changed(im);
    if (r < 0)
        return emlfs_import_reject_unread(im, "cannot be read", -r);
    bool keywords;
    uint32_t flags = emlfs_maildir_flags(name, &keywords);
    im->keywords += keywords;
    int64_t time_sec = emlfs_maildir_time(name);
    return emlfs_import_deliver(im, NULL, flags, time_sec ? time_sec : st->st_mtim.tv_sec);
}

static int take_file(struct emlfs_import *im, const struct emlfs_import_dir *dir, const char *name)
{
    struct emlfs_import_dir again = {.fd = -1};
    struct stat st = {0};
    int fd = emlfs_import_open(im, dir->fd, name, false, &st);
    if (fd == -ENOENT && emlfs_import_dir_open(im, dir->fd, ".", false, &again) == 0) {
        const char *renamed = find_renamed(&again, name);
        if (renamed) {
            name = renamed;
            fd = emlfs_import_open(im, dir->fd, name, false, &st);
        }
    }
    int r;
    if (fd == -ENOENT || fd == -ELOOP || fd == -EINVAL)
        r = emlfs_import_note_unread(im, "gone or replaced while the folder was read");
    else if (fd < 0)
        r = emlfs_import_reject_unread(im, "cannot be opened", -fd);
    else
        r = take_open(im, name, fd, &st);
    emlfs_os_close(&fd);
    if (again.fd >= 0)
        emlfs_import_dir_close(&again);
    emlfs_import_progress(im, (uint64_t)st.st_size);
    return r;
}

static int take_message(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    const char *name = emlfs_import_dir_name(dir, i);
    if (emlfs_import_excluded(im) || !emlfs_import_included(im))
        return 0;
    if (emlfs_import_is_litter(name))
        return emlfs_import_note(im, "not mail: skipped");
    if (emlfs_import_dir_type(dir, i) == DT_REG)
        return take_file(im, dir, name);
    if (emlfs_import_dir_type(dir, i) == DT_UNKNOWN)
        return emlfs_import_note_unread(im, "gone while the folder was read");
    return emlfs_import_note(im, "not a regular file: skipped");
}

static int take_messages(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    int r = 0;
    for (size_t i = 0; i < dir->count && r == 0; i++) {
        size_t old;
        r = emlfs_import_check(im);
        if (r < 0)
            return r;
        emlfs_import_read_ahead(im, dir, i);
        if (emlfs_import_push(&im->path, emlfs_import_dir_name(dir, i), &old) < 0)
            return emlfs_err_set(im->err, ENAMETOOLONG, "import", "a path is too long");
        r = take_message(im, dir, i);
        emlfs_import_pop(&im->path, old);
    }
    return r;
}

/* new or cur. */
static int take_part(struct emlfs_import *im, const struct emlfs_import_dir *dir, const char *part)
{
    struct emlfs_import_dir messages;
    size_t old;
    if (!emlfs_import_dir_has(dir, part))
        return 0;
    if (emlfs_import_push(&im->path, part, &old) < 0)
        return emlfs_err_set(im->err, ENAMETOOLONG, "import", "a path is too long");
    int r = 0;
    if (!emlfs_import_excluded(im)) {
        r = emlfs_import_dir_open(im, dir->fd, part, false, &messages);
        if (r == 0) {
            r = take_messages(im, &messages);
            emlfs_import_dir_close(&messages);
        } else {
            r = emlfs_import_note_unread(im, strerrordesc_np(-r));
        }
    }
    emlfs_import_pop(&im->path, old);
    return r;
}

/* Push what the directory's name says: ".A.B" two levels, "A" one. */
static int push_levels(struct emlfs_import *im, const char *name)
{
    size_t ignored;
    if (name[0] != '.') {
        EMLFS_BUF_CLEANUP struct emlfs_buf whole = EMLFS_BUF_INIT(4096);
        int r = emlfs_maildir_decode_name(name, &whole);
        return r < 0 ? r : emlfs_import_push_folder(im, (const char *)whole.data, &ignored);
    }
    const char *at = name;
    int r = 0;
    while (r == 0 && *at == '.') {
        EMLFS_BUF_CLEANUP struct emlfs_buf decoded = EMLFS_BUF_INIT(4096);
        char level[256];
        size_t len = strcspn(at + 1, ".");
        if (len >= sizeof(level))
            return -ENAMETOOLONG;
        memcpy(level, at + 1, len);
        level[len] = 0;
        r = emlfs_maildir_decode_name(level, &decoded);
        if (r == 0)
            r = emlfs_import_push_folder(im, (const char *)decoded.data, &ignored);
        at += 1 + len;
    }
    return r;
}

static int take_child(struct emlfs_import *im, const char *name,
                      const struct emlfs_import_dir *child)
{
    size_t old = im->folder.len;
    if (name[0] == '.' && !is_folder(child))
        return emlfs_import_note(im, "neither cur nor new in it: not a mail folder");
    int r = push_levels(im, name);
    if (r == 0)
        r = emlfs_import_enter_folder(im);
    im->depth++;
    if (r == 0)
        r = emlfs_maildir_walk(im, child);
    im->depth--;
    emlfs_import_pop(&im->folder, old);
    return r;
}

static int take_dir(struct emlfs_import *im, const struct emlfs_import_dir *dir, const char *name)
{
    struct emlfs_import_dir child;
    if (emlfs_import_is_litter_dir(name))
        return emlfs_import_note(im, "not a mail folder: skipped");
    if (im->depth >= EMLFS_IMPORT_DEPTH_MAX)
        return emlfs_import_note_unread(im, "too deep: the directory was not read");
    int r = emlfs_import_dir_open(im, dir->fd, name, false, &child);
    if (r == -ENOMEM)
        return emlfs_err_sys(im->err, ENOMEM, "import", "no memory for a directory");
    if (r < 0)
        return emlfs_import_note_unread(im, strerrordesc_np(-r));
    r = take_child(im, name, &child);
    emlfs_import_dir_close(&child);
    return r;
}

static bool is_part(const char *name)
{
    return strcmp(name, "cur") == 0 || strcmp(name, "new") == 0 || strcmp(name, "tmp") == 0;
}

static int take_entry(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i)
{
    const char *name = emlfs_import_dir_name(dir, i);
    unsigned char type = emlfs_import_dir_type(dir, i);
    if (is_part(name) || emlfs_import_is_litter(name) || emlfs_import_excluded(im))
        return 0;
    if (type == DT_DIR)
        return take_dir(im, dir, name);
    if (type == DT_LNK)
        return emlfs_import_note(im, "symbolic link: not followed");
    if (type == DT_UNKNOWN)
        return emlfs_import_note_unread(im, "gone while the folder was read");
    if (type != DT_REG || name[0] == '.')
        return emlfs_import_note(im, "not mail: skipped");
    return emlfs_import_included(im) ? take_file(im, dir, name) : 0;
}

int emlfs_maildir_walk(struct emlfs_import *im, const struct emlfs_import_dir *dir)
{
    uint64_t keywords = im->keywords;
    int r = take_part(im, dir, "new");
    if (r == 0)
        r = take_part(im, dir, "cur");
    for (size_t i = 0; i < dir->count && r == 0; i++) {
        size_t old;
        r = emlfs_import_check(im);
        if (r < 0)
            return r;
        if (emlfs_import_push(&im->path, emlfs_import_dir_name(dir, i), &old) < 0)
            return emlfs_err_set(im->err, ENAMETOOLONG, "import", "a path is too long");
        r = take_entry(im, dir, i);
        emlfs_import_pop(&im->path, old);
    }
    if (r == 0 && keywords == 0 && im->keywords > 0) /* told once, by the first that met any */
        r = emlfs_import_note(im, "keywords of messages are not archived");
    return r;
}

static int maildir_run(const char *path, const struct emlfs_import_options *options,
                       const struct emlfs_sink *sink, struct emlfs_err *err)
{
    struct emlfs_import im;
    struct emlfs_import_dir dir;
    int r = emlfs_import_begin(&im, path, options, sink, err);
    if (r == 0) {
        int d = emlfs_import_dir_open(&im, AT_FDCWD, path, true, &dir);
        if (d < 0) {
            r = emlfs_err_sys(err, -d, "import", "cannot read %s", path);
        } else {
            emlfs_import_measure(&im, &dir);
            r = emlfs_maildir_walk(&im, &dir);
            emlfs_import_dir_close(&dir);
        }
    }
    return emlfs_import_end(&im, r);
}

static bool is_dir_at(const char *path, const char *name)
{
    char joined[4096];
    struct stat st;
    int n = snprintf(joined, sizeof(joined), "%s/%s", path, name);
    return n > 0 && (size_t)n < sizeof(joined) && stat(joined, &st) == 0 && S_ISDIR(st.st_mode);
}

static int maildir_probe(const char *path)
{
    if (!is_dir_at(path, "cur"))
        return 0;
    bool fresh = is_dir_at(path, "new"), temporary = is_dir_at(path, "tmp");
    return fresh && temporary ? 95 : fresh || temporary ? 90 : 0;
}

/* A user's whole mail is INBOX; one folder's Maildir keeps its own name. */
static void maildir_base_folder(const char *path, char *ret_name, size_t size)
{
    static const char *const tops[] = {"Maildir", "maildir", ".maildir", "mail", "Mail"};
    EMLFS_BUF_CLEANUP struct emlfs_buf decoded = EMLFS_BUF_INIT(4096);
    char name[512];
    emlfs_import_base_name(path, name, sizeof(name));
    for (size_t i = 0; i < sizeof(tops) / sizeof(tops[0]); i++)
        if (strcmp(name, tops[i]) == 0) {
            snprintf(ret_name, size, "INBOX");
            return;
        }
    const char *last = name[0] == '.' ? strrchr(name, '.') + 1 : name;
    int r = *last ? emlfs_maildir_decode_name(last, &decoded) : -EINVAL;
    snprintf(ret_name, size, "%s", r == 0 ? (const char *)decoded.data : "INBOX");
}

const struct emlfs_importer emlfs_importer_maildir = {
    .name = "maildir",
    .summary = "Maildir and Maildir++ folders with their subfolders and flags",
    .probe = maildir_probe,
    .base_folder = maildir_base_folder,
    .run = maildir_run,
};
