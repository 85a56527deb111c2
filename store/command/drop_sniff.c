/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a file that was put into the mount is, by how it begins.
 *
 * What an importer would take is mail, however ugly; but formats that are known to be something
 * else are refused first, since a style sheet in a web page, or bytes that happen to hold a colon,
 * look like a header field.
 */
#include <string.h>
#include <strings.h>

#include "emlfs/drop.h"
#include "emlfs/importer.h"

#define DECIDE_BYTES 256u

struct magic {
    const char *bytes;
    size_t len;
    size_t at;
    const char *reason;
};
#define MAGIC(text, at, reason)                                                                    \
    {                                                                                              \
        text, sizeof(text) - 1, at, reason                                                         \
    }

static const struct magic magics[] = {
    MAGIC("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 0,
          "an Outlook message (.msg) or an old Office document"),
    MAGIC("!BDN", 0, "an Outlook data file (.pst)"),
    MAGIC("\x78\x9f\x3e\x22", 0, "an Outlook attachment (winmail.dat)"),
    MAGIC("BABYL OPTIONS:", 0, "a Babyl mailbox, which is not read"),
    MAGIC("PK\x03\x04", 0, "a zip archive or an Office document"),
    MAGIC("PK\x05\x06", 0, "a zip archive"),
    MAGIC("%PDF", 0, "a PDF document"),
    MAGIC("{\\rtf", 0, "an RTF document"),
    MAGIC("%!PS", 0, "a PostScript document"),
    MAGIC("\x89PNG\r\n\x1a\n", 0, "a picture (PNG)"),
    MAGIC("\xff\xd8\xff", 0, "a picture (JPEG)"),
    MAGIC("GIF87a", 0, "a picture (GIF)"),
    MAGIC("GIF89a", 0, "a picture (GIF)"),
    MAGIC("II*\0", 0, "a picture (TIFF)"),
    MAGIC("MM\0*", 0, "a picture (TIFF)"),
    MAGIC("RIFF", 0, "a picture, sound or film (RIFF)"),
    MAGIC("OggS", 0, "a sound (Ogg)"),
    MAGIC("ID3", 0, "a sound (MP3)"),
    MAGIC("ftyp", 4, "a film or picture (MP4)"),
    MAGIC("\x1f\x8b", 0, "a gzip archive"),
    MAGIC("BZh", 0, "a bzip2 archive"),
    MAGIC("\xfd"
          "7zXZ\0",
          0, "an xz archive"),
    MAGIC("\x28\xb5\x2f\xfd", 0, "a Zstandard archive"),
    MAGIC("7z\xbc\xaf\x27\x1c", 0, "a 7-Zip archive"),
    MAGIC("Rar!\x1a\x07", 0, "a RAR archive"),
    MAGIC("\x7f"
          "ELF",
          0, "a program (ELF)"),
    MAGIC("MZ\x90\0", 0, "a program (Windows)"),
    MAGIC("SQLite format 3", 0, "a database (SQLite)"),
    MAGIC("\xff\xfe", 0, "text in UTF-16"),
    MAGIC("\xfe\xff", 0, "text in UTF-16"),
    MAGIC("BEGIN:VC", 0, "a contact or calendar file"),
    MAGIC("-----BEGIN ", 0, "a key, certificate or signature (PEM)"),
};

/* Texts of which one beginning stands for many, case ignored, behind blanks. */
static const struct {
    const char *text, *reason;
} markups[] = {
    {"<!doctype", "a web page or other markup"},
    {"<html", "a web page"},
    {"<head", "a web page"},
    {"<body", "a web page"},
    {"<?xml", "an XML document"},
    {"<svg", "a picture (SVG)"},
};

static bool magic_is(const struct magic *magic, struct emlfs_span head)
{
    return head.len >= magic->at + magic->len &&
           memcmp(head.data + magic->at, magic->bytes, magic->len) == 0;
}

static struct emlfs_span behind_mark(struct emlfs_span head)
{
    bool mark = head.len >= 3 && memcmp(head.data, "\xef\xbb\xbf", 3) == 0;

    return mark ? emlfs_span_of(head.data + 3, head.len - 3) : head;
}

static const char *markup_reason(struct emlfs_span head)
{
    size_t at = 0;

    while (at < head.len && memchr(" \t\r\n", head.data[at], 4))
        at++;
    for (size_t i = 0; i < sizeof(markups) / sizeof(markups[0]); i++) {
        size_t len = strlen(markups[i].text);

        if (head.len - at >= len &&
            strncasecmp((const char *)head.data + at, markups[i].text, len) == 0)
            return markups[i].reason;
    }
    return NULL;
}

/* No mail program writes a NUL into its first line. */
static bool first_line_binary(struct emlfs_span head)
{
    for (size_t i = 0; i < head.len; i++) {
        if (head.data[i] == 0)
            return true;
        if (i > 0 && (head.data[i] == '\n' || head.data[i] == '\r'))
            return false;
    }
    return false;
}

/* NULL: not known to be something else. */
static const char *foreign_reason(struct emlfs_span head)
{
    for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
        if (magic_is(&magics[i], head))
            return magics[i].reason;
    }
    const char *reason = markup_reason(behind_mark(head));

    if (reason)
        return reason;
    return first_line_binary(head) ? "binary data" : NULL;
}

enum emlfs_drop_kind emlfs_drop_sniff(struct emlfs_span head, bool whole, const char **ret_reason)
{
    if (head.len > EMLFS_DROP_HEAD_BYTES) {
        head.len = EMLFS_DROP_HEAD_BYTES;
        whole = false;
    }

    const char *reason = foreign_reason(head);
    bool enough = whole || head.len >= DECIDE_BYTES;

    if (!reason && enough && emlfs_looks_like_mbox(head))
        return EMLFS_DROP_MBOX;
    if (!reason && enough && emlfs_looks_like_message(head, NULL))
        return EMLFS_DROP_MESSAGE;
    /* A first line may be long; what is seen later is no refusal of what was written before. */
    if (!reason && !whole && head.len < EMLFS_DROP_HEAD_BYTES)
        return EMLFS_DROP_UNDECIDED;
    if (!reason)
        reason = head.len == 0 ? "an empty file" : "no header field of a message in it";
    if (ret_reason)
        *ret_reason = reason;
    return EMLFS_DROP_FOREIGN;
}
