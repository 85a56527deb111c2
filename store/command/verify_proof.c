/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * verify-proof: what a proof shows, and what it does not, without any archive.
 *
 * Two things are told apart. That the record is in the tree of the checkpoint is arithmetic, and
 * anybody could build such a tree. That the checkpoint is the archive's needs the archive's public
 * key: --key, which was got from the archive in another way, or the key that lies beside the proof,
 * which only shows that both have the same origin.
 */
#include "handlers.h"

#include <fcntl.h>
#include <stdio.h>

#include "emlfs/base/os.h"
#include "emlfs/text.h"

#define MODULE "proof"
#define CHUNK_BYTES (64u << 10)
#define TEXT_BYTES (16u << 10)
#define HEX_BYTES (2u * EMLFS_HASH_BYTES)

struct checking {
    struct emlfs_call *call;
    struct emlfs_proof proof;
    struct emlfs_sign_key *key; /* NULL: there is none */
    const char *key_path;
    bool pinned; /* by --key */
    struct emlfs_ledger_record record;
    const char *file;
    bool read;  /* the proof holds, so its record is what it says */
    bool holds; /* everything asked for was proven */
    struct emlfs_buf proven, open;
};

/* ---- reading */

static int key_read(struct checking *checking, const char *path, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf pem = EMLFS_BUF_INIT(EMLFS_SIGN_PEM_MAX_BYTES);
    int r = emlfs_os_read_file(path, &pem);

    if (r == -ENOENT && !checking->pinned)
        return 0;
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "%s", path);
    r = emlfs_sign_key_from_pem(emlfs_buf_view(&pem), &checking->key);
    if (r == 0 && emlfs_sign_key_kind(checking->key) != EMLFS_SIGN_ED25519)
        r = -EUCLEAN;
    return r < 0 ? emlfs_err_set(err, EINVAL, MODULE, "%s is no key of checkpoints (PEM)", path)
                 : 0;
}

static int proof_read(struct checking *checking, const char *path, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_PROOF_MAX_BYTES);
    int r = emlfs_os_read_file(path, &text);

    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "%s", path);
    r = emlfs_proof_parse(emlfs_buf_view(&text), &checking->proof);
    if (r == -EILSEQ || r == -E2BIG)
        return emlfs_err_set(err, EILSEQ, MODULE, "%s is no proof, or was changed", path);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", path) : 0;
}

static int file_hash(const char *path, struct emlfs_hash *ret, struct emlfs_err *err)
{
    struct emlfs_sha256_ctx *sha = emlfs_sha256_new();
    EMLFS_FD_CLEANUP int fd = open(path, O_RDONLY | O_CLOEXEC);
    uint8_t chunk[CHUNK_BYTES];
    ssize_t n = fd < 0 ? -errno : 1;
    int r = sha ? 0 : -ENOMEM;

    while (r == 0 && n > 0) {
        n = emlfs_os_read_full(fd, chunk, sizeof(chunk));
        if (n > 0)
            r = emlfs_sha256_update(sha, emlfs_span_of(chunk, (size_t)n));
    }
    r = n < 0 ? (int)n : r;
    if (r == 0)
        r = emlfs_sha256_final(sha, ret);
    emlfs_sha256_free(sha);
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "%s", path) : 0;
}

/* ---- checking */

static int say(struct emlfs_buf *out, struct emlfs_err *err, int r)
{
    if (r == 0)
        r = emlfs_buf_append_u8(out, '\n');
    return r < 0 ? emlfs_err_sys(err, -r, MODULE, "telling") : 0;
}

/* Without a key: the arithmetic alone. */
static int path_check(struct checking *checking, struct emlfs_err *err)
{
    const struct emlfs_proof *proof = &checking->proof;
    struct emlfs_hash leaf;
    int r;

    if (proof->type == EMLFS_PROOF_CONSISTENCY) {
        r = emlfs_tree_check_consistency(&proof->older, &proof->checkpoint.head, &proof->path);
        return r < 0 ? emlfs_err_set(err, -r, MODULE,
                                     "the older tree is not the beginning of the checkpoint's")
                     : 0;
    }
    r = emlfs_tree_leaf(emlfs_buf_view(&proof->record), &leaf);
    if (r == 0)
        r = emlfs_tree_check_inclusion(&proof->checkpoint.head, proof->index, &leaf, &proof->path);
    if (r == 0)
        r = emlfs_ledger_record_decode(emlfs_buf_view(&proof->record), &checking->record);
    if (r == 0 && checking->record.sequence != proof->index)
        r = -EBADMSG;
    return r < 0 ? emlfs_err_set(err, -r, MODULE, "the record is not in the tree of the checkpoint")
                 : 0;
}

