/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The mount table and mount points, and the few programs that are run for them. */
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/os.h"
#include "mount_internal.h"

extern char **environ;

#define MOUNTINFO_MAX_BYTES (16u << 20)

/* A field of mountinfo up to a blank, octal escapes (\040) undone; false when it does not fit. */
static bool field_copy(const char **text, char *out, size_t size)
{
    const char *in = *text;
    size_t n = 0;

    while (*in && *in != ' ' && *in != '\n') {
        char c = *in++;

        if (c == '\\' && in[0] >= '0' && in[0] <= '3' && in[1] >= '0' && in[1] <= '7' &&
            in[2] >= '0' && in[2] <= '7') {
            c = (char)((in[0] - '0') << 6 | (in[1] - '0') << 3 | (in[2] - '0'));
            in += 3;
        }
        if (n + 1 >= size)
            return false;
        out[n++] = c;
    }
    out[n] = '\0';
    *text = *in == ' ' ? in + 1 : in;
    return true;
}

/* Is "ro" one of the words of options? */
static bool options_read_only(const char *options)
{
    for (;;) {
        size_t len = strcspn(options, ",");
        if (len == 2 && memcmp(options, "ro", 2) == 0)
            return true;
        if (options[len] == '\0')
            return false;
        options += len + 1;
    }
}

/*
 * "36 35 98:0 /root /mount/point options [tags...] - type source superoptions" (proc(5)).
 */
static bool line_parse(const char *line, char *point, size_t size, struct mount_entry *ret)
{
    char skip[MOUNT_PATH_MAX];

    if (!field_copy(&line, skip, sizeof(skip)) || !field_copy(&line, skip, sizeof(skip)) ||
        !field_copy(&line, ret->device, sizeof(ret->device)) ||
        !field_copy(&line, skip, sizeof(skip)) || !field_copy(&line, point, size) ||
        !field_copy(&line, skip, sizeof(skip)))
        return false;
    ret->read_only = options_read_only(skip);
    while (strcmp(skip, "-") != 0)
        if (!*line || *line == '\n' || !field_copy(&line, skip, sizeof(skip)))
            return false;
    if (!field_copy(&line, ret->type, sizeof(ret->type)) ||
        !field_copy(&line, ret->source, sizeof(ret->source)) ||
        !field_copy(&line, skip, sizeof(skip)))
        return false;
    ret->super_read_only = options_read_only(skip);
    return true;
}

int mount_table_find_in(const char *text, const char *path, struct mount_entry *ret)
{
    struct mount_entry entry;
    char point[MOUNT_PATH_MAX];
    int rc = -ENOENT;

    for (const char *line = text; line && *line;) {
        if (line_parse(line, point, sizeof(point), &entry) && strcmp(point, path) == 0) {
            *ret = entry; /* a later line lies above an earlier one */
            rc = 0;
        }
        line = strchr(line, '\n');
        if (line)
            line++;
    }
    return rc;
}

int mount_table_find(const char *path, struct mount_entry *ret)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(MOUNTINFO_MAX_BYTES);
    EMLFS_FD_CLEANUP int fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
    ssize_t n;
    int rc = 0;

    if (fd < 0)
        return -errno;
    do {
        rc = emlfs_buf_reserve(&text, 65536);
        if (rc < 0)
            return rc;
        n = emlfs_os_read_full(fd, text.data + text.len, 65536);
        if (n < 0)
            return (int)n;
        text.len += (size_t)n;
    } while (n > 0);
    rc = emlfs_buf_append_u8(&text, 0);
    return rc < 0 ? rc : mount_table_find_in((const char *)text.data, path, ret);
}

bool mount_entry_is_emlfs(const struct mount_entry *entry)
{
    return strcmp(entry->type, "fuse.emlfs") == 0;
}

int mount_fd_of(const char *mountpoint)
{
    const char *digits = mountpoint + strlen("/dev/fd/");
    char *end;
    long fd;

    if (strncmp(mountpoint, "/dev/fd/", strlen("/dev/fd/")) != 0 || !*digits)
        return -1;
    errno = 0;
    fd = strtol(digits, &end, 10);
    return errno || *end || fd < 0 || fd > INT_MAX ? -1 : (int)fd;
}

