/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Telling the kernel that folders changed, that messages went, that the rules are other ones.
 *
 * I1  A notice costs one bit and never waits for the kernel: the kernel may hold a page of the
 *     directory that only a request thread can release.
 * I2  No notice is lost: folder ids are dense, so the pending set is a bitmap; where it cannot
 *     grow, "everything" stands for all of it.
 * I3  A notice of the rules may mean that anybody sees other things, under other modes: then every
 *     name that the kernel knows is looked up anew. Newer kernels take that as one word (an epoch);
 *     to others the names of the user archives are named, and with each goes all that is below it.
 * I4  What left a folder is found in the change feed, for a notice names the folder only. The name
 *     is taken away where it is still known (moved, or filed elsewhere too); that a message is gone
 *     the kernel hears in any case, for it asks for the attributes of what it still names. A name
 *     that was moved is taken away where it is now, too: in another user archive the message is
 *     another node, and the kernel moved the old one.
 * I5  The names that user archives had are remembered: a command gives one another name, and only
 *     the old one tells the kernel what to forget. Other folders are renamed through the mount.
 */
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "emlfs/feed.h"
#include "fs_internal.h"

#define NOTIFY_INC_EPOCH 8 /* FUSE_NOTIFY_INC_EPOCH of protocol 7.44 */
#define CHANGES 128u
#define STORES_MAX 1024u
#define FOLDERS_MAX 65536u /* looked at after a change of the rules; the others wait 300 s */

#define WORD_BITS 64u
#define WORDS_FIRST 1024u

/* How far the change feed of a store was read. */
struct feed_at {
    uint16_t no;
    uint64_t seq;
};

/* Names of the user archives, by id. */
struct tops {
    struct emlfs_folder *v;
    size_t n, cap;
};

struct fs_invalidate {
    struct fuse_session *session;
    struct emlfs_archive *archive;
    struct emlfs_folder_id top; /* the folder that is the root of the mount; 0: none */
    bool no_epoch;    /* the thread's own, as the next two: the kernel does not know epochs */
    struct tops tops; /* the thread's own, too */
    unsigned feeds_n;
    struct feed_at feeds[STORES_MAX];
    atomic_uint_fast64_t notices;
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t wake;
    bool running; /* the thread is to be joined */
    bool stop;
    bool root;       /* the list of user archives changed */
    bool rules;      /* I3 */
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
    if (folder.v > inv->highest && folder.v != EMLFS_FOLDER_RULES)
        inv->highest = folder.v;
    if (folder.v == 0)
        inv->root = true;
    else if (folder.v == EMLFS_FOLDER_RULES)
        inv->rules = true;
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

static emlfs_node folder_node(const struct fs_invalidate *inv, struct emlfs_folder_id folder)
{
    return folder.v && folder.v == inv->top.v ? EMLFS_NODE_ROOT : emlfs_view_folder_node(folder);
}

static void invalidate_word(struct fs_invalidate *inv, size_t word, uint64_t bits)
{
    for (unsigned bit = 0; bit < WORD_BITS; bit++)
        if (bits & 1ull << bit)
            invalidate_dir(inv, folder_node(inv, (struct emlfs_folder_id){
                                                     (uint32_t)(word * WORD_BITS + bit)}));
}

static void invalidate_all(struct fs_invalidate *inv, uint32_t highest)
{
    for (uint32_t id = highest; id > 0; id--)
        invalidate_dir(inv, folder_node(inv, (struct emlfs_folder_id){id}));
}

/* ---- I3 */

static bool epoch_begin(struct fs_invalidate *inv)
{
    const struct fuse_out_header notice = {.len = sizeof(notice), .error = NOTIFY_INC_EPOCH};

    if (inv->no_epoch)
        return false;
    inv->no_epoch = write(fuse_session_fd(inv->session), &notice, sizeof(notice)) < 0;
    return !inv->no_epoch;
}

/* ---- I5 */

static bool tops_load(struct emlfs_archive *archive, struct tops *ret)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder top = {.id = {0}};

    while (emlfs_archive_folder_next(archive, root, top.id, &top, NULL) == 0) {
        if (ret->n == ret->cap) {
            size_t cap = ret->cap ? 2 * ret->cap : 16;
            struct emlfs_folder *more = reallocarray(ret->v, cap, sizeof(*more));

            if (!more)
                return false;
            ret->v = more;
            ret->cap = cap;
        }
        ret->v[ret->n++] = top;
    }
    return true;
}

static void top_forget(struct fs_invalidate *inv, const char *name)
{
    (void)fuse_lowlevel_notify_inval_entry(inv->session, EMLFS_NODE_ROOT, name, strlen(name));
}

