/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "govern_test.h"

/* States of stores, their names, taking one away and bringing it back. */

struct three {
    struct emlfs_folder_id top, a;
    struct emlfs_msg_id id[3]; /* messages 0, 1, 2 in stores 1, 2, 3 */
};

static struct three three_make(struct life *life)
{
    struct three three;
    life->settings.store_messages = 1;
    life_init(life);
    life_open(life);
    three.top = life_top(life, USER);
    three.a = life_folder(life, three.top, USER, "a");
    for (unsigned n = 0; n < 3; n++) {
        three.id[n] = mail_file(life, three.top, USER, n);
        assert_int_equal(emlfs_msg_id_store(three.id[n]), n + 1);
    }
    return three;
}

static int set_state(struct life *life, uint16_t no, enum emlfs_store_state state)
{
    const struct emlfs_store_change change = {.no = no, .state = state, .reason = "test"};
    return emlfs_archive_store_set_state(life->archive, &actor, &change, NULL);
}

static enum emlfs_store_state state_of(struct life *life, uint16_t no)
{
    struct emlfs_store_info info;
    must(emlfs_archive_store_info(life->archive, (uint16_t)(no - 1), &info, NULL));
    assert_int_equal(info.state, emlfs_archive_store_state(life->archive, no));
    return info.state;
}

/* Message n is shown everywhere, or nowhere. */
static void check_shown(struct life *life, const struct three *three, unsigned n, bool shown)
{
    struct emlfs_msg_id id = three->id[n];
    struct emlfs_entry v[8], entry;
    struct emlfs_entry_page page = {.folder = three->top, .v = v, .max = 8};
    struct emlfs_filing filing[4];
    struct emlfs_msg_reader *reader;
    unsigned filings, listed = 0;
    int rc = shown ? 0 : -ENOENT;
    assert_int_equal(emlfs_archive_store_shown(life->archive, (uint16_t)(n + 1)), shown);
    must(emlfs_archive_entries(life->archive, &page, NULL));
    for (unsigned i = 0; i < page.n; i++)
        listed += v[i].id.v == id.v;
    assert_int_equal(listed, shown);
    assert_int_equal(folder_count(life, three->top), page.n);
    assert_int_equal(emlfs_archive_entry_of(life->archive, USER, id, &entry, NULL), rc);
    must(emlfs_archive_entries_of(life->archive, USER, &id, 1, v, NULL));
    assert_int_equal(v[0].id.v, shown ? id.v : 0);
    assert_int_equal(emlfs_archive_filings(life->archive, id, filing, 4, &filings, NULL), rc);
    assert_int_equal(emlfs_archive_msg_open(life->archive, id, &reader, NULL), rc);
    if (shown)
        emlfs_msg_reader_free(reader);
}

static void test_transitions(void **state)
{
    struct life *life = *state;
    three_make(life);
    const struct {
        uint16_t no;
        enum emlfs_store_state to;
        int rc;
    } cases[] = {
        {0, EMLFS_STORE_NORMAL, -ENOENT},   {4, EMLFS_STORE_NORMAL, -ENOENT},
        {1, EMLFS_STORE_CURRENT, -EINVAL},  {3, EMLFS_STORE_NORMAL, -EINVAL},
        {3, EMLFS_STORE_DISABLED, -EINVAL}, {3, EMLFS_STORE_LOCKED, -EINVAL},
        {1, EMLFS_STORE_DETACHED, -EINVAL}, {3, EMLFS_STORE_WRITE_PROTECTED, 0},
        {3, EMLFS_STORE_CURRENT, 0},        {1, EMLFS_STORE_WRITE_PROTECTED, 0},
        {1, EMLFS_STORE_DISABLED, 0},       {1, EMLFS_STORE_DISABLED, 0},
        {1, EMLFS_STORE_NORMAL, 0},         {1, EMLFS_STORE_LOCKED, 0},
        {1, EMLFS_STORE_NORMAL, -EPERM},    {1, EMLFS_STORE_DISABLED, -EPERM},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(set_state(life, cases[i].no, cases[i].to), cases[i].rc);
        if (cases[i].rc == 0)
            assert_int_equal(state_of(life, cases[i].no), cases[i].to);
    }
    char wrong[EMLFS_RECOVERY_KEY_TEXT_MAX];
    snprintf(wrong, sizeof(wrong), "%s", life->recovery);
    wrong[0] = wrong[0] == '7' ? '8' : '7';
    assert_int_equal(emlfs_archive_store_unlock(life->archive, &actor, 1, wrong, NULL), -EACCES);
    assert_int_equal(emlfs_archive_store_unlock(life->archive, &actor, 2, life->recovery, NULL),
                     -EINVAL);
    assert_int_equal(emlfs_archive_store_detach(life->archive, &actor, 1, NULL), -EPERM);
    must(emlfs_archive_store_unlock(life->archive, &actor, 1, life->recovery, NULL));
    assert_int_equal(state_of(life, 1), EMLFS_STORE_NORMAL);
    life_is_lasting(life);
    life_close(life);
}

