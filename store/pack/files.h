/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_PACK_FILES_H
#define EMLFS_STORE_PACK_FILES_H

#include <pthread.h>

#include "format.h"

/* The pack files of one store and the descriptors open on them. Inside store/pack only. */

#define PACK_FILES_MAX 64u
#define PACK_NAME_BYTES 24u

/* An open pack; everything but refs and used is constant while it is open. */
struct pack_file {
    struct emlfs_key key;
    uint8_t header[PACK_HEADER_BYTES];
    uint64_t used; /* packs->clock when it was last wanted */
    uint32_t pack_no;
    unsigned refs; /* one of them is the table's */
    int fd;
};

struct emlfs_packs {
    struct emlfs_key store_key;
    uint32_t store_no;
    int dir_fd;
    pthread_mutex_t lock; /* files, clock, and refs and used of each file; never held over I/O */
    uint64_t clock;
    struct pack_file *files[PACK_FILES_MAX];
};

void emlfs_pack_name(uint32_t pack_no, char ret_name[PACK_NAME_BYTES]);

/*
 * The pack, open and its header checked; give it back with _put. -ENOENT (also when the file is
 * shorter than a header), -EUCLEAN, -EPROTONOSUPPORT, -EIO, -ENOMEM, -EMFILE.
 */
int emlfs_pack_file_get(struct emlfs_packs *packs, uint32_t pack_no, struct pack_file **ret_file);
void emlfs_pack_file_put(struct emlfs_packs *packs, struct pack_file *file);
/* The file was removed or replaced: the next _get opens it anew. */
void emlfs_pack_file_forget(struct emlfs_packs *packs, uint32_t pack_no);

/*
 * As emlfs_packs_read on an open pack. hint: how many bytes to ask for before the length is known.
 * On success the tag lies in record->stored.data behind stored.len.
 */
int emlfs_pack_record_read(const struct pack_file *file, struct emlfs_pack_loc loc, size_t hint,
                           struct emlfs_record *record);

/* The first authentic record with a number >= end->count that lies at or behind end->offset. */
int emlfs_pack_record_find(const struct pack_file *file, const struct emlfs_pack_end *end,
                           struct emlfs_pack_loc *ret_loc);

#endif
