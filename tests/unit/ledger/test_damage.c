/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Whatever is changed in a closed ledger, verify says so, and opening never takes it for true. */
#include "ledger_test.h"

#define RECORDS 270u

/* Bytes from one that is changed to the next, another remainder for every bit; 1 in long runs. */
static size_t stride(void)
{
    const char *mode = getenv("EMLFS_TEST_MODE");
    return mode && strcmp(mode, "long") == 0 ? 1 : 7;
}

static const char *const files[] = {"records/00000001.log", "tiles/0", "tiles/1", "mark",
                                    "checkpoints",          "keys"};

static int damage_setup(void **state)
{
    if (scene_make(state) < 0)
        return -1;
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    for (uint64_t n = 0; n < RECORDS; n += 45) {
        assert_int_equal(records_append(scene->ledger, n, 45), 0);
        if (n % 90 == 0)
            assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    }
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
    return 0;
}

static void file_take(const struct scene *scene, const char *name, struct emlfs_buf *out)
{
    char path[LEDGER_PATH_MAX_BYTES];
    *out = EMLFS_BUF_INIT(1 << 20);
    assert_int_equal(ledger_path(scene->dir, name, path), 0);
    assert_int_equal(emlfs_os_read_file(path, out), 0);
}

/* Without a sync and a rename each: there are tens of thousands of them. */
static void file_put(const struct scene *scene, const char *name, struct emlfs_span content)
{
    char path[LEDGER_PATH_MAX_BYTES];
    assert_int_equal(ledger_path(scene->dir, name, path), 0);
    EMLFS_FD_CLEANUP int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(emlfs_os_write_all(fd, content.data, content.len), 0);
}

static void assert_found(const struct scene *scene, const char *what, size_t where)
{
    if (findings_count(scene, false) == 0) {
        print_error("%s at %zu was not found\n", what, where);
        fail();
    }
}

static void test_every_byte_flipped(void **state)
{
    struct scene *scene = *state;
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        struct emlfs_buf file EMLFS_BUF_CLEANUP;
        file_take(scene, files[f], &file);
        for (size_t i = 0; i < file.len; i += stride()) {
            file.data[i] ^= (uint8_t)(1u << i % 8);
            file_put(scene, files[f], emlfs_buf_view(&file));
            assert_found(scene, files[f], i);
            file.data[i] ^= (uint8_t)(1u << i % 8);
        }
        file_put(scene, files[f], emlfs_buf_view(&file));
    }
    assert_int_equal(findings_count(scene, true), 0);
}

static void test_every_length(void **state)
{
    struct scene *scene = *state;
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        struct emlfs_buf file EMLFS_BUF_CLEANUP;
        file_take(scene, files[f], &file);
        size_t step = file.len > 2000 ? 37 : stride();
        for (size_t len = 0; len < file.len; len += step) {
            file_put(scene, files[f], emlfs_span_of(file.data, len));
            assert_found(scene, files[f], len);
        }
        size_t len = file.len;
        assert_int_equal(emlfs_buf_append_u8(&file, 0), 0);
        file_put(scene, files[f], emlfs_buf_view(&file));
        assert_found(scene, files[f], file.len);
        file_put(scene, files[f], emlfs_span_of(file.data, len));
    }
    assert_int_equal(findings_count(scene, true), 0);
}

static void test_missing_files(void **state)
{
    struct scene *scene = *state;
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        struct emlfs_buf file EMLFS_BUF_CLEANUP;
        char path[LEDGER_PATH_MAX_BYTES];
        file_take(scene, files[f], &file);
        assert_int_equal(ledger_path(scene->dir, files[f], path), 0);
        assert_int_equal(unlink(path), 0);
        assert_found(scene, files[f], 0);
        assert_true(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL) < 0);
        file_put(scene, files[f], emlfs_buf_view(&file));
    }
    assert_int_equal(findings_count(scene, true), 0);
}

/* Where the frames of the first segment begin; the last one is the end of the file. */
static unsigned frame_offsets(const struct emlfs_buf *file, size_t ret_offsets[16])
{
    unsigned count = 0;
    size_t at = SEGMENT_HEADER_BYTES;
    while (at < file->len && count < 15) {
        struct ledger_frame frame;
        assert_int_equal(ledger_frame_decode(file->data + at, &frame), 0);
        ret_offsets[count++] = at;
        at += FRAME_HEADER_BYTES + frame.plain_len + EMLFS_GCM_TAG_BYTES;
    }
    ret_offsets[count] = at;
    return count;
}

/* Whole frames left out, doubled or exchanged. */
static void test_frames_moved(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf file EMLFS_BUF_CLEANUP;
    struct emlfs_buf made EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1 << 20);
    size_t at[16];
    file_take(scene, files[0], &file);
    unsigned count = frame_offsets(&file, at);
    assert_true(count == 6);
    for (unsigned i = 0; i < count; i++) {
        emlfs_buf_clear(&made);
        emlfs_buf_append(&made, file.data, at[i]);
        emlfs_buf_append(&made, file.data + at[i + 1], file.len - at[i + 1]);
        file_put(scene, files[0], emlfs_buf_view(&made));
        assert_found(scene, "a frame left out", i);
        assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
        emlfs_buf_clear(&made);
        emlfs_buf_append(&made, file.data, at[i + 1]);
        emlfs_buf_append(&made, file.data + at[i], file.len - at[i]);
        file_put(scene, files[0], emlfs_buf_view(&made));
        assert_found(scene, "a frame doubled", i);
        assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
    }
    emlfs_buf_clear(&made);
    emlfs_buf_append(&made, file.data, at[2]);
    emlfs_buf_append(&made, file.data + at[3], at[4] - at[3]);
    emlfs_buf_append(&made, file.data + at[2], at[3] - at[2]);
    emlfs_buf_append(&made, file.data + at[4], file.len - at[4]);
    file_put(scene, files[0], emlfs_buf_view(&made));
    assert_found(scene, "frames exchanged", 2);
    file_put(scene, files[0], emlfs_buf_view(&file));
    scene_reopen(scene);
    assert_records(scene->ledger, RECORDS);
}

