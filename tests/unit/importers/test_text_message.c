/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text_check.h"

static void parse(const char *message, struct emlfs_buf *doc)
{
    parse_kinds(emlfs_span_str(message), EMLFS_KIND_ALL, doc);
}

static void test_header(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    parse("From: =?iso-8859-1?q?J=F6rg_M?= <joerg@example.com>\nSender: s@example.com\n"
          "Reply-To: r@example.com\nTo: t1@example.com\nTo: t2@example.com\nCc: c@example.com\n"
          "Bcc: b@example.com\n"
          "Subject: =?utf-8?b?5pel5pys?= =?UTF-8?B?6Kqe?= and\n =?utf-8*en?q?caf=C3?= "
          "=?utf-8?q?=A9?= plain\nX-Priority: 5\n\nbody words\n",
          &doc);
    assert_int_equal(pieces_with(&doc, EMLFS_TEXT_FROM, "example.com"), 3);
    assert_piece(&doc, EMLFS_TEXT_FROM, "J\xc3\xb6rg M <joerg@example.com>");
    assert_int_equal(pieces_with(&doc, EMLFS_TEXT_TO, "@example.com"), 2);
    assert_piece(&doc, EMLFS_TEXT_CC, "c@example.com");
    assert_piece(&doc, EMLFS_TEXT_BCC, "b@example.com");
    assert_piece(&doc, EMLFS_TEXT_SUBJECT,
                 "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e and caf\xc3\xa9 plain");
    assert_piece(&doc, EMLFS_TEXT_BODY, "body words");
}

static void priority_is(const char *header, enum emlfs_priority expected)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    enum emlfs_priority priority;
    bool attachment;
    parse(header, &doc);
    assert_int_equal(emlfs_doctext_check(emlfs_buf_view(&doc), &priority, &attachment, NULL), 0);
    if (priority != expected)
        fail_msg("priority %d of %s", (int)priority, header);
    assert_false(attachment);
}

static void test_priority(void **state)
{
    (void)state;
    priority_is("Subject: x\n\n", EMLFS_PRIORITY_NORMAL);
    priority_is("X-Priority: 1 (Highest)\n\n", EMLFS_PRIORITY_HIGH);
    priority_is("X-Priority: 2\n\n", EMLFS_PRIORITY_HIGH);
    priority_is("X-Priority: 4\n\n", EMLFS_PRIORITY_LOW);
    priority_is("X-Priority: 3\nImportance: high\n\n", EMLFS_PRIORITY_NORMAL);
    priority_is("X-Priority: ?\nImportance: High\n\n", EMLFS_PRIORITY_HIGH);
    priority_is("X-MSMail-Priority: Low\n\n", EMLFS_PRIORITY_LOW);
    priority_is("Priority: non-urgent\n\n", EMLFS_PRIORITY_LOW);
    priority_is("Priority: urgent\n\n", EMLFS_PRIORITY_HIGH);
}

static void test_alternative(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf other = {0};
    parse("Content-Type: multipart/alternative; boundary=x\n\n--x\n\nSame words, here.\n--x\n"
          "Content-Type: text/html\n\n<p>same <b>words</b></p><div>here</div>\n--x--\n",
          &doc);
    assert_int_equal(pieces_with(&doc, EMLFS_TEXT_BODY, "ords"), 1);
    parse("Content-Type: multipart/alternative; boundary=x\n\n--x\n\nSame words, here.\n--x\n"
          "Content-Type: text/html\n\n<p>other words</p>\n--x--\n",
          &other);
    assert_int_equal(pieces_with(&other, EMLFS_TEXT_BODY, "ords"), 2);
}

static const char nested[] =
    "Subject: outer\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nfirst\n--x\n"
    "Content-Type: message/rfc822; name=m.eml\n\nSubject: inner subject\nFrom: in@example.com\n"
    "Content-Type: multipart/mixed; boundary=y\n\n--y\n\ninner body\n--y\n"
    "Content-Type: text/csv; name=list.csv\n\ninner,content\n--y--\n--x\n"
    "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
    "U3ViamVjdDogY29kZWQgc3ViamVjdAoKY29kZWQgYm9keQo=\n--x\n\nlast\n--x--\n";

