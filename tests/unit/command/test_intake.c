/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include "emlfs/ingest.h"
#include "emlfs/ledger.h"
#include "emlfs/message.h"
#include <pthread.h>

#define MESSAGE(n)                                                                                 \
    "From: Bob Smith <bob@example.org>\r\nTo: Carol Jones <carol@example.org>\r\n"                 \
    "Date: Mon, 2 Mar 2026 09:13:00 +0000\r\nSubject: Number " n "\r\n\r\nbody " n "\r\n"

/* What the intake told, by verdict. */
struct told {
    pthread_mutex_t lock;
    unsigned count[4];
    char reason[512];
    struct emlfs_msg_id last;
};

static void told_verdict(void *arg, const char *position, enum emlfs_ingest_verdict verdict,
                         struct emlfs_msg_id id, const char *reason)
{
    struct told *told = arg;

    assert_non_null(position);
    pthread_mutex_lock(&told->lock);
    told->count[verdict]++;
    told->last = id;
    (void)snprintf(told->reason, sizeof(told->reason), "%s", reason);
    pthread_mutex_unlock(&told->lock);
}

static struct emlfs_intake_options options_of(struct archive_test *t, struct told *told)
{
    *told = (struct told){.lock = PTHREAD_MUTEX_INITIALIZER};
    return (struct emlfs_intake_options){.archive = t->archive,
                                         .bindings = t->bindings,
                                         .rules = t->rules,
                                         .subject = t->self,
                                         .user = "alice",
                                         .base_folder = "",
                                         .verdict = told_verdict,
                                         .arg = told};
}

static int give(struct emlfs_intake *intake, const char *folder, const char *text)
{
    struct emlfs_buf raw = EMLFS_BUF_INIT(EMLFS_MESSAGE_MAX_BYTES);
    const struct emlfs_sink *sink = emlfs_intake_sink(intake);
    struct emlfs_source_message message = {.folder = folder, .position = "test:1", .raw = &raw};
    struct emlfs_err err = {0};

    OK(emlfs_buf_append(&raw, text, strlen(text)));
    int r = sink->message(sink->arg, &message, &err);

    emlfs_buf_free(&raw);
    return r;
}

static struct emlfs_folder folder_at(struct archive_test *t, const char *a, const char *b)
{
    struct emlfs_folder folder;

    OK(emlfs_archive_folder_lookup(t->archive, t->alice.archive, a, &folder, NULL));
    if (b)
        OK(emlfs_archive_folder_lookup(t->archive, folder.id, b, &folder, NULL));
    return folder;
}

static void test_archives_once(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_intake *intake;
    struct emlfs_err err = {0};

    OK(emlfs_intake_begin(&options, &intake, &err));
    OK(give(intake, "Inbox/Sub", MESSAGE("1")));
    OK(give(intake, "Inbox/Sub", MESSAGE("2")));
    OK(give(intake, "Sent", MESSAGE("3")));
    OK(give(intake, "Inbox/Sub", MESSAGE("1")));
    OK(emlfs_intake_end(intake, true, &totals, &err));
    assert_int_equal(told.count[EMLFS_INGEST_ARCHIVED], 3);
    assert_int_equal(told.count[EMLFS_INGEST_DUPLICATE], 1);
    assert_int_equal(totals.archived, 3);
    assert_int_equal(folder_at(t, "Inbox", "Sub").entries, 2);

    /* Again: nothing new. */
    options = options_of(t, &told);
    OK(emlfs_intake_begin(&options, &intake, &err));
    OK(give(intake, "Inbox/Sub", MESSAGE("1")));
    OK(give(intake, "Sent", MESSAGE("3")));
    OK(emlfs_intake_end(intake, true, &totals, &err));
    assert_int_equal(told.count[EMLFS_INGEST_DUPLICATE], 2);
    assert_int_equal(folder_at(t, "Inbox", "Sub").entries, 2);
}

struct made {
    uid_t uid;
    unsigned theirs, others;
};

static int made_by(void *arg, const struct emlfs_ledger_record *record)
{
    struct made *made = arg;

    if (!emlfs_span_equal(record->name, emlfs_span_str("Inbox")) &&
        !emlfs_span_equal(record->name, emlfs_span_str("Sub")))
        return 0;
    if (record->uid == (int64_t)made->uid)
        made->theirs++;
    else
        made->others++;
    return 0;
}

/* Who imports makes the folders, and the record says so. */
static void test_folders_are_made_by(void **state)
{
    const struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_FOLDER_MADE};
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_intake *intake;
    struct emlfs_err err = {0};
    struct made made = {.uid = t->self.uid};

    OK(emlfs_intake_begin(&options, &intake, &err));
    OK(give(intake, "Inbox/Sub", MESSAGE("1")));
    OK(emlfs_intake_end(intake, true, &totals, &err));
    OK(emlfs_ledger_each(emlfs_archive_ledger(t->archive), &filter, made_by, &made, &err));
    assert_int_equal(made.others, 0);
    assert_int_equal(made.theirs, 2);
}

