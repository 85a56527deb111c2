/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The tree as callers see it, over a real archive: rights, names, node ids, listing order. */
#include "../../../store/view/view_internal.h"
#include "view_test.h"

#include "emlfs/change.h"
#include "emlfs/rules_change.h"

#define INBOX_MESSAGES 300u /* more than two batches of a directory handle */

struct fixture {
    char path[64];
    struct emlfs_archive *archive;
    struct emlfs_bindings *bindings;
    struct emlfs_rules *rules;
    struct emlfs_view *view;
    struct emlfs_user alice, bob;
    struct emlfs_view_options options;
    struct emlfs_folder_id inbox, below, bob_inbox;
    struct emlfs_subject is_alice, is_bob, is_root, is_other;
};

static void item_done(void *arg, struct emlfs_ingest_item *item)
{
    unsigned *failed = arg;

    if (item->verdict == EMLFS_INGEST_REJECTED)
        ++*failed;
    emlfs_ingest_item_free(item);
}

static void put_message(struct emlfs_ingest *ingest, struct emlfs_folder_id folder,
                        struct emlfs_user_id user, unsigned number)
{
    struct emlfs_ingest_item *item = emlfs_ingest_item_new();
    struct emlfs_err err = {.code = 0};
    char text[200];

    assert_non_null(item);
    (void)snprintf(text, sizeof(text), "Subject: number %u\r\n\r\nbody of %u\r\n", number, number);
    if (item->raw.max_bytes == 0)
        item->raw.max_bytes = sizeof(text);
    assert_int_equal(emlfs_buf_append(&item->raw, text, strlen(text)), 0);
    item->folder = folder;
    item->user = user;
    check(emlfs_ingest_put(ingest, item, &err), &err);
}

/* Messages first...first + n - 1 into folder. */
static void load(struct fixture *f, struct emlfs_folder_id folder, struct emlfs_user_id user,
                 unsigned first, unsigned n)
{
    unsigned failed = 0;
    const struct emlfs_ingest_options options = {
        .prepare = item_prepare, .done = item_done, .arg = &failed};
    struct emlfs_ingest_totals totals;
    struct emlfs_err err = {.code = 0};
    struct emlfs_ingest *ingest;

    check(emlfs_ingest_begin(f->archive, &options, &ingest, &err), &err);
    for (unsigned i = 0; i < n; i++)
        put_message(ingest, folder, user, first + i);
    check(emlfs_ingest_end(ingest, true, &totals, &err), &err);
    assert_int_equal(failed, 0);
}

static int status_text(void *arg, struct emlfs_buf *ret_json)
{
    (void)arg;
    return emlfs_buf_append(ret_json, "{\"here\":1}\n", 11);
}

