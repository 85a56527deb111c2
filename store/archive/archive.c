/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making, opening and closing an archive. The file `lock` keeps other
 * processes out for as long as one has the archive open.
 *
 * I-OPEN-1  an archive is handed out only when its catalogue has consumed every whole record of its
 *           packs
 * I-OPEN-2  looking (archive->look), no file is touched but the lock, and the ledger for a record;
 *           that is only done when everything was closed in order and the packs hold no more
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "book.h"
#include "emlfs/base/os.h"
#include "emlfs/name.h"
#include "emlfs/stores.h"
#include "heal.h"
#include "internal.h"
#include "rebuild.h"

#define MODULE "archive"
#define CACHE_BYTES (24u << 20)
#define LOOK_CACHE_BYTES (2u << 20) /* of one command: fresh memory costs more than it saves */
#define WORKERS_MAX 8u
#define LOCK_POLL_NS 50000000

static const struct emlfs_archive_settings defaults = {
    .store_messages = 5000000,
    .block_bytes = 960u << 10,
    .zstd_level = 6,
    .commit_ms = 500,
};

/* A setting left 0 is the default. */
static void settings_complete(struct emlfs_archive_settings *s)
{
    s->store_messages = s->store_messages ? s->store_messages : defaults.store_messages;
    s->block_bytes = s->block_bytes ? s->block_bytes : defaults.block_bytes;
    s->zstd_level = s->zstd_level ? s->zstd_level : defaults.zstd_level;
    s->commit_ms = s->commit_ms ? s->commit_ms : defaults.commit_ms;
}

static int settings_check(const struct emlfs_archive_settings *s, struct emlfs_err *err)
{
    if (s->store_messages < 1 || s->store_messages > 5000000 || s->block_bytes < 4096 ||
        s->block_bytes > (4u << 20) || s->zstd_level < 1 || s->zstd_level > 19 ||
        s->commit_ms < 1 || s->commit_ms > 60000)
        return emlfs_err_set(err, EINVAL, MODULE, "a setting is out of range");
    return 0;
}

/* The machine's zone, from the link that names it. */
static void zone_of_machine(char *ret, size_t size)
{
    static const char marker[] = "/zoneinfo/";
    char link[256];
    ssize_t n = readlink("/etc/localtime", link, sizeof(link) - 1);
    const char *at;

    snprintf(ret, size, "UTC");
    if (n <= 0)
        return;
    link[n] = '\0';
    at = strstr(link, marker);
    if (at && at[sizeof(marker) - 1])
        snprintf(ret, size, "%.*s", (int)size - 1, at + sizeof(marker) - 1);
}

static int uuid_make(char ret[37])
{
    uint8_t b[16];
    int rc = emlfs_random(b, sizeof(b));

    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    snprintf(ret, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0],
             b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
             b[14], b[15]);
    return rc;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

static int identity_make(const char *path, const struct emlfs_init_options *options,
                         struct archive_identity *ret, struct emlfs_err *err)
{
    *ret = (struct archive_identity){0};
    if (options->settings)
        ret->settings = *options->settings;
    settings_complete(&ret->settings);
    emlfs_name_folder(emlfs_span_str(options->name ? options->name : last_component(path)),
                      ret->name, sizeof(ret->name));
    if (options->timezone)
        snprintf(ret->settings.timezone, sizeof(ret->settings.timezone), "%s", options->timezone);
    else if (!ret->settings.timezone[0])
        zone_of_machine(ret->settings.timezone, sizeof(ret->settings.timezone));
    if (uuid_make(ret->uuid) < 0)
        return emlfs_err_set(err, EIO, MODULE, "no random numbers");
    return settings_check(&ret->settings, err);
}

/* Only an empty directory may become an archive: 0, or -EEXIST. */
static int directory_empty(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    int rc = dir ? 0 : -EEXIST;

    while (rc == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = -EEXIST;
    }
    if (dir)
        closedir(dir);
    return rc;
}

