/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: reading every byte of a ledger and saying what is not as it was written.
 *
 * The records are read in order and hashed anew; every hash of every tile, the root in every frame,
 * in every checkpoint and in the mark is compared with what comes out. Where records are damaged,
 * the hashes of tiles stand in for them, so that what follows is still checked.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "emlfs/base/timestamp.h"
#include "stamp.h"

/* Hashes of one level, a tile at a time. */
struct row {
    struct emlfs_hash v[TREE_TILE];
    uint64_t first;
    unsigned count;
};

struct verify {
    const struct emlfs_ledger_config *config;
    struct emlfs_ledger_findings *findings;
    const struct emlfs_progress *progress;
    struct ledger_keys keys;
    struct ledger_mark mark;
    bool mark_good;
    struct ledger_tiles tiles;
    bool tile_bad[TREE_LEVELS]; /* one finding a tile */
    uint64_t tile_last[TREE_LEVELS];
    struct row rows[TREE_LEVELS];
    struct ledger_tree tree;
    int notes_fd;
    uint64_t notes_offset;
    struct emlfs_checkpoint note; /* waits for the tree to reach its size; number 0: none */
    struct emlfs_checkpoint last;
    struct emlfs_hash last_hash;
    struct emlfs_buf body;
    struct emlfs_buf text;
    uint64_t good_end; /* offset behind the last frame of the last segment */
};

