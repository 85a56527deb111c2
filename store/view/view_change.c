/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be changed through the tree: mail and folders within rights, holds and retention, and
 * the list of saved searches.
 *
 * C1  Rights are asked before anything is looked up, so that one who may not see a thing does not
 *     learn whether it is there; what lies in the way by its own nature (a name that is taken, one
 *     that cannot be) comes next, retention and holds last.
 * C2  No mail is deleted or moved without a verdict, nor a folder against holds, and what the rules
 *     have overtaken is asked for anew; a message that an import is just filing is waited for. Both
 *     for a second at most. A folder that is removed is empty, so no hold is asked.
 * C3  Below a view (a search, a hold) no mail can be changed at all.
 */
#include <string.h>

#include "emlfs/base/os.h"
#include "emlfs/change.h"
#include "emlfs/name.h"
#include "view_govern.h"
#include "view_maildir.h"
#include "view_search.h"

#define FILE_NAME_MAX_BYTES 255u /* tools add to a name that fits, and rename then */

/* What a name in a folder stands for. */
enum named {
    NAMED_NOTHING,
    NAMED_MESSAGE,
    NAMED_FOLDER,
    NAMED_SEARCHES, /* Searches or .query below a top folder */
};
struct named_at {
    enum named what;
    struct emlfs_entry entry;
    struct emlfs_folder folder;
};

static bool is_reserved(const struct view_owner *owner, const char *name)
{
    return owner->top &&
           (strcmp(name, VIEW_SEARCHES_NAME) == 0 || strcmp(name, VIEW_QUERIES_NAME) == 0);
}

static int name_look(struct emlfs_view *view, struct emlfs_folder_id folder, const char *name,
                     struct named_at *ret, struct emlfs_err *err)
{
    struct view_owner owner;
    int rc = view_owner_of(view, folder, &owner, err);

    ret->what = NAMED_NOTHING;
    if (rc < 0)
        return rc;
    if (is_reserved(&owner, name)) {
        ret->what = NAMED_SEARCHES;
        return 0;
    }
    rc = view_entry_lookup(view, folder, name, &ret->entry, err);
    if (rc == 0) {
        ret->what = NAMED_MESSAGE;
        return 0;
    }
    if (rc != -ENOENT)
        return view_errno(rc);
    rc = emlfs_archive_folder_lookup(view->options.archive, folder, name, &ret->folder, err);
    if (rc == 0)
        ret->what = NAMED_FOLDER;
    return rc == -ENOENT ? 0 : view_errno(rc);
}

/* As name_look; ENOENT for nothing. */
static int name_must(struct emlfs_view *view, struct emlfs_folder_id folder, const char *name,
                     struct named_at *ret, struct emlfs_err *err)
{
    int rc = name_look(view, folder, name, ret, err);

    if (rc == 0 && ret->what == NAMED_NOTHING)
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    return rc;
}

static int name_is_taken(struct emlfs_err *err)
{
    return emlfs_err_set(err, EEXIST, "view", "the name is taken");
}

static int name_is_litter(struct emlfs_err *err)
{
    return emlfs_err_set(err, EACCES, "view", "a name of desktop litter");
}

/* A new name of a folder. */
static int name_check(const char *name, struct emlfs_err *err)
{
    if (emlfs_name_is_litter(name))
        return name_is_litter(err);
    if (strlen(name) > EMLFS_NAME_MAX_BYTES)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    if (!emlfs_name_folder_ok(name))
        return emlfs_err_set(err, EINVAL, "view", "no name of a folder");
    return 0;
}

/* ---- saved searches */

/* Refusals of the list, as the errno of a directory. */
static int change_errno(int rc)
{
    return rc == -E2BIG ? -ENOSPC : view_search_errno(rc);
}

static bool name_copy(char *to, size_t size, const char *name)
{
    size_t len = strlen(name);

    if (len >= size)
        return false;
    memcpy(to, name, len + 1);
    return true;
}

static int search_find(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                       struct emlfs_saved_search *ret, struct emlfs_err *err)
{
    int rc = emlfs_saved_by_name(view->options.saved, user, name, ret);

    return rc < 0 ? emlfs_err_sys(err, -change_errno(rc), "view", "saved search") : 0;
}

