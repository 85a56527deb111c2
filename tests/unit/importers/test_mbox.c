/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <fcntl.h>

#include "collect.h"

static char root[512];

static int setup(void **state)
{
    (void)state;
    source_make(root, sizeof(root));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    source_remove(root);
    return 0;
}

#define D1 "From a@b Mon Jan  1 10:00:00 2001\n"
#define D2 "From a@b Mon Jan  1 11:00:00 2001\n"

static void split_bytes(struct collect *c, const void *data, size_t len)
{
    char path[1024];
    collect_free(c);
    source_file_bytes(root, "m.mbox", data, len);
    snprintf(path, sizeof(path), "%s/m.mbox", root);
    assert_string_equal(emlfs_importer_find(path)->name, "mbox");
    assert_int_equal(collect_run(c, &emlfs_importer_mbox, path), 0);
}

static void split(struct collect *c, const char *text)
{
    split_bytes(c, text, strlen(text));
}

static void test_from_forms(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        enum emlfs_mbox_form form;
        int64_t date_sec;
    } lines[] = {
        {"From a@b Thu Aug 22 12:36:23 2002\n", EMLFS_MBOX_DATED, 1030019783},
        {"From a@b  Thu Aug  2 12:36:23 2002\r\n", EMLFS_MBOX_DATED, 1028291783},
        {"From a at b.c  Thu Aug 22 12:36 2002\n", EMLFS_MBOX_DATED, 1030019760},
        {"From a@b Thu Aug 22 12:36:23 +0200 2002\n", EMLFS_MBOX_DATED, 1030012583},
        {"From a@b Thu Aug 22 12:36:23 CEST 2002\n", EMLFS_MBOX_DATED, 1030019783},
        {"From a@b Thu Aug 22 12:36:23 2002 -0100\n", EMLFS_MBOX_DATED, 1030023383},
        {"From a@b Thu, 22 Aug 2002 12:36:23 +0000\n", EMLFS_MBOX_DATED, 1030019783},
        {"From a@b 2002-08-22 12:36:23\n", EMLFS_MBOX_DATED, 1030019783},
        {"From a@b 2002-08-22T12:36:23\n", EMLFS_MBOX_DATED, 1030019783},
        {"From A B <a@b>  Thu Aug 22 12:36:23 2002\n", EMLFS_MBOX_DATED, 1030019783},
        {"From a Thu Aug 22 12:36:23 2002 remote from host\n", EMLFS_MBOX_DATED, 1030019783},
        {"From ???@??? Thu Aug 22 12:36:23 2002\n", EMLFS_MBOX_DATED, 1030019783},
        {"From Thu Aug 22 12:36:23 2002\n", EMLFS_MBOX_DATED, 1030019783},
        {"From - Thu Aug 22 12:36:23 2002\r\n", EMLFS_MBOX_DASH, 1030019783},
        {"From - \n", EMLFS_MBOX_DASH, 0},
        {"From -", EMLFS_MBOX_DASH, 0},
        {"From - well\n", EMLFS_MBOX_OTHER, 0},
        {"From 1844347792267117879@xxx\n", EMLFS_MBOX_TOKEN, 0},
        {"From \n", EMLFS_MBOX_EMPTY, 0},
        {"From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\n", EMLFS_MBOX_GIT,
         0},
        {"From Russia with love\n", EMLFS_MBOX_OTHER, 0},
        {"From Thu Aug 22 12:36:23 2002 on it rained\n", EMLFS_MBOX_OTHER, 0},
        {"From a@b Thu Aug 22 12:36:23\n", EMLFS_MBOX_OTHER, 0},
        {"From a@b Thu Aug 32 12:36:23 2002\n", EMLFS_MBOX_OTHER, 0},
        {"From: a@b\n", EMLFS_MBOX_NONE, 0},
        {"From", EMLFS_MBOX_NONE, 0},
        {"", EMLFS_MBOX_NONE, 0},
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct emlfs_mbox_from from = emlfs_mbox_from_parse(emlfs_span_str(lines[i].line));
        if (from.form != lines[i].form || from.date_sec != lines[i].date_sec)
            fail_msg("%s: form %d, date %lld", lines[i].line, (int)from.form,
                     (long long)from.date_sec);
        if (from.form != EMLFS_MBOX_NONE)
            assert_int_equal(from.line_len, strlen(lines[i].line));
    }
}

