/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_SOURCE_H
#define EMLFS_IMPORTERS_SOURCE_H

#include <sys/stat.h>

#include "emlfs/base/os.h"
#include "emlfs/importer.h"

/*
 * What the importers of files share: one running import, directory listings, opening and reading
 * without changing the source or leaving it, and handing over to the sink. Private to importers/.
 *
 * Staying inside: every open names exactly one component, relative to the descriptor of the
 * directory it was listed in, with O_NOFOLLOW. No component is "..", so nothing below the root
 * leads outside it.
 */
#define EMLFS_IMPORT_DEPTH_MAX 100u

/* One running import. path and folder are NUL-terminated stacks of components. */
struct emlfs_import {
    const struct emlfs_import_options *options;
    const struct emlfs_sink *sink;
    struct emlfs_err *err;
    struct emlfs_buf path;   /* the source as given, then what is below it */
    size_t root_len;         /* the first byte of the source-relative part */
    struct emlfs_buf folder; /* where messages are filed now, "" at the top */
    struct emlfs_buf raw;    /* the message being read */
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t keywords; /* Maildir messages with keyword letters, which are not archived */
    unsigned depth;
    bool noatime;   /* O_NOATIME worked so far */
    bool mbox_only; /* a tree in which only mboxes are taken */
};

/* path: as the user gave it. -ENOMEM, -E2BIG. Free with emlfs_import_end in any case. The caller's
 * ret_partial is false from here on. */
int emlfs_import_begin(struct emlfs_import *im, const char *path,
                       const struct emlfs_import_options *options, const struct emlfs_sink *sink,
                       struct emlfs_err *err);
/* Ends the run with result r, which it returns. A run that failed has not read all of its source.
 */
int emlfs_import_end(struct emlfs_import *im, int r);
/*
 * A part of the source could not be read: mail may be there that the sink has not seen. Mail that
 * is never read by rule (links, litter, tmp, what a glob leaves out, messages over the maximum) is
 * not meant: an import that reads everything would not see it either.
 */
void emlfs_import_partial(struct emlfs_import *im);

/* Push a component, "/" before it when the stack is not empty; *ret_old is for _pop. */
int emlfs_import_push(struct emlfs_buf *stack, const char *component, size_t *ret_old);
void emlfs_import_pop(struct emlfs_buf *stack, size_t old);
/* As push, but text becomes a valid folder component: UTF-8, no '/', not empty, "." or "..". */
int emlfs_import_push_folder(struct emlfs_import *im, const char *text, size_t *ret_old);

static inline const char *emlfs_import_position(const struct emlfs_import *im)
{
    return (const char *)im->path.data;
}

static inline const char *emlfs_import_folder(const struct emlfs_import *im)
{
    return (const char *)im->folder.data;
}

/* The part below the source; the base name when the source is one file. */
const char *emlfs_import_relative(const struct emlfs_import *im);
/* Globs. excluded is for files and directories, included for files only. */
bool emlfs_import_excluded(const struct emlfs_import *im);
bool emlfs_import_included(const struct emlfs_import *im);
/* -ECANCELED once cancelled, else 0. */
int emlfs_import_check(struct emlfs_import *im);
void emlfs_import_progress(struct emlfs_import *im, uint64_t bytes);

/* To the sink, at the present position. */
int emlfs_import_note(struct emlfs_import *im, const char *text);
int emlfs_import_reject(struct emlfs_import *im, const char *reason);
/* As _note and _reject, for what could not be read: the import is partial. */
int emlfs_import_note_unread(struct emlfs_import *im, const char *text);
int emlfs_import_reject_unread(struct emlfs_import *im, const char *what, int code);
int emlfs_import_reject_changed(struct emlfs_import *im);
int emlfs_import_enter_folder(struct emlfs_import *im);
/*
 * Judge im->raw and pass it on, or reject it. position: NULL for the present path.
 * flags: EMLFS_ENTRY_...; time_sec: 0 unknown. Returns what the sink returned.
 */
int emlfs_import_deliver(struct emlfs_import *im, const char *position, uint32_t flags,
                         int64_t time_sec);

