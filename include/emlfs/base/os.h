/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_OS_H
#define EMLFS_BASE_OS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/*
 * The operating system, as the store needs it: whole transfers, EINTR handled, errors as -errno.
 * Every descriptor is opened O_CLOEXEC. None of these retries a failed sync.
 */
int emlfs_os_write_all(int fd, const void *data, size_t len);
int emlfs_os_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);
/* Bytes read, less than len only at end of file; or -errno. */
ssize_t emlfs_os_pread_full(int fd, void *data, size_t len, uint64_t offset);
ssize_t emlfs_os_read_full(int fd, void *data, size_t len);
int emlfs_os_fdatasync(int fd);
/* Also for a directory's descriptor. */
int emlfs_os_fsync(int fd);
/* fsync of a directory, so that a created, renamed or removed name is durable. */
int emlfs_os_sync_dir(const char *path);
int emlfs_os_mkdir(const char *path, mode_t mode);
/* Write path.tmp, fsync, rename over path, fsync the directory: old or new content, never a mix. */
int emlfs_os_replace_file(const char *path, struct emlfs_span content, mode_t mode);
/* The whole file; -EFBIG when longer than buf->max_bytes. */
int emlfs_os_read_file(const char *path, struct emlfs_buf *buf);
/* Monotonic nanoseconds (CLOCK_MONOTONIC): for rates and timeouts only. */
int64_t emlfs_os_monotonic_ns(void);
/*
 * Wait before trying again what cannot be done just now (EAGAIN): 5 ms first, longer each time, one
 * second in all, which *waited_ms (0 at first) adds up. False, at once: that second is over. Not to
 * be called with a lock held.
 */
bool emlfs_os_try_later(unsigned *waited_ms);

void emlfs_os_close(int *fd); /* closes when >= 0, sets -1: for __attribute__((cleanup)) */
#define EMLFS_FD_CLEANUP __attribute__((cleanup(emlfs_os_close)))

#endif
