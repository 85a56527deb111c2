/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The directory of the spool: which files lie there, and their numbers. */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "spool_file.h"

#define MODULE SPOOL_MODULE
#define DIGITS 16u
#define NUMBER_MAX UINT64_C(9999999999999999)

int spool_path(const struct emlfs_spool *spool, uint64_t number, const char *suffix,
               char ret[EMLFS_PATH_MAX_BYTES])
{
    char name[64];

    snprintf(name, sizeof(name), "%016" PRIu64 ".spool%s", number, suffix);
    return path_join(ret, EMLFS_PATH_MAX_BYTES, spool->dir, name);
}

uint64_t spool_name_number(const char *name, const char *suffix)
{
    uint64_t number = 0;

    for (unsigned i = 0; i < DIGITS; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(name[i] - '0');
    }
    return strcmp(name + DIGITS, suffix) == 0 ? number : 0;
}

static int left_add(struct emlfs_spool *spool, uint64_t number)
{
    uint64_t *grown = reallocarray(spool->left, spool->left_n + 1, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    spool->left = grown;
    grown[spool->left_n++] = number;
    return 0;
}

static int number_compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static int dir_entry(struct emlfs_spool *spool, int dir_fd, const char *name)
{
    uint64_t number = spool_name_number(name, ".spool");
    uint64_t temp = spool_name_number(name, ".spool.tmp");
    uint64_t next = number + temp + spool_name_number(name, ".spool" SPOOL_ASIDE) + 1;

    if (next > atomic_load(&spool->next)) /* one of the three is not 0, or none */
        atomic_store(&spool->next, next);
    if (temp && unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
        return -errno;
    return number ? left_add(spool, number) : 0;
}

static int dir_scan(struct emlfs_spool *spool)
{
    DIR *dir = opendir(spool->dir);
    struct dirent *entry;
    int rc = dir ? 0 : -errno;

    while (rc == 0) {
        errno = 0;
        entry = readdir(dir);
        if (!entry)
            break;
        rc = dir_entry(spool, dirfd(dir), entry->d_name);
    }
    if (rc == 0 && errno != 0)
        rc = -errno;
    if (dir)
        closedir(dir);
    if (rc == 0 && spool->left_n > 1)
        qsort(spool->left, spool->left_n, sizeof(*spool->left), number_compare);
    return rc;
}

/* The directory may lie there without being durable, from a process that died in between. */
static int dir_make(const struct emlfs_archive *archive, struct emlfs_spool *spool)
{
    int rc = path_join(spool->dir, sizeof(spool->dir), archive->path, "spool");

    if (rc == 0)
        rc = emlfs_os_mkdir(spool->dir, 0700);
    return rc == 0 || rc == -EEXIST ? emlfs_os_sync_dir(archive->path) : rc;
}

int emlfs_spool_open(struct emlfs_archive *archive, struct emlfs_spool **ret, struct emlfs_err *err)
{
    struct emlfs_spool *spool;
    int rc = archive_writable(archive, err);

    if (rc < 0)
        return rc;
    spool = calloc(1, sizeof(*spool));
    if (!spool)
        return emlfs_err_sys(err, ENOMEM, MODULE, "the spool cannot be opened");
    atomic_init(&spool->refs, 1);
    atomic_init(&spool->next, 1);
    rc = keys_spool(&archive->keys, &spool->key);
    if (rc == 0)
        rc = dir_make(archive, spool);
    if (rc == 0)
        rc = dir_scan(spool);
    if (rc == 0)
        *ret = spool;
    else
        spool_unref(spool);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "the spool cannot be opened") : 0;
}

void spool_unref(struct emlfs_spool *spool)
{
    if (atomic_fetch_sub(&spool->refs, 1) > 1)
        return;
    emlfs_wipe(&spool->key, sizeof(spool->key));
    free(spool->left);
    free(spool);
}

void emlfs_spool_close(struct emlfs_spool *spool)
{
    if (spool)
        spool_unref(spool);
}

int emlfs_spool_settle(struct emlfs_spool *spool, struct emlfs_err *err)
{
    return emlfs_os_sync_dir(spool->dir) < 0
               ? emlfs_err_set(err, EIO, MODULE,
                               "what was removed from the spool may come back after a power cut")
               : 0;
}

static int file_create(struct emlfs_spool *spool, uint64_t number, struct emlfs_span meta,
                       struct emlfs_spool_file **ret)
{
    struct emlfs_spool_file *file = NULL;
    char path[EMLFS_PATH_MAX_BYTES];
    int fd, rc = spool_path(spool, number, "", path);

    if (rc < 0)
        return rc;
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    rc = spool_file_new(spool, number, fd, &file);
    if (rc == 0)
        rc = emlfs_spool_file_set_meta(file, meta, NULL);
    if (rc == 0) {
        *ret = file;
        return 0;
    }
    emlfs_spool_file_close(file);
    (void)unlink(path);
    return rc;
}

int emlfs_spool_create(struct emlfs_spool *spool, struct emlfs_span meta,
                       struct emlfs_spool_file **ret, struct emlfs_err *err)
{
    uint64_t number;
    int rc;

    if (meta.len > EMLFS_SPOOL_META_MAX_BYTES)
        return emlfs_err_set(err, E2BIG, MODULE, "a file's meta part is too long");
    number = atomic_fetch_add(&spool->next, 1);
    rc = number <= NUMBER_MAX ? file_create(spool, number, meta, ret) : -E2BIG;
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "no file can be made in the spool") : 0;
}

