/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Drop: single files that somebody put into a folder of the mount go into the archive.
 *
 * Responsible for: what a file is (drop_sniff.c); whether its owner may file it there, and it fits;
 * the name it keeps.
 * Not responsible for: where its bytes wait (the spool), when it is complete (fs/).
 *
 * D1  Items that follow each other and are of one subject and user archive share an ingest, and so
 *     its commits.
 * D2  An item without an error has all its mail archived, durably, in its folder.
 */
#include "drop.h"

#include <stdlib.h>

#include "emlfs/ledger_record.h"
#include "emlfs/name.h"

int emlfs_drop_new(const struct emlfs_drop_options *options, struct emlfs_drop **ret,
                   struct emlfs_err *err)
{
    struct emlfs_drop *drop = calloc(1, sizeof(*drop));

    if (!drop)
        return emlfs_err_set(err, ENOMEM, "drop", "out of memory");
    drop->archive = options->archive;
    drop->rules = options->rules;
    drop->worker_exe = options->worker_exe;
    pthread_mutex_init(&drop->lock, NULL);
    *ret = drop;
    return 0;
}

void emlfs_drop_free(struct emlfs_drop *drop)
{
    if (!drop)
        return;
    intake_parsers_free(&drop->parsers);
    pthread_mutex_destroy(&drop->lock);
    free(drop);
}

int drop_read(const struct emlfs_drop_item *item, void *data, size_t len, uint64_t offset,
              struct emlfs_err *err)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = item->pread(item->arg, (uint8_t *)data + done, len - done, offset + done, err);

        if (n < 0)
            return (int)n;
        if (n == 0)
            return emlfs_err_set(err, EIO, "drop", "the file is shorter than it was");
        done += (size_t)n;
    }
    return 0;
}

/* ---- may it */

/* The subject's right, and that the folder is there and is the user's. */
static int place_check(struct emlfs_drop *drop, const struct emlfs_drop_item *item,
                       struct emlfs_folder *ret, struct emlfs_err *err)
{
    struct emlfs_target target = {.kind = EMLFS_OBJECT_FOLDER, .user = item->user};
    int r = emlfs_archive_folder_get(drop->archive, item->folder, ret, err);

    if (r == 0 && ret->user.v != item->user.v)
        r = -ENOENT;
    if (r == -ENOENT)
        return emlfs_err_set(err, ENOENT, "drop", "the folder is gone");
    if (r < 0)
        return r;
    if (ret->parent.v == 0)
        target.kind = EMLFS_OBJECT_ARCHIVE;
    return emlfs_rules_check(drop->rules, &item->subject, &target, EMLFS_CALL_CREATE, err);
}

static int kind_check(const struct emlfs_drop_item *item, enum emlfs_drop_kind *ret,
                      struct emlfs_err *err)
{
    uint8_t head[EMLFS_DROP_HEAD_BYTES];
    size_t len = item->size_bytes < sizeof(head) ? (size_t)item->size_bytes : sizeof(head);
    const char *reason = "";
    int r = drop_read(item, head, len, 0, err);

    if (r < 0)
        return r;
    *ret = emlfs_drop_sniff(emlfs_span_of(head, len), len == item->size_bytes, &reason);
    if (*ret == EMLFS_DROP_FOREIGN)
        return emlfs_err_set(err, EOPNOTSUPP, "drop", "not a mail message: %s", reason);
    if (*ret == EMLFS_DROP_MESSAGE && item->size_bytes > EMLFS_MESSAGE_MAX_BYTES)
        return emlfs_err_set(err, EFBIG, "drop", "a message larger than 256 MiB");
    return 0;
}

/*
 * By what the files have: what of them is there already is not known yet, and what is just being
 * archived may count twice.
 */
static int quota_check(struct emlfs_drop *drop, const struct emlfs_drop_item *item,
                       struct emlfs_err *err)
{
    uint64_t quota, used = 0;
    int r = emlfs_rules_quota(drop->rules, item->user, &quota, err);

    if (r == 0 && quota)
        r = emlfs_archive_usage(drop->archive, item->user, &used, err);
    if (r < 0 || quota == 0)
        return r;
    uint64_t room = used < quota ? quota - used : 0;
    room = item->waiting_bytes < room ? room - item->waiting_bytes : 0;
    if (used <= quota && item->size_bytes <= room)
        return 0;
    return emlfs_err_set(err, EDQUOT, "drop",
                         "the user archive holds %llu of %llu bytes, and %llu are waiting: %llu "
                         "more are over its quota",
                         (unsigned long long)used, (unsigned long long)quota,
                         (unsigned long long)item->waiting_bytes,
                         (unsigned long long)item->size_bytes);
}

