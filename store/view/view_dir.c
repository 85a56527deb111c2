/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Directory handles.
 *
 * D1  The position of an entry is a function of what it is, not of its place in a list: going on
 *     from a position works after any number of insertions and deletions, and never shows a name
 *     twice that stayed.
 * D2  The right to list is decided when the handle is opened; what the root lists, for each name.
 *
 * Positions: 1 ".", 2 "..", then in .emlfs 3 and 4, in user archives 3 for Searches, in folders
 * 1<<48 | folder id for subfolders and 1<<49 | store<<32 | number for messages, in Searches
 * 1<<48 | search id, in searches 1<<50 - (store<<32 | number): newest first.
 */
#include <stdlib.h>

#include "view_search.h"

#define DIR_BATCH 128u
#define OFF_DOT 1u
#define OFF_DOTDOT 2u
#define OFF_STATUS 3u
#define OFF_BY_ID 4u
#define OFF_SEARCHES 3u
#define OFF_FOLDER (1ull << 48)
#define OFF_MESSAGE (1ull << 49)
#define OFF_RESULT_TOP (1ull << 50)

struct emlfs_view_dir {
    struct emlfs_view *view;
    struct emlfs_subject subject;
    struct view_node at;
    emlfs_node node, parent;
    struct view_owner owner;
    uid_t uid;
    struct emlfs_folder folder; /* the subfolder returned last: holds its name */
    struct emlfs_entry *batch;  /* DIR_BATCH, made when the first message is asked for */
    unsigned batch_n;
    unsigned batch_pos;              /* the entry returned last is batch[batch_pos - 1] */
    struct emlfs_saved_search saved; /* the search returned last: holds its name */
    struct view_results *results;    /* VIEW_SAVED, VIEW_QUERY; made when first asked */
    const atomic_bool *cancel;
};

static int dir_open_folder(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc;

    rc = view_owner_of(dir->view, dir->at.folder, &dir->owner, err);
    if (rc == 0)
        rc = view_check_read(dir->view, &dir->subject, dir->owner.user, err);
    if (rc == 0)
        rc = emlfs_archive_folder_get(dir->view->options.archive, dir->at.folder, &folder, err);
    if (rc < 0)
        return view_errno(rc);
    dir->parent = folder.parent.v ? emlfs_view_folder_node(folder.parent) : EMLFS_NODE_ROOT;
    dir->uid = view_uid(dir->view, dir->owner.user);
    return 0;
}

/* Nothing is searched yet: opening must not wait. */
static int dir_open_search(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct emlfs_user_id user;
    int rc;

    rc = view_search_user(dir->view, &dir->subject, &dir->at, &user, err);
    if (rc < 0)
        return rc;
    dir->owner.user = user;
    dir->uid = view_uid(dir->view, user);
    return view_search_parent(dir->view, &dir->at, user, &dir->parent, err);
}

int emlfs_view_dir_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                        emlfs_node node, struct emlfs_view_dir **ret, struct emlfs_err *err)
{
    struct view_node at = view_node_decode(node);
    struct emlfs_view_dir *dir;
    int rc = 0;

    if (at.kind == VIEW_NONE)
        return emlfs_err_set(err, ENOENT, "view", "no such node");
    if (at.kind == VIEW_STATUS || at.kind == VIEW_MESSAGE)
        return emlfs_err_set(err, ENOTDIR, "view", "not a directory");
    dir = calloc(1, sizeof(*dir));
    if (!dir)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    dir->view = view;
    dir->subject = *subject;
    dir->at = at;
    dir->node = node;
    dir->parent = at.kind == VIEW_BY_ID ? VIEW_NODE_CONTROL : EMLFS_NODE_ROOT;
    if (at.kind == VIEW_FOLDER)
        rc = dir_open_folder(dir, err);
    else if (view_kind_is_search(at.kind))
        rc = dir_open_search(dir, err);
    if (rc < 0) {
        emlfs_view_dir_free(dir);
        return rc;
    }
    *ret = dir;
    return 0;
}

