/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One part of a message, decoded: which kind it is and who reads it. What the bytes say counts more
 * than the declared type, the declared type more than the name.
 */
#include <strings.h>

#include "text.h"

#define MAGIC_SEEN_BYTES 1024u
#define ARMOUR "-----BEGIN PGP MESSAGE-----"

enum part_kind {
    PART_NONE, /* no text in it */
    PART_PLAIN,
    PART_CALENDAR,
    PART_ENRICHED,
    PART_HTML,
    PART_XML,
    PART_RTF,
    PART_PDF,
    PART_ZIP,
    PART_TNEF,
    PART_MESSAGE,
    PART_ENCRYPTED,
    PART_UNREAD, /* text, but no parser for it */
};

static bool begins(struct emlfs_span bytes, const char *with, size_t len)
{
    return bytes.len >= len && memcmp(bytes.data, with, len) == 0;
}

static bool begins_text(struct emlfs_span bytes, const char *with)
{
    size_t len = strlen(with);
    return bytes.len >= len && strncasecmp((const char *)bytes.data, with, len) == 0;
}

static struct emlfs_span without_blanks(struct emlfs_span bytes)
{
    if (begins(bytes, "\xef\xbb\xbf", 3))
        bytes = emlfs_span_of(bytes.data + 3, bytes.len - 3);
    while (bytes.len > 0 && (*bytes.data == ' ' || (*bytes.data >= '\t' && *bytes.data <= '\r')))
        bytes = emlfs_span_of(bytes.data + 1, bytes.len - 1);
    return bytes;
}

static enum part_kind kind_by_magic(struct emlfs_span bytes)
{
    struct emlfs_span head = bytes;
    if (head.len > MAGIC_SEEN_BYTES)
        head.len = MAGIC_SEEN_BYTES;
    if (head.len == 0)
        return PART_NONE;
    if (begins(head, "PK\3\4", 4) || begins(head, "PK\5\6", 4))
        return PART_ZIP;
    if (begins(head, "{\\rtf", 5))
        return PART_RTF;
    if (begins(head, "\x78\x9f\x3e\x22", 4))
        return PART_TNEF;
    if (begins(head, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8))
        return PART_UNREAD;
    if (memmem(head.data, head.len, "%PDF-", 5))
        return PART_PDF;
    head = without_blanks(head);
    if (begins_text(head, ARMOUR))
        return PART_ENCRYPTED;
    if (begins_text(head, "<!doctype html") || begins_text(head, "<html"))
        return PART_HTML;
    return begins_text(head, "<?xml") ? PART_XML : PART_NONE;
}

static enum part_kind kind_by_type(const char *type)
{
    static const struct {
        const char *prefix;
        enum part_kind kind;
    } table[] = {{"text/html", PART_HTML},
                 {"text/xml", PART_XML},
                 {"text/enriched", PART_ENRICHED},
                 {"text/richtext", PART_ENRICHED},
                 {"text/calendar", PART_CALENDAR},
                 {"text/vcard", PART_CALENDAR},
                 {"text/x-vcard", PART_CALENDAR},
                 {"text/directory", PART_CALENDAR},
                 {"text/", PART_PLAIN},
                 {"multipart/", PART_PLAIN}, /* one without a boundary */
                 {"message/rfc822", PART_MESSAGE},
                 {"message/global", PART_MESSAGE},
                 {"message/news", PART_MESSAGE},
                 {"message/", PART_PLAIN},
                 {"application/json", PART_PLAIN},
                 {"application/csv", PART_PLAIN},
                 {"application/javascript", PART_PLAIN},
                 {"application/x-sh", PART_PLAIN},
                 {"application/xhtml+xml", PART_HTML},
                 {"application/xml", PART_XML},
                 {"application/ics", PART_CALENDAR},
                 {"application/pgp-encrypted", PART_NONE},
                 {"application/x-pkcs7-mime", PART_ENCRYPTED},
                 {"application/pkcs7-mime", PART_ENCRYPTED}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strncmp(type, table[i].prefix, strlen(table[i].prefix)) == 0)
            return table[i].kind;
    }
    return PART_NONE;
}

static enum part_kind kind_by_name(const char *name)
{
    static const struct {
        const char *ending;
        enum part_kind kind;
    } table[] = {{"txt", PART_PLAIN},    {"csv", PART_PLAIN},    {"tsv", PART_PLAIN},
                 {"log", PART_PLAIN},    {"md", PART_PLAIN},     {"json", PART_PLAIN},
                 {"patch", PART_PLAIN},  {"diff", PART_PLAIN},   {"c", PART_PLAIN},
                 {"h", PART_PLAIN},      {"py", PART_PLAIN},     {"html", PART_HTML},
                 {"htm", PART_HTML},     {"xhtml", PART_HTML},   {"xml", PART_XML},
                 {"ics", PART_CALENDAR}, {"vcf", PART_CALENDAR}, {"eml", PART_MESSAGE},
                 {"p7m", PART_ENCRYPTED}};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof table / sizeof table[0]; i++) {
        if (strcasecmp(dot + 1, table[i].ending) == 0)
            return table[i].kind;
    }
    return PART_NONE;
}

static enum part_kind kind_of(const struct text_part *part)
{
    enum part_kind kind = kind_by_magic(part->bytes);
    enum part_kind declared = kind_by_type(part->type);
    if (kind == PART_XML && declared == PART_HTML)
        return PART_HTML; /* XHTML may begin with an XML declaration */
    if (kind == PART_NONE || (kind == PART_PDF && declared == PART_MESSAGE))
        kind = declared;
    return kind != PART_NONE ? kind : kind_by_name(part->name);
}

