/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directory handles.
 *
 * D1  The position of an entry is a function of what it is, not of its place in a list: going on
 *     from a position works after any number of insertions and deletions, and never shows a name
 *     twice that stayed.
 * D2  The right to list is decided when the handle is opened; what the root and a hold list, for
 *     each name.
 *
 * Positions: 1 ".", 2 "..", then in .emlfs 3 to 8, in a maildir 3 to 7 what view_maildir.h names,
 * in user archives 3 for Searches, in the root 3 for Holds, in folders 1<<48 | folder id for
 * subfolders and 1<<49 | store<<32 | number for messages (as below a hold), in Searches and Holds
 * 1<<48 | id, in .emlfs/due 1<<48 | day, in searches 1<<50 - (store<<32 | number): newest first.
 */
#include <stdlib.h>

#include "view_govern.h"
#include "view_maildir.h"
#include "view_search.h"

#define DIR_BATCH 128u
#define OFF_DOT 1u
#define OFF_DOTDOT 2u
#define OFF_SEARCHES 3u
#define OFF_HOLDS 3u
#define OFF_FOLDER (1ull << 48)
#define OFF_MESSAGE (1ull << 49)
#define OFF_RESULT_TOP (1ull << 50)

struct emlfs_view_dir {
    struct emlfs_view *view;
    struct emlfs_subject subject;
    struct view_node at;
    emlfs_node node, parent;
    struct view_owner owner;
    struct view_shape shape;    /* where owner says whose */
    struct emlfs_folder folder; /* the subfolder returned last: holds its name */
    struct emlfs_entry *batch;  /* DIR_BATCH, made when the first message is asked for */
    bool loose[DIR_BATCH];
    unsigned batch_n;
    unsigned batch_pos;              /* the entry returned last is batch[batch_pos - 1] */
    struct emlfs_saved_search saved; /* the search returned last: holds its name */
    struct view_results *results;    /* VIEW_SAVED, VIEW_QUERY; made when first asked */
    struct emlfs_hold hold;          /* the hold returned last: holds its name */
    struct view_due_days *days;      /* VIEW_DUE; made when first asked */
    char day[VIEW_DUE_NAME_MAX];
    char shown[VIEW_MAILDIR_NAME_MAX]; /* the name returned last, in a maildir */
    const atomic_bool *cancel;
};

static bool dir_is_maildir(const struct emlfs_view_dir *dir)
{
    return dir->view->options.layout == EMLFS_LAYOUT_MAILDIR;
}

static int dir_open_folder(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc;

    rc = view_owner_of(dir->view, dir->at.folder, &dir->owner, err);
    if (rc == 0)
        rc = emlfs_archive_folder_get(dir->view->options.archive, dir->at.folder, &folder, err);
    if (rc < 0)
        return view_errno(rc);
    if (dir->at.kind == VIEW_PART && dir->owner.top)
        dir->parent = view_top_box_node(folder.id);
    else if (dir->at.kind == VIEW_PART || dir->at.kind == VIEW_TOP_BOX)
        dir->parent = emlfs_view_folder_node(folder.id);
    else if (folder.parent.v && dir->node != EMLFS_NODE_ROOT)
        dir->parent = view_folder_node(dir->view, folder.parent);
    else
        dir->parent = EMLFS_NODE_ROOT;
    return 0;
}

/* Nothing is searched yet: opening must not wait. */
static int dir_open_search(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct emlfs_target target;
    int rc;

    rc = view_target(dir->view, &dir->at, &target, err);
    if (rc < 0)
        return rc;
    dir->owner.user = target.user;
    return view_search_parent(dir->view, &dir->at, target.user, &dir->parent, err);
}

static int dir_open_kind(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct emlfs_attr attr;
    int rc = 0;

    switch (dir->at.kind) {
    case VIEW_FOLDER:
    case VIEW_PART:
    case VIEW_TOP_BOX:
        rc = dir_open_folder(dir, err);
        break;
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_SAVED_PART:
    case VIEW_QUERY:
        rc = dir_open_search(dir, err);
        break;
    case VIEW_HOLD:
        dir->parent = VIEW_NODE_HOLDS;
        return view_hold_getattr(dir->view, dir->at.saved, &attr, err);
    case VIEW_BY_ID:
    case VIEW_EXPLAIN:
    case VIEW_DUE:
        dir->parent = VIEW_NODE_CONTROL;
        return 0;
    default:
        return 0;
    }
    if (rc == 0)
        view_shape_of(dir->view, dir->owner.user, &dir->shape);
    return rc;
}

