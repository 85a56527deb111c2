/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which folders a path of a query means. The tree of a user's folders is read when a search asks
 * for it and kept until the next commit, which may have changed it.
 */
#include <stdlib.h>

#include "search.h"
#include "tokens.h"

#define MODULE "index"
#define NAME_MAX_BYTES 4096u
#define COMPONENTS_MAX 128u

struct node {
    uint32_t id;
    unsigned parent; /* index of the node above; itself at the top */
    uint32_t name_at, name_len;
};
struct folder_tree {
    atomic_uint refs;
    uint16_t user;
    uint64_t commits; /* seen when it was read */
    struct node *v;   /* parents before their children */
    unsigned n, cap;
    struct emlfs_buf names; /* folded */
};

void folder_tree_free(struct folder_tree *tree)
{
    if (!tree || atomic_fetch_sub(&tree->refs, 1) != 1)
        return;
    free(tree->v);
    emlfs_buf_free(&tree->names);
    free(tree);
}

static int node_add(struct folder_tree *tree, const struct emlfs_folder *folder, unsigned parent)
{
    struct emlfs_buf name EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(NAME_MAX_BYTES);
    struct node *node;
    int rc = text_fold(emlfs_span_str(folder->name), &name);

    if (rc == 0 && tree->n == tree->cap) {
        unsigned cap = tree->cap ? tree->cap * 2 : 64;
        struct node *grown = reallocarray(tree->v, cap, sizeof(*grown));
        rc = grown ? 0 : -ENOMEM;
        tree->v = grown ? grown : tree->v;
        tree->cap = grown ? cap : tree->cap;
    }
    if (rc < 0)
        return rc;
    node = &tree->v[tree->n];
    *node = (struct node){.id = folder->id.v,
                          .parent = parent,
                          .name_at = (uint32_t)tree->names.len,
                          .name_len = (uint32_t)name.len};
    rc = emlfs_buf_append(&tree->names, name.data, name.len);
    tree->n += rc == 0;
    return rc;
}

/* The children of parent that belong to the user; at: the parent's node, or tree->n at the top. */
static int children_add(struct emlfs_archive *archive, struct folder_tree *tree,
                        struct emlfs_folder_id parent, unsigned at, struct emlfs_err *err)
{
    struct emlfs_folder *folder = calloc(1, sizeof(*folder));
    struct emlfs_folder_id after = {0};
    int rc = folder ? 0 : -ENOMEM;

    while (rc == 0) {
        rc = emlfs_archive_folder_next(archive, parent, after, folder, err);
        if (rc < 0)
            break;
        after = folder->id;
        if (folder->user.v == tree->user)
            rc = node_add(tree, folder, parent.v ? at : tree->n);
    }
    free(folder);
    return rc == -ENOENT ? 0 : rc;
}

static int tree_read(struct emlfs_index *index, struct emlfs_user_id user, struct folder_tree **ret,
                     struct emlfs_err *err)
{
    struct emlfs_archive *archive = index->options.archive;
    struct folder_tree *tree = calloc(1, sizeof(*tree));
    int rc = tree ? 0 : -ENOMEM;

    if (tree) {
        atomic_init(&tree->refs, 1);
        tree->user = user.v;
        tree->commits = atomic_load(&index->commits);
        tree->names = EMLFS_BUF_INIT(UINT32_MAX);
        rc = children_add(archive, tree, (struct emlfs_folder_id){0}, 0, err);
    }
    for (unsigned i = 0; rc == 0 && i < tree->n; i++)
        rc = children_add(archive, tree, (struct emlfs_folder_id){tree->v[i].id}, i, err);
    if (rc < 0) {
        folder_tree_free(tree);
        return rc == -ENOMEM ? emlfs_err_set(err, ENOMEM, MODULE, "out of memory") : rc;
    }
    *ret = tree;
    return 0;
}

static int tree_get(struct emlfs_index *index, struct emlfs_user_id user, struct folder_tree **ret,
                    struct emlfs_err *err)
{
    struct folder_tree *tree;
    int rc = 0;

