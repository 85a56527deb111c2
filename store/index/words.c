/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A words term over one segment: documents in which tokens stand next to each other in one of the
 * fields. Postings are followed; where a wildcard stands for more terms than are followed at a
 * time, the documents are worked out beforehand, a batch of terms after the other.
 */
#include <stdlib.h>

#include "search.h"

#define MODULE "index"
#define ALL_FIELDS (((1u << EMLFS_TEXT_FIELDS) - 1) & ~1u)

struct words {
    const struct view *view;
    unsigned fields;
    bool any_field;
    unsigned n; /* tokens */
    struct cursor cursors[EMLFS_QUERY_TOKENS_MAX];
    unsigned order[EMLFS_QUERY_TOKENS_MAX]; /* the rarest first */
    bool listed;                            /* set says it all */
    struct docset set;
    uint32_t count;
};

/* ---- following postings */

static int64_t next_common(struct words *words, uint32_t doc, struct emlfs_err *err)
{
    unsigned agreed = 0;

    while (agreed < words->n) {
        int64_t at = cursor_seek(&words->cursors[words->order[agreed]], doc, err);
        if (at <= 0)
            return at;
        agreed = at == doc || agreed == 0 ? agreed + 1 : 0;
        doc = (uint32_t)at;
    }
    return doc;
}

struct positions {
    const uint32_t *v;
    unsigned n;
    unsigned at; /* all before are smaller than what was asked for last */
};

/* Asked for ascending positions. */
static bool position_there(struct positions *positions, uint32_t position)
{
    while (positions->at < positions->n && positions->v[positions->at] < position)
        positions->at++;
    return positions->at < positions->n && positions->v[positions->at] == position;
}

static int field_wanted(struct words *words, uint32_t doc, uint32_t position, bool ask,
                        struct emlfs_err *err)
{
    enum emlfs_text_field field;
    int rc;

    if (!ask)
        return 1;
    rc = segment_field_at(view_part(words->view)->segment, doc, position, &field, err);
    return rc < 0 ? rc : (int)(words->fields >> field & 1);
}

/* Do the tokens stand next to each other, in a field asked for? ask: the field must be looked up.
 */
