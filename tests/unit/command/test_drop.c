/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include <dirent.h>
#include <pthread.h>

#include "emlfs/drop.h"
#include "emlfs/name.h"
#include "emlfs/stores.h"

#define MESSAGE(n)                                                                                 \
    "From: Bob Smith <bob@example.org>\r\nTo: Carol Jones <carol@example.org>\r\n"                 \
    "Date: Mon, 2 Mar 2026 09:13:00 +0000\r\nSubject: Number " n "\r\n\r\nbody " n "\r\n"

/* ---- what it is */

static enum emlfs_drop_kind sniff(const void *data, size_t len, const char **ret_reason)
{
    /* Its own allocation, so that a sanitizer sees a byte too far. */
    uint8_t *copy = malloc(len ? len : 1);
    enum emlfs_drop_kind kind;

    assert_non_null(copy);
    memcpy(copy, data, len);
    kind = emlfs_drop_sniff(emlfs_span_of(copy, len), true, ret_reason);
    free(copy);
    return kind;
}

struct sample {
    const char *bytes;
    size_t len;
    enum emlfs_drop_kind kind;
};
#define SAMPLE(text, kind)                                                                         \
    {                                                                                              \
        text, sizeof(text) - 1, EMLFS_DROP_##kind                                                  \
    }
#define FROM_DATED "From bob@example.org Mon Mar  2 09:13:00 2026\n"

static const struct sample samples[] = {
    SAMPLE(MESSAGE("1"), MESSAGE),
    SAMPLE("\xef\xbb\xbf" MESSAGE("1"), MESSAGE),
    SAMPLE("\r\n\r\nSubject: behind empty lines\r\n\r\nx", MESSAGE),
    SAMPLE("Subject: no end", MESSAGE),
    SAMPLE("a line that is no field\nSubject: x\n\nbody\n", MESSAGE),
    SAMPLE(FROM_DATED "Subject: x\n\nbody\n", MBOX),
    SAMPLE("\xef\xbb\xbf\n" FROM_DATED "Subject: x\n\nbody\n", MBOX),
    SAMPLE("From - Mon Mar  2 09:13:00 2026\nX-Mozilla-Status: 0001\n\nbody\n", MBOX),
    SAMPLE("From bob\nSubject: x\n\nbody\n", MBOX),
    SAMPLE("From here on nothing is a header\n\nbody\n", FOREIGN),
    SAMPLE("From: bob@example.org\n\nbody\n", MESSAGE),
    SAMPLE("", FOREIGN),
    SAMPLE("\n\n\n", FOREIGN),
    SAMPLE("just text\n", FOREIGN),
    SAMPLE("http://example.org/\n", FOREIGN),
    SAMPLE("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 Subject: x\n", FOREIGN),
    SAMPLE("!BDN Subject: x\n", FOREIGN),
    SAMPLE("PK\x03\x04: x\n", FOREIGN),
    SAMPLE("%PDF-1.7\nName: x\n", FOREIGN),
    SAMPLE("{\\rtf1\nName: x\n", FOREIGN),
    SAMPLE("\x89PNG\r\n\x1a\nName: x\n", FOREIGN),
    SAMPLE("\xff\xd8\xff\xe0: JFIF\n", FOREIGN),
    SAMPLE("GIF89a: x\n", FOREIGN),
    SAMPLE("\x1f\x8b\x08: x\n", FOREIGN),
    SAMPLE("\x7f"
           "ELF\nName: x\n",
           FOREIGN),
    SAMPLE("<html>\n<style>\nbody: x\n</style>\n", FOREIGN),
    SAMPLE("  \n<!DOCTYPE html>\nbody: x\n", FOREIGN),
    SAMPLE("<?xml version=\"1.0\"?>\na: x\n", FOREIGN),
    SAMPLE("BEGIN:VCARD\nVERSION:3.0\n", FOREIGN),
    SAMPLE("-----BEGIN CERTIFICATE-----\nProc-Type: 4\n", FOREIGN),
    SAMPLE("BABYL OPTIONS: -*- rmail -*-\nVersion: 5\n", FOREIGN),
    SAMPLE("\xff\xfeS\0u\0b\0:\0", FOREIGN),
    SAMPLE("Na\0me: x\nSubject: y\n", FOREIGN),
    SAMPLE("\0\0\0\0", FOREIGN),
    SAMPLE("{\"a\": 1,\n\"b\": 2}\n", FOREIGN),
};

