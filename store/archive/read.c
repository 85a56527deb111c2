/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Reading messages back. Blocks are kept decompressed in a bounded cache; a first touch
 * decompresses only as far as the message reaches, because a random reader wants no more, and only
 * the meta part where no text is wanted at all.
 *
 * I-READ-1  no byte leaves here whose record did not authenticate
 * I-READ-2  a message that is handed out whole has the SHA-256 that was archived; a message handed
 *           out by ranges has the keyed hash of every blob it touches checked
 */
#include <stdlib.h>

#include "internal.h"

#define MODULE "archive"
#define CACHE_SLOTS 64u
#define POOL 4u
#define BUFFER_KEEP_BYTES (2u << 20)
#define TIGHT_FROM_BYTES (8u << 20)
#define BUFFER_WORTH_BYTES (64u << 10) /* a smaller one is as quickly made */
#define WHOLE_MAX_BYTES (1u << 20)
#define FIRST_WANT_BYTES (16u << 10) /* holds most meta parts, or the first block of the frame */

/* A block in memory; plain may hold only its first part. Freed when the last user lets go. */
struct cached {
    uint16_t store_no;
    uint32_t last;
    unsigned refs;
    uint64_t tick;
    size_t plain_len;
    bool meta_only; /* no text was wanted yet */
    struct emlfs_buf plain;
    struct block block;
};

struct block_cache {
    pthread_mutex_t lock;
    struct cached *slots[CACHE_SLOTS];
    size_t bytes, max_bytes;
    uint64_t tick;
    struct emlfs_record records[POOL];
    unsigned records_n;
    struct emlfs_buf plains[POOL];
    unsigned plains_n;
};

int cache_new(size_t max_bytes, struct block_cache **ret)
{
    struct block_cache *cache = calloc(1, sizeof(*cache));

    if (!cache)
        return -ENOMEM;
    pthread_mutex_init(&cache->lock, NULL);
    cache->max_bytes = max_bytes;
    *ret = cache;
    return 0;
}

/*
 * Buffers for blocks and records are some hundred KB to a MB: reused, so that a read costs no page
 * faults. Under the lock.
 */
static void plain_give(struct block_cache *cache, struct emlfs_buf *plain)
{
    bool keep = plain->cap >= BUFFER_WORTH_BYTES && plain->cap <= BUFFER_KEEP_BYTES;

    emlfs_buf_clear(plain);
    if (cache->plains_n < POOL && keep)
        cache->plains[cache->plains_n++] = *plain;
    else
        emlfs_buf_free(plain);
}

static void cached_free(struct block_cache *cache, struct cached *cached)
{
    plain_give(cache, &cached->plain);
    block_free(&cached->block);
    free(cached);
}

static struct cached *cached_new(struct block_cache *cache)
{
    struct cached *cached = calloc(1, sizeof(*cached));

    if (!cached)
        return NULL;
    cached->refs = 1;
    cached->plain = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    pthread_mutex_lock(&cache->lock);
    if (cache->plains_n > 0)
        cached->plain = cache->plains[--cache->plains_n];
    pthread_mutex_unlock(&cache->lock);
    return cached;
}

/* Under the lock. */
static void cached_drop(struct block_cache *cache, unsigned at)
{
    struct cached *cached = cache->slots[at];

    cache->slots[at] = NULL;
    cache->bytes -= cached->plain.cap;
    if (--cached->refs == 0)
        cached_free(cache, cached);
}

void cache_free(struct block_cache *cache)
{
    if (!cache)
        return;
    for (unsigned i = 0; i < CACHE_SLOTS; i++) {
        if (cache->slots[i])
            cached_drop(cache, i);
    }
    for (unsigned i = 0; i < cache->records_n; i++)
        emlfs_record_free(&cache->records[i]);
    for (unsigned i = 0; i < cache->plains_n; i++)
        emlfs_buf_free(&cache->plains[i]);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* By a number in it: a message stays in its block as long as the store is open. */
static struct cached *cache_get(struct block_cache *cache, uint16_t store_no, uint32_t number)
{
    struct cached *found = NULL;

    pthread_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < CACHE_SLOTS && !found; i++) {
        struct cached *slot = cache->slots[i];
        if (slot && slot->store_no == store_no && slot->block.first <= number &&
            number <= slot->last)
            found = slot;
    }
    if (found) {
        found->refs++;
        found->tick = ++cache->tick;
    }
    pthread_mutex_unlock(&cache->lock);
    return found;
}

