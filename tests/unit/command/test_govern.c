/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may run which row of the table, and the commands that govern an archive. */
#include "archive_test.h"

#include "emlfs/cli.h"
#include "emlfs/ledger.h"

#define ARGC(argv) ((int)(sizeof(argv) / sizeof((argv)[0])))
#define ROWS_MAX 32
#define PASSWORD "Correct-Horse-7"

/* Four callers: accounts that every system has. */
enum caller { STRANGER, PLAIN, AUDITOR, ADMIN, CALLERS };
struct govern {
    struct archive_test *t;
    struct emlfs_subject callers[CALLERS];
    struct json_object *rows;
    struct emlfs_err err;
};

static struct emlfs_subject account(const char *name)
{
    struct passwd *entry = getpwnam(name);

    assert_non_null(entry);
    return (struct emlfs_subject){.uid = entry->pw_uid, .gid = entry->pw_gid};
}

static void user_new(struct govern *g, const char *name, const char *unix_account, uint32_t flags,
                     struct emlfs_user *ret)
{
    OK(emlfs_user_add(g->t->archive, NULL, &(struct emlfs_user_new){name, unix_account, flags}, ret,
                      &g->err));
}

static int govern_setup(void **state)
{
    struct govern *g = calloc(1, sizeof(*g));
    const struct emlfs_by by = {.actor = {.uid = 0, .admin = true}, .who = "", .reason = "test"};
    struct emlfs_user user;
    void *inner = NULL;

    assert_non_null(g);
    assert_int_equal(archive_setup(&inner), 0);
    g->t = inner;
    user_new(g, "paula", "daemon", 0, &user);
    user_new(g, "arno", "sys", EMLFS_USER_ADMIN, &user);
    user_new(g, "otto", "bin", 0, &user);
    emlfs_bindings_refresh(g->t->bindings);
    OK(emlfs_rules_set_auditor(g->t->rules, &by, user.id, true, &g->err));
    g->callers[STRANGER] = (struct emlfs_subject){.uid = 65000, .gid = 65000};
    g->callers[PLAIN] = account("daemon");
    g->callers[AUDITOR] = account("bin");
    g->callers[ADMIN] = account("sys");
    g->rows = json_object_new_array();
    *state = g;
    return 0;
}

static int govern_teardown(void **state)
{
    struct govern *g = *state;
    void *inner = g->t;

    json_object_put(g->rows);
    archive_teardown(&inner);
    free(g);
    return 0;
}

static int row_keep(void *arg, struct json_object *row)
{
    struct govern *g = arg;

    return json_object_array_add(g->rows, json_object_get(row));
}

static int run(struct govern *g, enum caller caller, const struct emlfs_command *command,
               struct json_object *args)
{
    struct emlfs_call call = {.archive = g->t->archive,
                              .bindings = g->t->bindings,
                              .rules = g->t->rules,
                              .source = EMLFS_LEDGER_COMMAND,
                              .subject = g->callers[caller],
                              .args = args,
                              .row = row_keep,
                              .arg = g};

    json_object_put(g->rows);
    g->rows = json_object_new_array();
    g->err = (struct emlfs_err){0};
    return emlfs_command_run(command, &call, &g->err);
}

static int line(struct govern *g, enum caller caller, char *const *argv, int argc)
{
    struct emlfs_cli cli;
    struct emlfs_err err = {0};
    int r = emlfs_cli_parse(argc, argv, &cli, &err);

    if (r == 0)
        r = run(g, caller, cli.command, cli.args);
    else
        g->err = err;
    emlfs_cli_free(&cli);
    return r;
}
#define RUN(g, caller, ...)                                                                        \
    ({                                                                                             \
        char *argv_[] = {"emlfs", "-a", "/x", __VA_ARGS__};                                        \
        line(g, caller, argv_, ARGC(argv_));                                                       \
    })

