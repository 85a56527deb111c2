/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the ledger gives out to be checked elsewhere: proofs, checkpoints, time stamps. */
#include "handlers.h"

#include <stdlib.h>

#include "emlfs/text.h"

#define TIMESTAMP_MAX_BYTES (256u << 10)

static int text_give(struct emlfs_call *call, const struct emlfs_buf *text, struct emlfs_err *err)
{
    int r = call->bytes ? call->bytes(call->arg, emlfs_buf_view(text)) : 0;

    return r < 0 ? emlfs_err_sys(err, -r, "ledger", "writing the result") : 0;
}

/* ---- prove */

/* The newest record that says this message, or these bytes, were archived. */
struct newest {
    struct emlfs_call *call;
    struct emlfs_err *err;
    struct emlfs_buf digest; /* empty: any */
    bool found;
    struct emlfs_ledger_record record; /* without its texts */
};

/* Proving tells the record: to auditors and administrators, and who reads the message anyway. */
static bool record_known(struct emlfs_call *call, const struct emlfs_ledger_record *record)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_MESSAGE,
                                        .user = record->owner,
                                        .store_no = emlfs_msg_id_store(record->message)};

    if (emlfs_call_has_office(call))
        return true;
    return record->owner.v && record->message.v &&
           emlfs_rules_check(call->rules, &call->subject, &target, EMLFS_CALL_OPEN, NULL) == 0;
}

static int newest_each(void *arg, const struct emlfs_ledger_record *record)
{
    struct newest *newest = arg;

    if (emlfs_progress_cancelled(newest->call->progress))
        return emlfs_err_set(newest->err, ECANCELED, "prove", "interrupted");
    emlfs_progress_step(newest->call->progress, "records", record->sequence, 0);
    if (newest->digest.len &&
        (!record->has_digest || memcmp(record->digest.v, newest->digest.data, EMLFS_HASH_BYTES)))
        return 0;
    if (!record_known(newest->call, record))
        return 0;
    newest->found = true;
    newest->record = *record;
    newest->record.name = newest->record.detail = newest->record.data = emlfs_span_of(NULL, 0);
    return 0;
}

static int newest_find(struct newest *newest, const struct emlfs_ledger_filter *filter,
                       const char *what, struct emlfs_err *err)
{
    int r = emlfs_ledger_each(emlfs_archive_ledger(newest->call->archive), filter, newest_each,
                              newest, err);

    if (r == 0 && !newest->found)
        r = emlfs_err_set(err, ENOENT, "prove", "no record says that %s was archived", what);
    return r;
}

static int office_need(struct emlfs_call *call, struct emlfs_err *err)
{
    if (emlfs_call_has_office(call))
        return 0;
    return emlfs_err_set(err, EACCES, "prove",
                         "only administrators and auditors may prove any record");
}

/* The record that is meant by --digest, --message or --record. */
static int prove_which(struct emlfs_call *call, uint64_t *ret, struct emlfs_err *err)
{
    const char *digest = emlfs_args_text(call->args, "digest");
    const char *message = emlfs_args_text(call->args, "message");
    struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_MESSAGE_ARCHIVED};
    struct newest newest = {.call = call, .err = err, .digest = EMLFS_BUF_INIT(EMLFS_HASH_BYTES)};
    int r = 0;

    *ret = emlfs_args_number(call->args, "record", 0);
    if (!digest && !message)
        return json_object_object_get(call->args, "record")
                   ? office_need(call, err)
                   : emlfs_err_set(err, EINVAL, "prove", "nothing was named");
    if (digest &&
        (emlfs_hex_parse(digest, &newest.digest) < 0 || newest.digest.len != EMLFS_HASH_BYTES))
        r = emlfs_err_set(err, EINVAL, "prove", "%s is no SHA-256", digest);
    if (r == 0 && message)
        r = emlfs_message_id(message, &filter.message, err);
    if (r == 0)
        r = newest_find(&newest, &filter, digest ? "a message with exactly these bytes" : message,
                        err);
    *ret = newest.record.sequence;
    emlfs_buf_free(&newest.digest);
    return r;
}

int emlfs_run_ledger_prove(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf proof = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    struct emlfs_ledger *ledger = emlfs_archive_ledger(call->archive);
    uint64_t older = emlfs_args_number(call->args, "consistency", 0), record = 0;
    int r;

    if (older) {
        r = office_need(call, err);
        if (r == 0)
            r = emlfs_ledger_prove_consistency(ledger, older, &proof, err);
    } else {
        r = prove_which(call, &record, err);
        if (r == 0)
            r = emlfs_ledger_prove(ledger, record, &proof, err);
    }
    if (r == -ERANGE)
        return emlfs_err_set(err, ERANGE, "prove", "the ledger has only %llu records",
                             (unsigned long long)emlfs_ledger_size(ledger));
    return r < 0 ? r : text_give(call, &proof, err);
}

/* ---- checkpoints */

