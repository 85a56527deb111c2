/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks on their way into a pack. The committer fills one block at a time, workers compress closed
 * ones, the committer appends them in order.
 *
 * I-INGEST-1  blocks are appended in the order of their numbers
 * I-INGEST-2  a block that cannot be appended takes its messages, and nothing else, with it
 * I-INGEST-3  once the ingest failed no block of it is appended: its messages were rejected, and
 * the numbers may be another ingest's by then
 */
#include <stdlib.h>

#include "ingest.h"

#define MODULE "ingest"
#define META_RESERVE_BYTES (1u << 20)
#define OPEN_ENTRIES_MAX 1024u /* of one message in an open block; further ones become events */

static struct open_block *block_new(void)
{
    struct open_block *block = calloc(1, sizeof(*block));

    if (!block)
        return NULL;
    block->v = calloc(BLOCK_MESSAGES_MAX, sizeof(*block->v));
    if (!block->v) {
        free(block);
        return NULL;
    }
    block->refs = 1;
    block->text = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    block->plain = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    return block;
}

static void message_shed(struct open_message *message)
{
    emlfs_buf_free(&message->recipe);
    emlfs_buf_free(&message->facts);
    emlfs_buf_free(&message->entries);
}

static void block_shed(struct open_block *block)
{
    for (unsigned i = 0; i < block->n; i++)
        message_shed(&block->v[i]);
    free(block->v);
    block->v = NULL;
    block->n = 0;
    emlfs_buf_wipe(&block->text);
    emlfs_buf_wipe(&block->plain);
    emlfs_packed_free(&block->packed);
}

void block_unref(struct open_block *block)
{
    if (!block || --block->refs > 0)
        return;
    block_shed(block);
    free(block);
}

static unsigned flight_bucket(const uint8_t *sha256)
{
    return ((unsigned)sha256[0] | (unsigned)sha256[1] << 8) % FLIGHT_BUCKETS;
}

struct flight *flight_find(struct emlfs_ingest *ingest, const struct emlfs_hash *sha256)
{
    struct flight *flight = ingest->flights[flight_bucket(sha256->v)];

    while (flight && memcmp(flight->sha256, sha256->v, EMLFS_HASH_BYTES) != 0)
        flight = flight->next;
    return flight;
}

static int flight_add(struct emlfs_ingest *ingest, struct open_block *block, unsigned at)
{
    const uint8_t *sha256 = block->v[at].message.sha256;
    struct flight *flight = malloc(sizeof(*flight));
    struct flight **bucket = &ingest->flights[flight_bucket(sha256)];

    if (!flight)
        return -ENOMEM;
    *flight = (struct flight){
        .next = *bucket,
        .block = block,
        .id = emlfs_msg_id_make(archive_current(ingest->archive)->rows.no, block->first + at),
        .at = at,
        .size_bytes = block->v[at].message.size_bytes,
        .archived_ns = block->v[at].message.archived_ns};
    memcpy(flight->sha256, sha256, EMLFS_HASH_BYTES);
    *bucket = flight;
    return 0;
}

void flights_drop(struct emlfs_ingest *ingest, enum flights_which which)
{
    for (unsigned i = 0; i < FLIGHT_BUCKETS; i++) {
        struct flight **at = &ingest->flights[i];
        while (*at) {
            struct flight *gone = *at;
            if (which != FLIGHTS_ALL && !gone->block->failed &&
                (which == FLIGHTS_FAILED || !gone->block->applied)) {
                at = &gone->next;
                continue;
            }
            *at = gone->next;
            free(gone);
        }
    }
}

static int entry_add(struct emlfs_ingest *ingest, struct open_message *message,
                     const struct emlfs_ingest_item *item)
{
    struct block_entry entry;
    int rc;

    block_entry_of(ingest, item, &entry);
    rc = block_entry_append(&message->entries, &entry);
    message->message.entries_n += rc == 0;
    return rc;
}

bool block_file_again(struct emlfs_ingest *ingest, struct flight *flight, struct work *work)
{
    struct emlfs_ingest_item *item = work->item;
    struct open_message *message;
    struct emlfs_span entries;
    struct block_entry entry;
    bool there = false;

    if (flight->block != ingest->open)
        return false;
    message = &flight->block->v[flight->at];
    entries = emlfs_buf_view(&message->entries);
    while (!there && block_entry_next(&entries, &entry))
        there = entry.user == item->user.v && entry.folder == item->folder.v;
    if (!there &&
        (message->message.entries_n >= OPEN_ENTRIES_MAX || entry_add(ingest, message, item) < 0))
        return false;
    item->id = flight->id;
    item->verdict = EMLFS_INGEST_DUPLICATE;
    item->new_entry = !there;
    work->block = flight->block;
    flight->block->refs++;
    return true;
}

