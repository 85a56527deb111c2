/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results on stdout: JSON lines, lined-up columns, or "name: value" lines. */
#include "tool.h"

#include <stdlib.h>

#include "emlfs/text.h"

#define TEXT_MAX_BYTES (4u << 20)
#define TEXT_KEPT_BYTES (64u << 20) /* of rows that wait; then they are shown */
#define FIELDS_MAX 24
#define COLUMN_MAX 60 /* a longer value takes its room, the others do not follow */

struct field {
    const char *name;
    size_t len;
};

void complain(const char *text)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(64u << 10);

    if (emlfs_text_terminal(emlfs_span_str(text), &line) == 0)
        (void)fprintf(stderr, "emlfs: %.*s\n", (int)line.len,
                      line.data ? (const char *)line.data : "");
}

void complain_err(const struct emlfs_err *err)
{
    complain(err->code ? err->text : "failed");
}

void output_begin(struct output *out, const struct emlfs_cli *cli)
{
    *out = (struct output){.command = cli->command,
                           .json = cli->json,
                           .text = EMLFS_BUF_INIT(TEXT_KEPT_BYTES + FIELDS_MAX * TEXT_MAX_BYTES)};
}

static unsigned fields_split(const char *fields, struct field *ret)
{
    unsigned n = 0;

    while (fields && *fields && n < FIELDS_MAX) {
        ret[n] = (struct field){.name = fields, .len = strcspn(fields, ",")};
        fields += ret[n].len + (fields[ret[n].len] == ',');
        n++;
    }
    return n;
}

static bool field_is_bytes(const char *name)
{
    return strncmp(name, "bytes", 5) == 0 || strcmp(name, "size") == 0;
}

static int number_text(const char *name, uint64_t value, struct emlfs_buf *out)
{
    char count[32], size[32], time[EMLFS_TEXT_TIME_MAX];

    if (strcmp(name, "since_sec") == 0 && value < INT64_MAX / 1000000000) {
        emlfs_text_time((int64_t)value * 1000000000, time);
        return emlfs_text_printf(out, "%s", time);
    }
    emlfs_text_count(value, count);
    if (!field_is_bytes(name) || value < 1000)
        return emlfs_text_printf(out, "%s", count);
    emlfs_text_size(value, size);
    return emlfs_text_printf(out, "%s (%s)", count, size);
}

static int value_text(const char *name, struct json_object *value, struct emlfs_buf *out)
{
    int r = 0;

    switch (json_object_get_type(value)) {
    case json_type_null:
        return 0;
    case json_type_boolean:
        return emlfs_text_printf(out, json_object_get_boolean(value) ? "yes" : "no");
    case json_type_int:
        return number_text(name, json_object_get_uint64(value), out);
    case json_type_array:
        for (size_t i = 0; r == 0 && i < json_object_array_length(value); i++) {
            if (i > 0)
                r = emlfs_text_printf(out, ", ");
            if (r == 0)
                r = value_text(name, json_object_array_get_idx(value, i), out);
        }
        return r;
    case json_type_string:
        return emlfs_text_terminal(
            emlfs_span_of(json_object_get_string(value), (size_t)json_object_get_string_len(value)),
            out);
    default:
        return emlfs_text_json(value, out);
    }
}

static void text_put(const struct emlfs_buf *text, size_t pad)
{
    (void)fwrite(text->data ? (const char *)text->data : "", 1, text->len, stdout);
    (void)printf("%*s", (int)pad, "");
}

/* ---- one row: "name: value" lines */

/* Sentences, not words: each has a line of its own. */
static bool array_is_sentences(struct json_object *value)
{
    struct json_object *first =
        json_object_is_type(value, json_type_array) ? json_object_array_get_idx(value, 0) : NULL;
    int len = first ? json_object_get_string_len(first) : 0;

    return len > 0 && json_object_get_string(first)[len - 1] == '.';
}

static void sentences_put(struct json_object *value, int indent)
{
    for (size_t i = 0; i < json_object_array_length(value); i++) {
        EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(TEXT_MAX_BYTES);

        (void)value_text("", json_object_array_get_idx(value, i), &text);
        (void)printf("%*s", indent, "");
        text_put(&text, 0);
        (void)putchar('\n');
    }
}

static void pair_put(const char *name, struct json_object *value, int indent)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
    char label[64];
    size_t n = 0;

    for (; name[n] && n < sizeof(label) - 1; n++)
        label[n] = name[n] == '_' ? ' ' : name[n];
    label[n] = '\0';
    if (json_object_is_type(value, json_type_object)) {
        (void)printf("%*s%s:\n", indent, "", label);
        json_object_object_foreach(value, inner, inner_value)
        {
            pair_put(inner, inner_value, indent + 2);
        }
        return;
    }
    if (array_is_sentences(value)) {
        (void)printf("%*s%s:\n", indent, "", label);
        sentences_put(value, indent + 2);
        return;
    }
    (void)value_text(name, value, &text);
    (void)printf("%*s%s:%*s", indent, "", label, n < 16 ? (int)(16 - n) : 1, "");
    text_put(&text, 0);
    (void)putchar('\n');
}

static void recovery_put(const char *key)
{
    (void)printf("\nRecovery key, shown only now and kept nowhere:\n\n    %s\n\n"
                 "Write it down and keep it away from this machine. It opens the archive when the\n"
                 "machine key in its directory keys/ is lost; without either, the mail is lost.\n",
                 key);
}