int emlfs_drop_check(struct emlfs_drop *drop, const struct emlfs_drop_item *item,
                     struct emlfs_err *err)
{
    struct emlfs_folder folder;
    enum emlfs_drop_kind kind;
    int r = place_check(drop, item, &folder, err);

    if (r == 0)
        r = kind_check(item, &kind, err);
    if (r == 0)
        r = emlfs_ingest_check(drop->archive, item->size_bytes, err);
    return r < 0 ? r : quota_check(drop, item, err);
}

/* ---- the ingest's side */

static int drop_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                        struct emlfs_err *err)
{
    struct emlfs_drop *drop = arg;
    const struct dropping *dropping = item->owner;
    struct intake_how how = {.sent = dropping->sent};

    if (dropping->item->kind == EMLFS_DROP_MESSAGE)
        how.given = dropping->item->name;
    return intake_parse(&drop->parsers, worker, item, &how, err);
}

static void drop_ahead(void *arg, unsigned worker, const struct emlfs_ingest_item *item)
{
    struct emlfs_drop *drop = arg;

    intake_parse_ahead(&drop->parsers, worker, item);
}

static void drop_done(void *arg, struct emlfs_ingest_item *item)
{
    struct emlfs_drop *drop = arg;
    struct emlfs_drop_item *dropped = ((struct dropping *)item->owner)->item;
    struct emlfs_ingest_totals *totals = &dropped->totals;

    pthread_mutex_lock(&drop->lock);
    totals->archived += item->verdict == EMLFS_INGEST_ARCHIVED;
    totals->duplicates += item->verdict == EMLFS_INGEST_DUPLICATE;
    totals->rejected += item->verdict == EMLFS_INGEST_REJECTED;
    totals->new_entries += item->verdict == EMLFS_INGEST_DUPLICATE && item->new_entry;
    if (item->verdict != EMLFS_INGEST_REJECTED && dropped->kind == EMLFS_DROP_MESSAGE)
        dropped->id = item->id;
    if (item->verdict == EMLFS_INGEST_REJECTED && dropped->rejected.code == 0)
        dropped->rejected = item->err;
    if (item->verdict == EMLFS_INGEST_REJECTED && dropped->code == 0) {
        dropped->code = item->err.code ? -item->err.code : -EIO;
        dropped->err = item->err;
    }
    pthread_mutex_unlock(&drop->lock);
    emlfs_ingest_item_free(item);
}

static int64_t drop_arrival(void *arg)
{
    struct emlfs_drop *drop = arg;

    return emlfs_rules_arrival_ns(drop->rules);
}

static int drop_quota(void *arg, struct emlfs_user_id user, uint64_t *ret_bytes,
                      struct emlfs_err *err)
{
    struct emlfs_drop *drop = arg;

    return emlfs_rules_quota(drop->rules, user, ret_bytes, err);
}

static int ingest_begin(struct emlfs_drop *drop, const struct emlfs_subject *subject,
                        struct emlfs_ingest **ret, struct emlfs_err *err)
{
    struct emlfs_ingest_options options = {.prepare = drop_prepare,
                                           .ahead = drop_ahead,
                                           .done = drop_done,
                                           .arg = drop,
                                           .arrival_ns = drop_arrival,
                                           .quota = drop_quota};
    struct emlfs_who who;
    int r = 0;

    if (!drop->parsers_ready) {
        r = intake_parsers_init(&drop->parsers, drop->archive, drop->worker_exe, err);
        drop->parsers_ready = r == 0;
        if (r < 0)
            intake_parsers_free(&drop->parsers);
    }
    if (r < 0)
        return r;
    emlfs_rules_who(drop->rules, subject, &who);
    options.actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    return emlfs_ingest_begin(drop->archive, &options, ret, err);
}

/* ---- items */

static void item_fail(struct emlfs_drop_item *item, int code, const struct emlfs_err *err)
{
    item->code = code;
    item->err = *err;
    if (item->err.code == 0)
        emlfs_err_sys(&item->err, -code, "drop", "not archived");
}

