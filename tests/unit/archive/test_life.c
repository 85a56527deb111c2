/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "snapshot_test.h"

#include "emlfs/name.h"

/* What an archive does for its users from init to recover, on generated mail. */

static void test_init_and_keys(void **state)
{
    struct life *life = *state;
    struct emlfs_err err;
    char file[128], typed[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_archive_options options = {.path = life->path};
    assert_int_equal(life_try_open(life, life->path, &err), -ENOENT);
    must(emlfs_os_mkdir(life->path, 0755)); /* an empty directory is welcome */
    life_init(life);
    assert_int_equal(emlfs_archive_init(life->path, NULL, typed, &err), -EEXIST);
    assert_int_equal(emlfs_archive_init(life->dir, NULL, typed, &err), -EEXIST);
    assert_true(err.code == EEXIST && err.text[0]);
    life_open(life);
    assert_int_equal(emlfs_archive_get_settings(life->archive)->commit_ms, 20);
    assert_int_equal(emlfs_archive_get_settings(life->archive)->store_messages, 5000000);
    assert_string_equal(emlfs_archive_get_settings(life->archive)->timezone, "UTC");
    assert_string_equal(emlfs_archive_name(life->archive), "archive");
    assert_int_equal(strlen(emlfs_archive_uuid(life->archive)), 36);
    struct emlfs_archive *second;
    assert_int_equal(emlfs_archive_open(&options, &second, &err), -EBUSY);
    life_close(life);

    options.recovery_key = typed;
    for (unsigned i = 0; life->recovery[i]; i++) { /* lower case, blanks for dashes: the same key */
        typed[i] = life->recovery[i] == '-' ? ' ' : life->recovery[i];
        typed[i + 1] = '\0';
    }
    must(emlfs_archive_open(&options, &second, &err));
    must(emlfs_archive_close(second, NULL));
    for (unsigned i = 0; life->recovery[i]; i++) {
        if (typed[i] == ' ')
            continue;
        char right = typed[i];
        typed[i] = right == '7' ? '8' : '7';
        assert_int_equal(emlfs_archive_open(&options, &second, &err), -EINVAL);
        typed[i] = right;
    }
    typed[20] = '\0';
    assert_int_equal(emlfs_archive_open(&options, &second, &err), -EINVAL);

    snprintf(file, sizeof(file), "%s/keys/machine.key", life->path);
    must(unlink(file));
    assert_int_equal(life_try_open(life, life->path, &err), -ENOKEY);
    static const char wrong[] =
        "0000000000000000000000000000000000000000000000000000000000000000\n";
    must(emlfs_os_replace_file(file, emlfs_span_str(wrong), 0600));
    assert_int_equal(life_try_open(life, life->path, &err), -ENOKEY);
    assert_non_null(strstr(err.text, "slot"));
    options.recovery_key = life->recovery;
    must(emlfs_archive_open(&options, &second, &err));
    must(emlfs_archive_close(second, NULL));
}

static void test_settings(void **state)
{
    struct life *life = *state;
    struct emlfs_archive_settings settings = {.block_bytes = 4095};
    const struct emlfs_init_options options = {.settings = &settings, .name = "x"};
    char key[EMLFS_RECOVERY_KEY_TEXT_MAX];
    assert_int_equal(emlfs_archive_init(life->path, &options, key, NULL), -EINVAL);
    settings = (struct emlfs_archive_settings){.zstd_level = 20};
    assert_int_equal(emlfs_archive_init(life->path, &options, key, NULL), -EINVAL);
    assert_int_equal(access(life->path, F_OK), -1);
    settings = (struct emlfs_archive_settings){.store_messages = 7, .zstd_level = 1};
    must(emlfs_archive_init(life->path, &options, key, NULL));
    life_open(life);
    assert_int_equal(emlfs_archive_get_settings(life->archive)->store_messages, 7);
    life_close(life);
    char file[128];
    struct emlfs_buf text = EMLFS_BUF_INIT(8192);
    struct emlfs_err err;
    snprintf(file, sizeof(file), "%s/emlfs.json", life->path);
    must(emlfs_os_read_file(file, &text));
    for (size_t i = 0; i < text.len; i++) { /* no byte of the clear text may be altered */
        text.data[i] ^= 1;
        must(emlfs_os_replace_file(file, emlfs_buf_view(&text), 0644));
        int rc = life_try_open(life, life->path, &err);
        assert_true(rc == -EBADMSG || rc == -EPROTONOSUPPORT);
        text.data[i] ^= 1;
    }
    emlfs_buf_free(&text);
}

static void read_ranges(struct life *life, struct emlfs_msg_id id, struct emlfs_span raw)
{
    struct dice dice = {.state = id.v};
    struct emlfs_msg_reader *reader;
    uint8_t *got = malloc(raw.len + 10);
    must(emlfs_archive_msg_open(life->archive, id, &reader, NULL));
    assert_int_equal(emlfs_msg_reader_size(reader), raw.len);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t offset = dice_roll(&dice, (uint32_t)raw.len + 5);
        size_t len = dice_roll(&dice, i % 2 ? 3000 : (uint32_t)raw.len + 10);
        size_t left = offset < raw.len ? raw.len - (size_t)offset : 0;
        ssize_t n = emlfs_msg_reader_pread(reader, got, len, offset, NULL);
        assert_int_equal(n, len < left ? len : left);
        assert_true(n == 0 || memcmp(got, raw.data + offset, (size_t)n) == 0);
    }
    assert_int_equal(emlfs_msg_reader_pread(reader, got, 10, UINT64_MAX, NULL), 0);
    emlfs_msg_reader_free(reader);
    free(got);
}

