/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The job that processes retention policies: what is due by a policy that deletes automatically is
 * deleted, unless a hold keeps it or its store takes no changes.
 *
 * It runs when somebody says so, and once a day in the process that mounted the archive. When it
 * ran last is kept in the master row 'J' "retention": version u8 (1), minute of the day u16 le,
 * time of the last run u64 le (ns since 1970 UTC). A run that was missed is made up at the next
 * tick; an archive that never ran it waits for the next time, counted from its first tick. So does
 * one whose last run lies ahead of the clock: the clock was set back, and would keep the job from
 * running until it is there again.
 */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/zone.h"
#include "emlfs/text.h"
#include "jobs.h"

#define MODULE "job"
#define ROW_KEY "retention"
#define ROW_VERSION 1
#define ROW_MAX_BYTES 64u
#define JOB_RETENTION 1u /* its number in records */
#define DAY_SEC INT64_C(86400)
#define NS_PER_SEC INT64_C(1000000000)
#define RETRY_NS (3600 * NS_PER_SEC)
#define PATH_BYTES (1u << 20)
#define BATCH_MAX 4096u /* entries that are due, gathered before they are deleted */

/* ---- when */

int64_t jobs_due_sec(const char *zone, int64_t now_sec, unsigned minute)
{
    int64_t local = now_sec + emlfs_zone_offset_sec(zone, now_sec);
    int64_t day = local / DAY_SEC - (local % DAY_SEC < 0);
    int64_t due = emlfs_zone_utc_sec(zone, day * DAY_SEC + (int64_t)minute * 60);

    if (due > now_sec)
        due = emlfs_zone_utc_sec(zone, (day - 1) * DAY_SEC + (int64_t)minute * 60);
    return due;
}

int jobs_state_decode(struct emlfs_span value, struct jobs_state *ret)
{
    struct emlfs_cursor cursor = emlfs_cursor_of(value);
    unsigned version = emlfs_cursor_u8(&cursor);
    unsigned minute = emlfs_cursor_u16le(&cursor);
    uint64_t last_ns = emlfs_cursor_u64le(&cursor);

    if (version > ROW_VERSION)
        return -EPROTONOSUPPORT;
    if (!emlfs_cursor_done(&cursor) || version != ROW_VERSION || minute >= 1440 ||
        last_ns > INT64_MAX)
        return -EUCLEAN;
    *ret = (struct jobs_state){.minute = minute, .last_ns = (int64_t)last_ns};
    return 0;
}

int jobs_state_encode(const struct jobs_state *state, struct emlfs_buf *out)
{
    int r = emlfs_buf_append_u8(out, ROW_VERSION);

    if (r == 0)
        r = emlfs_buf_append_u16le(out, (uint16_t)state->minute);
    return r == 0 ? emlfs_buf_append_u64le(out, (uint64_t)state->last_ns) : r;
}

static int state_read(struct emlfs_archive *archive, struct jobs_state *ret, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(ROW_MAX_BYTES);
    int r =
        emlfs_archive_master_get(archive, EMLFS_MASTER_JOB, emlfs_span_str(ROW_KEY), &value, err);

    *ret = (struct jobs_state){.minute = JOBS_MINUTE_DEFAULT};
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        r = jobs_state_decode(emlfs_buf_view(&value), ret);
        if (r < 0)
            emlfs_err_set(err, -r, MODULE, "the row of the job %s is damaged, or newer", ROW_KEY);
    }
    return r;
}

/* ---- a run */

struct retention_run {
    struct emlfs_rules *rules;
    struct emlfs_archive *archive;
    struct emlfs_actor actor;
    const struct emlfs_progress *progress;
    struct emlfs_call *call; /* for rows; NULL: nobody looks */
    bool dry_run;
    struct emlfs_entry_at *batch; /* BATCH_MAX of them */
    size_t n;
    uint64_t skip; /* entries of the walk that were seen in earlier passes, and stay */
    uint64_t seen;
    struct jobs_totals totals;
    struct emlfs_err first; /* of the entries that failed */
    struct emlfs_err *err;
};

static bool store_protected(struct retention_run *run, struct emlfs_msg_id id)
{
    enum emlfs_store_state state = emlfs_archive_store_state(run->archive, emlfs_msg_id_store(id));

    return state != EMLFS_STORE_CURRENT && state != EMLFS_STORE_NORMAL;
}

struct policy_name {
    uint32_t id;
    char text[EMLFS_POLICY_NAME_MAX_BYTES + 1];
};

static int policy_named(void *arg, const struct emlfs_policy *policy)
{
    struct policy_name *name = arg;

    if (policy->id != name->id)
        return 0;
    snprintf(name->text, sizeof(name->text), "%s", policy->name);
    return 1;
}