static int proof_check(struct checking *checking, struct emlfs_err *err)
{
    if (!checking->key)
        return path_check(checking, err);
    return emlfs_proof_check(&checking->proof, checking->key, &checking->record, err);
}

/* ---- sentences */

static int say_record(struct checking *checking, struct emlfs_err *err)
{
    const struct emlfs_proof *proof = &checking->proof;
    const char *kind = emlfs_ledger_kind_name(checking->record.kind);
    char time[EMLFS_TEXT_TIME_MAX], id[EMLFS_MSG_ID_TEXT_MAX];
    int r;

    emlfs_text_time(checking->record.time_ns, time);
    emlfs_msg_id_format(checking->record.message, id);
    r = emlfs_text_printf(&checking->proven,
                          "Record %llu (%s%s%s) of %s is in the ledger of %s, among the first %llu "
                          "records.",
                          (unsigned long long)proof->index, kind ? kind : "of a newer kind",
                          checking->record.message.v ? ", message " : "",
                          checking->record.message.v ? id : "", time, proof->checkpoint.origin,
                          (unsigned long long)proof->checkpoint.head.size);
    return say(&checking->proven, err, r);
}

static int say_file(struct checking *checking, struct emlfs_err *err)
{
    struct emlfs_hash hash;
    int r;

    if (!checking->file) {
        r = emlfs_text_printf(&checking->open, "Which message it is: no file was given to compare "
                                               "with the SHA-256 in the record.");
        return say(&checking->open, err, r);
    }
    r = file_hash(checking->file, &hash, err);
    if (r < 0)
        return r;
    if (checking->record.has_digest &&
        memcmp(hash.v, checking->record.digest.v, EMLFS_HASH_BYTES) == 0) {
        r = emlfs_text_printf(&checking->proven,
                              "The file has exactly the bytes that the record names.");
        return say(&checking->proven, err, r);
    }
    checking->holds = false;
    r = emlfs_text_printf(&checking->open, "The file is NOT the message of the record: its SHA-256 "
                                           "differs.");
    return say(&checking->open, err, r);
}

static int checkpoint_compare(struct checking *checking, const struct emlfs_checkpoint *kept,
                              struct emlfs_err *err)
{
    const struct emlfs_proof *proof = &checking->proof;
    bool same = kept->head.size == proof->older.size &&
                memcmp(kept->head.root.v, proof->older.root.v, EMLFS_HASH_BYTES) == 0 &&
                strcmp(kept->origin, proof->checkpoint.origin) == 0;
    int r;

    if (same && checking->key && emlfs_checkpoint_check(kept, checking->key) < 0)
        same = false;
    if (same) {
        r = emlfs_text_printf(&checking->proven, "The checkpoint in the file is that of these "
                                                 "first records: nothing of it was changed since.");
        return say(&checking->proven, err, r);
    }
    checking->holds = false;
    r = emlfs_text_printf(&checking->open, "The checkpoint in the file is NOT the older one of "
                                           "this proof.");
    return say(&checking->open, err, r);
}

static int say_consistency(struct checking *checking, struct emlfs_err *err)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf text = EMLFS_BUF_INIT(EMLFS_CHECKPOINT_MAX_BYTES);
    const struct emlfs_proof *proof = &checking->proof;
    struct emlfs_checkpoint kept;
    int r = emlfs_text_printf(
        &checking->proven,
        "The first %llu records of %s are unchanged in its checkpoint of %llu records.",
        (unsigned long long)proof->older.size, proof->checkpoint.origin,
        (unsigned long long)proof->checkpoint.head.size);

    r = say(&checking->proven, err, r);
    if (r == 0 && !checking->file) {
        r = emlfs_text_printf(&checking->open, "That an older checkpoint which was kept is the one "
                                               "here: no file with it was given.");
        return say(&checking->open, err, r);
    }
    if (r < 0)
        return r;
    r = emlfs_os_read_file(checking->file, &text);
    if (r == 0)
        r = emlfs_checkpoint_parse(emlfs_buf_view(&text), &kept);
    if (r < 0)
        return emlfs_err_sys(err, -r, MODULE, "%s is no checkpoint", checking->file);
    return checkpoint_compare(checking, &kept, err);
}

static int say_key(struct checking *checking, struct emlfs_err *err)
{
    int r;

    if (checking->pinned) {
        r = emlfs_text_printf(&checking->proven, "Checkpoint %llu was signed with the key in %s.",
                              (unsigned long long)checking->proof.checkpoint.number,
                              checking->key_path);
        return say(&checking->proven, err, r);
    }
    if (checking->key)
        r = emlfs_text_printf(&checking->open,
                              "That the key in %s, which came with the proof and signed the "
                              "checkpoint, is the archive's: give the archive's own with --key.",
                              checking->key_path);
    else
        r = emlfs_text_printf(&checking->open,
                              "Who made this proof: without the archive's key (--key) the "
                              "signature was not checked, and anybody could have made it.");
    checking->holds = checking->holds && checking->key;
    return say(&checking->open, err, r);
}

