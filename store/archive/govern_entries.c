/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Deleting and moving entries, each on a verdict.
 *
 * I-GOVERN-1  a verdict is used up under write_lock, behind every other check of what can be known
 *             before something is written
 * I-GOVERN-2  an entry that an ingest is about to build upon stays until the ingest has written
 */
#include <stdio.h>

#include "emlfs/feed.h"
#include "internal.h"

#define MODULE "archive"

/* What is known of the entry under the lock. */
struct found {
    struct store *store;
    uint32_t number;
    struct filed_list list;
    int at; /* in list */
    struct chunk_entry entry;
    char stem[EMLFS_NAME_MAX_BYTES + 1];
    struct emlfs_hash digest;
    bool has_digest; /* a message whose block is damaged has none */
};

static bool being_filed(const struct emlfs_archive *archive, struct emlfs_msg_id id)
{
    bool found = archive->filing_one.v == id.v;

    for (unsigned i = 0; i < archive->filing_n && !found; i++)
        found = archive->filing[i].v == id.v;
    return found;
}

static int digest_get(struct emlfs_archive *archive, struct emlfs_msg_id id, struct found *ret,
                      struct emlfs_err *err)
{
    struct emlfs_msg_info info;
    int rc = emlfs_archive_msg_info(archive, id, &info, NULL, err);

    ret->has_digest = rc == 0;
    if (rc == 0)
        ret->digest = info.sha256;
    return rc == -EBADMSG || rc == -EUCLEAN ? 0 : rc;
}

static int entry_get(struct emlfs_archive *archive, const struct emlfs_entry_at *at,
                     struct found *ret, struct emlfs_err *err)
{
    struct emlfs_entry shown;
    int rc =
        apply_filed_get(writer_apply(archive), ret->store->rows.no, ret->number, &ret->list, err);

    ret->at = filed_find(&ret->list, at->user.v, at->folder.v);
    if (rc == 0 && ret->at < 0)
        rc = -ENOENT;
    if (rc == 0)
        rc = apply_entry_get(writer_apply(archive), ret->store->rows.no, at->folder.v, ret->number,
                             &ret->entry, err);
    if (rc < 0)
        return rc;
    snprintf(ret->stem, sizeof(ret->stem), "%.*s", (int)ret->entry.stem.len,
             ret->entry.stem.len ? (const char *)ret->entry.stem.data : "");
    ret->entry.stem = emlfs_span_str(ret->stem);
    /* Not before it is committed: nobody has seen it. */
    return emlfs_archive_entry_of(archive, at->user, at->id, &shown, err);
}

static int entry_find(struct emlfs_archive *archive, const struct emlfs_entry_at *at,
                      struct found *ret, struct emlfs_err *err)
{
    uint16_t no = emlfs_msg_id_store(at->id);
    int rc = writer_begin(archive, err);

    if (rc < 0)
        return rc;
    ret->store = archive_shown(archive, no);
    ret->number = emlfs_msg_id_number(at->id);
    rc = ret->store ? entry_get(archive, at, ret, err) : -ENOENT;
    if (rc == 0)
        rc = digest_get(archive, at->id, ret, err);
    if (rc == -ENOENT)
        return emlfs_err_set(err, ENOENT, MODULE, "there is no such entry");
    if (rc == 0 && atomic_load(&archive->states[no - 1]) == EMLFS_STORE_WRITE_PROTECTED)
        rc = emlfs_err_set(err, EROFS, MODULE, "store %u is write-protected", no);
    if (rc == 0 && being_filed(archive, at->id))
        rc = emlfs_err_set(err, EAGAIN, MODULE, "the message is just being filed; try again");
    return rc < 0 ? rc : writer_room(archive, err);
}

static int verdict_use(struct emlfs_archive *archive, const struct emlfs_entry_at *at,
                       enum emlfs_act act, struct emlfs_verdict *verdict, struct emlfs_err *err)
{
    const struct emlfs_verdict_terms asked = {
        .act = act,
        .id = at->id,
        .archive = at->user,
        .generation = atomic_load(&archive->generation),
    };

    return emlfs_verdict_use(verdict, &asked, err);
}

static struct emlfs_ledger_record record_of(const struct emlfs_entry_at *at,
                                            const struct found *found,
                                            const struct emlfs_verdict *verdict)
{
    return (struct emlfs_ledger_record){
        .uid = EMLFS_LEDGER_UID_NONE,
        .owner = at->user,
        .message = at->id,
        .folder = at->folder,
        .object = emlfs_verdict_terms(verdict)->policy,
        .has_digest = found->has_digest,
        .digest = found->digest,
    };
}

static struct event taken_out(const struct emlfs_entry_at *at, const struct found *found,
                              enum event_kind kind)
{
    return (struct event){
        .kind = (uint8_t)kind,
        .id = at->id,
        .by_uid = EMLFS_UID_NONE,
        .entry = {.user = at->user.v,
                  .folder = at->folder.v,
                  .source = found->list.v[found->at].source},
    };
}

static int entry_delete(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                        const struct emlfs_entry_at *at, struct emlfs_verdict *verdict,
                        struct emlfs_err *err)
{
    struct found found = {0};
    struct emlfs_ledger_record record;
    struct event event;
    int rc = entry_find(archive, at, &found, err);

