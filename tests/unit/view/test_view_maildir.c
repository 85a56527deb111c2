/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The layout for IMAP servers, beside the tree over the same archive. */
#include "../../../store/view/view_maildir.h"
#include "view_test.h"

#include "emlfs/change.h"

#define MESSAGES 300u
#define NAMES_MAX (MESSAGES + 16u)

/* The place of the index: every message of the user whose number step divides matches. */
struct emlfs_index {
    uint32_t step, high;
    uint64_t indexed;
};

int emlfs_index_search(struct emlfs_index *index, const struct emlfs_search *search,
                       int (*each)(void *arg, struct emlfs_msg_id id), void *arg,
                       struct emlfs_err *err)
{
    int rc = 0;

    (void)err;
    for (uint32_t n = index->high; rc == 0 && n > 0; n--) {
        struct emlfs_msg_id id = emlfs_msg_id_make(1, n);

        if (n % index->step == 0 && (!search->below.v || id.v < search->below.v) &&
            id.v > search->above.v)
            rc = each(arg, id);
    }
    return rc;
}

int emlfs_index_matches(struct emlfs_index *index, const struct emlfs_query *query,
                        struct emlfs_user_id user, struct emlfs_msg_id id, struct emlfs_err *err)
{
    (void)index, (void)query, (void)user, (void)id;
    return emlfs_err_set(err, EAGAIN, "test", "not asked here");
}

bool emlfs_index_knows(struct emlfs_index *index, struct emlfs_msg_id id)
{
    (void)index, (void)id;
    return false;
}

int emlfs_index_status(struct emlfs_index *index, uint16_t after,
                       struct emlfs_index_store_status *ret, struct emlfs_err *err)
{
    (void)err;
    if (after > 0)
        return -ENOENT;
    *ret = (struct emlfs_index_store_status){.store_no = 1, .indexed = index->indexed};
    return 0;
}

struct fixture {
    char path[64];
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_saved *saved;
    struct emlfs_index index;
    struct emlfs_view *tree, *view;
    struct emlfs_user alice, bob;
    struct emlfs_folder_id inbox, below, cur, marked, unfiled;
    struct emlfs_subject is_alice, is_bob, is_root;
    emlfs_node top;
};

static void item_done(void *arg, struct emlfs_ingest_item *item)
{
    (void)arg;
    assert_true(item->verdict != EMLFS_INGEST_REJECTED);
    emlfs_ingest_item_free(item);
}

static void load(struct fixture *f, struct emlfs_folder_id folder, unsigned first, unsigned n)
{
    const struct emlfs_ingest_options options = {.prepare = item_prepare, .done = item_done};
    struct emlfs_ingest_totals totals;
    struct emlfs_err err = {.code = 0};
    struct emlfs_ingest *ingest;
    char text[64];

    check(emlfs_ingest_begin(f->archive, &options, &ingest, &err), &err);
    for (unsigned i = first; i < first + n; i++) {
        struct emlfs_ingest_item *item = emlfs_ingest_item_new();

        assert_non_null(item);
        (void)snprintf(text, sizeof(text), "Subject: number %u\r\n\r\nbody\r\n", i);
        if (item->raw.max_bytes == 0)
            item->raw.max_bytes = sizeof(text);
        assert_int_equal(emlfs_buf_append(&item->raw, text, strlen(text)), 0);
        item->folder = folder;
        item->user = f->alice.id;
        check(emlfs_ingest_put(ingest, item, &err), &err);
    }
    check(emlfs_ingest_end(ingest, true, &totals, &err), &err);
}

static void search_new(struct fixture *f, const char *name)
{
    struct emlfs_saved_search search = {.user = f->alice.id, .form = EMLFS_QUERY_PATH};
    struct emlfs_err err = {.code = 0};

    (void)snprintf(search.name, sizeof(search.name), "%s", name);
    (void)snprintf(search.query, sizeof(search.query), "number");
    check(emlfs_saved_add(f->saved, NULL, &search, &err), &err);
}

