/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Changing the rules: what is refused, what is recorded, and two at the same time. */
#include "rules_world.h"

static int put(struct world *w, const struct emlfs_by *by, struct emlfs_policy *made)
{
    return emlfs_rules_policy_put(w->rules, by, made, NULL);
}

static void expect_record(struct world *w, unsigned kind, uint64_t object, const char *name,
                          const char *detail)
{
    const struct fake_record *record = fake_last(w->archive, 0);

    assert_int_equal(record->kind, kind);
    assert_int_equal(record->object, object);
    assert_string_equal(record->name, name);
    assert_string_equal(record->detail, detail);
    assert_int_equal(record->actor.user.v, ALICE);
}

static int policy_order_sum(void *arg, const struct emlfs_policy *one)
{
    unsigned *sum = arg;

    *sum = *sum * 10 + one->id;
    return 0;
}

static unsigned order_of(struct world *w)
{
    unsigned sum = 0;

    assert_int_equal(emlfs_rules_policies(w->rules, policy_order_sum, &sum), 0);
    return sum;
}

static void policies_come_and_go(void **state)
{
    struct world *w = *state;
    struct emlfs_policy a = policy("a", "", 6, 0), b = policy("b", "invoice", 10, 0);
    struct emlfs_policy c = policy("c", "party", 1, 0);

    assert_int_equal(put(w, &by_silent, &a), 0);
    assert_int_equal(a.id, 1);
    assert_int_equal(a.order, 1);
    expect_record(w, EMLFS_LEDGER_POLICY_MADE, 1, "a", "");
    assert_int_equal(put(w, &by_alice, &b), 0);
    c.order = 7;
    assert_int_equal(put(w, &by_alice, &c), 0);
    assert_int_equal(order_of(w), 123);
    b.order = 9;
    assert_int_equal(put(w, &by_alice, &b), 0);
    expect_record(w, EMLFS_LEDGER_POLICY_CHANGED, 2, "b", "because");
    assert_int_equal(order_of(w), 132);
    b.order = 7;
    assert_int_equal(put(w, &by_alice, &b), -EEXIST);
    b.order = 9;
    snprintf(b.name, sizeof(b.name), "A");
    assert_int_equal(put(w, &by_alice, &b), -EEXIST);
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_silent, 1, NULL), -EINVAL);
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_alice, 1, NULL), 0);
    expect_record(w, EMLFS_LEDGER_POLICY_DELETED, 1, "a", "because");
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_alice, 1, NULL), -ENOENT);
    /* The number of the last one is not given again, also not after opening anew. */
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_alice, 3, NULL), 0);
    emlfs_rules_close(w->rules);
    world_open(w);
    struct emlfs_policy d = policy("d", "", 1, 0);
    assert_int_equal(put(w, &by_alice, &d), 0);
    assert_int_equal(d.id, 4);
    struct emlfs_policy none = policy("none", "", 1, 0);
    none.id = 77;
    assert_int_equal(put(w, &by_alice, &none), -ENOENT);
}

static void queries_of_policies(void **state)
{
    static const char *const bad[] = {"\"open",          "folder:Inbox",   "-from:bob",
                                      "-size:>5M",       "date:yesterday", "archived:lastmonth",
                                      "-has:attachment", "-folder:Spam",   "unknownfield:x"};
    static const char *const good[] = {"invoice", "from:bob -draft", "date:2020..2021",
                                       "subject:\"annual report\" size:>1M", "-\"a phrase\""};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct emlfs_policy made = policy("p", bad[i], 1, 0);
        int r = put(w, &by_alice, &made);
        if (r != -EINVAL)
            fail_msg("%s: %d", bad[i], r);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char name[16];
        snprintf(name, sizeof(name), "p%zu", i);
        struct emlfs_policy made = policy(name, good[i], 1, 0);
        int r = put(w, &by_alice, &made);
        if (r != 0)
            fail_msg("%s: %d", good[i], r);
    }
    struct emlfs_policy made = policy("x", "a", 0, 0);
    assert_int_equal(put(w, &by_alice, &made), -EINVAL);
}