static void test_sniff_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const char *reason = NULL;
        enum emlfs_drop_kind kind = sniff(samples[i].bytes, samples[i].len, &reason);

        if (kind != samples[i].kind)
            print_error("sample %zu is %d\n", i, kind);
        assert_int_equal(kind, samples[i].kind);
        if (kind == EMLFS_DROP_FOREIGN)
            assert_true(reason && *reason);
    }
}

/* However it is cut, it is undecided or what it is in the end; whole, it is never undecided. */
static void test_sniff_cut(void **state)
{
    char text[6000];
    const size_t n = sizeof(samples) / sizeof(samples[0]);

    (void)state;
    for (size_t i = 0; i < n; i++) {
        size_t len = samples[i].len;

        memset(text, 'x', sizeof(text));
        memcpy(text, samples[i].bytes, len);
        enum emlfs_drop_kind end = emlfs_drop_sniff(emlfs_span_of(text, sizeof(text)), false, NULL);

        assert_int_not_equal(end, EMLFS_DROP_UNDECIDED);
        for (size_t cut = 0; cut < sizeof(text); cut += cut < 600 ? 1 : 397) {
            enum emlfs_drop_kind kind = emlfs_drop_sniff(emlfs_span_of(text, cut), false, NULL);

            if (kind != EMLFS_DROP_UNDECIDED)
                assert_int_equal(kind, end);
            assert_int_not_equal(sniff(text, cut, NULL), EMLFS_DROP_UNDECIDED);
        }
    }
}

static void test_sniff_hostile(void **state)
{
    unsigned seed = 7;
    uint8_t bytes[700];

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        size_t len = round % sizeof(bytes);

        for (size_t i = 0; i < len; i++) {
            seed = seed * 1103515245u + 12345u;
            bytes[i] = (uint8_t)(seed >> 16);
        }
        if (round % 3 == 0 && len > 5)
            memcpy(bytes, "From ", 5);
        assert_int_not_equal(sniff(bytes, len, NULL), EMLFS_DROP_UNDECIDED);
    }
}

/* ---- archiving */

struct text {
    const char *data;
    size_t len;
    bool fails;
};

static ssize_t text_pread(void *arg, void *data, size_t len, uint64_t offset, struct emlfs_err *err)
{
    const struct text *text = arg;
    size_t left = offset < text->len ? text->len - (size_t)offset : 0;

    if (text->fails)
        return emlfs_err_set(err, EIO, "test", "the spool cannot be read");
    len = len < left ? len : left;
    len = len > 1000 ? 1000 : len; /* short, as pread(2) may be */
    memcpy(data, text->data + offset, len);
    return (ssize_t)len;
}

static struct emlfs_drop_item item_of(const struct archive_test *t, struct text *text,
                                      const char *data, const char *name)
{
    *text = (struct text){.data = data, .len = strlen(data)};
    return (struct emlfs_drop_item){.subject = t->self,
                                    .user = t->alice.id,
                                    .folder = t->alice.archive,
                                    .name = name,
                                    .file_time_sec = 1700000000,
                                    .size_bytes = text->len,
                                    .pread = text_pread,
                                    .arg = text};
}

static struct emlfs_drop *drop_new(struct archive_test *t)
{
    struct emlfs_drop_options options = {.archive = t->archive, .rules = t->rules};
    struct emlfs_drop *drop;

    OK(emlfs_drop_new(&options, &drop, NULL));
    return drop;
}

static struct emlfs_entry entry_of(struct archive_test *t, struct emlfs_msg_id id)
{
    struct emlfs_entry entry;

