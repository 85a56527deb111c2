/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one place that gives the index its parsers: the engine itself never sees one. */
#include "emlfs/command.h"
#include "emlfs/extract.h"

static int extractor_make(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    static const struct emlfs_extractor_config config = {.exe = "/proc/self/exe"};

    (void)arg;
    return emlfs_extractor_new(&config, ret, err);
}

int emlfs_command_index_open(struct emlfs_archive *archive,
                             void (*notice)(void *arg, const char *text), void *arg,
                             struct emlfs_index **ret, struct emlfs_err *err)
{
    /* The argument is the notice's; the extractor needs none. */
    const struct emlfs_index_options options = {
        .archive = archive, .extractor = extractor_make, .arg = arg, .notice = notice};

    return emlfs_index_open(&options, ret, err);
}
