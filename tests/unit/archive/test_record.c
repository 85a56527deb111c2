/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ledger of an archive: what is recorded, completed after a crash, compared by verify. */
#include "emlfs/change.h"
#include "emlfs/ledger.h"
#include "govern_test.h"

#define KINDS 100u
#define IDS 512u

struct book {
    unsigned kinds[KINDS];
    unsigned archived[IDS]; /* by message number, store 1 */
    unsigned completed;
    uint64_t begin; /* of the first record */
    struct emlfs_ledger_record last;
    struct emlfs_hash digests[IDS]; /* of archived messages */
    unsigned digested;              /* deletions with that of their message */
    char name[256], detail[256];
};

static int book_each(void *arg, const struct emlfs_ledger_record *record)
{
    struct book *book = arg;

    if (record->sequence == 0)
        book->begin = record->object;
    assert_true(record->kind < KINDS);
    book->kinds[record->kind]++;
    if (record->kind == EMLFS_LEDGER_MESSAGE_ARCHIVED) {
        assert_true(record->has_digest);
        assert_int_equal(emlfs_msg_id_store(record->message), 1);
        book->archived[emlfs_msg_id_number(record->message) % IDS]++;
        book->digests[emlfs_msg_id_number(record->message) % IDS] = record->digest;
    }
    if (record->kind == EMLFS_LEDGER_MESSAGE_DELETED && record->has_digest)
        book->digested += memcmp(&book->digests[emlfs_msg_id_number(record->message) % IDS],
                                 &record->digest, sizeof(record->digest)) == 0;
    if (emlfs_span_equal(record->detail, emlfs_span_str("completed after a crash")))
        book->completed++;
    book->last = *record;
    snprintf(book->name, sizeof(book->name), "%.*s", (int)record->name.len,
             record->name.len ? (const char *)record->name.data : "");
    snprintf(book->detail, sizeof(book->detail), "%.*s", (int)record->detail.len,
             record->detail.len ? (const char *)record->detail.data : "");
    return 0;
}

static void book_read(struct life *life, struct book *book)
{
    const struct emlfs_ledger_filter all = {0};

    memset(book, 0, sizeof(*book));
    must(emlfs_ledger_each(emlfs_archive_ledger(life->archive), &all, book_each, book, NULL));
}

static void verify_clean(struct life *life)
{
    struct emlfs_check_totals totals;

    must(emlfs_archive_verify(life->archive, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 0);
    assert_true(totals.ledger_records > 0);
}

static void test_import(void **state)
{
    struct life *life = *state;
    struct book book;
    struct emlfs_folder_id top, a, b;

    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    a = life_folder(life, top, USER, "a");
    b = life_folder(life, top, USER, "b");
    life_begin(life, NULL);
    for (unsigned i = 0; i < 40; i++)
        life_put_mail(life, a, USER, i);
    for (unsigned i = 0; i < 10; i++) /* in the open block, or as events */
        life_put_mail(life, b, USER, i);
    life_end(life, true);
    life_begin(life, NULL);
    for (unsigned i = 0; i < 20; i++) /* ten of them are new entries */
        life_put_mail(life, b, USER, i);
    life_end(life, true);
    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_ARCHIVE_MADE], 1);
    assert_int_equal(book.kinds[EMLFS_LEDGER_FOLDER_MADE], 3);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_ARCHIVED], 40);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_FILED], 20);
    for (unsigned i = 1; i <= 40; i++)
        assert_int_equal(book.archived[i], 1);
    verify_clean(life);
    life_close(life);
    life_open(life);
    struct emlfs_buf note EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    must(emlfs_ledger_checkpoint_text(emlfs_archive_ledger(life->archive), 0, &note, NULL));
    assert_true(note.len > 0);
    life_close(life);
}

/* ---- changes with a record */

struct asked {
    unsigned n;
    int answer;
};

static int ask(void *arg, struct emlfs_err *err)
{
    struct asked *asked = arg;

    asked->n++;
    return asked->answer ? emlfs_err_set(err, -asked->answer, "test", "no") : 0;
}

static void rules_noticed(void *arg, struct emlfs_folder_id folder)
{
    *(unsigned *)arg += folder.v == EMLFS_FOLDER_RULES;
}