static void cached_unref(struct block_cache *cache, struct cached *cached)
{
    if (!cached)
        return;
    pthread_mutex_lock(&cache->lock);
    if (--cached->refs == 0)
        cached_free(cache, cached);
    pthread_mutex_unlock(&cache->lock);
}

static unsigned cache_oldest(const struct block_cache *cache)
{
    unsigned oldest = CACHE_SLOTS;

    for (unsigned i = 0; i < CACHE_SLOTS; i++) {
        if (cache->slots[i] &&
            (oldest == CACHE_SLOTS || cache->slots[i]->tick < cache->slots[oldest]->tick))
            oldest = i;
    }
    return oldest;
}

static unsigned cache_free_slot(const struct block_cache *cache)
{
    unsigned i = 0;

    while (i < CACHE_SLOTS && cache->slots[i])
        i++;
    return i;
}

/* Takes over one reference for the cache; an older form of the same block goes. */
static void cache_put(struct block_cache *cache, struct cached *cached)
{
    unsigned at;

    pthread_mutex_lock(&cache->lock);
    for (unsigned i = 0; i < CACHE_SLOTS; i++) {
        struct cached *slot = cache->slots[i];
        if (slot && slot->store_no == cached->store_no && slot->last == cached->last)
            cached_drop(cache, i);
    }
    while ((at = cache_oldest(cache)) < CACHE_SLOTS &&
           (cache->bytes + cached->plain.cap > cache->max_bytes ||
            cache_free_slot(cache) == CACHE_SLOTS))
        cached_drop(cache, at);
    cached->refs++;
    cached->tick = ++cache->tick;
    cache->bytes += cached->plain.cap;
    cache->slots[cache_free_slot(cache)] = cached;
    pthread_mutex_unlock(&cache->lock);
}

static struct emlfs_record record_take(struct block_cache *cache)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;

    pthread_mutex_lock(&cache->lock);
    if (cache->records_n > 0)
        record = cache->records[--cache->records_n];
    pthread_mutex_unlock(&cache->lock);
    return record;
}

static void record_give(struct block_cache *cache, struct emlfs_record *record)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->records_n < POOL && record->stored.cap <= BUFFER_KEEP_BYTES) {
        cache->records[cache->records_n++] = *record;
        record = NULL;
    }
    pthread_mutex_unlock(&cache->lock);
    if (record)
        emlfs_record_free(record);
}

int message_there(struct store *store, uint32_t number, struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FILED, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);

    return emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, err);
}

int content_key(const struct store_rows *rows, const uint8_t sha256[EMLFS_HASH_BYTES],
                struct emlfs_hash *ret)
{
    return emlfs_hmac(&rows->keys.content, emlfs_span_of(sha256, EMLFS_HASH_BYTES), ret);
}

int blob_id(const struct store_rows *rows, struct emlfs_span content, uint8_t ret[BLOB_ID_BYTES])
{
    struct emlfs_hash hash, mac;
    int rc = emlfs_sha256(content, &hash);

    if (rc == 0)
        rc = content_key(rows, hash.v, &mac);
    if (rc == 0)
        memcpy(ret, mac.v, BLOB_ID_BYTES);
    return rc;
}

/* As emlfs_packs_read; a row that points to where nothing is means damage, not "no such message".
 */
static int record_read(struct store *store, struct emlfs_pack_loc loc, struct emlfs_record *record,
                       struct emlfs_err *err)
{
    int rc = emlfs_packs_read(store->packs, loc, record, err);

    if (rc != -ENOENT)
        return rc;
    return emlfs_err_set(err, EBADMSG, MODULE, "store %u, pack %u at %llu: the record is gone",
                         store->rows.no, loc.pack_no, (unsigned long long)loc.offset);
}

int record_content(struct store *store, const struct emlfs_record *record, struct emlfs_buf *out,
                   struct emlfs_err *err)
{
    struct emlfs_dict *dict = NULL;
    int rc = store_dict(store, record->dict_id, &dict, err);

    return rc < 0 ? rc : emlfs_record_plain(record, dict, record->plain_len, out, err);
}

static int blob_locate(struct store *store, struct emlfs_txn *txn, const uint8_t *id,
                       struct blob_row *ret, struct emlfs_err *err)
{
    struct row_key key = key_bytes(ROW_BLOB, emlfs_span_of(id, BLOB_ID_BYTES));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    int rc = txn ? emlfs_txn_get(txn, row_key_view(&key), 0, &value, err)
                 : emlfs_catalog_get(store->rows.catalog, row_key_view(&key), 0, &value, err);

