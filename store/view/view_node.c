/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Node ids and attributes.
 *
 * N1  A node id is a pure function of what it names; nothing is remembered per node.
 * N2  st_ino, mtime and ctime depend on the archive alone: equal in every mount and process.
 * N3  Owner, group and mode are what the rights come to, the same for every caller.
 * N4  Where the modes let somebody pass whom the rights stop (a guarded user archive), nothing
 *     directly below its top folder is remembered by the kernel: every way in is decided here.
 */
#include <string.h>

#include "emlfs/asof.h"
#include "emlfs/stores.h"
#include "view_maildir.h"

#define NODE_TAG_FOLDER (1ull << 62)
#define NODE_TAG_MESSAGE (1ull << 63)
#define NS_PER_SEC 1000000000ll
#define LAST_SEC 253402300799ll /* the end of the year 9999 */

static emlfs_node search_node(uint64_t tag, struct emlfs_user_id user, uint32_t saved)
{
    return tag | (uint64_t)user.v << 32 | saved;
}

emlfs_node emlfs_view_searches_node(struct emlfs_user_id user)
{
    return search_node(VIEW_TAG_SEARCHES, user, 0);
}

emlfs_node view_queries_node(struct emlfs_user_id user)
{
    return search_node(VIEW_TAG_QUERIES, user, 0);
}

emlfs_node view_saved_node(struct emlfs_user_id user, uint32_t saved)
{
    return search_node(VIEW_TAG_SAVED, user, saved);
}

emlfs_node view_hold_node(uint32_t hold)
{
    return VIEW_TAG_HOLD | hold;
}

emlfs_node view_due_node(uint32_t day)
{
    return VIEW_TAG_DUE_DAY | day;
}

emlfs_node view_explained_node(struct emlfs_msg_id id)
{
    return VIEW_TAG_EXPLAINED | id.v;
}

emlfs_node emlfs_view_holds_node(void)
{
    return VIEW_NODE_HOLDS;
}

emlfs_node view_part_node(struct emlfs_folder_id folder, unsigned part)
{
    return VIEW_TAG_PART | (uint64_t)part << 48 | folder.v;
}

emlfs_node view_saved_part_node(struct emlfs_user_id user, uint32_t saved, unsigned part)
{
    return search_node(VIEW_TAG_SAVED_PART | (uint64_t)part << 48, user, saved);
}

emlfs_node view_top_box_node(struct emlfs_folder_id top)
{
    return VIEW_TAG_TOP_BOX | top.v;
}

/* The same of a node in a maildir; VIEW_NONE when it is none. */
static struct view_node maildir_decode(emlfs_node node)
{
    struct view_node ret = {.kind = VIEW_NONE,
                            .folder = {(uint32_t)node},
                            .user = {(uint16_t)(node >> 32)},
                            .saved = (uint32_t)node,
                            .part = (unsigned)(node >> 48) & 0xff};
    bool part = ret.part >= VIEW_CUR && ret.part <= VIEW_TMP;

    if (part && node == view_part_node(ret.folder, ret.part))
        ret.kind = VIEW_PART;
    else if (part && node == view_saved_part_node(ret.user, ret.saved, ret.part))
        ret.kind = VIEW_SAVED_PART;
    else if (node == view_top_box_node(ret.folder))
        ret.kind = VIEW_TOP_BOX;
    return ret;
}

/* A node with bits 63-62 clear that is none of the fixed ones. */
static struct view_node numbered_decode(emlfs_node node)
{
    const struct emlfs_msg_id id = {node & ~VIEW_TAG_MASK};
    struct view_node ret = {.kind = VIEW_NONE};

    ret.user.v = (uint16_t)(node >> 32);
    ret.saved = (uint32_t)node;
    ret.text = node;
    if (ret.saved && node == view_hold_node(ret.saved))
        ret.kind = VIEW_HOLD;
    else if (node == view_due_node(ret.saved))
        ret.kind = VIEW_DUE_DAY;
    else if ((node & VIEW_TAG_MASK) == VIEW_TAG_EXPLAINED &&
             id.v == emlfs_msg_id_make(emlfs_msg_id_store(id), emlfs_msg_id_number(id)).v)
        ret.kind = VIEW_EXPLAINED;
    ret.id = id;
    if (ret.kind != VIEW_NONE)
        return ret;
    if ((node & VIEW_TAG_MASK) == VIEW_TAG_QUERY)
        ret.kind = VIEW_QUERY;
    else if (node == emlfs_view_searches_node(ret.user))
        ret.kind = VIEW_SEARCHES;
    else if (node == view_queries_node(ret.user))
        ret.kind = VIEW_QUERIES;
    else if (ret.saved && node == view_saved_node(ret.user, ret.saved))
        ret.kind = VIEW_SAVED;
    return ret;
}

