/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz_text.h"

/* winmail.dat, with whatever its attachments hold. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_text fuzz;
    struct emlfs_span bytes = emlfs_span_of(data, size);
    const char *reason = NULL;
    fuzz_text_begin(&fuzz);
    reason = text_tnef(&fuzz.run, bytes);
    fuzz_text_end(&fuzz, reason);
    return 0;
}
