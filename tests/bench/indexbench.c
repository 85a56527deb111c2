/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the search bench needs of the C code, results as JSON lines:
 *
 *   indexbench feed ARCHIVE EMLFS DIR   The text of all messages is taken out first and held in
 *       memory; then it is indexed into the new directory DIR, durable every 1,000 messages,
 *       segments merged as the engine does it. Only that is timed.
 *   indexbench ask ARCHIVE USER REPEATS   A query a line: all its results, as often as said.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../store/index/engine.h"
#include "emlfs/base/os.h"
#include "emlfs/extract.h"
#include "emlfs/policy.h"

#define COMMIT_DOCS 1000u
#define STORE_NO 1u
#define REPEATS_MAX 10000u
#define MESSAGE_BYTES (256u << 20)

static void print_json(struct json_object *object)
{
    puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
    fflush(stdout);
}

static double seconds_since(int64_t begin_ns)
{
    return (double)(emlfs_os_monotonic_ns() - begin_ns) / 1e9;
}

/* ---- feed: first the text */

struct document {
    struct doc_attr attr;
    struct emlfs_buf text, envelope;
};
struct feed {
    struct emlfs_archive *archive;
    struct emlfs_extractor extractor;
    struct document *v;
    uint32_t n, room;
    const char *dir;
    struct emlfs_key key;
    struct manifest manifest;
    struct segment *segments[MANIFEST_SEGMENTS_MAX];
    struct emlfs_err err;
};

static uint32_t text_bytes(struct emlfs_span doctext)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    size_t pos = 0, bytes = 0;
    while (emlfs_doctext_next(doctext, &pos, &piece, &problem))
        bytes += piece.field ? piece.text.len : 0;
    return (uint32_t)bytes;
}

static int envelope_take(struct feed *feed, struct emlfs_msg_id id, struct document *document,
                         struct emlfs_msg_info *ret)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf encoded = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    struct emlfs_facts facts;
    int r = emlfs_archive_msg_info(feed->archive, id, ret, &encoded, &feed->err);
    if (r == 0)
        r = emlfs_facts_decode(emlfs_buf_view(&encoded), &facts, &feed->err);
    if (r == 0 && emlfs_facts_encode_envelope(&facts, &document->envelope) == -ENOMEM)
        r = -ENOMEM;
    return r;
}

static int document_take(struct feed *feed, uint32_t number, struct emlfs_buf *raw)
{
    struct emlfs_msg_id id = emlfs_msg_id_make(STORE_NO, number);
    struct document *document = &feed->v[feed->n];
    struct emlfs_msg_info info;
    enum emlfs_priority priority;
    *document = (struct document){.text = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES),
                                  .envelope = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES)};
    int r = envelope_take(feed, id, document, &info);
    if (r == 0)
        r = emlfs_archive_msg_read(feed->archive, id, raw, &feed->err);
    if (r == 0)
        r = feed->extractor.extract(feed->extractor.arg, emlfs_buf_view(raw), EMLFS_KIND_ALL,
                                    &document->text, &feed->err);
    if (r == 0)
        r = emlfs_doctext_check(emlfs_buf_view(&document->text), &priority,
                                &document->attr.attachment, &feed->err);
    if (r < 0)
        return r;
    document->attr.doc = number;
    document->attr.text_bytes = text_bytes(emlfs_buf_view(&document->text));
    document->attr.size_bytes = info.size_bytes;
    document->attr.mtime_sec = info.mtime_ns / 1000000000;
    document->attr.archived_ns = info.archived_ns;
    document->attr.priority = (uint8_t)priority;
    feed->n++;
    return 0;
}

static int documents_take(struct feed *feed)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf raw = EMLFS_BUF_INIT(MESSAGE_BYTES);
    int r = 0;
    while (r == 0) {
        if (feed->n == feed->room) {
            uint32_t room = feed->room ? feed->room * 2 : 4096;
            struct document *v = realloc(feed->v, room * sizeof(*v));
            if (!v)
                return -ENOMEM;
            feed->v = v;
            feed->room = room;
        }
        r = document_take(feed, feed->n + 1, &raw);
    }
    return r == -ENOENT && feed->n > 0 ? 0 : r;
}

/* ---- then the index */

static int segment_add(struct feed *feed, uint32_t no, unsigned at)
{
    char path[SHELF_PATH_BYTES];
    int r = manifest_segment_path(feed->dir, no, path, sizeof(path));
    return r < 0 ? r : segment_open(path, &feed->key, &feed->segments[at], &feed->err);
}

static int manifest_commit(struct feed *feed, uint32_t last_doc)
{
    feed->manifest.last_doc = last_doc;
    feed->manifest.seq = last_doc;
    feed->manifest.docs = last_doc;
    return manifest_write(feed->dir, &feed->key, &feed->manifest, &feed->err);
}

