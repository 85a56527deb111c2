/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Text of RTF 1.9: groups, control words, fonts' charsets, Unicode escapes. Destinations that hold
 * no text are skipped, and so is everything that an unknown starred destination holds. HTML that
 * was wrapped in RTF comes out as the RTF's own text.
 *
 * Invariants:
 *  1. The stack of groups is at most TEXT_RTF_DEPTH_MAX; reading ends at the group that is too
 * deep.
 *  2. pending holds bytes of one charset only.
 */
#include <stdlib.h>
#include <strings.h>

#include "text.h"

#define FONTS_MAX 512u
#define PENDING_MAX_BYTES (64u << 10)
#define LATE_EVERY 65536u

struct rtf_group {
    uint16_t codepage; /* of text; 0: the document's */
    uint8_t unicode_skip;
    bool skip, fonts, hidden;
    bool apart; /* its text does not go on behind it */
};
struct rtf {
    struct text_run *run;
    const uint8_t *pos, *end;
    struct emlfs_buf *out;
    struct emlfs_buf pending;
    struct rtf_group *groups;
    unsigned depth;
    unsigned codepage, font_default, font, skip_chars;
    uint32_t high_surrogate;
    bool star;
    uint16_t fonts[FONTS_MAX]; /* codepage by number */
    int error;
};

static struct rtf_group *group_now(struct rtf *rtf)
{
    return &rtf->groups[rtf->depth];
}

static void pending_flush(struct rtf *rtf)
{
    char charset[24] = "windows-1252";
    unsigned codepage = group_now(rtf)->codepage ? group_now(rtf)->codepage : rtf->codepage;
    static const struct {
        unsigned codepage;
        const char *name;
    } names[] = {{932, "CP932"}, {936, "GB18030"}, {949, "CP949"},       {950, "BIG5"},
                 {874, "CP874"}, {437, "CP437"},   {850, "CP850"},       {852, "CP852"},
                 {866, "CP866"}, {1361, "JOHAB"},  {10000, "MACINTOSH"}, {65001, "UTF-8"}};
    if (rtf->pending.len == 0)
        return;
    if (codepage >= 1250 && codepage <= 1258)
        charset[11] = (char)('0' + codepage - 1250);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].codepage == codepage)
            memcpy(charset, names[i].name, strlen(names[i].name) + 1);
    }
    int rc = text_utf8_append(rtf->run->charsets, emlfs_buf_view(&rtf->pending), charset, rtf->out);
    emlfs_buf_clear(&rtf->pending);
    if (rc < 0)
        rtf->error = rc;
}

static bool is_silent(struct rtf *rtf)
{
    const struct rtf_group *group = group_now(rtf);
    return group->skip || group->fonts || group->hidden;
}

/* A byte of text, or of what stands for a Unicode character that was read already. */
static void byte_take(struct rtf *rtf, uint8_t byte)
{
    if (rtf->skip_chars > 0) {
        rtf->skip_chars--;
        return;
    }
    if (is_silent(rtf))
        return;
    if (rtf->pending.len == PENDING_MAX_BYTES)
        pending_flush(rtf);
    int rc = emlfs_buf_append_u8(&rtf->pending, byte);
    if (rc < 0)
        rtf->error = rc;
}

static void char_take(struct rtf *rtf, uint32_t code)
{
    if (is_silent(rtf))
        return;
    pending_flush(rtf);
    int rc = text_put_char(rtf->out, code);
    if (rc < 0)
        rtf->error = rc;
}

static void unicode_take(struct rtf *rtf, long number)
{
    uint32_t code = (uint32_t)(number < 0 ? number + 65536 : number);
    rtf->skip_chars = group_now(rtf)->unicode_skip;
    if (code >= 0xd800 && code < 0xdc00) {
        rtf->high_surrogate = code;
        return;
    }
    if (code >= 0xdc00 && code < 0xe000 && rtf->high_surrogate)
        code = 0x10000 + ((rtf->high_surrogate - 0xd800) << 10) + (code - 0xdc00);
    rtf->high_surrogate = 0;
    char_take(rtf, code);
}

static unsigned charset_codepage(long charset)
{
    static const struct {
        long charset;
        unsigned codepage;
    } table[] = {{0, 1252},   {77, 10000}, {128, 932},  {129, 949},  {130, 1361}, {134, 936},
                 {136, 950},  {161, 1253}, {162, 1254}, {163, 1258}, {177, 1255}, {178, 1256},
                 {186, 1257}, {204, 1251}, {222, 874},  {238, 1250}, {254, 437},  {255, 850}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].charset == charset)
            return table[i].codepage;
    }
    return 0;
}

static void font_select(struct rtf *rtf, long number)
{
    rtf->font = number >= 0 && number < (long)FONTS_MAX ? (unsigned)number : 0;
    if (group_now(rtf)->fonts)
        return;
    pending_flush(rtf);
    group_now(rtf)->codepage = rtf->fonts[rtf->font];
}