    if (rc == 0)
        rc = blob_row_decode(emlfs_buf_view(&value), ret);
    if (rc == -ENOENT)
        rc = emlfs_err_set(err, EUCLEAN, MODULE, "store %u: a blob is missing", store->rows.no);
    return rc;
}

int blob_read(struct store *store, struct emlfs_txn *txn, const uint8_t id[BLOB_ID_BYTES],
              struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_record record = EMLFS_RECORD_INIT;
    uint8_t found[BLOB_ID_BYTES];
    struct blob_row row;
    int rc = blob_locate(store, txn, id, &row, err);

    if (rc == 0)
        rc = record_read(store, row.loc, &record, err);
    if (rc == 0 && record.type != EMLFS_RECORD_BLOB)
        rc = -EUCLEAN;
    if (rc == 0)
        rc = record_content(store, &record, out, err);
    if (rc == 0)
        rc = blob_id(&store->rows, emlfs_buf_view(out), found);
    if (rc == 0 && memcmp(found, id, BLOB_ID_BYTES) != 0)
        rc = emlfs_err_set(err, EBADMSG, MODULE, "store %u, pack %u at %llu: wrong blob",
                           store->rows.no, row.loc.pack_no, (unsigned long long)row.loc.offset);
    emlfs_record_free(&record);
    return rc;
}

/* The row of the block that holds number. */
static int block_locate(struct store *store, uint32_t number, struct block_row *ret,
                        struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_BLOCK, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct emlfs_catalog_iter *iter = NULL;
    struct emlfs_span found;
    int rc = emlfs_catalog_iter_new(store->rows.catalog, &iter, err);

    if (rc < 0)
        return rc;
    emlfs_catalog_iter_seek(iter, row_key_view(&key));
    if (!emlfs_catalog_iter_valid(iter)) {
        rc = emlfs_catalog_iter_error(iter, err);
        rc = rc < 0 ? rc : -ENOENT;
    } else {
        found = emlfs_catalog_iter_key(iter);
        rc = found.len == 5 && found.data[0] == ROW_BLOCK ? 0 : -ENOENT;
        if (rc == 0)
            rc = emlfs_catalog_iter_value(iter, 0, &value, err);
        if (rc == 0)
            rc = block_row_decode(be32(found.data + 1), emlfs_buf_view(&value), ret);
        if (rc == 0 && ret->first > number)
            rc = -ENOENT;
    }
    emlfs_catalog_iter_free(iter);
    return rc;
}

struct wanted {
    struct store *store;
    uint32_t number;
    bool meta_only; /* not the message's text */
    bool whole;     /* of all messages */
    struct block_row row;
};

static bool cached_has(const struct cached *cached, const struct wanted *wanted)
{
    const struct block_message *message = &cached->block.v[wanted->number - cached->block.first];

    if (wanted->whole)
        return cached->plain.len == cached->plain_len;
    return wanted->meta_only ||
           cached->block.meta_len + message->text_offset + message->text_len <= cached->plain.len;
}

/* Decode what plain holds so far; the row decides which messages it must be. */
static int cached_decode(const struct wanted *wanted, struct cached *cached)
{
    int rc = block_decode(emlfs_buf_view(&cached->plain), cached->plain_len, &cached->block);

    if (rc == 0 && (cached->block.first != wanted->row.first ||
                    cached->block.first + cached->block.n - 1 != wanted->row.last))
        rc = -EUCLEAN;
    return rc;
}

/* The meta part, then on to the end of the wanted message, and no further. */
static int cached_fill_part(const struct wanted *wanted, struct emlfs_expander *expander,
                            struct cached *cached, struct emlfs_err *err)
{
    const struct block_message *message;
    size_t want = FIRST_WANT_BYTES;
    int rc;

    do {
        rc = emlfs_expander_to(expander, want, err);
        if (rc == 0)
            rc = cached_decode(wanted, cached);
        want *= 2;
    } while (rc == -EAGAIN && want < 2 * (size_t)EMLFS_RECORD_PLAIN_MAX_BYTES);
    if (rc < 0)
        return rc == -EAGAIN ? -EUCLEAN : rc;
    if (wanted->meta_only)
        return 0;
    message = &cached->block.v[wanted->number - wanted->row.first];
    want = cached->block.meta_len + (size_t)(message->text_offset + message->text_len);
    return emlfs_expander_to(expander, want, err);
}

