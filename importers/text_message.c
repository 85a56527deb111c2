/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of a message: the walk over its parts, which is that of the facts (facts_mime.c), so that
 * both see the same parts and call the same ones attachments.
 *
 * Rules:
 *  - every header field is a piece of its own; of a message inside, they are pieces of the body;
 *  - all alternatives of a multipart/alternative are read, for they may differ; one with the same
 *    words as an earlier body is left out;
 *  - a part that names a file gives an ATTACHMENT piece, read or not;
 *  - parts are counted from 1 in the order in which they end; 0 is the header.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "emlfs/base/os.h"
#include "facts.h"
#include "text.h"

#define PROBE_BYTES 1400u /* encoded: enough to tell what a file is */
#define CHARSET_LOOKED_BYTES 65536u

struct leaf {
    char type[96], charset[48];
    char *name; /* owned, or NULL */
    enum text_encoding encoding;
    bool attachment, delsp, begun;
};
struct walk {
    struct text_run *run;
    struct leaf leaf;
    const char *charset; /* of raw 8-bit bytes in the header */
};

static const struct {
    enum facts_field field;
    enum emlfs_text_field piece;
} fields[] = {{FIELD_SUBJECT, EMLFS_TEXT_SUBJECT}, {FIELD_FROM, EMLFS_TEXT_FROM},
              {FIELD_SENDER, EMLFS_TEXT_FROM},     {FIELD_REPLY_TO, EMLFS_TEXT_FROM},
              {FIELD_TO, EMLFS_TEXT_TO},           {FIELD_CC, EMLFS_TEXT_CC},
              {FIELD_BCC, EMLFS_TEXT_BCC}};

static void field_read(struct walk *walk, struct emlfs_span value, enum emlfs_text_field piece,
                       struct emlfs_buf *text)
{
    emlfs_buf_clear(text);
    if (value.len > FACTS_FIELD_MAX_BYTES) {
        value.len = FACTS_FIELD_MAX_BYTES;
        text_problem(walk->run, "header", "header field over 64 KiB");
    }
    int rc = text_header(walk->run->charsets, value, walk->charset, text);
    if (rc == -ENOMEM)
        walk->run->error = rc;
    text_piece(walk->run, piece, emlfs_buf_view(text));
}

static void header_read(struct walk *walk, const struct facts_header *header, bool inside)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(FACTS_FIELD_MAX_BYTES * 4);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        enum emlfs_text_field piece = inside ? EMLFS_TEXT_BODY : fields[i].piece;
        for (unsigned n = 0; n < header->counts[fields[i].field]; n++)
            field_read(walk, header->values[fields[i].field][n], piece, &text);
    }
}

static bool value_begins(struct emlfs_span value, const char *word)
{
    size_t len = strlen(word);
    while (value.len > 0 && *value.data <= ' ')
        value = emlfs_span_of(value.data + 1, value.len - 1);
    return value.len >= len && strncasecmp((const char *)value.data, word, len) == 0;
}

static bool value_among(struct emlfs_span value, const char *const *words)
{
    for (; *words; words++) {
        if (value_begins(value, *words))
            return true;
    }
    return false;
}

/* The first of the four fields that says something (RFC 2156, and what clients write). */
static enum emlfs_priority priority_of(const struct facts_header *header)
{
    static const enum facts_field order[] = {FIELD_X_PRIORITY, FIELD_MSMAIL_PRIORITY,
                                             FIELD_IMPORTANCE, FIELD_PRIORITY};
    static const char *const high[] = {"1", "2", "high", "urgent", NULL};
    static const char *const low[] = {"4", "5", "low", "non-urgent", NULL};
    static const char *const normal[] = {"3", "normal", NULL};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        for (unsigned n = 0; n < header->counts[order[i]]; n++) {
            struct emlfs_span value = header->values[order[i]][n];
            if (value_among(value, high))
                return EMLFS_PRIORITY_HIGH;
            if (value_among(value, low))
                return EMLFS_PRIORITY_LOW;
            if (value_among(value, normal))
                return EMLFS_PRIORITY_NORMAL;
        }
    }
    return EMLFS_PRIORITY_NORMAL;
}

static void leaf_forget(struct leaf *leaf)
{
    free(leaf->name);
    leaf->name = NULL;
    leaf->begun = false;
}

static bool value_has(struct emlfs_span value, const char *word)
{
    size_t len = strlen(word);
    for (size_t i = 0; i + len <= value.len; i++) {
        if (strncasecmp((const char *)value.data + i, word, len) == 0)
            return true;
    }
    return false;
}

