/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify and recover. */
#include "handlers.h"

#include <pthread.h>
#include <stdio.h>

#include "emlfs/text.h"
#include "emlfs/verify.h"

/* Findings may come from any thread of the check. */
struct trust_run {
    struct emlfs_call *call;
    pthread_mutex_t lock;
};

static void finding_pass(void *arg, const struct emlfs_err *finding)
{
    struct trust_run *run = arg;
    char text[sizeof(finding->text) + sizeof(finding->module) + 4];

    snprintf(text, sizeof(text), "%s: %s", finding->module, finding->text);
    pthread_mutex_lock(&run->lock);
    if (run->call->notice)
        run->call->notice(run->call->arg, text);
    pthread_mutex_unlock(&run->lock);
}

static int totals_put(struct emlfs_call *call, const struct emlfs_check_totals *totals,
                      bool recovered, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    call->findings = totals->errors;
    if (row) {
        emlfs_row_number(row, "stores", totals->stores);
        emlfs_row_number(row, "packs", totals->packs);
        emlfs_row_number(row, "records", totals->records);
        emlfs_row_number(row, "messages", totals->messages);
        emlfs_row_number(row, "blobs", totals->blobs);
        emlfs_row_number(row, "entries", totals->entries);
        emlfs_row_number(row, "folders", totals->folders);
        emlfs_row_number(row, "bytes", totals->bytes);
        if (recovered) {
            emlfs_row_number(row, "ledger_completed", totals->ledger_completed);
            emlfs_row_number(row, "repaired", totals->repaired);
        } else {
            emlfs_row_number(row, "ledger_records", totals->ledger_records);
            emlfs_row_number(row, "checkpoints", totals->ledger_checkpoints);
            emlfs_row_number(row, "timestamps", totals->ledger_timestamps);
        }
        emlfs_row_number(row, "errors", totals->errors);
    }
    return emlfs_row_put(call, row, err);
}

/* What was done, how it ended, and how much was wrong. */
static void trust_record(struct emlfs_call *call, uint16_t kind, int r,
                         const struct emlfs_check_totals *totals)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf detail = EMLFS_BUF_INIT(256);
    struct emlfs_ledger_record record = {.kind = kind, .outcome = (uint16_t)(r < 0 ? -r : 0)};

    if (emlfs_text_printf(&detail, "messages: %llu, repaired: %llu, errors: %llu",
                          (unsigned long long)totals->messages,
                          (unsigned long long)totals->repaired,
                          (unsigned long long)totals->errors) == 0)
        record.detail = emlfs_buf_view(&detail);
    if (call->archive)
        emlfs_call_record(call, &record);
    else
        emlfs_call_record_closed(call, &record);
}

int emlfs_run_verify(struct emlfs_call *call, struct emlfs_err *err)
{
    struct trust_run run = {.call = call, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct emlfs_check_totals totals = {0};
    int r;

    if (call->archive)
        r = emlfs_archive_verify(call->archive, call->progress, finding_pass, &run, &totals, err);
    else
        r = emlfs_archive_verify_files(call->closed, call->progress, finding_pass, &run, &totals,
                                       err);
    /* An archive that could not be read at all takes no record either. */
    if (r == 0 || call->archive)
        trust_record(call, EMLFS_LEDGER_VERIFIED, r, &totals);
    return r < 0 ? r : totals_put(call, &totals, false, err);
}

int emlfs_run_recover(struct emlfs_call *call, struct emlfs_err *err)
{
    struct trust_run run = {.call = call, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct emlfs_check_totals totals = {0};
    int r = emlfs_archive_recover(call->closed, call->progress, finding_pass, &run, &totals, err);

    if (r == 0)
        trust_record(call, EMLFS_LEDGER_RECOVERED, r, &totals);
    return r < 0 ? r : totals_put(call, &totals, true, err);
}
