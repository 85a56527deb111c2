/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the file checkpoints, which is their texts one behind the other.
 *
 * Invariants:
 * H1. A checkpoint names the digest of the one before it, and its number is one more; so none can
 *     be left out, altered or exchanged.
 * H2. It is durable before the mark counts it, and is handed out only behind that. What stands
 *     behind the mark's end was handed to nobody: it is adopted when it is whole and true, else
 * cut.
 */
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

/* The next checkpoint becomes the last. -EBADMSG: it is not one of this ledger. */
static int note_take(struct emlfs_ledger *ledger, bool check_root)
{
    struct emlfs_buf text EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_checkpoint next;
    struct emlfs_hash root;
    uint64_t offset = ledger->notes_bytes;
    int r = ledger_notes_next(ledger->notes_fd, &offset, &next, &text);
    if (r < 0)
        return r;
    if (!ledger_notes_follow(&ledger->last, &ledger->last_hash, &next) ||
        strcmp(next.origin, ledger->origin) != 0 || next.head.size > ledger->tree.size)
        return -EBADMSG;
    if (check_root) {
        r = emlfs_checkpoint_check(&next, ledger->keys.checkpoint);
        if (r == 0)
            r = emlfs_ledger_root(ledger, next.head.size, &root, NULL);
        if (r == 0 && memcmp(root.v, next.head.root.v, EMLFS_HASH_BYTES) != 0)
            r = -EBADMSG;
        if (r < 0)
            return r;
    }
    ledger->last = next;
    ledger->notes_bytes = offset;
    return emlfs_sha256(emlfs_buf_view(&text), &ledger->last_hash);
}

int ledger_notes_open(struct emlfs_ledger *ledger, struct emlfs_err *err)
{
    int r = 0;
    while (ledger->notes_bytes < ledger->mark.checkpoints_bytes && r == 0)
        r = note_take(ledger, false);
    if (r == 0 && ledger->notes_bytes != ledger->mark.checkpoints_bytes)
        r = -EBADMSG;
    if (r < 0)
        return emlfs_err_sys(err, r == -ENODATA ? EBADMSG : -r, MODULE,
                             "checkpoints of the ledger are damaged");
    while (r == 0)
        r = note_take(ledger, true);
    if (r != -ENODATA && r != -EBADMSG)
        return emlfs_err_sys(err, -r, MODULE, "checkpoints of the ledger");
    if (ledger->read_only)
        return 0;
    r = ftruncate(ledger->notes_fd, (off_t)ledger->notes_bytes) < 0 ? -errno : 0;
    if (r == 0)
        r = emlfs_os_fsync(ledger->notes_fd);
    ledger->mark.checkpoints_bytes = ledger->notes_bytes;
    if (r == 0)
        r = ledger_mark_now(ledger, true);
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

/* ret_poison: the failure is of a kind behind which nothing may be written. */
static int note_write(struct emlfs_ledger *ledger, struct emlfs_span text, bool *ret_poison)
{
    int r = emlfs_os_pwrite_all(ledger->notes_fd, text.data, text.len, ledger->notes_bytes);
    if (r < 0) {
        *ret_poison = (r != -ENOSPC && r != -EDQUOT) ||
                      ftruncate(ledger->notes_fd, (off_t)ledger->notes_bytes) < 0;
        return r;
    }
    r = emlfs_os_fdatasync(ledger->notes_fd);
    ledger->mark.checkpoints_bytes = ledger->notes_bytes + text.len;
    if (r == 0)
        r = ledger_mark_now(ledger, true);
    *ret_poison = r < 0;
    return r;
}

/* Under _hold, so that nobody else changes what notes guards. */
static int note_add(struct emlfs_ledger *ledger, bool *ret_poison)
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
        r = note_write(ledger, emlfs_buf_view(&text), ret_poison);
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
        r = note_add(ledger, &poison);
        if (r == 0)
            r = emlfs_checkpoint_format(&ledger->last, out);
        ledger_release(ledger, poison);
    }
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "no checkpoint can be made") : 0;
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
    if (r == -ENODATA)
        r = -EBADMSG;
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "checkpoints of the ledger") : 0;
}