static void found(struct verify *v, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void found(struct verify *v, const char *where, const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    v->findings->count++;
    if (v->findings->finding)
        v->findings->finding(v->findings->arg, where, text);
}

static bool hash_same(const struct emlfs_hash *a, const struct emlfs_hash *b)
{
    return memcmp(a->v, b->v, EMLFS_HASH_BYTES) == 0;
}

/* Hash index of level. -EBADMSG: it is not there. */
static int tile_hash(struct verify *v, unsigned level, uint64_t index, struct emlfs_hash *ret_hash)
{
    struct row *row = &v->rows[level];
    if (row->count == 0 || index < row->first || index >= row->first + row->count) {
        row->first = index / TREE_TILE * TREE_TILE;
        ssize_t n = emlfs_os_pread_full(v->tiles.fd[level], row->v, sizeof(row->v),
                                        row->first * EMLFS_HASH_BYTES);
        if (n < 0)
            return (int)n;
        row->count = (unsigned)((size_t)n / EMLFS_HASH_BYTES);
    }
    if (index >= row->first + row->count)
        return -EBADMSG;
    *ret_hash = row->v[index - row->first];
    return 0;
}

static int tile_compare(struct verify *v, unsigned level, uint64_t index,
                        const struct emlfs_hash *hash)
{
    char where[32];
    struct emlfs_hash stored;
    int r = v->tiles.fd[level] < 0 ? -EBADMSG : tile_hash(v, level, index, &stored);
    if (r < 0 && r != -EBADMSG)
        return r;
    bool known = v->tile_bad[level] && v->tile_last[level] == index / TREE_TILE;
    if ((r == 0 && hash_same(&stored, hash)) || known)
        return 0;
    v->tile_bad[level] = true;
    v->tile_last[level] = index / TREE_TILE;
    snprintf(where, sizeof(where), "tiles/%u", level);
    found(v, where, "tile %" PRIu64 " does not match the records, or is missing",
          index / TREE_TILE);
    return 0;
}

/* Signature, chain and name of the next checkpoint, which then waits for its root. */
static int note_load(struct verify *v)
{
    uint64_t start = v->notes_offset;
    int r = v->notes_fd < 0 ? -ENODATA
                            : ledger_notes_next(v->notes_fd, &v->notes_offset, &v->note, &v->text);
    if (r == -EBADMSG)
        found(v, "checkpoints", "what stands at byte %" PRIu64 " is no checkpoint", start);
    if (r < 0) {
        v->note.number = 0;
        return r == -ENODATA || r == -EBADMSG ? 0 : r;
    }
    if (!ledger_notes_follow(&v->last, &v->last_hash, &v->note) ||
        strcmp(v->note.origin, v->config->origin) != 0)
        found(v, "checkpoints", "checkpoint %" PRIu64 " does not follow the one before it",
              v->note.number);
    if (v->keys.checkpoint && emlfs_checkpoint_check(&v->note, v->keys.checkpoint) < 0)
        found(v, "checkpoints", "the signature of checkpoint %" PRIu64 " is wrong", v->note.number);
    v->last = v->note;
    return emlfs_sha256(emlfs_buf_view(&v->text), &v->last_hash);
}

/* Whatever names the tree of this size. */
static int roots_compare(struct verify *v)
{
    struct emlfs_hash root;
    bool marked = v->mark_good && v->mark.size == v->tree.size;
    int r = 0;
    if (!marked && (v->note.number == 0 || v->note.head.size != v->tree.size))
        return 0;
    r = ledger_tree_root(&v->tree, &root);
    if (r == 0 && marked && !hash_same(&root, &v->mark.root))
        found(v, "mark", "its root is not that of %" PRIu64 " records", v->tree.size);
    while (r == 0 && v->note.number && v->note.head.size == v->tree.size) {
        if (hash_same(&root, &v->note.head.root))
            v->findings->checkpoints++;
        else
            found(v, "checkpoints", "the root of checkpoint %" PRIu64 " is wrong", v->note.number);
        r = note_load(v);
    }
    return r;
}

static int leaf_push(struct verify *v, const struct emlfs_hash *leaf)
{
    struct ledger_done done;
    int r = ledger_tree_push(&v->tree, leaf, &done);
    for (unsigned level = 0; level < done.count && r == 0; level++)
        r = tile_compare(v, level, (v->tree.size - 1) >> (8 * level), &done.v[level]);
    return r < 0 ? r : roots_compare(v);
}

/* Records up to end cannot be read: the tiles' hashes stand in. -ENODATA: there are none. */
static int gap_bridge(struct verify *v, uint64_t end)
{
    struct emlfs_hash leaf;
    int r = 0;
    while (v->tree.size < end && r == 0) {
        r = v->tiles.fd[0] < 0 ? -EBADMSG : tile_hash(v, 0, v->tree.size, &leaf);
        if (r == 0)
            r = leaf_push(v, &leaf);
    }
    return r == -EBADMSG ? -ENODATA : r;
}

static int stamp_compare(struct verify *v, const struct emlfs_ledger_record *record)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_TIMESTAMP_MAX_BYTES);
    struct emlfs_hash hash = {{0}};
    int r = ledger_stamp_path(v->config->dir, record->object, path);
    if (r == 0)
        r = emlfs_os_read_file(path, &file);
    if (r == 0)
        r = emlfs_sha256(emlfs_buf_view(&file), &hash);
    if (r == 0 && hash_same(&hash, &record->digest))
        v->findings->timestamps++;
    else if (r != -ENOMEM)
        found(v, path + strlen(v->config->dir) + 1, "the time stamp is not the one recorded");
    return r == -ENOMEM ? r : 0;
}

static int frame_check(struct verify *v, const char *where, const struct ledger_frame *frame)
{
    struct emlfs_ledger_record record;
    struct emlfs_span bytes;
    struct ledger_body body;
    struct emlfs_hash hash;
    int r = ledger_body_open(frame, emlfs_buf_view(&v->body), &body);
    while (r == 0) {
        r = ledger_body_next(&body, &bytes, &record);
        if (r == 0)
            r = emlfs_tree_leaf(bytes, &hash);
        if (r == 0)
            r = leaf_push(v, &hash);
        if (r == 0)
            v->findings->records++;
        if (r == 0 && record.kind == EMLFS_LEDGER_TIMESTAMPED && record.outcome == 0)
            r = stamp_compare(v, &record);
    }
    if (r == -EUCLEAN || r == -EPROTONOSUPPORT) {
        found(v, where, "record %" PRIu64 " is impossible, or newer", v->tree.size);
        return -EBADMSG;
    }
    if (r != -ENODATA)
        return r;
    r = ledger_tree_root(&v->tree, &hash);
    if (r == 0 && !hash_same(&hash, &body.root))
        found(v, where, "the root behind record %" PRIu64 " is another", v->tree.size - 1);
    return r;
}

