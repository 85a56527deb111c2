/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Read-ahead over files. Neighbouring messages lie in one compressed block, so when somebody reads
 * a folder in order, the rest of the block costs almost nothing now and a request each later: it is
 * pushed into the page cache before it is asked for, and the next block while the last messages of
 * this one are read, so that nobody waits for it to be decompressed.
 *
 * P1  Only messages of the folder being read are pushed, under the node ids of the same user
 *     archive: nothing reaches a cache that its own reader would not have filled.
 * P2  Request threads never wait for it: notes are taken under a short lock, a full queue drops.
 * P3  The kernel is only called from this thread (it may wait for a page that a request holds).
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/base/os.h"
#include "fs_internal.h"

#define WALKERS 16u
#define QUEUE 16u
#define STREAK_MIN 2u  /* opens in order before anything is pushed */
#define STEP_MAX 4096u /* a larger distance between two message numbers is not "in order" */
/* Names sort by date and messages by arrival: a walk in the order of names steps back, not far. */
#define BACK_MAX 256u
#define BACK_RUN 32u /* so many times in a row it is another walk */
#define FILE_MAX_BYTES (256u << 10)
#define SOON 64u /* this close to the end of what was pushed, pushing goes on */
#define JOB_MAX_BYTES (2u << 20)
#define NEIGHBOURS 128u
#define MISSES_MAX 4u /* nodes in a row that the kernel does not know: nobody listed them */

/* Somebody who opens messages of one user archive one after the other. */
struct walker {
    uid_t uid;
    struct emlfs_user_id user;
    struct emlfs_msg_id last;   /* the walk came this far */
    struct emlfs_msg_id pushed; /* pushed up to here */
    unsigned streak;
    unsigned behind;                /* opens in a row of messages before last */
    bool asked;                     /* a job is queued or runs */
    struct emlfs_msg_id asked_soon; /* the end of what was pushed when it was last gone on */
    uint64_t used;                  /* for replacing the one that rested longest */
};

struct job {
    unsigned walker;
    struct emlfs_user_id user;
    struct emlfs_msg_id id;
};

struct fs_prefetch {
    struct fuse_session *session;
    struct emlfs_archive *archive;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows, up to the thread's own buffers */
    pthread_cond_t wake;
    bool running; /* the thread is to be joined */
    bool stop;
    uint64_t tick;
    struct walker walkers[WALKERS];
    struct job queue[QUEUE];
    unsigned first, n;
    struct fs_prefetch_counts counts;
    /* the thread's own */
    struct emlfs_msg_id ids[NEIGHBOURS];
    struct emlfs_entry entries[NEIGHBOURS];
    uint8_t *data;
};

/* The walker of uid in user's archive; a fresh one takes the place of the longest unused. */
static struct walker *walker_of(struct fs_prefetch *pre, uid_t uid, struct emlfs_user_id user)
{
    struct walker *oldest = &pre->walkers[0];

    for (unsigned i = 0; i < WALKERS; i++) {
        struct walker *walker = &pre->walkers[i];

        if (walker->used && walker->uid == uid && walker->user.v == user.v) {
            walker->used = ++pre->tick;
            return walker;
        }
        if (walker->used < oldest->used)
            oldest = walker;
    }
    *oldest = (struct walker){.uid = uid, .user = user, .used = ++pre->tick};
    return oldest;
}

static void walker_step(struct walker *walker, struct emlfs_msg_id id)
{
    if (id.v > walker->last.v && id.v - walker->last.v <= STEP_MAX) {
        walker->streak++;
        walker->behind = 0;
    } else if (id.v < walker->last.v && walker->last.v - id.v <= BACK_MAX &&
               walker->behind < BACK_RUN) {
        walker->behind++;
        return;
    } else if (id.v != walker->last.v) {
        walker->streak = walker->behind = 0;
        walker->pushed.v = 0;
    }
    walker->last = id;
}

/* Under the lock. One job a walker: it goes on to wherever the walker is by then. */
static bool walker_ask(struct fs_prefetch *pre, struct walker *walker, struct emlfs_msg_id id)
{
    if (walker->asked)
        return false;
    if (pre->n == QUEUE) {
        pre->counts.dropped++;
        return false;
    }
    pre->queue[(pre->first + pre->n++) % QUEUE] =
        (struct job){(unsigned)(walker - pre->walkers), walker->user, id};
    walker->asked = true;
    pthread_cond_signal(&pre->wake);
    return true;
}

