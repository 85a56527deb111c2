/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Searches as directories, over a real archive with real saved searches and queries. What matches
 * is decided here, in the place of the index, so that results can change between two calls.
 */
#include "view_test.h"

#define MESSAGES 3000u /* more than two pages of ids */
#define NAME_BYTES (EMLFS_NAME_MAX_BYTES + 2)

/* The place of the index: messages of store 1 with numbers low...high that step divides. */
struct emlfs_index {
    uint32_t low, high, step;
    struct emlfs_user_id user;
    unsigned searches, looked_at;
    int rc; /* what a search answers at once, 0: it searches */
};

int emlfs_index_search(struct emlfs_index *index, const struct emlfs_search *search,
                       int (*each)(void *arg, struct emlfs_msg_id id), void *arg,
                       struct emlfs_err *err)
{
    int rc = index->rc;

    (void)err;
    index->searches++;
    if (search->user.v != index->user.v)
        return 0;
    for (uint32_t n = index->high; rc == 0 && n >= index->low; n--) {
        struct emlfs_msg_id id = emlfs_msg_id_make(1, n);

        if (n % index->step || (search->below.v && id.v >= search->below.v))
            continue;
        if (id.v <= search->above.v)
            break;
        if (search->cancel && atomic_load(search->cancel))
            return -ECANCELED;
        index->looked_at++;
        rc = each(arg, id);
    }
    return rc;
}

/* The rules of these tests have no queries. */
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

struct fixture {
    char path[64];
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_saved *saved;
    struct emlfs_index index;
    struct emlfs_view *view;
    struct emlfs_user alice, bob;
    struct emlfs_folder_id inbox;
    struct emlfs_subject is_alice, is_bob, is_root;
    emlfs_node top, searches, queries;
};

static void item_done(void *arg, struct emlfs_ingest_item *item)
{
    (void)arg;
    assert_true(item->verdict != EMLFS_INGEST_REJECTED);
    emlfs_ingest_item_free(item);
}

static void put_message(struct emlfs_ingest *ingest, struct emlfs_folder_id folder,
                        struct emlfs_user_id user, unsigned number)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    struct emlfs_err err = {.code = 0};
    char text[64];

    assert_non_null(item);
    (void)snprintf(text, sizeof(text), "Subject: number %u\r\n\r\nbody\r\n", number);
    if (item->raw.max_bytes == 0)
        item->raw.max_bytes = sizeof(text);
    assert_int_equal(emlfs_buf_append(&item->raw, text, strlen(text)), 0);
    item->folder = folder;
    item->user = user;
    check(emlfs_ingest_put(ingest, item, &err), &err);
}

static void load(struct fixture *f, unsigned first, unsigned n)
{
    const struct emlfs_ingest_options options = {.prepare = item_prepare, .done = item_done};
    struct emlfs_ingest_totals totals;
    struct emlfs_err err = {.code = 0};
    struct emlfs_ingest *ingest;

    check(emlfs_ingest_begin(f->archive, &options, &ingest, &err), &err);
    for (unsigned i = 0; i < n; i++)
        put_message(ingest, f->inbox, f->alice.id, first + i);
    check(emlfs_ingest_end(ingest, true, &totals, &err), &err);
}