static int merge_one(struct feed *feed, unsigned at, unsigned n)
{
    struct manifest *manifest = &feed->manifest;
    char path[SHELF_PATH_BYTES], old[SHELF_PATH_BYTES];
    const struct segment_merge merge = {
        .segments = &feed->segments[at], .n = n, .path = path, .index_key = &feed->key};
    uint32_t no = manifest->next_no++;
    int r = manifest_segment_path(feed->dir, no, path, sizeof(path));
    if (r == 0)
        r = segment_merge(&merge, &feed->err);
    for (unsigned i = at; r == 0 && i < at + n; i++) {
        segment_close(feed->segments[i]);
        r = manifest_segment_path(feed->dir, manifest->segments[i], old, sizeof(old));
        if (r == 0 && unlink(old) < 0)
            r = -errno;
    }
    if (r < 0)
        return r;
    unsigned behind = manifest->segments_n - at - n;
    memmove(&feed->segments[at + 1], &feed->segments[at + n], behind * sizeof(feed->segments[0]));
    memmove(&manifest->segments[at + 1], &manifest->segments[at + n],
            behind * sizeof(manifest->segments[0]));
    manifest->segments[at] = no;
    manifest->segments_n -= n - 1;
    r = segment_add(feed, no, at);
    return r < 0 ? r : manifest_commit(feed, manifest->last_doc);
}

static int merge_due(struct feed *feed)
{
    uint64_t bytes[MANIFEST_SEGMENTS_MAX];
    unsigned at, n;
    int r = 0;
    while (r == 0) {
        for (unsigned i = 0; i < feed->manifest.segments_n; i++) {
            struct segment_info info;
            segment_get_info(feed->segments[i], &info);
            bytes[i] = info.file_bytes;
        }
        if (!merge_choose(bytes, feed->manifest.segments_n, &at, &n))
            return 0;
        r = merge_one(feed, at, n);
    }
    return r;
}

/* Documents [from, to) as a segment of their own, with where they are filed. */
static int commit(struct feed *feed, uint32_t from, uint32_t to)
{
    struct manifest *manifest = &feed->manifest;
    char path[SHELF_PATH_BYTES];
    struct memseg *mem;
    uint32_t no = manifest->next_no++;
    int r = memseg_new(from + 1, &mem);
    if (r < 0)
        return r;
    for (uint32_t i = from; i < to && r == 0; i++) {
        r = memseg_add(mem, &feed->v[i].attr, emlfs_buf_view(&feed->v[i].text),
                       emlfs_buf_view(&feed->v[i].envelope));
        if (r == 0)
            r = memseg_file(mem, FILING_FOLDER, 2 + i / 300, i + 1, true);
        if (r == 0)
            r = memseg_file(mem, FILING_USER, 1, i + 1, true);
    }
    if (r == 0)
        r = manifest_segment_path(feed->dir, no, path, sizeof(path));
    if (r == 0)
        r = memseg_write(mem, path, &feed->key, &feed->err);
    memseg_free(mem);
    if (r == 0)
        r = segment_add(feed, no, manifest->segments_n);
    if (r < 0)
        return r;
    manifest->segments[manifest->segments_n++] = no;
    r = manifest_commit(feed, to);
    return r == 0 ? merge_due(feed) : r;
}

static int documents_index(struct feed *feed)
{
    feed->manifest.next_no = 1;
    feed->manifest.segments = calloc(MANIFEST_SEGMENTS_MAX, sizeof(uint32_t));
    int r = feed->manifest.segments ? emlfs_random(feed->key.v, sizeof(feed->key.v)) : -ENOMEM;
    if (r == 0 && mkdir(feed->dir, 0700) < 0)
        r = -errno;
    for (uint32_t at = 0; at < feed->n && r == 0; at += COMMIT_DOCS)
        r = commit(feed, at, feed->n - at < COMMIT_DOCS ? feed->n : at + COMMIT_DOCS);
    return r;
}

static void feed_print(struct feed *feed, double take_s, double index_s)
{
    struct json_object *object = json_object_new_object();
    uint64_t text = 0, bytes = 0;
    for (uint32_t i = 0; i < feed->n; i++)
        text += feed->v[i].attr.text_bytes;
    for (unsigned i = 0; i < feed->manifest.segments_n; i++) {
        struct segment_info info;
        segment_get_info(feed->segments[i], &info);
        bytes += info.file_bytes;
    }
    json_object_object_add(object, "messages", json_object_new_int64(feed->n));
    json_object_object_add(object, "text_bytes", json_object_new_uint64(text));
    json_object_object_add(object, "index_bytes", json_object_new_uint64(bytes));
    json_object_object_add(object, "segments", json_object_new_int((int)feed->manifest.segments_n));
    json_object_object_add(object, "text_s", json_object_new_double(take_s));
    json_object_object_add(object, "s", json_object_new_double(index_s));
    print_json(object);
}

static int feed_run(struct feed *feed, char **argv)
{
    const struct emlfs_archive_options options = {.path = argv[2], .lock_wait_ms = 10000};
    const struct emlfs_extractor_config config = {.exe = argv[3]};
    feed->dir = argv[4];
    int r = emlfs_archive_open(&options, &feed->archive, &feed->err);
    if (r == 0)
        r = emlfs_extractor_new(&config, &feed->extractor, &feed->err);
    int64_t begin = emlfs_os_monotonic_ns();
    if (r == 0)
        r = documents_take(feed);
    double take_s = seconds_since(begin);
    begin = emlfs_os_monotonic_ns();
    if (r == 0)
        r = documents_index(feed);
    if (r == 0)
        feed_print(feed, take_s, seconds_since(begin));
    return r;
}