static void loosening(void **state)
{
    struct world *w = *state;
    struct emlfs_policy a = policy("a", "", 6, 0);

    assert_int_equal(put(w, &by_alice, &a), 0);
    a.period.count = 5;
    assert_int_equal(put(w, &by_silent, &a), -EINVAL);
    assert_int_equal(put(w, &by_alice, &a), 0);
    assert_int_equal(emlfs_rules_set_mode(w->rules, &by_alice, EMLFS_MODE_COMPLIANCE, NULL), 0);
    expect_record(w, EMLFS_LEDGER_MODE_CHANGED, EMLFS_MODE_COMPLIANCE, "compliance", "because");
    assert_int_equal(emlfs_rules_mode(w->rules), EMLFS_MODE_COMPLIANCE);
    a.period.count = 4;
    assert_int_equal(put(w, &by_alice, &a), -EPERM);
    a.period.count = 7;
    assert_int_equal(put(w, &by_silent, &a), 0);
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_alice, a.id, NULL), -EPERM);
    assert_int_equal(emlfs_rules_set_mode(w->rules, &by_alice, EMLFS_MODE_GOVERNANCE, NULL),
                     -EPERM);
    emlfs_rules_close(w->rules);
    world_open(w);
    assert_int_equal(emlfs_rules_mode(w->rules), EMLFS_MODE_COMPLIANCE);
}

/* ---- races: somebody else is quicker between the check and the commit */

static void make_compliance(void *arg)
{
    struct world *w = arg;
    assert_int_equal(emlfs_rules_set_mode(w->rules, &by_alice, EMLFS_MODE_COMPLIANCE, NULL), 0);
}

static void take_name(void *arg)
{
    struct world *w = arg;
    struct emlfs_policy made = policy("a", "", 1, 0);
    struct emlfs_hold held = hold("case", EMLFS_HOLD_ALL, "");

    assert_int_equal(put(w, &by_alice, &made), 0);
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &held, NULL), 0);
}

static void take_login(void *arg)
{
    struct world *w = arg;
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, (struct emlfs_user_id){BOB}, 0,
                                            EMLFS_GRANT_READ, NULL),
                     0);
}

static void quicker(struct world *w, void (*fn)(void *arg))
{
    w->archive->before_check = fn;
    w->archive->before_arg = w;
}

static void two_changes_cannot_both_pass(void **state)
{
    struct world *w = *state;
    struct emlfs_policy first = policy("first", "", 6, 0), twin = policy("a", "", 2, 0);
    struct emlfs_hold held = hold("case", EMLFS_HOLD_ALL, "");
    const struct emlfs_user_change admin = {.set_admin = true, .admin = true};

    assert_int_equal(put(w, &by_alice, &first), 0);
    quicker(w, take_name);
    assert_int_equal(put(w, &by_alice, &twin), -EEXIST);
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &held, NULL), -EEXIST);
    quicker(w, make_compliance);
    assert_int_equal(emlfs_rules_policy_remove(w->rules, &by_alice, first.id, NULL), -EPERM);
    assert_int_equal(emlfs_user_change(w->archive, NULL, "bob", &admin, NULL), 0);
    quicker(w, take_login);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, (struct emlfs_user_id){ALICE}, 0,
                                            EMLFS_GRANT_READ, NULL),
                     -EPERM);
}

/* ---- holds */

static void holds_are_placed_and_released(void **state)
{
    struct world *w = *state;
    struct emlfs_hold query = hold("case 1", EMLFS_HOLD_QUERY, "red");
    struct emlfs_hold bad = hold("bad", EMLFS_HOLD_QUERY, "date:yesterday");
    struct emlfs_hold named = hold("named", EMLFS_HOLD_MESSAGES, "");
    const struct emlfs_msg_id id =
        fake_mail_add((struct emlfs_user_id){BOB}, w->inbox[BOB], 1, "red")->entry.id;

    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &query, NULL), 0);
    expect_record(w, EMLFS_LEDGER_HOLD_MADE, 1, "case 1", "because");
    assert_string_equal(query.placed_by, "alice");
    assert_int_equal(query.placed_ns, w->archive->now_ns);
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &bad, NULL), -EINVAL);
    bad = hold("a/b", EMLFS_HOLD_ALL, "");
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &bad, NULL), -EINVAL);
    bad = hold("bad", EMLFS_HOLD_QUERY, "");
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &bad, NULL), -EINVAL);
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &named, NULL), 0);
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, query.id, id, NULL), -EINVAL);
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, 99, id, NULL), -ENOENT);
    assert_int_equal(
        emlfs_rules_hold_add(w->rules, &by_alice, named.id, (struct emlfs_msg_id){9}, NULL),
        -ENOENT);
    w->archive->changes_left = 0;
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, named.id, id, NULL), -EIO);
    assert_false(rules_named_has(w->rules, named.id, id));
    w->archive->changes_left = UINT32_MAX;
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, named.id, id, NULL), 0);
    expect_record(w, EMLFS_LEDGER_HOLD_CHANGED, named.id, "named", "because");
    assert_int_equal(fake_last(w->archive, 0)->message.v, id.v);
    unsigned records = w->archive->records_n;
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, named.id, id, NULL), 0);
    assert_int_equal(w->archive->records_n, records);
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_silent, query.id, NULL), -EINVAL);
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_alice, query.id, NULL), 0);
    expect_record(w, EMLFS_LEDGER_HOLD_RELEASED, query.id, "case 1", "because");
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_alice, query.id, NULL), -ENOENT);
    struct emlfs_hold again = hold("case 1", EMLFS_HOLD_QUERY, "red");
    assert_int_equal(emlfs_rules_hold_place(w->rules, &by_alice, &again, NULL), 0);
    assert_int_equal(again.id, 3);
}