/*
 * What cannot be had now, and is not thrown away: what the disk does not give may be given another
 * time, and what a newer format wrote is for that.
 */
static void left_lost(struct emlfs_spool *spool, uint64_t number, int rc,
                      struct emlfs_spool_lost *lost)
{
    char text[128];

    if (rc == -EBADMSG) {
        spool_set_aside(spool, number, lost);
        return;
    }
    snprintf(text, sizeof(text), "spool/%016" PRIu64 ".spool %s", number,
             rc == -EIO ? "cannot be read from the disk: it is kept, and tried with the next mount"
                        : "was written by a newer emlfs, and is left for that");
    spool_lost(lost, text);
}

/* ENOENT: there is nothing to be given under this number. */
static int left_open(struct emlfs_spool *spool, uint64_t number, struct emlfs_spool_file **ret,
                     struct emlfs_spool_lost *lost)
{
    char path[EMLFS_PATH_MAX_BYTES];
    struct stat st;
    int fd, rc = spool_path(spool, number, "", path);

    if (rc < 0)
        return rc;
    if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode))
        return -ENOENT;
    fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = spool_file_load(spool, number, fd, ret);
    if (rc != -ENODATA && rc != -EBADMSG && rc != -EIO && rc != -EPROTONOSUPPORT)
        return rc;
    if (rc != -ENODATA)
        left_lost(spool, number, rc, lost);
    else if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    return -ENOENT;
}

int emlfs_spool_left(struct emlfs_spool *spool, uint64_t after, struct emlfs_spool_file **ret,
                     struct emlfs_spool_lost *lost, struct emlfs_err *err)
{
    for (size_t i = 0; i < spool->left_n; i++) {
        int rc;
        if (spool->left[i] <= after)
            continue;
        rc = left_open(spool, spool->left[i], ret, lost);
        if (rc == 0)
            return 0;
        if (rc != -ENOENT)
            return emlfs_err_sys(err, -rc, MODULE, "file %llu of the spool cannot be opened",
                                 (unsigned long long)spool->left[i]);
    }
    return emlfs_err_set(err, ENOENT, MODULE, "nothing more was left in the spool");
}

int emlfs_spool_reopen(struct emlfs_spool *spool, uint64_t number, struct emlfs_spool_file **ret,
                       struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    int fd, rc = spool_path(spool, number, "", path);

    if (rc == 0) {
        fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        rc = fd < 0 ? -errno : spool_file_load(spool, number, fd, ret);
    }
    if (rc == -ENODATA)
        rc = -EBADMSG;
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "file %llu of the spool cannot be opened",
                                  (unsigned long long)number)
                  : 0;
}