/* Frames of one segment, up to its end or the first that is damaged. */
static int segment_check(struct verify *v, struct ledger_segment *segment, const char *where)
{
    struct ledger_frame frame;
    struct stat st;
    uint64_t offset = SEGMENT_HEADER_BYTES;
    int r = 0;
    while (r == 0 && !emlfs_progress_cancelled(v->progress)) {
        v->good_end = offset;
        r = ledger_frame_read(segment, &offset, &frame, &v->body);
        if (r == 0 && frame.first != v->tree.size)
            r = -EBADMSG;
        if (r == 0)
            r = frame_check(v, where, &frame);
        emlfs_progress_step(v->progress, "ledger", v->tree.size, v->mark_good ? v->mark.size : 0);
    }
    if (r == -EBADMSG && fstat(segment->fd, &st) == 0)
        found(v, where, "byte %" PRIu64 " to %" PRIu64 ": damaged, or a torn tail", v->good_end,
              (uint64_t)st.st_size);
    return r == 0 ? -ECANCELED : r == -ENODATA || r == -EBADMSG ? 0 : r;
}

static int segment_verify(struct verify *v, uint32_t number, uint32_t last)
{
    struct ledger_segment segment;
    char where[40];
    uint64_t end = (uint64_t)number * SEGMENT_RECORDS;
    snprintf(where, sizeof(where), "records/%08u.log", number);
    int r = ledger_segment_open(v->config->dir, &v->keys.records, number, false, &segment);
    if (r == 0)
        r = segment_check(v, &segment, where);
    else if (r == -ENOENT || r == -ENODATA || r == -EUCLEAN || r == -EPROTONOSUPPORT) {
        found(v, where, "missing, or its header is damaged");
        r = 0;
    }
    ledger_segment_close(&segment);
    if (number == last && v->mark_good && v->mark.size < end)
        end = v->mark.size;
    if (r == 0 && v->tree.size < end && (number < last || v->mark_good)) {
        found(v, where, "records %" PRIu64 " to %" PRIu64 " are missing", v->tree.size, end - 1);
        r = gap_bridge(v, end);
    }
    return r;
}

static int segments_verify(struct verify *v)
{
    uint32_t last;
    int r = ledger_segment_last(v->config->dir, &last);
    if (r == -ENOENT) {
        found(v, "records", "missing");
        return -ENODATA;
    }
    if (r == 0 && v->mark_good && v->mark.size && ledger_segment_of(v->mark.size - 1) > last)
        last = ledger_segment_of(v->mark.size - 1);
    if (r == 0)
        r = roots_compare(v); /* of the empty tree */
    for (uint32_t number = 1; number <= last && r == 0; number++)
        r = segment_verify(v, number, last);
    return r;
}

/* Files end where the records say. */
static void ends_verify(struct verify *v)
{
    char where[32];
    struct stat st;
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        uint64_t bytes = (v->tree.size >> (8 * level)) * EMLFS_HASH_BYTES;
        snprintf(where, sizeof(where), "tiles/%u", level);
        if (v->tiles.fd[level] < 0 || fstat(v->tiles.fd[level], &st) < 0)
            found(v, where, "cannot be read");
        else if ((uint64_t)st.st_size != bytes)
            found(v, where, "%" PRIu64 " bytes, %" PRIu64 " expected", (uint64_t)st.st_size, bytes);
    }
    if (v->note.number)
        found(v, "checkpoints", "checkpoint %" PRIu64 " names records that are not there",
              v->note.number);
    if (v->mark_good && v->notes_offset < v->mark.checkpoints_bytes)
        found(v, "checkpoints", "%" PRIu64 " bytes are missing",
              v->mark.checkpoints_bytes - v->notes_offset);
    if (v->mark_good && v->mark.segment_bytes &&
        (v->mark.segment_bytes != v->good_end || v->mark.size != v->tree.size))
        found(v, "records", "the ledger was closed in order and ends otherwise now");
}

