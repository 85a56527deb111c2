/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Requests that run a search: names in, and listings of, directories of results.
 *
 * S1  They run on threads of their own, so that any number of long searches leaves the threads that
 *     list and read mail alone: searches wait only for searches.
 * S2  A search ends soon after its caller was interrupted or the mount ends; each request is
 *     answered exactly once, and no interrupt reaches one that was answered.
 */
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

#define THREADS 4u
#define NAME_BYTES 256u /* with the NUL; longer names were refused */

struct search_job {
    struct search_job *next;
    fuse_req_t req;
    fuse_ino_t node;
    atomic_bool cancel;
    struct fs_listing listing; /* listing.dir NULL: a look-up of name */
    char name[NAME_BYTES];
};

struct fs_search {
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    struct search_job *first, **last; /* waiting */
    struct search_job *running[THREADS];
    pthread_t threads[THREADS];
    unsigned threads_n;
    bool stop;
};

/* Called by libfuse, perhaps before job has a thread. */
static void job_interrupted(fuse_req_t req, void *data)
{
    struct search_job *job = data;

    (void)req;
    atomic_store(&job->cancel, true);
}

static void job_run(struct search_job *job)
{
    if (atomic_load(&job->cancel)) {
        fuse_req_interrupt_func(job->req, NULL, NULL);
        fuse_reply_err(job->req, EINTR);
    } else if (job->listing.dir) {
        fs_dir_answer(job->req, job->node, &job->listing);
    } else {
        fuse_req_interrupt_func(job->req, NULL, NULL);
        fs_lookup_answer(job->req, job->node, job->name);
    }
}

static void *search_run(void *arg)
{
    struct fs_search *search = arg;
    struct search_job *job;
    unsigned me;

    pthread_mutex_lock(&search->lock);
    me = search->threads_n++;
    for (;;) {
        while (!search->first && !search->stop)
            pthread_cond_wait(&search->wake, &search->lock);
        job = search->first;
        if (!job)
            break;
        search->first = job->next;
        if (!search->first)
            search->last = &search->first;
        search->running[me] = job;
        if (search->stop)
            atomic_store(&job->cancel, true);
        pthread_mutex_unlock(&search->lock);
        job_run(job);
        pthread_mutex_lock(&search->lock);
        search->running[me] = NULL;
        free(job);
    }
    pthread_mutex_unlock(&search->lock);
    return NULL;
}

/* Takes job. */
static void search_submit(struct fs_search *search, struct search_job *job)
{
    fuse_req_interrupt_func(job->req, job_interrupted, job);
    pthread_mutex_lock(&search->lock);
    job->next = NULL;
    *search->last = job;
    search->last = &job->next;
    pthread_cond_signal(&search->wake);
    pthread_mutex_unlock(&search->lock);
}

static struct search_job *job_new(fuse_req_t req, fuse_ino_t node)
{
    struct search_job *job = calloc(1, sizeof(*job));

    if (!job) {
        fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    job->req = req;
    job->node = node;
    atomic_init(&job->cancel, false);
    return job;
}

void fs_search_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    size_t len = strlen(name);
    struct search_job *job;

    if (len >= NAME_BYTES) {
        fuse_reply_err(req, ENAMETOOLONG);
        return;
    }
    job = job_new(req, parent);
    if (!job)
        return;
    memcpy(job->name, name, len + 1);
    search_submit(fs_of(req)->search, job);
}

void fs_search_listing(fuse_req_t req, fuse_ino_t node, const struct fs_listing *listing)
{
    struct search_job *job = job_new(req, node);

    if (!job)
        return;
    job->listing = *listing;
    job->listing.cancel = &job->cancel;
    search_submit(fs_of(req)->search, job);
}

int fs_search_start(struct fs_search **ret)
{
    struct fs_search *search = calloc(1, sizeof(*search));
    unsigned n = 0;
    int rc = 0;

    if (!search)
        return -ENOMEM;
    pthread_mutex_init(&search->lock, NULL);
    pthread_cond_init(&search->wake, NULL);
    search->last = &search->first;
    while (n < THREADS && rc == 0) {
        rc = pthread_create(&search->threads[n], NULL, search_run, search);
        n += rc == 0;
    }
    *ret = search;
    if (n > 0)
        return 0;
    fs_search_stop(search);
    *ret = NULL;
    return -rc;
}

void fs_search_stop(struct fs_search *search)
{
    if (!search)
        return;
    pthread_mutex_lock(&search->lock);
    search->stop = true;
    for (unsigned i = 0; i < THREADS; i++)
        if (search->running[i])
            atomic_store(&search->running[i]->cancel, true);
    pthread_cond_broadcast(&search->wake);
    pthread_mutex_unlock(&search->lock);
    for (unsigned i = 0; i < THREADS; i++)
        if (search->threads[i])
            pthread_join(search->threads[i], NULL);
    pthread_cond_destroy(&search->wake);
    pthread_mutex_destroy(&search->lock);
    free(search);
}
