/* SPDX-License-Identifier: GPL-3.0-or-later */
/* folder list, and walking a folder tree. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/text.h"

#define DEPTH_MAX 256

/*
 * The way from top to where the walk stands. Depth first without recursion: at each level the last
 * child that was entered is remembered, and the next one is asked for.
 */
struct tree_walk {
    struct emlfs_folder_id at[DEPTH_MAX];    /* folder whose children are being asked for */
    struct emlfs_folder_id after[DEPTH_MAX]; /* its last child so far */
    size_t path_len[DEPTH_MAX];              /* of the path of at[] */
    unsigned depth;
    struct emlfs_buf path;
};

static int tree_enter(struct tree_walk *walk, const struct emlfs_folder *child)
{
    size_t len = walk->path_len[walk->depth];
    int r = 0;

    walk->path.len = len;
    if (len > 0)
        r = emlfs_buf_append_u8(&walk->path, '/');
    if (r == 0)
        r = emlfs_buf_append(&walk->path, child->name, strlen(child->name));
    if (r == 0)
        r = emlfs_buf_append_u8(&walk->path, '\0');
    if (r < 0)
        return r;
    walk->path.len--;
    if (walk->depth + 1 == DEPTH_MAX)
        return -E2BIG;
    walk->depth++;
    walk->at[walk->depth] = child->id;
    walk->after[walk->depth] = (struct emlfs_folder_id){0};
    walk->path_len[walk->depth] = walk->path.len;
    return 0;
}

static int tree_run(struct tree_walk *walk, struct emlfs_archive *archive,
                    emlfs_folder_each_fn *each, void *arg, struct emlfs_err *err)
{
    for (;;) {
        struct emlfs_folder child;
        int r = emlfs_archive_folder_next(archive, walk->at[walk->depth], walk->after[walk->depth],
                                          &child, err);

        if (r == -ENOENT) {
            if (walk->depth == 0)
                return 0;
            walk->depth--;
            continue;
        }
        if (r == 0) {
            walk->after[walk->depth] = child.id;
            r = tree_enter(walk, &child);
        }
        if (r == 0)
            r = each(arg, (const char *)walk->path.data, &child);
        if (r < 0)
            return r;
    }
}

int emlfs_folder_tree(struct emlfs_archive *archive, struct emlfs_folder_id top,
                      emlfs_folder_each_fn *each, void *arg, struct emlfs_err *err)
{
    struct tree_walk *walk = calloc(1, sizeof(*walk));
    struct emlfs_folder folder;
    int r = walk ? emlfs_archive_folder_get(archive, top, &folder, err) : -ENOMEM;

    if (r == 0)
        r = each(arg, "", &folder);
    if (r == 0) {
        walk->at[0] = top;
        walk->path = EMLFS_BUF_INIT(DEPTH_MAX * (EMLFS_NAME_MAX_BYTES + 2));
        r = tree_run(walk, archive, each, arg, err);
        emlfs_buf_free(&walk->path);
    }
    free(walk);
    if (r < 0 && err && err->code != -r)
        emlfs_err_sys(err, -r, "command", "walking folders");
    return r;
}

struct folder_rows {
    struct emlfs_call *call;
    const char *user;
    struct emlfs_err *err;
};

static int folder_row(void *arg, const char *path, const struct emlfs_folder *folder)
{
    struct folder_rows *rows = arg;
    struct json_object *row = json_object_new_object();
    char full[4096];

    snprintf(full, sizeof(full), "%s%s%s", rows->user, path[0] ? "/" : "", path);
    if (row) {
        emlfs_row_text(row, "path", full);
        emlfs_row_number(row, "messages", folder->entries);
        emlfs_row_time(row, "changed", folder->mtime_ns);
    }
    return emlfs_row_put(rows->call, row, rows->err);
}

static int archive_listed(struct emlfs_call *call, struct emlfs_user_id user)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_ARCHIVE, .user = user};

    return emlfs_rules_check(call->rules, &call->subject, &target, EMLFS_CALL_LIST, NULL);
}

/* User archives are few: they are looked through by their top folders. */
int emlfs_run_folder_list(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *wanted = emlfs_args_text(call->args, "user");
    struct emlfs_folder top = {0};
    int r = 0, refused = -ENOENT;
    bool found = false;

    while (r == 0) {
        r = emlfs_archive_folder_next(call->archive, (struct emlfs_folder_id){0}, top.id, &top,
                                      err);
        if (r < 0)
            break;
        if (wanted && strcmp(wanted, top.name) != 0)
            continue;

        int may = archive_listed(call, top.user);

        if (may < 0) {
            refused = may;
            continue;
        }
        found = true;

        struct folder_rows rows = {.call = call, .user = top.name, .err = err};

        r = emlfs_folder_tree(call->archive, top.id, folder_row, &rows, err);
    }
    if (r != -ENOENT)
        return r;
    if (wanted && !found)
        return emlfs_err_set(err, -refused, "folder",
                             refused == -EACCES ? "the user archive %s is not open to you"
                                                : "no user archive %s that you may read",
                             wanted);
    if (err)
        err->code = 0;
    return 0;
}

/* From its end. */
int emlfs_folder_path(struct emlfs_archive *archive, struct emlfs_folder_id id,
                      struct emlfs_buf *out, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf rest = EMLFS_BUF_INIT(out->max_bytes);
    int r = 0;

    for (unsigned depth = 0; r == 0 && id.v != 0 && depth < DEPTH_MAX; depth++) {
        struct emlfs_folder folder;

        r = emlfs_archive_folder_named(archive, id, &folder, err);
        if (r < 0)
            break;
        emlfs_buf_clear(&rest);
        r = emlfs_buf_append(&rest, out->data, out->len);
        emlfs_buf_clear(out);
        if (r == 0)
            r = emlfs_text_printf(out, depth ? "%s/" : "%s", folder.name);
        if (r == 0)
            r = emlfs_buf_append(out, rest.data, rest.len);
        id = folder.parent;
    }
    return r;
}
