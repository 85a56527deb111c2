/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_LEDGER_H
#define EMLFS_LEDGER_H

#include "emlfs/base/clock.h"
#include "emlfs/base/progress.h"
#include "emlfs/ledger_record.h"
#include "emlfs/proof.h"

/*
 * The ledger: an append-only log of everything that changed the archive, in ARCHIVE/ledger/. Its
 * records are the leaves of one Merkle tree; checkpoints of it are signed. store/FORMAT.md 18.
 *
 * Caveats first:
 * - A record is durable, and then for good, when _append returned 0. Appends of many threads share
 *   one fdatasync; a group that was not acknowledged may be there after a crash, whole or in part.
 * - A failed write or sync poisons the ledger: every later append gives -EROFS, nothing is retried.
 *   A full disk does not: the records of that group are refused and nothing of them stays.
 * - Opening cuts a torn tail only when nothing of it can have been acknowledged: not below what the
 *   mark, a checkpoint or a clean close says, and not when a whole frame follows.
 * - Who can replace every file of ledger/ by older copies goes back to that state unseen. Keep
 *   checkpoints outside of the archive: emlfs_ledger_prove_consistency then shows it.
 * - The caller keeps other processes out (the archive's lock). Any thread may call anything here
 *   but _close.
 */
struct emlfs_ledger;

#define EMLFS_LEDGER_READ_ONLY 1u /* nothing is written; a torn tail is passed over */

struct emlfs_ledger_config {
    const char *dir;         /* ".../ledger" */
    struct emlfs_key master; /* the archive's; keys are derived from it */
    const char *origin;      /* names the archive in checkpoints: "emlfs/" and its id */
    struct emlfs_clock clock;
    unsigned flags;
};

/* Make the directory with new keys and no record, durable. -EEXIST, -EINVAL origin, -ENOSPC. */
int emlfs_ledger_create(const struct emlfs_ledger_config *config, struct emlfs_err *err);

/*
 * 0: closing it in order is the last that was done to it, by its mark and the lengths of the files
 * that grow. Cheap: no record is read, nothing is written. -EBUSY: it was not, opening it recovers;
 * -ENOENT, -EBADMSG, -EPROTONOSUPPORT, -EIO: opening it tells more.
 */
int emlfs_ledger_closed(const struct emlfs_ledger_config *config);

/* What opening found and did. */
struct emlfs_ledger_opened {
    uint64_t records;
    uint64_t cut_bytes; /* of a torn tail */
    bool in_order;      /* it was closed in order: nothing had to be recovered */
};

/*
 * Open and recover. ret_opened may be NULL. Reads the last segment and what tiles lack: at most
 * 65,536 records after an orderly close, 131,072 after a crash.
 * ENOENT no ledger, ENOKEY or EBADMSG damaged or acknowledged records are missing, EUCLEAN,
 * EPROTONOSUPPORT, EIO. A damaged ledger can still be verified.
 */
int emlfs_ledger_open(const struct emlfs_ledger_config *config, struct emlfs_ledger **ret_ledger,
                      struct emlfs_ledger_opened *ret_opened, struct emlfs_err *err);
/* Sync, mark the clean end, free in any case. Reports the first failure. NULL is fine. */
int emlfs_ledger_close(struct emlfs_ledger *ledger, struct emlfs_err *err);
/*
 * As _checkpoint, whose text nobody wants, and then _close, with a sync less: ledger is freed where
 * either fails, and the first failure is reported. Not NULL.
 */
int emlfs_ledger_close_signed(struct emlfs_ledger *ledger, struct emlfs_err *err);

#define EMLFS_LEDGER_APPEND_MAX 65536u
#define EMLFS_LEDGER_APPEND_MAX_BYTES (8u << 20)

/*
 * Append count (1 ... EMLFS_LEDGER_APPEND_MAX) records with ascending sequence numbers, the first
 * in *ret_first (may be NULL), and return when they are durable. Their sequence and salt are
 * ignored. EINVAL a record is invalid, E2BIG together over EMLFS_LEDGER_APPEND_MAX_BYTES (nothing
 * is appended then), ENOSPC refused, EROFS poisoned or read-only.
 */
int emlfs_ledger_append(struct emlfs_ledger *ledger, const struct emlfs_ledger_record *records,
                        size_t count, uint64_t *ret_first, struct emlfs_err *err);

/* Number of durable records. */
uint64_t emlfs_ledger_size(struct emlfs_ledger *ledger);

/* A zero member does not filter, but for outcome. */
struct emlfs_ledger_filter {
    uint64_t first;  /* lowest sequence */
    uint64_t last;   /* highest sequence; 0: none */
    int64_t from_ns; /* inclusive; 0: none */
    int64_t to_ns;   /* exclusive; 0: none */
    uint16_t kind;
    struct emlfs_user_id user; /* acts or owns */
    struct emlfs_msg_id message;
    struct emlfs_folder_id folder; /* either of the two */
    uint64_t object;
    bool failed_only; /* outcome not 0 */
};

/*
 * Call each(arg, record) for every record that passes the filter, in order; a non-zero return ends
 * the walk and is returned. Texts in record live for the call. Records are authenticated; the first
 * damaged one ends the walk with -EBADMSG. Appends go on beside it. Memory: one frame (1 MiB).
 */
