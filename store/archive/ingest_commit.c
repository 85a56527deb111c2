/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The committer: takes messages in the order they were put, decides what each is (new, archived
 * already, to be filed once more), and commits in groups.
 *
 * I-COMMIT-1  a verdict other than REJECTED is reported only behind a commit that makes it durable
 * I-COMMIT-2  verdicts are reported in the order of put
 * I-COMMIT-3  change numbers reach the catalogue in ascending order: closed blocks are appended
 *             before events
 * I-COMMIT-4  everything taken is committed before the turn is given away; nothing was decided yet
 *             about what is in the queue then, so that it may go on after others wrote
 */
#include <stdlib.h>
#include <time.h>

#include "emlfs/base/os.h"
#include "ingest.h"

#define MODULE "ingest"

void block_entry_of(const struct emlfs_ingest *ingest, const struct emlfs_ingest_item *item,
                    struct block_entry *ret)
{
    int64_t sec = item->mtime_ns / 1000000000;

    if (item->mtime_ns % 1000000000 < 0)
        sec--;
    *ret = (struct block_entry){.user = item->user.v,
                                .folder = item->folder.v,
                                .source = ingest->source,
                                .flags = item->flags,
                                .mtime_sec = sec,
                                .stem = emlfs_span_str(item->stem)};
}

const struct emlfs_actor *ingest_actor(const struct emlfs_ingest *ingest)
{
    const struct emlfs_actor *actor = &ingest->options.actor;

    return actor->user.v || actor->uid || actor->source || actor->admin ? actor : NULL;
}

void ingest_fail(struct emlfs_ingest *ingest, int rc, const struct emlfs_err *err)
{
    pthread_mutex_lock(&ingest->lock);
    if (ingest->failed == 0) {
        ingest->failed = rc;
        if (err && err->code)
            ingest->failure = *err;
        else
            emlfs_err_sys(&ingest->failure, -rc, MODULE, "mail cannot be taken");
    }
    pthread_cond_broadcast(&ingest->space_cond);
    pthread_mutex_unlock(&ingest->lock);
}

static void wait_for_commit(struct emlfs_ingest *ingest, struct work *work)
{
    work->next = NULL;
    work->taken_ns = emlfs_os_monotonic_ns();
    work_content_free(work);
    emlfs_buf_wipe(&work->item->raw);
    if (ingest->waiting_last)
        ingest->waiting_last->next = work;
    else
        ingest->waiting = work;
    ingest->waiting_last = work;
}

static void reject(struct work *work, int rc)
{
    work->item->verdict = EMLFS_INGEST_REJECTED;
    if (work->item->err.code == 0)
        emlfs_err_sys(&work->item->err, -rc, MODULE, "not archived");
}

/* ---- events: entries for messages that are archived */

/* Under write_lock, behind the record that holds the events. */
static int events_tell(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < ingest->events_n && rc == 0; i++) {
        const struct emlfs_ledger_record record = {.kind = ingest->event_keys[i].folder_to
                                                               ? EMLFS_LEDGER_MESSAGE_MOVED
                                                               : EMLFS_LEDGER_MESSAGE_FILED,
                                                   .owner = {ingest->event_keys[i].user},
                                                   .message = ingest->event_keys[i].id,
                                                   .folder = {ingest->event_keys[i].folder},
                                                   .folder_to = {ingest->event_keys[i].folder_to}};
        rc = writer_tell(ingest->archive, ingest_actor(ingest), &record, err);
    }
    return rc;
}

int ingest_seq(struct emlfs_ingest *ingest, unsigned n, bool gap, uint64_t *ret,
               struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct mark_row *mark = apply_mark(writer_apply(archive), archive_current(archive)->rows.no);

    if (!mark)
        return emlfs_err_set(err, EIO, MODULE, "the catalogue cannot be read");
    *ret = ingest->next_seq > mark->next_seq ? ingest->next_seq : mark->next_seq;
    *ret += gap ? INGEST_SEQ_GAP : 0;
    ingest->next_seq = *ret + n;
    return 0;
}

