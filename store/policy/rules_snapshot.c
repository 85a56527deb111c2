/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * All rows of the rules as of one generation, in memory.
 *
 *   S1  A snapshot never changes. Whoever has a reference reads it without a lock.
 *   S2  It holds what the archive says at its generation: the generation is read before the rows
 *       and compared behind them, and the rows are read again when it moved.
 *   S3  One row that cannot be read, and there is no snapshot: nothing is decided by half the
 * rules.
 */
#include <stdlib.h>
#include <string.h>

#include "emlfs/query.h"
#include "policy_internal.h"
#include "rules_internal.h"
#include "users.h"

#define AUDIT_KNOWN EMLFS_AUDIT_ALL

/* Room for one more of size bytes behind n. */
static int room(void **v, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return 0;
    size_t more = *cap ? 2 * *cap : 16;
    void *grown = reallocarray(*v, more, size);
    if (!grown)
        return -ENOMEM;
    *v = grown;
    *cap = more;
    return 0;
}
#define ROOM(snapshot, what)                                                                       \
    room((void **)&(snapshot)->what, &(snapshot)->what##_cap, (snapshot)->what##_n,                \
         sizeof(*(snapshot)->what))

/* ---- rows */

static int user_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct rules_snapshot *snapshot = arg;
    struct emlfs_user user;

    int r = ROOM(snapshot, users);
    if (r == 0)
        r = emlfs_user_decode(key, value, &user);
    if (r < 0 || user.archive.v == 0)
        return r;
    struct rules_user *mine = &snapshot->users[snapshot->users_n++];
    *mine = (struct rules_user){
        .id = user.id, .archive = user.archive, .flags = user.flags, .created_ns = user.created_ns};
    mine->quota_bytes = user.quota_bytes;
    memcpy(mine->name, user.name, sizeof(mine->name));
    memcpy(mine->account, user.unix_account, sizeof(mine->account));
    return 0;
}

static int rights_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct rules_snapshot *snapshot = arg;

    int r = ROOM(snapshot, rights);
    if (r == 0)
        r = emlfs_rights_decode(key, value, &snapshot->rights[snapshot->rights_n]);
    snapshot->rights_n += r == 0;
    return r;
}

static int grant_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct rules_snapshot *snapshot = arg;

    int r = ROOM(snapshot, grants);
    if (r == 0)
        r = emlfs_grant_decode(key, value, &snapshot->grants[snapshot->grants_n]);
    snapshot->grants_n += r == 0;
    return r;
}

static int policy_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct rules_snapshot *snapshot = arg;

    int r = ROOM(snapshot, policies);
    if (r == 0)
        r = emlfs_policy_decode(key, value, &snapshot->policies[snapshot->policies_n]);
    snapshot->policies_n += r == 0;
    return r;
}

static int hold_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct rules_snapshot *snapshot = arg;

    int r = ROOM(snapshot, holds);
    if (r == 0)
        r = emlfs_hold_decode(key, value, &snapshot->holds[snapshot->holds_n]);
    snapshot->holds_n += r == 0;
    return r;
}

int rules_setting_encode(uint32_t value, struct emlfs_buf *ret_value)
{
    emlfs_buf_clear(ret_value);
    int r = emlfs_buf_append_varint(ret_value, RULES_SETTING_VERSION);
    return r == 0 ? emlfs_buf_append_varint(ret_value, value) : r;
}

static bool key_is(struct emlfs_span key, const char *name)
{
    return emlfs_span_equal(key, emlfs_span_str(name));
}

static int setting_keep(struct rules_snapshot *snapshot, struct emlfs_span key, uint32_t value)
{
    if (key_is(key, RULES_SETTING_MODE)) {
        snapshot->mode = (enum emlfs_retention_mode)value;
        return value == EMLFS_MODE_GOVERNANCE || value == EMLFS_MODE_COMPLIANCE ? 0 : -EUCLEAN;
    }
    if (key_is(key, RULES_SETTING_AUDIT)) {
        snapshot->audited = value;
        return value & ~AUDIT_KNOWN ? -EUCLEAN : 0;
    }
    if (!key_is(key, RULES_SETTING_POLICIES))
        return -EPROTONOSUPPORT; /* a rule that this version does not know */
    snapshot->next_policy = value;
    return value ? 0 : -EUCLEAN;
}

static int setting_take(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    struct emlfs_cursor cur = emlfs_cursor_of(value);

    int r = emlfs_row_version(&cur, RULES_SETTING_VERSION);
    if (r < 0)
        return r;
    uint32_t number = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    return emlfs_cursor_done(&cur) ? setting_keep(arg, key, number) : -EUCLEAN;
}

