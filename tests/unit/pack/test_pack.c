/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "pack_test.h"

#include <pthread.h>

#define COUNT 1000u

static void read_back(struct scene *scene, const struct emlfs_pack_loc *locs, uint32_t count)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t number = i * 7919u % count;
        assert_int_equal(emlfs_packs_read(scene->packs, locs[number], &record, NULL), 0);
        assert_int_equal(record.loc.number, locs[number].number);
        assert_content(&record, number);
    }
    emlfs_record_free(&record);
}

static void test_write_and_read(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc locs[COUNT];
    struct emlfs_pack_end end;
    struct emlfs_pack_end walked;
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    emlfs_pack_writer_end(writer, &end);
    assert_int_equal(end.count, 0);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(content_append(scene, writer, i, &locs[i]), 0);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), 0);
    read_back(scene, locs, COUNT); /* while it is being written */
    emlfs_pack_writer_end(writer, &end);
    assert_int_equal(end.count, COUNT + 1);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &walked, NULL), 0);
    assert_memory_equal(&walked.chain, &end.chain, sizeof(end.chain));
    assert_int_equal(walked.offset, end.offset);
    assert_false(walked.sealed);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    scene_reopen(scene);
    read_back(scene, locs, COUNT);
    /* on from the middle: only the SEAL is new */
    assert_int_equal(emlfs_packs_walk_from(scene->packs, NULL, NULL, &walked, NULL), 0);
    assert_true(walked.sealed);
    assert_int_equal(walked.count, COUNT + 2);
    assert_int_equal(walked.offset, walked.file_bytes);
}

struct seen {
    uint32_t count;
    uint32_t blobs;
    uint32_t stop_at;
    struct emlfs_pack_end previous;
};

static int record_seen(void *arg, struct emlfs_record *record)
{
    struct seen *seen = arg;
    assert_int_equal(record->loc.number, seen->count);
    if (seen->stop_at && seen->count == seen->stop_at)
        return -ECANCELED;
    seen->count++;
    seen->blobs += record->type == EMLFS_RECORD_BLOB;
    if (record->type == EMLFS_RECORD_OPEN)
        assert_int_equal(emlfs_record_previous(record, &seen->previous), 0);
    else
        assert_int_equal(emlfs_record_previous(record, &(struct emlfs_pack_end){0}), -EUCLEAN);
    return 0;
}

/* Packs of at most 20,000 bytes; each names the one before it with count, end and chain. */
static void test_roll_over(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc locs[COUNT];
    uint32_t last;
    uint32_t blobs = 0;
    struct emlfs_pack_end end = {0};
    struct emlfs_pack_writer *writer = writer_open(scene, 20000);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(content_append(scene, writer, i, &locs[i]), 0);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    read_back(scene, locs, COUNT);
    assert_int_equal(emlfs_packs_last(scene->packs, &last, NULL), 0);
    assert_true(last > 5 && last < COUNT);
    for (uint32_t pack_no = 1; pack_no <= last; pack_no++) {
        struct seen seen = {0};
        const struct emlfs_pack_end before = end;
        assert_int_equal(emlfs_packs_walk(scene->packs, pack_no, record_seen, &seen, &end, NULL),
                         0);
        assert_true(end.sealed && end.offset == end.file_bytes && end.offset <= 20000);
        assert_int_equal(seen.previous.pack_no, pack_no - 1);
        assert_int_equal(seen.previous.count, before.count);
        assert_int_equal(seen.previous.offset, before.offset);
        assert_memory_equal(&seen.previous.chain, &before.chain, sizeof(before.chain));
        blobs += seen.blobs;
    }
    assert_int_equal(blobs, COUNT);
}

static void test_oversized_record_gets_its_own_pack(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc locs[3];
    struct emlfs_pack_writer *writer = writer_open(scene, 1);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(content_append(scene, writer, i, &locs[i]), 0);
        assert_int_equal(locs[i].pack_no, i + 1);
        assert_int_equal(locs[i].number, 1);
    }
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    read_back(scene, locs, 3);
}

