/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The grammar of queries; emlfs-query(7) tells what they mean.
 *
 *     query    = *blank [term *(1*blank term)] *blank          at least one term
 *     term     = ["-"] [field ":"] value
 *     value    = quoted / bare
 *     quoted   = DQUOTE *(any but DQUOTE) DQUOTE               a blank or the end must follow
 *     bare     = 1*(any but blank and DQUOTE)                  does not begin with DQUOTE
 *     blank    = U+0020 / U+0009 / U+3000
 *     field    = "subject" / "from" / "to" / "cc" / "bcc" / "bcontent" / "acontent" /
 *                "attachment" / "folder" / "date" / "archived" / "size" / "has" / "priority" /
 *                "store"                                       in any case
 *
 *     date     = day / day ".." day / day ".." / ".." day      values of date and archived
 *     day      = 4DIGIT ["-" 2DIGIT ["-" 2DIGIT]] / "today" / "yesterday" / ("this" / "last")
 *                ("week" / "month" / "year")
 *     size     = [">" / "<" / ">=" / "<="] bytes / bytes ".." bytes / bytes ".." / ".." bytes
 *     bytes    = 1*DIGIT ["K" / "M" / "G"] ["B"]
 *     folder   = ["/"] component *("/" component) ["/"]        "\" serves as "/"
 *     store    = 1*(any but "*" and "?")
 *     has      = "attachment"
 *     priority = "high" / "normal" / "low"
 *
 * ASCII letters followed by ":" at the beginning of a bare term are a field or a mistake. Control
 * characters but the tab are a mistake anywhere. In the path form the characters that path_meaning
 * lists are replaced first; then "=" behind the name of a field is its ":", and a "'" at the
 * beginning of a value opens a quoted one, which ends with the first "'" before a blank or the end
 * and holds no DQUOTE.
 *
 * Words are taken apart in query_words.c, the other values in query_value.c and query_date.c.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "query_internal.h"
#include "utf8.h"

/* What folding and bigrams can make of a byte at most: 11 bytes, each character in 3 tokens. */
#define MEMORY_PER_BYTE 36u
#define CHAR_END (-1)

const struct query_field query_fields[] = {
    {"subject", EMLFS_TERM_WORDS, EMLFS_TEXT_SUBJECT},
    {"from", EMLFS_TERM_WORDS, EMLFS_TEXT_FROM},
    {"to", EMLFS_TERM_WORDS, EMLFS_TEXT_TO},
    {"cc", EMLFS_TERM_WORDS, EMLFS_TEXT_CC},
    {"bcc", EMLFS_TERM_WORDS, EMLFS_TEXT_BCC},
    {"bcontent", EMLFS_TERM_WORDS, EMLFS_TEXT_BODY},
    {"attachment", EMLFS_TERM_WORDS, EMLFS_TEXT_ATTACHMENT},
    {"acontent", EMLFS_TERM_WORDS, EMLFS_TEXT_CONTENT},
    {"folder", EMLFS_TERM_FOLDER, 0},
    {"date", EMLFS_TERM_DATE, 0},
    {"archived", EMLFS_TERM_ARCHIVED, 0},
    {"size", EMLFS_TERM_SIZE, 0},
    {"has", EMLFS_TERM_ATTACHMENT, 0},
    {"priority", EMLFS_TERM_PRIORITY, 0},
    {"store", EMLFS_TERM_STORE, 0},
    {NULL, 0, 0},
};

struct parser {
    struct query_char chars[EMLFS_QUERY_MAX_BYTES + 1]; /* the last is CHAR_END */
    unsigned n, pos;
    enum emlfs_query_form form;
    struct emlfs_query *query;
    struct emlfs_query_mistake *mistake;
};

int query_mistake(struct emlfs_query_mistake *mistake, int code, unsigned at, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mistake->at = at;
    vsnprintf(mistake->text, sizeof(mistake->text), fmt, args);
    va_end(args);
    return -code;
}

int query_keep(struct emlfs_query *query, struct emlfs_span bytes, struct emlfs_span *ret)
{
    size_t begin = query->memory.len;
    int r = emlfs_buf_append(&query->memory, bytes.data, bytes.len);
    if (r == 0)
        *ret = emlfs_span_of(query->memory.data + begin, bytes.len);
    return r;
}

