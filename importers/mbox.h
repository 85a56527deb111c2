/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_IMPORTERS_MBOX_H
#define EMLFS_IMPORTERS_MBOX_H

#include "source.h"

/* Splitting of mboxes. Private to importers/ and its tests; the rules are at the top of
 * mbox_split.c. */

#define EMLFS_MBOX_WINDOW_BYTES (256u << 10)
#define EMLFS_MBOX_VIEW_MAX_BYTES (128u << 10)
#define EMLFS_MBOX_BACK_BYTES (4u << 10)
#define EMLFS_MBOX_LINE_MAX_BYTES 1000u

/* Bytes at an offset, through one window of fixed size. */
struct emlfs_mbox_reader {
    ssize_t (*read_at)(void *arg, void *data, size_t len, uint64_t offset);
    void *arg;
    uint64_t size;
    uint8_t *window;
    uint64_t window_offset;
    size_t window_len;
    int error; /* 0, or the first negative errno: views are empty from then on */
};

int emlfs_mbox_reader_init(struct emlfs_mbox_reader *reader);
void emlfs_mbox_reader_free(struct emlfs_mbox_reader *reader);
/* At most EMLFS_MBOX_VIEW_MAX_BYTES from offset; shorter only at the end. Valid to the next view.
 */
struct emlfs_span emlfs_mbox_view(struct emlfs_mbox_reader *reader, uint64_t offset, size_t len);

enum emlfs_mbox_form {
    EMLFS_MBOX_NONE,  /* does not begin with "From " */
    EMLFS_MBOX_DATED, /* ends in a plausible date */
    EMLFS_MBOX_DASH,  /* "From -", with or without a date: Netscape, Mozilla */
    EMLFS_MBOX_GIT,   /* "From <40 hex digits> Mon Sep 17 00:00:00 2001": a patch */
    EMLFS_MBOX_TOKEN, /* "From word" */
    EMLFS_MBOX_EMPTY, /* "From " */
    EMLFS_MBOX_OTHER, /* a sentence */
};

struct emlfs_mbox_from {
    enum emlfs_mbox_form form;
    int64_t date_sec; /* UTC unless a zone says otherwise; 0: none */
    size_t line_len;  /* with its line end */
    bool rd_writer;   /* the envelope sender is "mboxrd@z": public-inbox, which writes mboxrd */
};

/* Classify the line that bytes begin with. Lines over the maximum are NONE. */
struct emlfs_mbox_from emlfs_mbox_from_parse(struct emlfs_span bytes);
/* The first line is a header field with an ASCII name. */
bool emlfs_mbox_starts_with_field(struct emlfs_span bytes);
/* Length of the line end at the start of bytes: 0, 1 or 2. */
size_t emlfs_mbox_eol_len(struct emlfs_span bytes);

enum emlfs_mbox_dialect {
    EMLFS_MBOX_O,
    EMLFS_MBOX_RD,
    EMLFS_MBOX_CL,
    EMLFS_MBOX_CL2,
};

/* What a look at the first part of the file says about all of it. */
struct emlfs_mbox_style {
    enum emlfs_mbox_dialect dialect;
    enum emlfs_mbox_form first_form; /* NONE: does not begin with a From line */
    uint64_t start;                  /* after a byte order mark and empty lines */
    bool blank_not_needed;           /* separators stand without an empty line before them */
    uint64_t quoted_lines;           /* ">From " lines seen */
};

struct emlfs_mbox_message {
    uint64_t begin;   /* of the separator; of the message when it has none */
    size_t blank_len; /* of the empty line before begin that belongs to the separator, 0: none */
    uint64_t content; /* first byte of the message */
    uint64_t end;     /* first byte after it; what follows up to the next begin is framing */
    int64_t date_sec; /* of the separator, 0: unknown */
    bool separated;   /* false: bytes before the first separator */
};

struct emlfs_mbox_splitter {
    struct emlfs_mbox_reader *reader;
    struct emlfs_mbox_style style;
    struct emlfs_mbox_message next; /* begin, content, date known; end not yet */
    bool at_end;
    uint64_t kept_lines;    /* lines kept as text which may have been separators */
    uint64_t wrong_lengths; /* Content-Length fields that did not lead to a separator */
};

/* 0 or the reader's error. */
int emlfs_mbox_detect(struct emlfs_mbox_reader *reader, struct emlfs_mbox_style *ret);
int emlfs_mbox_split_begin(struct emlfs_mbox_splitter *splitter, struct emlfs_mbox_reader *reader);
/* 1 and *ret; 0 at the end; negative errno. */
int emlfs_mbox_split_next(struct emlfs_mbox_splitter *splitter, struct emlfs_mbox_message *ret);
/* Find the next separator at or after from. 1, 0 none, negative errno. kept may be NULL. */
int emlfs_mbox_find(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                    uint64_t from, struct emlfs_mbox_message *ret, uint64_t *kept);
/* The next "From " that begins a line, or follows '>' signs that do. UINT64_MAX: none before limit.
 */
uint64_t emlfs_mbox_scan(struct emlfs_mbox_reader *reader, uint64_t from, uint64_t limit);
/* Where the Content-Length of the message at content leads, when a separator or the end is there.
 * 1: *ret_end, *ret_next; 0: has none; -1: has one and it is wrong. */
int emlfs_mbox_by_length(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                         uint64_t content, uint64_t *ret_end, uint64_t *ret_next);
/* Take one '>' off every line that begins with one or more '>' and "From ". */
void emlfs_mbox_unquote(struct emlfs_buf *raw);
const char *emlfs_mbox_dialect_name(enum emlfs_mbox_dialect dialect);

/* mbox.c: everything in the open mbox goes to the sink, at the present path and folder. */
int emlfs_mbox_take(struct emlfs_import *im, int fd, const struct stat *st);
/* True when raw begins with a separator and another one follows. */
bool emlfs_mbox_holds_several(struct emlfs_span raw);

#endif