static void leaf_begin(struct leaf *leaf, const struct facts_entity *entity)
{
    const struct facts_header *header = entity->header;
    leaf_forget(leaf);
    leaf->begun = true;
    memcpy(leaf->type, entity->content->type, sizeof leaf->type);
    memcpy(leaf->charset, entity->content->charset, sizeof leaf->charset);
    leaf->name = entity->content->name ? strdup(entity->content->name) : NULL;
    leaf->attachment = entity->attachment;
    leaf->encoding = TEXT_IDENTITY;
    leaf->delsp = false;
    if (header->counts[FIELD_ENCODING] > 0)
        leaf->encoding = text_encoding_of(header->values[FIELD_ENCODING][0]);
    if (header->counts[FIELD_CONTENT_TYPE] > 0)
        leaf->delsp = value_has(header->values[FIELD_CONTENT_TYPE][0], "delsp=yes") ||
                      value_has(header->values[FIELD_CONTENT_TYPE][0], "delsp=\"yes");
}

static void name_piece(struct text_run *run, const char *name)
{
    if (name && name[0])
        text_piece(run, EMLFS_TEXT_ATTACHMENT, emlfs_span_str(name));
}

static int on_begin(void *arg, const struct facts_entity *entity)
{
    struct walk *walk = arg;
    struct text_run *run = walk->run;
    if (run->outside > 0) {
        run->outside += entity->kind == ENTITY_MESSAGE;
        return run->error;
    }
    if (entity->message)
        header_read(walk, entity->header, true);
    if (entity->kind == ENTITY_MESSAGE)
        name_piece(run, entity->content->name);
    if (entity->kind == ENTITY_MESSAGE &&
        (run->wish->plain_only || !(run->wish->kinds & EMLFS_KIND_MESSAGE)))
        run->outside = 1;
    if (entity->kind == ENTITY_LEAF)
        leaf_begin(&walk->leaf, entity);
    return run->error;
}

static int on_message_end(void *arg)
{
    struct text_run *run = ((struct walk *)arg)->run;
    run->outside -= run->outside > 0;
    return 0;
}

/* The reason to leave this part out: it broke the parser before. */
static const char *omitted(const struct text_run *run)
{
    for (uint32_t i = 0; i < run->wish->omit_count; i++) {
        if (run->wish->omit[i].part == run->part)
            return run->wish->omit[i].timed_out ? TEXT_BAD_TIME : TEXT_BAD_CRASH;
    }
    return NULL;
}

/* A part may use half of the time that is left, so that one leaves some for the others. */
static void part_time(struct text_run *run)
{
    int64_t now_ns = emlfs_os_monotonic_ns();
    run->part_deadline_ns = now_ns + (run->deadline_ns - now_ns) / 2;
}

/* Does the beginning of the part say that it is worth decoding? */
static bool worth(struct walk *walk, struct text_part *part, struct emlfs_span body)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf head = EMLFS_BUF_INIT(PROBE_BYTES + 4);
    if (walk->leaf.encoding == TEXT_IDENTITY) {
        part->bytes = body;
        return text_part_wanted(walk->run, part);
    }
    size_t len = body.len < PROBE_BYTES ? body.len : PROBE_BYTES;
    if (text_decode(walk->leaf.encoding, emlfs_span_of(body.data, len), &head) < 0)
        return true;
    part->bytes = emlfs_buf_view(&head);
    return text_part_wanted(walk->run, part);
}

static void leaf_read(struct walk *walk, struct text_part *part, struct emlfs_span body)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf decoded = EMLFS_BUF_INIT(TEXT_PART_MAX_BYTES + 4);
    const char *label = part->name[0] ? part->name : part->type;
    if (!worth(walk, part, body))
        return;
    if (body.len > TEXT_PART_MAX_BYTES / 3 * 4) {
        body.len = TEXT_PART_MAX_BYTES / 3 * 4;
        text_problem(walk->run, label, TEXT_BAD_SIZE);
    }
    part->bytes = body;
    if (walk->leaf.encoding != TEXT_IDENTITY) {
        int rc = text_decode(walk->leaf.encoding, body, &decoded);
        if (rc < 0)
            text_problem(walk->run, label, rc == -E2BIG ? TEXT_BAD_SIZE : TEXT_BAD_MEMORY);
        part->bytes = emlfs_buf_view(&decoded);
    }
    const char *reason = text_expand(walk->run, part->bytes.len);
    if (reason)
        text_problem(walk->run, label, reason);
    else
        text_part_read(walk->run, part);
}

static int on_leaf(void *arg, struct emlfs_span body)
{
    struct walk *walk = arg;
    struct text_run *run = walk->run;
    struct leaf *leaf = &walk->leaf;
    if (run->outside > 0 || !leaf->begun || run->error < 0)
        return run->error;
    struct text_part part = {
        .type = leaf->type,
        .name = leaf->name ? leaf->name : "",
        .charset = leaf->charset,
        .attachment = leaf->attachment,
        .delsp = leaf->delsp,
    };
    *run->progress = ++run->part;
    name_piece(run, leaf->name);
    part_time(run);
    const char *reason = omitted(run);
    if (reason)
        text_problem(run, part.name[0] ? part.name : part.type, reason);
    else if (emlfs_os_monotonic_ns() > run->deadline_ns)
        text_problem(run, part.name[0] ? part.name : part.type, TEXT_BAD_TIME);
    else if (body.len > 0)
        leaf_read(walk, &part, body);
    leaf_forget(leaf);
    return run->error;
}

