/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive/snapshot_test.h"

#include "emlfs/saved.h"

/* Saved searches over reopening, recovery and all that is refused. */

static struct emlfs_saved *open_saved(struct life *life)
{
    struct emlfs_saved *saved = NULL;
    struct emlfs_err err = {0};

    if (emlfs_saved_open(life->archive, &saved, &err) < 0)
        fail_msg("%s", err.text);
    return saved;
}

static int try_add(struct emlfs_saved *saved, struct emlfs_user_id user, const char *name,
                   const char *query, struct emlfs_saved_id *ret)
{
    struct emlfs_saved_search search = {.user = user};
    struct emlfs_err err = {0};
    int rc;

    snprintf(search.name, sizeof(search.name), "%s", name);
    snprintf(search.query, sizeof(search.query), "%s", query);
    rc = emlfs_saved_add(saved, NULL, &search, &err);
    assert_int_equal(-rc, err.code);
    if (rc == 0 && ret)
        *ret = search.id;
    return rc;
}

static struct emlfs_saved_id add(struct emlfs_saved *saved, struct emlfs_user_id user,
                                 const char *name, const char *query)
{
    struct emlfs_saved_id id = {0};

    must(try_add(saved, user, name, query, &id));
    return id;
}

/* "name=query;" for each. */
static void list_text(struct emlfs_saved *saved, struct emlfs_user_id user, struct emlfs_buf *out)
{
    struct emlfs_saved_search search = {0};
    uint32_t last = 0;

    emlfs_buf_clear(out);
    while (emlfs_saved_next(saved, user, search.id, &search) == 0) {
        assert_true(search.id.v > last);
        assert_int_equal(search.user.v, user.v);
        last = search.id.v;
        line(out, "%u %s=%s %d %lld %lld;", search.id.v, search.name, search.query, search.form,
             (long long)search.created_ns, (long long)search.changed_ns);
    }
    must(emlfs_buf_append_u8(out, 0));
}

static void expect_same(struct life *life, struct emlfs_saved **saved,
                        const struct emlfs_buf *right)
{
    struct emlfs_buf got = EMLFS_BUF_INIT(1u << 20);

    *saved = open_saved(life);
    list_text(*saved, USER, &got);
    assert_string_equal((const char *)got.data, (const char *)right->data);
    emlfs_buf_free(&got);
}

static void test_life_of_searches(void **state)
{
    struct life *life = *state;
    struct emlfs_buf right = EMLFS_BUF_INIT(1u << 20);
    struct emlfs_saved *saved;
    struct emlfs_saved_search found;
    struct emlfs_archive_options options = {.path = life->path};
    struct emlfs_check_totals totals;
    struct emlfs_saved_id a, b, c;

    life_init(life);
    life_open(life);
    saved = open_saved(life);
    assert_int_equal(emlfs_saved_changed_ns(saved, USER), 0);
    a = add(saved, USER, "Invoices", "subject:invoice");
    b = add(saved, OTHER, "invoices", "invoice -draft");
    c = add(saved, USER, "Last month", "date:lastmonth");
    assert_true(a.v < b.v && b.v < c.v);
    assert_true(emlfs_saved_changed_ns(saved, USER) > 0);
    must(emlfs_saved_by_name(saved, USER, "Invoices", &found));
    assert_int_equal(found.id.v, a.v);
    assert_true(found.created_ns > 0 && found.changed_ns == found.created_ns);
    assert_int_equal(emlfs_saved_by_name(saved, USER, "invoices", &found), -ENOENT);
    must(emlfs_saved_by_id(saved, b, &found));
    assert_string_equal(found.query, "invoice -draft");
    must(emlfs_saved_rename(saved, NULL, a, "INVOICES", NULL)); /* only the case */
    must(emlfs_saved_set_query(
        saved, NULL, c, &(struct emlfs_saved_query){"date=thismonth", EMLFS_QUERY_PATH}, NULL));
    must(emlfs_saved_by_id(saved, c, &found));
    assert_int_equal(found.form, EMLFS_QUERY_PATH);
    assert_true(found.changed_ns > found.created_ns);
    list_text(saved, USER, &right);
    assert_non_null(strstr((const char *)right.data, "INVOICES=subject:invoice"));
    emlfs_saved_close(saved);
    life_verify_clean(life);
    life_close(life);

    life_open(life);
    expect_same(life, &saved, &right);
    emlfs_saved_close(saved);
    life_close(life);
    must(emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, NULL));
    life_open(life);
    expect_same(life, &saved, &right);
    emlfs_saved_close(saved);
    emlfs_buf_free(&right);
}

/* The number of a removed search is not given to another, whatever happens in between. */
static void test_ids(void **state)
{
    struct life *life = *state;
    struct emlfs_saved *saved;
    struct emlfs_saved_search found;
    struct emlfs_archive_options options = {.path = life->path};
    struct emlfs_check_totals totals;
    struct emlfs_saved_id last = {0};

    life_init(life);
    for (unsigned round = 0; round < 4; round++) {
        struct emlfs_saved_id id;
        life_open(life);
        saved = open_saved(life);
        id = add(saved, USER, "again", "word");
        assert_true(id.v > last.v);
        last = id;
        must(emlfs_saved_remove(saved, NULL, id, NULL));
        assert_int_equal(emlfs_saved_by_id(saved, id, &found), -ENOENT);
        assert_int_equal(emlfs_saved_remove(saved, NULL, id, NULL), -ENOENT);
        assert_true(emlfs_saved_changed_ns(saved, USER) > 0);
        emlfs_saved_close(saved);
        life_close(life);
        if (round == 2)
            must(emlfs_archive_recover(&options, NULL, finding_print, NULL, &totals, NULL));
    }
    life_open(life);
    life_verify_clean(life);
}

