/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The threads that keep the index up to date: one consumes the change feed, one merges segments.
 * A failure (a full disk, no memory) is told once and tried again; what could not be written stays
 * in memory and is found there. Merging that fails is tried again ever more seldom: it reads much.
 */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "extracting.h"

#define MODULE "index"
#define IDLE_FLUSH_NS INT64_C(60000000000)
#define RETRY_MS 3000u
#define MERGE_WAIT_MS 1000u
#define MERGE_RETRY_MAX 7u /* doublings of RETRY_MS */
#define HANDOVER_MS 20u
#define NICENESS 10

struct follower {
    struct emlfs_index *index;
    struct extracting *extracting;
    pthread_t thread, merger;
    bool thread_runs, merger_runs;
    atomic_bool stop;
    bool failing; /* told already */
};

static struct timespec after_ms(unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    return until;
}

static void nice_thread(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
}

/* ---- merging */

/* failures: how often it failed lately. */
static void merge_all(struct emlfs_index *index, const atomic_bool *cancel, unsigned *failures)
{
    struct shelf *shelf;
    bool failed = false;

    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
        struct emlfs_err err = {0};
        int rc = 1;
        while (rc > 0 && !(cancel && atomic_load(cancel)))
            rc = shelf_merge(shelf, cancel, &err);
        if (rc < 0 && rc != -ECANCELED) {
            if (*failures == 0 && !failed)
                index_notice(index, "store %s: segments cannot be merged now: %s", shelf->name,
                             err.code ? err.text : "no memory");
            failed = true;
        }
    }
    *failures = failed ? *failures + 1 : 0;
}

/* Until there may be something to merge; after a failure nothing but the end is waited for. */
static void merger_wait(struct follower *follower, unsigned failures)
{
    struct emlfs_index *index = follower->index;
    unsigned doublings = failures < MERGE_RETRY_MAX ? failures : MERGE_RETRY_MAX;
    struct timespec until = after_ms(failures ? RETRY_MS << doublings : MERGE_WAIT_MS);
    int rc = 0;

    pthread_mutex_lock(&index->lock);
    while (!atomic_load(&follower->stop) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&index->wake, &index->lock, &until);
    pthread_mutex_unlock(&index->lock);
}

static void *merger_main(void *arg)
{
    struct follower *follower = arg;
    unsigned failures = 0;

    nice_thread();
    while (!atomic_load(&follower->stop)) {
        merge_all(follower->index, &follower->stop, &failures);
        merger_wait(follower, failures);
    }
    return NULL;
}

static int merger_start(struct follower *follower, struct emlfs_err *err)
{
    int rc = pthread_create(&follower->merger, NULL, merger_main, follower);

    follower->merger_runs = rc == 0;
    return rc ? emlfs_err_sys(err, rc, MODULE, "no thread can be started") : 0;
}

static void threads_stop(struct follower *follower)
{
    atomic_store(&follower->stop, true);
    index_wake(follower->index);
    if (follower->thread_runs)
        pthread_join(follower->thread, NULL);
    if (follower->merger_runs)
        pthread_join(follower->merger, NULL);
    extracting_stop(follower->extracting);
}

/* ---- following */