/* ---- rights */

static int grant_as(struct world *w, const struct emlfs_by *by, unsigned user, const char *group,
                    uint32_t grants)
{
    struct emlfs_grant grant = {.archive = {BOB}, .user = {(uint16_t)user}, .grants = grants};

    snprintf(grant.group, sizeof(grant.group), "%s", group);
    return emlfs_rules_grant(w->rules, by, &grant, NULL);
}

static void rights_are_changed(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};
    struct emlfs_rights rights;
    struct emlfs_grant bad = {.archive = {BOB}, .user = {BOB}, .grants = EMLFS_GRANT_READ};

    assert_int_equal(
        emlfs_rules_set_rights(w->rules, &by_alice, bob, EMLFS_MAY_ALL, EMLFS_GRANT_ALL, NULL), 0);
    expect_record(w, EMLFS_LEDGER_RIGHT_CHANGED, BOB, "bob", "because");
    assert_int_equal(emlfs_rules_rights(w->rules, bob, &rights), 0);
    assert_int_equal(rights.may, EMLFS_MAY_ALL);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, bob, 64, EMLFS_GRANT_READ, NULL),
                     -EINVAL);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, bob, 0, EMLFS_GRANT_WRITE, NULL),
                     -EINVAL);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, (struct emlfs_user_id){ALICE}, 0,
                                            EMLFS_GRANT_READ, NULL),
                     -EPERM);
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &bad, NULL), -EINVAL);
    bad.user.v = 99;
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &bad, NULL), -ENOENT);
    bad = (struct emlfs_grant){.archive = {99}, .user = {BOB}, .grants = EMLFS_GRANT_READ};
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &bad, NULL), -ENOENT);
    bad = (struct emlfs_grant){.archive = {BOB}, .user = {CAROL}};
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &bad, NULL), -ENOENT);
    assert_int_equal(grant_as(w, &by_alice, CAROL, "", EMLFS_GRANT_READ), 0);
    expect_record(w, EMLFS_LEDGER_RIGHT_CHANGED, CAROL, "carol", "because");
    assert_int_equal(fake_last(w->archive, 0)->owner.v, BOB);
    assert_int_equal(emlfs_rules_set_audited(w->rules, &by_alice, EMLFS_AUDIT_READ, NULL), 0);
    expect_record(w, EMLFS_LEDGER_SETTING_CHANGED, EMLFS_AUDIT_READ, "audit", "because");
    assert_int_equal(emlfs_rules_audited(w->rules), EMLFS_AUDIT_READ);
    assert_int_equal(emlfs_rules_set_audited(w->rules, &by_alice, 32, NULL), -EINVAL);
    struct emlfs_by tab = by_alice;
    tab.reason = "a\tb";
    assert_int_equal(emlfs_rules_set_audited(w->rules, &tab, 0, NULL), -EINVAL);
}

static void rights_put(struct world *w, unsigned user, bool access)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf value = EMLFS_BUF_INIT(EMLFS_RIGHTS_ROW_MAX_BYTES);
    struct emlfs_rights rights = emlfs_rights_default((struct emlfs_user_id){(uint16_t)user});
    uint8_t key[2];

    rights.archive_access = access;
    assert_int_equal(emlfs_rights_encode(&rights, &value), 0);
    assert_int_equal(emlfs_archive_master_put(w->archive, EMLFS_MASTER_RIGHTS,
                                              rules_key_u16(rights.user, key),
                                              emlfs_buf_view(&value), NULL),
                     0);
    fake_bump(w->archive);
}

