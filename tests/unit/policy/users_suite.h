/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_USERS_SUITE_H
#define EMLFS_TESTS_USERS_SUITE_H

/* What users must do on any archive: run on the real one and on the fake. *state: the archive. */
#include "users_change_suite.h"

static int count_user(void *arg, const struct emlfs_user *user)
{
    unsigned *n = arg;

    assert_int_equal(user->id.v, ++*n);
    return 0;
}

static unsigned user_count(struct emlfs_archive *archive)
{
    unsigned n = 0;
    assert_int_equal(emlfs_user_walk(archive, count_user, &n, NULL), 0);
    return n;
}

static void expect_folder(struct emlfs_archive *archive, const struct emlfs_user *user,
                          const char *name)
{
    struct emlfs_folder folder;

    assert_int_equal(emlfs_archive_folder_get(archive, user->archive, &folder, NULL), 0);
    assert_string_equal(folder.name, name);
    assert_int_equal(folder.user.v, user->id.v);
    assert_int_equal(folder.parent.v, 0);
}

static void users_are_added_and_found(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;
    struct emlfs_err err = {0};

    struct emlfs_user alice = add(archive, "alice", EMLFS_USER_ADMIN);
    assert_int_equal(alice.id.v, 1);
    assert_int_equal(alice.flags, EMLFS_USER_ADMIN);
    assert_string_equal(alice.unix_account, "alice");
    expect_folder(archive, &alice, "alice");
    assert_int_equal(emlfs_user_add(archive, NULL,
                                    &(struct emlfs_user_new){"Bj\xc3\xb6rn B", "CORP\\bjoern", 0},
                                    &user, NULL),
                     0);
    assert_int_equal(user.id.v, 2);
    assert_int_equal(emlfs_user_by_name(archive, "Bj\xc3\xb6rn B", &user, NULL), 0);
    assert_int_equal(user.id.v, 2);
    assert_string_equal(user.unix_account, "CORP\\bjoern");
    expect_folder(archive, &user, "Bj\xc3\xb6rn B");
    assert_int_equal(emlfs_user_by_id(archive, alice.id, &user, NULL), 0);
    assert_string_equal(user.name, "alice");
    assert_int_equal(user.created_ns, alice.created_ns);
    assert_int_equal(emlfs_user_by_name(archive, "nobody", &user, &err), -ENOENT);
    assert_string_equal(err.text, "no user \"nobody\"");
    assert_int_equal(emlfs_user_by_id(archive, (struct emlfs_user_id){9}, &user, &err), -ENOENT);
    assert_int_equal(user_count(archive), 2);
}

static void bad_names_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        ".",
        "..",
        "a/b",
        ".hidden",
        " a",
        "a ",
        "a.",
        "CON",
        "Holds",
        "hOLDS",
        "searches",
        ".emlfs",
        "a\nb",
        "a:b",
        "-a",
        "\xff\xfe",
        "a\xe2\x80\xae z",
        "12345678901234567890123456789012345678901234567890123456789012345",
    };
    static const char *const bad_accounts[] = {"", "a:b", "a/b", "a\nb", "a\x7f"};
    struct emlfs_archive *archive = *state;
    struct emlfs_err err;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err.code = 0;
        int r = emlfs_user_add(archive, NULL, &(struct emlfs_user_new){bad[i], "x", 0}, NULL, &err);
        if (r != -EINVAL)
            fail_msg("\"%s\": %d", bad[i], r);
        assert_int_equal(err.code, EINVAL);
    }
    for (size_t i = 0; i < sizeof(bad_accounts) / sizeof(bad_accounts[0]); i++)
        assert_int_equal(emlfs_user_add(archive, NULL,
                                        &(struct emlfs_user_new){"a", bad_accounts[i], 0}, NULL,
                                        &err),
                         -EINVAL);
    assert_int_equal(emlfs_user_add(archive, NULL,
                                    &(struct emlfs_user_new){"a", NULL, EMLFS_USER_REMOVED}, NULL,
                                    &err),
                     -EINVAL);
    assert_int_equal(user_count(archive), 0);
    add(archive, "1234567890123456789012345678901234567890123456789012345678901234", 0);
}

