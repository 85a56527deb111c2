/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <utf8proc.h>

#include "emlfs/name.h"

#define NAME_BYTES 241
#define RANDOM_ROUNDS 200000

static const char *folder_of(const char *text, char ret[NAME_BYTES])
{
    emlfs_name_folder(emlfs_span_str(text), ret, NAME_BYTES);
    return ret;
}

static void assert_folder(const char *text, const char *expected)
{
    char name[NAME_BYTES];
    assert_string_equal(folder_of(text, name), expected);
    assert_true(emlfs_name_folder_ok(name));
    assert_int_equal(strcmp(text, expected) == 0, emlfs_name_folder_ok(text));
}

static void test_folder(void **state)
{
    (void)state;
    assert_folder("Inbox", "Inbox");
    assert_folder("", "unnamed");
    assert_folder(".", "unnamed");
    assert_folder("..", "unnamed");
    assert_folder("../../etc/passwd", "_.._etc_passwd");
    assert_folder(".hidden", "hidden");
    assert_folder("  -~. a \t b . .", "a b");
    assert_folder("a/b\\c:d*e?f\"g<h>i|j", "a_b_c_d_e_f_g_h_i_j");
    assert_folder("Re: what?", "Re what");
    assert_folder("\"quoted\" (x)", "quoted (x)");
    assert_folder("CON", "_CON");
    assert_folder("con.txt", "_con.txt");
    assert_folder("lpt1 .x", "_lpt1 .x");
    assert_folder("COM\xc2\xb9", "_COM\xc2\xb9");
    assert_folder("Console", "Console");
    assert_folder("Thumbs.db", "_Thumbs.db");
    assert_folder("lost+found", "_lost+found");
    assert_folder("~$x", "$x");
    assert_folder("x [000015].eml", "x [000015]_eml");
    assert_folder("Gr\xc3\xb6\xc3\x9f"
                  "e & Ma\xc3\x9f",
                  "Gr\xc3\xb6\xc3\x9f"
                  "e & Ma\xc3\x9f");
    assert_folder("u\xcc\x88", "\xc3\xbc"); /* NFD to NFC */
    assert_folder("a\xe2\x80\xae"
                  "b\xe2\x80\x8b"
                  "c\xef\xbb\xbf",
                  "abc"); /* bidi, zero width, BOM */
    assert_folder("a\xef\x80\xa2"
                  "b",
                  "a_b"); /* private use */
    assert_folder("a\xff"
                  "b\xed\xa0\x80",
                  "a_b"); /* not UTF-8 */
    assert_folder("a\xe2\x80\xa8"
                  "b\xe3\x80\x80\xc2\xa0"
                  "c",
                  "a b c");
    assert_folder("a\x1b[31m\x07", "a_[31m");
}

