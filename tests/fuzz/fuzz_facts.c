/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "emlfs/importer.h"
#include "emlfs/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * MIME facts of any bytes: always an answer that decodes. Lengths are what hurts a parser, so the
 * first byte can ask for the rest to be repeated: 0xf0 | n repeats a piece 2^n times.
 */
#define INPUT_MAX_BYTES (1u << 18)

static void grow(struct emlfs_buf *message, const uint8_t *data, size_t size)
{
    unsigned times = 1;
    size_t head = 0;
    if (size > 2 && data[0] >= 0xf0) {
        times = 1u << (data[0] & 15);
        head = data[1] % (size - 2);
        data += 2;
        size -= 2;
    }
    if (emlfs_buf_append(message, data, head) < 0)
        return;
    while (times-- > 0 && emlfs_buf_append(message, data + head, size - head) == 0)
        continue;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf message = EMLFS_BUF_INIT(INPUT_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts;
    grow(&message, data, size);
    if (emlfs_parse_facts(emlfs_buf_view(&message), &bytes) < 0 ||
        emlfs_facts_decode(emlfs_buf_view(&bytes), &facts, NULL) < 0)
        abort();
    return 0;
}