/* The names that went, or all of them; without memory those that are known stay to be compared. */
static void tops_follow(struct fs_invalidate *inv, bool all)
{
    struct tops now = {0};
    bool loaded = tops_load(inv->archive, &now);

    for (size_t i = 0, j = 0; i < inv->tops.n; i++) {
        const struct emlfs_folder *was = &inv->tops.v[i];

        while (j < now.n && now.v[j].id.v < was->id.v)
            j++;
        if (all || j == now.n || now.v[j].id.v != was->id.v ||
            strcmp(now.v[j].name, was->name) != 0)
            top_forget(inv, was->name);
    }
    for (size_t i = 0; all && i < now.n; i++)
        top_forget(inv, now.v[i].name);
    if (loaded) {
        free(inv->tops.v);
        inv->tops = now;
    } else {
        free(now.v);
    }
}

/* The folder after at in depth-first order, from the root (id 0) on; false at the end. */
static bool folder_step(struct emlfs_archive *archive, struct emlfs_folder *at)
{
    struct emlfs_folder_id parent = at->id, after = {0};

    for (;;) {
        if (emlfs_archive_folder_next(archive, parent, after, at, NULL) == 0)
            return true;
        if (parent.v == 0)
            return false;
        after = parent;
        if (emlfs_archive_folder_get(archive, parent, at, NULL) < 0)
            return false;
        parent = at->parent;
    }
}

/* Listings, and attributes of what programs have open or stand in. */
static void invalidate_rules(struct fs_invalidate *inv)
{
    struct emlfs_folder at = {.id = {0}};

    if (!epoch_begin(inv))
        tops_follow(inv, true);
    invalidate_dir(inv, EMLFS_NODE_ROOT);
    invalidate_dir(inv, emlfs_view_holds_node());
    for (unsigned n = 0; n < FOLDERS_MAX && folder_step(inv->archive, &at); n++)
        invalidate_dir(inv, folder_node(inv, at.id));
}

/* ---- I4 */

static void invalidate_filing(struct fs_invalidate *inv, const struct emlfs_change *change)
{
    struct emlfs_folder folder;
    struct emlfs_entry entry;

    if (emlfs_archive_folder_get(inv->archive, change->folder, &folder, NULL) < 0)
        return;
    if ((change->kind == EMLFS_CHANGE_UNFILED || change->kind == EMLFS_CHANGE_MOVED) &&
        emlfs_archive_entry_of(inv->archive, folder.user, change->first, &entry, NULL) == 0)
        (void)fuse_lowlevel_notify_inval_entry(inv->session, folder_node(inv, folder.id),
                                               entry.name, strlen(entry.name));
    (void)fuse_lowlevel_notify_inval_inode(
        inv->session, emlfs_view_message_node(folder.user, change->first), -1, 0);
}

static void feed_read(struct fs_invalidate *inv, struct feed_at *at)
{
    struct emlfs_change changes[CHANGES];
    int n;

    do {
        n = emlfs_archive_changes(inv->archive, at->no, at->seq, changes, CHANGES, NULL);
        for (int i = 0; i < n; i++) {
            at->seq = changes[i].seq;
            if (changes[i].kind != EMLFS_CHANGE_MESSAGES)
                invalidate_filing(inv, &changes[i]);
        }
    } while (n == (int)CHANGES);
}

/* A store that is new to us is followed from here on (first), or from its beginning. */
static void feeds_find(struct fs_invalidate *inv, bool first)
{
    uint16_t after = inv->feeds_n ? inv->feeds[inv->feeds_n - 1].no : 0;
    struct emlfs_store_place place;

    while (inv->feeds_n < STORES_MAX &&
           emlfs_archive_store_next(inv->archive, after, &place, NULL) == 0) {
        struct feed_at *at = &inv->feeds[inv->feeds_n];

        emlfs_wipe(&place.index_key, sizeof(place.index_key));
        after = place.no;
        *at = (struct feed_at){.no = place.no};
        if (first && emlfs_archive_last_change(inv->archive, place.no, &at->seq, NULL) < 0)
            continue;
        inv->feeds_n++;
    }
}

static void invalidate_feeds(struct fs_invalidate *inv)
{
    feeds_find(inv, false);
    for (unsigned i = 0; i < inv->feeds_n; i++)
        feed_read(inv, &inv->feeds[i]);
}

/* Take the pending set word by word; the lock is dropped around each call into the kernel. */
static void invalidate_pending(struct fs_invalidate *inv)
{
    bool root = inv->root, everything = inv->everything, rules = inv->rules;
    uint32_t highest = inv->highest;

    inv->root = inv->everything = inv->rules = inv->pending = false;
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
    if (root) {
        invalidate_dir(inv, EMLFS_NODE_ROOT);
        tops_follow(inv, false);
    }
    invalidate_feeds(inv);
    if (rules)
        invalidate_rules(inv);
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
    free(inv->tops.v);
    free(inv);
}

int fs_invalidate_start(struct fuse_session *session, const struct fs *fs,
                        struct fs_invalidate **ret)
{
    struct fs_invalidate *inv = calloc(1, sizeof(*inv));
    int rc;

    if (!inv)
        return -ENOMEM;
    inv->session = session;
    inv->archive = fs->archive;
    inv->top = fs->root;
    feeds_find(inv, true);
    (void)tops_load(fs->archive, &inv->tops);
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
