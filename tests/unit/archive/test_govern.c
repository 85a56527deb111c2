/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "govern_test.h"

/* Deleting and moving entries, moving and removing folders. */

static bool has(struct life *life, unsigned number)
{
    struct emlfs_buf raw = EMLFS_BUF_INIT(1u << 20);
    bool found;
    mail_make(number, &raw);
    must(emlfs_archive_has(life->archive, USER, emlfs_buf_view(&raw), &found, NULL));
    emlfs_buf_free(&raw);
    return found;
}

static void is_gone(struct life *life, struct emlfs_msg_id id)
{
    struct emlfs_msg_reader *reader;
    struct emlfs_msg_info info;
    struct emlfs_filing filing;
    struct emlfs_entry entry;
    unsigned n;
    assert_int_equal(emlfs_archive_msg_open(life->archive, id, &reader, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_msg_info(life->archive, id, &info, NULL, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_filings(life->archive, id, &filing, 1, &n, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_entry_of(life->archive, USER, id, &entry, NULL), -ENOENT);
}

static struct emlfs_change last_change(struct life *life, uint16_t store, unsigned back)
{
    struct emlfs_change changes[64];
    int n = emlfs_archive_changes(life->archive, store, 0, changes, 64, NULL);
    assert_true(n > (int)back);
    return changes[n - 1 - (int)back];
}

static void test_delete(void **state)
{
    struct life *life = *state;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b");
    struct emlfs_msg_id id = mail_file(life, a, USER, 1), other = mail_file(life, a, USER, 2);
    assert_int_equal(mail_file(life, b, USER, 1).v, id.v);
    struct emlfs_entry_at at = {USER, a, id};
    struct emlfs_entry entry;

    assert_int_equal(emlfs_archive_entry_delete(life->archive, &actor, &at, NULL, NULL), -EPERM);
    assert_int_equal(entry_delete(life, (struct emlfs_entry_at){OTHER, a, id}), -ENOENT);
    assert_int_equal(entry_delete(life, (struct emlfs_entry_at){USER, top, id}), -ENOENT);
    assert_int_equal(entry_delete(life, (struct emlfs_entry_at){USER, a, {id.v + 100}}), -ENOENT);
    struct emlfs_verdict *verdict = verdict_for(life, EMLFS_ACT_MOVE, &at);
    assert_int_equal(emlfs_archive_entry_delete(life->archive, &actor, &at, verdict, NULL), -EPERM);
    emlfs_verdict_free(verdict);
    assert_int_equal(folder_count(life, a), 2);

    must(entry_delete(life, at));
    struct emlfs_change change = last_change(life, 1, 0);
    assert_int_equal(change.kind, EMLFS_CHANGE_UNFILED);
    assert_int_equal(change.first.v, id.v);
    assert_int_equal(change.folder.v, a.v);
    assert_int_equal(entry_delete(life, at), -ENOENT);
    must(emlfs_archive_entry_of(life->archive, USER, id, &entry, NULL));
    assert_int_equal(entry.nlink, 1);
    must(mail_matches(life->archive, id, 1));
    must(entry_delete(life, (struct emlfs_entry_at){USER, b, id}));
    is_gone(life, id);
    assert_false(has(life, 1));
    must(mail_matches(life->archive, other, 2));
    life_is_lasting(life);
    is_gone(life, id);

    struct emlfs_msg_id again = mail_file(life, a, USER, 1); /* a new message */
    assert_int_not_equal(again.v, id.v);
    assert_true(has(life, 1));
    must(mail_matches(life->archive, again, 1));
    assert_int_equal(mail_try(life, a, 1), 1);
    is_gone(life, id);
    life_is_lasting(life);
    life_close(life);
}

/* A verdict serves one act, under the rules it was given. */
static void test_verdict(void **state)
{
    struct life *life = *state;
    uint16_t no;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a");
    struct emlfs_entry_at at = {USER, top, mail_file(life, top, USER, 1)};
    struct emlfs_verdict *verdict = verdict_for(life, EMLFS_ACT_DELETE, &at);
    uint64_t generation = emlfs_archive_generation(life->archive);
    must(emlfs_archive_store_create(life->archive, &actor, "next", &no, NULL));
    assert_true(emlfs_archive_generation(life->archive) > generation);
    assert_int_equal(emlfs_archive_entry_delete(life->archive, &actor, &at, verdict, NULL),
                     -EAGAIN);
    emlfs_verdict_free(verdict);
    verdict = verdict_for(life, EMLFS_ACT_MOVE, &at);
    must(emlfs_archive_entry_move(life->archive, &actor, &at, a, verdict, NULL));
    at.folder = a;
    assert_int_equal(emlfs_archive_entry_move(life->archive, &actor, &at, top, verdict, NULL),
                     -EPERM);
    emlfs_verdict_free(verdict);
    life_close(life);
}

static void test_move(void **state)
{
    struct life *life = *state;
    life->settings.store_messages = 2;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b"), bob = life_top(life, OTHER);
    struct emlfs_msg_id id = mail_file(life, a, USER, 1); /* by the end in an older store */
    for (unsigned n = 2; n < 6; n++)
        mail_file(life, a, USER, n);
    struct emlfs_entry before, after;
    must(emlfs_archive_entry_of(life->archive, USER, id, &before, NULL));

    must(entry_move(life, (struct emlfs_entry_at){USER, a, id}, b));
    struct emlfs_change moved = last_change(life, 1, 1), out = last_change(life, 1, 0);
    assert_int_equal(moved.kind, EMLFS_CHANGE_MOVED);
    assert_int_equal(moved.folder.v, b.v);
    assert_int_equal(out.kind, EMLFS_CHANGE_UNFILED);
    assert_int_equal(out.folder.v, a.v);
    assert_int_equal(folder_count(life, a), 4);
    assert_int_equal(folder_count(life, b), 1);
    must(emlfs_archive_entry_of(life->archive, USER, id, &after, NULL));
    assert_string_equal(after.name, before.name);
    assert_int_equal(after.flags, before.flags);
    assert_int_equal(after.mtime_ns, before.mtime_ns);
    assert_int_equal(after.nlink, 1);

    assert_int_equal(mail_file(life, a, USER, 1).v, id.v); /* filed again: no way onto itself */
    must(emlfs_archive_entry_of(life->archive, USER, id, &after, NULL));
    assert_int_equal(after.nlink, 2);
    assert_int_equal(entry_move(life, (struct emlfs_entry_at){USER, a, id}, b), -EEXIST);
    must(emlfs_archive_entry_of(life->archive, USER, id, &after, NULL));
    assert_int_equal(after.nlink, 2);
    must(entry_delete(life, (struct emlfs_entry_at){USER, a, id}));
    must(emlfs_archive_entry_of(life->archive, USER, id, &after, NULL));
    assert_int_equal(after.nlink, 1);
    assert_int_equal(folder_count(life, b), 1);

    must(entry_move(life, (struct emlfs_entry_at){USER, b, id}, bob));
    assert_int_equal(emlfs_archive_entry_of(life->archive, USER, id, &after, NULL), -ENOENT);
    must(emlfs_archive_entry_of(life->archive, OTHER, id, &after, NULL));
    assert_string_equal(after.name, before.name);
    assert_int_equal(after.nlink, 1);
    assert_int_equal(folder_count(life, b), 0);
    must(entry_move(life, (struct emlfs_entry_at){OTHER, bob, id}, bob));
    assert_int_equal(
        entry_move(life, (struct emlfs_entry_at){OTHER, bob, id}, (struct emlfs_folder_id){999}),
        -ENOENT);
    life_is_lasting(life);
    life_close(life);
}

static int quota_move(struct life *life, struct emlfs_entry_at at, struct emlfs_folder_id to,
                      uint64_t quota)
{
    const struct emlfs_verdict_terms terms = {.act = EMLFS_ACT_MOVE,
                                              .id = at.id,
                                              .archive = at.user,
                                              .generation = emlfs_archive_generation(life->archive),
                                              .quota_bytes = quota};
    struct emlfs_verdict *verdict;
    int rc;

    must(emlfs_verdict_issue(&terms, &verdict));
    rc = emlfs_archive_entry_move(life->archive, &actor, &at, to, verdict, NULL);
    emlfs_verdict_free(verdict);
    return rc;
}

/* Into another user archive a message counts, once, against its quota. */
static void test_move_quota(void **state)
{
    struct life *life = *state;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a"),
                           b = life_folder(life, top, USER, "b"), bob = life_top(life, OTHER);
    struct emlfs_msg_id first = mail_file(life, a, USER, 1), second = mail_file(life, a, USER, 2);
    const struct emlfs_entry_at one = {USER, a, first}, two = {USER, a, second};
    uint64_t all, used, size;

    must(emlfs_archive_usage(life->archive, USER, &all, NULL));
    assert_int_equal(quota_move(life, one, bob, 1), -EDQUOT);
    assert_int_equal(folder_count(life, a), 2);
    must(emlfs_archive_usage(life->archive, OTHER, &used, NULL));
    assert_int_equal(used, 0);
    must(quota_move(life, one, b, 1)); /* at home it is none's affair */
    must(quota_move(life, (struct emlfs_entry_at){USER, b, first}, a, 1));
    must(quota_move(life, one, bob, all));
    must(emlfs_archive_usage(life->archive, OTHER, &size, NULL));
    assert_true(size > 0 && size < all);
    assert_int_equal(quota_move(life, two, bob, all - 1), -EDQUOT);
    assert_int_equal(quota_move(life, two, bob, size - 1), -EDQUOT); /* over it already */
    must(quota_move(life, two, bob, all));
    must(emlfs_archive_usage(life->archive, OTHER, &used, NULL));
    assert_int_equal(used, all);

    struct emlfs_folder_id his = life_folder(life, bob, OTHER, "his");
    assert_int_equal(mail_file(life, a, USER, 1).v, first.v); /* a message that he has */
    must(quota_move(life, one, his, all));
    must(emlfs_archive_usage(life->archive, OTHER, &used, NULL));
    assert_int_equal(used, all);
    life_is_lasting(life);
    life_close(life);
}

static int folder_move(struct life *life, struct emlfs_folder_id id, struct emlfs_folder_id parent,
                       const char *name)
{
    const struct emlfs_folder_place to = {parent, name, emlfs_archive_generation(life->archive)};
    return emlfs_archive_folder_move(life->archive, &actor, id, &to, NULL);
}

static void test_folder_move(void **state)
{
    struct life *life = *state;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), bob = life_top(life, OTHER), a, b, c, d;
    must(emlfs_archive_folder_add(life->archive, &actor, top, "a", &a, NULL));
    must(emlfs_archive_folder_add(life->archive, &actor, a, "b", &b, NULL));
    must(emlfs_archive_folder_add(life->archive, &actor, top, "c", &c, NULL));
    must(emlfs_archive_folder_add(life->archive, &actor, bob, "d", &d, NULL));
    mail_file(life, b, USER, 1);
    const struct {
        struct emlfs_folder_id id, parent;
        const char *name;
        int rc;
    } cases[] = {
        {a, b, "a", -EINVAL},      {a, a, "a", -EINVAL},
        {top, a, "x", -EPERM},     {a, {0}, "a", -EPERM},
        {a, bob, "a", -EPERM},     {a, d, "a", -EPERM},
        {{77}, top, "x", -ENOENT}, {a, {77}, "a", -ENOENT},
        {a, top, "C", -EEXIST},    {a, top, "a/b", -EINVAL},
        {a, top, "a", 0},          {a, top, "A", 0},
        {a, c, "under", 0},        {c, b, "c", -EINVAL},
        {b, top, "b", 0},          {c, b, "c", 0},
        {b, a, "b", -EINVAL},      {a, top, "a", 0},
    };
    struct emlfs_folder folder;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(folder_move(life, cases[i].id, cases[i].parent, cases[i].name),
                         cases[i].rc);
    struct emlfs_folder_place stale = {top, "late", emlfs_archive_generation(life->archive) + 1};
    assert_int_equal(emlfs_archive_folder_move(life->archive, &actor, a, &stale, NULL), -EAGAIN);
    assert_int_equal(emlfs_archive_folder_lookup(life->archive, top, "late", &folder, NULL),
                     -ENOENT);
    must(emlfs_archive_folder_lookup(life->archive, b, "c", &folder, NULL));
    assert_int_equal(folder.id.v, c.v);
    assert_int_equal(emlfs_archive_folder_lookup(life->archive, top, "c", &folder, NULL), -ENOENT);
    must(emlfs_archive_folder_rename(life->archive, c, "renamed", NULL));
    assert_int_equal(emlfs_archive_folder_add(life->archive, &actor, b, "Renamed", &d, NULL),
                     -EEXIST);
    life_is_lasting(life);
    life_close(life);
}

static void test_folder_remove(void **state)
{
    struct life *life = *state;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a, b, again;
    struct emlfs_folder folder;
    struct emlfs_user_id owner;
    must(emlfs_archive_folder_add(life->archive, &actor, top, "a", &a, NULL));
    must(emlfs_archive_folder_add(life->archive, &actor, a, "b", &b, NULL));
    struct emlfs_msg_id id = mail_file(life, b, USER, 1);
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, top, NULL), -EPERM);
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, a, NULL), -ENOTEMPTY);
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, b, NULL), -ENOTEMPTY);
    must(entry_move(life, (struct emlfs_entry_at){USER, b, id}, top));
    life_begin(life, "test:beside"); /* mail on its way may be for the folder */
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, b, NULL), -EBUSY);
    life_end(life, false);
    must(emlfs_archive_folder_remove(life->archive, &actor, b, NULL));
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, b, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_folder_get(life->archive, b, &folder, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_folder_rename(life->archive, b, "x", NULL), -ENOENT);
    must(emlfs_archive_folder_owner(life->archive, b, &owner, NULL));
    assert_int_equal(owner.v, 1);
    assert_int_equal(mail_try(life, b, 2), -ENOENT);
    assert_int_equal(folder_move(life, a, b, "a"), -ENOENT);
    again = life_folder(life, a, USER, "b");
    assert_true(again.v > b.v);
    must(emlfs_archive_folder_remove(life->archive, &actor, again, NULL));
    must(emlfs_archive_folder_remove(life->archive, &actor, a, NULL));
    const struct emlfs_folder_wanted lost = {.parent = a, .user = USER, .name = "lost"};

    assert_int_equal(emlfs_archive_folder_make(life->archive, NULL, &lost, &again, NULL), -ESTALE);
    life_is_lasting(life);
    assert_true(life_folder(life, top, USER, "new").v > again.v);
    life_close(life);
}

