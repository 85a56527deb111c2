/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Words of a query into tokens that fit the tokens of mail (tokens.c): the same folding and
 * splitting, and wildcards, which count as word characters.
 */
#include <stdlib.h>

#include "query_internal.h"
#include "tokens.h"
#include "utf8.h"

#define WILD_MANY (-1) /* '*' */
#define WILD_ONE (-2)  /* '?' */

/* A folded code point or a wildcard, and where it comes from. */
struct element {
    int32_t c;
    unsigned at;
};
struct words {
    struct query_reading *reading;
    struct element *v;
    unsigned n;
    struct emlfs_query_token tokens[EMLFS_QUERY_TOKENS_MAX];
    unsigned tokens_n;
    struct element *open_cjk; /* last character of a run that ended, if its token is still due */
};

static bool is_wild(const struct element *e)
{
    return e->c < 0;
}

static bool is_cjk(const struct element *e)
{
    return codepoint_is_cjk(e->c);
}

static bool is_part(const struct element *e)
{
    return is_wild(e) || codepoint_is_word(e->c);
}

/* ---- elements */

static int elements_append(struct emlfs_buf *out, int32_t c, unsigned at)
{
    struct element element = {c, at};
    return emlfs_buf_append(out, &element, sizeof(element));
}

/* Characters [first, last) of the value, folded as one text. */
static int elements_fold(struct query_value value, unsigned first, unsigned last,
                         struct emlfs_buf *out)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES * 16);
    int r = 0;
    for (unsigned i = first; r == 0 && i < last; i++) {
        uint8_t bytes[UTF8_MAX_BYTES];
        r = emlfs_buf_append(&text, bytes, utf8_encode(value.v[i].c, bytes));
    }
    if (r == 0)
        r = text_fold(emlfs_buf_view(&text), &folded);
    const uint8_t *pos = folded.data, *end = folded.len > 0 ? pos + folded.len : pos;
    while (r == 0 && pos < end) {
        unsigned len;
        r = elements_append(out, utf8_decode(pos, end, &len), value.v[first].at);
        pos += len;
    }
    return r;
}

static int elements_of(struct query_value value, struct emlfs_buf *out)
{
    unsigned first = 0;
    int r = 0;
    for (unsigned i = 0; r == 0 && i <= value.n; i++) {
        int32_t c = i < value.n ? value.v[i].c : 0;
        bool wild = i < value.n && !value.quoted && (c == '*' || c == '?');
        if (i < value.n && !wild)
            continue;
        r = elements_fold(value, first, i, out);
        if (r == 0 && wild)
            r = elements_append(out, c == '*' ? WILD_MANY : WILD_ONE, value.v[i].at);
        first = i + 1;
    }
    return r;
}

/* Wildcards next to CJK: '*' says nothing there and goes, '?' is a mistake. */
static int wild_beside_cjk(struct words *words)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < words->n;) {
        unsigned end = i;
        while (end < words->n && is_wild(&words->v[end]))
            end++;
        bool beside = end > i && ((kept > 0 && is_cjk(&words->v[kept - 1])) ||
                                  (end < words->n && is_cjk(&words->v[end])));
        for (; i < end; i++) {
            if (beside && words->v[i].c == WILD_ONE)
                return query_mistake(words->reading->mistake, EINVAL, words->v[i].at,
                                     "'?' next to a character that is found without it");
            if (!beside)
                words->v[kept++] = words->v[i];
        }
        if (i < words->n)
            words->v[kept++] = words->v[i++];
    }
    words->n = kept;
    return 0;
}

/* ---- tokens */

static int words_too_big(struct words *words, const char *what, unsigned limit)
{
    struct query_value value = words->reading->value;
    return query_mistake(words->reading->mistake, E2BIG, value.v[0].at, "%s %u %s", what, limit,
                         limit == TOKEN_MAX_BYTES ? "bytes" : "words");
}

static int token_add(struct words *words, struct emlfs_span text, bool glob)
{
    if (words->tokens_n == EMLFS_QUERY_TOKENS_MAX)
        return words_too_big(words, "a phrase of more than", EMLFS_QUERY_TOKENS_MAX);
    if (text.len > TOKEN_MAX_BYTES)
        return words_too_big(words, "a pattern of more than", TOKEN_MAX_BYTES);
    struct emlfs_query_token *token = &words->tokens[words->tokens_n];
    int r = query_keep(words->reading->query, text, &token->text);
    if (r < 0)
        return r;
    token->glob = glob;
    words->tokens_n++;
    return 0;
}

/* first, and second (may be NULL); with many, any ending behind them. */
static int token_add_cjk(struct words *words, const struct element *first,
                         const struct element *second, bool many)
{
    uint8_t bytes[2 * UTF8_MAX_BYTES + 1];
    size_t len = utf8_encode(first->c, bytes);
    if (second)
        len += utf8_encode(second->c, bytes + len);
    if (many)
        bytes[len++] = '*';
    return token_add(words, emlfs_span_of(bytes, len), many);
}