static void big_mail(unsigned which, struct emlfs_buf *out)
{
    static const struct part part = {.line = 76, .crlf = true};
    struct dice dice = {.state = 99 + which};
    buf_text(out, "Subject: big\r\n\r\n");
    if (which == 0)
        part_append(out, &dice, 3u << 20, &part);
    else if (which == 1)
        for (unsigned i = 0; i < 5u << 20; i += 8)
            buf_text(out, "one line");
    else
        for (unsigned i = 0; i < 2u << 20; i++)
            must(emlfs_buf_append_u8(out, 0));
}

static void ingest_many(struct life *life, unsigned count)
{
    struct emlfs_folder_id top = life_top(life, USER),
                           inbox = life_folder(life, top, USER, "Inbox");
    struct emlfs_buf raw = EMLFS_BUF_INIT(16u << 20);
    unsigned at[3];
    life_begin(life, "test:many");
    for (unsigned n = 0; n < count; n++) {
        assert_int_equal(life_put_mail(life, n % 3 ? inbox : top, USER, n), n + n / 100);
        if (n % 100 == 99) {
            emlfs_buf_clear(&raw);
            big_mail(n / 100, &raw);
            at[n / 100] = life_put(life, inbox, USER, emlfs_buf_view(&raw));
        }
    }
    life_end(life, true);
    assert_int_equal(life->totals.archived, count + 3);
    for (unsigned n = 0; n < count; n++) {
        const struct result *result = &life->results[n + n / 100];
        assert_int_equal(result->verdict, EMLFS_INGEST_ARCHIVED);
        must(mail_matches(life->archive, result->id, n));
        emlfs_buf_clear(&raw);
        mail_make(n, &raw);
        read_ranges(life, result->id, emlfs_buf_view(&raw));
    }
    for (unsigned i = 0; i < 3; i++) {
        emlfs_buf_clear(&raw);
        big_mail(i, &raw);
        must(message_matches(life->archive, life->results[at[i]].id, emlfs_buf_view(&raw)));
        read_ranges(life, life->results[at[i]].id, emlfs_buf_view(&raw));
    }
    emlfs_buf_free(&raw);
}