int emlfs_run_ledger_text(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(TIMESTAMP_MAX_BYTES);
    struct emlfs_ledger *ledger = emlfs_archive_ledger(call->archive);
    const char *what = emlfs_args_text(call->args, "WHAT");
    uint64_t number = emlfs_args_number(call->args, "number", 0);
    int r;

    /* A public key is for everybody; the others tell how much was recorded. */
    if (strcmp(what, "key") == 0)
        r = emlfs_ledger_checkpoint_pem(ledger, &text);
    else if (!emlfs_call_has_office(call))
        return emlfs_err_set(err, EACCES, "checkpoint", "only administrators and auditors may");
    else if (strcmp(what, "timestamp-query") == 0)
        r = emlfs_ledger_timestamp_query(ledger, number, &text, err);
    else if (strcmp(what, "checkpoint") != 0)
        return emlfs_err_set(err, EINVAL, "checkpoint", "there is no text %s", what);
    else if (number)
        r = emlfs_ledger_checkpoint_text(ledger, number, &text, err);
    else
        r = emlfs_ledger_checkpoint(ledger, &text, err);
    if (r == -ENOENT)
        return emlfs_err_set(err, ENOENT, "checkpoint",
                             number ? "there is no checkpoint %llu"
                                    : "there is no checkpoint yet: 'emlfs checkpoint' makes one",
                             (unsigned long long)number);
    if (r < 0 && err && err->code != -r)
        return emlfs_err_sys(err, -r, "checkpoint", "%s", what);
    return r < 0 ? r : text_give(call, &text, err);
}

/* Which checkpoints have a time stamp, and of when. */
struct stamp {
    uint64_t number;
    int64_t time_sec;
};
struct stamps {
    struct stamp *v;
    size_t n;
};

static int stamp_each(void *arg, const struct emlfs_ledger_record *record)
{
    struct stamps *stamps = arg;
    struct stamp *v = reallocarray(stamps->v, stamps->n + 1, sizeof(*v));
    char text[32] = "";

    if (!v)
        return -ENOMEM;
    if (record->detail.len > 0 && record->detail.len < sizeof(text))
        memcpy(text, record->detail.data, record->detail.len);
    stamps->v = v;
    v[stamps->n++] = (struct stamp){.number = record->object, .time_sec = strtoll(text, NULL, 10)};
    return 0;
}

static int checkpoint_row(struct emlfs_call *call, const struct emlfs_checkpoint *checkpoint,
                          const struct stamps *stamps, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_number(row, "number", checkpoint->number);
        emlfs_row_time(row, "time", checkpoint->time_sec * 1000000000);
        emlfs_row_number(row, "records", checkpoint->head.size);
        for (size_t i = 0; i < stamps->n; i++)
            if (stamps->v[i].number == checkpoint->number)
                emlfs_row_time(row, "timestamp", stamps->v[i].time_sec * 1000000000);
    }
    return emlfs_row_put(call, row, err);
}

static int checkpoints_put(struct emlfs_call *call, const struct stamps *stamps,
                           struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_ledger *ledger = emlfs_archive_ledger(call->archive);
    int r = 0;

    for (uint64_t number = 1; r == 0; number++) {
        struct emlfs_checkpoint checkpoint;

        emlfs_buf_clear(&text);
        r = emlfs_ledger_checkpoint_text(ledger, number, &text, NULL);
        if (r == -ENOENT)
            return 0;
        if (r == 0)
            r = emlfs_checkpoint_parse(emlfs_buf_view(&text), &checkpoint);
        if (r < 0)
            return emlfs_err_sys(err, -r, "checkpoint", "checkpoint %llu",
                                 (unsigned long long)number);
        r = checkpoint_row(call, &checkpoint, stamps, err);
    }
    return r;
}

int emlfs_run_checkpoint_list(struct emlfs_call *call, struct emlfs_err *err)
{
    const struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_TIMESTAMPED};
    struct stamps stamps = {0};
    int r =
        emlfs_ledger_each(emlfs_archive_ledger(call->archive), &filter, stamp_each, &stamps, err);

    if (r == 0)
        r = checkpoints_put(call, &stamps, err);
    free(stamps.v);
    return r;
}

/* Bytes that came as hexadecimal pieces. */
static int pieces_join(struct json_object *list, struct emlfs_buf *out, struct emlfs_err *err)
{
    size_t n = list ? json_object_array_length(list) : 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = emlfs_hex_parse(json_object_get_string(json_object_array_get_idx(list, i)), out);
    return r < 0 ? emlfs_err_sys(err, -r, "checkpoint", "the request") : 0;
}

int emlfs_run_ledger_stamp(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf response = EMLFS_BUF_INIT(TIMESTAMP_MAX_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf ca = EMLFS_BUF_INIT(TIMESTAMP_MAX_BYTES);
    uint64_t number = emlfs_args_number(call->args, "number", 0);
    int r = pieces_join(emlfs_args_list(call->args, "response"), &response, err);

    if (r == 0)
        r = pieces_join(emlfs_args_list(call->args, "ca"), &ca, err);
    if (r == 0 && ca.len == 0)
        r = emlfs_err_set(err, EINVAL, "checkpoint",
                          "a time stamp proves nothing without its authority: --ca names it");
    if (r == 0)
        r = emlfs_ledger_timestamp_add(emlfs_archive_ledger(call->archive), number,
                                       emlfs_buf_view(&response), emlfs_buf_view(&ca), err);
    return r;
}
