/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emlfs/query.h"

#define TEXT_MAX_BYTES (1u << 20)

static void say(struct emlfs_buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct emlfs_buf *out, const char *fmt, ...)
{
    char text[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    assert_int_equal(emlfs_buf_append(out, text, (size_t)n), 0);
}

static void say_day(struct emlfs_buf *out, const struct emlfs_query_day *day)
{
    static const char *const names[] = {"*",        "",         "today",     "yesterday",
                                        "thisweek", "lastweek", "thismonth", "lastmonth",
                                        "thisyear", "lastyear"};
    if (day->kind == EMLFS_DAY_FIXED)
        say(out, "%d/%d/%d", day->year, day->month, day->day);
    else
        say(out, "%s", names[day->kind]);
}

/* A term in a form of the test's own: [-]KIND(FIELDS):DETAILS */
static void say_term(struct emlfs_buf *out, const struct emlfs_query_term *term)
{
    static const char *const kinds[] = {"words", "date",     "archived", "size",
                                        "has",   "priority", "folder",   "store"};
    say(out, "%s%s%s", out->len ? " " : "", term->exclude ? "-" : "", kinds[term->kind]);
    if (term->kind == EMLFS_TERM_WORDS && term->fields != 0x1FE)
        say(out, "(%x)", term->fields);
    for (unsigned i = 0; i < term->tokens_n; i++)
        say(out, "%c%s%.*s", i ? ',' : ':', term->tokens[i].glob ? "~" : "",
            (int)term->tokens[i].text.len, (const char *)term->tokens[i].text.data);
    if (term->kind == EMLFS_TERM_DATE || term->kind == EMLFS_TERM_ARCHIVED) {
        say(out, ":");
        say_day(out, &term->from_day);
        say(out, "..");
        say_day(out, &term->to_day);
    }
    if (term->kind == EMLFS_TERM_SIZE)
        say(out, ":%llu..%llu", (unsigned long long)term->from, (unsigned long long)term->to);
    if (term->kind == EMLFS_TERM_PRIORITY)
        say(out, ":%u", term->number);
    if (term->kind == EMLFS_TERM_FOLDER || term->kind == EMLFS_TERM_STORE)
        say(out, ":%.*s", (int)term->text.len, (const char *)term->text.data);
    if (term->kind == EMLFS_TERM_STORE)
        say(out, "=%u", term->number);
}

static void say_query(struct emlfs_buf *out, const struct emlfs_query *query)
{
    emlfs_buf_clear(out);
    for (unsigned i = 0; i < query->terms_n; i++)
        say_term(out, &query->terms[i]);
    assert_int_equal(emlfs_buf_append_u8(out, 0), 0);
}

/* It is understood as wanted (NULL: any way), and the same after being written and read again. */
static void assert_query(struct emlfs_span text, enum emlfs_query_form form, const char *wanted)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf said = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf written = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES);
    struct emlfs_query_mistake mistake;
    struct emlfs_query *query;
    int r = emlfs_query_parse(text, form, &query, &mistake);
    if (r < 0)
        print_error("%.*s: byte %u: %s\n", (int)text.len, (const char *)text.data, mistake.at,
                    mistake.text);
    assert_int_equal(r, 0);
    say_query(&said, query);
    if (wanted)
        assert_string_equal((const char *)said.data, wanted);
    assert_int_equal(emlfs_query_format(query, &written), 0);
    emlfs_query_free(query);
    assert_int_equal(
        emlfs_query_parse(emlfs_buf_view(&written), EMLFS_QUERY_PLAIN, &query, &mistake), 0);
    say_query(&again, query);
    assert_string_equal((const char *)again.data, (const char *)said.data);
    emlfs_query_free(query);
}

static void assert_plain(const char *text, const char *wanted)
{
    assert_query(emlfs_span_str(text), EMLFS_QUERY_PLAIN, wanted);
}

static void assert_path(const char *text, const char *wanted)
{
    assert_query(emlfs_span_str(text), EMLFS_QUERY_PATH, wanted);
}

