/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the differential test asks of the C code, a line in, a line out:
 *
 *   runqueries tokens                        TEXT -> the tokens of it, joined by blanks
 *   runqueries parse                         FORM QUERY -> the query as JSON
 *   runqueries search ARCHIVE USER EMLFS NOW FORM QUERY -> ids, newest first
 *
 * FORM is p (plain) or f (a file name), one character directly before the query. NOW is the
 * archive's time in seconds. A query that is a mistake gives {"at": BYTE, "text": REASON} in both.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../store/index/tokens.h"
#include "emlfs/extract.h"
#include "emlfs/index.h"
#include "emlfs/policy.h"

#define LINE_BYTES (64u << 20)

static void print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
}

static struct json_object *json_span(struct emlfs_span text)
{
    return json_object_new_string_len(text.len ? (const char *)text.data : "", (int)text.len);
}

/* ---- tokens */

static int tokens_line(struct emlfs_span line)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(LINE_BYTES);
    struct token token;
    const char *gap = "";
    int r = text_fold(line, &folded);
    if (r < 0)
        return r;
    struct token_walk walk = token_walk_of(emlfs_buf_view(&folded));
    for (; token_walk_next(&walk, &token); gap = " ")
        printf("%s%.*s", gap, (int)token.text.len, (const char *)token.text.data);
    putchar('\n');
    return 0;
}

/* ---- parse */

static struct json_object *json_day(const struct emlfs_query_day *day)
{
    static const char *const names[] = {"",         "",         "today",     "yesterday",
                                        "thisweek", "lastweek", "thismonth", "lastmonth",
                                        "thisyear", "lastyear"};
    if (day->kind == EMLFS_DAY_OPEN)
        return NULL;
    if (day->kind != EMLFS_DAY_FIXED)
        return json_object_new_string(names[day->kind]);
    struct json_object *array = json_object_new_array();
    json_object_array_add(array, json_object_new_int(day->year));
    if (day->month)
        json_object_array_add(array, json_object_new_int(day->month));
    if (day->day)
        json_object_array_add(array, json_object_new_int(day->day));
    return array;
}

static void json_words(struct json_object *object, const struct emlfs_query_term *term)
{
    struct json_object *phrase = json_object_new_array();
    for (unsigned i = 0; i < term->tokens_n; i++) {
        struct json_object *token = json_object_new_array();
        json_object_array_add(token, json_span(term->tokens[i].text));
        json_object_array_add(token, json_object_new_boolean(term->tokens[i].glob));
        json_object_array_add(phrase, token);
    }
    json_object_object_add(object, "fields", json_object_new_int((int)term->fields));
    json_object_object_add(object, "phrase", phrase);
}

static struct json_object *json_term(const struct emlfs_query_term *term)
{
    static const char *const kinds[] = {"words", "date",     "archived", "size",
                                        "has",   "priority", "folder",   "store"};
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "kind", json_object_new_string(kinds[term->kind]));
    json_object_object_add(object, "exclude", json_object_new_boolean(term->exclude));
    if (term->kind == EMLFS_TERM_WORDS)
        json_words(object, term);
    if (term->kind == EMLFS_TERM_DATE || term->kind == EMLFS_TERM_ARCHIVED) {
        json_object_object_add(object, "first", json_day(&term->from_day));
        json_object_object_add(object, "last", json_day(&term->to_day));
    }
    if (term->kind == EMLFS_TERM_SIZE) {
        json_object_object_add(object, "first", json_object_new_uint64(term->from));
        json_object_object_add(object, "last", json_object_new_uint64(term->to));
    }
    if (term->kind == EMLFS_TERM_PRIORITY)
        json_object_object_add(object, "number", json_object_new_int((int)term->number));
    json_object_object_add(object, "value", json_span(term->text));
    return object;
}

/* The query of a line, or its mistake printed; NULL and *ret_r = 0 then. */
static struct emlfs_query *line_parse(struct emlfs_span line, int *ret_r)
{
    struct emlfs_query_mistake mistake;
    struct emlfs_query *query;
    enum emlfs_query_form form = EMLFS_QUERY_PLAIN;
    *ret_r = -EINVAL;
    if (line.len == 0 || (line.data[0] != 'p' && line.data[0] != 'f'))
        return NULL;
    if (line.data[0] == 'f')
        form = EMLFS_QUERY_PATH;
    int r = emlfs_query_parse(emlfs_span_of(line.data + 1, line.len - 1), form, &query, &mistake);
    *ret_r = r == -EINVAL || r == -E2BIG ? 0 : r;
    if (r == 0)
        return query;
    struct json_object *object = json_object_new_object();
    json_object_object_add(object, "at", json_object_new_int((int)mistake.at));
    json_object_object_add(object, "text", json_object_new_string(mistake.text));
    print_json(object);
    return NULL;
}

