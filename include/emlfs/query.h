/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_QUERY_H
#define EMLFS_QUERY_H

#include "emlfs/base/clock.h"
#include "emlfs/base/err.h"
#include "emlfs/doctext.h"

/*
 * The query language: emlfs-query(7) is its specification. A query is a list of terms that all
 * must hold. Parsing depends on the text alone; names of days (today, lastmonth) are resolved when
 * a query is run.
 */
#define EMLFS_QUERY_MAX_BYTES 1024u
#define EMLFS_QUERY_TERMS_MAX 64u
#define EMLFS_QUERY_TOKENS_MAX 64u /* of one phrase */

enum emlfs_term_kind {
    EMLFS_TERM_WORDS,      /* tokens next to each other, in fields */
    EMLFS_TERM_DATE,       /* from_day...to_day of the message's date */
    EMLFS_TERM_ARCHIVED,   /* ... of the time it was archived */
    EMLFS_TERM_SIZE,       /* from...to bytes */
    EMLFS_TERM_ATTACHMENT, /* has:attachment */
    EMLFS_TERM_PRIORITY,   /* number: enum emlfs_priority */
    EMLFS_TERM_FOLDER,     /* text: path, see the man page */
    EMLFS_TERM_STORE,      /* text: name or number of a store */
};
/* How a token of the query matches a token of the mail. */
struct emlfs_query_token {
    struct emlfs_span text; /* folded; wildcards are the bytes '*' and '?' when glob is set */
    bool glob;
};
enum emlfs_day_kind {                  /* an end of a date range, before it is resolved */
                      EMLFS_DAY_OPEN,  /* no limit */
                      EMLFS_DAY_FIXED, /* year, month, day */
                      EMLFS_DAY_TODAY,
                      EMLFS_DAY_YESTERDAY,
                      EMLFS_DAY_THIS_WEEK, /* weeks begin on Monday */
                      EMLFS_DAY_LAST_WEEK,
                      EMLFS_DAY_THIS_MONTH,
                      EMLFS_DAY_LAST_MONTH,
                      EMLFS_DAY_THIS_YEAR,
                      EMLFS_DAY_LAST_YEAR,
};
struct emlfs_query_day {
    enum emlfs_day_kind kind;
    int year, month, day; /* month or day 0: the whole year or month */
};
struct emlfs_query_term {
    enum emlfs_term_kind kind;
    bool exclude;
    unsigned fields; /* WORDS: bit 1 << enum emlfs_text_field for each; all of them: any field */
    struct emlfs_query_token *tokens;
    unsigned tokens_n;
    struct emlfs_query_day from_day, to_day; /* both inclusive */
    uint64_t from, to;                       /* SIZE, both inclusive */
    uint32_t number;        /* PRIORITY; STORE: its number, 0 when text is a name */
    struct emlfs_span text; /* the value as written, of all kinds: without quotes, PATH undone */
    bool quoted;            /* it stood in quotes */
    unsigned at, len;       /* where the term stands in the query, bytes */
};
struct emlfs_query {
    struct emlfs_query_term *terms;
    unsigned terms_n;
    struct emlfs_buf memory; /* what the spans point into */
};

enum emlfs_query_form {
    EMLFS_QUERY_PLAIN, /* as typed: field: "phrase" * ? */
    EMLFS_QUERY_PATH,  /* a file name: also field= 'phrase' % and SMB's substitutes */
};
/* Where and why a query is wrong. */
struct emlfs_query_mistake {
    unsigned at; /* byte offset in the text */
    char text[160];
};
/*
 * Parse. -EINVAL: *ret_mistake (may be NULL) tells where; -E2BIG over a limit above; -ENOMEM.
 * text is foreign. Thread-safe.
 */
int emlfs_query_parse(struct emlfs_span text, enum emlfs_query_form form, struct emlfs_query **ret,
                      struct emlfs_query_mistake *ret_mistake);
void emlfs_query_free(struct emlfs_query *query);
/* The same query in the plain form, for showing; what _parse of it gives is equal. */
int emlfs_query_format(const struct emlfs_query *query, struct emlfs_buf *out);

/* Nanoseconds [*ret_from, *ret_to) of a DATE or ARCHIVED term, days being those of timezone. */
int emlfs_query_span(const struct emlfs_query_term *term, int64_t now_ns, const char *timezone,
                     int64_t *ret_from_ns, int64_t *ret_to_ns);

#endif