static int cached_fill(const struct wanted *wanted, const struct emlfs_record *record,
                       struct cached *cached, struct emlfs_err *err)
{
    struct emlfs_expander *expander = NULL;
    struct emlfs_dict *dict = NULL;
    int rc = store_dict(wanted->store, record->dict_id, &dict, err);

    if (rc == 0 && wanted->whole) {
        rc = emlfs_record_plain(record, dict, record->plain_len, &cached->plain, err);
        return rc < 0 ? rc : cached_decode(wanted, cached);
    }
    if (rc == 0)
        rc = emlfs_expander_new(record, dict, &cached->plain, &expander, err);
    if (rc == 0)
        rc = cached_fill_part(wanted, expander, cached, err);
    emlfs_expander_free(expander);
    return rc;
}

/*
 * Of a block that only its meta part was wanted of, keep no more: many fit into the cache then. Not
 * worth a copy in fresh memory for a cache that is small whatever is in it.
 */
static int cached_tighten(struct block_cache *cache, struct cached *cached)
{
    struct emlfs_buf tight = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    int rc = emlfs_buf_append(&tight, cached->plain.data, cached->block.meta_len);

    if (rc < 0)
        return rc;
    block_moved(&cached->block, cached->plain.data, tight.data);
    pthread_mutex_lock(&cache->lock);
    plain_give(cache, &cached->plain);
    pthread_mutex_unlock(&cache->lock);
    cached->plain = tight;
    return 0;
}

static int block_load(struct block_cache *cache, const struct wanted *wanted, struct cached **ret,
                      struct emlfs_err *err)
{
    struct emlfs_record record = record_take(cache);
    struct cached *cached = cached_new(cache);
    int rc = cached ? record_read(wanted->store, wanted->row.loc, &record, err) : -ENOMEM;

    if (rc == 0 && record.type != EMLFS_RECORD_BLOCK)
        rc = -EUCLEAN;
    if (rc == 0) {
        cached->store_no = wanted->store->rows.no;
        cached->last = wanted->row.last;
        cached->plain_len = record.plain_len;
        cached->meta_only = wanted->meta_only && !wanted->whole;
        rc = cached_fill(wanted, &record, cached, err);
        if (rc == 0 && cached->meta_only && cache->max_bytes >= TIGHT_FROM_BYTES)
            rc = cached_tighten(cache, cached);
    }
    record_give(cache, &record);
    if (rc < 0)
        cached_unref(cache, cached);
    *ret = rc < 0 ? NULL : cached;
    return rc;
}

/* The block that holds what is wanted (store, number, meta_only, whole), at least that; unref it.
 */
static int block_get(struct emlfs_archive *archive, struct wanted wanted, struct cached **ret,
                     struct emlfs_err *err)
{
    struct store *store = wanted.store;
    int rc;

    *ret = cache_get(archive->cache, store->rows.no, wanted.number);
    if (*ret && cached_has(*ret, &wanted))
        return 0;
    wanted.whole = wanted.whole || (*ret && !(*ret)->meta_only);
    cached_unref(archive->cache, *ret);
    *ret = NULL;
    rc = block_locate(store, wanted.number, &wanted.row, err);
    if (rc < 0)
        return rc;
    if (err)
        err->code = 0;
    rc = block_load(archive->cache, &wanted, ret, err);
    if (rc == 0)
        cache_put(archive->cache, *ret);
    else if (err && err->code == 0)
        emlfs_err_sys(err, -rc, MODULE, "store %u, pack %u at %llu", store->rows.no,
                      wanted.row.loc.pack_no, (unsigned long long)wanted.row.loc.offset);
    return rc;
}

static struct emlfs_span message_text(const struct cached *cached,
                                      const struct block_message *message)
{
    return emlfs_span_of(cached->plain.data + cached->block.meta_len + message->text_offset,
                         (size_t)message->text_len);
}

