/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of HTML, and of XML whose meaning is not known. Only tags are told from text; no tree is
 * built, so that neither depth nor unclosed elements cost anything: time is linear in the input,
 * memory is that of the output. Nothing outside the document is ever looked at.
 *
 * Scripts and styles are dropped. Block elements separate words, inline elements do not; of
 * attributes, alt and title are text. In XML every element separates.
 */
#include <stdlib.h>
#include <strings.h>

#include <libxml/HTMLparser.h>

#include "emlfs/base/library.h"
#include "text.h"

#define LATE_EVERY 4096u
#define CHARSET_SEEN_BYTES 4096u
#define ENTITY_MAX_BYTES 32u

struct markup {
    const uint8_t *pos, *end;
    struct emlfs_buf *out;
    bool xml;
};
struct tag {
    struct emlfs_span name;
    bool closing;
};

static bool is_letter(uint8_t c)
{
    c |= 0x20;
    return c >= 'a' && c <= 'z';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int name_compare(const void *key, const void *entry)
{
    const struct emlfs_span *name = key;
    const char *other = *(const char *const *)entry;
    size_t len = strlen(other);
    int order = strncasecmp((const char *)name->data, other, name->len < len ? name->len : len);
    return order != 0 ? order : name->len < len ? -1 : name->len > len;
}

static bool is_block(struct emlfs_span name)
{
    static const char *const blocks[] = {
        "address", "article", "aside",    "blockquote", "body",       "br",     "button",
        "caption", "center",  "col",      "dd",         "details",    "dialog", "dir",
        "div",     "dl",      "dt",       "fieldset",   "figcaption", "figure", "footer",
        "form",    "frame",   "frameset", "h1",         "h2",         "h3",     "h4",
        "h5",      "h6",      "head",     "header",     "hr",         "html",   "iframe",
        "img",     "input",   "legend",   "li",         "link",       "main",   "menu",
        "meta",    "nav",     "noframes", "noscript",   "object",     "ol",     "optgroup",
        "option",  "p",       "pre",      "script",     "section",    "select", "style",
        "summary", "table",   "tbody",    "td",         "textarea",   "tfoot",  "th",
        "thead",   "title",   "tr",       "ul"};
    return bsearch(&name, blocks, sizeof blocks / sizeof blocks[0], sizeof blocks[0],
                   name_compare) != NULL;
}

static bool span_is(struct emlfs_span text, const char *word)
{
    return text.len == strlen(word) && strncasecmp((const char *)text.data, word, text.len) == 0;
}

/* A number as HTML reads it: 128...159 mean windows-1252. */
static uint32_t number_char(const uint8_t *at, size_t len)
{
    static const uint16_t western[32] = {
        0x20ac, 0x20,   0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021, 0x02c6, 0x2030, 0x0160,
        0x2039, 0x0152, 0x20,   0x017d, 0x20,   0x20,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x20,   0x017e, 0x0178};
    uint32_t code = 0;
    bool hex = len > 0 && (at[0] | 0x20) == 'x';
    for (size_t i = hex; i < len && code <= 0x10ffff; i++) {
        uint8_t c = at[i] | 0x20;
        code = code * (hex ? 16 : 10) + (uint32_t)(at[i] <= '9' ? at[i] - '0' : c - 'a' + 10);
    }
    return code >= 128 && code < 160 ? western[code - 128] : code;
}

#define HTML_CALLS(call) call(htmlEntityLookup)

struct html_calls {
    HTML_CALLS(EMLFS_LIBRARY_MEMBER)
};

static const struct html_calls *html_load(void)
{
    static const char *const names[] = {HTML_CALLS(EMLFS_LIBRARY_NAME)};
    static struct html_calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_XML2, names, calls);
    return emlfs_library_load(&library, NULL) == 0 ? &calls : NULL;
}

static uint32_t named_char(const uint8_t *name, size_t len)
{
    char text[ENTITY_MAX_BYTES + 1];
    memcpy(text, name, len);
    text[len] = '\0';
    const struct html_calls *html = html_load();
    const htmlEntityDesc *entity = html ? html->htmlEntityLookup((const xmlChar *)text) : NULL;
    return entity ? entity->value : strcmp(text, "apos") == 0 ? '\'' : 0;
}