struct view_node view_node_decode(emlfs_node node)
{
    static const enum view_kind fixed[] = {
        [EMLFS_NODE_ROOT] = VIEW_ROOT,      [VIEW_NODE_CONTROL] = VIEW_CONTROL,
        [VIEW_NODE_STATUS] = VIEW_STATUS,   [VIEW_NODE_BY_ID] = VIEW_BY_ID,
        [VIEW_NODE_AUDIT] = VIEW_AUDIT,     [VIEW_NODE_CHECKPOINT] = VIEW_CHECKPOINT,
        [VIEW_NODE_EXPLAIN] = VIEW_EXPLAIN, [VIEW_NODE_DUE] = VIEW_DUE,
        [VIEW_NODE_HOLDS] = VIEW_HOLDS,
    };
    struct view_node ret = {.kind = VIEW_NONE};

    if (node & NODE_TAG_MESSAGE) {
        ret.kind = VIEW_MESSAGE;
        ret.user.v = (uint16_t)(node >> 47);
        ret.id = emlfs_msg_id_make((uint16_t)((node >> 32) & EMLFS_STORE_NO_MAX), (uint32_t)node);
    } else if (node & NODE_TAG_FOLDER) {
        if ((node & ~NODE_TAG_FOLDER) >> 32 == 0)
            ret.kind = VIEW_FOLDER;
        ret.folder.v = (uint32_t)node;
    } else if (node < sizeof(fixed) / sizeof(fixed[0])) {
        ret.kind = fixed[node];
    } else {
        ret = numbered_decode(node);
        if (ret.kind == VIEW_NONE)
            ret = maildir_decode(node);
    }
    return ret;
}

bool view_hides(const struct emlfs_view *view, enum view_kind kind)
{
    switch (kind) {
    case VIEW_AUDIT:
    case VIEW_CHECKPOINT:
    case VIEW_EXPLAIN:
    case VIEW_EXPLAINED:
    case VIEW_DUE:
    case VIEW_DUE_DAY:
    case VIEW_HOLDS:
    case VIEW_HOLD:
        return emlfs_asof_is(view->options.archive, NULL);
    default:
        return false;
    }
}

bool emlfs_view_node_message(emlfs_node node, struct emlfs_user_id *ret_user,
                             struct emlfs_msg_id *ret_id)
{
    struct view_node at = view_node_decode(node);

    if (at.kind != VIEW_MESSAGE)
        return false;
    *ret_user = at.user;
    *ret_id = at.id;
    return true;
}

emlfs_node emlfs_view_message_node(struct emlfs_user_id user, struct emlfs_msg_id id)
{
    return NODE_TAG_MESSAGE | (uint64_t)user.v << 47 | (uint64_t)emlfs_msg_id_store(id) << 32 |
           emlfs_msg_id_number(id);
}

emlfs_node emlfs_view_folder_node(struct emlfs_folder_id folder)
{
    return NODE_TAG_FOLDER | folder.v;
}

bool emlfs_view_node_results(emlfs_node node)
{
    enum view_kind kind = view_node_decode(node).kind;

    return kind == VIEW_SAVED || kind == VIEW_QUERY || kind == VIEW_HOLD || kind == VIEW_DUE ||
           kind == VIEW_SAVED_PART;
}

bool emlfs_view_node_queries(emlfs_node node)
{
    return view_node_decode(node).kind == VIEW_QUERIES;
}

bool emlfs_view_node_dir_shared(emlfs_node node)
{
    enum view_kind kind = view_node_decode(node).kind;

    return kind == VIEW_FOLDER || kind == VIEW_PART;
}

bool emlfs_view_node_folder(struct emlfs_view *view, emlfs_node node, struct emlfs_folder_id *ret)
{
    struct view_node at = view_node_at(view, node);

    *ret = at.folder;
    return at.kind == VIEW_FOLDER;
}