static void test_plain(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, D1 "From: 1\nStatus: RO\nX-Status: AF\n\none\n\n" D2 "From: 2\n\ntwo\n\n\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\nStatus: RO\nX-Status: AF\n\none\n");
    assert_string_equal(c.messages.items[1].text,
                        "From: 2\n\ntwo\n\n"); /* one empty line is format */
    assert_int_equal(c.messages.items[0].flags,
                     EMLFS_ENTRY_SEEN | EMLFS_ENTRY_ANSWERED | EMLFS_ENTRY_FLAGGED);
    assert_int_equal(c.messages.items[1].time_sec, 978346800);
    assert_non_null(strstr(c.messages.items[0].position, "/m.mbox:0"));
    assert_non_null(strstr(c.messages.items[1].position, "/m.mbox:72"));
    assert_true(collect_noted(&c, "dialect mboxo: no quoted"));
    collect_free(&c);
}

/* A file that grew yields the same messages again. */
static void test_growth(void **state)
{
    (void)state;
    struct collect a = {0}, b = {0};
    split(&a, D1 "From: 1\n\none\n\n");
    split(&b, D1 "From: 1\n\none\n\n" D2 "From: 2\n\ntwo\n\n");
    assert_int_equal(b.messages.count, 2);
    assert_int_equal(a.messages.items[0].len, b.messages.items[0].len);
    assert_string_equal(a.messages.items[0].text, b.messages.items[0].text);
    collect_free(&a);
    collect_free(&b);
}

static void test_line_ends(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, "From - Mon Jan  1 10:00:00 2001\r\nFrom: 1\n\none\n\r\n"
              "From - Mon Jan  1 11:00:00 2001\r\nFrom: 2\n\ntwo\n\r\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\n\none\n");
    assert_string_equal(c.messages.items[1].text, "From: 2\n\ntwo\n");
    split(&c, "From a@b Mon Jan  1 10:00:00 2001\r\nFrom: 1\r\n\r\none\r\n\r\n"
              "From a@b Mon Jan  1 11:00:00 2001\r\nFrom: 2\r\n\r\ntwo\r\n\r\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\r\n\r\none\r\n");
    split(&c, "From a@b Mon Jan  1 10:00:00 2001\rFrom: 1\r\rone\r\r"
              "From a@b Mon Jan  1 11:00:00 2001\rFrom: 2\r\rtwo\r\r");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\r\rone\r");
    collect_free(&c);
}

static void test_body_lines_are_not_separators(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "From here on it is prose\n",
        "\nFrom here on\nNote: it is prose\n",
        "From a@b Mon Jan  1 10:00:00 2001\nX-Field: but no empty line before\n",
        "\nFrom a@b Mon Jan  1 10:00:00 2001\nno field after it\n\n",
        "\nFrom 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: x\n\n",
        "\nFrom a@b\nSubject: no date\n",
        "xFrom a@b Mon Jan  1 10:00:00 2001\nFrom: x\n",
        "\n>From a@b Mon Jan  1 10:00:00 2001\nFrom: x\n",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct collect c = {0};
        char text[2048], want[1024];
        snprintf(want, sizeof(want), "From: 1\n\nbody\n%stail\n", bodies[i]);
        snprintf(text, sizeof(text), D1 "%s\n" D2 "From: 2\n\ntwo\n", want);
        split(&c, text);
        if (c.messages.count != 2)
            fail_msg("%zu messages with %s", c.messages.count, bodies[i]);
        assert_string_equal(c.messages.items[0].text, want);
        collect_free(&c);
    }
}