static void make_users(struct fixture *f)
{
    f->alice = user_new(f->archive, "alice", "daemon", EMLFS_USER_ADMIN);
    f->bob = user_new(f->archive, "bob", "bin", 0);
    f->inbox = folder_new(f->archive, f->alice.id, f->alice.archive, "Inbox");
    f->below = folder_new(f->archive, f->alice.id, f->inbox, "Below");
    f->bob_inbox = folder_new(f->archive, f->bob.id, f->bob.archive, "Inbox");
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct emlfs_view_options view = {.status = status_text};
    struct emlfs_err err = {.code = 0};

    assert_non_null(f);
    f->archive = archive_new(f->path, sizeof(f->path));
    assert_int_equal(emlfs_bindings_new(f->archive, &f->bindings), 0);
    make_users(f);
    emlfs_bindings_refresh(f->bindings);
    view.archive = f->archive;
    view.bindings = f->bindings;
    view.rules = f->rules = rules_new(f->archive, f->bindings);
    f->options = view;
    check(emlfs_view_new(&view, &f->view, &err), &err);
    f->is_alice.uid = uid_named("daemon");
    f->is_bob.uid = uid_named("bin");
    f->is_other.uid = uid_named("nobody");
    load(f, f->inbox, f->alice.id, 0, INBOX_MESSAGES);
    load(f, f->below, f->alice.id, 7, 1);
    load(f, f->bob_inbox, f->bob.id, 7, 2);
    load(f, f->bob_inbox, f->bob.id, 9000, 1);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    struct emlfs_err err = {.code = 0};

    emlfs_view_free(f->view);
    emlfs_rules_close(f->rules);
    emlfs_bindings_free(f->bindings);
    check(emlfs_archive_close(f->archive, &err), &err);
    (void)nftw(f->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

static int lookup(struct fixture *f, const struct emlfs_subject *subject, emlfs_node parent,
                  const char *name, struct emlfs_attr *ret)
{
    struct emlfs_err err = {.code = 0};

    return emlfs_view_lookup(f->view, subject, parent, name, ret, &err);
}

/* All entries but the dots; reopens at each position when resume is set. */
struct listing {
    unsigned n;
    char names[INBOX_MESSAGES + 8][EMLFS_NAME_MAX_BYTES + 1];
    struct emlfs_attr attrs[INBOX_MESSAGES + 8];
};

static int list(struct fixture *f, const struct emlfs_subject *subject, emlfs_node node,
                bool resume, struct listing *ret)
{
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    const char *name;
    uint64_t off = 0;
    int rc;

    ret->n = 0;
    rc = emlfs_view_dir_open(f->view, subject, node, &dir, NULL);
    if (rc < 0)
        return rc;
    while ((rc = emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL)) == 0) {
        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
            assert_true(ret->n < INBOX_MESSAGES + 8);
            (void)snprintf(ret->names[ret->n], sizeof(ret->names[0]), "%s", name);
            ret->attrs[ret->n++] = attr;
        }
        if (resume) {
            emlfs_view_dir_free(dir);
            assert_int_equal(emlfs_view_dir_open(f->view, subject, node, &dir, NULL), 0);
        }
    }
    emlfs_view_dir_free(dir);
    assert_int_equal(rc, -ENOENT);
    return 0;
}

static void test_nodes(void **state)
{
    const struct emlfs_msg_id ids[] = {emlfs_msg_id_make(1, 0), emlfs_msg_id_make(1, UINT32_MAX),
                                       emlfs_msg_id_make(EMLFS_STORE_NO_MAX, 77)};
    struct emlfs_user_id user;
    struct emlfs_msg_id id;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (unsigned u = 0; u < 65536; u += 13107) {
            emlfs_node node = emlfs_view_message_node((struct emlfs_user_id){(uint16_t)u}, ids[i]);

            assert_true(emlfs_view_node_message(node, &user, &id));
            assert_int_equal(user.v, u);
            assert_true(id.v == ids[i].v);
            assert_false(emlfs_view_node_dir_shared(node));
        }
    assert_true(
        emlfs_view_node_dir_shared(emlfs_view_folder_node((struct emlfs_folder_id){UINT32_MAX})));
    assert_false(emlfs_view_node_dir_shared(EMLFS_NODE_ROOT));
    assert_false(emlfs_view_node_message(EMLFS_NODE_ROOT, &user, &id));
}

static void test_root(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    struct emlfs_attr attr;

    assert_int_equal(list(f, &f->is_alice, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 2); /* alice administers */
    assert_string_equal(l->names[0], "Holds");
    assert_string_equal(l->names[1], "alice");
    assert_false(l->attrs[0].name_shared || l->attrs[1].name_shared);
    assert_int_equal(list(f, &f->is_bob, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 1);
    assert_string_equal(l->names[0], "bob");
    assert_int_equal(list(f, &f->is_other, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 0);
    assert_int_equal(lookup(f, &f->is_other, EMLFS_NODE_ROOT, "Holds", &attr), -ENOENT);
    assert_int_equal(list(f, &f->is_root, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 1);
    assert_string_equal(l->names[0], "Holds");
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "alice", &attr), 0);
    assert_int_equal(attr.st.st_mode, S_IFDIR | 0700);
    assert_int_equal(attr.st.st_uid, f->is_alice.uid);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "Alice", &attr), -ENOENT);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "bob", &attr), 0);
    assert_int_equal(lookup(f, &f->is_other, EMLFS_NODE_ROOT, "alice", &attr), 0);
    assert_int_equal(emlfs_view_access(f->view, &f->is_other, attr.node, NULL), -EACCES);
    free(l);
}