static void make_view(struct fixture *f)
{
    struct emlfs_view_options options = {.archive = f->archive,
                                         .bindings = f->bindings,
                                         .rules = f->rules,
                                         .index = &f->index,
                                         .saved = f->saved};
    struct emlfs_err err = {.code = 0};
    struct emlfs_attr attr;

    check(emlfs_view_new(&options, &f->view, &err), &err);
    f->top = emlfs_view_folder_node(f->alice.archive);
    f->searches = emlfs_view_searches_node(f->alice.id);
    check(emlfs_view_lookup(f->view, &f->is_alice, f->top, ".query", &attr, &err), &err);
    f->queries = attr.node;
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
    f->inbox = folder_new(f->archive, f->alice.id, f->alice.archive, "Inbox");
    emlfs_bindings_refresh(f->bindings);
    f->rules = rules_new(f->archive, f->bindings);
    check(emlfs_saved_open(f->archive, &f->saved, &err), &err);
    f->is_alice.uid = uid_named("daemon");
    f->is_bob.uid = uid_named("bin");
    load(f, 0, MESSAGES);
    f->index = (struct emlfs_index){.low = 1, .high = MESSAGES, .step = 1, .user = f->alice.id};
    make_view(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct emlfs_err err = {.code = 0};

    emlfs_view_free(f->view);
    emlfs_saved_close(f->saved);
    emlfs_rules_close(f->rules);
    emlfs_bindings_free(f->bindings);
    check(emlfs_archive_close(f->archive, &err), &err);
    (void)nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* Before each test: everything matches. */
static int again(void **state)
{
    struct fixture *f = *state;

    f->index = (struct emlfs_index){.low = 1, .high = MESSAGES, .step = 1, .user = f->alice.id};
    return 0;
}

static int lookup(struct fixture *f, emlfs_node parent, const char *name, struct emlfs_attr *ret)
{
    return emlfs_view_lookup(f->view, &f->is_alice, parent, name, ret, NULL);
}

static emlfs_node query_node(struct fixture *f, const char *text)
{
    struct emlfs_attr attr;
    struct emlfs_err err = {.code = 0};

    check(emlfs_view_lookup(f->view, &f->is_alice, f->queries, text, &attr, &err), &err);
    assert_true(S_ISDIR(attr.st.st_mode) && attr.st.st_ino == attr.node && !attr.name_shared);
    assert_true(emlfs_view_node_results(attr.node) && !emlfs_view_node_dir_shared(attr.node));
    return attr.node;
}

struct listing {
    unsigned n;
    uint64_t offs[MESSAGES + 100];
    struct emlfs_attr attrs[MESSAGES + 100];
    char names[MESSAGES + 100][NAME_BYTES];
};

/* Entries from off on, without the dots, at most max. */
static int list_from(struct fixture *f, emlfs_node node, uint64_t off, unsigned max,
                     struct listing *ret)
{
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    const char *name;
    int rc;

    rc = emlfs_view_dir_open(f->view, &f->is_alice, node, &dir, NULL);
    while (rc == 0 && max > 0) {
        rc = emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL);
        if (rc < 0 || name[0] == '.')
            continue;
        max--;
        assert_true(ret->n < MESSAGES + 100);
        (void)snprintf(ret->names[ret->n], NAME_BYTES, "%s", name);
        ret->offs[ret->n] = off;
        ret->attrs[ret->n++] = attr;
    }
    if (rc == 0 || rc == -ENOENT)
        emlfs_view_dir_free(dir);
    return rc == -ENOENT ? 0 : rc;
}

static struct listing *list(struct fixture *f, emlfs_node node)
{
    struct listing *ret = calloc(1, sizeof(*ret));

    assert_non_null(ret);
    assert_int_equal(list_from(f, node, 0, UINT32_MAX, ret), 0);
    return ret;
}

static void test_places(void **state)
{
    struct fixture *f = *state;
    struct listing *l = list(f, f->top);
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;

    assert_int_equal(l->n, 2);
    assert_string_equal(l->names[0], "Searches");
    assert_true(l->attrs[0].node == f->searches);
    assert_string_equal(l->names[1], "Inbox");
    free(l);
    assert_int_equal(lookup(f, f->top, "Searches", &attr), 0);
    assert_true(attr.node == f->searches && attr.name_shared && !attr.shared);
    assert_int_equal(attr.st.st_mode, S_IFDIR | 0700);
    assert_int_equal(attr.st.st_uid, f->is_alice.uid);
    assert_int_equal(lookup(f, emlfs_view_folder_node(f->inbox), "Searches", &attr), -ENOENT);
    assert_int_equal(lookup(f, emlfs_view_folder_node(f->inbox), ".query", &attr), -ENOENT);
    l = list(f, f->queries);
    assert_int_equal(l->n, 0);
    free(l);
    assert_false(emlfs_view_node_dir_shared(f->searches));
    assert_true(emlfs_view_node_queries(f->queries) && !emlfs_view_node_queries(f->searches));
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_bob, f->searches, &dir, NULL), -ENOENT);
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_root, f->searches, &dir, NULL), -EACCES);
}

