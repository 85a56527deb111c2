/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_PACK_H
#define EMLFS_PACK_H

#include <stdint.h>

#include "emlfs/base/buf.h"
#include "emlfs/base/crypto.h"
#include "emlfs/base/err.h"

/*
 * Packs: the truth. Append-only files of sealed, compressed records, packs/00000001.pack and so on.
 * What a record means is not known here, only its type number. Byte tables: store/FORMAT.md.
 *
 * Caveats first:
 * - A pack is written by one writer, once; after a crash or a close a new pack is begun.
 * - An append is durable only after emlfs_pack_writer_sync returned 0. A failed write or sync
 *   poisons the writer: every later call returns -EROFS and nothing is retried.
 * - Records are authenticated together with their place (pack id, record number), so a record that
 *   was copied, swapped or moved does not open.
 */

enum emlfs_record_type {
    EMLFS_RECORD_DICT = 1,   /* zstd dictionary */
    EMLFS_RECORD_BLOB = 2,   /* one decoded part, or a chunk of it */
    EMLFS_RECORD_BLOCK = 3,  /* messages: recipes, facts, entries, then their text */
    EMLFS_RECORD_EVENTS = 4, /* entries filed, moved or removed later */
    EMLFS_RECORD_MASTER = 5, /* master rows: users, folders, sources, stores */
    EMLFS_RECORD_OPEN = 6,   /* first of each pack: how the previous pack of the store ended */
    EMLFS_RECORD_SEAL = 7,   /* last of an orderly closed pack: count and running hash */
};

#define EMLFS_RECORD_PLAIN_MAX_BYTES (16u << 20)
#define EMLFS_PACK_MAX_BYTES (1u << 30)

struct emlfs_pack_loc {
    uint32_t pack_no; /* 1... */
    uint32_t number;  /* record number in the pack, from 0 */
    uint64_t offset;  /* of the record header in the file */
};

struct emlfs_dict; /* a loaded dictionary, immutable, shared by threads */
/* id: first 4 bytes (LE) of SHA-256 of content, never 0 (then 1). level: for compression. */
int emlfs_dict_new(struct emlfs_span content, int level, struct emlfs_dict **ret_dict);
/* The same, without a copy: content is taken and left empty, unless it is refused (-EINVAL, -E2BIG)
 */
int emlfs_dict_take(struct emlfs_buf *content, int level, struct emlfs_dict **ret_dict);
void emlfs_dict_free(struct emlfs_dict *dict);
uint32_t emlfs_dict_id(const struct emlfs_dict *dict);
struct emlfs_span emlfs_dict_content(const struct emlfs_dict *dict);

/* A record's content, compressed and ready to be sealed. Made on any thread, by one packer each. */
struct emlfs_packed {
    struct emlfs_buf stored; /* zstd frame, or the plain bytes when they did not shrink */
    uint32_t plain_len;
    uint32_t dict_id; /* 0: none */
    uint8_t type;
    uint8_t flags; /* EMLFS_PACKED_ZSTD */
};
#define EMLFS_PACKED_ZSTD 1u
void emlfs_packed_free(struct emlfs_packed *packed);

struct emlfs_packer; /* a reusable compression context: one per thread */
int emlfs_packer_new(int level, struct emlfs_packer **ret_packer);
void emlfs_packer_free(struct emlfs_packer *packer);
/* dict may be NULL. -E2BIG over EMLFS_RECORD_PLAIN_MAX_BYTES, -ENOMEM. */
int emlfs_packer_pack(struct emlfs_packer *packer, enum emlfs_record_type type,
                      const struct emlfs_dict *dict, struct emlfs_span plain,
                      struct emlfs_packed *ret_packed, struct emlfs_err *err);

/* All packs of one store. Reading is thread-safe; there is at most one writer, see below. */
struct emlfs_packs;

struct emlfs_packs_config {
    const char *dir; /* ".../packs", must exist */
    struct emlfs_key store_key;
    uint32_t store_no;
};

/* Does not read the packs. -ENOENT, -EACCES, -ENOMEM. */
int emlfs_packs_open(const struct emlfs_packs_config *config, struct emlfs_packs **ret_packs,
                     struct emlfs_err *err);
void emlfs_packs_close(struct emlfs_packs *packs);
/* Highest pack number that exists, 0 for none. */
int emlfs_packs_last(struct emlfs_packs *packs, uint32_t *ret_pack_no, struct emlfs_err *err);
/* Size of the file in bytes; -ENOENT. */
int emlfs_packs_size(struct emlfs_packs *packs, uint32_t pack_no, uint64_t *ret_bytes);

/* A record read back and authenticated, still compressed. */
struct emlfs_record {
    struct emlfs_pack_loc loc;
    uint64_t next_offset; /* of the record behind it */
    uint32_t plain_len;
    uint32_t dict_id;
    uint8_t type;
    uint8_t flags;
    struct emlfs_buf stored; /* decrypted, not decompressed */
};
#define EMLFS_RECORD_INIT ((struct emlfs_record){.stored = {.max_bytes = 17u << 20}})
void emlfs_record_free(struct emlfs_record *record);

/*
 * Read and authenticate the record at loc.offset of pack loc.pack_no; loc.number is checked.
 * EBADMSG not authentic, EUCLEAN impossible header, ENOENT no such pack or offset beyond its end,
 * EPROTONOSUPPORT newer pack format, EIO. Record reuse keeps its buffer. Any thread.
 */
