/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Callers: which archive user a uid is, in which Unix groups, and what they may do.
 *
 *   W1  NSS is asked with no lock held. What it cannot tell is no right.
 *   W2  An answer that is kept is of one generation, and not older than 60 s.
 *   W3  One account is one user (rules_snapshot.c), and a removed user is nobody.
 */
#include <stdlib.h>
#include <string.h>

#include "rules_internal.h"

#define GROUPS_FIRST 64u

/* ---- groups that something is granted to */

void rules_groups_unref(struct rules_groups *groups)
{
    if (groups && atomic_fetch_sub(&groups->refs, 1) == 1)
        free(groups);
}

static int group_order(const void *key, const void *row)
{
    const struct rules_group *group = row;
    return strcmp(key, group->name);
}

static const struct rules_group *group_find(const struct rules_groups *groups, const char *name)
{
    return groups ? bsearch(name, groups->v, groups->n, sizeof(groups->v[0]), group_order) : NULL;
}

bool rules_groups_gid(const struct rules_groups *groups, const char *name, gid_t *ret_gid)
{
    const struct rules_group *group = group_find(groups, name);

    if (!group || !group->known)
        return false;
    *ret_gid = group->gid;
    return true;
}

static void group_ask(struct emlfs_rules *rules, struct rules_group *group, int64_t now_ns)
{
    int r = rules->system.gid(rules->system.arg, group->name, &group->gid);

    group->known = r == 0;
    group->until_ns = now_ns + (r == 0 || r == -ENOENT ? RULES_CACHE_NS : RULES_RETRY_NS);
}

/* Those of snapshot; what old still knows is not asked again. */
static struct rules_groups *groups_make(struct emlfs_rules *rules,
                                        const struct rules_snapshot *snapshot,
                                        const struct rules_groups *old)
{
    const int64_t now_ns = rules_now_ns(rules);
    struct rules_groups *groups =
        calloc(1, sizeof(*groups) + snapshot->groups_n * sizeof(groups->v[0]));

    if (!groups)
        return NULL;
    atomic_init(&groups->refs, 1);
    groups->generation = snapshot->generation;
    groups->until_ns = INT64_MAX;
    groups->n = snapshot->groups_n;
    for (size_t i = 0; i < groups->n; i++) {
        const struct rules_group *before = group_find(old, snapshot->groups[i]);
        struct rules_group *group = &groups->v[i];
        if (before && now_ns < before->until_ns) {
            *group = *before;
        } else {
            memcpy(group->name, snapshot->groups[i], strlen(snapshot->groups[i]) + 1);
            group_ask(rules, group, now_ns);
        }
        if (group->until_ns < groups->until_ns)
            groups->until_ns = group->until_ns;
    }
    return groups;
}

static struct rules_groups *groups_ref(struct rules_groups *groups)
{
    if (groups)
        atomic_fetch_add(&groups->refs, 1);
    return groups;
}

struct rules_groups *rules_groups_get(struct emlfs_rules *rules,
                                      const struct rules_snapshot *snapshot)
{
    pthread_mutex_lock(&rules->lock);
    struct rules_groups *old = groups_ref(rules->groups);
    pthread_mutex_unlock(&rules->lock);
    if (old && old->generation == snapshot->generation && rules_now_ns(rules) < old->until_ns)
        return old;
    struct rules_groups *groups = groups_make(rules, snapshot, old);
    if (groups) {
        pthread_mutex_lock(&rules->lock);
        struct rules_groups *gone = rules->groups;
        rules->groups = groups_ref(groups);
        pthread_mutex_unlock(&rules->lock);
        rules_groups_unref(gone);
    }
    rules_groups_unref(old);
    return groups;
}

/* ---- callers */

void rules_caller_unref(struct rules_caller *caller)
{
    if (caller && atomic_fetch_sub(&caller->refs, 1) == 1)
        free(caller);
}

static const struct rules_user *user_of_uid(struct emlfs_rules *rules,
                                            const struct rules_snapshot *snapshot, uid_t uid)
{
    uid_t bound;

    for (size_t i = 0; uid != (uid_t)-1 && i < snapshot->users_n; i++) {
        const struct rules_user *user = &snapshot->users[i];
        if (user->flags & EMLFS_USER_REMOVED || user->shadowed)
            continue;
        if (emlfs_bindings_uid(rules->options.bindings, user->id, &bound) == 0 && bound == uid)
            return user;
    }
    return NULL;
}

static const struct rules_user *user_acting(const struct rules_snapshot *snapshot,
                                            struct emlfs_user_id id)
{
    const struct rules_user *user = id.v ? rules_user_of(snapshot, id) : NULL;