static void test_without_index(void **state)
{
    struct fixture *f = *state;
    const struct emlfs_view_options options = {
        .archive = f->archive, .bindings = f->bindings, .rules = f->rules};
    struct emlfs_view *searching = f->view;
    struct emlfs_attr attr;
    struct listing *l;

    assert_int_equal(emlfs_view_new(&options, &f->view, NULL), 0);
    l = list(f, f->top);
    assert_int_equal(l->n, 1);
    free(l);
    assert_int_equal(lookup(f, f->top, "Searches", &attr), -ENOENT);
    assert_int_equal(lookup(f, f->top, ".query", &attr), -ENOENT);
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, f->searches, &attr, NULL), -ENOENT);
    assert_int_equal(emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "x", &attr, NULL),
                     -ENOENT);
    emlfs_view_free(f->view);
    f->view = searching;
}

static void test_query_names(void **state)
{
    struct fixture *f = *state;
    const char *wrong[] = {"nosuch:word", "\"open", "date:never", "subject:", "***", "size:x"};
    char longer[300];
    struct emlfs_attr attr;

    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lookup(f, f->queries, wrong[i], &attr), -EINVAL);
    assert_true(query_node(f, "from:zdnet -\"daily update\"") !=
                query_node(f, "from=zdnet -'daily update'"));
    assert_true(query_node(f, "Invoice*") == query_node(f, "Invoice*"));
    memset(longer, 'n', sizeof(longer));
    longer[256] = '\0';
    assert_int_equal(lookup(f, f->queries, longer, &attr), -ENAMETOOLONG);
    longer[255] = '\0';
    assert_int_equal(lookup(f, f->queries, longer, &attr), 0);
}

/* One text more than the table holds: the one used least recently is forgotten, and comes back. */
static void test_query_table(void **state)
{
    struct fixture *f = *state;
    emlfs_node first = query_node(f, "first"), second = query_node(f, "second");
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    char text[32];

    for (unsigned i = 0; i < 1023; i++) {
        (void)snprintf(text, sizeof(text), "text%u", i);
        (void)query_node(f, text);
        assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, first, &attr, NULL), 0);
    }
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, second, &attr, NULL), -ESTALE);
    assert_int_equal(emlfs_view_access(f->view, &f->is_alice, second, NULL), -ESTALE);
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_alice, second, &dir, NULL), -ESTALE);
    assert_int_equal(lookup(f, second, "x [000001].eml", &attr), -ESTALE);
    assert_true(query_node(f, "second") == second);
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, second, &attr, NULL), 0);
    assert_true(attr.node == second);
}

/* The same names, nodes and attributes as in the folder, in the opposite order. */
static void test_results(void **state)
{
    struct fixture *f = *state;
    struct listing *folder = list(f, emlfs_view_folder_node(f->inbox));
    struct listing *found = list(f, query_node(f, "body"));

    assert_int_equal(folder->n, MESSAGES);
    assert_int_equal(found->n, MESSAGES);
    assert_true(f->index.searches <= 3 && f->index.looked_at <= MESSAGES);
    for (unsigned i = 0; i < MESSAGES; i++) {
        const struct emlfs_attr *attr = &found->attrs[i];
        unsigned k = MESSAGES - 1 - i;

        assert_string_equal(found->names[i], folder->names[k]);
        assert_true(attr->node == folder->attrs[k].node && attr->shared);
        assert_memory_equal(&attr->st, &folder->attrs[k].st, sizeof(struct stat));
        assert_true(attr->st.st_nlink == 2 && !attr->name_shared && attr->name_brief);
        assert_true(i == 0 || found->offs[i] > found->offs[i - 1]);
    }
    free(folder);
    free(found);
}