/* Seconds rounded down, so that times before 1970 come out right too. */
static struct timespec timespec_of(int64_t ns)
{
    int64_t sec = ns / NS_PER_SEC, rest = ns % NS_PER_SEC;

    if (rest < 0) {
        sec--;
        rest += NS_PER_SEC;
    }
    return (struct timespec){.tv_sec = sec, .tv_nsec = (long)rest};
}

static void stat_times(struct stat *st, int64_t mtime_ns, int64_t ctime_ns)
{
    st->st_mtim = timespec_of(mtime_ns);
    st->st_atim = st->st_mtim;
    st->st_ctim = timespec_of(ctime_ns);
}

/* When the newest user archive was made: the root's last change of membership. */
static int64_t newest_archive_ns(struct emlfs_view *view)
{
    const struct emlfs_folder_id root = {0};
    struct emlfs_folder folder = {.id = {0}};
    int64_t newest = 0;

    while (emlfs_archive_folder_next(view->options.archive, root, folder.id, &folder, NULL) == 0)
        if (folder.created_ns > newest)
            newest = folder.created_ns;
    return newest;
}

static bool node_is_text(emlfs_node node)
{
    enum view_kind kind = view_node_decode(node).kind;

    return kind == VIEW_STATUS || kind == VIEW_AUDIT || kind == VIEW_CHECKPOINT ||
           kind == VIEW_DUE_DAY || kind == VIEW_EXPLAINED;
}

void view_attr_fixed(struct emlfs_view *view, emlfs_node node, struct emlfs_attr *ret)
{
    int64_t changed_ns = newest_archive_ns(view);
    bool file = node_is_text(node);

    *ret = (struct emlfs_attr){.node = node, .shared = !file && node != VIEW_NODE_HOLDS};
    ret->st.st_ino = node;
    ret->st.st_mode = file ? S_IFREG | 0444 : S_IFDIR | 0555;
    ret->st.st_nlink = 1;
    ret->st.st_blksize = 4096;
    if (view->options.scope.auditor) {
        ret->st.st_mode &= (mode_t)~0077;
        ret->st.st_uid = view->options.scope.account;
    }
    stat_times(&ret->st, changed_ns, changed_ns);
}

void view_shape_of(struct emlfs_view *view, struct emlfs_user_id user, struct view_shape *ret)
{
    if (view->options.scope.auditor) {
        *ret = (struct view_shape){.s = {.uid = view->options.scope.account,
                                         .directory = 0500,
                                         .kept = 0400,
                                         .loose = 0400},
                                   .searches = 0500};
        return;
    }
    emlfs_rules_shape(view->options.rules, user, &ret->s);
    ret->searches = ret->s.directory | 0700; /* a list of searches is its owner's, as no mail is */
    if (view->options.layout != EMLFS_LAYOUT_MAILDIR && !view->options.read_only &&
        !emlfs_archive_all_protected(view->options.archive))
        return;
    if (view->options.layout == EMLFS_LAYOUT_MAILDIR)
        ret->searches &= (mode_t)~0222;
    ret->s.directory &= (mode_t)~0222;
    ret->s.deletable = false;
}

void view_loose_of(struct emlfs_view *view, const struct view_shape *shape,
                   const struct emlfs_entry *entries, unsigned n, bool *ret)
{
    if (n == 0 || !shape->s.deletable ||
        emlfs_rules_loose(view->options.rules, entries, n, ret, NULL) < 0)
        memset(ret, 0, n * sizeof(*ret));
}

/* N4: folder is the one that holds what ret describes. */
static void attr_guard(struct emlfs_view *view, const struct view_shape *shape,
                       struct emlfs_folder_id folder, struct emlfs_attr *ret)
{
    struct view_owner owner;

    if (!shape->s.guarded || (view_owner_of(view, folder, &owner, NULL) == 0 && !owner.top))
        return;
    ret->shared = false;
    ret->name_shared = false;
}