static void sample_add(struct emlfs_ingest *ingest, const struct emlfs_buf *text)
{
    struct samples *samples = &ingest->samples;
    size_t n = text->len < DICT_SAMPLE_BYTES ? text->len : DICT_SAMPLE_BYTES;

    if (ingest->dict || samples->done || samples->seen++ % DICT_EVERY || n < 64)
        return;
    samples->content.max_bytes = DICT_BYTES;
    if (n > DICT_BYTES - samples->content.len)
        n = DICT_BYTES - samples->content.len;
    (void)emlfs_buf_append(&samples->content, text->data, n); /* without memory: no dictionary */
}

void samples_reset(struct emlfs_ingest *ingest)
{
    emlfs_buf_wipe(&ingest->samples.content);
    ingest->samples = (struct samples){0};
}

int dict_make(struct emlfs_ingest *ingest, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct samples *samples = &ingest->samples;
    struct emlfs_span content = emlfs_buf_view(&samples->content);
    struct emlfs_dict *dict = NULL;
    int rc;

    if (samples->done || content.len < DICT_BYTES)
        return 0;
    samples->done = true;
    rc = emlfs_dict_new(content, archive->identity.settings.zstd_level, &dict);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "dictionary");
    pthread_mutex_lock(&archive->write_lock);
    rc = writer_record(archive, EMLFS_RECORD_DICT, content, err);
    pthread_mutex_unlock(&archive->write_lock);
    emlfs_buf_wipe(&samples->content);
    if (rc == 0)
        rc = store_dict_add(archive_current(archive), dict);
    if (rc < 0) {
        emlfs_dict_free(dict);
        return rc == -ENOSPC ? 0 : rc;
    }
    ingest->dict = dict;
    return 0;
}

/* The caller's time, never before that of the message archived before. */
static int64_t arrival_ns(struct emlfs_ingest *ingest)
{
    int64_t now = ingest->options.arrival_ns(ingest->options.arg);

    if (now > ingest->arrived_ns)
        ingest->arrived_ns = now;
    return ingest->arrived_ns;
}

/* Archived when its block was begun: one time for all its messages, which packs to nothing. */
static int64_t block_time_ns(struct emlfs_ingest *ingest)
{
    const struct open_block *block = ingest->open;

    if (ingest->options.arrival_ns)
        return arrival_ns(ingest);

    return block->n > 0 ? block->v[0].message.archived_ns : emlfs_archive_now_ns(ingest->archive);
}

static int message_fill(struct emlfs_ingest *ingest, struct open_message *open, struct work *work)
{
    struct emlfs_ingest_item *item = work->item;
    int64_t archived_ns = block_time_ns(ingest);
    int rc;

    memset(open, 0, sizeof(*open));
    open->recipe = EMLFS_BUF_INIT(4u << 20);
    open->entries = EMLFS_BUF_INIT(1u << 20);
    memcpy(open->message.sha256, work->sha256.v, EMLFS_HASH_BYTES);
    open->message.size_bytes = item->raw.len;
    open->message.text_len = work->text.len;
    open->message.archived_ns = archived_ns;
    rc = recipe_encode(&work->recipe, &open->recipe);
    if (rc == 0)
        rc = entry_add(ingest, open, item);
    if (rc == 0) {
        open->facts = item->facts;
        item->facts = (struct emlfs_buf){0};
    } else {
        emlfs_buf_free(&open->recipe);
        emlfs_buf_free(&open->entries);
    }
    return rc;
}

