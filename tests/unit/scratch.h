/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_SCRATCH_H
#define EMLFS_TESTS_UNIT_SCRATCH_H

#include <stdlib.h>
#include <string.h>

#define SCRATCH_DIR_BYTES 20u /* paths of tests have room for so long a beginning */

/*
 * Where tests make their files: TMPDIR, in memory when tests/run says so, because thousands of
 * syncs that no test can tell from real ones would wait for a disk.
 */
static inline const char *scratch_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && dir[0] == '/' && strlen(dir) < SCRATCH_DIR_BYTES ? dir : "/tmp";
}

#endif
