/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the files tiles/0 to tiles/4. File L is the hashes of tile level L (M2), 32
 * bytes each, in order, so that tile n of 256 hashes is the 8,192 bytes at 8,192 * n.
 *
 * Invariants:
 * T1. A hash is written once its group is about to be; it belongs to the ledger once the group's
 *     records are durable. Bytes behind the counts belong to nothing and are written over.
 * T2. Below the mark's tiles every hash is durable; between that and the end of the records hashes
 *     may be missing after a crash and are made again from the records.
 * T3. A level that was not written since its last sync is not synced again.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

static int tiles_path(const char *dir, unsigned level, char ret_path[LEDGER_PATH_MAX_BYTES])
{
    char name[32];
    snprintf(name, sizeof(name), "tiles/%u", level);
    return ledger_path(dir, name, ret_path);
}

int ledger_tiles_create(const char *dir)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(dir, "tiles", path);
    if (r == 0)
        r = emlfs_os_mkdir(path, 0700);
    if (r == -EEXIST)
        r = 0;
    for (unsigned level = 0; level < TREE_LEVELS && r == 0; level++) {
        r = tiles_path(dir, level, path);
        EMLFS_FD_CLEANUP int fd =
            r < 0 ? -1 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (r == 0)
            r = fd < 0 ? -errno : emlfs_os_fsync(fd);
    }
    if (r == 0)
        r = ledger_path(dir, "tiles", path);
    return r < 0 ? r : emlfs_os_sync_dir(path);
}

int ledger_tiles_open(const char *dir, bool write, struct ledger_tiles *tiles)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = 0;
    *tiles = LEDGER_TILES_INIT;
    for (unsigned level = 0; level < TREE_LEVELS && r == 0; level++) {
        r = tiles_path(dir, level, path);
        if (r == 0)
            tiles->fd[level] = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
        if (r == 0 && tiles->fd[level] < 0)
            r = -errno;
    }
    if (r < 0)
        ledger_tiles_close(tiles);
    return r;
}

void ledger_tiles_close(struct ledger_tiles *tiles)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        emlfs_os_close(&tiles->fd[level]);
}

void ledger_tiles_resize(struct ledger_tiles *tiles, uint64_t size)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        tiles->count[level] = size >> (8 * level);
}

int ledger_tiles_cut(struct ledger_tiles *tiles)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        if (ftruncate(tiles->fd[level], (off_t)(tiles->count[level] * EMLFS_HASH_BYTES)) < 0)
            return -errno;
    return 0;
}

int ledger_tiles_sync(struct ledger_tiles *tiles)
{
    int r = 0;
    for (unsigned level = 0; level < TREE_LEVELS && r == 0; level++) {
        if (!tiles->unsynced[level])
            continue;
        r = emlfs_os_fdatasync(tiles->fd[level]);
        tiles->unsynced[level] = r < 0;
    }
    return r;
}

int ledger_tiles_read(void *arg, unsigned level, uint64_t first, unsigned count,
                      struct emlfs_hash *ret_hashes)
{
    const struct ledger_tiles *tiles = arg;
    size_t len = (size_t)count * EMLFS_HASH_BYTES;
    ssize_t n = emlfs_os_pread_full(tiles->fd[level], ret_hashes, len, first * EMLFS_HASH_BYTES);
    if (n < 0)
        return (int)n;
    return (size_t)n == len ? 0 : -EBADMSG;
}

void ledger_hashes_init(struct ledger_hashes *hashes)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        hashes->level[level] = EMLFS_BUF_INIT((size_t)EMLFS_LEDGER_APPEND_MAX * EMLFS_HASH_BYTES);
}

void ledger_hashes_free(struct ledger_hashes *hashes)
{
    for (unsigned level = 0; level < TREE_LEVELS; level++)
        emlfs_buf_free(&hashes->level[level]);
}

int ledger_hashes_add(struct ledger_hashes *hashes, const struct ledger_done *done)
{
    int r = 0;
    for (unsigned level = 0; level < done->count && r == 0; level++)
        r = emlfs_buf_append(&hashes->level[level], done->v[level].v, EMLFS_HASH_BYTES);
    return r;
}

int ledger_hashes_write(const struct ledger_hashes *hashes, struct ledger_tiles *tiles)
{
    int r = 0;
    for (unsigned level = 0; level < TREE_LEVELS && r == 0; level++) {
        const struct emlfs_buf *buf = &hashes->level[level];
        if (buf->len == 0)
            continue;
        tiles->unsynced[level] = true;
        r = emlfs_os_pwrite_all(tiles->fd[level], buf->data, buf->len,
                                tiles->count[level] * EMLFS_HASH_BYTES);
    }
    return r;
}
