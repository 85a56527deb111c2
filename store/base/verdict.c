/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "emlfs/base/verdict.h"

#include <stdatomic.h>
#include <stdlib.h>

struct emlfs_verdict {
    struct emlfs_verdict_terms terms;
    atomic_bool used;
};

int emlfs_verdict_issue(const struct emlfs_verdict_terms *terms, struct emlfs_verdict **ret)
{
    struct emlfs_verdict *verdict = calloc(1, sizeof(*verdict));

    *ret = verdict;
    if (!verdict)
        return -ENOMEM;
    verdict->terms = *terms;
    atomic_init(&verdict->used, false);
    return 0;
}

const struct emlfs_verdict_terms *emlfs_verdict_terms(const struct emlfs_verdict *verdict)
{
    return &verdict->terms;
}

int emlfs_verdict_use(struct emlfs_verdict *verdict, const struct emlfs_verdict_terms *asked,
                      struct emlfs_err *err)
{
    if (!verdict)
        return emlfs_err_set(err, EPERM, "policy", "nobody permitted this");
    const struct emlfs_verdict_terms *given = &verdict->terms;
    if (given->act != asked->act || given->id.v != asked->id.v ||
        given->archive.v != asked->archive.v)
        return emlfs_err_set(err, EPERM, "policy", "something else was permitted");
    if (given->generation != asked->generation)
        return emlfs_err_set(err, EAGAIN, "policy", "the rules changed meanwhile");
    if (atomic_exchange(&verdict->used, true))
        return emlfs_err_set(err, EPERM, "policy", "the permission was used before");
    return 0;
}

void emlfs_verdict_free(struct emlfs_verdict *verdict)
{
    free(verdict);
}
