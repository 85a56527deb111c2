/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_INDEX_SEGMENT_WRITE_H
#define EMLFS_INDEX_SEGMENT_WRITE_H

#include "segment_internal.h"

/* Writing a segment file front to back (segment_write.c). */
struct segment_writer;
struct writer_setup {
    const char *path;
    const struct emlfs_key *index_key;
    uint32_t first_doc, last_doc;
};
int writer_new(const struct writer_setup *setup, struct segment_writer **ret,
               struct emlfs_err *err);
/* Terms ascend by bytes; documents of a term descend. */
int writer_term(struct segment_writer *w, struct emlfs_span term);
struct posting {
    uint32_t doc;
    uint8_t mask;
    uint32_t tf;
    const uint32_t *positions;
};
int writer_posting(struct segment_writer *w, const struct posting *posting);
/* *ret_df 0: the term was dropped. */
int writer_term_done(struct segment_writer *w, uint32_t *ret_df);
int writer_reversed(struct segment_writer *w, struct emlfs_span reversed);
/* Ascending. -EINVAL: the envelope is longer than EMLFS_ENVELOPE_MAX_BYTES. */
int writer_attr(struct segment_writer *w, const struct attr_row *row, struct emlfs_span envelope);
int writer_filing(struct segment_writer *w, const struct filing *filing); /* in order */
/* Footer, sync, close. Frees w, as _abort does; both remove the file on failure. */
int writer_finish(struct segment_writer *w, struct emlfs_err *err);
void writer_abort(struct segment_writer *w);
/* What failed, once a call above has returned an error. */
int writer_error(const struct segment_writer *w, int rc, struct emlfs_err *err);

#endif
