/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the index can tell about one message.
 *
 * I-KNOWS-1  "does not match" is said only of a message whose text and filings are all in the
 *            segments that were searched: nothing of the change feed that concerns it is waiting,
 *            and nothing was dropped meanwhile
 */
#include "engine.h"

#define MODULE "index"
#define CHANGES_MAX 64u
#define BATCHES_MAX 16u /* of waiting changes that are looked through */

/* A waiting change concerns the message. Those below last are stated already, I-FOLLOW-4. */
static bool concerns(const struct emlfs_change *change, struct emlfs_msg_id id, uint32_t last)
{
    if (change->kind != EMLFS_CHANGE_MESSAGES)
        return change->first.v == id.v;
    return id.v >= change->first.v && id.v - change->first.v < change->n &&
           emlfs_msg_id_number(id) >= last;
}

static bool nothing_waits(struct shelf *shelf, struct emlfs_msg_id id, uint64_t after,
                          uint32_t last)
{
    struct emlfs_change changes[CHANGES_MAX];

    for (unsigned batch = 0; batch < BATCHES_MAX; batch++) {
        int n = emlfs_archive_changes(shelf->index->options.archive, shelf->no, after, changes,
                                      CHANGES_MAX, NULL);
        if (n <= 0)
            return n == 0;
        for (int i = 0; i < n; i++)
            if (concerns(&changes[i], id, last))
                return false;
        after = changes[n - 1].seq;
    }
    return false;
}

static bool shelf_knows(struct shelf *shelf, struct emlfs_msg_id id, uint64_t *ret_drops)
{
    uint32_t last;
    uint64_t seq;

    pthread_mutex_lock(&shelf->lock);
    last = atomic_load(&shelf->damaged) ? 0 : shelf->live.last_doc;
    seq = shelf->live.seq;
    *ret_drops = shelf->drops;
    pthread_mutex_unlock(&shelf->lock);
    return emlfs_msg_id_number(id) <= last && nothing_waits(shelf, id, seq, last);
}

bool emlfs_index_knows(struct emlfs_index *index, struct emlfs_msg_id id)
{
    struct shelf *shelf = index_shelf_of(index, id);
    uint64_t drops;

    return shelf && shelf_knows(shelf, id, &drops);
}

static bool shelf_kept(struct shelf *shelf, uint64_t drops)
{
    bool kept;

    pthread_mutex_lock(&shelf->lock);
    kept = shelf->drops == drops && !atomic_load(&shelf->damaged);
    pthread_mutex_unlock(&shelf->lock);
    return kept;
}

static int found(void *arg, struct emlfs_msg_id id)
{
    const struct emlfs_msg_id *wanted = arg;
    return id.v == wanted->v;
}

int emlfs_index_matches(struct emlfs_index *index, const struct emlfs_query *query,
                        struct emlfs_user_id user, struct emlfs_msg_id id, struct emlfs_err *err)
{
    const struct emlfs_search search = {
        .query = query, .user = user, .above = {id.v - 1}, .below = {id.v + 1}};
    struct shelf *shelf = index_shelf_of(index, id);
    uint64_t drops;

    if (!shelf || !shelf_knows(shelf, id, &drops))
        return emlfs_err_set(err, EAGAIN, MODULE, "the message is not indexed yet");
    int rc = emlfs_index_search(index, &search, found, &id, err);
    if (rc == 0 && !shelf_kept(shelf, drops))
        return emlfs_err_set(err, EAGAIN, MODULE, "the index is made again");
    return rc;
}