static void test_words(void **state)
{
    (void)state;
    assert_plain("foo", "words:foo");
    assert_plain("  Foo\tBÄR\u3000baz ", "words:foo words:bar words:baz");
    assert_plain("first.last@example.com", "words:first,last,example,com");
    assert_plain("\"Dear  Customer!\"", "words:dear,customer");
    assert_plain("-spam -\"a b\"", "-words:spam -words:a,b");
    assert_plain("--foo", "-words:foo");
    assert_plain("e-mail", "words:e,mail");
    assert_plain("it's 12:30 'x'", "words:it,s words:12,30 words:x");
    assert_plain("\"subject:foo\" \"http://x\"", "words:subject,foo words:http,x");
    assert_plain("\"a*b ?c\"", "words:a,b,c");
    assert_plain("a=b subject=x", "words:a,b words:subject,x");
    assert_plain("ＡＢＣ ﬁn", "words:abc words:fin");
}

static void test_long_words(void **state)
{
    char text[200], wanted[300];
    (void)state;
    memset(text, 'x', 100);
    text[100] = '\0';
    snprintf(wanted, sizeof(wanted), "words:%.64s", text);
    assert_plain(text, wanted);
    text[99] = '*';
    snprintf(wanted, sizeof(wanted), "words:~%s", text);
    assert_plain(text, wanted);
}

static void test_wildcards(void **state)
{
    (void)state;
    assert_plain("Auto*", "words:~auto*");
    assert_plain("*ample", "words:~*ample");
    assert_plain("*example.com", "words:~*example,com");
    assert_plain("Me?er", "words:~me?er");
    assert_plain("a**?*b", "words:~a?*b");
    assert_plain("*.example.?", "words:example");
    assert_plain("*.*.?.a", "words:a");
    assert_plain("a.*", "words:a");
    assert_plain("Ä*Ö", "words:~a*o");
    assert_plain("a＊b c？d", "words:a,b words:c,d");
}

static void test_cjk(void **state)
{
    (void)state;
    assert_plain("漢", "words:~漢*");
    assert_plain("漢字", "words:漢字");
    assert_plain("漢字学", "words:漢字,字学");
    assert_plain("\"漢字 abc\"", "words:漢字,~字*,abc");
    assert_plain("abc漢字", "words:abc,漢字");
    assert_plain("漢.字", "words:~漢*,~字*");
    assert_plain("漢字*", "words:漢字");
    assert_plain("漢*字", "words:漢字");
    assert_plain("*漢字", "words:漢字");
    assert_plain("漢*abc*", "words:~漢*,~abc*");
    assert_plain("한국어", "words:한국,국어");
    assert_plain("ｶﾞﾙ", "words:ガル");
}

static void test_fields(void **state)
{
    (void)state;
    assert_plain("subject:a FROM:b To:c cc:d bcc:e",
                 "words(2):a words(4):b words(8):c words(10):d words(20):e");
    assert_plain("bcontent:a attachment:*.pdf acontent:c*",
                 "words(40):a words(80):pdf words(100):~c*");
    assert_plain("-subject:\"daily update\"", "-words(2):daily,update");
    assert_plain("subject:Re:foo subject:-x", "words(2):re,foo words(2):x");
    assert_plain("has:attachment -HAS:\"Attachment\"", "has -has");
    assert_plain("priority:high priority:normal priority:LOW", "priority:1 priority:0 priority:2");
    assert_plain("folder:/In*/x?/ folder:\"Sent Items\\a\"",
                 "folder:/In*/x?/ folder:Sent Items\\a");
    assert_plain("store:1 store:00012 store:00001-2026-11 store:99999",
                 "store:1=1 store:00012=12 store:00001-2026-11=0 store:99999=0");
}

static void test_dates(void **state)
{
    (void)state;
    assert_plain("date:2025", "date:2025/0/0..2025/0/0");
    assert_plain("archived:2025-03", "archived:2025/3/0..2025/3/0");
    assert_plain("-date:2024-02-29", "-date:2024/2/29..2024/2/29");
    assert_plain("date:2025-01..2025-06-30", "date:2025/1/0..2025/6/30");
    assert_plain("date:2025-06..2025", "date:2025/6/0..2025/0/0");
    assert_plain("date:2025.. date:..9999-12-31", "date:2025/0/0..* date:*..9999/12/31");
    assert_plain("date:Today date:\"yesterday\"", "date:today..today date:yesterday..yesterday");
    assert_plain("date:lastweek..thisweek date:today..yesterday",
                 "date:lastweek..thisweek date:today..yesterday");
    assert_plain("date:lastmonth..thismonth date:lastyear..thisyear",
                 "date:lastmonth..thismonth date:lastyear..thisyear");
}