static bool word_is(struct emlfs_span word, const char *text)
{
    return word.len == strlen(text) && memcmp(word.data, text, word.len) == 0;
}

static bool word_among(struct emlfs_span word, const char *const *table)
{
    for (; *table; table++) {
        if (word_is(word, *table))
            return true;
    }
    return false;
}

/* Words that begin something that is not text, or is text although it is starred. */
static void destination_take(struct rtf *rtf, struct emlfs_span word)
{
    static const char *const silent[] = {"colortbl",
                                         "stylesheet",
                                         "pict",
                                         "objdata",
                                         "fldinst",
                                         "themedata",
                                         "datastore",
                                         "listtable",
                                         "rsidtbl",
                                         "generator",
                                         "xmlnstbl",
                                         "latentstyles",
                                         "mmathPr",
                                         "filetbl",
                                         "revtbl",
                                         "objclass",
                                         "objname",
                                         "bkmkstart",
                                         "bkmkend",
                                         "colorschememapping",
                                         "listoverridetable",
                                         "creatim",
                                         "revtim",
                                         "printim",
                                         "buptim",
                                         "htmltag",
                                         "mhtmltag",
                                         "blipuid",
                                         "picprop",
                                         "panose",
                                         "falt",
                                         "datafield",
                                         "nonesttables",
                                         NULL};
    static const char *const spoken[] = {"shptxt",    "shpinst", "footnote", "annotation",
                                         "atnauthor", "hlfr",    "docvar",   NULL};
    static const char *const apart[] = {"footnote", "annotation", "header", "headerl",
                                        "headerr",  "headerf",    "footer", "footerl",
                                        "footerr",  "footerf",    "shptxt", NULL};
    group_now(rtf)->apart = group_now(rtf)->apart || word_among(word, apart);
    if (word_is(word, "fonttbl")) {
        pending_flush(rtf);
        group_now(rtf)->fonts = true;
    } else if (word_among(word, silent) || (rtf->star && !word_among(word, spoken))) {
        pending_flush(rtf);
        group_now(rtf)->skip = true;
    }
}

/* A field of the document's information: text that stands for itself. */
static bool info_take(struct rtf *rtf, struct emlfs_span word)
{
    static const char *const names[] = {"title", "subject", "author", "keywords", "doccomm", NULL};
    if (!word_among(word, names))
        return false;
    group_now(rtf)->apart = true;
    return true;
}

static bool separator_take(struct rtf *rtf, struct emlfs_span word)
{
    static const char *const separators[] = {
        "par",       "line",      "tab",      "cell",     "row",    "sect",
        "page",      "column",    "nestcell", "nestrow",  "emdash", "endash",
        "emspace",   "enspace",   "qmspace",  "bullet",   "lquote", "rquote",
        "ldblquote", "rdblquote", "softline", "softpage", NULL};
    if (!word_among(word, separators))
        return false;
    bool quote = word_is(word, "rquote") || word_is(word, "lquote");
    char_take(rtf, quote ? '\'' : word.data[0] == 'p' || word.data[0] == 'r' ? '\n' : ' ');
    return true;
}

static void binary_skip(struct rtf *rtf, long number)
{
    long left = (long)(rtf->end - rtf->pos);
    rtf->pos += number < 0 ? 0 : number < left ? number : left;
}

/* Words about fonts and code pages. */
static bool font_word_take(struct rtf *rtf, struct emlfs_span word, bool numbered, long number)
{
    bool small = numbered && number >= 0 && number < 65536;
    if (word_is(word, "f") && numbered)
        font_select(rtf, number);
    else if (word_is(word, "plain"))
        font_select(rtf, (long)rtf->font_default);
    else if (word_is(word, "deff") && small && number < (long)FONTS_MAX)
        rtf->font_default = (unsigned)number;
    else if (word_is(word, "fcharset") && group_now(rtf)->fonts)
        rtf->fonts[rtf->font] = (uint16_t)charset_codepage(number);
    else if (word_is(word, "cpg") && group_now(rtf)->fonts && small)
        rtf->fonts[rtf->font] = (uint16_t)number;
    else if (word_is(word, "ansicpg") && small && number > 0)
        rtf->codepage = (unsigned)number;
    else if (word_is(word, "mac"))
        rtf->codepage = 10000;
    else if (word_is(word, "pc") || word_is(word, "pca"))
        rtf->codepage = word.len == 2 ? 437 : 850;
    else
        return false;
    return true;
}

