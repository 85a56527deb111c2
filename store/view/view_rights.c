/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Asking the rules, and recording what they refused.
 *
 * G1  Every call of the view asks here before it answers anything about mail.
 * G2  A refusal is recorded where somebody tried to do something: to open, to list, to change.
 *     Look-ups are made by every shell and file manager by itself: of them a stranger's are, once a
 *     minute for each account and user archive.
 * G3  That a place takes no changes, whoever asks (a search, a hold), is no refusal.
 * G4  The name of a message says who wrote what, and is read by those who read the ledger: a record
 *     has its id instead.
 */
#include <string.h>

#include "emlfs/base/os.h"
#include "emlfs/name.h"
#include "emlfs/rules_change.h"
#include "view_search.h"

#define NS_PER_SEC 1000000000ll
#define STRANGER_NS (60 * NS_PER_SEC)
#define STRANGER_PROBES 8u

int view_check(struct emlfs_view *view, const struct emlfs_subject *subject,
               const struct emlfs_target *target, enum emlfs_access_call call,
               struct emlfs_err *err)
{
    if (call != EMLFS_CALL_STAT && view_is_outsider(view, subject))
        return emlfs_err_set(err, EACCES, "view", "this is shown to an auditor");
    return emlfs_rules_check(view->options.rules, subject, target, call, err);
}

int view_check_user(struct emlfs_view *view, const struct emlfs_subject *subject,
                    enum emlfs_object kind, struct emlfs_user_id user, enum emlfs_access_call call,
                    struct emlfs_err *err)
{
    const struct emlfs_target target = {.kind = kind, .user = user};

    return view_check(view, subject, &target, call, err);
}

struct emlfs_target view_target_message(struct emlfs_user_id user, struct emlfs_msg_id id)
{
    return (struct emlfs_target){
        .kind = EMLFS_OBJECT_MESSAGE, .user = user, .store_no = emlfs_msg_id_store(id)};
}

struct emlfs_target view_target_folder(const struct view_owner *owner)
{
    return (struct emlfs_target){.kind = owner->top ? EMLFS_OBJECT_ARCHIVE : EMLFS_OBJECT_FOLDER,
                                 .user = owner->user};
}

static int target_query(struct emlfs_view *view, const struct view_node *at,
                        struct emlfs_target *ret, struct emlfs_err *err)
{
    char text[VIEW_QUERY_NAME_MAX + 1];
    int rc = view_query_get(&view->queries, at->text, &ret->user, text);

    ret->kind = EMLFS_OBJECT_SEARCH;
    return rc < 0 ? emlfs_err_set(err, -rc, "view", "a query that is not kept any more") : 0;
}

int view_target(struct emlfs_view *view, const struct view_node *at, struct emlfs_target *ret,
                struct emlfs_err *err)
{
    struct view_owner owner;
    int rc;

    *ret = (struct emlfs_target){.kind = EMLFS_OBJECT_CONTROL};
    if ((view_kind_is_search(at->kind) && !view->options.index) || view_hides(view, at->kind))
        return emlfs_err_set(err, ENOENT, "view", "no such node");
    switch (at->kind) {
    case VIEW_NONE:
        return emlfs_err_set(err, ENOENT, "view", "no such node");
    case VIEW_ROOT:
        ret->kind = EMLFS_OBJECT_ROOT;
        return 0;
    case VIEW_FOLDER:
        rc = view_owner_of(view, at->folder, &owner, err);
        if (rc == 0)
            *ret = view_target_folder(&owner);
        return rc;
    case VIEW_PART:
    case VIEW_TOP_BOX:
        rc = view_owner_of(view, at->folder, &owner, err);
        if (rc == 0)
            *ret = view_target_folder(&(struct view_owner){owner.user, false});
        return rc;
    case VIEW_MESSAGE:
        *ret = view_target_message(at->user, at->id);
        return 0;
    case VIEW_QUERY:
        return target_query(view, at, ret, err);
    case VIEW_SEARCHES:
    case VIEW_QUERIES:
    case VIEW_SAVED:
    case VIEW_SAVED_PART:
        ret->kind = at->kind == VIEW_SAVED || at->kind == VIEW_SAVED_PART ? EMLFS_OBJECT_SEARCH
                                                                          : EMLFS_OBJECT_SEARCHES;
        ret->user = at->user;
        return 0;
    case VIEW_HOLDS:
        ret->kind = EMLFS_OBJECT_HOLDS;
        return 0;
    case VIEW_HOLD:
        ret->kind = EMLFS_OBJECT_HOLD;
        return 0;
    case VIEW_AUDIT:
    case VIEW_DUE:
    case VIEW_DUE_DAY:
        ret->kind = EMLFS_OBJECT_AUDIT;
        return 0;
    default:
        return 0;
    }
}

/* ---- records */

struct emlfs_actor view_actor(struct emlfs_view *view, const struct emlfs_subject *subject)
{
    struct emlfs_who who;

