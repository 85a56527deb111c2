/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A catalogue's backend for looking into a closed LevelDB database. LevelDB itself cannot: whenever
 * it opens one, it writes a manifest, a log and CURRENT, and may merge tables besides.
 *
 * K-LOOK-1  Nothing is written, made or removed, and no lock is taken.
 * K-LOOK-2  A row is the newest of all that tables and logs say of its key.
 *
 * Sources stand in the order of their age: logs, tables of level 0 from the newest on, then each
 * other level, whose tables follow each other. Lock: of lazily opened tables and of the places that
 * single rows are read with.
 */
#include "look.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emlfs/base/os.h"

#define MANIFEST_MAX_BYTES ((size_t)64 << 20)
#define LOG_MAX_BYTES ((size_t)64 << 20)
#define LOGS_MAX 64u

/* Tables of one level, in the order of their keys; one table of level 0. */
struct look_run {
    size_t first, n; /* in version.files */
};

struct look_place {
    size_t at; /* in the log's rows, or of the table in its run; SIZE_MAX: at none */
    struct look_cursor cursor;
    struct look_row row;
    bool valid;
};

struct look_walk {
    struct look_backend *backend;
    struct look_place *places; /* sources_n */
    struct emlfs_buf key;      /* where it stands, while places move on */
    struct emlfs_span value;
    bool valid;
    int error;
};

struct look_backend {
    int dir_fd;
    struct crc32c crc;
    struct look_rows rows;
    struct look_version version;
    struct look_table **tables; /* as version.files; NULL: not opened yet */
    struct look_run *runs;
    size_t runs_n;
    pthread_mutex_t lock;
    struct look_walk *single; /* of single rows, under lock */
};

static size_t sources_n(const struct look_backend *look)
{
    return 1 + look->runs_n;
}

static const struct look_run *source_run(const struct look_backend *look, size_t source)
{
    return source == 0 ? NULL : &look->runs[source - 1];
}

static struct emlfs_span file_small(const struct look_file *file)
{
    return emlfs_span_of(file->small, file->small_len);
}

static struct emlfs_span file_large(const struct look_file *file)
{
    return emlfs_span_of(file->large, file->large_len);
}

/* ---- places in one source */

static void place_log(const struct look_backend *look, struct look_place *place, size_t at)
{
    place->at = at;
    place->valid = at < look_rows_n(&look->rows);
    if (place->valid)
        place->row = look_rows_at(&look->rows, at);
}