static int directories_make(const char *path, struct emlfs_err *err)
{
    static const char *const names[] = {"keys", "stores"};
    char sub[EMLFS_PATH_MAX_BYTES];
    int rc = emlfs_os_mkdir(path, 0755);

    if (rc == -EEXIST)
        rc = directory_empty(path);
    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        rc = path_join(sub, sizeof(sub), path, names[i]);
        if (rc == 0)
            rc = emlfs_os_mkdir(sub, 0700);
    }
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s cannot be made an archive", path) : 0;
}

/* how is zero, or says create or look. */
static int master_open(const char *path, const struct archive_keys *keys,
                       struct emlfs_catalog_config how, struct emlfs_catalog **ret,
                       struct emlfs_err *err)
{
    char dir[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(dir, sizeof(dir), path, "master");

    how.dir = dir;
    how.key = keys->rows;
    how.paranoid = true;
    how.cache_bytes = 1u << 20;
    how.write_buffer_bytes = 1u << 20;
    return rc < 0 ? rc : emlfs_catalog_open(&how, ret, err);
}

static int master_close(const char *path, const struct archive_keys *keys,
                        struct emlfs_catalog *master, struct emlfs_err *err)
{
    char dir[EMLFS_PATH_MAX_BYTES];

    emlfs_catalog_close(master);
    if (path_join(dir, sizeof(dir), path, "master") < 0)
        return 0;
    return sums_write(dir, &keys->check, err);
}

static int first_store(const char *path, const struct archive_keys *keys, struct emlfs_err *err)
{
    struct store_dir dir;
    const struct store_opening opening = {.keys = keys, .dir = &dir, .create = true};
    struct emlfs_clock clock = emlfs_clock_system();
    struct store *store = NULL;
    int rc = layout_new_store(path, 1, clock.now_ns(clock.arg), &dir, err);

    if (rc == 0)
        rc = store_open(&opening, &store, err);
    return rc < 0 ? rc : store_close(store, keys, err);
}

static int first_ledger(const char *path, const struct archive_keys *keys,
                        const struct archive_identity *identity, struct emlfs_err *err)
{
    const struct book book = {
        .path = path, .keys = keys, .identity = identity, .clock = emlfs_clock_system()};

    return book_make(&book, &(struct book_begin){0}, err);
}

int emlfs_archive_init(const char *path, const struct emlfs_init_options *options,
                       char ret_recovery[EMLFS_RECOVERY_KEY_TEXT_MAX], struct emlfs_err *err)
{
    static const struct emlfs_init_options none = {0};
    struct archive_identity identity;
    struct archive_keys keys = {0};
    struct emlfs_catalog *master = NULL;
    int rc = identity_make(path, options ? options : &none, &identity, err);

    if (rc == 0)
        rc = directories_make(path, err);
    if (rc < 0)
        return rc;
    rc = keys_create(path, &keys, ret_recovery, err);
    if (rc == 0)
        rc = first_store(path, &keys, err);
    if (rc == 0)
        rc = master_open(path, &keys, (struct emlfs_catalog_config){.create = true}, &master, err);
    if (rc == 0)
        rc = master_close(path, &keys, master, err);
    if (rc == 0)
        rc = first_ledger(path, &keys, &identity, err);
    /* Last: a directory without emlfs.json is no archive. */
    if (rc == 0)
        rc = identity_write(path, &identity, &keys, err);
    emlfs_wipe(&keys, sizeof(keys));
    if (rc < 0)
        layout_remove(path);
    return rc;
}

const char *emlfs_archive_path(const struct emlfs_archive *archive)
{
    return archive->path;
}

const char *emlfs_archive_name(const struct emlfs_archive *archive)
{
    return archive->identity.name;
}

const char *emlfs_archive_uuid(const struct emlfs_archive *archive)
{
    return archive->identity.uuid;
}

const struct emlfs_archive_settings *emlfs_archive_get_settings(const struct emlfs_archive *archive)
{
    return &archive->identity.settings;
}

int64_t emlfs_archive_now_ns(const struct emlfs_archive *archive)
{
    return archive->clock.now_ns(archive->clock.arg);
}

void emlfs_archive_opening(const struct emlfs_archive *archive, struct emlfs_check_totals *ret)
{
    *ret = archive->opening;
}

struct store *archive_store(struct emlfs_archive *archive, uint16_t no)
{
    return no == 0 || no > atomic_load(&archive->stores_n) ? NULL : archive->stores[no - 1];
}

struct store *archive_shown(struct emlfs_archive *archive, uint16_t no)
{
    return emlfs_archive_store_shown(archive, no) ? archive_store(archive, no) : NULL;
}

struct store *archive_current(struct emlfs_archive *archive)
{
    return archive_store(archive, (uint16_t)atomic_load(&archive->stores_n));
}

void archive_fail(struct emlfs_archive *archive, const struct emlfs_err *err)
{
    if (atomic_load(&archive->failed))
        return;
    snprintf(archive->failed_why, sizeof(archive->failed_why), "%.200s",
             err && err->code ? err->text : "a write failed");
    atomic_store(&archive->failed, true);
}

/* Nothing of it may be put right, made or removed. */
static bool is_untouched(const struct emlfs_archive *archive)
{
    return archive->read_only || archive->look;
}

int archive_writable(struct emlfs_archive *archive, struct emlfs_err *err)
{
    if (is_untouched(archive))
        return emlfs_err_set(err, EROFS, MODULE, "%s is open for reading only", archive->path);
    if (!atomic_load(&archive->failed))
        return 0;
    return emlfs_err_set(err, EROFS, MODULE, "%s takes no more writes until it is opened again: %s",
                         archive->path, archive->failed_why);
}

bool emlfs_archive_is_writable(struct emlfs_archive *archive)
{
    return archive_writable(archive, NULL) == 0;
}

void emlfs_archive_subscribe(struct emlfs_archive *archive, emlfs_change_fn *fn, void *arg)
{
    pthread_mutex_lock(&archive->notice_lock);
    archive->notice = fn;
    archive->notice_arg = arg;
    pthread_mutex_unlock(&archive->notice_lock);
}

void archive_notify(struct emlfs_archive *archive, const uint32_t *folders, unsigned n)
{
    pthread_mutex_lock(&archive->notice_lock);
    for (unsigned i = 0; i < n && archive->notice; i++)
        archive->notice(archive->notice_arg, (struct emlfs_folder_id){folders[i]});
    pthread_mutex_unlock(&archive->notice_lock);
}

static void store_publish(struct emlfs_archive *archive, struct store *store)
{
    unsigned at = store->rows.no - 1u;

    archive->stores[at] = store;
    archive->store_rows[at] = &store->rows;
}

/* Stores up to no are known; until their rows are read they are what stores without one are. */
static void stores_count(struct emlfs_archive *archive, uint16_t no)
{
    unsigned before = atomic_load(&archive->stores_n);

    if (before > 0 && atomic_load(&archive->states[before - 1]) == EMLFS_STORE_CURRENT)
        atomic_store(&archive->states[before - 1], EMLFS_STORE_NORMAL);
    for (unsigned i = before; i + 1 < no; i++)
        atomic_store(&archive->states[i], EMLFS_STORE_NORMAL);
    atomic_store(&archive->states[no - 1], EMLFS_STORE_CURRENT);
    archive->state.stores_n = no;
    atomic_store(&archive->stores_n, no);
}

int archive_add_store(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct store_dir dir;
    const struct store_opening opening = {.keys = &archive->keys, .dir = &dir, .create = true};
    uint16_t no = (uint16_t)(atomic_load(&archive->stores_n) + 1);
    struct store *store = NULL;
    int rc;

    if (no > EMLFS_STORES_MAX)
        return emlfs_err_set(err, E2BIG, MODULE, "an archive has at most %u stores",
                             EMLFS_STORES_MAX);
    rc = layout_new_store(archive->path, no, emlfs_archive_now_ns(archive), &dir, err);
    if (rc == 0)
        rc = store_open(&opening, &store, err);
    if (rc == 0) {
        store_publish(archive, store);
        stores_count(archive, no);
    }
    return rc;
}

/*
 * A store that a crash left half made: the last one, without any pack. Nothing was in it, so it is
 * made again instead of rebuilding every other one.
 */
static int store_complete(struct emlfs_archive *archive, const struct store_dir *dir,
                          struct store **ret, struct emlfs_err *err)
{
    const struct store_opening opening = {.keys = &archive->keys, .dir = dir, .create = true};
    char packs[EMLFS_PATH_MAX_BYTES], catalog[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(packs, sizeof(packs), dir->path, "packs");

    if (rc == 0)
        rc = path_join(catalog, sizeof(catalog), dir->path, "catalog");
    if (rc == 0)
        rc = emlfs_os_mkdir(packs, 0700);
    if (rc == -EEXIST)
        rc = directory_empty(packs) < 0 ? -ENOENT : 0;
    if (rc == 0)
        rc = emlfs_catalog_destroy(catalog, err);
    if (rc == 0)
        rc = emlfs_os_sync_dir(dir->path);
    return rc < 0 ? rc : store_open(&opening, ret, err);
}

/* A store that is there; the last one is completed if a crash left it half made. */
static int store_open_one(struct emlfs_archive *archive, const struct store_dir *dir, bool last,
                          struct emlfs_err *err)
{
    const struct store_opening opening = {
        .keys = &archive->keys, .dir = dir, .look = archive->look};
    struct store *store = NULL;
    int rc = store_open(&opening, &store, err);