/* A directory: its descriptor and the names in it, sorted by bytes. */
struct emlfs_import_dir {
    int fd;
    struct emlfs_buf names; /* type byte, name, NUL, ... */
    size_t *offsets;        /* of the type byte, in order of names */
    size_t count;
    size_t cap;
};

/* name relative to parent_fd (AT_FDCWD with follow for the root, which may be a link). */
int emlfs_import_dir_open(struct emlfs_import *im, int parent_fd, const char *name, bool follow,
                          struct emlfs_import_dir *ret);
void emlfs_import_dir_close(struct emlfs_import_dir *dir);
static inline const char *emlfs_import_dir_name(const struct emlfs_import_dir *dir, size_t i)
{
    return (const char *)dir->names.data + dir->offsets[i] + 1;
}
/* DT_REG, DT_DIR, DT_LNK, ...; never DT_UNKNOWN for something that still exists. */
static inline unsigned char emlfs_import_dir_type(const struct emlfs_import_dir *dir, size_t i)
{
    return dir->names.data[dir->offsets[i]];
}
bool emlfs_import_dir_has(const struct emlfs_import_dir *dir, const char *name);

/* Open a regular file for reading without changing its access time where permitted.
 * The descriptor, or -errno; -EINVAL when it is not a regular file. */
int emlfs_import_open(struct emlfs_import *im, int dir_fd, const char *name, bool follow,
                      struct stat *ret_st);
/* Called before entry i is read: asks the kernel for a file some entries ahead, so that a cold disk
 * works on many at once. Nothing is said when that fails: it only costs time. */
void emlfs_import_read_ahead(struct emlfs_import *im, const struct emlfs_import_dir *dir, size_t i);
/* The whole file into im->raw. -EFBIG over the maximum, -EAGAIN when it changed meanwhile. */
int emlfs_import_read(struct emlfs_import *im, int fd, const struct stat *st);
/* Sum of file sizes below dir, for progress; only counts when somebody watches. */
void emlfs_import_measure(struct emlfs_import *im, const struct emlfs_import_dir *dir);

/* Not mail by nature: indexes, control files and litter of mail programs. */
bool emlfs_import_is_litter(const char *name);
bool emlfs_import_is_litter_dir(const char *name);
/* What the file system calls the thing at path: last component of its real path. */
void emlfs_import_base_name(const char *path, char *ret_name, size_t size);

/* eml.c: the smart walk below an open directory. */
int emlfs_eml_walk(struct emlfs_import *im, const struct emlfs_import_dir *dir);

/* maildir.c */
bool emlfs_maildir_is(const struct emlfs_import_dir *dir);
int emlfs_maildir_walk(struct emlfs_import *im, const struct emlfs_import_dir *dir);
/* Decode one folder name of a Maildir (modified UTF-7, or taken as it is). -ENOMEM, -E2BIG. */
int emlfs_maildir_decode_name(const char *name, struct emlfs_buf *out);
/* Flags and time of a file name; 0 when the name has none. */
uint32_t emlfs_maildir_flags(const char *name, bool *ret_keywords);
int64_t emlfs_maildir_time(const char *name);

/* utf7.c: RFC 3501 5.1.3. -EILSEQ when text is not valid modified UTF-7. */
int emlfs_utf7_decode(const char *text, struct emlfs_buf *out);
bool emlfs_utf8_valid(struct emlfs_span text);

extern const struct emlfs_importer emlfs_importer_eml;
extern const struct emlfs_importer emlfs_importer_maildir;
extern const struct emlfs_importer emlfs_importer_mbox;

/* What an importer does with a source that is a directory, and with one that is a file. */
struct emlfs_import_kind {
    int (*dir)(struct emlfs_import *im, const struct emlfs_import_dir *dir);
    int (*file)(struct emlfs_import *im, int fd, const struct stat *st);
};
/* Open path and hand it on; what is opened is closed again. -errno, or what the kind returned. */
int emlfs_import_source(struct emlfs_import *im, const char *path,
                        const struct emlfs_import_kind *kind, struct emlfs_err *err);

#endif