static void word_take(struct rtf *rtf, struct emlfs_span word, bool numbered, long number)
{
    if (word_is(word, "u") && numbered)
        unicode_take(rtf, number);
    else if (word_is(word, "uc") && numbered)
        group_now(rtf)->unicode_skip = (uint8_t)(number < 0 ? 0 : number > 16 ? 16 : number);
    else if (word_is(word, "bin"))
        binary_skip(rtf, number);
    else if (word_is(word, "htmlrtf"))
        group_now(rtf)->hidden = !numbered || number != 0;
    else if (!font_word_take(rtf, word, numbered, number) && !separator_take(rtf, word) &&
             !info_take(rtf, word))
        destination_take(rtf, word);
}

/* A control word at pos, behind its backslash. */
static void word_read(struct rtf *rtf)
{
    const uint8_t *from = rtf->pos;
    while (rtf->pos < rtf->end && (uint8_t)((*rtf->pos | 0x20) - 'a') < 26)
        rtf->pos++;
    struct emlfs_span word = emlfs_span_of(from, (size_t)(rtf->pos - from));
    bool minus = rtf->pos < rtf->end && *rtf->pos == '-';
    const uint8_t *digits = rtf->pos + minus;
    long number = 0;
    const uint8_t *at = digits;
    for (; at < rtf->end && *at >= '0' && *at <= '9'; at++)
        number = number < 100000000 ? number * 10 + (*at - '0') : number;
    bool numbered = at > digits;
    if (numbered)
        rtf->pos = at;
    if (rtf->pos < rtf->end && *rtf->pos == ' ')
        rtf->pos++;
    word_take(rtf, word, numbered, minus ? -number : number);
    rtf->star = false;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What follows a backslash. */
static void control_read(struct rtf *rtf)
{
    if (rtf->pos == rtf->end)
        return;
    uint8_t c = *rtf->pos;
    if ((uint8_t)((c | 0x20) - 'a') < 26) {
        word_read(rtf);
        return;
    }
    rtf->pos++;
    if (c == '\'' && rtf->end - rtf->pos >= 2) {
        int high = hex_digit(rtf->pos[0]), low = hex_digit(rtf->pos[1]);
        rtf->pos += 2;
        if (high >= 0 && low >= 0)
            byte_take(rtf, (uint8_t)(high << 4 | low));
    } else if (c == '*') {
        rtf->star = true;
    } else if (c == '{' || c == '}' || c == '\\') {
        byte_take(rtf, c);
    } else if (c == '~' || c == '\n' || c == '\r') {
        byte_take(rtf, ' ');
    } else if (c == '_') {
        byte_take(rtf, '-');
    }
}

/* False at the end: of the document or of the depth that is read. */
static bool group_take(struct rtf *rtf, bool open, const char **ret_reason)
{
    pending_flush(rtf);
    rtf->skip_chars = 0;
    rtf->star = false;
    if (!open) {
        if (rtf->depth <= 1)
            return false;
        bool apart = group_now(rtf)->apart;
        rtf->depth--;
        if (apart)
            char_take(rtf, '\n');
        return true;
    }
    if (rtf->depth + 1 == TEXT_RTF_DEPTH_MAX) {
        *ret_reason = TEXT_BAD_DEPTH;
        return false;
    }
    rtf->groups[rtf->depth + 1] = rtf->groups[rtf->depth];
    rtf->depth++;
    group_now(rtf)->apart = false;
    return true;
}

static const char *rtf_read(struct rtf *rtf)
{
    const char *reason = NULL;
    for (unsigned steps = 1; rtf->pos < rtf->end && rtf->error == 0; steps++) {
        if (steps % LATE_EVERY == 0 && text_late(rtf->run))
            return TEXT_BAD_TIME;
        uint8_t c = *rtf->pos++;
        if (c == '\\')
            control_read(rtf);
        else if (c == '{' || c == '}') {
            if (!group_take(rtf, c == '{', &reason))
                break;
        } else if (c != '\r' && c != '\n')
            byte_take(rtf, c);
    }
    pending_flush(rtf);
    return reason ? reason : text_reason(rtf->error);
}

const char *text_rtf(struct text_run *run, struct emlfs_span bytes, struct emlfs_buf *out)
{
    struct rtf *rtf = calloc(1, sizeof *rtf);
    const char *reason = TEXT_BAD_MEMORY;
    if (rtf)
        rtf->groups = calloc(TEXT_RTF_DEPTH_MAX, sizeof *rtf->groups);
    if (rtf && rtf->groups) {
        rtf->run = run;
        rtf->pos = bytes.data;
        rtf->end = emlfs_span_end(bytes);
        rtf->out = out;
        rtf->pending = EMLFS_BUF_INIT(PENDING_MAX_BYTES);
        rtf->codepage = 1252;
        rtf->groups[0].unicode_skip = 1;
        reason = rtf_read(rtf);
        emlfs_buf_free(&rtf->pending);
        free(rtf->groups);
    }
    free(rtf);
    return reason;
}