static const char *text_at(struct govern *g, size_t row, const char *name)
{
    return json_object_get_string(
        json_object_object_get(json_object_array_get_idx(g->rows, row), name));
}

static size_t rows_n(struct govern *g)
{
    return json_object_array_length(g->rows);
}

/* ---- who may run what */

/*
 * By name, not read from the table: a row that is put in with the wrong right is found, and one
 * that nobody thought about, too. object_rows: their handlers ask about what they are given.
 */
static const char *const admin_rows[] = {
    "user add",
    "user set",
    "user rename",
    "user remove",
    "privilege set",
    "privilege grant",
    "privilege revoke",
    "privilege access",
    "compliance mode",
    "compliance auditor add",
    "compliance auditor remove",
    "compliance audit set",
    "policy add",
    "policy set",
    "policy remove",
    "policy move",
    "hold place",
    "hold add",
    "hold release",
    "store create",
    "store set-state",
    "store rename",
    "store unlock",
    "store detach",
    "store attach",
    "index rebuild",
    "index set",
    "verify",
    "recover",
    "job run",
    "ledger timestamp",
    "checkpoint timestamp-add",
};
static const char *const office_rows[] = {
    "compliance show",
    "compliance auditor list",
    "compliance audit show",
    "policy list",
    "hold list",
    "store list",
    "audit",
    "checkpoint list",
    "job list",
};
static const char *const object_rows[] = {
    "import",         "user list",      "user show",
    "user password",  "privilege list", "folder list",
    "message show",   "message get",    "search",
    "search save",    "search list",    "search remove",
    "search rename",  "index status",   "status",
    "message delete", "message move",   "message explain",
    "message export", "export",         "prove",
    "ledger prove",   "ledger text",    "checkpoint",
    "checkpoint key", "clock",          "checkpoint timestamp-query",
    "login",
};

static bool is_in(const char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}
#define IS_IN(names, name) is_in(names, sizeof(names) / sizeof((names)[0]), name)

/* Every argument that is needed, with a value that leads nowhere. */
static struct json_object *args_dummy(const struct emlfs_command *command)
{
    struct json_object *args = json_object_new_object();

    for (const struct emlfs_arg *arg = command->args; arg->name; arg++) {
        struct json_object *value = json_object_new_string("no-such-thing");

        if (!(arg->flags & EMLFS_ARG_REQUIRED)) {
            json_object_put(value);
            continue;
        }
        if (arg->kind == EMLFS_ARG_NUMBER) {
            json_object_put(value);
            value = json_object_new_int64(99);
        } else if (arg->kind == EMLFS_ARG_LIST) {
            struct json_object *list = json_object_new_array();

            json_object_array_add(list, value);
            value = list;
        }
        json_object_object_add(args, arg->name, value);
    }
    return args;
}

static bool is_refused(struct govern *g, enum caller caller, const struct emlfs_command *command)
{
    struct json_object *args = args_dummy(command);
    int r = run(g, caller, command, args);

    json_object_put(args);
    return r == -EACCES && strstr(g->err.text, " of the archive may") != NULL;
}

static void test_rows_and_callers(void **state)
{
    struct govern *g = *state;

    for (const struct emlfs_command *command = emlfs_commands; command->name; command++) {
        bool admin = IS_IN(admin_rows, command->name), office = IS_IN(office_rows, command->name);

        if (command->right == EMLFS_RIGHT_LOCAL)
            continue;
        if (!admin && !office) {
            if (!IS_IN(object_rows, command->name))
                fail_msg("who may run %s?", command->name);
            assert_int_equal(command->right, EMLFS_RIGHT_ANYONE);
            continue;
        }
        assert_int_equal(command->right, admin ? EMLFS_RIGHT_ADMIN : EMLFS_RIGHT_OFFICE);
        /* Others need an index or a closed archive before anybody is asked, or ask elsewhere. */
        if (!command->run || (command->flags & (EMLFS_COMMAND_INDEX | EMLFS_COMMAND_CLOSED)))
            continue;
        assert_true(is_refused(g, STRANGER, command));
        assert_true(is_refused(g, PLAIN, command));
        assert_int_equal(is_refused(g, AUDITOR, command), admin);
        assert_false(is_refused(g, ADMIN, command));
    }
}

