/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dumptext ARCHIVE USER EMLFS: what can be searched of each message of a user, as JSON lines, by
 * the program's own extractor. EMLFS is the program, which is also the worker.
 *
 * {"id", "size", "mtime", "archived_ns", "store_no", "folders": [path...], "priority",
 *  "attachment", "pieces": [[field, text, tokens joined by blanks]...]}; problems are left out.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../store/index/tokens.h"
#include "emlfs/extract.h"
#include "emlfs/policy.h"

#define PATH_BYTES 4096
#define MESSAGE_BYTES (256u << 20)
#define PAGE 512

struct filed {
    struct emlfs_entry entry;
    char *path; /* of the folder, below the user archive; owned by dump.paths */
};
struct dump {
    struct emlfs_archive *archive;
    struct emlfs_extractor extractor;
    struct filed *v;
    size_t n, room;
    struct emlfs_err err;
};

static int filed_add(struct dump *dump, const struct emlfs_entry *entry, const char *path)
{
    if (dump->n == dump->room) {
        size_t room = dump->room ? dump->room * 2 : 1024;
        struct filed *v = realloc(dump->v, room * sizeof(*v));
        if (!v)
            return -ENOMEM;
        dump->v = v;
        dump->room = room;
    }
    dump->v[dump->n] = (struct filed){*entry, strdup(path)};
    return dump->v[dump->n++].path ? 0 : -ENOMEM;
}

static int folder_entries(struct dump *dump, struct emlfs_folder_id folder, const char *path)
{
    static struct emlfs_entry entries[PAGE];
    struct emlfs_entry_page page = {.folder = folder, .v = entries, .max = PAGE};
    int r;
    while ((r = emlfs_archive_entries(dump->archive, &page, &dump->err)) == 0 && page.n > 0) {
        for (unsigned i = 0; r == 0 && i < page.n; i++)
            r = filed_add(dump, &entries[i], path);
        if (r < 0)
            return r;
        page.after = entries[page.n - 1].id;
    }
    return r;
}

/* folder and all below it; path is "" for the user archive itself. */
static int folder_walk(struct dump *dump, struct emlfs_folder_id folder, const char *path)
{
    struct emlfs_folder child = {0};
    int r = folder_entries(dump, folder, path);
    while (r == 0) {
        char below[PATH_BYTES];
        r = emlfs_archive_folder_next(dump->archive, folder, child.id, &child, &dump->err);
        if (r < 0)
            break;
        int len = snprintf(below, sizeof(below), "%s%s%s", path, *path ? "/" : "", child.name);
        if (len < 0 || len >= PATH_BYTES)
            return -E2BIG;
        r = folder_walk(dump, child.id, below);
    }
    return r == -ENOENT ? 0 : r;
}

static int filed_compare(const void *a, const void *b)
{
    uint64_t x = ((const struct filed *)a)->entry.id.v, y = ((const struct filed *)b)->entry.id.v;
    return (x > y) - (x < y);
}

static int tokens_join(struct emlfs_span text, struct emlfs_buf *folded, struct emlfs_buf *out)
{
    struct token token;
    int r = text_fold(text, folded);
    struct token_walk walk = token_walk_of(emlfs_buf_view(folded));
    emlfs_buf_clear(out);
    while (r == 0 && token_walk_next(&walk, &token)) {
        if (out->len > 0)
            r = emlfs_buf_append_u8(out, ' ');
        if (r == 0)
            r = emlfs_buf_append(out, token.text.data, token.text.len);
    }
    return r;
}

static struct json_object *json_span(struct emlfs_span text)
{
    return json_object_new_string_len(text.len ? (const char *)text.data : "", (int)text.len);
}