static void test_separator_forms(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, "From - \nFrom: 1\n\none\nFrom - \nFrom: 2\n\ntwo\n"); /* no empty line, no date */
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\n\none\n");
    split(&c, "From 12@xxx\nFrom: 1\n\none\n\nFrom 13@xxx\nFrom: 2\n\ntwo\n");
    assert_int_equal(c.messages.count, 2);
    split(&c, "From \nFrom: 1\n\nFrom \nis text here\n\nFrom \nFrom: 2\n\ntwo\n");
    assert_int_equal(c.messages.count, 2);
    split(&c, "From 0123456789012345678901234567890123456789 Mon Sep 17 00:00:00 2001\nFrom: 1\n\n"
              "diff\n\nFrom 9876543210987654321098765432109876543210 Mon Sep 17 00:00:00 2001\n"
              "From: 2\n\ndiff\n");
    assert_int_equal(c.messages.count, 2);
    assert_int_equal(c.messages.items[0].time_sec, 0);
    split(&c, D1 "From: 1\n\none\n" D2 "From: 2\n\ntwo\n" D2 "From: 3\n"); /* never an empty line */
    assert_int_equal(c.messages.count, 3);
    split(&c, "\xef\xbb\xbf\n\n" D1 "From: 1\n\none\n");
    assert_int_equal(c.messages.count, 1);
    collect_free(&c);
}

static void test_damage(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, "some junk\nmore\n\n" D1 "From: 1\n\none\n");
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].text, "before the first From line"));
    split(&c, "Subject: lost its From line\n\nzero\n\n" D1 "From: 1\n\none\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "Subject: lost its From line\n\nzero\n");
    split(&c, D1 "From: 1\n\none\n\nFrom a@b Mon J\x01n  1 1\nFrom: 2\n\ntwo\n");
    assert_int_equal(c.messages.count, 1); /* nothing is lost: it is in the message before */
    assert_true(collect_noted(&c, "may be damaged separators"));
    split(&c, D1 "From: 1\n\none\n\n" D2);
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].text, "without a message"));
    split(&c, D1 "no header at all\n");
    assert_int_equal(c.rejects.count, 1);
    split(&c, "Subject: a message named .mbox\n\n");
    assert_int_equal(c.messages.count, 1);
    split(&c, "nothing of the kind\n");
    assert_int_equal(c.messages.count, 0);
    assert_int_equal(c.rejects.count, 1);
    split(&c, "");
    assert_int_equal(c.messages.count + c.rejects.count, 0);
    collect_free(&c);
}

static void test_mozilla_status(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, "From - Mon Jan  1 10:00:00 2001\nX-Mozilla-Status: 0009\nFrom: 1\n\none\n\n"
              "From - Mon Jan  1 10:00:00 2001\nX-Mozilla-Status: 1007\nFrom: 2\n\ntwo\n");
    assert_int_equal(c.messages.items[0].flags, EMLFS_ENTRY_SEEN | EMLFS_ENTRY_DELETED);
    assert_int_equal(c.messages.items[1].flags, EMLFS_ENTRY_SEEN | EMLFS_ENTRY_ANSWERED |
                                                    EMLFS_ENTRY_FLAGGED | EMLFS_ENTRY_FORWARDED);
    assert_true(collect_noted(&c, "1 messages are marked as deleted"));
    collect_free(&c);
}

static void test_mboxrd(void **state)
{
    (void)state;
    struct collect c = {0};
    split(
        &c, D1
        "From: 1\n\ntext\n>From one\n>>From two\n>>>From three\ntext\n> From four\n>Fromage\n\n" D2
        "From: 2\n\ntwo\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(
        c.messages.items[0].text,
        "From: 1\n\ntext\nFrom one\n>From two\n>>From three\ntext\n> From four\n>Fromage\n");
    assert_true(collect_noted(&c, "dialect mboxrd: quoted From lines are unquoted"));
    split(&c, "From mboxrd@z Thu Jan  1 00:00:00 1970\nFrom: 1\n\n>From one\n\n");
    assert_string_equal(c.messages.items[0].text, "From: 1\n\nFrom one\n");
    assert_int_equal(c.messages.items[0].time_sec, 0);
    collect_free(&c);
}

