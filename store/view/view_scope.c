/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a view is of, and who asks through it.
 *
 * C1  A node outside the scope does not exist, whatever named it: it is VIEW_NONE from here on.
 * C2  A scope takes away, and grants nothing: who may see what is in it, the rules say. Only the
 *     auditor of a scope says who acts, and what comes from outside then is nobody's.
 * C3  The folder that is the root is node 1, and no other node; its inode number stays its own.
 */
#include <stdlib.h>

#include "view_search.h"

#define DEPTH_MAX 256u

static bool is_narrow(const struct emlfs_view_scope *scope)
{
    return scope->root.v != 0 || scope->store_no != 0;
}

int view_scope_init(struct emlfs_view *view, struct emlfs_err *err)
{
    const struct emlfs_view_scope *scope = &view->options.scope;
    struct emlfs_folder folder;
    int rc;

    if (scope->root.v) {
        rc = emlfs_archive_folder_get(view->options.archive, scope->root, &folder, err);
        if (rc < 0)
            return rc;
        view->scope_user = folder.user;
        view->scope_whole = folder.parent.v == 0;
    }
    /* Results are not sorted by folder or store: such a view has no searches. */
    if (scope->store_no || (scope->root.v && !view->scope_whole)) {
        view->options.index = NULL;
        view->options.saved = NULL;
    }
    if (scope->auditor)
        view->options.read_only = true;
    return 0;
}

/* ---- who */

/* C2. Rights may have gone since the view was made. */
static bool is_auditor(struct emlfs_view *view, const struct emlfs_subject *subject)
{
    struct emlfs_who who;

    emlfs_rules_who(view->options.rules, subject, &who);
    return who.access.auditor;
}

const struct emlfs_subject *
view_caller(struct emlfs_view *view, const struct emlfs_subject *subject, struct emlfs_subject *ret)
{
    const struct emlfs_view_scope *scope = &view->options.scope;

    *ret = *subject;
    ret->read_only |= view->options.read_only;
    ret->private_names |= view->options.private_names;
    if (!scope->auditor || subject->acts)
        return ret;
    ret->acts = true;
    ret->gid = (gid_t)-1;
    if (subject->uid == scope->account || subject->uid == scope->mounter)
        ret->as = scope->acts;
    if (ret->as.v && !is_auditor(view, ret))
        ret->as.v = 0;
    if (subject->uid == 0 && ret->as.v == 0)
        ret->private_names = false; /* file servers look the top up as root */
    return ret;
}

bool view_is_outsider(struct emlfs_view *view, const struct emlfs_subject *subject)
{
    return view->options.scope.auditor && subject->as.v == 0;
}

/* ---- what */

static bool folder_is_in(struct emlfs_view *view, struct emlfs_folder_id id)
{
    const struct emlfs_folder_id root = view->options.scope.root;
    struct emlfs_folder folder;
    struct view_owner owner;

    if (root.v == 0 || id.v == root.v)
        return true;
    if (view_owner_of(view, id, &owner, NULL) < 0 || owner.user.v != view->scope_user.v)
        return false;
    for (unsigned i = 0; !view->scope_whole && i < DEPTH_MAX; i++) {
        if (emlfs_archive_folder_get(view->options.archive, id, &folder, NULL) < 0)
            return false;
        id = folder.parent;
        if (id.v == root.v || id.v == 0)
            return id.v != 0;
    }
    return view->scope_whole;
}

/* Is it filed in a folder of the scope, in this user's archive? */
static bool filing_is_in(struct emlfs_view *view, struct emlfs_user_id user, struct emlfs_msg_id id)
{
    struct emlfs_filing *filings = calloc(EMLFS_FILINGS_MAX, sizeof(*filings));
    unsigned n = 0;
    bool in = false;

    if (filings &&
        emlfs_archive_filings(view->options.archive, id, filings, EMLFS_FILINGS_MAX, &n, NULL) < 0)
        n = 0;
    for (unsigned i = 0; i < n && !in; i++)
        in = filings[i].user.v == user.v && folder_is_in(view, filings[i].folder);
    free(filings);
    return in;
}

bool view_scope_message(struct emlfs_view *view, struct emlfs_msg_id id)
{
    const uint16_t store_no = view->options.scope.store_no;

    return store_no == 0 || emlfs_msg_id_store(id) == store_no;
}

static bool message_is_in(struct emlfs_view *view, const struct view_node *at)
{
    if (!view_scope_message(view, at->id))
        return false;
    if (view->options.scope.root.v == 0)
        return true;
    if (at->user.v != view->scope_user.v)
        return false;
    return view->scope_whole || filing_is_in(view, at->user, at->id);
}

static bool node_is_in(struct emlfs_view *view, const struct view_node *at)
{
    switch (at->kind) {
    case VIEW_NONE:
    case VIEW_ROOT:
    case VIEW_QUERY: /* of a view's own memory: it was found in the scope */
        return true;
    case VIEW_FOLDER:
        return folder_is_in(view, at->folder);
    case VIEW_MESSAGE:
        return message_is_in(view, at);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
        return at->user.v == view->scope_user.v;
    default:
        return false; /* what is of the archive as a whole */
    }
}

struct view_node view_node_at(struct emlfs_view *view, emlfs_node node)
{
    struct view_node at = view_node_decode(node);

    if (!is_narrow(&view->options.scope))
        return at;
    if (at.kind == VIEW_ROOT && view->options.scope.root.v)
        return (struct view_node){.kind = VIEW_FOLDER, .folder = view->options.scope.root};
    return node_is_in(view, &at) ? at : (struct view_node){.kind = VIEW_NONE};
}

emlfs_node view_folder_node(struct emlfs_view *view, struct emlfs_folder_id folder)
{
    return folder.v && folder.v == view->options.scope.root.v ? EMLFS_NODE_ROOT
                                                              : emlfs_view_folder_node(folder);
}

bool view_scope_has_control(struct emlfs_view *view)
{
    return !is_narrow(&view->options.scope);
}

int view_entry_lookup(struct emlfs_view *view, struct emlfs_folder_id folder, const char *name,
                      struct emlfs_entry *ret, struct emlfs_err *err)
{
    int rc = emlfs_archive_entry_lookup(view->options.archive, folder, name, ret, err);

    if (rc == 0 && !view_scope_message(view, ret->id))
        return emlfs_err_set(err, ENOENT, "view", "no such message");
    return rc;
}
