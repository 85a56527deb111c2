/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of the XML inside OOXML and ODF files, by libxml2's plain SAX interface: no tree, no entity
 * but the five predefined ones, no DTD, no network, depth bounded.
 */
#include <stdlib.h>

#include <libxml/parser.h>
#include <libxml/parserInternals.h>

#include "emlfs/base/library.h"
#include "text.h"

#define LATE_EVERY 4096u
#define CHUNK_BYTES 65536

/* clang-format off */
#define XML_CALLS(call) \
    call(xmlInitParser) call(xmlInitCharEncodingHandlers) call(xmlCreatePushParserCtxt) \
    call(xmlCtxtUseOptions) call(xmlParseChunk) call(xmlStopParser) call(xmlFreeDoc) \
    call(xmlFreeParserCtxt) call(xmlGetPredefinedEntity)
/* clang-format on */

struct xml_calls {
    XML_CALLS(EMLFS_LIBRARY_MEMBER)
};

static const struct xml_calls *xml_load(void)
{
    static const char *const names[] = {XML_CALLS(EMLFS_LIBRARY_NAME)};
    static struct xml_calls calls;
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_XML2, names, calls);
    return emlfs_library_load(&library, NULL) == 0 ? &calls : NULL;
}

struct office {
    const struct xml_calls *xml;
    struct text_run *run;
    struct emlfs_buf *out;
    xmlParserCtxtPtr parser;
    enum text_office kind;
    unsigned depth, collect, skip; /* skip: depth of the element that is no text, or 0 */
    unsigned steps;
    bool number_cell, encrypted;
    const char *reason;
};

