/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The rules of an open archive.
 *
 *   rules_snapshot.c   all rows as of one generation      rules_who.c     callers, rights
 *   rules_named.c      messages that holds name           rules_shape.c   owner, modes, ACLs
 *   rules_match.c      pages of entries under the rules   rules_govern.c  verdicts
 *   rules_walk.c       due, held, folders                 rules_clock.c   compliance clock
 *   rules_limit.c      refusals that are recorded
 *   rules_change.c, _hold.c, _rights.c, _login.c          changes, with their record
 *
 *   L1  Lock order: the archive's write lock, load, lock. clock.save before the archive's write
 *       lock; clock.lock is a leaf. NSS is asked with none of them held.
 *   L2  Every ask compares the archive's generation with that of the snapshot, so an answer behind
 *       a change never is the one before it.
 *
 * Not responsible for: who may change the rules (the command runner).
 */
#include <stdlib.h>

#include "rules_internal.h"

static void rules_free(struct emlfs_rules *rules)
{
    rules_snapshot_unref(rules->snapshot);
    rules_groups_unref(rules->groups);
    for (unsigned i = 0; i < RULES_CALLERS; i++)
        rules_caller_unref(rules->callers[i]);
    rules_named_free(&rules->named);
    pthread_mutex_destroy(&rules->load);
    pthread_mutex_destroy(&rules->lock);
    pthread_mutex_destroy(&rules->clock.lock);
    pthread_mutex_destroy(&rules->clock.save);
    free(rules);
}

int emlfs_rules_open_on(const struct emlfs_rules_options *options,
                        const struct rules_system *system, struct emlfs_rules **ret,
                        struct emlfs_err *err)
{
    RULES_SNAPSHOT_CLEANUP struct rules_snapshot *snapshot = NULL;
    struct emlfs_rules *rules = calloc(1, sizeof(*rules));

    if (!rules)
        return emlfs_err_sys(err, ENOMEM, "policy", "cannot open the rules");
    rules->options = *options;
    rules->system = *system;
    atomic_init(&rules->read_only, options->read_only);
    pthread_mutex_init(&rules->load, NULL);
    pthread_mutex_init(&rules->lock, NULL);
    pthread_mutex_init(&rules->clock.lock, NULL);
    pthread_mutex_init(&rules->clock.save, NULL);
    int r = rules_named_load(rules, err);
    if (r == 0)
        r = rules_snapshot_get(rules, &snapshot, err);
    if (r == 0)
        r = rules_clock_open(rules, err);
    if (r == 0)
        *ret = rules;
    else
        rules_free(rules);
    return r;
}

int emlfs_rules_open(const struct emlfs_rules_options *options, struct emlfs_rules **ret,
                     struct emlfs_err *err)
{
    const struct rules_system system = emlfs_rules_system();
    return emlfs_rules_open_on(options, &system, ret, err);
}

void emlfs_rules_set_read_only(struct emlfs_rules *rules, bool read_only)
{
    atomic_store(&rules->read_only, read_only);
}

bool emlfs_rules_is_read_only(struct emlfs_rules *rules)
{
    return atomic_load(&rules->read_only);
}

void emlfs_rules_close(struct emlfs_rules *rules)
{
    if (!rules)
        return;
    rules_clock_close(rules);
    rules_free(rules);
}