/* ---- what follows from them */

static int policy_order(const void *a, const void *b)
{
    const struct emlfs_policy *x = a;
    const struct emlfs_policy *y = b;
    return x->order < y->order ? -1 : x->order > y->order;
}

static struct emlfs_query *query_of(const char *text)
{
    struct emlfs_query *query = NULL;

    if (text[0] && emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, &query, NULL) < 0)
        return NULL;
    return query;
}

static int queries_parse(struct rules_snapshot *snapshot)
{
    snapshot->policy_queries = calloc(snapshot->policies_n + 1, sizeof(*snapshot->policy_queries));
    snapshot->hold_queries = calloc(snapshot->holds_n + 1, sizeof(*snapshot->hold_queries));
    if (!snapshot->policy_queries || !snapshot->hold_queries)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->policies_n; i++)
        snapshot->policy_queries[i] = query_of(snapshot->policies[i].query);
    for (size_t i = 0; i < snapshot->holds_n; i++)
        if (!snapshot->holds[i].released)
            snapshot->hold_queries[i] = query_of(snapshot->holds[i].query);
    return 0;
}

static int policies_settle(struct rules_snapshot *snapshot, struct emlfs_err *err)
{
    if (snapshot->policies_n)
        qsort(snapshot->policies, snapshot->policies_n, sizeof(*snapshot->policies), policy_order);
    const struct emlfs_policy_set set = rules_policy_set(snapshot);
    if (emlfs_policy_set_check(&set, NULL) < 0)
        return emlfs_err_set(err, EUCLEAN, "policy", "the retention policies contradict");
    for (size_t i = 0; i < set.n; i++) {
        if (set.v[i].id >= snapshot->next_policy)
            snapshot->next_policy = set.v[i].id == UINT32_MAX ? UINT32_MAX : set.v[i].id + 1;
        if (!(set.v[i].flags & EMLFS_POLICY_ENABLED))
            continue;
        snapshot->any_automatic |= (set.v[i].flags & EMLFS_POLICY_AUTO_DELETE) != 0;
        snapshot->any_claim |= set.v[i].start != EMLFS_START_ARCHIVED;
    }
    return 0;
}

static int text_order(const void *a, const void *b)
{
    const char *const *x = a;
    const char *const *y = b;
    return strcmp(*x, *y);
}

static int groups_list(struct rules_snapshot *snapshot)
{
    size_t n = 0;

    snapshot->groups = calloc(snapshot->grants_n + 1, sizeof(*snapshot->groups));
    if (!snapshot->groups)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->grants_n; i++)
        if (snapshot->grants[i].user.v == 0)
            snapshot->groups[n++] = snapshot->grants[i].group;
    qsort(snapshot->groups, n, sizeof(*snapshot->groups), text_order);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(snapshot->groups[i], snapshot->groups[i - 1]) != 0)
            snapshot->groups[snapshot->groups_n++] = snapshot->groups[i];
    return 0;
}

static int account_order(const void *a, const void *b)
{
    const struct rules_user *const *x = a;
    const struct rules_user *const *y = b;
    int order = strcmp((*x)->account, (*y)->account);

    return order ? order : (*x)->id.v - (*y)->id.v;
}

/* One account is one user: the first that is not removed. */
static int accounts_settle(struct rules_snapshot *snapshot)
{
    struct rules_user **by_account = calloc(snapshot->users_n + 1, sizeof(struct rules_user *));
    const char *taken = NULL;

    if (!by_account)
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->users_n; i++)
        by_account[i] = &snapshot->users[i];
    qsort(by_account, snapshot->users_n, sizeof(*by_account), account_order);
    for (size_t i = 0; i < snapshot->users_n; i++) {
        if (by_account[i]->flags & EMLFS_USER_REMOVED)
            continue;
        by_account[i]->shadowed = taken && strcmp(taken, by_account[i]->account) == 0;
        taken = by_account[i]->account;
    }
    free(by_account);
    return 0;
}

static void facts_settle(struct rules_snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->holds_n; i++)
        snapshot->any_hold |= !snapshot->holds[i].released;
    for (size_t i = 0; i < snapshot->rights_n; i++)
        snapshot->delete_anybody |= (snapshot->rights[i].may & EMLFS_MAY_DELETE) != 0;
}

