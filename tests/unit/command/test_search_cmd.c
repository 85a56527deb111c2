/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "archive_test.h"

#include <locale.h>

#include "../../../store/command/search.h"
#include "emlfs/cli.h"

/* The search commands on an archive, without the program around them. */

#define ARGC(argv) ((int)(sizeof(argv) / sizeof((argv)[0])))
#define PARSE(cli, err, ...)                                                                       \
    ({                                                                                             \
        char *argv_[] = {"emlfs", __VA_ARGS__};                                                    \
        emlfs_cli_parse(ARGC(argv_), argv_, cli, err);                                             \
    })

/* ---- which command a line means */

static void expect_command(struct emlfs_cli *cli, const char *name, const char *query)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(4096);

    assert_string_equal(cli->command->name, name);
    if (query) {
        OK(search_words(cli->args, "QUERY", &text, NULL));
        assert_string_equal((const char *)text.data, query);
    }
    emlfs_cli_free(cli);
}

static void test_words_and_subcommands(void **state)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};

    (void)state;
    OK(PARSE(&cli, &err, "search", "-a", "/x", "from:bob", "yearly", "report"));
    expect_command(&cli, "search", "from:bob yearly report");
    OK(PARSE(&cli, &err, "search", "list", "-a", "/x"));
    expect_command(&cli, "search list", NULL);
    OK(PARSE(&cli, &err, "-a", "/x", "search", "list"));
    expect_command(&cli, "search list", NULL);
    OK(PARSE(&cli, &err, "-a", "/x", "search", "--", "list"));
    expect_command(&cli, "search", "list");
    OK(PARSE(&cli, &err, "search", "-a", "/x", "list")); /* behind an option: a word */
    expect_command(&cli, "search", "list");
    OK(PARSE(&cli, &err, "search", "-a", "/x", "--", "-draft", "invoice"));
    expect_command(&cli, "search", "-draft invoice");
    OK(PARSE(&cli, &err, "search", "save", "-a", "/x", "My name", "from:bob", "x"));
    assert_string_equal(emlfs_args_text(cli.args, "NAME"), "My name");
    expect_command(&cli, "search save", "from:bob x");
    assert_int_equal(PARSE(&cli, &err, "search", "-a", "/x"), -EINVAL);
    emlfs_cli_free(&cli);
    assert_int_equal(PARSE(&cli, &err, "index", "-a", "/x"), -EINVAL);
    assert_non_null(strstr(err.text, "status, rebuild, set"));
    emlfs_cli_free(&cli);
}

/* ---- sorting */

static struct search_key key_of(unsigned id, int64_t number, const char *text)
{
    return (struct search_key){
        .id = emlfs_msg_id_make(1, id), .number = number, .text = text ? strdup(text) : NULL};
}

static void test_sort(void **state)
{
    struct search_sort *sort;
    const struct search_key *found;
    uint32_t order = 12345;

    (void)state;
    for (size_t max = 1; max <= 2000; max = max * 3 + 1) {
        OK(search_sort_new(max, &sort));
        assert_int_equal(search_sort_result(sort, &found), 0);
        for (unsigned i = 0; i < 1000; i++) {
            char text[16];
            struct search_key key;
            order = (order * 1103515245u + 12345u) & 0x7fffffff;
            (void)snprintf(text, sizeof(text), "t%03u", order % 300);
            key = key_of(i + 1, 0, text);
            OK(search_sort_add(sort, &key));
        }
        assert_int_equal(search_sort_overflowed(sort), max < 1000);
        size_t n = search_sort_result(sort, &found);
        assert_int_equal(n, max < 1000 ? max : 1000);
        for (size_t i = 1; i < n; i++) {
            int c = strcmp(found[i - 1].text, found[i].text);
            assert_true(c < 0 || (c == 0 && found[i - 1].id.v > found[i].id.v));
        }
        search_sort_free(sort);
    }
}

static void test_sort_numbers(void **state)
{
    const int64_t numbers[] = {5, -3, INT64_MAX, 0, INT64_MIN, -3};
    const unsigned right[] = {5, 6, 2, 4, 1, 3}; /* of equals the newer first */
    struct search_sort *sort;
    const struct search_key *found;

    (void)state;
    OK(search_sort_new(100, &sort));
    for (unsigned i = 0; i < 6; i++) {
        struct search_key key = key_of(i + 1, numbers[i], NULL);
        OK(search_sort_add(sort, &key));
    }
    assert_int_equal(search_sort_result(sort, &found), 6);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(emlfs_msg_id_number(found[i].id), right[i]);
    search_sort_free(sort);
}

/* ---- saved searches by command, and who may */

struct ask {
    struct emlfs_call call;
    char rows[4096], notices[4096];
};

static int ask_row(void *arg, struct json_object *row)
{
    struct ask *ask = arg;
    size_t len = strlen(ask->rows);

    (void)snprintf(ask->rows + len, sizeof(ask->rows) - len, "%s=%s;",
                   json_object_get_string(json_object_object_get(row, "name")),
                   json_object_get_string(json_object_object_get(row, "query")));
    return 0;
}

