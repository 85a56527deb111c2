/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"

#include <stdlib.h>

/*
 * The dictionary of a segment file and its reversed list, read. Invariants checked here
 * (store/FORMAT.md): S-TERM-1 terms strictly ascend in a page; S-TERM-2 an entry ends in its page;
 * S-TERM-3 every term of the dictionary is in the reversed list.
 */

/* ---- pages */

static bool byte_take(struct term_walk *walk, uint8_t *ret)
{
    if (walk->pos == walk->end)
        return false;
    *ret = *walk->pos++;
    return true;
}

/* A varint; most are one byte. */
static bool varint_take(struct term_walk *walk, uint64_t *ret)
{
    if (walk->pos < walk->end && *walk->pos < 0x80) {
        *ret = *walk->pos++;
        return true;
    }
    struct emlfs_cursor cur = {.pos = walk->pos, .end = walk->end};
    *ret = emlfs_cursor_varint(&cur);
    walk->pos = cur.pos;
    return !cur.bad;
}

static bool u32_take(struct term_walk *walk, uint32_t *ret)
{
    uint64_t value;
    if (!varint_take(walk, &value) || value > UINT32_MAX)
        return false;
    *ret = (uint32_t)value;
    return true;
}

int term_page_head(struct term_walk *walk, struct emlfs_span page)
{
    walk->pos = page.data;
    walk->end = page.data + page.len;
    walk->len = 0;
    if (walk->kind == STREAM_REVERSED)
        return 0;
    return varint_take(walk, &walk->docs_at) && varint_take(walk, &walk->positions_at) &&
                   varint_take(walk, &walk->skips_at)
               ? 0
               : -EUCLEAN;
}

static bool single_take(struct term_walk *walk, bool body)
{
    struct term_entry *entry = &walk->entry;
    entry->df = 1;
    entry->inline_single = true;
    entry->mask = MASK_BODY;
    if (!body && !byte_take(walk, &entry->mask))
        return false;
    return entry->mask != 0 && u32_take(walk, &entry->far) && u32_take(walk, &entry->position);
}

static bool entry_take(struct term_walk *walk)
{
    struct term_entry *entry = &walk->entry;
    uint64_t code, docs_len, positions_len;
    *entry = (struct term_entry){
        .docs_at = walk->docs_at, .positions_at = walk->positions_at, .skips_at = walk->skips_at};
    if (!varint_take(walk, &code))
        return false;
    if (code < 2)
        return single_take(walk, code == 0);
    code -= 2;
    if (code >> 1 >= UINT32_MAX || !varint_take(walk, &docs_len) ||
        !varint_take(walk, &positions_len))
        return false;
    entry->df = (uint32_t)(code >> 1) + 1;
    entry->skips = code & 1;
    if (entry->skips ? !u32_take(walk, &entry->skips_len)
                     : entry->df > POSTINGS_RUN || docs_len > DOCS_BYTES_MAX ||
                           positions_len > POSTINGS_RUN_BYTES_MAX)
        return false;
    if (!entry->skips) {
        entry->docs_len = (uint32_t)docs_len;
        entry->positions_len = (uint32_t)positions_len;
    }
    /* A sum that wraps is a place that reading will not find; it reads nothing wrong. */
    walk->docs_at += docs_len;
    walk->positions_at += positions_len;
    walk->skips_at += entry->skips_len;
    return true;
}

static bool term_take(struct term_walk *walk)
{
    uint8_t head = 0;
    uint32_t more = 0;
    if (!byte_take(walk, &head))
        return false;
    uint32_t same = head >> 4, rest = head & 15;
    if (same == 15 && (!u32_take(walk, &more) || (same += more) < more))
        return false;
    if (rest == 15 && (!u32_take(walk, &more) || (rest += more) < more))
        return false;
    if (same > walk->len || rest == 0 || rest > TOKEN_MAX_BYTES - same ||
        rest > (size_t)(walk->end - walk->pos))
        return false;
    /* S-TERM-1: a longer common beginning would have been told, so one byte decides. */
    if (same < walk->len && walk->pos[0] <= walk->term[same])
        return false;
    memcpy(walk->term + same, walk->pos, rest);
    walk->pos += rest;
    walk->len = same + rest;
    return true;
}

int term_page_next(struct term_walk *walk)
{
    if (walk->pos == walk->end)
        return 0;
    if (!term_take(walk) || (walk->kind == STREAM_TERMS && !entry_take(walk)))
        return -EUCLEAN;
    return 1;
}

/* ---- walking */

