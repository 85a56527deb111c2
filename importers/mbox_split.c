/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the messages of an mbox begin and end. Nothing here changes bytes.
 *
 * What is a separator (a line that begins "From "):
 *  1. a line with a plausible date, at the start of the file or after an empty line, followed by
 *     something with a header field before its first empty line, or by the end of the file;
 *  2. a Netscape/Mozilla line "From -" (with or without date) directly followed by a header field,
 *     with or without an empty line before it;
 *  3. a line without a date only when the file begins with a line of the same form (one word, or
 *     nothing, after "From "), after an empty line, directly followed by a header field;
 *  4. the first line of a patch ("From <40 hex> Mon Sep 17 00:00:00 2001") only when the file
 * begins with one: otherwise it is the text of an attached patch;
 *  5. a dated line without an empty line before it, directly followed by a header field, only when
 * the first part of the file has no separator after an empty line at all. Every other line that
 * begins "From " is text; dated ones among these are counted.
 *
 * With dialects mboxcl and mboxcl2 a Content-Length is believed when a separator (or the end of the
 * file) stands where it leads; text inside is then not looked at. Elsewhere it is ignored: it is a
 * field that a sender can write.
 *
 * Invariants:
 *  S1. begin <= content <= end <= begin of the next message, and content > begin when separated.
 *  S2. the bytes from the first message's begin to the end of the file are covered: what is not
 *      message is the separator line and at most one empty line before it (or before the end).
 *  S3. a message's bytes do not depend on what follows its end: a file that is split and grows by
 *      whole messages yields the same messages again and new ones after them, as long as its
 *      dialect and blank_not_needed, which the first part decides, stay.
 *
 * S3 speaks of files that are split. A file that is not called .mbox or .mbx and holds one message
 * is taken as a message file (eml.c): all bytes after its From line are the message, an empty line
 * at its end too, because archives of single messages with their From line (one message a file) are
 * exactly that and must come out byte for byte. When a further message is appended to such a file
 * it is an mbox from then on: the empty line is framing, so the first message comes out without it,
 * is another message by its hash, and is archived once more, in the folder named after the file.
 */
#include <strings.h>

#include "mbox.h"

#define AFTER_BYTES 4096u
#define HEADER_MAX_BYTES EMLFS_MBOX_VIEW_MAX_BYTES

/* What stands before offset. */
struct before {
    bool line_start;
    size_t blank_len; /* length of an empty line directly before, 0: none */
};

static size_t eol_len_before(struct emlfs_span bytes, size_t at)
{
    if (at >= 2 && bytes.data[at - 1] == '\n' && bytes.data[at - 2] == '\r')
        return 2;
    return at >= 1 && (bytes.data[at - 1] == '\n' || bytes.data[at - 1] == '\r') ? 1 : 0;
}

static struct before look_back(struct emlfs_mbox_reader *reader, uint64_t start, uint64_t offset)
{
    size_t len = offset - start < 4 ? (size_t)(offset - start) : 4;
    struct before ret = {.line_start = len == 0};
    struct emlfs_span bytes = emlfs_mbox_view(reader, offset - len, len);
    if (len == 0 || bytes.len < len)
        return ret;
    size_t eol = eol_len_before(bytes, len);
    ret.line_start = eol > 0;
    bool blank =
        eol > 0 && (len == eol ? offset - len == start : eol_len_before(bytes, len - eol) > 0);
    ret.blank_len = blank ? eol : 0;
    return ret;
}

static bool judge_form(const struct emlfs_mbox_style *style, enum emlfs_mbox_form form, bool blank,
                       struct emlfs_span after)
{
    bool field = emlfs_mbox_starts_with_field(after);
    switch (form) {
    case EMLFS_MBOX_DASH:
        if (field)
            return true;
        return blank && emlfs_looks_like_message(after, NULL);
    case EMLFS_MBOX_DATED:
        if (blank)
            return after.len == 0 || emlfs_looks_like_message(after, NULL);
        return style->blank_not_needed && field;
    case EMLFS_MBOX_GIT:
    case EMLFS_MBOX_TOKEN:
    case EMLFS_MBOX_EMPTY:
        return style->first_form == form && blank && field;
    default:
        return false;
    }
}

