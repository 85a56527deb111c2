/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Splitting of mboxes: any bytes, in memory. Checks the invariants of mbox_split.c: messages are in
 * order, do not overlap and cover the input; every separated one begins after a From line; between
 * two messages there is nothing but a separator and one empty line; an unquoted message is never
 * longer.
 */
#include <stdlib.h>

#include "../../importers/mbox.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static ssize_t read_at(void *arg, void *out, size_t len, uint64_t offset)
{
    const struct emlfs_span *bytes = arg;
    if (offset > bytes->len || len > bytes->len - offset)
        abort();
    if (len)
        memcpy(out, bytes->data + offset, len);
    return (ssize_t)len;
}

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void check_unquote(struct emlfs_span bytes)
{
    struct emlfs_buf copy = EMLFS_BUF_INIT(64u << 20);
    size_t skip = 0;
    if (emlfs_looks_like_message(bytes, &skip))
        demand(skip < bytes.len);
    if (emlfs_buf_append(&copy, bytes.data, bytes.len) == 0) {
        emlfs_mbox_unquote(&copy);
        demand(copy.len <= bytes.len);
    }
    emlfs_buf_free(&copy);
}

/* Framing before a message: at most an empty line, then the From line. */
static void check_gap(struct emlfs_span bytes, uint64_t from,
                      const struct emlfs_mbox_message *message)
{
    demand(message->begin - from <= 2);
    for (uint64_t i = from; i < message->begin; i++)
        demand(bytes.data[i] == '\n' || bytes.data[i] == '\r');
    if (message->separated) {
        demand(message->content > message->begin);
        demand(memcmp(bytes.data + message->begin, "From ", 5) == 0);
        demand(message->content - message->begin <= EMLFS_MBOX_LINE_MAX_BYTES + 2);
    } else {
        demand(message->content == message->begin);
    }
}

static void check_all(struct emlfs_mbox_splitter *splitter, struct emlfs_span bytes)
{
    struct emlfs_mbox_message message;
    uint64_t at = splitter->style.start;
    bool first = true;
    int r;
    while ((r = emlfs_mbox_split_next(splitter, &message)) > 0) {
        check_gap(bytes, at, &message);
        demand(first || message.separated);
        demand(message.end >= message.content && message.end <= bytes.len);
        check_unquote(emlfs_span_of(bytes.data + message.content, message.end - message.content));
        at = message.end;
        first = false;
    }
    demand(r == 0);
    demand(bytes.len - at <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct emlfs_span bytes = emlfs_span_of(data, size);
    struct emlfs_mbox_reader reader = {.read_at = read_at, .arg = &bytes, .size = size};
    struct emlfs_mbox_splitter splitter;
    demand(emlfs_mbox_reader_init(&reader) == 0);
    demand(emlfs_mbox_split_begin(&splitter, &reader) == 0);
    check_all(&splitter, bytes);
    emlfs_mbox_reader_free(&reader);
    (void)emlfs_mbox_holds_several(bytes);
    return 0;
}
