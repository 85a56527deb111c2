/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/clock.h"

#include <stddef.h>
#include <time.h>

static int64_t system_now_ns(void *arg)
{
    (void)arg;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now); /* cannot fail: the clock exists and now is ours */
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

struct emlfs_clock emlfs_clock_system(void)
{
    return (struct emlfs_clock){.now_ns = system_now_ns, .arg = NULL};
}