static void test_new_writer_new_pack(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_end first;
    struct emlfs_pack_loc loc;
    struct seen seen = {0};
    char path[128];
    pack_write(scene, 4, NULL);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, NULL, NULL, &first, NULL), 0);
    struct emlfs_pack_writer *writer;
    assert_int_equal(
        emlfs_pack_writer_new(scene->packs, EMLFS_PACK_MAX_BYTES, &first, &writer, NULL), 0);
    assert_int_equal(content_append(scene, writer, 9, &loc), 0);
    assert_int_equal(loc.pack_no, 2);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    struct emlfs_pack_end end;
    assert_int_equal(emlfs_packs_walk(scene->packs, 2, record_seen, &seen, &end, NULL), 0);
    assert_int_equal(seen.previous.pack_no, 1);
    assert_memory_equal(&seen.previous.chain, &first.chain, sizeof(first.chain));
    /* a writer that never appends leaves nothing; a gap in the numbers is kept */
    writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(emlfs_pack_writer_sync(writer, NULL), 0);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    pack_path(scene, 3, path);
    assert_int_equal(access(path, F_OK), -1);
    pack_path(scene, 41, path);
    assert_int_equal(emlfs_os_replace_file(path, emlfs_span_of(NULL, 0), 0600), 0);
    writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(content_append(scene, writer, 1, &loc), 0);
    assert_int_equal(loc.pack_no, 42);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
}

static void test_names_that_are_not_packs(void **state)
{
    struct scene *scene = *state;
    static const char *const names[] = {
        "00000007.pack.tmp", "7.pack",        "000000007.pack",          "0000000a.pack", "x",
        "00000000.pack",     "-0000007.pack", "9999999999999999999.pack"};
    uint32_t last = 9;
    char path[160];
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", scene->dir, names[i]);
        assert_int_equal(emlfs_os_replace_file(path, emlfs_span_str("x"), 0600), 0);
    }
    assert_int_equal(emlfs_packs_last(scene->packs, &last, NULL), 0);
    assert_int_equal(last, 0);
}

static void test_each_stops_the_walk(void **state)
{
    struct scene *scene = *state;
    struct seen seen = {.stop_at = 3};
    struct emlfs_pack_end end;
    struct emlfs_err err = {0};
    pack_write(scene, 5, NULL);
    assert_int_equal(emlfs_packs_walk(scene->packs, 1, record_seen, &seen, &end, &err), -ECANCELED);
    assert_int_equal(err.code, 0); /* each speaks for itself */
    assert_int_equal(end.count, 3);
    seen.stop_at = 0;
    assert_int_equal(emlfs_packs_walk_from(scene->packs, record_seen, &seen, &end, NULL), 0);
    assert_int_equal(seen.count, 7);
    assert_true(end.sealed);
}

static void test_no_such_place(void **state)
{
    struct scene *scene = *state;
    struct emlfs_record record = EMLFS_RECORD_INIT;
    struct emlfs_pack_loc locs[2];
    struct emlfs_err err = {0};
    uint64_t bytes;
    pack_write(scene, 2, locs);
    assert_int_equal(emlfs_packs_size(scene->packs, 1, &bytes), 0);
    assert_int_equal(emlfs_packs_size(scene->packs, 2, &bytes), -ENOENT);
    struct emlfs_pack_loc loc = {.pack_no = 2, .number = 1, .offset = 64};
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, &err), -ENOENT);
    assert_string_equal(err.text, "pack 2, record 1: No such file or directory");
    loc = (struct emlfs_pack_loc){.pack_no = 1, .number = 1, .offset = 1 << 20};
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, NULL), -ENOENT);
    loc.offset = UINT64_MAX;
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, NULL), -ENOENT);
    loc.offset = 0;
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, NULL), -EUCLEAN);
    loc = locs[0];
    loc.number = 2;
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, &err), -EBADMSG);
    assert_string_equal(err.text, "pack 1, record 2: damaged or altered");
    assert_int_equal(record.stored.len, 0);
    emlfs_record_free(&record);
    struct emlfs_packs *packs;
    const struct emlfs_packs_config config = {.dir = "/nonexistent/packs"};
    assert_int_equal(emlfs_packs_open(&config, &packs, &err), -ENOENT);
}

