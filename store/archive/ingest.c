/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Ingest: one caller puts messages, workers prepare them in parallel, a committer stores them in
 * order. Memory is bounded by INGEST_BYTES_MAX of raw mail (or one larger message) plus
 * INGEST_BLOCKS_MAX blocks.
 */
#include <stdlib.h>

#include "emlfs/base/os.h"
#include "emlfs/stores.h"
#include "ingest.h"

#define MODULE "ingest"
#define COMPACT_MESSAGES 5000u
#define FACTS_MAX_BYTES (64u << 10)
#define MESSAGE_MAX_BYTES (256u << 20)

struct emlfs_ingest_item *emlfs_ingest_item_new(void)
{
    struct emlfs_ingest_item *item = calloc(1, sizeof(*item));

    if (item) {
        item->raw = EMLFS_BUF_INIT(MESSAGE_MAX_BYTES);
        item->facts = EMLFS_BUF_INIT(FACTS_MAX_BYTES);
    }
    return item;
}

void emlfs_ingest_item_free(struct emlfs_ingest_item *item)
{
    if (!item)
        return;
    emlfs_buf_wipe(&item->raw);
    emlfs_buf_free(&item->facts);
    free(item->position);
    free(item);
}

unsigned emlfs_archive_ingest_workers(const struct emlfs_archive *archive)
{
    return archive->workers;
}

static void ingest_leave(struct emlfs_ingest *ingest)
{
    struct emlfs_archive *archive = ingest->archive;

    pthread_mutex_lock(&archive->write_lock);
    for (struct emlfs_ingest **at = &archive->ingests; *at; at = &(*at)->next) {
        if (*at == ingest) {
            *at = ingest->next;
            break;
        }
    }
    archive->filing_n = 0;
    archive->flight_seq = 0;
    pthread_mutex_unlock(&archive->write_lock);
}

/*
 * What one of two ingests of a source that run beside each other has not seen, the other may have:
 * neither then takes mail for moved.
 */
static void ingest_join(struct emlfs_ingest *ingest)
{
    struct emlfs_archive *archive = ingest->archive;

    pthread_mutex_lock(&archive->write_lock);
    for (struct emlfs_ingest *other = archive->ingests; ingest->source && other;
         other = other->next) {
        if (other->source == ingest->source)
            ingest->contested = other->contested = true;
    }
    ingest->next = archive->ingests;
    archive->ingests = ingest;
    pthread_mutex_unlock(&archive->write_lock);
}

static void ingest_free(struct emlfs_ingest *ingest)
{
    for (unsigned i = 0; i < ingest->workers_n; i++) {
        emlfs_packer_free(ingest->workers[i].blocks);
        emlfs_packer_free(ingest->workers[i].blobs);
    }
    for (unsigned i = 0; i < FLIGHT_BUCKETS; i++) {
        while (ingest->flights[i]) {
            struct flight *gone = ingest->flights[i];
            ingest->flights[i] = gone->next;
            free(gone);
        }
    }
    while (ingest->blocks) { /* only after a failure */
        struct open_block *gone = ingest->blocks;
        ingest->blocks = gone->next;
        block_unref(gone);
    }
    ingest_leave(ingest);
    free(ingest->workers);
    block_unref(ingest->open);
    samples_reset(ingest);
    emlfs_buf_free(&ingest->events);
    pthread_cond_destroy(&ingest->work_cond);
    pthread_cond_destroy(&ingest->ready_cond);
    pthread_cond_destroy(&ingest->space_cond);
    pthread_mutex_destroy(&ingest->lock);
    turn_give(&ingest->archive->turn);
    free(ingest);
}

static void threads_stop(struct emlfs_ingest *ingest)
{
    if (ingest->committer_started) {
        pthread_mutex_lock(&ingest->lock);
        ingest->flush_n = ingest->put_n;
        while (ingest->done_n < ingest->put_n) {
            pthread_cond_signal(&ingest->ready_cond);
            pthread_cond_wait(&ingest->space_cond, &ingest->lock);
        }
        pthread_mutex_unlock(&ingest->lock);
    }
    pthread_mutex_lock(&ingest->lock);
    ingest->stop = true;
    pthread_cond_broadcast(&ingest->work_cond);
    pthread_cond_broadcast(&ingest->ready_cond);
    pthread_mutex_unlock(&ingest->lock);
    for (unsigned i = 0; i < ingest->workers_n; i++) {
        if (ingest->workers[i].started)
            pthread_join(ingest->workers[i].thread, NULL);
    }
    if (ingest->committer_started)
        pthread_join(ingest->committer, NULL);
}

static int worker_start(struct emlfs_ingest *ingest, unsigned no)
{
    struct ingest_worker *worker = &ingest->workers[no];
    int level = ingest->archive->identity.settings.zstd_level;
    int rc = emlfs_packer_new(level, &worker->blocks);

    if (rc == 0)
        rc = emlfs_packer_new(level < 6 ? level : 6, &worker->blobs);
    worker->no = no;
    worker->ingest = ingest;
    if (rc == 0)
        rc = -pthread_create(&worker->thread, NULL, ingest_worker_main, worker);
    worker->started = rc == 0;
    return rc;
}

