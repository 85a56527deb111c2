/* SPDX-License-Identifier: GPL-3.0-or-later */
/* search: who may look where, the query, results in the order asked for. */
#include "search.h"

#include <pthread.h>
#include <stdlib.h>

#include "emlfs/text.h"

#define SORT_MAX 100000u /* results that are sorted at once without --limit */

/* ---- what the search commands share */

static int search_allowed(struct emlfs_call *call, const struct emlfs_user *user,
                          const char *wanted)
{
    const struct emlfs_target target = {.kind = EMLFS_OBJECT_ARCHIVE, .user = user->id};

    if (wanted && strcmp(wanted, user->name) != 0)
        return -ENOENT;
    return emlfs_rules_check(call->rules, &call->subject, &target, EMLFS_CALL_SEARCH, NULL);
}

/*
 * That a user archive exists is not told to those who may not know. Without --user it is the
 * caller's own, else the only one that they may search.
 */
int search_user(struct emlfs_call *call, struct emlfs_user *ret, struct emlfs_err *err)
{
    const char *wanted = emlfs_args_text(call->args, "user");
    struct emlfs_user_list list;
    int r = emlfs_user_list_load(call->archive, &list, err), refused = -ENOENT;
    unsigned n = 0;

    for (size_t i = 0; r == 0 && i < list.n; i++) {
        int may = search_allowed(call, &list.v[i], wanted);
        bool own = list.v[i].id.v == call->who.access.user.v;

        if (may == 0 && (n == 0 || own))
            *ret = list.v[i];
        n = may == 0 && own ? 1 : n + (may == 0);
        if (may == 0 && own)
            break;
        if (may == -EACCES && wanted)
            refused = may;
    }
    free(list.v);
    if (r < 0 || n == 1)
        return r;
    if (n > 1)
        return emlfs_err_set(err, EINVAL, "search",
                             "you may search several user archives: choose one with --user");
    if (wanted)
        return emlfs_err_set(err, -refused, "search",
                             refused == -EACCES ? "the user archive %s is not open to you"
                                                : "no user archive %s that you may read",
                             wanted);
    return emlfs_err_set(err, ENOENT, "search", "no user archive belongs to your account");
}

int search_words(struct json_object *args, const char *name, struct emlfs_buf *out,
                 struct emlfs_err *err)
{
    struct json_object *list = emlfs_args_list(args, name);
    size_t n = list ? json_object_array_length(list) : 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = emlfs_text_printf(out, "%s%s", i ? " " : "",
                              json_object_get_string(json_object_array_get_idx(list, i)));
    if (r == 0)
        r = emlfs_buf_append_u8(out, '\0');
    return r < 0 ? emlfs_err_set(err, EINVAL, "search", "a query has at most %u bytes",
                                 EMLFS_QUERY_MAX_BYTES)
                 : 0;
}

/* Two lines: the query, and a caret below the place. */
static void mistake_show(struct emlfs_call *call, const char *text, unsigned at)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf shown = EMLFS_BUF_INIT(64u << 10);
    size_t len = strlen(text);
    size_t columns;

    if (!call->notice || emlfs_text_terminal(emlfs_span_of(text, at < len ? at : len), &shown) < 0)
        return;
    columns = emlfs_text_columns(emlfs_buf_view(&shown));
    emlfs_buf_clear(&shown);
    call->notice(call->arg, text);
    if (emlfs_text_printf(&shown, "%*s^%c", (int)columns, "", '\0') == 0)
        call->notice(call->arg, (const char *)shown.data);
}

int search_parse(struct emlfs_call *call, const char *text, struct emlfs_query **ret,
                 struct emlfs_err *err)
{
    struct emlfs_query_mistake mistake = {0};
    int r = emlfs_query_parse(emlfs_span_str(text), EMLFS_QUERY_PLAIN, ret, &mistake);

