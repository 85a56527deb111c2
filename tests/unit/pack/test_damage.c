/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pack_test.h"

#include "../../../store/pack/format.h"

/* A small pack, as bytes in memory that a test changes and writes back. */
#define RECORDS 6u
#define PACK_BYTES_MAX 65536u

struct image {
    uint8_t bytes[PACK_BYTES_MAX];
    size_t len;
    struct emlfs_pack_loc locs[RECORDS];
    uint64_t ends[RECORDS + 3]; /* ends[n]: where n whole records end */
};

static int end_note(void *arg, struct emlfs_record *record)
{
    struct image *image = arg;
    image->ends[record->loc.number + 1] = record->next_offset;
    return 0;
}

static void image_take(struct scene *scene, struct image *image)
{
    char path[128];
    struct emlfs_pack_end end;
    EMLFS_BUF_CLEANUP struct emlfs_buf file = EMLFS_BUF_INIT(PACK_BYTES_MAX);
    pack_write(scene, RECORDS, image->locs);
    pack_path(scene, 1, path);
    assert_int_equal(emlfs_os_read_file(path, &file), 0);
    memcpy(image->bytes, file.data, file.len);
    image->len = file.len;
    image->ends[0] = PACK_HEADER_BYTES;
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, end_note, image, &end, NULL), 0);
    assert_int_equal(end.count, RECORDS + 2);
    assert_int_equal(image->ends[RECORDS + 2], image->len);
}

/* Plain writes: the tests make thousands of files and none needs to be durable. */
static void image_put(struct scene *scene, const uint8_t *bytes, size_t len)
{
    char path[128];
    pack_path(scene, 1, path);
    EMLFS_FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, bytes, len), 0);
    scene_reopen(scene);
}

static unsigned records_readable(struct scene *scene, const struct image *image)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;
    unsigned count = 0;
    for (unsigned i = 0; i < RECORDS; i++) {
        int r = emlfs_packs_read(scene->packs, image->locs[i], &record, NULL);
        if (r == 0) {
            assert_content(&record, i); /* never wrong bytes */
            count++;
        } else {
            assert_true(r == -EBADMSG || r == -EUCLEAN || r == -EPROTONOSUPPORT || r == -ENOENT);
            assert_int_equal(record.stored.len, 0);
        }
    }
    emlfs_record_free(&record);
    return count;
}

/* Which record holds the byte at offset; the pack header belongs to all. */
static unsigned record_at(const struct image *image, size_t offset)
{
    unsigned number = 0;
    while (offset >= image->ends[number + 1])
        number++;
    return number;
}

static void assert_flip_found(struct scene *scene, const struct image *image, size_t offset)
{
    struct emlfs_pack_end end;
    int r = emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL);
    unsigned readable = records_readable(scene, image);
    if (offset < PACK_HEADER_BYTES) {
        assert_true(r == -EUCLEAN || r == -EPROTONOSUPPORT || (r == 0 && end.count == 0));
        assert_int_equal(readable, 0);
        return;
    }
    unsigned number = record_at(image, offset);
    assert_int_equal(r, 0);
    assert_int_equal(end.count, number);
    assert_int_equal(end.offset, image->ends[number]);
    assert_false(end.sealed);
    assert_int_equal(readable, number == 0 || number > RECORDS ? RECORDS : RECORDS - 1);
}

static void test_every_flipped_byte(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    image_take(scene, &image);
    for (size_t i = 0; i < image.len; i++) {
        uint8_t mask = (uint8_t)(1u << (i % 8));
        image.bytes[i] ^= mask;
        image_put(scene, image.bytes, image.len);
        assert_flip_found(scene, &image, i);
        image.bytes[i] ^= mask;
    }
}

static void test_every_truncation(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    image_take(scene, &image);
    for (size_t len = 0; len < image.len; len++) {
        struct emlfs_pack_end end;
        uint64_t bytes;
        unsigned whole = len < PACK_HEADER_BYTES ? 0 : record_at(&image, len);
        uint64_t expected = len < PACK_HEADER_BYTES ? 0 : image.ends[whole];
        image_put(scene, image.bytes, len);
        assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
        assert_int_equal(end.count, whole);
        assert_int_equal(end.offset, expected);
        assert_int_equal(end.file_bytes, len);
        assert_false(end.sealed);
        assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), 0);
        assert_int_equal(emlfs_packs_size(scene->packs, 1, &bytes), 0);
        assert_int_equal(bytes, expected);
        assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
        assert_int_equal(end.count, whole);
        assert_int_equal(end.file_bytes, end.offset);
    }
}

/* A file that grew before its blocks were written: the tail is zeros, or all of it is. */
static void test_zero_tails(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    struct emlfs_pack_end end;
    image_take(scene, &image);
    memset(image.bytes + image.ends[3] + 5, 0, image.len - image.ends[3] - 5);
    image_put(scene, image.bytes, image.len);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 3);
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), 0);
    memset(image.bytes, 0, image.len);
    image_put(scene, image.bytes, image.len);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 0);
    assert_int_equal(end.offset, 0);
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), 0);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.file_bytes, 0);
}

