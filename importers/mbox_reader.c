/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A window of fixed size over an mbox of any size, and the search for lines that begin "From ". */
#include <stdlib.h>

#include "mbox.h"

int emlfs_mbox_reader_init(struct emlfs_mbox_reader *reader)
{
    reader->window_offset = 0;
    reader->window_len = 0;
    reader->error = 0;
    reader->window = malloc(EMLFS_MBOX_WINDOW_BYTES);
    return reader->window ? 0 : -ENOMEM;
}

void emlfs_mbox_reader_free(struct emlfs_mbox_reader *reader)
{
    free(reader->window);
    reader->window = NULL;
}

/* The window begins a little before offset, so that looking back costs nothing. */
static int window_fill(struct emlfs_mbox_reader *reader, uint64_t offset)
{
    uint64_t begin = offset > EMLFS_MBOX_BACK_BYTES ? offset - EMLFS_MBOX_BACK_BYTES : 0;
    uint64_t left = reader->size - begin;
    size_t want = left < EMLFS_MBOX_WINDOW_BYTES ? (size_t)left : EMLFS_MBOX_WINDOW_BYTES;
    reader->window_len = 0;
    ssize_t n = reader->read_at(reader->arg, reader->window, want, begin);
    if (n < 0)
        return (int)n;
    if ((size_t)n != want) /* it was longer when it was opened */
        return -EAGAIN;
    reader->window_offset = begin;
    reader->window_len = want;
    return 0;
}

struct emlfs_span emlfs_mbox_view(struct emlfs_mbox_reader *reader, uint64_t offset, size_t len)
{
    struct emlfs_span none = {0};
    if (reader->error || offset >= reader->size)
        return none;
    if (len > EMLFS_MBOX_VIEW_MAX_BYTES)
        len = EMLFS_MBOX_VIEW_MAX_BYTES;
    if (len > reader->size - offset)
        len = (size_t)(reader->size - offset);
    bool inside = offset >= reader->window_offset &&
                  offset + len <= reader->window_offset + reader->window_len;
    if (!inside && (reader->error = window_fill(reader, offset)) < 0)
        return none;
    return emlfs_span_of(reader->window + (offset - reader->window_offset), len);
}

/* In a view: the first "From " after a line end or '>', at or after at > 0. NULL: none. */
static const uint8_t *from_in(struct emlfs_span view, size_t at)
{
    while (at < view.len) {
        const uint8_t *hit = memmem(view.data + at, view.len - at, "From ", 5);
        if (!hit || hit[-1] == '\n' || hit[-1] == '\r' || hit[-1] == '>')
            return hit;
        at = (size_t)(hit - view.data) + 5;
    }
    return NULL;
}

uint64_t emlfs_mbox_scan(struct emlfs_mbox_reader *reader, uint64_t from, uint64_t limit)
{
    if (limit > reader->size)
        limit = reader->size;
    if (from == 0 && limit > 0) {
        struct emlfs_span head = emlfs_mbox_view(reader, 0, 5);
        if (head.len == 5 && memcmp(head.data, "From ", 5) == 0)
            return 0;
        from = 1;
    }
    while (from < limit) {
        struct emlfs_span view = emlfs_mbox_view(reader, from - 1, EMLFS_MBOX_VIEW_MAX_BYTES);
        const uint8_t *hit = view.len < 6 ? NULL : from_in(view, 1);
        if (hit) {
            uint64_t found = from - 1 + (uint64_t)(hit - view.data);
            return found < limit ? found : UINT64_MAX;
        }
        if (view.len < EMLFS_MBOX_VIEW_MAX_BYTES)
            return UINT64_MAX;
        from += view.len - 6; /* a hit may have been cut at the end of the view */
    }
    return UINT64_MAX;
}
