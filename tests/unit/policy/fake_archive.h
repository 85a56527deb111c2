/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_FAKE_ARCHIVE_H
#define EMLFS_TESTS_FAKE_ARCHIVE_H

/*
 * As much of the archive as store/policy uses, in memory, with failure on demand: the N-th change
 * and all after it fail, as if the process had ended there. Included by one test program at a time;
 * its definitions take the place of the library's.
 */
#include "policy_test.h"

#include <pthread.h>

#include "emlfs/change.h"
#include "emlfs/stores.h"

#define FAKE_FOLDERS 64
#define FAKE_RECORDS 512
#define FAKE_STORES 8

struct fake_row {
    enum emlfs_master_kind kind;
    struct emlfs_buf key, value;
};
/* What the ledger was told, texts copied. */
struct fake_record {
    uint16_t kind, outcome;
    bool has_actor;
    struct emlfs_actor actor;
    struct emlfs_user_id owner;
    struct emlfs_msg_id message;
    struct emlfs_folder_id folder;
    uint64_t object;
    char name[EMLFS_LEDGER_NAME_MAX_BYTES + 1];
    char detail[EMLFS_LEDGER_DETAIL_MAX_BYTES + 1];
};

struct emlfs_archive {
    pthread_mutex_t write_lock, lock; /* lock: of everything below */
    struct fake_row *rows;            /* by kind and key */
    size_t rows_n;
    struct emlfs_folder folders[FAKE_FOLDERS];
    unsigned folder_count;
    unsigned changes_left; /* before failing */
    unsigned reads_fail;
    int64_t now_ns;
    uint64_t generation;
    struct fake_record records[FAKE_RECORDS];
    unsigned records_n;
    unsigned walks; /* of master rows */
    bool read_only;
    enum emlfs_store_state states[FAKE_STORES]; /* by store number */
    void (*before_check)(void *arg);            /* as if somebody else were quicker */
    void *before_arg;
};

static struct emlfs_archive *fake_new(void)
{
    struct emlfs_archive *archive = calloc(1, sizeof(*archive));
    assert_non_null(archive);
    pthread_mutex_init(&archive->write_lock, NULL);
    pthread_mutex_init(&archive->lock, NULL);
    archive->changes_left = UINT32_MAX;
    archive->now_ns = 1700000000000000000;
    archive->generation = 1;
    return archive;
}

static void fake_row_free(struct fake_row *row)
{
    emlfs_buf_free(&row->key);
    emlfs_buf_free(&row->value);
}

/* Everything as new, the locks apart. */
static void fake_clear(struct emlfs_archive *archive)
{
    for (size_t i = 0; i < archive->rows_n; i++)
        fake_row_free(&archive->rows[i]);
    free(archive->rows);
    archive->rows = NULL;
    archive->rows_n = 0;
    archive->folder_count = 0;
    archive->records_n = 0;
    archive->changes_left = UINT32_MAX;
}

static void fake_free(struct emlfs_archive *archive)
{
    fake_clear(archive);
    pthread_mutex_destroy(&archive->write_lock);
    pthread_mutex_destroy(&archive->lock);
    free(archive);
}

static int fake_change(struct emlfs_archive *archive, struct emlfs_err *err)
{
    if (archive->read_only)
        return emlfs_err_set(err, EROFS, "fake", "read-only");
    if (archive->changes_left == 0)
        return emlfs_err_set(err, EIO, "fake", "no more changes");
    archive->changes_left--;
    return 0;
}

int64_t emlfs_archive_now_ns(const struct emlfs_archive *archive)
{
    return archive->now_ns;
}

static int fake_order(const struct fake_row *row, enum emlfs_master_kind kind,
                      struct emlfs_span key)
{
    size_t len = row->key.len < key.len ? row->key.len : key.len;

    if (row->kind != kind)
        return row->kind < kind ? -1 : 1;
    int order = len ? memcmp(row->key.data, key.data, len) : 0;
    if (order != 0)
        return order;
    return row->key.len < key.len ? -1 : row->key.len > key.len;
}