/* Append what the '&' at *pos stands for, and step over it. */
static int reference_append(const uint8_t **pos, const uint8_t *end, struct emlfs_buf *out)
{
    const uint8_t *at = *pos + 1;
    bool number = at < end && *at == '#';
    const uint8_t *from = at + number;
    bool hex = number && from < end && (*from | 0x20) == 'x';
    at = from + hex;
    while (at < end && at - from < (ptrdiff_t)ENTITY_MAX_BYTES &&
           ((*at >= '0' && *at <= '9') ||
            (number ? hex && (*at | 0x20) >= 'a' && (*at | 0x20) <= 'f' : is_letter(*at))))
        at++;
    size_t len = (size_t)(at - from);
    uint32_t code = 0;
    if (len > (size_t)hex)
        code = number ? number_char(from, len) : named_char(from, len);
    if (code == 0) {
        (*pos)++;
        return emlfs_buf_append_u8(out, '&');
    }
    *pos = at + (at < end && *at == ';');
    return text_put_char(out, code);
}

static int text_append(const uint8_t *pos, const uint8_t *end, struct emlfs_buf *out)
{
    int rc = 0;
    while (rc == 0 && pos < end) {
        const uint8_t *mark = memchr(pos, '&', (size_t)(end - pos));
        const uint8_t *stop = mark ? mark : end;
        rc = emlfs_buf_append(out, pos, (size_t)(stop - pos));
        pos = stop;
        if (rc == 0 && mark)
            rc = reference_append(&pos, end, out);
    }
    return rc;
}

static int separate(struct emlfs_buf *out)
{
    return out->len > 0 && out->data[out->len - 1] != '\n' ? emlfs_buf_append_u8(out, '\n') : 0;
}

static int attribute_take(struct markup *markup, struct emlfs_span name, struct emlfs_span value)
{
    if (markup->xml || !(span_is(name, "alt") || span_is(name, "title")) || value.len == 0)
        return 0;
    int rc = emlfs_buf_append_u8(markup->out, ' ');
    if (rc == 0)
        rc = text_append(value.data, emlfs_span_end(value), markup->out);
    return rc == 0 ? emlfs_buf_append_u8(markup->out, ' ') : rc;
}

/* The value behind '=', quoted or not. */
static struct emlfs_span value_take(struct markup *markup)
{
    uint8_t quote = markup->pos < markup->end ? *markup->pos : 0;
    const uint8_t *from = markup->pos;
    if (quote == '"' || quote == '\'') {
        from++;
        const uint8_t *close = memchr(from, quote, (size_t)(markup->end - from));
        const uint8_t *end = close ? close : markup->end;
        markup->pos = close ? close + 1 : end;
        return emlfs_span_of(from, (size_t)(end - from));
    }
    while (markup->pos < markup->end && !is_space(*markup->pos) && *markup->pos != '>')
        markup->pos++;
    return emlfs_span_of(from, (size_t)(markup->pos - from));
}

static void space_skip(struct markup *markup)
{
    while (markup->pos < markup->end && is_space(*markup->pos))
        markup->pos++;
}

/* Step over attributes and '>', taking what is text. */
static int attributes_read(struct markup *markup)
{
    int rc = 0;
    while (rc == 0 && markup->pos < markup->end) {
        struct emlfs_span value = {0};
        space_skip(markup);
        if (markup->pos == markup->end || *markup->pos == '>')
            break;
        const uint8_t *from = markup->pos++;
        while (markup->pos < markup->end && !is_space(*markup->pos) && *markup->pos != '>' &&
               *markup->pos != '=' && *markup->pos != '/')
            markup->pos++;
        struct emlfs_span name = emlfs_span_of(from, (size_t)(markup->pos - from));
        space_skip(markup);
        if (markup->pos < markup->end && *markup->pos == '=') {
            markup->pos++;
            space_skip(markup);
            value = value_take(markup);
        }
        rc = attribute_take(markup, name, value);
    }
    if (markup->pos < markup->end)
        markup->pos++;
    return rc;
}

/* Step over the content of an element whose content is no text, up to its closing tag. */
static void raw_skip(struct markup *markup, struct emlfs_span name)
{
    while (markup->pos < markup->end) {
        const uint8_t *mark = memchr(markup->pos, '<', (size_t)(markup->end - markup->pos));
        if (mark == NULL || (size_t)(markup->end - mark) < name.len + 2) {
            markup->pos = markup->end;
            return;
        }
        markup->pos = mark + 1;
        if (mark[1] == '/' &&
            strncasecmp((const char *)mark + 2, (const char *)name.data, name.len) == 0) {
            markup->pos = mark;
            return;
        }
    }
}

static void skip_behind(struct markup *markup, const char *text)
{
    size_t len = strlen(text);
    const uint8_t *found = memmem(markup->pos, (size_t)(markup->end - markup->pos), text, len);
    markup->pos = found ? found + len : markup->end;
}

