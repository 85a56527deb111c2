/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What can be changed through the tree: the list of saved searches. Everything else is read-only,
 * whatever modes the directories show.
 */
#include <string.h>

#include "emlfs/name.h"
#include "view_search.h"

/* 0 when parent is a Searches that subject may change; what stands in the way otherwise. */
static int change_check(struct emlfs_view *view, const struct emlfs_subject *subject,
                        const struct view_node *parent, struct emlfs_err *err)
{
    if (parent->kind != VIEW_SEARCHES || !view->options.index)
        return emlfs_err_set(err, EROFS, "view", "only Searches can be changed");
    return view_check_read(view, subject, parent->user, err);
}

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

static int name_find(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                     struct emlfs_saved_search *ret, struct emlfs_err *err)
{
    int rc = emlfs_saved_by_name(view->options.saved, user, name, ret);

    return rc < 0 ? emlfs_err_sys(err, -change_errno(rc), "view", "saved search") : 0;
}

int emlfs_view_mkdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_attr *ret,
                     struct emlfs_err *err)
{
    struct view_node at = view_node_decode(parent);
    struct emlfs_saved_search search = {.user = at.user, .form = EMLFS_QUERY_PATH};
    int rc;

    rc = change_check(view, subject, &at, err);
    if (rc < 0)
        return rc;
    if (emlfs_name_is_litter(name))
        return emlfs_err_set(err, EACCES, "view", "a name of desktop litter");
    if (!name_copy(search.name, sizeof(search.name), name) ||
        !name_copy(search.query, sizeof(search.query), name))
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    rc = emlfs_saved_add(view->options.saved, NULL, &search, err);
    if (rc < 0)
        return change_errno(rc);
    view_attr_saved(view, &search, ret);
    return 0;
}

int emlfs_view_rmdir(struct emlfs_view *view, const struct emlfs_subject *subject,
                     emlfs_node parent, const char *name, struct emlfs_err *err)
{
    struct view_node at = view_node_decode(parent);
    struct emlfs_saved_search search;
    int rc;

    rc = change_check(view, subject, &at, err);
    if (rc == 0)
        rc = name_find(view, at.user, name, &search, err);
    if (rc == 0)
        rc = change_errno(emlfs_saved_remove(view->options.saved, NULL, search.id, err));
    return rc;
}

int emlfs_view_rename(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const struct emlfs_view_move *move, struct emlfs_err *err)
{
    struct view_node at = view_node_decode(move->parent);
    const char *name = move->name, *new_name = move->to_name;
    struct emlfs_saved_search search;
    int rc;

    rc = change_check(view, subject, &at, err);
    if (rc == 0)
        rc = name_find(view, at.user, name, &search, err);
    if (rc < 0 || strcmp(name, new_name) == 0)
        return rc;
    if (emlfs_name_is_litter(new_name))
        return emlfs_err_set(err, EACCES, "view", "a name of desktop litter");
    if (strlen(new_name) > EMLFS_NAME_MAX_BYTES)
        return emlfs_err_set(err, ENAMETOOLONG, "view", "name too long");
    return change_errno(emlfs_saved_rename(view->options.saved, NULL, search.id, new_name, err));
}
