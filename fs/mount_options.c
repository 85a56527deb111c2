/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "emlfs/text.h"
#include "mount_internal.h"

enum option_act {
    OPTION_IGNORE,
    OPTION_OWNER, /* owners come from the archive: warned of, without effect */
    OPTION_RO,
    OPTION_RW,
    OPTION_REMOUNT,
    OPTION_STRICT_ROOT,
    OPTION_NOPREFETCH,
    OPTION_PRIVATE_NAMES,
    OPTION_NO_SEARCHES,
    OPTION_ACL,
    OPTION_XATTR,
    OPTION_RETENTION_ATIME,
    OPTION_DEBUG,
    OPTION_MAILDIR,
    OPTION_ASOF,
    OPTION_USER, /* from here on, with a value: what part of the archive */
    OPTION_FOLDER,
    OPTION_STORE,
    OPTION_AUDITOR,
    OPTION_ACCOUNT,
};

/* name ends with '=': takes a value. With '*': any name that begins so. */
struct option_row {
    const char *name;
    enum option_act act;
};

/*
 * What mount(8), fstab and /proc/mounts hand on to every file system is accepted; where emlfs has
 * its own fixed answer (nosuid, nodev, noexec, allow_other, default_permissions) it stays that.
 */
static const struct option_row option_table[] = {
    {"ro", OPTION_RO},
    {"rw", OPTION_RW},
    {"remount", OPTION_REMOUNT},
    {"strict_root", OPTION_STRICT_ROOT},
    {"noprefetch", OPTION_NOPREFETCH},
    {"private_names", OPTION_PRIVATE_NAMES},
    {"no_searches", OPTION_NO_SEARCHES},
    {"acl", OPTION_ACL},
    {"xattr", OPTION_XATTR},
    {"atime=retention", OPTION_RETENTION_ATIME},
    {"debug", OPTION_DEBUG},
    {"layout=maildir", OPTION_MAILDIR},
    {"asof=", OPTION_ASOF},
    {"user=", OPTION_USER},
    {"archive_user=", OPTION_USER}, /* mount(8) takes user= for itself */
    {"folder=", OPTION_FOLDER},
    {"store=", OPTION_STORE},
    {"auditor=", OPTION_AUDITOR},
    {"account=", OPTION_ACCOUNT},
    {"uid=", OPTION_OWNER},
    {"gid=", OPTION_OWNER},
    {"umask=", OPTION_OWNER},
    {"allow_other", OPTION_IGNORE},
    {"default_permissions", OPTION_IGNORE},
    {"fsname=", OPTION_IGNORE},
    {"subtype=", OPTION_IGNORE},
    {"suid", OPTION_IGNORE},
    {"nosuid", OPTION_IGNORE},
    {"dev", OPTION_IGNORE},
    {"nodev", OPTION_IGNORE},
    {"exec", OPTION_IGNORE},
    {"noexec", OPTION_IGNORE},
    {"sync", OPTION_IGNORE},
    {"async", OPTION_IGNORE},
    {"dirsync", OPTION_IGNORE},
    {"atime", OPTION_IGNORE},
    {"noatime", OPTION_IGNORE},
    {"relatime", OPTION_IGNORE},
    {"norelatime", OPTION_IGNORE},
    {"strictatime", OPTION_IGNORE},
    {"nostrictatime", OPTION_IGNORE},
    {"diratime", OPTION_IGNORE},
    {"nodiratime", OPTION_IGNORE},
    {"lazytime", OPTION_IGNORE},
    {"nolazytime", OPTION_IGNORE},
    {"iversion", OPTION_IGNORE},
    {"noiversion", OPTION_IGNORE},
    {"symfollow", OPTION_IGNORE},
    {"nosymfollow", OPTION_IGNORE},
    {"silent", OPTION_IGNORE},
    {"loud", OPTION_IGNORE},
    {"nonempty", OPTION_IGNORE},
    {"_netdev", OPTION_IGNORE},
    {"_rnetdev", OPTION_IGNORE},
    {"defaults", OPTION_IGNORE},
    {"auto", OPTION_IGNORE},
    {"noauto", OPTION_IGNORE},
    {"nofail", OPTION_IGNORE},
    {"user", OPTION_IGNORE},
    {"nouser", OPTION_IGNORE},
    {"users", OPTION_IGNORE},
    {"owner", OPTION_IGNORE},
    {"group", OPTION_IGNORE},
    {"comment=", OPTION_IGNORE},
    {"x-*", OPTION_IGNORE},
    {"X-*", OPTION_IGNORE},
    {"rootmode=", OPTION_IGNORE},
    {"user_id=", OPTION_IGNORE},
    {"group_id=", OPTION_IGNORE},
    {"max_read=", OPTION_IGNORE},
    {"blksize=", OPTION_IGNORE},
};

static bool option_matches(const char *row, const char *word, size_t len)
{
    size_t row_len = strlen(row);
    char last = row[row_len - 1];

    if (last == '=')
        return len >= row_len && strncmp(word, row, row_len) == 0;
    if (last == '*')
        return len >= row_len - 1 && strncmp(word, row, row_len - 1) == 0;
    return len == row_len && strncmp(word, row, len) == 0;
}

static const struct option_row *option_find(const char *word, size_t len)
{
    for (size_t i = 0; i < sizeof(option_table) / sizeof(option_table[0]); i++)
        if (option_matches(option_table[i].name, word, len))
            return &option_table[i];
    return NULL;
}

