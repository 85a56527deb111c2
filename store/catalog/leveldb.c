/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The catalogue's backend on disk, and the only file that includes LevelDB.
 *
 * Responsible for: loading LevelDB, options, errno from its error strings, a directory without
 * clear text.
 *
 *   L1  A walk that met damage is invalid from then on. LevelDB itself would skip the damaged block
 *       and go on, so rows would be missing without a word.
 *   L2  A write is refused with ENOSPC before it starts when the file system could not hold it with
 *       what LevelDB may write besides (two memtables, their tables, the manifest). Nothing has
 * been touched then. L3  Every read checks the block's checksum.
 */
#include <dirent.h>
#include <fcntl.h>
#include <leveldb/c.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "backend.h"
#include "emlfs/base/library.h"
#include "emlfs/base/os.h"

#define BLOOM_BITS 10
#define BLOCK_BYTES ((size_t)4096)
/*
 * LevelDB maps its tables, and pages of a mapping count as memory of the process: 64 tables (its
 * least, and ten files besides) of 1 MiB, or of the write buffer where that is more, bound it.
 */
#define OPEN_FILES_MAX 74
#define TABLE_BYTES ((size_t)1 << 20)
#define SPARE_BYTES ((uint64_t)1 << 20)

/* clang-format off */
#define LEVELDB_CALLS(call) \
    call(cache_create_lru) call(cache_destroy) call(close) call(compact_range) \
    call(create_iterator) call(destroy_db) call(filterpolicy_create_bloom) \
    call(filterpolicy_destroy) call(free) call(get) call(iter_destroy) call(iter_get_error) \
    call(iter_key) call(iter_next) call(iter_prev) call(iter_seek) call(iter_seek_to_last) \
    call(iter_valid) call(iter_value) call(open) call(options_create) call(options_destroy) \
    call(options_set_block_size) call(options_set_cache) call(options_set_compression) \
    call(options_set_create_if_missing) call(options_set_error_if_exists) \
    call(options_set_filter_policy) call(options_set_max_file_size) \
    call(options_set_max_open_files) call(options_set_paranoid_checks) \
    call(options_set_write_buffer_size) call(readoptions_create) call(readoptions_destroy) \
    call(readoptions_set_verify_checksums) call(write) call(writebatch_create) \
    call(writebatch_delete) call(writebatch_destroy) call(writebatch_put) \
    call(writeoptions_create) call(writeoptions_destroy) call(writeoptions_set_sync)
/* clang-format on */

#define CALL_MEMBER(name) EMLFS_LIBRARY_MEMBER(leveldb_##name)
#define CALL_NAME(name) EMLFS_LIBRARY_NAME(leveldb_##name)

struct leveldb_calls {
    LEVELDB_CALLS(CALL_MEMBER)
};

/* Written once, by library_use, which whatever makes a backend or needs none calls first. */
static struct leveldb_calls calls;

#define DB(name) (calls.leveldb_##name)

static int library_use(struct emlfs_err *err)
{
    static const char *const names[] = {LEVELDB_CALLS(CALL_NAME)};
    static struct emlfs_library library = EMLFS_LIBRARY_INIT(EMLFS_SONAME_LEVELDB, names, calls);
    struct emlfs_err why = {0};

    if (emlfs_library_load(&library, &why) == 0)
        return 0;
    return emlfs_err_set(err, ELIBACC, "catalog", "%s (package libleveldb1d)", why.text);
}

struct leveldb_backend {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *bloom;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write_sync;
    leveldb_writeoptions_t *write_lazy;
    int dir_fd;
    uint64_t reserve_bytes; /* L2, besides the batch */
};

struct leveldb_walk {
    leveldb_iterator_t *it;
    bool valid;
    char *error; /* LevelDB's text, once there is one */
};

/* ---- errors */

static bool text_has_errno(const char *text, int code)
{
    char words[128];

    return strstr(text, strerror_r(code, words, sizeof(words))) != NULL;
}

/* LevelDB gives only text; behind "IO error:" it ends with the system's words for errno. */
static int text_errno(const char *text)
{
    static const int codes[] = {ENOSPC, EDQUOT, EROFS, EACCES, EPERM, EMFILE, ENFILE, ENOMEM};

    if (strncmp(text, "Corruption", 10) == 0)
        return EUCLEAN;
    if (strstr(text, "error_if_exists is true"))
        return EEXIST;
    if (strstr(text, "create_if_missing is false"))
        return ENOENT;
    if (strstr(text, "already held") || text_has_errno(text, EAGAIN))
        return EBUSY;
    /* A file that the manifest names is gone. */
    if (text_has_errno(text, ENOENT))
        return EUCLEAN;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (text_has_errno(text, codes[i]))
            return codes[i] == EDQUOT ? ENOSPC : codes[i];
    return EIO;
}

