/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A commit appends to packs, then to the ledger, then to the catalogue. What a crash left between
 * the first two is found here: pack records are walked in order beside what the ledger says, and
 * those behind the last one that the ledger knows get their records.
 *
 * I-HEAL-1  what the ledger has of a commit is a beginning of it (I-TOLD-1), so whatever stands in
 *           packs before a known one is known, and nothing is recorded a second time
 * I-HEAL-2  records are durable before a mark moves behind what they are about
 */
#include "heal.h"

#include <stdlib.h>

#include "book.h"
#include "emlfs/base/cursor.h"
#include "told.h"

#define MODULE "archive"
#define TAIL_RECORDS 131072u /* of the ledger: more than one commit and what comes beside it */
#define FOLDER_FRESH_NS 1000000000
#define KNOWN_SLOTS 65536u  /* a power of two */
#define MISSING_MAX 262144u /* more than one commit tells */

struct known {
    uint64_t v[KNOWN_SLOTS]; /* 0: free */
    unsigned n;
};

struct heal {
    struct emlfs_ledger *ledger;
    bool whole, loaded;
    struct book_begin begin;
    struct emlfs_msg_id archived; /* the last one with a record */
    struct known *known, *before; /* of entries and rows: the latest half full tables */
    struct told missing;
};

int heal_new(struct emlfs_ledger *ledger, bool whole, struct heal **ret)
{
    struct heal *heal = calloc(1, sizeof(*heal));

    if (heal) {
        heal->known = calloc(1, sizeof(*heal->known));
        heal->before = calloc(1, sizeof(*heal->before));
        heal->ledger = ledger;
        heal->whole = whole;
        heal->missing = TOLD_INIT;
    }
    if (!heal || !heal->known || !heal->before) {
        heal_free(heal);
        return -ENOMEM;
    }
    *ret = heal;
    return 0;
}

void heal_free(struct heal *heal)
{
    if (!heal)
        return;
    free(heal->known);
    free(heal->before);
    told_free(&heal->missing);
    free(heal);
}

/* ---- what the ledger knows */

enum deed {
    DEED_FILED = 1,
    DEED_UNFILED = 2,
    DEED_ROW = 3,
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* One act: of a message and a folder, or on a master row (kind and key); never 0. */
static uint64_t deed_hash(enum deed deed, int64_t time_ns, uint64_t what, struct emlfs_span key)
{
    uint64_t hash = mix(mix(mix(deed, (uint64_t)time_ns), what), key.len);

    for (size_t i = 0; i < key.len; i++)
        hash = mix(hash, key.data[i]);
    return hash ? hash : 1;
}

static uint64_t entry_hash(enum deed deed, int64_t time_ns, struct emlfs_msg_id id, uint32_t folder)
{
    return deed_hash(deed, time_ns, mix(id.v, folder), (struct emlfs_span){0});
}

static bool known_find(const struct known *known, uint64_t hash, unsigned *ret_slot)
{
    unsigned slot = (unsigned)(hash % KNOWN_SLOTS);

    while (known->v[slot] && known->v[slot] != hash)
        slot = (slot + 1) % KNOWN_SLOTS;
    *ret_slot = slot;
    return known->v[slot] != 0;
}

static void known_add(struct heal *heal, uint64_t hash)
{
    unsigned slot;

    if (known_find(heal->known, hash, &slot))
        return;
    if (heal->known->n == KNOWN_SLOTS / 2) {
        struct known *older = heal->before;
        heal->before = heal->known;
        heal->known = older;
        memset(older, 0, sizeof(*older));
        (void)known_find(heal->known, hash, &slot);
    }
    heal->known->v[slot] = hash;
    heal->known->n++;
}

static bool is_known(const struct heal *heal, uint64_t hash)
{
    unsigned slot;

    return known_find(heal->known, hash, &slot) || known_find(heal->before, hash, &slot);
}

static void row_know(struct heal *heal, const struct emlfs_ledger_record *record)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record->data);
    uint8_t kind = emlfs_cursor_u8(&cur);
    struct emlfs_span key = emlfs_cursor_bytes(&cur, 16);

    if (!cur.bad)
        known_add(heal, deed_hash(DEED_ROW, record->time_ns, kind, key));
}

