/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extraction: messages are opened and their text taken out on several threads, and handed over in
 * the order they were asked for. The threads are nice, so that an import keeps most of the machine.
 *
 * I-EXTRACT-1  a message that cannot be read or understood is a document with a problem, never an
 *              error; only a lack of memory or of a worker is
 * I-EXTRACT-2  text and messages held at a time are bounded: over HELD_MAX_BYTES only the oldest
 *              job goes on, so that it always can
 * I-EXTRACT-3  a thread takes a run of jobs, so that the block they are in is read once and its
 *              extractor has the next message before it is done with one. A run opens no more than
 *              RUN_BYTES ahead of the job that is waited for, and that job never waits for more
 *              jobs to make a run of
 */
#include "extracting.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/message.h"
#include "emlfs/stores.h"

#define MODULE "index"
#define HELD_MAX_BYTES (48u << 20)
#define MESSAGE_MAX_BYTES (256u << 20)
#define THREADS_MAX 8u
#define NICENESS 10
#define RUN_MAX 16u               /* jobs that a thread takes at a time */
#define RUN_BYTES (256u << 10)    /* of messages that are opened for a run at a time */
#define STOCK_MAX (JOBS_MAX / 2u) /* jobs in hand or done, with which short runs can wait */

struct slot {
    struct job job;
    bool done;
    size_t held_bytes;
};
struct extracting {
    struct emlfs_index *index;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* threads: jobs, or the end */
    pthread_cond_t room;  /* threads in a job: room, being the oldest, or the end */
    pthread_cond_t ready; /* whoever takes results: the oldest is done */
    struct slot slots[JOBS_MAX];
    /* Jobs head...taken are under way or done, taken...put wait for a thread. */
    uint64_t head, taken, put;
    unsigned idle, held_up; /* threads that wait for work, for room */
    size_t held_bytes;
    unsigned kinds;
    bool stop;
    bool halted;
    pthread_t threads[THREADS_MAX];
    unsigned threads_n;
    unsigned shares;                                 /* threads that were wanted */
    struct emlfs_extractor *extractors[THREADS_MAX]; /* of the threads, to be stopped */
    unsigned extractors_n;
};

int bare_text(struct emlfs_buf *text, const char *reason)
{
    int rc;

    emlfs_buf_clear(text);
    text->max_bytes = EMLFS_DOCTEXT_MAX_BYTES;
    rc = emlfs_doctext_begin(text, EMLFS_PRIORITY_NORMAL, false);
    return rc < 0 ? rc : emlfs_doctext_problem(text, "message", reason);
}

/* ---- one job */

struct worker {
    struct extracting *extracting;
    struct emlfs_extractor extractor;
    bool made;
    struct emlfs_buf facts;
    struct opened {
        struct emlfs_buf raw;
        size_t held_bytes;
        int rc;
    } opened[RUN_MAX];
};
/* Neighbouring jobs of one thread. */
struct run {
    uint64_t number; /* of the first */
    unsigned n, kinds;
};

/* Under lock. */
static bool has_room(const struct extracting *extracting, uint64_t number, size_t bytes)
{
    return extracting->stop || number == extracting->head ||
           extracting->held_bytes + bytes <= HELD_MAX_BYTES;
}

/* Under lock: wait until bytes more may be held for job number. */
static void hold(struct extracting *extracting, uint64_t number, size_t bytes)
{
    extracting->held_up++;
    while (!has_room(extracting, number, bytes))
        pthread_cond_wait(&extracting->room, &extracting->lock);
    extracting->held_up--;
    extracting->held_bytes += bytes;
}

/* Under lock. */
static void release(struct extracting *extracting, size_t bytes)
{
    extracting->held_bytes -= bytes;
    if (extracting->held_up > 0)
        pthread_cond_broadcast(&extracting->room);
}

/* May bytes be held for job number, now or after a wait? */
static bool hold_for(struct extracting *extracting, uint64_t number, size_t bytes, bool wait)
{
    bool held;

    pthread_mutex_lock(&extracting->lock);
    held = wait || has_room(extracting, number, bytes);
    if (held)
        hold(extracting, number, bytes);
    pthread_mutex_unlock(&extracting->lock);
    return held;
}

static int64_t seconds_of(int64_t ns)
{
    return ns / 1000000000 - (ns % 1000000000 < 0);
}

