/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Who may what, and how the mount shows it. */
#include "rules_world.h"

static void owners_and_strangers(void **state)
{
    struct world *w = *state;

    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    assert_int_equal(check(w, 0, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -EACCES);
    assert_int_equal(check(w, 77, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_UNLINK), -EACCES);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_SYSTEM, 0, EMLFS_CALL_COMMAND), 0);
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_SYSTEM, 0, EMLFS_CALL_COMMAND), -EACCES);
    assert_int_equal(check(w, 0, EMLFS_OBJECT_SYSTEM, 0, EMLFS_CALL_COMMAND), 0);
    w->archive->states[1] = EMLFS_STORE_DISABLED;
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
}

static void callers_are_told(void **state)
{
    struct world *w = *state;
    const struct emlfs_subject alice = subject_of(ALICE), root = subject_of(0);
    struct emlfs_who who;

    emlfs_rules_who(w->rules, &alice, &who);
    assert_string_equal(who.name, "alice");
    assert_int_equal(who.access.user.v, ALICE);
    struct emlfs_actor actor = emlfs_rules_actor(&who, EMLFS_LEDGER_MOUNT);
    assert_true(actor.admin);
    assert_int_equal(actor.uid, UID(ALICE));
    emlfs_rules_who(w->rules, &root, &who);
    assert_true(who.access.root);
    assert_int_equal(who.access.user.v, 0);
    w->archive->generation++;
    w->archive->reads_fail = 1;
    emlfs_rules_who(w->rules, &alice, &who);
    assert_int_equal(who.access.user.v, 0);
    assert_false(who.access.admin);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, ALICE, EMLFS_CALL_OPEN), -EIO);
}

/* What cannot be read is no leave to fill the archive. */
static void quotas_fail_closed(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_change change = {.set_quota = true, .quota_bytes = 1000};
    const struct emlfs_user_id alice = {ALICE}, bob = {BOB};
    struct emlfs_err err = {0};
    uint64_t bytes = 77;

    assert_int_equal(emlfs_rules_quota(w->rules, alice, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    assert_int_equal(emlfs_user_change(w->archive, NULL, "alice", &change, NULL), 0);
    assert_int_equal(emlfs_rules_quota(w->rules, alice, &bytes, NULL), 0);
    assert_int_equal(bytes, 1000);
    assert_int_equal(emlfs_rules_quota(w->rules, bob, &bytes, NULL), 0);
    assert_int_equal(bytes, 0);
    w->archive->generation++;
    w->archive->reads_fail = 1;
    assert_int_equal(emlfs_rules_quota(w->rules, alice, &bytes, &err), -EIO);
    assert_non_null(strstr(err.text, "quota"));
    w->archive->reads_fail = 0;
    assert_int_equal(emlfs_rules_quota(w->rules, alice, &bytes, NULL), 0);
    assert_int_equal(bytes, 1000);
}

static void answers_are_never_old(void **state)
{
    struct world *w = *state;

    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    grant_user(w, BOB, CAROL, EMLFS_GRANT_READ);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_FOLDER, BOB, EMLFS_CALL_MKDIR), -EACCES);
    grant_user(w, BOB, CAROL, EMLFS_GRANT_READ | EMLFS_GRANT_WRITE);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_FOLDER, BOB, EMLFS_CALL_MKDIR), 0);
    grant_user(w, BOB, CAROL, 0);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "bob", NULL), 0);
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
}

/* A new user and a new account are there at once, though bindings keep their users for a minute. */
static void users_are_never_old(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_change change = {.unix_account = "frank"};

    assert_int_equal(check(w, EVE, EMLFS_OBJECT_MESSAGE, EVE, EMLFS_CALL_OPEN), 0);
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "frank", NULL), 0);
    assert_int_equal(emlfs_user_change(w->archive, NULL, "eve", &change, NULL), 0);
    assert_int_equal(check(w, FRANK, EMLFS_OBJECT_MESSAGE, EVE, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, EVE, EMLFS_OBJECT_MESSAGE, EVE, EMLFS_CALL_OPEN), -ENOENT);
}

static void one_account_is_one_user(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_change change = {.unix_account = "bob"};
    struct emlfs_shape shape;

    assert_int_equal(emlfs_user_change(w->archive, NULL, "carol", &change, NULL), 0);
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, BOB, EMLFS_OBJECT_MESSAGE, CAROL, EMLFS_CALL_OPEN), -ENOENT);
    emlfs_rules_shape(w->rules, (struct emlfs_user_id){CAROL}, &shape);
    assert_int_equal(shape.directory, 0);
    assert_int_equal(shape.uid, 0);
}