static int events_write(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct events_head head = {.time_ns = emlfs_archive_now_ns(archive), .n = ingest->events_n};
    struct emlfs_buf plain EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    archive->filing_n = 0; /* on whatever way this ends: nothing of them is written later */
    rc = ingest_seq(ingest, ingest->events_n, false, &head.seq, err);
    if (rc == 0)
        rc = events_begin(&plain, &head);
    if (rc == 0)
        rc = emlfs_buf_append(&plain, ingest->events.data, ingest->events.len);
    if (rc < 0) {
        pthread_mutex_unlock(&archive->write_lock);
        return emlfs_err_sys(err, -rc, MODULE, "events");
    }
    apply_set_run(writer_apply(archive), ingest->run);
    rc = writer_record(archive, EMLFS_RECORD_EVENTS, emlfs_buf_view(&plain), err);
    apply_set_run(writer_apply(archive), 0);
    if (rc == 0)
        rc = events_tell(ingest, err);
    if (rc < 0)
        archive_fail(archive, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

static void filing_clear(struct emlfs_archive *archive)
{
    pthread_mutex_lock(&archive->write_lock);
    archive->filing_n = 0;
    pthread_mutex_unlock(&archive->write_lock);
}

static int events_flush(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    int rc;

    if (ingest->events_n == 0)
        return 0;
    rc = blocks_append(ingest, true, err);
    if (rc == 0)
        rc = events_write(ingest, err);
    if (rc < 0) { /* whoever waits for them must not be told that they are filed */
        filing_clear(ingest->archive);
        ingest_fail(ingest, rc, err);
    }
    ingest->uncommitted += ingest->events_n;
    ingest->events_n = 0;
    emlfs_buf_clear(&ingest->events);
    return rc;
}

static int event_put(struct emlfs_ingest *ingest, const struct event *event, struct emlfs_err *err)
{
    int rc = ingest->events_n == INGEST_EVENTS_MAX ? events_flush(ingest, err) : 0;

    if (rc < 0)
        return rc;
    rc = event_append(&ingest->events, event);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "event");
    pthread_mutex_lock(&ingest->archive->write_lock);
    ingest->archive->filing[ingest->archive->filing_n++] = event->id;
    pthread_mutex_unlock(&ingest->archive->write_lock);
    ingest->event_keys[ingest->events_n].id = event->id;
    ingest->event_keys[ingest->events_n].user = event->entry.user;
    ingest->event_keys[ingest->events_n].folder_to = 0;
    ingest->event_keys[ingest->events_n++].folder = event->entry.folder;
    return 0;
}

static bool event_pending(const struct emlfs_ingest *ingest, const struct emlfs_ingest_item *item)
{
    for (unsigned i = 0; i < ingest->events_n; i++) {
        if (ingest->event_keys[i].id.v == item->id.v &&
            ingest->event_keys[i].user == item->user.v &&
            ingest->event_keys[i].folder == item->folder.v)
            return true;
    }
    return false;
}

/* ---- messages that are archived already */

/* Remember that this run has seen the entry where it was; a no-op for other sources' entries. */
static int seen_mark(struct emlfs_ingest *ingest, struct emlfs_msg_id id, struct filed_list *list,
                     int at)
{
    if (!ingest->source || list->v[at].source != ingest->source || list->v[at].run == ingest->run)
        return 0;
    list->v[at].run = ingest->run;
    return apply_filed_put(writer_apply(ingest->archive), emlfs_msg_id_store(id),
                           emlfs_msg_id_number(id), list);
}

/* Key: message, user, source: the message may have been moved within the source. */
static struct row_key candidate_key(uint32_t number, uint16_t user, uint32_t source)
{
    const uint8_t tail[6] = {(uint8_t)(user >> 8),    (uint8_t)user,
                             (uint8_t)(source >> 24), (uint8_t)(source >> 16),
                             (uint8_t)(source >> 8),  (uint8_t)source};

    return key_u32_bytes(ROW_CANDIDATE, number, emlfs_span_of(tail, sizeof(tail)));
}

/* Decided at the end of a complete run, when all of the source has been seen. */
static int candidate_put(struct emlfs_ingest *ingest, const struct emlfs_ingest_item *item,
                         const struct filed_list *list)
{
    struct row_key key = candidate_key(emlfs_msg_id_number(item->id), item->user.v, ingest->source);
    bool same_source = false;

    for (unsigned i = 0; i < list->n; i++)
        same_source =
            same_source || (list->v[i].user == item->user.v && list->v[i].source == ingest->source);
    if (!ingest->source || !same_source)
        return 0;
    return emlfs_txn_put(apply_txn(writer_apply(ingest->archive), emlfs_msg_id_store(item->id)),
                         row_key_view(&key), 0, (struct emlfs_span){0});
}

/* Events are small, so a disk with room when they are accepted has room when they are written. */
static int file_again_check(struct emlfs_ingest *ingest, const struct filed_list *list,
                            struct emlfs_err *err)
{
    if (list->n + ingest->events_n >= FILED_MAX)
        return emlfs_err_set(err, E2BIG, MODULE, "the message is in %u folders already", list->n);
    return writer_room(ingest->archive, err);
}

static int file_again(struct emlfs_ingest *ingest, struct work *work, const struct filed_list *list,
                      const struct emlfs_msg_info *info, struct emlfs_err *err)
{
    struct emlfs_ingest_item *item = work->item;
    struct event event = {.kind = EVENT_FILED,
                          .id = item->id,
                          .size_bytes = info->size_bytes,
                          .archived_ns = info->archived_ns};
    int rc = file_again_check(ingest, list, err);

    if (rc < 0)
        return rc;
    block_entry_of(ingest, item, &event.entry);
    item->new_entry = true;
    rc = event_put(ingest, &event, err);
    if (rc == 0) {
        pthread_mutex_lock(&ingest->archive->write_lock);
        rc = candidate_put(ingest, item, list);
        pthread_mutex_unlock(&ingest->archive->write_lock);
    }
    return rc;
}

/* Until decision_end nobody takes entries of the message away. Under write_lock. */
static void decision_begin(struct emlfs_archive *archive, struct emlfs_msg_id id)
{
    archive->filing_one = id;
}

static void decision_end(struct emlfs_archive *archive)
{
    pthread_mutex_lock(&archive->write_lock);
    archive->filing_one.v = 0;
    pthread_mutex_unlock(&archive->write_lock);
}

/*
 * info: of a message that is applied but perhaps not committed; NULL: the catalogue knows it.
 * ESTALE: it is gone, or no longer shown.
 */
static int accept_known(struct emlfs_ingest *ingest, struct work *work,
                        const struct emlfs_msg_info *info, struct emlfs_err *err)
{
    struct emlfs_ingest_item *item = work->item;
    struct emlfs_archive *archive = ingest->archive;
    struct filed_list list = {0};
    struct emlfs_msg_info found;
    int at, rc;

    item->verdict = EMLFS_INGEST_DUPLICATE;
    pthread_mutex_lock(&archive->write_lock);
    rc = apply_filed_get(writer_apply(archive), emlfs_msg_id_store(item->id),
                         emlfs_msg_id_number(item->id), &list, err);
    at = filed_find(&list, item->user.v, item->folder.v);
    if (rc == 0 && (list.n == 0 || !archive_shown(archive, emlfs_msg_id_store(item->id))))
        rc = -ESTALE;
    if (rc == 0 && at >= 0)
        rc = seen_mark(ingest, item->id, &list, at);
    if (rc == 0 && at < 0)
        decision_begin(archive, item->id);
    pthread_mutex_unlock(&archive->write_lock);
    ingest->uncommitted++;
    if (rc == 0 && at < 0 && !event_pending(ingest, item)) {
        if (!info)
            rc = emlfs_archive_msg_info(archive, item->id, &found, NULL, err);
        if (rc == 0)
            rc = file_again(ingest, work, &list, info ? info : &found, err);
    }
    decision_end(archive);
    filed_list_free(&list);
    return rc;
}

/* ---- one message */

static int store_roll(struct emlfs_ingest *ingest, struct emlfs_err *err);

/* The store changed between the worker and now: blob ids are made with its keys. */
static int content_again(struct emlfs_ingest *ingest, struct work *work)
{
    struct emlfs_packer *packer = NULL;
    int rc;

    if (work->store_no == archive_current(ingest->archive)->rows.no)
        return 0;
    work_content_free(work);
    rc = emlfs_packer_new(ingest->archive->identity.settings.zstd_level, &packer);
    if (rc == 0)
        rc = work_content(ingest, packer, work);
    emlfs_packer_free(packer);
    return rc;
}

static int accept_new(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err)
{
    uint32_t limit = ingest->archive->identity.settings.store_messages;
    int rc = current_check(ingest->archive, err);

    if (rc == 0 && ingest->next_number > limit)
        rc = store_roll(ingest, err);
    if (rc == 0)
        rc = content_again(ingest, work);
    if (rc == 0)
        rc = block_accept(ingest, work, err);
    return rc;
}

/* It was known when a worker looked, and is gone: so it is new, unless another copy is there. */
static int accept_gone(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err)
{
    int rc = content_find(ingest->archive, &work->sha256, &work->known, &work->item->id, err);

    if (rc == 0 && work->known)
        rc = accept_known(ingest, work, NULL, err);
    else if (rc == 0)
        rc = work->prepared ? accept_new(ingest, work, err) : -ESTALE;
    if (rc == -ESTALE)
        return emlfs_err_set(err, EAGAIN, MODULE,
                             "the message was deleted while it was looked at; bring it again");
    return rc;
}

/* A message seen before in this run, whose block is not committed yet. */
static int accept_in_flight(struct emlfs_ingest *ingest, struct work *work, struct flight *flight,
                            struct emlfs_err *err)
{
    struct emlfs_msg_info info;
    int rc = 0;

    if (block_file_again(ingest, flight, work))
        return 0;
    if (flight->block == ingest->open)
        block_close(ingest);
    if (!flight->block->applied)
        rc = blocks_append(ingest, true, err);
    flight = rc < 0 ? NULL : flight_find(ingest, &work->sha256);
    if (!flight) /* its block could not be stored: this one may have more luck */
        return rc < 0 ? rc : accept_new(ingest, work, err);
    info = (struct emlfs_msg_info){
        .id = flight->id, .size_bytes = flight->size_bytes, .archived_ns = flight->archived_ns};
    work->known = true;
    work->item->id = flight->id;
    rc = accept_known(ingest, work, &info, err);
    return rc == -ESTALE ? accept_gone(ingest, work, err) : rc;
}

/* Whoever chose the folder may have done so before it was removed. */
static int folder_check(struct emlfs_ingest *ingest, uint32_t folder, struct emlfs_err *err)
{
    struct folder_row row;
    int rc;

    if (folder == ingest->checked_folder)
        return 0;
    rc = folder_row_any(ingest->archive, (struct emlfs_folder_id){folder}, &row, err);
    if (rc < 0 && rc != -ENOENT)
        return rc;
    if (rc == 0 && row.flags & FOLDER_REMOVED)
        return emlfs_err_set(err, ENOENT, MODULE, "folder %u was removed", folder);
    ingest->checked_folder = folder;
    return 0;
}

static int accept_work(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err)
{
    struct flight *flight;
    int rc = folder_check(ingest, work->item->folder.v, err);

    if (rc == 0)
        rc = quota_charge(ingest, work, err);
    if (rc < 0)
        return rc;
    flight = flight_find(ingest, &work->sha256);
    if (flight)
        return accept_in_flight(ingest, work, flight, err);
    if (!work->known) {
        /* Committed between the worker's look and now. */
        rc = content_find(ingest->archive, &work->sha256, &work->known, &work->item->id, err);
        if (rc < 0)
            return rc;
    }
    if (!work->known)
        return accept_new(ingest, work, err);
    rc = accept_known(ingest, work, NULL, err);
    return rc == -ESTALE ? accept_gone(ingest, work, err) : rc;
}

static void take(struct emlfs_ingest *ingest, struct work *work)
{
    struct emlfs_err err = {0};
    int rc = work->rc;

    if (rc == 0 && ingest->failed) {
        rc = ingest->failed;
        work->item->err = ingest->failure;
    } else if (rc == 0) {
        rc = accept_work(ingest, work, &err);
        if (rc < 0 && err.code)
            work->item->err = err;
        if (rc < 0 && archive_writable(ingest->archive, NULL) < 0)
            ingest_fail(ingest, rc, &work->item->err);
    }
    if (rc < 0)
        reject(work, rc);
    wait_for_commit(ingest, work);
}

/* ---- committing */

static void count(struct emlfs_ingest *ingest, const struct emlfs_ingest_item *item)
{
    ingest->totals.archived += item->verdict == EMLFS_INGEST_ARCHIVED;
    ingest->totals.duplicates += item->verdict == EMLFS_INGEST_DUPLICATE;
    ingest->totals.rejected += item->verdict == EMLFS_INGEST_REJECTED;
    ingest->totals.new_entries += item->new_entry && item->verdict == EMLFS_INGEST_DUPLICATE;
}

static void report(struct emlfs_ingest *ingest, struct work *work)
{
    struct emlfs_ingest_item *item = work->item;

    work->item = NULL;
    count(ingest, item);
    if (ingest->options.done)
        ingest->options.done(ingest->options.arg, item);
    else
        emlfs_ingest_item_free(item);
    work_free(work);
    pthread_mutex_lock(&ingest->lock);
    ingest->done_n++;
    pthread_cond_broadcast(&ingest->space_cond);
    pthread_mutex_unlock(&ingest->lock);
}

/* Report what the last commit covers; failed: everything is covered by failure. */
static void release(struct emlfs_ingest *ingest)
{
    struct work *work;

    if (ingest->failed)
        flights_drop(ingest, FLIGHTS_ALL);
    while ((work = ingest->waiting)) {
        struct open_block *block = work->block;
        if (block && !block->applied && !block->failed && !ingest->failed)
            break;
        if (work->item->verdict != EMLFS_INGEST_REJECTED &&
            (ingest->failed || (block && block->failed))) {
            work->item->err = ingest->failed ? ingest->failure : block->err;
            reject(work, -EIO);
        }
        ingest->waiting = work->next;
        if (!ingest->waiting)
            ingest->waiting_last = NULL;
        block_unref(block);
        report(ingest, work);
    }
}

static int commit_applied(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&ingest->archive->write_lock);
    rc = writer_commit(ingest->archive, err);
    pthread_mutex_unlock(&ingest->archive->write_lock);
    ingest->uncommitted = 0;
    if (rc == 0)
        flights_drop(ingest, FLIGHTS_APPLIED);
    return rc;
}