static void test_hidden(void **state)
{
    struct life *life = *state;
    struct three three = three_make(life);
    static const enum emlfs_store_state hidden[] = {EMLFS_STORE_DISABLED, EMLFS_STORE_LOCKED};
    for (unsigned i = 0; i < 2; i++) {
        must(set_state(life, 2, hidden[i]));
        for (unsigned n = 0; n < 3; n++)
            check_shown(life, &three, n, n != 1);
        assert_int_equal(entry_delete(life, (struct emlfs_entry_at){USER, three.top, three.id[1]}),
                         -ENOENT);
        life_is_lasting(life);
        check_shown(life, &three, 1, false);
        if (hidden[i] == EMLFS_STORE_LOCKED)
            must(emlfs_archive_store_unlock(life->archive, &actor, 2, life->recovery, NULL));
        else
            must(set_state(life, 2, EMLFS_STORE_NORMAL));
        check_shown(life, &three, 1, true);
    }
    /* What is not shown is no copy, and keeps its folder. */
    must(entry_move(life, (struct emlfs_entry_at){USER, three.top, three.id[1]}, three.a));
    must(set_state(life, 2, EMLFS_STORE_DISABLED));
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, three.a, NULL), -ENOTEMPTY);
    assert_int_equal(emlfs_archive_folder_in_store(life->archive, three.a, 2, NULL), 1);
    assert_int_equal(emlfs_archive_folder_in_store(life->archive, three.a, 1, NULL), 0);
    assert_int_not_equal(mail_file(life, three.top, USER, 1).v, three.id[1].v);
    life_is_lasting(life);
    life_close(life);
}

static void test_protected(void **state)
{
    struct life *life = *state;
    struct three three = three_make(life);
    struct emlfs_ingest *ingest;
    const struct emlfs_ingest_options options = {.done = life_done, .arg = life};
    struct emlfs_folder_id id;
    struct emlfs_err err;
    uint16_t no;
    must(set_state(life, 1, EMLFS_STORE_WRITE_PROTECTED));
    struct emlfs_entry_at at = {USER, three.top, three.id[0]};
    assert_int_equal(entry_delete(life, at), -EROFS);
    assert_int_equal(entry_move(life, at, three.a), -EROFS);
    check_shown(life, &three, 0, true);
    assert_false(emlfs_archive_all_protected(life->archive));
    must(set_state(life, 3, EMLFS_STORE_WRITE_PROTECTED));
    assert_int_equal(emlfs_ingest_begin(life->archive, &options, &ingest, &err), -EROFS);
    assert_non_null(strstr(err.text, "write-protected"));
    must(entry_move(life, (struct emlfs_entry_at){USER, three.top, three.id[1]}, three.a));
    must(emlfs_archive_folder_add(life->archive, &actor, three.top, "more", &id, NULL));
    must(set_state(life, 2, EMLFS_STORE_WRITE_PROTECTED));
    assert_true(emlfs_archive_all_protected(life->archive));
    life_is_lasting(life);
    assert_true(emlfs_archive_all_protected(life->archive));
    must(emlfs_archive_store_create(life->archive, &actor, NULL, &no, NULL));
    assert_int_equal(no, 4);
    assert_int_equal(state_of(life, 3), EMLFS_STORE_WRITE_PROTECTED);
    assert_int_equal(state_of(life, 4), EMLFS_STORE_CURRENT);
    must(mail_try(life, three.a, 9));
    life_is_lasting(life);
    life_close(life);
}

