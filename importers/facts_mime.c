/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * MIME structure (RFC 2046) in one pass over the lines, without recursion: which parts there are,
 * where their bodies begin and end. Part contents are not decoded.
 *
 * Invariants:
 *  1. At most FACTS_MIME_DEPTH_MAX containers are open; a deeper one is taken for a leaf.
 *  2. Every open entity was begun after those below it; a boundary closes all above its owner.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "facts.h"

/* More than the codec keeps of a part's type or name, so that cutting is left to it. */
#define PART_TEXT_KEPT_BYTES 1020u

struct open_entity {
    char *boundary; /* owned; NULL: not a multipart */
    size_t boundary_len;
    uint32_t part;  /* in mime->parts, UINT32_MAX when the table was full */
    uint64_t start; /* of the body, offset in the message */
    enum facts_entity_kind kind;
    bool digest, related, report;
};

struct mime_scan {
    const uint8_t *base;
    uint64_t total_bytes;
    struct facts_lines lines;
    struct facts_mime *mime;
    struct facts_note *note;
    struct open_entity open[FACTS_MIME_DEPTH_MAX + 1];
    const struct facts_visitor *visitor; /* or NULL */
    uint32_t depth;
    uint32_t seen_parts;
    struct facts_header header;
    int error;
};

/* Does line end or continue the multipart with this boundary? Trailing blanks do not count. */
static bool boundary_matches(const struct open_entity *entity, struct emlfs_span line,
                             bool *ret_final)
{
    size_t len = entity->boundary_len;
    if (entity->boundary == NULL || line.len < len + 2 ||
        memcmp(line.data + 2, entity->boundary, len) != 0)
        return false;
    size_t rest = len + 2;
    *ret_final = line.len >= rest + 2 && memcmp(line.data + rest, "--", 2) == 0;
    if (*ret_final)
        return true;
    while (rest < line.len && (line.data[rest] == ' ' || line.data[rest] == '\t'))
        rest++;
    return rest == line.len;
}

/* The open multipart that line belongs to, innermost first; depth when none. */
static uint32_t boundary_owner(const struct mime_scan *scan, struct emlfs_span line,
                               bool *ret_final)
{
    if (line.len < 3 || line.data[0] != '-' || line.data[1] != '-')
        return scan->depth;
    for (uint32_t i = scan->depth; i > 0; i--) {
        if (boundary_matches(&scan->open[i - 1], line, ret_final))
            return i - 1;
    }
    return scan->depth;
}

static bool boundary_stops(const void *arg, struct emlfs_span line)
{
    const struct mime_scan *scan = arg;
    bool final;
    return boundary_owner(scan, line, &final) < scan->depth;
}

static void boundary_forget(struct open_entity *entity)
{
    free(entity->boundary);
    entity->boundary = NULL;
}

/* Tell the visitor that the innermost entity's body ended at end. */
static void entity_visit_end(struct mime_scan *scan, const struct open_entity *entity, uint64_t end)
{
    uint64_t seen = (uint64_t)(scan->lines.end - scan->base);
    const struct facts_visitor *visitor = scan->visitor;
    if (scan->error != 0 || entity->kind == ENTITY_MULTIPART)
        return;
    if (end > seen)
        end = seen;
    if (entity->kind == ENTITY_MESSAGE)
        scan->error = visitor->message_end(visitor->arg);
    else if (end > entity->start)
        scan->error = visitor->leaf(visitor->arg,
                                    emlfs_span_of(scan->base + entity->start, end - entity->start));
    else
        scan->error = visitor->leaf(visitor->arg, emlfs_span_of(NULL, 0));
}

/* Close every open entity from index depth on; their bodies end at end. */
static void entities_close(struct mime_scan *scan, uint32_t depth, uint64_t end)
{
    while (scan->depth > depth) {
        struct open_entity *entity = &scan->open[--scan->depth];
        if (entity->part != UINT32_MAX) {
            struct facts_mime_part *part = &scan->mime->parts[entity->part];
            part->end = end > part->start ? end : part->start;
        }
        if (scan->visitor)
            entity_visit_end(scan, entity, end);
        boundary_forget(entity);
    }
}

static bool type_among(const char *type, const char *const *table)
{
    for (; *table; table++) {
        if (strcasecmp(type, *table) == 0)
            return true;
    }
    return false;
}

