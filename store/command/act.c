/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who acts, and what is recorded of it beside the changes that record themselves. */
#include "handlers.h"

#include "emlfs/text.h"

struct emlfs_actor emlfs_call_actor(const struct emlfs_call *call)
{
    return emlfs_rules_actor(&call->who, call->source);
}

void emlfs_call_by(const struct emlfs_call *call, struct emlfs_by *ret)
{
    const char *reason = emlfs_args_text(call->args, "reason");

    *ret = (struct emlfs_by){
        .actor = emlfs_call_actor(call), .who = call->who.name, .reason = reason ? reason : ""};
}

static bool whole_allows(const struct emlfs_call *call, enum emlfs_access_call what)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_SYSTEM};

    return emlfs_rules_check(call->rules, &call->subject, &target, what, NULL) == 0;
}

bool emlfs_call_is_admin(const struct emlfs_call *call)
{
    return whole_allows(call, EMLFS_CALL_COMMAND);
}

bool emlfs_call_has_office(const struct emlfs_call *call)
{
    return whole_allows(call, EMLFS_CALL_READ);
}

static void record_failed(struct emlfs_call *call, const struct emlfs_err *why)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(1024);

    if (call->notice &&
        emlfs_text_printf(&text, "the ledger has no record of this: %s%c", why->text, '\0') == 0)
        call->notice(call->arg, (const char *)text.data);
}

void emlfs_call_record(struct emlfs_call *call, const struct emlfs_ledger_record *record)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_err why = {0};

    if (emlfs_archive_record(call->archive, &actor, record, &why) < 0)
        record_failed(call, &why);
}

static int closed_record(struct emlfs_call *call, const struct emlfs_ledger_record *record,
                         struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct emlfs_rules_options options = {.archive = archive};
    struct emlfs_actor actor;
    int r = emlfs_bindings_new(archive, &options.bindings);
    struct emlfs_rules *rules = NULL;

    if (r < 0)
        return emlfs_err_sys(err, -r, "command", "users");
    r = emlfs_rules_open(&options, &rules, err);
    if (r == 0) {
        emlfs_rules_who(rules, &call->subject, &call->who);
        actor = emlfs_call_actor(call);
        /* Who opens the archive's keys administers it: nobody else was asked. */
        actor.admin = true;
        r = emlfs_archive_record(archive, &actor, record, err);
    }
    emlfs_rules_close(rules);
    emlfs_bindings_free(options.bindings);
    return r;
}

void emlfs_call_record_closed(struct emlfs_call *call, struct emlfs_ledger_record *record)
{
    struct emlfs_archive *archive = NULL;
    struct emlfs_err why = {0};
    int r = emlfs_archive_open(call->closed, &archive, &why);

    if (r == 0) {
        r = closed_record(call, record, archive, &why);

        int closed = emlfs_archive_close(archive, r < 0 ? NULL : &why);

        r = r < 0 ? r : closed;
    }
    if (r < 0)
        record_failed(call, &why);
}

int emlfs_call_activity(struct emlfs_call *call, const struct emlfs_activity *activity,
                        struct emlfs_err *err)
{
    uint8_t detail[EMLFS_LEDGER_DETAIL_MAX_BYTES];
    struct emlfs_actor actor = emlfs_call_actor(call);

    if (!emlfs_rules_is_audited(call->rules, &call->who, activity->what))
        return 0;

    struct emlfs_ledger_record record = {
        .kind = activity->kind,
        .owner = activity->owner,
        .message = activity->message,
        .detail = emlfs_ledger_detail(emlfs_span_str(activity->text), detail)};

    return emlfs_archive_record(call->archive, &actor, &record, err);
}

void emlfs_call_unseen(struct emlfs_call *call, struct emlfs_user_id owner,
                       struct emlfs_msg_id message, int code)
{
    const struct emlfs_refusal refusal = {
        .target = {.kind = EMLFS_OBJECT_MESSAGE,
                   .user = owner,
                   .store_no = emlfs_msg_id_store(message)},
        .message = message,
        .call = EMLFS_CALL_COMMAND,
        .code = code,
        .detail = "",
    };
    struct emlfs_actor actor = emlfs_call_actor(call);

    if (emlfs_rules_grants(call->rules, &call->subject, owner) & EMLFS_GRANT_READ ||
        !emlfs_rules_is_audited(call->rules, &call->who, EMLFS_AUDIT_DENIED))
        return;
    (void)emlfs_rules_refused(call->rules, &actor, &refusal, NULL);
}