static void row_pairs(const struct output *out, struct json_object *row)
{
    struct field fields[FIELDS_MAX];
    unsigned n = fields_split(out->command->fields, fields);
    const char *recovery = NULL;

    for (unsigned i = 0; i < n; i++) {
        char name[64];
        struct json_object *value;

        (void)snprintf(name, sizeof(name), "%.*s", (int)fields[i].len, fields[i].name);
        if (!json_object_object_get_ex(row, name, &value))
            continue;
        if (strcmp(name, "recovery_key") == 0)
            recovery = json_object_get_string(value);
        else
            pair_put(name, value, 0);
    }
    if (recovery)
        recovery_put(recovery);
}

/* ---- many rows: columns */

/* Render the cells of a row behind those that wait. */
static int row_render(struct output *out, struct json_object *row)
{
    struct field fields[FIELDS_MAX];
    unsigned n = fields_split(out->command->fields, fields);
    int r = 0;

    for (unsigned f = 0; r == 0 && f < n; f++) {
        struct output_cell *cell = &out->cells[out->n * n + f];
        char name[64];

        (void)snprintf(name, sizeof(name), "%.*s", (int)fields[f].len, fields[f].name);
        cell->at = out->text.len;
        r = value_text(name, json_object_object_get(row, name), &out->text);
        cell->len = out->text.len - cell->at;
        if (cell->len > 0)
            cell->columns = emlfs_text_columns(emlfs_span_of(out->text.data + cell->at, cell->len));
        else
            cell->columns = 0;
    }
    return r;
}

static void widths_measure(const struct output *out, const struct field *fields, unsigned n,
                           size_t *widths)
{
    for (unsigned f = 0; f < n; f++)
        widths[f] = fields[f].len;
    for (size_t i = 0; i < out->n * n; i++) {
        size_t columns = out->cells[i].columns;

        if (columns > widths[i % n] && columns <= COLUMN_MAX)
            widths[i % n] = columns;
    }
}

static void row_columns(const struct output *out, const struct output_cell *cells, unsigned n,
                        const size_t *widths)
{
    for (unsigned f = 0; f < n; f++) {
        size_t columns = cells[f].columns;
        size_t pad = columns < widths[f] ? widths[f] - columns : 0;

        if (cells[f].len > 0)
            (void)fwrite(out->text.data + cells[f].at, 1, cells[f].len, stdout);
        if (f + 1 < n)
            (void)printf("%*s", (int)pad + 2, "");
    }
    (void)putchar('\n');
}

static void rows_flush(struct output *out)
{
    struct field fields[FIELDS_MAX];
    size_t widths[FIELDS_MAX];
    unsigned n = fields_split(out->command->fields, fields);

    widths_measure(out, fields, n, widths);
    for (unsigned f = 0; out->n > 0 && f < n; f++)
        (void)printf("%-*.*s%s", f + 1 < n ? (int)widths[f] + 2 : 0, (int)fields[f].len,
                     fields[f].name, f + 1 < n ? "" : "\n");
    for (size_t i = 0; i < out->n; i++)
        row_columns(out, out->cells + i * n, n, widths);
    out->n = 0;
    emlfs_buf_clear(&out->text);
}

static int row_keep(struct output *out, struct json_object *row)
{
    struct field fields[FIELDS_MAX];
    unsigned n = fields_split(out->command->fields, fields);

    if (out->n == OUTPUT_ROWS_MAX || out->text.len > TEXT_KEPT_BYTES)
        rows_flush(out);
    if (out->n == out->cap) {
        size_t cap = out->cap ? out->cap * 2 : 64;
        struct output_cell *cells = reallocarray(out->cells, cap * n, sizeof(*cells));

        if (!cells)
            return -ENOMEM;
        out->cells = cells;
        out->cap = cap;
    }
    int r = row_render(out, row);

    out->n += r == 0;
    return r;
}

/* A row with none of the command's fields is its values alone: search --count. */
static bool row_is_bare(const struct output *out, struct json_object *row)
{
    struct field fields[FIELDS_MAX];
    unsigned n = fields_split(out->command->fields, fields);

    for (unsigned i = 0; i < n; i++) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%.*s", (int)fields[i].len, fields[i].name);
        if (json_object_object_get_ex(row, name, NULL))
            return false;
    }
    return true;
}

static void row_bare(struct json_object *row)
{
    json_object_object_foreach(row, name, value)
    {
        (void)name;
        (void)printf("%s\n", json_object_get_string(value));
    }
}

int output_row(struct output *out, struct json_object *row)
{
    if (out->json) {
        EMLFS_BUF_CLEANUP struct emlfs_buf line = EMLFS_BUF_INIT(TEXT_MAX_BYTES);
        int r = emlfs_text_json(row, &line);

        if (r < 0)
            return r;
        text_put(&line, 0);
        (void)putchar('\n');
        return ferror(stdout) ? -EIO : 0;
    }
    if (row_is_bare(out, row))
        row_bare(row);
    else if (!(out->command->flags & EMLFS_COMMAND_ONE))
        return row_keep(out, row);
    else
        row_pairs(out, row);
    return ferror(stdout) ? -EIO : 0;
}

int output_bytes(struct emlfs_span bytes)
{
    errno = 0;
    if (fwrite(bytes.data, 1, bytes.len, stdout) == bytes.len)
        return 0;
    return errno ? -errno : -EIO;
}

int output_text(const struct emlfs_buf *text)
{
    text_put(text, 0);
    return fflush(stdout) != 0 || ferror(stdout) ? -EIO : 0;
}

int output_end(struct output *out)
{
    rows_flush(out);
    free(out->cells);
    emlfs_buf_free(&out->text);
    out->cells = NULL;
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout))
        return errno ? -errno : -EIO;
    return 0;
}