/* Going on from any position, in a handle that was never there before. */
static void test_positions(void **state)
{
    struct fixture *f = *state;
    emlfs_node node = query_node(f, "body");
    struct listing *all = list(f, node), *one = calloc(1, sizeof(*one));

    for (unsigned i = 0; i + 1 < all->n; i += 61) {
        one->n = 0;
        assert_int_equal(list_from(f, node, all->offs[i], 2, one), 0);
        assert_string_equal(one->names[0], all->names[i + 1]);
        assert_true(one->offs[0] == all->offs[i + 1]);
    }
    one->n = 0;
    assert_int_equal(list_from(f, node, all->offs[all->n - 1], 2, one), 0);
    assert_int_equal(one->n, 0);
    free(all);
    free(one);
}

/* A caller that had no room for an entry asks for it again; so does one that goes back. */
static void test_asked_again(void **state)
{
    struct fixture *f = *state;
    emlfs_node node = query_node(f, "body");
    struct listing *all = list(f, node);
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    const char *name;
    uint64_t off;

    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_alice, node, &dir, NULL), 0);
    for (unsigned i = 1; i < all->n; i += 7)
        for (unsigned times = 0; times < 2; times++) {
            assert_int_equal(emlfs_view_dir_next(dir, all->offs[i - 1], &name, &attr, &off, NULL),
                             0);
            assert_string_equal(name, all->names[i]);
        }
    assert_int_equal(emlfs_view_dir_next(dir, all->offs[9], &name, &attr, &off, NULL), 0);
    assert_string_equal(name, all->names[10]);
    emlfs_view_dir_free(dir);
    free(all);
}

/* Mail arrives and messages stop to match in the middle: what stays is shown once. */
static void test_changing(void **state)
{
    struct fixture *f = *state;
    emlfs_node node = query_node(f, "body");
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    const char *name;
    uint64_t off = 0, last = 0;
    unsigned n = 0, fourths = 0;

    f->index.high = MESSAGES - 500;
    f->index.step = 2;
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_alice, node, &dir, NULL), 0);
    while (emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL) == 0) {
        if (name[0] == '.')
            continue;
        assert_true(off > last);
        last = off;
        fourths += attr.st.st_ino % 4 == 0;
        if (++n == 200) {
            f->index.high = MESSAGES;
            f->index.step = 4;
        }
    }
    emlfs_view_dir_free(dir);
    assert_int_equal(fourths, (MESSAGES - 500) / 4);
    assert_true(n > 200 && n < (MESSAGES - 500) / 2);
}

/* An index that names messages without an entry: they are passed over, whole batches of them. */
static void test_unfiled(void **state)
{
    struct fixture *f = *state;
    struct listing *found;

    f->index.high = MESSAGES + 2000;
    found = list(f, query_node(f, "body"));
    assert_int_equal(found->n, MESSAGES);
    free(found);
}

static void test_lookup(void **state)
{
    struct fixture *f = *state;
    emlfs_node node = query_node(f, "body");
    struct listing *found;
    struct emlfs_attr attr;
    char name[NAME_BYTES];

    f->index.step = 3;
    found = list(f, node);
    assert_int_equal(found->n, MESSAGES / 3);
    for (unsigned i = 0; i < found->n; i += 17) {
        f->index.looked_at = 0;
        assert_int_equal(lookup(f, node, found->names[i], &attr), 0);
        assert_true(attr.node == found->attrs[i].node && attr.name_brief && !attr.name_shared);
        assert_memory_equal(&attr.st, &found->attrs[i].st, sizeof(struct stat));
        assert_int_equal(f->index.looked_at, 1);
    }
    f->index.step = MESSAGES + 1;
    assert_int_equal(lookup(f, node, found->names[0], &attr), -ENOENT);
    f->index.step = 1;
    name[0] = 'x';
    memcpy(name + 1, found->names[0], EMLFS_NAME_MAX_BYTES + 1);
    assert_int_equal(lookup(f, node, name, &attr), -ENOENT);
    assert_int_equal(lookup(f, node, "Inbox", &attr), -ENOENT);
    assert_int_equal(lookup(f, node, "x [zzzzzz].eml", &attr), -ENOENT);
    f->index.user = f->bob.id;
    assert_int_equal(lookup(f, node, found->names[0], &attr), -ENOENT);
    free(found);
}

