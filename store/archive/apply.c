/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From records to rows. One code path serves ingest, replay after a crash, recover and verify, so a
 * rebuilt catalogue is equal to the one that grew.
 *
 * I-APPLY-1  applying a record again changes nothing
 * I-APPLY-2  all rows of a block are committed together with the mark behind it: a block that has a
 *            B row is applied
 * I-APPLY-3  rows in other stores and the master rows are durable before the mark that covers their
 *            record
 */
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/store_state.h"
#include "emlfs/name.h"
#include "internal.h"

#define MODULE "archive"
#define MASTER_VERSION 1u

struct apply_store {
    struct emlfs_txn *txn;
    struct entries *entries;
    struct mark_row mark;
    bool mark_loaded;
};

struct apply {
    const struct state *state;
    struct emlfs_txn *master;
    struct apply_store *stores; /* by number - 1, grown as stores appear */
    unsigned stores_n;
    uint32_t run;
    struct usage *usage;
    uint32_t touched[TOUCHED_MAX];
    unsigned touched_n;
    bool touched_more;
};

int apply_new(const struct state *state, struct apply **ret)
{
    struct apply *apply = calloc(1, sizeof(*apply));
    int rc;

    if (!apply)
        return -ENOMEM;
    apply->state = state;
    rc = emlfs_txn_new(state->master, &apply->master);
    if (rc < 0) {
        free(apply);
        return rc;
    }
    *ret = apply;
    return 0;
}

void apply_free(struct apply *apply)
{
    if (!apply)
        return;
    for (unsigned i = 0; i < apply->stores_n; i++) {
        entries_free(apply->stores[i].entries);
        emlfs_txn_free(apply->stores[i].txn);
    }
    free(apply->stores);
    emlfs_txn_free(apply->master);
    free(apply);
}

void apply_set_run(struct apply *apply, uint32_t run)
{
    apply->run = run;
}

void apply_set_usage(struct apply *apply, struct usage *usage)
{
    apply->usage = usage;
}

static int stores_grow(struct apply *apply, unsigned n)
{
    struct apply_store *grown = reallocarray(apply->stores, n, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    memset(grown + apply->stores_n, 0, (n - apply->stores_n) * sizeof(*grown));
    apply->stores = grown;
    apply->stores_n = n;
    return 0;
}

static int mark_load(struct apply_store *store, struct emlfs_err *err)
{
    const uint8_t kind = ROW_MARK;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(256);
    int rc = emlfs_txn_get(store->txn, emlfs_span_of(&kind, 1), EMLFS_CATALOG_SEALED, &value, err);

    if (rc == 0)
        rc = mark_decode(emlfs_buf_view(&value), &store->mark);
    else if (rc == -ENOENT) {
        store->mark = (struct mark_row){.next_number = 1, .next_seq = 1};
        rc = 0;
    }
    store->mark_loaded = rc == 0;
    return rc;
}

/* The working state of store no. -ENOENT: the archive has no such store. */
static int store_at(struct apply *apply, uint16_t no, struct apply_store **ret,
                    struct emlfs_err *err)
{
    const struct state *state = apply->state;
    struct apply_store *store;
    int rc = 0;

    if (no == 0 || no > state->stores_n || !state->stores[no - 1])
        return emlfs_err_set(err, EUCLEAN, MODULE, "a record names store %u, which is not there",
                             no);
    if (no > apply->stores_n)
        rc = stores_grow(apply, no);
    store = rc < 0 ? NULL : &apply->stores[no - 1];
    if (rc == 0 && !store->txn)
        rc = emlfs_txn_new(state->stores[no - 1]->catalog, &store->txn);
    if (rc == 0 && !store->entries)
        rc = entries_new(store->txn, &store->entries);
    if (rc == 0 && !store->mark_loaded)
        rc = mark_load(store, err);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "store %u", no);
    *ret = store;
    return 0;
}

struct emlfs_txn *apply_txn(struct apply *apply, uint16_t no)
{
    struct apply_store *store;

    return store_at(apply, no, &store, NULL) < 0 ? NULL : store->txn;
}

struct emlfs_txn *apply_master(struct apply *apply)
{
    return apply->master;
}

struct mark_row *apply_mark(struct apply *apply, uint16_t no)
{
    struct apply_store *store;

    return store_at(apply, no, &store, NULL) < 0 ? NULL : &store->mark;
}

