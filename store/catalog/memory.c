/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The catalogue's backend in memory, for tests: sorted arrays of shared rows.
 *
 *   M1  A table never changes once it can be seen; a write makes a new one. A walk holds the table
 *       it began with, which is what makes it a snapshot.
 *   M2  Rows are shared by tables and counted; all counts change under the lock.
 */
#include <pthread.h>
#include <stdlib.h>

#include "backend.h"

struct memory_row {
    size_t refs;
    size_t key_len;
    size_t value_len;
    bool deleted;    /* only in the rows of a write */
    uint8_t bytes[]; /* key, value */
};

struct memory_table {
    size_t refs;
    size_t n;
    struct memory_row *rows[];
};

struct memory_backend {
    pthread_mutex_t lock;
    struct memory_table *table; /* the present one */
};

struct memory_walk {
    struct memory_backend *backend;
    struct memory_table *table;
    size_t at; /* table->n: invalid */
};

static struct emlfs_span row_key(const struct memory_row *row)
{
    return emlfs_span_of(row->bytes, row->key_len);
}

static void row_unref(struct memory_row *row)
{
    if (--row->refs == 0)
        free(row);
}

static struct memory_table *table_new(size_t rows_max)
{
    struct memory_table *table = calloc(1, sizeof(*table) + rows_max * sizeof(table->rows[0]));
    if (table)
        table->refs = 1;
    return table;
}

static void table_unref(struct memory_table *table)
{
    if (--table->refs > 0)
        return;
    for (size_t i = 0; i < table->n; i++)
        row_unref(table->rows[i]);
    free(table);
}

/* Takes the reference of row; a deletion ends here. */
static void table_append(struct memory_table *table, struct memory_row *row)
{
    if (row->deleted)
        row_unref(row);
    else
        table->rows[table->n++] = row;
}