/* Blobs go ahead of the block that refers to them. */
static int blobs_append(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    uint16_t no = work->store_no;
    int rc = 0;

    pthread_mutex_lock(&archive->write_lock);
    if (work->recipe.n > 0)
        rc = writer_room(archive, err);
    for (unsigned i = 0; i < work->recipe.n && rc == 0; i++) {
        const struct segment *segment = &work->recipe.v[i];
        struct row_key key = key_bytes(ROW_BLOB, emlfs_span_of(segment->blob, BLOB_ID_BYTES));
        struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
        struct blob_row row = {.plain_len = (uint32_t)segment->content.len};
        if (segment->kind < SEGMENT_BLOB || !work->blobs[i].type ||
            emlfs_txn_get(apply_txn(writer_apply(archive), no), row_key_view(&key), 0, &value,
                          NULL) == 0)
            continue;
        rc = writer_append(archive, &work->blobs[i], &row.loc, err);
        if (rc == 0)
            rc = apply_blob(writer_apply(archive), no, segment->blob, &row);
    }
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* About what a message adds to the meta part. */
static size_t meta_bytes(const struct work *work)
{
    return (size_t)work->recipe.n * 24 + work->item->facts.len + EMLFS_NAME_MAX_BYTES + 128;
}

static int block_room(struct emlfs_ingest *ingest, const struct work *work, struct emlfs_err *err)
{
    uint32_t limit = ingest->archive->identity.settings.block_bytes;
    struct open_block *open = ingest->open;

    if (open && open->n > 0 &&
        (open->text.len + work->text.len > limit || open->n == BLOCK_MESSAGES_MAX ||
         open->meta_bytes + meta_bytes(work) > META_RESERVE_BYTES))
        block_close(ingest);
    if (ingest->open)
        return 0;
    ingest->open = block_new();
    if (!ingest->open)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    ingest->open->first = ingest->next_number;
    return emlfs_buf_reserve(&ingest->open->text, limit);
}

int block_accept(struct emlfs_ingest *ingest, struct work *work, struct emlfs_err *err)
{
    struct open_block *block;
    size_t text_len;
    int rc = blobs_append(ingest, work, err);

    if (rc == 0)
        rc = block_room(ingest, work, err);
    if (rc < 0)
        return rc;
    block = ingest->open;
    text_len = block->text.len;
    block->meta_bytes += meta_bytes(work);
    rc = message_fill(ingest, &block->v[block->n], work);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "message cannot be added");
    rc = emlfs_buf_append(&block->text, work->text.data, work->text.len);
    if (rc == 0)
        rc = flight_add(ingest, block, block->n);
    if (rc < 0) { /* the block would lie about its text */
        block->text.len = text_len;
        message_shed(&block->v[block->n]);
        return emlfs_err_sys(err, -rc, MODULE, "message cannot be added");
    }
    block->n++;
    sample_add(ingest, &work->text);
    work->item->verdict = EMLFS_INGEST_ARCHIVED;
    work->item->id = emlfs_msg_id_make(work->store_no, ingest->next_number++);
    work->block = block;
    block->refs++;
    return 0;
}

/* Hand the open block to the workers; waits while too many are under way. */
void block_close(struct emlfs_ingest *ingest)
{
    struct open_block *block = ingest->open;
    struct emlfs_err err;

    if (!block || block->n == 0)
        return;
    ingest->open = NULL;
    while (ingest->blocks_n >= INGEST_BLOCKS_MAX && ingest->failed == 0) {
        int rc = blocks_append(ingest, true, &err);
        if (rc < 0)
            ingest_fail(ingest, rc, &err);
    }
    pthread_mutex_lock(&ingest->archive->write_lock);
    if (ingest_seq(ingest, block->n, true, &block->seq, &err) < 0)
        ingest_fail(ingest, -EIO, &err);
    if (!ingest->blocks)
        ingest->archive->flight_seq = block->seq;
    pthread_mutex_unlock(&ingest->archive->write_lock);
    block->dict = ingest->dict;
    pthread_mutex_lock(&ingest->lock);
    block->state = JOB_QUEUED;
    if (ingest->blocks_last)
        ingest->blocks_last->next = block;
    else
        ingest->blocks = block;
    ingest->blocks_last = block;
    ingest->blocks_n++;
    if (!ingest->next_block)
        ingest->next_block = block;
    pthread_cond_signal(&ingest->work_cond);
    pthread_mutex_unlock(&ingest->lock);
}

static int block_plain(struct open_block *block)
{
    struct block meta = {.first = block->first, .n = block->n, .seq = block->seq};
    int rc;

    meta.v = calloc(block->n, sizeof(*meta.v));
    if (!meta.v)
        return -ENOMEM;
    for (unsigned i = 0; i < block->n; i++) {
        meta.v[i] = block->v[i].message;
        meta.v[i].recipe = emlfs_buf_view(&block->v[i].recipe);
        meta.v[i].facts = emlfs_buf_view(&block->v[i].facts);
        meta.v[i].entries = emlfs_buf_view(&block->v[i].entries);
    }
    rc = block_encode_meta(&meta, &block->plain);
    if (rc == 0)
        rc = emlfs_buf_append(&block->plain, block->text.data, block->text.len);
    free(meta.v);
    return rc;
}

