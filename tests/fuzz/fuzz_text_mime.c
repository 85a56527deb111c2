/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz_text.h"

/* A whole message: headers, charsets, encodings, parts. Always an answer that is a document. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    const struct text_wish wish = {.kinds = EMLFS_KIND_ALL, .time_ms = FUZZ_TIME_MS};
    struct text_charsets *charsets = text_charsets_new();
    enum emlfs_priority priority;
    bool attachment;
    uint32_t progress;
    if (charsets == NULL ||
        text_parse(charsets, &wish, emlfs_span_of(data, size), &progress, &doc) < 0 ||
        emlfs_doctext_check(emlfs_buf_view(&doc), &priority, &attachment, NULL) < 0)
        abort();
    text_charsets_free(charsets);
    return 0;
}