static void names_are_unique_ignoring_case(void **state)
{
    struct emlfs_archive *archive = *state;

    add(archive,
        "Stra\xc3\x9f"
        "e",
        EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"BOB", NULL, 0}, NULL, NULL),
        -EEXIST);
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"STRASSE", NULL, 0}, NULL, NULL),
        -EEXIST);
    assert_int_equal(emlfs_user_remove(archive, NULL, "bob", NULL), 0);
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", NULL, 0}, NULL, NULL),
        -EEXIST);
    assert_int_equal(user_count(archive), 2);
}

static void renaming_moves_the_folder(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;

    struct emlfs_user alice = add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    assert_int_equal(emlfs_user_rename(archive, NULL, "alice", "carol", NULL), 0);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), -ENOENT);
    assert_int_equal(emlfs_user_by_name(archive, "carol", &user, NULL), 0);
    assert_int_equal(user.id.v, alice.id.v);
    assert_int_equal(user.archive.v, alice.archive.v);
    assert_string_equal(user.unix_account, "alice");
    expect_folder(archive, &user, "carol");
    assert_int_equal(emlfs_user_rename(archive, NULL, "carol", "Bob", NULL), -EEXIST);
    assert_int_equal(emlfs_user_rename(archive, NULL, "carol", "Holds", NULL), -EINVAL);
    assert_int_equal(emlfs_user_rename(archive, NULL, "alice", "x", NULL), -ENOENT);
    assert_int_equal(emlfs_user_rename(archive, NULL, "carol", "Carol", NULL), 0);
    assert_int_equal(emlfs_user_by_name(archive, "Carol", &user, NULL), 0);
    expect_folder(archive, &user, "Carol");
    struct emlfs_user again = add(archive, "alice", 0);
    assert_int_equal(again.id.v, 3);
    expect_folder(archive, &again, "alice");
}

static void the_last_administrator_stays(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;

    add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    assert_int_equal(emlfs_user_remove(archive, NULL, "alice", NULL), -EPERM);
    add(archive, "carol", EMLFS_USER_ADMIN);
    assert_int_equal(emlfs_user_remove(archive, NULL, "alice", NULL), 0);
    assert_int_equal(emlfs_user_remove(archive, NULL, "alice", NULL), 0);
    assert_int_equal(emlfs_user_remove(archive, NULL, "carol", NULL), -EPERM);
    assert_int_equal(emlfs_user_remove(archive, NULL, "bob", NULL), 0);
    assert_int_equal(emlfs_user_remove(archive, NULL, "dave", NULL), -ENOENT);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_int_equal(user.flags, EMLFS_USER_ADMIN | EMLFS_USER_REMOVED);
    expect_folder(archive, &user, "alice");
    struct emlfs_user dave = add(archive, "dave", 0);
    assert_int_equal(dave.id.v, 4);
}

static int stop_at_two(void *arg, const struct emlfs_user *user)
{
    (void)arg;
    return user->id.v == 2 ? -ECANCELED : 0;
}

static void a_walk_can_be_stopped(void **state)
{
    struct emlfs_archive *archive = *state;

    add(archive, "a", 0);
    add(archive, "b", 0);
    add(archive, "c", 0);
    assert_int_equal(emlfs_user_walk(archive, stop_at_two, NULL, NULL), -ECANCELED);
}

#define USERS_TEST(test) cmocka_unit_test_setup_teardown(test, setup_archive, teardown_archive)
#define USERS_SUITE                                                                                \
    USERS_TEST(users_are_added_and_found), USERS_TEST(bad_names_are_refused),                      \
        USERS_TEST(names_are_unique_ignoring_case), USERS_TEST(renaming_moves_the_folder),         \
        USERS_TEST(users_are_changed), USERS_TEST(impossible_changes_are_refused),                 \
        USERS_TEST(the_last_administrator_keeps_the_flag),                                         \
        USERS_TEST(nobody_binds_an_archive_to_themselves),                                         \
        USERS_TEST(the_last_administrator_stays), USERS_TEST(a_walk_can_be_stopped)

#endif