/* Append the raw bytes of one segment; *text moves on. */
static int segment_rebuild(const struct rebuild_source *source, const struct segment *segment,
                           struct emlfs_span *text, struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_buf blob EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_RECORD_PLAIN_MAX_BYTES);
    struct emlfs_span plain = emlfs_span_of(text->data, (size_t)segment->plain_len);
    int rc = 0;

    if (segment->kind >= SEGMENT_BLOB) {
        rc = blob_read(source->store, source->txn, segment->blob, &blob, err);
        plain = emlfs_buf_view(&blob);
        if (rc == 0 && plain.len != segment->plain_len)
            rc = -EUCLEAN;
    } else {
        *text = emlfs_span_of(text->data + plain.len, text->len - plain.len);
    }
    if (rc < 0)
        return rc;
    if (segment->kind == SEGMENT_TEXT || segment->kind == SEGMENT_BLOB)
        return emlfs_buf_append(out, plain.data, plain.len);
    rc = emlfs_buf_reserve(out, (size_t)segment->raw_len);
    if (rc == 0) {
        base64_encode(plain, &segment->shape, out->data + out->len);
        out->len += (size_t)segment->raw_len;
    }
    return rc;
}

int rebuild_message(const struct rebuild_source *source, struct emlfs_buf *out,
                    struct emlfs_err *err)
{
    const struct block_message *message = source->message;
    struct emlfs_span text = source->text;
    struct emlfs_hash hash;
    struct recipe recipe;
    int rc = recipe_decode(message->recipe, message->text_len, message->size_bytes, &recipe);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < recipe.n && rc == 0; i++)
        rc = segment_rebuild(source, &recipe.v[i], &text, out, err);
    recipe_free(&recipe);
    if (rc == 0)
        rc = emlfs_sha256(emlfs_buf_view(out), &hash);
    if (rc == 0 &&
        (out->len != message->size_bytes || memcmp(hash.v, message->sha256, EMLFS_HASH_BYTES) != 0))
        rc = -EBADMSG;
    return rc;
}

/* Every blob of the message has its row: after damage a block may be there without them. */
static int blobs_check(struct store *store, const struct block_message *message,
                       struct emlfs_err *err)
{
    struct recipe recipe;
    struct blob_row row;
    int rc = recipe_decode(message->recipe, message->text_len, message->size_bytes, &recipe);

    for (unsigned i = 0; rc == 0 && i < recipe.n; i++) {
        if (recipe.v[i].kind >= SEGMENT_BLOB)
            rc = blob_locate(store, NULL, recipe.v[i].blob, &row, err);
    }
    recipe_free(&recipe);
    return rc;
}

int read_sha256(struct emlfs_archive *archive, struct store *store, uint32_t number,
                uint8_t ret[EMLFS_HASH_BYTES], struct emlfs_err *err)
{
    const struct block_message *message;
    struct cached *cached;
    int rc = block_get(archive, (struct wanted){.store = store, .number = number}, &cached, err);

    if (rc < 0)
        return rc;
    message = &cached->block.v[number - cached->block.first];
    memcpy(ret, message->sha256, EMLFS_HASH_BYTES);
    rc = message->recipe.len ? blobs_check(store, message, err) : 0;
    cached_unref(archive->cache, cached);
    return rc;
}

struct emlfs_msg_reader {
    struct emlfs_archive *archive;
    struct emlfs_msg_id id;
    uint64_t size_bytes;
    struct emlfs_buf whole; /* short messages: everything */
    /* long messages: */
    struct store *store;
    struct cached *cached;
    struct recipe recipe;
    pthread_mutex_t lock;   /* for the segment at hand */
    unsigned at;            /* its index + 1, 0: none */
    struct emlfs_buf piece; /* its raw bytes */
};

static void name_damage(struct emlfs_err *err, int rc, struct emlfs_msg_id id)
{
    char text[EMLFS_MSG_ID_TEXT_MAX];
    struct emlfs_err inner = {0};

    if (!err || rc >= 0 || rc == -ENOENT)
        return;
    if (err->code)
        inner = *err;
    emlfs_msg_id_format(id, text);
    if (inner.code)
        emlfs_err_set(err, -rc, MODULE, "message %s: %.400s", text, inner.text);
    else
        emlfs_err_sys(err, -rc, MODULE, "message %s", text);
}