static void option_apply(enum option_act act, struct mount_options *ret)
{
    switch (act) {
    case OPTION_IGNORE:
    case OPTION_ASOF: /* has a value */
        break;
    case OPTION_OWNER:
        ret->warn_owner = true;
        break;
    case OPTION_RO:
    case OPTION_RW:
        ret->read_only = act == OPTION_RO;
        ret->read_write = act == OPTION_RW;
        break;
    case OPTION_REMOUNT:
        ret->remount = true;
        break;
    case OPTION_STRICT_ROOT:
        ret->strict_root = true;
        break;
    case OPTION_NOPREFETCH:
        ret->noprefetch = true;
        break;
    case OPTION_PRIVATE_NAMES:
        ret->private_names = true;
        break;
    case OPTION_ACL:
        ret->acl = true;
        break;
    case OPTION_XATTR:
        ret->xattr = true;
        break;
    case OPTION_RETENTION_ATIME:
        ret->retention_atime = true;
        break;
    case OPTION_DEBUG:
        ret->debug = true;
        break;
    case OPTION_MAILDIR:
        ret->maildir = true;
        break;
    case OPTION_NO_SEARCHES:
        ret->no_searches = true;
        break;
    default:
        break;
    }
}

/* "\\x" stands for x: a comma may be part of a value. */
static bool value_copy(const char *from, size_t len, char *ret, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (from[i] == '\\' && i + 1 < len)
            i++;
        if (n + 1 >= size)
            return false;
        ret[n++] = from[i];
    }
    ret[n] = '\0';
    return n > 0;
}

/* A part of the archive: word is NAME=VALUE. */
static int option_scope(const struct option_row *row, const char *word, size_t len,
                        struct mount_scope *ret, struct emlfs_err *err)
{
    const size_t name_len = strlen(row->name);
    const struct {
        char *to;
        size_t size;
    } places[] = {
        [OPTION_USER] = {ret->user, sizeof(ret->user)},
        [OPTION_FOLDER] = {ret->folder, sizeof(ret->folder)},
        [OPTION_STORE] = {ret->store, sizeof(ret->store)},
        [OPTION_AUDITOR] = {ret->auditor, sizeof(ret->auditor)},
        [OPTION_ACCOUNT] = {ret->account, sizeof(ret->account)},
    };

    if (value_copy(word + name_len, len - name_len, places[row->act].to, places[row->act].size))
        return 0;
    return emlfs_err_set(err, EINVAL, "mount", "option %s needs a value, and not so long a one",
                         row->name);
}

/* Length of the option at text; "\," does not end it. */
static size_t option_len(const char *text)
{
    size_t len = 0;

    while (text[len] && text[len] != ',') {
        if (text[len] == '\\' && text[len + 1])
            len++;
        len++;
    }
    return len;
}

static bool handled_by_mount_fuse(const char *word, size_t len)
{
    return option_matches("setuid=", word, len) || option_matches("drop_privileges", word, len);
}

/* Which moment it is, the archive's zone says later; what is no date at all is refused now. */
static int asof_take(const char *word, size_t len, struct mount_options *ret, struct emlfs_err *err)
{
    const size_t name = strlen("asof=");
    int64_t time_ns;

    if (len - name < sizeof(ret->asof)) {
        memcpy(ret->asof, word + name, len - name);
        ret->asof[len - name] = '\0';
        if (emlfs_text_asof_parse(ret->asof, NULL, &time_ns) == 0)
            return 0;
    }
    return emlfs_err_set(err, EINVAL, "mount",
                         "option %.*s: a date is 2026-03-01, 2026-03-01T09:13:05, perhaps with Z "
                         "or +01:00 behind it",
                         len < 200 ? (int)len : 200, word);
}

int mount_options_parse(const char *text, struct mount_options *ret, struct emlfs_err *err)
{
    *ret = (struct mount_options){.remount = false};
    while (*text) {
        size_t len = option_len(text);
        const struct option_row *row = option_find(text, len);

        if (row && row->act == OPTION_ASOF && asof_take(text, len, ret, err) < 0)
            return -EINVAL;
        if (row && row->act >= OPTION_USER) {
            int rc = option_scope(row, text, len, &ret->scope, err);

            if (rc < 0)
                return rc;
        } else if (row)
            option_apply(row->act, ret);
        else if (handled_by_mount_fuse(text, len))
            return emlfs_err_set(
                err, EINVAL, "mount",
                "option %.*s is carried out by mount.fuse3: use mount -t fuse.emlfs", (int)len,
                text);
        else if (len > 0)
            return emlfs_err_set(err, EINVAL, "mount", "unknown option: %.*s",
                                 len < 200 ? (int)len : 200, text);
        text += len + (text[len] == ',');
    }
    if (ret->scope.account[0] && !ret->scope.auditor[0])
        return emlfs_err_set(err, EINVAL, "mount", "account= goes with auditor=");
    if (ret->maildir && (ret->scope.user[0] || ret->scope.folder[0] || ret->scope.store[0] ||
                         ret->scope.auditor[0] || ret->asof[0]))
        return emlfs_err_set(err, EINVAL, "mount",
                             "layout=maildir shows the whole archive: not with user=, folder=, "
                             "store=, auditor= or asof=");
    ret->read_only |= ret->scope.auditor[0] != '\0';
    if (ret->asof[0]) {
        ret->read_only = ret->no_searches = true;
        ret->read_write = false;
    }
    return 0;
}