static void groups_are_asked_now_and_then(void **state)
{
    struct world *w = *state;

    grant_group(w, DAVE, "sales", EMLFS_GRANT_READ | EMLFS_GRANT_WRITE);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), -ENOENT);
    unsigned asked = w->asked;
    unsigned walks = w->archive->walks;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), 0);
    assert_int_equal(w->asked, asked);
    assert_int_equal(w->archive->walks, walks);
    w->nss_error = -EIO;
    world_pass(w, 61 * SECOND);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), -ENOENT);
    w->nss_error = 0;
    world_pass(w, 6 * SECOND);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), 0);
    assert_false(w->locked);
    /* The group of the process counts, too. */
    const struct emlfs_subject subject = {.uid = UID(EVE), .gid = GROUP_SALES};
    const struct emlfs_target target = {EMLFS_OBJECT_MESSAGE, {DAVE}, 1};
    assert_int_equal(emlfs_rules_check(w->rules, &subject, &target, EMLFS_CALL_OPEN, NULL), 0);
    /* But one who is no archive user has nothing by a group. */
    const struct emlfs_subject stranger = {.uid = 4242, .gid = GROUP_SALES};
    assert_int_equal(emlfs_rules_check(w->rules, &stranger, &target, EMLFS_CALL_OPEN, NULL),
                     -ENOENT);
}

/* Who asked before a group was granted anything is seen in it at once. */
static void groups_are_asked_for_where_they_count(void **state)
{
    struct world *w = *state;

    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), -ENOENT);
    assert_int_equal(w->asked, 0);
    grant_group(w, DAVE, "sales", EMLFS_GRANT_READ);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), 0);
    assert_int_not_equal(w->asked, 0);
    grant_group(w, DAVE, "sales", 0);
    assert_int_equal(check(w, CAROL, EMLFS_OBJECT_MESSAGE, DAVE, EMLFS_CALL_OPEN), -ENOENT);
}

/* More callers than are kept: everybody gets their own answer. */
static void many_callers(void **state)
{
    struct world *w = *state;
    const struct emlfs_target target = {EMLFS_OBJECT_MESSAGE, {BOB}, 1};

    for (unsigned round = 0; round < 2; round++)
        for (uid_t uid = 900; uid < 3000; uid++) {
            const struct emlfs_subject subject = {.uid = uid, .gid = uid % 7};
            int r = emlfs_rules_check(w->rules, &subject, &target, EMLFS_CALL_OPEN, NULL);
            assert_int_equal(r, uid == UID(BOB) ? 0 : -ENOENT);
        }
}

static void offices(void **state)
{
    struct world *w = *state;
    const struct emlfs_span password = emlfs_span_str("Correct-Horse-7");
    const struct emlfs_archive_access on = {{ALICE}, true, password};
    const struct emlfs_archive_access off = {.user = {ALICE}};

    assert_int_equal(
        emlfs_rules_set_auditor(w->rules, &by_alice, (struct emlfs_user_id){EVE}, true, NULL), 0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_AUDITOR_ADDED);
    assert_int_equal(check(w, EVE, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), 0);
    assert_int_equal(check(w, EVE, EMLFS_OBJECT_FOLDER, BOB, EMLFS_CALL_MKDIR), -EACCES);
    assert_int_equal(check(w, EVE, EMLFS_OBJECT_HOLDS, 0, EMLFS_CALL_LIST), 0);
    assert_int_equal(
        emlfs_rules_set_auditor(w->rules, &by_alice, (struct emlfs_user_id){ALICE}, true, NULL),
        -EPERM);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, (struct emlfs_user_id){EVE},
                                            EMLFS_MAY_ALL, EMLFS_GRANT_READ, NULL),
                     -EPERM);
    const struct emlfs_user_change admin = {.set_admin = true, .admin = true};
    assert_int_equal(emlfs_user_change(w->archive, NULL, "eve", &admin, NULL), -EPERM);
    /* An archive that is made later is none of an auditor's. */
    w->archive->now_ns += SECOND;
    struct emlfs_user late;
    assert_int_equal(
        emlfs_user_add(w->archive, NULL, &(struct emlfs_user_new){"late", NULL, 0}, &late, NULL),
        0);
    assert_int_equal(check(w, EVE, EMLFS_OBJECT_MESSAGE, late.id.v, EMLFS_CALL_OPEN), -ENOENT);

    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_alice, &on, NULL), -EACCES);
    assert_int_equal(emlfs_rules_set_password(w->rules, &by_alice, (struct emlfs_user_id){ALICE},
                                              password, NULL),
                     0);
    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_silent, &on, NULL), -EINVAL);
    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_alice, &on, NULL), 0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_ACCESS_OPENED);
    assert_string_equal(fake_last(w->archive, 0)->detail, "because");
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), 0);
    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_silent, &off, NULL), 0);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
    const struct emlfs_archive_access bob = {{BOB}, true, password};
    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_alice, &bob, NULL), -EPERM);
    /* Who is no administrator any more does not look again when they become one. */
    assert_int_equal(emlfs_rules_set_archive_access(w->rules, &by_alice, &on, NULL), 0);
    assert_int_equal(emlfs_user_change(w->archive, NULL, "bob", &admin, NULL), 0);
    const struct emlfs_user_change none = {.set_admin = true};
    assert_int_equal(emlfs_user_change(w->archive, NULL, "alice", &none, NULL), 0);
    assert_int_equal(emlfs_user_change(w->archive, NULL, "alice", &admin, NULL), 0);
    assert_int_equal(check(w, ALICE, EMLFS_OBJECT_MESSAGE, BOB, EMLFS_CALL_OPEN), -ENOENT);
}

