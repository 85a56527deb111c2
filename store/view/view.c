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
 *
 * What the rules answer to a look-up is asked as EMLFS_CALL_STAT of the directory or of the
 * message.
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/asof.h"
#include "emlfs/feed.h"
#include "view_govern.h"
#include "view_maildir.h"
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
    atomic_init(&view->readers, 0);
    atomic_init(&view->epoch, 0);
    rc = view_scope_init(view, err);
    if (rc < 0) {
        free(view);
        return rc;
    }
    rc = view_queries_init(&view->queries);
    if (rc == 0 && options->layout == EMLFS_LAYOUT_MAILDIR)
        rc = (view->ahead = view_ahead_new()) ? 0 : -ENOMEM;
    if (rc == 0)
        rc = emlfs_archive_watch(options->archive, view_note_commit, view);
    if (rc < 0) {
        view_ahead_free(view->ahead);
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
    view_ahead_free(view->ahead);
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
    ret->top = (word & 1) || folder.v == view->options.scope.root.v;
    return 0;
}

/* 0, or the refusal of looking at the top folder of user's archive, recorded now and then. */
static int check_top(struct emlfs_view *view, const struct emlfs_subject *subject,
                     struct emlfs_user_id user, struct emlfs_err *err)
{
    int rc = view_check_user(view, subject, EMLFS_OBJECT_ARCHIVE, user, EMLFS_CALL_STAT, err);

    return rc < 0 ? view_refused_lookup(view, subject, user, rc) : 0;
}

static int lookup_top(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder folder;
    int rc;

    if (strcmp(name, ".emlfs") == 0 && view_scope_has_control(view)) {
        view_attr_fixed(view, VIEW_NODE_CONTROL, ret);
        return 0;
    }
    if (strcmp(name, VIEW_HOLDS_NAME) == 0 && view_scope_has_control(view) &&
        view->options.layout == EMLFS_LAYOUT_TREE) {
        const struct view_node at = {.kind = VIEW_HOLDS};
        struct emlfs_target holds;

        rc = view_target(view, &at, &holds, err);
        if (rc == 0)
            rc = view_check(view, subject, &holds, EMLFS_CALL_STAT, err);
        if (rc == 0)
            view_attr_fixed(view, VIEW_NODE_HOLDS, ret);
        return rc;
    }
    rc = emlfs_archive_folder_lookup(view->options.archive, root, name, &folder, err);
    if (rc < 0)
        return view_errno(rc);
    rc = check_top(view, subject, folder.user, err);
    if (rc == 0)
        view_attr_one_folder(view, &folder, ret);
    return rc;
}

static int lookup_control(struct emlfs_view *view, const char *name, struct emlfs_attr *ret,
                          struct emlfs_err *err)
{
    static const struct {
        const char *name;
        emlfs_node node;
    } names[] = {
        {"status.json", VIEW_NODE_STATUS}, {"by-id", VIEW_NODE_BY_ID},
        {"audit", VIEW_NODE_AUDIT},        {"checkpoint", VIEW_NODE_CHECKPOINT},
        {"explain", VIEW_NODE_EXPLAIN},    {"due", VIEW_NODE_DUE},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0 &&
            !view_hides(view, view_node_decode(names[i].node).kind)) {
            view_attr_fixed(view, names[i].node, ret);
            return 0;
        }
    return emlfs_err_set(err, ENOENT, "view", "no such name");
}

static int lookup_due(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_target due = {.kind = EMLFS_OBJECT_AUDIT};
    uint32_t day;
    int rc;

    rc = view_check(view, subject, &due, EMLFS_CALL_LIST, err);
    if (rc < 0)
        return rc;
    if (!view_due_parse(view, name, &day))
        return emlfs_err_set(err, ENOENT, "view", "no day of the coming year");
    view_attr_fixed(view, view_due_node(day), ret);
    ret->name_shared = false;
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

int view_entry_seen(struct emlfs_view *view, const struct emlfs_subject *subject,
                    struct emlfs_msg_id id, struct emlfs_entry *ret, struct emlfs_err *err)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder top = {.id = {0}};
    struct emlfs_target target;
    int rc;

    for (;;) {
        rc = emlfs_archive_folder_next(view->options.archive, root, top.id, &top, err);
        if (rc < 0)
            return view_errno(rc);
        target = view_target_message(top.user, id);
        if (view_check(view, subject, &target, EMLFS_CALL_STAT, NULL) < 0)
            continue;
        rc = emlfs_archive_entry_of(view->options.archive, top.user, id, ret, err);
        if (rc != -ENOENT)
            return view_errno(rc);
    }
}

/* The message as any archive shows it that the caller may read. */
static int lookup_by_id(struct emlfs_view *view, const struct emlfs_subject *subject,
                        const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (!by_id_parse(name, &id))
        return emlfs_err_set(err, ENOENT, "view", "not a message id");
    rc = view_entry_seen(view, subject, id, &entry, err);
    if (rc < 0)
        return rc;
    view_attr_one(view, subject, &entry, ret);
    ret->name_shared = false;
    return 0;
}