static int parse_line(struct emlfs_span line)
{
    int r;
    struct emlfs_query *query = line_parse(line, &r);
    if (!query)
        return r;
    struct json_object *array = json_object_new_array();
    for (unsigned i = 0; i < query->terms_n; i++)
        json_object_array_add(array, json_term(&query->terms[i]));
    print_json(array);
    emlfs_query_free(query);
    return 0;
}

/* ---- search */

struct engine {
    struct emlfs_archive *archive;
    struct emlfs_index *index;
    struct emlfs_user user;
    const char *exe;
    int64_t now_ns;
    struct emlfs_err err;
};

static int64_t engine_now_ns(void *arg)
{
    return ((const struct engine *)arg)->now_ns;
}

static int engine_extractor(void *arg, struct emlfs_extractor *ret, struct emlfs_err *err)
{
    const struct emlfs_extractor_config config = {.exe = ((const struct engine *)arg)->exe};
    return emlfs_extractor_new(&config, ret, err);
}

static void engine_notice(void *arg, const char *text)
{
    (void)arg;
    fprintf(stderr, "runqueries: %s\n", text);
}

static int engine_open(struct engine *engine, char **argv)
{
    const struct emlfs_archive_options options = {
        .path = argv[2], .lock_wait_ms = 10000, .clock = {engine_now_ns, engine}};
    engine->exe = argv[4];
    engine->now_ns = strtoll(argv[5], NULL, 10) * 1000000000;
    int r = emlfs_archive_open(&options, &engine->archive, &engine->err);
    if (r == 0)
        r = emlfs_user_by_name(engine->archive, argv[3], &engine->user, &engine->err);
    const struct emlfs_index_options index_options = {.archive = engine->archive,
                                                      .extractor = engine_extractor,
                                                      .arg = engine,
                                                      .notice = engine_notice};
    if (r == 0)
        r = emlfs_index_open(&index_options, &engine->index, &engine->err);
    return r == 0 ? emlfs_index_catch_up(engine->index, NULL, &engine->err) : r;
}

static int engine_close(struct engine *engine)
{
    int r = engine->index ? emlfs_index_close(engine->index, &engine->err) : 0;
    int closed = engine->archive ? emlfs_archive_close(engine->archive, &engine->err) : 0;
    return r < 0 ? r : closed;
}

static int id_print(void *arg, struct emlfs_msg_id id)
{
    printf("%s%llu", *(const char **)arg, (unsigned long long)id.v);
    *(const char **)arg = " ";
    return 0;
}

static int search_line(struct engine *engine, struct emlfs_span line)
{
    int r;
    const char *gap = "";
    struct emlfs_query *query = line_parse(line, &r);
    if (!query)
        return r;
    const struct emlfs_search search = {.query = query, .user = engine->user.id};
    r = emlfs_index_search(engine->index, &search, id_print, &gap, &engine->err);
    putchar('\n');
    emlfs_query_free(query);
    return r;
}

/* ---- lines */

static int lines_run(struct engine *engine, const char *mode)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int r = 0;
    while (r == 0 && (len = getline(&line, &room, stdin)) > 0) {
        struct emlfs_span text = emlfs_span_of(line, (size_t)len - (line[len - 1] == '\n'));
        if (strcmp(mode, "tokens") == 0)
            r = tokens_line(text);
        else if (strcmp(mode, "parse") == 0)
            r = parse_line(text);
        else
            r = search_line(engine, text);
    }
    free(line);
    return r;
}

int main(int argc, char **argv)
{
    struct engine engine = {0};
    bool search = argc == 6 && strcmp(argv[1], "search") == 0;
    if (!search && (argc != 2 || (strcmp(argv[1], "tokens") && strcmp(argv[1], "parse")))) {
        fprintf(stderr, "usage: runqueries tokens|parse|search ARCHIVE USER EMLFS NOW\n");
        return EXIT_FAILURE;
    }
    int r = search ? engine_open(&engine, argv) : 0;
    if (r == 0)
        r = lines_run(&engine, argv[1]);
    int closed = engine_close(&engine);
    if (r == 0)
        r = closed;
    if (r < 0)
        fprintf(stderr, "runqueries: error %d: %s\n", -r, engine.err.text);
    return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