static void test_names(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_intake *intake;
    struct emlfs_entry entry;
    struct emlfs_entry_page page;

    OK(emlfs_intake_begin(&options, &intake, NULL));
    OK(give(intake, "Inbox", MESSAGE("1")));
    OK(give(intake, "Sent", MESSAGE("2")));
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    page =
        (struct emlfs_entry_page){.folder = folder_at(t, "Inbox", NULL).id, .v = &entry, .max = 1};
    OK(emlfs_archive_entries(t->archive, &page, NULL));
    assert_int_equal(page.n, 1);
    assert_non_null(strstr(entry.name, "2026-03-02 0913 Bob Smith - Number 1 ["));
    page =
        (struct emlfs_entry_page){.folder = folder_at(t, "Sent", NULL).id, .v = &entry, .max = 1};
    OK(emlfs_archive_entries(t->archive, &page, NULL));
    assert_non_null(strstr(entry.name, "2026-03-02 0913 Carol Jones - Number 2 ["));
}

/* No source gets out of the user archive or makes an impossible folder. */
static void test_hostile_folders(void **state)
{
    static const char *const paths[] = {
        "../../../etc",      "//a//",          ".", "..", "a/../../b",
        "x\033[2J/\377\376", "CON/NUL. /aux:", "/"};
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_folder top = {0};
    struct emlfs_intake *intake;
    char deep[4096] = "";
    unsigned tops = 0;

    options.base_folder = "Base";
    OK(emlfs_intake_begin(&options, &intake, NULL));
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        OK(give(intake, paths[i], MESSAGE("1")));
    for (int i = 0; i < 100; i++)
        memcpy(deep + strlen(deep), "d/", 3);
    OK(give(intake, deep, MESSAGE("2")));
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    assert_int_equal(told.count[EMLFS_INGEST_ARCHIVED], 1);
    assert_int_equal(told.count[EMLFS_INGEST_DUPLICATE], 7);
    assert_int_equal(told.count[EMLFS_INGEST_REJECTED], 1);
    /* Below the top folder there is "Base" and nothing else. */
    while (emlfs_archive_folder_next(t->archive, t->alice.archive, top.id, &top, NULL) == 0) {
        assert_string_equal(top.name, "Base");
        tops++;
    }
    assert_int_equal(tops, 1);
}

static void test_dry_run(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_archive_status status;
    struct emlfs_intake *intake;
    struct emlfs_folder folder;

    OK(emlfs_intake_begin(&options, &intake, NULL));
    OK(give(intake, "Inbox", MESSAGE("1")));
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    options = options_of(t, &told);
    options.dry_run = true;
    OK(emlfs_intake_begin(&options, &intake, NULL));
    OK(give(intake, "Elsewhere", MESSAGE("1")));
    OK(give(intake, "Elsewhere", MESSAGE("2")));
    OK(emlfs_intake_flush(intake, NULL));
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    assert_int_equal(told.count[EMLFS_INGEST_DUPLICATE], 1);
    assert_int_equal(told.count[EMLFS_INGEST_ARCHIVED], 1);
    OK(emlfs_archive_get_status(t->archive, &status, NULL));
    assert_int_equal(status.messages, 1);
    assert_int_equal(
        emlfs_archive_folder_lookup(t->archive, t->alice.archive, "Elsewhere", &folder, NULL),
        -ENOENT);
}

/* A message that is found in another folder the next time is moved there, not doubled. */
static void test_moves(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_intake *intake;

    options.source = "test:/source";
    OK(emlfs_intake_begin(&options, &intake, NULL));
    OK(give(intake, "Inbox", MESSAGE("1")));
    OK(give(intake, "Inbox", MESSAGE("2")));
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    for (int complete = 0; complete < 2; complete++) {
        options = options_of(t, &told);
        options.source = "test:/source";
        OK(emlfs_intake_begin(&options, &intake, NULL));
        OK(give(intake, "Inbox", MESSAGE("1")));
        OK(give(intake, "Old", MESSAGE("2")));
        OK(emlfs_intake_end(intake, complete, &totals, NULL));
        assert_int_equal(told.count[EMLFS_INGEST_DUPLICATE], 2);
        assert_int_equal(totals.moved, complete);
    }
    assert_int_equal(folder_at(t, "Inbox", NULL).entries, 1);
    assert_int_equal(folder_at(t, "Old", NULL).entries, 1);
}

