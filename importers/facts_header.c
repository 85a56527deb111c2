/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lines, header blocks and their limits. Finds fields, decodes nothing. */
#include <stdio.h>
#include <strings.h>

#include "facts.h"

#define EOL_SAMPLE_BYTES 4096u

void facts_note_partial(struct facts_note *note, const char *reason)
{
    size_t len = strlen(note->reason);
    note->flags |= EMLFS_FACT_PARTIAL;
    if (strstr(note->reason, reason) != NULL || len + strlen(reason) + 3 > sizeof note->reason)
        return;
    snprintf(note->reason + len, sizeof note->reason - len, "%s%s", len > 0 ? "; " : "", reason);
}

struct facts_lines facts_lines_of(struct emlfs_span bytes)
{
    struct facts_lines lines = {.pos = bytes.data, .end = emlfs_span_end(bytes), .eol = '\n'};
    size_t sample = bytes.len < EOL_SAMPLE_BYTES ? bytes.len : EOL_SAMPLE_BYTES;
    size_t feeds = 0;
    size_t returns = 0;
    for (size_t i = 0; i < sample; i++) {
        feeds += bytes.data[i] == '\n';
        returns += bytes.data[i] == '\r' && (i + 1 == bytes.len || bytes.data[i + 1] != '\n');
    }
    if (returns > feeds)
        lines.eol = '\r';
    return lines;
}

bool facts_lines_next(struct facts_lines *lines, struct emlfs_span *ret_line)
{
    if (lines->pos == lines->end)
        return false;
    size_t left = (size_t)(lines->end - lines->pos);
    const uint8_t *eol = memchr(lines->pos, lines->eol, left);
    size_t len = eol ? (size_t)(eol - lines->pos) : left;
    *ret_line = emlfs_span_of(lines->pos, len);
    lines->pos += eol ? len + 1 : len;
    while (ret_line->len > 0 && ret_line->data[ret_line->len - 1] == '\r')
        ret_line->len--;
    /* the LF of a CRLF in a message that mostly ends its lines with CR */
    if (lines->eol == '\r' && ret_line->len > 0 && ret_line->data[0] == '\n') {
        ret_line->data++;
        ret_line->len--;
    }
    return true;
}

static enum facts_field field_kind(struct emlfs_span name)
{
#define KNOWN(text, kind)                                                                          \
    {                                                                                              \
        text, sizeof text - 1, kind                                                                \
    }
    static const struct {
        const char *name;
        size_t len;
        enum facts_field kind;
    } known[] = {KNOWN("From", FIELD_FROM),
                 KNOWN("Sender", FIELD_SENDER),
                 KNOWN("To", FIELD_TO),
                 KNOWN("Cc", FIELD_CC),
                 KNOWN("Bcc", FIELD_BCC),
                 KNOWN("Subject", FIELD_SUBJECT),
                 KNOWN("Message-ID", FIELD_MESSAGE_ID),
                 KNOWN("Date", FIELD_DATE),
                 KNOWN("Received", FIELD_RECEIVED),
                 KNOWN("X-OriginalArrivalTime", FIELD_ARRIVAL),
                 KNOWN("Content-Type", FIELD_CONTENT_TYPE),
                 KNOWN("Content-Disposition", FIELD_DISPOSITION),
                 KNOWN("Content-Transfer-Encoding", FIELD_ENCODING),
                 KNOWN("Reply-To", FIELD_REPLY_TO),
                 KNOWN("X-Priority", FIELD_X_PRIORITY),
                 KNOWN("X-MSMail-Priority", FIELD_MSMAIL_PRIORITY),
                 KNOWN("Importance", FIELD_IMPORTANCE),
                 KNOWN("Priority", FIELD_PRIORITY)};
#undef KNOWN
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].len == name.len &&
            strncasecmp(known[i].name, (const char *)name.data, name.len) == 0)
            return known[i].kind;
    }
    return FIELD_KINDS;
}

