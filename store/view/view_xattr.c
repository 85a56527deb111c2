/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Extended attributes: what the archive knows of a message, a search's query, and the access list
 * that says each grant by itself.
 *
 * X1  A name has one value for everybody who may see the object, or is not there for any of them.
 */
#include <stdio.h>
#include <string.h>

#include "emlfs/asof.h"
#include "emlfs/stores.h"
#include "view_search.h"

#define NS_PER_SEC 1000000000ll
#define PREFIX "user.emlfs."
#define ACL_NAME "system.posix_acl_access"
#define VALUE_MAX_BYTES 1024u

struct xattr_ask {
    struct emlfs_view *view;
    const struct emlfs_subject *subject;
    emlfs_node node;
    struct view_node at;
    struct emlfs_buf *out;
    struct emlfs_err *err;
};

static int value_text(struct emlfs_buf *out, const char *text)
{
    size_t len = strlen(text);

    return emlfs_buf_append(out, text, len < VALUE_MAX_BYTES ? len : VALUE_MAX_BYTES);
}

/* ---- of a message */

static int get_id(const struct xattr_ask *ask)
{
    char text[EMLFS_MSG_ID_TEXT_MAX];

    emlfs_msg_id_format(ask->at.id, text);
    return value_text(ask->out, text);
}

/* In a view of the past: of what was taken out since no more is told than a listing does. */
static int still_given(const struct xattr_ask *ask)
{
    int rc = emlfs_asof_given(ask->view->options.archive, ask->at.user, ask->at.id, ask->err);

    return rc == -EIDRM ? -ENODATA : rc;
}

static int message_info(const struct xattr_ask *ask, struct emlfs_msg_info *ret)
{
    int rc = still_given(ask);

    if (rc < 0)
        return rc;
    return emlfs_archive_msg_info(ask->view->options.archive, ask->at.id, ret, NULL, ask->err);
}

static int get_sha256(const struct xattr_ask *ask)
{
    char text[2 * sizeof(struct emlfs_hash) + 1];
    struct emlfs_msg_info info;
    int rc = message_info(ask, &info);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < sizeof(info.sha256.v); i++)
        (void)snprintf(text + 2 * i, 3, "%02x", info.sha256.v[i]);
    return value_text(ask->out, text);
}

static int get_archived(const struct xattr_ask *ask)
{
    char text[EMLFS_TIME_TEXT_MAX];
    struct emlfs_msg_info info;
    int rc = message_info(ask, &info);

    if (rc < 0)
        return rc;
    emlfs_time_text(info.archived_ns / NS_PER_SEC, text);
    return value_text(ask->out, text);
}

static int get_store(const struct xattr_ask *ask)
{
    struct emlfs_store_info store;
    uint16_t no = emlfs_msg_id_store(ask->at.id);
    int rc =
        emlfs_archive_store_info(ask->view->options.archive, (uint16_t)(no - 1), &store, ask->err);

    if (rc < 0)
        return rc;
    return store.no == no ? value_text(ask->out, store.name) : -ENODATA;
}

static int tell_retain(void *arg, const struct emlfs_explanation *explanation)
{
    char text[EMLFS_TIME_TEXT_MAX];

    if (!explanation->earliest_policy)
        return -ENODATA;
    emlfs_time_text(explanation->earliest_sec, text);
    return value_text(arg, text);
}

static int tell_delete(void *arg, const struct emlfs_explanation *explanation)
{
    char text[EMLFS_TIME_TEXT_MAX];

    if (!explanation->latest_policy)
        return -ENODATA;
    emlfs_time_text(explanation->latest_sec, text);
    return value_text(arg, text);
}

static int tell_policy(void *arg, const struct emlfs_explanation *explanation)
{
    return explanation->earliest_policy ? value_text(arg, explanation->earliest_policy->name)
                                        : -ENODATA;
}

