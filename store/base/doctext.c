/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Codec of document text. Responsible for the encoded form; where text comes from is not known
 * here.
 *
 *   u8 format (1) | u8 priority | u8 attachment
 *   | records: u8 field (1...8) varint length, text
 *            | u8 0, varint length, part, varint length, reason
 *
 * Invariants, established by writing and checked by _check:
 *  1. Text is valid UTF-8 without NUL and not empty.
 *  2. Parts and reasons of problems hold no control character and are at most their maximum; a
 *     reason is not empty; there are at most EMLFS_DOCTEXT_PROBLEMS_MAX problems.
 *  3. The whole is at most EMLFS_DOCTEXT_MAX_BYTES; a length has its shortest form.
 */
#include "emlfs/doctext.h"

#include "emlfs/base/cursor.h"

#define DOCTEXT_FORMAT 1u
#define DOCTEXT_HEAD_BYTES 3u
#define VARINT_MAX_BYTES 10u

/* Bytes of the character that text begins with, 0 when it is none (RFC 3629, NUL excluded). */
static size_t char_len(const uint8_t *text, size_t left)
{
    uint8_t lead = text[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint8_t low = 0x80, high = 0xbf;
    if (lead == 0 || (lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || len > left)
        return 0;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < len; i++) {
        if (text[i] < low || text[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

/* Are the eight bytes ASCII, and none of them NUL? */
static bool eight_plain(const uint8_t *text)
{
    uint64_t word;
    memcpy(&word, text, sizeof word);
    return ((word | (word - 0x0101010101010101u)) & 0x8080808080808080u) == 0;
}

size_t emlfs_doctext_valid(struct emlfs_span text)
{
    size_t at = 0;
    while (at < text.len) {
        if (text.len - at >= 8 && eight_plain(text.data + at)) {
            at += 8;
            continue;
        }
        size_t len = char_len(text.data + at, text.len - at);
        if (len == 0)
            break;
        at += len;
    }
    return at;
}

static bool has_control(struct emlfs_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f ||
            (text.data[i] == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0))
            return true;
    }
    return false;
}

int emlfs_doctext_begin(struct emlfs_buf *out, enum emlfs_priority priority, bool attachment)
{
    const uint8_t head[DOCTEXT_HEAD_BYTES] = {DOCTEXT_FORMAT, (uint8_t)priority, attachment};
    if (out->len != 0 || (unsigned)priority > EMLFS_PRIORITY_LOW)
        return -EINVAL;
    return emlfs_buf_append(out, head, sizeof head);
}

int emlfs_doctext_repair(struct emlfs_buf *out, struct emlfs_span text)
{
    int rc = 0;
    while (rc == 0 && text.len > 0) {
        size_t good = emlfs_doctext_valid(text);
        rc = emlfs_buf_append(out, text.data, good);
        text = emlfs_span_of(text.data + good, text.len - good);
        if (rc < 0 || text.len == 0)
            break;
        bool nul = text.data[0] == 0;
        rc = nul ? emlfs_buf_append_u8(out, ' ') : emlfs_buf_append(out, "\xef\xbf\xbd", 3);
        text = emlfs_span_of(text.data + 1, text.len - 1);
    }
    return rc;
}

/* Append text made valid, with its length; at most max bytes of it. */
static int text_append(struct emlfs_buf *out, struct emlfs_span text, size_t max)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf clean = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    if (text.len > EMLFS_DOCTEXT_MAX_BYTES)
        return -E2BIG;
    if (text.len > max || emlfs_doctext_valid(text) < text.len) {
        int rc = emlfs_doctext_repair(&clean, text);
        if (rc < 0)
            return rc;
        text = emlfs_buf_view(&clean);
    }
    if (text.len > max)
        text.len = emlfs_doctext_valid(emlfs_span_of(text.data, max));
    return emlfs_buf_append_bytes(out, text);
}

static int bounded(struct emlfs_buf *out, size_t before, int rc)
{
    if (rc == 0 && out->len > EMLFS_DOCTEXT_MAX_BYTES)
        rc = -E2BIG;
    if (rc < 0)
        out->len = before;
    return rc;
}

int emlfs_doctext_piece(struct emlfs_buf *out, enum emlfs_text_field field, struct emlfs_span text)
{
    size_t before = out->len;
    if (text.len == 0)
        return 0;
    if ((unsigned)field < EMLFS_TEXT_SUBJECT || field >= EMLFS_TEXT_FIELDS ||
        before < DOCTEXT_HEAD_BYTES)
        return -EINVAL;
    int rc = emlfs_buf_append_u8(out, (uint8_t)field);
    if (rc == 0)
        rc = text_append(out, text, EMLFS_DOCTEXT_MAX_BYTES);
    return bounded(out, before, rc);
}

/* A problem's text, one line of at most max bytes. */
static int line_append(struct emlfs_buf *out, const char *text, size_t max)
{
    uint8_t line[EMLFS_DOCTEXT_REASON_MAX_BYTES + 4];
    size_t len = strnlen(text, max + 1 < sizeof line ? max + 1 : sizeof line);
    memcpy(line, text, len);
    for (size_t i = 0; i < len; i++) {
        if (line[i] < 0x20 || line[i] == 0x7f)
            line[i] = ' ';
        else if (line[i] == 0xc2 && i + 1 < len && line[i + 1] >= 0x80 && line[i + 1] < 0xa0)
            line[i] = line[i + 1] = ' ';
    }
    return text_append(out, emlfs_span_of(line, len), max);
}

static unsigned problems_count(struct emlfs_span bytes)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    unsigned count = 0;
    for (size_t pos = 0; emlfs_doctext_next(bytes, &pos, &piece, &problem);)
        count += piece.field == 0;
    return count;
}

int emlfs_doctext_problem(struct emlfs_buf *out, const char *part, const char *reason)
{
    size_t before = out->len;
    if (before < DOCTEXT_HEAD_BYTES || reason[0] == '\0')
        return -EINVAL;
    if (problems_count(emlfs_buf_view(out)) >= EMLFS_DOCTEXT_PROBLEMS_MAX)
        return -E2BIG;
    int rc = emlfs_buf_append_u8(out, 0);
    if (rc == 0)
        rc = line_append(out, part, EMLFS_DOCTEXT_PART_MAX_BYTES);
    if (rc == 0)
        rc = line_append(out, reason, EMLFS_DOCTEXT_REASON_MAX_BYTES);
    return bounded(out, before, rc);
}

static bool text_good(struct emlfs_span text)
{
    return emlfs_doctext_valid(text) == text.len;
}

/* Take a record and tell whether it could have been written. */
static bool record_check(struct emlfs_cursor *cur, unsigned *problems)
{
    uint8_t field = emlfs_cursor_u8(cur);
    struct emlfs_span text = emlfs_cursor_bytes(cur, EMLFS_DOCTEXT_MAX_BYTES);
    if (cur->bad || field >= EMLFS_TEXT_FIELDS || !text_good(text))
        return false;
    if (field > 0)
        return text.len > 0;
    struct emlfs_span reason = emlfs_cursor_bytes(cur, EMLFS_DOCTEXT_REASON_MAX_BYTES);
    return !cur->bad && text.len <= EMLFS_DOCTEXT_PART_MAX_BYTES && reason.len > 0 &&
           text_good(reason) && !has_control(text) && !has_control(reason) &&
           ++*problems <= EMLFS_DOCTEXT_PROBLEMS_MAX;
}

int emlfs_doctext_check(struct emlfs_span bytes, enum emlfs_priority *ret_priority,
                        bool *ret_attachment, struct emlfs_err *err)
{
    struct emlfs_cursor cur = emlfs_cursor_of(bytes);
    uint8_t format = emlfs_cursor_u8(&cur);
    uint8_t priority = emlfs_cursor_u8(&cur);
    uint8_t attachment = emlfs_cursor_u8(&cur);
    unsigned problems = 0;
    bool good = !cur.bad && bytes.len <= EMLFS_DOCTEXT_MAX_BYTES && format == DOCTEXT_FORMAT &&
                priority <= EMLFS_PRIORITY_LOW && attachment <= 1;
    while (good && emlfs_cursor_left(&cur) > 0)
        good = record_check(&cur, &problems);
    if (!good)
        return emlfs_err_set(err, EUCLEAN, "doctext", "impossible document text");
    *ret_priority = (enum emlfs_priority)priority;
    *ret_attachment = attachment != 0;
    return 0;
}

bool emlfs_doctext_next(struct emlfs_span bytes, size_t *pos, struct emlfs_doctext_piece *ret_piece,
                        struct emlfs_doctext_problem *ret_problem)
{
    size_t at = *pos > 0 ? *pos : DOCTEXT_HEAD_BYTES;
    if (at >= bytes.len)
        return false;
    struct emlfs_cursor cur = emlfs_cursor_of(emlfs_span_of(bytes.data + at, bytes.len - at));
    *ret_piece = (struct emlfs_doctext_piece){.field = emlfs_cursor_u8(&cur)};
    *ret_problem = (struct emlfs_doctext_problem){0};
    struct emlfs_span text = emlfs_cursor_bytes(&cur, EMLFS_DOCTEXT_MAX_BYTES);
    if (ret_piece->field > 0) {
        ret_piece->text = text;
    } else {
        ret_problem->part = text;
        ret_problem->reason = emlfs_cursor_bytes(&cur, EMLFS_DOCTEXT_REASON_MAX_BYTES);
    }
    *pos = bytes.len - emlfs_cursor_left(&cur);
    return !cur.bad;
}