    OK(emlfs_archive_entry_of(t->archive, t->alice.id, id, &entry, NULL));
    return entry;
}

static uint64_t entries_in(struct archive_test *t, struct emlfs_folder_id id)
{
    struct emlfs_folder folder;

    OK(emlfs_archive_folder_get(t->archive, id, &folder, NULL));
    return folder.entries;
}

static void test_message(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct text text, again_text;
    struct emlfs_drop_item item = item_of(t, &text, MESSAGE("1"), "Offer Mueller.eml");
    struct emlfs_drop_item again = item_of(t, &again_text, MESSAGE("1"), "Other name.eml");
    struct emlfs_buf raw EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 20);
    char name[64], id[EMLFS_MSG_ID_TEXT_MAX];

    OK(emlfs_drop_check(drop, &item, NULL));
    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, 0);
    assert_int_equal(item.kind, EMLFS_DROP_MESSAGE);
    assert_int_equal(item.totals.archived, 1);
    emlfs_msg_id_format(item.id, id);
    (void)snprintf(name, sizeof(name), "Offer Mueller [%s].eml", id);
    assert_string_equal(entry_of(t, item.id).name, name);
    OK(emlfs_archive_msg_read(t->archive, item.id, &raw, NULL));
    assert_int_equal(raw.len, text.len);
    assert_memory_equal(raw.data, text.data, raw.len);

    OK(emlfs_drop_archive(drop, &again, 1, NULL));
    assert_int_equal(again.code, 0);
    assert_int_equal(again.totals.duplicates, 1);
    assert_int_equal(again.id.v, item.id.v);
    assert_int_equal(entries_in(t, t->alice.archive), 1);
    emlfs_drop_free(drop);
}

static void test_names(void **state)
{
    static const struct {
        const char *given, *stem;
    } names[] = {
        {"Offer.eml", "Offer"},
        {"Offer.EML", "Offer"},
        {"Offer", "Offer"},
        {"Offer [000015].eml", "Offer"},
        {"Offer [000015]", "Offer"},
        {"Offer [x].eml", "Offer [x]"},
        {"Offer [].eml", "Offer []"},
        {"[000015].eml", "[000015]"},
        {"a:b?.eml", NULL}, /* something portable */
        {".eml", ""},
        {"", ""},
        {"...eml", ""},
        {"con.eml", "_con"},
        {"con.old.eml", "_con.old"},
        {"Mu\xcc\x88ller.eml", "M\xc3\xbcller"},
    };
    char stem[EMLFS_NAME_MAX_BYTES + 1], long_name[256];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        bool some = emlfs_name_given_stem(names[i].given, stem, sizeof(stem));

        if (!names[i].stem) {
            assert_true(some && !strpbrk(stem, "<>:\"/\\|?*"));
            continue;
        }
        assert_int_equal(some, names[i].stem[0] != 0);
        if (some)
            assert_string_equal(stem, names[i].stem);
    }
    memset(long_name, 'x', 255);
    long_name[255] = 0;
    assert_true(emlfs_name_given_stem(long_name, stem, sizeof(stem)));
    assert_true(strlen(stem) + 24 <= 120);
}

/* Nothing portable is left: named as imported mail is. */
static void test_name_of_nothing(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct text text;
    struct emlfs_drop_item item = item_of(t, &text, MESSAGE("1"), "???.eml");

    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, 0);
    assert_non_null(strstr(entry_of(t, item.id).name, "Bob Smith - Number 1 ["));
    emlfs_drop_free(drop);
}

