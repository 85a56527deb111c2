/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Owner, group and mode of a user archive: what the kernel may let through before the daemon
 * decides.
 *
 *   P1  Whoever may do something here passes the mode check; the mode never is the refusal of one
 *       who has the right.
 *   P2  guarded is set whenever a bit of the group or of others is: the kernel does not know who of
 *       them is an archive user, and which.
 *   P3  What a class may not read shows no bit at all.
 */
#include <stdlib.h>

#include "rules_internal.h"

#define SHAPE_NS (INT64_C(10) * 1000000000) /* NSS may change its mind */
#define DIR_READ 5u
#define FILE_READ 4u
#define BIT_WRITE 2u

/* What the shape is made from. */
struct seen {
    struct emlfs_rules *rules;
    const struct rules_snapshot *snapshot;
    const struct rules_user *owner;
    struct emlfs_access_object object;
    struct rules_groups *groups;
};
/* One who has something in it. */
struct holder {
    const struct rules_user *user; /* NULL: group */
    const char *group;
    uint32_t grants; /* effective */
};

static void seen_open(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                      struct emlfs_user_id archive, struct seen *ret)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_ARCHIVE, .user = archive};

    *ret = (struct seen){
        .rules = rules, .snapshot = snapshot, .owner = rules_user_of(snapshot, archive)};
    rules_object(rules, snapshot, &target, &ret->object);
    ret->groups = rules_groups_get(rules, snapshot);
}

static void seen_close(struct seen *seen)
{
    rules_groups_unref(seen->groups);
}

/* EMLFS_GRANT_... that user really has, DELETE only with the right to delete at all. */
static uint32_t effective(const struct seen *seen, const struct rules_user *user, uint32_t grants)
{
    const struct emlfs_access_subject subject = rules_subject_of(seen->snapshot, user);
    struct emlfs_access_object object = seen->object;

    object.grants = grants;
    grants = emlfs_access_grants(&subject, &object);
    return subject.may & EMLFS_MAY_DELETE ? grants : grants & ~EMLFS_GRANT_DELETE;
}

static uint32_t owner_grants(const struct seen *seen)
{
    if (!seen->owner || seen->owner->flags & EMLFS_USER_REMOVED || seen->owner->shadowed)
        return 0;
    return effective(seen, seen->owner,
                     rules_rights_of(seen->snapshot, seen->owner->id).own | EMLFS_GRANT_READ);
}

static uint32_t group_grants(const struct seen *seen, const struct emlfs_grant *grant)
{
    gid_t gid;

    if (!rules_groups_gid(seen->groups, grant->group, &gid))
        return 0;
    return seen->snapshot->delete_anybody ? grant->grants : grant->grants & ~EMLFS_GRANT_DELETE;
}

/* Direct grants of user here. */
static uint32_t granted(const struct emlfs_grant_set *set, struct emlfs_user_id user)
{
    for (size_t i = 0; i < set->n; i++)
        if (set->v[i].user.v == user.v)
            return set->v[i].grants;
    return 0;
}

typedef int holder_fn(void *arg, const struct holder *holder);

/* Auditors and administrators with archive access, as far as they have no grant of their own. */
static int each_office(const struct seen *seen, const struct emlfs_grant_set *set, holder_fn *each,
                       void *arg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < seen->snapshot->rights_n; i++) {
        const struct emlfs_rights *rights = &seen->snapshot->rights[i];
        struct holder holder = {.user = rules_user_of(seen->snapshot, rights->user)};
        if (!(rights->auditor || rights->archive_access) || !holder.user ||
            holder.user == seen->owner || holder.user->shadowed || granted(set, rights->user))
            continue;
        holder.grants = effective(seen, holder.user, 0);
        if (holder.grants)
            r = each(arg, &holder);
    }
    return r;
}

/* All but the owner who have something here. */
static int each_holder(const struct seen *seen, holder_fn *each, void *arg)
{
    const struct emlfs_grant_set set = rules_grants_in(seen->snapshot, seen->object.archive);
    int r = 0;

    for (size_t i = 0; r == 0 && i < set.n; i++) {
        struct holder holder = {.group = set.v[i].group};
        if (set.v[i].user.v) {
            holder.user = rules_user_of(seen->snapshot, set.v[i].user);
            if (!holder.user || holder.user->shadowed)
                continue;
            holder.grants = effective(seen, holder.user, set.v[i].grants);
        } else {
            holder.grants = group_grants(seen, &set.v[i]);
        }
        if (holder.grants & EMLFS_GRANT_READ)
            r = each(arg, &holder);
    }
    return r == 0 ? each_office(seen, &set, each, arg) : r;
}