/* ---- what is refused is recorded */

struct denials {
    unsigned n;
    int64_t uid;
    char detail[64];
};

static int denial_count(void *arg, const struct emlfs_ledger_record *record)
{
    struct denials *denials = arg;

    denials->n++;
    denials->uid = record->uid;
    (void)snprintf(denials->detail, sizeof(denials->detail), "%.*s", (int)record->detail.len,
                   (const char *)record->detail.data);
    return 0;
}

static void test_refusal_is_recorded(void **state)
{
    struct govern *g = *state;
    const struct emlfs_ledger_filter filter = {.kind = EMLFS_LEDGER_ACCESS_DENIED};
    struct denials denials = {0};

    assert_int_equal(RUN(g, PLAIN, "policy", "remove", "Tax"), -EACCES);
    OK(emlfs_ledger_each(emlfs_archive_ledger(g->t->archive), &filter, denial_count, &denials,
                         &g->err));
    assert_int_equal(denials.n, 1);
    assert_int_equal(denials.uid, g->callers[PLAIN].uid);
    assert_non_null(strstr(denials.detail, "policy remove"));
}

/* ---- policies */

static void test_policies(void **state)
{
    struct govern *g = *state;

    OK(RUN(g, ADMIN, "policy", "add", "Tax", "--period", "10y", "--query", "subject:invoice",
           "--start", "year-end"));
    assert_string_equal(text_at(g, 0, "start"), "year-end");
    /* What only was kept would be deleted: looser, too. */
    assert_int_equal(RUN(g, ADMIN, "policy", "add", "All", "--period", "90d", "--auto-delete"),
                     -EINVAL);
    OK(RUN(g, ADMIN, "policy", "add", "All", "--period", "90d", "--auto-delete", "--reason", "r"));
    OK(RUN(g, ADMIN, "policy", "add", "Third", "--period", "18m"));
    OK(RUN(g, AUDITOR, "policy", "list"));
    assert_int_equal(rows_n(g), 3);
    assert_string_equal(text_at(g, 0, "name"), "Tax");
    assert_string_equal(text_at(g, 0, "period"), "10y");
    assert_string_equal(text_at(g, 0, "query"), "subject:invoice");
    assert_string_equal(text_at(g, 1, "auto_delete"), "true");
    assert_string_equal(text_at(g, 2, "period"), "18m");
    assert_int_equal(RUN(g, ADMIN, "policy", "add", "Tax", "--period", "1y"), -EEXIST);
    assert_int_equal(RUN(g, ADMIN, "policy", "add", "X", "--period", "ten"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "policy", "add", "X", "--period", "0d"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "policy", "add", "X", "--period", "1y", "--start", "later"),
                     -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "policy", "set", "Nothing", "--period", "1y"), -ENOENT);
    OK(RUN(g, ADMIN, "policy", "set", "Third", "--period", "24m", "--rename", "Two years"));
    assert_string_equal(text_at(g, 0, "name"), "Two years");
    assert_int_equal(RUN(g, ADMIN, "policy", "set", "Two years", "--enable", "--disable"), -EINVAL);
    /* Shorter is looser: with a reason only. */
    assert_int_equal(RUN(g, ADMIN, "policy", "set", "Tax", "--period", "9y"), -EINVAL);
    OK(RUN(g, ADMIN, "policy", "set", "Tax", "--period", "9y", "--reason", "law changed"));
    OK(RUN(g, ADMIN, "policy", "remove", "Two years", "--reason", "not needed"));
    OK(RUN(g, ADMIN, "policy", "list"));
    assert_int_equal(rows_n(g), 2);
}