static int each_told(void *arg, const struct emlfs_ledger_record *record)
{
    struct heal *heal = arg;

    if (record->kind == EMLFS_LEDGER_ARCHIVE_MADE)
        return book_begin_decode(record, &heal->begin);
    if (record->outcome != 0)
        return 0;
    if (record->kind == EMLFS_LEDGER_MESSAGE_ARCHIVED) {
        if (record->message.v > heal->archived.v)
            heal->archived = record->message;
    } else if (record->kind == EMLFS_LEDGER_MESSAGE_FILED) {
        known_add(heal, entry_hash(DEED_FILED, record->time_ns, record->message, record->folder.v));
    } else if (record->kind == EMLFS_LEDGER_MESSAGE_MOVED ||
               record->kind == EMLFS_LEDGER_MESSAGE_DELETED) {
        known_add(heal,
                  entry_hash(DEED_UNFILED, record->time_ns, record->message, record->folder.v));
    } else if (record->data.len > 0) {
        row_know(heal, record);
    }
    return 0;
}

static int ledger_load(struct heal *heal, struct emlfs_err *err)
{
    uint64_t size = emlfs_ledger_size(heal->ledger);
    struct emlfs_ledger_filter filter = {0};

    if (!heal->whole && size > TAIL_RECORDS)
        filter.first = size - TAIL_RECORDS;
    heal->loaded = true;
    return size ? emlfs_ledger_each(heal->ledger, &filter, each_told, heal, err) : 0;
}

/* ---- what packs hold */

static void missing_forget(struct heal *heal)
{
    heal->missing.n = 0;
    emlfs_buf_clear(&heal->missing.texts);
}

/* known: then everything before it is, too. */
static int need(struct heal *heal, bool known, const struct emlfs_actor *actor,
                const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    struct emlfs_ledger_record healed = told_by(actor, record);

    /* Longer than any commit: only its end can be missing. */
    if (known || heal->missing.n == MISSING_MAX)
        missing_forget(heal);
    if (known)
        return 0;
    healed.detail = emlfs_span_str("completed after a crash");
    return told_add(&heal->missing, &healed, err);
}

static int message_need(struct heal *heal, uint16_t store_no, const struct block *block, unsigned i,
                        struct emlfs_err *err)
{
    const struct block_message *message = &block->v[i];
    struct emlfs_span entries = message->entries;
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_MESSAGE_ARCHIVED,
                                         .time_ns = message->archived_ns,
                                         .message = emlfs_msg_id_make(store_no, block->first + i),
                                         .has_digest = true};
    bool known = record.message.v <= heal->archived.v;
    struct block_entry entry;
    int rc = 0;

    memcpy(record.digest.v, message->sha256, EMLFS_HASH_BYTES);
    while (rc == 0 && block_entry_next(&entries, &entry)) {
        record.owner.v = entry.user;
        record.folder.v = entry.folder;
        if (record.kind == EMLFS_LEDGER_MESSAGE_FILED)
            known = is_known(heal,
                             entry_hash(DEED_FILED, record.time_ns, record.message, entry.folder));
        rc = need(heal, known, NULL, &record, err);
        record.kind = EMLFS_LEDGER_MESSAGE_FILED;
        record.has_digest = false;
        memset(&record.digest, 0, sizeof(record.digest));
    }
    return rc;
}

static int block_need(struct heal *heal, const struct applied *applied, struct emlfs_err *err)
{
    struct block block;
    int rc = block_decode(applied->plain, applied->plain.len, &block);

    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < block.n && rc == 0; i++)
        rc = message_need(heal, applied->store_no, &block, i, err);
    block_free(&block);
    return rc;
}

/* Out of a folder: moved when the message is filed elsewhere in that user archive, else deleted. */
static int unfiled_fill(struct apply *apply, const struct event *event,
                        struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    struct filed_list list = {0};
    int rc = apply_filed_get(apply, emlfs_msg_id_store(event->id), emlfs_msg_id_number(event->id),
                             &list, err);

    record->kind = EMLFS_LEDGER_MESSAGE_DELETED;
    for (unsigned i = 0; i < list.n && rc == 0; i++) {
        if (list.v[i].user == event->entry.user && record->folder_to.v == 0) {
            record->kind = EMLFS_LEDGER_MESSAGE_MOVED;
            record->folder_to.v = list.v[i].folder;
        }
    }
    filed_list_free(&list);
    return rc;
}

static int event_need(struct heal *heal, struct apply *apply, const struct event *event,
                      int64_t time_ns, struct emlfs_err *err)
{
    const struct emlfs_actor actor = {.user = {event->by_user}, .uid = event->by_uid};
    const bool deleted = event->kind == EVENT_DELETED;
    struct emlfs_ledger_record record = {.kind = deleted ? EMLFS_LEDGER_MESSAGE_DELETED
                                                         : EMLFS_LEDGER_MESSAGE_FILED,
                                         .time_ns = time_ns,
                                         .owner = {event->entry.user},
                                         .message = event->id,
                                         .folder = {event->entry.folder},
                                         .object = deleted ? event->policy : 0};
    enum deed deed = event->kind == EVENT_FILED ? DEED_FILED : DEED_UNFILED;
    int rc = 0;

    if (event->kind == EVENT_UNFILED)
        rc = unfiled_fill(apply, event, &record, err);
    if (event->kind == EVENT_MOVED) {
        record.kind = EMLFS_LEDGER_MESSAGE_MOVED;
        record.folder.v = event->from;
        record.folder_to.v = event->entry.folder;
    }
    return rc < 0
               ? rc
               : need(heal, is_known(heal, entry_hash(deed, time_ns, event->id, record.folder.v)),
                      deleted ? &actor : NULL, &record, err);
}

