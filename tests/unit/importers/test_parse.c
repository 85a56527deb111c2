/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/importer.h"
#include "emlfs/message.h"

/* The facts of one message at a time; texts borrow from bytes. */
struct parsed {
    struct emlfs_buf bytes;
    struct emlfs_facts facts;
};

static struct parsed parse_bytes(const void *message, size_t len)
{
    struct parsed parsed = {.bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES)};
    assert_int_equal(emlfs_parse_facts(emlfs_span_of(message, len), &parsed.bytes), 0);
    assert_int_equal(emlfs_facts_decode(emlfs_buf_view(&parsed.bytes), &parsed.facts, NULL), 0);
    return parsed;
}

static struct parsed parse(const char *message)
{
    return parse_bytes(message, strlen(message));
}

static void assert_text(struct emlfs_span text, const char *expected)
{
    char copy[1024];
    assert_true(text.len < sizeof copy);
    snprintf(copy, sizeof copy, "%.*s", (int)text.len, (const char *)text.data);
    assert_string_equal(copy, expected);
}

/* "depth type size name!" for each part, '!' for attachments. */
static void assert_parts(struct emlfs_span parts, const char *expected)
{
    char list[2048] = "";
    size_t len = 0;
    struct emlfs_fact_part part;
    while (emlfs_facts_part_next(&parts, &part))
        len += (size_t)snprintf(list + len, sizeof list - len, "%u %.*s %llu %.*s%s\n", part.depth,
                                (int)part.type.len, (const char *)part.type.data,
                                (unsigned long long)part.size_bytes, (int)part.name.len,
                                (const char *)part.name.data, part.attachment ? "!" : "");
    assert_string_equal(list, expected);
}

static void test_ordinary(void **state)
{
    (void)state;
    struct parsed p = parse("Received: from a by b; Sun, 1 Mar 2026 09:14:00 +0000\r\n"
                            "From: Bob Smith <bob@example.com>\r\n"
                            "Sender: \"Smith, Ann\" <ann@example.com>\r\n"
                            "To: =?utf-8?q?J=C3=B6rg?= <j@example.com>,\r\n\tc@example.com\r\n"
                            "CC: Team: d@example.com, E <e@example.com>;\r\n"
                            "Bcc: undisclosed-recipients:;\r\n"
                            "Subject: =?iso-8859-1?B?R3L832U=?=\r\n =?iso-8859-1?Q?_aus?= Bonn\r\n"
                            "Date: Sun, 1 Mar 2026 09:13:00 +0100\r\n"
                            "Message-ID: <1@example.com>\r\n"
                            "\r\nHello\r\n");
    assert_text(p.facts.from, "Bob Smith <bob@example.com>");
    assert_text(p.facts.sender, "\"Smith, Ann\" <ann@example.com>");
    assert_text(p.facts.to, "J\xc3\xb6rg <j@example.com>, <c@example.com>");
    assert_text(p.facts.cc, "<d@example.com>, E <e@example.com>");
    assert_text(p.facts.bcc, "undisclosed-recipients");
    assert_text(p.facts.subject, "Gr\xc3\xbc\xc3\x9f"
                                 "e aus Bonn");
    assert_text(p.facts.message_id, "1@example.com");
    assert_int_equal(p.facts.date_sec, 1772352780);
    assert_int_equal(p.facts.date_source, EMLFS_DATE_DATE);
    assert_int_equal(p.facts.flags, 0);
    assert_parts(p.facts.parts, "0 text/plain 7 \n");
    emlfs_buf_free(&p.bytes);
}

static void test_dates(void **state)
{
    (void)state;
    struct parsed p = parse("X-OriginalArrivalTime: 03 Aug 2005 15:12:06.0123 (UTC)"
                            " FILETIME=[89A6C710:01C5983D]\n"
                            "Date: Sun, 1 Mar 2026 09:13:00 +0100\n\n");
    assert_int_equal(p.facts.date_source, EMLFS_DATE_ORIGINAL_ARRIVAL);
    assert_true(llabs((long long)p.facts.date_sec - 1123081926) < 86400);
    assert_int_equal(p.facts.received_sec, p.facts.date_sec);
    assert_int_equal(p.facts.sent_sec, 1772352780);
    emlfs_buf_free(&p.bytes);
    p = parse("Date: nonsense\nReceived: x; Sun, 1 Mar 2026 09:13:00 +0000\n"
              "Received: y; Sun, 1 Mar 2020 09:13:00 +0000\n\n");
    assert_int_equal(p.facts.date_source, EMLFS_DATE_RECEIVED);
    assert_int_equal(p.facts.date_sec, 1772356380);
    assert_false(p.facts.has_sent);
    assert_true(p.facts.has_received);
    assert_int_equal(p.facts.received_sec, 1772356380);
    emlfs_buf_free(&p.bytes);
    p = parse("Subject: x\nDate:\n\n");
    assert_int_equal(p.facts.date_source, EMLFS_DATE_NONE);
    assert_false(p.facts.has_sent || p.facts.has_received);
    emlfs_buf_free(&p.bytes);
}

