/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Archiving what is complete: the queue is taken in batches, so that many small files share a
 * commit. What cannot be archived stays, is tried again, and is its owner's to remove.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "stage_internal.h"

#define EXPIRE_BATCH 256u
#define BACKOFF_FIRST_NS (10 * FS_STAGE_NS_PER_SEC)
#define BACKOFF_MAX_NS (3600 * FS_STAGE_NS_PER_SEC)

/* ---- what comes of an attempt */

/* Archived for a rename: the new name is its name now. Under both locks; who had it, or NULL. */
static struct staged *name_take(struct staged *s)
{
    const struct fs_stage_at *to = s->moving;
    struct staged *was;

    if (!to || !s->named)
        return NULL;
    was = stage_find_name(s->stage, s->uid, to->folder, to->name);
    if (was == s)
        return NULL;
    if (was)
        stage_unname(was);
    if (was && was->state == STAGED_QUEUED && !was->moving)
        stage_dequeue(was);
    (void)stage_rename_to(s, to); /* no memory: the old name goes on to stand for it */
    return was;
}

/*
 * The file's lock is held; returns who had the name, which is the caller's to put. *ret_back: a
 * power cut may bring the file back.
 */
static struct staged *archived(struct staged *s, const struct emlfs_drop_item *item, bool *ret_back)
{
    struct staged *was;
    bool keep;

    pthread_mutex_lock(&s->stage->lock);
    was = name_take(s);
    s->state = STAGED_ARCHIVED;
    (void)stage_charge(s, s->user, 0);
    s->moving = NULL;
    s->code = 0;
    s->id.v = item->kind == EMLFS_DROP_MBOX ? 0 : item->id.v;
    s->until_ns = stage_now(s->stage) + FS_STAGE_GRACE_NS;
    keep = s->opens > 0 || (s->id.v == 0 && s->named);
    if (!keep)
        s->spooled = false;
    pthread_mutex_unlock(&s->stage->lock);
    if (keep)
        staged_retire(s);
    else
        *ret_back = staged_drop_content(s);
    return was;
}

/*
 * What became of the mail in an mbox: nobody hears of part of it by an errno. The name is what its
 * owner finds it by, and comes from them: err.h makes it fit for a log. The file's lock is held.
 */
static void tell_mbox(struct staged *s, const struct emlfs_drop_item *item)
{
    const struct emlfs_ingest_totals *totals = &item->totals;
    const uint64_t counted = totals->archived + totals->duplicates + totals->rejected;
    struct emlfs_err line = {.code = 0};
    char open[64] = "";

    if (!s->stage->options.told)
        return;
    if (item->expected > counted)
        (void)snprintf(open, sizeof(open), " + %llu not come to",
                       (unsigned long long)(item->expected - counted));
    emlfs_err_set(&line, EIO, "stage",
                  "mbox %.100s of uid %u in folder %u%s: %llu expected = %llu stored + %llu "
                  "duplicate + %llu rejected%s; %s%.140s",
                  item->name, (unsigned)s->uid, (unsigned)s->folder.v,
                  item->code == 0 ? "" : " is not archived yet", (unsigned long long)item->expected,
                  (unsigned long long)totals->archived, (unsigned long long)totals->duplicates,
                  (unsigned long long)totals->rejected, open,
                  item->rejected.code ? "the first rejected: " : "",
                  item->rejected.code ? item->rejected.text : item->err.text);
    s->stage->options.told(s->stage->options.told_arg, line.text);
}

/* The file's lock is held. */
static void not_archived(struct staged *s, const struct emlfs_drop_item *item)
{
    bool tell, again;

    pthread_mutex_lock(&s->stage->lock);
    s->state = STAGED_OPEN;
    tell = !s->moving && s->code != item->code;
    again = !s->moving;
    s->code = item->code;
    s->err = item->err;
    s->moving = NULL;
    if (again) {
        s->backoff_ns = s->backoff_ns ? 2 * s->backoff_ns : BACKOFF_FIRST_NS;
        if (s->backoff_ns > BACKOFF_MAX_NS)
            s->backoff_ns = BACKOFF_MAX_NS;
        s->retry_ns = stage_now(s->stage) + s->backoff_ns;
    }
    pthread_mutex_unlock(&s->stage->lock);
    if (tell && item->kind == EMLFS_DROP_MBOX)
        tell_mbox(s, item);
    else if (tell)
        stage_told(s->stage, s, "is not archived yet", &item->err);
}

/* Puts the queue's reference. True: the spool is to be settled. */
static bool finish(struct staged *s, const struct emlfs_drop_item *item)
{
    struct staged *was = NULL;
    bool back = false;

    pthread_mutex_lock(&s->lock);
    if (item->code == 0 && item->kind == EMLFS_DROP_MBOX && item->totals.rejected)
        tell_mbox(s, item);
    if (item->code == 0)
        was = archived(s, item, &back);
    else
        not_archived(s, item);
    staged_rest(s);
    pthread_mutex_unlock(&s->lock);
    if (was)
        staged_replaced(was);
    staged_put(s);
    return back;
}

/* ---- batches */

