/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_PROGRESS_H
#define EMLFS_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * How long work reports itself and is cancelled. step may be NULL. It is called often (callers of
 * long work need not count); the receiver thins it out. cancel may be NULL; once true, the work
 * ends soon with -ECANCELED and without damage.
 */
struct emlfs_progress {
    void (*step)(void *arg, const char *phase, uint64_t done,
                 uint64_t total); /* total 0: unknown */
    void *arg;
    const atomic_bool *cancel;
};

static inline bool emlfs_progress_cancelled(const struct emlfs_progress *progress)
{
    return progress && progress->cancel && atomic_load(progress->cancel);
}

static inline void emlfs_progress_step(const struct emlfs_progress *progress, const char *phase,
                                       uint64_t done, uint64_t total)
{
    if (progress && progress->step)
        progress->step(progress->arg, phase, done, total);
}

#endif
