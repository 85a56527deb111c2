/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_FAKE_ARCHIVE_H
#define EMLFS_TESTS_FAKE_ARCHIVE_H

/*
 * As much of the archive as store/policy uses, in memory, with failure on demand: the N-th change
 * and all after it fail, as if the process had ended there. Included by one test program at a time;
 * its definitions take the place of the library's.
 */
#include "policy_test.h"

#define FAKE_ROWS 64

struct fake_row {
    uint16_t id;
    size_t len;
    uint8_t value[256];
};

struct emlfs_archive {
    struct fake_row rows[FAKE_ROWS]; /* by id */
    struct emlfs_folder folders[FAKE_ROWS];
    unsigned folder_count;
    unsigned changes_left; /* before failing */
    unsigned reads_fail;
    int64_t now_ns;
};

static struct emlfs_archive *fake_new(void)
{
    struct emlfs_archive *archive = calloc(1, sizeof(*archive));
    assert_non_null(archive);
    archive->changes_left = UINT32_MAX;
    archive->now_ns = 1700000000000000000;
    return archive;
}

static int fake_change(struct emlfs_archive *archive, struct emlfs_err *err)
{
    if (archive->changes_left == 0)
        return emlfs_err_set(err, EIO, "fake", "no more changes");
    archive->changes_left--;
    return 0;
}

int64_t emlfs_archive_now_ns(const struct emlfs_archive *archive)
{
    return archive->now_ns;
}

static struct fake_row *fake_row(struct emlfs_archive *archive, struct emlfs_span key)
{
    assert_int_equal(key.len, 2);
    unsigned id = (unsigned)key.data[0] << 8 | key.data[1];
    assert_in_range(id, 1, FAKE_ROWS - 1);
    archive->rows[id].id = (uint16_t)id;
    return &archive->rows[id];
}

int emlfs_archive_master_put(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_span value, struct emlfs_err *err)
{
    struct fake_row *row = fake_row(archive, key);

    assert_int_equal(kind, EMLFS_MASTER_USER);
    int r = fake_change(archive, err);
    if (r < 0)
        return r;
    assert_true(value.len <= sizeof(row->value));
    if (value.len)
        memcpy(row->value, value.data, value.len);
    row->len = value.len;
    return 0;
}

int emlfs_archive_master_get(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_buf *ret_value,
                             struct emlfs_err *err)
{
    const struct fake_row *row = fake_row(archive, key);

    (void)err;
    assert_int_equal(kind, EMLFS_MASTER_USER);
    return row->len ? emlfs_buf_append(ret_value, row->value, row->len) : -ENOENT;
}

int emlfs_archive_master_walk(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                              int (*each)(void *arg, struct emlfs_span key,
                                          struct emlfs_span value),
                              void *arg, struct emlfs_err *err)
{
    int r = 0;

    assert_int_equal(kind, EMLFS_MASTER_USER);
    if (archive->reads_fail)
        return emlfs_err_set(err, EIO, "fake", "no reading");
    for (unsigned id = 1; id < FAKE_ROWS && r == 0; id++) {
        const uint8_t key[2] = {0, (uint8_t)id};
        const struct fake_row *row = &archive->rows[id];
        if (row->len)
            r = each(arg, emlfs_span_of(key, 2), emlfs_span_of(row->value, row->len));
    }
    return r;
}

static bool fake_same(const char *a, const char *b)
{
    struct emlfs_buf x = EMLFS_BUF_INIT(1000);
    struct emlfs_buf y = EMLFS_BUF_INIT(1000);

    assert_int_equal(emlfs_name_fold(a, &x), 0);
    assert_int_equal(emlfs_name_fold(b, &y), 0);
    bool same = emlfs_span_equal(emlfs_buf_view(&x), emlfs_buf_view(&y));
    emlfs_buf_free(&x);
    emlfs_buf_free(&y);
    return same;
}

static struct emlfs_folder *fake_folder(struct emlfs_archive *archive, const char *name)
{
    for (unsigned i = 0; i < archive->folder_count; i++)
        if (fake_same(archive->folders[i].name, name))
            return &archive->folders[i];
    return NULL;
}

int emlfs_archive_folder_make(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                              const struct emlfs_folder_wanted *wanted,
                              struct emlfs_folder_id *ret_id, struct emlfs_err *err)
{
    struct emlfs_folder *folder = fake_folder(archive, wanted->name);

    (void)actor;
    assert_int_equal(wanted->parent.v, 0);
    if (!folder) {
        int r = fake_change(archive, err);
        if (r < 0)
            return r;
        assert_true(archive->folder_count < FAKE_ROWS);
        folder = &archive->folders[archive->folder_count++];
        folder->id.v = archive->folder_count;
        folder->user = wanted->user;
        snprintf(folder->name, sizeof(folder->name), "%s", wanted->name);
    }
    *ret_id = folder->id;
    return 0;
}

int emlfs_archive_folder_get(struct emlfs_archive *archive, struct emlfs_folder_id id,
                             struct emlfs_folder *ret, struct emlfs_err *err)
{
    if (id.v == 0 || id.v > archive->folder_count)
        return emlfs_err_set(err, ENOENT, "fake", "no folder");
    *ret = archive->folders[id.v - 1];
    return 0;
}

int emlfs_archive_folder_rename(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                const char *name, struct emlfs_err *err)
{
    struct emlfs_folder *other = fake_folder(archive, name);

    assert_in_range(id.v, 1, archive->folder_count);
    if (other && other->id.v != id.v)
        return emlfs_err_set(err, EEXIST, "fake", "a folder has that name");
    int r = fake_change(archive, err);
    if (r < 0)
        return r;
    struct emlfs_folder *folder = &archive->folders[id.v - 1];
    snprintf(folder->name, sizeof(folder->name), "%s", name);
    return 0;
}

#endif