int ingest_commit(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    int rc = ingest->failed;

    if (rc == 0) {
        block_close(ingest);
        rc = blocks_append(ingest, true, err);
    }
    if (rc == 0)
        rc = events_flush(ingest, err);
    if (rc == 0)
        rc = commit_applied(ingest, err);
    ingest->charged_bytes = 0;
    if (rc < 0 && !ingest->failed)
        ingest_fail(ingest, rc, err);
    release(ingest);
    return rc;
}

static int store_roll(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct mark_row *mark;
    int rc = ingest_commit(ingest, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&ingest->archive->write_lock);
    rc = stores_roll(ingest->archive, NULL, NULL, err);
    if (rc == 0) {
        mark = apply_mark(writer_apply(ingest->archive), archive_current(ingest->archive)->rows.no);
        ingest->next_number = mark->next_number;
        ingest->next_seq = mark->next_seq;
        ingest->store_no = archive_current(ingest->archive)->rows.no;
        ingest->dict = NULL;
    }
    pthread_mutex_unlock(&ingest->archive->write_lock);
    samples_reset(ingest);
    return rc;
}

/* While messages keep coming: whole blocks only, when enough has gathered. */
static void commit_some(struct emlfs_ingest *ingest)
{
    struct emlfs_err err = {0};
    int rc = blocks_append(ingest, false, &err);

    if (rc == 0 && !ingest->failed)
        rc = dict_make(ingest, &err);
    if (rc == 0 && !ingest->failed &&
        (writer_pending_bytes(ingest->archive) >= INGEST_COMMIT_BYTES ||
         ingest->uncommitted >= INGEST_COMMIT_MESSAGES)) {
        rc = events_flush(ingest, &err);
        if (rc == 0)
            rc = commit_applied(ingest, &err);
        if (rc == 0)
            release(ingest);
    }
    if (rc < 0 && !ingest->failed)
        ingest_fail(ingest, rc, &err);
    if (ingest->failed)
        release(ingest);
}

