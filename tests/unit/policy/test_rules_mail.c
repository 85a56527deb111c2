/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Messages under the rules: verdicts, listings, what is due and what is held. */
#include "rules_world.h"

#define YEAR (366 * DAY)

static struct emlfs_who who_of(struct world *w, unsigned user)
{
    const struct emlfs_subject subject = subject_of(user);
    struct emlfs_who who;

    emlfs_rules_who(w->rules, &subject, &who);
    return who;
}

static struct emlfs_entry_at at_of(const struct fake_mail *mail)
{
    return (struct emlfs_entry_at){mail->entry.user, mail->entry.folder, mail->entry.id};
}

static struct fake_mail *mail_of(struct world *w, unsigned user, uint32_t number, const char *text)
{
    return fake_mail_add((struct emlfs_user_id){(uint16_t)user}, w->inbox[user], number, text);
}

static void may_delete(struct world *w, unsigned user)
{
    assert_int_equal(emlfs_rules_set_rights(w->rules, &by_alice,
                                            (struct emlfs_user_id){(uint16_t)user}, EMLFS_MAY_ALL,
                                            EMLFS_GRANT_ALL, NULL),
                     0);
}

static void put(struct world *w, struct emlfs_policy made)
{
    struct emlfs_err err = {0};

    if (emlfs_rules_policy_put(w->rules, &by_alice, &made, &err) < 0)
        fail_msg("%s", err.text);
}

static uint32_t place(struct world *w, struct emlfs_hold made)
{
    struct emlfs_err err = {0};

    if (emlfs_rules_hold_place(w->rules, &by_alice, &made, &err) < 0)
        fail_msg("%s", err.text);
    return made.id;
}

static int deleting(struct world *w, unsigned user, const struct fake_mail *mail)
{
    const struct emlfs_who who = who_of(w, user);
    const struct emlfs_entry_at at = at_of(mail);
    struct emlfs_verdict *verdict = NULL;

    int r = emlfs_rules_delete(w->rules, &who, &at, &verdict, NULL);
    assert_int_equal(verdict != NULL, r == 0);
    if (verdict) {
        assert_int_equal(emlfs_verdict_terms(verdict)->generation,
                         emlfs_archive_generation(w->archive));
        assert_int_equal(emlfs_verdict_terms(verdict)->id.v, mail->entry.id.v);
        assert_int_equal(emlfs_verdict_terms(verdict)->archive.v, mail->entry.user.v);
    }
    emlfs_verdict_free(verdict);
    return r;
}

static bool loose(struct world *w, const struct fake_mail *mail)
{
    bool ret;

    assert_int_equal(emlfs_rules_loose(w->rules, &mail->entry, 1, &ret, NULL), 0);
    return ret;
}

static void verdicts_need_everything(void **state)
{
    struct world *w = *state;
    struct fake_mail *mail = mail_of(w, BOB, 1, "invoice");
    struct fake_mail *other = mail_of(w, BOB, 2, "party");

    mail->entry.ctime_ns = other->entry.ctime_ns = w->archive->now_ns;
    assert_int_equal(deleting(w, BOB, mail), -EACCES);
    may_delete(w, BOB);
    assert_int_equal(deleting(w, BOB, mail), 0);
    assert_int_equal(deleting(w, CAROL, mail), -ENOENT);
    assert_int_equal(deleting(w, ALICE, mail), -ENOENT);
    put(w, policy("invoices", "invoice", 1, 0));
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
    assert_int_equal(deleting(w, BOB, other), 0);
    assert_false(loose(w, mail));
    assert_true(loose(w, other));
    other->unknown = true;
    assert_int_equal(deleting(w, BOB, other), -EPERM);
    assert_false(loose(w, other));
    other->unknown = false;
    w->index.error = -EBADMSG;
    assert_int_equal(deleting(w, BOB, other), -EPERM);
    w->index.error = 0;
    world_pass(w, 2 * YEAR);
    assert_int_equal(deleting(w, BOB, mail), 0);
    w->sample_error = -EIO;
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
    w->sample_error = 0;
    uint32_t global = place(w, hold("all", EMLFS_HOLD_ALL, ""));
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_alice, global, NULL), 0);
    assert_int_equal(deleting(w, BOB, mail), 0);
    w->archive->states[1] = EMLFS_STORE_WRITE_PROTECTED;
    assert_int_equal(deleting(w, BOB, mail), -EROFS);
    w->archive->states[1] = EMLFS_STORE_NORMAL;
    fake_bump(w->archive); /* as a change of a store's state does */
    struct fake_mail gone = *mail;
    gone.entry.id.v += 50;
    assert_int_equal(deleting(w, BOB, &gone), -ENOENT);
}