static int search_save(struct emlfs_view *view, const struct emlfs_actor *actor,
                       struct emlfs_user_id user, const char *name, struct emlfs_attr *ret,
                       struct emlfs_err *err)
{
    struct emlfs_saved_search search = {.user = user, .form = EMLFS_QUERY_PATH};
    int rc;

    if (emlfs_name_is_litter(name))
        return name_is_litter(err);
    if (!name_copy(search.name, sizeof(search.name), name) ||
        !name_copy(search.query, sizeof(search.query), name))
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    rc = emlfs_saved_add(view->options.saved, actor, &search, err);
    if (rc < 0)
        return change_errno(rc);
    view_attr_saved(view, &search, ret);
    return 0;
}

static int search_remove(struct emlfs_view *view, const struct view_attempt *attempt,
                         struct emlfs_err *err)
{
    struct emlfs_actor actor = view_actor(view, attempt->subject);
    struct emlfs_saved_search search;
    int rc;

    rc = search_find(view, attempt->target.user, attempt->name, &search, err);
    if (rc < 0)
        return rc;
    return change_errno(emlfs_saved_remove(view->options.saved, &actor, search.id, err));
}

static int search_rename(struct emlfs_view *view, const struct view_attempt *attempt,
                         const char *new_name, struct emlfs_err *err)
{
    struct emlfs_actor actor = view_actor(view, attempt->subject);
    struct emlfs_saved_search search;
    int rc;

    rc = search_find(view, attempt->target.user, attempt->name, &search, err);
    if (rc < 0 || strcmp(attempt->name, new_name) == 0)
        return rc;
    if (emlfs_name_is_litter(new_name))
        return name_is_litter(err);
    if (strlen(new_name) > EMLFS_NAME_MAX_BYTES)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    return change_errno(emlfs_saved_rename(view->options.saved, &actor, search.id, new_name, err));
}

/* ---- making folders and searches */

static int folder_make(struct emlfs_view *view, const struct view_attempt *attempt,
                       struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_actor actor = view_actor(view, attempt->subject);
    struct emlfs_folder folder;
    struct emlfs_folder_id id;
    struct named_at taken;
    int rc;

    rc = name_look(view, attempt->folder, attempt->name, &taken, err);
    if (rc == 0 && taken.what != NAMED_NOTHING)
        return name_is_taken(err);
    if (rc == 0)
        rc = name_check(attempt->name, err);
    if (rc == 0)
        rc = emlfs_archive_folder_add(view->options.archive, &actor, attempt->folder, attempt->name,
                                      &id, err);
    if (rc == 0)
        rc = emlfs_archive_folder_get(view->options.archive, id, &folder, err);
    if (rc == 0)
        view_attr_one_folder(view, &folder, ret);
    return rc == -E2BIG ? -ENOSPC : view_errno(rc);
}

static int change_is_elsewhere(struct emlfs_err *err)
{
    return emlfs_err_set(err, EROFS, "view", "this place takes no changes");
}

/* Searches and .query themselves. */
static int searches_are_fixed(struct view_attempt *attempt, struct emlfs_err *err)
{
    attempt->target.kind = EMLFS_OBJECT_SEARCHES;
    return change_is_elsewhere(err);
}

static int mkdir_in(struct emlfs_view *view, const struct view_node *at,
                    const struct view_attempt *attempt, struct emlfs_attr *ret,
                    struct emlfs_err *err)
{
    struct emlfs_actor actor;
    int rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_MKDIR, err);

    if (rc < 0)
        return rc;
    if (at->kind == VIEW_FOLDER)
        return folder_make(view, attempt, ret, err);
    if (at->kind != VIEW_SEARCHES)
        return change_is_elsewhere(err);
    actor = view_actor(view, attempt->subject);
    return search_save(view, &actor, attempt->target.user, attempt->name, ret, err);
}

/* What is tried, at the directory that it is tried in. */
static int attempt_begin(struct emlfs_view *view, const struct view_node *at,
                         struct view_attempt *attempt, struct emlfs_err *err)
{
    attempt->folder = at->folder;
    return view_target(view, at, &attempt->target, err);
}