static void walker_ask_soon(struct fs_prefetch *pre, struct walker *walker)
{
    if (walker->streak >= STREAK_MIN && walker->pushed.v >= walker->last.v &&
        walker->pushed.v - walker->last.v <= SOON && walker->asked_soon.v != walker->pushed.v &&
        walker_ask(pre, walker, walker->pushed))
        walker->asked_soon = walker->pushed;
}

void fs_prefetch_opened(struct fs_prefetch *pre, uid_t uid, emlfs_node node)
{
    struct emlfs_user_id user;
    struct emlfs_msg_id id;
    struct walker *walker;

    if (!pre || !emlfs_view_node_message(node, &user, &id))
        return;
    pthread_mutex_lock(&pre->lock);
    walker = walker_of(pre, uid, user);
    walker_step(walker, id);
    walker_ask_soon(pre, walker);
    pthread_mutex_unlock(&pre->lock);
}

void fs_prefetch_missed(struct fs_prefetch *pre, uid_t uid, emlfs_node node)
{
    struct emlfs_user_id user;
    struct emlfs_msg_id id;
    struct walker *walker;

    if (!pre || !emlfs_view_node_message(node, &user, &id))
        return;
    pthread_mutex_lock(&pre->lock);
    walker = walker_of(pre, uid, user);
    if (walker->streak >= STREAK_MIN && id.v > walker->pushed.v && walker_ask(pre, walker, id))
        walker->pushed = id;
    pthread_mutex_unlock(&pre->lock);
}

void fs_prefetch_counts(struct fs_prefetch *pre, struct fs_prefetch_counts *ret)
{
    pthread_mutex_lock(&pre->lock);
    *ret = pre->counts;
    pthread_mutex_unlock(&pre->lock);
}

/* Still worth pushing: the same walker has not come past id, and no earlier job pushed it. */
static bool job_wants(struct fs_prefetch *pre, const struct job *job, struct emlfs_msg_id id)
{
    const struct walker *walker = &pre->walkers[job->walker];
    bool wanted;

    pthread_mutex_lock(&pre->lock);
    wanted = !pre->stop && walker->user.v == job->user.v && walker->streak >= STREAK_MIN &&
             walker->last.v < id.v && walker->pushed.v < id.v;
    pthread_mutex_unlock(&pre->lock);
    return wanted;
}

static void job_pushed(struct fs_prefetch *pre, const struct job *job, struct emlfs_msg_id id,
                       size_t bytes)
{
    struct walker *walker = &pre->walkers[job->walker];

    pthread_mutex_lock(&pre->lock);
    if (walker->user.v == job->user.v && walker->pushed.v < id.v)
        walker->pushed = id;
    pre->counts.pushed++;
    pre->counts.pushed_bytes += bytes;
    pthread_mutex_unlock(&pre->lock);
}

/* Read one message whole and hand it to the kernel: bytes, or negative. */
static ssize_t push_message(struct fs_prefetch *pre, const struct emlfs_entry *entry)
{
    struct fuse_bufvec bufv = FUSE_BUFVEC_INIT(0);
    struct emlfs_msg_reader *reader;
    ssize_t n;
    int rc;

    rc = emlfs_archive_msg_open(pre->archive, entry->id, &reader, NULL);
    if (rc < 0)
        return rc;
    n = emlfs_msg_reader_pread(reader, pre->data, (size_t)entry->size_bytes, 0, NULL);
    emlfs_msg_reader_free(reader);
    if (n < 0 || (uint64_t)n != entry->size_bytes)
        return n < 0 ? n : -EIO;
    bufv.buf[0].mem = pre->data;
    bufv.buf[0].size = (size_t)n;
    rc = fuse_lowlevel_notify_store(pre->session, emlfs_view_message_node(entry->user, entry->id),
                                    0, &bufv, 0);
    return rc < 0 ? rc : n;
}

static bool id_in(const struct emlfs_msg_id *ids, unsigned n, struct emlfs_msg_id id)
{
    for (unsigned i = 0; i < n; i++)
        if (ids[i].v == id.v)
            return true;
    return false;
}