static int span_compare(struct emlfs_span a, struct emlfs_span b)
{
    const size_t n = a.len < b.len ? a.len : b.len;
    const int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int key_compare(const void *key, struct emlfs_span first)
{
    return span_compare(*(const struct emlfs_span *)key, first);
}

static int block_enter(struct term_walk *walk, uint32_t index, struct emlfs_err *err)
{
    block_put(walk->file, walk->block);
    walk->block = NULL;
    int r = block_get(walk->file, walk->kind, index, &walk->block, err);
    if (r < 0)
        return r;
    walk->index = index;
    walk->page = 0;
    walk->pos = walk->end = NULL;
    if (block_pages_of(block_bytes(walk->block), &walk->pages) < 0)
        return segment_impossible(err, "dictionary");
    return 0;
}

static int page_enter(struct term_walk *walk, uint32_t page, struct emlfs_err *err)
{
    walk->page = page + 1;
    if (term_page_head(walk, block_page(&walk->pages, page)) < 0)
        return segment_impossible(err, "dictionary");
    return 0;
}

/* Enter the last page of the block whose first term is <= from. */
static int page_find(struct term_walk *walk, struct emlfs_span from, struct emlfs_err *err)
{
    uint32_t low = 0, high = walk->pages.n;
    while (high - low > 1) {
        const uint32_t mid = low + (high - low) / 2;
        int r = page_enter(walk, mid, err);
        if (r < 0)
            return r;
        if (term_page_next(walk) != 1)
            return segment_impossible(err, "dictionary");
        if (span_compare(from, emlfs_span_of(walk->term, walk->len)) < 0)
            high = mid;
        else
            low = mid;
    }
    return page_enter(walk, low, err);
}

/* Go on to the first term that is not below from, and hold it. */
static int from_find(struct term_walk *walk, struct emlfs_span from, struct emlfs_err *err)
{
    int r;
    while ((r = term_walk_next(walk, err)) == 1) {
        walk->held = span_compare(emlfs_span_of(walk->term, walk->len), from) >= 0;
        if (walk->held)
            return 0;
    }
    return r;
}

int term_walk_begin(struct segment_file *file, enum stream_kind kind, struct emlfs_span from,
                    struct term_walk *ret, struct emlfs_err *err)
{
    memset(ret, 0, offsetof(struct term_walk, term));
    ret->file = file;
    ret->kind = kind;
    ret->len = 0;
    if (file->streams[kind].n == 0)
        return 0;
    const int64_t found = stream_find(&file->streams[kind], &from, key_compare);
    int r = block_enter(ret, found < 0 ? 0 : (uint32_t)found, err);
    if (r == 0)
        r = page_find(ret, from, err);
    if (r == 0)
        r = from_find(ret, from, err);
    if (r < 0)
        term_walk_end(ret);
    return r;
}

int term_walk_next(struct term_walk *walk, struct emlfs_err *err)
{
    if (!walk->block)
        return 0;
    if (walk->held) {
        walk->held = false;
        return 1;
    }
    for (;;) {
        int r = walk->pos ? term_page_next(walk) : 0;
        if (r < 0)
            return segment_impossible(err, "dictionary");
        if (r == 1)
            return 1;
        if (walk->page == walk->pages.n) {
            if (walk->index + 1 >= walk->file->streams[walk->kind].n)
                return 0;
            r = block_enter(walk, walk->index + 1, err);
        }
        if (r == 0)
            r = page_enter(walk, walk->page, err);
        if (r < 0)
            return r;
    }
}

void term_walk_end(struct term_walk *walk)
{
    if (walk->block)
        block_put(walk->file, walk->block);
    walk->block = NULL;
}

int segment_term_find(struct segment_file *file, struct emlfs_span term, struct term_entry *ret,
                      struct emlfs_err *err)
{
    struct term_walk walk;
    int r = term_walk_begin(file, STREAM_TERMS, term, &walk, err);
    if (r < 0)
        return r;
    r = term_walk_next(&walk, err);
    if (r == 1 && emlfs_span_equal(term, emlfs_span_of(walk.term, walk.len)))
        *ret = walk.entry;
    else if (r >= 0)
        r = -ENOENT;
    term_walk_end(&walk);
    return r < 0 ? r : 0;
}

/* ---- patterns */

typedef int (*each_term)(void *arg, struct emlfs_span term, uint32_t docs);

struct term_search {
    struct emlfs_span pattern;
    size_t prefix, suffix;    /* bytes before the first wildcard, behind the last */
    struct emlfs_span middle; /* the longest run of others, for a quick look */
    each_term each;
    void *arg;
};

static bool is_wild(uint8_t c)
{
    return c == '*' || c == '?';
}

static void ends_measure(struct term_search *search)
{
    const struct emlfs_span p = search->pattern;
    while (search->prefix < p.len && !is_wild(p.data[search->prefix]))
        search->prefix++;
    while (search->suffix < p.len && !is_wild(p.data[p.len - 1 - search->suffix]))
        search->suffix++;
    for (size_t at = 0, begin = 0; at <= p.len; at++) {
        if (at < p.len && !is_wild(p.data[at]))
            continue;
        if (at - begin > search->middle.len)
            search->middle = emlfs_span_of(p.data + begin, at - begin);
        begin = at + 1;
    }
}

static bool term_matches(const struct term_search *search, struct emlfs_span term)
{
    const struct emlfs_span middle = search->middle;
    if (middle.len > search->prefix &&
        (term.len < middle.len || !memmem(term.data, term.len, middle.data, middle.len)))
        return false;
    return glob_match(search->pattern, term);
}

static int forward_search(struct segment_file *file, const struct term_search *search,
                          struct emlfs_err *err)
{
    struct term_walk walk;
    const struct emlfs_span prefix = emlfs_span_of(search->pattern.data, search->prefix);
    int r = term_walk_begin(file, STREAM_TERMS, prefix, &walk, err);
    if (r < 0)
        return r;
    while ((r = term_walk_next(&walk, err)) == 1) {
        const struct emlfs_span term = emlfs_span_of(walk.term, walk.len);
        if (term.len < prefix.len || memcmp(term.data, prefix.data, prefix.len) != 0) {
            r = 0;
            break;
        }
        if (!term_matches(search, term))
            continue;
        r = search->each(search->arg, term, walk.entry.df);
        if (r != 0)
            break;
    }
    term_walk_end(&walk);
    return r;
}

static void bytes_reverse(const uint8_t *in, size_t len, uint8_t *out)
{
    for (size_t i = 0; i < len; i++)
        out[i] = in[len - 1 - i];
}

static int reversed_found(struct segment_file *file, const struct term_search *search,
                          const struct term_walk *walk, struct emlfs_err *err)
{
    uint8_t bytes[TOKEN_MAX_BYTES];
    struct term_entry entry;
    const struct emlfs_span term = emlfs_span_of(bytes, walk->len);
    bytes_reverse(walk->term, walk->len, bytes);
    if (!glob_match(search->pattern, term))
        return 0;
    int r = segment_term_find(file, term, &entry, err);
    /* A term whose documents all went may stay in the list for a while. */
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return search->each(search->arg, term, entry.df);
}

static int reversed_search(struct segment_file *file, const struct term_search *search,
                           struct emlfs_err *err)
{
    struct term_walk walk;
    uint8_t bytes[TOKEN_MAX_BYTES];
    const size_t n = search->suffix;
    if (n > sizeof(bytes))
        return 0;
    bytes_reverse(search->pattern.data + search->pattern.len - n, n, bytes);
    int r = term_walk_begin(file, STREAM_REVERSED, emlfs_span_of(bytes, n), &walk, err);
    if (r < 0)
        return r;
    while ((r = term_walk_next(&walk, err)) == 1) {
        if (walk.len < n || memcmp(walk.term, bytes, n) != 0) {
            r = 0;
            break;
        }
        r = reversed_found(file, search, &walk, err);
        if (r != 0)
            break;
    }
    term_walk_end(&walk);
    return r;
}

static int memory_terms(struct memseg *mem, const struct term_search *search)
{
    struct mem_terms found;
    int r = memseg_match(mem, search->pattern, &found);
    if (r < 0)
        return r;
    for (size_t i = 0; i < found.n && r == 0; i++)
        r = search->each(search->arg, mem_term_bytes(found.v[i].term),
                         memseg_term_df(mem, found.v[i].term));
    free(found.v);
    return r;
}

static int literal_search(struct segment *segment, const struct term_search *search,
                          struct emlfs_err *err)
{
    struct postings *postings;
    int r = postings_open(segment, search->pattern, &postings, err);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    const uint32_t docs = postings_count(postings);
    postings_free(postings);
    return search->each(search->arg, search->pattern, docs);
}

int segment_terms(struct segment *segment, struct emlfs_span pattern, bool glob, each_term each,
                  void *arg, struct emlfs_err *err)
{
    struct term_search search = {.pattern = pattern, .each = each, .arg = arg};
    ends_measure(&search);
    if (!glob || search.prefix == pattern.len)
        return literal_search(segment, &search, err);
    if (segment->mem)
        return memory_terms(segment->mem, &search);
    if (search.suffix > search.prefix)
        return reversed_search(segment->file, &search, err);
    return forward_search(segment->file, &search, err);
}