static int tell_hold(void *arg, const struct emlfs_explanation *explanation)
{
    int rc = explanation->held ? 0 : -ENODATA;

    for (size_t i = 0; rc == 0 && i < explanation->holds && i < EMLFS_HELD_NAMED_MAX; i++) {
        if (i > 0)
            rc = value_text(arg, ", ");
        if (rc == 0)
            rc = value_text(arg, explanation->hold[i]->name);
    }
    return rc;
}

typedef int tell_fn(void *arg, const struct emlfs_explanation *explanation);

static int get_told(const struct xattr_ask *ask, tell_fn *tell)
{
    struct emlfs_entry entry;
    struct emlfs_entry_at at;
    struct emlfs_who who;
    int rc = still_given(ask);

    if (rc == 0)
        rc = emlfs_archive_entry_of(ask->view->options.archive, ask->at.user, ask->at.id, &entry,
                                    ask->err);
    if (rc < 0)
        return rc;
    at = (struct emlfs_entry_at){entry.user, entry.folder, entry.id};
    emlfs_rules_who(ask->view->options.rules, ask->subject, &who);
    return emlfs_rules_explain(ask->view->options.rules, &who, &at, tell, ask->out, ask->err);
}

/* Either get or tell. */
struct xattr_row {
    const char *name;
    int (*get)(const struct xattr_ask *ask);
    tell_fn *tell;
};
static const struct xattr_row message_rows[] = {
    {PREFIX "id", get_id, NULL},
    {PREFIX "sha256", get_sha256, NULL},
    {PREFIX "archived", get_archived, NULL},
    {PREFIX "store", get_store, NULL},
    {PREFIX "retain-until", NULL, tell_retain},
    {PREFIX "delete-at", NULL, tell_delete},
    {PREFIX "policy", NULL, tell_policy},
    {PREFIX "hold", NULL, tell_hold},
};
#define MESSAGE_ROWS (sizeof(message_rows) / sizeof(message_rows[0]))

static int row_get(const struct xattr_ask *ask, const struct xattr_row *row)
{
    return row->get ? row->get(ask) : get_told(ask, row->tell);
}

/* ---- of a search */

static int get_query(const struct xattr_ask *ask)
{
    struct emlfs_saved_search saved;
    int rc = view_saved_get(ask->view, &ask->at, &saved, ask->err);

    return rc < 0 ? rc : emlfs_buf_append(ask->out, saved.query, strlen(saved.query));
}

/* ---- the access list */

static int get_acl(const struct xattr_ask *ask)
{
    struct emlfs_target target;
    struct emlfs_attr attr;
    int rc = view_target(ask->view, &ask->at, &target, ask->err);

    if (rc < 0 || target.user.v == 0 || ask->view->options.scope.auditor)
        return rc < 0 ? rc : -ENODATA;
    rc = emlfs_view_getattr(ask->view, ask->subject, ask->node, &attr, ask->err);
    if (rc < 0)
        return rc;
    return emlfs_rules_acl(ask->view->options.rules, target.user, attr.st.st_mode & 07777,
                           ask->out);
}

/* ---- */

static int ask_begin(struct xattr_ask *ask)
{
    struct emlfs_target target;
    int rc;

    ask->at = view_node_at(ask->view, ask->node);
    emlfs_buf_clear(ask->out);
    rc = view_target(ask->view, &ask->at, &target, ask->err);
    return rc < 0 ? rc : view_check(ask->view, ask->subject, &target, EMLFS_CALL_STAT, ask->err);
}

static int ask_errno(int rc)
{
    return rc == -ENODATA ? rc : view_errno(rc);
}

