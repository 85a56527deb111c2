/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fuzz_text.h"

/* Zip files: OOXML and ODF; a first byte of 0 gives the rest to the XML reader alone. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_text fuzz;
    struct emlfs_span bytes = emlfs_span_of(data, size);
    const char *reason = NULL;
    fuzz_text_begin(&fuzz);
    if (size > 1 && data[0] <= 1)
        reason = text_office(&fuzz.run, data[0] ? TEXT_OFFICE_ODF : TEXT_OFFICE_OOXML,
                             emlfs_span_of(data + 1, size - 1), &fuzz.out);
    else
        reason = text_zip(&fuzz.run, bytes, EMLFS_KIND_ALL, &fuzz.out);
    fuzz_text_end(&fuzz, reason);
    return 0;
}
