/* SPDX-License-Identifier: GPL-3.0-or-later */
/* index status, rebuild, set. */
#include "handlers.h"

#include "emlfs/text.h"

static const struct emlfs_word kind_words[] = {
    {"text", EMLFS_KIND_TEXT},       {"html", EMLFS_KIND_HTML}, {"ooxml", EMLFS_KIND_OOXML},
    {"odf", EMLFS_KIND_ODF},         {"pdf", EMLFS_KIND_PDF},   {"rtf", EMLFS_KIND_RTF},
    {"message", EMLFS_KIND_MESSAGE},
};
static const struct emlfs_words kinds = EMLFS_WORDS(kind_words);

static struct json_object *reasons_array(const struct emlfs_index_store_status *status)
{
    struct json_object *array = json_object_new_array();

    for (unsigned i = 0; array && i < status->reasons_n; i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(256);

        if (emlfs_text_printf(&text, "%s: %llu", status->reasons[i].reason,
                              (unsigned long long)status->reasons[i].n) == 0)
            json_object_array_add(array, emlfs_text_string(emlfs_buf_view(&text)));
    }
    return array;
}

static int status_row(struct emlfs_call *call, const struct emlfs_index_store_status *status,
                      unsigned set, struct emlfs_err *err)
{
    struct json_object *row = json_object_new_object();

    if (row) {
        emlfs_row_text(row, "store", status->name);
        emlfs_row_number(row, "indexed", status->indexed);
        emlfs_row_number(row, "waiting", status->waiting);
        emlfs_row_number(row, "problems", status->problems);
        emlfs_row_number(row, "bytes", status->bytes);
        emlfs_row_number(row, "bytes_of_text", status->text_bytes);
        emlfs_row_number(row, "segments", status->segments);
        json_object_object_add(row, "kinds", emlfs_words_array(&kinds, set));
        json_object_object_add(row, "reasons", reasons_array(status));
    }
    return emlfs_row_put(call, row, err);
}

int emlfs_run_index_status(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_index_store_status status = {0};
    unsigned set = 0;
    int r = emlfs_index_get_kinds(call->index, &set, err);

    while (r == 0) {
        r = emlfs_index_status(call->index, status.store_no, &status, err);
        if (r == 0)
            r = status_row(call, &status, set, err);
        else if (r == -ENOENT)
            break;
    }
    if (r == -ENOENT && err)
        err->code = 0;
    return r == -ENOENT ? 0 : r;
}

static int store_check(struct emlfs_call *call, uint16_t no, struct emlfs_err *err)
{
    struct emlfs_index_store_status status;
    int r = no ? emlfs_index_status(call->index, (uint16_t)(no - 1), &status, err) : 0;

    if (r == -ENOENT || (r == 0 && no && status.store_no != no))
        return emlfs_err_set(err, ENOENT, "index", "there is no store %u", no);
    return r;
}

int emlfs_run_index_rebuild(struct emlfs_call *call, struct emlfs_err *err)
{
    uint64_t no = emlfs_args_number(call->args, "store", 0);
    int r;

    if (no > EMLFS_STORE_NO_MAX)
        return emlfs_err_set(err, ENOENT, "index", "there is no store %llu",
                             (unsigned long long)no);
    r = store_check(call, (uint16_t)no, err);
    if (r == 0)
        r = emlfs_index_reset(call->index, (uint16_t)no, err);
    if (r == 0)
        r = emlfs_index_catch_up(call->index, call->progress, err);
    if (r == -ECANCELED)
        return emlfs_err_set(err, ECANCELED, "index",
                             "interrupted: the rest follows at the next search, import or mount");
    return r == 0 ? emlfs_run_index_status(call, err) : r;
}

int emlfs_run_index_set(struct emlfs_call *call, struct emlfs_err *err)
{
    struct emlfs_actor actor = emlfs_call_actor(call);
    uint32_t set = 0;
    int r = emlfs_words_parse(&kinds, "--kinds", emlfs_args_text(call->args, "kinds"), &set, err);

    if (r == 0)
        r = emlfs_index_set_kinds(call->index, &actor, set, err);
    if (r < 0)
        return r;

    struct json_object *row = json_object_new_object();

    if (row)
        json_object_object_add(row, "kinds", emlfs_words_array(&kinds, set));
    return emlfs_row_put(call, row, err);
}