/* With private_names a stranger's guess finds nothing. */
static void test_private_names(void **state)
{
    struct fixture *f = *state;
    struct emlfs_view_options options = f->options;
    struct emlfs_view *open_view = f->view;
    struct emlfs_attr attr;

    options.private_names = true;
    assert_int_equal(emlfs_view_new(&options, &f->view, NULL), 0);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "alice", &attr), 0);
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_other, attr.node, &attr, NULL), -ENOENT);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "bob", &attr), -ENOENT);
    assert_int_equal(lookup(f, &f->is_other, EMLFS_NODE_ROOT, "alice", &attr), -ENOENT);
    assert_int_equal(lookup(f, &f->is_root, EMLFS_NODE_ROOT, "alice", &attr), 0);
    emlfs_view_free(f->view);
    f->view = open_view;
}

/* A view of a part of f, instead of f->view until scope_end. */
static struct emlfs_view *scope_begin(struct fixture *f, const struct emlfs_view_scope *scope)
{
    struct emlfs_view_options options = f->options;
    struct emlfs_view *whole = f->view;
    struct emlfs_err err = {.code = 0};

    options.scope = *scope;
    check(emlfs_view_new(&options, &f->view, &err), &err);
    return whole;
}

static void scope_end(struct fixture *f, struct emlfs_view *whole)
{
    emlfs_view_free(f->view);
    f->view = whole;
}

static int stat_node(struct fixture *f, const struct emlfs_subject *subject, emlfs_node node)
{
    struct emlfs_attr attr;

    return emlfs_view_getattr(f->view, subject, node, &attr, NULL);
}

/* What lies outside of any narrow scope. */
static void assert_no_control(struct fixture *f)
{
    static const emlfs_node nodes[] = {VIEW_NODE_CONTROL,    VIEW_NODE_STATUS, VIEW_NODE_BY_ID,
                                       VIEW_NODE_AUDIT,      VIEW_NODE_DUE,    VIEW_NODE_EXPLAIN,
                                       VIEW_NODE_CHECKPOINT, VIEW_NODE_HOLDS};
    struct emlfs_attr attr;

    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
        assert_int_equal(stat_node(f, &f->is_alice, nodes[i]), -ENOENT);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, ".emlfs", &attr), -ENOENT);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "Holds", &attr), -ENOENT);
}

/* The root is a user archive: its folders are at the top, nothing else exists. */
static void test_scope_user(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    const struct emlfs_view_scope scope = {.root = f->alice.archive};
    struct emlfs_view_file *file;
    struct emlfs_attr attr, bobs;

    assert_int_equal(list(f, &f->is_bob, emlfs_view_folder_node(f->bob_inbox), false, l), 0);
    bobs = l->attrs[0];
    struct emlfs_view *whole = scope_begin(f, &scope);

    assert_int_equal(list(f, &f->is_alice, EMLFS_NODE_ROOT, true, l), 0);
    assert_int_equal(l->n, 1);
    assert_string_equal(l->names[0], "Inbox");
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "Inbox", &attr), 0);
    assert_true(attr.node == emlfs_view_folder_node(f->inbox));
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, EMLFS_NODE_ROOT, &attr, NULL), 0);
    assert_true(attr.node == EMLFS_NODE_ROOT);
    assert_true(attr.st.st_ino == emlfs_view_folder_node(f->alice.archive));
    assert_int_equal(attr.st.st_mode, S_IFDIR | 0700);
    assert_int_equal(attr.st.st_uid, f->is_alice.uid);
    assert_no_control(f);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, "alice", &attr), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_bob, bobs.node), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_bob, emlfs_view_folder_node(f->bob_inbox)), -ENOENT);
    assert_int_equal(emlfs_view_file_open(f->view, &f->is_bob, bobs.node, &file, NULL), -ENOENT);
    /* It grants nothing. */
    assert_int_equal(list(f, &f->is_bob, EMLFS_NODE_ROOT, false, l), -EACCES);
    assert_int_equal(lookup(f, &f->is_bob, EMLFS_NODE_ROOT, "Inbox", &attr), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_root, EMLFS_NODE_ROOT), 0);
    assert_int_equal(list(f, &f->is_root, EMLFS_NODE_ROOT, false, l), -EACCES);
    scope_end(f, whole);
    free(l);
}

/* May alice make a file there? The folder it would come into, or -errno. */
static int may_create(struct fixture *f, emlfs_node parent)
{
    struct emlfs_view_place place;
    int rc = emlfs_view_may_create(f->view, &f->is_alice, parent, "new.eml", &place, NULL);

    return rc < 0 ? rc : (int)place.folder.v;
}

