/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What ingest workers do, in any order: hash, look up, prepare, split, compress. Nothing is
 * written. */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "ingest.h"

#define MODULE "ingest"

void work_content_free(struct work *work)
{
    for (unsigned i = 0; work->blobs && i < work->recipe.n; i++)
        emlfs_packed_free(&work->blobs[i]);
    free(work->blobs);
    work->blobs = NULL;
    recipe_free(&work->recipe);
    emlfs_buf_wipe(&work->text);
}

void work_free(struct work *work)
{
    if (!work)
        return;
    work_content_free(work);
    emlfs_ingest_item_free(work->item);
    free(work);
}

/* Among the numbers of an H row, the message that has exactly this hash. */
static int candidates(struct emlfs_archive *archive, struct store *store, struct emlfs_span numbers,
                      const struct emlfs_hash *sha256, uint32_t *ret_number)
{
    struct emlfs_cursor cur = emlfs_cursor_of(numbers);
    uint8_t found[EMLFS_HASH_BYTES];

    while (emlfs_cursor_left(&cur) > 0) {
        uint32_t number = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
        if (cur.bad)
            return -EUCLEAN;
        /* A damaged copy is no copy, nor is one that was deleted: the message is stored again. */
        if (message_there(store, number, NULL) == 0 &&
            read_sha256(archive, store, number, found, NULL) == 0 &&
            memcmp(found, sha256->v, EMLFS_HASH_BYTES) == 0) {
            *ret_number = number;
            return 0;
        }
    }
    return -ENOENT;
}

static int content_find_in(struct emlfs_archive *archive, struct store *store,
                           const struct emlfs_hash *sha256, uint32_t *ret_number)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_hash keyed;
    struct row_key key;
    int rc = content_key(&store->rows, sha256->v, &keyed);

    if (rc < 0)
        return rc;
    key = key_bytes(ROW_HASH, emlfs_span_of(keyed.v, HASH_ROW_BYTES));
    rc = emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, NULL);
    return rc < 0 ? rc : candidates(archive, store, emlfs_buf_view(&value), sha256, ret_number);
}

int content_find(struct emlfs_archive *archive, const struct emlfs_hash *sha256, bool *ret_found,
                 struct emlfs_msg_id *ret_id, struct emlfs_err *err)
{
    unsigned n = atomic_load(&archive->stores_n);
    uint32_t number;

    *ret_found = false;
    for (unsigned i = n; i-- > 0;) {
        struct store *store = archive_shown(archive, (uint16_t)(i + 1));
        int rc = store ? content_find_in(archive, store, sha256, &number) : -ENOENT;
        if (rc == 0) {
            *ret_found = true;
            *ret_id = emlfs_msg_id_make(store->rows.no, number);
            return 0;
        }
        if (rc != -ENOENT)
            return emlfs_err_sys(err, -rc, MODULE, "store %u", i + 1);
    }
    return 0;
}

/* The proof that the recipe gives the message back, before anything is stored. */
static bool recipe_proves(const struct recipe *recipe, struct emlfs_span raw)
{
    struct emlfs_buf line EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4u << 20);
    size_t at = 0;

    for (unsigned i = 0; i < recipe->n; i++) {
        const struct segment *segment = &recipe->v[i];
        struct emlfs_span made = segment->content;
        emlfs_buf_clear(&line);
        if (segment->kind == SEGMENT_BASE64 || segment->kind == SEGMENT_BLOB_BASE64) {
            if (emlfs_buf_reserve(&line, (size_t)segment->raw_len) < 0)
                return false;
            base64_encode(segment->content, &segment->shape, line.data);
            made = emlfs_span_of(line.data, (size_t)segment->raw_len);
        }
        if (made.len != segment->raw_len || made.len > raw.len - at ||
            memcmp(made.data, raw.data + at, made.len) != 0)
            return false;
        at += made.len;
    }
    return at == raw.len;
}

static bool blob_is_there(struct store *store, const uint8_t id[BLOB_ID_BYTES])
{
    struct row_key key = key_bytes(ROW_BLOB, emlfs_span_of(id, BLOB_ID_BYTES));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);

    return emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, NULL) == 0;
}

static int blobs_pack(struct store *store, struct emlfs_packer *packer, struct work *work)
{
    int rc = 0;

    work->blobs = calloc(work->recipe.n ? work->recipe.n : 1, sizeof(*work->blobs));
    if (!work->blobs)
        return -ENOMEM;
    for (unsigned i = 0; i < work->recipe.n && rc == 0; i++) {
        struct segment *segment = &work->recipe.v[i];
        if (segment->kind < SEGMENT_BLOB)
            continue;
        rc = blob_id(&store->rows, segment->content, segment->blob);
        if (rc == 0 && !blob_is_there(store, segment->blob))
            rc = emlfs_packer_pack(packer, EMLFS_RECORD_BLOB, NULL, segment->content,
                                   &work->blobs[i], NULL);
    }
    return rc;
}

static int text_collect(struct work *work)
{
    int rc = 0;

    work->text = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    rc = emlfs_buf_reserve(&work->text, (size_t)recipe_text_len(&work->recipe) + 1);
    for (unsigned i = 0; i < work->recipe.n && rc == 0; i++) {
        const struct segment *segment = &work->recipe.v[i];
        if (segment->kind < SEGMENT_BLOB)
            rc = emlfs_buf_append(&work->text, segment->content.data, segment->content.len);
    }
    return rc;
}