/* In mail the last character of a run has a token of its own: it is due when more follows. */
static int token_close_cjk(struct words *words)
{
    const struct element *last = words->open_cjk;
    words->open_cjk = NULL;
    return last ? token_add_cjk(words, last, NULL, true) : 0;
}

static int run_cjk(struct words *words, struct element *v, unsigned n)
{
    int r = token_close_cjk(words);
    for (unsigned i = 0; r == 0 && i + 1 < n; i++)
        r = token_add_cjk(words, &v[i], &v[i + 1], false);
    if (r == 0 && n == 1)
        return token_add_cjk(words, v, NULL, true);
    words->open_cjk = &v[n - 1];
    return r;
}

/* Wildcards [0, n) as '?'s and at most one '*' behind them, which is the same. */
static int wilds_append(const struct element *v, unsigned n, struct emlfs_buf *out)
{
    bool many = false;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < n; i++) {
        many = many || v[i].c == WILD_MANY;
        if (v[i].c == WILD_ONE)
            r = emlfs_buf_append_u8(out, '?');
    }
    return r == 0 && many ? emlfs_buf_append_u8(out, '*') : r;
}

static int run_word(struct words *words, const struct element *v, unsigned n)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_QUERY_MAX_BYTES * 16);
    bool glob = false;
    int r = token_close_cjk(words);
    for (unsigned i = 0; i < n; i++)
        glob = glob || is_wild(&v[i]);
    if (!glob && n > TOKEN_MAX_CHARS)
        n = TOKEN_MAX_CHARS;
    for (unsigned i = 0; r == 0 && i < n;) {
        unsigned end = i;
        uint8_t bytes[UTF8_MAX_BYTES];
        while (end < n && is_wild(&v[end]))
            end++;
        r = wilds_append(v + i, end - i, &text);
        if (r == 0 && end < n)
            r = emlfs_buf_append(&text, bytes, utf8_encode(v[end].c, bytes));
        i = end + 1;
    }
    return r == 0 ? token_add(words, emlfs_buf_view(&text), glob) : r;
}

/* A piece between separators, cut where CJK begins or ends. */
static int piece_add(struct words *words, struct element *v, unsigned n)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < n;) {
        unsigned begin = i;
        bool cjk = is_cjk(&v[i]);
        while (i < n && is_cjk(&v[i]) == cjk)
            i++;
        r = cjk ? run_cjk(words, v + begin, i - begin) : run_word(words, v + begin, i - begin);
    }
    return r;
}

static bool piece_is_wild(const struct element *v, unsigned n)
{
    unsigned i = 0;
    while (i < n && is_wild(&v[i]))
        i++;
    return i == n;
}

/* Adds the pieces, or, without add, only looks for the mistakes that wildcards alone are. */
static int pieces_walk(struct words *words, bool add)
{
    const struct element *empty = NULL; /* the last piece of wildcards alone */
    unsigned found = 0;
    int r = 0;
    for (unsigned i = 0; r == 0 && i < words->n; i++) {
        unsigned begin = i;
        while (i < words->n && is_part(&words->v[i]))
            i++;
        if (i == begin)
            continue;
        if (piece_is_wild(words->v + begin, i - begin)) {
            empty = empty && found > 0 ? empty : &words->v[begin];
            continue;
        }
        if (empty && found > 0)
            return query_mistake(words->reading->mistake, EINVAL, empty->at,
                                 "a wildcard without a letter or digit beside it");
        empty = NULL;
        found++;
        r = add ? piece_add(words, words->v + begin, i - begin) : 0;
    }
    if (r == 0 && found == 0)
        return query_mistake(words->reading->mistake, EINVAL, words->reading->value.v[0].at,
                             empty ? "wildcards alone" : "no word to look for");
    return r;
}

int query_read_words(struct query_reading *reading)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf elements = EMLFS_BUF_INIT(SIZE_MAX);
    struct words words = {.reading = reading};
    struct emlfs_query_term *term = reading->term;
    int r = elements_of(reading->value, &elements);
    if (r < 0)
        return r;
    words.v = (struct element *)(void *)elements.data;
    words.n = (unsigned)(elements.len / sizeof(struct element));
    r = wild_beside_cjk(&words);
    if (r == 0)
        r = pieces_walk(&words, false);
    if (r == 0)
        r = pieces_walk(&words, true);
    if (r < 0)
        return r;
    term->tokens = calloc(words.tokens_n, sizeof(*term->tokens));
    if (!term->tokens)
        return -ENOMEM;
    memcpy(term->tokens, words.tokens, words.tokens_n * sizeof(*term->tokens));
    term->tokens_n = words.tokens_n;
    return 0;
}