static void test_cut_keeps_clusters(void **state)
{
    (void)state;
    char text[1024] = "";
    char name[NAME_BYTES];
    for (unsigned i = 0; i < 60; i++) /* thumb with skin colour: one cluster, 4 units, 8 bytes */
        strncat(text, "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd", sizeof text - strlen(text) - 1);
    folder_of(text, name);
    assert_int_equal(strlen(name), 25 * 8);
    memset(text, 'x', 99);
    snprintf(text + 99, sizeof text - 99, "e\xcc\xa3\xcc\x81yz"); /* stays two characters in NFC */
    folder_of(text, name);
    assert_int_equal(strlen(name), 99);
    for (size_t i = 0; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xcc\x81", 3); /* one endless cluster: cut inside, never empty */
    folder_of(text, name);
    assert_true(strlen(name) > 100 && emlfs_name_folder_ok(name));
}

static struct emlfs_facts facts_of(const char *from, const char *subject)
{
    return (struct emlfs_facts){.from = emlfs_span_str(from), .subject = emlfs_span_str(subject)};
}

static void assert_stem(struct emlfs_facts facts, int64_t date_sec, const char *zone,
                        const char *expected)
{
    char stem[NAME_BYTES];
    const struct emlfs_name_input input = {&facts, date_sec * 1000000000, false, zone};
    assert_int_equal(emlfs_name_stem(&input, stem, sizeof stem), 0);
    assert_string_equal(stem, expected);
}

static void test_stem(void **state)
{
    (void)state;
    const int64_t when = 1772356380; /* 2026-03-01 09:13 UTC */
    assert_stem(facts_of("Bob Smith <bob@example.com>", "Quarterly numbers"), when, "UTC",
                "2026-03-01 0913 Bob Smith - Quarterly numbers");
    assert_stem(facts_of("<bob@example.com>, <x@y>", "Re: 1/3?"), when, "Europe/Berlin",
                "2026-03-01 1013 bob@example.com - Re 1_3");
    assert_stem(facts_of("\"Smith, \\\"Bob\\\"\" <b@c>", ""), when, "America/New_York",
                "2026-03-01 0413 Smith, Bob - no subject");
    assert_stem(facts_of("", " "), when, "No/Such_Zone", "2026-03-01 0913 unknown - no subject");
    assert_stem(facts_of("\"\" <b@c>", "a\nb"), when, "../../etc/passwd",
                "2026-03-01 0913 b@c - a b");
    assert_stem(facts_of("List, <a@b>", "x"), when, NULL, "2026-03-01 0913 List - x");
    struct emlfs_facts facts = facts_of("Bob <b@c>", "x");
    char stem[NAME_BYTES];
    struct emlfs_name_input input = {&facts, when * 1000000000, true, "UTC"};
    facts.cc = emlfs_span_str("Ann <ann@x>, B <b@x>");
    assert_int_equal(emlfs_name_stem(&input, stem, sizeof stem), 0);
    assert_string_equal(stem, "2026-03-01 0913 Ann - x");
    assert_int_equal(emlfs_name_stem(&input, stem, 10), -E2BIG);
}

/* Against the C library, over all zones' habits: years before, in and after the tables. */
static void test_zones(void **state)
{
    (void)state;
    static const char *const zones[] = {"Europe/Berlin",       "America/New_York",
                                        "Australia/Lord_Howe", "Asia/Kolkata",
                                        "America/St_Johns",    "Africa/Casablanca",
                                        "Pacific/Chatham",     "Asia/Tehran",
                                        "America/Sao_Paulo",   "UTC",
                                        "Europe/Dublin",       "Asia/Gaza",
                                        "America/Nuuk"};
    for (size_t z = 0; z < sizeof zones / sizeof zones[0]; z++) {
        setenv("TZ", zones[z], 1);
        tzset();
        for (int64_t at = 315532800; at < 4102444800; at += 90061 * 3 + 1800) {
            char expected[64];
            char stem[NAME_BYTES];
            struct tm local;
            struct emlfs_facts facts = {0};
            const struct emlfs_name_input input = {&facts, at * 1000000000, false, zones[z]};
            time_t when = (time_t)at;
            localtime_r(&when, &local);
            strftime(expected, sizeof expected, "%Y-%m-%d %H%M unknown - no subject", &local);
            assert_int_equal(emlfs_name_stem(&input, stem, sizeof stem), 0);
            if (strcmp(stem, expected) != 0)
                fail_msg("%s at %lld: %s, not %s", zones[z], (long long)at, stem, expected);
        }
    }
    unsetenv("TZ");
    tzset();
}

static void test_file_and_id(void **state)
{
    (void)state;
    char name[NAME_BYTES];
    struct emlfs_msg_id id;
    const struct emlfs_msg_id ids[] = {emlfs_msg_id_make(1, 37), emlfs_msg_id_make(2, 1),
                                       emlfs_msg_id_make(EMLFS_STORE_NO_MAX, UINT32_MAX)};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_int_equal(emlfs_name_file("2026 a [b].eml", ids[i], name, sizeof name), 0);
        assert_true(emlfs_name_id(name, &id));
        assert_int_equal(id.v, ids[i].v);
        assert_int_equal(emlfs_name_file("2026 a", ids[i], name, 10), -E2BIG);
    }
    assert_int_equal(emlfs_name_file("a", ids[0], name, sizeof name), 0);
    assert_string_equal(name, "a [000015].eml");
    static const char *const wrong[] = {"",
                                        "].eml",
                                        "a.eml",
                                        " [000015].eml",
                                        "a[000015].eml",
                                        "a [00015].eml",
                                        "a [000015].EML",
                                        "a [000015]",
                                        "a [].eml",
                                        "[000015].eml"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(emlfs_name_id(wrong[i], &id));
}

static void test_fold(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf a = EMLFS_BUF_INIT(256);
    EMLFS_BUF_CLEANUP struct emlfs_buf b = EMLFS_BUF_INIT(256);
    assert_int_equal(emlfs_name_fold("STRASSE \xc3\x84", &a), 0);
    assert_int_equal(emlfs_name_fold("stra\xc3\x9f"
                                     "e A\xcc\x88",
                                     &b),
                     0);
    assert_true(emlfs_span_equal(emlfs_buf_view(&a), emlfs_buf_view(&b)));
    assert_int_equal(emlfs_name_fold("\xff", &a), -EILSEQ);
    struct emlfs_buf small = EMLFS_BUF_INIT(3);
    assert_int_equal(emlfs_name_fold("long", &small), -E2BIG);
}

static void test_date(void **state)
{
    (void)state;
    const int64_t archived_ns = 1772356380123456789;
    uint8_t source;
    struct emlfs_facts facts = {.date_sec = 1700000000, .date_source = EMLFS_DATE_DATE};
    assert_int_equal(emlfs_name_date_ns(&facts, 5, archived_ns, &source), 1700000000000000000);
    assert_int_equal(source, EMLFS_DATE_DATE);
    facts.date_sec = INT64_MAX;
    assert_int_equal(emlfs_name_date_ns(&facts, 5, archived_ns, &source), archived_ns);
    facts.date_sec = INT64_MIN;
    assert_int_equal(emlfs_name_date_ns(&facts, 5, archived_ns, &source), 315532800000000000);
    facts.date_source = EMLFS_DATE_NONE;
    assert_int_equal(emlfs_name_date_ns(&facts, 1600000000, archived_ns, &source),
                     1600000000000000000);
    assert_int_equal(source, EMLFS_DATE_FILE);
    assert_int_equal(emlfs_name_date_ns(&facts, 0, archived_ns, &source), archived_ns);
    assert_int_equal(source, EMLFS_DATE_ARCHIVED);
    assert_int_equal(emlfs_name_date_ns(&facts, 0, 0, NULL), 315532800000000000);
}

static void test_tables(void **state)
{
    (void)state;
    static const char *const sent[] = {"Sent",
                                       "INBOX/SENT ITEMS",
                                       "a/Gesendete Elemente",
                                       "\xc3\x89l\xc3\xa9ments envoy\xc3\xa9s",
                                       "x/\xe9\x80\x81\xe4\xbf\xa1\xe6\xb8\x88\xe3\x81\xbf",
                                       ("Elementy wys\xc5\x82"
                                        "ane"),
                                       "[Gmail]/Sent Mail"};
    static const char *const litter[] = {
        "Thumbs.db",   "thumbs.DB",   ".Trash-1000",  ".~lock.a.odt#", "~$a.docx",
        "._x",         "lost+found",  "$RECYCLE.BIN", ".DS_Store",     ".Trash",
        "autorun.inf", "desktop.ini", "RECYCLER",     "ehthumbs.db",   "System Volume Information",
        ".localized",  ".hidden",     ".AppleDouble", "lost+FOUND",    ".metadata_never_index"};
    static const char *const neither[] = {
        "Inbox",      "Sent/2019", "Trash",  "",       "Presents",
        "autorunner", "~x",        ".emlfs", ".query", "2026-03-01 0913 a - b [000015].eml"};
    for (size_t i = 0; i < sizeof sent / sizeof sent[0]; i++)
        assert_true(emlfs_name_is_sent(sent[i]) && !emlfs_name_is_litter(sent[i]));
    for (size_t i = 0; i < sizeof litter / sizeof litter[0]; i++)
        assert_true(emlfs_name_is_litter(litter[i]));
    for (size_t i = 0; i < sizeof neither / sizeof neither[0]; i++)
        assert_false(emlfs_name_is_sent(neither[i]) || emlfs_name_is_litter(neither[i]));
}

/* ---- properties */

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* Bytes of many kinds: raw, ASCII, any character, combining marks, what is forbidden. */
static size_t random_text(uint64_t *seed, uint8_t *text, size_t size)
{
    static const char special[] = " ./\\:*?\"<>|-~\t\n[]_CONcomlpt1\x7f";
    size_t len = 0;
    uint64_t kind = random_next(seed) % 6;
    size_t wanted = random_next(seed) % (random_next(seed) % 8 == 0 ? size - 8 : 60);
    while (len < wanted) {
        uint64_t r = random_next(seed);
        uint64_t pick = kind == 5 ? r >> 60 : kind;
        if (pick == 0)
            text[len++] = (uint8_t)(r >> 8);
        else if (pick == 1)
            text[len++] = (uint8_t)(0x20 + (r >> 8) % 0x5f);
        else if (pick == 2)
            text[len++] = (uint8_t)special[(r >> 8) % (sizeof special - 1)];
        else if (pick == 3)
            len += (size_t)utf8proc_encode_char((int32_t)((r >> 8) % 0x110000), text + len);
        else
            len += (size_t)utf8proc_encode_char((int32_t)(0x2d0 + (r >> 8) % 0x2e00), text + len);
    }
    return len;
}

static void assert_name_clean(const char *name, size_t units_max)
{
    utf8proc_ssize_t at = 0;
    utf8proc_ssize_t len = (utf8proc_ssize_t)strlen(name);
    size_t units = 0;
    assert_true(len > 0 && len <= 240);
    while (at < len) {
        utf8proc_int32_t code;
        utf8proc_ssize_t used = utf8proc_iterate((const uint8_t *)name + at, len - at, &code);
        assert_true(used > 0);
        assert_true(code >= 0x20 && code != 0x7f && !(code >= 0x80 && code < 0xa0));
        assert_true(code >= 0x80 || strchr("<>:\"/\\|?*", code) == NULL);
        assert_false((code >= 0xe000 && code < 0xf900) || (code >= 0x200b && code <= 0x200f) ||
                     (code >= 0x2028 && code <= 0x202e) || (code >= 0x2060 && code <= 0x206f) ||
                     code == 0xfeff || (code & 0xfffe) == 0xfffe);
        units += code > 0xffff ? 2 : 1;
        at += used;
    }
    assert_true(units <= units_max);
    assert_true(name[len - 1] != '.' && name[len - 1] != ' ');
    assert_null(strchr("-~. ", name[0]));
    utf8proc_uint8_t *nfc = utf8proc_NFC((const utf8proc_uint8_t *)name);
    assert_non_null(nfc);
    assert_string_equal((const char *)nfc, name);
    free(nfc);
}

static void test_random_folders(void **state)
{
    (void)state;
    uint64_t seed = 0x9e3779b97f4a7c15;
    uint8_t text[1500];
    char name[NAME_BYTES];
    for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
        size_t len = random_text(&seed, text, sizeof text);
        emlfs_name_folder(emlfs_span_of(text, len), name, sizeof name);
        assert_name_clean(name, 100);
        assert_true(emlfs_name_folder_ok(name));
    }
}

