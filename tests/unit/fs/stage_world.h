/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STAGE_WORLD_H
#define EMLFS_STAGE_WORLD_H

#include <dirent.h>
#include <string.h>

#include "../../../fs/stage.h"
#include "command/archive_test.h"

/*
 * A stage over a real spool, a clock that the test turns, and an archive of its own that keeps what
 * it was given. Mail begins with "From: ", an mbox with "From "; all else is none.
 */
#define FOLDER_A 7u
#define FOLDER_B 8u

struct kept {
    uid_t uid;
    uint32_t folder;
    char name[256];
    char *data;
    size_t len;
};
struct world {
    struct archive_test *t;
    struct fs_stage *stage;
    int64_t now_ns;
    struct kept *kept;
    size_t kept_n, kept_cap;
    int check_rc, archive_rc;    /* what the next ones answer */
    uint64_t room;               /* what each user archive takes yet; 0: anything */
    struct emlfs_drop_item mbox; /* what archiving an mbox says: its expected, totals, rejected */
    unsigned batches, told;
    char text[640]; /* told last */
};

static inline enum emlfs_drop_kind world_sniff(struct emlfs_span head, bool whole,
                                               const char **ret_reason)
{
    const char *text = (const char *)head.data;

    if (head.len >= 6 && memcmp(text, "From: ", 6) == 0)
        return EMLFS_DROP_MESSAGE;
    if (head.len >= 5 && memcmp(text, "From ", 5) == 0)
        return EMLFS_DROP_MBOX;
    if (head.len < 6 && !whole && memcmp(text, "From: ", head.len) == 0)
        return EMLFS_DROP_UNDECIDED;
    if (ret_reason)
        *ret_reason = "something else";
    return EMLFS_DROP_FOREIGN;
}

static inline char *world_bytes(const struct emlfs_drop_item *item)
{
    char *data = malloc(item->size_bytes + 1);
    struct emlfs_err err = {.code = 0};

    assert_non_null(data);
    assert_int_equal(item->pread(item->arg, data, item->size_bytes, 0, &err),
                     (ssize_t)item->size_bytes);
    data[item->size_bytes] = '\0';
    return data;
}

static inline int world_check(void *arg, const struct emlfs_drop_item *item, struct emlfs_err *err)
{
    struct world *w = arg;
    char *data = world_bytes(item);
    bool foreign =
        world_sniff(emlfs_span_of(data, item->size_bytes), true, NULL) == EMLFS_DROP_FOREIGN;

    free(data);
    if (foreign)
        return emlfs_err_set(err, EOPNOTSUPP, "test", "no mail");
    if (w->room && item->waiting_bytes + item->size_bytes > w->room)
        return emlfs_err_set(err, EDQUOT, "test", "no room");
    return w->check_rc < 0 ? emlfs_err_set(err, -w->check_rc, "test", "as told") : 0;
}

static inline bool world_has(const struct world *w, uid_t uid, uint32_t folder, const char *data,
                             size_t len)
{
    for (size_t i = 0; i < w->kept_n; i++)
        if (w->kept[i].uid == uid && w->kept[i].folder == folder && w->kept[i].len == len &&
            memcmp(w->kept[i].data, data, len) == 0)
            return true;
    return false;
}

static inline void world_keep(struct world *w, struct emlfs_drop_item *item)
{
    char *data = world_bytes(item);

    item->kind = world_sniff(emlfs_span_of(data, item->size_bytes), true, NULL);
    assert_int_not_equal(item->kind, EMLFS_DROP_FOREIGN);
    item->id.v = item->kind == EMLFS_DROP_MESSAGE ? (1ull << 40) + w->kept_n + 1 : 0;
    if (world_has(w, item->subject.uid, item->folder.v, data, item->size_bytes)) {
        free(data); /* again, after a crash */
        return;
    }
    if (w->kept_n == w->kept_cap) {
        w->kept_cap = w->kept_cap ? 2 * w->kept_cap : 64;
        w->kept = reallocarray(w->kept, w->kept_cap, sizeof(*w->kept));
        assert_non_null(w->kept);
    }
    w->kept[w->kept_n] = (struct kept){
        .uid = item->subject.uid, .folder = item->folder.v, .data = data, .len = item->size_bytes};
    (void)snprintf(w->kept[w->kept_n].name, sizeof(w->kept[0].name), "%s", item->name);
    w->kept_n++;
}

static inline int world_archive(void *arg, struct emlfs_drop_item *items, unsigned n,
                                struct emlfs_err *err)
{
    struct world *w = arg;

    w->batches++;
    for (unsigned i = 0; i < n; i++) {
        items[i].code = w->archive_rc;
        items[i].kind = strstr(items[i].name, "mbox") ? EMLFS_DROP_MBOX : EMLFS_DROP_MESSAGE;
        items[i].expected = w->mbox.expected;
        items[i].totals = w->mbox.totals;
        items[i].rejected = w->mbox.rejected;
        if (w->archive_rc < 0)
            emlfs_err_set(&items[i].err, -w->archive_rc, "test", "as told");
        else
            world_keep(w, &items[i]);
    }
    return w->archive_rc < 0 ? emlfs_err_set(err, -w->archive_rc, "test", "as told") : 0;
}

static inline int64_t world_now(void *arg)
{
    return ((struct world *)arg)->now_ns;
}

static inline void world_told(void *arg, const char *text)
{
    struct world *w = arg;

    w->told++;
    (void)snprintf(w->text, sizeof(w->text), "%s", text);
}

static inline void world_open(struct world *w)
{
    const struct fs_stage_options options = {
        .archive = w->t->archive,
        .sniff = world_sniff,
        .check = world_check,
        .archive_items = world_archive,
        .drop = w,
        .now_ns = world_now,
        .clock = w,
        .told = world_told,
        .told_arg = w,
        .files_max = 1000,
        .uid_max = 500,
        .open_max = 100,
    };
    struct emlfs_err err = {.code = 0};

    OK(fs_stage_new(&options, &w->stage, &err));
}

/* As after kill -9: what was not synced may be gone. */
static inline void world_crash(struct world *w)
{
    fs_stage_free(w->stage);
    world_open(w);
}

static inline void world_forget(struct world *w)
{
    for (size_t i = 0; i < w->kept_n; i++)
        free(w->kept[i].data);
    w->kept_n = 0;
}

static inline int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    void *t = NULL;

    assert_non_null(w);
    OK(archive_setup(&t));
    w->t = t;
    w->now_ns = 1000 * FS_STAGE_NS_PER_SEC;
    world_open(w);
    *state = w;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *w = *state;
    void *t = w->t;

    fs_stage_free(w->stage);
    world_forget(w);
    free(w->kept);
    free(w);
    return archive_teardown(&t);
}

static inline void world_drain(struct world *w)
{
    while (fs_stage_work(w->stage))
        continue;
}

static inline void world_pass(struct world *w, int64_t ns)
{
    w->now_ns += ns;
    fs_stage_tick(w->stage);
}

/* How many files lie in the spool. */
static inline unsigned world_spooled(const struct world *w)
{
    char path[160];
    struct dirent **names = NULL;
    unsigned n = 0;
    int found;

    (void)snprintf(path, sizeof(path), "%s/spool", w->t->path);
    found = scandir(path, &names, NULL, NULL);
    for (int i = 0; i < found; i++) {
        n += names[i]->d_name[0] != '.';
        free(names[i]);
    }
    free(names);
    return n;
}

#endif
