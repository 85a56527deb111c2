/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One spool file: bytes in any order on top of a log. What changed goes to the log chunk by chunk;
 * a mark says what the file is when all records before it are applied in order.
 *
 * I-SPOOL-1  what a log says is its state at its last mark; a mark and all before it is durable
 *            when sync returns 0
 * I-SPOOL-2  records that an operation wrote and then failed are forgotten before it returns, so no
 *            later mark takes half of it in
 * I-SPOOL-3  DONE is written only behind a mark that is durable: bytes before it that do not open
 *            are damage, not what a crash left
 */
#include "spool_file.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"

static int file_fail(struct emlfs_spool_file *file, int rc, struct emlfs_err *err)
{
    if (rc == -EIO)
        file->failed = true;
    return emlfs_err_sys(err, -rc, SPOOL_MODULE, "file %llu of the spool",
                         (unsigned long long)file->number);
}

static int file_check(const struct emlfs_spool_file *file, struct emlfs_err *err)
{
    return file->failed
               ? emlfs_err_set(err, EIO, SPOOL_MODULE, "file %llu of the spool failed before",
                               (unsigned long long)file->number)
               : 0;
}

static void file_free(struct emlfs_spool_file *file)
{
    if (file->chunk)
        emlfs_wipe(file->chunk, SPOOL_CHUNK_BYTES);
    free(file->chunk);
    emlfs_buf_wipe(&file->meta);
    spool_map_free(&file->map);
    spool_log_free(&file->log);
    emlfs_os_close(&file->fd);
    spool_unref(file->spool);
    free(file);
}

static struct emlfs_spool_file *file_alloc(struct emlfs_spool *spool, uint64_t number, int fd)
{
    struct emlfs_spool_file *file = calloc(1, sizeof(*file));

    if (!file) {
        emlfs_os_close(&fd);
        return NULL;
    }
    atomic_fetch_add(&spool->refs, 1);
    file->spool = spool;
    file->number = number;
    file->fd = fd;
    file->changed = true;
    file->meta = EMLFS_BUF_INIT(EMLFS_SPOOL_META_MAX_BYTES);
    return file;
}

int spool_file_new(struct emlfs_spool *spool, uint64_t number, int fd,
                   struct emlfs_spool_file **ret)
{
    struct emlfs_spool_file *file = file_alloc(spool, number, fd);
    int rc = file ? spool_log_create(&file->log, &spool->key, fd, number) : -ENOMEM;

    if (rc == 0)
        *ret = file;
    else if (file)
        file_free(file);
    return rc;
}

/* Find the last mark; take size and meta from it. */
static int load_mark(struct emlfs_spool_file *file, struct spool_end *ret)
{
    struct spool_record record;
    bool mark = false; /* the record before this one is one */
    int rc;

    while ((rc = spool_log_next(&file->log, &record, file->chunk)) == 0) {
        if (record.kind == SPOOL_MARK || (record.kind == SPOOL_DONE && mark))
            *ret = file->log.end;
        mark = record.kind == SPOOL_MARK;
        if (!mark)
            continue;
        file->marked = true;
        file->size = record.at;
        emlfs_buf_clear(&file->meta);
        rc = emlfs_buf_append(&file->meta, file->chunk, record.len);
        if (rc < 0)
            return rc;
    }
    if (rc == -ENODATA)
        rc = spool_log_done_behind(&file->log);
    return rc < 0 ? rc : rc > 0 ? -EBADMSG : file->marked ? 0 : -ENODATA;
}

static int load_map(struct emlfs_spool_file *file, const struct spool_end *end)
{
    int rc = 0;

    while (rc == 0 && file->log.end.pos < end->pos) {
        const struct spool_end at = file->log.end;
        struct spool_record record;
        rc = spool_log_next(&file->log, &record, NULL);
        if (rc == 0 && record.kind == SPOOL_CHUNK) {
            rc = spool_map_reserve(&file->map, record.at, record.at);
            if (rc == 0)
                spool_map_set(&file->map, record.at,
                              (struct spool_place){at.pos, at.number, record.len});
        } else if (rc == 0 && record.kind == SPOOL_CUT) {
            spool_map_cut(&file->map, record.at);
        }
    }
    spool_map_cut(&file->map, file->size);
    return rc == -ENODATA ? -EBADMSG : rc;
}

static int file_load(struct emlfs_spool_file *file)
{
    struct spool_end begin, end = {0};
    int rc = spool_log_open(&file->log, &file->spool->key, file->fd, file->number);

    file->chunk = malloc(SPOOL_CHUNK_BYTES);
    if (rc == 0 && !file->chunk)
        rc = -ENOMEM;
    if (rc < 0)
        return rc;
    begin = file->log.end;
    rc = load_mark(file, &end);
    if (rc < 0)
        return rc;
    file->log.end = begin;
    return load_map(file, &end);
}

