/* SPDX-License-Identifier: GPL-3.0-or-later */
/* message delete, move and explain; clock. */
#include "handlers.h"

#include <stdio.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define PATH_BYTES (1u << 20)

/* What is done to each of several messages. */
struct deed {
    struct emlfs_call *call;
    struct emlfs_actor actor;
    const char *done; /* "deleted" */
    enum emlfs_access_call right;
    const char *reason;
    struct emlfs_folder_id to; /* of a move */
    struct emlfs_user_id to_user;
    uint64_t good, refused;
};

static int verdict_ask(struct deed *deed, const struct emlfs_entry_at *at,
                       struct emlfs_verdict **ret, struct emlfs_err *err)
{
    if (deed->to.v)
        return emlfs_rules_move(deed->call->rules, &deed->call->who, at, deed->to_user, ret, err);
    return emlfs_rules_delete(deed->call->rules, &deed->call->who, at, ret, err);
}

/* The reason that was given; on disk before the deed is. */
static int reason_record(struct deed *deed, const struct emlfs_entry_at *at, struct emlfs_err *err)
{
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_COMMAND_RUN,
                                         .owner = at->user,
                                         .message = at->id,
                                         .folder = at->folder,
                                         .name = emlfs_span_str("message delete")};

    if (!deed->reason || !*deed->reason)
        return 0;
    record.detail = emlfs_ledger_detail(emlfs_span_str(deed->reason), detail);
    return emlfs_archive_record(deed->call->archive, &deed->actor, &record, err);
}

/* reasoned: the reason is recorded. */
static int deed_try(struct deed *deed, const struct emlfs_entry_at *at, bool *reasoned,
                    struct emlfs_err *err)
{
    struct emlfs_verdict *verdict = NULL;
    int r = verdict_ask(deed, at, &verdict, err);

    if (r == 0 && !*reasoned) {
        r = reason_record(deed, at, err);
        *reasoned = r == 0;
    }
    if (r == 0 && deed->to.v)
        r = emlfs_archive_entry_move(deed->call->archive, &deed->actor, at, deed->to, verdict, err);
    else if (r == 0)
        r = emlfs_archive_entry_delete(deed->call->archive, &deed->actor, at, verdict, err);
    emlfs_verdict_free(verdict);
    return r;
}

/*
 * The rules may change between a verdict and its use, and an import may be filing the message just
 * now.
 */
static int deed_do(struct deed *deed, const struct emlfs_entry_at *at, struct emlfs_err *err)
{
    unsigned waited_ms = 0;
    bool reasoned = false;
    int r = deed_try(deed, at, &reasoned, err);

    while (r == -EAGAIN && !emlfs_progress_cancelled(deed->call->progress) &&
           emlfs_os_try_later(&waited_ms))
        r = deed_try(deed, at, &reasoned, err);
    return r;
}

/* A refusal is told to who asked, and to the ledger where that is switched on. */
static void refusal_record(struct deed *deed, const struct emlfs_entry *entry, int code,
                           struct emlfs_err *err)
{
    struct emlfs_refusal refusal = {.target = {.kind = EMLFS_OBJECT_MESSAGE,
                                               .user = entry->user,
                                               .store_no = emlfs_msg_id_store(entry->id)},
                                    .message = entry->id,
                                    .folder = entry->folder,
                                    .call = deed->right,
                                    .code = code,
                                    .detail = deed->to.v ? "message move" : "message delete"};
    struct emlfs_err failed = {0};

    if (!emlfs_rules_is_audited(deed->call->rules, &deed->call->who, EMLFS_AUDIT_DENIED))
        return;
    if (emlfs_rules_refused(deed->call->rules, &deed->actor, &refusal, &failed) < 0)
        snprintf(err->text + strlen(err->text), sizeof(err->text) - strlen(err->text),
                 " (and the refusal could not be recorded)");
}

static int deed_row(struct deed *deed, const char *message, const struct emlfs_buf *path,
                    const struct emlfs_err *failed, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();
    char name[EMLFS_ERRNO_TEXT_MAX];

    if (row) {
        emlfs_row_text(row, "message", message);
        if (path->len)
            emlfs_row_span(row, "path", emlfs_buf_view(path));
        emlfs_row_text(row, "result", failed ? "refused" : deed->done);
        if (failed) {
            emlfs_errno_text(failed->code, name);
            emlfs_row_text(row, "errno", name);
            emlfs_row_text(row, "reason", failed->text);
        }
    }
    return emlfs_row_put(deed->call, row, err);
}

/* Failures that the next message would only meet again. */
static bool code_is_general(int r)
{
    return r == -EIO || r == -ENOMEM || r == -ENOSPC || r == -ECANCELED;
}

