/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * F of emlfs-query(7): NFKD, full case folding, NFKD, marks and invisible characters removed, NFC.
 *
 * F looks at neighbours only where marks are put in order or composed, so almost every code point
 * can be folded alone, and what came out kept. Invariants:
 *
 * 1. A code point is PLAIN when its NFKD begins with a starter and its F with a starter that never
 *    composes with what stands before it. F(a b) = F(a) F(b) wherever b is PLAIN. ASCII is PLAIN.
 * 2. A code point is DROPPED when its F is empty. Between PLAIN ones it may be left out.
 * 3. Every other code point is folded in one piece with all that stand between the PLAIN one before
 *    it (inclusive) and the next PLAIN one (exclusive): the exact way.
 * 4. The exact way takes O(n log n) at most for any text: marks are counted, not moved one by one.
 */
#include "tokens.h"

#include <errno.h>
#include <utf8proc.h>

#include "utf8.h"

#define FOLD_SLOTS 4096u
#define FOLD_SLOT_BYTES 10u
#define DECOMPOSED_MAX 32 /* of one code point; Unicode's longest is 18 */
#define MARKS_FEW 16u
#define CLASSES 256u

enum fold_kind { FOLD_UNKNOWN = 0, FOLD_PLAIN, FOLD_LONG, FOLD_DROPPED, FOLD_OTHER };

/* F of one code point, where it can be had alone. LONG: PLAIN, but does not fit. */
struct fold_slot {
    int32_t c;
    uint8_t kind, len;
    uint8_t bytes[FOLD_SLOT_BYTES];
};

/* Code points; an emlfs_buf of int32_t. */
struct points {
    struct emlfs_buf buf;
};

static int32_t *points_data(struct points *points)
{
    return (int32_t *)(void *)points->buf.data;
}

static size_t points_count(const struct points *points)
{
    return points->buf.len / sizeof(int32_t);
}

static void points_cut(struct points *points, size_t count)
{
    points->buf.len = count * sizeof(int32_t);
}

static unsigned combining_class(int32_t c)
{
    return (unsigned)utf8proc_get_property(c)->combining_class;
}

/* Decompose in one way each of n code points, appending to out. */
static int points_decompose(const int32_t *in, size_t n, utf8proc_option_t options,
                            struct points *out)
{
    int32_t some[DECOMPOSED_MAX];
    int r = 0;
    for (size_t i = 0; r == 0 && i < n; i++) {
        int boundary = 0;
        utf8proc_ssize_t count =
            utf8proc_decompose_char(in[i], some, DECOMPOSED_MAX, options, &boundary);
        if (count < 0 || count > DECOMPOSED_MAX)
            return -EILSEQ;
        r = emlfs_buf_append(&out->buf, some, (size_t)count * sizeof(some[0]));
    }
    return r;
}

static void marks_insert(int32_t *marks, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        int32_t c = marks[i];
        unsigned class = combining_class(c);
        size_t at = i;
        for (; at > 0 && combining_class(marks[at - 1]) > class; at--)
            marks[at] = marks[at - 1];
        marks[at] = c;
    }
}

static int marks_count(int32_t *marks, size_t n, struct points *spare)
{
    size_t begin[CLASSES] = {0};
    size_t sum = 0;
    emlfs_buf_clear(&spare->buf);
    int r = emlfs_buf_append(&spare->buf, marks, n * sizeof(*marks));
    if (r < 0)
        return r;
    const int32_t *from = points_data(spare);
    for (size_t i = 0; i < n; i++)
        begin[combining_class(from[i]) % CLASSES]++;
    for (size_t class = 0; class < CLASSES; class ++) {
        size_t count = begin[class];
        begin[class] = sum;
        sum += count;
    }
    for (size_t i = 0; i < n; i++)
        marks[begin[combining_class(from[i]) % CLASSES]++] = from[i];
    return 0;
}

/* Canonical ordering: each run of non-starters by class, stable. */
static int points_order(struct points *points, struct points *spare)
{
    int32_t *all = points_data(points);
    size_t n = points_count(points);
    int r = 0;
    for (size_t i = 0; r == 0 && i < n;) {
        size_t begin = i;
        while (i < n && combining_class(all[i]) > 0)
            i++;
        if (i - begin > MARKS_FEW)
            r = marks_count(all + begin, i - begin, spare);
        else if (i - begin > 1)
            marks_insert(all + begin, i - begin);
        i += i == begin;
    }
    return r;
}

