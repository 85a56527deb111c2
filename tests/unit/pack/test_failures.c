/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pack_test.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "../../../store/pack/format.h"

static void file_take(const struct scene *scene, uint32_t pack_no, struct emlfs_buf *out)
{
    char path[128];
    pack_path(scene, pack_no, path);
    assert_int_equal(emlfs_os_read_file(path, out), 0);
}

/* I9 and P4: no nonce twice under one key, and no two packs with one id. */
static void test_nonces_are_unique(void **state)
{
    struct scene *scene = *state;
    enum { PACKS = 40 };
    uint8_t ids[PACKS][PACK_ID_BYTES];
    struct emlfs_pack_loc loc;
    struct emlfs_pack_writer *writer = writer_open(scene, 4000);
    EMLFS_BUF_CLEANUP struct emlfs_buf file = EMLFS_BUF_INIT(1 << 20);
    do
        assert_int_equal(content_append(scene, writer, 3, &loc), 0);
    while (loc.pack_no < PACKS);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    for (uint32_t pack_no = 1; pack_no <= PACKS; pack_no++) {
        struct pack_header header;
        struct record_header record;
        uint32_t number = 0;
        file_take(scene, pack_no, &file);
        assert_int_equal(emlfs_pack_header_decode(file.data, &header), 0);
        memcpy(ids[pack_no - 1], header.pack_id, PACK_ID_BYTES);
        for (uint32_t other = 1; other < pack_no; other++)
            assert_memory_not_equal(ids[other - 1], header.pack_id, PACK_ID_BYTES);
        for (size_t at = PACK_HEADER_BYTES; at < file.len; number++) {
            assert_int_equal(emlfs_record_header_decode(file.data + at, &record), 0);
            assert_int_equal(record.number, number);
            at += RECORD_EXTRA_BYTES + record.stored_len;
        }
    }
}

static void test_header_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[PACK_HEADER_BYTES];
    struct pack_header header = {.store_no = 7, .pack_no = 99, .pack_id = {1, 2}};
    struct pack_header again;
    emlfs_pack_header_encode(&header, bytes);
    assert_int_equal(emlfs_pack_header_decode(bytes, &again), 0);
    assert_int_equal(again.store_no, 7);
    assert_int_equal(again.pack_no, 99);
    assert_memory_equal(again.pack_id, header.pack_id, PACK_ID_BYTES);
    for (size_t i = 0; i < 32; i++) {
        bytes[i] ^= 0x40;
        int r = emlfs_pack_header_decode(bytes, &again);
        bool number = i >= 12 && i < 20;
        assert_true(number ? r == 0 : r == -EUCLEAN || (i < 10 && r == -EPROTONOSUPPORT));
        bytes[i] ^= 0x40;
    }
}

static void test_number_taken_poisons(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    char path[128];
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    pack_path(scene, 1, path);
    assert_int_equal(emlfs_os_replace_file(path, emlfs_span_str("not ours"), 0600), 0);
    assert_int_equal(content_append(scene, writer, 1, &loc), -EEXIST);
    assert_int_equal(content_append(scene, writer, 1, &loc), -EROFS);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), -EROFS);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), -EROFS);
    EMLFS_BUF_CLEANUP struct emlfs_buf file = EMLFS_BUF_INIT(1 << 20);
    file_take(scene, 1, &file);
    assert_int_equal(file.len, 8); /* nothing was appended to it */
}

/* A write error that is not a lack of space: nothing is tried again, what was synced stays. */
static void test_write_error_poisons(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc locs[3];
    struct emlfs_record record = EMLFS_RECORD_INIT;
    struct emlfs_err err = {0};
    struct rlimit old;
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(content_append(scene, writer, 1, &locs[0]), 0);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct emlfs_pack_end end;
    emlfs_pack_writer_end(writer, &end);
    const struct rlimit tight = {.rlim_cur = end.offset + 10, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = content_append(scene, writer, 2, &locs[1]);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(content_append(scene, writer, 3, &locs[2]), -EROFS);
    assert_int_equal(emlfs_pack_writer_sync(writer, &err), -EROFS);
    assert_int_equal(err.code, EROFS);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), -EROFS);
    assert_int_equal(emlfs_packs_read(scene->packs, locs[0], &record, NULL), 0);
    assert_content(&record, 1);
    emlfs_record_free(&record);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 2);
    assert_int_equal(end.file_bytes, end.offset + 10); /* the torn tail, left for recovery */
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), 0);
}

/* The descriptor that is open on pack 1. */
static int pack_fd_find(const struct scene *scene)
{
    char path[128];
    char link[64];
    char target[160];
    pack_path(scene, 1, path);
    for (int fd = 3; fd < 256; fd++) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, target, sizeof(target) - 1);
        if (n > 0 && (size_t)n == strlen(path) && memcmp(target, path, (size_t)n) == 0)
            return fd;
    }
    return -1;
}

/* A pipe takes the place of the file: it cannot be synced. */
static void test_sync_error_poisons(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    int ends[2];
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(content_append(scene, writer, 1, &loc), 0);
    int fd = pack_fd_find(scene);
    assert_true(fd >= 0);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(dup2(ends[1], fd), fd);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), -EINVAL);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), -EROFS); /* never tried again */
    assert_int_equal(content_append(scene, writer, 2, &loc), -EROFS);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), -EROFS);
    emlfs_os_close(&ends[0]);
    emlfs_os_close(&ends[1]);
}