/* Both clocks must say so: setting the system clock ahead deletes nothing. */
static void a_jump_of_the_clock_deletes_nothing(void **state)
{
    struct world *w = *state;
    struct fake_mail *mail = mail_of(w, BOB, 1, "invoice");

    mail->entry.ctime_ns = w->archive->now_ns;
    may_delete(w, BOB);
    put(w, policy("all", "", 1, 0));
    w->sample.wall_ns += 3 * YEAR;
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
    assert_int_equal(emlfs_rules_tick(w->rules, NULL), 0);
    assert_int_equal(fake_last(w->archive, 0)->kind, EMLFS_LEDGER_CLOCK_EVENT);
}

static void moving(void **state)
{
    struct world *w = *state;
    struct fake_mail *mail = mail_of(w, BOB, 1, "invoice");
    const struct emlfs_entry_at at = at_of(mail);
    const struct emlfs_user_id bob = {BOB}, carol = {CAROL};
    struct emlfs_verdict *verdict;

    struct emlfs_who who = who_of(w, BOB);
    assert_int_equal(emlfs_rules_move(w->rules, &who, &at, bob, &verdict, NULL), 0);
    assert_int_equal(emlfs_verdict_terms(verdict)->act, EMLFS_ACT_MOVE);
    emlfs_verdict_free(verdict);
    assert_int_equal(emlfs_rules_move(w->rules, &who, &at, carol, &verdict, NULL), -ENOENT);
    grant_user(w, CAROL, BOB, EMLFS_GRANT_READ | EMLFS_GRANT_WRITE);
    assert_int_equal(emlfs_rules_move(w->rules, &who, &at, carol, &verdict, NULL), -EPERM);
    may_delete(w, BOB);
    assert_int_equal(emlfs_rules_move(w->rules, &who, &at, carol, &verdict, NULL), 0);
    emlfs_verdict_free(verdict);
    place(w, hold("case", EMLFS_HOLD_QUERY, "invoice"));
    assert_int_equal(emlfs_rules_move(w->rules, &who, &at, bob, &verdict, NULL), -EPERM);
    assert_null(verdict);
}

struct told {
    int refusal;
    size_t holds;
    char policy[EMLFS_POLICY_NAME_MAX_BYTES + 1];
};
static int tell(void *arg, const struct emlfs_explanation *why)
{
    struct told *told = arg;

    told->refusal = why->refusal;
    told->holds = why->holds;
    snprintf(told->policy, sizeof(told->policy), "%s",
             why->earliest_policy ? why->earliest_policy->name : "");
    return 0;
}

