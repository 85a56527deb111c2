/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_USERS_CHANGE_SUITE_H
#define EMLFS_TESTS_USERS_CHANGE_SUITE_H

/* Changing users, a part of users_suite.h. */
#include "policy_test.h"

static struct emlfs_user add(struct emlfs_archive *archive, const char *name, uint32_t flags)
{
    struct emlfs_user user;

    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){name, NULL, flags}, &user, NULL), 0);
    return user;
}

static int change(struct emlfs_archive *archive, const char *name,
                  const struct emlfs_user_change *what)
{
    return emlfs_user_change(archive, NULL, name, what, NULL);
}
#define CHANGE(...) (&(const struct emlfs_user_change){__VA_ARGS__})

static void users_are_changed(void **state)
{
    static const char *const addresses[] = {"alice@example.com", "a.smith@example.org"};
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;

    struct emlfs_user alice = add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    assert_int_equal(
        change(archive, "alice",
               CHANGE(.full_name = "Alice Sm\xc3\xaeth", .addresses = addresses, .addresses_n = 2)),
        0);
    assert_int_equal(change(archive, "alice", CHANGE(.unix_account = "asmith")), 0);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_string_equal(user.full_name, "Alice Sm\xc3\xaeth");
    assert_string_equal(user.unix_account, "asmith");
    assert_int_equal(user.addresses_n, 2);
    assert_string_equal(user.addresses[1], "a.smith@example.org");
    assert_int_equal(user.archive.v, alice.archive.v);
    assert_int_equal(change(archive, "alice", CHANGE(.full_name = "", .addresses = addresses)), 0);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_int_equal(user.addresses_n, 0);
    assert_string_equal(user.full_name, "");
    assert_int_equal(change(archive, "dave", CHANGE(.full_name = "x")), -ENOENT);
    assert_int_equal(emlfs_user_remove(archive, NULL, "bob", NULL), 0);
    assert_int_equal(change(archive, "bob", CHANGE(.full_name = "x")), -ENOENT);
}

static void impossible_changes_are_refused(void **state)
{
    static const char *const bad[] = {"",          "alice", "@x.org",  "alice@",
                                      "a b@x.org", "<a@x>", "a@x,b@x", "a@x\n"};
    const char *const twice[] = {"a@x.org", "A@x.org"};
    struct emlfs_archive *archive = *state;
    char longer[EMLFS_USER_FULL_NAME_MAX_BYTES + 2];

    add(archive, "alice", EMLFS_USER_ADMIN);
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = 0;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(change(archive, "alice", CHANGE(.addresses = &bad[i], .addresses_n = 1)),
                         -EINVAL);
    assert_int_equal(change(archive, "alice", CHANGE(.addresses = twice, .addresses_n = 2)),
                     -EINVAL);
    assert_int_equal(change(archive, "alice", CHANGE(.addresses = twice, .addresses_n = 17)),
                     -EINVAL);
    assert_int_equal(change(archive, "alice", CHANGE(.full_name = longer)), -EINVAL);
    assert_int_equal(change(archive, "alice", CHANGE(.full_name = "a\tb")), -EINVAL);
    assert_int_equal(change(archive, "alice", CHANGE(.unix_account = "")), -EINVAL);
}

static void the_last_administrator_keeps_the_flag(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;

    add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    assert_int_equal(change(archive, "alice", CHANGE(.set_admin = true)), -EPERM);
    assert_int_equal(change(archive, "bob", CHANGE(.set_admin = true, .admin = true)), 0);
    assert_int_equal(change(archive, "alice", CHANGE(.set_admin = true)), 0);
    assert_int_equal(change(archive, "bob", CHANGE(.set_admin = true)), -EPERM);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_int_equal(user.flags, 0);
}

#endif