static int deed_one(struct deed *deed, const char *message, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_BYTES);
    const struct emlfs_target_ask ask = {.message = message,
                                         .user = emlfs_args_text(deed->call->args, "user"),
                                         .call = EMLFS_CALL_STAT,
                                         .exact = true};
    struct emlfs_err failed = {0};
    struct emlfs_entry entry = {0};
    int r = emlfs_target_find(deed->call, &ask, &entry, &path, &failed);
    bool found = r == 0;

    if (r == 0) {
        r = deed_do(
            deed,
            &(struct emlfs_entry_at){.user = entry.user, .folder = entry.folder, .id = entry.id},
            &failed);
    }
    if (r == 0) {
        deed->good++;
        return deed_row(deed, message, &path, NULL, err);
    }
    if (failed.code != -r)
        emlfs_err_sys(&failed, -r, "message", "%s", message);
    if (code_is_general(r)) {
        if (err)
            *err = failed;
        return r;
    }
    if (found && (r == -EPERM || r == -EACCES || r == -EROFS))
        refusal_record(deed, &entry, -r, &failed);
    deed->refused++;
    return deed_row(deed, message, &path, &failed, err);
}

static void deed_totals(struct deed *deed, size_t given)
{
    char good[32], refused[32], text[120];

    deed->call->findings = deed->refused;
    if (given < 2 || !deed->call->notice)
        return;
    emlfs_text_count(deed->good, good);
    emlfs_text_count(deed->refused, refused);
    snprintf(text, sizeof(text), "%s %s, %s refused", good, deed->done, refused);
    deed->call->notice(deed->call->arg, text);
}

static int deed_run(struct deed *deed, struct emlfs_err *err)
{
    struct json_object *list = emlfs_args_list(deed->call->args, "MESSAGE");
    size_t n = json_object_array_length(list), i = 0;
    int r = 0;

    for (; r == 0 && i < n; i++) {
        if (emlfs_progress_cancelled(deed->call->progress))
            r = emlfs_err_set(err, ECANCELED, "message", "interrupted after %zu of %zu", i, n);
        else
            r = deed_one(deed, json_object_get_string(json_object_array_get_idx(list, i)), err);
        emlfs_progress_step(deed->call->progress, "messages", i + 1, n);
    }
    deed_totals(deed, n);
    return r;
}

int emlfs_run_message_delete(struct emlfs_call *call, struct emlfs_err *err)
{
    struct deed deed = {.call = call,
                        .done = "deleted",
                        .right = EMLFS_CALL_UNLINK,
                        .reason = emlfs_args_text(call->args, "reason")};

    if (deed.reason && strlen(deed.reason) > EMLFS_LEDGER_DETAIL_MAX_BYTES)
        return emlfs_err_set(err, EINVAL, "message", "--reason: at most %u bytes",
                             EMLFS_LEDGER_DETAIL_MAX_BYTES);
    deed.actor = emlfs_call_actor(call);
    return deed_run(&deed, err);
}

/* ---- move */

/* The user archive that messages go to: named, or the caller's own. */
static int to_archive(struct deed *deed, struct emlfs_user *ret, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(deed->call->args, "to-user");
    struct emlfs_target target = {.kind = EMLFS_OBJECT_ARCHIVE};
    int r;

    name = name ? name : emlfs_args_text(deed->call->args, "user");
    if (name)
        r = emlfs_user_by_name(deed->call->archive, name, ret, err);
    else
        r = emlfs_user_by_id(deed->call->archive, deed->call->who.access.user, ret, err);
    target.user = r == 0 ? ret->id : target.user;
    if (r == 0)
        r = emlfs_rules_check(deed->call->rules, &deed->call->subject, &target, EMLFS_CALL_LIST,
                              err);
    if (r == -ENOENT || r == -EACCES)
        return emlfs_err_set(err, ENOENT, "message", "no user archive%s%s that you may read",
                             name ? " " : "", name ? name : "");
    return r;
}

/* The folder path below user's top folder; "" and "/" are the top. */
static int to_folder(struct deed *deed, const struct emlfs_user *user, const char *path,
                     struct emlfs_err *err)
{
    struct emlfs_folder folder = {.id = user->archive};
    const char *rest = path;
    int r = 0;

    while (r == 0) {
        char name[EMLFS_NAME_MAX_BYTES + 1];

        rest += strspn(rest, "/");
        size_t len = strcspn(rest, "/");
        if (len == 0)
            break;
        r = len > EMLFS_NAME_MAX_BYTES ? -ENOENT : 0;
        if (r == 0) {
            snprintf(name, sizeof(name), "%.*s", (int)len, rest);
            r = emlfs_archive_folder_lookup(deed->call->archive, folder.id, name, &folder, err);
        }
        rest += len;
    }
    if (r == -ENOENT)
        return emlfs_err_set(err, ENOENT, "message", "no folder %s in the user archive %s", path,
                             user->name);
    deed->to = folder.id;
    deed->to_user = user->id;
    return r;
}

int emlfs_run_message_move(struct emlfs_call *call, struct emlfs_err *err)
{
    struct deed deed = {.call = call, .done = "moved", .right = EMLFS_CALL_RENAME};
    struct emlfs_user user;
    int r;

    deed.actor = emlfs_call_actor(call);
    r = to_archive(&deed, &user, err);
    if (r == 0)
        r = to_folder(&deed, &user, emlfs_args_text(call->args, "folder"), err);
    return r == 0 ? deed_run(&deed, err) : r;
}