static int error_set(struct emlfs_err *err, const char *doing, const char *text)
{
    return emlfs_err_set(err, text_errno(text), "catalog", "cannot %s: %s", doing, text);
}

/* As error_set, and frees text. 0 when text is NULL. */
static int error_take(struct emlfs_err *err, const char *doing, char *text)
{
    if (!text)
        return 0;
    int r = error_set(err, doing, text);
    DB(free)(text);
    return r;
}

/* ---- opening */

static void backend_free(struct leveldb_backend *db)
{
    if (db->db)
        DB(close)(db->db);
    if (db->options)
        DB(options_destroy)(db->options);
    if (db->cache)
        DB(cache_destroy)(db->cache);
    if (db->bloom)
        DB(filterpolicy_destroy)(db->bloom);
    if (db->read)
        DB(readoptions_destroy)(db->read);
    if (db->write_sync)
        DB(writeoptions_destroy)(db->write_sync);
    if (db->write_lazy)
        DB(writeoptions_destroy)(db->write_lazy);
    emlfs_os_close(&db->dir_fd);
    free(db);
}

static struct leveldb_backend *backend_new(const struct emlfs_catalog_config *config)
{
    struct leveldb_backend *db = calloc(1, sizeof(*db));
    if (!db)
        return NULL;
    db->dir_fd = -1;
    db->reserve_bytes = 2 * (uint64_t)config->write_buffer_bytes + SPARE_BYTES;
    db->cache = DB(cache_create_lru)(config->cache_bytes);
    db->bloom = DB(filterpolicy_create_bloom)(BLOOM_BITS);
    db->read = DB(readoptions_create)();
    DB(readoptions_set_verify_checksums)(db->read, 1);
    db->write_sync = DB(writeoptions_create)();
    DB(writeoptions_set_sync)(db->write_sync, 1);
    db->write_lazy = DB(writeoptions_create)();
    db->options = DB(options_create)();
    DB(options_set_create_if_missing)(db->options, config->create);
    DB(options_set_error_if_exists)(db->options, config->create);
    DB(options_set_paranoid_checks)(db->options, config->paranoid);
    DB(options_set_write_buffer_size)(db->options, config->write_buffer_bytes);
    DB(options_set_cache)(db->options, db->cache);
    DB(options_set_filter_policy)(db->options, db->bloom);
    DB(options_set_block_size)(db->options, BLOCK_BYTES);
    DB(options_set_max_open_files)(db->options, OPEN_FILES_MAX);
    DB(options_set_max_file_size)(db->options, TABLE_BYTES);
    DB(options_set_compression)(db->options, leveldb_snappy_compression);
    return db;
}

static bool name_is_table(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (strcmp(dot, ".ldb") == 0 || strcmp(dot, ".sst") == 0);
}

/* 1: dir holds a database; 0: nothing of one; -EUCLEAN: its tables without the file CURRENT. */
static int dir_probe(int dir_fd)
{
    if (faccessat(dir_fd, "CURRENT", F_OK, 0) == 0)
        return 1;
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int r = -errno;
        emlfs_os_close(&fd);
        return r;
    }
    int r = 0;
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (name_is_table(entry->d_name))
            r = -EUCLEAN;
    closedir(dir);
    return r;
}

/* LevelDB would make the directory and files in it even when told not to create. */
static int dir_open(struct leveldb_backend *db, const struct emlfs_catalog_config *config,
                    struct emlfs_err *err)
{
    if (config->create) {
        int r = emlfs_os_mkdir(config->dir, 0700);
        if (r < 0 && r != -EEXIST)
            return emlfs_err_sys(err, -r, "catalog", "cannot make %s", config->dir);
    }
    db->dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (db->dir_fd < 0)
        return emlfs_err_sys(err, errno, "catalog", "cannot open %s", config->dir);
    int found = dir_probe(db->dir_fd);
    if (config->create && (found == 1 || found == -EUCLEAN))
        return emlfs_err_set(err, EEXIST, "catalog", "%s is there already", config->dir);
    if (found == -EUCLEAN)
        return emlfs_err_set(err, EUCLEAN, "catalog", "%s has lost its file CURRENT", config->dir);
    if (found < 0)
        return emlfs_err_sys(err, -found, "catalog", "cannot read %s", config->dir);
    if (!config->create && found == 0)
        return emlfs_err_set(err, ENOENT, "catalog", "no catalogue in %s", config->dir);
    return 0;
}

/* LevelDB syncs neither the directory after its first files nor the one above. */
static int dir_sync(struct leveldb_backend *db, const struct emlfs_catalog_config *config,
                    struct emlfs_err *err)
{
    char path[PATH_MAX];