static void order_is(struct govern *g, const char *a, const char *b, const char *c)
{
    OK(RUN(g, ADMIN, "policy", "list"));
    assert_int_equal(rows_n(g), 3);
    assert_string_equal(text_at(g, 0, "name"), a);
    assert_string_equal(text_at(g, 1, "name"), b);
    assert_string_equal(text_at(g, 2, "name"), c);
}

/* Every move of three, and often enough that the room between orders is used up. */
static void test_policy_order(void **state)
{
    struct govern *g = *state;

    OK(RUN(g, ADMIN, "policy", "add", "A", "--period", "1y"));
    OK(RUN(g, ADMIN, "policy", "add", "B", "--period", "2y"));
    OK(RUN(g, ADMIN, "policy", "add", "C", "--period", "3y"));
    order_is(g, "A", "B", "C");
    OK(RUN(g, ADMIN, "policy", "move", "C", "1", "--reason", "r"));
    order_is(g, "C", "A", "B");
    OK(RUN(g, ADMIN, "policy", "move", "C", "3", "--reason", "r"));
    order_is(g, "A", "B", "C");
    OK(RUN(g, ADMIN, "policy", "move", "A", "2", "--reason", "r"));
    order_is(g, "B", "A", "C");
    OK(RUN(g, ADMIN, "policy", "move", "A", "2", "--reason", "r"));
    order_is(g, "B", "A", "C");
    for (unsigned i = 0; i < 40; i++)
        OK(RUN(g, ADMIN, "policy", "move", i % 2 ? "B" : "A", "1", "--reason", "r"));
    order_is(g, "B", "A", "C");
    assert_int_equal(RUN(g, ADMIN, "policy", "move", "A", "4"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "policy", "move", "A", "0"), -EINVAL);
}

/* ---- holds */

static void test_holds(void **state)
{
    struct govern *g = *state;

    assert_int_equal(RUN(g, ADMIN, "hold", "place", "Case"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "hold", "place", "Case", "--all", "--query", "x"), -EINVAL);
    OK(RUN(g, ADMIN, "hold", "place", "Case", "--query", "from:bob", "--reason", "suit"));
    assert_int_equal(RUN(g, ADMIN, "hold", "place", "Case", "--all"), -EEXIST);
    OK(RUN(g, ADMIN, "hold", "place", "Everything", "--all"));
    assert_int_equal(RUN(g, ADMIN, "hold", "place", "One", "--message", "000vvv"), -ENOENT);
    OK(RUN(g, AUDITOR, "hold", "list"));
    assert_int_equal(rows_n(g), 2);
    assert_string_equal(text_at(g, 0, "scope"), "query");
    assert_string_equal(text_at(g, 0, "placed_by"), "arno");
    assert_string_equal(text_at(g, 0, "reason"), "suit");
    OK(RUN(g, ADMIN, "compliance", "show"));
    assert_string_equal(text_at(g, 0, "all_held"), "true");
    assert_int_equal(RUN(g, ADMIN, "hold", "release", "Case"), -EINVAL);
    OK(RUN(g, ADMIN, "hold", "release", "Case", "--reason", "settled"));
    assert_int_equal(RUN(g, ADMIN, "hold", "release", "Case", "--reason", "again"), -ENOENT);
    OK(RUN(g, ADMIN, "hold", "list"));
    assert_int_equal(rows_n(g), 1);
    OK(RUN(g, ADMIN, "hold", "list", "--released"));
    assert_int_equal(rows_n(g), 2);
    assert_string_equal(text_at(g, 0, "release_reason"), "settled");
}

/* ---- rights */