static void deadline_add(struct timespec *at, int64_t ns)
{
    clock_gettime(CLOCK_MONOTONIC, at);
    at->tv_sec += (time_t)(ns / 1000000000);
    at->tv_nsec += (long)(ns % 1000000000);
    if (at->tv_nsec >= 1000000000) {
        at->tv_sec++;
        at->tv_nsec -= 1000000000;
    }
}

/* Nanoseconds until what waits has waited long enough; 0: now; negative: nothing waits. */
static int64_t patience(const struct emlfs_ingest *ingest)
{
    int64_t limit = ingest->queue_n > 0
                        ? INGEST_STALE_NS
                        : (int64_t)ingest->archive->identity.settings.commit_ms * 1000000;
    int64_t left;

    if (!ingest->waiting)
        return -1;
    left = ingest->waiting->taken_ns + limit - emlfs_os_monotonic_ns();
    return left > 0 ? left : 0;
}

enum next_step {
    STEP_PASS,
    STEP_TAKE,
    STEP_APPEND,
    STEP_COMMIT,
    STEP_END,
};

static bool flush_due(const struct emlfs_ingest *ingest)
{
    return ingest->waiting && ingest->queue_n == 0 && ingest->flush_n > ingest->done_n;
}

/*
 * Nanoseconds until the turn should be given away; 0: now; negative: nobody waits for it. Who has
 * nothing to do does not keep it.
 */
