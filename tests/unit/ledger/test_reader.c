/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The independent reader sees the same ledger, checks the same proofs, and notices damage. */
#include "ledger_test.h"

#define READER EMLFS_SOURCE_DIR "/tests/reader/read_ledger.py"

static bool reader_missing(void)
{
    return RUN("/usr/bin/python3", "-c", "import cryptography, zstandard") != 0;
}

static char master_hex[2 * EMLFS_KEY_BYTES + 1];

static int reader_run(struct scene *scene)
{
    for (unsigned i = 0; i < EMLFS_KEY_BYTES; i++)
        snprintf(master_hex + 2 * (size_t)i, 3, "%02x", scene->config.master.v[i]);
    return RUN("/usr/bin/python3", "-B", READER, "check", "--ledger", scene->dir, "--master",
               master_hex);
}

static int proof_run(struct scene *scene, struct emlfs_span text)
{
    assert_int_equal(chdir(scene->root), 0);
    file_write("proof", text);
    return RUN("/usr/bin/python3", "-B", READER, "proof", "proof", "key.pem");
}

static void test_reader(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    struct emlfs_buf pem EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    if (reader_missing())
        skip();
    assert_int_equal(reader_run(scene), 0); /* of nothing */
    assert_int_equal(emlfs_ledger_checkpoint_pem(scene->ledger, &pem), 0);
    assert_int_equal(chdir(scene->root), 0);
    file_write("key.pem", emlfs_buf_view(&pem));
    for (uint64_t size = 0; size < 70000; size += size < 1000 ? 37 : 9000) {
        size_t step = size < 1000 ? 37 : 9000;
        assert_int_equal(records_append(scene->ledger, size, step), 0);
        if (size % 5 == 0)
            assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    }
    assert_int_equal(emlfs_ledger_prove(scene->ledger, 66000, &text, NULL), 0);
    assert_int_equal(proof_run(scene, emlfs_buf_view(&text)), 0);
    text.data[text.len / 2] ^= 1;
    assert_int_equal(proof_run(scene, emlfs_buf_view(&text)), 1);
    assert_int_equal(emlfs_ledger_prove_consistency(scene->ledger, 777, &text, NULL), 0);
    assert_int_equal(proof_run(scene, emlfs_buf_view(&text)), 0);
    text.data[60] ^= 1;
    assert_int_equal(proof_run(scene, emlfs_buf_view(&text)), 1);
    assert_int_equal(reader_run(scene), 0); /* as it is while open */
    scene_close(scene);
    assert_int_equal(reader_run(scene), 0);
}

static void test_reader_notices(void **state)
{
    struct scene *scene = *state;
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    static const char *const names[] = {
        "records/00000001.log", "tiles/0", "tiles/1", "mark", "keys", "checkpoints"};
    if (reader_missing())
        skip();
    assert_int_equal(records_append(scene->ledger, 0, 300), 0);
    assert_int_equal(emlfs_ledger_checkpoint(scene->ledger, &text, NULL), 0);
    scene_close(scene);
    for (unsigned i = 0; i < 6; i++) {
        struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1 << 20);
        char path[LEDGER_PATH_MAX_BYTES];
        assert_int_equal(ledger_path(scene->dir, names[i], path), 0);
        assert_int_equal(emlfs_os_read_file(path, &file), 0);
        file.data[file.len / 2] ^= 1;
        file_write(path, emlfs_buf_view(&file));
        assert_int_equal(reader_run(scene), 1);
        file.data[file.len / 2] ^= 1;
        file_write(path, emlfs_buf_view(&file));
    }
    assert_int_equal(reader_run(scene), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {IN_SCENE(test_reader), IN_SCENE(test_reader_notices)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
