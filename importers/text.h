/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_TEXT_H
#define EMLFS_IMPORTERS_TEXT_H

#include "emlfs/doctext.h"

/*
 * Inside importers/: how text is taken from a message, in the confined worker. All limits stand
 * here; what lies behind one costs its part the rest of the text and is a problem of the document.
 * Depth and number of MIME parts: FACTS_MIME_DEPTH_MAX and FACTS_MIME_PARTS_MAX of facts.h.
 */
#define TEXT_PART_MAX_BYTES (64u << 20)     /* of one part, or file within one, expanded */
#define TEXT_MESSAGE_MAX_BYTES (128u << 20) /* of all of them */
#define TEXT_RATIO_MAX 200u                 /* expanded to packed, beyond ... */
#define TEXT_RATIO_FREE_BYTES (1u << 20)
#define TEXT_XML_DEPTH_MAX 256u
#define TEXT_RTF_DEPTH_MAX 1000u
#define TEXT_ZIP_MEMBERS_MAX 10000u
#define TEXT_PDF_PAGES_MAX 5000u
#define TEXT_NESTED_MAX 8u /* messages that were encoded, within each other */
#define TEXT_TIME_DEFAULT_MS 10000u
#define TEXT_MEMORY_DEFAULT_BYTES (768ull << 20)
#define TEXT_ROOM_FOR_PROBLEMS_BYTES (24u << 10)
#define TEXT_OMIT_MAX 4u

/* Why text is missing: reasons of problems. They are few, so that they can be counted. */
#define TEXT_BAD_TIME "time limit"
#define TEXT_BAD_SIZE "size limit"
#define TEXT_BAD_DEPTH "depth limit"
#define TEXT_BAD_BOMB "expands too far"
#define TEXT_BAD_MEMORY "memory limit"
#define TEXT_BAD_ENCRYPTED "encrypted"
#define TEXT_BAD_KIND "kind not read"
#define TEXT_BAD_CRASH "the parser crashed"
#define TEXT_BAD_FULL "more text than is indexed"

struct text_charsets; /* open converters */
/* A part that broke the parser before: left out now. */
struct text_omit {
    uint32_t part;
    uint32_t timed_out;
};
/* What the parent asks for. */
struct text_wish {
    unsigned kinds;
    bool plain_only; /* header and plain text alone */
    unsigned time_ms;
    uint32_t omit_count;
    struct text_omit omit[TEXT_OMIT_MAX];
};
/* What all parsers of one message share. */
struct text_run {
    struct text_charsets *charsets;
    const struct text_wish *wish;
    struct emlfs_buf *doc;
    volatile uint32_t *progress; /* the part being read, where the parent sees it */
    int64_t deadline_ns, part_deadline_ns;
    uint64_t expanded_bytes;
    uint32_t part;
    unsigned problems, nested, outside; /* outside: depth of messages that are not wanted */
    bool full, attachment;
    int error; /* -ENOMEM */
};

/* ---- text_run.c */
/* Has the time of this part passed? */
bool text_late(const struct text_run *run);
/* Account for bytes more; NULL, or the reason that they are too many. */
const char *text_expand(struct text_run *run, uint64_t bytes);
/* Is expanded too much for what was packed? */
bool text_bomb(uint64_t packed_bytes, uint64_t expanded_bytes);
const char *text_reason(int rc);
void text_piece(struct text_run *run, enum emlfs_text_field field, struct emlfs_span text);
void text_problem(struct text_run *run, const char *part, const char *reason);
/* As a body, but not when the same words are there already. */
void text_body(struct text_run *run, struct emlfs_span text);

/* ---- text_charset.c */
struct text_charsets *text_charsets_new(void);
void text_charsets_free(struct text_charsets *charsets);
/*
 * bytes in charset ("" when it is not known) as UTF-8: *ret borrows from bytes or, when they had
 * to be converted, from scratch. What cannot be right is read as what it most likely is.
 * -ENOMEM, -E2BIG (scratch is full; *ret is what fits).
 */