int emlfs_view_dir_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                        emlfs_node node, struct emlfs_view_dir **ret, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, node);
    struct view_attempt attempt = {
        .subject = subject, .folder = at.folder, .call = EMLFS_CALL_LIST};
    struct emlfs_view_dir *dir;
    int rc;

    if (view_kind_is_file(at.kind))
        return emlfs_err_set(err, ENOTDIR, "view", "not a directory");
    rc = view_target(view, &at, &attempt.target, err);
    if (rc < 0)
        return rc;
    rc = view_check(view, subject, &attempt.target, EMLFS_CALL_LIST, err);
    if (rc < 0)
        return view_refused(view, &attempt, rc);
    dir = calloc(1, sizeof(*dir));
    if (!dir)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    dir->view = view;
    dir->subject = *subject;
    dir->at = at;
    dir->node = node;
    dir->parent = EMLFS_NODE_ROOT;
    rc = dir_open_kind(dir, err);
    if (rc < 0) {
        emlfs_view_dir_free(dir);
        return rc;
    }
    *ret = dir;
    return 0;
}

bool emlfs_view_dir_shared(const struct emlfs_view_dir *dir)
{
    return dir->at.kind == VIEW_FOLDER && !dir_is_maildir(dir) &&
           !(dir->owner.top && dir->shape.s.guarded);
}

void emlfs_view_dir_free(struct emlfs_view_dir *dir)
{
    if (!dir)
        return;
    view_results_free(dir->results);
    free(dir->batch);
    free(dir->days);
    free(dir);
}

static void dir_dots(const struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                     struct emlfs_attr *ret)
{
    emlfs_node node = off == 0 ? dir->node : dir->parent;

    *ret_name = off == 0 ? "." : "..";
    *ret = (struct emlfs_attr){.node = node};
    ret->st.st_ino = node;
    ret->st.st_mode = S_IFDIR;
}

static int dir_control(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                       struct emlfs_attr *ret, uint64_t *ret_off)
{
    static const struct {
        const char *name;
        emlfs_node node;
    } names[] = {
        {"status.json", VIEW_NODE_STATUS}, {"by-id", VIEW_NODE_BY_ID},
        {"audit", VIEW_NODE_AUDIT},        {"checkpoint", VIEW_NODE_CHECKPOINT},
        {"explain", VIEW_NODE_EXPLAIN},    {"due", VIEW_NODE_DUE},
    };

    while (off - OFF_DOTDOT < sizeof(names) / sizeof(names[0]) &&
           view_hides(dir->view, view_node_decode(names[off - OFF_DOTDOT].node).kind))
        off++;
    if (off - OFF_DOTDOT >= sizeof(names) / sizeof(names[0]))
        return -ENOENT;
    *ret_name = names[off - OFF_DOTDOT].name;
    *ret_off = off + 1;
    view_attr_fixed(dir->view, names[off - OFF_DOTDOT].node, ret);
    return 0;
}

/* Holds, then the next user archive that the caller may read. */
static int dir_root(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                    struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    const struct emlfs_target holds = {.kind = EMLFS_OBJECT_HOLDS};
    struct emlfs_folder_id after = {off & OFF_FOLDER ? (uint32_t)off : 0};
    const struct emlfs_folder_id root = {0};
    int rc;

    if (off == OFF_DOTDOT && !dir_is_maildir(dir) && view_scope_has_control(dir->view) &&
        !view_hides(dir->view, VIEW_HOLDS) &&
        view_check(dir->view, &dir->subject, &holds, EMLFS_CALL_LIST, NULL) == 0) {
        *ret_name = VIEW_HOLDS_NAME;
        *ret_off = OFF_HOLDS;
        view_attr_fixed(dir->view, VIEW_NODE_HOLDS, ret);
        return 0;
    }
    do {
        rc = emlfs_archive_folder_next(dir->view->options.archive, root, after, &dir->folder, err);
        if (rc < 0)
            return view_errno(rc);
        after = dir->folder.id;
    } while (view_check_user(dir->view, &dir->subject, EMLFS_OBJECT_ARCHIVE, dir->folder.user,
                             EMLFS_CALL_LIST, NULL) < 0);
    *ret_name = dir->folder.name;
    *ret_off = OFF_FOLDER | dir->folder.id.v;
    view_attr_one_folder(dir->view, &dir->folder, ret);
    return 0;
}

