/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Opening and closing the index of an archive, its stores, its settings. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"
#include "emlfs/change.h"
#include "engine.h"
#include "search.h"

#define MODULE "index"
#define CACHE_BYTES (48u << 20)
#define MEMORY_BYTES (32u << 20)
#define WORKERS_MAX 8u

void index_notice(struct emlfs_index *index, const char *fmt, ...)
{
    char text[640];
    va_list args;

    if (!index->options.notice)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    index->options.notice(index->options.arg, text);
}

struct shelf *index_shelf(struct emlfs_index *index, unsigned at)
{
    struct shelf *shelf;

    pthread_mutex_lock(&index->lock);
    shelf = at < index->shelves_n ? index->shelves[at] : NULL;
    pthread_mutex_unlock(&index->lock);
    return shelf;
}

struct shelf *index_shelf_of(struct emlfs_index *index, struct emlfs_msg_id id)
{
    struct shelf *shelf;

    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++)
        if (shelf->no == emlfs_msg_id_store(id))
            return shelf;
    return NULL;
}

/* In the order of store numbers: one that was detached comes between others. */
static int shelf_insert(struct emlfs_index *index, struct shelf *shelf)
{
    struct shelf **grown;
    unsigned at;

    pthread_mutex_lock(&index->lock);
    grown = reallocarray(index->shelves, index->shelves_n + 1, sizeof(*grown));
    if (grown) {
        for (at = index->shelves_n; at > 0 && grown[at - 1]->no > shelf->no; at--)
            grown[at] = grown[at - 1];
        grown[at] = shelf;
        index->shelves_n++;
        index->shelves = grown;
    }
    pthread_mutex_unlock(&index->lock);
    return grown ? 0 : -ENOMEM;
}

static bool shelf_known(struct emlfs_index *index, uint16_t no)
{
    struct shelf *shelf;

    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
        if (shelf->no == no)
            return true;
    }
    return false;
}

/* Under work (or before anybody knows the index): each store is added once. */
int index_refresh(struct emlfs_index *index, struct emlfs_err *err)
{
    struct emlfs_store_place *place = malloc(sizeof(*place));
    uint16_t after = 0;
    int rc = place ? 0 : emlfs_err_set(err, ENOMEM, MODULE, "out of memory");

    while (rc == 0) {
        struct shelf *shelf = NULL;
        rc = emlfs_archive_store_next(index->options.archive, after, place, err);
        if (rc < 0)
            break;
        after = place->no;
        if (shelf_known(index, place->no))
            continue;
        rc = shelf_open(index, place, &shelf, err);
        if (rc == 0)
            rc = shelf_insert(index, shelf);
        if (rc < 0)
            shelf_close(shelf);
    }
    if (place)
        emlfs_wipe(&place->index_key, sizeof(place->index_key));
    free(place);
    return rc == -ENOENT ? 0 : rc;
}

void index_wake(struct emlfs_index *index)
{
    pthread_mutex_lock(&index->lock);
    index->woken = true;
    pthread_cond_broadcast(&index->wake);
    pthread_mutex_unlock(&index->lock);
}

static void commit_seen(void *arg)
{
    struct emlfs_index *index = arg;

    atomic_fetch_add(&index->commits, 1);
    index_wake(index);
}

void index_work_take(struct emlfs_index *index)
{
    atomic_fetch_add(&index->waiting, 1);
    pthread_mutex_lock(&index->work);
    atomic_fetch_sub(&index->waiting, 1);
}

void index_work_leave(struct emlfs_index *index)
{
    pthread_mutex_unlock(&index->work);
    index_wake(index);
}

static void index_free(struct emlfs_index *index)
{
    for (unsigned i = 0; i < index->shelves_n; i++)
        shelf_close(index->shelves[i]);
    free(index->shelves);
    cache_close(index->cache);
    folder_tree_free(index->tree);
    pthread_mutex_destroy(&index->work);
    pthread_mutex_destroy(&index->lock);
    pthread_mutex_destroy(&index->tree_lock);
    pthread_cond_destroy(&index->wake);
    free(index);
}

static struct emlfs_index *index_new(const struct emlfs_index_options *options)
{
    struct emlfs_index *index = calloc(1, sizeof(*index));
    pthread_condattr_t monotonic;

