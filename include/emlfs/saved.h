/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_SAVED_H
#define EMLFS_SAVED_H

#include "emlfs/archive.h"
#include "emlfs/base/actor.h"
#include "emlfs/query.h"

/*
 * Saved searches: a name and a query that belong to a user archive. They are master rows, so
 * recover keeps them; removing one touches no mail. The query is kept as it was written and runs
 * whenever it is looked at, so that "lastmonth" means last month then.
 *
 * All of an archive's are in memory; one struct emlfs_saved exists per open archive. Every function
 * may be called from any thread; reading never waits for the archive.
 */
#define EMLFS_SAVED_USER_MAX 1000u      /* of one user */
#define EMLFS_SAVED_NAME_MAX_UNITS 100u /* UTF-16; bytes: EMLFS_NAME_MAX_BYTES */

struct emlfs_saved_id {
    uint32_t v; /* 0: none; unique in the archive, never used again */
};
struct emlfs_saved_search {
    struct emlfs_saved_id id;
    struct emlfs_user_id user;
    enum emlfs_query_form form;
    int64_t created_ns;
    int64_t changed_ns; /* of its query or name */
    char name[EMLFS_NAME_MAX_BYTES + 1];
    char query[EMLFS_QUERY_MAX_BYTES + 1];
};

struct emlfs_saved;
/* EUCLEAN: a damaged row; EPROTONOSUPPORT: a newer form. */
int emlfs_saved_open(struct emlfs_archive *archive, struct emlfs_saved **ret,
                     struct emlfs_err *err);
/* Before the archive. NULL is allowed. */
void emlfs_saved_close(struct emlfs_saved *saved);

/*
 * Of search, user, name, form and query are read; id and times are filled in. Durable when 0 came
 * back. The name must be a folder name (emlfs_name_folder_ok), except that the characters
 * : " * ? < > | and \ of queries may stand in it as if they were letters (mkdir names a search by
 * its query), and free for that user, ignoring case. EINVAL: name, or a query that does not parse;
 * EEXIST; E2BIG (EMLFS_SAVED_USER_MAX); EROFS.
 */
int emlfs_saved_add(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                    struct emlfs_saved_search *search, struct emlfs_err *err);
/* ENOENT. */
int emlfs_saved_remove(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                       struct emlfs_saved_id id, struct emlfs_err *err);
/* ENOENT, EINVAL, EEXIST. The id stays, also when only the case changes. */
int emlfs_saved_rename(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                       struct emlfs_saved_id id, const char *name, struct emlfs_err *err);
/* ENOENT, EINVAL. */
struct emlfs_saved_query {
    const char *text;
    enum emlfs_query_form form;
};
int emlfs_saved_set_query(struct emlfs_saved *saved, const struct emlfs_actor *actor,
                          struct emlfs_saved_id id, const struct emlfs_saved_query *query,
                          struct emlfs_err *err);

/* Exactly this name of user's searches; -ENOENT (no text: ask often). */
int emlfs_saved_by_name(struct emlfs_saved *saved, struct emlfs_user_id user, const char *name,
                        struct emlfs_saved_search *ret);
int emlfs_saved_by_id(struct emlfs_saved *saved, struct emlfs_saved_id id,
                      struct emlfs_saved_search *ret);
/* User's search with the smallest id > after; -ENOENT at the end. */
int emlfs_saved_next(struct emlfs_saved *saved, struct emlfs_user_id user,
                     struct emlfs_saved_id after, struct emlfs_saved_search *ret);
/*
 * When user's list of searches last changed: the latest change of one that is there, or a removal
 * of anybody's since _open. 0: there never was one.
 */
int64_t emlfs_saved_changed_ns(struct emlfs_saved *saved, struct emlfs_user_id user);

#endif
