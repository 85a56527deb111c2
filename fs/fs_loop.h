/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_FS_LOOP_H
#define EMLFS_FS_LOOP_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

/* The request loop of the mount process: see fs_loop.c. */
struct fs_loop;
/* -errno. */
int fs_loop_new(struct fuse_session *session, struct fs_loop **ret);
/* Serve until the mount is gone or fs_loop_end was called. Makes and joins its own threads. */
void fs_loop_run(struct fs_loop *loop, unsigned threads);
/* From any thread, any number of times. */
void fs_loop_end(struct fs_loop *loop);
void fs_loop_free(struct fs_loop *loop);

#endif
