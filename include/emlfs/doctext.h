/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_DOCTEXT_H
#define EMLFS_DOCTEXT_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/*
 * Document text: what can be searched of one message, extracted by the confined worker. A run of
 * pieces; a phrase never reaches from one piece into another. The encoded form comes from the
 * worker and is foreign input: emlfs_doctext_check before anything is taken from it.
 */
enum emlfs_text_field {
    EMLFS_TEXT_SUBJECT = 1, /* header fields, RFC 2047 decoded */
    EMLFS_TEXT_FROM = 2,    /* From, Sender, Reply-To: display names and addresses */
    EMLFS_TEXT_TO = 3,
    EMLFS_TEXT_CC = 4,
    EMLFS_TEXT_BCC = 5,
    EMLFS_TEXT_BODY = 6,       /* text of inline plain, HTML, ... parts, nested messages' too */
    EMLFS_TEXT_ATTACHMENT = 7, /* file names of attachments */
    EMLFS_TEXT_CONTENT = 8,    /* text inside attachments */
    EMLFS_TEXT_FIELDS = 9,
};
enum emlfs_priority { EMLFS_PRIORITY_NORMAL = 0, EMLFS_PRIORITY_HIGH = 1, EMLFS_PRIORITY_LOW = 2 };

#define EMLFS_DOCTEXT_MAX_BYTES (12u << 20) /* encoded, of one message */
#define EMLFS_DOCTEXT_PROBLEMS_MAX 64u
#define EMLFS_DOCTEXT_REASON_MAX_BYTES 200u

/* A part whose text could not be had, and why. */
struct emlfs_doctext_problem {
    struct emlfs_span part;   /* type or file name, for people */
    struct emlfs_span reason; /* one line: "encrypted", "damaged zip", "time limit", ... */
};
struct emlfs_doctext_piece {
    enum emlfs_text_field field;
    struct emlfs_span text; /* valid UTF-8, no NUL */
};

#define EMLFS_DOCTEXT_PART_MAX_BYTES 128u

/* Length of the longest prefix of text that is valid UTF-8 without NUL. */
size_t emlfs_doctext_valid(struct emlfs_span text);
/* Append text made valid: a NUL is a blank, any other byte that is not UTF-8 U+FFFD. -E2BIG. */
int emlfs_doctext_repair(struct emlfs_buf *out, struct emlfs_span text);

/*
 * Writing. -E2BIG (the document is full, or has EMLFS_DOCTEXT_PROBLEMS_MAX problems), -ENOMEM; the
 * document stays as it was then. Empty text appends nothing. What is not UTF-8 becomes U+FFFD, NUL
 * a blank; names and reasons of problems are cut to their maximum, control characters in them are
 * blanks. _begin: -EINVAL unless out is empty.
 */
int emlfs_doctext_begin(struct emlfs_buf *out, enum emlfs_priority priority, bool attachment);
int emlfs_doctext_piece(struct emlfs_buf *out, enum emlfs_text_field field, struct emlfs_span text);
int emlfs_doctext_problem(struct emlfs_buf *out, const char *part, const char *reason);

/* Reading: EUCLEAN unless _begin, _piece and _problem could have written exactly these bytes. */
int emlfs_doctext_check(struct emlfs_span bytes, enum emlfs_priority *ret_priority,
                        bool *ret_attachment, struct emlfs_err *err);
/* Walk checked bytes: *pos starts at 0. False at the end. One of the two is filled: piece.field is
 * 0 for a problem. */
bool emlfs_doctext_next(struct emlfs_span bytes, size_t *pos, struct emlfs_doctext_piece *ret_piece,
                        struct emlfs_doctext_problem *ret_problem);

/* Kinds of attachments that may be indexed; a set of these is a setting. */
#define EMLFS_KIND_TEXT 1u
#define EMLFS_KIND_HTML 2u
#define EMLFS_KIND_OOXML 4u
#define EMLFS_KIND_ODF 8u
#define EMLFS_KIND_PDF 16u
#define EMLFS_KIND_RTF 32u
#define EMLFS_KIND_MESSAGE 64u /* nested messages and TNEF */
#define EMLFS_KIND_ALL 127u

/*
 * Where the index gets text from; importers/ provides it, the index never sees a parser. One
 * extractor serves one thread. Always 0 but when no worker can be started or memory is out: a
 * crash, a time-out or a limit costs the part its text and is a problem in the document.
 */
struct emlfs_extractor {
    void *arg;
    int (*extract)(void *arg, struct emlfs_span raw, unsigned kinds, struct emlfs_buf *ret_doctext,
                   struct emlfs_err *err);
    void (*free)(void *arg);
    /*
     * May be NULL. A hint: this message, of the same kinds, is going to be given to extract, with
     * the same bytes at the same place, in the order of these calls. Several of them cost the
     * worker one round trip, and each still fails alone. raw is borrowed until then.
     */
    void (*ahead)(void *arg, struct emlfs_span raw, unsigned kinds);
    /*
     * May be NULL. From any thread while extract runs or not: it, and every call from now on, soon
     * returns -ECANCELED.
     */
    void (*stop)(void *arg);
};

#endif