static void test_master_change(void **state)
{
    struct life *life = *state;
    struct asked asked = {.answer = -EPERM};
    struct book book;
    unsigned noticed = 0;
    const struct emlfs_actor somebody = {.user = {7}, .uid = 1000, .source = 2, .admin = true};
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_POLICY_MADE, .object = 3};
    static const uint8_t keys[2][4] = {{0, 0, 0, 3}, {0, 0, 0, 4}};
    const struct emlfs_master_row rows[2] = {
        {EMLFS_MASTER_POLICY, emlfs_span_of(keys[0], 4), emlfs_span_str("three")},
        {EMLFS_MASTER_POLICY, emlfs_span_of(keys[1], 4), emlfs_span_str("four")}};
    struct emlfs_master_change change = {
        .actor = &somebody, .record = &record, .rows = rows, .n = 2, .check = ask, .arg = &asked};
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);

    life_init(life);
    life_open(life);
    emlfs_archive_subscribe(life->archive, rules_noticed, &noticed);
    uint64_t generation = emlfs_archive_generation(life->archive);
    uint64_t size = emlfs_ledger_size(emlfs_archive_ledger(life->archive));
    assert_int_equal(emlfs_archive_master_change(life->archive, &change, NULL), -EPERM);
    record.name = emlfs_span_str("a\nb"); /* what the ledger refuses changes nothing */
    asked.answer = 0;
    assert_int_equal(emlfs_archive_master_change(life->archive, &change, NULL), -EINVAL);
    assert_int_equal(asked.n, 2);
    assert_int_equal(emlfs_archive_generation(life->archive), generation);
    assert_int_equal(emlfs_ledger_size(emlfs_archive_ledger(life->archive)), size);
    record.name = emlfs_span_str("papers");
    must(emlfs_archive_master_change(life->archive, &change, NULL));
    assert_int_equal(emlfs_archive_generation(life->archive), generation + 1);
    assert_int_equal(noticed, 1);
    must(emlfs_archive_master_get(life->archive, EMLFS_MASTER_POLICY, rows[1].key, &value, NULL));
    assert_true(emlfs_span_equal(emlfs_buf_view(&value), rows[1].value));
    book_read(life, &book);
    assert_int_equal(book.last.kind, EMLFS_LEDGER_POLICY_MADE);
    assert_int_equal(book.last.user.v, 7);
    assert_int_equal(book.last.uid, 1000);
    assert_int_equal(book.last.flags, EMLFS_LEDGER_BY_ADMIN);
    assert_int_equal(book.last.data.len, 1 + 5 + 6);
    assert_string_equal(book.name, "papers");
    must(emlfs_archive_record(life->archive, NULL,
                              &(struct emlfs_ledger_record){.kind = EMLFS_LEDGER_LOGIN}, NULL));
    book_read(life, &book);
    assert_int_equal(book.last.kind, EMLFS_LEDGER_LOGIN);
    assert_int_equal(book.last.uid, -1);
    assert_int_equal(emlfs_archive_generation(life->archive), generation + 1);
    emlfs_archive_subscribe(life->archive, NULL, NULL);
    life_close(life);
}

/* ---- an archive that is older than ledgers */

static void ledger_remove(struct life *life)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/ledger", life->path);
    tree_remove(path);
}

static void test_older(void **state)
{
    struct life *life = *state;
    struct emlfs_archive_options reading = {.path = life->path, .read_only = true};
    struct emlfs_folder_id top;
    struct emlfs_archive *archive;
    struct book book;

    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    life_begin(life, NULL);
    for (unsigned i = 0; i < 12; i++)
        life_put_mail(life, top, USER, i);
    life_end(life, true);
    life_close(life);
    ledger_remove(life);
    must(emlfs_archive_open(&reading, &archive, NULL));
    assert_null(emlfs_archive_ledger(archive));
    must(emlfs_archive_close(archive, NULL));
    life_open(life);
    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_ARCHIVE_MADE], 1);
    assert_int_equal(book.begin, 12);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_ARCHIVED], 0);
    verify_clean(life);
    life_begin(life, NULL);
    life_put_mail(life, top, USER, 100);
    life_end(life, true);
    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_ARCHIVED], 1);
    assert_int_equal(book.archived[13], 1);
    verify_clean(life);
    life_close(life);
    /* Made anew from packs: what is older than the ledger stays unrecorded. */
    struct emlfs_check_totals totals;
    must(emlfs_archive_recover(&(struct emlfs_archive_options){.path = life->path}, NULL, NULL,
                               NULL, &totals, NULL));
    assert_int_equal(totals.ledger_completed, 0);
    life_open(life);
    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_ARCHIVED], 1);
    assert_int_equal(book.kinds[EMLFS_LEDGER_RECOVERED], 1);
    verify_clean(life);
    life_close(life);
}

/* ---- verify */

static char heard[4096];

