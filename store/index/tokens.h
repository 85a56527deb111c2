/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_TOKENS_H
#define EMLFS_INDEX_TOKENS_H

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/* Folding and splitting of text, for mail and for queries alike (emlfs-query(7)). */
#define TOKEN_MAX_CHARS 64u
#define TOKEN_MAX_BYTES 256u

/*
 * Fold text (valid UTF-8, else -EILSEQ) into out, which is cleared first: the F of emlfs-query(7).
 * ASCII, by far the most, takes a fast way. -E2BIG, -ENOMEM.
 */
int text_fold(struct emlfs_span text, struct emlfs_buf *out);

/* Tokens of folded text. */
struct token {
    struct emlfs_span text; /* at most TOKEN_MAX_BYTES; borrowed from the folded text */
    bool cjk;
};
struct token_walk {
    const uint8_t *pos, *end;
    const uint8_t *cjk_end; /* inside a CJK run, else NULL */
};
struct token_walk token_walk_of(struct emlfs_span folded);
/* Each token takes one position. False at the end. */
bool token_walk_next(struct token_walk *walk, struct token *ret);

/* True for the code points emlfs-query(7) calls CJK; and for word characters. */
bool codepoint_is_cjk(int32_t c);
bool codepoint_is_word(int32_t c);

/* glob over one token, by code point: '*' any run, '?' one character. */
bool glob_match(struct emlfs_span pattern, struct emlfs_span token);

#endif