static unsigned dir_bits(uint32_t grants)
{
    if (!(grants & EMLFS_GRANT_READ))
        return 0;
    return grants & (EMLFS_GRANT_WRITE | EMLFS_GRANT_DELETE) ? DIR_READ | BIT_WRITE : DIR_READ;
}

struct sums {
    const struct seen *seen;
    unsigned groups_n;
    const char *group; /* the last of them */
    uint32_t by_group, others, all;
};

static int sum_up(void *arg, const struct holder *holder)
{
    struct sums *sums = arg;

    sums->all |= holder->grants;
    if (holder->user) {
        sums->others |= holder->grants;
        return 0;
    }
    sums->groups_n++;
    sums->group = holder->group;
    sums->by_group |= holder->grants;
    return 0;
}

static void shape_make(const struct seen *seen, struct emlfs_shape *ret)
{
    const uint32_t own = owner_grants(seen);
    struct sums sums = {.seen = seen};
    uid_t uid = 0;

    (void)each_holder(seen, sum_up, &sums);
    bool bound = seen->owner && !seen->owner->shadowed &&
                 emlfs_bindings_uid(seen->rules->options.bindings, seen->owner->id, &uid) == 0;
    const bool one_group = sums.groups_n == 1;
    if (!one_group)
        sums.others |= sums.by_group;
    const unsigned owner = bound ? dir_bits(own) : 0;
    const unsigned other = dir_bits(sums.others);
    const unsigned group = one_group ? dir_bits(sums.by_group) | other : other; /* P1 */
    *ret = (struct emlfs_shape){
        .uid = bound ? uid : 0,
        .directory = (mode_t)(owner << 6 | group << 3 | other),
        .guarded = group != 0 || other != 0, /* P2 */
        .deletable = ((bound ? own : 0) | sums.all) & EMLFS_GRANT_DELETE,
    };
    if (one_group && !rules_groups_gid(seen->groups, sums.group, &ret->gid))
        ret->gid = 0;
    ret->kept = ret->directory & 0444;
    ret->loose = ret->kept | (owner ? 0200 : 0); /* P3 */
}

static struct rules_shape_slot *shape_slot(struct emlfs_rules *rules, struct emlfs_user_id user)
{
    return &rules->shapes[user.v % RULES_SHAPE_SLOTS];
}

void emlfs_rules_shape(struct emlfs_rules *rules, struct emlfs_user_id user,
                       struct emlfs_shape *ret)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct rules_shape_slot slot;
    struct seen seen;

    *ret = (struct emlfs_shape){0};
    if (rules_snapshot_get(rules, &snapshot, NULL) < 0)
        return;
    const int64_t now_ns = rules_now_ns(rules);
    pthread_mutex_lock(&rules->lock);
    slot = *shape_slot(rules, user);
    pthread_mutex_unlock(&rules->lock);
    if (slot.archive.v == user.v && slot.generation == snapshot->generation &&
        now_ns < slot.until_ns) {
        *ret = slot.shape;
        return;
    }
    seen_open(rules, snapshot, user, &seen);
    shape_make(&seen, ret);
    slot = (struct rules_shape_slot){.generation = snapshot->generation,
                                     .until_ns = now_ns + SHAPE_NS,
                                     .archive = user,
                                     .shape = *ret};
    seen_close(&seen);
    pthread_mutex_lock(&rules->lock);
    *shape_slot(rules, user) = slot;
    pthread_mutex_unlock(&rules->lock);
}

/* ---- POSIX ACLs: acl(5), and the kernel's posix_acl_xattr.h */

#define ACL_VERSION 2u
#define ACL_USER_OBJ 0x01u
#define ACL_USER 0x02u
#define ACL_GROUP_OBJ 0x04u
#define ACL_GROUP 0x08u
#define ACL_MASK 0x10u
#define ACL_OTHER 0x20u
#define ACL_NO_ID UINT32_MAX

struct acl_entry {
    uint32_t id;
    unsigned perm;
};
/* Of one tag; grows. */
struct acl {
    const struct seen *seen;
    bool directory;
    struct emlfs_buf users, groups; /* of struct acl_entry */
};