static void test_refused(void **state)
{
    struct life *life = *state;
    struct emlfs_saved *saved;
    struct emlfs_saved_id id, other;
    char longest[300], query[EMLFS_QUERY_MAX_BYTES + 1];
    static const char *const names[] = {"", ".", "..", "a/b", "CON", "end.", " blank", "tab\t"};

    life_init(life);
    life_open(life);
    saved = open_saved(life);
    id = add(saved, USER,
             "Stra\xc3\x9f"
             "e",
             "word");
    assert_int_equal(try_add(saved, USER, "STRASSE", "word", NULL), -EEXIST);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_int_equal(try_add(saved, USER, names[i], "word", NULL), -EINVAL);
        assert_int_equal(emlfs_saved_rename(saved, NULL, id, names[i], NULL), -EINVAL);
    }
    memset(longest, 'x', sizeof(longest));
    longest[100] = '\0';
    other = add(saved, USER, longest, "word"); /* 100 units are a name, 101 are not */
    longest[100] = 'x';
    longest[101] = '\0';
    assert_int_equal(try_add(saved, USER, longest, "word", NULL), -EINVAL);
    assert_int_equal(emlfs_saved_rename(saved, NULL, other, "strasse", NULL), -EEXIST);
    assert_int_equal(try_add(saved, USER, "bad", "\"open", NULL), -EINVAL);
    assert_int_equal(try_add(saved, USER, "bad", "", NULL), -EINVAL);
    assert_int_equal(emlfs_saved_set_query(saved, NULL, id,
                                           &(struct emlfs_saved_query){"-", EMLFS_QUERY_PLAIN},
                                           NULL),
                     -EINVAL);
    assert_int_equal(emlfs_saved_rename(saved, NULL, (struct emlfs_saved_id){99}, "x", NULL),
                     -ENOENT);
    assert_int_equal(emlfs_saved_set_query(saved, NULL, (struct emlfs_saved_id){99},
                                           &(struct emlfs_saved_query){"x", EMLFS_QUERY_PLAIN},
                                           NULL),
                     -ENOENT);
    memset(query, 'q', sizeof(query) - 1);
    query[sizeof(query) - 1] = '\0';
    must(emlfs_saved_set_query(saved, NULL, id,
                               &(struct emlfs_saved_query){query, EMLFS_QUERY_PLAIN}, NULL));
    emlfs_saved_close(saved);
}

static void test_many(void **state)
{
    struct life *life = *state;
    struct emlfs_saved *saved;
    struct emlfs_saved_search search = {0};
    char name[32];
    unsigned n = 0;

    life_init(life);
    life_open(life);
    saved = open_saved(life);
    for (unsigned i = 0; i < EMLFS_SAVED_USER_MAX; i++) {
        snprintf(name, sizeof(name), "search %u", i);
        add(saved, USER, name, "word");
    }
    assert_int_equal(try_add(saved, USER, "one more", "word", NULL), -E2BIG);
    add(saved, OTHER, "one more", "word");
    emlfs_saved_close(saved);
    saved = open_saved(life);
    while (emlfs_saved_next(saved, USER, search.id, &search) == 0)
        n++;
    assert_int_equal(n, EMLFS_SAVED_USER_MAX);
    search.id.v = UINT32_MAX;
    assert_int_equal(emlfs_saved_next(saved, USER, search.id, &search), -ENOENT);
    emlfs_saved_close(saved);
}

/* Rows as no version wrote them are told, not shown. */
static void test_damaged_rows(void **state)
{
    struct life *life = *state;
    static const struct {
        const char *key, *value;
        size_t key_len, value_len;
        int rc;
    } rows[] = {
        {"\0\0\0\1", "\2", 4, 1, -EPROTONOSUPPORT},
        {"\0\0\0\1", "\1\1\0\0\0\1x", 4, 7, -EUCLEAN},       /* no query */
        {"\0\0\0\1", "\1\1\2\0\0\1x\1q", 4, 9, -EUCLEAN},    /* form 2 */
        {"\0\0\0\1", "\1\0\0\0\0\1x\1q", 4, 9, -EUCLEAN},    /* user 0 */
        {"\0\0\0\1", "\1\1\0\0\0\1/\1q", 4, 9, -EUCLEAN},    /* name */
        {"\0\0\0\1", "\1\1\0\0\0\1x\1q\0", 4, 10, -EUCLEAN}, /* more */
        {"\0\0\1", "\1\1\0\0\0\1x\1q", 3, 9, -EUCLEAN},      /* key */
        {"\0\0\0\0", "\0", 4, 1, -EUCLEAN},                  /* counter */
        {"\0\0\0\1", "\1\1\0\0\0\1x\1q", 4, 9, 0},
    };

    life_init(life);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct emlfs_saved *saved = NULL;
        struct emlfs_err err = {0};
        life_open(life);
        must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_SEARCH,
                                      emlfs_span_of(rows[i].key, rows[i].key_len),
                                      emlfs_span_of(rows[i].value, rows[i].value_len), NULL));
        assert_int_equal(emlfs_saved_open(life->archive, &saved, &err), rows[i].rc);
        assert_int_equal(err.code, -rows[i].rc);
        emlfs_saved_close(saved);
        must(emlfs_archive_master_put(life->archive, EMLFS_MASTER_SEARCH,
                                      emlfs_span_of(rows[i].key, rows[i].key_len),
                                      (struct emlfs_span){0}, NULL));
        life_close(life);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life_of_searches, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_ids, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_refused, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_many, life_make, life_free),
        cmocka_unit_test_setup_teardown(test_damaged_rows, life_make, life_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