static void push_entries(struct fs_prefetch *pre, const struct job *job, unsigned entries_n,
                         unsigned ids_n)
{
    unsigned misses = 0;
    size_t total = 0;

    for (unsigned i = 0; i < entries_n && misses < MISSES_MAX && total < JOB_MAX_BYTES; i++) {
        const struct emlfs_entry *entry = &pre->entries[i];
        ssize_t n;

        if (entry->user.v != job->user.v || entry->size_bytes == 0 ||
            entry->size_bytes > FILE_MAX_BYTES || !id_in(pre->ids, ids_n, entry->id))
            continue;
        if (!job_wants(pre, job, entry->id))
            continue;
        n = push_message(pre, entry);
        misses = n == -ENOENT ? misses + 1 : 0;
        if (n <= 0)
            continue;
        total += (size_t)n;
        job_pushed(pre, job, entry->id, (size_t)n);
    }
}

/* Into pre->ids: what lies in the block of id after it, or where next is not there, next's block.
 */
static unsigned job_block(struct fs_prefetch *pre, struct emlfs_msg_id id, struct emlfs_msg_id next)
{
    unsigned n;

    if (emlfs_archive_msg_neighbours(pre->archive, id, pre->ids, NEIGHBOURS, &n, NULL) < 0)
        return 0;
    if (n == NEIGHBOURS || id_in(pre->ids, n, next))
        return n;
    pre->ids[0] = next;
    if (emlfs_archive_msg_neighbours(pre->archive, next, pre->ids + 1, NEIGHBOURS - 1, &n, NULL) <
        0)
        return 0;
    return n + 1;
}

/* The messages after job's in its folder that lie in the same block, or else in the next. */
static void job_run(struct fs_prefetch *pre, const struct job *job)
{
    struct emlfs_entry_page page = {.after = job->id, .v = pre->entries, .max = NEIGHBOURS};
    struct emlfs_entry own;

    if (emlfs_archive_entry_of(pre->archive, job->user, job->id, &own, NULL) < 0)
        return;
    page.folder = own.folder;
    if (emlfs_archive_entries(pre->archive, &page, NULL) < 0 || page.n == 0)
        return;
    push_entries(pre, job, page.n, job_block(pre, job->id, pre->entries[0].id));
}

static void job_done(struct fs_prefetch *pre, const struct job *job)
{
    struct walker *walker = &pre->walkers[job->walker];

    if (walker->user.v == job->user.v)
        walker->asked = false;
}

static void *prefetch_run(void *arg)
{
    struct fs_prefetch *pre = arg;

    pthread_mutex_lock(&pre->lock);
    while (!pre->stop) {
        struct job job;

        if (pre->n == 0) {
            pthread_cond_wait(&pre->wake, &pre->lock);
            continue;
        }
        job = pre->queue[pre->first];
        pre->first = (pre->first + 1) % QUEUE;
        pre->n--;
        pre->counts.jobs++;
        pthread_mutex_unlock(&pre->lock);
        job_run(pre, &job);
        pthread_mutex_lock(&pre->lock);
        job_done(pre, &job);
    }
    pthread_mutex_unlock(&pre->lock);
    return NULL;
}

void fs_prefetch_free(struct fs_prefetch *pre)
{
    if (!pre)
        return;
    fs_prefetch_stop(pre);
    pthread_cond_destroy(&pre->wake);
    pthread_mutex_destroy(&pre->lock);
    free(pre->data);
    free(pre);
}

int fs_prefetch_start(struct fuse_session *session, struct emlfs_archive *archive,
                      struct fs_prefetch **ret)
{
    struct fs_prefetch *pre = calloc(1, sizeof(*pre));
    int rc;

    if (!pre)
        return -ENOMEM;
    pre->session = session;
    pre->archive = archive;
    pthread_mutex_init(&pre->lock, NULL);
    pthread_cond_init(&pre->wake, NULL);
    pre->data = malloc(FILE_MAX_BYTES);
    rc = pre->data ? pthread_create(&pre->thread, NULL, prefetch_run, pre) : ENOMEM;
    if (rc != 0) {
        fs_prefetch_free(pre);
        return -rc;
    }
    pre->running = true;
    *ret = pre;
    return 0;
}

void fs_prefetch_stop(struct fs_prefetch *pre)
{
    bool running;

    if (!pre)
        return;
    pthread_mutex_lock(&pre->lock);
    running = pre->running;
    pre->running = false;
    pre->stop = true;
    pthread_cond_signal(&pre->wake);
    pthread_mutex_unlock(&pre->lock);
    if (running)
        pthread_join(pre->thread, NULL);
}
