/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_ARCHIVE_TEST_H
#define EMLFS_TESTS_UNIT_ARCHIVE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "emlfs/base/buf.h"

/* Pseudo-random numbers that are the same in every run. */
struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
    dice->state ^= dice->state << 13;
    dice->state ^= dice->state >> 7;
    dice->state ^= dice->state << 17;
    return dice->state * UINT64_C(0x2545F4914F6CDD1D);
}

/* 0 ... sides - 1 */
static inline uint32_t dice_roll(struct dice *dice, uint32_t sides)
{
    return (uint32_t)((dice_next(dice) >> 33) % sides);
}

static inline void must(int rc)
{
    assert_int_equal(rc, 0);
}

static inline void buf_text(struct emlfs_buf *out, const char *text)
{
    must(emlfs_buf_append(out, text, strlen(text)));
}

static inline void buf_noise(struct emlfs_buf *out, struct dice *dice, size_t n)
{
    for (size_t i = 0; i < n; i++)
        must(emlfs_buf_append_u8(out, (uint8_t)dice_roll(dice, 256)));
}

/* How a base64 part is written; fault chooses a way to be not quite base64. */
struct part {
    unsigned line; /* characters */
    bool crlf, open_end;
    unsigned fault; /* 0: none */
};

static inline void part_line_end(struct emlfs_buf *out, const struct part *part, struct dice *dice)
{
    bool crlf = part->crlf;
    if (part->fault == 1 && dice_roll(dice, 7) == 0)
        crlf = !crlf;
    buf_text(out, crlf ? "\r\n" : "\n");
}

/* Random base64 text of about n bytes, always of whole quads unless fault 3. */
static inline void part_append(struct emlfs_buf *out, struct dice *dice, size_t n,
                               const struct part *part)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t quads = n / 3 + 1, column = 0;
    for (size_t q = 0; q < quads; q++) {
        char quad[5] = "";
        for (unsigned i = 0; i < 4; i++)
            quad[i] = digits[dice_roll(dice, 64)];
        if (q + 1 == quads && dice_roll(dice, 3)) {
            quad[3] = '=';
            quad[2] = digits[(part->fault == 2 ? 1 : 4) * (1 + dice_roll(dice, 15))];
            if (dice_roll(dice, 2)) {
                quad[2] = '=';
                quad[1] = digits[(part->fault == 2 ? 1 : 16) * (1 + dice_roll(dice, 3))];
            }
        }
        if (part->fault == 4 && dice_roll(dice, 500) == 0)
            quad[dice_roll(dice, 4)] = (char)(dice_roll(dice, 2) ? '=' : 0);
        must(emlfs_buf_append(out, quad, part->fault == 3 && dice_roll(dice, 200) == 0 ? 3 : 4));
        column += 4;
        if (q + 1 < quads && column >= part->line) {
            part_line_end(out, part, dice);
            column = 0;
        }
    }
    if (!part->open_end)
        part_line_end(out, part, dice);
}

#endif
