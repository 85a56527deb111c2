/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_ERR_H
#define EMLFS_BASE_ERR_H

#include <errno.h>
#include <stddef.h>

/*
 * Errors. Every function that can fail returns 0 (or a count) or a negative errno; the words for a
 * person go into a caller-owned struct emlfs_err, which may be NULL when nobody will read them.
 *
 * errno       meaning everywhere in emlfs
 * EBADMSG     authentication tag or hash does not match: damaged or altered
 * EUCLEAN     authentic, but impossible structure
 * EPROTONOSUPPORT  written by a newer format
 * ENOKEY      no key slot opens the archive
 * EILSEQ      not a mail message, or not valid text
 * E2BIG       over a documented limit
 * EROFS       the archive or store takes no more writes
 * EBUSY       another process owns the archive (never leaves the mount)
 * EEXIST, ENOENT, EACCES, EPERM, EINVAL, ENOSPC, EIO, ENOMEM, ECANCELED: as in POSIX
 */
struct emlfs_err {
    int code;        /* positive errno, 0 when nothing failed */
    char module[16]; /* who speaks: "pack", "catalog", ... */
    char text[512];  /* one impersonal line, no newline, escaped for a terminal */
};

/*
 * Fill *err (if not NULL) and return -code. Control characters in the result are replaced by '?'.
 * code: positive errno. Thread-safe for distinct err. Never fails; long text is cut.
 */
int emlfs_err_set(struct emlfs_err *err, int code, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* As emlfs_err_set, with ": <strerror(code)>" appended. */
int emlfs_err_sys(struct emlfs_err *err, int code, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
