/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "emlfs/query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Both forms of any bytes: an answer or a mistake within the text; a query that is understood is
 * the same after it was written out and read again, and every span in it can be read.
 */
static void demand(bool truth)
{
    if (!truth)
        abort();
}

static bool day_equal(const struct emlfs_query_day *a, const struct emlfs_query_day *b)
{
    return a->kind == b->kind && a->year == b->year && a->month == b->month && a->day == b->day;
}

static void tokens_demand(const struct emlfs_query_term *a, const struct emlfs_query_term *b)
{
    demand(a->tokens_n == b->tokens_n && a->tokens_n <= EMLFS_QUERY_TOKENS_MAX);
    demand((a->tokens_n > 0) == (a->kind == EMLFS_TERM_WORDS));
    for (unsigned i = 0; i < a->tokens_n; i++) {
        demand(a->tokens[i].glob == b->tokens[i].glob && a->tokens[i].text.len > 0);
        demand(emlfs_span_equal(a->tokens[i].text, b->tokens[i].text));
    }
}

static void terms_demand(const struct emlfs_query *a, const struct emlfs_query *b)
{
    demand(a->terms_n == b->terms_n && a->terms_n > 0 && a->terms_n <= EMLFS_QUERY_TERMS_MAX);
    for (unsigned i = 0; i < a->terms_n; i++) {
        const struct emlfs_query_term *x = &a->terms[i], *y = &b->terms[i];
        demand(x->kind == y->kind && x->exclude == y->exclude && x->fields == y->fields);
        demand(x->from == y->from && x->to == y->to && x->number == y->number);
        demand(day_equal(&x->from_day, &y->from_day) && day_equal(&x->to_day, &y->to_day));
        demand(emlfs_span_equal(x->text, y->text) && x->quoted == y->quoted);
        tokens_demand(x, y);
    }
}

static void spans_demand(const struct emlfs_query *query)
{
    for (unsigned i = 0; i < query->terms_n; i++) {
        const struct emlfs_query_term *term = &query->terms[i];
        int64_t from_ns, to_ns;
        bool date = term->kind == EMLFS_TERM_DATE || term->kind == EMLFS_TERM_ARCHIVED;
        int r = emlfs_query_span(term, (int64_t)query->memory.len * 1234567890123456,
                                 "Europe/Berlin", &from_ns, &to_ns);
        demand((r == 0) == date);
        if (date && term->from_day.kind == EMLFS_DAY_FIXED && term->to_day.kind == EMLFS_DAY_FIXED)
            demand(from_ns <= to_ns);
    }
}

static void form_fuzz(struct emlfs_span text, enum emlfs_query_form form)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf out = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES);
    struct emlfs_query_mistake mistake;
    struct emlfs_query *query, *again;
    int r = emlfs_query_parse(text, form, &query, &mistake);
    demand(r == 0 || r == -EINVAL || r == -E2BIG);
    if (r < 0) {
        demand(!query && mistake.at <= text.len && mistake.text[0] != '\0');
        return;
    }
    for (unsigned i = 0; i < query->terms_n; i++)
        demand(query->terms[i].at + query->terms[i].len <= text.len);
    demand(emlfs_query_format(query, &out) == 0);
    demand(emlfs_query_parse(emlfs_buf_view(&out), EMLFS_QUERY_PLAIN, &again, NULL) == 0);
    terms_demand(query, again);
    spans_demand(query);
    emlfs_query_free(query);
    emlfs_query_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    form_fuzz(emlfs_span_of(data, size), EMLFS_QUERY_PLAIN);
    form_fuzz(emlfs_span_of(data, size), EMLFS_QUERY_PATH);
    return 0;
}
