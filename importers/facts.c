/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Facts of a message: which fields count, in which order, within which limits. The message is
 * hostile; the limits of facts.h hold before anything is decoded.
 */
#include <stdlib.h>

#include "emlfs/importer.h"
#include "facts.h"

#define MESSAGE_ID_MAX_BYTES 1024u
#define DECODED_MAX_BYTES (1u << 20) /* of one field, before it is cut to what facts hold */

/* The decoded texts of one message, in the order of the fields in message.h. */
struct fact_texts {
    struct emlfs_buf from, sender, to, cc, bcc, subject, message_id, parts;
};

static void texts_free(struct fact_texts *texts)
{
    emlfs_buf_free(&texts->from);
    emlfs_buf_free(&texts->sender);
    emlfs_buf_free(&texts->to);
    emlfs_buf_free(&texts->cc);
    emlfs_buf_free(&texts->bcc);
    emlfs_buf_free(&texts->subject);
    emlfs_buf_free(&texts->message_id);
    emlfs_buf_free(&texts->parts);
}

/* A list that grew over what facts hold is cut by the codec; say so. */
static int text_bound(int rc, const struct emlfs_buf *text, struct facts_note *note)
{
    if (rc == -E2BIG || text->len > EMLFS_FACTS_TEXT_MAX_BYTES)
        facts_note_partial(note, "decoded field over 8 KiB");
    return rc == -E2BIG ? 0 : rc;
}

/* All fields of a kind as one list: whichever a reader believes, it can be found. */
static int addresses_read(const struct facts_header *header, enum facts_field kind,
                          const char *charset, struct emlfs_buf *out, struct facts_note *note)
{
    int rc = 0;
    *out = EMLFS_BUF_INIT(DECODED_MAX_BYTES);
    for (uint8_t i = 0; rc == 0 && i < header->counts[kind]; i++) {
        if (out->len > EMLFS_FACTS_TEXT_MAX_BYTES)
            break;
        struct emlfs_span value = facts_header_bound_addresses(header->values[kind][i], note);
        rc = facts_decode_addresses(value, charset, out);
    }
    return text_bound(rc, out, note);
}

static int subject_read(const struct facts_header *header, const char *charset,
                        struct emlfs_buf *out, struct facts_note *note)
{
    int rc = 0;
    *out = EMLFS_BUF_INIT(DECODED_MAX_BYTES);
    for (uint8_t i = 0; rc == 0 && out->len == 0 && i < header->counts[FIELD_SUBJECT]; i++) {
        struct emlfs_span value = header->values[FIELD_SUBJECT][i];
        if (value.len > FACTS_FIELD_MAX_BYTES)
            facts_note_partial(note, "subject over 64 KiB");
        rc = facts_decode_text(value, charset, out);
    }
    return text_bound(rc, out, note);
}

/* What stands between the first angle brackets, else the whole trimmed value. */
static int message_id_read(const struct facts_header *header, struct emlfs_buf *out)
{
    *out = EMLFS_BUF_INIT(MESSAGE_ID_MAX_BYTES);
    if (header->counts[FIELD_MESSAGE_ID] == 0)
        return 0;
    struct emlfs_span id = header->values[FIELD_MESSAGE_ID][0];
    const uint8_t *open = id.len > 0 ? memchr(id.data, '<', id.len) : NULL;
    if (open)
        id = emlfs_span_of(open + 1, id.len - (size_t)(open + 1 - id.data));
    const uint8_t *close = open && id.len > 0 ? memchr(id.data, '>', id.len) : NULL;
    if (close)
        id.len = (size_t)(close - id.data);
    while (id.len > 0 && id.data[0] <= ' ') {
        id.data++;
        id.len--;
    }
    while (id.len > 0 && id.data[id.len - 1] <= ' ')
        id.len--;
    if (id.len > MESSAGE_ID_MAX_BYTES)
        id.len = MESSAGE_ID_MAX_BYTES;
    return emlfs_buf_append(out, id.data, id.len);
}

/* A trace field's date follows its last semicolon (RFC 5322 3.6.7). */
static struct emlfs_span received_date(struct emlfs_span value)
{
    const uint8_t *semicolon = value.len > 0 ? memrchr(value.data, ';', value.len) : NULL;
    if (semicolon == NULL)
        return emlfs_span_of(NULL, 0);
    size_t used = (size_t)(semicolon + 1 - value.data);
    return emlfs_span_of(semicolon + 1, value.len - used);
}

/* The first field of its kind that holds a date. */
static bool field_date(const struct facts_header *header, enum facts_field field, int64_t *ret_sec)
{
    for (uint8_t i = 0; i < header->counts[field]; i++) {
        struct emlfs_span value = header->values[field][i];
        if (field == FIELD_RECEIVED)
            value = received_date(value);
        if (value.len > 0 && facts_decode_date(value, ret_sec))
            return true;
    }
    return false;
}

