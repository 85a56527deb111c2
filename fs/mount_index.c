/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The search index and the saved searches of the mounted archive, and what is told of them. */
#include <json-c/json.h>
#include <syslog.h>

#include "emlfs/command.h"
#include "fs_internal.h"

/* What the index noticed, on whatever thread. */
static void index_notice(void *arg, const char *text)
{
    fs_log_text(arg, LOG_WARNING, "%s", text);
}

int fs_index_open(struct fs *fs, struct emlfs_err *err)
{
    struct emlfs_err lost = {.code = 0};
    int rc;

    rc = emlfs_command_index_open(fs->archive, index_notice, fs->log, &fs->index, err);
    if (rc < 0)
        return rc;
    rc = emlfs_saved_open(fs->archive, &fs->saved, err);
    if (rc < 0)
        fs_index_close(fs, &lost);
    return rc;
}

int fs_index_close(struct fs *fs, struct emlfs_err *err)
{
    int rc = fs->index ? emlfs_index_close(fs->index, err) : 0;

    emlfs_saved_close(fs->saved);
    fs->index = NULL;
    fs->saved = NULL;
    return rc;
}

/* Numbers of messages, of the archive as a whole: nothing of anybody's mail. */
void fs_index_status(struct fs *fs, struct json_object *to)
{
    struct emlfs_index_store_status store = {.store_no = 0};
    struct json_object *row = json_object_new_object();
    uint64_t indexed = 0, waiting = 0;
    unsigned stores = 0;

    while (fs->index && emlfs_index_status(fs->index, store.store_no, &store, NULL) == 0) {
        indexed += store.indexed;
        waiting += store.waiting;
        stores++;
    }
    json_object_object_add(row, "open", json_object_new_boolean(fs->index != NULL));
    json_object_object_add(row, "stores", json_object_new_uint64(stores));
    json_object_object_add(row, "indexed", json_object_new_uint64(indexed));
    json_object_object_add(row, "waiting", json_object_new_uint64(waiting));
    json_object_object_add(to, "index", row);
}
