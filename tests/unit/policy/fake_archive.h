/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_FAKE_ARCHIVE_H
#define EMLFS_TESTS_FAKE_ARCHIVE_H

/* The rest of the fake archive: records, stores and folders. */
#include "fake_rows.h"

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
        assert_true(archive->folder_count < FAKE_FOLDERS);
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