int spool_file_peek(struct emlfs_spool *spool, uint64_t number, int fd,
                    struct emlfs_spool_file **ret)
{
    struct emlfs_spool_file *file = file_alloc(spool, number, fd);
    int rc = file ? file_load(file) : -ENOMEM;

    if (rc == 0)
        *ret = file;
    else if (file)
        file_free(file);
    return rc;
}

int spool_file_load(struct emlfs_spool *spool, uint64_t number, int fd,
                    struct emlfs_spool_file **ret)
{
    struct emlfs_spool_file *file = NULL;
    int rc = spool_file_peek(spool, number, fd, &file);

    if (rc == 0)
        rc = spool_log_back(&file->log, &file->log.end);
    if (rc == 0)
        *ret = file;
    else if (file)
        file_free(file);
    return rc;
}

uint64_t emlfs_spool_file_number(const struct emlfs_spool_file *file)
{
    return file->number;
}

uint64_t emlfs_spool_file_size(const struct emlfs_spool_file *file)
{
    return file->size;
}

struct emlfs_span emlfs_spool_file_meta(const struct emlfs_spool_file *file)
{
    return emlfs_buf_view(&file->meta);
}

int emlfs_spool_file_set_meta(struct emlfs_spool_file *file, struct emlfs_span meta,
                              struct emlfs_err *err)
{
    int rc = file_check(file, err);

    if (rc < 0)
        return rc;
    if (meta.len > EMLFS_SPOOL_META_MAX_BYTES)
        return file_fail(file, -E2BIG, err);
    rc = meta.len > file->meta.len ? emlfs_buf_reserve(&file->meta, meta.len - file->meta.len) : 0;
    if (rc < 0)
        return file_fail(file, rc, err);
    if (meta.len > 0)
        memmove(file->meta.data, meta.data, meta.len);
    file->meta.len = meta.len;
    file->changed = true;
    return 0;
}

/* All of chunk no as the log has it. */
static int chunk_fetch(struct emlfs_spool_file *file, uint64_t no, uint8_t *out)
{
    const struct spool_place place = spool_map_get(&file->map, no);
    const struct spool_end at = {.pos = place.pos, .number = place.number};
    int rc = 0;

    if (place.pos == 0)
        memset(out, 0, SPOOL_CHUNK_BYTES);
    else
        rc = spool_log_chunk(&file->log, &at, no, out);
    if (rc == 0)
        memset(out + place.len, 0, SPOOL_CHUNK_BYTES - place.len);
    return rc;
}

static int chunk_append(struct emlfs_spool_file *file, uint64_t no, struct emlfs_span bytes,
                        struct spool_place *ret)
{
    *ret = (struct spool_place){file->log.end.pos, file->log.end.number, (uint32_t)bytes.len};
    return spool_log_append(&file->log, SPOOL_CHUNK, no, bytes);
}

/* The dirty chunk into the log; what the file holds stays the same. */
static int chunk_flush(struct emlfs_spool_file *file)
{
    uint64_t begin = file->chunk_no * SPOOL_CHUNK_BYTES, len = file->size - begin;
    struct spool_place place;
    int rc;

    if (!file->dirty)
        return 0;
    len = len < SPOOL_CHUNK_BYTES ? len : SPOOL_CHUNK_BYTES;
    rc = spool_map_reserve(&file->map, file->chunk_no, file->chunk_no);
    if (rc == 0)
        rc = chunk_append(file, file->chunk_no, emlfs_span_of(file->chunk, (size_t)len), &place);
    if (rc < 0)
        return rc;
    spool_map_set(&file->map, file->chunk_no, place);
    file->dirty = false;
    return 0;
}

/* The chunk, where it can be read: in memory, or fetched to memory or, when that is dirty, to
 * *scratch. */
static int chunk_view(struct emlfs_spool_file *file, uint64_t no, uint8_t **scratch,
                      const uint8_t **ret)
{
    uint8_t **at = file->dirty ? scratch : &file->chunk;
    int rc;

    *ret = file->chunk;
    if (file->loaded && file->chunk_no == no)
        return 0;
    if (!*at)
        *at = malloc(SPOOL_CHUNK_BYTES);
    if (!*at)
        return -ENOMEM;
    if (!file->dirty)
        file->loaded = false;
    rc = chunk_fetch(file, no, *at);
    if (rc == 0 && !file->dirty) {
        file->loaded = true;
        file->chunk_no = no;
    }
    *ret = *at;
    return rc;
}

