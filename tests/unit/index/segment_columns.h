/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef EMLFS_TESTS_UNIT_INDEX_SEGMENT_COLUMNS_H
#define EMLFS_TESTS_UNIT_INDEX_SEGMENT_COLUMNS_H

#include "segment_model.h"

/* Columns of attributes say what the model says. */

struct column_seen {
    const struct model *m;
    enum attr_column_kind kind;
    unsigned n;
    uint32_t above; /* the next document is */
};

static inline int64_t column_value(const struct doc_attr *attr, enum attr_column_kind kind)
{
    return kind == ATTR_SIZE       ? (int64_t)attr->size_bytes
           : kind == ATTR_MTIME    ? attr->mtime_sec
           : kind == ATTR_ARCHIVED ? attr->archived_ns
           : kind == ATTR_PRIORITY ? attr->priority
                                   : attr->attachment;
}

static inline int column_each(void *arg, const struct attr_values *values)
{
    struct column_seen *seen = arg;
    assert_in_range(values->n, 1, ATTR_VALUES);
    for (unsigned i = 0; i < values->n; i++) {
        const struct model_doc *row = model_doc(seen->m, values->doc[i]);
        assert_true(values->doc[i] > seen->above);
        assert_non_null(row);
        assert_int_equal(column_value(&row->attr, seen->kind), values->value[i]);
        seen->above = values->doc[i];
        seen->n++;
    }
    return 0;
}

static inline void columns_check(const struct model *m, struct segment *segment)
{
    unsigned docs = 0;
    for (uint32_t doc = m->last_doc; doc > 0; doc--)
        docs += model_doc(m, doc) != NULL;
    for (unsigned kind = ATTR_SIZE; kind <= ATTR_ATTACHMENT; kind++) {
        struct column_seen seen = {.m = m, .kind = (enum attr_column_kind)kind};
        assert_int_equal(0, segment_attr_column(segment, seen.kind, column_each, &seen, NULL));
        assert_int_equal(docs, seen.n);
    }
}

#endif