/* A file that begins with such a line is an mbox. */
static bool judge_first(enum emlfs_mbox_form form, struct emlfs_span after)
{
    if (form == EMLFS_MBOX_OTHER)
        return false;
    return form == EMLFS_MBOX_DATED || form == EMLFS_MBOX_DASH ||
           emlfs_looks_like_message(after, NULL);
}

/* Text by the rules, but worth telling: a separator may have looked so before it was damaged. */
static bool may_be_damaged(enum emlfs_mbox_form form, bool blank, struct emlfs_span after)
{
    return form == EMLFS_MBOX_DATED || form == EMLFS_MBOX_DASH ||
           (form != EMLFS_MBOX_GIT && blank && emlfs_mbox_starts_with_field(after));
}

/* The line at offset, which begins "From ". True: a separator, and *ret is set but for its end. */
static bool judge(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                  uint64_t offset, struct emlfs_mbox_message *ret, uint64_t *kept)
{
    struct before before = look_back(reader, style->start, offset);
    if (!before.line_start)
        return false;
    struct emlfs_span bytes = emlfs_mbox_view(reader, offset, AFTER_BYTES);
    struct emlfs_mbox_from from = emlfs_mbox_from_parse(bytes);
    if (from.form == EMLFS_MBOX_NONE)
        return false;
    struct emlfs_span after = emlfs_span_of(bytes.data + from.line_len, bytes.len - from.line_len);
    bool first = offset == style->start;
    bool blank = before.blank_len > 0 || first;
    if (!(first && judge_first(from.form, after)) && !judge_form(style, from.form, blank, after)) {
        if (kept && may_be_damaged(from.form, blank, after))
            ++*kept;
        return false;
    }
    *ret = (struct emlfs_mbox_message){.begin = offset,
                                       .blank_len = before.blank_len,
                                       .content = offset + from.line_len,
                                       .date_sec = from.date_sec,
                                       .separated = true};
    return true;
}

int emlfs_mbox_find(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                    uint64_t from, struct emlfs_mbox_message *ret, uint64_t *kept)
{
    for (;;) {
        uint64_t at = emlfs_mbox_scan(reader, from, reader->size);
        if (reader->error)
            return reader->error;
        if (at == UINT64_MAX)
            return 0;
        if (judge(reader, style, at, ret, kept))
            return 1;
        from = at + 5;
    }
}

static bool parse_length(struct emlfs_span value, uint64_t *ret)
{
    uint64_t sum = 0;
    size_t i = 0, digits = 0;
    while (i < value.len && (value.data[i] == ' ' || value.data[i] == '\t'))
        i++;
    for (; i < value.len && value.data[i] >= '0' && value.data[i] <= '9'; i++, digits++)
        if (__builtin_mul_overflow(sum, 10u, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(value.data[i] - '0'), &sum))
            return false;
    *ret = sum;
    return digits > 0;
}

/* Find Content-Length and the end of the header block. False: not both in the part looked at. */
static bool header_length(struct emlfs_span head, size_t *ret_body, uint64_t *ret_length)
{
    static const char field[] = "content-length:";
    bool have = false;
    size_t at = 0;
    while (at < head.len) {
        const uint8_t *end = memchr(head.data + at, '\n', head.len - at);
        if (!end)
            return false;
        size_t len = (size_t)(end - head.data) - at;
        if (len == 0 || (len == 1 && head.data[at] == '\r')) {
            *ret_body = at + len + 1;
            return have;
        }
        if (!have && len > sizeof(field) - 1 &&
            strncasecmp((const char *)head.data + at, field, sizeof(field) - 1) == 0)
            have = parse_length(
                emlfs_span_of(head.data + at + sizeof(field) - 1, len - (sizeof(field) - 1)),
                ret_length);
        at += len + 1;
    }
    return false;
}

