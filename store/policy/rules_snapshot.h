/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_POLICY_RULES_SNAPSHOT_H
#define EMLFS_STORE_POLICY_RULES_SNAPSHOT_H

#include <stdatomic.h>

#include "emlfs/rules_change.h"

/* The rows of the rules in memory, private to store/policy and its tests. */

/* ---- rules_snapshot.c: all rows, as of one generation; immutable */

struct rules_user {
    struct emlfs_user_id id;
    struct emlfs_folder_id archive;
    uint32_t flags;
    bool shadowed; /* a user with a lower id has the same account: nobody is this one */
    int64_t created_ns;
    uint64_t quota_bytes;
    char name[EMLFS_USER_NAME_MAX_BYTES + 1];
    char account[EMLFS_USER_NAME_MAX_BYTES + 1];
};
struct rules_snapshot {
    atomic_uint refs;
    uint64_t generation;
    uint64_t users_serial; /* differs when ids, flags or accounts of users do */
    bool all_protected;    /* every store is write-protected */
    struct rules_user *users;
    size_t users_n, users_cap;
    struct emlfs_rights *rights; /* by user; not everybody has a row */
    size_t rights_n, rights_cap;
    struct emlfs_grant *grants; /* by archive */
    size_t grants_n, grants_cap;
    const char **groups; /* that something is granted to, sorted, borrowed from grants */
    size_t groups_n;
    struct emlfs_policy *policies; /* by order */
    size_t policies_n, policies_cap;
    struct emlfs_hold *holds; /* by id */
    size_t holds_n, holds_cap;
    struct emlfs_query **policy_queries, **hold_queries; /* NULL: none, or it cannot be parsed */
    bool any_hold;                                       /* in force */
    bool any_automatic;                                  /* an enabled policy deletes by itself */
    bool any_claim;      /* an enabled policy counts from a date that the message claims */
    bool delete_anybody; /* somebody has EMLFS_MAY_DELETE */
    enum emlfs_retention_mode mode;
    uint32_t audited;
    uint32_t next_policy; /* the lowest id that may be given */
};
/* The present one, referenced. Errors as emlfs_rules_open. */
int rules_snapshot_get(struct emlfs_rules *rules, struct rules_snapshot **ret,
                       struct emlfs_err *err);
void rules_snapshot_unref(struct rules_snapshot *snapshot);
static inline void rules_snapshot_cleanup(struct rules_snapshot **snapshot)
{
    rules_snapshot_unref(*snapshot);
}
#define RULES_SNAPSHOT_CLEANUP __attribute__((cleanup(rules_snapshot_cleanup)))
const struct rules_user *rules_user_of(const struct rules_snapshot *snapshot,
                                       struct emlfs_user_id id);
/* 0: any. */
uint64_t rules_quota_of(const struct rules_snapshot *snapshot, struct emlfs_user_id user);
const struct rules_user *rules_user_named(const struct rules_snapshot *snapshot, const char *name);
struct emlfs_rights rules_rights_of(const struct rules_snapshot *snapshot, struct emlfs_user_id id);
/* The grants in the archive of one user. */
struct emlfs_grant_set rules_grants_in(const struct rules_snapshot *snapshot,
                                       struct emlfs_user_id archive);
struct emlfs_policy_set rules_policy_set(const struct rules_snapshot *snapshot);
struct emlfs_hold_set rules_hold_set(const struct rules_snapshot *snapshot);

/* Settings of governing: EMLFS_MASTER_RULE. */
#define RULES_SETTING_MODE "mode"
#define RULES_SETTING_AUDIT "audit"
#define RULES_SETTING_POLICIES "policies" /* the lowest id that may be given next */
#define RULES_SETTING_VERSION 1u
#define RULES_SETTING_ROW_MAX_BYTES 16u
int rules_setting_encode(uint32_t value, struct emlfs_buf *ret_value);

/* ---- rules_named.c: the messages that holds name */

struct rules_named {
    uint32_t hold;
    uint64_t *ids; /* ascending */
    size_t n, cap;
};
struct rules_named_set {
    struct rules_named *v; /* by hold */
    size_t n, cap;
    size_t total;
};
int rules_named_load(struct emlfs_rules *rules, struct emlfs_err *err);
void rules_named_free(struct rules_named_set *set);
bool rules_named_has(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id);
/* 1: it was there. -E2BIG, -ENOMEM. */
int rules_named_add(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id);
void rules_named_drop(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id id);
/* Ids above after, ascending, at most max. */
unsigned rules_named_after(struct emlfs_rules *rules, uint32_t hold, struct emlfs_msg_id after,
                           struct emlfs_msg_id *ret, unsigned max);

#endif
