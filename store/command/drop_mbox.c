/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An mbox that was put into a folder: every message of it goes there.
 *
 * What is no mail in it (text before the first separator, a separator without a message) is counted
 * as rejected and is no failure; mail that could not be archived is.
 */
#include <stdlib.h>

#include "drop.h"

struct mbox {
    struct emlfs_drop *drop;
    struct dropping *dropping;
    struct emlfs_ingest *ingest;
    int failed; /* of the ingest, for good */
    struct emlfs_err failure;
};

/* A message, or what stands where one should. why: it is rejected. */
static void mbox_count(struct mbox *mbox, const struct emlfs_err *why)
{
    struct emlfs_drop_item *item = mbox->dropping->item;

    pthread_mutex_lock(&mbox->drop->lock);
    item->expected++;
    item->totals.rejected += why != NULL;
    if (why && item->rejected.code == 0)
        item->rejected = *why;
    pthread_mutex_unlock(&mbox->drop->lock);
}

static int mbox_message(void *arg, struct emlfs_source_message *message, struct emlfs_err *err)
{
    struct mbox *mbox = arg;
    const struct emlfs_drop_item *dropped = mbox->dropping->item;
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();

    if (!item)
        return emlfs_err_set(err, ENOMEM, "drop", "out of memory");
    emlfs_buf_free(&item->raw);
    item->raw = *message->raw;
    *message->raw = EMLFS_BUF_INIT(item->raw.max_bytes);
    item->folder = dropped->folder;
    item->user = dropped->user;
    item->flags = message->flags & ~EMLFS_ENTRY_VOUCHED;
    item->file_time_sec = message->file_time_sec ? message->file_time_sec : dropped->file_time_sec;
    item->owner = mbox->dropping;
    mbox_count(mbox, NULL);
    mbox->failed = emlfs_ingest_put(mbox->ingest, item, &mbox->failure);
    if (mbox->failed < 0 && err)
        *err = mbox->failure;
    return mbox->failed;
}

static int mbox_reject(void *arg, const char *position, const char *reason, struct emlfs_err *err)
{
    struct emlfs_err why = {0};

    (void)err;
    emlfs_err_set(&why, EILSEQ, "drop", "%s: %s", position, reason);
    mbox_count(arg, &why);
    return 0;
}

static ssize_t mbox_pread(void *arg, void *data, size_t len, uint64_t offset, struct emlfs_err *err)
{
    const struct emlfs_drop_item *item = arg;

    return item->pread(item->arg, data, len, offset, err);
}

static void item_fail(struct emlfs_drop *drop, struct emlfs_drop_item *item,
                      const struct emlfs_err *err)
{
    pthread_mutex_lock(&drop->lock);
    if (item->code == 0) {
        item->code = err->code ? -err->code : -EIO;
        item->err = *err;
    }
    pthread_mutex_unlock(&drop->lock);
}

int drop_mbox(struct emlfs_drop *drop, struct dropping *dropping, struct emlfs_ingest *ingest,
              struct emlfs_err *err)
{
    struct emlfs_drop_item *item = dropping->item;
    struct mbox mbox = {.drop = drop, .dropping = dropping, .ingest = ingest};
    const struct emlfs_sink sink = {.arg = &mbox, .message = mbox_message, .reject = mbox_reject};
    uint64_t too_large = 0;
    const struct emlfs_mbox_source source = {.name = "mbox",
                                             .size_bytes = item->size_bytes,
                                             .pread = mbox_pread,
                                             .arg = item,
                                             .ret_too_large = &too_large};
    struct emlfs_err why = {0};
    int r = emlfs_mbox_read(&source, NULL, &sink, &why);

    if (r < 0)
        item_fail(drop, item, &why);
    else if (too_large > 0) {
        emlfs_err_set(&why, EFBIG, "drop", "%llu of its messages are larger than 256 MiB",
                      (unsigned long long)too_large);
        item_fail(drop, item, &why);
    }
    if (mbox.failed < 0 && err)
        *err = mbox.failure;
    return mbox.failed;
}