int emlfs_view_mkdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_attr *ret,
                     struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, parent);
    struct view_attempt attempt = {.subject = subject, .call = EMLFS_CALL_MKDIR, .name = name};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, parent, err);
    rc = attempt_begin(view, &at, &attempt, err);

    return rc < 0 ? rc : view_refused(view, &attempt, mkdir_in(view, &at, &attempt, ret, err));
}

/* ---- new files */

static int create_in(struct emlfs_view *view, const struct view_node *at,
                     const struct view_attempt *attempt, const char *name, struct emlfs_err *err)
{
    struct named_at taken;
    int rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_CREATE, err);

    if (rc < 0)
        return rc;
    if (at->kind != VIEW_FOLDER)
        return change_is_elsewhere(err);
    if (emlfs_archive_all_protected(view->options.archive))
        return emlfs_err_set(err, EROFS, "view", "every store is write-protected");
    if (strlen(name) > FILE_NAME_MAX_BYTES)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    rc = name_look(view, at->folder, name, &taken, err);
    return rc == 0 && taken.what != NAMED_NOTHING ? name_is_taken(err) : rc;
}

int emlfs_view_may_create(struct emlfs_view *view, const struct emlfs_subject *subject,
                          emlfs_node parent, const char *name, struct emlfs_view_place *ret,
                          struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, parent);
    /* Without its name, which is one of a message. */
    struct view_attempt attempt = {.subject = subject, .call = EMLFS_CALL_CREATE};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, parent, err);
    if (emlfs_name_is_litter(name) && !emlfs_name_is_discarded(name))
        return name_is_litter(err); /* nobody's attempt, and no record */
    rc = attempt_begin(view, &at, &attempt, err);
    if (rc < 0)
        return rc;
    *ret = (struct emlfs_view_place){attempt.target.user, at.folder};
    return view_refused(view, &attempt, create_in(view, &at, &attempt, name, err));
}

/* ---- removing folders and searches */

static int folder_remove(struct emlfs_view *view, struct view_attempt *attempt,
                         struct emlfs_err *err)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_FOLDER, .user = attempt->target.user};
    struct emlfs_actor actor;
    struct named_at named;
    int rc;

    rc = view_check(view, attempt->subject, &target, EMLFS_CALL_STAT, err);
    if (rc == 0)
        rc = name_must(view, attempt->folder, attempt->name, &named, err);
    if (rc < 0)
        return rc;
    if (named.what == NAMED_MESSAGE)
        return emlfs_err_set(err, ENOTDIR, "view", "a message");
    if (named.what == NAMED_SEARCHES)
        return searches_are_fixed(attempt, err);
    rc = view_check(view, attempt->subject, &target, EMLFS_CALL_RMDIR, err);
    if (rc < 0)
        return rc;
    actor = view_actor(view, attempt->subject);
    return view_errno(
        emlfs_archive_folder_remove(view->options.archive, &actor, named.folder.id, err));
}

/* A name in the root: a user archive, Holds, .emlfs. */
static int root_refuse(struct emlfs_view *view, const struct view_attempt *attempt,
                       struct emlfs_err *err)
{
    struct emlfs_attr attr;
    struct view_node at;
    struct emlfs_target target;
    int rc = emlfs_view_lookup(view, attempt->subject, EMLFS_NODE_ROOT, attempt->name, &attr, err);

    if (rc < 0)
        return rc;
    at = view_node_decode(attr.node);
    rc = view_target(view, &at, &target, err);
    if (rc == 0)
        rc = view_check(view, attempt->subject, &target, attempt->call, err);
    return rc < 0 ? rc : emlfs_err_set(err, EACCES, "view", "nobody may change this");
}

static int rmdir_in(struct emlfs_view *view, const struct view_node *at,
                    struct view_attempt *attempt, struct emlfs_err *err)
{
    const struct emlfs_target search = {.kind = EMLFS_OBJECT_SEARCH, .user = attempt->target.user};
    int rc;