int text_utf8(struct text_charsets *charsets, struct emlfs_span bytes, const char *charset,
              struct emlfs_buf *scratch, struct emlfs_span *ret);
int text_utf8_append(struct text_charsets *charsets, struct emlfs_span bytes, const char *charset,
                     struct emlfs_buf *out);
int text_put_char(struct emlfs_buf *out, uint32_t code);

/* ---- text_decode.c */
enum text_encoding { TEXT_IDENTITY, TEXT_BASE64, TEXT_QUOTED, TEXT_UUENCODED };
enum text_encoding text_encoding_of(struct emlfs_span value);
int text_decode(enum text_encoding encoding, struct emlfs_span bytes, struct emlfs_buf *out);
/* A header field unfolded, encoded words decoded (RFC 2047). */
int text_header(struct text_charsets *charsets, struct emlfs_span value, const char *charset,
                struct emlfs_buf *out);
/* RFC 3676 with delsp: lines put together again. */
int text_flowed(struct emlfs_span text, struct emlfs_buf *out);
/* RFC 5545, RFC 6350: lines unfolded, escapes undone. */
int text_calendar(struct emlfs_span text, struct emlfs_buf *out);
/* RFC 1896. */
int text_enriched(struct emlfs_span text, struct emlfs_buf *out);

/*
 * ---- one file format each. NULL, or the reason why text is missing; what was read stays in out.
 * Markup is UTF-8 already.
 */
const char *text_html(struct text_run *run, struct emlfs_span markup, struct emlfs_buf *out);
const char *text_xml(struct text_run *run, struct emlfs_span markup, struct emlfs_buf *out);
/* The charset that a document names in a meta element or an XML declaration; "" when none. */
void text_html_charset(struct emlfs_span bytes, char ret[48]);
const char *text_rtf(struct text_run *run, struct emlfs_span bytes, struct emlfs_buf *out);
/* kinds: EMLFS_KIND_OOXML and _ODF as wanted. */
const char *text_zip(struct text_run *run, struct emlfs_span bytes, unsigned kinds,
                     struct emlfs_buf *out);
const char *text_pdf(struct text_run *run, struct emlfs_span bytes, struct emlfs_buf *out);
/* A winmail.dat: its pieces go to the document. */
const char *text_tnef(struct text_run *run, struct emlfs_span bytes);

/* S/MIME that is only signed: its message goes to the document. */
const char *text_smime(struct text_run *run, struct emlfs_span bytes);

/* Members of office documents (text_office.c): one XML file. */
enum text_office { TEXT_OFFICE_NONE, TEXT_OFFICE_OOXML, TEXT_OFFICE_ODF, TEXT_OFFICE_MANIFEST };
enum text_office text_office_member(const char *name);
const char *text_office(struct text_run *run, enum text_office kind, struct emlfs_span xml,
                        struct emlfs_buf *out);

/* Load what each of them needs: before the process is confined. False when it is not there. */
bool text_html_load(void);
bool text_zip_load(void);
bool text_office_load(void);
bool text_pdf_load(void);

/* ---- text_part.c: one part, decoded */
struct text_part {
    const char *type, *name, *charset; /* never NULL */
    struct emlfs_span bytes;
    bool attachment, delsp;
    bool is_body; /* of the message, or of a winmail.dat: whatever kinds are wanted */
};
void text_part_read(struct text_run *run, const struct text_part *part);
/* May it hold text? Judged by its first bytes, before all of it is decoded. */
bool text_part_wanted(const struct text_run *run, const struct text_part *part);
/* ---- text_message.c */
/* A message inside: its header goes to the body. */
const char *text_nested(struct text_run *run, struct emlfs_span raw);
/*
 * Text of a message in this process: what the child runs and the fuzz target calls. -ELIBACC: GMime
 * is not installed.
 */
int text_parse(struct text_charsets *charsets, const struct text_wish *wish, struct emlfs_span raw,
               volatile uint32_t *progress, struct emlfs_buf *ret_doc);

#endif
