/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include "../../../store/archive/apply.h"

/* Entries rows against a plain model: inserts, removals, marks, commits, fresh objects. */

#define FOLDERS 5u
#define NUMBERS 3000u

struct model_entry {
    bool there, multi;
    uint32_t flags;
    uint64_t size_bytes;
    int64_t mtime_sec, archived_ns;
    char stem[EMLFS_NAME_MAX_BYTES + 1];
};

struct scene {
    struct emlfs_catalog *catalog;
    struct emlfs_txn *txn;
    struct entries *entries;
    struct model_entry (*model)[NUMBERS + 1];
};

static int scene_make(void **state)
{
    static const struct emlfs_key key = {.v = {1, 2, 3}};
    struct scene *scene = calloc(1, sizeof(*scene));
    scene->model = calloc(FOLDERS, sizeof(*scene->model));
    if (emlfs_catalog_open_memory(&key, &scene->catalog) < 0 ||
        emlfs_txn_new(scene->catalog, &scene->txn) < 0 ||
        entries_new(scene->txn, &scene->entries) < 0)
        return -1;
    *state = scene;
    return 0;
}

static int scene_free(void **state)
{
    struct scene *scene = *state;
    entries_free(scene->entries);
    emlfs_txn_free(scene->txn);
    emlfs_catalog_close(scene->catalog);
    free(scene->model);
    free(scene);
    return 0;
}

static void commit(struct scene *scene, bool reopen)
{
    must(entries_flush(scene->entries, NULL));
    must(emlfs_txn_commit(scene->txn, true, NULL));
    if (!reopen)
        return;
    entries_free(scene->entries);
    must(entries_new(scene->txn, &scene->entries));
}

static void insert(struct scene *scene, struct dice *dice, uint32_t folder, uint32_t number)
{
    struct model_entry *model = &scene->model[folder][number];
    struct model_entry made = {.there = true,
                               .flags = dice_roll(dice, 8),
                               .size_bytes = dice_next(dice) >> dice_roll(dice, 64),
                               .mtime_sec = (int64_t)dice_next(dice) >> 32,
                               .archived_ns = (int64_t)dice_next(dice) >> 2};
    size_t len = dice_roll(dice, EMLFS_NAME_MAX_BYTES + 1);
    for (size_t i = 0; i < len; i++)
        made.stem[i] = (char)('a' + dice_roll(dice, 26));
    const struct chunk_entry entry = {.number = number,
                                      .flags = made.flags,
                                      .size_bytes = made.size_bytes,
                                      .mtime_sec = made.mtime_sec,
                                      .archived_ns = made.archived_ns,
                                      .stem = emlfs_span_str(made.stem)};
    must(entries_insert(scene->entries, folder + 1, &entry, NULL));
    if (!model->there)
        *model = made;
}

static void entry_check(const struct model_entry *model, const struct chunk_entry *entry)
{
    assert_int_equal(entry->flags, model->flags | (model->multi ? CHUNK_MULTI : 0));
    assert_int_equal(entry->size_bytes, model->size_bytes);
    assert_int_equal(entry->mtime_sec, model->mtime_sec);
    assert_int_equal(entry->archived_ns, model->archived_ns);
    assert_int_equal(entry->stem.len, strlen(model->stem));
    assert_memory_equal(entry->stem.data, model->stem, entry->stem.len);
}

static void step(struct scene *scene, struct dice *dice)
{
    uint32_t folder = dice_roll(dice, FOLDERS);
    uint32_t number = 1 + dice_roll(dice, dice_roll(dice, 2) ? NUMBERS : 300);
    struct model_entry *model = &scene->model[folder][number];
    struct chunk_entry entry;
    switch (dice_roll(dice, 8)) {
    case 0:
    case 1:
    case 2:
        insert(scene, dice, folder, number);
        break;
    case 3:
    case 4:
        must(entries_remove(scene->entries, folder + 1, number, NULL));
        *model = (struct model_entry){0};
        break;
    case 5:
        must(entries_mark(scene->entries, folder + 1, number, number & 1, NULL));
        model->multi = model->there && (number & 1);
        break;
    default:
        if (!model->there) {
            assert_int_equal(entries_get(scene->entries, folder + 1, number, &entry, NULL),
                             -ENOENT);
            break;
        }
        must(entries_get(scene->entries, folder + 1, number, &entry, NULL));
        entry_check(model, &entry);
        break;
    }
}

