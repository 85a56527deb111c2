/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_ARCHIVE_TEST_H
#define EMLFS_ARCHIVE_TEST_H

#include <ftw.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "emlfs/command.h"
#include "emlfs/importer.h"
#include "scratch.h"

/* A real archive in a directory of its own, with the user "alice" bound to the running account. */
struct archive_test {
    char dir[64], path[80];
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_user alice;
    struct emlfs_subject self;
};

static inline int test_remove(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

#define OK(call) assert_int_equal_text(call, __LINE__)
static inline void assert_int_equal_text(int r, int line)
{
    if (r != 0)
        (void)fprintf(stderr, "line %d: %s\n", line, strerror(r < 0 ? -r : r));
    assert_int_equal(r, 0);
}

static inline int archive_setup(void **state)
{
    struct archive_test *t = calloc(1, sizeof(*t));
    struct emlfs_init_options init = {.timezone = "UTC"};
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_err err = {0};
    struct passwd *self = getpwuid(getuid());

    assert_non_null(t);
    assert_non_null(self);
    (void)snprintf(t->dir, sizeof(t->dir), "%s/emlfs-test-XXXXXX", scratch_dir());
    assert_non_null(mkdtemp(t->dir));
    (void)snprintf(t->path, sizeof(t->path), "%s/archive", t->dir);
    OK(emlfs_archive_init(t->path, &init, recovery, &err));

    struct emlfs_archive_options open = {.path = t->path, .workers = 2};

    OK(emlfs_archive_open(&open, &t->archive, &err));
    OK(emlfs_user_add(t->archive, NULL,
                      &(struct emlfs_user_new){"alice", self->pw_name, EMLFS_USER_ADMIN}, &t->alice,
                      &err));
    OK(emlfs_bindings_new(t->archive, &t->bindings));

    struct emlfs_rules_options rules = {.archive = t->archive, .bindings = t->bindings};

    OK(emlfs_rules_open(&rules, &t->rules, &err));
    t->self = (struct emlfs_subject){.uid = getuid(), .gid = getgid()};
    *state = t;
    return 0;
}

static inline int archive_teardown(void **state)
{
    struct archive_test *t = *state;
    struct emlfs_err err = {0};

    emlfs_rules_close(t->rules);
    emlfs_bindings_free(t->bindings);
    OK(emlfs_archive_close(t->archive, &err));
    (void)nftw(t->dir, test_remove, 16, FTW_DEPTH | FTW_PHYS);
    free(t);
    return 0;
}

#endif