static void read_back(struct life *life, unsigned workers, uint32_t block_bytes)
{
    struct emlfs_buf before = EMLFS_BUF_INIT(4u << 20), after = EMLFS_BUF_INIT(4u << 20);
    struct emlfs_archive_status status;
    bool has;
    life->workers = workers;
    life->settings.block_bytes = block_bytes;
    life_init(life);
    life_open(life);
    ingest_many(life, 300);
    life_verify_clean(life);
    archive_snapshot(life->archive, 64, &before);
    struct emlfs_msg_id last = life->results[life->results_n - 1].id;
    struct emlfs_msg_id next[4];
    unsigned n;
    must(emlfs_archive_msg_neighbours(life->archive, last, next, 4, &n, NULL));
    assert_int_equal(n, 0);
    assert_int_equal(emlfs_archive_msg_neighbours(life->archive, (struct emlfs_msg_id){last.v + 1},
                                                  next, 4, &n, NULL),
                     -ENOENT);
    must(emlfs_archive_get_status(life->archive, &status, NULL));
    assert_int_equal(status.messages, 303);
    assert_true(status.writable && status.bytes_on_disk > 0);
    life_close(life);
    life_open(life);
    archive_snapshot(life->archive, 7, &after);
    assert_true(emlfs_span_equal(emlfs_buf_view(&before), emlfs_buf_view(&after)));
    /* A second run takes nothing, whatever the workers. */
    life_begin(life, "test:many");
    for (unsigned i = 0; i < 300; i++)
        life_put_mail(life, (struct emlfs_folder_id){i % 3 ? 2 : 1}, USER, i);
    life_end(life, true);
    assert_int_equal(life->totals.duplicates, 300);
    assert_int_equal(life->totals.new_entries + life->totals.archived + life->totals.moved, 0);
    struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
    mail_make(5, &raw);
    must(emlfs_archive_has(life->archive, USER, emlfs_buf_view(&raw), &has, NULL));
    assert_true(has);
    must(emlfs_archive_has(life->archive, OTHER, emlfs_buf_view(&raw), &has, NULL));
    assert_false(has);
    raw.data[3] ^= 1;
    must(emlfs_archive_has(life->archive, USER, emlfs_buf_view(&raw), &has, NULL));
    assert_false(has);
    life_verify_clean(life);
    life_verify_clean(life);
    emlfs_buf_free(&raw);
    emlfs_buf_free(&before);
    emlfs_buf_free(&after);
}

static void test_read_back_one_worker(void **state)
{
    read_back(*state, 1, 4096);
}

static void test_read_back_three_workers(void **state)
{
    read_back(*state, 3, 0);
}

/* Blocks of which at first only what is said of the messages was wanted, in any order. */
static void test_info_before_text(void **state)
{
    struct life *life = *state;
    struct dice dice = {.state = 7};
    life->settings.block_bytes = 64u << 10;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER);
    life_begin(life, "test:info");
    for (unsigned n = 0; n < 120; n++)
        life_put_mail(life, top, USER, n);
    life_end(life, true);
    for (unsigned turn = 0; turn < 4; turn++) {
        life_close(life); /* nothing decompressed is left */
        life_open(life);
        for (unsigned i = 0; i < 200; i++) {
            unsigned n = dice_roll(&dice, 120);
            struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
            struct emlfs_msg_info info;
            mail_make(n, &raw);
            must(emlfs_archive_msg_info(life->archive, life->results[n].id, &info, NULL, NULL));
            assert_int_equal(info.size_bytes, raw.len);
            if (dice_roll(&dice, turn + 1) == turn)
                must(mail_matches(life->archive, life->results[n].id, n));
            emlfs_buf_free(&raw);
        }
    }
    for (unsigned n = 0; n < 120; n++)
        must(mail_matches(life->archive, life->results[n].id, n));
}

static uint32_t nlink_of(struct life *life, struct emlfs_user_id user, struct emlfs_msg_id id)
{
    struct emlfs_entry entry;
    int rc = emlfs_archive_entry_of(life->archive, user, id, &entry, NULL);
    if (rc == 0)
        assert_int_equal(entry.user.v, user.v);
    return rc == 0 ? entry.nlink : 0;
}

