/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Does a run of bytes look like a mail message?
 *
 * Lenient on purpose: whatever bears a header is mail, however ugly the rest. Two rules keep other
 * files out: a field name begins with a letter, digit, '-', '_' or 8-bit byte and holds no brackets
 * or quotes (JSON, XML), and fields after the first line are looked for only while the text has no
 * control bytes (binary files).
 */
#include "mbox.h"

#define SCAN_MAX_BYTES (1u << 20)
#define NAME_MAX_BYTES 256u

static bool name_byte(uint8_t c, bool first)
{
    if (c >= 0x80 || c == '-' || c == '_')
        return true;
    if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
        return true;
    return !first && c > 32 && c < 127 && c != ':' && !strchr("<>{}[]()\"'\\,;", c);
}

/* Length of the field name, 0 when line does not begin with "name:" or "name :". */
static size_t field_name_len(struct emlfs_span line)
{
    size_t n = 0;
    while (n < line.len && n <= NAME_MAX_BYTES && name_byte(line.data[n], n == 0))
        n++;
    size_t colon = n;
    while (colon < line.len && (line.data[colon] == ' ' || line.data[colon] == '\t'))
        colon++;
    if (n == 0 || n > NAME_MAX_BYTES || colon >= line.len || line.data[colon] != ':')
        return 0;
    bool url = line.len - colon >= 3 && line.data[colon + 1] == '/' && line.data[colon + 2] == '/';
    return url ? 0 : n;
}

static bool name_is_ascii(struct emlfs_span name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 0x80)
            return false;
    return true;
}

/* vCard, iCalendar, LDIF and PEM hold what a field would look like. */
static bool other_format(struct emlfs_span line)
{
    static const char *const starts[] = {"BEGIN:V", "begin:v", "dn:", "version: 1", "-----BEGIN "};
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (line.len >= strlen(starts[i]) && memcmp(line.data, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}

static struct emlfs_span line_at(struct emlfs_span bytes, size_t from)
{
    size_t end = from;
    while (end < bytes.len && bytes.data[end] != '\n' && bytes.data[end] != '\r')
        end++;
    return emlfs_span_of(bytes.data + from, end - from);
}

static size_t skip_line_ends(struct emlfs_span bytes, size_t from)
{
    while (from < bytes.len && (bytes.data[from] == '\n' || bytes.data[from] == '\r'))
        from++;
    return from;
}

static bool has_control(struct emlfs_span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.data[i] < 32 && line.data[i] != '\t' && line.data[i] != 27)
            return true;
    return false;
}

/* A field in one of the lines from, up to the first empty line. */
static bool field_before_empty_line(struct emlfs_span bytes, size_t from)
{
    if (bytes.len > SCAN_MAX_BYTES)
        bytes.len = SCAN_MAX_BYTES;
    while (from < bytes.len) {
        struct emlfs_span line = line_at(bytes, from);
        size_t name_len = field_name_len(line);
        if (name_len && name_is_ascii(emlfs_span_of(line.data, name_len)))
            return true;
        if (line.len == 0 || has_control(line))
            return false;
        from += line.len;
        from += emlfs_mbox_eol_len(emlfs_span_of(bytes.data + from, bytes.len - from));
    }
    return false;
}

bool emlfs_mbox_starts_with_field(struct emlfs_span bytes)
{
    struct emlfs_span head = bytes.len > 1024 ? emlfs_span_of(bytes.data, 1024) : bytes;
    struct emlfs_span line = line_at(head, 0);
    size_t name_len = field_name_len(line);
    return name_len && name_is_ascii(emlfs_span_of(line.data, name_len));
}

static size_t separator_len(struct emlfs_span bytes)
{
    size_t bom = bytes.len >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    struct emlfs_mbox_from from =
        emlfs_mbox_from_parse(emlfs_span_of(bytes.data + bom, bytes.len - bom));
    if (from.form == EMLFS_MBOX_NONE || from.form == EMLFS_MBOX_OTHER)
        return 0;
    return bom + from.line_len;
}

bool emlfs_looks_like_message(struct emlfs_span bytes, size_t *ret_skip)
{
    if (ret_skip)
        *ret_skip = 0;
    if (bytes.len == 0)
        return false;
    size_t skip = separator_len(bytes);
    size_t first = skip_line_ends(bytes, skip);
    struct emlfs_span line = line_at(bytes, first);
    if (line.len == 0 || other_format(line))
        return false;
    if (!field_name_len(line) && !field_before_empty_line(bytes, first))
        return false;
    if (ret_skip)
        *ret_skip = skip;
    return true;
}

bool emlfs_looks_like_mbox(struct emlfs_span bytes)
{
    size_t bom = bytes.len >= 3 && memcmp(bytes.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t at = skip_line_ends(bytes, bom);
    struct emlfs_span text = emlfs_span_of(bytes.data + at, bytes.len - at);
    struct emlfs_mbox_from from = emlfs_mbox_from_parse(text);
    if (from.form == EMLFS_MBOX_DATED || from.form == EMLFS_MBOX_DASH)
        return true;
    if (from.form == EMLFS_MBOX_NONE || from.form == EMLFS_MBOX_OTHER)
        return false;
    return emlfs_looks_like_message(
        emlfs_span_of(text.data + from.line_len, text.len - from.line_len), NULL);
}
