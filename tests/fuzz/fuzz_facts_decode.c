/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "emlfs/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The worker's answer is foreign: what is accepted encodes to the same bytes and names its parts.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf again = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf parts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts;
    struct emlfs_fact_part part;
    if (emlfs_facts_decode(emlfs_span_of(data, size), &facts, NULL) < 0)
        return 0;
    struct emlfs_span left = facts.parts;
    while (emlfs_facts_part_next(&left, &part)) {
        if (emlfs_facts_part_append(&parts, &part) < 0)
            abort();
    }
    if (!emlfs_span_equal(emlfs_buf_view(&parts), facts.parts))
        abort();
    if (emlfs_facts_encode(&facts, &again) < 0 ||
        !emlfs_span_equal(emlfs_buf_view(&again), emlfs_span_of(data, size)))
        abort();
    return 0;
}