static int64_t turn_left(const struct emlfs_ingest *ingest)
{
    int64_t left;

    if (!turn_wanted(&ingest->archive->turn) || ingest->stop)
        return -1;
    left = ingest->turn_ns + INGEST_TURN_NS - emlfs_os_monotonic_ns();
    return left > 0 && (ingest->queue_n > 0 || ingest->waiting) ? left : 0;
}

/* Under lock: wait for something to do. */
static enum next_step next_step(struct emlfs_ingest *ingest, struct work **ret_work)
{
    for (;;) {
        struct timespec at;
        int64_t left = patience(ingest), turn = turn_left(ingest);
        if (turn == 0)
            return STEP_PASS;
        if (left == 0 || flush_due(ingest))
            return STEP_COMMIT;
        if (ingest->queue && ingest->queue->state == JOB_READY) {
            struct work *work = ingest->queue;
            ingest->queue = work->next;
            if (!ingest->queue)
                ingest->queue_last = NULL;
            ingest->queue_n--;
            ingest->bytes -= work->item->raw.len;
            pthread_cond_broadcast(&ingest->space_cond);
            *ret_work = work;
            return STEP_TAKE;
        }
        if (ingest->blocks && ingest->blocks->state == JOB_READY)
            return STEP_APPEND;
        if (ingest->stop && ingest->queue_n == 0)
            return ingest->waiting ? STEP_COMMIT : STEP_END;
        if (turn > 0 && (left < 0 || turn < left))
            left = turn;
        if (left < 0) {
            pthread_cond_wait(&ingest->ready_cond, &ingest->lock);
            continue;
        }
        deadline_add(&at, left);
        pthread_cond_timedwait(&ingest->ready_cond, &ingest->lock, &at);
    }
}

