/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Users on a real archive in a temporary directory. */
#include "users_suite.h"

#include "emlfs/verify.h"
#include "scratch.h"
#include <ftw.h>
#include <unistd.h>

struct place {
    char root[64];
    char path[80];
    struct emlfs_archive *archive;
};

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void place_open(struct place *place)
{
    struct emlfs_archive_options options = {.path = place->path};
    struct emlfs_err err = {0};

    if (emlfs_archive_open(&options, &place->archive, &err) < 0)
        fail_msg("%s", err.text);
}

static void place_new(struct place *place)
{
    char recovery[EMLFS_RECOVERY_KEY_TEXT_MAX];
    struct emlfs_err err = {0};

    snprintf(place->root, sizeof(place->root), "%s/emlfs-policy-XXXXXX", scratch_dir());
    assert_non_null(mkdtemp(place->root));
    snprintf(place->path, sizeof(place->path), "%s/archive", place->root);
    if (emlfs_archive_init(place->path, NULL, recovery, &err) < 0)
        fail_msg("%s", err.text);
    place_open(place);
}

static void place_free(struct place *place)
{
    assert_int_equal(emlfs_archive_close(place->archive, NULL), 0);
    assert_int_equal(nftw(place->root, entry_remove, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* *state is the archive; it knows its own path, which is all that teardown needs. */
static int setup_archive(void **state)
{
    struct place place = {0};

    place_new(&place);
    *state = place.archive;
    return 0;
}

static int teardown_archive(void **state)
{
    struct place place = {.archive = *state};

    snprintf(place.root, sizeof(place.root), "%.60s", emlfs_archive_path(place.archive));
    *strrchr(place.root, '/') = 0;
    place_free(&place);
    return 0;
}

static void users_survive_reopening(void **state)
{
    struct place place = {0};
    struct emlfs_user user;

    (void)state;
    place_new(&place);
    struct emlfs_user alice = add(place.archive, "alice", EMLFS_USER_ADMIN);
    add(place.archive, "bob", 0);
    assert_int_equal(emlfs_user_rename(place.archive, NULL, "bob", "carol", NULL), 0);
    assert_int_equal(emlfs_user_remove(place.archive, NULL, "carol", NULL), 0);
    assert_int_equal(emlfs_archive_close(place.archive, NULL), 0);
    place_open(&place);
    assert_int_equal(emlfs_user_by_name(place.archive, "alice", &user, NULL), 0);
    assert_int_equal(user.archive.v, alice.archive.v);
    assert_int_equal(user.created_ns, alice.created_ns);
    expect_folder(place.archive, &user, "alice");
    assert_int_equal(emlfs_user_by_name(place.archive, "carol", &user, NULL), 0);
    assert_int_equal(user.flags, EMLFS_USER_REMOVED);
    expect_folder(place.archive, &user, "carol");
    place_free(&place);
}

/* Users are no mail: they must come back from the packs all the same. */
static void users_survive_a_lost_catalogue(void **state)
{
    struct place place = {0};
    struct emlfs_check_totals totals;
    struct emlfs_err err = {0};
    struct emlfs_user user;

    (void)state;
    place_new(&place);
    struct emlfs_user alice = add(place.archive, "alice", EMLFS_USER_ADMIN);
    add(place.archive, "bob", 0);
    assert_int_equal(emlfs_user_rename(place.archive, NULL, "bob", "carol", NULL), 0);
    assert_int_equal(emlfs_archive_close(place.archive, NULL), 0);
    struct emlfs_archive_options options = {.path = place.path};
    if (emlfs_archive_recover(&options, NULL, NULL, NULL, &totals, &err) < 0)
        fail_msg("%s", err.text);
    place_open(&place);
    assert_int_equal(user_count(place.archive), 2);
    assert_int_equal(emlfs_user_by_name(place.archive, "alice", &user, NULL), 0);
    assert_int_equal(user.created_ns, alice.created_ns);
    expect_folder(place.archive, &user, "alice");
    assert_int_equal(emlfs_user_by_name(place.archive, "carol", &user, NULL), 0);
    expect_folder(place.archive, &user, "carol");
    place_free(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        USERS_SUITE,
        cmocka_unit_test(users_survive_reopening),
        cmocka_unit_test(users_survive_a_lost_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