/* What is committed: every row in order, I-ENTRIES-1 and I-CHUNK-1, and equal to the model. */
static unsigned folder_check(struct scene *scene, uint32_t folder)
{
    struct row_key prefix = key_u32(ROW_ENTRIES, folder + 1);
    struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct chunk *chunk = chunk_new();
    struct emlfs_catalog_iter *iter;
    uint32_t number = 0;
    unsigned rows = 0;
    must(emlfs_catalog_iter_new(scene->catalog, &iter, NULL));
    emlfs_catalog_iter_seek(iter, row_key_view(&prefix));
    for (; emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter), rows++) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        if (key.len != 9 || memcmp(key.data, prefix.v, 5) != 0)
            break;
        uint32_t first = (uint32_t)key.data[7] << 8 | key.data[8];
        emlfs_buf_clear(&value);
        must(emlfs_catalog_iter_value(iter, EMLFS_CATALOG_SEALED, &value, NULL));
        must(chunk_decode(emlfs_buf_view(&value), chunk));
        assert_true(chunk->n > 0 && first > number && first <= chunk->v[0].number);
        for (unsigned i = 0; i < chunk->n; i++) {
            while (++number < chunk->v[i].number)
                assert_false(scene->model[folder][number].there);
            assert_int_equal(number, chunk->v[i].number);
            assert_true(scene->model[folder][number].there);
            entry_check(&scene->model[folder][number], &chunk->v[i]);
        }
    }
    while (++number <= NUMBERS)
        assert_false(scene->model[folder][number].there);
    emlfs_catalog_iter_free(iter);
    emlfs_buf_free(&value);
    chunk_free(chunk);
    return rows;
}

static void test_model(void **state)
{
    struct scene *scene = *state;
    for (unsigned seed = 1; seed <= 3; seed++) {
        struct dice dice = {.state = seed * 77};
        for (unsigned round = 0; round < 40; round++) {
            for (unsigned i = 0; i < 500; i++)
                step(scene, &dice);
            commit(scene, dice_roll(&dice, 2));
            if (round % 8 == 7)
                for (uint32_t folder = 0; folder < FOLDERS; folder++)
                    folder_check(scene, folder);
        }
    }
}

/* Mail arrives in number order: rows are full but for the last. */
static void test_append(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 5};
    for (uint32_t number = 1; number <= NUMBERS; number++) {
        insert(scene, &dice, number % FOLDERS, number);
        if (number % 700 == 0)
            commit(scene, number % 1400 == 0);
    }
    commit(scene, true);
    for (uint32_t folder = 0; folder < FOLDERS; folder++)
        assert_int_equal(folder_check(scene, folder),
                         (NUMBERS / FOLDERS + CHUNK_MAX - 1) / CHUNK_MAX);
}

static void test_backwards_and_empty(void **state)
{
    struct scene *scene = *state;
    struct dice dice = {.state = 6};
    for (uint32_t number = NUMBERS; number > 0; number--)
        insert(scene, &dice, 0, number);
    commit(scene, false);
    folder_check(scene, 0);
    for (uint32_t number = 1; number <= NUMBERS; number++) {
        must(entries_remove(scene->entries, 1, number, NULL));
        scene->model[0][number] = (struct model_entry){0};
    }
    commit(scene, false);
    assert_int_equal(folder_check(scene, 0), 0);
    insert(scene, &dice, 0, 17);
    commit(scene, true);
    assert_int_equal(folder_check(scene, 0), 1);
}