/*
 * Give the turn away, and take it again when there is something to do. The workers go on
 * meanwhile: what they found out about the archive is asked again when a message is taken.
 */
static void turn_pass(struct emlfs_ingest *ingest)
{
    struct turn *turn = &ingest->archive->turn;
    struct emlfs_err err = {0};
    int rc;

    ingest_commit(ingest, &err);
    ingest_turn_end(ingest);
    turn_give(turn);
    pthread_mutex_lock(&ingest->lock);
    while (!(ingest->queue && ingest->queue->state == JOB_READY) && !ingest->stop)
        pthread_cond_wait(&ingest->ready_cond, &ingest->lock);
    pthread_mutex_unlock(&ingest->lock);
    turn_take(turn);
    turn_hold(turn, ingest_turn_told, ingest);
    rc = ingest->failed ? 0 : ingest_turn_begin(ingest, &err);
    if (rc < 0)
        ingest_fail(ingest, rc, &err);
}

void *ingest_committer_main(void *arg)
{
    struct emlfs_ingest *ingest = arg;
    struct emlfs_err err;
    enum next_step step;

    do {
        struct work *work = NULL;
        pthread_mutex_lock(&ingest->lock);
        step = next_step(ingest, &work);
        pthread_mutex_unlock(&ingest->lock);
        if (step == STEP_TAKE)
            take(ingest, work);
        if (step == STEP_PASS)
            turn_pass(ingest);
        else if (step == STEP_COMMIT)
            ingest_commit(ingest, &err);
        else if (step != STEP_END)
            commit_some(ingest);
    } while (step != STEP_END);
    return NULL;
}

