/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Users on the fake archive: the common suite, and a stop between any two changes. */
#include "fake_archive.h"
#include "users_suite.h"

#include "../../../store/policy/users.h"

static int setup_archive(void **state)
{
    *state = fake_new();
    return 0;
}

static int teardown_archive(void **state)
{
    fake_free(*state);
    return 0;
}

/* Every user has a folder of that name and owner, and no folder is without its user. */
static void expect_sound(struct emlfs_archive *archive, unsigned users)
{
    struct emlfs_user user;

    assert_int_equal(user_count(archive), users);
    assert_int_equal(archive->folder_count, users);
    for (uint16_t id = 1; id <= users; id++) {
        assert_int_equal(emlfs_user_by_id(archive, (struct emlfs_user_id){id}, &user, NULL), 0);
        expect_folder(archive, &user, user.name);
    }
}

static void stopping_while_adding_is_settled(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;
    unsigned stop = 0;

    for (bool done = false; !done; stop++) {
        fake_clear(archive);
        add(archive, "alice", EMLFS_USER_ADMIN);
        archive->changes_left = stop;
        done =
            emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", "x", 0}, NULL, NULL) == 0;
        int found = emlfs_user_by_name(archive, "bob", &user, NULL);
        assert_int_equal(found, done ? 0 : -ENOENT);
        archive->changes_left = UINT32_MAX;
        emlfs_users_settle(archive);
        int again =
            emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", "x", 0}, NULL, NULL);
        assert_true(again == 0 || again == -EEXIST);
        expect_sound(archive, 2);
        struct emlfs_user carol = add(archive, "carol", 0);
        assert_int_equal(carol.id.v, 3);
        expect_sound(archive, 3);
    }
    assert_int_equal(stop, 4); /* row, folder, row; then it succeeds */
}

static void stopping_while_renaming_is_settled(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;
    unsigned stop = 0;

    for (bool done = false; !done; stop++) {
        fake_clear(archive);
        add(archive, "alice", EMLFS_USER_ADMIN);
        archive->changes_left = stop;
        done = emlfs_user_rename(archive, NULL, "alice", "bob", NULL) == 0;
        archive->changes_left = UINT32_MAX;
        /* A new user of the old name must not get the old folder. */
        int r =
            emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"alice", NULL, 0}, &user, NULL);
        assert_int_equal(r, stop == 0 ? -EEXIST : 0);
        expect_sound(archive, stop == 0 ? 1 : 2);
        assert_int_equal(emlfs_user_by_id(archive, (struct emlfs_user_id){1}, &user, NULL), 0);
        assert_string_equal(user.name, stop == 0 ? "alice" : "bob");
    }
    assert_int_equal(stop, 3);
}

static void a_refused_folder_takes_the_name_back(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_folder_id id;
    struct emlfs_user user;

    add(archive, "alice", EMLFS_USER_ADMIN);
    const struct emlfs_folder_wanted mallory = {.user = {9}, .name = "mallory"};
    assert_int_equal(emlfs_archive_folder_make(archive, NULL, &mallory, &id, NULL), 0);
    assert_int_equal(emlfs_user_rename(archive, NULL, "alice", "Mallory", NULL), -EEXIST);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"Mallory", NULL, 0}, NULL, NULL),
        -EEXIST);
    assert_int_equal(user_count(archive), 1);
}

static void damaged_rows_are_named(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;
    struct emlfs_err err = {0};

    add(archive, "alice", EMLFS_USER_ADMIN);
    struct fake_row *row = fake_find(archive, EMLFS_MASTER_USER, emlfs_span_of("\0\1", 2));
    row->value.data[0] = 4;
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, &err), -EPROTONOSUPPORT);
    assert_int_equal(err.code, EPROTONOSUPPORT);
    row->value.data[0] = 2;
    row->value.len--;
    assert_int_equal(emlfs_user_by_id(archive, (struct emlfs_user_id){1}, &user, &err), -EUCLEAN);
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", NULL, 0}, NULL, &err),
        -EUCLEAN);
    assert_int_equal(err.code, EUCLEAN);
    archive->reads_fail = 1;
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", NULL, 0}, NULL, &err), -EIO);
    assert_string_equal(err.module, "fake");
}

/* ---- records */

static void expect_record(const struct emlfs_archive *archive, unsigned kind, const char *name,
                          const char *detail)
{
    const struct fake_record *record = fake_last(archive, 0);

    assert_int_equal(record->kind, kind);
    assert_string_equal(record->name, name);
    assert_string_equal(record->detail, detail);
}

static void every_change_has_its_record(void **state)
{
    struct emlfs_archive *archive = *state;
    const struct emlfs_actor actor = {.user = {7}, .uid = 1007, .source = 2, .admin = true};

    assert_int_equal(emlfs_user_add(archive, &actor,
                                    &(struct emlfs_user_new){"alice", NULL, EMLFS_USER_ADMIN}, NULL,
                                    NULL),
                     0);
    expect_record(archive, EMLFS_LEDGER_USER_MADE, "alice", "");
    assert_int_equal(fake_last(archive, 0)->actor.user.v, 7);
    assert_int_equal(fake_last(archive, 0)->owner.v, 1);
    assert_int_equal(archive->records_n, 1);
    assert_int_equal(emlfs_user_rename(archive, &actor, "alice", "ann", NULL), 0);
    expect_record(archive, EMLFS_LEDGER_USER_CHANGED, "ann", "alice");
    add(archive, "bob", EMLFS_USER_ADMIN);
    assert_int_equal(emlfs_user_remove(archive, &actor, "ann", NULL), 0);
    expect_record(archive, EMLFS_LEDGER_USER_DELETED, "ann", "");
    assert_int_equal(fake_last(archive, 0)->actor.uid, 1007);
    assert_int_equal(archive->records_n, 4);
}

static void what_is_settled_is_recorded(void **state)
{
    struct emlfs_archive *archive = *state;

    archive->changes_left = 2; /* reservation, folder */
    assert_int_equal(
        emlfs_user_add(archive, NULL, &(struct emlfs_user_new){"bob", NULL, 0}, NULL, NULL), -EIO);
    assert_int_equal(archive->records_n, 0);
    archive->changes_left = UINT32_MAX;
    emlfs_users_settle(archive);
    expect_record(archive, EMLFS_LEDGER_USER_MADE, "bob", "completed after an interruption");
    assert_false(fake_last(archive, 0)->has_actor);
}

/* Between what the change looked at and its commit somebody else removed an administrator. */
static void remove_bob(void *arg)
{
    assert_int_equal(emlfs_user_remove(arg, NULL, "bob", NULL), 0);
}

static void two_cannot_remove_each_other(void **state)
{
    struct emlfs_archive *archive = *state;
    struct emlfs_user user;

    add(archive, "alice", EMLFS_USER_ADMIN);
    add(archive, "bob", EMLFS_USER_ADMIN);
    archive->before_check = remove_bob;
    archive->before_arg = archive;
    assert_int_equal(emlfs_user_remove(archive, NULL, "alice", NULL), -EPERM);
    assert_int_equal(emlfs_user_by_name(archive, "alice", &user, NULL), 0);
    assert_int_equal(user.flags, EMLFS_USER_ADMIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        USERS_SUITE,
        USERS_TEST(stopping_while_adding_is_settled),
        USERS_TEST(stopping_while_renaming_is_settled),
        USERS_TEST(a_refused_folder_takes_the_name_back),
        USERS_TEST(damaged_rows_are_named),
        USERS_TEST(every_change_has_its_record),
        USERS_TEST(what_is_settled_is_recorded),
        USERS_TEST(two_cannot_remove_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
