/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: making one batch durable.
 *
 * Invariants:
 * C1. Order: hashes into tiles (not synced), frames, fdatasync of the segment, mark (not synced).
 *     A batch is acknowledged only behind the fdatasync.
 * C2. A segment is durable before a frame is written to the next one.
 * C3. Before the first sync a failure for lack of space or memory is undone: files end where they
 *     ended before. After any other failure nothing is written any more.
 */
#include <unistd.h>

#include "commit.h"

struct commit {
    struct emlfs_ledger *ledger;
    const struct ledger_batch *batch;
    struct ledger_tree tree;
    struct ledger_hashes hashes;
    struct ledger_segment fresh; /* fd -1: the segment in use takes all */
    struct emlfs_buf out;        /* frames of the segment in use */
    struct emlfs_buf fresh_out;
    bool sync_failed;
};

#define OUT_MAX_BYTES (2u * EMLFS_LEDGER_APPEND_MAX_BYTES)

static size_t record_end(const struct ledger_batch *batch, uint32_t index)
{
    size_t end;
    memcpy(&end, batch->ends.data + index * sizeof(size_t), sizeof(end));
    return end;
}

/* How many records from at on make the next frame. */
static uint32_t frame_fill(const struct ledger_batch *batch, uint32_t at)
{
    size_t start = at ? record_end(batch, at - 1) : 0;
    uint64_t room = SEGMENT_RECORDS - (batch->first + at) % SEGMENT_RECORDS;
    uint32_t most = batch->count - at;
    uint32_t n = 1;
    if (most > room)
        most = (uint32_t)room;
    if (most > FRAME_RECORDS_MAX)
        most = FRAME_RECORDS_MAX;
    while (n < most &&
           record_end(batch, at + n) - start <= FRAME_PLAIN_MAX_BYTES - EMLFS_HASH_BYTES)
        n++;
    return n;
}

static int leaves_push(struct commit *c, uint32_t at, uint32_t n)
{
    const struct emlfs_hash *leaves = (const struct emlfs_hash *)c->batch->leaves.data;
    struct ledger_done done;
    int r = 0;
    for (uint32_t i = at; i < at + n && r == 0; i++) {
        r = ledger_tree_push(&c->tree, &leaves[i], &done);
        if (r == 0)
            r = ledger_hashes_add(&c->hashes, &done);
    }
    return r;
}

/* The segment of record first; a new one is made when the one in use is full. */
static int segment_choose(struct commit *c, uint64_t first, struct ledger_segment **ret_segment)
{
    struct emlfs_ledger *ledger = c->ledger;
    uint32_t number = ledger_segment_of(first);
    *ret_segment = &ledger->segment;
    if (ledger->segment.fd >= 0 && ledger->segment.number == number)
        return 0;
    *ret_segment = &c->fresh;
    return c->fresh.fd >= 0
               ? 0
               : ledger_segment_create(ledger->dir, &ledger->keys.records, number, &c->fresh);
}

static int frame_make(struct commit *c, uint32_t at, uint32_t n, struct emlfs_buf *plain)
{
    const struct ledger_batch *batch = c->batch;
    struct ledger_frame frame = {.first = batch->first + at, .count = n};
    size_t start = at ? record_end(batch, at - 1) : 0;
    struct ledger_segment *segment;
    struct emlfs_hash root;
    emlfs_buf_clear(plain);
    int r = segment_choose(c, frame.first, &segment);
    if (r == 0)
        r = leaves_push(c, at, n);
    if (r == 0)
        r = ledger_tree_root(&c->tree, &root);
    if (r == 0)
        r = emlfs_buf_append(plain, root.v, EMLFS_HASH_BYTES);
    if (r == 0)
        r = emlfs_buf_append(plain, batch->plain.data + start,
                             record_end(batch, at + n - 1) - start);
    if (r == 0)
        r = ledger_frame_seal(segment, &frame, emlfs_buf_view(plain),
                              segment == &c->fresh ? &c->fresh_out : &c->out);
    return r;
}

