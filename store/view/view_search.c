/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Searches/ and .query/ of a user archive: a search is a directory of the messages' own entries.
 *
 * E1  A name, node and attributes of a message are those of its entry in the folders (the one in
 *     the folder with the lowest id), so that tools see hard links.
 * E2  A name is found exactly when the message is in the archive and matches now.
 * E3  All of it is seen and used only by those who may read the archive (the caller's rights in it
 *     are asked of a directory before anything is answered from it).
 * E4  A saved search is run as it was written: lastmonth is the month before the search is run.
 */
#include <stdio.h>
#include <string.h>

#include "emlfs/base/os.h"
#include "emlfs/name.h"
#include "view_search.h"

#define NS_PER_SEC 1000000000ll
#define FOLDERS_MAX 16384u /* looked at for the time of the last change */

/* ---- the last change */

/* The folder after at in depth-first order below top; false at the end. */
static bool folder_step(struct emlfs_archive *archive, struct emlfs_folder_id top,
                        struct emlfs_folder *at)
{
    const struct emlfs_folder_id none = {0};
    struct emlfs_folder next;

    if (emlfs_archive_folder_next(archive, at->id, none, &next, NULL) == 0) {
        *at = next;
        return true;
    }
    while (at->id.v != top.v) {
        if (emlfs_archive_folder_next(archive, at->parent, at->id, &next, NULL) == 0) {
            *at = next;
            return true;
        }
        if (emlfs_archive_folder_get(archive, at->parent, at, NULL) < 0)
            return false;
    }
    return false;
}

static int64_t changed_find(struct emlfs_archive *archive, struct emlfs_user_id user)
{
    struct emlfs_folder at;
    struct emlfs_user found;
    int64_t newest;

    if (emlfs_user_by_id(archive, user, &found, NULL) < 0 ||
        emlfs_archive_folder_get(archive, found.archive, &at, NULL) < 0)
        return 0;
    newest = at.mtime_ns;
    for (unsigned n = 0; n < FOLDERS_MAX && folder_step(archive, found.archive, &at); n++)
        if (at.mtime_ns > newest)
            newest = at.mtime_ns;
    return newest;
}

int64_t view_changed_ns(struct emlfs_view *view, struct emlfs_user_id user)
{
    struct view_changed *slot = &view->changed[user.v % VIEW_CHANGED_USERS];
    struct view_changed now = {.user = user, .epoch = atomic_load(&view->epoch)};
    bool known;

    now.found_at_ns = emlfs_os_monotonic_ns();
    pthread_mutex_lock(&view->changed_lock);
    known = slot->user.v == user.v && slot->found_at_ns != 0 &&
            (slot->epoch == now.epoch || now.found_at_ns - slot->found_at_ns < NS_PER_SEC);
    now.changed_ns = slot->changed_ns;
    pthread_mutex_unlock(&view->changed_lock);
    if (known)
        return now.changed_ns;
    now.changed_ns = changed_find(view->options.archive, user);
    pthread_mutex_lock(&view->changed_lock);
    *slot = now;
    pthread_mutex_unlock(&view->changed_lock);
    return now.changed_ns;
}

/* ---- attributes */

/* A directory of user's whose membership last changed at changed_ns. */
static void attr_dir(struct emlfs_view *view, emlfs_node node, struct emlfs_user_id user,
                     int64_t changed_ns, struct emlfs_attr *ret)
{
    const struct emlfs_folder folder = {.parent = {1}, .user = user, .mtime_ns = changed_ns};
    enum view_kind kind = view_node_decode(node).kind;
    bool below_top = kind == VIEW_SEARCHES || kind == VIEW_QUERIES;
    struct view_shape shape;

    view_shape_of(view, user, &shape);
    view_attr_folder(view, &folder, &shape, ret);
    if (below_top)
        ret->st.st_mode = S_IFDIR | shape.searches;
    ret->node = node;
    ret->st.st_ino = node;
    ret->shared = false;
    ret->brief = !shape.s.guarded;
    ret->name_shared = below_top && !shape.s.guarded; /* N4 */
}

void view_attr_search(struct emlfs_view *view, emlfs_node node, struct emlfs_user_id user,
                      struct emlfs_attr *ret)
{
    struct emlfs_user found;
    struct emlfs_folder top;
    int64_t changed_ns = 0;