    if ((rc == -EUCLEAN || rc == -ENOENT) && last && !is_untouched(archive) &&
        store_complete(archive, dir, &store, NULL) == 0)
        rc = 0;
    if (rc == 0)
        store_publish(archive, store);
    return rc;
}

static int stores_missing(struct emlfs_archive *archive, unsigned first, unsigned end,
                          struct emlfs_err *err)
{
    for (unsigned no = first; no < end; no++) {
        if (!store_is_detached(archive->master, (uint16_t)no))
            return emlfs_err_set(err, EUCLEAN, MODULE, "%s: store %u is missing", archive->path,
                                 no);
    }
    return 0;
}

/* Open the stores; a catalogue that is missing or damaged asks for a rebuild (*ret_rebuild). */
static int stores_open(struct emlfs_archive *archive, bool *ret_rebuild, struct emlfs_err *err)
{
    struct store_dir *dirs;
    unsigned n, next = 1;
    int rc = layout_stores(archive->path, &dirs, &n, err);

    if (rc == 0 && n == 0)
        rc = emlfs_err_set(err, EUCLEAN, MODULE, "%s has no store", archive->path);
    for (unsigned i = 0; i < n && rc == 0; i++) {
        rc = stores_missing(archive, next, dirs[i].no, err);
        next = dirs[i].no + 1u;
        /* Detached, it is left alone until it is attached, even if it is there. */
        if (rc == 0 && i + 1 < n && store_is_detached(archive->master, dirs[i].no))
            continue;
        if (rc == 0)
            rc = store_open_one(archive, &dirs[i], i == n - 1, err);
        if (rc == -EUCLEAN || rc == -ENOENT)
            *ret_rebuild = true;
    }
    if (rc == 0)
        stores_count(archive, dirs[n - 1].no);
    free(dirs);
    return rc;
}

/* Replay may have found that a store was attached. */
static int stores_settle(struct emlfs_archive *archive, struct emlfs_err *err)
{
    struct store_dir *dirs;
    unsigned n;
    int rc = states_load(archive, err);

    if (rc == 0)
        rc = layout_stores(archive->path, &dirs, &n, err);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < n && rc == 0; i++) {
        if (dirs[i].no <= atomic_load(&archive->stores_n) && !archive->stores[dirs[i].no - 1] &&
            atomic_load(&archive->states[dirs[i].no - 1]) != EMLFS_STORE_DETACHED)
            rc = store_open_one(archive, &dirs[i], false, err);
    }
    free(dirs);
    for (unsigned i = 0; i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        if (!archive->stores[i] && atomic_load(&archive->states[i]) != EMLFS_STORE_DETACHED)
            rc = emlfs_err_set(err, EUCLEAN, MODULE, "%s: store %u is missing", archive->path,
                               i + 1);
    }
    return rc;
}

int archive_lock(const char *path, unsigned wait_ms, int *ret_fd, struct emlfs_err *err)
{
    int64_t until = emlfs_os_monotonic_ns() + (int64_t)wait_ms * 1000000;
    const struct timespec pause = {.tv_nsec = LOCK_POLL_NS};
    char file[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(file, sizeof(file), path, "lock");

    if (rc == 0)
        *ret_fd = open(file, O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (rc < 0 || *ret_fd < 0)
        return emlfs_err_sys(err, rc < 0 ? -rc : errno, MODULE, "%s", file);
    while (flock(*ret_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return emlfs_err_sys(err, errno, MODULE, "%s", file);
        if (emlfs_os_monotonic_ns() >= until)
            return emlfs_err_set(err, EBUSY, MODULE,
                                 "%s is in use by another process that does not answer", path);
        nanosleep(&pause, NULL);
    }
    return 0;
}

void archive_unlock(int *fd)
{
    emlfs_os_close(fd);
}

static int master_open_live(struct emlfs_archive *archive, struct emlfs_err *err)
{
    char dir[EMLFS_PATH_MAX_BYTES];
    int rc = path_join(dir, sizeof(dir), archive->path, "master");

    if (rc == 0)
        rc = archive->look ? sums_there(dir) : sums_remove(dir);
    return rc < 0 ? emlfs_err_sys(err, -rc, MODULE, "%s", archive->path)
                  : master_open(archive->path, &archive->keys,
                                (struct emlfs_catalog_config){.look = archive->look},
                                &archive->master, err);
}

static int runs_load(struct emlfs_archive *archive, struct emlfs_err *err)
{
    const uint8_t kind = MASTER_RUNS;
    struct emlfs_buf value EMLFS_BUF_CLEANUP = EMLFS_BUF_INIT(64);
    struct folder_stat runs = {0};
    int rc = emlfs_catalog_get(archive->master, emlfs_span_of(&kind, 1), 0, &value, err);

    if (rc == 0)
        rc = folder_stat_decode(emlfs_buf_view(&value), &runs);
    archive->runs = (uint32_t)runs.entries;
    return rc == -ENOENT ? 0 : rc;
}

/*
 * The highest folder id, source number and import run in use. One read too low would give a number
 * a second time, so any doubt is an error.
 */
static int counters_load(struct emlfs_archive *archive, struct emlfs_err *err)
{
    static const uint8_t kinds[2] = {EMLFS_MASTER_FOLDER, EMLFS_MASTER_SOURCE};
    uint32_t *counters[2] = {&archive->next_folder, &archive->next_source};
    struct emlfs_catalog_iter *iter = NULL;
    int rc = emlfs_catalog_iter_new(archive->master, &iter, err);

    for (unsigned i = 0; i < 2 && rc == 0; i++) {
        struct row_key key = key_u32(kinds[i], UINT32_MAX);
        struct emlfs_span found;
        *counters[i] = 1;
        emlfs_catalog_iter_seek_le(iter, row_key_view(&key));
        if (!emlfs_catalog_iter_valid(iter)) {
            rc = emlfs_catalog_iter_error(iter, err);
            continue;
        }
        found = emlfs_catalog_iter_key(iter);
        if (found.len == 5 && found.data[0] == kinds[i])
            *counters[i] = (be32(found.data + 1)) + 1;
    }
    emlfs_catalog_iter_free(iter);
    return rc < 0 ? rc : runs_load(archive, err);
}

static int replay_all(struct emlfs_archive *archive, const struct emlfs_archive_options *options,
                      struct emlfs_err *err)
{
    struct replay_options replay = {.progress = options->progress,
                                    .totals = &archive->opening,
                                    .cut = !is_untouched(archive),
                                    .keep_mark = archive->read_only};
    int rc = 0;

    if (archive->ledger && !is_untouched(archive))
        rc = heal_new(archive->ledger, false, &replay.heal);
    if (rc < 0)
        return emlfs_err_sys(err, -rc, MODULE, "ledger");
    for (unsigned i = 0; i < atomic_load(&archive->stores_n) && rc == 0; i++) {
        if (archive->stores[i])
            rc = replay_store(&archive->state, archive->stores[i], &replay, err);
    }
    heal_free(replay.heal);
    return rc < 0 ? rc : stores_settle(archive, err);
}

static struct book archive_book(const struct emlfs_archive *archive)
{
    return (struct book){.path = archive->path,
                         .keys = &archive->keys,
                         .identity = &archive->identity,
                         .clock = archive->clock,
                         .read_only = archive->read_only};
}

/* Nothing changes that cannot be recorded. */
static int ledger_failed(struct emlfs_archive *archive, struct archive_how *how,
                         const struct emlfs_err *why, struct emlfs_err *err)
{
    if (err)
        *err = *why;
    if (!archive->read_only && !(how && how->without_ledger))
        return -why->code;
    if (how) {
        how->ledger_failed = true;
        how->err_ledger = *why;
    }
    archive->read_only = true;
    return 0;
}

static int ledger_open(struct emlfs_archive *archive, struct archive_how *how,
                       struct emlfs_err *err)
{
    const struct book book = archive_book(archive);
    struct emlfs_err why = {0};
    struct emlfs_ledger_opened opened = {0};
    int rc = book_open(&book, &archive->ledger, &opened, &why);

    if (rc == 0 && archive->ledger)
        archive->ledger_opened = emlfs_ledger_size(archive->ledger);
    if (how)
        how->ledger_in_order = opened.in_order;
    return rc == 0 ? 0 : ledger_failed(archive, how, &why, err);
}

static int row_found(void *arg, struct emlfs_span key, struct emlfs_span value)
{
    (void)arg;
    (void)key;
    (void)value;
    return 1;
}

/* The compliance clock is younger than ledgers: where it is kept, there was one. */
static bool had_ledger(struct emlfs_archive *archive)
{
    return emlfs_archive_master_walk(archive, EMLFS_MASTER_CLOCK, row_found, NULL, NULL) > 0;
}

/* An archive that is older than ledgers: behind replay, so that all it has counts as older. */
static int ledger_begin(struct emlfs_archive *archive, struct archive_how *how,
                        struct emlfs_err *err)
{
    const struct book book = archive_book(archive);
    struct emlfs_err why = {0};
    struct book_begin begin = {0};
    struct emlfs_archive_status status;
    struct store *last = archive_current(archive);
    struct mark_row mark;
    int rc;

    if (archive->ledger || archive->read_only)
        return 0;
    if (had_ledger(archive)) {
        emlfs_err_set(&why, EBADMSG, MODULE,
                      "%s/ledger is missing, and with it what was recorded: put it back",
                      archive->path);
        return ledger_failed(archive, how, &why, err);
    }
    rc = store_mark(last, &mark, err);
    if (rc == 0)
        rc = emlfs_archive_get_status(archive, &status, err);
    if (rc < 0)
        return rc;
    begin.store_no = last->rows.no;
    begin.loc.pack_no = mark.end.pack_no;
    begin.loc.offset = mark.end.offset;
    begin.message = emlfs_msg_id_make(last->rows.no, mark.next_number - 1);
    begin.messages = status.messages;
    rc = book_make(&book, &begin, err);
    if (rc == 0)
        rc = book_open(&book, &archive->ledger, NULL, err);
    if (rc == 0 && archive->ledger)
        archive->ledger_opened = emlfs_ledger_size(archive->ledger);
    return rc;
}

void archive_free(struct emlfs_archive *archive)
{
    cache_free(archive->cache);
    archive_unlock(&archive->lock_fd);
    turn_destroy(&archive->turn);
    free(archive->usage);
    pthread_mutex_destroy(&archive->write_lock);
    pthread_mutex_destroy(&archive->notice_lock);
    pthread_mutex_destroy(&archive->watch_lock);
    emlfs_wipe(&archive->keys, sizeof(archive->keys));
    free(archive);
}

static int catalogs_close(struct emlfs_archive *archive, struct emlfs_err *err)
{
    int rc = 0;

    for (unsigned i = 0; i < EMLFS_STORES_MAX; i++) {
        struct store *store = archive->stores[i];
        /* The directory of a detached one may have been taken away. */
        bool gone = store && atomic_load(&archive->states[i]) == EMLFS_STORE_DETACHED &&
                    access(store->dir.path, F_OK) < 0;
        int one = store_close(store, gone ? NULL : &archive->keys, rc == 0 ? err : NULL);
        rc = rc < 0 ? rc : one;
        archive->stores[i] = NULL;
        archive->store_rows[i] = NULL;
    }
    atomic_store(&archive->stores_n, 0);
    if (archive->master && archive->look) {
        emlfs_catalog_close(archive->master);
    } else if (archive->master) {
        int one =
            master_close(archive->path, &archive->keys, archive->master, rc == 0 ? err : NULL);
        rc = rc < 0 ? rc : one;
    }
    archive->master = NULL;
    return rc;
}

int emlfs_archive_close(struct emlfs_archive *archive, struct emlfs_err *err)
{
    int rc, closed;

    if (!archive)
        return 0;
    if (archive->live) {
        asof_close(archive);
        return 0;
    }
    pthread_mutex_lock(&archive->write_lock);
    rc = writer_end(archive, err);
    pthread_mutex_unlock(&archive->write_lock);
    closed = catalogs_close(archive, rc == 0 ? err : NULL);
    rc = rc < 0 ? rc : closed;
    closed = book_close(archive->ledger, archive->ledger_opened, rc == 0 ? err : NULL);
    archive_free(archive);
    return rc < 0 ? rc : closed;
}

struct emlfs_archive *archive_new(const struct emlfs_archive_options *options)
{
    struct emlfs_archive *archive = calloc(1, sizeof(*archive));
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    if (!archive || strlen(options->path) >= sizeof(archive->path) - 64) {
        free(archive);
        return NULL;
    }
    snprintf(archive->path, sizeof(archive->path), "%s", options->path);
    archive->lock_fd = -1;
    archive->clock = options->clock.now_ns ? options->clock : emlfs_clock_system();
    archive->read_only = options->read_only;
    archive->generation = 1;
    archive->workers = options->workers ? options->workers : (unsigned)(cpus > 0 ? cpus : 1);
    archive->workers = archive->workers > WORKERS_MAX ? WORKERS_MAX : archive->workers;
    turn_init(&archive->turn);
    pthread_mutex_init(&archive->write_lock, NULL);
    pthread_mutex_init(&archive->notice_lock, NULL);
    pthread_mutex_init(&archive->watch_lock, NULL);
    return archive;
}

/* The catalogues, rebuilt from packs when they are damaged or missing. */
static int catalogs_open(struct emlfs_archive *archive, const struct emlfs_archive_options *options,
                         struct emlfs_err *err)
{
    bool rebuild = false;
    int rc = master_open_live(archive, err);

    if (rc == -EUCLEAN || rc == -ENOENT)
        rebuild = true;
    if (rc == 0)
        rc = stores_open(archive, &rebuild, err);
    if (rc < 0 && rebuild && !is_untouched(archive)) {
        struct rebuild_options again = {.path = archive->path,
                                        .keys = &archive->keys,
                                        .ledger = archive->ledger,
                                        .progress = options->progress};
        catalogs_close(archive, NULL);
        rc = rebuild_catalogs(&again, &archive->opening, err);
        archive->opening.repaired++;
        archive->opening.errors++;
        if (rc == 0)
            rc = master_open_live(archive, err);
        if (rc == 0)
            rc = stores_open(archive, &rebuild, err);
    }
    archive->state.keys = &archive->keys;
    archive->state.master = archive->master;
    archive->state.stores = archive->store_rows;
    return rc;
}

static int contents_open(struct emlfs_archive *archive, const struct emlfs_archive_options *options,
                         struct emlfs_err *err)
{
    int rc = catalogs_open(archive, options, err);

    if (rc == 0)
        rc = replay_all(archive, options, err);
    return rc == 0 ? counters_load(archive, err) : rc;
}

/* I-OPEN-2. Whatever stands against it, opening as usual puts right or names. */
static bool contents_look(struct emlfs_archive *archive,
                          const struct emlfs_archive_options *options)
{
    const struct book book = archive_book(archive);
    struct emlfs_archive_options quiet = *options;

    if (book_closed(&book) < 0)
        return false;
    quiet.progress = NULL;
    archive->look = true;
    if (contents_open(archive, &quiet, NULL) == 0 && archive->opening.records == 0 &&
        archive->opening.repaired == 0 && archive->opening.errors == 0)
        return true;
    catalogs_close(archive, NULL);
    archive->opening = (struct emlfs_check_totals){0};
    archive->state = (struct state){0};
    archive->look = false;
    return false;
}

int archive_recordable(struct emlfs_archive *archive, struct emlfs_err *err)
{
    int rc;

    if (!archive->look)
        return archive_writable(archive, err);
    if (!archive->ledger && (rc = ledger_open(archive, NULL, err)) < 0)
        return rc;
    /* Looked at, it had one. */
    return archive->ledger ? 0 : emlfs_err_set(err, EIO, MODULE, "%s: no ledger", archive->path);
}

int emlfs_archive_open(const struct emlfs_archive_options *options,
                       struct emlfs_archive **ret_archive, struct emlfs_err *err)
{
    return archive_open(options, NULL, ret_archive, err);
}

static int open_usual(struct emlfs_archive *archive, const struct emlfs_archive_options *options,
                      struct archive_how *how, struct emlfs_err *err)
{
    int rc;

    if (!archive->read_only)
        asof_sweep(archive->path);
    rc = ledger_open(archive, how, err);
    if (rc == 0)
        rc = contents_open(archive, options, err);
    return rc == 0 ? ledger_begin(archive, how, err) : rc;
}

int archive_open(const struct emlfs_archive_options *options, struct archive_how *how,
                 struct emlfs_archive **ret_archive, struct emlfs_err *err)
{
    struct emlfs_archive *archive = archive_new(options);
    int rc;

    if (!archive)
        return emlfs_err_set(err, ENOMEM, MODULE, "out of memory, or the path is too long");
    rc = keys_open(archive->path, options->recovery_key, &archive->keys, err);
    if (rc == 0)
        rc = archive_lock(archive->path, options->lock_wait_ms, &archive->lock_fd, err);
    if (rc == 0)
        rc = identity_read(archive->path, &archive->keys, &archive->identity, err);
    if (rc == 0)
        rc = cache_new(options->look ? LOOK_CACHE_BYTES : CACHE_BYTES, &archive->cache);
    if (rc == 0 && !(options->look && contents_look(archive, options)))
        rc = open_usual(archive, options, how, err);
    if (rc < 0) {
        catalogs_close(archive, NULL);
        (void)emlfs_ledger_close(archive->ledger, NULL);
        archive_free(archive);
        return rc;
    }
    *ret_archive = archive;
    return 0;
}

static uint64_t directory_bytes(const char *path, unsigned depth)
{
    DIR *dir = opendir(path);
    uint64_t bytes = 0;
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        char sub[EMLFS_PATH_MAX_BYTES];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            path_join(sub, sizeof(sub), path, entry->d_name) < 0 || lstat(sub, &st) < 0)
            continue;
        bytes += (uint64_t)st.st_blocks * 512;
        if (S_ISDIR(st.st_mode) && depth > 0)
            bytes += directory_bytes(sub, depth - 1);
    }
    if (dir)
        closedir(dir);
    return bytes;
}

int emlfs_archive_get_status(struct emlfs_archive *archive, struct emlfs_archive_status *ret,
                             struct emlfs_err *err)
{
    int rc = 0;

    memset(ret, 0, sizeof(*ret));
    ret->stores = atomic_load(&archive->stores_n);
    for (unsigned i = 0; i < ret->stores && rc == 0; i++) {
        struct mark_row mark = {0};
        if (archive->stores[i])
            rc = store_mark(archive->stores[i], &mark, err);
        if (rc == 0) {
            ret->messages += mark.messages;
            ret->bytes_archived += mark.bytes;
        }
    }
    ret->bytes_on_disk = directory_bytes(archive->path, 4);
    ret->writable = archive->look || emlfs_archive_is_writable(archive);
    if (!ret->writable)
        snprintf(ret->why, sizeof(ret->why), "%s",
                 archive->read_only ? "opened for reading only" : archive->failed_why);
    return rc;
}