static void test_refusals(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct text texts[5];
    struct emlfs_drop_item items[5] = {
        item_of(t, &texts[0], "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1xxxx", "x.msg"),
        item_of(t, &texts[1], MESSAGE("1"), "good.eml"),
        item_of(t, &texts[2], MESSAGE("2"), "gone.eml"),
        item_of(t, &texts[3], MESSAGE("3"), "stranger.eml"),
        item_of(t, &texts[4], MESSAGE("4"), "unreadable.eml"),
    };
    static const int codes[5] = {-EOPNOTSUPP, 0, -ENOENT, -ENOENT, -EIO};

    items[2].folder.v = 9999;
    items[3].subject.uid = 4242;
    texts[4].fails = true;
    for (unsigned i = 0; i < 5; i++) {
        struct emlfs_err err = {0};
        int r = emlfs_drop_check(drop, &items[i], &err);

        if (i == 3)
            assert_true(r == -EACCES || r == -ENOENT);
        else
            assert_int_equal(r, codes[i]);
    }
    OK(emlfs_drop_archive(drop, items, 5, NULL));
    for (unsigned i = 0; i < 5; i++) {
        if (i == 3)
            assert_true(items[i].code == -EACCES || items[i].code == -ENOENT);
        else
            assert_int_equal(items[i].code, codes[i]);
        assert_true(items[i].code == 0 || items[i].err.text[0]);
    }
    assert_non_null(strstr(items[0].err.text, "Outlook"));
    assert_int_equal(entries_in(t, t->alice.archive), 1);

    static char large[EMLFS_DROP_HEAD_BYTES + 1];

    memset(large, 'x', EMLFS_DROP_HEAD_BYTES);
    memcpy(large, "Subject: x\n\n", 12);
    items[1] = item_of(t, &texts[1], large, "large.eml");
    items[1].size_bytes = (uint64_t)EMLFS_MESSAGE_MAX_BYTES + 1;
    assert_int_equal(emlfs_drop_check(drop, &items[1], NULL), -EFBIG);
    items[1].size_bytes = texts[1].len + 1; /* it shrank */
    OK(emlfs_drop_archive(drop, &items[1], 1, NULL));
    assert_int_equal(items[1].code, -EIO);
    emlfs_drop_free(drop);
}

static int state_set(struct archive_test *t, enum emlfs_store_state state)
{
    const struct emlfs_store_change change = {.no = 1, .state = state, .reason = "test"};

    return emlfs_archive_store_set_state(t->archive, NULL, &change, NULL);
}

static void test_protected(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct text text;
    struct emlfs_drop_item item = item_of(t, &text, MESSAGE("1"), "x.eml");

    OK(state_set(t, EMLFS_STORE_WRITE_PROTECTED));
    assert_int_equal(emlfs_drop_check(drop, &item, NULL), -EROFS);
    assert_int_equal(emlfs_drop_archive(drop, &item, 1, NULL), -EROFS);
    assert_int_equal(item.code, -EROFS);
    OK(state_set(t, EMLFS_STORE_CURRENT));
    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, 0);
    emlfs_drop_free(drop);
}

/* ---- mboxes */

#define MAIL(n) "From: bob@example.org\nSubject: Number " n "\n\nbody " n "\n"
#define MAIL_LENGTH(n)                                                                             \
    "From: bob@example.org\nSubject: Number " n "\nContent-Length: 7\n\nbody " n "\n"

static const struct {
    const char *text;
    unsigned archived, rejected;
} mboxes[] = {
    {FROM_DATED MAIL("a1") "\n" FROM_DATED MAIL("a2") "\n" FROM_DATED MAIL("a3"), 3, 0},
    {"From mboxrd@z Thu Jan  1 00:00:00 1970\n" MAIL(
         "b1") ">From x\n>>From y\n\n"
               "From mboxrd@z Thu Jan  1 00:00:00 1970\n" MAIL("b2"),
     2, 0},
    {FROM_DATED MAIL_LENGTH("c1") "\n" FROM_DATED MAIL_LENGTH("c2") "\n", 2, 0},
    {"From - Mon Mar  2 09:13:00 2026\nX-Mozilla-Status: 0001\n" MAIL(
         "d1") "\n"
               "From - Mon Mar  2 09:13:00 2026\nX-Mozilla-Status: 0009\n" MAIL("d2"),
     2, 0},
    {FROM_DATED MAIL("e1") "\n" FROM_DATED MAIL("e2") "\n" FROM_DATED, 2, 1},
    {"\xef\xbb\xbf" FROM_DATED MAIL("f1") "\n" FROM_DATED MAIL("f1"), 1, 0},
};