/* New files come into what is shown, and into nothing else. */
static void test_scope_create(void **state)
{
    struct fixture *f = *state;
    const emlfs_node inbox = emlfs_view_folder_node(f->inbox);
    const struct emlfs_view_scope scope = {.root = f->below};
    struct emlfs_view *whole;

    assert_int_equal(may_create(f, inbox), f->inbox.v);
    assert_int_equal(may_create(f, EMLFS_NODE_ROOT), -EACCES);
    whole = scope_begin(f, &scope);
    assert_int_equal(may_create(f, EMLFS_NODE_ROOT), f->below.v);
    assert_int_equal(may_create(f, inbox), -ENOENT);
    assert_int_equal(may_create(f, emlfs_view_folder_node(f->alice.archive)), -ENOENT);
    scope_end(f, whole);
    f->options.read_only = true;
    whole = scope_begin(f, &(struct emlfs_view_scope){.store_no = 0});
    assert_int_equal(may_create(f, inbox), -EROFS);
    scope_end(f, whole);
    f->options.read_only = false;
    f->options.layout = EMLFS_LAYOUT_MAILDIR;
    whole = scope_begin(f, &(struct emlfs_view_scope){.store_no = 0});
    assert_int_equal(may_create(f, inbox), -EROFS);
    scope_end(f, whole);
    f->options.layout = EMLFS_LAYOUT_TREE;
}

/* The root is a folder further down: its parent and its siblings are not there. */
static void test_scope_folder(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    const struct emlfs_view_scope scope = {.root = f->below};
    struct emlfs_attr attr, outside, inside;

    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, l), 0);
    outside = l->attrs[1];
    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->below), false, l), 0);
    inside = l->attrs[0];
    struct emlfs_view *whole = scope_begin(f, &scope);

    assert_int_equal(list(f, &f->is_alice, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 1);
    assert_true(l->attrs[0].node == inside.node);
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, l->names[0], &attr), 0);
    assert_int_equal(stat_node(f, &f->is_alice, inside.node), 0);
    assert_int_equal(stat_node(f, &f->is_alice, outside.node), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_alice, emlfs_view_folder_node(f->inbox)), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_alice, emlfs_view_folder_node(f->alice.archive)), -ENOENT);
    assert_no_control(f);
    scope_end(f, whole);
    free(l);
}

static void test_scope_store(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    const emlfs_node inbox = emlfs_view_folder_node(f->bob_inbox);
    struct emlfs_view *whole = scope_begin(f, &(struct emlfs_view_scope){.store_no = 1});
    struct emlfs_attr first, attr;
    char name[EMLFS_NAME_MAX_BYTES + 1];

    assert_int_equal(list(f, &f->is_bob, inbox, true, l), 0);
    assert_int_equal(l->n, 3);
    first = l->attrs[0];
    memcpy(name, l->names[0], sizeof(name));
    assert_no_control(f);
    scope_end(f, whole);
    whole = scope_begin(f, &(struct emlfs_view_scope){.store_no = 2});
    assert_int_equal(list(f, &f->is_bob, EMLFS_NODE_ROOT, false, l), 0);
    assert_int_equal(l->n, 1);
    assert_int_equal(list(f, &f->is_bob, inbox, true, l), 0);
    assert_int_equal(l->n, 0);
    assert_int_equal(lookup(f, &f->is_bob, inbox, name, &attr), -ENOENT);
    assert_int_equal(stat_node(f, &f->is_bob, first.node), -ENOENT);
    assert_int_equal(emlfs_view_unlink(f->view, &f->is_bob, inbox, name, NULL), -ENOENT);
    scope_end(f, whole);
    free(l);
}

static void auditor_make(struct fixture *f, bool on)
{
    struct emlfs_err err = {.code = 0};
    const struct emlfs_by by = {
        .actor = {.source = EMLFS_LEDGER_COMMAND, .admin = true}, .who = "", .reason = ""};

    check(emlfs_rules_set_auditor(f->rules, &by, f->bob.id, on, &err), &err);
}

/* An account and the mounter act as the auditor, as long as there is one; all others may nothing.
 */
