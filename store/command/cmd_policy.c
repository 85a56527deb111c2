/* SPDX-License-Identifier: GPL-3.0-or-later */
/* policy list, add, set, remove, move. */
#include "handlers.h"

#include <stdio.h>
#include <stdlib.h>

#include "emlfs/text.h"

#define ORDER_STEP 16u /* between the orders of policies that are spread anew */

static const struct emlfs_word start_words[] = {
    {"archived", EMLFS_START_ARCHIVED},
    {"received", EMLFS_START_RECEIVED},
    {"sent", EMLFS_START_SENT},
    {"year-end", EMLFS_START_YEAR_END},
};
static const struct emlfs_words starts = EMLFS_WORDS(start_words);

/* ---- looking them up */

struct policy_list {
    struct emlfs_policy v[EMLFS_POLICIES_MAX];
    size_t n;
};

static int policy_collect(void *arg, const struct emlfs_policy *policy)
{
    struct policy_list *list = arg;

    if (list->n == EMLFS_POLICIES_MAX)
        return -E2BIG;
    list->v[list->n++] = *policy;
    return 0;
}

/* To be freed. */
static int policies_load(struct emlfs_call *call, struct policy_list **ret, struct emlfs_err *err)
{
    struct policy_list *list = calloc(1, sizeof(*list));
    int r = list ? emlfs_rules_policies(call->rules, policy_collect, list) : -ENOMEM;

    *ret = list;
    return r < 0 ? emlfs_err_sys(err, -r, "policy", "reading the policies") : 0;
}

/* Where the policy stands that NAME says. */
static int policy_index(const struct policy_list *list, const char *name, size_t *ret,
                        struct emlfs_err *err)
{
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->v[i].name, name) == 0) {
            *ret = i;
            return 0;
        }
    return emlfs_err_set(err, ENOENT, "policy", "no policy %s", name);
}

static int policy_find(struct emlfs_call *call, struct emlfs_policy *ret, struct emlfs_err *err)
{
    struct policy_list *list;
    size_t at = 0;
    int r = policies_load(call, &list, err);

    if (r == 0)
        r = policy_index(list, emlfs_args_text(call->args, "NAME"), &at, err);
    if (r == 0)
        *ret = list->v[at];
    free(list);
    return r;
}

/* ---- rows */

static void period_text(struct emlfs_period period, char *ret, size_t size)
{
    const char *unit = period.unit == EMLFS_PERIOD_DAYS     ? "d"
                       : period.unit == EMLFS_PERIOD_MONTHS ? "m"
                                                            : "y";

    snprintf(ret, size, "%u%s", period.count, unit);
}

