/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The layout for IMAP servers: maildirs.
 *
 * M1  The name of a message is a function of its entry: when it was archived, id, size. What comes
 *     before the colon stays as long as the message stays in the folder, so that a server keeps its
 *     UID. Servers number messages in the order of their names, which is that of the archive: so
 *     that who reads one after the other finds each beside the one before.
 * M2  The virtual size (W=) is not in it: the archive does not know how many lines end without CR,
 *     and a name that had it later would be another name.
 * M3  The time of cur differs after every change of what cur lists; the kernel does not keep it.
 * M4  tmp was looked at long after it changed, so that no server sets out to clean it.
 * M5  Nothing changes: EROFS, or what those get who may not see it; never EPERM.
 * M6  A name stands for one thing: what is shown under another name than its own is not found under
 *     its own.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "emlfs/importer.h"
#include "view_govern.h"
#include "view_maildir.h"
#include "view_search.h"

#define NS_PER_SEC 1000000000ll
#define ID_DIGITS 14u            /* of a message id, hexadecimal */
#define AHEAD_GAP 64u            /* of ids: what is looked up next is that near */
#define TMP_IDLE_SEC (40 * 3600) /* servers clean a tmp that was not looked at for 36 hours */
#define INBOX "INBOX"
#define UNFILED "Unfiled"
#define POSITION_FIRST_PART 3u
#define POSITION_TOP_BOX 6u
#define POSITION_SEARCHES 7u

/*
 * The entries of folder read last, as they were at epoch. Servers look messages up
 * one after the other, and one entry costs as much as a stretch of them.
 */
#define VIEW_AHEAD 32u
struct view_ahead {
    pthread_mutex_t lock; /* guards all below; a leaf */
    struct emlfs_folder_id folder;
    uint64_t epoch;
    unsigned n;
    struct emlfs_entry v[VIEW_AHEAD];
};

struct view_ahead *view_ahead_new(void)
{
    struct view_ahead *ahead = calloc(1, sizeof(*ahead));

    if (ahead)
        pthread_mutex_init(&ahead->lock, NULL);
    return ahead;
}

void view_ahead_free(struct view_ahead *ahead)
{
    if (!ahead)
        return;
    pthread_mutex_destroy(&ahead->lock);
    free(ahead);
}

static const char *const part_names[] = {
    [VIEW_CUR] = "cur", [VIEW_NEW] = "new", [VIEW_TMP] = "tmp"};

bool view_maildir_has(enum view_kind kind)
{
    switch (kind) {
    case VIEW_FOLDER:
    case VIEW_TOP_BOX:
    case VIEW_PART:
    case VIEW_SEARCHES:
    case VIEW_SAVED:
    case VIEW_SAVED_PART:
        return true;
    default:
        return false;
    }
}

/* ---- names */

/* VIEW_CUR... of its name, 0: none. */
static unsigned part_named(const char *name)
{
    for (unsigned part = VIEW_CUR; part <= VIEW_TMP; part++)
        if (strcmp(name, part_names[part]) == 0)
            return part;
    return 0;
}

/* A name with a meaning of its own, after any number of "_". */
static bool is_marked(const char *name)
{
    name += strspn(name, "_");
    return part_named(name) || strcmp(name, UNFILED) == 0;
}

static bool is_inbox(const char *name)
{
    return strcasecmp(name, INBOX) == 0;
}

void view_maildir_folder_name(const struct view_owner *owner, const char *name,
                              char ret_name[VIEW_MAILDIR_NAME_MAX])
{
    if (owner && owner->top && is_inbox(name))
        name = INBOX;
    (void)snprintf(ret_name, VIEW_MAILDIR_NAME_MAX, "%s%s", is_marked(name) ? "_" : "", name);
}

/* What is shown as name; NULL: nothing is. */
static const char *name_of_shown(const char *name)
{
    if (!is_marked(name))
        return name;
    return *name == '_' ? name + 1 : NULL;
}