static int dir_holds(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                     struct emlfs_attr *ret, uint64_t *ret_off)
{
    int rc = view_hold_next(dir->view, off & OFF_FOLDER ? (uint32_t)off : 0, &dir->hold);

    if (rc < 0)
        return view_errno(rc);
    *ret_name = dir->hold.name;
    *ret_off = OFF_FOLDER | dir->hold.id;
    view_attr_hold(dir->view, &dir->hold, ret);
    return 0;
}

static int dir_due(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                   struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    uint32_t i = 0;
    int rc;

    if (!dir->days) {
        dir->days = calloc(1, sizeof(*dir->days));
        if (!dir->days)
            return emlfs_err_set(err, ENOMEM, "view", "out of memory");
        rc = view_due_find(dir->view, dir->cancel, dir->days, err);
        if (rc < 0) {
            free(dir->days);
            dir->days = NULL;
            return rc;
        }
    }
    if (off & OFF_FOLDER)
        i = (uint32_t)off + 1 > dir->days->first ? (uint32_t)off + 1 - dir->days->first : 0;
    while (i < VIEW_DUE_DAYS && !dir->days->has[i])
        i++;
    if (i >= VIEW_DUE_DAYS)
        return -ENOENT;
    view_due_name(dir->days->first + i, dir->day);
    *ret_name = dir->day;
    *ret_off = OFF_FOLDER | (dir->days->first + i);
    view_attr_fixed(dir->view, view_due_node(dir->days->first + i), ret);
    return 0;
}

static int dir_subfolder(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                         struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    struct emlfs_folder_id after = {off & OFF_FOLDER ? (uint32_t)off : 0};
    int rc;

    rc = emlfs_archive_folder_next(dir->view->options.archive, dir->at.folder, after, &dir->folder,
                                   err);
    if (rc < 0)
        return view_errno(rc);
    *ret_name = dir->folder.name;
    *ret_off = OFF_FOLDER | dir->folder.id.v;
    view_attr_folder(dir->view, &dir->folder, &dir->shape, ret);
    if (dir_is_maildir(dir)) {
        view_maildir_folder_name(&dir->owner, dir->folder.name, dir->shown);
        *ret_name = dir->shown;
        view_maildir_brief(ret);
    }
    return 0;
}

static uint64_t message_off(struct emlfs_msg_id id)
{
    return OFF_MESSAGE | (uint64_t)emlfs_msg_id_store(id) << 32 | emlfs_msg_id_number(id);
}

static struct emlfs_msg_id message_at(uint64_t off)
{
    if (!(off & OFF_MESSAGE))
        return (struct emlfs_msg_id){0};
    return emlfs_msg_id_make((uint16_t)((off >> 32) & EMLFS_STORE_NO_MAX), (uint32_t)off);
}

/* Is batch[batch_pos] what follows after? Seeks move within the batch by one or fetch anew. */
static bool batch_follows(struct emlfs_view_dir *dir, struct emlfs_msg_id after)
{
    if (dir->batch_pos > 0 && dir->batch_pos < dir->batch_n &&
        dir->batch[dir->batch_pos - 1].id.v == after.v)
        return true;
    /* The caller had no room for the entry returned last and asks for it again. */
    if (dir->batch_pos > 1 && dir->batch[dir->batch_pos - 2].id.v == after.v) {
        dir->batch_pos--;
        return true;
    }
    return false;
}

/* The messages below a hold, without those that the caller may not read; -ENOENT at the end. */
static int batch_held(struct emlfs_view_dir *dir, struct emlfs_msg_id after, struct emlfs_err *err)
{
    struct emlfs_held_page page = {
        .hold = dir->at.saved, .after = after, .v = dir->batch, .max = DIR_BATCH};
    int rc;

    do {
        rc = emlfs_rules_held(dir->view->options.rules, &page, err);
        if (rc < 0 || page.n == 0)
            return rc < 0 ? view_errno(rc) : -ENOENT;
        page.after = dir->batch[page.n - 1].id;
        for (unsigned i = 0; i < page.n; i++) {
            struct emlfs_target target = view_target_message(dir->batch[i].user, dir->batch[i].id);

            if (view_check(dir->view, &dir->subject, &target, EMLFS_CALL_STAT, NULL) == 0)
                dir->batch[dir->batch_n++] = dir->batch[i];
        }
    } while (dir->batch_n == 0);
    return 0;
}

