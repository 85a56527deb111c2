/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TEXT_H
#define EMLFS_TEXT_H

#include <json-c/json.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/err.h"

/*
 * Text for people and programs. Everything that came from mail, from a file name or from the other
 * end of a socket goes through here before it meets a terminal or a JSON reader.
 */

/*
 * Append text as a terminal may show it: control characters (C0, DEL, C1), bidirectional marks,
 * zero-width and other invisible characters become \u{HEX}, bytes that are not UTF-8 become \xHH.
 * -E2BIG, -ENOMEM.
 */
int emlfs_text_terminal(struct emlfs_span text, struct emlfs_buf *out);

/* Columns that text takes on a terminal (locale: UTF-8). */
size_t emlfs_text_columns(struct emlfs_span text);

/* A JSON string of text; bytes that are not UTF-8 become \xHH (a backslash stays one). NULL: no
 * memory. */
struct json_object *emlfs_text_string(struct emlfs_span text);

/*
 * Append object as one line of JSON without the newline: valid UTF-8, and the characters that
 * _terminal replaces are written as \uXXXX, so that the line is safe on a terminal and equal for a
 * JSON reader.
 */
int emlfs_text_json(struct json_object *object, struct emlfs_buf *out);

/* Parse one JSON object, at most 16 deep, nothing behind it. EINVAL. */
int emlfs_text_json_parse(struct emlfs_span bytes, struct json_object **ret, struct emlfs_err *err);

#define EMLFS_TEXT_TIME_MAX 32
/* "2026-03-01T09:13:00Z". */
void emlfs_text_time(int64_t ns, char ret[EMLFS_TEXT_TIME_MAX]);
/*
 * A time at which something is to be seen, the last nanosecond that counts: "2026-03-01" (to the
 * end of that day), "2026-03-01T09:13" or ":05" more (a blank for the T is as good), with a
 * fraction of up to nine digits; then "Z" or "+01:00", otherwise as zone's clocks show it. EINVAL.
 */
int emlfs_text_asof_parse(const char *text, const char *zone, int64_t *ret_ns);
/* "12,345" */
void emlfs_text_count(uint64_t count, char ret[32]);
/* "1.4 GB", decimal units. */
void emlfs_text_size(uint64_t bytes, char ret[32]);

/* Append printf text. -E2BIG, -ENOMEM. */
int emlfs_text_printf(struct emlfs_buf *out, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