static int threads_start(struct emlfs_ingest *ingest)
{
    int rc = 0;

    ingest->workers = calloc(ingest->archive->workers, sizeof(*ingest->workers));
    if (!ingest->workers)
        return -ENOMEM;
    ingest->workers_n = ingest->archive->workers;
    for (unsigned i = 0; i < ingest->workers_n && rc == 0; i++)
        rc = worker_start(ingest, i);
    if (rc == 0)
        rc = -pthread_create(&ingest->committer, NULL, ingest_committer_main, ingest);
    ingest->committer_started = rc == 0;
    return rc;
}

/* Committed with the first rows that carry the run's number. */
static int runs_save(struct emlfs_archive *archive)
{
    const uint8_t kind = MASTER_RUNS;
    const struct folder_stat runs = {.entries = archive->runs};
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    int rc = folder_stat_encode(&runs, &value);

    return rc < 0 ? rc
                  : emlfs_txn_put(apply_master(writer_apply(archive)), emlfs_span_of(&kind, 1), 0,
                                  emlfs_buf_view(&value));
}

/* Where times that the caller gives may go on from. */
static int arrival_load(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_msg_info info = {0};
    int rc = 0;

    if (ingest->options.arrival_ns && ingest->next_number > 1)
        rc = emlfs_archive_msg_info(ingest->archive,
                                    emlfs_msg_id_make(ingest->store_no, ingest->next_number - 1),
                                    &info, NULL, err);
    if (rc == 0 && info.id.v && info.archived_ns > ingest->arrived_ns)
        ingest->arrived_ns = info.archived_ns;
    return rc == -ENOENT ? 0 : rc;
}

static int mark_get(struct emlfs_archive *archive, struct mark_row *ret, struct emlfs_err *err)
{
    struct mark_row *mark = NULL;
    int rc = writer_begin(archive, err);

    if (rc == 0) {
        mark = apply_mark(writer_apply(archive), archive_current(archive)->rows.no);
        rc = mark ? 0 : emlfs_err_set(err, EIO, MODULE, "the catalogue cannot be read");
    }
    if (rc == 0)
        *ret = *mark;
    return rc;
}

int ingest_turn_begin(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct store *store = archive_current(archive);
    struct mark_row mark = {0};
    bool same = ingest->store_no == store->rows.no, more;
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = mark_get(archive, &mark, err);
    pthread_mutex_unlock(&archive->write_lock);
    if (rc < 0)
        return rc;
    more = !same || mark.next_number != ingest->next_number;
    ingest->store_no = store->rows.no;
    ingest->next_number = mark.next_number;
    ingest->next_seq = mark.next_seq;
    ingest->checked_folder = 0;
    ingest->turn_ns = emlfs_os_monotonic_ns();
    rc = store_dict(store, mark.dict_id, &ingest->dict, err);
    if (!same || ingest->dict)
        samples_reset(ingest);
    return rc == 0 && more ? arrival_load(ingest, err) : rc;
}

/*
 * A block that was begun and got no message has a number that may be another's by then. Closed ones
 * and events are left only of an ingest that failed: they are never appended, so their change
 * numbers and messages are free.
 */
void ingest_turn_end(struct emlfs_ingest *ingest)
{
    block_unref(ingest->open);
    ingest->open = NULL;
    pthread_mutex_lock(&ingest->archive->write_lock);
    ingest->archive->filing_n = 0;
    ingest->archive->flight_seq = 0;
    pthread_mutex_unlock(&ingest->archive->write_lock);
}

void ingest_turn_told(void *arg)
{
    struct emlfs_ingest *ingest = arg;

    pthread_mutex_lock(&ingest->lock);
    pthread_cond_broadcast(&ingest->ready_cond);
    pthread_mutex_unlock(&ingest->lock);
}

static int position_load(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    int rc = ingest_turn_begin(ingest, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    ingest->run = ++archive->runs;
    rc = runs_save(archive);
    pthread_mutex_unlock(&archive->write_lock);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "the run cannot be numbered") : 0;
}

static void sync_init(struct emlfs_ingest *ingest)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&ingest->lock, NULL);
    pthread_cond_init(&ingest->work_cond, NULL);
    pthread_cond_init(&ingest->ready_cond, &attr);
    pthread_cond_init(&ingest->space_cond, NULL);
    pthread_condattr_destroy(&attr);
}

/* Within a turn: no other store becomes current meanwhile, but this one may be protected. */
int current_check(struct emlfs_archive *archive, struct emlfs_err *err)
{
    uint16_t no = archive_current(archive)->rows.no;

    if (emlfs_archive_store_state(archive, no) != EMLFS_STORE_WRITE_PROTECTED)
        return 0;
    return emlfs_err_set(err, EROFS, MODULE,
                         "the current store, number %u, is write-protected: no mail is taken until "
                         "that is lifted or a new store is created",
                         no);
}