void view_maildir_message_name(const struct emlfs_entry *entry,
                               char ret_name[VIEW_MAILDIR_NAME_MAX])
{
    /* Seen, whatever it was when it came: who has read it is known to the server. */
    (void)snprintf(ret_name, VIEW_MAILDIR_NAME_MAX,
                   "%" PRId64 ".M%014" PRIx64 ".emlfs,S=%" PRIu64 ":2,%s%s%sS",
                   (int64_t)(entry->ctime_ns / NS_PER_SEC), entry->id.v, entry->size_bytes,
                   entry->flags & EMLFS_ENTRY_FLAGGED ? "F" : "",
                   entry->flags & EMLFS_ENTRY_FORWARDED ? "P" : "",
                   entry->flags & EMLFS_ENTRY_ANSWERED ? "R" : "");
}

/* The id in the name of a message; what else is in it is compared later. */
static bool message_id_of(const char *name, struct emlfs_msg_id *ret)
{
    const char *at = strstr(name, ".M");
    uint64_t id = 0;
    unsigned digits = 0;

    if (!at)
        return false;
    for (at += 2; digits < ID_DIGITS && isxdigit((unsigned char)*at); at++, digits++)
        id = id << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 0x20) - 'a' + 10);
    ret->v = id;
    return id == emlfs_msg_id_make(emlfs_msg_id_store(*ret), emlfs_msg_id_number(*ret)).v &&
           emlfs_msg_id_store(*ret) != 0 && emlfs_msg_id_number(*ret) != 0;
}

void view_maildir_brief(struct emlfs_attr *attr)
{
    attr->name_brief |= attr->name_shared;
    attr->name_shared = false;
}

/* ---- attributes */

static struct timespec time_of(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / NS_PER_SEC, .tv_nsec = (long)(ns % NS_PER_SEC)};
}

/* attr is that of the directory around it. */
static void attr_part(struct emlfs_attr *attr, emlfs_node node, unsigned part, int64_t changed_ns)
{
    attr->node = attr->st.st_ino = node;
    attr->shared = false;
    attr->brief = part != VIEW_CUR; /* M3 */
    attr->st.st_mtim = attr->st.st_ctim = attr->st.st_atim = time_of(changed_ns);
    if (part == VIEW_TMP) /* M4 */
        attr->st.st_atim.tv_sec += TMP_IDLE_SEC;
    view_maildir_brief(attr);
}

/* The time of a folder is that of its newest change; a clock that was set back does not move it. */
static int64_t folder_changed_ns(const struct emlfs_folder *folder)
{
    return folder->mtime_ns + (int64_t)(folder->entries % NS_PER_SEC);
}

/* Something inside folder: it lies below it, as guarded names do below a top folder. */
static void attr_inside(struct emlfs_view *view, const struct emlfs_folder *folder,
                        struct emlfs_attr *ret)
{
    struct emlfs_folder inside = *folder;

    inside.parent = folder->id;
    view_attr_one_folder(view, &inside, ret);
}

static int part_attr(struct emlfs_view *view, struct emlfs_folder_id id, unsigned part,
                     struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc = emlfs_archive_folder_get(view->options.archive, id, &folder, err);

    if (rc < 0)
        return view_errno(rc);
    attr_inside(view, &folder, ret);
    attr_part(ret, view_part_node(id, part), part,
              part == VIEW_CUR ? folder_changed_ns(&folder) : folder.created_ns);
    return 0;
}

static int top_box_attr(struct emlfs_view *view, struct emlfs_folder_id top, struct emlfs_attr *ret,
                        struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc = emlfs_archive_folder_get(view->options.archive, top, &folder, err);

    if (rc < 0)
        return view_errno(rc);
    attr_inside(view, &folder, ret);
    ret->node = ret->st.st_ino = view_top_box_node(top);
    ret->st.st_mtim = ret->st.st_ctim = ret->st.st_atim = time_of(folder.created_ns);
    view_maildir_brief(ret);
    return 0;
}

/* How far the index is: what a search finds changes with it, and with the day. */
static int64_t search_progress(struct emlfs_view *view)
{
    struct emlfs_index_store_status status = {.store_no = 0};
    uint64_t progress = view_due_today(view);

    while (emlfs_index_status(view->options.index, status.store_no, &status, NULL) == 0)
        progress += status.indexed + 2 * status.waiting;
    return (int64_t)(progress % NS_PER_SEC);
}