static void test_malformed_packed_is_refused(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    uint8_t bytes[4] = {0};
    struct emlfs_packed packed = {
        .stored = {.data = bytes, .len = 4}, .plain_len = 5, .type = EMLFS_RECORD_BLOB};
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), -EINVAL);
    packed.plain_len = 4;
    packed.type = EMLFS_RECORD_SEAL;
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), -EINVAL);
    packed.type = 0;
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), -EINVAL);
    packed.type = EMLFS_RECORD_EVENTS;
    packed.flags = 2;
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), -EINVAL);
    packed.flags = 0;
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), 0); /* not poisoned */
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
}

static void test_empty_record(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc loc;
    struct emlfs_packed packed;
    struct emlfs_record record = EMLFS_RECORD_INIT;
    EMLFS_BUF_CLEANUP struct emlfs_buf plain = EMLFS_BUF_INIT(10);
    struct emlfs_pack_writer *writer = writer_open(scene, EMLFS_PACK_MAX_BYTES);
    assert_int_equal(emlfs_packer_pack(scene->packer, EMLFS_RECORD_EVENTS, NULL,
                                       emlfs_span_of(NULL, 0), &packed, NULL),
                     0);
    assert_int_equal(emlfs_pack_append(writer, &packed, &loc, NULL), 0);
    emlfs_packed_free(&packed);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    assert_int_equal(emlfs_packs_read(scene->packs, loc, &record, NULL), 0);
    assert_int_equal(emlfs_record_plain(&record, NULL, 10, &plain, NULL), 0);
    assert_int_equal(plain.len, 0);
    emlfs_record_free(&record);
}

/* More packs than the table of open files holds, read by several threads at once. */
#define MANY_PACKS 150u
#define READERS 4u

struct reader {
    struct scene *scene;
    const struct emlfs_pack_loc *locs;
    unsigned failures;
};

static void *reader_run(void *arg)
{
    struct reader *reader = arg;
    struct emlfs_record record = EMLFS_RECORD_INIT;
    for (uint32_t i = 0; i < 4 * MANY_PACKS; i++) {
        uint32_t number = i * 7919u % MANY_PACKS;
        if (emlfs_packs_read(reader->scene->packs, reader->locs[number], &record, NULL) < 0)
            reader->failures++;
    }
    emlfs_record_free(&record);
    return NULL;
}

static unsigned descriptors_open(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static void test_many_packs_few_descriptors(void **state)
{
    struct scene *scene = *state;
    struct emlfs_pack_loc locs[MANY_PACKS];
    struct reader readers[READERS];
    pthread_t threads[READERS];
    struct emlfs_pack_writer *writer = writer_open(scene, 1);
    for (uint32_t i = 0; i < MANY_PACKS; i++)
        assert_int_equal(content_append(scene, writer, i, &locs[i]), 0);
    assert_int_equal(emlfs_pack_writer_close(writer, NULL), 0);
    unsigned before = descriptors_open();
    for (unsigned i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.scene = scene, .locs = locs};
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &readers[i]), 0);
    }
    for (unsigned i = 0; i < READERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(readers[i].failures, 0);
    }
    assert_true(descriptors_open() <= before + 64);
    read_back(scene, locs, MANY_PACKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCENE(test_write_and_read),
        IN_SCENE(test_roll_over),
        IN_SCENE(test_oversized_record_gets_its_own_pack),
        IN_SCENE(test_new_writer_new_pack),
        IN_SCENE(test_names_that_are_not_packs),
        IN_SCENE(test_each_stops_the_walk),
        IN_SCENE(test_no_such_place),
        IN_SCENE(test_malformed_packed_is_refused),
        IN_SCENE(test_empty_record),
        IN_SCENE(test_many_packs_few_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