/* Who administers reads no mail: of a message that the caller may not read, whose it is and its id.
 */
static int due_path(struct retention_run *run, const struct emlfs_entry *entry,
                    struct emlfs_buf *out)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_MESSAGE,
                                        .user = entry->user,
                                        .store_no = emlfs_msg_id_store(entry->id)};
    char id[EMLFS_MSG_ID_TEXT_MAX];
    struct emlfs_user user;
    int r;

    if (emlfs_rules_check(run->rules, &run->call->subject, &target, EMLFS_CALL_STAT, NULL) == 0) {
        r = emlfs_folder_path(run->archive, entry->folder, out, run->err);
        if (r == 0 && emlfs_text_printf(out, "/%s", entry->name) < 0)
            r = emlfs_err_set(run->err, ENOMEM, MODULE, "out of memory");
        return r;
    }
    emlfs_msg_id_format(entry->id, id);
    r = emlfs_user_by_id(run->archive, entry->user, &user, run->err);
    if (r == 0 && emlfs_text_printf(out, "%s/[%s]", user.name, id) < 0)
        r = emlfs_err_set(run->err, ENOMEM, MODULE, "out of memory");
    return r;
}

static int due_row(struct retention_run *run, const struct emlfs_due *due, const char *result)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_BYTES);
    struct policy_name policy = {.id = due->policy};
    int r = due_path(run, &due->entry, &path);

    if (r < 0)
        return r;
    (void)emlfs_rules_policies(run->rules, policy_named, &policy);

    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_time(row, "due", due->latest_sec * NS_PER_SEC);
        emlfs_row_text(row, "policy", policy.text);
        emlfs_row_text(row, "result", result);
        emlfs_row_span(row, "path", emlfs_buf_view(&path));
    }
    return emlfs_row_put(run->call, row, run->err);
}

/* What is seen of one that is due, before anything is done. */
static int due_each(void *arg, const struct emlfs_due *due)
{
    struct retention_run *run = arg;
    const char *result = NULL;

    if (run->seen++ < run->skip)
        return 0;
    run->totals.due++;
    if (due->held) {
        run->totals.held++;
        result = "held";
    } else if (store_protected(run, due->entry.id)) {
        run->totals.write_protected++;
        result = "write-protected";
    } else if (run->dry_run) {
        run->totals.deleted++;
        result = "would be deleted";
    }
    emlfs_progress_step(run->progress, "due", run->totals.due, 0);
    if (run->dry_run)
        return due_row(run, due, result);
    if (result)
        return 0;
    run->batch[run->n++] = (struct emlfs_entry_at){
        .user = due->entry.user, .folder = due->entry.folder, .id = due->entry.id};
    return run->n == BATCH_MAX; /* stops the walk */
}

static int entry_expire(struct retention_run *run, const struct emlfs_entry_at *at,
                        struct emlfs_err *err)
{
    struct emlfs_verdict *verdict = NULL;
    int r = emlfs_rules_expire(run->rules, at, &verdict, err);

    if (r == 0)
        r = emlfs_archive_entry_delete(run->archive, &run->actor, at, verdict, err);
    emlfs_verdict_free(verdict);
    return r;
}

/* What the next entry would only meet again, or that nothing is known of. */
static bool ends_run(struct retention_run *run, int r)
{
    return r == -ECANCELED || r == -ENOMEM || r == -ENOSPC || r == -EROFS ||
           !emlfs_archive_is_writable(run->archive);
}

/*
 * EAGAIN is "not due" as well as "the rules changed": it is asked once more, and stays otherwise.
 * What fails for a reason of its own stays, too, and does not keep what is behind it. 1: it stays.
 */
static int entry_process(struct retention_run *run, const struct emlfs_entry_at *at)
{
    struct emlfs_err why = {0};
    int r = entry_expire(run, at, &why);

    if (r == -EAGAIN)
        r = entry_expire(run, at, &why);
    if (r == 0) {
        run->totals.deleted++;
        return 0;
    }
    if (r == -ENOENT) { /* somebody was quicker */
        run->totals.gone++;
        return 0;
    }
    if (r == -EPERM) {
        run->totals.held++;
    } else if (r == -EROFS && store_protected(run, at->id)) {
        run->totals.write_protected++;
    } else if (r == -EAGAIN) {
        run->totals.waiting++;
    } else if (ends_run(run, r)) {
        if (run->err)
            *run->err = why;
        return r;
    } else if (run->totals.failed++ == 0) {
        if (why.code != -r)
            emlfs_err_sys(&why, -r, MODULE, "deleting a message");
        run->first = why;
    }
    return 1;
}

