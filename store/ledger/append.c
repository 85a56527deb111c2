/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: collecting records of many threads into batches, and who commits them.
 *
 * Invariants:
 * A1. Sequences of a batch follow the durable records, or those of the batch being committed. When
 *     a commit fails, the batch behind it fails with it: its numbers would leave a gap.
 * A2. A batch that is not done is the open one, or whoever set busy is committing it.
 */
#include <stdlib.h>

#include "commit.h"

void ledger_batch_free(struct ledger_batch *batch)
{
    if (!batch)
        return;
    emlfs_buf_wipe(&batch->plain);
    emlfs_buf_free(&batch->ends);
    emlfs_buf_free(&batch->leaves);
    free(batch);
}

static struct ledger_batch *batch_new(void)
{
    struct ledger_batch *batch = calloc(1, sizeof(*batch));
    if (!batch)
        return NULL;
    batch->plain = EMLFS_BUF_INIT(EMLFS_LEDGER_APPEND_MAX_BYTES);
    batch->ends = EMLFS_BUF_INIT(EMLFS_LEDGER_APPEND_MAX * sizeof(size_t));
    batch->leaves = EMLFS_BUF_INIT(EMLFS_LEDGER_APPEND_MAX * sizeof(struct emlfs_hash));
    return batch;
}

static int record_add(struct ledger_batch *batch, const struct emlfs_ledger_record *record,
                      struct emlfs_buf *scratch)
{
    struct emlfs_hash leaf;
    emlfs_buf_clear(scratch);
    int r = emlfs_ledger_record_encode(record, scratch);
    if (r == 0)
        r = emlfs_tree_leaf(emlfs_buf_view(scratch), &leaf);
    if (r == 0)
        r = emlfs_buf_append_bytes(&batch->plain, emlfs_buf_view(scratch));
    if (r == 0)
        r = emlfs_buf_append(&batch->ends, &batch->plain.len, sizeof(size_t));
    return r < 0 ? r : emlfs_buf_append(&batch->leaves, leaf.v, EMLFS_HASH_BYTES);
}

#define SALTS 128u

/* All of records, or nothing. */
static int records_add(struct emlfs_ledger *ledger, struct ledger_batch *batch,
                       const struct emlfs_ledger_record *records, size_t count)
{
    uint8_t salts[SALTS][EMLFS_LEDGER_SALT_BYTES];
    struct emlfs_buf scratch EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_RECORD_MAX_BYTES);
    size_t plain = batch->plain.len;
    size_t ends = batch->ends.len;
    size_t leaves = batch->leaves.len;
    int64_t now = ledger->clock.now_ns(ledger->clock.arg);
    int r = 0;
    for (size_t i = 0; i < count && r == 0; i++) {
        struct emlfs_ledger_record record = records[i];
        if (i % SALTS == 0)
            r = emlfs_random(salts, (count - i < SALTS ? count - i : SALTS) * sizeof(salts[0]));
        memcpy(record.salt, salts[i % SALTS], sizeof(record.salt));
        record.sequence = ledger->next + i;
        record.time_ns = record.time_ns ? record.time_ns : now;
        if (r == 0)
            r = record_add(batch, &record, &scratch);
    }
    if (r < 0) {
        batch->plain.len = plain;
        batch->ends.len = ends;
        batch->leaves.len = leaves;
        return r;
    }
    batch->first = batch->count ? batch->first : ledger->next;
    batch->count += (uint32_t)count;
    ledger->next += count;
    return 0;
}

static void batch_end(struct ledger_batch *batch, int r)
{
    batch->done = true;
    batch->result = r;
    if (batch->waiting == 0)
        ledger_batch_free(batch);
}

/* Commit the open batch. Called and left under lock. */
static void batch_lead(struct emlfs_ledger *ledger)
{
    struct ledger_batch *batch = ledger->open;
    bool poison = false;
    int r = -EROFS;
    ledger->open = NULL;
    if (!ledger->poisoned) {
        ledger->busy = true;
        pthread_mutex_unlock(&ledger->lock);
        r = ledger_commit(ledger, batch, &poison);
        pthread_mutex_lock(&ledger->lock);
        ledger->busy = false;
        ledger->poisoned = ledger->poisoned || poison;
    }
    batch_end(batch, r);
    if (r < 0) {
        batch = ledger->open;
        ledger->open = NULL;
        ledger->next = ledger->tree.size;
        if (batch)
            batch_end(batch, r);
    }
    pthread_cond_broadcast(&ledger->changed);
}

static int batch_wait(struct emlfs_ledger *ledger, struct ledger_batch *batch)
{
    batch->waiting++;
    while (!batch->done) {
        if (ledger->busy)
            pthread_cond_wait(&ledger->changed, &ledger->lock);
        else
            batch_lead(ledger);
    }
    int r = batch->result;
    if (--batch->waiting == 0)
        ledger_batch_free(batch);
    return r;
}

static int append_locked(struct emlfs_ledger *ledger, const struct emlfs_ledger_record *records,
                         size_t count, uint64_t *ret_first)
{
    for (;;) {
        if (ledger->poisoned || ledger->read_only)
            return -EROFS;
        if (!ledger->open)
            ledger->open = batch_new();
        struct ledger_batch *batch = ledger->open;
        if (!batch)
            return -ENOMEM;
        uint64_t first = ledger->next;
        bool empty = batch->count == 0;
        int r = records_add(ledger, batch, records, count);
        if (r == 0) {
            if (ret_first)
                *ret_first = first;
            return batch_wait(ledger, batch);
        }
        if (r != -E2BIG || empty)
            return r;
        (void)batch_wait(ledger, batch); /* full: the next one has room */
    }
}

int emlfs_ledger_append(struct emlfs_ledger *ledger, const struct emlfs_ledger_record *records,
                        size_t count, uint64_t *ret_first, struct emlfs_err *err)
{
    if (count == 0 || count > EMLFS_LEDGER_APPEND_MAX)
        return emlfs_err_set(err, EINVAL, MODULE, "%zu records at once", count);
    pthread_mutex_lock(&ledger->lock);
    int r = append_locked(ledger, records, count, ret_first);
    pthread_mutex_unlock(&ledger->lock);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "nothing is recorded") : 0;
}

int ledger_hold(struct emlfs_ledger *ledger)
{
    int r = 0;
    pthread_mutex_lock(&ledger->lock);
    while (ledger->busy)
        pthread_cond_wait(&ledger->changed, &ledger->lock);
    if (ledger->poisoned || ledger->read_only)
        r = -EROFS;
    else
        ledger->busy = true;
    pthread_mutex_unlock(&ledger->lock);
    return r;
}

int emlfs_ledger_pause(struct emlfs_ledger *ledger)
{
    return ledger_hold(ledger);
}

void emlfs_ledger_resume(struct emlfs_ledger *ledger)
{
    ledger_release(ledger, false);
}

void ledger_release(struct emlfs_ledger *ledger, bool poison)
{
    pthread_mutex_lock(&ledger->lock);
    ledger->busy = false;
    ledger->poisoned = ledger->poisoned || poison;
    pthread_cond_broadcast(&ledger->changed);
    pthread_mutex_unlock(&ledger->lock);
}