    if (fsync(db->dir_fd) < 0)
        return emlfs_err_sys(err, errno, "catalog", "cannot sync %s", config->dir);
    if (!config->create)
        return 0;
    int len = snprintf(path, sizeof(path), "%s/..", config->dir);
    if (len < 0 || (size_t)len >= sizeof(path))
        return emlfs_err_sys(err, ENAMETOOLONG, "catalog", "cannot sync %s", config->dir);
    int r = emlfs_os_sync_dir(path);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot sync %s", path) : 0;
}

static int database_open(struct leveldb_backend *db, const struct emlfs_catalog_config *config,
                         struct emlfs_err *err)
{
    char *text = NULL;

    int r = dir_open(db, config, err);
    if (r < 0)
        return r;
    db->db = DB(open)(db->options, config->dir, &text);
    /* Its log for people would lie in clear beside sealed rows; it goes on into the nameless file.
     */
    unlinkat(db->dir_fd, "LOG", 0);
    unlinkat(db->dir_fd, "LOG.old", 0);
    if (text)
        return error_take(err, "open the catalogue", text);
    return dir_sync(db, config, err);
}

int emlfs_catalog_leveldb_open(const struct emlfs_catalog_config *config, void **ret_backend,
                               struct emlfs_err *err)
{
    int r = library_use(err);
    if (r < 0)
        return r;
    struct leveldb_backend *db = backend_new(config);
    if (!db)
        return emlfs_err_sys(err, ENOMEM, "catalog", "cannot open %s", config->dir);
    r = database_open(db, config, err);
    if (r < 0) {
        backend_free(db);
        return r;
    }
    *ret_backend = db;
    return 0;
}

static void leveldb_backend_close(void *backend)
{
    backend_free(backend);
}

/* ---- removing */

static int dir_empty(const char *path)
{
    EMLFS_FD_CLEANUP int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    int r = 0;

    if (!dir)
        return -errno;
    int at = fd;
    fd = -1; /* dir owns it */
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (unlinkat(at, entry->d_name, 0) < 0 && errno != ENOENT)
            r = -errno;
    }
    closedir(dir);
    return r;
}

int emlfs_catalog_destroy(const char *dir, struct emlfs_err *err)
{
    char *text = NULL;

    if (access(dir, F_OK) < 0 && errno == ENOENT)
        return 0;
    int r = library_use(err);
    if (r < 0)
        return r;
    leveldb_options_t *options = DB(options_create)();
    /* First LevelDB's own removal: it refuses while somebody has the database open. */
    DB(destroy_db)(options, dir, &text);
    DB(options_destroy)(options);
    r = error_take(err, "remove the catalogue", text);
    if (r < 0)
        return r;
    r = dir_empty(dir);
    if (r == 0 && rmdir(dir) < 0)
        r = -errno;
    return r < 0 && r != -ENOENT ? emlfs_err_sys(err, -r, "catalog", "cannot remove %s", dir) : 0;
}

static void leveldb_backend_compact(void *backend)
{
    struct leveldb_backend *db = backend;

    /* Which levels to compact is decided before the memtable becomes a table: hence once more. */
    for (unsigned pass = 0; pass < 2; pass++)
        DB(compact_range)(db->db, NULL, 0, NULL, 0);
}

/* ---- rows */

static int leveldb_backend_get(void *backend, struct emlfs_span key, struct emlfs_buf *ret_value,
                               struct emlfs_err *err)
{
    struct leveldb_backend *db = backend;
    char *text = NULL;
    size_t len = 0;

    char *value = DB(get)(db->db, db->read, (const char *)key.data, key.len, &len, &text);
    if (text)
        return error_take(err, "read a row", text);
    if (!value)
        return -ENOENT;
    int r = emlfs_buf_append(ret_value, value, len);
    DB(free)(value);
    return r < 0 ? emlfs_err_sys(err, -r, "catalog", "cannot read a row") : 0;
}

/* L2. File systems that do not tell their size are taken at their word. */
static bool space_is_short(const struct leveldb_backend *db, uint64_t batch_bytes)
{
    struct statvfs st;

    if (fstatvfs(db->dir_fd, &st) < 0 || st.f_blocks == 0)
        return false;
    return (uint64_t)st.f_bavail * st.f_frsize < db->reserve_bytes + 2 * batch_bytes;
}

/* Returns the bytes of the batch, or -errno of source. */
static int64_t batch_fill(leveldb_writebatch_t *batch, const struct catalog_source *source)
{
    struct catalog_row row;
    int64_t bytes = 0;

    for (;;) {
        int r = source->next(source->arg, &row);
        if (r <= 0)
            return r < 0 ? r : bytes;
        if (row.deleted)
            DB(writebatch_delete)(batch, (const char *)row.key.data, row.key.len);
        else
            DB(writebatch_put)
        (batch, (const char *)row.key.data, row.key.len, (const char *)row.value.data,
         row.value.len);
        bytes += (int64_t)(row.key.len + row.value.len + 16);
    }
}

