/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_FACTS_H
#define EMLFS_IMPORTERS_FACTS_H

#include "emlfs/base/buf.h"
#include "emlfs/message.h"

/*
 * Inside importers/: how facts are taken from a message. The limits are kept before GMime sees a
 * byte: GMime recurses and allocates as the message says.
 */
#define FACTS_SEEN_MAX_BYTES (4u << 20)
#define FACTS_HEADER_MAX_BYTES (1u << 20)
#define FACTS_HEADER_MAX_LINES 10000u
#define FACTS_FIELD_MAX_BYTES (64u << 10) /* of one field, to GMime */
#define FACTS_FIELD_REPEATS 64u
#define FACTS_ADDRESSES_MAX 2000u
#define FACTS_COLONS_OPEN_MAX 64u /* not closed by ';' */
#define FACTS_COLONS_MAX 500u     /* at all: bounds GMime's recursion however ';' is quoted */
#define FACTS_PARAMETERS_MAX 1000u
#define FACTS_MIME_DEPTH_MAX 64u
#define FACTS_MIME_PARTS_MAX 10000u
#define FACTS_PART_TEXT_MAX_BYTES (12u << 10) /* types and names of all parts */

/* What was cut. The first reasons are kept, later ones only set the flag. */
struct facts_note {
    uint32_t flags;
    char reason[256];
};
void facts_note_partial(struct facts_note *note, const char *reason);

struct facts_visitor;
/* A message, or as much of its beginning as is looked at. */
struct facts_source {
    struct emlfs_span seen;
    uint64_t total_bytes;
    const struct facts_visitor *visitor; /* of its MIME structure, may be NULL */
};

/* ---- lines: LF, CRLF, or CR in a message of a system that ended lines so */
struct facts_lines {
    const uint8_t *pos, *end;
    uint8_t eol;
};
struct facts_lines facts_lines_of(struct emlfs_span bytes);
/* Take a line without its end; false at the end of the bytes. */
bool facts_lines_next(struct facts_lines *lines, struct emlfs_span *ret_line);

/* ---- header blocks */
enum facts_field {
    FIELD_FROM,
    FIELD_SENDER,
    FIELD_TO,
    FIELD_CC,
    FIELD_BCC,
    FIELD_SUBJECT,
    FIELD_MESSAGE_ID,
    FIELD_DATE,
    FIELD_RECEIVED,
    FIELD_ARRIVAL,
    FIELD_CONTENT_TYPE,
    FIELD_DISPOSITION,
    FIELD_ENCODING,
    FIELD_REPLY_TO,
    FIELD_X_PRIORITY,
    FIELD_MSMAIL_PRIORITY,
    FIELD_IMPORTANCE,
    FIELD_PRIORITY,
    FIELD_KINDS
};
/* Field values as they stand, folded, borrowed from the message; the first ones of each kind. */
struct facts_header {
    struct emlfs_span values[FIELD_KINDS][FACTS_FIELD_REPEATS];
    uint8_t counts[FIELD_KINDS];
};
struct facts_stop {
    bool (*at)(const void *arg, struct emlfs_span line);
    const void *arg;
};
/* Read a header block and the empty line after it. A line that stop accepts ends it unread. */
void facts_header_read(struct facts_lines *lines, const struct facts_stop *stop,
                       struct facts_header *ret, struct facts_note *note);
/* The value's bytes that GMime may see as an address list. */
struct emlfs_span facts_header_bound_addresses(struct emlfs_span value, struct facts_note *note);
struct emlfs_span facts_header_bound_parameters(struct emlfs_span value, struct facts_note *note);

/* ---- MIME structure */
struct facts_mime_part {
    uint32_t depth;
    uint32_t type_at, type_len, name_at, name_len; /* in texts */
    uint64_t start, end;                           /* body, offsets in the message */
    bool attachment;
};
struct facts_mime {
    struct facts_mime_part parts[EMLFS_FACTS_PARTS_MAX];
    uint32_t count;
    struct emlfs_buf texts;
    bool attachment;
    char charset[48]; /* of the first text part that names one */
};
/* Structure of source's message, whose header was read from lines. -ENOMEM. */
int facts_mime_scan(const struct facts_source *source, const struct facts_lines *lines,
                    const struct facts_header *header, struct facts_mime *ret,
                    struct facts_note *note);
int facts_mime_encode(const struct facts_mime *mime, struct emlfs_buf *parts);

/* Whoever wants more than the table of parts. What a callback returns but 0 ends the scan. */
enum facts_entity_kind { ENTITY_LEAF, ENTITY_MULTIPART, ENTITY_MESSAGE };
struct facts_content;
struct facts_entity {
    const struct facts_header *header;
    const struct facts_content *content;
    enum facts_entity_kind kind;
    uint32_t depth;
    bool attachment;
    bool message; /* header is that of a message inside the message */
};
struct facts_visitor {
    int (*begin)(void *arg, const struct facts_entity *entity);
    /* The leaf that began last ended; body as it stands in the message. */
    int (*leaf)(void *arg, struct emlfs_span body);
    /* A message inside the message ended. */
    int (*message_end)(void *arg);
    void *arg;
};

/* ---- GMime */
struct facts_content {
    char type[96]; /* lower case, "" when there is no field */
    char charset[48];
    char *boundary, *name; /* owned, may be NULL */
    bool attached;         /* Content-Disposition: attachment */
};
/* Load GMime, the first time; everything below needs it. False when it is not there. */
bool facts_decode_init(void);
void facts_decode_content(const struct facts_header *header, struct facts_content *ret,
                          struct facts_note *note);
void facts_content_free(struct facts_content *content);
/* Append the decoded text; charset: of raw 8-bit bytes, may be "". */
int facts_decode_text(struct emlfs_span value, const char *charset, struct emlfs_buf *out);
int facts_decode_addresses(struct emlfs_span value, const char *charset, struct emlfs_buf *out);
bool facts_decode_date(struct emlfs_span value, int64_t *ret_sec);

/* Over "From " of an mbox, and empty lines before the header. */
void facts_preamble_skip(struct facts_lines *lines);
/* The facts, encoded. -ENOMEM, -E2BIG, -ELIBACC: GMime is not installed. */
int facts_parse(const struct facts_source *source, struct emlfs_buf *ret_facts);
/* Facts that say only that there are none. */
int facts_unparsed(const char *reason, struct emlfs_buf *ret_facts);

#endif
