/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who has a document: what its own segment says of it, overruled by every later segment that says
 * something. What a file says of a user is kept (a bit a document), because every search asks it.
 */
#include "search.h"

struct into {
    struct docset *set;
    bool in_only; /* outs are passed over */
};

static int statement_put(void *arg, uint32_t doc, bool in)
{
    struct into *into = arg;

    if (doc >= into->set->low && doc <= into->set->high && (in || !into->in_only))
        docset_put(into->set, doc, in);
    return 0;
}

static int part_statements(struct part *part, const struct filing_range *range, bool in_only,
                           struct docset *set, struct emlfs_err *err)
{
    struct into into = {.set = set, .in_only = in_only};

    return segment_filings(part->segment, range, statement_put, &into, err);
}

static bool overruled(const struct view *view, unsigned by)
{
    return segment_overrules(view->snapshot->v[by]->segment, view->last + 1);
}

static bool overruled_at_all(const struct view *view)
{
    for (unsigned i = view->at + 1; i < view->snapshot->n; i++) {
        if (overruled(view, i))
            return true;
    }
    return false;
}

/* What the later segments say of documents of the set, the last word last. */
static int overrule(const struct view *view, const struct filing_range *range, struct docset *set,
                    struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = view->at + 1; rc == 0 && i < view->snapshot->n; i++) {
        if (overruled(view, i))
            rc = part_statements(view->snapshot->v[i], range, false, set, err);
    }
    return rc;
}

/* What the part itself says of key in all its documents; kept for the next time. */
static int own_kept(const struct view *view, enum filing_kind kind, uint32_t key,
                    struct docset *ret, struct emlfs_err *err)
{
    struct part *part = view_part(view);
    const struct blob_key name = {
        .part = part->serial, .kind = 0x100u + (uint32_t)kind, .key = key};
    const struct filing_range range = {
        .kind = kind, .key = key, .low = view->first, .high = view->last};
    int rc;

    *ret = (struct docset){.low = view->first, .high = view->last};
    ret->blob = cache_get(part->cache, name);
    if (ret->blob) {
        ret->bits = ret->blob->v;
        return 0;
    }
    rc = docset_new(view->first, view->last, ret);
    if (rc == 0)
        rc = part_statements(part, &range, true, ret, err);
    if (rc == 0)
        cache_put(part->cache, name, ret->blob);
    else
        docset_free(ret);
    return rc;
}

/* A copy of the limits looked at, so that it may be written to. */
static int cut_out(const struct view *view, struct docset *set)
{
    struct docset copy;
    uint32_t low = view->low - (view->low - set->low) % 64; /* words are copied whole */
    int rc = docset_new(low, view->high, &copy);

    if (rc == 0) {
        memcpy(copy.bits, set->bits + (low - set->low) / 64,
               ((size_t)(copy.high - copy.low) / 64 + 1) * sizeof(uint64_t));
        docset_free(set);
        *set = copy;
    }
    return rc;
}

/* One key: kept where that pays. */
static int one_key(const struct view *view, const struct filing_keys *keys, struct docset *ret,
                   struct emlfs_err *err)
{
    const struct filing_range range = {
        .kind = keys->kind, .key = keys->v[0], .low = view->low, .high = view->high};
    bool keep = keys->kind == FILING_USER && !view_part(view)->mem && !view_is_narrow(view);
    bool later = overruled_at_all(view);
    int rc;

    if (keep) {
        rc = own_kept(view, keys->kind, keys->v[0], ret, err);
        if (rc == 0 && later)
            rc = cut_out(view, ret);
    } else {
        rc = docset_new(view->low, view->high, ret);
        if (rc == 0)
            rc = part_statements(view_part(view), &range, true, ret, err);
    }
    if (rc == 0 && later)
        rc = overrule(view, &range, ret, err);
    return rc;
}

static int many_keys(const struct view *view, const struct filing_keys *keys, struct docset *ret,
                     struct emlfs_err *err)
{
    bool later = overruled_at_all(view);
    struct docset one = {0};
    int rc = docset_new(view->low, view->high, ret);

    for (unsigned i = 0; rc == 0 && i < keys->n; i++) {
        const struct filing_range range = {
            .kind = keys->kind, .key = keys->v[i], .low = view->low, .high = view->high};
        if (!later) {
            rc = part_statements(view_part(view), &range, true, ret, err);
            continue;
        }
        if (!one.blob)
            rc = docset_new(view->low, view->high, &one);
        else
            memset(one.bits, 0, ((size_t)(one.high - one.low) / 64 + 1) * sizeof(uint64_t));
        if (rc == 0)
            rc = part_statements(view_part(view), &range, true, &one, err);
        if (rc == 0)
            rc = overrule(view, &range, &one, err);
        if (rc == 0)
            docset_or(ret, &one);
    }
    docset_free(&one);
    return rc;
}

int filings_set(const struct view *view, const struct filing_keys *keys, struct docset *ret,
                struct emlfs_err *err)
{
    int rc;

    *ret = (struct docset){0};
    rc = keys->n == 1 ? one_key(view, keys, ret, err) : many_keys(view, keys, ret, err);
    if (rc < 0)
        docset_free(ret);
    return rc == -ENOMEM ? emlfs_err_set(err, ENOMEM, "index", "out of memory") : rc;
}
