/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_BASE_CLOCK_H
#define EMLFS_BASE_CLOCK_H

#include <stdint.h>

/* Wall-clock time in nanoseconds since 1970-01-01 UTC, injected so that tests own it. */
struct emlfs_clock {
    int64_t (*now_ns)(void *arg);
    void *arg;
};

/* The system clock (CLOCK_REALTIME). Any thread. */
struct emlfs_clock emlfs_clock_system(void);

#endif
