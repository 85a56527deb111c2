/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ASKING_H
#define EMLFS_ASKING_H

#include "tool.h"

/*
 * What the commands share that run in the user's process and ask the archive, opened here or
 * mounted, for what they need: export, prove, checkpoint.
 */
struct asking {
    const struct emlfs_cli *cli;
    struct place place;
    struct meter meter;
    struct output out;
};
/* Find the archive. asking_end ends it in any case. */
int asking_begin(struct asking *asking, const struct emlfs_cli *cli, struct emlfs_err *err);
/* Run the command name; of call, args, row, bytes, arg and, if set, progress are the caller's. */
int asking_run(struct asking *asking, const char *name, struct emlfs_call *call,
               struct emlfs_err *err);
/* Show r and what is left to show; the exit code. */
int asking_end(struct asking *asking, int r, struct emlfs_err *err, uint64_t findings);

/* A new file below dir_fd (or AT_FDCWD), never one that is there. -errno, -EEXIST. */
int file_make(int dir_fd, const char *name, int *ret_fd);
/* Sync and close it; when r or that says so, it is removed. r, or -errno. */
int file_finish(int dir_fd, const char *name, int *fd, int r);
/* All at once. -EEXIST. */
int file_write(int dir_fd, const char *name, struct emlfs_span content);
/* 0 also when the file is there and has this content. */
int file_write_same(int dir_fd, const char *name, struct emlfs_span content);

/* ---- prove.c, export.c: the exit code */

int prove_run(const struct emlfs_cli *cli);
/* checkpoint, checkpoint key, timestamp-query, timestamp-add */
int checkpoint_run(const struct emlfs_cli *cli);
int export_run(const struct emlfs_cli *cli);

#endif