static int frames_make(struct commit *c)
{
    struct emlfs_buf plain = EMLFS_BUF_INIT(FRAME_PLAIN_MAX_BYTES);
    int r = 0;
    for (uint32_t at = 0, n; at < c->batch->count && r == 0; at += n) {
        n = frame_fill(c->batch, at);
        r = frame_make(c, at, n, &plain);
    }
    emlfs_buf_wipe(&plain);
    return r;
}

static int segment_write(struct commit *c, struct ledger_segment *segment, uint64_t offset,
                         const struct emlfs_buf *out)
{
    if (out->len == 0)
        return 0;
    int r = emlfs_os_pwrite_all(segment->fd, out->data, out->len, offset);
    if (r < 0)
        return r;
    r = emlfs_os_fdatasync(segment->fd);
    c->sync_failed = r < 0;
    return r;
}

static int records_sync(struct commit *c)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = ledger_path(c->ledger->dir, "records", path);
    if (r == 0)
        r = emlfs_os_sync_dir(path);
    c->sync_failed = r < 0;
    return r;
}

static int frames_write(struct commit *c)
{
    int r = ledger_hashes_write(&c->hashes, &c->ledger->tiles);
    if (r == 0)
        r = segment_write(c, &c->ledger->segment, c->ledger->offset, &c->out);
    if (r == 0)
        r = segment_write(c, &c->fresh, SEGMENT_HEADER_BYTES, &c->fresh_out);
    return r == 0 && c->fresh.fd >= 0 ? records_sync(c) : r;
}

/* Invariant C3. False: it cannot be undone. */
static bool commit_undo(struct commit *c, int failure)
{
    struct emlfs_ledger *ledger = c->ledger;
    bool fine = !c->sync_failed && (failure == -ENOSPC || failure == -EDQUOT ||
                                    failure == -ENOMEM || failure == -EMFILE || failure == -ENFILE);
    if (fine && c->fresh.fd >= 0)
        fine = ledger_segment_remove(ledger->dir, c->fresh.number) == 0;
    if (fine && c->out.len)
        fine = ftruncate(ledger->segment.fd, (off_t)ledger->offset) == 0;
    return fine && ledger_tiles_cut(&ledger->tiles) == 0;
}

/* The batch is durable: it becomes part of the ledger. */
static void commit_publish(struct commit *c, bool *ret_poison)
{
    struct emlfs_ledger *ledger = c->ledger;
    bool turned = c->fresh.fd >= 0;
    ledger->offset += c->out.len;
    if (turned) {
        ledger_segment_close(&ledger->segment);
        ledger->segment = c->fresh;
        ledger->offset = SEGMENT_HEADER_BYTES + c->fresh_out.len;
    }
    ledger_tiles_resize(&ledger->tiles, c->tree.size);
    pthread_mutex_lock(&ledger->lock);
    ledger->tree = c->tree;
    pthread_mutex_unlock(&ledger->lock);
    *ret_poison = ledger_mark_now(ledger, turned) < 0;
}

int ledger_commit(struct emlfs_ledger *ledger, const struct ledger_batch *batch, bool *ret_poison)
{
    struct commit c = {
        .ledger = ledger,
        .batch = batch,
        .tree = ledger->tree, /* only the owner of busy changes it */
        .fresh = LEDGER_SEGMENT_INIT,
        .out = EMLFS_BUF_INIT(OUT_MAX_BYTES),
        .fresh_out = EMLFS_BUF_INIT(OUT_MAX_BYTES),
    };
    ledger_hashes_init(&c.hashes);
    int r = frames_make(&c);
    if (r == 0)
        r = frames_write(&c);
    if (r == 0) {
        commit_publish(&c, ret_poison);
    } else {
        *ret_poison = !commit_undo(&c, r);
        ledger_segment_close(&c.fresh);
    }
    ledger_hashes_free(&c.hashes);
    emlfs_buf_free(&c.out);
    emlfs_buf_free(&c.fresh_out);
    return r;
}
