/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_INDEX_NAIVE_MATCH_H
#define EMLFS_TESTS_UNIT_INDEX_NAIVE_MATCH_H

#include "../../../store/index/tokens.h"
#include "engine_run.h"

/* Does a document match a query? By looking at all of it, each time. */

static inline bool naive_tokens_at(const struct emlfs_query_term *term, struct token_walk walk)
{
    for (unsigned i = 0; i < term->tokens_n; i++) {
        const struct emlfs_query_token *wanted = &term->tokens[i];
        struct token token;
        if (!token_walk_next(&walk, &token))
            return false;
        if (wanted->glob ? !glob_match(wanted->text, token.text)
                         : !emlfs_span_equal(wanted->text, token.text))
            return false;
    }
    return true;
}

static inline bool naive_words(const struct emlfs_query_term *term, const struct test_doc *doc)
{
    struct emlfs_buf folded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 16);
    for (unsigned i = 0; i < doc->pieces_n; i++) {
        struct token_walk walk;
        struct token token;
        if (!(term->fields >> doc->pieces[i].field & 1))
            continue;
        must(text_fold(emlfs_span_str(doc->pieces[i].text), &folded));
        walk = token_walk_of(emlfs_buf_view(&folded));
        do {
            if (naive_tokens_at(term, walk))
                return true;
        } while (token_walk_next(&walk, &token));
    }
    return false;
}

static inline unsigned naive_split(struct emlfs_span path, struct emlfs_span *ret)
{
    unsigned n = 0;
    for (size_t i = 0, begin = 0; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/' && path.data[i] != '\\')
            continue;
        if (i > begin)
            ret[n++] = emlfs_span_of(path.data + begin, i - begin);
        begin = i + 1;
    }
    return n;
}

static inline bool naive_folder(const struct emlfs_query_term *term, const char *path)
{
    struct emlfs_buf folded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_buf wanted EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_span have[64], want[64];
    unsigned have_n, want_n;
    bool from_top;
    must(text_fold(emlfs_span_str(path), &folded));
    must(text_fold(term->text, &wanted));
    have_n = naive_split(emlfs_buf_view(&folded), have);
    want_n = naive_split(emlfs_buf_view(&wanted), want);
    from_top = wanted.len > 0 && (wanted.data[0] == '/' || wanted.data[0] == '\\');
    for (unsigned at = 0; at + want_n <= have_n && (at == 0 || !from_top); at++) {
        bool all = true;
        for (unsigned i = 0; i < want_n; i++)
            all = all && glob_match(want[i], have[at + i]);
        if (all)
            return true;
    }
    return false;
}

static inline bool naive_days(const struct engine *engine, const struct emlfs_query_term *term,
                              int64_t ns)
{
    int64_t from, to;
    must(emlfs_query_span(term, emlfs_archive_now_ns(engine->life->archive), "UTC", &from, &to));
    return ns >= from && ns < to;
}

static inline bool naive_term(const struct engine *engine, const struct emlfs_query_term *term,
                              const struct test_doc *doc, struct emlfs_user_id user)
{
    char number[16];
    switch (term->kind) {
    case EMLFS_TERM_WORDS:
        return naive_words(term, doc);
    case EMLFS_TERM_DATE:
        return naive_days(engine, term, doc->mtime_sec * 1000000000);
    case EMLFS_TERM_ARCHIVED:
        return naive_days(engine, term, doc->archived_ns);
    case EMLFS_TERM_SIZE:
        return doc->size_bytes >= term->from && doc->size_bytes <= term->to;
    case EMLFS_TERM_ATTACHMENT:
        return doc->attachment;
    case EMLFS_TERM_PRIORITY:
        return doc->priority == term->number;
    case EMLFS_TERM_FOLDER:
        for (unsigned i = 0; i < doc->filed_n; i++) {
            const struct test_folder *folder = &engine->folders[doc->filed[i]];
            if (folder->user.v == user.v && naive_folder(term, folder->path))
                return true;
        }
        return false;
    case EMLFS_TERM_STORE:
        snprintf(number, sizeof(number), "%u", emlfs_msg_id_store(doc->id));
        return emlfs_span_equal(term->text, emlfs_span_str(number));
    }
    return false;
}

static inline bool naive_match(const struct engine *engine, const struct emlfs_query *query,
                               const struct test_doc *doc, struct emlfs_user_id user)
{
    bool own = false;
    for (unsigned i = 0; i < doc->filed_n; i++)
        own = own || engine->folders[doc->filed[i]].user.v == user.v;
    for (unsigned i = 0; own && i < query->terms_n; i++)
        own = naive_term(engine, &query->terms[i], doc, user) != query->terms[i].exclude;
    return own;
}

#endif
