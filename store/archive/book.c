/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The ledger of an archive: ARCHIVE/ledger, made with the archive, or with the first writable
 * opening of one that is older than ledgers are.
 *
 * I-BOOK-1  a ledger without its first record is never seen under its name
 */
#include "book.h"

#include <stdio.h>
#include <unistd.h>

#include "emlfs/base/cursor.h"
#include "emlfs/base/os.h"

#define MODULE "archive"

static int dir_of(const struct book *book, const char *name, char *ret)
{
    return path_join(ret, EMLFS_PATH_MAX_BYTES, book->path, name);
}

int book_config(const struct book *book, struct book_config *ret)
{
    snprintf(ret->origin, sizeof(ret->origin), "emlfs/%s", book->identity->uuid);
    ret->config = (struct emlfs_ledger_config){
        .dir = ret->dir,
        .master = book->keys->master,
        .origin = ret->origin,
        .clock = book->clock,
        .flags = book->read_only ? EMLFS_LEDGER_READ_ONLY : 0,
    };
    return dir_of(book, "ledger", ret->dir);
}

static int begin_encode(const struct book_begin *begin, struct emlfs_buf *out)
{
    int rc = emlfs_buf_append_varint(out, begin->store_no);

    if (rc == 0)
        rc = emlfs_buf_append_varint(out, begin->loc.pack_no);
    return rc < 0 ? rc : emlfs_buf_append_varint(out, begin->loc.offset);
}

int book_begin_decode(const struct emlfs_ledger_record *record, struct book_begin *ret)
{
    struct emlfs_cursor cur = emlfs_cursor_of(record->data);

    *ret = (struct book_begin){0};
    if (record->kind != EMLFS_LEDGER_ARCHIVE_MADE || record->data.len == 0)
        return 0;
    ret->store_no = (uint16_t)emlfs_cursor_varint_max(&cur, UINT16_MAX);
    ret->loc.pack_no = (uint32_t)emlfs_cursor_varint_max(&cur, UINT32_MAX);
    ret->loc.offset = emlfs_cursor_varint(&cur);
    ret->message = record->message;
    ret->messages = record->object;
    return emlfs_cursor_done(&cur) ? 0 : -EUCLEAN;
}

static int first_record(struct emlfs_ledger *ledger, const struct book_begin *begin,
                        struct emlfs_err *err)
{
    char detail[96] = "";
    struct emlfs_buf data EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct emlfs_ledger_record record = {.kind = EMLFS_LEDGER_ARCHIVE_MADE,
                                         .uid = EMLFS_LEDGER_UID_NONE,
                                         .message = begin->message,
                                         .object = begin->messages};

    if (begin->store_no) {
        int rc = begin_encode(begin, &data);
        if (rc < 0)
            return emlfs_err_sys(err, -rc, MODULE, "ledger");
        snprintf(detail, sizeof(detail), "the ledger begins here; %llu messages were there before",
                 (unsigned long long)begin->messages);
        record.data = emlfs_buf_view(&data);
        record.detail = emlfs_span_str(detail);
    }
    return emlfs_ledger_append(ledger, &record, 1, NULL, err);
}

static int book_fill(const struct emlfs_ledger_config *config, const struct book_begin *begin,
                     struct emlfs_err *err)
{
    struct emlfs_ledger *ledger = NULL;
    int closed, rc = emlfs_ledger_create(config, err);

    if (rc == 0)
        rc = emlfs_ledger_open(config, &ledger, NULL, err);
    if (rc == 0)
        rc = first_record(ledger, begin, err);
    closed = book_close(ledger, 0, rc == 0 ? err : NULL);
    return rc < 0 ? rc : closed;
}

int book_make(const struct book *book, const struct book_begin *begin, struct emlfs_err *err)
{
    char made[EMLFS_PATH_MAX_BYTES];
    struct book_config live, new;
    int rc = book_config(book, &live);

    new = live;
    new.config.dir = made;
    new.config.origin = new.origin;
    if (rc == 0)
        rc = dir_of(book, "ledger.new", made);
    if (rc == 0) {
        layout_remove(made); /* what a crash left of an earlier try */
        rc = book_fill(&new.config, begin, err);
    }
    if (rc == 0 && rename(made, live.dir) < 0)
        rc = emlfs_err_sys(err, errno, MODULE, "%s", live.dir);
    if (rc == 0 && (rc = emlfs_os_sync_dir(book->path)) < 0)
        rc = emlfs_err_sys(err, -rc, MODULE, "%s", book->path);
    emlfs_wipe(&live.config.master, sizeof(live.config.master));
    emlfs_wipe(&new.config.master, sizeof(new.config.master));
    return rc;
}

int book_open(const struct book *book, struct emlfs_ledger **ret,
              struct emlfs_ledger_opened *ret_opened, struct emlfs_err *err)
{
    struct book_config config;
    int rc = book_config(book, &config);

    *ret = NULL;
    if (rc < 0 || access(config.dir, F_OK) == 0)
        rc = rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s", book->path)
                    : emlfs_ledger_open(&config.config, ret, ret_opened, err);
    emlfs_wipe(&config.config.master, sizeof(config.config.master));
    return rc;
}

int book_closed(const struct book *book)
{
    struct book_config config;
    int rc = book_config(book, &config);

    if (rc == 0)
        rc = emlfs_ledger_closed(&config.config);
    emlfs_wipe(&config.config.master, sizeof(config.config.master));
    return rc;
}

int book_close(struct emlfs_ledger *ledger, uint64_t opened, struct emlfs_err *err)
{
    if (!ledger)
        return 0;
    return emlfs_ledger_size(ledger) > opened ? emlfs_ledger_close_signed(ledger, err)
                                              : emlfs_ledger_close(ledger, err);
}

static int begin_take(void *arg, const struct emlfs_ledger_record *record)
{
    int rc = book_begin_decode(record, arg);

    return rc < 0 ? rc : 1;
}

int book_begin_read(struct emlfs_ledger *ledger, struct book_begin *ret, struct emlfs_err *err)
{
    const struct emlfs_ledger_filter first = {0};
    int rc;

    *ret = (struct book_begin){0};
    rc = emlfs_ledger_each(ledger, &first, begin_take, ret, err);
    return rc > 0 ? 0 : rc;
}