static void test_parts(void **state)
{
    (void)state;
    struct parsed p = parse("Content-Type: multipart/mixed; boundary=\"a\"\n"
                            "\npreamble\n"
                            "--a\nContent-Type: multipart/alternative; boundary=ab\n\n"
                            "--ab\n\nplain\n"
                            "--ab\nContent-Type: TEXT/HTML; charset=utf-8\n\n<p>\n"
                            "--ab--\n"
                            "--a\nContent-Type: application/pdf;\n name*=utf-8''%C3%A4.pdf\n"
                            "Content-Transfer-Encoding: base64\n\nQUJD\nREVG\n"
                            "--a\nContent-Type: message/rfc822\n\nSubject: in\n\ninner\n"
                            "--a\nContent-Type: text/plain\nContent-Disposition: attachment;"
                            " filename=\"=?utf-8?q?b=C3=B6?=.txt\"\n\nx\n"
                            "--a--\nepilogue\n");
    assert_parts(p.facts.parts, "0 multipart/mixed 404 \n"
                                "1 multipart/alternative 67 \n"
                                "2 text/plain 5 \n"
                                "2 text/html 3 \n"
                                "1 application/pdf 9 \xc3\xa4.pdf!\n"
                                "1 message/rfc822 18 !\n"
                                "2 text/plain 5 \n"
                                "1 text/plain 1 b\xc3\xb6.txt!\n");
    assert_int_equal(p.facts.flags, EMLFS_FACT_ATTACHMENT);
    emlfs_buf_free(&p.bytes);
}

static void test_type_without_subtype(void **state)
{
    (void)state;
    struct parsed p = parse("Content-Type: text; charset=\"iso-8859-1\"\n"
                            "Content-Transfer-Encoding: quoted-printable\n\nGr=FC=DFe\n");
    assert_parts(p.facts.parts, "0 text/plain 10 \n");
    assert_int_equal(p.facts.flags, 0);
    emlfs_buf_free(&p.bytes);
}

static void test_ugly(void **state)
{
    (void)state;
    struct parsed p = parse("From: a@b\rTo: c@d\rSubject: old Mac\r\rbody\rline\r");
    assert_text(p.facts.subject, "old Mac");
    assert_text(p.facts.to, "<c@d>");
    assert_parts(p.facts.parts, "0 text/plain 10 \n");
    emlfs_buf_free(&p.bytes);
    static const char zeros[] = "Subject: a\0b\nFrom: x\0y <z@w>\n\n\0";
    p = parse_bytes(zeros, sizeof zeros - 1);
    assert_text(p.facts.subject, "a b");
    emlfs_buf_free(&p.bytes);
    p = parse("Subject: caf\xe9 \x80\nFrom: J\xf6rg <j@x>\n\n");
    assert_text(p.facts.subject, "caf\xc3\xa9 \xe2\x82\xac");
    assert_text(p.facts.from, "J\xc3\xb6rg <j@x>");
    emlfs_buf_free(&p.bytes);
    p = parse("Subject: \xd0\xd2\xc9\nContent-Type: text/plain; charset=koi8-r\n\n");
    assert_text(p.facts.subject, "\xd0\xbf\xd1\x80\xd0\xb8");
    emlfs_buf_free(&p.bytes);
    p = parse("Subject: \xd0\xbf\xd1\x80\n\n");
    assert_text(p.facts.subject, "\xd0\xbf\xd1\x80");
    emlfs_buf_free(&p.bytes);
    p = parse("From someone Sun Mar  1 09:13:00 2026\r\nSubject: x\r\n\r\n");
    assert_text(p.facts.subject, "x");
    emlfs_buf_free(&p.bytes);
    p = parse("");
    assert_parts(p.facts.parts, "0 text/plain 0 \n");
    emlfs_buf_free(&p.bytes);
    p = parse("junk line\nSubject : first\nSubject: second\n\n");
    assert_text(p.facts.subject, "first");
    emlfs_buf_free(&p.bytes);
    p = parse("Subject: =?x-unknown?q?a=E9b?= =?utf-8?q?=ff?= \x1b[31m\n\n");
    assert_true(p.facts.subject.len > 0);
    emlfs_buf_free(&p.bytes);
}