static bool is_removed(int32_t c)
{
    return (c >= 0x300 && c <= 0x36F) || c == 0xAD || c == 0x34F || c == 0x61C || c == 0x180E ||
           (c >= 0x200B && c <= 0x200F) || (c >= 0x2060 && c <= 0x2064) ||
           (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
}

static void points_remove(struct points *points)
{
    int32_t *all = points_data(points);
    size_t kept = 0;
    for (size_t i = 0; i < points_count(points); i++)
        if (!is_removed(all[i]))
            all[kept++] = all[i];
    points_cut(points, kept);
}

/* All of F but the last NFC; a and b are working room, the result is in a. */
static int points_fold(struct points *a, struct points *b)
{
    const utf8proc_option_t nfkd = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
    emlfs_buf_clear(&b->buf);
    int r = points_decompose(points_data(a), points_count(a), nfkd, b);
    if (r == 0)
        r = points_order(b, a);
    emlfs_buf_clear(&a->buf);
    if (r == 0)
        r = points_decompose(points_data(b), points_count(b), nfkd | UTF8PROC_CASEFOLD, a);
    if (r < 0)
        return r;
    points_remove(a);
    return points_order(a, b);
}

static int points_append(const struct points *points, struct emlfs_buf *out)
{
    const int32_t *all = (const int32_t *)(const void *)points->buf.data;
    int r = emlfs_buf_reserve(out, points_count(points));
    for (size_t i = 0; r == 0 && i < points_count(points); i++) {
        uint8_t bytes[UTF8_MAX_BYTES];
        r = emlfs_buf_append(out, bytes, utf8_encode(all[i], bytes));
    }
    return r;
}

static int points_compose(struct points *points)
{
    if (points_count(points) == 0)
        return 0;
    utf8proc_ssize_t n =
        utf8proc_normalize_utf32(points_data(points), (utf8proc_ssize_t)points_count(points),
                                 UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (n < 0)
        return -EILSEQ;
    points_cut(points, (size_t)n);
    return 0;
}

/* Invariant 3: the exact way, for [pos, end), which is valid. */
static int exact_fold(const uint8_t *pos, const uint8_t *end, struct emlfs_buf *out)
{
    struct points a = {EMLFS_BUF_INIT(SIZE_MAX)};
    struct points b = {EMLFS_BUF_INIT(SIZE_MAX)};
    int r = 0;
    while (r == 0 && pos < end) {
        unsigned len;
        int32_t c = utf8_decode(pos, end, &len);
        r = emlfs_buf_append(&a.buf, &c, sizeof(c));
        pos += len;
    }
    if (r == 0)
        r = points_fold(&a, &b);
    if (r == 0)
        r = points_compose(&a);
    if (r == 0)
        r = points_append(&a, out);
    emlfs_buf_wipe(&a.buf);
    emlfs_buf_wipe(&b.buf);
    return r;
}

/*
 * Starters that compose with what stands before them: Hangul vowels and finals, and spacing marks
 * of Indic scripts. test_fold checks the list against every composition there is.
 */
static bool composes_backwards(int32_t c)
{
    static const int32_t marks[] = {0x9BE,   0x9D7,   0xB3E,   0xB56,   0xB57,   0xBBE,
                                    0xBD7,   0xCC2,   0xCD5,   0xCD6,   0xD3E,   0xD57,
                                    0xDCF,   0xDDF,   0x102E,  0x1B35,  0x11127, 0x1133E,
                                    0x11357, 0x114B0, 0x114BA, 0x114BD, 0x115AF, 0x11930};
    if (c >= 0x1161 && c <= 0x11C2)
        return true;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (c == marks[i])
            return true;
    return false;
}

static bool nfkd_begins_with_starter(int32_t c)
{
    int32_t some[DECOMPOSED_MAX];
    int boundary = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(
        c, some, DECOMPOSED_MAX, UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &boundary);
    return n > 0 && n <= DECOMPOSED_MAX && combining_class(some[0]) == 0;
}

static int slot_classify(struct fold_slot *slot, struct points *a)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(DECOMPOSED_MAX * UTF8_MAX_BYTES);
    if (points_count(a) == 0) {
        slot->kind = FOLD_DROPPED;
        return 0;
    }
    int32_t first = points_data(a)[0];
    slot->kind = FOLD_OTHER;
    if (combining_class(first) > 0 || composes_backwards(first) ||
        !nfkd_begins_with_starter(slot->c))
        return 0;
    int r = points_compose(a);
    if (r == 0)
        r = points_append(a, &bytes);
    if (r < 0)
        return r;
    slot->kind = bytes.len > FOLD_SLOT_BYTES ? FOLD_LONG : FOLD_PLAIN;
    if (slot->kind == FOLD_PLAIN) {
        memcpy(slot->bytes, bytes.data, bytes.len);
        slot->len = (uint8_t)bytes.len;
    }
    return 0;
}

static int slot_fill(struct fold_slot *slot, int32_t c)
{
    struct points a = {EMLFS_BUF_INIT(SIZE_MAX)};
    struct points b = {EMLFS_BUF_INIT(SIZE_MAX)};
    *slot = (struct fold_slot){.c = c};
    int r = emlfs_buf_append(&a.buf, &c, sizeof(c));
    if (r == 0)
        r = points_fold(&a, &b);
    if (r == 0)
        r = slot_classify(slot, &a);
    if (r < 0)
        slot->kind = FOLD_UNKNOWN;
    emlfs_buf_free(&a.buf);
    emlfs_buf_free(&b.buf);
    return r;
}

/* What is known of c. A thread keeps its own notes, so nothing is shared. NULL: no memory. */
static const struct fold_slot *slot_of(int32_t c)
{
    static _Thread_local struct fold_slot slots[FOLD_SLOTS];
    struct fold_slot *slot = &slots[(uint32_t)c % FOLD_SLOTS];
    if ((slot->c != c || slot->kind == FOLD_UNKNOWN) && slot_fill(slot, c) < 0)
        return NULL;
    return slot;
}

typedef uint8_t ascii_block __attribute__((vector_size(16)));

/* Fold ASCII into ret, which has room for all of it, until something else comes; returns the end.
 */
static const uint8_t *ascii_fold(const uint8_t *pos, const uint8_t *end, uint8_t *ret)
{
    while (end - pos >= (ptrdiff_t)sizeof(ascii_block)) {
        ascii_block block;
        uint64_t halves[2];
        memcpy(&block, pos, sizeof(block));
        memcpy(halves, pos, sizeof(halves));
        if ((halves[0] | halves[1]) & 0x8080808080808080u)
            break;
        block |= (ascii_block)((ascii_block)(block - 'A') < 26) & 0x20;
        memcpy(ret, &block, sizeof(block));
        pos += sizeof(block);
        ret += sizeof(block);
    }
    for (; pos < end && *pos < 0x80; pos++)
        *ret++ = (uint8_t)(*pos >= 'A' && *pos <= 'Z' ? *pos | 0x20 : *pos);
    return pos;
}

struct fold {
    const uint8_t *pos, *end;
    const uint8_t *plain_pos; /* where the last PLAIN code point begins, */
    size_t plain_len;         /* and where in out */
    struct emlfs_buf *out;
};

static int fold_ascii(struct fold *fold)
{
    /* Room for all that is left, so that it is asked for once as a rule. */
    int r = emlfs_buf_reserve(fold->out, (size_t)(fold->end - fold->pos));
    if (r < 0)
        return r;
    const uint8_t *to = ascii_fold(fold->pos, fold->end, fold->out->data + fold->out->len);
    fold->out->len += (size_t)(to - fold->pos);
    fold->pos = to;
    fold->plain_pos = to - 1;
    fold->plain_len = fold->out->len - 1;
    return 0;
}

/* Invariant 3: [plain_pos, next PLAIN). */
static int fold_others(struct fold *fold)
{
    const uint8_t *to = fold->pos;
    while (to < fold->end && *to >= 0x80) {
        unsigned len;
        int32_t c = utf8_decode(to, fold->end, &len);
        const struct fold_slot *slot = c < 0 ? NULL : slot_of(c);
        if (!slot)
            return c < 0 ? -EILSEQ : -ENOMEM;
        if (slot->kind == FOLD_PLAIN || slot->kind == FOLD_LONG)
            break;
        to += len;
    }
    fold->out->len = fold->plain_len;
    int r = exact_fold(fold->plain_pos, to, fold->out);
    fold->pos = fold->plain_pos = to;
    fold->plain_len = fold->out->len;
    return r;
}

static int fold_other_script(struct fold *fold)
{
    unsigned len;
    int32_t c = utf8_decode(fold->pos, fold->end, &len);
    const struct fold_slot *slot = c < 0 ? NULL : slot_of(c);
    if (!slot)
        return c < 0 ? -EILSEQ : -ENOMEM;
    if (slot->kind == FOLD_OTHER)
        return fold_others(fold);
    const uint8_t *begin = fold->pos;
    fold->pos += len;
    if (slot->kind == FOLD_DROPPED)
        return 0;
    fold->plain_pos = begin;
    fold->plain_len = fold->out->len;
    if (slot->kind == FOLD_LONG)
        return exact_fold(begin, fold->pos, fold->out);
    return emlfs_buf_append(fold->out, slot->bytes, slot->len);
}

int text_fold(struct emlfs_span text, struct emlfs_buf *out)
{
    struct fold fold = {.pos = text.data, .plain_pos = text.data, .out = out};
    int r = 0;
    emlfs_buf_clear(out);
    if (text.len == 0)
        return 0;
    fold.end = text.data + text.len;
    while (r == 0 && fold.pos < fold.end)
        r = *fold.pos < 0x80 ? fold_ascii(&fold) : fold_other_script(&fold);
    return r;
}
