/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_ARCHIVE_SPOOL_TEST_H
#define EMLFS_TESTS_UNIT_ARCHIVE_SPOOL_TEST_H

#include "life_test.h"

#include "emlfs/spool.h"

/* A spool file beside what it must be: plain bytes in memory. */

#define KIB 1024u
#define CHUNK (64u * KIB)
#define MODEL_MAX (4u * 1024 * KIB)
#define DONE_RECORD 44u

struct model {
    uint8_t *data;
    size_t size;
    uint8_t meta[EMLFS_SPOOL_META_MAX_BYTES];
    size_t meta_len;
};

static inline void model_copy(struct model *to, const struct model *from)
{
    if (!to->data)
        to->data = calloc(1, MODEL_MAX);
    assert_non_null(to->data);
    memcpy(to->data, from->data, MODEL_MAX);
    memcpy(to->meta, from->meta, from->meta_len);
    to->meta_len = from->meta_len;
    to->size = from->size;
}

static inline struct model model_new(void)
{
    struct model model = {.data = calloc(1, MODEL_MAX)};
    assert_non_null(model.data);
    return model;
}

static inline void model_write(struct model *model, struct emlfs_span data, size_t offset)
{
    assert_true(offset + data.len <= MODEL_MAX);
    memcpy(model->data + offset, data.data, data.len);
    if (data.len && offset + data.len > model->size)
        model->size = offset + data.len;
}

static inline void model_truncate(struct model *model, size_t size)
{
    if (size < model->size)
        memset(model->data + size, 0, model->size - size);
    model->size = size;
}

static inline bool file_equals(struct emlfs_spool_file *file, const struct model *model)
{
    static uint8_t bytes[MODEL_MAX + 1];
    struct emlfs_span meta = emlfs_spool_file_meta(file);
    ssize_t n;

    if (emlfs_spool_file_size(file) != model->size ||
        !emlfs_span_equal(meta, emlfs_span_of(model->meta, model->meta_len)))
        return false;
    n = emlfs_spool_file_pread(file, bytes, sizeof(bytes), 0, NULL);
    assert_int_equal(n, model->size);
    return memcmp(bytes, model->data, model->size) == 0;
}

static inline struct emlfs_spool *spool_open(struct life *life)
{
    struct emlfs_spool *spool = NULL;
    struct emlfs_err err = {0};

    if (emlfs_spool_open(life->archive, &spool, &err) < 0)
        fail_msg("%s", err.text);
    return spool;
}

/* A file of its own, by a spool that is closed already. */
static inline struct emlfs_spool_file *file_new(struct life *life)
{
    struct emlfs_spool *spool = spool_open(life);
    struct emlfs_spool_file *file = NULL;

    must(emlfs_spool_create(spool, emlfs_span_of(NULL, 0), &file, NULL));
    emlfs_spool_close(spool);
    return file;
}

/* The first file that was left; NULL: none. */
static inline struct emlfs_spool_file *file_left(struct life *life, uint64_t *lost)
{
    struct emlfs_spool *spool = spool_open(life);
    struct emlfs_spool_file *file = NULL;
    struct emlfs_spool_lost told = {.n = *lost};
    int rc = emlfs_spool_left(spool, 0, &file, &told, NULL);

    *lost = told.n;
    if (rc < 0)
        assert_int_equal(rc, -ENOENT);
    emlfs_spool_close(spool);
    return rc == 0 ? file : NULL;
}

static inline void file_path(const struct life *life, uint64_t number, char ret[256])
{
    snprintf(ret, 256, "%s/spool/%016llu.spool", life->path, (unsigned long long)number);
}

static inline struct emlfs_buf raw_read(const char *path)
{
    struct emlfs_buf raw = EMLFS_BUF_INIT(64u << 20);
    must(emlfs_os_read_file(path, &raw));
    return raw;
}

static inline void raw_write(const char *path, struct emlfs_span bytes)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes.data, 1, bytes.len, out), bytes.len);
    assert_int_equal(fclose(out), 0);
}

static inline size_t raw_size(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

static inline void put(struct emlfs_spool_file *file, struct model *model, struct emlfs_span data,
                       size_t offset)
{
    must(emlfs_spool_file_pwrite(file, data, offset, NULL));
    model_write(model, data, offset);
}

static inline void cut(struct emlfs_spool_file *file, struct model *model, size_t size)
{
    must(emlfs_spool_file_truncate(file, size, NULL));
    model_truncate(model, size);
}

static inline int spool_life_make(void **state)
{
    if (life_make(state) < 0)
        return -1;
    life_init(*state);
    life_open(*state);
    return 0;
}

#endif
