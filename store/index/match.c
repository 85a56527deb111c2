/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A query over one segment. What must hold and can be followed leads: words, folders, the user's
 * own mail; they leapfrog from document to document, the rarest first. What then is left is asked
 * about attributes and exclusions.
 */
#include <stdlib.h>

#include "search.h"

#define MODULE "index"
#define CANCEL_STEP 1024u

/* Something that can be followed. */
struct leg {
    struct words *words; /* or */
    const struct docset *set;
    uint32_t count;
};
#define LEGS_MAX (2 * EMLFS_QUERY_TERMS_MAX + 1)
struct match {
    const struct plan *plan;
    const struct view *view;
    struct docset user;
    struct docset folders[EMLFS_QUERY_TERMS_MAX];
    struct words *words[EMLFS_QUERY_TERMS_MAX]; /* as in the plan; NULL: none match */
    struct leg legs[LEGS_MAX];
    unsigned legs_n;
    struct attrs attrs;
};

static void leg_add(struct match *match, const struct leg *leg)
{
    unsigned at = match->legs_n++;

    for (; at > 0 && match->legs[at - 1].count > leg->count; at--)
        match->legs[at] = match->legs[at - 1];
    match->legs[at] = *leg;
}

/* Sets are as good as their width: words come before them. */
static void leg_add_set(struct match *match, const struct docset *set)
{
    leg_add(match, &(struct leg){.set = set, .count = UINT32_MAX});
}

/* The user first: who sees that a message is the user's sees its folders, too (follow.c). */
static int sets_open(struct match *match, struct emlfs_err *err)
{
    const struct plan *plan = match->plan;
    const uint32_t user = plan->search->user.v;
    const struct filing_keys of_user = {.kind = FILING_USER, .v = &user, .n = 1};
    int rc = filings_set(match->view, &of_user, &match->user, err);

    for (unsigned i = 0; rc == 0 && i < plan->folders_n; i++) {
        const struct filing_keys keys = {
            .kind = FILING_FOLDER, .v = plan->folders[i].ids.v, .n = plan->folders[i].ids.n};
        rc = filings_set(match->view, &keys, &match->folders[i], err);
        if (rc == 0 && !plan->folders[i].exclude)
            leg_add_set(match, &match->folders[i]);
    }
    if (rc == 0)
        leg_add_set(match, &match->user);
    return rc;
}

/* Positive words first: when one matches nothing here, that is the end (*ret_none). */
static int words_open_all(struct match *match, bool exclude, bool *ret_none, struct emlfs_err *err)
{
    const struct plan *plan = match->plan;
    int rc = 0;

    for (unsigned i = 0; rc == 0 && !*ret_none && i < plan->words_n; i++) {
        if (plan->words[i]->exclude != exclude)
            continue;
        rc = words_open(match->view, plan->words[i], &match->words[i], err);
        if (rc < 0 || exclude)
            continue;
        if (match->words[i])
            leg_add(match,
                    &(struct leg){.words = match->words[i], .count = words_count(match->words[i])});
        else
            *ret_none = true;
    }
    return rc;
}

static int match_open(struct match *match, bool *ret_none, struct emlfs_err *err)
{
    const struct plan *plan = match->plan;
    uint32_t expected = match->view->high - match->view->low;
    int rc;

    *ret_none = false;
    rc = words_open_all(match, false, ret_none, err);
    if (rc == 0 && !*ret_none)
        rc = sets_open(match, err);
    if (rc == 0 && !*ret_none)
        rc = words_open_all(match, true, ret_none, err);
    if (rc < 0 || *ret_none)
        return rc;
    if (match->legs[0].count < expected)
        expected = match->legs[0].count;
    return attrs_open(match->view, plan->conditions, plan->conditions_n, expected, &match->attrs,
                      err);
}

static void match_close(struct match *match)
{
    for (unsigned i = 0; i < match->plan->words_n; i++)
        words_close(match->words[i]);
    for (unsigned i = 0; i < match->plan->folders_n; i++)
        docset_free(&match->folders[i]);
    docset_free(&match->user);
    attrs_close(&match->attrs);
    free(match);
}

/* The next document at which all legs stand. */
static int64_t next_doc(struct match *match, uint32_t doc, struct emlfs_err *err)
{
    unsigned agreed = 0;

    while (agreed < match->legs_n) {
        const struct leg *leg = &match->legs[agreed];
        int64_t at = leg->words ? words_seek(leg->words, doc, err) : docset_seek(leg->set, doc);
        if (at <= 0)
            return at;
        agreed = at == doc || agreed == 0 ? agreed + 1 : 0;
        doc = (uint32_t)at;
    }
    return doc;
}

/* 1: the document matches; 0; negative. */
static int doc_matches(struct match *match, uint32_t doc, struct emlfs_err *err)
{
    const struct plan *plan = match->plan;
    int rc = attrs_hold(&match->attrs, doc, err);

    for (unsigned i = 0; rc > 0 && i < plan->folders_n; i++) {
        if (plan->folders[i].exclude && docset_has(&match->folders[i], doc))
            rc = 0;
    }
    for (unsigned i = 0; rc > 0 && i < plan->words_n; i++) {
        int64_t at;
        if (!plan->words[i]->exclude || !match->words[i])
            continue;
        at = words_seek(match->words[i], doc, err);
        rc = at < 0 ? (int)at : at != doc;
    }
    return rc;
}

static int match_each(struct match *match, const struct hits *hits, struct emlfs_err *err)
{
    const struct view *view = match->view;
    uint32_t doc = view->high, steps = 0;

    while (doc >= view->low && doc > 0) {
        int64_t at = next_doc(match, doc, err);
        int rc;
        if (at <= 0 || at < view->low)
            return (int)(at < 0 ? at : 0);
        if (++steps % CANCEL_STEP == 0 && view_cancelled(view))
            return -ECANCELED;
        rc = doc_matches(match, (uint32_t)at, err);
        if (rc > 0)
            rc = hits->each(hits->arg, emlfs_msg_id_make(view->shelf->no, (uint32_t)at));
        if (rc != 0)
            return rc;
        doc = (uint32_t)at - 1;
    }
    return 0;
}

int match_run(const struct plan *plan, const struct view *view, const struct hits *hits,
              struct emlfs_err *err)
{
    struct match *match = calloc(1, sizeof(*match));
    bool none;
    int rc;

    if (!match)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory");
    match->plan = plan;
    match->view = view;
    rc = match_open(match, &none, err);
    if (rc == 0 && !none)
        rc = match_each(match, hits, err);
    match_close(match);
    return rc;
}
