/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A spool file whose log is mostly of bytes that were written over gets a new, shorter log. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "spool_file.h"

#define SLACK_BYTES (4u << 20)
#define TIMES 4u
#define NUMBERS (UINT32_C(1) << 31)

bool spool_rewrite_wanted(const struct emlfs_spool_file *file)
{
    uint64_t length = file->log.end.pos;

    return file->log.end.number > NUMBERS ||
           (length > TIMES * file->map.live_bytes + SLACK_BYTES && length > file->rewrite_at);
}

struct rewrite {
    char path[EMLFS_PATH_MAX_BYTES], temp[EMLFS_PATH_MAX_BYTES];
    int fd;
    struct spool_log log;
    struct spool_map map;
};

static int rewrite_begin(const struct emlfs_spool_file *file, struct rewrite *to)
{
    int rc = spool_path(file->spool, file->number, "", to->path);

    if (rc == 0)
        rc = spool_path(file->spool, file->number, ".tmp", to->temp);
    if (rc == 0 && unlink(to->temp) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc < 0)
        return rc;
    to->fd = open(to->temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (to->fd < 0)
        return -errno;
    return spool_log_create(&to->log, &file->spool->key, to->fd, file->number);
}

static int rewrite_chunks(struct emlfs_spool_file *file, struct rewrite *to)
{
    uint8_t *bytes = malloc(SPOOL_CHUNK_BYTES);
    struct spool_place place;
    uint64_t no = 0;
    int rc = bytes ? 0 : -ENOMEM;

    for (; rc == 0 && spool_map_next(&file->map, &no, &place); no++) {
        const struct spool_end from = {.pos = place.pos, .number = place.number};
        const struct spool_place at = {to->log.end.pos, to->log.end.number, place.len};
        rc = spool_log_chunk(&file->log, &from, no, bytes);
        if (rc == 0)
            rc = spool_map_reserve(&to->map, no, no);
        if (rc == 0)
            rc = spool_log_append(&to->log, SPOOL_CHUNK, no, emlfs_span_of(bytes, place.len));
        if (rc == 0)
            spool_map_set(&to->map, no, at);
    }
    if (bytes)
        emlfs_wipe(bytes, SPOOL_CHUNK_BYTES);
    free(bytes);
    return rc;
}

static int rewrite_log(struct emlfs_spool_file *file, struct rewrite *to, bool mark)
{
    int rc = rewrite_begin(file, to);

    if (rc == 0)
        rc = rewrite_chunks(file, to);
    if (rc == 0 && mark)
        rc = spool_log_append(&to->log, SPOOL_MARK, file->size, emlfs_buf_view(&file->meta));
    if (rc == 0 && mark)
        rc = emlfs_os_fdatasync(to->fd);
    if (rc == 0 && rename(to->temp, to->path) < 0)
        rc = -errno;
    return rc;
}

static void rewrite_free(struct rewrite *rewrite)
{
    spool_log_free(&rewrite->log);
    spool_map_free(&rewrite->map);
    emlfs_os_close(&rewrite->fd);
}

int spool_rewrite(struct emlfs_spool_file *file, bool mark)
{
    struct rewrite to = {.fd = -1};
    int rc = rewrite_log(file, &to, mark);

    if (rc < 0) {
        if (to.fd >= 0)
            (void)unlink(to.temp);
        rewrite_free(&to);
        file->rewrite_at = 2 * file->log.end.pos;
        return rc;
    }
    const struct rewrite old = {.fd = file->fd, .log = file->log, .map = file->map};
    file->fd = to.fd;
    file->log = to.log;
    file->map = to.map;
    file->rewrite_at = 0;
    to = old;
    rewrite_free(&to);
    if (mark && emlfs_os_sync_dir(file->spool->dir) < 0)
        file->failed = true;
    return file->failed ? -EIO : 0;
}
