/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which dialect an mbox is, and what that means for the bytes that are archived.
 *
 * The decision on quoting. What is archived are the bytes as they stood before the mbox was
 * written, but only where that is certain, because a wrong '>' removed is a changed message (a
 * signature breaks, and nothing can restore it), while a '>' kept is what every mail program has
 * shown so far:
 *  - mboxcl2 quotes nothing: bytes as they are.
 *  - mboxo quotes "From " but not ">From ", so a ">From " line may have been either: bytes as they
 * are. mboxcl quotes in the same way: bytes as they are.
 *  - mboxrd quotes reversibly: one '>' is taken off every line of '>' and "From ". A file counts as
 *    mboxrd when its writer says so ("From mboxrd@z": public-inbox), or when it holds both ">From "
 *    lines among unquoted text and deeper ones (">>From ") that stand deeper than their neighbours,
 * and nothing contradicts: no bare "From " line within a body, no such line as deep as its
 * neighbours (which an mboxrd writer would have deepened).
 *  - no sign of either: treated as mboxo, so bytes are kept.
 * Lines which neighbour each other and are all From-quoted do not count as neighbours.
 *
 * Only the first DETECT_BYTES are looked at: detection costs the same for any size, and a file that
 * grows beyond them keeps its dialect.
 *
 * mboxcl or mboxcl2: at least half of the messages looked at have a Content-Length, and at least
 * half of those lead to a separator.
 */
#include "mbox.h"

#define DETECT_BYTES (32u << 20)
#define LENGTHS_MAX 200u
#define CONTEXT_BYTES 512u
#define QUOTES_MAX 64u

struct evidence {
    uint64_t separators;
    uint64_t after_blank; /* separators after an empty line */
    uint64_t lengths_right;
    uint64_t lengths_wrong;
    uint64_t lengths_none;
    uint64_t covered_until; /* where the last right Content-Length leads */
    uint64_t inner;         /* separators inside such lengths: text that is not quoted */
    uint64_t bare;          /* "From " lines within bodies */
    uint64_t shallow;       /* ">From " among unquoted text */
    uint64_t deep;          /* ">>From " deeper than its neighbours */
    uint64_t level;         /* as deep as its neighbours: contradicts mboxrd */
    bool rd_writer;
};

const char *emlfs_mbox_dialect_name(enum emlfs_mbox_dialect dialect)
{
    static const char *const names[] = {"mboxo", "mboxrd", "mboxcl", "mboxcl2"};
    return names[dialect];
}

/* Quote depth of the line: '>' signs with single blanks between. *ret_from: "From " follows them.
 */
static unsigned line_depth(struct emlfs_span text, bool *ret_from)
{
    unsigned depth = 0;
    size_t at = 0;
    bool blank = false;
    while (at < text.len && depth < QUOTES_MAX) {
        if (text.data[at] == '>')
            depth++;
        else if (text.data[at] == ' ' && at + 1 < text.len && text.data[at + 1] == '>')
            blank = true;
        else
            break;
        at++;
    }
    *ret_from = depth && !blank && text.len - at >= 5 && memcmp(text.data + at, "From ", 5) == 0;
    return depth;
}

/* Depth of the nearest line after the one at text's start that is not From-quoted itself. */
static unsigned depth_after(struct emlfs_span text)
{
    bool from = true;
    unsigned depth = 0;
    while (from) {
        const uint8_t *end = memchr(text.data, '\n', text.len);
        if (!end)
            return 0;
        size_t used = (size_t)(end - text.data) + 1;
        text = emlfs_span_of(text.data + used, text.len - used);
        if (text.len == 0)
            return 0;
        depth = line_depth(text, &from);
    }
    return depth;
}

/* Likewise before the line which begins at the end of text. */
static unsigned depth_before(struct emlfs_span text)
{
    bool from = true;
    unsigned depth = 0;
    while (from) {
        if (text.len < 2)
            return 0;
        const uint8_t *end = memrchr(text.data, '\n', text.len - 1);
        if (!end)
            return 0;
        size_t begin = (size_t)(end - text.data) + 1;
        depth = line_depth(emlfs_span_of(text.data + begin, text.len - begin), &from);
        text.len = begin;
    }
    return depth;
}

static void quoted_line(struct emlfs_mbox_reader *reader, uint64_t line, struct evidence *evidence)
{
    size_t back = line < CONTEXT_BYTES ? (size_t)line : CONTEXT_BYTES;
    struct emlfs_span view = emlfs_mbox_view(reader, line - back, back + CONTEXT_BYTES);
    if (view.len <= back)
        return;
    struct emlfs_span here = emlfs_span_of(view.data + back, view.len - back);
    bool from;
    unsigned depth = line_depth(here, &from);
    unsigned before = depth_before(emlfs_span_of(view.data, back));
    unsigned after = depth_after(here);
    unsigned around = before > after ? before : after;
    if (!from)
        return;
    evidence->level += around >= depth;
    evidence->deep += around < depth && depth >= 2;
    evidence->shallow += around < depth && depth == 1;
}