/* Length of the field name that line begins with; 0 when it is no field (RFC 5322 2.2, 4.5). */
static size_t field_name_len(struct emlfs_span line)
{
    size_t len = 0;
    while (len < line.len && line.data[len] > ' ' && line.data[len] != ':' &&
           line.data[len] != 0x7f)
        len++;
    size_t colon = len;
    while (colon < line.len && (line.data[colon] == ' ' || line.data[colon] == '\t'))
        colon++;
    return colon < line.len && line.data[colon] == ':' ? len : 0;
}

/* The field that a line begins: its place in the header, or NULL when it is not wanted. */
static struct emlfs_span *field_begin(struct facts_header *header, struct emlfs_span line,
                                      struct facts_note *note)
{
    size_t len = field_name_len(line);
    enum facts_field kind = len > 0 ? field_kind(emlfs_span_of(line.data, len)) : FIELD_KINDS;
    if (kind == FIELD_KINDS)
        return NULL;
    if (header->counts[kind] == FACTS_FIELD_REPEATS) {
        if (kind <= FIELD_BCC)
            facts_note_partial(note, "an address field is there more than 64 times");
        return NULL;
    }
    const uint8_t *colon = memchr(line.data, ':', line.len);
    struct emlfs_span *value = &header->values[kind][header->counts[kind]++];
    *value = emlfs_span_of(colon + 1, line.len - (size_t)(colon + 1 - line.data));
    return value;
}

void facts_header_read(struct facts_lines *lines, const struct facts_stop *stop,
                       struct facts_header *ret, struct facts_note *note)
{
    const uint8_t *start = lines->pos;
    const uint8_t *line_start = start;
    struct emlfs_span *value = NULL;
    struct emlfs_span line;
    memset(ret->counts, 0, sizeof ret->counts);
    for (size_t count = 0; facts_lines_next(lines, &line); line_start = lines->pos, count++) {
        if (line.len == 0)
            return;
        if (stop && stop->at(stop->arg, line)) {
            lines->pos = line_start;
            return;
        }
        size_t at = (size_t)(line.data - start);
        if (count >= FACTS_HEADER_MAX_LINES || at + line.len > FACTS_HEADER_MAX_BYTES)
            facts_note_partial(note, "header block over 10000 lines or 1 MiB");
        if (count >= FACTS_HEADER_MAX_LINES || at >= FACTS_HEADER_MAX_BYTES)
            continue; /* go on only to find where the body begins */
        if (at + line.len > FACTS_HEADER_MAX_BYTES)
            line.len = FACTS_HEADER_MAX_BYTES - at;
        if (line.data[0] != ' ' && line.data[0] != '\t')
            value = field_begin(ret, line, note);
        else if (value)
            value->len = (size_t)(line.data + line.len - value->data);
    }
}

struct emlfs_span facts_header_bound_addresses(struct emlfs_span value, struct facts_note *note)
{
    size_t addresses = 0;
    size_t open = 0;
    size_t colons = 0;
    for (size_t i = 0; i < value.len; i++) {
        uint8_t c = value.data[i];
        addresses += c == ',' || c == ';';
        colons += c == ':';
        if (c == ';' && open > 0)
            open--;
        open += c == ':';
        if (addresses < FACTS_ADDRESSES_MAX && open <= FACTS_COLONS_OPEN_MAX &&
            colons <= FACTS_COLONS_MAX && i < FACTS_FIELD_MAX_BYTES)
            continue;
        facts_note_partial(note, "address field over 2000 addresses, 64 open groups or 64 KiB");
        value.len = i;
    }
    return value;
}

struct emlfs_span facts_header_bound_parameters(struct emlfs_span value, struct facts_note *note)
{
    size_t parameters = 0;
    for (size_t i = 0; i < value.len; i++) {
        parameters += value.data[i] == ';';
        if (parameters <= FACTS_PARAMETERS_MAX && i < FACTS_FIELD_MAX_BYTES)
            continue;
        facts_note_partial(note, "MIME field over 1000 parameters or 64 KiB");
        value.len = i;
    }
    return value;
}