void block_compress(struct ingest_worker *worker, struct open_block *block)
{
    block->rc = block_plain(block);
    if (block->rc == 0)
        block->rc = emlfs_packer_pack(worker->blocks, EMLFS_RECORD_BLOCK, block->dict,
                                      emlfs_buf_view(&block->plain), &block->packed, &block->err);
    if (block->rc < 0 && block->err.code == 0)
        emlfs_err_sys(&block->err, -block->rc, MODULE, "block cannot be made");
    emlfs_buf_wipe(&block->text);
}

/* One record for the message, one for each further entry. */
static int message_tell(struct emlfs_ingest *ingest, const struct open_message *open,
                        struct emlfs_msg_id id, struct emlfs_err *err)
{
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_MESSAGE_ARCHIVED,
                                         .time_ns = open->message.archived_ns,
                                         .message = id,
                                         .has_digest = true};
    struct emlfs_span entries = emlfs_buf_view(&open->entries);
    struct block_entry entry;
    int rc = 0;

    memcpy(record.digest.v, open->message.sha256, EMLFS_HASH_BYTES);
    while (rc == 0 && block_entry_next(&entries, &entry)) {
        record.owner.v = entry.user;
        record.folder.v = entry.folder;
        rc = writer_tell(ingest->archive, ingest_actor(ingest), &record, err);
        record.kind = EMLFS_LEDGER_MESSAGE_FILED;
        record.has_digest = false;
        memset(&record.digest, 0, sizeof(record.digest));
    }
    return rc;
}

static int block_tell(struct emlfs_ingest *ingest, const struct open_block *block,
                      struct emlfs_err *err)
{
    uint16_t no = archive_current(ingest->archive)->rows.no;
    int rc = 0;

    for (unsigned i = 0; i < block->n && rc == 0; i++)
        rc = message_tell(ingest, &block->v[i], emlfs_msg_id_make(no, block->first + i), err);
    return rc;
}

/* I-INGEST-3 */
static void block_drop(struct emlfs_ingest *ingest, struct open_block *block)
{
    pthread_mutex_lock(&ingest->archive->write_lock);
    ingest->archive->flight_seq = 0;
    pthread_mutex_unlock(&ingest->archive->write_lock);
    block->failed = true;
    block->err = ingest->failure;
}

static int block_append(struct emlfs_ingest *ingest, struct open_block *block,
                        struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct applied record = {.store_no = archive_current(archive)->rows.no,
                             .type = EMLFS_RECORD_BLOCK,
                             .plain = emlfs_buf_view(&block->plain)};
    int rc = block->rc;

    pthread_mutex_lock(&archive->write_lock);
    archive->flight_seq = ingest->blocks ? ingest->blocks->seq : 0;
    if (rc < 0) {
        pthread_mutex_unlock(&archive->write_lock);
        block->failed = true;
        return 0;
    }
    rc = writer_room(archive, err);
    if (rc == 0)
        rc = writer_append(archive, &block->packed, &record.loc, err);
    if (rc == 0) {
        apply_set_run(writer_apply(archive), ingest->run);
        rc = apply_record(writer_apply(archive), &record, err);
        apply_set_run(writer_apply(archive), 0);
        if (rc == 0)
            rc = block_tell(ingest, block, err);
        if (rc < 0)
            archive_fail(archive, err);
    }
    pthread_mutex_unlock(&archive->write_lock);
    if (rc == -ENOSPC) {
        block->failed = true;
        block->err = *err;
        return 0;
    }
    block->applied = rc == 0;
    ingest->uncommitted += block->n;
    return rc;
}

/* The first closed block when it is compressed; wait: until it is. */
static struct open_block *block_ready(struct emlfs_ingest *ingest, bool wait)
{
    struct open_block *block;

    pthread_mutex_lock(&ingest->lock);
    block = ingest->blocks;
    while (wait && block && block->state != JOB_READY)
        pthread_cond_wait(&ingest->ready_cond, &ingest->lock);
    if (block && block->state == JOB_READY) {
        ingest->blocks = block->next;
        if (!ingest->blocks)
            ingest->blocks_last = NULL;
        ingest->blocks_n--;
    } else {
        block = NULL;
    }
    pthread_mutex_unlock(&ingest->lock);
    return block;
}

int blocks_append(struct emlfs_ingest *ingest, bool all, struct emlfs_err *err)
{
    struct open_block *block;
    int rc = 0;

    while (rc == 0 && (block = block_ready(ingest, all))) {
        if (ingest->failed)
            block_drop(ingest, block);
        else
            rc = block_append(ingest, block, err);
        if (rc < 0) {
            block->failed = true;
            block->err = *err;
        }
        if (block->failed)
            flights_drop(ingest, FLIGHTS_FAILED);
        block_shed(block);
        block_unref(block);
    }
    return rc;
}