/* More folders at work than chunks are kept open. */
static void test_many_folders(void **state)
{
    struct scene *scene = *state;
    struct chunk_entry entry = {.stem = emlfs_span_str("stem")};
    for (uint32_t number = 1; number <= 60; number++) {
        for (uint32_t folder = 100; folder < 200; folder++) {
            entry.number = number * 3 + folder;
            must(entries_insert(scene->entries, folder, &entry, NULL));
        }
    }
    commit(scene, true);
    for (uint32_t folder = 100; folder < 200; folder++) {
        for (uint32_t number = 1; number <= 60; number++) {
            must(entries_get(scene->entries, folder, number * 3 + folder, &entry, NULL));
            assert_int_equal(
                entries_get(scene->entries, folder, number * 3 + folder + 1, &entry, NULL),
                -ENOENT);
        }
    }
}

static void test_count(void **state)
{
    struct scene *scene = *state;
    struct row_key key = key_u32(ROW_FOLDER_STAT, 3);
    struct emlfs_buf value = EMLFS_BUF_INIT(64);
    struct folder_stat stat;
    must(entries_count(scene->entries, 3, 1, 100, NULL));
    must(entries_count(scene->entries, 3, 1, 50, NULL));
    must(entries_count(scene->entries, 3, -1, 70, NULL));
    commit(scene, false);
    must(emlfs_catalog_get(scene->catalog, row_key_view(&key), 0, &value, NULL));
    must(folder_stat_decode(emlfs_buf_view(&value), &stat));
    assert_int_equal(stat.entries, 1);
    assert_int_equal(stat.mtime_ns, 100);
    must(entries_count(scene->entries, 3, -1, 170, NULL));
    must(entries_count(scene->entries, 3, -1, 180, NULL));
    commit(scene, false);
    emlfs_buf_clear(&value);
    must(emlfs_catalog_get(scene->catalog, row_key_view(&key), 0, &value, NULL));
    must(folder_stat_decode(emlfs_buf_view(&value), &stat));
    assert_int_equal(stat.entries, 0);
    assert_int_equal(stat.mtime_ns, 180);
    emlfs_buf_free(&value);
}

static void test_chunk_refuses(void **state)
{
    (void)state;
    struct chunk *chunk = chunk_new();
    struct chunk_entry entry = {.stem = emlfs_span_str("a stem")};
    struct emlfs_buf value = EMLFS_BUF_INIT(1u << 20);
    for (uint32_t number = 1; number <= CHUNK_MAX; number++) {
        entry.number = number * 2;
        must(chunk_insert(chunk, &entry));
    }
    assert_int_equal(chunk_insert(chunk, &entry), -EEXIST);
    entry.number = 1;
    assert_int_equal(chunk_insert(chunk, &entry), -ENOSPC);
    must(chunk_encode(chunk, &value));
    for (size_t cut = 0; cut < value.len; cut++)
        assert_int_equal(chunk_decode(emlfs_span_of(value.data, cut), chunk), -EUCLEAN);
    must(chunk_decode(emlfs_buf_view(&value), chunk));
    /* Inserting and removing for ever does not grow a chunk. */
    struct dice dice = {.state = 9};
    for (unsigned i = 0; i < 20000; i++) {
        unsigned at = dice_roll(&dice, chunk->n);
        entry.number = chunk->v[at].number;
        chunk_remove(chunk, at);
        must(chunk_insert(chunk, &entry));
    }
    assert_int_equal(chunk->n, CHUNK_MAX);
    for (unsigned i = 0; i < chunk->n; i++)
        assert_memory_equal(chunk->v[i].stem.data, "a stem", 6);
    emlfs_buf_free(&value);
    chunk_free(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_model, scene_make, scene_free),
        cmocka_unit_test_setup_teardown(test_append, scene_make, scene_free),
        cmocka_unit_test_setup_teardown(test_backwards_and_empty, scene_make, scene_free),
        cmocka_unit_test_setup_teardown(test_many_folders, scene_make, scene_free),
        cmocka_unit_test_setup_teardown(test_count, scene_make, scene_free),
        cmocka_unit_test(test_chunk_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