/* Index of the first row with row key >= key. */
static size_t table_find(const struct memory_table *table, struct emlfs_span key)
{
    size_t low = 0;
    size_t high = table->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog_compare(row_key(table->rows[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool table_has(const struct memory_table *table, size_t at, struct emlfs_span key)
{
    return at < table->n && emlfs_span_equal(row_key(table->rows[at]), key);
}

static int memory_get(void *backend, struct emlfs_span key, struct emlfs_buf *ret_value,
                      struct emlfs_err *err)
{
    struct memory_backend *memory = backend;
    int r = -ENOENT;

    pthread_mutex_lock(&memory->lock);
    size_t at = table_find(memory->table, key);
    if (table_has(memory->table, at, key)) {
        const struct memory_row *row = memory->table->rows[at];
        r = emlfs_buf_append(ret_value, row->bytes + row->key_len, row->value_len);
    }
    pthread_mutex_unlock(&memory->lock);
    return r < 0 && r != -ENOENT ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : r;
}

/* ---- writing */

static struct memory_row *row_copy(const struct catalog_row *from)
{
    struct memory_row *row = malloc(sizeof(*row) + from->key.len + from->value.len);
    if (!row)
        return NULL;
    *row = (struct memory_row){.refs = 1,
                               .key_len = from->key.len,
                               .value_len = from->value.len,
                               .deleted = from->deleted};
    memcpy(row->bytes, from->key.data, from->key.len);
    if (from->value.len > 0)
        memcpy(row->bytes + from->key.len, from->value.data, from->value.len);
    return row;
}

/* Rows as they come from a source: *rows grows, *ret_n counts also when it fails. */
static int source_read(const struct catalog_source *source, struct memory_row ***rows,
                       size_t *ret_n)
{
    struct catalog_row from;
    size_t cap = 0;

    for (*ret_n = 0;; (*ret_n)++) {
        int r = source->next(source->arg, &from);
        if (r <= 0)
            return r;
        if (*ret_n == cap) {
            cap = cap ? 2 * cap : 16;
            struct memory_row **more = reallocarray(*rows, cap, sizeof(**rows));
            if (!more)
                return -ENOMEM;
            *rows = more;
        }
        (*rows)[*ret_n] = row_copy(&from);
        if (!(*rows)[*ret_n])
            return -ENOMEM;
    }
}

/* Both are in key order; a new row replaces or deletes the old one of its key. */
static struct memory_table *table_merge(const struct memory_table *old, struct memory_row **rows,
                                        size_t n)
{
    struct memory_table *table = table_new(old->n + n);
    size_t i = 0;
    size_t j = 0;

    if (!table)
        return NULL;
    while (i < old->n || j < n) {
        int order = i == old->n ? 1
                    : j == n    ? -1
                                : catalog_compare(row_key(old->rows[i]), row_key(rows[j]));
        if (order < 0) {
            old->rows[i]->refs++;
            table_append(table, old->rows[i]);
        } else {
            table_append(table, rows[j++]);
        }
        if (order <= 0)
            i++;
    }
    return table;
}

static int table_replace(struct memory_backend *memory, struct memory_row **rows, size_t n)
{
    pthread_mutex_lock(&memory->lock);
    struct memory_table *table = table_merge(memory->table, rows, n);
    if (table) {
        table_unref(memory->table);
        memory->table = table;
    }
    pthread_mutex_unlock(&memory->lock);
    return table ? 0 : -ENOMEM;
}

static int memory_write(void *backend, const struct catalog_source *source, bool sync,
                        bool *ret_touched, struct emlfs_err *err)
{
    struct memory_row **rows = NULL;
    size_t n = 0;

    (void)sync;
    *ret_touched = false;
    int r = source_read(source, &rows, &n);
    if (r == 0)
        r = table_replace(backend, rows, n);
    if (r < 0)
        while (n > 0)
            row_unref(rows[--n]);
    free(rows);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot commit") : 0;
}

static void memory_compact(void *backend)
{
    (void)backend; /* a table is always compact */
}

static void memory_close(void *backend)
{
    struct memory_backend *memory = backend;

    table_unref(memory->table);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

int emlfs_catalog_memory_new(void **ret_backend)
{
    struct memory_backend *memory = calloc(1, sizeof(*memory));
    struct memory_table *table = table_new(0);

    if (!memory || !table) {
        free(memory);
        free(table);
        return -ENOMEM;
    }
    pthread_mutex_init(&memory->lock, NULL);
    memory->table = table;
    *ret_backend = memory;
    return 0;
}

/* ---- walks */

static int memory_walk_new(void *backend, void **ret_iter, struct emlfs_err *err)
{
    struct memory_backend *memory = backend;
    struct memory_walk *walk = calloc(1, sizeof(*walk));

    if (!walk)
        return emlfs_err_sys(err, ENOMEM, "catalog", "cannot walk the catalogue");
    pthread_mutex_lock(&memory->lock);
    walk->table = memory->table;
    walk->table->refs++;
    pthread_mutex_unlock(&memory->lock);
    walk->backend = memory;
    walk->at = walk->table->n;
    *ret_iter = walk;
    return 0;
}

static void memory_walk_free(void *iter)
{
    struct memory_walk *walk = iter;

    pthread_mutex_lock(&walk->backend->lock);
    table_unref(walk->table);
    pthread_mutex_unlock(&walk->backend->lock);
    free(walk);
}

static void memory_walk_seek(void *iter, struct emlfs_span key)
{
    struct memory_walk *walk = iter;
    walk->at = table_find(walk->table, key);
}

static void memory_walk_prev(void *iter)
{
    struct memory_walk *walk = iter;
    walk->at = walk->at > 0 ? walk->at - 1 : walk->table->n;
}

static void memory_walk_seek_le(void *iter, struct emlfs_span key)
{
    struct memory_walk *walk = iter;

    memory_walk_seek(walk, key);
    if (!table_has(walk->table, walk->at, key))
        memory_walk_prev(walk);
}

static void memory_walk_next(void *iter)
{
    struct memory_walk *walk = iter;
    walk->at++;
}

static bool memory_walk_valid(const void *iter)
{
    const struct memory_walk *walk = iter;
    return walk->at < walk->table->n;
}

static int memory_walk_error(const void *iter, struct emlfs_err *err)
{
    (void)iter;
    (void)err;
    return 0;
}

static struct emlfs_span memory_walk_key(const void *iter)
{
    const struct memory_walk *walk = iter;
    return row_key(walk->table->rows[walk->at]);
}

static struct emlfs_span memory_walk_value(const void *iter)
{
    const struct memory_walk *walk = iter;
    const struct memory_row *row = walk->table->rows[walk->at];

    return emlfs_span_of(row->bytes + row->key_len, row->value_len);
}

const struct catalog_backend_ops emlfs_catalog_memory_ops = {
    .get = memory_get,
    .write = memory_write,
    .iter_new = memory_walk_new,
    .compact = memory_compact,
    .close = memory_close,
    .iter_free = memory_walk_free,
    .iter_seek = memory_walk_seek,
    .iter_seek_le = memory_walk_seek_le,
    .iter_next = memory_walk_next,
    .iter_prev = memory_walk_prev,
    .iter_valid = memory_walk_valid,
    .iter_error = memory_walk_error,
    .iter_key = memory_walk_key,
    .iter_value = memory_walk_value,
};