/* What is known of a message whose block cannot be read, from an entry. */
static void attr_of_entry(struct emlfs_archive *archive, struct emlfs_msg_id id,
                          struct doc_attr *attr)
{
    struct emlfs_filing *filings = calloc(EMLFS_FILINGS_MAX, sizeof(*filings));
    struct emlfs_entry *entry = calloc(1, sizeof(*entry));
    unsigned n = 0;

    if (filings && entry &&
        emlfs_archive_filings(archive, id, filings, EMLFS_FILINGS_MAX, &n, NULL) == 0 && n > 0 &&
        emlfs_archive_entry_of(archive, filings[0].user, id, entry, NULL) == 0) {
        attr->size_bytes = entry->size_bytes;
        attr->archived_ns = entry->ctime_ns;
        attr->mtime_sec = seconds_of(entry->mtime_ns);
    }
    free(filings);
    free(entry);
}

/* Without it results ask the message itself. */
static void envelope_take(struct emlfs_span encoded, struct emlfs_buf *envelope)
{
    struct emlfs_facts facts;

    emlfs_buf_wipe(envelope); /* of an attempt to open it before */
    envelope->max_bytes = EMLFS_FACTS_MAX_BYTES;
    if (emlfs_facts_decode(encoded, &facts, NULL) < 0 ||
        emlfs_facts_encode_envelope(&facts, envelope) < 0)
        emlfs_buf_wipe(envelope); /* too long, it holds what was tried */
}

static int attr_get(struct worker *worker, struct emlfs_msg_id id, struct job *job)
{
    struct emlfs_archive *archive = worker->extracting->index->options.archive;
    struct doc_attr *attr = &job->attr;
    struct emlfs_msg_info info = {0};
    int rc;

    emlfs_buf_clear(&worker->facts);
    rc = emlfs_archive_msg_info(archive, id, &info, &worker->facts, NULL);

    if (rc < 0) {
        attr_of_entry(archive, id, attr);
        return rc;
    }
    attr->size_bytes = info.size_bytes;
    attr->archived_ns = info.archived_ns;
    attr->mtime_sec = seconds_of(info.mtime_ns);
    envelope_take(emlfs_buf_view(&worker->facts), &job->envelope);
    return 0;
}

/* Says nothing of the message: try again later. */
static bool errno_is_want(int rc)
{
    return rc == -ENOMEM || rc == -EMFILE || rc == -ENFILE || rc == -EAGAIN || rc == -EINTR;
}

static const char *reason_of(int rc)
{
    if (rc == -ENOENT)
        return "message missing";
    return rc == -E2BIG ? "message too long" : "message damaged";
}

/* Until the threads end. */
static void extractor_register(struct extracting *extracting, struct emlfs_extractor *extractor)
{
    pthread_mutex_lock(&extracting->lock);
    extracting->extractors[extracting->extractors_n++] = extractor;
    if (extracting->halted && extractor->stop)
        extractor->stop(extractor->arg);
    pthread_mutex_unlock(&extracting->lock);
}

static void extractor_unregister(struct extracting *extracting, struct emlfs_extractor *extractor)
{
    pthread_mutex_lock(&extracting->lock);
    for (unsigned i = 0; i < extracting->extractors_n; i++) {
        if (extracting->extractors[i] == extractor) {
            extracting->extractors[i] = extracting->extractors[--extracting->extractors_n];
            break;
        }
    }
    pthread_mutex_unlock(&extracting->lock);
}

void extracting_halt(struct extracting *extracting)
{
    pthread_mutex_lock(&extracting->lock);
    extracting->halted = true;
    for (unsigned i = 0; i < extracting->extractors_n; i++) {
        if (extracting->extractors[i]->stop)
            extracting->extractors[i]->stop(extracting->extractors[i]->arg);
    }
    pthread_mutex_unlock(&extracting->lock);
}

static int extractor_make(struct worker *worker, struct emlfs_err *err)
{
    const struct emlfs_index_options *options = &worker->extracting->index->options;
    int rc;

    if (worker->made)
        return 0;
    rc = options->extractor(options->arg, &worker->extractor, err);
    worker->made = rc == 0;
    if (rc == 0)
        extractor_register(worker->extracting, &worker->extractor);
    return rc;
}

