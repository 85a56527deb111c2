/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the file checkpoints, which is their texts one behind the other.
 *
 * Invariants:
 * H1. A checkpoint names the digest of the one before it, and its number is one more; so none can
 *     be left out, altered or exchanged. Opening looks at the last one, verify reads them all, and
 *     none is handed out whose signature is wrong.
 * H2. It is durable before the mark counts it, and is handed out only behind that. What stands
 *     behind the mark's end was handed to nobody: it is adopted when it is whole and true, else
 *     cut; but what is signed and not true says that records are missing, and stays.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

int ledger_notes_next(int fd, uint64_t *offset, struct emlfs_checkpoint *ret_checkpoint,
                      struct emlfs_buf *text)
{
    uint8_t window[EMLFS_CHECKPOINT_MAX_BYTES];
    ssize_t n = emlfs_os_pread_full(fd, window, sizeof(window), *offset);
    emlfs_buf_clear(text);
    if (n <= 0)
        return n < 0 ? (int)n : -ENODATA;
    size_t len = emlfs_checkpoint_length(emlfs_span_of(window, (size_t)n));
    int r = len ? emlfs_checkpoint_parse(emlfs_span_of(window, len), ret_checkpoint) : -EILSEQ;
    if (r < 0)
        return r == -EILSEQ ? -EBADMSG : r;
    *offset += len;
    return emlfs_buf_append(text, window, len);
}

bool ledger_notes_follow(const struct emlfs_checkpoint *last, const struct emlfs_hash *hash,
                         const struct emlfs_checkpoint *next)
{
    return next->number == last->number + 1 && next->head.size >= last->head.size &&
           memcmp(next->previous.v, hash->v, EMLFS_HASH_BYTES) == 0;
}

/* -EBADMSG: it was not signed, or not for this ledger, or names more than size records. */
static int note_signed(const struct emlfs_ledger *ledger, const struct emlfs_checkpoint *note,
                       uint64_t size)
{
    if (strcmp(note->origin, ledger->origin) != 0 || note->head.size > size)
        return -EBADMSG;
    return emlfs_checkpoint_check(note, ledger->keys.checkpoint);
}

/* The records are as it says. -EUCLEAN: they are not, or not there; they were when it was signed.
 */
static int note_true(struct emlfs_ledger *ledger, const struct emlfs_checkpoint *note)
{
    struct emlfs_hash root;
    if (note->head.size > ledger->tree.size)
        return -EUCLEAN;
    int r = emlfs_ledger_root(ledger, note->head.size, &root, NULL);
    return r == 0 && memcmp(root.v, note->head.root.v, EMLFS_HASH_BYTES) != 0 ? -EUCLEAN : r;
}

static int note_set(struct emlfs_ledger *ledger, const struct emlfs_checkpoint *note,
                    struct emlfs_span text)
{
    ledger->last = *note;
    return emlfs_sha256(text, &ledger->last_hash);
}

/* The next checkpoint becomes the last. -EBADMSG: it is not one of this ledger; -EUCLEAN as above.
 */
static int note_take(struct emlfs_ledger *ledger)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint next;
    uint64_t offset = ledger->notes_bytes;
    int r = ledger_notes_next(ledger->notes_fd, &offset, &next, &text);
    if (r == 0 && !ledger_notes_follow(&ledger->last, &ledger->last_hash, &next))
        r = -EBADMSG;
    if (r == 0)
        r = note_signed(ledger, &next, UINT64_MAX);
    if (r == 0)
        r = note_true(ledger, &next);
    if (r < 0)
        return r;
    ledger->notes_bytes = offset;
    return note_set(ledger, &next, emlfs_buf_view(&text));
}

/* The text in bytes that begins with the origin and ends with them. len 0: there is none. */
static struct emlfs_span note_at_end(const struct emlfs_ledger *ledger, struct emlfs_span bytes)
{
    size_t origin_len = strlen(ledger->origin);
    for (size_t len = origin_len + 1; len <= bytes.len; len++) {
        struct emlfs_span text = emlfs_span_of(bytes.data + bytes.len - len, len);
        if (memcmp(text.data, ledger->origin, origin_len) == 0 && text.data[origin_len] == '\n' &&
            emlfs_checkpoint_length(text) == len)
            return text;
    }
    return (struct emlfs_span){0};
}

/* The last one that the mark counts: a damaged tile does not stand in its way. */
static int note_marked(struct emlfs_ledger *ledger)
{
    uint8_t bytes[EMLFS_CHECKPOINT_MAX_BYTES];
    uint64_t end = ledger->mark.checkpoints_bytes;
    size_t want = end < sizeof(bytes) ? (size_t)end : sizeof(bytes);
    ssize_t n = emlfs_os_pread_full(ledger->notes_fd, bytes, want, end - want);
    struct emlfs_checkpoint note;
    if (n < 0 || want == 0)
        return (int)n;
    struct emlfs_span text = (size_t)n == want ? note_at_end(ledger, emlfs_span_of(bytes, want))
                                               : (struct emlfs_span){0};
    int r = text.len ? emlfs_checkpoint_parse(text, &note) : -EBADMSG;
    if (r == 0)
        r = note_signed(ledger, &note, ledger->tree.size);
    ledger->notes_bytes = end;
    return r < 0 ? (r == -EILSEQ ? -EBADMSG : r) : note_set(ledger, &note, text);
}