static void test_scope_auditor(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    const struct emlfs_subject account = {.uid = 4711}, mounter = {.uid = 4712};
    const struct emlfs_view_scope scope = {
        .auditor = true, .acts = f->bob.id, .account = account.uid, .mounter = mounter.uid};
    struct emlfs_view *whole = scope_begin(f, &scope);
    struct emlfs_view_file *file;
    struct emlfs_attr attr;

    /* bob is no auditor: the scope then makes callers nobody. */
    assert_int_equal(list(f, &account, EMLFS_NODE_ROOT, false, l), -EACCES);
    assert_int_equal(list(f, &f->is_bob, EMLFS_NODE_ROOT, false, l), -EACCES);
    auditor_make(f, true);
    const struct emlfs_subject *const may[] = {&account, &mounter};

    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(list(f, may[i], EMLFS_NODE_ROOT, false, l), 0);
        assert_int_equal(l->n, 3);
        assert_string_equal(l->names[0], "Holds");
        assert_int_equal(l->attrs[1].st.st_mode, S_IFDIR | 0500);
        assert_int_equal(l->attrs[1].st.st_uid, account.uid);
        assert_int_equal(list(f, may[i], emlfs_view_folder_node(f->below), false, l), 0);
        assert_int_equal(l->attrs[0].st.st_mode, S_IFREG | 0400);
        assert_int_equal(emlfs_view_file_open(f->view, may[i], l->attrs[0].node, &file, NULL), 0);
        emlfs_view_file_free(file);
        assert_int_equal(
            emlfs_view_mkdir(f->view, may[i], emlfs_view_folder_node(f->inbox), "x", &attr, NULL),
            -EROFS);
    }
    const struct emlfs_subject *const others[] = {&f->is_alice, &f->is_bob, &f->is_root,
                                                  &f->is_other};
    const emlfs_node message = l->attrs[0].node;

    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(list(f, others[i], EMLFS_NODE_ROOT, false, l), -EACCES);
        assert_int_equal(list(f, others[i], emlfs_view_folder_node(f->inbox), false, l), -EACCES);
        assert_int_equal(stat_node(f, others[i], message), -ENOENT);
        assert_true(emlfs_view_file_open(f->view, others[i], message, &file, NULL) < 0);
        assert_int_equal(stat_node(f, others[i], EMLFS_NODE_ROOT), 0);
    }
    assert_int_equal(lookup(f, &f->is_root, EMLFS_NODE_ROOT, "alice", &attr), 0);
    auditor_make(f, false);
    assert_int_equal(list(f, &account, EMLFS_NODE_ROOT, false, l), -EACCES);
    scope_end(f, whole);
    free(l);
}

/* Uid 0 sees a top directory and nothing below it. */
static void test_uid_zero(void **state)
{
    struct fixture *f = *state;
    struct emlfs_view_dir *dir;
    struct emlfs_view_file *file;
    struct emlfs_attr top, attr, mine;
    struct listing *l = malloc(sizeof(*l));

    assert_int_equal(lookup(f, &f->is_root, EMLFS_NODE_ROOT, "alice", &top), 0);
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_root, top.node, &attr, NULL), 0);
    assert_int_equal(lookup(f, &f->is_root, top.node, "Inbox", &attr), -EACCES);
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_root, top.node, &dir, NULL), -EACCES);
    assert_int_equal(emlfs_view_access(f->view, &f->is_root, top.node, NULL), -EACCES);
    assert_int_equal(
        emlfs_view_getattr(f->view, &f->is_root, emlfs_view_folder_node(f->inbox), &attr, NULL),
        -EACCES);
    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, l), 0);
    mine = l->attrs[5];
    assert_int_equal(emlfs_view_getattr(f->view, &f->is_root, mine.node, &attr, NULL), -EACCES);
    assert_int_equal(emlfs_view_file_open(f->view, &f->is_root, mine.node, &file, NULL), -EACCES);
    free(l);
}