static void test_nested(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf less = {0};
    parse(nested, &doc);
    assert_piece(&doc, EMLFS_TEXT_SUBJECT, "outer");
    assert_no_piece(&doc, EMLFS_TEXT_SUBJECT, "inner");
    assert_piece(&doc, EMLFS_TEXT_BODY, "inner subject");
    assert_piece(&doc, EMLFS_TEXT_BODY, "in@example.com");
    assert_piece(&doc, EMLFS_TEXT_BODY, "inner body");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "inner,content");
    assert_piece(&doc, EMLFS_TEXT_BODY, "coded subject");
    assert_piece(&doc, EMLFS_TEXT_BODY, "coded body");
    assert_piece(&doc, EMLFS_TEXT_ATTACHMENT, "m.eml");
    assert_piece(&doc, EMLFS_TEXT_ATTACHMENT, "list.csv");
    parse_kinds(emlfs_span_str(nested), EMLFS_KIND_ALL & ~EMLFS_KIND_MESSAGE, &less);
    assert_no_piece(&less, EMLFS_TEXT_BODY, "inner");
    assert_no_piece(&less, EMLFS_TEXT_BODY, "coded");
    assert_no_piece(&less, EMLFS_TEXT_CONTENT, "inner");
    assert_piece(&less, EMLFS_TEXT_ATTACHMENT, "m.eml");
    assert_piece(&less, EMLFS_TEXT_BODY, "first");
    assert_piece(&less, EMLFS_TEXT_BODY, "last");
}

static void test_kinds(void **state)
{
    (void)state;
    static const char message[] =
        "Content-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: text/html\n\n<i>body</i>\n"
        "--x\nContent-Type: text/plain; name=a.txt\nContent-Disposition: attachment\n\nplainword\n"
        "--x\nContent-Type: text/html; name=a.html\nContent-Disposition: attachment\n\n"
        "<b>htmlword</b>\n--x--\n";
    EMLFS_BUF_CLEANUP struct emlfs_buf none = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf text = {0};
    enum emlfs_priority priority;
    bool attachment = false;
    parse_kinds(emlfs_span_str(message), 0, &none);
    assert_piece(&none, EMLFS_TEXT_BODY, "body");
    assert_no_piece(&none, EMLFS_TEXT_CONTENT, "word");
    assert_int_equal(emlfs_doctext_check(emlfs_buf_view(&none), &priority, &attachment, NULL), 0);
    assert_true(attachment);
    parse_kinds(emlfs_span_str(message), EMLFS_KIND_TEXT, &text);
    assert_piece(&text, EMLFS_TEXT_CONTENT, "plainword");
    assert_no_piece(&text, EMLFS_TEXT_CONTENT, "htmlword");
}

static void test_filters(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    parse("Content-Type: multipart/mixed; boundary=x\n\n--x\n"
          "Content-Type: text/plain; format=flowed; delsp=yes\n\nto \ngether\n--x\n"
          "Content-Type: text/enriched\n\n<bold>ri</bold>ch <param>red</param><<b>\n--x\n"
          "Content-Type: text/calendar\n\nSUMMARY:meet\n ing\\, room\\n5\n--x\n"
          "Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\n\n"
          "so=\nft =C3=A4 =zz\n--x\nContent-Type: text/plain\n"
          "Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n#0V%T\n`\nend\n--x\n"
          "Content-Type: text/plain\n\n-----BEGIN PGP MESSAGE-----\n\nhQIM\n--x--\n",
          &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "together");
    assert_piece(&doc, EMLFS_TEXT_BODY, "rich <b>");
    assert_no_piece(&doc, EMLFS_TEXT_BODY, "red");
    assert_piece(&doc, EMLFS_TEXT_BODY, "meeting, room\n5");
    assert_piece(&doc, EMLFS_TEXT_BODY, "soft \xc3\xa4 =zz");
    assert_piece(&doc, EMLFS_TEXT_BODY, "Cat");
    assert_no_piece(&doc, EMLFS_TEXT_BODY, "hQIM");
    assert_piece(&doc, 0, TEXT_BAD_ENCRYPTED);
}

/* ---- charsets: the same words in each, as subject, as raw subject and as body */