static void refusals_are_recorded(void **state)
{
    struct world *w = *state;
    const struct emlfs_refusal refusal = {.target = {EMLFS_OBJECT_MESSAGE, {BOB}, 1},
                                          .message = {77},
                                          .call = EMLFS_CALL_UNLINK,
                                          .code = EACCES,
                                          .detail = "a\nb\xff"
                                                    "c\xc3\xa9"};

    assert_int_equal(emlfs_rules_refused(w->rules, &by_alice.actor, &refusal, NULL), 0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_ACCESS_DENIED);
    assert_int_equal(fake_last(w->archive, 0)->outcome, EACCES);
    assert_int_equal(fake_last(w->archive, 0)->owner.v, BOB);
    assert_string_equal(fake_last(w->archive, 0)->name, "unlink");
    assert_string_equal(fake_last(w->archive, 0)->detail, "a?b?c\xc3\xa9");
}

/* uid is refused; true: and has a record of it. */
static bool refused(struct world *w, int64_t uid, bool admin)
{
    const struct emlfs_actor actor = {.uid = uid, .source = EMLFS_LEDGER_SOCKET, .admin = admin};
    const struct emlfs_refusal refusal = {.target = {.kind = EMLFS_OBJECT_SYSTEM},
                                          .call = EMLFS_CALL_COMMAND,
                                          .code = EACCES,
                                          .detail = "audit"};
    unsigned before = w->archive->records_n;

    assert_int_equal(emlfs_rules_refused(w->rules, &actor, &refusal, NULL), 0);
    return w->archive->records_n > before;
}

static unsigned refused_times(struct world *w, int64_t uid, bool admin, unsigned n)
{
    unsigned recorded = 0;

    while (n--)
        recorded += refused(w, uid, admin);
    return recorded;
}

static void refusals_are_limited(void **state)
{
    struct world *w = *state;

    assert_int_equal(refused_times(w, 5000, false, 1000), RULES_REFUSED_RATE);
    assert_string_equal(fake_last(w->archive, 0)->detail, "audit");
    /* Nobody else pays for it. */
    assert_true(refused(w, 5001, false));
    assert_string_equal(fake_last(w->archive, 0)->detail, "audit");
    world_pass(w, SECOND);
    assert_true(refused(w, 5000, false));
    assert_string_equal(fake_last(w->archive, 0)->detail, "audit (and 940 more)");
    assert_false(refused(w, 5000, false));
    /* At a record a second there is one of each. */
    for (unsigned i = 0; i < 100; i++) {
        world_pass(w, SECOND);
        assert_true(refused(w, 5000, false));
    }
    assert_string_equal(fake_last(w->archive, 0)->detail, "audit");
    assert_int_equal(refused_times(w, 0, false, 2000), RULES_REFUSED_TRUSTED_RATE);
    assert_int_equal(refused_times(w, 5002, true, 2000), RULES_REFUSED_TRUSTED_RATE);
}