    if (view_node_decode(node).kind != VIEW_SEARCHES)
        changed_ns = view_changed_ns(view, user);
    else
        changed_ns = emlfs_saved_changed_ns(view->options.saved, user);
    /* No search was ever saved: as old as the archive. */
    if (changed_ns == 0 && emlfs_user_by_id(view->options.archive, user, &found, NULL) == 0 &&
        emlfs_archive_folder_get(view->options.archive, found.archive, &top, NULL) == 0)
        changed_ns = top.created_ns;
    attr_dir(view, node, user, changed_ns, ret);
}

void view_attr_saved(struct emlfs_view *view, const struct emlfs_saved_search *saved,
                     struct emlfs_attr *ret)
{
    int64_t changed_ns = view_changed_ns(view, saved->user);

    if (saved->changed_ns > changed_ns)
        changed_ns = saved->changed_ns;
    attr_dir(view, view_saved_node(saved->user, saved->id.v), saved->user, changed_ns, ret);
    ret->name_brief = true;
}

void view_attr_result(struct emlfs_attr *ret)
{
    ret->name_brief = true;
    ret->name_shared = false;
}

int view_search_errno(int rc)
{
    switch (rc) {
    case -EINVAL:
        return rc;
    case -E2BIG:
        return -ENAMETOOLONG;
    case -ECANCELED:
        return -EINTR;
    default:
        return view_errno(rc);
    }
}

/* ---- queries */

static int query_parse(const char *text, enum emlfs_query_form form, struct emlfs_query **ret,
                       struct emlfs_err *err)
{
    struct emlfs_query_mistake mistake = {.at = 0};
    int rc;

    if (strlen(text) > EMLFS_QUERY_MAX_BYTES)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "query too long");
    rc = emlfs_query_parse(emlfs_span_str(text), form, ret, &mistake);
    if (rc == -EINVAL)
        return emlfs_err_set(err, EINVAL, "view", "query, character %u: %s", mistake.at,
                             mistake.text);
    return rc < 0 ? emlfs_err_sys(err, -view_search_errno(rc), "view", "query") : 0;
}

int view_saved_get(struct emlfs_view *view, const struct view_node *at,
                   struct emlfs_saved_search *ret, struct emlfs_err *err)
{
    const struct emlfs_saved_id id = {at->saved};
    int rc = emlfs_saved_by_id(view->options.saved, id, ret);

    if (rc == 0 && ret->user.v != at->user.v)
        rc = -ENOENT;
    return rc < 0 ? emlfs_err_sys(err, -view_errno(rc), "view", "saved search %u", id.v) : 0;
}

static int open_saved(struct emlfs_view *view, const struct view_node *at, struct view_search *ret,
                      struct emlfs_err *err)
{
    struct emlfs_saved_search saved;
    int rc;

    rc = view_saved_get(view, at, &saved, err);
    if (rc < 0)
        return rc;
    ret->user = at->user;
    (void)snprintf(ret->text, sizeof(ret->text), "%s", saved.query);
    return query_parse(saved.query, saved.form, &ret->query, err);
}

static int open_text(struct emlfs_view *view, const struct view_node *at, struct view_search *ret,
                     struct emlfs_err *err)
{
    char text[VIEW_QUERY_NAME_MAX + 1];
    int rc;

    rc = view_query_get(&view->queries, at->text, &ret->user, text);
    if (rc < 0)
        return emlfs_err_set(err, -rc, "view", "a query that is not kept any more");
    (void)snprintf(ret->text, sizeof(ret->text), "%s", text);
    return query_parse(text, EMLFS_QUERY_PATH, &ret->query, err);
}

int view_search_check(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const struct view_node *at, enum emlfs_access_call call,
                      struct emlfs_err *err)
{
    struct emlfs_target target;
    int rc = view_target(view, at, &target, err);

    return rc < 0 ? rc : view_check(view, subject, &target, call, err);
}

int view_search_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                     const struct view_node *at, struct view_search *ret, struct emlfs_err *err)
{
    int rc = view_search_check(view, subject, at, EMLFS_CALL_SEARCH, err);

    *ret = (struct view_search){.query = NULL};
    if (rc < 0)
        return rc;
    return at->kind == VIEW_QUERY ? open_text(view, at, ret, err) : open_saved(view, at, ret, err);
}

void view_search_close(struct view_search *search)
{
    emlfs_query_free(search->query);
    search->query = NULL;
}

/* ---- names */