static void views_new(struct fixture *f)
{
    struct emlfs_view_options options = {.archive = f->archive,
                                         .bindings = f->bindings,
                                         .rules = f->rules,
                                         .index = &f->index,
                                         .saved = f->saved};
    struct emlfs_err err = {.code = 0};

    check(emlfs_view_new(&options, &f->tree, &err), &err);
    options.layout = EMLFS_LAYOUT_MAILDIR;
    check(emlfs_view_new(&options, &f->view, &err), &err);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct emlfs_err err = {.code = 0};

    assert_non_null(f);
    f->archive = archive_new(f->path, sizeof(f->path));
    assert_int_equal(emlfs_bindings_new(f->archive, &f->bindings), 0);
    f->alice = user_new(f->archive, "alice", "daemon", EMLFS_USER_ADMIN);
    f->bob = user_new(f->archive, "bob", "bin", 0);
    emlfs_bindings_refresh(f->bindings);
    f->rules = rules_new(f->archive, f->bindings);
    check(emlfs_saved_open(f->archive, &f->saved, &err), &err);
    f->index = (struct emlfs_index){.step = 7, .high = MESSAGES, .indexed = MESSAGES};
    f->inbox = folder_new(f->archive, f->alice.id, f->alice.archive, "iNbOx");
    f->below = folder_new(f->archive, f->alice.id, f->inbox, "Inbox");
    f->cur = folder_new(f->archive, f->alice.id, f->alice.archive, "cur");
    f->marked = folder_new(f->archive, f->alice.id, f->cur, "_tmp");
    f->unfiled = folder_new(f->archive, f->alice.id, f->alice.archive, "Unfiled");
    load(f, f->inbox, 1, MESSAGES);
    load(f, f->below, 5, 1);
    search_new(f, "Seven");
    search_new(f, "new");
    views_new(f);
    f->is_alice.uid = uid_named("daemon");
    f->is_bob.uid = uid_named("bin");
    f->top = emlfs_view_folder_node(f->alice.archive);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct emlfs_err err = {.code = 0};

    emlfs_view_free(f->view);
    emlfs_view_free(f->tree);
    emlfs_rules_close(f->rules);
    emlfs_saved_close(f->saved);
    emlfs_bindings_free(f->bindings);
    check(emlfs_archive_close(f->archive, &err), &err);
    (void)nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

struct listing {
    unsigned n;
    char names[NAMES_MAX][256];
    struct emlfs_attr attrs[NAMES_MAX];
};

static int lookup(struct fixture *f, emlfs_node parent, const char *name, struct emlfs_attr *ret)
{
    return emlfs_view_lookup(f->view, &f->is_alice, parent, name, ret, NULL);
}

static emlfs_node node_at(struct fixture *f, emlfs_node parent, const char *name)
{
    struct emlfs_attr attr;

    if (lookup(f, parent, name, &attr) < 0)
        fail_msg("%s is not there", name);
    return attr.node;
}

/* All entries but the dots, each found by its name, too. */
static struct listing *list(struct fixture *f, struct emlfs_view *view, emlfs_node node)
{
    struct listing *l = calloc(1, sizeof(*l));
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr, found;
    const char *name;
    uint64_t off = 0;

    assert_non_null(l);
    assert_int_equal(emlfs_view_dir_open(view, &f->is_alice, node, &dir, NULL), 0);
    while (emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL) == 0) {
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        assert_true(l->n < NAMES_MAX);
        (void)snprintf(l->names[l->n], sizeof(l->names[0]), "%s", name);
        l->attrs[l->n++] = attr;
        assert_int_equal(emlfs_view_lookup(view, &f->is_alice, node, name, &found, NULL), 0);
        assert_true(found.node == attr.node);
        assert_int_equal(found.st.st_mode, attr.st.st_mode);
    }
    emlfs_view_dir_free(dir);
    return l;
}

