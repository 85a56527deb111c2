/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Retention in a real archive with an index behind lines of numbers, for reference.py:
 *
 *   N                                     then N messages, by ascending archived:
 *   archived vouched has_received received has_sent sent mask
 *   until n, then n times: flags start unit count query       a set of policies, until the end
 *
 * For each set: a line "earliest latest first last" for each message, then a line of the messages
 * that are due before until, as "due" and their numbers. What fixed a date is an index of the set,
 * n for none. Query -1 is every message; otherwise those in whose mask this bit is set.
 */
#include <inttypes.h>

#include "timed_mail.h"

#define SLOTS 6u

static int64_t number(void)
{
    int64_t value;

    timed_need(scanf("%" SCNd64, &value) == 1 ? 0 : -EINVAL, NULL);
    return value;
}

static void mail_read(struct timed *t)
{
    struct timed_mail mail = {0};
    char words[100] = "mail";

    t->arrival_ns = number() * TIMED_SECOND;
    mail.vouched = number() != 0;
    mail.has_received = number() != 0;
    mail.received_sec = number();
    mail.has_sent = number() != 0;
    mail.sent_sec = number();
    int64_t mask = number();
    for (unsigned i = 0; i < 8; i++)
        if (mask >> i & 1)
            (void)snprintf(words + strlen(words), sizeof(words) - strlen(words), " word%u", i);
    mail.words = words;
    t->mail[timed_put(t, &mail)].words = NULL;
}

static struct emlfs_policy policy_read(unsigned slot)
{
    struct emlfs_policy policy = {.order = slot + 1};

    policy.flags = (uint32_t)number();
    policy.start = (enum emlfs_policy_start)number();
    policy.period.unit = (enum emlfs_period_unit)number();
    policy.period.count = (uint32_t)number();
    int query = (int)number();
    (void)snprintf(policy.name, sizeof(policy.name), "policy %u", slot);
    if (query >= 0)
        (void)snprintf(policy.query, sizeof(policy.query), "subject:word%d", query);
    return policy;
}

/* Each slot is one policy for ever; what a set does not use is disabled. */
static unsigned set_read(struct timed *t, struct emlfs_policy slots[SLOTS])
{
    unsigned n = (unsigned)number();
    struct emlfs_err err = {0};

    timed_need(n <= SLOTS ? 0 : -E2BIG, NULL);
    for (unsigned i = 0; i < SLOTS; i++) {
        struct emlfs_policy policy = slots[i];

        if (i >= n && !(policy.flags & EMLFS_POLICY_ENABLED))
            continue;
        policy.flags &= ~EMLFS_POLICY_ENABLED;
        if (i < n)
            policy = policy_read(i);
        policy.id = slots[i].id;
        timed_need(emlfs_rules_policy_put(t->rules, &timed_by, &policy, &err), &err);
        slots[i] = policy;
    }
    return n;
}

static unsigned slot_of(const struct emlfs_policy slots[SLOTS], uint32_t id, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (slots[i].id == id)
            return i;
    return n;
}

static int due_print(void *arg, const struct emlfs_due *due)
{
    const struct timed *t = arg;

    for (unsigned i = 0; i < t->mail_n; i++)
        if (t->mail[i].id.v == due->entry.id.v)
            printf(" %u", i);
    return 0;
}

static void set_answer(struct timed *t, struct emlfs_policy slots[SLOTS], int64_t until_sec)
{
    unsigned n = set_read(t, slots);
    struct emlfs_err err = {0};

    for (unsigned i = 0; i < t->mail_n; i++) {
        const struct timed_told told = timed_ask(t, i);

        printf("%" PRId64 " %" PRId64 " %u %u\n", told.earliest_sec, told.latest_sec,
               slot_of(slots, told.earliest_policy, n), slot_of(slots, told.latest_policy, n));
    }
    printf("due");
    timed_need(emlfs_rules_due(t->rules, until_sec, due_print, t, NULL, &err), &err);
    printf("\n");
}

int main(void)
{
    struct emlfs_policy slots[SLOTS] = {0};
    int64_t until_sec;
    unsigned n = (unsigned)number();
    struct timed *t = timed_new(500000000);

    while (n-- > 0)
        mail_read(t);
    while (scanf("%" SCNd64, &until_sec) == 1)
        set_answer(t, slots, until_sec);
    timed_free(t);
    return 0;
}
