/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/os.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define READ_STEP_BYTES (64u << 10)
#define TRY_FIRST_MS 5u
#define TRY_LONGEST_MS 40u
#define TRY_ALL_MS 1000u

int emlfs_os_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *pos = data;
    while (len > 0) {
        ssize_t n = write(fd, pos, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        pos += n;
        len -= (size_t)n;
    }
    return 0;
}

static bool range_fits(uint64_t offset, size_t len)
{
    uint64_t end;
    return !__builtin_add_overflow(offset, len, &end) && end <= INT64_MAX;
}

int emlfs_os_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
    const uint8_t *pos = data;
    if (!range_fits(offset, len))
        return -EFBIG;
    while (len > 0) {
        ssize_t n = pwrite(fd, pos, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        pos += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t emlfs_os_pread_full(int fd, void *data, size_t len, uint64_t offset)
{
    size_t got = 0;
    if (len > SSIZE_MAX || !range_fits(offset, len))
        return -EINVAL;
    while (got < len) {
        ssize_t n = pread(fd, (uint8_t *)data + got, len - got, (off_t)(offset + got));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

ssize_t emlfs_os_read_full(int fd, void *data, size_t len)
{
    size_t got = 0;
    if (len > SSIZE_MAX)
        return -EINVAL;
    while (got < len) {
        ssize_t n = read(fd, (uint8_t *)data + got, len - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/*
 * A sync that was interrupted before it started may be called again; one that failed may not,
 * because the kernel then has already dropped the dirty pages' error state.
 */
static int fd_sync(int fd, int (*sync_call)(int fd))
{
    int r;
    do
        r = sync_call(fd);
    while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int emlfs_os_fdatasync(int fd)
{
    return fd_sync(fd, fdatasync);
}

int emlfs_os_fsync(int fd)
{
    return fd_sync(fd, fsync);
}

static int file_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd < 0 ? -errno : fd;
}

int emlfs_os_sync_dir(const char *path)
{
    EMLFS_FD_CLEANUP int fd = file_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    return fd_sync(fd, fsync);
}

int emlfs_os_mkdir(const char *path, mode_t mode)
{
    return mkdir(path, mode) < 0 ? -errno : 0;
}

static int parent_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return emlfs_os_sync_dir(".");
    if (slash == path)
        return emlfs_os_sync_dir("/");
    char *parent = strndup(path, (size_t)(slash - path));
    if (!parent)
        return -ENOMEM;
    int r = emlfs_os_sync_dir(parent);
    free(parent);
    return r;
}

static int file_write_new(const char *path, struct emlfs_span content, mode_t mode)
{
    /* A leftover of a crash goes first: its mode and its owner are not ours to trust. */
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    int fd = file_open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
    if (fd < 0)
        return fd;
    int r = emlfs_os_write_all(fd, content.data, content.len);
    if (r == 0)
        r = fd_sync(fd, fsync);
    if (close(fd) < 0 && r == 0 && errno != EINTR)
        r = -errno;
    return r;
}

int emlfs_os_replace_file(const char *path, struct emlfs_span content, mode_t mode)
{
    char *temp = NULL;
    if (asprintf(&temp, "%s.tmp", path) < 0)
        return -ENOMEM;
    int r = file_write_new(temp, content, mode);
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(temp);
    free(temp);
    return r < 0 ? r : parent_sync(path);
}

/* One byte more than the maximum is asked for, so that a file of exactly that size is no error. */
static int file_read_rest(int fd, struct emlfs_buf *buf)
{
    uint8_t probe;
    for (;;) {
        size_t room = buf->max_bytes - buf->len;
        size_t step = room < READ_STEP_BYTES ? room : READ_STEP_BYTES;
        int r = emlfs_buf_reserve(buf, step);
        if (r < 0)
            return r;
        ssize_t n = step ? emlfs_os_read_full(fd, buf->data + buf->len, step)
                         : emlfs_os_read_full(fd, &probe, 1);
        if (n < 0)
            return (int)n;
        if (step == 0)
            return n > 0 ? -EFBIG : 0;
        buf->len += (size_t)n;
        if ((size_t)n < step)
            return 0;
    }
}

int emlfs_os_read_file(const char *path, struct emlfs_buf *buf)
{
    EMLFS_FD_CLEANUP int fd = file_open(path, O_RDONLY, 0);
    emlfs_buf_clear(buf);
    return fd < 0 ? fd : file_read_rest(fd, buf);
}

int64_t emlfs_os_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists and now is ours */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

bool emlfs_os_try_later(unsigned *waited_ms)
{
    unsigned pause_ms = *waited_ms < TRY_FIRST_MS ? TRY_FIRST_MS : *waited_ms;

    if (*waited_ms >= TRY_ALL_MS)
        return false;
    pause_ms = pause_ms > TRY_LONGEST_MS ? TRY_LONGEST_MS : pause_ms;
    *waited_ms += pause_ms;
    struct timespec pause = {.tv_nsec = (long)pause_ms * 1000000};
    while (nanosleep(&pause, &pause) < 0 && errno == EINTR)
        continue;
    return true;
}

void emlfs_os_close(int *fd)
{
    int saved = errno;
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}