/* The same content again: in an open block, behind a closed one, and behind a commit. */
static void duplicates(struct life *life, unsigned between, bool flush)
{
    struct emlfs_folder_id a = life_top(life, USER), b = life_folder(life, a, USER, "B");
    struct emlfs_folder_id c = life_top(life, OTHER);
    unsigned base = between * 1000 + (flush ? 500000 : 0) + 1, first, at[4];
    life_begin(life, "test:duplicates");
    first = life_put_mail(life, a, USER, base);
    for (unsigned i = 1; i <= between; i++)
        life_put_mail(life, a, USER, base + i);
    if (flush)
        must(emlfs_ingest_flush(life->ingest, NULL));
    at[0] = life_put_mail(life, a, USER, base);
    at[1] = life_put_mail(life, b, USER, base);
    at[2] = life_put_mail(life, c, OTHER, base);
    at[3] = life_put_mail(life, c, OTHER, base);
    life_end(life, true);
    assert_int_equal(life->totals.archived, 1 + between);
    assert_int_equal(life->totals.duplicates, 4);
    assert_int_equal(life->totals.new_entries, 2);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(life->results[at[i]].verdict, EMLFS_INGEST_DUPLICATE);
        assert_int_equal(life->results[at[i]].new_entry, i == 1 || i == 2);
        assert_int_equal(life->results[at[i]].id.v, life->results[first].id.v);
    }
    assert_int_equal(nlink_of(life, USER, life->results[first].id), 2);
    assert_int_equal(nlink_of(life, OTHER, life->results[first].id), 1);
    life_verify_clean(life);
}

static void test_duplicates(void **state)
{
    struct life *life = *state;
    life->settings.block_bytes = 8192;
    life->settings.commit_ms = 60000; /* nothing commits by itself: blocks close, uncommitted */
    life_init(life);
    life_open(life);
    duplicates(life, 0, false);
    duplicates(life, 1, false);
    duplicates(life, 100, false);
    duplicates(life, 0, true);
    duplicates(life, 50, true);
}

/* One message in more folders than an open block describes. */
static void test_many_links(void **state)
{
    struct life *life = *state;
    struct emlfs_folder_id top;
    const unsigned folders = 1100;
    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    life_begin(life, "test:links");
    for (unsigned i = 0; i < folders; i++)
        life_put_mail(life, (struct emlfs_folder_id){top.v + 1 + i}, USER, 1);
    life_end(life, true);
    assert_int_equal(life->totals.archived, 1);
    assert_int_equal(life->totals.new_entries, folders - 1);
    assert_int_equal(nlink_of(life, USER, life->results[0].id), folders);
    life_verify_clean(life);
}

static struct emlfs_folder_id where(struct life *life, struct emlfs_msg_id id)
{
    struct emlfs_entry entry;
    must(emlfs_archive_entry_of(life->archive, USER, id, &entry, NULL));
    assert_int_equal(entry.nlink, 1);
    return entry.folder;
}