/* Every node of alice's archive, asked for by everybody else in every way. */
static void test_others(void **state)
{
    struct fixture *f = *state;
    const struct emlfs_subject *others[] = {&f->is_bob, &f->is_other};
    struct listing *l = malloc(sizeof(*l));
    struct emlfs_view_file *file;
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;

    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, l), 0);
    for (unsigned who = 0; who < 2; who++) {
        const struct emlfs_subject *s = others[who];
        emlfs_node inbox = emlfs_view_folder_node(f->inbox);

        assert_int_equal(emlfs_view_getattr(f->view, s, inbox, &attr, NULL), -ENOENT);
        assert_int_equal(emlfs_view_dir_open(f->view, s, inbox, &dir, NULL), -ENOENT);
        for (unsigned i = 0; i < l->n; i++) {
            emlfs_node node = l->attrs[i].node;

            assert_int_equal(lookup(f, s, inbox, l->names[i], &attr), -ENOENT);
            assert_int_equal(emlfs_view_getattr(f->view, s, node, &attr, NULL), -ENOENT);
            assert_int_equal(emlfs_view_access(f->view, s, node, NULL), -ENOENT);
            if (S_ISREG(l->attrs[i].st.st_mode))
                assert_int_equal(emlfs_view_file_open(f->view, s, node, &file, NULL), -ENOENT);
        }
    }
    free(l);
}

static void test_listing(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l)), *again = malloc(sizeof(*again));
    emlfs_node inbox = emlfs_view_folder_node(f->inbox);
    struct emlfs_attr attr;

    assert_int_equal(list(f, &f->is_alice, inbox, false, l), 0);
    assert_int_equal(l->n, INBOX_MESSAGES + 1);
    assert_string_equal(l->names[0], "Below");
    assert_int_equal(list(f, &f->is_alice, inbox, true, again), 0);
    assert_int_equal(again->n, l->n);
    for (unsigned i = 0; i < l->n; i++) {
        assert_string_equal(l->names[i], again->names[i]);
        assert_memory_equal(&l->attrs[i].st, &again->attrs[i].st, sizeof(struct stat));
        assert_int_equal(lookup(f, &f->is_alice, inbox, l->names[i], &attr), 0);
        assert_true(attr.node == l->attrs[i].node && attr.name_shared);
        assert_memory_equal(&attr.st, &l->attrs[i].st, sizeof(struct stat));
        if (i > 0) {
            assert_int_equal(attr.st.st_mode, S_IFREG | 0400);
            assert_int_equal(attr.st.st_blocks, (attr.st.st_size + 511) / 512);
            assert_true(attr.st.st_ino >> 63 == 1);
        }
    }
    free(l);
    free(again);
}

/* Mail that arrives in the middle of a listing comes at its end, and nothing comes twice. */
static void test_listing_grows(void **state)
{
    struct fixture *f = *state;
    emlfs_node node = emlfs_view_folder_node(f->bob_inbox);
    struct emlfs_view_dir *dir;
    struct emlfs_attr attr;
    const char *name;
    uint64_t off = 0;
    unsigned n = 0, before;
    struct listing *l = malloc(sizeof(*l));

    assert_int_equal(list(f, &f->is_bob, node, false, l), 0);
    before = l->n;
    assert_int_equal(emlfs_view_dir_open(f->view, &f->is_bob, node, &dir, NULL), 0);
    while (emlfs_view_dir_next(dir, off, &name, &attr, &off, NULL) == 0)
        if (++n == 3)
            load(f, f->bob_inbox, f->bob.id, 20000, 5);
    emlfs_view_dir_free(dir);
    assert_true(n >= before + 2);
    assert_int_equal(list(f, &f->is_bob, node, true, l), 0);
    assert_int_equal(l->n, before + 5);
    free(l);
}

static void test_same_inode(void **state)
{
    struct fixture *f = *state;
    struct listing *mine = malloc(sizeof(*mine)), *theirs = malloc(sizeof(*theirs));
    unsigned shared = 0;

    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, mine), 0);
    assert_int_equal(list(f, &f->is_bob, emlfs_view_folder_node(f->bob_inbox), false, theirs), 0);
    for (unsigned i = 0; i < mine->n; i++)
        for (unsigned k = 0; k < theirs->n; k++)
            if (mine->attrs[i].st.st_ino == theirs->attrs[k].st.st_ino) {
                shared++;
                assert_true(mine->attrs[i].node != theirs->attrs[k].node);
            }
    assert_int_equal(shared, 2);
    /* message 7 is in two folders of alice and counts its links there alone */
    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->below), false, mine), 0);
    assert_int_equal(mine->n, 1);
    assert_int_equal(mine->attrs[0].st.st_nlink, 2);
    free(mine);
    free(theirs);
}