static int reader_fill(struct emlfs_msg_reader *reader, struct emlfs_err *err)
{
    const uint32_t number = emlfs_msg_id_number(reader->id);
    const struct block_message *message =
        &reader->cached->block.v[number - reader->cached->block.first];
    const struct rebuild_source source = {
        .store = reader->store, .text = message_text(reader->cached, message), .message = message};
    int rc;

    reader->size_bytes = message->size_bytes;
    if (message->size_bytes > WHOLE_MAX_BYTES)
        return recipe_decode(message->recipe, message->text_len, message->size_bytes,
                             &reader->recipe);
    reader->whole = EMLFS_BUF_INIT(WHOLE_MAX_BYTES + 4);
    rc = emlfs_buf_reserve(&reader->whole, (size_t)message->size_bytes + 1);
    if (rc == 0)
        rc = rebuild_message(&source, &reader->whole, err);
    cached_unref(reader->archive->cache, reader->cached);
    reader->cached = NULL;
    return rc;
}

int emlfs_archive_msg_open(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_msg_reader **ret_reader, struct emlfs_err *err)
{
    struct emlfs_msg_reader *reader;
    int rc;

    if (archive->live) {
        rc = asof_content(archive, id, err);
        return rc < 0 ? rc : emlfs_archive_msg_open(archive->live, id, ret_reader, err);
    }
    reader = calloc(1, sizeof(*reader));
    if (!reader)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    pthread_mutex_init(&reader->lock, NULL);
    reader->archive = archive;
    reader->id = id;
    reader->piece = EMLFS_BUF_INIT(4u << 20);
    reader->store = archive_shown(archive, emlfs_msg_id_store(id));
    if (err)
        err->code = 0;
    rc = reader->store ? message_there(reader->store, emlfs_msg_id_number(id), err) : -ENOENT;
    if (rc == 0)
        rc = block_get(archive,
                       (struct wanted){.store = reader->store, .number = emlfs_msg_id_number(id)},
                       &reader->cached, err);
    if (rc == 0)
        rc = reader_fill(reader, err);
    if (rc < 0) {
        name_damage(err, rc, id);
        emlfs_msg_reader_free(reader);
        return rc;
    }
    *ret_reader = reader;
    return 0;
}

uint64_t emlfs_msg_reader_size(const struct emlfs_msg_reader *reader)
{
    return reader->size_bytes;
}

void emlfs_msg_reader_free(struct emlfs_msg_reader *reader)
{
    if (!reader)
        return;
    cached_unref(reader->archive->cache, reader->cached);
    emlfs_buf_wipe(&reader->whole);
    emlfs_buf_wipe(&reader->piece);
    recipe_free(&reader->recipe);
    pthread_mutex_destroy(&reader->lock);
    free(reader);
}

/* Make segment i the piece at hand. Under the lock. */
static int piece_load(struct emlfs_msg_reader *reader, unsigned i, uint64_t text_at,
                      struct emlfs_err *err)
{
    const uint32_t number = emlfs_msg_id_number(reader->id);
    const struct block_message *message =
        &reader->cached->block.v[number - reader->cached->block.first];
    const struct rebuild_source source = {.store = reader->store, .message = message};
    struct emlfs_span text = message_text(reader->cached, message);
    int rc;

    if (reader->at == i + 1)
        return 0;
    text = emlfs_span_of(text.data + text_at, text.len - (size_t)text_at);
    emlfs_buf_clear(&reader->piece);
    reader->at = 0;
    rc = segment_rebuild(&source, &reader->recipe.v[i], &text, &reader->piece, err);
    if (rc == 0)
        reader->at = i + 1;
    return rc;
}

/* Copy from one segment on; bytes copied, at least 1, or negative. */
static ssize_t piece_read(struct emlfs_msg_reader *reader, void *data, size_t len, uint64_t offset,
                          struct emlfs_err *err)
{
    uint64_t start = 0, text_at = 0;
    unsigned i = 0;
    size_t n;
    int rc;

    while (i < reader->recipe.n && offset >= start + reader->recipe.v[i].raw_len) {
        start += reader->recipe.v[i].raw_len;
        text_at += reader->recipe.v[i].kind <= SEGMENT_BASE64 ? reader->recipe.v[i].plain_len : 0;
        i++;
    }
    if (i == reader->recipe.n)
        return 0;
    rc = piece_load(reader, i, text_at, err);
    if (rc < 0)
        return rc;
    n = (size_t)(reader->recipe.v[i].raw_len - (offset - start));
    n = n < len ? n : len;
    memcpy(data, reader->piece.data + (offset - start), n);
    return (ssize_t)n;
}

