/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <archive.h>
#include <archive_entry.h>

#include "text_check.h"

#define ZIP_MAX_BYTES (8u << 20)

struct member {
    const char *name;
    struct emlfs_span bytes;
};

static void zip_build(const struct member *members, size_t count, struct emlfs_buf *out)
{
    size_t used = 0;
    struct archive *archive = archive_write_new();
    *out = EMLFS_BUF_INIT(ZIP_MAX_BYTES);
    assert_int_equal(emlfs_buf_reserve(out, ZIP_MAX_BYTES), 0);
    assert_int_equal(archive_write_set_format_zip(archive), ARCHIVE_OK);
    assert_int_equal(archive_write_open_memory(archive, out->data, ZIP_MAX_BYTES, &used),
                     ARCHIVE_OK);
    for (size_t i = 0; i < count; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, members[i].name);
        archive_entry_set_size(entry, (la_int64_t)members[i].bytes.len);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        assert_int_equal(archive_write_header(archive, entry), ARCHIVE_OK);
        assert_int_equal(archive_write_data(archive, members[i].bytes.data, members[i].bytes.len),
                         members[i].bytes.len);
        archive_entry_free(entry);
    }
    assert_int_equal(archive_write_close(archive), ARCHIVE_OK);
    archive_write_free(archive);
    out->len = used;
}

/* A zip of one member whose text is xml. */
static void parse_member(const char *name, const char *xml, struct emlfs_buf *doc)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf zip = {0};
    const struct member member = {name, emlfs_span_str(xml)};
    zip_build(&member, 1, &zip);
    parse_attached("file.bin", emlfs_buf_view(&zip), doc);
}

static void test_html(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf meta = {0};
    parse_attached("page",
                   emlfs_span_str("<!DOCTYPE html><title>Head</title><style>hidden1</style>"
                                  "<script>if (a < b) 'hidden2</p>'</script><!-- hidden3 > -->"
                                  "<p>one<b>two</b></p><p>three</p>four<br>five<td>six<td>seven"
                                  "<img alt='picture &amp; text' src=hidden4>&auml;&#228;&#xe4;"
                                  "&#150;&nosuch;a &lt; b<a title=tip href=\"x>y\">link</a>"),
                   &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Head\n");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "onetwo\nthree\nfour\nfive\nsix\nseven\n");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, " picture & text ");
    assert_piece(&doc, EMLFS_TEXT_CONTENT,
                 "\xc3\xa4\xc3\xa4\xc3\xa4\xe2\x80\x93&nosuch;a < b tip link");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "hidden");
    parse_attached("a.html", emlfs_span_str("<meta charset=\"koi8-r\"><p>\xcd\xc9\xd2"), &meta);
    assert_piece(&meta, EMLFS_TEXT_CONTENT, "\xd0\xbc\xd0\xb8\xd1\x80");
}

static void test_xml(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    parse_attached("a.bin",
                   emlfs_span_str("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>"
                                  "<a><b>gr\xfc\xdf</b><c>next</c><![CDATA[<raw>]]></a>"),
                   &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "gr\xc3\xbc\xc3\x9f\nnext\n<raw>");
}

