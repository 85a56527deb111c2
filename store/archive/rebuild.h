/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_REBUILD_H
#define EMLFS_ARCHIVE_REBUILD_H

#include "internal.h"

/*
 * A second set of catalogues, made from packs alone beside the live ones: catalog.SUFFIX in each
 * store and master.SUFFIX. recover puts it in place of the old one; verify compares the two.
 */
struct rebuilt {
    char path[EMLFS_PATH_MAX_BYTES];
    char suffix[16];
    struct archive_keys *keys;
    struct state state;
    struct store **stores;
    struct store_rows **rows;
    unsigned stores_n;
};
struct rebuilt_options {
    const char *path;
    const char *suffix;
    struct archive_keys *keys;
    const struct replay_options *replay;
    const struct mark_row *until; /* one for each store, or NULL */
};
int rebuilt_make(const struct rebuilt_options *options, struct rebuilt **ret,
                 struct emlfs_err *err);
/* Close and remove it. */
void rebuilt_discard(struct rebuilt *rebuilt);
/* Close it and put it in place; the live catalogues must be closed. */
int rebuilt_install(struct rebuilt *rebuilt, struct emlfs_err *err);

struct rebuild_options {
    const char *path;
    struct archive_keys *keys;
    struct emlfs_ledger *ledger; /* NULL: there is none */
    const struct emlfs_progress *progress;
    emlfs_finding_fn *finding;
    void *arg;
};
/* Both; what the ledger lacks is recorded before the new catalogues are put in place. */
int rebuild_catalogs(const struct rebuild_options *options, struct emlfs_check_totals *totals,
                     struct emlfs_err *err);

#endif