static void explaining(void **state)
{
    struct world *w = *state;
    struct fake_mail *mail = mail_of(w, BOB, 1, "invoice");
    const struct emlfs_entry_at at = at_of(mail);
    struct told told = {0};

    mail->entry.ctime_ns = w->archive->now_ns;
    may_delete(w, BOB);
    put(w, policy("invoices", "invoice", 6, 0));
    place(w, hold("case", EMLFS_HOLD_QUERY, "invoice"));
    place(w, hold("other", EMLFS_HOLD_QUERY, "party"));
    struct emlfs_who who = who_of(w, BOB);
    assert_int_equal(emlfs_rules_explain(w->rules, &who, &at, tell, &told, NULL), 0);
    assert_int_equal(told.refusal, EPERM);
    assert_int_equal(told.holds, 1);
    assert_string_equal(told.policy, "invoices");
    who = who_of(w, CAROL);
    assert_int_equal(emlfs_rules_explain(w->rules, &who, &at, tell, &told, NULL), -ENOENT);
}

/* ---- dates */

static void claims_count_only_where_vouched(void **state)
{
    struct world *w = *state;
    struct fake_mail *mail = mail_of(w, BOB, 1, "invoice");
    struct emlfs_policy received = policy("received", "", 1, 0);

    mail->entry.ctime_ns = w->archive->now_ns;
    const int64_t claimed_sec = w->archive->now_ns / SECOND - 3 * YEAR / SECOND;
    mail->facts = (struct emlfs_facts){.date_sec = claimed_sec,
                                       .date_source = EMLFS_DATE_DATE,
                                       .has_received = true,
                                       .received_sec = claimed_sec};
    may_delete(w, BOB);
    received.start = EMLFS_START_RECEIVED;
    put(w, received);
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
    mail->entry.flags |= EMLFS_ENTRY_VOUCHED;
    assert_int_equal(deleting(w, BOB, mail), 0);
    /* What it claims is not known, whatever the date is that it is shown with. */
    mail->facts.has_received = false;
    assert_int_equal(deleting(w, BOB, mail), -EPERM);
}

/* ---- pages against single answers, random rules */

static uint32_t dice_of(uint64_t *state, uint32_t sides)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33) % sides;
}

static const char *const words[] = {"red", "green", "blue", "white"};

static void rules_roll(struct world *w, uint64_t *dice)
{
    for (unsigned i = dice_of(dice, 4); i > 0; i--) {
        char name[16];
        snprintf(name, sizeof(name), "p%u", i);
        put(w, policy(name, dice_of(dice, 4) ? words[dice_of(dice, 4)] : "", 1 + dice_of(dice, 4),
                      dice_of(dice, 2) ? EMLFS_POLICY_AUTO_DELETE : 0));
    }
    for (unsigned i = dice_of(dice, 3); i > 0; i--) {
        char name[16];
        snprintf(name, sizeof(name), "h%u", i);
        place(w, hold(name, EMLFS_HOLD_QUERY, words[dice_of(dice, 4)]));
    }
}

static void mail_roll(struct world *w, uint64_t *dice, unsigned n, unsigned step)
{
    uint32_t number = 1;

    fake_mail_n = 0;
    for (unsigned i = 0; i < n; i++) {
        char text[64] = "";
        for (unsigned j = 0; j < 4; j++)
            if (dice_of(dice, 3) == 0)
                strncat(text, words[j], sizeof(text) - strlen(text) - 1);
        struct fake_mail *mail = mail_of(w, BOB, number, text);
        mail->entry.ctime_ns = w->archive->now_ns - dice_of(dice, 6) * YEAR;
        mail->unknown = dice_of(dice, 8) == 0;
        number += 1 + dice_of(dice, step);
    }
}

/* By the definition, rule by rule: retention.h and hold.h. */
static int plain_policy(void *arg, const struct emlfs_policy *rule)
{
    const struct fake_mail *mail = arg;
    return mail->unknown ? -EAGAIN : strstr(mail->text, rule->query) != NULL;
}

static int plain_hold(void *arg, const struct emlfs_hold *rule)
{
    const struct fake_mail *mail = arg;
    return mail->unknown ? -EAGAIN : strstr(mail->text, rule->query) != NULL;
}