static int saved_part_attr(struct emlfs_view *view, const struct view_node *at, unsigned part,
                           struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct emlfs_saved_search saved;
    const struct view_node search = {.kind = VIEW_SAVED, .user = at->user, .saved = at->saved};
    int64_t changed_ns;
    int rc = view_saved_get(view, &search, &saved, err);

    if (rc < 0)
        return rc;
    view_attr_saved(view, &saved, ret);
    changed_ns = ret->st.st_mtim.tv_sec * NS_PER_SEC + ret->st.st_mtim.tv_nsec;
    attr_part(ret, view_saved_part_node(at->user, at->saved, part), part,
              part == VIEW_CUR ? changed_ns + search_progress(view) : saved.created_ns);
    return 0;
}

int view_maildir_getattr(struct emlfs_view *view, const struct view_node *at,
                         struct emlfs_attr *ret, struct emlfs_err *err)
{
    switch (at->kind) {
    case VIEW_PART:
        return part_attr(view, at->folder, at->part, ret, err);
    case VIEW_SAVED_PART:
        return saved_part_attr(view, at, at->part, ret, err);
    default:
        return top_box_attr(view, at->folder, ret, err);
    }
}

/* ---- what is where */

/* The folder below top that is INBOX; -ENOENT. */
static int inbox_find(struct emlfs_view *view, struct emlfs_folder_id top, struct emlfs_folder *ret,
                      struct emlfs_err *err)
{
    static const char *const usual[] = {INBOX, "Inbox", "inbox"};
    struct emlfs_archive *archive = view->options.archive;
    int rc = -ENOENT;

    for (unsigned i = 0; rc == -ENOENT && i < sizeof(usual) / sizeof(usual[0]); i++)
        rc = emlfs_archive_folder_lookup(archive, top, usual[i], ret, err);
    if (rc != -ENOENT)
        return view_errno(rc);
    ret->id.v = 0;
    do {
        rc = emlfs_archive_folder_next(archive, top, ret->id, ret, err);
    } while (rc == 0 && !is_inbox(ret->name));
    return view_errno(rc);
}

/* The name of what lies directly in top; -ENOENT: nothing does, and INBOX is a folder. */
static int top_box_name(struct emlfs_view *view, struct emlfs_folder_id top, const char **ret,
                        struct emlfs_err *err)
{
    struct emlfs_folder folder;
    int rc = inbox_find(view, top, &folder, err);

    *ret = INBOX;
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    *ret = UNFILED;
    rc = emlfs_archive_folder_get(view->options.archive, top, &folder, err);
    if (rc == 0 && folder.entries == 0)
        return -ENOENT;
    return view_errno(rc);
}

static int top_fixed(struct emlfs_view *view, const struct view_node *at, unsigned position,
                     const char **ret_name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    struct view_owner owner;
    int rc = view_owner_of(view, at->folder, &owner, err);

    if (rc < 0)
        return rc;
    *ret_name = VIEW_SEARCHES_NAME;
    if (position == POSITION_SEARCHES)
        return view_search_top(view, owner.user, VIEW_SEARCHES_NAME, ret) ? 0 : -ENOENT;
    rc = top_box_name(view, at->folder, ret_name, err);
    return rc < 0 ? rc : top_box_attr(view, at->folder, ret, err);
}

int view_maildir_fixed(struct emlfs_view *view, const struct view_node *at, unsigned position,
                       const char **ret_name, struct emlfs_attr *ret, struct emlfs_err *err)
{
    const unsigned part = position - POSITION_FIRST_PART + VIEW_CUR;
    struct view_owner owner = {.top = false};
    int rc = at->kind == VIEW_FOLDER ? view_owner_of(view, at->folder, &owner, err) : 0;

    if (rc < 0)
        return rc;
    if (owner.top)
        return position < POSITION_TOP_BOX ? -ENOENT
                                           : top_fixed(view, at, position, ret_name, ret, err);
    if (part > VIEW_TMP)
        return -ENOENT;
    *ret_name = part_names[part];
    return at->kind == VIEW_SAVED ? saved_part_attr(view, at, part, ret, err)
                                  : part_attr(view, at->folder, part, ret, err);
}

/* ---- looking up */

static int name_is_nothing(struct emlfs_err *err)
{
    return emlfs_err_set(err, ENOENT, "view", "no such name");
}

static int lookup_fixed(struct emlfs_view *view, const struct view_node *at, const char *name,
                        struct emlfs_attr *ret, struct emlfs_err *err)
{
    const char *found;