/* Who has many uids gets no more for it, and administrators still have theirs. */
static void refusals_of_many_are_limited(void **state)
{
    struct world *w = *state;
    unsigned recorded = 0;

    for (unsigned i = 0; i < 100; i++)
        recorded += refused_times(w, 100000 + i, false, RULES_REFUSED_RATE);
    assert_int_equal(recorded, RULES_REFUSED_ALL_RATE);
    assert_true(refused(w, 0, false));
    world_pass(w, 120 * SECOND);
    assert_true(refused(w, 100099, false));
    assert_string_equal(fake_last(w->archive, 0)->detail, "audit (and 60 more)");
    world_pass(w, 120 * SECOND);
    /* More uids than the table has places: those without one share a bucket. */
    recorded = refused_times(w, 7000, false, 1);
    for (unsigned i = 0; i < 5000; i++)
        recorded += refused(w, 200000 + i, false);
    assert_int_equal(recorded, RULES_REFUSED_SLOTS + RULES_REFUSED_RATE);
    world_pass(w, SECOND);
    for (unsigned i = 0; i <= RULES_REFUSED_SLOTS; i++)
        (void)refused(w, 300000 + i, false);
    assert_non_null(strstr(fake_last(w->archive, 0)->detail, " more of several accounts)"));
}

static void refusal_that_cannot_be_recorded_is_told_later(void **state)
{
    struct world *w = *state;
    const struct emlfs_refusal refusal = {.call = EMLFS_CALL_OPEN, .code = EACCES};
    const struct emlfs_actor actor = {.uid = 5000};

    w->archive->read_only = true;
    assert_int_equal(emlfs_rules_refused(w->rules, &actor, &refusal, NULL), -EROFS);
    w->archive->read_only = false;
    assert_int_equal(emlfs_rules_refused(w->rules, &actor, &refusal, NULL), 0);
    assert_string_equal(fake_last(w->archive, 0)->detail, "(and 1 more)");
}

/* ---- shapes */

struct shape_case {
    uint32_t own, may; /* of bob */
    const char *groups[2];
    uint32_t group_grants;
    unsigned users[2];
    uint32_t user_grants;
    bool auditor;
    mode_t directory, kept, loose;
    gid_t gid;
    bool guarded, deletable;
};
#define R EMLFS_GRANT_READ
#define W (EMLFS_GRANT_READ | EMLFS_GRANT_WRITE)
#define D (EMLFS_GRANT_READ | EMLFS_GRANT_DELETE)
#define MAY EMLFS_MAY_DEFAULT
#define MAY_D (EMLFS_MAY_DEFAULT | EMLFS_MAY_DELETE)

static const struct shape_case shapes[] = {
    {W, MAY, {0}, 0, {0}, 0, false, 0700, 0400, 0600, 0, false, false},
    {R, MAY, {0}, 0, {0}, 0, false, 0500, 0400, 0600, 0, false, false},
    {D, MAY, {0}, 0, {0}, 0, false, 0500, 0400, 0600, 0, false, false},
    {D, MAY_D, {0}, 0, {0}, 0, false, 0700, 0400, 0600, 0, false, true},
    {W, 0, {0}, 0, {0}, 0, false, 0, 0, 0, 0, false, false},
    {W, MAY, {"staff"}, R, {0}, 0, false, 0750, 0440, 0640, GROUP_STAFF, true, false},
    {W, MAY, {"staff"}, W, {0}, 0, false, 0770, 0440, 0640, GROUP_STAFF, true, false},
    {W, MAY, {"staff"}, D, {0}, 0, false, 0750, 0440, 0640, GROUP_STAFF, true, false},
    {W, MAY_D, {"staff"}, D, {0}, 0, false, 0770, 0440, 0640, GROUP_STAFF, true, true},
    {W, MAY, {"gone"}, W, {0}, 0, false, 0700, 0400, 0600, 0, false, false},
    {W, MAY, {"staff", "sales"}, R, {0}, 0, false, 0755, 0444, 0644, 0, true, false},
    {W, MAY, {0}, 0, {CAROL}, R, false, 0755, 0444, 0644, 0, true, false},
    {W, MAY, {0}, 0, {CAROL, DAVE}, W, false, 0777, 0444, 0644, 0, true, false},
    {W, MAY, {"staff"}, R, {CAROL}, W, false, 0777, 0444, 0644, GROUP_STAFF, true, false},
    {W, MAY, {0}, 0, {0}, 0, true, 0755, 0444, 0644, 0, true, false},
};

static void shape_arrange(struct world *w, const struct shape_case *c)
{
    const struct emlfs_user_id bob = {BOB}, eve = {EVE};

    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, bob, c->may, c->own, NULL), 0);
    for (unsigned i = 0; i < 2; i++) {
        if (c->groups[i])
            grant_group(w, BOB, c->groups[i], c->group_grants);
        if (c->users[i])
            grant_user(w, BOB, c->users[i], c->user_grants);
    }
    assert_int_equal(emlfs_rules_set_auditor(w->rules, &by_alice, eve, c->auditor, NULL), 0);
}