bool view_search_top(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                     struct emlfs_attr *ret)
{
    if (!view->options.index)
        return false;
    if (strcmp(name, VIEW_SEARCHES_NAME) == 0)
        view_attr_search(view, emlfs_view_searches_node(user), user, ret);
    else if (strcmp(name, VIEW_QUERIES_NAME) == 0)
        view_attr_search(view, view_queries_node(user), user, ret);
    else
        return false;
    return true;
}

static int lookup_saved(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                        struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_saved_search saved;
    int rc;

    rc = emlfs_saved_by_name(view->options.saved, user, name, &saved);
    if (rc < 0)
        return emlfs_err_sys(err, -view_errno(rc), "view", "no such search");
    view_attr_saved(view, &saved, ret);
    return 0;
}

static int lookup_text(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                       struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_query *query;
    emlfs_node node;
    int rc;

    rc = query_parse(name, EMLFS_QUERY_PATH, &query, err);
    if (rc < 0)
        return rc;
    emlfs_query_free(query);
    rc = view_query_put(&view->queries, user, name, &node);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, "view", "query");
    view_attr_search(view, node, user, ret);
    ret->name_brief = true;
    return 0;
}

static int result_found(void *arg, struct emlfs_msg_id id)
{
    (void)arg, (void)id;
    return 1;
}

/* Does message id match now? 0, -ENOENT. */
static int result_check(struct emlfs_view *view, const struct view_search *search,
                        struct emlfs_msg_id id, struct emlfs_err *err)
{
    const struct emlfs_search one = {
        .query = search->query, .user = search->user, .above = {id.v - 1}, .below = {id.v + 1}};
    int rc;

    rc = emlfs_index_search(view->options.index, &one, result_found, NULL, err);
    if (rc < 0)
        return view_search_errno(rc);
    return rc > 0 ? 0 : emlfs_err_set(err, ENOENT, "view", "the message does not match");
}

static int lookup_result(struct emlfs_view *view, const struct emlfs_subject *subject,
                         const struct view_search *search, const char *name, struct emlfs_attr *ret,
                         struct emlfs_err *err)
{
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (!emlfs_name_id(name, &id))
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    rc = emlfs_archive_entry_of(view->options.archive, search->user, id, &entry, err);
    if (rc < 0)
        return view_errno(rc);
    if (strcmp(entry.name, name) != 0)
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    rc = result_check(view, search, id, err);
    if (rc < 0)
        return rc;
    view_attr_one(view, subject, &entry, ret);
    view_attr_result(ret);
    return 0;
}

int view_search_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                       const struct view_node *at, const char *name, struct emlfs_attr *ret,
                       struct emlfs_err *err)
{
    struct view_search search;
    int rc;

    if (!view->options.index)
        return emlfs_err_set(err, ENOENT, "view", "no such directory");
    if (at->kind == VIEW_SEARCHES || at->kind == VIEW_QUERIES) {
        rc = view_search_check(view, subject, at, EMLFS_CALL_STAT, err);
        if (rc < 0)
            return view_refused_lookup(view, subject, at->user, rc);
        return at->kind == VIEW_SEARCHES ? lookup_saved(view, at->user, name, ret, err)
                                         : lookup_text(view, at->user, name, ret, err);
    }
    rc = view_search_open(view, subject, at, &search, err);
    if (rc < 0)
        return rc;
    rc = lookup_result(view, subject, &search, name, ret, err);
    view_search_close(&search);
    return rc;
}

/* ---- nodes */

int view_search_parent(struct emlfs_view *view, const struct view_node *at,
                       struct emlfs_user_id user, emlfs_node *ret, struct emlfs_err *err)
{
    struct emlfs_user found;
    int rc = 0;

    if (at->kind == VIEW_SAVED) {
        *ret = emlfs_view_searches_node(user);
    } else if (at->kind == VIEW_QUERY) {
        *ret = view_queries_node(user);
    } else {
        rc = emlfs_user_by_id(view->options.archive, user, &found, err);
        *ret = view_folder_node(view, found.archive);
    }
    return view_errno(rc);
}

int view_search_getattr(struct emlfs_view *view, const struct view_node *at,
                        const struct emlfs_target *target, emlfs_node node, struct emlfs_attr *ret,
                        struct emlfs_err *err)
{
    struct emlfs_saved_search saved;
    int rc;

    if (at->kind != VIEW_SAVED) {
        view_attr_search(view, node, target->user, ret);
        return 0;
    }
    rc = view_saved_get(view, at, &saved, err);
    if (rc == 0)
        view_attr_saved(view, &saved, ret);
    return rc;
}