/* Damage in the middle is not a torn tail: what follows is found, and nothing is cut. */
static void test_damage_is_not_cut(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    struct emlfs_pack_end end;
    struct emlfs_pack_loc loc;
    uint64_t bytes;
    image_take(scene, &image);
    image.bytes[image.ends[2] + 7] ^= 1;
    image_put(scene, image.bytes, image.len);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 2);
    assert_int_equal(emlfs_packs_next(scene->packs, &end, &loc, NULL), 0);
    assert_int_equal(loc.number, 3);
    assert_int_equal(loc.offset, image.ends[3]);
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), -EBADMSG);
    assert_int_equal(emlfs_packs_size(scene->packs, 1, &bytes), 0);
    assert_int_equal(bytes, image.len);
    end.offset = image.len + 1;
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), -EINVAL);
    end.offset = 0;
    assert_int_equal(emlfs_packs_cut(scene->packs, &end, NULL), -EINVAL);
}

/* Beyond a window of the search, and behind a lot of bytes that look like headers. */
static void test_find_far_away(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    static uint8_t far[3u << 20];
    struct emlfs_pack_end end = {.pack_no = 1, .count = 2};
    struct emlfs_pack_loc loc;
    image_take(scene, &image);
    end.offset = image.ends[2];
    for (size_t shift = (1u << 20) - 30; shift < (1u << 20) + 30; shift++) {
        memcpy(far, image.bytes, image.ends[2]);
        for (size_t i = image.ends[2]; i < shift; i++)
            far[i] = (uint8_t) "eR\2\0"[i % 4];
        memcpy(far + shift, image.bytes + image.ends[3], image.len - image.ends[3]);
        image_put(scene, far, shift + image.len - image.ends[3]);
        assert_int_equal(emlfs_packs_next(scene->packs, &end, &loc, NULL), 0);
        assert_int_equal(loc.number, 3);
        assert_int_equal(loc.offset, shift);
    }
}

/* A record at another place, in another order, twice, or missing. */
static void test_moved_records(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    static uint8_t changed[2 * PACK_BYTES_MAX];
    struct emlfs_pack_end end;
    image_take(scene, &image);
    const uint8_t *bytes = image.bytes;
    size_t first = (size_t)image.ends[1];
    size_t second = (size_t)image.ends[2];
    size_t third = (size_t)image.ends[3];
    /* swapped */
    memcpy(changed, bytes, first);
    memcpy(changed + first, bytes + second, third - second);
    memcpy(changed + first + third - second, bytes + first, second - first);
    memcpy(changed + third, bytes + third, image.len - third);
    image_put(scene, changed, image.len);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 1);
    /* removed */
    memcpy(changed + first, bytes + second, image.len - second);
    image_put(scene, changed, image.len - (second - first));
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 1);
    /* twice, the second time with its number changed in the clear header */
    memcpy(changed, bytes, third);
    memcpy(changed + third, bytes + second, third - second);
    changed[third + 4] = 3;
    image_put(scene, changed, third + third - second);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 3);
    /* something behind the seal */
    memcpy(changed, bytes, image.len);
    memcpy(changed + image.len, bytes + first, second - first);
    image_put(scene, changed, image.len + second - first);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_true(end.sealed);
    assert_int_equal(end.offset, image.len);
    assert_true(end.file_bytes > end.offset);
}

/* A whole pack under another number, in another store, or with another key. */
static void test_foreign_packs(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    struct emlfs_pack_end end;
    char path[128];
    image_take(scene, &image);
    pack_path(scene, 2, path);
    assert_int_equal(emlfs_os_replace_file(path, emlfs_span_of(image.bytes, image.len), 0600), 0);
    assert_int_equal(emlfs_packs_walk(scene->packs, 2, NULL, NULL, &end, NULL), -EUCLEAN);
    emlfs_packs_close(scene->packs);
    struct emlfs_packs_config config = {
        .dir = scene->dir, .store_key = {.v = {4, 2}}, .store_no = 4};
    assert_int_equal(emlfs_packs_open(&config, &scene->packs, NULL), 0);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), -EUCLEAN);
    emlfs_packs_close(scene->packs);
    config.store_no = 3;
    config.store_key.v[31] = 1;
    assert_int_equal(emlfs_packs_open(&config, &scene->packs, NULL), 0);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, NULL), 0);
    assert_int_equal(end.count, 0);
    assert_int_equal(records_readable(scene, &image), 0);
}

static void test_newer_format(void **state)
{
    struct scene *scene = *state;
    static struct image image;
    struct emlfs_pack_end end;
    struct emlfs_err err = {0};
    image_take(scene, &image);
    image.bytes[8] = PACK_VERSION + 1;
    image_put(scene, image.bytes, image.len);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &end, &err), -EPROTONOSUPPORT);
    assert_string_equal(err.text, "pack 1: written by a newer emlfs");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_every_flipped_byte), IN_SCENE(test_every_truncation),
        IN_SCENE(test_zero_tails),         IN_SCENE(test_damage_is_not_cut),
        IN_SCENE(test_find_far_away),      IN_SCENE(test_moved_records),
        IN_SCENE(test_foreign_packs),      IN_SCENE(test_newer_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