/* Nothing but at most one line end (two when the body's last line lacks its own) up to a separator.
 */
static bool lands(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                  uint64_t end, uint64_t *ret_end, uint64_t *ret_next)
{
    struct emlfs_span bytes = emlfs_mbox_view(reader, end - 1, 5);
    bool whole_line = bytes.len && (bytes.data[0] == '\n' || bytes.data[0] == '\r');
    uint64_t at = end;
    for (int lines = 0; lines <= (whole_line ? 1 : 2); lines++) {
        if (lines == 1 && !whole_line)
            end = at; /* the length stopped short of the last line's own end */
        struct emlfs_mbox_message found;
        struct emlfs_span line = emlfs_mbox_view(reader, at, 5);
        bool separator = line.len == 5 && memcmp(line.data, "From ", 5) == 0 &&
                         judge(reader, style, at, &found, NULL);
        if (at >= reader->size || separator) {
            *ret_end = end;
            *ret_next = at;
            return true;
        }
        size_t eol = emlfs_mbox_eol_len(emlfs_mbox_view(reader, at, 2));
        if (eol == 0)
            return false;
        at += eol;
    }
    return false;
}

int emlfs_mbox_by_length(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                         uint64_t content, uint64_t *ret_end, uint64_t *ret_next)
{
    size_t body;
    uint64_t length, end;
    if (!header_length(emlfs_mbox_view(reader, content, HEADER_MAX_BYTES), &body, &length))
        return 0;
    if (__builtin_add_overflow(content + body, length, &end) || end > reader->size)
        return -1;
    return lands(reader, style, end, ret_end, ret_next) ? 1 : -1;
}

/* The end of the last message: one empty line there belongs to the format. */
static uint64_t last_end(struct emlfs_mbox_reader *reader, uint64_t content)
{
    struct before before = look_back(reader, content, reader->size);
    return reader->size - before.blank_len;
}

/* From content on: end of this message, and the next one's separator. */
static int message_end(struct emlfs_mbox_splitter *splitter, struct emlfs_mbox_message *message)
{
    struct emlfs_mbox_reader *reader = splitter->reader;
    uint64_t from = message->content;
    uint64_t length_end = 0;
    bool by_length =
        splitter->style.dialect == EMLFS_MBOX_CL || splitter->style.dialect == EMLFS_MBOX_CL2;
    if (by_length && message->separated) {
        int r =
            emlfs_mbox_by_length(reader, &splitter->style, message->content, &length_end, &from);
        splitter->wrong_lengths += r < 0;
        by_length = r > 0;
    } else {
        by_length = false;
    }
    int r = emlfs_mbox_find(reader, &splitter->style, from, &splitter->next, &splitter->kept_lines);
    if (r < 0)
        return r;
    splitter->at_end = r == 0;
    if (by_length)
        message->end = length_end;
    else if (splitter->at_end)
        message->end = last_end(reader, message->content);
    else
        message->end = splitter->next.begin - splitter->next.blank_len;
    if (message->end < message->content)
        message->end = message->content;
    return reader->error;
}

int emlfs_mbox_split_begin(struct emlfs_mbox_splitter *splitter, struct emlfs_mbox_reader *reader)
{
    *splitter = (struct emlfs_mbox_splitter){.reader = reader};
    int r = emlfs_mbox_detect(reader, &splitter->style);
    if (r < 0)
        return r;
    uint64_t start = splitter->style.start;
    splitter->at_end = start >= reader->size;
    if (splitter->at_end)
        return 0;
    if (!judge(reader, &splitter->style, start, &splitter->next, NULL))
        splitter->next = (struct emlfs_mbox_message){.begin = start, .content = start};
    return reader->error;
}

int emlfs_mbox_split_next(struct emlfs_mbox_splitter *splitter, struct emlfs_mbox_message *ret)
{
    if (splitter->at_end)
        return 0;
    *ret = splitter->next;
    int r = message_end(splitter, ret);
    return r < 0 ? r : 1;
}
