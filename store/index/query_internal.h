/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_QUERY_INTERNAL_H
#define EMLFS_INDEX_QUERY_INTERNAL_H

#include "emlfs/query.h"

/* Between the query*.c files: a term taken apart by query_parse.c, its value read by the others. */

/* A code point of the query, after what the path form replaces, and where it stands. */
struct query_char {
    int32_t c;
    unsigned at; /* byte offset in the text */
};
/* Fields of the language, in the order of query_fields. */
struct query_field {
    const char *name;
    enum emlfs_term_kind kind;
    enum emlfs_text_field text; /* of WORDS */
};
extern const struct query_field query_fields[];

struct query_value {
    const struct query_char *v; /* v[n].at is valid as well */
    unsigned n;
    bool quoted;
};
/* What a reader of values works on. */
struct query_reading {
    struct emlfs_query *query;
    struct emlfs_query_term *term; /* to fill */
    struct query_value value;
    struct emlfs_query_mistake *mistake; /* never NULL */
};

/* Note a mistake and return -code. */
int query_mistake(struct emlfs_query_mistake *mistake, int code, unsigned at, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Copy bytes into the query's memory, which has room (and never moves); -E2BIG otherwise. */
int query_keep(struct emlfs_query *query, struct emlfs_span bytes, struct emlfs_span *ret);
/* True when the n characters from first on are word (lower-case ASCII), whatever their case. */
bool query_is(struct query_value value, unsigned first, unsigned n, const char *word);

/* Readers of values: 0, or negative with a mistake. */
int query_read_words(struct query_reading *reading);
int query_read_date(struct query_reading *reading);
int query_read_size(struct query_reading *reading);
int query_read_has(struct query_reading *reading);
int query_read_priority(struct query_reading *reading);
int query_read_folder(struct query_reading *reading);
int query_read_store(struct query_reading *reading);

#endif
