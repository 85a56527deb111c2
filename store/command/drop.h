/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_DROP_H
#define EMLFS_COMMAND_DROP_H

#include "emlfs/drop.h"
#include "intake.h"

/* An item on its way. */
struct dropping {
    struct emlfs_drop_item *item;
    bool sent; /* into a folder of sent mail */
};

struct emlfs_drop {
    struct emlfs_archive *archive;
    struct emlfs_rules *rules;
    const char *worker_exe;
    struct intake_parsers parsers; /* started with the first item, then kept */
    bool parsers_ready;
    pthread_mutex_t lock; /* of the results of items, which the committer writes, too */
};

/* Exactly len bytes. EIO: there are fewer. */
int drop_read(const struct emlfs_drop_item *item, void *data, size_t len, uint64_t offset,
              struct emlfs_err *err);
/* Every message of an mbox into the ingest. Negative: it takes nothing more. */
int drop_mbox(struct emlfs_drop *drop, struct dropping *dropping, struct emlfs_ingest *ingest,
              struct emlfs_err *err);

#endif