static int32_t ascii_lower(int32_t c)
{
    return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

bool query_is(struct query_value value, unsigned first, unsigned n, const char *word)
{
    if (strlen(word) != n || first + n > value.n)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (ascii_lower(value.v[first + i].c) != word[i])
            return false;
    return true;
}

/* ---- characters */

/* What a character of a file name stands for: "%" and the private-use substitutes that SMB clients
 * write for what Windows forbids. */
static int32_t path_meaning(int32_t c)
{
    static const char low[] = "\"*:<>?\\| .";
    if (c >= 0xF020 && c < 0xF020 + (int32_t)sizeof(low) - 1)
        return low[c - 0xF020];
    switch (c) {
    case '%':
    case 0xF02A:
        return '*';
    case 0xF03A:
    case 0xF03C:
    case 0xF03E:
    case 0xF03F:
    case 0xF05C:
    case 0xF07C:
        return c - 0xF000;
    default:
        return c > 0xF000 && c < 0xF020 ? c - 0xF000 : c;
    }
}

static bool is_blank(int32_t c)
{
    return c == ' ' || c == '\t' || c == 0x3000;
}

static int parser_load(struct parser *parser, struct emlfs_span text)
{
    const uint8_t *end = text.len > 0 ? text.data + text.len : text.data;
    for (const uint8_t *pos = text.data; pos < end;) {
        unsigned len, at = (unsigned)(pos - text.data);
        int32_t c = utf8_decode(pos, end, &len);
        if (c < 0)
            return query_mistake(parser->mistake, EINVAL, at, "not valid UTF-8");
        if (parser->form == EMLFS_QUERY_PATH)
            c = path_meaning(c);
        if ((c < 0x20 && c != '\t') || (c >= 0x7F && c < 0xA0))
            return query_mistake(parser->mistake, EINVAL, at, "a control character");
        parser->chars[parser->n++] = (struct query_char){c, at};
        pos += len;
    }
    parser->chars[parser->n] = (struct query_char){CHAR_END, (unsigned)text.len};
    return 0;
}

static int32_t char_at(const struct parser *parser, unsigned pos)
{
    return parser->chars[pos < parser->n ? pos : parser->n].c;
}

static bool ends_value(int32_t c)
{
    return c == CHAR_END || is_blank(c);
}

/* ---- terms */

static const struct query_field *field_find(struct query_value name)
{
    const struct query_field *field = query_fields;
    while (field->name && !query_is(name, 0, name.n, field->name))
        field++;
    return field->name ? field : NULL;
}

/* [field ":"]; *ret_field NULL: none. */
static int field_parse(struct parser *parser, const struct query_field **ret_field)
{
    unsigned end = parser->pos;
    while (ascii_lower(char_at(parser, end)) >= 'a' && ascii_lower(char_at(parser, end)) <= 'z')
        end++;
    struct query_value name = {parser->chars + parser->pos, end - parser->pos, false};
    bool colon = char_at(parser, end) == ':';
    bool equals = char_at(parser, end) == '=' && parser->form == EMLFS_QUERY_PATH;
    *ret_field = name.n > 0 && (colon || equals) ? field_find(name) : NULL;
    if (*ret_field) {
        parser->pos = end + 1;
    } else if (name.n > 0 && colon) {
        char shown[32];
        unsigned n = name.n < sizeof(shown) - 1 ? name.n : (unsigned)sizeof(shown) - 1;
        for (unsigned i = 0; i < n; i++)
            shown[i] = (char)name.v[i].c;
        shown[n] = '\0';
        return query_mistake(parser->mistake, EINVAL, name.v[0].at,
                             "unknown field '%s' (put the word in quotes to look for it as it "
                             "stands)",
                             shown);
    }
    return 0;
}

static int quoted_parse(struct parser *parser, struct query_value *ret)
{
    unsigned begin = parser->pos + 1;
    int32_t quote = char_at(parser, parser->pos);
    for (unsigned i = begin; i < parser->n; i++) {
        int32_t c = char_at(parser, i);
        bool closed = ends_value(char_at(parser, i + 1));
        if (c == '"' && (quote != '"' || !closed))
            return query_mistake(parser->mistake, EINVAL,
                                 parser->chars[quote == '"' ? i + 1 : i].at,
                                 quote == '"' ? "text directly behind a closing quote"
                                              : "a double quote between single quotes");
        if (c == quote && closed) {
            *ret = (struct query_value){parser->chars + begin, i - begin, true};
            parser->pos = i + 1;
            return 0;
        }
    }
    return query_mistake(parser->mistake, EINVAL, parser->chars[begin - 1].at,
                         "a quote that is not closed");
}

static int value_parse(struct parser *parser, struct query_value *ret)
{
    unsigned begin = parser->pos;
    int32_t c = char_at(parser, begin);
    if (c == '"' || (c == '\'' && parser->form == EMLFS_QUERY_PATH))
        return quoted_parse(parser, ret);
    for (; !ends_value(c = char_at(parser, parser->pos)); parser->pos++)
        if (c == '"')
            return query_mistake(parser->mistake, EINVAL, parser->chars[parser->pos].at,
                                 "a quote in the middle of a word");
    *ret = (struct query_value){parser->chars + begin, parser->pos - begin, false};
    return 0;
}

/* The value as text, kept. */
static int value_keep(struct query_reading *reading)
{
    uint8_t text[EMLFS_QUERY_MAX_BYTES];
    size_t len = 0;
    for (unsigned i = 0; i < reading->value.n; i++)
        len += utf8_encode(reading->value.v[i].c, text + len);
    reading->term->quoted = reading->value.quoted;
    return query_keep(reading->query, emlfs_span_of(text, len), &reading->term->text);
}

static int value_read(struct query_reading *reading)
{
    static int (*const readers[])(struct query_reading *) = {
        [EMLFS_TERM_WORDS] = query_read_words,    [EMLFS_TERM_DATE] = query_read_date,
        [EMLFS_TERM_ARCHIVED] = query_read_date,  [EMLFS_TERM_SIZE] = query_read_size,
        [EMLFS_TERM_ATTACHMENT] = query_read_has, [EMLFS_TERM_PRIORITY] = query_read_priority,
        [EMLFS_TERM_FOLDER] = query_read_folder,  [EMLFS_TERM_STORE] = query_read_store,
    };
    int r = value_keep(reading);
    return r == 0 ? readers[reading->term->kind](reading) : r;
}

#define FIELDS_ALL (((1u << EMLFS_TEXT_FIELDS) - 1) & ~1u)

static int term_parse(struct parser *parser)
{
    const struct query_field *field;
    struct emlfs_query_term *term = &parser->query->terms[parser->query->terms_n];
    struct query_reading reading = {parser->query, term, {NULL, 0, false}, parser->mistake};
    term->at = parser->chars[parser->pos].at;
    if (parser->query->terms_n == EMLFS_QUERY_TERMS_MAX)
        return query_mistake(parser->mistake, E2BIG, parser->chars[parser->pos].at,
                             "more than %u terms", EMLFS_QUERY_TERMS_MAX);
    term->exclude = char_at(parser, parser->pos) == '-';
    parser->pos += term->exclude;
    int r = field_parse(parser, &field);
    if (r < 0)
        return r;
    if (ends_value(char_at(parser, parser->pos)))
        return query_mistake(parser->mistake, EINVAL, parser->chars[parser->pos].at,
                             "nothing behind '%s%s'", field ? field->name : "-", field ? ":" : "");
    r = value_parse(parser, &reading.value);
    if (r < 0)
        return r;
    term->kind = field ? field->kind : EMLFS_TERM_WORDS;
    term->fields = field && field->text ? 1u << field->text : FIELDS_ALL;
    term->len = parser->chars[parser->pos].at - term->at;
    parser->query->terms_n++; /* so that _free sees what the reader allocates */
    return value_read(&reading);
}

static int terms_parse(struct parser *parser)
{
    for (;;) {
        while (is_blank(char_at(parser, parser->pos)))
            parser->pos++;
        if (parser->pos == parser->n)
            break;
        int r = term_parse(parser);
        if (r < 0)
            return r;
    }
    return parser->query->terms_n > 0
               ? 0
               : query_mistake(parser->mistake, EINVAL, 0, "nothing to look for");
}

static struct emlfs_query *query_new(size_t text_bytes)
{
    struct emlfs_query *query = calloc(1, sizeof(*query));
    size_t room = (text_bytes + 1) * MEMORY_PER_BYTE;
    if (!query)
        return NULL;
    query->memory = EMLFS_BUF_INIT(room);
    /* One more than may be: term_parse fills it before it counts. */
    query->terms = calloc(EMLFS_QUERY_TERMS_MAX + 1, sizeof(*query->terms));
    if (!query->terms || emlfs_buf_reserve(&query->memory, room) < 0) {
        emlfs_query_free(query);
        return NULL;
    }
    return query;
}

int emlfs_query_parse(struct emlfs_span text, enum emlfs_query_form form, struct emlfs_query **ret,
                      struct emlfs_query_mistake *ret_mistake)
{
    struct emlfs_query_mistake unread;
    struct emlfs_query_mistake *mistake = ret_mistake ? ret_mistake : &unread;
    *ret = NULL;
    *mistake = (struct emlfs_query_mistake){0};
    if (text.len > EMLFS_QUERY_MAX_BYTES)
        return query_mistake(mistake, E2BIG, EMLFS_QUERY_MAX_BYTES, "longer than %u bytes",
                             EMLFS_QUERY_MAX_BYTES);
    struct parser *parser = calloc(1, sizeof(*parser));
    struct emlfs_query *query = query_new(text.len);
    int r = parser && query ? 0 : -ENOMEM;
    if (r == 0) {
        *parser = (struct parser){.form = form, .query = query, .mistake = mistake};
        r = parser_load(parser, text);
    }
    if (r == 0)
        r = terms_parse(parser);
    free(parser);
    if (r < 0)
        emlfs_query_free(query);
    else
        *ret = query;
    return r;
}
