/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results of a search as rows: path, date, correspondent, subject; and what they are sorted by. */
#include "search.h"

#include <stdlib.h>

#include "emlfs/feed.h"
#include "emlfs/name.h"
#include "emlfs/text.h"

#define PATH_SLOTS 512u
#define PATH_MAX_BYTES (64u << 10)
#define KEY_TEXT_BYTES 200u

/* Paths of folders that were met; a slot holds the last folder that fell into it. */
struct path_slot {
    struct emlfs_folder_id id;
    char *path;
    bool sent; /* a folder of sent mail: the correspondent is who it was sent to */
};

struct search_rows {
    struct emlfs_call *call;
    struct emlfs_user_id user;
    int (*ready)(void *arg, struct emlfs_err *err);
    void *ready_arg;
    struct path_slot paths[PATH_SLOTS];
    struct emlfs_entry entries[SEARCH_BATCH];
    struct emlfs_buf facts[SEARCH_BATCH]; /* of entries, encoded; empty: not read ahead */
};

int search_rows_new(struct emlfs_call *call, struct emlfs_user_id user, struct search_rows **ret,
                    struct emlfs_err *err)
{
    struct search_rows *rows = calloc(1, sizeof(*rows));

    if (!rows)
        return emlfs_err_set(err, ENOMEM, "search", "out of memory");
    rows->call = call;
    rows->user = user;
    for (unsigned i = 0; i < SEARCH_BATCH; i++)
        rows->facts[i] = EMLFS_BUF_INIT(EMLFS_FACTS_MAX_BYTES);
    *ret = rows;
    return 0;
}

void search_rows_behind(struct search_rows *rows, int (*ready)(void *arg, struct emlfs_err *err),
                        void *arg)
{
    rows->ready = ready;
    rows->ready_arg = arg;
}

void search_rows_free(struct search_rows *rows)
{
    if (!rows)
        return;
    for (unsigned i = 0; i < PATH_SLOTS; i++)
        free(rows->paths[i].path);
    for (unsigned i = 0; i < SEARCH_BATCH; i++)
        emlfs_buf_free(&rows->facts[i]);
    free(rows);
}

/* ---- paths */

static int path_of(struct search_rows *rows, struct emlfs_folder_id id,
                   const struct path_slot **ret, struct emlfs_err *err)
{
    struct path_slot *slot = &rows->paths[id.v % PATH_SLOTS];
    EMLFS_BUF_CLEANUP struct emlfs_buf path = EMLFS_BUF_INIT(PATH_MAX_BYTES);
    int r = 0;

    *ret = slot;
    if (slot->path && slot->id.v == id.v)
        return 0;
    r = emlfs_folder_path(rows->call->archive, id, &path, err);
    if (r < 0)
        return err && err->code ? r : emlfs_err_sys(err, -r, "search", "path of a folder");
    free(slot->path);
    slot->id = id;
    slot->path = strndup(path.data ? (const char *)path.data : "", path.len);
    slot->sent = slot->path && emlfs_name_is_sent(slot->path);
    return slot->path ? 0 : emlfs_err_set(err, ENOMEM, "search", "out of memory");
}

/* ---- facts */

/* The n entries as they are, and ahead: what is shown of them, from the index where it knows. */
static int entries_load(struct search_rows *rows, const struct emlfs_msg_id *ids, unsigned n,
                        bool ahead, struct emlfs_err *err)
{
    const struct search_ask ask = {.archive = rows->call->archive,
                                   .progress = rows->call->progress,
                                   .entries = rows->entries,
                                   .n = n,
                                   .ret = rows->facts};
    int r = emlfs_archive_entries_of(rows->call->archive, rows->user, ids, n, rows->entries, err);

    for (unsigned i = 0; i < SEARCH_BATCH; i++)
        emlfs_buf_clear(&rows->facts[i]);
    if (r == 0 && ahead) {
        emlfs_index_envelopes(rows->call->index, ids, n, rows->facts);
        search_facts_read(&ask);
    }
    return r;
}

/* Encoded facts of entry at, borrowed; at least what an envelope has of them. */
static int facts_get(struct search_rows *rows, unsigned at, struct emlfs_span *ret,
                     struct emlfs_err *err)
{
    struct emlfs_msg_info info;
    int r = 0;

    if (rows->facts[at].len == 0)
        r = emlfs_archive_msg_info(rows->call->archive, rows->entries[at].id, &info,
                                   &rows->facts[at], err);
    *ret = emlfs_buf_view(&rows->facts[at]);
    return r;
}

/* They borrow from rows till the next call. A damaged message has none, and is told. */
static int facts_read(struct search_rows *rows, unsigned at, struct emlfs_facts *ret,
                      struct emlfs_err *err)
{
    struct emlfs_err why = {0};
    struct emlfs_span encoded;
    int r = facts_get(rows, at, &encoded, &why);