static void test_checkpoints_moved(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf file EMLFS_BUF_CLEANUP;
    file_take(scene, "checkpoints", &file);
    size_t first = emlfs_checkpoint_length(emlfs_buf_view(&file));
    assert_true(first > 0 && first < file.len);
    file_put(scene, "checkpoints", emlfs_span_of(file.data + first, file.len - first));
    assert_found(scene, "a checkpoint left out", 0);
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
    size_t second = emlfs_checkpoint_length(emlfs_span_of(file.data + first, file.len - first));
    file_put(scene, "checkpoints", emlfs_span_of(file.data, first + second));
    assert_found(scene, "the last checkpoint left out", 2);
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
    file_put(scene, "checkpoints", emlfs_buf_view(&file));
}

/* Opening looks at the last one only: another one is looked at when it is asked for. */
static void test_checkpoints_forged(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf file EMLFS_BUF_CLEANUP;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_buf forged EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint note;
    file_take(scene, "checkpoints", &file);
    struct emlfs_span first =
        emlfs_span_of(file.data, emlfs_checkpoint_length(emlfs_buf_view(&file)));
    for (uint64_t number = 1; number <= 3; number += 2) { /* itself, and as the last one */
        assert_int_equal(emlfs_checkpoint_parse(first, &note), 0);
        note.number = number;
        note.head.root.v[0] ^= 1;
        emlfs_buf_clear(&forged);
        assert_int_equal(emlfs_checkpoint_format(&note, &forged), 0);
        assert_int_equal(forged.len, first.len);
        memcpy(file.data, forged.data, forged.len);
        file_put(scene, "checkpoints", emlfs_buf_view(&file));
        scene_reopen(scene);
        assert_int_equal(emlfs_ledger_checkpoint_text(scene->ledger, number, &text, NULL),
                         -EBADMSG);
        assert_int_equal(text.len, 0);
        assert_int_equal(emlfs_ledger_timestamp_query(scene->ledger, number, &text, NULL),
                         -EBADMSG);
        scene_close(scene);
        assert_found(scene, "a forged checkpoint", (size_t)number);
    }
}

/* The ledger of another archive with the same key, of the same length. */
static void test_exchanged_files(void **state)
{
    struct scene *scene = *state;
    void *other_state;
    assert_int_equal(damage_setup(&other_state), 0);
    struct scene *other = other_state;
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        struct emlfs_buf mine EMLFS_BUF_CLEANUP;
        struct emlfs_buf theirs EMLFS_BUF_CLEANUP;
        file_take(scene, files[f], &mine);
        file_take(other, files[f], &theirs);
        file_put(scene, files[f], emlfs_buf_view(&theirs));
        assert_found(scene, files[f], 0);
        file_put(scene, files[f], emlfs_buf_view(&mine));
    }
    assert_int_equal(scene_remove(&other_state), 0);
    assert_int_equal(findings_count(scene, true), 0);
}

/* No proof comes out of damaged tiles; they are made again from the records. */
static void test_tiles_rebuilt(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf tile EMLFS_BUF_CLEANUP;
    struct emlfs_buf before EMLFS_BUF_CLEANUP;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    file_take(scene, "tiles/0", &tile);
    file_take(scene, "tiles/0", &before);
    tile.data[20 * EMLFS_HASH_BYTES] ^= 1;
    file_put(scene, "tiles/0", emlfs_buf_view(&tile));
    scene_reopen(scene); /* the edge is whole */
    assert_int_equal(emlfs_ledger_prove(scene->ledger, 20, &text, NULL), -EBADMSG);
    assert_int_equal(emlfs_ledger_prove(scene->ledger, 21, &text, NULL), -EBADMSG);
    scene_close(scene);
    tile.data[(RECORDS - 1) * EMLFS_HASH_BYTES] ^= 1;
    file_put(scene, "tiles/0", emlfs_span_of(tile.data, tile.len));
    assert_int_equal(emlfs_ledger_open(&scene->config, &scene->ledger, NULL, NULL), -EBADMSG);
    assert_int_equal(emlfs_ledger_rebuild_tiles(&scene->config, NULL, NULL), 0);
    emlfs_buf_free(&tile);
    file_take(scene, "tiles/0", &tile);
    assert_true(emlfs_span_equal(emlfs_buf_view(&tile), emlfs_buf_view(&before)));
    scene_reopen(scene);
    assert_int_equal(emlfs_ledger_prove(scene->ledger, 20, &text, NULL), 0);
    scene_close(scene);
    assert_int_equal(findings_count(scene, true), 0);
}

#define DAMAGED(test) cmocka_unit_test_setup_teardown(test, damage_setup, scene_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DAMAGED(test_every_byte_flipped), DAMAGED(test_every_length),
        DAMAGED(test_missing_files),      DAMAGED(test_frames_moved),
        DAMAGED(test_checkpoints_moved),  DAMAGED(test_exchanged_files),
        DAMAGED(test_checkpoints_forged), DAMAGED(test_tiles_rebuilt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