size_t apply_rows(const struct apply *apply)
{
    size_t rows = emlfs_txn_rows(apply->master);

    for (unsigned i = 0; i < apply->stores_n; i++)
        rows += apply->stores[i].txn ? emlfs_txn_rows(apply->stores[i].txn) : 0;
    return rows;
}

static void touch(struct apply *apply, uint32_t folder)
{
    for (unsigned i = apply->touched_n; i-- > 0;) {
        if (apply->touched[i] == folder)
            return;
    }
    if (apply->touched_n < TOUCHED_MAX)
        apply->touched[apply->touched_n++] = folder;
    else
        apply->touched_more = true;
}

unsigned apply_touched(struct apply *apply, uint32_t *ret, unsigned max)
{
    unsigned n = apply->touched_n;

    if (apply->touched_more || n > max) {
        ret[0] = 0;
        n = 1;
    } else {
        memcpy(ret, apply->touched, n * sizeof(*ret));
    }
    apply->touched_n = 0;
    apply->touched_more = false;
    return n;
}

int apply_filed_get(struct apply *apply, uint16_t no, uint32_t number, struct filed_list *ret,
                    struct emlfs_err *err)
{
    struct row_key key = key_u32(ROW_FILED, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct apply_store *store;
    int rc = store_at(apply, no, &store, err);

    *ret = (struct filed_list){0};
    if (rc == 0)
        rc = emlfs_txn_get(store->txn, row_key_view(&key), 0, &value, err);
    if (rc == -ENOENT)
        return 0;
    return rc < 0 ? rc : filed_decode(emlfs_buf_view(&value), ret);
}

int apply_entry_get(struct apply *apply, uint16_t no, uint32_t folder, uint32_t number,
                    struct chunk_entry *ret, struct emlfs_err *err)
{
    struct apply_store *store;
    int rc = store_at(apply, no, &store, err);