/* The first row not before kind and key. */
static size_t fake_seek(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                        struct emlfs_span key)
{
    size_t low = 0;
    size_t high = archive->rows_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (fake_order(&archive->rows[middle], kind, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct fake_row *fake_find(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                                  struct emlfs_span key)
{
    size_t at = fake_seek(archive, kind, key);

    if (at == archive->rows_n || fake_order(&archive->rows[at], kind, key) != 0)
        return NULL;
    return &archive->rows[at];
}

static void fake_drop(struct emlfs_archive *archive, struct fake_row *row)
{
    size_t at = (size_t)(row - archive->rows);

    fake_row_free(row);
    memmove(row, row + 1, (archive->rows_n - at - 1) * sizeof(*row));
    archive->rows_n--;
}

static struct fake_row *fake_insert(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                                    struct emlfs_span key)
{
    size_t at = fake_seek(archive, kind, key);

    archive->rows = reallocarray(archive->rows, archive->rows_n + 1, sizeof(*archive->rows));
    assert_non_null(archive->rows);
    memmove(&archive->rows[at + 1], &archive->rows[at],
            (archive->rows_n - at) * sizeof(*archive->rows));
    archive->rows_n++;
    archive->rows[at] = (struct fake_row){kind, EMLFS_BUF_INIT(256), EMLFS_BUF_INIT(1 << 16)};
    assert_int_equal(emlfs_buf_append(&archive->rows[at].key, key.data, key.len), 0);
    return &archive->rows[at];
}

/* Write a row whatever it is; no value: remove it. */
static void fake_put(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                     struct emlfs_span key, struct emlfs_span value)
{
    struct fake_row *row = fake_find(archive, kind, key);

    if (row && value.len == 0)
        fake_drop(archive, row);
    if (value.len == 0)
        return;
    if (!row)
        row = fake_insert(archive, kind, key);
    emlfs_buf_clear(&row->value);
    assert_int_equal(emlfs_buf_append(&row->value, value.data, value.len), 0);
}

int emlfs_archive_master_put(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_span value, struct emlfs_err *err)
{
    pthread_mutex_lock(&archive->write_lock);
    pthread_mutex_lock(&archive->lock);
    int r = fake_change(archive, err);
    if (r == 0)
        fake_put(archive, kind, key, value);
    pthread_mutex_unlock(&archive->lock);
    pthread_mutex_unlock(&archive->write_lock);
    return r;
}

int emlfs_archive_master_get(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                             struct emlfs_span key, struct emlfs_buf *ret_value,
                             struct emlfs_err *err)
{
    (void)err;
    pthread_mutex_lock(&archive->lock);
    const struct fake_row *row = fake_find(archive, kind, key);
    int r = row ? emlfs_buf_append(ret_value, row->value.data, row->value.len) : -ENOENT;
    pthread_mutex_unlock(&archive->lock);
    return r;
}

int emlfs_archive_master_walk(struct emlfs_archive *archive, enum emlfs_master_kind kind,
                              int (*each)(void *arg, struct emlfs_span key,
                                          struct emlfs_span value),
                              void *arg, struct emlfs_err *err)
{
    int r = 0;

    if (archive->reads_fail)
        return emlfs_err_set(err, EIO, "fake", "no reading");
    pthread_mutex_lock(&archive->lock);
    archive->walks++;
    for (size_t i = 0; i < archive->rows_n && r == 0; i++)
        if (archive->rows[i].kind == kind)
            r = each(arg, emlfs_buf_view(&archive->rows[i].key),
                     emlfs_buf_view(&archive->rows[i].value));
    pthread_mutex_unlock(&archive->lock);
    return r;
}

/* ---- changes with their record */

static void fake_text(char *out, size_t size, struct emlfs_span text)
{
    assert_true(text.len < size);
    snprintf(out, size, "%.*s", (int)text.len, (const char *)text.data);
}

static void fake_note(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const struct emlfs_ledger_record *record)
{
    struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_LEDGER_RECORD_MAX_BYTES);
    struct fake_record *note = &archive->records[archive->records_n % FAKE_RECORDS];

    assert_int_equal(emlfs_ledger_record_encode(record, &bytes), 0);
    emlfs_buf_free(&bytes);
    archive->records_n++;
    *note = (struct fake_record){.kind = record->kind,
                                 .outcome = record->outcome,
                                 .has_actor = actor != NULL,
                                 .owner = record->owner,
                                 .message = record->message,
                                 .folder = record->folder,
                                 .object = record->object};
    if (actor)
        note->actor = *actor;
    fake_text(note->name, sizeof(note->name), record->name);
    fake_text(note->detail, sizeof(note->detail), record->detail);
}

/* The last record but back. */
__attribute__((unused)) static const struct fake_record *
fake_last(const struct emlfs_archive *archive, unsigned back)
{
    assert_true(archive->records_n > back);
    return &archive->records[(archive->records_n - 1 - back) % FAKE_RECORDS];
}

int emlfs_archive_record(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                         const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    pthread_mutex_lock(&archive->lock);
    int r = fake_change(archive, err);
    if (r == 0)
        fake_note(archive, actor, record);
    pthread_mutex_unlock(&archive->lock);
    return r;
}

uint64_t emlfs_archive_generation(struct emlfs_archive *archive)
{
    return __atomic_load_n(&archive->generation, __ATOMIC_SEQ_CST);
}

static void fake_bump(struct emlfs_archive *archive)
{
    __atomic_add_fetch(&archive->generation, 1, __ATOMIC_SEQ_CST);
}

int emlfs_archive_master_change(struct emlfs_archive *archive,
                                const struct emlfs_master_change *change, struct emlfs_err *err)
{
    void (*before)(void *arg) = archive->before_check;

    assert_in_range(change->n, 1, EMLFS_MASTER_CHANGE_ROWS_MAX);
    archive->before_check = NULL;
    if (before)
        before(archive->before_arg);
    pthread_mutex_lock(&archive->write_lock);
    int r = change->check ? change->check(change->arg, err) : 0;
    pthread_mutex_lock(&archive->lock);
    if (r == 0)
        r = fake_change(archive, err);
    for (size_t i = 0; r == 0 && i < change->n; i++)
        fake_put(archive, change->rows[i].kind, change->rows[i].key, change->rows[i].value);
    if (r == 0) {
        fake_note(archive, change->actor, change->record);
        fake_bump(archive);
    }
    pthread_mutex_unlock(&archive->lock);
    pthread_mutex_unlock(&archive->write_lock);
    return r;
}

/* ---- stores */

enum emlfs_store_state emlfs_archive_store_state(struct emlfs_archive *archive, uint16_t no)
{
    return no < FAKE_STORES ? archive->states[no] : EMLFS_STORE_DETACHED;
}

bool emlfs_archive_store_shown(struct emlfs_archive *archive, uint16_t no)
{
    return emlfs_archive_store_state(archive, no) <= EMLFS_STORE_WRITE_PROTECTED;
}

bool emlfs_archive_all_protected(struct emlfs_archive *archive)
{
    return archive->states[1] == EMLFS_STORE_WRITE_PROTECTED;
}

/* ---- folders */

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
        if (archive->folders[i].parent.v == 0 && fake_same(archive->folders[i].name, name))
            return &archive->folders[i];
    return NULL;
}

int emlfs_archive_folder_make(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                              struct emlfs_user_id user, const char *name,
                              struct emlfs_folder_id *ret_id, struct emlfs_err *err)
{
    struct emlfs_folder *folder = fake_folder(archive, name);

    assert_int_equal(parent.v, 0);
    if (!folder) {
        int r = fake_change(archive, err);
        if (r < 0)
            return r;
        assert_true(archive->folder_count < FAKE_FOLDERS);
        folder = &archive->folders[archive->folder_count++];
        folder->id.v = archive->folder_count;
        folder->user = user;
        snprintf(folder->name, sizeof(folder->name), "%s", name);
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
