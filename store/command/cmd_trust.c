/* SPDX-License-Identifier: GPL-3.0-or-later */
/* verify and recover. */
#include "handlers.h"

#include "emlfs/verify.h"
#include <pthread.h>
#include <stdio.h>

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
                      bool repaired, struct emlfs_err *err)
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
        if (repaired)
            emlfs_row_number(row, "repaired", totals->repaired);
        emlfs_row_number(row, "errors", totals->errors);
    }
    return emlfs_row_put(call, row, err);
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
    return r < 0 ? r : totals_put(call, &totals, false, err);
}

int emlfs_run_recover(struct emlfs_call *call, struct emlfs_err *err)
{
    struct trust_run run = {.call = call, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct emlfs_check_totals totals = {0};
    int r = emlfs_archive_recover(call->closed, call->progress, finding_pass, &run, &totals, err);

    return r < 0 ? r : totals_put(call, &totals, true, err);
}