int emlfs_packs_read(struct emlfs_packs *packs, struct emlfs_pack_loc loc,
                     struct emlfs_record *record, struct emlfs_err *err);

/*
 * Decompress the first want bytes of the record's plain content (want >= plain_len: all of it) into
 * out, which is cleared first. dict is needed when record->dict_id is not 0, -ENOKEY without it.
 * The size in the frame is not trusted: more than plain_len is -EUCLEAN.
 */
int emlfs_record_plain(const struct emlfs_record *record, const struct emlfs_dict *dict,
                       size_t want, struct emlfs_buf *out, struct emlfs_err *err);
/*
 * Reading on in one record: _to makes out hold at least the first want bytes, perhaps more, without
 * starting again. out needs room for all of plain_len (-E2BIG); record and out stay as they are
 * until _free. A frame is checked against plain_len only as far as it is read. One thread.
 */
struct emlfs_expander;
int emlfs_expander_new(const struct emlfs_record *record, const struct emlfs_dict *dict,
                       struct emlfs_buf *out, struct emlfs_expander **ret, struct emlfs_err *err);
int emlfs_expander_to(struct emlfs_expander *expander, size_t want, struct emlfs_err *err);
void emlfs_expander_free(struct emlfs_expander *expander);

/* How a pack ends. */
struct emlfs_pack_end {
    uint32_t pack_no;
    uint32_t count;          /* whole records */
    uint64_t offset;         /* where the last whole record ends */
    uint64_t file_bytes;     /* > offset: a torn tail follows */
    struct emlfs_hash chain; /* running hash over the tags of all whole records */
    bool sealed;             /* ends with a valid SEAL record */
};

/*
 * Walk the records of one pack in order, calling each(arg, record) with authentic ones, OPEN and
 * SEAL included (each may be NULL); a non-zero return stops the walk before that record and is
 * returned. A torn or unreadable tail ends the walk: *ret_end tells how far it got, the function
 * returns 0, and damage inside (a later whole record follows) cannot be told from a torn tail here:
 * callers ask emlfs_packs_next, or compare with the catalogue or the next pack's OPEN record.
 * A header that was never written counts as a torn tail (offset 0); a damaged or foreign one is
 * -EUCLEAN. -ENOENT no such pack, -EPROTONOSUPPORT, -EIO, -ENOMEM.
 */
int emlfs_packs_walk(struct emlfs_packs *packs, uint32_t pack_no,
                     int (*each)(void *arg, struct emlfs_record *record), void *arg,
                     struct emlfs_pack_end *ret_end, struct emlfs_err *err);

/* Walk on from a known record boundary (chain and count as of it in *end, updated in place). */
int emlfs_packs_walk_from(struct emlfs_packs *packs,
                          int (*each)(void *arg, struct emlfs_record *record), void *arg,
                          struct emlfs_pack_end *end, struct emlfs_err *err);

/*
 * The first authentic record behind a place where a walk ended (any number >= end->count): what
 * stands between is damaged. -ENOENT: none, so the tail is torn. Reads all of the tail.
 */
int emlfs_packs_next(struct emlfs_packs *packs, const struct emlfs_pack_end *end,
                     struct emlfs_pack_loc *ret_loc, struct emlfs_err *err);

/* What an OPEN record tells of the previous pack (pack_no 0: there was none). -EUCLEAN. */
int emlfs_record_previous(const struct emlfs_record *record, struct emlfs_pack_end *ret_previous);

/*
 * Cut a torn tail off: truncate to offset, sync. Only recovery calls it. -EBADMSG, and nothing is
 * cut, when an authentic record follows: then the pack is damaged in the middle.
 */
int emlfs_packs_cut(struct emlfs_packs *packs, const struct emlfs_pack_end *end,
                    struct emlfs_err *err);

struct emlfs_pack_writer;

/*
 * A writer for new packs with numbers after the highest existing one. No file is made before the
 * first append. max_bytes: when a pack would exceed it, it is sealed and the next one begun.
 * previous (may be NULL: none): how the last existing pack ends; written into the OPEN record.
 */
int emlfs_pack_writer_new(struct emlfs_packs *packs, uint64_t max_bytes,
                          const struct emlfs_pack_end *previous,
                          struct emlfs_pack_writer **ret_writer, struct emlfs_err *err);
/*
 * Seal and append. Not durable before _sync. ENOSPC: nothing of this record stays (the file is cut
 * back) and the writer goes on; -EINVAL: packed is malformed, nothing happened; any other failure
 * poisons the writer (-EROFS from then on).
 */
int emlfs_pack_append(struct emlfs_pack_writer *writer, const struct emlfs_packed *packed,
                      struct emlfs_pack_loc *ret_loc, struct emlfs_err *err);
/* fdatasync of every pack touched since the last sync (and of the directory for new packs). */
int emlfs_pack_writer_sync(struct emlfs_pack_writer *writer, struct emlfs_err *err);
/* How the pack being written ends now (all zero: none begun, or the last one was just sealed). */
void emlfs_pack_writer_end(const struct emlfs_pack_writer *writer, struct emlfs_pack_end *ret_end);
/* Append SEAL, sync, close; frees in any case and reports the first failure. */
int emlfs_pack_writer_close(struct emlfs_pack_writer *writer, struct emlfs_err *err);

#endif
