/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the parsers of one message share: limits, and the document that is written.
 *
 * Invariants:
 *  1. The document keeps TEXT_ROOM_FOR_PROBLEMS_BYTES free of text, so that a problem always fits.
 *  2. A BODY piece whose words equal an earlier one's is not written again.
 */
#include "emlfs/base/os.h"
#include "text.h"

#define BODIES_COMPARED 16u

bool text_late(const struct text_run *run)
{
    return emlfs_os_monotonic_ns() > run->part_deadline_ns;
}

const char *text_expand(struct text_run *run, uint64_t bytes)
{
    run->expanded_bytes += bytes;
    return run->expanded_bytes > TEXT_MESSAGE_MAX_BYTES ? TEXT_BAD_SIZE : NULL;
}

bool text_bomb(uint64_t packed_bytes, uint64_t expanded_bytes)
{
    return expanded_bytes > TEXT_RATIO_FREE_BYTES && expanded_bytes / TEXT_RATIO_MAX > packed_bytes;
}

const char *text_reason(int rc)
{
    return rc == 0 ? NULL : rc == -E2BIG ? TEXT_BAD_FULL : TEXT_BAD_MEMORY;
}

void text_problem(struct text_run *run, const char *part, const char *reason)
{
    if (run->problems == EMLFS_DOCTEXT_PROBLEMS_MAX || reason == NULL)
        return;
    if (++run->problems == EMLFS_DOCTEXT_PROBLEMS_MAX) {
        part = "";
        reason = "more than 63 problems";
    }
    int rc = emlfs_doctext_problem(run->doc, part, reason);
    if (rc == -ENOMEM)
        run->error = rc;
}

/* The part of text that still fits. */
static struct emlfs_span text_fitting(const struct text_run *run, struct emlfs_span text)
{
    size_t most = EMLFS_DOCTEXT_MAX_BYTES - TEXT_ROOM_FOR_PROBLEMS_BYTES - 6;
    size_t room = run->doc->len < most ? most - run->doc->len : 0;
    if (text.len <= room)
        return text;
    while (room > 0 && (text.data[room] & 0xc0) == 0x80)
        room--;
    return emlfs_span_of(text.data, room);
}

void text_piece(struct text_run *run, enum emlfs_text_field field, struct emlfs_span text)
{
    struct emlfs_span fits = text_fitting(run, text);
    int rc = emlfs_doctext_piece(run->doc, field, fits);
    if (rc == -ENOMEM)
        run->error = rc;
    if ((fits.len < text.len || rc == -E2BIG) && !run->full) {
        run->full = true;
        text_problem(run, "", TEXT_BAD_FULL);
    }
}

/* The next byte of text when only words count: a run of ASCII separators is one blank. */
static int word_byte(struct emlfs_span *text)
{
    size_t at = 0;
    int byte = -1;
    while (at < text->len) {
        uint8_t c = text->data[at];
        bool upper = c >= 'A' && c <= 'Z';
        if (upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80) {
            byte = byte == ' ' ? byte : upper ? c + 32 : c;
            at += byte != ' ';
            break;
        }
        byte = ' ';
        at++;
    }
    if (at > 0)
        *text = emlfs_span_of(text->data + at, text->len - at);
    return byte == ' ' && text->len == 0 ? -1 : byte;
}

static struct emlfs_span words_begin(struct emlfs_span text)
{
    struct emlfs_span next = text;
    return word_byte(&next) == ' ' ? next : text;
}

static bool same_words(struct emlfs_span a, struct emlfs_span b)
{
    int byte;
    a = words_begin(a);
    b = words_begin(b);
    do {
        byte = word_byte(&a);
        if (byte != word_byte(&b))
            return false;
    } while (byte >= 0);
    return true;
}

void text_body(struct text_run *run, struct emlfs_span text)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    size_t pos = 0;
    unsigned compared = 0;
    while (compared < BODIES_COMPARED &&
           emlfs_doctext_next(emlfs_buf_view(run->doc), &pos, &piece, &problem)) {
        if (piece.field != EMLFS_TEXT_BODY)
            continue;
        compared++;
        if (same_words(piece.text, text))
            return;
    }
    text_piece(run, EMLFS_TEXT_BODY, text);
}
