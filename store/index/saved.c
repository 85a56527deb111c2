/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Saved searches: master rows of kind Q (store/FORMAT.md 11), all of them in memory.
 *
 * I-SAVED-1  ids grow and are never used again: when the search with the highest id is removed, row
 *            0 gets the number after it in the same commit
 * I-SAVED-2  names of one user are different, ignoring case
 * I-SAVED-3  what is in memory is durable: the row is written first
 *
 * Lock order: write_lock (one change at a time, held over the archive's commit), then lock (the
 * list, held for moments only).
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "emlfs/change.h"
#include "emlfs/name.h"
#include "emlfs/saved.h"

#define MODULE "search"
#define ROW_VERSION 1u
#define ROW_MAX_BYTES 4096u
#define FOLDED_MAX_BYTES 1024u

struct emlfs_saved {
    struct emlfs_archive *archive;
    pthread_mutex_t write_lock;
    pthread_mutex_t lock;
    struct emlfs_saved_search **v; /* by user, then id */
    size_t n, cap;
    uint32_t next_id;
    int64_t removed_ns; /* the last removal since _open */
};

/* ---- rows */

static int row_encode(const struct emlfs_saved_search *search, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, ROW_VERSION);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, search->user.v);
    if (rc == 0)
        rc = emlfs_buf_append_varint(out, search->form);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, search->created_ns);
    if (rc == 0)
        rc = emlfs_buf_append_svarint(out, search->changed_ns);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, emlfs_span_str(search->name));
    return rc < 0 ? rc : emlfs_buf_append_bytes(out, emlfs_span_str(search->query));
}

/* Text that may not be empty or hold a NUL; out has room for max and a NUL. */
static bool text_take(struct emlfs_cursor *cur, size_t max, char *out)
{
    struct emlfs_span text = emlfs_cursor_bytes(cur, max);

    if (cur->bad || text.len == 0 || memchr(text.data, 0, text.len))
        return false;
    memcpy(out, text.data, text.len);
    out[text.len] = '\0';
    return true;
}

/* A folder name in which what queries are written with may stand too. */
static bool name_ok(const char *name)
{
    char plain[EMLFS_NAME_MAX_BYTES + 1];
    size_t len = strlen(name);

    if (len >= sizeof(plain))
        return false;
    for (size_t i = 0; i <= len; i++)
        plain[i] = name[i] && strchr(":\"*?<>|\\", name[i]) ? 'x' : name[i];
    return emlfs_name_folder_ok(plain);
}

static int row_decode(struct emlfs_span value, struct emlfs_saved_search *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    uint64_t version = emlfs_cursor_varint(&cur);

    if (!cur.bad && version > ROW_VERSION)
        return -EPROTONOSUPPORT;
    ret->user.v = (uint16_t)emlfs_cursor_varint_max(&cur, UINT16_MAX);
    ret->form = (enum emlfs_query_form)emlfs_cursor_varint_max(&cur, EMLFS_QUERY_PATH);
    ret->created_ns = emlfs_cursor_svarint(&cur);
    ret->changed_ns = emlfs_cursor_svarint(&cur);
    return version == ROW_VERSION && text_take(&cur, EMLFS_NAME_MAX_BYTES, ret->name) &&
                   text_take(&cur, EMLFS_QUERY_MAX_BYTES, ret->query) && emlfs_cursor_done(&cur) &&
                   ret->user.v != 0 && name_ok(ret->name)
               ? 0
               : -EUCLEAN;
}

/* Who changes which search, and what the ledger says about it. */
struct act {
    const struct emlfs_actor *actor;
    const struct emlfs_saved_search *search;
    const char *what;
};

static struct emlfs_master_row row_of(uint32_t id, uint8_t key[4], struct emlfs_span value)
{
    for (unsigned i = 0; i < 4; i++)
        key[i] = (uint8_t)(id >> (24 - 8 * i));
    return (struct emlfs_master_row){
        .kind = EMLFS_MASTER_SEARCH, .key = emlfs_span_of(key, 4), .value = value};
}

static int rows_put(struct emlfs_saved *saved, const struct act *act,
                    const struct emlfs_master_row *rows, size_t n, struct emlfs_err *err)
{
    const struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_SETTING_CHANGED,
                                               .owner = act->search->user,
                                               .object = act->search->id.v,
                                               .name = emlfs_span_str(act->search->name),
                                               .detail = emlfs_span_str(act->what)};
    const struct emlfs_master_change change = {
        .actor = act->actor, .record = &record, .rows = rows, .n = n};

    return emlfs_archive_master_change(saved->archive, &change, err);
}

