/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Quotas: what a user archive may hold at most.
 *
 * What was taken and is not applied yet is charged beside the usage, perhaps twice: that is enough
 * to let a message in. Before one is kept out everything is committed, and the count is exact.
 */
#include "ingest.h"

#define MODULE "ingest"

/* Has the user the message already? Then it costs nothing. */
static int has_it(struct emlfs_ingest *ingest, const struct work *work, bool *ret,
                  struct emlfs_err *err)
{
    struct emlfs_archive *archive = ingest->archive;
    struct filed_list list = {0};
    struct emlfs_msg_id id;
    int rc = content_find(archive, &work->sha256, ret, &id, err);

    if (rc < 0 || !*ret)
        return rc;
    pthread_mutex_lock(&archive->write_lock);
    rc = apply_filed_get(writer_apply(archive), emlfs_msg_id_store(id), emlfs_msg_id_number(id),
                         &list, err);
    pthread_mutex_unlock(&archive->write_lock);
    *ret = filed_count_user(&list, work->item->user.v) > 0;
    filed_list_free(&list);
    return rc;
}

static int charge_exactly(struct emlfs_ingest *ingest, const struct work *work, uint64_t quota,
                          struct emlfs_err *err)
{
    const struct emlfs_ingest_item *item = work->item;
    uint64_t used;
    bool has = false;
    int rc = has_it(ingest, work, &has, err);

    if (rc < 0 || has)
        return rc;
    rc = emlfs_archive_usage(ingest->archive, item->user, &used, err);
    if (rc < 0)
        return rc;
    if (used > quota || item->raw.len > quota - used)
        return emlfs_err_set(err, EDQUOT, MODULE,
                             "the user archive holds %llu of %llu bytes: %zu more are over its "
                             "quota",
                             (unsigned long long)used, (unsigned long long)quota, item->raw.len);
    ingest->charged_bytes += item->raw.len;
    return 0;
}

int quota_charge(struct emlfs_ingest *ingest, const struct work *work, struct emlfs_err *err)
{
    const struct emlfs_ingest_item *item = work->item;
    uint64_t quota = 0, used, after;
    int rc = 0;

    if (ingest->options.quota)
        rc = ingest->options.quota(ingest->options.arg, item->user, &quota, err);
    if (rc < 0 || quota == 0)
        return rc;
    if (ingest->charged_bytes > 0 && ingest->charged_user != item->user.v)
        rc = ingest_commit(ingest, err);
    ingest->charged_user = item->user.v;
    if (rc == 0)
        rc = emlfs_archive_usage(ingest->archive, item->user, &used, err);
    if (rc < 0)
        return rc;
    after = used + ingest->charged_bytes + item->raw.len;
    if (after <= quota) {
        ingest->charged_bytes += item->raw.len;
        return 0;
    }
    if (ingest->charged_bytes > 0)
        rc = ingest_commit(ingest, err);
    return rc < 0 ? rc : charge_exactly(ingest, work, quota, err);
}