static bool plain_loose(struct world *w, struct fake_mail *mail)
{
    struct rules_snapshot *now;
    struct emlfs_retention retention;
    struct emlfs_held held;
    const int64_t sec = emlfs_sec_of_ns(mail->entry.ctime_ns);
    const struct emlfs_retention_dates dates = {.archived_sec = sec, .floor_sec = sec};

    assert_int_equal(rules_snapshot_get(w->rules, &now, NULL), 0);
    const struct emlfs_policy_set policies = rules_policy_set(now);
    const struct emlfs_hold_set holds = rules_hold_set(now);
    (void)emlfs_retention_of(&policies, &dates, plain_policy, mail, &retention);
    (void)emlfs_hold_of(&holds, plain_hold, mail, &held);
    rules_snapshot_unref(now);
    return !held.held && (retention.earliest_sec == EMLFS_TIME_ALWAYS ||
                          retention.earliest_sec <= w->sample.wall_ns / SECOND);
}

#define PAGE 60u

static void pages_say_what_single_answers_say(struct world *w, uint64_t *dice)
{
    static struct emlfs_entry entries[PAGE];
    bool page[PAGE], one;

    rules_roll(w, dice);
    mail_roll(w, dice, PAGE, dice_of(dice, 2) ? 3 : 2000);
    for (unsigned i = 0; i < PAGE; i++)
        entries[i] = fake_mail[i].entry;
    assert_int_equal(emlfs_rules_loose(w->rules, entries, PAGE, page, NULL), 0);
    for (unsigned i = 0; i < PAGE; i++) {
        assert_int_equal(emlfs_rules_loose(w->rules, &entries[i], 1, &one, NULL), 0);
        assert_int_equal(page[i], one);
        assert_int_equal(page[i], plain_loose(w, &fake_mail[i]));
        assert_int_equal(deleting(w, BOB, &fake_mail[i]), page[i] ? 0 : -EPERM);
    }
}

static void random_pages(void **state)
{
    uint64_t dice = 20261129;

    for (unsigned round = 0; round < 60; round++) {
        void *world = NULL;
        world_setup(&world);
        may_delete(world, BOB);
        pages_say_what_single_answers_say(world, &dice);
        world_teardown(&world);
    }
    (void)state;
}

/* One search a rule where entries lie together; nothing where no rule has a query. */
static void pages_cost_little(void **state)
{
    struct world *w = *state;
    static struct emlfs_entry entries[PAGE];
    uint64_t dice = 5;
    bool ret[PAGE];

    mail_roll(w, &dice, PAGE, 2);
    for (unsigned i = 0; i < PAGE; i++)
        entries[i] = fake_mail[i].entry;
    put(w, policy("all", "", 1, 0));
    assert_int_equal(emlfs_rules_loose(w->rules, entries, PAGE, ret, NULL), 0);
    assert_int_equal(w->index.searches + w->index.singles, 0);
    place(w, hold("h", EMLFS_HOLD_QUERY, "red"));
    assert_int_equal(emlfs_rules_loose(w->rules, entries, PAGE, ret, NULL), 0);
    assert_int_equal(w->index.searches, 1);
    assert_int_equal(w->index.singles, 0);
}

/* ---- due */

struct due_list {
    unsigned n;
    struct emlfs_due v[16];
};
static int due_keep(void *arg, const struct emlfs_due *due)
{
    struct due_list *list = arg;

    assert_true(list->n < 16);
    list->v[list->n++] = *due;
    return 0;
}

