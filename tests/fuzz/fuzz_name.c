/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>

#include "emlfs/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME_BYTES 241

static void demand(bool truth)
{
    if (!truth)
        abort();
}

static void folder_fuzz(struct emlfs_span text)
{
    char name[NAME_BYTES];
    struct emlfs_msg_id id;
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(4096);
    emlfs_name_folder(text, name, sizeof name);
    demand(name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL);
    demand(emlfs_name_folder_ok(name) && !emlfs_name_id(name, &id) && !emlfs_name_is_litter(name));
    demand(emlfs_name_fold(name, &folded) == 0);
}

static void stem_fuzz(struct emlfs_span from, struct emlfs_span subject)
{
    char stem[NAME_BYTES];
    char name[NAME_BYTES];
    char again[NAME_BYTES];
    struct emlfs_msg_id id = emlfs_msg_id_make(EMLFS_STORE_NO_MAX, UINT32_MAX);
    struct emlfs_msg_id back;
    const struct emlfs_facts facts = {.from = from, .subject = subject};
    const struct emlfs_name_input input = {&facts, (int64_t)subject.len * 1234567890123456, false,
                                           "Europe/Berlin"};
    demand(emlfs_name_stem(&input, stem, sizeof stem) == 0);
    demand(emlfs_name_file(stem, id, name, sizeof name) == 0);
    demand(emlfs_name_id(name, &back) && back.v == id.v);
    emlfs_name_folder(emlfs_span_str(stem), again, sizeof again);
    demand(strcmp(stem, again) == 0 || emlfs_name_id(stem, &back));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[256] = "";
    if (size == 0)
        return 0;
    size_t half = data[0] * size / 256;
    folder_fuzz(emlfs_span_of(data, size));
    stem_fuzz(emlfs_span_of(data, half), emlfs_span_of(data + half, size - half));
    memcpy(text, data, size < sizeof text - 1 ? size : sizeof text - 1);
    (void)emlfs_name_is_sent(text);
    (void)emlfs_name_folder_ok(text);
    return 0;
}
