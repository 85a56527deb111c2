/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "memseg_read.h"

#include <stdlib.h>

/*
 * Statements of a segment file, read: groups of a key, each a number of runs of neighbouring
 * documents, told from high to low. Invariants (store/FORMAT.md): S-FILING-1 statements stand in
 * the order of kind, key and descending document, and none is made twice; S-FILING-2 a group ends
 * in its block.
 */

int filing_compare(const struct filing *a, const struct filing *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    return (a->doc < b->doc) - (a->doc > b->doc);
}

static int group_take(struct filing_walk *walk)
{
    struct emlfs_cursor *cur = &walk->cur;
    const struct filing before = walk->now;
    walk->now.kind = emlfs_cursor_u8(cur);
    walk->now.key = (uint32_t)emlfs_cursor_varint_max(cur, UINT32_MAX);
    walk->runs = emlfs_cursor_u32le(cur);
    walk->now.doc = UINT32_MAX;
    walk->left = 0;
    if (cur->bad || walk->runs == 0 || walk->now.kind >= FILING_KINDS)
        return -EUCLEAN;
    const bool above = walk->now.kind > before.kind ||
                       (walk->now.kind == before.kind && walk->now.key > before.key);
    const bool follows = !walk->began || above; /* S-FILING-1 */
    walk->began = true;
    return follows ? 0 : -EUCLEAN;
}

static int run_take(struct filing_walk *walk)
{
    struct emlfs_cursor *cur = &walk->cur;
    /* now.doc is the highest that may come: the gap leads from there to the first of the run. */
    const uint64_t gap = emlfs_cursor_varint_max(cur, walk->now.doc);
    const uint64_t code = emlfs_cursor_varint(cur);
    const uint64_t first = walk->now.doc - gap;
    if (cur->bad || first == 0 || code >> 1 >= first)
        return -EUCLEAN;
    walk->now.doc = (uint32_t)first;
    walk->now.in = code & 1;
    walk->left = (uint32_t)(code >> 1) + 1;
    walk->runs--;
    return 0;
}

/*
 * Between statements now.doc is the highest document that may come; while one is given out it is
 * that statement's, so it steps down first.
 */
int filing_decode(struct filing_walk *walk)
{
    if (walk->given) {
        walk->now.doc--;
        walk->given = false;
    }
    while (walk->left == 0) {
        if (walk->runs == 0 && emlfs_cursor_left(&walk->cur) == 0)
            return 0;
        int r = walk->runs == 0 ? group_take(walk) : run_take(walk);
        if (r < 0)
            return r;
    }
    walk->left--;
    walk->given = true;
    return 1;
}

static int filing_block_enter(struct filing_walk *walk, uint32_t index, struct emlfs_err *err)
{
    struct block_pages pages;
    block_put(walk->file, walk->block);
    walk->block = NULL;
    int r = block_get(walk->file, STREAM_FILINGS, index, &walk->block, err);
    if (r < 0)
        return r;
    if (block_pages_of(block_bytes(walk->block), &pages) < 0 || pages.n != 1)
        return segment_impossible(err, "filings");
    walk->index = index;
    walk->cur = emlfs_cursor_of(pages.bytes);
    walk->runs = walk->left = 0;
    walk->given = walk->began = false;
    return 0;
}

static int filing_key_compare(const void *key, struct emlfs_span first)
{
    const struct filing *wanted = key;
    struct emlfs_cursor cur = emlfs_cursor_of(first);
    struct filing at = {.kind = emlfs_cursor_u8(&cur)};
    at.key = emlfs_cursor_u32be(&cur);
    at.doc = ~emlfs_cursor_u32be(&cur);
    return filing_compare(wanted, &at);
}

int filing_walk_begin(struct segment_file *file, const struct filing *from, struct filing_walk *ret,
                      struct emlfs_err *err)
{
    *ret = (struct filing_walk){.file = file};
    if (file->streams[STREAM_FILINGS].n == 0)
        return 0;
    const int64_t found = stream_find(&file->streams[STREAM_FILINGS], from, filing_key_compare);
    return filing_block_enter(ret, found < 0 ? 0 : (uint32_t)found, err);
}