/* "<!" or "<?": comments, declarations, and in XML sections that are text. */
static int declaration_read(struct markup *markup)
{
    size_t left = (size_t)(markup->end - markup->pos);
    if (left >= 4 && memcmp(markup->pos, "<!--", 4) == 0) {
        markup->pos += 2; /* "<!-->" is a whole comment */
        if (left >= 5 && markup->pos[2] == '>')
            markup->pos += 3;
        else
            skip_behind(markup, "-->");
        return 0;
    }
    if (markup->xml && left >= 9 && memcmp(markup->pos, "<![CDATA[", 9) == 0) {
        const uint8_t *from = markup->pos + 9;
        skip_behind(markup, "]]>");
        size_t len = (size_t)(markup->pos - from);
        bool closed = len >= 3 && memcmp(markup->pos - 3, "]]>", 3) == 0;
        return emlfs_buf_append(markup->out, from, closed ? len - 3 : len);
    }
    skip_behind(markup, ">");
    return 0;
}

static int element_read(struct markup *markup)
{
    bool closing = markup->pos[1] == '/';
    const uint8_t *from = markup->pos + 1 + closing;
    markup->pos = from;
    while (markup->pos < markup->end && !is_space(*markup->pos) && *markup->pos != '>' &&
           *markup->pos != '/')
        markup->pos++;
    struct emlfs_span name = emlfs_span_of(from, (size_t)(markup->pos - from));
    int rc = markup->xml || is_block(name) ? separate(markup->out) : 0;
    if (rc == 0)
        rc = attributes_read(markup);
    if (!markup->xml && !closing && (span_is(name, "script") || span_is(name, "style")))
        raw_skip(markup, name);
    return rc;
}

/* What the '<' at pos begins. */
static int markup_read(struct markup *markup)
{
    size_t left = (size_t)(markup->end - markup->pos);
    uint8_t next = left > 1 ? markup->pos[1] : 0;
    if (next == '!' || next == '?')
        return declaration_read(markup);
    if (is_letter(next) || (markup->xml && (next == '_' || next >= 0x80)) ||
        (next == '/' && left > 2 && markup->pos[2] != '>'))
        return element_read(markup);
    markup->pos++;
    return emlfs_buf_append_u8(markup->out, '<');
}

static const char *markup_run(struct text_run *run, struct markup *markup)
{
    int rc = 0;
    for (unsigned tags = 1; rc == 0 && markup->pos < markup->end; tags++) {
        if (tags % LATE_EVERY == 0 && text_late(run))
            return TEXT_BAD_TIME;
        const uint8_t *mark = memchr(markup->pos, '<', (size_t)(markup->end - markup->pos));
        const uint8_t *stop = mark ? mark : markup->end;
        rc = text_append(markup->pos, stop, markup->out);
        markup->pos = stop;
        if (rc == 0 && mark)
            rc = markup_read(markup);
    }
    return text_reason(rc);
}

const char *text_html(struct text_run *run, struct emlfs_span markup, struct emlfs_buf *out)
{
    struct markup state = {.pos = markup.data, .end = emlfs_span_end(markup), .out = out};
    return markup.len == 0 ? NULL : markup_run(run, &state);
}

const char *text_xml(struct text_run *run, struct emlfs_span markup, struct emlfs_buf *out)
{
    struct markup state = {
        .pos = markup.data, .end = emlfs_span_end(markup), .out = out, .xml = true};
    return markup.len == 0 ? NULL : markup_run(run, &state);
}

void text_html_charset(struct emlfs_span bytes, char ret[48])
{
    char head[CHARSET_SEEN_BYTES + 1];
    size_t len = bytes.len < CHARSET_SEEN_BYTES ? bytes.len : CHARSET_SEEN_BYTES;
    ret[0] = '\0';
    for (size_t i = 0; i < len; i++)
        head[i] = bytes.data[i] == 0 ? ' ' : (char)bytes.data[i];
    head[len] = '\0';
    bool xml = strncmp(head, "<?xml", 5) == 0;
    const char *at = strcasestr(head, xml ? "encoding=" : "charset=");
    if (at == NULL)
        return;
    at += xml ? 9 : 8;
    at += strspn(at, " \"'");
    size_t name = strcspn(at, " \"'>;/?\r\n\t");
    if (name > 0 && name < 48) {
        memcpy(ret, at, name);
        ret[name] = '\0';
    }
}

bool text_html_load(void)
{
    return html_load() != NULL;
}
