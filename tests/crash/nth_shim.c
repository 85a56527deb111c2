/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LD_PRELOAD shim: the Nth call that changes files below one directory fails, or the process dies
 * there. Calls are counted in a shared file, so the count covers all threads and child processes,
 * survives the death of the process, and tells afterwards whether and where the fault struck.
 *
 * EMLFS_NTH_DIR    directory whose files are watched (absolute, resolved)
 * EMLFS_NTH_STATE  file of at least 8192 bytes, zeroed, outside that directory
 * EMLFS_NTH_N      which call fails; 0: none, only count
 * EMLFS_NTH_MODE   eio     the call fails with EIO
 *                  emfile  an open fails with EMFILE
 *                  enospc  this call and all later ones that need space fail with ENOSPC
 *                  short   a write stores half of its bytes and says so
 *                  kill    the process gets SIGKILL instead of the call
 *
 * Only calls that the mode can hit are counted: N in 1...count always strikes in an equal run.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    CALL_OPEN = 1,
    CALL_CREATE = 2,
    CALL_WRITE = 4,
    CALL_SYNC = 8,
    CALL_NAME = 16,
    CALL_CUT = 32
};
enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SHORT };

/* The first bytes are read by nth.py: count, fired (u64 each, native), then text. */
struct shared {
    _Atomic uint64_t count;
    _Atomic uint64_t fired;
    char text[PATH_MAX + 64];
};

struct mode {
    const char *name;
    int error;
    unsigned calls;
    bool sticky;
};

static const struct mode modes[] = {
    {"eio", EIO, 63, false},
    {"emfile", EMFILE, CALL_OPEN | CALL_CREATE, false},
    {"enospc", ENOSPC, CALL_CREATE | CALL_WRITE, true},
    {"short", 0, CALL_WRITE, false},
    {"kill", 0, 63, false},
};

#define FD_MAX 4096
static struct {
    struct shared *shared;
    const struct mode *mode;
    uint64_t n;
    size_t dir_len;
    char dir[PATH_MAX];
    _Atomic bool watched[FD_MAX];
} shim;

__attribute__((constructor)) static void shim_start(void)
{
    const char *dir = getenv("EMLFS_NTH_DIR");
    const char *state = getenv("EMLFS_NTH_STATE");
    const char *n = getenv("EMLFS_NTH_N");
    const char *mode = getenv("EMLFS_NTH_MODE");
    if (!dir || !state || !n || !mode)
        return;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(modes[i].name, mode) == 0)
            shim.mode = &modes[i];
    }
    int fd = open(state, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *at = mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at == MAP_FAILED)
        return;
    snprintf(shim.dir, sizeof(shim.dir), "%s", dir);
    shim.dir_len = strlen(shim.dir);
    shim.n = strtoull(n, NULL, 10);
    shim.shared = at;
}

static bool path_watched(int dir_fd, const char *path)
{
    char full[PATH_MAX * 2] = "";
    if (!shim.shared || !path)
        return false;
    if (path[0] != '/') {
        if (dir_fd >= 0 && dir_fd < FD_MAX)
            return atomic_load(&shim.watched[dir_fd]);
        char cwd[PATH_MAX];
        if (!getcwd(cwd, sizeof(cwd)))
            return false;
        snprintf(full, sizeof(full), "%s/%s", cwd, path);
        path = full;
    }
    return strncmp(path, shim.dir, shim.dir_len) == 0 &&
           (path[shim.dir_len] == '/' || path[shim.dir_len] == '\0');
}

static bool fd_watched(int fd)
{
    return shim.shared && fd >= 0 && fd < FD_MAX && atomic_load(&shim.watched[fd]);
}

static void fd_set_watched(int fd, bool watched)
{
    if (fd >= 0 && fd < FD_MAX)
        atomic_store(&shim.watched[fd], watched);
}

