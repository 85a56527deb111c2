/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_VIEW_TEST_H
#define EMLFS_TESTS_UNIT_VIEW_TEST_H

/* What the tests of the view share: an archive in /tmp, its mail, and who asks. */

#include <ftw.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/importer.h"
#include "emlfs/ingest.h"
#include "emlfs/message.h"
#include "emlfs/view.h"
#include "scratch.h"

static inline void check(int rc, const struct emlfs_err *err)
{
    if (rc < 0)
        fail_msg("%d: %s: %s", rc, err->module, err->text);
}

static inline uid_t uid_named(const char *name)
{
    const struct passwd *entry = getpwnam(name);

    assert_non_null(entry);
    return entry->pw_uid;
}

static inline int item_prepare(void *arg, unsigned worker, struct emlfs_ingest_item *item,
                               struct emlfs_err *err)
{
    struct emlfs_facts facts = {.date_source = EMLFS_DATE_NONE};

    (void)arg, (void)worker, (void)err;
    item->mtime_ns = 1700000000123456789ll;
    (void)snprintf(item->stem, sizeof(item->stem), "2026-03-01 0913 Bob - Test");
    if (item->facts.max_bytes == 0)
        item->facts.max_bytes = EMLFS_FACTS_MAX_BYTES;
    return emlfs_facts_encode(&facts, &item->facts);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    return remove(path);
}

/* A new archive below /tmp, opened. */
static inline struct emlfs_archive *archive_new(char *ret_path, size_t size)
{
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_archive_options options = {.workers = 1, .clock = emlfs_clock_system()};
    struct emlfs_init_options init = {.name = "test"};
    struct emlfs_archive *archive = NULL;
    struct emlfs_err err = {.code = 0};

    (void)snprintf(ret_path, size, "%s/emlfs-view-XXXXXX", scratch_dir());
    assert_non_null(mkdtemp(ret_path));
    check(emlfs_archive_init(ret_path, &init, recovery, &err), &err);
    options.path = ret_path;
    check(emlfs_archive_open(&options, &archive, &err), &err);
    return archive;
}

static inline struct emlfs_rules *rules_new(struct emlfs_archive *archive,
                                            struct emlfs_bindings *bindings)
{
    const struct emlfs_rules_options options = {.archive = archive, .bindings = bindings};
    struct emlfs_rules *rules = NULL;
    struct emlfs_err err = {.code = 0};

    check(emlfs_rules_open(&options, &rules, &err), &err);
    return rules;
}

/* A user of the archive, bound to account. */
static inline struct emlfs_user user_new(struct emlfs_archive *archive, const char *name,
                                         const char *account, uint32_t flags)
{
    struct emlfs_user user;
    struct emlfs_err err = {.code = 0};

    check(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){name, account, flags}, &user, &err),
        &err);
    return user;
}

static inline struct emlfs_folder_id folder_new(struct emlfs_archive *archive,
                                                struct emlfs_user_id user,
                                                struct emlfs_folder_id parent, const char *name)
{
    struct emlfs_folder_id id;
    struct emlfs_err err = {.code = 0};

    check(emlfs_archive_folder_make(archive, NULL,
                                    &(struct emlfs_folder_wanted){parent, user, name}, &id, &err),
          &err);
    return id;
}

#endif