static int batch_process(struct retention_run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        if (emlfs_progress_cancelled(run->progress))
            return emlfs_err_set(run->err, ECANCELED, MODULE, "interrupted");

        int r = entry_process(run, &run->batch[i]);

        if (r < 0)
            return r;
        emlfs_progress_step(run->progress, "deleting", run->totals.deleted, 0);
    }
    return 0;
}

/*
 * Nothing is deleted while the walk goes on. A walk that filled the batch begins anew behind it:
 * what is deleted is not met again, and what stays stands where it stood, so as many as stay are
 * passed over.
 */
static int run_walk(struct retention_run *run, int64_t until_sec)
{
    int r;

    do {
        run->n = 0;
        run->seen = 0;
        r = emlfs_rules_due(run->rules, until_sec, due_each, run, run->progress, run->err);

        bool more = r > 0;

        r = r > 0 ? 0 : r;
        if (r == 0 && !run->dry_run)
            r = batch_process(run);
        run->skip = run->totals.due - run->totals.deleted - run->totals.gone;
        if (!more)
            break;
    } while (r == 0);
    return r;
}

static int64_t now_for_dates(struct emlfs_rules *rules)
{
    struct emlfs_compliance_report clock;

    emlfs_rules_clock(rules, &clock);
    int64_t ns = clock.system_ns < clock.compliance_ns ? clock.system_ns : clock.compliance_ns;

    return ns / NS_PER_SEC;
}

static int totals_text(const struct jobs_totals *totals, char *text, size_t size)
{
    return snprintf(text, size,
                    "deleted %llu, held %llu, write-protected %llu, waiting %llu, failed %llu, "
                    "of %llu due",
                    (unsigned long long)totals->deleted, (unsigned long long)totals->held,
                    (unsigned long long)totals->write_protected,
                    (unsigned long long)totals->waiting, (unsigned long long)totals->failed,
                    (unsigned long long)totals->due);
}

/* The record of the run, and when it was, in one step. */
static int run_record(struct retention_run *run, const struct jobs_state *before, int result,
                      struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(ROW_MAX_BYTES);
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_JOB_RUN,
                                         .object = JOB_RETENTION,
                                         .outcome = (uint16_t)-result,
                                         .name = emlfs_span_str("retention")};
    struct emlfs_master_row row = {.kind = EMLFS_MASTER_JOB, .key = emlfs_span_str(ROW_KEY)};
    struct emlfs_master_change change = {
        .actor = &run->actor, .record = &record, .rows = &row, .n = 1};
    struct jobs_state after = *before;
    char text[256];

    totals_text(&run->totals, text, sizeof(text));
    record.detail = emlfs_span_str(text);
    /* One that was interrupted is still to be done. */
    if (result != -ECANCELED)
        after.last_ns = emlfs_archive_now_ns(run->archive);
    if (jobs_state_encode(&after, &value) < 0)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    row.value = emlfs_buf_view(&value);
    return emlfs_archive_master_change(run->archive, &change, err);
}

/* A walk that came to its end, with entries that failed on the way. */
static int failures_tell(struct retention_run *run)
{
    const struct emlfs_err *first = &run->first;

    if (run->totals.failed == 0)
        return 0;
    return emlfs_err_set(run->err, first->code, MODULE,
                         "%llu of %llu that are due could not be deleted; the first: %s",
                         (unsigned long long)run->totals.failed,
                         (unsigned long long)run->totals.due, first->text);
}

static int retention_process(struct retention_run *run, int64_t until_sec)
{
    struct jobs_state state;
    struct emlfs_err failed = {0};
    int r = state_read(run->archive, &state, run->err), recorded;

    if (r < 0)
        return r;
    run->batch = calloc(BATCH_MAX, sizeof(*run->batch));
    if (!run->batch)
        return emlfs_err_set(run->err, ENOMEM, MODULE, "out of memory");
    r = run_walk(run, until_sec);
    free(run->batch);
    if (r == 0)
        r = failures_tell(run);
    if (run->dry_run)
        return r;
    recorded = run_record(run, &state, r, &failed);
    if (r == 0 && recorded < 0 && run->err)
        *run->err = failed;
    return r < 0 ? r : recorded;
}

/* ---- commands */

static int until_read(struct emlfs_call *call, int64_t *ret_sec, struct emlfs_err *err)
{
    const char *text = emlfs_args_text(call->args, "until");
    const char *zone = emlfs_archive_get_settings(call->archive)->timezone;

    *ret_sec = now_for_dates(call->rules);
    if (!text)
        return 0;
    if (!emlfs_args_flag(call->args, "dry-run"))
        return emlfs_err_set(err, EINVAL, MODULE,
                             "--until: only with --dry-run; nothing is deleted before its time");
    if (emlfs_moment_parse(text, zone, true, ret_sec) < 0)
        return emlfs_err_set(err, EINVAL, MODULE, "--until: a date like 2026-03-01 is needed");
    return 0;
}