static void test_cancel_and_errors(void **state)
{
    struct fixture *f = *state;
    const struct {
        int index, view;
    } errors[] = {{-EINVAL, -EINVAL}, {-EUCLEAN, -EIO}, {-ENOMEM, -ENOMEM}};
    emlfs_node node = query_node(f, "body");
    struct listing *l = calloc(1, sizeof(*l));
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    atomic_bool cancel = true;
    const char *name;
    uint64_t off;

    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_alice, node, &dir, NULL), 0);
    emlfs_view_dir_cancel(dir, &cancel);
    assert_int_equal(emlfs_view_dir_next(dir, 2, &name, &attr, &off, NULL), -EINTR);
    emlfs_view_dir_cancel(dir, NULL);
    assert_int_equal(emlfs_view_dir_next(dir, 2, &name, &attr, &off, NULL), 0);
    for (unsigned i = 0; i < 3; i++) {
        f->index.rc = errors[i].index;
        assert_int_equal(emlfs_view_dir_next(dir, 2, &name, &attr, &off, NULL), errors[i].view);
    }
    f->index.rc = 0;
    assert_int_equal(emlfs_view_dir_next(dir, 2, &name, &attr, &off, NULL), 0);
    emlfs_view_dir_free(dir);
    free(l);
}

static int rename_in(struct fixture *f, const struct emlfs_subject *who, emlfs_node parent,
                     const char *name, const char *to_name)
{
    const struct emlfs_view_move move = {
        .parent = parent, .to_parent = parent, .name = name, .to_name = to_name};

    return emlfs_view_rename(f->view, who, &move, NULL);
}

static void test_saved(void **state)
{
    struct fixture *f = *state;
    struct emlfs_attr made, attr;
    struct listing *l;

    assert_int_equal(
        emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "subject:invoice", &made, NULL), 0);
    assert_true(emlfs_view_node_results(made.node) && !made.name_shared && !made.shared);
    assert_int_equal(
        emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "subject:invoice", &attr, NULL),
        -EEXIST);
    assert_int_equal(emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "nosuch:x", &attr, NULL),
                     -EINVAL);
    assert_int_equal(
        emlfs_view_mkdir(f->view, &f->is_alice, f->searches, ".Trash-1000", &attr, NULL), -EACCES);
    assert_int_equal(lookup(f, f->searches, "subject:invoice", &attr), 0);
    assert_true(attr.node == made.node);
    assert_int_equal(rename_in(f, &f->is_alice, f->searches, "subject:invoice", "Bills"), 0);
    assert_int_equal(lookup(f, f->searches, "subject:invoice", &attr), -ENOENT);
    l = list(f, f->searches);
    assert_int_equal(l->n, 1);
    assert_string_equal(l->names[0], "Bills");
    assert_true(l->attrs[0].node == made.node);
    free(l);
    l = list(f, made.node);
    assert_int_equal(l->n, MESSAGES);
    free(l);
    assert_int_equal(emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "two", &attr, NULL), 0);
    assert_int_equal(rename_in(f, &f->is_alice, f->searches, "two", "Bills"), -EEXIST);
    assert_int_equal(emlfs_view_rmdir(f->view, &f->is_alice, f->searches, "Bills", NULL), 0);
    assert_int_equal(emlfs_view_rmdir(f->view, &f->is_alice, f->searches, "Bills", NULL), -ENOENT);
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, made.node, &attr, NULL), -ENOENT);
    assert_int_equal(lookup(f, made.node, "x [000001].eml", &attr), -ENOENT);
    assert_int_equal(emlfs_view_rmdir(f->view, &f->is_alice, f->searches, "two", NULL), 0);
}

