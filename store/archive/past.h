/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_PAST_H
#define EMLFS_ARCHIVE_PAST_H

/* The later part of internal.h: the archive as it stood at a time. */

/* ---- horizon.c: how far a time reaches into the packs */

struct horizon {
    int64_t time_ns;
    bool reached;     /* something later was seen: nothing behind it counts */
    bool begun;       /* something was seen at all, at first_ns */
    int64_t first_ns; /* not before anything earlier that was seen */
};
/*
 * Sees the next record, in the order of packs: 0 it counts, with record->keep of its messages; 1 it
 * does not. -EUCLEAN, -EPROTONOSUPPORT, -ENOMEM.
 */
int horizon_see(struct horizon *horizon, struct applied *record);

/* ---- archive.c */

/* One that is not open yet; NULL: out of memory, or the path is too long. */
struct emlfs_archive *archive_new(const struct emlfs_archive_options *options);
void archive_free(struct emlfs_archive *archive);

/* ---- asof.c */

/* What emlfs_archive_close does with one of the past. */
void asof_close(struct emlfs_archive *archive);
/* Left over by a crash. */
void asof_sweep(const char *archive_path);
/* Was the message there then, and is its content given? -ENOENT, -EIDRM. */
int asof_content(struct emlfs_archive *archive, struct emlfs_msg_id id, struct emlfs_err *err);

#endif
