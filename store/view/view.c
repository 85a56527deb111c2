/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The tree as a caller sees it: names, attributes, and the right to see them. Searches are
 * view_search.c's.
 *
 * V1  Every function decides by its subject, whatever the kernel's mode check said before.
 * V2  Of a user archive whose mail the caller may not read, nothing is listed and nothing below it
 *     exists. The top directory itself can be looked up by its name, by everybody alike: so the
 *     kernel may remember it, which absolute paths need, and file servers reach it as root. With
 *     private_names only uid 0 can, and strangers get ENOENT.
 * V3  What lies inside a user archive looks the same to everybody who may see it.
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/feed.h"
#include "view_search.h"

/* The archive's word after each commit. */
static void view_note_commit(void *arg)
{
    struct emlfs_view *view = arg;

    atomic_fetch_add(&view->epoch, 1);
}

int emlfs_view_new(const struct emlfs_view_options *options, struct emlfs_view **ret,
                   struct emlfs_err *err)
{
    struct emlfs_view *view = calloc(1, sizeof(*view));
    int rc;

    if (!view)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    view->options = *options;
    view->gid = 0;
    atomic_init(&view->readers, 0);
    atomic_init(&view->epoch, 0);
    rc = view_queries_init(&view->queries);
    if (rc == 0)
        rc = emlfs_archive_watch(options->archive, view_note_commit, view);
    if (rc < 0) {
        view_queries_free(&view->queries);
        free(view);
        return emlfs_err_sys(err, -rc, "view", "no view");
    }
    pthread_mutex_init(&view->changed_lock, NULL);
    *ret = view;
    return 0;
}

void emlfs_view_free(struct emlfs_view *view)
{
    if (!view)
        return;
    emlfs_archive_unwatch(view->options.archive, view_note_commit, view);
    pthread_mutex_destroy(&view->changed_lock);
    view_queries_free(&view->queries);
    free(view);
}

int view_owner_of(struct emlfs_view *view, struct emlfs_folder_id folder, struct view_owner *ret,
                  struct emlfs_err *err)
{
    _Atomic uint64_t *slot = &view->owners[folder.v % VIEW_OWNER_CACHE];
    uint64_t word = atomic_load_explicit(slot, memory_order_relaxed);
    struct emlfs_folder found;
    int rc;

    if (folder.v == 0)
        return emlfs_err_set(err, ENOENT, "view", "no such folder");
    if (word >> 32 != folder.v) {
        rc = emlfs_archive_folder_get(view->options.archive, folder, &found, err);
        if (rc < 0)
            return view_errno(rc);
        word = (uint64_t)folder.v << 32 | (uint64_t)found.user.v << 1 | (found.parent.v == 0);
        atomic_store_explicit(slot, word, memory_order_relaxed);
    }
    ret->user.v = (uint16_t)(word >> 1);
    ret->top = word & 1;
    return 0;
}

int view_check_read(struct emlfs_view *view, const struct emlfs_subject *subject,
                    struct emlfs_user_id user, struct emlfs_err *err)
{
    if (emlfs_bindings_may_read(view->options.bindings, subject, user))
        return 0;
    return emlfs_err_set(err, subject->uid == 0 ? EACCES : ENOENT, "view",
                         "the caller may not read this archive");
}

uid_t view_uid(struct emlfs_view *view, struct emlfs_user_id user)
{
    uid_t uid;

    return emlfs_bindings_uid(view->options.bindings, user, &uid) == 0 ? uid : 0;
}

/* May subject see the top directory of any user archive, by its name? */
static bool top_visible(const struct emlfs_view *view, const struct emlfs_subject *subject)
{
    return subject->uid == 0 || !view->options.private_names;
}

static int lookup_archive(struct emlfs_view *view, const struct emlfs_subject *subject,
                          const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder folder;
    int rc;

    if (strcmp(name, ".emlfs") == 0) {
        view_attr_fixed(view, VIEW_NODE_CONTROL, ret);
        return 0;
    }
    rc = emlfs_archive_folder_lookup(view->options.archive, root, name, &folder, err);
    if (rc < 0)
        return view_errno(rc);
    rc = top_visible(view, subject) ? 0 : view_check_read(view, subject, folder.user, err);
    if (rc < 0)
        return rc;
    view_attr_folder(view, &folder, view_uid(view, folder.user), ret);
    return 0;
}

static int lookup_control(struct emlfs_view *view, const char *name, struct emlfs_attr *ret,
                          struct emlfs_err *err)
{
    if (strcmp(name, "status.json") == 0)
        view_attr_fixed(view, VIEW_NODE_STATUS, ret);
    else if (strcmp(name, "by-id") == 0)
        view_attr_fixed(view, VIEW_NODE_BY_ID, ret);
    else
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    return 0;
}

/* "ID.eml", and only as emlfs_msg_id_format writes it. */
static bool by_id_parse(const char *name, struct emlfs_msg_id *ret_id)
{
    size_t len = strlen(name);

    if (len <= 4 || len >= EMLFS_MSG_ID_TEXT_MAX + 4 || strcmp(name + len - 4, ".eml") != 0)
        return false;
    return emlfs_msg_id_parse(name, (unsigned)(len - 4), ret_id);
}