int emlfs_ledger_each(struct emlfs_ledger *ledger, const struct emlfs_ledger_filter *filter,
                      int (*each)(void *arg, const struct emlfs_ledger_record *record), void *arg,
                      struct emlfs_err *err);

/* Root of the first size records. -ERANGE: there are fewer. -EBADMSG: tiles are damaged. */
int emlfs_ledger_root(struct emlfs_ledger *ledger, uint64_t size, struct emlfs_hash *ret_root,
                      struct emlfs_err *err);
/* RFC 9162 2.1.3.1: path of record index in the tree of size. -ERANGE, -EBADMSG, -EIO. */
int emlfs_ledger_inclusion(struct emlfs_ledger *ledger, uint64_t index, uint64_t size,
                           struct emlfs_tree_path *ret_path, struct emlfs_err *err);
/* RFC 9162 2.1.4.1: from the tree of older (not 0) to that of newer. As above. */
int emlfs_ledger_consistency(struct emlfs_ledger *ledger, uint64_t older, uint64_t newer,
                             struct emlfs_tree_path *ret_path, struct emlfs_err *err);

/*
 * Sign a checkpoint of all records, keep it, durable, and put its text into out. When nothing was
 * appended since the last one, that one is returned. EROFS, ENOSPC as for _append.
 */
int emlfs_ledger_checkpoint(struct emlfs_ledger *ledger, struct emlfs_buf *out,
                            struct emlfs_err *err);
/* Text of checkpoint number; 0: the last. -ENOENT; -EBADMSG: it, or one before it, is damaged. */
int emlfs_ledger_checkpoint_text(struct emlfs_ledger *ledger, uint64_t number,
                                 struct emlfs_buf *out, struct emlfs_err *err);

/*
 * Text of an inclusion proof of record sequence that leads to the last checkpoint, which is made
 * when the last one does not cover it. It was checked before it is handed out. -ERANGE no such
 * record; -EBADMSG damaged.
 */
int emlfs_ledger_prove(struct emlfs_ledger *ledger, uint64_t sequence, struct emlfs_buf *out,
                       struct emlfs_err *err);
/* Text of a proof that the tree of older records is the beginning of the last checkpoint's. */
int emlfs_ledger_prove_consistency(struct emlfs_ledger *ledger, uint64_t older,
                                   struct emlfs_buf *out, struct emlfs_err *err);

/* Public keys as PEM: of checkpoints (Ed25519), of exports (ECDSA P-256). -ENOMEM; the second also
 * -EBADMSG, -EIO: its key is read only now. */
int emlfs_ledger_checkpoint_pem(struct emlfs_ledger *ledger, struct emlfs_buf *out);
int emlfs_ledger_export_pem(struct emlfs_ledger *ledger, struct emlfs_buf *out);
/*
 * Sign a message for export, by the SHA-256 of its exact bytes: out is what NAME.eml.sig holds, and
 * openssl dgst -sha256 -verify publickey.pem -signature NAME.eml.sig NAME.eml accepts it.
 */
int emlfs_ledger_export_sign(struct emlfs_ledger *ledger, const struct emlfs_hash *message,
                             struct emlfs_buf *out, struct emlfs_err *err);

/* RFC 3161 query for checkpoint number (0: the last), to be sent to an authority. */
int emlfs_ledger_timestamp_query(struct emlfs_ledger *ledger, uint64_t number,
                                 struct emlfs_buf *out, struct emlfs_err *err);
/*
 * Check the response (ca_pem as in emlfs/base/timestamp.h), keep it as timestamps/NUMBER.tsr and
 * append a TIMESTAMPED record with its digest. -EEXIST: that checkpoint has one.
 */
int emlfs_ledger_timestamp_add(struct emlfs_ledger *ledger, uint64_t number,
                               struct emlfs_span response, struct emlfs_span ca_pem,
                               struct emlfs_err *err);

/* What verify reports. */
struct emlfs_ledger_findings {
    /* One line each; where: file below dir. May be NULL. */
    void (*finding)(void *arg, const char *where, const char *text);
    void *arg;
    uint64_t records;     /* read and found good */
    uint64_t checkpoints; /* likewise */
    uint64_t timestamps;  /* likewise, by digest */
    uint64_t count;       /* findings */
};

/*
 * Wait for what is being written, and let appends, checkpoints and proofs that need one wait until
 * _resume; reading goes on. -EROFS: the ledger is poisoned or read-only, so nothing is written
 * anyhow, and _resume must not follow.
 */
int emlfs_ledger_pause(struct emlfs_ledger *ledger);
/* From any thread, once for each _pause that returned 0. */
void emlfs_ledger_resume(struct emlfs_ledger *ledger);

/*
 * Read every byte below config->dir: records, hashes of all levels, checkpoints, mark, keys, time
 * stamps. Works on a ledger that does not open; one that is open must be paused. 0: the walk came
 * to its end, findings->count tells what it found. -ECANCELED, -ENOMEM, -EIO.
 */
int emlfs_ledger_verify(const struct emlfs_ledger_config *config,
                        struct emlfs_ledger_findings *findings,
                        const struct emlfs_progress *progress, struct emlfs_err *err);

/*
 * Make the tiles again from the records, for a ledger that is closed and whose tiles are damaged or
 * missing. The records must be whole. -EBADMSG: they are not, and nothing was changed.
 */
int emlfs_ledger_rebuild_tiles(const struct emlfs_ledger_config *config,
                               const struct emlfs_progress *progress, struct emlfs_err *err);

#endif