ssize_t emlfs_msg_reader_pread(struct emlfs_msg_reader *reader, void *data, size_t len,
                               uint64_t offset, struct emlfs_err *err)
{
    size_t done = 0;
    ssize_t n = 1;

    if (offset >= reader->size_bytes)
        return 0;
    len = len < reader->size_bytes - offset ? len : (size_t)(reader->size_bytes - offset);
    if (reader->size_bytes <= WHOLE_MAX_BYTES) {
        memcpy(data, reader->whole.data + offset, len);
        return (ssize_t)len;
    }
    if (err)
        err->code = 0;
    pthread_mutex_lock(&reader->lock);
    while (done < len && n > 0) {
        n = piece_read(reader, (uint8_t *)data + done, len - done, offset + done, err);
        done += n > 0 ? (size_t)n : 0;
    }
    pthread_mutex_unlock(&reader->lock);
    if (n < 0)
        name_damage(err, (int)n, reader->id);
    return n < 0 ? n : (ssize_t)done;
}

int emlfs_archive_msg_read(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_msg_reader *reader = NULL;
    ssize_t n = 0;
    int rc = emlfs_archive_msg_open(archive, id, &reader, err);

    emlfs_buf_clear(out);
    if (rc < 0)
        return rc;
    rc = emlfs_buf_reserve(out, (size_t)emlfs_msg_reader_size(reader));
    if (rc == 0) {
        n = emlfs_msg_reader_pread(reader, out->data, (size_t)emlfs_msg_reader_size(reader), 0,
                                   err);
        rc = n < 0 ? (int)n : 0;
        out->len = n < 0 ? 0 : (size_t)n;
    }
    emlfs_msg_reader_free(reader);
    return rc;
}

static int64_t first_mtime_ns(const struct block_message *message)
{
    struct emlfs_span entries = message->entries;
    struct block_entry entry;
    int64_t ns;

    if (!block_entry_next(&entries, &entry) ||
        __builtin_mul_overflow(entry.mtime_sec, INT64_C(1000000000), &ns))
        return 0;
    return ns;
}

int emlfs_archive_msg_info(struct emlfs_archive *archive, struct emlfs_msg_id id,
                           struct emlfs_msg_info *ret, struct emlfs_buf *ret_facts,
                           struct emlfs_err *err)
{
    const struct wanted wanted = {.store = archive_shown(archive, emlfs_msg_id_store(id)),
                                  .number = emlfs_msg_id_number(id),
                                  .meta_only = true};
    const struct block_message *message;
    struct cached *cached = NULL;
    int rc = wanted.store ? message_there(wanted.store, wanted.number, err) : -ENOENT;

    if (archive->live) {
        rc = asof_content(archive, id, err);
        return rc < 0 ? rc : emlfs_archive_msg_info(archive->live, id, ret, ret_facts, err);
    }
    if (rc == 0)
        rc = block_get(archive, wanted, &cached, err);
    if (rc < 0) {
        name_damage(err, rc, id);
        return rc;
    }
    message = &cached->block.v[emlfs_msg_id_number(id) - cached->block.first];
    ret->id = id;
    ret->size_bytes = message->size_bytes;
    ret->archived_ns = message->archived_ns;
    ret->mtime_ns = first_mtime_ns(message);
    memcpy(ret->sha256.v, message->sha256, EMLFS_HASH_BYTES);
    if (ret_facts)
        rc = emlfs_buf_append(ret_facts, message->facts.data, message->facts.len);
    cached_unref(archive->cache, cached);
    return rc;
}

int emlfs_archive_msg_neighbours(struct emlfs_archive *archive, struct emlfs_msg_id id,
                                 struct emlfs_msg_id *ret, unsigned max, unsigned *ret_n,
                                 struct emlfs_err *err)
{
    const struct wanted wanted = {.store = archive_shown(archive, emlfs_msg_id_store(id)),
                                  .number = emlfs_msg_id_number(id),
                                  .whole = true};
    struct cached *cached = NULL;
    uint32_t number = wanted.number;
    int rc;

    *ret_n = 0;
    if (archive->live)
        return emlfs_archive_msg_neighbours(archive->live, id, ret, max, ret_n, err);
    rc = wanted.store ? block_get(archive, wanted, &cached, err) : -ENOENT;
    while (rc == 0 && number++ < cached->last && *ret_n < max) {
        if (message_there(wanted.store, number, NULL) == 0)
            ret[(*ret_n)++] = emlfs_msg_id_make(wanted.store->rows.no, number);
    }
    cached_unref(archive->cache, cached);
    return rc;
}