static int lookup_explain(struct emlfs_view *view, const struct emlfs_subject *subject,
                          const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (strlen(name) >= EMLFS_MSG_ID_TEXT_MAX ||
        !emlfs_msg_id_parse(name, (unsigned)strlen(name), &id))
        return emlfs_err_set(err, ENOENT, "view", "not a message id");
    rc = view_entry_seen(view, subject, id, &entry, err);
    if (rc < 0)
        return rc;
    view_attr_fixed(view, view_explained_node(id), ret);
    ret->name_shared = false;
    return 0;
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
    struct emlfs_target target;
    struct emlfs_folder folder;
    struct emlfs_entry entry;
    struct view_owner owner;
    int rc;

    rc = view_owner_of(view, parent, &owner, err);
    if (rc < 0)
        return rc;
    target = view_target_folder(&(struct view_owner){owner.user, false});
    rc = view_check(view, subject, &target, EMLFS_CALL_STAT, err);
    if (rc < 0)
        return view_refused_lookup(view, subject, owner.user, rc);
    rc = owner.top && view_search_top(view, owner.user, name, ret) ? 0 : -ENOENT;
    if (rc == -ENOENT && looks_like_message(name)) {
        rc = view_entry_lookup(view, parent, name, &entry, err);
        if (rc == 0)
            view_attr_one(view, subject, &entry, ret);
    }
    if (rc == -ENOENT) {
        rc = emlfs_archive_folder_lookup(archive, parent, name, &folder, err);
        if (rc == 0)
            view_attr_one_folder(view, &folder, ret);
    }
    if (rc == 0 && view->options.strict_root && owner.top)
        ret->name_shared = false;
    return view_errno(rc);
}

int emlfs_view_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                      emlfs_node parent, const char *name, struct emlfs_attr *ret,
                      struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, parent);

    if (strlen(name) > 255)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    if (strlen(name) > EMLFS_NAME_MAX_BYTES && at.kind != VIEW_QUERIES)
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    if (view_hides(view, at.kind))
        return emlfs_err_set(err, ENOENT, "view", "no such directory");
    if (view->options.layout == EMLFS_LAYOUT_MAILDIR && view_maildir_has(at.kind))
        return view_maildir_lookup(view, subject, &at, name, ret, err);
    switch (at.kind) {
    case VIEW_ROOT:
        return lookup_top(view, subject, name, ret, err);
    case VIEW_CONTROL:
        return lookup_control(view, name, ret, err);
    case VIEW_BY_ID:
        return lookup_by_id(view, subject, name, ret, err);
    case VIEW_EXPLAIN:
        return lookup_explain(view, subject, name, ret, err);
    case VIEW_DUE:
        return lookup_due(view, subject, name, ret, err);
    case VIEW_HOLDS:
        return view_holds_lookup(view, subject, name, ret, err);
    case VIEW_HOLD:
        return view_hold_lookup(view, subject, at.saved, name, ret, err);
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

static int getattr_folder(struct emlfs_view *view, struct emlfs_folder_id id,
                          struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc;

    rc = emlfs_archive_folder_get(view->options.archive, id, &folder, err);
    if (rc == 0)
        view_attr_one_folder(view, &folder, ret);
    return view_errno(rc);
}

static int getattr_message(struct emlfs_view *view, const struct emlfs_subject *subject,
                           const struct view_node *at, struct emlfs_attr *ret,
                           struct emlfs_err *err)
{
    struct emlfs_entry entry;
    int rc;

    rc = emlfs_archive_entry_of(view->options.archive, at->user, at->id, &entry, err);
    if (rc == 0)
        view_attr_one(view, subject, &entry, ret);
    return view_errno(rc);
}

int emlfs_view_getattr(struct emlfs_view *view, const struct emlfs_subject *subject,
                       emlfs_node node, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, node);
    struct emlfs_target target;
    int rc;

    rc = view_target(view, &at, &target, err);
    if (rc == 0)
        rc = view_check(view, subject, &target, EMLFS_CALL_STAT, err);
    if (rc < 0)
        return rc;
    switch (at.kind) {
    case VIEW_PART:
    case VIEW_SAVED_PART:
    case VIEW_TOP_BOX:
        return view_maildir_getattr(view, &at, ret, err);
    case VIEW_FOLDER:
        return getattr_folder(view, at.folder, ret, err);
    case VIEW_MESSAGE:
        return getattr_message(view, subject, &at, ret, err);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_QUERY:
        return view_search_getattr(view, &at, &target, node, ret, err);
    case VIEW_HOLD:
        return view_hold_getattr(view, at.saved, ret, err);
    default:
        view_attr_fixed(view, node, ret);
        return 0;
    }
}

bool view_kind_is_file(enum view_kind kind)
{
    return kind == VIEW_MESSAGE || kind == VIEW_STATUS || kind == VIEW_AUDIT ||
           kind == VIEW_CHECKPOINT || kind == VIEW_DUE_DAY || kind == VIEW_EXPLAINED;
}

int emlfs_view_access(struct emlfs_view *view, const struct emlfs_subject *subject, emlfs_node node,
                      struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, node);
    struct view_attempt attempt = {.subject = subject, .folder = at.folder};
    int rc;

    attempt.call = view_kind_is_file(at.kind) ? EMLFS_CALL_OPEN : EMLFS_CALL_LIST;
    if (at.kind == VIEW_MESSAGE)
        attempt.message = at.id;
    rc = view_target(view, &at, &attempt.target, err);
    if (rc < 0)
        return rc;
    rc =
        view_refused(view, &attempt, view_check(view, subject, &attempt.target, attempt.call, err));
    if (rc == 0 && at.kind == VIEW_MESSAGE)
        rc = view_errno(emlfs_asof_given(view->options.archive, at.user, at.id, err));
    return rc;
}
