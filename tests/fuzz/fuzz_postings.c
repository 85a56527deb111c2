/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "../../store/index/segment_internal.h"

/*
 * Contents of index blocks below their seal. The first byte chooses, the second is a count. Checked
 * beyond memory safety: what decodes keeps its invariants, and encodes to something that decodes to
 * the same.
 */

static void demand(bool truth)
{
    if (!truth)
        abort();
}

/* Of exactly the size and its padding, so that a sanitizer sees each read behind that. */
static uint8_t *padded(struct emlfs_span in)
{
    uint8_t *copy = malloc(in.len + BITS_PAD_BYTES);
    demand(copy);
    memcpy(copy, in.data, in.len);
    memset(copy + in.len, 0, BITS_PAD_BYTES);
    return copy;
}

static void docs_again(const struct docs_run *run, uint32_t base, bool masks)
{
    struct emlfs_buf out = EMLFS_BUF_INIT(DOCS_BYTES_MAX + 4096);
    struct docs_run from = *run, to = {.n = run->n};
    if (!masks)
        memset(from.mask, MASK_BODY, sizeof(from.mask));
    demand(docs_encode(&out, base, &from) == 0 && out.len <= DOCS_BYTES_MAX);
    demand(emlfs_buf_reserve(&out, BITS_PAD_BYTES) == 0);
    demand(docs_decode(emlfs_buf_view(&out), base, from.far[run->n - 1], &to) == 0);
    demand(docs_decode_masks(emlfs_buf_view(&out), &to) == 0);
    demand(memcmp(to.far, from.far, run->n * sizeof(to.far[0])) == 0);
    demand(memcmp(to.mask, from.mask, run->n) == 0);
    emlfs_buf_free(&out);
}

static void docs_fuzz(struct emlfs_span in, unsigned n)
{
    uint8_t *copy = padded(in);
    const struct emlfs_span bytes = emlfs_span_of(copy, in.len);
    const uint32_t base = (uint32_t)in.len * 37u, limit = UINT32_MAX - 1;
    struct docs_run run = {.n = n};
    if (docs_decode(bytes, base, limit, &run) == 0) {
        demand(run.far[0] >= base && run.far[n - 1] <= limit);
        for (unsigned i = 1; i < n; i++)
            demand(run.far[i] > run.far[i - 1]);
        docs_again(&run, base, docs_decode_masks(bytes, &run) == 0);
    }
    free(copy);
}

static void positions_again(const struct positions_walk *walk, const uint32_t *positions)
{
    struct emlfs_buf out = EMLFS_BUF_INIT(16u << 20);
    struct positions_walk again;
    demand(positions_encode(&out, walk->tf, walk->n, positions) == 0);
    demand(emlfs_buf_reserve(&out, BITS_PAD_BYTES) == 0);
    demand(positions_begin(emlfs_buf_view(&out), walk->n, &again) == 0);
    for (unsigned i = 0; i < walk->n; i++) {
        uint32_t *taken = malloc(again.tf[i] * sizeof(*taken));
        demand(taken && again.tf[i] == walk->tf[i]);
        demand((i % 2 ? positions_take(&again, taken) : positions_skip(&again)) == 0);
        demand(i % 2 == 0 || memcmp(taken, positions, walk->tf[i] * sizeof(*taken)) == 0);
        positions += walk->tf[i];
        free(taken);
    }
    emlfs_buf_free(&out);
}

static void positions_fuzz(struct emlfs_span in, unsigned n)
{
    uint8_t *copy = padded(in);
    struct positions_walk walk;
    uint32_t *positions = NULL, total = 0;
    int r = positions_begin(emlfs_span_of(copy, in.len), n, &walk);
    for (unsigned i = 0; i < n && r == 0; i++)
        total += walk.tf[i];
    demand(r < 0 || total <= in.len * 8);
    positions = malloc((total + 1) * sizeof(*positions));
    demand(positions);
    uint32_t *at = positions;
    while (r == 0 && walk.next < n) {
        const uint32_t tf = walk.tf[walk.next];
        r = positions_take(&walk, at);
        for (uint32_t i = 1; i < tf && r == 0; i++)
            demand(at[i] > at[i - 1]);
        at += tf;
    }
    if (r == 0)
        positions_again(&walk, positions);
    free(positions);
    free(copy);
}

static void page_fuzz(struct emlfs_span page, enum stream_kind kind)
{
    struct term_walk walk = {.kind = kind};
    uint8_t before[TOKEN_MAX_BYTES];
    unsigned len = 0;
    if (term_page_head(&walk, page) < 0)
        return;
    while (term_page_next(&walk) == 1) {
        demand(walk.len > 0 && walk.len <= TOKEN_MAX_BYTES);
        const int order = memcmp(before, walk.term, len < walk.len ? len : walk.len);
        demand(order < 0 || (order == 0 && len < walk.len));
        memcpy(before, walk.term, walk.len);
        len = walk.len;
        demand(kind == STREAM_REVERSED || walk.entry.df > 0);
    }
}

static void terms_fuzz(struct emlfs_span in, enum stream_kind kind)
{
    struct block_pages pages;
    if (block_pages_of(in, &pages) < 0)
        return;
    for (uint32_t i = 0; i < pages.n; i++)
        page_fuzz(block_page(&pages, i), kind);
}

static void attrs_fuzz(struct emlfs_span in)
{
    struct emlfs_buf out = EMLFS_BUF_INIT(1u << 20);
    struct attr_page page, again;
    struct attr_row rows[ATTR_PAGE], row;
    if (attr_page_decode(in, &page) < 0)
        return;
    for (unsigned i = 0; i < page.n; i++) {
        attr_page_row(&page, i, &rows[i]);
        (void)field_of_position(&rows[i].lens, 1000);
    }
    demand(attr_page_encode(&out, rows, page.n) == 0);
    demand(attr_page_decode(emlfs_buf_view(&out), &again) == 0 && again.n == page.n);
    for (unsigned i = 0; i < page.n; i++) {
        attr_page_row(&again, i, &row);
        demand(row.attr.doc == rows[i].attr.doc && row.attr.mtime_sec == rows[i].attr.mtime_sec);
        demand(row.attr.size_bytes == rows[i].attr.size_bytes &&
               row.envelope_at == rows[i].envelope_at &&
               memcmp(&row.lens, &rows[i].lens, sizeof(row.lens)) == 0);
    }
    emlfs_buf_free(&out);
}

static void filings_fuzz(struct emlfs_span in)
{
    struct filing_walk walk = {.cur = emlfs_cursor_of(in)};
    struct filing before = {0};
    for (unsigned n = 0; n < 10000 && filing_decode(&walk) == 1; n++) {
        demand(walk.now.doc > 0 && walk.now.kind < FILING_KINDS);
        demand(n == 0 || filing_compare(&before, &walk.now) < 0);
        before = walk.now;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    const struct emlfs_span in = emlfs_span_of(data + 2, size - 2);
    const unsigned n = 1 + data[1] % POSTINGS_RUN;
    switch (data[0] % 6) {
    case 0:
        docs_fuzz(in, n);
        break;
    case 1:
        positions_fuzz(in, n);
        break;
    case 2:
        terms_fuzz(in, STREAM_TERMS);
        break;
    case 3:
        terms_fuzz(in, STREAM_REVERSED);
        break;
    case 4:
        attrs_fuzz(in);
        break;
    default:
        filings_fuzz(in);
        break;
    }
    return 0;
}