static void test_doubt_keeps_bytes(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "text\n>From one\nmore\n",                          /* mboxo or mboxrd: not certain */
        "text\n>From one\n\n> a\n>> b\n>>From two\n>> c\n", /* an ordinary quotation */
        "text\n>From one\n>>From two\n\nFrom three, not quoted\n", /* the writer does not quote */
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct collect c = {0};
        char text[2048], want[1024];
        snprintf(want, sizeof(want), "From: 1\n\n%s", bodies[i]);
        snprintf(text, sizeof(text), D1 "%s\n", want);
        split(&c, text);
        assert_int_equal(c.messages.count, 1);
        assert_string_equal(c.messages.items[0].text, want);
        assert_true(collect_noted(&c, "dialect mboxo: quoted From lines are kept"));
        collect_free(&c);
    }
}

#define INNER "one\n\n" D2 "From: inner\n\nx\n" /* 5 + 34 + 15 bytes */
static void test_content_length(void **state)
{
    (void)state;
    struct collect c = {0};
    assert_int_equal(sizeof(INNER) - 1, 54);
    split(&c, D1 "From: 1\nContent-Length: 54\n\n" INNER "\n" D2
                 "From: 2\nContent-Length: 4\n\ntwo\n\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\nContent-Length: 54\n\n" INNER);
    assert_string_equal(c.messages.items[1].text, "From: 2\nContent-Length: 4\n\ntwo\n");
    assert_true(collect_noted(&c, "dialect mboxcl2"));
    /* one wrong among right ones: found by its separator */
    split(&c,
          D1 "From: 1\nContent-Length: 3\n\nmore than three\n\n" D2
             "From: 2\nContent-Length: 4\n\ntwo\n\n" D2 "From: 3\nContent-Length: 6\n\nthree\n\n");
    assert_int_equal(c.messages.count, 3);
    assert_string_equal(c.messages.items[0].text,
                        "From: 1\nContent-Length: 3\n\nmore than three\n");
    assert_true(collect_noted(&c, "dialect mboxcl:"));
    assert_true(collect_noted(&c, "1 wrong Content-Length"));
    /* the length leaves out the last line end */
    split(&c, D1 "From: 1\nContent-Length: 3\n\none\n" D2 "From: 2\nContent-Length: 3\n\ntwo\n");
    assert_int_equal(c.messages.count, 2);
    assert_string_equal(c.messages.items[0].text, "From: 1\nContent-Length: 3\n\none\n");
    /* a body that ends in an empty line keeps it */
    split(&c,
          D1 "From: 1\nContent-Length: 5\n\none\n\n\n" D2 "From: 2\nContent-Length: 4\n\ntwo\n");
    assert_string_equal(c.messages.items[0].text, "From: 1\nContent-Length: 5\n\none\n\n");
    split(&c, D1 "From: 1\nContent-Length: 99999999999999999999\n\none\n\n" D2
                 "From: 2\nContent-Length: 18446744073709551615\n\ntwo\n");
    assert_int_equal(c.messages.count, 2);
    collect_free(&c);
}

/* A field that a sender wrote must not swallow the messages after it. */
static void test_length_ignored_without_dialect(void **state)
{
    (void)state;
    struct collect c = {0};
    split(&c, D1 "From: 1\n\none\n\n" D1 "From: 2\n\ntwo\n\n" D1
                 "From: 3\nContent-Length: 55\n\n" INNER "\n" D2 "From: 4\n\nfour\n");
    assert_int_equal(c.messages.count, 5);
    collect_free(&c);
}