    return rc < 0 ? rc : entries_get(store->entries, folder, number, ret, err);
}

int apply_filed_put(struct apply *apply, uint16_t no, uint32_t number,
                    const struct filed_list *list)
{
    struct row_key key = key_u32(ROW_FILED, number);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct apply_store *store;
    int rc = store_at(apply, no, &store, NULL);

    if (rc < 0)
        return rc;
    if (list->n == 0)
        return emlfs_txn_delete(store->txn, row_key_view(&key));
    rc = filed_encode(list, &value);
    return rc < 0 ? rc : emlfs_txn_put(store->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}

/* What is filed: a message of store no, with what its entry shows. */
struct filing {
    uint16_t no;
    uint32_t number;
    uint64_t size_bytes;
    int64_t archived_ns;
    int64_t time_ns; /* of the act */
    const struct block_entry *entry;
    bool fresh; /* the message is new: it has no M row yet */
};

/* The second entry of a user tells the first; those are told already when a third comes. */
static int mark_others(struct apply_store *store, const struct filing *filing,
                       const struct filed_list *list, struct emlfs_err *err)
{
    int rc = 0;

    if (filed_count_user(list, filing->entry->user) != 2)
        return 0;
    for (unsigned i = 0; i < list->n && rc == 0; i++) {
        if (list->v[i].user == filing->entry->user && list->v[i].folder != filing->entry->folder)
            rc = entries_mark(store->entries, list->v[i].folder, filing->number, true, err);
    }
    return rc;
}

static int file_rows(struct apply *apply, struct apply_store *store, const struct filing *filing,
                     const struct filed_list *list, struct emlfs_err *err)
{
    const struct block_entry *e = filing->entry;
    bool multi = filed_count_user(list, e->user) > 1;
    const struct chunk_entry entry = {
        .number = filing->number,
        .flags = e->flags | (multi ? CHUNK_MULTI : 0),
        .size_bytes = filing->size_bytes,
        .mtime_sec = e->mtime_sec,
        .archived_ns = filing->archived_ns,
        .stem = e->stem,
    };
    int rc = entries_insert(store->entries, e->folder, &entry, err);

    if (rc == 0 && multi)
        rc = mark_others(store, filing, list, err);
    if (rc == 0)
        rc = entries_count(store->entries, e->folder, 1, filing->time_ns, err);
    touch(apply, e->folder);
    return rc;
}

static int file_entry(struct apply *apply, const struct filing *filing, struct emlfs_err *err)
{
    const struct block_entry *e = filing->entry;
    struct filed filed = {
        .user = e->user, .folder = e->folder, .source = e->source, .run = apply->run};
    struct filed_list list = {0};
    struct apply_store *store;
    int rc = store_at(apply, filing->no, &store, err);

    if (rc == 0 && !filing->fresh)
        rc = apply_filed_get(apply, filing->no, filing->number, &list, err);
    if (rc == 0 && filed_find(&list, e->user, e->folder) >= 0) {
        filed_list_free(&list);
        return 0;
    }
    if (rc == 0)
        rc = filed_add(&list, &filed);
    if (rc == 0)
        rc = apply_filed_put(apply, filing->no, filing->number, &list);
    if (rc == 0)
        rc = file_rows(apply, store, filing, &list, err);
    if (rc == 0 && filed_count_user(&list, e->user) == 1)
        usage_change(apply->usage, e->user, true, filing->size_bytes);
    filed_list_free(&list);
    return rc;
}

/* The last entry of the user goes. */
static int usage_less(struct apply *apply, struct apply_store *store, const struct filing *filing,
                      uint32_t folder, struct emlfs_err *err)
{
    struct chunk_entry entry;
    int rc =
        apply->usage ? entries_get(store->entries, folder, filing->number, &entry, err) : -ENOENT;

    if (rc == 0)
        usage_change(apply->usage, filing->entry->user, false, entry.size_bytes);
    return rc == -ENOENT ? 0 : rc;
}

static int unfile_entry(struct apply *apply, const struct filing *filing, uint32_t folder,
                        struct emlfs_err *err)
{
    struct filed_list list = {0};
    struct apply_store *store;
    bool single;
    int at, rc = store_at(apply, filing->no, &store, err);

    if (rc == 0)
        rc = apply_filed_get(apply, filing->no, filing->number, &list, err);
    at = filed_find(&list, filing->entry->user, folder);
    if (rc < 0 || at < 0) {
        filed_list_free(&list);
        return rc;
    }
    list.v[at] = list.v[list.n - 1];
    list.n--;
    single = filed_count_user(&list, filing->entry->user) == 1;
    if (filed_count_user(&list, filing->entry->user) == 0)
        rc = usage_less(apply, store, filing, folder, err);
    if (rc == 0)
        rc = apply_filed_put(apply, filing->no, filing->number, &list);
    if (rc == 0)
        rc = entries_remove(store->entries, folder, filing->number, err);
    for (unsigned i = 0; single && i < list.n && rc == 0; i++) {
        if (list.v[i].user == filing->entry->user)
            rc = entries_mark(store->entries, list.v[i].folder, filing->number, false, err);
    }
    if (rc == 0)
        rc = entries_count(store->entries, folder, -1, filing->time_ns, err);
    touch(apply, folder);
    filed_list_free(&list);
    return rc;
}

static int hash_row_add(struct apply *apply, uint16_t no, const struct block_message *message,
                        uint32_t number)
{
    struct emlfs_txn *txn = apply_txn(apply, no);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CATALOG_VALUE_MAX_BYTES);
    struct emlfs_hash hash;
    struct row_key key;
    int rc = content_key(apply->state->stores[no - 1], message->sha256, &hash);

    if (rc < 0)
        return rc;
    key = key_bytes(ROW_HASH, emlfs_span_of(hash.v, HASH_ROW_BYTES));
    rc = emlfs_txn_get(txn, row_key_view(&key), 0, &value, NULL);
    if (rc == 0 || rc == -ENOENT)
        rc = emlfs_buf_append_varint(&value, number);
    return rc < 0 ? rc : emlfs_txn_put(txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}

static int message_rows(struct apply *apply, const struct applied *record,
                        const struct block_message *message, uint32_t number, struct emlfs_err *err)
{
    struct emlfs_span entries = message->entries;
    struct block_entry entry;
    struct filing filing = {
        .no = record->store_no,
        .number = number,
        .size_bytes = message->size_bytes,
        .archived_ns = message->archived_ns,
        .time_ns = message->archived_ns,
        .entry = &entry,
        .fresh = true,
    };
    int rc = hash_row_add(apply, record->store_no, message, number);

    while (rc == 0 && block_entry_next(&entries, &entry)) {
        rc = file_entry(apply, &filing, err);
        filing.fresh = false;
    }
    return rc;
}

static int change_row(struct apply_store *store, uint64_t seq, uint8_t kind, uint64_t a, uint64_t b)
{
    struct row_key key = key_u64(ROW_CHANGE, seq);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    int rc = emlfs_buf_append_u8(&value, kind);

    if (rc == 0)
        rc = emlfs_buf_append_varint(&value, a);
    if (rc == 0)
        rc = emlfs_buf_append_varint(&value, b);
    return rc < 0 ? rc : emlfs_txn_put(store->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}

static int block_rows(struct apply *apply, const struct applied *record, const struct block *block,
                      struct emlfs_err *err)
{
    const struct block_row row = {
        .first = block->first, .last = block->first + block->n - 1, .loc = record->loc};
    struct row_key key = key_u32(ROW_BLOCK, row.last);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct apply_store *store;
    int rc = store_at(apply, record->store_no, &store, err);

    if (rc == 0 && emlfs_txn_get(store->txn, row_key_view(&key), 0, &value, NULL) == 0)
        return 0;
    emlfs_buf_clear(&value);
    if (rc == 0)
        rc = block_row_encode(&row, &value);
    if (rc == 0)
        rc = emlfs_txn_put(store->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
    if (rc == 0)
        rc = change_row(store, block->seq, 1, block->first, block->n);
    for (unsigned i = 0; i < block->n && rc == 0; i++) {
        rc = message_rows(apply, record, &block->v[i], block->first + i, err);
        store->mark.bytes += block->v[i].size_bytes;
    }
    store->mark.messages += block->n;
    if (row.last >= store->mark.next_number)
        store->mark.next_number = row.last + 1;
    if (block->seq + block->n > store->mark.next_seq)
        store->mark.next_seq = block->seq + block->n;
    return rc;
}

static int apply_block(struct apply *apply, const struct applied *record, struct emlfs_err *err)
{
    struct block block;
    int rc = block_decode(record->plain, record->plain.len, &block);

    if (rc < 0)
        return rc;
    rc = block_rows(apply, record, &block, err);
    block_free(&block);
    return rc;
}

int apply_blob(struct apply *apply, uint16_t no, const uint8_t id[BLOB_ID_BYTES],
               const struct blob_row *row)
{
    struct row_key key = key_bytes(ROW_BLOB, emlfs_span_of(id, BLOB_ID_BYTES));
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct apply_store *store;
    int rc = store_at(apply, no, &store, NULL);

    if (rc < 0 || emlfs_txn_get(store->txn, row_key_view(&key), 0, &value, NULL) == 0)
        return rc;
    emlfs_buf_clear(&value);
    rc = blob_row_encode(row, &value);
    store->mark.blobs++;
    return rc < 0 ? rc : emlfs_txn_put(store->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}

static int apply_blob_record(struct apply *apply, const struct applied *record,
                             struct emlfs_err *err)
{
    const struct blob_row row = {.loc = record->loc, .plain_len = (uint32_t)record->plain.len};
    uint8_t id[BLOB_ID_BYTES];
    struct apply_store *store;
    int rc = store_at(apply, record->store_no, &store, err);

    if (rc == 0)
        rc = blob_id(apply->state->stores[record->store_no - 1], record->plain, id);
    return rc < 0 ? rc : apply_blob(apply, record->store_no, id, &row);
}

/*
 * A message of a store that is not there: its own catalogue has what was filed while it was, and
 * nothing is filed while it is not. The number is an earlier one's, or the event makes no sense.
 */
static bool event_is_elsewhere(const struct apply *apply, uint16_t no, const struct event *event)
{
    uint16_t own = emlfs_msg_id_store(event->id);

    return own > 0 && own < no && !apply->state->stores[own - 1];
}

static int apply_event(struct apply *apply, const struct events_head *head,
                       const struct event *event, struct emlfs_err *err)
{
    const struct filing filing = {
        .no = emlfs_msg_id_store(event->id),
        .number = emlfs_msg_id_number(event->id),
        .size_bytes = event->size_bytes,
        .archived_ns = event->archived_ns,
        .time_ns = head->time_ns,
        .entry = &event->entry,
    };
    int rc = 0;

    if (event->kind == EVENT_DELETED && head->version < EVENTS_VERSION_DELETED)
        return -EUCLEAN;
    if (event->kind == EVENT_FILED || event->kind == EVENT_MOVED)
        rc = file_entry(apply, &filing, err);
    if (rc == 0 && event->kind != EVENT_FILED)
        rc = unfile_entry(apply, &filing,
                          event->kind == EVENT_MOVED ? event->from : event->entry.folder, err);
    return rc;
}

/*
 * The change belongs to the message's own store. A message of an older store is filed by records of
 * the current one: their store number stands above the number of the change, which keeps the
 * numbers of one store ascending and applying again without effect.
 */
static int event_change(struct apply *apply, uint16_t no, uint64_t seq, const struct event *event,
                        struct emlfs_err *err)
{
    uint8_t kind = event->kind == EVENT_DELETED ? EVENT_UNFILED : event->kind;
    uint16_t own = emlfs_msg_id_store(event->id);
    struct apply_store *store;
    int rc = seq >> CHANGE_SEQ_BITS ? -EUCLEAN : store_at(apply, own, &store, err);

    if (rc == 0 && own != no)
        seq |= (uint64_t)no << CHANGE_SEQ_BITS;
    return rc < 0 ? rc
                  : change_row(store, seq, (uint8_t)(kind + 1), event->id.v, event->entry.folder);
}

static int apply_events(struct apply *apply, const struct applied *record, struct emlfs_err *err)
{
    struct events_head head;
    struct emlfs_span events;
    struct event event;
    struct apply_store *store;
    uint64_t seen = 0;
    bool bad = false;
    int rc = events_decode(record->plain, &head, &events);

    while (rc == 0 && event_next(&events, &event, &bad)) {
        bool elsewhere = event_is_elsewhere(apply, record->store_no, &event);
        if (!elsewhere)
            rc = apply_event(apply, &head, &event, err);
        if (rc == 0 && !elsewhere)
            rc = event_change(apply, record->store_no, head.seq + seen, &event, err);
        seen++;
    }
    if (rc == 0 && (bad || seen != head.n))
        rc = -EUCLEAN;
    if (rc == 0)
        rc = store_at(apply, record->store_no, &store, err);
    if (rc == 0 && head.seq + seen > store->mark.next_seq)
        store->mark.next_seq = head.seq + seen;
    return rc;
}

/* Key of the row that finds a folder by its name, whatever its case. */
static int name_key(struct apply *apply, uint32_t parent, const char *name, struct row_key *ret)
{
    struct emlfs_buf folded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4096);
    struct emlfs_hash hash;
    int rc = emlfs_name_fold(name, &folded);

    if (rc == 0)
        rc = emlfs_hmac(&apply->state->keys->names, emlfs_buf_view(&folded), &hash);
    if (rc == 0)
        *ret = key_u32_bytes(MASTER_NAME, parent, emlfs_span_of(hash.v, 16));
    return rc;
}

static int folder_time(struct apply *apply, uint32_t folder, int64_t time_ns)
{
    struct row_key key = key_u32(MASTER_FOLDER_TIME, folder);
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct folder_stat stat = {0};
    int rc = emlfs_txn_get(apply->master, row_key_view(&key), 0, &value, NULL);

    if (rc == 0)
        rc = folder_stat_decode(emlfs_buf_view(&value), &stat);
    if (rc == -ENOENT)
        rc = 0;
    if (rc < 0 || stat.mtime_ns >= time_ns)
        return rc;
    stat.mtime_ns = time_ns;
    emlfs_buf_clear(&value);
    rc = folder_stat_encode(&stat, &value);
    return rc < 0 ? rc
                  : emlfs_txn_put(apply->master, row_key_view(&key), 0, emlfs_buf_view(&value));
}

/* Rows derived from a folder row: child of its parent, found by name. */
static int folder_rows(struct apply *apply, uint32_t id, const struct folder_row *row)
{
    const uint8_t id_bytes[4] = {(uint8_t)(id >> 24), (uint8_t)(id >> 16), (uint8_t)(id >> 8),
                                 (uint8_t)id};
    struct row_key child = key_u32_u32(MASTER_CHILD, row->parent, id);
    struct row_key by_name;
    int rc = name_key(apply, row->parent, row->name, &by_name);

    if (rc == 0)
        rc = emlfs_txn_put(apply->master, row_key_view(&child), 0, (struct emlfs_span){0});
    if (rc == 0)
        rc = emlfs_txn_put(apply->master, row_key_view(&by_name), 0, emlfs_span_of(id_bytes, 4));
    return rc;
}

/* The name row goes if it is still this folder's: another may have taken the name since. */
static int folder_unname(struct apply *apply, uint32_t id, const struct folder_row *old)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16);
    struct row_key by_name;
    int rc = name_key(apply, old->parent, old->name, &by_name);

    if (rc == 0)
        rc = emlfs_txn_get(apply->master, row_key_view(&by_name), 0, &value, NULL);
    if (rc == -ENOENT || (rc == 0 && (value.len != 4 || be32(value.data) != id)))
        return 0;
    return rc < 0 ? rc : emlfs_txn_delete(apply->master, row_key_view(&by_name));
}

/* The folder leaves its place: what its old row had made goes. */
static int folder_leave(struct apply *apply, uint32_t id, int64_t time_ns)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(1024);
    struct row_key key = key_u32(EMLFS_MASTER_FOLDER, id), child;
    struct folder_row old;
    int rc = emlfs_txn_get(apply->master, row_key_view(&key), EMLFS_CATALOG_SEALED, &value, NULL);

    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = folder_row_decode(emlfs_buf_view(&value), &old);
    if (rc < 0 || old.flags & FOLDER_REMOVED)
        return rc;
    child = key_u32_u32(MASTER_CHILD, old.parent, id);
    rc = folder_unname(apply, id, &old);
    if (rc == 0)
        rc = emlfs_txn_delete(apply->master, row_key_view(&child));
    if (rc == 0)
        rc = folder_time(apply, old.parent, time_ns);
    touch(apply, old.parent);
    return rc;
}

/*
 * Whether moved folders form a tree is asked of the rows as they are in the end (folders_check): a
 * record applied again may for a while put a folder where a later record is about to take it from.
 */
static int folder_apply(struct apply *apply, uint32_t id, struct emlfs_span value, int64_t time_ns)
{
    struct folder_row row;
    int rc = folder_row_decode(value, &row);

    if (rc == 0 && !row.flags && row.parent >= id) /* parents are older: a tree */
        rc = -EUCLEAN;
    if (rc == 0)
        rc = folder_leave(apply, id, time_ns);
    if (rc == 0 && !(row.flags & FOLDER_REMOVED))
        rc = folder_rows(apply, id, &row);
    if (rc == 0)
        rc = folder_time(apply, row.parent, time_ns);
    touch(apply, row.parent);
    return rc;
}

/* A store that is detached remembers when, so that an older copy of it is told from it. */
static int store_apply(struct apply *apply, struct emlfs_span key, struct emlfs_span value)
{
    const uint8_t kind = ROW_DETACHED;
    struct emlfs_buf stamp EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16);
    uint16_t no = key.len == 2 ? (uint16_t)(key.data[0] << 8 | key.data[1]) : 0;
    struct apply_store *store;
    struct store_row row;
    int rc = no ? store_row_decode(value, &row) : -EUCLEAN;