void view_attr_folder(struct emlfs_view *view, const struct emlfs_folder *folder,
                      const struct view_shape *shape, struct emlfs_attr *ret)
{
    *ret = (struct emlfs_attr){.node = view_folder_node(view, folder->id), .shared = true};
    ret->name_shared = folder->parent.v != 0;
    ret->st.st_ino = emlfs_view_folder_node(folder->id);
    ret->st.st_mode = S_IFDIR | shape->s.directory;
    ret->st.st_nlink = 1; /* "unknown": nobody may conclude from it that there are no subfolders */
    ret->st.st_uid = shape->s.uid;
    ret->st.st_gid = shape->s.gid;
    ret->st.st_blksize = 4096;
    stat_times(&ret->st, folder->mtime_ns, folder->mtime_ns);
    if (folder->parent.v)
        attr_guard(view, shape, folder->parent, ret);
}

void view_attr_entry(struct emlfs_view *view, const struct emlfs_entry *entry,
                     const struct view_shape *shape, bool loose, struct emlfs_attr *ret)
{
    *ret = (struct emlfs_attr){.node = emlfs_view_message_node(entry->user, entry->id)};
    ret->shared = true;
    ret->name_shared = true;
    ret->st.st_ino = entry->id.v | NODE_TAG_MESSAGE;
    ret->st.st_mode = S_IFREG | (loose ? shape->s.loose : shape->s.kept);
    ret->st.st_nlink = (entry->nlink ? entry->nlink : 1) + (view->options.index ? 1 : 0);
    ret->st.st_uid = shape->s.uid;
    ret->st.st_gid = shape->s.gid;
    ret->st.st_size = (off_t)entry->size_bytes;
    ret->st.st_blocks = (blkcnt_t)(entry->size_bytes / 512 + (entry->size_bytes % 512 != 0));
    ret->st.st_blksize = 4096;
    stat_times(&ret->st, entry->mtime_ns, entry->ctime_ns);
    attr_guard(view, shape, entry->folder, ret);
}

void view_attr_one_folder(struct emlfs_view *view, const struct emlfs_folder *folder,
                          struct emlfs_attr *ret)
{
    struct view_shape shape;

    view_shape_of(view, folder->user, &shape);
    view_attr_folder(view, folder, &shape, ret);
}

struct earliest {
    int64_t sec;
};

static int earliest_tell(void *arg, const struct emlfs_explanation *explanation)
{
    struct earliest *found = arg;

    found->sec = explanation->earliest_sec;
    return 0;
}

void view_attr_retention(struct emlfs_view *view, const struct emlfs_subject *subject,
                         const struct emlfs_entry *entry, struct emlfs_attr *ret)
{
    const struct emlfs_entry_at at = {entry->user, entry->folder, entry->id};
    struct earliest found = {EMLFS_TIME_ALWAYS};
    struct emlfs_who who;

    if (!view->options.retention_atime)
        return;
    emlfs_rules_who(view->options.rules, subject, &who);
    (void)emlfs_rules_explain(view->options.rules, &who, &at, earliest_tell, &found, NULL);
    if (found.sec == EMLFS_TIME_ALWAYS)
        found.sec = 0;
    else if (found.sec > LAST_SEC)
        found.sec = LAST_SEC;
    ret->st.st_atim = (struct timespec){.tv_sec = found.sec};
}

void view_attr_one(struct emlfs_view *view, const struct emlfs_subject *subject,
                   const struct emlfs_entry *entry, struct emlfs_attr *ret)
{
    struct view_shape shape;
    bool loose;

    view_shape_of(view, entry->user, &shape);
    view_loose_of(view, &shape, entry, 1, &loose);
    view_attr_entry(view, entry, &shape, loose, ret);
    view_attr_retention(view, subject, entry, ret);
}

int view_errno(int rc)
{
    switch (rc) {
    case 0:
    case -ENOENT:
    case -EACCES:
    case -ENOTDIR:
    case -EISDIR:
    case -ENAMETOOLONG:
    case -ENOMEM:
    case -EIO:
    case -EPERM:
    case -EROFS:
    case -EEXIST:
    case -ENOTEMPTY:
    case -EINVAL:
    case -ENOSPC:
    case -EDQUOT:
    case -EINTR:
    case -EAGAIN:
    case -ESTALE:
    case -EIDRM:
        return rc;
    case -ECANCELED:
        return -EINTR;
    case -EBUSY: /* file servers take that for somebody else's open file */
        return -EAGAIN;
    default:
        return -EIO;
    }
}
