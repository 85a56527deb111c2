/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A query made ready: days, folders and stores resolved, once for all segments. */
#include <stdlib.h>

#include "emlfs/stores.h"
#include "search.h"

#define MODULE "index"
#define NS_PER_SEC INT64_C(1000000000)

/* ns >= from_ns is seconds >= this. */
static int64_t seconds_up(int64_t ns)
{
    return ns / NS_PER_SEC + (ns % NS_PER_SEC > 0);
}

static int add_days(struct emlfs_index *index, struct plan *plan,
                    const struct emlfs_query_term *term, struct emlfs_err *err)
{
    struct emlfs_archive *archive = index->options.archive;
    struct condition *c = &plan->conditions[plan->conditions_n++];
    int64_t from_ns, to_ns;
    int rc = emlfs_query_span(term, emlfs_archive_now_ns(archive),
                              emlfs_archive_get_settings(archive)->timezone, &from_ns, &to_ns);

    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "days of the query");
    *c =
        (struct condition){.column = term->kind == EMLFS_TERM_DATE ? COLUMN_MTIME : COLUMN_ARCHIVED,
                           .exclude = term->exclude,
                           .from = from_ns == INT64_MIN ? INT64_MIN : seconds_up(from_ns),
                           .to = to_ns == INT64_MAX ? INT64_MAX : seconds_up(to_ns) - 1};
    return 0;
}

static void add_value(struct plan *plan, enum column column, const struct emlfs_query_term *term,
                      int64_t from, int64_t to)
{
    plan->conditions[plan->conditions_n++] =
        (struct condition){.column = column, .exclude = term->exclude, .from = from, .to = to};
}

static int64_t size_of(uint64_t bytes)
{
    return bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

static int add_folder(struct emlfs_index *index, struct plan *plan,
                      const struct emlfs_query_term *term, struct emlfs_err *err)
{
    struct plan_folders *folders = &plan->folders[plan->folders_n];
    int rc = folders_find(index, plan->search->user, term->text, &folders->ids, err);

    if (rc < 0)
        return rc;
    if (folders->ids.n == 0) { /* no folder: nothing is in it */
        free(folders->ids.v);
        plan->nothing |= !term->exclude;
        return 0;
    }
    folders->exclude = term->exclude;
    plan->folders_n++;
    return 0;
}

static int term_add(struct emlfs_index *index, struct plan *plan,
                    const struct emlfs_query_term *term, struct emlfs_err *err)
{
    switch (term->kind) {
    case EMLFS_TERM_WORDS:
        if (term->tokens_n == 0)
            return emlfs_err_set(err, EINVAL, MODULE, "a term without words");
        plan->words[plan->words_n++] = term;
        return 0;
    case EMLFS_TERM_DATE:
    case EMLFS_TERM_ARCHIVED:
        return add_days(index, plan, term, err);
    case EMLFS_TERM_SIZE:
        add_value(plan, COLUMN_SIZE, term, size_of(term->from), size_of(term->to));
        return 0;
    case EMLFS_TERM_ATTACHMENT:
        add_value(plan, COLUMN_ATTACHMENT, term, 1, 1);
        return 0;
    case EMLFS_TERM_PRIORITY:
        add_value(plan, COLUMN_PRIORITY, term, term->number, term->number);
        return 0;
    case EMLFS_TERM_FOLDER:
        return add_folder(index, plan, term, err);
    case EMLFS_TERM_STORE:
        plan->stores[plan->stores_n++] = term;
        return 0;
    }
    return emlfs_err_set(err, EINVAL, MODULE, "a term of an unknown kind");
}

int plan_make(struct emlfs_index *index, const struct emlfs_search *search, struct plan *ret,
              struct emlfs_err *err)
{
    const struct emlfs_query *query = search->query;
    int rc = 0;

    *ret = (struct plan){.search = search};
    if (query->terms_n == 0 || query->terms_n > EMLFS_QUERY_TERMS_MAX)
        return emlfs_err_set(err, EINVAL, MODULE, "a query has 1 to %u terms",
                             EMLFS_QUERY_TERMS_MAX);
    for (unsigned i = 0; rc == 0 && i < query->terms_n; i++)
        rc = term_add(index, ret, &query->terms[i], err);
    if (rc < 0)
        plan_free(ret);
    return rc;
}

void plan_free(struct plan *plan)
{
    for (unsigned i = 0; i < plan->folders_n; i++)
        free(plan->folders[i].ids.v);
    plan->folders_n = 0;
}

/* The number text stands for; 0: none. */
static uint64_t store_number(struct emlfs_span text)
{
    uint64_t number = 0;

    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || number > EMLFS_STORE_NO_MAX)
            return 0;
        number = number * 10 + text.data[i] - '0';
    }
    return number;
}

/* The name that the store has now, whatever the case. */
static bool store_has_name(const struct shelf *shelf, struct emlfs_span text)
{
    char name[EMLFS_STORE_NAME_MAX_BYTES + 1];
    struct emlfs_store_info info;

    if (text.len == 0 || text.len >= sizeof(name) || memchr(text.data, 0, text.len))
        return false;
    memcpy(name, text.data, text.len);
    name[text.len] = '\0';
    return emlfs_archive_store_find(shelf->index->options.archive, name, &info, NULL) == 0 &&
           info.no == shelf->no;
}

bool plan_takes_store(const struct plan *plan, const struct shelf *shelf)
{
    if (!emlfs_archive_store_shown(shelf->index->options.archive, shelf->no))
        return false;
    for (unsigned i = 0; i < plan->stores_n; i++) {
        struct emlfs_span text = plan->stores[i]->text;
        bool named = emlfs_span_equal(text, emlfs_span_str(shelf->name)) ||
                     store_number(text) == shelf->no || store_has_name(shelf, text);
        if (named == plan->stores[i]->exclude)
            return false;
    }
    return true;
}