static void test_rights(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_intake *intake = NULL;
    struct emlfs_user bob;
    struct emlfs_err err = {0};

    OK(emlfs_user_add(t->archive, NULL, &(struct emlfs_user_new){"bob", "emlfs-no-such-account", 0},
                      &bob, &err));
    options.user = "nobody-here";
    assert_int_equal(emlfs_intake_begin(&options, &intake, &err), -ENOENT);
    options.user = "alice";
    options.subject = (struct emlfs_subject){.uid = 54321, .gid = 54321};
    assert_int_equal(emlfs_intake_begin(&options, &intake, &err), -EACCES);
    options.user = "bob";
    assert_int_equal(emlfs_intake_begin(&options, &intake, &err), -EACCES);
    OK(emlfs_user_add(t->archive, NULL, &(struct emlfs_user_new){"nobody", NULL, 0}, NULL, &err));
    struct passwd *account = getpwnam("nobody");

    assert_non_null(account);
    options.user = "nobody";
    options.trust_dates = true;
    options.subject = (struct emlfs_subject){.uid = account->pw_uid, .gid = account->pw_gid};
    assert_int_equal(emlfs_intake_begin(&options, &intake, &err), -EACCES);
    options.trust_dates = false;
    options.user = "bob";
    /* An administrator may file for others, but not for who was removed. */
    options.subject = t->self;
    OK(emlfs_user_remove(t->archive, NULL, "bob", &err));
    assert_int_equal(emlfs_intake_begin(&options, &intake, &err), -EPERM);
    assert_null(intake);
}

/* Where names are private, strangers are told the same of a name that is there and one that is not.
 */
static void test_private_names(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_intake *intake = NULL;
    struct emlfs_err there = {0}, nowhere = {0};

    options.subject = (struct emlfs_subject){.uid = 54321, .gid = 54321, .private_names = true};
    assert_int_equal(emlfs_intake_begin(&options, &intake, &there), -ENOENT);
    options.user = "alicf";
    assert_int_equal(emlfs_intake_begin(&options, &intake, &nowhere), -ENOENT);
    *strstr(nowhere.text, "alicf") = 0;
    *strstr(there.text, "alice") = 0;
    assert_string_equal(there.text, nowhere.text);
    assert_string_equal(there.text + strlen("no archive user alice"),
                        nowhere.text + strlen("no archive user alicf"));
    assert_null(intake);
}

/* What the messages claim about their dates is kept only where an administrator vouched for it. */
static void test_trusted_dates(void **state)
{
    struct archive_test *t = *state;
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_msg_info info;
    struct emlfs_facts facts;
    struct emlfs_entry entry;

    for (int trusted = 0; trusted < 2; trusted++) {
        struct told told;
        struct emlfs_intake_options options = options_of(t, &told);
        struct emlfs_ingest_totals totals;
        struct emlfs_intake *intake;

        emlfs_buf_clear(&bytes);
        options.trust_dates = trusted;
        OK(emlfs_intake_begin(&options, &intake, NULL));
        OK(give(intake, "Inbox", trusted ? MESSAGE("8") : MESSAGE("9")));
        OK(emlfs_intake_end(intake, true, &totals, NULL));
        OK(emlfs_archive_msg_info(t->archive, told.last, &info, &bytes, NULL));
        OK(emlfs_facts_decode(emlfs_buf_view(&bytes), &facts, NULL));
        assert_int_equal(facts.has_sent, trusted);
        assert_int_equal(facts.date_sec, 1772442780);
        OK(emlfs_archive_entry_of(t->archive, t->alice.id, told.last, &entry, NULL));
        assert_int_equal(entry.flags, trusted ? EMLFS_ENTRY_VOUCHED : 0);
    }
}

/* The reader's memory becomes the archive's: nothing is copied. */
static void test_takes_memory(void **state)
{
    struct archive_test *t = *state;
    struct told told;
    struct emlfs_intake_options options = options_of(t, &told);
    struct emlfs_ingest_totals totals;
    struct emlfs_intake *intake;
    struct emlfs_buf raw = EMLFS_BUF_INIT(EMLFS_MESSAGE_MAX_BYTES);
    struct emlfs_source_message message = {.folder = "", .position = "p", .raw = &raw};

    OK(emlfs_intake_begin(&options, &intake, NULL));
    const struct emlfs_sink *sink = emlfs_intake_sink(intake);

    OK(emlfs_buf_append(&raw, "A: b\n\n", 6));
    OK(sink->message(sink->arg, &message, NULL));
    assert_null(raw.data);
    assert_int_equal(raw.max_bytes, EMLFS_MESSAGE_MAX_BYTES);
    OK(emlfs_intake_end(intake, true, &totals, NULL));
    assert_int_equal(told.count[EMLFS_INGEST_ARCHIVED], 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, archive_setup, archive_teardown)
        TEST(test_archives_once),   TEST(test_names),
        TEST(test_hostile_folders), TEST(test_dry_run),
        TEST(test_moves),           TEST(test_rights),
        TEST(test_private_names),   TEST(test_takes_memory),
        TEST(test_trusted_dates),   TEST(test_folders_are_made_by),
    };

    if (argc > 0 && strcmp(argv[0], "emlfs-worker") == 0)
        return emlfs_worker_main();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