int work_content(struct emlfs_ingest *ingest, struct emlfs_packer *packer, struct work *work)
{
    struct store *store = archive_current(ingest->archive);
    struct emlfs_span raw = emlfs_buf_view(&work->item->raw);
    int rc = recipe_split(raw, &work->recipe);

    if (rc == 0 && !recipe_proves(&work->recipe, raw))
        rc = -EUCLEAN;
    work->store_no = store->rows.no;
    if (rc == 0)
        rc = blobs_pack(store, packer, work);
    return rc < 0 ? rc : text_collect(work);
}

/* Filed there already: neither facts nor a name are needed. */
static bool filed_here(struct emlfs_archive *archive, const struct emlfs_ingest_item *item)
{
    struct store *store = archive_store(archive, emlfs_msg_id_store(item->id));
    struct row_key key = key_u32(ROW_FILED, emlfs_msg_id_number(item->id));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct filed_list list = {0};
    bool found;

    if (!store || emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, NULL) < 0 ||
        filed_decode(emlfs_buf_view(&value), &list) < 0)
        return false;
    found = filed_find(&list, item->user.v, item->folder.v) >= 0;
    filed_list_free(&list);
    return found;
}

/* A stretch of the queue that one worker does at a time. */
#define BATCH_MAX 16u
struct batch {
    struct work *v[BATCH_MAX];
    unsigned n;
};

/* Hash and look up. */
static void work_begin(struct emlfs_ingest *ingest, struct work *work)
{
    struct emlfs_ingest_item *item = work->item;
    int rc = 0;

    if (item->raw.len == 0)
        rc = emlfs_err_set(&item->err, EILSEQ, MODULE, "empty");
    if (rc == 0)
        rc = emlfs_sha256(emlfs_buf_view(&item->raw), &work->sha256);
    if (rc == 0)
        rc = content_find(ingest->archive, &work->sha256, &work->known, &item->id, &item->err);
    work->rc = rc;
    work->prepared =
        !ingest->options.prepare || !(work->known && filed_here(ingest->archive, item));
    work->prepares = rc == 0 && ingest->options.prepare && work->prepared;
}

static void work_end(struct emlfs_ingest *ingest, struct ingest_worker *worker, struct work *work)
{
    struct emlfs_ingest_item *item = work->item;
    int rc = 0;

    /* Asked for in any case: it was announced. */
    if (work->prepares)
        rc = ingest->options.prepare(ingest->options.arg, worker->no, item, &item->err);
    rc = work->rc < 0 ? work->rc : rc;
    if (rc < 0 && item->err.code == 0)
        emlfs_err_sys(&item->err, -rc, MODULE, "message cannot be prepared");
    work->rc = rc;
}

/* Splitting is this process's work while another one takes the facts. */
static void batch_process(struct emlfs_ingest *ingest, struct ingest_worker *worker,
                          const struct batch *batch)
{
    for (unsigned i = 0; i < batch->n; i++) {
        work_begin(ingest, batch->v[i]);
        if (batch->v[i]->prepares && ingest->options.ahead)
            ingest->options.ahead(ingest->options.arg, worker->no, batch->v[i]->item);
    }
    for (unsigned i = 0; i < batch->n; i++) {
        if (batch->v[i]->rc == 0 && !batch->v[i]->known)
            batch->v[i]->rc = work_content(ingest, worker->blobs, batch->v[i]);
    }
    for (unsigned i = 0; i < batch->n; i++)
        work_end(ingest, worker, batch->v[i]);
}

/* This worker's share of what waits. */
static void batch_take(struct emlfs_ingest *ingest, struct batch *ret)
{
    unsigned share = ingest->untaken_n / ingest->workers_n + 1;

    for (ret->n = 0; ret->n < BATCH_MAX && ret->n < share && ingest->next_work; ret->n++) {
        ret->v[ret->n] = ingest->next_work;
        ingest->next_work = ingest->next_work->next;
        ret->v[ret->n]->state = JOB_TAKEN;
        ingest->untaken_n--;
    }
}

/* What is most urgent comes first: a block ready to compress holds others up. */
static bool job_take(struct emlfs_ingest *ingest, struct batch *ret_batch,
                     struct open_block **ret_block)
{
    *ret_block = ingest->next_block;
    ret_batch->n = 0;
    if (!*ret_block) {
        batch_take(ingest, ret_batch);
        return ret_batch->n > 0;
    }
    ingest->next_block = (*ret_block)->next;
    (*ret_block)->state = JOB_TAKEN;
    return true;
}

static void job_run(struct emlfs_ingest *ingest, struct ingest_worker *worker,
                    const struct batch *batch, struct open_block *block)
{
    pthread_mutex_unlock(&ingest->lock);
    if (block)
        block_compress(worker, block);
    else
        batch_process(ingest, worker, batch);
    pthread_mutex_lock(&ingest->lock);
    if (block)
        block->state = JOB_READY;
    for (unsigned i = 0; i < batch->n; i++)
        batch->v[i]->state = JOB_READY;
    pthread_cond_signal(&ingest->ready_cond);
}

void *ingest_worker_main(void *arg)
{
    struct ingest_worker *worker = arg;
    struct emlfs_ingest *ingest = worker->ingest;
    struct open_block *block;
    struct batch batch;

    pthread_mutex_lock(&ingest->lock);
    for (;;) {
        if (job_take(ingest, &batch, &block))
            job_run(ingest, worker, &batch, block);
        else if (ingest->stop)
            break;
        else
            pthread_cond_wait(&ingest->work_cond, &ingest->lock);
    }
    pthread_mutex_unlock(&ingest->lock);
    return NULL;
}
