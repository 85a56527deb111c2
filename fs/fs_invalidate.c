/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Telling the kernel that folders changed.
 *
 * I1  A notice costs one bit and never waits for the kernel: the kernel may hold a page of the
 *     directory that only a request thread can release.
 * I2  No notice is lost: folder ids are dense, so the pending set is a bitmap; where it cannot
 * grow, "everything" stands for all of it.
 */
#include <stdlib.h>
#include <string.h>

#include "fs_internal.h"

#define WORD_BITS 64u
#define WORDS_FIRST 1024u

struct fs_invalidate {
    struct fuse_session *session;
    atomic_uint_fast64_t notices;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    bool running; /* the thread is to be joined */
    bool stop;
    bool root;       /* the list of user archives changed */
    bool everything; /* folders 1...highest */
    bool pending;
    uint32_t highest;
    size_t words_n;
    uint64_t *words;
};

static bool bitmap_grow(struct fs_invalidate *inv, size_t need)
{
    size_t n = inv->words_n ? inv->words_n : WORDS_FIRST;
    uint64_t *words;

    while (n < need)
        n *= 2;
    words = realloc(inv->words, n * sizeof(*words));
    if (!words)
        return false;
    memset(words + inv->words_n, 0, (n - inv->words_n) * sizeof(*words));
    inv->words = words;
    inv->words_n = n;
    return true;
}

void fs_invalidate_notice(void *arg, struct emlfs_folder_id folder)
{
    struct fs_invalidate *inv = arg;
    size_t word = folder.v / WORD_BITS;

    atomic_fetch_add(&inv->notices, 1);
    pthread_mutex_lock(&inv->lock);
    if (folder.v > inv->highest)
        inv->highest = folder.v;
    if (folder.v == 0)
        inv->root = true;
    else if (word < inv->words_n || bitmap_grow(inv, word + 1))
        inv->words[word] |= 1ull << (folder.v % WORD_BITS);
    else
        inv->everything = true;
    inv->pending = true;
    pthread_cond_signal(&inv->wake);
    pthread_mutex_unlock(&inv->lock);
}

uint64_t fs_invalidate_notices(const struct fs_invalidate *inv)
{
    return atomic_load(&inv->notices);
}

/* Attributes and cached listing of one directory. -ENOENT (the kernel has no such inode) is fine.
 */
static void invalidate_dir(struct fs_invalidate *inv, emlfs_node node)
{
    (void)fuse_lowlevel_notify_inval_inode(inv->session, node, 0, 0);
}

static void invalidate_word(struct fs_invalidate *inv, size_t word, uint64_t bits)
{
    for (unsigned bit = 0; bit < WORD_BITS; bit++)
        if (bits & 1ull << bit)
            invalidate_dir(inv, emlfs_view_folder_node(
                                    (struct emlfs_folder_id){(uint32_t)(word * WORD_BITS + bit)}));
}

static void invalidate_all(struct fs_invalidate *inv, uint32_t highest)
{
    for (uint32_t id = highest; id > 0; id--)
        invalidate_dir(inv, emlfs_view_folder_node((struct emlfs_folder_id){id}));
}

/* Take the pending set word by word; the lock is dropped around each call into the kernel. */
static void invalidate_pending(struct fs_invalidate *inv)
{
    bool root = inv->root, everything = inv->everything;
    uint32_t highest = inv->highest;

    inv->root = inv->everything = inv->pending = false;
    for (size_t word = 0; word < inv->words_n && !inv->stop; word++) {
        uint64_t bits = inv->words[word];

        if (!bits)
            continue;
        inv->words[word] = 0;
        pthread_mutex_unlock(&inv->lock);
        invalidate_word(inv, word, bits);
        pthread_mutex_lock(&inv->lock);
    }
    pthread_mutex_unlock(&inv->lock);
    if (everything)
        invalidate_all(inv, highest);
    if (root)
        invalidate_dir(inv, EMLFS_NODE_ROOT);
    pthread_mutex_lock(&inv->lock);
}

static void *invalidate_run(void *arg)
{
    struct fs_invalidate *inv = arg;

    pthread_mutex_lock(&inv->lock);
    while (!inv->stop) {
        if (inv->pending)
            invalidate_pending(inv);
        else
            pthread_cond_wait(&inv->wake, &inv->lock);
    }
    pthread_mutex_unlock(&inv->lock);
    return NULL;
}

void fs_invalidate_free(struct fs_invalidate *inv)
{
    if (!inv)
        return;
    fs_invalidate_stop(inv);
    pthread_cond_destroy(&inv->wake);
    pthread_mutex_destroy(&inv->lock);
    free(inv->words);
    free(inv);
}

int fs_invalidate_start(struct fuse_session *session, struct fs_invalidate **ret)
{
    struct fs_invalidate *inv = calloc(1, sizeof(*inv));
    int rc;

    if (!inv)
        return -ENOMEM;
    inv->session = session;
    pthread_mutex_init(&inv->lock, NULL);
    pthread_cond_init(&inv->wake, NULL);
    rc = bitmap_grow(inv, WORDS_FIRST) ? 0 : ENOMEM;
    if (rc == 0)
        rc = pthread_create(&inv->thread, NULL, invalidate_run, inv);
    if (rc != 0) {
        fs_invalidate_free(inv);
        return -rc;
    }
    inv->running = true;
    *ret = inv;
    return 0;
}

void fs_invalidate_stop(struct fs_invalidate *inv)
{
    bool running;

    pthread_mutex_lock(&inv->lock);
    running = inv->running;
    inv->running = false;
    inv->stop = true;
    pthread_cond_signal(&inv->wake);
    pthread_mutex_unlock(&inv->lock);
    if (running)
        pthread_join(inv->thread, NULL);
}