static int say_all(struct checking *checking, struct emlfs_err *err)
{
    int r;

    checking->read = true;
    checking->holds = true;
    if (checking->proof.type == EMLFS_PROOF_INCLUSION) {
        r = say_record(checking, err);
        if (r == 0)
            r = say_file(checking, err);
    } else {
        r = say_consistency(checking, err);
    }
    return r == 0 ? say_key(checking, err) : r;
}

/* ---- the row */

static void record_fill(const struct checking *checking, struct json_object *row)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf hex = EMLFS_BUF_INIT(HEX_BYTES);
    const struct emlfs_ledger_record *record = &checking->record;
    const char *kind = emlfs_ledger_kind_name(record->kind);
    char id[EMLFS_MSG_ID_TEXT_MAX];

    emlfs_row_number(row, "record", record->sequence);
    emlfs_row_time(row, "recorded", record->time_ns);
    emlfs_row_text(row, "kind", kind ? kind : "unknown");
    if (record->message.v) {
        emlfs_msg_id_format(record->message, id);
        emlfs_row_text(row, "message", id);
    }
    if (record->has_digest &&
        emlfs_hex_append(emlfs_span_of(record->digest.v, EMLFS_HASH_BYTES), &hex) == 0)
        emlfs_row_span(row, "sha256", emlfs_buf_view(&hex));
}

static void result_fill(const struct checking *checking, struct json_object *row)
{
    const struct emlfs_checkpoint *checkpoint = &checking->proof.checkpoint;
    bool inclusion = checking->proof.type == EMLFS_PROOF_INCLUSION;

    emlfs_row_text(row, "result", checking->holds ? "proven" : "NOT proven");
    emlfs_row_text(row, "type", inclusion ? "inclusion" : "consistency");
    emlfs_row_text(row, "archive", checkpoint->origin);
    if (inclusion && checking->read)
        record_fill(checking, row);
    else if (!inclusion)
        emlfs_row_number(row, "older", checking->proof.older.size);
    emlfs_row_number(row, "checkpoint", checkpoint->number);
    emlfs_row_time(row, "checkpoint_time", checkpoint->time_sec * 1000000000);
    emlfs_row_number(row, "records", checkpoint->head.size);
    emlfs_row_text(row, "signature",
                   checking->pinned ? "by the key given"
                   : checking->key  ? "by the key beside the proof"
                                    : "not checked");
    if (checking->proven.len)
        emlfs_row_lines(row, "proven", emlfs_buf_view(&checking->proven));
    if (checking->open.len)
        emlfs_row_lines(row, "not_proven", emlfs_buf_view(&checking->open));
}

static int checking_run(struct checking *checking, struct emlfs_err *err)
{
    int r = proof_check(checking, err);

    if (r == -EBADMSG) {
        /* It was read, and it is wrong: a result, not a failure. */
        if (checking->call->notice)
            checking->call->notice(checking->call->arg, err ? err->text : "the proof is wrong");
        r = emlfs_text_printf(&checking->open, "Anything: the proof does not hold.");
        r = say(&checking->open, err, r);
        checking->holds = false;
    } else if (r == 0) {
        r = say_all(checking, err);
    }
    if (r < 0)
        return r;
    checking->call->findings = !checking->holds;

    struct json_object *row = json_object_new_object();

    if (row)
        result_fill(checking, row);
    return emlfs_row_put(checking->call, row, err);
}

int emlfs_run_verify_proof(struct emlfs_call *call, struct emlfs_err *err)
{
    const char *path = emlfs_args_text(call->args, "PROOF");
    struct checking checking = {.call = call,
                                .proof = EMLFS_PROOF_INIT,
                                .key_path = emlfs_args_text(call->args, "key"),
                                .file = emlfs_args_text(call->args, "FILE"),
                                .proven = EMLFS_BUF_INIT(TEXT_BYTES),
                                .open = EMLFS_BUF_INIT(TEXT_BYTES)};
    struct emlfs_err why = {0};
    char beside[EMLFS_ARG_TEXT_MAX_BYTES + 8];
    int r = proof_read(&checking, path, &why);

    checking.pinned = checking.key_path;
    if (!checking.pinned) {
        snprintf(beside, sizeof(beside), "%s.pem", path);
        checking.key_path = beside;
    }
    if (r == 0)
        r = key_read(&checking, checking.key_path, &why);
    if (r == 0)
        r = checking_run(&checking, &why);
    if (r < 0 && err)
        *err = why;
    emlfs_sign_key_free(checking.key);
    emlfs_proof_free(&checking.proof);
    emlfs_buf_free(&checking.proven);
    emlfs_buf_free(&checking.open);
    return r;
}