static void test_sizes(void **state)
{
    (void)state;
    assert_plain("size:0 size:77", "size:0..0 size:77..77");
    assert_plain("size:1k size:1KB size:2Mb size:1g size:3b",
                 "size:1024..1024 size:1024..1024 size:2097152..2097152 "
                 "size:1073741824..1073741824 size:3..3");
    assert_plain("size:>1K size:>=1K size:<1K size:<=1K",
                 "size:1025..18446744073709551615 size:1024..18446744073709551615 size:0..1023 "
                 "size:0..1024");
    assert_plain("size:1..2K size:5.. size:..5 size:\"5..5\"",
                 "size:1..2048 size:5..18446744073709551615 size:0..5 size:5..5");
    assert_plain("size:9223372036854775807", "size:9223372036854775807..9223372036854775807");
}

static void test_path_form(void **state)
{
    (void)state;
    assert_path("subject='daily update' size=>5M",
                "words(2):daily,update size:5242881..18446744073709551615");
    assert_path("Subject:a from=b", "words(2):a words(4):b");
    assert_path("foo% %bar \"x%\"", "words:~foo* words:~*bar words:x");
    assert_path("'it's fine' it's -'a b' 'a'", "words:it,s,fine words:it,s -words:a,b words:a");
    assert_path("a=b foo=bar:baz to=subject=x", "words:a,b words:foo,bar,baz words(8):subject,x");
    assert_path("folder=\\a\\b folder=a%", "folder:\\a\\b folder:a*");
    assert_path("\uF020a b\uF020 \uF021c d\uF025e", "words:a,b words:~*c words:~d?e");
}

static void test_path_substitutes(void **state)
{
    (void)state;
    assert_path("date\uF0222025 size\uF03A\uF02410 size=\uF0235 size=\uF03E1 size=\uF03C1",
                "date:2025/0/0..2025/0/0 size:11..18446744073709551615 size:0..4 "
                "size:2..18446744073709551615 size:0..0");
    assert_path("a\uF02A b\uF03Fc a\uF028b\uF029 x\uF027y x\uF07Cy",
                "words:~a* words:~b?c words:a words:b words:x,y words:x,y");
    assert_path("folder=\uF026a\uF05Cb", "folder:\\a\\b");
    assert_plain("a\uF02Ab x%y", "words:a,b words:x,y");
}

struct mistake {
    const char *text;
    unsigned at;
    const char *part; /* of the reason */
};

static void assert_mistake(const struct mistake *wanted, enum emlfs_query_form form, int code)
{
    struct emlfs_query_mistake mistake;
    struct emlfs_query *query;
    int r = emlfs_query_parse(emlfs_span_str(wanted->text), form, &query, &mistake);
    if (r != code || mistake.at != wanted->at || !strstr(mistake.text, wanted->part))
        fail_msg("%s: %d at %u: %s (wanted %u: %s)", wanted->text, r, mistake.at, mistake.text,
                 wanted->at, wanted->part);
    assert_null(query);
    assert_int_equal(emlfs_query_parse(emlfs_span_str(wanted->text), form, &query, NULL), code);
}