    emlfs_rules_who(view->options.rules, subject, &who);
    return emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
}

static bool is_in_folders(enum emlfs_object kind)
{
    return kind == EMLFS_OBJECT_ARCHIVE || kind == EMLFS_OBJECT_FOLDER ||
           kind == EMLFS_OBJECT_MESSAGE;
}

/* G3; and ENOENT only where it stands for a missing right. */
static bool is_refusal(struct emlfs_view *view, const struct view_attempt *attempt, int rc)
{
    switch (rc) {
    case -EACCES:
    case -EPERM:
        return true;
    case -EROFS:
        return is_in_folders(attempt->target.kind);
    case -ENOENT:
        return attempt->target.user.v != 0 &&
               !(emlfs_rules_grants(view->options.rules, attempt->subject, attempt->target.user) &
                 EMLFS_GRANT_READ);
    default:
        return false;
    }
}

/* G4 */
static void name_tell(const struct view_attempt *attempt, struct emlfs_refusal *ret)
{
    struct emlfs_msg_id id = attempt->message;
    bool message = id.v || (attempt->name && emlfs_name_id(attempt->name, &id));

    if (message)
        ret->message = id;
    ret->detail = attempt->name && !message ? attempt->name : "";
}

int view_refused(struct emlfs_view *view, const struct view_attempt *attempt, int rc)
{
    struct emlfs_refusal refusal = {
        .target = attempt->target, .folder = attempt->folder, .call = attempt->call, .code = -rc};
    struct emlfs_actor actor;
    struct emlfs_who who;

    if (rc >= 0 || !is_refusal(view, attempt, rc))
        return rc;
    name_tell(attempt, &refusal);
    emlfs_rules_who(view->options.rules, attempt->subject, &who);
    if (!emlfs_rules_is_audited(view->options.rules, &who, EMLFS_AUDIT_DENIED))
        return rc;
    actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    (void)emlfs_rules_refused(view->options.rules, &actor, &refusal, NULL);
    return rc;
}

/* G2. Where a minute brings more of them than there is room for, the others are not recorded. */
static bool stranger_is_new(struct emlfs_view *view, uid_t uid, struct emlfs_user_id user)
{
    const int64_t now_ns = emlfs_os_monotonic_ns();
    struct view_stranger *free_slot = NULL;
    bool known = false;

    pthread_mutex_lock(&view->changed_lock);
    for (unsigned i = 0; i < STRANGER_PROBES; i++) {
        struct view_stranger *slot = &view->strangers[(uid * 31u + user.v + i) % VIEW_STRANGERS];
        bool fresh = slot->told_ns != 0 && now_ns - slot->told_ns < STRANGER_NS;

        known |= fresh && slot->uid == uid && slot->user.v == user.v;
        if (!fresh && !free_slot)
            free_slot = slot;
    }
    if (!known && free_slot)
        *free_slot = (struct view_stranger){uid, user, now_ns};
    pthread_mutex_unlock(&view->changed_lock);
    return !known && free_slot;
}

int view_refused_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                        struct emlfs_user_id user, int rc)
{
    const struct view_attempt attempt = {
        .subject = subject,
        .target = {.kind = EMLFS_OBJECT_ARCHIVE, .user = user},
        .call = EMLFS_CALL_STAT,
    };

    if (!is_refusal(view, &attempt, rc) || !stranger_is_new(view, subject->uid, user))
        return rc;
    return view_refused(view, &attempt, rc);
}

/* What cannot be recorded does not happen. */
static int record(struct emlfs_view *view, const struct emlfs_subject *subject, uint32_t what,
                  const struct emlfs_ledger_record *of, struct emlfs_err *err)
{
    struct emlfs_actor actor;
    struct emlfs_who who;

    emlfs_rules_who(view->options.rules, subject, &who);
    if (!(subject->acts && what == EMLFS_AUDIT_READ) &&
        !emlfs_rules_is_audited(view->options.rules, &who, what))
        return 0;
    actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    return emlfs_archive_record(view->options.archive, &actor, of, err) < 0 ? -EIO : 0;
}

int view_record_read(struct emlfs_view *view, const struct emlfs_subject *subject,
                     const struct view_node *at, struct emlfs_err *err)
{
    const struct emlfs_ledger_record of = {
        .kind = EMLFS_LEDGER_MESSAGE_READ, .owner = at->user, .message = at->id};

    return record(view, subject, EMLFS_AUDIT_READ, &of, err);
}

int view_record_search(struct emlfs_view *view, const struct emlfs_subject *subject,
                       struct emlfs_user_id user, const char *text, struct emlfs_err *err)
{
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    const struct emlfs_ledger_record of = {
        .kind = EMLFS_LEDGER_SEARCH,
        .owner = user,
        .detail = emlfs_ledger_detail(emlfs_span_str(text), detail),
    };

    return record(view, subject, EMLFS_AUDIT_SEARCH, &of, err);
}
