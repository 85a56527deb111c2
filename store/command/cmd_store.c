/* SPDX-License-Identifier: GPL-3.0-or-later */
/* store list, create, set-state, rename, unlock, detach, attach. */
#include "handlers.h"

#include <ctype.h>

#include "emlfs/base/crypto.h"
#include "emlfs/stores.h"

static const char *const states[] = {
    [EMLFS_STORE_CURRENT] = "current",
    [EMLFS_STORE_NORMAL] = "normal",
    [EMLFS_STORE_WRITE_PROTECTED] = "write-protected",
    [EMLFS_STORE_DISABLED] = "disabled",
    [EMLFS_STORE_LOCKED] = "locked",
    [EMLFS_STORE_DETACHED] = "detached",
};
#define STATES_N (sizeof(states) / sizeof(states[0]))

static int store_row(struct emlfs_call *call, const struct emlfs_store_info *info,
                     struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_number(row, "number", info->no);
        emlfs_row_text(row, "name", info->name);
        emlfs_row_text(row, "state",
                       (unsigned)info->state < STATES_N ? states[info->state] : "unknown");
        emlfs_row_number(row, "messages", info->messages);
        emlfs_row_number(row, "bytes", info->bytes);
        emlfs_row_time(row, "made", info->made_ns);
        emlfs_row_text(row, "directory", info->directory);
        emlfs_row_flag(row, "present", info->present);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_store_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_store_info info = {0};
    int r = 0;

    while (r == 0) {
        r = emlfs_archive_store_info(call->archive, info.no, &info, err);
        if (r == 0)
            r = store_row(call, &info, err);
        else if (r == -ENOENT)
            break;
    }
    if (r == -ENOENT && err)
        err->code = 0;
    return r == -ENOENT ? 0 : r;
}

/* ---- changing them */

static int store_find(struct emlfs_call *call, struct emlfs_store_info *ret, struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "STORE");
    int r = emlfs_archive_store_find(call->archive, name, ret, err);

    return r == -ENOENT ? emlfs_err_set(err, ENOENT, "store", "no store %s", name) : r;
}

/* As it is now. */
static int store_show(struct emlfs_call *call, uint16_t no, struct emlfs_err *err)
{
    struct emlfs_store_info info;
    int r = emlfs_archive_store_info(call->archive, (uint16_t)(no - 1), &info, err);

    return r < 0 ? r : store_row(call, &info, err);
}

int emlfs_run_store_create(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    uint16_t no = 0;
    int r = emlfs_archive_store_create(call->archive, &actor, emlfs_args_text(call->args, "NAME"),
                                       &no, err);

    return r < 0 ? r : store_show(call, no, err);
}

static int state_parse(const char *text, enum emlfs_store_state *ret, struct emlfs_err *err)
{
    for (unsigned i = 0; i < STATES_N; i++)
        if (i != EMLFS_STORE_DETACHED && strcmp(states[i], text) == 0) {
            *ret = (enum emlfs_store_state)i;
            return 0;
        }
    return emlfs_err_set(err, EINVAL, "store",
                         "STATE: current, normal, write-protected, disabled or locked");
}

int emlfs_run_store_set_state(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *reason = emlfs_args_text(call->args, "reason");
    struct emlfs_store_change change = {.reason = reason ? reason : ""};
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_store_info info;
    int r = state_parse(emlfs_args_text(call->args, "STATE"), &change.state, err);

    if (r == 0)
        r = store_find(call, &info, err);
    if (r < 0)
        return r;
    change.no = info.no;
    r = emlfs_archive_store_set_state(call->archive, &actor, &change, err);
    return r < 0 ? r : store_show(call, info.no, err);
}

int emlfs_run_store_rename(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_store_info info;
    int r = store_find(call, &info, err);

    return r < 0 ? r
                 : emlfs_archive_store_rename(call->archive, &actor, info.no,
                                              emlfs_args_text(call->args, "NEWNAME"), err);
}

/* The key without the blanks around it. */
static int store_open(struct emlfs_call *call, uint16_t no, const char *text, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    char key[EMLFS_RECOVERY_KEY_TEXT_MAX];
    size_t len;
    int r;

    while (isspace((unsigned char)*text))
        text++;
    len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        len--;
    if (len >= sizeof(key))
        return emlfs_err_set(err, EACCES, "store", "this is no recovery key");
    memcpy(key, text, len);
    key[len] = '\0';
    r = emlfs_archive_store_unlock(call->archive, &actor, no, key, err);
    emlfs_wipe(key, sizeof(key));
    return r;
}

int emlfs_run_store_unlock(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *key = emlfs_args_text(call->args, "recovery-key");
    struct emlfs_store_info info;
    int r = key ? store_find(call, &info, err)
                : emlfs_err_set(err, EINVAL, "store", "the recovery key is missing");

    if (r == 0)
        r = store_open(call, info.no, key, err);
    return r < 0 ? r : store_show(call, info.no, err);
}

int emlfs_run_store_detach(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_store_info info;
    int r = store_find(call, &info, err);

    if (r == 0)
        r = emlfs_archive_store_detach(call->archive, &actor, info.no, err);
    return r < 0 ? r : store_show(call, info.no, err);
}

int emlfs_run_store_attach(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    struct emlfs_store_info info;
    int r = store_find(call, &info, err);

    if (r == 0)
        r = emlfs_archive_store_attach(call->archive, &actor, info.no, err);
    return r < 0 ? r : store_show(call, info.no, err);
}
