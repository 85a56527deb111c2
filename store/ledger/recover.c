/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: finding, when a ledger is opened, where its records end, cutting a torn tail,
 * making the hashes that tiles lack.
 *
 * Invariants:
 * V1. Nothing is cut unless every acknowledged record that the mark names stands before the cut,
 *     no authentic frame stands behind it, and the ledger was not closed in order.
 * V2. A ledger is handed out only if the root of what tiles say is the one the last frame says, or
 *     where it was closed in order, the mark; and if the records that the mark names have its root.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

struct tail {
    uint64_t size;
    struct emlfs_hash root;
    uint64_t file_bytes;
    bool found; /* a frame was read */
};

/* Frames of the open segment from its beginning. */
static int segment_walk(struct emlfs_ledger *ledger, struct tail *tail)
{
    struct emlfs_buf body EMLFS_BUF_CLEANUP =
        EMLFS_BUF_INIT(FRAME_PLAIN_MAX_BYTES + EMLFS_GCM_TAG_BYTES);
    struct ledger_frame frame;
    struct ledger_body records;
    struct stat st;
    int r;
    ledger->offset = SEGMENT_HEADER_BYTES;
    tail->size = (uint64_t)(ledger->segment.number - 1) * SEGMENT_RECORDS;
    tail->found = false;
    if (fstat(ledger->segment.fd, &st) < 0)
        return -errno;
    tail->file_bytes = (uint64_t)st.st_size;
    for (;;) {
        uint64_t offset = ledger->offset;
        r = ledger_frame_read(&ledger->segment, &offset, &frame, &body);
        if (r == 0 && frame.first != tail->size)
            r = -EBADMSG;
        if (r < 0)
            break;
        r = ledger_body_open(&frame, emlfs_buf_view(&body), &records);
        if (r < 0)
            return r;
        tail->root = records.root;
        tail->size += frame.count;
        tail->found = true;
        ledger->offset = offset;
    }
    if (r == -EBADMSG)
        r = ledger_frame_search(&ledger->segment, ledger->offset, &body) == -ENOENT ? 0 : -EBADMSG;
    emlfs_buf_wipe(&body);
    return r == -ENODATA ? 0 : r;
}

/* A segment that was begun, and of which no frame is there. */
static int segment_drop(struct emlfs_ledger *ledger, uint32_t number)
{
    ledger_segment_close(&ledger->segment);
    return ledger->read_only ? 0 : ledger_segment_remove(ledger->dir, number);
}

/* Closed in order: the mark says where the records end, and no frame has to be read. */
static int tail_marked(struct emlfs_ledger *ledger, struct tail *tail)
{
    const struct ledger_mark *mark = &ledger->mark;
    struct stat st;
    uint32_t number;
    int r = ledger_segment_closed(ledger->dir, mark->size, &number);
    if (r == 0)
        r = ledger_segment_open(ledger->dir, &ledger->keys.records, number, !ledger->read_only,
                                &ledger->segment);
    if (r == 0 && fstat(ledger->segment.fd, &st) < 0)
        r = -errno;
    if (r < 0)
        return r == -ENOENT || r == -ENODATA ? -EBADMSG : r;
    ledger->offset = mark->segment_bytes;
    *tail = (struct tail){
        .size = mark->size, .root = mark->root, .file_bytes = (uint64_t)st.st_size, .found = true};
    return 0;
}

/* Leaves the last segment with a record open; size 0 and none: there is no record. */
static int tail_find(struct emlfs_ledger *ledger, struct tail *tail)
{
    struct ledger_tree empty = {0};
    uint32_t number;
    int r = ledger_segment_last(ledger->dir, &number);
    for (; r == 0 && number > 0; number--) {
        uint64_t first = (uint64_t)(number - 1) * SEGMENT_RECORDS;
        r = ledger_segment_open(ledger->dir, &ledger->keys.records, number, !ledger->read_only,
                                &ledger->segment);
        if (r == 0)
            r = segment_walk(ledger, tail);
        if (r == 0 && tail->found)
            return 0;
        if (r == -ENOENT || ((r == 0 || r == -ENODATA) && first < ledger->mark.size))
            return -EBADMSG;
        if (r == 0 || r == -ENODATA)
            r = segment_drop(ledger, number);
    }
    ledger->offset = 0;
    tail->size = 0;
    tail->file_bytes = 0;
    return r < 0 ? r : ledger_tree_root(&empty, &tail->root);
}

static int tail_cut(struct emlfs_ledger *ledger, const struct tail *tail)
{
    if (ledger->read_only || tail->file_bytes <= ledger->offset)
        return 0;
    if (ftruncate(ledger->segment.fd, (off_t)ledger->offset) < 0)
        return -errno;
    return emlfs_os_fsync(ledger->segment.fd);
}