static int acl_holder(void *arg, const struct holder *holder)
{
    struct acl *acl = arg;
    struct acl_entry entry = {.perm = acl->directory ? dir_bits(holder->grants) : FILE_READ};
    gid_t gid;
    uid_t uid;

    if (holder->user) {
        struct emlfs_bindings *bindings = acl->seen->rules->options.bindings;
        if (emlfs_bindings_uid(bindings, holder->user->id, &uid) < 0)
            return 0;
        entry.id = uid;
        return emlfs_buf_append(&acl->users, &entry, sizeof(entry));
    }
    if (!rules_groups_gid(acl->seen->groups, holder->group, &gid))
        return 0;
    entry.id = gid;
    return emlfs_buf_append(&acl->groups, &entry, sizeof(entry));
}

static int entry_order(const void *a, const void *b)
{
    const struct acl_entry *x = a;
    const struct acl_entry *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int acl_put(struct emlfs_buf *out, unsigned tag, unsigned perm, uint32_t id)
{
    int r = emlfs_buf_append_u16le(out, (uint16_t)tag);
    if (r == 0)
        r = emlfs_buf_append_u16le(out, (uint16_t)perm);
    return r == 0 ? emlfs_buf_append_u32le(out, id) : r;
}

/* By ascending id; two of one id (an account of two names) are one with the rights of both. */
static int acl_put_all(struct emlfs_buf *out, unsigned tag, struct emlfs_buf *entries)
{
    struct acl_entry *v = (struct acl_entry *)(void *)entries->data;
    size_t n = entries->len / sizeof(*v);
    int r = 0;

    if (n > 0)
        qsort(v, n, sizeof(*v), entry_order);
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (i + 1 < n && v[i + 1].id == v[i].id)
            v[i + 1].perm |= v[i].perm;
        else
            r = acl_put(out, tag, v[i].perm, v[i].id);
    }
    return r;
}

static unsigned group_obj_bits(const struct acl *acl, const struct emlfs_shape *shape, mode_t mode)
{
    const struct acl_entry *groups = (const struct acl_entry *)(const void *)acl->groups.data;
    bool one = acl->groups.len == sizeof(*groups) && groups[0].id == shape->gid;

    return one ? groups[0].perm & (mode >> 3 & 7u) : 0;
}

static int acl_write(struct acl *acl, const struct emlfs_shape *shape, mode_t mode,
                     struct emlfs_buf *out)
{
    const unsigned group_obj = group_obj_bits(acl, shape, mode);

    if (acl->users.len == 0 && acl->groups.len <= sizeof(struct acl_entry))
        return -ENODATA;
    int r = emlfs_buf_append_u32le(out, ACL_VERSION);
    if (r == 0)
        r = acl_put(out, ACL_USER_OBJ, mode >> 6 & 7u, ACL_NO_ID);
    if (r == 0)
        r = acl_put_all(out, ACL_USER, &acl->users);
    if (r == 0)
        r = acl_put(out, ACL_GROUP_OBJ, group_obj, ACL_NO_ID);
    if (r == 0)
        r = acl_put_all(out, ACL_GROUP, &acl->groups);
    if (r == 0)
        r = acl_put(out, ACL_MASK, mode >> 3 & 7u, ACL_NO_ID);
    return r == 0 ? acl_put(out, ACL_OTHER, mode & 7u, ACL_NO_ID) : r;
}

int emlfs_rules_acl(struct emlfs_rules *rules, struct emlfs_user_id user, mode_t mode,
                    struct emlfs_buf *out)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct acl acl = {.directory = (mode & 0111) != 0,
                      .users = EMLFS_BUF_INIT(UINT16_MAX * sizeof(struct acl_entry)),
                      .groups = EMLFS_BUF_INIT(UINT16_MAX * sizeof(struct acl_entry))};
    struct emlfs_shape shape;
    struct seen seen;

    emlfs_buf_clear(out);
    int r = rules_snapshot_get(rules, &snapshot, NULL);
    if (r < 0)
        return r;
    emlfs_rules_shape(rules, user, &shape);
    seen_open(rules, snapshot, user, &seen);
    acl.seen = &seen;
    r = each_holder(&seen, acl_holder, &acl);
    if (r == 0)
        r = acl_write(&acl, &shape, mode, out);
    seen_close(&seen);
    emlfs_buf_free(&acl.users);
    emlfs_buf_free(&acl.groups);
    return r;
}
