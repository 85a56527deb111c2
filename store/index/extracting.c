/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extraction: messages are opened and their text taken out on several threads, and handed over in
 * the order they were asked for. The threads are nice, so that an import keeps most of the machine.
 *
 * I-EXTRACT-1  a message that cannot be read or understood is a document with a problem, never an
 *              error; only a lack of memory or of a worker is
 * I-EXTRACT-2  text and messages held at a time are bounded: over HELD_MAX_BYTES only the oldest
 *              job goes on, so that it always can
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

struct slot {
    struct job job;
    bool done;
    size_t held_bytes;
};
struct extracting {
    struct emlfs_index *index;
    pthread_mutex_t lock;
    pthread_cond_t work;  /* threads: jobs, room, or the end */
    pthread_cond_t ready; /* whoever takes results */
    struct slot slots[JOBS_MAX];
    /* Jobs head...taken are under way or done, taken...put wait for a thread. */
    uint64_t head, taken, put;
    unsigned busy; /* threads in a job */
    size_t held_bytes;
    unsigned kinds;
    bool stop;
    bool halted;
    pthread_t threads[THREADS_MAX];
    unsigned threads_n;
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
    struct emlfs_buf raw, facts;
};

/* Wait until bytes more may be held for job number. */
static void hold(struct extracting *extracting, uint64_t number, size_t bytes)
{
    pthread_mutex_lock(&extracting->lock);
    while (!extracting->stop && number != extracting->head &&
           extracting->held_bytes + bytes > HELD_MAX_BYTES)
        pthread_cond_wait(&extracting->work, &extracting->lock);
    extracting->held_bytes += bytes;
    pthread_mutex_unlock(&extracting->lock);
}

static void release(struct extracting *extracting, size_t bytes)
{
    pthread_mutex_lock(&extracting->lock);
    extracting->held_bytes -= bytes;
    pthread_cond_broadcast(&extracting->work);
    pthread_mutex_unlock(&extracting->lock);
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

    *envelope = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
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

static int text_take(struct worker *worker, struct job *job, unsigned kinds)
{
    enum emlfs_priority priority = EMLFS_PRIORITY_NORMAL;
    bool attachment = false;
    int rc = extractor_make(worker, &job->err);

    if (rc == 0)
        rc = worker->extractor.extract(worker->extractor.arg, emlfs_buf_view(&worker->raw), kinds,
                                       &job->text, &job->err);
    if (rc < 0)
        return rc;
    rc = emlfs_doctext_check(emlfs_buf_view(&job->text), &priority, &attachment, NULL);
    if (rc < 0)
        return bare_text(&job->text, "the text makes no sense");
    job->attr.priority = (uint8_t)priority;
    job->attr.attachment = attachment;
    return 0;
}

static bool is_gone(struct emlfs_archive *archive, struct emlfs_msg_id id)
{
    struct emlfs_filing filing;
    unsigned n;

    return emlfs_archive_filings(archive, id, &filing, 1, &n, NULL) == -ENOENT;
}

static void job_run(struct worker *worker, uint64_t number, struct slot *slot, unsigned kinds)
{
    struct emlfs_archive *archive = worker->extracting->index->options.archive;
    struct job *job = &slot->job;
    struct emlfs_msg_id id = emlfs_msg_id_make(emlfs_msg_id_store(job->change.first), job->doc);
    int rc = attr_get(worker, id, job);
    size_t bytes = (size_t)job->attr.size_bytes;

    job->text.max_bytes = EMLFS_DOCTEXT_MAX_BYTES;
    if (rc == 0 && job->attr.size_bytes > MESSAGE_MAX_BYTES)
        rc = -E2BIG;
    if (rc == 0) {
        hold(worker->extracting, number, bytes);
        rc = emlfs_archive_msg_read(archive, id, &worker->raw, NULL);
        job->rc = rc == 0 ? text_take(worker, job, kinds) : 0;
        emlfs_buf_wipe(&worker->raw);
        release(worker->extracting, bytes);
    }
    /* Hidden meanwhile, which says nothing of it; or deleted: then there is nothing to find. */
    if (rc == -ENOENT && !emlfs_archive_store_shown(archive, emlfs_msg_id_store(id)))
        rc = -EAGAIN;
    if (rc == -ENOENT && is_gone(archive, id)) {
        emlfs_buf_wipe(&job->envelope);
        rc = 0;
    }
    if (errno_is_want(rc))
        job->rc = emlfs_err_sys(&job->err, -rc, MODULE, "message %u", job->doc);
    else if (rc < 0)
        job->rc = bare_text(&job->text, reason_of(rc));
    slot->held_bytes = job->text.cap + job->envelope.cap;
    hold(worker->extracting, number, slot->held_bytes);
}

static void *worker_main(void *arg)
{
    struct extracting *extracting = arg;
    struct worker worker = {.extracting = extracting,
                            .raw = EMLFS_BUF_INIT(MESSAGE_MAX_BYTES),
                            .facts = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES)};

    /* Of this thread only, on Linux; what it starts inherits it. */
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
    pthread_mutex_lock(&extracting->lock);
    while (!extracting->stop) {
        uint64_t number = extracting->taken;
        struct slot *slot = &extracting->slots[number % JOBS_MAX];
        unsigned kinds = extracting->kinds;
        if (number == extracting->put) {
            pthread_cond_wait(&extracting->work, &extracting->lock);
            continue;
        }
        extracting->taken++;
        if (slot->done) /* nothing to extract */
            continue;
        extracting->busy++;
        pthread_mutex_unlock(&extracting->lock);
        job_run(&worker, number, slot, kinds);
        pthread_mutex_lock(&extracting->lock);
        slot->done = true;
        extracting->busy--;
        pthread_cond_broadcast(&extracting->ready);
    }
    pthread_mutex_unlock(&extracting->lock);
    if (worker.made) {
        extractor_unregister(extracting, &worker.extractor);
        worker.extractor.free(worker.extractor.arg);
    }
    emlfs_buf_wipe(&worker.raw);
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
    pthread_mutex_init(&extracting->lock, NULL);
    pthread_cond_init(&extracting->work, NULL);
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
    pthread_mutex_unlock(&extracting->lock);
    for (unsigned i = 0; i < extracting->threads_n; i++)
        pthread_join(extracting->threads[i], NULL);
    for (unsigned i = 0; i < JOBS_MAX; i++)
        job_wipe(&extracting->slots[i].job);
    pthread_mutex_destroy(&extracting->lock);
    pthread_cond_destroy(&extracting->work);
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
        pthread_cond_broadcast(&extracting->work); /* some wait for room, not for work */
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
    extracting->held_bytes -= slot->held_bytes;
    slot->held_bytes = 0;
    extracting->head++;
    if (extracting->taken < extracting->head) /* a job that needed no thread */
        extracting->taken = extracting->head;
    pthread_cond_broadcast(&extracting->work);
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
