/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * File handles. Opening decides the right and nothing else, so that an open whose content the
 * kernel already has costs a table look-up; the message is opened by the first read that arrives.
 *
 * F1  A reader is given back as soon as the end was read, and at most VIEW_READERS_MAX live on
 *     between reads: memory does not grow with the number of open files.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "view_govern.h"

#define VIEW_READERS_MAX 24u

struct emlfs_view_file {
    struct emlfs_view *view;
    struct view_node at;
    pthread_mutex_t lock; /* guards reader and its use count */
    struct emlfs_msg_reader *reader;
    unsigned users;        /* reads that use reader now */
    bool done;             /* the end was read: the last user frees reader */
    struct emlfs_buf text; /* of all other files */
};

int emlfs_view_file_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, struct emlfs_view_file **ret, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct view_node at = view_node_at(view, node);
    struct emlfs_view_file *file;
    int rc;

    rc = emlfs_view_access(view, subject, node, err);
    if (rc < 0)
        return rc;
    if (!view_kind_is_file(at.kind))
        return emlfs_err_set(err, EISDIR, "view", "a directory");
    rc = at.kind == VIEW_MESSAGE ? view_record_read(view, subject, &at, err) : 0;
    if (rc < 0)
        return rc;
    file = calloc(1, sizeof(*file));
    if (!file)
        return emlfs_err_set(err, ENOMEM, "view", "out of memory");
    file->view = view;
    file->at = at;
    pthread_mutex_init(&file->lock, NULL);
    file->text = EMLFS_BUF_INIT(VIEW_TEXT_MAX_BYTES);
    if (at.kind != VIEW_MESSAGE)
        rc = view_text_make(view, subject, &at, &file->text, err);
    if (rc < 0) {
        emlfs_view_file_free(file);
        return view_errno(rc);
    }
    *ret = file;
    return 0;
}

static void file_drop_reader(struct emlfs_view_file *file)
{
    if (!file->reader)
        return;
    emlfs_msg_reader_free(file->reader);
    file->reader = NULL;
    atomic_fetch_sub(&file->view->readers, 1);
}

void emlfs_view_file_free(struct emlfs_view_file *file)
{
    if (!file)
        return;
    file_drop_reader(file);
    emlfs_buf_free(&file->text);
    pthread_mutex_destroy(&file->lock);
    free(file);
}

static ssize_t text_pread(const struct emlfs_view_file *file, void *data, size_t len,
                          uint64_t offset)
{
    if (offset >= file->text.len)
        return 0;
    if (len > file->text.len - offset)
        len = file->text.len - offset;
    memcpy(data, file->text.data + offset, len);
    return (ssize_t)len;
}

/* The handle's reader, opened when there is none; counted as used by the caller. */
static int reader_get(struct emlfs_view_file *file, struct emlfs_msg_reader **ret,
                      struct emlfs_err *err)
{
    int rc = 0;

    pthread_mutex_lock(&file->lock);
    if (!file->reader) {
        rc = emlfs_archive_msg_open(file->view->options.archive, file->at.id, &file->reader, err);
        if (rc == 0)
            atomic_fetch_add(&file->view->readers, 1);
        file->done = false;
    }
    if (rc == 0) {
        file->users++;
        *ret = file->reader;
    }
    pthread_mutex_unlock(&file->lock);
    return rc;
}

static void reader_put(struct emlfs_view_file *file, bool end)
{
    pthread_mutex_lock(&file->lock);
    if (end || atomic_load(&file->view->readers) > VIEW_READERS_MAX)
        file->done = true;
    if (--file->users == 0 && file->done)
        file_drop_reader(file);
    pthread_mutex_unlock(&file->lock);
}

ssize_t emlfs_view_file_pread(struct emlfs_view_file *file, void *data, size_t len, uint64_t offset,
                              struct emlfs_err *err)
{
    struct emlfs_msg_reader *reader = NULL;
    uint64_t size;
    ssize_t n;

    if (file->at.kind != VIEW_MESSAGE)
        return text_pread(file, data, len, offset);
    n = reader_get(file, &reader, err);
    if (n < 0)
        return view_errno((int)n);
    size = emlfs_msg_reader_size(reader);
    n = emlfs_msg_reader_pread(reader, data, len, offset, err);
    reader_put(file, n < 0 || offset + (uint64_t)n >= size);
    return n < 0 ? view_errno((int)n) : n;
}
