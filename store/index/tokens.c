/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Folded text into tokens, by the rules of emlfs-query(7). */
#include "tokens.h"

#include <utf8proc.h>

#include "utf8.h"

struct range {
    int32_t first, last;
};

bool codepoint_is_cjk(int32_t c)
{
    static const struct range ranges[] = {
        {0x1100, 0x11FF}, {0x2E80, 0x2FDF}, {0x3005, 0x3007}, {0x3021, 0x3029}, {0x3031, 0x3035},
        {0x3040, 0x312F}, {0x3131, 0x318F}, {0x31A0, 0x31BF}, {0x31F0, 0x31FF}, {0x3400, 0x4DBF},
        {0x4E00, 0x9FFF}, {0xA960, 0xA97F}, {0xAC00, 0xD7FF}, {0xF900, 0xFAFF}, {0x20000, 0x3FFFF}};
    if (c < 0x1100)
        return false;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (c <= ranges[i].last)
            return c >= ranges[i].first && codepoint_is_word(c);
    return false;
}

static bool ascii_is_word(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
}

bool codepoint_is_word(int32_t c)
{
    if (c < 0x80)
        return c >= 0 && ascii_is_word((uint8_t)c);
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

/* The data of an empty span may be NULL, to which nothing may be added. */
static const uint8_t *span_end(struct emlfs_span span)
{
    return span.len > 0 ? span.data + span.len : span.data;
}

struct token_walk token_walk_of(struct emlfs_span folded)
{
    return (struct token_walk){.pos = folded.data, .end = span_end(folded)};
}

/* To the next word character; false at the end. */
static bool walk_skip(struct token_walk *walk)
{
    for (; walk->pos < walk->end; walk->pos++) {
        if (*walk->pos < 0x80) {
            if (ascii_is_word(*walk->pos))
                return true;
            continue;
        }
        unsigned len;
        if (codepoint_is_word(utf8_decode(walk->pos, walk->end, &len)))
            return true;
        walk->pos += len - 1;
    }
    return false;
}

static const uint8_t *cjk_run_end(const uint8_t *pos, const uint8_t *end)
{
    unsigned len;
    while (pos < end && codepoint_is_cjk(utf8_decode(pos, end, &len)))
        pos += len;
    return pos;
}

static void cjk_next(struct token_walk *walk, struct token *ret)
{
    unsigned len, second = 0;
    utf8_decode(walk->pos, walk->cjk_end, &len);
    const uint8_t *next = walk->pos + len;
    if (next < walk->cjk_end)
        utf8_decode(next, walk->cjk_end, &second);
    *ret = (struct token){emlfs_span_of(walk->pos, len + second), true};
    walk->pos = next;
    if (next == walk->cjk_end)
        walk->cjk_end = NULL;
}

/* A run of word characters that are not CJK; the first is known to be one. */
static void word_next(struct token_walk *walk, struct token *ret)
{
    const uint8_t *begin = walk->pos;
    const uint8_t *pos = begin;
    const uint8_t *end = walk->end;
    const uint8_t *cut = NULL;
    for (unsigned n = 0; pos < end; n++) {
        unsigned len = 1;
        if (n == TOKEN_MAX_CHARS)
            cut = pos;
        if (*pos >= 0x80) {
            int32_t c = utf8_decode(pos, end, &len);
            if (!codepoint_is_word(c) || codepoint_is_cjk(c))
                break;
        } else if (!ascii_is_word(*pos)) {
            break;
        }
        pos += len;
    }
    *ret = (struct token){emlfs_span_of(begin, (size_t)((cut ? cut : pos) - begin)), false};
    walk->pos = pos;
}

bool token_walk_next(struct token_walk *walk, struct token *ret)
{
    if (!walk->cjk_end) {
        unsigned len;
        if (!walk_skip(walk))
            return false;
        if (*walk->pos >= 0x80 && codepoint_is_cjk(utf8_decode(walk->pos, walk->end, &len)))
            walk->cjk_end = cjk_run_end(walk->pos, walk->end);
    }
    if (walk->cjk_end)
        cjk_next(walk, ret);
    else
        word_next(walk, ret);
    return true;
}

bool glob_match(struct emlfs_span pattern, struct emlfs_span token)
{
    const uint8_t *p = pattern.data, *p_end = span_end(pattern);
    const uint8_t *t = token.data, *t_end = span_end(token);
    const uint8_t *star = NULL, *retry = NULL; /* behind the last star; what it has not eaten */
    unsigned len;
    while (t < t_end) {
        utf8_decode(t, t_end, &len);
        if (p < p_end && *p == '*') {
            star = ++p;
            retry = t;
        } else if (p < p_end && *p == '?') {
            p++;
            t += len;
        } else if (p < p_end && (size_t)(p_end - p) >= len && memcmp(p, t, len) == 0) {
            p += len;
            t += len;
        } else if (star) {
            utf8_decode(retry, t_end, &len);
            t = retry += len;
            p = star;
        } else {
            return false;
        }
    }
    while (p < p_end && *p == '*')
        p++;
    return p == p_end;
}