static int snapshot_settle(struct rules_snapshot *snapshot, struct emlfs_err *err)
{
    int r = policies_settle(snapshot, err);
    if (r < 0)
        return r;
    facts_settle(snapshot);
    r = queries_parse(snapshot);
    if (r == 0)
        r = groups_list(snapshot);
    if (r == 0)
        r = accounts_settle(snapshot);
    return r < 0 ? emlfs_err_sys(err, -r, "policy", "cannot read the rules") : 0;
}

/* ---- life */

static void queries_free(struct emlfs_query **queries, size_t n)
{
    for (size_t i = 0; queries && i < n; i++)
        emlfs_query_free(queries[i]);
    free(queries);
}

void rules_snapshot_unref(struct rules_snapshot *snapshot)
{
    if (!snapshot || atomic_fetch_sub(&snapshot->refs, 1) != 1)
        return;
    queries_free(snapshot->policy_queries, snapshot->policies_n);
    queries_free(snapshot->hold_queries, snapshot->holds_n);
    if (snapshot->rights)
        emlfs_wipe(snapshot->rights, snapshot->rights_n * sizeof(*snapshot->rights));
    free(snapshot->users);
    free(snapshot->rights);
    free(snapshot->groups);
    free(snapshot->grants);
    free(snapshot->policies);
    free(snapshot->holds);
    free(snapshot);
}

typedef int take_fn(void *arg, struct emlfs_span key, struct emlfs_span value);

static int rows_read(struct emlfs_archive *archive, struct rules_snapshot *snapshot,
                     struct emlfs_err *err)
{
    static const struct {
        enum emlfs_master_kind kind;
        take_fn *take;
        const char *what;
    } kinds[] = {
        {EMLFS_MASTER_USER, user_take, "user"},    {EMLFS_MASTER_RIGHTS, rights_take, "rights"},
        {EMLFS_MASTER_GRANT, grant_take, "grant"}, {EMLFS_MASTER_POLICY, policy_take, "policy"},
        {EMLFS_MASTER_HOLD, hold_take, "hold"},    {EMLFS_MASTER_RULE, setting_take, "setting"},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct emlfs_err inner = {0};
        int r = emlfs_archive_master_walk(archive, kinds[i].kind, kinds[i].take, snapshot, &inner);
        if (r < 0 && inner.code == 0)
            return emlfs_err_sys(err, -r, "policy", "a row of the rules (%s)", kinds[i].what);
        if (r < 0 && err)
            *err = inner;
        if (r < 0)
            return r;
    }
    return 0;
}

static int snapshot_read(struct emlfs_rules *rules, struct rules_snapshot **ret,
                         struct emlfs_err *err)
{
    struct emlfs_archive *archive = rules->options.archive;
    struct rules_snapshot *snapshot = calloc(1, sizeof(*snapshot));

    *ret = NULL;
    if (!snapshot)
        return emlfs_err_sys(err, ENOMEM, "policy", "cannot read the rules");
    atomic_init(&snapshot->refs, 1);
    snapshot->generation = emlfs_archive_generation(archive);
    snapshot->mode = EMLFS_MODE_GOVERNANCE;
    snapshot->audited = EMLFS_AUDIT_DEFAULT;
    snapshot->next_policy = 1;
    snapshot->all_protected = emlfs_archive_all_protected(archive);
    int r = rows_read(archive, snapshot, err);
    if (r == 0)
        r = snapshot_settle(snapshot, err);
    bool moved = emlfs_archive_generation(archive) != snapshot->generation; /* S2 */
    if (r == 0 && !moved) {
        *ret = snapshot;
        return 0;
    }
    rules_snapshot_unref(snapshot);
    return moved ? emlfs_err_set(err, EAGAIN, "policy", "the rules change all the time") : r;
}

static bool users_same(const struct rules_snapshot *a, const struct rules_snapshot *b)
{
    if (!a || a->users_n != b->users_n)
        return false;
    for (size_t i = 0; i < a->users_n; i++)
        if (a->users[i].id.v != b->users[i].id.v || a->users[i].flags != b->users[i].flags ||
            strcmp(a->users[i].account, b->users[i].account) != 0)
            return false;
    return true;
}

/* ---- getting one */

static struct rules_snapshot *snapshot_ref(struct rules_snapshot *snapshot)
{
    atomic_fetch_add(&snapshot->refs, 1);
    return snapshot;
}

/* NULL: the one at hand is not of this generation. */
static struct rules_snapshot *snapshot_at_hand(struct emlfs_rules *rules, uint64_t generation)
{
    struct rules_snapshot *snapshot = NULL;