static void test_privileges(void **state)
{
    struct govern *g = *state;

    OK(RUN(g, PLAIN, "privilege", "list"));
    assert_int_equal(rows_n(g), 1);
    assert_string_equal(text_at(g, 0, "user"), "paula");
    assert_int_equal(RUN(g, PLAIN, "privilege", "list", "--user", "alice"), -ENOENT);
    assert_int_equal(RUN(g, ADMIN, "privilege", "set", "paula"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "privilege", "set", "paula", "--may", "fly"), -EINVAL);
    OK(RUN(g, ADMIN, "privilege", "set", "paula", "--may", "login,delete", "--own", "delete"));
    OK(RUN(g, ADMIN, "privilege", "list", "--user", "paula"));
    assert_string_equal(text_at(g, 0, "may"), "[ \"login\", \"delete\" ]");
    assert_string_equal(text_at(g, 0, "own"), "[ \"read\", \"delete\" ]");
    assert_int_equal(RUN(g, PLAIN, "folder", "list", "--user", "alice"), -EACCES);
    OK(RUN(g, ADMIN, "privilege", "grant", "alice", "--user", "paula", "--grants", "read,write"));
    OK(RUN(g, PLAIN, "folder", "list", "--user", "alice"));
    OK(RUN(g, PLAIN, "privilege", "list"));
    assert_string_equal(text_at(g, 0, "archives"), "[ \"alice: read,write\" ]");
    OK(RUN(g, ADMIN, "privilege", "revoke", "alice", "--user", "paula"));
    assert_int_equal(RUN(g, PLAIN, "folder", "list", "--user", "alice"), -EACCES);
    assert_int_equal(RUN(g, ADMIN, "privilege", "grant", "alice"), -EINVAL);
    OK(RUN(g, ADMIN, "privilege", "grant", "alice", "--group", "daemon"));
    OK(RUN(g, PLAIN, "folder", "list", "--user", "alice"));
    OK(RUN(g, ADMIN, "privilege", "list"));
    assert_string_equal(text_at(g, rows_n(g) - 1, "group"), "daemon");
}

static int password_run(struct govern *g, enum caller caller, const char *command,
                        const char *const *pairs)
{
    struct json_object *args = json_object_new_object();
    int r;

    for (; pairs[0]; pairs += 2)
        json_object_object_add(args, pairs[0], json_object_new_string(pairs[1]));
    r = run(g, caller, emlfs_command_find(command), args);
    json_object_put(args);
    return r;
}
#define PASS(g, caller, command, ...)                                                              \
    password_run(g, caller, command, (const char *const[]){__VA_ARGS__, NULL, NULL})

static void test_passwords(void **state)
{
    struct govern *g = *state;

    assert_int_equal(PASS(g, PLAIN, "user password", "NAME", "arno", "password", PASSWORD),
                     -EACCES);
    assert_int_equal(PASS(g, ADMIN, "user password", "NAME", "paula", "password", "short"),
                     -EINVAL);
    OK(PASS(g, ADMIN, "user password", "NAME", "paula", "password", PASSWORD));
    assert_int_equal(PASS(g, PLAIN, "user password", "password", "Another-Horse-8"), -EACCES);
    assert_int_equal(PASS(g, PLAIN, "user password", "password", "Another-Horse-8", "old-password",
                          "Wrong-Horse-77"),
                     -EACCES);
    OK(PASS(g, PLAIN, "user password", "password", "Another-Horse-8", "old-password", PASSWORD));
    assert_int_equal(PASS(g, STRANGER, "user password", "password", PASSWORD), -ENOENT);
    OK(RUN(g, ADMIN, "privilege", "set", "paula", "--may", "login"));
    assert_int_equal(
        PASS(g, PLAIN, "user password", "password", PASSWORD, "old-password", "Another-Horse-8"),
        -EACCES);
    OK(RUN(g, ADMIN, "user", "password", "paula", "--clear"));
    OK(RUN(g, ADMIN, "privilege", "list", "--user", "paula"));
    assert_string_equal(text_at(g, 0, "password"), "false");
}