/* Whichever of two fields a reader believes, it can be found. */
static void test_ambiguous(void **state)
{
    (void)state;
    struct parsed p = parse("From: a@x\nFrom: b@x\nTo: c@x\nTo: d@x\n\n");
    assert_text(p.facts.from, "<a@x>, <b@x>");
    assert_text(p.facts.to, "<c@x>, <d@x>");
    emlfs_buf_free(&p.bytes);
}

/* ---- limits: always an answer, and it says what was cut */

static void repeat(struct emlfs_buf *out, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(emlfs_buf_append(out, text, strlen(text)), 0);
}

static void assert_partial(const char *head, const char *unit, size_t count, const char *tail,
                           const char *reason)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(64u << 20);
    repeat(&message, head, 1);
    repeat(&message, unit, count);
    repeat(&message, tail, 1);
    struct parsed p = parse_bytes(message.data, message.len);
    assert_true(p.facts.flags & EMLFS_FACT_PARTIAL);
    char text[512];
    snprintf(text, sizeof text, "%.*s", (int)p.facts.reason.len, (const char *)p.facts.reason.data);
    if (strstr(text, reason) == NULL)
        fail_msg("'%s' is not in '%s'", reason, text);
    emlfs_buf_free(&p.bytes);
}

static void test_limits(void **state)
{
    (void)state;
    assert_partial("To: ", "a:", 50000, "\n\n", "64 open groups");
    assert_partial("To: ", "a:\";\"", 5000, "\n\n", "64 open groups");
    assert_partial("To: ", "a@b,", 500000, "\n\n", "2000 addresses");
    assert_partial("", "To: a@b\n", 500, "\n", "64 times");
    assert_partial("", "X: y\n", 20000, "\n", "10000 lines");
    assert_partial("Subject: ", "xxxxxxxxxx", 200000, "\n\n", "1 MiB");
    assert_partial("Subject: ", "xxxxxxxxxx", 1000, "\n\n", "8 KiB");
    assert_partial("Subject: ", "=?utf-8?q?a?= ", 10000, "\n\n", "64 KiB");
    assert_partial("Content-Type: text/plain", "; a*0=b", 5000, "\n\n", "1000 parameters");
    assert_partial("", "Content-Type: message/rfc822\n\n", 100000, "\n", "depth over 64");
    assert_partial("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\n", 200000, "\n",
                   "10000 parts");
    assert_partial("Content-Type: multipart/mixed; boundary=b\n\n", "--b\n\nx\n", 300, "--b--\n",
                   "256 parts");
    assert_partial("Subject: x\n\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n", 150000, "", "4 MiB");
}

static void test_nested_multiparts(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(64u << 20);
    for (unsigned i = 0; i < 50000; i++) {
        char text[100];
        snprintf(text, sizeof text, "Content-Type: multipart/mixed; boundary=b%u\n\n--b%u\n", i, i);
        repeat(&message, text, 1);
    }
    struct parsed p = parse_bytes(message.data, message.len);
    assert_true(p.facts.flags & EMLFS_FACT_PARTIAL);
    emlfs_buf_free(&p.bytes);
}

static void test_big_attachment_size(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(64u << 20);
    repeat(&message, "Content-Type: application/zip; name=a.zip\n\n", 1);
    size_t head = message.len;
    repeat(&message, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n", 100000);
    struct parsed p = parse_bytes(message.data, message.len);
    struct emlfs_fact_part part;
    assert_true(emlfs_facts_part_next(&p.facts.parts, &part));
    assert_int_equal(part.size_bytes, message.len - head);
    assert_int_equal(p.facts.flags, EMLFS_FACT_ATTACHMENT | EMLFS_FACT_PARTIAL);
    emlfs_buf_free(&p.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_type_without_subtype),
        cmocka_unit_test(test_ugly),
        cmocka_unit_test(test_ambiguous),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_nested_multiparts),
        cmocka_unit_test(test_big_attachment_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