static void date_read(const struct facts_header *header, struct emlfs_facts *facts)
{
    static const struct {
        enum facts_field field;
        uint8_t source;
    } order[] = {{FIELD_ARRIVAL, EMLFS_DATE_ORIGINAL_ARRIVAL},
                 {FIELD_DATE, EMLFS_DATE_DATE},
                 {FIELD_RECEIVED, EMLFS_DATE_RECEIVED}};
    for (size_t i = 0; i < sizeof order / sizeof order[0] && !facts->date_source; i++) {
        if (field_date(header, order[i].field, &facts->date_sec))
            facts->date_source = order[i].source;
    }
    facts->has_sent = field_date(header, FIELD_DATE, &facts->sent_sec);
    facts->has_received = field_date(header, FIELD_ARRIVAL, &facts->received_sec) ||
                          field_date(header, FIELD_RECEIVED, &facts->received_sec);
}

void facts_preamble_skip(struct facts_lines *lines)
{
    struct emlfs_span line;
    struct facts_lines next = *lines;
    while (facts_lines_next(&next, &line)) {
        bool separator = line.len >= 5 && memcmp(line.data, "From ", 5) == 0;
        bool escaped = line.len >= 6 && memcmp(line.data, ">From ", 6) == 0;
        if (line.len > 0 && !separator && !escaped)
            return;
        *lines = next;
    }
}

static int texts_read(const struct facts_header *header, const struct facts_mime *mime,
                      struct fact_texts *texts, struct facts_note *note)
{
    const char *charset = mime->charset;
    int rc = addresses_read(header, FIELD_FROM, charset, &texts->from, note);
    if (rc == 0)
        rc = addresses_read(header, FIELD_SENDER, charset, &texts->sender, note);
    if (rc == 0)
        rc = addresses_read(header, FIELD_TO, charset, &texts->to, note);
    if (rc == 0)
        rc = addresses_read(header, FIELD_CC, charset, &texts->cc, note);
    if (rc == 0)
        rc = addresses_read(header, FIELD_BCC, charset, &texts->bcc, note);
    if (rc == 0)
        rc = subject_read(header, charset, &texts->subject, note);
    if (rc == 0)
        rc = message_id_read(header, &texts->message_id);
    texts->parts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    return rc == 0 ? facts_mime_encode(mime, &texts->parts) : rc;
}

static int facts_write(const struct fact_texts *texts, const struct facts_note *note,
                       struct emlfs_facts *facts, struct emlfs_buf *ret_facts)
{
    facts->flags |= note->flags;
    facts->reason = emlfs_span_str(note->reason);
    facts->from = emlfs_buf_view(&texts->from);
    facts->sender = emlfs_buf_view(&texts->sender);
    facts->to = emlfs_buf_view(&texts->to);
    facts->cc = emlfs_buf_view(&texts->cc);
    facts->bcc = emlfs_buf_view(&texts->bcc);
    facts->subject = emlfs_buf_view(&texts->subject);
    facts->message_id = emlfs_buf_view(&texts->message_id);
    facts->parts = emlfs_buf_view(&texts->parts);
    return emlfs_facts_encode(facts, ret_facts);
}

int facts_parse(const struct facts_source *source, struct emlfs_buf *ret_facts)
{
    struct facts_note note = {0};
    struct facts_header header;
    struct emlfs_facts facts = {0};
    struct fact_texts texts = {0};
    if (!facts_decode_init())
        return -ELIBACC;
    struct facts_mime *mime = malloc(sizeof *mime);
    if (mime == NULL)
        return -ENOMEM;
    if (source->total_bytes > source->seen.len)
        facts_note_partial(&note, "only the first 4 MiB were looked at");
    struct facts_lines lines = facts_lines_of(source->seen);
    facts_preamble_skip(&lines);
    facts_header_read(&lines, NULL, &header, &note);
    int rc = facts_mime_scan(source, &lines, &header, mime, &note);
    if (rc == 0)
        rc = texts_read(&header, mime, &texts, &note);
    if (rc == 0) {
        date_read(&header, &facts);
        facts.flags = mime->attachment ? EMLFS_FACT_ATTACHMENT : 0;
        rc = facts_write(&texts, &note, &facts, ret_facts);
    }
    texts_free(&texts);
    emlfs_buf_free(&mime->texts);
    free(mime);
    return rc;
}

int facts_unparsed(const char *reason, struct emlfs_buf *ret_facts)
{
    struct emlfs_facts facts = {.flags = EMLFS_FACT_UNPARSED, .reason = emlfs_span_str(reason)};
    return emlfs_facts_encode(&facts, ret_facts);
}

int emlfs_parse_facts(struct emlfs_span raw, struct emlfs_buf *ret_facts)
{
    size_t seen = raw.len < FACTS_SEEN_MAX_BYTES ? raw.len : FACTS_SEEN_MAX_BYTES;
    const struct facts_source source = {.seen = emlfs_span_of(raw.data, seen),
                                        .total_bytes = raw.len};
    return facts_parse(&source, ret_facts);
}