static void test_moves(void **state)
{
    struct life *life = *state;
    struct emlfs_folder_id a, b;
    struct emlfs_msg_id id;
    life_init(life);
    life_open(life);
    a = life_top(life, USER);
    b = life_folder(life, a, USER, "B");
    life_begin(life, "maildir:one");
    for (unsigned n = 0; n < 5; n++)
        life_put_mail(life, a, USER, n);
    life_end(life, true);
    id = life->results[2].id;
    /* In another run the message is in B, but the source was not read to its end. */
    life_begin(life, "maildir:one");
    life_put_mail(life, b, USER, 2);
    life_end(life, false);
    assert_int_equal(life->totals.moved, 0);
    assert_int_equal(nlink_of(life, USER, id), 2);
    life_close(life);
    life_open(life);
    /* Another source that has it nowhere else decides nothing. */
    life_begin(life, "maildir:two");
    life_put_mail(life, b, USER, 2);
    life_end(life, true);
    assert_int_equal(nlink_of(life, USER, id), 2);
    /* A complete run that sees both places leaves both. */
    life_begin(life, "maildir:one");
    life_put_mail(life, a, USER, 2);
    life_put_mail(life, b, USER, 2);
    life_end(life, true);
    assert_int_equal(life->totals.moved, 0);
    assert_int_equal(nlink_of(life, USER, id), 2);
    life_verify_clean(life);
    life_close(life);
    life_open(life);
    /* A complete run with 3 in B only moves it. */
    life_begin(life, "maildir:one");
    life_put_mail(life, b, USER, 3);
    life_end(life, true);
    assert_int_equal(life->totals.moved, 1);
    assert_int_equal(where(life, life->results[0].id).v, b.v);
    /* And back again, incomplete first, then complete, across reopening. */
    life_begin(life, "maildir:one");
    life_put_mail(life, a, USER, 3);
    life_end(life, false);
    assert_int_equal(nlink_of(life, USER, life->results[0].id), 2);
    life_close(life);
    life_open(life);
    life_begin(life, "maildir:one");
    life_put_mail(life, a, USER, 3);
    life_end(life, true);
    assert_int_equal(life->totals.moved, 1);
    assert_int_equal(where(life, life->results[0].id).v, a.v);
    life_verify_clean(life);
}

static int prepare_picky(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                         struct emlfs_err *err)
{
    if (item->raw.data[0] == 'X')
        return emlfs_err_set(err, EILSEQ, "test", "not to my taste");
    return life_prepare(arg, worker, item, err);
}

static void test_rejects(void **state)
{
    struct life *life = *state;
    struct emlfs_ingest_options options = {
        .prepare = prepare_picky, .done = life_done, .arg = life};
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER);
    must(emlfs_ingest_begin(life->archive, &options, &life->ingest, NULL));
    life_put(life, top, USER, (struct emlfs_span){0});
    life_put_mail(life, top, USER, 1);
    life_put(life, top, USER, emlfs_span_str("X-Header: rejected\n\nbody"));
    life_put(life, top, USER, emlfs_span_str("A"));
    life_end(life, true);
    assert_int_equal(life->totals.rejected, 2);
    assert_int_equal(life->totals.archived, 2);
    assert_int_equal(life->results[0].code, EILSEQ);
    assert_int_equal(life->results[2].code, EILSEQ);
    assert_int_equal(life->results[0].verdict, EMLFS_INGEST_REJECTED);
    life_begin(life, NULL); /* an empty run */
    life_end(life, true);
    life_verify_clean(life);
}