/* Negative: the ingest takes nothing more. What is wrong with the item goes into it. */
static int message_put(struct dropping *dropping, struct emlfs_ingest *ingest,
                       struct emlfs_err *err)
{
    struct emlfs_drop_item *dropped = dropping->item;
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    size_t len = (size_t)dropped->size_bytes;
    struct emlfs_err why = {0};
    int r = item ? emlfs_buf_reserve(&item->raw, len) : -ENOMEM;

    if (r < 0)
        emlfs_err_set(&why, ENOMEM, "drop", "out of memory");
    else
        r = drop_read(dropped, item->raw.data, len, 0, &why);
    if (r < 0) {
        item_fail(dropped, r, &why);
        emlfs_ingest_item_free(item);
        return 0;
    }
    item->raw.len = len;
    item->folder = dropped->folder;
    item->user = dropped->user;
    item->file_time_sec = dropped->file_time_sec;
    item->owner = dropping;
    return emlfs_ingest_put(ingest, item, err);
}

static void dropping_begin(struct emlfs_drop *drop, struct dropping *dropping)
{
    struct emlfs_drop_item *item = dropping->item;
    struct emlfs_err why = {0};
    struct emlfs_folder folder;
    int r = place_check(drop, item, &folder, &why);

    if (r == 0)
        r = kind_check(item, &item->kind, &why);
    if (r < 0)
        item_fail(item, r, &why);
    else
        dropping->sent = emlfs_name_is_sent(folder.name);
}

/* An mbox in which nothing was mail is not archived, whatever its first line said. */
static void dropping_end(struct dropping *dropping)
{
    struct emlfs_drop_item *item = dropping->item;

    if (item->code == 0 && item->totals.archived + item->totals.duplicates == 0) {
        emlfs_err_set(&item->err, EOPNOTSUPP, "drop", "no mail message in it");
        item->code = -EOPNOTSUPP;
    }
}

static bool together(const struct emlfs_drop_item *a, const struct emlfs_drop_item *b)
{
    return a->user.v == b->user.v && a->subject.uid == b->subject.uid &&
           a->subject.gid == b->subject.gid;
}

/* Items of one subject and user archive. Negative: nothing more is taken. */
static int group_archive(struct emlfs_drop *drop, struct dropping *group, unsigned n,
                         struct emlfs_err *err)
{
    struct emlfs_ingest *ingest = NULL;
    struct emlfs_ingest_totals totals;
    int r = ingest_begin(drop, &group[0].item->subject, &ingest, err), ended;

    for (unsigned i = 0; i < n && r == 0; i++) {
        dropping_begin(drop, &group[i]);
        if (group[i].item->code < 0)
            continue;
        if (group[i].item->kind == EMLFS_DROP_MBOX)
            r = drop_mbox(drop, &group[i], ingest, err);
        else
            r = message_put(&group[i], ingest, err);
    }
    ended = ingest ? emlfs_ingest_end(ingest, false, &totals, r < 0 ? NULL : err) : 0;
    return r < 0 ? r : ended;
}

int emlfs_drop_archive(struct emlfs_drop *drop, struct emlfs_drop_item *items, unsigned n,
                       struct emlfs_err *err)
{
    struct dropping *all = calloc(n ? n : 1, sizeof(*all));
    struct emlfs_err why = {0};
    int r = all ? 0 : emlfs_err_set(&why, ENOMEM, "drop", "out of memory");

    for (unsigned i = 0; i < n; i++) {
        items[i].code = 0;
        items[i].err = (struct emlfs_err){0};
        items[i].kind = EMLFS_DROP_UNDECIDED;
        items[i].id.v = 0;
        items[i].totals = (struct emlfs_ingest_totals){0};
        items[i].expected = 0;
        items[i].rejected = (struct emlfs_err){0};
        if (all)
            all[i].item = &items[i];
    }
    for (unsigned i = 0, next; i < n && r == 0; i = next) {
        for (next = i + 1; next < n && together(&items[i], &items[next]);)
            next++;
        r = group_archive(drop, all + i, next - i, &why);
    }
    for (unsigned i = 0; i < n; i++) {
        struct emlfs_drop_item *item = &items[i];
        bool none = item->totals.archived + item->totals.duplicates == 0;

        if (r < 0 && item->code == 0 && none)
            item_fail(item, r, &why);
        else if (r == 0)
            dropping_end(&all[i]);
    }
    if (r < 0 && err)
        *err = why;
    free(all);
    return r;
}