/* Everything of alice's, asked for by bob and by uid 0. */
static void test_others(void **state)
{
    struct fixture *f = *state;
    const struct emlfs_subject *who[] = {&f->is_bob, &f->is_root};
    const int wanted[] = {-ENOENT, -EACCES};
    struct emlfs_attr made, attr;
    struct emlfs_view_dir *dir;

    assert_int_equal(emlfs_view_mkdir(f->view, &f->is_alice, f->searches, "body", &made, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        const emlfs_node nodes[] = {f->searches, f->queries, made.node, query_node(f, "body")};

        for (unsigned k = 0; k < 4; k++) {
            assert_int_equal(emlfs_view_getattr(f->view, who[i], nodes[k], &attr, NULL), wanted[i]);
            assert_int_equal(emlfs_view_access(f->view, who[i], nodes[k], NULL), wanted[i]);
            assert_int_equal(emlfs_view_dir_open(f->view, who[i], nodes[k], &dir, NULL), wanted[i]);
            assert_int_equal(emlfs_view_lookup(f->view, who[i], nodes[k], "body", &attr, NULL),
                             wanted[i]);
        }
        assert_int_equal(emlfs_view_lookup(f->view, who[i], f->top, "Searches", &attr, NULL),
                         wanted[i]);
        assert_int_equal(emlfs_view_lookup(f->view, who[i], f->top, ".query", &attr, NULL),
                         wanted[i]);
        assert_int_equal(emlfs_view_mkdir(f->view, who[i], f->searches, "x", &attr, NULL),
                         wanted[i]);
        assert_int_equal(emlfs_view_rmdir(f->view, who[i], f->searches, "body", NULL), wanted[i]);
        assert_int_equal(rename_in(f, who[i], f->searches, "body", "b"), wanted[i]);
    }
    /* a saved search belongs to its user's archive alone, whatever a node says */
    attr.node = (made.node & ~(0xffffull << 32)) | (uint64_t)f->bob.id.v << 32;
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_bob, attr.node, &attr, NULL), -ENOENT);
    assert_int_equal(emlfs_view_rmdir(f->view, &f->is_alice, f->searches, "body", NULL), 0);
}

static void test_read_only_places(void **state)
{
    struct fixture *f = *state;
    struct emlfs_attr attr;
    const emlfs_node places[] = {f->queries, query_node(f, "body"), 2, 4, 9};

    for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(emlfs_view_mkdir(f->view, &f->is_alice, places[i], "x", &attr, NULL),
                         -EROFS);
        assert_int_equal(emlfs_view_rmdir(f->view, &f->is_alice, places[i], "x", NULL), -EROFS);
        assert_int_equal(rename_in(f, &f->is_alice, places[i], "x", "y"), -EROFS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_places, again),
        cmocka_unit_test_setup(test_without_index, again),
        cmocka_unit_test_setup(test_query_names, again),
        cmocka_unit_test_setup(test_query_table, again),
        cmocka_unit_test_setup(test_results, again),
        cmocka_unit_test_setup(test_positions, again),
        cmocka_unit_test_setup(test_asked_again, again),
        cmocka_unit_test_setup(test_changing, again),
        cmocka_unit_test_setup(test_unfiled, again),
        cmocka_unit_test_setup(test_lookup, again),
        cmocka_unit_test_setup(test_cancel_and_errors, again),
        cmocka_unit_test_setup(test_saved, again),
        cmocka_unit_test_setup(test_others, again),
        cmocka_unit_test_setup(test_read_only_places, again),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