static void shape_undo(struct world *w, const struct shape_case *c)
{
    for (unsigned i = 0; i < 2; i++) {
        if (c->groups[i])
            grant_group(w, BOB, c->groups[i], 0);
        if (c->users[i])
            grant_user(w, BOB, c->users[i], 0);
    }
}

static void shapes_tell_the_rights(void **state)
{
    struct world *w = *state;
    struct emlfs_shape shape;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const struct shape_case *c = &shapes[i];
        shape_arrange(w, c);
        emlfs_rules_shape(w->rules, (struct emlfs_user_id){BOB}, &shape);
        if (shape.directory != c->directory || shape.kept != c->kept || shape.loose != c->loose ||
            shape.gid != c->gid || shape.guarded != c->guarded || shape.deletable != c->deletable ||
            shape.uid != UID(BOB))
            fail_msg("case %zu: %o %o %o gid %u %d %d", i, shape.directory, shape.kept, shape.loose,
                     shape.gid, shape.guarded, shape.deletable);
        shape_undo(w, c);
    }
    assert_int_equal(emlfs_user_remove(w->archive, NULL, "bob", NULL), 0);
    emlfs_rules_shape(w->rules, (struct emlfs_user_id){BOB}, &shape);
    assert_int_equal(shape.uid, 0);
    assert_int_equal(shape.directory, 0055); /* the auditor's */
}

static void acls_name_everybody(void **state)
{
    static const uint8_t directory[] = {
        2,  0, 0, 0,                         /* version */
        1,  0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* owner */
        2,  0, 5, 0, 0xeb, 3,    0,    0,    /* carol, 1003 */
        2,  0, 5, 0, 0xed, 3,    0,    0,    /* eve, 1005, an auditor */
        4,  0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* the group of the file */
        8,  0, 7, 0, 0xf4, 1,    0,    0,    /* staff, 500 */
        16, 0, 7, 0, 0xff, 0xff, 0xff, 0xff, /* mask */
        32, 0, 5, 0, 0xff, 0xff, 0xff, 0xff, /* others */
    };
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};
    struct emlfs_buf acl = EMLFS_BUF_INIT(1024);
    struct emlfs_shape shape;

    emlfs_rules_shape(w->rules, bob, &shape);
    assert_int_equal(emlfs_rules_acl(w->rules, bob, shape.directory, &acl), -ENODATA);
    grant_group(w, BOB, "staff", W);
    emlfs_rules_shape(w->rules, bob, &shape);
    assert_int_equal(emlfs_rules_acl(w->rules, bob, shape.directory, &acl), -ENODATA);
    grant_user(w, BOB, CAROL, R);
    assert_int_equal(
        emlfs_rules_set_auditor(w->rules, &by_alice, (struct emlfs_user_id){EVE}, true, NULL), 0);
    emlfs_rules_shape(w->rules, bob, &shape);
    assert_int_equal(emlfs_rules_acl(w->rules, bob, shape.directory, &acl), 0);
    assert_int_equal(acl.len, sizeof(directory));
    assert_memory_equal(acl.data, directory, sizeof(directory));
    assert_int_equal(emlfs_rules_acl(w->rules, bob, shape.kept, &acl), 0);
    assert_int_equal(acl.data[4 + 2], 4);  /* owner reads */
    assert_int_equal(acl.data[12 + 2], 4); /* so does carol */
    emlfs_buf_free(&acl);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(owners_and_strangers),
        WORLD_TEST(callers_are_told),
        WORLD_TEST(quotas_fail_closed),
        WORLD_TEST(answers_are_never_old),
        WORLD_TEST(users_are_never_old),
        WORLD_TEST(one_account_is_one_user),
        WORLD_TEST(groups_are_asked_now_and_then),
        WORLD_TEST(groups_are_asked_for_where_they_count),
        WORLD_TEST(many_callers),
        WORLD_TEST(offices),
        WORLD_TEST(refusals_are_recorded),
        WORLD_TEST(refusals_are_limited),
        WORLD_TEST(refusals_of_many_are_limited),
        WORLD_TEST(refusal_that_cannot_be_recorded_is_told_later),
        WORLD_TEST(shapes_tell_the_rights),
        WORLD_TEST(acls_name_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