static size_t log_find(const struct look_backend *look, struct emlfs_span key)
{
    size_t low = 0, high = look_rows_n(&look->rows);

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog_compare(look_rows_at(&look->rows, middle).key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int table_get(struct look_backend *look, size_t file, struct look_table **ret)
{
    int r = 0;

    pthread_mutex_lock(&look->lock);
    if (!look->tables[file])
        r = look_table_open(&look->crc, look->dir_fd, look_files(&look->version)[file],
                            &look->tables[file]);
    *ret = look->tables[file];
    pthread_mutex_unlock(&look->lock);
    return r;
}

/* The place's cursor is in table at of run from here on. */
static int place_enter(struct look_backend *look, const struct look_run *run, size_t at,
                       struct look_place *place)
{
    struct look_table *table;
    int r;

    if (place->at == at)
        return 0;
    r = table_get(look, run->first + at, &table);
    if (r < 0)
        return r;
    look_cursor_free(&place->cursor);
    look_cursor_begin(&place->cursor, table);
    place->at = at;
    return 0;
}

static void place_take(struct look_place *place)
{
    place->valid = place->cursor.valid;
    place->row = place->cursor.row;
}

/* From table at of the run on, the first row with row key >= key. */
static int run_seek(struct look_backend *look, const struct look_run *run, size_t at,
                    struct emlfs_span key, struct look_place *place)
{
    int r = 0;

    place->valid = false;
    for (; r == 0 && !place->valid && at < run->n; at++) {
        r = place_enter(look, run, at, place);
        if (r == 0)
            r = look_cursor_seek(&place->cursor, key);
        if (r == 0)
            place_take(place);
    }
    return r;
}

/* The first table of the run that may hold a row with row key >= key. */
static size_t run_find(const struct look_backend *look, const struct look_run *run,
                       struct emlfs_span key)
{
    struct look_file **files = look_files(&look->version) + run->first;
    size_t low = 0, high = run->n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (catalog_compare(file_large(files[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int place_seek(struct look_backend *look, size_t source, struct emlfs_span key,
                      struct look_place *place)
{
    const struct look_run *run = source_run(look, source);

    if (run)
        return run_seek(look, run, run_find(look, run, key), key, place);
    place_log(look, place, log_find(look, key));
    return 0;
}

/* Some version of the last row with row key < key. */
static int place_seek_below(struct look_backend *look, size_t source, struct emlfs_span key,
                            struct look_place *place)
{
    const struct look_run *run = source_run(look, source);
    size_t at, log;
    int r = 0;

    place->valid = false;
    if (!run) {
        log = log_find(look, key);
        if (log > 0)
            place_log(look, place, log - 1);
        return 0;
    }
    at = run_find(look, run, key);
    for (at = at < run->n ? at + 1 : at; r == 0 && !place->valid && at > 0; at--) {
        r = place_enter(look, run, at - 1, place);
        if (r == 0)
            r = look_cursor_seek_below(&place->cursor, key);
        if (r == 0)
            place_take(place);
    }
    return r;
}

static int place_next(struct look_backend *look, size_t source, struct look_place *place)
{
    const struct look_run *run = source_run(look, source);

    if (!run) {
        place_log(look, place, place->at + 1);
        return 0;
    }
    int r = look_cursor_next(&place->cursor);
    place_take(place);
    if (r == 0 && !place->valid)
        r = run_seek(look, run, place->at + 1, (struct emlfs_span){0}, place);
    return r;
}

/* ---- walks over all sources */

static void look_walk_free(void *iter)
{
    struct look_walk *walk = iter;

    if (!walk)
        return;
    for (size_t i = 0; walk->places && i < sources_n(walk->backend); i++)
        look_cursor_free(&walk->places[i].cursor);
    free(walk->places);
    emlfs_buf_free(&walk->key);
    free(walk);
}

static int look_walk_new(void *backend, void **ret_iter, struct emlfs_err *err)
{
    struct look_backend *look = backend;
    struct look_walk *walk = calloc(1, sizeof(*walk));

    if (walk) {
        walk->backend = look;
        walk->key = EMLFS_BUF_INIT(LOOK_KEY_MAX_BYTES);
        walk->places = calloc(sources_n(look), sizeof(*walk->places));
    }
    if (!walk || !walk->places) {
        look_walk_free(walk);
        return emlfs_err_sys(err, ENOMEM, "catalog", "cannot walk the catalogue");
    }
    for (size_t i = 0; i < sources_n(look); i++)
        walk->places[i].at = SIZE_MAX;
    *ret_iter = walk;
    return 0;
}

/* The place with the least key, the newest of that; NULL: none is valid. */
static struct look_place *walk_least(struct look_walk *walk)
{
    struct look_place *least = NULL;

    for (size_t i = 0; i < sources_n(walk->backend); i++) {
        struct look_place *place = &walk->places[i];
        int order = !place->valid ? 1
                    : least       ? catalog_compare(place->row.key, least->row.key)
                                  : -1;
        if (order < 0 || (order == 0 && place->row.sequence > least->row.sequence))
            least = place;
    }
    return least;
}

/* Everything that says something of walk->key lies behind. */
static int walk_pass(struct look_walk *walk)
{
    struct emlfs_span key = emlfs_buf_view(&walk->key);
    int r = 0;

    for (size_t i = 0; i < sources_n(walk->backend) && r == 0; i++) {
        struct look_place *place = &walk->places[i];
        while (r == 0 && place->valid && catalog_compare(place->row.key, key) <= 0)
            r = place_next(walk->backend, i, place);
    }
    return r;
}

/* Stand at the first row from here on that is not deleted. */
static int walk_settle(struct look_walk *walk)
{
    struct look_place *least;
    int r = 0;

    walk->valid = false;
    while (r == 0 && (least = walk_least(walk))) {
        emlfs_buf_clear(&walk->key);
        r = emlfs_buf_append(&walk->key, least->row.key.data, least->row.key.len);
        if (r == 0 && !least->row.deleted) {
            walk->value = least->row.value;
            walk->valid = true;
            return 0;
        }
        if (r == 0)
            r = walk_pass(walk);
    }
    return r;
}

static int walk_places_seek(struct look_walk *walk, struct emlfs_span key)
{
    int r = 0;

    for (size_t i = 0; i < sources_n(walk->backend) && r == 0; i++)
        r = place_seek(walk->backend, i, key, &walk->places[i]);
    return r;
}

static void walk_end(struct look_walk *walk, int r)
{
    walk->valid = walk->valid && r == 0;
    if (r < 0 && !walk->error)
        walk->error = r;
}

static void look_walk_seek(void *iter, struct emlfs_span key)
{
    struct look_walk *walk = iter;
    int r = walk_places_seek(walk, key);

    walk_end(walk, r < 0 ? r : walk_settle(walk));
}

/* The greatest key below walk->key that any source has becomes walk->key. 0: there is none. */
static int walk_key_below(struct look_walk *walk)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf below = walk->key;
    struct emlfs_span found = {0};
    bool any = false;
    int r = 0;

    walk->key = EMLFS_BUF_INIT(LOOK_KEY_MAX_BYTES);
    for (size_t i = 0; i < sources_n(walk->backend) && r == 0; i++) {
        struct look_place *place = &walk->places[i];
        r = place_seek_below(walk->backend, i, emlfs_buf_view(&below), place);
        if (r == 0 && place->valid && (!any || catalog_compare(place->row.key, found) > 0)) {
            found = place->row.key;
            any = true;
        }
    }
    if (r == 0 && any)
        r = emlfs_buf_append(&walk->key, found.data, found.len);
    return r < 0 ? r : any;
}

/* Down from walk->key, to the first row that is not deleted. */
static int walk_down(struct look_walk *walk)
{
    int r;

    walk->valid = false;
    while ((r = walk_key_below(walk)) > 0) {
        struct look_place *newest;
        r = walk_places_seek(walk, emlfs_buf_view(&walk->key));
        if (r < 0)
            return r;
        newest = walk_least(walk);
        if (!newest || !emlfs_span_equal(newest->row.key, emlfs_buf_view(&walk->key)))
            return -EUCLEAN;
        if (!newest->row.deleted) {
            walk->value = newest->row.value;
            walk->valid = true;
            return 0;
        }
    }
    return r;
}

static void look_walk_seek_le(void *iter, struct emlfs_span key)
{
    struct look_walk *walk = iter;

    look_walk_seek(walk, key);
    if (walk->error || (walk->valid && emlfs_span_equal(emlfs_buf_view(&walk->key), key)))
        return;
    emlfs_buf_clear(&walk->key);
    int r = emlfs_buf_append(&walk->key, key.data, key.len);
    walk_end(walk, r < 0 ? r : walk_down(walk));
}

static void look_walk_next(void *iter)
{
    struct look_walk *walk = iter;
    int r = walk_pass(walk);

    walk_end(walk, r < 0 ? r : walk_settle(walk));
}

static void look_walk_prev(void *iter)
{
    struct look_walk *walk = iter;

    walk_end(walk, walk_down(walk));
}

static bool look_walk_valid(const void *iter)
{
    const struct look_walk *walk = iter;

    return walk->valid && !walk->error;
}

static int look_walk_error(const void *iter, struct emlfs_err *err)
{
    const struct look_walk *walk = iter;

    return walk->error ? emlfs_err_sys(err, -walk->error, "catalog", "cannot walk the catalogue")
                       : 0;
}

static struct emlfs_span look_walk_key(const void *iter)
{
    const struct look_walk *walk = iter;

    return emlfs_buf_view(&walk->key);
}

static struct emlfs_span look_walk_value(const void *iter)
{
    const struct look_walk *walk = iter;

    return walk->value;
}

/* ---- single rows */

/* Tables whose first or last keys say that the row is not in them are not opened. */
static bool source_has(const struct look_backend *look, size_t source, struct emlfs_span key)
{
    const struct look_run *run = source_run(look, source);

    if (!run)
        return true;
    size_t at = run_find(look, run, key);
    return at < run->n &&
           catalog_compare(file_small(look_files(&look->version)[run->first + at]), key) <= 0;
}

static int single_find(struct look_walk *single, struct emlfs_span key, struct look_row *ret)
{
    struct look_backend *look = single->backend;

    for (size_t i = 0; i < sources_n(look); i++) {
        struct look_place *place = &single->places[i];
        if (!source_has(look, i, key))
            continue;
        int r = place_seek(look, i, key, place);
        if (r < 0)
            return r;
        if (place->valid && emlfs_span_equal(place->row.key, key)) {
            *ret = place->row;
            return ret->deleted ? -ENOENT : 0;
        }
    }
    return -ENOENT;
}

/* A walk is kept for it: rows that are asked for often lie beside each other. */
static int single_take(struct look_backend *look, struct look_walk **ret)
{
    void *made = NULL;

    pthread_mutex_lock(&look->lock);
    *ret = look->single;
    look->single = NULL;
    pthread_mutex_unlock(&look->lock);
    if (*ret)
        return 0;
    int r = look_walk_new(look, &made, NULL);
    *ret = made;
    return r;
}

static void single_give(struct look_backend *look, struct look_walk *single)
{
    pthread_mutex_lock(&look->lock);
    struct look_walk *old = look->single;
    look->single = single;
    pthread_mutex_unlock(&look->lock);
    look_walk_free(old);
}

static int look_get(void *backend, struct emlfs_span key, struct emlfs_buf *ret_value,
                    struct emlfs_err *err)
{
    struct look_walk *single;
    struct look_row row = {0};
    int r = single_take(backend, &single);

    if (r == 0)
        r = single_find(single, key, &row);
    if (r == 0)
        r = emlfs_buf_append(ret_value, row.value.data, row.value.len);
    single_give(backend, single);
    return r < 0 && r != -ENOENT ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : r;
}

static int look_write(void *backend, const struct catalog_source *source, bool sync,
                      bool *ret_touched, struct emlfs_err *err)
{
    (void)backend;
    (void)source;
    (void)sync;
    *ret_touched = false;
    return emlfs_err_sys(err, EROFS, "catalog", "cannot commit");
}

static void look_compact(void *backend)
{
    (void)backend;
}

/* ---- opening and closing */

static void look_close(void *backend)
{
    struct look_backend *look = backend;

    look_walk_free(look->single);
    for (size_t i = 0; look->tables && i < look_files_n(&look->version); i++)
        look_table_free(look->tables[i]);
    free(look->tables);
    free(look->runs);
    look_version_free(&look->version);
    look_rows_free(&look->rows);
    emlfs_os_close(&look->dir_fd);
    pthread_mutex_destroy(&look->lock);
    free(look);
}

static int file_load(const char *dir, const char *name, struct emlfs_buf *out)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof(path), "%s/%s", dir, name);

    return len < 0 || (size_t)len >= sizeof(path) ? -ENAMETOOLONG : emlfs_os_read_file(path, out);
}

/* CURRENT: the name of the manifest, and a line feed. */
static int version_load(struct look_backend *look, const char *dir)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf name = EMLFS_BUF_INIT(64);
    EMLFS_BUF_CLEANUP struct emlfs_buf manifest = EMLFS_BUF_INIT(MANIFEST_MAX_BYTES);
    static const char prefix[] = "MANIFEST-";
    int r = file_load(dir, "CURRENT", &name);

    if (r < 0)
        return r;
    if (name.len < sizeof(prefix) || memcmp(name.data, prefix, sizeof(prefix) - 1) != 0 ||
        memchr(name.data, '/', name.len) || memchr(name.data, '\0', name.len) ||
        name.data[name.len - 1] != '\n')
        return -EUCLEAN;
    name.data[name.len - 1] = '\0';
    r = file_load(dir, (const char *)name.data, &manifest);
    if (r < 0)
        return r == -ENOENT ? -EUCLEAN : r;
    return look_version_read(&look->crc, emlfs_buf_view(&manifest), &look->version);
}

/* Level 0 from the newest on; other levels by their keys. */
static int file_order(const void *a, const void *b)
{
    const struct look_file *one = *(struct look_file *const *)a;
    const struct look_file *other = *(struct look_file *const *)b;

    if (one->level != other->level)
        return one->level < other->level ? -1 : 1;
    if (one->level == 0)
        return (one->number < other->number) - (one->number > other->number);
    return catalog_compare(file_small(one), file_small(other));
}

static int runs_make(struct look_backend *look)
{
    struct look_file **files = look_files(&look->version);
    size_t n = look_files_n(&look->version);

    look->tables = calloc(n + 1, sizeof(*look->tables));
    look->runs = calloc(n + 1, sizeof(*look->runs));
    if (!look->tables || !look->runs)
        return -ENOMEM;
    if (n > 0)
        qsort(files, n, sizeof(*files), file_order);
    for (size_t i = 0; i < n; i++) {
        struct look_run *last = look->runs_n ? &look->runs[look->runs_n - 1] : NULL;
        if (last && files[i]->level > 0 && files[i - 1]->level == files[i]->level) {
            if (catalog_compare(file_large(files[i - 1]), file_small(files[i])) >= 0)
                return -EUCLEAN;
            last->n++;
        } else {
            look->runs[look->runs_n++] = (struct look_run){.first = i, .n = 1};
        }
    }
    return 0;
}

static int number_order(const void *a, const void *b)
{
    const uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;

    return (one > other) - (one < other);
}

/* Numbers of the logs whose rows are in no table yet, ascending. */
static int logs_find(const struct look_backend *look, const char *dir, uint64_t *ret, size_t *ret_n)
{
    DIR *open = opendir(dir);
    const struct dirent *entry;
    int r = open ? 0 : -errno;

    *ret_n = 0;
    while (r == 0 && (entry = readdir(open))) {
        char *end;
        uint64_t number = strtoull(entry->d_name, &end, 10);
        if (end == entry->d_name || strcmp(end, ".log") != 0 ||
            (number < look->version.log && number != look->version.log_before))
            continue;
        if (*ret_n == LOGS_MAX)
            r = -E2BIG;
        else
            ret[(*ret_n)++] = number;
    }
    if (open)
        closedir(open);
    if (r == 0 && *ret_n > 1)
        qsort(ret, *ret_n, sizeof(*ret), number_order);
    return r;
}

static int logs_load(struct look_backend *look, const char *dir)
{
    EMLFS_BUF_CLEANUP struct emlfs_buf bytes = EMLFS_BUF_INIT(LOG_MAX_BYTES);
    uint64_t numbers[LOGS_MAX];
    char name[40];
    size_t n;
    int r = logs_find(look, dir, numbers, &n);

    for (size_t i = 0; i < n && r == 0; i++) {
        (void)snprintf(name, sizeof(name), "%06llu.log", (unsigned long long)numbers[i]);
        emlfs_buf_clear(&bytes);
        r = file_load(dir, name, &bytes);
        if (r == 0)
            r = look_rows_add(&look->crc, emlfs_buf_view(&bytes), &look->rows);
    }
    look_rows_sort(&look->rows);
    return r;
}

/* Tables that are not there must show now: who only looks cannot make them again. */
static int tables_there(const struct look_backend *look)
{
    for (size_t i = 0; i < look_files_n(&look->version); i++)
        if (look_table_there(look->dir_fd, look_files(&look->version)[i]->number) < 0)
            return -EUCLEAN;
    return 0;
}

static int look_open(struct look_backend *look, const char *dir)
{
    int r;

    look->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (look->dir_fd < 0)
        return -errno;
    crc32c_init(&look->crc);
    r = version_load(look, dir);
    if (r == 0)
        r = runs_make(look);
    if (r == 0)
        r = tables_there(look);
    return r < 0 ? r : logs_load(look, dir);
}

int emlfs_catalog_look_open(const struct emlfs_catalog_config *config, void **ret_backend,
                            struct emlfs_err *err)
{
    struct look_backend *look = calloc(1, sizeof(*look));
    int r = look ? 0 : -ENOMEM;

    if (look) {
        look->dir_fd = -1;
        pthread_mutex_init(&look->lock, NULL);
        r = look_open(look, config->dir);
    }
    if (r < 0) {
        if (look)
            look_close(look);
        return emlfs_err_sys(err, -r, "catalog", "cannot look into %s", config->dir);
    }
    *ret_backend = look;
    return 0;
}

const struct catalog_backend_ops emlfs_catalog_look_ops = {
    .get = look_get,
    .write = look_write,
    .iter_new = look_walk_new,
    .compact = look_compact,
    .close = look_close,
    .iter_free = look_walk_free,
    .iter_seek = look_walk_seek,
    .iter_seek_le = look_walk_seek_le,
    .iter_next = look_walk_next,
    .iter_prev = look_walk_prev,
    .iter_valid = look_walk_valid,
    .iter_error = look_walk_error,
    .iter_key = look_walk_key,
    .iter_value = look_walk_value,
};