static int search_put(struct emlfs_saved *saved, const struct act *act, struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(ROW_MAX_BYTES);
    struct emlfs_master_row row;
    uint8_t key[4];
    int rc = row_encode(act->search, &value);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "search \"%s\"", act->search->name);
    row = row_of(act->search->id.v, key, emlfs_buf_view(&value));
    return rows_put(saved, act, &row, 1, err);
}

/* Its row goes; row 0 keeps the number behind it when it was the last. */
static int search_drop(struct emlfs_saved *saved, const struct act *act, struct emlfs_err *err)
{
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(16);
    struct emlfs_master_row rows[2];
    uint8_t keys[2][4];
    int rc = emlfs_buf_append_varint(&value, saved->next_id);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "saved searches");
    rows[0] = row_of(act->search->id.v, keys[0], (struct emlfs_span){0});
    rows[1] = row_of(0, keys[1], emlfs_buf_view(&value));
    return rows_put(saved, act, rows, act->search->id.v + 1 == saved->next_id ? 2 : 1, err);
}

/* ---- the list */

/* Index of the first search that is not before (user, id). */
static size_t list_at(const struct emlfs_saved *saved, uint16_t user, uint32_t id)
{
    size_t low = 0, high = saved->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct emlfs_saved_search *at = saved->v[mid];
        if (at->user.v < user || (at->user.v == user && at->id.v < id))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static size_t list_by_id(const struct emlfs_saved *saved, uint32_t id)
{
    size_t at = 0;

    while (at < saved->n && saved->v[at]->id.v != id)
        at++;
    return at;
}

static int list_room(struct emlfs_saved *saved)
{
    size_t cap = saved->cap ? 2 * saved->cap : 16;
    struct emlfs_saved_search **grown;

    if (saved->n < saved->cap)
        return 0;
    grown = reallocarray(saved->v, cap, sizeof(struct emlfs_saved_search *));
    if (!grown)
        return -ENOMEM;
    saved->v = grown;
    saved->cap = cap;
    return 0;
}

/* Takes search; there is room. */
static void list_insert(struct emlfs_saved *saved, struct emlfs_saved_search *search)
{
    size_t at = list_at(saved, search->user.v, search->id.v);

    memmove(saved->v + at + 1, saved->v + at,
            (saved->n - at) * sizeof(struct emlfs_saved_search *));
    saved->v[at] = search;
    saved->n++;
}

static uint32_t key_id(struct emlfs_span key)
{
    return (uint32_t)key.data[0] << 24 | (uint32_t)key.data[1] << 16 | (uint32_t)key.data[2] << 8 |
           key.data[3];
}

static int counter_load(struct emlfs_saved *saved, struct emlfs_span value)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);
    uint32_t next = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);

    if (!emlfs_cursor_done(&cur) || next == 0)
        return -EUCLEAN;
    saved->next_id = next > saved->next_id ? next : saved->next_id;
    return 0;
}

static int row_load(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct emlfs_saved *saved = arg;
    struct emlfs_saved_search *search;
    int rc;

    if (key.len != 4)
        return -EUCLEAN;
    if (key_id(key) == 0)
        return counter_load(saved, value);
    rc = list_room(saved);
    search = rc < 0 ? NULL : calloc(1, sizeof(*search));
    if (!search)
        return -ENOMEM;
    search->id.v = key_id(key);
    rc = search->id.v == UINT32_MAX ? -EUCLEAN : row_decode(value, search);
    if (rc < 0) {
        free(search);
        return rc;
    }
    if (search->id.v >= saved->next_id)
        saved->next_id = search->id.v + 1;
    list_insert(saved, search);
    return 0;
}

int emlfs_saved_open(struct emlfs_archive *archive, struct emlfs_saved **ret, struct emlfs_err *err)
{
    struct emlfs_saved *saved = calloc(1, sizeof(*saved));
    struct emlfs_err inner = {0};
    int rc;

    if (!saved)
        return emlfs_err_sys(err, ENOMEM, MODULE, "saved searches");
    saved->archive = archive;
    saved->next_id = 1;
    pthread_mutex_init(&saved->write_lock, NULL);
    pthread_mutex_init(&saved->lock, NULL);
    rc = emlfs_archive_master_walk(archive, EMLFS_MASTER_SEARCH, row_load, saved, &inner);
    if (rc == 0) {
        *ret = saved;
        return 0;
    }
    emlfs_saved_close(saved);
    return inner.code ? emlfs_err_set(err, inner.code, MODULE, "%s", inner.text)
                      : emlfs_err_sys(err, -rc, MODULE, "saved searches");
}

void emlfs_saved_close(struct emlfs_saved *saved)
{
    if (!saved)
        return;
    for (size_t i = 0; i < saved->n; i++)
        free(saved->v[i]);
    free(saved->v);
    pthread_mutex_destroy(&saved->write_lock);
    pthread_mutex_destroy(&saved->lock);
    free(saved);
}

/* ---- checks, under write_lock: nobody else changes the list meanwhile */