/* As realpath, but the last component is not asked: its file system does not answer. */
static int resolve_dead(const char *path, char ret[MOUNT_PATH_MAX])
{
    char copy[MOUNT_PATH_MAX], parent[PATH_MAX], name[MOUNT_PATH_MAX];
    size_t len = strlen(path), parent_len, name_len;

    if (len >= sizeof(copy))
        return -ENAMETOOLONG;
    memcpy(copy, path, len + 1);
    name_len = strlen(basename(copy));
    memcpy(name, basename(copy), name_len + 1);
    memcpy(copy, path, len + 1);
    if (!realpath(dirname(copy), parent))
        return -errno;
    parent_len = strcmp(parent, "/") == 0 ? 0 : strlen(parent);
    if (parent_len + name_len + 2 > MOUNT_PATH_MAX)
        return -ENAMETOOLONG;
    memcpy(ret, parent, parent_len);
    ret[parent_len] = '/';
    memcpy(ret + parent_len + 1, name, name_len + 1);
    return 0;
}

/*
 * Does the file system at path still answer? Attributes of the root may come from the kernel's
 * cache when nobody is there any more; statfs is always asked.
 */
static bool answers(const char *path)
{
    struct mount_entry entry;
    struct statvfs st;

    if (mount_table_find(path, &entry) < 0 || !mount_entry_is_emlfs(&entry))
        return true;
    return statvfs(path, &st) == 0 || (errno != ENOTCONN && errno != ECONNABORTED);
}

int mount_point_resolve(const char *path, char ret[MOUNT_PATH_MAX], bool *ret_dead,
                        struct emlfs_err *err)
{
    char found[PATH_MAX];
    struct stat st;
    int rc;

    *ret_dead = false;
    if (realpath(path, found) && stat(found, &st) == 0) {
        if (!S_ISDIR(st.st_mode))
            return emlfs_err_set(err, ENOTDIR, "mount", "%s is not a directory", path);
        memcpy(ret, found, strlen(found) + 1);
        *ret_dead = !answers(found);
        return 0;
    }
    if (errno != ENOTCONN && errno != ECONNABORTED)
        return emlfs_err_sys(err, errno, "mount", "mount point %s", path);
    *ret_dead = true;
    rc = resolve_dead(path, ret);
    return rc < 0 ? emlfs_err_sys(err, -rc, "mount", "mount point %s", path) : 0;
}

int mount_spawn(const char *const argv[], bool quiet)
{
    posix_spawn_file_actions_t actions;
    char *args[8] = {NULL};
    int status, rc;
    pid_t pid;

    for (unsigned i = 0; argv[i] && i < 7; i++) {
        args[i] = strdup(argv[i]);
        if (!args[i])
            return -ENOMEM;
    }
    posix_spawn_file_actions_init(&actions);
    if (quiet)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    rc = posix_spawnp(&pid, args[0], &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    for (unsigned i = 0; args[i]; i++)
        free(args[i]);
    if (rc != 0)
        return -rc;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -ECANCELED;
}

static int detach_fusermount(const char *path, bool lazy, struct emlfs_err *err)
{
    const char *argv[] = {"fusermount3",      "-u", lazy ? "-z" : "--", lazy ? "--" : path,
                          lazy ? path : NULL, NULL};
    int rc = mount_spawn(argv, false);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, "mount", "fusermount3");
    if (rc > 0)
        return emlfs_err_set(err, EBUSY, "mount", "fusermount3 could not unmount %s", path);
    return 0;
}

int mount_detach(const char *path, bool lazy, struct emlfs_err *err)
{
    if (umount2(path, (lazy ? MNT_DETACH : 0) | UMOUNT_NOFOLLOW) == 0)
        return 0;
    if (errno == EPERM && geteuid() != 0)
        return detach_fusermount(path, lazy, err);
    return emlfs_err_sys(err, errno, "mount", "unmounting %s", path);
}