    *ret = (struct emlfs_facts){0};
    if (r == 0)
        r = emlfs_facts_decode(encoded, ret, &why);
    if (r == -EBADMSG || r == -EUCLEAN || r == -EIO) {
        rows->call->findings++;
        if (rows->call->notice)
            rows->call->notice(rows->call->arg, why.text);
        *ret = (struct emlfs_facts){0};
        return 0;
    }
    if (r < 0 && err)
        *err = why;
    return r;
}

static struct emlfs_span correspondent_of(const struct emlfs_facts *facts, bool sent)
{
    struct emlfs_span list = sent && facts->to.len ? facts->to : facts->from;

    return emlfs_facts_mailbox_first(list.len ? list : facts->sender);
}

/* ---- rows */

static int row_put(struct search_rows *rows, unsigned at, struct emlfs_err *err)
{
    const struct emlfs_entry *entry = &rows->entries[at];
    EMLFS_BUF_CLEANUP struct emlfs_buf full = EMLFS_BUF_INIT(2 * PATH_MAX_BYTES);
    char id[EMLFS_MSG_ID_TEXT_MAX];
    const struct path_slot *path;
    struct emlfs_facts facts;
    int r = path_of(rows, entry->folder, &path, err);

    if (r == 0)
        r = facts_read(rows, at, &facts, err);
    if (r < 0)
        return r;
    if (emlfs_text_printf(&full, "%s/%s", path->path, entry->name) < 0)
        return emlfs_err_set(err, ENOMEM, "search", "out of memory");

    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_msg_id_format(entry->id, id);
        emlfs_row_span(row, "path", emlfs_buf_view(&full));
        emlfs_row_time(row, "date", entry->mtime_ns);
        emlfs_row_span(row, "correspondent", correspondent_of(&facts, path->sent));
        emlfs_row_span(row, "subject", facts.subject);
        emlfs_row_text(row, "id", id);
        emlfs_row_number(row, "size", entry->size_bytes);
        emlfs_row_time(row, "archived", entry->ctime_ns);
    }
    return emlfs_row_put(rows->call, row, err);
}

int search_rows_put(struct search_rows *rows, const struct emlfs_msg_id *ids, unsigned n,
                    struct emlfs_err *err)
{
    int r = entries_load(rows, ids, n, true, err);

    if (r == 0 && rows->ready)
        r = rows->ready(rows->ready_arg, err);
    for (unsigned i = 0; r == 0 && i < n; i++) {
        if (emlfs_progress_cancelled(rows->call->progress))
            return emlfs_err_set(err, ECANCELED, "search", "interrupted");
        if (rows->entries[i].id.v)
            r = row_put(rows, i, err);
    }
    return r;
}

/* ---- keys */

/* Folded, without the quotation mark that begins a name; long texts by their beginning. */
static char *key_text(struct emlfs_span text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf folded = EMLFS_BUF_INIT(8 * KEY_TEXT_BYTES);
    char begin[KEY_TEXT_BYTES + 1];
    size_t len = text.len < KEY_TEXT_BYTES ? text.len : KEY_TEXT_BYTES;

    if (len > 0 && text.data[0] == '"') {
        text = emlfs_span_of(text.data + 1, text.len - 1);
        len--;
    }
    while (len > 0 && len < text.len && (text.data[len] & 0xc0) == 0x80)
        len--;
    if (len > 0)
        memcpy(begin, text.data, len);
    begin[len] = '\0';
    if (emlfs_name_fold(begin, &folded) < 0)
        return strdup(begin);
    return strndup(folded.data ? (const char *)folded.data : "", folded.len);
}

static int key_fill(struct search_rows *rows, unsigned at, enum search_order order,
                    struct search_key *ret, struct emlfs_err *err)
{
    const struct emlfs_entry *entry = &rows->entries[at];
    struct emlfs_facts facts;
    int r;

    *ret = (struct search_key){.id = entry->id};
    if (order == SEARCH_ORDER_FOUND)
        return 0;
    if (order == SEARCH_ORDER_DATE) {
        ret->number = entry->mtime_ns == INT64_MIN ? INT64_MAX : -entry->mtime_ns;
        return 0;
    }
    r = facts_read(rows, at, &facts, err);
    if (r < 0)
        return r;
    ret->text =
        key_text(order == SEARCH_ORDER_FROM ? correspondent_of(&facts, false) : facts.subject);
    return ret->text ? 0 : emlfs_err_set(err, ENOMEM, "search", "out of memory");
}

int search_rows_keys(struct search_rows *rows, const struct emlfs_msg_id *ids, unsigned n,
                     enum search_order order, struct search_key *ret, struct emlfs_err *err)
{
    bool ahead = order == SEARCH_ORDER_FROM || order == SEARCH_ORDER_SUBJECT;
    int r = entries_load(rows, ids, n, ahead, err);

    memset(ret, 0, n * sizeof(*ret));
    for (unsigned i = 0; r == 0 && i < n; i++)
        if (rows->entries[i].id.v)
            r = key_fill(rows, i, order, &ret[i], err);
    for (unsigned i = 0; r < 0 && i < n; i++) {
        free(ret[i].text);
        ret[i].text = NULL;
    }
    return r;
}