static int batch_folder(struct emlfs_view_dir *dir, struct emlfs_msg_id after,
                        struct emlfs_err *err)
{
    struct emlfs_entry_page page = {
        .folder = dir->at.folder, .after = after, .v = dir->batch, .max = DIR_BATCH};
    int rc;

    do {
        rc = emlfs_archive_entries(dir->view->options.archive, &page, err);
        if (rc < 0 || page.n == 0)
            return rc < 0 ? view_errno(rc) : -ENOENT;
        page.after = dir->batch[page.n - 1].id;
        for (unsigned i = 0; i < page.n; i++)
            if (view_scope_message(dir->view, dir->batch[i].id))
                dir->batch[dir->batch_n++] = dir->batch[i];
    } while (dir->batch_n == 0);
    view_shape_of(dir->view, dir->owner.user, &dir->shape);
    view_loose_of(dir->view, &dir->shape, dir->batch, dir->batch_n, dir->loose);
    return 0;
}

static int batch_fetch(struct emlfs_view_dir *dir, struct emlfs_msg_id after, struct emlfs_err *err)
{
    if (!dir->batch)
        dir->batch = malloc(DIR_BATCH * sizeof(*dir->batch));
    if (!dir->batch)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    dir->batch_pos = dir->batch_n = 0;
    return dir->at.kind == VIEW_HOLD ? batch_held(dir, after, err) : batch_folder(dir, after, err);
}

static int dir_message(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                       struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    struct emlfs_msg_id after = message_at(off);
    const struct emlfs_entry *entry;
    int rc;

    if (!batch_follows(dir, after)) {
        rc = batch_fetch(dir, after, err);
        if (rc < 0)
            return rc;
    }
    entry = &dir->batch[dir->batch_pos++];
    *ret_name = entry->name;
    *ret_off = message_off(entry->id);
    if (dir->at.kind == VIEW_PART) {
        view_maildir_message_name(entry, dir->shown);
        *ret_name = dir->shown;
        view_attr_entry(dir->view, entry, &dir->shape, false, ret);
        view_maildir_brief(ret);
    } else if (dir->at.kind == VIEW_HOLD) {
        view_attr_held(dir->view, &dir->subject, entry, ret);
    } else {
        view_attr_entry(dir->view, entry, &dir->shape, dir->loose[dir->batch_pos - 1], ret);
        view_attr_retention(dir->view, &dir->subject, entry, ret);
    }
    return 0;
}

static int dir_searches(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                        struct emlfs_attr *ret, uint64_t *ret_off)
{
    struct emlfs_saved_id after = {off & OFF_FOLDER ? (uint32_t)off : 0};
    int rc = emlfs_saved_next(dir->view->options.saved, dir->at.user, after, &dir->saved);

    if (rc < 0)
        return view_errno(rc);
    *ret_name = dir->saved.name;
    *ret_off = OFF_FOLDER | dir->saved.id.v;
    view_attr_saved(dir->view, &dir->saved, ret);
    if (dir_is_maildir(dir)) {
        view_maildir_folder_name(NULL, dir->saved.name, dir->shown);
        *ret_name = dir->shown;
    }
    return 0;
}

static int results_open(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct view_search search;
    int rc;

    rc = view_search_open(dir->view, &dir->subject, &dir->at, &search, err);
    if (rc < 0)
        return rc;
    rc = view_record_search(dir->view, &dir->subject, search.user, search.text, err);
    if (rc < 0) {
        view_search_close(&search);
        return rc;
    }
    rc = view_results_new(&search, &dir->results);
    if (rc < 0) {
        view_search_close(&search);
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    }
    return 0;
}