static void test_mbox(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    uint64_t entries = 0;

    for (size_t i = 0; i < sizeof(mboxes) / sizeof(mboxes[0]); i++) {
        struct text text;
        struct emlfs_drop_item item = item_of(t, &text, mboxes[i].text, "old mail.mbox");

        for (unsigned round = 0; round < 2; round++) { /* again, as behind a crash */
            OK(emlfs_drop_check(drop, &item, NULL));
            OK(emlfs_drop_archive(drop, &item, 1, NULL));
            assert_int_equal(item.kind, EMLFS_DROP_MBOX);
            assert_int_equal(item.code, 0);
            assert_int_equal(item.id.v, 0);
            assert_int_equal(item.totals.archived, round ? 0 : mboxes[i].archived);
            assert_int_equal(item.totals.rejected, mboxes[i].rejected);
            assert_int_equal(item.expected,
                             item.totals.archived + item.totals.duplicates + item.totals.rejected);
            assert_int_equal(item.rejected.code != 0, mboxes[i].rejected > 0);
            if (mboxes[i].rejected)
                assert_non_null(strstr(item.rejected.text, "without a message"));
            entries += item.totals.archived;
            assert_int_equal(entries_in(t, t->alice.archive), entries);
        }
    }
    emlfs_drop_free(drop);
}

static void test_mbox_of_nothing(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct text text;
    struct emlfs_drop_item item = item_of(t, &text, FROM_DATED, "x.mbox");

    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, -EOPNOTSUPP);
    emlfs_drop_free(drop);
}

/* More than memory would be lent: many messages, and the last part of it is not readable. */
static ssize_t endless_pread(void *arg, void *data, size_t len, uint64_t offset,
                             struct emlfs_err *err)
{
    static const char text[] = FROM_DATED "Subject: number 00000000\n\n";
    const size_t each = 4096;
    const uint64_t *fails_at = arg;
    uint8_t *out = data;

    if (offset >= *fails_at)
        return emlfs_err_set(err, EBADMSG, "test", "damaged");
    for (size_t i = 0; i < len; i++) {
        uint64_t at = offset + i;
        size_t in = (size_t)(at % each);
        char line[sizeof(text) + 16];

        (void)snprintf(line, sizeof(line), FROM_DATED "Subject: number %08u\n\n",
                       (unsigned)(at / each));
        out[i] = in < sizeof(text) - 1 ? (uint8_t)line[in] : in + 2 >= each ? '\n' : 'x';
    }
    return (ssize_t)len;
}

static void test_mbox_fails(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    uint64_t fails_at = 1u << 20;
    struct emlfs_drop_item item = {.subject = t->self,
                                   .user = t->alice.id,
                                   .folder = t->alice.archive,
                                   .name = "x",
                                   .size_bytes = 2u << 20,
                                   .pread = endless_pread,
                                   .arg = &fails_at};

    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, -EBADMSG);
    uint64_t first = item.totals.archived + item.totals.duplicates;
    fails_at = UINT64_MAX;
    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, 0);
    assert_int_equal(item.totals.archived + item.totals.duplicates, 512);
    assert_int_equal(item.totals.duplicates, first);
    assert_int_equal(entries_in(t, t->alice.archive), 512);
    emlfs_drop_free(drop);
}

/* ---- many, and real ones */

static void test_bulk(void **state)
{
    enum { N = 300 };
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    struct emlfs_drop_item *items = calloc(N, sizeof(*items));
    struct text *texts = calloc(N, sizeof(*texts));
    char(*bytes)[128] = calloc(N, sizeof(*bytes));

    assert_true(items && texts && bytes);
    for (unsigned i = 0; i < N; i++) {
        (void)snprintf(bytes[i], sizeof(bytes[i]), "Subject: bulk %u\n\nbody\n", i / 2);
        items[i] = item_of(t, &texts[i], bytes[i], "bulk.eml");
    }
    OK(emlfs_drop_archive(drop, items, N, NULL));
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(items[i].code, 0);
        assert_int_equal(items[i].id.v, items[i & ~1u].id.v);
    }
    assert_int_equal(entries_in(t, t->alice.archive), N / 2);
    free(items);
    free(texts);
    free(bytes);
    emlfs_drop_free(drop);
}