    return user && !(user->flags & EMLFS_USER_REMOVED) ? user : NULL;
}

/* Groups of user's account into *ret (to be freed), with room for one more. */
static int account_groups(struct emlfs_rules *rules, const struct rules_user *user, gid_t **ret,
                          unsigned *ret_n)
{
    int r = -ERANGE;

    *ret_n = 0;
    for (unsigned max = GROUPS_FIRST; r == -ERANGE && max <= RULES_GROUPS_MAX; max *= 2) {
        gid_t *more = reallocarray(*ret, max + 1, sizeof(**ret));
        if (!more)
            return -ENOMEM;
        *ret = more;
        if (!user)
            return 0;
        r = rules->system.groups(rules->system.arg, user->account, *ret, max, ret_n);
    }
    if (r < 0)
        *ret_n = 0; /* W1 */
    return r == -ENOENT ? 0 : r;
}

int rules_user_in_group(struct emlfs_rules *rules, const struct rules_user *user, const char *group)
{
    gid_t *gids = NULL;
    unsigned n = 0;
    gid_t gid;

    int r = rules->system.gid(rules->system.arg, group, &gid);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    r = account_groups(rules, user, &gids, &n);
    for (unsigned i = 0; r == 0 && i < n; i++)
        if (gids[i] == gid)
            r = 1;
    free(gids);
    return r;
}

static struct rules_caller *caller_make(struct emlfs_rules *rules,
                                        const struct rules_snapshot *snapshot,
                                        const struct emlfs_subject *subject)
{
    const struct rules_user *user = subject->acts ? user_acting(snapshot, subject->as)
                                                  : user_of_uid(rules, snapshot, subject->uid);
    struct rules_caller *caller = NULL;
    gid_t *gids = NULL;
    unsigned n;

    /* Whoever is asked for groups may load modules and ask servers, which takes long. */
    const bool gids_known = snapshot->groups_n > 0;
    int r = account_groups(rules, gids_known ? user : NULL, &gids, &n);
    if (gids)
        caller = calloc(1, sizeof(*caller) + (n + 1) * sizeof(gids[0]));
    if (caller) {
        atomic_init(&caller->refs, 1);
        caller->users_serial = snapshot->users_serial;
        caller->until_ns = rules_now_ns(rules) + (r == 0 ? RULES_CACHE_NS : RULES_RETRY_NS);
        caller->subject = *subject;
        caller->user.v = user ? user->id.v : 0;
        caller->gids_known = gids_known;
        memcpy(caller->gids, gids, n * sizeof(gids[0]));
        caller->gids[n] = subject->gid;
        caller->gids_n = n + 1;
    }
    free(gids);
    return caller;
}

/* The RULES_CALLER_WAYS places where subject may be. */
static struct rules_caller **caller_places(struct emlfs_rules *rules,
                                           const struct emlfs_subject *subject)
{
    uint32_t hash = ((uint32_t)subject->uid * 2654435761u) ^ ((uint32_t)subject->gid * 40503u);
    return &rules->callers[(hash ^ hash >> 16) % (RULES_CALLERS / RULES_CALLER_WAYS) *
                           RULES_CALLER_WAYS];
}

static bool caller_is(const struct rules_caller *caller, const struct emlfs_subject *subject)
{
    return caller && caller->subject.uid == subject->uid && caller->subject.gid == subject->gid &&
           caller->subject.acts == subject->acts && caller->subject.as.v == subject->as.v;
}

static struct rules_caller *caller_at_hand(struct emlfs_rules *rules,
                                           const struct rules_snapshot *snapshot,
                                           const struct emlfs_subject *subject)
{
    const int64_t now_ns = rules_now_ns(rules);
    struct rules_caller *found = NULL;

    pthread_mutex_lock(&rules->lock);
    struct rules_caller **places = caller_places(rules, subject);
    for (unsigned i = 0; i < RULES_CALLER_WAYS && !found; i++)
        if (caller_is(places[i], subject) && now_ns < places[i]->until_ns &&
            places[i]->users_serial == snapshot->users_serial &&
            (places[i]->gids_known || snapshot->groups_n == 0))
            found = places[i];
    if (found)
        atomic_fetch_add(&found->refs, 1);
    pthread_mutex_unlock(&rules->lock);
    return found;
}

/* Where a new answer about subject goes: its old one, a free place, or what runs out first. */
static struct rules_caller **caller_place(struct emlfs_rules *rules,
                                          const struct emlfs_subject *subject)
{
    struct rules_caller **places = caller_places(rules, subject);
    struct rules_caller **best = &places[0];

    for (unsigned i = 0; i < RULES_CALLER_WAYS; i++) {
        if (caller_is(places[i], subject))
            return &places[i];
        if (*best && (!places[i] || places[i]->until_ns < (*best)->until_ns))
            best = &places[i];
    }
    return best;
}