    for (unsigned position = POSITION_FIRST_PART; position <= VIEW_MAILDIR_FIXED; position++) {
        int rc = view_maildir_fixed(view, at, position, &found, ret, err);

        if (rc < 0 && rc != -ENOENT)
            return rc;
        if (rc == 0 && strcmp(found, name) == 0)
            return 0;
    }
    return name_is_nothing(err);
}

/* M6 */
static int lookup_folder(struct emlfs_view *view, const struct view_node *at, const char *name,
                         struct emlfs_attr *ret, struct emlfs_err *err)
{
    const char *real = name_of_shown(name);
    struct emlfs_folder folder;
    struct view_owner owner;
    bool inbox;
    int rc;

    rc = view_owner_of(view, at->folder, &owner, err);
    if (rc < 0)
        return rc;
    inbox = owner.top && is_inbox(name);
    if (!real || (inbox && strcmp(name, INBOX) != 0))
        return name_is_nothing(err);
    rc = inbox ? inbox_find(view, at->folder, &folder, err)
               : emlfs_archive_folder_lookup(view->options.archive, at->folder, real, &folder, err);
    if (rc == 0)
        view_attr_one_folder(view, &folder, ret);
    return view_errno(rc);
}

static bool is_fixed_name(const char *name)
{
    return part_named(name) || strcmp(name, UNFILED) == 0 || strcmp(name, INBOX) == 0 ||
           strcmp(name, VIEW_SEARCHES_NAME) == 0;
}

static int lookup_in_folder(struct emlfs_view *view, const struct view_node *at, const char *name,
                            struct emlfs_attr *ret, struct emlfs_err *err)
{
    int rc = is_fixed_name(name) ? lookup_fixed(view, at, name, ret, err) : -ENOENT;

    return rc == -ENOENT ? lookup_folder(view, at, name, ret, err) : rc;
}

/* True: *ret is the entry of id. Otherwise *ret_ahead: those after it will be asked for, too. */
static bool ahead_has(struct view_ahead *ahead, const struct emlfs_entry_page *page, uint64_t epoch,
                      bool *ret_ahead)
{
    bool found = false;

    pthread_mutex_lock(&ahead->lock);
    *ret_ahead = ahead->folder.v == page->folder.v && ahead->n &&
                 page->after.v >= ahead->v[ahead->n - 1].id.v &&
                 page->after.v - ahead->v[ahead->n - 1].id.v <= AHEAD_GAP;
    for (unsigned i = 0; ahead->epoch == epoch && ahead->folder.v == page->folder.v && i < ahead->n;
         i++)
        if (ahead->v[i].id.v == page->after.v + 1) {
            page->v[0] = ahead->v[i];
            found = true;
        }
    pthread_mutex_unlock(&ahead->lock);
    return found;
}

static void ahead_put(struct view_ahead *ahead, const struct emlfs_entry_page *page, uint64_t epoch)
{
    pthread_mutex_lock(&ahead->lock);
    ahead->folder = page->folder;
    ahead->epoch = epoch;
    ahead->n = page->n;
    memcpy(ahead->v, page->v, page->n * sizeof(*page->v));
    pthread_mutex_unlock(&ahead->lock);
}

/* The entry of message id in folder; -ENOENT. */
static int entry_get(struct emlfs_view *view, struct emlfs_folder_id folder, struct emlfs_msg_id id,
                     struct emlfs_entry *ret, struct emlfs_err *err)
{
    struct emlfs_entry v[VIEW_AHEAD];
    struct emlfs_entry_page page = {.folder = folder, .after = {id.v - 1}, .v = v, .max = 1};
    const uint64_t epoch = atomic_load(&view->epoch);
    bool ahead;
    int rc;

    if (!ahead_has(view->ahead, &page, epoch, &ahead)) {
        page.max = ahead ? VIEW_AHEAD : 1;
        rc = emlfs_archive_entries(view->options.archive, &page, err);
        if (rc < 0)
            return view_errno(rc);
        if (page.n == 0 || v[0].id.v != id.v)
            return name_is_nothing(err);
        ahead_put(view->ahead, &page, epoch);
    }
    *ret = v[0];
    return 0;
}

