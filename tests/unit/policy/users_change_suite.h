/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_USERS_CHANGE_SUITE_H
#define EMLFS_TESTS_USERS_CHANGE_SUITE_H

/* Changing users, a part of users_suite.h. */
#include "emlfs/change.h"
#include "emlfs/rights.h"
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

static int bind_as(struct emlfs_archive *archive, const struct emlfs_actor *actor, const char *name,
                   const char *account, struct emlfs_err *err)
{
    return emlfs_user_change(archive, actor, name, CHANGE(.unix_account = account), err);
}

static void access_put(struct emlfs_archive *archive, struct emlfs_user_id user, bool on)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    const uint8_t key[2] = {(uint8_t)(user.v >> 8), (uint8_t)user.v};
    struct emlfs_rights rights = emlfs_rights_default(user);

    rights.archive_access = on;
    assert_int_equal(emlfs_rights_encode(&rights, &value), 0);
    assert_int_equal(emlfs_archive_master_put(archive, EMLFS_MASTER_RIGHTS, emlfs_span_of(key, 2),
                                              emlfs_buf_view(&value), NULL),
                     0);
}

static void nobody_binds_an_archive_to_themselves(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_err err = {0};

    struct emlfs_user alice = add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", 0);
    const struct emlfs_actor acting = {.user = alice.id, .uid = 2, .admin = true};
    const struct emlfs_actor root = {.uid = 0, .admin = true};
    const struct emlfs_user_new shadow = {"shadow", "alice", 0}, twin = {"twin", "root", 0};
    const struct emlfs_user_new other = {"other", "emlfs-no-such-account", 0};
    const struct emlfs_actor other_root = {.user = alice.id, .uid = 0, .admin = true};

    assert_int_equal(bind_as(archive, &acting, "bob", "alice", &err), -EPERM);
    assert_non_null(strstr(err.text, "archive access"));
    assert_int_equal(bind_as(archive, &root, "bob", "root", NULL), -EPERM);
    assert_int_equal(bind_as(archive, &other_root, "bob", "root", NULL), -EPERM);
    assert_int_equal(emlfs_user_add(archive, &acting, &shadow, NULL, NULL), -EPERM);
    assert_int_equal(emlfs_user_add(archive, &root, &twin, NULL, NULL), -EPERM);
    assert_int_equal(emlfs_user_add(archive, &acting, &other, NULL, NULL), 0);
    assert_int_equal(bind_as(archive, &acting, "bob", "emlfs-no-such-account", NULL), 0);
    /* One's own; and by somebody else. */
    assert_int_equal(bind_as(archive, &other_root, "alice", "root", NULL), 0);
    assert_int_equal(bind_as(archive, &acting, "bob", "bob", NULL), 0);
    assert_int_equal(bind_as(archive, &acting, "bob", "bob", NULL), 0);
    access_put(archive, alice.id, true);
    assert_int_equal(bind_as(archive, &other_root, "bob", "root", NULL), 0);
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