/* A file system of its own, 64 KiB: only root can make one. */
static bool small_disk_mount(const struct scene *scene)
{
    return geteuid() == 0 && mount("none", scene->dir, "tmpfs", 0, "size=64k,mode=0700") == 0;
}

static void small_disk_unmount(struct scene *scene)
{
    emlfs_packs_close(scene->packs);
    assert_int_equal(umount(scene->dir), 0);
    scene_open(scene);
}

/* Bytes that take up room beside the packs; 0 takes them away. */
static void ballast_set(const struct scene *scene, size_t len)
{
    static const uint8_t zeros[65536];
    char path[128];
    snprintf(path, sizeof(path), "%s/ballast", scene->dir);
    unlink(path);
    if (len == 0)
        return;
    EMLFS_FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, zeros, len), 0);
}

static int noise_append(struct scene *scene, struct emlfs_pack_writer *writer, size_t len,
                        struct emlfs_pack_loc *ret_loc)
{
    static uint8_t noise[65536];
    struct emlfs_packed packed;
    assert_int_equal(emlfs_random(noise, len), 0);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_BLOB, NULL,
                                       emlfs_span_of(noise, len), &packed, NULL),
                     0);
    int r = emlfs_pack_append(writer, &packed, ret_loc, NULL);
    emlfs_packed_free(&packed);
    return r;
}

static void assert_attempt(const struct scene *scene, const struct emlfs_pack_loc *loc,
                           uint32_t attempt)
{
    struct record_header header;
    EMLFS_BUF_CLEANUP struct emlfs_buf file = EMLFS_BUF_INIT(1 << 20);
    file_take(scene, loc->pack_no, &file);
    assert_int_equal(emlfs_record_header_decode(file.data + loc->offset, &header), 0);
    assert_int_equal(header.number, loc->number);
    assert_int_equal(header.attempt, attempt);
}

static void full_disk_run(struct scene *scene)
{
    struct emlfs_pack_loc loc;
    struct emlfs_pack_end before;
    struct emlfs_pack_end after;
    struct emlfs_record record = EMLFS_RECORD_INIT;
    uint64_t bytes;
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(noise_append(scene, writer, 30000, &loc), 0);
    emlfs_pack_writer_end(writer, &before);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(noise_append(scene, writer, 60000, &loc), -ENOSPC);
        emlfs_pack_writer_end(writer, &after);
        assert_memory_equal(&before.chain, &after.chain, sizeof(before.chain));
        assert_int_equal(emlfs_packs_size(scene->packs, 1, &bytes), 0);
        assert_int_equal(bytes, before.offset); /* nothing of it stays */
    }
    /* the next one fits, under the same number and another nonce */
    assert_int_equal(content_append(scene, writer, 7, &loc), 0);
    assert_int_equal(loc.number, before.count);
    assert_int_equal(loc.offset, before.offset);
    assert_attempt(scene, &loc, 2);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), 0);
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, NULL), 0);
    assert_content(&record, 7);
    emlfs_record_free(&record);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &after, NULL), 0);
    assert_true(after.sealed);
    assert_int_equal(after.count, 4);
}

static void test_full_disk(void **state)
{
    struct scene *scene = *state;
    if (!small_disk_mount(scene))
        skip();
    scene_reopen(scene);
    full_disk_run(scene);
    small_disk_unmount(scene);
}

/* No room for the first record of a pack: no file stays, and later the same number is used. */
static void test_full_disk_at_begin(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    uint64_t bytes;
    if (!small_disk_mount(scene))
        skip();
    scene_reopen(scene);
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    ballast_set(scene, 65536);
    assert_int_equal(content_append(scene, writer, 1, &loc), -ENOSPC);
    assert_int_equal(emlfs_packs_size(scene->packs, 1, &bytes), -ENOENT);
    ballast_set(scene, 0);
    assert_int_equal(content_append(scene, writer, 1, &loc), 0);
    assert_int_equal(loc.pack_no, 1);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    small_disk_unmount(scene);
}

/* No room for the seal: the pack ends without one, its records are whole, the caller is told. */
static void test_full_disk_at_close(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    struct emlfs_pack_end end;
    if (!small_disk_mount(scene))
        skip();
    scene_reopen(scene);
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    /* ends 16 bytes before a page does: a page is what tmpfs hands out */
    const size_t used = PACK_HEADER_BYTES + 2 * RECORD_EXTRA_BYTES + OPEN_PAYLOAD_BYTES;
    assert_int_equal(noise_append(scene, writer, 16384 - 16 - used, &loc), 0);
    ballast_set(scene, 65536 - 16384);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), -ENOSPC);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 2);
    assert_int_equal(end.file_bytes, end.offset);
    assert_false(end.sealed);
    small_disk_unmount(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_nonces_are_unique),    cmocka_unit_test(test_header_round_trip),
        IN_SCENE(test_number_taken_poisons), IN_SCENE(test_write_error_poisons),
        IN_SCENE(test_sync_error_poisons),   IN_SCENE(test_full_disk),
        IN_SCENE(test_full_disk_at_begin),   IN_SCENE(test_full_disk_at_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