/* A move is two events, for its followers' sake, and one record. */
static bool is_end_of_move(const struct event *event, const struct event *before)
{
    return event->kind == EVENT_UNFILED && before->kind == EVENT_MOVED &&
           before->id.v == event->id.v && before->from == event->entry.folder;
}

static int events_need(struct heal *heal, struct apply *apply, const struct applied *applied,
                       struct emlfs_err *err)
{
    struct events_head head;
    struct emlfs_span events;
    struct event event, before = {0};
    bool bad = false;
    int rc = events_decode(applied->plain, &head, &events);

    while (rc == 0 && event_next(&events, &event, &bad)) {
        if (!is_end_of_move(&event, &before))
            rc = event_need(heal, apply, &event, head.time_ns, err);
        before = event;
    }
    return rc;
}

static unsigned row_kind(uint8_t kind, struct emlfs_span value)
{
    switch (kind) {
    case EMLFS_MASTER_USER:
        return value.len ? EMLFS_LEDGER_USER_CHANGED : EMLFS_LEDGER_USER_DELETED;
    case EMLFS_MASTER_RIGHTS:
    case EMLFS_MASTER_GRANT:
        return EMLFS_LEDGER_RIGHT_CHANGED;
    case EMLFS_MASTER_POLICY:
        return value.len ? EMLFS_LEDGER_POLICY_CHANGED : EMLFS_LEDGER_POLICY_DELETED;
    case EMLFS_MASTER_HOLD:
    case EMLFS_MASTER_HOLD_MESSAGE:
        return EMLFS_LEDGER_HOLD_CHANGED;
    case EMLFS_MASTER_RULE:
        return EMLFS_LEDGER_MODE_CHANGED;
    case EMLFS_MASTER_STORE:
        return EMLFS_LEDGER_STORE_STATE;
    default:
        return EMLFS_LEDGER_SETTING_CHANGED;
    }
}

/* A folder: made when its row was written as soon as it was there. */
static int folder_fill(struct emlfs_span key, struct emlfs_span value, struct folder_row *row,
                       struct emlfs_ledger_record *record)
{
    int rc;

    record->folder.v = key.len == 4 ? be32(key.data) : 0;
    record->kind = EMLFS_LEDGER_FOLDER_DELETED;
    if (value.len == 0)
        return 0;
    rc = folder_row_decode(value, row);
    if (rc < 0)
        return rc;
    if (!(row->flags & FOLDER_REMOVED))
        record->kind = record->time_ns - row->created_ns < FOLDER_FRESH_NS
                           ? EMLFS_LEDGER_FOLDER_MADE
                           : EMLFS_LEDGER_FOLDER_RENAMED;
    record->owner.v = row->user;
    record->folder_to.v = row->parent;
    record->name = emlfs_span_str(row->name);
    return 0;
}

static int row_need(struct heal *heal, const struct applied *applied, struct emlfs_err *err)
{
    struct emlfs_buf data EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_DATA_MAX_BYTES);
    struct emlfs_cursor cur = emlfs_cursor_of(applied->plain);
    struct emlfs_ledger_record record = {0};
    struct folder_row folder;
    struct emlfs_span rest, key, value;
    uint8_t kind;
    bool known;
    int rc;

    (void)emlfs_cursor_u8(&cur); /* the version, which apply has seen */
    record.time_ns = emlfs_cursor_svarint(&cur);
    rest = emlfs_span_of(cur.pos, emlfs_cursor_left(&cur));
    kind = emlfs_cursor_u8(&cur);
    key = emlfs_cursor_bytes(&cur, 16);
    value = emlfs_cursor_bytes(&cur, EMLFS_CATALOG_VALUE_MAX_BYTES);
    if (cur.bad || kind == EMLFS_MASTER_SOURCE || kind == EMLFS_MASTER_CLOCK)
        return 0;
    rc = told_row(rest, &data, &record.has_digest, &record.digest);
    record.data = emlfs_buf_view(&data);
    record.kind = (uint16_t)row_kind(kind, value);
    if (rc == 0 && kind == EMLFS_MASTER_FOLDER)
        rc = folder_fill(key, value, &folder, &record);
    known = is_known(heal, deed_hash(DEED_ROW, record.time_ns, kind, key));
    /* Its first one has no record, and nothing says which that is. */
    if (rc == 0 && kind == EMLFS_MASTER_JOB && !known)
        return 0;
    return rc < 0 ? rc : need(heal, known, NULL, &record, err);
}

