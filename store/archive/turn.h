/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_TURN_H
#define EMLFS_ARCHIVE_TURN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Whose turn it is to write mail: one at a time, first come, first served. Who holds it for long
 * says how to be told that somebody waits.
 */
struct turn {
    pthread_mutex_t lock; /* under it, only what told takes */
    pthread_cond_t cond;
    uint64_t next, serving; /* tickets */
    atomic_uint waiting;
    void (*told)(void *arg);
    void *arg;
};

void turn_init(struct turn *turn);
void turn_destroy(struct turn *turn);
/* Waits. */
void turn_take(struct turn *turn);
/* Of who has it: told is called when somebody waits, on their thread, until turn_give. */
void turn_hold(struct turn *turn, void (*told)(void *arg), void *arg);
/* False: somebody has it, or waits for it. */
bool turn_try(struct turn *turn);
void turn_give(struct turn *turn);
/* Does anybody wait? No lock. */
static inline bool turn_wanted(const struct turn *turn)
{
    return atomic_load(&turn->waiting) > 0;
}

#endif