/* ---- explain */

struct telling {
    struct emlfs_call *call;
    const struct emlfs_entry *entry;
    const struct emlfs_buf *path;
    struct emlfs_err *err;
};

/* "at once", "never", or a time as everywhere in rows. */
static void row_date(struct json_object *row, const char *name, int64_t sec)
{
    char text[EMLFS_TIME_TEXT_MAX];
    int64_t ns;

    emlfs_time_text(sec, text);
    if (sec != EMLFS_TIME_ALWAYS && sec != EMLFS_TIME_NEVER &&
        !__builtin_mul_overflow(sec, 1000000000, &ns))
        emlfs_row_time(row, name, ns);
    else
        emlfs_row_text(row, name, text);
}

static void holds_fill(const struct emlfs_explanation *why, struct json_object *row)
{
    struct json_object *names = json_object_new_array();

    for (size_t i = 0; names && i < why->holds && i < EMLFS_HELD_NAMED_MAX; i++)
        json_object_array_add(names, emlfs_text_string(emlfs_span_str(why->hold[i]->name)));
    emlfs_row_flag(row, "held", why->held);
    json_object_object_add(row, "holds", names);
}

static void explanation_fill(const struct telling *telling, const struct emlfs_explanation *why,
                             const struct emlfs_buf *words, struct json_object *row)
{
    char id[EMLFS_MSG_ID_TEXT_MAX], code[EMLFS_ERRNO_TEXT_MAX];

    emlfs_msg_id_format(telling->entry->id, id);
    emlfs_row_text(row, "id", id);
    emlfs_row_span(row, "path", emlfs_buf_view(telling->path));
    emlfs_row_flag(row, "may_delete", why->may_delete);
    if (why->refusal) {
        emlfs_errno_text(why->refusal, code);
        emlfs_row_text(row, "errno", code);
    }
    row_date(row, "earliest", why->earliest_sec);
    row_date(row, "latest", why->latest_sec);
    if (why->earliest_policy)
        emlfs_row_text(row, "earliest_policy", why->earliest_policy->name);
    if (why->latest_policy)
        emlfs_row_text(row, "latest_policy", why->latest_policy->name);
    holds_fill(why, row);
    emlfs_row_flag(row, "waits_for_clock", why->waits_for_clock);
    if (why->has_clock) {
        emlfs_row_time(row, "system_clock", why->clock.system_ns);
        emlfs_row_time(row, "compliance_clock", why->clock.compliance_ns);
    }
    emlfs_row_lines(row, "explanation", emlfs_buf_view(words));
}

static int explanation_tell(void *arg, const struct emlfs_explanation *why)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf words = EMLFS_BUF_INIT(64u << 10);
    const struct telling *telling = arg;
    int r = emlfs_govern_words(why, &words);

    if (r < 0)
        return emlfs_err_sys(telling->err, -r, "message", "explaining");

    struct json_object *row = json_object_new_object();

    if (row)
        explanation_fill(telling, why, &words, row);
    return emlfs_row_put(telling->call, row, telling->err);
}

int emlfs_run_message_explain(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_BYTES);
    const struct emlfs_target_ask ask = {.message = emlfs_args_text(call->args, "MESSAGE"),
                                         .user = emlfs_args_text(call->args, "user"),
                                         .call = EMLFS_CALL_COMMAND};
    struct emlfs_entry entry;
    struct telling telling = {.call = call, .entry = &entry, .path = &path, .err = err};
    int r = emlfs_target_find(call, &ask, &entry, &path, err);

    if (r < 0)
        return r;
    return emlfs_rules_explain(
        call->rules, &call->who,
        &(struct emlfs_entry_at){.user = entry.user, .folder = entry.folder, .id = entry.id},
        explanation_tell, &telling, err);
}

/* ---- clock */

int emlfs_run_clock(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_compliance_report report;
    struct json_object *row = json_object_new_object();

    emlfs_rules_clock(call->rules, &report);
    if (row) {
        emlfs_row_time(row, "system_clock", report.system_ns);
        emlfs_row_time(row, "compliance_clock", report.compliance_ns);
        json_object_object_add(row, "apart_seconds",
                               json_object_new_int64(report.apart_ns / 1000000000));
        json_object_object_add(row, "agree",
                               json_object_new_boolean(report.reason == EMLFS_COMPLIANCE_AGREE));
        emlfs_row_text(row, "reason", report.text);
        emlfs_row_number(row, "trust_seconds", (uint64_t)(report.trust_ns / 1000000000));
        if (report.refused_ns)
            emlfs_row_number(row, "refused_seconds", (uint64_t)(report.refused_ns / 1000000000));
        if (report.proved_ns)
            emlfs_row_time(row, "proved", report.proved_ns);
    }
    return emlfs_row_put(call, row, err);
}
