/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_ARCHIVE_SNAPSHOT_TEST_H
#define EMLFS_TESTS_UNIT_ARCHIVE_SNAPSHOT_TEST_H

#include "life_test.h"

/* All an archive shows, as text: two archives are equal when their snapshots are. */

static inline void line(struct emlfs_buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static inline void line(struct emlfs_buf *out, const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert_true(n > 0 && n < (int)sizeof(text));
    must(emlfs_buf_append(out, text, (size_t)n));
}

/* Read message id whole in pieces; its content replaces out's. 0, or what failed. */
static inline int message_read(struct emlfs_archive *archive, struct emlfs_msg_id id,
                               struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_msg_reader *reader;
    uint8_t piece[40000];
    ssize_t n = 1;
    int rc = emlfs_archive_msg_open(archive, id, &reader, err);
    emlfs_buf_clear(out);
    if (rc < 0)
        return rc;
    while (n > 0) {
        n = emlfs_msg_reader_pread(reader, piece, sizeof(piece), out->len, err);
        if (n > 0)
            must(emlfs_buf_append(out, piece, (size_t)n));
    }
    if (n == 0)
        assert_int_equal(out->len, emlfs_msg_reader_size(reader));
    emlfs_msg_reader_free(reader);
    return (int)n;
}

static inline int message_matches(struct emlfs_archive *archive, struct emlfs_msg_id id,
                                  struct emlfs_span raw)
{
    struct emlfs_buf got = EMLFS_BUF_INIT(64u << 20);
    struct emlfs_hash hash;
    struct emlfs_msg_info info;
    int rc = message_read(archive, id, &got, NULL);
    if (rc == 0) {
        assert_int_equal(got.len, raw.len);
        assert_true(raw.len == 0 || memcmp(got.data, raw.data, raw.len) == 0);
        must(emlfs_archive_msg_info(archive, id, &info, NULL, NULL));
        must(emlfs_sha256(raw, &hash));
        assert_memory_equal(hash.v, info.sha256.v, EMLFS_HASH_BYTES);
        assert_int_equal(info.size_bytes, raw.len);
    }
    emlfs_buf_free(&got);
    return rc;
}

static inline int mail_matches(struct emlfs_archive *archive, struct emlfs_msg_id id,
                               unsigned number)
{
    struct emlfs_buf raw EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 20);
    mail_make(number, &raw);
    return message_matches(archive, id, emlfs_buf_view(&raw));
}

static inline void entry_snapshot(struct emlfs_archive *archive, const struct emlfs_entry *entry,
                                  struct emlfs_buf *out)
{
    struct emlfs_buf facts EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64u << 10);
    struct emlfs_entry found;
    struct emlfs_msg_info info;
    must(emlfs_archive_entry_lookup(archive, entry->folder, entry->name, &found, NULL));
    assert_int_equal(found.id.v, entry->id.v);
    assert_int_equal(found.nlink, entry->nlink);
    must(emlfs_archive_msg_info(archive, entry->id, &info, &facts, NULL));
    assert_int_equal(info.size_bytes, entry->size_bytes);
    line(out,
         "  %llx user %u links %u flags %u size %llu m %lld c %lld %s sha %02x%02x facts %.*s\n",
         (unsigned long long)entry->id.v, entry->user.v, entry->nlink, entry->flags,
         (unsigned long long)entry->size_bytes, (long long)entry->mtime_ns,
         (long long)entry->ctime_ns, entry->name, info.sha256.v[0], info.sha256.v[1],
         (int)facts.len, (const char *)facts.data);
}