/* What stands behind the last whole checkpoint goes, and what was adopted is durable. */
static int notes_settle(struct emlfs_ledger *ledger)
{
    struct stat st;
    if (fstat(ledger->notes_fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size == ledger->mark.checkpoints_bytes)
        return 0;
    if (ftruncate(ledger->notes_fd, (off_t)ledger->notes_bytes) < 0)
        return -errno;
    ledger->mark.checkpoints_bytes = ledger->notes_bytes;
    return emlfs_os_fsync(ledger->notes_fd);
}

int ledger_notes_open(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    int r = note_marked(ledger);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "checkpoints of the ledger are damaged");
    while (r == 0)
        r = note_take(ledger);
    if (r == -EUCLEAN)
        return emlfs_err_set(err, EBADMSG, MODULE,
                             "the ledger is damaged: it signed records that are not there");
    if (r == -ENODATA || r == -EBADMSG)
        r = ledger->read_only ? 0 : notes_settle(ledger);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "checkpoints of the ledger") : 0;
}

static int note_make(struct emlfs_ledger *ledger, struct emlfs_checkpoint *note,
                     struct emlfs_buf *out)
{
    int64_t now = ledger->clock.now_ns(ledger->clock.arg) / 1000000000;
    *note = (struct emlfs_checkpoint){
        .head.size = ledger->tree.size,
        .number = ledger->last.number + 1,
        .time_sec = now < 0 ? 0 : now,
        .previous = ledger->last_hash,
    };
    memcpy(note->origin, ledger->origin, sizeof(note->origin));
    int r = ledger_tree_root(&ledger->tree, &note->head.root);
    if (r == 0)
        r = emlfs_checkpoint_sign(note, ledger->keys.checkpoint);
    return r < 0 ? r : emlfs_checkpoint_format(note, out);
}

/*
 * closing: the marks of the close count it. ret_poison: the failure is of a kind behind which
 * nothing may be written.
 */
static int note_write(struct emlfs_ledger *ledger, struct emlfs_span text, bool closing,
                      bool *ret_poison)
{
    int r = emlfs_os_pwrite_all(ledger->notes_fd, text.data, text.len, ledger->notes_bytes);
    if (r < 0) {
        *ret_poison = (r != -ENOSPC && r != -EDQUOT) ||
                      ftruncate(ledger->notes_fd, (off_t)ledger->notes_bytes) < 0;
        return r;
    }
    r = emlfs_os_fdatasync(ledger->notes_fd);
    ledger->mark.checkpoints_bytes = ledger->notes_bytes + text.len;
    if (r == 0 && !closing)
        r = ledger_mark_now(ledger, true);
    *ret_poison = r < 0;
    return r;
}

/* Under _hold, so that nobody else changes what notes guards. */
static int note_add(struct emlfs_ledger *ledger, bool closing, bool *ret_poison)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint note;
    struct emlfs_hash hash;
    if (ledger->last.number && ledger->last.head.size == ledger->tree.size)
        return 0;
    int r = note_make(ledger, &note, &text);
    if (r == 0)
        r = emlfs_sha256(emlfs_buf_view(&text), &hash);
    if (r == 0)
        r = note_write(ledger, emlfs_buf_view(&text), closing, ret_poison);
    if (r < 0)
        return r;
    pthread_mutex_lock(&ledger->notes);
    ledger->last = note;
    ledger->last_hash = hash;
    ledger->notes_bytes += text.len;
    pthread_mutex_unlock(&ledger->notes);
    return 0;
}

int emlfs_ledger_checkpoint(struct emlfs_ledger *ledger, struct emlfs_buf *out,
                            struct emlfs_err *err)
{
    bool poison = false;
    emlfs_buf_clear(out);
    int r = ledger_hold(ledger);
    if (r == 0) {
        r = note_add(ledger, false, &poison);
        if (r == 0)
            r = emlfs_checkpoint_format(&ledger->last, out);
        ledger_release(ledger, poison);
    }
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "no checkpoint can be made") : 0;
}

int emlfs_ledger_close_signed(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    bool poison = false;
    int r = ledger_hold(ledger);
    if (r == 0) {
        r = note_add(ledger, true, &poison);
        ledger_release(ledger, poison);
    }
    if (r < 0)
        emlfs_err_sys(err, -r, MODULE, "no checkpoint can be made");
    int closed = emlfs_ledger_close(ledger, r == 0 ? err : NULL);
    return r < 0 ? r : closed;
}

int emlfs_ledger_checkpoint_text(struct emlfs_ledger *ledger, uint64_t number,
                                 struct emlfs_buf *out, struct emlfs_err *err)
{
    struct emlfs_checkpoint note = {0};
    uint64_t offset = 0;
    int r = 0;
    pthread_mutex_lock(&ledger->notes);
    uint64_t last = ledger->last.number;
    pthread_mutex_unlock(&ledger->notes);
    number = number ? number : last;
    emlfs_buf_clear(out);
    if (number == 0 || number > last)
        return emlfs_err_set(err, ENOENT, MODULE, "there is no such checkpoint");
    while (r == 0 && note.number != number)
        r = ledger_notes_next(ledger->notes_fd, &offset, &note, out);
    if (r == 0) /* opening looked at the last one only */
        r = note_signed(ledger, &note, emlfs_ledger_size(ledger));
    if (r == 0)
        return 0;
    emlfs_buf_clear(out);
    return emlfs_err_sys(err, r == -ENODATA ? EBADMSG : -r, MODULE, "checkpoints of the ledger");
}
