/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Following the change feed: changes are taken in order, their messages go through extraction, and
 * what comes out is added to the segment in memory in the order of message numbers.
 *
 * I-FOLLOW-1  a change counts as consumed when everything it says is in the segment in memory
 * I-FOLLOW-2  filings are stated as they are in the archive now, not as the change tells them: so a
 *             change may be consumed twice, and one behind the other changes nothing
 * I-FOLLOW-3  nothing here holds a lock the import needs
 * I-FOLLOW-4  of documents up to the last one in the segment in memory all but that one are stated:
 *             a change taken again goes on there, so each slice gets further
 * I-FOLLOW-5  one message, or one store, that cannot be indexed does not keep the others waiting
 */
#include <stdio.h>
#include <stdlib.h>

#include "emlfs/base/os.h"
#include "emlfs/stores.h"
#include "extracting.h"

#define MODULE "index"
#define CHANGES_MAX 64u
#define SLICE_DOCS 2048u
#define FLUSH_DOCS 100000u
#define WAIT_MS 50u
#define FAILURES_MAX 20u /* of one message for want of memory; they are seconds apart */

/* Where in the feed of a store the next job comes from. */
struct feeder {
    struct shelf *shelf;
    uint64_t after;                               /* last change fetched */
    struct emlfs_change changes[CHANGES_MAX + 1]; /* one to stand at behind the last */
    unsigned n, at;
    uint32_t done;  /* messages of the change at hand that have become jobs */
    uint32_t given; /* jobs of this slice */
    bool dry;       /* the feed had no more */
};

/* At a change: what of it is done already, I-FOLLOW-4. */
static void change_enter(struct feeder *feeder)
{
    const struct emlfs_change *change = &feeder->changes[feeder->at];
    uint32_t last = feeder->shelf->live.last_doc;
    uint32_t first = emlfs_msg_id_number(change->first);

    feeder->done = 0;
    if (feeder->at < feeder->n && change->kind == EMLFS_CHANGE_MESSAGES && last > first)
        feeder->done = last - first < change->n ? last - first : change->n - 1;
}

static int feeder_fetch(struct feeder *feeder, struct emlfs_err *err)
{
    struct shelf *shelf = feeder->shelf;
    int n = emlfs_archive_changes(shelf->index->options.archive, shelf->no, feeder->after,
                                  feeder->changes, CHANGES_MAX, err);

    feeder->at = 0;
    if (n < 0)
        return n;
    feeder->n = (unsigned)n;
    if (feeder->n > 0)
        feeder->after = feeder->changes[feeder->n - 1].seq;
    else
        feeder->dry = true;
    change_enter(feeder);
    return 0;
}

static void job_make(const struct feeder *feeder, struct job *ret)
{
    const struct emlfs_change *change = &feeder->changes[feeder->at];

    *ret = (struct job){.change = *change,
                        .doc = emlfs_msg_id_number(change->first) + feeder->done,
                        .last = feeder->done + 1 >= change->n};
    ret->old = ret->doc <= feeder->shelf->live.last_doc;
}

/* Fill the queue. */
static int feeder_run(struct feeder *feeder, struct extracting *extracting, struct emlfs_err *err)
{
    int rc = 0;

    while (feeder->given < SLICE_DOCS) {
        struct job job;
        if (feeder->at == feeder->n && !feeder->dry)
            rc = feeder_fetch(feeder, err);
        if (rc < 0 || feeder->dry)
            break;
        job_make(feeder, &job);
        if (!extracting_put(extracting, &job))
            break;
        feeder->given++;
        feeder->done++;
        if (job.last) {
            feeder->at++;
            change_enter(feeder);
        }
    }
    return rc;
}

/* ---- stating where a message is filed */

struct statement {
    struct shelf *shelf;
    struct memseg *mem;
    uint32_t doc;
    struct emlfs_filing *filings;
    unsigned n;
};

static bool filed_for(const struct statement *st, uint16_t user)
{
    for (unsigned i = 0; i < st->n; i++) {
        if (st->filings[i].user.v == user)
            return true;
    }
    return false;
}

static bool filed_in(const struct statement *st, uint32_t folder)
{
    for (unsigned i = 0; i < st->n; i++) {
        if (st->filings[i].folder.v == folder)
            return true;
    }
    return false;
}

/* Folders before users: who sees that a user has the message sees its folders, too. */
static int state_in(const struct statement *st)
{
    int rc = 0;

    for (unsigned i = 0; i < st->n && rc == 0; i++)
        rc = memseg_file(st->mem, FILING_FOLDER, st->filings[i].folder.v, st->doc, true);
    for (unsigned i = 0; i < st->n && rc == 0; i++)
        rc = memseg_file(st->mem, FILING_USER, st->filings[i].user.v, st->doc, true);
    return rc;
}

/* The message is no longer in folder; and perhaps its owner has no other entry of it. */
static int state_out(const struct statement *st, struct emlfs_folder_id folder,
                     struct emlfs_err *err)
{
    struct emlfs_user_id owner = {0};
    int rc = emlfs_archive_folder_owner(st->shelf->index->options.archive, folder, &owner, err);

