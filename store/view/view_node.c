/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Node ids and attributes.
 *
 * N1  A node id is a pure function of what it names; nothing is remembered per node.
 * N2  st_ino, mtime and ctime depend on the archive alone: equal in every mount and process.
 * N3  The owner is the account bound to the user archive. The group is root's: a person's primary
 *     group may be shared, so no group may grant anything that the owner bits do not.
 */
#include "view_internal.h"

#define NODE_TAG_FOLDER (1ull << 62)
#define NODE_TAG_MESSAGE (1ull << 63)
#define NS_PER_SEC 1000000000ll

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

/* A node with bits 63-62 clear that is none of the fixed ones. */
static struct view_node search_decode(emlfs_node node)
{
    struct view_node ret = {.kind = VIEW_NONE};

    ret.user.v = (uint16_t)(node >> 32);
    ret.saved = (uint32_t)node;
    ret.text = node;
    if ((node & VIEW_TAG_SEARCH_MASK) == VIEW_TAG_QUERY)
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
    struct view_node ret = {.kind = VIEW_NONE};

    if (node & NODE_TAG_MESSAGE) {
        ret.kind = VIEW_MESSAGE;
        ret.user.v = (uint16_t)(node >> 47);
        ret.id = emlfs_msg_id_make((uint16_t)((node >> 32) & EMLFS_STORE_NO_MAX), (uint32_t)node);
    } else if (node & NODE_TAG_FOLDER) {
        if ((node & ~NODE_TAG_FOLDER) >> 32 == 0)
            ret.kind = VIEW_FOLDER;
        ret.folder.v = (uint32_t)node;
    } else if (node == EMLFS_NODE_ROOT) {
        ret.kind = VIEW_ROOT;
    } else if (node == VIEW_NODE_CONTROL) {
        ret.kind = VIEW_CONTROL;
    } else if (node == VIEW_NODE_STATUS) {
        ret.kind = VIEW_STATUS;
    } else if (node == VIEW_NODE_BY_ID) {
        ret.kind = VIEW_BY_ID;
    } else {
        ret = search_decode(node);
    }
    return ret;
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

    return kind == VIEW_SAVED || kind == VIEW_QUERY;
}

bool emlfs_view_node_writable(emlfs_node node)
{
    return view_node_decode(node).kind == VIEW_SEARCHES;
}

bool emlfs_view_node_queries(emlfs_node node)
{
    return view_node_decode(node).kind == VIEW_QUERIES;
}

bool emlfs_view_node_dir_shared(emlfs_node node)
{
    return view_node_decode(node).kind == VIEW_FOLDER;
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

void view_attr_fixed(struct emlfs_view *view, emlfs_node node, struct emlfs_attr *ret)
{
    int64_t changed_ns = newest_archive_ns(view);
    bool file = node == VIEW_NODE_STATUS;

    *ret = (struct emlfs_attr){.node = node, .shared = !file};
    ret->st.st_ino = node;
    ret->st.st_mode = file ? S_IFREG | 0444 : S_IFDIR | 0555;
    ret->st.st_nlink = 1;
    ret->st.st_blksize = 4096;
    stat_times(&ret->st, changed_ns, changed_ns);
}

void view_attr_folder(struct emlfs_view *view, const struct emlfs_folder *folder, uid_t owner,
                      struct emlfs_attr *ret)
{
    *ret = (struct emlfs_attr){.node = emlfs_view_folder_node(folder->id), .shared = true};
    ret->name_shared = folder->parent.v != 0;
    ret->st.st_ino = ret->node;
    ret->st.st_mode = S_IFDIR | 0750; /* so that the owner hears EROFS, and from the view */
    ret->st.st_nlink = 1; /* "unknown": nobody may conclude from it that there are no subfolders */
    ret->st.st_uid = owner;
    ret->st.st_gid = view->gid;
    ret->st.st_blksize = 4096;
    stat_times(&ret->st, folder->mtime_ns, folder->mtime_ns);
}

void view_attr_entry(struct emlfs_view *view, const struct emlfs_entry *entry, uid_t owner,
                     struct emlfs_attr *ret)
{
    *ret = (struct emlfs_attr){.node = emlfs_view_message_node(entry->user, entry->id)};
    ret->shared = true;
    ret->name_shared = true;
    ret->st.st_ino = entry->id.v | NODE_TAG_MESSAGE;
    ret->st.st_mode = S_IFREG | 0440;
    ret->st.st_nlink = (entry->nlink ? entry->nlink : 1) + (view->options.index ? 1 : 0);
    ret->st.st_uid = owner;
    ret->st.st_gid = view->gid;
    ret->st.st_size = (off_t)entry->size_bytes;
    ret->st.st_blocks = (blkcnt_t)(entry->size_bytes / 512 + (entry->size_bytes % 512 != 0));
    ret->st.st_blksize = 4096;
    stat_times(&ret->st, entry->mtime_ns, entry->ctime_ns);
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
        return rc;
    default:
        return -EIO;
    }
}