static void what_is_due(void **state)
{
    struct world *w = *state;
    struct due_list list = {0};
    const int64_t now_sec = w->archive->now_ns / SECOND;
    const struct emlfs_user_id bob = {BOB};

    struct emlfs_folder_id below = fake_folder_add(w->archive, w->inbox[BOB], bob, "below");
    struct emlfs_folder_id deep = fake_folder_add(w->archive, below, bob, "deep");
    struct emlfs_folder_id beside = fake_folder_add(w->archive, w->inbox[BOB], bob, "beside");
    mail_of(w, ALICE, 1, "old spam");
    fake_mail_add(bob, deep, 2, "old spam");
    fake_mail_add(bob, beside, 3, "old spam held");
    fake_mail_add(bob, below, 4, "old ham");
    mail_of(w, BOB, 5, "spam")->entry.ctime_ns = w->archive->now_ns;
    put(w, policy("keep", "ham", 1, 0));
    assert_int_equal(emlfs_rules_due(w->rules, now_sec, due_keep, &list, NULL, NULL), 0);
    assert_int_equal(list.n, 0);
    put(w, policy("spam", "spam", 1, EMLFS_POLICY_AUTO_DELETE));
    place(w, hold("case", EMLFS_HOLD_QUERY, "held"));
    assert_int_equal(emlfs_rules_due(w->rules, now_sec, due_keep, &list, NULL, NULL), 0);
    assert_int_equal(list.n, 3);
    for (unsigned i = 0; i < list.n; i++) {
        const struct emlfs_entry_at at = {list.v[i].entry.user, list.v[i].entry.folder,
                                          list.v[i].entry.id};
        struct emlfs_verdict *verdict;
        assert_int_equal(emlfs_msg_id_number(at.id), i + 1);
        assert_int_equal(list.v[i].held, i == 2);
        assert_int_equal(list.v[i].policy, 2);
        assert_int_equal(emlfs_rules_expire(w->rules, &at, &verdict, NULL), i == 2 ? -EPERM : 0);
        emlfs_verdict_free(verdict);
    }
    const struct emlfs_entry_at young = at_of(&fake_mail[4]);
    struct emlfs_verdict *verdict;
    assert_int_equal(emlfs_rules_expire(w->rules, &young, &verdict, NULL), -EAGAIN);
    assert_null(verdict);
    atomic_bool cancel = true;
    const struct emlfs_progress progress = {.cancel = &cancel};
    assert_int_equal(emlfs_rules_due(w->rules, now_sec, due_keep, &list, &progress, NULL),
                     -ECANCELED);
}

/* ---- held */

static unsigned held_count(struct world *w, uint32_t id, unsigned max, uint32_t *ret_last)
{
    struct emlfs_entry room[8];
    struct emlfs_held_page page = {.hold = id, .v = room, .max = max};
    unsigned n = 0;

    do {
        assert_int_equal(emlfs_rules_held(w->rules, &page, NULL), 0);
        for (unsigned i = 0; i < page.n; i++) {
            assert_true(room[i].id.v > page.after.v);
            page.after = room[i].id;
            *ret_last = emlfs_msg_id_number(room[i].id);
        }
        n += page.n;
    } while (page.n > 0);
    return n;
}

static void what_a_hold_covers(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id carol = {CAROL};
    uint32_t last = 0;

    mail_of(w, BOB, 1, "red");
    mail_of(w, ALICE, 2, "green");
    mail_of(w, BOB, 5, "red");
    fake_mail_add(carol, w->inbox[CAROL], 5, "red");
    mail_of(w, ALICE, 5000, "red");
    mail_of(w, ALICE, 2000000, "red and green");
    uint32_t all = place(w, hold("all", EMLFS_HOLD_ALL, ""));
    uint32_t red = place(w, hold("red", EMLFS_HOLD_QUERY, "red"));
    uint32_t named = place(w, hold("named", EMLFS_HOLD_MESSAGES, ""));
    for (unsigned max = 1; max < 8; max += 3) {
        assert_int_equal(held_count(w, red, max, &last), 4);
        assert_int_equal(last, 2000000);
        assert_int_equal(held_count(w, named, max, &last), 0);
    }
    assert_int_equal(held_count(w, all, 8, &last), 5);
    const struct emlfs_msg_id ids[] = {fake_mail[4].entry.id, fake_mail[1].entry.id};
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, named, ids[i], NULL), 0);
    assert_int_equal(held_count(w, named, 1, &last), 2);
    assert_int_equal(last, 5000);
    struct emlfs_held_page page = {.hold = 99};
    assert_int_equal(emlfs_rules_held(w->rules, &page, NULL), -ENOENT);
    /* Named messages are there again after the archive was opened anew. */
    emlfs_rules_close(w->rules);
    world_open(w);
    assert_int_equal(held_count(w, named, 8, &last), 2);
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_alice, named, NULL), 0);
    page.hold = named;
    assert_int_equal(emlfs_rules_held(w->rules, &page, NULL), -ENOENT);
}