static unsigned batch_take(struct fs_stage *stage)
{
    unsigned n = 0;

    pthread_mutex_lock(&stage->lock);
    while (stage->queue && n < STAGE_BATCH) {
        struct staged *s = stage->queue;

        stage->queue = s->queue_next;
        if (!stage->queue)
            stage->queue_end = &stage->queue;
        s->state = STAGED_ARCHIVING;
        stage->batch[n++] = s;
    }
    pthread_mutex_unlock(&stage->lock);
    return n;
}

/* Under work. */
static void work_once(struct fs_stage *stage)
{
    struct emlfs_err err = {.code = 0};
    unsigned n = batch_take(stage);
    bool back = false;

    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++) {
        pthread_mutex_lock(&stage->batch[i]->lock);
        staged_item(stage->batch[i], stage->batch[i]->moving, &stage->items[i]);
        pthread_mutex_unlock(&stage->batch[i]->lock);
    }
    (void)stage->options.archive_items(stage->options.drop, stage->items, n, &err);
    for (unsigned i = 0; i < n; i++)
        back = finish(stage->batch[i], &stage->items[i]) || back;
    if (back)
        stage_settle(stage); /* once for all: archived again, they would be found to be there */
}

bool fs_stage_work(struct fs_stage *stage)
{
    bool more;

    pthread_mutex_lock(&stage->work);
    work_once(stage);
    pthread_mutex_unlock(&stage->work);
    pthread_mutex_lock(&stage->lock);
    more = stage->queue != NULL;
    pthread_mutex_unlock(&stage->lock);
    return more;
}

static bool is_moving(struct staged *s)
{
    bool moving;

    pthread_mutex_lock(&s->stage->lock);
    moving = s->moving != NULL;
    pthread_mutex_unlock(&s->stage->lock);
    return moving;
}

int staged_archive_now(struct staged *s, const struct fs_stage_at *to, struct emlfs_err *err)
{
    struct fs_stage *stage = s->stage;
    int code;

    pthread_mutex_lock(&stage->lock);
    s->moving = to;
    stage_enqueue(s);
    pthread_mutex_unlock(&stage->lock);
    pthread_mutex_unlock(&s->lock);
    while (is_moving(s)) {
        pthread_mutex_lock(&stage->work);
        if (is_moving(s))
            work_once(stage);
        pthread_mutex_unlock(&stage->work);
    }
    pthread_mutex_lock(&stage->lock);
    code = s->state == STAGED_ARCHIVED ? 0 : s->code;
    if (code < 0 && err)
        *err = s->err;
    pthread_mutex_unlock(&stage->lock);
    return code;
}

/* ---- time */

static bool has_had_its_time(const struct staged *s, int64_t now)
{
    if (s->writers > 0 || !s->named)
        return false;
    if (s->state == STAGED_OPEN && s->retry_ns && now >= s->retry_ns)
        return true;
    return (s->state == STAGED_OPEN || s->state == STAGED_ARCHIVED) && s->until_ns &&
           now >= s->until_ns;
}

static unsigned expired_find(struct fs_stage *stage, struct staged *ret[EXPIRE_BATCH])
{
    int64_t now = stage_now(stage);
    unsigned n = 0;

    pthread_mutex_lock(&stage->lock);
    for (unsigned i = 0; stage->files && i < STAGE_NUMBERS && n < EXPIRE_BATCH; i++)
        for (struct staged *s = stage->numbers[i]; s && n < EXPIRE_BATCH; s = s->number_next)
            if (has_had_its_time(s, now)) {
                s->refs++;
                ret[n++] = s;
            }
    pthread_mutex_unlock(&stage->lock);
    return n;
}

static void expire(struct staged *s)
{
    bool due, retry;

    pthread_mutex_lock(&s->lock);
    pthread_mutex_lock(&s->stage->lock);
    due = has_had_its_time(s, stage_now(s->stage));
    retry = due && s->state == STAGED_OPEN && s->retry_ns;
    if (retry)
        stage_enqueue(s);
    pthread_mutex_unlock(&s->stage->lock);
    if (due && !retry)
        staged_unname(s);
    pthread_mutex_unlock(&s->lock);
}

void fs_stage_tick(struct fs_stage *stage)
{
    struct staged *expired[EXPIRE_BATCH];
    unsigned n;

    do {
        n = expired_find(stage, expired);
        for (unsigned i = 0; i < n; i++) {
            expire(expired[i]);
            staged_put(expired[i]);
        }
    } while (n == EXPIRE_BATCH);
}

void fs_stage_wait(struct fs_stage *stage)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec++;
    pthread_mutex_lock(&stage->lock);
    while (!stage->woken)
        if (stage->files == 0)
            pthread_cond_wait(&stage->wake, &stage->lock);
        else if (pthread_cond_timedwait(&stage->wake, &stage->lock, &until) != 0)
            break;
    stage->woken = false;
    pthread_mutex_unlock(&stage->lock);
}

void fs_stage_wake(struct fs_stage *stage)
{
    pthread_mutex_lock(&stage->lock);
    stage->woken = true;
    pthread_cond_signal(&stage->wake);
    pthread_mutex_unlock(&stage->lock);
}