int emlfs_ingest_begin(struct emlfs_archive *archive, const struct emlfs_ingest_options *options,
                       struct emlfs_ingest **ret_ingest, struct emlfs_err *err)
{
    struct emlfs_ingest *ingest = calloc(1, sizeof(*ingest));
    int rc;

    if (!ingest)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    turn_take(&archive->turn);
    ingest->archive = archive;
    ingest->options = *options;
    ingest->arrived_ns = INT64_MIN;
    ingest->events = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES / 2);
    sync_init(ingest);
    rc = current_check(archive, err);
    if (rc == 0)
        rc = position_load(ingest, err);
    if (rc == 0 && options->source)
        rc = source_number(archive, options->source, &ingest->source, err);
    if (rc == 0) {
        ingest_join(ingest);
        turn_hold(&archive->turn, ingest_turn_told, ingest);
        rc = threads_start(ingest);
        if (rc < 0)
            emlfs_err_sys(err, -rc, MODULE, "threads cannot be started");
    }
    if (rc < 0) {
        threads_stop(ingest);
        turn_hold(&archive->turn, NULL, NULL);
        ingest_free(ingest);
        return rc;
    }
    *ret_ingest = ingest;
    return 0;
}

static void queue_add(struct emlfs_ingest *ingest, struct work *work)
{
    if (ingest->queue_last)
        ingest->queue_last->next = work;
    else
        ingest->queue = work;
    ingest->queue_last = work;
    if (!ingest->next_work)
        ingest->next_work = work;
    ingest->queue_n++;
    ingest->untaken_n++;
    ingest->bytes += work->item->raw.len;
    ingest->put_n++;
    pthread_cond_signal(&ingest->work_cond);
}

int emlfs_ingest_put(struct emlfs_ingest *ingest, struct emlfs_ingest_item *item,
                     struct emlfs_err *err)
{
    struct work *work = calloc(1, sizeof(*work));
    int rc;

    if (!work) {
        emlfs_ingest_item_free(item);
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    }
    work->item = item;
    pthread_mutex_lock(&ingest->lock);
    while (
        ingest->failed == 0 && ingest->queue_n > 0 &&
        (ingest->queue_n >= INGEST_QUEUE_MAX || ingest->bytes + item->raw.len > INGEST_BYTES_MAX))
        pthread_cond_wait(&ingest->space_cond, &ingest->lock);
    queue_add(ingest, work);
    rc = ingest->failed;
    if (rc < 0 && err)
        *err = ingest->failure;
    pthread_mutex_unlock(&ingest->lock);
    return rc;
}

int emlfs_ingest_flush(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    uint64_t target;
    int rc;

    pthread_mutex_lock(&ingest->lock);
    target = ingest->flush_n = ingest->put_n;
    pthread_cond_signal(&ingest->ready_cond);
    while (ingest->done_n < target)
        pthread_cond_wait(&ingest->space_cond, &ingest->lock);
    rc = ingest->failed;
    if (rc < 0 && err)
        *err = ingest->failure;
    pthread_mutex_unlock(&ingest->lock);
    return rc;
}

/* A bulk load rewrites the same rows many times: leave no more of them than there are. */
static void stores_compact(struct emlfs_archive *archive)
{
    emlfs_catalog_compact(archive_current(archive)->rows.catalog);
}

int emlfs_ingest_end(struct emlfs_ingest *ingest, bool complete,
                     struct emlfs_ingest_totals *ret_totals, struct emlfs_err *err)
{
    int rc;

    threads_stop(ingest);
    turn_hold(&ingest->archive->turn, NULL, NULL);
    rc = ingest->failed;
    if (rc < 0 && err)
        *err = ingest->failure;
    if (rc == 0 && complete)
        rc = ingest_moves(ingest, err);
    if (ingest->totals.archived >= COMPACT_MESSAGES)
        stores_compact(ingest->archive);
    if (ret_totals)
        *ret_totals = ingest->totals;
    ingest_free(ingest);
    return rc;
}

int emlfs_ingest_check(struct emlfs_archive *archive, uint64_t size_bytes, struct emlfs_err *err)
{
    int rc = archive_writable(archive, err);

    if (rc == 0)
        rc = current_check(archive, err);
    return rc < 0 ? rc : writer_room_for(archive, size_bytes, err);
}

int emlfs_archive_has(struct emlfs_archive *archive, struct emlfs_user_id user,
                      struct emlfs_span raw, bool *ret_has, struct emlfs_err *err)
{
    struct emlfs_hash sha256;
    struct emlfs_msg_id id;
    struct emlfs_entry entry;
    int rc = emlfs_sha256(raw, &sha256);

    if (rc == 0)
        rc = content_find(archive, &sha256, ret_has, &id, err);
    if (rc < 0 || !*ret_has)
        return rc;
    rc = emlfs_archive_entry_of(archive, user, id, &entry, err);
    *ret_has = rc == 0;
    return rc == -ENOENT ? 0 : rc;
}
