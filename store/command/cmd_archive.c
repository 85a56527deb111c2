/* SPDX-License-Identifier: GPL-3.0-or-later */
/* init and status. */
#include "handlers.h"

#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

#include "emlfs/base/os.h"
#include "emlfs/verify.h"

#define ACCOUNT_BUFFER_BYTES 16384

/* The account that the first user is bound to: of the real user id. */
static int own_account(char *ret_name, size_t size, struct emlfs_err *err)
{
    char buffer[ACCOUNT_BUFFER_BYTES];
    struct passwd entry, *found = NULL;

    getpwuid_r(getuid(), &entry, buffer, sizeof(buffer), &found);
    if (!found || strlen(found->pw_name) >= size)
        return emlfs_err_set(err, ENOENT, "init",
                             "user id %u has no account name: give --user and --unix-account",
                             (unsigned)getuid());
    snprintf(ret_name, size, "%s", found->pw_name);
    return 0;
}

static int settings_read(struct json_object *args, struct emlfs_archive_settings *ret,
                         struct emlfs_err *err)
{
    uint64_t messages = emlfs_args_number(args, "store-messages", 0);
    uint64_t block_kb = emlfs_args_number(args, "block-kb", 0);
    uint64_t level = emlfs_args_number(args, "level", 0);
    struct json_object *given = args;

    *ret = (struct emlfs_archive_settings){0}; /* 0: the default */
    if (json_object_object_get(given, "store-messages") && (messages < 1 || messages > 5000000))
        return emlfs_err_set(err, EINVAL, "init", "--store-messages: 1 to 5000000");
    if (json_object_object_get(given, "block-kb") && (block_kb < 4 || block_kb > 4096))
        return emlfs_err_set(err, EINVAL, "init", "--block-kb: 4 to 4096");
    if (json_object_object_get(given, "level") && (level < 1 || level > 19))
        return emlfs_err_set(err, EINVAL, "init", "--level: 1 to 19");
    if (messages)
        ret->store_messages = (uint32_t)messages;
    if (block_kb)
        ret->block_bytes = (uint32_t)block_kb << 10;
    if (level)
        ret->zstd_level = (int)level;
    return 0;
}

/* The first user, in the archive just made; and the row for whoever made it. */
static int first_user(struct emlfs_archive *archive, struct emlfs_call *call, const char *recovery,
                      struct emlfs_err *err)
{
    const char *name = emlfs_args_text(call->args, "user");
    const char *account = emlfs_args_text(call->args, "unix-account");
    char own[EMLFS_USER_NAME_MAX_BYTES + 1];
    /* There are no rules yet: whoever makes the archive administers it. */
    const struct emlfs_actor actor = {
        .uid = call->subject.uid, .source = call->source, .admin = true};
    struct emlfs_user user;
    int r = 0;

    if (!name) {
        r = own_account(own, sizeof(own), err);
        name = own;
    }
    if (r == 0)
        r = emlfs_user_add(archive, &actor,
                           &(struct emlfs_user_new){name, account, EMLFS_USER_ADMIN}, &user, err);
    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "archive", emlfs_archive_path(archive));
        emlfs_row_text(row, "name", emlfs_archive_name(archive));
        emlfs_row_text(row, "uuid", emlfs_archive_uuid(archive));
        emlfs_row_text(row, "user", user.name);
        emlfs_row_text(row, "unix_account", user.unix_account);
        emlfs_row_text(row, "recovery_key", recovery);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_init(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *path = emlfs_args_text(call->args, "ARCHIVE");
    struct emlfs_archive_settings settings;
    struct emlfs_init_options options = {.name = emlfs_args_text(call->args, "name"),
                                         .settings = &settings,
                                         .timezone = emlfs_args_text(call->args, "timezone")};
    struct emlfs_archive_options open = {.path = path, .workers = 1};
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_archive *archive = NULL;
    char own[EMLFS_USER_NAME_MAX_BYTES + 1];
    int r = settings_read(call->args, &settings, err);

    /* Asked before anything is made: an archive without its first user would be of no use. */
    if (r == 0 && !emlfs_args_text(call->args, "user"))
        r = own_account(own, sizeof(own), err);
    if (r == 0)
        r = emlfs_archive_init(path, &options, recovery, err);
    if (r < 0)
        return r;
    r = emlfs_archive_open(&open, &archive, err);
    if (r == 0)
        r = first_user(archive, call, recovery, err);
    emlfs_wipe(recovery, sizeof(recovery));
    if (archive) {
        int closed = emlfs_archive_close(archive, r < 0 ? NULL : err);

        r = r < 0 ? r : closed;
    }
    return r;
}

static void status_fill(struct emlfs_call *call, const struct emlfs_archive_status *status,
                        struct json_object *row)
{
    struct emlfs_check_totals opening;

    emlfs_archive_opening(call->archive, &opening);
    emlfs_row_text(row, "archive", emlfs_archive_path(call->archive));
    emlfs_row_text(row, "name", emlfs_archive_name(call->archive));
    emlfs_row_text(row, "uuid", emlfs_archive_uuid(call->archive));
    emlfs_row_number(row, "messages", status->messages);
    emlfs_row_number(row, "bytes_archived", status->bytes_archived);
    emlfs_row_number(row, "bytes_on_disk", status->bytes_on_disk);
    emlfs_row_number(row, "stores", status->stores);
    json_object_object_add(row, "writable", json_object_new_boolean(status->writable));
    if (!status->writable)
        emlfs_row_text(row, "why", status->why);
    emlfs_row_text(row, "timezone", emlfs_archive_get_settings(call->archive)->timezone);
    if (opening.repaired)
        emlfs_row_number(row, "repaired_at_opening", opening.repaired);
}

int emlfs_run_status(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_archive_status status;
    int r = emlfs_archive_get_status(call->archive, &status, err);

    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row)
        status_fill(call, &status, row);
    if (row && call->mount && call->mount->mount_status)
        (void)call->mount->mount_status(call->mount->arg, row);
    return emlfs_row_put(call, row, err);
}