/* Deleting beside an import: change numbers ascend, nothing deleted comes back. */
static void test_beside_ingest(void **state)
{
    struct life *life = *state;
    life->settings.block_bytes = 4096;
    life_init(life);
    life_open(life);
    struct emlfs_folder_id top = life_top(life, USER), a = life_folder(life, top, USER, "a");
    struct emlfs_msg_id ids[40];
    life_begin(life, "test:first");
    for (unsigned n = 0; n < 40; n++)
        life_put_mail(life, top, USER, n);
    life_end(life, false);
    for (unsigned n = 0; n < 40; n++)
        ids[n] = life->results[n].id;
    life_begin(life, "test:second");
    for (unsigned n = 0; n < 40; n++) {
        life_put_mail(life, n % 2 ? a : top, USER, n + 100);
        int rc;
        while ((rc = entry_delete(life, (struct emlfs_entry_at){USER, top, ids[n]})) == -EAGAIN)
            usleep(1000);
        must(rc);
    }
    must(emlfs_ingest_flush(life->ingest, NULL));
    for (unsigned n = 0; n < 40; n++) /* deleted while the run goes on: new messages */
        life_put_mail(life, a, USER, n);
    life_end(life, true);
    assert_int_equal(life->totals.archived, 80);
    for (unsigned n = 0; n < 40; n++) {
        is_gone(life, ids[n]);
        must(mail_matches(life->archive, life->results[40 + n].id, n));
    }
    struct emlfs_change changes[300];
    int n = emlfs_archive_changes(life->archive, 1, 0, changes, 300, NULL), unfiled = 0;
    for (int i = 0; i < n; i++)
        unfiled += changes[i].kind == EMLFS_CHANGE_UNFILED;
    assert_int_equal(unfiled, 40);
    life_is_lasting(life);
    life_close(life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_delete, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_verdict, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_move, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_move_quota, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_folder_move, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_folder_remove, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_beside_ingest, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
