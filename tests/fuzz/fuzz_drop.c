/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A file put into the mount: what it is said to be does not depend on how it was cut when enough of
 * it is there, and an mbox gives the same messages through a callback that reads short.
 */
#include <stdlib.h>

#include "emlfs/drop.h"
#include "emlfs/importer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size, most;
    uint64_t messages, bytes;
};

static ssize_t input_pread(void *arg, void *data, size_t len, uint64_t offset,
                           struct emlfs_err *err)
{
    const struct input *input = arg;
    size_t left = offset < input->size ? input->size - (size_t)offset : 0;

    (void)err;
    len = len < left ? len : left;
    len = len < input->most ? len : input->most;
    if (len)
        memcpy(data, input->data + offset, len);
    return (ssize_t)len;
}

static int input_message(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    struct input *input = arg;

    (void)err;
    input->messages++;
    input->bytes += message->raw->len;
    return 0;
}

static int input_reject(void *arg, const char *position, const char *reason, struct emlfs_err *err)
{
    (void)arg, (void)err;
    if (!*position || !*reason)
        abort();
    return 0;
}

static void mbox_read(struct input *input)
{
    const struct emlfs_sink sink = {.arg = input, .message = input_message, .reject = input_reject};
    const struct emlfs_mbox_source source = {
        .name = "mbox", .size_bytes = input->size, .pread = input_pread, .arg = input};

    if (emlfs_mbox_read(&source, NULL, &sink, NULL) < 0 || input->bytes > input->size)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input whole = {.data = data, .size = size, .most = SIZE_MAX}, pieces = whole;
    const char *reason = NULL;
    enum emlfs_drop_kind kind = emlfs_drop_sniff(emlfs_span_of(data, size), true, &reason);

    if (kind == EMLFS_DROP_UNDECIDED || (kind == EMLFS_DROP_FOREIGN && !(reason && *reason)))
        abort();
    for (size_t cut = 0; cut < size && cut < 300; cut += 7)
        (void)emlfs_drop_sniff(emlfs_span_of(data, cut), false, NULL);
    mbox_read(&whole);
    pieces.most = 3;
    if (size < 4096)
        mbox_read(&pieces);
    if (size < 4096 && (pieces.messages != whole.messages || pieces.bytes != whole.bytes))
        abort();
    return 0;
}