static int dir_result(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                      struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    struct emlfs_msg_id after = {0};
    struct view_result result;
    int rc;

    if (off > OFF_MESSAGE)
        after = message_at(OFF_MESSAGE | (OFF_RESULT_TOP - off));
    rc = dir->results ? 0 : results_open(dir, err);
    if (rc < 0)
        return rc;
    view_results_cancel(dir->results, dir->cancel);
    rc = view_results_next(dir->view, dir->results, after, &result, err);
    if (rc < 0)
        return rc;
    *ret_name = result.entry->name;
    if (dir_is_maildir(dir)) {
        view_maildir_message_name(result.entry, dir->shown);
        *ret_name = dir->shown;
    }
    *ret_off = OFF_RESULT_TOP - (message_off(result.entry->id) - OFF_MESSAGE);
    view_attr_entry(dir->view, result.entry, &dir->shape, result.loose, ret);
    view_attr_retention(dir->view, &dir->subject, result.entry, ret);
    view_attr_result(ret);
    return 0;
}

void emlfs_view_dir_cancel(struct emlfs_view_dir *dir, const atomic_bool *cancel)
{
    dir->cancel = cancel;
}

/* cur, new and tmp, what a top folder has besides folders, then folders. */
static int dir_maildir(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                       struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    for (uint64_t at = off + 1; !(off & OFF_FOLDER) && at <= VIEW_MAILDIR_FIXED; at++) {
        int rc = view_maildir_fixed(dir->view, &dir->at, (unsigned)at, ret_name, ret, err);

        *ret_off = at;
        if (rc != -ENOENT)
            return rc;
    }
    if (dir->at.kind != VIEW_FOLDER)
        return -ENOENT;
    return dir_subfolder(dir, off, ret_name, ret, ret_off, err);
}

static int dir_folder(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                      struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    int rc = -ENOENT;

    if (off == OFF_DOTDOT && dir->owner.top &&
        view_search_top(dir->view, dir->owner.user, VIEW_SEARCHES_NAME, ret)) {
        *ret_name = VIEW_SEARCHES_NAME;
        *ret_off = OFF_SEARCHES;
        rc = 0;
    }
    if (rc == -ENOENT && !(off & OFF_MESSAGE))
        rc = dir_subfolder(dir, off, ret_name, ret, ret_off, err);
    if (rc == -ENOENT)
        rc = dir_message(dir, off, ret_name, ret, ret_off, err);
    if (rc == 0)
        ret->name_shared = ret->name_shared && !(dir->view->options.strict_root && dir->owner.top);
    return rc;
}

int emlfs_view_dir_next(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                        struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    if (off < OFF_DOTDOT) {
        dir_dots(dir, off, ret_name, ret);
        *ret_off = off + 1;
        return 0;
    }
    switch (dir->at.kind) {
    case VIEW_ROOT:
        return dir_root(dir, off, ret_name, ret, ret_off, err);
    case VIEW_CONTROL:
        return dir_control(dir, off, ret_name, ret, ret_off);
    case VIEW_FOLDER:
        return dir_is_maildir(dir) ? dir_maildir(dir, off, ret_name, ret, ret_off, err)
                                   : dir_folder(dir, off, ret_name, ret, ret_off, err);
    case VIEW_TOP_BOX:
        return dir_maildir(dir, off, ret_name, ret, ret_off, err);
    case VIEW_PART:
        return dir->at.part == VIEW_CUR ? dir_message(dir, off, ret_name, ret, ret_off, err)
                                        : -ENOENT;
    case VIEW_SAVED_PART:
        return dir->at.part == VIEW_CUR ? dir_result(dir, off, ret_name, ret, ret_off, err)
                                        : -ENOENT;
    case VIEW_HOLDS:
        return dir_holds(dir, off, ret_name, ret, ret_off);
    case VIEW_HOLD:
        return dir_message(dir, off, ret_name, ret, ret_off, err);
    case VIEW_DUE:
        return dir_due(dir, off, ret_name, ret, ret_off, err);
    case VIEW_SEARCHES:
        return dir_searches(dir, off, ret_name, ret, ret_off);
    case VIEW_SAVED:
        if (dir_is_maildir(dir))
            return dir_maildir(dir, off, ret_name, ret, ret_off, err);
        return dir_result(dir, off, ret_name, ret, ret_off, err);
    case VIEW_QUERY:
        return dir_result(dir, off, ret_name, ret, ret_off, err);
    default:
        return -ENOENT;
    }
}
