/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_TREE_H
#define EMLFS_LEDGER_TREE_H

#include "emlfs/base/os.h"
#include "emlfs/proof.h"

/* Texts, the tree and its tiles: what is below records. */

#define MODULE "ledger"
#define LEDGER_PATH_MAX_BYTES 4096u

/* ---- base64 (RFC 4648, padded) in text64.c */

int ledger_text64_encode(struct emlfs_span bytes, struct emlfs_buf *out);
/* Strict; exactly len bytes. False: not so. */
bool ledger_text64_fixed(struct emlfs_span text, uint8_t *out, size_t len);
/* Strict; appended to out. -EILSEQ, -E2BIG, -ENOMEM. */
int ledger_text64_decode(struct emlfs_span text, struct emlfs_buf *out);

/* ---- lines of a text, in lines.c */

struct ledger_lines {
    const char *pos;
    const char *end;
    bool bad;
};
struct ledger_lines ledger_lines_of(struct emlfs_span text);
/* The rest of the next line, which begins with prefix. Otherwise bad, and empty. */
struct emlfs_span ledger_lines_take(struct ledger_lines *lines, const char *prefix);
/* As _take, a number without leading zeros. */
uint64_t ledger_lines_number(struct ledger_lines *lines, const char *prefix);
void ledger_lines_hash(struct ledger_lines *lines, const char *prefix, struct emlfs_hash *ret_hash);
bool ledger_lines_next_is(const struct ledger_lines *lines, const char *prefix);
/* Append the formatted text. -E2BIG, -ENOMEM. */
int ledger_print(struct emlfs_buf *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int ledger_print64(struct emlfs_buf *out, const char *prefix, struct emlfs_span bytes);
bool ledger_origin_valid(const char *origin);

/* ---- the tree, in tree.c */

#define TREE_LEVELS 5u /* of tiles: 256^5 leaves */
#define TREE_TILE 256u

struct ledger_tree {
    uint64_t size;
    struct emlfs_hash edge[64]; /* [i]: the complete subtree of 2^i leaves, where size has bit i */
};

/* Hashes a push completed: [0] the leaf, [L] of 256^L leaves. */
struct ledger_done {
    unsigned count; /* levels */
    struct emlfs_hash v[TREE_LEVELS];
};
int ledger_tree_push(struct ledger_tree *tree, const struct emlfs_hash *leaf,
                     struct ledger_done *ret_done);
int ledger_tree_root(const struct ledger_tree *tree, struct emlfs_hash *ret_root);

/* Where hashes of tile levels come from. */
struct ledger_source {
    int (*read)(void *arg, unsigned level, uint64_t first, unsigned count,
                struct emlfs_hash *ret_hashes);
    void *arg;
};
/* The state of the tree of size leaves. */
int ledger_tree_load(const struct ledger_source *source, uint64_t size,
                     struct ledger_tree *ret_tree);
int ledger_tree_inclusion(const struct ledger_source *source, uint64_t index, uint64_t size,
                          struct emlfs_tree_path *ret_path);
int ledger_tree_consistency(const struct ledger_source *source, uint64_t older, uint64_t newer,
                            struct emlfs_tree_path *ret_path);

/* ---- tiles/0 ... tiles/4, in tiles.c */

struct ledger_tiles {
    int fd[TREE_LEVELS];
    uint64_t count[TREE_LEVELS]; /* hashes that belong to durable records */
    bool unsynced[TREE_LEVELS];  /* something was written since the last sync */
};
#define LEDGER_TILES_INIT ((struct ledger_tiles){.fd = {-1, -1, -1, -1, -1}})

int ledger_tiles_create(const char *dir);
int ledger_tiles_open(const char *dir, bool write, struct ledger_tiles *tiles);
void ledger_tiles_close(struct ledger_tiles *tiles);
/* Set counts for a tree of size; the files may be longer or shorter. */
void ledger_tiles_resize(struct ledger_tiles *tiles, uint64_t size);
/* Cut the files to their counts; that is not made durable. */
int ledger_tiles_cut(struct ledger_tiles *tiles);
int ledger_tiles_sync(struct ledger_tiles *tiles);
/* struct ledger_source over tiles. -EBADMSG: too short. */
int ledger_tiles_read(void *tiles, unsigned level, uint64_t first, unsigned count,
                      struct emlfs_hash *ret_hashes);

/* Hashes on their way to the files, level by level. */
struct ledger_hashes {
    struct emlfs_buf level[TREE_LEVELS];
};
void ledger_hashes_init(struct ledger_hashes *hashes);
void ledger_hashes_free(struct ledger_hashes *hashes);
int ledger_hashes_add(struct ledger_hashes *hashes, const struct ledger_done *done);
/* Write behind the counts, which stay as they are. */
int ledger_hashes_write(const struct ledger_hashes *hashes, struct ledger_tiles *tiles);

#endif
