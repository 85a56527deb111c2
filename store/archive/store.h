/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_STORE_H
#define EMLFS_ARCHIVE_STORE_H

#include <pthread.h>

#include "apply.h"

/* One store that is open: store.c. */

struct store {
    struct store_rows rows;
    struct store_dir dir;
    char subdir[32];
    uint64_t dev, ino; /* of the directory that was opened */
    bool look;
    struct emlfs_packs *packs;
    struct emlfs_pack_end last_end; /* how the last pack ends, known after replay */
    pthread_mutex_t dict_load;      /* before dict_lock; held while one is read */
    pthread_mutex_t dict_lock;
    struct emlfs_dict *dicts[8]; /* loaded, by id; never unloaded before close */
    unsigned dicts_n;
};
struct store_opening {
    const struct archive_keys *keys;
    const struct store_dir *dir;
    const char *subdir; /* of the catalogue; NULL: "catalog" */
    const char *parent; /* of subdir; NULL: the store's directory */
    bool create;
    bool look; /* nothing on disk is changed; -ENOENT when it was not closed in order */
};
int store_open(const struct store_opening *opening, struct store **ret, struct emlfs_err *err);
/* Closes the catalogue and writes its file list, but for one that was only looked into. */
int store_close(struct store *store, const struct archive_keys *keys, struct emlfs_err *err);
int store_mark(struct store *store, struct mark_row *ret, struct emlfs_err *err);
/* Up to where the packs are in the rows: ahead of a mark that was kept, for reading only. */
int store_reached(struct store *store, bool read_only, struct mark_row *ret, struct emlfs_err *err);
/* The dictionary id, loading it through row Z; *ret NULL for id 0. */
int store_dict(struct store *store, uint32_t id, struct emlfs_dict **ret, struct emlfs_err *err);
/* Takes dict when 0 came back; -EEXIST: one with its id is there; -E2BIG. */
int store_dict_add(struct store *store, struct emlfs_dict *dict);

#endif