static void shim_record(uint64_t number, const char *call, const char *path, int fd)
{
    char link[64];
    char target[PATH_MAX] = "?";
    if (!path) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        path = target;
    }
    snprintf(shim.shared->text, sizeof(shim.shared->text), "%s %s", call, path);
    atomic_store(&shim.shared->fired, number);
}

/* Count this call and decide what becomes of it; errno is set for VERDICT_FAIL. */
static enum verdict shim_judge(unsigned kind, const char *call, const char *path, int fd)
{
    if (!shim.mode || !(shim.mode->calls & kind))
        return VERDICT_PASS;
    uint64_t number = atomic_fetch_add(&shim.shared->count, 1) + 1;
    if (shim.n == 0 || number < shim.n || (number > shim.n && !shim.mode->sticky))
        return VERDICT_PASS;
    if (number == shim.n)
        shim_record(number, call, path, fd);
    if (shim.mode->error) {
        errno = shim.mode->error;
        return VERDICT_FAIL;
    }
    if (kind == CALL_WRITE && strcmp(shim.mode->name, "short") == 0)
        return VERDICT_SHORT;
    raise(SIGKILL);
    return VERDICT_PASS;
}

#define REAL(name) ((__typeof__(&name))shim_next(#name))

static void *shim_next(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}

static int shim_openat(int dir_fd, const char *path, int flags, mode_t mode)
{
    bool watched = path_watched(dir_fd, path);
    unsigned kind = flags & (O_CREAT | O_TRUNC) ? CALL_CREATE : CALL_OPEN;
    if (watched && shim_judge(kind, "open", path, -1) == VERDICT_FAIL)
        return -1;
    int fd = REAL(openat)(dir_fd, path, flags, mode);
    fd_set_watched(fd, watched);
    return fd;
}