static bool is_attachment(const struct mime_scan *scan, const struct facts_content *content,
                          enum facts_entity_kind kind)
{
    static const char *const machinery[] = {"application/pgp-signature",
                                            "application/pgp-encrypted",
                                            "application/pkcs7-signature",
                                            "application/x-pkcs7-signature",
                                            "application/ms-tnef",
                                            "message/delivery-status",
                                            "message/disposition-notification",
                                            "text/rfc822-headers",
                                            NULL};
    const struct open_entity *parent = scan->depth > 0 ? &scan->open[scan->depth - 1] : NULL;
    if (kind == ENTITY_MULTIPART || type_among(content->type, machinery))
        return false;
    if (content->attached)
        return true;
    if (parent == NULL && strncmp(content->type, "text/", 5) == 0)
        return false; /* the message's own text may have a name */
    if (kind == ENTITY_MESSAGE)
        return parent && !parent->digest && !parent->report;
    if (strncmp(content->type, "image/", 6) == 0 && parent && parent->related)
        return false;
    if (content->name != NULL && content->name[0] != '\0')
        return true;
    return content->type[0] != '\0' && strncmp(content->type, "text/", 5) != 0 &&
           strncmp(content->type, "multipart/", 10) != 0 &&
           strncmp(content->type, "message/", 8) != 0;
}

static uint32_t text_keep(struct mime_scan *scan, const char *text, uint32_t *ret_at)
{
    struct emlfs_buf *texts = &scan->mime->texts;
    size_t len = text ? strlen(text) : 0;
    if (len > PART_TEXT_KEPT_BYTES)
        len = PART_TEXT_KEPT_BYTES;
    *ret_at = (uint32_t)texts->len;
    int rc = emlfs_buf_append(texts, text, len);
    if (rc == -E2BIG)
        facts_note_partial(scan->note, "part names over 12 KiB");
    else if (rc < 0)
        scan->error = rc;
    return rc < 0 ? 0 : (uint32_t)len;
}

/* Enter the part in the table; its place, or UINT32_MAX. */
static uint32_t part_add(struct mime_scan *scan, const struct facts_content *content,
                         bool attachment)
{
    struct facts_mime *mime = scan->mime;
    mime->attachment = mime->attachment || attachment;
    if (mime->count == EMLFS_FACTS_PARTS_MAX) {
        facts_note_partial(scan->note, "more than 256 parts");
        return UINT32_MAX;
    }
    struct facts_mime_part *part = &mime->parts[mime->count];
    part->depth = scan->depth;
    part->type_len = text_keep(scan, content->type, &part->type_at);
    part->name_len = text_keep(scan, content->name, &part->name_at);
    part->start = (uint64_t)(scan->lines.pos - scan->base);
    part->end = part->start;
    part->attachment = attachment;
    return mime->count++;
}

/* Is the body 7bit, 8bit or binary, so that a message inside can be read as it stands? */
static bool encoding_is_identity(const struct facts_header *header)
{
    static const char *const coded[] = {"base64", "quoted-printable", "x-uuencode", "uuencode"};
    if (header->counts[FIELD_ENCODING] == 0)
        return true;
    struct emlfs_span value = header->values[FIELD_ENCODING][0];
    while (value.len > 0 && (*value.data <= ' ')) {
        value.data++;
        value.len--;
    }
    for (size_t i = 0; i < sizeof coded / sizeof coded[0]; i++) {
        size_t len = strlen(coded[i]);
        if (value.len >= len && strncasecmp((const char *)value.data, coded[i], len) == 0)
            return false;
    }
    return true;
}

static enum facts_entity_kind kind_of(struct mime_scan *scan, const struct facts_content *content)
{
    static const char *const messages[] = {"message/rfc822", "message/global", "message/news",
                                           NULL};
    enum facts_entity_kind kind = ENTITY_LEAF;
    if (strncmp(content->type, "multipart/", 10) == 0 && content->boundary)
        kind = ENTITY_MULTIPART;
    else if (type_among(content->type, messages) && encoding_is_identity(&scan->header))
        kind = ENTITY_MESSAGE;
    if (kind != ENTITY_LEAF && scan->depth >= FACTS_MIME_DEPTH_MAX) {
        facts_note_partial(scan->note, "MIME depth over 64");
        kind = ENTITY_LEAF;
    }
    return kind;
}

static void entity_visit_begin(struct mime_scan *scan, const struct facts_content *content,
                               bool attachment)
{
    const struct open_entity *parent = scan->depth > 0 ? &scan->open[scan->depth - 1] : NULL;
    const struct facts_entity entity = {
        .header = &scan->header,
        .content = content,
        .kind = scan->open[scan->depth].kind,
        .depth = scan->depth,
        .attachment = attachment,
        .message = parent && parent->kind == ENTITY_MESSAGE,
    };
    if (scan->visitor && scan->error == 0)
        scan->error = scan->visitor->begin(scan->visitor->arg, &entity);
}