    switch (at->kind) {
    case VIEW_FOLDER:
        return folder_remove(view, attempt, err);
    case VIEW_SEARCHES:
        rc = view_check(view, attempt->subject, &search, EMLFS_CALL_RMDIR, err);
        return rc < 0 ? rc : search_remove(view, attempt, err);
    case VIEW_ROOT:
        return root_refuse(view, attempt, err);
    default:
        rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_STAT, err);
        return rc < 0 ? rc : change_is_elsewhere(err);
    }
}

int emlfs_view_rmdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, parent);
    struct view_attempt attempt = {.subject = subject, .call = EMLFS_CALL_RMDIR, .name = name};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, parent, err);
    rc = attempt_begin(view, &at, &attempt, err);

    return rc < 0 ? rc : view_refused(view, &attempt, rmdir_in(view, &at, &attempt, err));
}

/* ---- deleting mail */

static int message_delete(struct emlfs_view *view, const struct emlfs_subject *subject,
                          const struct emlfs_entry *entry, struct emlfs_err *err)
{
    const struct emlfs_entry_at at = {entry->user, entry->folder, entry->id};
    struct emlfs_actor actor;
    struct emlfs_who who;
    unsigned waited_ms = 0;
    int rc;

    emlfs_rules_who(view->options.rules, subject, &who);
    actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    do {
        struct emlfs_verdict *verdict = NULL;

        rc = emlfs_rules_delete(view->options.rules, &who, &at, &verdict, err);
        if (rc == 0)
            rc = emlfs_archive_entry_delete(view->options.archive, &actor, &at, verdict, err);
        emlfs_verdict_free(verdict);
    } while (rc == -EAGAIN && emlfs_os_try_later(&waited_ms));
    return view_errno(rc);
}

static int unlink_in(struct emlfs_view *view, const struct view_node *at,
                     struct view_attempt *attempt, struct emlfs_err *err)
{
    struct emlfs_target shown = {.kind = EMLFS_OBJECT_SHOWN, .user = attempt->target.user};
    struct named_at named;
    int rc;

    if (at->kind == VIEW_ROOT)
        return root_refuse(view, attempt, err);
    if (at->kind == VIEW_FOLDER)
        shown.kind = EMLFS_OBJECT_FOLDER;
    else if (at->kind != VIEW_SAVED && at->kind != VIEW_QUERY)
        shown = attempt->target;
    rc = view_check(view, attempt->subject, &shown, EMLFS_CALL_STAT, err);
    if (rc < 0)
        return rc;
    if (at->kind != VIEW_FOLDER)
        return change_is_elsewhere(err); /* C3 */
    rc = name_must(view, at->folder, attempt->name, &named, err);
    if (rc < 0)
        return rc;
    if (named.what != NAMED_MESSAGE)
        return emlfs_err_set(err, EISDIR, "view", "a directory");
    attempt->message = named.entry.id;
    attempt->target = view_target_message(named.entry.user, named.entry.id);
    return message_delete(view, attempt->subject, &named.entry, err);
}

int emlfs_view_unlink(struct emlfs_view *view, const struct emlfs_subject *subject,
                      emlfs_node parent, const char *name, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, parent);
    struct view_attempt attempt = {.subject = subject, .call = EMLFS_CALL_UNLINK, .name = name};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, parent, err);
    rc = attempt_begin(view, &at, &attempt, err);

    return rc < 0 ? rc : view_refused(view, &attempt, unlink_in(view, &at, &attempt, err));
}

/* ---- moving */

/* A move between two folders under way. */
struct moving {
    struct emlfs_view *view;
    const struct emlfs_view_move *move;
    struct view_attempt *attempt; /* its target: what is moved */
    struct view_owner to_owner;
    struct emlfs_folder_id to;
    struct named_at named;
};

/* Filed in too many folders is what tools know as too many links. */
int view_move_errno(int rc)
{
    return rc == -E2BIG ? -EMLINK : view_errno(rc);
}

