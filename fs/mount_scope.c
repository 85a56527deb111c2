/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the names in mount options to the part of the archive that they mean. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "emlfs/asof.h"
#include "emlfs/stores.h"
#include "mount_session.h"

#define PASSWD_BYTES 16384u

/* The folder of this path below at, each name as the mount shows it. */
static int folder_walk(struct emlfs_archive *archive, const char *path, struct emlfs_folder_id *at,
                       struct emlfs_err *err)
{
    const char *whole = path;
    struct emlfs_folder folder;
    char name[EMLFS_NAME_MAX_BYTES + 1];
    int rc = 0;

    for (path += strspn(path, "/"); rc == 0 && *path; path += strspn(path, "/")) {
        size_t len = strcspn(path, "/");

        if (len >= sizeof(name))
            return emlfs_err_set(err, ENAMETOOLONG, "mount", "no folder %s: too long", whole);
        memcpy(name, path, len);
        name[len] = '\0';
        path += len;
        rc = emlfs_archive_folder_lookup(archive, *at, name, &folder, err);
        if (rc == 0)
            *at = folder.id;
    }
    return rc == -ENOENT ? emlfs_err_set(err, ENOENT, "mount", "the archive has no %s", whole) : rc;
}

static int store_find(struct emlfs_archive *archive, const char *name, uint16_t *ret,
                      struct emlfs_err *err)
{
    struct emlfs_store_info info = {.no = 0};
    int rc;

    rc = emlfs_archive_store_find(archive, name, &info, err);
    if (rc == -ENOENT) {
        info.no = 0;
        while ((rc = emlfs_archive_store_info(archive, info.no, &info, err)) == 0)
            if (strcmp(info.directory, name) == 0)
                break;
    }
    if (rc < 0)
        return rc == -ENOENT ? emlfs_err_set(err, ENOENT, "mount", "no store %s", name) : rc;
    *ret = info.no;
    return 0;
}

static int account_find(const char *name, uid_t *ret, struct emlfs_err *err)
{
    struct passwd entry, *found = NULL;
    char *text = malloc(PASSWD_BYTES);
    int rc = text ? getpwnam_r(name, &entry, text, PASSWD_BYTES, &found) : ENOMEM;

    if (found)
        *ret = found->pw_uid;
    free(text);
    if (rc != 0)
        return emlfs_err_sys(err, rc, "mount", "account %s", name);
    return found ? 0 : emlfs_err_set(err, ENOENT, "mount", "no Unix account %s", name);
}

static int auditor_find(const struct fs *fs, const struct mount_scope *named,
                        const struct emlfs_subject *by, struct emlfs_view_scope *ret,
                        struct emlfs_err *err)
{
    const struct emlfs_target system = {.kind = EMLFS_OBJECT_SYSTEM};
    struct emlfs_subject acting = {.uid = by->uid, .gid = (gid_t)-1, .acts = true};
    struct emlfs_user user;
    struct emlfs_who who;
    int rc;

    if (emlfs_rules_check(fs->rules, by, &system, EMLFS_CALL_COMMAND, NULL) < 0)
        return emlfs_err_set(err, EACCES, "mount", "only an administrator mounts for an auditor");
    rc = emlfs_user_by_name(emlfs_asof_live(fs->archive), named->auditor, &user, err);
    if (rc < 0)
        return rc;
    acting.as = user.id;
    emlfs_rules_who(fs->rules, &acting, &who);
    if (!who.access.auditor)
        return emlfs_err_set(err, EPERM, "mount", "%s is not an enrolled auditor", named->auditor);
    ret->auditor = true;
    ret->acts = user.id;
    ret->mounter = by->uid;
    if (named->account[0])
        return account_find(named->account, &ret->account, err);
    if (emlfs_bindings_uid(fs->bindings, user.id, &ret->account) < 0)
        ret->account = by->uid;
    return 0;
}

int mount_scope_find(const struct fs *fs, const struct mount_scope *named,
                     const struct emlfs_subject *by, struct emlfs_view_scope *ret,
                     struct emlfs_err *err)
{
    int rc = 0;

    *ret = (struct emlfs_view_scope){.store_no = 0};
    if (named->user[0])
        rc = folder_walk(fs->archive, named->user, &ret->root, err);
    if (rc == 0 && named->folder[0])
        rc = folder_walk(fs->archive, named->folder, &ret->root, err);
    if (rc == 0 && (named->user[0] || named->folder[0]) && ret->root.v == 0)
        rc = emlfs_err_set(err, EINVAL, "mount",
                           "user= and folder= name a part of the archive, "
                           "and / is the whole");
    if (rc == 0 && named->store[0])
        rc = store_find(fs->archive, named->store, &ret->store_no, err);
    if (rc == 0 && named->auditor[0])
        rc = auditor_find(fs, named, by, ret, err);
    return rc;
}