static void test_mistakes(void **state)
{
    static const struct mistake mistakes[] = {
        {"", 0, "nothing to look for"},
        {" \t\u3000", 0, "nothing to look for"},
        {"foo bar:x", 4, "unknown field 'bar'"},
        {"é http://x", 3, "unknown field 'http'"},
        {"-x:y", 1, "unknown field 'x'"},
        {"subject:", 8, "nothing behind 'subject:'"},
        {"a subject: b", 10, "nothing behind 'subject:'"},
        {"a -", 3, "nothing behind '-'"},
        {"- a", 1, "nothing behind '-'"},
        {"a \"b c", 2, "a quote that is not closed"},
        {"\"", 0, "a quote that is not closed"},
        {"a\"b\"", 1, "a quote in the middle of a word"},
        {"subject:é\"b\"", 10, "a quote in the middle of a word"},
        {"\"ab\"c", 4, "text directly behind a closing quote"},
        {"\"ab\"\"c\"", 4, "text directly behind a closing quote"},
        {"ab ...", 3, "no word to look for"},
        {"\"\"", 1, "no word to look for"},
        {"subject:\"...\"", 9, "no word to look for"},
        {"ab *", 3, "wildcards alone"},
        {"?.*", 0, "wildcards alone"},
        {"a.*.b", 2, "a wildcard without"},
        {"a.b.?.*.c.*", 4, "a wildcard without"},
        {"漢?", 3, "'?' next to"},
        {"x?漢", 1, "'?' next to"},
        {"漢*?a", 4, "'?' next to"},
        {"a\nb", 1, "a control character"},
        {"ab\xC2\x85", 2, "a control character"},
        {"a \xFF", 2, "not valid UTF-8"},
        {"\xED\xA0\x80", 0, "not valid UTF-8"},
        {"has:photo", 4, "has: takes attachment"},
        {"has:\"\"", 5, "has: takes attachment"},
        {"priority:urgent", 9, "high, normal or low"},
        {"folder:/", 7, "no folder named"},
        {"folder:\"\\/\"", 8, "no folder named"},
        {"store:*", 6, "no wildcards"},
        {"store:1?", 7, "no wildcards"},
        {"store:\"\"", 7, "no store named"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        assert_mistake(&mistakes[i], EMLFS_QUERY_PLAIN, -EINVAL);
}

static void test_mistakes_of_values(void **state)
{
    static const struct mistake mistakes[] = {
        {"date:soon", 5, "a date is"},
        {"date:25", 5, "a date is"},
        {"date:2025-3", 5, "a date is"},
        {"date:2025-03-01T", 5, "a date is"},
        {"date:2025-13", 5, "no such month"},
        {"date:2025-00", 5, "no such month"},
        {"date:2025-02-29", 5, "no such day"},
        {"date:1900-02-29", 5, "no such day"},
        {"date:2025-01-00", 5, "no such day"},
        {"date:1899", 5, "1900"},
        {"date:..", 5, "a range needs"},
        {"date:\"\"", 6, "a date is"},
        {"date:2025..x", 11, "a date is"},
        {"date:2025...2026", 11, "a date is"},
        {"date:2025-06..2025-05", 5, "ends before it begins"},
        {"archived:2025..2024", 9, "ends before it begins"},
        {"size:large", 5, "a size is a number"},
        {"size:", 5, "nothing behind"},
        {"size:>", 6, "a size is a number"},
        {"size:1.5M", 6, "not part of a size"},
        {"size:1T", 6, "not part of a size"},
        {"size:1KK", 7, "not part of a size"},
        {"size:1..x", 8, "a size is a number"},
        {"size:..", 7, "a size is a number"},
        {"size:2..1", 5, "ends before it begins"},
        {"size:<0", 5, "nothing is smaller"},
        {"size:9223372036854775808", 5, "too large"},
        {"size:99999999999G", 5, "too large"},
        {"size:99999999999999999999999", 5, "too large"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        assert_mistake(&mistakes[i], EMLFS_QUERY_PLAIN, -EINVAL);
}

static void test_mistakes_in_paths(void **state)
{
    static const struct mistake mistakes[] = {
        {"x 'a b", 2, "a quote that is not closed"},
        {"'a'b", 0, "a quote that is not closed"},
        {"'a \"b\"'", 3, "a double quote between"},
        {"a\uF020b", 1, "a quote in the middle"},
        {"a\uF00Ab", 1, "a control character"},
        {"x foo:a", 2, "unknown field 'foo'"},
        {"x subject=", 10, "nothing behind 'subject:'"},
        {"%", 0, "wildcards alone"},
        {"date=\uF022", 5, "a date is"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++)
        assert_mistake(&mistakes[i], EMLFS_QUERY_PATH, -EINVAL);
}

static void test_limits(void **state)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    struct mistake wanted = {NULL, 128, "more than 64 terms"};
    (void)state;
    for (unsigned i = 0; i < 65; i++)
        assert_int_equal(emlfs_buf_append(&text, "a ", 2), 0);
    text.data[129] = '\0';
    wanted.text = (const char *)text.data;
    assert_mistake(&wanted, EMLFS_QUERY_PLAIN, -E2BIG);
    text.data[128] = '\0';
    assert_plain((const char *)text.data, NULL);
    for (unsigned i = 0; i < 64; i++)
        text.data[2 * i + 1] = '.';
    assert_plain((const char *)text.data, NULL);
    text.data[128] = 'b';
    wanted = (struct mistake){(const char *)text.data, 0, "64 words"};
    assert_mistake(&wanted, EMLFS_QUERY_PLAIN, -E2BIG);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(emlfs_buf_append(&text, "xxxx ", 5), 0);
    memset(text.data, 'y', 300);
    text.data[256] = '*';
    text.data[257] = '\0';
    wanted = (struct mistake){(const char *)text.data, 0, "256 bytes"};
    assert_mistake(&wanted, EMLFS_QUERY_PLAIN, -E2BIG);
    memset(text.data, ' ', 1025);
    text.data[0] = 'y';
    text.data[1025] = '\0';
    wanted = (struct mistake){(const char *)text.data, 1024, "1024 bytes"};
    assert_mistake(&wanted, EMLFS_QUERY_PLAIN, -E2BIG);
    text.data[1024] = '\0';
    assert_plain((const char *)text.data, "words:y");
}

static void test_place(void **state)
{
    struct emlfs_query *query;
    (void)state;
    assert_int_equal(
        emlfs_query_parse(emlfs_span_str(" é  -subject='b c'"), EMLFS_QUERY_PATH, &query, NULL), 0);
    assert_int_equal(query->terms_n, 2);
    assert_int_equal(query->terms[0].at, 1);
    assert_int_equal(query->terms[0].len, 2);
    assert_int_equal(query->terms[1].at, 5);
    assert_int_equal(query->terms[1].len, 14);
    assert_true(query->terms[1].quoted && !query->terms[0].quoted);
    assert_true(emlfs_span_equal(query->terms[1].text, emlfs_span_str("b c")));
    emlfs_query_free(query);
    emlfs_query_free(NULL);
}

/* ---- spans of time: 2026-03-11 was a Wednesday; seconds since 1970 */

#define DAY INT64_C(86400)
#define MAR11 INT64_C(1773187200) /* 2026-03-11T00:00Z */

static void assert_span(const char *text, const char *zone, int64_t from_sec, int64_t to_sec)
{
    struct emlfs_query *query;
    int64_t from_ns, to_ns;
    const int64_t now_ns = (MAR11 + DAY / 2) * 1000000000 + 5;
    assert_int_equal(emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL), 0);
    assert_int_equal(emlfs_query_span(&query->terms[0], now_ns, zone, &from_ns, &to_ns), 0);
    emlfs_query_free(query);
    assert_int_equal(from_ns, from_sec == INT64_MIN ? from_sec : from_sec * 1000000000);
    assert_int_equal(to_ns, to_sec == INT64_MAX ? to_sec : to_sec * 1000000000);
}

static void test_spans(void **state)
{
    (void)state;
    assert_span("date:today", "UTC", MAR11, MAR11 + DAY);
    assert_span("date:yesterday", NULL, MAR11 - DAY, MAR11);
    assert_span("date:thisweek", "UTC", MAR11 - 2 * DAY, MAR11 + 5 * DAY);
    assert_span("date:lastweek", "UTC", MAR11 - 9 * DAY, MAR11 - 2 * DAY);
    assert_span("date:thismonth", "UTC", MAR11 - 10 * DAY, MAR11 + 21 * DAY);
    assert_span("archived:lastmonth", "UTC", MAR11 - 38 * DAY, MAR11 - 10 * DAY);
    assert_span("date:thisyear", "UTC", MAR11 - 69 * DAY, MAR11 + 296 * DAY);
    assert_span("date:lastyear", "UTC", MAR11 - 434 * DAY, MAR11 - 69 * DAY);
    assert_span("date:2026-03-11", "UTC", MAR11, MAR11 + DAY);
    assert_span("date:2025-12..2026-01", "UTC", MAR11 - 100 * DAY, MAR11 - 38 * DAY);
    assert_span("date:2026..", "UTC", MAR11 - 69 * DAY, INT64_MAX);
    assert_span("date:..yesterday", "UTC", INT64_MIN, MAR11);
    assert_span("date:1970..9999", "UTC", 0, INT64_MAX);
    assert_span("date:2026-03-11", "Asia/Tokyo", MAR11 - 9 * 3600, MAR11 + 15 * 3600);
    /* 23 and 25 hours long */
    assert_span("date:2026-03-29", "Europe/Berlin", MAR11 + 18 * DAY - 3600,
                MAR11 + 19 * DAY - 7200);
    assert_span("date:2025-10-26", "Europe/Berlin", 1761429600, 1761429600 + 25 * 3600);
    /* Midnight is left out there: the day begins at 1:00 local time, which is 4:00 UTC */
    assert_span("date:2017-10-01", "America/Asuncion", 1506830400, 1506913200);
}

/* ---- the manual's examples */

static size_t unescape(const char *line, char *ret)
{
    static const struct {
        const char *from, *to;
    } escapes[] = {{"\\-", "-"}, {"\\e", "\\"}, {"\\(aq", "'"}, {"\\(dq", "\""}, {"\\&", ""}};
    size_t len = 0;
    while (*line && *line != '\t') {
        size_t i = 0;
        while (i < 5 && strncmp(line, escapes[i].from, strlen(escapes[i].from)) != 0)
            i++;
        if (i == 5) {
            ret[len++] = *line++;
            continue;
        }
        line += strlen(escapes[i].from);
        if (*escapes[i].to)
            ret[len++] = *escapes[i].to;
    }
    ret[len] = '\0';
    return len;
}

static void assert_example(const char *kind, const char *line)
{
    char text[1024];
    struct emlfs_query *query;
    assert_non_null(strchr(line, '\t'));
    size_t len = unescape(line, text);
    if (strcmp(kind, "mistakes\n") != 0) {
        assert_query(emlfs_span_of(text, len),
                     strcmp(kind, "path\n") == 0 ? EMLFS_QUERY_PATH : EMLFS_QUERY_PLAIN, NULL);
        return;
    }
    if (emlfs_query_parse(emlfs_span_of(text, len), EMLFS_QUERY_PLAIN, &query, NULL) != -EINVAL)
        fail_msg("%s is no mistake", text);
}

static void test_manual(void **state)
{
    static const char mark[] = ".\\\" examples: ";
    FILE *page = fopen(EMLFS_SOURCE_DIR "/tools/doc/emlfs-query.7", "r");
    char line[1024], kind[1024] = "";
    bool inside = false;
    unsigned plain = 0, path = 0, mistakes = 0;
    (void)state;
    assert_non_null(page);
    while (fgets(line, sizeof(line), page)) {
        if (strncmp(line, mark, sizeof(mark) - 1) == 0)
            snprintf(kind, sizeof(kind), "%s", line + sizeof(mark) - 1);
        if (strcmp(line, ".EE\n") == 0)
            inside = false;
        if (inside && line[0] != '.') {
            assert_example(kind, line);
            plain += kind[0] == 'p' && kind[1] == 'l';
            path += kind[0] == 'p' && kind[1] == 'a';
            mistakes += kind[0] == 'm';
        }
        if (strcmp(line, ".EX\n") == 0)
            inside = true;
    }
    fclose(page);
    assert_true(plain >= 60 && path >= 8 && mistakes >= 20);
}

/* ---- anything at all */

static void test_random(void **state)
{
    static const char *const words[] = {
        "a", "b",  " ",  "\"",  "*",    "?",  "-",      ":",      "'",     "=",  "%",
        ".", "漢", "字", "é",   "date", "..", "20",     "25",     "/",     "\\", "size",
        ">", "5M", "to", "has", "\xFF", "ﷺ",  "\u0301", "\uF020", "folder"};
    uint64_t seed = 42;
    (void)state;
    for (unsigned round = 0; round < 200000; round++) {
        char text[256] = "";
        size_t len = 0;
        struct emlfs_query *query;
        struct emlfs_query_mistake mistake;
        enum emlfs_query_form form = round % 2 ? EMLFS_QUERY_PATH : EMLFS_QUERY_PLAIN;
        for (unsigned n = 0; n < 12; n++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            const char *word = words[(seed >> 33) % (sizeof(words) / sizeof(words[0]))];
            memcpy(text + len, word, strlen(word));
            len += strlen(word);
        }
        if (emlfs_query_parse(emlfs_span_of(text, len), form, &query, &mistake) < 0) {
            assert_true(mistake.at <= len && mistake.text[0]);
            continue;
        }
        emlfs_query_free(query);
        assert_query(emlfs_span_of(text, len), form, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_wildcards),
        cmocka_unit_test(test_cjk),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_path_form),
        cmocka_unit_test(test_path_substitutes),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_mistakes_of_values),
        cmocka_unit_test(test_mistakes_in_paths),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_place),
        cmocka_unit_test(test_spans),
        cmocka_unit_test(test_manual),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
