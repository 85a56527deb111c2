/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz_text.h"

/* HTML and XML in any charset; the first byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_text fuzz;
    struct emlfs_span bytes = emlfs_span_of(data, size);
    const char *reason = NULL;
    fuzz_text_begin(&fuzz);
    if (size == 0)
        bytes = emlfs_span_str(" ");
    const struct text_part part = {.type = bytes.data[0] & 1 ? "text/html" : "application/xml",
                                   .name = "",
                                   .charset = bytes.data[0] & 2 ? "utf-8" : "",
                                   .bytes = emlfs_span_of(bytes.data + 1, bytes.len - 1)};
    text_part_read(&fuzz.run, &part);
    fuzz_text_end(&fuzz, reason);
    return 0;
}