static void read_and_check(struct fixture *f, const struct emlfs_attr *attr)
{
    struct emlfs_view_file *file;
    struct emlfs_err err = {.code = 0};
    char data[256];
    ssize_t n;

    check(emlfs_view_file_open(f->view, &f->is_alice, attr->node, &file, &err), &err);
    n = emlfs_view_file_pread(file, data, sizeof(data), 0, &err);
    assert_int_equal(n, attr->st.st_size);
    assert_memory_equal(data, "Subject: number ", 16);
    assert_int_equal(emlfs_view_file_pread(file, data + 100, 5, 3, &err), 5);
    assert_memory_equal(data + 100, data + 3, 5);
    assert_int_equal(emlfs_view_file_pread(file, data, 5, (uint64_t)n, &err), 0);
    assert_int_equal(emlfs_view_file_pread(file, data, 5, UINT64_MAX / 2, &err), 0);
    emlfs_view_file_free(file);
}

static void test_reading(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    struct emlfs_view_file *file;
    struct emlfs_attr attr;
    char data[64];

    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, l), 0);
    for (unsigned i = 1; i < l->n; i += 37)
        read_and_check(f, &l->attrs[i]);
    assert_int_equal(emlfs_view_file_open(f->view, &f->is_alice, l->attrs[0].node, &file, NULL),
                     -EISDIR);
    assert_int_equal(lookup(f, &f->is_other, EMLFS_NODE_ROOT, ".emlfs", &attr), 0);
    assert_int_equal(lookup(f, &f->is_other, attr.node, "status.json", &attr), 0);
    assert_false(attr.shared);
    assert_int_equal(emlfs_view_file_open(f->view, &f->is_other, attr.node, &file, NULL), 0);
    assert_int_equal(emlfs_view_file_pread(file, data, sizeof(data), 0, NULL), 11);
    assert_int_equal(emlfs_view_file_pread(file, data, sizeof(data), 9, NULL), 2);
    emlfs_view_file_free(file);
    free(l);
}

static void test_by_id(void **state)
{
    struct fixture *f = *state;
    struct listing *l = malloc(sizeof(*l));
    struct emlfs_attr control, by_id, attr;
    char name[EMLFS_MSG_ID_TEXT_MAX + 8];
    struct emlfs_user_id user;
    struct emlfs_msg_id id;

    assert_int_equal(lookup(f, &f->is_bob, EMLFS_NODE_ROOT, ".emlfs", &control), 0);
    assert_int_equal(lookup(f, &f->is_bob, control.node, "by-id", &by_id), 0);
    assert_int_equal(list(f, &f->is_bob, by_id.node, false, l), 0);
    assert_int_equal(l->n, 0);
    assert_int_equal(list(f, &f->is_alice, emlfs_view_folder_node(f->inbox), false, l), 0);
    assert_true(emlfs_view_node_message(l->attrs[1].node, &user, &id));
    emlfs_msg_id_format(id, name);
    assert_int_equal(lookup(f, &f->is_alice, by_id.node, name, &attr), -ENOENT);
    (void)snprintf(name + strlen(name), 8, ".eml");
    assert_int_equal(lookup(f, &f->is_alice, by_id.node, name, &attr), 0);
    assert_true(attr.node == l->attrs[1].node && !attr.name_shared);
    assert_int_equal(lookup(f, &f->is_bob, by_id.node, name, &attr), -ENOENT);
    assert_int_equal(lookup(f, &f->is_root, by_id.node, name, &attr), -ENOENT);
    free(l);
}

static void test_bad_nodes(void **state)
{
    struct fixture *f = *state;
    const emlfs_node nodes[] = {
        0, 10, 99, 1ull << 61, (1ull << 62) | (1ull << 40), 1ull << 62, (1ull << 62) | 0xffffffffu};
    char longer[300];
    struct emlfs_attr attr;
    struct emlfs_view_dir *dir;

    for (unsigned i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        assert_int_equal(emlfs_view_getattr(f->view, &f->is_alice, nodes[i], &attr, NULL), -ENOENT);
        assert_int_equal(lookup(f, &f->is_alice, nodes[i], "x", &attr), -ENOENT);
        assert_int_equal(emlfs_view_dir_open(f->view, &f->is_alice, nodes[i], &dir, NULL), -ENOENT);
        assert_int_equal(emlfs_view_access(f->view, &f->is_alice, nodes[i], NULL), -ENOENT);
    }
    memset(longer, 'n', sizeof(longer));
    longer[256] = '\0';
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, longer, &attr), -ENAMETOOLONG);
    longer[255] = '\0';
    assert_int_equal(lookup(f, &f->is_alice, EMLFS_NODE_ROOT, longer, &attr), -ENOENT);
    assert_int_equal(
        lookup(f, &f->is_alice, emlfs_view_folder_node(f->inbox), "x [000001].eml", &attr),
        -ENOENT);
}

