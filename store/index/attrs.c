/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditions on attributes. Where many documents of a file are asked for, the attribute is taken
 * out once, 4 bytes a document, and kept; where few are, the segment is asked.
 */
#include "search.h"

#define TIME_ZERO_SEC INT64_C(315532800) /* 1980-01-01, below any mtime */

static int64_t seconds_of(int64_t ns)
{
    return ns / 1000000000 - (ns % 1000000000 < 0);
}

static int64_t value_of(const struct doc_attr *attr, enum column column)
{
    switch (column) {
    case COLUMN_MTIME:
        return attr->mtime_sec;
    case COLUMN_ARCHIVED:
        return seconds_of(attr->archived_ns);
    case COLUMN_SIZE:
        return attr->size_bytes > INT64_MAX ? INT64_MAX : (int64_t)attr->size_bytes;
    case COLUMN_PRIORITY:
        return attr->priority;
    case COLUMN_ATTACHMENT:
        return attr->attachment;
    }
    return 0;
}

/*
 * The short form is value - zero + 1; 0 and UINT32_MAX stand for what does not fit: such a
 * document's segment is asked.
 */
static int64_t zero_of(enum column column)
{
    return column == COLUMN_MTIME || column == COLUMN_ARCHIVED ? TIME_ZERO_SEC : 0;
}

static uint32_t short_of(int64_t value, enum column column)
{
    int64_t zero = zero_of(column);

    if (value < zero)
        return 0;
    return value - zero >= (int64_t)UINT32_MAX - 1 ? UINT32_MAX : (uint32_t)(value - zero) + 1;
}

struct making {
    const struct view *view;
    enum column column;
    uint32_t *v; /* by first document */
};

static int values_put(void *arg, const struct attr_values *values)
{
    const struct making *making = arg;
    const struct view *view = making->view;

    for (unsigned i = 0; i < values->n; i++) {
        int64_t value = values->value[i];
        if (values->doc[i] < view->first || values->doc[i] > view->last)
            continue;
        if (making->column == COLUMN_ARCHIVED)
            value = seconds_of(value);
        making->v[values->doc[i] - view->first] = short_of(value, making->column);
    }
    return view_cancelled(view) ? -ECANCELED : 0;
}

static int column_make(const struct view *view, enum column column, struct blob **ret,
                       struct emlfs_err *err)
{
    static const enum attr_column_kind kinds[] = {[COLUMN_MTIME] = ATTR_MTIME,
                                                  [COLUMN_ARCHIVED] = ATTR_ARCHIVED,
                                                  [COLUMN_SIZE] = ATTR_SIZE,
                                                  [COLUMN_PRIORITY] = ATTR_PRIORITY,
                                                  [COLUMN_ATTACHMENT] = ATTR_ATTACHMENT};
    struct blob *blob = blob_new((size_t)(view->last - view->first) / 2 + 1);
    struct making making = {.view = view, .column = column};
    int rc;

    if (!blob)
        return emlfs_err_set(err, ENOMEM, "index", "out of memory");
    making.v = (uint32_t *)blob->v;
    rc = segment_attr_column(view_part(view)->segment, kinds[column], values_put, &making, err);
    if (rc < 0) {
        blob_unref(blob);
        return rc;
    }
    *ret = blob;
    return 0;
}

static int column_get(const struct view *view, enum column column, uint32_t expected,
                      struct blob **ret, struct emlfs_err *err)
{
    struct part *part = view_part(view);
    const struct blob_key name = {.part = part->serial, .kind = 0x200u + (uint32_t)column};
    int rc;

    *ret = NULL;
    if (part->mem || view_is_narrow(view))
        return 0;
    *ret = cache_get(part->cache, name);
    if (*ret || (uint64_t)expected * 8 < view->last - view->first)
        return 0;
    rc = column_make(view, column, ret, err);
    if (rc == 0)
        cache_put(part->cache, name, *ret);
    return rc;
}

int attrs_open(const struct view *view, const struct condition *conditions, unsigned n,
               uint32_t expected, struct attrs *ret, struct emlfs_err *err)
{
    int rc = 0;

    *ret = (struct attrs){.view = view, .conditions = conditions, .n = n};
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        rc = column_get(view, conditions[i].column, expected, &ret->blobs[i], err);
        ret->columns[i] = ret->blobs[i] ? (const uint32_t *)ret->blobs[i]->v : NULL;
    }
    if (rc < 0)
        attrs_close(ret);
    return rc;
}

void attrs_close(struct attrs *attrs)
{
    for (unsigned i = 0; i < attrs->n; i++)
        blob_unref(attrs->blobs[i]);
    attr_reader_free(attrs->reader);
    attrs->reader = NULL;
    attrs->n = 0;
}

/* The reader is at hand for the next document, a neighbour mostly. */
static int attr_get(struct attrs *attrs, uint32_t doc, struct doc_attr *ret, struct emlfs_err *err)
{
    int rc = 0;

    if (!attrs->reader)
        rc = attr_reader_new(view_part(attrs->view)->segment, &attrs->reader);
    return rc < 0 ? emlfs_err_set(err, ENOMEM, "index", "out of memory")
                  : attr_reader_get(attrs->reader, doc, ret, err);
}

int attrs_hold(struct attrs *attrs, uint32_t doc, struct emlfs_err *err)
{
    struct doc_attr attr;
    bool asked = false;

    for (unsigned i = 0; i < attrs->n; i++) {
        const struct condition *c = &attrs->conditions[i];
        uint32_t kept = attrs->columns[i] ? attrs->columns[i][doc - attrs->view->first] : 0;
        int64_t value = (int64_t)kept - 1 + zero_of(c->column);
        if (kept == 0 || kept == UINT32_MAX) {
            int rc = asked ? 0 : attr_get(attrs, doc, &attr, err);
            if (rc < 0)
                return rc == -ENOENT ? 0 : rc;
            asked = true;
            value = value_of(&attr, c->column);
        }
        if ((value >= c->from && value <= c->to) == c->exclude)
            return 0;
    }
    return 1;
}