static bool prefixed(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

enum text_office text_office_member(const char *name)
{
    static const char *const ooxml[] = {"word/document",      "word/header",
                                        "word/footer",        "word/footnotes",
                                        "word/endnotes",      "word/comments",
                                        "xl/sharedStrings",   "xl/worksheets/",
                                        "xl/comments",        "xl/workbook",
                                        "xl/drawings/",       "ppt/slides/",
                                        "ppt/notesSlides/",   "ppt/comments",
                                        "docProps/core",      "docProps/custom",
                                        "word/charts/",       "xl/charts/",
                                        "ppt/charts/",        "ppt/diagrams/data",
                                        "word/diagrams/data", NULL};
    size_t len = strlen(name);
    if (strcmp(name, "content.xml") == 0 || strcmp(name, "meta.xml") == 0 ||
        strcmp(name, "styles.xml") == 0)
        return TEXT_OFFICE_ODF;
    if (strcmp(name, "META-INF/manifest.xml") == 0)
        return TEXT_OFFICE_MANIFEST;
    if (len < 4 || strcmp(name + len - 4, ".xml") != 0)
        return TEXT_OFFICE_NONE;
    for (size_t i = 0; ooxml[i]; i++) {
        if (prefixed(name, ooxml[i]))
            return TEXT_OFFICE_OOXML;
    }
    return TEXT_OFFICE_NONE;
}

static void office_stop(struct office *office, const char *reason)
{
    if (office->reason == NULL)
        office->reason = reason;
    office->xml->xmlStopParser(office->parser);
}

static void put(struct office *office, const void *text, size_t len)
{
    int rc = emlfs_buf_append(office->out, text, len);
    if (rc < 0)
        office_stop(office, text_reason(rc));
}

static void separate(struct office *office, char with)
{
    struct emlfs_buf *out = office->out;
    if (out->len > 0 && out->data[out->len - 1] != '\n' && out->data[out->len - 1] != ' ')
        put(office, &with, 1);
}

static bool among(const char *name, const char *const *table)
{
    for (; *table; table++) {
        if (strcmp(name, *table) == 0)
            return true;
    }
    return false;
}

static const char *const blanks[] = {"tab", "br", "cr", "s", "line-break", "noBreakHyphen", NULL};
/* In OOXML text stands in elements t and v alone; core properties are text themselves. */
static const char *const ooxml_text[] = {"t",        "title",       "subject",  "creator", "lpwstr",
                                         "keywords", "description", "category", NULL};
static const char *const blocks[] = {"p",         "h",           "si",           "is",
                                     "c",         "tc",          "tr",           "t_cell",
                                     "title",     "subject",     "creator",      "keyword",
                                     "keywords",  "description", "category",     "table-cell",
                                     "list-item", "lpwstr",      "user-defined", "v",
                                     NULL};
static const char *const odf_text[] = {
    "p", "h", "title", "subject", "keyword", "creator", "description", "user-defined", NULL};
static const char *const silent[] = {"rPh",       "tracked-changes", "binary-data", "scripts",
                                     "instrText", "delText",         NULL};

/* One value of a list of names and values. */
static struct emlfs_span attribute(const xmlChar **list, const char *name)
{
    for (; list && list[0]; list += 2) {
        if (strcmp((const char *)list[0], name) == 0 && list[1])
            return emlfs_span_str((const char *)list[1]);
    }
    return emlfs_span_of(NULL, 0);
}

/* Prefixes are whatever the writer chose. */
static const char *local_name(const xmlChar *name)
{
    const char *colon = strrchr((const char *)name, ':');
    return colon ? colon + 1 : (const char *)name;
}

static bool is_text_element(const struct office *office, const char *name)
{
    if (office->kind == TEXT_OFFICE_ODF)
        return among(name, odf_text);
    return among(name, ooxml_text) || (strcmp(name, "v") == 0 && office->number_cell);
}

static void on_start(void *arg, const xmlChar *full, const xmlChar **attributes)
{
    struct office *office = ((xmlParserCtxtPtr)arg)->_private;
    const char *name = local_name(full);
    if (++office->depth > TEXT_XML_DEPTH_MAX)
        office_stop(office, TEXT_BAD_DEPTH);
    if (++office->steps % LATE_EVERY == 0 && text_late(office->run))
        office_stop(office, TEXT_BAD_TIME);
    if (office->kind == TEXT_OFFICE_MANIFEST)
        office->encrypted = office->encrypted || strcmp(name, "encryption-data") == 0;
    if (office->skip > 0 || office->kind == TEXT_OFFICE_MANIFEST)
        return;
    if (among(name, silent)) {
        office->skip = office->depth;
        return;
    }
    if (strcmp(name, "c") == 0) { /* a cell: of type s, its value is the number of a string */
        struct emlfs_span type = attribute(attributes, "t");
        office->number_cell = type.len != 1 || type.data[0] != 's';
    } else if (strcmp(name, "sheet") == 0 || strcmp(name, "table") == 0) {
        struct emlfs_span title = attribute(attributes, "name");
        if (title.len == 0)
            title = attribute(attributes, "table:name");
        separate(office, '\n');
        put(office, title.data, title.len);
        separate(office, '\n');
    } else if (among(name, blanks)) {
        separate(office, ' ');
    }
    office->collect += is_text_element(office, name);
}

static void on_end(void *arg, const xmlChar *full)
{
    struct office *office = ((xmlParserCtxtPtr)arg)->_private;
    const char *name = local_name(full);
    if (office->skip == 0) {
        if (is_text_element(office, name) && office->collect > 0)
            office->collect--;
        if (among(name, blocks))
            separate(office, '\n');
    }
    if (office->skip == office->depth)
        office->skip = 0;
    office->depth -= office->depth > 0;
}

static void on_text(void *arg, const xmlChar *text, int len)
{
    struct office *office = ((xmlParserCtxtPtr)arg)->_private;
    if (office->collect > 0 && office->skip == 0 && len > 0)
        put(office, text, (size_t)len);
}

static xmlEntityPtr on_entity(void *arg, const xmlChar *name)
{
    const struct office *office = ((xmlParserCtxtPtr)arg)->_private;
    return office->xml->xmlGetPredefinedEntity(name);
}

/* Neither format has a DTD; whoever puts one in means harm. */
static void on_dtd(void *arg, const xmlChar *name, const xmlChar *external, const xmlChar *system)
{
    (void)name, (void)external, (void)system;
    office_stop(((xmlParserCtxtPtr)arg)->_private, "XML with a DTD");
}

static void on_message(void *arg, const char *text, ...)
{
    (void)arg, (void)text;
}

static void handlers_set(xmlSAXHandler *sax)
{
    memset(sax, 0, sizeof *sax);
    sax->initialized = 1; /* the plain interface: names as they are written */
    sax->startElement = on_start;
    sax->endElement = on_end;
    sax->characters = on_text;
    sax->ignorableWhitespace = on_text;
    sax->cdataBlock = on_text;
    sax->getEntity = on_entity;
    sax->internalSubset = on_dtd;
    sax->error = on_message;
    sax->warning = on_message;
    sax->fatalError = on_message;
}

static void office_feed(struct office *office, struct emlfs_span xml)
{
    for (size_t at = 0; at < xml.len && office->reason == NULL; at += CHUNK_BYTES) {
        size_t left = xml.len - at;
        int len = left < CHUNK_BYTES ? (int)left : CHUNK_BYTES;
        bool last = left <= CHUNK_BYTES;
        if (text_late(office->run))
            office_stop(office, TEXT_BAD_TIME);
        if (office->reason == NULL &&
            office->xml->xmlParseChunk(office->parser, (const char *)xml.data + at, len, last) !=
                XML_ERR_OK)
            break;
    }
    if (office->reason == NULL && office->parser->errNo == XML_ERR_NO_MEMORY)
        office->reason = TEXT_BAD_MEMORY;
    else if (office->reason == NULL && !office->parser->wellFormed)
        office->reason = office->depth >= TEXT_XML_DEPTH_MAX ? TEXT_BAD_DEPTH : "damaged XML";
}

const char *text_office(struct text_run *run, enum text_office kind, struct emlfs_span xml,
                        struct emlfs_buf *out)
{
    const struct xml_calls *calls = xml_load();
    xmlSAXHandler sax;
    struct office office = {.xml = calls, .run = run, .kind = kind, .out = out};
    if (calls == NULL)
        return "no XML reader is installed";
    handlers_set(&sax);
    office.parser = calls->xmlCreatePushParserCtxt(&sax, NULL, NULL, 0, NULL);
    if (office.parser == NULL)
        return TEXT_BAD_MEMORY;
    calls->xmlCtxtUseOptions(office.parser, XML_PARSE_NONET);
    office.parser->_private = &office;
    office_feed(&office, xml);
    separate(&office, '\n');
    if (office.parser->myDoc) /* made for what a DTD declares, and not freed with the parser */
        calls->xmlFreeDoc(office.parser->myDoc);
    calls->xmlFreeParserCtxt(office.parser);
    return office.encrypted ? TEXT_BAD_ENCRYPTED : office.reason;
}

bool text_office_load(void)
{
    const struct xml_calls *calls = xml_load();
    if (calls == NULL)
        return false;
    calls->xmlInitParser();
    calls->xmlInitCharEncodingHandlers();
    return true;
}