static void nobody_opens_an_archive_to_themselves(void **state)
{
    struct world *w = *state;
    const struct emlfs_by bound = {.actor = {.uid = UID(CAROL), .admin = true}, .who = "x"};
    struct emlfs_grant own = {.archive = {ALICE}, .group = "staff", .grants = EMLFS_GRANT_READ};
    unsigned records = w->archive->records_n;
    struct emlfs_err err = {0};

    const struct emlfs_grant grant = {.archive = {BOB}, .user = {ALICE}, .grants = 1};
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &grant, &err), -EPERM);
    assert_non_null(strstr(err.text, "archive access"));
    assert_int_equal(grant_as(w, &by_alice, 0, "staff", EMLFS_GRANT_READ), -EPERM);
    /* As the uid says, whoever the actor is said to be. */
    assert_int_equal(grant_as(w, &bound, CAROL, "", EMLFS_GRANT_READ), -EPERM);
    w->nss_error = -EIO;
    assert_int_equal(grant_as(w, &by_alice, 0, "sales", EMLFS_GRANT_READ), -EPERM);
    w->nss_error = 0;
    assert_int_equal(w->archive->records_n, records);
    assert_int_equal(grant_as(w, &by_alice, 0, "sales", EMLFS_GRANT_READ), 0);
    assert_int_equal(grant_as(w, &by_alice, 0, "nobody-there", EMLFS_GRANT_READ), 0);
    assert_int_equal(grant_as(w, &by_alice, CAROL, "", EMLFS_GRANT_READ), 0);
    assert_int_equal(emlfs_rules_grant(w->rules, &by_alice, &own, NULL), 0);
    /* What another gave is neither more nor less theirs to take. */
    assert_int_equal(grant_as(w, &by_root, ALICE, "", EMLFS_GRANT_ALL), 0);
    assert_int_equal(grant_as(w, &by_alice, ALICE, "", EMLFS_GRANT_READ), 0);
    assert_int_equal(grant_as(w, &by_alice, ALICE, "", EMLFS_GRANT_ALL), -EPERM);
    assert_int_equal(grant_as(w, &by_alice, ALICE, "", 0), 0);
    rights_put(w, ALICE, true);
    assert_int_equal(grant_as(w, &by_alice, ALICE, "", EMLFS_GRANT_READ), 0);
    assert_int_equal(grant_as(w, &by_alice, 0, "staff", EMLFS_GRANT_READ), 0);
    assert_false(w->locked);
}

/* ---- passwords */

static int login(struct world *w, const char *name, const char *password)
{
    struct emlfs_user user;
    const struct emlfs_actor actor = {.uid = 33, .source = EMLFS_LEDGER_SERVICE};

    int r = emlfs_rules_login(w->rules, &actor, name, emlfs_span_str(password), &user, NULL);
    if (r == 0)
        assert_string_equal(user.name, name);
    return r;
}
#define GOOD "Correct-Horse-7"

static void logging_in(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};

    assert_int_equal(login(w, "bob", ""), -EACCES);
    assert_int_equal(
        emlfs_rules_set_password(w->rules, &by_alice, bob, emlfs_span_str("short"), NULL), -EINVAL);
    assert_int_equal(emlfs_rules_set_password(w->rules, &by_alice, bob, emlfs_span_str(GOOD), NULL),
                     0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_PASSWORD_CHANGED);
    assert_int_equal(login(w, "bob", GOOD), 0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_LOGIN);
    assert_int_equal(fake_last(w->archive, 0)->actor.uid, 33);
    assert_int_equal(login(w, "bob", "wrong"), -EACCES);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_LOGIN_FAILED);
    assert_int_equal(fake_last(w->archive, 0)->outcome, EACCES);
    assert_string_equal(fake_last(w->archive, 0)->name, "bob");
    unsigned records = w->archive->records_n;
    assert_int_equal(emlfs_rules_set_audited(w->rules, &by_alice, 0, NULL), 0);
    assert_int_equal(login(w, "bob", GOOD), 0);
    assert_int_equal(w->archive->records_n, records + 1);
    w->archive->changes_left = 0;
    assert_int_equal(login(w, "bob", "wrong"), -EIO);
    w->archive->changes_left = UINT32_MAX;
    assert_int_equal(login(w, "bob", GOOD), 0);
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice, bob, 0, EMLFS_GRANT_READ, NULL),
                     0);
    assert_int_equal(login(w, "bob", GOOD), -EACCES);
}

static void failures_close_a_name(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};

    assert_int_equal(emlfs_rules_set_password(w->rules, &by_alice, bob, emlfs_span_str(GOOD), NULL),
                     0);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(login(w, "bob", "wrong"), -EACCES);
        assert_int_equal(login(w, "nobody", "wrong"), -EACCES);
    }
    unsigned records = w->archive->records_n;
    assert_int_equal(login(w, "bob", GOOD), -EAGAIN);
    assert_int_equal(login(w, "nobody", GOOD), -EAGAIN);
    assert_int_equal(w->archive->records_n, records);
    world_pass(w, 59 * SECOND);
    assert_int_equal(login(w, "bob", GOOD), -EAGAIN);
    world_pass(w, 2 * SECOND);
    assert_int_equal(login(w, "bob", GOOD), 0);
    assert_int_equal(login(w, "bob", "wrong"), -EACCES);
    assert_int_equal(login(w, "bob", GOOD), 0); /* not five in a row */
}