    if (rc < 0 || row.state != EMLFS_STORE_DETACHED || no > apply->state->stores_n ||
        !apply->state->stores[no - 1])
        return rc;
    rc = store_at(apply, no, &store, NULL);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(&stamp, row.changed_ns);
    return rc < 0 ? rc
                  : emlfs_txn_put(store->txn, emlfs_span_of(&kind, 1), 0, emlfs_buf_view(&stamp));
}

static int master_row(struct apply *apply, uint8_t kind, struct emlfs_span key,
                      struct emlfs_span value, int64_t time_ns)
{
    struct row_key row = key_bytes(kind, key);
    int rc = 0;

    if (kind == EMLFS_MASTER_FOLDER)
        rc = key.len == 4 ? folder_apply(apply, be32(key.data), value, time_ns) : -EUCLEAN;
    else if (kind == EMLFS_MASTER_STORE)
        rc = store_apply(apply, key, value);
    if (rc < 0)
        return rc;
    if (value.len == 0)
        return emlfs_txn_delete(apply->master, row_key_view(&row));
    return emlfs_txn_put(apply->master, row_key_view(&row), EMLFS_CATALOG_SEALED, value);
}

static int apply_masters(struct apply *apply, const struct applied *record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record->plain);
    int64_t time_ns;
    int rc = 0;

    if (emlfs_cursor_u8(&cur) != MASTER_VERSION)
        return -EPROTONOSUPPORT;
    time_ns = emlfs_cursor_svarint(&cur);
    while (rc == 0 && !cur.bad && emlfs_cursor_left(&cur) > 0) {
        uint8_t kind = emlfs_cursor_u8(&cur);
        struct emlfs_span key = emlfs_cursor_bytes(&cur, 16);
        struct emlfs_span value = emlfs_cursor_bytes(&cur, EMLFS_CATALOG_VALUE_MAX_BYTES);
        if (!cur.bad)
            rc = master_row(apply, kind, key, value, time_ns);
    }
    return rc == 0 && cur.bad ? -EUCLEAN : rc;
}