    if (rc == 0 && !filed_for(st, owner.v))
        rc = memseg_file(st->mem, FILING_USER, owner.v, st->doc, false);
    if (rc == 0 || rc == -ENOENT)
        rc = memseg_file(st->mem, FILING_FOLDER, folder.v, st->doc, false);
    return rc;
}

/* Under lock of the shelf: what cannot be read now stays unknown until the index is made again. */
static void damage_count(struct shelf *shelf, const char *reason)
{
    pthread_mutex_lock(&shelf->lock);
    problems_add(&shelf->live.problems, emlfs_span_str(reason), 1);
    pthread_mutex_unlock(&shelf->lock);
}

static int job_state(struct shelf *shelf, const struct job *job, struct emlfs_err *err)
{
    struct statement st = {.shelf = shelf, .doc = job->doc};
    struct emlfs_folder_id folder = job->change.folder;
    struct part *part;
    int rc = shelf_memory(shelf, &part);

    st.filings = calloc(EMLFS_FILINGS_MAX, sizeof(*st.filings));
    if (rc < 0 || !st.filings) {
        free(st.filings);
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    }
    st.mem = part->mem;
    rc =
        emlfs_archive_filings(shelf->index->options.archive, emlfs_msg_id_make(shelf->no, job->doc),
                              st.filings, EMLFS_FILINGS_MAX, &st.n, err);
    /* Hidden in the midst of a round, it says nothing of where its messages are. */
    if (rc == -ENOENT && !emlfs_archive_store_shown(shelf->index->options.archive, shelf->no))
        rc = emlfs_err_set(err, EAGAIN, MODULE, "store %s is not shown", shelf->name);
    if (rc == -ENOENT) {
        st.n = 0;
        rc = 0;
    }
    if (rc == 0)
        rc = state_in(&st);
    if (rc == 0 && folder.v && !filed_in(&st, folder.v))
        rc = state_out(&st, folder, err);
    free(st.filings);
    if (!errno_is_damage(rc))
        return rc;
    damage_count(shelf, "damaged entries"); /* I-FOLLOW-5 */
    return 0;
}

/* A full segment is written first. */
static int job_state_room(struct shelf *shelf, const struct job *job, struct emlfs_err *err)
{
    int rc = job_state(shelf, job, err);

    if (rc == -E2BIG) {
        rc = shelf_flush(shelf, err);
        rc = rc < 0 ? rc : job_state(shelf, job, err);
    }
    return rc;
}

/* ---- consuming */

/* Under lock of the shelf, with the text in. */
static void counts_add(struct shelf *shelf, const struct job *job)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    size_t pos = 0;

    while (emlfs_doctext_next(emlfs_buf_view(&job->text), &pos, &piece, &problem)) {
        if (piece.field == 0)
            problems_add(&shelf->live.problems, problem.reason, 1);
    }
    shelf->live.last_doc = job->doc;
    shelf->live.docs++;
    shelf->live.text_bytes += job->attr.text_bytes;
}

static uint32_t text_bytes(struct emlfs_span doctext)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    size_t pos = 0, bytes = 0;

    while (emlfs_doctext_next(doctext, &pos, &piece, &problem))
        bytes += piece.field ? piece.text.len : 0;
    return bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
}

static int text_add(struct shelf *shelf, struct job *job)
{
    struct part *part;
    int rc = shelf_memory(shelf, &part);

    if (rc < 0)
        return rc;
    job->attr.text_bytes = text_bytes(emlfs_buf_view(&job->text));
    return memseg_add(part->mem, &job->attr, emlfs_buf_view(&job->text),
                      emlfs_buf_view(&job->envelope));
}

/* A full segment is written first; a text that fills one alone is left out. */
static int job_add(struct shelf *shelf, struct job *job, struct emlfs_err *err)
{
    int rc = text_add(shelf, job);

    if (rc == -E2BIG) {
        rc = shelf_flush(shelf, err);
        if (rc < 0)
            return rc;
        rc = text_add(shelf, job);
    }
    if (rc == -E2BIG) {
        rc = bare_text(&job->text, "text too long");
        if (rc == 0)
            rc = text_add(shelf, job);
    }
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "message %u of store %s", job->doc, shelf->name);
    pthread_mutex_lock(&shelf->lock);
    counts_add(shelf, job);
    pthread_mutex_unlock(&shelf->lock);
    return 0;
}

/* Memory that this message alone wants, and never gets: its text is given up, I-FOLLOW-5. */
static void job_give_up(struct shelf *shelf, struct job *job)
{
    if (job->rc != -ENOMEM)
        return;
    shelf->failures = shelf->failing_doc == job->doc ? shelf->failures + 1 : 1;
    shelf->failing_doc = job->doc;
    if (shelf->failures >= FAILURES_MAX)
        job->rc = bare_text(&job->text, "no memory");
}