/* Messages larger than the window, separators on its edges. */
static void test_windows(void **state)
{
    (void)state;
    size_t view = EMLFS_MBOX_VIEW_MAX_BYTES;
    size_t edges[] = {view - 40, view - 6, view - 5,     view - 1,
                      view,      view + 1, 2 * view - 3, 3 * view};
    for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
        struct collect c = {0};
        struct emlfs_buf text = EMLFS_BUF_INIT(16u << 20);
        static const char head[] = D1 "From: 1\n\n", tail[] = "\n\n" D2 "From: 2\n\ntwo\n\n";
        assert_int_equal(emlfs_buf_append(&text, head, sizeof(head) - 1), 0);
        while (text.len + 2 < edges[i])
            assert_int_equal(emlfs_buf_append_u8(&text, 'x'), 0);
        assert_int_equal(emlfs_buf_append(&text, tail, sizeof(tail) - 1), 0);
        split_bytes(&c, text.data, text.len);
        assert_int_equal(c.messages.count, 2);
        assert_int_equal(c.messages.items[0].len, edges[i] - 1 - strlen(D1));
        assert_string_equal(c.messages.items[1].text, "From: 2\n\ntwo\n");
        emlfs_buf_free(&text);
        collect_free(&c);
    }
}

static void test_huge_message(void **state)
{
    (void)state;
    struct collect c = {0};
    char path[1024];
    static const char last[] = "\n\n" D2 "From: 2\n\ntwo\n\n";
    source_file(root, "big", D1 "From: 1\n\n");
    snprintf(path, sizeof(path), "%s/big", root);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t at = (off_t)EMLFS_MESSAGE_MAX_BYTES + 4096; /* a hole, so nothing is written */
    assert_int_equal(emlfs_os_pwrite_all(fd, last, sizeof(last) - 1, (uint64_t)at), 0);
    close(fd);
    assert_int_equal(collect_run(&c, &emlfs_importer_mbox, path), 0);
    assert_int_equal(c.messages.count, 1);
    assert_string_equal(c.messages.items[0].text, "From: 2\n\ntwo\n");
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].position, "/big:0"));
    collect_free(&c);
    assert_int_equal(collect_run(&c, &emlfs_importer_eml, root), 0); /* found in a tree, too */
    assert_int_equal(c.messages.count, 1);
    assert_int_equal(collect_in_folder(&c, "big"), 1);
    collect_free(&c);
}

/* The file shrinks while it is read: what is left is one rejection, not a crash. */
static int shrink(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/m", root);
    assert_int_equal(truncate(path, 100), 0);
    return collect_message(arg, message, err);
}

static void test_shrinks(void **state)
{
    (void)state;
    struct collect c = {0};
    struct emlfs_err err = {0};
    char path[1024];
    struct emlfs_buf text = EMLFS_BUF_INIT(16u << 20);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(emlfs_buf_append(&text, D1 "From: 1\n\none\n\n", 48), 0);
    source_file_bytes(root, "m", text.data, text.len);
    snprintf(path, sizeof(path), "%s/m", root);
    struct emlfs_sink sink = {.arg = &c, .message = shrink, .reject = collect_reject};
    assert_int_equal(emlfs_importer_mbox.run(path, NULL, &sink, &err), 0);
    assert_int_equal(c.rejects.count, 1);
    assert_non_null(strstr(c.rejects.items[0].text, "rest of the mbox"));
    emlfs_buf_free(&text);
    collect_free(&c);
}

static void test_base_folder(void **state)
{
    (void)state;
    char path[1024], name[256];
    source_file(root, "Inbox.mbox", "");
    snprintf(path, sizeof(path), "%s/Inbox.mbox", root);
    emlfs_importer_mbox.base_folder(path, name, sizeof(name));
    assert_string_equal(name, "Inbox");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_forms),
        cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_growth, setup, teardown),
        cmocka_unit_test_setup_teardown(test_line_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(test_body_lines_are_not_separators, setup, teardown),
        cmocka_unit_test_setup_teardown(test_separator_forms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mozilla_status, setup, teardown),
        cmocka_unit_test_setup_teardown(test_mboxrd, setup, teardown),
        cmocka_unit_test_setup_teardown(test_doubt_keeps_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_length, setup, teardown),
        cmocka_unit_test_setup_teardown(test_length_ignored_without_dialect, setup, teardown),
        cmocka_unit_test_setup_teardown(test_windows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_huge_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_shrinks, setup, teardown),
        cmocka_unit_test_setup_teardown(test_base_folder, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