/* The message as any archive shows it that the caller may read. */
static int lookup_by_id(struct emlfs_view *view, const struct emlfs_subject *subject,
                        const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder top = {.id = {0}};
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (!by_id_parse(name, &id))
        return emlfs_err_set(err, ENOENT, "view", "not a message id");
    for (;;) {
        rc = emlfs_archive_folder_next(view->options.archive, root, top.id, &top, err);
        if (rc < 0)
            return view_errno(rc);
        if (view_check_read(view, subject, top.user, NULL) < 0)
            continue;
        rc = emlfs_archive_entry_of(view->options.archive, top.user, id, &entry, err);
        if (rc == -ENOENT)
            continue;
        if (rc < 0)
            return view_errno(rc);
        view_attr_entry(view, &entry, view_uid(view, entry.user), ret);
        ret->name_shared = false;
        return 0;
    }
}

static bool looks_like_message(const char *name)
{
    size_t len = strlen(name);

    return len > 5 && strcmp(name + len - 5, "].eml") == 0;
}

static int lookup_in_folder(struct emlfs_view *view, const struct emlfs_subject *subject,
                            struct emlfs_folder_id parent, const char *name, struct emlfs_attr *ret,
                            struct emlfs_err *err)
{
    struct emlfs_archive *archive = view->options.archive;
    struct emlfs_folder folder;
    struct emlfs_entry entry;
    struct view_owner owner;
    int rc;

    rc = view_owner_of(view, parent, &owner, err);
    if (rc == 0)
        rc = view_check_read(view, subject, owner.user, err);
    if (rc < 0)
        return rc;
    rc = owner.top && view_search_top(view, owner.user, name, ret) ? 0 : -ENOENT;
    if (rc == -ENOENT && looks_like_message(name)) {
        rc = emlfs_archive_entry_lookup(archive, parent, name, &entry, err);
        if (rc == 0)
            view_attr_entry(view, &entry, view_uid(view, entry.user), ret);
    }
    if (rc == -ENOENT) {
        rc = emlfs_archive_folder_lookup(archive, parent, name, &folder, err);
        if (rc == 0)
            view_attr_folder(view, &folder, view_uid(view, folder.user), ret);
    }
    if (rc == 0)
        ret->name_shared = !(view->options.strict_root && owner.top);
    return view_errno(rc);
}

int emlfs_view_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                      emlfs_node parent, const char *name, struct emlfs_attr *ret,
                      struct emlfs_err *err)
{
    struct view_node at = view_node_decode(parent);

    if (strlen(name) > 255)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    if (strlen(name) > EMLFS_NAME_MAX_BYTES && at.kind != VIEW_QUERIES)
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    switch (at.kind) {
    case VIEW_ROOT:
        return lookup_archive(view, subject, name, ret, err);
    case VIEW_CONTROL:
        return lookup_control(view, name, ret, err);
    case VIEW_BY_ID:
        return lookup_by_id(view, subject, name, ret, err);
    case VIEW_FOLDER:
        return lookup_in_folder(view, subject, at.folder, name, ret, err);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_QUERY:
        return view_search_lookup(view, subject, &at, name, ret, err);
    case VIEW_NONE:
        return emlfs_err_set(err, ENOENT, "view", "no such directory");
    default:
        return emlfs_err_set(err, ENOTDIR, "view", "not a directory");
    }
}

static int getattr_folder(struct emlfs_view *view, const struct emlfs_subject *subject,
                          struct emlfs_folder_id id, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc;

    rc = emlfs_archive_folder_get(view->options.archive, id, &folder, err);
    if (rc < 0)
        return view_errno(rc);
    if (folder.parent.v != 0 || !top_visible(view, subject))
        rc = view_check_read(view, subject, folder.user, err);
    if (rc < 0)
        return rc;
    view_attr_folder(view, &folder, view_uid(view, folder.user), ret);
    return 0;
}

static int getattr_message(struct emlfs_view *view, const struct emlfs_subject *subject,
                           const struct view_node *at, struct emlfs_attr *ret,
                           struct emlfs_err *err)
{
    struct emlfs_entry entry;
    int rc;

    rc = view_check_read(view, subject, at->user, err);
    if (rc == 0)
        rc = emlfs_archive_entry_of(view->options.archive, at->user, at->id, &entry, err);
    if (rc < 0)
        return view_errno(rc);
    view_attr_entry(view, &entry, view_uid(view, entry.user), ret);
    return 0;
}

int emlfs_view_getattr(struct emlfs_view *view, const struct emlfs_subject *subject,
                       emlfs_node node, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct view_node at = view_node_decode(node);

    switch (at.kind) {
    case VIEW_NONE:
        return emlfs_err_set(err, ENOENT, "view", "no such node");
    case VIEW_FOLDER:
        return getattr_folder(view, subject, at.folder, ret, err);
    case VIEW_MESSAGE:
        return getattr_message(view, subject, &at, ret, err);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_QUERY:
        return view_search_getattr(view, subject, &at, node, ret, err);
    default:
        view_attr_fixed(view, node, ret);
        return 0;
    }
}

int emlfs_view_access(struct emlfs_view *view, const struct emlfs_subject *subject, emlfs_node node,
                      struct emlfs_err *err)
{
    struct view_node at = view_node_decode(node);
    struct view_owner owner;
    int rc;

    switch (at.kind) {
    case VIEW_NONE:
        return emlfs_err_set(err, ENOENT, "view", "no such node");
    case VIEW_FOLDER:
        rc = view_owner_of(view, at.folder, &owner, err);
        return rc < 0 ? rc : view_check_read(view, subject, owner.user, err);
    case VIEW_MESSAGE:
        return view_check_read(view, subject, at.user, err);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_QUERY:
        return view_search_access(view, subject, &at, err);
    default:
        return 0;
    }
}
