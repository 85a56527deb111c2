/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compliance show, mode, auditor add, remove, list, audit set, show. */
#include "handlers.h"

#include <stdlib.h>

static const char *mode_name(enum emlfs_retention_mode mode)
{
    return mode == EMLFS_MODE_COMPLIANCE ? "compliance" : "governance";
}

/* ---- show */

struct counts {
    uint64_t policies, holds;
    bool all_held;
};

static int policy_count(void *arg, const struct emlfs_policy *policy)
{
    struct counts *counts = arg;

    counts->policies += (policy->flags & EMLFS_POLICY_ENABLED) != 0;
    return 0;
}

static int hold_count(void *arg, const struct emlfs_hold *hold)
{
    struct counts *counts = arg;

    counts->holds += !hold->released;
    counts->all_held = counts->all_held || (!hold->released && hold->scope == EMLFS_HOLD_ALL);
    return 0;
}

/* Names of the users who are auditors, or whose archive access is on. */
static struct json_object *names_array(struct emlfs_call *call, const struct emlfs_user_list *users,
                                       bool auditors)
{
    struct json_object *array = json_object_new_array();
    struct emlfs_rights rights;

    for (size_t i = 0; array && i < users->n; i++)
        if (emlfs_rules_rights(call->rules, users->v[i].id, &rights) == 0 &&
            (auditors ? rights.auditor : rights.archive_access))
            json_object_array_add(array, json_object_new_string(users->v[i].name));
    return array;
}

int emlfs_run_compliance_show(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_user_list users = {0};
    struct json_object *row = NULL;
    struct counts counts = {0};
    int r = emlfs_rules_policies(call->rules, policy_count, &counts);

    if (r == 0)
        r = emlfs_rules_holds(call->rules, hold_count, &counts);
    if (r < 0)
        return emlfs_err_sys(err, -r, "compliance", "reading the rules");
    r = emlfs_user_list_load(call->archive, &users, err);
    if (r == 0)
        row = json_object_new_object();
    if (row) {
        emlfs_row_text(row, "mode", mode_name(emlfs_rules_mode(call->rules)));
        emlfs_row_number(row, "policies", counts.policies);
        emlfs_row_number(row, "holds", counts.holds);
        emlfs_row_flag(row, "all_held", counts.all_held);
        json_object_object_add(
            row, "audited",
            emlfs_words_array(&emlfs_words_audit, emlfs_rules_audited(call->rules)));
        json_object_object_add(row, "auditors", names_array(call, &users, true));
        json_object_object_add(row, "archive_access", names_array(call, &users, false));
    }
    if (r == 0)
        r = emlfs_row_put(call, row, err);
    free(users.v);
    return r;
}

int emlfs_run_compliance_mode(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *text = emlfs_args_text(call->args, "MODE");
    enum emlfs_retention_mode mode =
        strcmp(text, "compliance") == 0 ? EMLFS_MODE_COMPLIANCE : EMLFS_MODE_GOVERNANCE;
    struct emlfs_by by;

    if (strcmp(text, mode_name(mode)) != 0)
        return emlfs_err_set(err, EINVAL, "compliance", "MODE: governance or compliance");
    emlfs_call_by(call, &by);
    return emlfs_rules_set_mode(call->rules, &by, mode, err);
}

/* ---- auditors */

static int auditor_change(struct emlfs_call *call, bool on, struct emlfs_err *err)
{
    struct emlfs_user user;
    struct emlfs_by by;
    int r = emlfs_user_find(call, emlfs_args_text(call->args, "NAME"), &user, err);

    emlfs_call_by(call, &by);
    return r < 0 ? r : emlfs_rules_set_auditor(call->rules, &by, user.id, on, err);
}

int emlfs_run_auditor_add(struct emlfs_call *call, struct emlfs_err *err)
{
    return auditor_change(call, true, err);
}

int emlfs_run_auditor_remove(struct emlfs_call *call, struct emlfs_err *err)
{
    return auditor_change(call, false, err);
}

static int auditor_row(struct emlfs_call *call, const struct emlfs_user *user,
                       struct emlfs_err *err)
{
    struct emlfs_rights rights;
    int r = emlfs_rules_rights(call->rules, user->id, &rights);

    if (r < 0)
        return emlfs_err_sys(err, -r, "compliance", "%s", user->name);
    if (!rights.auditor)
        return 0;

    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "name", user->name);
        emlfs_row_time(row, "since", rights.auditor_since_ns);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_auditor_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_user_list users = {0};
    int r = emlfs_user_list_load(call->archive, &users, err);

    for (size_t i = 0; r == 0 && i < users.n; i++)
        r = auditor_row(call, &users.v[i], err);
    free(users.v);
    return r;
}

/* ---- what is recorded */

int emlfs_run_compliance_audit_set(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_by by;
    uint32_t what = 0;
    int r = emlfs_words_parse(&emlfs_words_audit, "LIST", emlfs_args_text(call->args, "LIST"),
                              &what, err);

    emlfs_call_by(call, &by);
    return r < 0 ? r : emlfs_rules_set_audited(call->rules, &by, what, err);
}

int emlfs_run_compliance_audit_show(struct emlfs_call *call, struct emlfs_err *err)
{
    uint32_t what = emlfs_rules_audited(call->rules);
    int r = 0;

    for (size_t i = 0; r == 0 && i < emlfs_words_audit.n; i++) {
        struct json_object *row = json_object_new_object();

        if (row) {
            emlfs_row_text(row, "activity", emlfs_words_audit.v[i].name);
            emlfs_row_flag(row, "recorded", what & emlfs_words_audit.v[i].bit);
        }
        r = emlfs_row_put(call, row, err);
    }
    return r;
}
