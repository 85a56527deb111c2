/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_COLLECT_H
#define EMLFS_TESTS_COLLECT_H

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../../importers/mbox.h"
#include "scratch.h"

/* A sink that remembers what it was given, and small helpers to make sources. */
#define COLLECT_TEXT_BYTES 256u
#define COLLECT_BODY_BYTES 512u

struct collect_item {
    char folder[COLLECT_TEXT_BYTES];
    char position[COLLECT_TEXT_BYTES];
    char text[COLLECT_BODY_BYTES]; /* start of the message, reason, or note */
    size_t len;
    uint32_t flags;
    int64_t time_sec;
};

struct collect_list {
    struct collect_item *items;
    size_t count;
    size_t cap;
};

struct collect {
    struct collect_list messages, rejects, folders, notes;
    uint64_t bytes;
    int fail_message; /* returned by message when not 0 */
};

static inline struct collect_item *collect_add(struct collect_list *list, const char *position,
                                               const void *text, size_t len)
{
    if (list->count == list->cap) {
        list->cap = list->cap ? list->cap * 2 : 16;
        list->items = reallocarray(list->items, list->cap, sizeof(*list->items));
        assert_non_null(list->items);
    }
    struct collect_item *item = &list->items[list->count++];
    *item = (struct collect_item){.len = len};
    snprintf(item->position, sizeof(item->position), "%.250s", position);
    size_t shown = len < sizeof(item->text) - 1 ? len : sizeof(item->text) - 1;
    if (shown)
        memcpy(item->text, text, shown);
    return item;
}

static inline int collect_message(void *arg, struct emlfs_source_message *message,
                                  struct emlfs_err *err)
{
    struct collect *collect = arg;
    (void)err;
    if (collect->fail_message)
        return collect->fail_message;
    struct collect_item *item =
        collect_add(&collect->messages, message->position, message->raw->data, message->raw->len);
    snprintf(item->folder, sizeof(item->folder), "%.250s", message->folder);
    item->flags = message->flags;
    item->time_sec = message->file_time_sec;
    collect->bytes += message->raw->len;
    if (collect->messages.count % 3 == 0) { /* a sink may take the bytes */
        free(message->raw->data);
        message->raw->data = NULL;
        message->raw->len = message->raw->cap = 0;
    }
    return 0;
}

static inline int collect_reject(void *arg, const char *position, const char *reason,
                                 struct emlfs_err *err)
{
    (void)err;
    collect_add(&((struct collect *)arg)->rejects, position, reason, strlen(reason));
    return 0;
}

static inline int collect_folder(void *arg, const char *folder, struct emlfs_err *err)
{
    (void)err;
    collect_add(&((struct collect *)arg)->folders, folder, "", 0);
    return 0;
}

static inline int collect_note(void *arg, const char *position, const char *text,
                               struct emlfs_err *err)
{
    (void)err;
    collect_add(&((struct collect *)arg)->notes, position, text, strlen(text));
    return 0;
}

static inline void collect_free(struct collect *collect)
{
    free(collect->messages.items);
    free(collect->rejects.items);
    free(collect->folders.items);
    free(collect->notes.items);
    *collect = (struct collect){0};
}

static inline int collect_run_with(struct collect *collect, const struct emlfs_importer *importer,
                                   const char *path, const struct emlfs_import_options *options)
{
    struct emlfs_sink sink = {.arg = collect,
                              .message = collect_message,
                              .reject = collect_reject,
                              .folder = collect_folder,
                              .note = collect_note};
    struct emlfs_err err = {0};
    int r = importer->run(path, options, &sink, &err);
    if (r < 0 && collect->fail_message == 0)
        assert_int_equal(err.code, -r);
    return r;
}

static inline int collect_run(struct collect *collect, const struct emlfs_importer *importer,
                              const char *path)
{
    return collect_run_with(collect, importer, path, NULL);
}

static inline const struct collect_item *collect_find(const struct collect_list *list,
                                                      const char *part)
{
    for (size_t i = 0; i < list->count; i++)
        if (strstr(list->items[i].position, part))
            return &list->items[i];
    return NULL;
}

static inline size_t collect_in_folder(const struct collect *collect, const char *folder)
{
    size_t n = 0;
    for (size_t i = 0; i < collect->messages.count; i++)
        n += strcmp(collect->messages.items[i].folder, folder) == 0;
    return n;
}

static inline bool collect_noted(const struct collect *collect, const char *part)
{
    for (size_t i = 0; i < collect->notes.count; i++)
        if (strstr(collect->notes.items[i].text, part))
            return true;
    return false;
}

/* A fresh directory, its path in ret. */
static inline void source_make(char *ret, size_t size)
{
    snprintf(ret, size, "%s/emlfs-import-XXXXXX", scratch_dir());
    assert_non_null(mkdtemp(ret));
}

static inline void source_dir(const char *root, const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static inline void source_file_bytes(const char *root, const char *name, const void *data,
                                     size_t len)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, len, file), len);
    assert_int_equal(fclose(file), 0);
}

static inline void source_file(const char *root, const char *name, const char *text)
{
    source_file_bytes(root, name, text, strlen(text));
}

static inline int source_remove_one(const char *path, const struct stat *st, int type,
                                    struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void source_remove(const char *path)
{
    nftw(path, source_remove_one, 200, FTW_DEPTH | FTW_PHYS);
}

/* The unpacked corpora, NULL: absent (the test is skipped). */
static inline const char *corpora(void)
{
    const char *path = getenv("EMLFS_CORPORA");
    if (!path || access(path, R_OK) < 0)
        print_message("[  NOTE    ] EMLFS_CORPORA is not set or not there: skipped\n");
    return path && access(path, R_OK) == 0 ? path : NULL;
}

#endif
