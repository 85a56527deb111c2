/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_MANIFEST_H
#define EMLFS_INDEX_MANIFEST_H

#include "emlfs/base/crypto.h"

/* ---- manifest.c: the file that says what the index of a store consists of */

#define MANIFEST_SEGMENTS_MAX 4096u
#define PROBLEM_REASONS_MAX 64u
#define PROBLEM_REASON_BYTES 64u /* with the NUL */

/* Parts whose text could not be had, by reason. A reason too many is counted as "other". */
struct problems {
    struct {
        char reason[PROBLEM_REASON_BYTES];
        uint64_t n;
    } v[PROBLEM_REASONS_MAX];
    unsigned n;
    uint64_t total;
};
void problems_add(struct problems *problems, struct emlfs_span reason, uint64_t n);

struct manifest {
    uint64_t seq;      /* changes up to here are in the segments */
    uint32_t last_doc; /* documents up to here are in the segments */
    uint32_t next_no;  /* of the next segment file; above every one named here */
    uint64_t docs, text_bytes;
    struct problems problems;
    uint32_t *segments; /* file numbers, oldest first */
    unsigned segments_n;
};
void manifest_free(struct manifest *manifest);
/* -ENOENT: no index there. EBADMSG, EUCLEAN, EPROTONOSUPPORT, EIO. */
int manifest_read(const char *dir, const struct emlfs_key *index_key, struct manifest *ret,
                  struct emlfs_err *err);
/* Replaces the file: afterwards it is durable, and so are the names of the files in dir. */
int manifest_write(const char *dir, const struct emlfs_key *index_key,
                   const struct manifest *manifest, struct emlfs_err *err);
/* Remove every file of dir that keep (NULL: nothing) does not name. */
int manifest_sweep(const char *dir, const struct manifest *keep, struct emlfs_err *err);
/* Path of segment file no. ret has EMLFS index path size; -ENAMETOOLONG. */
int manifest_segment_path(const char *dir, uint32_t no, char *ret, size_t size);

#endif