static int message_move(const struct moving *moving, struct emlfs_err *err)
{
    struct emlfs_view *view = moving->view;
    const struct emlfs_entry *entry = &moving->named.entry;
    const struct emlfs_entry_at at = {entry->user, entry->folder, entry->id};
    struct emlfs_actor actor;
    struct emlfs_who who;
    unsigned waited_ms = 0;
    int rc;

    if (strcmp(moving->move->to_name, entry->name) != 0)
        return emlfs_err_set(err, EPERM, "view", "a message keeps its name");
    emlfs_rules_who(view->options.rules, moving->attempt->subject, &who);
    actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    do {
        struct emlfs_verdict *verdict = NULL;

        rc = emlfs_rules_move(view->options.rules, &who, &at, moving->to_owner.user, &verdict, err);
        if (rc == 0)
            rc = emlfs_archive_entry_move(view->options.archive, &actor, &at, moving->to, verdict,
                                          err);
        emlfs_verdict_free(verdict);
    } while (rc == -EAGAIN && emlfs_os_try_later(&waited_ms));
    return view_move_errno(rc);
}

static int folder_move(const struct moving *moving, struct emlfs_err *err)
{
    struct emlfs_view *view = moving->view;
    const struct emlfs_folder_id id = moving->named.folder.id;
    struct emlfs_folder_place place = {.parent = moving->to, .name = moving->move->to_name};
    struct emlfs_actor actor;
    unsigned waited_ms = 0;
    int rc = name_check(moving->move->to_name, err);

    if (rc == 0 && moving->named.folder.user.v != moving->to_owner.user.v)
        return emlfs_err_set(err, EPERM, "view", "a folder stays in its user archive");
    if (rc < 0)
        return rc;
    actor = view_actor(view, moving->attempt->subject);
    do {
        rc = emlfs_rules_folder_free(view->options.rules, id, &place.generation, err);
        if (rc == 0)
            rc = emlfs_archive_folder_move(view->options.archive, &actor, id, &place, err);
    } while (rc == -EAGAIN && emlfs_os_try_later(&waited_ms));
    return view_errno(rc);
}

/* Is what has the new name another thing than what is moved? A folder may change its case only. */
static bool is_other(const struct moving *moving, const struct named_at *there)
{
    if (there->what != NAMED_FOLDER || moving->named.what != NAMED_FOLDER)
        return there->what != NAMED_NOTHING;
    return there->folder.id.v != moving->named.folder.id.v;
}

/* What is moved, and where to; rights are decided. */
static int moving_find(struct moving *moving, struct emlfs_err *err)
{
    struct view_attempt *attempt = moving->attempt;
    struct emlfs_target to = view_target_folder(&moving->to_owner);
    int rc;

    attempt->target.kind = EMLFS_OBJECT_FOLDER;
    rc = view_check(moving->view, attempt->subject, &attempt->target, EMLFS_CALL_STAT, err);
    if (rc == 0)
        rc = name_must(moving->view, attempt->folder, attempt->name, &moving->named, err);
    if (rc < 0)
        return rc;
    if (moving->named.what == NAMED_SEARCHES)
        return searches_are_fixed(attempt, err);
    if (moving->named.what == NAMED_MESSAGE) {
        attempt->message = moving->named.entry.id;
        attempt->target = view_target_message(moving->named.entry.user, attempt->message);
    }
    return emlfs_rules_check_move(moving->view->options.rules, attempt->subject, &attempt->target,
                                  &to, err);
}

static int rename_in_folders(struct moving *moving, const struct view_node *to,
                             struct emlfs_err *err)
{
    struct named_at there;
    int rc;

    moving->to = to->folder;
    rc = view_owner_of(moving->view, moving->to, &moving->to_owner, err);
    if (rc == 0)
        rc = moving_find(moving, err);
    if (rc == 0)
        rc = name_look(moving->view, moving->to, moving->move->to_name, &there, err);
    if (rc < 0)
        return rc;
    if (is_other(moving, &there))
        return name_is_taken(err);
    return moving->named.what == NAMED_MESSAGE ? message_move(moving, err)
                                               : folder_move(moving, err);
}