static void test_archive_access(void **state)
{
    struct govern *g = *state;

    assert_int_equal(RUN(g, ADMIN, "folder", "list", "--user", "alice"), -EACCES);
    assert_int_equal(RUN(g, ADMIN, "privilege", "access", "perhaps"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "privilege", "access", "on", "--reason", "r"), -EINVAL);
    OK(PASS(g, ADMIN, "user password", "NAME", "arno", "password", PASSWORD));
    assert_int_equal(PASS(g, ADMIN, "privilege access", "SWITCH", "on", "password", PASSWORD),
                     -EINVAL);
    assert_int_equal(PASS(g, ADMIN, "privilege access", "SWITCH", "on", "password",
                          "Wrong-Horse-77", "reason", "r"),
                     -EACCES);
    OK(PASS(g, ADMIN, "privilege access", "SWITCH", "on", "password", PASSWORD, "reason", "r"));
    OK(RUN(g, ADMIN, "folder", "list", "--user", "alice"));
    OK(RUN(g, AUDITOR, "compliance", "show"));
    assert_string_equal(text_at(g, 0, "archive_access"), "[ \"arno\" ]");
    OK(RUN(g, ADMIN, "privilege", "access", "off"));
    assert_int_equal(RUN(g, ADMIN, "folder", "list", "--user", "alice"), -EACCES);
}

/* ---- compliance */

static void test_compliance(void **state)
{
    struct govern *g = *state;

    OK(RUN(g, AUDITOR, "compliance", "show"));
    assert_string_equal(text_at(g, 0, "mode"), "governance");
    assert_string_equal(text_at(g, 0, "auditors"), "[ \"otto\" ]");
    assert_int_equal(RUN(g, ADMIN, "compliance", "auditor", "add", "arno"), -EPERM);
    OK(RUN(g, ADMIN, "compliance", "auditor", "add", "paula"));
    OK(RUN(g, AUDITOR, "compliance", "auditor", "list"));
    assert_int_equal(rows_n(g), 2);
    OK(RUN(g, ADMIN, "compliance", "auditor", "remove", "paula"));
    assert_int_equal(RUN(g, ADMIN, "compliance", "audit", "set", "breathing"), -EINVAL);
    OK(RUN(g, ADMIN, "compliance", "audit", "set", "read,search"));
    OK(RUN(g, AUDITOR, "compliance", "audit", "show"));
    assert_int_equal(rows_n(g), 5);
    assert_string_equal(text_at(g, 0, "recorded"), "false");
    assert_string_equal(text_at(g, 1, "recorded"), "true");
    OK(RUN(g, ADMIN, "policy", "add", "All", "--period", "6y"));
    assert_int_equal(RUN(g, ADMIN, "compliance", "mode", "strict", "--reason", "r"), -EINVAL);
    OK(RUN(g, ADMIN, "compliance", "mode", "compliance", "--reason", "law"));
    assert_int_equal(RUN(g, ADMIN, "compliance", "mode", "governance", "--reason", "r"), -EPERM);
    assert_int_equal(RUN(g, ADMIN, "policy", "set", "All", "--period", "5y", "--reason", "r"),
                     -EPERM);
    OK(RUN(g, ADMIN, "policy", "set", "All", "--period", "7y"));
}

/* ---- users and stores */

