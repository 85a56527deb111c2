/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Each minute, whatever else the mount process does: the compliance clock is sampled, and the jobs
 * that are due are run.
 */
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

#include "emlfs/command.h"
#include "fs_internal.h"

#define TICK_SEC 60

struct fs_tick {
    struct fs *fs;
    pthread_t thread;
    pthread_mutex_t lock; /* with wake: so that no signal is lost */
    pthread_cond_t wake;
    atomic_bool stop;
    struct emlfs_jobs jobs;
    int told, jobs_told; /* the thread's own: the errors that were written to the log last */
};

static void tick_once(struct fs_tick *tick)
{
    struct emlfs_err err = {.code = 0};
    int rc = emlfs_rules_tick(tick->fs->rules, &err);

    if (rc < 0 && rc != tick->told)
        fs_log_text(tick->fs->log, LOG_ERR, "compliance clock: %s", err.text);
    tick->told = rc;
}

static void tick_jobs(struct fs_tick *tick)
{
    const struct emlfs_progress progress = {.cancel = &tick->stop};
    struct emlfs_err err = {.code = 0};
    struct fs *fs = tick->fs;
    int rc;

    if (emlfs_rules_is_read_only(fs->rules))
        return;
    const struct emlfs_jobs_at at = {fs->rules, fs->archive, emlfs_archive_now_ns(fs->archive)};

    rc = emlfs_jobs_tick(&tick->jobs, &at, &progress, &err);
    if (rc < 0 && rc != -ECANCELED && rc != tick->jobs_told)
        fs_log_text(fs->log, LOG_ERR, "processing retention policies: %s", err.text);
    /* What waits to be tried again is no news when it fails again. */
    if (rc != 0)
        tick->jobs_told = rc;
}

static void *tick_run(void *arg)
{
    struct fs_tick *tick = arg;
    struct timespec next;

    (void)clock_gettime(CLOCK_MONOTONIC, &next);
    pthread_mutex_lock(&tick->lock);
    while (!tick->stop) {
        next.tv_sec += TICK_SEC;
        while (!tick->stop && pthread_cond_timedwait(&tick->wake, &tick->lock, &next) == 0)
            continue;
        if (tick->stop)
            break;
        pthread_mutex_unlock(&tick->lock);
        tick_once(tick);
        tick_jobs(tick);
        pthread_mutex_lock(&tick->lock);
    }
    pthread_mutex_unlock(&tick->lock);
    return NULL;
}

static void tick_free(struct fs_tick *tick)
{
    pthread_cond_destroy(&tick->wake);
    pthread_mutex_destroy(&tick->lock);
    free(tick);
}

int fs_tick_start(struct fs *fs, struct fs_tick **ret)
{
    struct fs_tick *tick = calloc(1, sizeof(*tick));
    pthread_condattr_t attr;
    int rc;

    if (!tick)
        return -ENOMEM;
    tick->fs = fs;
    pthread_mutex_init(&tick->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&tick->wake, &attr);
    pthread_condattr_destroy(&attr);
    rc = pthread_create(&tick->thread, NULL, tick_run, tick);
    if (rc != 0) {
        tick_free(tick);
        return -rc;
    }
    *ret = tick;
    return 0;
}

void fs_tick_stop(struct fs_tick *tick)
{
    if (!tick)
        return;
    pthread_mutex_lock(&tick->lock);
    tick->stop = true;
    pthread_cond_signal(&tick->wake);
    pthread_mutex_unlock(&tick->lock);
    pthread_join(tick->thread, NULL);
    tick_free(tick);
}