static int name_check(const char *name, struct emlfs_err *err)
{
    if (!name_ok(name))
        return emlfs_err_set(err, EINVAL, MODULE, "\"%s\" cannot be the name of a directory", name);
    return 0;
}

static int query_check(const char *query, enum emlfs_query_form form, struct emlfs_err *err)
{
    struct emlfs_query_mistake mistake = {0};
    struct emlfs_query *parsed = NULL;
    int rc = emlfs_query_parse(emlfs_span_str(query), form, &parsed, &mistake);

    emlfs_query_free(parsed);
    if (rc == -EINVAL)
        return emlfs_err_set(err, EINVAL, MODULE, "%s (byte %u of the query)", mistake.text,
                             mistake.at + 1);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "the query") : 0;
}

static int names_equal(struct emlfs_span folded, const char *name)
{
    struct emlfs_buf other EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    int rc = emlfs_name_fold(name, &other);

    return rc < 0 ? rc : emlfs_span_equal(folded, emlfs_buf_view(&other));
}

/* except: the search that is renamed, 0: none. */
static int name_free(const struct emlfs_saved *saved, uint16_t user, const char *name,
                     uint32_t except, struct emlfs_err *err)
{
    struct emlfs_buf folded EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(FOLDED_MAX_BYTES);
    int rc = emlfs_name_fold(name, &folded);

    for (size_t i = list_at(saved, user, 0); i < saved->n && rc == 0; i++) {
        if (saved->v[i]->user.v != user)
            break;
        if (saved->v[i]->id.v != except)
            rc = names_equal(emlfs_buf_view(&folded), saved->v[i]->name);
        if (rc > 0)
            return emlfs_err_set(err, EEXIST, MODULE, "there is a search \"%s\" already",
                                 saved->v[i]->name);
    }
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "name of a search") : 0;
}

static int count_check(const struct emlfs_saved *saved, uint16_t user, struct emlfs_err *err)
{
    size_t n = list_at(saved, user, UINT32_MAX) - list_at(saved, user, 0);

    if (n >= EMLFS_SAVED_USER_MAX)
        return emlfs_err_set(err, E2BIG, MODULE, "a user has at most %u saved searches",
                             EMLFS_SAVED_USER_MAX);
    if (saved->next_id == UINT32_MAX)
        return emlfs_err_set(err, E2BIG, MODULE, "no number is left for a search");
    return 0;
}

/* ---- changes */

static int add_locked(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                      struct emlfs_saved_search *search, struct emlfs_err *err)
{
    const struct act act = {.actor = actor, .search = search, .what = "search saved"};
    struct emlfs_saved_search *kept;
    int rc = count_check(saved, search->user.v, err);

    if (rc == 0)
        rc = name_free(saved, search->user.v, search->name, 0, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&saved->lock);
    rc = list_room(saved);
    pthread_mutex_unlock(&saved->lock);
    kept = rc < 0 ? NULL : malloc(sizeof(*kept));
    if (!kept)
        return emlfs_err_sys(err, ENOMEM, MODULE, "search \"%s\"", search->name);
    search->id.v = saved->next_id;
    search->created_ns = search->changed_ns = emlfs_archive_now_ns(saved->archive);
    rc = search_put(saved, &act, err);
    if (rc < 0) {
        free(kept);
        return rc;
    }
    *kept = *search;
    pthread_mutex_lock(&saved->lock);
    list_insert(saved, kept);
    saved->next_id++;
    pthread_mutex_unlock(&saved->lock);
    return 0;
}

int emlfs_saved_add(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                    struct emlfs_saved_search *search, struct emlfs_err *err)
{
    int rc = name_check(search->name, err);

    if (rc == 0)
        rc = query_check(search->query, search->form, err);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&saved->write_lock);
    rc = add_locked(saved, actor, search, err);
    pthread_mutex_unlock(&saved->write_lock);
    return rc;
}

static int find_locked(const struct emlfs_saved *saved, struct emlfs_saved_id id, size_t *ret_at,
                       struct emlfs_err *err)
{
    *ret_at = list_by_id(saved, id.v);
    return *ret_at < saved->n ? 0 : emlfs_err_set(err, ENOENT, MODULE, "no saved search %u", id.v);
}

int emlfs_saved_remove(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                       struct emlfs_saved_id id, struct emlfs_err *err)
{
    struct act act = {.actor = actor, .what = "saved search removed"};
    struct emlfs_saved_search *gone = NULL;
    size_t at;
    int rc;

    pthread_mutex_lock(&saved->write_lock);
    rc = find_locked(saved, id, &at, err);
    if (rc == 0) {
        act.search = saved->v[at];
        rc = search_drop(saved, &act, err);
    }
    if (rc == 0) {
        pthread_mutex_lock(&saved->lock);
        gone = saved->v[at];
        saved->n--;
        memmove(saved->v + at, saved->v + at + 1,
                (saved->n - at) * sizeof(struct emlfs_saved_search *));
        saved->removed_ns = emlfs_archive_now_ns(saved->archive);
        pthread_mutex_unlock(&saved->lock);
    }
    pthread_mutex_unlock(&saved->write_lock);
    free(gone);
    return rc;
}