static int text_take(struct worker *worker, struct job *job, struct emlfs_span raw, unsigned kinds)
{
    enum emlfs_priority priority = EMLFS_PRIORITY_NORMAL;
    bool attachment = false;
    int rc = extractor_make(worker, &job->err);

    if (rc == 0)
        rc = worker->extractor.extract(worker->extractor.arg, raw, kinds, &job->text, &job->err);
    if (rc < 0)
        return rc;
    rc = emlfs_doctext_check(emlfs_buf_view(&job->text), &priority, &attachment, NULL);
    if (rc < 0)
        return bare_text(&job->text, "the text makes no sense");
    job->attr.priority = (uint8_t)priority;
    job->attr.attachment = attachment;
    return 0;
}

static struct emlfs_msg_id id_of(const struct job *job)
{
    return emlfs_msg_id_make(emlfs_msg_id_store(job->change.first), job->doc);
}

/*
 * Read the message unless it is longer than most_bytes; SIZE_MAX: whatever its length, and wait for
 * room if need be, for no other job of the run is opened and not done. False: not now.
 */
static bool job_open(struct worker *worker, uint64_t number, struct opened *opened,
                     size_t most_bytes)
{
    struct emlfs_archive *archive = worker->extracting->index->options.archive;
    struct job *job = &worker->extracting->slots[number % JOBS_MAX].job;
    int rc = attr_get(worker, id_of(job), job);
    size_t bytes = (size_t)job->attr.size_bytes;

    opened->held_bytes = 0;
    if (rc == 0 && job->attr.size_bytes > MESSAGE_MAX_BYTES)
        rc = -E2BIG;
    if (rc == 0) {
        if (bytes > most_bytes ||
            !hold_for(worker->extracting, number, bytes, most_bytes == SIZE_MAX))
            return false;
        opened->held_bytes = bytes;
        rc = emlfs_archive_msg_read(archive, id_of(job), &opened->raw, NULL);
    }
    opened->rc = rc;
    return true;
}

/* What cannot be read of a message is a problem; only wants are errors, I-EXTRACT-1. */
static int job_settle(struct emlfs_archive *archive, struct job *job, int rc)
{
    struct emlfs_msg_id id = id_of(job);

    /* Hidden meanwhile, which says nothing of it; or deleted: then there is nothing to find. */
    if (rc == -ENOENT && !emlfs_archive_store_shown(archive, emlfs_msg_id_store(id)))
        rc = -EAGAIN;
    if (rc == -ENOENT && message_is_gone(archive, id)) {
        emlfs_buf_wipe(&job->envelope);
        return 0;
    }
    return errno_is_want(rc) ? emlfs_err_sys(&job->err, -rc, MODULE, "message %u", job->doc)
                             : bare_text(&job->text, reason_of(rc));
}

static void job_done(struct extracting *extracting, uint64_t number, size_t opened_bytes)
{
    struct slot *slot = &extracting->slots[number % JOBS_MAX];

    pthread_mutex_lock(&extracting->lock);
    release(extracting, opened_bytes);
    slot->held_bytes = slot->job.text.cap + slot->job.envelope.cap;
    hold(extracting, number, slot->held_bytes);
    slot->done = true;
    if (number == extracting->head)
        pthread_cond_broadcast(&extracting->ready);
    pthread_mutex_unlock(&extracting->lock);
}

static void job_finish(struct worker *worker, uint64_t number, struct opened *opened,
                       unsigned kinds)
{
    struct job *job = &worker->extracting->slots[number % JOBS_MAX].job;

    job->text.max_bytes = EMLFS_DOCTEXT_MAX_BYTES;
    job->rc = opened->rc == 0
                  ? text_take(worker, job, emlfs_buf_view(&opened->raw), kinds)
                  : job_settle(worker->extracting->index->options.archive, job, opened->rc);
    emlfs_buf_wipe(&opened->raw);
    job_done(worker->extracting, number, opened->held_bytes);
}

/* Neighbours are in one block: read it whole, once. */
static void block_open(const struct worker *worker, uint64_t number)
{
    const struct job *job = &worker->extracting->slots[number % JOBS_MAX].job;
    struct emlfs_msg_id none;
    unsigned n;

    (void)emlfs_archive_msg_neighbours(worker->extracting->index->options.archive, id_of(job),
                                       &none, 0, &n, NULL);
}

static void job_announce(struct worker *worker, const struct opened *opened, unsigned kinds)
{
    if (opened->rc == 0 && extractor_make(worker, NULL) == 0 && worker->extractor.ahead)
        worker->extractor.ahead(worker->extractor.arg, emlfs_buf_view(&opened->raw), kinds);
}