/* Into something that is no folder: nothing is moved there. */
static int rename_elsewhere(struct emlfs_view *view, struct view_attempt *attempt,
                            const struct view_node *to, struct emlfs_err *err)
{
    int rc = view_target(view, to, &attempt->target, err);

    if (rc == 0)
        rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_MKDIR, err);
    return rc < 0 ? rc : change_is_elsewhere(err);
}

static int rename_from(struct moving *moving, const struct view_node *from,
                       const struct view_node *to, struct emlfs_err *err)
{
    struct emlfs_view *view = moving->view;
    struct view_attempt *attempt = moving->attempt;
    int rc;

    if (from->kind == VIEW_SEARCHES && moving->move->parent == moving->move->to_parent) {
        rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_MKDIR, err);
        return rc < 0 ? rc : search_rename(view, attempt, moving->move->to_name, err);
    }
    if (from->kind == VIEW_FOLDER)
        return to->kind == VIEW_FOLDER ? rename_in_folders(moving, to, err)
                                       : rename_elsewhere(view, attempt, to, err);
    if (from->kind == VIEW_ROOT)
        return root_refuse(view, attempt, err);
    rc = view_check(view, attempt->subject, &attempt->target, EMLFS_CALL_STAT, err);
    return rc < 0 ? rc : change_is_elsewhere(err); /* C3 */
}

int emlfs_view_rename(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const struct emlfs_view_move *move, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node from = view_node_at(view, move->parent);
    struct view_node to = view_node_at(view, move->to_parent);
    struct view_attempt attempt = {
        .subject = subject, .call = EMLFS_CALL_RENAME, .name = move->name};
    struct moving moving = {.view = view, .move = move, .attempt = &attempt};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, move->parent, err);
    rc = attempt_begin(view, &from, &attempt, err);
    if (rc < 0)
        return rc;
    return view_refused(view, &attempt, rename_from(&moving, &from, &to, err));
}

/* ---- attributes, and what nobody may */

static bool time_differs(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

/* Only messages show how long they are: of a text, 0 stands for whatever it is. */
static bool set_differs(const struct emlfs_view_set *set, const struct emlfs_attr *attr)
{
    const bool sized = view_node_decode(attr->node).kind == VIEW_MESSAGE;
    const struct stat *asked = set->asked;
    const struct stat *st = &attr->st;

    return (set->mask & EMLFS_SET_MODE && (asked->st_mode & 07777) != (st->st_mode & 07777)) ||
           (set->mask & EMLFS_SET_UID && asked->st_uid != st->st_uid) ||
           (set->mask & EMLFS_SET_GID && asked->st_gid != st->st_gid) ||
           (set->mask & EMLFS_SET_SIZE && (!sized || asked->st_size != st->st_size)) ||
           (set->mask & EMLFS_SET_MTIME && time_differs(&asked->st_mtim, &st->st_mtim)) ||
           (set->mask & EMLFS_SET_ATIME && time_differs(&asked->st_atim, &st->st_atim));
}

int emlfs_view_setattr(struct emlfs_view *view, const struct emlfs_subject *subject,
                       emlfs_node node, const struct emlfs_view_set *set, struct emlfs_attr *ret,
                       struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    int rc = emlfs_view_getattr(view, subject, node, ret, err);

    if (rc < 0 || !set_differs(set, ret))
        return rc;
    return emlfs_view_refuse(view, subject, node,
                             set->mask & EMLFS_SET_SIZE ? EMLFS_CALL_WRITE : EMLFS_CALL_SETATTR,
                             err);
}

int emlfs_view_refuse(struct emlfs_view *view, const struct emlfs_subject *subject, emlfs_node node,
                      enum emlfs_access_call call, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, node);
    struct view_attempt attempt = {.subject = subject, .call = call};
    int rc;

    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        return view_maildir_refuse(view, subject, node, err);
    rc = attempt_begin(view, &at, &attempt, err);
    if (rc < 0)
        return rc;
    if (at.kind == VIEW_MESSAGE)
        attempt.message = at.id;
    rc = view_check(view, subject, &attempt.target, call, err);
    if (rc == 0)
        rc = emlfs_err_set(err, EPERM, "view", "what is archived does not change");
    return view_refused(view, &attempt, rc);
}