static void assert_names(struct fixture *f, emlfs_node node, const char *const *names, unsigned n)
{
    struct listing *l = list(f, f->view, node);

    assert_int_equal(l->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_string_equal(l->names[i], names[i]);
    free(l);
}
#define NAMES(f, node, ...)                                                                        \
    assert_names(f, node, (const char *const[]){__VA_ARGS__},                                      \
                 sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void test_names(void **state)
{
    struct fixture *f = *state;
    static const char *const nothing[] = {"iNbOx", "Inbox",  "cur",     "_INBOX", "new",
                                          "tmp",   ".query", "Unfiled", "__cur"};
    struct emlfs_attr attr;

    NAMES(f, f->top, "Searches", "INBOX", "_cur", "_Unfiled");
    NAMES(f, emlfs_view_folder_node(f->inbox), "cur", "new", "tmp", "Inbox");
    NAMES(f, emlfs_view_folder_node(f->cur), "cur", "new", "tmp", "__tmp");
    NAMES(f, emlfs_view_searches_node(f->alice.id), "Seven", "_new");
    NAMES(f, node_at(f, emlfs_view_searches_node(f->alice.id), "_new"), "cur", "new", "tmp");
    for (unsigned i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++)
        assert_int_equal(lookup(f, f->top, nothing[i], &attr), -ENOENT);
    assert_int_equal(lookup(f, emlfs_view_folder_node(f->cur), "_tmp", &attr), -ENOENT);
    assert_int_equal(lookup(f, EMLFS_NODE_ROOT, "Holds", &attr), -ENOENT);
    NAMES(f, EMLFS_NODE_ROOT, "alice");
    /* Mail in the top folder beside a folder called INBOX */
    load(f, f->alice.archive, 9000, 2);
    NAMES(f, f->top, "Unfiled", "Searches", "INBOX", "_cur", "_Unfiled");
    NAMES(f, node_at(f, f->top, "Unfiled"), "cur", "new", "tmp");
    struct listing *l = list(f, f->view, view_part_node(f->alice.archive, VIEW_CUR));
    assert_int_equal(l->n, 2);
    free(l);
}

/* Without a folder of that name INBOX is what lies in the top folder. */
static void test_inbox(void **state)
{
    struct fixture *f = *state;
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    emlfs_node top = emlfs_view_folder_node(f->bob.archive);
    uint64_t off = 0;
    const char *name;

    assert_int_equal(emlfs_view_lookup(f->view, &f->is_bob, top, "INBOX", &attr, NULL), 0);
    assert_true(attr.node == view_top_box_node(f->bob.archive));
    assert_int_equal(attr.st.st_mode, S_IFDIR | 0500);
    assert_int_equal(emlfs_view_lookup(f->view, &f->is_bob, attr.node, "cur", &attr, NULL), 0);
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_bob, attr.node, &dir, NULL), 0);
    while (emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL) == 0)
        assert_true(name[0] == '.');
    emlfs_view_dir_free(dir);
}

static void test_messages(void **state)
{
    struct fixture *f = *state;
    struct listing *l = list(f, f->view, view_part_node(f->inbox, VIEW_CUR));
    struct listing *tree = list(f, f->tree, emlfs_view_folder_node(f->inbox));
    struct listing *again;
    struct emlfs_attr attr;
    char name[256];

    assert_int_equal(l->n, MESSAGES);
    assert_int_equal(tree->n, MESSAGES + 1);
    for (unsigned i = 0; i < l->n; i++) {
        const struct emlfs_attr *same = &tree->attrs[i + 1];

        assert_true(l->attrs[i].node == same->node && l->attrs[i].st.st_ino == same->st.st_ino);
        assert_int_equal(l->attrs[i].st.st_mode & 0222, 0);
        (void)snprintf(name, sizeof(name), "%lld.M%014llx.emlfs,S=%lld:2,S",
                       (long long)same->st.st_ctim.tv_sec, 1ull << 40 | (i + 1),
                       (long long)same->st.st_size);
        assert_string_equal(l->names[i], name);
    }
    again = list(f, f->view, view_part_node(f->inbox, VIEW_NEW));
    assert_int_equal(again->n, 0);
    free(again);
    emlfs_node cur = view_part_node(f->inbox, VIEW_CUR);
    for (unsigned i = MESSAGES; i-- > 0;)
        assert_true(node_at(f, cur, l->names[i]) == l->attrs[i].node);
    assert_int_equal(lookup(f, view_part_node(f->inbox, VIEW_NEW), l->names[0], &attr), -ENOENT);
    assert_int_equal(lookup(f, view_part_node(f->cur, VIEW_CUR), l->names[0], &attr), -ENOENT);
    assert_int_equal(lookup(f, cur, tree->names[1], &attr), -ENOENT);
    (void)snprintf(name, sizeof(name), "0%.200s", l->names[0]);
    assert_int_equal(lookup(f, cur, name, &attr), -ENOENT);
    assert_int_equal(lookup(f, cur, "1.Mffffffffffffff.emlfs,S=1:2,S", &attr), -ENOENT);
    assert_int_equal(lookup(f, cur, "1.M", &attr), -ENOENT);
    free(l);
    free(tree);
}

