/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_COMMAND_SEARCH_H
#define EMLFS_COMMAND_SEARCH_H

#include "emlfs/message.h"
#include "handlers.h"

/* What the search commands share. */

/* The user archive to search: --user, or the caller's own. EINVAL: several are; ENOENT. */
int search_user(struct emlfs_call *call, struct emlfs_user *ret, struct emlfs_err *err);
/* The words of argument name, joined by blanks, NUL-terminated. E2BIG. */
int search_words(struct json_object *args, const char *name, struct emlfs_buf *out,
                 struct emlfs_err *err);
/* As emlfs_query_parse; a mistake is shown by notices, with a caret below its place. EINVAL. */
int search_parse(struct emlfs_call *call, const char *text, struct emlfs_query **ret,
                 struct emlfs_err *err);

/* ---- search_rows.c: results as rows */

#define SEARCH_BATCH 256u

struct search_rows;
int search_rows_new(struct emlfs_call *call, struct emlfs_user_id user, struct search_rows **ret,
                    struct emlfs_err *err);
/* Before a row is put: 0 it may be shown, or an error that ends it. */
void search_rows_behind(struct search_rows *rows, int (*ready)(void *arg, struct emlfs_err *err),
                        void *arg);
void search_rows_free(struct search_rows *rows);
/* Put a row for each of n <= SEARCH_BATCH messages; those without an entry now are left out. */
int search_rows_put(struct search_rows *rows, const struct emlfs_msg_id *ids, unsigned n,
                    struct emlfs_err *err);
/* What an entry is sorted by. */
enum search_order {
    SEARCH_ORDER_FOUND, /* newest message id first */
    SEARCH_ORDER_DATE,  /* latest message date first */
    SEARCH_ORDER_FROM,
    SEARCH_ORDER_SUBJECT,
};
struct search_key {
    struct emlfs_msg_id id;
    int64_t number; /* ascending */
    char *text;     /* folded, ascending; NULL: none; owned */
};
/* Keys of n <= SEARCH_BATCH messages; id 0 where there is no entry. */
int search_rows_keys(struct search_rows *rows, const struct emlfs_msg_id *ids, unsigned n,
                     enum search_order order, struct search_key *ret, struct emlfs_err *err);

/* ---- search_facts.c: what messages say of themselves, read by several threads */

struct search_ask {
    struct emlfs_archive *archive;
    const struct emlfs_progress *progress;
    const struct emlfs_entry *entries; /* id 0: none */
    unsigned n;
    struct emlfs_buf *ret; /* n; encoded facts go into those that are empty */
};
/* Returns when all are read; what is empty then is to be read alone, to see why not. */
void search_facts_read(const struct search_ask *ask);

/* ---- search_sort.c: the first max of many, in bounded memory */

struct search_sort;
int search_sort_new(size_t max, struct search_sort **ret);
void search_sort_free(struct search_sort *sort);
/* Takes the text of key. -ENOMEM. */
int search_sort_add(struct search_sort *sort, struct search_key *key);
/* Did more than max come? */
bool search_sort_overflowed(const struct search_sort *sort);
/* In order, at most max; borrowed till _free. */
size_t search_sort_result(struct search_sort *sort, const struct search_key **ret);

#endif