static void test_random_stems(void **state)
{
    (void)state;
    uint64_t seed = 0xd1b54a32d192ed03;
    uint8_t from[1500];
    uint8_t subject[1500];
    char stem[NAME_BYTES];
    char name[NAME_BYTES];
    char again[NAME_BYTES];
    const struct emlfs_msg_id id = emlfs_msg_id_make(EMLFS_STORE_NO_MAX, UINT32_MAX);
    for (unsigned round = 0; round < RANDOM_ROUNDS / 2; round++) {
        struct emlfs_facts facts = {
            .from = emlfs_span_of(from, random_text(&seed, from, sizeof from)),
            .subject = emlfs_span_of(subject, random_text(&seed, subject, sizeof subject))};
        const struct emlfs_name_input input = {
            &facts, (int64_t)(random_next(&seed) % 4000000000) * 1000000000, false,
            "Europe/Berlin"};
        struct emlfs_msg_id back;
        assert_int_equal(emlfs_name_stem(&input, stem, sizeof stem), 0);
        assert_int_equal(emlfs_name_file(stem, id, name, sizeof name), 0);
        assert_name_clean(name, 120);
        assert_true(emlfs_name_id(name, &back) && back.v == id.v);
        emlfs_name_folder(emlfs_span_str(stem), again, sizeof again);
        assert_string_equal(again, stem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),         cmocka_unit_test(test_cut_keeps_clusters),
        cmocka_unit_test(test_stem),           cmocka_unit_test(test_zones),
        cmocka_unit_test(test_file_and_id),    cmocka_unit_test(test_fold),
        cmocka_unit_test(test_date),           cmocka_unit_test(test_tables),
        cmocka_unit_test(test_random_folders), cmocka_unit_test(test_random_stems),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