static int folder_free(struct world *w, struct emlfs_folder_id id)
{
    uint64_t generation = 0;

    int r = emlfs_rules_folder_free(w->rules, id, &generation, NULL);
    assert_int_equal(generation, emlfs_archive_generation(w->archive));
    return r;
}

static void held_folders_stay(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};

    struct emlfs_folder_id below = fake_folder_add(w->archive, w->inbox[BOB], bob, "below");
    struct emlfs_folder_id beside = fake_folder_add(w->archive, w->inbox[BOB], bob, "beside");
    struct emlfs_folder_id deep = fake_folder_add(w->archive, below, bob, "deep");
    fake_mail_add(bob, deep, 1, "red");
    fake_mail_add(bob, beside, 2, "green");
    assert_int_equal(folder_free(w, below), 0);
    place(w, hold("red", EMLFS_HOLD_QUERY, "red"));
    assert_int_equal(folder_free(w, below), -EPERM);
    assert_int_equal(folder_free(w, deep), -EPERM);
    assert_int_equal(folder_free(w, beside), 0);
    fake_mail[1].unknown = true;
    assert_int_equal(folder_free(w, beside), -EPERM);
}

/* Mail of a store that is not shown is held by whatever could hold it. */
static void hidden_mail_keeps_its_folder(void **state)
{
    struct world *w = *state;
    const struct emlfs_user_id bob = {BOB};
    struct emlfs_folder_id above = fake_folder_add(w->archive, w->inbox[BOB], bob, "above");
    struct emlfs_folder_id below = fake_folder_add(w->archive, above, bob, "below");
    struct emlfs_folder_id empty = fake_folder_add(w->archive, w->inbox[BOB], bob, "empty");
    const struct emlfs_msg_id id = fake_mail_add(bob, below, 1, "green")->entry.id;

    place(w, hold("red", EMLFS_HOLD_QUERY, "red"));
    assert_int_equal(folder_free(w, above), 0);
    w->archive->states[1] = EMLFS_STORE_DISABLED;
    fake_bump(w->archive);
    assert_int_equal(folder_free(w, above), -EPERM);
    assert_int_equal(folder_free(w, below), -EPERM);
    assert_int_equal(folder_free(w, empty), 0);
    assert_int_equal(emlfs_rules_hold_release(w->rules, &by_alice, 1, NULL), 0);
    uint32_t named = place(w, hold("named", EMLFS_HOLD_MESSAGES, ""));
    assert_int_equal(folder_free(w, above), 0);
    assert_int_equal(emlfs_rules_hold_add(w->rules, &by_alice, named, id, NULL), 0);
    assert_int_equal(folder_free(w, above), -EPERM);
    assert_int_equal(folder_free(w, empty), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(verdicts_need_everything),
        WORLD_TEST(a_jump_of_the_clock_deletes_nothing),
        WORLD_TEST(moving),
        WORLD_TEST(explaining),
        WORLD_TEST(claims_count_only_where_vouched),
        cmocka_unit_test(random_pages),
        WORLD_TEST(pages_cost_little),
        WORLD_TEST(what_is_due),
        WORLD_TEST(what_a_hold_covers),
        WORLD_TEST(held_folders_stay),
        WORLD_TEST(hidden_mail_keeps_its_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
