/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_FUZZ_TEXT_H
#define EMLFS_TESTS_FUZZ_TEXT_H

#include <stdlib.h>

#include "../../importers/text.h"
#include "emlfs/base/os.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_TIME_MS 4000

/* What a parser of one part needs around it, without a worker. */
struct fuzz_text {
    struct text_wish wish;
    struct text_run run;
    struct emlfs_buf doc, out;
    uint32_t progress;
};

static inline void fuzz_text_begin(struct fuzz_text *fuzz)
{
    *fuzz = (struct fuzz_text){.wish = {.kinds = EMLFS_KIND_ALL, .time_ms = FUZZ_TIME_MS},
                               .doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES),
                               .out = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES)};
    fuzz->run = (struct text_run){.charsets = text_charsets_new(),
                                  .wish = &fuzz->wish,
                                  .doc = &fuzz->doc,
                                  .progress = &fuzz->progress};
    fuzz->run.deadline_ns = emlfs_os_monotonic_ns() + FUZZ_TIME_MS * 1000000ll;
    fuzz->run.part_deadline_ns = fuzz->run.deadline_ns;
    if (fuzz->run.charsets == NULL ||
        emlfs_doctext_begin(&fuzz->doc, EMLFS_PRIORITY_NORMAL, false) < 0)
        abort();
}

/* Whatever went in: a document comes out. */
static inline void fuzz_text_end(struct fuzz_text *fuzz, const char *reason)
{
    enum emlfs_priority priority;
    bool attachment;
    text_piece(&fuzz->run, EMLFS_TEXT_CONTENT, emlfs_buf_view(&fuzz->out));
    text_problem(&fuzz->run, "part", reason);
    if (emlfs_doctext_check(emlfs_buf_view(&fuzz->doc), &priority, &attachment, NULL) < 0)
        abort();
    text_charsets_free(fuzz->run.charsets);
    emlfs_buf_free(&fuzz->doc);
    emlfs_buf_free(&fuzz->out);
}

#endif