static void test_docx(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    parse_member("word/document.xml",
                 "<w:document xmlns:w=\"u\"><w:body><w:p><w:r><w:t>Quar</w:t></w:r><w:r>"
                 "<w:t>terly</w:t></w:r></w:p><w:p><w:r><w:t>numbers &amp; more</w:t><w:tab/>"
                 "<w:t>end</w:t></w:r><w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
                 "</w:body></w:document>",
                 &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Quarterly\nnumbers & more end");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "gone");
    assert_piece(&doc, EMLFS_TEXT_ATTACHMENT, "file.bin");
}

static void test_xlsx_pptx(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf zip = {0};
    const struct member members[] = {
        {"xl/workbook.xml", emlfs_span_str("<workbook><sheet name=\"Budget\"/></workbook>")},
        {"xl/sharedStrings.xml",
         emlfs_span_str("<sst><si><r><t>Ren</t></r><r><t>te</t></r><rPh><t>kana</t></rPh></si>"
                        "<si><t>Miete</t></si></sst>")},
        {"xl/worksheets/sheet1.xml",
         emlfs_span_str("<worksheet><c t=\"s\"><v>77</v></c><c><v>12.5</v></c>"
                        "<c t=\"inlineStr\"><is><t>inline</t></is></c></worksheet>")},
        {"ppt/slides/slide1.xml",
         emlfs_span_str("<p:sld xmlns:p=\"p\" xmlns:a=\"a\"><a:p><a:r><a:t>Sli</a:t></a:r>"
                        "<a:r><a:t>de</a:t></a:r></a:p></p:sld>")},
        {"xl/styles.xml", emlfs_span_str("<x><t>hidden</t></x>")},
    };
    zip_build(members, sizeof members / sizeof members[0], &zip);
    parse_attached("b.xlsx", emlfs_buf_view(&zip), &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Budget\nRente\nMiete\n12.5\ninline\nSlide");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "77");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "kana");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "hidden");
}

static void test_odt(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf locked = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf zip = {0};
    const struct member members[] = {
        {"mimetype", emlfs_span_str("application/vnd.oasis.opendocument.text")},
        {"content.xml",
         emlfs_span_str("<o:doc xmlns:o=\"o\" xmlns:text=\"t\"><text:p>Satz<text:s/>mit "
                        "<text:span>Wort</text:span>teil</text:p><text:h>Titel</text:h></o:doc>")},
        {"meta.xml", emlfs_span_str("<m xmlns:dc=\"d\"><dc:title>Protokoll</dc:title></m>")}};
    zip_build(members, sizeof members / sizeof members[0], &zip);
    parse_attached("c.odt", emlfs_buf_view(&zip), &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Satz mit Wortteil\nTitel\nProtokoll");
    parse_member("META-INF/manifest.xml", "<m><file-entry><encryption-data/></file-entry></m>",
                 &locked);
    assert_piece(&locked, 0, TEXT_BAD_ENCRYPTED);
}

static void test_rtf(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    parse_attached(
        "d",
        emlfs_span_str("{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fcharset0 Hidden;}"
                       "{\\f1\\fcharset204 Hidden;}{\\f2\\fcharset128 Hidden;}}"
                       "{\\colortbl;\\red0;}{\\*\\generator hidden;}{\\info{\\title Betreff}}"
                       "\\uc1 gr\\'fc\\u223?e{\\b bo}ld\\par{\\f1 \\'ec\\'e8\\'f0}"
                       "{\\f2\\'93\\'fa}\\u-10179?\\u-8704?{\\pict\\bin6 }hid}ff}\\~end"
                       "{\\uc2\\u228\\'61\\'62z}}"),
        &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Betreff");
    assert_piece(&doc, EMLFS_TEXT_CONTENT,
                 "gr\xc3\xbc\xc3\x9f"
                 "ebold\n\xd0\xbc\xd0\xb8\xd1\x80\xe6\x97\xa5\xf0\x9f\x98\x80 end\xc3\xa4z");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "idden");
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "hid");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Betreff\n");
}

static const char pdf_head[] =
    "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
    "2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 "
    "0 300 99]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>>>>>endobj\n";
static const char pdf_tail[] = "5 0 obj<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>endobj\n"
                               "6 0 obj<</Title(Annual title)>>endobj\n";

static void test_pdf(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf damaged = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf locked = {0};
    char pdf[2000];
    static const char page[] = "4 0 obj<</Length 47>>stream\nBT /F 9 Tf 5 50 Td [(Pa)-20(ges)( "
                               "printed)] TJ ET\nendstream endobj\n";
    if (!text_pdf_load())
        fail_msg("libpoppler-glib.so.8 is not installed");
    snprintf(pdf, sizeof pdf, "%s%s%strailer<</Root 1 0 R/Info 6 0 R>>\n%%%%EOF\n", pdf_head, page,
             pdf_tail);
    parse_attached("e.bin", emlfs_span_str(pdf), &doc);
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Annual title");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "Pages printed");
    parse_attached("f.pdf", emlfs_span_str("%PDF-1.4\nnothing"), &damaged);
    assert_piece(&damaged, 0, "damaged PDF");
    snprintf(pdf, sizeof pdf,
             "%s%s%s7 0 obj<</Filter/Standard/V 1/R 2/O(%032d)/U(%032d)/P -4>>endobj\n"
             "trailer<</Root 1 0 R/Encrypt 7 0 R/ID[(a)(a)]>>\n%%%%EOF\n",
             pdf_head, page, pdf_tail, 1, 2);
    parse_attached("g.pdf", emlfs_span_str(pdf), &locked);
    assert_piece(&locked, 0, TEXT_BAD_ENCRYPTED);
}

/* ---- TNEF, built attribute by attribute */

static void tnef_attribute(struct emlfs_buf *out, uint8_t level, uint32_t id,
                           struct emlfs_span value)
{
    assert_int_equal(emlfs_buf_append_u8(out, level), 0);
    assert_int_equal(emlfs_buf_append_u32le(out, id), 0);
    assert_int_equal(emlfs_buf_append_u32le(out, (uint32_t)value.len), 0);
    assert_int_equal(emlfs_buf_append(out, value.data, value.len), 0);
    assert_int_equal(emlfs_buf_append_u16le(out, 0), 0);
}

static void tnef_build(struct emlfs_buf *out)
{
    /* one property: the body, UTF-16; one attachment with a long name in a property */
    static const uint8_t body[] = "\1\0\0\0\x1f\0\0\x10\1\0\0\0\x0c\0\0\0w\0\xf6\0r\0d\0s\0\0\0";
    static const uint8_t name[] = "\1\0\0\0\x1f\0\7\x37\1\0\0\0\x10\0\0\0l\0o\0n\0g\0.\0t\0x\0t\0";
    *out = EMLFS_BUF_INIT(4096);
    assert_int_equal(emlfs_buf_append_u32le(out, 0x223e9f78), 0);
    assert_int_equal(emlfs_buf_append_u16le(out, 1), 0);
    tnef_attribute(out, 1, 0x69007, emlfs_span_of("\xe3\4\0\0\0\0\0\0", 8)); /* 1251 */
    tnef_attribute(out, 1, 0x18004, emlfs_span_of("\xec\xe8\xf0\0", 4));
    tnef_attribute(out, 1, 0x69003, emlfs_span_of(body, sizeof body - 1));
    tnef_attribute(out, 2, 0x69002, emlfs_span_of("\1\0", 2));
    tnef_attribute(out, 2, 0x18010, emlfs_span_of("short.txt", 10));
    tnef_attribute(out, 2, 0x6800f, emlfs_span_str("attached words"));
    tnef_attribute(out, 2, 0x69005, emlfs_span_of(name, sizeof name - 1));
}

static void test_tnef(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf cut = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf tnef = {0};
    tnef_build(&tnef);
    parse_attached("winmail.dat", emlfs_buf_view(&tnef), &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "\xd0\xbc\xd0\xb8\xd1\x80");
    assert_piece(&doc, EMLFS_TEXT_BODY, "w\xc3\xb6rds");
    assert_piece(&doc, EMLFS_TEXT_ATTACHMENT, "long.txt");
    assert_piece(&doc, EMLFS_TEXT_CONTENT, "attached words");
    parse_attached("winmail.dat", emlfs_span_of(tnef.data, tnef.len - 30), &cut);
    assert_piece(&cut, EMLFS_TEXT_CONTENT, "attached words");
    assert_piece(&cut, 0, "damaged winmail.dat");
}

static void test_unread(void **state)
{
    (void)state;
    static const char ole[] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old document";
    static const char locked[] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
                                 "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf encrypted = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf zip = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf image = {0};
    parse_attached("a.doc", emlfs_span_of(ole, sizeof ole), &doc);
    assert_piece(&doc, 0, TEXT_BAD_KIND);
    parse_attached("a.docx", emlfs_span_of(locked, sizeof locked), &encrypted);
    assert_piece(&encrypted, 0, TEXT_BAD_ENCRYPTED);
    parse_attached("a.zip", emlfs_span_of("PK\3\4damaged", 11), &zip);
    assert_piece(&zip, 0, "damaged zip");
    parse_attached("a.png", emlfs_span_of("\x89PNG\r\n\x1a\n", 8), &image);
    assert_int_equal(pieces_with(&image, EMLFS_TEXT_CONTENT, ""), 0);
}

static void test_smime(void **state)
{
    (void)state;
    /* SEQUENCE, OID signedData, ... OID data, [0] of indefinite length, pieces of octets */
    static const char whole[] = "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
                                "\xa0\x80\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
                                "\xa0\x80\x24\x80\x04\x07"
                                "A: b\n\ns"
                                "\x04\x05"
                                "igned\0\0\0\0";
    static const char sealed[] = "\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03";
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf encrypted = {0};
    parse_attached("smime.p7m", emlfs_span_of(whole, sizeof whole - 1), &doc);
    assert_piece(&doc, EMLFS_TEXT_BODY, "signed");
    parse_attached("smime.p7m", emlfs_span_of(sealed, sizeof sealed - 1), &encrypted);
    assert_piece(&encrypted, 0, TEXT_BAD_ENCRYPTED);
}

/* ---- bombs: each ends at a limit, and the other part keeps its text (parse_attached) */

static void repeat(struct emlfs_buf *out, const char *head, const char *unit, size_t count)
{
    *out = EMLFS_BUF_INIT(64u << 20);
    assert_int_equal(emlfs_buf_append(out, head, strlen(head)), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(emlfs_buf_append(out, unit, strlen(unit)), 0);
}

static void test_zip_bomb(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf zip = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf text = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf inner = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf twice = {0};
    repeat(&text, "<w:d xmlns:w=\"w\"><w:t>", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 1u << 20);
    struct member member = {"word/document.xml", emlfs_buf_view(&text)};
    zip_build(&member, 1, &zip);
    parse_attached("bomb.docx", emlfs_buf_view(&zip), &doc);
    assert_piece(&doc, 0, TEXT_BAD_BOMB);
    member = (struct member){"inner.zip", emlfs_buf_view(&zip)};
    zip_build(&member, 1, &inner); /* one in another is not opened at all */
    parse_attached("outer.zip", emlfs_buf_view(&inner), &twice);
    assert_piece(&twice, 0, TEXT_BAD_KIND);
}

static void test_xml_bombs(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf deep = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf xml = {0};
    parse_member("word/document.xml",
                 "<!DOCTYPE x [<!ENTITY a \"haha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
                 "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><x><t>&c;&c;</t></x>",
                 &doc);
    assert_no_piece(&doc, EMLFS_TEXT_CONTENT, "haha");
    assert_piece(&doc, 0, "XML with a DTD");
    repeat(&xml, "<x><t>before</t>", "<a>", 100000);
    assert_int_equal(emlfs_buf_append_u8(&xml, '\0'), 0);
    parse_member("content.xml", (const char *)xml.data, &deep);
    assert_piece(&deep, 0, TEXT_BAD_DEPTH);
}

static void test_nesting_bombs(void **state)
{
    (void)state;
    static const struct {
        const char *head, *unit;
        size_t count;
        const char *reason;
    } bombs[] = {
        {"<html>words", "<div>", 1000000, NULL},
        {"<html>words", "</b>", 1000000, NULL},
        {"<html>words", "<script>", 500000, NULL},
        {"<html>words", "<!--", 1000000, NULL},
        {"<html>words", "<a b=\"", 500000, NULL},
        {"<html>words", "&#x", 1000000, NULL},
        {"<html>words", "<", 2000000, NULL},
        {"<?xml?>words", "<a>", 1000000, NULL},
        {"<?xml?>words", "<![CDATA[", 500000, NULL},
        {"{\\rtf1 words", "{", 100000, TEXT_BAD_DEPTH},
        {"{\\rtf1 words", "\\u1", 1000000, NULL},
        {"{\\rtf1 words", "\\bin9999999999 ", 100000, NULL},
    };
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
        EMLFS_BUF_CLEANUP struct emlfs_buf bytes = {0};
        int64_t start_ns = emlfs_os_monotonic_ns();
        repeat(&bytes, bombs[i].head, bombs[i].unit, bombs[i].count);
        parse_attached("bomb", emlfs_buf_view(&bytes), &doc);
        assert_piece(&doc, EMLFS_TEXT_CONTENT, "words");
        if (bombs[i].reason)
            assert_piece(&doc, 0, bombs[i].reason);
        if (emlfs_os_monotonic_ns() - start_ns > 10000000000)
            fail_msg("bomb %zu took more than 10 s", i);
    }
}

static void test_pdf_bombs(void **state)
{
    (void)state;
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf deep = {0};
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = {0};
    parse_attached("loop.pdf",
                   emlfs_span_str("%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
                                  "2 0 obj<</Type/Pages/Kids[2 0 R 2 0 R]/Count 1000000>>endobj\n"
                                  "trailer<</Root 1 0 R>>\n%%EOF\n"),
                   &doc);
    repeat(&bytes, "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages ", "[", 100000);
    parse_attached("deep.pdf", emlfs_buf_view(&bytes), &deep);
    assert_piece(&deep, 0, "damaged PDF");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_html),          cmocka_unit_test(test_xml),
        cmocka_unit_test(test_docx),          cmocka_unit_test(test_xlsx_pptx),
        cmocka_unit_test(test_odt),           cmocka_unit_test(test_rtf),
        cmocka_unit_test(test_pdf),           cmocka_unit_test(test_tnef),
        cmocka_unit_test(test_unread),        cmocka_unit_test(test_smime),
        cmocka_unit_test(test_zip_bomb),      cmocka_unit_test(test_xml_bombs),
        cmocka_unit_test(test_nesting_bombs), cmocka_unit_test(test_pdf_bombs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