static void hear(void *arg, const struct emlfs_err *found)
{
    size_t len = strlen(heard);

    (void)arg;
    snprintf(heard + len, sizeof(heard) - len, "%s\n", found->text);
}

/* A record of a message that is not there, and one more of a message that is. */
static void test_findings(void **state)
{
    struct life *life = *state;
    struct emlfs_check_totals totals;
    struct emlfs_folder_id top;
    struct emlfs_ledger_record false_one = {.kind = EMLFS_LEDGER_MESSAGE_ARCHIVED,
                                            .message = emlfs_msg_id_make(1, 77),
                                            .has_digest = true};

    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    life_begin(life, NULL);
    for (unsigned i = 0; i < 5; i++)
        life_put_mail(life, top, USER, i);
    life_end(life, true);
    verify_clean(life);
    must(emlfs_archive_record(life->archive, NULL, &false_one, NULL));
    false_one.message = emlfs_msg_id_make(1, 2);
    must(emlfs_archive_record(life->archive, NULL, &false_one, NULL));
    heard[0] = '\0';
    must(emlfs_archive_verify(life->archive, NULL, hear, NULL, &totals, NULL));
    assert_int_equal(totals.errors, 2);
    assert_non_null(strstr(heard, "names a message that is not in the packs (message 77"));
    assert_non_null(strstr(heard, "a second time"));
    life_close(life);
}

/* ---- what a crash leaves */

/* part NULL: all of it. */
static void part_exchange(const struct life *life, const char *from, const char *part)
{
    char source[256], target[256];

    snprintf(source, sizeof(source), "%s/%s%s%s", life->dir, from, part ? "/" : "",
             part ? part : "");
    snprintf(target, sizeof(target), "%s%s%s", life->path, part ? "/" : "", part ? part : "");
    tree_remove(target);
    tree_copy(source, target);
}

/* In "before" a top folder and ten messages, in "after" everything. */
static void make_states(struct life *life)
{
    char before[128], after[128];
    struct emlfs_folder_id top, a;

    snprintf(before, sizeof(before), "%s/before", life->dir);
    snprintf(after, sizeof(after), "%s/after", life->dir);
    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    life_begin(life, NULL);
    for (unsigned i = 0; i < 10; i++)
        life_put_mail(life, top, USER, i);
    life_end(life, true);
    life_close(life);
    tree_copy(life->path, before);
    life_open(life);
    a = life_folder(life, top, USER, "a");
    life_begin(life, NULL);
    for (unsigned i = 0; i < 30; i++)
        life_put_mail(life, a, USER, i);
    for (unsigned i = 20; i < 30; i++)
        life_put_mail(life, top, USER, i);
    life_end(life, true);
    life_close(life);
    tree_copy(life->path, after);
}

static void check_completed(struct life *life, unsigned completed)
{
    struct book book;

    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_ARCHIVED], 30);
    for (unsigned i = 1; i <= 30; i++)
        assert_int_equal(book.archived[i], 1);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_FILED], 20);
    assert_int_equal(book.kinds[EMLFS_LEDGER_FOLDER_MADE], 2);
    assert_int_equal(book.completed, completed);
    verify_clean(life);
}

static const char *store_path(const struct life *life, const char *part)
{
    static char path[300];
    struct dirent **names;
    char stores[128];
    int n;

    snprintf(stores, sizeof(stores), "%s/stores", life->path);
    n = scandir(stores, &names, NULL, alphasort);
    assert_int_equal(n, 3);
    snprintf(path, sizeof(path), "stores/%s/%s", names[2]->d_name, part);
    for (int i = 0; i < n; i++)
        free(names[i]);
    free(names);
    return path;
}

/* Neither ledger nor catalogue have what the packs have; then the ledger has it. */
static void test_completed(void **state)
{
    struct life *life = *state;
    struct emlfs_archive_options reading = {.path = life->path, .read_only = true};
    struct emlfs_archive *archive;
    struct emlfs_check_totals totals;

    make_states(life);
    part_exchange(life, "before", NULL);
    part_exchange(life, "after", store_path(life, "packs"));
    /* Only looked at, it stays as it is. */
    must(emlfs_archive_open(&reading, &archive, NULL));
    must(emlfs_archive_verify(archive, NULL, NULL, NULL, &totals, NULL));
    assert_int_equal(totals.messages, 30);
    assert_int_equal(totals.errors, 20); /* not recorded yet */
    must(emlfs_archive_close(archive, NULL));
    life_open(life);
    emlfs_archive_opening(life->archive, &totals);
    assert_int_equal(totals.ledger_completed, 41);
    check_completed(life, 41);
    life_close(life);
    life_open(life);
    check_completed(life, 41);
    life_close(life);
    /* The ledger has it, the catalogue has not. */
    part_exchange(life, "before", NULL);
    part_exchange(life, "after", store_path(life, "packs"));
    part_exchange(life, "after", "ledger");
    life_open(life);
    check_completed(life, 0);
    life_close(life);
}