/* Until the import has it in its hands: without a verdict nothing is deleted. */
static void wait_being_filed(struct fixture *f, const struct emlfs_entry_at *at)
{
    const struct emlfs_actor actor = {.uid = 0};
    const struct timespec pause = {.tv_nsec = 1000000};
    int rc = -EPERM;

    for (unsigned i = 0; i < 10000 && rc == -EPERM; i++) {
        rc = emlfs_archive_entry_delete(f->archive, &actor, at, NULL, NULL);
        if (rc == -EPERM)
            nanosleep(&pause, NULL);
    }
    assert_int_equal(rc, -EAGAIN);
}

/* An import that files the message once more keeps it for half a second. */
static void test_unlink_waits(void **state)
{
    struct fixture *f = *state;
    const struct emlfs_by by = {.actor = {.uid = 0, .admin = true}, .who = "", .reason = "test"};
    unsigned failed = 0;
    const struct emlfs_ingest_options options = {
        .prepare = item_prepare, .done = item_done, .arg = &failed};
    struct emlfs_ingest_totals totals;
    struct emlfs_err err = {.code = 0};
    struct emlfs_ingest *ingest;
    struct emlfs_entry entry = {0};
    struct emlfs_entry_page page = {.folder = f->inbox, .v = &entry, .max = 1};
    struct emlfs_attr attr;

    check(emlfs_rules_set_rights(f->rules, &by, f->alice.id, EMLFS_MAY_ALL, EMLFS_GRANT_ALL, &err),
          &err);
    load(f, f->inbox, f->alice.id, 90001, 1);
    do { /* to the last one */
        page.after = entry.id;
        check(emlfs_archive_entries(f->archive, &page, &err), &err);
    } while (page.n == 1);
    check(emlfs_ingest_begin(f->archive, &options, &ingest, &err), &err);
    put_message(ingest, f->below, f->alice.id, 90001);
    wait_being_filed(f, &(struct emlfs_entry_at){f->alice.id, f->inbox, entry.id});
    check(emlfs_view_lookup(f->view, &f->is_alice, EMLFS_NODE_ROOT, "alice", &attr, &err), &err);
    check(emlfs_view_lookup(f->view, &f->is_alice, attr.node, "Inbox", &attr, &err), &err);
    check(emlfs_view_unlink(f->view, &f->is_alice, attr.node, entry.name, &err), &err);
    check(emlfs_ingest_end(ingest, true, &totals, &err), &err);
    assert_int_equal(failed, 0);
}

/* What is the archive's own becomes what tools know; only what nobody foresaw is EIO. */
static void test_errno(void **state)
{
    (void)state;
    assert_int_equal(view_move_errno(-E2BIG), -EMLINK);
    assert_int_equal(view_move_errno(-EEXIST), -EEXIST);
    assert_int_equal(view_move_errno(-EUCLEAN), -EIO);
    assert_int_equal(view_errno(-EBUSY), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nodes),         cmocka_unit_test(test_root),
        cmocka_unit_test(test_private_names), cmocka_unit_test(test_scope_user),
        cmocka_unit_test(test_scope_create),  cmocka_unit_test(test_scope_folder),
        cmocka_unit_test(test_scope_store),   cmocka_unit_test(test_scope_auditor),
        cmocka_unit_test(test_uid_zero),      cmocka_unit_test(test_others),
        cmocka_unit_test(test_listing),       cmocka_unit_test(test_same_inode),
        cmocka_unit_test(test_reading),       cmocka_unit_test(test_by_id),
        cmocka_unit_test(test_bad_nodes),     cmocka_unit_test(test_listing_grows),
        cmocka_unit_test(test_unlink_waits),  cmocka_unit_test(test_errno),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