static inline void folder_snapshot(struct emlfs_archive *archive, struct emlfs_folder_id id,
                                   unsigned page_size, struct emlfs_buf *out)
{
    struct emlfs_entry *entries = calloc(page_size, sizeof(*entries));
    struct emlfs_entry_page page = {.folder = id, .v = entries, .max = page_size, .n = 1};
    struct emlfs_folder folder;
    uint64_t n = 0;
    must(emlfs_archive_folder_get(archive, id, &folder, NULL));
    line(out, "folder %u in %u user %u made %lld changed %lld holds %llu %s\n", id.v,
         folder.parent.v, folder.user.v, (long long)folder.created_ns, (long long)folder.mtime_ns,
         (unsigned long long)folder.entries, folder.name);
    while (page.n > 0) {
        must(emlfs_archive_entries(archive, &page, NULL));
        assert_true(page.n <= page_size);
        for (unsigned i = 0; i < page.n; i++) {
            assert_true(entries[i].id.v > page.after.v);
            entry_snapshot(archive, &entries[i], out);
            page.after = entries[i].id;
            n++;
        }
    }
    assert_int_equal(n, folder.entries);
    free(entries);
}

static inline void tree_snapshot(struct emlfs_archive *archive, struct emlfs_folder_id parent,
                                 unsigned page_size, struct emlfs_buf *out)
{
    struct emlfs_folder_id after = {0};
    struct emlfs_folder folder, found;
    int rc;
    while ((rc = emlfs_archive_folder_next(archive, parent, after, &folder, NULL)) == 0) {
        after = folder.id;
        must(emlfs_archive_folder_lookup(archive, parent, folder.name, &found, NULL));
        assert_int_equal(found.id.v, folder.id.v);
        folder_snapshot(archive, folder.id, page_size, out);
        tree_snapshot(archive, folder.id, page_size, out);
    }
    assert_int_equal(rc, -ENOENT);
}

static inline void archive_snapshot(struct emlfs_archive *archive, unsigned page_size,
                                    struct emlfs_buf *out)
{
    emlfs_buf_clear(out);
    tree_snapshot(archive, (struct emlfs_folder_id){0}, page_size, out);
}

/*
 * What is written last comes first: of an archive that is being written, the copy of one may then
 * be ahead of those before it, as after a crash, and never behind.
 */
static const char *const copy_order[] = {
    "/catalog/", "/master/", "/ledger/mark", "/ledger/checkpoints", "/ledger/tiles/",
    "/ledger/",  ""};
#define COPY_ORDER_N (sizeof(copy_order) / sizeof(copy_order[0]))

static inline unsigned copy_turn(const char *path)
{
    unsigned turn = 0;
    while (!strstr(path, copy_order[turn]))
        turn++;
    return turn;
}

static inline void file_copy(const char *from, const char *to)
{
    struct emlfs_buf content = EMLFS_BUF_INIT(256u << 20);
    must(emlfs_os_read_file(from, &content));
    must(emlfs_os_replace_file(to, emlfs_buf_view(&content), 0600));
    emlfs_buf_free(&content);
}

static inline void tree_copy_turn(const char *from, const char *to, unsigned turn)
{
    struct dirent **names;
    int n = scandir(from, &names, NULL, NULL);
    assert_true(n >= 0);
    assert_true(mkdir(to, 0700) == 0 || errno == EEXIST);
    for (int i = 0; i < n; i++) {
        char a[600], b[600];
        struct stat st;
        snprintf(a, sizeof(a), "%s/%s", from, names[i]->d_name);
        snprintf(b, sizeof(b), "%s/%s", to, names[i]->d_name);
        if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0 &&
            lstat(a, &st) == 0) {
            if (S_ISDIR(st.st_mode))
                tree_copy_turn(a, b, turn);
            else if (copy_turn(a) == turn)
                file_copy(a, b);
        }
        free(names[i]);
    }
    free(names);
}

/* Copy an archive as a crash would leave it (cp -a, without a shell). */
static inline void tree_copy(const char *from, const char *to)
{
    assert_int_equal(access(to, F_OK), -1);
    for (unsigned turn = 0; turn < COPY_ORDER_N; turn++)
        tree_copy_turn(from, to, turn);
}

#endif
