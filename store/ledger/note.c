/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Responsible for: the text of checkpoints: signed notes, as transparency logs use them.
 *
 * Invariants:
 * N1. A checkpoint has exactly one text: what parses is written again and must be the same bytes.
 * N2. The signature covers every byte before the blank line, that line's end before it included.
 */
#include <inttypes.h>

#include "internal.h"

#define SIGNATURE_PREFIX "\xe2\x80\x94 " /* em dash and blank, as signed notes have it */
#define SIGNATURE_BYTES (4u + 64u)

static int body_format(const struct emlfs_checkpoint *checkpoint, struct emlfs_buf *out)
{
    const struct emlfs_hash *root = &checkpoint->head.root;
    int r = ledger_print(out, "%s\n%" PRIu64 "\n", checkpoint->origin, checkpoint->head.size);
    if (r == 0)
        r = ledger_print64(out, "", emlfs_span_of(root->v, EMLFS_HASH_BYTES));
    if (r == 0)
        r = ledger_print(out, "number %" PRIu64 "\ntime %" PRId64 "\n", checkpoint->number,
                         checkpoint->time_sec);
    return r < 0 ? r
                 : ledger_print64(out, "previous ",
                                  emlfs_span_of(checkpoint->previous.v, EMLFS_HASH_BYTES));
}

int emlfs_checkpoint_format(const struct emlfs_checkpoint *checkpoint, struct emlfs_buf *out)
{
    uint8_t signature[SIGNATURE_BYTES];
    memcpy(signature, checkpoint->key_id, 4);
    memcpy(signature + 4, checkpoint->signature, 64);
    int r = body_format(checkpoint, out);
    if (r == 0)
        r = ledger_print(out, "\n" SIGNATURE_PREFIX "%s", checkpoint->origin);
    return r < 0 ? r : ledger_print64(out, " ", emlfs_span_of(signature, sizeof(signature)));
}

static void origin_take(struct ledger_lines *lines, char ret[EMLFS_LEDGER_ORIGIN_MAX_BYTES + 1])
{
    struct emlfs_span origin = ledger_lines_take(lines, "");
    size_t len = origin.len <= EMLFS_LEDGER_ORIGIN_MAX_BYTES ? origin.len : 0;
    memset(ret, 0, EMLFS_LEDGER_ORIGIN_MAX_BYTES + 1);
    if (len)
        memcpy(ret, origin.data, len);
    if (!ledger_origin_valid(ret))
        lines->bad = true;
}

static void signature_take(struct ledger_lines *lines, struct emlfs_checkpoint *checkpoint)
{
    uint8_t signature[SIGNATURE_BYTES];
    (void)ledger_lines_take(lines, "");
    struct emlfs_span line = ledger_lines_take(lines, SIGNATURE_PREFIX);
    const uint8_t *blank = line.data ? memchr(line.data, ' ', line.len) : NULL;
    size_t skip = blank ? (size_t)(blank - line.data) + 1 : 0;
    if (!blank || !ledger_text64_fixed(emlfs_span_of(line.data + skip, line.len - skip), signature,
                                       sizeof(signature))) {
        lines->bad = true;
        return;
    }
    memcpy(checkpoint->key_id, signature, 4);
    memcpy(checkpoint->signature, signature + 4, 64);
}

int emlfs_checkpoint_parse(struct emlfs_span text, struct emlfs_checkpoint *ret_checkpoint)
{
    struct emlfs_buf again EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct ledger_lines lines = ledger_lines_of(text);
    *ret_checkpoint = (struct emlfs_checkpoint){0};
    origin_take(&lines, ret_checkpoint->origin);
    ret_checkpoint->head.size = ledger_lines_number(&lines, "");
    ledger_lines_hash(&lines, "", &ret_checkpoint->head.root);
    ret_checkpoint->number = ledger_lines_number(&lines, "number ");
    uint64_t time_sec = ledger_lines_number(&lines, "time ");
    ledger_lines_hash(&lines, "previous ", &ret_checkpoint->previous);
    signature_take(&lines, ret_checkpoint);
    if (lines.bad || time_sec > INT64_MAX || ret_checkpoint->number == 0 ||
        ret_checkpoint->head.size > EMLFS_LEDGER_SEQUENCE_MAX + 1)
        return -EILSEQ;
    ret_checkpoint->time_sec = (int64_t)time_sec;
    int r = emlfs_checkpoint_format(ret_checkpoint, &again);
    if (r < 0)
        return r == -ENOMEM ? r : -EILSEQ;
    return emlfs_span_equal(emlfs_buf_view(&again), text) ? 0 : -EILSEQ;
}

size_t emlfs_checkpoint_length(struct emlfs_span text)
{
    size_t len = text.len < EMLFS_CHECKPOINT_MAX_BYTES ? text.len : EMLFS_CHECKPOINT_MAX_BYTES;
    const uint8_t *blank = len ? memmem(text.data, len, "\n\n", 2) : NULL;
    const uint8_t *last =
        blank ? memchr(blank + 2, '\n', len - (size_t)(blank + 2 - text.data)) : NULL;
    return last ? (size_t)(last + 1 - text.data) : 0;
}

static int key_id(const char *origin, const struct emlfs_sign_key *key, uint8_t ret_id[4])
{
    uint8_t bytes[EMLFS_LEDGER_ORIGIN_MAX_BYTES + 2 + EMLFS_ED25519_PUBLIC_BYTES];
    struct emlfs_hash hash;
    size_t len = strlen(origin);
    memcpy(bytes, origin, len);
    bytes[len] = '\n';
    bytes[len + 1] = 1; /* the number of Ed25519 in signed notes */
    int r = emlfs_sign_key_raw(key, bytes + len + 2);
    if (r == 0)
        r = emlfs_sha256(emlfs_span_of(bytes, len + 2 + EMLFS_ED25519_PUBLIC_BYTES), &hash);
    if (r == 0)
        memcpy(ret_id, hash.v, 4);
    return r;
}

int emlfs_checkpoint_sign(struct emlfs_checkpoint *checkpoint, const struct emlfs_sign_key *key)
{
    struct emlfs_buf body EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    struct emlfs_buf signature EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_SIGN_MAX_BYTES);
    int r = key_id(checkpoint->origin, key, checkpoint->key_id);
    if (r == 0)
        r = body_format(checkpoint, &body);
    if (r == 0)
        r = emlfs_sign_text(key, emlfs_buf_view(&body), &signature);
    if (r == 0 && signature.len != sizeof(checkpoint->signature))
        r = -EINVAL;
    if (r == 0)
        memcpy(checkpoint->signature, signature.data, signature.len);
    return r;
}

int emlfs_checkpoint_check(const struct emlfs_checkpoint *checkpoint,
                           const struct emlfs_sign_key *key)
{
    struct emlfs_buf body EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    uint8_t id[4];
    int r = key_id(checkpoint->origin, key, id);
    if (r == 0 && memcmp(id, checkpoint->key_id, 4) != 0)
        r = -EBADMSG;
    if (r == 0)
        r = body_format(checkpoint, &body);
    if (r == 0)
        r = emlfs_sign_text_check(key, emlfs_buf_view(&body),
                                  emlfs_span_of(checkpoint->signature, 64));
    return r;
}