/* ---- the end of a run: messages that moved */

static int unfile_stale(struct emlfs_ingest *ingest, struct emlfs_msg_id id, uint16_t user,
                        struct emlfs_err *err)
{
    struct filed_list list = {0};
    uint32_t seen = 0; /* the folder of this run */
    int rc;

    pthread_mutex_lock(&ingest->archive->write_lock);
    rc = apply_filed_get(writer_apply(ingest->archive), emlfs_msg_id_store(id),
                         emlfs_msg_id_number(id), &list, err);
    decision_begin(ingest->archive, id);
    pthread_mutex_unlock(&ingest->archive->write_lock);
    for (unsigned i = 0; i < list.n; i++)
        seen = list.v[i].user == user && list.v[i].run == ingest->run ? list.v[i].folder : seen;
    for (unsigned i = 0; i < list.n && rc == 0 && seen; i++) {
        const struct filed *filed = &list.v[i];
        struct event event = {.kind = EVENT_UNFILED, .id = id};
        if (filed->user != user || filed->source != ingest->source || filed->run == ingest->run)
            continue;
        event.entry =
            (struct block_entry){.user = user, .folder = filed->folder, .source = filed->source};
        rc = event_put(ingest, &event, err);
        if (rc == 0)
            ingest->event_keys[ingest->events_n - 1].folder_to = seen;
        ingest->totals.moved++;
    }
    decision_end(ingest->archive);
    filed_list_free(&list);
    return rc;
}

static int candidates_store(struct emlfs_ingest *ingest, struct store *store, struct emlfs_err *err)
{
    const uint8_t kind = ROW_CANDIDATE;
    struct emlfs_catalog_iter *iter = NULL;
    int rc = emlfs_catalog_iter_new(store->rows.catalog, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, emlfs_span_of(&kind, 1));
    for (; rc == 0 && emlfs_catalog_iter_valid(iter); emlfs_catalog_iter_next(iter)) {
        struct emlfs_span key = emlfs_catalog_iter_key(iter);
        if (key.len != 11 || key.data[0] != kind)
            break;
        if (be32(key.data + 7) != ingest->source)
            continue;
        rc = unfile_stale(ingest, emlfs_msg_id_make(store->rows.no, be32(key.data + 1)),
                          (uint16_t)(key.data[5] << 8 | key.data[6]), err);
        pthread_mutex_lock(&ingest->archive->write_lock);
        if (rc == 0)
            rc = emlfs_txn_delete(apply_txn(writer_apply(ingest->archive), store->rows.no), key);
        pthread_mutex_unlock(&ingest->archive->write_lock);
        if (rc == 0 && ingest->uncommitted >= INGEST_COMMIT_MESSAGES) {
            rc = events_flush(ingest, err); /* with the rows of their candidates */
            rc = rc < 0 ? rc : commit_applied(ingest, err);
        }
    }
    if (rc == 0)
        rc = emlfs_catalog_iter_error(iter, err);
    emlfs_catalog_iter_free(iter);
    return rc;
}

/* After the committer ended: nobody else writes but folder and user commands. */
int ingest_moves(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    int rc = writer_room(archive, err);
    bool contested;

    pthread_mutex_lock(&archive->write_lock);
    contested = ingest->contested;
    pthread_mutex_unlock(&archive->write_lock);
    for (unsigned i = 0;
         ingest->source && !contested && i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        struct store *store = archive_shown(archive, (uint16_t)(i + 1));
        /* Of a write-protected store nothing is taken out. */
        if (store && atomic_load(&archive->states[i]) != EMLFS_STORE_WRITE_PROTECTED)
            rc = candidates_store(ingest, store, err);
    }
    if (rc == 0)
        rc = events_flush(ingest, err);
    return rc < 0 ? rc : commit_applied(ingest, err);
}