    if (r == -EINVAL) {
        mistake_show(call, text, mistake.at);
        return emlfs_err_set(err, EINVAL, "search", "%s", mistake.text);
    }
    if (r == -E2BIG)
        return emlfs_err_set(err, EINVAL, "search",
                             "the query is too long: at most %u bytes, %u terms, %u words in one",
                             EMLFS_QUERY_MAX_BYTES, EMLFS_QUERY_TERMS_MAX, EMLFS_QUERY_TOKENS_MAX);
    return r < 0 ? emlfs_err_sys(err, -r, "search", "the query") : 0;
}

/* ---- recording */

/*
 * That somebody searches is recorded, durably, before anything that was found is shown. Writing it
 * down waits for the disk, and looking for it meanwhile tells nobody anything.
 */
struct recording {
    struct emlfs_call *call;
    struct emlfs_activity activity;
    pthread_t thread;
    bool threaded, ended;
    int result;
    struct emlfs_err err;
};

static void *recording_main(void *arg)
{
    struct recording *recording = arg;

    recording->result = emlfs_call_activity(recording->call, &recording->activity, &recording->err);
    return NULL;
}

static void recording_begin(struct recording *recording)
{
    recording->threaded = emlfs_rules_is_audited(recording->call->rules, &recording->call->who,
                                                 recording->activity.what) &&
                          pthread_create(&recording->thread, NULL, recording_main, recording) == 0;
    if (!recording->threaded)
        (void)recording_main(recording);
}

/* Any number of times: 0, it is recorded, or need not be. */
static int recording_end(void *arg, struct emlfs_err *err)
{
    struct recording *recording = arg;

    if (recording->threaded && !recording->ended)
        (void)pthread_join(recording->thread, NULL);
    recording->ended = true;
    if (recording->result < 0 && err)
        *err = recording->err;
    return recording->result;
}

/* ---- running */

struct run {
    struct emlfs_call *call;
    struct search_rows *rows;
    struct search_sort *sort; /* NULL: as found */
    enum search_order order;
    uint64_t limit; /* 0: none */
    uint64_t found;
    struct emlfs_msg_id ids[SEARCH_BATCH];
    unsigned n;
    struct emlfs_err *err;
};

static int batch_sort(struct run *run)
{
    struct search_key keys[SEARCH_BATCH];
    int r = search_rows_keys(run->rows, run->ids, run->n, run->order, keys, run->err);

    for (unsigned i = 0; r == 0 && i < run->n; i++)
        if (keys[i].id.v)
            r = search_sort_add(run->sort, &keys[i]);
    for (unsigned i = 0; i < run->n; i++)
        free(keys[i].text);
    return r;
}

static int batch_end(struct run *run)
{
    int r = 0;

    if (run->n > 0)
        r = run->sort ? batch_sort(run) : search_rows_put(run->rows, run->ids, run->n, run->err);
    run->n = 0;
    if (r == 0 && run->sort && run->limit == 0 && search_sort_overflowed(run->sort))
        r = emlfs_err_set(run->err, E2BIG, "search",
                          "more than %u messages match: narrow the query, or give --limit",
                          SORT_MAX);
    return r;
}

static int run_each(void *arg, struct emlfs_msg_id id)
{
    struct run *run = arg;
    int r = 0;

    run->ids[run->n++] = id;
    run->found++;
    if (run->n == SEARCH_BATCH)
        r = batch_end(run);
    if (r == 0 && !run->sort && run->limit > 0 && run->found == run->limit)
        r = 1;
    return r;
}

static int sorted_put(struct run *run)
{
    const struct search_key *keys;
    size_t n = search_sort_result(run->sort, &keys);
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++) {
        run->ids[run->n++] = keys[i].id;
        if (run->n == SEARCH_BATCH || i + 1 == n) {
            r = search_rows_put(run->rows, run->ids, run->n, run->err);
            run->n = 0;
        }
    }
    return r;
}

static int run_search(struct run *run, const struct emlfs_search *search)
{
    int r = emlfs_index_search(run->call->index, search, run_each, run, run->err);

    r = r > 0 ? 0 : r;
    if (r == 0)
        r = batch_end(run);
    return r == 0 && run->sort ? sorted_put(run) : r;
}