/* The first charset that the message names anywhere near its beginning; raw header bytes may be in
 * it. */
static void charset_guess(struct emlfs_span raw, char ret[48])
{
    size_t len = raw.len < CHARSET_LOOKED_BYTES ? raw.len : CHARSET_LOOKED_BYTES;
    ret[0] = '\0';
    for (size_t i = 0; i + 8 < len; i++) {
        if ((raw.data[i] | 0x20) != 'c' ||
            strncasecmp((const char *)raw.data + i, "charset=", 8) != 0)
            continue;
        size_t from = i + 8 + (raw.data[i + 8] == '"');
        size_t n = 0;
        while (n < 47 && from + n < len && raw.data[from + n] > ' ' &&
               memchr("\";'>", raw.data[from + n], 4) == NULL)
            n++;
        memcpy(ret, raw.data + from, n);
        ret[n] = '\0';
        return;
    }
}

/* Are there raw bytes in the fields that say nothing about their charset? */
static bool header_is_raw(const struct facts_header *header)
{
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        for (unsigned n = 0; n < header->counts[fields[i].field]; n++) {
            struct emlfs_span value = header->values[fields[i].field][n];
            if (emlfs_doctext_valid(value) < value.len)
                return true;
        }
    }
    return false;
}

static void limits_note(struct text_run *run, const struct facts_note *note)
{
    if (strstr(note->reason, "10000 parts"))
        text_problem(run, "", "more than 10000 parts");
    if (strstr(note->reason, "MIME depth"))
        text_problem(run, "", TEXT_BAD_DEPTH);
    if (strstr(note->reason, "header block"))
        text_problem(run, "header", "header block over 10000 lines or 1 MiB");
}

/* The header and all parts of raw. begin: the document is still to be begun. */
static int message_walk(struct text_run *run, struct emlfs_span raw, bool begin)
{
    char charset[48] = "";
    struct walk walk = {.run = run, .charset = charset};
    const struct facts_visitor visitor = {
        .begin = on_begin, .leaf = on_leaf, .message_end = on_message_end, .arg = &walk};
    const struct facts_source source = {.seen = raw, .total_bytes = raw.len, .visitor = &visitor};
    struct facts_note note = {0};
    struct facts_header header;
    struct facts_mime *mime = malloc(sizeof *mime);
    if (mime == NULL)
        return -ENOMEM;
    struct facts_lines lines = facts_lines_of(raw);
    facts_preamble_skip(&lines);
    facts_header_read(&lines, NULL, &header, &note);
    if (header_is_raw(&header))
        charset_guess(raw, charset);
    int rc = begin ? emlfs_doctext_begin(run->doc, priority_of(&header), false) : 0;
    if (rc == 0) {
        header_read(&walk, &header, !begin);
        rc = facts_mime_scan(&source, &lines, &header, mime, &note);
        run->attachment = mime->attachment;
        limits_note(run, &note);
        emlfs_buf_free(&mime->texts);
    }
    leaf_forget(&walk.leaf);
    free(mime);
    return rc < 0 ? rc : run->error;
}

const char *text_nested(struct text_run *run, struct emlfs_span raw)
{
    if (run->nested == TEXT_NESTED_MAX)
        return TEXT_BAD_DEPTH;
    run->nested++;
    bool attachment = run->attachment;
    int rc = message_walk(run, raw, false);
    run->attachment = attachment;
    run->nested--;
    return text_reason(rc);
}

/* Whether there is an attachment is known last but stands first. */
static int head_correct(struct text_run *run)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf head = EMLFS_BUF_INIT(64);
    enum emlfs_priority priority;
    bool attachment;
    int rc = emlfs_doctext_check(emlfs_buf_view(run->doc), &priority, &attachment, NULL);
    if (rc == 0)
        rc = emlfs_doctext_begin(&head, priority, run->attachment);
    if (rc == 0)
        memcpy(run->doc->data, head.data, head.len);
    return rc;
}

int text_parse(struct text_charsets *charsets, const struct text_wish *wish, struct emlfs_span raw,
               volatile uint32_t *progress, struct emlfs_buf *ret_doc)
{
    int64_t deadline_ns = emlfs_os_monotonic_ns() + (int64_t)wish->time_ms * 1000000;
    struct text_run run = {
        .charsets = charsets,
        .wish = wish,
        .doc = ret_doc,
        .progress = progress,
        .deadline_ns = deadline_ns,
        .part_deadline_ns = deadline_ns,
    };
    *progress = 0;
    if (!facts_decode_init())
        return -ELIBACC;
    int rc = message_walk(&run, raw, true);
    return rc == 0 && run.attachment ? head_correct(&run) : rc;
}