int filing_walk_next(struct filing_walk *walk, struct emlfs_err *err)
{
    if (!walk->block)
        return 0;
    for (;;) {
        int r = filing_decode(walk);
        if (r < 0)
            return segment_impossible(err, "filings");
        if (r == 1 && walk->any && filing_compare(&walk->last, &walk->now) >= 0)
            return segment_impossible(err, "filings");
        if (r == 1) {
            walk->any = true;
            walk->last = walk->now;
            return 1;
        }
        if (walk->index + 1 >= walk->file->streams[STREAM_FILINGS].n)
            return 0;
        r = filing_block_enter(walk, walk->index + 1, err);
        if (r < 0)
            return r;
    }
}

void filing_walk_end(struct filing_walk *walk)
{
    if (walk->block)
        block_put(walk->file, walk->block);
    walk->block = NULL;
}

/* Skip what a run holds above document high without giving it out. */
static void run_skip(struct filing_walk *walk, uint32_t high)
{
    if (!walk->given || walk->now.doc <= high)
        return;
    const uint32_t above = walk->now.doc - high - 1;
    const uint32_t n = above < walk->left ? above : walk->left;
    walk->now.doc -= n;
    walk->left -= n;
}

static int file_filings(struct segment_file *file, const struct filing_range *range,
                        int (*each)(void *arg, uint32_t doc, bool in), void *arg,
                        struct emlfs_err *err)
{
    const struct filing from = {
        .kind = (uint8_t)range->kind, .key = range->key, .doc = range->high};
    struct filing_walk walk;
    int r = filing_walk_begin(file, &from, &walk, err);
    while (r == 0 && (r = filing_walk_next(&walk, err)) == 1) {
        const struct filing now = walk.now;
        const bool same = now.kind == from.kind && now.key == from.key;
        r = 0;
        if (same && now.doc >= range->low && now.doc <= range->high)
            r = each(arg, now.doc, now.in);
        else if (filing_compare(&now, &from) > 0)
            break;
        else
            run_skip(&walk, same ? range->high : 0);
    }
    filing_walk_end(&walk);
    return r;
}

static int memory_filings(struct memseg *mem, const struct filing_range *range,
                          int (*each)(void *arg, uint32_t doc, bool in), void *arg)
{
    struct filing *filings;
    size_t n;
    int r = memseg_filings(mem, range, &filings, &n);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r == 0; i++)
        r = each(arg, filings[i].doc, filings[i].in);
    free(filings);
    return r;
}

int segment_filings(struct segment *segment, const struct filing_range *range,
                    int (*each)(void *arg, uint32_t doc, bool in), void *arg, struct emlfs_err *err)
{
    if (segment->mem)
        return memory_filings(segment->mem, range, each, arg);
    return file_filings(segment->file, range, each, arg, err);
}

static int file_outs(struct segment_file *file, int (*each)(void *arg, uint32_t doc), void *arg,
                     struct emlfs_err *err)
{
    static const struct filing from = {.kind = FILING_USER, .doc = UINT32_MAX};
    struct filing_walk walk;
    int r = filing_walk_begin(file, &from, &walk, err);
    while (r == 0 && (r = filing_walk_next(&walk, err)) == 1) {
        r = 0;
        if (walk.now.kind != FILING_USER || walk.now.in)
            run_skip(&walk, 0);
        else
            r = each(arg, walk.now.doc);
    }
    filing_walk_end(&walk);
    return r;
}

static int memory_outs(struct memseg *mem, int (*each)(void *arg, uint32_t doc), void *arg)
{
    struct filing *filings;
    size_t n;
    int r = memseg_filings(mem, NULL, &filings, &n);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n && r == 0; i++)
        if (filings[i].kind == FILING_USER && !filings[i].in)
            r = each(arg, filings[i].doc);
    free(filings);
    return r;
}

int segment_outs(struct segment *segment, int (*each)(void *arg, uint32_t doc), void *arg,
                 struct emlfs_err *err)
{
    if (segment->mem)
        return memory_outs(segment->mem, each, arg);
    return file_outs(segment->file, each, arg, err);
}