static int apply_dict(struct apply *apply, const struct applied *record, struct emlfs_err *err)
{
    struct emlfs_hash hash;
    struct apply_store *store;
    struct row_key key;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    const struct blob_row row = {.loc = record->loc, .plain_len = (uint32_t)record->plain.len};
    uint32_t id;
    int rc = store_at(apply, record->store_no, &store, err);

    if (rc == 0)
        rc = emlfs_sha256(record->plain, &hash);
    if (rc == 0)
        rc = blob_row_encode(&row, &value);
    if (rc < 0)
        return rc;
    id = (uint32_t)hash.v[0] | (uint32_t)hash.v[1] << 8 | (uint32_t)hash.v[2] << 16 |
         (uint32_t)hash.v[3] << 24;
    id = id ? id : 1;
    key = key_u32(ROW_DICT, id);
    store->mark.dict_id = id;
    return emlfs_txn_put(store->txn, row_key_view(&key), 0, emlfs_buf_view(&value));
}

int apply_record(struct apply *apply, const struct applied *record, struct emlfs_err *err)
{
    int rc = -EUCLEAN;

    if (err)
        err->code = 0;
    if (record->type == EMLFS_RECORD_BLOCK)
        rc = apply_block(apply, record, err);
    else if (record->type == EMLFS_RECORD_BLOB)
        rc = apply_blob_record(apply, record, err);
    else if (record->type == EMLFS_RECORD_EVENTS)
        rc = apply_events(apply, record, err);
    else if (record->type == EMLFS_RECORD_MASTER)
        rc = apply_masters(apply, record);
    else if (record->type == EMLFS_RECORD_DICT)
        rc = apply_dict(apply, record, err);
    else if (record->type == EMLFS_RECORD_OPEN || record->type == EMLFS_RECORD_SEAL)
        rc = 0;
    if (rc < 0 && err && err->code == 0)
        emlfs_err_sys(err, -rc, MODULE, "store %u, pack %u, record %u at %llu", record->store_no,
                      record->loc.pack_no, record->loc.number,
                      (unsigned long long)record->loc.offset);
    return rc;
}

