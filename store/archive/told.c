/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Records on their way into the ledger. They are told in the order in which what they are about is
 * appended to the packs, and written in that order, so what the ledger has of a commit after a
 * crash is a beginning of it.
 *
 * I-TOLD-1  records of one commit enter the ledger in the order of their pack records
 */
#include "told.h"

#include <stdlib.h>

#include "emlfs/base/cursor.h"

#define MODULE "archive"
#define RECORD_BYTES_MAX 192u /* of a record without its texts */
#define CAP_FIRST 256u
#define CAP_KEPT 16384u

void told_free(struct told *told)
{
    free(told->v);
    emlfs_buf_wipe(&told->texts);
    *told = TOLD_INIT;
}

static size_t text_bytes(const struct emlfs_ledger_record *record)
{
    return record->name.len + record->detail.len + record->data.len;
}

/* What the ledger would refuse must be known before anything is appended to a pack. */
int told_check(const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    struct emlfs_buf bytes EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_LEDGER_RECORD_MAX_BYTES);
    int rc = emlfs_ledger_record_encode(record, &bytes);

    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "a record for the ledger is not valid") : 0;
}

static int told_grow(struct told *told)
{
    size_t cap = told->cap ? 2 * told->cap : CAP_FIRST;
    struct emlfs_ledger_record *grown = reallocarray(told->v, cap, sizeof(*grown));

    if (!grown)
        return -ENOMEM;
    told->v = grown;
    told->cap = cap;
    return 0;
}

static int texts_add(struct told *told, const struct emlfs_ledger_record *record)
{
    const struct emlfs_span parts[] = {record->name, record->detail, record->data};
    size_t before = told->texts.len;
    int rc = 0;

    for (unsigned i = 0; i < 3 && rc == 0; i++)
        rc = parts[i].len ? emlfs_buf_append(&told->texts, parts[i].data, parts[i].len) : 0;
    if (rc < 0)
        told->texts.len = before;
    return rc;
}

int told_add(struct told *told, const struct emlfs_ledger_record *record, struct emlfs_err *err)
{
    int rc = text_bytes(record) ? told_check(record, err) : 0;

    if (rc < 0)
        return rc;
    if (told->n == told->cap)
        rc = told_grow(told);
    if (rc == 0)
        rc = texts_add(told, record);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "records for the ledger");
    told->v[told->n++] = *record;
    return 0;
}

/* Texts do not move any more: records point at theirs. */
static void texts_point(struct told *told)
{
    const uint8_t *at = told->texts.data;

    for (size_t i = 0; i < told->n; i++) {
        struct emlfs_span *const parts[] = {&told->v[i].name, &told->v[i].detail, &told->v[i].data};
        for (unsigned p = 0; p < 3; p++) {
            *parts[p] = emlfs_span_of(parts[p]->len ? at : NULL, parts[p]->len);
            at = parts[p]->len ? at + parts[p]->len : at;
        }
    }
}

int told_write(struct told *told, struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    size_t at = 0;
    int rc = 0;

    texts_point(told);
    while (at < told->n && rc == 0) {
        size_t n = 0, bytes = 0;
        while (at + n < told->n && n < EMLFS_LEDGER_APPEND_MAX) {
            bytes += RECORD_BYTES_MAX + text_bytes(&told->v[at + n]);
            if (n > 0 && bytes > EMLFS_LEDGER_APPEND_MAX_BYTES)
                break;
            n++;
        }
        rc = emlfs_ledger_append(ledger, told->v + at, n, NULL, err);
        at += n;
    }
    told->n = 0;
    emlfs_buf_clear(&told->texts);
    if (told->cap > CAP_KEPT)
        told_free(told);
    return rc;
}

struct emlfs_ledger_record told_by(const struct emlfs_actor *actor,
                                   const struct emlfs_ledger_record *record)
{
    struct emlfs_ledger_record by = *record;

    by.user.v = actor ? actor->user.v : 0;
    by.uid = actor ? actor->uid : EMLFS_UID_NONE;
    by.source = actor ? actor->source : EMLFS_LEDGER_INSIDE;
    by.flags = actor && actor->admin ? EMLFS_LEDGER_BY_ADMIN : 0;
    return by;
}

int told_row(struct emlfs_span first_row, struct emlfs_buf *out, bool *ret_cut,
             struct emlfs_hash *ret_digest)
{
    struct emlfs_cursor cur = emlfs_cursor_of(first_row);
    uint8_t kind = emlfs_cursor_u8(&cur);
    struct emlfs_span key = emlfs_cursor_bytes(&cur, 16);
    struct emlfs_span value = emlfs_cursor_bytes(&cur, first_row.len);
    int rc;

    *ret_cut = false;
    emlfs_buf_clear(out);
    if (cur.bad)
        return -EUCLEAN;
    if (first_row.len - emlfs_cursor_left(&cur) > EMLFS_LEDGER_DATA_MAX_BYTES) {
        *ret_cut = true;
        rc = emlfs_sha256(value, ret_digest);
        value.len = 0;
    } else {
        rc = 0;
    }
    if (rc == 0)
        rc = emlfs_buf_append_u8(out, kind);
    if (rc == 0)
        rc = emlfs_buf_append_bytes(out, key);
    return rc < 0 || *ret_cut ? rc : emlfs_buf_append_bytes(out, value);
}