static int flush_all(struct emlfs_index *index, struct emlfs_err *err)
{
    struct shelf *shelf;
    int rc = 0;

    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
        int one = shelf_flush(shelf, rc == 0 ? err : NULL);
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

/* Tell those who asked before this round began what came of it. */
static void answer(struct emlfs_index *index, uint64_t asked, int rc, const struct emlfs_err *err)
{
    pthread_mutex_lock(&index->lock);
    index->answered = asked;
    index->answer = rc;
    index->answer_err = *err;
    pthread_cond_broadcast(&index->wake);
    pthread_mutex_unlock(&index->lock);
}

static void follower_wait(struct follower *follower, unsigned ms)
{
    struct emlfs_index *index = follower->index;
    struct timespec until = after_ms(ms);
    int rc = 0;

    pthread_mutex_lock(&index->lock);
    while (!index->woken && !atomic_load(&follower->stop) && index->asked == index->answered &&
           rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&index->wake, &index->lock, &until);
    pthread_mutex_unlock(&index->lock);
}

static uint64_t round_begins(struct emlfs_index *index)
{
    uint64_t asked;

    pthread_mutex_lock(&index->lock);
    index->woken = false;
    asked = index->asked;
    pthread_mutex_unlock(&index->lock);
    return asked;
}

/* Somebody else wants to work on the index. */
static void hand_over(struct emlfs_index *index)
{
    const struct timespec pause = {.tv_nsec = HANDOVER_MS * 1000000L};

    while (atomic_load(&index->waiting) > 0)
        nanosleep(&pause, NULL);
}

static void failure_tell(struct follower *follower, int rc, const struct emlfs_err *err)
{
    bool failing = rc < 0 && rc != -ECANCELED;

    if (failing && !follower->failing)
        index_notice(follower->index, "indexing waits: %s", err->code ? err->text : "no memory");
    follower->failing = failing;
}

static int follower_round(struct follower *follower, int64_t *last_ns, bool *ret_more,
                          struct emlfs_err *err)
{
    struct round round = {
        .index = follower->index, .extracting = follower->extracting, .stop = &follower->stop};
    int64_t now = emlfs_os_monotonic_ns();
    int rc;

    index_work_take(follower->index);
    rc = round_run(&round, err);
    if (round.consumed > 0)
        *last_ns = now;
    if (rc == 0 && !round.more && now - *last_ns >= IDLE_FLUSH_NS) {
        *last_ns = now;
        rc = flush_all(follower->index, err);
    }
    pthread_mutex_unlock(&follower->index->work);
    *ret_more = round.more;
    return rc;
}

static void *follower_main(void *arg)
{
    struct follower *follower = arg;
    int64_t last_ns = emlfs_os_monotonic_ns();

    nice_thread();
    while (!atomic_load(&follower->stop)) {
        struct emlfs_err err = {0};
        uint64_t asked = round_begins(follower->index);
        bool more = false;
        int rc = follower_round(follower, &last_ns, &more, &err);
        failure_tell(follower, rc, &err);
        hand_over(follower->index);
        if (rc == 0 && more)
            continue;
        answer(follower->index, asked, rc, &err);
        follower_wait(follower, rc < 0 ? RETRY_MS : (unsigned)(IDLE_FLUSH_NS / 1000000));
    }
    return NULL;
}

int follower_start(struct emlfs_index *index, struct emlfs_err *err)
{
    struct follower *follower = calloc(1, sizeof(*follower));
    int rc = follower ? extracting_start(index, &follower->extracting, err)
                      : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (rc == 0) {
        follower->index = index;
        rc = merger_start(follower, err);
    }
    if (rc == 0) {
        rc = pthread_create(&follower->thread, NULL, follower_main, follower);
        follower->thread_runs = rc == 0;
        if (rc)
            rc = emlfs_err_sys(err, rc, MODULE, "no thread can be started");
    }
    if (rc < 0) {
        if (follower && follower->index)
            threads_stop(follower);
        free(follower);
        return rc;
    }
    index->follower = follower;
    return 0;
}

void follower_stop(struct emlfs_index *index)
{
    if (!index->follower)
        return;
    threads_stop(index->follower);
    free(index->follower);
    index->follower = NULL;
}

static int indexing_allowed(struct emlfs_index *index, struct emlfs_err *err)
{
    if (!index->writable)
        return emlfs_err_set(err, EROFS, MODULE, "%s is open for reading only",
                             emlfs_archive_path(index->options.archive));
    if (!index->options.extractor)
        return emlfs_err_set(err, EINVAL, MODULE, "the index is open for searching only");
    return 0;
}

int emlfs_index_follow(struct emlfs_index *index, struct emlfs_err *err)
{
    int rc = indexing_allowed(index, err);

    if (rc < 0 || index->follower)
        return rc;
    return follower_start(index, err);
}

/* ---- catching up */

static int ask_follower(struct emlfs_index *index, const struct emlfs_progress *progress,
                        struct emlfs_err *err)
{
    uint64_t ticket;
    int rc = 0;

    pthread_mutex_lock(&index->lock);
    ticket = ++index->asked;
    pthread_cond_broadcast(&index->wake);
    while (index->answered < ticket && !emlfs_progress_cancelled(progress)) {
        struct timespec until = after_ms(100);
        (void)pthread_cond_timedwait(&index->wake, &index->lock, &until);
    }
    if (index->answered < ticket)
        rc = -ECANCELED;
    else
        rc = index->answer;
    if (rc < 0 && rc != -ECANCELED && err)
        *err = index->answer_err;
    pthread_mutex_unlock(&index->lock);
    return rc == -ECANCELED ? emlfs_err_set(err, ECANCELED, MODULE, "cancelled") : rc;
}

static int catch_up(struct follower *self, const struct emlfs_progress *progress,
                    struct emlfs_err *err)
{
    struct round round = {
        .index = self->index, .extracting = self->extracting, .progress = progress, .more = true};
    int rc = 0, flushed;

    while (rc == 0 && round.more)
        rc = round_run(&round, err);
    flushed = rc == 0 || rc == -ECANCELED ? flush_all(self->index, rc == 0 ? err : NULL) : 0;
    return rc < 0 ? rc : flushed;
}

/* Nothing to consume, to make again or to write, as most searches find it: threads cost more. */
static bool up_to_date(struct emlfs_index *index)
{
    struct shelf *shelf;
    bool current = index_refresh(index, NULL) == 0;

    for (unsigned i = 0; current && (shelf = index_shelf(index, i)); i++) {
        uint64_t last = 0;
        current = !atomic_load(&shelf->damaged) && !shelf_unsaved(shelf, NULL) &&
                  emlfs_archive_last_change(index->options.archive, shelf->no, &last, NULL) == 0 &&
                  last == shelf->live.seq;
    }
    return current;
}

bool emlfs_index_is_current(struct emlfs_index *index)
{
    bool current;

    index_work_take(index);
    current = up_to_date(index);
    index_work_leave(index);
    return current;
}

static int catch_up_on_threads(struct follower *self, const struct emlfs_progress *progress,
                               struct emlfs_err *err)
{
    int rc = extracting_start(self->index, &self->extracting, err);

    if (rc < 0)
        return rc;
    rc = merger_start(self, err);
    if (rc == 0)
        rc = catch_up(self, progress, err);
    threads_stop(self);
    return rc;
}

int emlfs_index_catch_up(struct emlfs_index *index, const struct emlfs_progress *progress,
                         struct emlfs_err *err)
{
    struct follower self = {.index = index};
    unsigned failures = 0;
    bool current;
    int rc = 0;

    if (index->follower)
        return ask_follower(index, progress, err);
    index_work_take(index);
    current = up_to_date(index);
    if (!current)
        rc = indexing_allowed(index, err);
    if (rc == 0 && !current)
        rc = catch_up_on_threads(&self, progress, err);
    if (rc == 0 && indexing_allowed(index, NULL) == 0)
        merge_all(index, progress ? progress->cancel : NULL, &failures);
    index_work_leave(index);
    return rc == -ECANCELED ? emlfs_err_set(err, ECANCELED, MODULE, "cancelled") : rc;
}