static void charset_check(const char *charset, struct emlfs_span bytes, const char *utf8)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(4096);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    char head[300];
    int len = snprintf(head, sizeof head, "Content-Type: text/plain; charset=%s\nSubject: =?%s?q?",
                       charset, charset);
    assert_int_equal(emlfs_buf_append(&message, head, (size_t)len), 0);
    for (size_t i = 0; i < bytes.len; i++) {
        len = snprintf(head, sizeof head, "=%02X", bytes.data[i]);
        assert_int_equal(emlfs_buf_append(&message, head, (size_t)len), 0);
    }
    assert_int_equal(emlfs_buf_append(&message, "?=\n\n", 4), 0);
    assert_int_equal(emlfs_buf_append(&message, bytes.data, bytes.len), 0);
    parse_kinds(emlfs_buf_view(&message), EMLFS_KIND_ALL, &doc);
    if (pieces_with(&doc, EMLFS_TEXT_BODY, utf8) != 1)
        print_message("body in %s\n", charset);
    assert_piece(&doc, EMLFS_TEXT_BODY, utf8);
    if (pieces_with(&doc, EMLFS_TEXT_SUBJECT, utf8) != 1)
        print_message("subject in %s\n", charset);
    assert_piece(&doc, EMLFS_TEXT_SUBJECT, utf8);
}