ssize_t emlfs_spool_file_pread(struct emlfs_spool_file *file, void *data, size_t len,
                               uint64_t offset, struct emlfs_err *err)
{
    uint8_t *out = data, *scratch = NULL;
    const uint8_t *chunk;
    size_t done = 0;
    int rc = file_check(file, err);

    if (rc < 0)
        return rc;
    if (offset >= file->size)
        return 0;
    len = len < file->size - offset ? len : (size_t)(file->size - offset);
    len = len < SSIZE_MAX ? len : SSIZE_MAX;
    while (rc == 0 && done < len) {
        size_t from = (size_t)((offset + done) % SPOOL_CHUNK_BYTES);
        size_t n = SPOOL_CHUNK_BYTES - from;
        n = n < len - done ? n : len - done;
        rc = chunk_view(file, (offset + done) / SPOOL_CHUNK_BYTES, &scratch, &chunk);
        if (rc == 0)
            memcpy(out + done, chunk + from, n);
        done += n;
    }
    if (scratch)
        emlfs_wipe(scratch, SPOOL_CHUNK_BYTES);
    free(scratch);
    if (rc < 0) /* a sector that cannot be read does not end writing */
        return emlfs_err_sys(err, -rc, SPOOL_MODULE, "file %llu of the spool cannot be read",
                             (unsigned long long)file->number);
    return (ssize_t)done;
}

struct span_write {
    struct emlfs_span data;
    uint64_t offset;
    uint64_t first, last;       /* chunks */
    struct spool_place *places; /* of first ... last - 1 */
    uint8_t *scratch;           /* becomes the chunk in memory */
};

/* Chunk no as it is with the new bytes. */
static int write_merge(struct emlfs_spool_file *file, const struct span_write *write, uint64_t no)
{
    uint64_t begin = no * SPOOL_CHUNK_BYTES, end = write->offset + write->data.len;
    size_t from = write->offset > begin ? (size_t)(write->offset - begin) : 0;
    size_t to = end - begin < SPOOL_CHUNK_BYTES ? (size_t)(end - begin) : SPOOL_CHUNK_BYTES;
    int rc = 0;

    if (from > 0 || to < SPOOL_CHUNK_BYTES) {
        if (file->loaded && file->chunk_no == no)
            memcpy(write->scratch, file->chunk, SPOOL_CHUNK_BYTES);
        else
            rc = chunk_fetch(file, no, write->scratch);
    }
    if (rc == 0)
        memcpy(write->scratch + from, write->data.data + (begin + from - write->offset), to - from);
    return rc;
}

/* All that can fail of a write; the last chunk is left in scratch. */
static int write_append(struct emlfs_spool_file *file, const struct span_write *write)
{
    const struct spool_end start = file->log.end;
    int rc = 0, back;

    for (uint64_t no = write->first; rc == 0 && no <= write->last; no++) {
        rc = write_merge(file, write, no);
        if (rc == 0 && no < write->last)
            rc = chunk_append(file, no, emlfs_span_of(write->scratch, SPOOL_CHUNK_BYTES),
                              &write->places[no - write->first]);
    }
    if (rc < 0 && file->log.end.pos != start.pos) {
        back = spool_log_back(&file->log, &start);
        rc = back < 0 ? back : rc;
    }
    return rc;
}

static void write_adopt(struct emlfs_spool_file *file, struct span_write *write)
{
    uint8_t *old = file->chunk;

    for (uint64_t no = write->first; no < write->last; no++)
        spool_map_set(&file->map, no, write->places[no - write->first]);
    file->chunk = write->scratch;
    file->chunk_no = write->last;
    file->loaded = true;
    write->scratch = old;
}

static int write_chunks(struct emlfs_spool_file *file, struct span_write *write)
{
    int rc = spool_map_reserve(&file->map, write->first, write->last);

    if (rc == 0 && file->chunk_no != write->first)
        rc = chunk_flush(file);
    if (rc < 0)
        return rc;
    write->scratch = malloc(SPOOL_CHUNK_BYTES);
    write->places = calloc((size_t)(write->last - write->first) + 1, sizeof(*write->places));
    rc = write->scratch && write->places ? write_append(file, write) : -ENOMEM;
    if (rc == 0)
        write_adopt(file, write);
    if (write->scratch)
        emlfs_wipe(write->scratch, SPOOL_CHUNK_BYTES);
    free(write->scratch);
    free(write->places);
    return rc;
}