/* Open jobs of the run from first on, as many as may be opened together; ret: behind the last. */
static unsigned run_open(struct worker *worker, const struct run *run, unsigned first)
{
    size_t bytes = 0;
    unsigned at = first;

    for (; at < run->n && bytes < RUN_BYTES; at++) {
        struct opened *opened = &worker->opened[at];
        if (run->n > 1)
            block_open(worker, run->number + at);
        if (!job_open(worker, run->number + at, opened, at == first ? SIZE_MAX : RUN_BYTES - bytes))
            break;
        job_announce(worker, opened, run->kinds);
        bytes += opened->held_bytes;
    }
    return at;
}

static void run_do(struct worker *worker, const struct run *run)
{
    for (unsigned done = 0; done < run->n;) {
        unsigned opened = run_open(worker, run, done);
        for (; done < opened; done++)
            job_finish(worker, run->number + done, &worker->opened[done], run->kinds);
    }
}

/*
 * Under lock: how many jobs a thread should take now. While enough is in hand or done for whoever
 * takes results, there is time to wait for a whole run.
 */
static unsigned run_size(const struct extracting *extracting)
{
    uint64_t waiting = extracting->put - extracting->taken;
    uint64_t share = (waiting + extracting->shares - 1) / extracting->shares;

    if (extracting->taken - extracting->head > STOCK_MAX)
        return waiting >= RUN_MAX ? RUN_MAX : 0;
    return share < RUN_MAX ? (unsigned)share : RUN_MAX;
}

/* Under lock: a thread that waits for jobs, when there are enough. */
static void work_signal(struct extracting *extracting)
{
    if (extracting->idle > 0 && run_size(extracting) > 0)
        pthread_cond_signal(&extracting->work);
}

/* Under lock: neighbours to be extracted; none: false. */
static bool run_take(struct extracting *extracting, struct run *ret)
{
    unsigned most;

    while (extracting->taken < extracting->put &&
           extracting->slots[extracting->taken % JOBS_MAX].done) /* nothing to extract */
        extracting->taken++;
    most = run_size(extracting);
    *ret = (struct run){.number = extracting->taken, .kinds = extracting->kinds};
    while (ret->n < most && !extracting->slots[(ret->number + ret->n) % JOBS_MAX].done)
        ret->n++;
    extracting->taken += ret->n;
    work_signal(extracting);
    return ret->n > 0;
}

static void *worker_main(void *arg)
{
    struct extracting *extracting = arg;
    struct worker worker = {.extracting = extracting,
                            .facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES)};
    struct run run;

    for (unsigned i = 0; i < RUN_MAX; i++)
        worker.opened[i].raw.max_bytes = MESSAGE_MAX_BYTES;
    /* Of this thread only, on Linux; what it starts inherits it. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    pthread_mutex_lock(&extracting->lock);
    while (!extracting->stop) {
        if (!run_take(extracting, &run)) {
            extracting->idle++;
            pthread_cond_wait(&extracting->work, &extracting->lock);
            extracting->idle--;
            continue;
        }
        pthread_mutex_unlock(&extracting->lock);
        run_do(&worker, &run);
        pthread_mutex_lock(&extracting->lock);
    }
    pthread_mutex_unlock(&extracting->lock);
    if (worker.made) {
        extractor_unregister(extracting, &worker.extractor);
        worker.extractor.free(worker.extractor.arg);
    }
    emlfs_buf_wipe(&worker.facts);
    return NULL;
}

/* ---- the queue */

static void job_wipe(struct job *job)
{
    emlfs_buf_wipe(&job->text);
    emlfs_buf_wipe(&job->envelope);
}

static unsigned threads_wanted(const struct emlfs_index *index)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned n = index->options.workers;

    if (n == 0)
        n = cpus > 0 ? (unsigned)cpus : 1;
    return n > THREADS_MAX ? THREADS_MAX : n;
}