static int leveldb_backend_write(void *backend, const struct catalog_source *source, bool sync,
                                 bool *ret_touched, struct emlfs_err *err)
{
    struct leveldb_backend *db = backend;
    char *text = NULL;
    int r = 0;

    *ret_touched = false;
    leveldb_writebatch_t *batch = DB(writebatch_create)();
    int64_t bytes = batch_fill(batch, source);
    if (bytes < 0) {
        r = emlfs_err_sys(err, (int)-bytes, "catalog", "cannot gather the rows of a commit");
    } else if (space_is_short(db, (uint64_t)bytes)) {
        r = emlfs_err_sys(err, ENOSPC, "catalog", "cannot commit");
    } else {
        *ret_touched = true;
        DB(write)(db->db, sync ? db->write_sync : db->write_lazy, batch, &text);
        r = error_take(err, "commit", text);
    }
    DB(writebatch_destroy)(batch);
    return r;
}

/* ---- walks */

static int leveldb_walk_new(void *backend, void **ret_iter, struct emlfs_err *err)
{
    struct leveldb_backend *db = backend;
    struct leveldb_walk *walk = calloc(1, sizeof(*walk));

    if (!walk)
        return emlfs_err_sys(err, ENOMEM, "catalog", "cannot walk the catalogue");
    walk->it = DB(create_iterator)(db->db, db->read);
    *ret_iter = walk;
    return 0;
}

static void leveldb_walk_free(void *iter)
{
    struct leveldb_walk *walk = iter;

    DB(iter_destroy)(walk->it);
    if (walk->error)
        DB(free)(walk->error);
    free(walk);
}

/* After every move: L1. */
static void walk_look(struct leveldb_walk *walk)
{
    if (!walk->error)
        DB(iter_get_error)(walk->it, &walk->error);
    walk->valid = !walk->error && DB(iter_valid)(walk->it);
}

static void leveldb_walk_seek(void *iter, struct emlfs_span key)
{
    struct leveldb_walk *walk = iter;

    DB(iter_seek)(walk->it, (const char *)key.data, key.len);
    walk_look(walk);
}

static void leveldb_walk_prev(void *iter)
{
    struct leveldb_walk *walk = iter;

    DB(iter_prev)(walk->it);
    walk_look(walk);
}

static struct emlfs_span leveldb_walk_key(const void *iter)
{
    const struct leveldb_walk *walk = iter;
    size_t len;
    const char *key = DB(iter_key)(walk->it, &len);

    return emlfs_span_of(key, len);
}

static void leveldb_walk_seek_le(void *iter, struct emlfs_span key)
{
    struct leveldb_walk *walk = iter;

    leveldb_walk_seek(walk, key);
    if (walk->valid && emlfs_span_equal(leveldb_walk_key(walk), key))
        return;
    if (walk->valid) {
        leveldb_walk_prev(walk);
    } else if (!walk->error) {
        DB(iter_seek_to_last)(walk->it);
        walk_look(walk);
    }
}

static void leveldb_walk_next(void *iter)
{
    struct leveldb_walk *walk = iter;

    DB(iter_next)(walk->it);
    walk_look(walk);
}

static bool leveldb_walk_valid(const void *iter)
{
    const struct leveldb_walk *walk = iter;
    return walk->valid;
}

static int leveldb_walk_error(const void *iter, struct emlfs_err *err)
{
    const struct leveldb_walk *walk = iter;
    return walk->error ? error_set(err, "walk the catalogue", walk->error) : 0;
}

static struct emlfs_span leveldb_walk_value(const void *iter)
{
    const struct leveldb_walk *walk = iter;
    size_t len;
    const char *value = DB(iter_value)(walk->it, &len);

    return emlfs_span_of(value, len);
}

const struct catalog_backend_ops emlfs_catalog_leveldb_ops = {
    .get = leveldb_backend_get,
    .write = leveldb_backend_write,
    .iter_new = leveldb_walk_new,
    .compact = leveldb_backend_compact,
    .close = leveldb_backend_close,
    .iter_free = leveldb_walk_free,
    .iter_seek = leveldb_walk_seek,
    .iter_seek_le = leveldb_walk_seek_le,
    .iter_next = leveldb_walk_next,
    .iter_prev = leveldb_walk_prev,
    .iter_valid = leveldb_walk_valid,
    .iter_error = leveldb_walk_error,
    .iter_key = leveldb_walk_key,
    .iter_value = leveldb_walk_value,
};