static unsigned kind_bit(enum part_kind kind)
{
    switch (kind) {
    case PART_PLAIN:
    case PART_CALENDAR:
    case PART_ENRICHED:
    case PART_XML:
        return EMLFS_KIND_TEXT;
    case PART_HTML:
        return EMLFS_KIND_HTML;
    case PART_RTF:
        return EMLFS_KIND_RTF;
    case PART_PDF:
        return EMLFS_KIND_PDF;
    case PART_ZIP:
        return EMLFS_KIND_OOXML | EMLFS_KIND_ODF;
    case PART_TNEF:
    case PART_MESSAGE:
        return EMLFS_KIND_MESSAGE;
    case PART_NONE:
    case PART_ENCRYPTED:
    case PART_UNREAD:
        break;
    }
    return EMLFS_KIND_ALL;
}

/* A body's own text is read whatever attachments may be. */
static bool kind_wanted(const struct text_run *run, const struct text_part *part,
                        enum part_kind kind)
{
    bool own = (part->is_body || !part->attachment) && kind != PART_TNEF && kind != PART_MESSAGE;
    if (kind == PART_NONE)
        return false;
    if (run->wish->plain_only)
        return kind == PART_PLAIN && own;
    return own || (kind_bit(kind) & run->wish->kinds) != 0;
}

bool text_part_wanted(const struct text_run *run, const struct text_part *part)
{
    return kind_wanted(run, part, kind_of(part));
}

static const char *part_label(const struct text_part *part)
{
    return part->name[0] ? part->name : part->type;
}

static void text_emit(struct text_run *run, const struct text_part *part, struct emlfs_span text)
{
    if (part->is_body || !part->attachment)
        text_body(run, text);
    else
        text_piece(run, EMLFS_TEXT_CONTENT, text);
}

/* Is it something else than text, whatever it is called? */
static bool is_binary(struct emlfs_span bytes)
{
    size_t zeros = 0;
    size_t seen = bytes.len < MAGIC_SEEN_BYTES ? bytes.len : MAGIC_SEEN_BYTES;
    for (size_t i = 0; i < seen; i++)
        zeros += bytes.data[i] == 0;
    return zeros > seen / 16;
}

/* Markup and plain text: everything that has a charset. */
static const char *charset_read(struct text_run *run, const struct text_part *part,
                                enum part_kind kind, struct emlfs_buf *out)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf scratch = EMLFS_BUF_INIT(TEXT_PART_MAX_BYTES);
    struct emlfs_span text;
    char named[48] = "";
    const char *charset = part->charset;
    bool wide = begins(part->bytes, "\xff\xfe", 2) || begins(part->bytes, "\xfe\xff", 2) ||
                strncasecmp(charset, "utf-16", 6) == 0 || strncasecmp(charset, "utf-32", 6) == 0;
    if (!wide && is_binary(part->bytes))
        return "not text";
    if (charset[0] == '\0' && (kind == PART_HTML || kind == PART_XML)) {
        text_html_charset(part->bytes, named);
        if (strncasecmp(named, "utf-16", 6) != 0) /* it could not have been read so far */
            charset = named;
    }
    int rc = text_utf8(run->charsets, part->bytes, charset, &scratch, &text);
    const char *reason = text_reason(rc);
    if (rc == -ENOMEM)
        return reason;
    if (kind == PART_HTML || kind == PART_XML) {
        const char *bad = kind == PART_XML ? text_xml(run, text, out) : text_html(run, text, out);
        return reason ? reason : bad;
    }
    if (kind == PART_CALENDAR)
        rc = text_calendar(text, out);
    else if (kind == PART_ENRICHED)
        rc = text_enriched(text, out);
    else if (part->delsp)
        rc = text_flowed(text, out);
    else
        text_emit(run, part, text); /* as it is: no copy */
    return reason ? reason : text_reason(rc);
}

/* "kind not read" unless it shows that a password stands before it. */
static const char *compound_reason(struct emlfs_span bytes)
{
    static const char name[] = "E\0n\0c\0r\0y\0p\0t\0e\0d\0P\0a\0c\0k\0a\0g\0e";
    return memmem(bytes.data, bytes.len, name, sizeof name) ? TEXT_BAD_ENCRYPTED : TEXT_BAD_KIND;
}

static const char *kind_read(struct text_run *run, const struct text_part *part,
                             enum part_kind kind, struct emlfs_buf *out)
{
    switch (kind) {
    case PART_RTF:
        return text_rtf(run, part->bytes, out);
    case PART_PDF:
        return text_pdf(run, part->bytes, out);
    case PART_ZIP:
        return text_zip(run, part->bytes, part->attachment ? run->wish->kinds : EMLFS_KIND_ALL,
                        out);
    case PART_TNEF:
        return text_tnef(run, part->bytes);
    case PART_MESSAGE:
        return text_nested(run, part->bytes);
    case PART_ENCRYPTED:
        return text_smime(run, part->bytes);
    case PART_UNREAD:
        return compound_reason(part->bytes);
    default:
        return charset_read(run, part, kind, out);
    }
}

void text_part_read(struct text_run *run, const struct text_part *part)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    enum part_kind kind = kind_of(part);
    if (part->bytes.len == 0 || !kind_wanted(run, part, kind))
        return;
    const char *reason = kind_read(run, part, kind, &out);
    if (out.len > 0)
        text_emit(run, part, emlfs_buf_view(&out));
    text_problem(run, part_label(part), reason);
}