static int json_piece(struct json_object *pieces, const struct emlfs_doctext_piece *piece)
{
    static const char *const names[] = {"",    "subject", "from",       "to",     "cc",
                                        "bcc", "body",    "attachment", "content"};
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(MESSAGE_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf tokens = EMLFS_BUF_INIT(MESSAGE_BYTES);
    int r = tokens_join(piece->text, &folded, &tokens);
    struct json_object *row = json_object_new_array();
    json_object_array_add(row, json_object_new_string(names[piece->field]));
    json_object_array_add(row, json_span(piece->text));
    json_object_array_add(row, json_span(emlfs_buf_view(&tokens)));
    json_object_array_add(pieces, row);
    return r;
}

static int text_add(struct dump *dump, struct emlfs_msg_id id, struct json_object *object)
{
    static const char *const priorities[] = {"normal", "high", "low"};
    EMLFS_BUF_CLEANUP struct emlfs_buf raw = EMLFS_BUF_INIT(MESSAGE_BYTES);
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    struct json_object *pieces = json_object_new_array();
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    enum emlfs_priority priority;
    bool attachment;
    size_t pos = 0;
    json_object_object_add(object, "pieces", pieces);
    int r = emlfs_archive_msg_read(dump->archive, id, &raw, &dump->err);
    if (r == 0)
        r = dump->extractor.extract(dump->extractor.arg, emlfs_buf_view(&raw), EMLFS_KIND_ALL,
                                    &text, &dump->err);
    if (r == 0)
        r = emlfs_doctext_check(emlfs_buf_view(&text), &priority, &attachment, &dump->err);
    if (r < 0)
        return r;
    while (r == 0 && emlfs_doctext_next(emlfs_buf_view(&text), &pos, &piece, &problem))
        if (piece.field != 0)
            r = json_piece(pieces, &piece);
    json_object_object_add(object, "priority", json_object_new_string(priorities[priority]));
    json_object_object_add(object, "attachment", json_object_new_boolean(attachment));
    return r;
}

/* A message with its n entries. */
static int message_print(struct dump *dump, const struct filed *filed, size_t n)
{
    const struct emlfs_entry *entry = &filed->entry;
    struct json_object *object = json_object_new_object();
    struct json_object *folders = json_object_new_array();
    int64_t mtime = entry->mtime_ns / 1000000000 - (entry->mtime_ns % 1000000000 < 0);
    json_object_object_add(object, "id", json_object_new_uint64(entry->id.v));
    json_object_object_add(object, "size", json_object_new_uint64(entry->size_bytes));
    json_object_object_add(object, "mtime", json_object_new_int64(mtime));
    json_object_object_add(object, "archived_ns", json_object_new_int64(entry->ctime_ns));
    json_object_object_add(object, "store_no", json_object_new_int(emlfs_msg_id_store(entry->id)));
    for (size_t i = 0; i < n; i++)
        json_object_array_add(folders, json_object_new_string(filed[i].path));
    json_object_object_add(object, "folders", folders);
    int r = text_add(dump, entry->id, object);
    if (r == 0)
        puts(json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
    json_object_put(object);
    return r;
}

static int messages_print(struct dump *dump)
{
    int r = 0;
    if (dump->n > 0)
        qsort(dump->v, dump->n, sizeof(*dump->v), filed_compare);
    for (size_t i = 0; r == 0 && i < dump->n;) {
        size_t end = i + 1;
        while (end < dump->n && dump->v[end].entry.id.v == dump->v[i].entry.id.v)
            end++;
        r = message_print(dump, &dump->v[i], end - i);
        i = end;
    }
    return r;
}

static int dump_run(struct dump *dump, char **argv)
{
    const struct emlfs_archive_options options = {.path = argv[1], .lock_wait_ms = 10000};
    const struct emlfs_extractor_config config = {.exe = argv[3]};
    struct emlfs_user user;
    int r = emlfs_archive_open(&options, &dump->archive, &dump->err);
    if (r == 0)
        r = emlfs_user_by_name(dump->archive, argv[2], &user, &dump->err);
    if (r == 0)
        r = emlfs_extractor_new(&config, &dump->extractor, &dump->err);
    if (r == 0)
        r = folder_walk(dump, user.archive, "");
    return r == 0 ? messages_print(dump) : r;
}

int main(int argc, char **argv)
{
    struct dump dump = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: dumptext ARCHIVE USER EMLFS\n");
        return EXIT_FAILURE;
    }
    int r = dump_run(&dump, argv);
    if (r < 0)
        fprintf(stderr, "dumptext: error %d: %s\n", -r, dump.err.text);
    for (size_t i = 0; i < dump.n; i++)
        free(dump.v[i].path);
    free(dump.v);
    if (dump.extractor.free)
        dump.extractor.free(dump.extractor.arg);
    if (dump.archive)
        emlfs_archive_close(dump.archive, NULL);
    return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