static struct timespec mtime_of(struct fixture *f, emlfs_node node)
{
    struct emlfs_attr attr;

    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, node, &attr, NULL), 0);
    assert_false(attr.shared || attr.brief);
    return attr.st.st_mtim;
}

static bool differ(struct timespec a, struct timespec b)
{
    return a.tv_sec != b.tv_sec || a.tv_nsec != b.tv_nsec;
}

static void test_times(void **state)
{
    struct fixture *f = *state;
    emlfs_node cur = view_part_node(f->inbox, VIEW_CUR);
    emlfs_node found = view_saved_part_node(f->alice.id, 1, VIEW_CUR);
    struct timespec before = mtime_of(f, cur), searched = mtime_of(f, found);
    struct emlfs_attr attr;

    assert_false(differ(before, mtime_of(f, cur)) || differ(searched, mtime_of(f, found)));
    load(f, f->inbox, 5000, 1);
    assert_true(differ(before, mtime_of(f, cur)));
    before = mtime_of(f, cur);
    load(f, f->below, 5001, 1);
    assert_false(differ(before, mtime_of(f, cur)));
    searched = mtime_of(f, found);
    f->index.indexed++;
    assert_true(differ(searched, mtime_of(f, found)));
    assert_int_equal(
        emlfs_view_getattr(f->view, &f->is_alice, view_part_node(f->inbox, VIEW_TMP), &attr, NULL),
        0);
    assert_true(attr.st.st_atim.tv_sec > attr.st.st_ctim.tv_sec + 36 * 3600);
}

static void test_searches(void **state)
{
    struct fixture *f = *state;
    emlfs_node search = node_at(f, emlfs_view_searches_node(f->alice.id), "Seven");
    emlfs_node cur = node_at(f, search, "cur");
    struct listing *l = list(f, f->view, cur);
    struct emlfs_attr attr;

    assert_int_equal(l->n, MESSAGES / 7);
    assert_true(emlfs_view_node_results(cur));
    assert_true(node_at(f, view_part_node(f->inbox, VIEW_CUR), l->names[0]) == l->attrs[0].node);
    f->index.step = 11;
    assert_int_equal(lookup(f, cur, l->names[0], &attr), -ENOENT);
    free(l);
}

static void assert_refused(struct fixture *f, emlfs_node parent, const char *name)
{
    const struct stat asked = {.st_mode = 0600};
    const struct emlfs_view_set set = {&asked, EMLFS_SET_MODE};
    const struct emlfs_view_move move = {parent, parent, name, "other"};
    const struct emlfs_span value = emlfs_span_str("x");
    const struct {
        struct emlfs_subject *subject;
        int rc;
    } who[] = {{&f->is_alice, -EROFS}, {&f->is_bob, -ENOENT}, {&f->is_root, -EACCES}};
    struct emlfs_view_place place;
    struct emlfs_attr attr;

    for (unsigned i = 0; i < 3; i++) {
        const struct emlfs_subject *subject = who[i].subject;

        assert_int_equal(emlfs_view_mkdir(f->view, subject, parent, "a", &attr, NULL), who[i].rc);
        assert_int_equal(emlfs_view_may_create(f->view, subject, parent, "a", &place, NULL),
                         who[i].rc);
        assert_int_equal(emlfs_view_rmdir(f->view, subject, parent, name, NULL), who[i].rc);
        assert_int_equal(emlfs_view_unlink(f->view, subject, parent, name, NULL), who[i].rc);
        assert_int_equal(emlfs_view_rename(f->view, subject, &move, NULL), who[i].rc);
        assert_int_equal(emlfs_view_setattr(f->view, subject, parent, &set, &attr, NULL),
                         who[i].rc);
        assert_int_equal(emlfs_view_refuse(f->view, subject, parent, EMLFS_CALL_CREATE, NULL),
                         who[i].rc);
        assert_int_equal(
            emlfs_view_xattr_set(f->view, subject, parent, "user.emlfs.query", value, NULL),
            who[i].rc);
    }
}