    if (rc == 0)
        rc = verdict_use(archive, at, EMLFS_ACT_DELETE, verdict, err);
    if (rc == 0) {
        record = record_of(at, &found, verdict);
        record.kind = EMLFS_LEDGER_MESSAGE_DELETED;
        event = taken_out(at, &found, EVENT_DELETED);
        event.by_uid = emlfs_verdict_terms(verdict)->actor;
        event.by_user = actor ? actor->user.v : 0;
        event.policy = emlfs_verdict_terms(verdict)->policy;
        rc = journal_events(archive, actor, &(struct journal_events){&event, 1}, &record, err);
    }
    filed_list_free(&found.list);
    return rc;
}

int emlfs_archive_entry_delete(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                               const struct emlfs_entry_at *at, struct emlfs_verdict *verdict,
                               struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = entry_delete(archive, actor, at, verdict, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}

/* Filed there, and out here: two events, so that followers hear of both folders. */
static void move_events(const struct emlfs_entry_at *at, const struct found *found,
                        const struct emlfs_filing *to, struct event ret[2])
{
    ret[0] = (struct event){
        .kind = EVENT_MOVED,
        .id = at->id,
        .from = at->folder.v,
        .size_bytes = found->entry.size_bytes,
        .archived_ns = found->entry.archived_ns,
        .by_uid = EMLFS_UID_NONE,
        .entry = {.user = to->user.v,
                  .folder = to->folder.v,
                  .source = found->list.v[found->at].source,
                  .flags = found->entry.flags & ~CHUNK_MULTI,
                  .mtime_sec = found->entry.mtime_sec,
                  .stem = found->entry.stem},
    };
    ret[1] = taken_out(at, found, EVENT_UNFILED);
}

static int move_check(struct emlfs_archive *archive, const struct emlfs_entry_at *at,
                      const struct found *found, struct emlfs_filing *to, struct emlfs_err *err)
{
    struct folder_row row;
    int rc = folder_row_get(archive, to->folder, &row, err);

    if (rc == -ENOENT)
        return emlfs_err_set(err, ENOENT, MODULE, "there is no folder %u", to->folder.v);
    if (rc < 0)
        return rc;
    to->user.v = row.user;
    if (to->folder.v != at->folder.v && filed_find(&found->list, to->user.v, to->folder.v) >= 0)
        return emlfs_err_set(err, EEXIST, MODULE, "the message is in that folder already");
    return found->list.n < FILED_MAX
               ? 0
               : emlfs_err_set(err, E2BIG, MODULE, "the message is in %u folders already",
                               found->list.n);
}

/* What the other user archive has of the message already costs it nothing. */
static int quota_check(struct emlfs_archive *archive, const struct found *found,
                       struct emlfs_user_id to, uint64_t quota, struct emlfs_err *err)
{
    uint64_t used;
    int rc;

    if (quota == 0 || filed_count_user(&found->list, to.v) > 0)
        return 0;
    rc = usage_get(archive, to, &used, err);
    if (rc < 0 || (used <= quota && found->entry.size_bytes <= quota - used))
        return rc;
    return emlfs_err_set(err, EDQUOT, MODULE,
                         "the other user archive holds %llu of %llu bytes: %llu more are over its "
                         "quota",
                         (unsigned long long)used, (unsigned long long)quota,
                         (unsigned long long)found->entry.size_bytes);
}

static int entry_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                      const struct emlfs_entry_at *at, struct emlfs_folder_id to_folder,
                      struct emlfs_verdict *verdict, struct emlfs_err *err)
{
    struct emlfs_filing to = {.folder = to_folder};
    struct found found = {0};
    struct emlfs_ledger_record record;
    struct event events[2];
    int rc = entry_find(archive, at, &found, err);

    if (rc == 0)
        rc = move_check(archive, at, &found, &to, err);
    if (rc == 0 && to.folder.v == at->folder.v) {
        filed_list_free(&found.list);
        return 0;
    }
    if (rc == 0 && verdict && to.user.v != at->user.v)
        rc = quota_check(archive, &found, to.user, emlfs_verdict_terms(verdict)->quota_bytes, err);
    if (rc == 0)
        rc = verdict_use(archive, at, EMLFS_ACT_MOVE, verdict, err);
    if (rc == 0) {
        record = record_of(at, &found, verdict);
        record.kind = EMLFS_LEDGER_MESSAGE_MOVED;
        record.folder_to = to.folder;
        move_events(at, &found, &to, events);
        rc = journal_events(archive, actor, &(struct journal_events){events, 2}, &record, err);
    }
    filed_list_free(&found.list);
    return rc;
}

int emlfs_archive_entry_move(struct emlfs_archive *archive, const struct emlfs_actor *actor,
                             const struct emlfs_entry_at *at, struct emlfs_folder_id to,
                             struct emlfs_verdict *verdict, struct emlfs_err *err)
{
    int rc;

    pthread_mutex_lock(&archive->write_lock);
    rc = entry_move(archive, actor, at, to, verdict, err);
    pthread_mutex_unlock(&archive->write_lock);
    return rc;
}