static int policy_put(struct emlfs_call *call, const struct emlfs_policy *policy, uint64_t position,
                      struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();
    char period[16];

    if (row) {
        period_text(policy->period, period, sizeof(period));
        if (position)
            emlfs_row_number(row, "position", position);
        emlfs_row_text(row, "name", policy->name);
        emlfs_row_text(row, "query", policy->query);
        emlfs_row_text(row, "period", period);
        emlfs_row_text(row, "start", emlfs_words_name(&starts, policy->start));
        emlfs_row_flag(row, "auto_delete", policy->flags & EMLFS_POLICY_AUTO_DELETE);
        emlfs_row_flag(row, "enabled", policy->flags & EMLFS_POLICY_ENABLED);
        emlfs_row_number(row, "id", policy->id);
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_policy_list(struct emlfs_call *call, struct emlfs_err *err)
{
    struct policy_list *list;
    int r = policies_load(call, &list, err);

    for (size_t i = 0; r == 0 && i < list->n; i++)
        r = policy_put(call, &list->v[i], i + 1, err);
    free(list);
    return r;
}

/* ---- arguments */

static int period_parse(const char *text, struct emlfs_period *ret, struct emlfs_err *err)
{
    char *end;
    unsigned long count;

    errno = 0;
    count = strtoul(text, &end, 10);
    ret->unit = *end == 'd'   ? EMLFS_PERIOD_DAYS
                : *end == 'm' ? EMLFS_PERIOD_MONTHS
                              : EMLFS_PERIOD_YEARS;
    if (text[0] < '1' || text[0] > '9' || errno || count > UINT32_MAX || !*end || end[1] ||
        !strchr("dmy", *end))
        return emlfs_err_set(err, EINVAL, "policy",
                             "--period: a number and d, m or y (90d, 18m, 6y), not \"%.32s\"",
                             text);
    ret->count = (uint32_t)count;
    return 0;
}

static int switch_read(struct json_object *args, const char *on, const char *off, bool *ret,
                       struct emlfs_err *err)
{
    bool yes = emlfs_args_flag(args, on), no = emlfs_args_flag(args, off);

    if (yes && no)
        return emlfs_err_set(err, EINVAL, "policy", "--%s and --%s contradict each other", on, off);
    *ret = yes || (*ret && !no);
    return 0;
}

static int flags_read(struct json_object *args, struct emlfs_policy *policy, struct emlfs_err *err)
{
    bool enabled = policy->flags & EMLFS_POLICY_ENABLED;
    bool deletes = policy->flags & EMLFS_POLICY_AUTO_DELETE;
    int r = switch_read(args, "enable", "disable", &enabled, err);

    if (r == 0)
        r = switch_read(args, "auto-delete", "no-auto-delete", &deletes, err);
    policy->flags = (enabled ? EMLFS_POLICY_ENABLED : 0) | (deletes ? EMLFS_POLICY_AUTO_DELETE : 0);
    return r;
}

/* Into a member of the policy; what is not given stays. */
static int text_read(struct json_object *args, const char *name, struct emlfs_span room,
                     struct emlfs_err *err)
{
    const char *text = emlfs_args_text(args, name);

    if (!text)
        return 0;
    if (strlen(text) >= room.len)
        return emlfs_err_set(err, EINVAL, "policy", "the %s has more than %zu bytes",
                             strcmp(name, "query") == 0 ? "query" : "name", room.len - 1);
    memcpy((char *)room.data, text, strlen(text) + 1);
    return 0;
}

static int policy_read(struct emlfs_call *call, const char *name, struct emlfs_policy *policy,
                       struct emlfs_err *err)
{
    const char *period = emlfs_args_text(call->args, "period");
    const char *start = emlfs_args_text(call->args, "start");
    int r = text_read(call->args, name, emlfs_span_of(policy->name, sizeof(policy->name)), err);

    if (r == 0)
        r = text_read(call->args, "query", emlfs_span_of(policy->query, sizeof(policy->query)),
                      err);
    if (r == 0 && period)
        r = period_parse(period, &policy->period, err);
    if (r == 0 && start) {
        policy->start = (enum emlfs_policy_start)emlfs_words_bit(&starts, start);
        if (!policy->start)
            r = emlfs_err_set(err, EINVAL, "policy",
                              "--start: archived, received, sent or year-end");
    }
    return r == 0 ? flags_read(call->args, policy, err) : r;
}

/* ---- changing them */

static int policy_keep(struct emlfs_call *call, struct emlfs_policy *policy, struct emlfs_err *err)
{
    struct emlfs_by by;

    emlfs_call_by(call, &by);
    return emlfs_rules_policy_put(call->rules, &by, policy, err);
}

int emlfs_run_policy_add(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_policy policy = {.flags = EMLFS_POLICY_ENABLED, .start = EMLFS_START_ARCHIVED};
    int r = policy_read(call, "NAME", &policy, err);

    if (r == 0)
        r = policy_keep(call, &policy, err);
    return r < 0 ? r : policy_put(call, &policy, 0, err);
}

int emlfs_run_policy_set(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_policy policy;
    int r = policy_find(call, &policy, err);

    if (r == 0)
        r = policy_read(call, "rename", &policy, err);
    if (r == 0)
        r = policy_keep(call, &policy, err);
    return r < 0 ? r : policy_put(call, &policy, 0, err);
}

int emlfs_run_policy_remove(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_policy policy;
    struct emlfs_by by;
    int r = policy_find(call, &policy, err);

    emlfs_call_by(call, &by);
    return r < 0 ? r : emlfs_rules_policy_remove(call->rules, &by, policy.id, err);
}

/*
 * Give all policies new orders with room between them. From the last to the first, each behind all
 * that have their old one, so that which is before which never changes.
 */
static int orders_spread(struct emlfs_call *call, struct policy_list *list, struct emlfs_err *err)
{
    uint32_t last = list->v[list->n - 1].order;
    int r = 0;

    if (last > UINT32_MAX - ORDER_STEP * (EMLFS_POLICIES_MAX + 1))
        return emlfs_err_set(err, E2BIG, "policy", "no further orders: %u is the highest", last);
    for (size_t i = list->n; r == 0 && i-- > 0;) {
        list->v[i].order = last + ORDER_STEP * (uint32_t)(i + 1);
        r = policy_keep(call, &list->v[i], err);
    }
    return r;
}

/* The order between the neighbours that [at] will have at position to; 0: there is no room. */
static uint32_t order_between(const struct policy_list *list, size_t at, size_t to)
{
    size_t after = to < at ? to : to + 1; /* index of the one behind */
    uint32_t low = after == 0 ? 0 : list->v[after - 1].order;
    uint32_t high = after < list->n ? list->v[after].order : UINT32_MAX;

    if (after == list->n)
        return low < UINT32_MAX - ORDER_STEP ? low + ORDER_STEP : 0;
    return high - low > 1 ? low + (high - low) / 2 : 0;
}

static int policy_place(struct emlfs_call *call, struct policy_list *list, size_t at, size_t to,
                        struct emlfs_err *err)
{
    uint32_t order = order_between(list, at, to);
    int r = 0;

    if (at == to)
        return 0;
    if (order == 0) {
        r = orders_spread(call, list, err);
        order = order_between(list, at, to);
    }
    if (r < 0)
        return r;
    list->v[at].order = order;
    return policy_keep(call, &list->v[at], err);
}

int emlfs_run_policy_move(struct emlfs_call *call, struct emlfs_err *err)
{
    uint64_t position = emlfs_args_number(call->args, "POSITION", 0);
    struct policy_list *list;
    size_t at = 0;
    int r = policies_load(call, &list, err);

    if (r == 0)
        r = policy_index(list, emlfs_args_text(call->args, "NAME"), &at, err);
    if (r == 0 && (position < 1 || position > list->n))
        r = emlfs_err_set(err, EINVAL, "policy", "POSITION: 1 to %zu", list->n);
    if (r == 0)
        r = policy_place(call, list, at, (size_t)position - 1, err);
    free(list);
    return r;
}