    pthread_mutex_lock(&index->tree_lock);
    tree = index->tree;
    if (tree && tree->user == user.v && tree->commits == atomic_load(&index->commits))
        atomic_fetch_add(&tree->refs, 1);
    else
        tree = NULL;
    pthread_mutex_unlock(&index->tree_lock);
    if (!tree) {
        rc = tree_read(index, user, &tree, err);
        if (rc < 0)
            return rc;
        atomic_fetch_add(&tree->refs, 1);
        pthread_mutex_lock(&index->tree_lock);
        folder_tree_free(index->tree);
        index->tree = tree;
        pthread_mutex_unlock(&index->tree_lock);
    }
    *ret = tree;
    return 0;
}

struct path {
    struct emlfs_buf folded;
    struct emlfs_span v[COMPONENTS_MAX];
    unsigned n;
    bool from_top;
};

static bool is_separator(uint8_t c)
{
    return c == '/' || c == '\\';
}

static int path_split(struct emlfs_span text, struct path *ret)
{
    uint32_t at[COMPONENTS_MAX + 1] = {0};
    size_t begin = 0;
    struct emlfs_buf one EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(NAME_MAX_BYTES);
    int rc = 0;

    ret->from_top = text.len > 0 && is_separator(text.data[0]);
    for (size_t i = 0; rc == 0 && i <= text.len; i++) {
        if (i < text.len && !is_separator(text.data[i]))
            continue;
        if (i > begin && ret->n == COMPONENTS_MAX)
            return -E2BIG;
        if (i > begin) {
            rc = text_fold(emlfs_span_of(text.data + begin, i - begin), &one);
            if (rc == 0)
                rc = emlfs_buf_append(&ret->folded, one.data, one.len);
            at[++ret->n] = (uint32_t)ret->folded.len;
        }
        begin = i + 1;
    }
    for (unsigned i = 0; rc == 0 && i < ret->n; i++)
        ret->v[i] = emlfs_span_of(ret->folded.data + at[i], at[i + 1] - at[i]);
    return rc;
}

static bool at_top(const struct folder_tree *tree, unsigned node)
{
    return tree->v[node].parent == node;
}

/* The path ends at node; the user archive itself has no part in it. */
static bool path_ends_at(const struct path *path, const struct folder_tree *tree, unsigned node)
{
    for (unsigned i = path->n; i > 0; i--) {
        const struct node *here = &tree->v[node];
        if (at_top(tree, node) ||
            !glob_match(path->v[i - 1],
                        emlfs_span_of(tree->names.data + here->name_at, here->name_len)))
            return false;
        node = here->parent;
    }
    return !path->from_top || at_top(tree, node);
}

static int ids_collect(const struct path *path, const struct folder_tree *tree,
                       struct folder_ids *ret)
{
    bool *in = calloc(tree->n + 1, sizeof(*in));

    ret->v = calloc(tree->n + 1, sizeof(*ret->v));
    for (unsigned i = 0; in && ret->v && i < tree->n; i++) {
        in[i] = (!at_top(tree, i) && in[tree->v[i].parent]) || path_ends_at(path, tree, i);
        if (in[i])
            ret->v[ret->n++] = tree->v[i].id;
    }
    free(in);
    return in && ret->v ? 0 : -ENOMEM;
}

int folders_find(struct emlfs_index *index, struct emlfs_user_id user, struct emlfs_span text,
                 struct folder_ids *ret, struct emlfs_err *err)
{
    struct path path = {.folded = EMLFS_BUF_INIT(64u << 10)};
    struct folder_tree *tree = NULL;
    int rc = path_split(text, &path);

    *ret = (struct folder_ids){0};
    if (rc < 0)
        emlfs_err_sys(err, -rc, MODULE, "folder");
    if (rc == 0)
        rc = tree_get(index, user, &tree, err);
    if (rc == 0)
        rc = ids_collect(&path, tree, ret);
    if (rc == -ENOMEM)
        emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    folder_tree_free(tree);
    emlfs_buf_free(&path.folded);
    return rc;
}