static struct rules_caller *caller_get(struct emlfs_rules *rules,
                                       const struct rules_snapshot *snapshot,
                                       const struct emlfs_subject *subject)
{
    struct rules_caller *caller = caller_at_hand(rules, snapshot, subject);

    if (caller)
        return caller;
    caller = caller_make(rules, snapshot, subject);
    if (!caller)
        return NULL;
    atomic_fetch_add(&caller->refs, 1);
    pthread_mutex_lock(&rules->lock);
    struct rules_caller **place = caller_place(rules, subject);
    struct rules_caller *gone = *place;
    caller->serial = ++rules->serial;
    *place = caller;
    pthread_mutex_unlock(&rules->lock);
    rules_caller_unref(gone);
    return caller;
}

struct emlfs_access_subject rules_subject_of(const struct rules_snapshot *snapshot,
                                             const struct rules_user *user)
{
    const struct emlfs_rights rights = rules_rights_of(snapshot, user->id);

    if (user->flags & EMLFS_USER_REMOVED)
        return (struct emlfs_access_subject){0};
    return (struct emlfs_access_subject){.admin = (user->flags & EMLFS_USER_ADMIN) != 0,
                                         .archive_access = rights.archive_access,
                                         .auditor = rights.auditor,
                                         .auditor_since_ns = rights.auditor_since_ns,
                                         .user = user->id,
                                         .may = rights.may};
}

/* ---- asking */

static bool is_root(const struct emlfs_subject *subject)
{
    return subject->uid == 0 && !subject->acts;
}

void rules_ask_end(struct rules_ask *ask)
{
    rules_caller_unref(ask->caller);
    rules_snapshot_unref(ask->snapshot);
    ask->caller = NULL;
    ask->snapshot = NULL;
}

int rules_ask_begin(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                    struct rules_ask *ret, struct emlfs_err *err)
{
    *ret = (struct rules_ask){.rules = rules};
    ret->who.subject = *subject;
    ret->who.access.root = is_root(subject);
    int r = rules_snapshot_get(rules, &ret->snapshot, err);
    if (r < 0)
        return r;
    ret->caller = caller_get(rules, ret->snapshot, subject);
    if (!ret->caller)
        return emlfs_err_sys(err, ENOMEM, "policy", "cannot tell who asks");
    const struct rules_user *user = rules_user_of(ret->snapshot, ret->caller->user);
    if (!user)
        return 0;
    ret->who.access = rules_subject_of(ret->snapshot, user);
    ret->who.access.root = is_root(subject);
    ret->rights = rules_rights_of(ret->snapshot, user->id);
    memcpy(ret->who.name, user->name, sizeof(ret->who.name));
    return 0;
}

struct member {
    const struct rules_caller *caller;
    const struct rules_groups *groups;
};

static bool is_member(void *arg, const char *group)
{
    const struct member *member = arg;
    gid_t gid;

    if (!rules_groups_gid(member->groups, group, &gid))
        return false;
    for (unsigned i = 0; i < member->caller->gids_n; i++)
        if (member->caller->gids[i] == gid)
            return true;
    return false;
}

static uint32_t grants_make(struct rules_ask *ask, struct emlfs_user_id archive,
                            int64_t *ret_until_ns)
{
    const struct emlfs_grant_set set = rules_grants_in(ask->snapshot, archive);
    struct rules_groups *groups = rules_groups_get(ask->rules, ask->snapshot);
    struct member member = {ask->caller, groups};

    *ret_until_ns = ask->caller->until_ns;
    if (groups && groups->until_ns < *ret_until_ns)
        *ret_until_ns = groups->until_ns;
    uint32_t grants = emlfs_grants_of(&set, &ask->rights, archive, is_member, &member);
    rules_groups_unref(groups);
    return grants;
}

/* By ownership and grants, offices not counted. */
static uint32_t ask_grants(struct rules_ask *ask, struct emlfs_user_id archive)
{
    struct emlfs_rules *rules = ask->rules;
    const uint64_t serial = ask->caller->serial;
    struct rules_grant_slot *slot =
        &rules->grants[(serial * 31 + archive.v * UINT64_C(2654435761)) % RULES_GRANT_SLOTS];
    const int64_t now_ns = rules_now_ns(rules);
    struct rules_grant_slot found;

    if (ask->who.access.user.v == 0)
        return 0;
    pthread_mutex_lock(&rules->lock);
    found = *slot;
    pthread_mutex_unlock(&rules->lock);
    if (found.caller == serial && found.archive.v == archive.v &&
        found.generation == ask->snapshot->generation && now_ns < found.until_ns)
        return found.grants;
    found = (struct rules_grant_slot){
        .caller = serial, .generation = ask->snapshot->generation, .archive = archive};
    found.grants = grants_make(ask, archive, &found.until_ns);
    pthread_mutex_lock(&rules->lock);
    *slot = found;
    pthread_mutex_unlock(&rules->lock);
    return found.grants;
}