static bool is_older(const struct heal *heal, const struct applied *record)
{
    const struct book_begin *begin = &heal->begin;

    if (record->store_no != begin->store_no)
        return record->store_no < begin->store_no;
    if (record->loc.pack_no != begin->loc.pack_no)
        return record->loc.pack_no < begin->loc.pack_no;
    return record->loc.offset < begin->loc.offset;
}

int heal_record(struct heal *heal, struct apply *apply, const struct applied *record,
                struct emlfs_err *err)
{
    int rc;

    if (!heal)
        return 0;
    rc = heal->loaded ? 0 : ledger_load(heal, err);
    if (rc < 0 || is_older(heal, record))
        return rc;
    if (record->type == EMLFS_RECORD_BLOCK)
        rc = block_need(heal, record, err);
    else if (record->type == EMLFS_RECORD_EVENTS)
        rc = events_need(heal, apply, record, err);
    else if (record->type == EMLFS_RECORD_MASTER)
        rc = row_need(heal, record, err);
    return rc;
}

/* ---- digests of what was deleted */

struct lacking {
    struct emlfs_ledger_record **v; /* by message */
    size_t n, left;
};

static int by_message(const void *a, const void *b)
{
    const struct emlfs_ledger_record *const *first = a, *const *second = b;
    uint64_t one = (*first)->message.v, two = (*second)->message.v;

    return (one > two) - (one < two);
}

static bool lacks_digest(const struct emlfs_ledger_record *record)
{
    return record->kind == EMLFS_LEDGER_MESSAGE_DELETED && !record->has_digest;
}

/* A message is deleted out of several folders, each with its record. 1: nothing is left. */
static int digest_fill(void *arg, const struct emlfs_ledger_record *archived)
{
    struct lacking *lacking = arg;
    size_t low = 0, high = lacking->n;

    if (archived->kind != EMLFS_LEDGER_MESSAGE_ARCHIVED || !archived->has_digest)
        return 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (lacking->v[mid]->message.v < archived->message.v)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < lacking->n && lacking->v[low]->message.v == archived->message.v; low++) {
        struct emlfs_ledger_record *record = lacking->v[low];

        lacking->left -= !record->has_digest;
        record->has_digest = true;
        record->digest = archived->digest;
    }
    return lacking->left == 0;
}

/*
 * The catalogue says nothing of what is gone, so the ledger is asked, all of it at once; what is
 * older than the ledger stays without.
 */
static int digests_fill(struct heal *heal, struct emlfs_err *err)
{
    const struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_MESSAGE_ARCHIVED};
    struct told *missing = &heal->missing;
    struct lacking lacking = {0};
    int rc = 0;

    for (size_t i = 0; i < missing->n; i++)
        lacking.left += lacks_digest(&missing->v[i]);
    if (lacking.left == 0)
        return 0;
    lacking.v = calloc(lacking.left, sizeof(*lacking.v));
    if (!lacking.v)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    for (size_t i = 0; i < missing->n; i++) {
        if (lacks_digest(&missing->v[i]))
            lacking.v[lacking.n++] = &missing->v[i];
    }
    qsort(lacking.v, lacking.n, sizeof(struct emlfs_ledger_record *), by_message);
    for (size_t i = 0; i < missing->n && rc == 0; i++)
        rc = digest_fill(&lacking, &missing->v[i]);
    if (rc == 0 && emlfs_ledger_size(heal->ledger))
        rc = emlfs_ledger_each(heal->ledger, &filter, digest_fill, &lacking, err);
    free(lacking.v);
    return rc < 0 ? rc : 0;
}

int heal_write(struct heal *heal, uint64_t *count, struct emlfs_err *err)
{
    if (!heal || heal->missing.n == 0)
        return 0;

    int rc = digests_fill(heal, err);

    if (rc < 0)
        return rc;
    *count += heal->missing.n;
    return told_write(&heal->missing, heal->ledger, err);
}

int heal_end(struct heal *heal, uint64_t *count, struct emlfs_err *err)
{
    const struct emlfs_ledger_record recovered = {
        .kind = EMLFS_LEDGER_RECOVERED,
        .detail = emlfs_span_str("the catalogue was made anew from packs")};
    struct emlfs_ledger_record record = told_by(NULL, &recovered);
    int rc;

    if (!heal)
        return 0;
    rc = heal_write(heal, count, err);
    return rc < 0 ? rc : emlfs_ledger_append(heal->ledger, &record, 1, NULL, err);
}