static void test_store_roll_and_paging(void **state)
{
    struct life *life = *state;
    struct emlfs_buf whole = EMLFS_BUF_INIT(1u << 20), paged = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_archive_status status;
    struct emlfs_folder_id top, sub;
    life->settings.store_messages = 10;
    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    sub = life_folder(life, top, USER, "Sub");
    for (unsigned run = 0; run < 3; run++) {
        life_begin(life, "test:roll");
        for (unsigned n = 0; n < 45; n++)
            life_put_mail(life, n % 2 ? top : sub, USER, n + run * 25);
        life_end(life, true);
        assert_int_equal(life->totals.archived, run ? 25 : 45);
        life_close(life);
        life_open(life);
    }
    must(emlfs_archive_get_status(life->archive, &status, NULL));
    assert_int_equal(status.stores, 10);
    assert_int_equal(status.messages, 95);
    archive_snapshot(life->archive, 1000, &whole);
    for (unsigned page = 1; page < 60; page++) {
        archive_snapshot(life->archive, page, &paged);
        assert_true(emlfs_span_equal(emlfs_buf_view(&whole), emlfs_buf_view(&paged)));
    }
    life_verify_clean(life);
    life_close(life);
    struct emlfs_check_totals totals;
    const struct emlfs_archive_options options = {.path = life->path};
    must(emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    assert_int_equal(totals.messages, 95);
    life_open(life);
    archive_snapshot(life->archive, 13, &paged);
    assert_true(emlfs_span_equal(emlfs_buf_view(&whole), emlfs_buf_view(&paged)));
    emlfs_buf_free(&whole);
    emlfs_buf_free(&paged);
}

static void test_folders(void **state)
{
    struct life *life = *state;
    struct emlfs_folder_id none = {0}, top, a, again;
    struct emlfs_folder folder;
    struct emlfs_err err;
    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    a = life_folder(life, top, USER, "Entwürfe");
    must(emlfs_archive_folder_make(
        life->archive, NULL, &(struct emlfs_folder_wanted){top, USER, "ENTWÜRFE"}, &again, NULL));
    assert_int_equal(a.v, again.v);
    must(emlfs_archive_folder_lookup(life->archive, top, "Entwürfe", &folder, NULL));
    assert_int_equal(folder.parent.v, top.v);
    assert_int_equal(emlfs_archive_folder_lookup(life->archive, top, "ENTWÜRFE", &folder, NULL),
                     -ENOENT);
    static const char *const bad[] = {"", ".", "..", "a/b", "CON", " x", "x."};
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(emlfs_archive_folder_make(life->archive, NULL,
                                                   &(struct emlfs_folder_wanted){top, USER, bad[i]},
                                                   &again, &err),
                         -EINVAL);
        assert_int_equal(emlfs_archive_folder_rename(life->archive, a, bad[i], &err), -EINVAL);
    }
    again = life_folder(life, top, USER, "Other");
    assert_int_equal(emlfs_archive_folder_rename(life->archive, again, "entwürfe", &err), -EEXIST);
    must(emlfs_archive_folder_get(life->archive, top, &folder, NULL));
    int64_t before = folder.mtime_ns;
    must(emlfs_archive_folder_rename(life->archive, a, "ENTWÜRFE", NULL));
    must(emlfs_archive_folder_lookup(life->archive, top, "ENTWÜRFE", &folder, NULL));
    must(emlfs_archive_folder_rename(life->archive, a, "Drafts", NULL));
    assert_int_equal(emlfs_archive_folder_lookup(life->archive, top, "ENTWÜRFE", &folder, NULL),
                     -ENOENT);
    must(emlfs_archive_folder_lookup(life->archive, top, "Drafts", &folder, NULL));
    assert_int_equal(folder.id.v, a.v);
    must(emlfs_archive_folder_get(life->archive, top, &folder, NULL));
    assert_true(folder.mtime_ns > before);
    assert_int_equal(
        emlfs_archive_folder_rename(life->archive, (struct emlfs_folder_id){99}, "x", NULL),
        -ENOENT);
    assert_int_equal(emlfs_archive_folder_next(life->archive, top,
                                               (struct emlfs_folder_id){UINT32_MAX}, &folder, NULL),
                     -ENOENT);
    must(emlfs_archive_folder_next(life->archive, none, none, &folder, NULL));
    assert_string_equal(folder.name, "alice");
    life_close(life);
    life_open(life);
    assert_int_equal(life_folder(life, top, USER, "drafts").v, a.v);
    assert_int_equal(life_folder(life, top, USER, "New").v, again.v + 1);
    struct emlfs_entry_page page = {.folder = {77}, .max = 0};
    assert_int_equal(emlfs_archive_entries(life->archive, &page, NULL), -ENOENT);
    life_verify_clean(life);
}

static int walk_count(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    unsigned *count = arg;
    assert_int_equal(key.len, 2);
    assert_int_equal(value.data[0], key.data[1]);
    assert_int_equal(key.data[1], ++*count);
    return *count == 5 ? 42 : 0;
}