static mode_t mode_argument(int flags, va_list args)
{
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN_BODY(dir_fd)                                                                          \
    va_list args;                                                                                  \
    va_start(args, flags);                                                                         \
    mode_t mode = mode_argument(flags, args);                                                      \
    va_end(args);                                                                                  \
    return shim_openat(dir_fd, path, flags, mode)

int open(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int open64(const char *path, int flags, ...)
{
    OPEN_BODY(AT_FDCWD);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    OPEN_BODY(dir_fd);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
    OPEN_BODY(dir_fd);
}

/* What fortified callers of open without a mode reach. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir_fd, const char *path, int flags);
int __openat64_2(int dir_fd, const char *path, int flags);

int __open_2(const char *path, int flags)
{
    return shim_openat(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
    return shim_openat(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir_fd, const char *path, int flags)
{
    return shim_openat(dir_fd, path, flags, 0);
}

int __openat64_2(int dir_fd, const char *path, int flags)
{
    return shim_openat(dir_fd, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
    return shim_openat(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}

FILE *fopen(const char *path, const char *mode)
{
    bool watched = path_watched(AT_FDCWD, path);
    unsigned kind = mode[0] == 'r' && !strchr(mode, '+') ? CALL_OPEN : CALL_CREATE;
    if (watched && shim_judge(kind, "fopen", path, -1) == VERDICT_FAIL)
        return NULL;
    FILE *file = REAL(fopen)(path, mode);
    if (file)
        fd_set_watched(fileno(file), watched);
    return file;
}

int close(int fd)
{
    fd_set_watched(fd, false);
    return REAL(close)(fd);
}

/* How much of len a write may store: len, half of it, or SIZE_MAX for failure. */
static size_t write_share(int fd, const char *call, size_t len)
{
    if (!fd_watched(fd))
        return len;
    enum verdict verdict = shim_judge(CALL_WRITE, call, NULL, fd);
    if (verdict == VERDICT_FAIL)
        return SIZE_MAX;
    return verdict == VERDICT_SHORT && len > 1 ? len / 2 : len;
}

ssize_t write(int fd, const void *data, size_t len)
{
    size_t share = write_share(fd, "write", len);
    return share == SIZE_MAX ? -1 : REAL(write)(fd, data, share);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    size_t share = write_share(fd, "pwrite", len);
    return share == SIZE_MAX ? -1 : REAL(pwrite64)(fd, data, share, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    size_t share = write_share(fd, "pwrite", len);
    return share == SIZE_MAX ? -1 : REAL(pwrite64)(fd, data, share, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int n)
{
    size_t share = write_share(fd, "writev", 2);
    if (share == SIZE_MAX)
        return -1;
    return share == 2 ? REAL(writev)(fd, parts, n) : REAL(writev)(fd, parts, 1);
}

ssize_t pwritev(int fd, const struct iovec *parts, int n, off_t offset)
{
    size_t share = write_share(fd, "pwritev", 2);
    if (share == SIZE_MAX)
        return -1;
    return REAL(pwritev64)(fd, parts, share == 2 ? n : 1, offset);
}

ssize_t pwritev64(int fd, const struct iovec *parts, int n, off64_t offset)
{
    size_t share = write_share(fd, "pwritev", 2);
    if (share == SIZE_MAX)
        return -1;
    return REAL(pwritev64)(fd, parts, share == 2 ? n : 1, offset);
}

/* True when the call on a watched descriptor or path is to fail (errno is set). */
static bool fd_fails(unsigned kind, const char *call, int fd)
{
    return fd_watched(fd) && shim_judge(kind, call, NULL, fd) == VERDICT_FAIL;
}

static bool path_fails(unsigned kind, const char *call, int dir_fd, const char *path)
{
    return path_watched(dir_fd, path) && shim_judge(kind, call, path, -1) == VERDICT_FAIL;
}

int fsync(int fd)
{
    return fd_fails(CALL_SYNC, "fsync", fd) ? -1 : REAL(fsync)(fd);
}

int fdatasync(int fd)
{
    return fd_fails(CALL_SYNC, "fdatasync", fd) ? -1 : REAL(fdatasync)(fd);
}

int ftruncate(int fd, off_t size)
{
    return fd_fails(CALL_CUT, "ftruncate", fd) ? -1 : REAL(ftruncate64)(fd, size);
}

int ftruncate64(int fd, off64_t size)
{
    return fd_fails(CALL_CUT, "ftruncate", fd) ? -1 : REAL(ftruncate64)(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fd_fails(CALL_WRITE, "fallocate", fd) ? -1 : REAL(fallocate64)(fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fd_fails(CALL_WRITE, "fallocate", fd) ? -1 : REAL(fallocate64)(fd, mode, offset, len);
}

int rename(const char *from, const char *to)
{
    return path_fails(CALL_NAME, "rename", AT_FDCWD, to) ? -1 : REAL(rename)(from, to);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return path_fails(CALL_NAME, "rename", to_fd, to) ? -1
                                                      : REAL(renameat)(from_fd, from, to_fd, to);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
    return path_fails(CALL_NAME, "rename", to_fd, to)
               ? -1
               : REAL(renameat2)(from_fd, from, to_fd, to, flags);
}

int unlink(const char *path)
{
    return path_fails(CALL_NAME, "unlink", AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
    return path_fails(CALL_NAME, "unlink", dir_fd, path) ? -1 : REAL(unlinkat)(dir_fd, path, flags);
}

int rmdir(const char *path)
{
    return path_fails(CALL_NAME, "rmdir", AT_FDCWD, path) ? -1 : REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode)
{
    return path_fails(CALL_CREATE, "mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, mode);
}

int mkdirat(int dir_fd, const char *path, mode_t mode)
{
    return path_fails(CALL_CREATE, "mkdir", dir_fd, path) ? -1 : REAL(mkdirat)(dir_fd, path, mode);
}

int link(const char *from, const char *to)
{
    return path_fails(CALL_NAME, "link", AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}