void emlfs_view_dir_free(struct emlfs_view_dir *dir)
{
    if (!dir)
        return;
    view_results_free(dir->results);
    free(dir->batch);
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
    if (off == OFF_DOTDOT) {
        *ret_name = "status.json";
        *ret_off = OFF_STATUS;
        view_attr_fixed(dir->view, VIEW_NODE_STATUS, ret);
        return 0;
    }
    if (off == OFF_STATUS) {
        *ret_name = "by-id";
        *ret_off = OFF_BY_ID;
        view_attr_fixed(dir->view, VIEW_NODE_BY_ID, ret);
        return 0;
    }
    return -ENOENT;
}

/* The next user archive that the caller may read. */
static int dir_archives(struct emlfs_view_dir *dir, uint64_t off, const char **ret_name,
                        struct emlfs_attr *ret, uint64_t *ret_off, struct emlfs_err *err)
{
    struct emlfs_folder_id after = {off & OFF_FOLDER ? (uint32_t)off : 0};
    const struct emlfs_folder_id root = {0};
    int rc;

    do {
        rc = emlfs_archive_folder_next(dir->view->options.archive, root, after, &dir->folder, err);
        if (rc < 0)
            return view_errno(rc);
        after = dir->folder.id;
    } while (view_check_read(dir->view, &dir->subject, dir->folder.user, NULL) < 0);
    *ret_name = dir->folder.name;
    *ret_off = OFF_FOLDER | dir->folder.id.v;
    view_attr_folder(dir->view, &dir->folder, view_uid(dir->view, dir->folder.user), ret);
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
    view_attr_folder(dir->view, &dir->folder, dir->uid, ret);
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

static int batch_fetch(struct emlfs_view_dir *dir, struct emlfs_msg_id after, struct emlfs_err *err)
{
    struct emlfs_entry_page page = {.folder = dir->at.folder, .after = after, .max = DIR_BATCH};
    int rc;

    if (!dir->batch)
        dir->batch = malloc(DIR_BATCH * sizeof(*dir->batch));
    if (!dir->batch)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    dir->batch_pos = 0;
    page.v = dir->batch;
    rc = emlfs_archive_entries(dir->view->options.archive, &page, err);
    dir->batch_n = rc < 0 ? 0 : page.n;
    if (rc < 0)
        return view_errno(rc);
    return dir->batch_n ? 0 : -ENOENT;
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
    view_attr_entry(dir->view, entry, dir->uid, ret);
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
    return 0;
}

static int results_open(struct emlfs_view_dir *dir, struct emlfs_err *err)
{
    struct view_search search;
    int rc;

    rc = view_search_open(dir->view, &dir->subject, &dir->at, &search, err);
    if (rc < 0)
        return rc;
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
    const struct emlfs_entry *entry;
    int rc;

    if (off > OFF_MESSAGE)
        after = message_at(OFF_MESSAGE | (OFF_RESULT_TOP - off));
    rc = dir->results ? 0 : results_open(dir, err);
    if (rc < 0)
        return rc;
    view_results_cancel(dir->results, dir->cancel);
    rc = view_results_next(dir->view, dir->results, after, &entry, err);
    if (rc < 0)
        return rc;
    *ret_name = entry->name;
    *ret_off = OFF_RESULT_TOP - (message_off(entry->id) - OFF_MESSAGE);
    view_attr_result(dir->view, entry, dir->uid, ret);
    return 0;
}

void emlfs_view_dir_cancel(struct emlfs_view_dir *dir, const atomic_bool *cancel)
{
    dir->cancel = cancel;
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
        ret->name_shared = !(dir->view->options.strict_root && dir->owner.top);
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
        return dir_archives(dir, off, ret_name, ret, ret_off, err);
    case VIEW_CONTROL:
        return dir_control(dir, off, ret_name, ret, ret_off);
    case VIEW_FOLDER:
        return dir_folder(dir, off, ret_name, ret, ret_off, err);
    case VIEW_SEARCHES:
        return dir_searches(dir, off, ret_name, ret, ret_off);
    case VIEW_SAVED:
    case VIEW_QUERY:
        return dir_result(dir, off, ret_name, ret, ret_off, err);
    default:
        return -ENOENT;
    }
}