static void test_master_rows(void **state)
{
    struct life *life = *state;
    struct emlfs_buf value = EMLFS_BUF_INIT(2u << 20);
    unsigned count = 0;
    life_init(life);
    life_open(life);
    for (uint8_t i = 1; i <= 9; i++) {
        const uint8_t key[2] = {0, i};
        must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_USER, emlfs_span_of(key, 2),
                                      emlfs_span_of(&i, 1), NULL));
    }
    assert_int_equal(
        emlfs_archive_master_walk(life->archive, EMLFS_MASTER_USER, walk_count, &count, NULL), 42);
    const uint8_t key[17] = {0, 3};
    struct emlfs_span three = emlfs_span_of(key, 2);
    must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_USER, three, (struct emlfs_span){0},
                                  NULL));
    life_close(life);
    const struct emlfs_archive_options options = {.path = life->path};
    struct emlfs_check_totals totals;
    must(emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, NULL));
    life_open(life);
    assert_int_equal(
        emlfs_archive_master_get(life->archive, EMLFS_MASTER_USER, three, &value, NULL), -ENOENT);
    must(emlfs_archive_master_get(life->archive, EMLFS_MASTER_USER,
                                  emlfs_span_of((const uint8_t[]){0, 4}, 2), &value, NULL));
    assert_int_equal(value.data[0], 4);
    assert_int_equal(emlfs_archive_master_put(life->archive, EMLFS_MASTER_USER,
                                              emlfs_span_of(key, 17), three, NULL),
                     -EINVAL);
    assert_int_equal(
        emlfs_archive_master_put(life->archive, EMLFS_MASTER_FOLDER, three, three, NULL), -EINVAL);
    must(emlfs_buf_reserve(&value, 1u << 20));
    memset(value.data, 7, 1u << 20);
    assert_int_equal(emlfs_archive_master_put(life->archive, EMLFS_MASTER_USER, three,
                                              emlfs_span_of(value.data, 1u << 20), NULL),
                     -E2BIG);
    must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_USER, three,
                                  emlfs_span_of(value.data, 1u << 19), NULL));
    life_verify_clean(life);
    emlfs_buf_free(&value);
}

struct notices {
    unsigned root, folder, calls;
    uint32_t wanted;
};

static void notice(void *arg, struct emlfs_folder_id folder)
{
    struct notices *notices = arg;
    notices->calls++;
    notices->root += folder.v == 0;
    notices->folder += folder.v == notices->wanted;
}

static void test_notices(void **state)
{
    struct life *life = *state;
    struct notices notices = {.wanted = UINT32_MAX};
    life_init(life);
    life_open(life);
    emlfs_archive_subscribe(life->archive, notice, &notices);
    struct emlfs_folder_id top = life_top(life, USER);
    assert_int_equal(notices.root, 1);
    notices.wanted = top.v;
    life_folder(life, top, USER, "below");
    assert_int_equal(notices.folder, 1);
    life_top(life, USER); /* found, nothing changed */
    assert_int_equal(notices.calls, 2);
    life_begin(life, NULL);
    life_put_mail(life, top, USER, 1);
    must(emlfs_ingest_flush(life->ingest, NULL));
    assert_int_equal(notices.folder, 2);
    life_end(life, true);
    emlfs_archive_subscribe(life->archive, NULL, NULL);
    life_folder(life, top, USER, "quiet");
    assert_int_equal(notices.folder, 2);
}

int main(void)
{
#define LIFE_TEST(test) cmocka_unit_test_setup_teardown(test, life_make, life_free)
    const struct CMUnitTest tests[] = {
        LIFE_TEST(test_init_and_keys),
        LIFE_TEST(test_settings),
        LIFE_TEST(test_read_back_one_worker),
        LIFE_TEST(test_read_back_three_workers),
        LIFE_TEST(test_info_before_text),
        LIFE_TEST(test_duplicates),
        LIFE_TEST(test_many_links),
        LIFE_TEST(test_moves),
        LIFE_TEST(test_rejects),
        LIFE_TEST(test_store_roll_and_paging),
        LIFE_TEST(test_folders),
        LIFE_TEST(test_master_rows),
        LIFE_TEST(test_notices),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