/* The catalogue is lost, too: by recover, and by opening. */
static void test_completed_anew(void **state)
{
    struct life *life = *state;
    struct emlfs_check_totals totals;
    struct book book;
    char master[128];

    make_states(life);
    snprintf(master, sizeof(master), "%s/master", life->path);
    for (unsigned i = 0; i < 2; i++) {
        part_exchange(life, "after", NULL);
        part_exchange(life, "before", "ledger");
        tree_remove(master);
        if (i == 0)
            must(emlfs_archive_recover(&(struct emlfs_archive_options){.path = life->path}, NULL,
                                       NULL, NULL, &totals, NULL));
        life_open(life);
        book_read(life, &book);
        assert_int_equal(book.kinds[EMLFS_LEDGER_RECOVERED], 1);
        check_completed(life, 41);
        life_close(life);
    }
}

/* Deletions have the digest of what is gone; the time of a job has no record that could be lost. */
static void test_deletions_completed(void **state)
{
    struct life *life = *state;
    char before[128], after[128];
    struct emlfs_folder_id top, a;
    struct emlfs_msg_id ids[3];
    struct book book;

    snprintf(before, sizeof(before), "%s/before", life->dir);
    snprintf(after, sizeof(after), "%s/after", life->dir);
    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    a = life_folder(life, top, USER, "a");
    for (unsigned i = 0; i < 3; i++)
        ids[i] = mail_file(life, top, USER, i);
    mail_file(life, a, USER, 1);
    life_close(life);
    tree_copy(life->path, before);
    life_open(life);
    must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_JOB, emlfs_span_str("retention"),
                                  emlfs_span_str("then"), NULL));
    must(entry_delete(life, (struct emlfs_entry_at){USER, a, ids[1]}));
    must(entry_delete(life, (struct emlfs_entry_at){USER, top, ids[1]}));
    must(entry_delete(life, (struct emlfs_entry_at){USER, top, ids[0]}));
    /* Another message, archived by what was lost, too. */
    must(entry_delete(life, (struct emlfs_entry_at){USER, top, mail_file(life, top, USER, 7)}));
    must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_JOB, emlfs_span_str("retention"),
                                  emlfs_span_str("now"), NULL));
    life_close(life);
    tree_copy(life->path, after);
    part_exchange(life, "before", NULL);
    part_exchange(life, "after", store_path(life, "packs"));
    life_open(life);
    book_read(life, &book);
    assert_int_equal(book.kinds[EMLFS_LEDGER_MESSAGE_DELETED], 4);
    assert_int_equal(book.digested, 4);
    assert_int_equal(book.completed, 5);
    assert_int_equal(book.kinds[EMLFS_LEDGER_SETTING_CHANGED], 0);
    verify_clean(life);
    life_close(life);
}

static int64_t backwards(void *arg)
{
    int64_t *now = arg;

    *now -= 1000;
    return *now;
}

/* The caller's time is the one of archiving, and never goes back in a store. */
static void test_arrival(void **state)
{
    struct life *life = *state;
    int64_t now = INT64_C(1500000000000000000), first = now - 1000;
    const struct emlfs_ingest_options options = {.arg = &now, .arrival_ns = backwards};
    struct emlfs_folder_id top;
    struct emlfs_msg_info info;

    life_init(life);
    life_open(life);
    top = life_top(life, USER);
    for (unsigned run = 0; run < 2; run++) {
        must(emlfs_ingest_begin(life->archive, &options, &life->ingest, NULL));
        for (unsigned i = 0; i < 5; i++)
            life_put_mail(life, top, USER, 5 * run + i);
        must(emlfs_ingest_end(life->ingest, true, &life->totals, NULL));
    }
    assert_int_equal(life->totals.archived, 5);
    for (unsigned i = 1; i <= 10; i++) {
        must(emlfs_archive_msg_info(life->archive, emlfs_msg_id_make(1, i), &info, NULL, NULL));
        assert_int_equal(info.archived_ns, first);
    }
    life_close(life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_import, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_master_change, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_older, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_findings, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_completed, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_completed_anew, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_deletions_completed, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_arrival, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