static void test_charsets(void **state)
{
    (void)state;
    static const struct {
        const char *charset, *bytes, *utf8;
    } table[] = {
        {"us-ascii", "abc", "abc"},
        {"utf-8", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"iso-8859-1", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f"},
        {"iso-8859-1", "\x93q\x94", "\xe2\x80\x9cq\xe2\x80\x9d"},
        {"iso-8859-2", "\xb3\xf3", "\xc5\x82\xc3\xb3"},
        {"iso-8859-5", "\xd6\xd8\xe0", "\xd0\xb6\xd0\xb8\xd1\x80"},
        {"iso-8859-7", "\xe1\xe2", "\xce\xb1\xce\xb2"},
        {"iso-8859-8-i", "\xe0\xe1", "\xd7\x90\xd7\x91"},
        {"iso-8859-9", "\xfe\xf0", "\xc5\x9f\xc4\x9f"},
        {"iso-8859-15", "\xa4", "\xe2\x82\xac"},
        {"windows-1250", "\x9c\xb9", "\xc5\x9b\xc4\x85"},
        {"windows-1251", "\xec\xe8\xf0", "\xd0\xbc\xd0\xb8\xd1\x80"},
        {"windows-1252", "\x80\xfc", "\xe2\x82\xac\xc3\xbc"},
        {"windows-1253", "\xe1", "\xce\xb1"},
        {"windows-1254", "\xfd", "\xc4\xb1"},
        {"windows-1255", "\xe0", "\xd7\x90"},
        {"windows-1256", "\xc7", "\xd8\xa7"},
        {"windows-1257", "\xe0", "\xc4\x85"},
        {"windows-1258", "\xfe", "\xe2\x82\xab"},
        {"koi8-r", "\xcd\xc9\xd2", "\xd0\xbc\xd0\xb8\xd1\x80"},
        {"koi8-u", "\xa6", "\xd1\x96"},
        {"tis-620", "\xa1", "\xe0\xb8\x81"},
        {"macintosh", "\x8a", "\xc3\xa4"},
        {"iso-2022-jp", "\x1b$BF|K\\8l\x1b(B", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"us-ascii", "\x1b$BF|K\\8l\x1b(B", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"shift_jis", "\x93\xfa\x96\x7b\x8c\xea", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"euc-jp", "\xc6\xfc\xcb\xdc\xb8\xec", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
        {"gb2312", "\xd6\xd0\xce\xc4", "\xe4\xb8\xad\xe6\x96\x87"},
        {"gbk", "\xe9\x46", "\xe9\x95\x95"},
        {"gb18030", "\x82\x30\x81\x30", "\xe3\x92\xa3"},
        {"hz-gb-2312", "~{VPND~}", "\xe4\xb8\xad\xe6\x96\x87"},
        {"big5", "\xa4\xa4\xa4\xe5", "\xe4\xb8\xad\xe6\x96\x87"},
        {"euc-kr", "\xc7\xd1\xb1\xdb", "\xed\x95\x9c\xea\xb8\x80"},
        {"ks_c_5601-1987", "\xc7\xd1\xb1\xdb", "\xed\x95\x9c\xea\xb8\x80"},
        {"utf-7", "gr+APwA3w-", "gr\xc3\xbc\xc3\x9f"},
        /* wrong labels */
        {"utf-8", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f"},
        {"iso-8859-1", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"koi8-r", "\xd0\xbc\xd0\xb8\xd1\x80", "\xd0\xbc\xd0\xb8\xd1\x80"},
        {"no-such-charset", "gr\xfc\xdf", "gr\xc3\xbc\xc3\x9f"},
        {"gb2312", "\xe4\xb8\xad\xe6\x96\x87\xe6\x97\xa5\xe6\x9c\xac",
         "\xe4\xb8\xad\xe6\x96\x87\xe6\x97\xa5\xe6\x9c\xac"},
        {"utf-8", "\xe4\xb8\xad\xe6\x96\x87\xff x", "\xe4\xb8\xad\xe6\x96\x87\xef\xbf\xbd x"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        charset_check(table[i].charset, emlfs_span_str(table[i].bytes), table[i].utf8);
    charset_check("utf-16le", emlfs_span_of("a\0\xfc\0", 4), "a\xc3\xbc");
    charset_check("utf-16", emlfs_span_of("\xfe\xff\0a\0\xfc", 6), "a\xc3\xbc");
}

static void test_raw_header(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf western = {0};
    parse("Subject: \xcd\xc9\xd2\nContent-Type: multipart/mixed; boundary=x\n\n--x\n"
          "Content-Type: text/plain; charset=\"koi8-r\"\n\nx\n--x--\n",
          &doc);
    assert_piece(&doc, EMLFS_TEXT_SUBJECT, "\xd0\xbc\xd0\xb8\xd1\x80");
    parse("Subject: gr\xfc\xdf\n\nx", &western);
    assert_piece(&western, EMLFS_TEXT_SUBJECT, "gr\xc3\xbc\xc3\x9f");
}

/* ---- limits of the structure */

static void test_many_parts(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(8u << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    char part[64];
    static const char head[] = "Content-Type: multipart/mixed; boundary=x\n\n";
    assert_int_equal(emlfs_buf_append(&message, head, strlen(head)), 0);
    for (unsigned i = 0; i < 12000; i++) {
        int len = snprintf(part, sizeof part, "--x\n\nword%u\n", i);
        assert_int_equal(emlfs_buf_append(&message, part, (size_t)len), 0);
    }
    parse_kinds(emlfs_buf_view(&message), EMLFS_KIND_ALL, &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "word9998");
    assert_no_piece(&doc, EMLFS_TEXT_BODY, "word10001");
    assert_piece(&doc, 0, "more than 10000 parts");
}

static void test_depth(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(8u << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    for (unsigned i = 0; i < 1000; i++) {
        static const char level[] = "Content-Type: message/rfc822\n\n";
        assert_int_equal(emlfs_buf_append(&message, level, strlen(level)), 0);
    }
    parse_kinds(emlfs_buf_view(&message), EMLFS_KIND_ALL, &doc);
    assert_piece(&doc, 0, TEXT_BAD_DEPTH);
}

static void test_full(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(32u << 20);
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    static const char head[] = "Subject: big\n\n";
    assert_int_equal(emlfs_buf_append(&message, head, strlen(head)), 0);
    while (message.len < 20u << 20)
        assert_int_equal(emlfs_buf_append(&message, "w\xc3\xb6rd ", 6), 0);
    parse_kinds(emlfs_buf_view(&message), EMLFS_KIND_ALL, &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "w\xc3\xb6rd w\xc3\xb6rd");
    assert_true(doc.len > (EMLFS_DOCTEXT_MAX_BYTES - TEXT_ROOM_FOR_PROBLEMS_BYTES - 64));
    assert_piece(&doc, 0, TEXT_BAD_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_header),      cmocka_unit_test(test_priority),
        cmocka_unit_test(test_alternative), cmocka_unit_test(test_nested),
        cmocka_unit_test(test_kinds),       cmocka_unit_test(test_filters),
        cmocka_unit_test(test_charsets),    cmocka_unit_test(test_raw_header),
        cmocka_unit_test(test_many_parts),  cmocka_unit_test(test_depth),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