static void feed_free(struct feed *feed)
{
    for (unsigned i = 0; i < feed->manifest.segments_n; i++)
        segment_close(feed->segments[i]);
    manifest_free(&feed->manifest);
    for (uint32_t i = 0; i < feed->n; i++)
        emlfs_buf_free(&feed->v[i].text);
    free(feed->v);
    if (feed->extractor.free)
        feed->extractor.free(feed->extractor.arg);
    if (feed->archive)
        emlfs_archive_close(feed->archive, NULL);
}

/* ---- ask */

struct ask {
    struct emlfs_archive *archive;
    struct emlfs_index *index;
    struct emlfs_user user;
    unsigned repeats;
    double *ms;
    struct emlfs_err err;
};

static int result_count(void *arg, struct emlfs_msg_id id)
{
    *(uint64_t *)arg += id.v != 0;
    return 0;
}

static int double_compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int query_time(struct ask *ask, const struct emlfs_query *query, const char *text)
{
    const struct emlfs_search search = {.query = query, .user = ask->user.id};
    struct json_object *object = json_object_new_object();
    uint64_t n = 0;
    int r = 0;
    for (unsigned i = 0; i < ask->repeats && r == 0; i++) {
        int64_t begin = emlfs_os_monotonic_ns();
        n = 0;
        r = emlfs_index_search(ask->index, &search, result_count, &n, &ask->err);
        ask->ms[i] = seconds_since(begin) * 1000;
    }
    json_object_object_add(object, "query", json_object_new_string(text));
    json_object_object_add(object, "n", json_object_new_uint64(n));
    json_object_object_add(object, "first_ms", json_object_new_double(ask->ms[0]));
    qsort(ask->ms, ask->repeats, sizeof(*ask->ms), double_compare);
    json_object_object_add(object, "p50_ms", json_object_new_double(ask->ms[ask->repeats / 2]));
    json_object_object_add(object, "max_ms", json_object_new_double(ask->ms[ask->repeats - 1]));
    print_json(object);
    return r;
}

static int line_ask(struct ask *ask, char *line, size_t len)
{
    struct emlfs_query_mistake mistake = {0};
    struct emlfs_query *query;
    line[len] = '\0';
    int r = emlfs_query_parse(emlfs_span_of(line, len), EMLFS_QUERY_PLAIN, &query, &mistake);
    if (r < 0)
        return emlfs_err_set(&ask->err, -r, "bench", "%s: %s", line, mistake.text);
    r = query_time(ask, query, line);
    emlfs_query_free(query);
    return r;
}

static int lines_ask(struct ask *ask)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    int r = 0;
    while (r == 0 && (len = getline(&line, &room, stdin)) > 0)
        r = line_ask(ask, line, (size_t)len - (line[len - 1] == '\n'));
    free(line);
    return r;
}

static int ask_run(struct ask *ask, char **argv)
{
    const struct emlfs_archive_options options = {.path = argv[2], .lock_wait_ms = 10000};
    unsigned long repeats = strtoul(argv[4], NULL, 10);
    ask->repeats = repeats < 1 ? 1 : repeats > REPEATS_MAX ? REPEATS_MAX : (unsigned)repeats;
    ask->ms = calloc(ask->repeats, sizeof(*ask->ms));
    int r = ask->ms ? emlfs_archive_open(&options, &ask->archive, &ask->err) : -ENOMEM;
    if (r == 0)
        r = emlfs_user_by_name(ask->archive, argv[3], &ask->user, &ask->err);
    const struct emlfs_index_options index_options = {.archive = ask->archive};
    if (r == 0)
        r = emlfs_index_open(&index_options, &ask->index, &ask->err);
    return r == 0 ? lines_ask(ask) : r;
}

static void ask_free(struct ask *ask)
{
    if (ask->index)
        emlfs_index_close(ask->index, NULL);
    if (ask->archive)
        emlfs_archive_close(ask->archive, NULL);
    free(ask->ms);
}

int main(int argc, char **argv)
{
    static struct feed feed;
    static struct ask ask;
    bool feeding = argc == 5 && strcmp(argv[1], "feed") == 0;
    if (!feeding && (argc != 5 || strcmp(argv[1], "ask") != 0)) {
        fprintf(stderr, "usage: indexbench feed ARCHIVE EMLFS DIR | ask ARCHIVE USER REPEATS\n");
        return EXIT_FAILURE;
    }
    int r = feeding ? feed_run(&feed, argv) : ask_run(&ask, argv);
    if (r < 0)
        fprintf(stderr, "indexbench: error %d: %s\n", -r, feeding ? feed.err.text : ask.err.text);
    feed_free(&feed);
    ask_free(&ask);
    return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
