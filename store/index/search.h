/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_SEARCH_H
#define EMLFS_INDEX_SEARCH_H

#include "engine.h"

/* Everything here descends: documents are looked at from the newest to the oldest. */

/* ---- folders.c: the folders a path means */

struct folder_ids {
    uint32_t *v;
    unsigned n;
};
/* Folders of user's archive that path (emlfs-query(7)) means, and all below. */
int folders_find(struct emlfs_index *index, struct emlfs_user_id user, struct emlfs_span path,
                 struct folder_ids *ret, struct emlfs_err *err);
void folder_tree_free(struct folder_tree *tree);

/* ---- docset.c: documents low...high as bits */

struct docset {
    uint32_t low, high;
    uint64_t *bits;
    struct blob *blob; /* they belong to */
};
int docset_new(uint32_t low, uint32_t high, struct docset *ret);
void docset_free(struct docset *set);
static inline bool docset_has(const struct docset *set, uint32_t doc)
{
    return doc >= set->low && doc <= set->high &&
           (set->bits[(doc - set->low) / 64] >> (doc - set->low) % 64 & 1);
}
/* doc must be within. */
static inline void docset_put(struct docset *set, uint32_t doc, bool in)
{
    uint64_t bit = UINT64_C(1) << (doc - set->low) % 64;
    uint64_t *word = &set->bits[(doc - set->low) / 64];

    *word = in ? *word | bit : *word & ~bit;
}
/* The greatest member <= doc, 0: none. */
uint32_t docset_seek(const struct docset *set, uint32_t doc);
void docset_or(struct docset *to, const struct docset *from); /* same limits */

/* ---- gone.c: documents whose message is gone for good, for merging */

/* Of those that n segments, oldest first, cover; *ret is without bits when there are none. */
int gone_find(struct shelf *shelf, struct segment *const *segments, unsigned n, struct docset *ret,
              struct emlfs_err *err);
bool gone_not(void *arg, uint32_t doc); /* arg: such a set, with bits */

/* ---- a part of the snapshot, and the documents of it that are looked at */

struct view {
    struct shelf *shelf;
    const struct snapshot *snapshot;
    unsigned at;          /* in the snapshot */
    uint32_t first, last; /* documents of the part, as known when the search began */
    uint32_t low, high;   /* looked at */
    const atomic_bool *cancel;
};
static inline struct part *view_part(const struct view *view)
{
    return view->snapshot->v[view->at];
}
static inline bool view_cancelled(const struct view *view)
{
    return view->cancel && atomic_load(view->cancel);
}
/* So few documents that making something for the whole segment does not pay. */
static inline bool view_is_narrow(const struct view *view)
{
    return (uint64_t)(view->high - view->low) * 32 < view->last - view->first;
}

/* ---- filings.c: who has a document, as later segments left it */

struct filing_keys {
    enum filing_kind kind;
    const uint32_t *v;
    unsigned n;
};
/* Documents that are in at least one of keys. */
int filings_set(const struct view *view, const struct filing_keys *keys, struct docset *ret,
                struct emlfs_err *err);

/* ---- attrs.c: conditions on attributes */

enum column { COLUMN_MTIME, COLUMN_ARCHIVED, COLUMN_SIZE, COLUMN_PRIORITY, COLUMN_ATTACHMENT };
struct condition {
    enum column column;
    int64_t from, to; /* inclusive */
    bool exclude;
};
#define CONDITIONS_MAX EMLFS_QUERY_TERMS_MAX
struct attrs {
    const struct view *view;
    const struct condition *conditions;
    unsigned n;
    const uint32_t *columns[CONDITIONS_MAX]; /* by first document; NULL: ask the segment */
    struct blob *blobs[CONDITIONS_MAX];
    struct attr_reader *reader; /* NULL: not needed yet */
};
/* expected: how many documents will be asked for. */
int attrs_open(const struct view *view, const struct condition *conditions, unsigned n,
               uint32_t expected, struct attrs *ret, struct emlfs_err *err);
void attrs_close(struct attrs *attrs);
/* 1: all conditions hold; 0; negative. */
int attrs_hold(struct attrs *attrs, uint32_t doc, struct emlfs_err *err);

/* ---- token.c: documents of one token of the query; words.c: of tokens next to each other */

struct terms { /* of a segment that a token stands for */
    struct emlfs_buf bytes;
    struct {
        uint32_t at, len, docs;
    } * v;
    unsigned n, cap;
    uint64_t docs;
};
int terms_find(struct segment *segment, const struct emlfs_query_token *token, struct terms *ret,
               struct emlfs_err *err);
void terms_free(struct terms *terms);
static inline struct emlfs_span terms_at(const struct terms *terms, unsigned i)
{
    return emlfs_span_of(terms->bytes.data + terms->v[i].at, terms->v[i].len);
}

#define CURSOR_TERMS_MAX 256u /* that one cursor follows at a time */
struct cursor {               /* the union of terms */
    unsigned n;
    struct postings **postings;
    uint32_t *docs; /* where each stands */
    unsigned *heap; /* of indexes, the one with the greatest document first */
    uint32_t count; /* documents at most */
    bool begun;
    uint32_t *positions; /* collected, when several stand at the same document */
    unsigned positions_cap;
};
int cursor_open(struct segment *segment, const struct terms *terms, unsigned from, unsigned n,
                struct cursor *ret, struct emlfs_err *err);
void cursor_close(struct cursor *cursor);
/* As postings_seek. */
int64_t cursor_seek(struct cursor *cursor, uint32_t doc, struct emlfs_err *err);
unsigned cursor_fields(const struct cursor *cursor, uint32_t doc);
int cursor_positions(struct cursor *cursor, uint32_t doc, const uint32_t **ret, unsigned *ret_n,
                     struct emlfs_err *err);

struct words;
/* *ret NULL: no document of the view can match. */
int words_open(const struct view *view, const struct emlfs_query_term *term, struct words **ret,
               struct emlfs_err *err);
void words_close(struct words *words);
uint32_t words_count(const struct words *words); /* documents at most */
int64_t words_seek(struct words *words, uint32_t doc, struct emlfs_err *err);

/* ---- plan.c: a query, made ready */

struct plan_folders {
    bool exclude;
    struct folder_ids ids;
};
struct plan {
    const struct emlfs_search *search;
    bool nothing; /* no message can match */
    const struct emlfs_query_term *words[EMLFS_QUERY_TERMS_MAX];
    unsigned words_n;
    struct condition conditions[CONDITIONS_MAX];
    unsigned conditions_n;
    struct plan_folders folders[EMLFS_QUERY_TERMS_MAX];
    unsigned folders_n;
    const struct emlfs_query_term *stores[EMLFS_QUERY_TERMS_MAX];
    unsigned stores_n;
};
int plan_make(struct emlfs_index *index, const struct emlfs_search *search, struct plan *ret,
              struct emlfs_err *err);
void plan_free(struct plan *plan);
/* Whether messages of the store may match. */
bool plan_takes_store(const struct plan *plan, const struct shelf *shelf);

/* ---- match.c: all of it over one part */

struct hits {
    int (*each)(void *arg, struct emlfs_msg_id id);
    void *arg;
};
int match_run(const struct plan *plan, const struct view *view, const struct hits *hits,
              struct emlfs_err *err);

#endif