static void test_user_set(void **state)
{
    struct govern *g = *state;

    OK(RUN(g, ADMIN, "user", "set", "paula", "--full-name", "Paula Smith", "--address",
           "paula@example.org", "--address", "p.smith@example.org"));
    assert_string_equal(text_at(g, 0, "full_name"), "Paula Smith");
    assert_string_equal(text_at(g, 0, "addresses"),
                        "[ \"paula@example.org\", \"p.smith@example.org\" ]");
    OK(RUN(g, ADMIN, "user", "set", "paula", "--address", "", "--admin"));
    assert_string_equal(text_at(g, 0, "addresses"), "[ ]");
    assert_string_equal(text_at(g, 0, "full_name"), "Paula Smith");
    OK(RUN(g, PLAIN, "policy", "list"));
    OK(RUN(g, ADMIN, "user", "set", "paula", "--no-admin"));
    assert_int_equal(RUN(g, PLAIN, "policy", "list"), -EACCES);
    assert_int_equal(RUN(g, ADMIN, "user", "set", "paula"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "user", "set", "paula", "--admin", "--no-admin"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "user", "set", "nobody-here", "--admin"), -ENOENT);
    OK(RUN(g, ADMIN, "user", "set", "paula", "--quota", "500k"));
    assert_string_equal(text_at(g, 0, "quota"), "512000");
    static const char *const wrong[] = {"", "M", "500 ", "5MB", "-1", "5X", "9000000T"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(RUN(g, ADMIN, "user", "set", "paula", "--quota", (char *)wrong[i]),
                         -EINVAL);
    OK(RUN(g, ADMIN, "user", "set", "paula", "--quota", "none"));
    assert_null(text_at(g, 0, "quota"));
    OK(RUN(g, ADMIN, "user", "add", "nina", "--full-name", "Nina", "--address", "n@example.org"));
    assert_string_equal(text_at(g, 0, "full_name"), "Nina");
    assert_null(text_at(g, 0, "quota"));
    assert_int_equal(RUN(g, ADMIN, "user", "add", "otis", "--quota", "5X"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "user", "show", "otis"), -ENOENT);
    OK(RUN(g, ADMIN, "user", "add", "otis", "--quota", "2G"));
    assert_string_equal(text_at(g, 0, "quota"), "2147483648");
    OK(RUN(g, ADMIN, "user", "show", "otis"));
    assert_string_equal(text_at(g, 0, "quota"), "2147483648");
}

static void test_stores(void **state)
{
    struct govern *g = *state;

    assert_int_equal(RUN(g, ADMIN, "store", "create", "2030"), -EINVAL); /* a number is one */
    OK(RUN(g, ADMIN, "store", "create", "Year 2030"));
    assert_string_equal(text_at(g, 0, "name"), "Year 2030");
    assert_string_equal(text_at(g, 0, "state"), "current");
    OK(RUN(g, AUDITOR, "store", "list"));
    assert_true(rows_n(g) >= 1);
    OK(RUN(g, ADMIN, "store", "rename", "Year 2030", "Thirty"));
    assert_int_equal(RUN(g, ADMIN, "store", "set-state", "Year 2030", "normal"), -ENOENT);
    assert_int_equal(RUN(g, ADMIN, "store", "set-state", "Thirty", "open"), -EINVAL);
    assert_int_equal(RUN(g, ADMIN, "store", "set-state", "Thirty", "disabled"), -EINVAL);
    OK(RUN(g, ADMIN, "store", "create", "Next"));
    OK(RUN(g, ADMIN, "store", "set-state", "Thirty", "locked", "--reason", "r"));
    assert_string_equal(text_at(g, 0, "state"), "locked");
    assert_int_equal(RUN(g, ADMIN, "store", "set-state", "Thirty", "normal"), -EPERM);
    assert_int_equal(PASS(g, ADMIN, "store unlock", "STORE", "Thirty"), -EINVAL);
    assert_int_equal(
        PASS(g, ADMIN, "store unlock", "STORE", "Thirty", "recovery-key", "not the key"), -EACCES);
}

int main(void)
{
#define GOVERN(test) cmocka_unit_test_setup_teardown(test, govern_setup, govern_teardown)
    const struct CMUnitTest tests[] = {
        GOVERN(test_rows_and_callers),
        GOVERN(test_refusal_is_recorded),
        GOVERN(test_policies),
        GOVERN(test_policy_order),
        GOVERN(test_holds),
        GOVERN(test_privileges),
        GOVERN(test_passwords),
        GOVERN(test_archive_access),
        GOVERN(test_compliance),
        GOVERN(test_user_set),
        GOVERN(test_stores),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