static int order_of(const char *text, enum search_order *ret, struct emlfs_err *err)
{
    *ret = SEARCH_ORDER_FOUND;
    if (!text)
        return 0;
    if (strcmp(text, "date") == 0)
        *ret = SEARCH_ORDER_DATE;
    else if (strcmp(text, "from") == 0)
        *ret = SEARCH_ORDER_FROM;
    else if (strcmp(text, "subject") == 0)
        *ret = SEARCH_ORDER_SUBJECT;
    else
        return emlfs_err_set(err, EINVAL, "search", "--sort: date, from or subject");
    return 0;
}

static int results(struct emlfs_call *call, const struct emlfs_search *search,
                   struct recording *recording, struct emlfs_err *err)
{
    struct run *run = calloc(1, sizeof(*run));
    int r = run ? 0 : emlfs_err_set(err, ENOMEM, "search", "out of memory");

    if (r < 0)
        return r;
    run->call = call;
    run->err = err;
    run->limit = emlfs_args_number(call->args, "limit", 0);
    r = order_of(emlfs_args_text(call->args, "sort"), &run->order, err);
    if (r == 0 && run->order != SEARCH_ORDER_FOUND && run->limit > SORT_MAX)
        r = emlfs_err_set(err, EINVAL, "search", "--limit: at most %u with --sort", SORT_MAX);
    if (r == 0)
        r = search_rows_new(call, search->user, &run->rows, err);
    if (r == 0)
        search_rows_behind(run->rows, recording_end, recording);
    if (r == 0 && run->order != SEARCH_ORDER_FOUND &&
        search_sort_new(run->limit ? run->limit : SORT_MAX, &run->sort) < 0)
        r = emlfs_err_set(err, ENOMEM, "search", "out of memory");
    if (r == 0)
        r = run_search(run, search);
    search_sort_free(run->sort);
    search_rows_free(run->rows);
    free(run);
    return r;
}

static int count(struct emlfs_call *call, const struct emlfs_search *search,
                 struct recording *recording, struct emlfs_err *err)
{
    uint64_t n = 0;
    int r = emlfs_index_count(call->index, search, &n, err);

    if (r == 0)
        r = recording_end(recording, err);
    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row)
        emlfs_row_number(row, "count", n);
    return emlfs_row_put(call, row, err);
}

static int answer(struct emlfs_call *call, const struct emlfs_query *query,
                  struct recording *recording, struct emlfs_err *err)
{
    const struct emlfs_search search = {.query = query,
                                        .user = recording->activity.owner,
                                        .cancel = call->progress ? call->progress->cancel : NULL};
    int r = 0;

    if (!emlfs_args_flag(call->args, "no-wait"))
        r = emlfs_index_catch_up(call->index, call->progress, err);
    if (r < 0)
        return r;
    return emlfs_args_flag(call->args, "count") ? count(call, &search, recording, err)
                                                : results(call, &search, recording, err);
}

int emlfs_run_search(struct emlfs_call *call, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(64u << 10);
    struct recording recording = {.call = call};
    struct emlfs_query *query = NULL;
    struct emlfs_user user;
    int r = search_words(call->args, "QUERY", &text, err);

    if (r == 0)
        r = search_parse(call, (const char *)text.data, &query, err);
    if (r == 0)
        r = search_user(call, &user, err);
    if (r == 0) {
        recording.activity = (struct emlfs_activity){.what = EMLFS_AUDIT_SEARCH,
                                                     .kind = EMLFS_LEDGER_SEARCH,
                                                     .owner = user.id,
                                                     .text = (const char *)text.data};
        recording_begin(&recording);
        r = answer(call, query, &recording, err);
        int recorded = recording_end(&recording, r < 0 ? NULL : err);
        r = r < 0 ? r : recorded;
    }
    emlfs_query_free(query);
    return r;
}
