/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The facts of many messages at once. Each costs reading, opening and expanding the beginning of a
 * block, which is what a search takes longest for; so as many threads as there are processors share
 * it, neighbours by the same one, because they lie in the same block.
 */
#include <pthread.h>
#include <unistd.h>

#include "emlfs/feed.h"
#include "emlfs/message.h"
#include "search.h"

#define THREADS_MAX 4u
#define EACH_MIN 4u /* messages that a thread is worth */

struct slice {
    const struct search_ask *ask;
    unsigned from, to;
};

/* An entry that is there, of which nothing is known yet. */
static bool wanted(const struct search_ask *ask, unsigned i)
{
    return ask->entries[i].id.v && ask->ret[i].len == 0;
}

static void slice_read(const struct slice *slice)
{
    const struct search_ask *ask = slice->ask;

    for (unsigned i = slice->from; i < slice->to; i++) {
        struct emlfs_buf *out = &ask->ret[i];
        struct emlfs_msg_info info;

        if (!wanted(ask, i) || emlfs_progress_cancelled(ask->progress))
            continue;
        if (emlfs_archive_msg_info(ask->archive, ask->entries[i].id, &info, out, NULL) < 0)
            emlfs_buf_clear(out);
    }
}

static void *slice_main(void *arg)
{
    slice_read(arg);
    return NULL;
}

static unsigned threads_of(const struct search_ask *ask)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = 0;

    for (unsigned i = 0; i < ask->n; i++)
        n += wanted(ask, i);

    unsigned most = n / EACH_MIN;

    most = most < THREADS_MAX ? most : THREADS_MAX;
    return cpus < 1 || most < 1 ? 1 : (unsigned)cpus < most ? (unsigned)cpus : most;
}

/* A slice without a thread of its own is read here. */
void search_facts_read(const struct search_ask *ask)
{
    struct slice slices[THREADS_MAX];
    pthread_t threads[THREADS_MAX];
    bool running[THREADS_MAX] = {false};
    unsigned n = threads_of(ask);

    for (unsigned i = 0; i < n; i++)
        slices[i] = (struct slice){.ask = ask, .from = ask->n * i / n, .to = ask->n * (i + 1) / n};
    for (unsigned i = 1; i < n; i++)
        running[i] = pthread_create(&threads[i], NULL, slice_main, &slices[i]) == 0;
    for (unsigned i = 0; i < n; i++)
        if (!running[i])
            slice_read(&slices[i]);
    for (unsigned i = 1; i < n; i++)
        if (running[i])
            (void)pthread_join(threads[i], NULL);
}