static unsigned corpus_messages, corpus_outlook;

static bool ends_in(const char *path, const char *suffix)
{
    size_t len = strlen(path), n = strlen(suffix);

    return len > n && strcasecmp(path + len - n, suffix) == 0;
}

/* What the importer takes for a message is one here, too, but for what is known to be no mail. */
static int corpus_file(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    uint8_t head[EMLFS_DROP_HEAD_BYTES];
    const char *reason = "";
    FILE *file;
    size_t n;

    (void)st, (void)ftw;
    if (flag != FTW_F || !(file = fopen(path, "rb")))
        return 0;
    n = fread(head, 1, sizeof(head), file);
    (void)fclose(file);
    enum emlfs_drop_kind kind = emlfs_drop_sniff(emlfs_span_of(head, n), n < sizeof(head), &reason);
    if (ends_in(path, ".msg")) {
        corpus_outlook++;
        if (memcmp(head, "\xd0\xcf\x11\xe0", 4) == 0)
            assert_int_equal(kind, EMLFS_DROP_FOREIGN);
        return 0;
    }
    if (!emlfs_looks_like_message(emlfs_span_of(head, n), NULL) || ends_in(path, ".py"))
        return 0;
    corpus_messages++;
    if (kind == EMLFS_DROP_FOREIGN)
        print_error("%s: %s\n", path, reason);
    if (ends_in(path, ".eml"))
        assert_int_not_equal(kind, EMLFS_DROP_FOREIGN);
    return 0;
}

static void test_corpora(void **state)
{
    const char *corpora = getenv("EMLFS_CORPORA");

    (void)state;
    if (!corpora)
        skip();
    (void)nftw(corpora, corpus_file, 16, FTW_PHYS);
    print_message("%u messages, %u of Outlook\n", corpus_messages, corpus_outlook);
}

/* ---- quotas */

static void quota_set(struct archive_test *t, uint64_t bytes)
{
    const struct emlfs_user_change change = {.set_quota = true, .quota_bytes = bytes};
    struct emlfs_user user;
    uint64_t told;

    OK(emlfs_user_change(t->archive, NULL, "alice", &change, NULL));
    OK(emlfs_user_by_name(t->archive, "alice", &user, NULL));
    assert_int_equal(user.quota_bytes, bytes);
    OK(emlfs_rules_quota(t->rules, user.id, &told, NULL));
    assert_int_equal(told, bytes);
}

static uint64_t usage(struct archive_test *t)
{
    uint64_t bytes;

    OK(emlfs_archive_usage(t->archive, t->alice.id, &bytes, NULL));
    return bytes;
}

static void archive_reopen(struct archive_test *t)
{
    struct emlfs_archive_options open = {.path = t->path, .workers = 2};
    struct emlfs_rules_options rules = {0};

    emlfs_rules_close(t->rules);
    emlfs_bindings_free(t->bindings);
    OK(emlfs_archive_close(t->archive, NULL));
    OK(emlfs_archive_open(&open, &t->archive, NULL));
    OK(emlfs_bindings_new(t->archive, &t->bindings));
    rules.archive = t->archive;
    rules.bindings = t->bindings;
    OK(emlfs_rules_open(&rules, &t->rules, NULL));
}

