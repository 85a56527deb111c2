/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "../../store/archive/content.h"

/*
 * Contents of BLOCK and EVENTS records below their seal, and recipes. The first byte chooses.
 * Checked beyond memory safety: a block that decodes encodes to the same meta part, a first part of
 * it decodes to the same messages, and any bytes split into a recipe come back.
 */

#define RAW_MAX_BYTES (64u << 20)

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void entries_fuzz(const struct block_message *message)
{
    struct emlfs_buf again = EMLFS_BUF_INIT(4u << 20);
    struct emlfs_span rest = message->entries;
    struct block_entry entry;
    unsigned n = 0;
    while (block_entry_next(&rest, &entry)) {
        demand(block_entry_append(&again, &entry) == 0);
        n++;
    }
    demand(n == message->entries_n && rest.len == 0);
    demand(emlfs_span_equal(message->entries, emlfs_buf_view(&again)));
    emlfs_buf_free(&again);
}

static void block_fuzz(struct emlfs_span in)
{
    struct emlfs_buf again = EMLFS_BUF_INIT(16u << 20);
    struct block block, part;
    int rc = block_decode(in, in.len, &block);
    demand(rc == 0 || rc == -EUCLEAN || rc == -EPROTONOSUPPORT);
    if (rc < 0)
        return;
    demand(block_encode_meta(&block, &again) == 0);
    demand(emlfs_span_equal(emlfs_buf_view(&again), emlfs_span_of(in.data, block.meta_len)));
    for (unsigned i = 0; i < block.n; i++)
        entries_fuzz(&block.v[i]);
    for (size_t cut = 0; cut < in.len; cut += 1 + in.len / 16) {
        rc = block_decode(emlfs_span_of(in.data, cut), in.len, &part);
        demand(rc == (cut < block.meta_len ? -EAGAIN : 0));
        demand(rc < 0 || part.n == block.n);
        block_free(&part);
    }
    block_free(&block);
    emlfs_buf_free(&again);
}

/* A plain length of the input's own making, as a record's header would claim it. */
static void part_fuzz(struct emlfs_span in)
{
    struct block block;
    size_t claimed = in.len + in.data[0] * 7u;
    int rc = block_decode(in, claimed, &block);
    demand(rc == 0 || rc == -EUCLEAN || rc == -EPROTONOSUPPORT || rc == -EAGAIN);
    demand(rc != -EAGAIN || claimed > in.len);
    block_free(&block);
}

static void events_fuzz(struct emlfs_span in)
{
    struct emlfs_buf again = EMLFS_BUF_INIT(4u << 20);
    struct events_head head;
    struct emlfs_span rest;
    struct event event;
    bool bad = false;
    if (events_decode(in, &head, &rest) < 0)
        return;
    demand(events_begin(&again, &head) == 0);
    while (event_next(&rest, &event, &bad))
        demand(event_append(&again, &event) == 0);
    demand(bad || emlfs_span_equal(in, emlfs_buf_view(&again)));
    emlfs_buf_free(&again);
}

static void recipe_fuzz(struct emlfs_span in)
{
    struct emlfs_buf again = EMLFS_BUF_INIT(8u << 20);
    struct recipe recipe;
    uint64_t text_len = in.data[0] * 31u, raw_len = text_len;
    int rc = recipe_decode(emlfs_span_of(in.data + 1, in.len - 1), text_len, raw_len, &recipe);
    demand(rc == 0 || rc == -EUCLEAN || rc == -E2BIG);
    if (rc < 0)
        return;
    demand(recipe_text_len(&recipe) == text_len);
    demand(recipe_encode(&recipe, &again) == 0);
    recipe_free(&recipe);
    emlfs_buf_free(&again);
}

static void segment_check(const struct segment *segment, struct emlfs_span *raw)
{
    struct emlfs_buf made = EMLFS_BUF_INIT(RAW_MAX_BYTES);
    struct emlfs_span bytes = segment->content;
    if (segment->kind == SEGMENT_BASE64 || segment->kind == SEGMENT_BLOB_BASE64) {
        demand(emlfs_buf_reserve(&made, (size_t)segment->raw_len) == 0);
        base64_encode(segment->content, &segment->shape, made.data);
        bytes = emlfs_span_of(made.data, (size_t)segment->raw_len);
    }
    demand(bytes.len == segment->raw_len && bytes.len > 0 && bytes.len <= raw->len);
    demand(memcmp(bytes.data, raw->data, bytes.len) == 0);
    *raw = emlfs_span_of(raw->data + bytes.len, raw->len - bytes.len);
    emlfs_buf_free(&made);
}

static void split_fuzz(struct emlfs_span raw)
{
    struct emlfs_buf bytes = EMLFS_BUF_INIT(8u << 20);
    struct recipe split, again;
    uint64_t raw_len = raw.len;
    demand(recipe_split(raw, &split) == 0);
    for (unsigned i = 0; i < split.n; i++)
        segment_check(&split.v[i], &raw);
    demand(raw.len == 0);
    demand(recipe_encode(&split, &bytes) == 0);
    demand(recipe_decode(emlfs_buf_view(&bytes), recipe_text_len(&split), raw_len, &again) == 0);
    demand(again.n == split.n);
    for (unsigned i = 0; i < split.n; i++)
        demand(again.v[i].kind == split.v[i].kind && again.v[i].raw_len == split.v[i].raw_len);
    recipe_free(&split);
    recipe_free(&again);
    emlfs_buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct emlfs_span in = emlfs_span_of(data + 1, size - 1);
    switch (data[0] % 5) {
    case 0:
        block_fuzz(in);
        break;
    case 1:
        part_fuzz(in);
        break;
    case 2:
        events_fuzz(in);
        break;
    case 3:
        recipe_fuzz(in);
        break;
    default:
        split_fuzz(in);
        break;
    }
    return 0;
}
