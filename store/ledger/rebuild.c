/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responsible for: making tiles again from whole records. The first pass only reads. */
#include <unistd.h>

#include "internal.h"

struct rebuild {
    const struct emlfs_ledger_config *config;
    const struct emlfs_progress *progress;
    struct ledger_keys keys;
    struct ledger_tiles tiles;
    struct ledger_tree tree;
    bool write;
};

static int body_hash(struct rebuild *b, struct ledger_body *body, struct ledger_hashes *hashes)
{
    struct emlfs_ledger_record record;
    struct ledger_done done;
    struct emlfs_span bytes;
    struct emlfs_hash hash;
    int r;
    while ((r = ledger_body_next(body, &bytes, &record)) == 0) {
        r = emlfs_tree_leaf(bytes, &hash);
        if (r == 0)
            r = ledger_tree_push(&b->tree, &hash, &done);
        if (r == 0)
            r = ledger_hashes_add(hashes, &done);
        if (r < 0)
            return r;
    }
    if (r != -ENODATA)
        return r;
    r = ledger_tree_root(&b->tree, &hash);
    return r == 0 && memcmp(hash.v, body->root.v, EMLFS_HASH_BYTES) != 0 ? -EBADMSG : r;
}

static int frame_rebuild(struct rebuild *b, struct ledger_body *body)
{
    struct ledger_hashes hashes;
    ledger_hashes_init(&hashes);
    int r = body_hash(b, body, &hashes);
    if (r == 0 && b->write)
        r = ledger_hashes_write(&hashes, &b->tiles);
    ledger_tiles_resize(&b->tiles, b->tree.size);
    ledger_hashes_free(&hashes);
    return r;
}

static int pass(struct rebuild *b, uint64_t size)
{
    struct ledger_reader reader;
    struct ledger_body body;
    int r = 0;
    b->tree = (struct ledger_tree){0};
    ledger_tiles_resize(&b->tiles, 0);
    ledger_reader_init(&reader, b->config->dir, &b->keys.records, 0, size);
    while (r == 0) {
        emlfs_progress_step(b->progress, "tiles", b->tree.size, size);
        r = emlfs_progress_cancelled(b->progress) ? -ECANCELED : ledger_reader_next(&reader, &body);
        if (r == 0)
            r = frame_rebuild(b, &body);
    }
    ledger_reader_free(&reader);
    return r == -ENODATA ? 0 : r;
}

static int tiles_write(struct rebuild *b, uint64_t size)
{
    int r = ledger_tiles_create(b->config->dir);
    if (r == 0)
        r = ledger_tiles_open(b->config->dir, true, &b->tiles);
    b->write = true;
    if (r == 0)
        r = pass(b, size);
    if (r == 0)
        r = ledger_tiles_cut(&b->tiles);
    return r < 0 ? r : ledger_tiles_sync(&b->tiles);
}

/* How many records the mark promises; what stands behind them opening finds by itself. */
static int promised(struct rebuild *b, uint64_t *ret_size)
{
    char path[LEDGER_PATH_MAX_BYTES];
    struct emlfs_buf file EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(4 * MARK_SLOT_BYTES);
    struct ledger_mark mark;
    bool any = false;
    int r = ledger_path(b->config->dir, "mark", path);
    if (r == 0)
        r = emlfs_os_read_file(path, &file);
    *ret_size = 0;
    for (size_t at = 0; r == 0 && at + MARK_SLOT_BYTES <= file.len; at += MARK_SLOT_BYTES) {
        if (ledger_mark_decode(file.data + at, &b->keys.mark, &mark) < 0)
            continue;
        any = true;
        if (mark.size > *ret_size)
            *ret_size = mark.size;
    }
    return r == 0 && !any ? -EBADMSG : r;
}

int emlfs_ledger_rebuild_tiles(const struct emlfs_ledger_config *config,
                               const struct emlfs_progress *progress, struct emlfs_err *err)
{
    struct rebuild b = {.config = config, .progress = progress, .tiles = LEDGER_TILES_INIT};
    uint64_t size = 0;
    int r = ledger_keys_open(config->dir, &config->master, &b.keys, err);
    if (r < 0)
        return r;
    r = promised(&b, &size);
    if (r == 0)
        r = pass(&b, size);
    if (r == 0)
        r = tiles_write(&b, size);
    ledger_tiles_close(&b.tiles);
    ledger_keys_free(&b.keys);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the tiles cannot be made again") : 0;
}