static void test_quota(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    const size_t each = strlen(MESSAGE("1"));
    struct text texts[4];
    struct emlfs_drop_item items[4] = {
        item_of(t, &texts[0], MESSAGE("1"), "1.eml"),
        item_of(t, &texts[1], MESSAGE("2"), "2.eml"),
        item_of(t, &texts[2], MESSAGE("3"), "3.eml"),
        item_of(t, &texts[3], MESSAGE("1"), "1 again.eml"),
    };
    struct emlfs_folder_id other;

    OK(emlfs_archive_folder_make(t->archive, NULL,
                                 &(struct emlfs_folder_wanted){t->alice.archive, t->alice.id, "b"},
                                 &other, NULL));
    items[3].folder = other; /* a second entry costs nothing */
    assert_int_equal(usage(t), 0);
    quota_set(t, 2 * each + 5);
    OK(emlfs_drop_check(drop, &items[0], NULL));
    items[0].waiting_bytes = each + 5; /* of others */
    OK(emlfs_drop_check(drop, &items[0], NULL));
    items[0].waiting_bytes = each + 6;
    assert_int_equal(emlfs_drop_check(drop, &items[0], NULL), -EDQUOT);
    items[0].waiting_bytes = UINT64_MAX;
    assert_int_equal(emlfs_drop_check(drop, &items[0], NULL), -EDQUOT);
    OK(emlfs_drop_archive(drop, items, 4, NULL));
    assert_int_equal(items[0].code, 0);
    assert_int_equal(items[1].code, 0);
    assert_int_equal(items[2].code, -EDQUOT);
    assert_non_null(strstr(items[2].err.text, "quota"));
    assert_int_equal(items[3].code, 0);
    assert_int_equal(items[3].id.v, items[0].id.v);
    assert_int_equal(usage(t), 2 * each);
    assert_int_equal(emlfs_drop_check(drop, &items[2], NULL), -EDQUOT);

    OK(emlfs_drop_archive(drop, items, 4, NULL)); /* what is there stays a success */
    assert_int_equal(items[0].code, 0);
    assert_int_equal(items[2].code, -EDQUOT);
    emlfs_drop_free(drop);

    archive_reopen(t);
    drop = drop_new(t);
    assert_int_equal(usage(t), 2 * each);
    uint64_t quota;
    OK(emlfs_rules_quota(t->rules, t->alice.id, &quota, NULL));
    assert_int_equal(quota, 2 * each + 5);
    quota_set(t, 0);
    OK(emlfs_drop_archive(drop, &items[2], 1, NULL));
    assert_int_equal(items[2].code, 0);
    assert_int_equal(usage(t), 3 * each);
    emlfs_drop_free(drop);
}

/* An mbox up to the quota: what fits is in, the rest is said to be over it. */
static void test_quota_mbox(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_drop *drop = drop_new(t);
    uint64_t fails_at = UINT64_MAX;
    struct emlfs_drop_item item = {.subject = t->self,
                                   .user = t->alice.id,
                                   .folder = t->alice.archive,
                                   .name = "x",
                                   .size_bytes = 1u << 20,
                                   .pread = endless_pread,
                                   .arg = &fails_at};

    quota_set(t, 512u << 10);
    OK(emlfs_drop_archive(drop, &item, 1, NULL));
    assert_int_equal(item.code, -EDQUOT);
    assert_int_equal(item.totals.archived + item.totals.rejected, 256);
    assert_int_equal(item.expected, 256);
    assert_int_equal(item.rejected.code, EDQUOT);
    assert_true(usage(t) <= 512u << 10 && usage(t) > (512u << 10) - 4096);
    emlfs_drop_free(drop);
}

#define IN_ARCHIVE(test) cmocka_unit_test_setup_teardown(test, archive_setup, archive_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sniff_table),
        cmocka_unit_test(test_sniff_cut),
        cmocka_unit_test(test_sniff_hostile),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_corpora),
        IN_ARCHIVE(test_message),
        IN_ARCHIVE(test_name_of_nothing),
        IN_ARCHIVE(test_refusals),
        IN_ARCHIVE(test_protected),
        IN_ARCHIVE(test_mbox),
        IN_ARCHIVE(test_mbox_of_nothing),
        IN_ARCHIVE(test_mbox_fails),
        IN_ARCHIVE(test_bulk),
        IN_ARCHIVE(test_quota),
        IN_ARCHIVE(test_quota_mbox),
    };

    if (argc > 0 && strcmp(argv[0], "emlfs-worker") == 0)
        return emlfs_worker_main();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
