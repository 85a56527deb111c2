/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_SEGMENT_H
#define EMLFS_INDEX_SEGMENT_H

#include <stdatomic.h>

#include "emlfs/base/crypto.h"
#include "emlfs/doctext.h"
#include "emlfs/message.h"

/*
 * Segments: immutable, sealed files that hold postings. Documents are message numbers of one store.
 *
 * A segment covers documents [first_doc, last_doc]; the text of a document is in exactly one
 * segment, and segments of a store do not overlap and ascend. Filings (which folder and user a
 * message belongs to) are told separately, because they change: every segment may carry statements
 * about any document of its store up to last_doc, and later segments overrule earlier ones.
 *
 * File: header in clear (magic, version, random segment id), then blocks of at most 64 KiB, each
 * sealed with AES-256-GCM under HKDF(index key, segment id, "emlfs index segment"), nonce = block
 * number, AAD = header and block number and kind; last the sealed footer that locates everything.
 * Byte tables and invariants: store/FORMAT.md, 18.
 *
 * Threads: a segment may be read by any number of threads, each with cursors of its own.
 */

/* ---- what is known of a document besides its words */
struct doc_attr {
    uint32_t doc;
    uint32_t text_bytes;
    uint64_t size_bytes;
    int64_t mtime_sec; /* message date */
    int64_t archived_ns;
    uint8_t priority; /* enum emlfs_priority */
    bool attachment;
};
/* A statement: doc is (not) in folder or user archive key. */
enum filing_kind { FILING_FOLDER = 0, FILING_USER = 1, FILING_KINDS = 2 };

/* ---- the part in memory: one writer, many readers (it locks for itself) */

struct memseg;
int memseg_new(uint32_t first_doc, struct memseg **ret);
void memseg_free(struct memseg *mem);
/*
 * Add document attr->doc (above all before it) with its doctext (checked) and envelope (what
 * results show of it, message.h; empty: not known). All or nothing: a failure leaves the
 * segment as it was. -E2BIG: flush first. -ENOMEM, -EINVAL.
 */
int memseg_add(struct memseg *mem, const struct doc_attr *attr, struct emlfs_span doctext,
               struct emlfs_span envelope);
int memseg_file(struct memseg *mem, enum filing_kind kind, uint32_t key, uint32_t doc, bool in);
size_t memseg_bytes(const struct memseg *mem);
/* Write as a file (path must not exist; synced, not its directory). */
int memseg_write(const struct memseg *mem, const char *path, const struct emlfs_key *index_key,
                 struct emlfs_err *err);

/* ---- segments, in memory or in a file, seen alike */

struct segment;
/* Decrypted blocks, for all segments of a process; outlives them. Bytes 0: the default. */
#define SEGMENT_CACHE_BYTES (32u << 20)
struct segment_cache;
int segment_cache_new(size_t max_bytes, struct segment_cache **ret);
void segment_cache_free(struct segment_cache *cache);
/* EBADMSG, EUCLEAN, EPROTONOSUPPORT, ENOENT. Checks header and footer; blocks when they are read.
 * Open with a shared cache; segment_open makes a small one for this segment alone. */
int segment_open_with(const char *path, const struct emlfs_key *index_key,
                      struct segment_cache *cache, struct segment **ret, struct emlfs_err *err);
int segment_open(const char *path, const struct emlfs_key *index_key, struct segment **ret,
                 struct emlfs_err *err);
/*
 * A view of mem as it is now and will grow; mem outlives it. A cursor sees the documents that were
 * there when it was opened, so cursors of one search may differ: take segment_get_info's last_doc
 * first, open cursors then, and seek from last_doc down.
 */
int segment_of_memory(struct memseg *mem, struct segment **ret);
void segment_close(struct segment *segment);
struct segment_info {
    uint32_t first_doc, last_doc; /* last < first: it holds filings only */
    uint32_t docs;
    uint64_t text_bytes, file_bytes;
};
void segment_get_info(const struct segment *segment, struct segment_info *ret);
/* Documents that segments cover, which are told of oldest first; last < first: none. */
struct segment_range {
    uint32_t first, last;
};
#define SEGMENT_RANGE_NONE ((struct segment_range){.first = 1})
static inline void segment_range_add(struct segment_range *range, const struct segment_info *info)
{
    if (info->last_doc < info->first_doc)
        return;
    if (range->last < range->first)
        range->first = info->first_doc;
    range->last = info->last_doc;
}

/*
 * Merge neighbours (oldest first) into a new file. alive(arg, doc) false leaves a document out
 * (NULL: all stay). Reads and writes by blocks: memory does not grow with the segments. cancel as
 * elsewhere.
 */
