/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ledger in a verification. Messages are archived in ascending order of their ids and recorded
 * in that order, so packs and ledger are compared side by side, a batch of records in memory at a
 * time: whatever the size of the archive, that is all it takes.
 *
 * I-VERIFY-L1  every message that is not older than the ledger has exactly one record, with its
 *              digest, and every such record has its message
 */
#include "verify_ledger.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define MODULE "verify"
#define BATCH 16384u

struct archived {
    uint64_t sequence;
    struct emlfs_msg_id message;
    struct emlfs_hash digest;
};

struct ledger_check {
    struct ledger_checking checking;
    struct book_begin begin;
    struct archived *v; /* BATCH */
    unsigned n, at;
    uint64_t next; /* where the next batch begins in the ledger */
    bool ended;
    struct emlfs_msg_id last; /* of the record before */
    struct emlfs_err failure;
};

static void finding(void *arg, const char *where, const char *text)
{
    const struct ledger_checking *checking = arg;
    struct emlfs_err found;

    emlfs_err_set(&found, EBADMSG, MODULE, "ledger/%s: %s", where, text);
    checking->report(checking->arg, &found);
}

int ledger_check_files(const struct ledger_checking *checking, struct emlfs_err *err)
{
    struct emlfs_ledger_findings findings = {.finding = finding,
                                             .arg = (struct ledger_checking *)checking};
    struct emlfs_ledger *open = checking->archive ? checking->archive->ledger : NULL;
    struct book_config config;
    int rc = book_config(&checking->book, &config);
    bool paused;

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "ledger");
    /* The write lock keeps out what the archive appends, not what is asked of its ledger. */
    paused = open && emlfs_ledger_pause(open) == 0;
    if (access(config.dir, F_OK) == 0)
        rc = emlfs_ledger_verify(&config.config, &findings, checking->progress, err);
    if (paused)
        emlfs_ledger_resume(open);
    checking->totals->ledger_records = findings.records;
    checking->totals->ledger_checkpoints = findings.checkpoints;
    checking->totals->ledger_timestamps = findings.timestamps;
    emlfs_wipe(&config.config.master, sizeof(config.config.master));
    return rc;
}

int ledger_check_new(const struct ledger_checking *checking, struct ledger_check **ret,
                     struct emlfs_err *err)
{
    struct emlfs_ledger *ledger = checking->archive->ledger;
    struct ledger_check *check;

    *ret = NULL;
    if (!ledger)
        return 0;
    check = calloc(1, sizeof(*check));
    if (check)
        check->v = calloc(BATCH, sizeof(*check->v));
    if (!check || !check->v) {
        free(check);
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    }
    check->checking = *checking;
    if (book_begin_read(ledger, &check->begin, NULL) < 0)
        check->ended = true; /* damaged, which ledger_check_files has reported */
    *ret = check;
    return 0;
}

void ledger_check_free(struct ledger_check *check)
{
    if (check)
        free(check->v);
    free(check);
}

static int batch_add(void *arg, const struct emlfs_ledger_record *record)
{
    struct ledger_check *check = arg;

    check->next = record->sequence + 1;
    if (record->outcome != 0)
        return 0;
    check->v[check->n++] = (struct archived){
        .sequence = record->sequence, .message = record->message, .digest = record->digest};
    return check->n == BATCH ? 1 : 0;
}

static int batch_load(struct ledger_check *check)
{
    struct emlfs_ledger *ledger = check->checking.archive->ledger;
    const struct emlfs_ledger_filter filter = {.first = check->next,
                                               .kind = EMLFS_LEDGER_MESSAGE_ARCHIVED};
    int rc = 0;

    check->n = check->at = 0;
    if (!check->ended && check->next < emlfs_ledger_size(ledger))
        rc = emlfs_ledger_each(ledger, &filter, batch_add, check, &check->failure);
    check->ended = rc <= 0;
    return rc < 0 && rc != -EBADMSG ? rc : 0; /* damage was reported with the files */
}

static void report(struct ledger_check *check, struct emlfs_msg_id id, const char *text)
{
    struct emlfs_err found;

    emlfs_err_set(&found, EBADMSG, MODULE, "message %" PRIu32 " of store %u %s",
                  emlfs_msg_id_number(id), emlfs_msg_id_store(id), text);
    check->checking.report(check->checking.arg, &found);
}

static void report_record(struct ledger_check *check, const struct archived *record,
                          const char *text)
{
    struct emlfs_err found;

    emlfs_err_set(&found, EBADMSG, MODULE,
                  "record %" PRIu64 " of the ledger %s (message %" PRIu32 " of store %u)",
                  record->sequence, text, emlfs_msg_id_number(record->message),
                  emlfs_msg_id_store(record->message));
    check->checking.report(check->checking.arg, &found);
}

/* The next record; NULL: none is left. */
static int record_next(struct ledger_check *check, const struct archived **ret)
{
    int rc = 0;

    while (rc == 0 && check->at == check->n && !check->ended)
        rc = batch_load(check);
    *ret = rc == 0 && check->at < check->n ? &check->v[check->at] : NULL;
    return rc;
}

/* Records of messages before id (0: of any) that the packs do not hold. */
static int records_pass(struct ledger_check *check, struct emlfs_msg_id id,
                        const struct archived **ret)
{
    int rc;

    while ((rc = record_next(check, ret)) == 0 && *ret) {
        const struct archived *record = *ret;
        if (id.v && record->message.v >= id.v)
            return 0;
        if (record->message.v <= check->last.v)
            report_record(check, record, "says a second time that a message was archived");
        else if (archive_store(check->checking.archive, emlfs_msg_id_store(record->message)))
            report_record(check, record, "names a message that is not in the packs");
        check->at++;
        check->last = record->message.v > check->last.v ? record->message : check->last;
    }
    return rc;
}

int ledger_check_message(void *arg, struct emlfs_msg_id id, const uint8_t sha256[EMLFS_HASH_BYTES])
{
    struct ledger_check *check = arg;
    const struct archived *record;
    int rc;

    if (!check || id.v <= check->begin.message.v)
        return 0;
    rc = records_pass(check, id, &record);
    if (rc < 0)
        return rc;
    if (!record && check->failure.code)
        return 0; /* the ledger ends where it is damaged */
    if (!record || record->message.v != id.v) {
        report(check, id, "has no record in the ledger");
        return 0;
    }
    if (memcmp(record->digest.v, sha256, EMLFS_HASH_BYTES) != 0)
        report_record(check, record, "has another digest than the message");
    check->at++;
    check->last = id;
    return 0;
}

int ledger_check_end(struct ledger_check *check, struct emlfs_err *err)
{
    const struct archived *record;
    int rc = check ? records_pass(check, (struct emlfs_msg_id){0}, &record) : 0;

    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "ledger") : 0;
}