static int lookup_message(struct emlfs_view *view, const struct emlfs_subject *subject,
                          const struct view_node *at, const char *name, struct emlfs_attr *ret,
                          struct emlfs_err *err)
{
    char shown[VIEW_MAILDIR_NAME_MAX];
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (at->part != VIEW_CUR || !message_id_of(name, &id))
        return name_is_nothing(err);
    rc = entry_get(view, at->folder, id, &entry, err);
    if (rc < 0)
        return rc;
    view_maildir_message_name(&entry, shown);
    if (strcmp(shown, name) != 0)
        return name_is_nothing(err);
    view_attr_one(view, subject, &entry, ret);
    return 0;
}

static int lookup_result(struct emlfs_view *view, const struct emlfs_subject *subject,
                         const struct view_node *at, const char *name, struct emlfs_attr *ret,
                         struct emlfs_err *err)
{
    char shown[VIEW_MAILDIR_NAME_MAX];
    struct view_search search;
    struct emlfs_entry entry;
    struct emlfs_msg_id id;
    int rc;

    if (at->part != VIEW_CUR || !message_id_of(name, &id))
        return name_is_nothing(err);
    rc = view_search_open(view, subject, at, &search, err);
    if (rc < 0)
        return rc;
    rc = view_search_has(view, &search, id, err);
    view_search_close(&search);
    if (rc == 0)
        rc = emlfs_archive_entry_of(view->options.archive, at->user, id, &entry, err);
    if (rc < 0)
        return view_errno(rc);
    view_maildir_message_name(&entry, shown);
    if (strcmp(shown, name) != 0)
        return name_is_nothing(err);
    view_attr_one(view, subject, &entry, ret);
    return 0;
}

static int lookup_saved(struct emlfs_view *view, const struct view_node *at, const char *name,
                        struct emlfs_attr *ret, struct emlfs_err *err)
{
    const char *real = name_of_shown(name);
    struct emlfs_saved_search saved;
    int rc = real ? emlfs_saved_by_name(view->options.saved, at->user, real, &saved) : -ENOENT;

    if (rc < 0)
        return emlfs_err_sys(err, -view_errno(rc), "view", "no such search");
    view_attr_saved(view, &saved, ret);
    return 0;
}

static int lookup_in(struct emlfs_view *view, const struct emlfs_subject *subject,
                     const struct view_node *at, const char *name, struct emlfs_attr *ret,
                     struct emlfs_err *err)
{
    switch (at->kind) {
    case VIEW_FOLDER:
        return lookup_in_folder(view, at, name, ret, err);
    case VIEW_PART:
        return lookup_message(view, subject, at, name, ret, err);
    case VIEW_SEARCHES:
        return lookup_saved(view, at, name, ret, err);
    case VIEW_SAVED_PART:
        return lookup_result(view, subject, at, name, ret, err);
    default:
        return lookup_fixed(view, at, name, ret, err);
    }
}

int view_maildir_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                        const struct view_node *at, const char *name, struct emlfs_attr *ret,
                        struct emlfs_err *err)
{
    struct emlfs_target target;
    int rc = view_target(view, at, &target, err);

    if (rc < 0)
        return rc;
    /* The top folder itself may be looked at by everybody, what is in it not. */
    if (target.kind == EMLFS_OBJECT_ARCHIVE)
        target.kind = EMLFS_OBJECT_FOLDER;
    rc = view_check(view, subject, &target, EMLFS_CALL_STAT, err);
    if (rc < 0)
        return view_refused_lookup(view, subject, target.user, rc);
    rc = lookup_in(view, subject, at, name, ret, err);
    if (rc < 0)
        return rc;
    if (view->options.strict_root && at->kind == VIEW_FOLDER)
        ret->name_shared = ret->name_brief = false;
    view_maildir_brief(ret);
    return 0;
}

/* ---- changes */

int view_maildir_refuse(struct emlfs_view *view, const struct emlfs_subject *subject,
                        emlfs_node node, struct emlfs_err *err)
{
    struct view_node at = view_node_at(view, node);
    struct view_attempt attempt = {.subject = subject, .folder = at.folder};
    int rc;

    attempt.call = EMLFS_CALL_SETATTR;
    if (at.kind == VIEW_MESSAGE)
        attempt.message = at.id;
    rc = view_target(view, &at, &attempt.target, err);
    if (rc < 0)
        return rc;
    rc = view_check(view, subject, &attempt.target, EMLFS_CALL_STAT, err);
    return rc < 0 ? view_refused(view, &attempt, rc)
                  : emlfs_err_set(err, EROFS, "view", "mail is not changed through this layout");
}