static void test_nothing_changes(void **state)
{
    struct fixture *f = *state;
    struct listing *l = list(f, f->view, view_part_node(f->inbox, VIEW_CUR));

    assert_refused(f, view_part_node(f->inbox, VIEW_CUR), l->names[0]);
    assert_refused(f, view_part_node(f->inbox, VIEW_TMP), "x");
    assert_refused(f, emlfs_view_folder_node(f->cur), "__tmp");
    assert_refused(f, view_top_box_node(f->alice.archive), "cur");
    assert_refused(f, emlfs_view_searches_node(f->alice.id), "Seven");
    assert_refused(f, view_saved_node(f->alice.id, 1), "cur");
    assert_int_equal(
        emlfs_view_refuse(f->view, &f->is_alice, l->attrs[0].node, EMLFS_CALL_WRITE, NULL), -EROFS);
    free(l);
}

static void test_others(void **state)
{
    struct fixture *f = *state;
    const emlfs_node nodes[] = {
        view_part_node(f->inbox, VIEW_CUR),    view_part_node(f->inbox, VIEW_NEW),
        view_top_box_node(f->alice.archive),   emlfs_view_folder_node(f->inbox),
        emlfs_view_searches_node(f->alice.id), view_saved_part_node(f->alice.id, 1, VIEW_CUR)};
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;

    for (unsigned i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        assert_int_equal(emlfs_view_getattr(f->view, &f->is_bob, nodes[i], &attr, NULL), -ENOENT);
        assert_int_equal(emlfs_view_lookup(f->view, &f->is_bob, nodes[i], "cur", &attr, NULL),
                         -ENOENT);
        assert_int_equal(emlfs_view_dir_open(f->view, &f->is_bob, nodes[i], &dir, NULL), -ENOENT);
        assert_int_equal(emlfs_view_access(f->view, &f->is_bob, nodes[i], NULL), -ENOENT);
        assert_int_equal(emlfs_view_access(f->view, &f->is_root, nodes[i], NULL), -EACCES);
        assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, nodes[i], &attr, NULL), 0);
        assert_int_equal(attr.st.st_mode, S_IFDIR | 0500);
        assert_int_equal(attr.st.st_uid, f->is_alice.uid);
    }
}

static void test_bad_nodes(void **state)
{
    struct fixture *f = *state;
    const emlfs_node part = view_part_node(f->inbox, VIEW_CUR);
    const emlfs_node nodes[] = {view_part_node(f->inbox, 0),
                                view_part_node(f->inbox, 4),
                                part | 1ull << 32,
                                view_part_node((struct emlfs_folder_id){999}, VIEW_CUR),
                                view_part_node((struct emlfs_folder_id){0}, VIEW_CUR),
                                view_top_box_node((struct emlfs_folder_id){0}),
                                view_top_box_node(f->inbox) | 1ull << 40,
                                view_saved_part_node(f->alice.id, 99, VIEW_CUR)};
    struct emlfs_attr attr;

    for (unsigned i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, nodes[i], &attr, NULL), -ENOENT);
        assert_int_equal(lookup(f, nodes[i], "cur", &attr), -ENOENT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inbox, setup, teardown),
        cmocka_unit_test_setup_teardown(test_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_times, setup, teardown),
        cmocka_unit_test_setup_teardown(test_searches, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_others, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_nodes, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
