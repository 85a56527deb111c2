/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_PACK_TEST_H
#define EMLFS_TESTS_UNIT_PACK_TEST_H

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/base/os.h"
#include "emlfs/pack.h"
#include "scratch.h"

/* What the pack tests share: an empty directory with packs opened on it, and record contents. */

struct scene {
    char dir[64];
    struct emlfs_packs *packs;
    struct emlfs_packer *packer;
};

static inline void scene_open(struct scene *scene)
{
    struct emlfs_packs_config config = {
        .dir = scene->dir, .store_key = {.v = {4, 2}}, .store_no = 3};
    assert_int_equal(emlfs_packs_open(&config, &scene->packs, NULL), 0);
}

/* Forget every open descriptor, as another process would see the files. */
static inline void scene_reopen(struct scene *scene)
{
    emlfs_packs_close(scene->packs);
    scene_open(scene);
}

static inline int scene_make(void **state)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    if (!scene)
        return -1;
    snprintf(scene->dir, sizeof(scene->dir), "%s/emlfs-test-pack-XXXXXX", scratch_dir());
    if (!mkdtemp(scene->dir) || emlfs_packer_new(3, &scene->packer) < 0)
        return -1;
    scene_open(scene);
    *state = scene;
    return 0;
}

static inline void dir_empty(const char *path)
{
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
}

static inline int scene_remove(void **state)
{
    struct scene *scene = *state;
    emlfs_packs_close(scene->packs);
    emlfs_packer_free(scene->packer);
    dir_empty(scene->dir);
    int r = rmdir(scene->dir);
    free(scene);
    return r;
}

#define IN_SCENE(test) cmocka_unit_test_setup_teardown(test, scene_make, scene_remove)

static inline void pack_path(const struct scene *scene, uint32_t pack_no, char ret_path[128])
{
    snprintf(ret_path, 128, "%s/%08u.pack", scene->dir, pack_no);
}

/* Content of record number: text of some hundred bytes, every fifth one noise. */
static inline void content_make(uint32_t number, struct emlfs_buf *out)
{
    uint32_t noise = number * 2654435761u + 1;
    char line[64];
    emlfs_buf_clear(out);
    for (uint32_t i = 0; i < 20 + number % 50; i++) {
        noise = noise * 1664525u + 1013904223u;
        snprintf(line, sizeof(line), "line %u of message %u\r\n", i, number);
        if (number % 5 == 0)
            assert_int_equal(emlfs_buf_append_u32le(out, noise), 0);
        else
            assert_int_equal(emlfs_buf_append(out, line, strlen(line)), 0);
    }
}

static inline int content_append(struct scene *scene, struct emlfs_pack_writer *writer,
                                 uint32_t number, struct emlfs_pack_loc *ret_loc)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf plain = EMLFS_BUF_INIT(1 << 20);
    struct emlfs_packed packed;
    content_make(number, &plain);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL,
                                       emlfs_buf_view(&plain), &packed, NULL),
                     0);
    int r = emlfs_pack_append(writer, &packed, ret_loc, NULL);
    emlfs_packed_free(&packed);
    return r;
}

static inline void assert_content(const struct emlfs_record *record, uint32_t number)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf expected = EMLFS_BUF_INIT(1 << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf plain = EMLFS_BUF_INIT(1 << 20);
    content_make(number, &expected);
    assert_int_equal(emlfs_record_plain(record, NULL, SIZE_MAX, &plain, NULL), 0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&plain), emlfs_buf_view(&expected)));
}

static inline struct emlfs_pack_writer *writer_open(struct scene *scene, uint64_t max_bytes)
{
    struct emlfs_pack_writer *writer = NULL;
    assert_int_equal(emlfs_pack_writer_new(scene->packs, max_bytes, NULL, &writer, NULL), 0);
    return writer;
}

/* One closed pack with the contents 0...count-1. */
static inline void pack_write(struct scene *scene, uint32_t count, struct emlfs_pack_loc *ret_locs)
{
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    struct emlfs_pack_loc loc;
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(content_append(scene, writer, i, ret_locs ? &ret_locs[i] : &loc), 0);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
}

#endif