/* Between two syncs; when it does not succeed, the log just stays long. */
static void rewrite_early(struct emlfs_spool_file *file)
{
    if (spool_rewrite_wanted(file) && chunk_flush(file) == 0)
        (void)spool_rewrite(file, false);
}

int emlfs_spool_file_pwrite(struct emlfs_spool_file *file, struct emlfs_span data, uint64_t offset,
                            struct emlfs_err *err)
{
    struct span_write write = {.data = data, .offset = offset};
    uint64_t end;
    int rc = file_check(file, err);

    if (rc < 0 || data.len == 0)
        return rc;
    if (__builtin_add_overflow(offset, data.len, &end) || end > EMLFS_SPOOL_MAX_BYTES)
        return file_fail(file, -EFBIG, err);
    write.first = offset / SPOOL_CHUNK_BYTES;
    write.last = (end - 1) / SPOOL_CHUNK_BYTES;
    if (write.first == write.last && file->loaded && file->chunk_no == write.first)
        memcpy(file->chunk + offset % SPOOL_CHUNK_BYTES, data.data, data.len);
    else
        rc = write_chunks(file, &write);
    if (rc < 0)
        return file_fail(file, rc, err);
    file->dirty = file->changed = true;
    file->size = end > file->size ? end : file->size;
    rewrite_early(file);
    return 0;
}

/* What is in memory, cut to size. */
static void chunk_cut(struct emlfs_spool_file *file, uint64_t size)
{
    uint64_t begin = file->chunk_no * SPOOL_CHUNK_BYTES;

    if (file->loaded && begin >= size)
        file->loaded = file->dirty = false;
    else if (file->loaded && size - begin < SPOOL_CHUNK_BYTES)
        memset(file->chunk + (size - begin), 0, SPOOL_CHUNK_BYTES - (size_t)(size - begin));
}

int emlfs_spool_file_truncate(struct emlfs_spool_file *file, uint64_t size, struct emlfs_err *err)
{
    int rc = file_check(file, err);

    if (rc < 0)
        return rc;
    if (size > EMLFS_SPOOL_MAX_BYTES)
        return file_fail(file, -EFBIG, err);
    if (size < file->size && file->map.live_bytes > 0)
        rc = spool_log_append(&file->log, SPOOL_CUT, size, emlfs_span_of(NULL, 0));
    if (rc < 0)
        return file_fail(file, rc, err);
    if (size < file->size) {
        spool_map_cut(&file->map, size);
        chunk_cut(file, size);
    }
    file->changed = file->changed || size != file->size;
    file->size = size;
    return 0;
}

/* Behind a flush: the mark, and all before it, onto the disk. */
static int sync_log(struct emlfs_spool_file *file)
{
    int rc = spool_log_append(&file->log, SPOOL_MARK, file->size, emlfs_buf_view(&file->meta));

    if (rc < 0)
        return rc;
    if (emlfs_os_fdatasync(file->fd) < 0)
        return -EIO;
    if (!file->named && emlfs_os_sync_dir(file->spool->dir) < 0)
        return -EIO;
    return 0;
}

int emlfs_spool_file_sync(struct emlfs_spool_file *file, struct emlfs_err *err)
{
    int rc = file_check(file, err);

    if (rc < 0 || !file->changed)
        return rc;
    rc = chunk_flush(file);
    if (rc == 0 && (!spool_rewrite_wanted(file) || spool_rewrite(file, true) < 0))
        rc = file->failed ? -EIO : sync_log(file);
    if (rc < 0)
        return file_fail(file, rc, err);
    file->marked = file->named = true;
    file->changed = false;
    /* For telling damage from a crash; the promise does not hang on it. */
    (void)spool_log_append(&file->log, SPOOL_DONE, 0, emlfs_span_of(NULL, 0));
    return 0;
}

void emlfs_spool_file_close(struct emlfs_spool_file *file)
{
    if (file)
        file_free(file);
}

void emlfs_spool_file_set_aside(struct emlfs_spool_file *file, struct emlfs_spool_lost *lost)
{
    spool_set_aside(file->spool, file->number, lost);
    file_free(file);
}

int emlfs_spool_file_remove(struct emlfs_spool_file *file, struct emlfs_err *err)
{
    char path[EMLFS_PATH_MAX_BYTES];
    int rc = spool_path(file->spool, file->number, "", path);

    if (rc == 0 && unlink(path) < 0 && errno != ENOENT)
        rc = -errno;
    if (rc < 0)
        rc = emlfs_err_sys(err, -rc, SPOOL_MODULE, "%s cannot be removed", path);
    file_free(file);
    return rc;
}