/* at: of "From ", after '>' or a line end. */
static void candidate(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                      uint64_t at, struct evidence *evidence)
{
    size_t back = at - style->start < QUOTES_MAX ? (size_t)(at - style->start) : QUOTES_MAX;
    struct emlfs_span view = emlfs_mbox_view(reader, at - back, back);
    size_t quotes = 0;
    while (quotes < view.len && view.data[view.len - 1 - quotes] == '>')
        quotes++;
    uint8_t edge = quotes < view.len ? view.data[view.len - 1 - quotes] : '\n';
    if (edge != '\n' && edge != '\r')
        return;
    if (quotes)
        quoted_line(reader, at - quotes, evidence);
    else
        evidence->bare++;
}

static void separator(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                      const struct emlfs_mbox_message *found, struct evidence *evidence)
{
    if (found->begin < evidence->covered_until) {
        evidence->inner++;
        return;
    }
    evidence->separators++;
    evidence->after_blank += found->blank_len > 0;
    if (evidence->separators > LENGTHS_MAX)
        return;
    uint64_t end, next;
    int r = emlfs_mbox_by_length(reader, style, found->content, &end, &next);
    if (r > 0)
        evidence->covered_until = next;
    evidence->lengths_right += r > 0;
    evidence->lengths_wrong += r < 0;
    evidence->lengths_none += r == 0;
}

/* Separators by the rules without Content-Length; everything else that says "From " is evidence. */
static int gather(struct emlfs_mbox_reader *reader, const struct emlfs_mbox_style *style,
                  struct evidence *evidence)
{
    struct emlfs_mbox_message found = {0};
    uint64_t at = style->start;
    bool more = true;
    while (more) {
        int r = at < DETECT_BYTES ? emlfs_mbox_find(reader, style, at, &found, NULL) : 0;
        if (r < 0)
            return r;
        more = r > 0 && found.begin < DETECT_BYTES;
        uint64_t limit = more ? found.begin : DETECT_BYTES;
        uint64_t hit = at;
        while ((hit = emlfs_mbox_scan(reader, hit, limit)) != UINT64_MAX) {
            candidate(reader, style, hit, evidence);
            hit += 5;
        }
        if (more)
            separator(reader, style, &found, evidence);
        at = found.content;
    }
    return reader->error;
}

static enum emlfs_mbox_dialect decide(const struct evidence *evidence)
{
    uint64_t lengths = evidence->lengths_right + evidence->lengths_wrong;
    uint64_t quoted = evidence->shallow + evidence->deep + evidence->level;
    if (evidence->rd_writer)
        return EMLFS_MBOX_RD;
    if (lengths && lengths >= evidence->lengths_none &&
        evidence->lengths_right >= evidence->lengths_wrong)
        return quoted || evidence->bare + evidence->inner == 0 ? EMLFS_MBOX_CL : EMLFS_MBOX_CL2;
    if (evidence->deep && evidence->shallow && !evidence->level && !evidence->bare)
        return EMLFS_MBOX_RD;
    return EMLFS_MBOX_O;
}

/* Skip a byte order mark and empty lines, so that the first line is the first that says something.
 */
static void find_start(struct emlfs_mbox_reader *reader, struct emlfs_mbox_style *style)
{
    struct emlfs_span head = emlfs_mbox_view(reader, 0, 4096);
    size_t at = head.len >= 3 && memcmp(head.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < head.len && (head.data[at] == '\n' || head.data[at] == '\r'))
        at++;
    style->start = at;
}

int emlfs_mbox_detect(struct emlfs_mbox_reader *reader, struct emlfs_mbox_style *ret)
{
    *ret = (struct emlfs_mbox_style){.dialect = EMLFS_MBOX_O};
    find_start(reader, ret);
    struct emlfs_mbox_from first = emlfs_mbox_from_parse(emlfs_mbox_view(reader, ret->start, 4096));
    ret->first_form = first.form;
    struct evidence evidence = {.rd_writer = first.rd_writer};
    int r = gather(reader, ret, &evidence);
    if (r == 0 && evidence.after_blank == 0 && first.form == EMLFS_MBOX_DATED) {
        ret->blank_not_needed = true;
        evidence = (struct evidence){.rd_writer = first.rd_writer};
        r = gather(reader, ret, &evidence);
    }
    ret->dialect = decide(&evidence);
    ret->quoted_lines = evidence.shallow + evidence.deep + evidence.level;
    return r;
}

void emlfs_mbox_unquote(struct emlfs_buf *raw)
{
    size_t out = 0, at = 0;
    while (at < raw->len) {
        size_t quotes = 0;
        while (at + quotes < raw->len && raw->data[at + quotes] == '>')
            quotes++;
        bool from = quotes && raw->len - at - quotes >= 5 &&
                    memcmp(raw->data + at + quotes, "From ", 5) == 0;
        const uint8_t *end = memchr(raw->data + at, '\n', raw->len - at);
        size_t len = end ? (size_t)(end - raw->data) + 1 - at : raw->len - at;
        memmove(raw->data + out, raw->data + at + from, len - from);
        out += len - from;
        at += len;
    }
    raw->len = out;
}