/* ---- the clock */

static void the_clock_survives_restarts(void **state)
{
    struct world *w = *state;
    struct emlfs_compliance_report report;
    unsigned records = w->archive->records_n;

    world_pass(w, DAY);
    emlfs_rules_clock(w->rules, &report);
    assert_int_equal(report.apart_ns, 0);
    assert_int_equal(report.compliance_ns, w->archive->now_ns);
    emlfs_rules_close(w->rules);
    /* Another boot, a year later by the system clock: followed for 7 days only. */
    w->sample.wall_ns += 365 * DAY;
    w->sample.boot_ns = 5 * SECOND;
    w->sample.boot_id[0] = 2;
    world_open(w);
    emlfs_rules_clock(w->rules, &report);
    assert_int_equal(report.apart_ns, 358 * DAY);
    assert_int_equal(w->archive->records_n, records + 1);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_CLOCK_EVENT);
    assert_string_equal(fake_last(w->archive, 0)->name, "not followed after a restart");
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0); /* told once */
    assert_int_equal(w->archive->records_n, records + 1);
    assert_true(emlfs_rules_arrival_ns(w->rules) >= w->sample.wall_ns);
    /* Together, and apart again: told again. */
    w->sample.wall_ns -= 358 * DAY;
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    assert_int_equal(w->archive->records_n, records + 1);
    w->sample.wall_ns -= 2 * DAY;
    emlfs_rules_clock(w->rules, &report); /* asking alone tells nothing */
    assert_int_equal(w->archive->records_n, records + 1);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    assert_int_equal(w->archive->records_n, records + 2);
    assert_string_equal(fake_last(w->archive, 0)->name, "clocks apart");
}

static void the_clock_is_kept_each_hour(void **state)
{
    struct world *w = *state;

    w->archive->changes_left = 0;
    world_pass(w, 1800 * SECOND);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    world_pass(w, 1801 * SECOND);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), -EIO);
    w->archive->changes_left = 1;
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    assert_int_equal(w->archive->changes_left, 0);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    w->archive->read_only = true;
    world_pass(w, DAY);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    w->archive->read_only = false;
}

/* ---- rows that say nothing known */

static void damaged_rules_decide_nothing(void **state)
{
    struct world *w = *state;
    const struct emlfs_rules_options options = {
        .archive = w->archive, .bindings = w->bindings, .sample = world_sample, .sample_arg = w};
    struct emlfs_rules *rules;

    fake_put(w->archive, EMLFS_MASTER_RULE, emlfs_span_str("later"), emlfs_span_of("\1\1", 2));
    assert_int_equal(emlfs_rules_open(&options, &rules, NULL), -EPROTONOSUPPORT);
    fake_put(w->archive, EMLFS_MASTER_RULE, emlfs_span_str("later"), emlfs_span_of("", 0));
    fake_put(w->archive, EMLFS_MASTER_RULE, emlfs_span_str("mode"), emlfs_span_of("\1\3", 2));
    assert_int_equal(emlfs_rules_open(&options, &rules, NULL), -EUCLEAN);
    fake_put(w->archive, EMLFS_MASTER_RULE, emlfs_span_str("mode"), emlfs_span_of("", 0));
    fake_put(w->archive, EMLFS_MASTER_CLOCK, emlfs_span_str("clock"), emlfs_span_of("\1", 1));
    assert_int_equal(emlfs_rules_open(&options, &rules, NULL), -EUCLEAN);
    fake_put(w->archive, EMLFS_MASTER_CLOCK, emlfs_span_str("clock"), emlfs_span_of("\2", 1));
    assert_int_equal(emlfs_rules_open(&options, &rules, NULL), -EPROTONOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(policies_come_and_go),
        WORLD_TEST(queries_of_policies),
        WORLD_TEST(loosening),
        WORLD_TEST(two_changes_cannot_both_pass),
        WORLD_TEST(holds_are_placed_and_released),
        WORLD_TEST(rights_are_changed),
        WORLD_TEST(nobody_opens_an_archive_to_themselves),
        WORLD_TEST(logging_in),
        WORLD_TEST(failures_close_a_name),
        WORLD_TEST(the_clock_survives_restarts),
        WORLD_TEST(the_clock_is_kept_each_hour),
        WORLD_TEST(damaged_rules_decide_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