static int mark_store(struct apply_store *store, const struct emlfs_pack_end *end)
{
    const uint8_t kind = ROW_MARK;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(256);
    int rc;

    store->mark.end = *end;
    rc = mark_encode(&store->mark, &value);
    return rc < 0 ? rc
                  : emlfs_txn_put(store->txn, emlfs_span_of(&kind, 1), EMLFS_CATALOG_SEALED,
                                  emlfs_buf_view(&value));
}

int apply_commit(struct apply *apply, uint16_t no, const struct emlfs_pack_end *end,
                 struct emlfs_err *err)
{
    struct apply_store *store;
    int rc = store_at(apply, no, &store, err);

    for (unsigned i = 0; i < apply->stores_n && rc == 0; i++)
        rc = apply->stores[i].entries ? entries_flush(apply->stores[i].entries, err) : 0;
    if (rc == 0 && emlfs_txn_rows(apply->master) > 0)
        rc = emlfs_txn_commit(apply->master, true, err);
    for (unsigned i = 0; i < apply->stores_n && rc == 0; i++) {
        struct emlfs_txn *txn = apply->stores[i].txn;
        if (i + 1 != no && txn && emlfs_txn_rows(txn) > 0)
            rc = emlfs_txn_commit(txn, true, err);
    }
    if (rc == 0)
        rc = mark_store(store, end);
    return rc < 0 ? rc : emlfs_txn_commit(store->txn, true, err);
}
