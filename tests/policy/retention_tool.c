/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The retention functions behind lines of numbers, for reference.py. One answer line for each line:
 *
 *   M SET archived floor has_received received has_sent sent mask -> earliest latest first last
 *   C mode new_mode SET SET                                       -> result loosens
 *
 * SET is: n, then for each of n policies: flags start unit count query. query -1 is every message;
 * otherwise it matches a message in whose mask this bit is set.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "emlfs/retention.h"

struct set_room {
    struct emlfs_policy policies[EMLFS_POLICIES_MAX];
    struct emlfs_policy_set set;
};

static void need(bool ok)
{
    if (ok)
        return;
    fprintf(stderr, "retention_tool: a line is not as it should be\n");
    exit(2);
}

static int64_t number(void)
{
    int64_t value;

    need(scanf("%" SCNd64, &value) == 1);
    return value;
}

static void set_read(struct set_room *room)
{
    size_t n = (size_t)number();

    need(n <= EMLFS_POLICIES_MAX);
    room->set = (struct emlfs_policy_set){room->policies, n};
    for (size_t i = 0; i < n; i++) {
        struct emlfs_policy *policy = &room->policies[i];
        *policy = (struct emlfs_policy){.id = (uint32_t)i + 1, .order = (uint32_t)i};
        policy->flags = (uint32_t)number();
        policy->start = (enum emlfs_policy_start)number();
        policy->period.unit = (enum emlfs_period_unit)number();
        policy->period.count = (uint32_t)number();
        int query = (int)number();
        snprintf(policy->name, sizeof(policy->name), "policy %zu", i);
        if (query >= 0)
            snprintf(policy->query, sizeof(policy->query), "%d", query);
    }
    need(emlfs_policy_set_check(&room->set, NULL) == 0);
}

static int mask_match(void *arg, const struct emlfs_policy *policy)
{
    const int64_t *mask = arg;
    return *mask >> strtol(policy->query, NULL, 10) & 1;
}

static void message_answer(void)
{
    struct set_room room;
    struct emlfs_retention found;

    set_read(&room);
    struct emlfs_retention_dates dates = {.archived_sec = number()};
    dates.floor_sec = number();
    dates.has_received = number() != 0;
    dates.received_sec = number();
    dates.has_sent = number() != 0;
    dates.sent_sec = number();
    int64_t mask = number();
    need(emlfs_retention_of(&room.set, &dates, mask_match, &mask, &found) == 0);
    printf("%" PRId64 " %" PRId64 " %zu %zu\n", found.earliest_sec, found.latest_sec,
           found.earliest_policy, found.latest_policy);
}

static void change_answer(void)
{
    struct set_room from, to;
    struct emlfs_policy_change change;
    bool loosens;

    change.mode = (enum emlfs_retention_mode)number();
    change.new_mode = (enum emlfs_retention_mode)number();
    set_read(&from);
    set_read(&to);
    change.from = from.set;
    change.to = to.set;
    int r = emlfs_policy_change_check(&change, &loosens, NULL);
    printf("%d %d\n", -r, loosens);
}

int main(void)
{
    char what;

    while (scanf(" %c", &what) == 1) {
        need(what == 'M' || what == 'C');
        if (what == 'M')
            message_answer();
        else
            change_answer();
    }
    return 0;
}