int extracting_start(struct emlfs_index *index, struct extracting **ret, struct emlfs_err *err)
{
    struct extracting *extracting = calloc(1, sizeof(*extracting));
    pthread_condattr_t monotonic;
    unsigned wanted = threads_wanted(index);
    int rc = 0;

    if (!extracting)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    extracting->index = index;
    extracting->kinds = EMLFS_KIND_ALL;
    extracting->shares = wanted;
    pthread_mutex_init(&extracting->lock, NULL);
    pthread_cond_init(&extracting->work, NULL);
    pthread_cond_init(&extracting->room, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&extracting->ready, &monotonic);
    pthread_condattr_destroy(&monotonic);
    while (rc == 0 && extracting->threads_n < wanted) {
        rc = pthread_create(&extracting->threads[extracting->threads_n], NULL, worker_main,
                            extracting);
        extracting->threads_n += rc == 0;
    }
    if (extracting->threads_n == 0) {
        extracting_stop(extracting);
        return emlfs_err_sys(err, rc, MODULE, "no thread can be started");
    }
    *ret = extracting;
    return 0;
}

void extracting_stop(struct extracting *extracting)
{
    if (!extracting)
        return;
    pthread_mutex_lock(&extracting->lock);
    extracting->stop = true;
    pthread_cond_broadcast(&extracting->work);
    pthread_cond_broadcast(&extracting->room);
    pthread_mutex_unlock(&extracting->lock);
    for (unsigned i = 0; i < extracting->threads_n; i++)
        pthread_join(extracting->threads[i], NULL);
    for (unsigned i = 0; i < JOBS_MAX; i++)
        job_wipe(&extracting->slots[i].job);
    pthread_mutex_destroy(&extracting->lock);
    pthread_cond_destroy(&extracting->work);
    pthread_cond_destroy(&extracting->room);
    pthread_cond_destroy(&extracting->ready);
    free(extracting);
}

void extracting_set_kinds(struct extracting *extracting, unsigned kinds)
{
    pthread_mutex_lock(&extracting->lock);
    extracting->kinds = kinds;
    pthread_mutex_unlock(&extracting->lock);
}

bool extracting_put(struct extracting *extracting, const struct job *job)
{
    bool room;

    pthread_mutex_lock(&extracting->lock);
    room = extracting->put - extracting->head < JOBS_MAX;
    if (room) {
        struct slot *slot = &extracting->slots[extracting->put++ % JOBS_MAX];
        *slot = (struct slot){.job = *job};
        slot->job.attr.doc = job->doc;
        slot->done = job->old || job->change.kind != EMLFS_CHANGE_MESSAGES;
        work_signal(extracting);
    }
    pthread_mutex_unlock(&extracting->lock);
    return room;
}

bool extracting_idle(struct extracting *extracting)
{
    bool idle;

    pthread_mutex_lock(&extracting->lock);
    idle = extracting->head == extracting->put;
    pthread_mutex_unlock(&extracting->lock);
    return idle;
}

static bool head_done(const struct extracting *extracting)
{
    return extracting->head != extracting->put &&
           extracting->slots[extracting->head % JOBS_MAX].done;
}

struct job *extracting_head(struct extracting *extracting, unsigned wait_ms)
{
    struct job *job = NULL;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    until.tv_sec += wait_ms / 1000 + until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_mutex_lock(&extracting->lock);
    while (wait_ms > 0 && extracting->head != extracting->put && !head_done(extracting)) {
        if (pthread_cond_timedwait(&extracting->ready, &extracting->lock, &until) == ETIMEDOUT)
            break;
    }
    if (head_done(extracting))
        job = &extracting->slots[extracting->head % JOBS_MAX].job;
    pthread_mutex_unlock(&extracting->lock);
    return job;
}

/* Under lock. */
static void head_drop(struct extracting *extracting)
{
    struct slot *slot = &extracting->slots[extracting->head % JOBS_MAX];

    job_wipe(&slot->job);
    extracting->head++;
    if (extracting->taken < extracting->head) /* a job that needed no thread */
        extracting->taken = extracting->head;
    release(extracting, slot->held_bytes); /* with the next one the oldest */
    slot->held_bytes = 0;
    work_signal(extracting);
}

void extracting_pop(struct extracting *extracting)
{
    pthread_mutex_lock(&extracting->lock);
    head_drop(extracting);
    pthread_mutex_unlock(&extracting->lock);
}

void extracting_clear(struct extracting *extracting)
{
    pthread_mutex_lock(&extracting->lock);
    extracting->put = extracting->taken; /* what no thread has begun */
    while (extracting->head != extracting->put) {
        if (head_done(extracting))
            head_drop(extracting);
        else
            pthread_cond_wait(&extracting->ready, &extracting->lock);
    }
    pthread_mutex_unlock(&extracting->lock);
}