/* changed replaces the search at index at. */
static int replace_locked(struct emlfs_saved *saved, const struct act *act, size_t at,
                          struct emlfs_saved_search *changed, struct emlfs_err *err)
{
    int rc;

    changed->changed_ns = emlfs_archive_now_ns(saved->archive);
    rc = search_put(saved, act, err);
    if (rc == 0) {
        pthread_mutex_lock(&saved->lock);
        *saved->v[at] = *changed;
        pthread_mutex_unlock(&saved->lock);
    }
    return rc;
}

int emlfs_saved_rename(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                       struct emlfs_saved_id id, const char *name, struct emlfs_err *err)
{
    struct emlfs_saved_search changed;
    size_t at;
    const struct act act = {.actor = actor, .search = &changed, .what = "saved search renamed"};
    int rc = name_check(name, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&saved->write_lock);
    rc = find_locked(saved, id, &at, err);
    if (rc == 0)
        rc = name_free(saved, saved->v[at]->user.v, name, id.v, err);
    if (rc == 0) {
        changed = *saved->v[at];
        snprintf(changed.name, sizeof(changed.name), "%s", name);
        rc = replace_locked(saved, &act, at, &changed, err);
    }
    pthread_mutex_unlock(&saved->write_lock);
    return rc;
}

int emlfs_saved_set_query(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                          struct emlfs_saved_id id, const struct emlfs_saved_query *query,
                          struct emlfs_err *err)
{
    struct emlfs_saved_search changed;
    size_t at;
    const struct act act = {
        .actor = actor, .search = &changed, .what = "query of a saved search changed"};
    int rc = query_check(query->text, query->form, err);

    if (rc < 0)
        return rc;
    pthread_mutex_lock(&saved->write_lock);
    rc = find_locked(saved, id, &at, err);
    if (rc == 0) {
        changed = *saved->v[at];
        changed.form = query->form;
        snprintf(changed.query, sizeof(changed.query), "%s", query->text);
        rc = replace_locked(saved, &act, at, &changed, err);
    }
    pthread_mutex_unlock(&saved->write_lock);
    return rc;
}

/* ---- reading */

int emlfs_saved_by_name(struct emlfs_saved *saved, struct emlfs_user_id user, const char *name,
                        struct emlfs_saved_search *ret)
{
    int rc = -ENOENT;

    pthread_mutex_lock(&saved->lock);
    for (size_t i = list_at(saved, user.v, 0); i < saved->n && rc < 0; i++) {
        if (saved->v[i]->user.v != user.v)
            break;
        if (strcmp(saved->v[i]->name, name) != 0)
            continue;
        *ret = *saved->v[i];
        rc = 0;
    }
    pthread_mutex_unlock(&saved->lock);
    return rc;
}

int emlfs_saved_by_id(struct emlfs_saved *saved, struct emlfs_saved_id id,
                      struct emlfs_saved_search *ret)
{
    size_t at;

    pthread_mutex_lock(&saved->lock);
    at = list_by_id(saved, id.v);
    if (at < saved->n)
        *ret = *saved->v[at];
    else
        at = SIZE_MAX;
    pthread_mutex_unlock(&saved->lock);
    return at == SIZE_MAX ? -ENOENT : 0;
}

int emlfs_saved_next(struct emlfs_saved *saved, struct emlfs_user_id user,
                     struct emlfs_saved_id after, struct emlfs_saved_search *ret)
{
    size_t at;
    int rc = -ENOENT;

    if (after.v == UINT32_MAX)
        return rc;
    pthread_mutex_lock(&saved->lock);
    at = list_at(saved, user.v, after.v + 1);
    if (at < saved->n && saved->v[at]->user.v == user.v) {
        *ret = *saved->v[at];
        rc = 0;
    }
    pthread_mutex_unlock(&saved->lock);
    return rc;
}

int64_t emlfs_saved_changed_ns(struct emlfs_saved *saved, struct emlfs_user_id user)
{
    int64_t changed;

    pthread_mutex_lock(&saved->lock);
    changed = saved->removed_ns;
    for (size_t i = list_at(saved, user.v, 0); i < saved->n; i++) {
        if (saved->v[i]->user.v != user.v)
            break;
        if (saved->v[i]->changed_ns > changed)
            changed = saved->v[i]->changed_ns;
    }
    pthread_mutex_unlock(&saved->lock);
    return changed;
}