int emlfs_view_xattr_get(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, const char *name, struct emlfs_buf *out,
                         struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    struct xattr_ask ask = {.view = view, .subject = subject, .node = node, .out = out, .err = err};
    const struct emlfs_view_options *options = &view->options;
    bool acl = options->acl && strcmp(name, ACL_NAME) == 0;
    int rc;

    if (!acl && (!options->xattr || strncmp(name, PREFIX, strlen(PREFIX)) != 0))
        return -ENODATA;
    rc = ask_begin(&ask);
    if (rc < 0)
        return rc;
    if (acl)
        return ask_errno(get_acl(&ask));
    if (ask.at.kind == VIEW_SAVED && strcmp(name, PREFIX "query") == 0)
        return ask_errno(get_query(&ask));
    for (size_t i = 0; ask.at.kind == VIEW_MESSAGE && i < MESSAGE_ROWS; i++)
        if (strcmp(name, message_rows[i].name) == 0)
            return ask_errno(row_get(&ask, &message_rows[i]));
    return -ENODATA;
}

static int list_add(struct emlfs_buf *out, const char *name)
{
    return emlfs_buf_append(out, name, strlen(name) + 1);
}

int emlfs_view_xattr_list(struct emlfs_view *view, const struct emlfs_subject *subject,
                          emlfs_node node, struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(64u << 10);
    struct xattr_ask ask = {
        .view = view, .subject = subject, .node = node, .out = &value, .err = err};
    int rc = ask_begin(&ask);

    emlfs_buf_clear(out);
    if (rc == 0 && view->options.acl && get_acl(&ask) == 0)
        rc = list_add(out, ACL_NAME);
    if (rc < 0 || !view->options.xattr)
        return rc;
    if (ask.at.kind == VIEW_SAVED)
        return list_add(out, PREFIX "query");
    for (size_t i = 0; rc == 0 && ask.at.kind == VIEW_MESSAGE && i < MESSAGE_ROWS; i++) {
        emlfs_buf_clear(&value);
        if (row_get(&ask, &message_rows[i]) == 0)
            rc = list_add(out, message_rows[i].name);
    }
    return rc;
}

/* Redefine a saved search. */
static int set_query(struct xattr_ask *ask, struct emlfs_span value)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_SEARCHES, .user = ask->at.user};
    const struct emlfs_saved_id id = {ask->at.saved};
    struct emlfs_actor actor = view_actor(ask->view, ask->subject);
    char text[EMLFS_QUERY_MAX_BYTES + 1];
    const struct emlfs_saved_query query = {.text = text, .form = EMLFS_QUERY_PLAIN};
    int rc = view_check(ask->view, ask->subject, &target, EMLFS_CALL_MKDIR, ask->err);

    if (rc < 0)
        return rc;
    if (value.len == 0 || value.len > EMLFS_QUERY_MAX_BYTES || memchr(value.data, 0, value.len))
        return emlfs_err_set(ask->err, EINVAL, "view", "no query");
    memcpy(text, value.data, value.len);
    text[value.len] = '\0';
    return view_search_errno(
        emlfs_saved_set_query(ask->view->options.saved, &actor, id, &query, ask->err));
}

int emlfs_view_xattr_set(struct emlfs_view *view, const struct emlfs_subject *subject,
                         emlfs_node node, const char *name, struct emlfs_span value,
                         struct emlfs_err *err)
{
    struct emlfs_subject caller;

    subject = view_caller(view, subject, &caller);

    EMLFS_BUF_CLEANUP struct emlfs_buf now = EMLFS_BUF_INIT(64u << 10);
    struct xattr_ask ask = {
        .view = view, .subject = subject, .node = node, .out = &now, .err = err};
    int rc = emlfs_view_xattr_get(view, subject, node, name, &now, err);

    if (rc == 0 && now.len == value.len && memcmp(now.data, value.data, value.len) == 0)
        return 0;
    if (rc < 0 && rc != -ENODATA)
        return rc;
    ask.at = view_node_at(view, node);
    if (ask.at.kind == VIEW_SAVED && view->options.xattr && strcmp(name, PREFIX "query") == 0 &&
        view->options.layout == EMLFS_LAYOUT_TREE)
        return set_query(&ask, value);
    return emlfs_view_refuse(view, subject, node, EMLFS_CALL_SETATTR, err);
}