/* Begin the entity whose header was just read. */
static enum facts_entity_kind entity_open(struct mime_scan *scan)
{
    struct facts_content content;
    facts_decode_content(&scan->header, &content, scan->note);
    bool in_digest = scan->depth > 0 && scan->open[scan->depth - 1].digest;
    if (content.type[0] == '\0')
        snprintf(content.type, sizeof content.type, "%s",
                 in_digest ? "message/rfc822" : "text/plain");
    if (scan->mime->charset[0] == '\0' && strncmp(content.type, "text/", 5) == 0)
        memcpy(scan->mime->charset, content.charset, sizeof content.charset);
    enum facts_entity_kind kind = kind_of(scan, &content);
    struct open_entity *entity = &scan->open[scan->depth];
    bool attachment = is_attachment(scan, &content, kind);
    *entity = (struct open_entity){
        .start = (uint64_t)(scan->lines.pos - scan->base),
        .kind = kind,
        .digest = strcmp(content.type, "multipart/digest") == 0,
        .related = strcmp(content.type, "multipart/related") == 0,
        .report = strcmp(content.type, "multipart/report") == 0,
    };
    entity->part = part_add(scan, &content, attachment);
    entity_visit_begin(scan, &content, attachment);
    if (kind == ENTITY_MULTIPART) {
        entity->boundary = content.boundary;
        entity->boundary_len = strlen(content.boundary);
        content.boundary = NULL;
    }
    scan->depth++;
    facts_content_free(&content);
    return kind;
}

/* Read entities from the header at the current line on, down into messages in messages. */
static void entity_read(struct mime_scan *scan)
{
    const struct facts_stop stop = {.at = boundary_stops, .arg = scan};
    do {
        if (++scan->seen_parts > FACTS_MIME_PARTS_MAX) {
            facts_note_partial(scan->note, "more than 10000 parts");
            scan->lines.pos = scan->lines.end;
            return;
        }
        facts_header_read(&scan->lines, &stop, &scan->header, scan->note);
    } while (entity_open(scan) == ENTITY_MESSAGE && scan->error == 0);
}

static uint64_t line_end_before(const struct mime_scan *scan, const uint8_t *line)
{
    uint64_t at = (uint64_t)(line - scan->base);
    if (at > 0 && scan->base[at - 1] == scan->lines.eol)
        at--;
    if (at > 0 && scan->lines.eol == '\n' && scan->base[at - 1] == '\r')
        at--;
    return at;
}

static void body_scan(struct mime_scan *scan)
{
    struct emlfs_span line;
    while (scan->error == 0 && facts_lines_next(&scan->lines, &line)) {
        bool final = false;
        uint32_t owner = boundary_owner(scan, line, &final);
        if (owner == scan->depth)
            continue;
        entities_close(scan, owner + 1, line_end_before(scan, line.data));
        if (final)
            boundary_forget(&scan->open[owner]); /* its epilogue goes on till its parent's line */
        else if (scan->lines.pos < scan->lines.end)
            entity_read(scan);
    }
    entities_close(scan, 0, scan->total_bytes);
}

int facts_mime_scan(const struct facts_source *source, const struct facts_lines *lines,
                    const struct facts_header *header, struct facts_mime *ret,
                    struct facts_note *note)
{
    struct mime_scan *scan = malloc(sizeof *scan);
    if (scan == NULL)
        return -ENOMEM;
    scan->base = source->seen.data;
    scan->total_bytes = source->total_bytes;
    scan->lines = *lines;
    scan->mime = ret;
    scan->note = note;
    scan->visitor = source->visitor;
    scan->depth = 0;
    scan->seen_parts = 1;
    scan->header = *header;
    scan->error = 0;
    ret->count = 0;
    ret->attachment = false;
    ret->charset[0] = '\0';
    ret->texts = EMLFS_BUF_INIT(FACTS_PART_TEXT_MAX_BYTES);
    if (entity_open(scan) == ENTITY_MESSAGE)
        entity_read(scan);
    body_scan(scan);
    int rc = scan->error;
    free(scan);
    return rc;
}

int facts_mime_encode(const struct facts_mime *mime, struct emlfs_buf *parts)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < mime->count; i++) {
        const struct facts_mime_part *part = &mime->parts[i];
        const uint8_t *texts = mime->texts.data;
        struct emlfs_fact_part fact = {
            .depth = part->depth,
            .type = emlfs_span_of(part->type_len ? texts + part->type_at : NULL, part->type_len),
            .name = emlfs_span_of(part->name_len ? texts + part->name_at : NULL, part->name_len),
            .size_bytes = part->end - part->start,
            .attachment = part->attachment,
        };
        rc = emlfs_facts_part_append(parts, &fact);
    }
    return rc;
}
