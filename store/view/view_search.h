/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_STORE_VIEW_SEARCH_H
#define EMLFS_STORE_VIEW_SEARCH_H

#include "emlfs/index.h"
#include "emlfs/saved.h"
#include "view_internal.h"

/* Shared by the files of store/view that know searches; nobody else includes it. */

#define VIEW_SEARCHES_NAME "Searches"
#define VIEW_QUERIES_NAME ".query"

static inline bool view_kind_is_search(enum view_kind kind)
{
    return kind == VIEW_SEARCHES || kind == VIEW_QUERIES || kind == VIEW_SAVED ||
           kind == VIEW_QUERY || kind == VIEW_SAVED_PART;
}

/* What a directory of results stands for. */
struct view_search {
    struct emlfs_user_id user;
    struct emlfs_query *query;
    char text[EMLFS_QUERY_MAX_BYTES + 1]; /* as it was written */
};
/* The query of a VIEW_SAVED or VIEW_QUERY node; the right to search is decided here. ENOENT,
 * ESTALE, EINVAL: not valid any more. */
int view_search_open(struct emlfs_view *view, const struct emlfs_subject *subject,
                     const struct view_node *at, struct view_search *ret, struct emlfs_err *err);
void view_search_close(struct view_search *search);
/* May subject do this with what at is? */
int view_search_check(struct emlfs_view *view, const struct emlfs_subject *subject,
                      const struct view_node *at, enum emlfs_access_call call,
                      struct emlfs_err *err);
/* The directory that at, of user, lies in. */
int view_search_parent(struct emlfs_view *view, const struct view_node *at,
                       struct emlfs_user_id user, emlfs_node *ret, struct emlfs_err *err);
/* The saved search behind a VIEW_SAVED node; -ENOENT. */
int view_saved_get(struct emlfs_view *view, const struct view_node *at,
                   struct emlfs_saved_search *ret, struct emlfs_err *err);
/* Does message id match now? 0, -ENOENT. */
int view_search_has(struct emlfs_view *view, const struct view_search *search,
                    struct emlfs_msg_id id, struct emlfs_err *err);
/* What the index answered as a file system's errno. */
int view_search_errno(int rc);

/*
 * A walk over the results, newest first: after 0 begins, otherwise the first result with an id
 * below after. Its memory does not depend on the number of results. *ret is valid till the next
 * call. -ENOENT at the end.
 */
struct view_results;
int view_results_new(struct view_search *search, struct view_results **ret);
struct view_result {
    const struct emlfs_entry *entry;
    bool loose; /* shown as deletable */
};
int view_results_next(struct emlfs_view *view, struct view_results *results,
                      struct emlfs_msg_id after, struct view_result *ret, struct emlfs_err *err);
void view_results_cancel(struct view_results *results, const atomic_bool *cancel);
void view_results_free(struct view_results *results);

/* Attributes of Searches, .query and the directories in it; of a saved search. */
void view_attr_search(struct emlfs_view *view, emlfs_node node, struct emlfs_user_id user,
                      struct emlfs_attr *ret);
void view_attr_saved(struct emlfs_view *view, const struct emlfs_saved_search *saved,
                     struct emlfs_attr *ret);
/* Attributes of a message become those of a name in a directory of results. */
void view_attr_result(struct emlfs_attr *ret);

/* Searches and .query, when name is one of them. */
bool view_search_top(struct emlfs_view *view, struct emlfs_user_id user, const char *name,
                     struct emlfs_attr *ret);
/* The parts of emlfs_view_... that concern nodes of searches. */
int view_search_lookup(struct emlfs_view *view, const struct emlfs_subject *subject,
                       const struct view_node *at, const char *name, struct emlfs_attr *ret,
                       struct emlfs_err *err);
/* target: what at is; the right to see it was decided before. */
int view_search_getattr(struct emlfs_view *view, const struct view_node *at,
                        const struct emlfs_target *target, emlfs_node node, struct emlfs_attr *ret,
                        struct emlfs_err *err);

#endif