static int job_consume(struct shelf *shelf, struct job *job, struct emlfs_err *err)
{
    int rc;

    job_give_up(shelf, job);
    rc = job->rc;
    if (rc < 0) {
        if (err)
            *err = job->err;
        return rc;
    }
    if (job->change.kind == EMLFS_CHANGE_MESSAGES && job->doc > shelf->live.last_doc)
        rc = job_add(shelf, job, err);
    /* Of a document that is yet to come everything is stated then. */
    if (rc == 0 && job->doc <= shelf->live.last_doc)
        rc = job_state_room(shelf, job, err);
    if (rc == 0 && job->last) {
        pthread_mutex_lock(&shelf->lock);
        shelf->live.seq = job->change.seq; /* I-FOLLOW-1 */
        pthread_mutex_unlock(&shelf->lock);
    }
    return rc;
}

static size_t memory_bytes(struct emlfs_index *index, struct shelf **ret_most)
{
    size_t total = 0, most = 0;
    struct shelf *shelf;

    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
        size_t bytes = shelf->mem ? memseg_bytes(shelf->mem->mem) : 0;
        if (bytes > most)
            *ret_most = shelf;
        most = bytes > most ? bytes : most;
        total += bytes;
    }
    return total;
}

static int flush_when_full(struct shelf *shelf, struct emlfs_err *err)
{
    struct emlfs_index *index = shelf->index;
    struct shelf *most = shelf;
    uint64_t docs;

    if (shelf_unsaved(shelf, &docs) && docs >= FLUSH_DOCS)
        return shelf_flush(shelf, err);
    if (memory_bytes(index, &most) >= index->options.memory_bytes)
        return shelf_flush(most, err);
    return 0;
}

static bool round_stopped(const struct round *round)
{
    return (round->stop && atomic_load(round->stop)) || emlfs_progress_cancelled(round->progress);
}

static void round_report(struct round *round)
{
    uint64_t done = 0, total = 0;
    struct emlfs_index_store_status *status;

    if (!round->progress || round->consumed % 256 != 0)
        return;
    status = calloc(1, sizeof(*status));
    while (status && emlfs_index_status(round->index, status->store_no, status, NULL) == 0) {
        done += status->indexed;
        total += status->indexed + status->waiting;
    }
    free(status);
    emlfs_progress_step(round->progress, "index", done, total);
}

/* Consume what is ready; waits for the oldest job. */
static int slice_step(struct round *round, struct shelf *shelf, struct emlfs_err *err)
{
    struct job *job = extracting_head(round->extracting, WAIT_MS);
    int rc;

    if (!job)
        return 0;
    rc = job_consume(shelf, job, err);
    if (rc < 0)
        return rc;
    extracting_pop(round->extracting);
    round->consumed++;
    round_report(round);
    return flush_when_full(shelf, err);
}

static int slice_run(struct round *round, struct shelf *shelf, struct emlfs_err *err)
{
    struct feeder *feeder = calloc(1, sizeof(*feeder));
    /* What could not be written before is tried first, or a full disk would fill memory, too. */
    int rc =
        feeder ? flush_when_full(shelf, err) : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    if (feeder) {
        feeder->shelf = shelf;
        feeder->after = shelf->live.seq;
    }
    while (rc == 0) {
        rc = feeder_run(feeder, round->extracting, err);
        if (rc < 0 || extracting_idle(round->extracting))
            break;
        rc = round_stopped(round) || atomic_load(&shelf->damaged) ? -ECANCELED
                                                                  : slice_step(round, shelf, err);
    }
    round->more |= rc == 0 && !feeder->dry;
    if (round_stopped(round))
        extracting_halt(round->extracting);
    extracting_clear(round->extracting);
    free(feeder);
    return rc;
}

static int round_store(struct round *round, struct shelf *shelf, struct emlfs_err *err)
{
    int rc = atomic_load(&shelf->damaged) ? shelf_remake(shelf, err) : 0;

    if (rc == 0)
        rc = slice_run(round, shelf, err);
    if (rc == -ECANCELED && !round_stopped(round)) { /* damage was met meanwhile */
        rc = 0;
        round->more = true;
    }
    return rc;
}

int round_run(struct round *round, struct emlfs_err *err)
{
    unsigned kinds, n = 0;
    int rc = index_refresh(round->index, err);

    if (rc == 0)
        rc = emlfs_index_get_kinds(round->index, &kinds, err);
    if (rc == 0)
        extracting_set_kinds(round->extracting, kinds);
    round->more = false;
    while (index_shelf(round->index, n))
        n++;
    if (rc < 0)
        return rc;
    /* The newest store first: there new mail is waited for. */
    for (unsigned i = n; i > 0 && !round_stopped(round); i--) {
        struct emlfs_err why = {0};
        struct shelf *shelf = index_shelf(round->index, i - 1);
        /* Nothing of it can be read; what it has is kept for when it is shown again. */
        int one = emlfs_archive_store_shown(round->index->options.archive, shelf->no)
                      ? round_store(round, shelf, &why)
                      : 0;
        if (one == 0 || rc < 0)
            continue;
        rc = one; /* the first that failed, I-FOLLOW-5 */
        if (err)
            *err = why;
    }
    return rc == 0 && round_stopped(round) ? -ECANCELED : rc;
}
