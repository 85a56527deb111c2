/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Responsible for: time stamps of checkpoints, kept in timestamps/, vouched for by a record. */
#include <stdio.h>

#include "emlfs/base/timestamp.h"
#include "internal.h"
#include "stamp.h"

int ledger_stamp_path(const char *dir, uint64_t number, char ret_path[LEDGER_PATH_MAX_BYTES])
{
    char name[48];
    snprintf(name, sizeof(name), "timestamps/%08llu.tsr", (unsigned long long)number);
    return ledger_path(dir, name, ret_path);
}

static int text_hash(struct emlfs_ledger *ledger, uint64_t *number, struct emlfs_hash *ret_hash,
                     struct emlfs_err *err)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint note;
    int r = emlfs_ledger_checkpoint_text(ledger, *number, &text, err);
    if (r < 0)
        return r;
    r = emlfs_checkpoint_parse(emlfs_buf_view(&text), &note);
    *number = note.number;
    return r < 0 ? r : emlfs_sha256(emlfs_buf_view(&text), ret_hash);
}

int emlfs_ledger_timestamp_query(struct emlfs_ledger *ledger, uint64_t number,
                                 struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_hash hash;
    int r = text_hash(ledger, &number, &hash, err);
    return r < 0 ? r : emlfs_timestamp_query(&hash, out, err);
}

static int stamp_seen(void *arg, const struct emlfs_ledger_record *record)
{
    (void)arg;
    (void)record;
    return 1;
}

static int stamp_keep(struct emlfs_ledger *ledger, uint64_t number, struct emlfs_span response,
                      int64_t time_sec, struct emlfs_err *err)
{
    char path[LEDGER_PATH_MAX_BYTES];
    char when[48];
    struct emlfs_ledger_record record = {
        .kind = EMLFS_LEDGER_TIMESTAMPED,
        .uid = EMLFS_LEDGER_UID_NONE,
        .object = number,
        .has_digest = true,
    };
    snprintf(when, sizeof(when), "%lld", (long long)time_sec);
    record.detail = emlfs_span_str(when);
    int r = ledger_stamp_path(ledger->dir, number, path);
    if (r == 0)
        r = emlfs_sha256(response, &record.digest);
    if (r == 0)
        r = emlfs_os_replace_file(path, response, 0600);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "the time stamp cannot be kept")
                 : emlfs_ledger_append(ledger, &record, 1, NULL, err);
}

int emlfs_ledger_timestamp_add(struct emlfs_ledger *ledger, uint64_t number,
                               struct emlfs_span response, struct emlfs_span ca_pem,
                               struct emlfs_err *err)
{
    struct emlfs_timestamp_check check = {.ca_pem = ca_pem};
    struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_TIMESTAMPED};
    int64_t time_sec;
    if (ledger->read_only)
        return emlfs_err_sys(err, EROFS, MODULE, "the time stamp cannot be kept");
    int r = text_hash(ledger, &number, &check.hash, err);
    if (r == 0)
        r = emlfs_timestamp_verify(response, &check, &time_sec, err);
    filter.object = number;
    if (r == 0)
        r = emlfs_ledger_each(ledger, &filter, stamp_seen, NULL, err);
    if (r > 0)
        return emlfs_err_set(err, EEXIST, MODULE, "checkpoint %llu has a time stamp",
                             (unsigned long long)number);
    return r < 0 ? r : stamp_keep(ledger, number, response, time_sec, err);
}
