/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Holds/ at the root: the holds in force, and below each the messages it covers.
 *
 * O1  A message is listed and found below a hold exactly when the hold covers it and the caller may
 *     read the user archive in which the rules found it; its name, node and attributes are those of
 *     its entry there.
 */
#include <string.h>

#include "emlfs/name.h"
#include "emlfs/rules_change.h"
#include "view_govern.h"

/* One of the holds in force: by name, by id, or the next id. */
struct wanted {
    const char *name; /* NULL: by id */
    uint32_t id, after;
    struct emlfs_hold *ret;
    bool found;
};

static int wanted_each(void *arg, const struct emlfs_hold *hold)
{
    struct wanted *wanted = arg;
    bool fits = wanted->name ? strcmp(hold->name, wanted->name) == 0
                : wanted->id ? hold->id == wanted->id
                             : hold->id > wanted->after;

    if (hold->released || !fits)
        return 0;
    *wanted->ret = *hold;
    wanted->found = true;
    return 1;
}

static int hold_find(struct emlfs_view *view, struct wanted *wanted)
{
    int rc = emlfs_rules_holds(view->options.rules, wanted_each, wanted);

    if (rc < 0)
        return rc;
    return wanted->found ? 0 : -ENOENT;
}

int view_hold_next(struct emlfs_view *view, uint32_t after, struct emlfs_hold *ret)
{
    return hold_find(view, &(struct wanted){.after = after, .ret = ret});
}

void view_attr_hold(struct emlfs_view *view, const struct emlfs_hold *hold, struct emlfs_attr *ret)
{
    view_attr_fixed(view, view_hold_node(hold->id), ret);
    ret->shared = false;
    ret->st.st_mtim = (struct timespec){.tv_sec = hold->placed_ns / 1000000000};
    ret->st.st_atim = ret->st.st_ctim = ret->st.st_mtim;
}

int view_hold_getattr(struct emlfs_view *view, uint32_t hold, struct emlfs_attr *ret,
                      struct emlfs_err *err)
{
    struct emlfs_hold found;
    int rc = hold_find(view, &(struct wanted){.id = hold, .ret = &found});

    if (rc < 0)
        return emlfs_err_sys(err, -view_errno(rc), "view", "hold %u", hold);
    view_attr_hold(view, &found, ret);
    return 0;
}

int view_holds_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_HOLD};
    struct emlfs_hold found;
    int rc = view_check(view, subject, &target, EMLFS_CALL_STAT, err);

    if (rc < 0)
        return rc;
    rc = hold_find(view, &(struct wanted){.name = name, .ret = &found});
    if (rc < 0)
        return emlfs_err_sys(err, -view_errno(rc), "view", "no such hold");
    view_attr_hold(view, &found, ret);
    return 0;
}

void view_attr_held(struct emlfs_view *view, const struct emlfs_subject *subject,
                    const struct emlfs_entry *entry, struct emlfs_attr *ret)
{
    struct view_shape shape;

    view_shape_of(view, entry->user, &shape);
    view_attr_entry(view, entry, &shape, false, ret);
    view_attr_retention(view, subject, entry, ret);
    ret->name_shared = false;
}

int view_hold_lookup(struct emlfs_view *view, const struct emlfs_subject *subject, uint32_t hold,
                     const char *name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const struct emlfs_target directory = {.kind = EMLFS_OBJECT_HOLD};
    struct emlfs_entry entry;
    struct emlfs_held_page page = {.hold = hold, .v = &entry, .max = 1};
    struct emlfs_target target;
    struct emlfs_msg_id id;
    int rc = view_check(view, subject, &directory, EMLFS_CALL_LIST, err);

    if (rc < 0)
        return rc;
    if (!emlfs_name_id(name, &id))
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    page.after.v = id.v - 1;
    rc = emlfs_rules_held(view->options.rules, &page, err);
    if (rc < 0)
        return view_errno(rc);
    if (page.n == 0 || entry.id.v != id.v || strcmp(entry.name, name) != 0)
        return emlfs_err_set(err, ENOENT, "view", "no such name");
    target = view_target_message(entry.user, id);
    rc = view_check(view, subject, &target, EMLFS_CALL_STAT, err);
    if (rc == 0)
        view_attr_held(view, subject, &entry, ret);
    return rc;
}
