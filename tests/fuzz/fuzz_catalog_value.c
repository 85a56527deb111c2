/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "../../store/archive/schema.h"

/*
 * Values of catalogue rows below their seal. The first byte chooses the kind. Checked beyond memory
 * safety: what decodes encodes to the same bytes again; a chunk, whose form is a compressed frame,
 * to one that decodes to the same entries.
 */

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void same(struct emlfs_span in, struct emlfs_buf *again, int rc)
{
    demand(rc == 0 && emlfs_span_equal(in, emlfs_buf_view(again)));
}

static void chunk_fuzz(struct emlfs_span in)
{
    struct chunk *first = chunk_new(), *second = chunk_new();
    struct emlfs_buf again = EMLFS_BUF_INIT(1u << 20);
    demand(first && second);
    int rc = chunk_decode(in, first);
    demand(rc == 0 || rc == -EUCLEAN);
    if (rc == 0) {
        demand(first->n > 0 && first->n <= CHUNK_MAX);
        demand(chunk_encode(first, &again) == 0);
        demand(chunk_decode(emlfs_buf_view(&again), second) == 0 && second->n == first->n);
        for (unsigned i = 0; i < first->n; i++) {
            const struct chunk_entry *a = &first->v[i], *b = &second->v[i];
            demand(a->number == b->number && a->flags == b->flags &&
                   a->size_bytes == b->size_bytes && a->mtime_sec == b->mtime_sec &&
                   a->archived_ns == b->archived_ns && emlfs_span_equal(a->stem, b->stem));
            demand(i == 0 || a->number > first->v[i - 1].number);
        }
    }
    chunk_free(first);
    chunk_free(second);
    emlfs_buf_free(&again);
}

static void filed_fuzz(struct emlfs_span in, struct emlfs_buf *again)
{
    struct filed_list list;
    if (filed_decode(in, &list) == 0) {
        same(in, again, filed_encode(&list, again));
        filed_list_free(&list);
    }
}

static void rows_fuzz(unsigned kind, struct emlfs_span in, struct emlfs_buf *again)
{
    struct block_row block;
    struct blob_row blob;
    struct mark_row mark;
    struct folder_row folder;
    struct folder_stat stat;
    if (kind == 2 && block_row_decode(1u << 20, in, &block) == 0)
        same(in, again, block_row_encode(&block, again));
    if (kind == 3 && blob_row_decode(in, &blob) == 0)
        same(in, again, blob_row_encode(&blob, again));
    if (kind == 4 && mark_decode(in, &mark) == 0)
        same(in, again, mark_encode(&mark, again));
    if (kind == 5 && folder_row_decode(in, &folder) == 0)
        same(in, again, folder_row_encode(&folder, again));
    if (kind == 6 && folder_stat_decode(in, &stat) == 0)
        same(in, again, folder_stat_encode(&stat, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1u << 20);
    if (size < 1)
        return 0;
    const struct emlfs_span in = emlfs_span_of(data + 1, size - 1);
    const unsigned kind = data[0] % 7;
    if (kind == 0)
        chunk_fuzz(in);
    else if (kind == 1)
        filed_fuzz(in, &again);
    else
        rows_fuzz(kind, in, &again);
    return 0;
}