/* The records that the mark names are those it was written for. */
static int mark_check(const struct emlfs_ledger *ledger)
{
    struct emlfs_hash root;
    if (ledger->tree.size != ledger->mark.size)
        return 0;
    int r = ledger_tree_root(&ledger->tree, &root);
    return r == 0 && memcmp(root.v, ledger->mark.root.v, EMLFS_HASH_BYTES) != 0 ? -EBADMSG : r;
}

/* Hashes of one frame's records. */
static int frame_replay(struct emlfs_ledger *ledger, struct ledger_body *body)
{
    struct ledger_hashes hashes;
    struct emlfs_ledger_record record;
    struct ledger_done done;
    struct emlfs_span bytes;
    struct emlfs_hash leaf;
    int r;
    ledger_hashes_init(&hashes);
    while ((r = ledger_body_next(body, &bytes, &record)) == 0) {
        if (record.sequence < ledger->tree.size)
            continue;
        r = emlfs_tree_leaf(bytes, &leaf);
        if (r == 0)
            r = ledger_tree_push(&ledger->tree, &leaf, &done);
        if (r == 0)
            r = mark_check(ledger);
        if (r == 0)
            r = ledger_hashes_add(&hashes, &done);
        if (r < 0)
            break;
    }
    r = r == -ENODATA ? 0 : r;
    if (r == 0 && !ledger->read_only)
        r = ledger_hashes_write(&hashes, &ledger->tiles);
    ledger_tiles_resize(&ledger->tiles, ledger->tree.size);
    ledger_hashes_free(&hashes);
    return r;
}

static int tiles_complete(struct emlfs_ledger *ledger, uint64_t size)
{
    struct ledger_source source = {ledger_tiles_read, &ledger->tiles};
    struct ledger_reader reader;
    struct ledger_body body;
    int r = ledger_tree_load(&source, ledger->mark.tiles, &ledger->tree);
    ledger_tiles_resize(&ledger->tiles, ledger->tree.size);
    if (r == 0)
        r = mark_check(ledger);
    if (r < 0 || ledger->tree.size >= size)
        return r;
    ledger_reader_init(&reader, ledger->dir, &ledger->keys.records, ledger->tree.size, size);
    while (r == 0) {
        r = ledger_reader_next(&reader, &body);
        if (r == 0)
            r = frame_replay(ledger, &body);
    }
    ledger_reader_free(&reader);
    return r == -ENODATA ? 0 : r;
}

static int tail_judge(const struct emlfs_ledger *ledger, const struct tail *tail,
                      struct emlfs_err *err)
{
    const struct ledger_mark *mark = &ledger->mark;
    bool closed = mark->segment_bytes || mark->generation < 2;
    if (tail->size < mark->size)
        return emlfs_err_set(err, EBADMSG, MODULE,
                             "the ledger is damaged: %llu records, %llu were acknowledged",
                             (unsigned long long)tail->size, (unsigned long long)mark->size);
    if (closed && (tail->size != mark->size || tail->file_bytes != mark->segment_bytes))
        return emlfs_err_set(err, EBADMSG, MODULE,
                             "the ledger was closed in order and ends otherwise now");
    return 0;
}

int ledger_publish(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    ledger->next = ledger->tree.size;
    if (ledger->read_only)
        return 0;
    ledger->mark.segment_bytes = 0;
    int r = ledger_tiles_cut(&ledger->tiles);
    for (unsigned slot = 0; slot < 2 && r == 0; slot++)
        r = ledger_mark_now(ledger, true);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger cannot be recovered") : 0;
}

int ledger_recover(struct emlfs_ledger *ledger, struct emlfs_ledger_opened *ret_opened,
                   struct emlfs_err *err)
{
    struct tail tail = {0};
    struct emlfs_hash root;
    int r = ledger->mark.segment_bytes ? tail_marked(ledger, &tail) : tail_find(ledger, &tail);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "records of the ledger are damaged");
    ret_opened->in_order = ledger->mark.segment_bytes || ledger->mark.generation < 2;
    r = tail_judge(ledger, &tail, err);
    if (r < 0)
        return r;
    ret_opened->records = tail.size;
    ret_opened->cut_bytes = tail.file_bytes > ledger->offset ? tail.file_bytes - ledger->offset : 0;
    r = tiles_complete(ledger, tail.size);
    if (r == 0)
        r = ledger_tree_root(&ledger->tree, &root);
    if (r == 0 && memcmp(root.v, tail.root.v, EMLFS_HASH_BYTES) != 0)
        r = -EBADMSG;
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE,
                             "tiles or mark of the ledger do not match its records");
    r = tail_cut(ledger, &tail);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger cannot be recovered") : 0;
}
