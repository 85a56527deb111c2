/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A query's end, and its text again: every term keeps its value as it was written. */
#include <stdlib.h>

#include "query_internal.h"

void emlfs_query_free(struct emlfs_query *query)
{
    if (!query)
        return;
    for (unsigned i = 0; i < query->terms_n; i++)
        free(query->terms[i].tokens);
    free(query->terms);
    emlfs_buf_free(&query->memory);
    free(query);
}

static const char *term_field(const struct emlfs_query_term *term)
{
    for (const struct query_field *field = query_fields; field->name; field++)
        if (field->kind == term->kind &&
            (term->kind != EMLFS_TERM_WORDS || term->fields == 1u << field->text))
            return field->name;
    return NULL;
}

static int term_format(const struct emlfs_query_term *term, struct emlfs_buf *out)
{
    const char *field = term_field(term);
    const char *quote = term->quoted ? "\"" : "";
    const struct emlfs_span parts[] = {
        emlfs_span_str(out->len > 0 ? " " : ""),
        emlfs_span_str(term->exclude ? "-" : ""),
        emlfs_span_str(field ? field : ""),
        emlfs_span_str(field ? ":" : ""),
        emlfs_span_str(quote),
        term->text,
        emlfs_span_str(quote),
    };
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = emlfs_buf_append(out, parts[i].data, parts[i].len);
    return r;
}

int emlfs_query_format(const struct emlfs_query *query, struct emlfs_buf *out)
{
    int r = 0;
    emlfs_buf_clear(out);
    for (unsigned i = 0; r == 0 && i < query->terms_n; i++)
        r = term_format(&query->terms[i], out);
    return r;
}
