/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_TEXT_CHECK_H
#define EMLFS_TESTS_TEXT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../../../importers/text.h"
#include "emlfs/base/os.h"

/* Text of a message, parsed here. */
static inline void parse_kinds(struct emlfs_span raw, unsigned kinds, struct emlfs_buf *doc)
{
    struct text_charsets *charsets = text_charsets_new();
    const struct text_wish wish = {.kinds = kinds, .time_ms = 20000};
    enum emlfs_priority priority;
    bool attachment;
    uint32_t progress;
    *doc = EMLFS_BUF_INIT(EMLFS_DOCTEXT_MAX_BYTES);
    assert_non_null(charsets);
    assert_int_equal(text_parse(charsets, &wish, raw, &progress, doc), 0);
    assert_int_equal(emlfs_doctext_check(emlfs_buf_view(doc), &priority, &attachment, NULL), 0);
    text_charsets_free(charsets);
}

/* Pieces of the field that hold text; field 0: problems whose reason is text. */
static inline unsigned pieces_with(const struct emlfs_buf *doc, unsigned field, const char *text)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    unsigned count = 0;
    for (size_t pos = 0; emlfs_doctext_next(emlfs_buf_view(doc), &pos, &piece, &problem);) {
        if ((unsigned)piece.field != field)
            continue;
        if (field == 0)
            count += emlfs_span_equal(problem.reason, emlfs_span_str(text));
        else
            count += memmem(piece.text.data, piece.text.len, text, strlen(text)) != NULL;
    }
    return count;
}

static inline void show(const struct emlfs_buf *doc)
{
    struct emlfs_doctext_piece piece;
    struct emlfs_doctext_problem problem;
    for (size_t pos = 0; emlfs_doctext_next(emlfs_buf_view(doc), &pos, &piece, &problem);) {
        struct emlfs_span text = piece.field ? piece.text : problem.reason;
        print_message("  %u: %.*s\n", (unsigned)piece.field, (int)(text.len < 300 ? text.len : 300),
                      (const char *)text.data);
    }
}

#define assert_piece(doc, field, text)                                                             \
    do {                                                                                           \
        if (pieces_with(doc, field, text) == 0) {                                                  \
            show(doc);                                                                             \
            fail_msg("no piece %u with \"%s\"", (unsigned)(field), text);                          \
        }                                                                                          \
    } while (0)
#define assert_no_piece(doc, field, text)                                                          \
    do {                                                                                           \
        if (pieces_with(doc, field, text) > 0) {                                                   \
            show(doc);                                                                             \
            fail_msg("piece %u with \"%s\"", (unsigned)(field), text);                             \
        }                                                                                          \
    } while (0)

/* A message with one attachment of these bytes. */
static inline void attach(struct emlfs_buf *message, const char *name, struct emlfs_span bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char head[400];
    *message = EMLFS_BUF_INIT(bytes.len * 2 + 1000);
    snprintf(head, sizeof head,
             "Subject: s\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nplain words\n--x\n"
             "Content-Type: application/octet-stream; name=\"%s\"\n"
             "Content-Transfer-Encoding: base64\n\n",
             name);
    assert_int_equal(emlfs_buf_append(message, head, strlen(head)), 0);
    for (size_t i = 0; i < bytes.len; i += 3) {
        uint32_t word = (uint32_t)bytes.data[i] << 16;
        word |= i + 1 < bytes.len ? (uint32_t)bytes.data[i + 1] << 8 : 0;
        word |= i + 2 < bytes.len ? bytes.data[i + 2] : 0;
        char text[5] = {alphabet[word >> 18], alphabet[word >> 12 & 63], alphabet[word >> 6 & 63],
                        alphabet[word & 63], '\n'};
        if (i + 2 >= bytes.len)
            text[3] = '=';
        if (i + 1 >= bytes.len)
            text[2] = '=';
        assert_int_equal(emlfs_buf_append(message, text, i / 3 % 18 == 17 ? 5 : 4), 0);
    }
    assert_int_equal(emlfs_buf_append(message, "\n--x--\n", 7), 0);
}

static inline void parse_attached(const char *name, struct emlfs_span bytes, struct emlfs_buf *doc)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf message = {0};
    attach(&message, name, bytes);
    parse_kinds(emlfs_buf_view(&message), EMLFS_KIND_ALL, doc);
    assert_piece(doc, EMLFS_TEXT_BODY, "plain words"); /* whatever the other part does */
}

#endif