static void ask_notice(void *arg, const char *text)
{
    struct ask *ask = arg;
    size_t len = strlen(ask->notices);

    (void)snprintf(ask->notices + len, sizeof(ask->notices) - len, "%s\n", text);
}

/* Run a command line on the archive. */
static int ask(struct ask *ask, const struct archive_test *t, char *const *argv, int argc)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};
    int r = emlfs_cli_parse(argc, argv, &cli, &err);

    ask->rows[0] = ask->notices[0] = '\0';
    assert_int_equal(r, 0);
    ask->call.archive = t->archive;
    ask->call.bindings = t->bindings;
    ask->call.rules = t->rules;
    ask->call.args = cli.args;
    ask->call.row = ask_row;
    ask->call.notice = ask_notice;
    ask->call.arg = ask;
    r = emlfs_command_run(cli.command, &ask->call, &err);
    assert_int_equal(err.code, -r);
    emlfs_cli_free(&cli);
    return r;
}
#define ASK(a, t, ...)                                                                             \
    ({                                                                                             \
        char *argv_[] = {"emlfs", "-a", "/x", __VA_ARGS__};                                        \
        ask(a, t, argv_, ARGC(argv_));                                                             \
    })

static void ask_begin(struct ask *a, const struct archive_test *t)
{
    const struct emlfs_index_options options = {.archive = t->archive}; /* indexes nothing */
    struct emlfs_err err = {0};

    memset(a, 0, sizeof(*a));
    a->call.subject = t->self;
    OK(emlfs_saved_open(t->archive, &a->call.saved, &err));
    OK(emlfs_index_open(&options, &a->call.index, &err));
}

static void ask_end(struct ask *a)
{
    struct emlfs_err err = {0};

    OK(emlfs_index_close(a->call.index, &err));
    emlfs_saved_close(a->call.saved);
}

static void test_saved(void **state)
{
    struct archive_test *t = *state;
    struct ask a;

    ask_begin(&a, t);
    OK(ASK(&a, t, "search", "save", "A", "subject:a", "b"));
    OK(ASK(&a, t, "search", "save", "B", "from:b"));
    assert_int_equal(ASK(&a, t, "search", "save", "a", "x"), -EEXIST);
    OK(ASK(&a, t, "search", "save", "--replace", "B", "from:c"));
    OK(ASK(&a, t, "search", "list"));
    assert_string_equal(a.rows, "A=subject:a b;B=from:c;");
    OK(ASK(&a, t, "search", "rename", "A", "C"));
    assert_int_equal(ASK(&a, t, "search", "remove", "A"), -ENOENT);
    OK(ASK(&a, t, "search", "remove", "B"));
    OK(ASK(&a, t, "search", "list"));
    assert_string_equal(a.rows, "C=subject:a b;");
    ask_end(&a);
}

/* The caret stands below what is wrong, whatever stands before it. */
static void test_mistakes(void **state)
{
    struct archive_test *t = *state;
    struct ask a;

    ask_begin(&a, t);
    assert_int_equal(ASK(&a, t, "search", "word", "subject:\"open"), -EINVAL);
    assert_string_equal(a.notices, "word subject:\"open\n             ^\n");
    assert_int_equal(ASK(&a, t, "search", "save", "X",
                         "gr\xc3\xbc\xc3\x9f"
                         "e nofield:x"),
                     -EINVAL);
    assert_string_equal(a.notices, "gr\xc3\xbc\xc3\x9f"
                                   "e nofield:x\n      ^\n");
    assert_int_equal(ASK(&a, t, "search", "--sort", "size", "word"), -EINVAL);
    assert_string_equal(a.notices, "");
    assert_int_equal(ASK(&a, t, "index", "set", "--kinds", "pdf,doc"), -EINVAL);
    ask_end(&a);
}

static void test_rights(void **state)
{
    struct archive_test *t = *state;
    struct ask a;

    ask_begin(&a, t);
    a.call.subject = (struct emlfs_subject){.uid = 65000, .gid = 65000};
    assert_int_equal(ASK(&a, t, "search", "word"), -ENOENT);
    assert_int_equal(ASK(&a, t, "search", "--user", "alice", "word"), -EACCES);
    assert_int_equal(ASK(&a, t, "search", "save", "--user", "alice", "X", "word"), -EACCES);
    assert_int_equal(ASK(&a, t, "search", "list", "--user", "alice"), -EACCES);
    assert_int_equal(ASK(&a, t, "index", "rebuild"), -EACCES);
    assert_int_equal(ASK(&a, t, "index", "set", "--kinds", "pdf"), -EACCES);
    a.call.subject = t->self;
    assert_int_equal(ASK(&a, t, "search", "--user", "nobody", "word"), -ENOENT);
    ask_end(&a);
    a.call.index = NULL;
    a.call.saved = NULL;
    assert_int_equal(ASK(&a, t, "search", "list"), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_and_subcommands),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_sort_numbers),
        cmocka_unit_test_setup_teardown(test_saved, archive_setup, archive_teardown),
        cmocka_unit_test_setup_teardown(test_mistakes, archive_setup, archive_teardown),
        cmocka_unit_test_setup_teardown(test_rights, archive_setup, archive_teardown),
    };

    (void)setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
