/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_ARCHIVE_GOVERN_TEST_H
#define EMLFS_TESTS_UNIT_ARCHIVE_GOVERN_TEST_H

#include "snapshot_test.h"

#include "emlfs/change.h"
#include "emlfs/feed.h"
#include "emlfs/stores.h"

/* Acts on an archive of a few messages, and that nothing of them is lost by opening or rebuilding.
 */

static const struct emlfs_actor actor = {.user = {1}, .uid = 1000};

static inline struct emlfs_verdict *verdict_for(struct life *life, enum emlfs_act act,
                                                const struct emlfs_entry_at *at)
{
    struct emlfs_verdict_terms terms = {.act = act,
                                        .id = at->id,
                                        .archive = at->user,
                                        .actor = 1000,
                                        .policy = 7,
                                        .generation = emlfs_archive_generation(life->archive)};
    struct emlfs_verdict *verdict;
    must(emlfs_verdict_issue(&terms, &verdict));
    return verdict;
}

static inline int entry_delete(struct life *life, struct emlfs_entry_at at)
{
    struct emlfs_verdict *verdict = verdict_for(life, EMLFS_ACT_DELETE, &at);
    int rc = emlfs_archive_entry_delete(life->archive, &actor, &at, verdict, NULL);
    emlfs_verdict_free(verdict);
    return rc;
}

static inline int entry_move(struct life *life, struct emlfs_entry_at at, struct emlfs_folder_id to)
{
    struct emlfs_verdict *verdict = verdict_for(life, EMLFS_ACT_MOVE, &at);
    int rc = emlfs_archive_entry_move(life->archive, &actor, &at, to, verdict, NULL);
    emlfs_verdict_free(verdict);
    return rc;
}

/* One message filed in folder; its id. */
static inline struct emlfs_msg_id mail_file(struct life *life, struct emlfs_folder_id folder,
                                            struct emlfs_user_id user, unsigned number)
{
    life_begin(life, "test:govern");
    life_put_mail(life, folder, user, number);
    life_end(life, false);
    assert_int_not_equal(life->results[0].verdict, EMLFS_INGEST_REJECTED);
    return life->results[0].id;
}

/* What mail brings: -errno of a rejection, 0 a new message or entry, 1 nothing new. */
static inline int mail_try(struct life *life, struct emlfs_folder_id folder, unsigned number)
{
    life_begin(life, "test:govern");
    life_put_mail(life, folder, USER, number);
    life_end(life, false);
    if (life->results[0].verdict == EMLFS_INGEST_REJECTED)
        return -life->results[0].code;
    return life->results[0].verdict == EMLFS_INGEST_DUPLICATE && !life->results[0].new_entry;
}

static inline uint64_t folder_count(struct life *life, struct emlfs_folder_id id)
{
    struct emlfs_folder folder;
    must(emlfs_archive_folder_get(life->archive, id, &folder, NULL));
    return folder.entries;
}

static inline void snapshots_equal(const struct emlfs_buf *a, const struct emlfs_buf *b)
{
    if (!emlfs_span_equal(emlfs_buf_view(a), emlfs_buf_view(b)))
        fail_msg("before:\n%.*s\nafter:\n%.*s", (int)a->len, (const char *)a->data, (int)b->len,
                 (const char *)b->data);
}

static inline void life_recover(struct life *life)
{
    const struct emlfs_archive_options options = {.path = life->path};
    struct emlfs_check_totals totals;
    struct emlfs_err err;
    if (emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, &err) < 0)
        fail_msg("%s", err.text);
    assert_int_equal(totals.errors, 0);
}

/* Verified, opened again, opened as after a crash, and rebuilt, the archive is the same. */
static inline void life_is_lasting(struct life *life)
{
    struct emlfs_buf before = EMLFS_BUF_INIT(8u << 20), after = EMLFS_BUF_INIT(8u << 20);
    char crashed[128];
    archive_snapshot(life->archive, 5, &before);
    life_verify_clean(life);
    snprintf(crashed, sizeof(crashed), "%s/crashed", life->dir);
    tree_copy(life->path, crashed);
    life_close(life);
    must(life_try_open(life, crashed, NULL));
    archive_snapshot(life->archive, 5, &after);
    snapshots_equal(&before, &after);
    life_close(life);
    tree_remove(crashed);
    const struct emlfs_archive_options reading = {.path = life->path, .read_only = true};
    must(emlfs_archive_open(&reading, &life->archive, NULL));
    archive_snapshot(life->archive, 5, &after);
    snapshots_equal(&before, &after);
    life_close(life);
    life_recover(life);
    life_open(life);
    archive_snapshot(life->archive, 5, &after);
    snapshots_equal(&before, &after);
    life_verify_clean(life);
    emlfs_buf_free(&before);
    emlfs_buf_free(&after);
}

#endif