    pthread_mutex_lock(&rules->lock);
    if (rules->snapshot && rules->snapshot->generation == generation)
        snapshot = snapshot_ref(rules->snapshot);
    pthread_mutex_unlock(&rules->lock);
    return snapshot;
}

/* Only the loader replaces rules->snapshot, so it may look at it. */
static void snapshot_install(struct emlfs_rules *rules, struct rules_snapshot *snapshot)
{
    struct rules_snapshot *old = rules->snapshot;
    bool same = users_same(old, snapshot);

    snapshot->users_serial = old ? old->users_serial + !same : 1;
    if (old && !same)
        emlfs_bindings_refresh(rules->options.bindings);
    pthread_mutex_lock(&rules->lock);
    rules->snapshot = snapshot_ref(snapshot);
    pthread_mutex_unlock(&rules->lock);
    rules_snapshot_unref(old);
}

static int snapshot_load(struct emlfs_rules *rules, struct rules_snapshot **ret,
                         struct emlfs_err *err)
{
    int r = -EAGAIN;

    for (unsigned i = 0; r == -EAGAIN && i < RULES_ATTEMPTS_MAX; i++) {
        *ret = snapshot_at_hand(rules, emlfs_archive_generation(rules->options.archive));
        if (*ret)
            return 0;
        r = snapshot_read(rules, ret, err);
    }
    if (r == 0)
        snapshot_install(rules, *ret);
    return r;
}

int rules_snapshot_get(struct emlfs_rules *rules, struct rules_snapshot **ret,
                       struct emlfs_err *err)
{
    *ret = snapshot_at_hand(rules, emlfs_archive_generation(rules->options.archive));
    if (*ret)
        return 0;
    pthread_mutex_lock(&rules->load);
    int r = snapshot_load(rules, ret, err);
    pthread_mutex_unlock(&rules->load);
    return r;
}

/* ---- looking things up */

const struct rules_user *rules_user_of(const struct rules_snapshot *snapshot,
                                       struct emlfs_user_id id)
{
    size_t low = 0;
    size_t high = snapshot->users_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->users[middle].id.v < id.v)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < snapshot->users_n && snapshot->users[low].id.v == id.v;
    return found ? &snapshot->users[low] : NULL;
}

const struct rules_user *rules_user_named(const struct rules_snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->users_n; i++)
        if (strcmp(snapshot->users[i].name, name) == 0)
            return &snapshot->users[i];
    return NULL;
}

struct emlfs_rights rules_rights_of(const struct rules_snapshot *snapshot, struct emlfs_user_id id)
{
    size_t low = 0;
    size_t high = snapshot->rights_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->rights[middle].user.v < id.v)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < snapshot->rights_n && snapshot->rights[low].user.v == id.v)
        return snapshot->rights[low];
    return emlfs_rights_default(id);
}

struct emlfs_grant_set rules_grants_in(const struct rules_snapshot *snapshot,
                                       struct emlfs_user_id archive)
{
    size_t low = 0;
    size_t high = snapshot->grants_n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (snapshot->grants[middle].archive.v < archive.v)
            low = middle + 1;
        else
            high = middle;
    }
    for (high = low; high < snapshot->grants_n;)
        if (snapshot->grants[high].archive.v == archive.v)
            high++;
        else
            break;
    return (struct emlfs_grant_set){snapshot->grants ? snapshot->grants + low : NULL, high - low};
}

struct emlfs_policy_set rules_policy_set(const struct rules_snapshot *snapshot)
{
    return (struct emlfs_policy_set){snapshot->policies, snapshot->policies_n};
}

struct emlfs_hold_set rules_hold_set(const struct rules_snapshot *snapshot)
{
    return (struct emlfs_hold_set){snapshot->holds, snapshot->holds_n};
}

uint64_t rules_quota_of(const struct rules_snapshot *snapshot, struct emlfs_user_id user)
{
    const struct rules_user *found = rules_user_of(snapshot, user);
    return found ? found->quota_bytes : 0;
}

int emlfs_rules_quota(struct emlfs_rules *rules, struct emlfs_user_id user, uint64_t *ret_bytes,
                      struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct emlfs_err why = {0};

    *ret_bytes = 0;
    if (rules_snapshot_get(rules, &snapshot, &why) < 0)
        return emlfs_err_set(err, EIO, "rules", "a quota cannot be read: %.400s", why.text);
    *ret_bytes = rules_quota_of(snapshot, user);
    return 0;
}
