/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where things lie in an archive, and the file lists that vouch for a closed catalogue. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "internal.h"

#define MODULE "archive"
#define SUMS_MAX_BYTES (1u << 20)
#define READ_BYTES (64u << 10)

int path_join(char *out, size_t size, const char *a, const char *b)
{
    int n = snprintf(out, size, "%s/%s", a, b);

    return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

/* Store directories are NNNNN-YYYY-MM: the number decides, the month is for people. */
static uint16_t store_number(const char *name)
{
    char *end;
    unsigned long no = strtoul(name, &end, 10);

    return end == name + 5 && *end == '-' && no >= 1 && no <= EMLFS_STORES_MAX ? (uint16_t)no : 0;
}

static int store_compare(const void *a, const void *b)
{
    const struct store_dir *x = a, *y = b;

    return (int)x->no - (int)y->no;
}

static int stores_collect(DIR *dir, const char *root, struct store_dir **ret, unsigned *ret_n)
{
    struct dirent *entry;
    int rc = 0;

    while (rc == 0 && (entry = readdir(dir))) {
        uint16_t no = store_number(entry->d_name);
        struct store_dir *grown;
        if (no == 0)
            continue;
        grown = reallocarray(*ret, *ret_n + 1u, sizeof(*grown));
        if (!grown)
            return -ENOMEM;
        *ret = grown;
        grown[*ret_n].no = no;
        rc = path_join(grown[(*ret_n)++].path, EMLFS_PATH_MAX_BYTES, root, entry->d_name);
    }
    return rc;
}

int layout_stores(const char *archive_path, struct store_dir **ret, unsigned *ret_n,
                  struct emlfs_err *err)
{
    char root[EMLFS_PATH_MAX_BYTES];
    DIR *dir;
    int rc = path_join(root, sizeof(root), archive_path, "stores");

    *ret = NULL;
    *ret_n = 0;
    dir = rc == 0 ? opendir(root) : NULL;
    if (!dir)
        return emlfs_err_sys(err, errno, MODULE, "%s", root);
    rc = stores_collect(dir, root, ret, ret_n);
    closedir(dir);
    if (rc < 0) {
        free(*ret);
        *ret = NULL;
        return emlfs_err_sys(err, -rc, MODULE, "%s", root);
    }
    qsort(*ret, *ret_n, sizeof(**ret), store_compare);
    for (unsigned i = 1; i < *ret_n; i++) {
        if ((*ret)[i].no == (*ret)[i - 1].no)
            return emlfs_err_set(err, EUCLEAN, MODULE, "%s and %s are the same store",
                                 (*ret)[i - 1].path, (*ret)[i].path);
    }
    return 0;
}

/* Durable before it gets its name: a store directory that exists is whole. */
static int store_prepare(const char *root, const char *path)
{
    char made[EMLFS_PATH_MAX_BYTES], packs[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(made, sizeof(made), root, "new");

    if (rc == 0)
        rc = path_join(packs, sizeof(packs), made, "packs");
    if (rc == 0)
        rc = emlfs_os_mkdir(made, 0700);
    if (rc == 0 || rc == -EEXIST) /* one that a crash left is as good */
        rc = emlfs_os_mkdir(packs, 0700);
    if (rc == 0 || rc == -EEXIST)
        rc = emlfs_os_sync_dir(made);
    if (rc == 0 && rename(made, path) < 0)
        rc = -errno;
    return rc < 0 ? rc : emlfs_os_sync_dir(root);
}

int layout_new_store(const char *archive_path, uint16_t no, int64_t now_ns, struct store_dir *ret,
                     struct emlfs_err *err)
{
    time_t now = (time_t)(now_ns / 1000000000);
    char root[EMLFS_PATH_MAX_BYTES], name[32];
    struct tm tm;
    int rc = path_join(root, sizeof(root), archive_path, "stores");

    gmtime_r(&now, &tm);
    snprintf(name, sizeof(name), "%05u-%04d-%02d", no, (tm.tm_year + 1900) % 10000,
             (tm.tm_mon + 1) % 100);
    ret->no = no;
    if (rc == 0)
        rc = path_join(ret->path, sizeof(ret->path), root, name);
    if (rc == 0)
        rc = store_prepare(root, ret->path);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "store %s cannot be made", ret->path) : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void layout_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static int file_hash(const char *path, struct emlfs_hash *ret)
{
    struct emlfs_sha256_ctx *ctx = emlfs_sha256_new();
    int fd EMLFS_FD_CLEANUP = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t *buf = malloc(READ_BYTES);
    ssize_t n = fd < 0 ? -errno : 1;
    int rc;

    if (!ctx || !buf)
        n = -ENOMEM;
    while (n > 0) {
        n = emlfs_os_read_full(fd, buf, READ_BYTES);
        if (n > 0 && emlfs_sha256_update(ctx, emlfs_span_of(buf, (size_t)n)) < 0)
            n = -ENOMEM;
    }
    rc = n < 0 ? (int)n : emlfs_sha256_final(ctx, ret);
    emlfs_sha256_free(ctx);
    free(buf);
    return rc;
}

static int not_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int sum_line(const char *dir, const char *name, struct emlfs_buf *out)
{
    char path[EMLFS_PATH_MAX_BYTES], hex[2 * EMLFS_HASH_BYTES + 1];
    struct emlfs_hash hash;
    int rc = path_join(path, sizeof(path), dir, name);

    if (rc == 0)
        rc = file_hash(path, &hash);
    for (unsigned i = 0; i < EMLFS_HASH_BYTES && rc == 0; i++)
        snprintf(hex + 2 * (size_t)i, 3, "%02x", hash.v[i]);
    if (rc == 0)
        rc = emlfs_buf_append(out, hex, 2 * EMLFS_HASH_BYTES);
    if (rc == 0)
        rc = emlfs_buf_append(out, "  ", 2);
    if (rc == 0)
        rc = emlfs_buf_append(out, name, strlen(name));
    return rc < 0 ? rc : emlfs_buf_append_u8(out, '\n');
}

/* The list as it should be now, ended by its keyed hash. */
static int sums_text(const char *dir, const struct emlfs_key *check, struct emlfs_buf *out)
{
    struct dirent **names = NULL;
    struct emlfs_hash mac;
    char hex[3];
    int n = scandir(dir, &names, not_dots, alphasort);
    int rc = n < 0 ? -errno : 0;

    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = sum_line(dir, names[i]->d_name, out);
        free(names[i]);
    }
    free(names);
    if (rc == 0)
        rc = emlfs_hmac(check, emlfs_buf_view(out), &mac);
    for (unsigned i = 0; i < EMLFS_HASH_BYTES && rc == 0; i++) {
        snprintf(hex, sizeof(hex), "%02x", mac.v[i]);
        rc = emlfs_buf_append(out, hex, 2);
    }
    return rc < 0 ? rc : emlfs_buf_append_u8(out, '\n');
}

static int sums_path(const char *dir, char *ret)
{
    int n = snprintf(ret, EMLFS_PATH_MAX_BYTES, "%s.sum", dir);

    return n < 0 || (size_t)n >= EMLFS_PATH_MAX_BYTES ? -ENAMETOOLONG : 0;
}

int sums_write(const char *dir, const struct emlfs_key *check, struct emlfs_err *err)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(SUMS_MAX_BYTES);
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = sums_path(dir, path);

    if (rc == 0)
        rc = sums_text(dir, check, &text);
    if (rc == 0)
        rc = emlfs_os_replace_file(path, emlfs_buf_view(&text), 0600);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be written", path) : 0;
}

int sums_check(const char *dir, const struct emlfs_key *check, struct emlfs_err *err)
{
    struct emlfs_buf was EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(SUMS_MAX_BYTES);
    struct emlfs_buf is EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(SUMS_MAX_BYTES);
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = sums_path(dir, path);

    if (rc == 0)
        rc = emlfs_os_read_file(path, &was);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = sums_text(dir, check, &is);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "%s cannot be checked", dir);
    if (emlfs_span_equal(emlfs_buf_view(&was), emlfs_buf_view(&is)))
        return 0;
    return emlfs_err_set(err, EBADMSG, MODULE,
                         "%s: a file was changed since the catalogue was closed", dir);
}

int sums_remove(const char *dir)
{
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = sums_path(dir, path);

    if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
        rc = -errno;
    return rc;
}

int sums_there(const char *dir)
{
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = sums_path(dir, path);

    return rc == 0 && access(path, F_OK) < 0 ? -errno : rc;
}