void rules_object(struct emlfs_rules *rules, const struct rules_snapshot *snapshot,
                  const struct emlfs_target *target, struct emlfs_access_object *ret)
{
    const struct rules_user *owner = target->user.v ? rules_user_of(snapshot, target->user) : NULL;

    *ret = (struct emlfs_access_object){
        .kind = target->kind,
        .archive = target->user,
        /* An archive that is not known was there before nobody's time. */
        .archive_made_ns = owner ? owner->created_ns : INT64_MAX,
        .read_only = emlfs_rules_is_read_only(rules) || snapshot->all_protected,
        .store = target->store_no
                     ? emlfs_archive_store_state(rules->options.archive, target->store_no)
                     : EMLFS_STORE_CURRENT,
    };
}

void rules_ask_object(struct rules_ask *ask, const struct emlfs_target *target,
                      struct emlfs_access_object *ret)
{
    rules_object(ask->rules, ask->snapshot, target, ret);
    ret->private_name = ask->who.subject.private_names;
    ret->read_only |= ask->who.subject.read_only;
    ret->grants = target->user.v ? ask_grants(ask, target->user) : 0;
}

int rules_refusal(struct emlfs_err *err, int r)
{
    switch (r) {
    case -ENOENT:
        return emlfs_err_set(err, ENOENT, "policy", "no such file or directory");
    case -EACCES:
        return emlfs_err_set(err, EACCES, "policy", "the right to do this is missing");
    case -EROFS:
        return emlfs_err_set(err, EROFS, "policy", "nothing is changed here");
    case -EPERM:
        return emlfs_err_set(err, EPERM, "policy", "this is not done to archived mail");
    default:
        return r < 0 ? emlfs_err_sys(err, -r, "policy", "refused") : r;
    }
}

/* ---- the contract */

void emlfs_rules_who(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                     struct emlfs_who *ret)
{
    RULES_ASK_CLEANUP struct rules_ask ask;

    int r = rules_ask_begin(rules, subject, &ask, NULL);
    *ret = ask.who;
    if (r < 0) /* uid 0 administers all the same: it has to repair what is broken */
        ret->access = (struct emlfs_access_subject){.root = is_root(subject)};
}

struct emlfs_actor emlfs_rules_actor(const struct emlfs_who *who, unsigned source)
{
    const struct emlfs_access_object whole = {.kind = EMLFS_OBJECT_SYSTEM};

    return (struct emlfs_actor){
        .user = who->access.user,
        .uid = who->subject.uid == (uid_t)-1 ? EMLFS_UID_NONE : (int64_t)who->subject.uid,
        .source = (uint8_t)source,
        .admin = emlfs_access(&who->access, &whole, EMLFS_CALL_COMMAND) == 0,
    };
}

int emlfs_rules_check(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                      const struct emlfs_target *target, enum emlfs_access_call call,
                      struct emlfs_err *err)
{
    RULES_ASK_CLEANUP struct rules_ask ask;
    struct emlfs_access_object object;

    int r = rules_ask_begin(rules, subject, &ask, err);
    if (r < 0)
        return r;
    rules_ask_object(&ask, target, &object);
    return rules_refusal(err, emlfs_access(&ask.who.access, &object, call));
}

int emlfs_rules_check_move(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                           const struct emlfs_target *from, const struct emlfs_target *to,
                           struct emlfs_err *err)
{
    RULES_ASK_CLEANUP struct rules_ask ask;
    struct emlfs_access_object out;
    struct emlfs_access_object into;

    int r = rules_ask_begin(rules, subject, &ask, err);
    if (r < 0)
        return r;
    rules_ask_object(&ask, from, &out);
    rules_ask_object(&ask, to, &into);
    return rules_refusal(err, emlfs_access_move(&ask.who.access, &out, &into));
}

uint32_t emlfs_rules_grants(struct emlfs_rules *rules, const struct emlfs_subject *subject,
                            struct emlfs_user_id user)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_ARCHIVE, .user = user};
    RULES_ASK_CLEANUP struct rules_ask ask;
    struct emlfs_access_object object;

    if (rules_ask_begin(rules, subject, &ask, NULL) < 0)
        return 0;
    rules_ask_object(&ask, &target, &object);
    return emlfs_access_grants(&ask.who.access, &object);
}