struct segment_merge {
    struct segment *const *segments;
    unsigned n;
    const char *path;
    const struct emlfs_key *index_key;
    bool (*alive)(void *arg, uint32_t doc);
    void *arg;
    const atomic_bool *cancel;
    bool oldest; /* the first segment is the store's oldest: "out" statements are not kept */
};
int segment_merge(const struct segment_merge *merge, struct emlfs_err *err);

/* ---- terms */

/*
 * Calls each with every term that glob matches ("*" and "?"; without any: that term alone), in no
 * particular order; a leading wildcard uses the list of reversed terms. docs is their number, 0
 * never. Non-zero return stops and is returned. EBADMSG, EUCLEAN, EIO, ENOMEM.
 */
int segment_terms(struct segment *segment, struct emlfs_span pattern, bool glob,
                  int (*each)(void *arg, struct emlfs_span term, uint32_t docs), void *arg,
                  struct emlfs_err *err);

/* ---- postings: documents of a term, DESCENDING (newest first) */

struct postings;
/* -ENOENT: no such term here. */
int postings_open(struct segment *segment, struct emlfs_span term, struct postings **ret,
                  struct emlfs_err *err);
void postings_free(struct postings *postings);
uint32_t postings_count(const struct postings *postings); /* documents, at all */
#define POSTINGS_END 0u                                   /* document numbers begin at 1 */
/*
 * Move to the greatest document <= doc (from where it stands; never back up) and return it, or
 * POSTINGS_END. Blocks that cannot hold it are skipped unread. Negative: damage (-EBADMSG, -EIO).
 */
int64_t postings_seek(struct postings *postings, uint32_t doc, struct emlfs_err *err);
/* Fields (bits 1 << enum emlfs_text_field) in which the term stands in the current document. */
unsigned postings_fields(const struct postings *postings);
/* Its positions in the current document, ascending, borrowed until the next seek. */
int postings_positions(struct postings *postings, const uint32_t **ret, unsigned *ret_n,
                       struct emlfs_err *err);
/*
 * Which field a position of a document belongs to; positions as _positions gives them.
 * 0: impossible.
 */
int segment_field_at(struct segment *segment, uint32_t doc, uint32_t position,
                     enum emlfs_text_field *ret, struct emlfs_err *err);

/* ---- attributes and filings */

/* -ENOENT: the document is not here. Sequential access is cheap in both directions. */
int segment_attr(struct segment *segment, uint32_t doc, struct doc_attr *ret,
                 struct emlfs_err *err);
/*
 * The same for many documents: one reader serves one thread and holds on to where it was, so
 * neighbours cost a few nanoseconds. The segment outlives it.
 */
struct attr_reader;
int attr_reader_new(struct segment *segment, struct attr_reader **ret);
void attr_reader_free(struct attr_reader *reader);
int attr_reader_get(struct attr_reader *reader, uint32_t doc, struct doc_attr *ret,
                    struct emlfs_err *err);
int attr_reader_field(struct attr_reader *reader, uint32_t doc, uint32_t position,
                      enum emlfs_text_field *ret, struct emlfs_err *err);
/* The envelope into ret (cleared before). -ENOENT: the document is not here. */
int attr_reader_envelope(struct attr_reader *reader, uint32_t doc, struct emlfs_buf *ret,
                         struct emlfs_err *err);
/* One attribute of up to ATTR_VALUES documents, ascending; each called for all rows in order: what
 * many documents are asked about costs a few nanoseconds a document. Non-zero return stops. */
enum attr_column_kind { ATTR_SIZE, ATTR_MTIME, ATTR_ARCHIVED, ATTR_PRIORITY, ATTR_ATTACHMENT };
#define ATTR_VALUES 128u
struct attr_values {
    unsigned n;
    uint32_t doc[ATTR_VALUES];
    int64_t value[ATTR_VALUES]; /* bytes (at most INT64_MAX), seconds, nanoseconds, ... */
};
int segment_attr_column(struct segment *segment, enum attr_column_kind kind,
                        int (*each)(void *arg, const struct attr_values *values), void *arg,
                        struct emlfs_err *err);
/*
 * Statements of this segment about key, for documents from high down to low, DESCENDING; each says
 * in or out (the last word of this segment). Non-zero return stops.
 */
struct filing_range {
    enum filing_kind kind;
    uint32_t key, low, high;
};
int segment_filings(struct segment *segment, const struct filing_range *range,
                    int (*each)(void *arg, uint32_t doc, bool in), void *arg,
                    struct emlfs_err *err);
/* Each document that a statement of this segment says is out of a user archive, perhaps several
 * times. Non-zero return stops. */
int segment_outs(struct segment *segment, int (*each)(void *arg, uint32_t doc), void *arg,
                 struct emlfs_err *err);
/* True when the segment says anything about documents below doc (so older ones are overruled). */
bool segment_overrules(const struct segment *segment, uint32_t doc);

#endif