static void mark_verify(struct verify *v)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct stat st = {0};
    unsigned good = 0;
    int r = ledger_path(v->config->dir, "mark", path);
    EMLFS_FD_CLEANUP int fd = r < 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    r = fd < 0 || fstat(fd, &st) < 0 ? -errno
                                     : ledger_mark_read(fd, &v->keys.mark, &v->mark, &good);
    v->mark_good = r == 0;
    if (r < 0 || good != 2 || st.st_size != 2 * MARK_SLOT_BYTES)
        found(v, "mark", "damaged, or written when the machine stopped");
}

static int keys_verify(struct verify *v)
{
    struct emlfs_err err = {0};
    struct emlfs_span none = {0};
    int r = ledger_keys_open(v->config->dir, &v->config->master, &v->keys, &err);
    if (r == 0)
        r = ledger_keys_export(v->config->dir, &v->keys, &err);
    if (r == 0)
        return 0;
    found(v, "keys", "%s", err.text);
    r = emlfs_hkdf(&v->config->master, none, "emlfs ledger records", &v->keys.records);
    return r < 0 ? r : emlfs_hkdf(&v->config->master, none, "emlfs ledger mark", &v->keys.mark);
}

static void tiles_open(struct verify *v)
{
    char path[LEDGER_PATH_MAX_BYTES];
    v->tiles = LEDGER_TILES_INIT;
    for (unsigned level = 0; level < TREE_LEVELS; level++) {
        char name[32];
        snprintf(name, sizeof(name), "tiles/%u", level);
        if (ledger_path(v->config->dir, name, path) == 0)
            v->tiles.fd[level] = open(path, O_RDONLY | O_CLOEXEC);
    }
}

static int verify_run(struct verify *v)
{
    char path[LEDGER_PATH_MAX_BYTES];
    int r = keys_verify(v);
    if (r == 0)
        r = ledger_path(v->config->dir, "checkpoints", path);
    if (r < 0)
        return r;
    mark_verify(v);
    tiles_open(v);
    v->notes_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (v->notes_fd < 0)
        found(v, "checkpoints", "cannot be read");
    r = note_load(v);
    if (r == 0)
        r = segments_verify(v);
    if (r == -ENODATA)
        r = 0;
    if (r == 0)
        ends_verify(v);
    return r;
}

int emlfs_ledger_verify(const struct emlfs_ledger_config *config,
                        struct emlfs_ledger_findings *findings,
                        const struct emlfs_progress *progress, struct emlfs_err *err)
{
    struct verify *v = calloc(1, sizeof(*v));
    if (!v)
        return emlfs_err_sys(err, ENOMEM, MODULE, "verify");
    v->config = config;
    v->findings = findings;
    v->progress = progress;
    v->tiles = LEDGER_TILES_INIT;
    v->notes_fd = -1;
    v->body = EMLFS_BUF_INIT(FRAME_PLAIN_MAX_BYTES + EMLFS_GCM_TAG_BYTES);
    v->text = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    findings->records = findings->checkpoints = findings->timestamps = findings->count = 0;
    int r = verify_run(v);
    ledger_tiles_close(&v->tiles);
    emlfs_os_close(&v->notes_fd);
    ledger_keys_free(&v->keys);
    emlfs_buf_wipe(&v->body);
    emlfs_buf_free(&v->text);
    free(v);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the ledger was not verified to its end") : 0;
}