    if (!index)
        return NULL;
    index->options = *options;
    if (index->options.memory_bytes == 0)
        index->options.memory_bytes = MEMORY_BYTES;
    atomic_init(&index->serial, 1);
    pthread_mutex_init(&index->work, NULL);
    pthread_mutex_init(&index->lock, NULL);
    pthread_mutex_init(&index->tree_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&index->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return index;
}

int emlfs_index_open(const struct emlfs_index_options *options, struct emlfs_index **ret,
                     struct emlfs_err *err)
{
    struct emlfs_index *index = index_new(options);
    int rc = index ? cache_open(CACHE_BYTES, &index->cache) : -ENOMEM;

    if (rc < 0)
        emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    if (rc == 0) {
        index->writable = emlfs_archive_is_writable(options->archive);
        rc = index_refresh(index, err);
    }
    if (rc == 0) {
        rc = emlfs_archive_watch(options->archive, commit_seen, index);
        if (rc < 0)
            emlfs_err_sys(err, -rc, MODULE, "the archive cannot be watched");
    }
    if (rc < 0) {
        if (index)
            index_free(index);
        return rc;
    }
    *ret = index;
    return 0;
}

int emlfs_index_close(struct emlfs_index *index, struct emlfs_err *err)
{
    struct shelf *shelf;
    int rc = 0;

    if (!index)
        return 0;
    emlfs_archive_unwatch(index->options.archive, commit_seen, index);
    follower_stop(index);
    for (unsigned i = 0; (shelf = index_shelf(index, i)); i++) {
        int one = 0;
        /* What is damaged must not be taken for whole by those who open it next. */
        if (index->options.extractor && atomic_load(&shelf->damaged))
            one = shelf_drop(shelf, rc == 0 ? err : NULL);
        else if (index->writable && index->options.extractor)
            one = shelf_flush(shelf, rc == 0 ? err : NULL);
        rc = rc < 0 ? rc : one;
    }
    index_free(index);
    return rc;
}

static int writable(struct emlfs_index *index, struct emlfs_err *err)
{
    return index->writable ? 0
                           : emlfs_err_set(err, EROFS, MODULE, "%s is open for reading only",
                                           emlfs_archive_path(index->options.archive));
}

int emlfs_index_reset(struct emlfs_index *index, uint16_t store_no, struct emlfs_err *err)
{
    bool found = store_no == 0;
    struct shelf *shelf;
    int rc = writable(index, err);

    if (rc < 0)
        return rc;
    index_work_take(index);
    rc = index_refresh(index, err);
    for (unsigned i = 0; rc == 0 && (shelf = index_shelf(index, i)); i++) {
        if (store_no && shelf->no != store_no)
            continue;
        found = true;
        shelf->remakes = 0;
        rc = shelf_drop(shelf, err);
    }
    index_work_leave(index);
    if (rc == 0 && !found)
        rc = emlfs_err_set(err, ENOENT, MODULE, "there is no store %u", store_no);
    return rc;
}

static const struct emlfs_span kinds_key = {(const uint8_t *)"kinds", 5};

int emlfs_index_get_kinds(struct emlfs_index *index, unsigned *ret_kinds, struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct emlfs_cursor cur;
    uint64_t kinds;
    int rc = emlfs_archive_master_get(index->options.archive, EMLFS_MASTER_INDEX, kinds_key, &value,
                                      err);

    *ret_kinds = EMLFS_KIND_ALL;
    if (rc == -ENOENT)
        return 0;
    if (rc < 0)
        return rc;
    cur = emlfs_cursor_of(emlfs_buf_view(&value));
    kinds = emlfs_cursor_varint_max(&cur, UINT32_MAX);
    if (!emlfs_cursor_done(&cur))
        return emlfs_err_set(err, EUCLEAN, MODULE, "the setting of attachment kinds");
    *ret_kinds = (unsigned)kinds & EMLFS_KIND_ALL;
    return 0;
}

int emlfs_index_set_kinds(struct emlfs_index *index, const struct emlfs_actor *actor,
                          unsigned kinds, struct emlfs_err *err)
{
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_SETTING_CHANGED,
                                               .object = kinds,
                                               .name = emlfs_span_str("index kinds")};
    struct emlfs_master_row row = {.kind = EMLFS_MASTER_INDEX, .key = kinds_key};
    const struct emlfs_master_change change = {
        .actor = actor, .record = &record, .rows = &row, .n = 1};
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    int rc;

    if (kinds & ~EMLFS_KIND_ALL)
        return emlfs_err_set(err, EINVAL, MODULE, "no such kind of attachment");
    rc = emlfs_buf_append_varint(&value, kinds);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "kinds of attachments");
    row.value = emlfs_buf_view(&value);
    return emlfs_archive_master_change(index->options.archive, &change, err);
}