static int job_name_check(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "JOB");

    if (strcmp(name, "retention") == 0)
        return 0;
    return emlfs_err_set(err, EINVAL, MODULE, "there is no job %s; 'emlfs job list' lists them",
                         name);
}

static void totals_tell(const struct retention_run *run)
{
    char text[256];

    if (!run->call->notice)
        return;
    if (run->dry_run)
        snprintf(text, sizeof(text), "would delete %llu, held %llu, write-protected %llu",
                 (unsigned long long)run->totals.deleted, (unsigned long long)run->totals.held,
                 (unsigned long long)run->totals.write_protected);
    else
        totals_text(&run->totals, text, sizeof(text));
    run->call->notice(run->call->arg, text);
}

int emlfs_run_job_run(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_err why = {0};
    struct retention_run run = {.rules = call->rules,
                                .archive = call->archive,
                                .actor = emlfs_call_actor(call),
                                .progress = call->progress,
                                .call = call,
                                .dry_run = emlfs_args_flag(call->args, "dry-run"),
                                .err = &why};
    int64_t until_sec;
    int r = job_name_check(call, &why);

    if (r == 0)
        r = until_read(call, &until_sec, &why);
    if (r == 0) {
        r = retention_process(&run, until_sec);
        totals_tell(&run);
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

int emlfs_run_job_list(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *zone = emlfs_archive_get_settings(call->archive)->timezone;
    int64_t now_sec = emlfs_archive_now_ns(call->archive) / NS_PER_SEC;
    struct jobs_state state;
    char at[16];
    int r = state_read(call->archive, &state, err);

    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row) {
        snprintf(at, sizeof(at), "%02u:%02u", state.minute / 60 % 24, state.minute % 60);
        emlfs_row_text(row, "job", "retention");
        emlfs_row_text(row, "at", at);
        emlfs_row_text(row, "timezone", zone);
        if (state.last_ns)
            emlfs_row_time(row, "last_run", state.last_ns);
        /* The time that comes after the last one that has passed. */
        emlfs_row_time(row, "next",
                       jobs_due_sec(zone, now_sec + DAY_SEC, state.minute) * NS_PER_SEC);
    }
    return emlfs_row_put(call, row, err);
}

/* ---- by itself */

/* The first run is counted from here on. */
static int first_note(struct emlfs_archive *archive, struct jobs_state *state, int64_t now_ns,
                      struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(ROW_MAX_BYTES);

    state->last_ns = now_ns;
    if (jobs_state_encode(state, &value) < 0)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    return emlfs_archive_master_put(archive, EMLFS_MASTER_JOB, emlfs_span_str(ROW_KEY),
                                    emlfs_buf_view(&value), err);
}

static int tick_run(struct emlfs_rules *rules, struct emlfs_archive *archive, int64_t now_ns,
                    const struct emlfs_progress *progress, struct emlfs_err *err)
{
    const char *zone = emlfs_archive_get_settings(archive)->timezone;
    struct retention_run run = {.rules = rules,
                                .archive = archive,
                                .actor = {.uid = EMLFS_UID_NONE, .source = EMLFS_LEDGER_JOB},
                                .progress = progress,
                                .err = err};
    struct jobs_state state;
    int r = state_read(archive, &state, err);

    if (r < 0)
        return r;
    if (state.last_ns == 0 || state.last_ns > now_ns)
        return first_note(archive, &state, now_ns, err);
    if (state.last_ns >= jobs_due_sec(zone, now_ns / NS_PER_SEC, state.minute) * NS_PER_SEC)
        return 0;
    r = retention_process(&run, now_for_dates(rules));
    return r == 0 ? 1 : r;
}

int emlfs_jobs_tick(struct emlfs_jobs *jobs, const struct emlfs_jobs_at *at,
                    const struct emlfs_progress *progress, struct emlfs_err *err)
{
    const int64_t since_ns = at->now_ns - jobs->failed_ns;
    struct emlfs_err why = {0};

    /* One that was set back does not make it wait for the clock to be there again. */
    if (jobs->failed && since_ns >= 0 && since_ns < RETRY_NS)
        return 0;
    jobs->failed = false;
    if (!emlfs_archive_is_writable(at->archive))
        return 0;

    int r = tick_run(at->rules, at->archive, at->now_ns, progress, &why);

    if (r < 0 && r != -ECANCELED)
        *jobs = (struct emlfs_jobs){.failed = true, .failed_ns = at->now_ns};
    if (r < 0 && err)
        *err = why;
    return r;
}