static void test_names(void **state)
{
    struct life *life = *state;
    struct emlfs_store_info info;
    uint16_t no;
    three_make(life);
    must(emlfs_archive_store_create(life->archive, &actor, "Fourth", &no, NULL));
    assert_int_equal(no, 4);
    assert_int_equal(state_of(life, 3), EMLFS_STORE_NORMAL);
    const struct {
        uint16_t no;
        const char *name;
        int rc;
    } cases[] = {
        {1, "FOURTH", -EEXIST}, {1, "", -EINVAL},        {1, "a/b", -EINVAL}, {1, "12", -EINVAL},
        {9, "x", -ENOENT},      {1, "00002-x", -EINVAL}, {1, "Old mail", 0},  {1, "old MAIL", 0},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(
            emlfs_archive_store_rename(life->archive, &actor, cases[i].no, cases[i].name, NULL),
            cases[i].rc);
    assert_int_equal(emlfs_archive_store_create(life->archive, &actor, "Old Mail", &no, NULL),
                     -EEXIST);
    must(emlfs_archive_store_find(life->archive, "OLD mail", &info, NULL));
    assert_int_equal(info.no, 1);
    assert_string_equal(info.name, "old MAIL");
    assert_int_equal(info.messages, 1);
    must(emlfs_archive_store_find(life->archive, "4", &info, NULL));
    assert_string_equal(info.name, "Fourth");
    must(emlfs_archive_store_find(life->archive, info.directory, &info, NULL) == -ENOENT ? 0 : -1);
    must(emlfs_archive_store_info(life->archive, 1, &info, NULL));
    assert_string_equal(info.name, info.directory);
    assert_int_equal(emlfs_archive_store_find(life->archive, "5", &info, NULL), -ENOENT);
    assert_int_equal(emlfs_archive_store_info(life->archive, 4, &info, NULL), -ENOENT);
    life_is_lasting(life);
    must(emlfs_archive_store_find(life->archive, "old mail", &info, NULL));
    life_close(life);
}

static void directory_move(struct life *life, uint16_t no, bool away)
{
    struct emlfs_store_info info;
    char here[256], there[128];
    static char name[32];
    if (away) {
        must(emlfs_archive_store_info(life->archive, (uint16_t)(no - 1), &info, NULL));
        snprintf(name, sizeof(name), "%s", info.directory);
        life_close(life);
    }
    snprintf(here, sizeof(here), "%s/stores/%s", life->path, name);
    snprintf(there, sizeof(there), "%s/elsewhere", life->dir);
    must(away ? rename(here, there) : rename(there, here));
}

static uint64_t usage_of(struct life *life)
{
    uint64_t used;
    must(emlfs_archive_usage(life->archive, USER, &used, NULL));
    return used;
}

static void test_detach(void **state)
{
    struct life *life = *state;
    struct three three = three_make(life);
    struct emlfs_folder_id fresh;
    struct emlfs_store_info info;
    const uint64_t used = usage_of(life);
    assert_int_equal(emlfs_archive_store_detach(life->archive, &actor, 3, NULL), -EINVAL);
    assert_int_equal(emlfs_archive_store_attach(life->archive, &actor, 1, NULL), -EINVAL);
    must(emlfs_archive_store_detach(life->archive, &actor, 2, NULL));
    const uint64_t less = usage_of(life);
    assert_true(less > 0 && less < used);
    assert_int_equal(emlfs_archive_store_detach(life->archive, &actor, 2, NULL), -EINVAL);
    assert_int_equal(set_state(life, 2, EMLFS_STORE_NORMAL), -EINVAL);
    check_shown(life, &three, 1, false);
    must(emlfs_archive_store_attach(life->archive, &actor, 2, NULL)); /* still open */
    assert_int_equal(usage_of(life), used);
    check_shown(life, &three, 1, true);
    assert_int_equal(state_of(life, 2), EMLFS_STORE_WRITE_PROTECTED);
    must(emlfs_archive_store_detach(life->archive, &actor, 2, NULL));
    life_is_lasting(life);
    directory_move(life, 2, true);
    life_open(life);
    must(emlfs_archive_store_info(life->archive, 1, &info, NULL));
    assert_false(info.present);
    assert_int_equal(info.state, EMLFS_STORE_DETACHED);
    assert_int_equal(usage_of(life), less);
    for (unsigned n = 0; n < 3; n++)
        check_shown(life, &three, n, n != 1);
    assert_int_equal(emlfs_archive_store_attach(life->archive, &actor, 2, NULL), -ENOENT);
    must(emlfs_archive_folder_add(life->archive, &actor, three.top, "fresh", &fresh, NULL));
    assert_int_equal(emlfs_archive_folder_remove(life->archive, &actor, three.a, NULL),
                     -ENOTEMPTY); /* who knows */
    must(emlfs_archive_folder_remove(life->archive, &actor, fresh, NULL));
    mail_file(life, three.a, USER, 50);
    life_is_lasting(life);
    directory_move(life, 2, false);
    must(emlfs_archive_store_attach(life->archive, &actor, 2, NULL));
    check_shown(life, &three, 1, true);
    must(mail_matches(life->archive, three.id[1], 1));
    life_is_lasting(life);
    check_shown(life, &three, 1, true);
    life_close(life);
}

/* Missing without being detached, another store's, an older copy: none of them is taken. */
static void test_wrong_store(void **state)
{
    struct life *life = *state;
    struct three three = three_make(life);
    char older[128], there[128];
    struct emlfs_err err;
    directory_move(life, 2, true);
    assert_int_equal(life_try_open(life, life->path, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "store 2 is missing"));
    snprintf(older, sizeof(older), "%s/older", life->dir);
    snprintf(there, sizeof(there), "%s/elsewhere", life->dir);
    tree_copy(there, older);
    directory_move(life, 2, false);
    life_open(life);
    must(entry_move(life, (struct emlfs_entry_at){USER, three.top, three.id[1]}, three.a));
    must(emlfs_archive_store_detach(life->archive, &actor, 2, NULL));
    directory_move(life, 2, true);
    tree_remove(there);
    must(rename(older, there));
    directory_move(life, 2, false);
    life_open(life);
    assert_int_equal(emlfs_archive_store_attach(life->archive, &actor, 2, &err), -EUCLEAN);
    assert_non_null(strstr(err.text, "recover"));
    life_close(life);
    life_recover(life);
    life_open(life);
    must(emlfs_archive_store_attach(life->archive, &actor, 2, NULL));
    assert_int_equal(folder_count(life, three.a), 1);
    life_is_lasting(life);
    life_close(life);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transitions, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_hidden, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_protected, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_names, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_detach, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_wrong_store, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