static int adjacent(struct words *words, uint32_t doc, bool ask, struct emlfs_err *err)
{
    struct positions lists[EMLFS_QUERY_TOKENS_MAX] = {{0}};
    unsigned lead = 0;

    for (unsigned i = 0; i < words->n; i++) {
        int rc = cursor_positions(&words->cursors[i], doc, &lists[i].v, &lists[i].n, err);
        if (rc < 0)
            return rc;
        if (lists[i].n < lists[lead].n)
            lead = i;
    }
    for (unsigned p = 0; p < lists[lead].n; p++) {
        uint32_t position = lists[lead].v[p];
        bool all = position >= lead;
        int rc;
        for (unsigned i = 0; all && i < words->n; i++)
            all = i == lead || position_there(&lists[i], position - lead + i);
        rc = all ? field_wanted(words, doc, position, ask, err) : 0;
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* All tokens are in doc: does the term hold? */
static int doc_holds(struct words *words, uint32_t doc, struct emlfs_err *err)
{
    unsigned common = ALL_FIELDS;
    bool ask = !words->any_field;

    if (words->any_field && words->n == 1)
        return 1;
    for (unsigned i = 0; i < words->n; i++) {
        unsigned fields = cursor_fields(&words->cursors[i], doc);
        common &= fields;
        /* A token that stands nowhere else: then the phrase does not, either. */
        ask = ask && (fields & ~words->fields);
    }
    if (!(common & words->fields))
        return 0;
    return words->n == 1 ? 1 : adjacent(words, doc, ask, err);
}

static int64_t follow_seek(struct words *words, uint32_t doc, struct emlfs_err *err)
{
    while (doc >= words->view->low && doc > 0) {
        int64_t at = next_common(words, doc, err);
        int rc;
        if (at <= 0 || at < words->view->low)
            return at < 0 ? at : 0;
        rc = doc_holds(words, (uint32_t)at, err);
        if (rc != 0)
            return rc < 0 ? rc : at;
        if (view_cancelled(words->view))
            return -ECANCELED;
        doc = (uint32_t)at - 1;
    }
    return 0;
}

int64_t words_seek(struct words *words, uint32_t doc, struct emlfs_err *err)
{
    return words->listed ? docset_seek(&words->set, doc) : follow_seek(words, doc, err);
}

uint32_t words_count(const struct words *words)
{
    return words->count;
}

/* ---- opening */

struct slice { /* of the terms of a token */
    struct terms terms;
    unsigned from, n;
};

static void order_make(struct words *words)
{
    words->count = UINT32_MAX;
    for (unsigned i = 0; i < words->n; i++) {
        unsigned at = i;
        uint32_t count = words->cursors[i].count;
        while (at > 0 && words->cursors[words->order[at - 1]].count > count) {
            words->order[at] = words->order[at - 1];
            at--;
        }
        words->order[at] = i;
        words->count = count < words->count ? count : words->count;
    }
}

static void cursors_close(struct words *words)
{
    for (unsigned i = 0; i < words->n; i++)
        cursor_close(&words->cursors[i]);
}

static int cursors_open(struct words *words, const struct slice *slices, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; rc == 0 && i < words->n; i++)
        rc = cursor_open(view_part(words->view)->segment, &slices[i].terms, slices[i].from,
                         slices[i].n, &words->cursors[i], err);
    if (rc == 0)
        order_make(words);
    else
        cursors_close(words);
    return rc;
}

/* Put what these slices match into the set. */
static int slices_list(struct words *words, const struct slice *slices, struct emlfs_err *err)
{
    int64_t doc = words->view->high;
    int rc = cursors_open(words, slices, err);

    while (rc == 0 && doc > 0) {
        doc = follow_seek(words, (uint32_t)doc, err);
        if (doc < 0)
            rc = (int)doc;
        if (doc <= 0)
            break;
        docset_put(&words->set, (uint32_t)doc, true);
        doc--;
    }
    cursors_close(words);
    return rc;
}

/* Batches of the tokens that stand for too many terms, one token inside the other. */
static int batches_list(struct words *words, struct slice *slices, unsigned token,
                        struct emlfs_err *err)
{
    unsigned end;
    int rc = 0;

    while (token < words->n && slices[token].n <= CURSOR_TERMS_MAX)
        token++;
    if (token == words->n)
        return slices_list(words, slices, err);
    end = slices[token].n;
    for (unsigned from = 0; rc == 0 && from < end; from += CURSOR_TERMS_MAX) {
        slices[token].from = from;
        slices[token].n = end - from < CURSOR_TERMS_MAX ? end - from : CURSOR_TERMS_MAX;
        rc = view_cancelled(words->view) ? -ECANCELED : batches_list(words, slices, token + 1, err);
    }
    slices[token].from = 0;
    slices[token].n = end;
    return rc;
}

static int words_list(struct words *words, struct slice *slices, struct emlfs_err *err)
{
    uint64_t count = 0;
    int rc = docset_new(words->view->low, words->view->high, &words->set);

    if (rc < 0)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    rc = batches_list(words, slices, 0, err);
    for (size_t i = 0; i <= (size_t)(words->set.high - words->set.low) / 64; i++)
        count += (unsigned)__builtin_popcountll(words->set.bits[i]);
    words->count = (uint32_t)count;
    words->listed = true;
    return rc;
}

/* Terms of each token. *ret_none: a token that stands for nothing here; *ret_many: for too much. */
static int slices_find(const struct words *words, const struct emlfs_query_term *term,
                       struct slice *slices, bool *ret_none, bool *ret_many, struct emlfs_err *err)
{
    int rc = 0;

    *ret_none = *ret_many = false;
    for (unsigned i = 0; rc == 0 && !*ret_none && i < words->n; i++) {
        rc = terms_find(view_part(words->view)->segment, &term->tokens[i], &slices[i].terms, err);
        slices[i].n = slices[i].terms.n;
        *ret_none = rc == 0 && slices[i].n == 0;
        *ret_many |= slices[i].n > CURSOR_TERMS_MAX;
    }
    return rc;
}

int words_open(const struct view *view, const struct emlfs_query_term *term, struct words **ret,
               struct emlfs_err *err)
{
    struct words *words = calloc(1, sizeof(*words));
    struct slice *slices = calloc(EMLFS_QUERY_TOKENS_MAX, sizeof(*slices));
    bool none = true, many = false;
    int rc = words && slices ? 0 : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    *ret = NULL;
    if (rc == 0) {
        words->view = view;
        words->n = term->tokens_n;
        words->fields = term->fields & ALL_FIELDS;
        words->any_field = words->fields == ALL_FIELDS;
        rc = slices_find(words, term, slices, &none, &many, err);
    }
    if (rc == 0 && !none)
        rc = many ? words_list(words, slices, err) : cursors_open(words, slices, err);
    for (unsigned i = 0; slices && i < EMLFS_QUERY_TOKENS_MAX; i++)
        terms_free(&slices[i].terms);
    free(slices);
    if (rc < 0 || none) {
        words_close(words);
        return rc;
    }
    *ret = words;
    return 0;
}

void words_close(struct words *words)
{
    if (!words)
        return;
    cursors_close(words);
    docset_free(&words->set);
    free(words);
}
